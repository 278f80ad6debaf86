//! The tables of sums that `optimize` makes, as SQLite keeps their statements.

/// The statement that makes the table of zones.
pub(crate) const ZONES_SQL: &str = "CREATE TABLE span_zone (
  first_id INTEGER PRIMARY KEY,    -- the zone begins with this id, if there is such a span
  last_id INTEGER NOT NULL,        -- the last span in it
  run_id INTEGER NOT NULL,         -- run.id
  from_ns INTEGER NOT NULL,        -- its spans started at this moment or later,
  to_ns INTEGER NOT NULL,          -- and at this one at the latest;
  end_ns INTEGER NOT NULL          -- they had ended by this one, or never did
) STRICT";

/// And the one of their sums.
pub(crate) const SUMS_SQL: &str = "CREATE TABLE span_zone_sum (
  first_id INTEGER NOT NULL,       -- span_zone.first_id
  callsite_id INTEGER NOT NULL,    -- callsite.id
  unfinished INTEGER NOT NULL,     -- spans that are in none of the following
  calls INTEGER NOT NULL,          -- as in rollup, of the closed spans of the zone
  errors INTEGER NOT NULL,
  sum_ns INTEGER NOT NULL,
  busy_ns INTEGER,
  self_ns INTEGER NOT NULL,
  max_ns INTEGER NOT NULL,
  histogram BLOB NOT NULL,
  long_spans INTEGER NOT NULL,     -- closed spans whose entries count, which are in nothing before
  long_errors INTEGER NOT NULL,    -- those of them that failed
  self_busy_ns INTEGER,            -- as in rollup
  PRIMARY KEY (first_id, callsite_id)
) STRICT, WITHOUT ROWID";

/// The same as earlier versions made it, of files in which no entries count.
pub(crate) const SUMS_SQL_BEFORE: &str = "CREATE TABLE span_zone_sum (
  first_id INTEGER NOT NULL,       -- span_zone.first_id
  callsite_id INTEGER NOT NULL,    -- callsite.id
  unfinished INTEGER NOT NULL,     -- spans that are in none of the following
  calls INTEGER NOT NULL,          -- as in rollup, of the closed spans of the zone
  errors INTEGER NOT NULL,
  sum_ns INTEGER NOT NULL,
  busy_ns INTEGER,
  self_ns INTEGER NOT NULL,
  max_ns INTEGER NOT NULL,
  histogram BLOB NOT NULL,
  PRIMARY KEY (first_id, callsite_id)
) STRICT, WITHOUT ROWID";

/// The statement that makes the table of paths.
pub(crate) const PATHS_SQL: &str = "CREATE TABLE span_path (
  run_id INTEGER NOT NULL,         -- run.id
  id INTEGER NOT NULL,             -- from 0 on within the run
  parent_id INTEGER,               -- span_path.id of the path without its last frame, a smaller one
  callsite_id INTEGER,             -- callsite.id; NULL: parents that are not in the file
  lives_long INTEGER NOT NULL,     -- 1: of spans whose entries count, which are in no sum
  PRIMARY KEY (run_id, id)
) STRICT, WITHOUT ROWID";

/// The same as earlier versions made it, of files in which no entries count.
pub(crate) const PATHS_SQL_BEFORE: &str = "CREATE TABLE span_path (
  run_id INTEGER NOT NULL,         -- run.id
  id INTEGER NOT NULL,             -- from 0 on within the run
  parent_id INTEGER,               -- span_path.id of the path without its last frame, a smaller one
  callsite_id INTEGER,             -- callsite.id; NULL: parents that are not in the file
  PRIMARY KEY (run_id, id)
) STRICT, WITHOUT ROWID";

/// And the one of their sums.
pub(crate) const PATH_SUMS_SQL: &str = "CREATE TABLE span_zone_path (
  first_id INTEGER NOT NULL,       -- span_zone.first_id
  path_id INTEGER NOT NULL,        -- span_path.id
  unfinished INTEGER NOT NULL,     -- spans that are in none of the following
  calls INTEGER NOT NULL,          -- as in rollup, of the closed spans of the zone
  errors INTEGER NOT NULL,
  sum_ns INTEGER NOT NULL,
  busy_ns INTEGER,
  self_ns INTEGER NOT NULL,
  PRIMARY KEY (first_id, path_id)
) STRICT, WITHOUT ROWID";
