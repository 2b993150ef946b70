//! The image side of a pool, as img2dataset writes it: webdataset tars with `{key}.jpg`, `.json` and `.txt`, a parquet that also lists the
//! failures, and a stats file. Rows go to tars in a random order, so that metadata and tars are cut differently, as in DataComp.
//! Times are written as 0, because the bytes must depend on nothing but the options.
use crate::DemoError;
use crate::caption::caption;
use crate::metadata::{faces, hex, url, writer_properties};
use crate::random::Purpose;
use crate::render::Renderer;
use crate::sample::{Sample, World};
use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use rayon::prelude::*;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

/// The rows in the order in which they go to tars: a shuffle by the pool's seed. Four bytes a row.
pub(crate) fn tar_order(world: &World) -> Vec<u32> {
    let mut order: Vec<u32> = (0..world.rows as u32).collect();
    let mut stream = world.stream(Purpose::Order, 0);
    for end in (1..order.len()).rev() {
        order.swap(end, stream.below(end as u64 + 1) as usize);
    }
    order
}

/// One sample on its way to a tar.
struct Packed {
    sample: Sample,
    /// The JPEG; for a failed download it exists for its hash only.
    jpeg: Vec<u8>,
    sha256: [u8; 32],
}

/// Why a planted download failed, in img2dataset's words.
fn failure(world: &World, row: u64) -> &'static str {
    let mut stream = world.stream(Purpose::Download, row);
    stream.next();
    let reasons: &[&'static str] = &[
        "HTTP Error 404: Not Found",
        "HTTP Error 403: Forbidden",
        "<urlopen error timed out>",
        "HTTP Error 410: Gone",
    ];
    reasons[stream.below(reasons.len() as u64) as usize]
}

/// Draws the images of one tar and writes its three files. Puts each row's hash into `hashes[row]`. Returns the number of images.
pub(crate) fn write_tar(
    world: &World,
    folder: &Path,
    tar: u64,
    samples_per_tar: u64,
    rows: &[u32],
    hashes: &mut [[u8; 32]],
) -> Result<u64, DemoError> {
    let packed: Vec<Packed> = rows
        .par_iter()
        .with_max_len(32)
        .map_init(Renderer::default, |renderer, &row| {
            let sample = world.sample(u64::from(row));
            let jpeg = renderer.jpeg(&sample)?;
            let sha256 = Sha256::digest(&jpeg).into();
            Ok(Packed { sample, jpeg, sha256 })
        })
        .collect::<Result<_, DemoError>>()?;
    for one in &packed {
        hashes[one.sample.row as usize] = one.sha256;
    }

    // img2dataset's keys: the place in the shard in as many digits as the shard size needs, after the shard's number.
    let digits = samples_per_tar.saturating_sub(1).checked_ilog10().map_or(1, |log| log as usize + 1);
    let keys: Vec<String> = (0..packed.len()).map(|place| format!("{tar:08}{place:0digits$}")).collect();
    let records: Vec<serde_json::Value> =
        packed.iter().zip(&keys).map(|(one, key)| record(world, one, key)).collect();

    let path = folder.join(format!("{tar:08}.tar"));
    let file = File::create(&path).map_err(DemoError::io("create", &path))?;
    let mut writer = TarWriter { writer: BufWriter::with_capacity(1 << 20, file), bytes: 0 };
    let io = || DemoError::io("write", &path);
    for ((one, key), record) in packed.iter().zip(&keys).zip(&records) {
        if one.sample.has_image {
            // webdataset writes the members of a sample in the order of their names.
            writer.member(&format!("{key}.jpg"), &one.jpeg).map_err(io())?;
            writer.member(&format!("{key}.json"), record.to_string().as_bytes()).map_err(io())?;
            let text = record["caption"].as_str().unwrap_or_default();
            writer.member(&format!("{key}.txt"), text.as_bytes()).map_err(io())?;
        }
    }
    writer.finish().map_err(io())?;

    let successes = packed.iter().filter(|one| one.sample.has_image).count() as u64;
    write_table(&folder.join(format!("{tar:08}.parquet")), &records)?;
    write_stats(&folder.join(format!("{tar:08}_stats.json")), &records, successes)?;
    Ok(successes)
}

fn record(world: &World, one: &Packed, key: &str) -> serde_json::Value {
    let sample = &one.sample;
    let there = sample.has_image;
    let size = |side: u32| if there { json!(side) } else { json!(null) };
    json!({
        "uid": world.uid(sample.row).to_string(),
        "face_bboxes": faces(sample),
        "url": url(world, sample.row),
        "caption": caption(world, &sample.caption),
        "key": key,
        "status": if there { "success" } else { "failed_to_download" },
        "error_message": if there { json!(null) } else { json!(failure(world, sample.row)) },
        "width": size(sample.stored.0),
        "height": size(sample.stored.1),
        "original_width": size(sample.original.0),
        "original_height": size(sample.original.1),
        "exif": if there { json!("{}") } else { json!(null) },
        "sha256": if there { json!(hex(&one.sha256)) } else { json!(null) },
    })
}

fn write_table(path: &Path, records: &[serde_json::Value]) -> Result<(), DemoError> {
    let texts = ["uid", "url", "caption", "key", "status", "error_message"];
    let sides = ["width", "height", "original_width", "original_height"];
    let mut fields: Vec<Field> = texts.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect();
    fields.extend(sides.iter().map(|name| Field::new(*name, DataType::Int32, true)));
    fields.extend(["exif", "sha256"].map(|name| Field::new(name, DataType::Utf8, true)));
    let text = |name: &str| -> ArrayRef {
        Arc::new(records.iter().map(|record| record[name].as_str()).collect::<StringArray>())
    };
    let number = |name: &str| -> ArrayRef {
        Arc::new(
            records
                .iter()
                .map(|record| record[name].as_i64().map(|side| side as i32))
                .collect::<Int32Array>(),
        )
    };
    let mut columns: Vec<ArrayRef> = texts.iter().map(|name| text(name)).collect();
    columns.extend(sides.iter().map(|name| number(name)));
    columns.extend(["exif", "sha256"].map(text));
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(schema.clone(), columns).map_err(DemoError::arrow(path))?;
    let file = File::create(path).map_err(DemoError::io("create", path))?;
    let mut writer =
        ArrowWriter::try_new(file, schema, Some(writer_properties())).map_err(DemoError::parquet(path))?;
    writer.write(&batch).map_err(DemoError::parquet(path))?;
    writer.close().map(|_| ()).map_err(DemoError::parquet(path))
}

fn write_stats(path: &Path, records: &[serde_json::Value], successes: u64) -> Result<(), DemoError> {
    let mut statuses = std::collections::BTreeMap::<&str, u64>::new();
    for record in records {
        *statuses.entry(record["error_message"].as_str().unwrap_or("success")).or_default() += 1;
    }
    let stats = json!({
        "count": records.len(),
        "successes": successes,
        "failed_to_download": records.len() as u64 - successes,
        "failed_to_resize": 0,
        "duration": 0.0,
        "start_time": 0.0,
        "end_time": 0.0,
        "status_dict": statuses,
    });
    std::fs::write(path, format!("{stats:#}")).map_err(DemoError::io("write", path))
}

/// A ustar writer for small regular files with short names: all that a pool's tars hold.
struct TarWriter<W: Write> {
    writer: W,
    bytes: u64,
}

impl<W: Write> TarWriter<W> {
    fn member(&mut self, name: &str, data: &[u8]) -> std::io::Result<()> {
        self.writer.write_all(&tar_header(name, data.len() as u64))?;
        self.writer.write_all(data)?;
        let padding = data.len().next_multiple_of(512) - data.len();
        self.writer.write_all(&[0u8; 512][..padding])?;
        self.bytes += 512 + (data.len() + padding) as u64;
        Ok(())
    }

    /// Two empty blocks, then zeros up to a record of 10,240 bytes, as Python's tarfile ends a tar.
    fn finish(mut self) -> std::io::Result<()> {
        let end = (self.bytes + 1024).next_multiple_of(10_240);
        self.writer.write_all(&vec![0u8; (end - self.bytes) as usize])?;
        self.writer.flush()
    }
}

/// A ustar header with webdataset's owner and mode and the time 0. `name` must be shorter than 100 bytes, the file than 8 GiB.
fn tar_header(name: &str, size: u64) -> [u8; 512] {
    let mut header = [0u8; 512];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, b"0000444\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    put(265, b"bigdata");
    put(297, b"bigdata");
    put(329, b"0000000\0");
    put(337, b"0000000\0");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}
