//! A profiler as the environment describes it; without `SPANDREL_DB` one that costs nothing. In
//! processes of their own, since the environment belongs to all threads.

use std::process::{Command, Stdio};

use spandrel_tests::prelude::*;

#[test]
fn the_environment_describes_the_profiler() {
    if child::role().is_some() {
        let profiler = Profiler::from_env().unwrap();
        assert!(profiler.is_enabled());
        within(&dispatch(&profiler), || {
            info_span!(
                "work",
                text = "a text that is longer than what is allowed of it; ".repeat(4)
            )
            .in_scope(|| {
                warn!("kept");
                info!("not kept");
            });
        });
        let report = profiler.close().unwrap();
        let path = std::env::var("SPANDREL_DB").unwrap();
        ledger::check_complete(path.as_ref(), &report);
        return;
    }
    let scratch = scratch_for(30);
    child::plan("record")
        .env("SPANDREL_DB", scratch.db())
        .env("SPANDREL_LABEL", "from outside")
        .env("SPANDREL_RING_CAPACITY", "2048")
        .env("SPANDREL_MAX_FIELD_BYTES", "128")
        .env("SPANDREL_EVENTS", "warn")
        .start()
        .succeed();
    let db = Database::open(scratch.db());
    assert_eq!(db.value::<String>("SELECT label FROM run"), "from outside");
    assert_eq!(db.count("SELECT settings ->> 'ring_capacity' FROM run"), 2_048);
    assert_eq!(db.span("work").fields.cut().len(), 1);
    let messages: Vec<_> = db.events().into_iter().map(|event| event.message).collect();
    assert_eq!(messages, [Some("kept".to_owned())]);
}

#[test]
fn without_a_database_nothing_happens() {
    if child::role().is_some() {
        let folder = scratch();
        std::env::set_current_dir(folder.folder()).unwrap();
        let profiler = Profiler::from_env().unwrap();
        assert!(!profiler.is_enabled());
        within(&dispatch(&profiler), || {
            (0..1_000).for_each(|n| info_span!("work", n).in_scope(|| info!("event")));
        });
        profiler.flush(Duration::from_secs(1)).unwrap();
        ledger::identity(&profiler.stats());
        assert_eq!(profiler.stats().recorded, 0);
        let report = profiler.close().unwrap();
        ledger::settled(&report);
        assert_eq!(report.recorded, 0);
        assert!(report.to_string().ends_with("; this process is not recorded"), "{report}");
        assert_eq!(std::fs::read_dir(folder.folder()).unwrap().count(), 0, "no file was made");
        return;
    }
    let _limit = time_limit(30);
    child::plan("unset").start().succeed();
    child::plan("empty").env("SPANDREL_DB", "").start().succeed();
}

#[test]
fn a_variable_that_cannot_be_understood_is_named() {
    if child::role().is_some() {
        // The program goes on, and says why on its standard error.
        assert!(!Profiler::from_env().unwrap().is_enabled());
        let error = Profiler::try_from_env().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOption);
        let message = error.to_string();
        assert!(message.contains("SPANDREL_BATCH_SIZE") && message.contains("many"), "{message}");
        let path = std::env::var("SPANDREL_DB").unwrap();
        assert!(!std::path::Path::new(&path).exists(), "nothing was made");
        return;
    }
    let scratch = scratch_for(30);
    child::plan("record")
        .env("SPANDREL_DB", scratch.db())
        .env("SPANDREL_BATCH_SIZE", "many")
        .start()
        .succeed();
}

#[test]
fn a_misspelt_variable_is_told_of_and_the_program_is_recorded() {
    if child::role().is_some() {
        assert!(Profiler::from_env().unwrap().is_enabled());
        return;
    }
    for names in [&["SPANDREL_SPAN", "SPANDREL_FILTERS"][..], &["SPANDREL_PAGER"]] {
        let scratch = scratch_for(30);
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &child::this_test(), "--nocapture"])
            .env("SPANDREL_TEST_ROLE", "record")
            .env("SPANDREL_DB", scratch.db())
            .envs(names.iter().map(|name| (name, "debug")))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        let lines: Vec<_> = said.lines().filter(|line| line.starts_with("spandrel:")).collect();
        let wanted = "spandrel: SPANDREL_FILTERS (did you mean SPANDREL_FILTER?), SPANDREL_SPAN \
                      (did you mean SPANDREL_SPANS?) are no settings, and are ignored";
        assert_eq!(lines, if names.len() == 2 { vec![wanted] } else { vec![] });
    }
}

/// What a program says of its environment that takes its settings from there.
fn said_of(variables: &[(&str, &std::ffi::OsStr)]) -> Vec<String> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &child::this_test(), "--nocapture"])
        .env("SPANDREL_TEST_ROLE", "record")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let lines = said.lines().filter(|line| line.starts_with("spandrel:"));
    lines.map(str::to_owned).collect()
}

#[test]
fn what_contradicts_itself_is_told_of_and_the_program_goes_on() {
    if child::role().is_some() {
        return drop(Profiler::from_env().unwrap());
    }
    let scratch = scratch_for(60);
    let said = said_of(&[("SPANDREL_CRASH_PROOF", "1".as_ref())]);
    let line =
        "without SPANDREL_DB, SPANDREL_CRASH_PROOF says nothing: this process is not recorded";
    assert_eq!(said, [format!("spandrel: {line}")]);
    assert_eq!(said_of(&[("SPANDREL_CRASH_PROOF", "0".as_ref())]), [] as [&str; 0]);
    let db = scratch.db().as_os_str();
    assert_eq!(said_of(&[("SPANDREL_DB", db)]), [] as [&str; 0]);
    let folder = scratch.path("rings");
    let said = said_of(&[("SPANDREL_DB", db), ("SPANDREL_COLLECT", folder.as_os_str())]);
    let line = "beside SPANDREL_COLLECT, SPANDREL_DB says nothing";
    assert!(said[0].starts_with(&format!("spandrel: {line}")), "{said:?}");
}

#[test]
fn a_variable_out_of_range_is_named() {
    if child::role().is_some() {
        let message = Profiler::try_from_env().unwrap_err().to_string();
        assert!(message.starts_with("SPANDREL_RING_CAPACITY is 0;"), "{message}");
        return;
    }
    let scratch = scratch_for(30);
    child::plan("record")
        .env("SPANDREL_DB", scratch.db())
        .env("SPANDREL_RING_CAPACITY", "0")
        .start()
        .succeed();
}
