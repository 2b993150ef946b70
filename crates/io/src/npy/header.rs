//! The header of an npy file, versions 1 to 3. Strict: a header that says anything not understood is refused with the byte where it stands,
//! because a guess about shape or type would shift every row after it.
use super::{
    element::ElementType,
    literal::{self, Literal},
};
use crate::{IoError, Result};
use std::{io::Read, path::Path};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Room for the digits of the first dimension, so that a header can be rewritten in place when the rows are known (as NumPy does).
const GROWTH_DIGITS: usize = 21;
/// What a refused type is called in errors; an npz with such a member is still good for its other arrays.
pub(crate) const TYPE_NOT_READ: &str = "npy type";
/// NumPy refuses longer ones as well.
const LONGEST: u64 = 1 << 20;

/// What an npy header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NpyHeader {
    /// The type of an element.
    pub element: ElementType,
    /// The length of each dimension, first the rows.
    pub shape: Vec<u64>,
    /// Where the data begins, in bytes from the start of the file.
    pub data_offset: u64,
}

impl NpyHeader {
    /// Reads the header from the start of a file or member; the reader then stands at the data. `path` is for messages.
    pub fn read(reader: &mut dyn Read, path: &Path) -> Result<Self> {
        let mut start = [0; 8];
        fill(reader, path, 0, &mut start)?;
        if &start[..6] != MAGIC {
            let found = format!("{:02x?}", &start[..6]);
            return Err(IoError::malformed(path, "npy magic", Some(0), "\\x93NUMPY", found).with_hint(
                "not an .npy file; for a headerless array give its dimension and element type (dim, dtype)",
            ));
        }
        let length_bytes = match start[6] {
            1 => 2,
            2 | 3 => 4,
            other => {
                return Err(IoError::malformed(path, "npy version", Some(6), "1, 2 or 3", other.to_string()));
            }
        };
        let mut length = [0; 4];
        fill(reader, path, 8, &mut length[..length_bytes])?;
        let length = u64::from(u32::from_le_bytes(length));
        let text_offset = 8 + length_bytes as u64;
        if length > LONGEST {
            let found = format!("{length} bytes");
            return Err(IoError::malformed(
                path,
                "npy header length",
                Some(8),
                format!("at most {LONGEST} bytes"),
                found,
            ));
        }
        let mut text = vec![0; length as usize];
        fill(reader, path, text_offset, &mut text)?;
        parse_text(&text, text_offset, path)
    }

    /// Rows: the first dimension, 1 for a lone number.
    pub fn rows(&self) -> u64 {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Elements of a row: the product of the other dimensions. Overflow was refused by [`NpyHeader::read`].
    pub fn width(&self) -> u64 {
        self.shape.iter().skip(1).product()
    }

    /// Bytes of all elements.
    pub fn data_bytes(&self) -> u64 {
        self.rows() * self.width() * self.element.size()
    }

    /// The bytes that NumPy would write: version 1.0 (2.0 where the text is too long), padded to a multiple of 64. The length does not depend on
    /// the number of rows.
    pub fn to_bytes(&self) -> Vec<u8> {
        let dims: Vec<String> = self.shape.iter().map(u64::to_string).collect();
        let shape =
            if dims.len() == 1 { format!("({},)", dims[0]) } else { format!("({})", dims.join(", ")) };
        let growth =
            self.shape.first().map_or(0, |rows| GROWTH_DIGITS.saturating_sub(rows.to_string().len()));
        let mut text =
            format!("{{'descr': {}, 'fortran_order': False, 'shape': {shape}, }}", self.element.descr());
        text.extend(std::iter::repeat_n(' ', growth));
        let start = if text.len() + 1 + 10 + 63 <= usize::from(u16::MAX) { 10 } else { 12 };
        let total = (start + text.len() + 1).next_multiple_of(64);
        text.extend(std::iter::repeat_n(' ', total - start - text.len() - 1));
        text.push('\n');
        let mut bytes = Vec::with_capacity(total);
        bytes.extend_from_slice(MAGIC);
        if start == 10 {
            bytes.extend_from_slice(&[1, 0]);
            bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
        } else {
            bytes.extend_from_slice(&[2, 0]);
            bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
        }
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }
}

fn fill(reader: &mut dyn Read, path: &Path, offset: u64, buf: &mut [u8]) -> Result<()> {
    reader.read_exact(buf).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            let expected = format!("{} bytes of header", buf.len());
            IoError::malformed(path, "npy header", Some(offset), expected, "the end of the file")
                .with_hint("the file was cut off: fetch or write it again")
        }
        _ => IoError::read(path, Some(offset), error),
    })
}

fn parse_text(text: &[u8], text_offset: u64, path: &Path) -> Result<NpyHeader> {
    let wrong = |expected: &str, found: String| {
        IoError::malformed(path, "npy header", Some(text_offset), expected, found)
    };
    let value = literal::parse(text).map_err(|stop| {
        let found = String::from_utf8_lossy(&text[stop.at..text.len().min(stop.at + 20)]).into_owned();
        IoError::malformed(
            path,
            "npy header",
            Some(text_offset + stop.at as u64),
            stop.expected,
            format!("'{found}'"),
        )
    })?;
    let Literal::Dict(pairs) = value else {
        return Err(wrong("a dict", "something else".into()));
    };
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    for (key, value) in pairs {
        let place = match key.as_str() {
            "descr" => &mut descr,
            "fortran_order" => &mut fortran,
            "shape" => &mut shape,
            _ => return Err(wrong("the keys descr, fortran_order, shape", format!("'{key}'"))),
        };
        if place.replace(value).is_some() {
            return Err(wrong("each key once", format!("'{key}' twice")));
        }
    }
    let (Some(descr), Some(Literal::Bool(fortran)), Some(Literal::Many(dims))) = (descr, fortran, shape)
    else {
        return Err(wrong(
            "descr, fortran_order (True or False), shape (a tuple)",
            "a key that is missing or of another type".into(),
        ));
    };
    let element = element_of(&descr).map_err(|found| {
        let expected = "a numeric, text or uid-pair type, little-endian";
        IoError::malformed(path, TYPE_NOT_READ, Some(text_offset), expected, found)
            .with_hint("save it again from Python: np.save(path, array.astype('<f4'))")
    })?;
    let mut shape = Vec::with_capacity(dims.len());
    let mut bytes = Some(element.size());
    for dim in dims {
        let Literal::Number(length) = dim else {
            return Err(wrong("whole numbers as shape", format!("{dim:?}")));
        };
        // Zero rows must not hide a width that overflows.
        bytes = bytes.and_then(|b| b.checked_mul(length.max(1)));
        shape.push(length);
    }
    if bytes.is_none_or(|bytes| bytes > i64::MAX as u64) {
        return Err(wrong("an array of less than 2^63 bytes", format!("shape {shape:?}")));
    }
    if fortran && shape.len() > 1 && shape.iter().filter(|&&length| length != 1).count() > 1 {
        return Err(wrong(
            "rows one after the other (fortran_order False)",
            "columns one after the other".into(),
        )
        .with_hint("save it again from Python: np.save(path, np.ascontiguousarray(array))"));
    }
    Ok(NpyHeader { element, shape, data_offset: text_offset + text.len() as u64 })
}

fn element_of(descr: &Literal) -> std::result::Result<ElementType, String> {
    match descr {
        Literal::Text(text) => ElementType::parse(text),
        Literal::Many(fields) => {
            let is_half = |field: &Literal| match field {
                Literal::Many(parts) => {
                    matches!(&parts[..], [Literal::Text(_), Literal::Text(kind)] if matches!(kind.as_str(), "<u8" | "=u8" | "u8"))
                }
                _ => false,
            };
            if fields.len() == 2 && fields.iter().all(is_half) {
                Ok(ElementType::UidPair)
            } else {
                Err(format!("structured type {fields:?}"))
            }
        }
        other => Err(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<NpyHeader> {
        NpyHeader::read(&mut &bytes[..], Path::new("x.npy"))
    }

    fn with_text(version: u8, text: &str) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&[version, 0]);
        match version {
            1 => bytes.extend_from_slice(&(text.len() as u16).to_le_bytes()),
            _ => bytes.extend_from_slice(&(text.len() as u32).to_le_bytes()),
        }
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }

    /// Recorded from NumPy 2: `np.save` of `np.zeros((3, 4), '<f4')` and of a `u8,u8` array of 5 rows.
    #[test]
    fn headers_equal_those_of_numpy() {
        let expected = format!("{:<117}\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }");
        let header = NpyHeader { element: ElementType::F32, shape: vec![3, 4], data_offset: 128 };
        assert_eq!(header.to_bytes(), [b"\x93NUMPY\x01\x00\x76\x00", expected.as_bytes()].concat());
        let expected = format!(
            "{:<117}\n",
            "{'descr': [('f0', '<u8'), ('f1', '<u8')], 'fortran_order': False, 'shape': (5,), }"
        );
        let header = NpyHeader { element: ElementType::UidPair, shape: vec![5], data_offset: 128 };
        assert_eq!(header.to_bytes(), [b"\x93NUMPY\x01\x00\x76\x00", expected.as_bytes()].concat());
    }

    #[test]
    fn all_versions_and_forms_parse() {
        for version in 1..=3 {
            let header =
                read(&with_text(version, "{\"shape\":(2,0),'fortran_order':False,'descr':'|S3'}")).unwrap();
            assert_eq!((header.rows(), header.width(), header.element), (2, 0, ElementType::Bytes(3)));
        }
        let lone = read(&with_text(1, "{'descr': '<i8', 'fortran_order': True, 'shape': ()}\n")).unwrap();
        assert_eq!((lone.rows(), lone.width()), (1, 1));
        // One column has the same bytes in both orders.
        assert!(read(&with_text(1, "{'descr': '<i8', 'fortran_order': True, 'shape': (9, 1)}\n")).is_ok());
        let pair = "{'descr': [('hi', '<u8'), ('lo', '<u8')], 'fortran_order': False, 'shape': (3,)}";
        assert_eq!(read(&with_text(1, pair)).unwrap().element, ElementType::UidPair);
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_place() {
        let dict = |descr: &str, fortran: &str, shape: &str| {
            format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}}}")
        };
        for (text, word) in [
            (dict("'<f4'", "True", "(3, 4)"), "columns"),
            (dict("'>f4'", "False", "(3, 4)"), "big-endian"),
            (dict("'|O'", "False", "(3,)"), "objects"),
            (dict("'<f4'", "False", "(4294967296, 4294967296)"), "shape"),
            (dict("'<f4'", "False", "(0, 18446744073709551615)"), "shape"),
            (dict("'<f4'", "False", "3"), "missing"),
            (dict("'<f4'", "0", "(3,)"), "missing"),
            (dict("[('a', '<u8', (2,)), ('b', '<u8')]", "False", "(3,)"), "structured"),
            ("{'descr': '<f4', 'descr': '<f4', 'shape': (1,)}".into(), "twice"),
            ("{'other': 1}".into(), "other"),
            ("(1, 2)".into(), "something else"),
            ("{'descr' '<f4'}".into(), "byte 19"),
        ] {
            let error = read(&with_text(1, &text)).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("x.npy"), "{error}");
        }
        assert!(read(b"\x89PNG\r\n..").unwrap_err().hint().unwrap().contains("dim"));
        assert!(read(&with_text(9, "{}")).unwrap_err().to_string().contains("found 9"));
        assert!(read(b"\x93NUMPY\x02\x00\xff\xff\xff\xff").unwrap_err().to_string().contains("length"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn written_headers_come_back(rows in any::<u32>(), width in prop::option::of(0u64..100_000), kind in 0usize..4) {
            let element = [ElementType::F16, ElementType::Text(40), ElementType::UidPair, ElementType::Bool][kind];
            let shape: Vec<u64> = std::iter::once(u64::from(rows)).chain(width).collect();
            let mut header = NpyHeader { element, shape, data_offset: 0 };
            let bytes = header.to_bytes();
            header.data_offset = bytes.len() as u64;
            prop_assert_eq!(bytes.len() % 64, 0);
            prop_assert_eq!(read(&bytes).unwrap(), header);
            for cut in 0..bytes.len() {
                prop_assert!(read(&bytes[..cut]).is_err());
            }
        }

        #[test]
        fn damaged_headers_never_panic(at in 0usize..128, byte in any::<u8>()) {
            let mut bytes = NpyHeader { element: ElementType::F32, shape: vec![3, 4], data_offset: 0 }.to_bytes();
            bytes[at] = byte;
            let _ = read(&bytes);
        }
    }
}
