//! What `spandrel top --by field.name -w name=NAME` says, and whether it is what the witness saw.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::ops::ControlFlow;
use std::path::Path;

use spandrel_query::{By, Columns, ExactPercentiles, Filter, Groups, Key, Scan, SpanRef, quote};
use spandrel_query::{CountedBy, Reader};

use crate::witness::{Entry, Name};

const QUANTILES: [f64; 2] = [0.5, 0.99];

/// The figures of the spans of a name.
#[derive(Debug, Clone)]
pub struct Figures {
    /// What counts: lifetimes, or entries.
    pub counted: CountedBy,
    /// How many.
    pub calls: u64,
    /// Those of them of which the percentiles are: without entries that were not recorded.
    pub measured: u64,
    /// p50 and p99 as without `--exact`.
    pub near_ns: [i64; 2],
    /// p50 and p99 with `--exact`.
    pub exact_ns: [i64; 2],
    /// The longest.
    pub max_ns: i64,
}

/// The figures of spans of some names, by their field `name`.
pub fn read(db: &Path, names: &[&str]) -> BTreeMap<Name, Vec<Figures>> {
    let reader = Reader::open(db).unwrap();
    let run_id = reader.latest_run().unwrap().unwrap().id;
    let by = By::Field("name".into());
    let scan = Scan::new(run_id).columns(by.columns());
    let mut all = BTreeMap::<_, Vec<_>>::new();
    for name in names {
        let filter = Filter::parse(&format!("name={}", quote(name))).unwrap();
        let mut groups = Groups::new(by.clone());
        let add = |span: &SpanRef<'_>| {
            groups.add(span);
            ControlFlow::Continue(())
        };
        reader.scan_calls(&scan, &filter, add).unwrap();
        let mut exact = ExactPercentiles::new(&groups, &QUANTILES);
        while exact.begin_pass() {
            let add = |span: &SpanRef<'_>| {
                exact.add(&mut groups, span);
                ControlFlow::Continue(())
            };
            reader.scan_calls(&scan, &filter, add).unwrap();
            exact.end_pass();
        }
        for (at, group) in groups.groups().iter().enumerate() {
            let field = match &group.key {
                Key::Value(value) => value.clone(),
                _ => String::new(),
            };
            let or_none = |ns: Option<i64>| ns.unwrap_or(-1);
            let exact = exact.of(at);
            all.entry(((*name).to_owned(), field)).or_default().push(Figures {
                counted: group.counted,
                calls: group.calls,
                measured: group.histogram.count(),
                near_ns: QUANTILES.map(|q| or_none(group.percentile_ns(q))),
                exact_ns: [or_none(exact[0]), or_none(exact[1])],
                max_ns: group.max_ns,
            });
        }
    }
    all
}

/// The sum of self times by thread, and how long the run was.
pub fn self_times(db: &Path) -> (BTreeMap<String, i64>, i64) {
    let reader = Reader::open(db).unwrap();
    let run = reader.latest_run().unwrap().unwrap();
    let mut sums = BTreeMap::<String, i64>::new();
    let mut last_ns = 0;
    let scan = Scan::new(run.id).columns(Columns::Entries);
    let add = |span: &SpanRef<'_>| {
        if span.call_ns().is_some() {
            let thread = span.longest_thread;
            let name = format!("{} {}", thread.name.as_deref().unwrap_or_default(), thread.os_id);
            *sums.entry(name).or_default() += span.self_ns.unwrap_or(0);
            last_ns = last_ns.max(span.end_ns().unwrap_or(0));
        }
        ControlFlow::Continue(())
    };
    reader.scan_calls(&scan, &Filter::all(), add).unwrap();
    (sums, last_ns)
}

/// The value of a rank, at least and at most; as entries are between two, so are their ranks.
pub fn percentile(entries: &[Entry], q: f64) -> Entry {
    let rank = (q * entries.len() as f64 * (1.0 - 2.0 * f64::EPSILON)).ceil() as usize;
    let of = |end: fn(&Entry) -> i64| {
        let mut values: Vec<_> = entries.iter().map(end).collect();
        values.sort_unstable();
        values[rank.max(1) - 1]
    };
    (of(|entry| entry.0), of(|entry| entry.1))
}

/// Whether a figure is within 5 % or 2 µs of what lies between two.
pub fn is_near(ns: i64, (least, most): Entry) -> bool {
    let about = |ns: i64| (ns / 20).max(2_000);
    ns >= least - about(least) && ns <= most + about(most)
}

impl Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99] = self.exact_ns.map(Us);
        write!(f, "{:>6} {p50} {p99} {}", self.calls, Us(self.max_ns))
    }
}

/// Nanoseconds, shown as microseconds.
#[derive(Debug, Clone, Copy)]
pub struct Us(pub i64);

impl Display for Us {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10.1}", self.0 as f64 / 1_000.0)
    }
}
