//! Sound inputs pass, and every planted fault is found and named.
use super::{AlignmentVerdict, CheckOptions, CheckReport, check};
use crate::{
    Dataset, OpenOptions,
    fixtures::{datacomp_shard, npy_f16, texts, uids, vectors, write_npz, write_parquet},
};
use std::path::Path;

fn run(path: &Path, options: &CheckOptions) -> CheckReport {
    let dataset = Dataset::open(&OpenOptions::new(path.to_str().unwrap())).unwrap();
    check(&dataset, options).unwrap()
}

#[test]
fn a_sound_input_is_proven() {
    let folder = tempfile::tempdir().unwrap();
    datacomp_shard(folder.path(), "a", 900, true, 0);
    datacomp_shard(folder.path(), "b", 1, false, 0);
    datacomp_shard(folder.path(), "c", 0, false, 0);
    let report = run(folder.path(), &CheckOptions::default());
    assert!(report.is_sound());
    assert_eq!(
        (report.alignment.verdict, report.rows, report.shards, report.empty_shards),
        (AlignmentVerdict::Proven, 901, 3, 1)
    );
    assert_eq!((report.smallest_shard_rows, report.largest_shard_rows), (0, 900));
    let score = &report.alignment.scores[0];
    assert_eq!((score.column.as_str(), score.rows), ("clip_b32_similarity_score", 385));
    assert!(score.mean_abs_difference < 1e-3 && score.correlation.unwrap() > 0.999, "{score:?}");
    for array in &report.arrays {
        assert_eq!((array.sampled, array.unit, array.zero, array.not_finite), (385, 385, 0, 0), "{array:?}");
    }
    assert!(serde_json::to_string(&report).unwrap().contains("\"verdict\":\"proven\""));
}

#[test]
fn shifts_are_caught_and_named() {
    for shift in [1, 2, 3, 7] {
        let folder = tempfile::tempdir().unwrap();
        datacomp_shard(folder.path(), "good", 400, false, 0);
        datacomp_shard(folder.path(), "rolled", 400, false, shift);
        let report = run(folder.path(), &CheckOptions::default());
        assert!(!report.is_sound());
        assert_eq!(report.alignment.verdict, AlignmentVerdict::Broken);
        let unaligned = &report.alignment.scores[0].unaligned;
        assert_eq!(unaligned.len(), 1);
        let expected = match shift {
            1 => "shard rolled: scores fit when the arrays are shifted by +1 row".to_owned(),
            2 | 3 => format!("shard rolled: scores fit when the arrays are shifted by +{shift} rows"),
            _ => "nor with a shift of up to 3 rows".to_owned(),
        };
        assert!(unaligned[0].message.contains(&expected), "{}", unaligned[0].message);
        assert_eq!(unaligned[0].image_shift, (shift <= 3).then_some(shift as i64));
    }
}

#[test]
fn a_shift_of_one_array_and_a_shift_that_begins_late_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let (rows, dim) = (5000, 16);
    datacomp_shard(folder.path(), "x", rows, false, 0);
    let seed = "x".bytes().fold(7u64, |hash, byte| hash * 31 + u64::from(byte));
    let (images, mut captions) = (vectors(rows, dim, seed), vectors(rows, dim, seed ^ 0xabcd));
    captions.rotate_left(dim);
    let write = |images: &[f32], captions: &[f32]| {
        let members = [("b32_img", npy_f16(images, dim)), ("b32_txt", npy_f16(captions, dim))];
        write_npz(&folder.path().join("x.npz"), &members, false);
    };
    write(&images, &captions);
    let report = run(folder.path(), &CheckOptions::default());
    assert_eq!(report.alignment.why, "shard x: scores fit when b32_txt is shifted by -1 row");

    // Row 4000 is lost from both arrays and the last row twice: only the end is off.
    captions.rotate_right(dim);
    let lose =
        |values: &[f32]| [&values[..4000 * dim], &values[4001 * dim..], &values[(rows - 1) * dim..]].concat();
    write(&lose(&images), &lose(&captions));
    let report = run(folder.path(), &CheckOptions::default());
    assert!(report.alignment.why.contains("shifted by -1 row"), "{}", report.alignment.why);
    assert!(report.alignment.scores[0].unaligned[0].row >= 3800);
}

#[test]
fn without_a_score_nothing_is_claimed() {
    let folder = tempfile::tempdir().unwrap();
    write_parquet(&folder.path().join("a.parquet"), vec![("uid", texts(uids(5, 1)))], 10);
    let mut values = vectors(5, 4, 1);
    values[..4].fill(0.0);
    values[4] = f32::NAN;
    values[8..12].iter_mut().for_each(|v| *v *= 3.0);
    write_npz(&folder.path().join("a.npz"), &[("x", npy_f16(&values, 4))], true);
    let report = run(folder.path(), &CheckOptions::default());
    assert_eq!(report.alignment.verdict, AlignmentVerdict::NotProvable);
    let array = &report.arrays[0];
    assert_eq!((array.sampled, array.zero, array.not_finite, array.unit), (5, 1, 1, 2));
    assert!((array.largest_norm - 3.0).abs() < 0.01 && array.smallest_norm == 0.0);
    assert!(!report.is_sound());
}

#[test]
fn identical_rows_prove_nothing_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let row = vectors(1, 16, 4);
    let values = row.repeat(60);
    let scores = arrow::array::Float32Array::from(vec![1.0; 60]);
    let columns: crate::fixtures::Columns<'_> =
        vec![("uid", texts(uids(60, 1))), ("clip_x_similarity_score", std::sync::Arc::new(scores))];
    write_parquet(&folder.path().join("a.parquet"), columns, 100);
    write_npz(
        &folder.path().join("a.npz"),
        &[("x_img", npy_f16(&values, 16)), ("x_txt", npy_f16(&values, 16))],
        true,
    );
    let report = run(folder.path(), &CheckOptions::default());
    assert_eq!(
        (report.alignment.verdict, report.alignment.scores[0].correlation),
        (AlignmentVerdict::Proven, None)
    );
}

#[test]
fn duplicates_are_counted_exactly_however_little_memory_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut expected_extra = 0;
    for (number, name) in ["a", "b"].into_iter().enumerate() {
        let mut uids = uids(40_000, 3);
        // Shard b repeats the first 100 of shard a, and one of its own twice.
        if number == 1 {
            uids[100..].iter_mut().for_each(|uid| uid.0 |= 1 << 127);
            uids[200] = uids[150];
            uids[300] = uids[150];
            expected_extra = 102;
        }
        write_parquet(&folder.path().join(format!("{name}.parquet")), vec![("uid", texts(&uids))], 100_000);
    }
    let rich = run(folder.path(), &CheckOptions::default()).duplicates;
    let poor = run(folder.path(), &CheckOptions { memory_bytes: 1, ..CheckOptions::default() }).duplicates;
    assert_eq!(rich, poor);
    assert_eq!((rich.uids, rich.extra_rows, rich.first.len()), (101, expected_extra, 10));
    let first = &rich.first[0];
    let places: Vec<_> = first.places.iter().map(|p| (p.shard.as_str(), p.row)).collect();
    assert_eq!((first.times, places), (2, vec![("a", 0), ("b", 0)]));
}
