//! Files of every wrong kind: each is refused with the file, the tensor and the reason, and no bytes make the reader panic.
use super::*;
use proptest::prelude::*;
use std::{fs, path::Path};

fn checkpoint(name: &str) -> Source {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoints").join(name);
    Source::open(folder.to_str().unwrap(), Some(true)).unwrap()
}

/// A file of a header and data.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

fn open(bytes: &[u8]) -> Result<Weights> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
    Weights::open(&Source::open(folder.path().to_str().unwrap(), None).unwrap(), Layout::HuggingFace)
}

fn refusal(bytes: &[u8]) -> String {
    let error = open(bytes).unwrap_err().to_string();
    assert!(error.contains("model.safetensors"), "names the file: {error}");
    error
}

#[test]
fn every_format_becomes_f32() {
    let numbers = [0.0_f32, -1.5, 2.0, 0.15625];
    let mut data = Vec::new();
    let mut header = String::from("{\"__metadata__\": {\"format\": \"pt\"}");
    let mut add = |name: &str, bytes: Vec<u8>| {
        header.push_str(&format!(
            ", \"{name}\": {{\"dtype\": \"{name}\", \"shape\": [2, 2], \"data_offsets\": [{}, {}]}}",
            data.len(),
            data.len() + bytes.len()
        ));
        data.extend(bytes);
    };
    add("F32", numbers.iter().flat_map(|x| x.to_le_bytes()).collect());
    // An odd number of bytes before the halves, so that they are not aligned in the file.
    add("I8", vec![0, 255, 2, 128]);
    add("F16", numbers.iter().flat_map(|&x| half::f16::from_f32(x).to_le_bytes()).collect());
    add("BF16", numbers.iter().flat_map(|&x| half::bf16::from_f32(x).to_le_bytes()).collect());
    add("F64", numbers.iter().flat_map(|&x| f64::from(x).to_le_bytes()).collect());
    add("I64", [0_i64, -1, 2, 128].iter().flat_map(|x| x.to_le_bytes()).collect());
    add("BOOL", vec![0, 1, 1, 0]);
    add("F8_E4M3", vec![0; 4]);
    header.push('}');
    let weights = open(&file(&header, &data)).unwrap();
    for name in ["F32", "F16", "BF16", "F64"] {
        assert_eq!(weights.tensor(name, &[2, 2]).unwrap(), numbers, "{name}");
    }
    assert_eq!(weights.tensor("I8", &[2, 2]).unwrap(), [0.0, -1.0, 2.0, -128.0]);
    assert_eq!(weights.tensor("I64", &[2, 2]).unwrap(), [0.0, -1.0, 2.0, 128.0]);
    assert_eq!(weights.unused(), ["BOOL", "F8_E4M3"]);
    assert_eq!(weights.tensor("BOOL", &[2, 2]).unwrap(), [0.0, 1.0, 1.0, 0.0]);
    assert!(weights.tensor("F8_E4M3", &[2, 2]).unwrap_err().to_string().contains("8-bit"));
}

#[test]
fn halves_of_all_values_convert_exactly_over_chunks() {
    // More than one chunk, and every bit pattern of both formats.
    let bits: Vec<u8> = (0..=u16::MAX).cycle().take(CHUNK / 2 + 70_000).flat_map(u16::to_le_bytes).collect();
    let count = bits.len() / 2;
    for format in ["F16", "BF16"] {
        let header = format!(
            "{{\"x\": {{\"dtype\": \"{format}\", \"shape\": [{count}], \"data_offsets\": [0, {}]}}}}",
            bits.len()
        );
        let found = open(&file(&header, &bits)).unwrap().tensor("x", &[count]).unwrap();
        for (at, x) in found.into_iter().enumerate() {
            let bits = at as u16;
            let expected = match format {
                "F16" => half::f16::from_bits(bits).to_f32(),
                _ => half::bf16::from_bits(bits).to_f32(),
            };
            assert!(x == expected || x.is_nan() && expected.is_nan(), "{format} {at}: {x} {expected}");
        }
    }
}

#[test]
fn shards_are_one_checkpoint() {
    let source = checkpoint("clip-sharded");
    let weights = Weights::open(&source, Layout::HuggingFace).unwrap();
    assert!(weights.files().count() > 1 && weights.has("logit_scale"));
    assert_eq!(weights.shape("text_projection.weight"), Some([24, 28].as_slice()));
    assert_eq!(weights.names().count(), weights.unused().len());
    for name in weights.names() {
        let numbers = weights.tensor(name, weights.shape(name).unwrap()).unwrap();
        assert!(!numbers.is_empty() && numbers.iter().all(|x| x.is_finite()), "{name}");
    }
    assert!(weights.unused().is_empty());
    assert!(weights.hash(&source).unwrap().starts_with("blake3:"));

    // A shard that is missing, one that lacks a tensor, one that leads out of the folder.
    let folder = tempfile::tempdir().unwrap();
    let other = Source::open(folder.path().to_str().unwrap(), None).unwrap();
    let index = |shard: &str| {
        let text = format!("{{\"weight_map\": {{\"a\": \"{shard}\"}}}}");
        fs::write(folder.path().join(INDEX), text).unwrap();
        Weights::open(&other, Layout::HuggingFace).unwrap_err().to_string()
    };
    assert!(
        index("model-1.safetensors")
            .contains("'model-1.safetensors', which model.safetensors.index.json lists")
    );
    fs::write(folder.path().join("model-1.safetensors"), file("{}", b"")).unwrap();
    assert!(index("model-1.safetensors").contains("tensor 'a' is not in it"));
    assert!(index("../model-1.safetensors").contains("no name of a file"));
    fs::write(folder.path().join(INDEX), "{\"weight_map\": {}}").unwrap();
    assert!(
        Weights::open(&other, Layout::HuggingFace).unwrap_err().to_string().contains("weight_map is empty")
    );
}

#[test]
fn names_of_both_layouts_are_found_and_pickles_are_not_opened() {
    let weights = Weights::open(&checkpoint("open-clip"), Layout::OpenClip).unwrap();
    assert_eq!(weights.files().collect::<Vec<_>>(), ["open_clip_model.safetensors"]);
    let missing = Weights::open(&checkpoint("open-clip"), Layout::HuggingFace).unwrap_err().to_string();
    assert!(missing.contains("model.safetensors or model.safetensors.index.json is missing"), "{missing}");
    for (pickle, layout) in
        [("pytorch_model.bin", Layout::HuggingFace), ("open_clip_pytorch_model.bin", Layout::OpenClip)]
    {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(pickle), b"\x80\x02}").unwrap();
        let source = Source::open(folder.path().to_str().unwrap(), None).unwrap();
        let error = Weights::open(&source, layout).unwrap_err().to_string();
        assert!(
            error.contains(pickle) && error.contains("convert it: python -c") && error.contains("save_file"),
            "{error}"
        );
    }
}

#[test]
fn wrong_tensors_are_named() {
    let weights = Weights::open(&checkpoint("clip"), Layout::HuggingFace).unwrap();
    let error = weights.tensor("text_projection.weight", &[28, 24]).unwrap_err().to_string();
    for part in ["checkpoints/clip/model.safetensors", "text_projection.weight", "[24, 28]", "[28, 24]"] {
        assert!(error.contains(part), "{error}");
    }
    let error = weights.tensor("text_projection.bias", &[24]).unwrap_err().to_string();
    assert!(
        error.contains("checkpoints/clip") && error.contains("tensor 'text_projection.bias' is missing"),
        "{error}"
    );
    assert!(!weights.has("text_projection.bias") && weights.shape("text_projection.bias").is_none());
    assert_eq!(weights.unused().len(), weights.names().count(), "a failed read is no use");
}

#[test]
fn broken_files_are_refused_with_the_reason() {
    let one = |dtype: &str, shape: &str, offsets: &str| {
        format!("\"a\": {{\"dtype\": \"{dtype}\", \"shape\": {shape}, \"data_offsets\": {offsets}}}")
    };
    let good = one("F32", "[2]", "[0, 8]");
    let second = |offsets: &str| {
        format!("{{{good}, \"b\": {{\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": {offsets}}}}}")
    };
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"".into(), "is the download complete"),
        (b"\x89PNG\r\n\x1a\n and more".into(), "not a safetensors file"),
        (u64::MAX.to_le_bytes().into(), "not a safetensors file"),
        ([&(1_u64 << 40).to_le_bytes()[..], b"{}"].concat(), "not a safetensors file"),
        (file("{\"a\": ", b""), "header cannot be read"),
        (file("[1, 2]", b""), "an object of tensors"),
        (file(&"[".repeat(5000), b""), "header cannot be read"),
        (file(&format!("{{{good}}}"), &[0; 4]), "cut short"),
        (file(&format!("{{{good}}}"), &[0; 9]), "the tensors end at byte 8"),
        (file(&format!("{{{good}, {good}}}"), &[0; 8]), "'a' stands twice"),
        (file(&second("[4, 12]"), &[0; 12]), "'b' overlaps"),
        (file(&second("[12, 20]"), &[0; 20]), "'b' leaves a gap"),
        (file(&format!("{{{}}}", one("F32", "[3]", "[0, 8]")), &[0; 8]), "needs 12 bytes"),
        (file(&format!("{{{}}}", one("F32", "[2]", "[8, 0]")), &[0; 8]), "offsets are 8 to 0"),
        (file(&format!("{{{}}}", one("F32", "[-1]", "[0, 8]")), &[0; 8]), "header cannot be read"),
        (file(&format!("{{{}}}", one("F4", "[2]", "[0, 8]")), &[0; 8]), "'F4', which is not known"),
        (
            file(&format!("{{{}}}", one("F32", "[4611686018427387904, 4]", "[0, 0]")), b""),
            "too large for any file",
        ),
    ];
    for (bytes, reason) in cases {
        let error = refusal(&bytes);
        assert!(error.contains(reason), "expected '{reason}': {error}");
    }
    assert_eq!(open(&file(&format!("{{{good}}}"), &[0; 8])).unwrap().tensor("a", &[2]).unwrap(), [0.0, 0.0]);
    assert!(
        open(&file(&one("F32", "[0, 3]", "[0, 0]").replace("\"a\"", "{\"a\"").replace("]}", "]}}"), b""))
            .is_ok()
    );
}

#[test]
fn no_bytes_make_it_panic() {
    let whole =
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoints/clip/model.safetensors"))
            .unwrap();
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let changes = proptest::collection::vec((0..header, any::<u8>()), 1..6);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(400));
    let refused = std::cell::Cell::new(0);
    runner
        .run(&(changes, 0..whole.len(), any::<bool>()), |(changes, end, cut)| {
            let mut bytes = whole.clone();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            if cut {
                bytes.truncate(end);
            }
            match open(&bytes) {
                Ok(weights) => {
                    for name in weights.names() {
                        let shape = weights.shape(name).unwrap();
                        let _ = weights.tensor(name, shape);
                    }
                }
                Err(_) => refused.set(refused.get() + 1),
            }
            Ok(())
        })
        .unwrap();
    assert!(refused.get() > 200, "most changes break a header: {}", refused.get());
    let bytes = proptest::collection::vec(any::<u8>(), 0..200);
    proptest!(|(bytes in bytes)| { let _ = open(&bytes); });
}
