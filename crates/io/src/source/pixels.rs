//! Where the image of each row lies, when the input itself has the pixels: in the shard's tar, in files of the folder, or in an image column.
//! Places, not pixels: whoever decodes reads the bytes when a thread is free for them, so no more than that is ever in memory.
use super::part::Part;
use crate::{
    Batches, IoError, Location, Result, SourceFile, Storage,
    tar::{Packed, TarSample, scan},
};
use arrow::{
    array::{Array, ArrayRef, AsArray, LargeBinaryArray, StructArray},
    buffer::Buffer,
    compute::cast,
    datatypes::DataType,
};
use std::{borrow::Cow, ops::Deref, sync::Arc};

const READ_AHEAD: usize = 8 * 1024;
/// Rows of an image column that are read at once.
const COLUMN_ROWS: usize = 32;

/// How a layout finds its images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Pixels {
    /// It has none.
    #[default]
    None,
    /// Members of the shard's own tar, one sample a row.
    Members,
    /// Files below this folder, named by the column `file_name`.
    Files(Location),
    /// This column, a struct of `bytes` and `path`.
    Column(String),
}

/// Where the image of one row is.
#[derive(Debug, Clone)]
pub enum RowImage {
    /// There.
    At(ImagePlace),
    /// Nowhere, and why.
    Missing(String),
}

/// Bytes of one image that can be read.
#[derive(Debug, Clone)]
pub struct ImagePlace {
    /// For messages: file, and the member or row in it.
    pub name: String,
    bytes: Place,
}

#[derive(Debug, Clone)]
enum Place {
    Range { file: Location, offset: u64, length: u64 },
    Whole(Location),
    Held(Buffer),
}

/// The file that was read last, kept open for the next image in it. One a thread.
#[derive(Debug, Default)]
pub struct LastFile(Option<SourceFile>);

impl LastFile {
    fn open(&mut self, storage: &dyn Storage, location: &Location) -> Result<&SourceFile> {
        if self.0.as_ref().is_none_or(|file| file.location() != location) {
            self.0 = None;
        }
        match &mut self.0 {
            Some(file) => Ok(file),
            none => Ok(none.insert(SourceFile::open(storage, location)?)),
        }
    }
}

impl ImagePlace {
    /// The data of a member of a tar.
    pub fn member(tar: &Location, sample: &TarSample, member: &crate::tar::TarMember) -> Self {
        let name = String::from_utf8_lossy(&sample.member_name(member)).into_owned();
        Self {
            name: format!("{}: {name}", tar.file_name()),
            bytes: Place::Range { file: tar.clone(), offset: member.data_offset, length: member.size },
        }
    }

    /// Length in bytes; `None` while a file of its own has not been opened.
    pub fn length(&self) -> Option<u64> {
        match &self.bytes {
            Place::Range { length, .. } => Some(*length),
            Place::Held(bytes) => Some(bytes.len() as u64),
            Place::Whole(_) => None,
        }
    }

    /// The bytes. `None` when there are more than `most`.
    pub fn read(
        &self,
        storage: &dyn Storage,
        last: &mut LastFile,
        most: u64,
    ) -> Result<Option<Cow<'_, [u8]>>> {
        if self.length().is_some_and(|length| length > most) {
            return Ok(None);
        }
        match &self.bytes {
            Place::Held(bytes) => Ok(Some(Cow::Borrowed(bytes.deref()))),
            Place::Range { file, offset, length } => {
                let bytes = last.open(storage, file)?.read_range(*offset, *length as usize)?;
                if bytes.len() as u64 != *length {
                    let expected = format!("{length} bytes of {}", self.name);
                    let found = format!("{} bytes", bytes.len());
                    return Err(IoError::malformed(file.path(), "tar", Some(*offset), expected, found)
                        .with_hint("the file was changed while it was read: run again"));
                }
                Ok(Some(Cow::Owned(bytes)))
            }
            Place::Whole(file) => {
                let file = SourceFile::open(storage, file)?;
                if file.len() > most {
                    return Ok(None);
                }
                Ok(Some(Cow::Owned(file.read_range(0, most as usize)?)))
            }
        }
    }
}

/// The images of one shard, in row order.
pub struct ImageReader {
    source: Source,
    shard: String,
    row: usize,
}

enum Source {
    Members { tar: Location, samples: Packed },
    Files { root: Location, rows: Rows },
    Column { beside: Location, rows: Rows },
}

/// The rows of one column, one array after the other.
struct Rows {
    batches: Batches,
    current: Option<(ArrayRef, usize)>,
}

impl Rows {
    fn new(batches: Batches) -> Self {
        Self { batches, current: None }
    }

    /// The array and position of the next row, `None` after the last.
    fn next(&mut self) -> Result<Option<(ArrayRef, usize)>> {
        loop {
            if let Some((array, at)) = &mut self.current
                && *at < array.len()
            {
                *at += 1;
                return Ok(Some((array.clone(), *at - 1)));
            }
            match self.batches.next() {
                None => return Ok(None),
                Some(batch) => self.current = Some((plain(batch?.column(0))?, 0)),
            }
        }
    }
}

/// Whatever widths of binary and text the file has become the one that the reader knows.
fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    let Some(column) = array.as_struct_opt() else { return Ok(array.clone()) };
    let fail = |source| IoError::Arrow { path: "the image column".into(), source };
    let child = |name: &str, kind: DataType| -> Result<ArrayRef> {
        let child = column.column_by_name(name).ok_or_else(|| {
            IoError::malformed("the image column", "struct", None, format!("a field '{name}'"), "none")
        })?;
        cast(child, &kind).map_err(fail)
    };
    let (bytes, path) = (child("bytes", DataType::LargeBinary)?, child("path", DataType::Utf8)?);
    let fields: Vec<_> = [("bytes", &bytes), ("path", &path)]
        .into_iter()
        .map(|(name, array)| arrow::datatypes::Field::new(name, array.data_type().clone(), true))
        .collect();
    let nulls = column.nulls().cloned();
    Ok(Arc::new(StructArray::try_new(fields.into(), vec![bytes, path], nulls).map_err(fail)?))
}

impl ImageReader {
    pub(super) fn open(
        storage: &Arc<dyn Storage>,
        pixels: &Pixels,
        part: &Part,
        column: impl FnOnce(&str, usize) -> Result<Batches>,
    ) -> Result<Option<Self>> {
        let file = || part.files.first().cloned().unwrap_or_else(|| Location::local("."));
        let source = match pixels {
            Pixels::None => return Ok(None),
            Pixels::Members => {
                let tar = file();
                let bytes = SourceFile::open(&**storage, &tar)?.bytes();
                let index = scan(&*bytes, &tar.file_name(), READ_AHEAD)
                    .map_err(|error| IoError::read(tar.path(), Some(0), error))?;
                Source::Members { tar, samples: index.samples.into_iter().collect() }
            }
            Pixels::Files(root) => {
                Source::Files { root: root.clone(), rows: Rows::new(column("file_name", 8192)?) }
            }
            Pixels::Column(name) => {
                Source::Column { beside: file(), rows: Rows::new(column(name, COLUMN_ROWS)?) }
            }
        };
        Ok(Some(Self { source, shard: part.name.clone(), row: 0 }))
    }

    /// Whether [`ImageReader::next`] brings the bytes themselves into memory, and not only where they lie.
    pub fn holds_bytes(&self) -> bool {
        matches!(self.source, Source::Column { .. })
    }

    /// The next rows, as many as `wanted` is long; `None` for those that are not wanted.
    pub fn next(&mut self, wanted: &[bool]) -> Result<Vec<Option<RowImage>>> {
        let mut images = Vec::with_capacity(wanted.len());
        for &wanted in wanted {
            let image = match &mut self.source {
                Source::Members { tar, samples } => samples.next().map(|sample| match sample.image() {
                    Some(member) => RowImage::At(ImagePlace::member(tar, &sample, member)),
                    None => RowImage::Missing(missing_member(&tar.file_name(), &sample)),
                }),
                Source::Files { root, rows } => {
                    rows.next()?.map(|(array, at)| match array.as_string_opt::<i32>() {
                        Some(names) if names.is_valid(at) => {
                            let name = names.value(at).to_owned();
                            RowImage::At(ImagePlace { bytes: Place::Whole(root.join(&name)), name })
                        }
                        _ => RowImage::Missing(format!("{}: row {} names no file", self.shard, self.row)),
                    })
                }
                Source::Column { beside, rows } => {
                    let row = self.row;
                    rows.next()?.map(|(array, at)| in_column(beside, row, &array, at))
                }
            };
            self.row += 1;
            let image = image.ok_or_else(|| {
                IoError::malformed(
                    self.shard.as_str(),
                    "images",
                    None,
                    format!("{} rows at least", self.row),
                    "fewer",
                )
                .with_hint("the input was changed while it was read: run again")
            })?;
            images.push(wanted.then_some(image));
        }
        Ok(images)
    }
}

/// What to say of a sample without an image.
pub fn missing_member(tar: &str, sample: &TarSample) -> String {
    let members: Vec<_> =
        sample.members.iter().map(|member| String::from_utf8_lossy(&member.extension)).collect();
    format!(
        "{tar}: sample '{}' has no image (jpg, png, webp, gif, …); its members are {}",
        String::from_utf8_lossy(&sample.key),
        members.join(", ")
    )
}

/// Bytes where the struct has them, else the file that it names, as seen from the folder of the table.
fn in_column(table: &Location, row: usize, array: &ArrayRef, at: usize) -> RowImage {
    let name = format!("{}: row {row}", table.file_name());
    let fields = array.as_struct_opt().filter(|_| array.is_valid(at)).map(|column| column.columns());
    let Some([bytes, path]) = fields else {
        return RowImage::Missing(format!("{name}: the image column is null"));
    };
    if let Some(bytes) = bytes.as_binary_opt::<i64>().filter(|_| bytes.is_valid(at)) {
        return RowImage::At(ImagePlace { name, bytes: Place::Held(slice(bytes, at)) });
    }
    match path.as_string_opt::<i32>().filter(|_| path.is_valid(at)) {
        Some(paths) => {
            let file = table.parent().join(paths.value(at));
            RowImage::At(ImagePlace {
                name: format!("{name} ({})", paths.value(at)),
                bytes: Place::Whole(file),
            })
        }
        None => RowImage::Missing(format!("{name}: the image column has neither bytes nor path")),
    }
}

/// One value without a copy.
fn slice(array: &LargeBinaryArray, at: usize) -> Buffer {
    let offset = array.value_offsets()[at] as usize;
    array.values().slice_with_length(offset, array.value_length(at) as usize)
}
