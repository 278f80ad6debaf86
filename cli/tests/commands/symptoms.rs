//! Programs that do something odd, really recorded. What is said of them stands in `said/symptoms.md`.

use std::path::Path;
use std::time::{Duration, Instant};

use spandrel::{Profiler, ProfilerBuilder};
use tracing::{Instrument, Span, info_span};
use tracing_subscriber::layer::SubscriberExt;

use super::fixture::{bare, new_path, run};
use super::said::at;

/// Of each kind that is kept open.
const REQUESTS: u32 = 20;
/// What misleads: `doctor` says nothing below a millisecond.
const LONG_AFTER: Duration = Duration::from_millis(10);

/// Records `work`, with a runtime of one thread.
fn recorded<F: Future<Output = ()>>(
    builder: ProfilerBuilder,
    path: &Path,
    work: impl FnOnce() -> F,
) {
    let profiler = builder.database(path).build().unwrap();
    let subscriber = tracing_subscriber::registry().with(profiler.layer());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    tracing::subscriber::with_default(subscriber, || runtime.block_on(work()));
    profiler.close().unwrap();
}

/// The profiles of `said/symptoms.md`.
pub fn write(folder: &Path) {
    recorded(Profiler::builder(), &at(folder, "nested"), || async {
        let request = || async {
            let _guard = info_span!("request").entered();
            tokio::task::yield_now().await;
        };
        let here = tokio::task::LocalSet::new();
        (0..100).for_each(|_| drop(here.spawn_local(request())));
        here.await;
    });
    recorded(Profiler::builder(), &at(folder, "chain"), || async {
        let mut connection = Span::none();
        for _ in 0..300 {
            // Made by the one before, and never a root.
            connection = info_span!(parent: &connection, "connection");
            connection.in_scope(|| info_span!("handshake").in_scope(|| ()));
        }
    });
    // Many of each, of which three have to be undisturbed: a thread may lose its processor between the end of a child
    // and that of its parent, or before it lets go of the request.
    recorded(Profiler::builder(), &at(folder, "kept"), || async {
        for _ in 0..REQUESTS {
            let request = info_span!("request");
            let audit = request.in_scope(|| {
                let work = async {
                    for _ in 0..5 {
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                };
                tokio::spawn(work.instrument(info_span!("audit")))
            });
            drop(request);
            audit.await.unwrap();
        }
    });
    recorded(Profiler::builder(), &at(folder, "polled"), || async {
        for _ in 0..REQUESTS {
            let (began, mut audit) = (Instant::now(), None);
            let request = async {
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                // It begins when the request was left, and takes several times as long as that took, however
                // long the thread had to wait for its processor; and never so little that nobody is misled.
                let outlives = LONG_AFTER + 4 * began.elapsed();
                let work = async move { tokio::time::sleep(outlives).await };
                audit = Some(tokio::spawn(work.instrument(info_span!("audit"))));
            };
            request.instrument(info_span!("request")).await;
            audit.unwrap().await.unwrap();
        }
    });
    recorded(Profiler::builder(), &at(folder, "cut"), || async {
        drop(info_span!("prompt", text = "x".repeat(100_000)));
    });
    recorded(Profiler::builder().max_bytes(50_000), &at(folder, "over"), || async {
        (0..1_000).for_each(|number| drop(info_span!("work", number)));
    });
    recorded(Profiler::builder(), &at(folder, "server"), server);
}

/// A server that awaits what it has spawned, runs things side by side and on other threads, has requests that
/// are given up, and a function that calls itself.
async fn server() {
    fn walk(depth: u32) {
        let _span = info_span!("walk", depth).entered();
        if depth > 0 {
            walk(depth - 1);
        }
    }
    async fn query(number: u64) {
        let work = async move { tokio::time::sleep(Duration::from_millis(number % 3)).await };
        work.instrument(info_span!("query", number)).await;
    }
    for number in 0..60_u64 {
        let request = async move {
            query(number).await;
            let (_, _) = tokio::join!(query(number), query(number + 1));
            let pool = tokio::spawn(
                async move {
                    for _ in 0..6 {
                        tokio::task::yield_now().await;
                    }
                    std::thread::sleep(Duration::from_millis(2));
                }
                .instrument(info_span!("pool")),
            );
            pool.await.unwrap();
            let here = Span::current();
            let sum = tokio::task::spawn_blocking(move || {
                let _span = info_span!(parent: &here, "hash").entered();
                std::thread::sleep(Duration::from_millis(2));
            });
            sum.await.unwrap();
            walk(12);
        };
        let given_up = Duration::from_millis(if number % 10 == 0 { 1 } else { 60_000 });
        let request = request.instrument(info_span!("request", number));
        let _ = tokio::time::timeout(given_up, request).await;
    }
}

/// What `doctor` and `top` say of it.
fn said(path: &Path) -> [String; 2] {
    // Notes are told beside the table.
    ["doctor", "top"].map(|command| super::fixture::said(path, &[command]))
}

#[test]
fn a_limit_that_leaves_nothing_is_told_of_with_one_that_makes_sense() {
    let (_folder, path) = new_path();
    let record = |limit: u64| {
        let _ = std::fs::remove_file(&path);
        recorded(Profiler::builder().max_bytes(limit), &path, || async {
            (0..60_000).for_each(|number| drop(info_span!("work", number)));
        });
    };
    record(300_000);
    let [doctor, top] = said(&path);
    for text in [&doctor, &top] {
        let is_told = |line: &str| {
            ["size: ", "limit of 300 KB", "all ", "were deleted again"]
                .iter()
                .all(|part| line.contains(part))
        };
        assert!(text.lines().any(is_told), "{text}");
    }
    let advised = doctor.split("SPANDREL_MAX_BYTES=").nth(1).unwrap();
    let advised: u64 = advised.split_whitespace().next().unwrap().parse().unwrap();
    record(advised);
    let [doctor, top] = said(&path);
    assert!(!doctor.contains("size: ") && !top.contains("size: "), "{advised}: {doctor}{top}");
    let (kept, _, _) =
        run(bare(&["sql", "SELECT count(*) > 8192 FROM span", "-f", "csv", "--db"]).arg(&path));
    assert!(kept.ends_with("\n1\n"), "{advised}: {kept}");
}
