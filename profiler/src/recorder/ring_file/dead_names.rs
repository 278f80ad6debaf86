//! What the names in the ring file of a process that is gone say.
//!
//! Nobody vouches for them: their checks do hold, as the reader of the file has seen, and so they are what their owner
//! has appended, or somebody who means ill. Numbers of callsites are bounded by how many there are, so that no table of
//! ours is much larger than what was read.

use std::collections::HashMap;
use std::sync::Arc;

use spandrel_ring::file::Name;

use super::layout::{GAUGES_MAX, names};
use crate::recorder::callsites::Callsites;
use crate::recorder::described::Described;
use crate::recorder::entry_rules::RuleOf;
use crate::recorder::fields::FIELDS_MAX;
use crate::recorder::record::THREAD_MAX;
use crate::recorder::threads::ThreadInfo;
use crate::redact::Redaction;

/// Callsites get their numbers one by one, and one whose name has found no room has a number that is never used. There
/// may be so many of these, beside as many as have names.
const NUMBERS_MISSING_MAX: u64 = 1 << 14;

/// A callsite of that process.
#[derive(Debug)]
pub(crate) struct DeadCallsite {
    is_span: bool,
    level: &'static str,
    line: Option<u32>,
    entries: RuleOf,
    name: String,
    target: String,
    file: Option<String>,
    module: Option<String>,
    fields: Vec<String>,
}

/// The run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct DeadRun {
    /// Which numbers and records it means; see [`HASH`](super::layout::HASH).
    pub(crate) hash: u64,
    pub(crate) pid: u64,
    /// The profile's path, and which file that was, if it says so.
    pub(crate) database: String,
    pub(crate) file: Option<(u64, u64)>,
    pub(crate) uuid: String,
    pub(crate) program: String,
    /// Names of fields with secrets, and of those that have none, as they were set.
    pub(crate) redacted: Vec<String>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct DeadNames {
    pub(crate) run: Option<DeadRun>,
    pub(crate) callsites: HashMap<u32, DeadCallsite>,
    pub(crate) threads: HashMap<u32, ThreadInfo>,
    gauges: HashMap<u32, Arc<str>>,
    /// How it was closed: when, in ticks; marks that were dropped; callsites that were kept, and those below the level.
    pub(crate) ended: Option<[u64; 4]>,
    /// Names that make no sense.
    pub(crate) damaged: u64,
}

impl DeadCallsite {
    fn read(name: &Name<'_>) -> Option<(u64, Self)> {
        let [number, level, is_event, line, entries, has_file, has_module, ..] = *name.numbers
        else {
            return None;
        };
        let [span, target, file, module, fields @ ..] = name.texts.as_slice() else { return None };
        let level = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"]
            .get(usize::try_from(level.checked_sub(1)?).ok()?)?;
        let site = Self {
            is_span: is_event == 0,
            level,
            line: line.checked_sub(1).and_then(|line| u32::try_from(line).ok()),
            entries: RuleOf::from_bits(entries)?,
            name: (*span).to_owned(),
            target: (*target).to_owned(),
            file: (has_file == 1).then(|| (*file).to_owned()),
            module: (has_module == 1).then(|| (*module).to_owned()),
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        };
        Some((number, site))
    }

    pub(crate) fn described(&self) -> Described<'_> {
        Described {
            is_span: self.is_span,
            name: &self.name,
            target: &self.target,
            level: self.level,
            module: self.module.as_deref(),
            file: self.file.as_deref(),
            line: self.line,
            fields: self.fields.iter().map(String::as_str).collect(),
        }
    }

    /// The rule for entries of its spans.
    #[cfg(feature = "collected")]
    pub(crate) fn entries(&self) -> RuleOf {
        self.entries
    }

    pub(crate) fn is_span(&self) -> bool {
        self.is_span
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// How many fields a record may tell apart.
    pub(crate) fn field_count(&self) -> usize {
        self.fields.len().min(FIELDS_MAX)
    }
}

impl DeadRun {
    fn read(name: &Name<'_>) -> Option<Self> {
        let [hash, pid, further @ ..] = name.numbers else { return None };
        // Older ones say no file.
        let file = match *further {
            [_, _, device, number, ..] if number != 0 => Some((device, number)),
            _ => None,
        };
        let [database, uuid, _version, program, redacted @ ..] = name.texts.as_slice() else {
            return None;
        };
        let is_uuid = uuid.len() == 32 && uuid.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_uuid.then(|| Self {
            hash: *hash,
            pid: *pid,
            database: (*database).to_owned(),
            file,
            uuid: (*uuid).to_owned(),
            program: (*program).to_owned(),
            redacted: redacted.iter().map(|name| (*name).to_owned()).collect(),
        })
    }
}

impl DeadNames {
    /// These are all. What has a number that no recorder has given is damaged.
    pub(crate) fn end(&mut self) {
        let before = self.callsites.len();
        let most = before as u64 * 2 + NUMBERS_MISSING_MAX;
        self.callsites.retain(|number, _| u64::from(*number) < most);
        self.damaged += (before - self.callsites.len()) as u64;
    }

    /// Takes one more. Of two that say the same number the first one holds.
    pub(crate) fn add(&mut self, name: &Name<'_>) {
        let is_known = match name.kind {
            names::CALLSITE => DeadCallsite::read(name)
                .and_then(|(number, site)| {
                    self.callsites.entry(u32::try_from(number).ok()?).or_insert(site);
                    Some(())
                })
                .is_some(),
            names::THREAD => self.add_thread(name).is_some(),
            names::GAUGE => self.add_gauge(name).is_some(),
            names::RUN => {
                let run = DeadRun::read(name);
                let is_run = run.is_some();
                self.run = self.run.take().or(run);
                is_run
            }
            names::END => {
                let ended = name.numbers.first_chunk().copied();
                self.ended = self.ended.or(ended);
                ended.is_some()
            }
            // Of a later version, or none of ours.
            _ => true,
        };
        self.damaged += u64::from(!is_known);
    }

    fn add_thread(&mut self, name: &Name<'_>) -> Option<()> {
        let ([number, os_id, has_name, ..], [text, ..]) = (name.numbers, name.texts.as_slice())
        else {
            return None;
        };
        let number = u32::try_from(*number).ok().filter(|it| (1..THREAD_MAX).contains(it))?;
        let name = (*has_name == 1).then(|| (*text).to_owned());
        self.threads.entry(number).or_insert(ThreadInfo { number, os_id: *os_id, name });
        Some(())
    }

    fn add_gauge(&mut self, name: &Name<'_>) -> Option<()> {
        let ([number, ..], [text, ..]) = (name.numbers, name.texts.as_slice()) else { return None };
        let number = u32::try_from(*number).ok().filter(|it| (*it as usize) < GAUGES_MAX)?;
        self.gauges.entry(number).or_insert_with(|| (*text).into());
        Some(())
    }

    /// The name of a gauge.
    pub(crate) fn gauge(&self, number: u32) -> Option<&Arc<str>> {
        self.gauges.get(&number)
    }

    /// There are records of threads for which there was no number.
    pub(crate) fn add_further_threads(&mut self) {
        self.threads.insert(THREAD_MAX, ThreadInfo::further());
    }

    /// Whether records may be of this thread.
    pub(crate) fn has_thread(&self, number: u32) -> bool {
        // The last number is that of all for which there was none.
        number == THREAD_MAX || self.threads.contains_key(&number)
    }

    /// The callsites by number, as far as the recorder has to know them.
    pub(crate) fn known_callsites(&self) -> Callsites {
        let end = self.callsites.keys().max().map_or(0, |last| last + 1);
        let rule = |number| self.callsites.get(&number).map_or(RuleOf::OFF, |site| site.entries);
        Callsites::of_dead((0..end).map(rule))
    }

    /// What may be stored of its fields.
    pub(crate) fn redaction(&self) -> Redaction {
        let mut redaction = Redaction::default();
        let names = self.run.iter().flat_map(|run| &run.redacted);
        names.for_each(|name| redaction.add(name));
        redaction
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_says_its_file_or_was_written_before_runs_did() {
        let uuid = "0123456789abcdef0123456789abcdef";
        let file = |numbers: &[u64]| {
            let mut found = DeadNames::default();
            let texts = vec!["/data/p.db", uuid, "0.1.0", "/bin/shop", "pin"];
            found.add(&Name { kind: names::RUN, numbers, texts });
            let run = found.run.unwrap();
            assert_eq!(
                (run.hash, run.pid, run.redacted.as_slice()),
                (1, 2, &["pin".to_owned()][..])
            );
            run.file
        };
        assert_eq!(file(&[1, 2, 3, 4]), None);
        assert_eq!(file(&[1, 2, 3, 4, 0, 0]), None, "it was not known");
        assert_eq!(file(&[1, 2, 3, 4, 5, 6]), Some((5, 6)));
        assert_eq!(file(&[1, 2, 3, 4, 5, 6, 7]), Some((5, 6)), "a later one says more");
    }

    #[test]
    fn a_number_that_is_far_above_how_many_there_are_is_damaged() {
        let mut found = DeadNames::default();
        let mut add = |number: u64| {
            let numbers = [number, 3, 0, 1, 0, 0, 0];
            found.add(&Name { kind: names::CALLSITE, numbers: &numbers, texts: vec!["a"; 4] });
        };
        // Those of a section that was full for a while are missing.
        for number in [0, 1, 2, 9_000, 6_000_000, u64::from(u32::MAX)] {
            add(number);
        }
        found.end();
        let mut known: Vec<_> = found.callsites.keys().copied().collect();
        known.sort_unstable();
        assert_eq!((known, found.damaged), (vec![0, 1, 2, 9_000], 2));
        assert_eq!(found.known_callsites().len(), 9_001);
    }
}
