-- Spans that failed, with the last event in each that says why.
SELECT s.id, s.name, s.started, round(s.duration_ms, 3) AS duration_ms, s.status, s.fields,
  (SELECT coalesce(nullif(e.message, ''), e.fields) FROM event AS e WHERE e.span_id = s.id AND e.run_id = :run
     AND e.id BETWEEN s.id AND (SELECT last_id FROM run WHERE id = :run)
   ORDER BY e.id DESC LIMIT 1) AS last_event
FROM spans AS s
WHERE s.run_id = :run AND s.status IN ('error', 'panicked')
  AND s.start_ns >= :from_ns AND s.start_ns < :until_ns
ORDER BY s.start_ns DESC LIMIT 20
