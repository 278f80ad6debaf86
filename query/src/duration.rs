//! Durations as people write and read them.
//!
//! What is printed is read back as nearly the same: `parse_duration_ns` takes every text that
//! [`DurationNs`] makes of a duration that is not negative.

use std::error;
use std::fmt;

/// Units, the largest first, with the names that are taken and the nanoseconds.
const UNITS: [(&[&str], i128); 7] = [
    (&["d"], 86_400_000_000_000),
    (&["h"], 3_600_000_000_000),
    (&["m", "min"], 60_000_000_000),
    (&["s"], 1_000_000_000),
    (&["ms"], 1_000_000),
    // The micro sign and the Greek letter look the same.
    (&["us", "µs", "μs"], 1_000),
    (&["ns"], 1),
];

/// What is wrong with a text that should be a duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurationError(String);

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl error::Error for DurationError {}

/// Reads a duration such as `10ms`, `1.5s`, `200us` or `1h30m` as nanoseconds.
///
/// Units are `ns`, `us` (`µs`), `ms`, `s`, `m` (`min`), `h` and `d`; several are added up, the
/// largest first. Spaces are ignored. Only zero needs no unit. What is finer than a nanosecond is
/// rounded.
///
/// # Errors
///
/// A text that is none, a number without a unit, and more than 292 years.
///
/// # Examples
///
/// ```
/// use spandrel_query::parse_duration_ns;
///
/// assert_eq!(parse_duration_ns("1.5ms"), Ok(1_500_000));
/// assert_eq!(parse_duration_ns("1h30m"), Ok(5_400_000_000_000));
/// let error = parse_duration_ns("100").unwrap_err().to_string();
/// assert_eq!(error, r#""100" has no unit; write 100ns, 100us, 100ms or 100s"#);
/// ```
pub fn parse_duration_ns(text: &str) -> Result<i64, DurationError> {
    let refused = || {
        DurationError(format!("{text:?} is no duration; write one as 200us, 10ms, 1.5s or 1h30m"))
    };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(refused());
    }
    let mut total: i128 = 0;
    let mut smallest_so_far = i128::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        rest = after.trim_start();
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return Err(refused());
        }
        if unit.is_empty() && rest.is_empty() {
            if total == 0 && number.bytes().all(|byte| byte == b'0' || byte == b'.') {
                return Ok(0);
            }
            return Err(no_unit(text, number));
        }
        let Some(unit_ns) = unit_ns(unit) else {
            return Err(DurationError(format!(
                "{text:?} has an unknown unit; there are ns, us, ms, s, m, h and d"
            )));
        };
        if unit_ns >= smallest_so_far {
            return Err(refused());
        }
        smallest_so_far = unit_ns;
        let part = scaled(whole, fraction, unit_ns);
        total = part
            .and_then(|part| total.checked_add(part))
            .filter(|total| *total <= i128::from(i64::MAX))
            .ok_or_else(|| {
                DurationError(format!("{text:?} is too long; durations end at 292 years"))
            })?;
    }
    i64::try_from(total).map_err(|_| refused())
}

fn no_unit(text: &str, number: &str) -> DurationError {
    let whole = text.trim();
    if whole == number {
        DurationError(format!(
            "{whole:?} has no unit; write {number}ns, {number}us, {number}ms or {number}s"
        ))
    } else {
        DurationError(format!("{text:?} ends without a unit; write ns, us, ms, s, m, h or d"))
    }
}

fn unit_ns(name: &str) -> Option<i128> {
    UNITS.iter().find(|(names, _)| names.contains(&name)).map(|(_, ns)| *ns)
}

/// The number times the unit, rounded; `None` if it is too large.
fn scaled(whole: &str, fraction: &str, unit_ns: i128) -> Option<i128> {
    /// More digits make no nanosecond of a day.
    const DIGITS: usize = 18;
    let whole = if whole.is_empty() { 0 } else { whole.parse::<i128>().ok()? };
    let fraction = fraction.get(..DIGITS).unwrap_or(fraction);
    let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    let fraction = if fraction.is_empty() { 0 } else { fraction.parse::<i128>().ok()? };
    let fraction_ns = (fraction * unit_ns + scale / 2) / scale;
    whole.checked_mul(unit_ns)?.checked_add(fraction_ns)
}

/// A duration in nanoseconds, printed for people: at least three significant figures and at most
/// seven letters, so that columns of them are easy to compare.
///
/// `{:#}` prints `us` for `µs`, where only ASCII can be shown. Width and alignment are kept.
///
/// # Examples
///
/// ```
/// use spandrel_query::DurationNs;
///
/// assert_eq!(DurationNs(712).to_string(), "712 ns");
/// assert_eq!(DurationNs(2_018_000).to_string(), "2.02 ms");
/// assert_eq!(DurationNs(15_720_000_000).to_string(), "15.72 s");
/// assert_eq!(DurationNs(242_000_000_000).to_string(), "4m 02s");
/// assert_eq!(format!("{:>9}", DurationNs(123_456_789)), "   123 ms");
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DurationNs(pub i64);

impl fmt::Display for DurationNs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let text = positive(self.0.unsigned_abs(), f.alternate());
        f.pad(&format!("{sign}{text}"))
    }
}

fn positive(ns: u64, ascii: bool) -> String {
    if ns < 1_000 {
        return format!("{ns} ns");
    }
    let micro = if ascii { "us" } else { "µs" };
    // Rounded before it is compared, so that 999.9996 ms is 1.00 s and not 1000 ms.
    for (unit, size, whole_max) in [(micro, 1_000, 999), ("ms", 1_000_000, 999)] {
        let hundredths = (u128::from(ns) * 100 + size / 2) / size;
        let whole = (u128::from(ns) + size / 2) / size;
        if hundredths < 10_000 {
            return format!("{}.{:02} {unit}", hundredths / 100, hundredths % 100);
        }
        if whole <= whole_max {
            return format!("{whole} {unit}");
        }
    }
    let rounded = |unit_ns: u64| (u128::from(ns) + u128::from(unit_ns) / 2) / u128::from(unit_ns);
    let hundredths = rounded(10_000_000);
    if hundredths < 6_000 {
        return format!("{}.{:02} s", hundredths / 100, hundredths % 100);
    }
    let seconds = rounded(1_000_000_000);
    if seconds < 3_600 {
        return format!("{}m {:02}s", seconds / 60, seconds % 60);
    }
    let minutes = rounded(60_000_000_000);
    if minutes < 24 * 60 {
        return format!("{}h {:02}m", minutes / 60, minutes % 60);
    }
    let hours = rounded(3_600_000_000_000);
    format!("{}d {:02}h", hours / 24, hours % 24)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_that_are_durations() {
        for (text, ns) in [
            ("0", 0),
            ("0ns", 0),
            ("1ns", 1),
            ("200us", 200_000),
            ("200µs", 200_000),
            ("200μs", 200_000),
            ("10ms", 10_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("3m", 180_000_000_000),
            ("3min", 180_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("2d", 172_800_000_000_000),
            ("  2.02 ms ", 2_020_000),
            ("4m 02s", 242_000_000_000),
            ("0.0000000005s", 1),
            ("0.4ns", 0),
            ("9223372036854775807ns", i64::MAX),
        ] {
            assert_eq!(parse_duration_ns(text), Ok(ns), "{text:?}");
        }
    }

    #[test]
    fn texts_that_are_not() {
        for text in [
            "",
            " ",
            "ms",
            "1",
            "1.5",
            "-1s",
            "+1s",
            "1x",
            "1m2",
            "1s1m",
            "1s1s",
            "1..5s",
            ".s",
            "1e3s",
            "9223372036854775808ns",
            "300000000000000000000000000000000000000000d",
            "1 000ms",
            "∞s",
        ] {
            assert!(parse_duration_ns(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_number_without_a_unit_says_so() {
        let error = parse_duration_ns("1h30").unwrap_err().to_string();
        assert_eq!(error, r#""1h30" ends without a unit; write ns, us, ms, s, m, h or d"#);
        let error = parse_duration_ns("5 parsecs").unwrap_err().to_string();
        assert_eq!(
            error,
            r#""5 parsecs" has an unknown unit; there are ns, us, ms, s, m, h and d"#
        );
    }

    #[test]
    fn printed_for_people() {
        for (ns, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (99_994, "99.99 µs"),
            (99_996, "100 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (53_260_000, "53.26 ms"),
            (999_600_000, "1.00 s"),
            (59_994_000_000, "59.99 s"),
            (59_996_000_000, "1m 00s"),
            (3_599_600_000_000, "1h 00m"),
            (86_399_000_000_000, "1d 00h"),
            (i64::MAX, "106752d 00h"),
            (-2_020_000, "-2.02 ms"),
        ] {
            assert_eq!(DurationNs(ns).to_string(), text);
        }
        assert_eq!(format!("{:#}", DurationNs(1_000)), "1.00 us");
        assert!(DurationNs(i64::MIN).to_string().starts_with('-'));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,20}|[0-9.dhmsnuµ ]{0,20}") {
            let _ = parse_duration_ns(&text);
        }

        #[test]
        fn what_is_printed_is_read_back(ns in 0..i64::MAX / 2) {
            for text in [DurationNs(ns).to_string(), format!("{:#}", DurationNs(ns))] {
                let back = parse_duration_ns(&text).unwrap();
                // Half of the last figure: a hundredth, a second of a minute, an hour of a day.
                prop_assert!((back - ns).abs() as f64 <= ns as f64 * 0.021, "{ns} {text} {back}");
            }
        }

        #[test]
        fn nanoseconds_are_exact(ns in 0..i64::MAX) {
            prop_assert_eq!(parse_duration_ns(&format!("{ns}ns")), Ok(ns));
            let seconds = format!("{}.{:09}s", ns / 1_000_000_000, ns % 1_000_000_000);
            prop_assert_eq!(parse_duration_ns(&seconds), Ok(ns));
        }
    }
}
