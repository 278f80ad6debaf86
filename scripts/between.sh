#!/usr/bin/env bash
# Rings between processes, more of what their tests do a little of: writers and readers that are killed at random moments while
# all of them go on as fast as they can; and words that somebody else has changed.
#
#   scripts/between.sh [kills] [words]       default: 300, 2000000
#
# No kill may hang anybody, or make a value that is torn, comes twice, or is neither read nor counted; no word may make
# anybody panic or go on for ever.
set -euo pipefail
cd "$(dirname "$0")/.."

kills=${1:-300}
words=${2:-2000000}
if ! [[ $kills =~ ^[1-9][0-9]*$ && $words =~ ^[1-9][0-9]*$ ]]; then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
fi
ring() { cargo test --quiet --locked --release --package spandrel-ring --features mapped,broadcast "$@"; }
ring --no-run --lib --test between
began=$SECONDS
SPANDREL_KILLS=$kills ring --test between -- --exact --nocapture \
    killed::kills_hang_nobody_and_each_value_is_read_once_or_counted | grep -o "$kills kills, .*"
echo "nobody hung, nothing was torn, doubled or left out ($((SECONDS - began)) s)"
began=$SECONDS
SPANDREL_FLIPS=$words ring --lib -- --exact \
    between::tests::hostile::no_word_makes_anybody_panic_or_go_on_for_ever >/dev/null
echo "$words words: nobody panicked or went on for ever ($((SECONDS - began)) s)"
