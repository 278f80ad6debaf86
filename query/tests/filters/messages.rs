//! What filters say of themselves. What is wrong with a text, and how one is written, stands with the command, in
//! `cli/tests/commands/said/filters.md`.

use std::sync::Arc;

use spandrel_query::Callsite;
use spandrel_query::{Columns, Filter, quote};
use spandrel_storage::Status;

use crate::rows::{Names, Row, names};

#[test]
fn quoted_texts_are_no_terms_of_their_own() {
    for text in ["has:error", "is:root", "or", "not", "-a", "", "a b", "a=b", "field.x", "x)"] {
        let filter = Filter::parse(&quote(text)).unwrap();
        let names = names();
        let mut callsite = Callsite::default();
        callsite.name = format!("before {text} after");
        let names = Names { callsites: vec![Arc::new(callsite)], ..names };
        let mut row = Row { parent_id: Some(1), ..Row::plain() };
        assert!(filter.matches(&row.span(&names)), "{text:?}");
        row.status = Status::Error;
        assert!(filter.matches(&row.span(&names)), "{text:?}");
    }
}

#[test]
fn texts_of_filters_that_were_joined() {
    let both = Filter::parse("a or b").unwrap().and(Filter::parse("c d").unwrap());
    assert_eq!(both.to_string(), "(a or b) c d");
    assert_eq!(Filter::all().and(Filter::parse("a").unwrap()).to_string(), "a");
    assert!(Filter::parse(" ").unwrap().is_empty() && Filter::all().and(Filter::all()).is_empty());
}

#[test]
fn columns_that_are_needed() {
    for (text, fields, thread) in [
        ("name=a dur>1s", false, false),
        ("a or -(field.x=1)", true, false),
        ("has:fields", true, false),
        ("has:field.x", true, false),
        ("trace_id=4bf9", true, false),
        ("thread=a or is:root", false, true),
        ("not longest>1ms", false, false),
        ("name=a or wait>1ms", false, false),
        ("exit<1s", false, false),
        ("exit<1s field.x=1", true, false),
    ] {
        let filter = Filter::parse(text).unwrap();
        assert_eq!((filter.needs_fields(), filter.needs_thread()), (fields, thread), "{text:?}");
        let entries = thread || ["longest", "wait", "exit"].iter().any(|key| text.contains(key));
        let columns = match (fields, entries) {
            (true, _) => Columns::All,
            (false, true) => Columns::Entries,
            (false, false) => Columns::Numbers,
        };
        assert_eq!(filter.columns(), columns, "{text:?}");
    }
}
