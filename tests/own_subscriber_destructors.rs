//! Spans that are opened while a thread's locals are destroyed: `Registry` aborts, our own subscriber
//! records them.

use std::cell::RefCell;
use std::thread;

use spandrel_tests::prelude::*;

/// Opens spans in its destructor.
struct Late;

impl Drop for Late {
    fn drop(&mut self) {
        info_span!("in a destructor").in_scope(|| {
            info!("in a destructor");
            drop(info_span!("below", n = 1));
        });
    }
}

thread_local! {
    static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
}

/// Puts one there; if one was there, that is dropped while the thread lives.
fn touch() {
    drop(LATE.with_borrow_mut(|late| late.replace(Late)));
}

/// Whatever is destroyed first, the thread's locals of ours or that one.
#[test]
fn spans_in_destructors_are_recorded() {
    alone!();
    let (scratch, profiler) = recording_for(60);
    profiler.subscriber().init().unwrap();
    let (mut spans, mut events) = (0, 0);
    for (before, ordinary, after) in
        [(true, true, false), (false, true, true), (true, true, true), (true, false, false)]
    {
        thread::spawn(move || {
            if before {
                touch();
            }
            if ordinary {
                info_span!("ordinary").in_scope(|| drop(info_span!("in it", n = 1)));
            }
            if after {
                touch();
            }
        })
        .join()
        .unwrap();
        let late = u64::from(before) + u64::from(after);
        spans += 2 * (u64::from(ordinary) + late);
        events += late;
    }
    let (report, db) = ledger::closed(&scratch, &profiler);
    assert_eq!((report.recorded, report.stats.open), (spans, 0), "{report:?}");
    assert_eq!(report.events.stored, events);
    let below = db.count(
        "SELECT count(*) FROM spans AS s JOIN spans AS p ON p.id = s.parent_id
         WHERE s.name = 'below' AND p.name = 'in a destructor'",
    );
    assert_eq!(below, events);
}
