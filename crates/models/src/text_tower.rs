//! The text half of a model: a transformer over tokens, whatever the family, and its tokenizer. Sequences are not padded to each other:
//! a caption of nine tokens costs nine rows.
use crate::{
    ModelError, Result, Tokenizer, Tokens,
    nn::{BUFFERS, Block, Buffers, Norm, ROWS, normalise, project, scratch_bytes},
};
use cribble_math::matrix::Matrix;

/// How tokens become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextPool {
    /// The first token with this id (CLIP's end of text).
    FirstOf(u32),
    /// The first token with the highest id (CLIP's end of text, by the rule of its first release and of open_clip).
    HighestId,
    /// The last token (SigLIP).
    Last,
    /// The first token (BERT's `[CLS]`).
    First,
    /// The mean over all tokens (sentence encoders).
    Mean,
}

/// The text encoder of a model.
#[derive(Debug)]
pub struct TextTower {
    pub(crate) tokenizer: Tokenizer,
    /// `[vocabulary, width]`
    pub(crate) table: Vec<f32>,
    /// `[context, width]`
    pub(crate) positions: Vec<f32>,
    pub(crate) before: Option<Norm>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) after: Option<Norm>,
    pub(crate) pool: TextPool,
    /// Tokens after the pooled one are never looked at, because attention is causal.
    pub(crate) causal: bool,
    pub(crate) projection: Option<Matrix>,
    pub(crate) width: usize,
    pub(crate) dim: usize,
}

impl TextTower {
    /// Cuts captions to the model's context and gives their ids.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Most tokens of a text.
    pub fn context(&self) -> usize {
        self.positions.len() / self.width
    }

    /// Bytes of scratch that one thread needs beside the tokens and the vectors.
    pub fn scratch_bytes(&self) -> usize {
        scratch_bytes(ROWS + self.context(), self.width)
    }

    /// Encodes texts to `[n, dim]`, L2-normalised, on the calling thread; a text's vector does not depend on the others.
    ///
    /// # Errors
    /// [`ModelError::Malformed`] for a token that is not in the model's table: tokenizer and weights are not of one checkpoint.
    pub fn encode(&self, texts: &[Tokens]) -> Result<Vec<f32>> {
        let mut out = Vec::with_capacity(texts.len() * self.dim);
        BUFFERS.with_borrow_mut(|buffers| {
            let mut rest = texts;
            while !rest.is_empty() {
                let mut rows = 0;
                let fit = rest.iter().take_while(|text| {
                    rows += text.ids.len();
                    rows <= ROWS
                });
                let (now, later) = rest.split_at(fit.count().max(1));
                self.encode_some(now, buffers, &mut out)?;
                rest = later;
            }
            Ok::<_, ModelError>(())
        })?;
        out.chunks_exact_mut(self.dim).for_each(normalise);
        Ok(out)
    }

    fn encode_some(&self, texts: &[Tokens], buffers: &mut Buffers, out: &mut Vec<f32>) -> Result<()> {
        let width = self.width;
        let (mut x, mut lengths, mut pooled_at) = (Vec::new(), Vec::new(), Vec::new());
        for text in texts {
            let ids = text.ids.get(..self.context()).unwrap_or(&text.ids);
            let at = self.pooled(ids);
            // Under causal attention a token sees only those before it.
            let ids = if self.causal { &ids[..(at + 1).min(ids.len())] } else { ids };
            for (id, position) in ids.iter().zip(self.positions.chunks_exact(width)) {
                let embedding = self.table.get(*id as usize * width..(*id as usize + 1) * width).ok_or_else(|| {
                    ModelError::Malformed {
                        place: "tokenizer.json".into(),
                        what: format!(
                            "it gives token {id}, but the weights have {} tokens; take both from one checkpoint",
                            self.table.len() / width
                        ),
                    }
                })?;
                x.extend(embedding.iter().zip(position).map(|(token, position)| token + position));
            }
            lengths.push(ids.len());
            pooled_at.push(at);
        }
        if let Some(norm) = &self.before {
            norm.apply_in_place(&mut x, &mut buffers.normed);
        }
        for block in &self.blocks {
            block.apply(&mut x, &lengths, buffers);
        }
        let mut pooled = Vec::with_capacity(texts.len() * width);
        let mut first = 0;
        for (&len, at) in lengths.iter().zip(pooled_at) {
            let rows = &x[first * width..(first + len) * width];
            if len == 0 {
                pooled.resize(pooled.len() + width, 0.0);
            } else if self.pool == TextPool::Mean {
                let mut sum = vec![0.0; width];
                rows.chunks_exact(width)
                    .for_each(|row| sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x));
                pooled.extend(sum.iter().map(|sum| sum / len as f32));
            } else {
                pooled.extend_from_slice(&rows[at * width..(at + 1) * width]);
            }
            first += len;
        }
        if let Some(norm) = &self.after {
            norm.apply_in_place(&mut pooled, &mut buffers.normed);
        }
        project(self.projection.as_ref(), pooled, out, buffers);
        Ok(())
    }

    /// The row that is pooled; 0 for an empty text and for a mean.
    fn pooled(&self, ids: &[u32]) -> usize {
        match self.pool {
            // Where the end was lost, the first position, as torch's argmax over nothing but zeros gives.
            TextPool::FirstOf(end) => ids.iter().position(|&id| id == end).unwrap_or(0),
            TextPool::HighestId => {
                let highest = ids.iter().max();
                ids.iter().position(|id| Some(id) == highest).unwrap_or(0)
            }
            TextPool::Last => ids.len().saturating_sub(1),
            TextPool::First | TextPool::Mean => 0,
        }
    }
}
