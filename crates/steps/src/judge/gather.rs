//! What a judge is shown of each cluster: its samples nearest to the centroid, farthest from it and drawn by a hash, of all shards; and facts
//! of a larger draw, for the rules and for the report. A task keeps the best few of its shard; merging keeps the best few of all, so that
//! memory grows with the number of clusters and never with the rows.
use std::{
    collections::{BTreeMap, BinaryHeap},
    path::Path,
    sync::Arc,
};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Float32Array, Int32Array, StringArray, UInt8Array,
        UInt64Array,
    },
    datatypes::{DataType, Field, Float32Type, Int32Type, Schema, UInt8Type, UInt64Type},
};
use cribble_core::{Error, JudgeOptions, Result, Uid};
use cribble_io::tables::uid_array;
use cribble_pipeline::{GlobalRow, read_column, write_columns};

use crate::order::ascending;

/// Rows of a cluster whose facts are looked at.
pub const PROFILED: usize = 200;

/// Why a row is kept in mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    Nearest,
    Farthest,
    Random,
    /// For its facts alone.
    Profile,
}

impl Group {
    pub const SHOWN: [Self; 3] = [Self::Nearest, Self::Farthest, Self::Random];
    const ALL: [Self; 4] = [Self::Nearest, Self::Farthest, Self::Random, Self::Profile];

    pub fn name(self) -> &'static str {
        match self {
            Self::Nearest => "nearest",
            Self::Farthest => "farthest",
            Self::Random => "random",
            Self::Profile => "profile",
        }
    }
}

/// A row of a cluster. Fields that its group does not need are empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    pub row: GlobalRow,
    pub uid: Uid,
    pub sim: f32,
    /// The caption, cut, where it is shown.
    pub caption: Option<String>,
    /// Facts, where it is profiled.
    pub fact: Option<Fact>,
}

/// What the rules want to know of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// [`super::junk::form`]; `None` without a caption.
    pub form: Option<u64>,
    pub junk: bool,
    pub language: String,
    pub score: Option<f32>,
}

/// A member under its key; ordered by key and row alone.
struct Keyed(u64, Member);

impl Keyed {
    fn order(&self) -> (u64, u64) {
        (self.0, self.1.row.0)
    }
}
impl PartialEq for Keyed {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}
impl Eq for Keyed {}
impl PartialOrd for Keyed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Keyed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

/// The members of one cluster that are kept in mind, by group.
#[derive(Default)]
struct Cluster {
    size: u64,
    groups: [BinaryHeap<Keyed>; 4],
}

/// All clusters.
pub struct Gathered {
    most: [usize; 4],
    seed: u64,
    clusters: BTreeMap<u32, Cluster>,
}

/// A cluster as the judge sees it.
pub struct Sample {
    pub size: u64,
    /// Nearest, farthest (farthest first) and random, each in order.
    pub shown: [Vec<Member>; 3],
    pub facts: Vec<(f32, Fact)>,
}

impl Gathered {
    pub fn new(options: &JudgeOptions) -> Self {
        let shown = [options.nearest, options.farthest, options.random].map(|count| count as usize);
        Self { most: [shown[0], shown[1], shown[2], PROFILED], seed: options.seed, clusters: BTreeMap::new() }
    }

    /// Takes a row. `caption` and `fact` are asked for only when the row is among the best.
    pub fn add(
        &mut self,
        cluster: u32,
        row: GlobalRow,
        uid: Uid,
        sim: f32,
        caption: impl Fn() -> Option<String>,
        fact: impl Fn() -> Fact,
    ) {
        let drawn = uid.mix(self.seed);
        let towards = ascending(f64::from(sim));
        let one = self.clusters.entry(cluster).or_default();
        one.size += 1;
        for (group, key) in Group::ALL.into_iter().zip([!towards, towards, drawn, drawn]) {
            let (heap, most) = (&mut one.groups[group as usize], self.most[group as usize]);
            if !fits(heap, most, (key, row.0)) {
                continue;
            }
            let shown = group != Group::Profile;
            let member = Member {
                row,
                uid,
                sim,
                caption: if shown { caption() } else { None },
                fact: (!shown).then(&fact),
            };
            offer(heap, most, Keyed(key, member));
        }
    }

    /// Writes what a shard has to offer.
    pub fn write(self, path: &Path) -> Result<()> {
        let mut members: Vec<(u32, u64, Group, Keyed)> = Vec::new();
        for (cluster, one) in self.clusters {
            let mut size = one.size;
            for (group, heap) in Group::ALL.into_iter().zip(one.groups) {
                for keyed in heap.into_sorted_vec() {
                    // The size stands in the first row of the cluster, so that sums over the column are right.
                    members.push((cluster, std::mem::take(&mut size), group, keyed));
                }
            }
        }
        let fact = |member: &Member| member.fact.clone();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("cluster", Arc::new(members.iter().map(|m| Some(m.0 as i32)).collect::<Int32Array>())),
            ("size", Arc::new(members.iter().map(|m| Some(m.1)).collect::<UInt64Array>())),
            ("group", Arc::new(members.iter().map(|m| Some(m.2 as u8)).collect::<UInt8Array>())),
            ("key", Arc::new(members.iter().map(|m| Some(m.3.0)).collect::<UInt64Array>())),
            ("row", Arc::new(members.iter().map(|m| Some(m.3.1.row.0)).collect::<UInt64Array>())),
            ("uid", uid_array(&members.iter().map(|m| m.3.1.uid).collect::<Vec<_>>())),
            ("sim", Arc::new(members.iter().map(|m| Some(m.3.1.sim)).collect::<Float32Array>())),
            ("caption", Arc::new(members.iter().map(|m| m.3.1.caption.as_deref()).collect::<StringArray>())),
            ("form", Arc::new(members.iter().map(|m| fact(&m.3.1)?.form).collect::<UInt64Array>())),
            ("junk", Arc::new(members.iter().map(|m| Some(fact(&m.3.1)?.junk)).collect::<BooleanArray>())),
            (
                "language",
                Arc::new(members.iter().map(|m| Some(fact(&m.3.1)?.language)).collect::<StringArray>()),
            ),
            ("score", Arc::new(members.iter().map(|m| fact(&m.3.1)?.score).collect::<Float32Array>())),
        ];
        let fields: Vec<Field> = columns
            .iter()
            .map(|(name, column)| Field::new(*name, column.data_type().clone(), column.is_nullable()))
            .collect();
        write_columns(path, Schema::new(fields), columns.into_iter().map(|(_, column)| column).collect())
    }

    /// Takes what [`Gathered::write`] wrote of another shard.
    pub fn merge(&mut self, path: &Path) -> Result<()> {
        let wrong = |name: &str| Error::bug(format!("{}: {name} has another type", path.display()));
        let column = |name: &str, kind: &DataType| {
            read_column(path, name)
                .and_then(|column| if column.data_type() == kind { Ok(column) } else { Err(wrong(name)) })
        };
        let numbers = |name| column(name, &DataType::UInt64);
        let (sizes, keys, rows, forms) =
            (numbers("size")?, numbers("key")?, numbers("row")?, numbers("form")?);
        let (clusters, groups) = (column("cluster", &DataType::Int32)?, column("group", &DataType::UInt8)?);
        let (captions, languages) =
            (column("caption", &DataType::Utf8)?, column("language", &DataType::Utf8)?);
        let (sims, scores) = (column("sim", &DataType::Float32)?, column("score", &DataType::Float32)?);
        let (uids, junk) =
            (column("uid", &DataType::FixedSizeBinary(16))?, column("junk", &DataType::Boolean)?);
        let number = |column: &ArrayRef, at: usize| column.as_primitive::<UInt64Type>().value(at);
        let text = |column: &ArrayRef, at: usize| {
            column.is_valid(at).then(|| column.as_string::<i32>().value(at).to_owned())
        };
        for at in 0..clusters.len() {
            let one = self.clusters.entry(clusters.as_primitive::<Int32Type>().value(at) as u32).or_default();
            one.size += number(&sizes, at);
            let group = usize::from(groups.as_primitive::<UInt8Type>().value(at));
            let (heap, most) = (&mut one.groups[group], self.most[group]);
            let (key, row) = (number(&keys, at), number(&rows, at));
            if !fits(heap, most, (key, row)) {
                continue;
            }
            let uid = uids.as_fixed_size_binary().value(at).try_into().map(Uid::from_bytes);
            let fact = text(&languages, at).map(|language| Fact {
                form: forms.is_valid(at).then(|| number(&forms, at)),
                junk: junk.as_boolean().value(at),
                language,
                score: scores.is_valid(at).then(|| scores.as_primitive::<Float32Type>().value(at)),
            });
            let member = Member {
                row: GlobalRow(row),
                uid: uid.map_err(|_| wrong("uid"))?,
                sim: sims.as_primitive::<Float32Type>().value(at),
                caption: text(&captions, at),
                fact,
            };
            offer(heap, most, Keyed(key, member));
        }
        Ok(())
    }

    /// The clusters in order.
    pub fn finish(self) -> impl Iterator<Item = (u32, Sample)> {
        self.clusters.into_iter().map(|(cluster, one)| {
            let [nearest, farthest, random, profile] =
                one.groups.map(|heap| heap.into_sorted_vec().into_iter().map(|keyed| keyed.1));
            let facts = profile.filter_map(|member| Some((member.sim, member.fact?))).collect();
            let shown = [nearest.collect(), farthest.collect(), random.collect()];
            (cluster, Sample { size: one.size, shown, facts })
        })
    }
}

fn fits(heap: &BinaryHeap<Keyed>, most: usize, order: (u64, u64)) -> bool {
    heap.len() < most || heap.peek().is_some_and(|last| order < last.order())
}

fn offer(heap: &mut BinaryHeap<Keyed>, most: usize, keyed: Keyed) {
    heap.push(keyed);
    if heap.len() > most {
        heap.pop();
    }
}

/// A caption on one line, cut to `most` characters.
pub fn shown(caption: &str, most: usize) -> String {
    let mut line = String::with_capacity(caption.len().min(4 * most));
    let mut count = 0;
    for word in caption.split_whitespace() {
        if count > 0 {
            line.push(' ');
            count += 1;
        }
        for c in word.chars() {
            if count >= most {
                line.push('…');
                return line;
            }
            line.push(c);
            count += 1;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        // Each case writes a file a shard and waits for the disk.
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn shards_merge_to_what_one_shard_would_give(
            rows in proptest::collection::vec((0u32..3, 0u8..20, any::<u64>()), 0..400),
            cut in 40usize..200,
        ) {
            let options = JudgeOptions { nearest: 3, farthest: 2, random: 4, ..JudgeOptions::default() };
            let folder = tempfile::tempdir().unwrap();
            let fact = |at: usize| Fact { form: (!at.is_multiple_of(3)).then_some(at as u64), junk: at.is_multiple_of(2), language: "en".into(), score: None };
            let add = |into: &mut Gathered, at: usize| {
                let (cluster, sim, uid) = rows[at];
                let row = GlobalRow::new((at / cut) as u32, (at % cut) as u32);
                into.add(cluster, row, Uid(uid.into()), f32::from(sim) / 20.0, || Some(format!("c{at}")), || fact(at));
            };
            let mut whole = Gathered::new(&options);
            (0..rows.len()).for_each(|at| add(&mut whole, at));
            let mut merged = Gathered::new(&options);
            for (number, start) in (0..rows.len()).step_by(cut).enumerate() {
                let mut part = Gathered::new(&options);
                (start..rows.len().min(start + cut)).for_each(|at| add(&mut part, at));
                let path = folder.path().join(format!("{number}.parquet"));
                part.write(&path).unwrap();
                merged.merge(&path).unwrap();
            }
            let all = |gathered: Gathered| gathered.finish().map(|(c, s)| (c, s.size, s.shown, s.facts)).collect::<Vec<_>>();
            let whole = all(whole);
            // Against the plain way: sort everything.
            for (cluster, size, shown, facts) in &whole {
                let mut of: Vec<usize> = (0..rows.len()).filter(|&at| rows[at].0 == *cluster).collect();
                prop_assert_eq!(*size, of.len() as u64);
                prop_assert_eq!(facts.len(), of.len().min(PROFILED));
                of.sort_by_key(|&at| (std::cmp::Reverse(rows[at].1), at));
                let nearest: Vec<Option<String>> = of.iter().take(3).map(|at| Some(format!("c{at}"))).collect();
                prop_assert_eq!(shown[0].iter().map(|m| m.caption.clone()).collect::<Vec<_>>(), nearest);
                of.sort_by_key(|&at| (rows[at].1, at));
                prop_assert_eq!(shown[1].iter().map(|m| m.uid).collect::<Vec<_>>(), of.iter().take(2).map(|&at| Uid(rows[at].2.into())).collect::<Vec<_>>());
            }
            prop_assert_eq!(all(merged), whole);
        }
    }

    #[test]
    fn captions_are_shown_on_one_line() {
        assert_eq!(shown("  a\n b\tc ", 9), "a b c");
        assert_eq!(shown("abcdef", 3), "abc…");
        assert_eq!(shown("äöü xyz", 5), "äöü x…");
    }
}
