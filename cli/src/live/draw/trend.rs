//! Values over time in one row, or in several.

/// The last values as bars of a row, `columns` of them at most; a value that is not zero is seen.
pub(super) fn sparkline(values: &[u64], columns: u16) -> String {
    let columns = usize::from(columns);
    let shown = values.get(values.len().saturating_sub(columns)..).unwrap_or_default();
    let highest = shown.iter().copied().max().unwrap_or(0);
    shown.iter().map(|value| eighth(*value, highest)).collect()
}

/// All values in at most `columns`: neighbours are added up.
pub(super) fn squeezed(values: &[u64], columns: u16) -> Vec<u64> {
    let columns = usize::from(columns.max(1));
    if values.len() <= columns {
        return values.to_vec();
    }
    let each = values.len().div_ceil(columns);
    // From the end, so that the newest are whole.
    let mut sums: Vec<u64> = values
        .rchunks(each)
        .map(|some| some.iter().fold(0, |sum: u64, v| sum.saturating_add(*v)))
        .collect();
    sums.reverse();
    sums
}

fn eighth(value: u64, highest: u64) -> char {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    if value == 0 || highest == 0 {
        return ' ';
    }
    let level = (value as f64 / highest as f64 * 7.0).round() as usize;
    LEVELS.get(level).copied().unwrap_or('█')
}

/// A column of several rows, from the lowest to the highest: full, part of one, empty.
pub(super) fn column(value: u64, highest: u64, rows: u16) -> Vec<char> {
    let eighths = if highest == 0 {
        0
    } else {
        let share = value as f64 / highest as f64;
        ((share * f64::from(rows) * 8.0).round() as u64).max(u64::from(value > 0))
    };
    let row = |row: u16| match eighths.saturating_sub(u64::from(row) * 8) {
        0 => ' ',
        part => eighth(part.min(8), 8),
    };
    (0..rows).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparklines_show_the_last_values() {
        assert_eq!(sparkline(&[], 5), "");
        assert_eq!(sparkline(&[0, 0], 5), "  ");
        assert_eq!(sparkline(&[9, 1, 0, 8], 3), "▂ █");
        assert_eq!(sparkline(&[u64::MAX, 1], 9), "█▁");
    }

    #[test]
    fn all_values_are_squeezed_the_newest_whole() {
        assert_eq!(squeezed(&[1, 2, 3, 4, 5], 2), [3, 12]);
        assert_eq!(squeezed(&[1, 2], 9), [1, 2]);
        assert_eq!(squeezed(&[1, 2], 0), [3]);
    }

    #[test]
    fn columns_fill_from_below() {
        assert_eq!(column(10, 10, 2), ['█', '█']);
        assert_eq!(column(5, 10, 2), ['█', ' ']);
        assert_eq!(column(1, 1_000_000, 3)[1..], [' ', ' ']);
        assert_ne!(column(1, 1_000_000, 3)[0], ' ');
        assert_eq!(column(0, 0, 1), [' ']);
    }
}
