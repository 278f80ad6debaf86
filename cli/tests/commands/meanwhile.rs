//! Frames of games that were really recorded, by one thread and by the threads of a pool: the profiles of
//! `said/recorded_frames.md`.

use std::path::Path;
use std::sync::mpsc;
use std::thread::{self, Scope};
use std::time::Duration;

use serde_json::json as value;
use spandrel::{Entries, Profiler};
use tracing::{Dispatch, Span, dispatcher, info_span};
use tracing_subscriber::layer::SubscriberExt;

use super::fixture::report;
use super::frames::{self, MS};
use super::said::at;

const FRAMES: usize = 40;

/// Two recordings that are over, and two that go on.
pub fn write(folder: &Path) -> Vec<(Profiler, [Span; 2])> {
    let game = |name: &str, systems: [&str; 2], play: fn(&Dispatch, &[Span; 2])| {
        let builder = Profiler::builder().entries_of("system", Entries::All);
        let profiler = builder.database(at(folder, name)).build().unwrap();
        let dispatch = Dispatch::new(tracing_subscriber::registry().with(profiler.layer()));
        let system = |name| dispatcher::with_default(&dispatch, || info_span!("system", name));
        let systems = systems.map(system);
        play(&dispatch, &systems);
        if name.ends_with("over") {
            profiler.close().unwrap();
        } else {
            profiler.flush(Duration::from_secs(60)).unwrap();
        }
        (profiler, systems)
    };
    ["over", "goes_on"]
        .into_iter()
        .flat_map(|end| {
            [
                game(&format!("alone_{end}"), ["physics", "render"], play_alone),
                game(&format!("pool_{end}"), ["think", "walk"], play),
            ]
        })
        .collect()
}

/// Physics solves and calls render inside, which is called once more beside it.
fn play_alone(dispatch: &Dispatch, [physics, render]: &[Span; 2]) {
    dispatcher::with_default(dispatch, || {
        for _ in 0..FRAMES {
            let _update = info_span!("update").entered();
            let _schedule = info_span!("schedule").entered();
            physics.in_scope(|| {
                drop(info_span!("solve").entered());
                render.in_scope(|| ());
            });
            render.in_scope(|| ());
        }
    });
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
