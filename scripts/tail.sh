#!/usr/bin/env bash
# The tail: what the slowest of 10,000 spans costs the thread that makes it, at 10,000 spans a second
# while the writer commits, beside a layer that does nothing under the same load.
#
#   scripts/tail.sh [ROUNDS]
#
# Each round (default: 5) is 10 s of either, by the layer and by spandrel's own subscriber. The medians
# of the rounds are compared: whoever else uses the machine makes a tail of his own. Wants two
# processors with nothing else to do. Exit code 1 above twice that of the layer that does nothing.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C
cd "$(dirname "$0")/.."

rounds=${1:-5}
[[ $rounds =~ ^[1-9][0-9]*$ ]] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cargo build --quiet --locked --release --package spandrel-examples --example load_test
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')

for ((round = 1; round <= rounds; round++)); do
    for front_end in layer subscriber; do
        flag=()
        [[ $front_end == layer ]] || flag=(--subscriber)
        "$target/release/examples/load_test" --baseline 10 --database "$folder/tail.db" "${flag[@]}" \
            >"$folder/said"
        sed -n 's/^RESULT .* p9999_ns=\([0-9]*\) .*/\1/p' "$folder/said" >>"$folder/$front_end"
        sed -n 's/^RESULT .* baseline_p9999_ns=\([0-9]*\).*/\1/p' "$folder/said" \
            >>"$folder/baseline"
    done
done

median() { sort -n "$folder/$1" | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
broken=no
floor=$(median baseline)
printf '%-26s%14s%10s\n' 'p99.99 of one span' 'median ns' ratio
printf '%-26s%14s%10s\n' 'a layer that does nothing' "$floor" 1.00
for front_end in layer subscriber; do
    ours=$(median "$front_end")
    awk -v name="$front_end" -v ours="$ours" -v floor="$floor" \
        'BEGIN { printf "%-26s%14d%10.2f\n", "spandrel, " name, ours, ours / floor
                 exit ours > 2 * floor }' || broken=yes
done
[[ $broken == no ]] || { echo "tail.sh: more than twice a layer that does nothing" >&2; exit 1; }
