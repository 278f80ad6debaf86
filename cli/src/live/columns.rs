//! The columns of the table: their names, meanings and contents, and how rows are sorted by them.

use std::cmp::Ordering;

use super::page::Row;
use crate::output::text;

/// Makes the columns that the table can be sorted by, in the order of the screen: the key that sorts by one, its
/// title, how many columns of the screen it takes, and what it means.
macro_rules! columns {
    ($($(#[$default:meta])* $name:ident, $letter:literal, $title:literal, $width:literal, $meaning:literal;)*) => {
        /// A column that the table can be sorted by.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub(crate) enum ColumnName {
            $($(#[$default])* $name,)*
        }

        impl ColumnName {
            pub(crate) const ALL: [Self; 9] = [$(Self::$name,)*];

            pub(crate) fn letter(self) -> char {
                match self { $(Self::$name => $letter,)* }
            }

            pub(crate) fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// The name gets what is left.
            pub(crate) fn width(self) -> u16 {
                match self { $(Self::$name => $width,)* }
            }

            pub(crate) fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }
        }
    };
}

columns! {
    Rate, 'R', "rate/s", 8,
        "spans of the name that ended, or entries of those that live long, a second";
    P50, 'M', "p50", 9,
        "half of the calls took longer (within 1%, as p95 and p99)";
    P95, 'P', "p95", 9,
        "one in 20 took longer";
    P99, 'T', "p99", 9,
        "one in 100 took longer";
    Max, 'X', "max", 9,
        "the longest duration; exact";
    Busy, 'B', "busy", 5,
        "time inside the span, of its duration; above 100%: several threads at once; -: not measured (busy_time(false))";
    Errors, 'E', "errors", 7,
        "spans that failed or panicked";
    #[default] SelfTime, 'L', "self", 9,
        "duration less that of the children, summed up over the window";
    Name, 'N', "span", 0,
        "the name of the spans, and their target where there is room; ⟳: they live long, and each time one was entered counts";
}

impl ColumnName {
    /// The text of a row in this column.
    pub(crate) fn text(self, row: &Row) -> String {
        match self {
            Self::Rate if row.rate < 10.0 => rate(row.rate),
            Self::Rate => compact(row.rate.round() as u64, self.width()),
            Self::P50 => text::duration(row.p50_ns),
            Self::P95 => text::duration(row.p95_ns),
            Self::P99 => text::duration(row.p99_ns),
            Self::Max => text::duration(row.sums.max_ns),
            Self::Busy => row.busy_share().map_or("-".into(), |share| {
                let percent = share * 100.0;
                match percent.is_finite() {
                    true if percent < 9_999.5 => format!("{percent:.0}%"),
                    true => ">10k%".into(),
                    false => "-".into(),
                }
            }),
            Self::Errors => compact(row.sums.errors, self.width()),
            Self::SelfTime => text::duration(row.sums.self_ns),
            Self::Name => row.key.text(),
        }
    }

    /// The order of two rows: the larger first, names from A to Z.
    pub(crate) fn order(self, one: &Row, other: &Row) -> Ordering {
        let number = |row: &Row| match self {
            Self::P50 => row.p50_ns,
            Self::P95 => row.p95_ns,
            Self::P99 => row.p99_ns,
            Self::Max => row.sums.max_ns,
            Self::Errors => i64::try_from(row.sums.errors).unwrap_or(i64::MAX),
            _ => row.sums.self_ns,
        };
        match self {
            Self::Rate => other.rate.total_cmp(&one.rate),
            Self::Busy => {
                let share = |row: &Row| row.busy_share().unwrap_or(-1.0);
                share(other).total_cmp(&share(one))
            }
            Self::Name => one.key.cmp(&other.key),
            _ => number(other).cmp(&number(one)),
        }
    }

    /// The column with this title, as the command line names it, with `_ns` or without.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let name = name.strip_suffix("_ns").unwrap_or(name);
        let name = match name {
            "rate" => "rate/s",
            "name" => "span",
            "busy_share" => "busy",
            other => other,
        };
        Self::ALL.into_iter().find(|column| column.title() == name)
    }
}

/// A number that takes at most `columns`: in thousands, millions and so on if its digits do not fit.
fn compact(count: u64, columns: u16) -> String {
    let whole = text::count(count);
    if whole.len() <= usize::from(columns) {
        return whole;
    }
    let mut rest = count as f64;
    let mut units = ['k', 'M', 'G', 'T', 'P', 'E'].into_iter();
    let mut unit = None;
    while rest >= 999.5
        && let Some(next) = units.next()
    {
        rest /= 1e3;
        unit = Some(next);
    }
    let digits = if rest < 99.95 { 2 } else { 1 };
    format!("{rest:.digits$}{}", unit.map(String::from).unwrap_or_default())
}

/// A number a second, with decimals where they matter.
pub(crate) fn rate(rate: f64) -> String {
    if rate >= 10.0 || rate == 0.0 {
        text::count(rate.round() as u64)
    } else {
        format!("{rate:.1}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::test_pages::row;

    #[test]
    fn a_number_that_is_too_wide_is_said_in_another_unit_and_not_cut() {
        let mut large = row("a", 1);
        for count in [0, 7, 9_999_999, 123_456_789, 99_999_999_999, u64::MAX] {
            (large.sums.errors, large.rate) = (count, count as f64);
            large.sums.sum_ns = 1;
            large.sums.busy_ns = Some(i64::try_from(count).unwrap_or(i64::MAX));
            for column in ColumnName::ALL {
                let text = column.text(&large);
                let is_name = column == ColumnName::Name;
                assert!(is_name || text.chars().count() <= column.width().into(), "{text}");
            }
        }
        assert_eq!([999, 1_234_567, 12_345_678].map(|n| compact(n, 8)), ["999", "1.23M", "12.35M"]);
    }
}
