//! Made things, each drawn in a box of -1 to 1 with its feet (where it has any) at y = 1.
use super::Look;
use super::raster::{Brush, Color, Ink, Norm, mix, shade};
use crate::random::Stream;
use std::f32::consts::{PI, TAU};

const GLASS: Color = [0.72, 0.88, 0.96];
const INK: Color = [0.10, 0.10, 0.13];

pub(super) fn house(brush: &mut Brush, look: &Look, random: &mut Stream) {
    let wall = shade(look.main, 0.25);
    if look.style > 0.4 {
        brush.rect([0.34, -0.85, 0.54, -0.2], 0.0, [0.55, 0.33, 0.27]);
        for puff in 0..3 {
            let t = puff as f32;
            brush.disc(0.46 + 0.1 * t, -0.92 - 0.09 * t, 0.07 + 0.025 * t, [0.9, 0.9, 0.92]);
        }
    }
    brush.rect([-0.74, -0.15, 0.74, 1.0], 0.0, wall);
    brush.rect([-0.74, 0.88, 0.74, 1.0], 0.0, shade(wall, -0.3));
    brush.polygon(&[(-0.95, -0.10), (0.95, -0.10), (0.0, -0.90)], shade(look.accent, -0.1));
    brush.polygon(&[(-0.95, -0.10), (-0.80, -0.10), (0.03, -0.80), (0.0, -0.90)], shade(look.accent, 0.2));
    let door = if random.chance(0.5) { -0.14 } else { -0.5 };
    brush.rect([door, 0.4, door + 0.3, 1.0], 0.02, shade(look.accent, -0.45));
    brush.disc(door + 0.24, 0.72, 0.03, [0.95, 0.82, 0.4]);
    let pane: Color = if look.setting.is_dark() { [1.0, 0.88, 0.5] } else { GLASS };
    let places: &[(f32, f32)] =
        if door < -0.3 { &[(0.35, 0.6), (0.35, 0.1), (-0.36, 0.1)] } else { &[(-0.45, 0.3), (0.45, 0.3)] };
    for &(x, y) in places {
        brush.rect([x - 0.18, y - 0.16, x + 0.18, y + 0.16], 0.01, [0.97, 0.97, 0.95]);
        brush.rect([x - 0.14, y - 0.12, x + 0.14, y + 0.12], 0.0, pane);
        brush.line((x, y - 0.12), (x, y + 0.12), 0.03, [0.97, 0.97, 0.95]);
        brush.line((x - 0.14, y), (x + 0.14, y), 0.03, [0.97, 0.97, 0.95]);
    }
}

pub(super) fn smiley(brush: &mut Brush, look: &Look, random: &mut Stream) {
    brush.disc(0.0, 0.0, 0.94, shade(look.main, -0.4));
    brush.fill(
        [-0.9, -0.9, 0.9, 0.9],
        1.0,
        |x, y| x.norm(y) - 0.89,
        |x, y| mix(shade(look.main, 0.35), look.main, (x + 0.3).norm(y + 0.35) * 0.9),
    );
    let wink = look.style > 0.7;
    for side in [-1.0, 1.0] {
        if wink && side > 0.0 {
            brush.line((0.18, -0.22), (0.46, -0.26), 0.08, INK);
        } else {
            brush.ellipse(side * 0.32, -0.24, 0.11, 0.17, 0.0, INK);
            brush.disc(side * 0.32 + 0.03, -0.30, 0.04, [1.0; 3]);
        }
    }
    let (open, bend) = (look.style < 0.35, random.between(0.35, 0.55));
    brush.fill(
        [-0.6, 0.0, 0.6, 0.75],
        1.0,
        |x, y| {
            let curve = 0.15 + bend * (1.0 - (x / 0.55) * (x / 0.55));
            let lower = y - curve;
            if open {
                lower.max(0.16 - y).max(x.abs() - 0.55)
            } else {
                lower.abs().max(x.abs() - 0.55) - 0.05
            }
        },
        |_, y| if open && y > 0.42 { [0.86, 0.30, 0.32] } else { INK },
    );
    if look.clutter > 0.6 {
        for side in [-1.0, 1.0] {
            brush.glow(side * 0.58, 0.18, 0.2, 0.8, [0.95, 0.45, 0.45]);
        }
    }
}

pub(super) fn die(brush: &mut Brush, look: &Look, random: &mut Stream) {
    let pips = 1 + random.below(6) as u32;
    brush.rect([-0.72, -0.66, 0.80, 0.86], 0.2, shade(look.main, -0.5));
    brush.rect([-0.78, -0.78, 0.74, 0.74], 0.2, shade(look.main, 0.06));
    brush.rect([-0.70, -0.70, 0.66, 0.66], 0.16, shade(look.main, 0.22));
    let at =
        |brush: &mut Brush, x: f32, y: f32| brush.disc(x * 0.4 - 0.02, y * 0.4 - 0.02, 0.13, look.accent);
    if pips % 2 == 1 {
        at(brush, 0.0, 0.0);
    }
    if pips > 1 {
        at(brush, -1.0, -1.0);
        at(brush, 1.0, 1.0);
    }
    if pips > 3 {
        at(brush, 1.0, -1.0);
        at(brush, -1.0, 1.0);
    }
    if pips == 6 {
        at(brush, -1.0, 0.0);
        at(brush, 1.0, 0.0);
    }
}

pub(super) fn clock(brush: &mut Brush, look: &Look, random: &mut Stream) {
    brush.disc(0.04, 0.06, 0.93, shade(look.main, -0.55));
    brush.disc(0.0, 0.0, 0.92, look.main);
    brush.disc(0.0, 0.0, 0.78, [0.98, 0.97, 0.94]);
    for hour in 0..12 {
        let (sin, cos) = (TAU * hour as f32 / 12.0).sin_cos();
        let (from, width) = if hour % 3 == 0 { (0.58, 0.07) } else { (0.64, 0.035) };
        brush.line((cos * from, sin * from), (cos * 0.7, sin * 0.7), width, INK);
    }
    let (hour, minute) = (random.between(0.0, 12.0), random.between(0.0, 1.0));
    let hand = |brush: &mut Brush, turn: f32, length: f32, width: f32, color: Color| {
        let (sin, cos) = (TAU * turn - PI / 2.0).sin_cos();
        brush.line((-cos * 0.08, -sin * 0.08), (cos * length, sin * length), width, color);
    };
    hand(brush, hour / 12.0, 0.38, 0.08, INK);
    hand(brush, minute, 0.58, 0.055, INK);
    if look.style > 0.5 {
        hand(brush, random.unit(), 0.62, 0.022, look.accent);
    }
    brush.disc(0.0, 0.0, 0.07, look.accent);
}

pub(super) fn sailboat(brush: &mut Brush, look: &Look, random: &mut Stream) {
    let face = if look.style < 0.5 { 1.0 } else { -1.0 };
    let white = [0.97, 0.96, 0.92];
    brush.line((0.0, 0.6), (0.0, -0.95), 0.05, [0.42, 0.30, 0.20]);
    brush.polygon(&[(0.05 * face, -0.9), (0.05 * face, 0.4), (0.72 * face, 0.4)], look.main);
    brush.polygon(
        &[(-0.05 * face, -0.75), (-0.05 * face, 0.4), (-0.55 * face, 0.4)],
        mix(look.main, white, 0.75),
    );
    brush.polygon(&[(0.0, -0.97), (0.0, -0.83), (-0.2 * face, -0.9)], look.accent);
    brush.polygon(&[(-0.85, 0.5), (0.85, 0.5), (0.58, 0.88), (-0.58, 0.88)], [0.50, 0.31, 0.19]);
    brush.polygon(&[(-0.85, 0.5), (0.85, 0.5), (0.79, 0.6), (-0.79, 0.6)], look.accent);
    for wave in 0..3 {
        let x = -0.8 + 0.55 * wave as f32 + random.between(0.0, 0.2);
        brush.line((x, 0.93), (x + 0.35, 0.93), 0.035, [0.88, 0.94, 0.98]);
    }
}

pub(super) fn balloon(brush: &mut Brush, look: &Look, _: &mut Stream) {
    let gores = 5 + (look.style * 5.0) as u32;
    for side in [-1.0, 1.0] {
        brush.line((side * 0.30, 0.30), (side * 0.14, 0.72), 0.02, [0.35, 0.28, 0.22]);
    }
    brush.fill(
        [-0.75, -0.98, 0.75, 0.45],
        1.0,
        |x, y| {
            let ball = x.norm(y + 0.28) - 0.68;
            let neck = (x.abs() - (0.62 - 0.82 * (y + 0.05))).max(y - 0.40).max(-y - 0.05) * 0.75;
            ball.min(neck)
        },
        |x, y| {
            // Meridians of a sphere: x on the rim stays at the same angle.
            let rim = (0.66 * 0.66 - (y + 0.28) * (y + 0.28)).max(0.05).sqrt().max(0.2);
            let gore = ((x / rim).clamp(-1.0, 1.0).asin() / PI + 0.5) * gores as f32;
            let color = if (gore as u32).is_multiple_of(2) { look.main } else { look.accent };
            shade(color, 0.18 - 0.45 * (x + 0.35).max(0.0))
        },
    );
    brush.rect([-0.17, 0.70, 0.17, 0.97], 0.04, [0.58, 0.40, 0.22]);
    brush.line((-0.17, 0.78), (0.17, 0.78), 0.025, [0.42, 0.28, 0.15]);
    brush.line((-0.17, 0.87), (0.17, 0.87), 0.025, [0.42, 0.28, 0.15]);
}

pub(super) fn car(brush: &mut Brush, look: &Look, _: &mut Stream) {
    let (face, dark) = (if look.style < 0.5 { 1.0 } else { -1.0 }, shade(look.main, -0.3));
    let roof = if look.clutter > 0.5 { 0.0 } else { 0.12 };
    brush.polygon(
        &[(-0.62 * face, 0.35), (-0.42 * face, -0.1 + roof), (0.28 * face, -0.1 + roof), (0.56 * face, 0.35)],
        look.main,
    );
    brush.polygon(
        &[(-0.50 * face, 0.3), (-0.36 * face, roof), (-0.06 * face, roof), (-0.06 * face, 0.3)],
        GLASS,
    );
    brush.polygon(&[(0.02 * face, 0.3), (0.02 * face, roof), (0.24 * face, roof), (0.42 * face, 0.3)], GLASS);
    brush.rect([-0.95, 0.3, 0.95, 0.76], 0.14, look.main);
    brush.rect([-0.93, 0.58, 0.93, 0.76], 0.08, dark);
    brush.line((-0.02 * face, 0.36), (-0.02 * face, 0.62), 0.02, dark);
    brush.rect([0.05, 0.41, 0.17, 0.45], 0.02, dark);
    brush.disc(0.88 * face, 0.45, 0.075, [1.0, 0.94, 0.6]);
    brush.rect([-0.95 * face - 0.03, 0.40, -0.95 * face + 0.05, 0.53], 0.02, [0.85, 0.15, 0.15]);
    for x in [-0.52, 0.52] {
        brush.disc(x, 0.78, 0.22, INK);
        brush.disc(x, 0.78, 0.12, look.accent);
        brush.disc(x, 0.78, 0.05, [0.9; 3]);
    }
}

pub(super) fn cup(brush: &mut Brush, look: &Look, random: &mut Stream) {
    let face = if look.style < 0.5 { 1.0 } else { -1.0 };
    let body = Ink::Across(shade(look.main, 0.22), shade(look.main, -0.22));
    brush.ellipse(0.0, 0.88, 0.85, 0.12, 0.0, shade(look.accent, -0.15));
    brush.ellipse(0.0, 0.85, 0.72, 0.09, 0.0, shade(look.accent, 0.25));
    brush.ring(0.62 * face, 0.2, 0.27, 0.13, shade(look.main, -0.1));
    brush.polygon(&[(-0.66, -0.25), (0.66, -0.25), (0.42, 0.86), (-0.42, 0.86)], body);
    brush.ellipse(0.0, -0.25, 0.66, 0.15, 0.0, shade(look.main, 0.4));
    brush.ellipse(0.0, -0.23, 0.57, 0.11, 0.0, [0.33, 0.20, 0.12]);
    if look.clutter > 0.4 {
        brush.star(0.0, 0.28, 0.2, 0.09, 5, look.accent);
    } else {
        brush.polygon(&[(-0.62, 0.12), (0.62, 0.12), (0.56, 0.35), (-0.56, 0.35)], look.accent);
    }
    for puff in 0..3 {
        let x = -0.25 + 0.25 * puff as f32 + random.between(-0.05, 0.05);
        for step in 0..7 {
            let t = step as f32 / 6.0;
            brush.disc(x + 0.07 * (t * 6.0 + puff as f32).sin(), -0.42 - 0.5 * t, 0.035, [0.92, 0.92, 0.93]);
        }
    }
}

pub(super) fn umbrella(brush: &mut Brush, look: &Look, _: &mut Stream) {
    let ribs = 4 + (look.style * 4.0) as u32;
    brush.line((0.0, -0.8), (0.0, 0.72), 0.05, [0.40, 0.30, 0.22]);
    brush.fill(
        [0.0, 0.62, 0.32, 0.98],
        1.0,
        |x, y| ((x - 0.14).norm(y - 0.74) - 0.14).abs().max(0.72 - y) - 0.03,
        |_, _| [0.40, 0.30, 0.22],
    );
    brush.fill(
        [-0.95, -0.85, 0.95, 0.16],
        1.0,
        |x, y| {
            let scallop = 0.10 * ((x + 0.93) / 1.86 * ribs as f32 * PI).sin().abs();
            (x.norm(y - 0.08) - 0.93).max(y - 0.10 + scallop)
        },
        |x, y| {
            let rim = (0.93 * 0.93 - (y - 0.08) * (y - 0.08)).max(0.02).sqrt();
            let rib = ((x / rim).clamp(-1.0, 1.0) * 0.5 + 0.5) * ribs as f32;
            let color = if (rib as u32).is_multiple_of(2) { look.main } else { look.accent };
            shade(color, 0.12 - 0.3 * x)
        },
    );
    brush.line((0.0, -0.98), (0.0, -0.84), 0.05, [0.40, 0.30, 0.22]);
}

pub(super) fn lighthouse(brush: &mut Brush, look: &Look, random: &mut Stream) {
    if look.setting.is_dark() || look.style > 0.6 {
        let side = if random.chance(0.5) { 1.0 } else { -1.0 };
        brush.polygon(&[(0.0, -0.62), (side * 1.3, -0.92), (side * 1.3, -0.35)], [1.0, 0.95, 0.68]);
    }
    brush.ellipse(0.0, 0.98, 0.75, 0.16, 0.0, [0.42, 0.40, 0.38]);
    brush.fill(
        [-0.36, -0.5, 0.36, 1.0],
        1.0,
        |x, y| (x.abs() - (0.27 + 0.07 * y)).max((y - 0.24).abs() - 0.72),
        |x, y| {
            let band = ((y + 0.48) * 2.1).floor() as i32 % 2 == 0;
            shade(if band { look.main } else { [0.97, 0.96, 0.93] }, 0.08 - 0.9 * x.max(0.0))
        },
    );
    brush.rect([-0.34, -0.54, 0.34, -0.45], 0.02, INK);
    brush.rect([-0.17, -0.76, 0.17, -0.52], 0.0, [1.0, 0.92, 0.58]);
    brush.line((0.0, -0.76), (0.0, -0.52), 0.03, INK);
    brush.polygon(&[(-0.24, -0.75), (0.24, -0.75), (0.0, -0.98)], look.accent);
    brush.rect([-0.08, 0.70, 0.08, 0.96], 0.05, shade(look.accent, -0.4));
}

pub(super) fn rocket(brush: &mut Brush, look: &Look, random: &mut Stream) {
    let flame = random.between(0.85, 1.05);
    brush.polygon(&[(-0.2, 0.5), (0.2, 0.5), (0.0, flame + 0.1)], [0.98, 0.55, 0.15]);
    brush.polygon(&[(-0.1, 0.5), (0.1, 0.5), (0.0, flame - 0.1)], [1.0, 0.90, 0.45]);
    for side in [-1.0, 1.0] {
        brush.polygon(
            &[(side * 0.22, 0.1), (side * 0.62, 0.45), (side * 0.58, 0.72), (side * 0.18, 0.52)],
            look.accent,
        );
    }
    brush.fill(
        [-0.36, -0.95, 0.36, 0.56],
        1.0,
        |x, y| (x.abs() - 0.34 * (1.0 - ((y + 0.02) / 0.93).abs().powf(2.2)).max(0.0)).max(y - 0.54) * 0.8,
        |x, y| shade(if y < -0.52 { look.accent } else { look.main }, 0.28 - 0.8 * (x + 0.2).max(0.0)),
    );
    let ports = 1 + (look.style * 2.99) as u32;
    for port in 0..ports {
        let y = -0.28 + 0.3 * port as f32;
        brush.disc(0.0, y, 0.13, [0.85, 0.87, 0.9]);
        brush.disc(0.0, y, 0.09, [0.25, 0.50, 0.75]);
    }
}

pub(super) fn traffic_light(brush: &mut Brush, look: &Look, random: &mut Stream) {
    brush.rect([-0.07, 0.4, 0.07, 1.05], 0.0, [0.32, 0.33, 0.36]);
    brush.rect([-0.42, -0.98, 0.42, 0.62], 0.14, look.accent);
    brush.rect([-0.36, -0.92, 0.36, 0.56], 0.11, [0.14, 0.15, 0.17]);
    let lit = random.below(3);
    let lamps = [[0.92, 0.18, 0.16], [0.98, 0.78, 0.16], [0.18, 0.82, 0.35]];
    for (place, lamp) in lamps.into_iter().enumerate() {
        let y = -0.66 + 0.48 * place as f32;
        let on = place as u64 == lit;
        brush.disc(0.0, y, 0.21, if on { lamp } else { shade(lamp, -0.72) });
        if on {
            brush.glow(0.0, y, 0.42, 0.55, shade(lamp, 0.5));
        }
    }
}
