-- What is missing of each run, why, and when.
SELECT r.id AS run, r.label, l.reason, sum(l.spans) AS spans, sum(l.events) AS events,
  sum(l.entries) AS entries, round(min(l.from_ns) / 1e6, 1) AS from_ms,
  round(max(l.to_ns) / 1e6, 1) AS to_ms
FROM loss AS l JOIN run AS r ON r.id = l.run_id
GROUP BY r.id, l.reason ORDER BY r.id, sum(l.spans + l.events + l.entries) DESC
