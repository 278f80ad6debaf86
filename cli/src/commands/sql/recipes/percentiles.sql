-- Exact percentiles of the durations of each name, over the spans that started in the window.
-- Of spans that live long, the entries that began in it; each kind has a row.
WITH call(callsite_id, kind, duration_ns) AS (
  SELECT callsite_id, 0, duration_ns FROM span
  WHERE run_id = :run AND start_ns >= :from_ns AND start_ns < :until_ns AND self_ns IS NOT NULL
  UNION ALL
  SELECT callsite_id, 1, duration_ns FROM entry
  WHERE run_id = :run AND start_ns >= :from_ns AND start_ns < :until_ns AND self_ns IS NOT NULL
), ranked AS (
  SELECT c.name, s.kind, s.duration_ns,
    row_number() OVER by_name AS place, count(*) OVER (PARTITION BY c.name, s.kind) AS calls
  FROM call AS s JOIN callsite AS c ON c.id = s.callsite_id
  WINDOW by_name AS (PARTITION BY c.name, s.kind ORDER BY s.duration_ns)
)
SELECT name, max(calls) AS calls,
  min(duration_ns) FILTER (WHERE place * 100 >= calls * 50) / 1e6 AS p50_ms,
  min(duration_ns) FILTER (WHERE place * 100 >= calls * 95) / 1e6 AS p95_ms,
  min(duration_ns) FILTER (WHERE place * 100 >= calls * 99) / 1e6 AS p99_ms,
  max(duration_ns) / 1e6 AS max_ms
FROM ranked GROUP BY name, kind ORDER BY p99_ms DESC
