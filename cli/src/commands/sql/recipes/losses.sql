-- What is missing of each run, why, and when.
SELECT r.id AS run, r.label, l.reason, l.spans, l.events, round(l.from_ms, 1) AS from_ms,
  round(l.to_ms, 1) AS to_ms
FROM losses AS l JOIN run AS r ON r.id = l.run_id ORDER BY r.id, l.spans DESC
