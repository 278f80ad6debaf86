//! The filter language.

use std::ops::ControlFlow;

use super::profile::{Sample, sample};
use spandrel_query::{Columns, Filter, Scan, SpanRef, quote};
use spandrel_query::{Event, Span};

thread_local! {
    static SAMPLE: Sample = sample();
}

/// A filter, evaluated in every way: all give the same answer for each span of a profile.
pub fn filter(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    quoted(text);
    let filter = match Filter::parse(text) {
        Ok(filter) => filter,
        Err(error) => {
            assert!(text.get(error.range()).is_some(), "{error:?}");
            assert!(!error.message().is_empty() && !error.render().is_empty());
            assert!(!error.to_string().contains('\n'), "one line: {error}");
            return;
        }
    };
    let written = filter.to_string();
    if let Ok(again) = Filter::parse(&written) {
        assert_eq!(again.to_string(), written);
    } else {
        // With parentheses it may be longer than a filter may be.
        assert!(written.len() > 8 * 1024, "{written}");
    }
    SAMPLE.with(|sample| {
        let all = read(sample, &Filter::all());
        let mut matcher = filter.matcher();
        let mut again = Filter::parse(&written).ok();
        let mut expected = Vec::new();
        for span in &all {
            let span = SpanRef::from(span);
            let meant = filter.matches(&span);
            assert_eq!(matcher.matches(&span), meant, "{text:?} {span:?}");
            if let Some(again) = &mut again {
                assert_eq!(again.matches(&span), meant, "{text:?} {written:?}");
            }
            if filter.term_beyond_callsite().is_none() {
                assert_eq!(filter.matches_callsite(span.callsite), meant);
            }
            if !filter.needs_fields() {
                assert_eq!(filter.matches(&SpanRef { fields: None, ..span }), meant);
            }
            expected.extend(meant.then_some(span.id));
        }
        let found: Vec<_> = read(sample, &filter).iter().map(|span| span.id).collect();
        assert_eq!(found, expected, "SQLite and we: {text:?}");
        events(sample, &filter);
    });
}

fn read(sample: &Sample, filter: &Filter) -> Vec<Span> {
    let mut spans = Vec::new();
    let scan = Scan::new(1).columns(Columns::All);
    let each = |span: &SpanRef<'_>| {
        spans.push(span.to_span());
        ControlFlow::Continue(())
    };
    sample.reader.scan_filtered(&scan, filter, each).unwrap();
    spans
}

fn events(sample: &Sample, filter: &Filter) {
    let mut events: Vec<Event> = Vec::new();
    sample.reader.events(1, |event| events.push(event)).unwrap();
    let mut matcher = filter.event_matcher();
    let first: Vec<_> = events.iter().map(|event| matcher.matches(event)).collect();
    let second: Vec<_> = events.iter().map(|event| matcher.matches(event)).collect();
    assert_eq!(first, second);
    if filter.is_empty() {
        assert!(first.iter().all(|meant| *meant));
    }
}

/// What is quoted means the text itself.
fn quoted(text: &str) {
    if text.len() > 1024 {
        return;
    }
    let filter = Filter::parse(&format!("name={}", quote(text))).unwrap();
    SAMPLE.with(|sample| {
        for span in read(sample, &Filter::all()) {
            assert_eq!(filter.matches(&SpanRef::from(&span)), span.callsite.name == text);
        }
    });
    assert!(Filter::parse(&quote(text)).is_ok());
}
