//! A recording that is collected, beside a collector that only reads.

use std::collections::HashMap;
use std::fs::Permissions;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use spandrel_ring::file::{Reader, State, monotonic_ns};
use tempfile::TempDir;
use tracing::{Level, info, info_span};

use crate::error::ErrorKind;
use crate::handle::builder::ProfilerBuilder;
use crate::handle::profiler::Profiler;
use crate::recorder::record::{self, Record, slots};
use crate::recorder::ring_file::layout::{drainer, names};
use crate::recorder::ring_file::place;
use crate::recorder::stats::Ledger;

const LONG: Duration = Duration::from_secs(60);

/// A folder of its own, in memory.
fn folder() -> TempDir {
    let mut builder = tempfile::Builder::new();
    let ours = Permissions::from_mode(0o700);
    builder.prefix("spandrel-collected-").permissions(ours).tempdir_in("/dev/shm").unwrap()
}

fn small(folder: &Path) -> ProfilerBuilder {
    let builder = Profiler::builder().collected(folder).partitions(2);
    builder.ring_capacity(1 << 12).max_open_spans(64).spans(Level::TRACE)
}

/// Runs `f` under the profiler's subscriber.
fn within(profiler: &Profiler, f: impl FnOnce()) {
    tracing::subscriber::with_default(profiler.subscriber(), f);
}

/// The one ring file of a folder.
fn ring_file(folder: &Path) -> PathBuf {
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    assert_eq!(file.extension().unwrap(), "ring");
    file.clone()
}

/// Everything that a file says.
#[derive(Debug, Default)]
struct Said {
    names: Vec<(u8, Vec<u64>, Vec<String>)>,
    /// Names of spans that have closed, in the order of the partitions.
    spans: Vec<String>,
    events: usize,
}

impl Said {
    fn of(&self, kind: u8) -> Vec<(&[u64], Vec<&str>)> {
        let all = self.names.iter().filter(|(of, ..)| *of == kind);
        all.map(|(_, numbers, texts)| (&numbers[..], texts.iter().map(|it| &**it).collect()))
            .collect()
    }
}

/// Reads a file from beginning to end, as whoever comes when its owner is gone.
fn read(file: &Path) -> Said {
    let mut reader = Reader::open(file).unwrap();
    let mut said = Said::default();
    let names = reader.names(false, |name| {
        let texts = name.texts.iter().map(|text| (*text).to_owned()).collect();
        said.names.push((name.kind, name.numbers.to_vec(), texts));
    });
    assert_eq!(names.unwrap().damaged, 0);
    let callsites: HashMap<u64, String> = said
        .of(names::CALLSITE)
        .into_iter()
        .map(|(numbers, texts)| (numbers[0], texts[0].to_owned()))
        .collect();
    for partition in 0..reader.partitions() {
        let drained = reader.drain(partition, 0, false, u64::MAX, |record| {
            match record::read(record.words).unwrap() {
                Record::Span(head, _) => {
                    assert!(record.words.len() >= slots(1), "{record:?}");
                    said.spans.push(callsites[&u64::from(head.callsite)].clone());
                }
                Record::Event(head, _) => {
                    assert!(callsites.contains_key(&u64::from(head.callsite)));
                    said.events += 1;
                }
                other => panic!("{other:?}"),
            }
        });
        assert_eq!(drained.unwrap().damaged, 0);
    }
    said
}

/// Takes all that there is, as a collector that has stored it.
fn collect(reader: &mut Reader, positions: &mut [u64]) {
    let mut stored = [0_u64; 4];
    for (partition, position) in positions.iter_mut().enumerate() {
        let drained = reader.drain(partition, *position, false, u64::MAX, |_| {}).unwrap();
        *position = drained.next;
        let seen = reader.partition(partition).unwrap();
        stored.iter_mut().zip(seen.published).for_each(|(sum, n)| *sum += n);
    }
    for (kind, n) in stored.into_iter().enumerate() {
        reader.set_drainer(drainer::GIVEN_BACK + kind, n).unwrap();
    }
    for (partition, position) in positions.iter().enumerate() {
        reader.give_back(partition, *position).unwrap();
    }
    let mut marks = 0;
    reader.names(false, |name| marks += u64::from(name.kind == names::MARK)).unwrap();
    reader.set_drainer(drainer::MARKS_STORED, marks).unwrap();
    reader.set_drainer(drainer::LOOKED_AT, monotonic_ns()).unwrap();
}

#[test]
fn a_ring_file_says_what_was_recorded_and_all_that_it_means() {
    let folder = folder();
    let builder = small(folder.path()).label("nightly").commit("a1b2c3").redact_fields(["card"]);
    let profiler = builder.build().unwrap();
    within(&profiler, || {
        info_span!("request", path = "/").in_scope(|| {
            info_span!("query").in_scope(|| info!(rows = 3));
            profiler.mark("half way").unwrap();
        });
        let section = profiler.section("the rest");
        assert!(section.is_recorded());
    });
    let file = ring_file(folder.path());
    assert_eq!(Reader::open(&file).unwrap().state().unwrap(), State::Recording);
    let said = read(&file);
    let mut spans = said.spans.clone();
    spans.sort();
    assert_eq!((spans, said.events), (vec!["query".into(), "request".into()], 1));
    let run = said.of(names::RUN);
    assert_eq!((run.len(), run[0].1[0], run[0].1[1].len()), (1, "", 32));
    assert_eq!(run[0].1[4..], ["card"]);
    let about = said.of(names::ABOUT);
    let [(numbers, texts)] = &about[..] else { panic!("{about:?}") };
    assert!(numbers[0] > 1_700_000_000_000_000_000 && numbers[2] == 1, "{numbers:?}");
    assert_eq!((texts[0], texts.len()), ("nightly", 6));
    let settings: serde_json::Value = serde_json::from_str(texts[5]).unwrap();
    assert_eq!(settings["commit"], "a1b2c3");
    assert_eq!(settings["collected"], folder.path().to_str().unwrap());
    assert!(serde_json::from_str::<Vec<String>>(texts[1]).is_ok(), "{texts:?}");
    let marks = said.of(names::MARK);
    let labels: Vec<_> = marks.iter().map(|(_, texts)| texts[0]).collect();
    assert_eq!(labels, ["half way", "the rest", "the rest"]);
    let [mark, begun, ended] = [0, 1, 2].map(|n| marks[n].0);
    assert!(
        mark[0] != begun[0] && begun[..2] == ended[..2] && begun[2] == 0 && ended[2] > ended[1]
    );
    assert_eq!(said.of(names::END), []);
    let report = profiler.close().unwrap();
    assert_eq!((report.recorded, report.stored, report.in_flight), (2, 0, 2), "{report}");
    assert!(report.balances() && !report.timed_out && report.marks == 3, "{report:?}");
    assert_eq!(Reader::open(&file).unwrap().state().unwrap(), State::Closed);
    assert_eq!(read(&file).of(names::END).len(), 1);
    assert_eq!(profiler.mark("late").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(profiler.flush(LONG).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(profiler.close().unwrap().took, report.took, "it was closed once");
}

#[test]
fn the_last_handle_closes_the_ring_and_leaves_the_file_to_the_collector() {
    let folder = folder();
    let profiler = small(folder.path()).build().unwrap();
    within(&profiler.clone(), || drop(info_span!("work")));
    let file = ring_file(folder.path());
    drop(profiler);
    assert_eq!(Reader::open(&file).unwrap().state().unwrap(), State::Closed);
    assert_eq!(read(&file).spans, ["work"]);
}

#[test]
fn a_flush_returns_when_what_was_before_it_was_given_back() {
    let folder = folder();
    let profiler = small(folder.path()).build().unwrap();
    let mut reader = Reader::open_to_drain(&ring_file(folder.path())).unwrap();
    let mut positions = vec![0; reader.partitions()];
    for round in 1..=50 {
        within(&profiler, || (0..20).for_each(|n: u64| drop(info_span!("work", n))));
        profiler.mark("round").unwrap();
        let error = profiler.flush(Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        std::thread::scope(|scope| {
            let flush = scope.spawn(|| profiler.flush(LONG));
            // It is somebody else who gives back, at any moment of the flush.
            collect(&mut reader, &mut positions);
            flush.join().unwrap().unwrap();
        });
        let stats = profiler.stats();
        assert_eq!((stats.stored, stats.in_flight, stats.marks), (20 * round, 0, round));
        assert!(stats.balances(), "{stats}");
    }
}

#[test]
fn a_mark_that_is_not_stored_is_waited_for() {
    let folder = folder();
    let profiler = small(folder.path()).build().unwrap();
    let mut reader = Reader::open_to_drain(&ring_file(folder.path())).unwrap();
    profiler.flush(LONG).unwrap();
    profiler.mark("here").unwrap();
    assert_eq!(profiler.flush(Duration::ZERO).unwrap_err().kind(), ErrorKind::Timeout);
    let partitions = reader.partitions();
    collect(&mut reader, &mut vec![0; partitions]);
    profiler.flush(LONG).unwrap();
}

#[test]
fn a_flush_that_nobody_answers_says_what_to_start() {
    let folder = folder();
    let profiler = small(folder.path()).build().unwrap();
    within(&profiler, || drop(info_span!("work")));
    let said = || profiler.flush(Duration::ZERO).unwrap_err().to_string();
    let command =
        format!("no collector is running: `spandrel collect {}`", folder.path().display());
    assert!(said().ends_with(&command), "{}", said());
    let mut reader = Reader::open_to_drain(&ring_file(folder.path())).unwrap();
    reader.set_drainer(drainer::LOOKED_AT, monotonic_ns()).unwrap();
    assert!(said().ends_with("the collector has not come so far"), "{}", said());
    // It has looked last a minute ago.
    let long_ago = monotonic_ns().saturating_sub(60_000_000_000).max(1);
    reader.set_drainer(drainer::LOOKED_AT, long_ago).unwrap();
    assert!(said().ends_with(&command), "{}", said());
}

#[test]
fn without_a_collector_the_ring_keeps_what_it_has_room_for_and_the_rest_is_counted() {
    const SPANS: u64 = 20_000;
    let folder = folder();
    let profiler = small(folder.path()).build().unwrap();
    within(&profiler, || (0..SPANS).for_each(|n| drop(info_span!("work", n))));
    let report = profiler.close().unwrap();
    assert!(report.balances(), "{report}");
    let Ledger { recorded, stored, dropped, in_flight } = report.spans();
    assert_eq!((recorded, stored), (SPANS, 0));
    assert_eq!(dropped.total(), dropped.ring_full, "{report}");
    assert!(in_flight > 0 && dropped.ring_full > 0);
    assert_eq!(read(&ring_file(folder.path())).spans.len() as u64, in_flight);
}

#[test]
fn marks_without_end_leave_room_for_names() {
    let folder = folder();
    let profiler = small(folder.path()).build().unwrap();
    let label = "x".repeat(1_000);
    let refused = (0..100_000).find_map(|n| Some((n, profiler.mark(&*label).err()?)));
    let (marks, error) = refused.unwrap();
    assert_eq!(error.kind(), ErrorKind::MarksFull);
    assert!(!profiler.section("none").is_recorded() || profiler.stats().marks > marks);
    within(&profiler, || drop(info_span!("after all marks")));
    let report = profiler.close().unwrap();
    assert!(marks > 100 && report.marks_dropped >= 1, "{marks} {report:?}");
    let said = read(&ring_file(folder.path()));
    assert_eq!(said.spans, ["after all marks"]);
    assert_eq!(said.of(names::MARK).len() as u64, report.marks);
    assert_eq!(said.of(names::END)[0].0[1], report.marks_dropped);
}

#[test]
fn arguments_of_megabytes_and_a_folder_that_cannot_be() {
    let folder = folder();
    let error = small(folder.path()).label("x".repeat(8 << 20)).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOption, "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = small(&file.join("below")).build().unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::RingFile, Some(&*file.join("below"))));
}

#[test]
fn the_folder_of_a_command_that_has_ended_is_not_made_anew() {
    let folder = folder();
    let of_command = folder.path().join(format!("{}ab12", place::FOLDER_OF_COMMAND));
    let error = small(&of_command).build().unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::RingFile, Some(&*of_command)));
    assert!(error.to_string().contains("has ended, so that nobody would come"), "{error}");
    assert!(!of_command.exists());
    // As long as it is there, it is one as any other.
    std::fs::DirBuilder::new().mode(0o700).create(&of_command).unwrap();
    small(&of_command).build().unwrap().close().unwrap();
    assert_eq!(std::fs::read_dir(&of_command).unwrap().count(), 1);
}

#[cfg(feature = "database")]
#[test]
fn what_somebody_counts_on_is_refused_where_there_is_no_database() {
    let folder = folder();
    let with = |set: fn(ProfilerBuilder) -> ProfilerBuilder| set(small(folder.path())).build();
    for (setting, built) in [
        ("database", with(|builder| builder.database("a.db"))),
        ("max_bytes", with(|builder| builder.max_bytes(1))),
        ("max_age", with(|builder| builder.max_age(Duration::from_secs(1)))),
    ] {
        let error = built.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOption);
        assert!(error.to_string().starts_with(setting), "{error}");
    }
    let profiler = with(|builder| builder.batch_size(1).crash_proof(true)).unwrap();
    let error = profiler.snapshot(folder.path().join("copy.db")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOption, "{error}");
}
