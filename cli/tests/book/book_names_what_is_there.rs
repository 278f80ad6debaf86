//! The pages about the code name functions, files and calls: each is there as they say.

use crate::pages;
use std::collections::BTreeSet;
use std::fs;

const PAGE: &str = "docs/src/explanation/path.md";
const MAP: &str = "ARCHITECTURE.md";
const HOW_TO_ADD: &str = "CONTRIBUTING.md";

/// Callers that are no function of ours.
const OTHERS: [&str; 3] = ["tracing", "the system", "the macro"];

fn read(path: &str) -> String {
    let path = pages::repository().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between backquotes in a text.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The cells of each row of the tables of a page, their heads left out.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let is_row = |line: &&str| line.starts_with('|');
    let lines: Vec<&str> = page.lines().collect();
    let rule = |index: usize| lines.get(index).is_some_and(|line| line.starts_with("|---"));
    (0..lines.len())
        .filter(|index| !rule(*index) && !rule(index + 1))
        .map(|index| lines[index])
        .filter(is_row)
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// Whether a word stands in a text, followed by one of these.
fn has_word(text: &str, word: &str, ends: &[&str]) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let (before, behind) = (&text[..at], &text[at + word.len()..]);
        !before.ends_with(is_part) && ends.iter().any(|end| behind.starts_with(end))
    })
}

/// The functions, and the macro, of this name in some code: from their first line to the brace that ends them.
fn bodies(code: &str, name: &str) -> Vec<String> {
    let lines: Vec<&str> = code.lines().collect();
    let is_begin = |line: &&str| match name.strip_suffix('!') {
        Some(name) => line.starts_with(&format!("macro_rules! {name} ")),
        None => has_word(line, &format!("fn {name}"), &["(", "<"]),
    };
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| is_begin(line)) {
        let indent = &line[..line.len() - line.trim_start().len()];
        let last = format!("{indent}}}");
        let end = lines[index..].iter().position(|line| **line == *last);
        found.push(lines[index..index + end.unwrap_or(0)].join("\n"));
    }
    found
}

/// Whether a function of some code calls another one.
fn calls(code: &str, caller: &str, callee: &str) -> bool {
    bodies(code, caller).iter().any(|body| {
        let inside = body.split_once('{').map_or("", |(_, inside)| inside);
        has_word(inside, callee, &["(", "::<"])
    })
}

#[test]
fn functions_are_where_the_page_says() {
    let page = read(PAGE);
    let mut checked = 0;
    for row in rows(&page) {
        let ([_, names, file] | [_, names, file, _]) = row[..] else { continue };
        let file = quoted(file).next().unwrap_or_else(|| panic!("no file: {row:?}"));
        let code = read(file);
        for name in quoted(names) {
            assert!(!bodies(&code, name).is_empty(), "{PAGE}: there is no {name} in {file}");
            checked += 1;
        }
    }
    assert!(checked > 80, "{checked}");
}

#[test]
fn functions_are_called_where_the_page_says() {
    let page = read(PAGE);
    let rows = rows(&page);
    let pair = |words: &str, more: &str| {
        let mut words = quoted(words).chain(quoted(more));
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    };
    // What the page says of where functions are.
    let named: BTreeSet<(String, String)> = rows
        .iter()
        .filter(|row| row.len() >= 3)
        .flat_map(|row| [pair(row[1], row[2]), row.get(3).and_then(|caller| pair(caller, ""))])
        .flatten()
        .collect();
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for row in &rows {
        let [_, name, file, caller] = row[..] else { continue };
        let (name, file) = pair(name, file).unwrap_or_else(|| panic!("no function: {row:?}"));
        let files: BTreeSet<String> = match (pair(caller, ""), quoted(caller).next()) {
            (Some((_, path)), _) => BTreeSet::from([path]),
            (None, Some(function)) => {
                let named = named.iter().filter(|(name, _)| name == function);
                named.map(|(_, file)| file.clone()).chain([file.clone()]).collect()
            }
            (None, None) => {
                assert!(OTHERS.contains(&caller), "{PAGE}: who is {caller}?");
                continue;
            }
        };
        let function = quoted(caller).next().unwrap();
        if !files.iter().any(|file| calls(&read(file), function, &name)) {
            wrong.push(format!("{caller} does not call {name} of {file}"));
        }
        checked += 1;
    }
    assert!(wrong.is_empty(), "{PAGE}: {wrong:#?}");
    assert!(checked > 70, "{checked}");
}

/// Paths of the repository that a page names, each from the top.
fn paths(page: &str) -> impl Iterator<Item = &str> {
    let is_path = |text: &&str| {
        let mut parts = text.split('/');
        let first = parts.next().unwrap_or_default();
        parts.next().is_some()
            && !text.contains([' ', '*', '<', '$', '='])
            && text.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c == '.')
            && pages::repository().join(first).is_dir()
    };
    quoted(page).filter(is_path)
}

/// What stands below a heading of a page, up to the next one like it.
fn below<'a>(page: &'a str, heading: &str) -> &'a str {
    let (_, text) = page.split_once(&format!("\n{heading}\n")).unwrap();
    text.split("\n## ").next().unwrap()
}

#[test]
fn paths_lead_somewhere() {
    let (page, contributing) = (read(PAGE), read(HOW_TO_ADD));
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for (name, text) in [(PAGE, page.as_str()), (HOW_TO_ADD, below(&contributing, "## How to add"))]
    {
        for path in paths(text) {
            // Of what is still to be made, the folder.
            let there = path.split("NAME").next().unwrap();
            if !pages::repository().join(there).exists() {
                wrong.push(format!("{name}: there is no {there}"));
            }
            checked += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(checked > 200, "{checked}");
}

/// Sections of the code map: the folder that each is about, and its lines.
fn sections(map: &str) -> Vec<(String, String)> {
    let (mut sections, mut crate_name) = (Vec::<(String, String)>::new(), String::new());
    let is_crate = |name: &str| pages::repository().join(name).join("src").is_dir();
    let lines = map.lines().skip_while(|line| *line != "## Code map");
    for line in lines.skip(1).take_while(|line| !line.starts_with("## ")) {
        let heading = line.trim_start_matches('#');
        let folder = quoted(heading).next().unwrap_or_default();
        match line.len() - heading.len() {
            3 if is_crate(folder) && heading.matches('`').count() <= 6 => {
                crate_name = folder.to_owned();
                sections.push((format!("{folder}src/"), String::new()));
            }
            3 => sections.push((String::new(), String::new())),
            4 => sections.push((format!("{crate_name}src/{folder}"), String::new())),
            _ => {}
        }
        if let Some((_, text)) = sections.last_mut() {
            *text += line;
            *text += "\n";
        }
    }
    // What a section says of itself, and what stands beside its own parts.
    let mut merged = Vec::<(String, String)>::new();
    for (folder, text) in sections.into_iter().filter(|(folder, _)| !folder.is_empty()) {
        match merged.iter_mut().find(|(known, _)| *known == folder) {
            Some((_, known)) => *known += &text,
            None => merged.push((folder, text)),
        }
    }
    merged
}

#[test]
fn each_source_file_is_on_the_map() {
    let map = read(MAP);
    let sections = sections(&map);
    let folders: BTreeSet<&str> = sections.iter().map(|(folder, _)| folder.as_str()).collect();
    let (mut missing, mut checked) = (Vec::new(), 0);
    for (folder, text) in &sections {
        let named: BTreeSet<&str> = quoted(text).collect();
        let root = pages::repository().join(folder);
        for file in pages::files(&root, "rs") {
            let path = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            let name = path.rsplit('/').next().unwrap();
            // A section of its own tells of it, or it is what every crate has.
            let is_elsewhere = folders.iter().any(|other| {
                other.len() > folder.len() && format!("{folder}{path}").starts_with(other)
            });
            let is_usual = ["lib.rs", "main.rs", "mod.rs", "tests.rs"].contains(&name)
                || name.ends_with("_tests.rs")
                || path.split('/').any(|part| ["tests", "fuzz", "fuzz.rs"].contains(&part));
            if is_elsewhere || is_usual {
                continue;
            }
            checked += 1;
            let in_folder = path.match_indices('/').any(|(at, _)| named.contains(&path[..=at]));
            if !in_folder && !named.contains(path.as_str()) {
                missing.push(format!("{folder}{path}"));
            }
        }
    }
    assert!(missing.is_empty(), "{MAP} does not name {missing:#?}");
    assert!(checked > 400, "{checked}");
}

#[test]
fn the_map_names_what_is_there() {
    let map = read(MAP);
    let mut wrong = Vec::new();
    for (folder, text) in &sections(&map) {
        let root = pages::repository().join(folder);
        for line in text.lines().filter(|line| line.starts_with("| `")) {
            let cell = line.trim_start_matches('|').split('|').next().unwrap_or_default();
            let crate_folder = pages::repository().join(folder.split('/').next().unwrap());
            let is_there =
                |name: &&str| root.join(name).exists() || crate_folder.join(name).exists();
            wrong.extend(
                quoted(cell).filter(|name| !is_there(name)).map(|name| format!("{folder}{name}")),
            );
        }
    }
    assert!(wrong.is_empty(), "{MAP}: there is no {wrong:#?}");
}
