//! `qdrant pull`: what a question finds, as a subset file or as a run of its own.
use std::{collections::HashMap, path::Path};

use cribble_core::{Error, InputOptions, Recipe, Result, Uid};
use cribble_io::LayoutKind;
use cribble_pipeline::{OWN_INPUT, RunView};
use cribble_qdrant::{Near, Pull, Store, SubsetFile, VectorSpace, pull_rows};
use serde_json::json;

use super::{
    export::refuse_to_overwrite,
    qdrant::{Subject, ask, scratch, would},
    run,
};
use crate::{
    args::PullArgs,
    interrupt,
    session::{self, Job},
    settings::Settings,
    text,
};

/// Nearest samples that are taken when no number is given.
const USUAL: usize = 1000;

/// Pulls.
pub fn pull(settings: &Settings, args: &PullArgs) -> Result<u8> {
    let question = &args.question;
    let condition = question.condition.as_deref();
    if question.query().is_none() && condition.is_none() {
        return Err(Error::usage("nothing is asked for").with_hint(
            "give words, --image, --uid or --where; the subset of all samples that a run keeps is its subset.npy",
        ));
    }
    let subject = Subject::open(&args.run, &args.server)?;
    let folder = std::env::temp_dir();
    let scratch = scratch(settings, &folder);
    let subset = match (&args.out, &args.out_run) {
        (Some(out), _) => SubsetFile::new(out, scratch)?,
        (None, Some(out)) => {
            refuse_to_overwrite(out, true)?;
            // Only sorted here, never written.
            SubsetFile::new(Path::new("uids.npy"), scratch)?
        }
        (None, None) => return Err(Error::usage("--out or --out-run says what to write")),
    };
    if settings.dry_run {
        let what = if args.out.is_some() { "write a subset of" } else { "write a run from" };
        subject.embedding(question)?;
        return would(settings, &subject, args.url.as_deref(), condition, what);
    }
    interrupt::install(&settings.terminal)?;
    match (&args.out, &args.out_run) {
        (_, Some(out)) => {
            let put = |store: &dyn Store, near| pull_run(settings, args, &subject, store, near, subset, out);
            ask(settings, &subject, args.url.as_deref(), &args.server, question, put)
        }
        (out, None) => {
            let put = |store: &dyn Store, near| {
                let mut subset = subset;
                collect(args, store, near, &mut subset)?;
                subset.finish()
            };
            let count = ask(settings, &subject, args.url.as_deref(), &args.server, question, put)?;
            let out = out.as_deref().unwrap_or(Path::new(""));
            if settings.json {
                settings.terminal.out_json("qdrant", json!({ "exit_code": 0, "out": out, "count": count }));
            }
            settings.terminal.say(&format!(
                "{} {} to {}",
                settings.terminal.bold("Wrote"),
                text::counted(count, "uid", "uids"),
                out.display()
            ));
            Ok(super::DONE)
        }
    }
}

/// The uids that answer; of the nearest with their similarities.
fn collect(
    args: &PullArgs,
    store: &dyn Store,
    near: Option<Near>,
    subset: &mut SubsetFile,
) -> Result<Option<HashMap<Uid, f32>>> {
    let condition = args.question.condition.as_deref();
    let limit = args.limit.map(|limit| limit as usize);
    let Some(near) = near else {
        match limit {
            Some(limit) => {
                store.matching(condition, limit)?.iter().try_for_each(|hit| subset.push(hit.uid))?;
            }
            None => store.uids(condition, &mut |uid| subset.push(uid))?,
        }
        return Ok(None);
    };
    let hits = store.nearest(&near, condition, limit.unwrap_or(USUAL))?;
    hits.iter().try_for_each(|hit| subset.push(hit.uid))?;
    Ok(Some(hits.iter().filter_map(|hit| Some((hit.uid, hit.similarity?))).collect()))
}

/// Writes what is found as `out/input`, and a run without steps on it, which keeps all of it.
fn pull_run(
    settings: &Settings,
    args: &PullArgs,
    subject: &Subject,
    store: &dyn Store,
    near: Option<Near>,
    mut uids: SubsetFile,
    out: &Path,
) -> Result<u8> {
    let similarities = collect(args, store, near, &mut uids)?;
    let payloads = subject.payloads()?;
    let mut spaces = VectorSpace::all(&subject.view.run, &subject.view.dataset)?;
    spaces.retain(|space| store.has_vector(&space.name));
    let pull =
        Pull { store, schema: payloads.schema(), spaces: &spaces, similarities: similarities.as_ref() };
    let input = out.join(OWN_INPUT);
    std::fs::create_dir_all(out).map_err(|error| Error::input(format!("{}: {error}", out.display())))?;
    let report = pull_rows(&pull, uids.sorted()?, &input, settings.reporter.as_ref(), &interrupt::CANCEL)?;
    if report.gone > 0 {
        let gone = text::counted(report.gone, "sample was", "samples were");
        settings
            .terminal
            .warn(&format!("{gone} found and then gone: another process changes the collection"));
    }
    let recipe = Recipe {
        input: InputOptions {
            path: input.display().to_string(),
            images: images_of(&subject.view),
            ..InputOptions::default()
        },
        ..Recipe::default()
    };
    let job = Job { recipe, out: out.into(), only: None, max_error_rate: 0.0, pool: None };
    let done = session::run(settings, &job)?;
    run::show(settings, "qdrant", &job, &done)
}

/// The tars with the pixels of the run that the samples are from.
fn images_of(view: &RunView) -> Option<String> {
    let input = &view.recipe.input;
    let are_tars = view.dataset.layout().kind == LayoutKind::Webdataset;
    input.images.clone().or_else(|| are_tars.then(|| input.path.clone()))
}
