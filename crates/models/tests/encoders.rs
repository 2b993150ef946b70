//! Every family against its reference implementation, on the tiny random checkpoints that `parity/models.py` made: vectors of images and
//! texts in f32 and in bf16, independence of the batch, and what a broken checkpoint says.
#![allow(clippy::unwrap_used)]
use cribble_models::{Dtype, Model, ModelError, ModelOptions, Tokens};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

const FAMILIES: [&str; 12] = [
    "clip",
    "clip-laion",
    "clip-sharded",
    "clip-image",
    "clip-text",
    "open-clip",
    "open-clip-custom-text",
    "siglip",
    "siglip2",
    "dinov2",
    "dinov2-registers",
    "dinov2-swiglu",
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoints").join(name)
}

fn expected(name: &str) -> Value {
    serde_json::from_slice(&fs::read(folder(name).join("expected.json")).unwrap()).unwrap()
}

fn strings() -> Vec<String> {
    serde_json::from_slice(&fs::read(folder("strings.json")).unwrap()).unwrap()
}

fn open(path: &Path, dtype: Dtype) -> Result<Model, ModelError> {
    Model::open(
        path.to_str().unwrap(),
        &ModelOptions { dtype, offline: Some(true), ..ModelOptions::default() },
    )
}

fn copy(name: &str) -> tempfile::TempDir {
    fn into(from: &Path, to: &Path) {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.path().is_dir() {
                fs::create_dir(&target).unwrap();
                into(&entry.path(), &target);
            } else {
                fs::copy(entry.path(), target).unwrap();
            }
        }
    }
    let copied = tempfile::tempdir().unwrap();
    into(&folder(name), copied.path());
    copied
}

/// The same pixels as `noise` in parity/models.py.
fn noise(count: usize, height: usize, width: usize, seed: u64) -> Vec<f32> {
    (0..(count * 3 * height * width) as u64)
        .map(|place| {
            let mut i = ((place + seed * 1_000_003) as u32).wrapping_mul(0x9e37_79b1);
            i = (i ^ (i >> 15)).wrapping_mul(0x85eb_ca77);
            i ^= i >> 13;
            (i & 255) as f32 / 128.0 - 1.0
        })
        .collect()
}

fn rows(value: &Value) -> Vec<Vec<f32>> {
    serde_json::from_value(value.clone()).unwrap()
}

fn lowest_cosine(found: &[f32], expected: &[Vec<f32>]) -> f64 {
    let dim = expected[0].len();
    assert_eq!(found.len(), expected.len() * dim);
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    found
        .chunks_exact(dim)
        .zip(expected)
        .map(|(found, expected)| {
            assert!((dot(found, found) - 1.0).abs() < 1e-5, "not of unit length");
            dot(found, expected) / (dot(found, found) * dot(expected, expected)).sqrt()
        })
        .fold(f64::INFINITY, f64::min)
}

fn difference(found: &[f32], expected: &[Vec<f32>]) -> f32 {
    found.iter().zip(expected.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn tokens(model: &Model, name: &str, expected: &Value) -> Vec<Tokens> {
    let strings = strings();
    let places: Vec<usize> = serde_json::from_value(expected["texts"]["embedded"].clone()).unwrap();
    let ids: Vec<Vec<u32>> = serde_json::from_value(expected["texts"]["ids"].clone()).unwrap();
    places
        .into_iter()
        .map(|place| {
            let found = model.texts().unwrap().tokenizer().encode(&strings[place]).unwrap();
            // Where ids differ by our choice (special tokens spelled out in a SigLIP caption), the vectors are compared on theirs.
            if found.ids != ids[place] {
                assert!(name.starts_with("siglip"), "{name}: {:?}", strings[place]);
                return Tokens { ids: ids[place].clone(), ..found };
            }
            found
        })
        .collect()
}

/// The lowest cosine of all vectors of a checkpoint to the reference's, and the largest difference of a number: SigLIP with another GELU
/// would pass the cosine.
fn compare(name: &str, dtype: Dtype) -> (f64, f32) {
    let expected = expected(name);
    let (mut lowest, mut largest) = (f64::INFINITY, 0f32);
    for run in expected["images"].as_array().into_iter().flatten() {
        let size = |key: &str| run[key].as_u64().unwrap() as usize;
        let (count, height, width) = (size("count"), size("height"), size("width"));
        // DINOv2 takes pictures of any size; how large they are is the preprocessing's business.
        let changed = copy(name);
        let file = changed.path().join("preprocessor_config.json");
        if name.starts_with("dinov2") {
            let mut config: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            config["crop_size"] = serde_json::json!({ "height": height, "width": width });
            fs::write(&file, config.to_string()).unwrap();
        }
        let model = open(changed.path(), dtype).unwrap();
        let tower = model.images().unwrap();
        assert_eq!(tower.preprocess().size(), (height, width));
        let found = tower.encode(&noise(count, height, width, run["seed"].as_u64().unwrap()), count);
        let expected = rows(&run["embeds"]);
        lowest = lowest.min(lowest_cosine(&found, &expected));
        largest = largest.max(difference(&found, &expected));
    }
    if expected["texts"].is_object() {
        let model = open(&folder(name), dtype).unwrap();
        let found = model.texts().unwrap().encode(&tokens(&model, name, &expected)).unwrap();
        let expected = rows(&expected["texts"]["embeds"]);
        lowest = lowest.min(lowest_cosine(&found, &expected));
        largest = largest.max(difference(&found, &expected));
    }
    (lowest, largest)
}

#[test]
fn vectors_are_the_references() {
    for name in FAMILIES.into_iter().chain(["bert"]) {
        let (cosine, difference) = compare(name, Dtype::F32);
        println!("{name} f32 {cosine:.9} {difference:e}");
        assert!(cosine > 0.999_99 && difference < 5e-6, "{name} in f32: {cosine}, {difference}");
    }
}

#[test]
fn vectors_in_bf16_are_near_the_references() {
    for name in FAMILIES.into_iter().chain(["bert"]) {
        let (cosine, _) = compare(name, Dtype::Bf16);
        println!("{name} bf16 {cosine:.9}");
        assert!(cosine > 0.999, "{name} in bf16: {cosine}");
    }
}

#[test]
fn scales_and_dimensions_are_the_checkpoints() {
    for name in FAMILIES {
        let expected = expected(name);
        let model = open(&folder(name), Dtype::F32).unwrap();
        assert_eq!(model.dim() as u64, expected["dim"].as_u64().unwrap());
        assert_eq!(model.identity().family, expected["family"].as_str().unwrap());
        for (found, key) in [(model.logit_scale(), "logit_scale"), (model.logit_bias(), "logit_bias")] {
            match expected[key].as_f64() {
                Some(scale) => {
                    assert!((f64::from(found.unwrap()) / scale - 1.0).abs() < 1e-5, "{name} {key}")
                }
                None => assert!(found.is_none() || key == "logit_bias", "{name} {key}"),
            }
        }
        assert_eq!(model.images().is_ok(), expected["images"].is_array());
        assert_eq!(model.texts().is_ok(), expected["texts"].is_object());
    }
}

#[test]
fn a_model_can_be_opened_without_its_image_encoder() {
    let options = ModelOptions { dtype: Dtype::F32, offline: Some(true), ..ModelOptions::default() };
    for name in FAMILIES.into_iter().chain(["bert"]) {
        let (whole, path) = (open(&folder(name), Dtype::F32).unwrap(), folder(name));
        let Ok(texts) = Model::open_texts(path.to_str().unwrap(), &options) else {
            assert!(whole.texts().is_err(), "{name}");
            continue;
        };
        assert!(texts.images().is_err(), "{name}");
        assert_eq!((texts.identity(), texts.logit_scale()), (whole.identity(), whole.logit_scale()));
        let tokens = [whole.texts().unwrap().tokenizer().encode("a red bicycle").unwrap()];
        let vector = |model: &Model| model.texts().unwrap().encode(&tokens).unwrap();
        assert_eq!(vector(&texts), vector(&whole), "{name}");
    }
}

#[test]
fn a_sample_does_not_see_its_batch() {
    for (name, dtype) in [("clip", Dtype::F32), ("siglip", Dtype::Bf16), ("open-clip", Dtype::Auto)] {
        let model = open(&folder(name), dtype).unwrap();
        let (height, width) = model.images().unwrap().preprocess().size();
        let pixels = noise(70, height, width, 5);
        let together = model.images().unwrap().encode(&pixels, 70);
        let one = 3 * height * width;
        for (place, vector) in together.chunks_exact(model.dim()).enumerate() {
            assert_eq!(
                model.images().unwrap().encode(&pixels[place * one..(place + 1) * one], 1),
                vector,
                "{name}"
            );
        }
        let tower = model.texts().unwrap();
        let texts: Vec<Tokens> =
            strings().iter().map(|text| tower.tokenizer().encode(text).unwrap()).collect();
        let together = tower.encode(&texts).unwrap();
        for (text, vector) in texts.iter().zip(together.chunks_exact(model.dim())) {
            assert_eq!(tower.encode(std::slice::from_ref(text)).unwrap(), vector, "{name}");
        }
    }
}

#[test]
fn identities_follow_what_decides_the_vectors() {
    let identify = |path: &Path, dtype| {
        let options = ModelOptions { dtype, offline: Some(true), ..ModelOptions::default() };
        Model::identify(path.to_str().unwrap(), &options).unwrap()
    };
    let copied = copy("clip");
    let first = identify(copied.path(), Dtype::F32);
    assert_eq!(&first, open(copied.path(), Dtype::F32).unwrap().identity());
    assert_eq!(first.context, Some(77));
    assert_ne!(first, identify(copied.path(), Dtype::Bf16));

    fs::write(copied.path().join("README.md"), "not part of the model").unwrap();
    assert_eq!(first, identify(copied.path(), Dtype::F32));
    let weights = copied.path().join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    assert_ne!(first.hash, identify(copied.path(), Dtype::F32).hash);
}

fn message(path: &Path) -> String {
    open(path, Dtype::F32).unwrap_err().to_string()
}

#[test]
fn broken_checkpoints_say_what_is_wrong() {
    let change = |name: &str, file: &str, key: &str, value: Value| {
        let copied = copy(name);
        let path = copied.path().join(file);
        let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        *config.pointer_mut(key).unwrap() = value;
        fs::write(&path, config.to_string()).unwrap();
        message(copied.path())
    };
    let text = change("clip", "config.json", "/model_type", "resnet".into());
    assert!(text.contains("resnet") && text.contains("dinov2") && text.contains("siglip"), "{text}");
    let text = change("clip", "config.json", "/vision_config/hidden_size", 33.into());
    assert!(text.contains("vision_model.") && text.contains("33") && text.contains("30"), "{text}");
    let text = change("clip", "config.json", "/vision_config/num_attention_heads", 7.into());
    assert!(text.contains("vision_config.num_attention_heads") && text.contains('7'), "{text}");
    let text = change("clip", "config.json", "/vision_config/hidden_act", "relu6".into());
    assert!(text.contains("hidden_act") && text.contains("relu6"), "{text}");
    let text = change("clip", "config.json", "/vision_config/image_size", "big".into());
    assert!(text.contains("vision_config.image_size") && text.contains("big"), "{text}");
    let text = change(
        "open-clip",
        "open_clip_config.json",
        "/model_cfg/vision_cfg/layers",
        serde_json::json!([3, 4, 6, 3]),
    );
    assert!(text.contains("layers"), "{text}");
    let text = change("clip", "config.json", "/vision_config/image_size", 40.into());
    assert!(text.contains("32 x 32") && text.contains("40 x 40"), "{text}");

    let without = |name: &str, file: &str| {
        let copied = copy(name);
        fs::remove_file(copied.path().join(file)).unwrap();
        message(copied.path())
    };
    for file in ["config.json", "model.safetensors", "tokenizer.json", "preprocessor_config.json"] {
        let text = without("clip", file);
        assert!(text.contains(file), "{file}: {text}");
    }
    let text = without("clip-sharded", "model-00002-of-00002.safetensors");
    assert!(text.contains("model-00002-of-00002.safetensors"), "{text}");

    let bert = open(&folder("bert"), Dtype::F32).unwrap();
    let text = bert.images().unwrap_err().to_string();
    assert!(text.contains("image") && text.contains("bert"), "{text}");
}
