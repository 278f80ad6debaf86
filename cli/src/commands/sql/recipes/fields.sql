-- Values of fields by name of the span: how often, and how slow.
SELECT c.name, f.key AS field, CAST(f.value AS TEXT) AS value, count(*) AS calls,
  round(avg(s.duration_ns) / 1e6, 3) AS mean_ms, max(s.duration_ns) / 1e6 AS max_ms
FROM span AS s JOIN callsite AS c ON c.id = s.callsite_id, json_each(s.fields) AS f
WHERE s.run_id = :run AND s.start_ns >= :from_ns AND s.start_ns < :until_ns
GROUP BY c.name, f.key, f.value HAVING count(*) > 1
ORDER BY sum(s.duration_ns) DESC LIMIT 50
