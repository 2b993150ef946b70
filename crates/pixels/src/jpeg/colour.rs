//! Components to red, green and blue, with libjpeg's fixed-point constants (`jdcolor.c`) and, for CMYK, Pillow's (`Convert.c`).

use super::header::{Frame, Tables};
use crate::resize::Level;

/// What the components are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Colour {
    #[default]
    Grey,
    Rgb,
    YCbCr,
    /// As Adobe stores it, inverted; Pillow takes every JPEG of four components for such.
    Cmyk,
    /// CMYK whose first three are stored as YCbCr.
    Ycck,
}

impl Colour {
    /// By libjpeg's rules (`default_decompress_parms`): JFIF, then Adobe's transform, then the components' names.
    pub(super) fn of(frame: &Frame, tables: &Tables) -> Self {
        let names: Vec<u8> = frame.components.iter().map(|c| c.id).collect();
        match (names.len(), tables.adobe) {
            (1, _) => Self::Grey,
            (4, Some(2)) => Self::Ycck,
            (4, _) => Self::Cmyk,
            _ if tables.jfif => Self::YCbCr,
            (_, Some(0)) => Self::Rgb,
            (_, Some(_)) => Self::YCbCr,
            _ if names == *b"RGB" => Self::Rgb,
            _ => Self::YCbCr,
        }
    }

    /// How many components there are.
    pub fn components(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb | Self::YCbCr => 3,
            Self::Cmyk | Self::Ycck => 4,
        }
    }

    /// A row of components to a row of red, green, blue; of a grey image only the first is written.
    pub fn convert(self, level: Level, from: [&[u8]; 4], to: [&mut [u8]; 3]) {
        let [red, green, blue] = to;
        match self {
            Self::Grey => red.copy_from_slice(from[0]),
            Self::Rgb | Self::Cmyk => {
                red.copy_from_slice(from[0]);
                green.copy_from_slice(from[1]);
                blue.copy_from_slice(from[2]);
            }
            Self::YCbCr | Self::Ycck => match level {
                Level::Plain => ycbcr(from[0], from[1], from[2], red, green, blue),
                #[cfg(target_arch = "x86_64")]
                // SAFETY: these levels are only made after the processor was asked for AVX2.
                Level::Avx2 | Level::Vnni => unsafe {
                    ycbcr_avx2(from[0], from[1], from[2], red, green, blue)
                },
            },
        }
        if matches!(self, Self::Cmyk | Self::Ycck) {
            // YCCK's transform gives inverted cyan, magenta, yellow, so that both kinds stand at different signs here.
            let inverted = self == Self::Cmyk;
            for plane in [red, green, blue] {
                for (value, black) in plane.iter_mut().zip(from[3]) {
                    let ink = if inverted { 255 - *value } else { *value };
                    *value = black.saturating_sub(product(ink, *black));
                }
            }
        }
    }
}

/// `a * b / 255`, rounded as Pillow's MULDIV255.
fn product(a: u8, b: u8) -> u8 {
    let t = u32::from(a) * u32::from(b) + 128;
    (((t >> 8) + t) >> 8) as u8
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn ycbcr_avx2(y: &[u8], cb: &[u8], cr: &[u8], red: &mut [u8], green: &mut [u8], blue: &mut [u8]) {
    ycbcr(y, cb, cr, red, green, blue);
}

#[inline(always)]
fn ycbcr(y: &[u8], cb: &[u8], cr: &[u8], red: &mut [u8], green: &mut [u8], blue: &mut [u8]) {
    // 1.402, 1.772, 0.34414, 0.71414 in units of 2^-16, rounded as there.
    let n = red.len();
    let (y, cb, cr, green, blue) = (&y[..n], &cb[..n], &cr[..n], &mut green[..n], &mut blue[..n]);
    for i in 0..n {
        let (l, b, r) = (i32::from(y[i]), i32::from(cb[i]) - 128, i32::from(cr[i]) - 128);
        red[i] = (l + ((91_881 * r + 32_768) >> 16)).clamp(0, 255) as u8;
        green[i] = (l + ((-22_554 * b - 46_802 * r + 32_768) >> 16)).clamp(0, 255) as u8;
        blue[i] = (l + ((116_130 * b + 32_768) >> 16)).clamp(0, 255) as u8;
    }
}
