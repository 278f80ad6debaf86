//! What the generator made, and how long each span took it.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::args::Args;
use crate::workload::{DEPTH_MAX, Values, mix};

/// What the spans of one tree cost the thread that made them, from outermost to innermost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Costs {
    /// To create, enter, exit and close the span, without what happened inside.
    pub spans: [Duration; DEPTH_MAX],
    /// The tree was polled on more than one thread.
    pub moved: bool,
}

/// The sum over many trees.
#[derive(Debug, Clone)]
pub struct Sent {
    /// By lane.
    pub trees: Vec<u64>,
    pub spans: u64,
    pub events: u64,
    /// Sum of the checksums of the spans' fields.
    pub span_checksum: u64,
    pub event_checksum: u64,
    pub moved: u64,
    /// What one span cost, in nanoseconds.
    pub service: Histogram<u64>,
    /// The same, counted from the moment when its tree was due.
    pub response: Histogram<u64>,
    /// When the last tree ended.
    pub finished: Option<Instant>,
}

impl Sent {
    pub fn new(lanes: usize) -> Self {
        // Three digits, and memory that grows with the largest value.
        let histogram = || Histogram::new(3).unwrap();
        Self {
            trees: vec![0; lanes],
            spans: 0,
            events: 0,
            span_checksum: 0,
            event_checksum: 0,
            moved: 0,
            service: histogram(),
            response: histogram(),
            finished: None,
        }
    }

    /// Counts one tree of the load: its values, what it cost, and how late it began.
    pub fn add(
        &mut self,
        lane: usize,
        values: &[Values<'_>],
        args: &Args,
        costs: &Costs,
        late: Duration,
    ) {
        self.trees[lane] += 1;
        self.spans += values.len() as u64;
        self.moved += u64::from(costs.moved);
        for (values, cost) in values.iter().zip(costs.spans) {
            self.span_checksum = self.span_checksum.wrapping_add(values.checksum(args.fields));
            self.service += cost.as_nanos() as u64;
            self.response += (cost + late).as_nanos() as u64;
        }
        if let Some(innermost) = values.last().filter(|_| args.events) {
            self.events += 1;
            self.event_checksum = self.event_checksum.wrapping_add(mix(innermost.unit));
        }
        self.finished = Some(Instant::now());
    }

    pub fn merge(mut self, other: &Self) -> Self {
        for (mine, theirs) in self.trees.iter_mut().zip(&other.trees) {
            *mine += theirs;
        }
        self.spans += other.spans;
        self.events += other.events;
        self.span_checksum = self.span_checksum.wrapping_add(other.span_checksum);
        self.event_checksum = self.event_checksum.wrapping_add(other.event_checksum);
        self.moved += other.moved;
        self.service += &other.service;
        self.response += &other.response;
        self.finished = self.finished.max(other.finished);
        self
    }

    pub fn trees_in_all(&self) -> u64 {
        self.trees.iter().sum()
    }
}
