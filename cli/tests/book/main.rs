//! The book under `docs/` says what is so: its commands are run, its generated pages are fresh, its links
//! lead somewhere, and its messages are those of the code.
//!
//! `SPANDREL_WRITE_BOOK=1 cargo test -p spandrel-cli book` renews what is generated, output of commands
//! included.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]
#![allow(missing_docs)]

mod book_is_linked;
mod book_names_what_is_there;
mod book_pages_are_fresh;
mod book_runs_as_written;
mod book_says_our_messages;
mod book_says_what_doctor_finds;
mod console;
mod each_test_is_run;
mod examples;
mod fresh;
mod pages;
