//! Records of text files, one after the other, with the byte at which each begins: lines, comma-separated values, json lines.
use crate::{IoError, Result, SourceFile, storage::ReadAtCursor};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

/// A longer record is taken for a missing quote.
const LONGEST: usize = 64 << 20;

/// Reads records from any byte at which one begins.
pub(super) struct Records {
    file: SourceFile,
    reader: BufReader<ReadAtCursor>,
    /// The byte after the last record.
    position: u64,
    /// Records read since the start of the file, as far as the caller said where it began.
    row: u64,
    line: Vec<u8>,
}

impl Records {
    /// Starts at `byte`, where row `row` begins (only messages need the row).
    pub fn new(file: SourceFile, byte: u64, row: u64) -> Result<Self> {
        let mut cursor = file.cursor();
        cursor.seek(SeekFrom::Start(byte)).map_err(|e| IoError::read(file.path(), Some(byte), e))?;
        let reader = BufReader::with_capacity(256 * 1024, cursor);
        Ok(Self { file, reader, position: byte, row, line: Vec::new() })
    }

    /// Where the next record begins, or blank lines before it.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The row of the record that was read last.
    pub fn row(&self) -> u64 {
        self.row.saturating_sub(1)
    }

    /// An error about the record that was read last.
    pub fn bad(&self, expected: impl Into<String>, found: impl Into<String>) -> IoError {
        IoError::BadRow {
            path: self.file.path().into(),
            row: self.row(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// The next line without its end; `None` at the end of the file. Bytes that are no UTF-8 are replaced.
    pub fn line(&mut self) -> Result<Option<String>> {
        self.line.clear();
        if !self.append_line()? {
            return Ok(None);
        }
        self.row += 1;
        Ok(Some(self.text()))
    }

    /// The next line that is not blank.
    pub fn filled_line(&mut self) -> Result<Option<String>> {
        loop {
            match self.line()? {
                Some(line) if line.trim().is_empty() => self.row -= 1,
                other => return Ok(other),
            }
        }
    }

    /// The next record of a comma-separated file; blank lines between records are passed over. Quoted fields may hold commas, line ends
    /// and doubled quotes.
    pub fn fields(&mut self) -> Result<Option<Vec<String>>> {
        self.line.clear();
        while self.line.iter().all(u8::is_ascii_whitespace) {
            self.line.clear();
            if !self.append_line()? {
                return Ok(None);
            }
        }
        self.row += 1;
        // A record is whole when its quotes are even: a doubled quote counts twice.
        while self.line.iter().filter(|&&byte| byte == b'"').count() % 2 == 1 {
            if !self.append_line()? {
                return Err(self.bad("a closing quote", "the end of the file"));
            }
        }
        Ok(Some(split(&self.text())))
    }

    fn text(&self) -> String {
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // Only a first line has the mark that some editors put before the text.
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        String::from_utf8_lossy(line).into_owned()
    }

    fn append_line(&mut self) -> Result<bool> {
        let most = (LONGEST + 1).saturating_sub(self.line.len()) as u64;
        let read = self.reader.by_ref().take(most).read_until(b'\n', &mut self.line);
        let length = read.map_err(|e| IoError::read(self.file.path(), Some(self.position), e))?;
        self.position += length as u64;
        if self.line.len() > LONGEST {
            return Err(
                self.bad(format!("records of at most {LONGEST} bytes"), "a longer one (a missing quote?)")
            );
        }
        Ok(length > 0)
    }
}

fn split(record: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = record.chars().peekable();
    while let Some(c) = chars.next() {
        let at = fields.len() - 1;
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                fields[at].push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => fields[at].push(other),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records(bytes: &[u8], byte: u64) -> (tempfile::TempDir, Records) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        std::fs::write(&path, bytes).unwrap();
        let records = Records::new(SourceFile::open_local(path).unwrap(), byte, 0).unwrap();
        (folder, records)
    }

    #[test]
    fn quotes_hold_commas_and_line_ends() {
        let (_folder, mut records) = records(b"\xef\xbb\xbfa,b\r\n\n\"x,\"\"y\"\"\nz\",\n1,\"open", 0);
        assert_eq!(records.fields().unwrap().unwrap(), ["a", "b"]);
        assert_eq!(records.fields().unwrap().unwrap(), ["x,\"y\"\nz", ""]);
        assert!(records.fields().unwrap_err().to_string().contains("row 2"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn what_is_quoted_comes_back_from_any_start(rows in prop::collection::vec(prop::collection::vec("[a,\"\n é]{1,6}", 2), 1..8)) {
            let mut text = String::new();
            let mut starts = vec![];
            for row in &rows {
                starts.push(text.len() as u64);
                let quoted: Vec<String> = row.iter().map(|f| format!("\"{}\"", f.replace('"', "\"\""))).collect();
                text += &(quoted.join(",") + "\n");
            }
            for (at, &start) in starts.iter().enumerate() {
                let (_folder, mut records) = records(text.as_bytes(), start);
                for row in &rows[at..] {
                    prop_assert_eq!(&records.fields().unwrap().unwrap(), row);
                }
                prop_assert!(records.fields().unwrap().is_none());
            }
        }
    }
}
