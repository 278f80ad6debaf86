//! The pages of the book.

use std::fs;
use std::path::{Path, PathBuf};

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

pub fn source() -> PathBuf {
    repository().join("docs/src")
}

/// The files with this ending in a folder and those in it, in order.
pub fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path, ending));
        } else if path.extension().is_some_and(|is| is == ending) {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// All pages, `SUMMARY.md` among them.
pub fn all() -> Vec<(PathBuf, String)> {
    let pages = files(&source(), "md");
    assert!(pages.len() > 20, "{} pages", pages.len());
    pages.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The lines outside of fenced blocks, with their numbers.
pub fn prose(page: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    page.lines().enumerate().filter_map(move |(at, line)| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        (!fenced && !is_fence).then_some((at + 1, line))
    })
}
