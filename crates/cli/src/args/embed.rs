//! `embed`: a verb of its own file, because its input is never a bare array.
use std::path::PathBuf;

use clap::Args;
use cribble_core::{EmbedOptions, EncoderDevice, EncoderDtype, PixelMode, StepOptions, What};

use super::{RunningArgs, VerbArgs};

/// `embed`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble embed shards --model builtin:demo-clip --out runs/embed\n  cribble embed pool --images shards --model MODEL --what image --out runs/b"
)]
pub struct EmbedArgs {
    /// The input: a file, a folder, a glob, a brace range or a `::` list. What it is gets detected, and said
    pub input: String,

    /// The model: a folder, a Hub name (owner/name or owner/name@revision) or builtin:demo-clip
    #[arg(long, value_name = "MODEL")]
    pub model: String,

    /// The run folder
    #[arg(long, value_name = "RUN")]
    pub out: PathBuf,

    /// Tars with the pixels, where the input has none of its own; they are found by uid
    #[arg(long, value_name = "TARS")]
    pub images: Option<String>,

    /// What is embedded: image, text, image,text, or auto for all that the model has encoders for
    #[arg(long, default_value_t = EmbedOptions::default().what)]
    pub what: What,

    /// Base name of the embeddings: b32 writes b32_img and b32_txt [default: from the model's name]
    #[arg(long, value_name = "NAME")]
    pub embedding: Option<String>,

    /// How pixels are prepared: exact (as the checkpoint asks) or fast (JPEGs decoded at a fraction of their size)
    #[arg(long, default_value_t = EmbedOptions::default().preprocess)]
    pub preprocess: PixelMode,

    /// Number format of the encoder: auto (bf16 where the processor multiplies it natively), f32 or bf16
    #[arg(long, default_value_t = EmbedOptions::default().dtype)]
    pub dtype: EncoderDtype,

    /// Samples encoded at once on a thread; vectors do not depend on it
    #[arg(long, default_value_t = EmbedOptions::default().batch)]
    pub batch: u32,

    /// Where the encoder runs: cpu in this build
    #[arg(long, default_value_t = EmbedOptions::default().device)]
    pub device: EncoderDevice,

    /// The column with the caption [default: the first of text, caption, txt, TEXT, CAPTION, alt_text]
    #[arg(long, value_name = "COLUMN")]
    pub text_column: Option<String>,

    /// Name of the column with the cosine of image and caption
    #[arg(long, value_name = "NAME", default_value_t = EmbedOptions::default().score)]
    pub score: String,

    /// Images with more pixels are refused before they are decoded
    #[arg(long, value_name = "N", default_value_t = EmbedOptions::default().max_pixels)]
    pub max_pixels: u64,

    #[command(flatten)]
    pub running: RunningArgs,
}

impl EmbedArgs {
    /// What it reads and writes.
    pub fn verb(&self) -> VerbArgs {
        VerbArgs {
            input: self.input.clone(),
            out: self.out.clone(),
            images: self.images.clone(),
            ids: None,
            dim: None,
            dtype: None,
            running: self.running.clone(),
        }
    }

    /// The `[[step]]` table.
    pub fn options(&self) -> StepOptions {
        let options = EmbedOptions {
            model: self.model.clone(),
            embedding: self.embedding.clone().unwrap_or_default(),
            what: self.what,
            preprocess: self.preprocess,
            dtype: self.dtype,
            batch: self.batch,
            device: self.device,
            text: self.text_column.clone().unwrap_or_default(),
            score: self.score.clone(),
            max_pixels: self.max_pixels,
        };
        StepOptions::Embed(options.resolved())
    }
}
