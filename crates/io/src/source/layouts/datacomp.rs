//! Parquet files, each with the npz of the same name beside it (DataComp's metadata), or parquet alone. Rows are joined by position,
//! so a missing partner or another number of rows is an error for the whole input, never a shard that is quietly left out.
use crate::{
    IoError, Location, Result, RowChoice, SourceFile, Storage, TableReader,
    npz::Npz,
    source::{
        LayoutKind, MAX_SHARD_ROWS,
        listing::Listing,
        parquet_rows::{ParquetRows, group_ranges},
        part::{ArrayPlace, ArraySource, Found, Part},
        pixels::Pixels,
    },
};
use arrow::datatypes::{DataType, Schema};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

/// Opens parquet files with or without their npz files.
pub(in crate::source) fn open(storage: &Arc<dyn Storage>, listing: &Listing) -> Result<Found> {
    let tables = listing.with_extension(&["parquet"]);
    let npzs = listing.with_extension(&["npz"]);
    let stem = |file: &Location| file.path().with_extension("");
    let npz_of: BTreeMap<PathBuf, &Location> = npzs.iter().map(|file| (stem(file), file)).collect();
    if !npzs.is_empty() {
        check_pairs(listing, &tables, &npzs)?;
    }
    let mut parts = Vec::new();
    let mut left_out = BTreeMap::new();
    let mut image_column = None;
    for table in &tables {
        let reader = TableReader::from_file(SourceFile::open(&**storage, table)?)?;
        image_column = image_column.or_else(|| find_image_column(reader.schema()));
        parts.extend(parts_of(storage, listing, &reader, npz_of.get(&stem(table)).copied(), &mut left_out)?);
    }
    let pixels = image_column.clone().map_or(Pixels::None, Pixels::Column);
    let (kind, why, notes) = if !npzs.is_empty() {
        (
            LayoutKind::DataComp,
            format!("{} parquet files, each with its .npz beside it", tables.len()),
            left_out.into_values().collect(),
        )
    } else {
        let notes = vec!["there are no .npz files, so no embeddings: an embed step makes them".to_owned()];
        match image_column {
            Some(column) => {
                let why =
                    format!("{} parquet files with the image column '{column}' (bytes, path)", tables.len());
                (LayoutKind::HuggingFace, why, notes)
            }
            None => {
                (LayoutKind::Parquet, format!("{} parquet files without .npz files", tables.len()), notes)
            }
        }
    };
    Ok(Found { kind, why, parts, notes, pixels })
}

fn check_pairs(listing: &Listing, tables: &[Location], npzs: &[Location]) -> Result<()> {
    let stems = |files: &[Location]| -> BTreeSet<PathBuf> {
        files.iter().map(|f| f.path().with_extension("")).collect()
    };
    let (have_table, have_npz) = (stems(tables), stems(npzs));
    let lonely = |files: &[Location], partners: &BTreeSet<PathBuf>, partner: &str| -> Vec<(String, String)> {
        let without = files.iter().filter(|file| !partners.contains(&file.path().with_extension("")));
        without.map(|file| (file.file_name(), format!("{}.{partner}", file.stem()))).collect()
    };
    let mut without_partner = lonely(tables, &have_npz, "npz");
    without_partner.extend(lonely(npzs, &have_table, "parquet"));
    without_partner.sort();
    if without_partner.is_empty() {
        return Ok(());
    }
    Err(IoError::Unpaired { path: listing.root.path().into(), without_partner })
}

/// The column of Hugging Face's image feature: a struct of `bytes` and `path`.
fn find_image_column(schema: &Schema) -> Option<String> {
    let is_image = |kind: &DataType| match kind {
        DataType::Struct(fields) => {
            ["bytes", "path"].iter().all(|name| fields.iter().any(|field| field.name() == name))
        }
        _ => false,
    };
    schema.fields().iter().find(|field| is_image(field.data_type())).map(|field| field.name().clone())
}

/// The shards of one parquet file: one, or several virtual ones when it is very large.
fn parts_of(
    storage: &Arc<dyn Storage>,
    listing: &Listing,
    table: &TableReader,
    npz: Option<&Location>,
    left_out: &mut BTreeMap<String, String>,
) -> Result<Vec<Part>> {
    let location = table.location().clone();
    let arrays = match npz {
        Some(npz) => arrays_of(storage, table, npz, left_out)?,
        None => BTreeMap::new(),
    };
    let name = listing.shard_name(&location);
    let ranges = group_ranges(&table.group_rows(), MAX_SHARD_ROWS);
    let is_one = ranges.len() == 1;
    let part = |(number, (groups, first_row, rows))| {
        let rows_of_part = ParquetRows {
            storage: storage.clone(),
            choice: if is_one { RowChoice::All } else { RowChoice::Groups(groups) },
            first_row,
            schema: table.schema().clone(),
            source: uid_source(storage, &location)?,
            location: location.clone(),
        };
        let mut arrays = arrays.clone();
        for array in arrays.values_mut() {
            array.slice = (!is_one).then_some((first_row, rows));
        }
        Ok(Part {
            name: if is_one { name.clone() } else { format!("{name}__{number:04}") },
            rows: Box::new(rows_of_part),
            row_count: rows,
            files: std::iter::once(location.clone()).chain(npz.cloned()).collect(),
            arrays,
            identity: None,
        })
    };
    (0usize..).zip(ranges).map(part).collect()
}

/// The name that goes into made uids: img2dataset's parquet describes the tar beside it, whose samples must get the same ones.
fn uid_source(storage: &Arc<dyn Storage>, table: &Location) -> Result<String> {
    let tar = table.parent().join(&format!("{}.tar", table.stem()));
    Ok(if storage.exists(&tar)? { tar.file_name() } else { table.file_name() })
}

fn arrays_of(
    storage: &Arc<dyn Storage>,
    table: &TableReader,
    location: &Location,
    left_out: &mut BTreeMap<String, String>,
) -> Result<BTreeMap<String, ArraySource>> {
    let npz = Npz::open(SourceFile::open(&**storage, location)?)?;
    // The first file that has such an array stands for all: a note for each of thousands would help nobody.
    let mut leave_out = |name: &str, why: String| {
        left_out.entry(name.to_owned()).or_insert_with(|| format!("the array '{name}' is left out: {why}"));
    };
    for (name, reason) in npz.unreadable() {
        leave_out(name, reason.clone());
    }
    let mut arrays = BTreeMap::new();
    for array in npz.arrays() {
        let header = &array.header;
        // Lists of indices, say.
        if header.shape.len() != 2 || !header.element.is_float() {
            leave_out(
                &array.name,
                format!("{:?} of {} is no table of floats, one vector a row", header.shape, header.element),
            );
            continue;
        }
        if header.rows() != table.rows() {
            return Err(IoError::RowsDiffer {
                first: table.location().to_string(),
                first_rows: table.rows(),
                second: format!("array '{}' of {location}", array.name),
                second_rows: header.rows(),
            });
        }
        let source = ArraySource {
            location: location.clone(),
            element: header.element,
            dim: header.width(),
            rows: header.rows(),
            slice: None,
            place: ArrayPlace::Npz,
        };
        arrays.insert(array.name.clone(), source);
    }
    Ok(arrays)
}
