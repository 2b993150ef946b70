//! What a `referee` step adds: how similar captions are to their images, which of two wins how clearly, and what the choice changed.
use cribble_core::{REFEREE_LEVELS, RefereeCaption, RefereeDetails, RefereePair};
use maud::{Markup, html};

use super::axis::{Axis, Write};
use super::chart::{self, Chart};
use super::format::{clip, count, number, percent, share};
use super::table::Table;

/// Candidates with charts; the tables have them all.
const MOST_CHARTS: usize = 6;
/// Characters of a column's name.
const NAME: usize = 40;

/// The figures, the tables and, for each candidate, its wins and its similarities against the original's.
pub fn render(details: &RefereeDetails) -> Markup {
    let (before, after) = (details.mean_before, details.mean_after);
    let original = details.captions.first();
    // The pairs with the original stand first.
    let against = |pair: &&RefereePair| original.is_some_and(|original| original.column == pair.first);
    let pairs: Vec<&RefereePair> = details.pairs.iter().filter(against).collect();
    html! {
        dl.tiles {
            div { dt { "model" } dd { (clip(&details.model, 60)) } p { "logit scale " (number(details.logit_scale)) } }
            div {
                dt { "policy" } dd { (clip(&details.policy, 40)) }
                @if let Some(threshold) = details.threshold { p { "similarity of at least " (similarity(threshold)) } }
            }
            div { dt { "mean similarity" } dd { (similarity(before)) " → " (similarity(after)) } p { "original captions of all rows judged → chosen captions of the rows kept" } }
        }
        @if !details.captions.is_empty() {
            h3 { "Similarity to the image" }
            (captions(&details.captions).render())
            p.small { "The part that the model reads counts for every choice; the best window says what a longer context could see." }
        }
        @if !details.pairs.is_empty() {
            h3 { "Which of two captions fits better" }
            (wins(&details.pairs).render())
            p.small { "Rows with a probability above each level: softmax over the two similarities at the model's logit scale. It compares, and says nothing of how good the better one is." }
        }
        @for pair in pairs.iter().take(MOST_CHARTS) {
            div.charts {
                (levels(pair))
                @if let (Some(original), Some(other)) = (original, details.captions.iter().find(|caption| caption.column == pair.second)) {
                    @if let Some(chart) = similarities(original, other) { (chart) }
                }
            }
        }
        @if pairs.len() > MOST_CHARTS { p.small { "Charts of the first " (MOST_CHARTS) " of " (count(pairs.len() as u64)) " candidates." } }
    }
}

/// Four decimals: similarities of captions differ in the third.
fn similarity(value: f64) -> String {
    if value.is_finite() { format!("{value:.4}") } else { number(value) }
}

fn captions(captions: &[RefereeCaption]) -> Table {
    let heads = [
        "captions",
        "rows",
        "chosen",
        "mean similarity",
        "of the best window",
        "longer than the model reads",
    ];
    Table::new("Similarities by column of captions", &heads, captions.iter(), |caption| {
        vec![
            clip(&caption.column, NAME),
            count(caption.rows),
            format!("{} ({})", count(caption.chosen), percent(caption.chosen, caption.rows)),
            similarity(caption.mean_sim),
            similarity(caption.mean_window_sim),
            count(caption.cut),
        ]
    })
}

/// Two rows a pair: each over the other.
fn wins(pairs: &[RefereePair]) -> Table {
    let levels = REFEREE_LEVELS.map(|level| format!("above {level}"));
    let mut heads = vec!["wins", "rows with both"];
    heads.extend(levels.iter().map(String::as_str));
    let sides: Vec<_> = pairs
        .iter()
        .flat_map(|pair| {
            [(&pair.first, &pair.second, &pair.first_wins), (&pair.second, &pair.first, &pair.second_wins)]
                .map(|(of, over, wins)| (of, over, wins, pair.rows))
        })
        .collect();
    Table::new("Wins at four levels of probability", &heads, sides.into_iter(), |(of, over, wins, rows)| {
        let mut cells = vec![format!("{} over {}", clip(of, NAME), clip(over, NAME)), count(rows)];
        cells.extend((0..REFEREE_LEVELS.len()).map(|level| {
            let won = at(wins, level);
            format!("{} ({})", count(won), percent(won, rows))
        }));
        cells
    })
}

fn at(wins: &[u64], level: usize) -> u64 {
    wins.get(level).copied().unwrap_or(0)
}

/// The share of rows that each of a pair wins, over the levels.
fn levels(pair: &RefereePair) -> Markup {
    let (first, second) = (clip(&pair.first, NAME), clip(&pair.second, NAME));
    let x = Axis::linear("probability above", [0.5, 0.9], 4, Write::Number);
    let y = Axis::linear("of the rows with both", [0.0, 1.0], 4, Write::Percent);
    let points = |wins: &[u64]| -> Vec<(f64, f64)> {
        let places = REFEREE_LEVELS.iter().enumerate();
        places
            .filter_map(|(place, &level)| {
                Some((x.place(level)?, y.place(share(at(wins, place), pair.rows))?))
            })
            .collect()
    };
    let (ours, theirs) = (points(&pair.first_wins), points(&pair.second_wins));
    let mut marks = vec![chart::line("dropped dashed", &ours), chart::line("kept", &theirs)];
    for (name, class, points, wins) in
        [(&first, "dropped", &ours, &pair.first_wins), (&second, "kept", &theirs, &pair.second_wins)]
    {
        for (place, (point, level)) in points.iter().zip(REFEREE_LEVELS).enumerate() {
            let won = at(wins, place);
            let tip = format!("{name} above {level}: {} rows ({})", count(won), percent(won, pair.rows));
            marks.push(chart::dot(class, *point, 7.0, &tip));
        }
    }
    Chart {
        title: format!("{second} against {first}"),
        lead: "The rows that each wins, by how clearly.".into(),
        spoken: format!(
            "Of {} rows with both, {second} wins {} and {first} {} with a probability above one half.",
            count(pair.rows),
            count(at(&pair.second_wins, 0)),
            count(at(&pair.first_wins, 0))
        ),
        marks,
        x,
        y,
        labels: Vec::new(),
        figures: html! {
            p.legend { span { i.swatch.line-solid {} (second) } span { i.swatch.line-dashed {} (first) } }
        },
    }
    .render()
}

/// The rows of both by similarity, from the first bin that has any to the last.
fn similarities(original: &RefereeCaption, other: &RefereeCaption) -> Option<Markup> {
    let bins = original.sims.len().max(other.sims.len());
    let rows = |caption: &RefereeCaption, bin: usize| caption.sims.get(bin).copied().unwrap_or(0);
    let has_any = |bin: &usize| rows(original, *bin) > 0 || rows(other, *bin) > 0;
    let (first, last) = ((0..bins).find(has_any)?, (0..bins).rfind(has_any)?);
    let edge = |bin: usize| bin as f64 * 2.0 / bins as f64 - 1.0;
    let x = Axis::linear("similarity of caption and image", [edge(first), edge(last + 1)], 8, Write::Number);
    let largest = original.sims.iter().chain(&other.sims).copied().max().unwrap_or(1);
    let y = Axis::linear("rows", [0.0, largest as f64], 4, Write::Count);
    let stairs = |caption: &RefereeCaption| -> Vec<(f64, f64)> {
        (first..=last)
            .filter_map(|bin| {
                let height = y.place(rows(caption, bin) as f64)?;
                Some([(x.place(edge(bin))?, height), (x.place(edge(bin + 1))?, height)])
            })
            .flatten()
            .collect()
    };
    let marks = vec![
        chart::area("kept faint", &stairs(other)),
        chart::line("kept", &stairs(other)),
        chart::line("dropped dashed", &stairs(original)),
    ];
    let (before, after) = (clip(&original.column, NAME), clip(&other.column, NAME));
    let chart = Chart {
        title: format!("Similarities of {after} and {before}"),
        lead: "Absolute, where the probabilities beside it are relative: both captions may be poor.".into(),
        spoken: format!(
            "The mean similarity is {} for {after} and {} for {before}.",
            similarity(other.mean_sim),
            similarity(original.mean_sim)
        ),
        marks,
        x,
        y,
        labels: Vec::new(),
        figures: html! {
            p.legend { span { i.swatch.line-solid {} (after) } span { i.swatch.line-dashed {} (before) } }
        },
    };
    Some(chart.render())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caption(column: &str, rows: u64, bin: usize) -> RefereeCaption {
        let mut sims = vec![0; 100];
        sims[bin] = rows;
        RefereeCaption {
            column: column.into(),
            rows,
            chosen: rows / 2,
            mean_sim: 0.2345,
            mean_window_sim: 0.25,
            cut: 3,
            sims,
        }
    }

    fn details() -> RefereeDetails {
        let pair = |first: &str, second: &str| RefereePair {
            first: first.into(),
            second: second.into(),
            rows: 80,
            first_wins: vec![30, 20, 10, 5],
            second_wins: vec![50, 40, 20, 2],
        };
        RefereeDetails {
            model: "<clip>".into(),
            logit_scale: 100.0,
            policy: "threshold".into(),
            threshold: Some(0.28),
            captions: vec![
                caption("text", 100, 60),
                caption("caption_<b>a", 80, 62),
                caption("caption_b", 80, 64),
            ],
            pairs: vec![
                pair("text", "caption_<b>a"),
                pair("text", "caption_b"),
                pair("caption_<b>a", "caption_b"),
            ],
            mean_before: 0.2345,
            mean_after: 0.31,
        }
    }

    #[test]
    fn figures_stand_in_tables_and_charts() {
        let page = render(&details()).into_string();
        for part in [
            "0.2345 → 0.3100",
            "similarity of at least 0.2800",
            "50 (50.0%)",
            "text over caption_b",
            "caption_b over text",
            "caption_b over caption_&lt;b&gt;a",
            "30 (37.5%)",
            "2 (2.5%)",
            "caption_b against text",
            "Similarities of caption_b and text",
            "caption_b above 0.7: 40 rows (50.0%)",
        ] {
            assert!(page.contains(part), "{part} is missing in {page}");
        }
        // Two candidates with two charts each; the candidates against each other have a table only.
        assert_eq!(page.matches("<figure").count(), 4);
    }

    #[test]
    fn names_of_columns_are_text() {
        let page = render(&details()).into_string();
        assert!(!page.contains("<b>a") && !page.contains("<clip>"), "{page}");
        assert!(page.contains("caption_&lt;b&gt;a") && page.contains("&lt;clip&gt;"));
    }

    #[test]
    fn lines_end_where_the_levels_do() {
        let page = levels(&details().pairs[0]).into_string();
        // 50, 40, 20 and 2 of 80 at 0.5, 0.7, 0.8, 0.9.
        assert!(page.contains("M0 375L500 500L750 750L1000 975"), "{page}");
        assert!(page.contains("M0 625L500 750L750 875L1000 937.5"), "{page}");
    }

    #[test]
    fn empty_details_render() {
        let page = render(&RefereeDetails::default()).into_string();
        assert!(!page.contains("<figure") && !page.contains("NaN"), "{page}");
        let mut short = details();
        short.pairs[0].first_wins.clear();
        short.captions[1].sims.clear();
        assert!(render(&short).into_string().contains("0 (0.0%)"));
    }
}
