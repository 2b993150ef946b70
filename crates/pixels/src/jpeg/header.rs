//! The segments of a JPEG: sizes, components, tables (ITU T.81, Annex B).

use super::huffman::Table;
use super::idct::place;
use super::{cut, damaged, unsupported};
use crate::{Limits, PixelError};

/// Row and column (8 * row + column) of the coefficients of a block in the order in which they are sent (ITU T.81, figure 5).
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Where the coefficients are stored in a block, in the order in which they are sent.
pub(super) const PLACES: [u8; 64] = {
    let mut places = [0; 64];
    let mut k = 0;
    while k < 64 {
        places[k] = place(ZIGZAG[k] as usize / 8, ZIGZAG[k] as usize % 8) as u8;
        k += 1;
    }
    places
};

/// One colour component.
#[derive(Clone, Debug)]
pub(super) struct Component {
    pub id: u8,
    /// Sampling factors: blocks across and down in an MCU.
    pub h: usize,
    pub v: usize,
    /// Which quantisation table.
    pub table: usize,
    /// Samples of the image in this component, before scaling.
    pub width: usize,
    pub height: usize,
    /// Blocks across and down, with those that only fill MCUs.
    pub blocks: (usize, usize),
}

/// The frame: what the SOF segment says.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub width: usize,
    pub height: usize,
    pub progressive: bool,
    pub components: Vec<Component>,
    /// Largest sampling factors.
    pub h_max: usize,
    pub v_max: usize,
    /// MCUs across and down.
    pub mcus: (usize, usize),
}

/// One scan: what the SOS segment says.
#[derive(Clone, Debug)]
pub(super) struct Scan {
    /// (component, DC table, AC table).
    pub parts: Vec<(usize, usize, usize)>,
    /// First and last coefficient.
    pub band: (usize, usize),
    /// Bits that earlier scans and this one leave out.
    pub high: u32,
    pub low: u32,
}

/// Tables as they stand at some point of the file.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// In the order of the zigzag.
    pub quant: [Option<[u16; 64]>; 4],
    pub dc: [Option<Table>; 4],
    pub ac: [Option<Table>; 4],
    /// MCUs between restarts; 0: none.
    pub restart: usize,
    pub jfif: bool,
    /// Adobe's colour transform.
    pub adobe: Option<u8>,
}

/// What the next segment was.
pub(super) enum Segment {
    Frame(Frame),
    Scan(Scan),
    End,
    Other,
}

fn u16_at(bytes: &[u8], at: usize) -> Result<usize, PixelError> {
    let two = bytes.get(at..).and_then(|b| b.first_chunk::<2>()).ok_or_else(|| cut("a segment"))?;
    Ok(usize::from(u16::from_be_bytes(*two)))
}

impl Tables {
    /// Read the segment at `at`, which is moved behind it.
    pub fn segment(
        &mut self,
        file: &[u8],
        at: &mut usize,
        frame: Option<&Frame>,
        limits: &Limits,
    ) -> Result<Segment, PixelError> {
        // Between segments libjpeg skips whatever is no marker.
        let skip =
            memchr::memchr(0xff, file.get(*at..).unwrap_or_default()).ok_or_else(|| cut("the segments"))?;
        *at += skip;
        while file.get(*at) == Some(&0xff) {
            *at += 1;
        }
        let marker = *file.get(*at).ok_or_else(|| cut("the segments"))?;
        *at += 1;
        match marker {
            0xd9 => return Ok(Segment::End),
            0x00 | 0x01 | 0xd0..=0xd8 => return Ok(Segment::Other),
            _ => {}
        }
        let length = u16_at(file, *at)?;
        if length < 2 {
            return Err(damaged("a segment is shorter than its own length"));
        }
        let body = file.get(*at + 2..*at + length).ok_or_else(|| cut("a segment"))?;
        *at += length;
        match marker {
            0xc0..=0xc2 if frame.is_some() => return Err(damaged("it holds two frames")),
            0xc0..=0xc2 => return Ok(Segment::Frame(Frame::parse(body, marker == 0xc2, limits)?)),
            0xc4 => self.huffman(body)?,
            0xda => {
                let frame = frame.ok_or_else(|| damaged("samples come before the size"))?;
                return Ok(Segment::Scan(Scan::parse(body, frame)?));
            }
            0xdb => self.quantisation(body)?,
            0xdd => self.restart = u16_at(body, 0)?,
            0xe0 if body.starts_with(b"JFIF\0") => self.jfif = true,
            0xee if body.starts_with(b"Adobe") && body.len() >= 12 => self.adobe = Some(body[11]),
            0xc3 | 0xc5..=0xc7 | 0xcb | 0xcd..=0xcf => {
                return Err(unsupported("a lossless or hierarchical frame"));
            }
            0xc9 | 0xca => return Err(unsupported("arithmetic coding")),
            _ => {}
        }
        Ok(Segment::Other)
    }

    fn quantisation(&mut self, mut body: &[u8]) -> Result<(), PixelError> {
        while let Some((head, rest)) = body.split_first() {
            let wide = head >> 4 != 0;
            let size = if wide { 128 } else { 64 };
            let (values, rest) =
                rest.split_at_checked(size).ok_or_else(|| damaged("a quantisation table is too short"))?;
            let slot =
                self.quant.get_mut(usize::from(head & 15)).ok_or_else(|| damaged("it has a fifth table"))?;
            *slot = Some(std::array::from_fn(|i| {
                if wide { u16::from_be_bytes([values[2 * i], values[2 * i + 1]]) } else { values[i].into() }
            }));
            body = rest;
        }
        Ok(())
    }

    fn huffman(&mut self, mut body: &[u8]) -> Result<(), PixelError> {
        while let Some((head, rest)) = body.split_first() {
            let (counts, rest) =
                rest.split_first_chunk::<16>().ok_or_else(|| damaged("a Huffman table is too short"))?;
            let total = counts.iter().map(|n| usize::from(*n)).sum();
            let (symbols, rest) =
                rest.split_at_checked(total).ok_or_else(|| damaged("a Huffman table is too short"))?;
            let tables = if head >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            let slot =
                tables.get_mut(usize::from(head & 15)).ok_or_else(|| damaged("it has a fifth table"))?;
            *slot = Some(Table::new(counts, symbols)?);
            body = rest;
        }
        Ok(())
    }
}

impl Frame {
    fn parse(body: &[u8], progressive: bool, limits: &Limits) -> Result<Self, PixelError> {
        let head = body.first_chunk::<6>().ok_or_else(|| damaged("the frame header is too short"))?;
        let (height, width) = (u16_at(body, 1)?, u16_at(body, 3)?);
        limits.check(width as u64, height as u64)?;
        if head[0] != 8 {
            return Err(unsupported(format!("a precision of {} bits", head[0])));
        }
        if width == 0 || height == 0 {
            return Err(unsupported(format!("a size of {width} x {height}")));
        }
        let parts = body[6..].as_chunks::<3>().0;
        if parts.len() != usize::from(head[5]) {
            return Err(damaged("the frame header does not hold its components"));
        }
        if !matches!(parts.len(), 1 | 3 | 4) {
            return Err(unsupported(format!("an image of {} components", parts.len())));
        }
        let factor = |half: u8| (1..=4).contains(&half).then_some(usize::from(half));
        let mut components = Vec::with_capacity(parts.len());
        for [id, factors, table] in parts {
            let (Some(h), Some(v)) = (factor(factors >> 4), factor(factors & 15)) else {
                return Err(damaged("a sampling factor is not between 1 and 4"));
            };
            let table = usize::from(*table);
            components.push(Component { id: *id, h, v, table, width: 0, height: 0, blocks: (0, 0) });
        }
        let h_max = components.iter().map(|c| c.h).max().unwrap_or(1);
        let v_max = components.iter().map(|c| c.v).max().unwrap_or(1);
        let mcus = (width.div_ceil(8 * h_max), height.div_ceil(8 * v_max));
        for c in &mut components {
            if h_max % c.h != 0 || v_max % c.v != 0 {
                return Err(unsupported("a sampling that is no whole fraction"));
            }
            c.width = (width * c.h).div_ceil(h_max);
            c.height = (height * c.v).div_ceil(v_max);
            c.blocks = (mcus.0 * c.h, mcus.1 * c.v);
        }
        Ok(Self { width, height, progressive, components, h_max, v_max, mcus })
    }
}

impl Scan {
    fn parse(body: &[u8], frame: &Frame) -> Result<Self, PixelError> {
        let wrong = || damaged("a scan header is wrong");
        let (count, rest) = body.split_first().ok_or_else(wrong)?;
        let count = usize::from(*count);
        let (selectors, rest) = rest.split_at_checked(2 * count).ok_or_else(wrong)?;
        let tail = rest.first_chunk::<3>().ok_or_else(wrong)?;
        let mut parts: Vec<(usize, usize, usize)> = Vec::with_capacity(count);
        for [id, tables] in selectors.as_chunks::<2>().0 {
            let index = frame.components.iter().position(|c| c.id == *id).ok_or_else(wrong)?;
            if parts.iter().any(|(earlier, ..)| *earlier == index) {
                return Err(wrong());
            }
            parts.push((index, usize::from(tables >> 4 & 3), usize::from(tables & 3)));
        }
        let band = (usize::from(tail[0]), usize::from(tail[1]));
        let (high, low) = (u32::from(tail[2] >> 4), u32::from(tail[2] & 15));
        // Baseline decoders ignore these fields; encoders do not always set them.
        let (band, high, low) = if frame.progressive { (band, high, low) } else { ((0, 63), 0, 0) };
        let mixed = frame.progressive && (band.0 == 0) != (band.1 == 0);
        if parts.is_empty()
            || band.1 > 63
            || band.0 > band.1
            || low > 13
            || mixed
            || (band.0 > 0 && parts.len() > 1)
        {
            return Err(wrong());
        }
        Ok(Self { parts, band, high, low })
    }
}
