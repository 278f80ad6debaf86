//! Each file with tests is in one program, of its own or with others, where its package names the programs; and the tests
//! that scripts name are there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::pages::{files, repository};

/// Packages that name their programs of tests, and where the files are.
const PACKAGES: [(&str, &str); 5] = [
    ("tests", "tests"),
    ("storage", "storage/tests"),
    ("query", "query/tests"),
    ("export", "export/tests"),
    ("tests/exports", "tests/exports/tests"),
];

/// The paths of the programs that a manifest names.
fn programs(manifest: &str) -> impl Iterator<Item = &str> {
    let sections = manifest.split("\n[").filter_map(|section| section.strip_prefix("[test]]\n"));
    sections.map(|section| {
        let path =
            section.lines().find_map(|line| line.strip_prefix("path = \"")?.strip_suffix('"'));
        path.unwrap_or_else(|| panic!("a program without a path: {section}"))
    })
}

/// The modules that a file declares, each in a file of its name beside it.
fn modules(code: &str) -> impl Iterator<Item = &str> {
    code.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// How often each file of a package's tests is in a program.
fn often(package: &str, folder: &str) -> BTreeMap<String, usize> {
    let folder = repository().join(folder);
    let there = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let mut often: BTreeMap<String, usize> = there
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
        .map(|path| (name(&path), 0))
        .collect();
    let manifest = read(&repository().join(package).join("Cargo.toml"));
    assert!(manifest.contains("\nautotests = false\n"), "{package}");
    for program in programs(&manifest) {
        let path = repository().join(package).join(program);
        if path.parent() != Some(&folder) {
            continue; // of a folder of its own
        }
        *often.get_mut(&name(&path)).unwrap() += 1;
        for module in modules(&read(&path)) {
            // Of a folder, if it is not here.
            if let Some(times) = often.get_mut(module) {
                *times += 1;
            }
        }
    }
    often
}

#[test]
fn each_file_with_tests_is_in_one_program() {
    let mut all = 0;
    for (package, folder) in PACKAGES {
        for (name, times) in often(package, folder) {
            assert_eq!(
                times, 1,
                "{folder}/{name}.rs is in so many programs of {package}/Cargo.toml"
            );
            all += 1;
        }
    }
    assert!(all > 150, "{all} files");
}

#[test]
fn tests_that_scripts_name_are_there() {
    let mut named = 0;
    for path in files(&repository().join("scripts"), "sh") {
        let script = read(&path).replace("\\\n", " ");
        if !script.contains("--test ") {
            continue; // of other tests
        }
        let is_end = |c: char| c.is_whitespace() || c == '"' || c == '=';
        // What a command runs of a library's own tests is no file of these folders.
        let is_of_library = |line: &&str| line.contains("cargo ") && !line.contains("--test ");
        let lines = script.lines().filter(|line| !is_of_library(line));
        for word in lines.flat_map(|line| line.split(is_end)) {
            let Some((module, test)) = word.split_once("::") else { continue };
            let is_name = |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            if module.is_empty() || !is_name(module) || !is_name(test) {
                continue;
            }
            let folders = ["tests", "ring/tests/file", "ring/tests/between"];
            let paths = folders.map(|folder| repository().join(folder).join(module));
            let codes = paths.iter().flat_map(|path| fs::read_to_string(path.with_extension("rs")));
            let codes: Vec<String> = codes.collect();
            assert!(!codes.is_empty(), "{}: there is no module {word}", path.display());
            let function =
                if test.is_empty() { "#[test]".to_owned() } else { format!("fn {test}()") };
            let has_it = codes.iter().any(|code| code.contains(&function));
            assert!(has_it, "{}: there is no test {word}", path.display());
            named += 1;
        }
    }
    assert!(named > 15, "{named} tests");
}
