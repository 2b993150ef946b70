//! Where every row of the input went: the last word of the run, and the figure by which the whole report can be checked.
use cribble_core::RunReport;
use maud::{Markup, html};

use super::format::{clip, count, counted, percent, share};
use super::funnel::sum;

/// Dropping steps by name, in the order of the run; steps that the run does not list come last, by name.
fn in_order(report: &RunReport) -> Vec<(&str, u64)> {
    let dropped = &report.selection.dropped_by;
    let known = report.steps.iter().filter_map(|step| dropped.get_key_value(&step.step));
    let unknown = dropped.iter().filter(|(name, _)| !report.steps.iter().any(|step| step.step == **name));
    let mut order: Vec<(&str, u64)> = Vec::new();
    for (name, rows) in known.chain(unknown) {
        if !order.iter().any(|(seen, _)| seen == name) {
            order.push((name, *rows));
        }
    }
    order
}

/// The section.
pub fn render(report: &RunReport) -> Markup {
    let selection = &report.selection;
    let order = in_order(report);
    let dropped = sum(order.iter().map(|(_, rows)| rows));
    html! {
        section #selection {
            h2 { "Selection" }
            p.lead { "Where every row of the input went. A row belongs to the first step that dropped it; rows with errors count as dropped." }
            @if selection.decided > 0 {
                p.small { "A person decided on " (counted(selection.decided, "row", "rows")) " (decisions.jsonl), whatever the steps had said; those that went so are dropped by “decision”." }
            }
            @if selection.seen != dropped.saturating_add(selection.kept) {
                p.warning role="alert" {
                    b { "These counts do not add up. " }
                    (count(selection.seen)) " seen is not " (count(selection.kept)) " kept + " (count(dropped)) " dropped. Please report this: it is a fault of the program."
                }
            }
            div.table-frame tabindex="0" role="group" aria-label="where every row went" {
                table.reasons {
                    thead { tr { th scope="col" { "rows" } th.bar-column aria-hidden="true" {} th scope="col" { "count" } th scope="col" { "of all" } } }
                    tbody {
                        @for (name, rows) in order.iter().take(200) { (row(&format!("dropped by {}", clip(name, 80)), "dropped", *rows, selection.seen)) }
                        (row("kept", "kept", selection.kept, selection.seen))
                    }
                    tfoot { tr { th scope="row" { "all" } td.bar-column {} td { (count(selection.seen)) } td {} } }
                }
            }
        }
    }
}

fn row(name: &str, class: &str, rows: u64, seen: u64) -> Markup {
    html! {
        tr {
            th scope="row" { (name) }
            td.bar-column aria-hidden="true" { @if rows > 0 { span class={ "bar-part " (class) } style={ (format!("width:{:.3}%", share(rows, seen) * 100.0)) } {} } }
            td { (count(rows)) }
            td { (percent(rows, seen)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cribble_core::StepReport;

    #[test]
    fn steps_keep_the_order_of_the_run() {
        let mut report = RunReport::default();
        for name in ["10-prune", "02-dedup"] {
            report.steps.push(StepReport { step: name.into(), ..StepReport::default() });
        }
        for (name, rows) in [("02-dedup", 2), ("10-prune", 1), ("99-gone", 3)] {
            report.selection.dropped_by.insert(name.into(), rows);
        }
        assert_eq!(in_order(&report), [("10-prune", 1), ("02-dedup", 2), ("99-gone", 3)]);
    }
}
