//! From a sample to JPEG bytes: draw the original, edit its pixels, encode. Twins are computed from the original's pixels, never drawn anew.
use crate::DemoError;
use crate::draw::palette::PALETTE;
use crate::draw::{Canvas, Look};
use crate::random::{Purpose, Stream};
use crate::sample::{Edit, Latents, Sample};

/// Buffers that are reused from image to image.
#[derive(Default)]
pub(crate) struct Renderer {
    canvas: Canvas,
    pixels: Vec<u8>,
    edited: Vec<u8>,
}

impl Renderer {
    /// The sample's baseline JPEG (4:2:0).
    pub fn jpeg(&mut self, sample: &Sample) -> Result<Vec<u8>, DemoError> {
        self.draw(&sample.latents, sample.drawn);
        let (width, height) = sample.stored;
        let pixels = apply(sample.edit, &self.pixels, sample.drawn, sample.stored, &mut self.edited);
        encode(pixels, width, height, sample.quality).map_err(|message| DemoError::Jpeg {
            row: sample.row,
            width,
            height,
            message,
        })
    }

    /// Draws into `self.pixels`: 8-bit RGB, row by row.
    fn draw(&mut self, latents: &Latents, (width, height): (u32, u32)) {
        let concept = latents.concept();
        let color = |place: u8| PALETTE[usize::from(place)].rgb;
        let look = Look {
            main: color(latents.color),
            accent: color(latents.accent),
            count: latents.count,
            setting: latents.setting,
            turn: latents.turn * concept.turn,
            x: latents.x,
            y: latents.y,
            size: latents.size,
            style: latents.style,
            clutter: latents.clutter,
        };
        let mut details = Stream::new(latents.detail, Purpose::Detail, 0);
        self.canvas.resize(width, height);
        look.draw(concept, &mut self.canvas, &mut details);
        self.canvas.to_rgb(&mut self.pixels);
    }

    /// The drawing of a concept with the parameters of a sample, as 8-bit RGB: for contact sheets.
    pub fn rgb(&mut self, sample: &Sample) -> &[u8] {
        self.draw(&sample.latents, sample.drawn);
        apply(sample.edit, &self.pixels, sample.drawn, sample.stored, &mut self.edited)
    }
}

/// Applies an edit to RGB pixels of size `from`, giving size `to`.
fn apply<'a>(
    edit: Edit,
    pixels: &'a [u8],
    from: (u32, u32),
    to: (u32, u32),
    into: &'a mut Vec<u8>,
) -> &'a [u8] {
    let line = from.0 as usize * 3;
    into.clear();
    match edit {
        Edit::Nothing => return pixels,
        Edit::Crop([left, top, ..]) => {
            let (left, top) = ((from.0 as f32 * left) as usize, (from.1 as f32 * top) as usize);
            for row in pixels.chunks(line).skip(top).take(to.1 as usize) {
                into.extend_from_slice(&row[left * 3..][..to.0 as usize * 3]);
            }
        }
        Edit::Mirror => {
            for row in pixels.chunks(line) {
                into.extend(row.rchunks(3).flatten());
            }
        }
        Edit::Gamma(gamma) => {
            let table: Vec<u8> =
                (0..256).map(|value| ((value as f32 / 255.0).powf(gamma) * 255.0).round() as u8).collect();
            into.extend(pixels.iter().map(|&value| table[usize::from(value)]));
        }
    }
    into
}

fn encode(pixels: &[u8], width: u32, height: u32, quality: u8) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(16 << 10);
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, quality);
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_2_2);
    let side = |value: u32| u16::try_from(value).map_err(|_| format!("{value} px is more than JPEG allows"));
    encoder
        .encode(pixels, side(width)?, side(height)?, jpeg_encoder::ColorType::Rgb)
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// A contact sheet for examples and documentation: one line of `columns` cells of `cell` pixels for each concept of the range (places in
/// the table, at most 42), filled with the first samples of the pool that show it. Returns 8-bit RGB pixels, width and height.
pub fn contact_sheet(
    options: &crate::PoolOptions,
    columns: u32,
    cell: u32,
    concepts: std::ops::Range<usize>,
) -> (Vec<u8>, u32, u32) {
    let world = crate::sample::World::new(options);
    let mut renderer = Renderer::default();
    let rows = concepts.len() as u32;
    let (width, height) = (columns * cell, rows * cell);
    let mut sheet = vec![255u8; (width * height * 3) as usize];
    for (line, concept) in concepts.enumerate() {
        let found = (0..options.rows)
            .map(|row| world.sample(row))
            .filter(|sample| sample.latents.concept == concept)
            .take(columns as usize);
        for (column, sample) in found.enumerate() {
            let (w, h) = sample.stored;
            let pixels = renderer.rgb(&sample);
            let longest = w.max(h);
            let inner = cell - 4;
            for y in 0..h * inner / longest {
                for x in 0..w * inner / longest {
                    let from = ((y * longest / inner).min(h - 1) * w + (x * longest / inner).min(w - 1))
                        as usize
                        * 3;
                    let to =
                        ((line as u32 * cell + y + 2) * width + column as u32 * cell + x + 2) as usize * 3;
                    sheet[to..to + 3].copy_from_slice(&pixels[from..from + 3]);
                }
            }
        }
    }
    (sheet, width, height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_move_the_right_pixels() {
        // 3 x 2 pixels, each with its own value in all three channels.
        let pixels: Vec<u8> = (0..6u8).flat_map(|value| [value * 40; 3]).collect();
        let values = |bytes: &[u8]| bytes.chunks(3).map(|pixel| pixel[0] / 40).collect::<Vec<_>>();
        let mut into = Vec::new();
        let size = (3, 2);
        assert_eq!(values(apply(Edit::Nothing, &pixels, size, size, &mut into)), [0, 1, 2, 3, 4, 5]);
        assert_eq!(values(apply(Edit::Mirror, &pixels, size, size, &mut into)), [2, 1, 0, 5, 4, 3]);
        let crop = Edit::Crop([0.4, 0.5, 1.0, 1.0]);
        assert_eq!(values(apply(crop, &pixels, size, (2, 1), &mut into)), [4, 5]);
        let brighter = apply(Edit::Gamma(0.5), &pixels, size, size, &mut into).to_vec();
        assert!(brighter.iter().zip(&pixels).all(|(new, old)| new >= old));
    }
}
