//! Captions a second of a language detector on one thread: `language_rate MODEL|embedded CAPTIONS [ROUNDS [ANSWERS]]`. CAPTIONS has one text
//! per line. Prints one JSON object, and writes label and probability of each line to ANSWERS; `bench/language.py` runs it beside lingua and fastText.
#![allow(clippy::print_stdout)]
use cribble_models::language::{Detector, Prediction, Scratch};
use std::{fmt::Write as _, fs, time::Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, captions, rest @ ..] = arguments.as_slice() else {
        return Err("usage: language_rate MODEL|embedded CAPTIONS [ROUNDS [ANSWERS]]".into());
    };
    let rounds: usize = rest.first().map_or(Ok(5), |text| text.parse())?;
    let began = Instant::now();
    let detector = if model == "embedded" { Detector::embedded() } else { Detector::open(model)? };
    let load = began.elapsed().as_secs_f64();
    let text = fs::read_to_string(captions)?;
    let lines: Vec<&str> = text.split_terminator('\n').collect();
    let mut scratch = Scratch::default();
    let mut answers: Vec<Prediction> = Vec::new();
    let mut seconds = Vec::new();
    for _ in 0..rounds.max(1) {
        let began = Instant::now();
        answers.clear();
        answers.extend(lines.iter().map(|line| detector.predict(line, &mut scratch)));
        seconds.push(began.elapsed().as_secs_f64());
    }
    if let Some(path) = rest.get(1) {
        let mut out = String::new();
        for Prediction { label, probability } in &answers {
            writeln!(out, "{}\t{probability}", detector.labels()[*label])?;
        }
        fs::write(path, out)?;
    }
    let best = seconds.iter().copied().fold(f64::INFINITY, f64::min);
    let rate = lines.len() as f64 / best;
    println!(
        "{}",
        serde_json::json!({ "model": model, "captions": lines.len(), "threads": 1, "load_seconds": load, "seconds": seconds, "rate": rate })
    );
    Ok(())
}
