//! What must hold of a `tokenizer.json` before the `tokenizers` crate sees it. That crate panics on some broken files (no valid JSON, a
//! damaged character map, a template of a token that is not listed), and a file from the Hub must not be able to end a run that way.
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};
use tokenizers::normalizers::Precompiled;

/// The parts that are looked at; the vocabulary, which is most of the file, is only scanned for its syntax.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(rename = "model")]
    _model: IgnoredAny,
}

/// Checks the text of a `tokenizer.json`.
pub fn check(text: &str) -> Result<(), String> {
    let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
    each(&file.normalizer, &mut |part| match part.get("type").and_then(Value::as_str) {
        // By way of text, as that crate does: its map borrows from it.
        Some("Precompiled") => serde_json::to_string(part)
            .and_then(|part| serde_json::from_str::<Precompiled>(&part).map(drop))
            .map_err(|error| format!("the character map of its normalizer: {error}")),
        _ => Ok(()),
    })?;
    each(&file.post_processor, &mut template)
}

/// Calls `look` for every object, however deep (a `Sequence` holds others).
fn each(
    value: &Value,
    look: &mut impl FnMut(&Map<String, Value>) -> Result<(), String>,
) -> Result<(), String> {
    match value {
        Value::Object(part) => {
            look(part)?;
            part.values().try_for_each(|inner| each(inner, look))
        }
        Value::Array(parts) => parts.iter().try_for_each(|inner| each(inner, look)),
        _ => Ok(()),
    }
}

/// Every special token of a template must be in its list of them.
fn template(part: &Map<String, Value>) -> Result<(), String> {
    let Some(listed) = part.get("special_tokens").and_then(Value::as_object) else { return Ok(()) };
    for name in ["single", "pair"] {
        for piece in part.get(name).and_then(Value::as_array).into_iter().flatten() {
            let id = piece.pointer("/SpecialToken/id").and_then(Value::as_str);
            if let Some(id) = id
                && listed.get(id).and_then(|token| token.get("id")).and_then(Value::as_str) != Some(id)
            {
                return Err(format!("its template adds '{id}', which it does not list"));
            }
        }
    }
    Ok(())
}
