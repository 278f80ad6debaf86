-- What each name spends in each kind of child, as a share of its own duration.
SELECT pc.name AS parent, cc.name AS child, count(*) AS calls,
  round(sum(c.duration_ns) / 1e6, 3) AS child_ms,
  round(100.0 * sum(c.duration_ns)
    / (SELECT sum(u.sum_ns) FROM rollup AS u JOIN callsite AS n ON n.id = u.callsite_id
       WHERE u.run_id = :run AND n.name = pc.name), 1) AS percent_of_parent
FROM span AS c
JOIN span AS p ON p.id = c.parent_id
JOIN callsite AS cc ON cc.id = c.callsite_id
JOIN callsite AS pc ON pc.id = p.callsite_id
WHERE c.run_id = :run AND c.duration_ns IS NOT NULL
  AND c.start_ns >= :from_ns AND c.start_ns < :until_ns
GROUP BY pc.name, cc.name ORDER BY child_ms DESC
