//! Writes subsets, one uid after the other, in ascending order. The `.npy` is byte for byte what `numpy.save` writes for DataComp's baselines;
//! its header has room for any count, so it is filled in at the end.
use super::{SubsetFormat, keys::TrieStream};
use crate::{
    AtomicFile, IoError, Result,
    npy::{ElementType, NpyWriter},
};
use arrow::{
    array::{ArrayRef, RecordBatch, StringBuilder},
    datatypes::{DataType, Field, Schema},
};
use cribble_core::Uid;
use parquet::{arrow::ArrowWriter, basic::Compression, file::properties::WriterProperties};
use std::{io::Write, path::Path, sync::Arc};

/// Writes one subset file; it gets its name when [`SubsetWriter::finish`] is called, never half.
pub struct SubsetWriter {
    kind: Kind,
    last: Option<Uid>,
    count: u64,
}

enum Kind {
    Npy(NpyWriter),
    Raw(AtomicFile),
    Text(AtomicFile),
    Table(Box<ArrowWriter<AtomicFile>>, StringBuilder),
    /// The uid whose copies are being counted is held back.
    Trie(AtomicFile, TrieStream, Option<(Uid, u64)>),
}

const BATCH: u64 = 65536;

impl SubsetWriter {
    /// Starts a file. Parquet and csv get one column, `uid`, as hex text. A trie counts copies in its values.
    pub fn create(path: &Path, format: SubsetFormat) -> Result<Self> {
        let file = || AtomicFile::create(path);
        let fail = |e| IoError::write(path, "write", None, e);
        let kind = match format {
            SubsetFormat::Npy => Kind::Npy(NpyWriter::create(path, ElementType::UidPair, None)?),
            SubsetFormat::Raw => Kind::Raw(file()?),
            SubsetFormat::Txt => Kind::Text(file()?),
            SubsetFormat::Csv => {
                let mut file = file()?;
                file.write_all(b"uid\n").map_err(fail)?;
                Kind::Text(file)
            }
            SubsetFormat::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(Default::default()))
                    .build();
                let writer = ArrowWriter::try_new(file()?, schema(), Some(properties))
                    .map_err(|source| IoError::Parquet { path: path.into(), source })?;
                Kind::Table(Box::new(writer), StringBuilder::new())
            }
            SubsetFormat::Trie => {
                let mut file = file()?;
                let stream = TrieStream::start(&mut file).map_err(fail)?;
                Kind::Trie(file, stream, None)
            }
        };
        Ok(Self { kind, last: None, count: 0 })
    }

    /// Adds a uid, which must not be smaller than the one before it; a smaller one is refused, because readers search by halving.
    pub fn push(&mut self, uid: Uid) -> Result<()> {
        if let Some(last) = self.last
            && uid < last
        {
            let expected = format!("a uid of at least {last}: subsets are written in order");
            return Err(IoError::BadRow {
                path: self.path().into(),
                row: self.count,
                expected,
                found: uid.to_string(),
            });
        }
        self.last = Some(uid);
        self.count += 1;
        let written = match &mut self.kind {
            Kind::Npy(file) => return file.write_uids(&[uid]),
            Kind::Raw(file) => {
                let (high, low) = uid.halves();
                file.write_all(&high.to_le_bytes()).and_then(|()| file.write_all(&low.to_le_bytes()))
            }
            Kind::Text(file) => writeln!(file, "{uid}"),
            Kind::Table(_, builder) => {
                builder.append_value(uid.to_string());
                if self.count.is_multiple_of(BATCH) {
                    self.flush_batch()?
                }
                Ok(())
            }
            Kind::Trie(file, stream, waiting) => match waiting {
                Some((same, copies)) if *same == uid => {
                    *copies += 1;
                    Ok(())
                }
                _ => match waiting.replace((uid, 1)) {
                    Some((before, copies)) => stream.push(file, &before.to_string(), copies),
                    None => Ok(()),
                },
            },
        };
        written.map_err(|e| IoError::write(self.path(), "write", None, e))
    }

    /// Uids so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Completes the file and gives it its name. Returns the number of uids.
    pub fn finish(mut self) -> Result<u64> {
        self.flush_batch()?;
        let path = self.path().to_owned();
        let fail = |e| IoError::write(&path, "write", None, e);
        match self.kind {
            Kind::Npy(file) => drop(file.finish()?),
            Kind::Raw(file) | Kind::Text(file) => file.commit()?,
            Kind::Table(writer, _) => {
                let file =
                    writer.into_inner().map_err(|source| IoError::Parquet { path: path.clone(), source })?;
                file.commit()?;
            }
            Kind::Trie(mut file, mut stream, waiting) => {
                if let Some((uid, copies)) = waiting {
                    stream.push(&mut file, &uid.to_string(), copies).map_err(fail)?;
                }
                stream.finish(&mut file).map_err(fail)?;
                file.commit()?;
            }
        }
        Ok(self.count)
    }

    fn path(&self) -> &Path {
        match &self.kind {
            Kind::Npy(file) => file.path(),
            Kind::Raw(file) | Kind::Text(file) | Kind::Trie(file, ..) => file.final_path(),
            Kind::Table(writer, _) => writer.inner().final_path(),
        }
    }

    fn flush_batch(&mut self) -> Result<()> {
        if let Kind::Table(writer, builder) = &mut self.kind {
            let path = writer.inner().final_path().to_owned();
            let column: ArrayRef = Arc::new(builder.finish());
            let batch = RecordBatch::try_new(schema(), vec![column])
                .map_err(|source| IoError::Arrow { path: path.clone(), source })?;
            writer.write(&batch).map_err(|source| IoError::Parquet { path, source })?;
        }
        Ok(())
    }
}

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![Field::new("uid", DataType::Utf8, false)]))
}
