//! What Mozilla's command line of the Firefox profiler makes of a file.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::node;

/// The program, if it is installed.
pub fn program() -> Option<PathBuf> {
    node::file("@firefox-devtools/profiler-cli/dist/profiler-cli.js")
}

/// A file that it has loaded; forgets it when dropped.
#[derive(Debug)]
pub struct Loaded<'a> {
    program: &'a Path,
    home: &'a Path,
}

impl Drop for Loaded<'_> {
    fn drop(&mut self) {
        node::run(self.program, &["stop", "--all"], self.home);
    }
}

impl<'a> Loaded<'a> {
    pub fn new(program: &'a Path, file: &Path, home: &'a Path) -> Self {
        let loaded = Self { program, home };
        let output = node::load_into_firefox(program, file, home);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        loaded
    }

    /// The answer to a command.
    pub fn ask(&self, words: &[&str]) -> Value {
        let output = node::run(self.program, words, self.home);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub fn markers(&self) -> Vec<Value> {
        let markers = self.ask(&["profile", "markers", "--json", "--limit", "1000000"]);
        markers["markers"].as_array().unwrap().clone()
    }

    /// The threads, with how many markers they have.
    pub fn threads(&self) -> Vec<(String, u64)> {
        let thread = |thread: &Value| {
            let markers = thread["markerCount"].as_u64().unwrap();
            (thread["name"].as_str().unwrap().to_owned(), markers)
        };
        let list = self.ask(&["thread", "list", "--json"]);
        list["threads"].as_array().unwrap().iter().map(thread).collect()
    }
}
