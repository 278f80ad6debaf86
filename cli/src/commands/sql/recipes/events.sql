-- Events by level, target and what they say: the name that was given, the message, or else the fields.
SELECT e.level, e.target, iif(c.name LIKE 'event %', NULL, c.name) AS name,
  coalesce(nullif(e.message, ''), e.fields) AS says,
  count(*) AS events, min(e.at) AS first, max(e.at) AS last
FROM events AS e LEFT JOIN callsite AS c ON c.id = e.callsite_id
WHERE e.run_id = :run AND e.at_ns >= :from_ns AND e.at_ns < :until_ns
GROUP BY e.level, e.target, c.name, says ORDER BY events DESC LIMIT 50
