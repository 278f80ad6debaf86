//! Placeholders in the path of a database, so that each process gets a file of its own.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The path with `%p`, `%t`, `%n` and `%%` replaced. Any other percent sign stands for itself.
pub(crate) fn expand(path: &Path) -> PathBuf {
    let replaced = |text: &str| replace(text, std::process::id(), since_epoch(), &program());
    if let Some(text) = path.to_str() {
        return replaced(text).into();
    }
    // Parts that are not Unicode stay as they are.
    let parts = path.components().map(|component| match component {
        Component::Normal(name) => match name.to_str() {
            Some(text) => OsString::from(replaced(text)),
            None => name.to_owned(),
        },
        other => other.as_os_str().to_owned(),
    });
    parts.collect()
}

/// Whether two processes that live at the same time always get different paths.
pub(crate) fn tells_processes_apart(path: &Path) -> bool {
    let text = path.to_string_lossy();
    let mut rest = text.split('%').skip(1);
    while let Some(part) = rest.next() {
        match part.chars().next() {
            Some('p') => return true,
            // The second of two percent signs.
            None => _ = rest.next(),
            Some(_) => {}
        }
    }
    false
}

fn replace(text: &str, pid: u32, since_epoch: Duration, program: &str) -> String {
    let mut path = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        path.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let mut replaced = true;
        match rest.chars().next() {
            Some('p') => path.push_str(&pid.to_string()),
            Some('t') => path.push_str(&utc(since_epoch.as_secs())),
            Some('n') => path.push_str(program),
            Some('%') => path.push('%'),
            _ => {
                path.push('%');
                replaced = false;
            }
        }
        if replaced {
            rest = &rest[1..];
        }
    }
    path + rest
}

/// The name of the program's file, without its ending.
fn program() -> String {
    let path = std::env::current_exe().ok();
    let stem = path.as_deref().and_then(Path::file_stem);
    stem.map_or_else(|| "profile".into(), |stem| stem.to_string_lossy().into_owned())
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// As `20261128T162233Z`: it sorts by time, and is a file name on all systems.
fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // From days to a date: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153; // March is 0
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year_of_era + era * 400 + next_year;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(text: &str) -> String {
        replace(text, 42, Duration::from_secs(951_827_696), "shop")
    }

    #[test]
    fn what_stands_for_a_process() {
        assert_eq!(replaced("%n-%p.db"), "shop-42.db");
        assert_eq!(replaced("logs/%t/%p%p.db"), "logs/20000229T123456Z/4242.db");
        assert_eq!(replaced("plain.db"), "plain.db");
        assert_eq!(replaced("%%p.db"), "%p.db");
        assert_eq!(replaced("100%.db%"), "100%.db%");
        assert_eq!(replaced("a%20b-%ü.db"), "a%20b-%ü.db");
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(utc(0), "19700101T000000Z");
        assert_eq!(utc(1_709_251_199), "20240229T235959Z");
        assert_eq!(utc(1_798_761_600), "20270101T000000Z");
        assert_eq!(utc(4_107_542_400), "21000301T000000Z", "no leap year");
    }

    #[test]
    fn only_the_process_id_tells_processes_apart() {
        for (path, apart) in [
            ("%p.db", true),
            ("a/%n-%p", true),
            ("%n-%t.db", false),
            ("%%p.db", false),
            ("%%%p.db", true),
            ("p.db", false),
            ("100%", false),
        ] {
            assert_eq!(tells_processes_apart(path.as_ref()), apart, "{path}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_no_unicode_keeps_its_bytes() {
        use std::os::unix::ffi::{OsStrExt, OsStringExt};
        let path = PathBuf::from(OsString::from_vec(b"/\xFF%p/%p.db".to_vec()));
        let expanded = expand(&path);
        let name = format!("{}.db", std::process::id());
        assert_eq!(expanded.file_name().unwrap().to_str(), Some(name.as_str()));
        assert!(expanded.as_os_str().as_bytes().starts_with(b"/\xFF%p/"));
    }
}
