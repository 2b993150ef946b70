//! Subsets of string keys, and pygtrie pickles. Density-based pruning keeps its result as a `pygtrie.StringTrie` whose keys are the samples' paths
//! without suffix (`00000/00000`); when all keys are uids it is a subset of uids like any other.
use crate::{
    IoError, Result, SourceFile,
    pickle::{Limits, Node, Pickle},
};
use cribble_core::Uid;
use std::{
    io::{self, Write},
    path::Path,
};

/// String keys with the number of their copies, sorted by key, each key once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySubset {
    keys: Vec<(String, u64)>,
}

impl KeySubset {
    /// Sorts the keys; copies of the same key are added up.
    pub fn new(mut keys: Vec<(String, u64)>) -> Self {
        keys.sort();
        keys.dedup_by(|later, first| {
            let same = later.0 == first.0;
            if same {
                first.1 = first.1.saturating_add(later.1);
            }
            same
        });
        Self { keys }
    }

    /// Keys and copies, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.keys.iter().map(|(key, copies)| (key.as_str(), *copies))
    }

    /// Distinct keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Copies of this key; 0 when it is not there.
    pub fn copies(&self, key: &str) -> u64 {
        self.keys.binary_search_by(|(have, _)| have.as_str().cmp(key)).map_or(0, |at| self.keys[at].1)
    }

    /// The keys as uids, in order, copies as repeats. A key that is no uid is an error with its position among the keys.
    pub fn to_uids(&self, path: &Path) -> Result<Vec<Uid>> {
        let mut uids = Vec::with_capacity(self.keys.len());
        for (row, (key, copies)) in self.keys.iter().enumerate() {
            let uid = Uid::parse(key.as_bytes()).map_err(|source| IoError::BadUid {
                path: path.into(),
                row: row as u64,
                source,
            })?;
            uids.extend((0..*copies).map(|_| uid));
        }
        uids.sort_unstable();
        Ok(uids)
    }
}

/// Copies of one key beyond this number are taken for values that mean something else.
const MOST_COPIES: i64 = 1 << 20;

/// Reads a pickled `pygtrie.StringTrie`. A positive whole number as value is the number of copies, any other value counts as one (density-based
/// pruning writes 1 everywhere).
pub fn read_keys(file: &SourceFile) -> Result<KeySubset> {
    let limits = Limits::default();
    if file.len() > limits.bytes {
        let expected = format!("at most {} bytes", limits.bytes);
        return Err(IoError::malformed(
            file.path(),
            "pickle",
            None,
            expected,
            format!("{} bytes", file.len()),
        ));
    }
    let bytes = file.read_range(0, file.len() as usize)?;
    let pickle = Pickle::read(&bytes, &limits).map_err(|error| {
        IoError::malformed(file.path(), "pickle", Some(error.offset), error.expected(), error.found())
    })?;
    let wrong = |found: &str| {
        IoError::malformed(
            file.path(),
            "trie",
            None,
            "a pygtrie.StringTrie as pygtrie 2.3 and later pickle it",
            found,
        )
    };
    let Node::Object { class, state: Some(state), .. } = pickle.root() else {
        return Err(wrong("another value"));
    };
    if class.as_str() != "pygtrie.StringTrie" {
        return Err(wrong(class));
    }
    let text = |name: &str| pickle.entry(*state, name);
    let separator = match text("_separator") {
        Some(Node::Str(separator)) => separator.clone(),
        _ => return Err(wrong("a trie without a separator")),
    };
    let commands = match text("_root") {
        Some(Node::Object { state: Some(state), .. }) => pickle.node(*state),
        _ => return Err(wrong("a trie without a root")),
    };
    let Node::List(commands) = commands else { return Err(wrong("a root in another shape")) };
    walk(&pickle, commands, &separator).map(KeySubset::new).ok_or_else(|| wrong("a broken list of steps"))
}

/// The flat form of a node: `n` and `n` steps down and a value, or `-n` for `n` steps up.
fn walk(pickle: &Pickle, commands: &[crate::pickle::NodeId], separator: &str) -> Option<Vec<(String, u64)>> {
    let mut keys = Vec::new();
    let mut path: Vec<&str> = Vec::new();
    let mut items = commands.iter().map(|&id| pickle.node(id));
    while let Some(command) = items.next() {
        let &Node::Int(command) = command else { return None };
        if command < 0 {
            let up = usize::try_from(command.unsigned_abs()).ok()?;
            path.truncate(path.len().checked_sub(up)?);
            continue;
        }
        for _ in 0..command {
            let Node::Str(step) = items.next()? else { return None };
            path.push(step);
        }
        let copies = match items.next()? {
            &Node::Int(copies) if (1..=MOST_COPIES).contains(&copies) => copies as u64,
            _ => 1,
        };
        keys.push((path.join(separator), copies));
    }
    Some(keys)
}

/// Writes a trie pickle (protocol 2) for the real pygtrie. Keys come in order of their `/`-separated parts.
pub(super) struct TrieStream {
    path: Vec<String>,
}

impl TrieStream {
    pub fn start(out: &mut impl Write) -> io::Result<Self> {
        out.write_all(b"\x80\x02cpygtrie\nStringTrie\n)\x81}(")?;
        put_text(out, "_separator")?;
        put_text(out, "/")?;
        put_text(out, "_root")?;
        out.write_all(b"cpygtrie\n_Node\n)\x81](")?;
        Ok(Self { path: Vec::new() })
    }

    pub fn push(&mut self, out: &mut impl Write, key: &str, copies: u64) -> io::Result<()> {
        let parts: Vec<&str> = key.split('/').collect();
        let shared = self.path.iter().zip(&parts).take_while(|(have, part)| have == *part).count();
        if shared < self.path.len() {
            put_int(out, -((self.path.len() - shared) as i64))?;
        }
        put_int(out, (parts.len() - shared) as i64)?;
        for part in &parts[shared..] {
            put_text(out, part)?;
        }
        put_int(out, copies as i64)?;
        self.path.truncate(shared);
        self.path.extend(parts[shared..].iter().map(|part| (*part).to_owned()));
        Ok(())
    }

    pub fn finish(self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"eb")?;
        put_text(out, "_sorted")?;
        out.write_all(b"\x89ub.")
    }
}

/// A pickled `pygtrie.StringTrie` of these keys, separator `/`, values the copies.
pub fn trie_pickle(keys: &KeySubset) -> Vec<u8> {
    let mut parts: Vec<_> = keys.iter().collect();
    // By parts, so that what shares a folder is written together: "a-b" sorts before "a/b" as text.
    parts.sort_by(|a, b| a.0.split('/').cmp(b.0.split('/')));
    let mut out = Vec::new();
    // Writing to a vector cannot fail.
    let _ = TrieStream::start(&mut out).and_then(|mut stream| {
        for (key, copies) in parts {
            stream.push(&mut out, key, copies)?;
        }
        stream.finish(&mut out)
    });
    out
}

fn put_text(out: &mut impl Write, text: &str) -> io::Result<()> {
    out.write_all(b"X")?;
    out.write_all(&(text.len() as u32).to_le_bytes())?;
    out.write_all(text.as_bytes())
}

fn put_int(out: &mut impl Write, value: i64) -> io::Result<()> {
    match i32::try_from(value) {
        Ok(small) => {
            out.write_all(b"J")?;
            out.write_all(&small.to_le_bytes())
        }
        // LONG1 of eight bytes.
        Err(_) => {
            out.write_all(b"\x8a\x08")?;
            out.write_all(&value.to_le_bytes())
        }
    }
}
