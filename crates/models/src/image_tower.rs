//! The image half of a model: a vision transformer, whatever the family, and how its pixels are prepared.
use crate::nn::{
    AttentionHead, BUFFERS, Block, Buffers, Norm, Patches, ROWS, normalise, project, scratch_bytes,
};
use cribble_math::matrix::Matrix;
use cribble_pixels::Preprocess;

/// How tokens become one vector.
#[derive(Debug)]
pub(crate) enum ImageHead {
    /// The class token, normalised, perhaps projected.
    ClassToken(Option<Matrix>),
    /// SigLIP's attention pooling over all tokens.
    Attention(Box<AttentionHead>),
}

/// The image encoder of a model.
#[derive(Debug)]
pub struct ImageTower {
    pub(crate) preprocess: Preprocess,
    pub(crate) patches: Patches,
    /// Tokens before the patches (class, registers), `[p, width]`, positions added.
    pub(crate) prefix: Vec<f32>,
    /// `[patches, width]`
    pub(crate) positions: Vec<f32>,
    pub(crate) before: Option<Norm>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) after: Norm,
    pub(crate) head: ImageHead,
    pub(crate) width: usize,
    pub(crate) dim: usize,
}

impl ImageTower {
    /// How an image file becomes the pixels that [`ImageTower::encode`] takes.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// Bytes of scratch that one thread needs beside the pixels and the vectors.
    pub fn scratch_bytes(&self) -> usize {
        scratch_bytes(ROWS.max(self.tokens()), self.width)
    }

    fn tokens(&self) -> usize {
        (self.prefix.len() + self.positions.len()) / self.width
    }

    /// Encodes `count` images: `pixels` is `[count, 3, height, width]` as [`Preprocess`] writes it, the result `[count, dim]`, L2-normalised.
    /// Runs on the calling thread; an image's vector does not depend on the others.
    pub fn encode(&self, pixels: &[f32], count: usize) -> Vec<f32> {
        let (height, width) = self.preprocess.size();
        let one = 3 * height * width;
        assert_eq!(pixels.len(), count * one, "pixels of {count} images of {height} x {width}");
        let mut out = Vec::with_capacity(count * self.dim);
        BUFFERS.with_borrow_mut(|buffers| {
            let together = (ROWS / self.tokens()).max(1);
            for pixels in pixels.chunks(together * one) {
                self.encode_some(pixels, pixels.len() / one, buffers, &mut out);
            }
        });
        out.chunks_exact_mut(self.dim).for_each(normalise);
        out
    }

    fn encode_some(&self, pixels: &[f32], count: usize, buffers: &mut Buffers, out: &mut Vec<f32>) {
        let width = self.width;
        let patches =
            self.patches.apply(pixels, self.preprocess.size(), &mut buffers.wide, &mut buffers.matrix);
        let tokens = self.tokens();
        let mut x = Vec::with_capacity(count * tokens * width);
        for patches in patches.chunks_exact(self.positions.len()) {
            x.extend_from_slice(&self.prefix);
            x.extend(patches.iter().zip(&self.positions).map(|(patch, position)| patch + position));
        }
        if let Some(norm) = &self.before {
            norm.apply_in_place(&mut x, &mut buffers.normed);
        }
        let lengths = vec![tokens; count];
        for block in &self.blocks {
            block.apply(&mut x, &lengths, buffers);
        }
        match &self.head {
            ImageHead::ClassToken(projection) => {
                let class: Vec<f32> =
                    x.chunks_exact(tokens * width).flat_map(|image| &image[..width]).copied().collect();
                let mut normed = vec![0.0; class.len()];
                self.after.apply(&class, &mut normed);
                project(projection.as_ref(), normed, out, buffers);
            }
            ImageHead::Attention(head) => {
                self.after.apply_in_place(&mut x, &mut buffers.normed);
                let from = out.len();
                out.resize(from + count * width, 0.0);
                head.apply(&x, tokens, &mut out[from..], buffers);
            }
        }
    }
}
