//! What the tests of whole steps share: a DataComp-like input written by hand, and a run through the real executor.
#![allow(dead_code, reason = "each test file uses a part")]
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::array::{ArrayRef, Float32Array, RecordBatch, StringArray};
use cribble_core::{Cancel, Recipe, Result, Silent, StepReport, Uid};
use cribble_io::source::{Dataset, OpenOptions};
use cribble_pipeline::{Executor, Limits, RunFolder, UidCache, read_selection, write_selection};

/// One row of a hand-made input.
#[derive(Debug, Clone)]
pub struct Row {
    pub uid: Uid,
    pub vector: Vec<f32>,
    pub score: f32,
    pub sha256: Option<String>,
}

/// Writes `rows` as DataComp metadata (array `emb`, f32) cut into shards of `shard_rows`.
pub fn write_input(dir: &Path, rows: &[Row], shard_rows: usize) -> PathBuf {
    let folder = dir.join("metadata");
    fs::create_dir_all(&folder).unwrap();
    for (index, shard) in rows.chunks(shard_rows.max(1)).enumerate() {
        let text = |f: &dyn Fn(&Row) -> Option<String>| -> ArrayRef {
            Arc::new(shard.iter().map(f).collect::<StringArray>())
        };
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("uid", text(&|row| Some(row.uid.to_string())), false),
            (
                "score",
                Arc::new(Float32Array::from_iter_values(shard.iter().map(|row| row.score))) as ArrayRef,
                true,
            ),
            ("sha256", text(&|row| row.sha256.clone()), true),
        ])
        .unwrap();
        let file = fs::File::create(folder.join(format!("{index:04}.parquet"))).unwrap();
        let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let dim = shard.first().map_or(1, |row| row.vector.len());
        let mut npy =
            format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {dim}), }}", shard.len());
        while (10 + npy.len() + 1) % 64 != 0 {
            npy.push(' ');
        }
        npy.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend_from_slice(&(npy.len() as u16).to_le_bytes());
        bytes.extend_from_slice(npy.as_bytes());
        shard
            .iter()
            .flat_map(|row| &row.vector)
            .for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        let mut zip = zip::ZipWriter::new(fs::File::create(folder.join(format!("{index:04}.npz"))).unwrap());
        zip.start_file(
            "emb.npy",
            zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored),
        )
        .unwrap();
        zip.write_all(&bytes).unwrap();
        zip.finish().unwrap();
    }
    folder
}

/// Runs a recipe (without its `[input]`) and returns the reports.
pub fn run(input: &Path, out: &Path, steps: &str, threads: usize, memory: u64) -> Result<Vec<StepReport>> {
    let recipe = Recipe::parse(&format!("[input]\npath = {:?}\n{steps}", input.display().to_string()))?;
    let dataset = Dataset::open(&OpenOptions::from(&recipe.input))?;
    let manifest = cribble_pipeline::ManifestInput {
        path: recipe.input.path.clone(),
        layout: dataset.layout().to_string(),
        shards: dataset.shards().len() as u64,
        rows: dataset.rows(),
        fingerprint: dataset.fingerprint().iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    let steps = cribble_steps::build(&recipe)?;
    let facts = cribble_pipeline::step_facts(&recipe, &steps, &dataset)?;
    let (mut run, _) = RunFolder::prepare(out, &recipe, &facts, manifest)?;
    let executor = Executor {
        dataset: &dataset,
        recipe: &recipe,
        steps: &steps,
        limits: Limits { memory, threads },
        progress: &Silent,
        cancel: &Cancel::new(),
        uids: UidCache::default(),
    };
    executor.check(&run)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let reports = pool.install(|| executor.run(&mut run, usize::MAX - 1))?;
    pool.install(|| write_selection(&executor, &run, true))?;
    run.finish()?;
    Ok(reports)
}

/// The selection of all shards, in order of the input: uid, and why it went.
pub fn selection(out: &Path) -> Vec<(Uid, Option<String>)> {
    let mut names: Vec<String> = fs::read_dir(out.join("selection"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
        .iter()
        .flat_map(|name| read_selection(out, name).unwrap())
        .map(|row| (row.uid, row.reason.map(|reason| reason.to_string())))
        .collect()
}

/// Every file of a run with its bytes, but for those that hold times.
pub fn files(out: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, files);
            } else if path.file_name().unwrap() != "report.json" {
                files
                    .insert(path.strip_prefix(root).unwrap().display().to_string(), fs::read(&path).unwrap());
            }
        }
    }
    let mut all = BTreeMap::new();
    walk(out, out, &mut all);
    all
}

/// A small generator of numbers, so that tests need no crate for it.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        Uid(u128::from(self.0)).mix(1)
    }
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }
}

/// Clustered unit vectors with planted near copies.
pub fn rows(count: usize, dim: usize, seed: u64) -> Vec<Row> {
    let mut random = Random(seed);
    let centres: Vec<Vec<f32>> = (0..7).map(|_| (0..dim).map(|_| random.normal()).collect()).collect();
    let mut rows: Vec<Row> = Vec::new();
    for index in 0..count {
        let vector = if index > 4 && random.unit() < 0.3 {
            let original = &rows[random.next() as usize % index].vector;
            let size = random.unit() * 0.25;
            original.iter().map(|value| value + size * random.normal() / (dim as f32).sqrt()).collect()
        } else {
            let centre = &centres[random.next() as usize % centres.len()];
            centre.iter().map(|value| value + 0.8 * random.normal()).collect::<Vec<f32>>()
        };
        let norm = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
        rows.push(Row {
            uid: Uid((u128::from(random.next()) << 64) | index as u128),
            vector: vector.iter().map(|v| v / norm).collect(),
            score: random.unit(),
            sha256: Some(format!("{:064x}", if random.unit() < 0.1 { 7 } else { index as u128 + 100 })),
        });
    }
    rows
}
