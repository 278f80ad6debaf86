-- The profile database of spandrel, version 2. This file is the contract.
--
-- Times are integer nanoseconds. Names that end in _unix_ns count from the Unix epoch; start_ns,
-- at_ns, until_ns, from_ns, to_ns and seen_ns count from the start of the run
-- (run.started_unix_ns). Ids of spans and events are unique in the file over all runs and grow
-- with the time of creation, so a run, and roughly a time window, is a range of the primary key.

-- One recording: a process that opened the file.
CREATE TABLE run (
  id INTEGER PRIMARY KEY,          -- 1, 2, 3 ... in the order of recording
  uuid TEXT NOT NULL,              -- random, 32 lower-case hexadecimal digits
  label TEXT,                      -- what the user calls the run; NULL: not named
  started_unix_ns INTEGER NOT NULL,-- wall-clock start, ns since the Unix epoch
  ended_unix_ns INTEGER,           -- wall-clock end; NULL: still recording, or killed
  pid INTEGER NOT NULL,            -- process id
  program TEXT NOT NULL,           -- path of the executable
  args TEXT NOT NULL,              -- command-line arguments, JSON array of strings
  host TEXT NOT NULL,              -- host name
  os TEXT NOT NULL,                -- operating system and architecture
  cpus INTEGER NOT NULL,           -- processors that the process may use
  clock TEXT NOT NULL,             -- the clock that stamps spans: tsc or monotonic
  settings TEXT NOT NULL,          -- settings of the recording, JSON object
  report TEXT,                     -- the report of close(), JSON object; NULL: never closed
  first_id INTEGER NOT NULL,       -- ids of the run's spans and events are at least this
  last_id INTEGER NOT NULL,        -- largest id in its rows, references to unstored spans included
  last_ns INTEGER NOT NULL,        -- latest moment in its rows, ns since the start of the run
  spans INTEGER NOT NULL,          -- span rows stored; those pruned since are counted too
  unfinished INTEGER NOT NULL,     -- how many of them have the status 'unfinished'
  events INTEGER NOT NULL,         -- event rows stored; those pruned since are counted too
  links INTEGER NOT NULL,          -- link rows stored; those pruned since are counted too
  dropped_spans INTEGER NOT NULL,  -- sum of loss.spans
  dropped_events INTEGER NOT NULL, -- sum of loss.events
  pruned_spans INTEGER NOT NULL,   -- span rows that retention deleted; not a loss
  pruned_events INTEGER NOT NULL   -- event rows that retention deleted; not a loss
) STRICT;

-- A place in the source that makes spans or events; one row a place, over all runs.
CREATE TABLE callsite (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,              -- 'span' or 'event'
  name TEXT NOT NULL,              -- name of the span; made from file and line for an event
  target TEXT NOT NULL,            -- the tracing target, by default the module path
  level TEXT NOT NULL,             -- ERROR, WARN, INFO, DEBUG or TRACE
  module TEXT,                     -- module path; NULL: not known
  file TEXT,                       -- source file; NULL: not known
  line INTEGER                     -- line in the source file; NULL: not known
) STRICT;

-- A thread of one run.
CREATE TABLE thread (
  id INTEGER PRIMARY KEY,
  run_id INTEGER NOT NULL,         -- run.id
  os_id INTEGER NOT NULL,          -- the id that the operating system gave it
  name TEXT                        -- NULL: the thread has no name
) STRICT;

-- A span that closed, or that was open when the recording ended. There is no index but the primary
-- key: ids grow with time, so a window of time is a range of them.
CREATE TABLE span (
  id INTEGER PRIMARY KEY,          -- unique in the file; grows with the time of creation
  run_id INTEGER NOT NULL,         -- run.id
  parent_id INTEGER,               -- enclosing span, span.id; NULL: a root
  root_id INTEGER NOT NULL,        -- outermost ancestor; a root's own id
  callsite_id INTEGER NOT NULL,    -- callsite.id
  thread_id INTEGER NOT NULL,      -- the thread that created it, thread.id
  start_ns INTEGER NOT NULL,       -- when it was created, ns since the start of the run
  duration_ns INTEGER,             -- from creation to close, ns; NULL: unfinished
  busy_ns INTEGER,                 -- time inside the span, ns, summed over its entries;
                                   -- NULL: not measured in this run
  self_ns INTEGER,                 -- duration less the union of its children that ended before it;
                                   -- NULL: unfinished
  polls INTEGER NOT NULL,          -- how many times it was entered
  status TEXT NOT NULL,            -- 'ok', 'error', 'panicked' or 'unfinished'
  fields TEXT                      -- JSON object; NULL: no fields
) STRICT;

-- Something that happened at one moment, inside a span or not.
CREATE TABLE event (
  id INTEGER PRIMARY KEY,          -- unique in the file; grows with time
  run_id INTEGER NOT NULL,         -- run.id
  span_id INTEGER,                 -- the span it happened in, span.id; NULL: in none
  callsite_id INTEGER NOT NULL,    -- callsite.id
  thread_id INTEGER NOT NULL,      -- thread.id
  at_ns INTEGER NOT NULL,          -- when, ns since the start of the run
  message TEXT,                    -- NULL: no message
  fields TEXT                      -- the other fields, JSON object; NULL: none
) STRICT;

-- A span that follows from another one; said as often as the program said it.
CREATE TABLE link (
  span_id INTEGER NOT NULL,        -- the later span, span.id
  follows_id INTEGER NOT NULL,     -- the span it follows from, span.id
  run_id INTEGER NOT NULL          -- run.id
) STRICT;
CREATE INDEX link_by_span ON link (span_id);

-- A named moment or section.
CREATE TABLE mark (
  id INTEGER PRIMARY KEY,
  run_id INTEGER NOT NULL,         -- run.id
  at_ns INTEGER NOT NULL,          -- the moment, or the start of the section
  until_ns INTEGER,                -- end of the section; NULL: a moment, or it has not ended
  label TEXT NOT NULL,
  fields TEXT                      -- JSON object; NULL: none
) STRICT;

-- A sampled value; between two samples the last write wins.
CREATE TABLE gauge (
  id INTEGER PRIMARY KEY,
  run_id INTEGER NOT NULL,         -- run.id
  name TEXT NOT NULL,
  at_ns INTEGER NOT NULL,          -- when it was sampled
  value REAL,                      -- NULL: not a number
  version INTEGER NOT NULL,        -- writes since the run began
  updates INTEGER NOT NULL         -- writes since the last sample
) STRICT;

-- One callsite in one interval: the closed spans that ended in it.
CREATE TABLE rollup (
  run_id INTEGER NOT NULL,         -- run.id
  at_ns INTEGER NOT NULL,          -- start of the interval
  callsite_id INTEGER NOT NULL,    -- callsite.id
  interval_ns INTEGER NOT NULL,    -- length of the interval
  calls INTEGER NOT NULL,          -- spans that ended in the interval
  errors INTEGER NOT NULL,         -- those with the status 'error' or 'panicked'
  sum_ns INTEGER NOT NULL,         -- sum of duration_ns
  busy_ns INTEGER,                 -- sum of busy_ns; NULL: not measured in this run
  self_ns INTEGER NOT NULL,        -- sum of self_ns
  max_ns INTEGER NOT NULL,         -- largest duration_ns
  histogram BLOB NOT NULL,         -- of duration_ns, percentiles within 1 %; see histogram.rs
  PRIMARY KEY (run_id, at_ns, callsite_id)
) STRICT, WITHOUT ROWID;

-- The writer itself, at the end of an interval. Counts are since the start of the run.
CREATE TABLE writer_stat (
  run_id INTEGER NOT NULL,         -- run.id
  at_ns INTEGER NOT NULL,          -- end of the interval
  recorded INTEGER NOT NULL,       -- spans recorded
  stored INTEGER NOT NULL,         -- spans stored, the commit with this row included
  dropped TEXT NOT NULL,           -- spans dropped by reason, JSON object
  events_recorded INTEGER NOT NULL,-- events recorded
  events_stored INTEGER NOT NULL,  -- events stored, the commit with this row included
  events_dropped TEXT NOT NULL,    -- events dropped by reason, JSON object
  batches INTEGER NOT NULL,        -- commits
  largest_batch_ns INTEGER NOT NULL,-- longest commit of the interval, ns
  ring_high_water INTEGER NOT NULL,-- most slots of the ring that were ever in use at once
  wal_bytes INTEGER NOT NULL,      -- size of the write-ahead log
  file_bytes INTEGER NOT NULL,     -- size of the main file
  open_spans INTEGER NOT NULL,     -- spans open at this moment
  PRIMARY KEY (run_id, at_ns)
) STRICT, WITHOUT ROWID;

-- Spans that were open when the writer last looked; replaced at each look, empty once the run has
-- ended. Rows of a run without an end are what was open shortly before it was killed.
CREATE TABLE open_span (
  id INTEGER PRIMARY KEY,          -- as span.id, and so on
  run_id INTEGER NOT NULL,         -- run.id
  parent_id INTEGER,               -- enclosing span; NULL: a root
  root_id INTEGER NOT NULL,        -- outermost ancestor; a root's own id
  callsite_id INTEGER NOT NULL,    -- callsite.id
  thread_id INTEGER NOT NULL,      -- the thread that created it, thread.id
  start_ns INTEGER NOT NULL,       -- when it was created
  busy_ns INTEGER,                 -- time inside the span so far, ns; NULL: not measured
  polls INTEGER NOT NULL,          -- how many times it was entered so far
  fields TEXT,                     -- JSON object; NULL: no fields
  seen_ns INTEGER NOT NULL         -- when the writer looked
) STRICT;

-- Spans and events that are missing, why, and when.
CREATE TABLE loss (
  id INTEGER PRIMARY KEY,
  run_id INTEGER NOT NULL,         -- run.id
  reason TEXT NOT NULL,            -- such as 'ring_full'
  from_ns INTEGER NOT NULL,        -- the loss did not begin before this moment
  to_ns INTEGER NOT NULL,          -- the loss did not end after this moment
  spans INTEGER NOT NULL,          -- spans lost
  events INTEGER NOT NULL,         -- events lost
  thread_id INTEGER                -- thread.id; NULL: several, or not known
) STRICT;

-- Views for people. Milliseconds and ISO-8601 text (UTC) stand beside the nanoseconds.

-- Spans with their names.
CREATE VIEW spans AS
SELECT
  s.id, s.run_id, s.parent_id, s.root_id, c.name, c.target, c.level,
  strftime('%Y-%m-%dT%H:%M:%S', (r.started_unix_ns + s.start_ns) / 1000000000, 'unixepoch')
    || printf('.%03dZ', (r.started_unix_ns + s.start_ns) / 1000000 % 1000) AS started,
  s.duration_ns / 1e6 AS duration_ms, s.busy_ns / 1e6 AS busy_ms, s.self_ns / 1e6 AS self_ms,
  s.polls, s.status, coalesce(t.name, 'thread ' || t.os_id) AS thread, s.fields,
  c.file, c.line, s.start_ns, s.duration_ns, s.busy_ns, s.self_ns, s.callsite_id, s.thread_id
FROM span AS s
LEFT JOIN run AS r ON r.id = s.run_id
LEFT JOIN callsite AS c ON c.id = s.callsite_id
LEFT JOIN thread AS t ON t.id = s.thread_id;

-- Where the time went, by run and callsite, from the rollups.
CREATE VIEW top AS
SELECT
  u.run_id, c.name, c.target, sum(u.calls) AS calls, sum(u.errors) AS errors,
  sum(u.sum_ns) / 1e6 AS total_ms, sum(u.sum_ns) / 1e6 / sum(u.calls) AS mean_ms,
  max(u.max_ns) / 1e6 AS max_ms, sum(u.self_ns) / 1e6 AS self_ms, sum(u.busy_ns) / 1e6 AS busy_ms,
  u.callsite_id
FROM rollup AS u
LEFT JOIN callsite AS c ON c.id = u.callsite_id
GROUP BY u.run_id, u.callsite_id
ORDER BY u.run_id, sum(u.sum_ns) DESC;

-- Closed spans, the slowest first.
CREATE VIEW slow AS
SELECT * FROM spans WHERE duration_ns IS NOT NULL ORDER BY duration_ns DESC;

-- Spans without a parent, in the order of their start. Looks at every span of the file, or at those
-- in a range of ids if one is asked for.
CREATE VIEW roots AS
SELECT * FROM spans WHERE parent_id IS NULL ORDER BY run_id, start_ns;

-- Spans that were open when the writer last looked, the oldest first.
CREATE VIEW open_spans AS
SELECT
  s.id, s.run_id, s.parent_id, s.root_id, c.name, c.target, c.level,
  strftime('%Y-%m-%dT%H:%M:%S', (r.started_unix_ns + s.start_ns) / 1000000000, 'unixepoch')
    || printf('.%03dZ', (r.started_unix_ns + s.start_ns) / 1000000 % 1000) AS started,
  (s.seen_ns - s.start_ns) / 1e6 AS age_ms, s.busy_ns / 1e6 AS busy_ms, s.polls,
  coalesce(t.name, 'thread ' || t.os_id) AS thread, s.fields, s.start_ns, s.seen_ns
FROM open_span AS s
LEFT JOIN run AS r ON r.id = s.run_id
LEFT JOIN callsite AS c ON c.id = s.callsite_id
LEFT JOIN thread AS t ON t.id = s.thread_id
ORDER BY s.run_id, s.start_ns;

-- Events with their names.
CREATE VIEW events AS
SELECT
  e.id, e.run_id, e.span_id,
  strftime('%Y-%m-%dT%H:%M:%S', (r.started_unix_ns + e.at_ns) / 1000000000, 'unixepoch')
    || printf('.%03dZ', (r.started_unix_ns + e.at_ns) / 1000000 % 1000) AS at,
  c.level, c.target, e.message, e.fields, coalesce(t.name, 'thread ' || t.os_id) AS thread,
  c.file, c.line, e.at_ns, e.callsite_id, e.thread_id
FROM event AS e
LEFT JOIN run AS r ON r.id = e.run_id
LEFT JOIN callsite AS c ON c.id = e.callsite_id
LEFT JOIN thread AS t ON t.id = e.thread_id;

-- What is missing, by run and reason.
CREATE VIEW losses AS
SELECT
  l.run_id, l.reason, sum(l.spans) AS spans, sum(l.events) AS events,
  min(l.from_ns) / 1e6 AS from_ms, max(l.to_ns) / 1e6 AS to_ms
FROM loss AS l
GROUP BY l.run_id, l.reason
ORDER BY l.run_id, sum(l.spans) DESC, l.reason;

-- The recordings. complete: ended, nothing dropped and nothing pruned.
CREATE VIEW runs AS
SELECT
  r.id, r.label,
  strftime('%Y-%m-%dT%H:%M:%S', r.started_unix_ns / 1000000000, 'unixepoch')
    || printf('.%03dZ', r.started_unix_ns / 1000000 % 1000) AS started,
  coalesce(r.ended_unix_ns - r.started_unix_ns, r.last_ns) / 1e9 AS seconds,
  r.spans, r.unfinished, r.events, r.dropped_spans + r.dropped_events AS dropped,
  r.pruned_spans + r.pruned_events AS pruned,
  iif(r.ended_unix_ns IS NOT NULL
    AND r.dropped_spans + r.dropped_events + r.pruned_spans + r.pruned_events = 0,
    'yes', 'no') AS complete,
  r.program, r.host, r.pid
FROM run AS r
ORDER BY r.id;
