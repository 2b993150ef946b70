//! What an `embed` step adds: which model made the vectors, what could not be read whole, and how well captions and images agree.
use cribble_core::EmbedDetails;
use maud::{Markup, html};

use super::axis::{Axis, Write};
use super::chart::{self, Chart};
use super::format::{clip, count, percent};
use super::funnel::sum;

/// The figures and the distribution of the scores.
pub fn render(details: &EmbedDetails) -> Markup {
    let word = |key: &str| details.model.get(key).and_then(|value| value.as_str()).unwrap_or("unknown");
    html! {
        dl.tiles {
            div { dt { "model" } dd { (clip(word("name"), 60)) } p { (clip(word("family"), 20)) ", products in " (clip(word("dtype"), 10)) } }
            div { dt { "numbers in a vector" } dd { (count(details.dim)) } p { (clip(&details.embeddings.join(", "), 80)) } }
            @if details.images > 0 { div { dt { "images" } dd { (count(details.images)) } } }
            @if details.texts > 0 {
                div {
                    dt { "captions" } dd { (count(details.texts)) }
                    p { (count(details.captions_cut)) " cut to the context (" (percent(details.captions_cut, details.texts)) ")" }
                }
            }
            @if let Some(mean) = details.mean_score {
                div { dt { "mean cosine" } dd { (format!("{mean:.3}")) } p { "of image and caption" } }
            }
        }
        @if let Some(chart) = scores(&details.scores) { (chart) }
        p.small { "hash of the checkpoint: " code { (clip(word("hash"), 80)) } }
    }
}

/// The rows by cosine, from the first bin that has any to the last.
fn scores(bins: &[u64]) -> Option<Markup> {
    let first = bins.iter().position(|&rows| rows > 0)?;
    let last = bins.iter().rposition(|&rows| rows > 0)?;
    let width = 2.0 / bins.len() as f64;
    let edge = |bin: usize| bin as f64 * width - 1.0;
    let x = Axis::linear("cosine of image and caption", [edge(first), edge(last + 1)], 8, Write::Number);
    let largest = bins.iter().copied().max().unwrap_or(1);
    let y = Axis::linear("rows", [0.0, largest as f64], 4, Write::Count);
    let mut stairs = Vec::new();
    for (bin, &rows) in bins.iter().enumerate().take(last + 1).skip(first) {
        let height = y.place(rows as f64)?;
        stairs.extend([(x.place(edge(bin))?, height), (x.place(edge(bin + 1))?, height)]);
    }
    let rows = sum(bins.iter());
    let chart = Chart {
        title: "How well captions fit their images".into(),
        lead: "A threshold on this column drops what lies to its left.".into(),
        spoken: format!(
            "The cosines of {} pairs, between {:.2} and {:.2}.",
            count(rows),
            edge(first),
            edge(last + 1)
        ),
        x,
        y,
        marks: vec![chart::area("kept", &stairs)],
        labels: Vec::new(),
        figures: html! {},
    };
    Some(html! { div.charts { (chart.render()) } })
}
