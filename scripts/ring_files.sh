#!/usr/bin/env bash
# Ring files, more of what their tests do a little of: programs that are killed at random moments while four threads
# push as fast as they can, by turns while they make the file, with nobody who drains, and while somebody does; and
# files in which a word is another one.
#
#   scripts/ring_files.sh [kills] [words]       default: 500, 2000000
#
# Each kill must leave a file in which everything is found that a witness saw published, once, and nothing that was not
# begun; no word may make a reader panic, go on for ever, or say something wrong without noting it.
set -euo pipefail
cd "$(dirname "$0")/.."

kills=${1:-500}
words=${2:-2000000}
if ! [[ $kills =~ ^[1-9][0-9]*$ && $words =~ ^[1-9][0-9]*$ ]]; then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
fi
ring() { cargo test --quiet --locked --release --package spandrel-ring --features mapped "$@"; }
ring --no-run
began=$SECONDS
SPANDREL_KILLS=$kills ring --test file -- --exact \
    killed::what_was_published_before_a_kill_is_found_once_and_nothing_else >/dev/null
echo "$kills kills: all that was published was found, once ($((SECONDS - began)) s)"
began=$SECONDS
SPANDREL_FLIPS=$words ring --lib -- --exact \
    file::tests::damaged::a_word_that_is_another_one_makes_no_record_that_is_wrong_and_not_noted >/dev/null
echo "$words words: nothing wrong that was not noted ($((SECONDS - began)) s)"
