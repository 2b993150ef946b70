//! The global options, resolved: what a person did not say is read from the machine here and nowhere else. This and `terminal.rs` are the
//! only places that look at the environment.
use std::sync::Arc;

use cribble_core::{Error, Result};
use cribble_pipeline::{Limits, available_memory};

use crate::{args::GlobalArgs, progress::Reporter, terminal::Terminal};

/// Below this no block of a step fits, whatever the input.
const LEAST_MEMORY: u64 = 64 << 20;
/// Where the system does not say how much memory is free.
const UNKNOWN_MEMORY: u64 = 4 << 30;

/// What every command gets.
pub struct Settings {
    /// Memory and threads.
    pub limits: Limits,
    /// Print one JSON object.
    pub json: bool,
    /// Write nothing.
    pub dry_run: bool,
    /// Where everything is printed.
    pub terminal: Terminal,
    /// Where progress goes.
    pub reporter: Arc<Reporter>,
}

impl Settings {
    /// Resolves the options and gives rayon its threads.
    pub fn new(global: &GlobalArgs, terminal: Terminal) -> Result<Self> {
        let memory = match global.memory {
            Some(memory) if memory < LEAST_MEMORY => {
                return Err(Error::usage(format!("--memory {memory} bytes is too little to work with"))
                    .with_hint("give 64M or more"));
            }
            Some(memory) => memory,
            None => match available_memory() {
                0 => UNKNOWN_MEMORY,
                free => (free / 4 * 3).max(LEAST_MEMORY),
            },
        };
        let threads = match global.threads {
            Some(threads) => threads as usize,
            None => std::thread::available_parallelism().map_or(1, usize::from),
        };
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("worker-{index}"))
            .build_global()
            .map_err(|error| {
                Error::input(format!("cannot start {threads} threads: {error}"))
                    .with_hint("give a lower --threads")
            })?;
        let reporter = Arc::new(Reporter::new(terminal.clone(), global.progress));
        Ok(Self {
            limits: Limits { memory, threads },
            json: global.json,
            dry_run: global.dry_run,
            terminal,
            reporter,
        })
    }
}

/// Parses a size in bytes: `2G`, `512MiB`, `1.5T`, `800MB`, `1048576`.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is no size: expected a number with K, M, G or T, such as 2G or 512MiB");
    let trimmed = text.trim();
    let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let unit = unit.trim().to_ascii_lowercase();
    let (letter, rest) = unit.split_at(unit.chars().next().map_or(0, char::len_utf8));
    let power = match letter {
        "" => 0,
        "b" if rest.is_empty() => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err(wrong()),
    };
    // `G` and `GiB` are what memory is sold and measured in; only `GB` is the decimal unit.
    let base: f64 = match rest {
        "" | "ib" | "i" => 1024.0,
        "b" => 1000.0,
        _ => return Err(wrong()),
    };
    let bytes = number * base.powi(power);
    if bytes.is_finite() && bytes <= u64::MAX as f64 / 2.0 { Ok(bytes as u64) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_every_unit() {
        for (text, expected) in [
            ("1048576", 1 << 20),
            ("2G", 2 << 30),
            ("2g", 2 << 30),
            ("2GiB", 2 << 30),
            ("2 GB", 2_000_000_000),
            ("512MiB", 512 << 20),
            ("1.5k", 1536),
            ("3T", 3 << 40),
            ("7B", 7),
        ] {
            assert_eq!(parse_bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "G", "-1G", "2X", "2GGB", "1e3", "2.5.1M", "99999999999999T", "٣G"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
