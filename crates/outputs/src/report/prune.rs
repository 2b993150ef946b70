//! What a `prune` step adds: what each cluster had and what it may keep, how even the kept rows are spread, and every size that was asked
//! for with its subset file.
use cribble_core::{PruneDetails, QuotaFigures};
use maud::{Markup, html};

use super::axis::{Axis, Write};
use super::chart::{self, Chart};
use super::format::{clip, count, number, percent, share};
use super::funnel::sum;
use super::spread::{MOST_MARKS, places, runs};
use super::table::Table;

/// Points of a Lorenz curve.
const LORENZ_POINTS: usize = 200;

/// The figures, the targets and the charts.
pub fn render(details: &PruneDetails) -> Markup {
    let mut quotas: Vec<(usize, QuotaFigures)> = details.quotas.iter().copied().enumerate().collect();
    quotas.sort_by(|a, b| b.1.size.cmp(&a.1.size).then(a.0.cmp(&b.0)));
    let (had, keeps) =
        (gini(quotas.iter().map(|(_, quota)| quota.size)), gini(quotas.iter().map(|(_, quota)| quota.quota)));
    html! {
        dl.tiles {
            div { dt { "method" } dd { (clip(&details.method, 40)) } }
            @if let Some(first) = details.targets.first() {
                div { dt { "target" } dd { (count(first.target)) } p { "asked for as " (clip(&first.label, 40)) } }
            }
            @if quotas.len() > 1 && let (Some(had), Some(keeps)) = (had, keeps) {
                div { dt { "Gini of cluster sizes" } dd { (format!("{had:.3} → {keeps:.3}")) } p { "0 is perfectly even" } }
            }
            @let empty = quotas.iter().filter(|(_, quota)| quota.quota == 0 && quota.size > 0).count() as u64;
            @if !quotas.is_empty() { div { dt { "clusters that keep nothing" } dd { (count(empty)) } p { "of " (count(quotas.len() as u64)) } } }
        }
        (targets(details))
        @if !quotas.is_empty() {
            div.charts.three {
                (sizes(&quotas))
                @if quotas.len() > 1 { (shares(&quotas)) (lorenz(&quotas, had, keeps)) }
            }
            (table(&quotas).folded())
        }
    }
}

fn targets(details: &PruneDetails) -> Markup {
    let heads = ["asked for", "target", "kept", "water level λ", "subset file"];
    let table = Table::new("Sizes that were asked for", &heads, details.targets.iter(), |target| {
        vec![
            clip(&target.label, 60),
            count(target.target),
            count(target.kept),
            number(target.lambda),
            clip(&target.subset, 120),
        ]
    });
    html! {
        @if !details.targets.is_empty() {
            h3 { "Sizes and subsets" }
            (table.render())
            @if details.targets.len() > 1 { p.small { "The verdicts of this run follow the first line." } }
        }
    }
}

/// Totals of a run of clusters, for one column of a chart.
struct Column {
    clusters: usize,
    first: usize,
    size: u64,
    quota: u64,
}

fn columns(quotas: &[(usize, QuotaFigures)]) -> Vec<Column> {
    let column = |run: std::ops::Range<usize>| {
        let part = &quotas[run.clone()];
        Column {
            clusters: part.len(),
            first: part.first().map_or(0, |(cluster, _)| *cluster),
            size: sum(part.iter().map(|(_, quota)| &quota.size)),
            quota: sum(part.iter().map(|(_, quota)| &quota.quota)),
        }
    };
    runs(quotas.len(), MOST_MARKS).into_iter().map(column).collect()
}

fn tips(columns: &[Column]) -> Vec<String> {
    let of = |column: &Column| {
        let keeps = format!(
            "keeps {} of {} rows ({})",
            count(column.quota),
            count(column.size),
            percent(column.quota, column.size)
        );
        match column.clusters {
            1 => format!("cluster {} {keeps}", column.first),
            many => format!("{many} clusters of like size: {keeps}"),
        }
    };
    columns.iter().map(of).collect()
}

/// Says that marks stand for several clusters each, where they do.
fn binned(columns: &[Column], clusters: usize, marks: &str) -> String {
    if columns.len() < clusters {
        format!(
            " {} clusters are drawn as {} {marks}, neighbours in size put together.",
            count(clusters as u64),
            columns.len()
        )
    } else {
        String::new()
    }
}

fn sizes(quotas: &[(usize, QuotaFigures)]) -> Markup {
    let columns = columns(quotas);
    let largest = quotas.iter().map(|(_, quota)| quota.size.max(quota.quota)).max().unwrap_or(1);
    let y = Axis::log_counts("rows in the cluster", largest);
    let x = Axis::places("clusters, the largest first", quotas.len());
    let mean = |total: u64, column: &Column| y.place(total as f64 / column.clusters.max(1) as f64);
    let had: Vec<f64> = columns.iter().filter_map(|column| mean(column.size, column)).collect();
    let keeps: Vec<f64> = columns.iter().filter_map(|column| mean(column.quota, column)).collect();
    let (total, kept) =
        (sum(quotas.iter().map(|(_, quota)| &quota.size)), sum(quotas.iter().map(|(_, quota)| &quota.quota)));
    Chart {
        title: "What each cluster had, and what it keeps".into(),
        lead: format!(
            "Solid: kept. Between it and the dashed line: dropped.{}",
            binned(&columns, quotas.len(), "columns")
        ),
        spoken: format!(
            "{} clusters keep {} of {} rows together.",
            count(quotas.len() as u64),
            count(kept),
            count(total)
        ),
        x,
        y,
        marks: vec![
            chart::area("dropped faint", &chart::stairs(&had)),
            chart::area("kept", &chart::stairs(&keeps)),
            chart::line("dropped dashed", &chart::stairs(&had)),
            chart::strips(&tips(&columns)),
        ],
        labels: Vec::new(),
        figures: html! {
            p.legend { span { i.swatch.kept {} "keeps" } span { i.swatch.line-dashed {} "had" } }
        },
    }
    .render()
}

fn shares(quotas: &[(usize, QuotaFigures)]) -> Markup {
    let columns = columns(quotas);
    let y = Axis::linear("kept, of the cluster's rows", [0.0, 1.0], 4, Write::Percent);
    let x = Axis::places("clusters, the largest first", quotas.len());
    let width = 1.0 / columns.len().max(1) as f64;
    let middle = |place: usize| (place as f64 + 0.5) * width;
    let dots = columns.iter().enumerate().filter(|(_, column)| column.size > 0);
    let dots: Vec<Markup> = dots
        .map(|(place, column)| chart::dot("kept", (middle(place), share(column.quota, column.size)), 6.0, ""))
        .collect();
    let (total, kept) =
        (sum(quotas.iter().map(|(_, quota)| &quota.size)), sum(quotas.iter().map(|(_, quota)| &quota.quota)));
    let mean = share(kept, total);
    let mut marks = dots;
    marks.push(chart::line("halo", &[(0.0, mean), (1.0, mean)]));
    marks.push(chart::line("marker strong", &[(0.0, mean), (1.0, mean)]));
    marks.push(chart::strips(&tips(&columns)));
    Chart {
        title: "Share that each cluster keeps".into(),
        lead: format!(
            "The line marks all together: {}.{}",
            percent(kept, total),
            binned(&columns, quotas.len(), "dots")
        ),
        spoken: format!("All clusters together keep {}.", percent(kept, total)),
        x,
        y,
        marks,
        labels: Vec::new(),
        figures: html! {},
    }
    .render()
}

/// Gini's coefficient of counts, 0 (all equal) to 1 − 1/n (one has all); `None` where nothing is there to share.
fn gini(counts: impl Iterator<Item = u64>) -> Option<f64> {
    let mut sorted: Vec<u64> = counts.collect();
    sorted.sort_unstable();
    let total: f64 = sorted.iter().map(|value| *value as f64).sum();
    if total <= 0.0 {
        return None;
    }
    let (n, weighted) = (
        sorted.len() as f64,
        sorted.iter().zip(1u64..).map(|(value, rank)| rank as f64 * *value as f64).sum::<f64>(),
    );
    Some((2.0 * weighted / (n * total) - (n + 1.0) / n).clamp(0.0, 1.0))
}

/// Points of the Lorenz curve: share of clusters, the smallest first, against the share of rows that they hold.
fn lorenz_points(counts: impl Iterator<Item = u64>) -> Vec<(f64, f64)> {
    let mut sorted: Vec<u64> = counts.collect();
    sorted.sort_unstable();
    let total: f64 = sorted.iter().map(|value| *value as f64).sum();
    let mut running = 0.0;
    let mut all = vec![(0.0, 0.0)];
    for (place, value) in sorted.iter().enumerate() {
        running += *value as f64;
        all.push(((place + 1) as f64 / sorted.len() as f64, if total > 0.0 { running / total } else { 0.0 }));
    }
    places(all.len(), LORENZ_POINTS).into_iter().map(|place| all[place]).collect()
}

fn lorenz(quotas: &[(usize, QuotaFigures)], had: Option<f64>, keeps: Option<f64>) -> Markup {
    let before = lorenz_points(quotas.iter().map(|(_, quota)| quota.size));
    let after = lorenz_points(quotas.iter().map(|(_, quota)| quota.quota));
    let written =
        |gini: Option<f64>| gini.map_or_else(|| super::format::DASH.to_owned(), |gini| format!("{gini:.3}"));
    Chart {
        title: "How evenly the rows are spread".into(),
        lead: "Lorenz curves: on the diagonal every cluster would hold as many rows.".into(),
        spoken: format!("Gini coefficient {} before and {} after.", written(had), written(keeps)),
        x: Axis::linear("share of clusters, the smallest first", [0.0, 1.0], 4, Write::Percent),
        y: Axis::linear("share of rows", [0.0, 1.0], 4, Write::Percent),
        marks: vec![
            chart::line("marker", &[(0.0, 0.0), (1.0, 1.0)]),
            chart::line("dropped dashed", &before),
            chart::line("kept", &after),
        ],
        labels: Vec::new(),
        figures: html! {
            p.legend {
                span { i.swatch.line-dashed {} "before, Gini " b { (written(had)) } }
                span { i.swatch.line-solid {} "after, Gini " b { (written(keeps)) } }
            }
        },
    }
    .render()
}

fn table(quotas: &[(usize, QuotaFigures)]) -> Table {
    let heads = ["cluster", "had", "keeps", "of its rows", "share of the target before bounds"];
    Table::new("Quotas, the largest cluster first", &heads, quotas.iter(), |(cluster, quota)| {
        vec![
            cluster.to_string(),
            count(quota.size),
            count(quota.quota),
            percent(quota.quota, quota.size),
            if quota.share.is_finite() {
                format!("{}%", number(quota.share * 100.0))
            } else {
                number(f64::NAN)
            },
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gini_of_known_distributions() {
        assert_eq!(gini([5, 5, 5, 5].into_iter()), Some(0.0));
        assert_eq!(gini([0, 0, 0, 8].into_iter()), Some(0.75));
        assert_eq!(gini([1, 2, 3].into_iter()).map(|gini| (gini * 9.0).round()), Some(2.0));
        assert_eq!([gini([].into_iter()), gini([0, 0].into_iter())], [None, None]);
    }

    #[test]
    fn lorenz_curves_run_from_corner_to_corner() {
        let points = lorenz_points([3, 1, 0].into_iter());
        assert_eq!(points, [(0.0, 0.0), (1.0 / 3.0, 0.0), (2.0 / 3.0, 0.25), (1.0, 1.0)]);
        let many = lorenz_points((0..50_000).map(|value| value % 97));
        assert_eq!((many.len(), many[0], many[LORENZ_POINTS - 1]), (LORENZ_POINTS, (0.0, 0.0), (1.0, 1.0)));
    }

    #[test]
    fn many_clusters_become_few_columns_that_add_up() {
        let quotas: Vec<(usize, QuotaFigures)> =
            (0..50_000).map(|cluster| (cluster, QuotaFigures { size: 7, share: 0.1, quota: 2 })).collect();
        let columns = columns(&quotas);
        assert_eq!(columns.len(), MOST_MARKS);
        assert_eq!(columns.iter().map(|column| column.size).sum::<u64>(), 350_000);
        assert_eq!(columns.iter().map(|column| column.quota).sum::<u64>(), 100_000);
    }
}
