//! A small reader of our own pages: every element closed in order, every attribute collected. Enough to prove that no text became markup
//! and that nothing outside the file is named; no general parser.
use std::collections::BTreeSet;

const VOID: [&str; 5] = ["meta", "link", "img", "input", "br"];

/// What a page consists of.
#[derive(Default)]
pub struct Page {
    /// Names of its elements.
    pub elements: BTreeSet<String>,
    /// Attributes as (element, name, value as written).
    pub attributes: Vec<(String, String, String)>,
    /// Text between elements, without style and script.
    pub text: String,
}

/// Reads a page; panics where elements do not close in order or an attribute is not quoted.
pub fn read(html: &str) -> Page {
    let mut page = Page::default();
    let mut open: Vec<String> = Vec::new();
    let mut rest = html.strip_prefix("<!DOCTYPE html>").expect("a document type");
    while let Some(start) = rest.find('<') {
        page.text.push_str(&rest[..start]);
        rest = &rest[start + 1..];
        if let Some(closing) = rest.strip_prefix('/') {
            let end = closing.find('>').expect("an end of a closing tag");
            assert_eq!(open.pop().as_deref(), Some(&closing[..end]), "closes in order");
            rest = &closing[end + 1..];
            continue;
        }
        let end = rest.find([' ', '>']).expect("an end of a name");
        let name = rest[..end].to_owned();
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "<{name}");
        rest = &rest[end..];
        while let Some(attribute) = rest.strip_prefix(' ') {
            let end = attribute.find(['=', ' ', '>']).expect("an end of an attribute's name");
            let key = attribute[..end].to_owned();
            rest = &attribute[end..];
            let mut value = String::new();
            if let Some(quoted) = rest.strip_prefix("=\"") {
                let end = quoted.find('"').expect("a closing quote");
                value = quoted[..end].to_owned();
                rest = &quoted[end + 1..];
            } else {
                assert!(!rest.starts_with('='), "{key} is not quoted");
            }
            page.attributes.push((name.clone(), key, value));
        }
        rest = rest.strip_prefix('>').expect("an end of an opening tag");
        page.elements.insert(name.clone());
        if name == "style" || name == "script" {
            let close = format!("</{name}>");
            rest = &rest[rest.find(&close).expect("an end of style or script") + close.len()..];
        } else if !VOID.contains(&name.as_str()) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
    assert!(rest.trim().is_empty());
    page
}

/// Panics where a page names something outside itself.
pub fn assert_offline(page: &Page) {
    for (element, name, value) in &page.attributes {
        match name.as_str() {
            "href" => assert!(value.starts_with('#') || value == "data:,", "{element} {name} {value}"),
            "src" => assert!(value.starts_with("data:image/"), "{element} {name} {value}"),
            "style" => assert!(!value.contains("url("), "{value}"),
            _ => assert!(
                !["srcset", "action", "formaction", "data", "poster", "background", "ping"]
                    .contains(&name.as_str()),
                "{name}"
            ),
        }
        assert!(!name.starts_with("on"), "{element} {name}: no handlers in attributes");
    }
    for element in ["iframe", "object", "embed", "base", "form", "audio", "video"] {
        assert!(!page.elements.contains(element), "{element}");
    }
}
