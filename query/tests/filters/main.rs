//! Filters mean what their documentation says: against a plain evaluator, on random filters and
//! spans. Whatever the text, it is understood or refused with the place.
#![allow(clippy::unwrap_used, clippy::panic)]

mod messages;
mod rows;
mod tree;

use std::sync::Arc;

use proptest::prelude::*;
use spandrel_query::Callsite;
use spandrel_query::{Filter, SpanRef, quote};

use rows::{Row, names, row};
use tree::tree;

proptest! {
    #[test]
    fn as_a_plain_evaluator(tree in tree(), rows in prop::collection::vec(row(), 1..24)) {
        let names = names();
        let text = tree.text();
        let filter = Filter::parse(&text).unwrap();
        let written = Filter::parse(&filter.to_string()).unwrap();
        prop_assert_eq!(&filter, &written);
        let mut matcher = filter.matcher();
        let mut matcher_of_written = written.matcher();
        for row in &rows {
            let span = row.span(&names);
            let expected = tree.holds(&span);
            prop_assert_eq!(filter.matches(&span), expected, "{} {:?}", text, span);
            prop_assert_eq!(matcher.matches(&span), expected, "{} {:?}", text, span);
            prop_assert_eq!(matcher_of_written.matches(&span), expected, "{} {:?}", text, span);
            if !filter.needs_fields() {
                prop_assert_eq!(filter.matches(&SpanRef { fields: None, ..span }), expected);
            }
        }
    }

    #[test]
    fn any_text_is_understood_or_refused(
        text in prop_oneof![
            "\\PC{0,40}",
            any::<String>(),
            "(name|dur|field\\.[a\".]{0,3}|has:|is:ok|or|and|not|[-()\"\\\\ =!<>~*a0-9smt+]){0,24}",
        ]
    ) {
        match Filter::parse(&text) {
            Ok(filter) => {
                let written = filter.to_string();
                let again = Filter::parse(&written);
                prop_assert_eq!(again.as_ref().map(ToString::to_string), Ok(written));
                let names = names();
                let fields = Some(r#"{"a":1}"#.to_owned());
                let span = Row { duration_ns: Some(1), fields, ..Row::plain() };
                let span = span.span(&names);
                prop_assert_eq!(filter.matches(&span), filter.matcher().matches(&span));
                prop_assert_eq!(filter.matches(&span), again.unwrap().matches(&span));
            }
            Err(error) => {
                prop_assert!(error.position() <= text.len());
                prop_assert!(error.range().end <= text.len(), "{:?}", error);
                prop_assert!(error.render().contains('^'));
            }
        }
    }

    #[test]
    fn a_quoted_name_means_that_name(name in any::<String>(), other in any::<String>()) {
        let mut callsite = Callsite::default();
        callsite.name = name.clone();
        let mut names = names();
        names.callsites = vec![Arc::new(callsite)];
        let matches = |text: &str| Filter::parse(text).unwrap().matches(&Row::plain().span(&names));
        let same = format!("name={}", quote(&name));
        prop_assert!(matches(&same));
        prop_assert!(matches(&quote(&name)));
        let different = format!("name={}", quote(&other));
        prop_assert_eq!(matches(&different), name == other);
    }
}
