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

    /// Whether a column holds texts, which begin at the left, rather than figures, which end at the right: one that is long, or more that begin
    /// with a letter than not.
    fn is_words(&self, place: usize) -> bool {
        let letters = self.cells(place).filter(|cell| cell.starts_with(char::is_alphabetic)).count();
        self.is_long(place) || 2 * letters > self.cells(place).count()
    }

    fn is_long(&self, place: usize) -> bool {
        self.cells(place).any(|cell| cell.chars().nth(32).is_some())
    }

    fn cells(&self, place: usize) -> impl Iterator<Item = &String> {
        self.rows.iter().filter_map(move |row| row.get(place)).filter(|cell| !cell.is_empty())
    }

    /// The table, open.
    pub fn render(&self) -> Markup {
        let columns = 0..self.heads.len();
        let words: Vec<bool> = columns.clone().map(|place| place > 0 && self.is_words(place)).collect();
        let long: Vec<bool> = columns.map(|place| place > 0 && self.is_long(place)).collect();
        html! {
            div.table-frame tabindex="0" role="group" aria-label={ (self.caption) ", scrolls sideways" } {
                table.figures data-filter[self.rows.len() > 12] data-sort aria-label=(self.caption) {
                    thead { tr { @for (place, head) in self.heads.iter().enumerate() { th.words[words[place]] scope="col" { (head) } } } }
                    tbody {
                        @for row in &self.rows {
                            tr {
                                @for (place, cell) in row.iter().enumerate() {
                                    @if place == 0 { th scope="row" { (cell) } }
                                    @else { td.words[words[place]].long[long[place]] { (cell) } }
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
