//! `fastrace` with its own calls: local spans under a root, which is what it is fast at.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fastrace::Span;
use fastrace::collector::{Config, Reporter, SpanRecord};
use fastrace::future::FutureExt;
use fastrace::local::{LocalParentGuard, LocalSpan};
use fastrace::prelude::SpanContext;

use crate::case::{Case, TREE_CHILDREN};
use crate::recorder::{Arrived, Entry, Recorder, Result, Setup};
use crate::work::{POLLS, ReadyAfter, poll_to_end};

pub const ENTRY: Entry = Entry {
    name: "fastrace native",
    packages: &["fastrace"],
    setting: "`enable`; local spans in trees of 100 under a root in every case, the root counted as a \
        span; a reporter that only counts; `fastrace::flush()`",
    keeps: "every span as `SpanRecord` with parent and fields as text, for a reporter, which is not \
        part of the figure; no busy time; no thread; counts no losses. Not `tracing`: a program is \
        instrumented anew",
    cases: &Case::ALL,
    has_queue_size: false,
    install,
};

fn install(_: &Setup<'_>) -> Result<Box<dyn Recorder>> {
    let reported = report_to_counter();
    Ok(Box::new(Native { reported, group: None, left: 0 }))
}

/// The name of roots that only hold spans together, and are not counted.
pub const GROUP: &str = "group";

/// Installs a reporter that counts what it is given, but for the [`GROUP`]s.
pub fn report_to_counter() -> Arc<AtomicU64> {
    let reported = Arc::new(AtomicU64::new(0));
    fastrace::set_reporter(Counting(Arc::clone(&reported)), Config::default());
    reported
}

struct Counting(Arc<AtomicU64>);

impl Reporter for Counting {
    fn report(&mut self, spans: Vec<SpanRecord>) {
        let counted = spans.iter().filter(|span| span.name != GROUP).count();
        // Relaxed: read only after a flush, which joins the thread that reports.
        self.0.fetch_add(counted as u64, Ordering::Relaxed);
    }
}

/// A root that spans are made in. The guard goes before its root.
pub struct Group {
    _guard: LocalParentGuard,
    _root: Span,
}

impl Group {
    #[inline]
    pub fn open(name: &'static str) -> Self {
        let root = Span::root(name, SpanContext::random());
        Self { _guard: root.set_local_parent(), _root: root }
    }
}

struct Native {
    reported: Arc<AtomicU64>,
    /// The tree that [`one`](Recorder::one) is in, and how many spans it still takes.
    group: Option<Group>,
    left: u64,
}

impl Recorder for Native {
    fn run(&mut self, case: Case, spans: u64) -> u64 {
        let pieces = TREE_CHILDREN / if case == Case::Nested { 3 } else { 1 };
        let children = if case == Case::Nested { 3 * pieces } else { pieces };
        let trees = spans.div_ceil(children + 1);
        for _ in 0..trees {
            let _tree = Group::open("root");
            match case {
                Case::NoFields | Case::Tree => no_fields(pieces),
                Case::ThreeFields => three_fields(pieces),
                Case::Nested => nested(pieces),
                Case::Async => polled(pieces),
            }
        }
        trees * (children + 1)
    }

    /// Every hundredth closes one root and opens the next.
    fn one(&mut self) -> u64 {
        let mut made = 1;
        if self.left == 0 {
            drop(self.group.take());
            self.group = Some(Group::open("root"));
            self.left = TREE_CHILDREN;
            made += 1;
        }
        self.left -= 1;
        let _span = LocalSpan::enter_with_local_parent("work");
        black_box(&made);
        made
    }

    fn rest(&mut self, _: u64) -> Result<()> {
        fastrace::flush();
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        drop(self.group.take());
        fastrace::flush();
        Ok(())
    }

    fn arrived(&mut self) -> Result<Option<Arrived>> {
        Ok(Some(Arrived::uncounted(self.reported.load(Ordering::Relaxed))))
    }
}

#[inline(never)]
fn no_fields(spans: u64) {
    for n in 0..spans {
        let _span = LocalSpan::enter_with_local_parent("work");
        black_box(n);
    }
}

#[inline(never)]
fn three_fields(spans: u64) {
    for n in 0..spans {
        let _span = LocalSpan::enter_with_local_parent("work").with_properties(|| {
            [("id", n.to_string()), ("ratio", 0.5.to_string()), ("kind", "checkout".to_owned())]
        });
        black_box(n);
    }
}

#[inline(never)]
fn nested(nests: u64) {
    for n in 0..nests {
        let _outer = LocalSpan::enter_with_local_parent("outer");
        let _middle = LocalSpan::enter_with_local_parent("middle");
        let _inner = LocalSpan::enter_with_local_parent("inner");
        black_box(n);
    }
}

/// A span that is entered at each poll cannot be a local one.
#[inline(never)]
fn polled(spans: u64) {
    for _ in 0..spans {
        poll_to_end(ReadyAfter(POLLS).in_span(Span::enter_with_local_parent("work")));
    }
}
