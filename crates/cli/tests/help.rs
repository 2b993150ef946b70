//! Help texts, the way options are refused, and what goes to which stream.
#![allow(clippy::unwrap_used)]
mod common;

use common::{Place, RECIPE, Ran};

const COMMANDS: [&[&str]; 36] = [
    &[],
    &["run"],
    &["demo"],
    &["init"],
    &["check"],
    &["filter"],
    &["language"],
    &["embed"],
    &["caption"],
    &["rewrite"],
    &["dedup"],
    &["cluster"],
    &["judge"],
    &["prune"],
    &["referee"],
    &["subset"],
    &["subset", "info"],
    &["subset", "and"],
    &["subset", "or"],
    &["subset", "minus"],
    &["subset", "sample"],
    &["subset", "convert"],
    &["reshard"],
    &["export"],
    &["card"],
    &["qdrant"],
    &["qdrant", "push"],
    &["qdrant", "query"],
    &["qdrant", "dedup"],
    &["qdrant", "pull"],
    &["report"],
    &["decide"],
    &["search"],
    &["why"],
    &["doctor"],
    &["completions"],
];

#[test]
fn every_long_help_starts_with_two_examples() {
    let place = Place::new();
    for command in COMMANDS.iter().copied().chain([&["task"][..]]) {
        let ran = place.run(&[command, &["--help"]].concat(), 0);
        let lines: Vec<&str> = ran.out.lines().take(4).collect();
        assert_eq!(lines[0], "Examples:", "{command:?}");
        assert!(lines.iter().all(|line| line.len() <= 80), "{lines:?}");
        assert!(
            lines[1].starts_with("  cribble ") && lines[2].starts_with("  cribble ") && lines[3].is_empty(),
            "{lines:?}"
        );
        assert!(ran.err.is_empty());
        // The short help is shorter.
        assert!(place.run(&[command, &["-h"]].concat(), 0).out.len() < ran.out.len());
    }
}

#[test]
fn the_examples_are_commands_that_parse() {
    let place = Place::new();
    for command in
        COMMANDS.iter().copied().filter(|command| !command.is_empty() && command[0] != "completions")
    {
        let help = place.run(&[command, &["--help"]].concat(), 0).out;
        for line in help.lines().skip(1).take(2) {
            let line = line.trim().split(" | ").next().unwrap();
            // Everything runs in an empty folder: wrong input (1), refused before work (2 would be a wrong command line), or done (0).
            let output = std::process::Command::new("sh")
                .args([
                    "-c",
                    &format!(
                        "{} --dry-run",
                        line.replace(" --dry-run", "").replacen("cribble", env!("CARGO_BIN_EXE_cribble"), 1)
                    ),
                ])
                .current_dir(place.dir.path())
                .output()
                .unwrap();
            let ran = Ran::new(output);
            assert!(matches!(ran.code, Some(0 | 1)), "{line}: {:?} {}", ran.code, ran.err);
        }
    }
}

#[test]
fn wrong_command_lines_have_exit_code_2_and_say_what_was_meant() {
    let place = Place::new();
    for (words, expected) in [
        (&["dedupe"][..], "dedup"),
        (&["run"], "<RECIPE>"),
        (&["dedup", "x", "--epsilonn", "0.1", "--out", "r"], "--epsilon"),
        (&["dedup", "x", "--mode", "clever", "--out", "r"], "greedy, groups"),
        (&["dedup", "x", "--keep", "best:", "--out", "r"], "best:COLUMN"),
        (&["doctor", "--memory", "2X"], "such as 2G"),
        (&["doctor", "--memory", "1K"], "too little"),
        (&["doctor", "--threads", "0"], "0"),
        (&["run", "r.toml", "--out", "r", "--max-error-rate", "2"], "0 to 1"),
        (&["prune", "x", "--fraction", "0.1", "--count", "3", "--out", "r"], "--count"),
        (&["subset", "and", "a.npy", "-o", "b.npy"], "2"),
    ] {
        let ran = place.run(words, 2);
        assert!(ran.err.contains(expected), "{words:?}: {}", ran.err);
        assert!(ran.out.is_empty(), "{}", ran.out);
    }
}

#[test]
fn errors_are_json_too() {
    let place = Place::new();
    let value = place.json(&["check", "nothing-here"], 1);
    assert_eq!(value["error"]["kind"], "input");
    assert!(value["error"]["message"].as_str().unwrap().contains("nothing-here"));
    assert!(value["error"]["hint"].is_string());
}

#[test]
fn progress_as_json_lines_is_json_throughout() {
    let place = Place::with_pool(60, false);
    place.write("recipe.toml", RECIPE);
    let ran = place.run(&["run", "recipe.toml", "--out", "run", "--progress", "json"], 0);
    let events: Vec<serde_json::Value> =
        ran.err.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    assert!(events.iter().all(|event| event["schema_version"] == 1));
    let count = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    assert!(count("begin") > 5 && count("begin") == count("end"), "{}", ran.err);
    let last = events.iter().rfind(|event| event["event"] == "end").unwrap();
    assert_eq!(last["done"], last["total"]);
    let ran = place.run(&["run", "none.toml", "--out", "run", "--progress", "json"], 1);
    let error: serde_json::Value = serde_json::from_str(ran.err.trim()).unwrap();
    assert_eq!((&error["event"], &error["kind"]), (&"error".into(), &"input".into()));
}

#[test]
fn quiet_is_quiet_and_verbose_names_phases() {
    let place = Place::with_pool(60, false);
    place.write("recipe.toml", RECIPE);
    let ran = place.run(&["run", "recipe.toml", "--out", "run", "-q"], 0);
    assert!(ran.err.is_empty() && !ran.out.is_empty(), "{}", ran.err);
    let ran = place.run(&["run", "recipe.toml", "--out", "run2", "-v"], 0);
    assert!(
        ran.err.contains("01-filter judge: 3 tasks") && ran.err.contains("01-filter judge: done in"),
        "{}",
        ran.err
    );
}

#[test]
fn colour_follows_option_then_environment() {
    let place = Place::with_pool(60, false);
    place.write("recipe.toml", RECIPE);
    place.run(&["run", "recipe.toml", "--out", "run"], 0);
    let is_coloured = |words: &[&str], environment: &[(&str, &str)]| {
        let ran = Ran::new(place.cribble(words).envs(environment.iter().copied()).output().unwrap());
        ran.out.contains('\x1b')
    };
    assert!(!is_coloured(&["report", "run"], &[]));
    assert!(is_coloured(&["report", "run"], &[("FORCE_COLOR", "1")]));
    assert!(is_coloured(&["report", "run"], &[("CLICOLOR_FORCE", "1")]));
    assert!(!is_coloured(&["report", "run"], &[("FORCE_COLOR", "1"), ("NO_COLOR", "1")]));
    assert!(is_coloured(&["report", "run", "--color", "always"], &[("NO_COLOR", "1")]));
    assert!(!is_coloured(&["report", "run", "--color", "never"], &[("FORCE_COLOR", "1")]));
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let place = Place::new();
    // The script is longer than a pipe holds, so the write meets the closed end.
    let script = format!(
        "{} completions zsh | head -c 1 > /dev/null; echo ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_cribble")
    );
    let output = std::process::Command::new("bash")
        .args(["-c", &script])
        .current_dir(place.dir.path())
        .output()
        .unwrap();
    let ran = Ran::new(output);
    assert_eq!((ran.out.trim(), ran.err.as_str()), ("0", ""));
}

#[test]
fn a_bug_of_ours_says_so_and_has_exit_code_4() {
    let place = Place::new();
    let ran = Ran::new(place.cribble(&["doctor"]).env("CRIBBLE_TEST_PANIC", "1").output().unwrap());
    assert_eq!(ran.code, Some(4));
    ran.error("this is a bug in cribble ", "please report it");
    assert!(ran.out.is_empty() && !ran.err.contains("stack backtrace"), "{}", ran.err);
    let output = place.cribble(&["doctor", "--json"]).env("CRIBBLE_TEST_PANIC", "1").output().unwrap();
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&value["error"]["kind"], &value["exit_code"]), (&"bug".into(), &4.into()));
}
