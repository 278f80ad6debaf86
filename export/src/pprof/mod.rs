//! pprof: a stack for each path of spans, with the number of spans, self time and busy time:
//! <https://github.com/google/pprof/blob/main/proto/profile.proto>.
//!
//! * A function is a callsite: name, file and line; its system name has the target in front, which also
//!   keeps pprof from taking the name for a mangled one. Stacks are the paths of `folded`.
//! * Samples of a path are told apart by their labels `status` and `thread`, the name of the thread of the
//!   longest entry.
//! * `spans` are closed spans, `self` is their self time, which is what is shown at first. Both add up to
//!   what the database has.
//! * `busy` is what of the time inside of spans was not inside of spans below them, so that a span and all
//!   below it have its busy time together; as with `folded`, children that were busy side by side have more
//!   than their parent. It is known by path, and shared out to labels as the busy time of their spans is.
//!   Where it was not measured, it is not there.
//! * Unfinished spans have no times and are not in it.
//!
//! Memory is for what differs: paths, which are bounded as in [`Stacks`], threads by their names, statuses.

mod groups;
mod message;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::Written;
use super::error::ExportError;
use super::out::Out;
use super::source::Source;
use spandrel_query::stacks::{Frame, StackTree};
use spandrel_query::{Columns, SpanRef, Stacks, Weight};

use self::groups::Groups;
use self::message::{Profile, Sample};

/// Types of samples: what is counted, in which unit.
const SPANS: (&str, &str) = ("spans", "count");
const SELF: (&str, &str) = ("self", "nanoseconds");
const BUSY: (&str, &str) = ("busy", "nanoseconds");

pub(super) fn write(
    source: &mut Source<'_>,
    weight: Weight,
    out: &mut Out<'_>,
) -> Result<Written, ExportError> {
    let mut stacks = Stacks::by_callsite(source.reader, source.run.id)?;
    let (mut groups, mut extent) = (Groups::new(), Extent::default());
    let counted = source.spans(Columns::Entries, |span| {
        let Some(node) = stacks.add_at(span) else { return Err(ExportError::Stopped) };
        if !span.counts_by_entries() {
            groups.count(node, span);
        }
        extent.widen(span);
        Ok(())
    });
    let counted = counted.and_then(|spans| {
        let entries = source.chosen_entries(|named| {
            let entry = named.entry();
            if entry.self_ns.is_none() {
                return Ok(());
            }
            let node = stacks.add_entry_at(&entry, &named.callsite).ok_or(ExportError::Stopped)?;
            groups.count_entry(node, &named.thread, &entry);
            Ok(())
        })?;
        Ok((spans, entries))
    });
    // A failed look-up stops the scan: it is the error to report.
    let tree = stacks.finish()?;
    let (spans, entries) = counted?;
    let spans = spans.saturating_sub(tree.unfinished());
    let types = if tree.has_busy() { &[SPANS, SELF, BUSY][..] } else { &[SPANS, SELF] };
    let mut profile = Profile::new(types, shown_first(weight, types.len()));
    of_run(&mut profile, source, extent);
    samples(&mut profile, &tree, groups);
    let mut encoder = GzEncoder::new(&mut out.buffer, Compression::default());
    profile.write(&mut encoder)?;
    encoder.finish()?;
    Ok(Written { spans, entries, ..Written::default() })
}

fn shown_first(weight: Weight, types: usize) -> &'static str {
    match weight {
        Weight::Busy if types > 2 => BUSY.0,
        Weight::Calls => SPANS.0,
        _ => SELF.0,
    }
}

/// Where it comes from, and what is missing.
fn of_run(profile: &mut Profile, source: &Source<'_>, extent: Extent) {
    let run = source.run;
    profile.program(&run.info.program);
    let (from_ns, length_ns) = extent.bounds();
    profile.times(run.info.started_unix_ns.saturating_add(from_ns), length_ns);
    let label = run.info.label.as_deref().map(|label| format!(" {label:?}")).unwrap_or_default();
    profile.comment(&format!("spandrel: run {}{label} of {}", run.id, run.info.uuid));
    if run.dropped_spans > 0 {
        profile.comment(&format!("{} spans were lost by the recording", run.dropped_spans));
    }
    if run.dropped_entries > 0 {
        profile.comment(&format!("{} entries were lost by the recording", run.dropped_entries));
    }
    if run.pruned_spans > 0 {
        profile.comment(&format!("{} spans were pruned", run.pruned_spans));
    }
}

fn samples(profile: &mut Profile, tree: &StackTree, groups: Groups) {
    let own_busy = tree.has_busy().then(|| tree.own(Weight::Busy));
    let (of_nodes, threads) = groups.finish();
    let mut rest = of_nodes.as_slice();
    while let Some((first, _)) = rest.first() {
        let node = first.node;
        let count = rest.iter().take_while(|(key, _)| key.node == node).count();
        let (of_node, behind) = rest.split_at(count);
        rest = behind;
        // Negative only where sums of a damaged file have overflowed.
        let busy = own_busy.as_ref().and_then(|own| own.get(node)).map(|busy| (*busy).max(0));
        let shares = busy.map(|busy| shares(busy, of_node.iter().map(|(_, group)| group.busy_ns)));
        // The leaf comes first.
        let path = tree.path(node).into_iter().rev();
        let stack: Vec<u64> = path.map(|frame| location(profile, frame)).collect();
        for (at, (key, group)) in of_node.iter().enumerate() {
            let mut values = vec![group.spans, group.self_ns];
            values.extend(shares.as_ref().and_then(|shares| shares.get(at)));
            let thread = threads.get(key.thread).map_or("", String::as_str);
            let labels = [("status", key.status), ("thread", thread)];
            profile.sample(&Sample { stack: &stack, values: &values, labels });
        }
    }
}

/// The number of a frame's location.
fn location(profile: &mut Profile, frame: &Frame) -> u64 {
    match frame {
        Frame::Span(callsite) | Frame::Entries { callsite, .. } => {
            let name = if callsite.name.is_empty() { "(no name)" } else { frame.name() };
            let system_name = format!("{}::{name}", callsite.target);
            let file = callsite.file.as_deref().unwrap_or_default();
            profile.location(name, &system_name, file, callsite.line.unwrap_or(0))
        }
        other => profile.location(other.name(), "", "", 0),
    }
}

/// Divides a whole by weights; the parts add up to it.
fn shares(whole: i64, weights: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut weights: Vec<i128> = weights.map(|weight| i128::from(weight.max(0))).collect();
    if weights.iter().sum::<i128>() > i64::MAX.into() {
        // Only for a damaged file: products must fit into 128 bits.
        weights.iter_mut().for_each(|weight| *weight >>= 20);
    }
    let sum: i128 = weights.iter().sum();
    let (mut so_far, mut given) = (0, 0);
    let mut share = |weight: i128| {
        so_far += weight;
        let until = if sum > 0 { i128::from(whole) * so_far / sum } else { 0 };
        let share = until - given;
        given = until;
        share as i64
    };
    let mut shares: Vec<i64> = weights.iter().map(|weight| share(*weight)).collect();
    if let (true, Some(first)) = (sum == 0, shares.first_mut()) {
        *first = whole;
    }
    shares
}

/// From the first begin to the last end.
#[derive(Debug, Clone, Copy, Default)]
struct Extent(Option<(i64, i64)>);

impl Extent {
    fn widen(&mut self, span: &SpanRef<'_>) {
        let (start, end) = (span.start_ns, span.end_ns().unwrap_or(span.start_ns));
        let (first, last) = self.0.unwrap_or((start, end));
        self.0 = Some((first.min(start), last.max(end)));
    }

    /// The begin, and the length.
    fn bounds(self) -> (i64, i64) {
        let (first, last) = self.0.unwrap_or_default();
        (first, last.saturating_sub(first).max(0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn shares_add_up_to_the_whole(
            whole in any::<i64>(), weights in proptest::collection::vec(any::<i64>(), 1..8))
        {
            let shares = shares(whole, weights.iter().copied());
            prop_assert_eq!(shares.len(), weights.len());
            prop_assert_eq!(shares.iter().map(|share| i128::from(*share)).sum::<i128>(), whole.into());
        }
    }

    #[test]
    fn a_share_is_as_large_as_its_weight() {
        assert_eq!(shares(10, [1, 3, 1].into_iter()), [2, 6, 2]);
        assert_eq!(shares(10, [1, 1, 1].into_iter()), [3, 3, 4]);
        assert_eq!(shares(0, [5, 0].into_iter()), [0, 0]);
    }
}
