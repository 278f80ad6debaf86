//! Which callsites are recorded: two levels, and targets with levels of their own.

use tracing_core::{Level, LevelFilter, Metadata};
use tracing_subscriber::filter::Targets;

use crate::error::{Error, ErrorKind};
use crate::recorder::status_hints::may_be_of_instrument;

/// What a rule says of a callsite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Kept,
    /// An event that is not recorded, but marks its span as failed.
    Marks,
    Below,
}

/// Two levels, for spans and for events, and the targets that the filter names: those have a level of
/// their own, for spans and events alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    spans: LevelFilter,
    events: LevelFilter,
    /// Longest first: so the first one that fits a target is the nearest.
    named: Vec<(String, LevelFilter)>,
}

impl Rule {
    pub(crate) fn new(spans: LevelFilter, events: LevelFilter) -> Self {
        Self { spans, events, named: Vec::new() }
    }

    /// Adds a filter as people write it. A level without a target replaces both levels.
    pub(crate) fn with_text(mut self, text: &str) -> Result<Self, Error> {
        let targets = parse(text)?;
        if let Some(level) = targets.default_level() {
            (self.spans, self.events) = (level, level);
        }
        self.named = named(&targets);
        Ok(self)
    }

    /// Exactly what these targets enable.
    pub(crate) fn just(targets: &Targets) -> Self {
        let others = targets.default_level().unwrap_or(LevelFilter::OFF);
        Self { spans: others, events: others, named: named(targets) }
    }

    /// One level for spans and events; events have `events` as well.
    pub(crate) fn up_to(level: LevelFilter, events: LevelFilter) -> Self {
        Self::new(level, events.min(level))
    }

    /// The level of events of targets that are not named.
    pub(crate) fn events(&self) -> LevelFilter {
        self.events
    }

    /// The same as `Targets`, as far as that can express it: there spans and events have one level.
    pub(crate) fn to_targets(&self) -> Targets {
        Targets::new()
            .with_default(self.spans.max(self.events))
            .with_targets(self.named.iter().map(|(target, level)| (target.clone(), *level)))
    }

    /// The most verbose level that any callsite can have.
    pub(crate) fn max_level(&self) -> LevelFilter {
        let named = self.named.iter().map(|(_, level)| *level).max();
        let named = named.unwrap_or(LevelFilter::OFF);
        let marks = if self.keeps_spans() { LevelFilter::ERROR } else { LevelFilter::OFF };
        self.spans.max(self.events).max(named).max(marks)
    }

    fn keeps_spans(&self) -> bool {
        self.spans > LevelFilter::OFF
            || self.named.iter().any(|(_, level)| *level > LevelFilter::OFF)
    }

    /// Whether some targets are named: then it depends on the target whether a callsite is recorded.
    pub(crate) fn has_named(&self) -> bool {
        !self.named.is_empty()
    }

    pub(crate) fn judge(&self, metadata: &Metadata<'_>) -> Verdict {
        self.judge_with_target(metadata, metadata.target())
    }

    /// The same for a callsite whose real target is this.
    pub(crate) fn judge_with_target(&self, metadata: &Metadata<'_>, target: &str) -> Verdict {
        let level = metadata.level();
        let named = self.named.iter().find(|(known, _)| target.starts_with(known.as_str()));
        let most = match named {
            Some((_, level)) => *level,
            None if metadata.is_span() => self.spans,
            None => self.events,
        };
        match () {
            () if *level <= most => Verdict::Kept,
            () if metadata.is_event() && self.keeps_spans() => {
                let is_off = named.is_some() && most == LevelFilter::OFF;
                let may_mark = *level == Level::ERROR || may_be_of_instrument(metadata);
                if may_mark && !is_off { Verdict::Marks } else { Verdict::Below }
            }
            () => Verdict::Below,
        }
    }
}

fn named(targets: &Targets) -> Vec<(String, LevelFilter)> {
    let mut named: Vec<_> =
        targets.iter().map(|(target, level)| (target.to_owned(), level)).collect();
    named.sort_by(|(one, _), (two, _)| two.len().cmp(&one.len()).then_with(|| one.cmp(two)));
    named
}

/// Reads `info,my_app=trace,h2=off`.
fn parse(text: &str) -> Result<Targets, Error> {
    let wrong = |part: &str, why: &str| {
        let message = format!(
            "the filter \"{text}\" cannot be understood at \"{part}\": {why}; write targets and \
             levels like \"my_app=trace,h2=off\""
        );
        Err(Error::new(ErrorKind::InvalidOption, message))
    };
    let mut targets = Targets::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        if part.contains(['[', ']', '{', '}']) {
            return wrong(part, "spans and fields cannot be filtered by");
        }
        let parsed = match part.split_once('=') {
            Some((target, level)) => {
                let (target, level) = (target.trim(), level.trim());
                if target.is_empty() || target.contains(char::is_whitespace) {
                    return wrong(part, "this is no target");
                }
                if level.is_empty() {
                    return wrong(part, "the level is missing");
                }
                (Some(target), level.parse())
            }
            // A single word is a level, or a target of which everything is recorded.
            None => match part.parse() {
                Ok(level) => (None, Ok(level)),
                Err(_) if part.contains(char::is_whitespace) => {
                    return wrong(part, "this is neither a level nor a target");
                }
                Err(_) => (Some(part), Ok(LevelFilter::TRACE)),
            },
        };
        targets = match parsed {
            (Some(target), Ok(level)) => targets.with_target(target, level),
            (None, Ok(level)) => targets.with_default(level),
            (_, Err(_)) => {
                return wrong(part, "levels are off, error, warn, info, debug and trace");
            }
        };
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        Rule::new(LevelFilter::DEBUG, LevelFilter::INFO).with_text(text).unwrap()
    }

    #[test]
    fn the_usual_syntax() {
        let named = |text| rule(text).named;
        let of = |target: &str, level| (target.to_owned(), level);
        assert_eq!(
            named("h2=off, my_app=TRACE,my_app::db=info"),
            [
                of("my_app::db", LevelFilter::INFO),
                of("my_app", LevelFilter::TRACE),
                of("h2", LevelFilter::OFF),
            ]
        );
        assert_eq!(named("my_app"), [of("my_app", LevelFilter::TRACE)]);
        assert_eq!(rule(""), rule(" , "));
        assert_eq!(rule(""), Rule::new(LevelFilter::DEBUG, LevelFilter::INFO));
        let warn = rule("warn,db=debug");
        assert_eq!((warn.spans, warn.events), (LevelFilter::WARN, LevelFilter::WARN));
    }

    #[test]
    fn the_most_verbose_target_is_the_hint() {
        assert_eq!(rule("").max_level(), LevelFilter::DEBUG);
        assert_eq!(rule("db=trace").max_level(), LevelFilter::TRACE);
        assert_eq!(rule("warn,h2=off").max_level(), LevelFilter::WARN);
        assert_eq!(rule("off").max_level(), LevelFilter::OFF);
        let spans_only = Rule::new(LevelFilter::ERROR, LevelFilter::OFF);
        assert_eq!(spans_only.max_level(), LevelFilter::ERROR, "which errors mark");
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (text, part) in [
            ("my_app=loud", "my_app=loud"),
            ("info,=debug", "=debug"),
            ("db[query]=trace", "db[query]=trace"),
            ("my_app=", "my_app="),
            ("info;debug all", "info;debug all"),
            ("a=b=c", "a=b=c"),
        ] {
            let error = Rule::new(LevelFilter::DEBUG, LevelFilter::INFO).with_text(text);
            let error = error.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidOption);
            assert!(error.to_string().contains(&format!("at \"{part}\"")), "{error}");
        }
    }
}
