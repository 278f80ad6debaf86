//! The row of a recording in table `run`.

use spandrel_storage::{RunInfo, SqliteVersion};

use super::settings::DatabaseSettings;
use crate::handle::run_info::{OtherSettings, Run};
use crate::json_string::push_string;

pub(super) fn run_row(run: Run) -> RunInfo {
    let Run { uuid, label, started_unix_ns, pid, program, args, host, os, cpus, clock, settings } =
        run;
    RunInfo { uuid, label, started_unix_ns, pid, program, args, host, os, cpus, clock, settings }
}

/// What the settings of the database are in the row's JSON.
pub(super) fn others(settings: &DatabaseSettings) -> OtherSettings {
    let mut path = String::new();
    push_string(&mut path, &settings.path.display().to_string());
    let optional = |value: Option<u64>| value.map_or("null".to_owned(), |value| value.to_string());
    let store = &settings.store;
    OtherSettings {
        place: format!(r#""sqlite":"{}","database":{path},"#, SqliteVersion::linked()),
        batches: format!(
            r#""batch_size":{},"flush_interval_ms":{},"#,
            settings.batch_size,
            settings.flush_interval.as_millis(),
        ),
        rest: format!(
            concat!(
                r#""control":{},"live_readers":{},"close_timeout_ms":{},"synchronous":"{:?}","#,
                r#""max_bytes":{},"max_age_s":{},"#
            ),
            settings.control,
            store.live_readers,
            settings.close_timeout.as_millis(),
            store.synchronous,
            optional(store.max_bytes),
            optional(store.max_age.map(|age| age.as_secs())),
        ),
    }
}
