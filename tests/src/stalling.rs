//! A program with a future that blocks its executor, beside one that does not, and what is found of it.

use std::future::poll_fn;
use std::sync::Barrier;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use spandrel::Profiler;
use spandrel_query::Reader;
use spandrel_query::{Filter, Scan, Stall, StallsOn};
use tokio::runtime::Runtime;
use tracing::{Instrument, info_span};
use tracing_subscriber::prelude::*;

use crate::entry_witness::EntryWitness;
use crate::{Scratch, ledger};

/// Threads of the pool.
const WORKERS: usize = 3;

/// Records the program on this runtime, as the only one of the process.
pub fn record(runtime: Runtime, profiler: Profiler, scratch: &Scratch) -> EntryWitness {
    let witness = EntryWitness::default();
    let (before, after) = witness.layers();
    let layers = tracing_subscriber::registry().with(before).with(profiler.layer()).with(after);
    layers.init();
    // Around the runtime: inside all the while, and nobody's stall.
    info_span!("around").in_scope(|| runtime.block_on(program()));
    drop(runtime);
    let report = profiler.close().unwrap();
    ledger::check_complete(scratch.db(), &report);
    witness
}

async fn program() {
    let harmless = tokio::spawn(harmless().instrument(info_span!("harmless")));
    let blocking = tokio::spawn(blocking().instrument(info_span!("blocking")));
    let pool = tokio::task::spawn_blocking(|| {
        info_span!("pool").in_scope(|| thread::sleep(Duration::from_millis(150)));
    });
    let shared = tokio::task::spawn_blocking(several_threads_at_once);
    let loser = async {
        tokio::select! {
            biased;
            () = std::future::pending::<()>().instrument(info_span!("loser")) => {}
            () = tokio::task::yield_now() => {}
        }
    };
    let (harmless, blocking, pool, shared, ()) =
        tokio::join!(harmless, blocking, pool, shared, loser);
    harmless.and(blocking).and(pool).and(shared).unwrap();
}

/// A span that all threads of a pool are inside at once, each a bit longer than the one before.
fn several_threads_at_once() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(WORKERS);
    let pool = pool.thread_name(|n| format!("pool-{n}")).build().unwrap();
    let (shared, all_inside) = (info_span!("shared"), Barrier::new(WORKERS));
    pool.broadcast(|worker| {
        shared.in_scope(|| {
            all_inside.wait();
            thread::sleep(Duration::from_millis(30 * (worker.index() as u64 + 1)));
        });
    });
}

/// One poll of 100 ms.
async fn blocking() {
    let first = Duration::from_millis(90);
    info_span!("parse").in_scope(|| thread::sleep(first));
    thread::sleep(Duration::from_millis(10));
}

/// A hundred polls of 1 ms: as much in all.
async fn harmless() {
    let mut left = 100;
    poll_fn(|context| {
        thread::sleep(Duration::from_millis(1));
        left -= 1;
        if left == 0 {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Compares what is found with what the witness saw.
pub fn check(scratch: &Scratch, witness: &EntryWitness) {
    let reader = Reader::open(scratch.db()).unwrap();
    let stalls = |limit: Duration, on| {
        let scan = Scan::new(1);
        let limit_ns = limit.as_nanos() as i64;
        reader.stalls(&scan, &Filter::all(), limit_ns, on).unwrap().0
    };
    let name = |stall: &Stall| stall.worst.callsite.name.clone();
    let found = stalls(Duration::from_micros(500), StallsOn::Runtimes);
    let all = stalls(Duration::from_millis(10), StallsOn::AllThreads);
    for stall in found.iter().chain(&all) {
        let (least, most) = witness.longest(&name(stall));
        let longest = Duration::from_nanos(stall.longest_ns() as u64);
        let slack = (most / 100).max(Duration::from_millis(1));
        assert!(longest + slack >= least && longest <= most + slack, "{stall:?}: {least:?}");
    }
    let names: Vec<String> = found.iter().map(name).collect();
    let elsewhere = ["around", "pool", "shared"];
    assert!(!names.iter().any(|name| elsewhere.contains(&name.as_str())), "{names:?}");
    let place = |wanted: &str| names.iter().position(|name| name == wanted).unwrap();
    // On a machine that is busy with other things a short poll can be interrupted for as long, or as what is left of
    // the blocking one without the parser.
    let (parse, blocking) = (witness.longest("parse"), witness.longest("blocking"));
    if witness.longest("harmless").1 < parse.0.min(blocking.0.saturating_sub(parse.1)) {
        assert_eq!(names[..2], ["parse", "blocking"]);
    }
    // Most of it is the parser's.
    assert!(place("parse") < place("blocking"), "{names:?}");
    let Stall { worst, inside, self_ns, .. } = &found[place("blocking")];
    assert_eq!(*self_ns, worst.longest_entry_ns.unwrap() - inside[0].ns);
    assert_eq!((inside.len(), inside[0].name.as_str(), inside[0].spans), (1, "parse", 1));
    assert!(inside[0].ns <= worst.longest_entry_ns.unwrap());
    let shared = &all.iter().find(|stall| name(stall) == "shared").expect("it is long").worst;
    assert_eq!(shared.entries, WORKERS as u64);
    assert!(shared.busy_ns > shared.longest_entry_ns, "over all threads: {shared:?}");
    let thread = shared.longest_thread.name.as_deref().unwrap_or_default();
    assert!(thread.starts_with("pool-") && *shared.thread.name.as_ref().unwrap() != thread);
    assert!(["around", "pool"].iter().all(|wanted| all.iter().any(|stall| name(stall) == *wanted)));
}
