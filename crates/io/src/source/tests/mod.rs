//! Every layout, written as its makers write it and opened again.
mod arrays;
mod parquet;
mod pixels;
mod samples;

use super::{Dataset, OpenOptions};
use crate::{Result, tables::Batches};
use arrow::array::RecordBatch;
use std::path::Path;

fn open(path: &Path) -> Result<Dataset> {
    Dataset::open(&OpenOptions::new(path.to_str().unwrap()))
}

/// All rows of a stream as one batch.
fn whole(batches: Batches) -> RecordBatch {
    let batches: Vec<RecordBatch> = batches.collect::<Result<_>>().unwrap();
    arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap()
}

fn text_column(dataset: &Dataset, shard: u32, name: &str) -> Vec<String> {
    let batch = whole(dataset.read_columns(shard, &[name], 3).unwrap());
    let column = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8).unwrap();
    arrow::array::AsArray::as_string::<i32>(&column)
        .iter()
        .map(|text| text.unwrap_or("(null)").to_owned())
        .collect()
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        if item.path().is_dir() {
            copy_folder(&item.path(), &to.join(item.file_name()));
        } else {
            std::fs::copy(item.path(), to.join(item.file_name())).unwrap();
        }
    }
}
