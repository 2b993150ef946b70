//! Position embeddings for another grid than they were trained on: DINOv2 checkpoints have one grid (37 × 37) and are used with others.
//! The arithmetic is torch's `interpolate(mode="bicubic", align_corners=False)`, with and without antialiasing.

/// Which of torch's two bicubic filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interpolation {
    /// Four taps with a = −0.75, whatever the ratio: DINOv2.
    Plain,
    /// The filter widens when the grid shrinks, a = −0.5: DINOv2 with registers.
    Antialiased,
}

/// Keys' cubic convolution kernel.
fn cubic(x: f64, a: f64) -> f64 {
    let x = x.abs();
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}

/// For each of `to` places, the places of `from` it is mixed of, with weights.
fn taps(from: usize, to: usize, how: Interpolation) -> Vec<Vec<(usize, f64)>> {
    let ratio = from as f64 / to as f64;
    (0..to)
        .map(|place| match how {
            Interpolation::Plain => {
                let at = (place as f64 + 0.5) * ratio - 0.5;
                let floor = at.floor();
                (-1..=2)
                    .map(|tap| {
                        let source = (floor as i64 + tap).clamp(0, from as i64 - 1) as usize;
                        (source, cubic(at - floor - tap as f64, -0.75))
                    })
                    .collect()
            }
            Interpolation::Antialiased => {
                let (scale, center) = (ratio.max(1.0), (place as f64 + 0.5) * ratio);
                let support = 2.0 * scale;
                let first = (center - support + 0.5).max(0.0) as usize;
                let last = ((center + support + 0.5) as usize).min(from);
                let weights: Vec<f64> =
                    (first..last).map(|source| cubic((source as f64 - center + 0.5) / scale, -0.5)).collect();
                let total: f64 = weights.iter().sum();
                (first..last).zip(weights).map(|(source, weight)| (source, weight / total)).collect()
            }
        })
        .collect()
}

/// `positions` is `[from.0 * from.1, width]`, row by row; gives `[to.0 * to.1, width]`.
pub(crate) fn resize_positions(
    positions: &[f32],
    from: (usize, usize),
    to: (usize, usize),
    width: usize,
    how: Interpolation,
) -> Vec<f32> {
    if from == to {
        return positions.to_vec();
    }
    let (down, across) = (taps(from.0, to.0, how), taps(from.1, to.1, how));
    let mut out = Vec::with_capacity(to.0 * to.1 * width);
    let mut sums = vec![0f64; width];
    for rows in &down {
        for columns in &across {
            sums.fill(0.0);
            for (row, by_row) in rows {
                for (column, by_column) in columns {
                    let source = &positions[(row * from.1 + column) * width..][..width];
                    for (sum, value) in sums.iter_mut().zip(source) {
                        *sum += by_row * by_column * f64::from(*value);
                    }
                }
            }
            out.extend(sums.iter().map(|&sum| sum as f32));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_and_the_same_grid_is_untouched() {
        for how in [Interpolation::Plain, Interpolation::Antialiased] {
            for (from, to) in [(37, 16), (16, 37), (5, 5), (1, 4), (4, 1)] {
                for taps in taps(from, to, how) {
                    let total: f64 = taps.iter().map(|(_, weight)| weight).sum();
                    assert!((total - 1.0).abs() < 1e-12, "{how:?} {from} to {to}: {total}");
                }
            }
            let grid: Vec<f32> = (0..24).map(|value| value as f32).collect();
            assert_eq!(resize_positions(&grid, (3, 4), (3, 4), 2, how), grid);
        }
    }

    /// `torch.nn.functional.interpolate(torch.tensor([[[[0., 1., 4., 9., 16.]]]]), size=(1, n), mode="bicubic", align_corners=False,
    /// antialias=..)` of torch 2.15. The recorded DINOv2 checkpoints check whole grids.
    #[test]
    fn values_are_torchs() {
        let recorded: [(Interpolation, &[f32]); 4] = [
            (Interpolation::Plain, &[0.148_149_01, 4.0, 14.074_071]),
            (Interpolation::Antialiased, &[0.169_231_04, 4.195_348_7, 13.338_459]),
            (
                Interpolation::Plain,
                &[
                    -0.092_834_47,
                    0.187_561_04,
                    1.176_513_7,
                    2.619_384_8,
                    5.441_650_4,
                    8.471_436,
                    13.395_081,
                    16.649_841,
                ],
            ),
            (
                Interpolation::Antialiased,
                &[
                    -0.071_955_72,
                    0.243_749_29,
                    1.128_906_3,
                    2.847_656_3,
                    5.347_656_3,
                    8.628_906,
                    13.488_184,
                    16.503_689,
                ],
            ),
        ];
        for (how, expected) in recorded {
            let found = resize_positions(&[0.0, 1.0, 4.0, 9.0, 16.0], (1, 5), (1, expected.len()), 1, how);
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 5e-6, "{how:?}: {found}, not {expected}");
            }
        }
    }
}
