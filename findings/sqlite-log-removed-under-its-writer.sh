#!/usr/bin/env bash
# SQLite 3.40.0 and 3.54.1 (apsw 3.40.0.0 and 3.54.1.0) on Linux, seen on 2026-11-28.
#
# SQLite's manual warns that POSIX drops a process's locks on a file when it closes any descriptor of it. What
# that means for a writer in write-ahead mode: the program reads its own database with open(), another program
# opens the database and closes it, finds nobody there, merges the log and removes it; the writer goes on
# in the removed log. Its commits succeed, it sees its rows itself, and nobody else ever will.
#
# What is not in the manual: the newer version asks for the lock on byte 128 of the -shm as well before it removes
# the log, so that reading the database alone does no harm any more; a program that copies all three files, as a
# backup does, is still hit. And open-file-description locks for reading, held by the writer's process on
# the bytes of SQLite's shared locks (510 from 0x40000002 of the database, 128 of the -shm), disturb neither
# SQLite's own locks nor readers, and survive: nobody removes the log then, by either version.
#
# Output seen (who has read what; the log; rows that the writer sees, that others see):
#   3.40.0 reads the database          log gone   2 1
#   3.40.0 reads all three files       log gone   2 1
#   3.40.0 reads all three, has locks  log there  2 2
#   3.54.1 reads the database          log there  2 2
#   3.54.1 reads all three files       log gone   2 1
#   3.54.1 reads all three, has locks  log there  2 2
set -euo pipefail
[[ $(uname) == Linux ]] || { echo "the number of F_OFD_SETLK below is Linux's"; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >try.py <<'PY'
import fcntl, os, struct, subprocess, sys

import apsw

F_OFD_SETLK = 37
READ = "import apsw; c = apsw.Connection(%r); print(c.execute('SELECT count(*) FROM t').fetchall()[0][0]); c.close()"

def by_another_process(name):
    return subprocess.run(
        [sys.executable, "-c", READ % name], check=True, capture_output=True, text=True
    ).stdout.strip()

def hold(name, start, length):
    lock = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, start, length, 0)
    fcntl.fcntl(os.open(name, os.O_RDONLY), F_OFD_SETLK, lock)

for number, (how, endings, locks) in enumerate([
    ("reads the database", [""], False),
    ("reads all three files", ["", "-wal", "-shm"], False),
    ("reads all three, has locks", ["", "-wal", "-shm"], True),
]):
    name = f"{apsw.sqlitelibversion()}-{number}.db"
    writer = apsw.Connection(name)
    for sql in ["PRAGMA journal_mode = WAL", "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)"]:
        writer.execute(sql).fetchall()
    if locks:
        hold(name, 0x4000_0002, 510)
        hold(name + "-shm", 128, 1)
    for ending in endings:
        with open(name + ending, "rb") as own:
            own.read()
    by_another_process(name)
    log = "there" if os.path.exists(name + "-wal") else "gone"
    writer.execute("INSERT INTO t VALUES (2)").fetchall()
    mine = writer.execute("SELECT count(*) FROM t").fetchall()[0][0]
    print(f"{apsw.sqlitelibversion()} {how:<27} log {log:<6} {mine} {by_another_process(name)}")
PY
for version in 3.40.0.0 3.54.1.0; do
    python3 -m venv "$version"
    "$version/bin/pip" install -q --disable-pip-version-check "apsw==$version"
    "$version/bin/python" try.py
done >seen.txt
cat seen.txt
diff seen.txt - <<'END'
3.40.0 reads the database          log gone   2 1
3.40.0 reads all three files       log gone   2 1
3.40.0 reads all three, has locks  log there  2 2
3.54.1 reads the database          log there  2 2
3.54.1 reads all three files       log gone   2 1
3.54.1 reads all three, has locks  log there  2 2
END
