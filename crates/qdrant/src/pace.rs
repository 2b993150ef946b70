//! Back-pressure: how many calls may be in the air, and from when on. Additive increase, multiplicative decrease, as TCP does it (Chiu and
//! Jain 1989): a server that is overloaded gets half the calls at once, and one more for each round that it answered.
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

/// Shared by all calls of a connection.
#[derive(Debug)]
pub(crate) struct Pace {
    most: f64,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// Calls that may be in the air; its fraction is progress towards one more.
    limit: f64,
    flying: u32,
    /// Nobody starts before: the server asked for time.
    not_before: Option<Instant>,
    push_backs: u64,
}

impl Pace {
    /// At most `most` calls at once.
    pub fn new(most: u32) -> Self {
        let most = f64::from(most.max(1));
        let state = State { limit: most, flying: 0, not_before: None, push_backs: 0 };
        Self { most, state: Mutex::new(state), changed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room and for the end of a pause.
    pub async fn enter(&self) -> Pass<'_> {
        loop {
            let changed = self.changed.notified();
            let until = {
                let mut state = self.state();
                let pause = state.not_before.filter(|&time| time > Instant::now());
                if pause.is_none() && f64::from(state.flying) < state.limit.floor() {
                    state.flying += 1;
                    return Pass(self);
                }
                pause
            };
            match until {
                Some(time) => drop(timeout_at(time, changed).await),
                None => changed.await,
            }
        }
    }

    /// A call was answered.
    pub fn answered(&self) {
        let mut state = self.state();
        state.limit = (state.limit + 1.0 / state.limit).min(self.most);
    }

    /// The server refused for now, or is away where it has not `asked`: half the calls, and none before `wait` is over. Calls that were refused
    /// together count as one refusal.
    pub fn push_back(&self, wait: Duration, asked: bool) {
        let mut state = self.state();
        let now = Instant::now();
        state.push_backs += u64::from(asked);
        if state.not_before.is_none_or(|time| time <= now) {
            state.limit = (state.limit / 2.0).max(1.0);
        }
        state.not_before = state.not_before.max(Some(now + wait));
    }

    /// How often the server asked for time.
    pub fn push_backs(&self) -> u64 {
        self.state().push_backs
    }
}

/// A call in the air.
#[derive(Debug)]
pub(crate) struct Pass<'a>(&'a Pace);

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.state().flying -= 1;
        self.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
    }

    #[test]
    fn refusals_halve_once_and_answers_win_back_slowly() {
        block_on(async {
            let pace = Pace::new(8);
            for _ in 0..5 {
                pace.push_back(Duration::from_millis(30), true);
            }
            assert_eq!(pace.push_backs(), 5);
            assert_eq!(pace.state().limit, 4.0);
            let before = Instant::now();
            let pass = pace.enter().await;
            assert!(before.elapsed() >= Duration::from_millis(30), "{:?}", before.elapsed());
            drop(pass);
            pace.push_back(Duration::ZERO, false);
            assert_eq!(pace.push_backs(), 5);
            assert_eq!(pace.state().limit, 2.0);
            // Two calls at once, so two answers are a round and bring one more at most.
            pace.answered();
            pace.answered();
            let limit = pace.state().limit;
            assert!((2.8..=3.0).contains(&limit), "{limit}");
            (0..100).for_each(|_| pace.answered());
            assert_eq!(pace.state().limit, 8.0);
        });
    }

    #[test]
    fn no_more_calls_than_the_limit_are_in_the_air() {
        block_on(async {
            let pace = std::sync::Arc::new(Pace::new(3));
            let most = std::sync::Arc::new(AtomicU32::new(0));
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..20 {
                let (pace, most) = (pace.clone(), most.clone());
                tasks.spawn(async move {
                    let _pass = pace.enter().await;
                    let flying = pace.state().flying;
                    most.fetch_max(flying, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                });
            }
            while let Some(done) = tasks.join_next().await {
                done.unwrap();
            }
            assert_eq!(most.load(Ordering::Relaxed), 3);
        });
    }
}
