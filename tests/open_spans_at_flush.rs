//! `flush()` looks at the spans that are open, however young: a panic hook that flushes finds the request
//! that fails, and after `kill -9` it is still there.

use spandrel_query::Reader;
use spandrel_tests::prelude::*;

/// Names of the spans that are open, by what the file says, and whether all were looked at after their start.
fn open(path: &Path) -> (Vec<String>, bool) {
    let reader = Reader::open(path).unwrap();
    let run = reader.latest_run().unwrap().unwrap();
    let open = reader.open_spans(run.id).unwrap();
    let is_later = open.iter().all(|open| open.seen_ns >= open.span.start_ns);
    (open.iter().map(|open| open.span.callsite.name.clone()).collect(), is_later)
}

#[test]
fn a_flush_shows_the_spans_that_it_is_in() {
    alone!();
    if child::role().is_some() {
        return record_until_killed();
    }
    let scratch = scratch_for(120);
    // No look but those of flushes: the interval is longer than the test.
    let profiler = small(scratch.db()).flush_interval(Duration::from_secs(3_600)).build().unwrap();
    let flush = || profiler.flush(Duration::from_secs(60)).unwrap();
    within(&dispatch(&profiler), || {
        let _request = info_span!("request").entered();
        info_span!("done").in_scope(|| info!("an event"));
        {
            let _query = info_span!("query").entered();
            flush();
            assert_eq!(open(scratch.db()), (vec!["request".into(), "query".into()], true));
        }
        flush();
        assert_eq!(open(scratch.db()), (vec!["request".into()], true), "one has ended");
        // Nothing else is new.
        let _second = info_span!("second").entered();
        flush();
        assert_eq!(open(scratch.db()), (vec!["request".into(), "second".into()], true));
    });
    flush();
    assert_eq!(open(scratch.db()), (Vec::new(), true), "all have ended");
    profiler.close().unwrap();

    let killed = spandrel_tests::scratch();
    let mut child = child::plan("record").env("SPANDREL_TEST_PATH", killed.db()).start();
    child.expect("flushed");
    child.kill();
    assert_eq!(open(killed.db()), (vec!["request".into(), "query".into()], true));
}

/// In the child: a panic hook flushes while the request fails.
fn record_until_killed() {
    let _limit = time_limit(60);
    let path = std::env::var("SPANDREL_TEST_PATH").unwrap();
    let profiler = small(Path::new(&path)).build().unwrap();
    let dispatch = dispatch(&profiler);
    std::panic::set_hook(Box::new(move |_| {
        profiler.flush(Duration::from_secs(20)).unwrap();
        child::say("flushed");
        // Killed meanwhile.
        loop {
            std::thread::park();
        }
    }));
    within(&dispatch, || {
        let _request = info_span!("request").entered();
        let _query = info_span!("query").entered();
        panic!("the request fails");
    });
}
