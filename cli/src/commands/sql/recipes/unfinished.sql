-- Spans without an end: open when the run ended or its process died, or when the writer of a live or killed run last looked.
SELECT s.id, c.name, c.target, v.started, s.status || coalesce(', open for at least '
  || round((coalesce(r.ended_unix_ns - r.started_unix_ns, r.last_ns) - s.start_ns) / 1e6, 1) || ' ms', '') AS state,
  s.fields
FROM span AS s
JOIN run AS r ON r.id = s.run_id
JOIN spans AS v ON v.id = s.id
LEFT JOIN callsite AS c ON c.id = s.callsite_id
WHERE s.run_id = :run AND s.status IN ('unfinished', 'crashed')
UNION ALL
SELECT id, name, target, started,
  'open for ' || round(age_ms, 1) || ' ms at +' || round(seen_ns / 1e9, 3) || ' s', fields
FROM open_spans WHERE run_id = :run AND id NOT IN (SELECT id FROM span)
ORDER BY started
