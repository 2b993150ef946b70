//! `judge` and `decide`: verdicts on clusters, by a model or by rules, and by a person.
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use cribble_core::{ClusterOptions, JudgeOptions, Result, StepOptions, Unsure};

use super::{ChatArgs, VerbArgs, verbs::one_or_many};

/// `judge`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble judge pool --embedding l14_txt --k 1300 --out runs/rules\n  cribble judge pool --embedding e_txt --endpoint http://h/v1 --model M --out r"
)]
pub struct JudgeArgs {
    #[command(flatten)]
    pub verb: VerbArgs,

    /// The embedding that is clustered before
    #[arg(long, value_name = "NAME")]
    pub embedding: String,

    /// Number of clusters; of a list all are tried and an elbow chooses
    #[arg(long, value_delimiter = ',', default_values_t = ClusterOptions::default().k.as_slice().to_vec())]
    pub k: Vec<u64>,

    /// The column with the caption [default: the first of text, caption, txt, TEXT, CAPTION, alt_text]
    #[arg(long, value_name = "COLUMN")]
    pub text_column: Option<String>,

    /// Samples nearest to the centroid that the judge sees
    #[arg(long, value_name = "N", default_value_t = JudgeOptions::default().nearest)]
    pub nearest: u32,

    /// Samples farthest from it
    #[arg(long, value_name = "N", default_value_t = JudgeOptions::default().farthest)]
    pub farthest: u32,

    /// Samples drawn at random
    #[arg(long, value_name = "N", default_value_t = JudgeOptions::default().random)]
    pub random: u32,

    /// Of each of these, how many are shown with their image; needs a model that sees
    #[arg(long, value_name = "N", default_value_t = JudgeOptions::default().thumbnails)]
    pub thumbnails: u32,

    /// Longer side of such an image, in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = JudgeOptions::default().image_size)]
    pub image_size: u32,

    /// Characters of a caption that the judge sees
    #[arg(long, value_name = "N", default_value_t = JudgeOptions::default().caption_chars)]
    pub caption_chars: u32,

    /// The prompt: clusters, clusters-nearest, or a file
    #[arg(long, value_name = "PROMPT", default_value_t = JudgeOptions::default().prompt)]
    pub prompt: String,

    /// Do not ask for JSON by a schema
    #[arg(long)]
    pub no_schema: bool,

    /// How often each cluster is judged; the most frequent verdict counts
    #[arg(long, value_name = "N", default_value_t = JudgeOptions::default().votes)]
    pub votes: u32,

    /// Clusters whose judge abstained or wrote what nobody can read: keep, drop or fail
    #[arg(long, default_value_t = JudgeOptions::default().unparsed)]
    pub unparsed: Unsure,

    /// Clusters without an answer, because calls failed: keep, drop or fail
    #[arg(long, default_value_t = JudgeOptions::default().missing)]
    pub missing: Unsure,

    /// Without a model: the largest share of captions that may repeat an earlier one
    #[arg(long, value_name = "SHARE", default_value_t = JudgeOptions::default().max_repeated)]
    pub max_repeated: f64,

    /// Without a model: the largest share of captions that may be file names, codes or placeholders
    #[arg(long, value_name = "SHARE", default_value_t = JudgeOptions::default().max_junk)]
    pub max_junk: f64,

    /// Without a model: the least mean CLIP score; -1 asks for nothing
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true, default_value_t = JudgeOptions::default().min_score)]
    pub min_score: f64,

    /// The column with the CLIP score [default: clip_score or DataComp's, where there is one]
    #[arg(long, value_name = "COLUMN")]
    pub score: Option<String>,

    /// Seed of the random samples
    #[arg(long, value_name = "N", default_value_t = JudgeOptions::default().seed)]
    pub sample_seed: u64,

    #[command(flatten)]
    pub chat: ChatArgs,
}

impl JudgeArgs {
    /// The `[[step]]` tables: the clusters, then their judge.
    pub fn options(&self) -> Result<Vec<StepOptions>> {
        let cluster = ClusterOptions {
            embedding: self.embedding.clone(),
            k: one_or_many(&self.k),
            ..ClusterOptions::default()
        };
        let judge = JudgeOptions {
            text: self.text_column.clone().unwrap_or_default(),
            nearest: self.nearest,
            farthest: self.farthest,
            random: self.random,
            thumbnails: self.thumbnails,
            image_size: self.image_size,
            caption_chars: self.caption_chars,
            prompt: self.prompt.clone(),
            schema: !self.no_schema,
            votes: self.votes,
            unparsed: self.unparsed,
            missing: self.missing,
            max_repeated: self.max_repeated,
            max_junk: self.max_junk,
            min_score: self.min_score,
            score: self.score.clone().unwrap_or_default(),
            seed: self.sample_seed,
            chat: self.chat.options()?,
        };
        Ok(vec![StepOptions::Cluster(cluster), StepOptions::Judge(judge)])
    }
}

/// What a person decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VerdictArg {
    /// It stays
    Keep,
    /// It goes
    Drop,
}

/// `decide`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble decide runs/first --cluster 17 --verdict drop --why \"stock photos\"\n  cribble decide runs/first --uid 00ff... --verdict keep"
)]
pub struct DecideArgs {
    /// The run folder
    pub run: PathBuf,

    /// A cluster of the run's last cluster step
    #[arg(long, value_name = "N", conflicts_with = "uid", required_unless_present = "uid")]
    pub cluster: Option<u32>,

    /// A sample: its uid, or the beginning of it
    #[arg(long, value_name = "UID")]
    pub uid: Option<String>,

    /// What is decided
    #[arg(long, value_enum)]
    pub verdict: VerdictArg,

    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub why: String,

    /// Who decides [default: the user of this machine]
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
}
