//! The proof that row i of the table and row i of the arrays are the same sample. DataComp's tables hold CLIP scores; the cosine of the two
//! vectors of a row must be that score. Vectors of other rows give other cosines, so a shift by a single row is seen, and tried out.
use super::{
    Alignment, AlignmentVerdict, CheckOptions, ScoreCheck, UnalignedShard, blocks::blocks, norms::norm,
};
use crate::{Dataset, Result, ShardInfo};
use arrow::{
    array::{Array, AsArray},
    datatypes::{DataType, Float64Type},
};

/// Scores of f32 and vectors of f16 differ in the third or fourth digit; neighbours differ in the second.
const FITS_DIFFERENCE: f64 = 0.01;
/// Scores on another scale still rise and fall together.
const FITS_CORRELATION: f64 = 0.99;
const LEAST_FOR_CORRELATION: usize = 16;
/// Shifts up to this many rows are tried out.
const SHIFTS: i64 = 3;

pub(super) fn prove(dataset: &Dataset, options: &CheckOptions) -> Result<Alignment> {
    let mut scores = Vec::new();
    for (column, image, text) in score_columns(dataset) {
        scores.push(check_score(dataset, options, column, image, text)?);
    }
    let compared: u64 = scores.iter().map(|score| score.rows).sum();
    let broken: usize = scores.iter().map(|score| score.unaligned.len()).sum();
    let (verdict, why) = if let Some(first) = scores.iter().find_map(|score| score.unaligned.first()) {
        (AlignmentVerdict::Broken, first.message.clone())
    } else if compared > 0 {
        let names: Vec<&str> = scores.iter().map(|score| score.column.as_str()).collect();
        let why =
            format!("{} recomputed from the arrays on {compared} rows, all shards fit", names.join(" and "));
        (AlignmentVerdict::Proven, why)
    } else if scores.is_empty() {
        let why = "no score column with its two arrays; the numbers of rows agree".to_owned();
        (AlignmentVerdict::NotProvable, why)
    } else {
        (AlignmentVerdict::NotProvable, "no row has a score and two vectors".to_owned())
    };
    let why = if broken > 1 { format!("{why}; and {} more", broken - 1) } else { why };
    Ok(Alignment { verdict, why, scores })
}

/// `clip_b32_similarity_score` is made of `b32_img` and `b32_txt`; any other name in place of `b32` is looked for, too.
fn score_columns(dataset: &Dataset) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for field in dataset.schema().fields() {
        let model =
            field.name().strip_prefix("clip_").and_then(|rest| rest.strip_suffix("_similarity_score"));
        let Some(model) = model.filter(|_| field.data_type().is_numeric()) else { continue };
        let (image, text) = (format!("{model}_img"), format!("{model}_txt"));
        if let (Ok(a), Ok(b)) = (dataset.array(&image), dataset.array(&text))
            && a.dim == b.dim
            && a.dim > 0
        {
            found.push((field.name().clone(), image, text));
        }
    }
    found
}

fn check_score(
    dataset: &Dataset,
    options: &CheckOptions,
    column: String,
    image: String,
    text: String,
) -> Result<ScoreCheck> {
    let dim = dataset.array(&image)?.dim;
    let mut sums = Sums::default();
    let mut unaligned = Vec::new();
    for shard in dataset.shards().iter().filter(|shard| shard.rows > 0) {
        let pieces = blocks(shard.index, shard.rows, options.sample, options.seed);
        let scores = read_scores(dataset, shard, &column, &pieces)?;
        let mut images = dataset.open_array(shard.index, &image)?;
        let mut texts = dataset.open_array(shard.index, &text)?;
        let mut is_off = false;
        for (&(first, count), scores) in pieces.iter().zip(&scores) {
            let start = first.saturating_sub(SHIFTS as u64);
            let end = (first + count + SHIFTS as u64).min(shard.rows);
            let mut vectors =
                [vec![0.0; (end - start) as usize * dim], vec![0.0; (end - start) as usize * dim]];
            images.read_f32(start, &mut vectors[0])?;
            texts.read_f32(start, &mut vectors[1])?;
            for matrix in &mut vectors {
                normalise(matrix, dim);
            }
            let piece = Piece { scores, vectors: &vectors, dim, offset: (first - start) as i64 };
            let here = piece.compare(0, 0);
            sums.add(&here);
            if here.fits() || is_off {
                continue;
            }
            // One message a shard is enough.
            is_off = true;
            unaligned.push(explain(shard, first, &here, piece.find_shift(), &image, &text));
        }
    }
    Ok(ScoreCheck {
        column,
        image_array: image,
        text_array: text,
        rows: sums.count as u64,
        mean_abs_difference: sums.mean_difference(),
        correlation: sums.correlation(),
        unaligned,
    })
}

/// The scores of the pieces; null is NaN.
fn read_scores(
    dataset: &Dataset,
    shard: &ShardInfo,
    column: &str,
    pieces: &[(u64, u64)],
) -> Result<Vec<Vec<f64>>> {
    let mut scores: Vec<Vec<f64>> =
        pieces.iter().map(|&(_, count)| Vec::with_capacity(count as usize)).collect();
    let mut row = 0;
    for batch in dataset.read_columns(shard.index, &[column], 16 * 1024)? {
        let batch = batch?;
        let values = arrow::compute::cast(batch.column(0), &DataType::Float64)
            .map_err(|source| crate::IoError::Arrow { path: dataset.path().into(), source })?;
        let values = values.as_primitive::<Float64Type>();
        let end = row + values.len() as u64;
        for (&(first, count), scores) in pieces.iter().zip(&mut scores) {
            for wanted in first.max(row)..(first + count).min(end) {
                let at = (wanted - row) as usize;
                scores.push(if values.is_valid(at) { values.value(at) } else { f64::NAN });
            }
        }
        row = end;
    }
    Ok(scores)
}

/// Makes every row of length 1; rows without a length become NaN and are left out of comparisons.
fn normalise(matrix: &mut [f32], dim: usize) {
    for row in matrix.chunks_exact_mut(dim) {
        let length = norm(row);
        let factor = if length > 0.0 && length.is_finite() { (1.0 / length) as f32 } else { f32::NAN };
        row.iter_mut().for_each(|value| *value *= factor);
    }
}

/// Neighbouring rows: their scores, and the vectors of image and text with a margin around them.
struct Piece<'a> {
    scores: &'a [f64],
    vectors: &'a [Vec<f32>; 2],
    dim: usize,
    /// Where the first scored row lies in the vectors.
    offset: i64,
}

impl Piece<'_> {
    /// Scores against cosines of the image `image_shift` rows further on and the text `text_shift` rows further on.
    fn compare(&self, image_shift: i64, text_shift: i64) -> Sums {
        let rows = (self.vectors[0].len() / self.dim) as i64;
        let row = |matrix: usize, at: i64| {
            let start = (0..rows).contains(&at).then(|| at as usize * self.dim)?;
            self.vectors[matrix].get(start..start + self.dim)
        };
        let mut sums = Sums::default();
        for (at, &score) in (self.offset..).zip(self.scores) {
            let (Some(image), Some(text)) = (row(0, at + image_shift), row(1, at + text_shift)) else {
                continue;
            };
            let cosine: f64 = image.iter().zip(text).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            sums.push(score, cosine);
        }
        sums
    }

    /// The best pair of shifts that fits: both arrays together first, then one of them alone, then any.
    fn find_shift(&self) -> Option<(i64, i64)> {
        let range = || -SHIFTS..=SHIFTS;
        let mut tries: Vec<(i64, i64)> =
            range().flat_map(|a| range().map(move |b| (a, b))).filter(|&pair| pair != (0, 0)).collect();
        let rank = |&(a, b): &(i64, i64)| {
            (u8::from(a != b) + u8::from(a != 0 && b != 0 && a != b), a.abs() + b.abs(), a, b)
        };
        tries.sort_by_key(rank);
        tries.into_iter().find(|&(a, b)| {
            let sums = self.compare(a, b);
            // At the rims of a shard fewer rows overlap; a handful may fit by chance.
            sums.count >= (self.scores.len() / 2).max(4) && sums.fits()
        })
    }
}

fn explain(
    shard: &ShardInfo,
    row: u64,
    here: &Sums,
    shift: Option<(i64, i64)>,
    image: &str,
    text: &str,
) -> UnalignedShard {
    let rows = |shift: i64| format!("{shift:+} row{}", if shift.abs() == 1 { "" } else { "s" });
    let finding = match shift {
        Some((a, b)) if a == b => format!("scores fit when the arrays are shifted by {}", rows(a)),
        Some((a, 0)) => format!("scores fit when {image} is shifted by {}", rows(a)),
        Some((0, b)) => format!("scores fit when {text} is shifted by {}", rows(b)),
        Some((a, b)) => {
            format!("scores fit when {image} is shifted by {} and {text} by {}", rows(a), rows(b))
        }
        None => format!(
            "scores do not fit the arrays (mean difference {:.3}), nor with a shift of up to {SHIFTS} rows",
            here.mean_difference()
        ),
    };
    UnalignedShard {
        shard: shard.name.clone(),
        row,
        mean_abs_difference: here.mean_difference(),
        image_shift: shift.map(|(a, _)| a),
        text_shift: shift.map(|(_, b)| b),
        message: format!("shard {}: {finding}", shard.name),
    }
}

/// Running sums of two series.
#[derive(Debug, Default, Clone)]
struct Sums {
    count: usize,
    difference: f64,
    x: f64,
    y: f64,
    xx: f64,
    yy: f64,
    xy: f64,
}

impl Sums {
    fn push(&mut self, x: f64, y: f64) {
        if x.is_finite() && y.is_finite() {
            self.add(&Self { count: 1, difference: (x - y).abs(), x, y, xx: x * x, yy: y * y, xy: x * y });
        }
    }

    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.difference += other.difference;
        self.x += other.x;
        self.y += other.y;
        self.xx += other.xx;
        self.yy += other.yy;
        self.xy += other.xy;
    }

    fn mean_difference(&self) -> f64 {
        self.difference / self.count.max(1) as f64
    }

    fn correlation(&self) -> Option<f64> {
        let n = self.count as f64;
        let (vx, vy) = (self.xx - self.x * self.x / n, self.yy - self.y * self.y / n);
        // Below this the two are constant up to rounding, and the quotient would be noise.
        let flat = |variance: f64, squares: f64| variance.is_nan() || variance <= 1e-12 * squares.max(1e-12);
        if self.count < 2 || flat(vx, self.xx) || flat(vy, self.yy) {
            return None;
        }
        Some((self.xy - self.x * self.y / n) / (vx * vy).sqrt())
    }

    /// No rows at all fit: there is nothing that speaks against them.
    fn fits(&self) -> bool {
        self.mean_difference() <= FITS_DIFFERENCE
            || (self.count >= LEAST_FOR_CORRELATION
                && self.correlation().is_some_and(|r| r >= FITS_CORRELATION))
    }
}
