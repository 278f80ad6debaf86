//! Fields with names of OpenTelemetry's conventions say how a span has ended, unless that is switched off;
//! what the program says itself comes first.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use spandrel_tests::database::statuses;
use spandrel_tests::prelude::*;

/// By both front ends.
fn record(rules: bool, room: usize, body: impl Fn()) -> [Database; 2] {
    recorded_by_both(|builder| builder.status_rules(rules).max_field_bytes(room), body)
}

/// A request as middleware makes it: everything comes late, and some of it is long.
macro_rules! request {
    ($name:literal, $long:expr) => {
        info_span!(
            $name,
            url = $long,
            http.response.status_code = field::Empty,
            http.status_code = field::Empty,
            rpc.grpc.status_code = field::Empty,
            otel.kind = field::Empty,
            otel.status_code = field::Empty,
            otel.status_message = field::Empty,
            body = ?$long,
            error = field::Empty,
        )
    };
}

/// The same spans, however much room there is for their fields.
fn requests(long: &str) -> (i64, i64) {
    let fine = || request!("fine", long);
    let failed = || request!("failed", long);

    drop(fine());
    fine().record("http.response.status_code", 200_u16);
    fine().record("http.response.status_code", 499_u16);
    fine().record("http.status_code", "404 Not Found");
    fine().record("http.status_code", 503_u16).record("http.status_code", 200_u16);
    fine().record("rpc.grpc.status_code", 0);
    fine().record("rpc.grpc.status_code", "OK");
    fine().record("rpc.grpc.status_code", 5).record("otel.kind", "server");
    fine().record("otel.kind", "SERVER").record("rpc.grpc.status_code", field::debug("NotFound"));
    fine().record("otel.status_code", "unset");
    fine().record("otel.status_code", "error").record("otel.status_code", "UNSET");
    // What the program says comes first.
    fine().record("otel.status_code", "Ok").record("http.response.status_code", 503_u16);
    fine().record("http.response.status_code", 503_u16).record("error", false);
    fine().record("rpc.grpc.status_code", 13).record("error", field::debug(None::<u8>));
    fine().record("error", "which is expected").record("otel.status_code", field::debug("OK"));
    let span = fine();
    span.record("otel.status_code", "OK");
    span.in_scope(|| error!("retried"));
    drop(span);

    failed().record("http.response.status_code", 500_u16);
    failed().record("http.response.status_code", 599_i64);
    failed().record("http.status_code", "503 Service Unavailable");
    failed().record("http.status_code", field::debug("502"));
    failed().record("http.status_code", 503.0);
    failed().record("rpc.grpc.status_code", 5);
    failed().record("rpc.grpc.status_code", 5).record("otel.kind", "client");
    failed().record("rpc.grpc.status_code", 13).record("otel.kind", "server");
    failed().record("rpc.grpc.status_code", "DEADLINE_EXCEEDED").record("otel.kind", "server");
    failed().record("rpc.grpc.status_code", 99).record("otel.kind", "server");
    failed().record("otel.status_code", "ERROR").record("error", false);
    failed().record("otel.status_code", field::debug("Error")).record("http.status_code", 200);
    failed().record("otel.status_code", "ok").record("otel.status_code", "error");
    failed().record("otel.status_message", "no more disks");
    failed().record("http.response.status_code", 200).record("error", "cut short");
    (16, 15)
}

#[test]
fn status_codes_of_servers_are_errors() {
    let _limit = time_limit(120);
    for long in ["short".to_owned(), "long".repeat(2_000)] {
        for room in [0, 8, 16, 24, 64, 100, 168, 176, 400, 672, 4_096, 32_768] {
            let mut n = (0, 0);
            let count = std::cell::Cell::new(n);
            for db in record(true, room, || count.set(requests(&long))) {
                n = count.get();
                let expected = statuses(&[("failed", "error", n.1), ("fine", "ok", n.0)]);
                assert_eq!(db.statuses(), expected, "{room} bytes, {}", long.len());
                assert_eq!(db.count("SELECT sum(errors) FROM top"), n.1 as u64);
            }
        }
    }
}

#[test]
fn status_codes_count_at_once_too() {
    let _limit = time_limit(60);
    for db in record(true, 4_096, || {
        drop(info_span!("http", http.response.status_code = 503));
        drop(info_span!("old http", http.status_code = %503));
        drop(info_span!("grpc", rpc.grpc.status_code = 14, otel.kind = "server"));
        drop(info_span!("otel", otel.status_code = "error"));
        drop(info_span!("said", otel.status_code = "ok", http.response.status_code = 503));
        drop(info_span!("fine", http.response.status_code = 204));
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _span = info_span!("panics", otel.status_code = "ok", error = false).entered();
            resume_unwind(Box::new(()))
        }));
        assert!(unwound.is_err());
    }) {
        let expected = statuses(&[
            ("fine", "ok", 1),
            ("grpc", "error", 1),
            ("http", "error", 1),
            ("old http", "error", 1),
            ("otel", "error", 1),
            ("panics", "panicked", 1),
            ("said", "ok", 1),
        ]);
        assert_eq!(db.statuses(), expected);
        assert_eq!(db.count("SELECT settings->>'status_rules' FROM run"), 1);
    }
}

#[test]
fn rules_that_are_switched_off_say_nothing() {
    let _limit = time_limit(60);
    for db in record(false, 4_096, || {
        drop(info_span!("http", http.response.status_code = 503));
        drop(info_span!("grpc", rpc.grpc.status_code = 14));
        drop(info_span!("otel", otel.status_code = "error"));
        drop(info_span!("own", otel.status_code = "ok", error = "it failed"));
    }) {
        let expected = statuses(&[
            ("grpc", "ok", 1),
            ("http", "ok", 1),
            ("otel", "ok", 1),
            ("own", "error", 1),
        ]);
        assert_eq!(db.statuses(), expected);
        assert_eq!(db.count("SELECT settings->>'status_rules' FROM run"), 0);
    }
}
