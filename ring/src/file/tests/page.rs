use super::super::layout::{self, HEADER, partition_words};

/// The page has each word of the header and of a partition, and where it is.
#[test]
#[cfg_attr(miri, ignore = "reads the book")]
fn the_page_of_the_layout_says_where_each_word_is() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/reference/ring-file.md");
    let page = std::fs::read_to_string(file).unwrap();
    let mut rows = Vec::new();
    for (_, word, what) in HEADER {
        rows.push(format!("| {} | {word} | {what} |", word * 8));
    }
    for (at, what) in [
        (partition_words::TAIL, "tail"),
        (partition_words::PUBLISHED, "claims published, by class, 4 words"),
        (partition_words::LIMIT, "limit"),
        (partition_words::GATING, "given back: the consumer's sequence"),
        (partition_words::COMPLEMENT, "its complement"),
        (partition_words::NUDGED, "whether the consumer was called"),
        (partition_words::SLOTS, "the slots"),
    ] {
        rows.push(format!("| {at} | {what} |"));
    }
    let missing: Vec<_> = rows.iter().filter(|row| !page.contains(row.as_str())).collect();
    assert!(missing.is_empty(), "not on the page:\n{missing:#?}");
    // And no other row of a number in these two chapters.
    let is_of_the_ring = |chapter: &&str| {
        ["The header\n", "A partition\n"].iter().any(|title| chapter.starts_with(title))
    };
    let lines = page.split("\n## ").filter(is_of_the_ring).flat_map(str::lines);
    let found = lines.filter(|line| {
        line.strip_prefix("| ").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    });
    assert_eq!(found.count(), rows.len(), "rows that nothing in the layout says");
    assert!(page.contains(&format!("version {}", layout::LAYOUT_VERSION)));
}
