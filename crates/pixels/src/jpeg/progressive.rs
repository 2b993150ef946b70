//! Progressive scans: coefficients gathered bit by bit over several scans, then transformed (ITU T.81, Annex G).

use super::bits::{Bits, ScanData, extend};
use super::header::{Frame, PLACES, Scan, Tables};
use super::huffman::Table;
use super::idct::Block;
use super::plane::Plane;
use super::scan::Walk;
use super::{cut, damaged};
use crate::PixelError;
use crate::resize::Level;

/// Coefficients of all components, block after block, rows of blocks after each other.
#[derive(Debug, Default)]
pub(super) struct Coefficients {
    blocks: Vec<Block>,
    /// Where each component's blocks begin.
    starts: [usize; 4],
}

const NO_CODE: &str = "a code is in no Huffman table";

impl Coefficients {
    /// Room for the frame's blocks, all zero.
    pub fn reset(&mut self, frame: &Frame) {
        let mut total = 0;
        for (start, c) in self.starts.iter_mut().zip(&frame.components) {
            *start = total;
            total += c.blocks.0 * c.blocks.1;
        }
        self.blocks.clear();
        self.blocks.resize(total, [0; 64]);
    }

    /// Add what one scan says.
    pub fn decode(
        &mut self,
        frame: &Frame,
        scan: &Scan,
        tables: &Tables,
        data: &ScanData,
    ) -> Result<(), PixelError> {
        let walk = Walk::new(frame, scan.parts.iter().map(|p| p.0));
        let interval = if tables.restart == 0 { walk.units() } else { tables.restart };
        walk.check_segments(interval, data)?;
        let no_table = || damaged("a scan uses a table that is not there");
        for (i, start) in (0..walk.units()).step_by(interval).enumerate() {
            let Some(mut bits) = data.reader(i) else { break };
            let mut means = [0i32; 4];
            let mut empty = 0u32;
            for unit in start..(start + interval).min(walk.units()) {
                let (ux, uy) = (unit % walk.across, unit / walk.across);
                for (component, dc, ac) in &scan.parts {
                    let (h, v) = walk.blocks_of(frame, *component);
                    let across = frame.components[*component].blocks.0;
                    for y in uy * v..(uy + 1) * v {
                        for x in ux * h..(ux + 1) * h {
                            let block = &mut self.blocks[self.starts[*component] + y * across + x];
                            match (scan.band.0, scan.high) {
                                (0, 0) => {
                                    let table = tables.dc[*dc].as_ref().ok_or_else(no_table)?;
                                    first_mean(&mut bits, table, scan, &mut means[*component], block)?;
                                }
                                (0, _) => {
                                    bits.refill();
                                    block[0] |= (bits.take(1) << scan.low) as i16;
                                }
                                (_, 0) => {
                                    let table = tables.ac[*ac].as_ref().ok_or_else(no_table)?;
                                    first_band(&mut bits, table, scan, &mut empty, block)?;
                                }
                                _ => {
                                    let table = tables.ac[*ac].as_ref().ok_or_else(no_table)?;
                                    refine_band(&mut bits, table, scan, &mut empty, block)?;
                                }
                            }
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

    /// Transform the blocks of component `c` into its plane; `quant` is in the order of sending.
    pub fn transform(&self, level: Level, frame: &Frame, c: usize, quant: &[u16; 64], plane: &mut Plane) {
        let (across, down) = frame.components[c].blocks;
        let blocks = &self.blocks[self.starts[c]..][..across * down];
        match level {
            // SAFETY: no AVX2 is asked for.
            Level::Plain => unsafe { transform_body::<false>(blocks, across, quant, plane) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: these levels are only made after the processor was asked for AVX2 and BMI2.
            Level::Avx2 | Level::Vnni => unsafe { transform_avx2(blocks, across, quant, plane) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn transform_avx2(blocks: &[Block], across: usize, quant: &[u16; 64], plane: &mut Plane) {
    // SAFETY: AVX2 is enabled here.
    unsafe { transform_body::<true>(blocks, across, quant, plane) };
}

/// The transforms themselves.
///
/// # Safety
/// `AVX2` may only be true where the processor has it.
#[inline(always)]
unsafe fn transform_body<const AVX2: bool>(
    blocks: &[Block],
    across: usize,
    quant: &[u16; 64],
    plane: &mut Plane,
) {
    let mut factors: Block = [0; 64];
    for (factor, place) in quant.iter().zip(PLACES) {
        factors[usize::from(place)] = *factor as i16;
    }
    for (y, row) in blocks.chunks_exact(across).enumerate() {
        for (x, block) in row.iter().enumerate() {
            let mut whole = *block;
            whole.iter_mut().zip(&factors).for_each(|(value, factor)| *value = value.wrapping_mul(*factor));
            // SAFETY: the caller answers for AVX2.
            unsafe { plane.put::<AVX2>(x, y, &whole, false) };
        }
    }
}

fn first_mean(
    bits: &mut Bits<'_>,
    table: &Table,
    scan: &Scan,
    mean: &mut i32,
    block: &mut Block,
) -> Result<(), PixelError> {
    bits.refill();
    let entry = table.entry(bits).ok_or_else(|| damaged(NO_CODE))?;
    *mean = mean.wrapping_add(extend(bits.window() << entry.length(), entry.size()));
    bits.skip(entry.total());
    block[0] = (*mean << scan.low) as i16;
    Ok(())
}

/// Run of blocks without coefficients in this band, this one included: 2^r and r more bits.
fn empty_run(bits: &mut Bits<'_>, r: u32) -> u32 {
    bits.refill();
    (1 << r) + bits.take(r)
}

fn first_band(
    bits: &mut Bits<'_>,
    table: &Table,
    scan: &Scan,
    empty: &mut u32,
    block: &mut Block,
) -> Result<(), PixelError> {
    if *empty > 0 {
        *empty -= 1;
        return Ok(());
    }
    let mut k = scan.band.0;
    while k <= scan.band.1 {
        bits.refill();
        let entry = table.entry(bits).ok_or_else(|| damaged(NO_CODE))?;
        let run = usize::from(entry.symbol() >> 4);
        if entry.size() == 0 && run < 15 {
            bits.skip(entry.length());
            *empty = empty_run(bits, run as u32) - 1;
            break;
        }
        k += run;
        if k > scan.band.1 {
            return Err(damaged("a block has coefficients beyond its band"));
        }
        let value = extend(bits.window() << entry.length(), entry.size());
        bits.skip(entry.total());
        block[usize::from(PLACES[k])] = (value << scan.low) as i16;
        k += 1;
    }
    Ok(())
}

/// One more bit for every coefficient of the band, and the coefficients that become non-zero with it (G.1.2.3).
fn refine_band(
    bits: &mut Bits<'_>,
    table: &Table,
    scan: &Scan,
    empty: &mut u32,
    block: &mut Block,
) -> Result<(), PixelError> {
    let bit = 1i16 << scan.low;
    let refine = |bits: &mut Bits<'_>, value: &mut i16| {
        bits.refill();
        if bits.take(1) == 1 && *value & bit == 0 {
            *value = value.wrapping_add(if *value >= 0 { bit } else { -bit });
        }
    };
    let mut k = scan.band.0;
    if *empty == 0 {
        while k <= scan.band.1 {
            bits.refill();
            let entry = table.entry(bits).ok_or_else(|| damaged(NO_CODE))?;
            bits.skip(entry.length());
            let mut run = usize::from(entry.symbol() >> 4);
            let mut fresh = 0;
            match entry.size() {
                0 if run < 15 => {
                    *empty = empty_run(bits, run as u32);
                    break;
                }
                0 => {}
                1 => fresh = if bits.take(1) == 1 { bit } else { -bit },
                _ => return Err(damaged("a refining scan has a value of several bits")),
            }
            while k <= scan.band.1 {
                let value = &mut block[usize::from(PLACES[k])];
                k += 1;
                if *value != 0 {
                    refine(bits, value);
                } else if run == 0 {
                    *value = fresh;
                    break;
                } else {
                    run -= 1;
                }
            }
        }
    }
    if *empty > 0 {
        for place in &PLACES[k..=scan.band.1.max(k - 1)] {
            let value = &mut block[usize::from(*place)];
            if *value != 0 {
                refine(bits, value);
            }
        }
        *empty -= 1;
    }
    Ok(())
}
