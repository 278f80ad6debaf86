-- What each name spends in each kind of child, as a share of its own duration.
-- Of children that live long, the calls are their entries in the parent; of parents, the share is of theirs.
WITH child(callsite_id, kind, parent_id, duration_ns) AS (
  SELECT callsite_id, 0, parent_id, duration_ns FROM span
  WHERE run_id = :run AND start_ns >= :from_ns AND start_ns < :until_ns AND self_ns IS NOT NULL
    AND parent_id IS NOT NULL
  UNION ALL
  SELECT callsite_id, 1, around_id, duration_ns FROM entry
  WHERE run_id = :run AND start_ns >= :from_ns AND start_ns < :until_ns AND self_ns IS NOT NULL
    AND around_id IS NOT NULL
), pair(parent_callsite_id, callsite_id, kind, duration_ns) AS (
  SELECT coalesce((SELECT callsite_id FROM span WHERE id = c.parent_id),
    (SELECT callsite_id FROM open_span WHERE id = c.parent_id)), callsite_id, kind, duration_ns
  FROM child AS c
)
SELECT pc.name AS parent, cc.name AS child, count(*) AS calls,
  round(sum(c.duration_ns) / 1e6, 3) AS child_ms,
  round(100.0 * sum(c.duration_ns)
    / (SELECT sum(u.total_ms) * 1e6 FROM top AS u
       WHERE u.run_id = :run AND u.name = pc.name), 1) AS percent_of_parent
FROM pair AS c
JOIN callsite AS cc ON cc.id = c.callsite_id
JOIN callsite AS pc ON pc.id = c.parent_callsite_id
GROUP BY pc.name, cc.name, c.kind ORDER BY child_ms DESC
