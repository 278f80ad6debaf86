//! Ids of traces.
//!
//! The same profile gives the same ids each time. Half of an id is from the run's uuid, so that runs differ. The
//! other half is a hash of the root's id, so that it looks random: samplers decide by the last 56 bits of a trace id
//! (<https://www.w3.org/TR/trace-context-2/#randomness-of-trace-id>), and some receivers keep only 64 bits. With ids
//! counted from 1, all traces would be dropped together, or confused with those of another run.
//!
//! If the ids of other systems for a trace or a span are known, those are used.

use super::wire::Ids;
use spandrel_query::SpanContext;
use spandrel_query::SpanRef;
use spandrel_storage::OtelSpanId;

/// The ids of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct TraceIds {
    high: u64,
    salt: u64,
}

impl TraceIds {
    pub(super) fn new(uuid: &str) -> Self {
        // A uuid is 32 digits; of anything else the FNV-1a hash.
        let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        let half = |range| {
            let digits = uuid.get(range).filter(|_| uuid.len() == 32).unwrap_or_default();
            u64::from_str_radix(digits, 16)
                .unwrap_or_else(|_| uuid.bytes().fold(0xcbf2_9ce4_8422_2325, fold))
        };
        Self { high: half(0..16), salt: mixed(half(16..32)) }
    }

    /// The ids of a span of the trace with this root.
    pub(super) fn of_span(self, root_id: u64, id: u64, context: Option<&SpanContext>) -> Ids {
        let known = context.and_then(|context| context.span_id);
        let trace = match context.map(|context| context.trace_id.get()) {
            Some(trace) => [(trace >> 64) as u64, trace as u64],
            None => self.of(root_id),
        };
        Ids { trace, span: known.map_or(id, OtelSpanId::get) }
    }

    /// The parent of a span; `None` if it has none in its trace.
    pub(super) fn parent(span: &SpanRef<'_>) -> Option<u64> {
        let Some(context) = &span.context else { return span.parent_id };
        let known = context.parent_id.map(OtelSpanId::get);
        known.or(span.parent_id.filter(|_| !context.begins))
    }

    /// The id of the trace with this root. Different roots have different ids: the hash is a bijection.
    pub(super) fn of(self, root_id: u64) -> [u64; 2] {
        [self.high, mixed(root_id ^ self.salt)]
    }
}

/// The end of Vigna's splitmix64, <https://prng.di.unimi.it/splitmix64.c>.
fn mixed(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_sampler_that_reads_the_id_keeps_its_share_of_the_traces() {
        let ids = TraceIds::new("00112233445566778899aabbccddeeff");
        let randomness = |root: u64| ids.of(root)[1] & ((1 << 56) - 1);
        let kept = (1..=100_000).filter(|root| randomness(*root) >= (1 << 56) / 10 * 9).count();
        assert!((9_500..10_500).contains(&kept), "{kept} of 100,000 where 10,000 were asked for");
    }

    #[test]
    fn traces_of_other_runs_have_other_ids_even_if_half_of_an_id_is_kept() {
        let runs = ["00112233445566778899aabbccddeeff", "ff112233445566778899aabbccddee00", "odd"];
        let ids = runs.into_iter().flat_map(|uuid| {
            let ids = TraceIds::new(uuid);
            (1..1_000).map(move |root| ids.of(root)[1])
        });
        assert_eq!(ids.collect::<HashSet<_>>().len(), 3 * 999);
        assert_eq!(TraceIds::new(runs[0]).of(7)[0], 0x0011_2233_4455_6677);
    }
}
