//! Samples to look at in the report: the first few rows of each reason, and of what was kept. Counts tell how many to expect of each, so
//! reading stops as soon as all are found, usually inside the first shard.
use std::{
    collections::BTreeMap,
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use arrow::{
    array::{Array, AsArray},
    datatypes::{Float32Type, Int32Type},
};
use cribble_core::{Example, Result, RunReport, Uid};
use cribble_io::tar::ImageIndex;
use cribble_pipeline::{Executor, RunFolder, TableReader, read_selection};

/// Samples shown of one reason, and of what was kept.
const PER_REASON: u64 = 6;
const KEPT: u64 = 12;
/// Reasons shown.
const MOST_REASONS: usize = 24;
/// Bytes of one picture, and of all: the page must stay small enough to be mailed.
const PICTURE_BYTES: u64 = 64 << 10;
const PICTURES_BYTES: u64 = 1200 << 10;
/// Columns that hold a caption, best first.
const CAPTIONS: [&str; 2] = ["text", "caption"];

/// Step folder and reason; both empty for what was kept.
type Key = (String, String);

/// A row that is shown.
struct Picked {
    key: Key,
    shard: u32,
    row: usize,
    example: Example,
    uid: Uid,
    twin: Option<Uid>,
}

/// Finds the samples and, where the images are indexed, their pictures.
pub fn gather(executor: &Executor<'_>, run: &RunFolder, report: &RunReport) -> Result<Vec<Example>> {
    let mut wanted = wanted(report);
    let mut picked = Vec::new();
    for shard in executor.dataset.shards() {
        if wanted.values().all(|&left| left == 0) {
            break;
        }
        executor.cancel.check()?;
        let rows = read_selection(run.path(), &shard.name)?;
        let first = picked.len();
        for (row, selection) in rows.iter().enumerate() {
            let key = (
                selection.dropped_by.clone().unwrap_or_default(),
                selection.reason.clone().unwrap_or_default(),
            );
            let Some(left) = wanted.get_mut(&key).filter(|left| **left > 0) else { continue };
            *left -= 1;
            let example = Example {
                uid: selection.uid.to_string(),
                dropped_by: selection.dropped_by.clone(),
                reason: selection.reason.clone(),
                ..Example::default()
            };
            picked.push(Picked { key, shard: shard.index, row, example, uid: selection.uid, twin: None });
        }
        if picked.len() > first {
            let uids: Vec<Uid> = rows.iter().map(|row| row.uid).collect();
            describe(executor, run, &shard.name, &uids, &mut picked[first..])?;
        }
    }
    // In the order of steps and reasons; rows of one reason stay in the order of the input.
    picked.sort_by(|a, b| (a.key.0.is_empty(), &a.key).cmp(&(b.key.0.is_empty(), &b.key)));
    let index = run.path().join("images");
    if index.join("tars.json").exists() {
        pictures(&ImageIndex::open(&index)?, &mut picked)?;
    }
    Ok(picked.into_iter().map(|picked| picked.example).collect())
}

/// How many to show of each reason that occurred, the most frequent reasons first.
fn wanted(report: &RunReport) -> BTreeMap<Key, u64> {
    let mut reasons: Vec<(u64, Key)> = Vec::new();
    for step in &report.steps {
        for (reason, &count) in step.counts.dropped.iter().chain(&step.counts.errors) {
            reasons.push((count, (step.step.clone(), reason.clone())));
        }
    }
    reasons.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let mut wanted: BTreeMap<Key, u64> =
        reasons.into_iter().take(MOST_REASONS).map(|(count, key)| (key, count.min(PER_REASON))).collect();
    wanted.insert((String::new(), String::new()), report.selection.kept.min(KEPT));
    wanted
}

/// Adds caption, twin and cluster to the samples of one shard.
fn describe(
    executor: &Executor<'_>,
    run: &RunFolder,
    shard: &str,
    uids: &[Uid],
    picked: &mut [Picked],
) -> Result<()> {
    captions(executor, picked)?;
    for (index, step) in run.manifest.steps.iter().enumerate() {
        let table = run.step_folder(index).join(format!("{shard}.parquet"));
        match step.kind.as_str() {
            "dedup" if picked.iter().any(|one| one.key.0 == step.folder) => {
                twins(&table, uids, &step.folder, picked)?
            }
            "cluster" => {
                let clusters = TableReader::column(&table, uids, "cluster")?;
                let Some(clusters) = clusters.as_primitive_opt::<Int32Type>() else { continue };
                for one in picked.iter_mut().filter(|one| clusters.is_valid(one.row)) {
                    one.example.cluster = u32::try_from(clusters.value(one.row)).ok();
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn captions(executor: &Executor<'_>, picked: &mut [Picked]) -> Result<()> {
    let schema = executor.dataset.schema();
    let Some(column) = CAPTIONS.into_iter().find(|name| schema.field_with_name(name).is_ok()) else {
        return Ok(());
    };
    let (Some(shard), Some(end)) =
        (picked.first().map(|one| one.shard), picked.iter().map(|one| one.row + 1).max())
    else {
        return Ok(());
    };
    let mut start = 0;
    for batch in executor.dataset.read_columns(shard, &[column], 8192)? {
        let batch = batch?;
        if let Some(texts) = batch.column(0).as_string_opt::<i32>() {
            for one in picked.iter_mut().filter(|one| (start..start + texts.len()).contains(&one.row)) {
                let row = one.row - start;
                one.example.text = texts.is_valid(row).then(|| texts.value(row).to_owned());
            }
        }
        start += batch.num_rows();
        if start >= end {
            break;
        }
    }
    Ok(())
}

fn twins(table: &Path, uids: &[Uid], step: &str, picked: &mut [Picked]) -> Result<()> {
    let twins = TableReader::column(table, uids, "duplicate_of")?;
    // A step that compares bytes alone has no similarities.
    let sims = TableReader::column(table, uids, "max_sim").ok();
    let sims = sims.as_ref().and_then(|array| array.as_primitive_opt::<Float32Type>());
    let Some(twins) = twins.as_fixed_size_binary_opt() else { return Ok(()) };
    for one in picked.iter_mut().filter(|one| one.key.0 == step) {
        if twins.is_valid(one.row)
            && let Ok(bytes) = <[u8; 16]>::try_from(twins.value(one.row))
        {
            one.twin = Some(Uid::from_bytes(bytes));
            one.example.duplicate_of = one.twin.map(|uid| uid.to_string());
        }
        one.example.max_sim = sims
            .filter(|sims| sims.is_valid(one.row))
            .map(|sims| sims.value(one.row))
            .filter(|sim| sim.is_finite());
    }
    Ok(())
}

/// Fills in pictures: one of each reason, then a second of each, as long as there is room.
fn pictures(index: &ImageIndex, picked: &mut [Picked]) -> Result<()> {
    let mut turn = BTreeMap::<Key, usize>::new();
    let mut order: Vec<(usize, usize)> = Vec::with_capacity(picked.len());
    for (place, one) in picked.iter().enumerate() {
        let turn = turn.entry(one.key.clone()).or_default();
        order.push((*turn, place));
        *turn += 1;
    }
    order.sort_unstable();
    let mut room = PICTURES_BYTES;
    for (_, place) in order {
        let one = &mut picked[place];
        one.example.image = picture(index, one.uid, &mut room)?;
        if let Some(twin) = one.twin {
            one.example.duplicate_image = picture(index, twin, &mut room)?;
        }
    }
    Ok(())
}

/// The picture of a sample as it lies in its tar, as a `data:` URL: browsers scale it, so nothing is decoded here.
fn picture(index: &ImageIndex, uid: Uid, room: &mut u64) -> Result<Option<String>> {
    const KINDS: [(&str, &str); 5] =
        [("jpg", "jpeg"), ("jpeg", "jpeg"), ("png", "png"), ("webp", "webp"), ("gif", "gif")];
    let Some(entry) = index.find(uid)?.into_iter().next() else { return Ok(None) };
    let sample = index.sample(&entry)?;
    let Some((kind, member)) =
        KINDS.iter().find_map(|(extension, kind)| Some((kind, sample.member(extension)?)))
    else {
        return Ok(None);
    };
    if member.size > PICTURE_BYTES.min(*room) {
        return Ok(None);
    }
    let tar: PathBuf = index.tars()[entry.tar as usize].path.clone();
    let mut bytes = vec![0; member.size as usize];
    let read = File::open(&tar).and_then(|file| file.read_exact_at(&mut bytes, member.data_offset));
    read.map_err(|error| cribble_io::IoError::read(&tar, Some(member.data_offset), error))?;
    *room -= member.size;
    Ok(Some(format!("data:image/{kind};base64,{}", base64(&bytes))))
}

/// RFC 4648 with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for piece in bytes.chunks(3) {
        let group = piece
            .iter()
            .enumerate()
            .fold(0u32, |sum, (place, &byte)| sum | u32::from(byte) << (16 - 8 * place));
        for place in 0..4 {
            let letter = LETTERS[(group >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= piece.len() { letter as char } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use cribble_core::{SelectionReport, StepReport};

    #[test]
    fn base64_follows_the_vectors_of_its_standard() {
        for (text, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), expected);
        }
        assert_eq!(base64(&[255, 254, 253]), "//79");
    }

    #[test]
    fn no_more_is_expected_of_a_reason_than_there_is() {
        let mut step = StepReport { step: "01-filter".into(), ..StepReport::default() };
        step.counts.dropped.insert("small".into(), 2);
        step.counts.dropped.insert("wide".into(), 50);
        step.counts.errors.insert("bad".into(), 1);
        let selection = SelectionReport { kept: 3, ..SelectionReport::default() };
        let wanted = wanted(&RunReport { steps: vec![step], selection, ..RunReport::default() });
        let of = |step: &str, reason: &str| wanted[&(step.to_owned(), reason.to_owned())];
        assert_eq!(
            [of("01-filter", "small"), of("01-filter", "wide"), of("01-filter", "bad"), of("", "")],
            [2, PER_REASON, 1, 3]
        );
    }
}
