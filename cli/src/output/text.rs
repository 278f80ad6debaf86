//! Values as text for people. What comes from a profile is data: no control character of it reaches
//! a terminal.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use std::fmt::Write as _;

/// Stands behind the name of long-lived spans, whose entries count.
pub(crate) const LONG: char = '⟳';

/// What it means.
pub(crate) const LONG_MEANS: &str = "⟳ lives long: each time it was entered counts";

/// Stands behind the name of a span that was never entered.
pub(crate) const IDLE: &str = "(never entered)";

/// What it means for a list.
pub(crate) const IDLE_MEANS: &str = "never entered: no thread was ever inside, so that how long it was open is nobody's work; those come last";

/// Whether a terminal would obey the character instead of showing it, or write backwards after it.
pub(crate) fn is_terminal_control(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A number of any size, as people write it: `42`, `1,250`, `0.25`, `-2.346`, `1.500e21`.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if value.fract() == 0.0 && size < 1e15 {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}{}", count(size as u64));
    }
    if !(1e-4..1e15).contains(&size) {
        return match value.is_finite() {
            true => format!("{value:.3e}"),
            false => value.to_string(),
        };
    }
    // Four figures, or all before the point.
    let decimals = (3 - size.log10().floor() as i32).clamp(0, 7) as usize;
    let rounded = format!("{value:.decimals$}");
    match rounded.contains('.') {
        true => rounded.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => rounded,
    }
}

/// Values over time in a row, between their smallest and largest; where there is none, the one before holds.
pub(crate) fn trend(values: &[Option<f64>]) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let known = || values.iter().flatten().copied().filter(|value| value.is_finite());
    let (least, most) = (known().fold(f64::MAX, f64::min), known().fold(f64::MIN, f64::max));
    let mut last = ' ';
    let level = |value: &Option<f64>| {
        if let Some(value) = value {
            // Infinite ones, too, are at an end.
            let share = match most > least {
                true => (value / 2.0 - least / 2.0) / (most / 2.0 - least / 2.0),
                false => 0.5,
            };
            let at = (share.clamp(0.0, 1.0) * 7.0).round() as usize;
            last = LEVELS.get(at).copied().unwrap_or(last);
        }
        last
    };
    values.iter().map(level).collect()
}

/// `text` with control characters escaped, and those that change the direction of writing.
pub(crate) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        if is_terminal_control(character) {
            clean.extend(character.escape_default());
        } else {
            clean.push(character);
        }
    }
    clean
}

/// `text`, cleaned, without the characters that no XML document may have.
pub(crate) fn for_xml(text: &str) -> String {
    clean(text).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

/// A line, or a cell of a table, as Markdown without any formatting: no emphasis, link, code or tag. An
/// underscore within a word has no meaning in GitHub's: <https://github.github.com/gfm/>.
pub(crate) fn for_markdown(text: &str, is_line: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    // Headings, lists and quotations begin with these.
    if is_line && text.starts_with(['#', '+', '-', '>']) {
        escaped.push('\\');
    }
    let mut is_behind_word = false;
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        let is_before_word = rest.peek().is_some_and(|next| next.is_alphanumeric());
        match character {
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            '_' if is_behind_word && is_before_word => escaped.push('_'),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' => escaped.extend(['\\', character]),
            _ => escaped.push(character),
        }
        is_behind_word = character.is_alphanumeric();
    }
    escaped
}

/// The fence around a drawing in Markdown: more backquotes than the drawing has in a row.
pub(crate) fn fence(drawing: &str) -> String {
    let runs = drawing.split(|character| character != '`').map(str::len);
    "`".repeat(runs.max().unwrap_or(0).max(2) + 1)
}

/// `1234567` as `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of something, `noun` being one of them: `1 span`, `2,000 spans`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let ending = match noun {
        _ if number == 1 => "",
        noun if noun.ends_with("ch") || noun.ends_with('s') => "es",
        _ => "s",
    };
    format!("{} {noun}{ending}", count(number))
}

/// The word that agrees with a number, such as `is` or `are`.
pub(crate) fn agree<'a>(number: u64, one: &'a str, more: &'a str) -> &'a str {
    if number == 1 { one } else { more }
}

/// Number, noun and verb: `1 span is`, `2,000 spans are`.
pub(crate) fn counted_with(number: u64, noun: &str, (one, more): (&str, &str)) -> String {
    format!("{} {}", counted(number, noun), agree(number, one, more))
}

pub(crate) const IS: (&str, &str) = ("is", "are");
pub(crate) const WAS: (&str, &str) = ("was", "were");
pub(crate) const HAS: (&str, &str) = ("has", "have");

/// Nanoseconds with two decimals and a unit of two characters, so that right-aligned columns have
/// their decimal points beneath each other: ` 2.02 ms`, `15.72 s `, `4m 02s`.
pub(crate) fn duration(ns: i64) -> String {
    let magnitude = ns.unsigned_abs();
    let sign = if ns < 0 { "-" } else { "" };
    // If two decimals round up to the next unit, that unit is used.
    let (per_unit, unit) = match magnitude {
        0..999_995 => (1e3, "µs"),
        999_995..999_995_000 => (1e6, "ms"),
        999_995_000..59_995_000_000 => (1e9, "s "),
        _ => return format!("{sign}{}", long(magnitude)),
    };
    format!("{sign}{:.2} {unit}", magnitude as f64 / per_unit)
}

/// From a minute on.
fn long(ns: u64) -> String {
    let seconds = ns.saturating_add(500_000_000) / 1_000_000_000;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    if hours > 0 {
        format!("{hours}h {minutes:02}m")
    } else {
        format!("{minutes}m {:02}s", seconds % 60)
    }
}

/// Nanoseconds in a sentence: `2.02 ms`, without the padding of [`duration`].
pub(crate) fn duration_in_words(ns: i64) -> String {
    duration(ns).trim_end().to_owned()
}

/// Nanoseconds in the form that the command line takes: `20ms`, `1500us`.
pub(crate) fn duration_argument(ns: u64) -> String {
    let units = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];
    let unit = units.into_iter().find(|(_, size)| ns.is_multiple_of(*size) && ns >= *size);
    unit.map_or_else(|| "0".to_owned(), |(unit, size)| format!("{}{unit}", ns / size))
}

/// Bytes: `41 KB`, `118 MB`, `1.2 GB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    if value < 9.95 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// A share of one: `73.7%`.
pub(crate) fn share(share: f64) -> String {
    if share.is_finite() { format!("{:.1}%", share * 100.0) } else { "-".into() }
}

/// A bar of eighths of a block, `width` columns for a share of one; at least the thinnest bar for what is above 0.
pub(crate) fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (share.clamp(0.0, 1.0) * (width * 8) as f64).round() as usize;
    let eighths = if share > 0.0 { eighths.max(1) } else { eighths };
    let mut bar = "█".repeat(eighths / 8);
    if let Some(part) = (eighths % 8).checked_sub(1).and_then(|part| EIGHTHS.get(part)) {
        bar.push(*part);
    }
    bar
}

/// A word as a shell takes it: in quotes where it has to be.
pub(crate) fn shell(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The text in ASCII: what spandrel draws is replaced, all other characters are escaped.
pub(crate) fn ascii(text: &str) -> String {
    let mut ascii = String::with_capacity(text.len());
    for character in text.chars() {
        let stand_in = match character {
            '\0'..='\x7f' => {
                ascii.push(character);
                continue;
            }
            'µ' => "u",
            '·' => ".",
            '–' | '—' | '─' => "-",
            '→' => "->",
            '…' => "...",
            '±' => "+-",
            '≤' => "<=",
            '≥' => ">=",
            '×' => "x",
            '│' | '┤' | '├' | '▏' | '▎' | '▍' | '▌' | '╵' | '⋮' => "|",
            '▋' | '▊' | '▉' | '█' | '▒' | '▓' | '▇' | '▆' | '▅' | '▄' => "#",
            '░' | '▁' | '▂' | '▃' => ".",
            '◆' | '●' => "*",
            '⟳' => "@",
            '◄' => "<",
            '►' => ">",
            '▲' => "^",
            '▼' => "v",
            '✓' => "ok",
            '✗' => "x",
            '└' => "`",
            _ => {
                let _written = write!(ascii, "\\u{{{:x}}}", u32::from(character));
                continue;
            }
        };
        ascii.push_str(stand_in);
    }
    ascii
}

/// The beginning of a text that fits into `columns`, with a `…` if that is not all of it.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns { text.to_owned() } else { beginning(text, columns) }
}

/// The beginning of a text that does not fit.
pub(crate) fn beginning(text: &str, columns: usize) -> String {
    let mut used = 1;
    let fits = |character: &char| {
        used += character.width().unwrap_or(0);
        used <= columns
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// A number for a name, the same in each run (FNV-1a), for colours.
pub(crate) fn hash(name: &str) -> u32 {
    let step = |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    name.bytes().fold(0x811c_9dc5_u32, step)
}

/// Breaks a text between words. All lines after the first are indented by two columns, relative to the
/// first one.
pub(crate) fn wrap(text: &str, width: usize) -> String {
    let indent = (text.len() - text.trim_start_matches(' ').len()).max(2);
    let (mut lines, mut used, mut is_new) = (String::new(), 0, true);
    for word in text.split(' ') {
        let wide = anstream::adapter::strip_str(word).to_string().width();
        if !is_new && used + 1 + wide > width {
            lines.truncate(lines.trim_end().len());
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            (used, is_new) = (indent, true);
        }
        // The blanks at which a line was broken are removed.
        if is_new && wide == 0 && !lines.is_empty() {
            continue;
        }
        if !is_new {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(word);
        (used, is_new) = (used + wide, false);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_decimals_and_round_into_the_next_unit() {
        for (ns, text) in [
            (0, "0.00 µs"),
            (42, "0.04 µs"),
            (999_994, "999.99 µs"),
            (999_995, "1.00 ms"),
            (2_020_000, "2.02 ms"),
            (999_995_000, "1.00 s "),
            (15_720_000_000, "15.72 s "),
            (59_994_000_000, "59.99 s "),
            (59_995_000_000, "1m 00s"),
            (242_000_000_000, "4m 02s"),
            (7_500_000_000_000, "2h 05m"),
            (-2_020_000, "-2.02 ms"),
        ] {
            assert_eq!(duration(ns), text, "{ns}");
        }
        assert!(!duration(i64::MIN).is_empty() && !duration(i64::MAX).is_empty());
    }

    #[test]
    fn counts_and_bytes() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [999, 41_000, 999_600, 118_000_000, 1_240_000_000].map(bytes),
            ["999 B", "41 KB", "1.0 MB", "118 MB", "1.2 GB"]
        );
    }

    #[test]
    fn one_is_not_many() {
        let spans = [0, 1, 2, 1_234].map(|number| counted(number, "span"));
        assert_eq!(spans, ["0 spans", "1 span", "2 spans", "1,234 spans"]);
        assert_eq!([1, 3].map(|number| counted(number, "batch")), ["1 batch", "3 batches"]);
        assert_eq!([0, 1, 2].map(|number| agree(number, "is", "are")), ["are", "is", "are"]);
    }

    #[test]
    fn markdown_says_what_the_text_says() {
        for (text, line, cell) in [
            ("http.request", "http.request", "http.request"),
            ("read_all(*) _x_", "read_all(\\*) \\_x\\_", "read_all(\\*) \\_x\\_"),
            ("![a](b) <b>&", "!\\[a\\](b) &lt;b>&amp;", "!\\[a\\](b) &lt;b>&amp;"),
            ("# a | b", "\\# a \\| b", "# a \\| b"),
            ("- 1", "\\- 1", "- 1"),
            ("a\\|`c`~~", "a\\\\\\|\\`c\\`\\~\\~", "a\\\\\\|\\`c\\`\\~\\~"),
        ] {
            assert_eq!(for_markdown(text, true), line);
            assert_eq!(for_markdown(text, false), cell);
        }
        assert_eq!([fence("a"), fence("```` b"), fence("")].map(|fence| fence.len()), [3, 5, 3]);
    }

    #[test]
    fn no_document_of_xml_is_spoiled() {
        assert_eq!(for_xml("a\u{ffff}b\u{fffe}\u{1b}"), "a\u{fffd}b\u{fffd}\\u{1b}");
    }

    #[test]
    fn no_control_character_is_left() {
        let nasty = "a\x1b[31mred\u{9b}31m\r\n\t\u{202e}b\0";
        let clean = clean(nasty);
        assert!(!clean.chars().any(|c| c.is_control() || c == '\u{202e}'), "{clean:?}");
        assert!(clean.starts_with("a\\u{1b}[31mred"));
        assert!(ascii("µ→█é").is_ascii());
    }

    #[test]
    fn durations_as_arguments() {
        let texts = [0, 1, 1_500_000, 20_000_000, 3_000_000_000].map(duration_argument);
        assert_eq!(texts, ["0", "1ns", "1500us", "20ms", "3s"]);
    }

    #[test]
    fn words_for_a_shell() {
        let words = ["db.query", "a b", "", "it's", "$x"].map(shell);
        assert_eq!(words, ["db.query", "'a b'", "''", r"'it'\''s'", "'$x'"]);
    }

    #[test]
    fn bars_grow() {
        assert_eq!(bar(0.0, 10), "");
        assert_eq!(bar(0.0001, 10), "▏");
        assert_eq!(bar(0.5, 10), "█████");
        assert_eq!(bar(2.0, 3), "███");
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("longer", 5), "long…");
        assert_eq!(cut("日本語日本語", 5), "日本…");
    }

    #[test]
    fn notes_break_between_words() {
        assert_eq!(wrap("one two three", 7), "one two\n  three");
        assert_eq!(wrap("a   wide   gap", 8), "a   wide\n  gap");
        assert_eq!(wrap("unbreakable", 4), "unbreakable");
        assert_eq!(wrap("    one two", 9), "    one\n    two", "as far in as it began");
    }
}
