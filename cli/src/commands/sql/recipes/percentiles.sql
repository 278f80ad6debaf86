-- Exact percentiles of the durations of each name, over the spans that started in the window.
WITH ranked AS (
  SELECT c.name, s.duration_ns,
    row_number() OVER by_name AS place, count(*) OVER (PARTITION BY c.name) AS calls
  FROM span AS s JOIN callsite AS c ON c.id = s.callsite_id
  WHERE s.run_id = :run AND s.start_ns >= :from_ns AND s.start_ns < :until_ns
    AND s.duration_ns IS NOT NULL
  WINDOW by_name AS (PARTITION BY c.name ORDER BY s.duration_ns)
)
SELECT name, max(calls) AS calls,
  min(duration_ns) FILTER (WHERE place * 100 >= calls * 50) / 1e6 AS p50_ms,
  min(duration_ns) FILTER (WHERE place * 100 >= calls * 95) / 1e6 AS p95_ms,
  min(duration_ns) FILTER (WHERE place * 100 >= calls * 99) / 1e6 AS p99_ms,
  max(duration_ns) / 1e6 AS max_ms
FROM ranked GROUP BY name ORDER BY p99_ms DESC
