//! One batch on one thread: read the images, decode them, encode images and captions. Nothing here depends on what else is in the batch.
use std::sync::{Mutex, PoisonError};

use cribble_core::{Error, Result};
use cribble_io::{Storage, source::LastFile};
use cribble_models::{ImageTower, TextTower, Tokens};
use cribble_pipeline::images::{Fault, image_bytes};
use cribble_pixels::{Limits, Mode, PixelError, Scratch};
use half::f16;

use crate::{encoder::cosine, sample_rows::Sample};

/// The vectors of a row; empty where there is no such tower.
#[derive(Default)]
pub struct Vectors {
    pub image: Vec<f16>,
    pub text: Vec<f16>,
    /// Cosine of the two, where there are both.
    pub score: Option<f32>,
    /// Tokens that did not fit.
    pub cut: u32,
}

/// A row's answer, and the bytes that its image had.
pub struct Outcome {
    pub row: usize,
    pub result: Result<Vectors, Fault>,
    pub bytes: u64,
}

/// The encoders of one run of a step, shared by all threads.
pub struct Encoders<'a> {
    pub storage: &'a dyn Storage,
    pub images: Option<&'a ImageTower>,
    pub texts: Option<&'a TextTower>,
    pub dim: usize,
    pub mode: Mode,
    pub max_pixels: u64,
    pub calm_pixels: u64,
    /// Held while an image of more than `calm_pixels` is decoded.
    pub huge: Mutex<()>,
    /// Buffers of threads that are at rest.
    pub desks: Mutex<Vec<Desk>>,
}

/// The buffers of one thread.
#[derive(Default)]
pub struct Desk {
    scratch: Scratch,
    pixels: Vec<f32>,
    last: LastFile,
}

impl Encoders<'_> {
    /// Embeds a batch. Fails only when something other than a sample is at fault.
    pub fn embed(&self, samples: &[Sample]) -> Result<Vec<Outcome>> {
        let mut desk = self.desks.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        let outcomes = self.embed_at(&mut desk, samples);
        self.desks.lock().unwrap_or_else(PoisonError::into_inner).push(desk);
        outcomes
    }

    fn embed_at(&self, desk: &mut Desk, samples: &[Sample]) -> Result<Vec<Outcome>> {
        let pixels_each = self.images.map_or(0, |tower| {
            let (height, width) = tower.preprocess().size();
            3 * height * width
        });
        desk.pixels.resize(samples.len() * pixels_each, 0.0);
        let mut outcomes = Vec::with_capacity(samples.len());
        // The good samples stand close together in the buffers.
        let (mut good, mut tokens) = (Vec::new(), Vec::new());
        for sample in samples {
            let mut bytes = 0;
            let slot = good.len() * pixels_each..(good.len() + 1) * pixels_each;
            let made = match self.image(desk, sample, slot, &mut bytes)? {
                Err(fault) => Err(fault),
                Ok(()) => self.tokens(sample),
            };
            let result = made.map(|made| {
                let cut = made.as_ref().map_or(0, |made| made.cut);
                good.push(outcomes.len());
                tokens.extend(made);
                Vectors { cut, ..Vectors::default() }
            });
            outcomes.push(Outcome { row: sample.row, result, bytes });
        }
        let images =
            self.images.map(|tower| tower.encode(&desk.pixels[..good.len() * pixels_each], good.len()));
        let texts = self.texts.map(|tower| tower.encode(&tokens)).transpose()?;
        let row = |all: &Option<Vec<f32>>, at: usize| -> Option<Vec<f32>> {
            all.as_ref().map(|all| all[at * self.dim..(at + 1) * self.dim].to_vec())
        };
        for vectors in images.iter().chain(&texts) {
            if vectors.len() != good.len() * self.dim {
                return Err(Error::bug(format!("{} numbers for {} samples", vectors.len(), good.len())));
            }
        }
        for (at, &place) in good.iter().enumerate() {
            let outcome = &mut outcomes[place];
            let (image, text) = (row(&images, at), row(&texts, at));
            // The towers answer with zeros where they came to no finite numbers.
            if image.iter().chain(&text).any(|vector| vector.iter().all(|&value| value == 0.0)) {
                outcome.result =
                    Err(Fault::new("zero_vector", "the encoder gave a vector without a direction"));
                continue;
            }
            if let Ok(vectors) = &mut outcome.result {
                vectors.score = image.as_ref().zip(text.as_ref()).map(|(image, text)| cosine(image, text));
                vectors.image = halves(image.as_deref().unwrap_or_default());
                vectors.text = halves(text.as_deref().unwrap_or_default());
            }
        }
        Ok(outcomes)
    }

    /// Decodes a sample's image into its slot of the pixels.
    fn image(
        &self,
        desk: &mut Desk,
        sample: &Sample,
        slot: std::ops::Range<usize>,
        length: &mut u64,
    ) -> Result<Result<(), Fault>> {
        let Some(tower) = self.images else { return Ok(Ok(())) };
        let (place, bytes) = match image_bytes(self.storage, &mut desk.last, sample.image.as_ref())? {
            Ok(read) => read,
            Err(fault) => return Ok(Err(fault)),
        };
        *length = bytes.len() as u64;
        let run = |scratch: &mut Scratch, max_pixels: u64, out: &mut [f32]| {
            tower.preprocess().run(&bytes, self.mode, &Limits { max_pixels }, scratch, out)
        };
        let out = &mut desk.pixels[slot];
        let mut result = run(&mut desk.scratch, self.calm_pixels, out);
        if matches!(result, Err(PixelError::TooManyPixels { .. })) && self.calm_pixels < self.max_pixels {
            // One at a time, and in buffers of its own that go when it is done: memory is counted for one such image.
            let _one = self.huge.lock().unwrap_or_else(PoisonError::into_inner);
            result = run(&mut Scratch::default(), self.max_pixels, out);
        }
        Ok(result.map_err(|error| Fault::new(error.code(), format!("{}: {error}", place.name))))
    }

    fn tokens(&self, sample: &Sample) -> Result<Option<Tokens>, Fault> {
        let Some(tower) = self.texts else { return Ok(None) };
        let Some(text) = &sample.text else {
            return Err(Fault::new("no_caption", "the sample has no caption"));
        };
        match tower.tokenizer().encode(text) {
            Ok(tokens) => Ok(Some(tokens)),
            Err(error) => Err(Fault::new("bad_caption", error.to_string())),
        }
    }
}

fn halves(vector: &[f32]) -> Vec<f16> {
    vector.iter().map(|&value| f16::from_f32(value)).collect()
}
