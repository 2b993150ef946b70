//! Questions of a step to a model on a server, for `judge`, `caption` and `rewrite`: one client a step, its answers in `RUN/answers/` and
//! in the folder that runs share, and one way to say what is missing.
mod missing;
mod picture;
mod prompt;
mod usage;

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use cribble_chat::{
    Cache, ChatError, Client, Endpoint, Job, JobId, Key, Message, Outcome, Params, Price, Request, Schema,
    Settings, Stop, Summary,
};
use cribble_core::{ChatOptions, ChatUsage, Error, Result};
use cribble_pipeline::StepContext;

pub use missing::{MissingList, fail_on_missing};
pub use picture::picture;
pub use prompt::{Prompt, prompt_text};
pub use usage::{add_usage, usage_note};

/// The client of a step, opened by the first task that needs it.
pub struct Caller {
    options: ChatOptions,
    client: Mutex<Option<std::sync::Arc<Client>>>,
}

/// An error of the client as the program's: a setting that cannot be meant is a wrong recipe, all else is the machine's.
fn chat_error(error: ChatError) -> Error {
    match error {
        ChatError::Setting { name, what, cure } => {
            Error::usage(format!("chat: {name}: {what}")).with_hint(cure)
        }
        ChatError::Key { from, what, cure } => {
            Error::input(format!("no key from {from}: {what}")).with_hint(cure)
        }
        other => Error::input(other.to_string()),
    }
}

impl Caller {
    pub fn new(options: ChatOptions) -> Self {
        Self { options, client: Mutex::new(None) }
    }

    fn endpoint(&self) -> Result<Endpoint> {
        let endpoint = Endpoint::new(&self.options.endpoint, &self.options.model).map_err(chat_error)?;
        let key = match (self.options.key_env.as_str(), self.options.key_file.as_str()) {
            ("", "") => return Ok(endpoint),
            (name, "") => Key::from_env(name),
            (_, file) => Key::from_file(file.as_ref()),
        };
        Ok(endpoint.with_key(key.map_err(chat_error)?))
    }

    /// What can be wrong before a call is made (address, key), and sentences for the dry run: what is asked, `most` times at most, and what that
    /// may cost. Nothing is called.
    pub fn check(&self, questions: &str, most: u64) -> Result<Vec<String>> {
        let endpoint = self.endpoint()?;
        let options = &self.options;
        let mut notes = vec![format!(
            "{questions}, {most} at most, to {} at {}, {} in flight, answers of at most {} tokens",
            endpoint.model(),
            endpoint.base(),
            options.in_flight,
            options.max_tokens
        )];
        let tokens = most as f64 * f64::from(options.max_tokens);
        if options.price_output > 0.0 {
            let cost = tokens * options.price_output / 1e6;
            notes.push(format!("answers cost {cost:.2} at most, if none is known; questions come on top"));
        }
        if options.max_cost > 0.0 {
            notes.push(format!("spends at most {} in a session", options.max_cost));
        }
        notes.push(match shared_folder(&options.cache) {
            Some(folder) => format!("answers are kept in answers/ of the run and in {}", folder.display()),
            None => "answers are kept in answers/ of the run alone".into(),
        });
        Ok(notes)
    }

    fn client(&self, context: &StepContext<'_>) -> Result<std::sync::Arc<Client>> {
        let mut slot = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*slot {
            return Ok(client.clone());
        }
        let shared = shared_folder(&self.options.cache);
        let cache = Cache::open(&context.run.join("answers"), shared.as_deref()).map_err(chat_error)?;
        if cache.damaged() > 0 {
            context.progress.note(&format!(
                "{} answers on disk are torn or damaged and are asked again",
                cache.damaged()
            ));
        }
        let client = Client::new(self.endpoint()?, self.settings(), cache).map_err(chat_error)?;
        let client = std::sync::Arc::new(client);
        *slot = Some(client.clone());
        Ok(client)
    }

    /// Forgets the client: the next step has the memory to itself.
    pub fn close(&self) {
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn settings(&self) -> Settings {
        let options = &self.options;
        let some = |value: f64| (value > 0.0).then_some(value);
        let prices = options.price_input > 0.0 || options.price_output > 0.0;
        Settings {
            in_flight: options.in_flight as usize,
            timeout: Duration::from_secs_f64(options.timeout_seconds),
            retries: options.retries,
            requests_per_minute: some(options.requests_per_minute),
            tokens_per_minute: some(options.tokens_per_minute),
            price: prices.then_some(Price { input: options.price_input, output: options.price_output }),
            most_cost: some(options.max_cost),
            ..Settings::default()
        }
    }

    /// A question with this step's parameters.
    pub fn request(&self, messages: Vec<Message>, schema: Option<Schema>) -> Request {
        Request {
            messages,
            params: Params {
                temperature: Some(self.options.temperature),
                max_tokens: Some(self.options.max_tokens),
                seed: Some(self.options.seed),
                schema,
                extra: self.options.extra.clone(),
            },
        }
    }

    /// Asks all questions; `sink` hears of each once, in the order of completion, on this thread. Shows progress under `label`. Returns what
    /// the calls took. Fails only when the user cancels, or a question could not be made: what is missing is for the caller to judge.
    pub fn ask(
        &self,
        context: &StepContext<'_>,
        label: &str,
        total: u64,
        questions: impl Iterator<Item = Result<Job>>,
        mut sink: impl FnMut(JobId, Outcome),
    ) -> Result<(Summary, ChatUsage)> {
        let client = self.client(context)?;
        let before = client.usage();
        context.progress.begin(label, total, "questions");
        let mut broken = None;
        let questions = questions.map_while(|job| match job {
            Ok(job) => Some(job),
            Err(error) => {
                broken = Some(error);
                None
            }
        });
        let summary = client.run(questions, context.cancel, |id, outcome| {
            context.progress.advance(1);
            context.progress.status(&usage::live(&client.usage(), self.options.max_cost));
            sink(id, outcome);
        });
        context.progress.end();
        if let Some(error) = broken {
            return Err(error);
        }
        match &summary.stop {
            Some(Stop::Cancelled) => Err(Error::interrupted()),
            Some(Stop::Cache(what)) => Err(Error::input(what.clone())),
            _ => {
                let usage = usage::since(&before, &summary.usage);
                Ok((summary, usage))
            }
        }
    }
}

/// The folder of answers that runs share, as the option names it.
fn shared_folder(option: &str) -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    match option {
        "none" => None,
        "" => variable("CRIBBLE_CACHE")
            .or_else(|| variable("XDG_CACHE_HOME").map(|folder| folder.join("cribble")))
            .or_else(|| variable("HOME").map(|home| home.join(".cache/cribble")))
            .map(|folder| folder.join("answers")),
        folder => Some(folder.into()),
    }
}
