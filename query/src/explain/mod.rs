//! What sets some spans apart from the others of their name, as Honeycomb's BubbleUp does it.
//!
//! Each entry of a long-lived span is examined like a span: with its own duration and thread, and the fields of the
//! span.
//!
//! Every span of the name is in one of two classes, selected or rest. Two passes look for what is more
//! frequent among the selected: the first at fields, status, thread, place in the source, moment and
//! own time; the second at the children of a sample. What remains has passed a test against chance
//! (see `significance`) and makes a difference that matters, and is ordered by it.
//!
//! Memory is bounded, whatever the number of spans and values: see `frequent` for values,
//! `numbers` for numbers, `children` for the sample.

mod attribute;
mod children;
mod finding;
mod frequent;
mod numbers;
mod significance;
mod starts;

use std::collections::BTreeMap;

use self::attribute::Attribute;
use self::children::Children;
use self::finding::{CHILD_TIME, Candidate, OWN_BUSY, OWN_SELF, OWN_TIME, chosen};
pub use self::finding::{Explanation, Finding, Folded, Kind, Value};
use self::significance::Moments;
use self::starts::Starts;
use super::fields::{each_field, text};
use super::filter::Subject;
use super::{ChildTime, SpanRef};
use crate::reader::CountedBy;

/// Names of fields that are kept apart at most.
const FIELDS_MAX: usize = 200;

const SELECTED: usize = 0;
const REST: usize = 1;

/// Spans in two classes, and what each has more of than the other.
#[derive(Debug)]
pub struct Explain {
    counts: [u64; 2],
    /// What the calls are; `None`: there was none.
    counted: Option<CountedBy>,
    attributes: BTreeMap<(Kind, String), Attribute>,
    /// What the spans are selected by: it is no finding.
    selected_by: Vec<Subject>,
    /// Whether fields were left out, as there were too many.
    left_out: bool,
    starts: Starts,
    /// Shares of the duration: self time and busy time.
    own: [[Moments; 2]; 2],
    children: Children,
}

impl Explain {
    /// No span yet, of a run of this length.
    pub fn new(run_length_ns: i64) -> Self {
        Self {
            counts: [0; 2],
            counted: None,
            attributes: BTreeMap::new(),
            selected_by: Vec::new(),
            left_out: false,
            starts: Starts::new(run_length_ns),
            own: [[Moments::default(); 2]; 2],
            children: Children::new(),
        }
    }

    /// Sets what the spans are selected by: it is then no finding.
    #[must_use]
    pub fn selected_by(self, subjects: Vec<Subject>) -> Self {
        Self { selected_by: subjects, ..self }
    }

    fn is_selected_by(&self, kind: Kind, name: &str) -> bool {
        self.selected_by.iter().any(|subject| match (kind, subject) {
            (Kind::Status, Subject::Status) => true,
            (Kind::Target, Subject::Target) => true,
            (Kind::Thread, Subject::Thread) => true,
            (Kind::Start, Subject::Start) => true,
            (Kind::Own, Subject::SelfTime) => name == OWN_SELF,
            (Kind::Own, Subject::Busy) => name == OWN_BUSY,
            // For a field inside an object, the whole object.
            (Kind::Field, Subject::Field(field)) => {
                let inner = field.strip_prefix(name);
                inner.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            }
            _ => false,
        })
    }

    /// First pass: a call of the name, with its fields. What is no [call](SpanRef::call_ns) is left out.
    pub fn add(&mut self, span: &SpanRef<'_>, is_selected: bool) {
        let Some(duration_ns) = span.call_ns() else { return };
        let counted = span.counted();
        self.counted = match self.counted {
            Some(known) if known != counted => Some(CountedBy::Both),
            _ => Some(counted),
        };
        let class = if is_selected { SELECTED } else { REST };
        if let Some(count) = self.counts.get_mut(class) {
            *count += 1;
        }
        self.attribute(Kind::Status, "status", class, span.status.as_str());
        match span.longest_thread.name.as_deref() {
            Some(name) => self.attribute(Kind::Thread, "thread", class, name),
            None => {
                let name = format!("thread {}", span.longest_thread.os_id);
                self.attribute(Kind::Thread, "thread", class, &name);
            }
        }
        self.attribute(Kind::Target, "target", class, &span.callsite.target);
        if let Some(fields) = span.fields {
            each_field(fields, |name, value| {
                if let Some(attribute) = self.attribute_of(Kind::Field, name) {
                    attribute.add(&text(value), value.as_f64(), class);
                }
            });
        }
        self.starts.add(span.start_ns, class);
        if duration_ns > 0 {
            for (moments, ns) in self.own.iter_mut().zip([span.self_ns, span.busy_ns]) {
                if let (Some(moments), Some(ns)) = (moments.get_mut(class), ns) {
                    moments.add((ns as f64 / duration_ns as f64).clamp(0.0, 1.0));
                }
            }
            self.children.offer(span, class, duration_ns);
        }
    }

    fn attribute(&mut self, kind: Kind, name: &str, class: usize, value: &str) {
        if let Some(attribute) = self.attribute_of(kind, name) {
            attribute.add(value, None, class);
        }
    }

    fn attribute_of(&mut self, kind: Kind, name: &str) -> Option<&mut Attribute> {
        if self.is_selected_by(kind, name) {
            return None;
        }
        let key = (kind, name.to_owned());
        if !self.attributes.contains_key(&key) {
            if self.attributes.len() >= FIELDS_MAX {
                self.left_out = true;
                return None;
            }
            self.attributes.insert(key.clone(), Attribute::new());
        }
        self.attributes.get_mut(&key)
    }

    /// How many spans are selected, and how many are not.
    pub fn counts(&self) -> (u64, u64) {
        (self.counts[SELECTED], self.counts[REST])
    }

    /// Between the passes.
    pub fn begin_children(&mut self) {
        self.children.begin();
    }

    /// Then: the spans whose child time the second pass needs.
    #[doc(hidden)]
    pub fn drawn_spans(&self) -> impl Iterator<Item = u64> {
        self.children.drawn_spans()
    }

    /// Second pass: [any](crate::Reader::child_times) of the run.
    pub fn add_child(&mut self, child: &ChildTime) {
        self.children.add(child);
    }

    /// What sets the selected spans apart: from the rest, or, if `against_all`, from all.
    pub fn finish(self, against_all: bool) -> Explanation {
        let all = self.counts;
        let mut candidates = Vec::new();
        if all.iter().all(|count| *count > 0) {
            for ((kind, name), attribute) in &self.attributes {
                attribute.candidates(*kind, name, all, &mut candidates);
            }
            self.timings(&mut candidates);
            let by_start = self.is_selected_by(Kind::Start, "start");
            if let Some(densest_window) = self.starts.densest_window(all).filter(|_| !by_start) {
                let value = Value::Window {
                    from_ns: densest_window.from_ns,
                    until_ns: densest_window.until_ns,
                };
                let shares =
                    [SELECTED, REST].map(|c| densest_window.counts[c] as f64 / all[c] as f64);
                candidates.push(Candidate {
                    kind: Kind::Start,
                    name: "start".into(),
                    value,
                    shares,
                    counts: Some(densest_window.counts),
                    p_value: densest_window.p_value,
                    error: 0.0,
                });
            }
        }
        let tested = candidates.len();
        let findings = chosen(candidates, all, against_all);
        let folded = self.attributes.iter().filter_map(|((kind, name), attribute)| {
            let is_shown = |f: &Finding| f.kind == *kind && f.name == *name;
            let distinct = attribute.distinct();
            let is_folded = distinct > attribute::COUNTERS as u64 && !findings.iter().any(is_shown);
            is_folded.then(|| Folded { name: name.clone(), distinct })
        });
        Explanation {
            folded: folded.collect(),
            findings,
            tested,
            counted: self.counted,
            selected: all[SELECTED],
            rest: all[REST],
            children_of: (self.children.drawn()[SELECTED], self.children.drawn()[REST]),
            fields_left_out: self.left_out,
        }
    }

    fn timings(&self, candidates: &mut Vec<Candidate>) {
        let mut push = |kind, name: &str, moments: [Moments; 2]| {
            candidates.push(Candidate {
                kind,
                name: if kind == Kind::Child { CHILD_TIME } else { OWN_TIME }.into(),
                value: Value::Text(name.to_owned()),
                shares: moments.map(|moments| moments.mean()),
                counts: None,
                p_value: significance::means(moments[SELECTED], moments[REST]),
                error: 0.0,
            });
        };
        for (name, moments) in [OWN_SELF, OWN_BUSY].into_iter().zip(self.own) {
            if !self.is_selected_by(Kind::Own, name) {
                push(Kind::Own, name, moments);
            }
        }
        for (name, moments) in self.children.shares() {
            push(Kind::Child, &name, moments);
        }
    }
}

#[cfg(test)]
mod tests;
