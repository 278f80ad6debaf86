//! Small numbers for names and threads, so that each text is in the page only once.

use std::collections::HashMap;

use spandrel_query::{Callsite, CountedBy, Thread};

use super::text::cut;
use crate::report::bounds;
use crate::report::data::{NAME_OTHERS, Name};

/// The names, in the order in which they were met.
#[derive(Debug, Default)]
pub(crate) struct Names {
    list: Vec<Name>,
    by_callsite: HashMap<(i64, bool), i64>,
    by_text: HashMap<(String, String, bool), i64>,
    /// Callsites for which there was no room.
    others: u64,
}

impl Names {
    /// The number of the name of a callsite.
    pub(crate) fn of_callsite(&mut self, callsite: &Callsite) -> i64 {
        self.of(callsite, CountedBy::Lifetime)
    }

    /// The number of the name of those spans of a callsite that count in this way.
    pub(crate) fn of(&mut self, callsite: &Callsite, counted: CountedBy) -> i64 {
        let key = (callsite.id, counted.has_entries());
        if let Some(known) = self.by_callsite.get(&key) {
            return *known;
        }
        let number = self.number(Name { long: key.1, ..describe(callsite) });
        // A file with any number of callsites must not fill the memory; it is slow instead.
        if self.by_callsite.len() < 16 * bounds::NAMES {
            self.by_callsite.insert(key, number);
        }
        number
    }

    /// The number of a name and a target of another file.
    pub(crate) fn of_text(&mut self, name: &str, target: &str, counted: CountedBy) -> i64 {
        let (name, target, long) = (name.to_owned(), target.to_owned(), counted.has_entries());
        self.number(Name { name, target, long, ..Name::default() })
    }

    /// The number of a name that may be new.
    fn number(&mut self, name: Name) -> i64 {
        // Whole names are compared, even if they are cut for the page.
        let key = (name.name.clone(), name.target.clone(), name.long);
        if let Some(known) = self.by_text.get(&key) {
            return *known;
        }
        if self.list.len() >= bounds::NAMES {
            self.others += 1;
            return NAME_OTHERS;
        }
        let number = self.list.len() as i64;
        self.by_text.insert(key, number);
        self.list.push(name);
        number
    }

    /// How many callsites have no name of their own.
    pub(crate) fn others(&self) -> u64 {
        self.others
    }

    /// The names by number, cut to what a page has room for.
    pub(crate) fn into_list(self) -> Vec<Name> {
        let short = |text: &str| cut(text, bounds::NAME_CHARS);
        let shorten = |name: Name| Name {
            name: short(&name.name),
            target: short(&name.target),
            level: super::text::cut(&name.level, 8),
            long: name.long,
            place: short(&name.place),
        };
        self.list.into_iter().map(shorten).collect()
    }
}

fn describe(callsite: &Callsite) -> Name {
    let place = match (&callsite.file, callsite.line) {
        (Some(file), Some(line)) => format!("{file}:{line}"),
        (Some(file), None) => file.to_string(),
        (None, _) => String::new(),
    };
    Name {
        name: callsite.name.clone(),
        target: callsite.target.to_string(),
        level: callsite.level.to_string(),
        long: false,
        place,
    }
}

/// A thread by its name, or by its number.
pub(crate) fn thread_text(thread: &Thread) -> String {
    match &thread.name {
        Some(name) => cut(name, bounds::NAME_CHARS),
        None => format!("thread {}", thread.os_id),
    }
}

#[derive(Debug, Default)]
pub(crate) struct Threads {
    list: Vec<String>,
    by_id: HashMap<i64, u32>,
}

impl Threads {
    pub(crate) fn of(&mut self, thread: &Thread) -> u32 {
        if let Some(known) = self.by_id.get(&thread.id) {
            return *known;
        }
        let text = thread_text(thread);
        if self.list.len() >= bounds::NAMES {
            let last = self.list.len() - 1;
            if let Some(text) = self.list.get_mut(last) {
                "(other threads)".clone_into(text);
            }
            return last as u32;
        }
        let number = self.list.len() as u32;
        self.list.push(text);
        self.by_id.insert(thread.id, number);
        number
    }

    pub(crate) fn name(&self, number: u32) -> &str {
        self.list.get(number as usize).map_or("", String::as_str)
    }
}
