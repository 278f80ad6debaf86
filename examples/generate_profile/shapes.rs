//! What the made-up server does: requests, batches whose parts run side by side, recursions.

use spandrel_storage::{CallsiteInfo, Status};

use crate::arguments::Settings;
use crate::callsites::{
    ANSWERED, BATCH, FAILED, NODE, OTHERS, PART, QUERY, RENDER, REQUEST, RETRIED, VERIFY,
};
use crate::fields::{ROUTES_COUNT, Seed};
use crate::random::Random;
use crate::trace::{Moment, NEVER, Node, Trace};

/// The shard on which queries are slow.
const SLOW_SHARD: u8 = 7;

#[derive(Debug)]
pub struct Shapes {
    random: Random,
    slow: f64,
    threads: u32,
    /// By callsite: how much longer its spans take.
    factors: Vec<f64>,
}

impl Shapes {
    /// `slower`: names and factors of spans that take longer.
    pub fn new(settings: &Settings, seed: u64, callsites: &[CallsiteInfo], slower: bool) -> Self {
        let factor = |callsite: &CallsiteInfo| {
            let of = settings.slower.iter().filter(|(name, _)| slower && *name == callsite.name);
            of.map(|(_, factor)| factor).product()
        };
        Self {
            random: Random::new(seed),
            slow: settings.slow,
            threads: settings.threads,
            factors: callsites.iter().map(factor).collect(),
        }
    }

    /// The time to the next trace.
    pub fn arrival(&mut self, mean_ns: f64) -> i64 {
        self.random.arrival(mean_ns)
    }

    /// A trace of any kind that begins now.
    pub fn any(&mut self, trace: &mut Trace, now: i64) {
        let kind = self.random.below(100);
        match kind {
            0..3 if self.has(BATCH) && self.has(PART) => self.batch(trace, now),
            3..6 if self.has(NODE) => self.recursion(trace, now),
            _ => self.request(trace, now, false),
        }
    }

    /// A request; one that never ends hangs in its query.
    pub fn request(&mut self, trace: &mut Trace, now: i64, hangs: bool) {
        let slow = self.random.chance(self.slow);
        let shard = if slow { SLOW_SHARD } else { self.random.below(10) as u8 };
        let route = self.random.few(ROUTES_COUNT) as u8;
        let root = self.open(trace, REQUEST, None, now);
        let seed = Seed { route, shard, ..trace.nodes[root].seed };
        trace.nodes[root].seed = seed;

        let inside = now + self.gap();
        let verify = self.leaf(trace, VERIFY, root, inside, 400e3, 0.1);
        let mut now = trace.end_of(verify) + self.gap();
        if self.has(OTHERS) {
            now = self.others(trace, root, now);
        }
        let query = self.query(trace, root, now, seed, slow);
        if hangs {
            for node in [root, query] {
                trace.nodes[node].end_ns = NEVER;
            }
            return;
        }
        now = trace.end_of(query) + self.gap();
        if self.random.chance(0.01) {
            now = self.failed(trace, root, query, seed);
        }
        let render = self.leaf(trace, RENDER, root, now, 900e3, 0.1);
        now = trace.end_of(render);
        if self.has(OTHERS) && self.random.chance(0.2) {
            let inside = trace.nodes[render].start_ns + self.gap();
            let callsite = self.other();
            let length = (now - inside).max(0) as f64 / 2.0;
            let other = self.leaf(trace, callsite, render, inside, length, 0.05);
            now = now.max(trace.end_of(other));
            trace.nodes[render].end_ns = now;
            trace.nodes[render].busy_ns = now - trace.nodes[render].start_ns;
        }
        let end = now + self.gap();
        if self.random.chance(0.02) {
            trace.moments.push(Moment { node: root, at_ns: end - 1_000, event: ANSWERED });
        }
        self.close(trace, root, end);
    }

    /// A query waits nine tenths of its time.
    fn query(
        &mut self,
        trace: &mut Trace,
        parent: usize,
        now: i64,
        seed: Seed,
        slow: bool,
    ) -> usize {
        let median = if slow { 22e6 + self.random.unit() * 31e6 } else { 2e6 };
        let query = self.leaf(trace, QUERY, parent, now, median, if slow { 0.01 } else { 0.1 });
        let polls = 2 + self.random.few(5);
        let node = &mut trace.nodes[query];
        node.busy_ns /= 10;
        node.polls = polls;
        node.seed = Seed { shard: seed.shard, ..node.seed };
        query
    }

    /// A query that failed is tried again, unless the request fails with it. Returns when it goes on.
    fn failed(&mut self, trace: &mut Trace, root: usize, query: usize, seed: Seed) -> i64 {
        let end = trace.end_of(query);
        trace.nodes[query].status = Status::Error;
        trace.moments.push(Moment { node: query, at_ns: end - 500, event: FAILED });
        if self.random.chance(0.25) {
            trace.nodes[root].status = Status::Error;
            trace.moments.push(Moment { node: root, at_ns: end + 300, event: FAILED });
            return end + 1_000;
        }
        trace.moments.push(Moment { node: root, at_ns: end + 300, event: RETRIED });
        let again = self.query(trace, root, end + 1_000, seed, false);
        trace.nodes[again].follows = Some(query);
        trace.end_of(again) + self.gap()
    }

    /// Up to three of the other spans; sometimes two at once.
    fn others(&mut self, trace: &mut Trace, parent: usize, now: i64) -> i64 {
        let mut now = now;
        for _ in 0..self.random.few(4) {
            let first = self.other();
            let first = self.timed(trace, first, parent, now);
            let mut end = trace.end_of(first);
            if self.random.chance(0.1) {
                let inside = now + (end - now) / 3;
                let second = self.other();
                let second = self.timed(trace, second, parent, inside);
                end = end.max(trace.end_of(second));
            }
            now = end + self.gap();
        }
        now
    }

    /// One of the other callsites, the first ones most often.
    fn other(&mut self) -> usize {
        OTHERS + self.random.few((self.factors.len() - OTHERS) as u64) as usize
    }

    /// A span of another callsite, as long as such spans are.
    fn timed(&mut self, trace: &mut Trace, callsite: usize, parent: usize, now: i64) -> usize {
        let median = 10e3 * 1.5_f64.powi((callsite * 7 % 9) as i32);
        self.leaf(trace, callsite, parent, now, median, 0.3)
    }

    /// Two to nine parts side by side on other threads; one in fifty outlives the batch.
    fn batch(&mut self, trace: &mut Trace, now: i64) {
        let root = self.open(trace, BATCH, None, now);
        let mut end = now + 50_000;
        let (mut start, mut before) = (now, None);
        for _ in 0..2 + self.random.below(8) {
            start += self.random.below(400_000) as i64;
            let part = self.leaf(trace, PART, root, start, 3e6, 0.5);
            let thread = self.thread();
            let node = &mut trace.nodes[part];
            node.thread = thread;
            node.busy_ns = node.busy_ns / 10 * 4;
            node.polls = 3;
            node.follows = before.filter(|_| self.random.chance(0.3));
            if !self.random.chance(0.02) {
                end = end.max(trace.end_of(part));
            }
            before = Some(part);
        }
        self.close(trace, root, end + 20_000);
        // The parts are polled by others: the batch itself only waits.
        let length = trace.nodes[root].end_ns - now;
        trace.nodes[root].busy_ns = length.min(70_000);
    }

    /// A span that calls itself, three to twenty deep.
    fn recursion(&mut self, trace: &mut Trace, now: i64) {
        let root = self.open(trace, NODE, None, now);
        let mut path = vec![root];
        for _ in 0..2 + self.random.few(18) {
            let parent = path[path.len() - 1];
            let start = trace.nodes[parent].start_ns + self.gap();
            path.push(self.open(trace, NODE, Some(parent), start));
        }
        let mut end = trace.nodes[path[path.len() - 1]].start_ns + 30_000;
        for node in path.into_iter().rev() {
            end += self.gap();
            self.close(trace, node, end);
            end = trace.end_of(node);
        }
    }

    fn has(&self, callsite: usize) -> bool {
        callsite < self.factors.len()
    }

    fn thread(&mut self) -> u32 {
        self.random.below(self.threads.into()) as u32
    }

    fn gap(&mut self) -> i64 {
        10_000 + self.random.below(20_000) as i64
    }

    /// A span that has begun; it runs on the thread of its parent, as a rule.
    fn open(
        &mut self,
        trace: &mut Trace,
        callsite: usize,
        parent: Option<usize>,
        now: i64,
    ) -> usize {
        let same = parent.map(|parent| trace.nodes[parent].thread);
        let thread = same.filter(|_| !self.random.chance(0.1)).unwrap_or_else(|| self.thread());
        trace.nodes.push(Node {
            parent,
            callsite,
            thread,
            start_ns: now,
            end_ns: NEVER,
            busy_ns: 5_000,
            polls: 1,
            status: Status::Ok,
            seed: Seed { bits: self.random.bits() as u32, ..Seed::default() },
            follows: None,
            lost: false,
            self_ns: 0,
            in_children_ns: 0,
            id: 0,
        });
        trace.nodes.len() - 1
    }

    /// A span without children that works all the time.
    fn leaf(
        &mut self,
        trace: &mut Trace,
        callsite: usize,
        parent: usize,
        now: i64,
        median_ns: f64,
        spread: f64,
    ) -> usize {
        let leaf = self.open(trace, callsite, Some(parent), now);
        let duration = self.random.duration(median_ns, spread).max(1_000);
        let duration = (duration as f64 * self.factors[callsite]) as i64;
        let node = &mut trace.nodes[leaf];
        node.end_ns = now + duration;
        node.busy_ns = duration;
        leaf
    }

    /// Ends a span that has children, which it polled: busy with them, and between them.
    fn close(&mut self, trace: &mut Trace, index: usize, end: i64) {
        let start = trace.nodes[index].start_ns;
        let length = ((end - start) as f64 * self.factors[trace.nodes[index].callsite]) as i64;
        let children = || trace.nodes.iter().filter(|node| node.parent == Some(index));
        let waited: i64 =
            children().map(|child| child.end_ns - child.start_ns - child.busy_ns).sum();
        let polls = 1 + children().map(|child| child.polls - 1).sum::<u64>();
        let node = &mut trace.nodes[index];
        node.end_ns = start + length;
        node.busy_ns = (length - waited).max(length / 100);
        node.polls = polls;
    }
}
