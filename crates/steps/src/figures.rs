//! Per-cluster figures that add up: size, sum of distances, the nearest and farthest members. Sums are integers, so that shards may come in
//! any order and the figures stay the same to the last bit.
use std::{path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, Float64Array, Int32Array, ListBuilder, StringBuilder, UInt64Array},
    datatypes::{DataType, Field, Schema},
};
use cribble_core::{Error, ErrorKind, Result, Uid};

/// Members remembered at each end of a cluster.
const MEMBERS: usize = 8;
/// Distances are summed in units of 2^-32: exact enough for means (2e-10) and good for 2^31 rows of distance 1.
const SCALE: f64 = 4_294_967_296.0;

/// A member of a cluster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Member {
    /// The sample.
    pub uid: Uid,
    /// Similarity to its centroid.
    pub sim: f32,
}

#[derive(Debug, Clone, Default)]
struct One {
    size: u64,
    dist: i64,
    nearest: Vec<Member>,
    farthest: Vec<Member>,
}

/// Figures of all clusters.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    clusters: Vec<One>,
}

/// Keeps the first `MEMBERS` in the order given by `before` (ties by uid).
fn offer(list: &mut Vec<Member>, member: Member, before: impl Fn(f32, f32) -> bool) {
    let comes_first = |a: &Member, b: &Member| before(a.sim, b.sim) || (a.sim == b.sim && a.uid < b.uid);
    if list.len() == MEMBERS && !comes_first(&member, &list[MEMBERS - 1]) {
        return;
    }
    let place = list.iter().position(|known| comes_first(&member, known)).unwrap_or(list.len());
    list.insert(place, member);
    list.truncate(MEMBERS);
}

impl Figures {
    pub fn new(clusters: usize) -> Self {
        Self { clusters: vec![One::default(); clusters] }
    }

    pub fn add(&mut self, cluster: u32, sim: f32, uid: Uid) {
        let one = &mut self.clusters[cluster as usize];
        one.size += 1;
        one.dist += ((1.0 - f64::from(sim)) * SCALE).round() as i64;
        let member = Member { uid, sim };
        offer(&mut one.nearest, member, |a, b| a > b);
        offer(&mut one.farthest, member, |a, b| a < b);
    }

    pub fn merge(&mut self, other: &Self) {
        for (one, other) in self.clusters.iter_mut().zip(&other.clusters) {
            one.size += other.size;
            one.dist += other.dist;
            other.nearest.iter().for_each(|&member| offer(&mut one.nearest, member, |a, b| a > b));
            other.farthest.iter().for_each(|&member| offer(&mut one.farthest, member, |a, b| a < b));
        }
    }

    pub fn clusters(&self) -> usize {
        self.clusters.len()
    }
    pub fn size(&self, cluster: usize) -> u64 {
        self.clusters[cluster].size
    }
    /// Mean distance of the members to the centroid; 0 for an empty cluster.
    pub fn d_intra(&self, cluster: usize) -> f64 {
        let one = &self.clusters[cluster];
        if one.size == 0 { 0.0 } else { one.dist as f64 / SCALE / one.size as f64 }
    }
    /// Mean similarity of all members of all clusters to their centroid; NaN without members.
    pub fn mean_sim(&self) -> f64 {
        let size: u64 = self.clusters.iter().map(|one| one.size).sum();
        let dist: i128 = self.clusters.iter().map(|one| i128::from(one.dist)).sum();
        1.0 - dist as f64 / SCALE / size as f64
    }

    /// Writes the figures of one shard for `read`.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut bytes = (self.clusters.len() as u64).to_le_bytes().to_vec();
        for one in &self.clusters {
            bytes.extend_from_slice(&one.size.to_le_bytes());
            bytes.extend_from_slice(&one.dist.to_le_bytes());
            for list in [&one.nearest, &one.farthest] {
                bytes.push(list.len() as u8);
                for member in list {
                    bytes.extend_from_slice(&member.uid.to_bytes());
                    bytes.extend_from_slice(&member.sim.to_le_bytes());
                }
            }
        }
        Ok(cribble_io::write_file(path, &bytes)?)
    }

    /// Reads what `write` wrote.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path)
            .map_err(|error| Error::wrap(ErrorKind::Input, error).context(path.display()))?;
        let mut rest = bytes.as_slice();
        Self::parse(&mut rest).ok_or_else(|| {
            Error::input(format!("{}: cut short", path.display()))
                .with_hint("delete the step's folder and run again")
        })
    }

    fn parse(rest: &mut &[u8]) -> Option<Self> {
        fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
            let (head, tail) = rest.split_first_chunk::<N>()?;
            *rest = tail;
            Some(*head)
        }
        let count = u64::from_le_bytes(take(rest)?);
        let mut clusters = Vec::new();
        for _ in 0..count {
            let mut one = One {
                size: u64::from_le_bytes(take(rest)?),
                dist: i64::from_le_bytes(take(rest)?),
                ..One::default()
            };
            for list in [&mut one.nearest, &mut one.farthest] {
                for _ in 0..take::<1>(rest)?[0] {
                    let uid = Uid::from_bytes(take(rest)?);
                    list.push(Member { uid, sim: f32::from_le_bytes(take(rest)?) });
                }
            }
            clusters.push(one);
        }
        Some(Self { clusters })
    }

    /// Writes `clusters.parquet`: cluster, size, d_intra, d_inter, complexity, nearest and farthest uids (hex text).
    pub fn write_parquet(&self, path: &Path, d_inter: &[f64]) -> Result<()> {
        let count = self.clusters.len();
        let list = |pick: &dyn Fn(&One) -> &Vec<Member>| -> ArrayRef {
            let mut builder = ListBuilder::new(StringBuilder::new());
            for one in &self.clusters {
                pick(one).iter().for_each(|member| builder.values().append_value(member.uid.to_string()));
                builder.append(true);
            }
            Arc::new(builder.finish())
        };
        let d_intra: Vec<f64> = (0..count).map(|cluster| self.d_intra(cluster)).collect();
        let complexity: Vec<f64> = d_intra.iter().zip(d_inter).map(|(a, b)| a * b).collect();
        let item = || DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
        let columns: Vec<(&str, DataType, ArrayRef)> = vec![
            ("cluster", DataType::Int32, Arc::new(Int32Array::from_iter_values(0..count as i32))),
            (
                "size",
                DataType::UInt64,
                Arc::new(self.clusters.iter().map(|one| Some(one.size)).collect::<UInt64Array>()),
            ),
            ("d_intra", DataType::Float64, Arc::new(Float64Array::from(d_intra))),
            ("d_inter", DataType::Float64, Arc::new(Float64Array::from(d_inter.to_vec()))),
            ("complexity", DataType::Float64, Arc::new(Float64Array::from(complexity))),
            ("nearest", item(), list(&|one| &one.nearest)),
            ("farthest", item(), list(&|one| &one.farthest)),
        ];
        write_columns(path, columns)
    }
}

/// Writes a small parquet table of whole columns.
pub(crate) fn write_columns(path: &Path, columns: Vec<(&str, DataType, ArrayRef)>) -> Result<()> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, kind, _)| Field::new(*name, kind.clone(), false)).collect();
    let arrays = columns.into_iter().map(|(_, _, array)| array).collect();
    cribble_pipeline::write_columns(path, Schema::new(fields), arrays)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_parts_are_the_figures_of_the_whole() {
        let rows: Vec<(u32, f32, Uid)> = (0..200u128)
            .map(|n| ((n % 3) as u32, ((n * 37) % 100) as f32 / 100.0, Uid(n * 7919 % 211)))
            .collect();
        let mut whole = Figures::new(4);
        rows.iter().for_each(|&(cluster, sim, uid)| whole.add(cluster, sim, uid));
        let mut sum = Figures::new(4);
        for part in rows.chunks(17).rev() {
            let mut figures = Figures::new(4);
            part.iter().for_each(|&(cluster, sim, uid)| figures.add(cluster, sim, uid));
            let dir = tempfile::tempdir().unwrap();
            figures.write(&dir.path().join("f")).unwrap();
            sum.merge(&Figures::read(&dir.path().join("f")).unwrap());
        }
        for cluster in 0..4 {
            assert_eq!(whole.size(cluster), sum.size(cluster));
            assert_eq!(whole.d_intra(cluster).to_bits(), sum.d_intra(cluster).to_bits());
            assert_eq!(whole.clusters[cluster].nearest, sum.clusters[cluster].nearest);
            assert_eq!(whole.clusters[cluster].farthest, sum.clusters[cluster].farthest);
        }
        let mean = rows.iter().map(|row| f64::from(row.1)).sum::<f64>() / 200.0;
        assert!((whole.mean_sim() - mean).abs() < 1e-9);
        assert_eq!((whole.size(3), whole.d_intra(3)), (0, 0.0));
    }
}
