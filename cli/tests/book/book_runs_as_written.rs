//! Each command that a page shows is run, and says what the page says.

#![cfg(unix)]

use std::fs;

use crate::{console, fresh, pages};

#[test]
fn book_runs_as_written() {
    let mut faults = Vec::new();
    let mut commands = 0;
    for (path, page) in pages::all() {
        if !page.contains("\n```console") {
            continue;
        }
        let played = console::play(&page, |_| ());
        commands += played.commands;
        if fresh::is_writing() {
            fs::write(&path, &played.page).unwrap();
        } else {
            faults.extend(played.faults.iter().map(|fault| format!("{}: {fault}", path.display())));
        }
    }
    assert!(
        faults.is_empty(),
        "{}\nrenew what they say with: {}=1 cargo test -p spandrel-cli book",
        faults.join("\n"),
        fresh::WRITE,
    );
    assert!(commands > 30, "{commands} commands");
}
