"""Runs the blocks of a page of the book with the programs that the page is about.

    python pages.py FOLDER < BLOCKS

BLOCKS is a JSON array of {info, body}; the answer is one of {printed, missing, fails}. `missing` names
what is not installed. A block that fails prints its error. Blocks of a page share their variables and
connections, as if they were typed in one after the other.
"""

import contextlib
import glob
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import traceback

os.chdir(sys.argv[1])


class Missing(Exception):
    pass


def python(body):
    exec(compile(body, "<page>", "exec"), variables)


def sh(body):
    for tool in ["sqlite3", "datasette", "litestream"]:
        is_used = re.search(rf"(^|[|;(])\s*{tool}\b", body, re.MULTILINE)
        if is_used and not shutil.which(tool):
            raise Missing(tool)
    done = subprocess.run(
        ["timeout", "300", "bash", "-euo", "pipefail", "-c", body],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    print(done.stdout, end="")
    if done.returncode:
        raise RuntimeError(f"exits with {done.returncode}")


def table(columns, rows):
    cells = [columns] + [["NULL" if value is None else str(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


answer = {"cursor": 0, "until": 0}


def sqlite(body):
    """The queries that follow a recording: each takes what the one before gave as `:until`."""
    conn = sqlite3.connect("file:shop.db?mode=ro", uri=True)
    cursor = conn.execute(body, answer)
    rows = cursor.fetchall()
    if len(rows) == 1 and len(rows[0]) == 1:
        answer["until"] = rows[0][0]
    # None may be missing, and none may come twice; that is too long to be shown.
    if ":until" in body:
        ids = [row[0] for row in rows]
        assert ids and sorted(ids) == [row[0] for row in conn.execute("SELECT id FROM span")]


def schema(body):
    """A schema makes what the profile has."""
    conn = sqlite3.connect(":memory:")
    conn.executescript(body)
    sql = """SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite%'
             ORDER BY type, name"""
    made = conn.execute(sql).fetchall()
    assert made and made == sqlite3.connect("shop.db").execute(sql).fetchall()


def give_extension(blocks):
    """DuckDB gets its extension from its makers when it is first needed; here, from a package."""
    if not any("duckdb" in block["info"] + block["body"] for block in blocks):
        return
    try:
        import duckdb as module
        import duckdb_extension_sqlite_scanner as package
    except ModuleNotFoundError:
        return
    (platform,), = module.sql("PRAGMA platform").fetchall()
    folder = os.path.expanduser(f"~/.duckdb/extensions/v{module.__version__}/{platform}")
    os.makedirs(folder)
    pattern = os.path.dirname(package.__file__) + "/**/*.duckdb_extension"
    extension, = glob.glob(pattern, recursive=True)
    os.symlink(extension, f"{folder}/sqlite_scanner.duckdb_extension")


def duckdb(body):
    import duckdb as module

    if "duckdb" not in connections:
        connections["duckdb"] = module.connect()
    relation = connections["duckdb"].sql(body)
    if relation is not None:
        print(str(relation).rstrip())


def clickhouse(body):
    from chdb import session

    if "clickhouse" not in connections:
        connections["clickhouse"] = session.Session("kept")
    for statement in filter(str.strip, body.split(";")):
        print(str(connections["clickhouse"].query(statement, "PrettyCompact")), end="")


def grafana(body):
    """SQL for the plugin, with what it puts in for its variables and its macro."""
    conn = sqlite3.connect(data_source(), uri=True)
    started, ended = conn.execute("SELECT started_unix_ns, ended_unix_ns FROM run").fetchone()
    from_s, to_s = started // 1_000_000_000, ended // 1_000_000_000
    body = body.replace("$__from", str(from_s * 1000)).replace("$__to", str(to_s * 1000))

    def macro(match):
        name, arguments = match[1], [text.strip() for text in match[2].split(",")]
        if name != "unixEpochGroupSeconds" or len(arguments) not in (2, 3):
            raise ValueError(f"the plugin has no such macro: {match[0]}")
        return f"cast(({arguments[0]} / {int(arguments[1])}) as int) * {int(arguments[1])}"

    body = re.sub(r"\$__([_a-zA-Z0-9]+)\(([^\)]*)\)", macro, body)
    if "$" in body:
        raise ValueError(f"a variable that the plugin does not know: {body}")
    cursor = conn.execute(body)
    columns, rows = [column[0] for column in cursor.description], cursor.fetchall()
    for row in rows if "time" in columns else []:
        at = row[columns.index("time")]
        assert isinstance(at, int) and from_s - 5 <= at <= to_s, at
    table(columns, rows)


def data_source():
    """As the plugin opens it: prefix, path and options; with the profile of the test as the path."""
    if "grafana" not in connections:
        raise Missing("yaml")
    settings = connections["grafana"]["jsonData"]
    assert settings["path"].endswith("/shop.db")
    return f"{settings.get('pathPrefix', 'file:')}shop.db?{settings.get('pathOptions', '')}"


def yaml(body, file):
    try:
        import yaml as module
    except ModuleNotFoundError as error:
        raise Missing("yaml") from error
    os.makedirs(os.path.dirname(file) or ".", exist_ok=True)
    with open(file, "w") as out:
        out.write(body)
    settings = module.safe_load(body)
    for source in settings.get("datasources", []):
        assert settings["apiVersion"] == 1 and source["type"] == "frser-sqlite-datasource"
        unknown = set(source["jsonData"]) - {"path", "pathPrefix", "pathOptions", "attachLimit"}
        assert not unknown, f"the plugin does not know {unknown}"
        connections["grafana"] = source


def run(info, body):
    language, _, what = info.partition(",")
    runners = {
        "python": python,
        "sh": sh,
        "sql": sqlite,
        "sql,schema": schema,
        "sql,duckdb": duckdb,
        "sql,clickhouse": clickhouse,
        "sql,grafana": grafana,
    }
    if language == "yaml":
        yaml(body, what.removeprefix("file="))
    else:
        runners[info](body)


variables = {"__name__": "page"}
connections = {}
answers = []
blocks = json.load(sys.stdin)
give_extension(blocks)
# The mode of new files is on a page.
os.umask(0o022)
# What comes after a block that could not be run builds upon it, in the same language.
missing_for = {}
for block in blocks:
    language = block["info"]
    printed, missing, fails = io.StringIO(), missing_for.get(language), False
    with contextlib.redirect_stdout(printed):
        try:
            if missing is None:
                run(language, block["body"])
        except (Missing, ModuleNotFoundError) as error:
            missing = missing_for[language] = str(error)
        except Exception:
            fails = True
            print(traceback.format_exc(limit=-1))
    answers.append({"printed": printed.getvalue(), "missing": missing, "fails": fails})
print(json.dumps(answers))
