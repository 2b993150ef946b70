//! Images (and texts) that a model encodes in a second, preprocessing left out: `encode_rate MODEL [THREADS [ROUNDS [DTYPE]]]`. Prints one
//! JSON object; `bench/encode.py` runs it beside open_clip and onnxruntime.
#![allow(clippy::print_stdout)]
use cribble_models::{Dtype, Model, ModelOptions, Tokens};
use rayon::prelude::*;
use std::time::Instant;

/// Items of one batch, of which each thread takes one.
const BATCH: usize = 32;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, default: usize| arguments.get(place).map_or(Ok(default), |text| text.parse());
    let name = arguments.first().ok_or("usage: encode_rate MODEL [THREADS [ROUNDS [DTYPE]]]")?;
    let (threads, rounds) = (number(1, 2)?, number(2, 5)?);
    let dtype = match arguments.get(3).map(String::as_str) {
        None | Some("auto") => Dtype::Auto,
        Some("f32") => Dtype::F32,
        Some("bf16") => Dtype::Bf16,
        Some(other) => return Err(format!("no dtype '{other}'").into()),
    };
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let began = Instant::now();
    let model = Model::open(name, &ModelOptions { dtype, ..ModelOptions::default() })?;
    let mut result = serde_json::json!({
        "model": name, "threads": threads, "batch": BATCH, "dtype": model.identity().dtype,
        "load_seconds": began.elapsed().as_secs_f64(),
    });
    if let Ok(tower) = model.images() {
        let (height, width) = tower.preprocess().size();
        let pixels: Vec<f32> =
            (0..BATCH * 3 * height * width).map(|i| (i * 7919 % 2003) as f32 / 1001.0 - 1.0).collect();
        result["images_per_second"] = rate(threads, rounds, || tower.encode(&pixels, BATCH).len()).into();
    }
    if let Ok(tower) = model.texts() {
        // The shape of a caption of baselines' bench: twelve tokens between the marks.
        let tokens: Vec<Tokens> = (0..BATCH)
            .map(|_| tower.tokenizer().encode("a photo of a cat on a table, vintage poster"))
            .collect::<Result<_, _>>()?;
        result["tokens_per_text"] = tokens[0].ids.len().into();
        result["texts_per_second"] =
            rate(threads, rounds, || tower.encode(&tokens).map_or(0, |v| v.len())).into();
    }
    println!("{result}");
    Ok(())
}

/// Items a second of the fastest round, each thread doing one batch a round, after one round to warm up.
fn rate(threads: usize, rounds: usize, one: impl Fn() -> usize + Sync) -> f64 {
    let round = || {
        let began = Instant::now();
        let values: usize = (0..threads).into_par_iter().map(|_| one()).sum();
        assert!(values > 0, "nothing was encoded");
        began.elapsed().as_secs_f64()
    };
    round();
    let best = (0..rounds).map(|_| round()).fold(f64::INFINITY, f64::min);
    (threads * BATCH) as f64 / best
}
