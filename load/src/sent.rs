//! What the generator made, and how long each span took it.

use std::time::{Duration, Instant};

use crate::latency::Latencies;
use crate::settings::Load;
use crate::workload::{DEPTH_MAX, Values, mix};

/// What the spans of one tree cost the thread that made them, from outermost to innermost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Costs {
    /// To create, enter, exit and close the span, without what happened inside.
    pub(crate) spans: [Duration; DEPTH_MAX],
    /// The tree was polled on more than one thread.
    pub(crate) moved: bool,
}

/// The sum over many trees.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sent {
    /// By lane.
    pub(crate) trees: Vec<u64>,
    pub(crate) spans: u64,
    pub(crate) events: u64,
    /// Entries of long-lived spans, but for the first of each.
    pub(crate) entries: u64,
    /// Sum of the checksums of the spans' fields.
    pub(crate) span_checksum: u64,
    pub(crate) event_checksum: u64,
    pub(crate) moved: u64,
    /// What one span cost.
    pub(crate) service: Latencies,
    /// The same, counted from the moment when its tree was due.
    pub(crate) response: Latencies,
    /// When the last tree ended.
    pub(crate) finished: Option<Instant>,
}

impl Sent {
    pub(crate) fn new(lanes: usize) -> Self {
        Self { trees: vec![0; lanes], ..Self::default() }
    }

    /// Counts one tree of the load: its values, what it cost, and how late it began.
    pub(crate) fn add(
        &mut self,
        lane: usize,
        values: &[Values<'_>],
        load: &Load,
        costs: &Costs,
        late: Duration,
    ) {
        self.trees[lane] += 1;
        self.spans += values.len() as u64;
        self.moved += u64::from(costs.moved);
        for (values, cost) in values.iter().zip(costs.spans) {
            self.span_checksum = self.span_checksum.wrapping_add(values.checksum(load.fields));
            self.service.add(cost);
            self.response.add(cost + late);
        }
        if let Some(innermost) = values.last().filter(|_| load.events) {
            self.events += 1;
            self.event_checksum = self.event_checksum.wrapping_add(mix(innermost.unit));
        }
        self.finished = Some(Instant::now());
    }

    /// Counts so many entries of long-lived spans inside each other: what they cost, and how late they began.
    pub(crate) fn add_entries(&mut self, lane: usize, depth: usize, costs: &Costs, late: Duration) {
        self.trees[lane] += 1;
        self.entries += depth as u64;
        for cost in costs.spans.into_iter().take(depth) {
            self.service.add(cost);
            self.response.add(cost + late);
        }
        self.finished = Some(Instant::now());
    }

    pub(crate) fn merge(mut self, other: &Self) -> Self {
        for (mine, theirs) in self.trees.iter_mut().zip(&other.trees) {
            *mine += theirs;
        }
        self.spans += other.spans;
        self.events += other.events;
        self.entries += other.entries;
        self.span_checksum = self.span_checksum.wrapping_add(other.span_checksum);
        self.event_checksum = self.event_checksum.wrapping_add(other.event_checksum);
        self.moved += other.moved;
        self.service.merge(&other.service);
        self.response.merge(&other.response);
        self.finished = self.finished.max(other.finished);
        self
    }

    pub(crate) fn trees_in_all(&self) -> u64 {
        self.trees.iter().sum()
    }
}
