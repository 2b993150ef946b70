//! Reads the folder, also as others wrote it: texts of any width, characters or bytes, empty clusters, other files beside it.
use super::ClusterRow;
use crate::{
    IoError, Location, Result, SourceFile, Storage,
    npy::{ElementType, NpyFile},
};

/// Bytes of one piece of a cluster file.
const PIECE: u64 = 1 << 20;

/// A folder of sorted clusters.
#[derive(Debug, Clone)]
pub struct SortedClusters {
    /// The cluster files by number, ascending.
    pub files: Vec<(u32, Location)>,
    /// Numbers below the largest that have no file: a folder that was not copied whole.
    pub missing: Vec<u32>,
    /// Files that are no clusters, by name.
    pub others: Vec<String>,
}

/// More missing clusters than this are no incomplete copy but a stray file.
const MOST_MISSING: usize = 1_000_000;

impl SortedClusters {
    /// Lists the folder. No `cluster_{c}.npy` at all is an error.
    pub fn open(storage: &dyn Storage, folder: &Location) -> Result<Self> {
        let mut clusters = Self { files: Vec::new(), missing: Vec::new(), others: Vec::new() };
        for entry in storage.list(folder)? {
            let name = entry.location.file_name();
            let number = name.strip_prefix("cluster_").and_then(|rest| rest.strip_suffix(".npy"));
            match number.and_then(|digits| digits.parse().ok()) {
                Some(number) => clusters.files.push((number, entry.location)),
                None => clusters.others.push(name),
            }
        }
        clusters.files.sort();
        let Some((last, _)) = clusters.files.last() else {
            let found = format!("{} other files", clusters.others.len());
            return Err(IoError::malformed(
                folder.path(),
                "sorted clusters",
                None,
                "files cluster_0.npy, cluster_1.npy, …",
                found,
            ));
        };
        // A stray `cluster_4294967295.npy` must not become four billion missing ones.
        if *last as usize >= clusters.files.len() + MOST_MISSING {
            let found = format!("{} files of which the last is cluster_{last}.npy", clusters.files.len());
            let expected = "numbers without gaps, cluster_0.npy on";
            return Err(IoError::malformed(folder.path(), "sorted clusters", None, expected, found)
                .with_hint("move files that are no clusters to another folder, or copy the missing ones"));
        }
        let mut expected = 0;
        for &(number, _) in &clusters.files {
            clusters.missing.extend(expected..number);
            expected = number.saturating_add(1);
        }
        Ok(clusters)
    }

    /// Opens one cluster.
    pub fn read(&self, storage: &dyn Storage, position: usize) -> Result<ClusterReader> {
        match self.files.get(position) {
            Some((number, location)) => ClusterReader::open(SourceFile::open(storage, location)?, *number),
            None => Err(IoError::NotFound { path: format!("cluster file at position {position}").into() }),
        }
    }
}

/// The rows of one cluster file in its order. Memory: one piece of a mebibyte.
#[derive(Debug)]
pub struct ClusterReader {
    npy: NpyFile,
    cluster: u32,
    rows: u64,
    next: u64,
    piece: std::vec::IntoIter<ClusterRow>,
}

impl ClusterReader {
    /// Opens a file; any array without elements is an empty cluster.
    pub fn open(file: SourceFile, cluster: u32) -> Result<Self> {
        let npy = NpyFile::open(file)?;
        let rows = if npy.header().data_bytes() == 0 { 0 } else { npy.rows() };
        let is_text = matches!(npy.element(), ElementType::Text(_) | ElementType::Bytes(_));
        if rows > 0 && !(is_text && npy.width() == 4 && npy.header().shape.len() == 2) {
            let found = format!("{:?} of {}", npy.header().shape, npy.element());
            return Err(IoError::malformed(
                npy.file().path(),
                "cluster file",
                None,
                "texts of shape [M, 4]",
                found,
            ));
        }
        Ok(Self { npy, cluster, rows, next: 0, piece: Vec::new().into_iter() })
    }

    /// Rows in all.
    pub fn len(&self) -> u64 {
        self.rows
    }

    /// Whether the cluster is empty.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    fn fill(&mut self) -> Result<()> {
        let count = (self.rows - self.next).min((PIECE / self.npy.row_bytes().max(1)).max(1));
        let mut raw = vec![0; (count * self.npy.row_bytes()) as usize];
        self.npy.read_raw(self.next, &mut raw)?;
        let cell = self.npy.element().size().max(1) as usize;
        let mut rows = Vec::with_capacity(count as usize);
        for (at, record) in raw.chunks_exact(cell * 4).enumerate() {
            let row = self.next + at as u64;
            let bad = |expected: String, found: &str| IoError::BadRow {
                path: self.npy.file().path().into(),
                row,
                expected,
                found: format!("'{found}'"),
            };
            let text = |column: usize| self.text(&record[column * cell..(column + 1) * cell]);
            let (name, number, dist, cluster) = (text(0), text(1), text(2), text(3));
            if cluster.parse() != Ok(self.cluster) {
                return Err(bad(format!("cluster {} in the fourth column", self.cluster), &cluster));
            }
            rows.push(ClusterRow {
                name,
                row: number.parse().map_err(|_| bad("a row number in the second column".into(), &number))?,
                dist: dist.parse::<f64>().map_err(|_| bad("a distance in the third column".into(), &dist))?
                    as f32,
            });
        }
        self.next += count;
        self.piece = rows.into_iter();
        Ok(())
    }

    fn text(&self, cell: &[u8]) -> String {
        if matches!(self.npy.element(), ElementType::Bytes(_)) {
            let end = cell.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            return String::from_utf8_lossy(&cell[..end]).into_owned();
        }
        let codes: Vec<u32> = cell.as_chunks::<4>().0.iter().map(|code| u32::from_le_bytes(*code)).collect();
        let end = codes.iter().rposition(|&code| code != 0).map_or(0, |last| last + 1);
        codes[..end].iter().map(|&code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    }
}

impl Iterator for ClusterReader {
    type Item = Result<ClusterRow>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.piece.len() == 0
            && self.next < self.rows
            && let Err(error) = self.fill()
        {
            self.next = self.rows;
            return Some(Err(error));
        }
        self.piece.next().map(Ok)
    }
}
