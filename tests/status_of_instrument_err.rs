//! `#[instrument(err)]` makes its span failed at whatever level it says so, whether or not that event is kept.

use std::fmt;

use spandrel_tests::database::statuses;
use spandrel_tests::prelude::*;

/// By both front ends.
fn record(events: LevelFilter, filter: &str, body: impl Fn()) -> [Database; 2] {
    recorded_by_both(|builder| builder.events(events).filter(filter), body)
}

type Outcome = Result<u8, Refused>;

#[derive(Debug)]
struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")
    }
}

#[instrument(err(level = "warn"))]
fn warns(outcome: Outcome) -> Outcome {
    outcome
}

#[instrument(
    skip_all,
    err(level = Level::DEBUG, Debug),
    ret,
    fields(attempt = 3)
)]
fn debugs(outcome: Outcome) -> Outcome {
    outcome
}

#[instrument(err(level = "info"), skip_all)]
async fn awaits(outcome: Outcome) -> Outcome {
    tokio::task::yield_now().await;
    outcome
}

struct Service;

impl Service {
    #[instrument(skip(self), target = "elsewhere", err(level = "warn"))]
    async fn serve(&self, outcome: Outcome) -> Outcome {
        awaits(outcome).await
    }
}

#[instrument(ret, err(level = "warn"), skip_all)]
async fn fetch(outcome: Outcome, yields: u32) -> Outcome {
    for _ in 0..yields {
        tokio::task::yield_now().await;
    }
    outcome
}

/// No error of the span's own.
#[instrument]
fn carries_on() {
    warn!(error = %Refused, "the first attempt");
    debug!(error = %Refused);
    // An event like that of the attribute, on the line of its span, would be taken for it.
    let inner = info_span!("inner");
    inner.in_scope(|| warn!(error = ?Refused));
    warns(Err(Refused)).unwrap_err();
}

fn all(outcome: fn() -> Outcome) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let _ = (warns(outcome()), debugs(outcome()));
    let _ = runtime.block_on(awaits(outcome()));
    let _ = runtime.block_on(Service.serve(outcome()));
}

#[test]
fn an_err_below_error_is_one() {
    let _limit = time_limit(60);
    for (events, filter) in [
        (LevelFilter::TRACE, ""),
        (LevelFilter::INFO, ""),
        (LevelFilter::OFF, ""),
        (LevelFilter::OFF, "status_of_instrument_err=info,elsewhere=info,db=debug"),
    ] {
        for db in record(events, filter, || all(|| Err(Refused))) {
            let failed = statuses(&[
                ("awaits", "error", 2),
                ("debugs", "error", 1),
                ("serve", "error", 1),
                ("warns", "error", 1),
            ]);
            assert_eq!(db.statuses(), failed, "events up to {events}, {filter:?}");
        }
        for db in record(events, filter, || all(|| Ok(1))) {
            let fine = statuses(&[
                ("awaits", "ok", 2),
                ("debugs", "ok", 1),
                ("serve", "ok", 1),
                ("warns", "ok", 1),
            ]);
            assert_eq!(db.statuses(), fine, "events up to {events}, {filter:?}");
        }
    }
}

#[test]
fn a_warning_with_an_error_in_it_is_none() {
    let _limit = time_limit(60);
    for db in record(LevelFilter::TRACE, "", carries_on) {
        let ended = statuses(&[("carries_on", "ok", 1), ("inner", "ok", 1), ("warns", "error", 1)]);
        assert_eq!(db.statuses(), ended);
    }
}

#[test]
fn a_target_that_is_off_marks_nothing() {
    let _limit = time_limit(60);
    for db in record(LevelFilter::INFO, "elsewhere=off", || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _outer = info_span!("outer").entered();
        runtime.block_on(Service.serve(Err(Refused))).unwrap_err();
    }) {
        assert_eq!(db.statuses(), statuses(&[("awaits", "error", 1), ("outer", "ok", 1)]));
    }
}

/// What the book says of futures that are dropped.
#[test]
fn a_cancelled_future_is_ok_and_known_by_the_return_that_is_missing() {
    let _limit = time_limit(60);
    for db in record(LevelFilter::INFO, "", || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(fetch(Ok(1), 1)).unwrap();
        runtime.block_on(fetch(Err(Refused), 1)).unwrap_err();
        runtime.block_on(async {
            tokio::select! {
                biased;
                _ = fetch(Ok(1), u32::MAX) => {}
                () = tokio::task::yield_now() => {}
            }
        });
    }) {
        let ended = statuses(&[("fetch", "error", 1), ("fetch", "ok", 2)]);
        assert_eq!(db.statuses(), ended);
        let cancelled = "SELECT count(*) FROM spans s WHERE name = 'fetch' AND status = 'ok'
                         AND NOT EXISTS (SELECT 1 FROM event e WHERE e.span_id = s.id
                                         AND e.fields->>'return' IS NOT NULL)";
        assert_eq!(db.count(cancelled), 1);
    }
}
