//! `export` of formats that hold vectors or are made from them: the run is opened with its embeddings.
use cribble_core::Result;
use cribble_outputs::export::{clip_retrieval, embedding_atlas};
use cribble_pipeline::RunView;
use serde_json::{Value, json};

use super::export::Wanted;
use crate::{interrupt, settings::Settings, text};

/// The folder of clip-retrieval. Returns what to say to programs and to people.
pub fn clip(settings: &Settings, args: &Wanted<'_>) -> Result<(Value, String)> {
    let view = RunView::open(args.run)?;
    let context = view.context(settings.limits, settings.reporter.as_ref(), &interrupt::CANCEL);
    let export = clip_retrieval(&view, &context, args.out, args.embedding, args.all)?;
    for array in export.arrays.iter().filter(|array| array.without > 0) {
        settings.terminal.warn(&format!(
            "{} in {} are zeros: their samples have no vector in '{}'",
            text::counted(array.without, "row", "rows"),
            array.name,
            array.embedding
        ));
    }
    let arrays: Vec<String> =
        export.arrays.iter().map(|array| format!("{} ('{}')", array.name, array.embedding)).collect();
    let said = format!(
        "wrote {} with {} and metadata, in {}, to {}",
        text::counted(export.rows, "row", "rows"),
        arrays.join(", "),
        text::counted(export.partitions, "part", "parts"),
        export.folder.display()
    );
    Ok((json!(export), said))
}

/// The map of embedding-atlas. Returns what to say to programs and to people.
pub fn atlas(settings: &Settings, args: &Wanted<'_>) -> Result<(Value, String)> {
    let view = RunView::open(args.run)?;
    let context = view.context(settings.limits, settings.reporter.as_ref(), &interrupt::CANCEL);
    let export = embedding_atlas(&view, &context, args.out, args.embedding, args.all)?;
    if export.without > 0 {
        let some = text::counted(export.without, "sample is", "samples are");
        settings.terminal.warn(&format!("{some} not on the map: no vector in '{}'", export.embedding));
    }
    let has = |column: &str| export.columns.iter().any(|name| name == column);
    let mut flags = String::from("--x x --y y");
    for (column, flag) in [("text", " --text text"), ("neighbors", " --neighbors neighbors")] {
        flags.push_str(if has(column) { flag } else { "" });
    }
    let about =
        if has("neighbors") { "" } else { " without neighbors, which are found for up to 20,000 rows" };
    let folder = export.folder.display();
    let said = format!(
        "wrote {} of {} and {} to {folder}{about}\nshow it: embedding-atlas {folder}/map.parquet {flags} --labels {folder}/labels.parquet",
        text::counted(export.rows, "row", "rows"),
        export.step,
        text::counted(export.labels, "label", "labels"),
    );
    Ok((json!(export), said))
}
