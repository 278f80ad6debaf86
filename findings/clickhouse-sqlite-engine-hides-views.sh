#!/usr/bin/env bash
# ClickHouse as chdb 4.4.0 (chdb-core 26.9.0), seen on 2026-11-28.
#
# The table function sqlite() reads views of a SQLite file like tables. A database with the engine SQLite of the
# same file has no views: they are not listed, and one that is asked for by its name is an unknown table.
#
# Output seen:
#   sqlite()        2 rows
#   tables          call
#   ENGINE = SQLite UNKNOWN_TABLE
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check chdb==4.4.0 chdb-core==26.9.0
cd "$folder"
"$folder/venv/bin/python" >seen.txt <<'PY'
import sqlite3
from chdb import session

made = sqlite3.connect("made.db")
made.executescript("""
    CREATE TABLE call (id INTEGER PRIMARY KEY, ns INTEGER NOT NULL);
    INSERT INTO call VALUES (1, 7), (2, 9), (3, 1);
    CREATE VIEW slow AS SELECT * FROM call WHERE ns > 5;
""")
made.close()
house = session.Session("house")

def ask(sql):
    return str(house.query(sql, "TSV")).strip()

print("sqlite()       ", ask("SELECT count() FROM sqlite('made.db', 'slow')"), "rows")
house.query("CREATE DATABASE made ENGINE = SQLite('made.db')")
print("tables         ", ask("SHOW TABLES FROM made"))
try:
    print("ENGINE = SQLite", ask("SELECT count() FROM made.slow"), "rows")
except Exception as error:
    print("ENGINE = SQLite", str(error).rsplit("(", 1)[1].split(")")[0])
PY
cat seen.txt
diff seen.txt - <<'END'
sqlite()        2 rows
tables          call
ENGINE = SQLite UNKNOWN_TABLE
END
