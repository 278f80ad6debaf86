//! Groups of spans: counts, sums and percentiles of each group.
//!
//! A fold over the spans of any selection, or over sums of the rollups, with a row for each group. Counts, sums and
//! maxima are exact, percentiles within 1 %. The number of groups is bounded; spans of further values are summed up
//! in one more group, [`Key::Others`].

use std::collections::HashMap;
use std::sync::Arc;

use super::fields::field_text;
use super::{Columns, SpanRef};
use crate::fold_calls::Fold;
use crate::index_by_number::IndexByNumber;
use crate::order_rows::OrderRows as _;
use crate::reader::{Callsite, CountedBy, Top};
use spandrel_storage::Histogram;
use spandrel_storage::Status;
use spandrel_storage::internals::Hints;

/// Groups at most, some 2 KiB each.
const GROUPS_MAX: usize = 10_000;
/// Groups that each of several threads may have.
const OF_A_THREAD_MAX: usize = 1_000;
/// Groups that cache where in the histogram their latest durations were counted: 1 KiB each.
const HINTED_MAX: usize = 256;

/// What spans are grouped by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum By {
    /// Name and target.
    #[default]
    Name,
    /// Target.
    Target,
    /// Level.
    Level,
    /// The place in the source.
    Callsite,
    /// Thread of the longest entry, where the work was done.
    Thread,
    /// The value of a field; dots lead into objects.
    Field(String),
}

impl By {
    /// Whether the rollups, which have callsites only, are enough.
    pub fn is_in_rollups(&self) -> bool {
        !matches!(self, Self::Thread | Self::Field(_))
    }

    /// Whether a group has calls of both kinds: by lifetime and by entries.
    pub(crate) fn has_both(&self) -> bool {
        matches!(self, Self::Target | Self::Level | Self::Thread)
    }

    /// What a scan has to read of spans.
    pub fn columns(&self) -> Columns {
        match self {
            Self::Field(_) => Columns::All,
            Self::Thread => Columns::Entries,
            _ => Columns::Numbers,
        }
    }
}

/// The value that the spans of a group have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Key {
    /// Spans of this value.
    Value(String),
    /// Spans without the field.
    NoField,
    /// Spans of further values, when there were too many.
    Others,
}

/// One group. By name, callsite and field, the calls of long-lived spans, which are entries, are a group of their
/// own; by target, level and thread they are in one group with those of other spans.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Group {
    /// What they have in common.
    pub key: Key,
    /// The first callsite of the group that was met.
    pub callsite: Arc<Callsite>,
    /// What a call is.
    pub counted: CountedBy,
    /// Closed spans, or entries of spans that live long.
    pub calls: u64,
    /// Closed spans that these calls are of.
    pub spans: u64,
    /// Spans that failed or panicked.
    pub errors: u64,
    /// Unfinished spans: in no other figure, and not known from rollups.
    pub unfinished: u64,
    /// Sum of the durations of calls. The next fields are of calls, too.
    pub sum_ns: i64,
    /// Sum of busy times; `None` if they were not measured.
    pub busy_ns: Option<i64>,
    /// Sum of self times.
    pub self_ns: i64,
    /// Sum of self busy times: the part of self time in which a thread was inside. `None` if it was not measured, and
    /// if the scan did not read entries.
    pub self_busy_ns: Option<i64>,
    /// The longest duration.
    pub max_ns: i64,
    /// All durations.
    pub histogram: Histogram,
}

/// Adds the sums that a group and a [`Top`] have in common.
macro_rules! add_sums {
    ($to:ident, $from:ident) => {
        $to.spans = $to.spans.saturating_add($from.spans);
        $to.calls = $to.calls.saturating_add($from.calls);
        $to.errors = $to.errors.saturating_add($from.errors);
        $to.sum_ns = $to.sum_ns.saturating_add($from.sum_ns);
        $to.busy_ns = $to.busy_ns.zip($from.busy_ns).map(|(sum, ns)| sum.saturating_add(ns));
        $to.self_ns = $to.self_ns.saturating_add($from.self_ns);
        let self_busy = $to.self_busy_ns.zip($from.self_busy_ns);
        $to.self_busy_ns = self_busy.map(|(sum, ns)| sum.saturating_add(ns));
        $to.max_ns = $to.max_ns.max($from.max_ns);
        $to.histogram.merge(&$from.histogram);
    };
}

impl Group {
    fn new(key: Key, callsite: Arc<Callsite>, counted: CountedBy) -> Self {
        Self {
            key,
            callsite,
            counted,
            calls: 0,
            spans: 0,
            errors: 0,
            unfinished: 0,
            sum_ns: 0,
            busy_ns: Some(0),
            self_ns: 0,
            self_busy_ns: Some(0),
            max_ns: 0,
            histogram: Histogram::new(),
        }
    }

    /// A percentile of the durations within 1 %, and no more than the longest; `None` without closed
    /// spans.
    pub fn percentile_ns(&self, q: f64) -> Option<i64> {
        let ns = self.histogram.percentile_up_to(q, self.max_ns);
        ns.map(|ns| i64::try_from(ns).unwrap_or(i64::MAX))
    }

    /// Calls that are known by number and sum only: early entries of long-lived spans, before entries were recorded
    /// one by one. They are in no percentile, histogram or self time.
    pub fn summed_only(&self) -> u64 {
        match self.counted {
            CountedBy::Lifetime => 0,
            _ => self.calls.saturating_sub(self.histogram.count()),
        }
    }

    #[inline]
    fn count(&mut self, span: &SpanRef<'_>, hints: Option<&mut Hints>) {
        let Some(duration_ns) = span.duration_ns else {
            self.unfinished += 1;
            return;
        };
        self.counts_by(span.counted());
        if span.entry.is_none() && span.status.has_closed() {
            self.spans += 1;
            self.errors += u64::from(matches!(span.status, Status::Error | Status::Panicked));
        }
        if span.counts_by_entries() {
            self.max_ns = self.max_ns.max(span.longest_entry_ns.unwrap_or(0));
            return;
        }
        // Earlier entries have no rows and are in no histogram.
        let earlier = span.entry.map_or(0, |entry| entry.earlier_entries);
        let earlier_ns = span.entry.map_or(0, |entry| entry.earlier_ns);
        self.calls = self.calls.saturating_add(1).saturating_add(earlier);
        self.sum_ns = self.sum_ns.saturating_add(duration_ns).saturating_add(earlier_ns);
        self.busy_ns = self.busy_ns.zip(span.busy_ns).map(|(sum, ns)| sum.saturating_add(ns));
        self.busy_ns = self.busy_ns.map(|sum| sum.saturating_add(earlier_ns));
        self.self_ns = self.self_ns.saturating_add(span.self_ns.unwrap_or(0));
        let own = self.self_busy_ns.zip(span.self_busy_ns);
        self.self_busy_ns = own.map(|(sum, ns)| sum.saturating_add(ns));
        self.max_ns = self.max_ns.max(duration_ns);
        let duration = duration_ns.max(0) as u64;
        match hints {
            Some(hints) => self.histogram.record_near(duration, hints),
            None => self.histogram.record(duration),
        }
    }

    fn counts_by(&mut self, counted: CountedBy) {
        if self.spans == 0 && self.calls == 0 {
            self.counted = counted;
        } else if self.counted != counted {
            self.counted = CountedBy::Both;
        }
    }

    /// Adds the counts of the same group from another thread.
    fn join(&mut self, other: &Self) {
        if other.spans > 0 || other.calls > 0 {
            self.counts_by(other.counted);
        }
        self.unfinished = self.unfinished.saturating_add(other.unfinished);
        add_sums!(self, other);
    }

    fn merge(&mut self, top: &Top) {
        self.counts_by(top.counted);
        add_sums!(self, top);
    }
}

/// The value, what distinguishes groups of equal value, and what a call is.
type GroupKey = (Key, String, CountedBy);

/// Groups of spans; see the module.
#[derive(Debug)]
pub struct Groups {
    by: By,
    groups: Vec<Group>,
    /// Index of groups by number of the callsite or thread, and by what a call is; not for fields.
    by_number: IndexByNumber,
    by_key: HashMap<GroupKey, usize>,
    groups_max: usize,
    others: Option<usize>,
    /// For each group the id of the span for which it was made; 0 if there was none.
    first_ids: Vec<u64>,
    /// Caches of the first groups.
    hints: Vec<Hints>,
}

impl Groups {
    /// No span yet.
    pub fn new(by: By) -> Self {
        Self {
            by,
            groups: Vec::new(),
            by_number: IndexByNumber::default(),
            by_key: HashMap::new(),
            groups_max: GROUPS_MAX,
            others: None,
            first_ids: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// Empty groups by the same.
    pub(crate) fn empty_like(&self) -> Self {
        Self { groups_max: self.groups_max, ..Self::new(self.by.clone()) }
    }

    /// Counts a span.
    pub fn add(&mut self, span: &SpanRef<'_>) {
        let at = self.assign(span);
        if let Some(group) = self.groups.get_mut(at) {
            group.count(span, self.hints.get_mut(at));
            // The longest entry may have been on another thread.
            if self.by != By::Thread {
                let longest_ns = span.entry.map_or(0, |entry| entry.longest_of_span_ns);
                group.max_ns = group.max_ns.max(longest_ns);
            }
        }
    }

    /// Counts the spans of a callsite that the rollups have summed up.
    pub fn add_top(&mut self, top: &Top) {
        self.add_sums(top, 0);
    }

    /// Counts the spans of a callsite that were summed up, and unfinished ones beside them.
    pub(crate) fn add_sums(&mut self, top: &Top, unfinished: u64) {
        let at = self.of_callsite(&top.callsite, top.counted, 0);
        if let Some(group) = self.groups.get_mut(at) {
            group.unfinished = group.unfinished.saturating_add(unfinished);
            if top.calls > 0 || top.spans > 0 {
                group.merge(top);
            }
        }
    }

    /// What the groups are made by.
    pub(crate) fn by(&self) -> &By {
        &self.by
    }

    /// The groups so far, in the order in which they were met.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The groups.
    pub fn into_groups(self) -> Vec<Group> {
        self.groups
    }

    /// The index in [`groups`](Self::groups) of a span's group; of a new value, an empty group is made.
    pub fn assign(&mut self, span: &SpanRef<'_>) -> usize {
        let counted = span.counted();
        match &self.by {
            By::Field(name) => {
                let value = span.fields.and_then(|fields| field_text(fields, name));
                let key = value.map_or(Key::NoField, Key::Value);
                self.of_key((key, String::new(), counted), span.callsite, span.id)
            }
            By::Thread => match self.by_number.get((span.longest_thread.id, 0)) {
                Some(at) => at,
                None => {
                    let thread = span.longest_thread;
                    let name = thread.name.clone();
                    let name = name.unwrap_or_else(|| format!("thread {}", thread.os_id));
                    // Threads of equal name are different groups.
                    let key = (Key::Value(name), thread.id.to_string(), CountedBy::Both);
                    let at = self.of_key(key, span.callsite, span.id);
                    self.remember((thread.id, 0), at)
                }
            },
            _ => self.of_callsite(span.callsite, counted, span.id),
        }
    }

    fn of_callsite(
        &mut self,
        callsite: &Arc<Callsite>,
        counted: CountedBy,
        first_id: u64,
    ) -> usize {
        let number = (callsite.id, counted as u8);
        if let Some(at) = self.by_number.get(number) {
            return at;
        }
        let counted = if self.by.has_both() { CountedBy::Both } else { counted };
        let (value, also) = match self.by {
            By::Target => (callsite.target.to_string(), String::new()),
            By::Level => (callsite.level.to_string(), String::new()),
            By::Callsite => (callsite.name.clone(), callsite.id.to_string()),
            _ => (callsite.name.clone(), callsite.target.to_string()),
        };
        let at = self.of_key((Key::Value(value), also, counted), callsite, first_id);
        self.remember(number, at)
    }

    fn remember(&mut self, number: (i64, u8), at: usize) -> usize {
        // The group of the others is found by its key only.
        if self.others != Some(at) {
            self.by_number.insert(number, at);
        }
        at
    }

    fn of_key(&mut self, key: GroupKey, callsite: &Arc<Callsite>, first_id: u64) -> usize {
        if let Some(at) = self.by_key.get(&key) {
            return *at;
        }
        let at = self.groups.len();
        if at >= self.groups_max {
            return *self.others.get_or_insert_with(|| {
                self.groups.push(Group::new(Key::Others, callsite.clone(), key.2));
                self.first_ids.push(first_id);
                at
            });
        }
        let group = Group::new(key.0.clone(), callsite.clone(), key.2);
        self.push(key, group, first_id)
    }

    fn push(&mut self, key: GroupKey, group: Group, first_id: u64) -> usize {
        let at = self.groups.len();
        self.groups.push(group);
        self.first_ids.push(first_id);
        if at < HINTED_MAX {
            self.hints.push(Hints::default());
        }
        self.by_key.insert(key, at);
        at
    }
}

/// Joined groups are in the order in which a single pass would meet them.
impl Fold for Groups {
    fn add(&mut self, call: &SpanRef<'_>) {
        Groups::add(self, call);
    }

    fn join(parts: Vec<Self>) -> Option<Self> {
        let mut joined = parts.first()?.empty_like();
        let mut all = Vec::new();
        for part in parts {
            // Which spans belong to the others depends on the order.
            if part.others.is_some() {
                return None;
            }
            let mut keys: Vec<_> = part.by_key.into_iter().collect();
            keys.order_by_key(|(_, at)| *at);
            let groups = part.groups.into_iter().zip(part.first_ids);
            all.extend(groups.zip(keys).map(|((group, first), (key, _))| (first, key, group)));
        }
        all.order_by_key(|(first, ..)| *first);
        for (first, key, group) in all {
            if let Some(at) = joined.by_key.get(&key) {
                joined.groups.get_mut(*at)?.join(&group);
            } else if joined.groups.len() < joined.groups_max {
                joined.push(key, group, first);
            } else {
                return None;
            }
        }
        Some(joined)
    }

    fn is_full(&self) -> bool {
        self.groups.len() > OF_A_THREAD_MAX
    }
}

#[cfg(test)]
mod tests;
