//! Webdataset tars as rows: one sample a row, in the order of the tar; columns from its json and txt. The tar decides what the samples are:
//! img2dataset's parquet beside it is in another order and holds the downloads that failed, too.
use crate::{
    Batches, IoError, Location, Result, SourceFile, Storage,
    source::{
        LayoutKind,
        cells::{Cells, Kind},
        listing::Listing,
        part::{Found, Part, Rows},
        pixels::Pixels,
    },
    tar::{Packed, TarIndex, TarSample, scan},
};
use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::{Field, Schema, SchemaRef},
};
use cribble_core::Uid;
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

const READ_AHEAD: usize = 8 * 1024;
/// Samples whose json tells the columns: so many of the first tars, so many of each.
const GUESS_TARS: usize = 16;
const GUESS_SAMPLES: usize = 64;
/// Json and captions beyond this are not read: they are neither.
const LONGEST_TEXT: u64 = 16 << 20;
/// The columns that every tar has, before those of the json.
const OWN_COLUMNS: [&str; 3] = ["uid", "key", "text"];

/// Opens tars. Their headers are read once here, to count the samples, and again whenever rows are read.
pub(in crate::source) fn open(
    storage: &Arc<dyn Storage>,
    listing: &Listing,
    tars: &[Location],
) -> Result<Found> {
    let mut columns: Vec<(String, Kind)> =
        OWN_COLUMNS.iter().map(|name| ((*name).to_owned(), Kind::Text)).collect();
    let mut counted = Vec::with_capacity(tars.len());
    let mut from_json = 0;
    for (number, location) in tars.iter().enumerate() {
        let below = location.path().strip_prefix(listing.root.path()).unwrap_or(location.path());
        let source = below.to_string_lossy().into_owned();
        let (file, index) = scan_whole(storage, location, &source)?;
        from_json += index.uids.json;
        if number < GUESS_TARS {
            guess(&file, &index, &mut columns)?;
        }
        counted.push((location, source, index.samples.len() as u64));
    }
    let columns = Arc::new(columns);
    let rows: u64 = counted.iter().map(|(_, _, rows)| rows).sum();
    let parts = counted
        .into_iter()
        .map(|(location, source, row_count)| Part {
            name: listing.shard_name(location),
            rows: Box::new(TarRows {
                storage: storage.clone(),
                location: location.clone(),
                source,
                columns: columns.clone(),
                has_uids: from_json > 0,
            }),
            row_count,
            files: vec![location.clone()],
            arrays: BTreeMap::new(),
            identity: None,
        })
        .collect();
    let mut notes = vec!["tars have no embeddings of their own: an embed step makes them".to_owned()];
    if 0 < from_json && from_json < rows {
        let made = rows - from_json;
        notes.push(format!(
            "{made} of {rows} samples have no uid in their json: it is made from tar name and key"
        ));
    }
    let has_tables = !listing.with_extension(&["parquet"]).is_empty();
    let beside =
        if has_tables { " (parquet files beside them are img2dataset's, not read here)" } else { "" };
    Ok(Found {
        kind: LayoutKind::Webdataset,
        why: format!("{} tar files with {rows} samples{beside}", tars.len()),
        parts,
        notes,
        pixels: Pixels::Members,
    })
}

/// Indexes a tar; one that is cut or broken is an error, because its lost samples would be missing from every count.
fn scan_whole(
    storage: &Arc<dyn Storage>,
    location: &Location,
    source: &str,
) -> Result<(SourceFile, TarIndex)> {
    let file = SourceFile::open(&**storage, location)?;
    let index =
        scan(&*file.bytes(), source, READ_AHEAD).map_err(|e| IoError::read(location.path(), Some(0), e))?;
    match &index.fault {
        None => Ok((file, index)),
        Some(fault) => Err(IoError::malformed(
            location.path(),
            "tar",
            Some(fault.offset),
            "a whole archive",
            fault.to_string(),
        )
        .with_hint("fetch the tar again, or leave it out of the input")),
    }
}

fn guess(file: &SourceFile, index: &TarIndex, columns: &mut Vec<(String, Kind)>) -> Result<()> {
    for sample in index.samples.iter().take(GUESS_SAMPLES) {
        let Some(Value::Object(fields)) = json_of(file, sample)? else { continue };
        for (name, value) in &fields {
            if OWN_COLUMNS.contains(&name.as_str()) {
                continue;
            }
            let seen = Kind::of_json(value);
            match columns.iter_mut().find(|(have, _)| have == name) {
                Some((_, kind)) => *kind = kind.with(seen),
                None => columns.push((name.clone(), seen)),
            }
        }
    }
    Ok(())
}

fn json_of(file: &SourceFile, sample: &TarSample) -> Result<Option<Value>> {
    let Some(bytes) = member(file, sample, "json")? else { return Ok(None) };
    Ok(serde_json::from_slice(&bytes).ok())
}

fn member(file: &SourceFile, sample: &TarSample, extension: &str) -> Result<Option<Vec<u8>>> {
    match sample.member(extension) {
        Some(member) if member.size <= LONGEST_TEXT => {
            file.read_range(member.data_offset, member.size as usize).map(Some)
        }
        _ => Ok(None),
    }
}

struct TarRows {
    storage: Arc<dyn Storage>,
    location: Location,
    source: String,
    columns: Arc<Vec<(String, Kind)>>,
    /// Whether any sample has a uid of its own: then `uid` is a column, and the notes say how many had to be made.
    has_uids: bool,
}

impl Rows for TarRows {
    /// `uid` (of the json, else made), `key`, `text` (the txt member, else `caption` or `text` of the json), then the fields of the json.
    fn schema(&self) -> SchemaRef {
        let fields = self.columns.iter().filter(|(name, _)| self.has_uids || name != "uid");
        Arc::new(Schema::new(
            fields.map(|(name, kind)| Field::new(name, kind.data_type(), true)).collect::<Vec<_>>(),
        ))
    }

    fn read(&self, columns: &[String], batch_rows: usize) -> Result<Batches> {
        let wanted: Vec<(String, Kind)> = columns
            .iter()
            .filter_map(|name| self.columns.iter().find(|(have, _)| have == name).cloned())
            .collect();
        let fields: Vec<_> =
            wanted.iter().map(|(name, kind)| Field::new(name, kind.data_type(), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let (file, index) = scan_whole(&self.storage, &self.location, &self.source)?;
        let mut samples: Packed = index.samples.into_iter().collect();
        let mut cells: Vec<Cells> = wanted.iter().map(|(_, kind)| Cells::new(*kind)).collect();
        Ok(Box::new(std::iter::from_fn(move || {
            let mut rows = 0;
            for sample in samples.by_ref().take(batch_rows.max(1)) {
                if let Err(error) = push(&file, &sample, &wanted, &mut cells) {
                    samples = Packed::default();
                    return Some(Err(error));
                }
                rows += 1;
            }
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            let columns = cells.iter_mut().map(Cells::take).collect();
            let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options);
            (rows > 0).then(|| batch.map_err(|source| IoError::Arrow { path: file.path().into(), source }))
        })))
    }

    fn uids(&self) -> Result<Vec<Uid>> {
        let (_, index) = scan_whole(&self.storage, &self.location, &self.source)?;
        Ok(index.samples.iter().map(|sample| sample.uid).collect())
    }
}

fn push(file: &SourceFile, sample: &TarSample, wanted: &[(String, Kind)], cells: &mut [Cells]) -> Result<()> {
    let needs_json = wanted.iter().any(|(name, _)| name != "key" && name != "uid");
    let json = if needs_json { json_of(file, sample)? } else { None };
    for ((name, _), cells) in wanted.iter().zip(cells) {
        match name.as_str() {
            "uid" => cells.push_text(Some(&sample.uid.to_string())),
            "key" => cells.push_text(Some(&String::from_utf8_lossy(&sample.key))),
            "text" => match member(file, sample, "txt")? {
                Some(bytes) => cells.push_text(Some(&String::from_utf8_lossy(&bytes))),
                None => {
                    let field = |name| json.as_ref().and_then(|json| json.get(name));
                    cells.push_json(field("caption").or_else(|| field("text")));
                }
            },
            name => cells.push_json(json.as_ref().and_then(|json| json.get(name))),
        }
    }
    Ok(())
}
