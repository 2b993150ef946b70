//! What is written is read back, whole and in parts, and damage is an error.
use super::*;
use arrow::{
    array::{Array, AsArray, BooleanArray, DictionaryArray, Float32Array, Int32Array, StringArray},
    datatypes::Int32Type,
};

fn table(path: &Path, rows: usize, piece: usize) -> Vec<Uid> {
    let mut fields = verdict_fields().to_vec();
    fields.push(Field::new("cluster", DataType::Int32, true));
    fields.push(Field::new("sim", DataType::Float32, true));
    let mut writer = TableWriter::create(path, Arc::new(Schema::new(fields))).unwrap();
    let uids: Vec<Uid> = (0..rows as u128).map(|row| Uid(row * 0x1_0001_0001_0001_0001)).collect();
    for start in (0..rows).step_by(piece) {
        let range = start..(start + piece).min(rows);
        writer
            .write_columns(vec![
                uid_array(&uids[range.clone()]),
                Arc::new(range.clone().map(|row| Some(row % 3 == 0)).collect::<BooleanArray>()),
                // The first rows have no nulls, and the last no reasons.
                Arc::new(
                    range
                        .clone()
                        .map(|row| (row < 50_000 || row % 3 != 0 && row < 280_000).then_some("where"))
                        .collect::<StringArray>(),
                ),
                Arc::new(
                    range.clone().map(|row| (row % 5 != 0).then_some(row as i32)).collect::<Int32Array>(),
                ),
                Arc::new(range.clone().map(|row| Some(row as f32)).collect::<Float32Array>()),
            ])
            .unwrap();
    }
    assert_eq!(writer.finish().unwrap(), rows as u64);
    uids
}

#[test]
fn columns_come_back_in_the_order_asked_and_bytes_do_not_depend_on_batches() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a.parquet"), folder.path().join("b.parquet"));
    let uids = table(&a, 300_000, 300_000);
    table(&b, 300_000, 7_777);
    assert!(
        std::fs::read(&a).unwrap() == std::fs::read(&b).unwrap(),
        "the same rows must give the same bytes"
    );
    let reader = TableReader::open(&a).unwrap();
    assert_eq!((reader.rows(), reader.group_rows().len()), (300_000, 3));
    assert_eq!(reader.uids(&RowChoice::All).unwrap(), uids);
    assert_eq!(reader.uids(&RowChoice::Groups(1..2)).unwrap(), uids[131_072..262_144]);
    assert_eq!(reader.uids(&RowChoice::Rows(5..262_150)).unwrap(), uids[5..262_150]);
    let at = [0, 1, 8_191, 8_192, 200_000, uids.len() as u64 - 1, uids.len() as u64].to_vec();
    let single: Vec<Uid> = at[..6].iter().map(|&row| uids[row as usize]).collect();
    assert_eq!(reader.uids(&RowChoice::At(at)).unwrap(), single);
    let mut row = 0;
    for batch in reader.read(&["sim", "uid", "cluster", "sim"], &RowChoice::All, 1000).unwrap() {
        let batch = batch.unwrap();
        assert!(batch.num_rows() <= 1000);
        assert_eq!(batch.schema().field(1).name(), "uid");
        let (sims, again) = (batch.column(0), batch.column(3));
        assert_eq!(sims, again);
        for &sim in sims.as_primitive::<arrow::datatypes::Float32Type>().values() {
            assert_eq!(sim, row as f32);
            row += 1;
        }
    }
    assert_eq!(row, 300_000);
    let none: [&str; 0] = [];
    let total: usize =
        reader.read(&none, &RowChoice::All, 1 << 20).unwrap().map(|b| b.unwrap().num_rows()).sum();
    assert_eq!(total, 300_000);
    assert!(reader.read(&["cluste"], &RowChoice::All, 10).err().unwrap().to_string().contains("cluster"));
}

#[test]
fn dictionaries_give_the_same_bytes_however_they_are_cut_and_empty_ones_are_not_decoded() {
    let folder = tempfile::tempdir().unwrap();
    let fields = ["none", "some", "a\nnone"].map(|name| Field::new(name, repeated_text(), true));
    let texts = ["first", "second", "third"];
    let write = |name: &str, piece: usize| {
        let path = folder.path().join(name);
        let mut writer = TableWriter::create(&path, Arc::new(Schema::new(fields.to_vec()))).unwrap();
        for start in (0..40_000).step_by(piece) {
            let column = |has: fn(usize) -> bool| -> ArrayRef {
                // Every batch has a dictionary of its own, in its own order.
                let text = |row| has(row).then(|| texts[row * row % 3]);
                Arc::new(
                    (start..(start + piece).min(40_000)).map(text).collect::<DictionaryArray<Int32Type>>(),
                )
            };
            writer
                .write_columns(vec![column(|_| false), column(|row| row > 39_990), column(|_| false)])
                .unwrap();
        }
        writer.finish().unwrap();
        path
    };
    let (a, b) = (write("a.parquet", 40_000), write("b.parquet", 333));
    assert!(std::fs::read(&a).unwrap() == std::fs::read(&b).unwrap());
    let table = TableReader::open(&a).unwrap();
    let empty: Vec<_> = writer::columns_without_values(&table.metadata).collect();
    assert_eq!(empty, ["none"], "a name of two lines is not noted: it would be read as two");
    let table = table.with_dictionaries(&["none", "some"]).unwrap();
    let mut row = 0;
    for batch in table.read(&["some", "none"], &RowChoice::All, 1000).unwrap() {
        let batch = batch.unwrap();
        assert_eq!(batch.column(1).logical_null_count(), batch.num_rows());
        let some = batch.column(0).as_dictionary::<Int32Type>();
        let some = some.downcast_dict::<StringArray>().unwrap();
        for found in some {
            assert_eq!(found, (row > 39_990).then(|| texts[row * row % 3]), "{row}");
            row += 1;
        }
    }
    assert_eq!(row, 40_000);
}

#[test]
fn uids_as_text_take_hardly_more_than_their_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let uids: Vec<Uid> = (0..20_000).map(|row| Uid::from_halves(Uid(row).mix(1), Uid(row).mix(2))).collect();
    let schema = Arc::new(Schema::new(vec![Field::new("uid", DataType::Utf8, false)]));
    let mut writer = TableWriter::create(&path, schema).unwrap();
    writer.write_columns(vec![uid_texts(uids.iter().copied())]).unwrap();
    writer.finish().unwrap();
    assert_eq!(TableReader::open(&path).unwrap().uids(&RowChoice::All).unwrap(), uids);
    let bytes = std::fs::metadata(&path).unwrap().len() as f64 / uids.len() as f64;
    assert!(bytes < 16.5, "{bytes} bytes a uid");
}

#[test]
fn a_bad_uid_is_named_by_its_row_however_rows_are_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let schema = Arc::new(Schema::new(vec![Field::new("uid", DataType::Utf8, false)]));
    let mut writer = TableWriter::create(&path, schema).unwrap();
    let text = |row: u32| if row == 140_000 { "nonsense".into() } else { format!("{row:032x}") };
    writer
        .write_columns(vec![Arc::new((0..150_000).map(|row| Some(text(row))).collect::<StringArray>())])
        .unwrap();
    writer.finish().unwrap();
    let table = TableReader::open(&path).unwrap();
    let choices = [
        RowChoice::All,
        RowChoice::Groups(1..2),
        RowChoice::Rows(9..140_001),
        RowChoice::At(vec![3, 70_000, 140_000]),
    ];
    for choice in choices {
        let error = table.uids(&choice).unwrap_err().to_string();
        assert!(error.contains("row 140000: 'nonsense'"), "{choice:?}: {error}");
    }
    assert_eq!(table.uids(&RowChoice::At(vec![139_999, 140_001])).unwrap(), [Uid(139_999), Uid(140_001)]);
}

#[test]
fn unfinished_and_empty_tables_and_cut_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    drop(TableWriter::create(&path, Arc::new(Schema::new(verdict_fields().to_vec()))).unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    table(&path, 0, 1);
    assert!(TableReader::open(&path).unwrap().uids(&RowChoice::All).unwrap().is_empty());
    table(&path, 2000, 500);
    let whole = std::fs::read(&path).unwrap();
    for cut in (0..whole.len()).step_by(97).chain(whole.len() - 40..whole.len()) {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let error = TableReader::open(&path).and_then(|t| t.uids(&RowChoice::All)).unwrap_err();
        assert!(error.to_string().contains("a.parquet"), "{error}");
    }
    for at in (0..whole.len()).step_by(41) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x41;
        std::fs::write(&path, &damaged).unwrap();
        let _ = TableReader::open(&path).and_then(|t| t.uids(&RowChoice::All));
    }
}
