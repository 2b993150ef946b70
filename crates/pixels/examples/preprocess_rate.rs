//! Images per second of one thread, from the bytes in memory to normalised values, over all files of a folder.
//!
//! `preprocess_rate FOLDER MODE ROUNDS SIZE [OUT]`: MODE is `exact` or `fast`; OUT takes the values as raw f32, image after image in
//! the order of file names. Prints one JSON line; `cpu` are seconds on a processor, which other programs disturb less.
//! `bench/preprocess.py` runs it beside open_clip.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::time::Instant;

use cribble_pixels::{Limits, Mode, Preprocess, Scratch};

/// Seconds that this thread has been on a processor.
fn on_cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, folder, mode, rounds, size, out @ ..] = &args[..] else {
        println!("usage: preprocess_rate FOLDER exact|fast ROUNDS SIZE [OUT]");
        std::process::exit(2);
    };
    let mode = if mode == "fast" { Mode::Fast } else { Mode::Exact };
    let (rounds, size): (usize, usize) = (rounds.parse().unwrap(), size.parse().unwrap());
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    let files: Vec<Vec<u8>> = names.iter().map(|n| std::fs::read(n).unwrap()).collect();

    let (mean, std) = ([0.481_454_66, 0.457_827_5, 0.408_210_73], [0.268_629_54, 0.261_302_6, 0.275_777_1]);
    let preprocess = Preprocess::open_clip(size, mean, std, "bicubic", "shortest").unwrap();
    let mut scratch = Scratch::default();
    let mut values = vec![0f32; 3 * size * size];
    let (mut seconds, mut cpu) = (Vec::new(), Vec::new());
    let mut all = Vec::new();
    for round in 0..rounds {
        let (start, busy) = (Instant::now(), on_cpu());
        for file in &files {
            preprocess.run(file, mode, &Limits::default(), &mut scratch, &mut values).unwrap();
            if round == 0 && !out.is_empty() {
                all.extend(values.iter().flat_map(|v| v.to_le_bytes()));
            }
        }
        seconds.push(start.elapsed().as_secs_f64());
        cpu.push(on_cpu() - busy);
    }
    if let [path] = out {
        std::fs::write(path, all).unwrap();
    }
    println!("{}", serde_json::json!({ "images": files.len(), "seconds": seconds, "cpu": cpu }));
}
