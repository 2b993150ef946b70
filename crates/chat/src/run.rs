//! Many questions: a lazy stream of jobs in, outcomes in the order of completion out, on the caller's thread.
mod worker;

use crate::{Answer, CacheKey, CallError, Client, Request, Usage, limits::GLANCE};
use cribble_core::Cancel;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, mpsc},
    time::Instant,
};
use worker::{Call, Crew, Report};

/// What the caller knows a job by: a row, a cluster, a uid.
pub type JobId = u128;

/// A question to be answered by one or more votes.
#[derive(Debug, Clone)]
pub struct Job {
    /// What its outcome is reported under; it need not be unique.
    pub id: JobId,
    /// The question.
    pub request: Request,
    /// How often it is asked, each time with another seed; 0 counts as 1.
    pub votes: u32,
}

/// What became of a job.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// An answer for each vote, in the votes' order.
    Answered(Vec<Answer>),
    /// At least one vote has no answer. Those that have one are in the cache, so that a later run asks the others alone.
    Missing {
        /// The answers that came, by vote.
        answers: Vec<Option<Answer>>,
        /// Why the first that is missing is.
        why: Missing,
    },
}

/// Why an answer is missing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Missing {
    /// The call failed, after its retries.
    #[error(transparent)]
    Failed(CallError),
    /// The run stopped before.
    #[error("not asked: {0}")]
    Stopped(Stop),
}

/// Why a run stopped before its end.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Stop {
    /// The user's wish.
    Cancelled,
    /// The next call could have cost more than the ceiling leaves.
    CostCeiling {
        /// The ceiling.
        ceiling: f64,
        /// What was spent.
        spent: f64,
    },
    /// So many calls in a row were given up.
    GivenUp {
        /// How many.
        in_row: u32,
        /// The last one's error.
        last: CallError,
    },
    /// The endpoint refuses every call: no valid key, no such model, no money.
    Refused(CallError),
    /// The cache cannot be read or written, so that answers would be paid for and lost.
    Cache(String),
    /// No thread could be started.
    Threads(String),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => write!(f, "the run was cancelled; run again to go on"),
            Self::CostCeiling { ceiling, spent } => {
                write!(
                    f,
                    "the cost ceiling of {ceiling} is reached ({spent:.4} spent); raise it and run again"
                )
            }
            Self::GivenUp { in_row, last } => {
                write!(f, "stopped after {in_row} calls in a row were given up; the last: {last}")
            }
            Self::Refused(error) => error.fmt(f),
            Self::Cache(error) => f.write_str(error),
            Self::Threads(error) => {
                write!(f, "no thread can be started ({error}); ask for fewer calls in flight")
            }
        }
    }
}

/// What a run did. `answered + missing` jobs were taken from the iterator; only a cancel leaves jobs in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Jobs with all their answers.
    pub answered: u64,
    /// Jobs that lack at least one.
    pub missing: u64,
    /// Why the run stopped early, if it did.
    pub stop: Option<Stop>,
    /// What the client's calls have taken, earlier runs included.
    pub usage: Usage,
}

/// A job of which votes are still out.
struct Open {
    id: JobId,
    answers: Vec<Option<Answer>>,
    left: usize,
    why: Option<Missing>,
}

/// The books of a run, kept on the caller's thread.
struct Books<'a, F> {
    crew: &'a Crew<'a>,
    sink: F,
    open: HashMap<u64, Open>,
    serial: u64,
    /// Votes that wait for the call of a question; the first made it.
    waiting: HashMap<CacheKey, Vec<(u64, usize)>>,
    answered: u64,
    missing: u64,
}

impl Client {
    /// Asks all questions, and calls `sink` once for each job, on this thread, in the order of completion.
    ///
    /// Jobs are taken from the iterator as calls get free: at most two for each call in flight are in memory, so that ten million may
    /// pend. An answer is in the cache before `sink` sees it. When the run stops for cost, for an endpoint that refuses, or for calls
    /// given up in a row, the jobs that remain are still looked up in the cache and those without an answer reported as missing: the
    /// list is whole. After a cancel, calls in flight have [`crate::Settings::grace`] and the iterator is not touched again.
    pub fn run(
        &self,
        jobs: impl IntoIterator<Item = Job>,
        cancel: &Cancel,
        sink: impl FnMut(JobId, Outcome),
    ) -> Summary {
        let crew = Crew::new(self);
        let (sender, reports) = mpsc::channel();
        let books = Books {
            crew: &crew,
            sink,
            open: HashMap::new(),
            serial: 0,
            waiting: HashMap::new(),
            answered: 0,
            missing: 0,
        };
        let (answered, missing) = std::thread::scope(|scope| {
            // Sends the workers home however this block is left, so that a panic in `sink` does not wait for hanging calls.
            let _home = crew.dismissal();
            for number in 0..self.settings.in_flight {
                let (crew, sender) = (&crew, sender.clone());
                let thread = std::thread::Builder::new().name(format!("chat-{number}"));
                if let Err(error) = thread.spawn_scoped(scope, move || crew.work(&sender))
                    && number == 0
                {
                    crew.stop(Stop::Threads(error.to_string()));
                }
            }
            books.keep(jobs.into_iter(), &reports, cancel)
        });
        if let Err(error) = self.cache.sync() {
            crew.stop(Stop::Cache(error.to_string()));
        }
        Summary { answered, missing, stop: crew.why().cloned(), usage: self.usage() }
    }
}

impl<F: FnMut(JobId, Outcome)> Books<'_, F> {
    fn keep(
        mut self,
        jobs: impl Iterator<Item = Job>,
        reports: &mpsc::Receiver<Report>,
        cancel: &Cancel,
    ) -> (u64, u64) {
        let mut jobs = jobs.fuse();
        let window = 2 * self.crew.client.settings.in_flight;
        let mut more = true;
        let mut cut_at: Option<Instant> = None;
        loop {
            if cancel.is_cancelled() {
                self.crew.stop(Stop::Cancelled);
                more = false;
            }
            if let (Some(stop), false) = (self.crew.why(), self.waiting.is_empty()) {
                for call in self.crew.queue.drain() {
                    self.close_call(call.key, Err(Missing::Stopped(stop.clone())));
                }
                // Nothing more can come of calls to a dead endpoint; what a ceiling has allowed is paid for and awaited.
                if cut_at.is_none() && (cancel.is_cancelled() || !matches!(stop, Stop::CostCeiling { .. })) {
                    cut_at = Some(Instant::now() + self.crew.client.settings.grace);
                }
                if cut_at.is_some_and(|then| Instant::now() >= then) {
                    self.crew.cut();
                }
            }
            while let Ok((key, result)) = reports.try_recv() {
                self.close_call(key, result);
            }
            if more && self.waiting.len() < window {
                match jobs.next() {
                    Some(job) => self.open_job(job),
                    None => more = false,
                }
            } else if self.waiting.is_empty() {
                return (self.answered, self.missing);
            } else if let Ok((key, result)) = reports.recv_timeout(GLANCE) {
                self.close_call(key, result);
            }
        }
    }

    /// Looks a job's votes up, and sends out those that nobody knows or asks for already.
    fn open_job(&mut self, job: Job) {
        let client = self.crew.client;
        let votes = job.votes.max(1);
        let request = Arc::new(job.request);
        let serial = self.serial;
        self.serial += 1;
        let answers = vec![None; votes as usize];
        self.open.insert(serial, Open { id: job.id, answers, left: votes as usize, why: None });
        for vote in 0..votes {
            let key = CacheKey::of(&client.endpoint.model, &request, vote);
            let place = (serial, vote as usize);
            if let Some(waiting) = self.waiting.get_mut(&key) {
                waiting.push(place);
                continue;
            }
            match client.cache.get(key) {
                Ok(Some(answer)) => {
                    client.meter.count(|usage| usage.cached += 1);
                    self.close_vote(place, Ok(Answer { cached: true, ..answer }));
                    continue;
                }
                Ok(None) => {}
                Err(error) => self.crew.stop(Stop::Cache(error.to_string())),
            }
            if let Some(stop) = self.crew.why() {
                self.close_vote(place, Err(Missing::Stopped(stop.clone())));
                continue;
            }
            self.waiting.insert(key, vec![place]);
            self.crew.queue.push(Call::new(key, request.clone(), vote));
        }
    }

    /// A call is over: everybody who waited for it is told.
    fn close_call(&mut self, key: CacheKey, result: Result<Answer, Missing>) {
        for (number, place) in self.waiting.remove(&key).into_iter().flatten().enumerate() {
            let mut result = result.clone();
            if let (Ok(answer), true) = (&mut result, number > 0) {
                answer.cached = true;
                self.crew.client.meter.count(|usage| usage.cached += 1);
            }
            self.close_vote(place, result);
        }
    }

    fn close_vote(&mut self, (serial, vote): (u64, usize), result: Result<Answer, Missing>) {
        let Some(open) = self.open.get_mut(&serial) else { return };
        match result {
            Ok(answer) => open.answers[vote] = Some(answer),
            Err(why) => drop(open.why.get_or_insert(why)),
        }
        open.left -= 1;
        if open.left > 0 {
            return;
        }
        let Some(Open { id, answers, why, .. }) = self.open.remove(&serial) else { return };
        let outcome = match why {
            None => {
                self.answered += 1;
                Outcome::Answered(answers.into_iter().flatten().collect())
            }
            Some(why) => {
                self.missing += 1;
                Outcome::Missing { answers, why }
            }
        };
        (self.sink)(id, outcome);
    }
}
