-- The profile database of spandrel, version 4. This file is the contract.
--
-- Times are integer nanoseconds. Names that end in _unix_ns count from the Unix epoch; start_ns,
-- at_ns, until_ns, from_ns, to_ns and seen_ns count from the start of the run
-- (run.started_unix_ns). Ids of spans and events are unique in the file over all runs and grow
-- with the time of creation, so a run, and roughly a time window, is a range of the primary key. (Of
-- runs that were collected beside each other, one may have ids on both sides of another one's: the
-- rows of a run are those in its range with its run_id.)

-- One recording: a process that opened the file.
CREATE TABLE run (
  id INTEGER PRIMARY KEY NOT NULL, -- 1, 2, 3 ... in the order of recording
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
  clock TEXT NOT NULL,             -- the clock that stamps spans: tsc, cntvct or monotonic
  settings TEXT NOT NULL,          -- settings of the recording, JSON object
  report TEXT,                     -- the report of close(), JSON object; before the end only the memory
                                   -- taken and what went wrong so far; NULL: nothing is known
  first_id INTEGER NOT NULL,       -- ids of the run's spans and events are at least this
  last_id INTEGER NOT NULL,        -- largest id in its rows, references to unstored spans included
  last_ns INTEGER NOT NULL,        -- latest moment in its rows, ns since the start of the run
  spans INTEGER NOT NULL,          -- span rows stored; those pruned since are counted too
  unfinished INTEGER NOT NULL,     -- how many of them have the status 'unfinished' or 'crashed'
  events INTEGER NOT NULL,         -- event rows stored; those pruned since are counted too
  links INTEGER NOT NULL,          -- link rows stored; those pruned since are counted too
  dropped_spans INTEGER NOT NULL,  -- sum of loss.spans
  dropped_events INTEGER NOT NULL, -- sum of loss.events
  pruned_spans INTEGER NOT NULL,   -- span rows that retention deleted; not a loss
  pruned_events INTEGER NOT NULL,  -- event rows that retention deleted; not a loss
  last_batch_id INTEGER NOT NULL DEFAULT 0, -- largest batch.id of the run, of deleted ones too; 0: none
  entries INTEGER NOT NULL DEFAULT 0, -- entry rows stored; those pruned since are counted too
  dropped_entries INTEGER NOT NULL DEFAULT 0, -- sum of loss.entries
  pruned_entries INTEGER NOT NULL DEFAULT 0 -- entry rows that retention deleted; not a loss
) STRICT;

-- A place in the source that makes spans or events; one row a place, over all runs.
CREATE TABLE callsite (
  id INTEGER PRIMARY KEY NOT NULL,
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
  id INTEGER PRIMARY KEY NOT NULL,
  run_id INTEGER NOT NULL,         -- run.id
  os_id INTEGER NOT NULL,          -- the id that the operating system gave it
  name TEXT                        -- NULL: the thread has no name
) STRICT;

-- A span that closed, or that was open when the recording ended or its process died. There is no index but the primary
-- key: ids grow with time, so a window of time is a range of them.
CREATE TABLE span (
  id INTEGER PRIMARY KEY NOT NULL, -- unique in the file; grows with the time of creation
  run_id INTEGER NOT NULL,         -- run.id
  parent_id INTEGER,               -- enclosing span, span.id; NULL: a root
  root_id INTEGER NOT NULL,        -- outermost ancestor; a root's own id
  callsite_id INTEGER NOT NULL,    -- callsite.id
  thread_id INTEGER NOT NULL,      -- the thread that created it, thread.id
  start_ns INTEGER NOT NULL,       -- when it was created, ns since the start of the run
  duration_ns INTEGER,             -- from creation to close, ns; NULL: it has not closed
  busy_ns INTEGER,                 -- time inside the span, ns, summed over its entries;
                                   -- NULL: not measured in this run
  self_ns INTEGER,                 -- from creation to the last exit, less the union of the same of its
                                   -- children that were done before it, and of the entries that its
                                   -- threads made meanwhile into other spans; 0: also one that was never
                                   -- entered; NULL: it has not closed, or lived long and its entries count
                                   -- instead, or it is a root of such a callsite that nobody entered
  entries INTEGER NOT NULL,        -- how many times it was entered; one more than a future was polled,
                                   -- since dropping the future enters its span once more
  status TEXT NOT NULL,            -- 'ok' (nothing said that it failed; a future that was dropped
                                   -- half-way is as one that came to its end), 'error', 'panicked',
                                   -- 'unfinished' (open at the end of the recording) or 'crashed'
                                   -- (open when its process died; recovered from its ring file)
  fields TEXT,                     -- JSON object; NULL: no fields
  first_entry_ns INTEGER,          -- from creation to the first entry, ns; NULL: never entered, or
                                   -- not measured in this run
  longest_entry_ns INTEGER,        -- length of the longest entry, ns; NULL: busy_ns, if it was
                                   -- entered once; else as above
  last_exit_ns INTEGER,            -- from creation to the last exit, ns; NULL: first_entry_ns +
                                   -- busy_ns, if it was entered once; else as above
  longest_thread_id INTEGER,       -- the thread of the longest entry, thread.id; NULL: thread_id
  self_busy_ns INTEGER,            -- busy_ns less that of its children inside it, and less the entries
                                   -- that its threads made meanwhile into other spans, ns; NULL:
                                   -- busy_ns, as nobody was inside another span meanwhile, or it is of a
                                   -- version before 3 (first_entry_ns is NULL). If self_ns is NULL,
                                   -- entry.self_ns has it, and this what is in no row there; NULL: nothing
  batch_id INTEGER                 -- the commit that stored it, batch.id; NULL: before version 3
) STRICT;

-- A thread was inside a span: one of its entries, of spans that live long (they are entered after they
-- have been open for a second, or more than a thousand times), of those that were entered inside a
-- span that is not their parent, and of those for which the program asks. The row of a span has sums
-- over all of its entries, these included.
--
-- An entry counts, as a call that began and ended, once its span has lived for a second and was
-- entered a hundred times, or was entered a thousand times, or the program asks for the entries of its
-- name. Once one has counted, all do, and the span itself does not: its lifetime is nobody's work.
CREATE TABLE entry (
  id INTEGER PRIMARY KEY NOT NULL, -- numbered with spans and events; grows with the time of storing
  run_id INTEGER NOT NULL,         -- run.id
  span_id INTEGER NOT NULL,        -- the span, span.id; while it is open, open_span.id
  callsite_id INTEGER NOT NULL,    -- callsite.id of the span
  thread_id INTEGER NOT NULL,      -- the thread that was inside, thread.id
  start_ns INTEGER NOT NULL,       -- when it entered, ns since the start of the run
  duration_ns INTEGER NOT NULL,    -- how long it was inside, ns
  around_id INTEGER,               -- the span that the thread was in around this one, span.id, which
                                   -- need not be the parent; NULL: in none
  batch_id INTEGER,                -- the commit that stored it, batch.id
  self_ns INTEGER,                 -- duration less what the thread spent in other spans meanwhile;
                                   -- NULL: it does not count, the span does by its lifetime
  earlier_entries INTEGER,         -- entries of the span before this one that did not count, but now
                                   -- do; NULL: none
  earlier_ns INTEGER               -- time inside, summed over those; NULL: none
) STRICT;

-- Something that happened at one moment, inside a span or not.
CREATE TABLE event (
  id INTEGER PRIMARY KEY NOT NULL, -- unique in the file; grows with time
  run_id INTEGER NOT NULL,         -- run.id
  span_id INTEGER,                 -- the span it happened in, span.id; NULL: in none
  callsite_id INTEGER NOT NULL,    -- callsite.id
  thread_id INTEGER NOT NULL,      -- thread.id
  at_ns INTEGER NOT NULL,          -- when, ns since the start of the run
  message TEXT,                    -- NULL: no message
  fields TEXT,                     -- the other fields, JSON object; NULL: none
  batch_id INTEGER                 -- the commit that stored it, batch.id; NULL: before version 3
) STRICT;

-- A span that follows from another one; said as often as the program said it.
CREATE TABLE link (
  span_id INTEGER NOT NULL,        -- the later span, span.id
  follows_id INTEGER NOT NULL,     -- the span it follows from, span.id
  run_id INTEGER NOT NULL,         -- run.id
  batch_id INTEGER                 -- the commit that stored it, batch.id; NULL: before version 3
) STRICT;
CREATE INDEX link_by_span ON link (span_id);

-- The ids by which other systems know a span, as OpenTelemetry and W3C Trace Context have them: what
-- tracing-opentelemetry gave it, or what its fields trace_id, span_id and traceparent say. They hold for
-- the span and for all inside it that has no row of its own.
CREATE TABLE trace_context (
  root_id INTEGER NOT NULL,        -- outermost ancestor of the span; a root's own id
  span_id INTEGER NOT NULL,        -- the span, span.id; while it is open, open_span.id
  run_id INTEGER NOT NULL,         -- run.id
  trace_id TEXT NOT NULL,          -- the trace, 32 lower-case hexadecimal digits
  otel_span_id TEXT,               -- the span there, 16 such digits; NULL: not known
  otel_parent_id TEXT,             -- the span of another program that it is inside, 16 such digits;
                                   -- NULL: not known, or none
  batch_id INTEGER,                -- the commit that stored it, batch.id
  PRIMARY KEY (root_id, span_id)
) STRICT, WITHOUT ROWID;

-- A commit that stored spans, events, links, entries or trace contexts; in the file together with
-- them. To follow a recording, remember the largest id that was read, and ask for what is above it:
-- ids of spans do not tell what is new, since they grow with creation, and rows come when a span has
-- closed.
CREATE TABLE batch (
  id INTEGER PRIMARY KEY NOT NULL, -- grows with each commit, over all runs; never used again
  run_id INTEGER NOT NULL,         -- run.id
  at_unix_ns INTEGER NOT NULL,     -- wall-clock moment of the commit, ns since the Unix epoch
  spans INTEGER NOT NULL,          -- span rows that it stored; those pruned since are counted too
  events INTEGER NOT NULL,         -- event rows, likewise
  links INTEGER NOT NULL,          -- link rows, likewise
  to_ns INTEGER,                   -- latest end of its spans (start, if not closed) or moment of its
                                   -- events or end of its entries; NULL: it has none
  longest_ns INTEGER,              -- largest duration_ns of its spans; NULL: none of them has ended
  entries INTEGER NOT NULL         -- entry rows that it stored; those pruned since are counted too
) STRICT;

-- Where the rows of a commit are: up to eight ranges of ids of a kind, which do not overlap. Other
-- commits have rows in them, too.
CREATE TABLE batch_range (
  batch_id INTEGER NOT NULL,       -- batch.id
  kind TEXT NOT NULL,              -- 'span': of span.id; 'root': of span.root_id of spans that are no
                                   -- roots themselves; 'event': of event.id; 'link': of link.span_id;
                                   -- 'entry': of entry.id
  first_id INTEGER NOT NULL,       -- smallest id in the range
  last_id INTEGER NOT NULL,        -- largest one
  row_count INTEGER NOT NULL,      -- its rows in the range; those pruned since are counted too
  from_ns INTEGER,                 -- earliest start_ns or at_ns; NULL for roots and links
  PRIMARY KEY (batch_id, kind, first_id)
) STRICT, WITHOUT ROWID;

-- A named moment or section.
CREATE TABLE mark (
  id INTEGER PRIMARY KEY NOT NULL,
  run_id INTEGER NOT NULL,         -- run.id
  at_ns INTEGER NOT NULL,          -- the moment, or the start of the section
  until_ns INTEGER,                -- end of the section; NULL: a moment, or it has not ended
  label TEXT NOT NULL,
  fields TEXT                      -- JSON object; NULL: none
) STRICT;

-- A sampled value; between two samples the last write wins.
CREATE TABLE gauge (
  id INTEGER PRIMARY KEY NOT NULL,
  run_id INTEGER NOT NULL,         -- run.id
  name TEXT NOT NULL,
  at_ns INTEGER NOT NULL,          -- when it was sampled
  value REAL,                      -- NULL: not a number
  version INTEGER NOT NULL,        -- writes since the run began
  updates INTEGER NOT NULL         -- writes since the last sample
) STRICT;

-- One callsite in one interval: the closed spans that ended in it, but for those whose entries count.
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
  self_busy_ns INTEGER,            -- sum of self_busy_ns; NULL: not measured in this run
  PRIMARY KEY (run_id, at_ns, callsite_id)
) STRICT, WITHOUT ROWID;

-- One callsite in one interval: the entries that count and ended in it.
CREATE TABLE entry_rollup (
  run_id INTEGER NOT NULL,         -- run.id
  at_ns INTEGER NOT NULL,          -- start of the interval
  callsite_id INTEGER NOT NULL,    -- callsite.id
  interval_ns INTEGER NOT NULL,    -- length of the interval
  entries INTEGER NOT NULL,        -- entries that ended in the interval, and sum of earlier_entries
  sum_ns INTEGER NOT NULL,         -- sum of duration_ns and earlier_ns
  max_ns INTEGER NOT NULL,         -- largest duration_ns, and longest_entry_ns of spans that closed,
                                   -- or were open at the end
  histogram BLOB NOT NULL,         -- of duration_ns, as in rollup; earlier entries are not in it
  self_ns INTEGER NOT NULL DEFAULT 0, -- sum of self_ns
  spans INTEGER NOT NULL DEFAULT 0, -- spans that closed in the interval and whose entries count
  errors INTEGER NOT NULL DEFAULT 0, -- those with the status 'error' or 'panicked'
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
  entries_recorded INTEGER NOT NULL DEFAULT 0, -- entries recorded one by one
  entries_stored INTEGER NOT NULL DEFAULT 0, -- entry rows stored, the commit with this row included
  entries_dropped TEXT NOT NULL DEFAULT '{}', -- entries dropped by reason, JSON object
  PRIMARY KEY (run_id, at_ns)
) STRICT, WITHOUT ROWID;

-- Spans that were open when the writer last looked; replaced at each look, empty once the run has
-- ended. Rows of a run without an end are what was open shortly before it was killed.
CREATE TABLE open_span (
  id INTEGER PRIMARY KEY NOT NULL, -- as span.id, and so on
  run_id INTEGER NOT NULL,         -- run.id
  parent_id INTEGER,               -- enclosing span; NULL: a root
  root_id INTEGER NOT NULL,        -- outermost ancestor; a root's own id
  callsite_id INTEGER NOT NULL,    -- callsite.id
  thread_id INTEGER NOT NULL,      -- the thread that created it, thread.id
  start_ns INTEGER NOT NULL,       -- when it was created
  busy_ns INTEGER,                 -- time inside the span so far, ns; NULL: not measured
  entries INTEGER NOT NULL,        -- how many times it was entered so far
  fields TEXT,                     -- JSON object; NULL: no fields
  seen_ns INTEGER NOT NULL,        -- when the writer looked
  first_entry_ns INTEGER,          -- as in span; an entry that goes on counts up to seen_ns
  longest_entry_ns INTEGER,        -- likewise
  last_exit_ns INTEGER,            -- likewise
  longest_thread_id INTEGER        -- likewise
) STRICT;

-- Spans, events and entries that are missing, why, and when.
CREATE TABLE loss (
  id INTEGER PRIMARY KEY NOT NULL,
  run_id INTEGER NOT NULL,         -- run.id
  reason TEXT NOT NULL,            -- such as 'ring_full'
  from_ns INTEGER NOT NULL,        -- the loss did not begin before this moment
  to_ns INTEGER NOT NULL,          -- the loss did not end after this moment
  spans INTEGER NOT NULL,          -- spans lost
  events INTEGER NOT NULL,         -- events lost
  thread_id INTEGER,               -- thread.id; NULL: several, or not known
  entries INTEGER NOT NULL DEFAULT 0 -- entries lost, of those that are recorded one by one
) STRICT;

-- How far the rings of processes are stored, where they lie in files. Written in the transaction that
-- stores the rows, so that a ring file which a dead process has left behind is read exactly once,
-- whoever is killed meanwhile; the rows are deleted with the file. Two rows each, with the numbers
-- 65536 and 65537, 65538 and 65539 ..., say how ids of a ring become those of the file behind a run
-- that was collected beside it: which id of the ring is the first such one, and its id in the file;
-- from there on each is two more.
CREATE TABLE drained (
  ring BLOB NOT NULL,              -- which ring: the identity of the run in its header, 16 bytes
  partition INTEGER NOT NULL,      -- number of the partition; -1: all is stored, the file is not needed
  position INTEGER NOT NULL,       -- slots before this one are stored, or counted as lost
  PRIMARY KEY (ring, partition)
) STRICT, WITHOUT ROWID;

-- Views for people. Milliseconds and ISO-8601 text (UTC) stand beside the nanoseconds.
--
-- DuckDB runs the text of a view itself, and reads all of its columns as text if it does not know a
-- function in it; ClickHouse takes a computed column for text unless its type is said. So here is
-- only what means the same everywhere: arithmetic, CASE, and casts to BIGINT and DOUBLE, which have
-- 64 bits everywhere. Integers are divided where there is no remainder, or by a product that is
-- shifted to the right, since `/` of integers is a fraction elsewhere. Dates come from utc_day (days
-- since 1 March of the year 0) and utc_days (four times that, and 3, as if each century had its leap
-- day); see Neri and Schneider, "Euclidean affine functions and their application to calendars".

-- Spans with their names. thread: of the longest entry, where the work was done; made_on: the one that
-- created it; open_ms: of one without an end, for how long it was open at least, up to the end of its run or its
-- process's last sign of life.
CREATE VIEW spans AS
SELECT
  s.id, s.run_id, s.parent_id, s.root_id, c.name, c.target, c.level,
  CAST(substr(CAST(10000 + s.utc_year + ((s.utc_year_day + 206) >> 9) AS TEXT), 2)
    || '-' || substr(CAST(101 + ((2141 * s.utc_year_day + 132377) >> 16) % 12 AS TEXT), 2)
    || '-' || substr(CAST(101
      + ((((2141 * s.utc_year_day + 197913) & 65535) * 31345) >> 26) AS TEXT), 2)
    || 'T' || substr(CAST(100 + ((s.utc_ms * 39093747) >> 47) AS TEXT), 2)
    || ':' || substr(CAST(100 + ((s.utc_ms * 9162597) >> 39) % 60 AS TEXT), 2)
    || ':' || substr(CAST(100 + ((s.utc_ms * 68719477) >> 36) % 60 AS TEXT), 2)
    || '.' || substr(CAST(1000 + s.utc_ms % 1000 AS TEXT), 2) || 'Z' AS TEXT) AS started,
  CAST(s.duration_ns / 1e6 AS DOUBLE) AS duration_ms, CAST(s.busy_ns / 1e6 AS DOUBLE) AS busy_ms,
  CAST(s.self_ns / 1e6 AS DOUBLE) AS self_ms,
  CAST(CASE WHEN s.self_ns IS NULL THEN s.self_busy_ns
    WHEN s.entries = 0 OR s.first_entry_ns IS NOT NULL
    THEN coalesce(s.self_busy_ns, s.busy_ns) END / 1e6 AS DOUBLE) AS self_busy_ms, s.entries,
  CAST(s.first_entry_ns / 1e6 AS DOUBLE) AS first_entry_ms,
  CAST(CASE WHEN s.entries = 1 THEN coalesce(s.longest_entry_ns, s.busy_ns)
    ELSE s.longest_entry_ns END / 1e6 AS DOUBLE) AS longest_entry_ms,
  CAST(CASE WHEN s.entries = 1 THEN coalesce(s.last_exit_ns, s.first_entry_ns + s.busy_ns)
    ELSE s.last_exit_ns END / 1e6 AS DOUBLE) AS last_exit_ms,
  s.status,
  CAST(coalesce(t.name, 'thread ' || CAST(t.os_id AS TEXT)) AS TEXT) AS thread,
  CAST(coalesce(m.name, 'thread ' || CAST(m.os_id AS TEXT)) AS TEXT) AS made_on,
  s.fields, c.file, c.line, s.start_ns, s.duration_ns, s.busy_ns, s.self_ns,
  CAST(CASE WHEN s.self_ns IS NULL THEN s.self_busy_ns
    WHEN s.entries = 0 OR s.first_entry_ns IS NOT NULL
    THEN coalesce(s.self_busy_ns, s.busy_ns) END AS BIGINT) AS self_busy_ns, s.callsite_id,
  s.thread_id, CAST(coalesce(s.longest_thread_id, s.thread_id) AS BIGINT) AS longest_thread_id,
  CAST(CASE WHEN s.duration_ns IS NULL AND s.run_end_ns > s.start_ns
    THEN s.run_end_ns - s.start_ns END / 1e6 AS DOUBLE) AS open_ms
FROM (
  SELECT d.*, (utc_days * 2939745) >> 32 AS utc_year, (utc_days % 1461) >> 2 AS utc_year_day
  FROM (
    SELECT n.*,
      4 * (utc_day + ((3 * (((4 * utc_day + 3) * 470369) >> 36) + 3) >> 2)) + 3 AS utc_days
    FROM (
      SELECT u.*,
        CAST((utc_ns - (utc_ns % 86400000000000 + 86400000000000) % 86400000000000)
          / 86400000000000 AS BIGINT) + 719468 AS utc_day,
        CAST(((utc_ns % 86400000000000 + 86400000000000) % 86400000000000
          - (utc_ns % 1000000 + 1000000) % 1000000) / 1000000 AS BIGINT) AS utc_ms
      FROM (
        SELECT s.*, r.started_unix_ns + s.start_ns AS utc_ns,
          coalesce(r.ended_unix_ns - r.started_unix_ns, r.last_ns) AS run_end_ns
        FROM span AS s
        LEFT JOIN run AS r ON r.id = s.run_id
      ) AS u
    ) AS n
  ) AS d
) AS s
LEFT JOIN callsite AS c ON c.id = s.callsite_id
LEFT JOIN thread AS t ON t.id = coalesce(s.longest_thread_id, s.thread_id)
LEFT JOIN thread AS m ON m.id = s.thread_id;

-- Where the time went, by run and callsite, from the rollups. counted_by: what calls are, the lifetimes
-- of spans ('lifetime') or the entries of those that live long ('entries'); errors are of spans.
CREATE VIEW top AS
SELECT
  u.run_id, c.name, c.target, CAST(u.calls AS BIGINT) AS calls, CAST(u.errors AS BIGINT) AS errors,
  CAST(u.sum_ns / 1e6 AS DOUBLE) AS total_ms, CAST(CASE WHEN u.calls > 0 THEN u.sum_ns / 1e6 / u.calls END AS DOUBLE) AS mean_ms,
  CAST(u.max_ns / 1e6 AS DOUBLE) AS max_ms, CAST(u.self_ns / 1e6 AS DOUBLE) AS self_ms,
  CAST(u.busy_ns / 1e6 AS DOUBLE) AS busy_ms,
  CAST(u.self_busy_ns / 1e6 AS DOUBLE) AS self_busy_ms, u.callsite_id, u.counted_by
FROM (
  SELECT
    run_id, callsite_id, sum(calls) AS calls, sum(errors) AS errors, sum(sum_ns) AS sum_ns,
    max(max_ns) AS max_ns, sum(self_ns) AS self_ns, sum(busy_ns) AS busy_ns,
    sum(self_busy_ns) AS self_busy_ns, CAST('lifetime' AS TEXT) AS counted_by
  FROM rollup
  GROUP BY run_id, callsite_id
  UNION ALL
  SELECT
    run_id, callsite_id, sum(entries) AS calls, sum(errors) AS errors, sum(sum_ns) AS sum_ns,
    max(max_ns) AS max_ns, sum(self_ns) AS self_ns, sum(sum_ns) AS busy_ns,
    sum(self_ns) AS self_busy_ns, CAST('entries' AS TEXT) AS counted_by
  FROM entry_rollup
  GROUP BY run_id, callsite_id
) AS u
LEFT JOIN callsite AS c ON c.id = u.callsite_id
ORDER BY u.run_id, u.sum_ns DESC;

-- Closed spans, the slowest first, but for those that live long: their entries count.
CREATE VIEW slow AS
SELECT * FROM spans WHERE self_ns IS NOT NULL ORDER BY duration_ns DESC;

-- Spans without a parent, in the order of their start. Looks at every span of the file, or at those
-- in a range of ids if one is asked for.
CREATE VIEW roots AS
SELECT * FROM spans WHERE parent_id IS NULL ORDER BY run_id, start_ns;

-- Spans that were open when the writer last looked, the oldest first. thread and made_on as in spans.
CREATE VIEW open_spans AS
SELECT
  s.id, s.run_id, s.parent_id, s.root_id, c.name, c.target, c.level,
  CAST(substr(CAST(10000 + s.utc_year + ((s.utc_year_day + 206) >> 9) AS TEXT), 2)
    || '-' || substr(CAST(101 + ((2141 * s.utc_year_day + 132377) >> 16) % 12 AS TEXT), 2)
    || '-' || substr(CAST(101
      + ((((2141 * s.utc_year_day + 197913) & 65535) * 31345) >> 26) AS TEXT), 2)
    || 'T' || substr(CAST(100 + ((s.utc_ms * 39093747) >> 47) AS TEXT), 2)
    || ':' || substr(CAST(100 + ((s.utc_ms * 9162597) >> 39) % 60 AS TEXT), 2)
    || ':' || substr(CAST(100 + ((s.utc_ms * 68719477) >> 36) % 60 AS TEXT), 2)
    || '.' || substr(CAST(1000 + s.utc_ms % 1000 AS TEXT), 2) || 'Z' AS TEXT) AS started,
  CAST((s.seen_ns - s.start_ns) / 1e6 AS DOUBLE) AS age_ms,
  CAST(s.busy_ns / 1e6 AS DOUBLE) AS busy_ms, s.entries,
  CAST(s.first_entry_ns / 1e6 AS DOUBLE) AS first_entry_ms,
  CAST(CASE WHEN s.entries = 1 THEN coalesce(s.longest_entry_ns, s.busy_ns)
    ELSE s.longest_entry_ns END / 1e6 AS DOUBLE) AS longest_entry_ms,
  CAST(coalesce(t.name, 'thread ' || CAST(t.os_id AS TEXT)) AS TEXT) AS thread,
  CAST(coalesce(m.name, 'thread ' || CAST(m.os_id AS TEXT)) AS TEXT) AS made_on,
  s.fields, s.start_ns, s.seen_ns
FROM (
  SELECT d.*, (utc_days * 2939745) >> 32 AS utc_year, (utc_days % 1461) >> 2 AS utc_year_day
  FROM (
    SELECT n.*,
      4 * (utc_day + ((3 * (((4 * utc_day + 3) * 470369) >> 36) + 3) >> 2)) + 3 AS utc_days
    FROM (
      SELECT u.*,
        CAST((utc_ns - (utc_ns % 86400000000000 + 86400000000000) % 86400000000000)
          / 86400000000000 AS BIGINT) + 719468 AS utc_day,
        CAST(((utc_ns % 86400000000000 + 86400000000000) % 86400000000000
          - (utc_ns % 1000000 + 1000000) % 1000000) / 1000000 AS BIGINT) AS utc_ms
      FROM (
        SELECT s.*, r.started_unix_ns + s.start_ns AS utc_ns
        FROM open_span AS s
        LEFT JOIN run AS r ON r.id = s.run_id
      ) AS u
    ) AS n
  ) AS d
) AS s
LEFT JOIN callsite AS c ON c.id = s.callsite_id
LEFT JOIN thread AS t ON t.id = coalesce(s.longest_thread_id, s.thread_id)
LEFT JOIN thread AS m ON m.id = s.thread_id
ORDER BY s.run_id, s.start_ns;

-- Events with their names.
CREATE VIEW events AS
SELECT
  e.id, e.run_id, e.span_id,
  CAST(substr(CAST(10000 + e.utc_year + ((e.utc_year_day + 206) >> 9) AS TEXT), 2)
    || '-' || substr(CAST(101 + ((2141 * e.utc_year_day + 132377) >> 16) % 12 AS TEXT), 2)
    || '-' || substr(CAST(101
      + ((((2141 * e.utc_year_day + 197913) & 65535) * 31345) >> 26) AS TEXT), 2)
    || 'T' || substr(CAST(100 + ((e.utc_ms * 39093747) >> 47) AS TEXT), 2)
    || ':' || substr(CAST(100 + ((e.utc_ms * 9162597) >> 39) % 60 AS TEXT), 2)
    || ':' || substr(CAST(100 + ((e.utc_ms * 68719477) >> 36) % 60 AS TEXT), 2)
    || '.' || substr(CAST(1000 + e.utc_ms % 1000 AS TEXT), 2) || 'Z' AS TEXT) AS at,
  c.level, c.target, e.message, e.fields,
  CAST(coalesce(t.name, 'thread ' || CAST(t.os_id AS TEXT)) AS TEXT) AS thread,
  c.file, c.line, e.at_ns, e.callsite_id, e.thread_id
FROM (
  SELECT d.*, (utc_days * 2939745) >> 32 AS utc_year, (utc_days % 1461) >> 2 AS utc_year_day
  FROM (
    SELECT n.*,
      4 * (utc_day + ((3 * (((4 * utc_day + 3) * 470369) >> 36) + 3) >> 2)) + 3 AS utc_days
    FROM (
      SELECT u.*,
        CAST((utc_ns - (utc_ns % 86400000000000 + 86400000000000) % 86400000000000)
          / 86400000000000 AS BIGINT) + 719468 AS utc_day,
        CAST(((utc_ns % 86400000000000 + 86400000000000) % 86400000000000
          - (utc_ns % 1000000 + 1000000) % 1000000) / 1000000 AS BIGINT) AS utc_ms
      FROM (
        SELECT e.*, r.started_unix_ns + e.at_ns AS utc_ns
        FROM event AS e
        LEFT JOIN run AS r ON r.id = e.run_id
      ) AS u
    ) AS n
  ) AS d
) AS e
LEFT JOIN callsite AS c ON c.id = e.callsite_id
LEFT JOIN thread AS t ON t.id = e.thread_id;

-- What is missing, by run and reason.
CREATE VIEW losses AS
SELECT
  l.run_id, l.reason, CAST(sum(l.spans) AS BIGINT) AS spans,
  CAST(sum(l.events) AS BIGINT) AS events, CAST(sum(l.entries) AS BIGINT) AS entries,
  CAST(min(l.from_ns) / 1e6 AS DOUBLE) AS from_ms,
  CAST(max(l.to_ns) / 1e6 AS DOUBLE) AS to_ms
FROM loss AS l
GROUP BY l.run_id, l.reason
ORDER BY l.run_id, sum(l.spans) DESC, l.reason;

-- The recordings. complete: ended, all of it is in this file, nothing dropped and nothing pruned. (Settings and report say
-- what of it is in other files, or that its ring file was cut. Within a text of theirs a quote has a backslash before it,
-- so that these members cannot be a part of one.)
CREATE VIEW runs AS
SELECT
  r.id, r.label,
  CAST(substr(CAST(10000 + r.utc_year + ((r.utc_year_day + 206) >> 9) AS TEXT), 2)
    || '-' || substr(CAST(101 + ((2141 * r.utc_year_day + 132377) >> 16) % 12 AS TEXT), 2)
    || '-' || substr(CAST(101
      + ((((2141 * r.utc_year_day + 197913) & 65535) * 31345) >> 26) AS TEXT), 2)
    || 'T' || substr(CAST(100 + ((r.utc_ms * 39093747) >> 47) AS TEXT), 2)
    || ':' || substr(CAST(100 + ((r.utc_ms * 9162597) >> 39) % 60 AS TEXT), 2)
    || ':' || substr(CAST(100 + ((r.utc_ms * 68719477) >> 36) % 60 AS TEXT), 2)
    || '.' || substr(CAST(1000 + r.utc_ms % 1000 AS TEXT), 2) || 'Z' AS TEXT) AS started,
  CAST(coalesce(r.ended_unix_ns - r.started_unix_ns, r.last_ns) / 1e9 AS DOUBLE) AS seconds,
  r.spans, r.unfinished, r.events,
  CAST(r.dropped_spans + r.dropped_events + r.dropped_entries AS BIGINT) AS dropped,
  CAST(r.pruned_spans + r.pruned_events + r.pruned_entries AS BIGINT) AS pruned,
  CAST(CASE WHEN r.ended_unix_ns IS NOT NULL
    AND r.dropped_spans + r.dropped_events + r.dropped_entries
      + r.pruned_spans + r.pruned_events + r.pruned_entries = 0
    AND r.settings NOT LIKE '%"elsewhere":{"%' AND coalesce(r.report, '') NOT LIKE '%"elsewhere":{"%'
    AND r.settings NOT LIKE '%"goes_on":true%' AND coalesce(r.report, '') NOT LIKE '%"goes_on":true%'
    AND coalesce(r.report, '') NOT LIKE '%"ring_was_cut":true%'
    THEN 'yes' ELSE 'no' END AS TEXT) AS complete,
  r.program, r.host, r.pid
FROM (
  SELECT d.*, (utc_days * 2939745) >> 32 AS utc_year, (utc_days % 1461) >> 2 AS utc_year_day
  FROM (
    SELECT n.*,
      4 * (utc_day + ((3 * (((4 * utc_day + 3) * 470369) >> 36) + 3) >> 2)) + 3 AS utc_days
    FROM (
      SELECT u.*,
        CAST((utc_ns - (utc_ns % 86400000000000 + 86400000000000) % 86400000000000)
          / 86400000000000 AS BIGINT) + 719468 AS utc_day,
        CAST(((utc_ns % 86400000000000 + 86400000000000) % 86400000000000
          - (utc_ns % 1000000 + 1000000) % 1000000) / 1000000 AS BIGINT) AS utc_ms
      FROM (
        SELECT r.*, r.started_unix_ns AS utc_ns
        FROM run AS r
      ) AS u
    ) AS n
  ) AS d
) AS r
ORDER BY r.id;
