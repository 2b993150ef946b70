//! The last phase: each row gets the verdict of its cluster, from `verdicts.parquet`.
use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, StringBuilder},
    datatypes::{DataType, Field, Int32Type},
};
use cribble_core::{Error, Result};
use cribble_pipeline::{StepContext, TaskOutput, Unit, Verdicts, read_column};

use super::{COLUMNS, Judge, write};
use crate::{captions::texts, values::to_value};

impl Judge {
    /// Gives every row of a shard the verdict of its cluster.
    pub(super) fn apply(&self, context: &StepContext<'_>, shard: Unit) -> Result<TaskOutput> {
        let table = Table::read(context)?;
        let uids = context.uids(shard)?;
        let kept = context.kept(shard, &uids)?;
        let clusters = context.step_column(Self::clustering(context)?, shard, &uids, "cluster")?;
        let clusters = clusters.as_primitive::<Int32Type>();
        let mut verdicts = Verdicts::new(uids.len());
        let mut columns = COLUMNS.map(|_| StringBuilder::new());
        let mut rows = BTreeMap::<String, u64>::new();
        for (row, &kept) in kept.iter().enumerate() {
            let said = (kept && clusters.is_valid(row)).then(|| table.0.get(&clusters.value(row))).flatten();
            let Some(said) = said else {
                columns.iter_mut().for_each(StringBuilder::append_null);
                if kept {
                    return Err(Error::bug(format!(
                        "row {row} of {} has no verdict",
                        context.shard_name(shard)
                    )));
                }
                continue;
            };
            let [verdict, title, category] = &mut columns;
            verdict.append_value(&said.verdict);
            title.append_option(said.title.as_deref());
            category.append_option(said.category.as_deref());
            *rows.entry(said.verdict.clone()).or_default() += 1;
            match said.keep {
                true => verdicts.keep(row),
                false => verdicts.drop(row, &said.reason),
            }
        }
        let columns: Vec<(Field, ArrayRef)> = COLUMNS
            .into_iter()
            .zip(&mut columns)
            .map(|(name, column)| {
                (Field::new(name, DataType::Utf8, true), Arc::new(column.finish()) as ArrayRef)
            })
            .collect();
        Ok(TaskOutput {
            bytes_written: context.write_verdicts(shard, &uids, &verdicts, columns, &[])?,
            counts: verdicts.counts(),
            data: to_value(&rows)?,
            ..TaskOutput::default()
        })
    }
}

/// `verdicts.parquet` as rows need it.
struct Table(BTreeMap<i32, Said>);

struct Said {
    verdict: String,
    title: Option<String>,
    category: Option<String>,
    keep: bool,
    reason: Arc<str>,
}

impl Table {
    fn read(context: &StepContext<'_>) -> Result<Self> {
        let path = context.folder.join(write::VERDICTS);
        let text = |name: &str| -> Result<Vec<Option<String>>> {
            let column = texts(&read_column(&path, name)?)?;
            Ok(column.iter().map(|text| text.map(str::to_owned)).collect())
        };
        let (clusters, keep) = (read_column(&path, "cluster")?, read_column(&path, "keep")?);
        let (clusters, keep) = (clusters.as_primitive::<Int32Type>(), keep.as_boolean());
        let (verdicts, titles, categories, decided) =
            (text("verdict")?, text("title")?, text("category")?, text("decided_by")?);
        let mut rows = BTreeMap::new();
        let all = verdicts.into_iter().zip(titles).zip(categories).zip(decided);
        for (at, (((verdict, title), category), decided)) in all.enumerate() {
            let verdict = verdict.unwrap_or_default();
            let reason = decided.unwrap_or_else(|| format!("cluster judged {verdict}"));
            let said = Said { keep: keep.value(at), reason: reason.into(), verdict, title, category };
            rows.insert(clusters.value(at), said);
        }
        Ok(Self(rows))
    }
}
