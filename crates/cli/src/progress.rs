//! Progress in four shapes: a bar, plain lines, JSON lines, nothing. A bar hides itself where there is no terminal, which leaves a batch job
//! silent for hours; so plain lines come from a thread of their own, also while one long task reports nothing.
use std::{
    io::IsTerminal,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cribble_core::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::{args::ProgressMode, terminal::Terminal, text};

/// A plain line comes at least this often while a phase goes on …
const PLAIN_EVERY: Duration = Duration::from_secs(30);
/// … and when this share of the phase is done, but not in shorter intervals than the next one.
const PLAIN_SHARE: f64 = 0.05;
const PLAIN_LEAST: Duration = Duration::from_secs(2);
/// JSON lines of one phase are at least this far apart.
const JSON_EVERY: Duration = Duration::from_millis(500);

/// A bar is drawn again this often while nothing happens.
const TICK: Duration = Duration::from_millis(500);

/// What is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Bar,
    Plain,
    Json,
    Nothing,
}

/// One phase that has begun.
struct Phase {
    label: String,
    total: u64,
    unit: &'static str,
    began: Instant,
    done: AtomicU64,
    /// What else it says of itself.
    status: Mutex<String>,
    /// When it was last reported, and how much was done then.
    reported: Mutex<(Instant, u64)>,
}

/// The sink that steps and outputs report to.
pub struct Reporter {
    terminal: Terminal,
    shape: Shape,
    /// Phases inside phases: the last one is shown.
    phases: Arc<Mutex<Vec<Arc<Phase>>>>,
    /// The bar of the phase that is shown.
    bar: Mutex<Option<ProgressBar>>,
}

impl Reporter {
    /// A reporter of the shape asked for; `auto` looks at standard error.
    pub fn new(terminal: Terminal, mode: ProgressMode) -> Self {
        let shape = match mode {
            ProgressMode::Bar => Shape::Bar,
            ProgressMode::Plain => Shape::Plain,
            ProgressMode::Json => Shape::Json,
            ProgressMode::None => Shape::Nothing,
            ProgressMode::Auto if terminal.level() < 0 => Shape::Nothing,
            // With -v every phase says a line, which a bar would only disturb.
            ProgressMode::Auto if std::io::stderr().is_terminal() && terminal.level() == 0 => Shape::Bar,
            ProgressMode::Auto => Shape::Plain,
        };
        let phases = Arc::new(Mutex::new(Vec::<Arc<Phase>>::new()));
        if shape == Shape::Plain {
            let (phases, terminal) = (phases.clone(), terminal.clone());
            // Ends with the process; it holds nothing that has to be put away.
            std::thread::spawn(move || {
                loop {
                    std::thread::sleep(Duration::from_secs(1));
                    let phase = lock(&phases).last().cloned();
                    if let Some(phase) = phase {
                        plain_line(&terminal, &phase);
                    }
                }
            });
        }
        Self { terminal, shape, phases, bar: Mutex::new(None) }
    }

    fn current(&self) -> Option<Arc<Phase>> {
        lock(&self.phases).last().cloned()
    }

    fn show(&self, phase: &Phase) {
        match self.shape {
            Shape::Plain => plain_line(&self.terminal, phase),
            Shape::Bar => {
                if let Some(bar) = &*lock(&self.bar) {
                    let done = phase.done.load(Ordering::Relaxed);
                    bar.set_position(done);
                    bar.set_message(measures(phase, done));
                }
            }
            Shape::Json => {
                let mut reported = lock(&phase.reported);
                if reported.0.elapsed() >= JSON_EVERY {
                    *reported = (Instant::now(), phase.done.load(Ordering::Relaxed));
                    drop(reported);
                    self.event("progress", phase);
                }
            }
            Shape::Nothing => {}
        }
    }

    /// Takes the bar away and, where there is a phase to show, draws a new one. A new bar a phase, set up before it is drawn: changing one
    /// that is on the screen shows every half-changed state.
    fn draw(&self, phase: Option<&Phase>) {
        let mut shown = lock(&self.bar);
        if let Some(bar) = shown.take() {
            bar.finish_and_clear();
        }
        *shown = phase.map(|phase| {
            let bar = ProgressBar::with_draw_target(Some(phase.total), ProgressDrawTarget::hidden());
            if let Ok(style) = ProgressStyle::with_template("{prefix:.bold} {bar:28} {msg}, {elapsed}") {
                bar.set_style(style.progress_chars("━╸─"));
            }
            let done = phase.done.load(Ordering::Relaxed);
            bar.set_prefix(phase.label.clone());
            bar.set_message(measures(phase, done));
            bar.set_position(done);
            bar.set_elapsed(phase.began.elapsed());
            bar.set_draw_target(ProgressDrawTarget::stderr());
            // One long task reports nothing for minutes; the seconds show that it lives.
            bar.enable_steady_tick(TICK);
            bar
        });
        self.terminal.set_bar(shown.clone());
    }

    fn event(&self, name: &str, phase: &Phase) {
        let (done, seconds) = (phase.done.load(Ordering::Relaxed), phase.began.elapsed().as_secs_f64());
        let eta = eta(phase, done, seconds);
        let mut value = json!({ "label": phase.label, "unit": phase.unit, "done": done, "total": phase.total, "seconds": seconds, "eta_seconds": eta });
        let status = lock(&phase.status);
        if !status.is_empty() {
            value["status"] = json!(*status);
        }
        self.terminal.event(name, value);
    }
}

/// Seconds left at the present rate; `None` while it is not known.
fn eta(phase: &Phase, done: u64, seconds: f64) -> Option<f64> {
    (done > 0 && phase.total >= done).then(|| seconds / done as f64 * (phase.total - done) as f64)
}

/// Prints a line when one is due.
fn plain_line(terminal: &Terminal, phase: &Phase) {
    let done = phase.done.load(Ordering::Relaxed);
    let mut reported = lock(&phase.reported);
    let since = reported.0.elapsed();
    let share = (done - reported.1.min(done)) as f64 / phase.total.max(1) as f64;
    if since < PLAIN_EVERY && (since < PLAIN_LEAST || share < PLAIN_SHARE) {
        return;
    }
    *reported = (Instant::now(), done);
    drop(reported);
    terminal.progress_line(&described(phase, done));
}

/// A plain line.
fn described(phase: &Phase, done: u64) -> String {
    format!(
        "{}: {}, {}",
        phase.label,
        measures(phase, done),
        text::duration(phase.began.elapsed().as_secs_f64())
    )
}

/// Count, share, rate and time left.
fn measures(phase: &Phase, done: u64) -> String {
    let seconds = phase.began.elapsed().as_secs_f64();
    let mut line = text::count(done);
    if phase.total > 0 {
        let share = done as f64 / phase.total as f64 * 100.0;
        line += &format!(" of {} {} ({share:.0}%)", text::count(phase.total), phase.unit);
    } else {
        line += &format!(" {}", phase.unit);
    }
    if done > 0 {
        line += &format!(", {}", text::rate(done, seconds));
    }
    if let Some(eta) = eta(phase, done, seconds) {
        line += &format!(", {} left", text::duration(eta));
    }
    let status = lock(&phase.status);
    if !status.is_empty() {
        line += &format!("; {status}");
    }
    line
}

impl Progress for Reporter {
    fn begin(&self, label: &str, total: u64, unit: &'static str) {
        let now = Instant::now();
        let phase = Arc::new(Phase {
            label: label.to_owned(),
            total,
            unit,
            began: now,
            done: AtomicU64::new(0),
            status: Mutex::default(),
            reported: Mutex::new((now, 0)),
        });
        lock(&self.phases).push(phase.clone());
        match self.shape {
            Shape::Json => self.event("begin", &phase),
            _ => self.terminal.detail(&format!("{label}: {} {unit}", text::count(total))),
        }
        if self.shape == Shape::Bar {
            self.draw(Some(&phase));
        }
    }

    fn advance(&self, units: u64) {
        let Some(phase) = self.current() else { return };
        phase.done.fetch_add(units, Ordering::Relaxed);
        self.show(&phase);
    }

    fn status(&self, text: &str) {
        if let Some(phase) = self.current() {
            text.clone_into(&mut lock(&phase.status));
        }
    }

    fn end(&self) {
        let (ended, outer) = {
            let mut phases = lock(&self.phases);
            (phases.pop(), phases.last().cloned())
        };
        if let Some(phase) = &ended {
            match self.shape {
                Shape::Json => self.event("end", phase),
                _ => {
                    let seconds = phase.began.elapsed().as_secs_f64();
                    self.terminal.detail(&format!("{}: done in {}", phase.label, text::duration(seconds)));
                }
            }
        }
        if self.shape == Shape::Bar {
            self.draw(outer.as_deref());
        }
    }

    fn note(&self, text: &str) {
        self.terminal.note(text);
    }

    fn warn(&self, text: &str) {
        self.terminal.warn(text);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_count_share_and_time_left() {
        let began = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        let phase = Phase {
            label: "02-dedup pairs".into(),
            total: 4000,
            unit: "tasks",
            began,
            done: AtomicU64::new(1000),
            status: Mutex::default(),
            reported: Mutex::new((began, 0)),
        };
        let line = described(&phase, 1000);
        assert!(line.starts_with("02-dedup pairs: 1,000 of 4,000 tasks (25%), 10"), "{line}");
        assert!(line.contains("/s, 30.0 s left, 10.0 s"), "{line}");
        "7 calls".clone_into(&mut lock(&phase.status));
        assert!(described(&phase, 1000).contains(" left; 7 calls, 10.0 s"));
        let unknown = Phase { total: 0, ..phase };
        let line = described(&unknown, 1000);
        assert!(line.starts_with("02-dedup pairs: 1,000 tasks") && !line.contains("left"), "{line}");
    }
}
