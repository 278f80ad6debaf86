//! Commands about spans of a name: what to say when there are none.

use crate::failure::Failure;
use crate::output::text;
use crate::profile::Profile;

/// Names that are proposed at most.
const PROPOSED_MAX: usize = 3;

/// Why no span of a name was found: perhaps the name is another one.
pub(super) fn unknown(profile: &Profile, name: &str) -> Result<Option<String>, Failure> {
    let top = profile.reader.top(profile.run.id, usize::MAX)?;
    let names: Vec<&str> = top.iter().map(|row| row.callsite.name.as_str()).collect();
    if names.contains(&name) {
        return Ok(None); // only none that was asked for
    }
    let shown = text::clean(name);
    let near: Vec<String> = near(name, &names).into_iter().map(text::clean).collect();
    Ok(Some(if near.is_empty() {
        format!("no closed span is named {shown:?}; `spandrel top -n 0` lists the names")
    } else {
        format!("no closed span is named {shown:?}; there is {}", near.join(", "))
    }))
}

/// Names with few letters different, or that contain the name, the nearest first.
fn near<'a>(name: &str, names: &[&'a str]) -> Vec<&'a str> {
    let wanted = name.to_lowercase();
    let far = (wanted.chars().count() / 3).max(1);
    let mut found: Vec<(usize, &str)> = Vec::new();
    for candidate in names {
        let lower = candidate.to_lowercase();
        let away = distance(&wanted, &lower);
        if away <= far || lower.contains(&wanted) {
            found.push((away, candidate));
        }
    }
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|(_, name)| name).take(PROPOSED_MAX).collect()
}

/// Letters to change, add or take away (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_proposed() {
        let names = ["db.query", "db.begin", "http.request", "render"];
        assert_eq!(near("db.qurey", &names), ["db.query"]);
        assert_eq!(near("REQUEST", &names), ["http.request"]);
        assert_eq!(near("nothing.like.it", &names), Vec::<&str>::new());
        assert_eq!([distance("", "abc"), distance("kitten", "sitting")], [3, 3]);
    }
}
