//! What stands behind a thing: five skies with ground or water, five table tops and papers.
use super::raster::{Canvas, Color, Frame, mix, noise, shade};
use crate::random::Stream;

/// The surroundings of a drawn thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Setting {
    Day,
    Dusk,
    Night,
    Snow,
    Fog,
    White,
    Dark,
    Pastel,
    Wood,
    Paper,
}

/// What the lower part of an outdoor setting is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ground {
    /// Sky all the way down.
    Air,
    /// A meadow, or what the weather makes of it.
    Land,
    /// The sea.
    Water,
}

impl Setting {
    pub const OUTDOORS: &'static [Self] = &[Self::Day, Self::Dusk, Self::Night, Self::Snow, Self::Fog];
    pub const INDOORS: &'static [Self] = &[Self::White, Self::Dark, Self::Pastel, Self::Wood, Self::Paper];

    /// Whether it is so dark that outlines should be light.
    pub fn is_dark(self) -> bool {
        matches!(self, Self::Night | Self::Dark)
    }

    /// Upper and lower colour of the sky or the backdrop.
    pub fn colors(self, accent: Color) -> (Color, Color) {
        match self {
            Self::Day => ([0.36, 0.65, 0.93], [0.80, 0.92, 0.99]),
            Self::Dusk => ([0.30, 0.20, 0.45], [0.99, 0.62, 0.38]),
            Self::Night => ([0.03, 0.05, 0.15], [0.13, 0.17, 0.36]),
            Self::Snow => ([0.70, 0.78, 0.87], [0.93, 0.95, 0.98]),
            Self::Fog => ([0.66, 0.69, 0.71], [0.84, 0.85, 0.84]),
            Self::White => ([0.99, 0.99, 0.99], [0.93, 0.93, 0.94]),
            Self::Dark => ([0.16, 0.17, 0.20], [0.07, 0.07, 0.09]),
            Self::Pastel => (shade(accent, 0.72), shade(accent, 0.45)),
            Self::Wood => ([0.66, 0.46, 0.29], [0.58, 0.39, 0.24]),
            Self::Paper => ([0.96, 0.94, 0.88], [0.94, 0.92, 0.85]),
        }
    }

    fn ground(self, ground: Ground) -> (Color, Color) {
        match (self, ground) {
            (Self::Dusk, Ground::Water) => ([0.78, 0.46, 0.38], [0.24, 0.18, 0.36]),
            (Self::Night, Ground::Water) => ([0.12, 0.18, 0.34], [0.03, 0.06, 0.14]),
            (Self::Snow, Ground::Water) => ([0.58, 0.68, 0.76], [0.36, 0.47, 0.58]),
            (Self::Fog, Ground::Water) => ([0.68, 0.72, 0.74], [0.50, 0.55, 0.58]),
            (_, Ground::Water) => ([0.30, 0.60, 0.82], [0.07, 0.30, 0.55]),
            (Self::Dusk, _) => ([0.33, 0.26, 0.26], [0.17, 0.14, 0.18]),
            (Self::Night, _) => ([0.08, 0.12, 0.16], [0.03, 0.05, 0.08]),
            (Self::Snow, _) => ([0.97, 0.98, 1.0], [0.82, 0.87, 0.93]),
            (Self::Fog, _) => ([0.62, 0.66, 0.60], [0.45, 0.50, 0.45]),
            _ => ([0.50, 0.75, 0.34], [0.29, 0.56, 0.25]),
        }
    }

    /// Paints the whole canvas. `horizon` is the height of the ground in canvas coordinates; only outdoor settings have one.
    pub fn paint(
        self,
        canvas: &mut Canvas,
        ground: Ground,
        horizon: f32,
        accent: Color,
        random: &mut Stream,
    ) {
        let (top, bottom) = self.colors(accent);
        let (half_x, half_y) = canvas.half();
        if Self::INDOORS.contains(&self) {
            return self.paint_indoors(canvas, top, bottom, random);
        }
        let sky_end = if ground == Ground::Air { half_y } else { horizon };
        canvas.paint_rows(|y| mix(top, bottom, (y + half_y) / (sky_end + half_y)));
        self.paint_sky(canvas, sky_end, random);
        if ground != Ground::Air {
            let (near, far) = (self.ground(ground).1, self.ground(ground).0);
            let depth = (half_y - horizon).max(0.01);
            let waves = if ground == Ground::Water { 0.05 } else { 0.02 };
            let seed = random.next() as u32;
            canvas.brush(Frame::WHOLE).fill(
                [-half_x, horizon, half_x, half_y],
                1.0,
                |_, y| horizon - y,
                |x, y| {
                    let t = (y - horizon) / depth;
                    let ripple = noise(x * 6.0, (y - horizon) * 30.0 / (0.3 + t), seed) - 0.5;
                    let color = mix(far, near, t);
                    [color[0] + ripple * waves, color[1] + ripple * waves, color[2] + ripple * waves]
                },
            );
        }
    }

    fn paint_sky(self, canvas: &mut Canvas, sky_end: f32, random: &mut Stream) {
        let (half_x, half_y) = canvas.half();
        let mut brush = canvas.brush(Frame::WHOLE);
        let x = random.between(-0.8, 0.8) * half_x;
        match self {
            Self::Day => {
                brush.glow(x, -half_y * 0.75, 0.6, 0.6, [1.0, 0.98, 0.8]);
                brush.disc(x, -half_y * 0.75, 0.13, [1.0, 0.95, 0.62]);
                for _ in 0..2 + random.below(3) {
                    let (cx, cy) = (random.between(-half_x, half_x), random.between(-half_y, sky_end * 0.4));
                    for puff in 0..4 {
                        let offset = puff as f32 * 0.13 - 0.2;
                        let radius = random.between(0.07, 0.14);
                        brush.ellipse(cx + offset, cy, radius * 1.3, radius * 0.8, 0.0, [1.0, 1.0, 1.0]);
                    }
                }
            }
            Self::Dusk => {
                brush.glow(x, sky_end, 1.1, 0.7, [1.0, 0.80, 0.42]);
                brush.disc(x, sky_end - 0.06, 0.17, [1.0, 0.88, 0.60]);
            }
            Self::Night => {
                for _ in 0..40 {
                    let size = random.between(0.006, 0.018);
                    let place = (random.between(-half_x, half_x), random.between(-half_y, sky_end));
                    brush.disc(place.0, place.1, size, [0.95, 0.95, 0.85]);
                }
                brush.disc(x, -half_y * 0.65, 0.15, [0.96, 0.94, 0.82]);
                brush.disc(x + 0.07, -half_y * 0.65 - 0.03, 0.13, [0.06, 0.08, 0.20]);
            }
            Self::Snow => {
                for _ in 0..60 {
                    let place = (random.between(-half_x, half_x), random.between(-half_y, half_y));
                    brush.disc(place.0, place.1, random.between(0.012, 0.03), [1.0, 1.0, 1.0]);
                }
            }
            _ => {
                let seed = random.next() as u32;
                brush.fill(
                    [-half_x, -half_y, half_x, sky_end],
                    0.5,
                    |_, _| -1.0,
                    |px, py| shade([0.72, 0.74, 0.75], noise(px * 1.2, py * 4.0, seed) * 0.6),
                );
            }
        }
    }

    fn paint_indoors(self, canvas: &mut Canvas, top: Color, bottom: Color, random: &mut Stream) {
        let (half_x, half_y) = canvas.half();
        let seed = random.next() as u32;
        match self {
            Self::Wood => {
                let plank = random.between(0.35, 0.6);
                canvas.paint(|x, y| {
                    let board = (y / plank).floor();
                    let tone = noise(board * 7.3, 0.5, seed) * 0.25 - 0.12;
                    let grain = noise(x * 1.5 + board * 9.0, y * 28.0, seed) - 0.5;
                    let gap = ((y / plank - board) * plank / 0.02).min(1.0);
                    shade(mix(top, bottom, grain + 0.5), tone - (1.0 - gap) * 0.4)
                });
            }
            Self::Paper => {
                let step = random.between(0.18, 0.3);
                canvas.paint(|x, y| {
                    let near = |v: f32| ((v / step).rem_euclid(1.0) - 0.5).abs() > 0.48;
                    if near(x) || near(y) { [0.74, 0.83, 0.90] } else { top }
                });
            }
            _ => {
                let x = random.between(-0.4, 0.4);
                canvas.paint_rows(|y| mix(top, bottom, (y + half_y) / (2.0 * half_y)));
                canvas.brush(Frame::WHOLE).glow(x * half_x, -0.2, 1.5, 0.35, shade(top, 0.5));
            }
        }
    }
}
