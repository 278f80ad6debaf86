//! What a recording says of itself: what program it is, where it runs, and how it is set.

use std::hash::{BuildHasher, Hasher};

use super::builder::{Arguments, ProfilerBuilder};
use crate::json_string::push_string;
use crate::recorder::Recorder;
use crate::redact::redacted_arguments;

/// What there is to say of a run.
#[derive(Debug)]
pub(super) struct Run {
    /// 32 hexadecimal digits.
    pub(super) uuid: String,
    pub(super) label: Option<String>,
    pub(super) started_unix_ns: i64,
    pub(super) pid: u32,
    /// The program's path.
    pub(super) program: String,
    /// The arguments, as far as they are kept, as a JSON array.
    pub(super) args: String,
    pub(super) host: String,
    pub(super) os: String,
    pub(super) cpus: u32,
    pub(super) clock: String,
    /// The settings in force as a JSON object.
    pub(super) settings: String,
}

/// Settings of the recorder's other end, as parts of a JSON object: each `"name":value,`.
#[derive(Debug, Default)]
pub(super) struct OtherSettings {
    /// Where everything goes.
    pub(super) place: String,
    /// How it is batched.
    pub(super) batches: String,
    pub(super) rest: String,
}

/// Describes the recording that begins.
pub(super) fn describe_run(
    builder: &ProfilerBuilder,
    recorder: &Recorder,
    uuid: String,
    others: OtherSettings,
) -> Run {
    let started = recorder.clock.origin_unix();
    let program = std::env::current_exe().unwrap_or_default();
    Run {
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
        settings: settings(builder, recorder, others),
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

fn settings(builder: &ProfilerBuilder, recorder: &Recorder, others: OtherSettings) -> String {
    let slots: Vec<_> = recorder.ring.capacities().iter().map(usize::to_string).collect();
    let text = |text: &str| {
        let mut json = String::new();
        push_string(&mut json, text);
        json
    };
    let OtherSettings { place, batches, rest } = others;
    format!(
        concat!(
            r#"{{"version":"{}",{}"ring_capacity":{},"partition_slots":[{}],{}"#,
            r#""max_open_spans":{},"max_field_bytes":{},"#,
            r#""spans":"{}","events":"{}","filter":{},"busy_time":{},"status_rules":{},"entries":{},{}"commit":{},"crash_proof":{}}}"#
        ),
        env!("CARGO_PKG_VERSION"),
        place,
        builder.ring_slots(),
        slots.join(","),
        batches,
        builder.max_open_spans,
        recorder.field_words_max * 8,
        builder.spans,
        builder.events,
        text(&builder.filter),
        builder.busy_time,
        builder.status_rules,
        text(&builder.entries.to_string()),
        rest,
        builder.commit.as_deref().map_or("null".to_owned(), text),
        recorder.is_in_file(),
    )
}
