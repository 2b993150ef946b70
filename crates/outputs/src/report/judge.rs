//! What a `judge` step adds: who judged by which prompt, how many clusters and rows got which verdict, what the calls took, and a card for
//! each cluster with its verdict, reason and nearest captions. All of these texts are from models and from the web: text, never markup.
use std::collections::BTreeMap;

use cribble_core::{ChatUsage, ClusterVerdict, JudgeDetails};
use maud::{Markup, html};

use super::format::{by_count, clip, count, counted, percent, seconds, shorten};
use super::funnel::sum;
use super::table::{MOST_ROWS, Table};

/// The tiles, the verdicts and the clusters.
pub fn render(details: &JudgeDetails) -> Markup {
    let clusters = sum(details.clusters.values());
    html! {
        dl.tiles {
            div {
                dt { "judge" } dd { (clip(&details.by, 60)) }
                @if !details.prompt.is_empty() { p { "prompt " (clip(&details.prompt, 60)) } }
            }
            div {
                dt { "clusters judged" } dd { (count(clusters)) }
                @if details.votes > 1 { p { (count(details.votes)) " votes each" } }
            }
            @if details.decided > 0 {
                div { dt { "decided by a person" } dd { (count(details.decided)) } p { "whatever the judge said" } }
            }
        }
        @if let Some(usage) = &details.usage { (calls(usage)) }
        (verdicts(&details.clusters, &details.rows))
        (cards(&details.verdicts))
    }
}

/// What calls took, for every step that makes some.
pub fn calls(usage: &ChatUsage) -> Markup {
    html! {
        dl.tiles {
            div {
                dt { "answers" } dd { (count(usage.answered + usage.cached)) }
                p { (count(usage.cached)) " were known before" }
            }
            div { dt { "calls" } dd { (count(usage.calls)) } p { (count(usage.retries)) " retries, " (count(usage.failed)) " given up" } }
            div { dt { "tokens" } dd { (count(usage.input_tokens + usage.output_tokens)) } p { (count(usage.output_tokens)) " of them answered" } }
            @if usage.answered > 0 {
                div { dt { "a call" } dd { (seconds(usage.p50_seconds)) } p { "95 of 100 within " (seconds(usage.p95_seconds)) } }
            }
            @if usage.cost > 0.0 { div { dt { "cost" } dd { (format!("{:.4}", usage.cost)) } p { "by the prices of the recipe" } } }
        }
    }
}

fn verdicts(clusters: &BTreeMap<String, u64>, rows: &BTreeMap<String, u64>) -> Markup {
    let (all_clusters, all_rows) = (sum(clusters.values()), sum(rows.values()));
    let order = by_count(clusters);
    let table = Table::new(
        "Verdicts",
        &["verdict", "clusters", "share", "rows", "share"],
        order.iter(),
        |(verdict, number)| {
            let rows = rows.get(*verdict).copied().unwrap_or(0);
            vec![
                clip(verdict, 40),
                count(*number),
                percent(*number, all_clusters),
                count(rows),
                percent(rows, all_rows),
            ]
        },
    );
    html! { @if !clusters.is_empty() { h3 { "Verdicts" } (table.render()) } }
}

fn cards(verdicts: &[ClusterVerdict]) -> Markup {
    let mut order: Vec<&ClusterVerdict> = verdicts.iter().collect();
    // What went is what a reader wants to check first.
    order.sort_by_key(|one| (one.keep, std::cmp::Reverse(one.size), one.cluster));
    html! {
        @if !verdicts.is_empty() {
            details.fold {
                summary { "What was said of each cluster, those that went first" }
                ul.clusters { @for one in order.iter().take(MOST_ROWS) { (card(one)) } }
                @if order.len() > MOST_ROWS {
                    p.small { "… and " (counted((order.len() - MOST_ROWS) as u64, "more cluster", "more clusters")) " in verdicts.parquet" }
                }
            }
        }
    }
}

fn card(one: &ClusterVerdict) -> Markup {
    let title = if one.title.is_empty() { "no title" } else { &one.title };
    html! {
        li.card.gone[!one.keep] {
            p { b { bdi { (shorten(title, 80)) } } @if !one.category.is_empty() { " · " bdi { (shorten(&one.category, 40)) } } }
            p.small {
                (if one.keep { "kept" } else { "dropped" }) " · " (clip(&one.verdict, 40))
                @if one.agreement > 0.0 && one.agreement < 1.0 { (format!(" by {:.0}% of votes", one.agreement * 100.0)) }
                " · cluster " (one.cluster) " · " (counted(one.size, "row", "rows"))
            }
            @if let Some(by) = &one.decided_by { p { b { bdi { (shorten(by, 200)) } } } }
            @if !one.reason.is_empty() { p { bdi { (shorten(&one.reason, 300)) } } }
            @if !one.flags.is_empty() { p.small { "flags: " bdi { (shorten(&one.flags.join(", "), 200)) } } }
            @if !one.nearest.is_empty() {
                ul.nearest { @for caption in &one.nearest { li { bdi { (shorten(caption, 160)) } } } }
            }
        }
    }
}
