//! `hotpath`: its own guards, added up by a thread.

#![allow(unsafe_code, reason = "its macros export a symbol for each name, to find doubles")]

use std::fs::File;
use std::hint::black_box;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use hotpath::{Format, HotpathGuard, HotpathGuardBuilder, Section};
use serde_json::Value;

use crate::case::{Case, TREE_CHILDREN};
use crate::recorder::{Arrived, Entry, Recorder, Result, Setup};
use crate::work::{POLLS, ReadyAfter, poll_to_end};

pub const ENTRY: Entry = Entry {
    name: "hotpath",
    packages: &["hotpath"],
    setting: "`measure_block!`, for futures `#[measure]`; only section `FunctionsTiming`, no metrics \
        server, no sampling; its unbounded queues; the guard's drop writes the report",
    keeps: "sums and percentiles by name, and the last 50 calls of each; no single span, fields, \
        parents or busy time; a report at the end. Not `tracing`: a program is instrumented anew",
    cases: &[Case::NoFields, Case::Nested, Case::Async, Case::Tree],
    has_queue_size: false,
    install,
};

/// Of the whole program; the report has a line for it.
const WRAPPER: &str = "rivals";

fn install(setup: &Setup<'_>) -> Result<Box<dyn Recorder>> {
    let report = setup.folder.join("report.json");
    let guard = HotpathGuardBuilder::new(WRAPPER)
        .format(Format::Json)
        .output_path(&report)
        .sections(vec![Section::FunctionsTiming])
        .build();
    Ok(Box::new(Hotpath { report, guard: Some(guard) }))
}

struct Hotpath {
    report: PathBuf,
    guard: Option<HotpathGuard>,
}

/// A little more than the interval at which its thread sweeps the queues.
const SWEPT: Duration = Duration::from_millis(60);

impl Recorder for Hotpath {
    fn run(&mut self, case: Case, spans: u64) -> u64 {
        let pieces = spans.div_ceil(case.piece());
        match case {
            Case::NoFields | Case::ThreeFields => (0..pieces).for_each(one),
            Case::Nested => (0..pieces).for_each(nested),
            Case::Async => (0..pieces).for_each(|_| poll_to_end(measured())),
            Case::Tree => (0..pieces).for_each(|_| tree()),
        }
        pieces * case.piece()
    }

    fn one(&mut self) -> u64 {
        one(0);
        1
    }

    /// It has no flush.
    fn rest(&mut self, _: u64) -> Result<()> {
        thread::sleep(SWEPT);
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        drop(self.guard.take());
        Ok(())
    }

    fn arrived(&mut self) -> Result<Option<Arrived>> {
        let report: Value = serde_json::from_reader(File::open(&self.report)?)?;
        let functions = report["functions_timing"]["data"].as_array();
        let functions = functions.ok_or("the report of hotpath has no functions")?;
        let others = functions.iter().filter(|function| function["name"] != WRAPPER);
        Ok(Some(Arrived::uncounted(others.filter_map(|function| function["calls"].as_u64()).sum())))
    }
}

#[inline(always)]
fn one(n: u64) {
    hotpath::measure_block!("work", black_box(n));
}

fn nested(n: u64) {
    hotpath::measure_block!("outer", {
        hotpath::measure_block!("middle", {
            hotpath::measure_block!("inner", black_box(n));
        });
    });
}

fn tree() {
    hotpath::measure_block!("root", {
        for n in 0..TREE_CHILDREN {
            hotpath::measure_block!("child", black_box(n));
        }
    });
}

#[hotpath::measure]
async fn measured() {
    ReadyAfter(POLLS).await;
}
