//! Calls that wait for a worker: those that are ready in order, and those that a fault has put off until their time.
use std::{
    collections::{BinaryHeap, VecDeque},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

#[derive(Debug)]
struct Later<T> {
    at: Instant,
    item: T,
}

// A heap gives its greatest first: the earliest is the greatest here.
impl<T> Ord for Later<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.at.cmp(&self.at)
    }
}

impl<T> PartialOrd for Later<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Later<T> {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl<T> Eq for Later<T> {}

#[derive(Debug)]
struct State<T> {
    ready: VecDeque<T>,
    later: BinaryHeap<Later<T>>,
    closed: bool,
}

/// The queue. Its length is bounded by whoever pushes: a call that is put off frees its worker and keeps its place in that bound.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

impl<T> Queue<T> {
    pub fn new() -> Self {
        let state = State { ready: VecDeque::new(), later: BinaryHeap::new(), closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, item: T) {
        self.lock().ready.push_back(item);
        self.changed.notify_one();
    }

    pub fn push_later(&self, at: Instant, item: T) {
        self.lock().later.push(Later { at, item });
        self.changed.notify_one();
    }

    /// The next item whose time has come; waits for one. `None` once the queue is closed.
    pub fn pop(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            let now = Instant::now();
            let next = state.later.peek().map(|later| later.at.saturating_duration_since(now));
            if next.is_some_and(|wait| wait.is_zero()) {
                return state.later.pop().map(|later| later.item);
            }
            if let Some(item) = state.ready.pop_front() {
                return Some(item);
            }
            state = match next {
                Some(wait) => {
                    self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Takes out everything that no worker has taken.
    pub fn drain(&self) -> Vec<T> {
        let mut state = self.lock();
        let mut all: Vec<T> = state.ready.drain(..).collect();
        all.extend(state.later.drain().map(|later| later.item));
        all
    }

    /// Sends every worker home.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_is_put_off_comes_when_its_time_has() {
        let queue = Queue::new();
        let now = Instant::now();
        queue.push_later(now + Duration::from_millis(60), 3);
        queue.push_later(now + Duration::from_millis(30), 2);
        queue.push(1);
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some(1), Some(2), Some(3)]);
        assert!(now.elapsed() >= Duration::from_millis(60));
        queue.push(4);
        queue.push_later(now + Duration::from_secs(60), 5);
        assert_eq!(queue.drain(), [4, 5]);
        queue.close();
        assert_eq!(queue.pop(), None);
    }
}
