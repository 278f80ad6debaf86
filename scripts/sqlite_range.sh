#!/usr/bin/env bash
# The rusqlite of an application is the one that goes with its other crates. Here:
#
#   * crates that bring SQLite resolve beside spandrel (needs the registry; no compiling);
#   * the workspace compiles with versions between the ends of the range, and the lock has the upper end;
#   * at the lower end, with the SQLite that comes with it, the tests of what writes, asks and exports
#     pass, and the command and a recording work;
#   * without the feature `bundled`, a recording into the system's SQLite works.
#
#   scripts/sqlite_range.sh [resolve|compile|low|system]...
#
# All by default, in two to three minutes on two processors. See docs/src/howto/beside-sqlite.md.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
root=$PWD
target=${CARGO_TARGET_DIR:-$root/target}/sqlite-range
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0

range=$(sed -n 's/^rusqlite = .*version = ">=\([0-9.]*\), <\([0-9.]*\)".*/\1 \2/p' Cargo.toml)
read -r low above <<<"$range"
[[ -n $low && -n $above ]] || { echo "no range of rusqlite in Cargo.toml"; exit 1; }

fail() {
    echo "FAILED: $*"
    exit 1
}

# Whether a crate with these dependencies, and spandrel, can be resolved.
resolves() { # name, lines of [dependencies]...
    local name=$1 crate=$folder/resolve
    shift
    rm -rf "$crate" && mkdir -p "$crate/src" && : >"$crate/src/lib.rs"
    {
        printf '[package]\nname = "beside"\nversion = "0.1.0"\nedition = "2024"\n[dependencies]\n'
        printf 'spandrel = { path = "%s/profiler" }\n' "$root"
        printf '%s\n' "$@"
    } >"$crate/Cargo.toml"
    if ! (cd "$crate" && timeout 120 cargo generate-lockfile) >"$folder/out" 2>&1; then
        if grep -qiE 'resolve host|timed out|connect|network|spurious' "$folder/out"; then
            echo "SKIPPED: what resolves beside spandrel, the registry is not reachable"
            return 2
        fi
        cat "$folder/out"
        return 1
    fi
    printf '%-36s' "$name"
    sed -n '/^name = "\(libsqlite3-sys\|rusqlite\)"/{N;s/name = "\(.*\)"\nversion = "\(.*\)"/ \1 \2/p}' \
        "$crate/Cargo.lock" | tr '\n' ' '
    echo
}

resolve() {
    local status
    while IFS='|' read -r name dependencies; do
        resolves "$name" "$dependencies" </dev/null
        status=$?
        ((status == 2)) && return 0
        ((status == 0)) || return 1
    done <<'CRATES'
nothing|
sqlx 0.9, sqlite|sqlx = { version = "0.9", features = ["sqlite"] }
sqlx 0.9, postgres and macros|sqlx = { version = "0.9", features = ["postgres", "macros"] }
sqlx 0.8, default features|sqlx = "0.8"
sqlx 0.8, sqlite|sqlx = { version = "0.8", features = ["sqlite"] }
sqlx 0.7.4, sqlite|sqlx = { version = "=0.7.4", features = ["sqlite"] }
diesel 2.3, sqlite|diesel = { version = "2.3", features = ["sqlite"] }
sea-orm 1, sqlite|sea-orm = { version = "1", features = ["sqlx-sqlite"] }
sea-orm 2, sqlite|sea-orm = { version = "2", features = ["sqlx-sqlite"] }
rusqlite 0.30|rusqlite = "0.30"
rusqlite 0.32|rusqlite = "0.32"
rusqlite 0.37|rusqlite = "0.37"
CRATES
}

# A copy of the workspace whose lock has that version of rusqlite.
lock() { # version
    local locked
    locked=$(sed -n '/^name = "rusqlite"/{n;s/version = "\(.*\)"/\1/p}' "$root/Cargo.lock")
    mkdir -p "$folder/copy" && git ls-files -z | tar c --null -T - | tar x -C "$folder/copy" || return 1
    cd "$folder/copy" || return 1
    [[ $locked == "$1" ]] || cargo update --quiet -p rusqlite --precise "$1" 2>"$folder/out" || {
        cat "$folder/out"
        return 1
    }
}

# Without compiling SQLite: the folder of the library is believed, and nothing is linked.
compile() {
    local locked version
    locked=$(sed -n '/^name = "rusqlite"/{n;s/version = "\(.*\)"/\1/p}' Cargo.lock)
    [[ ${above%.*}.$((${above##*.} - 1)) == "${locked%.*}" ]] ||
        fail "Cargo.lock has rusqlite $locked, which is not the upper end of the range below $above"
    # From these on, calls are different: see storage/src/compat.rs.
    for version in 0.34.0 0.37.0 0.40.2; do
        (
            lock "$version" && SQLITE3_LIB_DIR=$folder CARGO_TARGET_DIR=$target \
                cargo check --quiet -p spandrel -p spandrel-export --no-default-features --features spandrel/database
        ) || return 1
        echo "compiles with rusqlite $version"
    done
}

# A few random values are enough for what differs between versions: calls, and not what is computed from their answers.
low() (
    lock "$low.0" || exit 1
    export CARGO_TARGET_DIR=$target PROPTEST_CASES=${PROPTEST_CASES:-4}
    set -e
    cargo test --quiet -p spandrel-storage -p spandrel-query -p spandrel-export
    cargo test --quiet -p spandrel-tests --test several_runs
    cargo test --quiet -p spandrel-tests --test group_rows --test group_threads -- flush:: events::
    cargo build --quiet -p spandrel-cli
    "$target/debug/spandrel" load --rate 5000 --for 2s --db "$folder/low.db"
    "$target/debug/spandrel" doctor --db "$folder/low.db" | grep "SQLite 3.44.0 can damage"
)

# The last version of rusqlite that links with a SQLite before 3.44.
system() (
    pkg-config --exists 'sqlite3 >= 3.37' 2>/dev/null || {
        echo "SKIPPED: the system's SQLite, 3.37 or later is not installed (libsqlite3-dev, pkg-config)"
        exit 0
    }
    echo "the system's SQLite: $(pkg-config --modversion sqlite3)"
    lock 0.40.2 || exit 1
    export CARGO_TARGET_DIR=$target
    set -e
    cargo test --quiet -p spandrel-tests --no-default-features --test several_runs
    cargo test --quiet -p spandrel-tests --no-default-features --test group_rows --test group_threads -- flush:: events::
)

(($#)) || set -- resolve compile low system
for part in "$@"; do
    began=$SECONDS
    echo "--- $part"
    "$part" || fail "$part"
    echo "$((SECONDS - began)) s"
done
