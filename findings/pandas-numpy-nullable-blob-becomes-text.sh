#!/usr/bin/env bash
# pandas 3.1.1 with Python's sqlite3, seen on 2026-11-28.
#
# dtype_backend="numpy_nullable" is the way to keep 64-bit integers exact when a column has a NULL. It also
# takes every BLOB for text: bytes that happen to be UTF-8 come as a string, and one value that is not UTF-8
# is an error for the whole query. The default backend gives bytes in both cases. hex(column) avoids it.
#
# Output seen (backend, are all values UTF-8: the first value):
#   default, True: b'\x00a'
#   default, False: b'\x00a'
#   numpy_nullable, True: '\x00a'
#   numpy_nullable, False: UnicodeDecodeError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pandas==3.1.1
cd "$folder"
"$folder/venv/bin/python" >seen.txt <<'PY'
import sqlite3
import pandas

made = sqlite3.connect(":memory:")
made.execute("CREATE TABLE note (utf8 BLOB, other BLOB)")
made.executemany("INSERT INTO note VALUES (?, ?)", [(b"\0a", b"\0a"), (b"b", b"\xff")])
for backend in [None, "numpy_nullable"]:
    for column in ["utf8", "other"]:
        more = {"dtype_backend": backend} if backend else {}
        try:
            seen = repr(pandas.read_sql_query(f"SELECT {column} FROM note", made, **more)[column][0])
        except ValueError as error:
            seen = type(error).__name__
        print(f"{backend or 'default'}, {column == 'utf8'}: {seen}")
PY
cat seen.txt
diff seen.txt - <<'END'
default, True: b'\x00a'
default, False: b'\x00a'
numpy_nullable, True: '\x00a'
numpy_nullable, False: UnicodeDecodeError
END
