//! Which caption is taken: a pure function of a row's similarities.
use cribble_core::{RefereeOptions, RefereePolicy, Uid};

/// The place of the caption that is taken, 0 for the original; `None` where policy `threshold` takes none. `sims` are the similarities, the
/// original's first, with at least one that is there. `is_top`: policy `threshold` keeps this row's original.
///
/// Ties go to the original, then to the earlier one. A row without an original gets the best of the others under every policy, and one
/// without others keeps its original: there is nothing else to train on.
pub fn choose(
    options: &RefereeOptions,
    sims: &[Option<f32>],
    uid: Uid,
    is_top: bool,
    threshold: Option<f32>,
) -> Option<usize> {
    let others = sims.iter().enumerate().skip(1).filter_map(|(place, sim)| Some((place, (*sim)?)));
    let best = others.reduce(|best, other| if other.1 > best.1 { other } else { best });
    if options.policy == RefereePolicy::Threshold {
        return match best {
            _ if is_top => Some(0),
            Some((place, sim)) if threshold.is_none_or(|threshold| sim >= threshold) => Some(place),
            _ => None,
        };
    }
    let (Some(original), Some((place, sim))) = (sims[0], best) else {
        return Some(best.map_or(0, |(place, _)| place));
    };
    let takes_other = match options.policy {
        RefereePolicy::Best => f64::from(sim) - f64::from(original) > options.margin,
        RefereePolicy::Original | RefereePolicy::Threshold => false,
        RefereePolicy::Synthetic => true,
        RefereePolicy::Mix => share(uid.mix(options.seed)) < options.probability,
    };
    Some(if takes_other { place } else { 0 })
}

/// A hash as a number of [0, 1): its upper 53 bits, which f64 holds exactly.
fn share(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

/// Softmax over two similarities at a model's logit scale, as `logits_per_image.softmax(-1)` has it: the probability of `of` against
/// `other`. Logits and their difference are f32, as there.
pub fn probability(scale: f32, of: f32, other: f32) -> f32 {
    (1.0 / (1.0 + f64::from(scale * other - scale * of).exp())) as f32
}
