//! The page as a folder: `index.html` and, in `images/`, the pictures of its samples as they lie in the input, byte for byte. Any web server
//! or disk can show it; thumbnails stay inside the page, so it is whole even where the pictures are not copied along.
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use cribble_core::{Cancel, Error, ErrorKind, Result, Uid};
use cribble_outputs::report::{Page, render_page};
use cribble_pipeline::RunFolder;
use serde::Serialize;

use super::{describe, draw::Place, pictures};
use crate::{session, settings::Settings, state::State};

/// What was written.
#[derive(Debug, Serialize)]
pub struct Site {
    pub page: PathBuf,
    pub page_bytes: u64,
    pub images: u64,
}

/// Writes the folder; the page comes last. Of an input that is gone the page is written without pictures, and says so.
pub fn write_site(
    settings: &Settings,
    run: &RunFolder,
    state: &State,
    site: &Path,
    cancel: &Cancel,
) -> Result<Site> {
    let io =
        |error: std::io::Error, path: &Path| Error::wrap(ErrorKind::Input, error).context(path.display());
    let folder = site.join("images");
    std::fs::create_dir_all(&folder).map_err(|error| io(error, &folder))?;
    let mut warnings = state.warnings.clone();
    let images = match copy_images(settings, run, state, &folder, cancel) {
        Ok(images) => images,
        Err(error) if error.kind() == ErrorKind::Input => {
            settings.terminal.warn(&format!("without full-size pictures: {error}"));
            warnings.push(format!("There are no full-size pictures: {error}."));
            BTreeMap::new()
        }
        Err(error) => return Err(error),
    };
    let page = render_page(&Page {
        report: &state.report,
        gallery: state.gallery.as_ref(),
        warnings: &warnings,
        images: &images,
    });
    let path = site.join("index.html");
    cribble_io::write_file(&path, page.as_bytes())?;
    Ok(Site { page: path, page_bytes: page.len() as u64, images: images.len() as u64 })
}

/// Copies the pictures of all samples; returns their paths below the site by uid.
fn copy_images(
    settings: &Settings,
    run: &RunFolder,
    state: &State,
    folder: &Path,
    cancel: &Cancel,
) -> Result<BTreeMap<String, String>> {
    let Some(gallery) = &state.gallery else { return Ok(BTreeMap::new()) };
    let wanted: BTreeSet<Uid> =
        gallery.samples.keys().filter_map(|uid| Uid::parse(uid.as_bytes()).ok()).collect();
    let dataset = session::open_input(settings, &run.recipe()?.input)?;
    let (places, _) = describe::locate(&dataset, run, &wanted, &[], cancel)?;
    let places: BTreeSet<Place> = places.into_values().collect();
    let (written, notes) = pictures::each(&dataset, run, &places, cancel, |uid, bytes| {
        let Some(extension) = extension(bytes) else { return Ok(None) };
        let name = format!("{uid}.{extension}");
        cribble_io::write_file(&folder.join(&name), bytes)?;
        Ok(Some(format!("images/{name}")))
    })?;
    for note in notes {
        settings.terminal.note(&note);
    }
    Ok(written.into_iter().map(|(uid, path)| (uid.to_string(), path)).collect())
}

/// What a browser shows, by the first bytes; a picture's name in its tar says nothing of what it is.
fn extension(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xFF, 0xD8, 0xFF, ..] => Some("jpg"),
        [0x89, b'P', b'N', b'G', ..] => Some("png"),
        [b'G', b'I', b'F', b'8', ..] => Some("gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("webp"),
        [b'B', b'M', ..] => Some("bmp"),
        _ => None,
    }
}
