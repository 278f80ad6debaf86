//! A program that has a logger keeps it; our subscriber is installed, and says that it gets no records.

use std::sync::atomic::{AtomicUsize, Ordering};

use spandrel_tests::prelude::*;

struct Counter;

static RECORDS: AtomicUsize = AtomicUsize::new(0);

impl log::Log for Counter {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, _: &log::Record<'_>) {
        RECORDS.fetch_add(1, Ordering::Relaxed);
    }

    fn flush(&self) {}
}

#[test]
fn a_logger_that_is_there_stays_there() {
    alone!();
    let _limit = time_limit(30);
    log::set_logger(&Counter).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let (scratch, profiler) = recording();
    let error = profiler.subscriber().init().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LoggerInstalled);
    assert!(error.to_string().contains("`log`"), "{error}");
    log::trace!("to the logger");
    tracing::info_span!("recorded").in_scope(|| tracing::info!("recorded, too"));
    assert_eq!(RECORDS.load(Ordering::Relaxed), 1);
    assert_eq!(log::max_level(), log::LevelFilter::Trace);
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    assert_eq!((db.spans().len(), db.events().len()), (1, 1));
}
