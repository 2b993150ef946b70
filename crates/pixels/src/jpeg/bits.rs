//! Entropy-coded data: stuffing taken out, then read most significant bit first through a 64-bit window.

use crate::PixelError;

/// The entropy-coded bytes of one scan without stuffing, cut at restart markers.
#[derive(Debug, Default)]
pub(super) struct ScanData {
    bytes: Vec<u8>,
    /// End of each segment in `bytes`.
    ends: Vec<usize>,
}

impl ScanData {
    /// Take the scan that starts at `at` out of `file`. Returns the position of the marker behind it.
    ///
    /// # Errors
    /// The file ends before a marker.
    pub fn extract(&mut self, file: &[u8], mut at: usize) -> Result<usize, PixelError> {
        self.bytes.clear();
        self.ends.clear();
        loop {
            let rest = file.get(at..).unwrap_or_default();
            let Some(run) = memchr::memchr(0xff, rest) else {
                return Err(super::cut("the compressed samples"));
            };
            self.bytes.extend_from_slice(&rest[..run]);
            at += run;
            match file.get(at + 1) {
                None => return Err(super::cut("the compressed samples")),
                Some(0x00) => {
                    self.bytes.push(0xff);
                    at += 2;
                }
                // A fill byte before a marker.
                Some(0xff) => at += 1,
                Some(0xd0..=0xd7) => {
                    self.ends.push(self.bytes.len());
                    at += 2;
                }
                Some(_) => {
                    self.ends.push(self.bytes.len());
                    return Ok(at);
                }
            }
        }
    }

    /// The segments, one for each restart interval.
    pub fn segments(&self) -> usize {
        self.ends.len()
    }

    /// A reader of segment `i`.
    pub fn reader(&self, i: usize) -> Option<Bits<'_>> {
        let end = *self.ends.get(i)?;
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        Some(Bits { bytes: &self.bytes[start..end], at: 0, window: 0, valid: 0 })
    }
}

/// Reads bits; behind the end it reads zeros, which [`Bits::overrun`] tells.
#[derive(Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// Next byte to load.
    at: usize,
    /// The next bits, at the top.
    window: u64,
    /// How many bits of the window count.
    valid: u32,
}

impl Bits<'_> {
    /// Fill the window to at least 56 bits.
    #[inline(always)]
    pub fn refill(&mut self) {
        if let Some(next) = self.bytes.get(self.at..self.at + 8).and_then(|b| b.first_chunk::<8>()) {
            self.window |= u64::from_be_bytes(*next) >> self.valid;
            self.at += ((63 - self.valid) >> 3) as usize;
            self.valid |= 56;
        } else {
            self.refill_at_end();
        }
    }

    #[cold]
    fn refill_at_end(&mut self) {
        while self.valid <= 56 {
            let byte = self.bytes.get(self.at).copied().unwrap_or(0);
            self.window |= u64::from(byte) << (56 - self.valid);
            self.at += 1;
            self.valid += 8;
        }
    }

    /// The window: the next bit is the highest.
    #[inline(always)]
    pub fn window(&self) -> u64 {
        self.window
    }

    /// Whether at least `n` bits are in the window.
    #[inline(always)]
    pub fn holds(&self, n: u32) -> bool {
        self.valid >= n
    }

    /// Go on by `n` bits, which must be in the window.
    #[inline(always)]
    pub fn skip(&mut self, n: u32) {
        self.window <<= n;
        self.valid = self.valid.wrapping_sub(n);
    }

    /// The next `n` bits (0 to 16) as a number. The window must hold them.
    #[inline(always)]
    pub fn take(&mut self, n: u32) -> u32 {
        let value = (self.window >> 1 >> (63 - n)) as u32;
        self.skip(n);
        value
    }

    /// Whether more bits were read than there are.
    #[inline(always)]
    pub fn overrun(&self) -> bool {
        // What lies in the window was loaded but not read.
        self.at.saturating_sub((self.valid / 8) as usize) > self.bytes.len()
    }
}

/// The value of a coefficient: `size` bits at the top of `bits`, negative where the first is 0 (ITU T.81, F.2.2.1, EXTEND).
#[inline(always)]
pub(super) fn extend(bits: u64, size: u32) -> i32 {
    let value = (bits >> 1 >> (63 - size)) as i32;
    let first = (bits as i64 >> 63) as i32;
    value - (!first & ((1 << size) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stuffing_goes_and_restarts_cut() {
        let mut scan = ScanData::default();
        let file = [1, 2, 0xff, 0x00, 3, 0xff, 0xd0, 4, 0xff, 0xff, 0xd9];
        assert_eq!(scan.extract(&file, 0), Ok(9));
        assert_eq!(scan.bytes, [1, 2, 0xff, 3, 4]);
        assert_eq!(scan.ends, [4, 5]);
        assert!(scan.extract(&file[..8], 0).is_err());
    }

    #[test]
    fn bits_come_in_order_and_the_end_is_noticed() {
        let mut scan = ScanData::default();
        let mut file: Vec<u8> = (0..40).collect();
        file.extend([0xff, 0xd9]);
        scan.extract(&file, 0).expect("has an end");
        let mut bits = scan.reader(0).expect("one segment");
        for i in 0..40 {
            bits.refill();
            assert_eq!(bits.take(3), i >> 5);
            bits.refill();
            assert_eq!(bits.take(5), i & 31);
        }
        assert!(!bits.overrun());
        bits.refill();
        bits.skip(8);
        assert!(bits.overrun());
    }

    #[test]
    fn extend_follows_the_standard() {
        // Table F.1 of ITU T.81: size 2 holds -3, -2, 2, 3.
        let all: Vec<i32> = (0..4u64).map(|v| extend(v << 62, 2)).collect();
        assert_eq!(all, [-3, -2, 2, 3]);
        assert_eq!(extend(u64::MAX, 0), 0);
        assert_eq!(extend(0, 0), 0);
    }
}
