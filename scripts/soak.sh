#!/usr/bin/env bash
# The long versions of the tests: more random programs, more closes under fire, more kills, and the
# stress of the ring, each in a loop until the time is over.
#
#   scripts/soak.sh [minutes]       default 10
#
# Stops at the first failure, and shows it. The seed of a failing random program is printed with the
# program itself.
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=${1:-10}
if ! [[ $minutes =~ ^[1-9][0-9]*$ ]]; then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
fi
end=$((SECONDS + 60 * minutes))
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export SPANDREL_TEST_PATIENCE=5

run() { # package, program of tests and which of them, what to set
    local package=$1 test=$2
    shift 2
    [ "$SECONDS" -lt "$end" ] || return 0
    local began=$SECONDS
    # shellcheck disable=SC2086 # the program and its arguments are words
    if ! env "$@" cargo test --quiet --release --package "$package" --test $test >"$log" 2>&1; then
        cat "$log"
        echo "soak.sh: FAILED in round $round: $test ($*)" >&2
        exit 1
    fi
    echo "round $round: $test, $((SECONDS - began)) s"
}

round=0
while [ "$SECONDS" -lt "$end" ]; do
    round=$((round + 1))
    run spandrel-tests "group_threads random_programs_in_turns::" PROPTEST_CASES=2000
    run spandrel-tests "group_threads random_programs_at_once::" PROPTEST_CASES=500
    run spandrel-tests "group_threads close_while_recording::" SPANDREL_TEST_ROUNDS=300
    run spandrel-tests close_by_many_threads SPANDREL_TEST_ROUNDS=200
    run spandrel-tests flush_then_kill SPANDREL_TEST_KILLS=300
    run spandrel-tests "group_times self_time::" SPANDREL_TEST_ROUNDS=20
    run spandrel-tests "group_threads ring_full::" SPANDREL_TEST_ROUNDS=20
    run spandrel-tests fork_without_exec SPANDREL_TEST_ROUNDS=10
    run spandrel-ring stress
done
echo "$round rounds in $((SECONDS / 60)) minutes: no failure"
