//! The columns of the table and the same in the words of Hugging Face's `datasets`: the metadata key `huggingface` of a parquet file says which
//! column is an image. Without it the struct would be read as a struct.
use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use cribble_core::{Error, Result};
use serde_json::{Map, Value, json};

/// The key of the metadata.
pub const KEY: &str = "huggingface";
/// Name of the column with the pictures.
pub const IMAGE: &str = "image";

/// `bytes` and `path`, as `datasets.Image` stores a picture.
pub fn image_fields() -> Fields {
    vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)].into()
}

/// `uid`, `image`, and the columns of a run's rows, in types that every version of `datasets` knows.
///
/// # Errors
/// A column of the rows has the name of one of the first two.
pub fn schema(rows: &Schema) -> Result<SchemaRef> {
    // Nullable although nothing is null: `datasets` believes a feature only where the field is the one that it would write itself.
    let mut fields = vec![
        Field::new("uid", DataType::Utf8, true),
        Field::new(IMAGE, DataType::Struct(image_fields()), true),
    ];
    for field in rows.fields() {
        if fields[..2].iter().any(|own| own.name() == field.name()) {
            return Err(Error::usage(format!("a column of the run is called '{}'", field.name())).with_hint(
                "the export has one of that name: give the score of the embed step another name",
            ));
        }
        fields.push(Field::new(field.name(), plain(field.data_type()), true));
    }
    let schema = Schema::new(fields);
    // Arrow keeps a schema of its own in a parquet file, and pyarrow takes the metadata of that one.
    let metadata = HashMap::from([(KEY.to_owned(), metadata(&schema))]);
    Ok(Arc::new(schema.with_metadata(metadata)))
}

/// The type in which a column is written.
fn plain(kind: &DataType) -> DataType {
    let item = |field: &Field| Arc::new(Field::new("item", plain(field.data_type()), true));
    match kind {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::Dictionary(_, values) => plain(values),
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            DataType::List(item(field))
        }
        kind if word(kind).is_some() => kind.clone(),
        // Dates and the like: their text is what a caption's table needs.
        _ => DataType::Utf8,
    }
}

/// What `datasets` calls a type of single values.
fn word(kind: &DataType) -> Option<&'static str> {
    Some(match kind {
        DataType::Utf8 => "string",
        DataType::Boolean => "bool",
        DataType::Int8 => "int8",
        DataType::Int16 => "int16",
        DataType::Int32 => "int32",
        DataType::Int64 => "int64",
        DataType::UInt8 => "uint8",
        DataType::UInt16 => "uint16",
        DataType::UInt32 => "uint32",
        DataType::UInt64 => "uint64",
        DataType::Float16 => "float16",
        DataType::Float32 => "float32",
        DataType::Float64 => "float64",
        _ => return None,
    })
}

/// What stands under [`KEY`].
pub fn metadata(schema: &Schema) -> String {
    let features: Map<String, Value> = schema
        .fields()
        .iter()
        .map(|field| {
            let feature =
                if field.name() == IMAGE { json!({ "_type": "Image" }) } else { feature(field.data_type()) };
            (field.name().clone(), feature)
        })
        .collect();
    json!({ "info": { "features": features } }).to_string()
}

fn feature(kind: &DataType) -> Value {
    match kind {
        // `Sequence` is read by old and new versions alike; `List` only since version 4.
        DataType::List(field) => json!({ "feature": feature(field.data_type()), "_type": "Sequence" }),
        kind => json!({ "dtype": word(kind).unwrap_or("string"), "_type": "Value" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_a_feature_and_pictures_are_images() {
        let list = DataType::LargeList(Arc::new(Field::new("x", DataType::LargeUtf8, true)));
        let rows = Schema::new(vec![
            Field::new("text", DataType::Utf8View, true),
            Field::new("clip_score", DataType::Float32, true),
            Field::new("tags", list, true),
            Field::new("day", DataType::Date32, true),
        ]);
        let schema = schema(&rows).unwrap();
        let features: Value = serde_json::from_str(&metadata(&schema)).unwrap();
        let features = &features["info"]["features"];
        assert!(
            schema.fields().iter().all(|field| field.is_nullable()),
            "datasets would ignore the features"
        );
        assert_eq!(schema.metadata()[KEY], metadata(&schema));
        assert_eq!(features["image"], json!({ "_type": "Image" }));
        assert_eq!(features["text"], json!({ "dtype": "string", "_type": "Value" }));
        assert_eq!(features["clip_score"]["dtype"], "float32");
        assert_eq!(features["tags"]["feature"]["dtype"], "string");
        assert_eq!(features["day"]["dtype"], "string");
        assert_eq!(features.as_object().unwrap().len(), schema.fields().len());
        assert!(super::schema(&Schema::new(vec![Field::new("image", DataType::Int32, true)])).is_err());
    }
}
