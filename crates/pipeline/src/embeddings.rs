//! Which of a run's embeddings is meant: the one that was named, else the run's images; and which one holds the other half of the same samples.
use cribble_core::{Error, Result, StepOptions};

use crate::{RunEmbedding, RunView};

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

impl RunView {
    /// The embedding of the name, or the run's own choice: the images that the last embed step made; else, of the arrays that the input has, the
    /// one of images, or the only one; of several the one that a step of the recipe works on last.
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
        let has = |wanted: &str| names.iter().any(|(name, _)| name == wanted);
        let steps = || self.recipe.steps.iter().rev().map(|step| &step.options);
        for step in steps() {
            if let StepOptions::Embed(embed) = step {
                let made = [embed.image_name(), embed.text_name()];
                if let Some(name) = made.into_iter().find(|name| has(name)) {
                    return Ok(name);
                }
                if names.is_empty() {
                    return Err(Error::input(format!(
                        "{place} has no embedding yet: its embed step has not begun"
                    ))
                    .with_hint("run its recipe again with the same --out, or wait until it gets there"));
                }
            }
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
            ([], _) => Err(Error::usage(format!("{place} has no embedding to search")).with_hint(
                "an embed step in its recipe makes one (`cribble embed`); without a query, --where alone lists rows",
            )),
            ([(only, _)], _) => Ok(only.clone()),
            (_, Some(name)) => Ok(name.into()),
            (several, None) => {
                let several: Vec<&str> = several.iter().map(|(name, _)| name.as_str()).collect();
                Err(Error::usage(format!("{place} has {} embeddings: {}", several.len(), several.join(", ")))
                    .with_hint("say which one is searched with --embedding NAME"))
            }
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
