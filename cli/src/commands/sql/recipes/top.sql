-- Where the time went, by name: self time is what was not spent in children.
SELECT name, target, calls, errors, round(self_ms, 3) AS self_ms, round(total_ms, 3) AS total_ms,
  round(mean_ms, 3) AS mean_ms, round(max_ms, 3) AS max_ms
FROM top WHERE run_id = :run ORDER BY self_ms DESC
