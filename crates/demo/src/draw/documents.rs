//! Charts and cards: what screenshots and slides bring into a web pool.
use super::raster::{Brush, Canvas, Frame, mix, shade};
use super::{Ground, Look};
use crate::random::Stream;
use std::f32::consts::TAU;

const AXIS: [f32; 3] = [0.25, 0.27, 0.30];

/// A sheet with a title line, two axes and grid lines; the chart's own box is (-0.8, -0.6) to (0.9, 0.75), stretched to the canvas.
fn axes(canvas: &mut Canvas, look: &Look, random: &mut Stream) -> (f32, f32) {
    let (half_x, half_y) = canvas.half();
    let dark = look.setting.is_dark();
    let sheet = if dark { [0.13, 0.14, 0.18] } else { mix([0.99, 0.99, 0.98], look.accent, 0.06) };
    let line = if dark { [0.75, 0.76, 0.80] } else { AXIS };
    canvas.paint_rows(|_| sheet);
    let mut brush = canvas.brush(Frame::WHOLE);
    let width = random.between(0.5, 1.1);
    brush.rect(
        [-width * 0.6, -half_y * 0.90, width * 0.6, -half_y * 0.90 + 0.08],
        0.02,
        mix(line, sheet, 0.2),
    );
    for grid in 0..5 {
        let y = (0.75 - 1.3 * grid as f32 / 4.0) * half_y;
        brush.line((-0.8 * half_x, y), (0.9 * half_x, y), 0.01, mix(line, sheet, 0.75));
        brush.rect([-0.93 * half_x, y - 0.02, -0.84 * half_x, y + 0.02], 0.01, mix(line, sheet, 0.4));
    }
    brush.line((-0.8 * half_x, 0.75 * half_y), (0.9 * half_x, 0.75 * half_y), 0.025, line);
    brush.line((-0.8 * half_x, -0.65 * half_y), (-0.8 * half_x, 0.75 * half_y), 0.025, line);
    (half_x, half_y)
}

pub(super) fn bar_chart(canvas: &mut Canvas, look: &Look, random: &mut Stream) {
    let (half_x, half_y) = axes(canvas, look, random);
    let bars = look.count + 2;
    let step = 1.65 * half_x / bars as f32;
    let mut brush = canvas.brush(Frame::WHOLE);
    for bar in 0..bars {
        let x = -0.77 * half_x + step * (bar as f32 + 0.5);
        let tall = random.between(0.15, 1.3) * half_y;
        let pair = look.style > 0.5;
        let half = step * if pair { 0.19 } else { 0.34 };
        let left = if pair { x - half * 1.05 } else { x };
        brush.rect([left - half, 0.74 * half_y - tall, left + half, 0.74 * half_y], 0.0, look.main);
        if pair {
            let other = random.between(0.15, 1.2) * half_y;
            brush.rect([x, 0.74 * half_y - other, x + half * 2.1, 0.74 * half_y], 0.0, look.accent);
        }
        brush.rect(
            [x - step * 0.2, 0.81 * half_y, x + step * 0.2, 0.81 * half_y + 0.04],
            0.01,
            mix(AXIS, [1.0; 3], 0.4),
        );
    }
}

pub(super) fn line_chart(canvas: &mut Canvas, look: &Look, random: &mut Stream) {
    let (half_x, half_y) = axes(canvas, look, random);
    let mut brush = canvas.brush(Frame::WHOLE);
    for series in 0..look.count.min(3) {
        let color = [look.main, look.accent, mix(look.main, AXIS, 0.6)][series as usize];
        let mut height = random.between(0.2, 0.8);
        let trend = random.between(-0.06, 0.06);
        let mut last: Option<(f32, f32)> = None;
        for point in 0..9 {
            let at = ((-0.74 + 1.58 * point as f32 / 8.0) * half_x, (0.70 - 1.25 * height) * half_y);
            if let Some(last) = last {
                brush.line(last, at, 0.035, color);
            }
            if look.style > 0.4 {
                brush.disc(at.0, at.1, 0.04, color);
            }
            last = Some(at);
            height = (height + trend + random.between(-0.16, 0.16)).clamp(0.03, 1.0);
        }
    }
}

pub(super) fn pie_chart(canvas: &mut Canvas, look: &Look, random: &mut Stream) {
    let (half_x, half_y) = canvas.half();
    let dark = look.setting.is_dark();
    let sheet = if dark { [0.13, 0.14, 0.18] } else { [0.98, 0.98, 0.97] };
    canvas.paint_rows(|_| sheet);
    let slices = look.count + 2;
    let weights: Vec<f32> = (0..slices).map(|_| random.between(0.35, 1.6)).collect();
    let total: f32 = weights.iter().sum();
    let mut from = look.turn - TAU / 4.0;
    let wide = half_x > 1.15;
    let (x, y) = if wide { (-half_x * 0.28, 0.0) } else { (0.0, -half_y * 0.12) };
    let radius = 0.62 + 0.18 * look.size;
    let mut brush = canvas.brush(Frame { x, y, scale: 1.0, turn: 0.0 });
    for (place, weight) in weights.iter().enumerate() {
        let share = TAU * weight / total;
        let t = place as f32 / (slices - 1) as f32;
        let color = shade(mix(look.main, look.accent, t), if place % 2 == 0 { 0.0 } else { 0.25 });
        // A slice wider than half a turn is drawn as two: the wedge of `slice` is convex.
        for half in 0..2 {
            let start = from + share / 2.0 * half as f32;
            brush.slice(0.0, 0.0, radius, start, start + share / 2.0 + 0.004, color);
        }
        let (sin, cos) = from.sin_cos();
        brush.line((0.0, 0.0), (cos * radius, sin * radius), 0.02, sheet);
        from += share;
        let key = if wide {
            (half_x * 1.0, -0.5 + 0.16 * place as f32)
        } else {
            (-0.8 + 0.3 * place as f32, half_y * 1.02)
        };
        brush.rect([key.0 - 0.05, key.1 - 0.05, key.0 + 0.05, key.1 + 0.05], 0.01, color);
        if wide {
            brush.rect([key.0 + 0.1, key.1 - 0.02, key.0 + 0.32, key.1 + 0.02], 0.01, mix(AXIS, sheet, 0.3));
        }
    }
    if look.style > 0.55 {
        brush.disc(0.0, 0.0, radius * 0.45, sheet);
    }
}

pub(super) fn playing_card(brush: &mut Brush, look: &Look, random: &mut Stream) {
    brush.rect([-0.60, -0.90, 0.68, 0.97], 0.1, [0.22, 0.22, 0.24]);
    brush.rect([-0.66, -0.95, 0.62, 0.92], 0.1, [0.99, 0.99, 0.97]);
    // Diamonds and hearts are red, spades and clubs black.
    let black = look.main[0] < 0.3;
    let suit = if black { 2 } else { 0 } + u32::from(look.style > 0.5);
    let pip = |brush: &mut Brush, x: f32, y: f32, s: f32| match suit {
        0 => brush.polygon(&[(x, y - s), (x + s * 0.75, y), (x, y + s), (x - s * 0.75, y)], look.main),
        1 | 2 => {
            let up = if suit == 1 { 1.0 } else { -1.0 };
            for side in [-1.0, 1.0] {
                brush.disc(x + side * s * 0.42, y - up * s * 0.28, s * 0.46, look.main);
            }
            brush.polygon(
                &[(x - s * 0.84, y - up * s * 0.1), (x + s * 0.84, y - up * s * 0.1), (x, y + up * s)],
                look.main,
            );
            if suit == 2 {
                brush.polygon(&[(x, y), (x + s * 0.3, y + s), (x - s * 0.3, y + s)], look.main);
            }
        }
        _ => {
            for (dx, dy) in [(0.0, -0.5), (-0.48, 0.15), (0.48, 0.15)] {
                brush.disc(x + dx * s, y + dy * s, s * 0.42, look.main);
            }
            brush.polygon(&[(x, y), (x + s * 0.3, y + s), (x - s * 0.3, y + s)], look.main);
        }
    };
    let rows = 1 + random.below(4) as u32;
    for row in 0..rows {
        let y = -0.02 + (row as f32 - (rows - 1) as f32 / 2.0) * 0.42;
        if rows == 1 {
            pip(brush, -0.02, y, 0.36);
        } else {
            pip(brush, -0.28, y, 0.15);
            pip(brush, 0.24, y, 0.15);
        }
    }
    pip(brush, -0.52, -0.79, 0.09);
    pip(brush, 0.48, 0.76, 0.09);
}

pub(super) fn calendar(canvas: &mut Canvas, look: &Look, random: &mut Stream) {
    look.setting.paint(canvas, Ground::Air, 1.0, look.accent, random);
    let mut brush = canvas.brush(look.frame());
    brush.rect([-0.86, -0.82, 0.96, 0.98], 0.08, [0.22, 0.20, 0.20]);
    brush.rect([-0.92, -0.88, 0.90, 0.92], 0.08, [0.99, 0.99, 0.97]);
    brush.rect([-0.92, -0.88, 0.90, -0.48], 0.08, look.main);
    for hole in [-0.5, 0.0, 0.5] {
        brush.rect([hole - 0.04, -1.0, hole + 0.03, -0.74], 0.03, [0.75, 0.76, 0.78]);
    }
    let (first, marked) = (random.below(7) as i32, random.below(28) as i32);
    for day in 0..30 {
        let place = day + first;
        let (x, y) = (-0.76 + 0.25 * (place % 7) as f32, -0.30 + 0.21 * (place / 7) as f32);
        if day == marked || (look.clutter > 0.5 && day == (marked + 9) % 30) {
            brush.disc(x, y, 0.105, look.accent);
        }
        let tone = if place % 7 > 4 { shade(look.main, 0.2) } else { [0.35, 0.36, 0.4] };
        brush.rect([x - 0.06, y - 0.045, x + 0.06, y + 0.045], 0.02, tone);
    }
}
