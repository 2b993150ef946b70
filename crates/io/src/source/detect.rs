//! What an input is, judged by names and first bytes. The order of the questions matters and goes from the most telling sign to the
//! least; whatever the answer, it comes with its reason, because a wrong guess must be visible.
use super::{
    OpenOptions,
    layouts::{arrays, clip_retrieval, clusters, datacomp, images, webdataset},
    listing::Listing,
    part::Found,
};
use crate::{IoError, Location, Result, Storage, tar::IMAGE_EXTENSIONS};
use std::sync::Arc;

/// Finds out what lies at the path and opens it.
pub(super) fn detect(storage: &Arc<dyn Storage>, options: &OpenOptions) -> Result<Found> {
    let mut listing = Listing::new(&**storage, &options.path)?;
    if !listing.is_folder && listing.files.len() == 1 {
        add_partner(storage, &mut listing)?;
    }
    if let Some(found) = known(storage, &listing, options)? {
        return Ok(found);
    }
    if listing.is_folder {
        // DataComp's own downloader puts the metadata into a folder of that name, beside the shards.
        if let Some(metadata) = listing.folder("metadata") {
            let inner = Listing::of_folder(&**storage, metadata.clone())?;
            if !inner.with_extension(&["parquet"]).is_empty() {
                let mut found = datacomp::open(storage, &inner)?;
                found.why = format!("the folder 'metadata' in it has {}", found.why);
                return Ok(found);
            }
        }
        let nested = listing.nested(&**storage)?;
        if let Some(mut found) = known(storage, &nested, options)? {
            found.why = format!("{}, in sub-folders", found.why);
            return Ok(found);
        }
    }
    Err(IoError::Unrecognised {
        path: options.path.clone().into(),
        found: format!("found {}", listing.summary()),
    })
}

/// The layout of these files, `None` when they have none of the signs.
fn known(storage: &Arc<dyn Storage>, listing: &Listing, options: &OpenOptions) -> Result<Option<Found>> {
    if clip_retrieval::is_here(listing) {
        return clip_retrieval::open(storage, listing).map(Some);
    }
    let with = |extensions: &[&str]| listing.with_extension(extensions);
    let tars = with(&["tar"]);
    let has_npz = !with(&["npz"]).is_empty();
    // Tars with a parquet beside each are img2dataset's; with npz files they are somebody's metadata in the same folder.
    if !tars.is_empty() && !has_npz {
        return webdataset::open(storage, listing, &tars).map(Some);
    }
    if has_npz || !with(&["parquet"]).is_empty() {
        return datacomp::open(storage, listing).map(Some);
    }
    if listing.is_folder && listing.files.iter().any(clusters::is_cluster_file) {
        return clusters::open(storage, listing, options).map(Some);
    }
    let is_ids =
        |file: &Location| options.ids.as_deref().is_some_and(|ids| file.path() == std::path::Path::new(ids));
    let arrays: Vec<Location> = with(&["npy"]).into_iter().filter(|file| !is_ids(file)).collect();
    if !arrays.is_empty() {
        return arrays::open(storage, listing, &arrays, options).map(Some);
    }
    if let [file] = &listing.files[..]
        && !listing.is_folder
        && (options.dim.is_some() || arrays::RAW_EXTENSIONS.contains(&file.extension().as_str()))
    {
        return arrays::open(storage, listing, &listing.files, options).map(Some);
    }
    if listing.is_folder
        && let Some(metadata) = images::metadata_file(listing)
    {
        return images::open_with_metadata(storage, listing, &metadata).map(Some);
    }
    if !with(&IMAGE_EXTENSIONS).is_empty() {
        // Captions may lie deeper than the first image.
        return images::open(storage, &listing.nested(&**storage)?).map(Some);
    }
    Ok(None)
}

/// A single parquet or npz file brings its partner along.
fn add_partner(storage: &Arc<dyn Storage>, listing: &mut Listing) -> Result<()> {
    let Some(file) = listing.files.first().cloned() else { return Ok(()) };
    let other = match file.extension().as_str() {
        "npz" => "parquet",
        "parquet" => "npz",
        _ => return Ok(()),
    };
    let partner = file.parent().join(&format!("{}.{other}", file.stem()));
    if storage.exists(&partner)? {
        listing.files.push(partner);
        listing.files.sort();
    }
    Ok(())
}
