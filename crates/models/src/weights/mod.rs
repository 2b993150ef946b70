//! The tensors of a checkpoint, read one at a time and turned into f32. Our own reader of safetensors: the format is small, the file is
//! untrusted, and reading by range needs neither a copy of the file nor a memory map of it.
mod header;

use crate::{
    ModelError, Result,
    source::{Blob, Source},
};
use half::slice::HalfFloatSliceExt;
use header::{Entry, Stored};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

/// Bytes of a tensor that are read and converted at a time.
const CHUNK: usize = 1 << 20;

/// Whose names a checkpoint's files and tensors have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `transformers`: `model.safetensors`, or shards and `model.safetensors.index.json`.
    HuggingFace,
    /// open_clip: `open_clip_model.safetensors` (or `open_clip_pytorch_model.safetensors`), else `model.safetensors`.
    OpenClip,
}

impl Layout {
    /// The names under which a whole checkpoint may lie, first choice first.
    const fn names(self) -> &'static [&'static str] {
        match self {
            Self::HuggingFace => &["model.safetensors"],
            Self::OpenClip => {
                &["open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors"]
            }
        }
    }
}

/// The list of shards of a large checkpoint.
const INDEX: &str = "model.safetensors.index.json";
/// What PyTorch writes: pickles, which are never read.
const PICKLES: [&str; 3] =
    ["pytorch_model.bin", "pytorch_model.bin.index.json", "open_clip_pytorch_model.bin"];

/// The tensors of a checkpoint by name.
#[derive(Debug)]
pub struct Weights {
    place: String,
    files: Vec<(String, Blob)>,
    tensors: BTreeMap<String, Tensor>,
}

#[derive(Debug)]
struct Tensor {
    file: usize,
    entry: Entry,
    used: AtomicBool,
}

impl Weights {
    /// Opens the weights of a checkpoint and checks their headers. Tensors are read when they are asked for.
    ///
    /// # Errors
    /// [`ModelError::Missing`] where there are none (or only pickles: it says how to convert them), [`ModelError::Malformed`] for a file
    /// that breaks the format.
    pub fn open(source: &Source, layout: Layout) -> Result<Self> {
        let mut weights = Self { place: source.describe(), files: Vec::new(), tensors: BTreeMap::new() };
        for name in layout.names() {
            if let Some(blob) = source.blob(name)? {
                weights.add(name, blob, None)?;
                return Ok(weights);
            }
        }
        let Some(index) = source.read(INDEX)? else { return Err(none(source, layout)?) };
        let place = source.place(INDEX);
        for (shard, names) in shards(&index, &place)? {
            let blob = source.blob(&shard)?.ok_or_else(|| ModelError::Missing {
                place: source.describe(),
                what: format!("'{shard}', which {INDEX} lists,"),
                cure: "the download is not complete: get the checkpoint again".into(),
            })?;
            weights.add(&shard, blob, Some(&names))?;
        }
        Ok(weights)
    }

    /// Takes in the tensors of a file: all of them, or those that the index says lie in it.
    fn add(&mut self, name: &str, blob: Blob, listed: Option<&[String]>) -> Result<()> {
        let mut entries = header::read(&blob)?;
        let file = self.files.len();
        if let Some(listed) = listed {
            let mut kept = BTreeMap::new();
            for tensor in listed {
                let entry = entries.remove(tensor).ok_or_else(|| ModelError::Malformed {
                    place: blob.place().display().to_string(),
                    what: format!("tensor '{tensor}' is not in it, though {INDEX} says so"),
                })?;
                kept.insert(tensor.clone(), entry);
            }
            entries = kept;
        }
        self.tensors.extend(
            entries
                .into_iter()
                .map(|(name, entry)| (name, Tensor { file, entry, used: AtomicBool::new(false) })),
        );
        self.files.push((name.into(), blob));
        Ok(())
    }

    /// Whether there is a tensor of this name. Asking is not using: see [`Weights::unused`].
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The shape of a tensor, where it is there.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|tensor| tensor.entry.shape.as_slice())
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The names of tensors that nobody has read yet, sorted: after a model is built, what it did not understand.
    pub fn unused(&self) -> Vec<&str> {
        let left = self.tensors.iter().filter(|(_, tensor)| !tensor.used.load(Relaxed));
        left.map(|(name, _)| name.as_str()).collect()
    }

    /// The names of the files that the tensors came from.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|(name, _)| name.as_str())
    }

    /// Reads a tensor, row-major, as f32. f16 and bf16 convert exactly, f64 and integers to the nearest f32.
    ///
    /// # Errors
    /// [`ModelError::Missing`] where it is not there, [`ModelError::Shape`] where its shape is another, [`ModelError::Malformed`] for
    /// 8-bit floats, [`ModelError::Io`] where the file fails.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let tensor = self.tensors.get(name).ok_or_else(|| ModelError::Missing {
            place: self.place.clone(),
            what: format!("tensor '{name}'"),
            cure: "the weights are not complete, or not of the architecture that the config names".into(),
        })?;
        let (blob, entry) = (&self.files[tensor.file].1, &tensor.entry);
        if entry.shape != shape {
            return Err(ModelError::Shape {
                place: blob.place().display().to_string(),
                tensor: name.into(),
                found: entry.shape.clone(),
                expected: shape.into(),
            });
        }
        if entry.stored == Stored::F8 {
            return Err(ModelError::Malformed {
                place: blob.place().display().to_string(),
                what: format!("tensor '{name}' holds 8-bit floats; use the f32, f16 or bf16 checkpoint"),
            });
        }
        tensor.used.store(true, Relaxed);
        read(blob, entry)
    }

    /// The identity of the weights: one `sha256:…` or `blake3:…` of one file, the hash over the files' hashes of several
    /// (see [`Source::digest`]).
    ///
    /// # Errors
    /// [`ModelError::Io`] where a file cannot be read.
    pub fn hash(&self, source: &Source) -> Result<String> {
        let names: Vec<&str> = self.files().collect();
        source.digests(&names)
    }
}

/// The error for a checkpoint without safetensors.
fn none(source: &Source, layout: Layout) -> Result<ModelError> {
    for pickle in PICKLES {
        if source.has(pickle)? {
            let target = layout.names()[0];
            return Ok(ModelError::Missing {
                place: source.describe(),
                what: format!(
                    "{target} (there is only {pickle}, a pickle, which can run code and is never opened)"
                ),
                cure: format!(
                    "convert it: python -c \"import torch, safetensors.torch as s; s.save_file({{k: v.clone().contiguous() for k, v in \
                     torch.load('{pickle}', weights_only=True).items()}}, '{target}')\""
                ),
            });
        }
    }
    Ok(ModelError::Missing {
        place: source.describe(),
        what: format!("{} or {INDEX}", layout.names().join(" or ")),
        cure: "is this the folder of a checkpoint?".into(),
    })
}

/// The shards that an index lists, each with the tensors that lie in it.
fn shards(index: &[u8], place: &str) -> Result<BTreeMap<String, Vec<String>>> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let bad = |what: String| ModelError::Malformed { place: place.into(), what };
    let index: Index = serde_json::from_slice(index).map_err(|error| bad(error.to_string()))?;
    let mut shards: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (tensor, shard) in index.weight_map {
        shards.entry(shard).or_default().push(tensor);
    }
    match shards.is_empty() {
        true => Err(bad("weight_map is empty".into())),
        false => Ok(shards),
    }
}

fn read(blob: &Blob, entry: &Entry) -> Result<Vec<f32>> {
    let mut numbers = vec![0_f32; entry.count];
    if entry.stored == Stored::F32 && cfg!(target_endian = "little") {
        blob.read_at(entry.offset, bytemuck::cast_slice_mut(&mut numbers))?;
        return Ok(numbers);
    }
    let bytes = entry.stored.bytes();
    let step = CHUNK / bytes;
    let mut buffer = vec![0_u8; step.min(entry.count) * bytes];
    let mut offset = entry.offset;
    for into in numbers.chunks_mut(step) {
        let from = &mut buffer[..into.len() * bytes];
        blob.read_at(offset, from)?;
        convert(entry.stored, from, into);
        offset += from.len() as u64;
    }
    Ok(numbers)
}

/// Little-endian numbers of any stored kind as f32.
fn convert(stored: Stored, from: &[u8], into: &mut [f32]) {
    fn each<const N: usize>(from: &[u8], into: &mut [f32], number: impl Fn([u8; N]) -> f32) {
        let (words, _) = from.as_chunks::<N>();
        for (word, into) in words.iter().zip(into) {
            *into = number(*word);
        }
    }
    match stored {
        Stored::F32 => each(from, into, f32::from_le_bytes),
        Stored::F64 => each(from, into, |word| f64::from_le_bytes(word) as f32),
        // The slice conversion uses the processor's instruction where it has one; a big-endian machine goes word by word.
        Stored::F16 if cfg!(target_endian = "little") => {
            match bytemuck::try_cast_slice::<u8, half::f16>(from) {
                Ok(halves) => halves.convert_to_f32_slice(into),
                Err(_) => each(from, into, |word| half::f16::from_le_bytes(word).to_f32()),
            }
        }
        Stored::F16 => each(from, into, |word| half::f16::from_le_bytes(word).to_f32()),
        Stored::Bf16 => each(from, into, |word| half::bf16::from_le_bytes(word).to_f32()),
        Stored::Int(8) => each(from, into, |word| i64::from_le_bytes(word) as f32),
        Stored::Int(4) => each(from, into, |word| i32::from_le_bytes(word) as f32),
        Stored::Int(2) => each(from, into, |word| f32::from(i16::from_le_bytes(word))),
        Stored::Int(_) => each(from, into, |word| f32::from(i8::from_le_bytes(word))),
        Stored::UInt(8) => each(from, into, |word| u64::from_le_bytes(word) as f32),
        Stored::UInt(4) => each(from, into, |word| u32::from_le_bytes(word) as f32),
        Stored::UInt(2) => each(from, into, |word| f32::from(u16::from_le_bytes(word))),
        Stored::UInt(_) => each(from, into, |word| f32::from(u8::from_le_bytes(word))),
        Stored::F8 => into.fill(f32::NAN),
    }
}

#[cfg(test)]
mod tests;
