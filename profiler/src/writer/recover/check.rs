//! Whether a record of a process that is gone can be what its recorder has written.
//!
//! The ring cannot tell: its slots have no room for a sum. But a record says how long it is, of which callsite and of
//! which thread, and what its fields are; its ids are of the run, and its moments between the run's beginning and now.
//! Whatever does not fit is damaged. (What fits, and is yet another value than was written, cannot be told: a number
//! among the fields, or a moment that is a little off.)

use std::collections::HashSet;

use crate::recorder::fields;
use crate::recorder::losses::Kind;
use crate::recorder::record::{
    self, EVENT_WORDS, Entries, Record, SLOT_WORDS, SPAN_WORDS, SPAN_WORDS_WIDE, THREAD_MAX, WIDE,
};
use crate::recorder::ring_file::dead_names::DeadNames;

/// What records of a ring may say.
#[derive(Debug)]
pub(in crate::writer) struct Check<'a> {
    pub(in crate::writer) names: &'a DeadNames,
    /// Ids of the run: from the first to the one behind the last.
    pub(in crate::writer) ids: std::ops::Range<u64>,
    /// Moments of the run, in ticks.
    pub(in crate::writer) ticks: std::ops::RangeInclusive<u64>,
    /// Whether the time inside spans was measured: then entries have moments.
    pub(in crate::writer) busy_time: bool,
    /// Whether it is seen to that no id comes twice. Where a living process is drained for hours, the profile sees to it.
    pub(in crate::writer) keeps_ids: bool,
    /// Spans and events that were met.
    pub(in crate::writer) spans: HashSet<u64>,
    pub(in crate::writer) events: HashSet<u64>,
    /// The last moment of a sound record.
    pub(in crate::writer) last_ticks: u64,
    /// Whether any was of a thread for which there was no number.
    pub(in crate::writer) has_further_threads: bool,
}

/// Counters of two processors may differ by some ticks.
const SKEW: u64 = 1 << 20;
/// No span was entered as often, and no program has run for so many ticks.
const COUNT_END: u64 = 1 << 48;

impl Check<'_> {
    /// The kind of a record; an error with the kind that it may have been, if it is damaged.
    pub(in crate::writer) fn record(&mut self, words: &[u64]) -> Result<Kind, Kind> {
        let kind = record::kind(words);
        // Most records are spans.
        let likely = kind.unwrap_or(Kind::Span);
        let record = record::read(words).ok_or(likely)?;
        let is_sound = match &record {
            Record::Span(head, fields) => {
                let wide = words.first().is_some_and(|header| header & WIDE != 0);
                let before = if wide { SPAN_WORDS_WIDE } else { SPAN_WORDS };
                self.fits(words, before + fields.len())
                    && self.is_site(head.callsite, true)
                    && self.names.has_thread(head.thread)
                    && self.ids.contains(&head.id)
                    && (head.parent == 0 || self.ids.contains(&head.parent))
                    && self.ids.contains(&head.root)
                    && (head.parent != 0 || head.root == head.id)
                    && self.is_moment(head.start)
                    && self.is_moment(head.end)
                    && self.are_entries(&head.entries)
                    && head.inside.is_none_or(|ticks| ticks < COUNT_END)
                    && self.are_fields(head.callsite, fields)
                    && (!self.keeps_ids || self.spans.insert(head.id))
            }
            Record::Event(head, fields) => {
                self.fits(words, EVENT_WORDS + fields.len())
                    && self.is_site(head.callsite, false)
                    && self.names.has_thread(head.thread)
                    && self.ids.contains(&head.id)
                    && (head.span == 0 || self.ids.contains(&head.span))
                    && self.is_moment(head.at)
                    && self.are_fields(head.callsite, fields)
                    && (!self.keeps_ids || self.events.insert(head.id))
            }
            Record::Link(link) => {
                self.fits(words, SLOT_WORDS)
                    && self.ids.contains(&link.span)
                    && self.ids.contains(&link.follows)
            }
            Record::Entry(entry) => {
                self.fits(words, SLOT_WORDS)
                    && self.is_site(entry.callsite, true)
                    && self.names.has_thread(entry.thread)
                    && self.ids.contains(&entry.span)
                    && (entry.around == 0 || self.ids.contains(&entry.around))
                    && self.is_moment(entry.entered)
                    && self.is_moment(entry.left)
                    && entry.earlier.count < COUNT_END
                    && entry.earlier.busy < 1 << 62
            }
        };
        if !is_sound {
            return Err(record.kind());
        }
        let (last, threads) = match &record {
            Record::Span(head, _) => {
                (head.end.max(head.start), [head.thread, head.entries.longest_thread])
            }
            Record::Event(head, _) => (head.at, [head.thread; 2]),
            Record::Entry(entry) => (entry.left, [entry.thread; 2]),
            Record::Link(_) => (0, [0; 2]),
        };
        self.last_ticks = self.last_ticks.max(last);
        self.has_further_threads |= threads.contains(&THREAD_MAX);
        Ok(record.kind())
    }

    /// Whether so many words fill just these slots.
    fn fits(&self, words: &[u64], len: usize) -> bool {
        record::slots(len) * SLOT_WORDS == words.len()
    }

    fn is_site(&self, number: u32, is_span: bool) -> bool {
        self.names.callsites.get(&number).is_some_and(|site| site.is_span() == is_span)
    }

    pub(in crate::writer) fn is_moment(&self, ticks: u64) -> bool {
        self.ticks.contains(&ticks)
    }

    fn are_entries(&self, entries: &Entries) -> bool {
        let Entries { count, busy, first, last, longest, longest_thread } = *entries;
        if count >= COUNT_END || busy >= 1 << 62 {
            return false;
        }
        if count == 0 || !self.busy_time {
            return true;
        }
        self.is_moment(first)
            && self.is_moment(last)
            && longest <= busy.saturating_add(SKEW)
            && (longest_thread == THREAD_MAX || self.names.has_thread(longest_thread))
    }

    /// Whether these words are values of fields that the callsite has, from the first to the last.
    pub(in crate::writer) fn are_fields(&self, callsite: u32, words: &[u64]) -> bool {
        let Some(site) = self.names.callsites.get(&callsite) else { return false };
        let count = site.field_count();
        let mut rest = words;
        while let [header, ..] = rest {
            let is_field = fields::is_padding(*header)
                || fields::is_field(*header) && usize::from(fields::index_of(*header)) < count;
            let behind = rest.get(fields::len_of(*header)..);
            let (true, Some(behind)) = (is_field, behind) else { return false };
            rest = behind;
        }
        true
    }
}

/// Moments from the beginning of a run to now; all of them if now is not known.
pub(in crate::writer) fn moments(origin: u64, now: Option<u64>) -> std::ops::RangeInclusive<u64> {
    origin.saturating_sub(SKEW)..=now.map_or(1 << 62, |now| now.saturating_add(SKEW)).min(1 << 62)
}
