//! How much of what was planted was found, for pools of known truth. The value comes as JSON from whoever knows the truth; it is drawn by
//! its shape, not by its names, so that the page needs no knowledge of the demo:
//!
//! - a list of objects is a table with a line for each (`[{"kind": "byte_copy", "planted": 100, "reached": 96, "found": 95}, …]`);
//! - an object whose values are all objects is a table with its keys as the first column;
//! - any other object is drawn member by member: plain values as tiles, lists and objects under their name, as above (this is the shape
//!   of the demo's `PlantedScore`: `rows`, `kept`, `kinds`, `groups`, `false_positives`).
//!
//! Where a line has `planted` and `found`, a last column shows their ratio.
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::format::{clip, count, number, percent, shorten};
use super::table::Table;

/// Objects inside objects are drawn to this depth; deeper ones as text.
const DEEPEST: usize = 3;

/// The section.
pub fn render(planted: &Value) -> Markup {
    html! {
        section #planted {
            h2 { "Planted and found" }
            p.lead { "The truth about this pool is known, so the run can be judged by it." }
            (draw("What was planted", planted, 0))
        }
    }
}

fn draw(name: &str, value: &Value, depth: usize) -> Markup {
    match value {
        Value::Array(lines) if !lines.is_empty() && lines.iter().all(Value::is_object) => {
            table(name, lines.iter().filter_map(Value::as_object).map(|line| (None, line)).collect())
        }
        Value::Object(members) if !members.is_empty() && members.values().all(Value::is_object) => {
            let lines =
                members.iter().filter_map(|(key, line)| Some((Some(key.as_str()), line.as_object()?)));
            table(name, lines.collect())
        }
        Value::Object(members) if depth < DEEPEST => object(members, depth),
        other => html! { p { (words(other)) } },
    }
}

fn object(members: &Map<String, Value>, depth: usize) -> Markup {
    let is_plain = |value: &Value| {
        !value.is_object() && !value.as_array().is_some_and(|list| list.iter().any(Value::is_object))
    };
    html! {
        @if members.values().any(is_plain) {
            dl.tiles {
                @for (key, value) in members.iter().filter(|(_, value)| is_plain(value)) {
                    div { dt { (plain(key)) } dd { (words(value)) } }
                }
            }
        }
        @for (key, value) in members.iter().filter(|(_, value)| !is_plain(value)) {
            h3 { (plain(key)) }
            (draw(&plain(key), value, depth + 1))
        }
    }
}

/// Lines with the union of their members as columns, in the order in which they are first seen.
fn table(name: &str, lines: Vec<(Option<&str>, &Map<String, Value>)>) -> Markup {
    let mut columns: Vec<&str> = Vec::new();
    for key in lines.iter().flat_map(|(_, line)| line.keys()) {
        if columns.len() < 16 && !columns.contains(&key.as_str()) {
            columns.push(key);
        }
    }
    let with_key = lines.iter().any(|(key, _)| key.is_some());
    let with_share = columns.contains(&"planted") && columns.contains(&"found");
    let mut heads: Vec<String> = with_key.then(|| "kind".to_owned()).into_iter().collect();
    heads.extend(columns.iter().map(|column| plain(column)));
    if with_share {
        heads.push("found, of planted".to_owned());
    }
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let table = Table::new(name, &heads, lines.iter(), |(key, line)| {
        let mut cells: Vec<String> = with_key.then(|| plain(key.unwrap_or(""))).into_iter().collect();
        cells.extend(columns.iter().enumerate().map(|(place, column)| match line.get(*column) {
            // The first cell names the line: a key such as `byte_copy` reads better as words.
            Some(Value::String(text)) if place == 0 && !with_key => plain(text),
            Some(value) => words(value),
            None => String::new(),
        }));
        if with_share {
            let figure = |name: &str| line.get(name).and_then(Value::as_u64);
            cells.push(match (figure("found"), figure("planted")) {
                (Some(found), Some(planted)) => percent(found, planted),
                _ => String::new(),
            });
        }
        cells
    });
    table.render()
}

fn plain(key: &str) -> String {
    clip(&key.replace('_', " "), 80)
}

/// A value in words: lists by commas, pairs of a text and a number as "text number".
fn words(value: &Value) -> String {
    let text = match value {
        Value::Null => super::format::DASH.to_owned(),
        Value::Bool(truth) => if *truth { "yes" } else { "no" }.to_owned(),
        Value::Number(figure) => match figure.as_u64() {
            Some(whole) => count(whole),
            None => number(figure.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => text.clone(),
        Value::Array(list) => match list.as_slice() {
            [Value::String(name), figure @ Value::Number(_)] => format!("{name} {}", words(figure)),
            list => list.iter().take(50).map(words).collect::<Vec<_>>().join(", "),
        },
        Value::Object(_) => value.to_string(),
    };
    shorten(&text, 400)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_shape_of_the_demo_is_drawn_whole() {
        let page = render(&json!({
            "rows": 20000, "kept": 4812,
            "kinds": [{"kind": "byte_copy", "planted": 400, "reached": 380, "found": 380, "dropped_by": [["02-dedup", 380], ["01-filter", 20]]}],
            "groups": {"planted": 900, "one_kept": 850},
            "false_positives": {"reached": 9000, "dropped": 12},
        }))
        .into_string();
        for part in [
            "20,000",
            "4,812",
            "byte copy",
            "380",
            "95.0%",
            "02-dedup 380, 01-filter 20",
            "850",
            "false positives",
            "9,000",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
    }

    #[test]
    fn other_shapes_are_drawn_too() {
        let by_kind =
            render(&json!({"byte_copy": {"planted": 3, "found": 1}, "crop": {"planted": 0, "found": 0}}))
                .into_string();
        assert!(by_kind.contains("33.3%") && by_kind.contains("byte copy") && by_kind.contains("–"));
        for odd in [
            json!(null),
            json!([]),
            json!({}),
            json!(3.5),
            json!("<b>"),
            json!([1, [2, "<i>"]]),
            json!({"a": {"b": {"c": {"d": {"e": 1}}}}}),
        ] {
            let page = render(&odd).into_string();
            assert!(!page.contains("<b>") && !page.contains("<i>"));
        }
    }
}
