//! A small anti-aliased rasteriser: shapes are signed distances, evaluated only inside their bounding box. It exists so that the
//! demo needs no drawing crate; it knows just what forty concepts need.
//!
//! Canvas coordinates: the centre is (0, 0), y points down, the shorter side spans -1 to 1.

/// Red, green, blue, each 0 to 1 (values outside are clamped when the pixels are taken).
pub(crate) type Color = [f32; 3];

/// The length of the vector (self, other). `f32::hypot` guards against overflow that cannot happen here and took 6 % of all drawing.
pub(crate) trait Norm {
    fn norm(self, other: Self) -> Self;
}

impl Norm for f32 {
    fn norm(self, other: Self) -> Self {
        (self * self + other * other).sqrt()
    }
}

/// A bounding box: left, top, right, bottom.
pub(crate) type Bounds = [f32; 4];

/// How a shape is filled.
#[derive(Clone, Copy)]
pub(crate) enum Ink {
    /// One colour.
    Flat(Color),
    /// From the first colour at the left of the shape's bounds to the second at the right.
    Across(Color, Color),
}

impl From<Color> for Ink {
    fn from(color: Color) -> Self {
        Self::Flat(color)
    }
}

impl Ink {
    fn at(self, x: f32, bounds: Bounds) -> Color {
        match self {
            Self::Flat(color) => color,
            Self::Across(left, right) => mix(left, right, (x - bounds[0]) / (bounds[2] - bounds[0])),
        }
    }
}

/// From `a` (0) to `b` (1).
pub(crate) fn mix(a: Color, b: Color, t: f32) -> Color {
    let t = t.clamp(0.0, 1.0);
    [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t]
}

/// Towards white for positive `by`, towards black for negative, by that share.
pub(crate) fn shade(color: Color, by: f32) -> Color {
    if by >= 0.0 { mix(color, [1.0; 3], by) } else { mix(color, [0.0; 3], -by) }
}

/// A smooth step from 0 at `low` to 1 at `high`.
pub(crate) fn smooth(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// An image being drawn.
#[derive(Default)]
pub(crate) struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<Color>,
}

/// Where a brush draws: its own coordinates are turned, scaled and shifted into the canvas's.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    pub x: f32,
    pub y: f32,
    pub scale: f32,
    /// Radians, clockwise on the screen.
    pub turn: f32,
}

impl Frame {
    pub const WHOLE: Self = Self { x: 0.0, y: 0.0, scale: 1.0, turn: 0.0 };
}

impl Canvas {
    /// Starts a new image of this size, keeping the memory of the last one. Its pixels are whatever was there: paint a ground first.
    pub fn resize(&mut self, width: u32, height: u32) {
        self.width = width as usize;
        self.height = height as usize;
        self.pixels.resize(self.width * self.height, [0.0; 3]);
    }

    /// Half of the width and of the height in canvas coordinates; the smaller one is 1.
    pub fn half(&self) -> (f32, f32) {
        let short = self.width.min(self.height) as f32;
        (self.width as f32 / short, self.height as f32 / short)
    }

    /// The side of a pixel in canvas coordinates.
    pub fn unit(&self) -> f32 {
        2.0 / self.width.min(self.height) as f32
    }

    /// Sets every pixel.
    pub fn paint(&mut self, color: impl Fn(f32, f32) -> Color) {
        let unit = self.unit();
        let (half_x, half_y) = self.half();
        for (row, line) in self.pixels.chunks_mut(self.width).enumerate() {
            let y = (row as f32 + 0.5) * unit - half_y;
            for (column, pixel) in line.iter_mut().enumerate() {
                *pixel = color((column as f32 + 0.5) * unit - half_x, y);
            }
        }
    }

    /// Sets every pixel to a colour that depends on its height alone (a sky): much cheaper than [`Canvas::paint`].
    pub fn paint_rows(&mut self, color: impl Fn(f32) -> Color) {
        let unit = self.unit();
        let (_, half_y) = self.half();
        for (row, line) in self.pixels.chunks_mut(self.width).enumerate() {
            line.fill(color((row as f32 + 0.5) * unit - half_y));
        }
    }

    /// A brush that draws inside `frame`.
    pub fn brush(&mut self, frame: Frame) -> Brush<'_> {
        Brush { canvas: self, frame }
    }

    /// The pixels as 8-bit RGB, row by row.
    pub fn to_rgb(&self, into: &mut Vec<u8>) {
        into.resize(self.pixels.len() * 3, 0);
        for (byte, value) in into.iter_mut().zip(self.pixels.as_flattened()) {
            // The cast itself stops at 0 and 255.
            *byte = (value * 255.0 + 0.5) as u8;
        }
    }
}

/// Draws shapes in the coordinates of a frame.
pub(crate) struct Brush<'a> {
    canvas: &'a mut Canvas,
    frame: Frame,
}

impl Brush<'_> {
    /// Fills where `distance` (negative inside, in the frame's units) is negative, within `bounds`, blended by `alpha`.
    pub fn fill(
        &mut self,
        bounds: Bounds,
        alpha: f32,
        distance: impl Fn(f32, f32) -> f32,
        color: impl Fn(f32, f32) -> Color,
    ) {
        let Frame { x: shift_x, y: shift_y, scale, turn } = self.frame;
        let (sin, cos) = turn.sin_cos();
        let unit = self.canvas.unit();
        let soft = unit / scale;
        let (half_x, half_y) = self.canvas.half();
        // The box of the four turned corners, one soft edge wider.
        let (mut low, mut high) = ([f32::MAX; 2], [f32::MIN; 2]);
        for (x, y) in [
            (bounds[0] - soft, bounds[1] - soft),
            (bounds[2] + soft, bounds[1] - soft),
            (bounds[0] - soft, bounds[3] + soft),
            (bounds[2] + soft, bounds[3] + soft),
        ] {
            let corner = [
                ((cos * x - sin * y) * scale + shift_x + half_x) / unit,
                ((sin * x + cos * y) * scale + shift_y + half_y) / unit,
            ];
            for axis in 0..2 {
                low[axis] = low[axis].min(corner[axis]);
                high[axis] = high[axis].max(corner[axis]);
            }
        }
        let clip = |value: f32, most: usize| value.clamp(0.0, most as f32) as usize;
        let (left, right) = (clip(low[0], self.canvas.width), clip(high[0].ceil(), self.canvas.width));
        let (top, bottom) = (clip(low[1], self.canvas.height), clip(high[1].ceil(), self.canvas.height));
        let sharp = 1.0 / soft;
        for row in top..bottom {
            let dy = (row as f32 + 0.5) * unit - half_y - shift_y;
            let line = &mut self.canvas.pixels[row * self.canvas.width..][left..right.max(left)];
            for (column, pixel) in line.iter_mut().enumerate() {
                let dx = ((column + left) as f32 + 0.5) * unit - half_x - shift_x;
                let x = (cos * dx + sin * dy) / scale;
                let y = (cos * dy - sin * dx) / scale;
                let cover = (0.5 - distance(x, y) * sharp).clamp(0.0, 1.0) * alpha;
                if cover > 0.0 {
                    *pixel = mix(*pixel, color(x, y), cover);
                }
            }
        }
    }

    fn ink(&mut self, bounds: Bounds, ink: Ink, distance: impl Fn(f32, f32) -> f32) {
        self.fill(bounds, 1.0, distance, |x, _| ink.at(x, bounds));
    }

    /// A disc.
    pub fn disc(&mut self, x: f32, y: f32, radius: f32, ink: impl Into<Ink>) {
        let bounds = [x - radius, y - radius, x + radius, y + radius];
        self.ink(bounds, ink.into(), |px, py| (px - x).norm(py - y) - radius);
    }

    /// A disc of light that fades to nothing at its rim.
    pub fn glow(&mut self, x: f32, y: f32, radius: f32, strength: f32, color: Color) {
        let bounds = [x - radius, y - radius, x + radius, y + radius];
        // A slanted "distance" makes the cover itself the fading.
        let unit = self.canvas.unit() / self.frame.scale;
        self.fill(
            bounds,
            1.0,
            |px, py| {
                let away = 1.0 - ((px - x).norm(py - y) / radius).min(1.0);
                (0.5 - away * away * strength) * unit
            },
            |_, _| color,
        );
    }

    /// A circle's line, `width` wide around `radius`.
    pub fn ring(&mut self, x: f32, y: f32, radius: f32, width: f32, ink: impl Into<Ink>) {
        let outer = radius + width / 2.0;
        let bounds = [x - outer, y - outer, x + outer, y + outer];
        self.ink(bounds, ink.into(), |px, py| ((px - x).norm(py - y) - radius).abs() - width / 2.0);
    }

    /// A slice of a disc between two angles (radians, clockwise from the right, `from` < `to`, at most a full turn).
    pub fn slice(&mut self, x: f32, y: f32, radius: f32, from: f32, to: f32, ink: impl Into<Ink>) {
        let bounds = [x - radius, y - radius, x + radius, y + radius];
        let (middle, half) = ((from + to) / 2.0, (to - from) / 2.0);
        let (sin, cos) = middle.sin_cos();
        let (edge_sin, edge_cos) = half.sin_cos();
        self.ink(bounds, ink.into(), move |px, py| {
            // Turn the middle of the slice to the right and fold the lower half up.
            let (dx, dy) = (px - x, py - y);
            let (along, across) = (cos * dx + sin * dy, (cos * dy - sin * dx).abs());
            let wedge = across * edge_cos - along * edge_sin;
            (dx.norm(dy) - radius).max(wedge)
        });
    }

    /// An ellipse with its own turn; the distance is approximate, right at the rim.
    pub fn ellipse(&mut self, x: f32, y: f32, rx: f32, ry: f32, turn: f32, ink: impl Into<Ink>) {
        let reach = rx.max(ry);
        let bounds = [x - reach, y - reach, x + reach, y + reach];
        let (sin, cos) = turn.sin_cos();
        self.ink(bounds, ink.into(), move |px, py| {
            let (dx, dy) = (px - x, py - y);
            let (u, v) = ((cos * dx + sin * dy) / rx, (cos * dy - sin * dx) / ry);
            let norm = u.norm(v);
            let slope = (u / rx).norm(v / ry);
            if slope < 1e-6 { -rx.min(ry) } else { norm * (norm - 1.0) / slope }
        });
    }

    /// An upright rectangle with rounded corners (radius 0: sharp).
    pub fn rect(&mut self, bounds: Bounds, radius: f32, ink: impl Into<Ink>) {
        let (cx, cy) = ((bounds[0] + bounds[2]) / 2.0, (bounds[1] + bounds[3]) / 2.0);
        let (hx, hy) = ((bounds[2] - bounds[0]) / 2.0 - radius, (bounds[3] - bounds[1]) / 2.0 - radius);
        self.ink(bounds, ink.into(), move |x, y| {
            let (dx, dy) = ((x - cx).abs() - hx, (y - cy).abs() - hy);
            dx.max(0.0).norm(dy.max(0.0)) + dx.max(dy).min(0.0) - radius
        });
    }

    /// A line with round ends.
    pub fn line(&mut self, from: (f32, f32), to: (f32, f32), width: f32, ink: impl Into<Ink>) {
        let half = width / 2.0;
        let bounds = [
            from.0.min(to.0) - half,
            from.1.min(to.1) - half,
            from.0.max(to.0) + half,
            from.1.max(to.1) + half,
        ];
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = (dx * dx + dy * dy).max(1e-12);
        self.ink(bounds, ink.into(), move |x, y| {
            let (px, py) = (x - from.0, y - from.1);
            let along = ((px * dx + py * dy) / length).clamp(0.0, 1.0);
            (px - along * dx).norm(py - along * dy) - half
        });
    }

    /// A closed polygon, convex or not (even-odd rule). At least three corners.
    pub fn polygon(&mut self, corners: &[(f32, f32)], ink: impl Into<Ink>) {
        let mut bounds = [f32::MAX, f32::MAX, f32::MIN, f32::MIN];
        for &(x, y) in corners {
            bounds = [bounds[0].min(x), bounds[1].min(y), bounds[2].max(x), bounds[3].max(y)];
        }
        self.ink(bounds, ink.into(), |x, y| polygon_distance(corners, x, y));
    }

    /// A star with `points` points, the first one up.
    pub fn star(&mut self, x: f32, y: f32, outer: f32, inner: f32, points: u32, ink: impl Into<Ink>) {
        let corners: Vec<(f32, f32)> = (0..points * 2)
            .map(|corner| {
                let radius = if corner % 2 == 0 { outer } else { inner };
                let (sin, cos) = (std::f32::consts::PI * corner as f32 / points as f32).sin_cos();
                (x + radius * sin, y - radius * cos)
            })
            .collect();
        self.polygon(&corners, ink);
    }
}

fn polygon_distance(corners: &[(f32, f32)], x: f32, y: f32) -> f32 {
    let (mut nearest, mut inside) = (f32::MAX, false);
    let mut last = corners[corners.len() - 1];
    for &corner in corners {
        let (ex, ey) = (last.0 - corner.0, last.1 - corner.1);
        let (px, py) = (x - corner.0, y - corner.1);
        let along = ((px * ex + py * ey) / (ex * ex + ey * ey).max(1e-12)).clamp(0.0, 1.0);
        let (dx, dy) = (px - along * ex, py - along * ey);
        nearest = nearest.min(dx * dx + dy * dy);
        if (corner.1 > y) != (last.1 > y) && x < corner.0 + ex * (y - corner.1) / ey {
            inside = !inside;
        }
        last = corner;
    }
    if inside { -nearest.sqrt() } else { nearest.sqrt() }
}

/// Smooth random heights in 0..1 over the plane, one bump a unit (bilinear value noise).
pub(crate) fn noise(x: f32, y: f32, seed: u32) -> f32 {
    // Not `floor`: without SSE4.1 it is a call.
    let floor = |t: f32| t as i32 - i32::from(t < 0.0);
    let (column, row) = (floor(x), floor(y));
    let corner = |dx: i32, dy: i32| {
        let mut h = (column + dx) as u32 ^ ((row + dy) as u32).wrapping_mul(0x85eb_ca6b) ^ seed;
        h = (h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d);
        h = (h ^ (h >> 12)).wrapping_mul(0x297a_2d39);
        ((h ^ (h >> 15)) >> 8) as f32 / (1u32 << 24) as f32
    };
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (u, v) = (ease(x - column as f32), ease(y - row as f32));
    let top = corner(0, 0) + (corner(1, 0) - corner(0, 0)) * u;
    let bottom = corner(0, 1) + (corner(1, 1) - corner(0, 1)) * u;
    top + (bottom - top) * v
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(draw: impl Fn(&mut Brush), frame: Frame) -> f32 {
        let mut canvas = Canvas::default();
        canvas.resize(200, 300);
        canvas.paint(|_, _| [0.0; 3]);
        draw(&mut canvas.brush(frame));
        canvas.pixels.iter().map(|pixel| pixel[0]).sum::<f32>() * 1e-4
    }

    #[test]
    fn shapes_cover_their_area_wherever_the_frame_puts_them() {
        use std::f32::consts::PI;
        let white = [1.0; 3];
        for frame in [Frame::WHOLE, Frame { x: 0.1, y: -0.3, scale: 0.8, turn: 0.7 }] {
            let square = frame.scale * frame.scale;
            let check = |name: &str, expected: f32, draw: &dyn Fn(&mut Brush)| {
                let found = area(draw, frame);
                assert!(
                    (found - expected * square).abs() < 0.02 * expected,
                    "{name}: {found} for {expected}"
                );
            };
            check("disc", PI * 0.25, &|b| b.disc(0.1, 0.1, 0.5, white));
            check("ring", PI * 2.0 * 0.5 * 0.1, &|b| b.ring(0.0, 0.0, 0.5, 0.1, white));
            check("rect", 0.8 * 0.6, &|b| b.rect([-0.4, -0.3, 0.4, 0.3], 0.0, white));
            check("ellipse", PI * 0.6 * 0.3, &|b| b.ellipse(0.0, 0.0, 0.6, 0.3, 0.5, white));
            check("line", 0.8 * 0.1 + PI * 0.0025, &|b| b.line((-0.4, 0.0), (0.4, 0.0), 0.1, white));
            check("triangle", 0.32, &|b| b.polygon(&[(-0.4, 0.4), (0.4, 0.4), (0.0, -0.4)], white));
            check("slice", PI * 0.25 / 4.0, &|b| b.slice(0.0, 0.0, 0.5, 0.3, 0.3 + PI / 2.0, white));
        }
    }

    #[test]
    fn shapes_outside_the_canvas_are_cut_and_never_panic() {
        let far = Frame { x: 50.0, y: -50.0, scale: 0.5, turn: 1.0 };
        assert_eq!(area(|b| b.disc(0.0, 0.0, 1.0, [1.0; 3]), far), 0.0);
        assert!(area(|b| b.disc(-1.0, -1.5, 0.5, [1.0; 3]), Frame::WHOLE) > 0.0);
    }
}
