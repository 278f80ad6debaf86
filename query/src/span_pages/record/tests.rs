//! Records as the file format describes them, and whatever else bytes can be.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Seven bits a byte, one after the other.
fn plain_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(9) {
        if at == 8 {
            return Some((value << 8 | u64::from(*byte), 9));
        }
        value = value << 7 | u64::from(byte & 0x7F);
        if *byte < 0x80 {
            return Some((value, at + 1));
        }
    }
    None
}

fn put_varint(into: &mut Vec<u8>, value: u64) {
    if value >> 56 != 0 {
        into.extend((0..8).rev().map(|n| (value >> (8 + 7 * n)) as u8 | 0x80));
        into.push(value as u8);
        return;
    }
    let sevens = (1..=8).find(|n| value >> (7 * n) == 0).unwrap();
    for n in (0..sevens).rev() {
        let more = if n > 0 { 0x80 } else { 0 };
        into.push((value >> (7 * n)) as u8 & 0x7F | more);
    }
}

/// What a column holds.
#[derive(Debug, Clone)]
enum Held {
    Null,
    /// In so many bytes, which may be more than it needs.
    Integer(i64, u8),
    Text(Vec<u8>),
}

fn held() -> impl Strategy<Value = Held> {
    let integer = (any::<i64>(), 0_u8..6).prop_map(|(value, length)| {
        let bits = [8, 16, 24, 32, 48, 64][usize::from(length)];
        Held::Integer(value >> (64 - bits), length)
    });
    prop_oneof![
        1 => Just(Held::Null),
        1 => any::<bool>().prop_map(|one| Held::Integer(one.into(), u8::MAX)),
        4 => integer,
    ]
}

fn record_of(columns: &[Held]) -> Vec<u8> {
    let (mut types, mut body) = (Vec::new(), Vec::new());
    for column in columns {
        match column {
            Held::Null => put_varint(&mut types, 0),
            Held::Integer(value, u8::MAX) => put_varint(&mut types, 8 + *value as u64),
            Held::Integer(value, length) => {
                put_varint(&mut types, 1 + u64::from(*length));
                let bytes = [1, 2, 3, 4, 6, 8][usize::from(*length)];
                body.extend_from_slice(&value.to_be_bytes()[8 - bytes..]);
            }
            Held::Text(text) => {
                put_varint(&mut types, 13 + 2 * text.len() as u64);
                body.extend_from_slice(text);
            }
        }
    }
    let mut record = Vec::new();
    // The length of the header counts itself.
    let length = if types.len() < 127 { types.len() + 1 } else { types.len() + 2 };
    put_varint(&mut record, length as u64);
    record.extend(types);
    record.extend(body);
    record
}

/// A row of the first run, and its fields; `None`: malformed. The fast and the general way give the same.
fn row_of<'a>(id: i64, record: Record<'a>, columns: Columns) -> Option<(RawSpan, Option<&'a str>)> {
    let wanted = PageQuery { run_id: 1, columns, callsites: None, parents: None };
    // Something that none of them leaves there.
    let before =
        RawSpan { id: -1, first_entry_ns: Some(-1), self_ns: Some(-2), ..RawSpan::default() };
    let [mut span, mut by_any] = [before; 2];
    let found = read(id, record, &wanted, &mut span);
    let of_any = read_any(id, record, &wanted, &mut by_any).unwrap_or(Read::Fallback);
    assert_eq!(found, of_any);
    match found {
        Read::Row(fields) => {
            assert_eq!(in_order(&span), in_order(&by_any));
            assert_eq!((span.id, span.status), (by_any.id, by_any.status));
            Some((span, fields))
        }
        Read::PassedOver => {
            // Of another run, whatever it is.
            Some((RawSpan { id: i64::MIN, ..RawSpan::default() }, None))
        }
        Read::Fallback => None,
    }
}

fn in_order(span: &RawSpan) -> [Option<i64>; 14] {
    [
        span.parent_id,
        Some(span.root_id),
        Some(span.callsite_id),
        Some(span.thread_id),
        Some(span.start_ns),
        span.duration_ns,
        span.busy_ns,
        span.self_ns,
        Some(span.entries),
        span.first_entry_ns,
        span.longest_entry_ns,
        span.last_exit_ns,
        span.longest_thread_id,
        span.self_busy_ns,
    ]
}

/// Columns that are never NULL in a row that is ours, of those of [`in_order`].
const NEVER_NULL: [usize; 5] = [1, 2, 3, 4, 8];

fn all_columns(numbers: &[Held], text: &[u8]) -> Vec<Held> {
    let mut columns = vec![Held::Null, Held::Integer(1, u8::MAX)];
    columns.extend_from_slice(&numbers[..9]);
    columns.extend([Held::Text(b"ok".to_vec()), Held::Text(text.to_vec())]);
    columns.extend_from_slice(&numbers[9..]);
    columns
}

proptest! {
    #[test]
    fn a_varint_is_read_as_byte_by_byte(bytes in vec(any::<u8>(), 0..14), high in 0_usize..10) {
        let mut bytes = bytes;
        bytes.iter_mut().take(high).for_each(|byte| *byte |= 0x80);
        let mut rest = bytes.as_slice();
        let found = take_varint(&mut rest);
        prop_assert_eq!(found.map(|value| (value, bytes.len() - rest.len())), plain_varint(&bytes));
    }

    #[test]
    fn a_varint_that_was_written_is_read(shift in 0_u32..64, value in any::<u64>()) {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, value >> shift);
        for more in 0..10 {
            bytes.push(0xFF);
            let mut rest = bytes.as_slice();
            prop_assert_eq!(take_varint(&mut rest), Some(value >> shift));
            prop_assert_eq!(rest.len(), more + 1);
        }
    }

    #[test]
    fn values_are_those_that_were_written(
        numbers in vec(held(), 14),
        text in vec(b' '..b'~', 0..300),
        behind in prop_oneof![vec(any::<u8>(), 0..12), vec(any::<u8>(), 250..300)],
    ) {
        let record = record_of(&all_columns(&numbers, &text));
        let expected: Vec<_> = numbers.iter().map(|held| match held {
            Held::Integer(value, _) => Some(*value),
            _ => None,
        }).collect();
        let is_ours = NEVER_NULL.iter().all(|at| expected[*at].is_some());
        let length = record.len();
        let mut bytes = record;
        bytes.extend(behind);
        for columns in [Columns::Numbers, Columns::Entries, Columns::All] {
            let record = Record::at_start_of(&bytes, length).unwrap();
            let read = row_of(7, record, columns);
            prop_assert_eq!(read.is_some(), is_ours);
            let Some((span, fields)) = read else { continue };
            let known = if columns == Columns::Numbers { 9 } else { 14 };
            prop_assert_eq!(&in_order(&span)[..known], &expected[..known]);
            prop_assert!(in_order(&span)[known..].iter().all(Option::is_none));
            let text = (columns == Columns::All).then_some(text.as_slice());
            prop_assert_eq!((span.id, fields.map(str::as_bytes)), (7, text));
        }
    }

    /// Nothing is read from behind the record, and a column that the row is too old for is NULL.
    #[test]
    fn a_record_that_is_cut_is_malformed(
        numbers in vec(held(), 14),
        text in vec(b' '..b'~', 0..40),
        cut in any::<prop::sample::Index>(),
        columns in 0_usize..19,
        behind in 0_usize..400,
    ) {
        let numbers: Vec<_> = numbers.into_iter().map(|held| match held {
            Held::Null => Held::Integer(300, 1),
            held => held,
        }).collect();
        let whole = all_columns(&numbers, &text);
        let record = record_of(&whole);
        let length = cut.index(record.len());
        let mut padded = record.clone();
        padded.resize(record.len() + BEHIND, 0);
        for bytes in [&record, &record[..length], &padded] {
            let cut_short = Record::at_start_of(bytes, length).unwrap();
            prop_assert!(row_of(7, cut_short, Columns::All).is_none());
        }
        let mut older = record_of(&whole[..columns]);
        let length = older.len();
        older.resize(length + behind, 0xAB);
        let older = Record::at_start_of(&older, length).unwrap();
        let found = row_of(7, older, Columns::All);
        // Up to the status each row has all.
        prop_assert_eq!(found.is_some(), columns >= 12);
        if let Some((span, fields)) = found {
            let known = 9 + columns.saturating_sub(13);
            prop_assert!(in_order(&span)[..known].iter().all(Option::is_some));
            prop_assert!(in_order(&span)[known..].iter().all(Option::is_none));
            prop_assert_eq!(fields.is_some(), columns > 12);
        }
    }

    /// Whatever the bytes are, there is an answer, and what follows them says nothing.
    #[test]
    fn bytes_that_are_no_record_are_odd_or_read(
        mut bytes in vec(any::<u8>(), 0..80),
        header in prop_oneof![Just(None), (10_u8..35).prop_map(Some)],
        types in vec(0_u8..20, 40),
        behind in any::<u8>(),
    ) {
        // Most random bytes would be no header.
        if let Some(header) = header {
            types.iter().zip(&mut bytes).for_each(|(kind, byte)| *byte = *kind);
            bytes.iter_mut().take(1).for_each(|byte| *byte = header);
            bytes.iter_mut().skip(1).take(1).for_each(|byte| *byte = 0);
            bytes.iter_mut().skip(12).take(1).for_each(|byte| *byte = 17);
        }
        let length = bytes.len();
        let mut padded = bytes.clone();
        padded.resize(length + BEHIND, behind);
        for columns in [Columns::Numbers, Columns::Entries, Columns::All] {
            let [one, other] = [&bytes, &padded].map(|bytes| {
                let record = Record::at_start_of(bytes, length).unwrap();
                row_of(1, record, columns).map(|(span, fields)| (in_order(&span), fields))
            });
            prop_assert_eq!(one, other);
        }
        prop_assert!(Record::at_start_of(&bytes, length + 1).is_none());
    }
}

#[test]
fn other_types_are_malformed() {
    let numbers = vec![Held::Integer(300, 1); 14];
    let good = record_of(&all_columns(&numbers, b"{}"));
    let is_read = |bytes: &[u8]| {
        let mut padded = bytes.to_vec();
        padded.resize(bytes.len() + BEHIND, 0);
        let [one, other] = [bytes, &padded].map(|all| {
            row_of(7, Record::at_start_of(all, bytes.len()).unwrap(), Columns::All).is_some()
        });
        assert_eq!(one, other);
        one
    };
    assert!(is_read(&good));
    // A float, those that SQLite keeps for itself, blobs; of a number in the middle, which has two bytes.
    for kind in [7, 10, 11, 12, 14, 16, 126, 127] {
        let mut bytes = good.clone();
        bytes[6] = kind;
        assert!(!is_read(&bytes), "{kind}");
    }
    // A header that is shorter than its own length, one that ends in a type, one longer than the record.
    for header in [0, 200, 127] {
        let mut bytes = good.clone();
        bytes[0] = header;
        assert!(!is_read(&bytes), "{header}");
    }
    // A text whose length no record has.
    let mut types = vec![0];
    put_varint(&mut types, u64::MAX);
    let mut bytes = good.clone();
    bytes.splice(13..14, types[1..].iter().copied());
    bytes[0] += types.len() as u8 - 2;
    assert!(!is_read(&bytes));
}
