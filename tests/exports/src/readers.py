"""Reads each table and view of a profile with programs that nobody here wrote, and compares types and
values with those of SQLite.

    python readers.py PROFILE

Says which program has read it, a line each, and ends with 1 if one of them found something else.
"""

import glob
import json
import math
import os
import sqlite3
import sys

path = os.path.abspath(sys.argv[1])
faults = []


def fault(reader, place, text):
    faults.append(f"{reader}: {place}: {text}")


TYPES = {"INTEGER": int, "INT": int, "REAL": float, "TEXT": str, "BLOB": bytes}
# Columns of views that are NULL in each of their rows, and what they are in other views: all spans of `slow` have ended.
ALWAYS_NULL = {("slow", "open_ms"): float}


def relations():
    """Names, columns and rows as SQLite has them. A column: name, type, and whether NULL is excluded."""
    conn = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    sql = """SELECT name, type FROM sqlite_schema
             WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%'"""
    for name, kind in conn.execute(sql).fetchall():
        info = conn.execute(f'PRAGMA table_info("{name}")').fetchall()
        rows = conn.execute(f'SELECT * FROM "{name}"').fetchall()
        columns = []
        for at, (_, column, declared, not_null, *_) in enumerate(info):
            kinds = {type(row[at]) for row in rows} - {type(None)}
            if len(kinds) > 1:
                fault("sqlite3", f"{name}.{column}", f"values of several types: {kinds}")
            said = TYPES.get(declared)
            if said is None and kind == "table" or kinds - {said or next(iter(kinds), None)}:
                fault("sqlite3", f"{name}.{column}", f"declared {declared}, holds {kinds}")
            # An older SQLite does not say the types of columns that a view computes.
            said = said or next(iter(kinds), None) or ALWAYS_NULL.get((name, column))
            if said is None:
                fault("sqlite3", f"{name}.{column}", "the profile has no value in it to compare")
            columns.append((column, said or str, bool(not_null)))
        yield name, kind, columns, rows


def plain(value):
    """A value that can be compared and sorted, whatever its type."""
    if value is None or isinstance(value, float) and math.isnan(value):
        return ("null",)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return ("blob", bytes(value).hex())
    if isinstance(value, float):
        return ("real", value.hex())
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, int):
        return ("integer", value)
    return ("text", str(value))


def hexadecimal(rows):
    return [[v.hex().upper() if isinstance(v, bytes) else v for v in row] for row in rows]


def compare(reader, name, rows, expected):
    found = sorted(tuple(map(plain, row)) for row in rows)
    wanted = sorted(tuple(map(plain, row)) for row in expected)
    if len(found) != len(wanted):
        return fault(reader, name, f"{len(found)} rows, not {len(wanted)}")
    for one, other in zip(found, wanted):
        if one != other:
            return fault(reader, name, f"{one}\n  is not {other}")


def duckdb(all_relations):
    import duckdb
    import duckdb_extension_sqlite_scanner

    folder = os.path.dirname(duckdb_extension_sqlite_scanner.__file__)
    extension = glob.glob(f"{folder}/**/*.duckdb_extension", recursive=True)[0]
    conn = duckdb.connect()
    conn.execute(f"LOAD '{extension}'")
    conn.execute(f"ATTACH '{path}' AS p (TYPE sqlite, READ_ONLY)")
    types = {int: "BIGINT", float: "DOUBLE", str: "VARCHAR", bytes: "BLOB"}
    for name, _, columns, rows in all_relations:
        described = [(row[0], row[1]) for row in conn.execute(f'DESCRIBE p."{name}"').fetchall()]
        wanted = [(column, types[kind]) for column, kind, _ in columns]
        for one, other in zip(described, wanted):
            if one != other:
                fault("duckdb", f"{name}.{other[0]}", f"{one[1]}, not {other[1]}")
        compare("duckdb", name, conn.execute(f'SELECT * FROM p."{name}"').fetchall(), rows)
    sql = "SELECT duration_ms FROM p.slow ORDER BY duration_ms DESC LIMIT 3"
    found = [value for value, in conn.execute(sql).fetchall()]
    wanted = sorted((row[8] for row in rows_of(all_relations, "slow")), reverse=True)[:3]
    if found != wanted:
        fault("duckdb", "the slowest three", f"{found}, not {wanted}")
    return duckdb.__version__


def rows_of(all_relations, wanted):
    return next(rows for name, _, _, rows in all_relations if name == wanted)


def clickhouse(all_relations):
    import chdb

    types = {int: "Int64", float: "Float64", str: "String", bytes: "String"}
    for name, kind, columns, rows in all_relations:
        source = f"sqlite('{path}', '{name}')"
        described = str(chdb.query(f"DESCRIBE TABLE {source}", "JSONCompactEachRow"))
        # Not splitlines(): names have ends of lines that only Unicode knows.
        described = [json.loads(line)[:2] for line in described.split("\n") if line]
        for (column, kind_of, not_null), (_, found) in zip(columns, described):
            wanted = types[kind_of] if not_null else f"Nullable({types[kind_of]})"
            if found != wanted:
                fault("clickhouse", f"{name}.{column}", f"{found}, not {wanted}")
            if kind == "table" and column == "id" and found != "Int64":
                fault("clickhouse", f"{name}.id", f"{found} cannot be a key")
        named = [f"hex({c}) AS {c}_hex" if k is bytes else f"`{c}`" for c, k, _ in columns]
        answer = chdb.query(
            f"SELECT {', '.join(named)} FROM {source} "
            "SETTINGS output_format_json_quote_64bit_integers = 0",
            "JSONCompactEachRow",
        )
        # A float without a fraction looks like an integer in JSON.
        found = [
            [float(v) if k is float and v is not None else v for v, (_, k, _) in zip(row, columns)]
            for row in (json.loads(line) for line in str(answer).split("\n") if line)
        ]
        compare("clickhouse", name, found, hexadecimal(rows))
    return chdb.__version__


def pandas(all_relations):
    import pandas

    conn = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    types = {int: "Int64", float: "Float64", str: "string", bytes: "string"}
    for name, _, columns, rows in all_relations:
        # Bytes that could be text would become text.
        named = [f'hex("{c}") AS "{c}"' if k is bytes else f'"{c}"' for c, k, _ in columns]
        sql = f'SELECT {", ".join(named)} FROM "{name}"'
        frame = pandas.read_sql_query(sql, conn, dtype_backend="numpy_nullable")
        for column, kind, _ in columns:
            found = str(frame[column].dtype)
            # Nothing but NULL says nothing of its type.
            if frame[column].notna().any() and found != types.get(kind, found):
                fault("pandas", f"{name}.{column}", f"{found}, not {types[kind]}")
        values = [
            [None if v is pandas.NA else getattr(v, "item", lambda v=v: v)() for v in row]
            for row in frame.itertuples(index=False, name=None)
        ]
        compare("pandas", name, values, hexadecimal(rows))
    return pandas.__version__


def polars(all_relations):
    import polars

    conn = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    types = {int: polars.Int64, float: polars.Float64, str: polars.String, bytes: polars.Binary}
    for name, _, columns, rows in all_relations:
        frame = polars.read_database(f'SELECT * FROM "{name}"', conn, infer_schema_length=None)
        if frame.height == 0 and not rows:
            continue
        for column, kind, _ in columns:
            found = frame[column].dtype
            if frame[column].null_count() < frame.height and found != types[kind]:
                fault("polars", f"{name}.{column}", f"{found}, not {types[kind]}")
        compare("polars", name, frame.rows(), rows)
    return polars.__version__


def older_sqlite(all_relations):
    import apsw

    conn = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
    for name, _, _, rows in all_relations:
        compare("apsw", name, list(conn.execute(f'SELECT * FROM "{name}"')), rows)
    verdict = list(conn.execute("PRAGMA integrity_check"))
    if verdict != [("ok",)]:
        fault("apsw", "integrity_check", verdict)
    return apsw.sqlitelibversion()


everything = list(relations())
print("sqlite3", sqlite3.sqlite_version)
for reader in [duckdb, clickhouse, pandas, polars, older_sqlite]:
    try:
        print(reader.__name__, reader(everything))
    except ModuleNotFoundError as missing:
        print(f"SKIPPED: {reader.__name__}: {missing}", file=sys.stderr)
print("\n".join(faults), file=sys.stderr)
sys.exit(bool(faults))
