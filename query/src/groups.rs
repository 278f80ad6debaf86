//! Spans by what they have in common: counts, sums and percentiles of each group.
//!
//! A fold: it is fed the spans of any selection, or sums of the rollups, and keeps a row a group.
//! Counts, sums and maxima are exact, percentiles within 1 %. The number of groups has a bound; spans
//! of values that are met after that are summed up in one group more, which says so.

use std::collections::HashMap;
use std::sync::Arc;

use super::fields::field_text;
use super::{Columns, SpanRef};
use crate::reader::{Callsite, CountedBy, Top};
use spandrel_storage::Histogram;
use spandrel_storage::Status;
use spandrel_storage::internals::QuickMap;

/// Groups at most, some 2 KiB each.
const GROUPS_MAX: usize = 10_000;

/// What spans of a group have in common.
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
    /// Whether the rollups are enough, which know callsites only.
    pub fn is_in_rollups(&self) -> bool {
        !matches!(self, Self::Thread | Self::Field(_))
    }

    /// Whether a group has calls of all kinds of spans.
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

/// What the spans of a group have in common, as text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Key {
    /// Spans of this value.
    Value(String),
    /// Spans without the field.
    NoField,
    /// Spans of values that were too many to keep apart.
    Others,
}

/// One group. By name, callsite and field, calls of spans that live long, which are entries, are a group of
/// their own; a target, a level or a thread has them together with those of other spans.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Group {
    /// What they have in common.
    pub key: Key,
    /// A callsite of the group: the one that was met first.
    pub callsite: Arc<Callsite>,
    /// What its calls are.
    pub counted: CountedBy,
    /// Closed spans, or entries of spans that live long.
    pub calls: u64,
    /// Closed spans, whose calls these are.
    pub spans: u64,
    /// Those of them that failed or panicked.
    pub errors: u64,
    /// Unfinished spans, which are in no other figure; the rollups have none.
    pub unfinished: u64,
    /// Sum of the durations of calls, as what follows.
    pub sum_ns: i64,
    /// Sum of busy times; `None` if they were not measured.
    pub busy_ns: Option<i64>,
    /// Sum of self times.
    pub self_ns: i64,
    /// Sum of the busy times of their own: what of the self times threads were inside. `None` if they were not measured,
    /// and where a scan was not asked for entries.
    pub self_busy_ns: Option<i64>,
    /// The longest duration.
    pub max_ns: i64,
    /// All durations.
    pub histogram: Histogram,
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

    /// How many of the calls are known by their number and their sum only, and so in no percentile, no histogram
    /// and no self time: entries of spans that live long before these were recorded one by one.
    pub fn summed_only(&self) -> u64 {
        match self.counted {
            CountedBy::Lifetime => 0,
            _ => self.calls.saturating_sub(self.histogram.count()),
        }
    }

    fn count(&mut self, span: &SpanRef<'_>) {
        let Some(duration_ns) = span.duration_ns else {
            self.unfinished += 1;
            return;
        };
        self.counts_by(span.counted());
        if span.entry.is_none() && span.status != Status::Unfinished {
            self.spans += 1;
            self.errors += u64::from(matches!(span.status, Status::Error | Status::Panicked));
        }
        if span.counts_by_entries() {
            self.max_ns = self.max_ns.max(span.longest_entry_ns.unwrap_or(0));
            return;
        }
        // Entries that were not recorded, and are in no histogram.
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
        self.histogram.record(duration_ns.max(0) as u64);
    }

    fn counts_by(&mut self, counted: CountedBy) {
        if self.spans == 0 && self.calls == 0 {
            self.counted = counted;
        } else if self.counted != counted {
            self.counted = CountedBy::Both;
        }
    }

    fn merge(&mut self, top: &Top) {
        self.counts_by(top.counted);
        self.spans = self.spans.saturating_add(top.spans);
        self.calls = self.calls.saturating_add(top.calls);
        self.errors = self.errors.saturating_add(top.errors);
        self.sum_ns = self.sum_ns.saturating_add(top.sum_ns);
        self.busy_ns = self.busy_ns.zip(top.busy_ns).map(|(sum, ns)| sum.saturating_add(ns));
        self.self_ns = self.self_ns.saturating_add(top.self_ns);
        let own = self.self_busy_ns.zip(top.self_busy_ns);
        self.self_busy_ns = own.map(|(sum, ns)| sum.saturating_add(ns));
        self.max_ns = self.max_ns.max(top.max_ns);
        self.histogram.merge(&top.histogram);
    }
}

/// Spans by what they have in common.
#[derive(Debug)]
pub struct Groups {
    by: By,
    groups: Vec<Group>,
    /// Groups by callsite or thread, which say all but for fields, and by what counts.
    by_number: QuickMap<(i64, u8), usize>,
    by_key: HashMap<(Key, String, CountedBy), usize>,
    groups_max: usize,
    others: Option<usize>,
}

impl Groups {
    /// No span yet.
    pub fn new(by: By) -> Self {
        Self {
            by,
            groups: Vec::new(),
            by_number: QuickMap::default(),
            by_key: HashMap::new(),
            groups_max: GROUPS_MAX,
            others: None,
        }
    }

    /// Counts a span.
    pub fn add(&mut self, span: &SpanRef<'_>) {
        let at = self.place(span);
        if let Some(group) = self.groups.get_mut(at) {
            group.count(span);
            // That one may have been on another thread.
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
        let at = self.of_callsite(&top.callsite, top.counted);
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

    /// Where in [`groups`](Self::groups) a span belongs; of a new value, a group without a span is made.
    pub fn place(&mut self, span: &SpanRef<'_>) -> usize {
        let counted = span.counted();
        match &self.by {
            By::Field(name) => {
                let value = span.fields.and_then(|fields| field_text(fields, name));
                let key = value.map_or(Key::NoField, Key::Value);
                self.of_key((key, String::new(), counted), span.callsite)
            }
            By::Thread => match self.by_number.get(&(span.longest_thread.id, 0)) {
                Some(at) => *at,
                None => {
                    let thread = span.longest_thread;
                    let name = thread.name.clone();
                    let name = name.unwrap_or_else(|| format!("thread {}", thread.os_id));
                    // Threads of a name are different threads.
                    let key = (Key::Value(name), thread.id.to_string(), CountedBy::Both);
                    let at = self.of_key(key, span.callsite);
                    self.remember((thread.id, 0), at)
                }
            },
            _ => self.of_callsite(span.callsite, counted),
        }
    }

    fn of_callsite(&mut self, callsite: &Arc<Callsite>, counted: CountedBy) -> usize {
        let number = (callsite.id, counted as u8);
        if let Some(at) = self.by_number.get(&number) {
            return *at;
        }
        let counted = if self.by.has_both() { CountedBy::Both } else { counted };
        let (value, also) = match self.by {
            By::Target => (callsite.target.to_string(), String::new()),
            By::Level => (callsite.level.to_string(), String::new()),
            By::Callsite => (callsite.name.clone(), callsite.id.to_string()),
            _ => (callsite.name.clone(), callsite.target.to_string()),
        };
        let at = self.of_key((Key::Value(value), also, counted), callsite);
        self.remember(number, at)
    }

    fn remember(&mut self, number: (i64, u8), at: usize) -> usize {
        // What belongs to the others is found again by its key.
        if self.others != Some(at) {
            self.by_number.insert(number, at);
        }
        at
    }

    fn of_key(&mut self, key: (Key, String, CountedBy), callsite: &Arc<Callsite>) -> usize {
        if let Some(at) = self.by_key.get(&key) {
            return *at;
        }
        let at = self.groups.len();
        if at >= self.groups_max {
            return *self.others.get_or_insert_with(|| {
                self.groups.push(Group::new(Key::Others, callsite.clone(), key.2));
                at
            });
        }
        self.groups.push(Group::new(key.0.clone(), callsite.clone(), key.2));
        self.by_key.insert(key, at);
        at
    }
}

#[cfg(test)]
mod tests;
