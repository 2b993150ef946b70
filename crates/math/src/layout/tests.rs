//! Groups stay apart, equal input gives equal bits, and nothing is ever not a number.
use super::*;
use crate::{random::Random, rows::normalize, testing::in_pool};

const DIM: usize = 24;

/// `groups` × `each` unit rows around as many random directions.
fn grouped(groups: usize, each: usize, noise: f64) -> Vec<f32> {
    let mut random = Random::new(7, 7);
    let mut direction = || (0..DIM).map(|_| random.unit() - 0.5).collect::<Vec<f64>>();
    let middles: Vec<Vec<f64>> = (0..groups).map(|_| direction()).collect();
    let mut rows = Vec::new();
    for at in 0..groups * each {
        let own = direction();
        rows.extend(middles[at % groups].iter().zip(own).map(|(middle, own)| (middle + noise * own) as f32));
    }
    normalize(&mut rows, DIM);
    rows
}

fn laid_out(rows: &[f32], threads: usize, seed: u64) -> Vec<[f64; 2]> {
    let options = Tsne { seed, ..Tsne::default() };
    in_pool(threads, || tsne(rows, DIM, &options, &|_| ControlFlow::Continue(())).unwrap())
}

fn apart(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

#[test]
fn groups_that_are_apart_stay_apart() {
    for (groups, each) in [(5, 40), (12, 25), (3, 4), (40, 3)] {
        let places = laid_out(&grouped(groups, each, 0.3), 2, 0);
        // Of each row the nearest on the map is of its own group.
        for (at, place) in places.iter().enumerate() {
            let others = (0..places.len()).filter(|other| *other != at);
            let nearest =
                others.min_by(|a, b| apart(*place, places[*a]).total_cmp(&apart(*place, places[*b])));
            assert_eq!(nearest.unwrap() % groups, at % groups, "{groups} groups of {each}, row {at}");
        }
    }
}

#[test]
fn the_same_rows_and_seed_give_the_same_bits() {
    let rows = grouped(6, 30, 0.8);
    let one = laid_out(&rows, 1, 3);
    for threads in [2, 3] {
        assert!(laid_out(&rows, threads, 3) == one);
    }
    assert!(laid_out(&rows, 2, 4) != one, "a seed that changes nothing");
}

#[test]
fn whatever_the_rows_places_are_numbers() {
    let equal: Vec<f32> = grouped(1, 1, 0.0).repeat(50);
    let mut broken = grouped(4, 5, 0.2);
    broken[..DIM].fill(0.0);
    broken[DIM] = f32::NAN;
    broken[2 * DIM] = f32::INFINITY;
    let pairs: Vec<f32> = [&equal[..25 * DIM], &grouped(3, 1, 0.0)[DIM..2 * DIM].repeat(25)].concat();
    for rows in [
        equal,
        broken,
        pairs,
        grouped(1, 1, 0.0),
        grouped(2, 1, 0.0),
        grouped(3, 1, 0.0),
        grouped(1, 400, 9.0),
    ] {
        let places = laid_out(&rows, 2, 0);
        assert_eq!(places.len(), rows.len() / DIM);
        assert!(places.iter().flatten().all(|value| value.is_finite() && value.abs() < 1e4), "{places:?}");
        let centroids: Vec<f32> =
            rows.iter().map(|value| if value.is_finite() { *value } else { 0.0 }).collect();
        let map = Map::new(&centroids, DIM, &Tsne::default(), &|_| ControlFlow::Continue(())).unwrap();
        let placed = map.place(&centroids, &mut FinderBuffers::default());
        assert!(placed.iter().flatten().all(|value| value.is_finite()), "{placed:?}");
    }
    assert_eq!(laid_out(&grouped(1, 1, 0.0), 1, 0), [[0.0; 2]]);
    assert!(tsne(&[], DIM, &Tsne::default(), &|_| ControlFlow::Continue(())).unwrap().is_empty());
}

#[test]
fn it_can_be_broken_off() {
    let rows = grouped(3, 3, 0.1);
    let stop = |pass| if pass == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    assert!(tsne(&rows, DIM, &Tsne::default(), &stop).is_none());
}

#[test]
fn rows_lie_nearest_to_the_centroid_that_they_are_most_like() {
    let centroids = grouped(30, 1, 0.0);
    let map = Map::new(&centroids, DIM, &Tsne::default(), &|_| ControlFlow::Continue(())).unwrap();
    let rows = grouped(30, 20, 0.7);
    let places = map.place(&rows, &mut FinderBuffers::default());
    let (mut labels, mut sims) = (vec![0; 600], vec![0.0; 600]);
    crate::nearest::nearest(&rows, &centroids, DIM, &mut labels, &mut sims);
    for (place, label) in places.iter().zip(labels) {
        let place = place.map(f64::from);
        let home = apart(place, map.places()[label as usize]);
        assert!(map.places().iter().all(|other| home <= apart(place, *other) + 1e-4));
    }
    // Rows alike lie together: in the mean nearer to one of the same group than the group is wide.
    let same = map.place(&[&rows[..DIM], &rows[..DIM]].concat(), &mut FinderBuffers::default());
    assert_eq!(same[0], same[1]);
    assert!(places.iter().any(|place| *place != places[0]));
}
