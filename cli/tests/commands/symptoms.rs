//! Programs that do something odd, really recorded: `doctor` finds it and says the way out, `top` has a line on
//! it. Of healthy ones nothing of the kind is said.

use std::path::Path;
use std::time::{Duration, Instant};

use spandrel::{Profiler, ProfilerBuilder};
use tracing::{Instrument, Span, info_span};
use tracing_subscriber::layer::SubscriberExt;

use super::fixture::{bare, new_path, run};

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

/// What `doctor` and `top` say of it.
fn said(path: &Path) -> [String; 2] {
    // Notes are told beside the table.
    ["doctor", "top"].map(|command| super::fixture::said(path, &[command]))
}

fn both_say(path: &Path, topic: &str, parts: &[&str]) {
    let said = said(path);
    for text in &said {
        let mut of_topic = text.lines().filter(|line| line.contains(&format!("{topic}: ")));
        let is_said = of_topic.any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(is_said, "nothing of {topic} with {parts:?}: {text}");
    }
}

#[test]
fn a_guard_that_is_held_over_an_await_is_told_of() {
    let (_folder, path) = new_path();
    recorded(Profiler::builder(), &path, || async {
        let request = || async {
            let _guard = info_span!("request").entered();
            tokio::task::yield_now().await;
        };
        let here = tokio::task::LocalSet::new();
        (0..100).for_each(|_| drop(here.spawn_local(request())));
        here.await;
    });
    both_say(&path, "nested", &["request is inside itself"]);
    assert!(said(&path)[0].contains("held over an .await"));
}

#[test]
fn a_chain_of_reconnects_is_told_of() {
    let (_folder, path) = new_path();
    recorded(Profiler::builder(), &path, || async {
        let mut connection = Span::none();
        for _ in 0..300 {
            // Made by the one before, and never a root.
            connection = info_span!(parent: &connection, "connection");
            connection.in_scope(|| info_span!("handshake").in_scope(|| ()));
        }
    });
    both_say(&path, "nested", &["connection is inside itself"]);
}

#[test]
fn a_span_that_a_spawned_child_keeps_open_is_told_of_with_its_last_exit() {
    let (_folder, path) = new_path();
    recorded(Profiler::builder(), &path, || async {
        for _ in 0..5 {
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
    both_say(&path, "kept open", &["request waits for audit", "was left at +", "and closed at +"]);
}

#[test]
fn a_span_that_was_polled_often_and_is_kept_open_is_told_of_with_what_keeps_it() {
    let (_folder, path) = new_path();
    recorded(Profiler::builder(), &path, || async {
        for _ in 0..5 {
            let (began, mut audit) = (Instant::now(), None);
            let request = async {
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                // It begins when the request was left, and takes several times as long as that took, however
                // long the thread had to wait for its processor.
                let work = async move { tokio::time::sleep(4 * began.elapsed()).await };
                audit = Some(tokio::spawn(work.instrument(info_span!("audit"))));
            };
            request.instrument(info_span!("request")).await;
            audit.unwrap().await.unwrap();
        }
    });
    both_say(&path, "kept open", &["request waits for audit", "was left at +", "and closed at +"]);
    for words in [&["tree"][..], &["explain", "request"]] {
        let said = super::fixture::said(&path, words);
        let mut lines = said.lines().filter(|line| line.contains("request: work ended after "));
        assert!(lines.any(|line| line.contains(" by `audit`")), "{words:?}: {said}");
    }
}

#[test]
fn fields_that_were_cut_are_told_of() {
    let (_folder, path) = new_path();
    recorded(Profiler::builder(), &path, || async {
        drop(info_span!("prompt", text = "x".repeat(100_000)));
    });
    both_say(&path, "fields", &["1 span or event has fields that were cut"]);
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
    both_say(&path, "size", &["limit of 300 KB", "all ", "were deleted again"]);
    let [doctor, _] = said(&path);
    let advised = doctor.split("SPANDREL_MAX_BYTES=").nth(1).unwrap();
    let advised: u64 = advised.split_whitespace().next().unwrap().parse().unwrap();
    record(advised);
    let [doctor, top] = said(&path);
    assert!(!doctor.contains("size: ") && !top.contains("size: "), "{advised}: {doctor}{top}");
    let (kept, _, _) =
        run(bare(&["sql", "SELECT count(*) > 8192 FROM span", "-f", "csv", "--db"]).arg(&path));
    assert!(kept.ends_with("\n1\n"), "{advised}: {kept}");
}

#[test]
fn a_file_over_its_limit_is_told_of() {
    let (_folder, path) = new_path();
    // Less than the tables need.
    recorded(Profiler::builder().max_bytes(50_000), &path, || async {
        (0..1_000).for_each(|number| drop(info_span!("work", number)));
    });
    both_say(&path, "size", &["its limit is 50"]);
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

#[test]
fn of_healthy_programs_nothing_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let served = folder.path().join("server.db");
    recorded(Profiler::builder(), &served, server);
    let loaded = folder.path().join("load.db");
    // However slow the machine is, what was made is there.
    let words = ["load", "--rate", "5000", "--for", "1s", "--threads", "2", "--keep", "--db"];
    run(bare(&words).arg(&loaded));
    for path in [&served, &loaded] {
        let said = said(path).concat();
        for topic in ["nested", "kept open", "lag", "fields", "size", "age", "log", "requests"] {
            assert!(!said.contains(&format!("{topic}: ")), "{topic}: {said}");
        }
    }
}
