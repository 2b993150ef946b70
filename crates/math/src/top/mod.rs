//! The rows that are most similar to a query, among any number of rows that stream by: exact, and for several queries in one pass.
//!
//! What is compared here is the cosine of the values **as stored**, in `f64`: `dot(q, x) / (|q| |x|)`, each of the three a [`dot`]. Rows without
//! a direction (all zero, NaN, infinite) have none and are never found. The order is the largest cosine first, ties to the lower row.
//!
//! The decision to question: a plain `f32` cosine only *proposes*. It costs a few instructions for 16 values, so that a scan runs at the speed
//! of memory; a row whose cosine could reach the least of the best, by a bound on what rounding can do, is scored again in `f64`.
mod kernel;
#[cfg(test)]
mod tests;

use std::{cmp::Ordering, collections::BinaryHeap, ops::Range};

use half::{f16, slice::HalfFloatSliceExt};
use kernel::{ROWS, Scores};

use crate::{
    rows::{dot, row_count},
    single::ErrorBound,
};

/// Squared lengths between which a cosine in `f32` neither overflows nor loses digits to underflow.
const SAFE: Range<f32> = 1e-20..1e20;

/// A row that was found. Ordered: the better hit is the smaller one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Its cosine with the query, in [-1, 1] up to rounding; never NaN.
    pub similarity: f64,
    /// Its number.
    pub row: u64,
}

impl Eq for Hit {}

impl Ord for Hit {
    fn cmp(&self, other: &Self) -> Ordering {
        other.similarity.total_cmp(&self.similarity).then(self.row.cmp(&other.row))
    }
}

impl PartialOrd for Hit {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The best hits of one query so far. What it ends with does not depend on the order in which rows came.
#[derive(Debug, Clone)]
pub struct Top {
    most: usize,
    /// Known from elsewhere: so many better ones that nothing below can win.
    floor: f64,
    /// The worst hit lies on top.
    heap: BinaryHeap<Hit>,
}

impl Top {
    /// Keeps the `most` best.
    pub fn new(most: usize) -> Self {
        Self { most, floor: f64::NEG_INFINITY, heap: BinaryHeap::new() }
    }

    /// Lets a row compete. A similarity that is NaN never wins.
    pub fn push(&mut self, hit: Hit) {
        if hit.similarity.is_nan() || self.most == 0 {
            return;
        }
        if self.heap.len() < self.most {
            self.heap.push(hit);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && hit < *worst
        {
            *worst = hit;
        }
    }

    /// Takes in what another part of the rows gave.
    pub fn merge(&mut self, other: Self) {
        other.heap.into_iter().for_each(|hit| self.push(hit));
    }

    /// The similarity below which nothing can win any more.
    pub fn cut(&self) -> f64 {
        match self.heap.peek() {
            Some(worst) if self.heap.len() == self.most => worst.similarity.max(self.floor),
            _ if self.most == 0 => f64::INFINITY,
            _ => self.floor,
        }
    }

    /// Learns the cut of a list of the same query over other rows: what cannot win there cannot win here.
    pub fn raise(&mut self, cut: f64) {
        self.floor = self.floor.max(cut);
    }

    /// The hits, the best first.
    pub fn into_hits(self) -> Vec<Hit> {
        self.heap.into_sorted_vec()
    }
}

/// What asks: `[m, dim]` vectors, each with a direction.
#[derive(Debug)]
pub struct Queries {
    dim: usize,
    values: Vec<f32>,
    lengths: Vec<f64>,
    /// The same brought to unit length, for the proposals.
    unit: Vec<f32>,
    /// How far a proposal may be from the cosine.
    slack: f64,
}

impl Queries {
    /// Queries of `dim` values, of any length. `None` where one has no direction. Panics if `values` is no whole number of rows.
    pub fn new(values: Vec<f32>, dim: usize) -> Option<Self> {
        row_count(&values, dim);
        let lengths: Vec<f64> = values.chunks_exact(dim).map(|query| dot(query, query).sqrt()).collect();
        if !lengths.iter().all(|&length| has_direction(length)) {
            return None;
        }
        let scaled = |(query, &length): (&[f32], &f64)| -> Vec<f32> {
            query.iter().map(|&value| (f64::from(value) / length) as f32).collect()
        };
        let unit: Vec<f32> = values.chunks_exact(dim).zip(&lengths).flat_map(scaled).collect();
        // With γ the relative error of an f32 sum: γ for the product, γ/2 for the row's length, and some ulps for the quotient and the query's
        // rounding to unit length, all times a cosine of at most 1.
        let slack = 2.0 * ErrorBound::new(dim).of(1.0, 1.0) + 1e-6;
        Some(Self { dim, values, lengths, unit, slack })
    }

    /// The values of a query, as they were given.
    pub fn values(&self, query: usize) -> &[f32] {
        &self.values[query * self.dim..(query + 1) * self.dim]
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Values of a query, and of a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Empty lists of the `most` best, one for each query.
    pub fn tops(&self, most: usize) -> Vec<Top> {
        vec![Top::new(most); self.len()]
    }
}

/// Rows `[n, dim]` as they lie in a file.
#[derive(Debug, Clone, Copy)]
pub enum Stored<'a> {
    /// Half floats.
    Half(&'a [f16]),
    /// Single floats.
    Single(&'a [f32]),
}

impl<'a> Stored<'a> {
    fn part(self, values: Range<usize>) -> Self {
        match self {
            Self::Half(rows) => Self::Half(&rows[values]),
            Self::Single(rows) => Self::Single(&rows[values]),
        }
    }

    /// As f32, in the buffer where they are not yet.
    fn widen(self, buffer: &'a mut Vec<f32>) -> &'a [f32] {
        match self {
            Self::Single(rows) => rows,
            Self::Half(rows) => {
                buffer.resize(rows.len(), 0.0);
                rows.convert_to_f32_slice(buffer);
                buffer
            }
        }
    }
}

/// Whether a length is one of a direction.
fn has_direction(length: f64) -> bool {
    length > 0.0 && length.is_finite()
}

/// Lets every row compete for every query, on the calling thread. `number` gives the number of a row by its place in `rows`, `None` where it must not
/// be found. `tops` has one list for each query. Panics if the rows are not of the queries' dimension or `tops` of another number.
pub fn scan(queries: &Queries, rows: Stored<'_>, number: impl Fn(usize) -> Option<u64>, tops: &mut [Top]) {
    assert_eq!(tops.len(), queries.len(), "one list for each query");
    let dim = queries.dim;
    let count = match rows {
        Stored::Half(values) => row_count(values, dim),
        Stored::Single(values) => row_count(values, dim),
    };
    let (mut scores, mut row) = (Scores::new(queries.len()), Vec::new());
    // What a proposal must reach to matter. Rounded to f32 it moves by less than the 1e-7 that is taken off.
    let reach = |top: &Top| (top.cut() - queries.slack - 1e-7) as f32;
    let mut cuts: Vec<f32> = tops.iter().map(reach).collect();
    for start in (0..count).step_by(ROWS) {
        let places = start..count.min(start + ROWS);
        if places.clone().all(|place| number(place).is_none()) {
            continue;
        }
        let tile = rows.part(places.start * dim..places.end * dim);
        scores.propose(queries, tile);
        for place in 0..places.len() {
            let products = scores.products(place);
            let inverse = scores.inverse_lengths[place];
            let may = |(product, cut): (&f32, &f32)| product * inverse >= *cut;
            let is_safe = SAFE.contains(&scores.squares[place]);
            // Without a branch inside, so that it is compared by the vector.
            if is_safe && !products.iter().zip(&cuts).fold(false, |any, pair| any | may(pair)) {
                continue;
            }
            let Some(number) = number(start + place) else { continue };
            let values = tile.part(place * dim..(place + 1) * dim).widen(&mut row);
            let length = dot(values, values).sqrt();
            if !has_direction(length) {
                continue;
            }
            for (query, top) in tops.iter_mut().enumerate() {
                if !is_safe || may((&products[query], &cuts[query])) {
                    let similarity = dot(queries.values(query), values) / (queries.lengths[query] * length);
                    top.push(Hit { similarity, row: number });
                    cuts[query] = reach(top);
                }
            }
        }
    }
}
