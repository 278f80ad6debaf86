//! A callsite that `tracing` has switched off because nobody was there to want it is asked about again once
//! there is somebody; and a recording that was shown no callsite says so.

use spandrel_tests::prelude::*;

fn work() -> bool {
    !info_span!("work").is_disabled()
}

#[test]
fn a_callsite_that_was_met_before_the_subscriber_is_recorded_after() {
    alone!();
    let (scratch, profiler) = recording_for(60);
    let report = profiler.stats();
    assert_eq!((report.callsites, report.callsites_below_level), (0, 0));
    // `tracing` keeps in mind that nobody wants it.
    let subscriber = profiler.subscriber();
    assert!(!work());
    subscriber.init().unwrap();
    assert!(work());
    profiler.flush(Duration::from_secs(30)).unwrap();
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    assert_eq!(db.spans().len(), 1);
}

#[test]
fn a_recording_in_which_no_callsite_is_enabled_says_so() {
    alone!();
    let (_scratch, profiler) = recording_for(60);
    let report = profiler.close().unwrap();
    assert!(report.to_string().contains("no callsite was enabled"), "{report}");
}
