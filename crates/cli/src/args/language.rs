//! `language`.
use clap::Args;
use cribble_core::{LanguageOptions, StepOptions};

use super::VerbArgs;

/// `language`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble language pool --out runs/language\n  cribble language shards --model lid.176.bin --out runs/language"
)]
pub struct LanguageArgs {
    #[command(flatten)]
    pub verb: VerbArgs,

    /// A fastText model such as lid.176.bin or lid.176.ftz [default: the detector inside the program]
    #[arg(long, value_name = "FILE")]
    pub model: Option<String>,

    /// The column with the caption [default: the first of text, caption, txt, TEXT, CAPTION, alt_text]
    #[arg(long, value_name = "COLUMN")]
    pub text_column: Option<String>,
}

impl LanguageArgs {
    /// The `[[step]]` table.
    pub fn options(&self) -> StepOptions {
        StepOptions::Language(LanguageOptions {
            model: self.model.clone().unwrap_or_default(),
            text: self.text_column.clone().unwrap_or_default(),
        })
    }
}
