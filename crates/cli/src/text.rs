//! Numbers and tables as people read them in a terminal.

pub use cribble_outputs::report::{count, counted};

/// `0.4 s`, `12.4 s`, `3 min 05 s`, `2 h 14 min`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "?".into();
    }
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `80.6k/s`.
pub fn rate(units: u64, seconds: f64) -> String {
    let rate = units as f64 / seconds.max(1e-9);
    match rate {
        r if r >= 1e9 => format!("{:.1}G/s", r / 1e9),
        r if r >= 1e6 => format!("{:.1}M/s", r / 1e6),
        r if r >= 1e3 => format!("{:.1}k/s", r / 1e3),
        r if r >= 10.0 => format!("{r:.0}/s"),
        r => format!("{r:.1}/s"),
    }
}

/// `1.2 GiB`.
pub fn bytes(value: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut scaled, mut unit) = (value as f64, 0);
    while scaled >= 1023.95 && unit + 1 < units.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{value} B") } else { format!("{scaled:.1} {}", units[unit]) }
}

/// Columns side by side, the first left-aligned, the others right-aligned where `numbers` says so. Lines end without spaces.
pub fn table(rows: &[Vec<String>], numbers: &[bool]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let fill = " ".repeat(widths[column] - cell.chars().count());
            let gap = if column == 0 { "" } else { "  " };
            let right = numbers.get(column).copied().unwrap_or(false);
            line += &if right { format!("{gap}{fill}{cell}") } else { format!("{gap}{cell}{fill}") };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([count(0), count(999), count(1_234_567)], ["0", "999", "1,234,567"]);
        assert_eq!(
            [duration(0.42), duration(59.4), duration(185.0), duration(8040.0)],
            ["0.4 s", "59.4 s", "3 min 05 s", "2 h 14 min"]
        );
        assert_eq!([rate(1_000_000, 12.4), rate(50, 2.0), rate(1, 4.0)], ["80.6k/s", "25/s", "0.2/s"]);
        assert_eq!([bytes(1023), bytes(1 << 30), bytes(1_048_575)], ["1023 B", "1.0 GiB", "1.0 MiB"]);
        assert_eq!(counted(1, "row", "rows"), "1 row");
    }

    #[test]
    fn tables_are_aligned_and_end_without_spaces() {
        let rows =
            [vec!["a".into(), "1".into(), "x".into()], vec!["long".into(), "12,345".into(), String::new()]];
        assert_eq!(table(&rows, &[false, true, false]), "a          1  x\nlong  12,345\n");
        assert_eq!(table(&[], &[]), "");
    }
}
