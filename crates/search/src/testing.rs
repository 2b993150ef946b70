//! Run folders for tests: a clip-retrieval folder of given vectors as input, and no steps.
use std::{path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, StringArray},
    datatypes::{DataType, Field, Schema},
};
use cribble_core::{Cancel, Recipe, Silent};
use cribble_io::{
    TableWriter,
    npy::{ElementType, NpyWriter},
    source::{Dataset, OpenOptions},
};
use cribble_pipeline::{Limits, ManifestInput, RunFolder, RunView, StepContext};
use half::f16;
use tempfile::TempDir;

/// Never cancelled.
pub static CANCEL: Cancel = Cancel::new();
/// The images' vectors, and the captions'.
pub const IMAGES: &str = "img_emb";
pub const TEXTS: &str = "text_emb";

/// A place with `pool` and `run`.
pub struct Place {
    pub dir: TempDir,
}

impl Place {
    /// With these shards, each `[n, dim]`; where `texts` is given the captions have vectors too.
    pub fn new(shards: &[Vec<f32>], texts: Option<&[Vec<f32>]>, dim: usize, half: bool) -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        place.write(shards, texts, dim, half);
        place
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// Writes input and run, in place of what is there.
    pub fn write(&self, shards: &[Vec<f32>], texts: Option<&[Vec<f32>]>, dim: usize, half: bool) {
        for (index, rows) in shards.iter().enumerate() {
            write_array(&self.path(&format!("pool/{IMAGES}/{IMAGES}_{index}.npy")), rows, dim, half);
            if let Some(texts) = texts {
                write_array(
                    &self.path(&format!("pool/{TEXTS}/{TEXTS}_{index}.npy")),
                    &texts[index],
                    dim,
                    half,
                );
            }
            let text = |make: &dyn Fn(usize) -> String| -> ArrayRef {
                Arc::new(StringArray::from_iter_values((0..rows.len() / dim).map(make)))
            };
            let field = |name: &str| Field::new(name, DataType::Utf8, true);
            let schema = Arc::new(Schema::new(vec![field("image_path"), field("caption")]));
            let path = self.path(&format!("pool/metadata/metadata_{index}.parquet"));
            let mut table = TableWriter::create(path, schema).unwrap();
            let paths = text(&|row| format!("{index}/{row}.jpg"));
            let captions = text(&|row| format!("caption {row} of {index}"));
            table.write_columns(vec![paths, captions]).unwrap();
            table.finish().unwrap();
        }
        let pool = self.path("pool").display().to_string();
        let dataset = Dataset::open(&OpenOptions::new(&pool)).unwrap();
        let fingerprint = dataset.fingerprint().iter().map(|byte| format!("{byte:02x}")).collect();
        let recipe = Recipe::parse(&format!("[input]\npath = {pool:?}\n")).unwrap();
        let input =
            ManifestInput { path: pool, fingerprint, rows: dataset.rows(), ..ManifestInput::default() };
        RunFolder::prepare(&self.path("run"), &recipe, &[], input).unwrap();
    }

    pub fn view(&self) -> RunView {
        RunView::open(&self.path("run")).unwrap()
    }
}

/// The context of a view under a ceiling of memory.
pub fn context(view: &RunView, memory: u64) -> StepContext<'_> {
    view.context(Limits { memory, threads: 2 }, &Silent, &CANCEL)
}

fn write_array(path: &Path, rows: &[f32], dim: usize, half: bool) {
    let element = if half { ElementType::F16 } else { ElementType::F32 };
    let mut file = NpyWriter::create(path, element, Some(dim as u64)).unwrap();
    if half {
        file.write(&halves(rows)).unwrap();
    } else {
        file.write(rows).unwrap();
    }
    file.finish().unwrap();
}

pub fn halves(rows: &[f32]) -> Vec<f16> {
    rows.iter().map(|&value| f16::from_f32(value)).collect()
}

/// Vectors around a few directions, by a seed.
pub fn rows(count: usize, dim: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..count)
        .flat_map(|row| {
            let middle = row * 7919 % 23;
            (0..dim).map(|at| ((at * 31 + middle * 17) % 13) as f32 / 13.0 - 0.5 + next()).collect::<Vec<_>>()
        })
        .collect()
}
