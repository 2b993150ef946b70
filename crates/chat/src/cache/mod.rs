//! Answers on disk: what was once answered is never asked again, in this run, after a kill, or in another run that shares the folder.
//!
//! A folder holds files `answers-v1-*.jsonl`, each written by one process at a time and only at its end. See `record` for a line.
mod record;
mod store;

use crate::{Answer, Image, Params, Part, Request, Result, Schema};
use std::path::Path;
use store::Store;

/// The name of a question: the first 16 bytes of BLAKE3 over the model's name, the messages (images by the BLAKE3 of their bytes), the
/// parameters and the number of the vote. The address is no part of it, so that a server may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey(pub [u8; 16]);

impl CacheKey {
    /// The name of vote `vote` (from 0) of a question to `model`.
    pub fn of(model: &str, request: &Request, vote: u32) -> Self {
        let mut hasher = blake3::Hasher::new();
        // Every field begins with its name and its length: no two different questions are the same bytes.
        let mut add = |name: &str, bytes: &[u8]| {
            hasher
                .update(name.as_bytes())
                .update(&[0])
                .update(&(bytes.len() as u64).to_le_bytes())
                .update(bytes);
        };
        add("cribble-chat", b"1");
        add("model", model.as_bytes());
        for message in &request.messages {
            add("role", message.role.name().as_bytes());
            for part in &message.parts {
                match part {
                    Part::Text(text) => add("text", text.as_bytes()),
                    Part::Image(Image::Url(url)) => add("url", url.as_bytes()),
                    Part::Image(Image::Bytes { media, bytes }) => {
                        add("image", media.as_bytes());
                        add("bytes", blake3::hash(bytes).as_bytes());
                    }
                }
            }
        }
        let Params { temperature, max_tokens, seed, schema, extra } = &request.params;
        add("temperature", temperature.map(f64::to_le_bytes).as_ref().map_or(&[], |bytes| bytes));
        add("max_tokens", max_tokens.map(u32::to_le_bytes).as_ref().map_or(&[], |bytes| bytes));
        add("seed", seed.map(u64::to_le_bytes).as_ref().map_or(&[], |bytes| bytes));
        if let Some(Schema { name, schema }) = schema {
            // As text: the order of a schema's properties is the order in which they are written.
            add("schema", name.as_bytes());
            add("json", schema.to_string().as_bytes());
        }
        for (name, value) in extra {
            add("extra", name.as_bytes());
            add("value", value.to_string().as_bytes());
        }
        add("vote", &vote.to_le_bytes());
        let mut key = [0; 16];
        key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(key)
    }
}

/// The answers of a run, and those that runs share. Memory: 28 bytes for each answer found on opening, about twice that for new ones.
#[derive(Debug)]
pub struct Cache {
    run: Option<Store>,
    shared: Option<Store>,
}

impl Cache {
    /// Opens the folders, making them if need be, and reads what they hold. Lines that are torn or damaged are left out.
    ///
    /// # Errors
    /// [`crate::ChatError::Cache`] when a folder cannot be made or a file cannot be read.
    pub fn open(run: &Path, shared: Option<&Path>) -> Result<Self> {
        let run = Store::open(run)?;
        let shared = shared.map(Store::open).transpose()?;
        let shared = shared.filter(|shared| !shared.is_in_folder_of(&run));
        Ok(Self { run: Some(run), shared })
    }

    /// No cache: every question is asked, and nothing is kept.
    pub fn none() -> Self {
        Self { run: None, shared: None }
    }

    /// Answers that are known, in the run or in the shared folder, whichever has more.
    pub fn len(&self) -> usize {
        self.stores().map(Store::len).max().unwrap_or(0)
    }

    /// Whether no answer is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lines that were no whole record when the folders were opened: torn by a kill, or damaged.
    pub fn damaged(&self) -> u64 {
        self.stores().map(Store::damaged).sum()
    }

    /// A known answer, proven by its checksum. One that only the shared folder has is copied to the run.
    ///
    /// # Errors
    /// [`crate::ChatError::Cache`] when a file cannot be read or the copy not written.
    pub fn get(&self, key: CacheKey) -> Result<Option<Answer>> {
        if let Some(run) = &self.run
            && let Some(answer) = run.get(key)?
        {
            return Ok(Some(answer));
        }
        let Some(shared) = &self.shared else { return Ok(None) };
        let found = shared.get(key)?;
        if let (Some(run), Some(answer)) = (&self.run, &found) {
            run.put(key, answer)?;
        }
        Ok(found)
    }

    /// Keeps an answer in the run and in the shared folder. When it returns, a killed process has lost nothing; for a power cut see
    /// [`Cache::sync`].
    ///
    /// # Errors
    /// [`crate::ChatError::Cache`] when a file cannot be written.
    pub fn put(&self, key: CacheKey, answer: &Answer) -> Result<()> {
        self.stores().try_for_each(|store| store.put(key, answer))
    }

    /// Waits until all answers are on the disk itself.
    ///
    /// # Errors
    /// [`crate::ChatError::Cache`] when the system cannot write them.
    pub fn sync(&self) -> Result<()> {
        self.stores().try_for_each(Store::sync)
    }

    fn stores(&self) -> impl Iterator<Item = &Store> {
        self.run.iter().chain(&self.shared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;
    use serde_json::json;
    use std::{collections::HashSet, sync::Arc};

    #[test]
    fn the_name_of_a_question_is_all_of_it_and_stays() {
        let image = |bytes: &[u8]| Image::Bytes { media: "image/jpeg", bytes: Arc::from(bytes) };
        let base = Request { messages: vec![Message::user("a")], ..Request::default() };
        let with = |change: &dyn Fn(&mut Request)| {
            let mut request = base.clone();
            change(&mut request);
            CacheKey::of("m", &request, 0)
        };
        let names = [
            CacheKey::of("m", &base, 0),
            CacheKey::of("m", &base, 1),
            CacheKey::of("n", &base, 0),
            with(&|request| request.messages[0] = Message::user("b")),
            with(&|request| request.messages[0] = Message::system("a")),
            with(&|request| request.messages.push(Message::user(""))),
            with(&|request| request.messages[0].parts.push(Part::Text(String::new()))),
            with(&|request| request.messages[0].parts.push(Part::Image(image(b"1")))),
            with(&|request| request.messages[0].parts.push(Part::Image(image(b"2")))),
            with(&|request| request.messages[0].parts.push(Part::Image(Image::Url("1".into())))),
            with(&|request| request.params.temperature = Some(0.0)),
            with(&|request| request.params.max_tokens = Some(0)),
            with(&|request| request.params.seed = Some(0)),
            with(&|request| request.params.schema = Some(Schema { name: "s".into(), schema: json!({}) })),
            with(&|request| drop(request.params.extra.insert("top_p".into(), json!(1)))),
        ];
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        // A cache of an older build must still be found.
        let hex: String = names[0].0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "66f6aa7a01e4724550ba680b2ba6a711");
    }

    #[test]
    fn a_shared_answer_is_copied_to_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second, shared] = ["first", "second", "shared"].map(|name| folder.path().join(name));
        let answer = Answer {
            text: "yes\n\u{2028}".into(),
            finish: None,
            input_tokens: Some(1),
            output_tokens: None,
            seconds: 0.25,
            cached: false,
        };
        let key = CacheKey([7; 16]);
        Cache::open(&first, Some(&shared)).unwrap().put(key, &answer).unwrap();
        let cache = Cache::open(&second, Some(&shared)).unwrap();
        assert_eq!(cache.get(key).unwrap().unwrap().text, answer.text);
        drop(cache);
        assert_eq!(Cache::open(&second, None).unwrap().get(key).unwrap().unwrap().text, answer.text);
        // The same folder twice is one folder.
        let cache = Cache::open(&first, Some(&first)).unwrap();
        assert!(cache.shared.is_none());
        assert!(Cache::none().get(key).unwrap().is_none());
    }
}
