#!/usr/bin/env bash
# ClickHouse as chdb 4.4.0 (chdb-core 26.9.0), seen on 2026-11-28.
#
# The table function sqlite() gives computed columns of a view the type Nullable(String). An equation in
# SELECT is then decided by ClickHouse, between texts; the same equation in WHERE is handed to SQLite, where
# the column is a number and no number equals a text. So a row says that it is equal, and is not found. Compared
# as text, 9.75 is larger than 12.5.
#
# Output seen:
#   type of ms           Nullable(String)
#   SELECT ms = '9.75'   1
#   WHERE ms = '9.75'    0 rows
#   max(ms)              9.75
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check chdb==4.4.0 chdb-core==26.9.0
cd "$folder"
"$folder/venv/bin/python" >seen.txt <<'PY'
import os, sqlite3
import chdb

path = os.path.abspath("made.db")
made = sqlite3.connect(path)
made.executescript("""
    CREATE TABLE call (id INTEGER PRIMARY KEY, us INTEGER NOT NULL);
    INSERT INTO call VALUES (1, 9750), (2, 12500);
    CREATE VIEW calls AS SELECT id, us / 1e3 AS ms FROM call;
""")
made.close()
view = f"sqlite('{path}', 'calls')"

def ask(sql):
    return str(chdb.query(sql, "TabSeparated")).strip()

kind = [row.split("\t")[1] for row in ask(f"DESCRIBE TABLE {view}").splitlines() if row.startswith("ms")]
print("type of ms          ", kind[0])
print("SELECT ms = '9.75'  ", ask(f"SELECT ms = '9.75' FROM {view} ORDER BY id LIMIT 1"))
print("WHERE ms = '9.75'   ", ask(f"SELECT count() FROM {view} WHERE ms = '9.75'"), "rows")
print("max(ms)             ", ask(f"SELECT max(ms) FROM {view}"))
PY
cat seen.txt
diff seen.txt - <<'END'
type of ms           Nullable(String)
SELECT ms = '9.75'   1
WHERE ms = '9.75'    0 rows
max(ms)              9.75
END
