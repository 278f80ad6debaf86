#!/usr/bin/env bash
# What it takes to build spandrel from nothing, and how much there is of it.
#
#   scripts/build_cost.sh [command|install|tests|lines]...
#
#   command  seconds of the first command of the README, without the ten that the load lasts
#   install  seconds of `cargo install --path cli`, and the size of the command
#   tests    seconds of `cargo test --workspace`
#   lines    of Rust, by crate: code, its comments, tests
#
# All by default. Each builds in an empty folder; what cargo downloads is there beforehand. Seconds count for a machine
# that does nothing else: processor time is printed beside them.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
TIMEFORMAT='%R s, of the processors %U'

command() {
    CARGO_TARGET_DIR=$folder/command cargo run --quiet --locked --release --example load_test -- \
        --seconds 1 --database "$folder/load.db" >/dev/null
}

install() {
    cargo install --quiet --locked --path cli --root "$folder/installed" --target-dir "$folder/install" 2>&1 |
        sed '/be sure to add/d'
}

tests() {
    CARGO_TARGET_DIR=$folder/tests cargo test --quiet --locked --workspace >"$folder/said" 2>&1 || {
        tail -n 50 "$folder/said" >&2
        return 1
    }
}

lines() {
    git ls-files '*.rs' | awk '
        {
            file = $0
            crate = file; sub(/\/.*/, "", crate)
            is_test = file ~ /(^|\/)tests?\// || file ~ /tests\.rs$/
            crates[crate]
            while ((getline line < file) > 0) {
                what = is_test ? "tests" : line ~ /^ *\/\// ? "comments" : "code"
                count[crate, what]++
                sum[what]++
            }
            close(file)
        }
        function print_row(name, code, comments, tests) {
            printf "%-12s%10s%10s%10s%10s\n", name, code, comments, tests, code + comments + tests
        }
        END {
            printf "%-12s%10s%10s%10s%10s\n", "", "code", "comments", "tests", "all"
            for (crate in crates)
                print_row(crate, count[crate, "code"] + 0, count[crate, "comments"] + 0, count[crate, "tests"] + 0)
            print_row("all", sum["code"], sum["comments"], sum["tests"])
        }'
}

cargo fetch --quiet --locked
(($#)) || set -- command install tests lines
for part in "$@"; do
    case $part in
        command | install | tests)
            printf '%-10s' "$part"
            time "$part"
            [[ $part != install ]] || stat --format '          %s bytes' "$folder/installed/bin/spandrel"
            rm -rf "${folder:?}/$part"
            ;;
        lines) lines ;;
        *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
    esac
done
