//! The verbs. Each is a recipe of one step (`prune --embedding`: of two) and takes the same way as a recipe from a file.
use cribble_core::{OutputOptions, Recipe, Result, StepOptions, StepSpec};

use crate::{
    args::{
        CaptionArgs, ClusterArgs, DedupArgs, EmbedArgs, FilterArgs, JudgeArgs, LanguageArgs, PruneArgs,
        RefereeArgs, RewriteArgs, VerbArgs,
    },
    commands::run::show,
    session::{self, Job},
    settings::Settings,
};

/// `filter`.
pub fn filter(settings: &Settings, args: &FilterArgs) -> Result<u8> {
    verb(settings, "filter", &args.verb, vec![args.options()?])
}

/// `language`.
pub fn language(settings: &Settings, args: &LanguageArgs) -> Result<u8> {
    verb(settings, "language", &args.verb, vec![args.options()])
}

/// `embed`.
pub fn embed(settings: &Settings, args: &EmbedArgs) -> Result<u8> {
    verb(settings, "embed", &args.verb(), vec![args.options()])
}

/// `caption`.
pub fn caption(settings: &Settings, args: &CaptionArgs) -> Result<u8> {
    verb(settings, "caption", &args.verb, vec![args.options()?])
}

/// `rewrite`.
pub fn rewrite(settings: &Settings, args: &RewriteArgs) -> Result<u8> {
    verb(settings, "rewrite", &args.verb, vec![args.options()?])
}

/// `dedup`.
pub fn dedup(settings: &Settings, args: &DedupArgs) -> Result<u8> {
    verb(settings, "dedup", &args.verb, vec![args.options()])
}

/// `cluster`.
pub fn cluster(settings: &Settings, args: &ClusterArgs) -> Result<u8> {
    verb(settings, "cluster", &args.verb, vec![args.options()])
}

/// `judge`.
pub fn judge(settings: &Settings, args: &JudgeArgs) -> Result<u8> {
    verb(settings, "judge", &args.verb, args.options()?)
}

/// `prune`.
pub fn prune(settings: &Settings, args: &PruneArgs) -> Result<u8> {
    let result = verb(settings, "prune", &args.verb, args.options());
    match result {
        Err(error) if args.embedding.is_none() && error.message().contains("needs a cluster step") => {
            Err(error
                .with_hint("add --embedding NAME --k K, or write a recipe with both steps (`cribble init`)"))
        }
        other => other,
    }
}

/// `referee`.
pub fn referee(settings: &Settings, args: &RefereeArgs) -> Result<u8> {
    verb(settings, "referee", &args.verb, vec![args.options()])
}

fn verb(settings: &Settings, name: &'static str, verb: &VerbArgs, steps: Vec<StepOptions>) -> Result<u8> {
    let recipe = Recipe {
        input: verb.input(),
        steps: steps.into_iter().map(StepSpec::new).collect(),
        output: OutputOptions::default(),
    };
    let job = Job {
        recipe,
        out: verb.out.clone(),
        only: None,
        max_error_rate: verb.running.max_error_rate,
        pool: None,
    };
    let done = session::run(settings, &job)?;
    show(settings, name, &job, &done)
}
