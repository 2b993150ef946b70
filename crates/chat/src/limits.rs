//! Limits that all calls share: requests and tokens a minute, a pause that the server asked for, and the most that may be spent.
use crate::settings::{Price, Settings};
use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError, atomic::AtomicBool, atomic::Ordering},
    time::{Duration, Instant},
};

/// The longest sleep before flags are looked at again.
pub(crate) const GLANCE: Duration = Duration::from_millis(50);

/// A token bucket that may go into debt: a take is allowed while the level is above zero and may sink it below, so that one large take
/// passes and then pays. It holds what a second refills, so a minute never sees more than its rate and one second's share.
#[derive(Debug)]
struct Bucket {
    per_second: f64,
    level: f64,
    at: Instant,
}

impl Bucket {
    fn new(per_minute: f64, now: Instant) -> Self {
        let per_second = per_minute / 60.0;
        Self { per_second, level: per_second.max(1.0), at: now }
    }

    /// How long until a take is allowed.
    fn wait(&mut self, now: Instant) -> Duration {
        let gone = now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level + gone * self.per_second).min(self.per_second.max(1.0));
        self.at = now;
        match self.level > 0.0 {
            true => Duration::ZERO,
            // A little more than zero, lest rounding asks for another wait of no time.
            false => {
                Duration::try_from_secs_f64((1e-6 - self.level) / self.per_second).unwrap_or(Duration::MAX)
            }
        }
    }
}

/// What a call will take, as far as can be known before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ask {
    pub tokens: f64,
    pub cost: f64,
}

/// Why no call may be made.
#[derive(Debug, PartialEq)]
pub(crate) enum Denied {
    Stopped,
    TooDear,
}

#[derive(Debug)]
struct State {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    paused_until: Option<Instant>,
    spent: f64,
    reserved: f64,
    running: usize,
    /// Mean tokens of an answer so far, and of how many.
    mean_output: f64,
    answers: f64,
}

/// The limits of a client.
#[derive(Debug)]
pub(crate) struct Limits {
    state: Mutex<State>,
    changed: Condvar,
    price: Option<Price>,
    most_cost: Option<f64>,
}

impl Limits {
    pub fn new(settings: &Settings) -> Self {
        let now = Instant::now();
        let state = State {
            requests: settings.requests_per_minute.map(|rate| Bucket::new(rate, now)),
            tokens: settings.tokens_per_minute.map(|rate| Bucket::new(rate, now)),
            paused_until: None,
            spent: 0.0,
            reserved: 0.0,
            running: 0,
            mean_output: 0.0,
            answers: 0.0,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            price: settings.price,
            most_cost: settings.most_cost,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a question of about `input` tokens will take: the dearest answer by `max_tokens`; without it, thrice the mean so far.
    pub fn ask(&self, input: f64, max_tokens: Option<u32>) -> Ask {
        let state = self.lock();
        let mean = if state.answers > 0.0 { state.mean_output } else { 256.0 };
        let most = max_tokens.map_or(3.0 * mean, f64::from);
        let cost = self.price.map_or(0.0, |price| price.of(input, most));
        Ask { tokens: input + mean.min(most), cost }
    }

    /// Waits until a call may be made, and reserves what it will take; [`Limits::settle`] must follow.
    pub fn acquire(&self, ask: Ask, stopped: &AtomicBool) -> Result<(), Denied> {
        let mut state = self.lock();
        loop {
            if stopped.load(Ordering::SeqCst) {
                return Err(Denied::Stopped);
            }
            let now = Instant::now();
            let mut wait =
                state.paused_until.map_or(Duration::ZERO, |then| then.saturating_duration_since(now));
            let State { requests, tokens, .. } = &mut *state;
            for bucket in [requests, tokens].into_iter().flatten() {
                wait = wait.max(bucket.wait(now));
            }
            if let Some(most) = self.most_cost
                && state.spent + state.reserved + ask.cost > most
            {
                // Calls that run may turn out cheaper than what is reserved for them.
                if state.running == 0 {
                    return Err(Denied::TooDear);
                }
                wait = wait.max(GLANCE);
            }
            if wait.is_zero() {
                break;
            }
            let (guard, _) =
                self.changed.wait_timeout(state, wait.min(GLANCE)).unwrap_or_else(PoisonError::into_inner);
            state = guard;
        }
        if let Some(bucket) = &mut state.requests {
            bucket.level -= 1.0;
        }
        if let Some(bucket) = &mut state.tokens {
            bucket.level -= ask.tokens;
        }
        state.reserved += ask.cost;
        state.running += 1;
        Ok(())
    }

    /// Puts what a call took in the place of what was reserved: tokens of question and answer. Returns the cost.
    pub fn settle(&self, ask: Ask, (input, output): (f64, f64), answered: bool) -> f64 {
        let mut state = self.lock();
        let cost = self.price.map_or(0.0, |price| price.of(input, output));
        state.reserved -= ask.cost;
        state.running -= 1;
        if state.running == 0 {
            state.reserved = 0.0;
        }
        state.spent += cost;
        if let Some(bucket) = &mut state.tokens {
            bucket.level += ask.tokens - input - output;
        }
        if answered {
            state.answers += 1.0;
            state.mean_output += (output - state.mean_output) / state.answers;
        }
        drop(state);
        self.changed.notify_all();
        cost
    }

    /// No call starts before `wait` is over: the server asked for it.
    pub fn pause(&self, wait: Duration) {
        let mut state = self.lock();
        let then = Instant::now() + wait;
        state.paused_until = state.paused_until.max(Some(then));
    }

    /// Wakes those who wait, to look at their flags.
    pub fn wake(&self) {
        drop(self.lock());
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_keeps_its_rate_over_any_minute() {
        let start = Instant::now();
        let mut bucket = Bucket::new(120.0, start);
        let mut taken = Vec::new();
        let mut now = start;
        while now < start + Duration::from_secs(300) {
            let wait = bucket.wait(now);
            if wait.is_zero() {
                bucket.level -= 1.0;
                taken.push(now);
            }
            now += wait;
        }
        let most = taken.iter().map(|&from| {
            taken.iter().filter(|&&at| at >= from && at < from + Duration::from_secs(60)).count()
        });
        let most = most.max().unwrap();
        assert!((119..=123).contains(&most), "{most} in a minute");
        assert!((598..=603).contains(&taken.len()), "{}", taken.len());
    }

    #[test]
    fn a_large_take_passes_and_pays() {
        let start = Instant::now();
        let mut bucket = Bucket::new(60.0, start);
        assert!(bucket.wait(start).is_zero());
        bucket.level -= 31.0;
        let wait = bucket.wait(start).as_secs_f64();
        assert!((29.9..30.1).contains(&wait), "{wait}");
    }

    #[test]
    fn the_ceiling_counts_what_is_reserved() {
        let settings = Settings {
            price: Some(Price { input: 0.0, output: 1e6 }),
            most_cost: Some(25.0),
            ..Settings::default()
        };
        let limits = Limits::new(&settings);
        let go = AtomicBool::new(false);
        let ask = limits.ask(100.0, Some(10));
        assert_eq!(ask.cost, 10.0);
        limits.acquire(ask, &go).unwrap();
        limits.acquire(ask, &go).unwrap();
        // The third would need 30; it waits until one of the two turns out cheaper.
        std::thread::scope(|scope| {
            let third = scope.spawn(|| limits.acquire(ask, &go));
            std::thread::sleep(Duration::from_millis(20));
            assert!(!third.is_finished());
            assert_eq!(limits.settle(ask, (100.0, 4.0), true), 4.0);
            assert_eq!(third.join().unwrap(), Ok(()));
        });
        limits.settle(ask, (100.0, 10.0), true);
        limits.settle(ask, (100.0, 10.0), true);
        assert_eq!(limits.acquire(ask, &go), Err(Denied::TooDear));
        go.store(true, Ordering::SeqCst);
        assert_eq!(limits.acquire(Ask { tokens: 0.0, cost: 0.0 }, &go), Err(Denied::Stopped));
    }

    #[test]
    fn a_pause_holds_every_call() {
        let limits = Limits::new(&Settings::default());
        let go = AtomicBool::new(false);
        limits.pause(Duration::from_millis(120));
        limits.pause(Duration::from_millis(10));
        let start = Instant::now();
        limits.acquire(Ask { tokens: 1.0, cost: 0.0 }, &go).unwrap();
        assert!(start.elapsed() >= Duration::from_millis(120));
    }
}
