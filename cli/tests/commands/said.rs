//! What commands say of profiles that are the same on every machine: the pages in `said/` are played as those of
//! the book are. `SNAPSHOTS=overwrite cargo test` writes what is said now.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{
    asked_by, changed, check, console, copies, crashed, events, exported, figures, frames,
    long_lived, lost_entries, meanwhile, never_entered, nothing_recorded, open_trace, prune, rows,
    spreadsheet, stalls_of_loops, symptoms, trace_ids, tree, unmeasured, waiting,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/commands/said")
}

/// The path of a profile in a folder of its own, where commands find it without its name.
pub fn at(folder: &Path, name: &str) -> PathBuf {
    fs::create_dir(folder.join(name)).unwrap();
    folder.join(name).join("p.db")
}

/// The shop, which commands find without its name.
fn the_shop(folder: &Path) {
    super::fixture::write(&folder.join("shop.db"));
}

/// Plays a page where `write` has put the profiles that it is about, one of which may still be recorded into.
fn play<Recorder>(name: &str, write: impl FnOnce(&Path) -> Recorder) {
    let path = folder().join(name).with_extension("md");
    let played = console::play(&fs::read_to_string(&path).unwrap(), write);
    assert!(played.commands > 0);
    if std::env::var_os("SNAPSHOTS").is_some_and(|wish| wish == "overwrite") {
        fs::write(&path, played.page).unwrap();
    } else if !played.faults.is_empty() {
        let faults = played.faults.join("\n");
        panic!("{}:\n{faults}\nSNAPSHOTS=overwrite accepts it", path.display());
    }
}

/// The names of pages, each a test, and what writes their profiles.
macro_rules! pages {
    ($($name:ident: $write:expr;)*) => {
        $(
            #[test]
            #[cfg_attr(not(target_os = "linux"), ignore = "pages are for the shell and tools of GNU")]
            fn $name() {
                play(stringify!($name), $write);
            }
        )*

        #[test]
        fn each_page_is_played() {
            let pages = fs::read_dir(folder()).unwrap();
            let pages = pages.map(|page| page.unwrap().file_name().into_string().unwrap());
            let played = [$(concat!(stringify!($name), ".md")),*].map(str::to_owned);
            assert_eq!(pages.collect::<BTreeSet<_>>(), BTreeSet::from(played));
        }
    };
}

pages! {
    asked_by: asked_by::write;
    check: check::write;
    completions: the_shop;
    copies: copies::write;
    crashed: crashed::write;
    destinations: the_shop;
    endings: the_shop;
    events: events::write;
    export: exported::write;
    files: the_shop;
    filters: the_shop;
    figures: figures::write;
    frames: frames::write_both;
    headers: changed::headers;
    large: changed::large;
    load: |_: &Path| ();
    long_lived: long_lived::write_all;
    lost_entries: lost_entries::write;
    never_entered: never_entered::write;
    nothing_recorded: nothing_recorded::write;
    open_trace: open_trace::write;
    prune: prune::write_all;
    record: |_: &Path| ();
    recorded_frames: meanwhile::write;
    rows: rows::write;
    shop: the_shop;
    spreadsheet: spreadsheet::write;
    sql: the_shop;
    symptoms: symptoms::write;
    trace_ids: trace_ids::write;
    stalls_of_loops: stalls_of_loops::write;
    tree: tree::write_all;
    unmeasured: unmeasured::write;
    waiting: waiting::write_all;
}
