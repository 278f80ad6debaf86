-- The writer, second by second: how much it stored, how full the ring was, how large its files.
SELECT at_ns / 1000000000 AS second, stored - lag(stored, 1, 0) OVER w AS stored,
  entries_stored - lag(entries_stored, 1, 0) OVER w AS entries,
  batches - lag(batches, 1, 0) OVER w AS batches, round(largest_batch_ns / 1e6, 2) AS largest_batch_ms,
  ring_high_water, open_spans, wal_bytes, file_bytes
FROM writer_stat WHERE run_id = :run WINDOW w AS (ORDER BY at_ns) ORDER BY second
