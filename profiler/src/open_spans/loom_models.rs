//! `RUSTFLAGS="--cfg spandrel_loom" cargo test -p spandrel --release --lib loom_models`

use loom::sync::Arc;
use loom::thread;

use super::*;
use crate::record;
use crate::sync::Ordering;

/// A boolean field: one word.
const WORD: u64 = 8 << 8;

fn span(id: u64) -> NewSpan {
    // Every figure is derived from the id, so that a mixture of two spans shows.
    NewSpan { thread: id as u32, id, root: id + 200, start: id + 300 }
}

fn origin(id: u64) -> u64 {
    record::id_and(id + 100, id as u16)
}

fn check(seen: &Seen) {
    let id = seen.id;
    assert_eq!(
        (seen.callsite, seen.thread, seen.parent, seen.root, seen.start),
        (id as u16, id as u32, id + 100, id + 200, id + 300),
        "a mixture of two spans"
    );
}

/// The writer looks while a span closes and another one takes its place.
#[test]
fn looking_at_a_place_that_changes_hands() {
    loom::model(|| {
        let table = Arc::new(OpenSpans::new(1, 0));
        let place = table.insert(0, 1, origin(1), &span(1), &[]).unwrap();
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                table.remove(place);
                table.insert(0, 1, origin(2), &span(2), &[]).unwrap();
            })
        };
        table.look(0, |_| true).iter().for_each(check);
        other.join().unwrap();
        let seen = table.look(0, |_| true);
        assert_eq!(seen.iter().map(|seen| seen.id).collect::<Vec<_>>(), [2]);
    });
}

/// The same on the quick paths, with a field each.
#[test]
fn looking_at_a_place_that_changes_hands_quickly() {
    let open = |table: &OpenSpans, id: u64| {
        let (_, place) = table.claim_first(id).unwrap();
        place.set_origin(origin(id));
        place.inline_fields()[0].store(WORD | id, Ordering::Release);
        place.set_words(1);
        place.complete(&span(id));
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

#[test]
fn two_threads_want_the_last_place() {
    loom::model(|| {
        let table = Arc::new(OpenSpans::new(1, 0));
        table.insert(0, 1, origin(1), &span(1), &[]).unwrap();
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || table.insert(0, 3, origin(3), &span(3), &[]).is_some())
        };
        let mine = table.insert(0, 2, origin(2), &span(2), &[]).is_some();
        assert!(mine != other.join().unwrap(), "one place was left for two spans");
        assert_eq!(table.count(), 2);
    });
}

/// Two threads record into one span; the second word of one of them goes to a spill buffer.
#[test]
fn two_threads_record_fields() {
    loom::model(|| {
        let table = Arc::new(OpenSpans::new(1, 3));
        let place = table.insert(0, 1, origin(1), &span(1), &[WORD]).unwrap();
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || table.append_fields(table.span(place), &[WORD | 1]))
        };
        table.append_fields(table.span(place), &[WORD | 2]);
        other.join().unwrap();
        let mut words = Vec::new();
        words.extend(table.spilled_fields_at(table.span(place), 0).map(|word| word & 0xFF));
        words.truncate(3);
        words.sort_unstable();
        assert_eq!(words, [0, 1, 2]);
        assert!(!table.span(place).has_left_out());
    });
}

/// The writer looks while fields are recorded: it sees all of them or none.
#[test]
fn looking_while_fields_are_recorded() {
    loom::model(|| {
        let table = Arc::new(OpenSpans::new(1, 3));
        let place = table.insert(0, 1, origin(1), &span(1), &[WORD]).unwrap();
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || table.append_fields(table.span(place), &[WORD | 1]))
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

/// The writer looks while the owner enters and leaves: busy time is that of before, of between or
/// of after.
#[test]
fn looking_while_the_owner_enters_and_leaves() {
    loom::model(|| {
        let table = Arc::new(OpenSpans::new(1, 0));
        let place = table.insert(0, 1, origin(1), &span(1), &[]).unwrap();
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                let span = table.span(place);
                assert!(span.own_enter(|| 310) && span.own_exit(|| 320));
            })
        };
        for seen in table.look(330, |_| true) {
            check(&seen);
            assert!([0, 10, 20].contains(&seen.busy) && seen.polls <= 1, "{seen:?}");
        }
        other.join().unwrap();
        assert_eq!(table.look(330, |_| true)[0].busy, 10);
    });
}

/// A span ends while the profiler closes: one of both accounts for it.
#[test]
fn one_decides_the_fate() {
    loom::model(|| {
        let table = Arc::new(OpenSpans::new(1, 0));
        let place = table.insert(0, 1, origin(1), &span(1), &[]).unwrap();
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || table.decide_fate(place, 1))
        };
        let mine = table.decide_fate(place, 1);
        assert!(mine != other.join().unwrap());
    });
}
