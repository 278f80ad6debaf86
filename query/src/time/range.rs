//! Two moments, either of which can be left out.

use std::fmt;

use super::{TimeError, TimeSpec};

/// From when until when, as somebody wrote it; everything, unless somebody did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TimeRange {
    pub(super) since: Option<TimeSpec>,
    pub(super) until: Option<TimeSpec>,
    /// One mark alone, which means its section.
    pub(super) section: Option<String>,
}

impl TimeRange {
    /// Understands the three ways to say it: two moments, and both as `A..B`, of which one side or
    /// both can be empty.
    ///
    /// # Errors
    ///
    /// A moment that is none, and `between` together with one of the others.
    ///
    /// # Examples
    ///
    /// ```
    /// use spandrel_query::TimeRange;
    ///
    /// let last = TimeRange::parse(Some("30s"), None, None)?;
    /// assert_eq!(last, TimeRange::parse(None, None, Some("30s.."))?);
    /// # Ok::<(), spandrel_query::TimeError>(())
    /// ```
    pub fn parse(
        since: Option<&str>,
        until: Option<&str>,
        between: Option<&str>,
    ) -> Result<Self, TimeError> {
        let moment = |text: Option<&str>| text.map(TimeSpec::parse).transpose();
        let Some(between) = between else {
            return Ok(Self { since: moment(since)?, until: moment(until)?, section: None });
        };
        if since.is_some() || until.is_some() {
            let message = "a range says both ends; leave out since and until, or write A..B";
            return Err(TimeError::new(message));
        }
        let Some((since, until)) = split(between) else {
            return match TimeSpec::parse(between)? {
                TimeSpec::Mark(label) => Ok(Self { section: Some(label), ..Self::default() }),
                _ => Err(TimeError::new(format!(
                    "{between:?} is no range; write A..B, A.., ..B or the mark of a section"
                ))),
            };
        };
        let side = |text: &str| moment(Some(text).filter(|text| !text.trim().is_empty()));
        Ok(Self { since: side(since)?, until: side(until)?, section: None })
    }

    /// Whether it is unbounded on both sides.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a mark is named, so that the marks of the run are needed.
    pub fn needs_marks(&self) -> bool {
        let is_mark = |side: &Option<TimeSpec>| matches!(side, Some(TimeSpec::Mark(_)));
        self.section.is_some() || is_mark(&self.since) || is_mark(&self.until)
    }
}

/// At the first two dots that are not in quotes.
fn split(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'.' if !quoted && text[at..].starts_with("..") => {
                return Some((&text[..at], &text[at + 2..]));
            }
            _ => {}
        }
    }
    None
}

/// As `A..B`, which is understood as the same range.
impl fmt::Display for TimeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(label) = &self.section {
            return TimeSpec::Mark(label.clone()).fmt(f);
        }
        if let Some(since) = &self.since {
            since.fmt(f)?;
        }
        f.write_str("..")?;
        match &self.until {
            Some(until) => until.fmt(f),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn between(text: &str) -> TimeRange {
        TimeRange::parse(None, None, Some(text)).unwrap()
    }

    #[test]
    fn both_ends_or_one_or_none() {
        let both = TimeRange::parse(Some("2m"), Some("14:05"), None).unwrap();
        assert_eq!(between("2m..14:05"), both);
        assert_eq!(between(" 2m .. 14:05 "), both);
        assert!(between("..").is_all());
        assert!(TimeRange::parse(None, None, None).unwrap().is_all());
        assert!(!between("..end").is_all());
        assert!(TimeRange::parse(Some("1m"), None, Some("..")).is_err());
        assert!(TimeRange::parse(None, Some("1m"), Some("..")).is_err());
    }

    #[test]
    fn marks() {
        let quoted = between("mark:\"a..b\"..mark:c");
        assert_eq!(quoted.since, Some(TimeSpec::Mark("a..b".to_owned())));
        assert_eq!(quoted.until, Some(TimeSpec::Mark("c".to_owned())));
        assert_eq!(between("mark:load").section.as_deref(), Some("load"));
        assert!(between("mark:load").needs_marks());
        assert!(between("..mark:load").needs_marks());
        assert!(!between("1m..").needs_marks());
        assert!(TimeRange::parse(None, None, Some("30s")).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_understood_or_refused(
            text in "\\PC{0,24}|[0-9:.+ms\"]{0,24}|mark:[a\".]{0,9}"
        ) {
            if let Ok(range) = TimeRange::parse(None, None, Some(&text)) {
                let written = range.to_string();
                // A label with a quote in it cannot be told from its quotes.
                if !written.contains("mark:") {
                    prop_assert_eq!(between(&written), range);
                }
            }
        }
    }
}
