//! What became of the samples of a shard: the table `selection/<shard>.parquet`, in memory by column. Most rows share their fate with many others, so a
//! fate is kept once and rows name it by number: a pool's reasons are neither copied nor compared row by row.
use std::{collections::HashMap, path::Path, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Int32Array, StringArray, UInt32Array},
    datatypes::{DataType, Field, Int32Type, Schema, UInt32Type},
};
use cribble_core::{Error, Result, Uid};
use cribble_io::{RowChoice, TableReader, TableWriter, repeated_text, uid_texts, uids::append_uids};

/// The step that dropped a sample and its reason. Neither: every step kept it. A reason alone: a person kept it.
pub type Fate = (Option<Arc<str>>, Option<Arc<str>>);

/// The fates of a shard's samples, in row order.
#[derive(Debug, Clone, Default)]
pub struct Fates {
    /// The samples.
    pub uids: Vec<Uid>,
    /// Which of them every step kept.
    pub keep: Vec<bool>,
    /// How often each stands in the subset.
    pub copies: Vec<u32>,
    codes: Vec<u32>,
    known: Vec<Fate>,
    numbers: HashMap<Fate, u32>,
}

impl Fates {
    /// Of so many samples that are all kept; who they are is not said yet.
    pub(crate) fn kept(rows: usize) -> Self {
        let mut fates = Self { keep: vec![true; rows], copies: vec![1; rows], ..Self::default() };
        fates.codes = vec![fates.number((None, None)); rows];
        fates
    }

    /// The fates that occur, and perhaps more; [`Fates::code`] counts in them.
    pub fn known(&self) -> &[Fate] {
        &self.known
    }

    /// Which of the known fates a row has.
    pub fn code(&self, row: usize) -> usize {
        self.codes[row] as usize
    }

    /// The number of a fate.
    pub(crate) fn number(&mut self, fate: Fate) -> u32 {
        let next = self.known.len() as u32;
        *self.numbers.entry(fate).or_insert_with_key(|fate| {
            self.known.push(fate.clone());
            next
        })
    }

    /// A row gets a fate, by its number.
    pub(crate) fn set(&mut self, row: usize, keep: bool, code: u32) {
        self.keep[row] = keep;
        self.copies[row] = u32::from(keep);
        self.codes[row] = code;
    }

    /// Writes the table.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let texts = |of: fn(&Fate) -> &Option<Arc<str>>| -> Result<ArrayRef> {
            let values: StringArray = self.known.iter().map(|fate| of(fate).as_deref()).collect();
            let key = |&code: &u32| values.is_valid(code as usize).then_some(code as i32);
            let keys: Int32Array = self.codes.iter().map(key).collect();
            let texts = DictionaryArray::try_new(keys, Arc::new(values));
            Ok(Arc::new(texts.map_err(|error| Error::bug(error.to_string()))?))
        };
        let columns: Vec<ArrayRef> = vec![
            uid_texts(self.uids.iter().copied()),
            Arc::new(BooleanArray::from(self.keep.clone())),
            texts(|fate| &fate.0)?,
            texts(|fate| &fate.1)?,
            Arc::new(UInt32Array::from(self.copies.clone())),
        ];
        let mut file = TableWriter::create(path, schema())?;
        file.write_columns(columns)?;
        file.finish()?;
        Ok(())
    }

    /// Reads the table.
    ///
    /// # Errors
    /// The file is missing or is no such table.
    pub fn read(path: &Path, choice: &RowChoice) -> Result<Self> {
        let table = TableReader::open(path)?.with_dictionaries(&["dropped_by", "reason"])?;
        let names: Vec<String> = schema().fields().iter().map(|field| field.name().clone()).collect();
        let mut fates = Self::default();
        for batch in table.read(&names, choice, 65_536)? {
            let batch = batch?;
            let wrong = || Error::input(format!("{}: not a selection table", path.display()));
            let text = |index: usize| batch.column(index).as_dictionary_opt::<Int32Type>().ok_or_else(wrong);
            let keep = batch.column(1).as_boolean_opt().ok_or_else(wrong)?;
            let copies = batch.column(4).as_primitive_opt::<UInt32Type>().ok_or_else(wrong)?;
            let row_of = |at: usize| table.row_of(choice, fates.keep.len() + at);
            append_uids(batch.column(0), path, row_of, &mut fates.uids)?;
            fates.keep.extend(keep.iter().map(|keep| keep == Some(true)));
            fates.copies.extend_from_slice(copies.values());
            fates.learn(text(2)?, text(3)?).ok_or_else(wrong)?;
        }
        Ok(fates)
    }

    /// Appends the fates of rows that are given as two columns. `None`: they are no texts.
    fn learn(&mut self, by: &DictionaryArray<Int32Type>, reason: &DictionaryArray<Int32Type>) -> Option<()> {
        let (steps, reasons) = (shared(by)?, shared(reason)?);
        // The number of every pair of keys that was met: a pair is looked up by its texts once a batch. Key 0 is none.
        let place = |key: Option<usize>| key.map_or(0, |key| key + 1);
        let mut met = vec![None; (steps.len() + 1) * (reasons.len() + 1)];
        for row in 0..by.len() {
            let (by, reason) = (by.key(row), reason.key(row));
            let code = match &mut met[place(by) * (reasons.len() + 1) + place(reason)] {
                Some(code) => *code,
                new => {
                    let text = |texts: &[Arc<str>], key: Option<usize>| key.map(|key| texts[key].clone());
                    *new.insert(self.number((text(&steps, by), text(&reasons, reason))))
                }
            };
            self.codes.push(code);
        }
        Some(())
    }
}

/// The texts of a dictionary, to be shared.
pub(crate) fn shared(column: &DictionaryArray<Int32Type>) -> Option<Vec<Arc<str>>> {
    let texts = column.values().as_string_opt::<i32>()?;
    Some(texts.iter().map(|text| text.unwrap_or_default().into()).collect())
}

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![
        Field::new("uid", DataType::Utf8, false),
        Field::new("keep", DataType::Boolean, false),
        Field::new("dropped_by", repeated_text(), true),
        Field::new("reason", repeated_text(), true),
        Field::new("copies", DataType::UInt32, false),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cribble_io::tables::TableReader as Table;

    #[test]
    fn fates_come_back_and_are_plain_text_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("00000000.parquet");
        let mut fates = Fates { uids: (0..200_000).map(Uid).collect(), ..Fates::kept(200_000) };
        let (small, odd) = (
            fates.number((Some("01-filter".into()), Some("small".into()))),
            fates.number((None, Some("mine".into()))),
        );
        for row in (0..200_000).step_by(3) {
            fates.set(row, false, small);
        }
        fates.set(7, true, odd);
        for row in 150_000..150_500 {
            let each = fates.number((Some("02-dedup".into()), Some(format!("reason {row}").into())));
            fates.set(row, false, each);
        }
        fates.write(&path).unwrap();
        let table = Table::open(&path).unwrap();
        assert_eq!(table.schema().field_with_name("reason").unwrap().data_type(), &DataType::Utf8);
        let back = Fates::read(&path, &RowChoice::All).unwrap();
        assert_eq!((&back.uids, &back.keep, &back.copies), (&fates.uids, &fates.keep, &fates.copies));
        for row in 0..200_000 {
            assert_eq!(back.known()[back.code(row)], fates.known()[fates.code(row)], "{row}");
        }
        let some = Fates::read(&path, &RowChoice::At(vec![0, 7, 150_001])).unwrap();
        assert_eq!(some.uids, [Uid(0), Uid(7), Uid(150_001)]);
        assert_eq!(some.known()[some.code(2)].1.as_deref(), Some("reason 150001"));
        assert_eq!(some.known()[some.code(1)], (None, Some("mine".into())));
    }
}
