//! What a judge leaves: `verdicts.parquet` and `samples.parquet` for programs, and the files of the luvdatacomp flow, under the names and in
//! the forms that its scripts read.
use std::{collections::BTreeMap, fmt::Write as _, path::Path, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BooleanArray, Float32Array, Float64Array, Int32Array, ListBuilder, StringArray,
        StringBuilder, UInt32Array, UInt64Array,
    },
    datatypes::{Field, Schema},
};
use cribble_core::{Error, Result};
use cribble_io::csv_field;
use cribble_pipeline::{StepContext, write_columns};
use serde_json::{Map, json};

use super::{
    gather::{Group, Member, Sample},
    ruling::Ruling,
};

/// The verdicts, a row a cluster.
pub const VERDICTS: &str = "verdicts.parquet";

fn table(path: &Path, columns: Vec<(&str, ArrayRef)>) -> Result<()> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect();
    write_columns(path, Schema::new(fields), columns.into_iter().map(|(_, column)| column).collect())
}

/// Cluster, verdict, reason, title, category, language, flags, votes, answers word for word, and the facts that the rules look at.
pub fn verdicts(folder: &Path, rulings: &BTreeMap<u32, Ruling>) -> Result<()> {
    let text = |of: &dyn Fn(&Ruling) -> Option<String>| -> ArrayRef {
        Arc::new(rulings.values().map(of).collect::<StringArray>())
    };
    let number = |of: &dyn Fn(&Ruling) -> Option<f64>| -> ArrayRef {
        Arc::new(rulings.values().map(of).collect::<Float64Array>())
    };
    let mut answers = ListBuilder::new(StringBuilder::new());
    for ruling in rulings.values() {
        ruling.answers.iter().for_each(|answer| answers.values().append_value(answer));
        answers.append(true);
    }
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    table(
        &folder.join(VERDICTS),
        vec![
            (
                "cluster",
                Arc::new(rulings.keys().map(|&cluster| Some(cluster as i32)).collect::<Int32Array>()),
            ),
            ("size", Arc::new(rulings.values().map(|ruling| Some(ruling.size)).collect::<UInt64Array>())),
            ("verdict", text(&|ruling| Some(ruling.verdict.into()))),
            ("keep", Arc::new(rulings.values().map(|ruling| Some(ruling.keep)).collect::<BooleanArray>())),
            ("reason", text(&|ruling| some(&ruling.reason))),
            ("title", text(&|ruling| some(&ruling.title))),
            ("category", text(&|ruling| some(&ruling.category))),
            ("language", text(&|ruling| some(&ruling.language))),
            ("flags", text(&|ruling| some(&ruling.flags.join(", ")))),
            ("votes", Arc::new(rulings.values().map(|ruling| Some(ruling.votes)).collect::<UInt32Array>())),
            ("agreement", number(&|ruling| Some(ruling.agreement))),
            ("decided_by", text(&|ruling| ruling.decided_by.clone())),
            ("answers", Arc::new(answers.finish())),
            ("profiled", number(&|ruling| Some(ruling.profile.drawn as f64))),
            ("repeated", number(&|ruling| Some(ruling.profile.repeated))),
            ("junk", number(&|ruling| Some(ruling.profile.junk))),
            ("mean_score", number(&|ruling| ruling.profile.mean_score)),
            ("mean_dist", number(&|ruling| Some(ruling.profile.mean_dist))),
            ("languages", text(&|ruling| some(&ruling.profile.languages_text()))),
        ],
    )
}

/// What the judge was shown, in order: the proof of its verdicts.
pub fn samples(context: &StepContext<'_>, clusters: &BTreeMap<u32, Sample>) -> Result<()> {
    let rows: Vec<(u32, Group, usize, &Member)> = clusters
        .iter()
        .flat_map(|(&cluster, sample)| {
            let groups = Group::SHOWN.into_iter().zip(&sample.shown);
            groups.flat_map(move |(group, members)| {
                members.iter().enumerate().map(move |(rank, member)| (cluster, group, rank, member))
            })
        })
        .collect();
    let text = |of: &dyn Fn(&Member) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(|(.., member)| of(member)).collect::<StringArray>())
    };
    table(
        &context.folder.join("samples.parquet"),
        vec![
            ("cluster", Arc::new(rows.iter().map(|row| Some(row.0 as i32)).collect::<Int32Array>())),
            ("group", Arc::new(rows.iter().map(|row| Some(row.1.name())).collect::<StringArray>())),
            ("rank", Arc::new(rows.iter().map(|row| Some(row.2 as u32)).collect::<UInt32Array>())),
            ("uid", text(&|member| Some(member.uid.to_string()))),
            ("shard", text(&|member| Some(context.shard_name(member.row.shard()).into()))),
            ("row", Arc::new(rows.iter().map(|row| Some(row.3.row.row())).collect::<UInt32Array>())),
            ("centroid_sim", Arc::new(rows.iter().map(|row| Some(row.3.sim)).collect::<Float32Array>())),
            ("caption", text(&|member| member.caption.clone())),
        ],
    )
}

/// `cluster_samples.json`, `classifications.json` (the raw answers) and `classifications.csv`: the files of luvdatacomp's `cluster.py`,
/// `classify.py` and `parse_classifications.py`. Verdicts that are neither word stand as they are, where its parser left nothing.
pub fn luvdatacomp(
    folder: &Path,
    clusters: &BTreeMap<u32, Sample>,
    rulings: &BTreeMap<u32, Ruling>,
) -> Result<()> {
    let captions =
        |members: &[Member]| members.iter().filter_map(|member| member.caption.clone()).collect::<Vec<_>>();
    let (mut samples, mut raw) = (Map::new(), Map::new());
    let mut csv = String::from("Cluster,Reason,Classification\n");
    for (cluster, sample) in clusters {
        let name = format!("Cluster_{cluster}");
        let [nearest, farthest, _] = &sample.shown;
        let shown = json!({"closest_samples": captions(nearest), "furthest_samples": captions(farthest)});
        samples.insert(name.clone(), shown);
        let Some(ruling) = rulings.get(cluster) else { continue };
        raw.insert(
            name.clone(),
            ruling.answers.first().map_or_else(|| json!(ruling.reason), |text| json!(text)),
        );
        let word = match (ruling.verdict, &ruling.decided_by, ruling.keep) {
            ("acceptable", None, _) | (_, Some(_), true) => "Acceptable",
            ("unacceptable", None, _) | (_, Some(_), false) => "Unacceptable",
            (unsure, None, _) => unsure,
        };
        writeln!(csv, "{name},{},{word}", csv_field(&ruling.reason))
            .map_err(|error| Error::bug(error.to_string()))?;
    }
    let pretty = |map: &Map<String, serde_json::Value>| {
        serde_json::to_string_pretty(map).map_err(|error| Error::bug(error.to_string()))
    };
    cribble_io::write_file(&folder.join("cluster_samples.json"), pretty(&samples)?.as_bytes())?;
    cribble_io::write_file(&folder.join("classifications.json"), pretty(&raw)?.as_bytes())?;
    Ok(cribble_io::write_file(&folder.join("classifications.csv"), csv.as_bytes())?)
}
