//! Our pixels against those that Pillow, transformers and open_clip gave (`parity/pixels.py` recorded them).
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use cribble_pixels::{Limits, Mode, Preprocess, Scratch, decode_rgb};
use serde_json::Value;

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

fn manifest() -> Value {
    serde_json::from_str(&fs::read_to_string(vectors().join("vectors.json")).unwrap()).unwrap()
}

fn image(name: &str) -> Vec<u8> {
    fs::read(vectors().join("images").join(name)).unwrap()
}

/// CRC-32 (IEEE 802.3), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

fn number(value: &Value, key: &str) -> usize {
    value[key].as_u64().unwrap() as usize
}

fn three(value: &Value) -> [f32; 3] {
    std::array::from_fn(|i| value[i].as_f64().unwrap() as f32)
}

#[test]
fn whole_images_are_pillows_to_the_last_bit() {
    let mut compared = 0;
    let mut wrong = Vec::new();
    for case in manifest()["cases"].as_array().unwrap() {
        let name = case["file"].as_str().unwrap();
        let rgb = decode_rgb(&image(name), &Limits::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((rgb.width, rgb.height), (number(case, "width"), number(case, "height")), "{name}");
        if crc32(&rgb.pixels) as usize != number(case, "crc32") {
            wrong.push(name.to_owned());
        }
        compared += 1;
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(compared >= 65, "only {compared}");
}

#[test]
fn preprocessed_samples_are_those_of_the_libraries() {
    let manifest = manifest();
    let expected = fs::read(vectors().join("expected.bin")).unwrap();
    let mut scratch = Scratch::default();
    let (mut runs, mut wrong) = (0, Vec::new());
    for case in manifest["cases"].as_array().unwrap() {
        let name = case["file"].as_str().unwrap();
        let bytes = image(name);
        for run in case["runs"].as_array().unwrap() {
            let config = run["config"].as_str().unwrap();
            let (preprocess, unit) = if config.starts_with("open_clip") {
                let c = &manifest["open_clip"][config];
                let (how, resize) =
                    (c["interpolation"].as_str().unwrap(), c["resize_mode"].as_str().unwrap());
                (Preprocess::open_clip(number(c, "size"), [0.0; 3], [1.0; 3], how, resize).unwrap(), 255.0)
            } else {
                (Preprocess::from_json(&manifest["hugging_face"][config].to_string()).unwrap(), 1.0)
            };
            let (height, width) = (number(run, "height"), number(run, "width"));
            assert_eq!(preprocess.size(), (height, width), "{name} {config}");
            let mut out = vec![-1.0; 3 * height * width];
            preprocess.run(&bytes, Mode::Exact, &Limits::default(), &mut scratch, &mut out).unwrap();
            let want = &expected[number(run, "offset")..][..out.len()];
            let differences: Vec<f32> =
                out.iter().zip(want).map(|(a, b)| (a * unit - f32::from(*b)).abs().round()).collect();
            let different = differences.iter().filter(|d| **d > 0.0).count();
            let largest = differences.iter().fold(0f32, |a, b| a.max(*b));
            // 1/255 in one value of a thousand would be allowed; there is none.
            if different > 0 {
                wrong.push(format!(
                    "{name} {config}: {different} of {} differ, by up to {largest}",
                    out.len()
                ));
            }
            runs += 1;
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(runs >= 190, "only {runs}");
}

#[test]
fn scaled_and_normalised_values_are_those_of_the_libraries() {
    let manifest = manifest();
    let mut scratch = Scratch::default();
    for run in manifest["values"].as_array().unwrap() {
        let config = &run["config"];
        let preprocess = if run["processor"] == "open_clip" {
            Preprocess::open_clip(224, three(&config["mean"]), three(&config["std"]), "bicubic", "shortest")
                .unwrap()
        } else {
            Preprocess::from_json(&config.to_string()).unwrap()
        };
        let mut out = vec![0.0; 3 * 224 * 224];
        let bytes = image(run["file"].as_str().unwrap());
        preprocess.run(&bytes, Mode::Exact, &Limits::default(), &mut scratch, &mut out).unwrap();
        let places = run["places"].as_array().unwrap().iter().zip(run["values"].as_array().unwrap());
        for (place, value) in places {
            let (ours, theirs) = (out[place.as_u64().unwrap() as usize], value.as_f64().unwrap() as f32);
            assert!((ours - theirs).abs() <= 2e-6, "{}: {ours} for {theirs}", run["processor"]);
        }
    }
}

/// Peak signal to noise ratio of two sets of samples, in dB.
fn psnr(a: &[f32], b: &[f32]) -> f64 {
    let square: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / a.len() as f64;
    10.0 * (255f64.powi(2) / square).log10()
}

#[test]
fn fast_pixels_are_near_the_exact_ones() {
    // To 56, so that transforms of 4x4 (333 x 517), 2x2 and 8x8 are used.
    let text = r#"{"image_processor_type":"CLIPImageProcessor","size":SIZE,"crop_size":SIZE,"do_rescale":false,"do_normalize":false}"#;
    let mut scratch = Scratch::default();
    for (name, size, least) in [
        ("size-333x517.jpg", 150, 34.0),
        ("size-333x517.jpg", 56, 34.0),
        ("size-333x517.jpg", 30, 34.0),
        ("size-333x517.jpg", 300, 30.0),
        ("size-224x224.jpg", 96, 34.0),
        ("sampling-444.jpg", 40, 34.0),
        ("sampling-420-progressive.jpg", 30, 32.0),
        ("grey.jpg", 30, 34.0),
        ("cmyk.jpg", 20, 30.0),
    ] {
        let preprocess = Preprocess::from_json(&text.replace("SIZE", &size.to_string())).unwrap();
        let [exact, fast] = [Mode::Exact, Mode::Fast].map(|mode| {
            let mut out = vec![0.0; 3 * size * size];
            preprocess.run(&image(name), mode, &Limits::default(), &mut scratch, &mut out).unwrap();
            out
        });
        let near = psnr(&exact, &fast);
        assert!(near >= least, "{name} to {size}: {near:.1} dB");
        assert!(exact != fast, "{name} to {size}: the fast way was not taken");
    }
    // What is no JPEG has one way only.
    let preprocess = Preprocess::from_json(&text.replace("SIZE", "20")).unwrap();
    let [exact, fast] = [Mode::Exact, Mode::Fast].map(|mode| {
        let mut out = vec![0.0; 3 * 20 * 20];
        preprocess.run(&image("rgba.png"), mode, &Limits::default(), &mut scratch, &mut out).unwrap();
        out
    });
    assert_eq!(exact, fast);
}

#[test]
fn orientation_is_not_applied() {
    // Stored 109 x 77 with orientation 6, which would make it 77 x 109.
    let turned = decode_rgb(&image("exif-orientation-6.jpg"), &Limits::default()).unwrap();
    let plain = decode_rgb(&image("sampling-420.jpg"), &Limits::default()).unwrap();
    assert_eq!((turned.width, turned.height), (109, 77));
    assert_eq!(turned, plain);
}
