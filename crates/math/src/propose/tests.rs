//! The kernels against the definition, and the bounds against exact similarities.
use super::*;
use crate::{
    rows::similarity,
    testing::{DIMS, kinds, table},
};
use proptest::prelude::*;

/// Rows of a kind, some of them then scaled, emptied, or spoilt.
fn rows(kind: crate::testing::Kind, n: usize, dim: usize, seed: u64) -> Vec<f32> {
    let mut rows = table(kind, n, dim, seed);
    for (i, row) in rows.chunks_exact_mut(dim).enumerate() {
        match (seed >> (i % 40)) % 16 {
            0 => row.fill(0.0),
            1 => row[i % dim] = f32::NAN,
            2 => row[i % dim] = f32::NEG_INFINITY,
            3 => row.iter_mut().for_each(|v| *v *= 1e-42),
            4 => row.iter_mut().for_each(|v| *v *= 3e30),
            5 => row.iter_mut().for_each(|v| *v *= 2e9),
            6 => row.iter_mut().for_each(|v| *v *= 1e-9),
            7 => row[i % dim] += 40.0,
            _ => {}
        }
    }
    rows
}

fn codes(kernel: Kernel, rows: &[f32], dim: usize) -> Codes {
    let mut codes = Codes::default();
    codes.fill(kernel, rows, dim);
    codes
}

/// The score of a target and a source by the definition: the codes' dot product times the source's scale.
fn plain(kernel: Kernel, target: &[u32], source: &[u32], scale: f32) -> f32 {
    let codes = |words: &[u32]| -> Vec<i64> {
        if kernel.codes_per_word() == 4 {
            bytemuck::cast_slice::<u32, i8>(words).iter().map(|&code| i64::from(code)).collect()
        } else {
            bytemuck::cast_slice::<u32, i16>(words).iter().map(|&code| i64::from(code)).collect()
        }
    };
    let sum: i64 = codes(target).iter().zip(codes(source)).map(|(a, b)| a * b).sum();
    i32::try_from(sum).unwrap() as f32 * scale
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn kernels_compute_the_definition_and_bounds_hold(
        kind in kinds(), seed: u64, sources in 1usize..150, floor in -0.5f32..1.0,
        dim in prop::sample::select([&DIMS[..], &[512, 770]].concat()),
    ) {
        let (a, b) = (rows(kind, GROUP, dim, seed), rows(kind, sources, dim, seed.rotate_left(7)));
        for kernel in Kernel::available() {
            let (target_codes, source_codes) = (codes(kernel, &a, dim), codes(kernel, &b, dim));
            let (targets, source_rows) = (target_codes.of(&a), source_codes.of(&b));
            let panels = Panels::pack(source_rows);
            for panel in 0..sources.div_ceil(LANES) {
                let lanes = panels.lanes(panel);
                let group = Group {
                    words: std::array::from_fn(|row| targets.words(row)),
                    start: std::array::from_fn(|row| targets.facts()[row].start),
                    floor: std::array::from_fn(|row| lanes.floor(&targets.facts()[row], floor)),
                    counted: std::array::from_fn(|row| seed.rotate_left(row as u32 * 9)),
                };
                let mut scores = Scores { rows: [[f32::NAN; LANES]; GROUP], peaks: [f32::NAN; GROUP] };
                let masks = panels.score(panel, &group, &mut scores);
                let mut peaks = [f32::NEG_INFINITY; GROUP];
                for (source, row) in (panel * LANES..sources.min((panel + 1) * LANES)).zip(0..) {
                    for target in 0..GROUP {
                        let facts = &targets.facts()[target];
                        let expected = plain(kernel, targets.words(target), source_rows.words(source), source_rows.facts()[source].scale);
                        let reported = masks[target] >> row & 1 == 1;
                        prop_assert_ne!(reported, expected < group.floor[target]);
                        if group.counted[target] >> row & 1 == 1 {
                            peaks[target] = peaks[target].max(expected);
                        }
                        if masks[target] != 0 {
                            prop_assert_eq!(scores.rows[target][row], expected);
                        }
                        let sim = similarity(targets.row(target), source_rows.row(source));
                        let Interval { lower, upper } = lanes.interval(facts, row, expected);
                        let (under, over) = (sim < lower, sim > upper);
                        prop_assert!(!under && !over, "{kernel:?}: {lower} {sim} {upper}");
                        let ceiling = lanes.ceiling(facts, expected);
                        prop_assert!(sim <= ceiling || sim.is_nan() || ceiling.is_nan(), "{kernel:?}: {sim} {ceiling}");
                        // The floor of a panel must not hide what the bounds of a pair admit.
                        prop_assert!(reported || sim < floor, "{kernel:?}: {sim} {floor}");
                    }
                }
                if sources >= (panel + 1) * LANES {
                    prop_assert_eq!(scores.peaks, peaks);
                }
            }
        }
    }
}

/// `.ci/aarch64` says what an emulated processor has; what is not found there would be tested nowhere.
#[test]
fn the_kernels_that_the_processor_has_are_found() {
    let found = Kernel::available();
    assert_eq!(found.last(), Some(&Kernel::Portable));
    if let Ok(expected) = std::env::var("CRIBBLE_EXPECTED_KERNELS") {
        assert_eq!(format!("{found:?}"), expected);
    }
}

#[test]
fn eight_bits_leave_a_hundredth_of_embeddings() {
    for (kernel, most) in [(Kernel::available()[0], 0.015), (Kernel::Portable, 0.015)] {
        let rows = table(crate::testing::Kind::Random, 64, 512, 1);
        let codes = codes(kernel, &rows, 512);
        for facts in codes.of(&rows).facts() {
            assert!(facts.error > 0.0 && facts.error < most, "{facts:?}");
            assert!(facts.length >= 1.0 && facts.length < 1.0001 && (facts.coded - 1.0).abs() < 0.001);
        }
    }
}

#[test]
fn rows_too_long_for_integer_sums_are_not_coded() {
    let rows = vec![1e-3f32; 70_000];
    for kernel in Kernel::available() {
        let facts = codes(kernel, &rows, rows.len()).of(&rows).facts()[0];
        assert_eq!((facts.error, facts.scale), (f32::INFINITY, 0.0));
    }
    // The longest that are: every code the largest.
    let rows = vec![1e-2f32; 65_536 * 2];
    for kernel in Kernel::available() {
        let codes = codes(kernel, &rows, 65_536);
        let panels = Panels::pack(codes.of(&rows));
        let group = Group {
            words: [codes.of(&rows).words(0); GROUP],
            start: [codes.of(&rows).facts()[0].start; GROUP],
            floor: [f32::NEG_INFINITY; GROUP],
            counted: [u64::MAX; GROUP],
        };
        let mut scores = Scores::EMPTY;
        panels.score(0, &group, &mut scores);
        let value = scores.rows[0][1] * codes.of(&rows).facts()[0].scale;
        assert!((value - 6.5536).abs() < 0.01, "{kernel:?} {value}");
    }
}

proptest! {
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn codes_of_both_twins_are_equal(kind in kinds(), seed: u64, dim in prop::sample::select([&DIMS[..], &[512, 770]].concat())) {
        if Kernel::available()[0] == Kernel::Vnni {
            for row in rows(kind, 12, dim, seed).chunks_exact(dim) {
                if row.iter().all(|v| v.is_finite()) && row.iter().any(|v| v.abs() > 1e-12) {
                    let (mut a, mut b) = (vec![0i8; dim], vec![1i8; dim]);
                    prop_assert_eq!(x86::encode(row, &mut a, 127), codes::encode_plain(row, &mut b, 127));
                    prop_assert_eq!(a, b);
                }
            }
        }
    }

    #[test]
    fn masks_of_both_twins_are_equal(values in prop::collection::vec(-3i8..4, LANES), mask: u64, spoilt in 0usize..200, floor in -3i8..4) {
        let mut scores: [f32; LANES] = std::array::from_fn(|lane| f32::from(values[lane]));
        if let Some(score) = scores.get_mut(spoilt) {
            *score = f32::NAN;
        }
        let passing = portable::passing(mask, &scores, f32::from(floor));
        for (lane, &score) in scores.iter().enumerate() {
            let below = score < f32::from(floor);
            prop_assert_eq!(passing >> lane & 1 == 1, mask >> lane & 1 == 1 && !below);
        }
        if mask != 0 && spoilt >= LANES {
            let strongest = portable::strongest(mask, &scores);
            prop_assert!((0..LANES).all(|lane| mask >> lane & 1 == 0 || scores[lane] <= scores[strongest]));
            prop_assert!(mask >> strongest & 1 == 1);
        }
        #[cfg(target_arch = "aarch64")]
        {
            prop_assert_eq!(neon::passing(mask, &scores, f32::from(floor)), passing);
            if mask != 0 {
                let lane = neon::strongest(mask, &scores);
                prop_assert!(mask >> lane & 1 == 1);
                prop_assert!(spoilt < LANES || lane == portable::strongest(mask, &scores));
            }
        }
        #[cfg(target_arch = "x86_64")]
        if Kernel::available()[0] == Kernel::Vnni {
            prop_assert_eq!(x86::passing(mask, &scores, f32::from(floor)), passing);
            if mask != 0 {
                let lane = x86::strongest(mask, &scores);
                prop_assert!(mask >> lane & 1 == 1);
                prop_assert!(spoilt < LANES || lane == portable::strongest(mask, &scores));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The shorter ways to the same scores: masks alone, and pairs one by one.
    #[test]
    fn screens_and_single_pairs_agree_with_the_whole_panel(
        kind in kinds(), seed: u64, sources in 1usize..150, cut in -0.5f32..1.0,
        dim in prop::sample::select([&DIMS[..], &[512, 770]].concat()),
    ) {
        let (a, b) = (rows(kind, GROUP, dim, seed), rows(kind, sources, dim, seed.rotate_left(7)));
        for kernel in Kernel::available() {
            let (target_codes, source_codes) = (codes(kernel, &a, dim), codes(kernel, &b, dim));
            let (targets, source_rows) = (target_codes.of(&a), source_codes.of(&b));
            let panels = Panels::pack(source_rows);
            let floors = screen_floor(targets.facts(), source_rows.facts(), cut);
            for panel in 0..sources.div_ceil(LANES) {
                let width = (sources - panel * LANES).min(LANES);
                let words = std::array::from_fn(|row| targets.words(row));
                let start = std::array::from_fn(|row| targets.facts()[row].start);
                let floor = std::array::from_fn(|row| floors[row]);
                let real = u64::MAX >> (LANES - width);
                let counted = std::array::from_fn(|row| seed.rotate_left(row as u32 * 9) & real);
                let group = Group { words, start, floor, counted };
                let (mut whole, mut few) = (Scores::EMPTY, Scores::EMPTY);
                let masks = panels.score(panel, &group, &mut whole);
                prop_assert_eq!(panels.screen(panel, &Screened { words, start, floor }), masks);
                let found = panels.score_few(panel, &group, &source_rows, &mut few);
                let lanes = panels.lanes(panel);
                let halves = Screened {
                    words: std::array::from_fn(|row| &targets.words(row)[..targets.words(row).len() / 2]),
                    start: std::array::from_fn(|row| targets.facts()[row].half_start),
                    floor: std::array::from_fn(|row| lanes.half_floor(&targets.facts()[row], cut)),
                };
                let near = panels.screen(panel, &halves);
                for (row, near) in near.iter().enumerate() {
                    for lane in 0..width {
                        let sim = similarity(targets.row(row), source_rows.row(panel * LANES + lane));
                        // What half of the codes rules out is below the cut indeed.
                        prop_assert!(near >> lane & 1 == 1 || sim < cut, "{kernel:?}: {sim} {cut}");
                    }
                }
                for row in 0..GROUP {
                    prop_assert_eq!(found[row], masks[row] & counted[row]);
                    for lane in (0..width).filter(|lane| masks[row] & counted[row] >> lane & 1 == 1) {
                        prop_assert_eq!(few.rows[row][lane].to_bits(), whole.rows[row][lane].to_bits());
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Codes of stored rows hold for the unit rows that nobody made.
    #[test]
    fn codes_of_stored_rows_bound_the_similarities_of_unit_rows(
        kind in kinds(), seed: u64, dim in prop::sample::select([&DIMS[..], &[512, 770]].concat()),
    ) {
        let count = LANES + GROUP;
        let stored = rows(kind, count, dim, seed);
        let mut unit = stored.clone();
        crate::rows::normalize(&mut unit, dim);
        let source = crate::testing::Stored { rows: &stored, dim };
        for kernel in Kernel::available() {
            let mut codes = Codes::default();
            codes.fill_stored(kernel, &source, 0..count, dim);
            let made: Vec<std::sync::OnceLock<Box<[f32]>>> = (0..count).map(|_| std::sync::OnceLock::new()).collect();
            let found = codes.of_stored(&source, 0, &made, dim);
            let (sources, targets) = (found.part(0, LANES), found.part(LANES, count));
            let panels = Panels::pack(sources);
            for target in 0..GROUP {
                let wanted = &unit[(LANES + target) * dim..][..dim];
                prop_assert_eq!(targets.row(target), wanted);
                for source in 0..LANES {
                    let sim = similarity(wanted, &unit[source * dim..(source + 1) * dim]);
                    let words = (targets.words(target), sources.words(source));
                    let score = plain(kernel, words.0, words.1, sources.facts()[source].scale);
                    let Interval { lower, upper } = panels.lanes(0).interval(&targets.facts()[target], source, score);
                    let (under, over) = (sim < lower, sim > upper);
                    prop_assert!(!under && !over, "{kernel:?}: {lower} {sim} {upper}");
                    let most = targets.facts()[target].square * sources.facts()[source].square;
                    prop_assert!(f64::from(sim) <= most.sqrt() * (1.0 + 1e-7), "{kernel:?}: {sim} {most}");
                }
            }
            prop_assert!(made[..LANES].iter().all(|row| row.get().is_none()), "no source was asked for");
        }
    }
}
