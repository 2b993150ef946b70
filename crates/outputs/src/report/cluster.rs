//! What a `cluster` step adds: why this k, whether k-means settled, how large the clusters are and how they lie to each other.
use cribble_core::{ClusterDetails, ClusterFigures};
use maud::{Markup, html};

use super::axis::{Axis, Write};
use super::chart::{self, Chart, Label};
use super::format::{count, counted, number, percent};
use super::spread::{MOST_MARKS, places, runs};
use super::table::Table;

/// The figures and the charts.
pub fn render(details: &ClusterDetails) -> Markup {
    html! {
        dl.tiles {
            div { dt { "clusters (k)" } dd { (count(details.k)) } p { (count(details.empty)) " empty" } }
            div {
                dt { "rows trained on" } dd { (count(details.train_rows)) }
                p {
                    @if details.train_rows == details.available_rows { "all of them" }
                    @else { (percent(details.train_rows, details.available_rows)) " of " (count(details.available_rows)) }
                }
            }
            div { dt { "mean similarity to centroid" } dd { (number(details.mean_sim)) } p { "all rows" } }
            div { dt { "dimensions" } dd { (count(details.dim)) } }
        }
        div.charts {
            @if details.elbow.len() > 1 { (elbow(details)) }
            @if details.iterations.len() > 1 { (iterations(details)) }
            @if details.clusters.len() > 1 { (sizes(details)) (scatter(details)) }
        }
        (table(details).folded())
    }
}

fn elbow(details: &ClusterDetails) -> Markup {
    let points = &details.elbow;
    let x = Axis::log("number of clusters k", points.iter().map(|point| point.k as f64));
    let y = Axis::linear(
        "mean distance to centroid",
        points.iter().map(|point| point.mean_dist),
        4,
        Write::Number,
    );
    let mut placed = Vec::new();
    let mut marks = Vec::new();
    let mut labels = Vec::new();
    for place in places(points.len(), MOST_MARKS) {
        let point = &points[place];
        let (Some(left), Some(up)) = (x.place(point.k as f64), y.place(point.mean_dist)) else { continue };
        placed.push((left, up));
        let tip = format!("k = {}: mean distance {}", count(point.k), number(point.mean_dist));
        marks.push(chart::dot("plain", (left, up), 8.0, &tip));
        if point.chosen {
            marks.push(chart::ring((left, up), &tip));
            labels.push(Label {
                x: left,
                y: up,
                text: format!("k = {}, chosen", count(point.k)),
                class: "mark-chosen",
            });
        }
    }
    marks.insert(0, chart::line("plain", &placed));
    let chosen = points.iter().find(|point| point.chosen);
    let figures =
        Table::new("Every k that was tried", &["k", "mean distance", "chosen"], points.iter(), |point| {
            vec![count(point.k), number(point.mean_dist), if point.chosen { "yes" } else { "" }.to_owned()]
        });
    Chart {
        title: "How many clusters".into(),
        lead: "The elbow: more clusters lie tighter, but past the bend they gain little. The ring marks the k that was chosen.".into(),
        spoken: match chosen {
            Some(point) => format!("{} values of k tried, {} chosen with mean distance {}.", points.len(), count(point.k), number(point.mean_dist)),
            None => format!("{} values of k tried.", points.len()),
        },
        x,
        y,
        marks,
        labels,
        figures: figures.folded(),
    }
    .render()
}

fn iterations(details: &ClusterDetails) -> Markup {
    let values = &details.iterations;
    let x = Axis::linear("iteration", [1.0, values.len() as f64], 5, Write::Count);
    let y = Axis::linear("mean similarity", values.iter().copied(), 4, Write::Number);
    let mut placed = Vec::new();
    let mut marks = Vec::new();
    for place in places(values.len(), MOST_MARKS) {
        let (Some(left), Some(up)) = (x.place((place + 1) as f64), y.place(values[place])) else { continue };
        placed.push((left, up));
        let tip = format!("iteration {}: mean similarity {}", place + 1, number(values[place]));
        marks.push(chart::dot("plain", (left, up), if values.len() > 60 { 4.0 } else { 6.0 }, &tip));
    }
    marks.insert(0, chart::line("plain", &placed));
    let first = values.first().copied().unwrap_or(f64::NAN);
    let last = values.last().copied().unwrap_or(f64::NAN);
    let figures = Table::new(
        "Every iteration",
        &["iteration", "mean similarity"],
        values.iter().enumerate(),
        |(place, value)| vec![count(place as u64 + 1), number(*value)],
    );
    Chart {
        title: "Training".into(),
        lead: format!(
            "{}; a flat end means that k-means settled.",
            counted(values.len() as u64, "iteration", "iterations")
        ),
        spoken: format!(
            "Mean similarity goes from {} to {} in {} iterations.",
            number(first),
            number(last),
            values.len()
        ),
        x,
        y,
        marks,
        labels: Vec::new(),
        figures: figures.folded(),
    }
    .render()
}

/// Places of clusters, the largest first, ties by number.
fn by_size(clusters: &[ClusterFigures]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..clusters.len()).collect();
    order.sort_by(|a, b| clusters[*b].size.cmp(&clusters[*a].size).then(a.cmp(b)));
    order
}

fn sizes(details: &ClusterDetails) -> Markup {
    let clusters = &details.clusters;
    let order = by_size(clusters);
    let size = |place: usize| clusters[order[place]].size;
    let (largest, smallest) = (size(0), size(order.len() - 1));
    let median = (size((order.len() - 1) / 2) as f64 + size(order.len() / 2) as f64) / 2.0;
    let y = Axis::log_counts("rows in the cluster", largest);
    let x = Axis::places("clusters, the largest first", clusters.len());
    let columns = runs(order.len(), MOST_MARKS);
    // A run of several clusters is drawn at the size of its middle one: sizes are sorted, so this is its median.
    let middle = |run: &std::ops::Range<usize>| size(run.start + run.len() / 2);
    let heights: Vec<f64> = columns.iter().filter_map(|run| y.place(middle(run) as f64)).collect();
    let tips: Vec<String> = columns
        .iter()
        .map(|run| match run.len() {
            1 => format!("cluster {}: {}", order[run.start], counted(size(run.start), "row", "rows")),
            many => {
                format!("{many} clusters of {} to {} rows", count(size(run.end - 1)), count(size(run.start)))
            }
        })
        .collect();
    let mut lead =
        format!("Largest {}, median {}, smallest {}.", count(largest), number(median), count(smallest));
    if columns.len() < order.len() {
        lead.push_str(&format!(" Drawn as {} columns, each at the median of its clusters.", columns.len()));
    }
    Chart {
        title: "Cluster sizes".into(),
        spoken: format!("{} clusters. {lead}", count(clusters.len() as u64)),
        lead,
        x,
        y,
        marks: vec![chart::area("plain", &chart::stairs(&heights)), chart::strips(&tips)],
        labels: Vec::new(),
        figures: html! {},
    }
    .render()
}

fn scatter(details: &ClusterDetails) -> Markup {
    let clusters = &details.clusters;
    let order = by_size(clusters);
    let largest = order.first().map_or(1, |first| clusters[*first].size).max(1) as f64;
    let x = Axis::linear(
        "d_intra: mean distance of its rows to the centroid",
        clusters.iter().map(|one| one.d_intra),
        5,
        Write::Number,
    );
    let y = Axis::linear(
        "d_inter: distance to neighbouring centroids",
        clusters.iter().map(|one| one.d_inter),
        4,
        Write::Number,
    );
    let shown = places(order.len(), MOST_MARKS);
    let mut marks = Vec::new();
    let mut without = 0u64;
    for place in &shown {
        let (number_of, one) = (order[*place], &clusters[order[*place]]);
        let (Some(left), Some(up)) = (x.place(one.d_intra), y.place(one.d_inter)) else {
            without += 1;
            continue;
        };
        let tip = format!(
            "cluster {number_of}: {}, d_intra {}, d_inter {}, complexity {}",
            counted(one.size, "row", "rows"),
            number(one.d_intra),
            number(one.d_inter),
            number(one.complexity)
        );
        // The area of a dot stands for the size.
        marks.push(chart::dot("bubble", (left, up), 4.0 + 18.0 * (one.size as f64 / largest).sqrt(), &tip));
    }
    let mut lead = String::from(
        "To the right loose clusters, above them lonely ones; both together make a cluster complex. Large dots hold many rows.",
    );
    if shown.len() < order.len() {
        lead.push_str(&format!(
            " {} of {} clusters are drawn, evenly spread over the sizes.",
            count(shown.len() as u64),
            count(order.len() as u64)
        ));
    }
    if without > 0 {
        lead.push_str(&format!(
            " {} without a defined distance.",
            counted(without, "cluster is left out,", "clusters are left out,")
        ));
    }
    Chart {
        title: "Density and distance".into(),
        spoken: format!(
            "A dot for each of {} clusters; the table of clusters holds the figures.",
            shown.len()
        ),
        lead,
        x,
        y,
        marks,
        labels: Vec::new(),
        figures: html! {},
    }
    .render()
}

fn table(details: &ClusterDetails) -> Table {
    let order = by_size(&details.clusters);
    let total = super::funnel::sum(details.clusters.iter().map(|one| &one.size));
    let heads = ["cluster", "rows", "of all", "d_intra", "d_inter", "complexity"];
    Table::new("Clusters, the largest first", &heads, order.into_iter(), |place| {
        let one = &details.clusters[place];
        vec![
            place.to_string(),
            count(one.size),
            percent(one.size, total),
            number(one.d_intra),
            number(one.d_inter),
            number(one.complexity),
        ]
    })
}
