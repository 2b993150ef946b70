//! The input and the output matrix: dense f32 or product-quantised.
//!
//! A quantised row is cut into pieces of `width` values; each piece is one of 256 centroids of its place, named by a byte. With `norms`, rows were
//! normalised first and each has a byte that names one of 256 lengths (Joulin et al. 2016, section 3.2).
//! Sums run in fastText's order, so that they have its bits.
use super::file::Reader;
use crate::Result;
use std::io::BufRead;

/// Centroids for each place: what a byte can name.
const CENTROIDS: usize = 256;

/// A matrix of `rows` rows with `columns` f32 values.
#[derive(Debug)]
pub(super) struct Matrix {
    pub(super) rows: usize,
    pub(super) columns: usize,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Dense(Vec<f32>),
    Quantised { codes: Vec<u8>, quantiser: Quantiser, norms: Option<(Vec<u8>, Quantiser)> },
}

#[derive(Debug)]
struct Quantiser {
    /// Values of a row.
    dimensions: usize,
    /// Pieces of a row.
    pieces: usize,
    /// Values of a piece; the last piece may have fewer.
    width: usize,
    /// For each piece, 256 centroids.
    centroids: Vec<f32>,
}

impl Matrix {
    /// Reads fastText's `DenseMatrix` or `QuantMatrix`; `what` names it in errors.
    pub(super) fn read<R: BufRead>(reader: &mut Reader<R>, quantised: bool, what: &str) -> Result<Self> {
        let with_norms = quantised && reader.flag(what)?;
        let (rows, columns) = (reader.size(what)?, reader.size(what)?);
        if rows == 0 || columns == 0 {
            return Err(reader.malformed(format!("the {what} is empty ({rows} x {columns})")));
        }
        if !quantised {
            let size = rows.checked_mul(columns);
            let size = size.ok_or_else(|| reader.malformed(format!("the {what} is {rows} x {columns}")))?;
            return Ok(Self { rows, columns, values: Values::Dense(reader.floats(size, what)?) });
        }
        let size = reader.small_size(what)?;
        let codes = reader.bytes(size, what)?;
        let quantiser = Quantiser::read(reader, columns, what)?;
        if rows.checked_mul(quantiser.pieces) != Some(size) {
            return Err(reader.malformed(format!(
                "the {what} has {size} codes for {rows} rows of {} pieces",
                quantiser.pieces
            )));
        }
        let norms = match with_norms {
            true => Some((reader.bytes(rows, what)?, Quantiser::read(reader, 1, what)?)),
            false => None,
        };
        Ok(Self { rows, columns, values: Values::Quantised { codes, quantiser, norms } })
    }

    /// Adds row `row` to `sum`.
    #[inline]
    pub(super) fn add_row(&self, row: usize, sum: &mut [f32]) {
        match &self.values {
            Values::Dense(values) => {
                let values = &values[row * self.columns..][..self.columns];
                sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            }
            Values::Quantised { codes, quantiser, norms } => {
                let norm = norm(norms, row);
                for (piece, centroid) in quantiser.pieces(codes, row).enumerate() {
                    let sum = &mut sum[piece * quantiser.width..];
                    sum.iter_mut().zip(centroid).for_each(|(sum, value)| *sum += norm * value);
                }
            }
        }
    }

    /// The inner product of row `row` with `vector`.
    #[inline]
    pub(super) fn dot(&self, row: usize, vector: &[f32]) -> f32 {
        // From plus zero: the sum of nothing would be minus zero.
        let dot = |sum: f32, a: &[f32], b: &[f32]| a.iter().zip(b).fold(sum, |sum, (a, b)| sum + a * b);
        match &self.values {
            Values::Dense(values) => dot(0.0, &values[row * self.columns..][..self.columns], vector),
            Values::Quantised { codes, quantiser, norms } => {
                let places = vector.chunks(quantiser.width).zip(quantiser.pieces(codes, row));
                places.fold(0.0, |sum, (vector, centroid)| dot(sum, vector, centroid)) * norm(norms, row)
            }
        }
    }
}

fn norm(norms: &Option<(Vec<u8>, Quantiser)>, row: usize) -> f32 {
    norms.as_ref().map_or(1.0, |(codes, quantiser)| quantiser.centroids[usize::from(codes[row])])
}

impl Quantiser {
    fn read<R: BufRead>(reader: &mut Reader<R>, columns: usize, what: &str) -> Result<Self> {
        let [dimensions, pieces, width, last] = [(); 4].map(|()| reader.small_size(what));
        let (dimensions, pieces, width, last) = (dimensions?, pieces?, width?, last?);
        let fits = dimensions == columns
            && (1..=columns).contains(&width)
            && pieces == columns.div_ceil(width)
            && last == columns - (pieces - 1) * width;
        if !fits {
            return Err(reader.malformed(format!(
                "the quantiser of the {what} cuts {dimensions} values in {pieces} pieces of {width} and a last one of {last}; \
                 its rows have {columns} values"
            )));
        }
        let size = columns.saturating_mul(CENTROIDS);
        Ok(Self { dimensions, pieces, width, centroids: reader.floats(size, what)? })
    }

    /// The centroids that row `row` is made of. Those of the last piece stand closer where that is shorter.
    #[inline]
    fn pieces<'a>(&'a self, codes: &'a [u8], row: usize) -> impl Iterator<Item = &'a [f32]> {
        codes[row * self.pieces..][..self.pieces].iter().enumerate().map(|(piece, &code)| {
            let width = self.width.min(self.dimensions - piece * self.width);
            &self.centroids[piece * CENTROIDS * self.width + usize::from(code) * width..][..width]
        })
    }
}
