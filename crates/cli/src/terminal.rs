//! The only place that prints. Results go to standard output, everything said about them to standard error, so that a pipe gets data and
//! nothing else. While a bar is drawn it is put aside for each line. A broken pipe is a quiet success: the reader had enough.
use std::{
    collections::HashSet,
    io::{ErrorKind as IoKind, IsTerminal, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cribble_core::{Error, ErrorKind};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::args::{ColorWhen, GlobalArgs, ProgressMode};

/// Version of every JSON object and JSON line that the program prints.
pub const SCHEMA_VERSION: u32 = 1;
/// Columns to lay out for when there is no terminal.
const WIDTH_ELSEWHERE: usize = 132;

/// A cheap handle: clones print to the same place.
#[derive(Clone)]
pub struct Terminal {
    inner: Arc<Inner>,
}

struct Inner {
    /// `-v` counts up, `-q` counts down.
    level: i16,
    color_out: bool,
    color_err: bool,
    /// Lines on standard error are JSON objects.
    json_lines: bool,
    /// Errors are printed on standard output too, as JSON.
    json: bool,
    bar: Mutex<Option<ProgressBar>>,
    said: Mutex<HashSet<String>>,
}

/// How a piece of text looks on standard error. Meaning is never carried by the look alone.
#[derive(Clone, Copy)]
enum Look {
    Bold = 1,
    Red = 31,
    Green = 32,
    Yellow = 33,
    Cyan = 36,
}

impl Terminal {
    /// For the options given.
    pub fn new(global: &GlobalArgs) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
        let color = |is_terminal: bool| match global.color {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) => false,
            ColorWhen::Auto if set("FORCE_COLOR") || set("CLICOLOR_FORCE") => true,
            ColorWhen::Auto => is_terminal && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
        };
        Self {
            inner: Arc::new(Inner {
                level: i16::from(global.verbose) - i16::from(global.quiet),
                color_out: color(std::io::stdout().is_terminal()),
                color_err: color(std::io::stderr().is_terminal()),
                json_lines: global.progress == ProgressMode::Json,
                json: global.json,
                bar: Mutex::new(None),
                said: Mutex::new(HashSet::new()),
            }),
        }
    }

    /// Verbosity: 0 as usual, below 0 with `-q`, above 0 with `-v`.
    pub fn level(&self) -> i16 {
        self.inner.level
    }

    /// Whether results on standard output are coloured.
    pub fn color(&self) -> bool {
        self.inner.color_out
    }

    /// Columns of standard output.
    pub fn width(&self) -> usize {
        match rustix::termios::tcgetwinsize(std::io::stdout()) {
            Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
            _ => WIDTH_ELSEWHERE,
        }
    }

    /// The bar that lines must not tangle with; `None` when it has gone.
    pub fn set_bar(&self, bar: Option<ProgressBar>) {
        *lock(&self.inner.bar) = bar;
    }

    /// Prints a result on standard output. Text without a newline at its end gets one.
    pub fn out(&self, text: &str) {
        self.beside_the_bar(|| {
            let mut out = std::io::stdout().lock();
            let newline = if text.ends_with('\n') { "" } else { "\n" };
            if let Err(error) = write!(out, "{text}{newline}").and_then(|()| out.flush()) {
                leave(&error);
            }
        });
    }

    /// Prints bytes of a result on standard output.
    pub fn out_bytes(&self, bytes: &[u8]) {
        let mut out = std::io::stdout().lock();
        if let Err(error) = out.write_all(bytes).and_then(|()| out.flush()) {
            leave(&error);
        }
    }

    /// Prints the one JSON object of a command, with `schema_version` and the command's name first.
    pub fn out_json(&self, command: &str, value: Value) {
        let mut object = serde_json::Map::new();
        object.insert("schema_version".into(), SCHEMA_VERSION.into());
        object.insert("command".into(), command.into());
        match value {
            Value::Object(members) => object.extend(members),
            other => {
                object.insert("result".into(), other);
            }
        }
        self.out(&serde_json::to_string_pretty(&Value::Object(object)).unwrap_or_default());
    }

    /// Says something on standard error: what was done, where it lies, what to do next.
    pub fn say(&self, text: &str) {
        if self.inner.level >= 0 {
            self.line("note", text, text);
        }
    }

    /// A note, once.
    pub fn note(&self, text: &str) {
        if self.inner.level >= 0 && self.first_time(text) {
            self.line("note", text, &format!("{} {text}", self.look(Look::Cyan, "note:")));
        }
    }

    /// A warning, once.
    pub fn warn(&self, text: &str) {
        if self.inner.level >= -1 && self.first_time(text) {
            self.line("warning", text, &format!("{} {text}", self.look(Look::Yellow, "warning:")));
        }
    }

    /// Something that only `-v` shows.
    pub fn detail(&self, text: &str) {
        if self.inner.level >= 1 {
            self.line("detail", text, text);
        }
    }

    /// A line of progress: nothing but its mode decides whether it is shown.
    pub fn progress_line(&self, text: &str) {
        self.raw(text);
    }

    /// A JSON line on standard error, with `schema_version` and the event's name first.
    pub fn event(&self, event: &str, members: Value) {
        let mut object = serde_json::Map::new();
        object.insert("schema_version".into(), SCHEMA_VERSION.into());
        object.insert("event".into(), event.into());
        if let Value::Object(members) = members {
            object.extend(members);
        }
        self.raw(&Value::Object(object).to_string());
    }

    /// The message, a blank line, the hint. With `--json` the same as an object on standard output.
    pub fn error(&self, command: &str, error: &Error) {
        let kind = kind_word(error.kind());
        let object = json!({
            "error": { "kind": kind, "message": error.message(), "hint": error.hint() },
            "exit_code": error.kind().exit_code(),
        });
        if self.inner.json_lines {
            self.event("error", object["error"].clone());
        } else {
            self.raw(&format!("{} {}", self.look(Look::Red, "error:"), error.message()));
            if let Some(hint) = error.hint() {
                self.raw(&format!("\n{} {hint}", self.look(Look::Green, "hint:")));
            }
        }
        if self.inner.json {
            self.out_json(command, object);
        }
    }

    /// From now on a panic, which is always our bug, says so in three lines instead of a backtrace. RUST_BACKTRACE=1 adds the backtrace.
    pub fn report_panics(&self, command: &'static str) {
        let terminal = self.clone();
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let message = panic.payload_as_str().unwrap_or("no message");
            let place = panic
                .location()
                .map_or_else(String::new, |place| format!(" at {}:{}", place.file(), place.line()));
            terminal.set_bar(None);
            terminal.error(
                command,
                &Error::bug(format!(
                    "this is a bug in cribble {}: {message}{place}",
                    env!("CARGO_PKG_VERSION")
                ))
                .with_hint(format!(
                    "please report it with the command line at {}/issues; the input is unharmed",
                    env!("CARGO_PKG_REPOSITORY")
                )),
            );
            if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
                usual(panic);
            }
        }));
    }

    /// Text that stands out among what is said.
    pub fn bold(&self, text: &str) -> String {
        self.look(Look::Bold, text)
    }

    fn look(&self, look: Look, text: &str) -> String {
        let bold = if matches!(look, Look::Bold) { "" } else { "1;" };
        if self.inner.color_err {
            format!("\x1b[{bold}{}m{text}\x1b[0m", look as u8)
        } else {
            text.to_owned()
        }
    }

    fn first_time(&self, text: &str) -> bool {
        lock(&self.inner.said).insert(text.to_owned())
    }

    fn line(&self, event: &str, plain: &str, shown: &str) {
        if self.inner.json_lines { self.event(event, json!({ "text": plain })) } else { self.raw(shown) }
    }

    fn raw(&self, text: &str) {
        self.beside_the_bar(|| {
            let mut out = std::io::stderr().lock();
            // Nobody can be told that standard error is gone.
            let _ = writeln!(out, "{text}");
        });
    }

    fn beside_the_bar(&self, print: impl FnOnce()) {
        let bar = lock(&self.inner.bar).clone();
        match bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

/// A word for whose fault an error is.
fn kind_word(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Input => "input",
        ErrorKind::Usage => "usage",
        ErrorKind::Incomplete => "incomplete",
        ErrorKind::Interrupted => "interrupted",
        _ => "bug",
    }
}

/// Standard output is gone: quietly when its reader had enough, else with the reason.
fn leave(error: &std::io::Error) -> ! {
    if error.kind() == IoKind::BrokenPipe {
        std::process::exit(0);
    }
    let _ = writeln!(std::io::stderr(), "error: cannot write to standard output: {error}");
    std::process::exit(1);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
