//! Pages that are made, and not written: those in the repository must be what would be made now.

use std::fs;
use std::path::Path;

/// The variable that has pages written instead of compared.
pub const WRITE: &str = "SPANDREL_WRITE_BOOK";

pub fn is_writing() -> bool {
    std::env::var_os(WRITE).is_some()
}

/// Fails if the page is not `wanted`; writes it instead when that was asked for.
pub fn check(page: &Path, wanted: &str) {
    let is = fs::read_to_string(page).unwrap_or_default();
    if is == wanted {
        return;
    }
    if is_writing() {
        fs::write(page, wanted).unwrap();
        return;
    }
    let line = is.lines().zip(wanted.lines()).take_while(|(is, wanted)| is == wanted).count();
    let at = |text: &str| text.lines().nth(line).unwrap_or("(the end)").to_owned();
    panic!(
        "{} is stale at line {}:\n  it says  {}\n  it must  {}\n\
         renew it with: {WRITE}=1 cargo test -p spandrel-cli book",
        page.display(),
        line + 1,
        at(&is),
        at(wanted),
    );
}
