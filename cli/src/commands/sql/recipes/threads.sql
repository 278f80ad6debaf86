-- What each thread did: spans that it created, and the time inside of them without their children.
SELECT coalesce(t.name, 'thread ' || t.os_id) AS thread, count(*) AS spans,
  round(sum(s.self_ns) / 1e6, 3) AS self_ms, sum(s.status IN ('error', 'panicked')) AS errors
FROM span AS s JOIN thread AS t ON t.id = s.thread_id
WHERE s.run_id = :run AND s.start_ns >= :from_ns AND s.start_ns < :until_ns
GROUP BY t.id ORDER BY sum(s.self_ns) DESC
