#!/usr/bin/env bash
# SQLite 3.46.1 (apsw 3.46.1.0) and 3.51.1 (apsw 3.51.1.0), seen on 2026-11-28.
#
# SQLite 3.51 has a new mode, PRAGMA wal_checkpoint(NOOP), which tells the length of the write-ahead log and
# copies nothing. Before that the same statement is no error: a mode that is not known is taken for PASSIVE,
# so a program that asks for the length with every commit checkpoints with every commit. The answer has the
# same shape, and its third number (pages that are in the database) is the only sign.
#
# Output seen (mode: busy, pages in the log, pages of them in the database; does the database have them):
#   3.46.1 NOOP: (0, 3, 3), copied
#   3.46.1 no_such_mode: (0, 3, 3), copied
#   3.51.1 NOOP: (0, 3, 0), not copied
#   3.51.1 no_such_mode: (0, 3, 3), copied
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >look.py <<'PY'
import os
import apsw

for mode in ["NOOP", "no_such_mode"]:
    name = f"{apsw.sqlite_lib_version()}-{mode}.db"
    writer = apsw.Connection(name)
    writer.execute("PRAGMA journal_mode = WAL").fetchall()
    writer.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
    writer.execute("CREATE TABLE note (text TEXT)")
    writer.execute("INSERT INTO note VALUES ('seven')")
    before = os.path.getsize(name)
    answer = writer.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
    copied = "copied" if os.path.getsize(name) > before else "not copied"
    print(f"{apsw.sqlite_lib_version()} {mode}: {answer}, {copied}")
PY
for version in 3.46.1.0 3.51.1.0; do
    python3 -m venv "venv-$version"
    "venv-$version/bin/pip" install -q --disable-pip-version-check "apsw==$version"
    "venv-$version/bin/python" look.py
done >seen.txt
cat seen.txt
diff seen.txt - <<'END'
3.46.1 NOOP: (0, 3, 3), copied
3.46.1 no_such_mode: (0, 3, 3), copied
3.51.1 NOOP: (0, 3, 0), not copied
3.51.1 no_such_mode: (0, 3, 3), copied
END
