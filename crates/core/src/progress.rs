//! How work tells that it goes on. Libraries talk to a `Progress` sink and never print: the command line decides between a bar, plain
//! lines, JSON lines and silence.
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Result};

/// A sink for progress and for sentences that a person should read. All calls may come from several threads at once.
pub trait Progress: Sync {
    /// A phase begins: `total` units of work lie ahead (0 when unknown), counted in `unit` ("rows", "shards", "bytes").
    fn begin(&self, label: &str, total: u64, unit: &'static str);
    /// More units are done.
    fn advance(&self, units: u64);
    /// What else can be said of the phase that began last, in a few words that replace those before: tokens, seconds a call, money.
    fn status(&self, _text: &str) {}
    /// The phase that began last has ended.
    fn end(&self);
    /// Something worth saying once: a sub-sampling, a skipped step, a default that was chosen.
    fn note(&self, text: &str);
    /// Something that is probably not what the user wants.
    fn warn(&self, text: &str);
}

/// The sink that says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: u64, _: &'static str) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
    fn note(&self, _: &str) {}
    fn warn(&self, _: &str) {}
}

/// A flag that asks running work to stop at the next safe point.
#[derive(Debug, Default)]
pub struct Cancel(AtomicBool);

impl Cancel {
    /// A flag that is not set.
    pub const fn new() -> Self {
        Self(AtomicBool::new(false))
    }
    /// Asks for the stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
    /// Whether the stop was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
    /// An `Interrupted` error once the stop was asked for.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::interrupted()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn a_cancelled_flag_becomes_an_interruption() {
        let cancel = Cancel::new();
        assert!(cancel.check().is_ok());
        cancel.cancel();
        assert_eq!(cancel.check().unwrap_err().kind(), ErrorKind::Interrupted);
    }
}
