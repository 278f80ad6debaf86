//! Where the records of the `log` crate come from.
//!
//! `tracing-log` makes events of them, with one callsite a level, whose target is `log` and which has no
//! file; the real origin is in the fields `log.target`, `log.module_path`, `log.file` and `log.line` of
//! each event. Here each origin becomes a callsite, so that such an event is found by its target and
//! says its file and line like any other. Nothing of this is done on the application's threads.
//!
//! Invariant: the number of origins is bounded, and the memory for them. A program may make up any
//! number of targets: events of further origins, and those whose origin was cut, share the callsite of
//! their level, keep their fields as they are, and are counted.

use std::collections::HashMap;

use crate::recorder::callsites::CallsiteNumber;
use crate::recorder::described::Described;
use crate::recorder::fields::{self, Fields, Value};
use crate::recorder::log_events::{LOG_NAME, TARGET};
use spandrel_storage::{CallsiteInfo, CallsiteKind, Store};

/// Most origins that are remembered for one file.
const SITES_MAX: usize = 4_096;
/// Most words of all their keys together; some keys are long.
const WORDS_MAX: usize = 32 * SITES_MAX;

/// The indexes of the fields that say where a record comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    target: usize,
    module: usize,
    file: usize,
    line: usize,
    level: &'static str,
}

impl Origin {
    /// Of a callsite of `tracing-log`; `None` for any other.
    pub(super) fn of(site: &Described<'_>) -> Option<Self> {
        if !site.is_of_log() {
            return None;
        }
        Some(Self {
            target: site.field(TARGET)?,
            module: site.field("log.module_path")?,
            file: site.field("log.file")?,
            line: site.field("log.line")?,
            level: site.level,
        })
    }

    fn has(self, index: usize) -> bool {
        [self.target, self.module, self.file, self.line].contains(&index)
    }
}

/// What an event says about its origin.
#[derive(Debug, Default)]
struct LogOrigin {
    target: String,
    module: Option<String>,
    file: Option<String>,
    line: Option<u32>,
}

/// The origins that are known to the file, and memory to look one up without allocating.
#[derive(Debug, Default)]
pub(super) struct LogSites {
    ids: HashMap<Vec<u64>, i64>,
    /// All words of the keys.
    words: usize,
    key: Vec<u64>,
    rest: Vec<u64>,
}

impl LogSites {
    pub(super) fn bytes(&self) -> usize {
        (self.words + self.key.capacity() + self.rest.capacity()) * size_of::<u64>()
            + self.ids.capacity() * (size_of::<(Vec<u64>, i64)>() + 1)
    }

    /// Forgets everything, because the file is another one now.
    pub(super) fn clear(&mut self) {
        self.ids.clear();
        self.words = 0;
    }

    /// The callsite of an event's origin, and its fields without those that name the origin.
    pub(super) fn find(
        &mut self,
        origin: Origin,
        number: CallsiteNumber,
        words: &[u64],
        store: &mut Store,
    ) -> Option<(i64, &[u64])> {
        self.part(origin, number, words);
        if let Some(id) = self.ids.get(&self.key) {
            return Some((*id, &self.rest));
        }
        let all_words = self.words + self.key.len();
        if self.ids.len() >= SITES_MAX || all_words > WORDS_MAX {
            return None;
        }
        let found = log_origin(origin, words)?;
        let id = store.intern_callsite(&CallsiteInfo {
            kind: CallsiteKind::Event,
            name: LOG_NAME.to_owned(),
            target: found.target,
            level: origin.level,
            module: found.module,
            file: found.file,
            line: found.line,
        });
        self.words = all_words;
        self.ids.insert(self.key.clone(), id);
        Some((id, &self.rest))
    }

    /// Sorts the words of the fields into two: the fields of the origin make the key.
    fn part(&mut self, origin: Origin, number: CallsiteNumber, mut words: &[u64]) {
        self.key.clear();
        self.rest.clear();
        self.key.push(number.into());
        while let [header, ..] = words {
            let Some((field, rest)) = words.split_at_checked(fields::len_of(*header)) else {
                break;
            };
            let is_origin =
                !fields::is_padding(*header) && origin.has(fields::index_of(*header).into());
            if is_origin { &mut self.key } else { &mut self.rest }.extend_from_slice(field);
            words = rest;
        }
    }
}

/// `None` if there is no target, or if anything was cut.
fn log_origin(origin: Origin, words: &[u64]) -> Option<LogOrigin> {
    let mut found = LogOrigin::default();
    let mut has_target = false;
    for field in Fields::new(words).filter(|field| origin.has(field.index)) {
        if field.is_cut() {
            return None;
        }
        match field.value {
            Value::U64(line) if field.index == origin.line => found.line = u32::try_from(line).ok(),
            value if field.index == origin.target => {
                found.target = text(value)?;
                has_target = true;
            }
            value if field.index == origin.module => found.module = Some(text(value)?),
            value if field.index == origin.file => found.file = Some(text(value)?),
            _ => return None,
        }
    }
    has_target.then_some(found)
}

fn text(value: Value<'_>) -> Option<String> {
    let Value::Str(words, len) = value else { return None };
    let bytes = words.iter().flat_map(|word| word.to_le_bytes()).take(len).collect();
    String::from_utf8(bytes).ok()
}
