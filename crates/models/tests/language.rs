//! Languages: our reader of fastText's models against its Python package (recorded by `parity/language.py`), damaged files, and the embedded
//! detector on captions in ten languages.
#![allow(clippy::unwrap_used)]
use cribble_models::{
    ModelError,
    language::{Detector, LanguageModel, Prediction, Scratch, UNDETERMINED},
};
use proptest::prelude::*;
use serde_json::Value;
use std::{fs, path::PathBuf};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/language")
}

fn expected() -> Value {
    serde_json::from_slice(&fs::read(folder().join("expected.json")).unwrap()).unwrap()
}

fn strings(value: &Value) -> Vec<String> {
    serde_json::from_value(value.clone()).unwrap()
}

fn from_bytes(bytes: &[u8]) -> Result<LanguageModel, ModelError> {
    LanguageModel::read(bytes, bytes.len() as u64, "made.bin")
}

const MODELS: [&str; 9] = [
    "hs.bin",
    "hs-cutoff-qnorm.ftz",
    "hs-many-qout-qnorm.ftz",
    "softmax-words.bin",
    "softmax.ftz",
    "softmax-cutoff-words.ftz",
    "softmax-many-qout.ftz",
    "ns-qnorm.ftz",
    "ova.bin",
];

/// Every answer as fastText gave it. Returns how many texts had one.
fn agrees(
    model: &LanguageModel,
    texts: &[String],
    answers: &Value,
    scratch: &mut Scratch,
    name: &str,
) -> usize {
    let answers: Vec<Option<(String, f32)>> = serde_json::from_value(answers.clone()).unwrap();
    assert_eq!(answers.len(), texts.len());
    for (text, answer) in texts.iter().zip(&answers) {
        let found = model.predict(text, scratch);
        let found =
            found.map(|Prediction { label, probability }| (model.labels()[label].clone(), probability));
        let shown: String = text.chars().take(60).collect();
        assert_eq!(
            found.as_ref().map(|(label, _)| label),
            answer.as_ref().map(|(label, _)| label),
            "{name}: {shown:?}"
        );
        if let (Some((_, ours)), Some((_, theirs))) = (found, answer) {
            assert!((ours - theirs).abs() < 1e-6, "{name}: {shown:?}: {ours} against {theirs}");
        }
    }
    answers.iter().flatten().count()
}

#[test]
fn labels_and_probabilities_are_those_of_fasttext() {
    let expected = expected();
    let texts = strings(&expected["texts"]);
    // One scratch for all models: what one leaves must not matter to the next.
    let mut scratch = Scratch::default();
    for name in MODELS {
        let model = LanguageModel::open(folder().join(name)).unwrap();
        let answered = agrees(&model, &texts, &expected["models"][name], &mut scratch, name);
        assert!(answered > 300, "{name} answers {answered} texts");
    }
    assert_eq!(expected["models"].as_object().unwrap().len(), MODELS.len());
}

#[test]
fn the_older_format_has_no_character_ngrams() {
    let expected = expected();
    let mut bytes = fs::read(folder().join("hs.bin")).unwrap();
    bytes[4] = 11;
    let model = from_bytes(&bytes).unwrap();
    let old = &expected["version 11 of hs.bin"];
    agrees(&model, &strings(&expected["texts"]), old, &mut Scratch::default(), "version 11");
    assert_ne!(old, &expected["models"]["hs.bin"]);
}

#[test]
fn line_breaks_are_spaces() {
    let model = LanguageModel::open(folder().join("hs.bin")).unwrap();
    let scratch = &mut Scratch::default();
    let one = model.predict("le vieux pêcheur sur le port", scratch);
    assert_eq!(model.predict("le vieux pêcheur\nsur le port\r\n", scratch), one);
    assert_eq!(model.labels()[one.unwrap().label], "fr");
    let detector = Detector::embedded();
    assert_eq!(detector.predict("le vieux\npêcheur", scratch), detector.predict("le vieux pêcheur", scratch));
}

#[test]
fn a_model_stands_behind_the_detectors_calls() {
    fn shared<T: Send + Sync>(_: &T) {}
    let detector = Detector::open(folder().join("hs.bin")).unwrap();
    shared(&detector);
    shared(&Detector::embedded());
    let scratch = &mut Scratch::default();
    let found = detector.predict("der alte Fischer am Hafen", scratch);
    assert_eq!(detector.labels()[found.label], "de");
    assert_eq!(detector.labels().last().unwrap(), UNDETERMINED);
}

#[test]
fn what_is_no_model_is_refused_with_its_name_and_a_cure() {
    let missing = LanguageModel::open("/no/such/lid.176.bin").unwrap_err();
    assert!(matches!(missing, ModelError::Io { .. }) && missing.to_string().contains("/no/such/lid.176.bin"));
    let error = from_bytes(b"PK\x03\x04 and so on").unwrap_err().to_string();
    assert!(error.starts_with("made.bin: not a fastText model; lid.176.bin"), "{error}");

    let good = fs::read(folder().join("hs-cutoff-qnorm.ftz")).unwrap();
    // Where to write what, and what is said. Parameters stand from byte 8 on, the dictionary from 64.
    let i32_at = |at: usize, value: i32| {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        from_bytes(&bytes).unwrap_err().to_string()
    };
    for (at, value, said) in [
        (4, 13, "version 13"),
        (8, 17, "17 in the parameters"),
        (32, 9, "loss 9"),
        (36, 1, "word vectors, not a classifier"),
        (40, 0, "hashed to 0 buckets"),
        (48, 1 << 30, "we read models with at most 64"),
        (64, i32::MAX, "the dictionary says 2147483647 entries"),
        (64, -1, "the dictionary is -1"),
    ] {
        let error = i32_at(at, value);
        assert!(error.starts_with("made.bin: ") && error.contains(said), "{at}: {error}");
    }
    let mut long = good.clone();
    long.push(0);
    assert!(from_bytes(&long).unwrap_err().to_string().contains("1 bytes too many"));

    let mut bytes = fs::read(folder().join("ova.bin")).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    let error = from_bytes(&bytes).unwrap_err().to_string();
    assert!(error.contains("output matrix has values that are not finite"), "{error}");
}

#[test]
fn a_file_that_was_cut_off_is_refused_at_every_length() {
    for name in ["softmax-cutoff-words.ftz", "ns-qnorm.ftz", "ova.bin"] {
        let bytes = fs::read(folder().join(name)).unwrap();
        for length in (0..bytes.len()).step_by(97).chain(0..100) {
            assert!(from_bytes(&bytes[..length]).is_err(), "{name} cut to {length}");
            // A file that shrinks while it is read.
            assert!(LanguageModel::read(&bytes[..length], bytes.len() as u64, "shrunk").is_err());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// Whatever the bytes are, a model opens or an error comes back, and a model that opened answers or says nothing.
    #[test]
    fn damaged_models_never_panic(
        which in 0..MODELS.len(),
        // Half of the changes fall on the parameters and the head of the dictionary.
        changes in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = fs::read(folder().join(MODELS[which])).unwrap();
        for (head, at, value) in changes {
            let end = if head { 92 } else { bytes.len() };
            bytes[at.index(end)] = value;
        }
        if let Ok(model) = from_bytes(&bytes) {
            let mut scratch = Scratch::default();
            for text in ["", "the old fisherman at the harbour", "старый рыбак", "\u{0}x </s> y"] {
                if let Some(found) = model.predict(text, &mut scratch) {
                    prop_assert!(found.label < model.labels().len());
                }
            }
        }
    }

    /// No text makes a detector panic, and what it says is among its labels.
    #[test]
    fn any_text_has_an_answer(text in "\\PC{0,80}|[a-zß-žа-я一-龥 \u{300}\0-]{0,60}") {
        let scratch = &mut Scratch::default();
        for detector in [Detector::embedded(), Detector::open(folder().join("softmax.ftz")).unwrap()] {
            let found = detector.predict(&text, scratch);
            prop_assert!(found.label < detector.labels().len());
            prop_assert!((0.0..=1.001).contains(&found.probability));
        }
    }
}

#[test]
fn the_embedded_detector_knows_ten_languages_of_captions() {
    let expected = expected();
    let detector = Detector::embedded();
    let mut scratch = Scratch::default();
    let (mut right, mut all) = (0, 0);
    for (language, text) in expected["languages"].as_array().unwrap().iter().zip(strings(&expected["texts"]))
    {
        let Some(language) = language.as_str() else { continue };
        let found = detector.predict(&text, &mut scratch);
        right += usize::from(detector.labels()[found.label] == language);
        all += 1;
    }
    assert_eq!(all, 300);
    assert!(right >= 294, "{right} of {all}");
}

#[test]
fn scripts_and_foreign_letters_decide() {
    let detector = Detector::embedded();
    let mut scratch = Scratch::default();
    let mut code = |text: &str| detector.labels()[detector.predict(text, &mut scratch).label].clone();
    for (text, language) in [
        ("ηλιοβασίλεμα στη θάλασσα", "el"),
        ("שקיעה מעל הים", "he"),
        ("วิวทะเลสวยมาก", "th"),
        ("바다 위의 일몰", "ko"),
        ("मेरा घर", "hi"),
        ("غروب الشمس فوق البحر", "ar"),
        ("地下鉄路線図", "ja"),
        ("地铁线路图", "zh"),
        ("Спасибо за визит", "ru"),
        ("en gammal fiskare i hamnen", "sv"),
        // Other letters beside many Latin ones are a quotation.
        ("a sign that says 東京 in front of the old station", "en"),
        ("Antonín Dvořák at the piano, black and white photograph", "en"),
        // Not told.
        ("", "und"),
        ("HD", "und"),
        ("1920x1080 #4471 IMG_2034 https://example.com", "und"),
        ("захід сонця над озером із друзями", "und"),
        ("żółty płaszcz i śnieżnobiałe łóżko", "und"),
        ("کتابخانه و گربه‌ها", "und"),
    ] {
        assert_eq!(code(text), language, "{text:?}");
    }
}
