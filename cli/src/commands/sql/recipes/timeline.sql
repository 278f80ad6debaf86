-- Calls, errors and mean duration of each name, second by second.
SELECT u.at_ns / 1000000000 AS second, c.name, sum(u.calls) AS calls, sum(u.errors) AS errors,
  round(sum(u.sum_ns) / 1e6 / sum(u.calls), 3) AS mean_ms, max(u.max_ns) / 1e6 AS max_ms
FROM rollup AS u JOIN callsite AS c ON c.id = u.callsite_id
WHERE u.run_id = :run GROUP BY second, c.name ORDER BY second, c.name
