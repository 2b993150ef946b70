//! From options to a finished pool folder: tars first (their hashes go into the metadata), then each metadata shard with its arrays.
//! `pool.json` appears last, by renaming the marker of an unfinished pool, so that a folder with it is whole.
use crate::embed::{Encoder, Scratch, score};
use crate::metadata::MetadataWriter;
use crate::npz::NpzWriter;
use crate::sample::{Sample, World};
use crate::tars::{tar_order, write_tar};
use crate::truth::{TRUTH_FILE, TruthRow, TruthWriter};
use crate::{ArraySpec, DemoError, PoolOptions};
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const MARKER: &str = "pool.json.partial";
const SUMMARY: &str = "pool.json";
/// Rows that are embedded together and written as one piece.
const BLOCK: usize = 4096;
/// Rows that one thread embeds at a time.
const CHUNK: usize = 64;

/// What a finished pool holds; also written as `pool.json`, the last file of a pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PoolSummary {
    /// The options the pool was made with.
    pub options: PoolOptions,
    /// Rows of all metadata shards.
    pub rows: u64,
    /// Metadata shards (parquet and npz pairs).
    pub metadata_shards: u64,
    /// Tars.
    pub tars: u64,
    /// Images inside the tars: rows minus planted download failures; 0 for a pool without images.
    pub images: u64,
    /// Bytes of all files but `pool.json`.
    pub bytes: u64,
    /// Rows by kind of image; sums to `rows`.
    pub kinds: BTreeMap<String, u64>,
    /// Rows by kind of caption; sums to `rows`.
    pub caption_kinds: BTreeMap<String, u64>,
    /// Rows by language of the caption; sums to `rows`.
    pub languages: BTreeMap<String, u64>,
    /// Rows by concept; sums to `rows`.
    pub concepts: BTreeMap<String, u64>,
}

impl PoolSummary {
    /// The summary of the finished pool in `dir`; `None` where there is none (no folder, no pool, or an unfinished one).
    pub fn open(dir: &Path) -> Result<Option<Self>, DemoError> {
        let path = &dir.join(SUMMARY);
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(DemoError::io("read", path)(error)),
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| DemoError::Malformed {
            path: path.clone(),
            row: None,
            expected: "the summary of a pool".to_owned(),
            found: error.to_string(),
        })
    }

    fn count(&mut self, row: &TruthRow) {
        let count = |counts: &mut BTreeMap<String, u64>, word: &str| match counts.get_mut(word) {
            Some(count) => *count += 1,
            None => {
                counts.insert(word.to_owned(), 1);
            }
        };
        count(&mut self.kinds, row.kind.as_str());
        count(&mut self.caption_kinds, row.caption_kind.as_str());
        count(&mut self.languages, row.language.as_str());
        count(&mut self.concepts, &row.concept);
    }
}

/// Counts units of work and tells the caller.
struct Progress<'a> {
    tell: &'a mut dyn FnMut(u64, u64),
    done: u64,
    total: u64,
}

impl Progress<'_> {
    fn add(&mut self, rows: u64) {
        self.done += rows;
        (self.tell)(self.done, self.total);
    }
}

/// Makes a pool in `dir`, which is created, or must be empty, or hold an interrupted pool, which is begun again. Refuses anything else with
/// [`DemoError::NotEmpty`]. `progress` gets units of work done and in total, from this thread: rows, counted once for images, once
/// for each array and once for metadata. Work runs on the current rayon pool; the bytes do not depend on it.
///
/// Memory: one tar's JPEGs (about 10 KiB a sample) plus 36 bytes a row of the pool where images are drawn; else about 300 bytes a row
/// of one metadata shard and some blocks of vectors, whatever the number of rows.
pub fn generate(
    options: &PoolOptions,
    dir: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<PoolSummary, DemoError> {
    options.validate()?;
    prepare(dir)?;
    let world = World::new(options);
    let passes = options.arrays.len() as u64 + 1 + u64::from(options.images);
    let metadata_shards =
        if options.metadata { options.rows.div_ceil(options.rows_per_metadata_shard) } else { 0 };
    let mut progress = Progress { tell: progress, done: 0, total: options.rows * passes };
    progress.add(0);
    let mut summary = PoolSummary {
        options: options.clone(),
        rows: options.rows,
        metadata_shards,
        tars: 0,
        images: 0,
        bytes: 0,
        kinds: BTreeMap::new(),
        caption_kinds: BTreeMap::new(),
        languages: BTreeMap::new(),
        concepts: BTreeMap::new(),
    };

    let mut hashes = Vec::new();
    if options.images {
        let folder = dir.join("shards");
        make_folder(&folder)?;
        hashes = vec![[0u8; 32]; options.rows as usize];
        let order = tar_order(&world);
        for (tar, rows) in order.chunks(options.samples_per_tar as usize).enumerate() {
            summary.images +=
                write_tar(&world, &folder, tar as u64, options.samples_per_tar, rows, &mut hashes)?;
            summary.tars += 1;
            progress.add(rows.len() as u64);
        }
    }

    let folder = dir.join("metadata");
    if options.metadata {
        make_folder(&folder)?;
    }
    let mut encoders = Vec::<(String, Encoder)>::new();
    for ArraySpec { name, dim } in &options.arrays {
        let (encoder, _) = split(name);
        if !encoders.iter().any(|(other, _)| other == encoder) {
            encoders.push((encoder.to_owned(), Encoder::new(options.seed, encoder, *dim)));
        }
    }
    let names: Vec<Arc<str>> =
        crate::draw::table::CONCEPTS.iter().map(|concept| concept.key.into()).collect();
    let mut truth = TruthWriter::create(&dir.join(TRUTH_FILE))?;
    // The truth is written in the same pieces whether or not there is metadata.
    for shard in 0..options.rows.div_ceil(options.rows_per_metadata_shard) {
        let first = shard * options.rows_per_metadata_shard;
        let rows = options.rows_per_metadata_shard.min(options.rows - first);
        let samples: Vec<Sample> =
            (first..first + rows).into_par_iter().map(|row| world.sample(row)).collect();
        let stem = format!("{shard:08}");
        let mut metadata = None;
        if options.metadata {
            let npz = folder.join(format!("{stem}.npz"));
            let scores = write_arrays(&world, options, &encoders, &samples, &npz, &mut progress)?;
            metadata = Some((MetadataWriter::create(&folder.join(format!("{stem}.parquet")))?, scores));
        }
        for (block, samples) in samples.chunks(BLOCK).enumerate() {
            let at = block * BLOCK..block * BLOCK + samples.len();
            if let Some((metadata, scores)) = &mut metadata {
                let block_hashes: Vec<[u8; 32]> =
                    samples.iter().map(|sample| hash(&world, sample, &hashes)).collect();
                metadata.write(&world, samples, &scores[0][at.clone()], &scores[1][at], &block_hashes)?;
            }
            let told: Vec<TruthRow> =
                samples.iter().map(|sample| truth_row(&world, sample, &names)).collect();
            told.iter().for_each(|row| summary.count(row));
            truth.write(&told)?;
            progress.add(samples.len() as u64);
        }
        if let Some((metadata, _)) = metadata {
            metadata.finish()?;
        }
    }
    truth.finish()?;
    finish(dir, &mut summary)?;
    Ok(summary)
}

/// `b32_img` is (`b32`, image).
fn split(array: &str) -> (&str, bool) {
    array.split_once('_').map_or((array, true), |(encoder, side)| (encoder, side == "img"))
}

/// Writes the npz of a shard and returns the two score columns (b32, l14), a number a row each. Where an encoder's two arrays are
/// both written, the score is the f64 dot product of the vectors before they were rounded to f16; else it is the planned cosine.
fn write_arrays(
    world: &World,
    options: &PoolOptions,
    encoders: &[(String, Encoder)],
    samples: &[Sample],
    path: &Path,
    progress: &mut Progress,
) -> Result<[Vec<f32>; 2], DemoError> {
    let planned = |name: &str| -> Vec<f32> {
        let known = encoders.iter().find(|(other, _)| other == name);
        let spare;
        let encoder = match known {
            Some((_, encoder)) => encoder,
            None => {
                spare = Encoder::new(options.seed, name, 8);
                &spare
            }
        };
        samples.par_iter().map(|sample| encoder.planned_score(world, sample)).collect()
    };
    let mut scores = [planned("b32"), planned("l14")];
    let mut npz = NpzWriter::create(path)?;
    let (mut vectors, mut pair_scores) = (Vec::<u16>::new(), Vec::<f32>::new());
    for ArraySpec { name, dim } in &options.arrays {
        let (encoder_name, is_image) = split(name);
        let Some((_, encoder)) = encoders.iter().find(|(other, _)| other == encoder_name) else { continue };
        let both = options.arrays.iter().any(|other| other.name == format!("{encoder_name}_img"));
        npz.begin(name, samples.len() as u64, *dim)?;
        for (block, samples) in samples.chunks(BLOCK).enumerate() {
            vectors.resize(samples.len() * dim, 0);
            pair_scores.resize(samples.len(), 0.0);
            vectors
                .par_chunks_mut(CHUNK * dim)
                .zip(pair_scores.par_chunks_mut(CHUNK))
                .zip(samples.par_chunks(CHUNK))
                .for_each_init(
                    || (Scratch::default(), vec![0f32; *dim], vec![0f32; *dim]),
                    |(scratch, image, text), ((vectors, scores), samples)| {
                        for ((vector, score_of), sample) in vectors.chunks_mut(*dim).zip(scores).zip(samples)
                        {
                            encoder.image(world, sample, scratch, image);
                            let chosen = if is_image {
                                &*image
                            } else {
                                encoder.text(world, sample, image, scratch, text);
                                *score_of = score(image, text);
                                &*text
                            };
                            let halves: &mut [half::f16] = bytemuck::cast_slice_mut(vector);
                            halves.convert_from_f32_slice(chosen);
                            halves
                                .iter_mut()
                                .for_each(|half| *half = half::f16::from_bits(half.to_bits().to_le()));
                        }
                    },
                );
            npz.write(bytemuck::cast_slice(&vectors))?;
            if both && !is_image {
                let column = &mut scores[usize::from(encoder_name == "l14")];
                column[block * BLOCK..][..samples.len()].copy_from_slice(&pair_scores);
            }
            progress.add(samples.len() as u64);
        }
    }
    npz.finish()?;
    Ok(scores)
}

/// The image's hash: of its bytes where it was drawn, else of what would decide them, so that byte copies still share it.
fn hash(world: &World, sample: &Sample, hashes: &[[u8; 32]]) -> [u8; 32] {
    if let Some(hash) = hashes.get(sample.row as usize) {
        return *hash;
    }
    let row = if sample.kind == crate::ImageKind::ByteCopy { sample.source } else { sample.row };
    Sha256::digest(world.uid(row).to_bytes()).into()
}

fn truth_row(world: &World, sample: &Sample, names: &[Arc<str>]) -> TruthRow {
    TruthRow {
        uid: world.uid(sample.row),
        concept: names[sample.latents.concept].clone(),
        kind: sample.kind,
        twin_of: sample.kind.is_twin().then(|| world.uid(sample.source)),
        caption_kind: sample.caption.kind,
        language: sample.caption.language,
        has_image: sample.has_image,
    }
}

fn make_folder(path: &Path) -> Result<(), DemoError> {
    std::fs::create_dir_all(path).map_err(DemoError::io("create", path))
}

/// Makes `dir` ready: empty but for the marker.
fn prepare(dir: &Path) -> Result<(), DemoError> {
    make_folder(dir)?;
    let marker = dir.join(MARKER);
    if marker.exists() {
        // An interrupted pool of ours: only what we write is removed.
        for folder in ["metadata", "shards"] {
            let path = dir.join(folder);
            if path.exists() {
                std::fs::remove_dir_all(&path).map_err(DemoError::io("remove", &path))?;
            }
        }
    } else if std::fs::read_dir(dir).map_err(DemoError::io("read", dir))?.next().is_some() {
        return Err(DemoError::NotEmpty { path: dir.to_owned() });
    }
    std::fs::write(&marker, b"").map_err(DemoError::io("write", &marker))
}

/// Measures the files and turns the marker into `pool.json`.
fn finish(dir: &Path, summary: &mut PoolSummary) -> Result<(), DemoError> {
    summary.bytes = bytes_of(&dir.join(TRUTH_FILE))?;
    for folder in ["metadata", "shards"] {
        let path = dir.join(folder);
        if !path.exists() {
            continue;
        }
        for entry in std::fs::read_dir(&path).map_err(DemoError::io("read", &path))? {
            summary.bytes += bytes_of(&entry.map_err(DemoError::io("read", &path))?.path())?;
        }
    }
    let (marker, path) = (dir.join(MARKER), dir.join(SUMMARY));
    let text = serde_json::to_string_pretty(&summary).map_err(|error| DemoError::Io {
        action: "write",
        path: marker.clone(),
        source: error.into(),
    })?;
    std::fs::write(&marker, text + "\n").map_err(DemoError::io("write", &marker))?;
    std::fs::rename(&marker, &path).map_err(DemoError::io("rename", &marker))
}

fn bytes_of(path: &Path) -> Result<u64, DemoError> {
    Ok(std::fs::metadata(path).map_err(DemoError::io("read", path))?.len())
}
