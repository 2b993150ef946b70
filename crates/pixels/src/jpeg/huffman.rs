//! Huffman tables: one look at ten bits gives the code's length, its symbol, and how far to go on with the bits behind it.

use super::bits::Bits;
use crate::PixelError;

/// Bits of the first look.
const LOOK: u32 = 10;
/// Run of an end-of-block: beyond any block.
pub(super) const END_OF_BLOCK: usize = 64;

/// What a look at the bits gives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry(u32);

impl Entry {
    fn new(length: u32, symbol: u8) -> Self {
        let size = u32::from(symbol & 15);
        let run = if symbol == 0 { END_OF_BLOCK as u32 } else { u32::from(symbol >> 4) };
        Self((length + size) | length << 8 | u32::from(symbol) << 16 | run << 24)
    }

    /// Bits of the code and of the value behind it; 0 where the code is longer than the look.
    #[inline(always)]
    pub fn total(self) -> u32 {
        self.0 & 0xff
    }

    /// Bits of the code.
    #[inline(always)]
    pub fn length(self) -> u32 {
        self.0 >> 8 & 0xff
    }

    /// The symbol: run of zeros (high half) and size of the value (low half).
    #[inline(always)]
    pub fn symbol(self) -> u8 {
        (self.0 >> 16) as u8
    }

    /// Bits of the value.
    #[inline(always)]
    pub fn size(self) -> u32 {
        self.0 >> 16 & 15
    }

    /// Zeros before the value; [`END_OF_BLOCK`] for symbol 0.
    #[inline(always)]
    pub fn run(self) -> usize {
        (self.0 >> 24) as usize
    }
}

/// A table of codes.
#[derive(Clone, Debug)]
pub(super) struct Table {
    look: Box<[Entry; 1 << LOOK]>,
    /// For each length: the first code above those of that length, left-aligned in 16 bits.
    above: [u32; 18],
    /// For each length: what to add to a code for its place in `symbols`.
    offset: [i32; 18],
    symbols: Vec<u8>,
}

impl Table {
    /// From the contents of a DHT segment (ITU T.81, C.2): how many codes of each length, and the symbols.
    ///
    /// # Errors
    /// More codes than fit.
    pub fn new(counts: &[u8; 16], symbols: &[u8]) -> Result<Self, PixelError> {
        let mut look = Box::new([Entry(0); 1 << LOOK]);
        let (mut above, mut offset) = ([0u32; 18], [0i32; 18]);
        let (mut code, mut place) = (0u32, 0usize);
        for length in 1..=16u32 {
            let count = u32::from(counts[length as usize - 1]);
            offset[length as usize] = place as i32 - code as i32;
            if code + count > 1 << length {
                return Err(super::damaged("a Huffman table has more codes than its lengths allow"));
            }
            for _ in 0..count {
                if length <= LOOK {
                    let shift = LOOK - length;
                    let from = (code << shift) as usize;
                    look[from..from + (1 << shift)].fill(Entry::new(length, symbols[place]));
                }
                code += 1;
                place += 1;
            }
            above[length as usize] = code << (16 - length);
            code <<= 1;
        }
        above[17] = u32::MAX;
        Ok(Self { look, above, offset, symbols: symbols.to_vec() })
    }

    /// The entry for the next bits. `bits` must hold 16. `None` where they begin no code.
    #[inline(always)]
    pub fn entry(&self, bits: &Bits<'_>) -> Option<Entry> {
        let entry = self.look[(bits.window() >> (64 - LOOK)) as usize];
        if entry.total() != 0 { Some(entry) } else { self.long(bits.window()) }
    }

    #[cold]
    #[inline(never)]
    fn long(&self, window: u64) -> Option<Entry> {
        let top = (window >> 48) as u32;
        let length = (LOOK + 1..=16).find(|length| top < self.above[*length as usize])?;
        let place = (top >> (16 - length)) as i32 + self.offset[length as usize];
        let symbol = self.symbols.get(usize::try_from(place).ok()?)?;
        Some(Entry::new(length, *symbol))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jpeg::bits::ScanData;

    #[test]
    fn short_and_long_codes_are_found() {
        // One code of every length: 0, 10, 110, ... and two of length 16.
        let mut counts = [1u8; 16];
        counts[15] = 2;
        let symbols: Vec<u8> = (1..=17).collect();
        let table = Table::new(&counts, &symbols).expect("fits");
        for (i, symbol) in symbols.iter().enumerate() {
            let code = !(u32::MAX << 16 >> i.min(16) as u32) & 0xffff;
            let code = if i == 16 { 0xffff } else { !code & 0xffff };
            let mut scan = ScanData::default();
            let [a, b] = (code as u16).to_be_bytes();
            let mut file = Vec::new();
            for byte in [a, b, 0, 0, 0, 0, 0, 0] {
                file.push(byte);
                if byte == 0xff {
                    file.push(0);
                }
            }
            file.extend([0xff, 0xd9]);
            scan.extract(&file, 0).expect("has an end");
            let mut bits = scan.reader(0).expect("one segment");
            bits.refill();
            let entry = table.entry(&bits).expect("a code");
            assert_eq!((entry.symbol(), entry.length()), (*symbol, (i as u32 + 1).min(16)), "{code:016b}");
        }
        counts[0] = 3;
        assert!(Table::new(&counts, &[0; 19]).is_err());
    }
}
