//! What was found, and which of it is worth showing.

use crate::order_rows::OrderRows as _;
use crate::reader::CountedBy;
use crate::statistics::benjamini_hochberg;

/// The expected share of false findings among those shown.
const FALSE_DISCOVERY_RATE: f64 = 0.01;
/// Smaller differences are not shown.
const DIFFERENCE_MIN: f64 = 0.02;
/// The same for windows of time: bursts of load make small differences.
const WINDOW_DIFFERENCE_MIN: f64 = 0.15;
/// A threshold is shown only if its difference is this much larger than that of the best single value.
const THRESHOLD_GAIN_MIN: f64 = 0.02;

/// Names of shares of the duration.
pub(super) const CHILD_TIME: &str = "child time";
pub(super) const OWN_TIME: &str = "own time";
pub(super) const OWN_SELF: &str = "self";
pub(super) const OWN_BUSY: &str = "busy";

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A field.
    Field,
    /// How spans ended.
    Status,
    /// The thread that made them.
    Thread,
    /// The target of the callsite.
    Target,
    /// When they began.
    Start,
    /// The mean share of the duration that was self time, or busy time.
    Own,
    /// The mean share of the duration that was spent in children of a name.
    Child,
}

impl Kind {
    /// For programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Field => "field",
            Self::Status => "status",
            Self::Thread => "thread",
            Self::Target => "target",
            Self::Start => "start",
            Self::Own => "own_time",
            Self::Child => "child_time",
        }
    }
}

/// The values that are more frequent.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// This one; of children, their name.
    Text(String),
    /// Spans without the field.
    Absent,
    /// Numbers from this one on.
    AtLeast(f64),
    /// Numbers below this one.
    Below(f64),
    /// Starts in a window, nanoseconds since the start of the run.
    Window {
        /// Its start.
        from_ns: i64,
        /// Its end, which is not in it.
        until_ns: i64,
    },
}

/// Something that sets the selected spans apart.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Finding {
    /// What it is about.
    pub kind: Kind,
    /// The name of the field, or what else it is about.
    pub name: String,
    /// Which values.
    pub value: Value,
    /// Share of the selected spans, or mean share of their duration.
    pub selected: f64,
    /// The same of those it is compared with.
    pub other: f64,
    /// Spans among the selected and the rest; `None` for shares of durations.
    pub counts: Option<(u64, u64)>,
    /// Probability of a difference this large to the rest by chance alone.
    pub p_value: f64,
    /// By how much the shares may be too low: values are counted approximately if there are many.
    pub error: f64,
}

impl Finding {
    /// How much more frequent it is among the selected, from -1 to 1.
    pub fn difference(&self) -> f64 {
        self.selected - self.other
    }
}

/// A field with too many values for one of them to mean anything.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Folded {
    /// Its name.
    pub name: String,
    /// How many there are, within some 3 %.
    pub distinct: u64,
}

/// What sets some spans apart.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The largest difference first.
    pub findings: Vec<Finding>,
    /// Fields with too many values.
    pub folded: Vec<Folded>,
    /// How many candidates were tested.
    pub tested: usize,
    /// What the spans are: by their lifetimes, or entries of those that live long; `None`: there are none.
    pub counted: Option<CountedBy>,
    /// Spans that are selected.
    pub selected: u64,
    /// Spans that are not.
    pub rest: u64,
    /// Spans among the selected and the rest whose children were examined.
    pub children_of: (u64, u64),
    /// There were more fields than are kept apart.
    pub fields_left_out: bool,
}

#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) value: Value,
    pub(super) shares: [f64; 2],
    pub(super) counts: Option<[u64; 2]>,
    pub(super) p_value: f64,
    pub(super) error: f64,
}

impl Candidate {
    fn difference(&self) -> f64 {
        self.shares[0] - self.shares[1]
    }

    fn matters(&self) -> bool {
        let least = match self.kind {
            Kind::Start => WINDOW_DIFFERENCE_MIN,
            _ => DIFFERENCE_MIN,
        };
        self.difference().abs() >= least + self.error
    }

    fn is_threshold(&self) -> bool {
        matches!(self.value, Value::AtLeast(_) | Value::Below(_))
    }

    /// Findings in a group follow from each other: time that is not spent in one child is spent in another one or in
    /// the span itself. Busy time is a group of its own.
    fn group(&self) -> (Kind, &str) {
        match (self.kind, &self.value) {
            (Kind::Own, Value::Text(own)) if own == OWN_SELF => (Kind::Child, CHILD_TIME),
            _ => (self.kind, &self.name),
        }
    }
}

/// The candidates that are significant and large enough. For a field, more frequent values are shown; less frequent
/// ones only if there are no others, since one follows from the other.
pub(super) fn chosen(
    mut candidates: Vec<Candidate>,
    all: [u64; 2],
    against_all: bool,
) -> Vec<Finding> {
    let p_values: Vec<f64> = candidates.iter().map(|candidate| candidate.p_value).collect();
    let limit = benjamini_hochberg::limit(&p_values, FALSE_DISCOVERY_RATE);
    candidates.retain(|c| limit.is_some_and(|limit| c.p_value <= limit) && c.matters());
    let best_of = |candidate: &Candidate, is_threshold: bool| {
        let same = candidates.iter().filter(|other| other.group() == candidate.group());
        let same = same.filter(|other| other.is_threshold() == is_threshold);
        same.map(Candidate::difference).fold(0.0, f64::max)
    };
    let is_shown = |candidate: &Candidate| {
        let (value, threshold) = (best_of(candidate, false), best_of(candidate, true));
        let by_threshold = threshold > value + THRESHOLD_GAIN_MIN;
        match (candidate.difference() > 0.0, candidate.is_threshold()) {
            (true, is_threshold) => is_threshold == by_threshold,
            (false, _) => value <= 0.0 && threshold <= 0.0,
        }
    };
    let share_of_rest = all[1] as f64 / (all[0] as f64 + all[1] as f64);
    let mut findings: Vec<Finding> = candidates
        .iter()
        .filter(|candidate| is_shown(candidate))
        .map(|candidate| {
            let [selected, rest] = candidate.shares;
            let of_all = selected + (rest - selected) * share_of_rest;
            Finding {
                kind: candidate.kind,
                name: candidate.name.clone(),
                value: candidate.value.clone(),
                selected,
                other: if against_all { of_all } else { rest },
                counts: candidate.counts.map(|[selected, rest]| (selected, rest)),
                p_value: candidate.p_value,
                error: candidate.error,
            }
        })
        .collect();
    findings.order_by(|one, other| {
        let size = |finding: &Finding| finding.difference().abs();
        size(other).total_cmp(&size(one)).then(one.p_value.total_cmp(&other.p_value))
    });
    findings
}
