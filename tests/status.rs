//! What a span's status says: an ERROR event or a field `error` makes it `error`, closing while its
//! thread unwinds makes it `panicked`, and its parents are none the worse for it.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use spandrel_tests::prelude::*;

fn record(body: impl FnOnce()) -> Database {
    recorded(dispatch, body)
}

fn unwind(body: impl FnOnce()) {
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        body();
        resume_unwind(Box::new(()))
    }));
    assert!(unwound.is_err());
}

#[test]
fn an_error_event_marks_the_span_that_it_happens_in() {
    let _limit = time_limit(30);
    let db = record(|| {
        let outer = info_span!("outer").entered();
        info_span!("failed").in_scope(|| error!("it failed"));
        info_span!("warned").in_scope(|| warn!("careful"));
        info_span!("silent").in_scope(|| debug!("fine"));
        let other = info_span!("by name");
        error!(parent: &other, "it failed elsewhere");
        error!(parent: None, "nobody's error");
        drop(outer);
    });
    let status = |name| db.span(name).status;
    assert_eq!(status("outer"), "ok");
    assert_eq!(status("failed"), "error");
    assert_eq!(status("warned"), "ok");
    assert_eq!(status("silent"), "ok");
    assert_eq!(status("by name"), "error");
}

#[test]
fn a_field_named_error_marks_its_span() {
    let _limit = time_limit(30);
    let failure = std::io::Error::other("broken");
    let db = record(|| {
        drop(info_span!("at once", error = "text"));
        drop(info_span!("as an error", error = &failure as &(dyn std::error::Error + 'static)));
        drop(info_span!("number", error = 0));
        drop(info_span!("shown", error = %failure));
        let late = info_span!("late", error = field::Empty);
        late.record("error", "too late");
        drop(late);
        drop(info_span!("declared", error = field::Empty));
        drop(info_span!("absent", error = None::<&str>));
        drop(info_span!("another name", errors = 1, my.error = 2, err = 3));
    });
    for name in ["at once", "as an error", "number", "shown", "late"] {
        assert_eq!(db.span(name).status, "error", "{name}");
    }
    for name in ["declared", "absent", "another name"] {
        assert_eq!(db.span(name).status, "ok", "{name}");
    }
    assert_eq!(db.count("SELECT sum(errors) FROM top"), 5);
}

#[test]
fn a_span_that_closes_while_its_thread_unwinds_has_panicked() {
    let _limit = time_limit(30);
    let db = record(|| {
        let outer = info_span!("outer").entered();
        // `drop` runs in the order that unwinding has: the inner one first.
        unwind(|| {
            let inner = info_span!("middle").entered();
            let innermost = info_span!("inner", error = 1).entered();
            drop(info_span!("done before"));
            std::mem::forget((inner, innermost));
        });
        drop(outer);
    });
    // Leaked, so never closed: unfinished, whatever happened.
    assert_eq!(db.span("inner").status, "unfinished");
    assert_eq!(db.span("done before").status, "ok");

    let db = record(|| {
        let outer = info_span!("outer").entered();
        let unwound = catch_unwind(|| {
            let _middle = info_span!("middle").entered();
            let _inner = info_span!("inner", error = 1).entered();
            drop(info_span!("done before"));
            resume_unwind(Box::new(()))
        });
        assert!(unwound.is_err());
        drop(info_span!("after"));
        drop(outer);
    });
    let status = |name| db.span(name).status;
    assert_eq!(status("middle"), "panicked");
    assert_eq!(status("inner"), "panicked", "which says more than its error");
    assert_eq!(status("done before"), "ok");
    assert_eq!(status("after"), "ok");
    assert_eq!(status("outer"), "ok", "the panic was caught inside it");
    assert_eq!(db.span("after").parent_id, Some(db.span("outer").id));
    assert_eq!(db.count("SELECT sum(errors) FROM top"), 2);
}

#[test]
fn a_panicking_thread_leaves_its_spans_panicked() {
    let _limit = time_limit(30);
    let db = record(|| {
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let outer = info_span!("outer");
        let below = outer.clone();
        let thread = std::thread::spawn(move || {
            within(&dispatch, || {
                let _doomed = info_span!(parent: &below, "doomed").entered();
                drop(below);
                resume_unwind(Box::new(()))
            })
        });
        assert!(thread.join().is_err());
        drop(outer);
    });
    assert_eq!(db.span("doomed").status, "panicked");
    assert_eq!(db.span("outer").status, "ok");
}
