//! `export` of formats that hold vectors or are made from them: the run is opened with its embeddings.
use cribble_core::Result;
use cribble_outputs::export::clip_retrieval;
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
