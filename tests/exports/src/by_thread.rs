//! What threads did, as readers of exports have it.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::perfetto::Import;
use crate::trace_events::TraceEvents;

/// A slice in the row of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Did {
    pub name: String,
    /// How many slices it lies in.
    pub depth: usize,
    pub from_ns: i64,
    pub to_ns: i64,
}

/// Slices by the name of their thread, in the order in which they begin.
pub type Threads = BTreeMap<String, Vec<Did>>;

/// The begins and ends of a thread's slices in their order, each with its moment.
pub fn moments(slices: &[Did]) -> Vec<i64> {
    let (mut moments, mut open) = (Vec::new(), Vec::<i64>::new());
    for slice in slices {
        moments.extend(open.drain(slice.depth..).rev());
        moments.push(slice.from_ns);
        open.push(slice.to_ns);
    }
    moments.extend(open.drain(..).rev());
    moments
}

/// Without the number that the operating system gave the thread.
fn name_of(row: &str) -> String {
    row.rsplit_once(' ').map_or(row, |(name, _)| name).to_owned()
}

/// Of a file of the Trace Event Format as spandrel writes it: the rows of threads, and nothing beside.
pub fn of_trace_events(read: &TraceEvents) -> Threads {
    let mut threads = Threads::new();
    for slice in &read.slices {
        let row = &read.rows[&slice.row];
        let is_thread = !row.contains(',') && slice.scope.as_deref() != Some("g");
        if is_thread && !slice.data["level"].is_null() && slice.data["span"].is_null() {
            threads.entry(name_of(row)).or_default().push(Did {
                name: slice.name.clone(),
                depth: slice.depth,
                from_ns: slice.start_ns,
                to_ns: slice.end_ns.unwrap(),
            });
        }
    }
    threads
}

/// Of a file that tracing-chrome has written in its threaded style: begins and ends in the order in which they
/// came.
pub fn of_tracing_chrome(bytes: &[u8]) -> Threads {
    let events: Vec<Value> = serde_json::from_slice(bytes).unwrap();
    let (mut names, mut threads) = (HashMap::new(), Threads::new());
    let mut open: HashMap<u64, Vec<usize>> = HashMap::new();
    for event in &events {
        let row = event["tid"].as_u64().unwrap();
        let name = event["name"].as_str().unwrap().to_owned();
        let at_ns = || (event["ts"].as_f64().unwrap() * 1e3).round() as i64;
        match event["ph"].as_str().unwrap() {
            "M" => drop(names.insert(row, event["args"]["name"].as_str().unwrap().to_owned())),
            "B" => {
                let slices = threads.entry(names[&row].clone()).or_default();
                let open = open.entry(row).or_default();
                let depth = open.len();
                open.push(slices.len());
                slices.push(Did { name, depth, from_ns: at_ns(), to_ns: i64::MAX });
            }
            "E" => {
                let at = open.get_mut(&row).unwrap().pop().unwrap();
                let slice = &mut threads.get_mut(&names[&row]).unwrap()[at];
                assert_eq!(slice.name, name, "what ends is the innermost one");
                slice.to_ns = at_ns();
            }
            phase => panic!("{phase}"),
        }
    }
    threads
}

/// Of a trace for Perfetto: the tracks of threads themselves.
pub fn of_perfetto(import: &Import) -> Threads {
    let mut threads = Threads::new();
    for slice in &import.slices {
        let track = &import.tracks[&slice.begin.track];
        if track.thread.is_none() {
            continue;
        }
        let outer = |at: &usize| import.slices[*at].outer;
        let depth = std::iter::successors(slice.outer, outer).count();
        threads.entry(name_of(&track.name)).or_default().push(Did {
            name: slice.begin.name.clone().unwrap(),
            depth,
            from_ns: slice.begin.at_ns as i64,
            to_ns: slice.end.as_ref().unwrap().at_ns as i64,
        });
    }
    threads
}

/// Of a profile for the Firefox profiler: markers of threads, which it lays out itself; all of depth 0, in the
/// order in which they begin.
pub fn of_firefox(file: &Value) -> Threads {
    let strings = file["shared"]["stringArray"].as_array().unwrap();
    let mut threads = Threads::new();
    for thread in file["threads"].as_array().unwrap() {
        let markers = &thread["markers"];
        let mut did: Vec<Did> = (0..markers["length"].as_u64().unwrap() as usize)
            .filter(|at| {
                ["span", "entry"].contains(&markers["data"][*at]["type"].as_str().unwrap())
            })
            .map(|at| {
                let ns =
                    |column: &str| (markers[column][at].as_f64().unwrap() * 1e6).round() as i64;
                let name = markers["name"][at].as_u64().unwrap() as usize;
                Did {
                    name: strings[name].as_str().unwrap().to_owned(),
                    depth: 0,
                    from_ns: ns("startTime"),
                    to_ns: ns("endTime"),
                }
            })
            .collect();
        did.sort_by_key(|slice| (slice.from_ns, std::cmp::Reverse(slice.to_ns)));
        let name = thread["name"].as_str().unwrap().to_owned();
        if !did.is_empty() {
            threads.entry(name).or_default().extend(did);
        }
    }
    threads
}
