//! The row of a recording in table `run`: what program it is, and where it runs.

use std::hash::{BuildHasher, Hasher};

use spandrel_storage::{RunInfo, SqliteVersion};

use super::builder::{Arguments, ProfilerBuilder};
use crate::json_string::push_string;
use crate::recorder::Recorder;
use crate::redact::redacted_arguments;

/// The row for table `run`.
pub(crate) fn describe_run(
    builder: &ProfilerBuilder,
    recorder: &Recorder,
    uuid: String,
) -> RunInfo {
    let started = recorder.clock.origin_unix();
    let program = std::env::current_exe().unwrap_or_default();
    RunInfo {
        uuid,
        label: builder.label.clone(),
        started_unix_ns: i64::try_from(started.as_nanos()).unwrap_or(i64::MAX),
        pid: std::process::id(),
        program: program.to_string_lossy().into_owned(),
        args: arguments(builder),
        host: host(),
        os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        cpus: std::thread::available_parallelism().map_or(0, |n| n.get() as u32),
        clock: recorder.clock.name().to_owned(),
        settings: settings(builder, recorder),
    }
}

/// 128 random bits as hexadecimal digits. The standard library seeds its hash maps from the
/// system's random numbers.
pub(crate) fn uuid() -> String {
    let random = || std::hash::RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

/// The arguments after the program's name as a JSON array, as far as they are stored.
fn arguments(builder: &ProfilerBuilder) -> String {
    let all = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    let kept = match builder.arguments {
        Arguments::Redacted => redacted_arguments(all, &builder.redaction),
        Arguments::Omitted => Vec::new(),
        Arguments::Whole => all.collect(),
    };
    let mut json = String::from("[");
    for (index, argument) in kept.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        push_string(&mut json, argument);
    }
    json.push(']');
    json
}

fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok())
        .unwrap_or_default()
}

/// The settings in force as a JSON object.
fn settings(builder: &ProfilerBuilder, recorder: &Recorder) -> String {
    let slots: Vec<_> = recorder.ring.capacities().iter().map(usize::to_string).collect();
    let mut database = String::new();
    push_string(&mut database, &builder.database.display().to_string());
    let mut filter = String::new();
    push_string(&mut filter, &builder.filter);
    let mut entries = String::new();
    push_string(&mut entries, &builder.entries.to_string());
    let mut commit = String::from("null");
    if let Some(known) = &builder.commit {
        commit.clear();
        push_string(&mut commit, known);
    }
    let optional = |value: Option<u64>| value.map_or("null".to_owned(), |value| value.to_string());
    format!(
        concat!(
            r#"{{"version":"{}","sqlite":"{}","database":{},"ring_capacity":{},"partition_slots":[{}],"#,
            r#""batch_size":{},"flush_interval_ms":{},"max_open_spans":{},"max_field_bytes":{},"#,
            r#""spans":"{}","events":"{}","filter":{},"busy_time":{},"status_rules":{},"entries":{},"control":{},"live_readers":{},"close_timeout_ms":{},"synchronous":"{:?}","#,
            r#""max_bytes":{},"max_age_s":{},"commit":{},"crash_proof":{}}}"#
        ),
        env!("CARGO_PKG_VERSION"),
        SqliteVersion::linked(),
        database,
        builder.ring_slots(),
        slots.join(","),
        builder.batch_size,
        builder.flush_interval.as_millis(),
        builder.max_open_spans,
        recorder.field_words_max * 8,
        builder.spans,
        builder.events,
        filter,
        builder.busy_time,
        builder.status_rules,
        entries,
        builder.control,
        builder.store.live_readers,
        builder.close_timeout.as_millis(),
        builder.store.synchronous,
        optional(builder.store.max_bytes),
        optional(builder.store.max_age.map(|age| age.as_secs())),
        commit,
        recorder.is_in_file(),
    )
}
