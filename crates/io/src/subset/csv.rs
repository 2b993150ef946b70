//! The one column `uid` of a comma-separated file, read as a stream. Fields may be quoted and hold commas, quotes and line ends
//! (captions do); everything but the wanted column is passed over.
use crate::{IoError, Result, SourceFile, storage::ReadAtCursor};
use std::io::{BufRead, BufReader};

/// A field longer than this cannot be a uid; no more of it is kept.
const KEPT: usize = 256;

pub(super) struct CsvColumn {
    file: SourceFile,
    reader: BufReader<ReadAtCursor>,
    column: usize,
    row: u64,
}

/// One record: the fields, each cut to [`KEPT`] bytes.
type Fields = Vec<Vec<u8>>;

impl CsvColumn {
    pub fn open(file: SourceFile, name: &str) -> Result<Self> {
        let reader = BufReader::with_capacity(256 * 1024, file.cursor());
        let mut csv = Self { reader, file, column: 0, row: 0 };
        let mut header = csv.record(usize::MAX)?.unwrap_or_default();
        if let Some(first) = header.first_mut()
            && first.starts_with(b"\xef\xbb\xbf")
        {
            first.drain(..3);
        }
        let names: Vec<String> =
            header.iter().map(|field| String::from_utf8_lossy(field.trim_ascii()).into_owned()).collect();
        csv.column = names.iter().position(|have| have == name).ok_or_else(|| IoError::MissingColumn {
            path: csv.file.path().into(),
            name: name.into(),
            available: names,
        })?;
        Ok(csv)
    }

    /// The next value with its row; rows are counted from 0 after the header. Blank lines are passed over.
    pub fn next_value(&mut self) -> Result<Option<(u64, Vec<u8>)>> {
        while let Some(mut fields) = self.record(self.column)? {
            let row = self.row;
            self.row += 1;
            if fields.len() == 1 && fields[0].is_empty() && self.column > 0 {
                continue;
            }
            if self.column >= fields.len() {
                return Err(IoError::BadRow {
                    path: self.file.path().into(),
                    row,
                    expected: format!("at least {} fields", self.column + 1),
                    found: fields.len().to_string(),
                });
            }
            return Ok(Some((row, fields.swap_remove(self.column))));
        }
        Ok(None)
    }

    /// One record; of the fields, only those up to `last` hold text.
    fn record(&mut self, last: usize) -> Result<Option<Fields>> {
        let mut fields: Fields = vec![Vec::new()];
        let (mut quoted, mut after_quote, mut any) = (false, false, false);
        loop {
            let fail = |e| IoError::read(self.file.path(), Some(0), e);
            let bytes = self.reader.fill_buf().map_err(fail)?;
            if bytes.is_empty() {
                return if quoted {
                    Err(IoError::BadRow {
                        path: self.file.path().into(),
                        row: self.row,
                        expected: "a closing quote".into(),
                        found: "the end of the file".into(),
                    })
                } else {
                    Ok(any.then_some(fields))
                };
            }
            let mut used = 0;
            let mut ended = false;
            for &byte in bytes {
                used += 1;
                any = true;
                let kept = fields.len() <= last.saturating_add(1);
                let Some(field) = fields.last_mut() else { break };
                if byte == b'"' {
                    // A doubled quote inside quotes is one quote: the first closes, the second opens again.
                    if !quoted && after_quote && kept && field.len() < KEPT {
                        field.push(b'"');
                    }
                    after_quote = quoted;
                    quoted = !quoted;
                    continue;
                }
                if !quoted {
                    after_quote = false;
                    match byte {
                        b',' => {
                            fields.push(Vec::new());
                            continue;
                        }
                        b'\n' => {
                            ended = true;
                            break;
                        }
                        b'\r' => continue,
                        _ => {}
                    }
                }
                if kept && field.len() < KEPT {
                    field.push(byte);
                }
            }
            self.reader.consume(used);
            if ended {
                return Ok(Some(fields));
            }
        }
    }
}
