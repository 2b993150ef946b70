//! Sequential scans: Huffman codes to coefficients to samples, block by block (ITU T.81, F.2).

use super::bits::{Bits, ScanData, extend};
use super::header::{Frame, PLACES, Scan, Tables};
use super::huffman::{END_OF_BLOCK, Table};
use super::idct::Block;
use super::plane::Plane;
use super::{cut, damaged};
use crate::PixelError;
use crate::resize::Level;

/// What a scan needs of a component.
struct Part<'a> {
    component: usize,
    dc: &'a Table,
    ac: &'a Table,
    /// For each coefficient in the order in which they are sent: its factor (low half) and its place in the block (high half).
    quant: [u32; 64],
    /// Last DC coefficient, before its factor.
    mean: i32,
}

/// Decode one scan into the planes of its components.
pub(super) fn decode(
    level: Level,
    frame: &Frame,
    scan: &Scan,
    tables: &Tables,
    data: &ScanData,
    planes: &mut [Plane],
) -> Result<(), PixelError> {
    let mut parts = Vec::with_capacity(scan.parts.len());
    for (component, dc, ac) in &scan.parts {
        let no_table = || damaged("a scan uses a table that is not there");
        let quant =
            tables.quant.get(frame.components[*component].table).copied().flatten().ok_or_else(no_table)?;
        parts.push(Part {
            component: *component,
            dc: tables.dc[*dc].as_ref().ok_or_else(no_table)?,
            ac: tables.ac[*ac].as_ref().ok_or_else(no_table)?,
            quant: std::array::from_fn(|k| u32::from(quant[k]) | (PLACES[k] as u32) << 16),
            mean: 0,
        });
    }
    match level {
        // SAFETY: no AVX2 is asked for.
        Level::Plain => unsafe { decode_body::<false>(frame, tables.restart, &mut parts, data, planes) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: these levels are only made after the processor was asked for AVX2 and BMI2.
        Level::Avx2 | Level::Vnni => unsafe { decode_avx2(frame, tables.restart, &mut parts, data, planes) },
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn decode_avx2(
    frame: &Frame,
    restart: usize,
    parts: &mut [Part<'_>],
    data: &ScanData,
    planes: &mut [Plane],
) -> Result<(), PixelError> {
    // SAFETY: AVX2 is enabled here.
    unsafe { decode_body::<true>(frame, restart, parts, data, planes) }
}

/// The scan itself.
///
/// # Safety
/// `AVX2` may only be true where the processor has it.
#[inline(always)]
unsafe fn decode_body<const AVX2: bool>(
    frame: &Frame,
    restart: usize,
    parts: &mut [Part<'_>],
    data: &ScanData,
    planes: &mut [Plane],
) -> Result<(), PixelError> {
    let walk = Walk::new(frame, parts.iter().map(|p| p.component));
    let interval = if restart == 0 { walk.units() } else { restart };
    walk.check_segments(interval, data)?;
    for (i, start) in (0..walk.units()).step_by(interval).enumerate() {
        let Some(mut bits) = data.reader(i) else { break };
        parts.iter_mut().for_each(|p| p.mean = 0);
        for unit in start..(start + interval).min(walk.units()) {
            let (ux, uy) = (unit % walk.across, unit / walk.across);
            for part in parts.iter_mut() {
                let (h, v) = walk.blocks_of(frame, part.component);
                let plane = &mut planes[part.component];
                for y in uy * v..(uy + 1) * v {
                    for x in ux * h..(ux + 1) * h {
                        let mut block = [0i16; 64];
                        let last = part.block(&mut bits, &mut block)?;
                        // SAFETY: the caller answers for AVX2.
                        unsafe { plane.put::<AVX2>(x, y, &block, last == 0) };
                    }
                }
            }
            if ux + 1 == walk.across && bits.overrun() {
                return Err(cut("the compressed samples"));
            }
        }
        if bits.overrun() {
            return Err(cut("the compressed samples"));
        }
    }
    Ok(())
}

/// The units of a scan: MCUs where it holds several components, single blocks of the image where it holds one (T.81, A.2).
pub(super) struct Walk {
    pub across: usize,
    pub down: usize,
    interleaved: bool,
}

impl Walk {
    pub fn new(frame: &Frame, mut components: impl ExactSizeIterator<Item = usize>) -> Self {
        match (components.len(), components.next()) {
            (1, Some(only)) => {
                let c = &frame.components[only];
                Self { across: c.width.div_ceil(8), down: c.height.div_ceil(8), interleaved: false }
            }
            _ => Self { across: frame.mcus.0, down: frame.mcus.1, interleaved: true },
        }
    }

    pub fn units(&self) -> usize {
        self.across * self.down
    }

    /// Blocks of a component in a unit, across and down.
    #[inline(always)]
    pub fn blocks_of(&self, frame: &Frame, component: usize) -> (usize, usize) {
        let c = &frame.components[component];
        if self.interleaved { (c.h, c.v) } else { (1, 1) }
    }

    /// The data must have a segment for every restart interval.
    pub fn check_segments(&self, interval: usize, data: &ScanData) -> Result<(), PixelError> {
        let needed = self.units().div_ceil(interval);
        if data.segments() < needed {
            return Err(cut("the compressed samples"));
        }
        // One empty segment more is a restart marker behind the last interval.
        if data.segments() > needed + 1 {
            return Err(damaged("it has more restart intervals than samples"));
        }
        Ok(())
    }
}

impl Part<'_> {
    /// Read a block. Returns the place, in the order of sending, behind the last coefficient but the first; 0 if there is none.
    #[inline(always)]
    fn block(&mut self, bits: &mut Bits<'_>, block: &mut Block) -> Result<usize, PixelError> {
        bits.refill();
        let entry = self.dc.entry(bits).ok_or_else(|| damaged("a code is in no Huffman table"))?;
        let difference = extend(bits.window() << entry.length(), entry.size());
        bits.skip(entry.total());
        self.mean = self.mean.wrapping_add(difference);
        block[0] = self.mean.wrapping_mul(self.quant[0] as i32) as i16;
        let mut k = 1;
        while k < 64 {
            // A code and its value take at most 31 bits.
            if !bits.holds(32) {
                bits.refill();
            }
            let entry = self.ac.entry(bits).ok_or_else(|| damaged("a code is in no Huffman table"))?;
            let value = extend(bits.window() << entry.length(), entry.size());
            let place = k + entry.run();
            bits.skip(entry.total());
            if place >= 64 {
                if entry.run() != END_OF_BLOCK {
                    return Err(damaged("a block has more than 64 coefficients"));
                }
                return Ok(k - 1);
            }
            // Of the product only 16 bits are kept, so that the place in the high half does not matter to it.
            let factor = self.quant[place];
            block[(factor >> 16) as usize & 63] = value.wrapping_mul(factor as i32) as i16;
            k = place + 1;
        }
        Ok(k - 1)
    }
}
