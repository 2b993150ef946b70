//! From the hidden vector to the best label: the four losses of fastText.
//!
//! Arithmetic is f32 where fastText's is and f64 where it promotes, down to the sigmoid that is read from a table of 513 values; labels that tie
//! go to the later one, as they leave its heap.
use super::{Prediction, Scratch, file::Reader, matrix::Matrix};
use crate::Result;
use std::io::BufRead;

/// Half the range of the sigmoid's table.
const LARGEST: f32 = 8.0;
/// Steps of the sigmoid's table.
const STEPS: usize = 512;

/// How outputs become probabilities.
#[derive(Debug)]
pub(super) enum Loss {
    /// A tree of yes-no questions with the labels as leaves (Joulin et al. 2017, section 2.1).
    Hierarchical(Tree),
    /// One distribution over all labels.
    Softmax,
    /// One yes-no question for each label: negative sampling and one-vs-all answer alike. Holds the table.
    Sigmoid(Vec<f32>),
}

/// The Huffman tree of the labels' counts: leaves first, the root last.
#[derive(Debug)]
pub(super) struct Tree {
    labels: usize,
    /// Left and right child of the nodes after the leaves.
    children: Vec<(usize, usize)>,
}

/// fastText's logarithm: never infinite.
fn log(x: f32) -> f32 {
    (f64::from(x) + 1e-5).ln() as f32
}

impl Loss {
    /// The loss of the number that the file gives it.
    pub(super) fn new<R: BufRead>(number: i32, counts: &[i64], reader: &Reader<R>) -> Result<Self> {
        match number {
            1 => Tree::new(counts, reader).map(Self::Hierarchical),
            3 => Ok(Self::Softmax),
            2 | 4 => Ok(Self::Sigmoid((0..=STEPS).map(sigmoid_at).collect())),
            _ => Err(reader
                .malformed(format!("loss {number} is not one of fastText's (1 hs, 2 ns, 3 softmax, 4 ova)"))),
        }
    }

    /// The most probable label; none where no number can be compared.
    pub(super) fn best(&self, output: &Matrix, labels: usize, scratch: &mut Scratch) -> Option<Prediction> {
        match self {
            Self::Hierarchical(tree) => return tree.best(output, scratch),
            Self::Softmax => softmax(output, labels, scratch),
            Self::Sigmoid(table) => {
                let Scratch { hidden, outputs, .. } = scratch;
                outputs.clear();
                outputs.extend((0..labels).map(|row| sigmoid(table, output.dot(row, hidden))));
            }
        }
        let (mut best, mut largest) = (None, 0.0_f32);
        for (label, &value) in scratch.outputs.iter().enumerate() {
            // The logarithm decides, and is dear: skip what lies below by more than it could round away.
            if best.is_some() && value + 1e-5 < (largest + 1e-5) * 0.999 {
                continue;
            }
            let score = log(value);
            if value >= 0.0 && best.is_none_or(|(_, other)| score >= other) {
                best = Some((label, score));
                largest = value;
            }
        }
        best.map(|(label, score)| Prediction { label, probability: score.exp() })
    }
}

fn softmax(output: &Matrix, labels: usize, scratch: &mut Scratch) {
    let Scratch { hidden, outputs, .. } = scratch;
    outputs.clear();
    outputs.extend((0..labels).map(|row| output.dot(row, hidden)));
    let largest = outputs.iter().fold(f32::NEG_INFINITY, |largest, &value| largest.max(value));
    let mut sum = 0.0;
    for value in outputs.iter_mut() {
        *value = (*value - largest).exp();
        sum += *value;
    }
    outputs.iter_mut().for_each(|value| *value /= sum);
}

/// Entry `step` of the sigmoid's table.
fn sigmoid_at(step: usize) -> f32 {
    let x = (step as f32 * 2.0 * LARGEST) / STEPS as f32 - LARGEST;
    (1.0 / (1.0 + f64::from((-x).exp()))) as f32
}

fn sigmoid(table: &[f32], x: f32) -> f32 {
    if x < -LARGEST {
        0.0
    } else if x > LARGEST {
        1.0
    } else {
        table[((x + LARGEST) * STEPS as f32 / LARGEST / 2.0) as usize]
    }
}

impl Tree {
    /// Joins the two rarest nodes until one is left; `counts` must fall, as fastText writes them.
    fn new<R: BufRead>(counts: &[i64], reader: &Reader<R>) -> Result<Self> {
        let labels = counts.len();
        let mut sums = Vec::with_capacity(labels.saturating_sub(1));
        let mut children = Vec::with_capacity(labels.saturating_sub(1));
        // The next leaf comes from the end of `counts`, the next node from the front of `sums`.
        let (mut leaves, mut node) = (labels, 0);
        for _ in 1..labels {
            let mut rarest = || {
                // A node that is not made yet counts 10^15 in fastText.
                let sum = sums.get(node).copied().unwrap_or(1_000_000_000_000_000);
                if leaves > 0 && counts[leaves - 1] < sum {
                    leaves -= 1;
                    return Some((leaves, counts[leaves]));
                }
                node += 1;
                (node <= sums.len()).then_some((labels + node - 1, sum))
            };
            let pair = rarest().zip(rarest());
            let ((left, a), (right, b)) = pair.ok_or_else(|| {
                reader.malformed("the counts of the labels make no tree; the file is damaged")
            })?;
            children.push((left, right));
            sums.push(a.saturating_add(b));
        }
        Ok(Self { labels, children })
    }

    /// Goes down the tree, left before right, leaving out what cannot beat the best leaf.
    fn best(&self, output: &Matrix, scratch: &mut Scratch) -> Option<Prediction> {
        let Scratch { hidden, nodes, .. } = scratch;
        let lowest = log(0.0);
        let mut best: Option<(usize, f32)> = None;
        nodes.clear();
        nodes.push((self.labels + self.children.len() - 1, 0.0));
        while let Some((node, score)) = nodes.pop() {
            let beaten = best.is_some_and(|(_, other)| score < other);
            if score < lowest || beaten || score.is_nan() {
                continue;
            }
            if node < self.labels {
                best = Some((node, score));
                continue;
            }
            let (left, right) = self.children[node - self.labels];
            let yes = (1.0 / f64::from(1.0 + (-output.dot(node - self.labels, hidden)).exp())) as f32;
            nodes.push((right, score + log(yes)));
            nodes.push((left, score + log((1.0 - f64::from(yes)) as f32)));
        }
        best.map(|(label, score)| Prediction { label, probability: score.exp() })
    }
}
