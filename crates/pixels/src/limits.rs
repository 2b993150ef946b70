//! How large an image may be, and the two ways to treat one.

use serde::{Deserialize, Serialize};

use crate::PixelError;

/// How large an image may be. Checked against the header, before memory for pixels is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Largest width times height, in pixels.
    pub max_pixels: u64,
}

impl Default for Limits {
    /// 178,956,970 pixels: where Pillow raises `DecompressionBombError`, twice its `Image.MAX_IMAGE_PIXELS` of
    /// `1024 * 1024 * 1024 // 4 // 3` (`PIL/Image.py`). Pixels of a decoded image of that size take 0.5 GiB.
    fn default() -> Self {
        Self { max_pixels: 178_956_970 }
    }
}

impl Limits {
    /// An error where `width` x `height` is above the limit.
    pub(crate) fn check(&self, width: u64, height: u64) -> Result<(), PixelError> {
        if width.saturating_mul(height) > self.max_pixels {
            return Err(PixelError::TooManyPixels { width, height, limit: self.max_pixels });
        }
        Ok(())
    }
}

/// How closely the pixels follow Pillow's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// As Pillow: the same decoder arithmetic, the same resizing.
    #[default]
    Exact,
    /// JPEGs are decoded at 1/2, 1/4 or 1/8 where that is still at least as large as what they are resized to, and colours are
    /// converted after resizing. Other formats are treated as in `Exact`.
    Fast,
}
