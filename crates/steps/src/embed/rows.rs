//! The samples of a shard, block by block: where each image lies, and its caption. Only places and texts: bytes are read by the thread that
//! decodes them.
use cribble_core::{Error, Result, Uid};
use cribble_io::{source::ImageReader, tar::ImageIndex};
use cribble_pipeline::{ColumnReader, StepContext};

use arrow::array::Array;

use super::{Pixels, Plan, batch::Sample};
use crate::{
    captions::texts,
    images::{Located, open_index},
};

/// Rows of captions that are read at once.
const CAPTION_ROWS: usize = 4096;

/// Reads forward through a shard.
pub struct Rows {
    images: Option<Images>,
    captions: Option<Captions>,
}

enum Images {
    Own(ImageReader),
    Index(ImageIndex),
}

impl Rows {
    pub fn open(context: &StepContext<'_>, plan: &Plan, shard: u32) -> Result<Self> {
        let images = match plan.image {
            None => None,
            Some(Pixels::Tars) => Some(Images::Index(open_index(context)?)),
            Some(Pixels::Own) => {
                let reader = context.dataset.open_images(shard)?;
                Some(Images::Own(reader.ok_or_else(|| Error::bug("the input's images are gone"))?))
            }
        };
        let captions = match &plan.text {
            None => None,
            Some(column) => Some(Captions {
                reader: context.columns(shard, std::slice::from_ref(column), CAPTION_ROWS)?,
                waiting: Vec::new().into_iter(),
            }),
        };
        Ok(Self { images, captions })
    }

    /// Whether the samples carry the bytes of their images.
    pub fn hold_bytes(&self) -> bool {
        matches!(&self.images, Some(Images::Own(reader)) if reader.holds_bytes())
    }

    /// The wanted samples among the next rows, in the order in which their images lie.
    pub fn next(&mut self, start: usize, uids: &[Uid], wanted: &[bool]) -> Result<Vec<Sample>> {
        let texts = match &mut self.captions {
            None => vec![None; wanted.len()],
            Some(captions) => captions.next(wanted)?,
        };
        let sample = |at: usize, image, texts: &mut [Option<String>]| Sample {
            row: start + at,
            image,
            text: texts[at].take(),
        };
        let mut texts = texts;
        let rows = || (0..wanted.len()).filter(|&at| wanted[at]);
        match &mut self.images {
            None => Ok(rows().map(|at| sample(at, None, &mut texts)).collect()),
            Some(Images::Own(reader)) => {
                let mut images = reader.next(wanted)?;
                Ok(rows().map(|at| sample(at, images[at].take(), &mut texts)).collect())
            }
            Some(Images::Index(index)) => Located::new(index, rows().map(|at| (uids[at], at)))?
                .map(|found| found.map(|(at, image)| sample(at, Some(image), &mut texts)))
                .collect(),
        }
    }
}

/// One column of text, row by row.
struct Captions {
    reader: ColumnReader,
    waiting: std::vec::IntoIter<Option<String>>,
}

impl Captions {
    fn next(&mut self, wanted: &[bool]) -> Result<Vec<Option<String>>> {
        wanted
            .iter()
            .map(|&wanted| {
                let text = match self.waiting.next() {
                    Some(text) => text,
                    None => {
                        let batch = self
                            .reader
                            .next()
                            .ok_or_else(|| Error::bug("captions end before the rows do"))??;
                        let texts = texts(batch.column(0))?;
                        let owned: Vec<Option<String>> = (0..texts.len())
                            .map(|row| texts.is_valid(row).then(|| texts.value(row).to_owned()))
                            .collect();
                        self.waiting = owned.into_iter();
                        self.waiting.next().ok_or_else(|| Error::bug("an empty batch of captions"))?
                    }
                };
                Ok(text.filter(|_| wanted))
            })
            .collect()
    }
}
