//! Events of the Trace Event Format, read as Catapult reads them, which made the format: events of a row are
//! sorted by time, begins and ends are a stack, an arrow binds to what is open on top.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

/// What is drawn as a slice or an instant.
#[derive(Debug, Clone)]
pub struct Slice {
    pub row: u64,
    pub name: String,
    pub category: String,
    pub start_ns: i64,
    /// `None`: it never ends.
    pub end_ns: Option<i64>,
    /// An instant, of how much of the viewer: `t` or `g`.
    pub scope: Option<String>,
    pub depth: usize,
    /// Where the slice is that it lies in.
    pub inside: Option<usize>,
    /// `args.data`.
    pub data: Value,
}

/// A file.
#[derive(Debug, Default)]
pub struct TraceEvents {
    pub slices: Vec<Slice>,
    /// Rows by their numbers.
    pub rows: BTreeMap<u64, String>,
    /// From slice to slice.
    pub arrows: Vec<(usize, usize)>,
    pub counters: Vec<(String, i64, Value)>,
}

/// The moment of an event in nanoseconds.
fn at_ns(event: &Value) -> i64 {
    (event["ts"].as_f64().unwrap() * 1000.0).round() as i64
}

impl TraceEvents {
    pub fn read(bytes: &[u8]) -> Self {
        let file: Value = serde_json::from_slice(bytes).unwrap();
        let events = file["traceEvents"].as_array().unwrap();
        let mut read = Self::default();
        let (metadata, mut timed): (Vec<&Value>, Vec<&Value>) =
            events.iter().partition(|event| event["ph"] == "M");
        for event in metadata {
            if event["name"] == "thread_name" {
                let name = event["args"]["name"].as_str().unwrap().to_owned();
                assert!(read.rows.insert(event["tid"].as_u64().unwrap(), name).is_none());
            }
        }
        timed.sort_by_key(|event| at_ns(event));
        let mut stacks: HashMap<u64, Vec<usize>> = HashMap::new();
        let mut arrows: BTreeMap<u64, usize> = BTreeMap::new();
        for event in timed {
            let row = event["tid"].as_u64().unwrap();
            read.event(event, stacks.entry(row).or_default(), &mut arrows);
        }
        assert!(arrows.is_empty(), "arrows that end nowhere: {arrows:?}");
        read
    }

    fn event(&mut self, event: &Value, open: &mut Vec<usize>, arrows: &mut BTreeMap<u64, usize>) {
        let name = event["name"].as_str().unwrap();
        match event["ph"].as_str().unwrap() {
            "C" => {
                self.counters.push((name.to_owned(), at_ns(event), event["args"]["value"].clone()))
            }
            "E" => {
                let ended = &mut self.slices[open.pop().expect("an end of nothing")];
                assert_eq!((ended.name.as_str(), &ended.data), (name, &Value::Null));
                ended.end_ns = Some(at_ns(event));
                ended.data = event["args"]["data"].clone();
            }
            "s" => {
                let before = arrows.insert(event["id"].as_u64().unwrap(), *open.last().unwrap());
                assert_eq!(before, None, "an arrow begins once");
            }
            "f" => {
                assert_eq!(event["bp"], "e");
                let from = arrows.remove(&event["id"].as_u64().unwrap()).unwrap();
                self.arrows.push((from, *open.last().unwrap()));
            }
            phase => {
                assert!(["B", "i"].contains(&phase), "{phase}");
                let row = event["tid"].as_u64().unwrap();
                assert!(self.rows.contains_key(&row), "a row without a name");
                self.slices.push(Slice {
                    row,
                    name: name.to_owned(),
                    category: event["cat"].as_str().unwrap().to_owned(),
                    start_ns: at_ns(event),
                    end_ns: (phase == "i").then(|| at_ns(event)),
                    scope: event["s"].as_str().map(str::to_owned),
                    depth: open.len(),
                    inside: open.last().copied(),
                    data: event["args"]["data"].clone(),
                });
                if phase == "B" {
                    open.push(self.slices.len() - 1);
                }
            }
        }
    }
}
