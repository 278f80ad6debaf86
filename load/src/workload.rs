//! One unit of load, as a function of its number, so that sender and verifier agree on each field.

use tracing::{Span, info, info_span};

/// Most spans nested in each other.
pub const DEPTH_MAX: usize = 16;
/// Most fields of a span.
pub const FIELDS_MAX: usize = 6;

/// Texts that a careless writer of JSON would spoil stand among plain ones.
const ITEMS: [&str; 8] =
    ["apple", "pear", "fig", "a \"quoted\" word", "caf\u{e9}", "tab\there", "back\\slash", ""];

/// Which span: level 0 is the outermost of the tree `sequence` on the thread (or lane of tasks)
/// `lane`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) lane: usize,
    pub(crate) sequence: u64,
    pub(crate) level: usize,
}

impl Unit {
    /// One number that people can read, too: two digits for the level, three for the lane, the rest
    /// for the sequence.
    pub(crate) fn code(self) -> u64 {
        self.sequence * 100_000 + self.lane as u64 * 100 + self.level as u64
    }

    pub(crate) fn from_code(code: u64) -> Self {
        Self {
            lane: (code / 100 % 1_000) as usize,
            sequence: code / 100_000,
            level: (code % 100) as usize,
        }
    }
}

/// The fields of one span, in the order in which `--fields` adds them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Values<'a> {
    pub(crate) unit: u64,
    pub(crate) amount: i64,
    pub(crate) item: &'a str,
    pub(crate) ratio: f64,
    pub(crate) hit: bool,
    pub(crate) size: u64,
}

impl Values<'static> {
    /// What the span with this code carries.
    pub(crate) fn of(unit: u64) -> Self {
        let bits = mix(unit);
        Self {
            unit,
            amount: (bits % 20_001) as i64 - 10_000,
            item: ITEMS[(bits >> 16) as usize % ITEMS.len()],
            ratio: (bits >> 24 & 0xFFFF) as f64 / 64.0,
            hit: bits >> 40 & 1 == 1,
            size: bits >> 41 & 0xF_FFFF,
        }
    }
}

impl Values<'_> {
    /// A checksum over the first `fields` fields; the sum over all spans does not depend on their
    /// order.
    pub(crate) fn checksum(&self, fields: usize) -> u64 {
        let text = self.item.bytes().fold(0, |sum, byte| mix(sum ^ u64::from(byte)));
        let all =
            [self.unit, self.amount as u64, text, self.ratio.to_bits(), self.hit.into(), self.size];
        all[..fields].iter().fold(0, |sum, value| mix(sum ^ value))
    }

    /// Makes the span; each number of fields is a callsite of its own.
    pub(crate) fn span(&self, fields: usize) -> Span {
        let Self { unit, amount, item, ratio, hit, size } = *self;
        macro_rules! span {
            ($name:literal) => {
                match fields {
                    0 => info_span!($name),
                    1 => info_span!($name, unit),
                    2 => info_span!($name, unit, amount),
                    3 => info_span!($name, unit, amount, item),
                    4 => info_span!($name, unit, amount, item, ratio),
                    5 => info_span!($name, unit, amount, item, ratio, hit),
                    _ => info_span!($name, unit, amount, item, ratio, hit, size),
                }
            };
        }
        if unit % 100 == 0 { span!("request") } else { span!("step") }
    }

    /// The event of the tree, in the innermost span.
    pub(crate) fn event(&self) {
        info!(unit = self.unit, "done");
    }
}

/// The finalizer of splitmix64, <https://prng.di.unimi.it/splitmix64.c>.
pub(crate) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ value >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ value >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ value >> 31
}
