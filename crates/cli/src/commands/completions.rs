//! `completions`: a script for a shell, from the same definition as the parser.
use clap::CommandFactory;
use cribble_core::Result;

use crate::{
    args::{Cli, CompletionsArgs},
    settings::Settings,
};

/// Prints the script.
pub fn run(settings: &Settings, args: &CompletionsArgs) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "cribble", &mut script);
    if settings.json {
        let script = String::from_utf8_lossy(&script);
        settings.terminal.out_json(
            "completions",
            serde_json::json!({ "shell": args.shell.to_string(), "script": script }),
        );
    } else {
        settings.terminal.out_bytes(&script);
    }
    Ok(super::DONE)
}
