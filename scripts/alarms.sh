#!/usr/bin/env bash
# How often `spandrel check` cries wolf, and how often it sees one.
#
#   scripts/alarms.sh [PAIRS] [RUNS]
#
# PAIRS times (default: 50) the same program is recorded into two profiles, RUNS times each (default:
# 1), in turns, and one is checked against the other with the rules below: a failure is a false alarm.
# Then the same with a `query` that does 10 % more: a failure of `query` is a detection. The same pairs
# are compared by `spandrel diff`: of the figures that have not changed, how many does it mark?
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C
cd "$(dirname "$0")/.."

pairs=${1:-50}
runs=${2:-1}
[[ $pairs =~ ^[1-9][0-9]*$ && $runs =~ ^[1-9][0-9]*$ ]] ||
    { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cargo build --quiet --locked --release --package spandrel-examples --example steady_work
cargo build --quiet --locked --release --package spandrel-cli
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
work=$target/release/examples/steady_work
spandrel=$target/release/spandrel

cat >"$folder/rules.toml" <<'RULES'
[defaults]
percent = 5
absolute = "2us"
[[rule]]
span = "*"
metric = ["p50", "p95", "p99", "mean"]
RULES

columns=$(printf ',%s' {p50,p95,p99,mean,calls}_{change,low,high,significant})
declare -A failed=() spans=() marked=([figures]=0 [apart]=0 [marked]=0 [query]=0)
for more in 0 10; do
    failed[$more]=0
    for ((pair = 1; pair <= pairs; pair++)); do
        rm -f "$folder"/*.db
        for ((run = 1; run <= runs; run++)); do
            SPANDREL_DB=$folder/a.db "$work" 2000 0 >/dev/null
            SPANDREL_DB=$folder/b.db "$work" 2000 "$more" >/dev/null
        done
        code=0
        "$spandrel" --db "$folder/b.db" --run '*' check --baseline "$folder/a.db:*" \
            --rules "$folder/rules.toml" -f csv >"$folder/said" || code=$?
        ((code < 2)) || { cat "$folder/said" >&2; exit 1; }
        grep '^failed,' "$folder/said" >"$folder/which" || true
        "$spandrel" diff "$folder/a.db:*" "$folder/b.db:*" -n 0 -f csv \
            --columns "name$columns" >"$folder/diff"
        # Of each figure: is there one, does its interval exclude nothing, is it marked? And of `query`'s
        # median, whether it is.
        read -r figures apart significant query < <(awk -F, 'NR > 1 {
            if ($1 == "query") query = $5 == "true"
            for (at = 2; at < NF; at += 4) if ($at != "") {
                figures++
                apart += $(at + 1) > 0 || $(at + 2) < 0
                marks += $(at + 3) == "true"
            }
        } END { print figures + 0, apart + 0, marks + 0, query + 0 }' "$folder/diff")
        if ((more == 0)); then
            ((marked[figures] += figures, marked[apart] += apart, marked[marked] += significant)) || true
        else
            ((marked[query] += query)) || true
        fi
        # More work in `query` is more in its request, too: that is no false alarm.
        if ((more == 0)); then
            [[ ! -s $folder/which ]] || ((failed[$more] += 1))
        else
            ! grep -q '^failed,query,' "$folder/which" || ((failed[$more] += 1))
        fi
        while IFS=, read -r _ span metric _; do
            ((spans[$more $span $metric] += 1)) || true
        done <"$folder/which"
    done
done

printf 'pairs: %d, runs a side: %d, 2,000 requests a run, rules: +5%% and +2 us\n\n' "$pairs" "$runs"
printf '%-44s%6s\n' 'false alarms (builds that failed by noise)' "${failed[0]}"
printf '%-44s%6s\n' 'detections of +10 % in one span' "${failed[10]}"
printf '\n`spandrel diff`, of programs that are the same\n'
printf '%-44s%6s\n' 'figures compared' "${marked[figures]}" \
    'intervals that exclude what is so' "${marked[apart]}" 'marked as changed' "${marked[marked]}"
printf '%-44s%6s\n\n' 'pairs with +10 % marked at the median' "${marked[query]}"
for key in "${!spans[@]}"; do
    printf '  +%s%% %-20s %-6s failed %d times\n' $key "${spans[$key]}"
done | sort
