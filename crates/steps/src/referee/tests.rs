//! Policies and threshold against the plainest code that could be right, and the softmax against torch's.
use std::path::PathBuf;

use cribble_core::{RefereeOptions, RefereePolicy, Uid};
use cribble_models::{Dtype, Model, ModelOptions};
use proptest::prelude::*;
use serde_json::Value;

use super::{
    policy::{choose, probability},
    scores::{Fit, Scale},
    tally::Tally,
    threshold::Threshold,
};
use crate::encoder::cosine;

fn with(policy: RefereePolicy) -> RefereeOptions {
    RefereeOptions { policy, ..RefereeOptions::default() }
}

fn pick(options: &RefereeOptions, sims: &[Option<f32>]) -> Option<usize> {
    choose(options, sims, Uid(7), false, None)
}

#[test]
fn policies_take_what_they_say() {
    let sims = [Some(0.30), Some(0.28), Some(0.31), None];
    for (policy, expected) in
        [(RefereePolicy::Best, 2), (RefereePolicy::Original, 0), (RefereePolicy::Synthetic, 2)]
    {
        assert_eq!(pick(&with(policy), &sims), Some(expected), "{policy}");
        // Nothing else to train on.
        assert_eq!(pick(&with(policy), &[Some(-0.2), None, None]), Some(0), "{policy}");
        assert_eq!(pick(&with(policy), &[None, Some(-0.2), Some(-0.2)]), Some(1), "{policy}");
    }
    let best =
        |margin, sims: &[Option<f32>]| pick(&RefereeOptions { margin, ..with(RefereePolicy::Best) }, sims);
    assert_eq!(best(0.02, &sims), Some(0), "not better by the margin");
    assert_eq!(best(0.0, &[Some(0.5), Some(0.5)]), Some(0), "ties go to the original");
    assert_eq!(best(0.0, &[Some(0.1), Some(0.5), Some(0.5)]), Some(1), "then to the earlier one");
    assert_eq!(best(0.25, &[Some(0.25), Some(0.5)]), Some(0), "better by exactly the margin is a tie");
    assert_eq!(best(-0.25, &[Some(0.5), Some(0.375)]), Some(1), "a margin below 0 favours the others");
}

#[test]
fn the_threshold_decides_for_rows_below_the_top() {
    let options = with(RefereePolicy::Threshold);
    let take = |sims: &[Option<f32>], is_top| choose(&options, sims, Uid(1), is_top, Some(0.3));
    assert_eq!(
        take(&[Some(0.4), Some(0.9)], true),
        Some(0),
        "the top keeps its original, whatever the others say"
    );
    assert_eq!(take(&[Some(0.2), Some(0.1), Some(0.3)], false), Some(2), "as similar is enough");
    assert_eq!(take(&[Some(0.3), Some(0.29)], false), None);
    assert_eq!(take(&[Some(0.3), None], false), None, "an original below the top goes");
    assert_eq!(take(&[None, Some(0.5)], false), Some(1));
    assert_eq!(choose(&options, &[None, Some(-0.5)], Uid(1), false, None), Some(1), "no original anywhere");
}

#[test]
fn a_mix_follows_uid_and_seed_alone() {
    let taken = |probability, seed| -> Vec<bool> {
        let options = RefereeOptions { probability, seed, ..with(RefereePolicy::Mix) };
        let sims = [Some(0.9), Some(0.1)];
        (0..4000u128).map(|uid| choose(&options, &sims, Uid(uid << 90), false, None) == Some(1)).collect()
    };
    let share = |taken: &[bool]| taken.iter().filter(|&&taken| taken).count() as f64 / 4000.0;
    let (some, more) = (taken(0.2, 0), taken(0.6, 0));
    assert!((share(&some) - 0.2).abs() < 0.03 && (share(&more) - 0.6).abs() < 0.03);
    assert!(some.iter().zip(&more).all(|(some, more)| !some || *more), "a higher share holds the lower one");
    assert_ne!(some, taken(0.2, 1));
    assert_eq!((share(&taken(0.0, 3)), share(&taken(1.0, 3))), (0.0, 1.0));
}

proptest! {
    /// Against sorting all rows.
    #[test]
    fn the_threshold_is_that_of_a_sort(
        shards in proptest::collection::vec(
            proptest::collection::vec(
                proptest::option::weighted(0.8, prop_oneof![
                    -1.0f32..1.0,
                    (-4i8..4).prop_map(|step| f32::from(step) / 4.0),
                    Just(-0.0f32),
                    // Neighbours that differ in the last bits.
                    (0u32..4).prop_map(|bits| f32::from_bits(0.3f32.to_bits() + bits)),
                ]),
                0..30,
            ),
            0..5,
        ),
        fraction in 0.0f64..=1.0,
    ) {
        let found = Threshold::select(shards.len() as u32, fraction, |shard| Ok(shards[shard as usize].clone())).unwrap();
        let all: Vec<(usize, Option<f32>)> = shards.iter().flatten().copied().enumerate().collect();
        let mut ranked: Vec<(usize, f32)> = all.iter().filter_map(|(row, sim)| Some((*row, (*sim)?))).collect();
        // A stable sort: ties stay in the order of rows.
        ranked.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap());
        let wanted = ((fraction * all.len() as f64) as usize).max(1);
        let top: std::collections::BTreeSet<usize> = ranked.iter().take(wanted).map(|(row, _)| *row).collect();
        prop_assert_eq!(found.value, ranked.get(wanted.min(ranked.len()).wrapping_sub(1)).map(|(_, sim)| *sim));
        let tops: Vec<bool> = shards
            .iter()
            .enumerate()
            .flat_map(|(shard, sims)| found.tops(shard as u32, sims.iter().copied()))
            .collect();
        let expected: Vec<bool> = all.iter().map(|(row, _)| top.contains(row)).collect();
        prop_assert_eq!(tops, expected);
    }

    /// Wins and means counted row by row, over shards and at once.
    #[test]
    fn figures_are_those_of_a_plain_count(
        rows in proptest::collection::vec((
            proptest::collection::vec(proptest::option::weighted(0.8, -0.1f32..0.1), 3),
            any::<bool>(),
        ), 1..40),
    ) {
        let scale = Scale { value: 30.0, is_assumed: false };
        let fits = |sims: &[Option<f32>]| -> Vec<Option<Fit>> {
            sims.iter().map(|sim| sim.map(|sim| Fit { sim, window: sim + 0.01, is_cut: sim > 0.05 })).collect()
        };
        let chosen = |sims: &[Option<f32>]| sims.iter().position(Option::is_some);
        let parts: Vec<cribble_pipeline::TaskOutput> = rows.chunks(7).map(|rows| {
            let mut tally = Tally::new(3, scale);
            for (sims, is_kept) in rows {
                tally.add(&fits(sims), chosen(sims), *is_kept);
            }
            let data = crate::values::to_value(&tally).unwrap();
            cribble_pipeline::TaskOutput { data, ..cribble_pipeline::TaskOutput::default() }
        }).collect();
        let names = ["text", "caption_a", "caption_b"].map(String::from);
        let found = Tally::sum(&[("choose".into(), parts)]).unwrap().details(&names);
        prop_assert_eq!(found.pairs.len(), 3);
        for (pair, (a, b)) in found.pairs.iter().zip([(0, 1), (0, 2), (1, 2)]) {
            prop_assert_eq!((&pair.first, &pair.second), (&names[a], &names[b]));
            let both: Vec<(f32, f32)> = rows.iter().filter_map(|(sims, _)| Some((sims[a]?, sims[b]?))).collect();
            prop_assert_eq!(pair.rows, both.len() as u64);
            for (place, level) in cribble_core::REFEREE_LEVELS.into_iter().enumerate() {
                let wins = |second: bool| {
                    both.iter().filter(|&&(a, b)| {
                        let (of, other) = if second { (b, a) } else { (a, b) };
                        let (of, other) = (f64::from(of * 30.0).exp(), f64::from(other * 30.0).exp());
                        f64::from((of / (of + other)) as f32) > level
                    }).count() as u64
                };
                prop_assert_eq!(pair.first_wins[place], wins(false));
                prop_assert_eq!(pair.second_wins[place], wins(true));
            }
        }
        for (place, caption) in found.captions.iter().enumerate() {
            let sims: Vec<f32> = rows.iter().filter_map(|(sims, _)| sims[place]).collect();
            let mean = sims.iter().map(|&sim| f64::from(sim)).sum::<f64>() / sims.len().max(1) as f64;
            prop_assert!((caption.mean_sim - mean).abs() < 1e-9);
            prop_assert!(sims.is_empty() || (caption.mean_window_sim - mean - 0.01).abs() < 1e-7);
            prop_assert_eq!(caption.rows, sims.len() as u64);
            prop_assert_eq!(caption.sims.iter().sum::<u64>(), sims.len() as u64);
            prop_assert_eq!(caption.cut, sims.iter().filter(|&&sim| sim > 0.05).count() as u64);
            let taken = rows.iter().filter(|(sims, _)| chosen(sims) == Some(place)).count();
            prop_assert_eq!(caption.chosen, taken as u64);
        }
        prop_assert_eq!(found.mean_before, found.captions[0].mean_sim);
        let kept: Vec<f64> = rows.iter().filter(|row| row.1)
            .filter_map(|(sims, _)| sims.iter().flatten().next().map(|&sim| f64::from(sim))).collect();
        let after = kept.iter().sum::<f64>() / kept.len().max(1) as f64;
        prop_assert!((found.mean_after - after).abs() < 1e-9);
    }
}

/// An image, texts, their cosines and `logits_per_image.softmax`, as torch's CLIPModel has them (`parity/referee.py`).
#[test]
fn probabilities_are_those_of_the_reference() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let vectors: Value =
        serde_json::from_slice(&std::fs::read(root.join("parity/vectors/referee/vectors.json")).unwrap())
            .unwrap();
    let numbers = |value: &Value| -> Vec<f32> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
    };
    let mut compared = 0;
    for case in vectors["cases"].as_array().unwrap() {
        let name = case["checkpoint"].as_str().unwrap();
        let folder = root.join("crates/models/tests/checkpoints").join(name);
        let options = ModelOptions { dtype: Dtype::F32, offline: Some(true), ..ModelOptions::default() };
        let model = Model::open_texts(folder.to_str().unwrap(), &options).unwrap();
        let scale = model.logit_scale().unwrap();
        let image = numbers(&case["image"]);
        let tower = model.texts().unwrap();
        let texts: Vec<&str> =
            case["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
        let sims: Vec<f32> = texts
            .iter()
            .map(|text| cosine(&image, &tower.encode(&[tower.tokenizer().encode(text).unwrap()]).unwrap()))
            .collect();
        for (sim, expected) in sims.iter().zip(numbers(&case["cosines"])) {
            assert!((sim - expected).abs() < 2e-6, "{name}: {sim} against {expected}");
        }
        for pair in case["pairs"].as_array().unwrap() {
            let place = |key: &str| pair[key].as_u64().unwrap() as usize;
            let (first, second) = (place("first"), place("second"));
            let expected = numbers(&pair["label_probs"]);
            let found = [
                probability(scale, sims[first], sims[second]),
                probability(scale, sims[second], sims[first]),
            ];
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-4,
                    "{name} {first} {second}: {found} against {expected}"
                );
                compared += 1;
            }
        }
    }
    assert!(compared >= 40, "{compared}");
}

#[test]
fn probabilities_of_far_logits_are_no_nan() {
    assert_eq!([probability(100.0, 1.0, -1.0), probability(100.0, -1.0, 1.0)], [1.0, 0.0]);
    assert_eq!(probability(4.6, 0.25, 0.25), 0.5);
    assert!((probability(100.0, 0.31, 0.29) - 0.880_797).abs() < 1e-5);
}
