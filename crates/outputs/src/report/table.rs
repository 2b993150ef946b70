//! Tables of figures, folded away under a chart or open. Rows beyond a limit are counted instead of shown.
use maud::{Markup, html};

use super::format::counted;

/// Most rows of one table.
pub const MOST_ROWS: usize = 200;

/// One table of text cells. The first column names the row, the others hold figures.
pub struct Table {
    /// What it shows, for its caption.
    pub caption: String,
    /// Heads of the columns.
    pub heads: Vec<String>,
    /// Cells, as many a row as heads.
    pub rows: Vec<Vec<String>>,
    /// Rows that were left out.
    pub left_out: u64,
}

impl Table {
    /// A table of at most [`MOST_ROWS`] of `all` rows, in their order.
    pub fn new<'a, T: 'a>(
        caption: &str,
        heads: &[&str],
        all: impl ExactSizeIterator<Item = T>,
        cells: impl FnMut(T) -> Vec<String>,
    ) -> Self {
        let left_out = all.len().saturating_sub(MOST_ROWS) as u64;
        Self {
            caption: caption.to_owned(),
            heads: heads.iter().map(|head| (*head).to_owned()).collect(),
            rows: all.take(MOST_ROWS).map(cells).collect(),
            left_out,
        }
    }

    /// The table, open.
    pub fn render(&self) -> Markup {
        html! {
            div.table-frame tabindex="0" role="group" aria-label={ (self.caption) ", scrolls sideways" } {
                table.figures data-filter[self.rows.len() > 12] data-sort aria-label=(self.caption) {
                    thead { tr { @for head in &self.heads { th scope="col" { (head) } } } }
                    tbody {
                        @for row in &self.rows {
                            tr {
                                @for (place, cell) in row.iter().enumerate() {
                                    @if place == 0 { th scope="row" { (cell) } }
                                    @else if cell.chars().nth(32).is_some() { td.words { (cell) } }
                                    @else { td { (cell) } }
                                }
                            }
                        }
                    }
                }
            }
            @if self.left_out > 0 {
                p.small { "… and " (counted(self.left_out, "more row", "more rows")) ", not shown here. Each one stands in the run folder." }
            }
        }
    }

    /// The table, folded behind its caption; nothing where it has no rows.
    pub fn folded(&self) -> Markup {
        html! {
            @if !self.rows.is_empty() {
                details.figures-fold { summary { (self.caption) } (self.render()) }
            }
        }
    }
}
