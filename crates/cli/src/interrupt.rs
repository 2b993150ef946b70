//! Ctrl-C and termination. The first signal asks the running work to stop at the next safe point; the second ends the process at once,
//! which loses nothing that was committed. Only commands that listen to the flag install this: for the others the system's way, an immediate
//! end, is right.
use cribble_core::{Cancel, Error, ErrorKind, Result};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::terminal::Terminal;

/// The flag that all running work asks.
pub static CANCEL: Cancel = Cancel::new();

/// Listens for the rest of the process.
pub fn install(terminal: &Terminal) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])
        .map_err(|error| Error::wrap(ErrorKind::Input, error).context("cannot listen for signals"))?;
    let terminal = terminal.clone();
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if CANCEL.is_cancelled() {
                std::process::exit(i32::from(ErrorKind::Interrupted.exit_code()));
            }
            CANCEL.cancel();
            terminal.warn("stopping as soon as the task in hand is done; once more stops at once");
        }
    });
    Ok(())
}

/// An interruption as a person should read it, with the command that resumes; other errors as they are.
pub fn resumable(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Interrupted => {
            Error::new(ErrorKind::Interrupted, "interrupted; everything that is done is kept")
                .with_hint(format!("resume with: {}", command_line()))
        }
        _ => error,
    }
}

/// The command line that was given, quoted for a shell: running it again resumes.
pub fn command_line() -> String {
    let mut words = std::env::args_os();
    let program = words.next().map_or_else(|| "cribble".into(), |name| name.to_string_lossy().into_owned());
    let program = std::path::Path::new(&program)
        .file_name()
        .map_or(program.clone(), |name| name.to_string_lossy().into_owned());
    std::iter::once(program)
        .chain(words.map(|word| word.to_string_lossy().into_owned()))
        .map(|word| quote(&word))
        .collect::<Vec<_>>()
        .join(" ")
}

/// A word as a POSIX shell reads it back.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_split_them() {
        assert_eq!(quote("runs/a.b"), "runs/a.b");
        assert_eq!(quote("a > 1"), "'a > 1'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }
}
