//! Plants and animals, each drawn in a box of -1 to 1 with its feet (where it has any) at y = 1.
use super::Look;
use super::patterns::starburst_angle;
use super::raster::{Brush, Norm, mix, shade};
use crate::random::Stream;
use std::f32::consts::{PI, TAU};

const STEM: [f32; 3] = [0.27, 0.52, 0.24];

pub(super) fn sunflower(brush: &mut Brush, look: &Look, random: &mut Stream) {
    let lean = random.between(-0.08, 0.08);
    brush.line((lean * 2.0, 1.05), (0.0, -0.2), 0.09, STEM);
    for side in [-1.0, 1.0] {
        brush.ellipse(side * 0.32, 0.62, 0.34, 0.13, -side * 0.45, shade(STEM, 0.12));
    }
    let petals = 11 + (look.style * 9.0) as u32;
    for layer in 0..2 {
        for petal in 0..petals {
            let angle = starburst_angle(petals, petal) + 0.18 * layer as f32;
            let (sin, cos) = angle.sin_cos();
            let reach = if layer == 0 { 0.46 } else { 0.40 };
            let color = shade(look.main, if layer == 0 { -0.12 } else { 0.14 });
            brush.ellipse(cos * reach, -0.25 + sin * reach, 0.27, 0.09, angle, color);
        }
    }
    brush.disc(0.0, -0.25, 0.31, [0.30, 0.19, 0.11]);
    for seed in 0..40 {
        let (angle, radius) = (seed as f32 * 2.399_963, 0.046 * (seed as f32).sqrt());
        let (sin, cos) = angle.sin_cos();
        brush.disc(cos * radius, -0.25 + sin * radius, 0.018, [0.52, 0.35, 0.18]);
    }
}

pub(super) fn maple(brush: &mut Brush, look: &Look, random: &mut Stream) {
    let bark = [0.37, 0.26, 0.19];
    brush.polygon(&[(-0.13, 1.0), (0.13, 1.0), (0.07, 0.1), (-0.07, 0.1)], bark);
    brush.line((0.0, 0.45), (0.34, 0.05), 0.07, bark);
    brush.line((0.0, 0.35), (-0.34, -0.05), 0.07, bark);
    for (place, tone) in [(0, -0.25), (1, -0.05), (2, 0.16)] {
        for _ in 0..9 {
            let (angle, away) = (random.between(0.0, TAU), random.unit().sqrt());
            let (sin, cos) = angle.sin_cos();
            let (x, y) = (cos * away * 0.62, -0.33 + sin * away * 0.45 - 0.05 * place as f32);
            brush.disc(
                x,
                y,
                random.between(0.14, 0.26),
                shade(look.main, tone + random.between(-0.05, 0.05)),
            );
        }
    }
    for _ in 0..6 + (look.clutter * 14.0) as u32 {
        let (x, y) = (random.between(-0.85, 0.85), random.between(0.85, 1.1));
        brush.ellipse(x, y, 0.06, 0.03, random.between(0.0, PI), shade(look.main, random.between(-0.2, 0.2)));
    }
}

pub(super) fn fish(brush: &mut Brush, look: &Look, random: &mut Stream) {
    let face = if look.style < 0.5 { 1.0 } else { -1.0 };
    let fin = shade(look.accent, -0.05);
    brush.polygon(
        &[(-0.5 * face, 0.0), (-0.95 * face, -0.38), (-0.82 * face, 0.0), (-0.95 * face, 0.38)],
        fin,
    );
    brush.polygon(&[(-0.2 * face, -0.3), (0.25 * face, -0.34), (-0.25 * face, -0.66)], fin);
    brush.polygon(&[(-0.1 * face, 0.3), (0.2 * face, 0.32), (-0.2 * face, 0.58)], fin);
    brush.fill(
        [-0.66, -0.42, 0.82, 0.42],
        1.0,
        |x, y| ((x - 0.08 * face) / 0.72).norm(y / 0.40).mul_add(0.40, -0.40),
        |x, y| {
            let band = ((x * face * 5.0).sin() > 0.55) as u8 as f32;
            shade(mix(look.main, look.accent, band * 0.9), -y * 0.55 + 0.1)
        },
    );
    brush.line((0.32 * face, -0.16), (0.30 * face, 0.2), 0.035, shade(look.main, -0.35));
    brush.disc(0.53 * face, -0.09, 0.1, [0.98, 0.98, 0.96]);
    brush.disc(0.55 * face, -0.09, 0.055, [0.05, 0.05, 0.08]);
    brush.line((0.68 * face, 0.13), (0.78 * face, 0.09), 0.03, shade(look.main, -0.5));
    for _ in 0..(look.clutter * 5.0) as u32 {
        let (x, y) = (random.between(0.5, 1.0) * face, random.between(-0.95, -0.35));
        brush.ring(x, y, random.between(0.03, 0.07), 0.02, [0.9, 0.96, 1.0]);
    }
}

pub(super) fn cactus(brush: &mut Brush, look: &Look, random: &mut Stream) {
    let pot = look.style > 0.5;
    let foot = if pot { 0.45 } else { 1.0 };
    let (light, dark) = (shade(look.main, 0.1), shade(look.main, -0.2));
    let arm = |brush: &mut Brush, side: f32, y: f32, up: f32| {
        brush.line((0.0, y), (side * 0.48, y), 0.2, dark);
        brush.line((side * 0.48, y), (side * 0.48, y - up), 0.2, light);
    };
    arm(brush, -1.0, 0.1, 0.4);
    arm(brush, 1.0, random.between(-0.2, 0.05), 0.35);
    brush.line((0.0, foot), (0.0, -0.65), 0.42, light);
    for rib in [-0.1, 0.0, 0.1] {
        brush.line((rib, foot), (rib, -0.62), 0.018, dark);
    }
    for spine in 0..10 {
        let y = -0.7 + 0.11 * spine as f32;
        for x in [-0.16, -0.05, 0.05, 0.16] {
            brush.line((x, y), (x + 0.03, y - 0.03), 0.012, [0.96, 0.94, 0.84]);
        }
    }
    for petal in 0..5 {
        let (sin, cos) = starburst_angle(5, petal).sin_cos();
        brush.disc(cos * 0.09, -0.88 + sin * 0.09, 0.07, look.accent);
    }
    brush.disc(0.0, -0.88, 0.05, [0.98, 0.86, 0.35]);
    if pot {
        brush.polygon(&[(-0.42, 0.5), (0.42, 0.5), (0.30, 1.0), (-0.30, 1.0)], [0.72, 0.40, 0.26]);
        brush.rect([-0.48, 0.38, 0.48, 0.55], 0.03, [0.80, 0.47, 0.31]);
    }
}

pub(super) fn mushroom(brush: &mut Brush, look: &Look, random: &mut Stream) {
    brush.ellipse(0.0, 0.98, 0.42, 0.08, 0.0, shade(STEM, -0.2));
    brush.polygon(&[(-0.16, 0.0), (0.16, 0.0), (0.25, 1.0), (-0.25, 1.0)], [0.94, 0.90, 0.80]);
    brush.line((-0.07, 0.15), (-0.1, 0.9), 0.03, [0.84, 0.78, 0.66]);
    brush.ellipse(0.0, 0.02, 0.8, 0.13, 0.0, [0.86, 0.78, 0.66]);
    let cap = shade(look.main, 0.05);
    let dark = shade(look.main, -0.3);
    brush.fill(
        [-0.86, -0.85, 0.86, 0.06],
        1.0,
        |x, y| ((x / 0.84).norm(y / 0.84) * 0.84 - 0.84).max(y - 0.05 * (1.0 - (x / 0.84) * (x / 0.84))),
        |x, y| mix(cap, dark, (x * 0.5 + y * 0.5 + 0.5).clamp(0.0, 1.0)),
    );
    let spots = 4 + (look.clutter * 5.0) as u32;
    for spot in 0..spots {
        let x = -0.55 + 1.1 * (spot as f32 + random.between(0.2, 0.8)) / spots as f32;
        let top = -(0.70 - x * x).max(0.0).sqrt();
        let y = top + random.between(0.18, 0.45) * (1.0 - x.abs());
        brush.ellipse(
            x,
            y,
            random.between(0.07, 0.12),
            random.between(0.05, 0.09),
            0.0,
            shade(look.accent, 0.75),
        );
    }
}

pub(super) fn butterfly(brush: &mut Brush, look: &Look, random: &mut Stream) {
    let spread = random.between(0.9, 1.05);
    for side in [-1.0, 1.0] {
        let s = side * spread;
        brush.ellipse(s * 0.50, -0.33, 0.50, 0.36, side * -0.55, shade(look.main, -0.45));
        brush.ellipse(s * 0.50, -0.33, 0.43, 0.29, side * -0.55, look.main);
        brush.ellipse(s * 0.38, 0.38, 0.38, 0.30, side * 0.6, shade(look.accent, -0.45));
        brush.ellipse(s * 0.38, 0.38, 0.31, 0.23, side * 0.6, look.accent);
        brush.disc(s * 0.62, -0.42, 0.12, shade(look.accent, 0.25));
        brush.disc(s * 0.62, -0.42, 0.06, shade(look.main, -0.55));
        brush.disc(s * 0.40, 0.42, 0.09, shade(look.main, 0.35));
        for spot in 0..(look.clutter * 4.0) as u32 {
            brush.disc(s * (0.3 + 0.13 * spot as f32), -0.14 - 0.04 * spot as f32, 0.035, [0.98, 0.97, 0.92]);
        }
        brush.line((side * 0.03, -0.42), (side * 0.2, -0.8), 0.025, [0.16, 0.12, 0.10]);
        brush.disc(side * 0.2, -0.8, 0.035, [0.16, 0.12, 0.10]);
    }
    brush.ellipse(0.0, 0.05, 0.08, 0.55, 0.0, [0.16, 0.12, 0.10]);
    brush.disc(0.0, -0.48, 0.1, [0.16, 0.12, 0.10]);
}

pub(super) fn snowflake(brush: &mut Brush, look: &Look, random: &mut Stream) {
    let color = shade(look.main, 0.25);
    let (first, second) = (random.between(0.35, 0.5), random.between(0.6, 0.75));
    let width = 0.055 + 0.05 * look.style;
    for arm in 0..6 {
        let angle = starburst_angle(6, arm);
        let (sin, cos) = angle.sin_cos();
        brush.line((0.0, 0.0), (cos * 0.95, sin * 0.95), width, color);
        for (at, length) in [(first, 0.3), (second, 0.2), (0.2, 0.12)] {
            for side in [-1.0, 1.0] {
                let (s, c) = (angle + side * PI / 3.0).sin_cos();
                let from = (cos * at, sin * at);
                brush.line(from, (from.0 + c * length, from.1 + s * length), width * 0.8, color);
            }
        }
        brush.disc(cos * 0.95, sin * 0.95, width * 0.9, shade(look.accent, 0.3));
    }
    brush.disc(0.0, 0.0, 0.13, shade(look.accent, 0.3));
}

pub(super) fn cat(brush: &mut Brush, look: &Look, random: &mut Stream) {
    let (fur, dark) = (shade(look.main, 0.08), shade(look.main, -0.35));
    for side in [-1.0f32, 1.0] {
        brush.polygon(&[(side * 0.72, -0.95), (side * 0.16, -0.52), (side * 0.74, -0.12)], dark);
        brush
            .polygon(&[(side * 0.64, -0.78), (side * 0.30, -0.50), (side * 0.64, -0.24)], [0.95, 0.68, 0.68]);
    }
    brush.ellipse(0.0, 0.12, 0.82, 0.70, 0.0, dark);
    brush.ellipse(0.0, 0.12, 0.78, 0.66, 0.0, fur);
    if look.style > 0.4 {
        for stripe in [-0.18, 0.0, 0.18] {
            brush.line((stripe, -0.50), (stripe * 0.7, -0.24), 0.06, dark);
        }
        for side in [-1.0, 1.0] {
            brush.line((side * 0.75, 0.05), (side * 0.55, 0.10), 0.05, dark);
            brush.line((side * 0.72, 0.25), (side * 0.55, 0.26), 0.05, dark);
        }
    }
    brush.ellipse(0.0, 0.42, 0.36, 0.27, 0.0, shade(look.main, 0.62));
    let gaze = random.between(-0.04, 0.04);
    for side in [-1.0, 1.0] {
        brush.ellipse(side * 0.34, 0.0, 0.17, 0.15, 0.0, [0.98, 0.98, 0.95]);
        brush.ellipse(side * 0.34 + gaze, 0.0, 0.13, 0.14, 0.0, look.accent);
        brush.ellipse(side * 0.34 + gaze, 0.0, 0.045, 0.13, 0.0, [0.04, 0.04, 0.06]);
        for whisker in [-0.08, 0.02, 0.12] {
            brush.line(
                (side * 0.28, 0.38 + whisker * 0.4),
                (side * 0.98, 0.34 + whisker * 1.5),
                0.016,
                [0.97; 3],
            );
        }
        brush.line((0.0, 0.42), (side * 0.14, 0.52), 0.03, [0.25, 0.15, 0.15]);
    }
    brush.polygon(&[(-0.09, 0.27), (0.09, 0.27), (0.0, 0.39)], [0.90, 0.47, 0.50]);
}

pub(super) fn apple(brush: &mut Brush, look: &Look, random: &mut Stream) {
    brush.ellipse(0.05, 0.9, 0.62, 0.09, 0.0, [0.25, 0.22, 0.2]);
    let (left, right) = ((-0.27, 0.2), (0.27, 0.2));
    let dark = shade(look.main, -0.35);
    brush.fill(
        [-0.85, -0.5, 0.85, 0.95],
        1.0,
        |x, y| {
            let lobe = |c: (f32, f32)| ((x - c.0) / 0.56).norm((y - c.1) / 0.68) * 0.58 - 0.58;
            lobe(left).min(lobe(right))
        },
        |x, y| mix(shade(look.main, 0.22), dark, ((x + 0.35).norm(y - 0.0) - 0.15) / 1.1),
    );
    brush.ellipse(0.0, -0.40, 0.2, 0.07, 0.0, dark);
    brush.line((0.0, -0.38), (0.08, -0.82), 0.07, [0.36, 0.24, 0.15]);
    let tilt = random.between(-0.6, -0.2);
    brush.ellipse(0.33, -0.72, 0.27, 0.12, tilt, look.accent);
    brush.line((0.10, -0.66), (0.52, -0.78), 0.02, shade(look.accent, -0.35));
    brush.ellipse(-0.42, 0.0, 0.09, 0.2, 0.4, shade(look.main, 0.65));
}
