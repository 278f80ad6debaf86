//! The profiles of `said/stalls_of_loops.md`.

use std::path::Path;

use spandrel::Profiler;
use tracing::info_span;

use super::fixture::record;
use super::said::at;

pub fn write(folder: &Path) {
    record(&at(folder, "game"), Profiler::builder(), |_| {
        let systems = ["walk", "think"].map(|name| info_span!("system", name));
        for _ in 0..50 {
            let _frame = info_span!("frame").entered();
            systems
                .iter()
                .for_each(|system| system.in_scope(|| drop(info_span!("part").entered())));
        }
    });
    record(&at(folder, "loop"), Profiler::builder(), |_| {
        let tick = info_span!("tick");
        (0..50).for_each(|_| tick.in_scope(|| ()));
    });
    record(&at(folder, "threads"), Profiler::builder(), |_| {
        let dispatch = tracing::dispatcher::get_default(tracing::Dispatch::clone);
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
}
