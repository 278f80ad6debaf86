#!/usr/bin/env bash
# spandrel beside other recorders of spans: instructions, nanoseconds, losses and memory, each in a
# process of its own, in turns. Prints the page docs/src/rivals.md.
#
#   scripts/rivals.sh [--quick] [--rounds N] [--check] [--write]
#
# --quick sees that everything runs, in a minute; without it, it takes a quarter of an hour, and the
# machine should have nothing else to do. --check fails if spandrel is less than three times as fast as
# fastrace on the same trees, or has lost a span. --write puts the page where it belongs.
# Without valgrind instructions are SKIPPED, without a C++ compiler Tracy is.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C
cd "$(dirname "$0")/.."

options=()
while (($#)); do
    case $1 in
        --quick | --check) options+=("$1") ;;
        --rounds) options+=("$1" "${2:?--rounds needs a number}"); shift ;;
        --write) options+=(--write docs/src/rivals.md) ;;
        *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
    esac
    shift
done

features=()
if ! command -v c++ >/dev/null; then
    echo "rivals.sh: SKIPPED, there is no C++ compiler: Tracy is left out" >&2
    features=(--no-default-features)
fi

# There for the settings in its .cargo/config.toml.
target=$(
    cd benches/rivals
    cargo build --quiet --locked --release "${features[@]}" >&2
    cargo metadata --locked --format-version 1 --no-deps |
        sed 's/.*"target_directory":"\([^"]*\)".*/\1/'
)
exec "$target/release/rivals" compare "${options[@]}"
