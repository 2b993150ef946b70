//! Makes a pool of any make, for training and evaluating the demo's encoder (see `training/README.md`):
//! `cargo run --release -p cribble-demo --example pool -- FOLDER [--rows N] [--seed N] [--zipf X] [--nothing] [--plant NAME=SHARE]...`
//!
//! Without options it is the demo's pool, but for the vectors, which a pool for training has no use for. `--nothing` plants nothing;
//! `--plant` then sets one share by its name in `Planted`, such as `--plant other_languages=0.25`.
#![allow(clippy::print_stdout, reason = "an example is a program")]
use cribble_demo::{Planted, PoolOptions, generate};
use std::path::{Path, PathBuf};
use std::str::FromStr;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let (folder, options) = read(std::env::args().skip(1))?;
    let start = std::time::Instant::now();
    let summary = generate(&options, Path::new(&folder), &mut |_, _| {})?;
    println!(
        "{}: {} rows, {} images, {} bytes, {:.1} s",
        folder.display(),
        summary.rows,
        summary.images,
        summary.bytes,
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// The folder and the options of a command line.
fn read(mut words: impl Iterator<Item = String>) -> Result<(PathBuf, PoolOptions), Failure> {
    let mut options = PoolOptions { arrays: Vec::new(), ..PoolOptions::default() };
    let mut folder = None;
    while let Some(word) = words.next() {
        match word.as_str() {
            "--rows" => options.rows = value(&word, words.next())?,
            "--seed" => options.seed = value(&word, words.next())?,
            "--zipf" => options.zipf = value(&word, words.next())?,
            "--nothing" => options.planted = Planted::NOTHING,
            "--plant" => plant(&mut options.planted, &words.next().unwrap_or_default())?,
            flag if flag.starts_with("--") => return Err(format!("{flag} is no option").into()),
            _ => folder = Some(PathBuf::from(word)),
        }
    }
    Ok((folder.ok_or("name the folder of the pool")?, options))
}

fn value<T: FromStr>(option: &str, word: Option<String>) -> Result<T, Failure> {
    let word = word.unwrap_or_default();
    word.parse().map_err(|_| format!("{option} expects a number, found '{word}'").into())
}

/// Sets one share by name. The names are those of the fields: serde refuses any other and lists the known ones.
fn plant(planted: &mut Planted, word: &str) -> Result<(), Failure> {
    let (name, share) = word.split_once('=').ok_or("--plant expects NAME=SHARE")?;
    let mut fields = serde_json::to_value(&*planted)?;
    fields[name] = value::<f64>("--plant", Some(share.to_owned()))?.into();
    *planted = serde_json::from_value(fields)?;
    Ok(())
}
