//! `qdrant`: a run in a collection, and questions to it. With an address the server answers, without one the run folder does.
use std::{path::Path, time::Duration};

use cribble_core::Result;
use cribble_pipeline::{Place, RunEmbedding, RunView};
use cribble_qdrant::{
    ApiKey, DuplicateOptions, Hit, Near, Payloads, PushOptions, RunStore, Scratch, Server, ServerOptions,
    ServerStore, Store, SubsetFile, VectorSpace, check_condition, duplicates, push,
};
use cribble_search::{Query, encode};
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

/// A run, and its names in a collection.
pub(super) struct Subject {
    pub view: RunView,
    collection: String,
    name: String,
}

impl Subject {
    pub(super) fn open(run: &Path, server: &ServerArgs) -> Result<Self> {
        let view = RunView::open(run)?;
        let own = own_name(run);
        let name = |given: &Option<String>| given.clone().unwrap_or_else(|| own.clone());
        Ok(Self { view, collection: name(&server.collection), name: name(&server.name) })
    }

    pub(super) fn payloads(&self) -> Result<Payloads<'_>> {
        Payloads::open(&self.view.run, &self.view.dataset, &self.name, &[])
    }

    /// The embedding of a question. A condition alone compares none, so it does not matter if the run cannot tell which one is meant.
    pub(super) fn embedding(&self, question: &QuestionArgs) -> Result<RunEmbedding> {
        let name = question.vector.as_deref();
        let chosen = self.view.choose_embedding(name);
        match self.view.embedding_names().first() {
            Some((any, _)) if chosen.is_err() && name.is_none() && question.query().is_none() => {
                self.view.embedding(any)
            }
            _ => chosen,
        }
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
    let subject = Subject::open(&args.run, &args.server)?;
    let RunView { run, dataset, recipe, .. } = &subject.view;
    session::say_input(settings, &recipe.input, dataset);
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
    let payloads = Payloads::open(run, dataset, &options.name, &options.columns)?;
    let spaces = VectorSpace::chosen(run, dataset, &options.vectors)?;
    if settings.dry_run {
        let vectors: Vec<String> =
            spaces.iter().map(|space| format!("{} ({})", space.name, space.dim)).collect();
        settings.terminal.say(&format!(
            "would send {} to '{}' at {} as the run '{}'\n  vectors: {}\n  payload: {}",
            text::counted(dataset.rows(), "row", "rows"),
            options.collection,
            args.url,
            options.name,
            vectors.join(", "),
            payloads.names().join(", ")
        ));
        if settings.json {
            let value = json!({
                "dry_run": true, "exit_code": 0, "url": args.url, "collection": options.collection,
                "run": options.name, "rows": dataset.rows(), "payload": payloads.names(),
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
        run,
        dataset,
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
    let (view, payloads) = (&subject.view, subject.payloads()?);
    let context = view.context(settings.limits, settings.reporter.as_ref(), &interrupt::CANCEL);
    let embedding = subject.embedding(question)?;
    let near = match question.query() {
        None => None,
        // A server has the sample's vector itself.
        Some(Query::Sample(uid)) => Some(Near::Sample(Place::find(&view.run, &uid)?.uid)),
        Some(query) => {
            let encoded = encode(view, &context, &embedding, &query, question.model.as_deref())?;
            encoded.notes.iter().for_each(|note| settings.terminal.warn(note));
            Some(Near::Vector(encoded.queries.values(0).to_vec()))
        }
    };
    let Some(url) = url else {
        return put(&RunStore::new(view, &context, &payloads, embedding), near);
    };
    let server = connect(settings, url, server)?;
    let (collection, name, vector) = (&subject.collection, &subject.name, &embedding.embedding.info.name);
    let store = ServerStore::open(&server, collection, name, vector, &payloads, question.exact)?;
    put(&store, near)
}

fn query(settings: &Settings, args: &QueryArgs) -> Result<u8> {
    let subject = Subject::open(&args.run, &args.server)?;
    let condition = args.question.condition.as_deref();
    if settings.dry_run {
        subject.embedding(&args.question)?;
        return would(settings, &subject, args.url.as_deref(), condition, "show samples of");
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
    let subject = Subject::open(&args.run, &args.server)?;
    let folder = std::env::temp_dir();
    let scratch = scratch(settings, &folder);
    let subset = SubsetFile::new(&args.out, scratch)?;
    let vector = subject.view.choose_embedding(args.vector.as_deref())?.embedding.info.name;
    if settings.dry_run {
        let condition = args.condition.as_deref();
        return would(settings, &subject, Some(&args.url), condition, "compare the vectors of");
    }
    interrupt::install(&settings.terminal)?;
    let payloads = subject.payloads()?;
    let server = connect(settings, &args.url, &args.server)?;
    let (collection, name) = (&subject.collection, &subject.name);
    let store = ServerStore::open(&server, collection, name, &vector, &payloads, args.exact)?;
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

/// What a dry run says, after a look whether the condition makes sense.
pub(super) fn would(
    settings: &Settings,
    subject: &Subject,
    url: Option<&str>,
    condition: Option<&str>,
    what: &str,
) -> Result<u8> {
    if let Some(condition) = condition {
        check_condition(condition, subject.payloads()?.schema(), url.is_some())?;
    }
    let place = match url {
        Some(url) => format!("the run '{}' in '{}' at {url}", subject.name, subject.collection),
        None => subject.view.run.path().display().to_string(),
    };
    settings.terminal.say(&format!("would {what} {place}; nothing was written"));
    if settings.json {
        settings.terminal.out_json("qdrant", json!({ "dry_run": true, "exit_code": 0, "place": place }));
    }
    Ok(super::DONE)
}
