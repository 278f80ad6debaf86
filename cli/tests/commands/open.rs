//! `spandrel open`: what is open, in the profile or in ring files.

use std::path::Path;

use spandrel_storage::{OpenSpanRow, RunInfo, SpanRow, Status};

use super::fixture::{Recording, Shared, bare, run};

const MS: i64 = 1_000_000;

/// A run that has no end, with what was open when its writer last looked: on one thread one inside of another. And another
/// run without anything.
pub fn profile() -> &'static Path {
    static PROFILE: Shared = Shared::new();
    PROFILE.written_by(|path| {
        let info = RunInfo { args: "[]".into(), settings: "{}".into(), ..RunInfo::default() };
        let mut recording =
            Recording::begin(path, &RunInfo { uuid: "1".repeat(32), ..info.clone() });
        let fields = recording.text(r#"{"order":4711}"#);
        let rows =
            [("request", 1, 0, 20), ("charge", 2, 1, 50)].map(|(name, id, parent_id, at)| {
                let callsite_id = recording.name_of(name, "shop");
                let span = SpanRow {
                    parent_id,
                    root_id: 1,
                    duration_ns: None,
                    self_ns: None,
                    status: Status::Unfinished,
                    fields: if id == 2 { fields.clone() } else { 0..0 },
                    ..recording.span(id, callsite_id, at * MS, 30 * MS)
                };
                OpenSpanRow { span, seen_ns: 80 * MS }
            });
        recording.batch.open_spans = Some(rows.to_vec());
        recording.leave();
        Recording::begin(path, &RunInfo { uuid: "2".repeat(32), ..info }).leave();
    })
}

/// What it says, in a machine's words.
fn document(words: &[&str]) -> serde_json::Value {
    let (out, err, code) = run(&mut bare(&[&["open", "-f", "json"], words].concat()));
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn without_a_ring_file_it_is_what_the_recording_has_seen_last() {
    let db = profile().to_str().unwrap();
    let found = document(&["--db", db, "--run", "1"]);
    let rows = found["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[0]["name"], &rows[0]["age_ns"]), (&"request".into(), &(60 * MS).into()));
    assert_eq!((&rows[1]["parent_id"], &rows[1]["age_ns"]), (&1.into(), &(30 * MS).into()));
    assert_eq!(rows[1]["fields"]["order"], 4711);
    assert!(rows.iter().all(|row| row["from"] == "profile" && row["run"] == 1));
    let source = &found["programs"][0];
    assert_eq!((&source["from"], &source["owner"]), (&"profile".into(), &().into()));
    let (out, err, code) = run(&mut bare(&["open", "--db", db, "--run", "1", "-f", "table"]));
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains("run 1: 2 spans open, as the recording last looked, at +80.00 ms"),
        "{out}"
    );
    assert!(
        out.lines().any(|line| line.contains("  charge") && line.contains("order=4711")),
        "{out}"
    );
}

#[test]
fn what_has_ended_has_nothing_open_and_says_so() {
    let (out, err, code) = run(&mut super::fixture::spandrel(&["open", "-f", "table"]));
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("has ended"), "{out}");
    let (_, err, code) = run(&mut bare(&["open", "/is/not/there"]));
    assert!(code == 3 && err.contains("there is no such folder"), "{err}");
    let (_, err, code) = run(&mut bare(&["open", "/tmp", "--run", "1"]));
    assert!(code == 2 && err.contains("has no runs"), "{err}");
}

#[cfg(all(target_os = "linux", feature = "collected"))]
pub use rings::folder_with_programs;

/// Of programs that record into ring files.
#[cfg(all(target_os = "linux", feature = "collected"))]
mod rings {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use spandrel::Profiler;
    use tempfile::TempDir;
    use tracing::info_span;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// Some programs, in this process, that record into ring files of one folder; each has two spans open.
    pub struct Programs {
        folder: TempDir,
        recordings: Vec<(Profiler, [tracing::Span; 2], tracing::Dispatch)>,
    }

    impl Programs {
        pub fn path(&self) -> &str {
            self.folder.path().to_str().unwrap()
        }
    }

    pub fn folder_with_programs() -> Programs {
        let mut builder = tempfile::Builder::new();
        let folder = builder.permissions(Permissions::from_mode(0o700)).tempdir_in("/dev/shm");
        let folder = folder.unwrap();
        let recordings = (0..3).map(|n| {
            let builder = Profiler::builder().collected(folder.path()).ring_capacity(1 << 12);
            let profiler = builder.partitions(2).max_open_spans(64).build().unwrap();
            let layer = tracing_subscriber::registry().with(profiler.layer());
            let dispatch = tracing::Dispatch::new(layer);
            let spans = tracing::dispatcher::with_default(&dispatch, || {
                let request = info_span!("request", program = n, password = "hunter2");
                let charge = info_span!(parent: &request, "charge", program = n);
                [request, charge]
            });
            (profiler, spans, dispatch)
        });
        let recordings = recordings.collect();
        Programs { folder, recordings }
    }

    #[test]
    fn a_folder_has_the_open_spans_of_all_programs() {
        let programs = folder_with_programs();
        let found = document(&[programs.path()]);
        let rows = found["rows"].as_array().unwrap();
        let numbers: Vec<_> =
            rows.iter().map(|row| row["fields"]["program"].as_u64().unwrap()).collect();
        assert_eq!(numbers, [0, 0, 1, 1, 2, 2], "the one that began first comes first");
        for pair in rows.chunks(2) {
            assert_eq!((&pair[0]["name"], &pair[1]["name"]), (&"request".into(), &"charge".into()));
            assert_eq!(pair[1]["parent_id"], pair[0]["id"]);
            assert_eq!(pair[0]["fields"]["password"], "[redacted]");
            assert_eq!(
                (&pair[0]["from"], &pair[0]["pid"]),
                (&"ring".into(), &std::process::id().into())
            );
        }
        let sources = found["programs"].as_array().unwrap();
        assert!(sources.len() == 3 && sources.iter().all(|it| it["owner"] == "alive"), "{found}");
        for (profiler, ..) in &programs.recordings {
            profiler.close().unwrap();
        }
        let found = document(&[programs.path()]);
        assert_eq!(found["rows"], serde_json::json!([]), "what has closed has nothing open");
    }

    /// A profile into which they are collected finds their ring files, and has ids of its own; if nobody collects any
    /// more, it says so.
    #[test]
    fn the_profile_finds_the_folder_and_says_if_nobody_collects() {
        let programs = folder_with_programs();
        let folder = tempfile::tempdir().unwrap();
        let db = folder.path().join("p.db");
        let db = db.to_str().unwrap();
        let (options, mut looks) = (spandrel::collect::CollectOptions::default(), 0);
        let stop = || {
            // Ends when it has stored that they have begun.
            spandrel_query::Reader::open(Path::new(db))
                .and_then(|reader| reader.runs())
                .is_ok_and(|runs| runs.len() == 3)
        };
        let tell = |_| looks += 1;
        spandrel::collect::collect(programs.folder.path(), Path::new(db), &options, stop, tell)
            .unwrap();
        assert_eq!(looks, 3);
        let found = document(&["--db", db]);
        let rows = found["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 6, "{found}");
        let reader = spandrel_query::Reader::open(Path::new(db)).unwrap();
        for run in reader.runs().unwrap() {
            let of_run: Vec<_> = rows.iter().filter(|row| row["run"] == run.id).collect();
            assert_eq!(of_run.len(), 2, "{found}");
            assert!(of_run.iter().all(|row| row["id"].as_u64().unwrap() >= run.first_id));
            assert_eq!(of_run[0]["trace_id"], of_run[0]["id"]);
        }
        let one = document(&["--db", db, "--run", "2"]);
        assert_eq!(one["rows"].as_array().unwrap().len(), 2);
    }

    /// Which run a ring file is of, and that no collector has looked at it, is known to whoever looks at the profile.
    #[test]
    fn doctor_and_info_say_which_command_goes_on_where_nobody_collects() {
        let programs = folder_with_programs();
        let rings = spandrel::recover::in_folder(programs.folder.path()).unwrap();
        assert!(rings.len() == 3 && rings.iter().all(|ring| ring.looked_ago_ns.is_none()));
        let folder = tempfile::tempdir().unwrap();
        let db = folder.path().join("p.db");
        let settings = serde_json::json!({ "collected_from": programs.path() }).to_string();
        let uuid = rings[1].run.clone();
        let info = RunInfo { uuid, args: "[]".into(), settings, ..RunInfo::default() };
        Recording::begin(&db, &info).leave();
        let db = db.to_str().unwrap();
        let command = format!("`spandrel collect {} -o {db}`", programs.path());
        for words in [["doctor", "--db", db], ["info", "--db", db], ["top", "--db", db]] {
            let (out, err, code) = run(bare(&words).args(["-f", "table"]).env("COLUMNS", "400"));
            assert_eq!(code, 0, "{err}");
            let said = "1 program records into ring files in";
            assert!(out.contains(said) && out.contains(&command), "{words:?}: {out}");
        }
        // What is open in it is known all the same.
        let found = document(&["--db", db]);
        assert_eq!(found["rows"].as_array().unwrap().len(), 2, "{found}");
    }

    /// In a process of its own: dies in the middle of a request.
    #[test]
    fn a_program_that_dies() {
        let Some(db) = std::env::var_os("SPANDREL_TEST_DIES") else { return };
        let builder = Profiler::builder().database(&db).ring_capacity(1 << 12);
        let profiler = builder.partitions(2).crash_proof(true).build().unwrap();
        assert_eq!(profiler.stats().crash_proof_error, None);
        let layer = tracing_subscriber::registry().with(profiler.layer());
        tracing::subscriber::with_default(layer, || {
            let _request = info_span!("request", order = 4711).entered();
            std::process::abort();
        });
    }

    #[test]
    fn doctor_finds_a_ring_file_whose_profile_is_not_there_and_what_it_says_helps() {
        let mut builder = tempfile::Builder::new();
        let memory = builder.permissions(Permissions::from_mode(0o700)).tempdir_in("/dev/shm");
        let (memory, folder) = (memory.unwrap(), tempfile::tempdir().unwrap());
        let db = folder.path().join("gone.db");
        let mut program = std::process::Command::new(std::env::current_exe().unwrap());
        program.args(["--exact", "open::rings::a_program_that_dies", "--nocapture"]);
        program.env("SPANDREL_TEST_DIES", &db).env("XDG_RUNTIME_DIR", memory.path());
        program.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        assert!(!program.status().unwrap().success());
        let said = |words: &[&str]| {
            run(bare(words).env("XDG_RUNTIME_DIR", memory.path()).env("COLUMNS", "400"))
        };
        let profile = profile().to_str().unwrap();
        let doctor = ["doctor", "--db", profile, "-f", "json"];
        assert!(!said(&doctor).0.contains("is not at its path"), "its profile is there");
        let (out, err, code) = said(&["open", "--db", db.to_str().unwrap(), "-f", "table"]);
        assert!(
            code == 0 && out.contains("it has died") && out.contains("order=4711"),
            "{out}{err}"
        );
        for ending in ["", "-wal", "-shm", "-control"] {
            _ = std::fs::remove_file(folder.path().join(format!("gone.db{ending}")));
        }
        let (out, _, _) = said(&doctor);
        let found: serde_json::Value = serde_json::from_str(&out).unwrap();
        let rows = found["rows"].as_array().unwrap();
        let finding = rows.iter().find(|row| row["topic"] == "ring file").unwrap();
        let evidence = finding["evidence"].as_str().unwrap();
        assert!(evidence.contains("is not at its path, "), "{finding}");
        assert!(evidence.ends_with("gone.db"), "{finding}");
        let advice = finding["advice"].as_str().unwrap();
        let command = advice.split('`').nth(1).unwrap();
        let ring = command.split(' ').nth(3).unwrap();
        let new = folder.path().join("new.db");
        let new = new.to_str().unwrap();
        assert_eq!(command, format!("spandrel recover --ring {ring} --db NEW.db"));
        // Not into a file that is there.
        let (_, err, code) = said(&["recover", "--ring", ring, "--db", profile]);
        assert!(code == 3 && err.contains("there is such a file already"), "{err}");
        let (out, err, code) = said(&["recover", "--ring", ring, "--db", new]);
        assert!(code == 0 && out.contains("1 span was open then"), "{out}{err}");
        assert!(!Path::new(ring).exists());
        let (out, _, _) =
            said(&["sql", "--db", new, "select name, status from spans", "-f", "csv"]);
        assert!(out.contains("request,crashed"), "{out}");
        let (_, err, code) = said(&["recover", "--ring", ring, "--db", new]);
        assert!(code == 3 && err.contains("there is no such file"), "{err}");
    }
}
