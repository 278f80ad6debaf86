//! The variable that somebody meant who has misspelt its name.

/// The known name nearest to `name`: one that differs in up to a third of the letters, or else one that
/// contains it. In any case, and for ASCII letters only.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_uppercase();
    // The time grows with the square; and of two letters nearly all are near.
    if name.len() > 64 {
        return None;
    }
    let allowed = (name.len() / 3).max(1).min(name.len().saturating_sub(1));
    let far = |known: &str| {
        let distance = distance(name.as_bytes(), known.as_bytes());
        let contains = name.len() >= 3 && known.contains(&name);
        (distance <= allowed).then_some(distance).or(contains.then_some(allowed + 1))
    };
    let near = known.filter_map(|known| Some((far(known)?, known)));
    near.min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
}

/// How many letters have to be inserted, removed, changed or swapped with their neighbours.
fn distance(left: &[u8], right: &[u8]) -> usize {
    let mut rows =
        [vec![0; right.len() + 1], (0..=right.len()).collect(), vec![0; right.len() + 1]];
    for (i, a) in left.iter().enumerate() {
        let [before_last, last, row] = &mut rows;
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let mut best = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                best = best.min(before_last[j - 1] + 1);
            }
            row[j + 1] = best;
        }
        rows.rotate_left(1);
    }
    rows[1][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let between = |left: &str, right: &str| distance(left.as_bytes(), right.as_bytes());
        assert_eq!((between("", "abc"), between("abc", "")), (3, 3));
        assert_eq!((between("kitten", "sitting"), between("nmae", "name")), (3, 1));
        assert_eq!((between("name", "name"), between("abcd", "badc")), (0, 2));
    }

    #[test]
    fn the_nearest_comes_first_and_one_that_contains_it_last() {
        let of = |name: &str| nearest(name, ["FLUSH_INTERVAL_MS", "SPANS", "DB"].into_iter());
        assert_eq!((of("SPAN"), of("spnas")), (Some("SPANS"), Some("SPANS")));
        assert_eq!((of("FLUSH"), of("D")), (Some("FLUSH_INTERVAL_MS"), None));
        assert_eq!((of(""), of("ZZZ"), of(&"SPANS".repeat(100))), (None, None, None));
    }
}
