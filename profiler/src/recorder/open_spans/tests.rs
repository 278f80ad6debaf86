//! The table and its slots.

use super::*;
use crate::recorder::entry_rules::LONG_COUNT;
use crate::recorder::fields::{Fields, Value};
use crate::recorder::record::{self, Entries};

fn new_span(id: u64) -> NewSpan {
    NewSpan { head: 4, id, root: 6, start: 7 }
}

const ORIGIN: u64 = record::id_and(5, 3);

#[test]
fn a_table_takes_at_least_what_it_was_made_for() {
    // Ids as the registry makes them: several shards, and different generations. (Miri is slow: it goes
    // through the whole table at each access.)
    let spans = if cfg!(miri) { 64 } else { 1024 };
    let table = OpenSpans::new(spans, 64);
    for shard in 0..4_u64 {
        for index in 1..=spans as u64 / 4 {
            let generation = index.wrapping_mul(shard + 7) & 0x1FFF;
            let key = generation << 51 | shard << 38 | index;
            assert!(
                table.insert(0, key, ORIGIN, &new_span(key >> 3), &[]).is_some(),
                "{shard} {index}"
            );
        }
    }
    assert_eq!(table.count(), spans as u64);
}

#[test]
fn a_full_set_refuses_and_takes_again() {
    let table = OpenSpans::new(1, 0);
    let positions: Vec<_> =
        (0..100).map(|n| table.insert(0, n * 2 + 1, ORIGIN, &new_span(n), &[])).collect();
    assert_eq!(positions.iter().flatten().count(), WAYS, "one set in all");
    let first = positions[0].unwrap();
    table.remove(first);
    assert!(table.insert(0, 1001, ORIGIN, &new_span(1001), &[]).is_some());
}

#[test]
fn layers_do_not_see_each_others_spans() {
    let table = OpenSpans::new(64, 0);
    let positions = [0, 1, 2].map(|layer| table.insert(layer, 9, ORIGIN, &new_span(100), &[]));
    let find = |layer| table.find(layer, 9).map(|(position, _)| position);
    assert_eq!([0, 1, 2].map(find), positions);
    assert!(positions.iter().all(Option::is_some));
    table.remove(positions[1].unwrap());
    assert_eq!([0, 1, 2].map(find), [positions[0], None, positions[2]]);
    table.remove(positions[0].unwrap());
    table.remove(positions[2].unwrap());
    assert_eq!([0, 1, 2].map(find), [None; 3]);
    let again = table.insert(0, 9, ORIGIN, &new_span(300), &[]);
    assert_eq!([0, 1, 2].map(find), [again, None, None], "a slot forgets its layer");
}

#[test]
fn what_is_open_can_be_seen_with_all_its_fields() {
    let table = OpenSpans::new(64, 64);
    // Booleans: one word a field.
    let fields: Vec<u64> = (0..40).map(|index| 8 << 8 | index).collect();
    let position = table.insert(0, 1, ORIGIN, &new_span(10), &fields[..5]).unwrap();
    table.append_fields(position, 10, &fields[5..], 64);
    let (span, foreign) = (table.span(position), table.foreign(position));
    let enter = |now| span.own_enter(foreign, Measured::ALL, || now);
    assert!(enter(10) && !enter(11));
    assert!(span.has_owner_inside() && !span.own_exit(|| 12) && span.own_exit(|| 13));
    assert!(!span.has_owner_inside() && span.own_exit(|| 14), "it was outside");
    let entries = |now| table.look(now, |_| true)[0].entries;
    let once = Entries { count: 1, busy: 3, first: 10, last: 13, longest: 3, longest_thread: 4 };
    assert_eq!(entries(20), once);
    span.begin_foreign_entry(foreign, 14);
    assert_eq!((entries(16).busy, entries(16).last), (5, 16), "somebody else is inside");
    foreign.end(14, 18, 9);
    table.span(position).set_failed();
    let seen = table.look(20, |_| true);
    assert_eq!((seen.len(), seen[0].id), (1, 10));
    let twice = Entries { count: 2, busy: 7, last: 18, longest: 4, longest_thread: 9, ..once };
    assert_eq!(seen[0].entries, twice);
    assert!(seen[0].failed && !seen[0].left_out);
    assert_eq!(seen[0].fields, fields);
    let copied: Vec<_> = (0..40).step_by(7).flat_map(|at| table.fields_at(span, at)).collect();
    assert_eq!(copied[..40], fields);
    assert!(table.look(0, |start| start < 7).is_empty());
    assert!(enter(20));
    let goes_on = Entries { count: 3, busy: 12, last: 25, longest: 5, longest_thread: 4, ..twice };
    assert_eq!(entries(25), goes_on, "with the entry that goes on");
    let not_yet = Entries { busy: 7, last: 20, longest: 4, longest_thread: 9, ..goes_on };
    assert_eq!(entries(19), not_yet, "an entry later than the look takes no time");
    assert!(span.own_exit(|| 22));
    assert_eq!(span.entries(foreign, 99), Entries { busy: 9, last: 22, ..not_yet });
}

/// Whatever several threads enter and leave, the slot says what a list of all entries says.
#[test]
fn entries_are_what_a_list_of_them_says() {
    let mut random = 88_172_645_463_325_252_u64;
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    for round in 0..if cfg!(miri) { 20 } else { 2_000 } {
        let table = OpenSpans::new(1, 0);
        let position = table.insert(0, 1, ORIGIN, &new_span(10), &[]).unwrap();
        let (span, foreign) = (table.span(position), table.foreign(position));
        // Since when each thread is inside; the first one is the owner.
        let mut inside = [None; 3];
        let mut list: Vec<(u64, u64, u32)> = Vec::new();
        let (mut count, mut first, mut now) = (0, None, 100);
        for _ in 0..next(12) {
            now += 1 + next(50);
            let thread = next(3) as usize;
            match inside[thread].take() {
                None => {
                    inside[thread] = Some(now);
                    count += 1;
                    first.get_or_insert(now);
                    match thread {
                        0 => assert!(span.own_enter(foreign, Measured::ALL, || now)),
                        _ => span.begin_foreign_entry(foreign, now),
                    }
                }
                Some(since) => {
                    list.push((since, now, thread as u32));
                    match thread {
                        0 => assert!(span.own_exit(|| now)),
                        _ => drop(foreign.end(since, now, thread as u32)),
                    }
                }
            }
        }
        // All leave, so that the result does not depend on which entry goes on.
        for (thread, since) in inside.into_iter().enumerate() {
            let Some(since) = since else { continue };
            now += 1;
            list.push((since, now, thread as u32));
            match thread {
                0 => assert!(span.own_exit(|| now)),
                _ => drop(foreign.end(since, now, thread as u32)),
            }
        }
        let longest = list.iter().map(|(from, to, _)| to - from).max().unwrap_or(0);
        let seen = table.look(now + 7, |_| true)[0].entries;
        assert_eq!(seen, span.entries(foreign, now + 7), "round {round}");
        let said = (seen.count, seen.busy, seen.longest);
        let busy = list.iter().map(|(from, to, _)| to - from).sum::<u64>();
        assert_eq!(said, (count, busy, longest), "round {round}: {list:?}");
        if let Some(first) = first {
            let last = list.iter().map(|(_, to, _)| *to).max().unwrap();
            assert_eq!((seen.first, seen.last), (first, last), "round {round}: {list:?}");
            let of = |thread| if thread == 0 { 4 } else { thread };
            let held = |&(from, to, thread): &(u64, u64, u32)| {
                to - from == longest && of(thread) == seen.longest_thread
            };
            assert!(list.iter().any(held), "round {round}: {list:?} {seen:?}");
        }
    }
}

/// Values as they are recorded.
fn number(field: u64, n: u64) -> Vec<u64> {
    vec![3 << 8 | field, n]
}

fn text(field: u64, byte: u8, len: usize) -> Vec<u64> {
    let mut words = vec![(len as u64) << 32 | 9 << 8 | field];
    words.extend((0..len.div_ceil(8)).map(|word| {
        let tail = (len - 8 * word).min(8);
        u64::from_le_bytes([byte; 8]) & u64::MAX >> (8 * (8 - tail))
    }));
    words
}

/// The fields as a reader has them: the last value of each.
fn known(table: &OpenSpans) -> Vec<(usize, String)> {
    let seen = table.look(0, |_| true).remove(0);
    let mut known: Vec<(usize, String)> = Vec::new();
    for field in Fields::new(&seen.fields) {
        let value = match field.value {
            Value::Str(words, len) => {
                let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                assert!(bytes[len..].iter().all(|byte| *byte == 0), "{bytes:?}");
                let text = String::from_utf8_lossy(&bytes[..len]).into_owned();
                if field.is_cut() { format!("{text}...") } else { text }
            }
            Value::Missing => "missing".into(),
            value => format!("{value:?}"),
        };
        known.retain(|(index, _)| *index != field.index);
        known.push((field.index, value));
    }
    known
}

#[test]
fn small_and_late_values_find_room_behind_a_long_one() {
    let table = OpenSpans::new(64, 64);
    let position = table.insert(0, 1, ORIGIN, &new_span(10), &[]).unwrap();
    let record = |value: Vec<u64>| table.record_fields(position, 10, &value, 4);
    record(text(0, b'a', 4_000));
    record(text(1, b'b', 4_000));
    record(number(2, 7));
    record(text(3, b'd', 40));
    let known = known(&table);
    let cut = |known: &str, letter, least| {
        known.ends_with("...") && known.matches(letter).count() >= least
    };
    assert!(cut(&known[0].1, 'a', 200) && cut(&known[1].1, 'b', 40), "{known:?}");
    assert_eq!(known[2..], [(2, "I64(7)".into()), (3, "d".repeat(40))]);
    assert!(!table.span(position).has_left_out());
}

#[test]
fn fields_that_do_not_fit_are_named() {
    let table = OpenSpans::new(64, INLINE_WORDS);
    let position = table.insert(0, 1, ORIGIN, &new_span(10), &[]).unwrap();
    // As many fields as fit with one word promised to each, and values of three words.
    let fields = INLINE_WORDS as u64 / 2;
    let wide = |field| [6 << 8 | field, field, field];
    for field in 0..fields {
        table.record_fields(position, 10, &wide(field), fields as usize);
    }
    let all = known(&table);
    assert_eq!(all.len(), fields as usize, "{all:?}");
    assert!(all.iter().any(|(_, value)| value == "missing"), "{all:?}");
    assert!(!table.span(position).has_left_out());
    // Nothing was promised to a field that was not declared.
    for field in fields..3 * fields {
        table.record_fields(position, 10, &wide(field), fields as usize);
    }
    assert!(table.span(position).has_left_out());
    assert!(table.span(position).field_words() <= INLINE_WORDS);
}

#[test]
fn the_last_value_of_a_field_counts_whatever_its_length() {
    let table = OpenSpans::new(16, 64);
    let position = table.insert(0, 1, ORIGIN, &new_span(10), &[8 << 8]).unwrap();
    // Each length comes once in a hundred rounds.
    let rounds: u64 = if cfg!(miri) { 100 } else { 1000 };
    for n in 0..rounds {
        table.record_fields(position, 10, &number(0, n), 2);
        table.record_fields(position, 10, &number(0, n), 2);
    }
    assert_eq!(table.span(position).field_words(), 3, "overwritten in place");
    table.record_fields(position, 10, &[8 << 8 | 1 << 32], 2);
    assert_eq!(known(&table), [(0, "Bool(true)".into())]);
    for round in 0..rounds {
        let len = usize::try_from(round * 7 % 100).unwrap();
        table.record_fields(position, 10, &text(0, b'x', len), 2);
        assert_eq!(known(&table), [(0, "x".repeat(len))], "round {round}");
    }
    assert!(table.span(position).field_words() <= 32, "{}", table.span(position).field_words());
    table.record_fields(position, 10, &text(1, b'y', 80), 2);
    assert_eq!(known(&table)[1], (1, "y".repeat(80)));
}

/// An id that was kept for too long finds no other span.
#[test]
fn a_stale_id_changes_no_other_span() {
    let table = OpenSpans::new(1, 64);
    let long = text(0, b'o', 400);
    let position = table.insert(0, 1, ORIGIN, &new_span(10), &[]).unwrap();
    table.record_fields(position, 10, &long, 1);
    table.remove(position);
    // No span is there: neither a word nor a buffer is changed.
    table.record_fields(position, 10, &long, 1);
    table.record_fields(position, 10, &text(0, b'p', 400), 1);
    assert_eq!(table.span(position).extra(), 0);
    assert_eq!(table.insert(0, 1, ORIGIN, &new_span(11), &[]), Some(position));
    table.record_fields(position, 11, &text(0, b'n', 300), 1);
    table.record_fields(position, 10, &text(0, b'p', 300), 1);
    table.record_fields(position, 10, &long, 1);
    assert_eq!(known(&table), [(0, "n".repeat(300))]);
    assert!(!table.span(position).has_left_out());
}

#[test]
fn where_no_buffer_is_left_the_slot_is_shared_out() {
    let table = OpenSpans::new(1, 64);
    let long = text(0, b'o', 200);
    let positions: Vec<_> = (0..WAYS as u64)
        .map(|n| table.insert(0, 2 * n + 1, ORIGIN, &new_span(10 + n), &[]).unwrap())
        .collect();
    while table.spills.claim(1).is_some() {}
    table.record_fields(positions[0], 10, &long, 3);
    table.record_fields(positions[0], 10, &number(1, 5), 3);
    table.record_fields(positions[0], 10, &text(2, b'e', 8), 3);
    let known = known(&table);
    assert!(known[0].1.ends_with("o..."), "{known:?}");
    assert_eq!(known[1..], [(1, "I64(5)".into()), (2, "e".repeat(8))]);
    assert!(!table.span(positions[0]).has_left_out());
}

#[test]
fn entries_have_no_end() {
    for measured in [Measured::ALL, Measured { entries: false, ..Measured::ALL }] {
        let table = OpenSpans::new(16, 0);
        let position = table.insert(0, 1, ORIGIN, &new_span(10), &[]).unwrap();
        let (span, foreign) = (table.span(position), table.foreign(position));
        // Under Miri, each way of them.
        let most = if cfg!(miri) { 2 * LONG_COUNT } else { 200_000 };
        for n in 0..most {
            let head = span.head();
            let is_fast = n >= 2 && head as u32 & LONG == 0;
            if !is_fast || !span.begin_further_entry(head, || 10 * n + 5) {
                assert!(span.own_enter(foreign, measured, || 10 * n + 5));
            }
            let entries = span.entries(foreign, 10 * n + 5);
            assert_eq!((entries.count, entries.busy), (n + 1, n));
            // From entry 1,001 on the fast paths leave it alone, if entries are recorded.
            let is_long = span.head() as u32 & LONG != 0;
            assert_eq!(is_long, measured.entries && entries.count > LONG_COUNT);
            assert!(span.own_exit(|| 10 * n + 6));
        }
        let expected = Entries {
            count: most,
            busy: most,
            first: 5,
            last: 10 * most - 4,
            longest: 1,
            longest_thread: 4,
        };
        assert_eq!((span.entries(foreign, 1 << 40), span.owner()), (expected, 4));
        table.remove(position);
        let position = table.insert(0, 1, ORIGIN, &new_span(11), &[]).unwrap();
        assert_eq!(
            table.span(position).entries(table.foreign(position), 9),
            Entries { longest_thread: 4, ..Entries::default() }
        );
    }
}

#[test]
fn a_slot_waits_for_its_owner_to_leave() {
    let table = OpenSpans::new(1, 0);
    for (layer, waits) in [(0, true), (1, false)] {
        let position = table.insert(layer, 1, ORIGIN, &new_span(10), &[]).unwrap();
        let span = table.span(position);
        assert!(span.own_enter(table.foreign(position), Measured::ALL, || 8));
        table.close(position, 99);
        assert_eq!((span.is_closed(), table.count()), (waits, u64::from(waits)));
        assert_eq!((table.find(layer, 1).is_none(), table.look(9, |_| true).len()), (true, 0));
        table.remove(position);
        assert_eq!(table.count(), 0);
    }
    let position = table.insert(0, 1, ORIGIN, &new_span(10), &[]).unwrap();
    assert!(table.span(position).own_enter(table.foreign(position), Measured::ALL, || 8));
    table.close(position, 4);
    assert_eq!(table.count(), 0, "its own thread need not wait");
}

#[test]
fn an_exit_before_its_entry_takes_no_time() {
    let table = OpenSpans::new(16, 0);
    let position = table.insert(0, 1, ORIGIN, &new_span(10), &[]).unwrap();
    let span = table.span(position);
    let foreign = table.foreign(position);
    for entries in 1..=2 {
        assert!(span.own_enter(foreign, Measured::ALL, || 100) && span.own_exit(|| 97));
        let seen = span.entries(foreign, 200);
        assert_eq!((seen.count, seen.busy, seen.longest), (entries, 0, 0));
    }
}

#[test]
fn a_slot_is_given_back_as_it_was_found() {
    let table = OpenSpans::new(1, 64);
    let fields: Vec<u64> = (0..40).map(|index| 8 << 8 | index).collect();
    for layer in [0, 7] {
        let position = table.insert(layer, 1, ORIGIN, &new_span(10), &fields).unwrap();
        let span = table.span(position);
        let foreign = table.foreign(position);
        span.begin_foreign_entry(foreign, 5);
        foreign.end(5, 14, 8);
        span.set_failed();
        span.set_left_out();
        assert!(
            span.own_enter(table.foreign(position), Measured::ALL, || 8)
                && !span.own_enter(foreign, Measured::ALL, || 9)
        );
        assert_eq!(plain_words(span.extra(), INLINE_WORDS), None);
        table.remove(position);
        let again = table.insert(0, 1, ORIGIN, &new_span(11), &[]).unwrap();
        assert_eq!((again, span.extra()), (position, 0));
        let seen = span.entries(foreign, 99);
        assert_eq!((seen.count, seen.busy, span.has_owner_inside()), (0, 0, false));
        assert!(
            span.own_enter(foreign, Measured::ALL, || 8) && span.own_exit(|| 9),
            "it is inside once"
        );
        OpenSpans::remove_plain(span, 0);
    }
}

#[test]
fn spill_buffers_come_back() {
    let table = OpenSpans::new(16, 64);
    let fields: Vec<u64> = (0..40).map(|index| 8 << 8 | index).collect();
    for round in 0..if cfg!(miri) { 50 } else { 1000 } {
        let position = table.insert(0, round + 1, ORIGIN, &new_span(round + 1), &fields).unwrap();
        assert!(!table.span(position).has_left_out(), "round {round}");
        table.remove(position);
    }
}

#[test]
fn only_the_first_decides() {
    let table = OpenSpans::new(16, 0);
    let position = table.insert(0, 1, ORIGIN, &new_span(10), &[]).unwrap();
    assert!(table.try_claim_close(position, 10));
    assert!(!table.try_claim_close(position, 10));
}

#[test]
fn a_slot_that_is_given_up_is_free_again_and_shows_no_span() {
    let table = OpenSpans::new(8, 64);
    let (position, span) = table.claim_first(1).unwrap();
    assert!(table.claim_first(1).is_none());
    span.set_origin(ORIGIN);
    span.give_up();
    assert_eq!((table.count(), table.look(0, |_| true)), (0, vec![]));
    assert_eq!(table.insert(0, 1, ORIGIN, &new_span(10), &[]), Some(position));
}
