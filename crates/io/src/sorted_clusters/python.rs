//! Floating-point numbers as Python prints them: the fewest digits that give the number back. Rust finds as many, but where two such texts are
//! equally near (0.197498321533203125 has 18 digits, 17 suffice) Python takes the even last digit; and exponents are written differently.

/// `repr(float)` of Python: `0.1`, `1.0`, `1e-05`, `1.1920928955078125e-07`, `1e+16`, `nan`, `inf`, `-0.0`.
pub fn python_repr(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let scientific = even_digits(value);
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    // As many decimals as the digits reach, one at least; exact formatting rounds half to even, as `even_digits` does.
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count() as i32;
    let decimals = (digits - 1 - exponent).max(1) as usize;
    format!("{value:.decimals$}")
}

/// The shortest text in `1.5e-7` form, ties to the even digit.
fn even_digits(value: f64) -> String {
    let shortest = format!("{value:e}");
    let decimals = shortest
        .split_once('e')
        .map_or(0, |(mantissa, _)| mantissa.split_once('.').map_or(0, |(_, decimals)| decimals.len()));
    let exact = format!("{value:.decimals$e}");
    if exact.parse() == Ok(value) { exact } else { shortest }
}

#[cfg(test)]
mod tests {
    use super::python_repr;

    #[test]
    fn as_python_prints_it() {
        // Printed by Python 3.11.
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (f64::from(0.1f32), "0.10000000149011612"),
            (f64::from(f32::EPSILON), "1.1920928955078125e-07"),
            (-1.1920928955078125e-07, "-1.1920928955078125e-07"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            // Exactly 0.197498321533203125: a tie between …12 and …13.
            (0.197_498_321_533_203_12, "0.19749832153320312"),
            (0.061_816_453_933_715_82, "0.06181645393371582"),
            (12345.0, "12345.0"),
            (1234567.891, "1234567.891"),
            (9007199254740993.0, "9007199254740992.0"),
            (0.00012345678, "0.00012345678"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(python_repr(value), text);
        }
    }
}
