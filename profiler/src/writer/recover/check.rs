//! Whether a record of a process that is gone can be what its recorder has written.
//!
//! The ring cannot tell: its slots have no room for a sum. But a record says how long it is, of which callsite and of
//! which thread, and what its fields are; its ids are of the run, and its moments between the run's beginning and now.
//! Whatever does not fit is damaged. (What fits, and is yet another value than was written, cannot be told: a number
//! among the fields, or a moment that is a little off.)

use std::collections::HashSet;

use crate::recorder::fields;
use crate::recorder::losses::Kind;
use crate::recorder::open_spans::left_behind::SpanLeft;
#[cfg(feature = "collected")]
use crate::recorder::record::Slot;
use crate::recorder::record::{
    self, EVENT_WORDS, Entries, Record, SLOT_WORDS, SPAN_WORDS, SPAN_WORDS_WIDE, THREAD_MAX, WIDE,
};
use crate::recorder::ring_file::dead_names::DeadNames;

/// What records of a ring may say.
#[derive(Debug)]
pub(in crate::writer) struct Check<'a> {
    pub(in crate::writer) names: &'a DeadNames,
    /// The same, as it is asked for every record.
    pub(in crate::writer) known: &'a Known,
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

/// What names say of numbers, in tables: every record of a program that lives is checked by them.
#[derive(Debug, Default)]
pub(in crate::writer) struct Known {
    /// By number, which is below some bound that follows from how many there are.
    sites: Vec<Option<KnownSite>>,
    /// A bit for each number of a thread, as long as it is small. The names know the others.
    threads: Vec<u64>,
}

#[derive(Debug, Clone, Copy)]
struct KnownSite {
    is_span: bool,
    /// How many fields a record may tell apart.
    fields: u16,
}

/// Numbers of threads are small, unless somebody means ill.
const THREADS_IN_TABLE: u32 = 1 << 16;

impl Known {
    pub(in crate::writer) fn of(names: &DeadNames) -> Self {
        let mut known = Self::default();
        for (number, site) in &names.callsites {
            let number = *number as usize;
            if known.sites.len() <= number {
                known.sites.resize(number + 1, None);
            }
            let fields = u16::try_from(site.field_count()).unwrap_or(u16::MAX);
            known.sites[number] = Some(KnownSite { is_span: site.is_span(), fields });
        }
        for number in names.threads.keys().filter(|number| **number < THREADS_IN_TABLE) {
            let (word, bit) = ((number / 64) as usize, number % 64);
            if known.threads.len() <= word {
                known.threads.resize(word + 1, 0);
            }
            known.threads[word] |= 1 << bit;
        }
        known
    }

    #[inline]
    fn site(&self, number: u32) -> Option<KnownSite> {
        *self.sites.get(number as usize)?
    }

    #[inline]
    fn has_thread(&self, number: u32) -> bool {
        let word = self.threads.get((number / 64) as usize).copied().unwrap_or(0);
        word >> (number % 64) & 1 != 0
    }
}

/// Counters of two processors may differ by some ticks.
const SKEW: u64 = 1 << 20;
/// No span was entered as often, and no program has run for so many ticks.
const COUNT_END: u64 = 1 << 48;
const BUSY_END: u64 = 1 << 62;

impl Check<'_> {
    /// The kind of a record; an error with the kind that it may have been, if it is damaged.
    #[inline]
    pub(in crate::writer) fn record(&mut self, words: &[u64]) -> Result<Kind, Kind> {
        match record::read(words) {
            // By reference: copied out, it would not fit into registers.
            Some(Record::Span(ref head, fields)) => {
                let wide = words.first().is_some_and(|header| header & WIDE != 0);
                let before = if wide { SPAN_WORDS_WIDE } else { SPAN_WORDS };
                let is_sound = self.fits(words, before + fields.len())
                    && self.is_site(head.callsite, true)
                    && self.has_thread(head.thread)
                    && self.ids.contains(&head.id)
                    && (head.parent == 0 || self.ids.contains(&head.parent))
                    && self.ids.contains(&head.root)
                    && (head.parent != 0 || head.root == head.id)
                    && self.is_moment(head.start)
                    && self.is_moment(head.end)
                    && self.are_entries(&head.entries, head.thread)
                    && head.inside.is_none_or(|ticks| ticks < COUNT_END)
                    && (fields.is_empty() || self.are_fields(head.callsite, fields))
                    && (!self.keeps_ids || self.spans.insert(head.id));
                if is_sound {
                    self.met(head.end.max(head.start), head.thread);
                    self.has_further_threads |= head.entries.longest_thread == THREAD_MAX;
                }
                is_sound.then_some(Kind::Span).ok_or(Kind::Span)
            }
            Some(Record::Event(head, fields)) => {
                let is_sound = self.fits(words, EVENT_WORDS + fields.len())
                    && self.is_site(head.callsite, false)
                    && self.has_thread(head.thread)
                    && self.ids.contains(&head.id)
                    && (head.span == 0 || self.ids.contains(&head.span))
                    && self.is_moment(head.at)
                    && self.are_fields(head.callsite, fields)
                    && (!self.keeps_ids || self.events.insert(head.id));
                if is_sound {
                    self.met(head.at, head.thread);
                }
                is_sound.then_some(Kind::Event).ok_or(Kind::Event)
            }
            Some(Record::Link(link)) => {
                let is_sound = self.fits(words, SLOT_WORDS)
                    && self.ids.contains(&link.span)
                    && self.ids.contains(&link.follows);
                is_sound.then_some(Kind::Link).ok_or(Kind::Link)
            }
            Some(Record::Entry(entry)) => {
                let is_sound = self.fits(words, SLOT_WORDS)
                    && self.is_site(entry.callsite, true)
                    && self.has_thread(entry.thread)
                    && self.ids.contains(&entry.span)
                    && (entry.around == 0 || self.ids.contains(&entry.around))
                    && self.is_moment(entry.entered)
                    && self.is_moment(entry.left)
                    && entry.earlier.count < COUNT_END
                    && entry.earlier.busy < BUSY_END;
                if is_sound {
                    self.met(entry.left, entry.thread);
                }
                is_sound.then_some(Kind::Entry).ok_or(Kind::Entry)
            }
            Some(Record::Gauge(sample)) => {
                let is_sound = self.fits(words, SLOT_WORDS)
                    && self.names.gauge(sample.number).is_some()
                    && self.is_moment(sample.at)
                    && sample.updates <= sample.version
                    && sample.version < COUNT_END;
                if is_sound {
                    self.last_ticks = self.last_ticks.max(sample.at);
                }
                is_sound.then_some(Kind::Gauge).ok_or(Kind::Gauge)
            }
            // Most records are spans.
            None => Err(record::kind(words).unwrap_or(Kind::Span)),
        }
    }

    /// Whether it is a sound record, and as nearly all are; another one may be sound, too. For a fraction of what
    /// [`record`](Self::record) takes.
    #[cfg(feature = "collected")]
    #[inline(always)]
    pub(in crate::writer) fn is_plain_span(&mut self, slot: &Slot) -> bool {
        let Some(span) = record::read_plain(slot) else { return false };
        let [first, last] = span.inside;
        let is_sound = self.busy_time
            && !self.keeps_ids
            && self.is_site(span.callsite, true)
            && self.known.has_thread(span.thread)
            && self.ids.contains(&span.id)
            && self.ids.contains(&span.root)
            && match span.parent {
                0 => span.root == span.id,
                parent => self.ids.contains(&parent),
            }
            && [span.start, span.end, first, last].into_iter().all(|at| self.is_moment(at))
            && last - first < BUSY_END;
        if is_sound {
            self.met(span.end.max(span.start), span.thread);
        }
        is_sound
    }

    /// A sound record of this moment and thread.
    #[inline]
    fn met(&mut self, ticks: u64, thread: u32) {
        self.last_ticks = self.last_ticks.max(ticks);
        self.has_further_threads |= thread == THREAD_MAX;
    }

    /// Whether it can be a span that is open.
    pub(in crate::writer) fn is_open_span(&self, left: &SpanLeft) -> bool {
        let seen = &left.seen;
        self.is_site(seen.callsite, true)
            && self.has_thread(seen.thread)
            && self.ids.contains(&seen.id)
            && (seen.parent == 0 || self.ids.contains(&seen.parent))
            && self.ids.contains(&seen.root)
            && self.is_moment(seen.start)
            && self.are_fields(seen.callsite, &seen.fields)
    }

    /// Whether so many words fill just these slots.
    #[inline]
    fn fits(&self, words: &[u64], len: usize) -> bool {
        record::slots(len) * SLOT_WORDS == words.len()
    }

    #[inline]
    pub(in crate::writer) fn has_thread(&self, number: u32) -> bool {
        self.known.has_thread(number) || self.names.has_thread(number)
    }

    #[inline]
    pub(in crate::writer) fn is_site(&self, number: u32, is_span: bool) -> bool {
        self.known.site(number).is_some_and(|site| site.is_span == is_span)
    }

    pub(in crate::writer) fn is_moment(&self, ticks: u64) -> bool {
        self.ticks.contains(&ticks)
    }

    #[inline]
    fn are_entries(&self, entries: &Entries, thread: u32) -> bool {
        let Entries { count, busy, first, last, longest, longest_thread } = *entries;
        if count >= COUNT_END || busy >= BUSY_END {
            return false;
        }
        if count == 0 || !self.busy_time {
            return true;
        }
        self.is_moment(first)
            && self.is_moment(last)
            && longest <= busy.saturating_add(SKEW)
            && (longest_thread == thread
                || longest_thread == THREAD_MAX
                || self.has_thread(longest_thread))
    }

    /// Whether these words are values of fields that the callsite has, from the first to the last.
    pub(in crate::writer) fn are_fields(&self, callsite: u32, words: &[u64]) -> bool {
        let Some(site) = self.known.site(callsite) else { return false };
        let count = usize::from(site.fields);
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

#[cfg(test)]
mod tests {
    use spandrel_ring::file::Name;

    use super::*;
    use crate::recorder::ring_file::layout::names;

    #[test]
    fn the_tables_know_what_the_names_do() {
        let mut found = DeadNames::default();
        let mut add = |kind, numbers: &[u64], texts: Vec<&str>| {
            found.add(&Name { kind, numbers, texts });
        };
        for (number, is_event, fields) in [(0, 0, 2), (2, 1, 0), (70, 0, 1)] {
            let mut texts = vec!["a"; 4];
            texts.extend(vec!["field"; fields]);
            add(names::CALLSITE, &[number, 3, is_event, 1, 0, 0, 0], texts);
        }
        let threads = [1, 64, 4_000, u64::from(THREADS_IN_TABLE), u64::from(THREAD_MAX) - 1];
        for number in threads {
            add(names::THREAD, &[number, 5, 0], vec![""]);
        }
        found.end();
        let known = Known::of(&found);
        let check = Check {
            names: &found,
            known: &known,
            ids: 1..9,
            ticks: 0..=9,
            busy_time: true,
            keeps_ids: false,
            spans: HashSet::new(),
            events: HashSet::new(),
            last_ticks: 0,
            has_further_threads: false,
        };
        for number in 0..80 {
            let said = found.callsites.get(&number).map(|site| site.is_span());
            assert_eq!(check.is_site(number, true), said == Some(true), "{number}");
            assert_eq!(check.is_site(number, false), said == Some(false), "{number}");
        }
        let around = threads.iter().flat_map(|number| [number - 1, *number, number + 1]);
        for number in around.map(|number| number as u32).chain([63, 65, 4_001, u32::MAX]) {
            assert_eq!(check.has_thread(number), found.has_thread(number), "{number}");
        }
        assert!(known.threads.len() <= THREADS_IN_TABLE as usize / 64, "whatever the numbers");
    }

    /// Whatever the quick look takes, the whole one does; and plain spans are what it takes.
    #[cfg(feature = "collected")]
    #[test]
    fn a_plain_span_is_sound() {
        let mut found = DeadNames::default();
        let mut add = |kind, numbers: &[u64], texts: Vec<&str>| {
            found.add(&Name { kind, numbers, texts });
        };
        add(names::CALLSITE, &[0, 3, 0, 1, 0, 0, 0], vec!["a"; 4]);
        add(names::CALLSITE, &[1, 3, 1, 1, 0, 0, 0], vec!["a"; 4]);
        add(names::THREAD, &[3, 5, 0], vec![""]);
        add(names::THREAD, &[u64::from(THREAD_MAX), 5, 0], vec![""]);
        found.end();
        let known = Known::of(&found);
        let check = |busy_time, keeps_ids| Check {
            names: &found,
            known: &known,
            ids: 1..100,
            ticks: 0..=1_000,
            busy_time,
            keeps_ids,
            spans: HashSet::new(),
            events: HashSet::new(),
            last_ticks: 0,
            has_further_threads: false,
        };
        let entered = u64::from(record::ENTERED);
        let root = [3 | entered | 5 << 48, 7, 0, 7, 10, 50, 40];
        let child = [3 | entered, 8, 7, 7, 10, 50, 40];
        assert!(
            check(true, false).is_plain_span(&root) && check(true, false).is_plain_span(&child)
        );
        assert!(
            !check(false, false).is_plain_span(&root) && !check(true, true).is_plain_span(&root)
        );
        let mut random = 1_u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            random >> 33
        };
        let (mut sound, mut plain) = (0, 0);
        for _ in 0..200_000 {
            let mut slot = if next() % 2 == 0 { root } else { child };
            for _ in 0..next() % 3 {
                let word = &mut slot[next() as usize % 7];
                match next() % 3 {
                    0 => *word ^= 1 << (next() % 64),
                    1 => *word = next() % 128,
                    _ => *word = word.wrapping_add(next() % 2_000).wrapping_sub(1_000),
                }
            }
            let (mut quick, mut whole) = (check(true, false), check(true, false));
            let is_sound = whole.record(&slot) == Ok(Kind::Span);
            sound += u32::from(is_sound);
            if quick.is_plain_span(&slot) {
                plain += 1;
                assert!(is_sound, "{slot:x?}");
                let said = (whole.last_ticks, whole.has_further_threads);
                assert_eq!((quick.last_ticks, quick.has_further_threads), said, "{slot:x?}");
            }
        }
        assert!(plain > 80_000 && sound > plain && sound < 190_000, "{plain} of {sound}");
    }
}
