//! A map of rows on the plane: centroids are laid out by t-SNE, and every row finds its place near the centroid that it is most like.
//!
//! What is near on the map is alike; the reverse, and everything about *how far*, does not hold. t-SNE keeps neighbourhoods and nothing else: the
//! distance between two groups, the size of a group and its density on the map mean nothing (Wattenberg et al. 2016, "How to Use t-SNE Effectively").
//!
//! The decision to question: only centroids are laid out, exactly, in O(k²), and rows are placed from them in O(k). So a map takes
//! 20 s for 4,096 centroids and 7 s for a million rows of 500 (two busy cores), in bounded memory, and a row that comes later has a place too; what it costs is that order inside a cluster is only hinted at.
mod principal;
#[cfg(test)]
mod tests;
mod tsne;

use crate::{
    nearest::{Finder, FinderBuffers},
    rows::{dot, row_count},
};
use std::ops::ControlFlow;

pub use tsne::{Tsne, tsne};

/// Centroids that a row's place is drawn from.
const NEAR: usize = 3;
/// How far a row may be drawn towards its further centroids, and how far its own direction may carry it, as shares of the distance from its centroid to the
/// nearest other one on the map. Together no more than a half: no row comes to lie nearer to another centroid.
const DRAWN: f64 = 0.25;
const OWN: f64 = 0.25;

/// Centroids on the plane.
pub struct Map<'a> {
    centroids: &'a [f32],
    dim: usize,
    finder: Finder<'a>,
    places: Vec<[f64; 2]>,
    /// How far from its centroid's place a row may lie, twice.
    reach: Vec<f64>,
    axes: [Vec<f32>; 2],
}

impl<'a> Map<'a> {
    /// Lays out centroids `[k, dim]` of unit length. The same centroids and seed give the same map, whatever the threads. O(k²) time, and k² × 4 bytes of
    /// memory. `None` when `each` broke it off. Panics if there is no centroid.
    pub fn new(
        centroids: &'a [f32],
        dim: usize,
        options: &Tsne,
        each: &dyn Fn(usize) -> ControlFlow<()>,
    ) -> Option<Self> {
        let places = tsne(centroids, dim, options, each)?;
        let axes = principal::axes(centroids, dim, options.seed).map(|axis| {
            // In f32 as the rows are; the length that is lost by it does not matter.
            axis.into_iter().map(|value| value as f32).collect()
        });
        let reach = reach(&places);
        Some(Self { centroids, dim, finder: Finder::new(centroids, dim, 0), places, reach, axes })
    }

    /// The places of the centroids.
    pub fn places(&self) -> &[[f64; 2]] {
        &self.places
    }

    /// The places of rows `[n, dim]` of unit length, on the calling thread. Each row lies nearer to the place of its most similar centroid than to any other,
    /// drawn towards the next most similar ones, and moved by what distinguishes it from its centroid along the centroids' two principal axes; rows that
    /// are alike lie together.
    pub fn place(&self, rows: &[f32], buffers: &mut FinderBuffers) -> Vec<[f32; 2]> {
        let count = row_count(rows, self.dim);
        let near = NEAR.min(self.places.len());
        let (mut labels, mut sims) = (vec![0; count * near], vec![0.0; count * near]);
        self.finder.find(rows, near, &mut labels, &mut sims, buffers);
        let found = labels.chunks_exact(near).zip(sims.chunks_exact(near));
        rows.chunks_exact(self.dim)
            .zip(found)
            .map(|(row, (labels, sims))| self.one(row, labels, sims))
            .collect()
    }

    fn one(&self, row: &[f32], labels: &[u32], sims: &[f32]) -> [f32; 2] {
        let home = labels[0] as usize;
        let [x, y] = self.places[home];
        let reach = self.reach[home];
        // A row very near its centroid is hardly drawn away; one half way between two is.
        let distance = |sim: f32| (1.0 - f64::from(sim)).max(1e-6);
        let (nearest, mut weights, mut drawn) = (distance(sims[0]), 1.0, [0.0; 2]);
        for (&label, &sim) in labels.iter().zip(sims).skip(1) {
            let weight = (1.0 - distance(sim) / nearest).exp();
            let [other_x, other_y] = self.places[label as usize];
            weights += weight;
            drawn = [drawn[0] + weight * (other_x - x), drawn[1] + weight * (other_y - y)];
        }
        let drawn = within(drawn.map(|value| value / weights), DRAWN * reach);

        let centroid = &self.centroids[home * self.dim..(home + 1) * self.dim];
        let rest: Vec<f32> = row.iter().zip(centroid).map(|(a, b)| a - b).collect();
        let length = dot(&rest, &rest).sqrt();
        let mut own = [0.0; 2];
        if length > 0.0 {
            // A random direction has a cosine of about 1/√dim with an axis.
            let usual = (self.dim as f64).sqrt() / length;
            own = [dot(&rest, &self.axes[0]) * usual, dot(&rest, &self.axes[1]) * usual];
            let size = own[0].hypot(own[1]);
            own = own.map(|value| OWN * reach * value / (1.0 + size));
        }
        [(x + drawn[0] + own[0]) as f32, (y + drawn[1] + own[1]) as f32]
    }
}

/// A vector, shortened where it is longer than `most`.
fn within(vector: [f64; 2], most: f64) -> [f64; 2] {
    let size = vector[0].hypot(vector[1]);
    if size > most { vector.map(|value| value * most / size) } else { vector }
}

/// For each place the distance to the nearest other one, but no more than twice the median of these, so that what lies alone does not spread over the map.
fn reach(places: &[[f64; 2]]) -> Vec<f64> {
    let apart = |a: &[f64; 2], b: &[f64; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
    let nearest = |(at, place): (usize, &[f64; 2])| {
        let others = places.iter().enumerate().filter(|(other, _)| *other != at);
        others.map(|(_, other)| apart(place, other)).fold(f64::INFINITY, f64::min)
    };
    let found: Vec<f64> = places.iter().enumerate().map(nearest).collect();
    let mut sorted: Vec<f64> = found.iter().copied().filter(|distance| distance.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let most = sorted.get(sorted.len() / 2).map_or(1.0, |median| 2.0 * median);
    found.into_iter().map(|distance| distance.min(most)).collect()
}
