//! A decoded image as planes of 8-bit samples, the form that resizing wants.

use crate::resize::Level;

/// An image in interleaved RGB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rgb {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `[height, width, 3]`, 0 to 255.
    pub pixels: Vec<u8>,
}

/// One plane (grey) or three (RGB), rows without gaps.
#[derive(Debug, Default)]
pub(crate) struct Planes {
    pub width: usize,
    pub height: usize,
    /// 1 or 3: how many of `data` are used.
    pub channels: usize,
    pub data: [Vec<u8>; 3],
}

impl Planes {
    /// Make room for an image; the samples are whatever was there before.
    pub fn reset(&mut self, width: usize, height: usize, channels: usize) {
        (self.width, self.height, self.channels) = (width, height, channels);
        for plane in &mut self.data[..channels] {
            plane.resize(width * height, 0);
        }
    }

    /// Take the image from `N` interleaved samples a pixel: grey, grey and alpha, RGB, RGB and alpha. Alpha is dropped, not
    /// blended, as Pillow's `convert("RGB")` does.
    pub fn take_interleaved<const N: usize>(&mut self, width: usize, height: usize, samples: &[u8]) {
        let channels = if N < 3 { 1 } else { 3 };
        self.reset(width, height, channels);
        let (pixels, _) = samples.as_chunks::<N>();
        match Level::best() {
            Level::Plain => split(pixels, channels, &mut self.data),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: these levels are only made after the processor was asked for AVX2.
            Level::Avx2 | Level::Vnni => unsafe { split_avx2(pixels, channels, &mut self.data) },
        }
    }

    /// The image in interleaved RGB.
    pub fn to_rgb(&self) -> Rgb {
        let [red, green, blue] = &self.data;
        let (green, blue) = if self.channels == 1 { (red, red) } else { (green, blue) };
        let mut pixels = vec![0; self.width * self.height * 3];
        match Level::best() {
            Level::Plain => join([red, green, blue], &mut pixels),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: these levels are only made after the processor was asked for AVX2.
            Level::Avx2 | Level::Vnni => unsafe { join_avx2([red, green, blue], &mut pixels) },
        }
        Rgb { width: self.width, height: self.height, pixels }
    }
}

/// Pixels that are moved at once: loops of a fixed length become shuffles.
const AT_ONCE: usize = 32;

#[inline(always)]
fn split<const N: usize>(pixels: &[[u8; N]], channels: usize, planes: &mut [Vec<u8>; 3]) {
    for (c, plane) in planes.iter_mut().enumerate().take(channels) {
        let (blocks, rest) = plane.as_chunks_mut::<AT_ONCE>();
        let (from, from_rest) = pixels.as_chunks::<AT_ONCE>();
        for (block, from) in blocks.iter_mut().zip(from) {
            for (value, pixel) in block.iter_mut().zip(from) {
                *value = pixel[c];
            }
        }
        rest.iter_mut().zip(from_rest).for_each(|(value, pixel)| *value = pixel[c]);
    }
}

#[inline(always)]
fn join([red, green, blue]: [&[u8]; 3], pixels: &mut [u8]) {
    let (pixels, _) = pixels.as_chunks_mut::<3>();
    let (blocks, rest) = pixels.as_chunks_mut::<AT_ONCE>();
    let (reds, red_rest) = red.as_chunks::<AT_ONCE>();
    let (greens, green_rest) = green.as_chunks::<AT_ONCE>();
    let (blues, blue_rest) = blue.as_chunks::<AT_ONCE>();
    for (((block, r), g), b) in blocks.iter_mut().zip(reds).zip(greens).zip(blues) {
        for i in 0..AT_ONCE {
            block[i] = [r[i], g[i], b[i]];
        }
    }
    for (((pixel, r), g), b) in rest.iter_mut().zip(red_rest).zip(green_rest).zip(blue_rest) {
        *pixel = [*r, *g, *b];
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn split_avx2<const N: usize>(pixels: &[[u8; N]], channels: usize, planes: &mut [Vec<u8>; 3]) {
    split(pixels, channels, planes);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn join_avx2(planes: [&[u8]; 3], pixels: &mut [u8]) {
    join(planes, pixels);
}
