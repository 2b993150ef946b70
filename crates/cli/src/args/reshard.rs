//! `reshard`: tars in, tars out.
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use cribble_core::Txt;
use cribble_outputs::reshard::ReshardOptions;

/// How samples are called in the new tars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Keys {
    /// As in the input
    Original,
    /// {uid}-{j}, j counting copies, as DataComp names them
    Uid,
}

/// `reshard`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble reshard --input shards --subset runs/dbp/subset.npy --output curated\n  cribble reshard --input 'a::b' --subset s.npy --output curated --keys uid"
)]
pub struct ReshardArgs {
    /// Tars: a folder, a file, a glob, a brace range or a `::` list; may be given several times
    #[arg(long, required = true, value_name = "TARS")]
    pub input: Vec<String>,

    /// The subset file, of any format that `cribble subset` reads
    #[arg(long, value_name = "FILE")]
    pub subset: PathBuf,

    /// The folder to write
    #[arg(long, short, visible_alias = "out", value_name = "FOLDER")]
    pub output: PathBuf,

    /// Samples per tar
    #[arg(long, value_name = "N", default_value_t = ReshardOptions::default().shard_size, value_parser = clap::value_parser!(u64).range(1..))]
    pub shard_size: u64,

    /// Keys of the samples
    #[arg(long, value_enum, default_value_t = Keys::Original)]
    pub keys: Keys,

    /// Put the captions that this run made (its columns caption_…) into the json of the samples
    #[arg(long, value_name = "RUN")]
    pub captions: Option<PathBuf>,

    /// What stands in the txt members: original, or best (caption_best of that run; the original text then stands in the json)
    #[arg(long, value_name = "TEXT", default_value_t = Txt::Original, requires = "captions")]
    pub txt: Txt,

    /// Exit with 0 although samples of the subset are missing from the tars; they are listed all the same
    #[arg(long)]
    pub allow_missing: bool,

    /// Names of the tars: text with one {:08d} in it
    #[arg(long, value_name = "FORMAT", default_value_t = ReshardOptions::default().shard_format)]
    pub shard_format: String,

    /// Replace an earlier result of other options in the output folder; only files that it wrote are removed
    #[arg(long)]
    pub overwrite: bool,

    /// Keep the index of the tars here, and use it again next time
    #[arg(long, value_name = "FOLDER")]
    pub index: Option<PathBuf>,
}
