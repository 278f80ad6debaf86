-- What each thread did: calls on it, and the time inside of them without what was inside those.
-- Spans count where their longest entry was; of those that live long, each recorded entry is a call.
WITH call(thread_id, calls, self_ns, errors) AS (
  SELECT coalesce(longest_thread_id, thread_id), self_ns IS NOT NULL, self_ns,
    status IN ('error', 'panicked') FROM span
  WHERE run_id = :run AND start_ns >= :from_ns AND start_ns < :until_ns
  UNION ALL
  SELECT thread_id, 1, self_ns, 0 FROM entry
  WHERE run_id = :run AND start_ns >= :from_ns AND start_ns < :until_ns AND self_ns IS NOT NULL
)
SELECT coalesce(t.name, 'thread ' || t.os_id) AS thread, sum(c.calls) AS calls,
  round(sum(c.self_ns) / 1e6, 3) AS self_ms, sum(c.errors) AS errors
FROM call AS c JOIN thread AS t ON t.id = c.thread_id
GROUP BY t.id ORDER BY sum(c.self_ns) DESC
