//! From row numbers to what a person wants to know of them: uid, verdict, caption. Only the rows themselves are read.
use std::collections::BTreeMap;

use arrow::array::AsArray;
use cribble_core::{Error, Result, SearchHit, StepOptions, Uid};
use cribble_io::{CAPTION_NAMES, is_text};
use cribble_math::top::Hit;
use cribble_pipeline::{GlobalRow, RunView};
use rayon::prelude::*;

/// Describes hits, in their order. `compared` says whether their similarities mean something.
pub(crate) fn describe(view: &RunView, hits: &[Hit], compared: bool) -> Result<Vec<SearchHit>> {
    let mut by_shard = BTreeMap::<u32, Vec<(u64, usize)>>::new();
    for (place, hit) in hits.iter().enumerate() {
        let row = GlobalRow(hit.row);
        by_shard.entry(row.shard()).or_default().push((u64::from(row.row()), place));
    }
    let column = caption_column(view);
    let described: Vec<Vec<(usize, SearchHit)>> = by_shard
        .into_par_iter()
        .map(|(shard, mut places)| {
            places.sort_unstable();
            let rows: Vec<u64> = places.iter().map(|(row, _)| *row).collect();
            let outcomes = view.outcomes(shard, &rows)?;
            let captions = captions(view, column.as_deref(), shard, &rows)?;
            let name = &view.dataset.shards()[shard as usize].name;
            let one = |(((row, place), outcome), caption): (
                ((u64, usize), cribble_pipeline::Selection),
                Option<String>,
            )| {
                let hit = SearchHit {
                    rank: place as u64 + 1,
                    similarity: compared.then_some(hits[place].similarity),
                    uid: outcome.uid.to_string(),
                    shard: name.clone(),
                    row,
                    kept: outcome.keep,
                    dropped_by: outcome.dropped_by.map(|step| step.to_string()),
                    reason: outcome.reason.map(|reason| reason.to_string()),
                    caption,
                    picture: None,
                };
                (place, hit)
            };
            Ok(places.into_iter().zip(outcomes).zip(captions).map(one).collect())
        })
        .collect::<Result<_>>()?;
    let mut described: Vec<(usize, SearchHit)> = described.into_iter().flatten().collect();
    described.sort_unstable_by_key(|(place, _)| *place);
    Ok(described.into_iter().map(|(_, hit)| hit).collect())
}

/// The caption of one sample.
pub(crate) fn caption_of(view: &RunView, row: GlobalRow) -> Result<Option<String>> {
    let rows = [u64::from(row.row())];
    Ok(captions(view, caption_column(view).as_deref(), row.shard(), &rows)?.pop().flatten())
}

/// The uid that a hit's text spells.
pub(crate) fn uid_of(hit: &SearchHit) -> Result<Uid> {
    Uid::parse(hit.uid.as_bytes()).map_err(|error| Error::bug(error.to_string()))
}

/// The input's column of captions: the one that an embed step was told, else the first known name.
fn caption_column(view: &RunView) -> Option<String> {
    let schema = view.dataset.schema();
    let holds_text = |name: &str| schema.field_with_name(name).is_ok_and(|field| is_text(field.data_type()));
    let told = view.recipe.steps.iter().rev().find_map(|step| match &step.options {
        StepOptions::Embed(embed) if holds_text(&embed.text) => Some(embed.text.as_str()),
        _ => None,
    });
    told.or_else(|| CAPTION_NAMES.into_iter().find(|name| holds_text(name))).map(Into::into)
}

fn captions(view: &RunView, column: Option<&str>, shard: u32, rows: &[u64]) -> Result<Vec<Option<String>>> {
    let Some(column) = column else { return Ok(vec![None; rows.len()]) };
    let batch = view.dataset.read_columns_at(shard, &[column], rows)?;
    let texts = batch.column(0);
    let texts =
        texts.as_string_opt::<i32>().ok_or_else(|| Error::bug(format!("the column {column} is no text")))?;
    Ok(texts.iter().map(|text| text.map(Into::into)).collect())
}
