//! Hooks for the tests of resuming, switched on by environment variables and by nothing else:
//!
//! - `CRIBBLE_TEST_KILL_AT=N` kills the process without any clean-up (SIGKILL to itself) at its N-th commit point, counted from 1;
//! - `CRIBBLE_TEST_COUNT_COMMITS=FILE` writes the number of commit points that the process passed into FILE when it ends.
//! - `CRIBBLE_TEST_PANIC=1` panics before the command begins, to prove what a bug of ours looks like.
//!
//! The question a reader may ask: why in the shipped binary? Because what is proven is then the binary that people run, and unset variables
//! cost one look at the environment.
use std::{
    ffi::OsString,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use cribble_io::{CommitPoint, set_commit_hook};

static PASSED: AtomicU64 = AtomicU64::new(0);
static KILL_AT: AtomicU64 = AtomicU64::new(u64::MAX);

/// Installs what the environment asks for; the returned value writes the count when it is dropped.
pub fn install() -> CountAtEnd {
    let kill_at = std::env::var("CRIBBLE_TEST_KILL_AT").ok().and_then(|text| text.parse().ok());
    let count_to = std::env::var_os("CRIBBLE_TEST_COUNT_COMMITS");
    if let Some(kill_at) = kill_at {
        KILL_AT.store(kill_at, Ordering::SeqCst);
    }
    if kill_at.is_some() || count_to.is_some() {
        set_commit_hook(Some(at_commit_point));
    }
    CountAtEnd(count_to)
}

/// Panics where a test asks for it.
pub fn panic_if_asked() {
    assert!(std::env::var_os("CRIBBLE_TEST_PANIC").is_none(), "asked for by CRIBBLE_TEST_PANIC");
}

fn at_commit_point(_: CommitPoint, _: &Path) {
    if PASSED.fetch_add(1, Ordering::SeqCst) + 1 == KILL_AT.load(Ordering::SeqCst) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        // The signal may take a moment to be delivered; nothing may be committed meanwhile.
        loop {
            std::thread::park();
        }
    }
}

/// Writes the number of commit points on drop.
pub struct CountAtEnd(Option<OsString>);

impl Drop for CountAtEnd {
    fn drop(&mut self) {
        if let Some(file) = &self.0 {
            // A test that finds no file fails with its own message.
            let _ = std::fs::write(file, PASSED.load(Ordering::SeqCst).to_string());
        }
    }
}
