//! The report of a run: a table for the terminal, JSON for machines, one HTML file for people. All three are pure functions of the one
//! [`RunReport`], so they cannot disagree, and a stored `report.json` renders again to the same page.
//!
//! A reader may ask why the page is written by hand instead of with a plotting library: it must be one file that opens from a disk
//! without a network, weigh little, print, and stay readable at 390 px; a few charts of plain SVG do that with no script at all.
mod axis;
mod caption;
mod chart;
mod cluster;
mod dedup;
mod embed;
mod examples;
mod format;
mod funnel;
mod funnel_text;
mod judge;
mod page;
mod planted;
mod prune;
mod referee;
mod selection;
mod sheet;
mod spread;
mod step;
mod table;

use cribble_core::RunReport;

pub use funnel_text::funnel_text;
pub use sheet::render_sheet;

/// The page `report.html`: one file without a single external reference, complete without JavaScript, for light and dark screens,
/// narrow ones and paper. Texts of the input (captions, reasons, names) are escaped, never markup. Pictures are shown only where they
/// are `data:` URLs of raster images. Long lists are cut, and the page says so: at most 400 marks a chart and 200 rows a table.
///
/// Any report renders, also an empty one or one with NaN; the same report gives the same bytes.
pub fn render_html(report: &RunReport) -> String {
    page::render(report).into_string()
}

/// The file `report.json`: the value itself, indented, with a newline at its end. NaN and infinities become `null`, which reads back as
/// NaN.
pub fn report_json(report: &RunReport) -> String {
    // Serialising fails only for maps with keys that are no text and for failing writers; neither exists here.
    let mut text = serde_json::to_string_pretty(report).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests;

pub use format::{count, counted};
