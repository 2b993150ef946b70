//! The largest earlier similarity of a few query rows among all rows, to estimate what a search inside cells has missed.
use crate::{
    propose::Codes,
    rows::row_count,
    scan::{Best, Largest, Sources, search},
};

/// For one query: its largest similarity to an earlier-ranked row so far, and the rank of that row (the lowest that reaches it).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Earlier64 {
    /// The similarity; NaN where no earlier row was compared.
    pub sim: f32,
    /// The rank of that row; `u64::MAX` where none was compared.
    pub of_rank: u64,
}

impl Earlier64 {
    /// No earlier row was compared yet: what to start from.
    pub const NONE: Self = Self { sim: f32::NAN, of_rank: u64::MAX };
}

/// Lets the rows of a block (`[n, dim]`, with a scan rank each) compete to be the most similar earlier row of each query (`[q, dim]`, with its
/// own rank): only rows of a **lower** rank and a similarity of at least `floor` count, so a query never meets itself. `best` (`q`) starts as [`Earlier64::NONE`] and is carried
/// from block to block; blocks may come in any order and the result is the same. Exact; ties go to the lower rank. Panics if a length
/// contradicts the shapes; the dimension is `queries.len() / q`.
pub fn earlier_max_of(
    queries: &[f32],
    query_rank: &[u64],
    block: &[f32],
    block_rank: &[u64],
    floor: f32,
    best: &mut [Earlier64],
) {
    assert_eq!(query_rank.len(), best.len(), "one running best a query");
    if query_rank.is_empty() || block_rank.is_empty() {
        return;
    }
    let dim = queries.len() / query_rank.len();
    assert_eq!(row_count(queries, dim), query_rank.len(), "one rank a query");
    assert_eq!(row_count(block, dim), block_rank.len(), "one rank a row of the block");
    let (query_codes, block_codes) = (Codes::new(queries, dim), Codes::new(block, dim));
    let mut running: Vec<Best> = best
        .iter()
        .map(|b| if b.of_rank == u64::MAX { Best::at_least(floor) } else { Best { sim: b.sim, index: b.of_rank } })
        .collect();
    let goal = Largest {
        limit: |_| usize::MAX,
        admits: |query: usize, row: usize| block_rank[row] < query_rank[query],
        index: |row: usize| block_rank[row],
    };
    search(&goal, query_codes.of(queries), &Sources::new(block_codes.of(block)), &mut running);
    for (best, running) in best.iter_mut().zip(running) {
        if running.index != u64::MAX {
            *best = Earlier64 { sim: running.sim, of_rank: running.index };
        }
    }
}
