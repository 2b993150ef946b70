//! Arrays without a table: `.npy` files or headerless memmaps, with ids beside them. One big file is cut into virtual shards, so that
//! it is worked on in pieces like everything else.
use crate::{
    IoError, Location, Result, SourceFile, Storage,
    npy::{ElementType, NpyFile},
    source::{
        LayoutKind, OpenOptions,
        ids::Ids,
        listing::Listing,
        part::{ArrayPlace, ArraySource, Found, Part, cut},
        pixels::Pixels,
    },
};
use std::{collections::BTreeMap, sync::Arc};

/// A bare array is cut into virtual shards of this many rows.
pub const VIRTUAL_SHARD_ROWS: u64 = 500_000;
/// Names of headerless arrays, where no dimension tells that it is one.
pub(in crate::source) const RAW_EXTENSIONS: [&str; 5] = ["dat", "bin", "memmap", "raw", "mmap"];
/// The name of the array of such an input.
pub(in crate::source) const ARRAY_NAME: &str = "embedding";

/// Opens bare arrays. Several files need no ids file: one would not say where it belongs.
pub(in crate::source) fn open(
    storage: &Arc<dyn Storage>,
    listing: &Listing,
    files: &[Location],
    options: &OpenOptions,
) -> Result<Found> {
    let mut notes = Vec::new();
    let ids = match &options.ids {
        Some(text) if files.len() == 1 => Ids::open(storage, &Location::parse(text)?, VIRTUAL_SHARD_ROWS)?,
        Some(_) => {
            return Err(IoError::OptionNeeded {
                path: listing.root.path().into(),
                what: format!("one array for the ids, found {}", files.len()),
                hint: "name one array file, or leave the ids out".into(),
            });
        }
        None => {
            notes.push("no ids were given: uids are made from file name and row number".to_owned());
            Ids::Numbers
        }
    };
    let ids_file = options.ids.as_deref().map(Location::parse).transpose()?;
    let ids_files = ids.files(ids_file.as_ref());
    let mut parts = Vec::new();
    let mut seen = String::new();
    for file in files {
        let (array, place) = open_array(storage, file, options)?;
        let source = ArraySource::npy(&array, place)?;
        if let Some(rows) = ids.rows()
            && rows != source.rows
        {
            return Err(IoError::RowsDiffer {
                first: file.to_string(),
                first_rows: source.rows,
                second: ids_file.as_ref().map_or_else(String::new, Location::to_string),
                second_rows: rows,
            });
        }
        let form = if place == ArrayPlace::Npy { "an .npy file" } else { "a headerless array" };
        seen = format!("{form} of [{}, {}] {}", source.rows, source.dim, source.element);
        let pieces = cut(source.rows, VIRTUAL_SHARD_ROWS);
        let name = listing.shard_name(file);
        for (number, &(first, rows)) in pieces.iter().enumerate() {
            let array = ArraySource { slice: (pieces.len() > 1).then_some((first, rows)), ..source.clone() };
            parts.push(Part {
                name: if pieces.len() > 1 { format!("{name}__{number:05}") } else { name.clone() },
                rows: ids.part(storage, &file.file_name(), first, rows)?,
                row_count: rows,
                files: std::iter::once(file.clone())
                    .chain(if number == 0 { ids_files.clone() } else { Vec::new() })
                    .collect(),
                arrays: BTreeMap::from([(ARRAY_NAME.to_owned(), array)]),
                identity: None,
            });
        }
    }
    let why =
        if files.len() == 1 { seen } else { format!("{} array files, the last one {seen}", files.len()) };
    let kind = ids.layout();
    let why =
        if kind == LayoutKind::Array { why } else { format!("{why}, and the cluster files of its rows") };
    Ok(Found { kind, why, parts, notes, pixels: Pixels::None })
}

/// Opens one array file, with a header or, when a dimension was given, without.
pub(in crate::source) fn open_array(
    storage: &Arc<dyn Storage>,
    location: &Location,
    options: &OpenOptions,
) -> Result<(NpyFile, ArrayPlace)> {
    let file = SourceFile::open(&**storage, location)?;
    if location.extension() == "npy" || file.read_range(0, 6)? == b"\x93NUMPY" {
        return Ok((NpyFile::open(file)?, ArrayPlace::Npy));
    }
    let Some(dim) = options.dim else {
        return Err(IoError::OptionNeeded {
            path: location.path().into(),
            what: "the dimension of the headerless array".into(),
            hint: "give dim (and dtype when it is f16), for example dim = 512".into(),
        });
    };
    let element = match options.dtype.as_deref() {
        None | Some("f32" | "float32" | "<f4") => ElementType::F32,
        Some("f16" | "float16" | "<f2") => ElementType::F16,
        Some(other) => {
            return Err(IoError::OptionNeeded {
                path: location.path().into(),
                what: format!("another dtype than '{other}'"),
                hint: "a headerless array is of f32 or f16".into(),
            });
        }
    };
    Ok((NpyFile::headerless(file, element, dim)?, ArrayPlace::Headerless))
}
