//! The words of Cribble as types: uids, shards, options, verdicts, reports, errors, progress.
//!
//! No input or output and no threads live here, so every other crate may depend on it.
#![warn(missing_docs)]
mod caption;
mod chat;
mod checks;
mod embed;
mod error;
mod judge;
mod language;
mod options;
mod output;
mod progress;
mod recipe;
mod referee;
mod report;
mod report_gallery;
mod report_models;
mod search;
mod uid;

pub use caption::{CaptionOptions, RewriteOptions, SendImage};
pub use chat::ChatOptions;
pub use embed::{EmbedOptions, EncoderDevice, EncoderDtype, PixelMode, What};
pub use error::{Error, ErrorKind, Result, did_you_mean, name_hint};
pub use judge::{JudgeOptions, Unsure};
pub use language::LanguageOptions;
pub use options::*;
pub use output::{OutputOptions, Txt, WithCaptions};
pub use progress::{Cancel, Progress, Silent};
pub use recipe::{InputOptions, Recipe, StepOptions, StepSpec};
pub use referee::{RefereeOptions, RefereePolicy};
pub use report::*;
pub use report_gallery::*;
pub use report_models::*;
pub use search::*;
pub use uid::{ParseUidError, Uid};
