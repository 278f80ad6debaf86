//! Numbers for callsites and threads.
//!
//! There is only one writer, so numbers are given out in memory; the rows are inserted with the next
//! transaction, and stay pending until one commits.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, Statement, params};

use crate::append::key_of_another_run;
use crate::error::is_refused;
use crate::ids::LastIds;
use crate::memory::MemoryUse;
use crate::record::{CallsiteInfo, CallsiteKind, NAME_BYTES_MAX, cut};

/// How far above the others the ids of threads are that were changed because somebody had taken theirs.
const MOVED_THREADS_ABOVE: i64 = 1 << 24;

#[derive(Debug, Default)]
pub(crate) struct Interner {
    callsites: HashMap<CallsiteInfo, i64>,
    last_callsite: i64,
    /// The largest thread id of earlier runs; those of this one are above it.
    earlier_threads: i64,
    new_callsites: Vec<(i64, CallsiteInfo)>,
    new_threads: Vec<NewThread>,
    /// Threads whose ids somebody has taken: by number, the ids that they have instead.
    moved_threads: HashMap<u32, i64>,
    /// Whether rows may be in the file already.
    again: bool,
}

#[derive(Debug)]
struct NewThread {
    id: i64,
    number: u32,
    run_id: i64,
    os_id: u64,
    name: Option<String>,
}

impl Interner {
    /// Reads the callsites of the file. New ones, and threads, get numbers above those in use.
    pub(crate) fn load(conn: &Connection, last: &LastIds) -> rusqlite::Result<Self> {
        let mut interner =
            Self { last_callsite: last.callsite, earlier_threads: last.thread, ..Self::default() };
        // Only the newest: the others get new rows when they are met.
        let mut query = conn.prepare(&format!(
            "SELECT id, kind, name, target, level, module, file, line FROM callsite
             ORDER BY id DESC LIMIT {LOADED_MAX}"
        ))?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let (kind, level): (String, String) = (row.get(1)?, row.get(4)?);
            // A row with words of another version is left alone; the callsite gets a new row.
            let (Some(kind), Some(level)) = (kind_of(&kind), level_of(&level)) else { continue };
            let info = CallsiteInfo {
                kind,
                level,
                name: row.get(2)?,
                target: row.get(3)?,
                module: row.get(5)?,
                file: row.get(6)?,
                line: row.get(7)?,
            };
            if !is_too_long(&info) {
                interner.callsites.insert(info, row.get(0)?);
            }
        }
        Ok(interner)
    }

    /// Threads have the ids that those of a run had whose numbers began above this one.
    pub(crate) fn begin_threads_above(&mut self, earlier: i64) {
        self.earlier_threads = earlier;
        self.moved_threads.clear();
    }

    /// What decides about ids of threads, for another run to be the one that is recorded.
    pub(crate) fn take_threads(&mut self) -> (i64, HashMap<u32, i64>) {
        (self.earlier_threads, std::mem::take(&mut self.moved_threads))
    }

    /// The opposite.
    pub(crate) fn put_threads(&mut self, earlier: i64, moved: HashMap<u32, i64>) {
        (self.earlier_threads, self.moved_threads) = (earlier, moved);
    }

    pub(crate) fn callsite(&mut self, info: &CallsiteInfo) -> i64 {
        if is_too_long(info) {
            return self.callsite(&shortened(info));
        }
        if let Some(id) = self.callsites.get(info) {
            return *id;
        }
        self.last_callsite = self.last_callsite.saturating_add(1);
        self.callsites.insert(info.clone(), self.last_callsite);
        self.new_callsites.push((self.last_callsite, info.clone()));
        self.last_callsite
    }

    /// The id of the thread that the caller calls `number`.
    pub(crate) fn thread_id(&self, number: u32) -> i64 {
        if !self.moved_threads.is_empty()
            && let Some(id) = self.moved_threads.get(&number)
        {
            return *id;
        }
        self.earlier_threads.saturating_add(i64::from(number))
    }

    pub(crate) fn thread(&mut self, run_id: i64, number: u32, os_id: u64, name: Option<&str>) {
        let (id, name) = (self.thread_id(number), name.map(shorten));
        self.new_threads.push(NewThread { id, number, run_id, os_id, name });
    }

    /// The numbers of threads whose rows are still to be inserted.
    pub(crate) fn pending_threads(&self) -> HashSet<u32> {
        self.new_threads.iter().map(|thread| thread.number).collect()
    }

    /// Memory for everything, including texts.
    pub(crate) fn memory(&self) -> MemoryUse {
        let texts = |info: &CallsiteInfo| {
            let others =
                [&info.module, &info.file].map(|text| text.as_ref().map_or(0, String::len));
            info.name.len() + info.target.len() + others.iter().sum::<usize>()
        };
        let known: usize = self.callsites.keys().map(texts).sum();
        let new: usize = self.new_callsites.iter().map(|(_, info)| texts(info)).sum();
        let name = |thread: &NewThread| thread.name.as_ref().map_or(0, String::len);
        let names: usize = self.new_threads.iter().map(name).sum();
        // The hash table has a byte for each of its slots.
        let places = self.callsites.capacity() * (size_of::<(CallsiteInfo, i64)>() + 1)
            + self.moved_threads.capacity() * (size_of::<(u32, i64)>() + 1);
        MemoryUse::whole(known + new + names + places)
            + MemoryUse::of(&self.new_callsites)
            + MemoryUse::of(&self.new_threads)
    }

    pub(crate) fn has_pending(&self) -> bool {
        !(self.new_callsites.is_empty() && self.new_threads.is_empty())
    }

    /// Inserts what is pending; [`committed`](Self::committed) follows when the transaction has.
    pub(crate) fn insert(&self, conn: &Connection) -> rusqlite::Result<()> {
        if !self.new_callsites.is_empty() {
            let mut insert = conn.prepare(&self.statement(INSERT_CALLSITE))?;
            for (id, callsite) in &self.new_callsites {
                insert_callsite(&mut insert, *id, callsite)?;
            }
        }
        if !self.new_threads.is_empty() {
            let mut insert = conn.prepare(INSERT_THREAD)?;
            self.new_threads.iter().try_for_each(|thread| insert_thread(&mut insert, thread))?;
        }
        Ok(())
    }

    /// Inserts what is pending, and gives new numbers, above those in use, to what somebody has taken
    /// the number of. The transaction is rolled back afterwards: everything stays pending.
    pub(crate) fn mend(&mut self, conn: &Connection, last: &LastIds) -> rusqlite::Result<Renamed> {
        let mut renamed = Renamed::default();
        self.last_callsite = self.last_callsite.max(last.callsite);
        let insert = &mut conn.prepare(&self.statement(INSERT_CALLSITE))?;
        for (id, callsite) in &mut self.new_callsites {
            if !is_refused(insert_callsite(insert, *id, callsite))? {
                continue;
            }
            self.last_callsite = self.last_callsite.saturating_add(1);
            let old = std::mem::replace(id, self.last_callsite);
            renamed.callsites.insert(old, *id);
            self.callsites.insert(callsite.clone(), *id);
            insert_callsite(insert, *id, callsite)?;
        }
        let insert = &mut conn.prepare(INSERT_THREAD)?;
        let pending = self.new_threads.iter().map(|thread| thread.id).max().unwrap_or(0);
        // Far above, so that further threads do not collide with those that were moved.
        let mut next = last.thread.max(pending).saturating_add(MOVED_THREADS_ABOVE);
        for thread in &mut self.new_threads {
            if !is_refused(insert_thread(insert, thread))? {
                continue;
            }
            // At the end of all ids the row is refused again, and then the batch.
            next = next.saturating_add(1);
            let old = std::mem::replace(&mut thread.id, next);
            renamed.threads.insert(old, next);
            self.moved_threads.insert(thread.number, next);
            insert_thread(insert, thread)?;
        }
        Ok(renamed)
    }

    /// The file may have lost rows: all callsites are inserted again, unless they are there, with the
    /// same ids. The caller tells again of threads.
    pub(crate) fn insert_again(&mut self) {
        self.new_callsites = self.callsites.iter().map(|(info, id)| (*id, info.clone())).collect();
        self.again = true;
    }

    /// Inserts callsites again whose rows somebody has deleted, with the ids that they have.
    pub(crate) fn insert_missing(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let mut query = conn.prepare("SELECT id FROM main.callsite")?;
        let present =
            query.query_map([], |row| row.get(0))?.collect::<Result<HashSet<i64>, _>>()?;
        let pending: HashSet<i64> = self.new_callsites.iter().map(|(id, _)| *id).collect();
        let missing =
            self.callsites.iter().filter(|(_, id)| !present.contains(id) && !pending.contains(id));
        let missing: Vec<_> = missing.map(|(info, id)| (*id, info.clone())).collect();
        self.again |= !missing.is_empty();
        self.new_callsites.extend(missing);
        Ok(())
    }

    /// The statement for what is pending.
    fn statement(&self, insert: &str) -> String {
        let again = if self.again { "ON CONFLICT (id) DO NOTHING" } else { "" };
        format!("{insert} {again}")
    }

    pub(crate) fn committed(&mut self) {
        self.again = false;
        self.new_callsites.clear();
        self.new_threads.clear();
    }
}

/// Numbers of callsites and threads that have changed in a batch.
#[derive(Debug, Default)]
pub(crate) struct Renamed {
    pub(crate) callsites: HashMap<i64, i64>,
    pub(crate) threads: HashMap<i64, i64>,
}

const INSERT_CALLSITE: &str =
    "INSERT INTO main.callsite (id, kind, name, target, level, module, file, line)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
/// If a thread is told of twice, the first row stays. A row of another run is never taken for it.
const INSERT_THREAD: &str =
    "INSERT INTO main.thread (id, run_id, os_id, name) VALUES (?1, ?2, ?3, ?4)
     ON CONFLICT (id) DO UPDATE SET run_id = run_id WHERE run_id = excluded.run_id";

fn insert_callsite(insert: &mut Statement<'_>, id: i64, c: &CallsiteInfo) -> rusqlite::Result<()> {
    let kind = c.kind.as_str();
    insert.execute(params![id, kind, c.name, c.target, c.level, c.module, c.file, c.line])?;
    Ok(())
}

fn insert_thread(insert: &mut Statement<'_>, t: &NewThread) -> rusqlite::Result<()> {
    if insert.execute(params![t.id, t.run_id, t.os_id as i64, t.name])? == 0 {
        return Err(key_of_another_run("thread.id"));
    }
    Ok(())
}

/// Most callsites of earlier runs that are loaded.
const LOADED_MAX: usize = 65_536;

fn is_too_long(info: &CallsiteInfo) -> bool {
    let texts = [Some(&info.name), Some(&info.target), info.module.as_ref(), info.file.as_ref()];
    texts.into_iter().flatten().any(|text| text.len() > NAME_BYTES_MAX)
}

fn shorten(text: &str) -> String {
    cut(text, NAME_BYTES_MAX).to_owned()
}

fn shortened(info: &CallsiteInfo) -> CallsiteInfo {
    CallsiteInfo {
        name: shorten(&info.name),
        target: shorten(&info.target),
        module: info.module.as_deref().map(shorten),
        file: info.file.as_deref().map(shorten),
        ..info.clone()
    }
}

fn kind_of(text: &str) -> Option<CallsiteKind> {
    [CallsiteKind::Span, CallsiteKind::Event].into_iter().find(|kind| kind.as_str() == text)
}

fn level_of(text: &str) -> Option<&'static str> {
    ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].into_iter().find(|level| *level == text)
}
