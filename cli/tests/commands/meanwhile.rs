//! `spandrel tree` of programs whose work is done by threads that are inside no span of the trace then, as an
//! engine's systems are on the threads of a pool.

use std::path::Path;
use std::sync::mpsc;
use std::thread::{self, Scope};
use std::time::Duration;

use serde_json::{Value, json as value};
use spandrel::{Entries, Profiler};
use tracing::{Dispatch, Span, dispatcher, info_span};
use tracing_subscriber::layer::SubscriberExt;

use super::fixture::{ids_of, json, new_path, report, text};
use super::frames::{self, MS};

const FRAMES: usize = 40;

fn drawing(path: &Path, words: &[&str]) -> String {
    text(path, &[&["tree"], words].concat())
}

fn document(path: &Path, words: &[&str]) -> Value {
    json(path, &[&["tree"], words].concat())
}

/// The lines from the heading on, without what stands beneath.
fn section(page: &str) -> Vec<&str> {
    let lines = page.lines().skip_while(|line| !line.trim().starts_with("meanwhile"));
    lines.take_while(|line| !line.starts_with("critical path")).collect()
}

/// A thread of a pool, which works each time that it is told to.
struct Worker {
    go: mpsc::Sender<()>,
    done: mpsc::Receiver<()>,
}

impl Worker {
    fn start<'a>(
        scope: &'a Scope<'a, '_>,
        (name, dispatch): (&str, &Dispatch),
        work: impl Fn() + Send + 'a,
    ) -> Self {
        let (go, told) = mpsc::channel();
        let (tell, done) = mpsc::channel();
        let dispatch = dispatch.clone();
        let thread = thread::Builder::new().name(name.to_owned());
        let body = move || {
            while told.recv().is_ok() {
                work();
                tell.send(()).unwrap();
            }
        };
        thread.spawn_scoped(scope, move || dispatcher::with_default(&dispatch, body)).unwrap();
        Self { go, done }
    }

    fn work(&self) {
        self.go.send(()).unwrap();
        self.done.recv().unwrap();
    }
}

/// As the executor of an engine with several threads: the main thread is in the spans of the frame and waits;
/// systems are entered by two others, `walk` while `think` goes on, so that `think` is the slowest.
fn play(dispatch: &Dispatch, [think, walk]: &[Span; 2]) {
    thread::scope(|scope| {
        let walker = Worker::start(scope, ("pool 1", dispatch), || walk.in_scope(|| ()));
        let thinker = Worker::start(scope, ("pool 0", dispatch), move || {
            think.in_scope(|| walker.work());
        });
        dispatcher::with_default(dispatch, || {
            for _ in 0..FRAMES {
                let _update = info_span!("update").entered();
                let _schedule = info_span!("schedule").entered();
                thinker.work();
            }
        });
    });
}

#[test]
fn a_frame_names_its_slowest_system_also_if_another_thread_ran_it() {
    let (_folder, path) = new_path();
    let builder = Profiler::builder().entries_of("system", Entries::All);
    let profiler = builder.database(&path).build().unwrap();
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(profiler.layer()));
    let system = |name: &str| dispatcher::with_default(&dispatch, || info_span!("system", name));
    let systems = ["think", "walk"].map(system);
    play(&dispatch, &systems);
    profiler.flush(Duration::from_secs(60)).unwrap();
    check(&path);
    profiler.close().unwrap();
    check(&path);
    fn check(path: &Path) {
        let frames = ids_of(path, "update");
        assert_eq!(frames.len(), FRAMES);
        for frame in [frames[0], frames[FRAMES / 2], frames[FRAMES - 1]] {
            let found = document(path, &[&format!("t{frame}")]);
            let ran = found["meanwhile"].as_array().unwrap();
            let names: Vec<_> = ran.iter().map(|row| row["fields"]["name"].as_str()).collect();
            assert_eq!(names, [Some("think"), Some("walk")], "{found:#}");
            let of = |row: usize, what: &str| ran[row][what].clone();
            let said = ["name", "thread", "threads", "calls"].map(|what| of(0, what));
            assert_eq!(
                said,
                [value!("system"), value!("pool 0"), value!(1), value!(1)],
                "{found:#}"
            );
            assert_eq!(
                (of(0, "total_ns"), of(1, "thread")),
                (of(0, "longest_ns"), value!("pool 1"))
            );
            assert_eq!(
                (&found["meanwhile_of"], &found["meanwhile_left_out"]),
                (&value!(frame), &value!(0))
            );
            // Of the tree it is no part.
            let rows = found["rows"].as_array().unwrap().iter().map(|row| row["name"].as_str());
            assert_eq!(rows.collect::<Vec<_>>(), [Some("update"), Some("schedule")]);
            assert_eq!(found["entries"], 0);
            let page = drawing(path, &[&format!("t{frame}")]);
            let lines = section(&page);
            assert_eq!((lines.len(), lines[0].trim()), (3, "meanwhile on other threads"), "{page}");
            assert!(lines[1].contains("⟳ system") && lines[1].contains("name=think"), "{page}");
            assert!(lines[1].contains("on pool 0") && lines[2].contains("on pool 1"), "{page}");
            let words: Vec<&str> = page.split_whitespace().collect();
            assert!(words.join(" ").contains("⟳ lives long: each time"), "{page}");
        }
        // Of a span that was asked for, what was in its time.
        let schedule = found_below(path, frames[7]);
        let page = drawing(path, &[&format!("s{schedule}")]);
        let heading = format!("meanwhile on other threads, in the time of s{schedule}");
        assert_eq!(section(&page)[0].trim(), heading, "{page}");
    }
    fn found_below(path: &Path, frame: u64) -> u64 {
        let found = document(path, &[&format!("t{frame}")]);
        found["rows"][1]["id"].as_u64().unwrap()
    }
}

#[test]
fn a_page_of_traces_has_what_ran_on_other_threads() {
    let document = report(frames::profile());
    let trace = &document["traces"][0];
    let row = &trace["meanwhile"][0];
    let name = &document["names"][row["name"].as_u64().unwrap() as usize];
    assert_eq!((&name["name"], &name["long"]), (&value!("system"), &value!(true)));
    assert_eq!((&row["fields"], &row["thread"]), (&value!([["name", "audio"]]), &value!("audio")));
    let figures = ["calls", "total_ns", "longest_ns", "threads"].map(|key| row[key].clone());
    assert_eq!(figures, [value!(1), value!(2 * MS), value!(2 * MS), value!(1)]);
    assert_eq!(trace["meanwhile_more"], value!([0, 0]));
}
