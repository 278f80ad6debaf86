//! Every link leads to a file, every anchor to a heading, and the contents name each page.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::pages;

/// The targets of the Markdown links of a line, code left out.
fn links(line: &str) -> Vec<String> {
    let prose: String = line.split('`').step_by(2).collect();
    let targets = prose.split("](").skip(1);
    targets.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// As mdBook and GitHub make it of a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn has_anchor(page: &Path, wanted: &str) -> bool {
    let text = fs::read_to_string(page).unwrap();
    pages::prose(&text).any(|(_, line)| line.starts_with('#') && anchor(line) == wanted)
}

#[test]
fn book_links_lead_somewhere() {
    let mut broken = Vec::new();
    let mut checked = 0;
    let source = pages::source().canonicalize().unwrap();
    let mut all = pages::all();
    all.iter_mut().for_each(|(path, _)| *path = path.canonicalize().unwrap());
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let path = pages::repository().join(name);
        all.push((path.clone(), fs::read_to_string(path).unwrap()));
    }
    for (path, text) in &all {
        for (number, line) in pages::prose(text) {
            for link in links(line).iter().filter(|link| !link.contains("://")) {
                checked += 1;
                let (file, heading) = link.split_once('#').unwrap_or((link, ""));
                let target = match file {
                    "" => path.clone(),
                    file => path.parent().unwrap().join(file),
                };
                let is_page = target.extension().is_some_and(|ending| ending == "md");
                // The book is read without the repository, too.
                let leaves = path.starts_with(&source)
                    && !target.canonicalize().is_ok_and(|to| to.starts_with(&source));
                if leaves
                    || !target.exists()
                    || (is_page && !heading.is_empty() && !has_anchor(&target, heading))
                {
                    broken.push(format!("{}:{number}: {link}", path.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
    assert!(checked > 80, "{checked} links");
}

#[test]
fn book_includes_what_is_there() {
    let mut included = 0;
    for (path, text) in pages::all() {
        for line in text.lines().filter_map(|line| line.strip_prefix("{{#include ")) {
            let (file, part) = line.trim_end_matches('}').split_once(':').unwrap();
            let text = fs::read_to_string(path.parent().unwrap().join(file)).unwrap();
            for end in ["ANCHOR", "ANCHOR_END"] {
                let mark = format!("<!-- {end}: {part} -->");
                assert!(text.lines().any(|line| line == mark), "{}: {mark}", path.display());
            }
            included += 1;
        }
    }
    assert!(included > 3, "{included}");
}

#[test]
fn book_contents_name_each_page_once() {
    let source = pages::source();
    let summary = fs::read_to_string(source.join("SUMMARY.md")).unwrap();
    let named: Vec<_> = summary.lines().flat_map(links).map(|link| source.join(link)).collect();
    let pages: BTreeSet<_> = pages::all()
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| !path.ends_with("SUMMARY.md"))
        .collect();
    assert_eq!(named.iter().cloned().collect::<BTreeSet<_>>(), pages);
    assert_eq!(named.len(), pages.len(), "a page is named twice");
}

#[test]
fn book_anchors_are_made_as_mdbook_makes_them() {
    assert_eq!(anchor("## What it's *not*: a `tracer`"), "what-its-not-a-tracer");
    assert_eq!(links("see [a](b.md#c), `[x](y)` and [d](e)"), ["b.md#c", "e"]);
}
