//! Fewer marks for long lists. A page that draws 50,000 bars is slow and shows less than one with 400; what is left out is always said.
use std::ops::Range;

/// Most marks in one chart.
pub const MOST_MARKS: usize = 400;

/// At most `most` places out of `0..length`, evenly spread, the first and the last among them, ascending, each once.
pub fn places(length: usize, most: usize) -> Vec<usize> {
    if length <= most {
        return (0..length).collect();
    }
    match most {
        0 => Vec::new(),
        1 => vec![0],
        _ => (0..most)
            .map(|place| (place as u128 * (length as u128 - 1) / (most as u128 - 1)) as usize)
            .collect(),
    }
}

/// `0..length` cut into at most `most` runs of nearly equal length, none empty.
pub fn runs(length: usize, most: usize) -> Vec<Range<usize>> {
    let parts = length.min(most);
    let cut = |part: usize| (part as u128 * length as u128 / parts.max(1) as u128) as usize;
    (0..parts).map(|part| cut(part)..cut(part + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_hold_both_ends_and_no_repeats() {
        for (length, most) in [(0, 5), (1, 5), (5, 5), (6, 5), (50_000, 400), (3, 2), (9, 1), (9, 0)] {
            let places = places(length, most);
            assert_eq!(places.len(), length.min(most));
            assert!(places.windows(2).all(|pair| pair[0] < pair[1]));
            if most > 1 && length > 0 {
                assert_eq!((places[0], places[places.len() - 1]), (0, length - 1));
            }
        }
    }

    #[test]
    fn runs_cover_everything_once() {
        for (length, most) in [(0, 5), (1, 5), (5, 5), (7, 5), (50_000, 400), (401, 400)] {
            let runs = runs(length, most);
            assert_eq!(runs.len(), length.min(most));
            assert_eq!(runs.iter().map(ExactSizeIterator::len).sum::<usize>(), length);
            assert!(runs.iter().all(|run| !run.is_empty()));
            assert!(runs.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }
}
