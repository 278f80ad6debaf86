//! Programs without an executor, whose loops enter the same spans again and again: nothing was blocked there.

use std::path::PathBuf;

use spandrel::Profiler;
use tempfile::TempDir;
use tracing::info_span;

use super::fixture::{new_path, record, said};

fn recorded(work: impl FnOnce()) -> (TempDir, PathBuf) {
    let (folder, path) = new_path();
    record(&path, Profiler::builder(), |_| work());
    (folder, path)
}

#[test]
fn a_game_loop_has_no_stalls_as_no_executor_runs() {
    let (_folder, db) = recorded(|| {
        let systems = ["walk", "think"].map(|name| info_span!("system", name));
        for _ in 0..50 {
            let _frame = info_span!("frame").entered();
            systems
                .iter()
                .for_each(|system| system.in_scope(|| drop(info_span!("part").entered())));
        }
    });
    let page = said(&db, &["stalls", "--blocking", "1ns"]);
    assert!(page.contains("nothing matched") && page.contains("by loops only"), "{page}");
    let all = said(&db, &["stalls", "--blocking", "1ns", "--all-threads"]);
    for name in ["frame", "system", "part"] {
        assert!(all.contains(name), "{all}");
    }
    assert!(!all.contains("entered more than once on"), "{all}");
}

#[test]
fn a_loop_that_looks_like_a_future_is_told_of() {
    let (_folder, db) = recorded(|| {
        let tick = info_span!("tick");
        (0..50).for_each(|_| tick.in_scope(|| ()));
    });
    let page = said(&db, &["stalls", "--blocking", "1ns"]);
    let note = "note: spans were entered more than once on ";
    assert!(page.contains("tick") && page.contains(note), "{page}");
}

#[test]
fn all_threads_that_need_not_be_of_a_runtime_are_named() {
    let (_folder, db) = recorded(|| {
        let dispatch = tracing::dispatcher::get_default(tracing::Dispatch::clone);
        // The name of a thread that anybody starts is that of no runtime's for it.
        // A row is a name, and has the thread of its longest entry only: a name a thread.
        let ticks = [info_span!("drain"), info_span!("fill"), info_span!("poll")];
        for (thread, tick) in ["worker-7", "pump", "tokio-rt-worker"].into_iter().zip(ticks) {
            let dispatch = dispatch.clone();
            let work = move || {
                tracing::dispatcher::with_default(&dispatch, || {
                    (0..3).for_each(|_| tick.in_scope(|| ()));
                });
            };
            std::thread::Builder::new().name(thread.into()).spawn(work).unwrap().join().unwrap();
        }
    });
    let page = said(&db, &["stalls", "--blocking", "1ns"]);
    let note = page.lines().find(|line| line.starts_with("note: spans were entered")).unwrap();
    assert!(note.contains("worker-7") && note.contains("pump"), "{page}");
    assert!(!note.contains("tokio"), "{page}");
    assert!(
        note.ends_with("by futures, or else by a loop of your own, which blocks nobody"),
        "{page}"
    );
}
