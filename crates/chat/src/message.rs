//! What is asked: messages of text and images, parameters, and the JSON body of a call.
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// One question to a model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// How it is to be answered.
    pub params: Params,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// Text and images in their order.
    pub parts: Vec<Part>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The instructions.
    System,
    /// The question.
    User,
    /// An earlier answer, for examples in the prompt.
    Assistant,
}

/// A piece of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Text.
    Text(String),
    /// An image.
    Image(Image),
}

/// An image, already in the size in which the model shall see it.
#[derive(Debug, Clone, PartialEq)]
pub enum Image {
    /// An encoded image (JPEG, PNG, WebP), sent as a `data:` URL.
    Bytes {
        /// Its type, such as `image/jpeg`.
        media: &'static str,
        /// The encoded image; the cache knows it by its hash.
        bytes: Arc<[u8]>,
    },
    /// An address that the server itself fetches; the cache knows it by this address.
    Url(String),
}

/// How a question is to be answered. What is `None` is not sent: the server's default holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Params {
    /// Sampling temperature, from 0.
    pub temperature: Option<f64>,
    /// The longest answer, in tokens.
    pub max_tokens: Option<u32>,
    /// Seed of the first vote; vote `v` is asked with `seed + v`. Without one, the first vote sends none and vote `v` sends `v`.
    pub seed: Option<u64>,
    /// The JSON that is wanted; left out for an endpoint that answers 400 to it and takes the question without.
    pub schema: Option<Schema>,
    /// More fields of the body, as the server knows them (`top_p`, `chat_template_kwargs`, `max_completion_tokens`).
    pub extra: Map<String, Value>,
}

/// A `response_format` of type `json_schema`.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// Its name: letters, digits, `_` and `-`.
    pub name: String,
    /// The JSON Schema.
    pub schema: Value,
}

impl Message {
    /// Instructions.
    pub fn system(text: impl Into<String>) -> Self {
        Self { role: Role::System, parts: vec![Part::Text(text.into())] }
    }

    /// A question of text alone; push more parts for images.
    pub fn user(text: impl Into<String>) -> Self {
        Self { role: Role::User, parts: vec![Part::Text(text.into())] }
    }

    /// The same message with an image behind what it has.
    #[must_use]
    pub fn with_image(mut self, image: Image) -> Self {
        self.parts.push(Part::Image(image));
        self
    }

    fn content(&self) -> Value {
        // Servers for text models often take no list of parts, so plain text goes as plain text.
        if let [Part::Text(text)] = &self.parts[..] {
            return text.as_str().into();
        }
        let parts = self.parts.iter().map(|part| match part {
            Part::Text(text) => json!({"type": "text", "text": text}),
            Part::Image(image) => json!({"type": "image_url", "image_url": {"url": image.address()}}),
        });
        parts.collect()
    }
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

impl Image {
    fn address(&self) -> String {
        match self {
            Self::Url(url) => url.clone(),
            Self::Bytes { media, bytes } => format!("data:{media};base64,{}", STANDARD.encode(bytes)),
        }
    }
}

impl Request {
    /// The body of vote `vote`.
    pub(crate) fn body(&self, model: &str, vote: u32, with_schema: bool) -> Vec<u8> {
        let Params { temperature, max_tokens, seed, schema, extra } = &self.params;
        let messages = self.messages.iter();
        let messages: Value = messages
            .map(|message| json!({"role": message.role.name(), "content": message.content()}))
            .collect();
        let mut body = Map::new();
        body.insert("model".into(), model.into());
        body.insert("messages".into(), messages);
        if let Some(temperature) = temperature {
            body.insert("temperature".into(), (*temperature).into());
        }
        if let Some(tokens) = max_tokens {
            body.insert("max_tokens".into(), (*tokens).into());
        }
        if seed.is_some() || vote > 0 {
            body.insert("seed".into(), seed.unwrap_or(0).wrapping_add(vote.into()).into());
        }
        if let (Some(Schema { name, schema }), true) = (schema, with_schema) {
            let wanted = json!({"name": name, "schema": schema, "strict": true});
            body.insert("response_format".into(), json!({"type": "json_schema", "json_schema": wanted}));
        }
        body.extend(extra.iter().map(|(name, value)| (name.clone(), value.clone())));
        Value::Object(body).to_string().into_bytes()
    }

    /// A guess at the tokens of the question, for limits before the server has said more: four bytes a token, 768 tokens an image.
    pub(crate) fn guessed_tokens(&self) -> f64 {
        let parts = self.messages.iter().flat_map(|message| &message.parts);
        parts
            .map(|part| match part {
                Part::Text(text) => 4.0 + text.len() as f64 / 4.0,
                Part::Image(_) => 768.0,
            })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_what_was_set_and_nothing_else() {
        let mut request = Request { messages: vec![Message::user("hi")], ..Request::default() };
        let body = String::from_utf8(request.body("m", 0, true)).unwrap();
        assert_eq!(body, r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#);
        request.params = Params {
            temperature: Some(0.5),
            max_tokens: Some(9),
            seed: Some(40),
            schema: Some(Schema { name: "v".into(), schema: json!({"type": "object"}) }),
            extra: [("top_p".to_string(), json!(0.9))].into_iter().collect(),
        };
        let body: Value = serde_json::from_slice(&request.body("m", 2, true)).unwrap();
        assert_eq!(body["seed"], 42);
        assert_eq!(body["max_tokens"], 9);
        assert_eq!(body["top_p"], 0.9);
        assert_eq!(body["response_format"]["json_schema"]["name"], "v");
        let plain: Value = serde_json::from_slice(&request.body("m", 2, false)).unwrap();
        assert!(plain.get("response_format").is_none());
    }

    #[test]
    fn images_go_as_data_or_as_addresses() {
        let image = Image::Bytes { media: "image/png", bytes: Arc::from([0u8, 255, 16]) };
        let message =
            Message::user("what?").with_image(image).with_image(Image::Url("http://x/y.jpg".into()));
        let body = Request { messages: vec![message], ..Request::default() }.body("m", 0, true);
        let body: Value = serde_json::from_slice(&body).unwrap();
        let parts = &body["messages"][0]["content"];
        assert_eq!(parts[0], json!({"type": "text", "text": "what?"}));
        assert_eq!(parts[1]["image_url"]["url"], "data:image/png;base64,AP8Q");
        assert_eq!(parts[2]["image_url"]["url"], "http://x/y.jpg");
    }
}
