//! The parquet half of a metadata shard, in DataComp's schema.
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

/// One way of writing parquet for the whole pool: snappy as DataComp has it, row groups of 100,000 rows, no dictionary surprises.
pub(crate) fn writer_properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(100_000))
        .build()
}
