//! `caption` and `rewrite`: new captions beside the original one.
use clap::{ArgAction, Args};
use cribble_core::{
    CaptionOptions, ChatOptions, Error, Result, RewriteOptions, SendImage, StepOptions, Unsure,
};

use super::{ChatArgs, VerbArgs};

/// `caption`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble caption shards --endpoint http://h:8000/v1 --model MODEL --out run\n  cribble caption pool --images shards --endpoint http://h/v1 --model M --out r"
)]
pub struct CaptionArgs {
    #[command(flatten)]
    pub verb: VerbArgs,

    /// The prompt: vivid, alt, tags, or a file
    #[arg(long, value_name = "PROMPT", default_value_t = CaptionOptions::default().prompt)]
    pub prompt: String,

    /// How an image reaches the model: bytes, or url (the column url; the server fetches it)
    #[arg(long, default_value_t = CaptionOptions::default().send)]
    pub send: SendImage,

    /// Longer side of the image that is sent; larger ones are scaled down. 0: as it is
    #[arg(long, value_name = "PIXELS", default_value_t = CaptionOptions::default().image_size)]
    pub image_size: u32,

    #[command(flatten)]
    pub column: ColumnArgs,

    #[command(flatten)]
    pub chat: ChatArgs,
}

/// `rewrite`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble rewrite shards --out runs/tidy\n  cribble rewrite pool --endpoint http://h:8000/v1 --model MODEL --out run"
)]
pub struct RewriteArgs {
    #[command(flatten)]
    pub verb: VerbArgs,

    /// The column that is rewritten [default: the first of text, caption, txt, TEXT, CAPTION, alt_text]
    #[arg(long, value_name = "COLUMN")]
    pub text_column: Option<String>,

    /// The prompt: straightforward, or a file with {caption} in it
    #[arg(long, value_name = "PROMPT", default_value_t = RewriteOptions::default().prompt)]
    pub prompt: String,

    #[command(flatten)]
    pub column: ColumnArgs,

    #[command(flatten)]
    pub chat: ChatArgs,
}

/// What both say of the column that they write.
#[derive(Debug, Args)]
pub struct ColumnArgs {
    /// The column that is written, caption_… [default: caption_ and the model's name, or caption_rewritten]
    #[arg(long, value_name = "NAME")]
    pub column: Option<String>,

    /// Take away openings such as "This image showcases": true or false
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, default_value_t = CaptionOptions::default().strip_lead_in)]
    pub strip_lead_in: bool,

    /// Captions with fewer characters are refused
    #[arg(long, value_name = "N", default_value_t = CaptionOptions::default().min_chars)]
    pub min_chars: u32,

    /// Captions with more characters are refused
    #[arg(long, value_name = "N", default_value_t = CaptionOptions::default().max_chars)]
    pub max_chars: u32,

    /// The language that captions must be in, such as en [default: any]
    #[arg(long, value_name = "LANGUAGE")]
    pub language: Option<String>,

    /// What becomes of rows whose calls failed: fail (exit code 3), keep, drop
    #[arg(long, default_value_t = CaptionOptions::default().missing)]
    pub missing: Unsure,
}

impl CaptionArgs {
    /// The `[[step]]` table.
    pub fn options(&self) -> Result<StepOptions> {
        let chat: ChatOptions = self.chat.options()?.ok_or_else(|| {
            Error::usage("caption needs a model")
                .with_hint("--endpoint http://localhost:8000/v1 --model NAME")
        })?;
        let options = CaptionOptions {
            column: self.column.column.clone().unwrap_or_default(),
            prompt: self.prompt.clone(),
            send: self.send,
            image_size: self.image_size,
            strip_lead_in: self.column.strip_lead_in,
            min_chars: self.column.min_chars,
            max_chars: self.column.max_chars,
            language: self.column.language.clone().unwrap_or_default(),
            missing: self.column.missing,
            chat,
        };
        Ok(StepOptions::Caption(options.resolved()))
    }
}

impl RewriteArgs {
    /// The `[[step]]` table.
    pub fn options(&self) -> Result<StepOptions> {
        let options = RewriteOptions {
            text: self.text_column.clone().unwrap_or_default(),
            column: self.column.column.clone().unwrap_or_default(),
            prompt: self.prompt.clone(),
            strip_lead_in: self.column.strip_lead_in,
            min_chars: self.column.min_chars,
            max_chars: self.column.max_chars,
            language: self.column.language.clone().unwrap_or_default(),
            missing: self.column.missing,
            chat: self.chat.options()?,
        };
        Ok(StepOptions::Rewrite(options.resolved()))
    }
}
