//! Queries to begin with: each answers a question, and shows how to query the tables.
//!
//! A recipe is a file; its first line is a comment that says what it answers.

use crate::failure::{Failure, did_you_mean};

/// A query with a name.
#[derive(Debug)]
pub(super) struct Recipe {
    pub(super) name: &'static str,
    pub(super) sql: &'static str,
}

macro_rules! recipes {
    ($($name:literal)*) => {
        pub(super) const ALL: &[Recipe] =
            &[$(Recipe { name: $name, sql: include_str!(concat!("recipes/", $name, ".sql")) }),*];
    };
}

recipes! {
    "top"
    "percentiles"
    "timeline"
    "waiting"
    "children"
    "fields"
    "errors"
    "unfinished"
    "events"
    "threads"
    "concurrency"
    "callsites"
    "writer"
    "losses"
}

impl Recipe {
    /// What it answers.
    pub(super) fn about(&self) -> &'static str {
        self.sql.lines().next().unwrap_or_default().trim_start_matches("-- ")
    }
}

pub(super) fn find(name: &str) -> Result<&'static Recipe, Failure> {
    ALL.iter().find(|recipe| recipe.name == name).ok_or_else(|| {
        let names: Vec<&str> = ALL.iter().map(|recipe| recipe.name).collect();
        let failure = Failure::usage(format!("there is no recipe {name:?}"));
        let near = did_you_mean(name, names.iter().copied());
        failure.hint(format!("{near}there are {}", names.join(", ")))
    })
}
