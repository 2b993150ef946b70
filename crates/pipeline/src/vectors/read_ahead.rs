//! Reading and arithmetic at once: while one block is worked on, a thread reads, decompresses and converts the next.
use std::{ops::Range, sync::mpsc::sync_channel};

use cribble_core::{Error, Result};

/// Calls `visit` for every block in order, with what `read` put into its buffer; `read` runs ahead by one block, on a thread of its own where
/// there is more than one. At most three buffers live at once. The first error of either ends both.
pub fn read_ahead<V: Default + Send>(
    mut blocks: impl ExactSizeIterator<Item = Range<usize>> + Send,
    mut read: impl FnMut(&Range<usize>, &mut Vec<V>) -> Result<()> + Send,
    mut visit: impl FnMut(&Range<usize>, &mut [V]) -> Result<()>,
) -> Result<()> {
    if blocks.len() < 2 {
        let mut values = Vec::new();
        return blocks.try_for_each(|block| {
            read(&block, &mut values)?;
            visit(&block, &mut values)
        });
    }
    let (full, ready) = sync_channel::<Result<(Range<usize>, Vec<V>)>>(1);
    let (back, empty) = sync_channel::<Vec<V>>(2);
    std::thread::scope(|scope| {
        let work = move || {
            for block in blocks {
                let mut values = empty.try_recv().unwrap_or_default();
                let result = read(&block, &mut values);
                let failed = result.is_err();
                // Nobody receives any more once a visit has failed.
                if full.send(result.map(|()| (block, values))).is_err() || failed {
                    return;
                }
            }
        };
        std::thread::Builder::new()
            .name("read-ahead".into())
            .spawn_scoped(scope, work)
            .map_err(|error| Error::input(format!("no thread can be started: {error}")))?;
        for block in ready {
            let (block, mut values) = block?;
            visit(&block, &mut values)?;
            // Where the reader is done already, nobody wants the buffer.
            let _ = back.try_send(values);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(rows: usize, bad_read: usize, bad_visit: usize) -> (Result<()>, Vec<(usize, Vec<f32>)>) {
        let blocks = (0..rows).step_by(3).map(|start| start..rows.min(start + 3));
        let mut seen = Vec::new();
        let read = |block: &Range<usize>, values: &mut Vec<f32>| {
            values.clear();
            values.extend(block.clone().map(|row| row as f32));
            if block.start == bad_read { Err(Error::input("read")) } else { Ok(()) }
        };
        let visit = |block: &Range<usize>, values: &mut [f32]| {
            seen.push((block.start, values.to_vec()));
            if block.start == bad_visit { Err(Error::input("visit")) } else { Ok(()) }
        };
        let result = read_ahead(blocks, read, visit);
        (result, seen)
    }

    #[test]
    fn every_block_is_visited_once_and_in_order() {
        for rows in [0, 1, 3, 4, 9, 100] {
            let (result, seen) = run(rows, usize::MAX, usize::MAX);
            assert!(result.is_ok());
            let expected: Vec<(usize, Vec<f32>)> = (0..rows)
                .step_by(3)
                .map(|start| (start, (start..rows.min(start + 3)).map(|row| row as f32).collect()))
                .collect();
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn an_error_of_either_side_ends_both() {
        for (bad_read, bad_visit, message, visited) in
            [(0, 99, "read", 0), (6, 99, "read", 2), (99, 3, "visit", 2)]
        {
            for rows in [30, 7] {
                let (result, seen) = run(rows, bad_read, bad_visit);
                assert_eq!(result.unwrap_err().message(), message);
                assert_eq!(seen.len(), visited);
            }
        }
    }
}
