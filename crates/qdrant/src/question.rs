//! Words and pictures as vectors, by the model that made the run's embedding.
use std::path::Path;

use cribble_core::{Error, ErrorKind, Result};
use cribble_models::{Identity, Model, ModelError, ModelOptions};
use cribble_pixels::{Limits, Mode, Scratch};

use crate::VectorSpace;

/// A text as a vector of an embedding. `model` names the model where the embedding does not say it.
///
/// # Errors
/// No model is known, it cannot be read, it has no encoder of texts, or it is another than the one that made the embedding.
pub fn text_vector(space: &VectorSpace, model: Option<&str>, text: &str) -> Result<Vec<f32>> {
    let model = open(space, model, Model::open_texts)?;
    let tower = model.texts().map_err(model_error)?;
    let tokens = tower.tokenizer().encode(text).map_err(model_error)?;
    tower.encode(&[tokens]).map_err(model_error)
}

/// An image file as a vector of an embedding.
///
/// # Errors
/// As [`text_vector`]; the file is no image.
pub fn image_vector(space: &VectorSpace, model: Option<&str>, path: &Path) -> Result<Vec<f32>> {
    let wrong = |what: String| Error::input(format!("{}: {what}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let model = open(space, model, Model::open)?;
    let tower = model.images().map_err(model_error)?;
    let (height, width) = tower.preprocess().size();
    let mut pixels = vec![0.0; 3 * height * width];
    tower
        .preprocess()
        .run(&bytes, Mode::Exact, &Limits::default(), &mut Scratch::default(), &mut pixels)
        .map_err(|error| {
            wrong(error.to_string()).with_hint("JPEG, PNG, WebP, GIF and BMP are read; is the file whole?")
        })?;
    Ok(tower.encode(&pixels, 1))
}

fn open(
    space: &VectorSpace,
    named: Option<&str>,
    open: impl Fn(&str, &ModelOptions) -> Result<Model, ModelError>,
) -> Result<Model> {
    let made_by = space.model()?;
    let name = named.or(made_by.as_ref().map(|identity| identity.name.as_str())).ok_or_else(|| {
        Error::usage(format!("the input does not say which model made its vectors '{}'", space.name))
            .with_hint("name it with --model: a folder, a Hub name (owner/name) or builtin:demo-clip")
    })?;
    let dtype = made_by.as_ref().map(|identity| identity.dtype).unwrap_or_default();
    let model = open(name, &ModelOptions { dtype, ..ModelOptions::default() }).map_err(model_error)?;
    if let Some(made_by) = &made_by {
        same(space, made_by, model.identity())?;
    }
    if model.dim() != space.dim {
        return Err(Error::input(format!(
            "{name} makes vectors of {} numbers, '{}' has {}",
            model.dim(),
            space.name,
            space.dim
        ))
        .with_hint("--model names the model that made the embedding, --vector another embedding"));
    }
    Ok(model)
}

fn same(space: &VectorSpace, made_by: &Identity, found: &Identity) -> Result<()> {
    if found.hash == made_by.hash {
        return Ok(());
    }
    Err(Error::input(format!(
        "{} is not the model that made '{}': weights {:.12}, expected {:.12}",
        found.name, space.name, found.hash, made_by.hash
    ))
    .with_hint("name the model's folder or revision with --model"))
}

fn model_error(error: ModelError) -> Error {
    let kind = match error {
        ModelError::NoTower { .. } => ErrorKind::Usage,
        _ => ErrorKind::Input,
    };
    Error::new(kind, error.to_string())
        .with_hint("--model names a folder, a Hub name or builtin:demo-clip; --vector another embedding")
}
