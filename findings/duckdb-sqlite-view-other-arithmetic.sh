#!/usr/bin/env bash
# DuckDB 1.5.5 with its sqlite extension 1.5.5, and SQLite as in Python, seen on 2026-11-28.
#
# DuckDB runs the SQL of a SQLite view itself, by its own rules, so that one view of one file answers
# differently, and nobody says so: `/` between whole numbers is a division of fractions, and
# CAST(.. AS INTEGER), which is 64 bits in SQLite, is 32 bits: no error when the view is described, but
# when a row is large enough.
#
# Output seen:
#   SQLite  halves 3       scaled 7000000000
#   DuckDB  halves 3.5     scaled error: Out of Range Error: Overflow in multiplication of INT32
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
    CREATE TABLE call (id INTEGER PRIMARY KEY, n INTEGER NOT NULL);
    INSERT INTO call VALUES (1, 7);
    CREATE VIEW halves AS SELECT n / 2 AS value FROM call;
    CREATE VIEW scaled AS SELECT CAST(n AS INTEGER) * 1000000000 AS value FROM call;
""")
made.commit()
duck = duckdb.connect()
folder = os.path.dirname(extension.__file__)
duck.execute("LOAD '%s'" % glob.glob(folder + "/**/*.duckdb_extension", recursive=True)[0])
duck.execute("ATTACH 'made.db' AS made (TYPE sqlite, READ_ONLY)")

def value(ask):
    try:
        return str(ask().fetchall()[0][0])
    except Exception as error:
        return "error: " + str(error).split(" (")[0]

for name, ask in [
    ("SQLite", lambda view: made.execute(f"SELECT value FROM {view}")),
    ("DuckDB", lambda view: duck.execute(f"SELECT value FROM made.{view}")),
]:
    print(f"{name}  halves {value(lambda: ask('halves')):<7} scaled {value(lambda: ask('scaled'))}")
PY
cat seen.txt
diff seen.txt - <<'END'
SQLite  halves 3       scaled 7000000000
DuckDB  halves 3.5     scaled error: Out of Range Error: Overflow in multiplication of INT32
END
