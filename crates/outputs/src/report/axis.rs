//! Axes of charts: from values to places between 0 and 1, and where the ticks stand. Domains are widened to round numbers, so that every
//! axis begins and ends at a tick that can be read.
use super::format::{compact, number};

/// How a tick is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// Counts of things: `1.2k`.
    Count,
    /// Any number.
    Number,
    /// A share of 1: `40%`.
    Percent,
}

/// One axis.
#[derive(Debug, Clone)]
pub struct Axis {
    /// What is measured, with its unit.
    pub label: String,
    /// Places between 0 and 1, ascending, and what is written there.
    pub ticks: Vec<(f64, String)>,
    low: f64,
    high: f64,
    logarithmic: bool,
}

/// The smallest and the largest finite value, or `None`.
pub fn extent(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().filter(|value| value.is_finite()).fold(None, |extent, value| match extent {
        None => Some((value, value)),
        Some((low, high)) => Some((f64::min(low, value), f64::max(high, value))),
    })
}

impl Axis {
    /// A linear axis around the values, about `ticks` ticks; from 0 to 1 where there is no finite value.
    pub fn linear(label: &str, values: impl IntoIterator<Item = f64>, ticks: usize, write: Write) -> Self {
        let (mut low, mut high) = extent(values).unwrap_or((0.0, 1.0));
        // Beyond this the arithmetic of ticks leaves the finite numbers.
        (low, high) = (low.clamp(-1e300, 1e300), high.clamp(-1e300, 1e300));
        if high - low <= 1e-9 * high.abs().max(low.abs()) {
            let around = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
            (low, high) = if low >= 0.0 {
                ((low - around).max(0.0), high + around)
            } else {
                (low - around, high + around)
            };
        }
        let step = round_step((high - low) / ticks.max(1) as f64, write);
        let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
        (low, high) = (first * step, last * step);
        let many = (last - first).round().clamp(1.0, 20.0) as u32;
        let ticks = (0..=many)
            .map(|tick| {
                let value = (first + f64::from(tick)) * step;
                // -0 and the dust of multiplication are no ticks.
                let value = if value.abs() < step * 1e-6 { 0.0 } else { value };
                (f64::from(tick) / f64::from(many), written(value, step, write))
            })
            .collect();
        Self { label: label.to_owned(), ticks, low, high, logarithmic: false }
    }

    /// An axis for places in a list of `length` things: from 0 to exactly `length`, whole ticks inside.
    pub fn places(label: &str, length: usize) -> Self {
        let high = length.max(1) as f64;
        let step = round_step(high / 5.0, Write::Count);
        let ticks = (0..=20).map(|tick| f64::from(tick) * step).take_while(|tick| *tick <= high);
        let ticks = ticks.map(|tick| (tick / high, written(tick, step, Write::Count))).collect();
        Self { label: label.to_owned(), ticks, low: 0.0, high, logarithmic: false }
    }

    /// A logarithmic axis for counts. It begins at one half, so that a count of 1 still has a height and 0 has none.
    pub fn log_counts(label: &str, largest: u64) -> Self {
        let high = (largest.max(2) as f64) * 1.1;
        let decades = high.log10().floor() as i32;
        let every = decades / 6 + 1;
        let mut ticks: Vec<f64> =
            (0..=decades).step_by(every as usize).map(|power| 10f64.powi(power)).collect();
        if decades < 2 {
            ticks.extend([2.0, 5.0, 20.0, 50.0]);
        }
        Self::logarithmic(label, 0.5, high, ticks)
    }

    /// A logarithmic axis around positive values; others have no place on it.
    pub fn log(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let positive = values.into_iter().filter(|value| *value > 0.0);
        let (low, high) = extent(positive)
            .map_or((1.0, 10.0), |(low, high)| (low.clamp(1e-300, 1e300), high.clamp(1e-300, 1e300)));
        let (low, high) = (low / 1.25, high * 1.25);
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let every = (last - first) / 6 + 1;
        let decades = (first..=last).step_by(every as usize);
        let digits: &[f64] = if high / low > 200.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let ticks =
            decades.flat_map(|power| digits.iter().map(move |digit| digit * 10f64.powi(power))).collect();
        Self::logarithmic(label, low, high, ticks)
    }

    fn logarithmic(label: &str, low: f64, high: f64, mut ticks: Vec<f64>) -> Self {
        ticks.sort_by(f64::total_cmp);
        let mut axis = Self { label: label.to_owned(), ticks: Vec::new(), low, high, logarithmic: true };
        let inside = ticks.into_iter().filter(|tick| (low..=high).contains(tick));
        axis.ticks = inside
            .filter_map(|tick| {
                Some((axis.place(tick)?, if tick >= 1.0 { compact(tick) } else { number(tick) }))
            })
            .collect();
        axis
    }

    /// Where a value stands, from 0 to 1; values outside stand at the nearer end. `None` for NaN, infinities, and what a logarithm lacks
    /// (0 on an axis that begins at one half stands at its beginning).
    pub fn place(&self, value: f64) -> Option<f64> {
        if !value.is_finite() {
            return None;
        }
        let place = if self.logarithmic {
            if value < 0.0 || (value == 0.0 && self.low > 0.5) {
                return None;
            }
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        place.is_finite().then_some(place.clamp(0.0, 1.0))
    }
}

/// The next of 1, 2, 2.5, 5 times a power of ten that is not smaller.
fn round_step(wanted: f64, write: Write) -> f64 {
    let power = 10f64.powf(wanted.max(1e-300).log10().floor());
    let step =
        [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|step| step * power >= wanted * 0.999).unwrap_or(10.0)
            * power;
    if write == Write::Count { step.max(1.0).round() } else { step }
}

fn written(value: f64, step: f64, write: Write) -> String {
    match write {
        Write::Count => compact_tick(value, step),
        Write::Number => number(value),
        Write::Percent => format!("{}%", number(value * 100.0)),
    }
}

/// Counts on an axis need as many digits as tell neighbours apart: 19.25k and 19.5k must not both become 19.3k.
fn compact_tick(value: f64, step: f64) -> String {
    let short = compact(value);
    let unit = 10f64.powi(((value.max(1.0).log10() / 3.0).floor() as i32) * 3);
    if (value.abs() / unit * 10.0).fract().abs() < 1e-6 || step / unit >= 1.0 {
        return short;
    }
    let decimals = (unit / step).log10().ceil().clamp(1.0, 4.0) as usize + 1;
    let suffix: String = short.chars().filter(|character| character.is_alphabetic()).collect();
    format!("{}{suffix}", format!("{:.decimals$}", value / unit).trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn linear_axes_end_at_round_numbers() {
        let axis = Axis::linear("rows", [0.0, 18_700.0], 4, Write::Count);
        assert_eq!(labels(&axis), ["0", "5k", "10k", "15k", "20k"]);
        assert_eq!(axis.place(10_000.0), Some(0.5));
        assert_eq!([axis.place(-1.0), axis.place(1e9)], [Some(0.0), Some(1.0)]);
        let axis = Axis::linear("ε", [0.003, 0.2], 4, Write::Number);
        assert_eq!(labels(&axis), ["0", "0.05", "0.1", "0.15", "0.2"]);
        let axis = Axis::linear("kept", [19_250.0, 20_000.0], 3, Write::Count);
        assert_eq!(labels(&axis), ["19.25k", "19.5k", "19.75k", "20k"]);
    }

    #[test]
    fn log_axes_show_one_and_hide_zero() {
        let axis = Axis::log_counts("rows", 800);
        assert_eq!(labels(&axis), ["1", "10", "100"]);
        assert_eq!(axis.place(0.0), Some(0.0));
        assert!(axis.place(1.0).unwrap() > 0.05);
        assert!((axis.place(880.0).unwrap() - 1.0).abs() < 1e-9);
        let axis = Axis::log("k", [100.0, 1000.0]);
        assert_eq!(labels(&axis), ["100", "200", "500", "1k"]);
        assert_eq!([axis.place(0.0), axis.place(-3.0), axis.place(f64::NAN)], [None, None, None]);
    }

    #[test]
    fn strange_values_make_an_axis_all_the_same() {
        let strange = [f64::NAN, f64::INFINITY, f64::MAX, f64::MIN, 0.0, -0.0, f64::MIN_POSITIVE, 1e-320];
        for first in strange {
            for second in strange {
                for axis in
                    [Axis::linear("", [first, second], 4, Write::Number), Axis::log("", [first, second])]
                {
                    assert!(axis.ticks.len() < 30);
                    for value in [first, second, 0.5] {
                        assert!(
                            axis.place(value).is_none_or(|place| (0.0..=1.0).contains(&place)),
                            "{first} {second} {value}"
                        );
                    }
                    assert!(axis.ticks.iter().all(|(place, _)| (0.0..=1.0).contains(place)));
                }
            }
        }
        assert!(Axis::log_counts("", u64::MAX).ticks.len() < 12);
    }
}
