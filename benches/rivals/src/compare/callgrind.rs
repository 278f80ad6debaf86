//! Instructions per span on the thread that makes the spans.

use std::path::Path;
use std::process::{Command, Stdio};

use super::process;
use crate::case::Case;
use crate::measure::{COUNTED_FUNCTION, Job};
use crate::recorder::{Entry, Result};

pub fn is_installed() -> bool {
    let version = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// The difference of two runs by the difference of their spans, so that what comes once cancels.
/// Other threads are not counted, nor are the rests between the chunks.
pub fn instructions_per_span(entry: &Entry, case: Case, spans: [u64; 2]) -> Result<f64> {
    let [few, many] = spans;
    let (few_instructions, few_made) = count(entry, case, few)?;
    let (many_instructions, many_made) = count(entry, case, many)?;
    Ok((many_instructions - few_instructions) / (many_made - few_made))
}

/// Instructions of one run, and spans.
fn count(entry: &Entry, case: Case, spans: u64) -> Result<(f64, f64)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("callgrind");
    let valgrind = [
        "valgrind".to_owned(),
        "--quiet".to_owned(),
        "--tool=callgrind".to_owned(),
        "--separate-threads=yes".to_owned(),
        "--collect-atstart=no".to_owned(),
        format!("--toggle-collect={COUNTED_FUNCTION}"),
        format!("--callgrind-out-file={}", file.display()),
    ];
    let output = process::command(&valgrind, entry, case, Job::Counted(spans))?.output()?;
    let said = process::numbers(&output)
        .map_err(|error| format!("{}, {case}, under valgrind: {error}", entry.name))?;
    let made = said.iter().find(|(name, _)| name == "made").ok_or("nothing was made")?.1;
    // The first thread is the one that makes the spans.
    Ok((total(&folder.path().join("callgrind-01"))?, made))
}

fn total(file: &Path) -> Result<f64> {
    let text = std::fs::read_to_string(file)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total: f64 = total.ok_or("callgrind has written no total")?.trim().parse()?;
    if total == 0.0 {
        return Err(format!("callgrind has not seen {COUNTED_FUNCTION}").into());
    }
    Ok(total)
}
