//! Profiles that were really recorded, with names that want to be markup, and the command on them.

#![allow(dead_code)] // Each test file is a crate of its own and uses a part.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use spandrel::Profiler;
use tempfile::TempDir;
use tracing::{Instrument, error, info, info_span};
use tracing_subscriber::prelude::*;

#[path = "../recording/mod.rs"]
mod recording;

pub use recording::document;

/// A name that would run if it were ever taken for markup.
pub const EVIL: &str =
    "</script></title><img src=x onerror=document.documentElement.dataset.pwned=1>";

pub struct Recorded {
    pub folder: TempDir,
}

impl Recorded {
    /// A few hundred traces with waiting, work side by side, errors, and hostile names; `bell` stands in
    /// fields as an address that nothing may ask for.
    pub fn new(bell: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let this = Self { folder };
        let label = format!("{EVIL} \u{202e}\u{1b}[31m");
        let builder = Profiler::builder().database(this.db()).label(label);
        let profiler = builder.build().unwrap();
        let subscriber = tracing_subscriber::registry().with(profiler.layer());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        tracing::subscriber::with_default(subscriber, || {
            runtime.block_on(async {
                for number in 0..200 {
                    request(number, bell).instrument(info_span!("http.request", number)).await;
                }
            });
        });
        let report = profiler.close().unwrap();
        assert_eq!(report.recorded, report.stored);
        this
    }

    /// A run that lost most of its spans, since nobody could keep up with a ring that small.
    pub fn with_losses() -> Self {
        let this = Self { folder: tempfile::tempdir().unwrap() };
        let builder = Profiler::builder().database(this.db()).ring_capacity(64).partitions(1);
        let profiler = builder.build().unwrap();
        let subscriber = tracing_subscriber::registry().with(profiler.layer());
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..50_000 {
                drop(info_span!("flood", number).entered());
            }
        });
        let report = profiler.close().unwrap();
        assert!(report.recorded > report.stored, "nothing was lost");
        this
    }

    /// A hundred traces with many spans that have much to say.
    pub fn large() -> Self {
        let this = Self { folder: tempfile::tempdir().unwrap() };
        let profiler = Profiler::builder().database(this.db()).build().unwrap();
        let subscriber = tracing_subscriber::registry().with(profiler.layer());
        tracing::subscriber::with_default(subscriber, || {
            for trace in 0..100_u64 {
                info_span!("trace").in_scope(|| {
                    for part in 0..100_u64 {
                        // Text that cannot be packed to nothing.
                        let text: String = (1..12)
                            .map(|n| format!("{:x}", mixed(trace * 100 + part, n)))
                            .collect();
                        drop(info_span!("part", text).entered());
                    }
                });
                profiler.flush(Duration::from_secs(10)).unwrap();
            }
        });
        let report = profiler.close().unwrap();
        assert_eq!(report.recorded, report.stored);
        this
    }

    pub fn db(&self) -> PathBuf {
        self.folder.path().join("shop & co.db")
    }

    pub fn page(&self) -> PathBuf {
        self.folder.path().join("page.html")
    }

    /// Runs the command in the folder of the profile.
    pub fn spandrel(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_spandrel"))
            .current_dir(self.folder.path())
            .env_remove("SPANDREL_DB")
            .args(args)
            .output()
            .unwrap()
    }

    /// Makes `page.html`, and reads it.
    pub fn report(&self, more: &[&str]) -> String {
        let db = self.db();
        let args = [&["--db", db.to_str().unwrap(), "report", "-o", "page.html"], more].concat();
        let out = self.spandrel(&args);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        std::fs::read_to_string(self.page()).unwrap()
    }
}

/// A number that looks like chance.
fn mixed(a: u64, b: u64) -> u64 {
    (a + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31 * b as u32).wrapping_mul(b | 1)
}

async fn request(number: u64, bell: &str) {
    let query = || async {
        tokio::time::sleep(Duration::from_micros(200 + 50 * (number % 7))).await;
    };
    let both = async {
        tokio::join!(
            query().instrument(info_span!("db.query", shard = 1)),
            query().instrument(info_span!("db.query", shard = 2)),
        )
    };
    both.instrument(info_span!("load")).await;
    let markup = format!("\"><img src={bell}/field><iframe src={bell}/frame>{EVIL}");
    let span = info_span!(
        "</script></title><img src=x onerror=document.documentElement.dataset.pwned=1>",
        markup,
        long = "x".repeat(4_000)
    );
    span.in_scope(|| {
        info!("\u{202e}turned \u{1b}[31mred {EVIL}");
        if number.is_multiple_of(50) {
            error!(markup, "it failed");
        }
        drop(info_span!("\u{202e}\u{2066}\u{1b}[2J&lt;b&gt;").entered());
    });
}

/// Where a command wrote, and that it left nothing else behind.
pub fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
