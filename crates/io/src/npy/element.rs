//! What one element of an array is, and how it becomes f32. Little-endian only: the one other order that exists in the wild is so rare
//! that a clear refusal serves people better than a path that nobody runs.
use half::{f16, slice::HalfFloatSliceExt};

const _: () = assert!(cfg!(target_endian = "little"), "bytes of arrays are used as they lie in the file");

/// The type of an element, as NumPy names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(into = "String")]
#[non_exhaustive]
pub enum ElementType {
    /// `<f2`.
    F16,
    /// `<f4`.
    F32,
    /// `<f8`.
    F64,
    /// `|i1`.
    I8,
    /// `<i2`.
    I16,
    /// `<i4`.
    I32,
    /// `<i8`.
    I64,
    /// `|u1`.
    U8,
    /// `<u2`.
    U16,
    /// `<u4`.
    U32,
    /// `<u8`.
    U64,
    /// `|b1`: one byte, 0 or 1.
    Bool,
    /// `|S<n>`: n bytes, padded with zeros.
    Bytes(u32),
    /// `<U<n>`: n characters of four bytes each, padded with zeros.
    Text(u32),
    /// `[(a, '<u8'), (b, '<u8')]` under any field names: the halves of a uid, high first.
    UidPair,
}

impl ElementType {
    /// Bytes of one element.
    pub const fn size(self) -> u64 {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::Bytes(length) => length as u64,
            Self::Text(length) => length as u64 * 4,
            Self::UidPair => 16,
        }
    }

    /// Whether [`ElementType::to_f32`] takes it.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::F32 | Self::F64)
    }

    /// As it stands in an npy header.
    pub fn descr(self) -> String {
        match self {
            Self::F16 => "'<f2'".into(),
            Self::F32 => "'<f4'".into(),
            Self::F64 => "'<f8'".into(),
            Self::I8 => "'|i1'".into(),
            Self::I16 => "'<i2'".into(),
            Self::I32 => "'<i4'".into(),
            Self::I64 => "'<i8'".into(),
            Self::U8 => "'|u1'".into(),
            Self::U16 => "'<u2'".into(),
            Self::U32 => "'<u4'".into(),
            Self::U64 => "'<u8'".into(),
            Self::Bool => "'|b1'".into(),
            Self::Bytes(length) => format!("'|S{length}'"),
            Self::Text(length) => format!("'<U{length}'"),
            Self::UidPair => "[('f0', '<u8'), ('f1', '<u8')]".into(),
        }
    }

    /// The short name for people: `f16`, `i64`, `text[32]`.
    pub fn name(self) -> String {
        match self {
            Self::F16 => "f16".into(),
            Self::F32 => "f32".into(),
            Self::F64 => "f64".into(),
            Self::I8 => "i8".into(),
            Self::I16 => "i16".into(),
            Self::I32 => "i32".into(),
            Self::I64 => "i64".into(),
            Self::U8 => "u8".into(),
            Self::U16 => "u16".into(),
            Self::U32 => "u32".into(),
            Self::U64 => "u64".into(),
            Self::Bool => "bool".into(),
            Self::Bytes(length) => format!("bytes[{length}]"),
            Self::Text(length) => format!("text[{length}]"),
            Self::UidPair => "uid pair".into(),
        }
    }

    /// Parses the type string of one plain element, such as `<f4`, or says in words why not.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut chars = text.chars();
        let (order, kind) = match chars.next() {
            Some(order @ ('<' | '>' | '|' | '=')) => (order, chars.next()),
            kind => ('=', kind),
        };
        let kind = kind.ok_or("an empty type")?;
        let digits = chars.as_str();
        let size: u32 = match digits {
            _ if kind == 'O' => return Err("Python objects (a pickle), which are never loaded".into()),
            "" if kind == '?' => 1,
            _ if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| format!("type '{text}'"))?
            }
            _ => return Err(format!("type '{text}'")),
        };
        let element = match (kind, size) {
            ('f', 2) => Self::F16,
            ('f', 4) => Self::F32,
            ('f', 8) => Self::F64,
            ('i', 1) => Self::I8,
            ('i', 2) => Self::I16,
            ('i', 4) => Self::I32,
            ('i', 8) => Self::I64,
            ('u', 1) => Self::U8,
            ('u', 2) => Self::U16,
            ('u', 4) => Self::U32,
            ('u', 8) => Self::U64,
            ('b' | '?', 1) => Self::Bool,
            ('S' | 'a', length) => Self::Bytes(length),
            ('U', length) => Self::Text(length),
            _ => return Err(format!("type '{text}'")),
        };
        let order_matters =
            !matches!(element, Self::I8 | Self::U8 | Self::Bool | Self::Bytes(_)) && element.size() > 0;
        if order == '>' && order_matters {
            return Err(format!("big-endian type '{text}'"));
        }
        Ok(element)
    }

    /// Converts raw little-endian elements to f32; NaN and infinities stay what they are, f64 is rounded to the nearest.
    /// `raw` has exactly `out.len()` elements. Returns false, touching nothing, when the type is no float or the lengths disagree.
    #[must_use]
    pub fn to_f32(self, raw: &[u8], out: &mut [f32]) -> bool {
        if !self.is_float() || raw.len() as u64 != out.len() as u64 * self.size() {
            return false;
        }
        match self {
            Self::F16 => match bytemuck::try_cast_slice::<u8, f16>(raw) {
                Ok(halves) => halves.convert_to_f32_slice(out),
                Err(_) => {
                    for (value, bytes) in out.iter_mut().zip(raw.as_chunks::<2>().0) {
                        *value = f16::from_le_bytes(*bytes).to_f32();
                    }
                }
            },
            Self::F32 => bytemuck::cast_slice_mut::<f32, u8>(out).copy_from_slice(raw),
            _ => {
                for (value, bytes) in out.iter_mut().zip(raw.as_chunks::<8>().0) {
                    *value = f64::from_le_bytes(*bytes) as f32;
                }
            }
        }
        true
    }
}

impl std::fmt::Display for ElementType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

impl From<ElementType> for String {
    fn from(element: ElementType) -> Self {
        element.name()
    }
}

/// A Rust type whose bytes are an element's bytes.
pub trait Element: bytemuck::Pod {
    /// The type in files.
    const TYPE: ElementType;
}

macro_rules! elements {
    ($($rust:ty => $name:ident),*) => { $(impl Element for $rust { const TYPE: ElementType = ElementType::$name; })* };
}
elements!(f16 => F16, f32 => F32, f64 => F64, i8 => I8, i16 => I16, i32 => I32, i64 => I64, u8 => U8, u16 => U16, u32 => U32, u64 => U64,
    [u64; 2] => UidPair);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_foreign_ones_are_refused() {
        use ElementType::*;
        for element in
            [F16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64, Bool, Bytes(24), Text(32), Text(0)]
        {
            assert_eq!(ElementType::parse(element.descr().trim_matches('\'')), Ok(element));
        }
        assert_eq!(ElementType::parse(">S4"), Ok(Bytes(4)));
        for (text, word) in [
            (">f4", "big-endian"),
            (">U4", "big-endian"),
            ("|O", "objects"),
            ("<f3", "<f3"),
            ("", "empty"),
            ("<c8", "<c8"),
            ("<M8[ns]", "M8"),
        ] {
            assert!(ElementType::parse(text).is_err_and(|e| e.contains(word)), "{text}");
        }
        assert!(ElementType::parse("|O8").is_err_and(|e| e.contains("pickle")));
    }

    #[test]
    fn floats_of_any_width_and_alignment_convert() {
        let values = [0.0f32, -1.5, f32::NAN, f32::INFINITY, 65504.0];
        let mut halves = vec![9u8];
        halves.extend(values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()));
        let doubles: Vec<u8> = values.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect();
        for (element, raw) in [
            (ElementType::F16, &halves[1..]),
            (ElementType::F64, &doubles),
            (ElementType::F32, bytemuck::cast_slice(&values)),
        ] {
            let mut out = [7.0; 5];
            assert!(element.to_f32(raw, &mut out));
            assert!(out[2].is_nan());
            assert_eq!((out[0], out[1], out[3], out[4]), (0.0, -1.5, f32::INFINITY, 65504.0));
        }
        assert!(!ElementType::F32.to_f32(&[0; 5], &mut [0.0]));
        assert!(!ElementType::I32.to_f32(&[0; 4], &mut [0.0]));
    }
}
