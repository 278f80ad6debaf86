//! What is said of texts, and how filters are written.

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

fn refused(text: &str) -> (String, String) {
    let error = Filter::parse(text).unwrap_err();
    let place = &text[error.range()];
    let message = match error.hint() {
        Some(hint) => format!("{}; {hint}", error.message()),
        None => error.message().to_owned(),
    };
    (place.to_owned(), message)
}

#[test]
fn what_is_wrong_is_said_with_the_place_and_the_way_out() {
    for (text, place, message) in [
        ("nmae=a", "nmae", "unknown key `nmae`; did you mean `name`?"),
        ("a fields.x=1", "fields.x", "unknown key `fields.x`; did you mean `field.x`?"),
        (
            "a shard=7",
            "shard",
            "unknown key `shard`; there are name target level module file thread status \
             dur self self_busy busy idle longest wait exit start entries id trace trace_id parent field.NAME; is it a field \
             (`field.shard`), or a text that needs quotes?",
        ),
        ("dur>100", "100", "\"100\" has no unit; write 100ns, 100us, 100ms or 100s"),
        (
            "dur=>1s",
            "=>",
            "`=>` is no operator; there are = != ~ !~ < <= > >=; put a text with such \
             characters into quotes",
        ),
        (
            "dur>",
            "",
            "there is no value after `dur>`; write one, such as `dur>\"\"` for an empty text",
        ),
        ("dur~1s", "1s", "`dur` is no text to search in; it can be compared with = != < <= > >="),
        (
            "name>a",
            "name",
            "`name` is text, which has no order here; it can be compared with = != ~ !~",
        ),
        (
            "level<=inof",
            "inof",
            "unknown level \"inof\"; there are error, warn, info, debug and trace",
        ),
        (
            "status=failed",
            "failed",
            "unknown status \"failed\"; there are ok, error, panicked and unfinished",
        ),
        ("id=t12", "t12", "\"t12\" is not the id of a span; write `id=s123`"),
        (
            "trace_id=4bf",
            "4bf",
            "\"4bf\" is no id of a trace; it has 32 hexadecimal digits, of which the first 4 may be \
             enough",
        ),
        (
            "trace_id>4bf9",
            "4bf9",
            "`trace_id` has no order and is not searched; it can be compared with = !=; its first \
             digits are enough",
        ),
        ("is:rot", "is:rot", "unknown term `is:rot`; did you mean `is:root`?"),
        ("has:feilds", "has:feilds", "unknown term `has:feilds`; did you mean `has:fields`?"),
        ("(a or b", "(", "the parenthesis is not closed; add a ) where it ends"),
        (
            "a) b",
            ")",
            "a parenthesis closes that was not opened; leave it out, or put the text into quotes",
        ),
        (
            "a or",
            "",
            "the filter ends where a term should follow; write a term such as `dur>10ms`, or a \
             text in quotes",
        ),
        (
            "or a",
            "or",
            "there is no term before `or`; write a term such as `dur>10ms`, or a text in quotes",
        ),
        ("a || b", "||", "`||` is no operator of a filter; write `or`"),
        (
            "!a",
            "!",
            "there is no key before the operator; write `not` or `-` to turn a term around",
        ),
        ("name=\"a", "\"a", "the quote is not closed; add a \" where it ends"),
        (
            "name=a\\d",
            "a\\d",
            "unknown escape `\\d`; write \\\\ for a backslash; a regular expression comes after \
             `~`",
        ),
        (
            "work(x)",
            "(",
            "a parenthesis inside of a word; put the text into quotes, or a space before the \
             parenthesis",
        ),
        (
            "field.=1",
            "field.",
            "the name of a field is missing; write `field.NAME`, such as `field.shard=7`",
        ),
    ] {
        assert_eq!(refused(text), (place.to_owned(), message.to_owned()), "{text:?}");
    }
    let (place, message) = refused("name~[a");
    assert_eq!(place, "[a");
    assert!(message.starts_with("no regular expression"), "{message}");
}

#[test]
fn deep_and_long_filters_are_refused_and_no_overflow() {
    for piece in ["(", "-", "not ", "-("] {
        let (_, message) = refused(&piece.repeat(1_000));
        assert!(message.starts_with("nested deeper than 64 levels"), "{message}");
    }
    let (_, message) = refused(&"a ".repeat(8_000));
    assert!(message.starts_with("the filter is too long"), "{message}");
    let wide = "a or ".repeat(1_600) + "a";
    assert_eq!(Filter::parse(&wide).unwrap().to_string(), wide);
    let (_, message) = refused("name~(((a{1000}){1000}){1000})");
    assert!(message.starts_with("no regular expression"), "{message}");
}

#[test]
fn texts_of_filters() {
    for (text, written) in [
        ("", ""),
        ("  a   b ", "a b"),
        ("(a b) c", "a b c"),
        ("a and b AND c", "a b c"),
        ("(a or b) or c", "a or b or c"),
        ("(a or b) c", "(a or b) c"),
        ("a b or c", "a b or c"),
        ("-a", "not a"),
        ("not (a or b)", "not (a or b)"),
        ("not -a", "not not a"),
        ("dur > 10ms", "dur>10ms"),
        ("field.a< <b", "field.a< <b"),
        ("name= =", "name= ="),
        ("name ~ ^(get|put) x", "name~^(get|put) x"),
        ("(name~(a|b))", "name~(a|b)"),
        ("field.\"user id\"=\"a b\"", "field.\"user id\"=\"a b\""),
    ] {
        assert_eq!(Filter::parse(text).unwrap().to_string(), written, "{text:?}");
    }
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
