//! Each command that a page shows is run, and says what the page says.

#![cfg(unix)]

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::{console, examples, fresh, pages};

/// How many pages are played at once: some of their commands wait, and each page has a folder of its own.
const AT_ONCE: usize = 3;

#[test]
fn book_runs_as_written() {
    let shown = pages::all().into_iter().filter(|(_, page)| page.contains("\n```console"));
    let mut shown: Vec<_> = shown.collect();
    // First what takes longest: a package that is compiled.
    shown.sort_by_key(|(_, page)| !page.contains("$ cargo new "));
    examples::build(&shown);
    let next = AtomicUsize::new(0);
    let commands = AtomicUsize::new(0);
    let faults = Mutex::new(Vec::new());
    let play = || {
        while let Some((path, page)) = shown.get(next.fetch_add(1, Ordering::Relaxed)) {
            let played = console::play(page, |_| ());
            commands.fetch_add(played.commands, Ordering::Relaxed);
            if fresh::is_writing() {
                fs::write(path, &played.page).unwrap();
                continue;
            }
            let said = played.faults.iter().map(|fault| format!("{}: {fault}", path.display()));
            faults.lock().unwrap().extend(said);
        }
    };
    // A page that panics is passed on by the scope.
    thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(play))));
    let (faults, commands) = (faults.into_inner().unwrap(), commands.into_inner());
    assert!(
        faults.is_empty(),
        "{}\nrenew what they say with: {}=1 cargo test -p spandrel-cli book",
        faults.join("\n"),
        fresh::WRITE,
    );
    assert!(commands > 30, "{commands} commands");
}
