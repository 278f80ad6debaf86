//! `puffin`: scopes in a byte stream a thread, handed over whenever the outermost ends.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use puffin::GlobalProfiler;

use crate::case::{Case, TREE_CHILDREN};
use crate::recorder::{Arrived, Entry, Recorder, Result, Setup};

pub const ENTRY: Entry = Entry {
    name: "puffin",
    packages: &["puffin"],
    setting: "`profile_scope!`, fields formatted into its one string; a scope in no other is handed over \
        under a lock, as without a tree each is; a sink that only counts; `new_frame()` at each rest, or 60 times a second of the paced spans, on the clock",
    keeps: "every scope of a frame for a sink, which is not part of the figure: times, nesting, one \
        string; nothing on disk by itself. Not `tracing`: a program is instrumented anew, in frames",
    cases: &[Case::NoFields, Case::ThreeFields, Case::Nested, Case::Tree],
    has_queue_size: false,
    install,
};

fn install(_: &Setup<'_>) -> Result<Box<dyn Recorder>> {
    let seen = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&seen);
    GlobalProfiler::lock().add_sink(Box::new(move |frame| {
        // Relaxed: sinks are called by the thread that calls `new_frame`.
        counter.fetch_add(frame.meta().num_scopes as u64, Ordering::Relaxed);
    }));
    puffin::set_scopes_on(true);
    Ok(Box::new(Puffin { seen, of_frame: 0 }))
}

struct Puffin {
    seen: Arc<AtomicU64>,
    /// Spans of [`one`](Recorder::one) in the frame that is open.
    of_frame: u64,
}

/// At 100,000 spans a second, 60 frames a second.
const SPANS_A_FRAME: u64 = 1_667;

impl Recorder for Puffin {
    fn run(&mut self, case: Case, spans: u64) -> u64 {
        let pieces = spans.div_ceil(case.piece());
        match case {
            Case::NoFields | Case::Async => (0..pieces).for_each(one),
            Case::ThreeFields => (0..pieces).for_each(three_fields),
            Case::Nested => (0..pieces).for_each(nested),
            Case::Tree => (0..pieces).for_each(|_| tree()),
        }
        pieces * case.piece()
    }

    fn one(&mut self) -> u64 {
        one(0);
        self.of_frame += 1;
        if self.of_frame == SPANS_A_FRAME {
            self.of_frame = 0;
            GlobalProfiler::lock().new_frame();
        }
        1
    }

    fn rest(&mut self, _: u64) -> Result<()> {
        GlobalProfiler::lock().new_frame();
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        GlobalProfiler::lock().new_frame();
        Ok(())
    }

    fn arrived(&mut self) -> Result<Option<Arrived>> {
        Ok(Some(Arrived::uncounted(self.seen.load(Ordering::Relaxed))))
    }
}

#[inline(always)]
fn one(n: u64) {
    puffin::profile_scope!("work");
    black_box(n);
}

fn three_fields(n: u64) {
    puffin::profile_scope!("work", format!("id={n} ratio={} kind={}", 0.5, "checkout"));
    black_box(n);
}

fn nested(n: u64) {
    puffin::profile_scope!("outer");
    puffin::profile_scope!("middle");
    puffin::profile_scope!("inner");
    black_box(n);
}

fn tree() {
    puffin::profile_scope!("root");
    for n in 0..TREE_CHILDREN {
        puffin::profile_scope!("child");
        black_box(n);
    }
}
