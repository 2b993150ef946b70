//! A process that dies at any commit point leaves a whole file or none. The hook is process-wide, hence a test binary of its own.
#![allow(clippy::unwrap_used)]
use cribble_io::{CommitPoint, clean_leftovers, set_commit_hook, write_marker};
use std::{path::Path, sync::Mutex};

static SEEN: Mutex<Vec<(CommitPoint, bool)>> = Mutex::new(Vec::new());

fn record(point: CommitPoint, path: &Path) {
    SEEN.lock().unwrap().push((point, path.exists()));
}

fn die_before_the_rename(point: CommitPoint, _: &Path) {
    assert_ne!(point, CommitPoint::TempWritten, "killed here");
}

#[test]
fn hooks_fire_in_order_and_a_death_before_the_rename_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("done.json");
    set_commit_hook(Some(record));
    write_marker(&path, b"{}").unwrap();
    let expected =
        [(CommitPoint::TempWritten, false), (CommitPoint::Renamed, true), (CommitPoint::MarkerWritten, true)];
    assert_eq!(*SEEN.lock().unwrap(), expected);

    std::fs::remove_file(&path).unwrap();
    set_commit_hook(Some(die_before_the_rename));
    let died = std::thread::spawn({
        let path = path.clone();
        move || write_marker(&path, b"{}")
    });
    assert!(died.join().is_err());
    set_commit_hook(None);
    assert!(!path.exists());
    assert_eq!(clean_leftovers(folder.path()).unwrap(), 0, "the unwinding dropped the temporary");
}
