//! What a recording has lost stands in each request of OTLP: spans, events and entries.

use std::collections::BTreeMap;

use serde_json::Value;
use spandrel_export::{Format, OtlpEncoding, Settings, Source, otlp_requests};
use spandrel_query::Reader;
use spandrel_storage::{Batch, LossRow, StoreOptions};

use crate::common;

/// The bodies of the requests for a span, of a run that has lost 3 spans, 500 events and 70,000 entries.
fn bodies(encoding: OtlpEncoding) -> Vec<Vec<u8>> {
    let (_folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    let callsite = store.intern_callsite(&common::callsite("work"));
    let thread = store.intern_thread(1, 1, None);
    let loss = LossRow {
        reason: "ring_full",
        from_ns: 0,
        to_ns: 1,
        spans: 3,
        events: 500,
        entries: 70_000,
        thread_id: None,
    };
    let spans = vec![common::span(1, callsite, thread)];
    store.append(&mut Batch { spans, losses: vec![loss], ..Batch::default() }).unwrap();
    store.end_run(1_700_000_009_000_000_000, "{}").unwrap();
    store.close().unwrap();
    let reader = Reader::open(&path).unwrap();
    let run = reader.run(1).unwrap().unwrap();
    let mut bodies = Vec::new();
    let settings = Settings::new(Format::OtlpJson);
    otlp_requests(&mut Source::new(&reader, &run), &settings, encoding, &mut |request| {
        bodies.push(request.body);
        Ok(())
    })
    .unwrap();
    bodies
}

fn expected() -> BTreeMap<String, u64> {
    let lost = [("dropped_spans", 3), ("dropped_events", 500), ("dropped_entries", 70_000)];
    let all = lost.into_iter().chain([("pruned_spans", 0)]);
    all.map(|(name, lost)| (format!("spandrel.run.{name}"), lost)).collect()
}

#[test]
fn requests_as_json_say_how_many_entries_were_lost() {
    for body in bodies(OtlpEncoding::Json) {
        let request: Value = serde_json::from_slice(&body).unwrap();
        let attributes = request["resourceSpans"][0]["resource"]["attributes"].as_array().unwrap();
        let integers = attributes.iter().filter_map(|attribute| {
            let value = attribute["value"]["intValue"].as_str()?;
            Some((attribute["key"].as_str()?.to_owned(), value.parse().unwrap()))
        });
        let of_run = |(name, _): &(String, u64)| name.starts_with("spandrel.run.");
        assert_eq!(integers.filter(of_run).collect::<BTreeMap<_, _>>(), expected());
    }
}

/// The fields of a message: the number, and the value or the bytes of each.
fn fields(mut message: &[u8]) -> Vec<(u64, u64, &[u8])> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let (value, bytes) = match key & 7 {
            0 => (varint(&mut message), &message[..0]),
            1 => (0, message.split_off(..8).unwrap()),
            2 => {
                let length = varint(&mut message) as usize;
                (0, message.split_off(..length).unwrap())
            }
            other => panic!("wire type {other}"),
        };
        found.push((key >> 3, value, bytes));
    }
    found
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for at in 0.. {
        let byte = *bytes.split_off_first().unwrap();
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// The bytes of all fields of a number.
fn inside(message: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    fields(message).into_iter().filter(move |field| field.0 == number).map(|field| field.2)
}

#[test]
fn requests_as_protocol_buffers_say_how_many_entries_were_lost() {
    for body in bodies(OtlpEncoding::Protobuf) {
        let mut of_run = BTreeMap::new();
        // resource_spans, resource, attributes; then key and value, of which the third field is the integer.
        let resources = inside(&body, 1).flat_map(|spans| inside(spans, 1));
        for attribute in resources.flat_map(|resource| inside(resource, 1)) {
            let key = String::from_utf8(inside(attribute, 1).next().unwrap().to_vec()).unwrap();
            let value = inside(attribute, 2).next().unwrap();
            let integer = fields(value).into_iter().find(|(number, ..)| *number == 3);
            let integer = integer.map(|(_, value, _)| value);
            of_run.extend(integer.filter(|_| key.starts_with("spandrel.run.")).map(|it| (key, it)));
        }
        assert_eq!(of_run, expected());
    }
}
