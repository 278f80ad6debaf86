-- Values of fields by name of the span: how often, and how slow.
-- Of spans that live long, the calls are those of their entries that were recorded.
WITH entered(span_id, callsite_id, calls, sum_ns, max_ns) AS (
  SELECT span_id, callsite_id, count(*), sum(duration_ns), max(duration_ns) FROM entry
  WHERE run_id = :run AND start_ns >= :from_ns AND start_ns < :until_ns AND self_ns IS NOT NULL
  GROUP BY span_id, callsite_id
), call(callsite_id, kind, fields, calls, sum_ns, max_ns) AS (
  SELECT callsite_id, 0, fields, 1, duration_ns, duration_ns FROM span
  WHERE run_id = :run AND start_ns >= :from_ns AND start_ns < :until_ns AND self_ns IS NOT NULL
  UNION ALL
  SELECT callsite_id, 1, coalesce((SELECT fields FROM span WHERE id = e.span_id),
    (SELECT fields FROM open_span WHERE id = e.span_id)), calls, sum_ns, max_ns
  FROM entered AS e
)
SELECT c.name, f.key AS field, CAST(f.value AS TEXT) AS value, sum(s.calls) AS calls,
  round(sum(s.sum_ns) / 1e6 / sum(s.calls), 3) AS mean_ms, max(s.max_ns) / 1e6 AS max_ms
FROM call AS s JOIN callsite AS c ON c.id = s.callsite_id, json_each(s.fields) AS f
GROUP BY c.name, s.kind, f.key, f.value HAVING sum(s.calls) > 1
ORDER BY sum(s.sum_ns) DESC LIMIT 50
