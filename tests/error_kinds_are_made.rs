//! Every kind of error that a caller can match is made somewhere, and can be named from the crate whose
//! functions return it.

use std::fs;
use std::path::PathBuf;

use spandrel_tests::prelude::*;

/// Where an enum of kinds is declared, and the sources that may make them.
const KINDS: [(&str, &str, &[&str]); 6] = [
    ("ErrorKind", "../profiler/src/error.rs", &["../profiler/src"]),
    ("ErrorKind", "../storage/src/error.rs", &["../storage/src", "../query/src"]),
    ("ErrorKind", "../load/src/error.rs", &["../load/src"]),
    ("SqlErrorKind", "../query/src/sql/error.rs", &["../query/src"]),
    ("ExportError", "../export/src/error.rs", &["../export/src"]),
    ("ClaimError", "../ring/src/claim_error.rs", &["../ring/src"]),
];

#[test]
fn there_is_no_kind_that_nothing_makes() {
    let mut never = Vec::new();
    for (name, declared, sources) in KINDS {
        let text = fs::read_to_string(declared).unwrap();
        let variants = variants(&text, name);
        assert!(variants.len() > 3, "{declared}: {variants:?}");
        let lines: Vec<_> = sources.iter().flat_map(|folder| code(Path::new(folder))).collect();
        let is_made = |variant: &str| {
            let named = format!("{name}::{variant}");
            lines.iter().any(|line| makes(line, &named))
                || text.lines().any(|line| makes(line.trim(), &format!("Self::{variant}")))
        };
        never.extend(
            variants
                .iter()
                .filter(|variant| !is_made(variant))
                .map(|variant| format!("{declared}: {name}::{variant}")),
        );
    }
    assert!(never.is_empty(), "nothing makes {never:#?}");
}

/// Compiles only while the kinds can be named without the crates below.
#[test]
fn kinds_can_be_named_from_the_crate_that_returns_them() {
    let refused = spandrel::Profiler::builder().database("/there/is/no/such/folder.db").build();
    let kind = refused.unwrap_err().kind();
    let missing = spandrel::StorageErrorKind::MissingFolder;
    assert_eq!(kind, spandrel::ErrorKind::Storage(missing));
    let refused = spandrel_query::Reader::open(Path::new("/there/is/no/such.db"));
    let error: spandrel_query::Error = refused.unwrap_err();
    assert_eq!(error.kind(), spandrel_query::ErrorKind::NotFound);
    let error: spandrel_export::Error = error;
    assert_eq!(error.kind(), spandrel_export::ErrorKind::NotFound);
}

/// The names between `pub enum NAME {` and the end of it.
fn variants(text: &str, name: &str) -> Vec<String> {
    let (_, body) = text.split_once(&format!("pub enum {name} {{\n")).unwrap();
    let (body, _) = body.split_once("\n}").unwrap();
    let is_name = |text: &str| text.starts_with(|first: char| first.is_ascii_uppercase());
    let lines = body.lines().map(str::trim).filter(|line| is_name(line));
    let word = |line: &str| line.split(|c: char| !c.is_alphanumeric()).next().map(str::to_owned);
    lines.filter_map(word).collect()
}

/// The lines of code below a folder, without tests and comments.
fn code(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<PathBuf>, Vec<_>) = entries.partition(|path| path.is_dir());
    let is_test = |path: &Path| {
        matches!(path.file_stem().and_then(|stem| stem.to_str()), Some("tests" | "test_profile"))
    };
    let mut lines = Vec::new();
    for file in files.iter().filter(|path| !is_test(path)) {
        let text = fs::read_to_string(file).unwrap();
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let code = code.lines().map(str::trim).filter(|line| !line.starts_with("//"));
        lines.extend(code.map(str::to_owned));
    }
    lines.extend(folders.iter().filter(|path| !is_test(path)).flat_map(|path| code(path)));
    lines
}

/// Whether a line makes this kind, and does not only compare something with it.
fn makes(line: &str, named: &str) -> bool {
    if ["==", "!=", "matches!"].iter().any(|compares| line.contains(compares))
        || line.starts_with('|')
    {
        return false;
    }
    // What stands before the arrow of a match is a pattern.
    let value = line.rsplit_once("=>").map_or(line, |(_, value)| value);
    value.match_indices(named).any(|(at, _)| {
        let behind = value.get(at + named.len()..).unwrap_or_default();
        let before = value.get(..at).unwrap_or_default();
        !behind.starts_with(|next: char| next.is_alphanumeric() || next == '_')
            && !before.ends_with(|last: char| last.is_alphanumeric() || last == '_')
            && !before.ends_with("io::")
    })
}
