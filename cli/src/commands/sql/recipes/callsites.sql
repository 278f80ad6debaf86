-- Where in the source the spans are made, and how many of each.
-- Of those that live long, how often they were entered.
SELECT c.name, c.level, coalesce(c.file || ':' || c.line, c.module) AS place, sum(u.calls) AS calls
FROM (
  SELECT run_id, callsite_id, calls FROM rollup
  UNION ALL SELECT run_id, callsite_id, entries FROM entry_rollup
) AS u JOIN callsite AS c ON c.id = u.callsite_id
WHERE u.run_id = :run GROUP BY c.id ORDER BY calls DESC
