//! Concepts that fill the whole picture: cloth, walls, floors, signs. Each is one function of the look and a stream for details.
use super::raster::{Canvas, Color, Frame, Norm, mix, noise, shade, smooth};
use super::{Ground, Look};
use crate::random::Stream;
use std::f32::consts::{PI, TAU};

/// 0 left of an edge, 1 right of it, soft over one pixel.
fn edge(distance: f32, unit: f32) -> f32 {
    (distance / unit + 0.5).clamp(0.0, 1.0)
}

/// How far `x` is inside the first half of its unit period, negative in the second half: the distance of stripes.
fn stripe(x: f32) -> f32 {
    0.25 - ((x - x.floor()) - 0.25).abs().min(((x - x.floor()) - 1.25).abs())
}

/// Turned and scaled coordinates for a whole-picture pattern.
fn turned(turn: f32, scale: f32) -> impl Fn(f32, f32) -> (f32, f32) {
    let (sin, cos) = turn.sin_cos();
    move |x, y| ((cos * x + sin * y) / scale, (cos * y - sin * x) / scale)
}

pub(super) fn flag(canvas: &mut Canvas, look: &Look, random: &mut Stream) {
    look.setting.paint(canvas, Ground::Air, 1.0, look.accent, random);
    let stripes = look.count as f32;
    let third = if look.style > 0.66 { [0.97, 0.97, 0.95] } else { look.main };
    let (phase, upright) = (random.between(0.0, TAU), look.style < 0.33);
    let wave = |x: f32| 0.07 * (x * 3.2 + phase).sin() * (x + 0.95) / 1.8;
    let mut brush = canvas.brush(look.frame());
    brush.rect([-1.0, -0.85, -0.93, 1.6], 0.02, [0.55, 0.42, 0.30]);
    brush.disc(-0.965, -0.88, 0.06, [0.88, 0.72, 0.30]);
    brush.fill(
        [-0.93, -0.85, 0.98, 0.7],
        1.0,
        |x, y| ((x - 0.02).abs() - 0.95).max((y + 0.08 - wave(x)).abs() - 0.62),
        |x, y| {
            let t = if upright { (x + 0.93) / 1.9 } else { (y - wave(x) + 0.70) / 1.24 };
            let band = (t * stripes).floor().clamp(0.0, stripes - 1.0) as u32;
            let color = [look.main, look.accent, third][(band % 3) as usize];
            shade(color, 0.18 * (x * 3.2 + phase).cos() * (x + 0.95) / 1.9)
        },
    );
}

pub(super) fn chequerboard(canvas: &mut Canvas, look: &Look, _: &mut Stream) {
    let scale = 0.24 + 0.2 * look.size;
    let (place, unit) = (turned(look.turn, scale), canvas.unit() / scale);
    canvas.paint(|x, y| {
        let (u, v) = place(x, y);
        let (a, b) = (edge(stripe(u / 2.0) * 2.0, unit), edge(stripe(v / 2.0) * 2.0, unit));
        mix(look.accent, look.main, a * b + (1.0 - a) * (1.0 - b))
    });
}

pub(super) fn bricks(canvas: &mut Canvas, look: &Look, random: &mut Stream) {
    let seed = random.next() as u32;
    let height = 0.16 + 0.08 * look.size;
    let mortar = mix([0.82, 0.80, 0.76], look.accent, 0.15);
    canvas.paint(|x, y| {
        let row = ((y + 7.0) / height).floor();
        let shift = if row as i64 % 2 == 0 { 0.0 } else { 0.5 };
        let along = (x + 7.0) / (height * 2.3) + shift;
        let brick = along.floor();
        let (u, v) = ((along - brick) * height * 2.3, (y + 7.0) - row * height);
        let joint = u.min(height * 2.3 - u).min(v).min(height - v);
        let tone = noise(brick * 5.7, row * 3.1, seed) * 0.5 - 0.28;
        let grit = noise(x * 26.0, y * 26.0, seed) * 0.16 - 0.08;
        mix(mortar, shade(look.main, tone + grit), smooth(0.008, 0.024, joint))
    });
}

pub(super) fn tiles(canvas: &mut Canvas, look: &Look, random: &mut Stream) {
    let (seed, scale) = (random.next() as u32, 0.26 + 0.16 * look.size);
    let (place, unit) = (turned(look.turn, scale), canvas.unit() / scale);
    let grout = [0.93, 0.92, 0.88];
    canvas.paint(|x, y| {
        let (u, v) = place(x, y);
        let (column, row) = (u.floor(), v.floor());
        let (a, b) = (u - column - 0.5, v - row - 0.5);
        let chance = noise(column * 3.7 + 0.5, row * 5.3 + 0.5, seed);
        let (ground, motif) = if chance > 0.5 { (look.main, look.accent) } else { (look.accent, look.main) };
        let distance = if look.style < 0.34 {
            (a.norm(b) - 0.36).abs() - 0.07
        } else if look.style < 0.67 {
            a.abs() + b.abs() - 0.34
        } else {
            (a + 0.5).norm(b + 0.5).min((a - 0.5).norm(b - 0.5)) - 0.45
        };
        let tile = mix(shade(motif, 0.1), shade(ground, chance * 0.3 - 0.15), edge(distance, unit));
        mix(grout, tile, edge(0.46 - a.abs().max(b.abs()), unit))
    });
}

pub(super) fn spiral(canvas: &mut Canvas, look: &Look, _: &mut Stream) {
    let (arms, pitch) = (look.count as f32, 0.3 + 0.25 * look.size);
    let (cx, cy, hand) = (look.x * 0.5, look.y * 0.5, if look.style < 0.5 { 1.0 } else { -1.0 });
    let unit = canvas.unit();
    canvas.paint(|x, y| {
        let (dx, dy) = (x - cx, y - cy);
        let radius = dx.norm(dy);
        let wave = stripe(radius / pitch + hand * arms * (dy.atan2(dx) + look.turn) / TAU);
        let slope = (1.0 / pitch).norm(arms / TAU / radius.max(0.02));
        mix(look.accent, shade(look.main, 0.25 - radius * 0.3), edge(wave / slope, unit))
    });
}

pub(super) fn target(canvas: &mut Canvas, look: &Look, random: &mut Stream) {
    look.setting.paint(canvas, Ground::Air, 1.0, look.accent, random);
    let rings = look.count + 3;
    let mut brush = canvas.brush(look.frame());
    brush.disc(0.05, 0.07, 0.94, shade(look.setting.colors(look.accent).1, -0.3));
    for ring in 0..rings {
        let radius = 0.92 * (rings - ring) as f32 / rings as f32;
        let color = if ring % 2 == 0 { look.main } else { look.accent };
        brush.disc(0.0, 0.0, radius, color);
    }
    if look.style > 0.6 {
        let (x, y) = (random.between(-0.3, 0.3), random.between(-0.3, 0.3));
        brush.line((x, y), (x + 0.7, y - 0.6), 0.05, [0.36, 0.25, 0.16]);
        brush.polygon(&[(x + 0.62, y - 0.63), (x + 0.95, y - 0.75), (x + 0.76, y - 0.48)], [0.9, 0.9, 0.9]);
    }
}

pub(super) fn honeycomb(canvas: &mut Canvas, look: &Look, random: &mut Stream) {
    let (seed, scale) = (random.next() as u32, 0.13 + 0.07 * look.size);
    let (place, unit) = (turned(look.turn, scale), canvas.unit() / scale);
    let wall = shade(look.main, -0.45);
    canvas.paint(|x, y| {
        let (u, v) = place(x, y);
        // The nearer of the centres of two interleaved grids is the centre of the hexagon.
        let (w, h) = (3f32.sqrt(), 3.0);
        let near = |ox: f32, oy: f32| {
            let (cx, cy) = (((u - ox) / w).round() * w + ox, ((v - oy) / h).round() * h + oy);
            (cx, cy, (u - cx).norm(v - cy))
        };
        let (a, b) = (near(0.0, 0.0), near(w / 2.0, h / 2.0));
        let (cx, cy, away) = if a.2 < b.2 { a } else { b };
        let (dx, dy) = ((u - cx).abs(), (v - cy).abs());
        let inside = w / 2.0 - dx.max(dx * 0.5 + dy * 0.866);
        let tone = noise(cx * 1.9, cy * 1.7, seed);
        let filled = if tone > 0.62 { look.accent } else { look.main };
        mix(wall, shade(filled, 0.28 - away * 0.35 + (tone - 0.5) * 0.25), edge(inside - 0.1, unit))
    });
}

pub(super) fn zigzag(canvas: &mut Canvas, look: &Look, _: &mut Stream) {
    let scale = 0.3 + 0.3 * look.size;
    let (place, unit) = (turned(look.turn, scale), canvas.unit() / scale);
    let third = [0.97, 0.96, 0.92];
    canvas.paint(|x, y| {
        let (u, v) = place(x, y);
        let t = v + (u - u.floor() - 0.5).abs() * 1.1;
        let colors: [Color; 4] = [look.main, third, look.accent, third];
        let band = (t * 2.0).floor();
        let next = colors[(band as i64 + 1).rem_euclid(4) as usize];
        let this = colors[(band as i64).rem_euclid(4) as usize];
        mix(this, next, edge((t * 2.0 - band - 1.0) / 2.0 + unit * 0.5, unit * 1.2))
    });
}

pub(super) fn gradient(canvas: &mut Canvas, look: &Look, _: &mut Stream) {
    let (top, bottom) = (look.main, mix(look.accent, [1.0; 3], 0.55));
    let tilt = look.turn.sin() * 0.3;
    canvas.paint(|x, y| mix(top, bottom, smooth(-1.2, 1.2, y + tilt * x)));
}

pub(super) fn plaid(canvas: &mut Canvas, look: &Look, random: &mut Stream) {
    let scale = 0.6 + 0.35 * look.size;
    let (place, unit) = (turned(look.turn, scale), canvas.unit() / scale);
    let thin = random.between(0.02, 0.045);
    canvas.paint(|x, y| {
        let (u, v) = place(x, y);
        let bands = |t: f32| {
            let wide = edge(stripe(t), unit);
            let line = edge(thin - ((t - 0.75).rem_euclid(1.0) - 0.5).abs().mul_add(-1.0, 0.5), unit);
            (wide, line)
        };
        let ((a, line_a), (b, line_b)) = (bands(u), bands(v));
        let base = mix(shade(look.main, 0.35), look.main, 0.5 * (a + b));
        let crossed = mix(base, look.accent, 0.45 * a * b);
        let weave = 0.05 * ((u - v) * 70.0).sin();
        shade(mix(crossed, [0.98, 0.97, 0.9], 0.6 * line_a.max(line_b)), weave)
    });
}

pub(super) fn ocean(canvas: &mut Canvas, look: &Look, random: &mut Stream) {
    let (half_x, half_y) = canvas.half();
    look.setting.paint(canvas, Ground::Water, -half_y * 0.25, look.accent, random);
    let rows = look.count + 4;
    let dim = match look.setting.is_dark() {
        true => -0.55,
        false => 0.0,
    };
    for row in 0..rows {
        let t = row as f32 / rows as f32;
        let level = -half_y * 0.2 + (half_y * 1.25) * t * (0.6 + 0.4 * t) / 0.98;
        let (length, height) = (0.35 + 0.5 * t, 0.05 + 0.1 * t * (0.6 + look.size));
        let phase = random.between(0.0, 1.0);
        let color = shade(mix(look.accent, look.main, t), dim + 0.35 - 0.45 * t);
        let crest = |x: f32| {
            let u = (x / length + phase).rem_euclid(1.0) - 0.5;
            level - height * (1.0 - 2.0 * u.abs()).powi(2)
        };
        canvas.brush(Frame::WHOLE).fill(
            [-half_x, level - height, half_x, half_y],
            1.0,
            |x, y| crest(x) - y,
            |x, y| {
                if y < crest(x) + 0.03 {
                    shade(color, 0.6 + dim * 0.6)
                } else {
                    shade(color, (crest(x) - y) * 0.3)
                }
            },
        );
    }
}

pub(super) fn mountain(canvas: &mut Canvas, look: &Look, random: &mut Stream) {
    let (half_x, half_y) = canvas.half();
    look.setting.paint(canvas, Ground::Land, half_y * 0.75, look.accent, random);
    let peaks = look.count + 1;
    let (_, haze) = look.setting.colors(look.accent);
    let dim = if look.setting.is_dark() { -0.6 } else { 0.0 };
    for layer in 0..3u32 {
        let t = layer as f32 / 2.0;
        let seed = random.next() as u32;
        let base = half_y * (0.15 + 0.45 * t);
        let tall = (1.15 - 0.5 * t) * (0.6 + 0.5 * look.size) * half_y;
        let spread = peaks as f32 * 0.55;
        let ridge = |x: f32| {
            let folds = (noise(x * spread + 3.0, 0.5, seed) * 2.0 - 1.0).abs();
            base - tall * (0.75 * (1.0 - folds) + 0.12 * noise(x * 9.0, 2.5, seed) - 0.15)
        };
        let color = shade(mix(haze, look.main, 0.4 + 0.6 * t), dim * 0.9);
        let snow = if layer < 2 { base - tall * 0.42 } else { -9.0 };
        let cap = shade([0.98, 0.98, 1.0], dim * 0.5);
        canvas.brush(Frame::WHOLE).fill(
            [-half_x, base - tall, half_x, half_y],
            1.0,
            |x, y| (ridge(x) - y) * 0.6,
            |x, y| {
                let rough = noise(x * 16.0, y * 16.0, seed) - 0.5;
                let lit = (ridge(x + 0.03) - ridge(x - 0.03)).clamp(-0.06, 0.06) * 3.0;
                let rock = shade(color, lit + rough * 0.12);
                mix(rock, shade(cap, lit * 0.6), smooth(0.0, 0.05, snow + rough * 0.22 - y))
            },
        );
    }
}

pub(super) fn skyline(canvas: &mut Canvas, look: &Look, random: &mut Stream) {
    let (half_x, half_y) = canvas.half();
    look.setting.paint(canvas, Ground::Air, half_y, look.accent, random);
    let night = look.setting.is_dark();
    for layer in 0..2 {
        let near = layer == 1;
        let (top, bottom) = look.setting.colors(look.accent);
        let tone = mix(mix(top, bottom, 0.7), [0.06, 0.07, 0.12], if near { 0.85 } else { 0.45 });
        let mut x = -half_x - random.between(0.0, 0.2);
        while x < half_x {
            let width = random.between(0.16, 0.32) * (0.8 + 0.4 * look.size);
            let tall = random.between(0.35, 1.25) * half_y * if near { 0.8 } else { 1.15 };
            let roof = half_y - tall;
            let mut brush = canvas.brush(Frame::WHOLE);
            brush.rect([x, roof, x + width, half_y + 0.1], 0.0, shade(tone, random.between(-0.1, 0.1)));
            if random.chance(0.25) {
                brush.line((x + width / 2.0, roof), (x + width / 2.0, roof - 0.18), 0.015, tone);
            }
            if near {
                let lit = if night { 0.6 } else { 0.3 };
                let mut y = roof + 0.05;
                while y < half_y {
                    let mut column = x + 0.035;
                    while column + 0.04 < x + width {
                        if random.chance(lit) {
                            let glow = mix(look.main, [1.0, 0.9, 0.6], random.unit() * 0.7);
                            brush.rect([column, y, column + 0.035, y + 0.05], 0.0, glow);
                        }
                        column += 0.065;
                    }
                    y += 0.1;
                }
            }
            x += width + random.between(-0.01, 0.04);
        }
    }
}

pub(super) fn forest(canvas: &mut Canvas, look: &Look, random: &mut Stream) {
    let (half_x, half_y) = canvas.half();
    look.setting.paint(canvas, Ground::Land, half_y * 0.3, look.accent, random);
    let (_, haze) = look.setting.colors(look.accent);
    let dim = if look.setting.is_dark() { -0.55 } else { 0.0 };
    let rows = look.count + 1;
    for row in 0..rows {
        let t = (row as f32 + 0.5) / rows as f32;
        let trees = (9.0 - 4.0 * t + 3.0 * look.clutter) as u32;
        for tree in 0..trees {
            let x = -half_x * 1.1 + 2.2 * half_x * (tree as f32 + random.unit()) / trees as f32;
            let scale = (0.28 + 0.42 * t) * random.between(0.8, 1.25) * (0.8 + 0.4 * look.size);
            let frame = Frame { x, y: half_y * (0.25 + 0.6 * t), scale, turn: 0.0 };
            let green = shade(mix(haze, look.main, 0.35 + 0.65 * t), dim - 0.15 * random.unit());
            let mut brush = canvas.brush(frame);
            brush.rect([-0.07, -0.1, 0.07, 0.25], 0.0, shade([0.36, 0.25, 0.17], dim));
            for tier in 0..3 {
                let (y, half) = (-0.05 - 0.42 * tier as f32, 0.52 - 0.13 * tier as f32);
                brush.polygon(&[(-half, y), (half, y), (0.0, y - 0.75)], shade(green, 0.07 * tier as f32));
                if look.setting == super::Setting::Snow {
                    brush.polygon(
                        &[(-half * 0.4, y - 0.44), (half * 0.4, y - 0.44), (0.0, y - 0.75)],
                        [1.0; 3],
                    );
                }
            }
        }
    }
}

pub(super) fn planets(canvas: &mut Canvas, look: &Look, random: &mut Stream) {
    let (half_x, half_y) = canvas.half();
    let seed = random.next() as u32;
    canvas.paint(|x, y| {
        let cloud = noise(x * 1.6, y * 1.6, seed) * noise(x * 4.0 + 9.0, y * 4.0, seed);
        mix([0.02, 0.02, 0.07], mix(look.accent, [0.15, 0.08, 0.3], 0.55), cloud * 0.75)
    });
    let mut brush = canvas.brush(Frame::WHOLE);
    for _ in 0..50 {
        let star = (random.between(-half_x, half_x), random.between(-half_y, half_y));
        brush.disc(star.0, star.1, random.between(0.005, 0.016), [0.95, 0.95, 1.0]);
    }
    look.scatter(canvas, random, false, |brush, random, which| {
        let base = if which % 2 == 0 { look.main } else { look.accent };
        let (bands, seed) = (random.between(2.0, 6.0), random.next() as u32);
        let ringed = which == 0 && look.style > 0.4;
        let ring = |brush: &mut super::Brush, front: bool| {
            brush.fill(
                [-1.0, -0.4, 1.0, 0.4],
                0.9,
                |x, y| {
                    let flat = x.norm(y * 3.0);
                    let side = if front { -y } else { y };
                    ((flat - 0.84).abs() - 0.12).max(side) * 0.4
                },
                |x, y| shade(look.accent, 0.4 - 0.5 * ((x.norm(y * 3.0) - 0.84) * 30.0).sin().abs()),
            );
        };
        if ringed {
            ring(brush, false);
        }
        brush.fill(
            [-0.6, -0.6, 0.6, 0.6],
            1.0,
            |x, y| x.norm(y) - 0.58,
            |x, y| {
                let swirl = noise(x * 2.0, y * bands * 2.0, seed) * 0.5 - 0.25;
                let lit = 0.28 - 0.85 * smooth(0.1, 1.0, (x + 0.3).norm(y + 0.25) / 1.05);
                shade(shade(base, swirl), lit)
            },
        );
        if ringed {
            ring(brush, true);
        }
    });
}

pub(super) fn text_page(canvas: &mut Canvas, look: &Look, random: &mut Stream) {
    let (half_x, half_y) = canvas.half();
    canvas.paint(|_, _| shade(look.accent, 0.86));
    let ink = mix(look.main, [0.1, 0.1, 0.12], 0.75);
    let mut brush = canvas.brush(Frame::WHOLE);
    let (left, right) = (-half_x * 0.82, half_x * 0.82);
    let mut y = -half_y * 0.82;
    brush.rect([left, y, left + (right - left) * random.between(0.45, 0.8), y + 0.09], 0.01, look.main);
    y += 0.2;
    let columns = if look.count > 2 { 2 } else { 1 };
    let gap = 0.1;
    let width = (right - left - gap * (columns - 1) as f32) / columns as f32;
    let step = 0.075 + 0.05 * look.size;
    for column in 0..columns {
        let (start, mut line) = (left + column as f32 * (width + gap), y);
        while line < half_y * 0.85 {
            let last = random.chance(0.15);
            let end = start + width * if last { random.between(0.2, 0.7) } else { 1.0 };
            let mut x = start;
            while x < end {
                let word = random.between(0.04, 0.16).min(end - x);
                brush.rect([x, line, x + word, line + step * 0.42], 0.004, ink);
                x += word + 0.03;
            }
            line += step * if last { 1.7 } else { 1.0 };
        }
    }
}

pub(super) fn starburst_angle(count: u32, which: u32) -> f32 {
    PI * 2.0 * which as f32 / count as f32
}
