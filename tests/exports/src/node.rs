//! Programs of the npm registry, where they are installed: `scripts/exports.sh` does that.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The folder `node_modules`, named by this variable.
const VARIABLE: &str = "SPANDREL_TEST_NODE_MODULES";

/// A file of a package; says aloud that the test is skipped when it is not there.
pub fn file(path: &str) -> Option<PathBuf> {
    let found = std::env::var_os(VARIABLE).map(|folder| Path::new(&folder).join(path));
    let found = found.filter(|path| path.exists());
    if found.is_none() {
        eprintln!(
            "SKIPPED: npm has not installed {path}; scripts/exports.sh does, and sets {VARIABLE}"
        );
    }
    found
}

/// The folder with Perfetto's trace processor as WebAssembly, named by this variable.
const TRACE_PROCESSOR: &str = "SPANDREL_TEST_TRACE_PROCESSOR";

/// What trace processor finds in a trace: rows of texts for each query.
pub type Found = Vec<Vec<Vec<Option<String>>>>;

/// Has Perfetto's trace processor read a trace and answer queries; says aloud if it is not there.
pub fn ask_trace_processor(trace: &Path, queries: &[&str]) -> Option<Found> {
    let Some(folder) = std::env::var_os(TRACE_PROCESSOR) else {
        eprintln!(
            "SKIPPED: no trace processor; scripts/exports.sh gets it, and sets {TRACE_PROCESSOR}"
        );
        return None;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/trace_processor.mjs");
    let output =
        Command::new("node").arg(script).arg(folder).arg(trace).args(queries).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.lines().map(|rows| serde_json::from_str(rows).unwrap()).collect())
}

/// Runs a program with node. What comes to it through a socket is whole characters.
pub fn run(program: &Path, arguments: &[&str], home: &Path) -> Output {
    let whole = concat!(env!("CARGO_MANIFEST_DIR"), "/src/whole_characters.cjs");
    Command::new("node")
        .env("NODE_OPTIONS", format!("--require \"{whole}\""))
        .arg(program)
        .args(arguments)
        .env("HOME", home)
        .env("PROFILER_CLI_SESSION_DIR", home)
        .output()
        .unwrap()
}

/// Has the Firefox profiler's command line load a file. It gives its daemon half a second to come up;
/// on a busy machine that is not enough, and then it is asked until it answers.
pub fn load_into_firefox(program: &Path, file: &Path, home: &Path) -> Output {
    let mut output = run(program, &["load", file.to_str().unwrap()], home);
    let mut tries = 60;
    while !output.status.success() && tries > 0 {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let is_late = ["did not become ready", "not ready", "still", "No active session", "socket"];
        if !is_late.iter().any(|text| said.contains(text)) {
            break;
        }
        output = run(program, &["profile", "info"], home);
        tries -= 1;
    }
    output
}
