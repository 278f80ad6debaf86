#!/usr/bin/env bash
# A program that only records (spandrel's feature `collected`, without `database`):
#
#   tree     links no SQLite, needs no C compiler, and brings 15 crates at most
#   check    lints, documentation and tests of the library, built so
#   resolve  cargo finds versions beside whatever else brings SQLite (needs the registry; no compiling)
#            (for information, whether the default features, with SQLite, resolve there, too)
#   time     seconds that spandrel adds to the build of a program with `tracing` and `tracing-subscriber`, from nothing:
#            [ROUNDS] times either, in turns; at most 6 on an idle machine of two processors
#
#   scripts/without_sqlite.sh [tree|check|resolve|time[=ROUNDS]]...      default: tree, check, resolve; 3 rounds
set -uo pipefail
export LC_ALL=C CARGO_INCREMENTAL=0
cd "$(dirname "$0")/.." || exit 1
root=$PWD
target=${CARGO_TARGET_DIR:-$root/target}
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
collected=(-p spandrel --no-default-features --features collected)

fail() {
    echo "FAILED: $*"
    exit 1
}

# Crates that are linked, or that the build runs.
crates() { cargo tree --quiet --locked "$@" -e normal,build --prefix none --format '{p}' | sed 's/ .*//' | sort -u; }

forbidden='^(cc|pkg-config|bindgen|cmake|vcpkg|.*sqlite.*|spandrel-storage|crossbeam-channel)$'

tree() {
    local linked found
    linked=$(crates "${collected[@]}") || return 1
    found=$(grep -E "$forbidden" <<<"$linked")
    [[ -z $found ]] || fail "it brings $found"
    (($(wc -l <<<"$linked") <= 15)) || fail "it brings more than 15 crates: $linked"
    # The same pattern finds them where they are.
    (($(crates -p spandrel | grep -cE "$forbidden") >= 4)) || fail "nothing of SQLite was found in the default build"
    # Some of the program's other crates are there for each of both.
    crates "${collected[@]}" --features log,opentelemetry | grep -E "$forbidden" && fail "log or opentelemetry bring it"
    echo "$(wc -l <<<"$linked") crates: ${linked//$'\n'/ }"
    # Neither of both: the message says what there is to choose from.
    if cargo check --quiet --locked -p spandrel --no-default-features >"$folder/said" 2>&1; then
        fail "it compiles with neither feature"
    fi
    grep -q 'choose where spandrel records to' "$folder/said" || fail "the error does not say what to choose"
}

check() (
    set -e
    cargo clippy --locked "${collected[@]}" --all-targets -- -D warnings
    cargo clippy --locked -p spandrel --features collected --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --locked "${collected[@]}" --no-deps --document-private-items \
        --target-dir "$target/without-sqlite"
    rm -rf "$target/without-sqlite"
    cargo test --locked "${collected[@]}"
)

# A program with these dependencies, and spandrel.
program() { # folder, main, lines of [dependencies]...
    local crate=$1 main=$2
    shift 2
    rm -rf "$crate" && mkdir -p "$crate/src" || return 1
    printf '%s\n' "$main" >"$crate/src/main.rs"
    {
        printf '[package]\nname = "program"\nversion = "0.1.0"\nedition = "2024"\n[dependencies]\n'
        printf '%s\n' "$@"
    } >"$crate/Cargo.toml"
}

spandrel="spandrel = { path = \"$root/profiler\", default-features = false, features = [\"collected\"] }"

with_sqlite="spandrel = { path = \"$root/profiler\" }"

# Whether cargo finds versions for all: `yes`, `no`, or nothing if the registry cannot be asked.
resolves() { # lines of [dependencies]...
    program "$folder/resolve" 'fn main() {}' "$@" || return 1
    if (cd "$folder/resolve" && timeout 120 cargo generate-lockfile) >"$folder/said" 2>&1 </dev/null; then
        echo yes
    elif grep -qiE 'resolve host|timed out|connect|network|spurious' "$folder/said"; then
        return 1
    else
        echo no
    fi
}

# Each combination is a test of its own: all are tried, and those that fail are told.
resolve() {
    local name dependencies brought answer with failed=() tried=0
    printf '%-32s%-12s%-24s%s\n' 'beside' collected 'their SQLite' 'with the default features'
    while IFS='|' read -r name dependencies; do
        answer=$(resolves "$spandrel" "$dependencies") || {
            echo "SKIPPED: what resolves beside spandrel without SQLite, the registry is not reachable"
            return 0
        }
        tried=$((tried + 1))
        if [[ $answer == no ]]; then
            failed+=("$name")
            cat "$folder/said"
            continue
        fi
        # Whatever SQLite there is, is the other crate's: spandrel asks for none.
        brought=$(cd "$folder/resolve" && crates -p spandrel) || return 1
        grep -E "$forbidden" <<<"$brought" && failed+=("$name, beside which spandrel brings it")
        theirs=$(sed -n '/^name = "libsqlite3-sys"/{n;s/version = "\(.*\)"/libsqlite3-sys \1/p}' \
            "$folder/resolve/Cargo.lock")
        with=$(resolves "$with_sqlite" "$dependencies") || with='(not known)'
        printf '%-32s%-12s%-24s%s\n' "$name" "$answer" "${theirs:--}" "$with"
    done <<'CRATES'
sqlx 0.9, sqlite|sqlx = { version = "0.9", features = ["sqlite"] }
sqlx 0.9, postgres|sqlx = { version = "0.9", features = ["postgres", "macros"] }
sqlx 0.8, sqlite|sqlx = { version = "0.8", features = ["sqlite"] }
sqlx 0.8, postgres|sqlx = { version = "0.8", features = ["postgres"] }
sqlx 0.6, sqlite|sqlx = { version = "0.6", features = ["sqlite", "runtime-tokio-rustls"] }
diesel 2.3, sqlite|diesel = { version = "2.3", features = ["sqlite"] }
diesel 2.3, postgres|diesel = { version = "2.3", features = ["postgres"] }
diesel 2.1, sqlite|diesel = { version = "~2.1", features = ["sqlite"] }
sea-orm 1, sqlite|sea-orm = { version = "1", features = ["sqlx-sqlite"] }
sea-orm 1, postgres|sea-orm = { version = "1", features = ["sqlx-postgres"] }
rusqlite 0.26|rusqlite = "0.26"
rusqlite 0.31, bundled|rusqlite = { version = "0.31", features = ["bundled"] }
CRATES
    echo "$tried combinations, $((tried - ${#failed[@]})) resolve"
    ((tried > 0 && ${#failed[@]} == 0)) || fail "spandrel without SQLite does not resolve beside: ${failed[*]}"
    # The check itself: two crates that both bring SQLite, of different versions, do not resolve.
    answer=$(resolves 'sqlx = { version = "0.8", features = ["sqlite"] }' 'rusqlite = "0.26"') || return 0
    [[ $answer == no ]] || fail "two different versions of SQLite resolve, so that this shows nothing"
}

# Seconds for a build from nothing, by the clock and of the processors. What cargo downloads is there beforehand.
build() { # folder
    local TIMEFORMAT='%R %U %S'
    (
        cd "$1" || exit 1
        cp "$root/Cargo.lock" . # the same versions as here
        cargo fetch --quiet && cargo generate-lockfile --quiet --offline
        export CARGO_TARGET_DIR=$1/target
        { time cargo build --quiet --offline; } 2>"$1/took" || { cat "$1/took" >&2; exit 1; }
        tail -n 1 "$1/took" | awk '{ print $1, $2 + $3 }'
        rm -rf "$CARGO_TARGET_DIR"
    )
}

time_of_builds() {
    local tracing='tracing = "0.1"' subscriber='tracing-subscriber = "0.3"' hello round alone recorded
    hello='fn main() { tracing_subscriber::fmt().init(); tracing::info_span!("hello").in_scope(|| {}); }'
    program "$folder/alone" "$hello" "$tracing" "$subscriber"
    program "$folder/recorded" 'use tracing_subscriber::prelude::*;
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let profiler = spandrel::Profiler::from_env()?;
    tracing_subscriber::registry().with(profiler.layer()).with(tracing_subscriber::fmt::layer()).init();
    tracing::info_span!("hello").in_scope(|| {});
    profiler.close()?;
    Ok(())
}' "$tracing" "$subscriber" "$spandrel"
    for ((round = 1; round <= rounds; round++)); do
        # In turns, and each first as often as the other.
        if ((round % 2)); then
            alone=$(build "$folder/alone") && recorded=$(build "$folder/recorded") || return 1
        else
            recorded=$(build "$folder/recorded") && alone=$(build "$folder/alone") || return 1
        fi
        printf '%s %s\n' "$alone" "$recorded"
    done >"$folder/times" || return 1
    awk '{ printf "without %.1f s (processors %.1f s), with spandrel %.1f s (%.1f s): %+.1f s (%+.1f s)\n",
            $1, $2, $3, $4, $3 - $1, $4 - $2 }' "$folder/times"
    # By the clock, as whoever waits for it; on a machine that does other work, the processors' seconds say more.
    awk '{ print $3 - $1 }' "$folder/times" | sort -n | awk -v limit="$seconds_limit" '
        { all[NR] = $1 }
        END { added = all[int((NR + 1) / 2)]
              printf "median of %d rounds: %+.1f s (limit %d)\n", NR, added, limit
              exit added > limit }'
}

seconds_limit=6
rounds=3
(($#)) || set -- tree check resolve
for part in "$@"; do
    echo "--- $part"
    case $part in
        tree | check | resolve) "$part" || fail "$part" ;;
        time | time=[1-9]*)
            [[ $part == time ]] || rounds=${part#time=}
            time_of_builds || fail "$part"
            ;;
        *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
    esac
done
