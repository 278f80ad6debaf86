//! The rollups of a window, added up by callsite.
//!
//! Each second only what is new is read: what has been added up to blocks stays, once no more rows are
//! to be expected in it. But a span may be stored later than that (its recorder was [`SETTLED_NS`] behind
//! and out of order), and sums of what lives long change when more is known of it. So with each look one of the
//! blocks is read again, in turn, which are fifteen at most; the whole run a few times in all ([`Blocks::again_ns`]), and
//! when it has ended.

use std::collections::{HashMap, VecDeque};

use spandrel_query::{CountedBy, Reader, Rollup};
use spandrel_storage::{Error, Histogram};

use super::window::{SECOND_NS, Window, floor};

/// How long after its end a block is read again.
const SETTLED_NS: i64 = 5 * SECOND_NS;
/// The whole run is read again after so long at least ...
const AGAIN_NS: i64 = 60 * SECOND_NS;
/// ... and after such a part of its age: so all these reads together cost a fixed number of reads of the
/// whole run, however long it runs.
const AGAIN_PART: i64 = 10;
pub(crate) const TREND_SECONDS: usize = 60;

/// The calls of a callsite in some time: closed spans, or entries of long-lived ones.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sums {
    pub(crate) calls: u64,
    pub(crate) errors: u64,
    pub(crate) sum_ns: i64,
    /// How many of them have a busy time.
    pub(crate) busy_ns: Option<i64>,
    pub(crate) self_ns: i64,
    pub(crate) max_ns: i64,
    pub(crate) histogram: Histogram,
}

impl Sums {
    pub(crate) fn add(&mut self, other: &Self) {
        self.busy_ns = match (self.calls, self.busy_ns, other.busy_ns) {
            (0, _, busy) => busy,
            (_, Some(one), Some(other)) => Some(one.saturating_add(other)),
            _ => None,
        };
        self.calls = self.calls.saturating_add(other.calls);
        self.errors = self.errors.saturating_add(other.errors);
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        self.self_ns = self.self_ns.saturating_add(other.self_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
        self.histogram.merge(&other.histogram);
    }
}

impl From<Rollup> for Sums {
    fn from(rollup: Rollup) -> Self {
        Self {
            calls: rollup.calls,
            errors: rollup.errors,
            sum_ns: rollup.sum_ns,
            busy_ns: rollup.busy_ns,
            self_ns: rollup.self_ns,
            max_ns: rollup.max_ns,
            histogram: rollup.histogram,
        }
    }
}

/// By callsite and what is counted.
pub(crate) type ByCallsite = HashMap<(i64, CountedBy), Sums>;

fn add_all(to: &mut ByCallsite, from: &ByCallsite) {
    for (callsite, sums) in from {
        to.entry(*callsite).or_default().add(sums);
    }
}

/// The sums of the window that was asked for last, by blocks.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    window: Window,
    /// Start and sums of blocks that do not change any more.
    settled: VecDeque<(i64, ByCallsite)>,
    /// Of the whole run: everything before `before_ns`.
    before: ByCallsite,
    before_ns: i64,
    /// When that is read again.
    again_ns: i64,
}

impl Blocks {
    /// The sums from where the window begins to `until_ns`; `end_ns` is the end of what is stored.
    pub(crate) fn read(
        &mut self,
        reader: &Reader,
        run_id: i64,
        window: Window,
        until_ns: i64,
        end_ns: i64,
    ) -> Result<ByCallsite, Error> {
        if window != self.window {
            *self = Self { window, ..Self::default() };
        }
        let from_ns = window.start_ns(until_ns);
        let is_whole = window == Window::Whole;
        if end_ns >= self.again_ns {
            (self.before, self.before_ns) = (ByCallsite::new(), 0);
            self.again_ns = end_ns.saturating_add(AGAIN_NS.max(end_ns / AGAIN_PART));
        }
        let mut total = ByCallsite::new();
        let mut at = if is_whole { self.before_ns } else { from_ns };
        self.settled.retain(|(start, _)| (from_ns..until_ns).contains(start));
        // If it is missing, it is read, and comes last.
        self.settled.pop_front();
        while at < until_ns {
            let next = at.saturating_add(window.block_ns());
            let is_settled = next <= end_ns.saturating_sub(SETTLED_NS);
            match self.settled.iter().find(|(start, _)| *start == at) {
                Some((_, block)) => add_all(&mut total, block),
                None => {
                    // Only a part of the last block is needed.
                    let block = read_block(reader, run_id, at, next.min(until_ns))?;
                    if is_settled && is_whole {
                        add_all(&mut self.before, &block);
                        self.before_ns = next;
                    } else {
                        add_all(&mut total, &block);
                        if is_settled && next <= until_ns {
                            self.settled.push_back((at, block));
                        }
                    }
                }
            }
            at = next;
        }
        if is_whole {
            add_all(&mut total, &self.before);
        }
        Ok(total)
    }
}

fn read_block(
    reader: &Reader,
    run_id: i64,
    from_ns: i64,
    until_ns: i64,
) -> Result<ByCallsite, Error> {
    let mut block = ByCallsite::new();
    reader.rollups(run_id, from_ns, until_ns, &[], |rollup| {
        let callsite = (rollup.callsite_id, rollup.counted);
        block.entry(callsite).or_default().add(&rollup.into());
    })?;
    Ok(block)
}

/// How many calls, by callsite and what is counted.
type Counts = HashMap<(i64, CountedBy), u64>;

/// How many calls ended in each second, by callsite.
#[derive(Debug, Default)]
pub(crate) struct Trends {
    /// Start of a second, and the calls in it.
    seconds: VecDeque<(i64, Counts)>,
}

impl Trends {
    /// Updates the seconds up to the one before `until_ns`.
    pub(crate) fn read(
        &mut self,
        reader: &Reader,
        run_id: i64,
        until_ns: i64,
        end_ns: i64,
    ) -> Result<(), Error> {
        let last = floor(until_ns.saturating_sub(1), SECOND_NS);
        let first = last.saturating_sub((TREND_SECONDS as i64 - 1) * SECOND_NS);
        let settled = end_ns.saturating_sub(SETTLED_NS + SECOND_NS);
        self.seconds.retain(|(at, _)| (first..=last).contains(at) && *at <= settled);
        // Stepping back in time leaves a gap at the front; then everything is read again.
        if self.seconds.front().is_some_and(|(at, _)| *at > first.max(0)) {
            self.seconds.clear();
        }
        let from = self.seconds.back().map_or(first.max(0), |(at, _)| at + SECOND_NS);
        let mut at = from;
        while at <= last {
            self.seconds.push_back((at, HashMap::new()));
            at += SECOND_NS;
        }
        let seconds = &mut self.seconds;
        reader.rollups(run_id, from, last.saturating_add(SECOND_NS), &[], |rollup| {
            let start = floor(rollup.at_ns, SECOND_NS);
            if let Some((_, calls)) = seconds.iter_mut().rev().find(|(at, _)| *at == start) {
                *calls.entry((rollup.callsite_id, rollup.counted)).or_default() += rollup.calls;
            }
        })
    }

    /// Calls in each second, the last one at the end.
    pub(crate) fn of(&self, callsites: &[i64], counted: CountedBy) -> Vec<u64> {
        let calls = self.seconds.iter().map(|(_, calls)| {
            let of = callsites.iter().filter_map(|callsite| calls.get(&(*callsite, counted)));
            of.fold(0, add)
        });
        calls.collect()
    }

    /// Spans of all callsites in each second, except those that live long.
    pub(crate) fn of_all(&self) -> Vec<u64> {
        let spans = |calls: &Counts| {
            let of_spans = calls.iter().filter(|((_, by), _)| *by == CountedBy::Lifetime);
            of_spans.map(|(_, calls)| calls).fold(0, add)
        };
        self.seconds.iter().map(|(_, calls)| spans(calls)).collect()
    }
}

fn add(sum: u64, calls: &u64) -> u64 {
    sum.saturating_add(*calls)
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::super::test_pages;
    use super::*;

    #[test]
    fn sums_that_change_late_are_right_after_some_looks() {
        let (_folder, path) = test_pages::long_lived();
        let reader = Reader::open(&path).unwrap();
        let run = reader.latest_run().unwrap().unwrap();
        let own = |blocks: &mut Blocks, window, end_ns| {
            let sums = blocks.read(&reader, run.id, window, end_ns, end_ns).unwrap();
            sums.values().map(|sums| sums.self_ns).sum::<i64>()
        };
        for window in Window::ALL {
            // The first second of entries is settled by then, and in the window.
            let is_short = matches!(window, Window::TenSeconds | Window::Minute);
            let end_ns = if is_short { 70 } else { 100 } * SECOND_NS;
            let mut blocks = Blocks::default();
            let before = own(&mut blocks, window, end_ns);
            assert!(before > 0);
            let conn = Connection::open(&path).unwrap();
            let less = "UPDATE entry_rollup SET self_ns = self_ns - 1000
                 WHERE at_ns = (SELECT min(at_ns) FROM entry_rollup)";
            assert_eq!(conn.execute(less, []).unwrap(), 1);
            let (looks, end_ns) = match window {
                Window::Whole => (1, end_ns + AGAIN_NS),
                _ => (15, end_ns),
            };
            let last = (0..looks).map(|_| own(&mut blocks, window, end_ns)).last().unwrap();
            assert_eq!(last, before - 1_000, "{window:?}");
        }
    }
}
