//! Seconds of the exact search in this process, query by query: `cargo run --release -p cribble-search --example search_rate -- RUN [QUERIES] [EMBEDDING]`.
//! The first query warms the page cache and is not counted. Prints one JSON object.
#![allow(clippy::print_stdout)]
use std::{path::Path, time::Instant};

use cribble_core::{Cancel, Result, Silent};
use cribble_pipeline::{Limits, RunView};
use cribble_search::{IndexUse, Query, Request, search};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let run = words.first().map_or("run", String::as_str);
    let count = words.get(1).and_then(|count| count.parse().ok()).unwrap_or(20usize);
    let began = Instant::now();
    let view = RunView::open(Path::new(run))?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let cancel = Cancel::new();
    let context = view.context(Limits { memory: 1 << 30, threads }, &Silent, &cancel);
    let opened = began.elapsed().as_secs_f64();
    let uids = view.dataset.uids(0)?;
    let mut seconds = Vec::new();
    for uid in uids.iter().cycle().step_by(97).take(count + 1) {
        let request = Request {
            query: Some(Query::Sample(uid.to_string())),
            embedding: words.get(2).cloned(),
            limit: 10,
            index: IndexUse::None,
            ..Request::default()
        };
        seconds.push(search(&view, &context, &request)?.seconds);
    }
    let mut seconds = seconds.split_off(1);
    seconds.sort_by(f64::total_cmp);
    let least = seconds.first().copied().unwrap_or_default();
    let median = seconds.get(seconds.len() / 2).copied().unwrap_or_default();
    println!(
        "{{\"rows\": {}, \"open_s\": {opened:.4}, \"work_s\": {median:.4}, \"least_s\": {least:.4}}}",
        view.dataset.rows()
    );
    Ok(())
}
