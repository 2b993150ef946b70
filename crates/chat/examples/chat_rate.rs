//! What a call costs beside the model: many calls to a server that answers at once, in this process.
//! `cargo run --release -p cribble-chat --example chat_rate -- [CALLS] [IN_FLIGHT]`
#![allow(clippy::print_stdout)]
use cribble_chat::{
    Cache, Client, Endpoint, Job, JobId, Message, Params, Request, Settings,
    testing::{Act, FakeServer},
};
use cribble_core::Cancel;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let calls = arguments.next().transpose()?.unwrap_or(20_000);
    let in_flight = arguments.next().transpose()?.unwrap_or(64) as usize;
    let server = FakeServer::start(|_| Act::Say("Classification: Acceptable".into()))?;
    let folder = std::env::temp_dir().join(format!("chat_rate-{}", std::process::id()));
    for name in ["asked", "from the cache"] {
        let start = Instant::now();
        let cache = Cache::open(&folder, None)?;
        let opened = start.elapsed();
        let settings = Settings { in_flight, ..Settings::default() };
        let client = Client::new(Endpoint::new(&server.base(), "m")?, settings, cache)?;
        let jobs = (0..u128::from(calls)).map(|id| job("cluster", id));
        let start = Instant::now();
        let summary = client.run(jobs, &Cancel::new(), |_, _| {});
        let took = start.elapsed().as_secs_f64();
        println!(
            "{name}: {} answers, {in_flight} in flight, {took:.2} s, {:.1} µs each (cache opened in {opened:.0?}); {} connections; {:?}",
            summary.answered,
            took / calls as f64 * 1e6,
            server.connections(),
            summary.usage
        );
    }
    // Pending jobs without end, at an endpoint that refuses: each is made, looked up, and reported as missing.
    let refusing = FakeServer::start(|_| Act::Status(401, Vec::new(), String::new()))?;
    let cache = Cache::open(&folder, None)?;
    let client = Client::new(Endpoint::new(&refusing.base(), "m")?, Settings::default(), cache)?;
    let before = peak_memory();
    let start = Instant::now();
    let jobs = (0..10_000_000).map(|id| job("row", id));
    let summary = client.run(jobs, &Cancel::new(), |_, _| {});
    println!(
        "10 million pending: {} missing after {} calls, {:.1} s; peak memory {before:?} kB before, {:?} kB after",
        summary.missing,
        summary.usage.calls,
        start.elapsed().as_secs_f64(),
        peak_memory()
    );
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

fn job(what: &str, id: JobId) -> Job {
    let messages = vec![Message::user(format!("Is {what} {id} worth keeping?"))];
    Job { id, request: Request { messages, params: Params::default() }, votes: 1 }
}

/// The most memory that this process has had, in kB, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
