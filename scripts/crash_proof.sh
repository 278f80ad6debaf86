#!/usr/bin/env bash
# Kills recording processes whose ring lies in a file with signal 9, at any moment: while four threads record at full
# speed, and one in five while it builds its profiler or closes. Recovers what they have left, and looks whether it is
# what a witness in shared memory saw: each published span in the profile, once; what was open as crashed; the ledger
# without a loss; no file unsound, no ring file left, nobody hangs.
#
#   scripts/crash_proof.sh [kills]        default 500
set -euo pipefail
cd "$(dirname "$0")/.."

kills=${1:-500}
if ! [[ $kills =~ ^[1-9][0-9]*$ ]]; then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
fi
# The test prints one line that begins with the number of kills, and fails if a count is not what it should be.
SPANDREL_TEST_KILLS=$kills cargo test --quiet --release --package spandrel-tests --features crash-proof \
    --test killed_at_any_moment -- --nocapture | grep -o "$kills kills: .*"
