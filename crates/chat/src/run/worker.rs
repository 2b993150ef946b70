//! The threads that make calls: one call each at a time, from a queue that everybody shares.
use super::{Missing, Stop};
use crate::{
    Answer, CacheKey, Client, Request,
    limits::Denied,
    queue::Queue,
    retry::{Fault, wait},
};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc,
    },
    time::Instant,
};
use ureq::Agent;

/// What a worker says of a call when it is over.
pub type Report = (CacheKey, Result<Answer, Missing>);

/// A vote that must be called for.
#[derive(Debug)]
pub struct Call {
    pub key: CacheKey,
    request: Arc<Request>,
    vote: u32,
    tries: u32,
    faults: u32,
    /// The endpoint said 400 to this question with its schema.
    without_schema: bool,
}

impl Call {
    pub fn new(key: CacheKey, request: Arc<Request>, vote: u32) -> Self {
        Self { key, request, vote, tries: 0, faults: 0, without_schema: false }
    }
}

/// Where a call stands after a try.
enum Step {
    Done(Result<Answer, Missing>),
    Again(Instant),
}

/// What the threads of a run share.
pub struct Crew<'a> {
    pub client: &'a Client,
    pub queue: Queue<Call>,
    agent: Agent,
    stopped: AtomicBool,
    why: OnceLock<Stop>,
    /// Calls given up since the last answer.
    in_row: AtomicU32,
}

/// Sends a crew home when dropped.
pub struct Dismissal<'a>(&'a Crew<'a>);

impl Drop for Dismissal<'_> {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::SeqCst);
        self.0.queue.close();
        self.0.client.limits.wake();
        self.0.cut();
    }
}

impl<'a> Crew<'a> {
    pub fn new(client: &'a Client) -> Self {
        Self {
            client,
            queue: Queue::new(),
            agent: client.transport.agent(),
            stopped: AtomicBool::new(false),
            why: OnceLock::new(),
            in_row: AtomicU32::new(0),
        }
    }

    pub fn dismissal(&self) -> Dismissal<'_> {
        Dismissal(self)
    }

    /// No further call starts. The first reason counts.
    pub fn stop(&self, why: Stop) {
        let _ = self.why.set(why);
        if !self.stopped.swap(true, Ordering::SeqCst) {
            self.client.limits.wake();
        }
    }

    pub fn why(&self) -> Option<&Stop> {
        self.why.get()
    }

    /// Breaks the calls in flight off.
    pub fn cut(&self) {
        self.agent.clone().shutdown();
    }

    pub fn work(&self, reports: &mpsc::Sender<Report>) {
        while let Some(mut call) = self.queue.pop() {
            match self.attempt(&mut call) {
                Step::Done(result) => {
                    if reports.send((call.key, result)).is_err() {
                        return;
                    }
                }
                Step::Again(at) => self.queue.push_later(at, call),
            }
        }
    }

    fn attempt(&self, call: &mut Call) -> Step {
        let Client { endpoint, limits, meter, transport, no_schema, .. } = self.client;
        let params = &call.request.params;
        let guess = call.request.guessed_tokens();
        loop {
            let ask = limits.ask(guess, params.max_tokens);
            if let Err(denied) = limits.acquire(ask, &self.stopped) {
                return self.denied(&denied);
            }
            let with_schema =
                params.schema.is_some() && !call.without_schema && !no_schema.load(Ordering::SeqCst);
            let body = call.request.body(&endpoint.model, call.vote, with_schema);
            call.tries += 1;
            meter.count(|usage| {
                usage.calls += 1;
                usage.in_flight += 1;
                usage.retries += u64::from(call.tries > 1);
            });
            let start = Instant::now();
            let result = transport
                .post(&self.agent, &body)
                .and_then(|text| Answer::read(&text, start.elapsed().as_secs_f64()));
            let (input, output) = match &result {
                Ok(answer) => (
                    answer.input_tokens.map_or(guess, |tokens| tokens as f64),
                    answer.output_tokens.map_or(answer.text.len() as f64 / 4.0, |tokens| tokens as f64),
                ),
                Err(fault) if fault.lost => (guess, 0.0),
                Err(_) => (0.0, 0.0),
            };
            let cost = limits.settle(ask, (input, output), result.is_ok());
            meter.count(|usage| {
                usage.in_flight -= 1;
                usage.answered += u64::from(result.is_ok());
                usage.input_tokens += input as u64;
                usage.output_tokens += output as u64;
                usage.cost += cost;
            });
            match result {
                Ok(answer) => {
                    meter.latency(start.elapsed());
                    self.in_row.store(0, Ordering::SeqCst);
                    if call.without_schema {
                        no_schema.store(true, Ordering::SeqCst);
                    }
                    if let Err(error) = self.client.cache.put(call.key, &answer) {
                        self.stop(Stop::Cache(error.to_string()));
                    }
                    return Step::Done(Ok(answer));
                }
                Err(fault) if with_schema && matches!(fault.status, Some(400 | 422)) => {
                    call.without_schema = true;
                }
                Err(fault) => return self.after(call, &fault),
            }
        }
    }

    fn denied(&self, denied: &Denied) -> Step {
        if *denied == Denied::TooDear {
            self.stop(Stop::CostCeiling {
                ceiling: self.client.settings.most_cost.unwrap_or(0.0),
                spent: self.client.usage().cost,
            });
        }
        self.not_asked()
    }

    /// The end of a call that the run's end has overtaken.
    fn not_asked(&self) -> Step {
        Step::Done(Err(Missing::Stopped(self.why().cloned().unwrap_or(Stop::Cancelled))))
    }

    /// What follows a fault: another try later, or the end of this call, or of the run.
    fn after(&self, call: &mut Call, fault: &Fault) -> Step {
        let Client { settings, limits, meter, .. } = self.client;
        call.faults += 1;
        if fault.again && self.stopped.load(Ordering::SeqCst) {
            return self.not_asked();
        }
        let too_long = fault.wait.filter(|&wait| wait > settings.longest_retry_after);
        if fault.again && call.faults <= settings.retries && too_long.is_none() {
            if let Some(wait) = fault.wait {
                limits.pause(wait);
            }
            let wait =
                wait(settings.first_wait, settings.longest_wait, call.faults - 1, fault.wait, &call.key.0);
            return Step::Again(Instant::now() + wait);
        }
        let mut error = self.client.error(fault, call.tries);
        if let Some(wait) = too_long {
            error.what = format!("{} (it asks to wait {} seconds)", error.what, wait.as_secs());
        }
        meter.count(|usage| usage.failed += 1);
        let in_row = self.in_row.fetch_add(1, Ordering::SeqCst) + 1;
        if fault.stops {
            self.stop(Stop::Refused(error.clone()));
        } else if in_row >= settings.give_up_after {
            self.stop(Stop::GivenUp { in_row, last: error.clone() });
        }
        Step::Done(Err(Missing::Failed(error)))
    }
}
