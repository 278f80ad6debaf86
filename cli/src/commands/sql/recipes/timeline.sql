-- Calls, errors and mean duration of each name, second by second.
-- Of spans that live long, the calls are their entries.
SELECT u.at_ns / 1000000000 AS second, c.name, sum(u.calls) AS calls, sum(u.errors) AS errors,
  round(sum(u.sum_ns) / 1e6 / sum(u.calls), 3) AS mean_ms, max(u.max_ns) / 1e6 AS max_ms
FROM (
  SELECT run_id, at_ns, callsite_id, calls, errors, sum_ns, max_ns, 0 AS kind FROM rollup
  UNION ALL SELECT run_id, at_ns, callsite_id, entries, errors, sum_ns, max_ns, 1 FROM entry_rollup
) AS u JOIN callsite AS c ON c.id = u.callsite_id
WHERE u.run_id = :run GROUP BY second, c.name, u.kind ORDER BY second, c.name, u.kind
