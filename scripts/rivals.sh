#!/usr/bin/env bash
# spandrel beside other recorders of spans: instructions, nanoseconds, losses and memory, each in a
# process of its own, in turns. Prints the page docs/src/rivals.md.
#
#   scripts/rivals.sh [--quick] [--rounds N] [--check] [--write]
#
# --quick sees that everything runs, in a minute; without it, it takes a quarter of an hour, and the
# machine should have nothing else to do. --check fails if spandrel is less than three times as fast as
# fastrace on the same trees, or has lost a span. --write puts the page where it belongs.
# Without valgrind instructions are SKIPPED, without a C++ compiler Tracy is, without LTTng (Debian's
# lttng-tools, liblttng-ust-dev and babeltrace2) LTTng is.
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
if command -v c++ >/dev/null; then
    features+=(tracy)
else
    echo "rivals.sh: SKIPPED, there is no C++ compiler: Tracy is left out" >&2
fi
if command -v lttng >/dev/null && command -v lttng-sessiond >/dev/null &&
    command -v babeltrace2 >/dev/null && pkg-config --exists lttng-ust; then
    features+=(lttng)
    # Of our own, unless there is one, and gone afterwards.
    if ! pgrep -x lttng-sessiond >/dev/null; then
        folder=$(mktemp -d)
        trap 'kill "$(cat "$folder/pid")"; rm -rf "$folder"' EXIT
        lttng-sessiond --daemonize --no-kernel --pidfile "$folder/pid"
    fi
else
    echo "rivals.sh: SKIPPED, LTTng is not installed: it is left out" >&2
fi

# There for the settings in its .cargo/config.toml.
target=$(
    cd benches/rivals
    cargo build --quiet --locked --release --no-default-features --features "${features[*]}" >&2
    cargo metadata --locked --format-version 1 --no-deps |
        sed 's/.*"target_directory":"\([^"]*\)".*/\1/'
)
"$target/release/rivals" compare "${options[@]}"
