//! The samples of a shard, block by block: where each image lies, and its caption. Only places and texts: bytes are read by the thread that
//! decodes them. For every step that reads pixels or goes through captions beside them.
use arrow::array::Array;
use cribble_core::{Error, Result, Uid};
use cribble_io::{
    source::{ImageReader, RowImage},
    tar::ImageIndex,
};
use cribble_pipeline::{
    ColumnReader, StepContext,
    images::{Located, Pixels, open_index},
};

use crate::captions::texts;

/// Rows of captions that are read at once.
const CAPTION_ROWS: usize = 4096;
/// Rows of a block, however few of them are wanted.
const MOST_ROWS: usize = 16_384;

/// A row that is wanted.
pub struct Sample {
    pub row: usize,
    /// Where its image is, when images are read.
    pub image: Option<RowImage>,
    /// Its caption; null captions are none.
    pub text: Option<String>,
}

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
    /// Images from `pixels` and captions from the column `text`, where they are asked for.
    pub fn open(
        context: &StepContext<'_>,
        pixels: Option<Pixels>,
        text: Option<&str>,
        shard: u32,
    ) -> Result<Self> {
        let images = match pixels {
            None => None,
            Some(Pixels::Tars) => Some(Images::Index(open_index(context)?)),
            Some(Pixels::Own) => {
                let reader = context.dataset.open_images(shard)?;
                Some(Images::Own(reader.ok_or_else(|| Error::bug("the input's images are gone"))?))
            }
        };
        let captions = match text {
            None => None,
            Some(column) => Some(Captions {
                reader: context.columns(shard, &[column.into()], CAPTION_ROWS)?,
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

/// The end of a block that begins at `start`: where enough wanted samples are together.
pub fn block_end(wanted: &[bool], start: usize, samples: usize) -> usize {
    let most = wanted.len().min(start + MOST_ROWS);
    let mut left = samples.max(1);
    for (row, &wanted) in wanted.iter().enumerate().take(most).skip(start) {
        left -= usize::from(wanted);
        if left == 0 {
            return row + 1;
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_count_samples() {
        let kept = [true, false, false, true, true, false];
        assert_eq!((block_end(&kept, 0, 2), block_end(&kept, 4, 2), block_end(&kept, 0, 99)), (4, 6, 6));
        assert_eq!(block_end(&vec![false; 40_000], 10, 1), 10 + MOST_ROWS);
    }
}
