//! A client: an endpoint with its limits, its cache and its counts.
use crate::{
    Answer, Cache, CallError, Endpoint, Job, Missing, Outcome, Request, Result, Settings, Usage,
    limits::Limits, retry::Fault, transport::Transport, usage::Meter,
};
use cribble_core::Cancel;
use std::{fmt, sync::atomic::AtomicBool};

/// Calls one model at one endpoint. Threads may share it: [`Client::usage`] can be read while [`Client::run`] goes on.
pub struct Client {
    pub(crate) endpoint: Endpoint,
    pub(crate) settings: Settings,
    pub(crate) cache: Cache,
    pub(crate) transport: Transport,
    pub(crate) limits: Limits,
    pub(crate) meter: Meter,
    /// Set once the endpoint has answered 400 to a schema and then took the same question without.
    pub(crate) no_schema: AtomicBool,
}

impl Client {
    /// A client; nothing is called yet.
    ///
    /// # Errors
    /// [`crate::ChatError`] for settings that cannot be meant, or an https address on a machine without root certificates.
    pub fn new(endpoint: Endpoint, settings: Settings, cache: Cache) -> Result<Self> {
        settings.check()?;
        let transport = Transport::new(&endpoint, &settings)?;
        Ok(Self {
            limits: Limits::new(&settings),
            meter: Meter::new(),
            no_schema: AtomicBool::new(false),
            endpoint,
            settings,
            cache,
            transport,
        })
    }

    /// Asks one question and waits for its answer, with the same cache, limits and retries as a run.
    ///
    /// # Errors
    /// [`Missing`] when there is none.
    pub fn ask(&self, request: Request, cancel: &Cancel) -> Result<Answer, Missing> {
        let mut found = None;
        let summary =
            self.run([Job { id: 0, request, votes: 1 }], cancel, |_, outcome| found = Some(outcome));
        match (found, summary.stop) {
            (Some(Outcome::Answered(mut answers)), _) if !answers.is_empty() => Ok(answers.swap_remove(0)),
            (Some(Outcome::Missing { why, .. }), _) => Err(why),
            (_, stop) => Err(Missing::Stopped(stop.unwrap_or(crate::Stop::Cancelled))),
        }
    }

    /// What the calls of this client have taken until now.
    pub fn usage(&self) -> Usage {
        self.meter.snapshot()
    }

    /// Where this client calls.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What is on disk.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// A fault as a person reads it, without a key.
    pub(crate) fn error(&self, fault: &Fault, tries: u32) -> CallError {
        CallError {
            endpoint: self.endpoint.base.clone(),
            model: self.endpoint.model.clone(),
            status: fault.status,
            tries,
            what: self.endpoint.hide(&fault.what),
            cure: fault.cure.into(),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Client");
        shown.field("endpoint", &self.endpoint).field("settings", &self.settings).finish_non_exhaustive()
    }
}
