//! A span that fails is stored as failed, whatever else was recorded before and however long that was;
//! what comes late and is small is there, and what was cut is named.

use spandrel_tests::prelude::*;

/// By both front ends.
fn record(max_field_bytes: usize, body: impl Fn()) -> [Database; 2] {
    recorded_by_both(|builder| builder.max_field_bytes(max_field_bytes), body)
}

#[test]
fn a_failed_span_with_a_long_prompt_is_no_success() {
    let _limit = time_limit(60);
    let prompt = "p".repeat(5_000);
    for db in record(4_096, || {
        let span = info_span!("ask", prompt = prompt.as_str(), error = field::Empty);
        span.record("error", "model overloaded");
    }) {
        let span = db.span("ask");
        assert_eq!(span.status, "error");
        assert_eq!(span.fields.text("error"), "model overloaded");
        let kept = span.fields.text("prompt");
        assert!(prompt.starts_with(&kept) && kept.len() >= 1_000, "{}", kept.len());
        assert_eq!(span.fields.cut(), [("prompt".to_owned(), Some(5_000))].into());
        assert_eq!(db.count("SELECT sum(errors) FROM top"), 1);
    }
}

#[derive(Debug)]
#[expect(dead_code, reason = "to be shown")]
struct Request {
    body: String,
}

#[instrument(fields(user_id, rows, error))]
fn handle(request: &Request) {
    let span = Span::current();
    span.record("user_id", 42);
    span.record("rows", 7_u64);
    span.record("error", field::display("no such table: orders"));
}

#[instrument(err)]
fn fail(request: &Request) -> Result<(), String> {
    Err("refused".to_owned())
}

#[test]
fn a_large_argument_leaves_room_for_what_is_recorded_late() {
    let _limit = time_limit(60);
    let request = Request { body: "b".repeat(20_000) };
    for db in record(4_096, || {
        handle(&request);
        assert!(fail(&request).is_err());
    }) {
        let fields = db.span("handle").fields;
        assert_eq!((fields.number("user_id"), fields.number("rows")), (42, 7));
        assert_eq!(fields.text("error"), "no such table: orders");
        assert_eq!(fields.cut().into_keys().collect::<Vec<_>>(), ["request"]);
        assert_eq!(db.span("handle").status, "error");
        assert_eq!(db.span("fail").status, "error");
    }
}

/// However little room there is, and even if there is none: the status does not depend on it.
#[test]
fn no_error_is_lost_for_want_of_room() {
    let _limit = time_limit(60);
    let long = "l".repeat(3_000);
    for room in [0, 8, 16, 24, 64, 100, 168, 176, 400, 672, 1_000, 4_096, 32_768] {
        for db in record(room, || {
            let late =
                || info_span!("late", a = long.as_str(), b = ?long, c = 1, error = field::Empty);
            late().record("error", long.as_str());
            late().record("error", field::debug(&long));
            late().record("error", true);
            drop(info_span!("first", a = ?long, error = long.as_str()));
            drop(info_span!("first", error = ?long, a = ?long));
            drop(info_span!("first", a = 1, b = long.as_str(), c = ?long, error = -1));
            let fine = || info_span!("fine", a = ?long, b = ?long, error = field::Empty);
            fine().record("error", "");
            fine().record("error", false);
            fine().record("error", field::debug(None::<u8>));
            drop(info_span!("fine", a = ?long, error = ""));
            drop(info_span!("fine", error = false, a = long.as_str()));
            drop(info_span!("fine", a = long.as_str(), error = %false));
            // Said once, and taken back.
            let taken_back = fine();
            taken_back.record("error", true).record("error", false);
            drop(taken_back);
            let taken_back = info_span!("fine", a = ?long, error = true);
            taken_back.record("error", false);
            drop(taken_back);
        }) {
            for (name, status, n) in
                [("late", "error", 3), ("first", "error", 3), ("fine", "ok", 8)]
            {
                let spans: Vec<_> =
                    db.spans().into_iter().filter(|span| span.name == name).collect();
                assert_eq!(spans.len(), n, "{room} bytes");
                for span in spans {
                    assert_eq!(span.status, status, "{room} bytes: {span:?}");
                }
            }
        }
    }
}

#[test]
fn the_last_of_many_fields_is_there() {
    let _limit = time_limit(60);
    let long = "l".repeat(3_000);
    for db in record(4_096, || {
        let span = info_span!(
            "many",
            f0 = long.as_str(),
            f1 = long.as_str(),
            f2 = long.as_str(),
            f3 = long.as_str(),
            f4 = long.as_str(),
            f5 = long.as_str(),
            f6 = long.as_str(),
            f7 = long.as_str(),
            f8 = field::Empty,
            f9 = field::Empty,
            late = field::Empty,
            error = field::Empty,
        );
        for name in ["f8", "f9"] {
            span.record(name, long.as_str());
        }
        span.record("late", 12.5);
        span.record("error", "the 30 bytes that say it all..");
    }) {
        let fields = db.span("many").fields;
        assert_eq!(fields.raw("late"), Some("12.5"));
        assert_eq!(fields.text("error"), "the 30 bytes that say it all..");
        for n in 0..10 {
            let name = format!("f{n}");
            assert!(fields.text(&name).len() >= 100, "{name}: {fields:?}");
            assert_eq!(fields.cut()[&name], Some(3_000));
        }
        assert_eq!(fields.cut().len(), 10);
    }
}

#[test]
fn a_field_that_is_recorded_for_ever_has_its_last_value_and_takes_no_others_room() {
    let _limit = time_limit(60);
    let state = |n: usize| format!("{}{n}", "s".repeat(n * 13 % 200));
    for db in record(4_096, || {
        let span = info_span!("long", state = "", n = 0, error = field::Empty);
        for n in 0..3_000 {
            span.record("state", state(n).as_str());
            span.record("n", n * 1_000_003);
        }
        span.record("error", "at last");
    }) {
        let fields = db.span("long").fields;
        assert_eq!(fields.text("state"), state(2_999));
        assert_eq!(fields.number("n"), 2_999 * 1_000_003);
        assert_eq!(fields.text("error"), "at last");
        assert_eq!(fields.cut().len(), 0);
    }
}

/// An event has a message that may be long, and fields.
#[test]
fn a_long_message_leaves_room_for_the_fields_of_its_event() {
    let (scratch, profiler) = recording_for(60);
    let long = "m".repeat(10_000);
    within(&dispatch(&profiler), || tracing::info!(code = 7, reason = "short", "{long}"));
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    let event = db.events().remove(0);
    assert!(
        event.message.is_some_and(|message| long.starts_with(&message) && message.len() > 1_000)
    );
    assert_eq!((event.fields.number("code"), event.fields.text("reason")), (7, "short".into()));
    assert_eq!(event.fields.cut().into_keys().collect::<Vec<_>>(), ["message"]);
}
