#!/usr/bin/env bash
# DuckDB 1.5.5 with its sqlite extension 1.5.5 (duckdb-extension-sqlite), seen on 2026-11-29.
#
# DuckDB looks for the entry point of an extension by the name of the file. `sqlite` is an alias of the extension
# `sqlite_scanner`: `LOAD sqlite` finds the installed one, and its file under either name is the same to the byte. But
# the package has it under the alias, and LOAD with that path fails: no entry point of that name. A copy with the
# extension's own name loads. So whoever ships the file, to machines without a network, must not rename it, nor
# take it from the package as it is.
#
# Output seen:
#   as packaged     IO Error: did not contain the expected entrypoint function 'sqlite_duckdb_cpp_init'
#   under its name  loaded, reads 3 rows
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check duckdb==1.5.5 duckdb-extension-sqlite==1.5.5
cd "$folder"
"$folder/venv/bin/python" >seen.txt <<'PY'
import glob, os, re, shutil, sqlite3
import duckdb, duckdb_extension_sqlite as extension

made = sqlite3.connect("made.db")
made.executescript("CREATE TABLE call (us INTEGER NOT NULL); INSERT INTO call VALUES (1), (2), (3);")
made.close()
packaged = glob.glob(os.path.dirname(extension.__file__) + "/**/*.duckdb_extension", recursive=True)[0]
assert os.path.basename(packaged) == "sqlite.duckdb_extension", packaged
own = os.path.abspath("sqlite_scanner.duckdb_extension")
shutil.copy(packaged, own)
for what, path in [("as packaged", packaged), ("under its name", own)]:
    duck = duckdb.connect()
    try:
        duck.execute(f"LOAD '{path}'")
        duck.execute("ATTACH 'made.db' AS made (TYPE sqlite, READ_ONLY)")
        rows = duck.execute("SELECT count(*) FROM made.call").fetchall()[0][0]
        seen = f"loaded, reads {rows} rows"
    except duckdb.Error as error:
        seen = re.sub(r"Extension '[^']*' ", "", str(error).splitlines()[0])
    print(f"{what:<15} {seen}")
PY
cat seen.txt
diff seen.txt - <<'END'
as packaged     IO Error: did not contain the expected entrypoint function 'sqlite_duckdb_cpp_init'
under its name  loaded, reads 3 rows
END
