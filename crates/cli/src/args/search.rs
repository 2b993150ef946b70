//! `search`: questions to a run.
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use cribble_core::{Error, Result};
use cribble_search::{IndexUse, Of, Query, Request};

/// What an index is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum IndexArg {
    /// One that is there and fits answers queries without a condition, for at most 100 rows
    Auto,
    /// It is built first (again, where there is one), and its recall measured
    Build,
    /// Every row is compared
    None,
}

/// `search`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble search runs/dbp \"red car in snow\" --kept --sheet snow.html\n  cribble search runs/dbp --uid 8c1f03 --where \"language = 'en'\" --json"
)]
pub struct SearchArgs {
    /// The run folder
    pub run: PathBuf,

    /// Rows like this text, by the run's own encoder
    pub text: Option<String>,

    /// Rows like this image file
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,

    /// Rows like this sample of the run: its uid, or as many first characters as make it unique
    #[arg(long, value_name = "UID")]
    pub uid: Option<String>,

    /// Only rows for which a SQL condition is true (docs/expressions.md), over the columns of input and steps, kept, dropped_by and reason
    #[arg(long = "where", value_name = "SQL")]
    pub condition: Option<String>,

    /// Only rows that the run keeps
    #[arg(long, conflicts_with = "dropped")]
    pub kept: bool,

    /// Only rows that the run dropped
    #[arg(long)]
    pub dropped: bool,

    /// Rows to find, at most
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub limit: u32,

    /// The embedding that is searched [default: the run's images]
    #[arg(long, value_name = "NAME")]
    pub embedding: Option<String>,

    /// The encoder of texts and images, where the run does not say which one it is
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,

    /// What an index is used for
    #[arg(long, value_name = "HOW", value_enum, default_value_t = IndexArg::Auto)]
    pub index: IndexArg,

    /// Write the uids of what was found as a subset file, in the format of its extension
    #[arg(long, value_name = "FILE.npy")]
    pub subset: Option<PathBuf>,

    /// Write a page with the pictures of what was found: one HTML file
    #[arg(long, value_name = "FILE.html")]
    pub sheet: Option<PathBuf>,
}

impl SearchArgs {
    /// The search, after a look whether it is one.
    pub fn request(&self) -> Result<Request> {
        let text = self.text.clone().map(Query::Text);
        let image = self.image.clone().map(Query::Image);
        let sample = self.uid.clone().map(Query::Sample);
        let queries: Vec<Query> = text.into_iter().chain(image).chain(sample).collect();
        if queries.len() > 1 {
            return Err(Error::usage("several queries at once: a text, --image and --uid are one each")
                .with_hint("give one of them; narrow it down with --where, --kept or --dropped"));
        }
        let of = match (self.kept, self.dropped) {
            (true, _) => Of::Kept,
            (_, true) => Of::Dropped,
            _ => Of::All,
        };
        if queries.is_empty() && self.condition.is_none() && of == Of::All && self.index != IndexArg::Build {
            return Err(Error::usage("nothing to search for").with_hint(
                "give a text, --image FILE or --uid UID; --where SQL, --kept or --dropped alone list rows",
            ));
        }
        Ok(Request {
            query: queries.into_iter().next(),
            embedding: self.embedding.clone(),
            model: self.model.clone(),
            condition: self.condition.clone(),
            of,
            limit: self.limit as usize,
            index: match self.index {
                IndexArg::Auto => IndexUse::Auto,
                IndexArg::Build => IndexUse::Build,
                IndexArg::None => IndexUse::None,
            },
        })
    }
}
