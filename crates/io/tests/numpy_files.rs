//! Files that NumPy 2.4.6 wrote (`np.savez`, `np.savez_compressed`, `np.save`): its zips use 64-bit fields even when they are tiny.
use cribble_io::{IoError, SourceFile, npy::NpyFile, npz::Npz};
use std::path::PathBuf;

fn fixture(name: &str) -> SourceFile {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    SourceFile::open_local(path).expect("the fixture is checked in")
}

#[test]
fn both_kinds_of_npz_read_alike() {
    for name in ["numpy_stored.npz", "numpy_deflated.npz"] {
        let npz = Npz::open(fixture(name)).expect("opens");
        let names: Vec<_> =
            npz.arrays().iter().map(|array| (array.name.as_str(), array.header.shape.clone())).collect();
        assert_eq!(names, [("dedup", vec![3]), ("ids", vec![3]), ("l14_img", vec![3, 4])]);
        let mut reader = npz.open_array("l14_img").expect("opens");
        assert_eq!(reader.is_random_access(), name == "numpy_stored.npz");
        let mut out = [0.0; 12];
        reader.read_f32(0, &mut out).expect("reads");
        let expected: Vec<f32> = (0..12).map(|value| value as f32 / 8.0).collect();
        assert_eq!(out[..], expected);
    }
}

#[test]
fn columns_first_is_refused_with_advice() {
    let error = NpyFile::open(fixture("numpy_fortran.npy")).expect_err("fortran order");
    assert!(matches!(error, IoError::Malformed { .. }));
    assert!(error.hint().is_some_and(|hint| hint.contains("ascontiguousarray")));
}
