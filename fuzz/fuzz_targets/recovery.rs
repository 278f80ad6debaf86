#![no_main]

use spandrel_query::Reader;

// What the profile has must agree with itself.
libfuzzer_sys::fuzz_target!(|data: &[u8]| spandrel::fuzz::recovery(data, |database| {
    // A profile of a collector that has collected nothing does not stay.
    if !database.exists() {
        return;
    }
    let reader = Reader::open(database).expect("it was just written");
    let Some(run) = reader.latest_run().expect("it can be read") else { return };
    let found = reader.contradictions(run.id).expect("it can be read");
    assert!(found.is_empty(), "{found:?}");
}));
