-- How many traces were under way at once, at most, in each second that one began in.
-- A root that lives long is none: its lifetime is nobody's work.
WITH trace(start_ns, duration_ns) AS (
  SELECT start_ns, duration_ns FROM span
  WHERE run_id = :run AND parent_id IS NULL AND self_ns IS NOT NULL
), step(at_ns, change) AS (
  SELECT start_ns, 1 FROM trace
  UNION ALL
  SELECT start_ns + duration_ns, -1 FROM trace
), level(at_ns, change, open) AS (
  SELECT at_ns, change, sum(change) OVER (ORDER BY at_ns, change ROWS UNBOUNDED PRECEDING) FROM step
)
SELECT at_ns / 1000000000 AS second, max(open) AS most_at_once, sum(change = 1) AS began
FROM level WHERE at_ns >= :from_ns AND at_ns < :until_ns GROUP BY second ORDER BY second
