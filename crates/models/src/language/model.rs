//! A supervised model of fastText: its file, and what it says of a text.
use super::{
    Prediction, Scratch,
    dictionary::{Dictionary, NGrams},
    file::Reader,
    loss::Loss,
    matrix::Matrix,
};
use crate::{ModelError, Result};
use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

const MAGIC: i32 = 793_712_314;
/// The newest version of the file format; 11 differs in that supervised models have no character n-grams.
const VERSION: i32 = 12;
/// fastText's number for supervised models.
const SUPERVISED: i32 = 3;

/// A fastText classifier from a `.bin` or a quantised `.ftz` file, such as `lid.176.bin` (131 MB, and as much memory) and `lid.176.ftz` (1 MB).
///
/// Answers are those of the Python package's `predict(text, k=1)`: the same label, the same probability but for rounding in the
/// exponential. Where that refuses a text with a line feed, this takes it for a space.
#[derive(Debug)]
pub struct LanguageModel {
    dictionary: Dictionary,
    input: Matrix,
    output: Matrix,
    loss: Loss,
}

impl LanguageModel {
    /// Reads a model file, about as fast as the disk does.
    ///
    /// # Errors
    /// [`ModelError::Io`] where the file cannot be read, [`ModelError::Malformed`] where it is not a supervised model of fastText or is damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let failed = |source| ModelError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        Self::read(BufReader::with_capacity(1 << 16, file), length, &path.display().to_string())
    }

    /// Reads a model of `length` bytes from anything; `place` names it in errors.
    ///
    /// # Errors
    /// As [`LanguageModel::open`].
    pub fn read(source: impl BufRead, length: u64, place: &str) -> Result<Self> {
        let mut reader = Reader::new(source, length, place);
        let what = "the parameters";
        if length < 8 || reader.i32(what)? != MAGIC {
            return Err(reader.malformed(
                "not a fastText model; lid.176.bin and lid.176.ftz from https://fasttext.cc/docs/en/language-identification.html are",
            ));
        }
        let version = reader.i32(what)?;
        if !(11..=VERSION).contains(&version) {
            return Err(
                reader.malformed(format!("version {version} of fastText's format; we read 11 and 12"))
            );
        }
        // Of the twelve i32 and one f64, what only training needs is passed over.
        let dimensions = reader.small_size(what)?;
        for _ in ["window", "epochs", "least count", "negatives"] {
            reader.i32(what)?;
        }
        let words = reader.i32(what)?;
        let (loss, kind) = (reader.i32(what)?, reader.i32(what)?);
        let (buckets, shortest, longest) = (reader.i32(what)?, reader.i32(what)?, reader.i32(what)?);
        let _rate_update = reader.i32(what)?;
        let _sampling = reader.i64(what)?;
        if kind != SUPERVISED {
            return Err(reader.malformed(
                "word vectors, not a classifier: a model trained with `fasttext supervised` is needed, such as lid.176.bin",
            ));
        }
        let longest = if version == 11 { 0 } else { longest };
        let dictionary = Dictionary::read(&mut reader, &NGrams { words, shortest, longest, buckets })?;

        let quantised = reader.flag("the input matrix")?;
        if !quantised && dictionary.is_pruned() {
            return Err(reader.malformed(
                "n-grams are pruned but the input matrix is not quantised (fastText issue #332); download the model again",
            ));
        }
        let input = Matrix::read(&mut reader, quantised, "input matrix")?;
        let quantised_output = reader.flag("the output matrix")? && quantised;
        let output = Matrix::read(&mut reader, quantised_output, "output matrix")?;
        if input.columns != dimensions || output.columns != dimensions {
            return Err(reader.malformed(format!(
                "rows of {} and {} values, {dimensions} in the parameters",
                input.columns, output.columns
            )));
        }
        let labels = dictionary.labels.len();
        if (input.rows as u64) < dictionary.rows_needed() || output.rows < labels {
            return Err(reader.malformed(format!(
                "{} input rows and {} output rows, {} and {labels} are needed",
                input.rows,
                output.rows,
                dictionary.rows_needed()
            )));
        }
        if reader.left() > 0 {
            return Err(reader.malformed(format!("{} bytes too many; the file is damaged", reader.left())));
        }
        let loss = Loss::new(loss, &dictionary.counts, &reader)?;
        Ok(Self { dictionary, input, output, loss })
    }

    /// The labels without `__label__`, in the file's order: `lid.176` has ISO 639-1 codes, and 639-3 where there is none.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        &self.dictionary.labels
    }

    /// The best label of `text`; `None` where fastText gives none either: nothing of the text is known to the model.
    ///
    /// Work grows linearly with the text. As fastText does, a text that spells out `</s>` is read up to there.
    #[must_use]
    pub fn predict(&self, text: &str, scratch: &mut Scratch) -> Option<Prediction> {
        let Scratch { hidden, tokens, .. } = scratch;
        hidden.clear();
        hidden.resize(self.input.columns, 0.0);
        let mut count = 0_u64;
        self.dictionary.rows(text, tokens, |row| {
            self.input.add_row(row, hidden);
            count += 1;
        });
        if count == 0 {
            return None;
        }
        let scale = (1.0 / count as f64) as f32;
        hidden.iter_mut().for_each(|value| *value *= scale);
        self.loss.best(&self.output, self.dictionary.labels.len(), scratch)
    }
}
