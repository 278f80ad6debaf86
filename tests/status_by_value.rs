//! A span's status goes by what its field `error` says, the last time that it says something, and not by
//! whether it has one; an error event counts until the span says itself how it has ended.

use spandrel_tests::prelude::*;

/// By both front ends, with so many bytes for fields.
fn record(room: usize, body: impl Fn()) -> [Database; 2] {
    recorded_by_both(|builder| builder.max_field_bytes(room), body)
}

/// How many spans of a name have which status.
fn statuses(db: &Database, name: &str) -> Vec<(String, i64)> {
    let sql = "SELECT status, count(*) FROM spans WHERE name = ?1 GROUP BY status";
    db.rows(sql, [name], |row| Ok((row.get(0)?, row.get(1)?)))
}

fn all(status: &str, n: i64) -> Vec<(String, i64)> {
    vec![(status.to_owned(), n)]
}

/// However much room there is for the fields.
const ROOMS: [usize; 12] = [0, 8, 16, 24, 64, 100, 168, 176, 400, 672, 4_096, 32_768];

#[test]
fn an_error_that_is_false_or_empty_is_none() {
    let _limit = time_limit(60);
    let long = "l".repeat(3_000);
    for room in ROOMS {
        for db in record(room, || {
            drop(info_span!("fine", error = false));
            drop(info_span!("fine", error = ""));
            drop(info_span!("fine", error = %false, a = long.as_str()));
            drop(info_span!("fine", a = ?long, b = 1, error = ?None::<&str>));
            let late = || info_span!("fine", a = ?long, error = field::Empty, b = long.as_str());
            for times in 1..4 {
                let span = late();
                for n in 0..times {
                    let _again = span.record("b", n);
                    let _none = span.record("error", false);
                }
            }
        }) {
            assert_eq!(statuses(&db, "fine"), all("ok", 7), "{room} bytes");
            assert_eq!(db.count("SELECT sum(errors) FROM top"), 0);
        }
    }
}

#[test]
fn the_last_word_of_error_counts() {
    let _limit = time_limit(60);
    let long = "l".repeat(3_000);
    for room in ROOMS {
        for db in record(room, || {
            let small = || info_span!("taken back", error = true);
            small().record("error", false);
            small().record("error", long.as_str()).record("error", "");
            let large = || info_span!("taken back", a = ?long, error = long.as_str(), b = 1);
            large().record("error", false);
            large().record("b", 2).record("error", field::debug(None::<u8>)).record("b", 3);
            let failed = info_span!("failed", a = ?long, error = false);
            failed.record("error", long.as_str());
            info_span!("failed", error = "").record("error", field::debug("late"));
            let again = info_span!("failed", a = 1, b = long.as_str(), error = true);
            again.record("error", false).record("error", "after all");
        }) {
            assert_eq!(statuses(&db, "taken back"), all("ok", 4), "{room} bytes");
            assert_eq!(statuses(&db, "failed"), all("error", 3), "{room} bytes");
        }
    }
}

#[test]
fn an_error_event_counts_until_the_span_says_how_it_has_ended() {
    let _limit = time_limit(60);
    for db in record(4_096, || {
        let span = info_span!("recovered", error = field::Empty);
        span.in_scope(|| error!("first attempt"));
        span.record("error", false);
        drop(span);
        let span = info_span!("failed", error = false);
        span.in_scope(|| error!("after that"));
        drop(span);
        let span = info_span!("failed", error = field::Empty, attempt = 1);
        span.in_scope(|| error!("first attempt"));
        span.record("attempt", 2);
        drop(span);
        let span = info_span!("failed", error = field::Empty);
        span.record("error", false);
        span.in_scope(|| error!("last attempt"));
        drop(span);
    }) {
        assert_eq!(statuses(&db, "recovered"), all("ok", 1));
        assert_eq!(statuses(&db, "failed"), all("error", 3));
    }
}
