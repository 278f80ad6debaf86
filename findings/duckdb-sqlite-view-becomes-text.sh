#!/usr/bin/env bash
# DuckDB 1.5.5 with its sqlite extension 1.5.5, seen on 2026-11-28.
#
# DuckDB runs the SQL of a SQLite view itself. If it cannot make sense of one expression in it (a function
# that it does not have, such as iif, or a GROUP BY that does not name each column), it does not say so:
# it reads the whole view through SQLite instead, and all of its columns become VARCHAR, also ids, and
# also those that stand in a CAST. Numbers are then sorted as text, without a word.
#
# Output seen:
#   plain     BIGINT, DOUBLE             largest 12.5
#   with_iif  VARCHAR, VARCHAR, VARCHAR  largest 9.75
#   grouped   VARCHAR, VARCHAR, VARCHAR  largest 9.75
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check duckdb==1.5.5 duckdb-extension-sqlite-scanner==1.5.5
cd "$folder"
"$folder/venv/bin/python" >seen.txt <<'PY'
import glob, os, sqlite3
import duckdb, duckdb_extension_sqlite_scanner as extension

made = sqlite3.connect("made.db")
made.executescript("""
    CREATE TABLE call (id INTEGER PRIMARY KEY, us INTEGER NOT NULL, name TEXT NOT NULL);
    INSERT INTO call VALUES (1, 9750, 'a'), (2, 12500, 'b'), (3, 700, 'a');
    CREATE VIEW plain AS SELECT id, us / 1e3 AS ms FROM call;
    CREATE VIEW with_iif AS
      SELECT id, CAST(us / 1e3 AS DOUBLE) AS ms, iif(us > 1000, 'slow', 'quick') AS pace FROM call;
    CREATE VIEW grouped AS SELECT id, name, sum(us) / 1e3 AS ms FROM call GROUP BY id;
""")
made.close()
duck = duckdb.connect()
folder = os.path.dirname(extension.__file__)
duck.execute("LOAD '%s'" % glob.glob(folder + "/**/*.duckdb_extension", recursive=True)[0])
duck.execute("ATTACH 'made.db' AS made (TYPE sqlite, READ_ONLY)")
for view in ["plain", "with_iif", "grouped"]:
    types = [row[1] for row in duck.execute(f"DESCRIBE made.{view}").fetchall()]
    largest = duck.execute(f"SELECT ms FROM made.{view} ORDER BY ms DESC LIMIT 1").fetchall()[0][0]
    print(f"{view:<9} {', '.join(types):<26} largest {largest}")
PY
cat seen.txt
diff seen.txt - <<'END'
plain     BIGINT, DOUBLE             largest 12.5
with_iif  VARCHAR, VARCHAR, VARCHAR  largest 9.75
grouped   VARCHAR, VARCHAR, VARCHAR  largest 9.75
END
