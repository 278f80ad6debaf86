//! spandrel itself, with each of its front ends.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Duration;

use spandrel::{Profiler, Report, scope};
use tracing::subscriber;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;

use crate::case::{Case, TREE_CHILDREN};
use crate::recorder::{Arrived, Entry, Recorder, Result, Setup};

const SETTING: &str = "defaults, but in the loops `partitions(1)`; `flush()`, `close()`. Enlarged: \
    also `ring_capacity`";
const KEEPS: &str = "every span on disk, queryable by SQL while it runs: duration, busy time, entries, \
    self time, parent, thread, typed fields, status; counts its losses by reason";

/// The layer, on `Registry`: what the other layers are compared with.
pub const LAYER: Entry = Entry {
    name: "spandrel layer",
    packages: &["spandrel"],
    setting: SETTING,
    keeps: KEEPS,
    cases: &Case::ALL,
    has_queue_size: true,
    install: |setup| {
        start(setup, true, |profiler| {
            let layer = profiler.layer::<Registry>();
            subscriber::set_global_default(tracing_subscriber::registry().with(layer))
        })
    },
};

/// The subscriber, without `Registry` and without other layers: the best that there is.
pub const SUBSCRIBER: Entry = Entry {
    name: "spandrel subscriber",
    packages: &["spandrel"],
    setting: SETTING,
    keeps: KEEPS,
    cases: &Case::ALL,
    has_queue_size: true,
    install: |setup| {
        start(setup, true, |profiler| subscriber::set_global_default(profiler.subscriber()))
    },
};

/// The same without busy time: what others keep of a span, and as many readings of the clock.
pub const UNTIMED: Entry = Entry {
    name: "spandrel subscriber, busy time off",
    packages: &["spandrel"],
    setting: "as above, and `busy_time(false)`",
    keeps: "as above, without busy time",
    cases: &Case::ALL,
    has_queue_size: true,
    install: |setup| {
        start(setup, false, |profiler| subscriber::set_global_default(profiler.subscriber()))
    },
};

/// Its own macro, which takes no callback of `tracing`.
pub const SCOPES: Entry = Entry {
    name: "spandrel scope!",
    packages: &["spandrel"],
    setting: "as above, and `scope!`",
    keeps: "as above. Not `tracing`: hot synchronous code is instrumented anew, and other layers hear nothing of it",
    cases: &[Case::NoFields, Case::ThreeFields, Case::Nested, Case::Tree],
    has_queue_size: true,
    install: |setup| Ok(Box::new(Scopes((SUBSCRIBER.install)(setup)?))),
};

/// The front ends that are compared with the fastest rival.
pub const FASTEST: [&Entry; 3] = [&SUBSCRIBER, &UNTIMED, &SCOPES];

/// The default, which an enlarged queue is never smaller than.
const RING_CAPACITY: usize = 65_536;
const PATIENCE: Duration = Duration::from_secs(600);

fn start(
    setup: &Setup<'_>,
    busy_time: bool,
    install: impl FnOnce(&Profiler) -> std::result::Result<(), subscriber::SetGlobalDefaultError>,
) -> Result<Box<dyn Recorder>> {
    let database = setup.folder.join("profile.db");
    let mut builder =
        Profiler::builder().database(&database).busy_time(busy_time).close_timeout(PATIENCE);
    if let Some(spans) = setup.queue {
        // The thread that leases the one partition gets half of the ring.
        let slots = (2 * spans * slots_per_span(setup.case)).next_power_of_two().max(RING_CAPACITY);
        builder = builder.partitions(1).ring_capacity(slots);
    }
    let profiler = builder.build()?;
    install(&profiler)?;
    Ok(Box::new(Spandrel { profiler, database, report: Report::default() }))
}

/// As `ring_capacity` says.
const fn slots_per_span(case: Case) -> usize {
    match case {
        Case::ThreeFields => 2,
        Case::NoFields | Case::Nested | Case::Async | Case::Tree => 1,
    }
}

struct Spandrel {
    profiler: Profiler,
    database: PathBuf,
    report: Report,
}

/// The same recorder with other spans.
struct Scopes(Box<dyn Recorder>);

impl Recorder for Scopes {
    fn run(&mut self, case: Case, spans: u64) -> u64 {
        let pieces = spans.div_ceil(case.piece());
        match case {
            Case::NoFields => no_fields(pieces),
            Case::ThreeFields => three_fields(pieces),
            Case::Nested => nested(pieces),
            Case::Tree => trees(pieces),
            // Not one of its cases.
            Case::Async => return self.0.run(case, spans),
        }
        pieces * case.piece()
    }

    fn one(&mut self) -> u64 {
        let scope = scope!("work");
        black_box(&scope);
        1
    }

    fn rest(&mut self, made: u64) -> Result<()> {
        self.0.rest(made)
    }

    fn close(&mut self) -> Result<()> {
        self.0.close()
    }

    fn arrived(&mut self) -> Result<Option<Arrived>> {
        self.0.arrived()
    }
}

#[inline(never)]
fn no_fields(spans: u64) {
    for n in 0..spans {
        let _scope = scope!("work");
        black_box(n);
    }
}

#[inline(never)]
fn three_fields(spans: u64) {
    for n in 0..spans {
        let _scope = scope!("work", id = n, ratio = 0.5, kind = "checkout");
        black_box(n);
    }
}

#[inline(never)]
fn nested(nests: u64) {
    for n in 0..nests {
        let _outer = scope!("outer");
        let _middle = scope!("middle");
        let _inner = scope!("inner");
        black_box(n);
    }
}

#[inline(never)]
fn trees(trees: u64) {
    for _ in 0..trees {
        let _root = scope!("root");
        no_fields(TREE_CHILDREN);
    }
}

impl Recorder for Spandrel {
    fn rest(&mut self, _: u64) -> Result<()> {
        Ok(self.profiler.flush(PATIENCE)?)
    }

    fn close(&mut self) -> Result<()> {
        self.report = self.profiler.close()?;
        Ok(())
    }

    fn arrived(&mut self) -> Result<Option<Arrived>> {
        let file = rusqlite::Connection::open(&self.database)?;
        let rows: i64 = file.query_row("SELECT count(*) FROM span", [], |row| row.get(0))?;
        let said_lost = Some(self.report.dropped.total());
        Ok(Some(Arrived { records: u64::try_from(rows)?, said_lost }))
    }
}
