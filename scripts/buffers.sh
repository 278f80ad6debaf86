#!/usr/bin/env bash
# Instructions of a producer for each item that it puts into a buffer, by callgrind.
#
#   scripts/buffers.sh [--no-check]
#
# Each figure is the difference of two runs divided by that of their items. Fails if one is above its limit, unless
# --no-check is given. A figure holds for one compiler. Needs valgrind.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C
cd "$(dirname "$0")/.."

check=yes
for option; do
    case $option in
        --no-check) check=no ;;
        *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
    esac
done
if ! command -v valgrind >/dev/null; then
    echo "buffers.sh: SKIPPED, valgrind is not installed" >&2
    exit 0
fi

declare -A limits=([push]=170 [put_existing]=200)
few=20000
many=120000
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/rings
cargo build --quiet --locked --release --manifest-path benches/rings/Cargo.toml --bin buffers
buffers=$CARGO_TARGET_DIR/release/buffers
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Of the thread that puts: the first one.
instructions() { # case, items
    rm -f "$folder"/counted*
    valgrind --quiet --tool=callgrind --separate-threads=yes --callgrind-out-file="$folder/counted" \
        --toggle-collect='buffers::run' "$buffers" "$1" "$2" >"$folder/said" 2>&1 || {
        cat "$folder/said" >&2
        return 1
    }
    awk '$1 == "totals:" { print $2; found = 1; exit } END { exit !found }' "$folder/counted-01"
}

broken=no
printf '%-24s%14s%8s\n' "instructions an item" producer limit
cases=$("$buffers")
for case in $cases; do
    at_few=$(instructions "$case" "$few")
    at_many=$(instructions "$case" "$many")
    limit=${limits[$case]:-none}
    awk -v case="$case" -v few="$at_few" -v many="$at_many" -v items=$((many - few)) -v limit="$limit" 'BEGIN {
        own = (many - few) / items
        printf "%-24s%14.1f%8s\n", case, own, limit
        exit limit != "none" && own > limit }' || broken=yes
done
[[ $check == no || $broken == no ]] || { echo "buffers.sh: FAILED, a figure is above its limit" >&2; exit 1; }
