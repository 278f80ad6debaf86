//! The examples that the pages run.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use crate::console;

/// Settings with which these tests were built, if they are in no manifest and no variable that cargo reads.
fn config() -> Vec<OsString> {
    let file = std::env::var_os("SPANDREL_TEST_CARGO_CONFIG");
    file.map(|file| vec!["--config".into(), file]).unwrap_or_default()
}

/// Those that some page runs.
fn names(pages: &[(PathBuf, String)]) -> Vec<&str> {
    let words =
        pages.iter().flat_map(|(_, page)| page.split("cargo run --release --example ").skip(1));
    let mut names: Vec<&str> = words.filter_map(|rest| rest.split_whitespace().next()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Builds them, before the pages run them without cargo: each would ask it once more, and wait for whoever builds.
pub fn build(pages: &[(PathBuf, String)]) {
    let names = names(pages);
    assert!(names.contains(&"generate_profile"), "{names:?}");
    let mut cargo = Command::new(console::cargo());
    cargo.args(config()).args(["build", "--quiet", "--locked", "--manifest-path"]);
    cargo.arg(console::repository().join("Cargo.toml"));
    if console::IS_RELEASE {
        cargo.arg("--release");
    }
    names.iter().for_each(|name| _ = cargo.args(["--example", name]));
    let status = cargo.env("CARGO_TARGET_DIR", console::target()).status().unwrap();
    assert!(status.success(), "{names:?}: {status}");
}
