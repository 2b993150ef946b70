//! A text for each cluster: the title that a judge gave it, else the words that its most typical captions have and those of other clusters have not.
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, Float32Array, Int32Array, Int64Array, StringArray},
    datatypes::{DataType, Field, Float32Type, Int32Type, Schema},
};
use cribble_core::Result;
use cribble_pipeline::{StepContext, write_columns};

use super::{TITLE, Table};

/// Captions nearest to a centroid that are read for its words.
const CAPTIONS: usize = 24;
/// Words of a label.
const WORDS: usize = 3;
/// Labels that are shown however far away one looks; of each further level there are four times as many.
const FIRST_LEVEL: usize = 12;

/// The labels of the clusters that have rows on the map.
#[derive(Default)]
pub(super) struct Labels {
    clusters: BTreeMap<i32, Label>,
}

#[derive(Default)]
struct Label {
    text: Option<String>,
    /// The nearest captions: similarity, order of the input, words.
    captions: Vec<(f32, u64, String)>,
    rows: u64,
    sum: [f64; 2],
}

/// Reads all rows that are wanted and finds the texts.
pub(super) fn gather(context: &StepContext<'_>, table: &Table<'_>) -> Result<Labels> {
    let mut labels = Labels::default();
    let mut order = 0;
    context.progress.begin("labels", u64::from(context.shards()), "shards");
    for shard in 0..context.shards() {
        context.cancel.check()?;
        let part = table.read(shard)?;
        let captions = table.captions(&part)?;
        let captions = captions.as_ref().map(|captions| captions.as_string::<i32>());
        let titles = part.columns.column_by_name(TITLE).and_then(|column| column.as_string_opt::<i32>());
        let clusters = part.cluster.as_primitive::<Int32Type>();
        let similarities = part.similarity.as_primitive::<Float32Type>();
        for row in 0..part.uids.len() {
            order += 1;
            if !part.wanted[row] || clusters.is_null(row) {
                continue;
            }
            let label = labels.clusters.entry(clusters.value(row)).or_default();
            if let Some(titles) = titles.filter(|titles| label.text.is_none() && titles.is_valid(row)) {
                label.text = Some(titles.value(row).to_owned());
            }
            if let Some(captions) = captions.filter(|captions| captions.is_valid(row)) {
                label.offer(similarities.value(row), order, captions.value(row));
            }
        }
        context.progress.advance(1);
    }
    context.progress.end();
    labels.choose_words();
    Ok(labels)
}

impl Label {
    fn offer(&mut self, similarity: f32, order: u64, caption: &str) {
        if self.text.is_some() {
            return;
        }
        self.captions.push((similarity, order, caption.to_owned()));
        if self.captions.len() >= 2 * CAPTIONS {
            self.keep_nearest();
        }
    }

    fn keep_nearest(&mut self) {
        self.captions.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        self.captions.truncate(CAPTIONS);
    }

    /// In how many of its captions each word stands.
    fn words(&mut self) -> BTreeMap<String, u32> {
        self.keep_nearest();
        let mut counts = BTreeMap::new();
        for (_, _, caption) in self.captions.drain(..) {
            for word in words(&caption) {
                *counts.entry(word).or_default() += 1;
            }
        }
        counts
    }
}

/// The words of a caption, each once: lower case, of letters, at least three of them.
fn words(caption: &str) -> BTreeSet<String> {
    let parts = caption.split(|c: char| !c.is_alphabetic() && c != '\'');
    parts.filter(|word| word.chars().count() >= 3).map(str::to_lowercase).collect()
}

impl Labels {
    /// Gives every cluster without a title its words: those with the largest count × ln(clusters / clusters that have the word too).
    fn choose_words(&mut self) {
        let own: BTreeMap<i32, BTreeMap<String, u32>> = self
            .clusters
            .iter_mut()
            .filter(|(_, label)| label.text.is_none())
            .map(|(cluster, label)| (*cluster, label.words()))
            .filter(|(_, words)| !words.is_empty())
            .collect();
        let mut spread: BTreeMap<&str, u32> = BTreeMap::new();
        for word in own.values().flat_map(BTreeMap::keys) {
            *spread.entry(word).or_default() += 1;
        }
        // One more, so that a word of all clusters still counts a little: a cluster that is alone has words too.
        let total = own.len() as f64 + 1.0;
        for (cluster, counts) in &own {
            let weight = |word: &str, count: u32| f64::from(count) * (total / f64::from(spread[word])).ln();
            let mut ranked: Vec<(f64, &str)> =
                counts.iter().map(|(word, count)| (weight(word, *count), word.as_str())).collect();
            ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
            let text: Vec<&str> = ranked.iter().take(WORDS).map(|(_, word)| *word).collect();
            if let Some(label) = self.clusters.get_mut(cluster).filter(|_| !text.is_empty()) {
                label.text = Some(text.join(", "));
            }
        }
    }

    /// The text of a cluster.
    pub(super) fn title(&self, cluster: i32) -> Option<&str> {
        self.clusters.get(&cluster)?.text.as_deref()
    }

    /// Counts a row of a cluster at its place.
    pub(super) fn add(&mut self, cluster: i32, place: [f32; 2]) {
        let label = self.clusters.entry(cluster).or_default();
        label.rows += 1;
        label.sum = [label.sum[0] + f64::from(place[0]), label.sum[1] + f64::from(place[1])];
    }

    /// Writes `x, y, text, level, priority` and the cluster, the largest first: each at the mean place of its rows, which are its priority. Returns the count.
    pub(super) fn write(&self, path: &Path) -> Result<u64> {
        let named = self.clusters.iter().filter(|(_, label)| label.rows > 0);
        let mut named: Vec<(i32, &Label, &str)> =
            named.filter_map(|(cluster, label)| Some((*cluster, label, label.text.as_deref()?))).collect();
        named.sort_by_key(|(cluster, label, _)| (std::cmp::Reverse(label.rows), *cluster));
        let mean = |axis: usize| -> ArrayRef {
            let means = named.iter().map(|(_, label, _)| (label.sum[axis] / label.rows as f64) as f32);
            Arc::new(Float32Array::from_iter_values(means))
        };
        let level = |rank: usize| (rank / FIRST_LEVEL + 1).ilog(4) as i32;
        let columns: Vec<(&str, DataType, ArrayRef)> = vec![
            ("x", DataType::Float32, mean(0)),
            ("y", DataType::Float32, mean(1)),
            (
                "text",
                DataType::Utf8,
                Arc::new(StringArray::from_iter_values(named.iter().map(|label| label.2))),
            ),
            ("level", DataType::Int32, Arc::new(Int32Array::from_iter_values((0..named.len()).map(level)))),
            (
                "priority",
                DataType::Int64,
                Arc::new(Int64Array::from_iter_values(named.iter().map(|label| label.1.rows as i64))),
            ),
            (
                "cluster",
                DataType::Int32,
                Arc::new(Int32Array::from_iter_values(named.iter().map(|label| label.0))),
            ),
        ];
        let fields: Vec<Field> =
            columns.iter().map(|(name, kind, _)| Field::new(*name, kind.clone(), false)).collect();
        write_columns(path, Schema::new(fields), columns.into_iter().map(|column| column.2).collect())?;
        Ok(named.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(captions: &[(i32, &[&str])]) -> Labels {
        let mut labels = Labels::default();
        for (cluster, captions) in captions {
            let label = labels.clusters.entry(*cluster).or_default();
            captions
                .iter()
                .enumerate()
                .for_each(|(at, caption)| label.offer(1.0 - at as f32, at as u64, caption));
        }
        labels.choose_words();
        labels
    }

    #[test]
    fn words_are_those_that_tell_clusters_apart() {
        let found = labels(&[
            (0, &["a red car in the snow", "The car", "car, 12 cars"]),
            (1, &["the dog in the park", "a dog"]),
            (2, &["12 ab"]),
            (3, &[]),
        ]);
        assert_eq!(found.title(0), Some("car, cars, red"));
        assert_eq!(found.title(1), Some("dog, park, the"));
        assert_eq!((found.title(2), found.title(3), found.title(9)), (None, None, None));
        assert_eq!(labels(&[(5, &["ein Haus", "Haus"])]).title(5), Some("haus, ein"));
        // Only the nearest captions count.
        let many: Vec<&str> =
            std::iter::repeat_n("near", CAPTIONS).chain(std::iter::repeat_n("far", 200)).collect();
        assert_eq!(labels(&[(0, &many)]).title(0), Some("near"));
    }

    #[test]
    fn the_largest_come_first_at_the_mean_of_their_rows() {
        let mut found = labels(&[(0, &["one"]), (1, &["two"]), (2, &["three"])]);
        for (cluster, place) in [(0, [1.0, 2.0]), (1, [0.0, 0.0]), (1, [2.0, 4.0]), (7, [0.0, 0.0])] {
            found.add(cluster, place);
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("labels.parquet");
        assert_eq!(found.write(&path).unwrap(), 2, "one has no rows, one no text");
        let column = |name| cribble_pipeline::read_column(&path, name).unwrap();
        assert_eq!(column("text").as_string::<i32>().value(0), "two");
        assert_eq!(column("y").as_primitive::<Float32Type>().values()[..], [2.0, 2.0]);
        assert_eq!(column("cluster").as_primitive::<Int32Type>().values()[..], [1, 0]);
        assert_eq!(column("level").null_count() + column("priority").null_count(), 0);
    }
}
