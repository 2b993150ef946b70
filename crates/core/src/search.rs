//! The answer to a search as one value: what the terminal, JSON and the contact sheet show are its faces.
use serde::{Deserialize, Serialize};

/// What was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Asked {
    /// Nothing: the first rows that fit the condition.
    #[default]
    Rows,
    /// What is like a text.
    Text {
        /// The text.
        text: String,
    },
    /// What is like an image.
    Image {
        /// Its file.
        file: String,
    },
    /// What is like a sample of the run, which is left out itself.
    Sample {
        /// The sample.
        uid: String,
        /// Its caption.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        caption: Option<String>,
    },
}

/// One row that was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SearchHit {
    /// Place in the answer, from 1.
    pub rank: u64,
    /// Cosine with what was asked; none where nothing was.
    pub similarity: Option<f64>,
    /// The sample.
    pub uid: String,
    /// Name of its shard.
    pub shard: String,
    /// Its row in the shard, from 0.
    pub row: u64,
    /// Whether the run keeps it (has kept it so far, where the run is not finished).
    pub kept: bool,
    /// Folder of the step that dropped it, or `decision`.
    pub dropped_by: Option<String>,
    /// Why it was dropped; also what a person said who had it kept.
    pub reason: Option<String>,
    /// Its caption in the input.
    pub caption: Option<String>,
    /// Its picture as a `data:` URL, for pages. No part of JSON.
    #[serde(skip)]
    pub picture: Option<String>,
}

/// An index that gave an answer, or that was just built.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IndexReport {
    /// The embedding.
    pub embedding: String,
    /// Its folder.
    pub folder: String,
    /// Rows in it: those with a vector.
    pub rows: u64,
    /// Cells that the rows are divided into.
    pub cells: u64,
    /// Cells that a query looks at.
    pub probes: u64,
    /// What was found of the true nearest rows, by the queries that it was tried with.
    pub recall: Vec<IndexRecall>,
    /// Bytes on disk.
    pub bytes: u64,
    /// Seconds that it took; none for an index that was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// The share of the true nearest rows that an index finds, by one kind of query.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IndexRecall {
    /// The embedding whose vectors asked.
    pub queries: String,
    /// How many asked.
    pub count: u64,
    /// Share of the 10 nearest rows that are found.
    pub at_10: f64,
    /// Share of the 100 nearest rows that are found.
    pub at_100: f64,
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SearchReport {
    /// The run folder.
    pub run: String,
    /// What was asked.
    pub query: Asked,
    /// The embedding that was searched.
    pub embedding: Option<String>,
    /// The model that made the query's vector.
    pub model: Option<String>,
    /// The condition on rows, as given.
    #[serde(rename = "where")]
    pub condition: Option<String>,
    /// `all`, `kept` or `dropped`: the rows that were asked for.
    pub of: String,
    /// Rows of the run.
    pub rows: u64,
    /// Rows that fit the condition; with an index, those that the index holds.
    pub searched: u64,
    /// `exact`, `index`, or `rows` where nothing was compared.
    pub method: String,
    /// The index, where it was used or built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<IndexReport>,
    /// Seconds of the search itself: not the start of the program, the opening of the input or the encoding of the query.
    pub seconds: f64,
    /// Sentences that must be said aloud: an unfinished run, shards without vectors, an index that was not used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What was found, the best first.
    pub hits: Vec<SearchHit>,
    /// The picture of what was asked as a `data:` URL, for pages. No part of JSON.
    #[serde(skip)]
    pub picture: Option<String>,
}
