//! An answer, and how it is read from the JSON of a `chat.completion`.
use crate::retry::Fault;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a model answered to one vote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// Why it ended, as the server says: `stop`, `length`, `content_filter`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<String>,
    /// Tokens of the question, if the server counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens of the answer, if the server counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Seconds from the call to the whole answer, of the try that succeeded.
    pub seconds: f64,
    /// Whether it was read from the cache.
    #[serde(skip)]
    pub cached: bool,
}

impl Answer {
    /// Reads a body that came with a status of success.
    pub(crate) fn read(body: &str, seconds: f64) -> Result<Self, Fault> {
        let body: Value = serde_json::from_str(body)
            .map_err(|error| Fault::passing(format!("answered with broken JSON ({error})")).lost())?;
        if let Some(error) = body.get("error").filter(|error| !error.is_null()) {
            return Err(Fault::inside(error));
        }
        let Some(choices) = body.get("choices").and_then(Value::as_array) else {
            return Err(Fault::passing("answered with JSON that is no chat completion").lost());
        };
        let Some(choice) = choices.first() else {
            return Err(Fault::passing("answered without a choice").lost());
        };
        let finish = choice.get("finish_reason").and_then(Value::as_str).map(String::from);
        let message = choice.get("message").unwrap_or(&Value::Null);
        // A refusal of OpenAI's structured answers stands beside an empty content; it is an answer all the same.
        let text = [message.get("content"), message.get("refusal"), choice.get("text")]
            .into_iter()
            .flatten()
            .map(text_of)
            .find(|text| !text.trim().is_empty());
        let Some(text) = text else {
            return Err(match finish.as_deref() {
                Some("length") => Fault::lasting(
                    None,
                    "used all its tokens before the answer began",
                    "raise max_tokens or turn the model's thinking off",
                )
                .lost(),
                _ => Fault::passing("answered with an empty text").lost(),
            });
        };
        let tokens = |name: &str| body.get("usage")?.get(name)?.as_u64();
        Ok(Self {
            text,
            finish,
            input_tokens: tokens("prompt_tokens"),
            output_tokens: tokens("completion_tokens"),
            seconds,
            cached: false,
        })
    }
}

/// A content is text, or a list of parts of which some are text.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_every_server_are_read() {
        let read = |body: &str| Answer::read(body, 0.5).unwrap();
        let answer = read(
            r#"{"choices":[{"message":{"content":"yes"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1}}"#,
        );
        assert_eq!(
            (answer.text.as_str(), answer.input_tokens, answer.output_tokens),
            ("yes", Some(3), Some(1))
        );
        assert_eq!(answer.finish.as_deref(), Some("stop"));
        let parts = r#"{"error":null,"choices":[{"message":{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}}]}"#;
        assert_eq!(read(parts).text, "ab");
        let refusal = r#"{"choices":[{"message":{"content":null,"refusal":"I cannot"}}]}"#;
        assert_eq!(read(refusal).text, "I cannot");
    }

    #[test]
    fn what_is_no_answer_is_tried_again_unless_it_cannot_change() {
        for (body, again) in [
            ("{\"choices\":[{\"mess", true),
            ("[]", true),
            ("{\"choices\":[]}", true),
            ("{\"choices\":[{}]}", true),
            ("{\"choices\":[{\"message\":{\"content\":\"  \"}}]}", true),
            ("{\"choices\":[{\"message\":{\"content\":\"\"},\"finish_reason\":\"length\"}]}", false),
            ("{\"error\":{\"message\":\"overloaded\",\"code\":503}}", true),
            ("{\"error\":{\"message\":\"too long\",\"code\":400}}", false),
            ("{\"error\":\"try later\"}", true),
        ] {
            let fault = Answer::read(body, 0.0).unwrap_err();
            assert_eq!(fault.again, again, "{body}");
        }
    }
}
