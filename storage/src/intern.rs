//! Numbers for callsites and threads.
//!
//! There is one writer for ever, so numbers are given out in memory; the rows follow in the next
//! transaction and stay pending until one commits.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use crate::record::{CallsiteInfo, CallsiteKind};

#[derive(Debug, Default)]
pub(crate) struct Interner {
    callsites: HashMap<CallsiteInfo, i64>,
    last_callsite: i64,
    /// The largest thread id of earlier runs; those of this one are above it.
    earlier_threads: i64,
    new_callsites: Vec<(i64, CallsiteInfo)>,
    new_threads: Vec<NewThread>,
}

#[derive(Debug)]
struct NewThread {
    id: i64,
    run_id: i64,
    os_id: u64,
    name: Option<String>,
}

impl Interner {
    pub(crate) fn load(conn: &Connection) -> rusqlite::Result<Self> {
        let largest = |table: &str| {
            let sql = format!("SELECT coalesce(max(id), 0) FROM {table}");
            conn.query_row(&sql, [], |row| row.get(0))
        };
        let mut interner = Self {
            last_callsite: largest("callsite")?,
            earlier_threads: largest("thread")?,
            ..Self::default()
        };
        let mut query =
            conn.prepare("SELECT id, kind, name, target, level, module, file, line FROM callsite")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let (kind, level): (String, String) = (row.get(1)?, row.get(4)?);
            // A row with words of another version is left alone; the callsite gets a new one.
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
            interner.callsites.insert(info, row.get(0)?);
        }
        Ok(interner)
    }

    pub(crate) fn callsite(&mut self, info: &CallsiteInfo) -> i64 {
        if let Some(id) = self.callsites.get(info) {
            return *id;
        }
        self.last_callsite += 1;
        self.callsites.insert(info.clone(), self.last_callsite);
        self.new_callsites.push((self.last_callsite, info.clone()));
        self.last_callsite
    }

    /// The id of the thread that the caller calls `number`.
    pub(crate) fn thread_id(&self, number: u32) -> i64 {
        self.earlier_threads + i64::from(number)
    }

    pub(crate) fn thread(&mut self, run_id: i64, number: u32, os_id: u64, name: Option<&str>) {
        let (id, name) = (self.thread_id(number), name.map(str::to_owned));
        self.new_threads.push(NewThread { id, run_id, os_id, name });
    }

    pub(crate) fn has_pending(&self) -> bool {
        !(self.new_callsites.is_empty() && self.new_threads.is_empty())
    }

    /// Inserts what is pending; [`committed`](Self::committed) follows when the transaction has.
    pub(crate) fn insert(&self, conn: &Connection) -> rusqlite::Result<()> {
        if !self.new_callsites.is_empty() {
            let mut insert = conn.prepare(
                "INSERT INTO callsite (id, kind, name, target, level, module, file, line)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?;
            for (id, c) in &self.new_callsites {
                insert.execute(params![
                    id,
                    c.kind.as_str(),
                    c.name,
                    c.target,
                    c.level,
                    c.module,
                    c.file,
                    c.line
                ])?;
            }
        }
        if !self.new_threads.is_empty() {
            let mut insert = conn
                .prepare("INSERT INTO thread (id, run_id, os_id, name) VALUES (?1, ?2, ?3, ?4)")?;
            for t in &self.new_threads {
                insert.execute(params![t.id, t.run_id, t.os_id as i64, t.name])?;
            }
        }
        Ok(())
    }

    pub(crate) fn committed(&mut self) {
        self.new_callsites.clear();
        self.new_threads.clear();
    }
}

fn kind_of(text: &str) -> Option<CallsiteKind> {
    [CallsiteKind::Span, CallsiteKind::Event].into_iter().find(|kind| kind.as_str() == text)
}

fn level_of(text: &str) -> Option<&'static str> {
    ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].into_iter().find(|level| *level == text)
}
