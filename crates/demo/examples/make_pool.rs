//! Makes a pool and says how long it took: `cargo run --release -p cribble-demo --example make_pool -- FOLDER [ROWS]`.
//! With ROWS the pool has metadata and embeddings only.
#![allow(clippy::print_stdout, reason = "an example is a program")]
use cribble_demo::{PoolOptions, generate};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let folder = words.next().unwrap_or_else(|| "demo".to_owned());
    let options = match words.next() {
        Some(rows) => PoolOptions::big(rows.parse()?),
        None => PoolOptions::default(),
    };
    let start = std::time::Instant::now();
    let summary = generate(&options, std::path::Path::new(&folder), &mut |_, _| {})?;
    println!("{} rows, {} bytes, {:.1} s", summary.rows, summary.bytes, start.elapsed().as_secs_f64());
    Ok(())
}
