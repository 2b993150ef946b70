//! A night that is killed: `kill -9` of a process in the middle, then another that goes on. And the files it leaves.
#![allow(clippy::unwrap_used)]
mod common;
use common::{cache, client, echo, quick, run};
use cribble_chat::{
    Cache, CacheKey, Settings,
    testing::{Act, FakeServer},
};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const JOBS: u128 = 600;
const IN_FLIGHT: usize = 8;

/// The process that is killed: this test binary, called for this one test by [`a_killed_night_goes_on_without_a_repeated_call`].
#[test]
#[ignore = "a part of another test"]
fn child() {
    let Ok(base) = std::env::var("CRIBBLE_CHAT_TEST_BASE") else { return };
    let folder = PathBuf::from(std::env::var("CRIBBLE_CHAT_TEST_FOLDER").unwrap());
    let shared = std::env::var("CRIBBLE_CHAT_TEST_SHARED").ok().map(PathBuf::from);
    let cache = Cache::open(&folder, shared.as_deref()).unwrap();
    let client = client(&base, Settings { in_flight: IN_FLIGHT, ..quick() }, cache);
    let (summary, _) = run(&client, JOBS);
    assert_eq!(summary.answered as u128, JOBS);
}

fn start_child(base: &str, folder: &Path, shared: Option<&Path>) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "child", "--test-threads=1"]);
    command.env("CRIBBLE_CHAT_TEST_BASE", base).env("CRIBBLE_CHAT_TEST_FOLDER", folder);
    if let Some(shared) = shared {
        command.env("CRIBBLE_CHAT_TEST_SHARED", shared);
    }
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_killed_night_goes_on_without_a_repeated_call() {
    let asked = Arc::new(Mutex::new(HashMap::<String, u64>::new()));
    let count = asked.clone();
    let server = FakeServer::start(move |seen| {
        *count.lock().unwrap().entry(seen.text()).or_default() += 1;
        Act::SayAfter(Duration::from_millis(8), format!("echo {}", seen.text()))
    })
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut kills = 0;
    // Killed at a third and at two thirds, then left alone.
    for until in [JOBS / 3, 2 * JOBS / 3] {
        let mut child = start_child(&server.base(), folder.path(), None);
        let begin = Instant::now();
        while u128::from(server.calls()) < until && begin.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
        kills += 1;
        assert!(u128::from(server.calls()) < JOBS);
    }
    let last = start_child(&server.base(), folder.path(), None).wait().unwrap();
    assert!(last.success());
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len() as u128, JOBS);
    let calls: u64 = asked.values().sum();
    assert_eq!(calls, server.calls());
    let most = JOBS as u64 + kills * IN_FLIGHT as u64;
    assert!((JOBS as u64..=most).contains(&calls), "{calls} calls for {JOBS} jobs and {kills} kills");
    // And now everything is known.
    let (summary, _) = run(&client(&server.base(), quick(), cache(folder.path())), JOBS);
    assert_eq!((summary.usage.cached as u128, server.calls()), (JOBS, calls));
}

#[test]
fn processes_share_a_folder() {
    let server = echo();
    let folder = tempfile::tempdir().unwrap();
    let shared = folder.path().join("shared");
    let runs = ["a", "b", "c"].map(|name| folder.path().join(name));
    let mut children: Vec<_> =
        runs.iter().map(|run| start_child(&server.base(), run, Some(&shared))).collect();
    assert!(children.iter_mut().all(|child| child.wait().unwrap().success()));
    let calls = server.calls();
    // Every folder is whole, the shared one as well: no process wrote into another's lines.
    for folder in runs.iter().chain([&shared]) {
        let cache = cache(folder);
        assert_eq!((cache.len() as u128, cache.damaged()), (JOBS, 0), "{}", folder.display());
    }
    let fresh = Cache::open(&folder.path().join("d"), Some(&shared)).unwrap();
    let (summary, outcomes) = run(&client(&server.base(), quick(), fresh), JOBS);
    assert_eq!((summary.usage.cached as u128, server.calls()), (JOBS, calls));
    assert_eq!(common::text(&outcomes[&7]), "echo question 7");
}

#[test]
fn a_torn_tail_is_cut_and_a_damaged_line_is_asked_again() {
    let server = echo();
    let folder = tempfile::tempdir().unwrap();
    run(&client(&server.base(), quick(), cache(folder.path())), 20);
    let files: Vec<PathBuf> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    let whole = std::fs::read(file).unwrap();
    let last = whole[..whole.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    // Cut everywhere within the last line: exactly that answer is unknown, and asked again.
    for cut in (last..whole.len()).step_by(13).chain([whole.len() - 1]) {
        std::fs::write(file, &whole[..cut]).unwrap();
        let before = server.calls();
        let cache = cache(folder.path());
        assert_eq!((cache.len(), cache.damaged()), (19, u64::from(cut > last)), "cut at {cut}");
        let (summary, outcomes) = run(&client(&server.base(), quick(), cache), 20);
        assert_eq!((summary.answered, server.calls() - before), (20, 1));
        for (id, outcome) in &outcomes {
            assert_eq!(common::text(outcome), format!("echo question {id}"));
        }
        let repaired = common::cache(folder.path());
        assert_eq!((repaired.len(), repaired.damaged()), (20, 0), "the tail was not cut");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a dead process's file is continued");
    // A bit that turned within a text.
    let mut damaged = std::fs::read(file).unwrap();
    let place = damaged.windows(11).position(|window| window == b"question 12").unwrap();
    damaged[place] ^= 1;
    std::fs::write(file, &damaged).unwrap();
    let cache = cache(folder.path());
    assert_eq!((cache.len(), cache.damaged()), (19, 1));
    // One that turned after the folder was opened.
    let place = damaged.windows(11).position(|window| window == b"question 13").unwrap();
    damaged[place] ^= 1;
    std::fs::write(file, &damaged).unwrap();
    let key = CacheKey::of("test-model", &common::job(13).request, 0);
    assert!(cache.get(key).unwrap().is_none());
    let (summary, outcomes) = run(&client(&server.base(), quick(), cache), 20);
    assert_eq!(summary.usage.calls, 2);
    assert_eq!(common::text(&outcomes[&13]), "echo question 13");
}
