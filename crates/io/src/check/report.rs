//! What a check found, as plain data: the terminal, `--json` and tests read the same value.
use serde::Serialize;

/// The result of [`super::check`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckReport {
    /// The location as given.
    pub path: String,
    /// The layout, for people.
    pub layout: String,
    /// Why it was taken for that.
    pub why: String,
    /// Things worth knowing, such as that there are no arrays.
    pub notes: Vec<String>,
    /// The input fingerprint, hexadecimal.
    pub fingerprint: String,
    /// Number of shards.
    pub shards: u64,
    /// Shards without rows.
    pub empty_shards: u64,
    /// Rows of all shards.
    pub rows: u64,
    /// Rows of the smallest shard.
    pub smallest_shard_rows: u64,
    /// Rows of the largest shard.
    pub largest_shard_rows: u64,
    /// The columns, in order.
    pub columns: Vec<ColumnReport>,
    /// Whether uids were made from file name and key.
    pub made_uids: bool,
    /// The arrays, sorted by name.
    pub arrays: Vec<ArrayReport>,
    /// Uids that occur more than once.
    pub duplicates: Duplicates,
    /// Whether rows and arrays belong together.
    pub alignment: Alignment,
}

impl CheckReport {
    /// Whether nothing is wrong with the input: unique uids, no zero or broken vectors in the sample, alignment not broken.
    pub fn is_sound(&self) -> bool {
        self.duplicates.uids == 0
            && self.arrays.iter().all(|array| array.zero == 0 && array.not_finite == 0)
            && self.alignment.verdict != AlignmentVerdict::Broken
    }
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnReport {
    /// Its name.
    pub name: String,
    /// Its type, as Arrow writes it.
    pub kind: String,
}

/// An array, with what a sample of its rows looks like.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArrayReport {
    /// Its name.
    pub name: String,
    /// Elements of a row.
    pub dim: usize,
    /// Type of an element.
    pub dtype: String,
    /// Rows looked at.
    pub sampled: u64,
    /// Rows among them of zeros only.
    pub zero: u64,
    /// Rows among them with NaN or infinity.
    pub not_finite: u64,
    /// Rows among them whose length is 1 within 0.01.
    pub unit: u64,
    /// Smallest length of the finite rows; 0 when there are none.
    pub smallest_norm: f64,
    /// Mean length of the finite rows; 0 when there are none.
    pub mean_norm: f64,
    /// Largest length of the finite rows; 0 when there are none.
    pub largest_norm: f64,
}

/// Uids that occur more than once, counted exactly.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Duplicates {
    /// Different uids that occur more than once.
    pub uids: u64,
    /// Rows that repeat an earlier one.
    pub extra_rows: u64,
    /// The first few, by their first place.
    pub first: Vec<DuplicateUid>,
}

/// A uid that occurs more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DuplicateUid {
    /// The uid, hexadecimal.
    pub uid: String,
    /// How often it occurs.
    pub times: u64,
    /// Its first places, at most three.
    pub places: Vec<Place>,
}

/// A row of a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The name of the shard.
    pub shard: String,
    /// The row in it, from 0.
    pub row: u64,
}

/// Whether rows and arrays belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlignmentVerdict {
    /// A score column was recomputed from the arrays and agrees in every shard.
    Proven,
    /// There is no score column with its two arrays: only the numbers of rows agree.
    NotProvable,
    /// A score column disagrees with the arrays.
    Broken,
}

/// The proof of alignment, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alignment {
    /// The result.
    pub verdict: AlignmentVerdict,
    /// One sentence without a full stop.
    pub why: String,
    /// Every score that was recomputed.
    pub scores: Vec<ScoreCheck>,
}

/// A score column against the arrays that it was made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoreCheck {
    /// The column.
    pub column: String,
    /// The array of the images.
    pub image_array: String,
    /// The array of the texts.
    pub text_array: String,
    /// Rows compared.
    pub rows: u64,
    /// Mean absolute difference of score and recomputed cosine similarity; 0 when no rows could be compared.
    pub mean_abs_difference: f64,
    /// Pearson correlation of the two over all rows compared; `null` when one of them is constant.
    pub correlation: Option<f64>,
    /// The shards that do not fit, in order.
    pub unaligned: Vec<UnalignedShard>,
}

/// A shard whose scores do not fit its arrays.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnalignedShard {
    /// Its name.
    pub shard: String,
    /// First row of the piece that does not fit.
    pub row: u64,
    /// Mean absolute difference as the files lie.
    pub mean_abs_difference: f64,
    /// By how many rows the image array would have to be read further on (row i of the table fits row i + shift), if any shift within 3 fits.
    pub image_shift: Option<i64>,
    /// The same for the text array.
    pub text_shift: Option<i64>,
    /// In words, such as `shard 0007: scores fit when the arrays are shifted by +1 row`.
    pub message: String,
}
