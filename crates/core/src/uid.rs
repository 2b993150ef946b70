//! The identity of a sample. A plain `u128`, so that order, halves and hex text are all one number seen differently.
use std::{
    fmt::{self, Write},
    str::FromStr,
};

/// The 128-bit identity of a sample: 32 lower-case hexadecimal characters as text, 16 big-endian bytes in step tables,
/// two `u64` halves (high, low) in DataComp's subset files. Its order is the numeric order, which equals the order of the
/// text and of the pairs of halves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uid(pub u128);

/// One in each of eight bytes.
const EACH: u64 = 0x0101_0101_0101_0101;

/// The value of eight hexadecimal digits of either case, the first in the highest byte; and 0, or something else where one of them is none.
const fn eight_digits(text: u64) -> (u64, u64) {
    // A letter has bit 6: its low four bits count from 1.
    let letters = text >> 6 & EACH;
    let values = (text & (0x0f * EACH)) + 9 * letters;
    // A value is right where it is one digit, and the digit that is written for it is the text again, in lower case.
    let wrong = (written(values) ^ (text | letters << 5)) | (values & (0xf0 * EACH));
    let pairs = (values | values >> 4) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    ((fours | fours >> 16) & 0xffff_ffff, wrong)
}

/// The eight lower-case hexadecimal digits of a number, the first in the highest byte.
const fn digits_of(value: u32) -> u64 {
    let value = value as u64;
    let fours = (value | value << 16) & 0x0000_ffff_0000_ffff;
    let pairs = (fours | fours << 8) & 0x00ff_00ff_00ff_00ff;
    let values = (pairs | pairs << 4) & (0x0f * EACH);
    written(values)
}

/// The character of each of eight values below 25, one a byte.
const fn written(values: u64) -> u64 {
    let above_nine = (values + 6 * EACH) >> 4 & EACH;
    values + 0x30 * EACH + 0x27 * above_nine
}

/// A text that is no uid: not 32 hexadecimal characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{found}' is no uid: expected 32 hexadecimal characters, found {length}")]
pub struct ParseUidError {
    /// The text, cut to its first 64 characters.
    pub found: String,
    /// The length of the whole text in bytes.
    pub length: usize,
}

impl Uid {
    /// From the two halves of a subset file: `f0` is the high one.
    pub const fn from_halves(high: u64, low: u64) -> Self {
        Self(((high as u128) << 64) | low as u128)
    }

    /// The two halves, high first, as DataComp's subset files hold them.
    pub const fn halves(self) -> (u64, u64) {
        ((self.0 >> 64) as u64, self.0 as u64)
    }

    /// From 16 big-endian bytes, as step tables hold it.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// 16 big-endian bytes: their byte order is the order of the uids.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Parses exactly 32 hexadecimal characters, upper or lower case.
    pub fn parse(text: &[u8]) -> Result<Self, ParseUidError> {
        let fail = || ParseUidError {
            found: String::from_utf8_lossy(&text[..text.len().min(64)]).into_owned(),
            length: text.len(),
        };
        let text = <&[u8; 32]>::try_from(text).map_err(|_| fail())?;
        // Pools have billions of these: eight digits at once, no branch for any, and one check for all.
        let (value, wrong) = text.as_chunks::<8>().0.iter().fold((0, 0), |(value, wrong), eight| {
            let (digits, bad) = eight_digits(u64::from_be_bytes(*eight));
            (value << 32 | u128::from(digits), wrong | bad)
        });
        if wrong == 0 { Ok(Self(value)) } else { Err(fail()) }
    }

    /// The 32 lower-case hexadecimal characters.
    pub fn to_hex(self) -> [u8; 32] {
        let mut text = [0; 32];
        for (part, eight) in text.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            *eight = digits_of((self.0 >> (96 - 32 * part)) as u32).to_be_bytes();
        }
        text
    }

    /// A well-mixed 64-bit hash of uid and seed (splitmix64's finaliser over both halves). Used wherever a choice must look random but
    /// depend on nothing except the sample and the seed: not on shards, threads or order.
    pub const fn mix(self, seed: u64) -> u64 {
        const fn finalise(mut z: u64) -> u64 {
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }
        let (high, low) = self.halves();
        let start = finalise(seed.wrapping_add(0x9e37_79b9_7f4a_7c15));
        finalise(finalise(start ^ high).wrapping_add(0x9e37_79b9_7f4a_7c15) ^ low)
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_hex().iter().try_for_each(|&digit| f.write_char(char::from(digit)))
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uid({self})")
    }
}

impl FromStr for Uid {
    type Err = ParseUidError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_halves_and_bytes_are_one_number() {
        let uid: Uid = "0123456789abcdeffedcba9876543210".parse().unwrap();
        assert_eq!(uid.halves(), (0x0123456789abcdef, 0xfedcba9876543210));
        assert_eq!(Uid::from_halves(uid.halves().0, uid.halves().1), uid);
        assert_eq!(Uid::from_bytes(uid.to_bytes()), uid);
        assert_eq!(uid.to_string(), "0123456789abcdeffedcba9876543210");
        assert_eq!("0123456789ABCDEFFEDCBA9876543210".parse::<Uid>().unwrap(), uid);
    }

    #[test]
    fn wrong_texts_are_refused_with_their_length() {
        for text in ["", "0123", "0123456789abcdeffedcba987654321g", "0123456789abcdeffedcba98765432100"] {
            assert_eq!(text.parse::<Uid>().unwrap_err().length, text.len());
        }
    }

    #[test]
    fn every_byte_is_a_digit_or_none_at_every_place() {
        let good = *b"0123456789abcdefFEDCBA9876543210";
        for (place, byte) in (0..32).flat_map(|place| (0..=255u8).map(move |byte| (place, byte))) {
            let mut text = good;
            text[place] = byte;
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let value =
                text.iter().try_fold(0u128, |value, &byte| Some(value << 4 | u128::from(digit(byte)?)));
            assert_eq!(Uid::parse(&text).ok(), value.map(Uid), "{byte:#x} at {place}");
        }
    }

    #[test]
    fn mixing_depends_on_both_halves_and_the_seed() {
        let a = Uid(1).mix(0);
        assert_ne!(a, Uid(1 << 64).mix(0));
        assert_ne!(a, Uid(1).mix(1));
        assert_eq!(a, Uid(1).mix(0));
    }
}
