//! The questions of one shard, made as calls get free: blocks of rows are located, and a few images a thread are read, scaled and encoded
//! at a time, so that memory does not grow with the shard.
use std::{cell::RefCell, collections::VecDeque};

use cribble_chat::{Image, Job, Request};
use cribble_core::{Result, Uid};
use cribble_io::source::LastFile;
use cribble_pipeline::{StepContext, images::Pixels};
use rayon::prelude::*;

use super::sheet::Sheet;
use crate::{
    calls::picture,
    sample_rows::{Rows, Sample, block_end},
};

/// Images a thread that are made ready at once.
const IMAGES: usize = 4;
/// Rows that are located at once, where a block holds no bytes: in tars the images of a block are read in the tars' order.
const BLOCK: usize = 4096;

/// What of a row the model is shown.
#[derive(Debug, Clone, Copy)]
pub enum Shown<'a> {
    /// Its image, the longer side at most so many pixels (0: as it is).
    Image(Pixels, u32),
    /// A text of this column; a row without one has the state.
    Text(&'a str, &'static str),
}

/// The same of one row, read.
pub enum Content {
    Image(Image),
    Text(String),
}

/// Questions of the kept rows of a shard, each known by its row. Rows that cannot be asked about get their state in the sheet.
pub struct Questions<'a, 'c, F> {
    context: &'a StepContext<'a>,
    shown: Shown<'a>,
    uids: &'a [Uid],
    kept: &'a [bool],
    sheet: &'a RefCell<Sheet<'c>>,
    request: F,
    rows: Rows,
    start: usize,
    located: std::vec::IntoIter<Sample>,
    ready: VecDeque<Job>,
}

impl<'a, 'c, F: Fn(Content) -> Request> Questions<'a, 'c, F> {
    pub fn new(
        context: &'a StepContext<'a>,
        shown: Shown<'a>,
        shard: u32,
        (uids, kept): (&'a [Uid], &'a [bool]),
        sheet: &'a RefCell<Sheet<'c>>,
        request: F,
    ) -> Result<Self> {
        let rows = match shown {
            Shown::Image(pixels, _) => Rows::open(context, Some(pixels), None, shard)?,
            Shown::Text(column, _) => Rows::open(context, None, Some(column), shard)?,
        };
        let (located, ready) = (Vec::new().into_iter(), VecDeque::new());
        Ok(Self { context, shown, uids, kept, sheet, request, rows, start: 0, located, ready })
    }

    /// More questions, or false at the end.
    fn refill(&mut self) -> Result<bool> {
        self.context.cancel.check()?;
        let images = IMAGES * self.context.threads;
        let samples: Vec<Sample> = self.located.by_ref().take(images).collect();
        if samples.is_empty() {
            if self.start == self.uids.len() {
                return Ok(false);
            }
            let most = if self.rows.hold_bytes() { images } else { BLOCK };
            let block = self.start..block_end(self.kept, self.start, most);
            self.located =
                self.rows.next(self.start, &self.uids[block.clone()], &self.kept[block.clone()])?.into_iter();
            self.start = block.end;
            return Ok(true);
        }
        let contents: Vec<(usize, Result<Content, &'static str>)> = match self.shown {
            Shown::Text(_, lacking) => samples
                .into_iter()
                .map(|Sample { row, text, .. }| {
                    let text = text.filter(|text| !text.trim().is_empty());
                    (row, text.map(Content::Text).ok_or(lacking))
                })
                .collect(),
            Shown::Image(_, longest) => {
                let storage = self.context.dataset.storage();
                samples
                    .par_iter()
                    .map_init(LastFile::default, |last, sample| {
                        let image = picture(storage, last, sample.image.as_ref(), longest)?;
                        Ok((sample.row, image.map(Content::Image).map_err(|fault| fault.code)))
                    })
                    .collect::<Result<_>>()?
            }
        };
        for (row, content) in contents {
            match content {
                Ok(content) => {
                    self.ready.push_back(Job { id: row as u128, request: (self.request)(content), votes: 1 });
                }
                Err(state) => {
                    self.context.progress.advance(1);
                    self.sheet.borrow_mut().without(row, state);
                }
            }
        }
        Ok(true)
    }
}

impl<F: Fn(Content) -> Request> Iterator for Questions<'_, '_, F> {
    type Item = Result<Job>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(job) = self.ready.pop_front() {
                return Some(Ok(job));
            }
            match self.refill() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
