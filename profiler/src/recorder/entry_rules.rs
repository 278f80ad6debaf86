//! Which entries are recorded one by one.

use std::fmt;
use std::str::FromStr;

use tracing_core::Metadata;

/// A second is more ticks than this, whatever the clock.
pub(crate) const TICKS_MIN: u64 = 100_000_000;
/// After so many entries a span has lived long.
pub(crate) const LONG_COUNT: u64 = 1_000;
/// More ticks than any age; and added to any moment it does not overflow.
pub(crate) const NO_AGE: u64 = 1 << 62;

/// Which entries of a span are recorded as records of their own, in table `entry`: when a thread was
/// inside, for how long, and in which span it was around that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Entries {
    /// None.
    Off,
    /// Those of long-lived spans: all entries except the first that begin when the span has been open
    /// for a second, or after a thousand others. Of Bevy's systems, which are known to be long-lived,
    /// all.
    #[default]
    LongLived,
    /// All. Spans with this setting take none of the fast paths: making, entering, leaving and closing
    /// one takes about twice the instructions. If it is set for spans of a name, by
    /// [`ProfilerBuilder::entries_of`](crate::ProfilerBuilder::entries_of), each entry is a call; if it
    /// is set for all spans, by [`ProfilerBuilder::entries`](crate::ProfilerBuilder::entries), only
    /// those of long-lived spans are.
    All,
}

impl Entries {
    const NAMES: [(&'static str, Self); 3] =
        [("off", Self::Off), ("long-lived", Self::LongLived), ("all", Self::All)];

    /// The name in settings.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::LongLived => "long-lived",
            Self::All => "all",
        }
    }
}

impl FromStr for Entries {
    type Err = NoSuchEntries;

    fn from_str(text: &str) -> Result<Self, NoSuchEntries> {
        let found = Self::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text.trim()));
        found.map(|(_, entries)| *entries).ok_or(NoSuchEntries)
    }
}

/// The text is none of `off`, `long-lived` and `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSuchEntries;

impl fmt::Display for NoSuchEntries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected off, long-lived or all")
    }
}

impl std::error::Error for NoSuchEntries {}

/// The rule for the spans of a callsite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RuleOf {
    pub(crate) entries: Entries,
    /// The program asks for all entries of just these spans: each counts as a call, however short-lived
    /// the span is.
    pub(crate) is_asked_for: bool,
}

impl RuleOf {
    pub(crate) const OFF: Self = Self { entries: Entries::Off, is_asked_for: false };

    /// As a number, for a ring file: 0 off, 1 long-lived, 2 all; 4 more if they are asked for.
    #[cfg(feature = "crash-proof")]
    pub(crate) fn bits(self) -> u64 {
        self.entries as u64 | u64::from(self.is_asked_for) << 2
    }

    /// From such a number.
    #[cfg(feature = "crash-proof")]
    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        let entries = match bits & 3 {
            0 => Entries::Off,
            1 => Entries::LongLived,
            2 => Entries::All,
            _ => return None,
        };
        (bits < 8).then_some(Self { entries, is_asked_for: bits & 4 != 0 })
    }
}

/// The rules for all spans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EntryRules {
    /// For spans that no pattern fits.
    pub(crate) others: Entries,
    /// Patterns of names and targets, in the order in which they were given.
    rules: Vec<(String, Entries)>,
}

impl EntryRules {
    pub(crate) fn add(&mut self, pattern: String, entries: Entries) {
        self.rules.push((pattern, entries));
    }

    /// The rule for the spans of a callsite: the longest pattern that fits decides; among equally long
    /// ones, the last.
    pub(crate) fn of(&self, metadata: &Metadata<'_>) -> RuleOf {
        let fitting = self.rules.iter().filter(|(pattern, _)| fits(pattern, metadata));
        let rule = fitting.max_by_key(|(pattern, _)| pattern.len());
        match rule {
            Some((_, entries)) => {
                RuleOf { entries: *entries, is_asked_for: *entries == Entries::All }
            }
            None if self.others == Entries::LongLived && lives_long(metadata) => {
                RuleOf { entries: Entries::All, is_asked_for: true }
            }
            None => RuleOf { entries: self.others, is_asked_for: false },
        }
    }

    /// The most that any rule asks for.
    pub(crate) fn most(&self) -> Entries {
        let all = self.rules.iter().map(|(_, entries)| *entries).chain([self.others]);
        all.max_by_key(|entries| *entries as u8).unwrap_or_default()
    }
}

/// Spans of well-known crates that are made once and entered again and again: the name of the crate, and
/// of the spans. Each of their entries counts from the first one on, unless another rule is set. As of
/// `bevy_ecs` 0.20.
const LIVE_LONG: [(&str, &[&str]); 1] =
    [("bevy_ecs", &["system", "system_commands", "par_for_each", "multithreaded executor"])];

fn lives_long(metadata: &Metadata<'_>) -> bool {
    let is_in = |name: &str| metadata.target().split("::").next() == Some(name);
    LIVE_LONG.iter().any(|(name, spans)| spans.contains(&metadata.name()) && is_in(name))
}

/// Whether a pattern is the span's name, or its target, or a part of the target before `::`; or, if it
/// ends with a star, the beginning of name or target.
fn fits(pattern: &str, metadata: &Metadata<'_>) -> bool {
    let (name, target) = (metadata.name(), metadata.target());
    if let Some(start) = pattern.strip_suffix('*') {
        return name.starts_with(start) || target.starts_with(start);
    }
    let inside = target.strip_prefix(pattern);
    name == pattern || inside.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

impl FromStr for EntryRules {
    type Err = NotRules;

    /// As in `long-lived,my_app::conn=all,db.query=off`: a part without a pattern is for all other
    /// spans.
    fn from_str(text: &str) -> Result<Self, NotRules> {
        let mut all = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let wrong = |NoSuchEntries| NotRules(part.to_owned());
            match part.rsplit_once('=') {
                None => all.others = part.parse().map_err(wrong)?,
                Some((pattern, entries)) if !pattern.trim().is_empty() => {
                    all.add(pattern.trim().to_owned(), entries.parse().map_err(wrong)?);
                }
                Some(_) => return Err(NotRules(part.to_owned())),
            }
        }
        Ok(all)
    }
}

impl fmt::Display for EntryRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.others.as_str())?;
        self.rules
            .iter()
            .try_for_each(|(pattern, entries)| write!(f, ",{pattern}={}", entries.as_str()))
    }
}

/// A part of the text that is no rule for entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotRules(String);

impl fmt::Display for NotRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}`: expected off, long-lived or all, or a name or target with one of them, as in db.query=off",
            self.0
        )
    }
}

impl std::error::Error for NotRules {}

#[cfg(test)]
mod tests {
    use tracing_core::callsite::{Callsite, Identifier};
    use tracing_core::field::FieldSet;
    use tracing_core::{Interest, Kind, Level};

    use super::*;

    struct Site;

    impl Callsite for Site {
        fn set_interest(&self, _: Interest) {}
        fn metadata(&self) -> &Metadata<'_> {
            &METADATA
        }
    }

    static METADATA: Metadata<'static> = Metadata::new(
        "query",
        "my_app::db::pool",
        Level::INFO,
        None,
        None,
        None,
        FieldSet::new(&[], Identifier(&Site)),
        Kind::SPAN,
    );

    fn of(rules: &str) -> Entries {
        rules.parse::<EntryRules>().unwrap().of(&METADATA).entries
    }

    #[test]
    fn only_who_asks_for_a_name_wants_each_entry_to_count() {
        let asked = |rules: &str| rules.parse::<EntryRules>().unwrap().of(&METADATA).is_asked_for;
        assert!(!asked("all") && !asked("query=long-lived") && !asked("all,query=off"));
        assert!(asked("query=all") && asked("off,my_app=all"));
    }

    #[test]
    fn the_longest_pattern_that_fits_decides() {
        assert_eq!(of(""), Entries::LongLived);
        assert_eq!(of("off"), Entries::Off);
        assert_eq!(of("off,my_app=all"), Entries::All);
        assert_eq!(of("off, my_app::db=long-lived ,my_app=all"), Entries::LongLived);
        assert_eq!(of("my_app=all,query=off"), Entries::All, "shorter");
        assert_eq!(of("query=all,query=off"), Entries::Off, "the last one");
        assert_eq!(of("my_ap=all"), Entries::LongLived, "no part of the target");
        assert_eq!(of("my_app::db::pool=ALL"), Entries::All);
        assert_eq!(of("que*=all"), Entries::All);
        assert_eq!(of("my_app::*=all"), Entries::All);
    }

    #[test]
    fn each_entry_of_a_bevy_system_counts_unless_something_else_is_asked_for() {
        static SYSTEM: Metadata<'static> = Metadata::new(
            "system",
            "bevy_ecs::system::function_system",
            Level::INFO,
            None,
            None,
            None,
            FieldSet::new(&[], Identifier(&Site)),
            Kind::SPAN,
        );
        let of = |rules: &str| rules.parse::<EntryRules>().unwrap().of(&SYSTEM);
        let each = RuleOf { entries: Entries::All, is_asked_for: true };
        assert_eq!(of(""), each);
        assert_eq!(of("query=all"), each, "a rule for something else");
        for rules in ["system=long-lived", "bevy_ecs=long-lived", "off,sys*=long-lived"] {
            let usual = RuleOf { entries: Entries::LongLived, is_asked_for: false };
            assert_eq!(of(rules), usual, "{rules}");
        }
        assert_eq!(of("off"), RuleOf::OFF);
        assert_eq!(of("all"), RuleOf { entries: Entries::All, is_asked_for: false });
    }

    #[test]
    fn the_most_that_any_span_has_is_known() {
        let most = |rules: &str| rules.parse::<EntryRules>().unwrap().most();
        assert_eq!(most("off"), Entries::Off);
        assert_eq!(most("off,a=long-lived"), Entries::LongLived);
        assert_eq!(most("off,a=all,b=off"), Entries::All);
    }

    #[test]
    fn what_is_no_rule_is_named() {
        for text in ["every", "db.query=some", "=all", "off,db=,all"] {
            let error = text.parse::<EntryRules>().unwrap_err().to_string();
            assert!(error.contains("off, long-lived or all"), "{error}");
        }
        let rules: EntryRules = "all,a::b=off,c*=long-lived".parse().unwrap();
        assert_eq!(rules.to_string(), "all,a::b=off,c*=long-lived");
    }
}
