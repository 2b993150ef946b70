//! Words, labels, and the rows of the input matrix that a text has: its words, their character n-grams and its word n-grams.
use super::file::Reader;
use crate::Result;
use std::{collections::HashMap, io::BufRead};

/// The word that ends a line.
const END: &[u8] = b"</s>";
/// fastText's default, and what it takes when it reads a model.
const LABEL_PREFIX: &str = "__label__";
/// The longest n-grams that we read; fastText sets no limit, but its work grows with them, and a file may be made to hurt.
const LONGEST: i32 = 64;

/// What the file says about n-grams.
pub(super) struct NGrams {
    /// Words in the longest word n-gram.
    pub(super) words: i32,
    /// Characters of the shortest character n-gram.
    pub(super) shortest: i32,
    /// Characters of the longest one; 0 for none.
    pub(super) longest: i32,
    /// Hash values are taken modulo this.
    pub(super) buckets: i32,
}

/// fastText's dictionary.
#[derive(Debug)]
pub(super) struct Dictionary {
    /// Row of a word. Labels have the rows after the words', and stand for nothing in a text.
    /// Keyed with std's hash: 32-bit FNV lets a file be made in which all words collide.
    rows: HashMap<Box<[u8]>, usize>,
    pub(super) words: usize,
    pub(super) labels: Vec<String>,
    /// How often each label was seen in training.
    pub(super) counts: Vec<i64>,
    pruned: Option<Pruned>,
    shortest: usize,
    longest: usize,
    word_ngrams: usize,
    buckets: u64,
}

/// Buffers for the words of one text.
#[derive(Debug, Default)]
pub(super) struct TokenScratch {
    marked: Vec<u8>,
    hashes: Vec<u32>,
}

impl Dictionary {
    /// Reads the dictionary that comes after the parameters.
    pub(super) fn read<R: BufRead>(reader: &mut Reader<R>, ngrams: &NGrams) -> Result<Self> {
        let NGrams { words: word_ngrams, shortest, longest, buckets } = *ngrams;
        if longest > LONGEST || word_ngrams > LONGEST {
            return Err(reader.malformed(format!(
                "n-grams of {longest} characters and {word_ngrams} words; we read models with at most {LONGEST}"
            )));
        }
        if (longest > 0 || word_ngrams > 1) && buckets <= 0 {
            return Err(reader.malformed(format!("n-grams are hashed to {buckets} buckets")));
        }
        let what = "the dictionary";
        let size = reader.small_size(what)?;
        let (words, labels) = (reader.small_size(what)?, reader.small_size(what)?);
        reader.i64(what)?; // words in the training text
        let pruned = reader.i64(what)?;
        // An entry takes ten bytes at least.
        if words.checked_add(labels) != Some(size) || size as u64 > reader.left() / 10 || labels == 0 {
            return Err(reader.malformed(format!(
                "the dictionary says {size} entries, {words} words and {labels} labels; the file is damaged or has no labels"
            )));
        }
        let mut rows = HashMap::with_capacity(size);
        let (mut names, mut counts) = (Vec::with_capacity(labels), Vec::with_capacity(labels));
        for row in 0..size {
            let word = reader.word(what)?;
            let count = reader.i64(what)?;
            if reader.byte(what)? != u8::from(row >= words) {
                return Err(reader.malformed(format!("entry {row} of the dictionary is out of order")));
            }
            if row >= words {
                let name = String::from_utf8_lossy(&word);
                names.push(name.strip_prefix(LABEL_PREFIX).unwrap_or(&name).to_owned());
                counts.push(count);
            }
            rows.insert(word.into_boxed_slice(), row);
        }
        let pruned = match usize::try_from(pruned) {
            Ok(size) => Some(Pruned::read(reader, size)?),
            Err(_) => None,
        };
        Ok(Self {
            rows,
            words,
            labels: names,
            counts,
            pruned,
            shortest: shortest.max(0) as usize,
            longest: longest.max(0) as usize,
            word_ngrams: word_ngrams.max(0) as usize,
            buckets: buckets.max(0) as u64,
        })
    }

    /// Whether n-grams were left out to make the model small.
    pub(super) fn is_pruned(&self) -> bool {
        self.pruned.is_some()
    }

    /// Rows that the input matrix must have.
    pub(super) fn rows_needed(&self) -> u64 {
        let hashed = match &self.pruned {
            Some(pruned) => pruned.rows,
            None if self.longest > 0 || self.word_ngrams > 1 => self.buckets,
            None => 0,
        };
        self.words as u64 + hashed
    }

    /// Calls `add` with each row of `text`, in fastText's order. Line breaks are spaces; the end of the text ends the line.
    pub(super) fn rows(&self, text: &str, scratch: &mut TokenScratch, mut add: impl FnMut(usize)) {
        scratch.hashes.clear();
        let tokens = text.as_bytes().split(|byte| b" \n\r\t\x0b\x0c\0".contains(byte));
        for token in tokens.filter(|token| !token.is_empty()).chain([END]) {
            match self.rows.get(token) {
                Some(&row) if row >= self.words => {}
                None if token.starts_with(LABEL_PREFIX.as_bytes()) => {}
                found => {
                    if let Some(&row) = found {
                        add(row);
                    }
                    if token != END {
                        self.characters(token, &mut scratch.marked, &mut add);
                    }
                    scratch.hashes.push(hash(token));
                }
            }
            if token == END {
                break; // also one that is spelled out in the text
            }
        }
        // Sign-extended, as fastText keeps hashes in i32.
        let wide = |hash: u32| hash as i32 as u64;
        for (first, &start) in scratch.hashes.iter().enumerate() {
            let mut joined = wide(start);
            let end = (first + self.word_ngrams).min(scratch.hashes.len());
            for &next in scratch.hashes.get(first + 1..end).unwrap_or_default() {
                joined = joined.wrapping_mul(116_049_371).wrapping_add(wide(next));
                self.hashed(joined, &mut add);
            }
        }
    }

    /// The character n-grams of a word between `<` and `>`.
    fn characters(&self, word: &[u8], marked: &mut Vec<u8>, add: &mut impl FnMut(usize)) {
        if self.longest == 0 {
            return;
        }
        marked.clear();
        marked.push(b'<');
        marked.extend_from_slice(word);
        marked.push(b'>');
        let continues = |at: usize| marked.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
        for start in (0..marked.len()).filter(|&start| !continues(start)) {
            let (mut at, mut hash) = (start, FNV_START);
            for length in 1..=self.longest {
                if at == marked.len() {
                    break;
                }
                hash = fnv(hash, marked[at]);
                at += 1;
                while continues(at) {
                    hash = fnv(hash, marked[at]);
                    at += 1;
                }
                let only_a_mark = length == 1 && (start == 0 || at == marked.len());
                if length >= self.shortest && !only_a_mark {
                    self.hashed(u64::from(hash), add);
                }
            }
        }
    }

    /// The row of an n-gram, if it was kept.
    fn hashed(&self, hash: u64, add: &mut impl FnMut(usize)) {
        let bucket = (hash % self.buckets) as u32;
        let row = match &self.pruned {
            None => Some(bucket),
            Some(pruned) => pruned.row(bucket),
        };
        if let Some(row) = row {
            add(self.words + row as usize);
        }
    }
}

const FNV_START: u32 = 2_166_136_261;

/// One step of 32-bit FNV-1a, in which fastText extends bytes by their sign.
fn fnv(hash: u32, byte: u8) -> u32 {
    (hash ^ byte as i8 as u32).wrapping_mul(16_777_619)
}

fn hash(word: &[u8]) -> u32 {
    word.iter().fold(FNV_START, |hash, &byte| fnv(hash, byte))
}

/// The buckets that pruning kept, sorted, with an index by their upper bits: most n-grams of a text are found missing by one look.
#[derive(Debug)]
struct Pruned {
    buckets: Vec<u32>,
    row_of: Vec<u32>,
    /// Start of each cell in `buckets`, and the end of the last.
    cells: Vec<u32>,
    shift: u32,
    rows: u64,
}

impl Pruned {
    fn read<R: BufRead>(reader: &mut Reader<R>, size: usize) -> Result<Self> {
        let what = "the list of kept n-grams";
        if size as u64 > reader.left() / 8 {
            return Err(reader
                .malformed(format!("{what} should have {size} entries, for which the file is too short")));
        }
        let mut pairs = Vec::with_capacity(size);
        for _ in 0..size {
            pairs.push((reader.small_size(what)? as u32, reader.small_size(what)? as u32));
        }
        // Of a bucket that comes twice the last entry holds; the sort is stable.
        pairs.reverse();
        pairs.sort_by_key(|&(bucket, _)| bucket);
        pairs.dedup_by_key(|&mut (bucket, _)| bucket);
        let rows = pairs.iter().map(|&(_, row)| u64::from(row) + 1).max().unwrap_or(0);
        let (buckets, row_of): (Vec<u32>, Vec<u32>) = pairs.into_iter().unzip();
        // About four cells for each bucket.
        let bits = 32 - buckets.last().map_or(0, |last| last.leading_zeros().min(31));
        let shift = bits.saturating_sub((4 * buckets.len().max(1)).next_power_of_two().ilog2());
        let count = buckets.last().map_or(0, |last| (last >> shift) + 1);
        let cells = (0..=count)
            .map(|cell| buckets.partition_point(|&bucket| bucket >> shift < cell) as u32)
            .collect();
        Ok(Self { buckets, row_of, cells, shift, rows })
    }

    fn row(&self, bucket: u32) -> Option<u32> {
        let cell = (bucket >> self.shift) as usize;
        let (start, end) = (*self.cells.get(cell)? as usize, *self.cells.get(cell + 1)? as usize);
        self.buckets[start..end].binary_search(&bucket).ok().map(|at| self.row_of[start + at])
    }
}
