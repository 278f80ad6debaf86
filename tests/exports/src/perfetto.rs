//! Perfetto's packets, read with its published definitions, as its importer reads them: interned strings
//! hold for their sequence, events are sorted by time, and a track is a stack of slices. What the importer
//! would count as an error of the trace fails here.

use std::collections::{BTreeMap, HashMap};

use perfetto_protos::debug_annotation::{DebugAnnotation, debug_annotation};
use perfetto_protos::interned_data::InternedData;
use perfetto_protos::trace::Trace;
use perfetto_protos::trace_packet::{TracePacket, trace_packet};
use perfetto_protos::track_descriptor::{TrackDescriptor, track_descriptor};
use perfetto_protos::track_event::{TrackEvent, track_event};
use protobuf::reflect::{ReflectFieldRef, ReflectValueRef};
use protobuf::{Message, MessageDyn};
use serde_json::Value;

/// A row in which events are drawn.
#[derive(Debug, Clone)]
pub struct Track {
    pub parent: Option<u64>,
    pub name: String,
    /// The process and the number of a thread, for those that are one.
    pub thread: Option<(i32, i64)>,
    pub is_process: bool,
    pub is_counter: bool,
}

/// A track event, with its strings.
#[derive(Debug, Clone)]
pub struct Event {
    pub at_ns: u64,
    pub track: u64,
    pub kind: track_event::Type,
    pub name: Option<String>,
    pub categories: Vec<String>,
    pub source: Option<(String, u32)>,
    pub annotations: Vec<(String, Value)>,
    pub flows: Vec<u64>,
    pub ending_flows: Vec<u64>,
    pub value: Option<i64>,
}

/// A slice, and the one that it lies in.
#[derive(Debug)]
pub struct Slice {
    pub begin: Event,
    pub end: Option<Event>,
    pub outer: Option<usize>,
}

/// What an importer knows at the end.
#[derive(Debug, Default)]
pub struct Import {
    pub tracks: BTreeMap<u64, Track>,
    pub slices: Vec<Slice>,
    pub instants: Vec<Event>,
    pub counters: Vec<Event>,
    /// What the clocks said at one moment: their numbers, and nanoseconds.
    pub clocks: Vec<(u32, u64)>,
}

/// The strings of a sequence, by their numbers.
#[derive(Debug, Default)]
struct Strings {
    names: HashMap<u64, String>,
    categories: HashMap<u64, String>,
    keys: HashMap<u64, String>,
    sources: HashMap<u64, (String, u32)>,
}

/// Reads a trace.
pub fn import(bytes: &[u8]) -> Import {
    let trace = Trace::parse_from_bytes(bytes).unwrap();
    nothing_unknown(&trace);
    let mut import = Import::default();
    let mut sequences: HashMap<u32, Strings> = HashMap::new();
    let mut events: Vec<Event> =
        trace.packet.iter().filter_map(|packet| import.packet(packet, &mut sequences)).collect();
    events.sort_by_key(|event| event.at_ns);
    let mut stacks: HashMap<u64, Vec<usize>> = HashMap::new();
    for event in events {
        import.event(event, &mut stacks);
    }
    import
}

/// Every field of every message is one of the definitions, and of its type.
fn nothing_unknown(message: &dyn MessageDyn) {
    let descriptor = message.descriptor_dyn();
    let unknown = message.special_fields_dyn().unknown_fields().iter().next();
    assert!(
        unknown.is_none(),
        "{} has a field that is not its own: {unknown:?}",
        descriptor.name()
    );
    for field in descriptor.fields() {
        let values: Vec<ReflectValueRef<'_>> = match field.get_reflect(message) {
            ReflectFieldRef::Optional(value) => value.value().into_iter().collect(),
            ReflectFieldRef::Repeated(values) => values.into_iter().collect(),
            ReflectFieldRef::Map(_) => panic!("{} is a map", field.name()),
        };
        for value in values {
            if let ReflectValueRef::Message(inner) = value {
                nothing_unknown(&*inner);
            }
        }
    }
}

impl Import {
    /// The event of a packet, if it has one.
    fn packet(
        &mut self,
        packet: &TracePacket,
        sequences: &mut HashMap<u32, Strings>,
    ) -> Option<Event> {
        let flags = packet.sequence_flags();
        let sequence = packet.trusted_packet_sequence_id();
        assert_ne!(sequence, 0, "a packet without a sequence");
        if flags & trace_packet::SequenceFlags::SEQ_INCREMENTAL_STATE_CLEARED as u32 != 0 {
            sequences.insert(sequence, Strings::default());
        }
        if let Some(trace_packet::Data::TrackDescriptor(descriptor)) = &packet.data {
            self.track(descriptor);
            return None;
        }
        if let Some(trace_packet::Data::ClockSnapshot(snapshot)) = &packet.data {
            let clocks = snapshot.clocks.iter();
            self.clocks.extend(clocks.map(|clock| (clock.clock_id(), clock.timestamp())));
            return None;
        }
        let needs_state = trace_packet::SequenceFlags::SEQ_NEEDS_INCREMENTAL_STATE as u32;
        assert_ne!(flags & needs_state, 0, "an importer may take it for a whole of its own");
        let strings = sequences.get_mut(&sequence).expect("the state of the sequence never began");
        if let Some(interned) = packet.interned_data.as_ref() {
            strings.learn(interned);
        }
        let Some(trace_packet::Data::TrackEvent(event)) = &packet.data else { return None };
        let at_ns = packet.timestamp.expect("an event has a time");
        Some(strings.event(at_ns, event))
    }

    fn track(&mut self, descriptor: &TrackDescriptor) {
        let name = match &descriptor.static_or_dynamic_name {
            Some(track_descriptor::Static_or_dynamic_name::Name(name)) => name.clone(),
            Some(other) => panic!("{other:?}"),
            None if descriptor.thread.is_some() => descriptor.thread.thread_name().to_owned(),
            None => descriptor.process.process_name().to_owned(),
        };
        if let Some(parent) = descriptor.parent_uuid {
            assert!(self.tracks.contains_key(&parent), "a track below one that comes later");
        }
        let thread = descriptor.thread.as_ref().map(|it| (it.pid(), i64::from(it.tid())));
        let track = Track {
            parent: descriptor.parent_uuid,
            name,
            thread,
            is_process: descriptor.process.is_some(),
            is_counter: descriptor.counter.is_some(),
        };
        let before = self.tracks.insert(descriptor.uuid(), track);
        assert!(before.is_none(), "a track is described once");
    }

    fn event(&mut self, event: Event, stacks: &mut HashMap<u64, Vec<usize>>) {
        let track = self.tracks.get(&event.track).expect("a track that is not described");
        assert_eq!(track.is_counter, event.kind == track_event::Type::TYPE_COUNTER);
        let stack = stacks.entry(event.track).or_default();
        match event.kind {
            track_event::Type::TYPE_SLICE_BEGIN => {
                let outer = stack.last().copied();
                stack.push(self.slices.len());
                self.slices.push(Slice { begin: event, end: None, outer });
            }
            track_event::Type::TYPE_SLICE_END => {
                let ended = stack.pop().expect("an end of nothing");
                assert_eq!(event.name, None, "an end with a name ends the slice of that name");
                self.slices[ended].end = Some(event);
            }
            track_event::Type::TYPE_INSTANT => self.instants.push(event),
            track_event::Type::TYPE_COUNTER => self.counters.push(event),
            track_event::Type::TYPE_UNSPECIFIED => panic!("{event:?}"),
        }
    }

    /// The name of the thread, or of the track below the process, that a track is or lies in.
    pub fn row(&self, track: u64) -> &Track {
        let found = &self.tracks[&track];
        match found.parent.map(|parent| &self.tracks[&parent]) {
            Some(parent) if !parent.is_process => self.row(found.parent.unwrap()),
            _ => found,
        }
    }
}

impl Strings {
    fn learn(&mut self, interned: &InternedData) {
        let twice = |before: Option<String>| assert_eq!(before, None, "a number has two texts");
        for one in &interned.event_names {
            twice(self.names.insert(one.iid(), one.name().to_owned()));
        }
        for one in &interned.event_categories {
            twice(self.categories.insert(one.iid(), one.name().to_owned()));
        }
        for one in &interned.debug_annotation_names {
            twice(self.keys.insert(one.iid(), one.name().to_owned()));
        }
        for one in &interned.source_locations {
            let source = (one.file_name().to_owned(), one.line_number());
            assert_eq!(self.sources.insert(one.iid(), source), None);
        }
    }

    fn event(&self, at_ns: u64, event: &TrackEvent) -> Event {
        let categories = event.category_iids.iter().map(|iid| self.categories[iid].clone());
        Event {
            at_ns,
            track: event.track_uuid(),
            kind: event.type_(),
            name: event.name_field.as_ref().map(|name| match name {
                track_event::Name_field::NameIid(iid) => self.names[iid].clone(),
                track_event::Name_field::Name(name) => name.clone(),
                other => panic!("{other:?}"),
            }),
            categories: categories.chain(event.categories.iter().cloned()).collect(),
            source: event.source_location_field.as_ref().map(|source| match source {
                track_event::Source_location_field::SourceLocationIid(iid) => {
                    self.sources[iid].clone()
                }
                track_event::Source_location_field::SourceLocation(it) => {
                    (it.file_name().to_owned(), it.line_number())
                }
                other => panic!("{other:?}"),
            }),
            annotations: event.debug_annotations.iter().map(|one| self.annotation(one)).collect(),
            flows: event.flow_ids.clone(),
            ending_flows: event.terminating_flow_ids.clone(),
            value: event.has_counter_value().then(|| event.counter_value()),
        }
    }

    fn annotation(&self, annotation: &DebugAnnotation) -> (String, Value) {
        let name = match annotation.name_field.as_ref().unwrap() {
            debug_annotation::Name_field::NameIid(iid) => self.keys[iid].clone(),
            debug_annotation::Name_field::Name(name) => name.clone(),
            other => panic!("{other:?}"),
        };
        (name, self.value(annotation))
    }

    fn value(&self, annotation: &DebugAnnotation) -> Value {
        match &annotation.value {
            Some(debug_annotation::Value::BoolValue(value)) => Value::from(*value),
            Some(debug_annotation::Value::UintValue(value)) => Value::from(*value),
            Some(debug_annotation::Value::IntValue(value)) => Value::from(*value),
            Some(debug_annotation::Value::DoubleValue(value)) => Value::from(*value),
            Some(debug_annotation::Value::StringValue(value)) => Value::from(value.as_str()),
            Some(other) => panic!("{other:?}"),
            None if annotation.array_values.is_empty() => {
                annotation.dict_entries.iter().map(|one| self.annotation(one)).collect()
            }
            None => annotation.array_values.iter().map(|one| self.value(one)).collect(),
        }
    }
}
