#!/usr/bin/env bash
# adbc-driver-sqlite 1.13.0 under polars 2.1.0, seen on 2026-11-28.
#
# The ADBC driver for SQLite decides the type of a column by its first 1,024 rows and not by its declaration:
# a TEXT column of a STRICT table that begins with 1,024 NULLs is taken for INT64, and the text behind them
# is an error. With 1,023 it is read.
#
# Output seen:
#   1023 NULLs first: String, 'seven'
#   1024 NULLs first: [SQLite] Type mismatch in column 0: expected INT64 but got STRING/BINARY
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check polars==2.1.0 pyarrow==26.0.1 \
    adbc-driver-sqlite==1.13.0 adbc-driver-manager==1.13.0
cd "$folder"
"$folder/venv/bin/python" >seen.txt <<'PY'
import sqlite3
import polars

for nulls in [1023, 1024]:
    name = f"after_{nulls}.db"
    made = sqlite3.connect(name)
    made.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT) STRICT")
    made.executemany("INSERT INTO note (text) VALUES (?)", [(None,)] * nulls + [("seven",)])
    made.commit()
    made.close()
    try:
        read = polars.read_database_uri("SELECT text FROM note ORDER BY id", f"sqlite:///{name}", engine="adbc")
        print(f"{nulls} NULLs first: {read.schema['text']}, {read['text'][-1]!r}")
    except Exception as error:
        print(f"{nulls} NULLs first: {str(error)[str(error).index('[SQLite]'):]}")
PY
cat seen.txt
diff seen.txt - <<'END'
1023 NULLs first: String, 'seven'
1024 NULLs first: [SQLite] Type mismatch in column 0: expected INT64 but got STRING/BINARY
END
