"""Reads an export as CSV and as NDJSON with programs that nobody here wrote, and compares each cell.

    python rows.py FOLDER

FOLDER holds spans.csv, spans.ndjson, and expected.json: the rows, each an object, with `fields` as text. Says
which program has read which file, a line each, and ends with 1 if one of them found something else.
"""

import json
import os
import sys

import duckdb
import pandas
import polars

folder = sys.argv[1]
csv, ndjson = (os.path.join(folder, name) for name in ("spans.csv", "spans.ndjson"))
with open(os.path.join(folder, "expected.json"), encoding="utf-8") as file:
    expected = json.load(file)
faults = []


def plain(value):
    """A cell as Python has it: what is not there is None, a whole number an int."""
    if value is None or value is pandas.NA or (isinstance(value, float) and value != value):
        return None
    return value.item() if hasattr(value, "item") else value


def compare(reader, names, rows, is_csv):
    before = len(faults)
    if sorted(names) != sorted(expected[0]):
        faults.append(f"{reader}: columns {names}")
    if len(rows) != len(expected):
        faults.append(f"{reader}: {len(rows)} rows, not {len(expected)}")
    for row, wanted in zip(rows, expected):
        for name, cell in zip(names, row):
            cell, should = plain(cell), wanted[name]
            # In CSV they take what is empty for what is not there.
            if is_csv and should == "":
                should = None
            if is_csv and cell == "":
                cell = None
            if name == "fields" and not is_csv and cell is not None:
                continue
            if cell != should or isinstance(cell, str) != isinstance(should, str):
                faults.append(f"{reader}: {wanted['id']}.{name}: {cell!r}, not {should!r}")
    if len(faults) == before:
        print(reader)


def duckdb_rows(sql):
    found = duckdb.connect().sql(sql)
    return found.columns, found.fetchall()


def pandas_rows(frame):
    return frame.columns, list(frame.itertuples(index=False))


def polars_rows(frame):
    return frame.columns, frame.rows()


LINES = "format='newline_delimited', union_by_name=true"
NULLS = {"dtype_backend": "numpy_nullable", "keep_default_na": False, "na_values": [""]}
readers = {
    "duckdb csv": lambda: duckdb_rows(f"SELECT * FROM read_csv('{csv}')"),
    "duckdb ndjson": lambda: duckdb_rows(f"SELECT * FROM read_json('{ndjson}', {LINES})"),
    "pandas csv": lambda: pandas_rows(pandas.read_csv(csv, **NULLS)),
    "pandas ndjson": lambda: pandas_rows(
        pandas.read_json(ndjson, lines=True, dtype_backend="numpy_nullable")
    ),
    "polars csv": lambda: polars_rows(polars.read_csv(csv, infer_schema_length=None)),
    "polars ndjson": lambda: polars_rows(polars.read_ndjson(ndjson, infer_schema_length=None)),
}
for reader, read in readers.items():
    try:
        names, rows = read()
    except Exception as error:
        faults.append(f"{reader}: {type(error).__name__}: {error}")
    else:
        compare(reader, names, rows, reader.endswith(" csv"))
for fault in faults[:20]:
    print(fault, file=sys.stderr)
sys.exit(bool(faults))
