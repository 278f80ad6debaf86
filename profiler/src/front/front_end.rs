//! What every front end holds: the way to the recorder, and the fast ways.

use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

use super::ancestry::Ancestry;
use super::fast::{FindSlot, Hashed, Indexed};
use super::filter::Filter;
use crate::recorder::entry_rules::EntryRules;
use crate::recorder::open_spans::SpanSlot;
use crate::recorder::rule::Rule;
use crate::recorder::scope_owner;
use crate::recorder::sites::{FastSites, fast_sites};
use crate::recorder::{Recorder, RecorderOptions};
use spandrel_ring::Table;
use tracing_core::{Dispatch, LevelFilter};

/// The recorder, from the side of a front end.
///
/// There is always a recorder for the fast paths, so that they need not check it: a front end without
/// fast paths has one that refuses everything.
#[derive(Debug)]
#[repr(C)] // as it is here, nothing of the fast paths first: the compiler forms fewer addresses
pub(crate) struct FrontEnd<F> {
    pub(crate) filter: Arc<Filter>,
    /// The recorder, if this is the profiler's first front end; otherwise one that refuses everything.
    pub(crate) fast_recorder: Arc<Recorder>,
    /// The slots of the open spans, if this is the first front end and busy time is measured; otherwise
    /// an empty table.
    pub(crate) timed_slots: Table<SpanSlot>,
    /// The same if busy time is not measured.
    pub(crate) untimed_slots: Table<SpanSlot>,
    /// The callsites that are recorded, for the first front end; empty for others.
    pub(crate) sites: FastSites,
    /// `None` for a profiler that is switched off.
    recorder: Option<Arc<Recorder>>,
    /// Tells this front end's spans from those of the profiler's other ones.
    pub(crate) layer: u16,
    pub(crate) ancestry: Ancestry,
    find: PhantomData<fn() -> F>,
}

impl<F: FindSlot> FrontEnd<F> {
    pub(crate) fn new(recorder: Option<&Arc<Recorder>>) -> Self {
        let direct = F::IS_DIRECT;
        let recorder = recorder.map(Arc::clone);
        let layer = recorder.as_ref().map_or(0, |recorder| recorder.next_layer(direct));
        if let Some(recorder) = &recorder {
            recorder.open.touch(direct);
            if direct {
                recorder.set_has_subscriber();
            }
        }
        let first = recorder.as_ref().filter(|_| layer == 0);
        let slots = |wanted: bool| match first {
            Some(recorder) if wanted => recorder.open.slots().clone(),
            _ => Table::default(),
        };
        let busy_time = first.is_some_and(|recorder| recorder.busy_time);
        let (timed_slots, untimed_slots) = (slots(busy_time), slots(!busy_time));
        let fast_recorder = Arc::clone(first.unwrap_or_else(|| inert()));
        let sites = if first.is_some() { fast_sites() } else { Arc::clone(no_sites()) };
        let filter = Filter::new(recorder.as_ref(), first.map(|_| Arc::clone(&sites)), direct);
        if let Some(recorder) = first {
            scope_owner::joined(recorder.id);
        }
        let ancestry = Ancestry::default();
        Self {
            filter: Arc::new(filter),
            fast_recorder,
            timed_slots,
            untimed_slots,
            sites,
            recorder,
            layer,
            ancestry,
            find: PhantomData,
        }
    }

    fn found(&self) -> FoundFrontEnd<'_> {
        FoundFrontEnd { filter: &self.filter, recorder: self.recorder.as_ref(), layer: self.layer }
    }

    /// The recorder, for everything that the fast paths do not do.
    #[inline]
    pub(crate) fn recorder(&self) -> Option<&Arc<Recorder>> {
        self.recorder.as_ref()
    }
}

/// A front end of ours that was found in a thread's subscriber.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FoundFrontEnd<'a> {
    pub(crate) filter: &'a Filter,
    /// `None` for a profiler that is switched off.
    pub(crate) recorder: Option<&'a Arc<Recorder>>,
    pub(crate) layer: u16,
}

impl<'a> FoundFrontEnd<'a> {
    /// The first front end of ours in this subscriber, if it has one.
    pub(crate) fn of(dispatch: &'a Dispatch) -> Option<Self> {
        let indexed = dispatch.downcast_ref::<FrontEnd<Indexed>>().map(FrontEnd::found);
        indexed.or_else(|| dispatch.downcast_ref::<FrontEnd<Hashed>>().map(FrontEnd::found))
    }
}

/// The empty table of front ends without fast paths.
fn no_sites() -> &'static FastSites {
    static NONE: OnceLock<FastSites> = OnceLock::new();
    NONE.get_or_init(fast_sites)
}

/// A recorder that refuses everything: its ring is closed.
fn inert() -> &'static Arc<Recorder> {
    static INERT: OnceLock<Arc<Recorder>> = OnceLock::new();
    INERT.get_or_init(|| {
        let (recorder, _consumer) = Recorder::new(&RecorderOptions {
            ring_capacity: 0,
            partitions: 1,
            open_spans_max: 1,
            field_bytes_max: 0,
            rule: Rule::new(LevelFilter::OFF, LevelFilter::OFF),
            busy_time: false,
            entries: EntryRules::default(),
            status_rules: false,
            first_id: 1,
        });
        recorder.close_ring();
        recorder
    })
}
