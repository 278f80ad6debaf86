#!/usr/bin/env bash
# pandas 3.1.1, polars 2.1.0 and DuckDB 1.5.5 for Python, seen on 2026-11-29.
#
# JSON sets no limit to integers, and an id of a trace has 128 bits. With one integer in NDJSON that needs more
# than 64, pandas refuses all of the file, also when the column is asked for as text. DuckDB takes the column
# for DOUBLE, though it has HUGEINT and UHUGEINT, so that other ids in it are changed as well, without a word.
# polars infers Int128; from 2^127 on it is an error, also with the schema UInt128 ("as u128"), or null if errors
# are ignored. DuckDB told of UHUGEINT, and polars told of String, read all of it exactly.
#
# Output seen (9007199254740993 stands in the first line, and the large number in the second):
#   2^64, 18446744073709551616
#     pandas: ValueError: Value is too big! at position 28
#     pandas, dtype=str: ValueError: Value is too big! at position 28
#     polars: Int128, 9007199254740993 and 18446744073709551616
#     polars, ignore_errors: Int128, 9007199254740993 and 18446744073709551616
#     polars, UInt128: UInt128, 9007199254740993 and 18446744073709551616
#     polars, String: String, 9007199254740993 and 18446744073709551616
#     DuckDB: DOUBLE, 9007199254740992.0 and 1.8446744073709552e+19
#     DuckDB, UHUGEINT: UHUGEINT, 9007199254740993 and 18446744073709551616
#   2^127, 170141183460469231731687303715884105728
#     pandas: ValueError: Value is too big! at position 28
#     pandas, dtype=str: ValueError: Value is too big! at position 28
#     polars: ComputeError: cannot parse '170141183460469231731687303715884105728' (u128) as i128
#     polars, ignore_errors: Int128, 9007199254740993 and None
#     polars, UInt128: ComputeError: cannot parse '170141183460469231731687303715884105728' (u128) as u128
#     polars, String: String, 9007199254740993 and 170141183460469231731687303715884105728
#     DuckDB: DOUBLE, 9007199254740992.0 and 1.7014118346046923e+38
#     DuckDB, UHUGEINT: UHUGEINT, 9007199254740993 and 170141183460469231731687303715884105728
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pandas==3.1.1 polars==2.1.0 duckdb==1.5.5
cd "$folder"
"$folder/venv/bin/python" >seen.txt <<'PY'
import duckdb, pandas, polars

file = "made.ndjson"

def by_pandas(**more):
    column = pandas.read_json(file, lines=True, **more)["n"]
    return column.dtype, list(column)

def by_polars(**more):
    column = polars.read_ndjson(file, **more)["n"]
    return column.dtype, list(column)

def by_duckdb(**more):
    column = duckdb.read_json(file, **more)
    return column.types[0], [n for n, in column.fetchall()]

for power in [64, 127]:
    with open(file, "w") as made:
        made.write('{"n":9007199254740993}\n{"n":%d}\n' % 2**power)
    print(f"2^{power}, {2**power}")
    for name, ask in [
        ("pandas", by_pandas),
        ("pandas, dtype=str", lambda: by_pandas(dtype=str)),
        ("polars", by_polars),
        ("polars, ignore_errors", lambda: by_polars(ignore_errors=True)),
        ("polars, UInt128", lambda: by_polars(schema={"n": polars.UInt128})),
        ("polars, String", lambda: by_polars(schema={"n": polars.String})),
        ("DuckDB", by_duckdb),
        ("DuckDB, UHUGEINT", lambda: by_duckdb(columns={"n": "UHUGEINT"})),
    ]:
        try:
            kind, values = ask()
            seen = f"{kind}, {' and '.join(map(str, values))}"
        except Exception as error:
            seen = f"{type(error).__name__}: {error}"
        print(f"  {name}: {seen}")
PY
cat seen.txt
diff seen.txt - <<'END'
2^64, 18446744073709551616
  pandas: ValueError: Value is too big! at position 28
  pandas, dtype=str: ValueError: Value is too big! at position 28
  polars: Int128, 9007199254740993 and 18446744073709551616
  polars, ignore_errors: Int128, 9007199254740993 and 18446744073709551616
  polars, UInt128: UInt128, 9007199254740993 and 18446744073709551616
  polars, String: String, 9007199254740993 and 18446744073709551616
  DuckDB: DOUBLE, 9007199254740992.0 and 1.8446744073709552e+19
  DuckDB, UHUGEINT: UHUGEINT, 9007199254740993 and 18446744073709551616
2^127, 170141183460469231731687303715884105728
  pandas: ValueError: Value is too big! at position 28
  pandas, dtype=str: ValueError: Value is too big! at position 28
  polars: ComputeError: cannot parse '170141183460469231731687303715884105728' (u128) as i128
  polars, ignore_errors: Int128, 9007199254740993 and None
  polars, UInt128: ComputeError: cannot parse '170141183460469231731687303715884105728' (u128) as u128
  polars, String: String, 9007199254740993 and 170141183460469231731687303715884105728
  DuckDB: DOUBLE, 9007199254740992.0 and 1.7014118346046923e+38
  DuckDB, UHUGEINT: UHUGEINT, 9007199254740993 and 170141183460469231731687303715884105728
END
