//! Work of very different sizes handed out piece by piece, with buffers that a thread keeps from piece to piece.
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// `work(buffers, item)` for the items `0..count`, in the current rayon pool; the results in order. A thread takes the next item when it is done with its
/// last, so none waits while another has a queue; parallel work inside an item is shared as well.
pub fn map<B: Default, T: Send>(count: usize, work: impl Fn(&mut B, usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = rayon::broadcast(|_| {
        let (mut buffers, mut done) = (B::default(), Vec::new());
        loop {
            let item = next.fetch_add(1, Relaxed);
            if item >= count {
                return done;
            }
            done.push((item, work(&mut buffers, item)));
        }
    });
    let mut done: Vec<(usize, T)> = done.into_iter().flatten().collect();
    done.sort_unstable_by_key(|(item, _)| *item);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_pool;
    use rayon::prelude::*;

    #[test]
    fn every_item_is_worked_on_once_and_in_order() {
        for threads in [1, 2, 5] {
            for count in [0, 1, 2, 100] {
                let found = in_pool(threads, || {
                    map(count, |seen: &mut usize, item| {
                        *seen += 1;
                        assert!(*seen <= count);
                        (0..item).into_par_iter().sum::<usize>()
                    })
                });
                assert_eq!(found, (0..count).map(|item| (0..item).sum()).collect::<Vec<usize>>());
            }
        }
    }
}
