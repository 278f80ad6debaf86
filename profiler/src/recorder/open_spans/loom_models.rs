//! `RUSTFLAGS="--cfg spandrel_loom" cargo test -p spandrel --release --lib loom_models`

use loom::sync::Arc;
use loom::thread;

use super::spills::Spills;
use super::*;
use crate::recorder::fields::{Fields, Value};
use crate::recorder::record::{self, Entries};
use crate::sync::Ordering;

/// A boolean field: one word.
const WORD: u64 = 8 << 8;

fn span(id: u64) -> NewSpan {
    // Every number is derived from the id, so that a mixture of two spans is recognised.
    NewSpan { head: id, id, root: id + 200, start: id + 300 }
}

fn origin(id: u64) -> u64 {
    record::id_and(id + 100, id as u16)
}

fn check(seen: &Seen) {
    let id = seen.id;
    assert_eq!(
        (seen.callsite, seen.thread, seen.parent, seen.root, seen.start),
        (id as u32, id as u32, id + 100, id + 200, id + 300),
        "a mixture of two spans"
    );
}

/// The writer looks while a span closes and another one takes its slot.
#[test]
fn looking_at_a_slot_that_changes_hands() {
    loom::model(|| {
        let table = Arc::new(OpenSpans::new(1, 0));
        let position = table.insert(0, 1, origin(1), &span(1), &[]).unwrap();
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                table.remove(position);
                table.insert(0, 1, origin(2), &span(2), &[]).unwrap();
            })
        };
        table.look(0, |_| true).iter().for_each(check);
        other.join().unwrap();
        let seen = table.look(0, |_| true);
        assert_eq!(seen.iter().map(|seen| seen.id).collect::<Vec<_>>(), [2]);
    });
}

/// The same on the fast paths, with a field each.
#[test]
fn looking_at_a_slot_that_changes_hands_on_the_fast_path() {
    let open = |table: &OpenSpans, id: u64| {
        let (_, slot) = table.claim_first(id).unwrap();
        slot.set_origin(origin(id));
        slot.inline_fields()[0].store(WORD | id, Ordering::Release);
        slot.set_words(1);
        slot.complete(&span(id));
    };
    loom::model(move || {
        let table = Arc::new(OpenSpans::new(1, 2));
        open(&table, 1);
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                OpenSpans::remove_plain(table.span(0), 1);
                open(&table, 2);
            })
        };
        for seen in table.look(400, |_| true) {
            check(&seen);
            assert!(seen.fields.is_empty() || seen.fields == [WORD | seen.id], "{seen:?}");
        }
        other.join().unwrap();
        assert_eq!(table.look(400, |_| true)[0].fields, [WORD | 2]);
    });
}

/// The same of scopes, whose slot says already what all of its thread do.
#[test]
fn looking_at_a_slot_that_a_thread_keeps_for_its_scopes() {
    /// For all of them: what `check` expects of the first one.
    const HEAD: u64 = 1;
    let open = |slot: &SpanSlot, id: u64| {
        slot.set_origin(record::id_and(id + 100, HEAD as u16));
        slot.set_outer(id);
        slot.complete_scope(id, id + 200, id + 300);
    };
    let check = |seen: &Seen| {
        let Seen { id, callsite, thread, parent, root, start, .. } = *seen;
        let expected = (HEAD as u32, HEAD as u32, id + 100, id + 200, id + 300);
        assert_eq!((callsite, thread, parent, root, start), expected, "a mixture of two scopes");
    };
    loom::model(move || {
        let table = Arc::new(OpenSpans::new(1, 0));
        let position = table.take_slot().unwrap();
        table.span(position).set_head(HEAD);
        open(table.span(position), 1);
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                let slot = table.span(position);
                slot.vacate_scope();
                open(slot, 2);
            })
        };
        table.look(400, |_| true).iter().for_each(check);
        other.join().unwrap();
        let seen = table.look(400, |_| true);
        assert_eq!(seen.iter().map(|seen| seen.id).collect::<Vec<_>>(), [2]);
    });
}

#[test]
fn two_threads_want_the_last_slot() {
    loom::model(|| {
        let table = Arc::new(OpenSpans::new(1, 0));
        table.insert(0, 1, origin(1), &span(1), &[]).unwrap();
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || table.insert(0, 3, origin(3), &span(3), &[]).is_some())
        };
        let mine = table.insert(0, 2, origin(2), &span(2), &[]).is_some();
        assert!(mine != other.join().unwrap(), "one slot was left for two spans");
        assert_eq!(table.count(), 2);
    });
}

/// Two threads record into one span; the second word of one of them goes to a spill buffer.
#[test]
fn two_threads_record_fields() {
    loom::model(|| {
        let table = Arc::new(OpenSpans::new(1, 6));
        let position = table.insert(0, 1, origin(1), &span(1), &[WORD]).unwrap();
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || table.record_fields(position, 1, &[WORD | 1], 3))
        };
        table.record_fields(position, 1, &[WORD | 2], 3);
        other.join().unwrap();
        let mut words = Vec::new();
        words.extend(table.spilled_fields_at(table.span(position), 0).map(|word| word & 0xFF));
        words.truncate(3);
        words.sort_unstable();
        assert_eq!(words, [0, 1, 2]);
        assert!(!table.span(position).has_left_out());
    });
}

/// The writer looks while fields are recorded: it sees all of them or none.
#[test]
fn looking_while_fields_are_recorded() {
    loom::model(|| {
        let table = Arc::new(OpenSpans::new(1, 3));
        let position = table.insert(0, 1, origin(1), &span(1), &[WORD]).unwrap();
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || table.record_fields(position, 1, &[WORD | 1], 3))
        };
        for seen in table.look(0, |_| true) {
            check(&seen);
            assert!(
                [&[][..], &[WORD], &[WORD, WORD | 1]].contains(&&seen.fields[..]),
                "{:?}",
                seen.fields
            );
        }
        other.join().unwrap();
    });
}

/// A text of two words, all of one letter.
fn text(letter: u8) -> [u64; 3] {
    [16 << 32 | 9 << 8, u64::from_le_bytes([letter; 8]), u64::from_le_bytes([letter; 8])]
}

/// The letters of the texts in words of fields; each must be of one letter.
fn letters(words: &[u64]) -> Vec<u8> {
    let mut letters = Vec::new();
    for field in Fields::new(words) {
        let Value::Str(words @ &[first, second], 16) = field.value else {
            panic!("{field:?} is no text that was recorded")
        };
        assert_eq!(first, second, "two texts mixed: {words:x?}");
        letters.push(first as u8);
    }
    letters
}

/// Two threads record the same field into one span: neither value is mixed with the other.
#[test]
fn two_threads_record_the_same_text() {
    loom::model(|| {
        let table = Arc::new(OpenSpans::new(1, 9));
        let position = table.insert(0, 1, origin(1), &span(1), &[]).unwrap();
        table.record_fields(position, 1, &text(b'x'), 1);
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || table.record_fields(position, 1, &text(b'a'), 1))
        };
        table.record_fields(position, 1, &text(b'b'), 1);
        other.join().unwrap();
        let seen = table.look(0, |_| true).remove(0);
        let letters = letters(&seen.fields);
        assert!(matches!(letters.last(), Some(b'a' | b'b')), "{letters:?}");
        assert!(!seen.left_out);
    });
}

/// The writer looks while a text is overwritten: it sees the old one, the new one, or that something is
/// missing.
#[test]
fn looking_while_a_text_is_overwritten() {
    loom::model(|| {
        let table = Arc::new(OpenSpans::new(1, 6));
        let position = table.insert(0, 1, origin(1), &span(1), &[]).unwrap();
        table.record_fields(position, 1, &text(b'x'), 1);
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || table.record_fields(position, 1, &text(b'a'), 1))
        };
        for seen in table.look(0, |_| true) {
            let letters = letters(&seen.fields);
            assert!(letters.is_empty() == seen.left_out, "{seen:?}");
            assert!(letters.iter().all(|letter| b"xa".contains(letter)), "{letters:?}");
        }
        other.join().unwrap();
        assert_eq!(letters(&table.look(0, |_| true)[0].fields), [b'a']);
    });
}

/// A text is recorded with an id that was kept for too long, while its span closes and the next one
/// takes the slot: nothing outside of the table is reached, and the next span is found and can be
/// closed.
#[test]
fn a_stale_id_beside_the_next_span() {
    let mut model = loom::model::Builder::new();
    // The next span alone has more steps than can be tried with every interleaving.
    model.preemption_bound.get_or_insert(2);
    model.check(|| {
        let table = Arc::new(OpenSpans::new(1, 6));
        let position = table.insert(0, 1, origin(1), &span(1), &[]).unwrap();
        table.record_fields(position, 1, &text(b'x'), 1);
        let stale = {
            let table = Arc::clone(&table);
            thread::spawn(move || table.record_fields(position, 1, &text(b'a'), 1))
        };
        table.remove(position);
        let again = table.insert(0, 1, origin(2), &span(2), &[]).unwrap();
        table.record_fields(again, 2, &text(b'n'), 1);
        stale.join().unwrap();
        assert_eq!(table.find(0, 1).map(|(position, _)| position), Some(again));
        let next = table.span(again);
        assert!(
            !next.is_cloned() && next.extra() >> super::bits::LAYER_SHIFT == 0,
            "another one's flags"
        );
        table.remove(again);
        assert_eq!(table.count(), 0);
    });
}

/// A span gives its buffer back while a thread writes into it that came too late for the span: the next
/// span with the buffer has it alone.
#[test]
fn a_buffer_changes_hands_while_somebody_writes() {
    loom::model(|| {
        let spills = Arc::new(Spills::new(1, 1));
        let number = spills.claim(1).unwrap();
        let stale = {
            let spills = Arc::clone(&spills);
            thread::spawn(move || {
                if spills.enter(number, 1) {
                    spills.word(number, 0).unwrap().store(1, Ordering::Release);
                    spills.leave(number);
                }
            })
        };
        spills.release(number);
        if spills.claim(2).is_some() && spills.enter(number, 2) {
            let word = spills.word(number, 0).unwrap();
            word.store(2, Ordering::Release);
            spills.leave(number);
            assert_eq!(word.load(Ordering::Acquire), 2, "written by another span's thread");
        }
        stale.join().unwrap();
        spills.release(number);
        assert!(spills.claim(3).is_some(), "nobody is in it any more");
    });
}

/// The writer looks while the owner enters and leaves: what it sees is of one moment between two changes.
#[test]
fn looking_while_the_owner_enters_and_leaves() {
    let all = |table: &OpenSpans, position| {
        let foreign = table.foreign(position);
        let span = table.span(position);
        assert!(span.own_enter(foreign, Measured::ALL, || 310) && span.own_exit(|| 320));
        assert!(span.own_enter(foreign, Measured::ALL, || 325) && span.own_exit(|| 328));
    };
    for before in 0..2 {
        loom::model(move || {
            let table = Arc::new(OpenSpans::new(1, 0));
            let position = table.insert(0, 1, origin(1), &span(1), &[]).unwrap();
            let start = table.span(position);
            if before == 1 {
                // So that both entries are further ones.
                assert!(start.own_enter(table.foreign(position), Measured::ALL, || 302));
                assert!(start.own_exit(|| 303));
            }
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || all(&table, position))
            };
            table.look(330, |_| true).iter().for_each(check);
            if let Some(seen) = table.span(position).look_at_entries(table.foreign(position), 330) {
                let Entries { count, busy, last, longest, .. } = seen;
                // What one entry gives while it goes on, and when it has ended.
                let known = match (before, count) {
                    (0, 0) => [(0, 0, 0); 2],
                    (0, 1) => [(20, 20, 330), (10, 10, 320)],
                    (0, _) => [(15, 10, 330), (13, 10, 328)],
                    (_, 1) => [(1, 1, 303); 2],
                    (_, 2) => [(21, 20, 330), (11, 10, 320)],
                    _ => [(16, 10, 330), (14, 10, 328)],
                };
                assert!(known.contains(&(busy, longest, last)), "{seen:?}");
            }
            other.join().unwrap();
            assert_eq!(table.look(330, |_| true)[0].entries.busy, 13 + before);
        });
    }
}

/// Two threads that have not created the span are inside at once, and the writer looks.
#[test]
fn looking_while_others_enter_and_leave() {
    loom::model(|| {
        let table = Arc::new(OpenSpans::new(1, 0));
        let position = table.insert(0, 1, origin(1), &span(1), &[]).unwrap();
        let be_inside = move |table: &OpenSpans, from: u64, to: u64, thread| {
            let foreign = table.foreign(position);
            table.span(position).begin_foreign_entry(foreign, from);
            foreign.end(from, to, thread);
        };
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || be_inside(&table, 310, 320, 5))
        };
        be_inside(&table, 312, 318, 6);
        let seen = table.look(330, |_| true).remove(0).entries;
        assert!((1..=2).contains(&seen.count) && seen.first <= 312, "{seen:?}");
        assert!([6, 16, 26].contains(&seen.busy), "{seen:?}");
        other.join().unwrap();
        let seen = table.look(330, |_| true).remove(0).entries;
        let both =
            Entries { count: 2, busy: 16, first: 310, last: 320, longest: 10, longest_thread: 5 };
        assert_eq!(seen, both);
    });
}

/// A span ends while the profiler closes: exactly one side accounts for it.
#[test]
fn one_decides_the_fate() {
    loom::model(|| {
        let table = Arc::new(OpenSpans::new(1, 0));
        let position = table.insert(0, 1, origin(1), &span(1), &[]).unwrap();
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || table.try_claim_close(position, 1))
        };
        let mine = table.try_claim_close(position, 1);
        assert!(mine != other.join().unwrap());
    });
}
