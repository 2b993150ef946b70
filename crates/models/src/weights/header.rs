//! The header of a safetensors file: 8 bytes of length (little endian), that many bytes of JSON, then the tensors without a gap.
//! The file comes from anywhere, so nothing in it is believed: lengths, types, shapes and offsets are checked against each other and
//! against the file before a byte of a tensor is read. (Format: huggingface/safetensors, README "Format".)
use crate::{ModelError, Result, source::Blob};
use serde::{
    Deserialize,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};
use std::{collections::BTreeMap, fmt};

/// Most bytes of a header. Ten thousand tensors take about one MB; what claims more is no checkpoint of ours.
const MOST_HEADER_BYTES: u64 = 16 << 20;

/// How a tensor's numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// IEEE double.
    F64,
    /// IEEE single.
    F32,
    /// IEEE half.
    F16,
    /// bfloat16.
    Bf16,
    /// A signed integer of so many bytes (buffers such as `position_ids`).
    Int(u8),
    /// An unsigned integer of so many bytes, or a bool.
    UInt(u8),
    /// Eight-bit floats, which no model of ours is stored in: known only so that a file that holds some can be opened.
    F8,
}

impl Stored {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "F64" => Self::F64,
            "F32" => Self::F32,
            "F16" => Self::F16,
            "BF16" => Self::Bf16,
            "I64" => Self::Int(8),
            "I32" => Self::Int(4),
            "I16" => Self::Int(2),
            "I8" => Self::Int(1),
            "U64" => Self::UInt(8),
            "U32" => Self::UInt(4),
            "U16" => Self::UInt(2),
            "U8" | "BOOL" => Self::UInt(1),
            "F8_E4M3" | "F8_E5M2" | "F8_E8M0" => Self::F8,
            _ => return None,
        })
    }

    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Int(bytes) | Self::UInt(bytes) => bytes.into(),
            Self::F8 => 1,
        }
    }
}

/// Where a tensor lies in its file.
#[derive(Debug, Clone)]
pub struct Entry {
    /// How its numbers are stored.
    pub stored: Stored,
    /// Its shape; empty for a scalar.
    pub shape: Vec<usize>,
    /// Its numbers: the product of the shape.
    pub count: usize,
    /// Its first byte, from the start of the file.
    pub offset: u64,
}

#[derive(Deserialize)]
struct Written {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The map of names to tensors. A visitor rather than a derived map: `__metadata__` has another form, and a name that stands twice is an
/// error, where a map would keep the last.
struct Tensors(BTreeMap<String, Written>);

impl<'de> Deserialize<'de> for Tensors {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Tensors;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object of tensors")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tensors, A::Error> {
                let mut tensors = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                    } else if let Some((name, _)) = tensors.remove_entry(&name) {
                        return Err(A::Error::custom(format!("tensor '{name}' stands twice")));
                    } else {
                        let tensor = map.next_value()?;
                        tensors.insert(name, tensor);
                    }
                }
                Ok(Tensors(tensors))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// Reads and checks the header of a file: every tensor lies inside it, none overlaps another, no byte is left over.
///
/// # Errors
/// [`ModelError::Malformed`] names the file, the tensor and what does not fit.
pub fn read(blob: &Blob) -> Result<BTreeMap<String, Entry>> {
    let bad = |what: String| ModelError::Malformed { place: blob.place().display().to_string(), what };
    if blob.len() < 8 {
        return Err(bad(format!("{} bytes are no safetensors file; is the download complete?", blob.len())));
    }
    let mut length = [0; 8];
    blob.read_at(0, &mut length)?;
    let length = u64::from_le_bytes(length);
    let room = blob.len() - 8;
    if length > room.min(MOST_HEADER_BYTES) {
        return Err(bad(format!(
            "not a safetensors file, or cut short: it says that its header has {length} bytes, {room} follow and at most \
             {MOST_HEADER_BYTES} are read"
        )));
    }
    let mut text = vec![0; length as usize];
    blob.read_at(8, &mut text)?;
    let Tensors(written) = serde_json::from_slice(&text)
        .map_err(|error| bad(format!("not a safetensors file: its header cannot be read: {error}")))?;
    place(written, 8 + length, room - length).map_err(bad)
}

/// Checks the tensors against `room` bytes of data that begin at `start`.
fn place(
    written: BTreeMap<String, Written>,
    start: u64,
    room: u64,
) -> Result<BTreeMap<String, Entry>, String> {
    let mut order: Vec<(u64, u64, &str)> = Vec::with_capacity(written.len());
    let mut entries = BTreeMap::new();
    for (name, tensor) in &written {
        let (begin, end) = tensor.data_offsets;
        let stored = Stored::parse(&tensor.dtype).ok_or_else(|| {
            format!("tensor '{name}' has the number format '{}', which is not known", tensor.dtype)
        })?;
        let shape: Option<Vec<usize>> = tensor.shape.iter().map(|&side| side.try_into().ok()).collect();
        let count =
            shape.as_ref().and_then(|shape| shape.iter().try_fold(1_usize, |n, &side| n.checked_mul(side)));
        let bytes = count.and_then(|count| count.checked_mul(stored.bytes()));
        let (Some(shape), Some(count), Some(bytes)) = (shape, count, bytes) else {
            return Err(format!("tensor '{name}' has the shape {:?}, too large for any file", tensor.shape));
        };
        if begin > end || end - begin != bytes as u64 {
            return Err(format!(
                "tensor '{name}' of shape {shape:?} and format {} needs {bytes} bytes, its offsets are {begin} to {end}",
                tensor.dtype
            ));
        }
        if end > room {
            return Err(format!(
                "tensor '{name}' ends at byte {end} of {room} bytes of data: the file is cut short; download it again"
            ));
        }
        order.push((begin, end, name));
        entries.insert(name.clone(), Entry { stored, shape, count, offset: start + begin });
    }
    order.sort_unstable();
    let mut reached = 0;
    for (begin, end, name) in order {
        if begin != reached {
            let what = if begin < reached { "overlaps the one before it" } else { "leaves a gap before it" };
            return Err(format!("tensor '{name}' {what}: it begins at byte {begin}, expected {reached}"));
        }
        reached = end;
    }
    match reached == room {
        true => Ok(entries),
        false => Err(format!("{room} bytes of data, but the tensors end at byte {reached}")),
    }
}
