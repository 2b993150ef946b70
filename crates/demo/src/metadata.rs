//! The parquet half of a metadata shard, in DataComp's schema. Face boxes are given where a smiley was drawn and nowhere else, which
//! is all that a pool without people can offer to tools that blur faces.
use crate::DemoError;
use crate::caption::caption;
use crate::random::Purpose;
use crate::sample::{Edit, Sample, World};
use arrow::array::{
    ArrayRef, Float32Array, Int64Array, ListBuilder, PrimitiveBuilder, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Field, Float64Type, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use rayon::prelude::*;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One way of writing parquet for the whole pool: snappy as DataComp has it, row groups of 100,000 rows.
pub(crate) fn writer_properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(100_000))
        .build()
}

/// The address that a row was "downloaded" from: reserved example domains, so that nobody is ever asked.
pub(crate) fn url(world: &World, row: u64) -> String {
    let mut stream = world.stream(Purpose::Url, row);
    let host = stream.pick(&["images", "cdn", "static", "media", "photos", "img1", "shop", "blog"]);
    let domain = stream.pick(&["example.com", "example.org", "example.net"]);
    let folder = stream.pick(&["uploads", "wp-content", "products", "gallery", "2019/07", "p"]);
    format!("https://{host}.{domain}/{folder}/{:012x}.jpg", stream.next() >> 16)
}

/// Boxes of faces as shares of the image: left, top, right, bottom.
pub(crate) fn faces(sample: &Sample) -> Vec<[f64; 4]> {
    if sample.latents.concept().key != "smiley" || sample.latents.count != 1 {
        return Vec::new();
    }
    let (width, height) = (sample.drawn.0 as f32, sample.drawn.1 as f32);
    let short = width.min(height);
    let (half_x, half_y) = (width / short, height / short);
    // As `Look::scatter` places a single thing, but for its small jitter.
    let radius = 0.66 + 0.26 * sample.latents.size;
    let (x, y) = (
        0.8 * sample.latents.x * (half_x - radius).max(0.0),
        0.8 * sample.latents.y * (half_y - radius).max(0.0),
    );
    let part = |value: f32, half: f32| (value / half + 1.0) / 2.0;
    let mut face = [
        part(x - radius, half_x),
        part(y - radius, half_y),
        part(x + radius, half_x),
        part(y + radius, half_y),
    ];
    match sample.edit {
        Edit::Crop([left, top, right, bottom]) => {
            face = [
                (face[0] - left) / (right - left),
                (face[1] - top) / (bottom - top),
                (face[2] - left) / (right - left),
                (face[3] - top) / (bottom - top),
            ];
        }
        Edit::Mirror => face = [1.0 - face[2], face[1], 1.0 - face[0], face[3]],
        _ => {}
    }
    vec![face.map(|side| f64::from(side.clamp(0.0, 1.0)))]
}

fn schema() -> Arc<Schema> {
    let text = |name| Field::new(name, DataType::Utf8, true);
    let numbers = DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true)));
    Arc::new(Schema::new(vec![
        text("uid"),
        text("url"),
        text("text"),
        Field::new("original_width", DataType::Int64, true),
        Field::new("original_height", DataType::Int64, true),
        Field::new("clip_b32_similarity_score", DataType::Float32, true),
        Field::new("clip_l14_similarity_score", DataType::Float32, true),
        Field::new("face_bboxes", DataType::List(Arc::new(Field::new_list_field(numbers, true))), true),
        text("sha256"),
    ]))
}

pub(crate) struct MetadataWriter {
    path: PathBuf,
    writer: ArrowWriter<File>,
}

impl MetadataWriter {
    pub fn create(path: &Path) -> Result<Self, DemoError> {
        let file = File::create(path).map_err(DemoError::io("create", path))?;
        let writer = ArrowWriter::try_new(file, schema(), Some(writer_properties()))
            .map_err(DemoError::parquet(path))?;
        Ok(Self { path: path.to_owned(), writer })
    }

    /// Writes a block of rows; the three slices beside the samples are parallel to them.
    pub fn write(
        &mut self,
        world: &World,
        samples: &[Sample],
        b32: &[f32],
        l14: &[f32],
        sha256: &[[u8; 32]],
    ) -> Result<(), DemoError> {
        let texts: Vec<[String; 3]> = samples
            .par_iter()
            .map(|sample| {
                [world.uid(sample.row).to_string(), url(world, sample.row), caption(world, &sample.caption)]
            })
            .collect();
        let text = |place: usize| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(texts.iter().map(|text| text[place].as_str())))
        };
        let sides = |of: fn(&Sample) -> u32| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(samples.iter().map(|sample| i64::from(of(sample)))))
        };
        let mut boxes = ListBuilder::new(ListBuilder::new(PrimitiveBuilder::<Float64Type>::new()));
        for sample in samples {
            for face in faces(sample) {
                boxes.values().values().append_slice(&face);
                boxes.values().append(true);
            }
            boxes.append(true);
        }
        let columns: Vec<ArrayRef> = vec![
            text(0),
            text(1),
            text(2),
            sides(|sample| sample.original.0),
            sides(|sample| sample.original.1),
            Arc::new(Float32Array::from_iter_values(b32.iter().copied())),
            Arc::new(Float32Array::from_iter_values(l14.iter().copied())),
            Arc::new(boxes.finish()),
            Arc::new(StringArray::from_iter_values(sha256.iter().map(hex))),
        ];
        let batch = RecordBatch::try_new(schema(), columns).map_err(DemoError::arrow(&self.path))?;
        self.writer.write(&batch).map_err(DemoError::parquet(&self.path))
    }

    pub fn finish(self) -> Result<(), DemoError> {
        self.writer.close().map(|_| ()).map_err(DemoError::parquet(&self.path))
    }
}

/// Lower-case hexadecimal text of a hash.
pub(crate) fn hex(hash: &[u8; 32]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    hash.iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| DIGITS[usize::from(digit)] as char)
        .collect()
}
