//! Pixels to patches to vectors: a convolution whose stride is its size is a linear layer over flattened patches.
use super::Loader;
use crate::Result;
use cribble_math::matrix::{Matrix, Scratch};

/// The patch embedding.
#[derive(Debug)]
pub(crate) struct Patches {
    matrix: Matrix,
    size: usize,
}

impl Patches {
    /// From `{name}.weight` `[width, 3, size, size]`, and `{name}.bias` where there is one.
    pub fn load(from: &Loader<'_>, name: &str, size: usize, width: usize) -> Result<Self> {
        let weights = from.tensor(&format!("{name}.weight"), &[width, 3, size, size])?;
        let bias = from.optional(&format!("{name}.bias"), &[width])?;
        Ok(Self { matrix: Matrix::new(&weights, 3 * size * size, &bias, from.format), size })
    }

    /// `pixels` is `[n, 3, height, width]`, both multiples of the patch size (what is beyond is left out, as a convolution does); gives
    /// `[n, patches, width]`, patches row by row.
    pub fn apply(
        &self,
        pixels: &[f32],
        (height, width): (usize, usize),
        flat: &mut Vec<f32>,
        scratch: &mut Scratch,
    ) -> Vec<f32> {
        let size = self.size;
        let (down, across) = (height / size, width / size);
        flat.clear();
        for image in pixels.chunks_exact(3 * height * width) {
            for (y, x) in (0..down).flat_map(|y| (0..across).map(move |x| (y, x))) {
                for plane in image.chunks_exact(height * width) {
                    for row in y * size..(y + 1) * size {
                        flat.extend_from_slice(&plane[row * width + x * size..][..size]);
                    }
                }
            }
        }
        let rows = flat.len() / self.matrix.inputs();
        let mut out = vec![0.0; rows * self.matrix.outputs()];
        self.matrix.multiply(flat, &mut out, scratch);
        out
    }
}
