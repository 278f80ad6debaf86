-- Events by level, target and message.
SELECT level, target, message, count(*) AS events, min(at) AS first, max(at) AS last
FROM events WHERE run_id = :run AND at_ns >= :from_ns AND at_ns < :until_ns
GROUP BY level, target, message ORDER BY events DESC LIMIT 50
