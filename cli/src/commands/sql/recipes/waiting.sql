-- Names by the time that they were open but not inside: waiting for a lock, the network, a thread.
SELECT name, calls, round(total_ms, 3) AS total_ms, round(total_ms - busy_ms, 3) AS waiting_ms,
  round(100 * (1 - busy_ms / total_ms), 1) AS waiting_percent
FROM top WHERE run_id = :run AND busy_ms IS NOT NULL AND total_ms > 0
ORDER BY waiting_ms DESC
