//! Records with arbitrary words and fields: see [`crate::fuzz`].

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[cfg(all(target_os = "linux", feature = "collected"))]
pub(crate) mod rings;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;
use spandrel_ring::{Consumer, Entry};
use spandrel_storage::{Batch, ErrorKind, RunInfo, Store, StoreOptions, Synchronous};
use tempfile::TempDir;
use tracing_core::LevelFilter;
use tracing_core::field::Visit;

use super::chunks::Chunks;
use super::convert::Converter;
use super::json::JsonWriter;
use super::keys::Keys;
use super::raw::RawBatch;
use crate::fuzz::site::{NAMES, SITE, SPAN_SITE};
use crate::fuzz::words::words;
use crate::recorder::clock::Timeline;
use crate::recorder::entry_rules::EntryRules;
use crate::recorder::field_buffer::FieldBuffer;
use crate::recorder::fields::{Fields, Value};
use crate::recorder::losses::PerKind;
use crate::recorder::record::{SLOT_WORDS, Slot};
use crate::recorder::rule::Rule;
use crate::recorder::{Recorder, RecorderOptions};
use crate::redact::{Address, REDACTED, Redaction, Secrecy, Urls};

/// Slots of the ring; inputs are shorter.
const SLOTS: usize = 2_048;

/// A recording whose ring is filled by hand.
struct Rig {
    recorder: Arc<Recorder>,
    consumer: Consumer<Slot>,
    chunks: Chunks,
    converter: Converter,
    store: Store,
    folder: TempDir,
}

impl Rig {
    fn new() -> Self {
        let (recorder, consumer) = Recorder::new(&RecorderOptions {
            ring_capacity: SLOTS,
            partitions: 1,
            open_spans_max: 64,
            field_bytes_max: 4_096,
            rule: Rule::new(LevelFilter::TRACE, LevelFilter::TRACE),
            busy_time: true,
            entries: EntryRules::default(),
            status_rules: true,
            first_id: 1,
        });
        recorder.callsites.add(SPAN_SITE.metadata()).unwrap();
        recorder.callsites.add(SITE.metadata()).unwrap();
        let timeline = Timeline::start(recorder.clock.clone());
        let converter = Converter::new(Arc::clone(&recorder), timeline, 64, Redaction::default());
        let memory = Path::new("/dev/shm");
        let folder = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap();
        let store = store(&folder.path().join("first.db"));
        Self { recorder, consumer, chunks: Chunks::new(usize::MAX), converter, store, folder }
    }

    /// Publishes records with lengths from the input, and drains some into each of two batches.
    fn through_the_ring(&mut self, input: &[u8]) -> (RawBatch, RawBatch, u64) {
        let (mut raw, mut next) = (RawBatch::default(), RawBatch::default());
        let mut published = 0;
        let mut rest = input;
        while let [len, after @ ..] = rest {
            // A few in eight are left to the next batch, and some are tombstones.
            let (slots, how) = (usize::from(len >> 4) + 1, len & 15);
            let bytes = after.len().min(slots * SLOT_WORDS * 8);
            let (record, after) = after.split_at(bytes);
            rest = after;
            let mut record = words(record);
            record.resize(slots * SLOT_WORDS, 0);
            let Ok(mut claim) = self.recorder.ring.try_claim(slots) else { break };
            for (at, slot) in record.as_chunks().0.iter().enumerate() {
                *claim.slot(at) = *slot;
            }
            if how == 15 {
                drop(claim);
            } else {
                claim.publish();
                published += 1;
            }
            if how == 14 {
                self.drain(&mut raw);
            }
        }
        self.drain(if raw.is_empty() { &mut raw } else { &mut next });
        (raw, next, published)
    }

    fn drain(&mut self, into: &mut RawBatch) {
        for partition in 0..self.consumer.partitions() {
            let push = |entry: Entry<'_, Slot>| into.push(entry, &mut self.chunks);
            self.consumer.drain(partition, usize::MAX, push);
        }
    }
}

fn store(path: &Path) -> Store {
    let options = StoreOptions { synchronous: Synchronous::Off, ..StoreOptions::default() };
    let mut store = Store::open(path, &options).unwrap();
    let info = RunInfo { args: "[]".into(), settings: "{}".into(), ..RunInfo::default() };
    store.begin_run(&info).unwrap();
    store
}

thread_local! {
    static RIG: RefCell<Rig> = RefCell::new(Rig::new());
}

/// Records with arbitrary words, through the ring and into rows; if the first byte is odd, into a file.
/// Each becomes one row or none, and the ledger counts the rows.
pub fn records(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    RIG.with_borrow_mut(|rig| {
        let (mut raw, mut next, published) = rig.through_the_ring(rest);
        assert_eq!((raw.len() + next.len()) as u64, published, "the ring lost none");
        rig.converter.count_late_children(&mut raw, &mut next, |_| {});
        for raw in [&raw, &next] {
            let mut batch = Batch::default();
            let (counts, spoiled) = raw.counts_apart(raw.piece(usize::MAX));
            assert_eq!(counts.iter().chain(&spoiled).sum::<u64>(), raw.len() as u64);
            rig.converter.convert(raw, raw.piece(usize::MAX), &mut rig.store, &mut batch, || {});
            let rows = rows(&batch);
            assert_eq!(rows, counts, "each that is counted is a row");
            check(&batch);
            if first % 2 == 1 {
                store_it(rig, &mut batch);
            }
        }
        [raw, next].iter_mut().for_each(|raw| raw.clear(&mut rig.chunks));
    });
}

/// How many rows there are of each kind.
fn rows(batch: &Batch) -> PerKind {
    let Batch { spans, events, links, entries, gauges, .. } = batch;
    [spans.len(), events.len(), links.len(), entries.len(), gauges.len()].map(|n| n as u64)
}

fn check(batch: &Batch) {
    for row in &batch.entries {
        assert!(row.start_ns >= 0 && row.duration_ns >= 0, "{row:?}");
    }
    for row in &batch.spans {
        let (duration, own) = (row.duration_ns.unwrap(), row.self_ns.unwrap());
        assert!(row.start_ns >= 0 && duration >= 0, "{row:?}");
        assert!((0..=duration).contains(&own), "{row:?}");
        assert!(row.busy_ns.unwrap() >= 0, "{row:?}");
        object(&batch.text[row.fields.clone()]);
    }
    for row in &batch.events {
        assert!(row.at_ns >= 0);
        assert!(batch.text.get(row.message.clone()).is_some());
        object(&batch.text[row.fields.clone()]);
    }
}

fn object(fields: &str) {
    let json = serde_json::from_str::<Json>(fields);
    assert!(fields.is_empty() || json.is_ok_and(|json| json.is_object()), "{fields}");
}

/// A store takes the batch, or says why not; then the file is unchanged.
fn store_it(rig: &mut Rig, batch: &mut Batch) {
    let path = rig.folder.path().join("p.db");
    let mut store = store(&path);
    rig.converter.begin_file(&mut store);
    // The ids of callsites and threads are from another file. SQLite does not check them.
    let before = rows(batch);
    let appended = store.append(batch).map(drop);
    if let Err(error) = appended {
        assert!(!matches!(error.kind(), ErrorKind::Corrupt), "{error}");
        assert_eq!(before, rows(batch));
    }
    store.close().unwrap();
    for file in std::fs::read_dir(rig.folder.path()).unwrap() {
        let file = file.unwrap();
        if file.file_name().to_string_lossy().starts_with("p.db") {
            std::fs::remove_file(file.path()).unwrap();
        }
    }
    rig.converter.begin_file(&mut rig.store);
}

/// The first byte says how much of the input is values of each type, which are recorded and read back;
/// the rest is words of fields, used as they are.
pub fn field_words(data: &[u8]) {
    let Some((&flags, rest)) = data.split_first() else { return };
    let keys = Keys::new(&NAMES, |_| Secrecy::None);
    let skip = [None, Some(0), Some(3), None][usize::from(flags) % 4];
    let any = words(rest);
    let (text, cut) = written(&keys, &any, flags & 4 != 0, skip);
    object(&text);
    assert!(text.len() <= 56 * any.len() + 2 * keys.bytes() + 256, "there is a bound");
    expect(&any, &text, cut, flags & 4 != 0, skip);

    // Few words, depending on the flags, so that some values have no room.
    let mut buffer = FieldBuffer::new(usize::from(flags >> 3) + 8);
    buffer.begin(NAMES.len());
    visit(&mut buffer, rest);
    let (text, cut) = written(&keys, buffer.words(), buffer.has_left_out(), skip);
    expect(buffer.words(), &text, cut, buffer.has_left_out(), skip);
}

fn written(keys: &Keys, words: &[u64], left_out: bool, skip: Option<usize>) -> (String, bool) {
    let mut writer = JsonWriter::default();
    writer.begin("{".into());
    let cut = writer.push_object(keys, words, left_out, skip);
    for field in Fields::new(words) {
        // What comes after it must not change it.
        writer.push_plain(field.value, Secrecy::None, field.is_cut());
    }
    let at = {
        let mut alone = JsonWriter::default();
        alone.push_object(keys, words, left_out, skip);
        alone.end().len()
    };
    (writer.end()[1..=at].to_owned(), cut)
}

/// Calls a visitor with values of all types.
fn visit(buffer: &mut FieldBuffer, bytes: &[u8]) {
    let fields = SITE.metadata().fields();
    let mut rest = bytes;
    while let [how, after @ ..] = rest {
        let field = fields.iter().nth(usize::from(how >> 4) % NAMES.len()).unwrap();
        let value = words(&after[..after.len().min(16)]);
        let low = value.first().copied().unwrap_or(0);
        let wide = u128::from(value.get(1).copied().unwrap_or(0)) << 64 | u128::from(low);
        let len = (low as usize & 0xFF).min(after.len());
        match how & 15 {
            0 => buffer.record_i64(&field, low as i64),
            1 => buffer.record_u64(&field, low),
            2 => buffer.record_i128(&field, wide as i128),
            3 => buffer.record_u128(&field, wide),
            4 => buffer.record_f64(&field, f64::from_bits(low)),
            5 => buffer.record_bool(&field, low & 1 == 1),
            6 => buffer.record_bytes(&field, &after[..len]),
            7 => buffer.record_debug(&field, &String::from_utf8_lossy(&after[..len])),
            8 => buffer.record_i64(&field, (low as i64) >> 40),
            _ => buffer.record_str(&field, &String::from_utf8_lossy(&after[..len])),
        }
        rest = after.get(if how & 15 < 6 { 8 } else { len }..).unwrap_or_default();
    }
}

/// An expected field: its value unless it is missing; whether it was cut, and how long it was; its
/// index.
type Expected = (Option<Json>, Option<Json>, usize);

/// Compares the JSON with the fields, read in another way.
fn expect(words: &[u64], text: &str, cut: bool, left_out: bool, skip: Option<usize>) {
    let mut values: BTreeMap<String, Expected> = BTreeMap::new();
    for field in Fields::new(words) {
        let name = NAMES.get(field.index).copied().unwrap_or("?");
        let first = NAMES.iter().position(|other| *other == name).unwrap_or(usize::MAX);
        let is_missing = field.value == Value::Missing;
        let at = Address::of(name);
        let value = if is_missing { None } else { Some(json_of(field.value, at, field.is_cut())) };
        // Bytes that are no text.
        let Some(value) = value.map_or(Some(None), |value| value.map(Some)) else { return };
        let said = field.original.map(Json::from).or(is_missing.then_some(Json::Null));
        values.insert(name.to_owned(), (value, said, first));
    }
    let read: Json = if text.is_empty() { Json::Null } else { serde_json::from_str(text).unwrap() };
    let is_cut = left_out || values.values().any(|(_, said, _)| said.is_some());
    assert_eq!(cut, is_cut);
    let mut members = 0;
    for (name, (value, said, first)) in &values {
        if let Some(value) = value.as_ref().filter(|_| skip != Some(*first)) {
            // Floats up to the last digit but one: serde_json gets the last one wrong. Elsewhere they
            // are tested exactly.
            let same = match (read.get(name).and_then(Json::as_f64), value.as_f64()) {
                (Some(a), Some(b)) => (a - b).abs() <= b.abs() * 1e-15 || a == b,
                _ => read.get(name) == Some(value),
            };
            assert!(same, "{text}");
            members += 1;
        }
        let told = read.get("$truncated").and_then(|cut| cut.get(name));
        assert_eq!(told, said.as_ref(), "{text}");
    }
    let all = read.as_object().map_or(0, serde_json::Map::len);
    assert_eq!(all, members + usize::from(is_cut), "{text}");
    let told = read.get("$truncated").is_some_and(|cut| cut.get("*").is_some());
    assert_eq!(told, left_out);
}

/// `None` for bytes that are no text.
fn json_of(value: Value<'_>, at: Address, is_cut: bool) -> Option<Json> {
    let without_secrets =
        |bytes: &[u8]| Urls::default().redacted(&String::from_utf8_lossy(bytes), at, is_cut);
    let bytes = |words: &[u64], len: usize| -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).take(len).collect()
    };
    Some(match value {
        Value::I64(n) => n.into(),
        Value::U64(n) => n.into(),
        Value::I128(n) => serde_json::from_str(&n.to_string()).unwrap(),
        Value::U128(n) => serde_json::from_str(&n.to_string()).unwrap(),
        Value::F64(x) if x.is_finite() => x.into(),
        Value::F64(x) => x.to_string().into(),
        Value::Bool(value) => value.into(),
        Value::Missing => Json::Null,
        Value::Str(words, len) => {
            let text = String::from_utf8(bytes(words, len)).ok()?;
            without_secrets(text.as_bytes()).unwrap_or(text).into()
        }
        Value::Bytes(words, len) if without_secrets(&bytes(words, len)).is_some() => {
            REDACTED.into()
        }
        Value::Bytes(words, len) => {
            let hex: String = bytes(words, len).iter().map(|byte| format!("{byte:02x}")).collect();
            hex.into()
        }
    })
}
