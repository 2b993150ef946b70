//! The embeddings of a run: which there are, which one is meant where none is named, and which one holds the other half of the same samples.
use cribble_core::{Error, ErrorKind, Result, StepOptions, name_hint};
use cribble_io::{
    npy::ElementType,
    source::{ArrayInfo, Dataset},
};
use serde_json::Value;

use crate::{
    Embedding, RunFolder, RunView, StepState,
    view::{EMBEDDED_ANEW, not_whole},
};

/// An embedding of a run, and where it is from.
#[derive(Debug, Clone)]
pub struct RunEmbedding {
    /// Name, dimension, place.
    pub embedding: Embedding,
    /// The step that makes it, a position in the recipe; `None` for an array of the input.
    pub step: Option<usize>,
    /// The identity of the model that made it, as its step wrote it; `None` for an array of the input.
    pub model: Option<Value>,
    /// Another text wherever its vectors are others.
    pub version: String,
}

/// What an embedding's vectors were made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// The images.
    Images,
    /// The captions.
    Texts,
}

/// The halves of an embedding's name that say which half of the samples it holds.
const HALVES: [(&str, &str); 3] = [("img_emb", "text_emb"), ("_img", "_txt"), ("image", "text")];

impl RunFolder {
    /// The names of all embeddings, those of steps first, each with the step that makes it. Steps that have not begun have none yet.
    pub fn embedding_names(&self, dataset: &Dataset) -> Vec<(String, Option<usize>)> {
        let folder = |name: &str| self.path().join("embeddings").join(name);
        let steps = self.manifest.steps.iter().enumerate();
        let made = steps.flat_map(|(index, step)| {
            let begun = move |name: &&String| step.state == StepState::Complete || folder(name).exists();
            step.embeddings.iter().filter(begun).map(move |name| (name.clone(), Some(index)))
        });
        let given = dataset.arrays().iter().map(|array| (array.name.clone(), None));
        made.chain(given).collect()
    }

    /// The embedding of a name; `dataset` is the run's input.
    ///
    /// # Errors
    /// There is none of the name; a file that its step must have written is missing or broken.
    pub fn embedding(&self, dataset: &Dataset, name: &str) -> Result<RunEmbedding> {
        let names = self.embedding_names(dataset);
        let Some((_, step)) = names.iter().find(|(known, _)| known == name) else {
            let known: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
            return Err(Error::usage(format!("{} has no embedding '{name}'", self.path().display()))
                .with_hint(name_hint(name, known)));
        };
        if let Some(step) = *step {
            let (info, model) = self.made(name)?;
            let folder = self.path().join("embeddings").join(name);
            let version = format!("{} {name}", self.manifest.steps[step].hash);
            let embedding = Embedding { info, folder: Some(folder) };
            return Ok(RunEmbedding { embedding, step: Some(step), model: Some(model), version });
        }
        let info = dataset.array(name)?.clone();
        let version = format!("{} {name}", self.manifest.input.fingerprint);
        Ok(RunEmbedding { embedding: Embedding { info, folder: None }, step: None, model: None, version })
    }

    /// That there is none, where some are needed.
    pub fn no_embeddings(&self) -> Error {
        Error::usage(format!("{} has no embeddings", self.path().display()))
            .with_hint("an embed step in its recipe, before the others, makes them: `cribble embed --help`")
    }

    /// Shape and model of an embedding that a step makes.
    pub(crate) fn made(&self, name: &str) -> Result<(ArrayInfo, Value)> {
        let path = self.path().join("embeddings").join(name).join("model.json");
        let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => not_whole(&path, EMBEDDED_ANEW),
            _ => Error::wrap(ErrorKind::Input, error).context(path.display()),
        })?;
        let model: Value = serde_json::from_str(&text)
            .map_err(|error| Error::input(format!("{}: no model's identity: {error}", path.display())))?;
        let dim = model["dim"].as_u64().unwrap_or(0) as usize;
        if dim == 0 {
            return Err(Error::input(format!("{}: it names no dimension", path.display())));
        }
        Ok((ArrayInfo { name: name.into(), dim, dtype: ElementType::F16 }, model))
    }
}

impl RunView {
    /// [`RunFolder::embedding_names`] of the run.
    pub fn embedding_names(&self) -> Vec<(String, Option<usize>)> {
        self.run.embedding_names(&self.dataset)
    }

    /// [`RunFolder::embedding`] of the run.
    pub fn embedding(&self, name: &str) -> Result<RunEmbedding> {
        self.run.embedding(&self.dataset, name)
    }

    /// The embedding of the name, or the run's own choice: the images that the last embed step of images made; else the captions that the last
    /// embed step made; else, of the arrays that the input has, the one of images, or the only one; of several the one that a step of the recipe
    /// works on last.
    ///
    /// # Errors
    /// There is none of the name; without a name, there is none at all or no choice between several.
    pub fn choose_embedding(&self, name: Option<&str>) -> Result<RunEmbedding> {
        match name {
            Some(name) => self.embedding(name),
            None => self.embedding(&self.usual_embedding()?),
        }
    }

    fn usual_embedding(&self) -> Result<String> {
        let names = self.embedding_names();
        let place = self.run.path().display();
        let has = |wanted: &String| names.iter().any(|(name, _)| name == wanted);
        let steps = || self.recipe.steps.iter().rev().map(|step| &step.options);
        let embeds = || {
            steps().filter_map(|step| match step {
                StepOptions::Embed(embed) => Some(embed),
                _ => None,
            })
        };
        let made = embeds().map(|embed| embed.image_name()).chain(embeds().map(|embed| embed.text_name()));
        if let Some(name) = made.into_iter().find(has) {
            return Ok(name);
        }
        if names.is_empty() && embeds().next().is_some() {
            return Err(Error::input(format!("{place} has no embedding yet: its embed step has not begun"))
                .with_hint("run its recipe again with the same --out, or wait until it gets there"));
        }
        let is_of_images =
            |name: &str| ["img", "image"].iter().any(|word| name.to_lowercase().contains(word));
        let images: Vec<&str> =
            names.iter().map(|(name, _)| name.as_str()).filter(|name| is_of_images(name)).collect();
        if let [only] = images.as_slice() {
            return Ok((*only).into());
        }
        let worked_on = steps().find_map(|step| match step {
            StepOptions::Dedup(dedup) => Some(dedup.embedding.as_str()),
            StepOptions::Cluster(cluster) => Some(cluster.embedding.as_str()),
            _ => None,
        });
        match (names.as_slice(), worked_on.filter(|name| images.contains(name))) {
            ([], _) => Err(self.run.no_embeddings()),
            ([(only, _)], _) => Ok(only.clone()),
            (_, Some(name)) => Ok(name.into()),
            (several, None) => {
                let several: Vec<&str> = several.iter().map(|(name, _)| name.as_str()).collect();
                Err(Error::usage(format!("{place} has {} embeddings: {}", several.len(), several.join(", ")))
                    .with_hint("say which one is meant: --embedding NAME, in `cribble qdrant` --vector NAME"))
            }
        }
    }

    /// Whether a shard has its vectors: those of a step that is under way come shard by shard.
    pub fn has_vectors(&self, embedding: &RunEmbedding, shard: u32) -> bool {
        let under_way = embedding.step.is_some_and(|step| step >= self.complete.len());
        match &embedding.embedding.folder {
            Some(folder) if under_way => {
                let name = &self.dataset.shards()[shard as usize].name;
                folder.join(format!("{name}.npy")).exists()
            }
            _ => true,
        }
    }

    /// What an embedding's vectors were made of: its step says it, or its name.
    pub fn half(&self, embedding: &RunEmbedding) -> Half {
        let name = &embedding.embedding.info.name;
        let is_of_texts = match embedding.step.map(|step| &self.recipe.steps[step].options) {
            Some(StepOptions::Embed(embed)) => *name == embed.text_name(),
            _ => ["txt", "text", "caption"].iter().any(|word| name.to_lowercase().contains(word)),
        };
        if is_of_texts { Half::Texts } else { Half::Images }
    }

    /// The embedding of the same samples' other half, in the same space.
    pub fn partner(&self, embedding: &RunEmbedding) -> Option<RunEmbedding> {
        let info = &embedding.embedding.info;
        let swapped = HALVES
            .into_iter()
            .flat_map(|(image, text)| [(image, text), (text, image)])
            .filter(|(from, _)| info.name.contains(from))
            .map(|(from, to)| info.name.replace(from, to));
        let of_step = embedding.step.map(|step| self.run.manifest.steps[step].embeddings.clone());
        let names: Vec<String> = of_step.into_iter().flatten().chain(swapped).collect();
        names
            .into_iter()
            .filter(|name| *name != info.name)
            .filter_map(|name| self.embedding(&name).ok())
            .find(|other| {
                other.step == embedding.step
                    && other.embedding.info.dim == info.dim
                    && other.model == embedding.model
            })
    }
}
