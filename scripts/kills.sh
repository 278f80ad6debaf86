#!/usr/bin/env bash
# Kills recording processes with signal 9 and looks at what they leave: the file is sound, no batch
# is torn, nothing that was flushed is missing.
#
#   scripts/kills.sh [kills]        default 1000, about 10 a second
set -euo pipefail
cd "$(dirname "$0")/.."

kills=${1:-1000}
if ! [[ $kills =~ ^[1-9][0-9]*$ ]]; then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
fi
# The test prints one line that begins with the number of kills, and fails if one of the three
# counts is not zero.
SPANDREL_TEST_KILLS=$kills cargo test --quiet --release --package spandrel-tests \
    --test flush_then_kill -- --nocapture | grep -o "$kills kills: .*"
