#!/usr/bin/env bash
# Kills processes whose ring lies in a file with signal 9, at any moment, and looks whether what they have left is what a
# witness in shared memory saw: each published span in the profile, once; what was open as crashed; each ledger without a
# loss; no file unsound, no ring file left, nobody hangs. Three modes:
#
#   crash_proof  programs of four threads at full speed; one in five is killed while it builds its profiler, or closes;
#                what is left is recovered by the next one, or by whoever asks for it
#   collected    the same programs, two at a time, while a process collects from them
#   collector    the same, and the process that collects is killed, and started again: [kills] counts those
#
#   scripts/crash_proof.sh [kills] [--mode MODE]      default: 500, 500 and 100; each mode
#
# Prints a line for each mode, with every count. Exit code 1 if one is not 0 that should be.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

usage() {
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
}

kills=
modes=()
while (($#)); do
    case $1 in
        --mode)
            [[ ${2-} =~ ^(crash_proof|collected|collector)$ ]] || usage
            modes+=("$2")
            shift
            ;;
        *)
            [[ -z $kills && $1 =~ ^[1-9][0-9]*$ ]] || usage
            kills=$1
            ;;
    esac
    shift
done
((${#modes[@]})) || modes=(crash_proof collected collector)

declare -A tests=(
    [crash_proof]=killed_at_any_moment::what_was_published_before_a_kill_is_recovered_once
    [collected]=killed_while_collected::what_was_published_before_a_kill_is_collected_once
    [collector]=killed_while_collected::what_was_published_is_collected_once_whichever_collectors_are_killed
)
declare -A usual=([crash_proof]=500 [collected]=500 [collector]=100)

folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
broken=no
for mode in "${modes[@]}"; do
    # It fails if a count is not what it should be, or there was nothing to count.
    SPANDREL_TEST_KILLS=${kills:-${usual[$mode]}} cargo test --quiet --release --locked \
        --package spandrel-tests --test group_rings -- --exact "${tests[$mode]}" --nocapture \
        >"$folder/said" 2>"$folder/complained"
    status=$?
    if ! grep "^$mode: .* killed" "$folder/said" || ((status)); then
        broken=yes
        tail -n 100 "$folder/complained" >&2
        tail -n 20 "$folder/said" >&2
        echo "crash_proof.sh: mode $mode has failed" >&2
    fi
done
[[ $broken == no ]]
