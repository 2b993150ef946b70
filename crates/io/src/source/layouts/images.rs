//! A folder of images: captions in one table (`metadata.csv` or `metadata.jsonl` with a column `file_name`, the convention of Hugging Face's imagefolder), or
//! each in a `.txt` beside its image. A sample is named by its path below the folder, so its uid survives a move of the folder.
use crate::{
    Batches, IoError, Location, Result, SourceFile, Storage,
    source::{
        LayoutKind, VIRTUAL_SHARD_ROWS,
        listing::Listing,
        part::{Found, Part, Rows, cut},
        pixels::Pixels,
        text_table::{TextRows, TextTable},
    },
    tar::IMAGE_EXTENSIONS,
    uids::stable_uid,
};
use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use cribble_core::Uid;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const METADATA_NAMES: [&str; 2] = ["metadata.csv", "metadata.jsonl"];
/// What stands for the file name in the hash of uids: the path in the folder is the key, whichever way the captions come.
const UID_SOURCE: &str = "images";
/// A caption longer than this is cut: it is no caption.
const LONGEST_CAPTION: usize = 1 << 20;

/// The metadata table of the folder, when it has one.
pub(in crate::source) fn metadata_file(listing: &Listing) -> Option<Location> {
    listing
        .files
        .iter()
        .find(|file| {
            METADATA_NAMES.contains(&file.file_name().as_str()) && file.parent().path() == listing.root.path()
        })
        .cloned()
}

/// Rows are the lines of the metadata table, in its order. Images that it does not name are counted in a note, missing images are an error.
pub(in crate::source) fn open_with_metadata(
    storage: &Arc<dyn Storage>,
    listing: &Listing,
    metadata: &Location,
) -> Result<Found> {
    let table = TextTable::image_metadata(SourceFile::open(&**storage, metadata)?, VIRTUAL_SHARD_ROWS)?;
    let nested = listing.nested(&**storage)?;
    let images: BTreeSet<_> = nested.with_extension(&IMAGE_EXTENSIONS).into_iter().collect();
    let parts: Vec<Part> = pieces(listing, table.rows())
        .into_iter()
        .map(|(name, first, rows)| Part {
            name,
            rows: Box::new(TextRows::new(storage.clone(), &table, UID_SOURCE, first, rows)),
            row_count: rows,
            files: vec![metadata.clone()],
            arrays: BTreeMap::new(),
            identity: None,
        })
        .collect();
    let mut named = BTreeSet::new();
    let mut row = 0;
    for part in &parts {
        for batch in part.rows.read(&["file_name".to_owned()], 8192)? {
            let batch = batch?;
            let names = arrow::array::AsArray::as_string::<i32>(batch.column(0));
            for name in names {
                let image = listing.root.join(name.unwrap_or_default());
                if !images.contains(&image) && !storage.exists(&image)? {
                    return Err(IoError::BadRow {
                        path: metadata.path().into(),
                        row,
                        expected: "the name of an image in this folder".into(),
                        found: format!("'{}'", name.unwrap_or_default()),
                    });
                }
                named.insert(image);
                row += 1;
            }
        }
    }
    let unnamed = images.difference(&named).count();
    let notes = if unnamed > 0 {
        vec![format!("{unnamed} images are not named in {} and are left out", metadata.file_name())]
    } else {
        Vec::new()
    };
    let why = format!("{} names {row} images beside it", metadata.file_name());
    let pixels = Pixels::Files(listing.root.clone());
    Ok(Found { kind: LayoutKind::ImageFolder, why, parts, notes, pixels })
}

/// Rows are the images, sorted by path; captions are the `.txt` files of the same name.
pub(in crate::source) fn open(storage: &Arc<dyn Storage>, listing: &Listing) -> Result<Found> {
    let images = Arc::new(listing.with_extension(&IMAGE_EXTENSIONS));
    let captions: BTreeSet<_> =
        listing.with_extension(&["txt"]).into_iter().map(|f| f.path().with_extension("")).collect();
    let with_caption =
        images.iter().filter(|image| captions.contains(&image.path().with_extension(""))).count();
    let mut identity = blake3::Hasher::new();
    for file in &listing.files {
        let length = storage.entry(file)?.map_or(0, |entry| entry.length);
        identity.update(relative(listing, file).as_bytes()).update(b"\0").update(&length.to_le_bytes());
    }
    let identity = *identity.finalize().as_bytes();
    let parts = pieces(listing, images.len() as u64)
        .into_iter()
        .map(|(name, first, rows)| Part {
            name,
            rows: Box::new(ImageRows {
                storage: storage.clone(),
                root: listing.root.clone(),
                images: images.clone(),
                first: first as usize,
                count: rows as usize,
            }),
            row_count: rows,
            files: Vec::new(),
            arrays: BTreeMap::new(),
            identity: Some(identity),
        })
        .collect();
    let mut notes = Vec::new();
    if with_caption < images.len() {
        notes.push(format!(
            "{} of {} images have no caption (.txt)",
            images.len() - with_caption,
            images.len()
        ));
    }
    let why = format!("{} image files, {with_caption} with a .txt of the same name", images.len());
    let pixels = Pixels::Files(listing.root.clone());
    Ok(Found { kind: LayoutKind::ImageFolder, why, parts, notes, pixels })
}

fn pieces(listing: &Listing, rows: u64) -> Vec<(String, u64, u64)> {
    let folder = listing.root.file_name();
    let name = crate::source::listing::safe_name(if folder.is_empty() { "images" } else { &folder });
    let pieces = cut(rows, VIRTUAL_SHARD_ROWS);
    let is_one = pieces.len() == 1;
    (0usize..)
        .zip(pieces)
        .map(|(number, (first, rows))| {
            (if is_one { name.clone() } else { format!("{name}__{number:05}") }, first, rows)
        })
        .collect()
}

fn relative(listing: &Listing, file: &Location) -> String {
    file.path().strip_prefix(listing.root.path()).unwrap_or(file.path()).to_string_lossy().into_owned()
}

struct ImageRows {
    storage: Arc<dyn Storage>,
    root: Location,
    images: Arc<Vec<Location>>,
    first: usize,
    count: usize,
}

impl ImageRows {
    fn name(root: &Location, image: &Location) -> String {
        image.path().strip_prefix(root.path()).unwrap_or(image.path()).to_string_lossy().into_owned()
    }

    fn caption(storage: &dyn Storage, image: &Location) -> Result<Option<String>> {
        let location = Location::local(image.path().with_extension("txt"));
        if !storage.exists(&location)? {
            return Ok(None);
        }
        let bytes = SourceFile::open(storage, &location)?.read_range(0, LONGEST_CAPTION)?;
        Ok(Some(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned()))
    }
}

impl Rows for ImageRows {
    fn schema(&self) -> SchemaRef {
        let field = |name| Field::new(name, DataType::Utf8, true);
        Arc::new(Schema::new(vec![field("key"), field("file_name"), field("text")]))
    }

    fn read(&self, columns: &[String], batch_rows: usize) -> Result<Batches> {
        let fields: Vec<Field> = columns.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let (storage, root, images) = (self.storage.clone(), self.root.clone(), self.images.clone());
        let columns = columns.to_vec();
        let (mut next, end, most) = (self.first, self.first + self.count, batch_rows.max(1));
        Ok(Box::new(std::iter::from_fn(move || {
            if next >= end {
                return None;
            }
            let here = &images[next..end.min(next + most)];
            next += here.len();
            let mut arrays: Vec<ArrayRef> = Vec::with_capacity(columns.len());
            for column in &columns {
                let cells: Result<Vec<Option<String>>> = here
                    .iter()
                    .map(|image| match column.as_str() {
                        "text" => Self::caption(&*storage, image),
                        "key" => {
                            Ok(Some(Self::name(&root, &Location::local(image.path().with_extension("")))))
                        }
                        _ => Ok(Some(Self::name(&root, image))),
                    })
                    .collect();
                match cells {
                    Ok(cells) => arrays.push(Arc::new(StringArray::from(cells))),
                    Err(error) => {
                        next = end;
                        return Some(Err(error));
                    }
                }
            }
            let options = RecordBatchOptions::new().with_row_count(Some(here.len()));
            let batch = RecordBatch::try_new_with_options(schema.clone(), arrays, &options);
            Some(batch.map_err(|source| IoError::Arrow { path: root.path().into(), source }))
        })))
    }

    fn uids(&self) -> Result<Vec<Uid>> {
        let here = self.images.iter().skip(self.first).take(self.count);
        Ok(here.map(|image| stable_uid(UID_SOURCE, &Self::name(&self.root, image))).collect())
    }
}
