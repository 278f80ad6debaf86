//! A closed span in slots of a ring, whose readers are overtaken at any slot: each says whose part it is.

use spandrel_storage::{SpanRow, Status};

/// A slot: the number of the span and which of its parts this is, and what is in it.
pub(crate) type Part = [u64; PART_WORDS];

const PART_WORDS: usize = 8;
/// Words of a part beside its first one.
const BODY_WORDS: usize = PART_WORDS - 1;
/// Words in front of the text.
const HEAD_WORDS: usize = 11;
/// Bits of the number of a part.
const PART_BITS: u32 = 16;
/// Said of a time that was not measured.
const NONE: u64 = i64::MIN as u64;
/// The flag that the fields were too long, in the word of the status.
const IS_WITHOUT_FIELDS: u64 = 1 << 8;

/// What is in the parts of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClosedSpan {
    /// Number of its callsite in this recording.
    pub(crate) callsite: u32,
    pub(crate) id: u64,
    pub(crate) parent_id: u64,
    pub(crate) root_id: u64,
    pub(crate) thread_id: i64,
    pub(crate) start_ns: i64,
    pub(crate) duration_ns: i64,
    pub(crate) busy_ns: Option<i64>,
    pub(crate) self_ns: Option<i64>,
    pub(crate) entries: u64,
    pub(crate) status: Status,
    /// A JSON object, or nothing.
    pub(crate) fields: String,
    /// There were fields, and they had no place.
    pub(crate) is_without_fields: bool,
}

/// Takes a span apart.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    number: u64,
    head: [u64; HEAD_WORDS],
    text: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Of the span with this number, whose fields are left out if it would have more parts than `parts_max`. None of one that has not closed.
    pub(crate) fn of(
        (number, callsite): (u64, u32),
        row: &SpanRow,
        text: &'a str,
        parts_max: usize,
    ) -> Option<Self> {
        let text = text.get(row.fields.clone()).unwrap_or_default().as_bytes();
        let parts = (HEAD_WORDS + text.len().div_ceil(8)).div_ceil(BODY_WORDS);
        let (text, flag) = if parts > parts_max { (&[][..], IS_WITHOUT_FIELDS) } else { (text, 0) };
        let time = |ns: Option<i64>| ns.map_or(NONE, |ns| ns as u64);
        let head = [
            row.id,
            row.parent_id,
            row.root_id,
            row.thread_id as u64,
            row.start_ns as u64,
            row.duration_ns? as u64,
            time(row.busy_ns),
            time(row.self_ns),
            row.entries,
            u64::from(callsite) << 32 | flag | status_code(row.status)?,
            text.len() as u64,
        ];
        Some(Self { number, head, text })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        (HEAD_WORDS + self.text.len().div_ceil(8)).div_ceil(BODY_WORDS)
    }

    pub(crate) fn part(&self, index: usize) -> Part {
        let mut part = [0; PART_WORDS];
        part[0] = self.number << PART_BITS | index as u64;
        for (at, word) in part[1..].iter_mut().enumerate() {
            *word = self.word(index * BODY_WORDS + at);
        }
        part
    }

    fn word(&self, index: usize) -> u64 {
        match self.head.get(index) {
            Some(word) => *word,
            None => {
                let from = self.text.len().min((index - HEAD_WORDS) * 8);
                let bytes = &self.text[from..self.text.len().min(from + 8)];
                let mut word = [0; 8];
                word[..bytes.len()].copy_from_slice(bytes);
                u64::from_le_bytes(word)
            }
        }
    }
}

/// Puts spans together again.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    words: Vec<u64>,
    /// The number of the span whose first parts are here, and how many those are.
    number: u64,
    parts: u64,
}

impl Assembly {
    /// The next part that was read. If it completes a span: that, and its number.
    pub(crate) fn add(&mut self, part: &Part) -> Option<(u64, ClosedSpan)> {
        let (number, index) = (part[0] >> PART_BITS, part[0] & ((1 << PART_BITS) - 1));
        if index == 0 {
            self.begin_anew();
            self.number = number;
        } else if index != self.parts || number != self.number {
            // Its beginning was missed.
            self.begin_anew();
            return None;
        }
        self.words.extend_from_slice(&part[1..]);
        self.parts += 1;
        let span = self.complete()?;
        self.begin_anew();
        Some((number, span))
    }

    /// What is here will never be complete.
    pub(crate) fn begin_anew(&mut self) {
        self.words.clear();
        self.parts = 0;
    }

    fn complete(&self) -> Option<ClosedSpan> {
        let (head, text) = self.words.split_first_chunk::<HEAD_WORDS>()?;
        let [id, parent_id, root_id, thread, start, duration, busy, own, entries, kind, length] =
            *head;
        let length = usize::try_from(length).ok()?;
        if length.div_ceil(8) > text.len() {
            return None;
        }
        let mut bytes: Vec<u8> = text.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.truncate(length);
        let time = |ns: u64| (ns != NONE).then_some(ns as i64);
        Some(ClosedSpan {
            callsite: (kind >> 32) as u32,
            id,
            parent_id,
            root_id,
            thread_id: thread as i64,
            start_ns: start as i64,
            duration_ns: duration as i64,
            busy_ns: time(busy),
            self_ns: time(own),
            entries,
            status: status_of(kind & (IS_WITHOUT_FIELDS - 1)),
            fields: String::from_utf8_lossy(&bytes).into_owned(),
            is_without_fields: kind & IS_WITHOUT_FIELDS != 0,
        })
    }
}

/// None of a span that has not closed.
fn status_code(status: Status) -> Option<u64> {
    match status {
        Status::Ok => Some(0),
        Status::Error => Some(1),
        Status::Panicked => Some(2),
        Status::Unfinished | Status::Crashed => None,
    }
}

fn status_of(code: u64) -> Status {
    match code {
        1 => Status::Error,
        2 => Status::Panicked,
        _ => Status::Ok,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(fields: std::ops::Range<usize>) -> SpanRow {
        SpanRow {
            id: 7,
            parent_id: 6,
            root_id: 5,
            callsite_id: 99,
            thread_id: 3,
            start_ns: -4,
            duration_ns: Some(1_000),
            busy_ns: None,
            self_ns: Some(0),
            self_busy_ns: None,
            entries: 2,
            first_entry_ns: None,
            longest_entry_ns: None,
            last_exit_ns: None,
            longest_thread_id: 0,
            status: Status::Panicked,
            fields,
        }
    }

    /// The parts of a span with these fields.
    fn parts(number: u64, text: &str, parts_max: usize) -> Vec<Part> {
        let row = row(0..text.len());
        let parts = Parts::of((number, 11), &row, text, parts_max).unwrap();
        (0..parts.len()).map(|index| parts.part(index)).collect()
    }

    fn expected(fields: &str, is_without_fields: bool) -> ClosedSpan {
        ClosedSpan {
            callsite: 11,
            id: 7,
            parent_id: 6,
            root_id: 5,
            thread_id: 3,
            start_ns: -4,
            duration_ns: 1_000,
            busy_ns: None,
            self_ns: Some(0),
            entries: 2,
            status: Status::Panicked,
            fields: fields.to_owned(),
            is_without_fields,
        }
    }

    proptest! {
        /// Whatever parts are missing, a span comes out whole, as it was, or not at all.
        #[test]
        fn a_span_is_put_together_or_left_out(
            texts in proptest::collection::vec("[a-zé{}\":]{0,200}", 1..8),
            missing in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let all: Vec<Part> = texts
                .iter()
                .zip(1..)
                .flat_map(|(text, number)| parts(number, text, 1_000))
                .collect();
            let missing: Vec<usize> =
                missing.iter().map(|at| usize::from(*at) % all.len()).collect();
            let mut assembly = Assembly::default();
            let mut found = Vec::new();
            for (at, part) in all.iter().enumerate() {
                if !missing.contains(&at) {
                    found.extend(assembly.add(part));
                }
            }
            let is_whole = |number: u64| {
                all.iter().enumerate().all(|(at, part)| {
                    part[0] >> PART_BITS != number || !missing.contains(&at)
                })
            };
            let whole: Vec<_> = texts
                .iter()
                .zip(1..)
                .filter(|(_, number)| is_whole(*number))
                .map(|(text, number)| (number, expected(text, false)))
                .collect();
            prop_assert_eq!(found, whole);
        }
    }

    #[test]
    fn fields_that_are_too_long_are_left_out_and_that_is_told() {
        let text = "x".repeat(1_000);
        let parts = parts(1, &text, 3);
        let mut assembly = Assembly::default();
        let spans: Vec<_> = parts.iter().filter_map(|part| assembly.add(part)).collect();
        assert_eq!(spans, [(1, expected("", true))]);
    }

    #[test]
    fn a_span_that_has_not_closed_has_no_parts() {
        let open = SpanRow { duration_ns: None, status: Status::Unfinished, ..row(0..0) };
        assert!(Parts::of((1, 0), &open, "", 3).is_none());
    }
}
