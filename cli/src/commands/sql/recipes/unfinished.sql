-- Spans without an end: open when the run ended or its process died, or when the writer of a live or killed run last looked.
SELECT id, name, target, started, status AS state, fields
FROM spans WHERE run_id = :run AND status IN ('unfinished', 'crashed')
UNION ALL
SELECT id, name, target, started,
  'open for ' || round(age_ms, 1) || ' ms at +' || round(seen_ns / 1e9, 3) || ' s', fields
FROM open_spans WHERE run_id = :run AND id NOT IN (SELECT id FROM span)
ORDER BY started
