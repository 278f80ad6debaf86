//! All traces in one order of time, many under way at once.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::f64::consts::TAU;

use crate::arguments::Settings;
use crate::shapes::Shapes;
use crate::trace::{Item, NEVER, Trace};

/// The load goes up and down by a third within a minute.
const SEASON_NS: f64 = 60e9;
const SEASON_SHARE: f64 = 0.33;
/// Spans are lost in bursts, when so many of a hundred have come.
const BURSTS: [u64; 3] = [30, 55, 80];

#[derive(Debug)]
pub struct Timeline {
    shapes: Shapes,
    traces: Vec<Trace>,
    /// Places in `traces` that are free.
    free: Vec<usize>,
    /// When the next item of each trace under way is due, and its place.
    due: BinaryHeap<Reverse<(i64, usize)>>,
    next_arrival: i64,
    span_ns: f64,
    spans: u64,
    made: u64,
    lose: u64,
    lost: u64,
    next_lost: bool,
    unfinished: u64,
    hung: u64,
}

impl Timeline {
    pub fn new(settings: &Settings, shapes: Shapes) -> Self {
        Self {
            shapes,
            traces: Vec::new(),
            free: Vec::new(),
            due: BinaryHeap::new(),
            next_arrival: 1_000_000,
            span_ns: 1e9 / settings.rate as f64,
            spans: settings.spans,
            made: 0,
            lose: settings.lose,
            lost: 0,
            next_lost: false,
            unfinished: settings.unfinished,
            hung: 0,
        }
    }

    /// The next thing that happens: when, what, and in which trace.
    pub fn next(&mut self) -> Option<(i64, Item, &mut Trace)> {
        while self.due.peek().is_none_or(|Reverse((at_ns, _))| *at_ns >= self.next_arrival) {
            self.arrive();
        }
        let Reverse((at_ns, place)) = self.due.pop()?;
        let trace = &mut self.traces[place];
        let item = trace.next()?;
        match trace.next_at() {
            Some(next) => self.due.push(Reverse((next, place))),
            // The caller is done with it before the next trace arrives.
            None => self.free.push(place),
        }
        Some((at_ns, item, trace))
    }

    /// What is due up to a moment, without anything new.
    pub fn next_until(&mut self, end_ns: i64) -> Option<(i64, Item, &mut Trace)> {
        let Reverse((at_ns, _)) = self.due.peek()?;
        if *at_ns > end_ns { None } else { self.next() }
    }

    fn arrive(&mut self) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.traces.push(Trace::default());
            self.traces.len() - 1
        });
        let now = self.next_arrival;
        let trace = &mut self.traces[place];
        trace.clear();
        if self.hung < self.unfinished
            && self.made * (self.unfinished + 1) >= self.spans * (self.hung + 1)
        {
            self.shapes.request(trace, now, true);
            self.hung += 1;
        } else {
            self.shapes.any(trace, now);
        }
        let spans = trace.nodes.len();
        self.made += spans as u64;
        self.lose_some(place);
        let trace = &mut self.traces[place];
        trace.complete();
        if let Some(at_ns) = trace.next_at() {
            self.due.push(Reverse((at_ns, place)));
        }
        let load = 1.0 + SEASON_SHARE * (now as f64 / SEASON_NS * TAU).sin();
        self.next_arrival += self.shapes.arrival(spans as f64 * self.span_ns / load).max(1);
    }

    /// Every other span is lost while a burst lasts.
    fn lose_some(&mut self, place: usize) {
        let begun = BURSTS.iter().filter(|percent| self.made * 100 >= self.spans * **percent);
        let allowed = self.lose * begun.count() as u64 / BURSTS.len() as u64;
        for node in &mut self.traces[place].nodes {
            self.next_lost ^= self.lost < allowed;
            if self.lost < allowed && self.next_lost && node.end_ns != NEVER {
                node.lost = true;
                self.lost += 1;
            }
        }
    }
}
