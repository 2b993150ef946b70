//! The binary `cribble`: flags become the option structs of the libraries, results become text or JSON, errors become exit codes. Nothing is
//! decided about data here. Read on in `commands`, one function for each command.
mod args;
mod commands;
mod finish;
mod gallery;
mod interrupt;
mod planted;
mod progress;
mod session;
mod settings;
mod state;
mod terminal;
mod test_hooks;
mod text;

use std::process::ExitCode;

use clap::Parser;
use cribble_core::{ErrorKind, Result};

use crate::{args::Cli, settings::Settings, terminal::Terminal};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let terminal = Terminal::new(&cli.global);
    let _count = test_hooks::install();
    let name = commands::name(&cli.command);
    terminal.report_panics(name);
    let work = || -> Result<u8> {
        test_hooks::panic_if_asked();
        commands::run(&Settings::new(&cli.global, terminal.clone())?, cli.command)
    };
    // A panic has been reported by its hook; here it only becomes the exit code.
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
        Ok(Ok(code)) => ExitCode::from(code),
        Ok(Err(error)) => {
            terminal.error(name, &error);
            ExitCode::from(error.kind().exit_code())
        }
        Err(_) => ExitCode::from(ErrorKind::Bug.exit_code()),
    }
}
