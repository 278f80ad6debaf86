-- Spans without an end: open when the run ended, or when the writer of a live or killed run last looked.
SELECT id, name, target, started, 'unfinished' AS state, fields
FROM spans WHERE run_id = :run AND status = 'unfinished'
UNION ALL
SELECT id, name, target, started, 'open for ' || round(age_ms, 1) || ' ms', fields
FROM open_spans WHERE run_id = :run
ORDER BY started
