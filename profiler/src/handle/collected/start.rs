//! From settings to a profiler that records into a ring file.

use std::path::PathBuf;
use std::sync::Arc;

use spandrel_ring::fork;

use super::backend::Collected;
use super::marks::MarksInFile;
use super::settling;
use crate::error::{Error, ErrorKind};
use crate::handle::builder::ProfilerBuilder;
use crate::handle::profiler::Profiler;
use crate::handle::run_info::{OtherSettings, Run, describe_run, uuid};
use crate::json_string::push_string;
use crate::recorder::ring_file::layout::names;
use crate::recorder::ring_file::own::{Drainer, FilePlan, OwnFile};
use crate::recorder::ring_file::place;
use crate::recorder::{Recorder, local};

impl Profiler {
    pub(in crate::handle) fn start_collected(
        builder: ProfilerBuilder,
        folder: PathBuf,
    ) -> Result<Self, Error> {
        builder.check(None)?;
        #[cfg(feature = "database")]
        builder.database.check_unused()?;
        // The path may be relative to a current folder that changes later.
        let folder = std::path::absolute(&folder).unwrap_or(folder);
        if place::is_of_ended_command(&folder) {
            let message = format!(
                "{}: the `spandrel record --collect` that collected from here has ended, so that nobody would come for what \
                 is recorded; start this program by one of its own, or unset SPANDREL_COLLECT",
                folder.display()
            );
            return Err(Error::new(ErrorKind::RingFile, message).with_path(&folder));
        }
        let uuid = uuid();
        // The collector gives ids to rows: those of the recorder mean something in this run only.
        let options = builder.recorder_options(builder.rule()?, 1);
        let redacted = builder.redaction.added().to_vec();
        let plan = FilePlan {
            drainer: Drainer::Folder(folder.clone()),
            run: uuid.clone(),
            redacted,
            has_signal_handler: builder.signal_handler,
        };
        // What a thread of a forked child knows of its parent's table is not so there.
        fork::call_in_child(local::forget_in_child);
        let made = Recorder::try_new_in_file(&options, &plan);
        let (recorder, consumer) = made.map_err(|error| {
            let message = format!("cannot record into a ring file: {error}");
            Error::new(ErrorKind::RingFile, message).with_path(&folder).with_source(error)
        })?;
        let Some(file) = &recorder.file else {
            return Err(Error::new(ErrorKind::RingFile, "the ring is in no file"));
        };
        let mut place = String::from(r#""collected":"#);
        push_string(&mut place, &folder.display().to_string());
        place.push(',');
        let others = OtherSettings { place, ..OtherSettings::default() };
        let run = describe_run(&builder, &recorder, uuid, others);
        let begun = say_about(file, &run).and_then(|()| settling::start(&recorder));
        if let Err(error) = begun {
            // The error that is being returned is the one that counts.
            _ = file.remove();
            recorder.close_ring();
            return Err(error);
        }
        file.begin_collected();
        let marks = Arc::new(MarksInFile::new(Arc::clone(&recorder)));
        let backend = Collected::new(Arc::clone(&recorder), consumer, Arc::clone(&marks), folder);
        Ok(Self::with(recorder, Box::new(backend), marks, builder.gauge_interval))
    }
}

/// Says in the file what there is to say of the run.
fn say_about(file: &OwnFile, run: &Run) -> Result<(), Error> {
    let numbers =
        [run.started_unix_ns.cast_unsigned(), u64::from(run.cpus), u64::from(run.label.is_some())];
    let label = run.label.as_deref().unwrap_or_default();
    let say = |arguments: &str| {
        let texts = [label, arguments, &run.host, &run.os, &run.clock, &run.settings];
        file.say(names::ABOUT, &numbers, &texts)
    };
    // There may be megabytes of arguments, in which nobody is interested.
    if say(&run.args) || say("[]") {
        return Ok(());
    }
    let message = "there is no room in a ring file for the settings; make label and filter shorter";
    Err(Error::new(ErrorKind::InvalidOption, message))
}
