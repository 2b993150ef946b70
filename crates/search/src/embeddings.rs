//! The embedding that is searched: the one that was named, else the run's images.
use cribble_core::{Error, Result, StepOptions};
use cribble_pipeline::{RunEmbedding, RunView};

/// The embedding of the name, or the run's own choice.
pub(crate) fn choose(view: &RunView, name: Option<&str>) -> Result<RunEmbedding> {
    match name {
        Some(name) => view.embedding(name),
        None => view.embedding(&default(view)?),
    }
}

/// The images that the last embed step made; else, of the arrays that the input has, the one of images, or the only one; of several the one that a
/// step of the recipe works on last.
fn default(view: &RunView) -> Result<String> {
    let names = view.embedding_names();
    let place = view.run.path().display();
    let has = |wanted: &str| names.iter().any(|(name, _)| name == wanted);
    let steps = || view.recipe.steps.iter().rev().map(|step| &step.options);
    for step in steps() {
        if let StepOptions::Embed(embed) = step {
            if let Some(name) = [embed.image_name(), embed.text_name()].into_iter().find(|name| has(name)) {
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
    let is_of_images = |name: &str| ["img", "image"].iter().any(|word| name.to_lowercase().contains(word));
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
