//! A sample of a subset by seed. Each copy of each uid gets a number from a hash of uid, copy and seed; the smallest numbers win. So the
//! choice depends on nothing else (not on order, format or threads), and with the same seed a smaller sample lies inside every larger one.
use super::{AlgebraOptions, AlgebraReport, Distinct, input, open, warning};
use cribble_core::{Error, Result, Uid};
use cribble_io::{
    subset::{SubsetWriter, groups},
    tar::Sorter,
};
use std::path::Path;

/// How much to take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// This share of all uids (copies counted), 0 to 1; the count is rounded to the nearest whole number.
    Fraction(f64),
    /// This many uids (copies counted).
    Count(u64),
}

/// Writes a sample. A count above what is there, or a fraction outside 0 to 1, is an error.
pub fn sample(path: &Path, amount: Amount, seed: u64, options: &AlgebraOptions) -> Result<AlgebraReport> {
    let format = options.format()?;
    let scratch = options.scratch()?;
    let uids = open(path, scratch, options.memory_bytes)?;
    let facts = uids.facts().clone();
    let wanted = match amount {
        Amount::Fraction(share) if (0.0..=1.0).contains(&share) => {
            (share * facts.count as f64).round() as u64
        }
        Amount::Fraction(share) => {
            return Err(Error::usage(format!("fraction {share}: expected a number from 0 to 1")));
        }
        Amount::Count(count) if count <= facts.count => count,
        Amount::Count(count) => {
            return Err(Error::input(format!(
                "{}: {count} uids wanted, {} are there",
                path.display(),
                facts.count
            )));
        }
    };
    let mut by_number = Sorter::<32>::new(scratch, options.memory_bytes / 2);
    for group in groups(uids) {
        let (uid, copies) = group.map_err(input)?;
        for copy in 0..copies {
            let mut record = [0; 32];
            // The seed of a copy is itself a mix, so that copy 1 under seed 0 is not copy 0 under seed 1.
            let number = if copy == 0 { uid.mix(seed) } else { uid.mix(Uid(copy.into()).mix(seed)) };
            record[..8].copy_from_slice(&number.to_be_bytes());
            record[8..24].copy_from_slice(&uid.to_bytes());
            record[24..].copy_from_slice(&copy.to_be_bytes());
            by_number.push(record).map_err(input)?;
        }
    }
    let mut by_uid = Sorter::<16>::new(scratch, options.memory_bytes / 2);
    for record in by_number.finish().map_err(input)?.take(usize::try_from(wanted).unwrap_or(usize::MAX)) {
        let record = record.map_err(input)?;
        let mut uid = [0; 16];
        uid.copy_from_slice(&record[8..24]);
        by_uid.push(uid).map_err(input)?;
    }
    let mut writer = SubsetWriter::create(&options.output, format).map_err(input)?;
    let mut distinct = Distinct::default();
    for record in by_uid.finish().map_err(input)? {
        let uid = Uid::from_bytes(record.map_err(input)?);
        distinct.add(uid);
        writer.push(uid).map_err(input)?;
    }
    let count = writer.finish().map_err(input)?;
    let warnings = warning(path, &facts).into_iter().collect();
    Ok(AlgebraReport { inputs: vec![facts], count, distinct: distinct.count, warnings })
}
