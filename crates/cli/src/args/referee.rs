//! `referee`.
use clap::Args;
use cribble_core::{EncoderDtype, RefereeOptions, RefereePolicy, StepOptions};

use super::VerbArgs;

/// `referee`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble referee pool --model MODEL --embedding l14_img --out runs/a\n  cribble referee pool --model M --embedding b_img --policy mix --out runs/b"
)]
pub struct RefereeArgs {
    #[command(flatten)]
    pub verb: VerbArgs,

    /// The model that made the embedding: a folder, a Hub name or builtin:demo-clip. Only its text encoder runs
    #[arg(long, value_name = "MODEL")]
    pub model: String,

    /// The embedding of the images, an array of the input
    #[arg(long, value_name = "NAME")]
    pub embedding: String,

    /// The column with the original caption [default: the first of text, caption, txt, TEXT, CAPTION, alt_text]
    #[arg(long, value_name = "COLUMN")]
    pub text_column: Option<String>,

    /// Columns with other captions [default: all caption_… of the input]
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub candidates: Vec<String>,

    /// Which caption becomes caption_best: best, original, synthetic, threshold or mix
    #[arg(long, default_value_t = RefereeOptions::default().policy)]
    pub policy: RefereePolicy,

    /// best: another caption is taken if its similarity is higher by more than this
    #[arg(long, allow_negative_numbers = true, default_value_t = RefereeOptions::default().margin)]
    pub margin: f64,

    /// threshold: share of the rows that keep their original caption
    #[arg(long, value_name = "SHARE", default_value_t = RefereeOptions::default().raw_fraction)]
    pub raw_fraction: f64,

    /// mix: how often another caption is taken
    #[arg(long, default_value_t = RefereeOptions::default().probability)]
    pub probability: f64,

    /// Rows whose chosen caption has a lower similarity go; -1: none does
    #[arg(long, value_name = "SIM", allow_negative_numbers = true, default_value_t = RefereeOptions::default().min_sim)]
    pub min_sim: f64,

    /// Number format of the encoder: auto (bf16 where the processor multiplies it natively), f32 or bf16
    #[arg(long, default_value_t = RefereeOptions::default().dtype)]
    pub encoder_dtype: EncoderDtype,

    /// Seed of mix
    #[arg(long, default_value_t = RefereeOptions::default().seed)]
    pub seed: u64,
}

impl RefereeArgs {
    /// The `[[step]]` table.
    pub fn options(&self) -> StepOptions {
        StepOptions::Referee(RefereeOptions {
            model: self.model.clone(),
            embedding: self.embedding.clone(),
            text: self.text_column.clone().unwrap_or_default(),
            candidates: self.candidates.clone(),
            policy: self.policy,
            margin: self.margin,
            raw_fraction: self.raw_fraction,
            probability: self.probability,
            min_sim: self.min_sim,
            dtype: self.encoder_dtype,
            seed: self.seed,
        })
    }
}
