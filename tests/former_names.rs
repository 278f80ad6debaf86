//! A program that calls the builder and the subscriber by their names of before compiles, and records.

#![allow(deprecated)]

use spandrel::{Builder, Subscriber};
use spandrel_tests::prelude::*;

fn settings(builder: Builder) -> Builder {
    builder.label("by the names of before")
}

#[test]
fn a_program_with_the_former_names_records() {
    let scratch = scratch();
    let profiler = settings(small(scratch.db())).build().unwrap();
    let subscriber: Subscriber = profiler.subscriber();
    tracing::subscriber::with_default(subscriber, || tracing::info_span!("old").in_scope(|| ()));
    let report = profiler.close().unwrap();
    assert_eq!((report.recorded, report.stored), (1, 1));
    assert_eq!((report.spans().recorded, report.spans().stored), (1, 1));
}
