//! `search`: asks a run, and shows what was found as a table, JSON, a subset file or a page.
use std::path::Path;

use cribble_core::{Error, IndexReport, Result, SearchReport, Uid};
use cribble_io::subset::{SubsetFormat, SubsetWriter};
use cribble_outputs::report::render_sheet;
use cribble_pipeline::RunView;
use cribble_search::{MOST_PICTURES, add_pictures, plan, search};
use serde_json::json;

use crate::{args::SearchArgs, interrupt, settings::Settings, terminal::Terminal, text};

/// Columns of a caption, however narrow the terminal.
const LEAST_CAPTION: usize = 20;

/// Searches.
pub fn run(settings: &Settings, args: &SearchArgs) -> Result<u8> {
    let request = args.request()?;
    let format = args.subset.as_deref().map(subset_format).transpose()?;
    if let Some(sheet) = args.sheet.as_deref().filter(|sheet| !is_page(sheet)) {
        return Err(Error::usage(format!("--sheet {}: a page is an .html file", sheet.display())));
    }
    let view = RunView::open(&args.run)?;
    let terminal = &settings.terminal;
    let context = view.context(settings.limits, settings.reporter.as_ref(), &interrupt::CANCEL);
    if settings.dry_run {
        terminal.say(&plan(&view, &context, &request)?);
        for file in args.subset.iter().chain(&args.sheet) {
            terminal.say(&format!("would write {}", file.display()));
        }
        if settings.json {
            terminal.out_json("search", json!({ "dry_run": true, "exit_code": 0 }));
        }
        return Ok(super::DONE);
    }
    interrupt::install(terminal)?;
    let mut report = search(&view, &context, &request)?;
    if args.sheet.is_some() {
        add_pictures(&view, &context, &mut report)?;
    }
    for note in &report.notes {
        terminal.warn(note);
    }
    if let Some(index) = report.index.as_ref().filter(|index| index.seconds.is_some()) {
        terminal.say(&built(index));
    }
    if let (Some(file), Some(format)) = (&args.subset, format) {
        write_subset(file, format, &report)?;
        terminal.say(&format!(
            "wrote {} to {}",
            text::counted(report.hits.len() as u64, "uid", "uids"),
            file.display()
        ));
    }
    if let Some(file) = &args.sheet {
        cribble_io::write_file(file, render_sheet(&report, env!("CARGO_PKG_VERSION")).as_bytes())?;
        terminal.say(&format!("wrote {}", file.display()));
        if report.hits.len() > MOST_PICTURES {
            terminal.note(&format!("the page has pictures of the first {MOST_PICTURES} rows"));
        }
    }
    let is_search = report.method != "index" || request.query.is_some();
    if settings.json {
        terminal.out_json("search", merged(&report)?);
    } else if is_search {
        if !report.hits.is_empty() {
            terminal.out(&table(&report, terminal.width()));
        }
        terminal.say(&summary(terminal, &report));
    }
    Ok(super::DONE)
}

fn merged(report: &SearchReport) -> Result<serde_json::Value> {
    let mut value = serde_json::to_value(report).map_err(|error| Error::bug(error.to_string()))?;
    value["exit_code"] = 0.into();
    Ok(value)
}

fn is_page(file: &Path) -> bool {
    file.extension().is_some_and(|kind| kind.eq_ignore_ascii_case("html") || kind.eq_ignore_ascii_case("htm"))
}

fn subset_format(file: &Path) -> Result<SubsetFormat> {
    SubsetFormat::of_name(file).ok_or_else(|| {
        Error::usage(format!("--subset {}: the extension names no subset format", file.display()))
            .with_hint("use .npy, .bin (headerless), .txt, .csv, .parquet or .pkl (pygtrie)")
    })
}

fn write_subset(file: &Path, format: SubsetFormat, report: &SearchReport) -> Result<()> {
    let parse = |text: &str| Uid::parse(text.as_bytes()).map_err(|error| Error::bug(error.to_string()));
    let mut uids = report.hits.iter().map(|hit| parse(&hit.uid)).collect::<Result<Vec<_>>>()?;
    uids.sort_unstable();
    let mut writer = SubsetWriter::create(file, format)?;
    uids.into_iter().try_for_each(|uid| writer.push(uid))?;
    writer.finish()?;
    Ok(())
}

/// Rank, similarity, uid, verdict, caption: one line a row.
fn table(report: &SearchReport, width: usize) -> String {
    let verdict = |hit: &cribble_core::SearchHit| match (&hit.dropped_by, hit.kept) {
        (_, true) => "kept".to_owned(),
        (Some(step), false) => format!("dropped by {step}"),
        (None, false) => "dropped".to_owned(),
    };
    let cells = |hit: &cribble_core::SearchHit| {
        let similarity = hit.similarity.map_or_else(|| "–".into(), |similarity| format!("{similarity:.4}"));
        vec![hit.rank.to_string(), similarity, hit.uid.clone(), verdict(hit)]
    };
    let mut rows: Vec<Vec<String>> = report.hits.iter().map(cells).collect();
    let widest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let used: usize = (0..4).map(|column| widest(column) + 2).sum();
    let room = width.saturating_sub(used).max(LEAST_CAPTION);
    for (row, hit) in rows.iter_mut().zip(&report.hits) {
        row.push(one_line(hit.caption.as_deref().unwrap_or_default(), room));
    }
    text::table(&rows, &[true, true])
}

/// A caption on one line: what would move the cursor or colour the terminal becomes a space.
fn one_line(caption: &str, room: usize) -> String {
    let plain: String = caption.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().nth(room).is_none() {
        return words;
    }
    words.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

fn summary(terminal: &Terminal, report: &SearchReport) -> String {
    let found = terminal.bold(&text::count(report.hits.len() as u64));
    let searched = text::counted(report.searched, "row", "rows");
    let by = match (&report.embedding, &report.model) {
        (Some(embedding), Some(model)) => format!(" by '{embedding}' and {model}"),
        (Some(embedding), None) => format!(" by '{embedding}'"),
        _ => String::new(),
    };
    let how = match (report.method.as_str(), &report.index) {
        ("exact", _) => ", every one compared".to_owned(),
        ("index", Some(index)) => {
            let recall = lowest(index)
                .map_or_else(String::new, |least| format!(" (recall@10 {least:.3} when it was built)"));
            format!(", {} of {} cells{recall}", text::count(index.probes), text::count(index.cells))
        }
        _ => " that fit".to_owned(),
    };
    let time = match report.seconds {
        seconds if seconds < 1.0 => format!("{:.1} ms", seconds * 1000.0),
        seconds => text::duration(seconds),
    };
    format!("{found} of {searched}{by}{how}, {time}")
}

fn lowest(index: &IndexReport) -> Option<f64> {
    index.recall.iter().map(|recall| recall.at_10).reduce(f64::min)
}

/// What an index cost and what it is worth.
fn built(index: &IndexReport) -> String {
    let recall = index.recall.iter().map(|recall| {
        format!(
            "\n  {} queries of '{}': recall@10 {:.4}, recall@100 {:.4}",
            recall.count, recall.queries, recall.at_10, recall.at_100
        )
    });
    format!(
        "built {}: {} rows in {} cells, {} looked at for a query, {}, {}{}",
        index.folder,
        text::count(index.rows),
        text::count(index.cells),
        text::count(index.probes),
        text::bytes(index.bytes),
        text::duration(index.seconds.unwrap_or_default()),
        recall.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_stay_on_their_line() {
        assert_eq!(one_line("a\n\tb\u{1b}[31m  c", 40), "a b [31m c");
        assert_eq!(one_line("añb cd", 4), "añb…");
        assert_eq!(one_line("añb", 3), "añb");
    }
}
