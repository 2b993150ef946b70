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
pub(crate) mod format;
mod funnel;
mod funnel_text;
mod gallery;
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

use std::collections::BTreeMap;

use cribble_core::{Gallery, RunReport};

pub use funnel_text::funnel_text;
pub use sheet::render_sheet;

/// What a page shows.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// The figures.
    pub report: &'a RunReport,
    /// The samples, where some were gathered.
    pub gallery: Option<&'a Gallery>,
    /// What a reader must know of the run before all else: that it is not finished, that files of it are gone. A sentence each.
    pub warnings: &'a [String],
    /// Full-size pictures by uid, as paths below the page's folder that begin with `images/`; empty for a page of one file.
    pub images: &'a BTreeMap<String, String>,
}

/// The page `report.html`: one file without a single external reference, complete without JavaScript, for light and dark screens,
/// narrow ones and paper. Texts of the input (captions, reasons, names) are escaped, never markup. Pictures are shown only where they
/// are `data:` URLs of raster images. Long lists are cut, and the page says so: at most 400 marks a chart, 200 rows a table and, all together,
/// 40 MB of samples.
///
/// Any report renders, also an empty one or one with NaN; the same values give the same bytes.
pub fn render_page(page: &Page<'_>) -> String {
    page::render(page).into_string()
}

/// [`render_page`] of the figures alone.
pub fn render_html(report: &RunReport) -> String {
    render_page(&Page { report, gallery: None, warnings: &[], images: &BTreeMap::new() })
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
