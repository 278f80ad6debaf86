#!/usr/bin/env bash
# SQLite 3.44.0 and 3.54.1 (apsw 3.44.0.0 and 3.54.1.0), seen on 2026-11-28.
#
# A JSON text may hold the character U+0000, written as \u0000. Up to SQLite 3.44, json_extract and ->> end the
# text there, without an error, and length() of it says so, too; since its JSON was rewritten they give all
# of it. So one query over one file groups values together with one library that the other keeps apart.
#
# Output seen:
#   3.44.0: 61 and 61, 1 distinct value
#   3.54.1: 610062 and 610063, 2 distinct values
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >try.py <<'PY'
import apsw

made = apsw.Connection(":memory:")
made.execute("CREATE TABLE t (fields TEXT)")
for last in "bc":
    made.execute("INSERT INTO t VALUES (?)", ('{"x":"a\\u0000%s"}' % last,))
values = [row[0] for row in made.execute("SELECT hex(json_extract(fields, '$.x')) FROM t").fetchall()]
distinct = made.execute("SELECT count(DISTINCT fields ->> 'x') FROM t").fetchall()[0][0]
print(f"{apsw.sqlitelibversion()}: {' and '.join(values)}, {distinct} distinct value{'s' * (distinct > 1)}")
PY
for version in 3.44.0.0 3.54.1.0; do
    python3 -m venv "$version"
    "$version/bin/pip" install -q --disable-pip-version-check "apsw==$version"
    "$version/bin/python" try.py
done >seen.txt
cat seen.txt
diff seen.txt - <<'END'
3.44.0: 61 and 61, 1 distinct value
3.54.1: 610062 and 610063, 2 distinct values
END
