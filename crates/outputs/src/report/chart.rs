//! A chart: a plot of SVG that stretches with the page, and axes of HTML around it. Text inside a stretched SVG would stretch too, and
//! shrink to nothing on a telephone; so SVG draws only geometry (lines keep their width, dots stay round: they are lines of no length with
//! round ends) and every word is HTML. Each mark carries a `<title>`, each chart a sentence for screen readers and a table of its figures.
use std::fmt::Write;

use maud::{Markup, PreEscaped, html};

use super::axis::Axis;

/// A word inside the plot.
pub struct Label {
    /// From left to right, 0 to 1.
    pub x: f64,
    /// From bottom to top, 0 to 1.
    pub y: f64,
    /// What it says.
    pub text: String,
    /// A class for its look: `mark-kept`, `mark-dropped`, `mark-plain`.
    pub class: &'static str,
}

/// Everything that one chart shows.
pub struct Chart {
    /// A few words.
    pub title: String,
    /// One or two sentences that say what to see.
    pub lead: String,
    /// What the picture says, for those who do not see it.
    pub spoken: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// Geometry, from the functions of this module.
    pub marks: Vec<Markup>,
    /// Words inside the plot.
    pub labels: Vec<Label>,
    /// The figures as a table.
    pub figures: Markup,
}

impl Chart {
    /// The chart as a `figure`.
    pub fn render(&self) -> Markup {
        let widest = self.y.ticks.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(0);
        html! {
            figure.chart {
                figcaption {
                    h4 { (self.title) }
                    @if !self.lead.is_empty() { p { (self.lead) } }
                }
                div.y-label aria-hidden="true" { (self.y.label) }
                div.plot style={ "--ticks:" (widest.clamp(2, 12)) "ch" } {
                    div.y-ticks aria-hidden="true" {
                        @for (place, label) in &self.y.ticks { span style={ "bottom:" (percent(*place)) } { (label) } }
                    }
                    div.area {
                        svg viewBox="0 0 1000 1000" preserveAspectRatio="none" role="img" aria-label=(self.spoken) {
                            @for (place, _) in &self.y.ticks { (line("grid", &[(0.0, *place), (1.0, *place)])) }
                            @for mark in &self.marks { (mark) }
                        }
                        @for label in &self.labels { (place_label(label)) }
                    }
                    div.x-ticks aria-hidden="true" {
                        @for (place, label) in &self.x.ticks {
                            span.first[*place < 0.03].last[*place > 0.97] style={ "left:" (percent(*place)) } { (label) }
                        }
                    }
                    div.x-label aria-hidden="true" { (self.x.label) }
                }
                div.below { (self.figures) }
            }
        }
    }
}

/// Labels stand above and to the right of their point. Where the right edge is near (on a telephone a label is half a plot wide) they
/// stand to its left and below: the lines that carry labels fall from left to right, so that corner is free.
fn place_label(label: &Label) -> Markup {
    let left = label.x > 0.45;
    let below = label.y > 0.82 || (left && label.y > 0.2);
    html! {
        span class={ "label " (label.class) @if left { " left" } @if below { " below" } }
            style={ @if left { "right:" (percent(1.0 - label.x)) } @else { "left:" (percent(label.x)) } ";bottom:" (percent(label.y)) } {
            (label.text)
        }
    }
}

fn percent(place: f64) -> String {
    format!("{}%", short(place.clamp(0.0, 1.0) * 100.0))
}

/// Two decimals at most: the plot is a thousand units wide.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn point((x, y): (f64, f64)) -> String {
    format!("{} {}", short(x.clamp(0.0, 1.0) * 1000.0), short((1.0 - y.clamp(0.0, 1.0)) * 1000.0))
}

fn path_of(points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (place, at) in points.iter().enumerate() {
        write!(path, "{}{}", if place == 0 { "M" } else { "L" }, point(*at)).ok();
    }
    path
}

/// A line through points (x, y between 0 and 1, y upwards).
pub fn line(class: &str, points: &[(f64, f64)]) -> Markup {
    html! { path class={ "line " (class) } d=(path_of(points)) {} }
}

/// The area between a line and the bottom; nothing for no points.
pub fn area(class: &str, points: &[(f64, f64)]) -> Markup {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return PreEscaped(String::new());
    };
    let closed: Vec<(f64, f64)> =
        std::iter::once((first.0, 0.0)).chain(points.iter().copied()).chain([(last.0, 0.0)]).collect();
    html! { path class={ "area-fill " (class) } d={ (path_of(&closed)) "Z" } {} }
}

/// Corners of a row of equally wide steps with these heights, from left to right.
pub fn stairs(heights: &[f64]) -> Vec<(f64, f64)> {
    let width = 1.0 / heights.len().max(1) as f64;
    let corners = heights.iter().enumerate();
    corners
        .flat_map(|(place, height)| [(place as f64 * width, *height), ((place + 1) as f64 * width, *height)])
        .collect()
}

/// A dot of `size` pixels that tells `tip`, if there is one.
pub fn dot(class: &str, at: (f64, f64), size: f64, tip: &str) -> Markup {
    html! {
        path class={ "dot " (class) } d={ "M" (point(at)) "h0" } stroke-width=(short(size)) { @if !tip.is_empty() { title { (tip) } } }
    }
}

/// The point that was chosen: a ring, so that it differs from other points by shape.
pub fn ring(at: (f64, f64), tip: &str) -> Markup {
    html! { (dot("chosen", at, 15.0, tip)) (dot("hole", at, 9.0, tip)) }
}

/// Invisible strips over a row of `tips.len()` equally wide columns: what the pointer finds.
pub fn strips(tips: &[String]) -> Markup {
    let width = 1000.0 / tips.len().max(1) as f64;
    html! {
        g.strips {
            @for (place, tip) in tips.iter().enumerate() {
                rect x=(short(place as f64 * width)) y="0" width=(short(width)) height="1000" { title { (tip) } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::axis::Write as Tick;

    #[test]
    fn geometry_is_flipped_and_short() {
        assert_eq!(path_of(&[(0.0, 0.0), (0.5, 1.0), (1.0 / 3.0, 0.25)]), "M0 1000L500 0L333.33 750");
        assert_eq!(stairs(&[0.2, 0.4]), [(0.0, 0.2), (0.5, 0.2), (0.5, 0.4), (1.0, 0.4)]);
        assert_eq!(area("kept", &[]).into_string(), "");
    }

    #[test]
    fn every_word_of_a_chart_is_escaped() {
        let axis = Axis::linear("<x>", [0.0, 1.0], 2, Tick::Number);
        let chart = Chart {
            title: "<t>".into(),
            lead: "<l>".into(),
            spoken: "\"><script>".into(),
            x: axis.clone(),
            y: axis,
            marks: vec![dot("kept", (0.5, 0.5), 4.0, "<tip>"), strips(&["<strip>".to_owned()])],
            labels: vec![Label { x: 0.1, y: 0.1, text: "<label>".into(), class: "mark-kept" }],
            figures: html! {},
        };
        let text = chart.render().into_string();
        for raw in ["<x>", "<t>", "<l>", "<script>", "<tip>", "<strip>", "<label>"] {
            assert!(!text.contains(raw), "{raw} in {text}");
        }
        assert!(text.contains("&lt;tip&gt;"));
    }
}
