//! Something is wrong with one ring: the others are collected nevertheless. Nothing is counted as lost that was not.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};

use spandrel::collect::Collecting;
use spandrel_tests::collecting::{Collector, LONG, assert_has, record, rings, small_in};
use spandrel_tests::prelude::*;

fn ring_of(folder: &Path) -> PathBuf {
    let mut files = std::fs::read_dir(folder).unwrap();
    files.next().unwrap().unwrap().path()
}

#[test]
fn a_ring_file_that_is_cut_ends_no_collector_of_others() {
    let (scratch, rings) = (scratch_for(60), rings());
    let cut = small_in(rings.path()).label("cut").build().unwrap();
    let path = ring_of(rings.path());
    let other = small_in(rings.path()).label("other").build().unwrap();
    let collector = Collector::start(rings.path(), scratch.db());
    record(&cut, 0..100);
    record(&other, 0..100);
    cut.flush(LONG).unwrap();
    other.flush(LONG).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    collector.until(|it| matches!(it, Collecting::Refused { .. }));
    record(&other, 100..200);
    let flushed = other.flush(LONG).map_err(|error| error.to_string());
    assert_eq!(flushed, Ok(()));
    other.close().unwrap();
    let (done, told) = collector.stop();
    assert_eq!((done.ended, done.going_on), (1, 0), "{told:?}");
    let refused: Vec<_> = told
        .iter()
        .filter_map(|it| match it {
            Collecting::Refused { path, .. } => Some(path.as_path()),
            _ => None,
        })
        .collect();
    assert_eq!(refused, [path.as_path()]);
    let run = |label: &str| {
        Database::open(scratch.db())
            .value::<i64>(&format!("SELECT id FROM run WHERE label = '{label}'"))
    };
    assert_has(scratch.db(), run("cut"), 0..100);
    assert_has(scratch.db(), run("other"), 0..200);
    _ = cut.close();
}
