//! Counter-based random numbers: splitmix64 keyed by (seed, purpose, index). A stream is made in a few nanoseconds, so every
//! sample can be drawn again from its row alone, on any thread, without the samples before it.

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a stream is for. Streams of different purposes share nothing, so a new draw in one place changes no other.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Uid = 1,
    Kind,
    Source,
    Latents,
    Size,
    Caption,
    Edit,
    Download,
    Url,
    Order,
    Detail,
    ImageMap,
    ImageNoise,
    TextNoise,
    Match,
}

const fn finalise(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A stream of 64-bit numbers; its k-th number is a function of (seed, purpose, index, k).
#[derive(Clone)]
pub(crate) struct Stream {
    state: u64,
}

impl Stream {
    pub fn new(seed: u64, purpose: Purpose, index: u64) -> Self {
        let keyed = finalise(finalise(seed.wrapping_add(GOLDEN)) ^ (purpose as u64).wrapping_mul(GOLDEN));
        Self { state: finalise(keyed ^ finalise(index.wrapping_add(GOLDEN))) }
    }

    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        finalise(self.state)
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// Uniform in [0, 1) with 53 bits.
    pub fn unit_f64(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in [low, high).
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform in 0..n (n ≥ 1; multiply-shift, its bias is below n/2^64).
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// One of the elements. The slice must not be empty.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    pub fn chance(&mut self, share: f32) -> bool {
        self.unit() < share
    }

    /// Adds `scale` times noise of mean 0 and variance 1 to every element. The noise is uniform, four numbers of 16 bits from one draw:
    /// in hundreds of dimensions its directions are as good as Gaussian ones, at a fraction of the time.
    pub fn add_noise(&mut self, scale: f32, to: &mut [f32]) {
        // A 16-bit integer has variance (65536^2 - 1) / 12 and mean -1/2.
        let scale = scale * (12f32.sqrt() / 65_536.0);
        for four in to.chunks_mut(4) {
            let bits = self.next();
            for (place, value) in four.iter_mut().enumerate() {
                *value += (f32::from((bits >> (16 * place)) as i16) + 0.5) * scale;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_do_not_overlap() {
        let numbers = |seed, purpose, index| {
            let mut stream = Stream::new(seed, purpose, index);
            (0..64).map(|_| stream.next()).collect::<Vec<_>>()
        };
        assert_eq!(numbers(1, Purpose::Uid, 5), numbers(1, Purpose::Uid, 5));
        let mut all = numbers(1, Purpose::Uid, 5);
        all.extend(numbers(2, Purpose::Uid, 5));
        all.extend(numbers(1, Purpose::Kind, 5));
        all.extend(numbers(1, Purpose::Uid, 6));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 256);
    }

    #[test]
    fn draws_have_the_stated_moments() {
        let mut stream = Stream::new(3, Purpose::Detail, 0);
        let mut noise = vec![0f32; 100_000];
        stream.add_noise(2.0, &mut noise);
        let mean = noise.iter().sum::<f32>() / 1e5;
        let variance = noise.iter().map(|x| x * x).sum::<f32>() / 1e5;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 4.0).abs() < 0.06, "{variance}");
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[stream.below(7) as usize] += 1;
        }
        assert!(counts.iter().all(|&n| n.abs_diff(10_000) < 500), "{counts:?}");
        let unit: f32 = (0..10_000).map(|_| stream.unit()).sum::<f32>() / 1e4;
        assert!((unit - 0.5).abs() < 0.02);
    }
}
