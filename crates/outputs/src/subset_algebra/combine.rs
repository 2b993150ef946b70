//! `info`, `and`, `or`, `minus`, `convert`: one walk over all inputs at once, always at the smallest uid that is left.
use super::{AlgebraOptions, AlgebraReport, Distinct, SubsetInfo, input, open, warning};
use cribble_core::{Error, Result, Uid};
use cribble_io::{
    IoError,
    subset::{SubsetWriter, groups},
};
use std::path::{Path, PathBuf};

/// How the copies of one uid in several subsets become the copies in the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Combine {
    /// The fewest copies that any input has: what all of them share.
    And,
    /// The most copies that any input has. (Not the sum: a uid that stands once in both stands once in the result.)
    Or,
    /// The copies of the first input less those of all others, 0 at least.
    Minus,
}

impl Combine {
    fn copies(self, counts: &[u64]) -> u64 {
        match self {
            Self::And => counts.iter().copied().min().unwrap_or(0),
            Self::Or => counts.iter().copied().max().unwrap_or(0),
            Self::Minus => match counts {
                [first, others @ ..] => others.iter().fold(*first, |left, &count| left.saturating_sub(count)),
                [] => 0,
            },
        }
    }
}

/// Combines two subsets or more into one file.
pub fn combine(how: Combine, inputs: &[PathBuf], options: &AlgebraOptions) -> Result<AlgebraReport> {
    if inputs.len() < 2 {
        return Err(Error::usage(format!("{} subset given: expected two at least", inputs.len())));
    }
    merge(how, inputs, options)
}

/// Writes a subset in another format (or sorted); copies are kept.
pub fn convert(path: &Path, options: &AlgebraOptions) -> Result<AlgebraReport> {
    merge(Combine::Or, &[path.to_owned()], options)
}

fn merge(how: Combine, inputs: &[PathBuf], options: &AlgebraOptions) -> Result<AlgebraReport> {
    let format = options.format()?;
    let scratch = options.scratch()?;
    let mut report = AlgebraReport { inputs: Vec::new(), count: 0, distinct: 0, warnings: Vec::new() };
    let mut streams = Vec::new();
    for path in inputs {
        let uids = open(path, scratch, options.memory_bytes / inputs.len())?;
        report.warnings.extend(warning(path, uids.facts()));
        report.inputs.push(uids.facts().clone());
        streams.push(groups(uids));
    }
    let mut heads = Vec::new();
    for stream in &mut streams {
        heads.push(stream.next().transpose().map_err(input)?);
    }
    let mut writer = SubsetWriter::create(&options.output, format).map_err(input)?;
    let mut counts = vec![0; inputs.len()];
    while let Some(uid) = heads.iter().flatten().map(|(uid, _)| *uid).min() {
        for ((head, stream), count) in heads.iter_mut().zip(&mut streams).zip(&mut counts) {
            *count = match head {
                Some((same, copies)) if *same == uid => {
                    let copies = *copies;
                    *head = stream.next().transpose().map_err(input)?;
                    copies
                }
                _ => 0,
            };
        }
        let copies = how.copies(&counts);
        for _ in 0..copies {
            writer.push(uid).map_err(input)?;
        }
        report.distinct += u64::from(copies > 0);
    }
    report.count = writer.finish().map_err(input)?;
    Ok(report)
}

/// Looks through a subset. `scratch` is used only when the file is unsorted and larger than `memory_bytes`.
pub fn info(path: &Path, scratch: &Path, memory_bytes: usize) -> Result<SubsetInfo> {
    let uids = open(path, scratch, memory_bytes)?;
    let facts = uids.facts().clone();
    let (mut distinct, mut max_copies) = (Distinct::default(), 0);
    let mut ends: Option<(Uid, Uid)> = None;
    for group in groups(uids) {
        let (uid, copies) = group.map_err(|error: IoError| input(error))?;
        distinct.add(uid);
        max_copies = max_copies.max(copies);
        ends = Some((ends.map_or(uid, |(first, _)| first), uid));
    }
    Ok(SubsetInfo {
        facts,
        distinct: distinct.count,
        max_copies,
        smallest: ends.map(|(first, _)| first.to_string()),
        largest: ends.map(|(_, last)| last.to_string()),
    })
}
