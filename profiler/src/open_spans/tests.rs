//! The table and its places.

use super::*;
use crate::record;

fn new_span(id: u64) -> NewSpan {
    NewSpan { thread: 4, id, root: 6, start: 7 }
}

const ORIGIN: u64 = record::id_and(5, 3);

#[test]
fn a_table_takes_at_least_what_it_was_made_for() {
    // Ids as the registry makes them: several shards, and generations that differ. (Miri goes
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
    let places: Vec<_> =
        (0..100).map(|n| table.insert(0, n * 2 + 1, ORIGIN, &new_span(n), &[])).collect();
    assert_eq!(places.iter().flatten().count(), WAYS, "one set in all");
    let first = places[0].unwrap();
    table.remove(first);
    assert!(table.insert(0, 1001, ORIGIN, &new_span(1001), &[]).is_some());
}

#[test]
fn layers_do_not_see_each_others_spans() {
    let table = OpenSpans::new(64, 0);
    let places = [0, 1, 2].map(|layer| table.insert(layer, 9, ORIGIN, &new_span(100), &[]));
    let find = |layer| table.find(layer, 9).map(|(place, _)| place);
    assert_eq!([0, 1, 2].map(find), places);
    assert!(places.iter().all(Option::is_some));
    table.remove(places[1].unwrap());
    assert_eq!([0, 1, 2].map(find), [places[0], None, places[2]]);
    table.remove(places[0].unwrap());
    table.remove(places[2].unwrap());
    assert_eq!([0, 1, 2].map(find), [None; 3]);
    let again = table.insert(0, 9, ORIGIN, &new_span(300), &[]);
    assert_eq!([0, 1, 2].map(find), [again, None, None], "a place forgets its layer");
}

#[test]
fn what_is_open_can_be_seen_with_all_its_fields() {
    let table = OpenSpans::new(64, 64);
    // Booleans: one word a field.
    let fields: Vec<u64> = (0..40).map(|index| 8 << 8 | index).collect();
    let place = table.insert(0, 1, ORIGIN, &new_span(10), &fields[..5]).unwrap();
    table.append_fields(table.span(place), &fields[5..]);
    let span = table.span(place);
    assert!(span.own_enter(|| 10) && !span.own_enter(|| 11));
    assert!(span.has_owner_inside() && !span.own_exit(|| 12) && span.own_exit(|| 13));
    assert!(!span.has_owner_inside() && span.own_exit(|| 14), "it was outside");
    span.begin_foreign_poll();
    span.end_foreign_poll(4);
    table.span(place).set_failed();
    let seen = table.look(20, |_| true);
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].id, seen[0].busy, seen[0].polls), (10, 7, 2));
    assert!(seen[0].failed && !seen[0].left_out);
    assert_eq!(seen[0].fields, fields);
    let span = table.span(place);
    let copied: Vec<_> = (0..40).step_by(7).flat_map(|at| table.fields_at(span, at)).collect();
    assert_eq!(copied[..40], fields);
    assert!(table.look(0, |start| start < 7).is_empty());
    assert!(span.own_enter(|| 20));
    let seen = table.look(25, |_| true);
    assert_eq!((seen[0].busy, seen[0].polls), (12, 3), "with the entry that goes on");
    let seen = table.look(19, |_| true);
    assert_eq!(seen[0].busy, 6, "an entry later than the look is none");
}

#[test]
fn fields_that_do_not_fit_are_left_out_whole_and_marked() {
    let table = OpenSpans::new(64, INLINE_WORDS);
    let place = table.insert(0, 1, ORIGIN, &new_span(10), &[]).unwrap();
    let wide = [3 << 8, 42]; // an i64 of two words
    for _ in 0..INLINE_WORDS {
        table.append_fields(table.span(place), &wide);
    }
    assert_eq!(table.span(place).field_words(), INLINE_WORDS / 2 * 2, "whole fields only");
    assert!(table.span(place).has_left_out());
    for _ in 0..2 {
        table.append_fields(table.span(place), &[8 << 8]);
    }
    assert_eq!(table.span(place).field_words(), INLINE_WORDS);
}

#[test]
fn the_last_value_of_a_field_counts_whatever_its_length() {
    let table = OpenSpans::new(16, 64);
    let place = table.insert(0, 1, ORIGIN, &new_span(10), &[8 << 8]).unwrap();
    let wide = [3 << 8, 42];
    for _ in 0..1000 {
        table.record_fields(place, &wide);
        table.record_fields(place, &wide);
    }
    assert_eq!(table.span(place).field_words(), 3, "overwritten in place");
    table.record_fields(place, &[8 << 8 | 1 << 32]);
    let seen = table.look(0, |_| true);
    assert_eq!(seen[0].fields.last(), Some(&(8 << 8 | 1 << 32)), "behind the other length");
}

#[test]
fn polls_have_no_end() {
    let table = OpenSpans::new(16, 0);
    let place = table.insert(0, 1, ORIGIN, &new_span(10), &[]).unwrap();
    let span = table.span(place);
    let polls = if cfg!(miri) { 40_000 } else { 200_000 };
    for n in 0..polls {
        if !span.begin_own_poll(span.head(), 2 * n) {
            assert!(span.own_enter(|| 2 * n));
        }
        assert_eq!(span.polls(), n + 1);
        assert!(span.own_exit(|| 2 * n + 1));
    }
    assert_eq!((span.busy(1 << 40), span.owner()), (polls, 4));
    table.remove(place);
    let place = table.insert(0, 1, ORIGIN, &new_span(11), &[]).unwrap();
    assert_eq!(table.span(place).polls(), 0);
}

#[test]
fn a_place_waits_for_its_owner_to_leave() {
    let table = OpenSpans::new(1, 0);
    for (layer, waits) in [(0, true), (1, false)] {
        let place = table.insert(layer, 1, ORIGIN, &new_span(10), &[]).unwrap();
        let span = table.span(place);
        assert!(span.own_enter(|| 8));
        table.close(place, 99);
        assert_eq!((span.is_closed(), table.count()), (waits, u64::from(waits)));
        assert_eq!((table.find(layer, 1).is_none(), table.look(9, |_| true).len()), (true, 0));
        table.remove(place);
        assert_eq!(table.count(), 0);
    }
    let place = table.insert(0, 1, ORIGIN, &new_span(10), &[]).unwrap();
    assert!(table.span(place).own_enter(|| 8));
    table.close(place, 4);
    assert_eq!(table.count(), 0, "its own thread need not wait");
}

#[test]
fn an_exit_before_its_entry_takes_no_time() {
    let table = OpenSpans::new(16, 0);
    let place = table.insert(0, 1, ORIGIN, &new_span(10), &[]).unwrap();
    let span = table.span(place);
    assert!(span.own_enter(|| 100) && span.own_exit(|| 97));
    assert_eq!(span.busy(200), 0);
}

#[test]
fn a_place_is_given_back_as_it_was_found() {
    let table = OpenSpans::new(1, 64);
    let fields: Vec<u64> = (0..40).map(|index| 8 << 8 | index).collect();
    for layer in [0, 7] {
        let place = table.insert(layer, 1, ORIGIN, &new_span(10), &fields).unwrap();
        let span = table.span(place);
        span.begin_foreign_poll();
        span.end_foreign_poll(9);
        span.set_failed();
        span.set_left_out();
        assert!(span.own_enter(|| 8) && !span.own_enter(|| 9));
        assert_eq!(plain_words(span.extra(), INLINE_WORDS), None);
        table.remove(place);
        let again = table.insert(0, 1, ORIGIN, &new_span(11), &[]).unwrap();
        assert_eq!((again, span.extra()), (place, 0));
        assert_eq!((span.polls(), span.busy(99), span.has_owner_inside()), (0, 0, false));
        assert!(span.own_enter(|| 8) && span.own_exit(|| 9), "it is inside once");
        OpenSpans::remove_plain(span, 0);
    }
}

#[test]
fn spill_buffers_come_back() {
    let table = OpenSpans::new(16, 64);
    let fields: Vec<u64> = (0..40).map(|index| 8 << 8 | index).collect();
    for round in 0..if cfg!(miri) { 50 } else { 1000 } {
        let place = table.insert(0, round + 1, ORIGIN, &new_span(round + 1), &fields).unwrap();
        assert!(!table.span(place).has_left_out(), "round {round}");
        table.remove(place);
    }
}

#[test]
fn only_the_first_decides() {
    let table = OpenSpans::new(16, 0);
    let place = table.insert(0, 1, ORIGIN, &new_span(10), &[]).unwrap();
    assert!(table.decide_fate(place, 10));
    assert!(!table.decide_fate(place, 10));
}
