//! Where new captions lie while tars are written: their texts one behind the other in a file, and a second file that says, in the order of
//! uids, where each is. So the join with the index of the tars is a merge, and no caption is in memory before its sample is written.
use std::{fs::File, io::Write, ops::Range, os::unix::fs::FileExt, path::Path};

use cribble_core::{Cancel, Error, Progress, Result, Uid};
use cribble_io::{AtomicFile, IoError, tar::Sorter};
use serde_json::{Map, Value};

use super::{input, join::Records};

const TEXTS: &str = "captions.jsonl";
const PLACES: &str = "captions.idx";
/// Bytes of one record of `captions.idx`: uid, offset and length of the text, big-endian.
const PLACE: usize = 32;

/// A field that samples get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptionField {
    /// Its name in the `.json` member.
    pub name: String,
    /// Whether its values are captions that a model may be trained on, and not figures or remarks about them.
    pub is_caption: bool,
}

/// Something that knows new captions of samples.
pub trait CaptionSource {
    /// The fields, in the order in which they are written. A sample need not have all of them.
    fn fields(&self) -> &[CaptionField];

    /// Hands over the fields of every sample that has some. The order does not matter, but for samples of the same uid: the first counts.
    fn write(&self, to: &mut CaptionWriter, progress: &dyn Progress, cancel: &Cancel) -> Result<()>;
}

/// Takes in the fields of samples.
pub struct CaptionWriter {
    texts: AtomicFile,
    places: Sorter<PLACE>,
}

impl CaptionWriter {
    /// The fields of one sample.
    pub fn push(&mut self, uid: Uid, fields: &Map<String, Value>) -> Result<()> {
        let text = serde_json::to_vec(fields).map_err(|error| Error::bug(error.to_string()))?;
        let mut place = [0; PLACE];
        place[..16].copy_from_slice(&uid.to_bytes());
        place[16..24].copy_from_slice(&self.texts.position().to_be_bytes());
        place[24..].copy_from_slice(&(text.len() as u64).to_be_bytes());
        self.places.push(place).map_err(input)?;
        let path = self.texts.final_path().to_owned();
        let fail = |error| input(IoError::write(&path, "write", None, error));
        self.texts.write_all(&text).and_then(|()| self.texts.write_all(b"\n")).map_err(fail)
    }
}

/// Lets the source write both files into `state`.
pub(super) fn gather(
    source: &dyn CaptionSource,
    state: &Path,
    memory_bytes: usize,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<()> {
    let texts = AtomicFile::create(state.join(TEXTS)).map_err(input)?;
    let mut writer = CaptionWriter { texts, places: Sorter::new(state, memory_bytes) };
    source.write(&mut writer, progress, cancel)?;
    writer.texts.commit().map_err(input)?;
    let path = state.join(PLACES);
    let mut file = AtomicFile::create(&path).map_err(input)?;
    for place in writer.places.finish().map_err(input)? {
        let place = place.map_err(input)?;
        file.write_all(&place).map_err(|error| input(IoError::write(&path, "write", None, error)))?;
    }
    file.commit().map_err(input)
}

/// Answers, for rising uids, where the text of a uid lies.
pub(super) struct Places {
    records: Records<PLACE>,
    next: Option<[u8; PLACE]>,
}

impl Places {
    pub fn open(state: &Path) -> Result<Self> {
        let mut records = Records::open(&state.join(PLACES), 0)?;
        let next = records.next()?;
        Ok(Self { records, next })
    }

    pub fn find(&mut self, uid: Uid) -> Result<Option<Range<u64>>> {
        let wanted = uid.to_bytes();
        while let Some(place) = self.next {
            if place[..16] > wanted[..] {
                break;
            }
            if place[..16] == wanted {
                let number = |at: usize| place[at..at + 8].iter().fold(0u64, |n, &b| (n << 8) | u64::from(b));
                return Ok(Some(number(16)..number(16) + number(24)));
            }
            self.next = self.records.next()?;
        }
        Ok(None)
    }
}

/// The texts, by place.
pub(super) struct Texts {
    file: File,
    path: std::path::PathBuf,
}

impl Texts {
    pub fn open(state: &Path) -> Result<Self> {
        let path = state.join(TEXTS);
        let file = File::open(&path).map_err(|error| input(IoError::read(&path, None, error)))?;
        Ok(Self { file, path })
    }

    pub fn read(&self, place: &Range<u64>) -> Result<Vec<u8>> {
        let mut text = vec![0; (place.end - place.start) as usize];
        self.file
            .read_exact_at(&mut text, place.start)
            .map_err(|error| input(IoError::read(&self.path, Some(place.start), error)))?;
        Ok(text)
    }

    pub fn fields(&self, place: &Range<u64>) -> Result<Map<String, Value>> {
        serde_json::from_slice(&self.read(place)?)
            .map_err(|error| Error::bug(format!("{}: {error}", self.path.display())))
    }
}
