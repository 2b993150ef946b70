//! `doctor`: what this machine has, and whether it is enough. Each finding is `ok`, `warning` or `problem`; a problem is something without
//! which work fails, and makes the exit code 1.
use std::path::Path;

use cribble_core::Result;
use cribble_models::{Dtype, source::Hub};
use cribble_pipeline::available_memory;
use serde::Serialize;
use serde_json::json;

use crate::{args::DoctorArgs, settings::Settings, text};

/// Open files that many shards at once need.
const FILES_WANTED: u64 = 1024;
const MEMORY_WANTED: u64 = 2 << 30;
const DISK_WANTED: u64 = 1 << 30;

/// How good or bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Warning,
    Problem,
}

/// One line of the answer.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    level: Level,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

fn finding(what: &'static str, level: Level, found: impl Into<String>, hint: Option<&str>) -> Finding {
    Finding {
        what,
        level,
        found: found.into(),
        hint: (level != Level::Ok).then(|| hint.map(str::to_owned)).flatten(),
    }
}

/// Looks at the machine.
pub fn run(settings: &Settings, args: &DoctorArgs) -> Result<u8> {
    let mut findings = vec![
        finding("version", Level::Ok, format!("cribble {}", env!("CARGO_PKG_VERSION")), None),
        processor(),
        cores(settings.limits.threads),
        memory(settings.limits.memory),
        encoders(),
        model_cache(),
        open_files(),
        disk("temporary files", &std::env::temp_dir()),
        disk("this folder", Path::new(".")),
    ];
    if let Some(folder) = &args.folder {
        findings.push(disk("the folder", folder));
    }
    let sick = findings.iter().any(|finding| finding.level == Level::Problem);
    let code = u8::from(sick);
    if settings.json {
        settings
            .terminal
            .out_json("doctor", json!({ "fit": !sick, "exit_code": code, "findings": findings }));
        return Ok(code);
    }
    let mut rows = Vec::new();
    for finding in &findings {
        let level = match finding.level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Problem => "PROBLEM",
        };
        rows.push(vec![level.to_owned(), finding.what.to_owned(), finding.found.clone()]);
        if let Some(hint) = &finding.hint {
            rows.push(vec![String::new(), String::new(), format!("hint: {hint}")]);
        }
    }
    settings.terminal.out(&text::table(&rows, &[]));
    Ok(code)
}

fn processor() -> Finding {
    #[cfg(target_arch = "x86_64")]
    {
        let has = |name: &'static str, is: bool| is.then_some(name);
        let features: Vec<&str> = [
            has("avx2", is_x86_feature_detected!("avx2")),
            has("fma", is_x86_feature_detected!("fma")),
            has("f16c", is_x86_feature_detected!("f16c")),
            has("avx512f", is_x86_feature_detected!("avx512f")),
            has("avx512-bf16", is_x86_feature_detected!("avx512bf16")),
        ]
        .into_iter()
        .flatten()
        .collect();
        let level =
            if features.contains(&"avx2") && features.contains(&"fma") { Level::Ok } else { Level::Warning };
        let found = if features.is_empty() {
            "x86-64 without vector extensions".to_owned()
        } else {
            format!("x86-64 with {}", features.join(", "))
        };
        finding(
            "processor",
            level,
            found,
            Some("without avx2 and fma the search for duplicates is several times slower"),
        )
    }
    #[cfg(not(target_arch = "x86_64"))]
    finding("processor", Level::Ok, std::env::consts::ARCH, None)
}

/// What `dtype = "auto"` of an embed step means here.
fn encoders() -> Finding {
    let found = match Dtype::Auto.resolve() {
        Dtype::Bf16 => "bf16, which this processor multiplies natively",
        _ => "f32; this processor has no bf16 instructions",
    };
    finding("encoders", Level::Ok, found, None)
}

/// Where models of the Hub are kept, and whether the network may be asked for more.
fn model_cache() -> Finding {
    match Hub::from_env() {
        Err(error) => finding(
            "model cache",
            Level::Warning,
            error.to_string(),
            Some("models in folders work all the same"),
        ),
        Ok(hub) => {
            let there = if hub.cache.is_dir() { "" } else { ", not there yet" };
            let network = if hub.offline { ", offline" } else { "" };
            finding("model cache", Level::Ok, format!("{}{there}{network}", hub.cache.display()), None)
        }
    }
}

fn cores(threads: usize) -> Finding {
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let quota = cpu_quota();
    let mut found = format!(
        "{} of {} used",
        text::counted(threads as u64, "thread", "threads"),
        text::counted(available as u64, "core", "cores")
    );
    if let Some(quota) = quota {
        found += &format!(", the container may use {quota:.1}");
    }
    let too_many = threads > available || quota.is_some_and(|quota| threads as f64 > quota.ceil());
    let level = if too_many { Level::Warning } else { Level::Ok };
    finding("cores", level, found, Some("more threads than cores only wait for each other: lower --threads"))
}

/// Cores that the control group grants, where it limits them.
fn cpu_quota() -> Option<f64> {
    let text = std::fs::read_to_string("/sys/fs/cgroup/cpu.max").ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
}

fn memory(ceiling: u64) -> Finding {
    let free = available_memory();
    if free == 0 {
        return finding(
            "memory",
            Level::Warning,
            "the system does not say",
            Some("give --memory, else 4 GiB are taken for free"),
        );
    }
    let found = format!("{} free, ceiling {}", text::bytes(free), text::bytes(ceiling));
    if ceiling > free {
        return finding(
            "memory",
            Level::Warning,
            found,
            Some("the ceiling is above what is free: lower --memory"),
        );
    }
    let level = if free < MEMORY_WANTED { Level::Warning } else { Level::Ok };
    finding("memory", level, found, Some("under 2 GiB large inputs take more passes"))
}

fn open_files() -> Finding {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    match limit.current {
        None => finding("open files", Level::Ok, "no limit", None),
        Some(files) => {
            let level = if files < 64 {
                Level::Problem
            } else if files < FILES_WANTED {
                Level::Warning
            } else {
                Level::Ok
            };
            finding(
                "open files",
                level,
                format!("limit {}", text::count(files)),
                Some("raise it with `ulimit -n 4096`"),
            )
        }
    }
}

fn disk(what: &'static str, folder: &Path) -> Finding {
    let name = folder.display();
    let stat = match rustix::fs::statvfs(folder) {
        Ok(stat) => stat,
        Err(error) => {
            return finding(
                what,
                Level::Problem,
                format!("{name}: {error}"),
                Some("make the folder, or name another"),
            );
        }
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let found = format!(
        "{name}: {} free{}",
        text::bytes(free),
        file_system(folder).map_or_else(String::new, |kind| format!(" on {kind}"))
    );
    let is_writable = rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok();
    if !is_writable {
        return finding(
            what,
            Level::Problem,
            format!("{found}, not writable"),
            Some("name another folder with --out"),
        );
    }
    let level = if free < DISK_WANTED { Level::Warning } else { Level::Ok };
    finding(
        what,
        level,
        found,
        Some("step tables take about 60 bytes a row and step, tars as much as their samples"),
    )
}

/// The kind of file system that a folder lies on: the longest mount point that it begins with.
fn file_system(folder: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (point, kind) = (words.nth(1)?, words.next()?);
            folder.starts_with(point).then(|| (point.len(), kind.to_owned()))
        })
        .max()
        .map(|(_, kind)| kind)
}
