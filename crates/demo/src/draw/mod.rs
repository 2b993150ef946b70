//! Drawing of samples: a look (the explicit parameters of one picture) and a concept (what is drawn) become pixels.
//!
//! Things are drawn by a brush in a box of -1 to 1 and repeated `count` times over a setting; scenes and patterns fill the canvas.
mod documents;
mod nature;
mod objects;
pub(crate) mod palette;
mod patterns;
mod raster;
pub(crate) mod setting;
pub(crate) mod table;

use crate::random::Stream;
pub(crate) use raster::Canvas;
use raster::{Brush, Color, Frame};
use setting::{Ground, Setting};

/// The parameters of one picture, resolved to colours and numbers.
pub(crate) struct Look {
    pub main: Color,
    pub accent: Color,
    /// Number of things, stripes, rings, bars: what the concept makes of it.
    pub count: u32,
    pub setting: Setting,
    /// Radians.
    pub turn: f32,
    /// Shift of the subject, -1 to 1.
    pub x: f32,
    /// Shift of the subject, -1 to 1.
    pub y: f32,
    /// 0 (small) to 1 (large).
    pub size: f32,
    /// 0 to 1: chooses between variants of a concept.
    pub style: f32,
    /// 0 to 1: how much small detail there is.
    pub clutter: f32,
}

impl Look {
    /// Draws a concept with this look.
    pub fn draw(&self, concept: &table::Concept, canvas: &mut Canvas, random: &mut Stream) {
        let (draw, standing) = match concept.art {
            table::Art::Scene(draw) => return draw(canvas, self, random),
            table::Art::Thing(draw) => (draw, false),
            table::Art::Standing(draw) => (draw, true),
        };
        let (_, half_y) = canvas.half();
        let horizon = if standing { 0.25 } else { 0.45 } * half_y;
        self.setting.paint(canvas, concept.ground, horizon, self.accent, random);
        self.scatter(canvas, random, standing, |brush, random, _| draw(brush, self, random));
    }

    /// The frame of a single subject.
    fn frame(&self) -> Frame {
        let scale = 0.62 + 0.26 * self.size;
        Frame { x: self.x * 0.25, y: self.y * 0.2, scale, turn: self.turn }
    }

    /// Draws `count` things, each in its own frame. Standing things keep their feet on one line, others fill a loose grid.
    fn scatter(
        &self,
        canvas: &mut Canvas,
        random: &mut Stream,
        standing: bool,
        draw: impl Fn(&mut Brush, &mut Stream, u32),
    ) {
        let (half_x, half_y) = canvas.half();
        let count = self.count.max(1);
        let columns = if standing {
            count.min(4)
        } else {
            ((count as f32 * half_x / half_y).sqrt().round() as u32).clamp(1, count)
        };
        let rows = count.div_ceil(columns);
        for which in 0..count {
            let (row, column) = (which / columns, which % columns);
            let in_row = if row + 1 == rows { count - row * columns } else { columns };
            let (cell_x, cell_y) = (2.0 * half_x / in_row as f32, 2.0 * half_y / rows as f32);
            let room = cell_x.min(cell_y) / 2.0;
            let scale = room * (0.66 + 0.26 * self.size) * random.between(0.92, 1.05);
            let free_x = (cell_x / 2.0 - scale).max(0.0);
            let free_y = (cell_y / 2.0 - scale).max(0.0);
            let jitter = random.between(-0.6, 0.6);
            let x = -half_x + cell_x * (column as f32 + 0.5) + free_x * (0.8 * self.x + 0.2 * jitter);
            let y = if standing {
                // The feet (y = 1 in the thing's own box) stand in the lower part of the ground.
                half_y * (0.80 - 0.26 * (rows - 1 - row) as f32 + 0.06 * self.y) - scale * 0.92
            } else {
                -half_y
                    + cell_y * (row as f32 + 0.5)
                    + free_y * (0.8 * self.y + 0.2 * random.between(-0.6, 0.6))
            };
            let turn = self.turn * if count > 1 { random.between(0.5, 1.2) } else { 1.0 };
            draw(&mut canvas.brush(Frame { x, y, scale, turn }), random, which);
        }
    }
}
