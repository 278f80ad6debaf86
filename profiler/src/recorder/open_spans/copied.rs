//! A slot of the table in the ring file of a process that lives, as somebody outside of it has copied it.
//!
//! A slot is copied twice. Its span's id is stored last when it is taken, and cleared first when it is given back, and no
//! id comes again: where both copies have the same one, all that never changes of that span is whole. What does
//! change is, if it is the same in both: times only go on; fields may come back, so whoever asks for them also looks
//! whether any was overwritten meanwhile.

use super::{INLINE_WORDS, SpanSlot};

/// Words of a slot.
const WORDS: usize = size_of::<SpanSlot>() / size_of::<u64>();
const ID: usize = 1;
/// The header, the first entry, the last one, the time inside, the longest entry, and the depth among smaller numbers.
const TIMES: [usize; 6] = [5, 6, 7, 9, 10, 11];
/// Those that have nothing but a time.
const ONLY_TIMES: [usize; 4] = [6, 7, 9, 10];
/// How many words of fields there are, and where those are that have no room here.
const EXTRA: usize = 8;
const SMALL: usize = 11;
const FIELDS: usize = WORDS - INLINE_WORDS;

/// What two copies of a slot say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Copied<'a> {
    /// There was no span at the moment between them.
    Free,
    /// It was taken, or given to another span, while it was copied.
    Turned,
    Open(OpenCopy<'a>),
}

/// A span that was open at the moment between two copies.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OpenCopy<'a> {
    pub(crate) id: u64,
    words: &'a [u64],
    /// Nobody entered or left it meanwhile.
    pub(crate) has_times: bool,
    /// Nobody recorded fields of it meanwhile, unless it overwrote one.
    pub(crate) has_fields: bool,
    /// How many words of fields there are.
    extra: u64,
    small: u64,
}

/// Of copies as long as a slot; others are of no slot.
pub(crate) fn copied<'a>([before, after]: [&'a [u64]; 2]) -> Copied<'a> {
    if before.len() != WORDS || after.len() != WORDS || before[ID] == 0 && after[ID] == 0 {
        return Copied::Free;
    }
    if before[ID] != after[ID] {
        return Copied::Turned;
    }
    let are_same = |words: &[usize]| words.iter().all(|at| before[*at] == after[*at]);
    Copied::Open(OpenCopy {
        id: after[ID],
        words: after,
        has_times: are_same(&TIMES),
        has_fields: are_same(&[EXTRA, SMALL]) && before[FIELDS..] == after[FIELDS..],
        extra: after[EXTRA],
        small: after[SMALL],
    })
}

impl OpenCopy<'_> {
    /// Which buffer has further fields, 0 for none, if there are any.
    pub(crate) fn spill(&self) -> Option<u16> {
        let count = super::bits::settled_words(self.extra)?;
        let number = super::left_behind::spill_of(self.small);
        (count > INLINE_WORDS && number > 0).then_some(number)
    }

    /// Its words; without times if `are_known` says that they are not.
    pub(crate) fn words(&self, are_known: bool) -> Vec<u64> {
        let mut words = self.words.to_vec();
        if !are_known {
            ONLY_TIMES.iter().for_each(|at| words[*at] = 0);
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    fn slot(id: u64) -> Vec<u64> {
        let mut words: Vec<u64> = (100..100 + WORDS as u64).collect();
        words[ID] = id;
        words
    }

    #[test]
    fn words_are_where_a_slot_has_them() {
        let at = |bytes: usize| bytes / 8;
        assert_eq!(ID, at(offset_of!(SpanSlot, id)));
        let times = [
            offset_of!(SpanSlot, head),
            offset_of!(SpanSlot, first),
            offset_of!(SpanSlot, last),
            offset_of!(SpanSlot, busy),
            offset_of!(SpanSlot, longest),
            offset_of!(SpanSlot, own_depth),
        ];
        assert_eq!(TIMES, times.map(at));
        assert_eq!(
            [EXTRA, SMALL],
            [offset_of!(SpanSlot, extra), offset_of!(SpanSlot, spill)].map(at)
        );
        assert_eq!(FIELDS, at(offset_of!(SpanSlot, fields)));
    }

    #[test]
    fn a_slot_that_was_given_to_another_span_meanwhile_is_neither() {
        let of = |before, after| {
            let (before, after) = (slot(before), slot(after));
            match copied([&before, &after]) {
                Copied::Free => "free",
                Copied::Turned => "turned",
                Copied::Open(_) => "open",
            }
        };
        assert_eq!(
            [of(0, 0), of(0, 1), of(1, 0), of(1, 2), of(2, 2)],
            ["free", "turned", "turned", "turned", "open"]
        );
        assert_eq!(copied([&[], &[]]), Copied::Free);
        assert_eq!(copied([&slot(1), &slot(1)[1..]]), Copied::Free, "of no slot");
    }

    #[test]
    fn what_differs_is_not_believed() {
        let before = slot(7);
        for at in 0..WORDS {
            let mut after = before.clone();
            after[at] += 1;
            let Copied::Open(copy) = copied([&before, &after]) else {
                assert_eq!(at, ID);
                continue;
            };
            assert_eq!(copy.has_times, !TIMES.contains(&at), "{at}");
            let is_field = [EXTRA, SMALL].contains(&at) || at >= FIELDS;
            assert_eq!(copy.has_fields, !is_field, "{at}");
            assert_eq!(copy.words(true), after);
            let blank = copy.words(false);
            assert_eq!(blank.iter().filter(|word| **word == 0).count(), 4);
        }
    }
}
