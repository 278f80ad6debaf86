//! Suggestions: the known words nearest to an unknown one.

/// Longer words are not compared letter by letter: the time for that grows with the square.
const CHARS_MAX: usize = 64;

/// The known words nearest to `word`, the nearest first, at most `most` of them: those that differ in up
/// to a third of the letters, and those that contain it.
pub fn nearest<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
    most: usize,
) -> Vec<&'a str> {
    nearest_of(word, &mut known.into_iter(), most)
}

fn nearest_of<'a>(
    word: &str,
    known: &mut dyn Iterator<Item = &'a str>,
    most: usize,
) -> Vec<&'a str> {
    let wanted: Vec<char> = word.to_lowercase().chars().take(CHARS_MAX + 1).collect();
    if wanted.is_empty() || wanted.len() > CHARS_MAX {
        return Vec::new();
    }
    let lower = word.to_lowercase();
    let mut near: Vec<(usize, &str)> = known
        .filter_map(|known| Some((distance_if_near(&lower, &wanted, known)?, known)))
        .collect();
    near.sort_by_key(|(distance, _)| *distance);
    let mut words: Vec<&str> = Vec::new();
    for (_, known) in near {
        if words.len() < most && !words.contains(&known) {
            words.push(known);
        }
    }
    words
}

fn distance_if_near(lower: &str, wanted: &[char], known: &str) -> Option<usize> {
    let known = known.to_lowercase();
    let letters: Vec<char> = known.chars().take(CHARS_MAX).collect();
    let distance = distance(wanted, &letters);
    // Never all letters: a word of two letters would be near to many.
    let allowed = (wanted.len() / 3).max(1).min(wanted.len().saturating_sub(1));
    if distance <= allowed {
        Some(distance)
    } else if wanted.len() >= 3 && known.contains(lower) {
        Some(allowed + 1)
    } else {
        None
    }
}

/// How many letters have to be inserted, removed, changed or swapped with their neighbours: optimal
/// string alignment, with three rows of the table.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before_last = vec![0; right.len() + 1];
    let mut last: Vec<usize> = (0..=right.len()).collect();
    let mut row = last.clone();
    for (i, a) in left.iter().enumerate() {
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let mut best = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                best = best.min(before_last[j - 1] + 1);
            }
            row[j + 1] = best;
        }
        std::mem::swap(&mut before_last, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(left: &str, right: &str) -> usize {
        distance(&left.chars().collect::<Vec<_>>(), &right.chars().collect::<Vec<_>>())
    }

    #[test]
    fn distances() {
        assert_eq!(between("", "abc"), 3);
        assert_eq!(between("abc", ""), 3);
        assert_eq!(between("kitten", "sitting"), 3);
        assert_eq!(between("nmae", "name"), 1);
        assert_eq!(between("name", "name"), 0);
        assert_eq!(between("größe", "grösse"), 2);
    }

    #[test]
    fn the_nearest_comes_first() {
        let known = ["target", "thread", "trace", "name"];
        assert_eq!(nearest("tread", known, 3), ["thread"]);
        assert_eq!(nearest("Nmae", known, 3), ["name"]);
        assert_eq!(nearest("zzz", known, 3), Vec::<&str>::new());
        assert_eq!(nearest("", known, 3), Vec::<&str>::new());
    }

    #[test]
    fn words_that_contain_it_come_last_and_once() {
        let known = ["after deploy-42", "deploi", "after deploy-42"];
        assert_eq!(nearest("deploy", known, 3), ["deploi", "after deploy-42"]);
        assert_eq!(nearest("deploy", known, 1), ["deploi"]);
    }

    #[test]
    fn long_words_are_not_compared() {
        let long = "a".repeat(100_000);
        assert_eq!(nearest(&long, [long.as_str()], 3), Vec::<&str>::new());
    }
}
