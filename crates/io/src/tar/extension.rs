//! What extension headers say about the member after them: pax records (`x`) and GNU long names (`L`). Only path and size matter to
//! an index; the rest is copied along as bytes, never understood.
use super::header::until_nul;

/// Extension data longer than this is taken for damage: names have at most a few thousand bytes.
pub(super) const LONGEST: u64 = 1 << 20;

/// What has been said about the next member.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Extension {
    pub path: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub sparse: bool,
}

impl Extension {
    /// Takes in the data of a GNU long name.
    pub fn long_name(&mut self, data: &[u8]) {
        self.path = Some(until_nul(data).to_vec());
    }

    /// Takes in pax records, each `length key=value\n`, where the length counts the whole record.
    pub fn pax(&mut self, mut data: &[u8]) -> Result<(), String> {
        while !until_nul(data).is_empty() {
            let broken = || "a pax record is broken".to_owned();
            let space = data.iter().take(20).position(|&byte| byte == b' ').ok_or_else(broken)?;
            let length: usize = std::str::from_utf8(&data[..space])
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(broken)?;
            if length <= space + 1 || length > data.len() || data[length - 1] != b'\n' {
                return Err(broken());
            }
            let record = &data[space + 1..length - 1];
            let equals = record.iter().position(|&byte| byte == b'=').ok_or_else(broken)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"size" => {
                    let text = std::str::from_utf8(value).ok();
                    self.size = Some(text.and_then(|t| t.parse().ok()).ok_or("a pax size is no number")?);
                }
                _ if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                _ => {}
            }
            data = &data[length..];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_cut_by_their_length_and_not_by_lines() {
        let mut extension = Extension::default();
        extension.pax(b"14 path=a\nb/c\n20 size=10737418240\n11 mtime=1\n\0\0").unwrap();
        assert_eq!(extension.path.as_deref(), Some(&b"a\nb/c"[..]));
        let mut extension = Extension::default();
        extension.pax(b"20 size=10737418240\n").unwrap();
        assert_eq!(extension.size, Some(10 << 30));
        for bad in [&b"x path=a\n"[..], b"99 path=a\n", b"9 path=ab", b"3 \n", b"7 size\n", b"9 size=x\n"] {
            assert!(Extension::default().pax(bad).is_err(), "{bad:?}");
        }
    }
}
