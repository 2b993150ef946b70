//! The model inside the program, through the real binary, on drawings that it was never trained on: its scores tell right captions from wrong
//! ones, and edited copies of an image lie near it. The floors are the issue's; `training/evaluate_demo_clip.py` measures more.
#![allow(clippy::unwrap_used)]
mod common;

use std::{collections::HashMap, path::Path};

use arrow::array::{Array, AsArray};
use arrow::datatypes::Float32Type;
use common::{Place, tables::step_tables};
use cribble_core::Uid;
use cribble_demo::{CaptionKind, Truth};

/// Score (where the row was embedded) and image vector of every row.
fn rows(run: &Path) -> HashMap<Uid, (Option<f32>, Vec<f32>)> {
    let mut found = HashMap::new();
    for table in step_tables(run, "02-embed") {
        let (scores, vectors) =
            (table.column("clip_score").unwrap(), table.vectors(run, "demo_img").unwrap());
        let scores = scores.as_primitive::<Float32Type>();
        for (at, (uid, vector)) in table.uids.iter().zip(vectors).enumerate() {
            found.insert(*uid, (scores.is_valid(at).then(|| scores.value(at)), vector));
        }
    }
    found
}

#[test]
fn scores_and_twins_are_as_the_model_card_says() {
    let place = Place::new();
    place.run(&["demo", "d", "--rows", "1200", "--seed", "77"], 0);
    let found = rows(&place.path("d/run"));
    let truth = Truth::open(&place.path("d/pool")).unwrap().in_tars();
    assert_eq!(found.len(), truth.rows.len());

    let scores = |kind: CaptionKind| -> Vec<f32> {
        truth.rows.iter().filter(|row| row.caption_kind == kind).filter_map(|row| found[&row.uid].0).collect()
    };
    let (right, wrong) = (scores(CaptionKind::Matched), scores(CaptionKind::Wrong));
    assert!(right.len() > 800 && wrong.len() > 40, "{} {}", right.len(), wrong.len());
    let above = right.iter().map(|right| wrong.iter().filter(|wrong| right > wrong).count()).sum::<usize>();
    let auc = above as f64 / (right.len() * wrong.len()) as f64;
    assert!(auc >= 0.95, "AUC of right against wrong captions: {auc}");

    let embedded = |uid: &Uid| found[uid].0.is_some();
    let (mut near, mut twins) = (0, 0);
    for row in truth.rows.iter().filter(|row| embedded(&row.uid)) {
        let Some(original) = row.twin_of.filter(|uid| found.contains_key(uid) && embedded(uid)) else {
            continue;
        };
        let cosine: f32 = found[&row.uid].1.iter().zip(&found[&original].1).map(|(a, b)| a * b).sum();
        twins += 1;
        near += usize::from(cosine > 0.95);
    }
    // The judge without a model, on clusters of captions: file names lie together, and little else goes with them.
    let mut dropped = std::collections::HashSet::new();
    let mut judged = std::collections::HashSet::new();
    for table in step_tables(&place.path("d/run"), "04-judge") {
        let Some(keep) = table.column("keep") else { continue };
        for (at, uid) in table.uids.iter().enumerate().filter(|(at, _)| keep.is_valid(*at)) {
            judged.insert(*uid);
            if !keep.as_boolean().value(at) {
                dropped.insert(*uid);
            }
        }
    }
    let junk: Vec<Uid> = truth
        .rows
        .iter()
        .filter(|row| row.caption_kind == CaptionKind::FileName && judged.contains(&row.uid))
        .map(|row| row.uid)
        .collect();
    let found = junk.iter().filter(|uid| dropped.contains(uid)).count();
    assert!(junk.len() > 30, "{}", junk.len());
    assert!(found * 10 >= junk.len() * 8, "recall: {found} of {}", junk.len());
    assert!(found * 10 >= dropped.len() * 8, "precision: {found} of {}", dropped.len());
    assert!(twins > 80 && near as f64 >= 0.87 * f64::from(twins), "{near} of {twins} twins are above 0.95");
}
