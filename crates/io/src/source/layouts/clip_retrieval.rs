//! What `clip-retrieval inference` writes: `metadata/metadata_{i}.parquet`, `img_emb/img_emb_{i}.npy`, `text_emb/text_emb_{i}.npy`, where `i` is padded to the
//! number of digits of the partition count. Parts are matched by their number, so any padding will do.
use crate::{
    IoError, Location, Result, RowChoice, SourceFile, Storage, TableReader,
    npy::NpyFile,
    source::{
        LayoutKind,
        listing::Listing,
        parquet_rows::ParquetRows,
        part::{ArrayPlace, ArraySource, Found, Part},
        pixels::Pixels,
    },
};
use std::{collections::BTreeMap, sync::Arc};

const ARRAYS: [&str; 2] = ["img_emb", "text_emb"];

/// Whether a folder looks like one.
pub(in crate::source) fn is_here(listing: &Listing) -> bool {
    ARRAYS.iter().any(|name| listing.folder(name).is_some())
}

/// Opens the folder. Every part must have its metadata and each of the arrays that there are.
pub(in crate::source) fn open(storage: &Arc<dyn Storage>, listing: &Listing) -> Result<Found> {
    let Some(metadata) = listing.folder("metadata") else {
        let pair = (listing.root.file_name(), "folder 'metadata'".to_owned());
        return Err(IoError::Unpaired { path: listing.root.path().into(), without_partner: vec![pair] });
    };
    let tables = numbered(storage, metadata, "parquet")?;
    let mut arrays = BTreeMap::new();
    for name in ARRAYS {
        if let Some(folder) = listing.folder(name) {
            arrays.insert(name, numbered(storage, folder, "npy")?);
        }
    }
    let mut without_partner = Vec::new();
    for (name, files) in &arrays {
        for (number, table) in &tables {
            if !files.contains_key(number) {
                without_partner.push((table.file_name(), format!("{name}_{number}.npy")));
            }
        }
        for (number, file) in files {
            if !tables.contains_key(number) {
                without_partner.push((file.file_name(), format!("metadata_{number}.parquet")));
            }
        }
    }
    if !without_partner.is_empty() {
        without_partner.sort();
        return Err(IoError::Unpaired { path: listing.root.path().into(), without_partner });
    }
    let parts = tables
        .iter()
        .map(|(number, table)| part(storage, *number, table, &arrays))
        .collect::<Result<Vec<_>>>()?;
    let names: Vec<&str> = arrays.keys().copied().collect();
    Ok(Found {
        kind: LayoutKind::ClipRetrieval,
        why: format!("the folders metadata and {} with {} numbered parts", names.join(", "), parts.len()),
        parts,
        notes: Vec::new(),
        pixels: Pixels::None,
    })
}

fn part(
    storage: &Arc<dyn Storage>,
    number: u64,
    location: &Location,
    arrays: &BTreeMap<&str, BTreeMap<u64, Location>>,
) -> Result<Part> {
    let table = TableReader::from_file(SourceFile::open(&**storage, location)?)?;
    let mut files = vec![location.clone()];
    let mut sources = BTreeMap::new();
    for (name, numbered) in arrays {
        let Some(file) = numbered.get(&number) else { continue };
        let npy = NpyFile::open(SourceFile::open(&**storage, file)?)?;
        if npy.rows() != table.rows() {
            return Err(IoError::RowsDiffer {
                first: location.to_string(),
                first_rows: table.rows(),
                second: file.to_string(),
                second_rows: npy.rows(),
            });
        }
        sources.insert((*name).to_owned(), ArraySource::npy(&npy, ArrayPlace::Npy)?);
        files.push(file.clone());
    }
    let rows = ParquetRows {
        storage: storage.clone(),
        location: location.clone(),
        choice: RowChoice::All,
        first_row: 0,
        schema: table.schema().clone(),
        source: location.file_name(),
    };
    Ok(Part {
        name: format!("{number:05}"),
        row_count: table.rows(),
        rows: Box::new(rows),
        files,
        arrays: sources,
        identity: None,
    })
}

/// The files of a folder by the number at the end of their stem.
fn numbered(
    storage: &Arc<dyn Storage>,
    folder: &Location,
    extension: &str,
) -> Result<BTreeMap<u64, Location>> {
    let mut files = BTreeMap::new();
    for entry in storage.list(folder)? {
        let location = entry.location;
        if entry.is_folder || location.extension() != extension {
            continue;
        }
        let stem = location.stem();
        let digits = stem.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        let Ok(number) = digits.parse::<u64>() else {
            let expected = "a name that ends with its part's number";
            return Err(IoError::malformed(
                location.path(),
                "file name",
                None,
                expected,
                format!("'{stem}'"),
            ));
        };
        if let Some(other) = files.insert(number, location.clone()) {
            return Err(IoError::SameName {
                name: format!("{number:05}"),
                first: other.path().into(),
                second: location.path().into(),
            });
        }
    }
    Ok(files)
}
