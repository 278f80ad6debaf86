#!/usr/bin/env bash
# sqlx 0.9.0 and rusqlite 0.41.1, resolved by cargo, seen on 2026-11-28.
#
# A program that uses sqlx for PostgreSQL alone, without any feature that names SQLite, cannot have rusqlite
# 0.41 beside it as soon as it takes sqlx's `macros`: the resolver counts the SQLite driver that the macros
# could have, and its libsqlite3-sys (below 0.38) and rusqlite's (0.39) both claim the native library
# `sqlite3`. Without `macros` it resolves. rusqlite 0.39 (libsqlite3-sys 0.37) goes with both.
#
# Output seen:
#   postgres, rusqlite 0.41.1: resolves
#   postgres + macros, rusqlite 0.41.1: refused, links = "sqlite3"
#   postgres + macros, rusqlite 0.39.0: resolves
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
touch src/lib.rs

resolve() { # what, features, rusqlite
    cat >Cargo.toml <<TOML
[package]
name = "beside-sqlx"
version = "0.0.0"
edition = "2021"

[dependencies]
sqlx = { version = "=0.9.0", default-features = false, features = [$2] }
rusqlite = "=$3"
TOML
    rm -f Cargo.lock
    local verdict=resolves
    if ! cargo generate-lockfile >said.txt 2>&1; then
        verdict='failed for another reason'
        grep -q 'only one package uses the `links = "sqlite3"` value' said.txt && verdict='refused, links = "sqlite3"'
    fi
    echo "$1, rusqlite $3: $verdict"
}

{
    resolve "postgres" '"postgres"' 0.41.1
    resolve "postgres + macros" '"postgres", "macros"' 0.41.1
    resolve "postgres + macros" '"postgres", "macros"' 0.39.0
} >seen.txt
cat seen.txt
diff seen.txt - <<'END'
postgres, rusqlite 0.41.1: resolves
postgres + macros, rusqlite 0.41.1: refused, links = "sqlite3"
postgres + macros, rusqlite 0.39.0: resolves
END
