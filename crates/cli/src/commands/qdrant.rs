//! `qdrant`: a run in a collection, and questions to it. With an address the server answers, without one the run folder does.
use std::{path::Path, time::Duration};

use cribble_core::{Recipe, Result};
use cribble_io::source::{Dataset, OpenOptions};
use cribble_pipeline::{Place, RunFolder};
use cribble_qdrant::{
    ApiKey, DuplicateOptions, Hit, Near, Payloads, PushOptions, RunStore, Scratch, Server, ServerOptions,
    ServerStore, Store, SubsetFile, VectorSpace, check_condition, duplicates, image_vector, push,
    text_vector,
};
use serde_json::{Value, json};

use super::{qdrant_pull, qdrant_text as said};
use crate::{
    args::{DedupPointsArgs, PushArgs, QdrantCommand, QueryArgs, QuestionArgs, ServerArgs},
    finish::sorting_memory,
    interrupt, session,
    settings::Settings,
    text,
};

/// The exit code of a push after which the collection is not the run.
const INCOMPLETE: u8 = cribble_core::ErrorKind::Incomplete.exit_code();

/// Runs one of them.
pub fn run(settings: &Settings, command: &QdrantCommand) -> Result<u8> {
    let done = match command {
        QdrantCommand::Push(args) => push_run(settings, args),
        QdrantCommand::Query(args) => query(settings, args),
        QdrantCommand::Dedup(args) => dedup(settings, args),
        QdrantCommand::Pull(args) => qdrant_pull::pull(settings, args),
    };
    done.map_err(interrupt::resumable)
}

/// A run folder, its input, and its names in a collection.
pub(super) struct Subject {
    pub folder: RunFolder,
    pub dataset: Dataset,
    collection: String,
    name: String,
}

impl Subject {
    fn open(run: &Path, server: &ServerArgs, open: impl Fn(&Recipe) -> Result<Dataset>) -> Result<Self> {
        let folder = RunFolder::open(run)?;
        let dataset = open(&folder.recipe()?)?;
        let own = own_name(run);
        let name = |given: &Option<String>| given.clone().unwrap_or_else(|| own.clone());
        Ok(Self { folder, dataset, collection: name(&server.collection), name: name(&server.name) })
    }

    pub(super) fn quietly(run: &Path, server: &ServerArgs) -> Result<Self> {
        Self::open(run, server, |recipe| Ok(Dataset::open(&OpenOptions::from(&recipe.input))?))
    }

    pub(super) fn payloads(&self) -> Result<Payloads<'_>> {
        Payloads::open(&self.folder, &self.dataset, &self.name, &[])
    }

    fn space(&self, vector: Option<&str>) -> Result<VectorSpace> {
        VectorSpace::asked(&self.folder, &self.dataset, vector)
    }
}

/// The last part of a run folder's path, also where it is given as `.`.
fn own_name(run: &Path) -> String {
    let whole = run.canonicalize().unwrap_or_else(|_| run.into());
    whole.file_name().map_or_else(|| "cribble".into(), |name| name.to_string_lossy().into_owned())
}

fn connect(settings: &Settings, url: &str, args: &ServerArgs) -> Result<Server> {
    let key = match (&args.api_key_env, &args.api_key_file) {
        (Some(name), _) => Some(ApiKey::from_env(name)?),
        (None, Some(path)) => Some(ApiKey::from_file(path)?),
        (None, None) => None,
    };
    let is_open = url.starts_with("http://")
        && !["localhost", "127.0.0.1", "[::1]"].iter().any(|host| url.contains(host));
    if key.is_some() && is_open {
        settings
            .terminal
            .warn(&format!("the key travels unencrypted to {url}; an https:// address protects it"));
    }
    let options = ServerOptions {
        key,
        timeout: Duration::from_secs_f64(args.timeout_seconds),
        retries: args.retries,
        in_flight: args.in_flight,
        ..ServerOptions::new(url)
    };
    Server::connect(&options, &interrupt::CANCEL)
}

fn push_run(settings: &Settings, args: &PushArgs) -> Result<u8> {
    let subject =
        Subject::open(&args.run, &args.server, |recipe| session::open_input(settings, &recipe.input))?;
    let options = PushOptions {
        collection: subject.collection.clone(),
        name: subject.name.clone(),
        vectors: args.vectors.clone(),
        columns: args.payload.clone(),
        only_kept: args.kept,
        batch: args.batch as usize,
        recreate: args.recreate,
        take_over: args.take_over,
        remove_gone: args.remove_gone,
    };
    // What is wrong with the run is said before anybody is called.
    let spaces = VectorSpace::chosen(&subject.folder, &subject.dataset, &options.vectors)?;
    let payloads = Payloads::open(&subject.folder, &subject.dataset, &options.name, &options.columns)?;
    if settings.dry_run {
        let vectors: Vec<String> =
            spaces.iter().map(|space| format!("{} ({})", space.name, space.dim)).collect();
        settings.terminal.say(&format!(
            "would send {} to '{}' at {} as the run '{}'\n  vectors: {}\n  payload: {}",
            text::counted(subject.dataset.rows(), "row", "rows"),
            options.collection,
            args.url,
            options.name,
            vectors.join(", "),
            payloads.names().join(", ")
        ));
        if settings.json {
            let value = json!({
                "dry_run": true, "exit_code": 0, "url": args.url, "collection": options.collection,
                "run": options.name, "rows": subject.dataset.rows(), "payload": payloads.names(),
                "vectors": spaces.iter().map(|space| &space.name).collect::<Vec<_>>(),
            });
            settings.terminal.out_json("qdrant", value);
        }
        return Ok(super::DONE);
    }
    interrupt::install(&settings.terminal)?;
    let server = connect(settings, &args.url, &args.server)?;
    let report = push(
        &server,
        &subject.folder,
        &subject.dataset,
        &options,
        scratch(settings, &std::env::temp_dir()),
        settings.reporter.as_ref(),
    )?;
    let shortfalls = report.shortfalls();
    let code = if shortfalls.is_empty() { super::DONE } else { INCOMPLETE };
    if settings.json {
        let value = json!({ "exit_code": code, "url": args.url, "push": report, "shortfalls": shortfalls });
        settings.terminal.out_json("qdrant", value);
    }
    said::pushed(settings, &report, &args.url);
    for shortfall in &shortfalls {
        settings.terminal.warn(shortfall);
    }
    Ok(code)
}

/// Puts a question to the server, or to the run where no address is given.
pub(super) fn ask<T>(
    settings: &Settings,
    subject: &Subject,
    url: Option<&str>,
    server: &ServerArgs,
    question: &QuestionArgs,
    put: impl FnOnce(&dyn Store, Option<Near>) -> Result<T>,
) -> Result<T> {
    let payloads = subject.payloads()?;
    let space = subject.space(question.vector.as_deref())?;
    let model = question.model.as_deref();
    let near = match (&question.text, &question.image, &question.uid) {
        (Some(text), _, _) => Some(Near::Vector(text_vector(&space, model, text)?)),
        (_, Some(path), _) => Some(Near::Vector(image_vector(&space, model, path)?)),
        (_, _, Some(uid)) => Some(Near::Sample(Place::find(&subject.folder, uid)?.uid)),
        _ => None,
    };
    let Some(url) = url else {
        return put(&RunStore::new(&subject.dataset, &payloads, space, &interrupt::CANCEL), near);
    };
    let server = connect(settings, url, server)?;
    let (collection, name) = (&subject.collection, &subject.name);
    let store = ServerStore::open(&server, collection, name, &space.name, &payloads, question.exact)?;
    put(&store, near)
}

fn query(settings: &Settings, args: &QueryArgs) -> Result<u8> {
    let subject = Subject::quietly(&args.run, &args.server)?;
    let condition = args.question.condition.as_deref();
    if settings.dry_run {
        return would(
            settings,
            &subject,
            args.url.as_deref(),
            args.question.vector.as_deref(),
            condition,
            "show samples of",
        );
    }
    interrupt::install(&settings.terminal)?;
    let url = args.url.as_deref();
    let hits = ask(settings, &subject, url, &args.server, &args.question, |store, near| match near {
        Some(near) => store.nearest(&near, condition, args.limit as usize),
        None => store.matching(condition, args.limit as usize),
    })?;
    if settings.json {
        let hits: Vec<Value> = hits.iter().map(hit_json).collect();
        settings.terminal.out_json("qdrant", json!({ "exit_code": 0, "hits": hits }));
    } else {
        let payloads = subject.payloads()?;
        settings.terminal.out(&said::hits(&hits, &payloads.captions(), settings.terminal.width()));
    }
    Ok(super::DONE)
}

fn hit_json(hit: &Hit) -> Value {
    json!({ "uid": hit.uid.to_string(), "similarity": hit.similarity, "payload": hit.payload })
}

fn dedup(settings: &Settings, args: &DedupPointsArgs) -> Result<u8> {
    let subject = Subject::quietly(&args.run, &args.server)?;
    let folder = std::env::temp_dir();
    let scratch = scratch(settings, &folder);
    let subset = SubsetFile::new(&args.out, scratch)?;
    let (vector, condition) = (args.vector.as_deref(), args.condition.as_deref());
    if settings.dry_run {
        return would(settings, &subject, Some(&args.url), vector, condition, "compare the vectors of");
    }
    interrupt::install(&settings.terminal)?;
    let payloads = subject.payloads()?;
    let space = subject.space(vector)?;
    let server = connect(settings, &args.url, &args.server)?;
    let (collection, name) = (&subject.collection, &subject.name);
    let store = ServerStore::open(&server, collection, name, &space.name, &payloads, args.exact)?;
    let options = DuplicateOptions {
        epsilon: args.epsilon,
        condition: args.condition.clone(),
        table: args.pairs.clone(),
    };
    let mut first = Vec::new();
    let report = duplicates(&store, &options, subset, scratch, settings.reporter.as_ref(), &mut |pair| {
        if first.len() < said::MOST_PAIRS {
            first.push(pair);
        }
    })?;
    if settings.json {
        let pair = |pair: &cribble_qdrant::Pair| json!({ "uid": pair.first.to_string(), "other": pair.second.to_string(), "similarity": pair.similarity });
        let first: Vec<Value> = first.iter().map(pair).collect();
        let value = json!({ "exit_code": 0, "out": args.out, "dedup": report, "first_pairs": first });
        settings.terminal.out_json("qdrant", value);
    } else {
        settings.terminal.out(&said::pairs(&first, report.pairs));
    }
    said::deduplicated(settings, &report, args.epsilon, &args.out);
    Ok(super::DONE)
}

/// Where sorting may go beyond memory.
pub(super) fn scratch<'a>(settings: &Settings, folder: &'a Path) -> Scratch<'a> {
    Scratch { folder, memory: sorting_memory(settings.limits.memory) }
}

/// What a dry run says, after a look whether the question makes sense.
pub(super) fn would(
    settings: &Settings,
    subject: &Subject,
    url: Option<&str>,
    vector: Option<&str>,
    condition: Option<&str>,
    what: &str,
) -> Result<u8> {
    subject.space(vector)?;
    if let Some(condition) = condition {
        check_condition(condition, subject.payloads()?.schema(), url.is_some())?;
    }
    let place = match url {
        Some(url) => format!("the run '{}' in '{}' at {url}", subject.name, subject.collection),
        None => subject.folder.path().display().to_string(),
    };
    settings.terminal.say(&format!("would {what} {place}; nothing was written"));
    if settings.json {
        settings.terminal.out_json("qdrant", json!({ "dry_run": true, "exit_code": 0, "place": place }));
    }
    Ok(super::DONE)
}
