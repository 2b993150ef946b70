//! The server of the tests on a port of its own, to try `cribble qdrant` without Qdrant: points live in memory and end with the process.
//!
//! ```sh
//! cargo run -p cribble-qdrant --features testing --example fake_qdrant
//! ```
use cribble_qdrant::testing::{FakeOptions, FakeQdrant};

#[expect(clippy::print_stdout, reason = "its address is all that it says")]
fn main() -> std::io::Result<()> {
    let server = FakeQdrant::start(FakeOptions::default())?;
    println!("{}", server.url());
    loop {
        std::thread::park();
    }
}
