//! On one thread a child has a larger id than its parent, and what begins later than what began earlier: `examples/query.rs` goes by it.

use spandrel::scope;
use spandrel_tests::prelude::*;

#[test]
fn ids_of_one_thread_are_in_the_order_of_their_beginnings() {
    alone!();
    let (scratch, profiler) = recording_for(60);
    let Some(_) = child::role() else {
        child::plan("global").start().succeed();
        return;
    };
    profiler.subscriber().init().unwrap();
    for _ in 0..100 {
        let _outer = scope!("outer scope");
        let _span = info_span!("span").entered();
        let _inner = scope!("inner scope");
    }
    let db = ledger::check(scratch.db(), &profiler.close().unwrap());
    let smaller = "SELECT count(*) FROM span c JOIN span p ON p.id = c.parent_id
         WHERE c.thread_id = p.thread_id AND c.id < p.id";
    assert_eq!(db.count(smaller), 0);
}
