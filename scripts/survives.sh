#!/usr/bin/env bash
# What is left of a program that is killed with signal 9 while four of its threads make spans: of LTTng-UST, whose daemons
# are killed with it, and of spandrel's subscriber with its ring in a file; and what a span takes of either.
#
#   scripts/survives.sh [kills]       default: 20 of each
#
# LTTng has its buffers in files (`lttng create --shm-path`), 32 MiB for each processor, waits rather than discards
# (`--blocking-timeout=inf`), and is read by `lttng-crash` and babeltrace2, together with what its daemon had written; once with
# 100,000 spans a second, once at full speed, as spandrel is. A span is kept if both of its tracepoints are there. (At full
# speed it may discard all the same: where a thread that was interrupted within an event holds a whole buffer up.) Of both, the witness is shared memory that no kill reaches. Instructions are those of callgrind: spans without fields
# on one thread.
#
# Exit code 1 if spandrel has not kept all that its witness saw, or takes more than 0.25 of LTTng's instructions. Without LTTng
# (Debian's lttng-tools, liblttng-ust-dev, babeltrace2), a C compiler or valgrind it says SKIPPED.
set -uo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.." || exit 1

kills=${1:-20}
[[ $# -le 1 && $kills =~ ^[1-9][0-9]*$ ]] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
instructions_limit=0.25
for needed in lttng lttng-crash lttng-sessiond babeltrace2 cc pkg-config valgrind; do
    command -v "$needed" >/dev/null || { echo "survives.sh: SKIPPED, there is no $needed" >&2; exit 0; }
done
# Root has one daemon for all.
if lttng list >/dev/null 2>&1; then
    echo "survives.sh: SKIPPED, there is a daemon of LTTng that is not ours to kill" >&2
    exit 0
fi
pkg-config --exists lttng-ust || { echo "survives.sh: SKIPPED, there is no liblttng-ust-dev" >&2; exit 0; }

fail() {
    echo "survives.sh: $*" >&2
    exit 1
}

# Buffers belong into memory.
folder=$(mktemp -d /dev/shm/spandrel-survives-XXXXXX) || exit 1
export LTTNG_HOME=$folder/home LTTNG_UST_ALLOW_BLOCKING=1 LTTNG_UST_REGISTER_TIMEOUT=-1
mkdir -p "$LTTNG_HOME"
started=()
# Those of ours that are still there.
end_all() {
    local pid
    for pid in "${started[@]}"; do
        kill -9 -- "$pid" 2>/dev/null
        wait "${pid#-}" 2>/dev/null
    done
    started=()
}
trap 'end_all; rm -rf "$folder"' EXIT

cc -O2 -Ibenches/rivals/lttng benches/rivals/lttng/survives.c benches/rivals/lttng/spans.c \
    -llttng-ust -ldl -lpthread -o "$folder/survives" || fail "the program for LTTng does not compile"

# The daemon of a session, and those that it starts itself: they are in a process group of their own.
start_daemons() {
    set -m
    lttng-sessiond --no-kernel --pidfile "$folder/pid" >"$folder/daemon" 2>&1 &
    daemon=$!
    set +m
    started+=("-$daemon")
    until lttng list >/dev/null 2>&1; do
        kill -0 "$daemon" 2>/dev/null || { cat "$folder/daemon" >&2; fail "no daemon of LTTng"; }
        sleep 0.05
    done
}

start_session() { # name
    local options=(--userspace --session "$1" --channel spans)
    {
        lttng create "$1" --output "$folder/trace" --shm-path "$folder/buffers" &&
            lttng enable-channel --userspace --session "$1" --buffers-uid --discard --blocking-timeout inf \
                --subbuf-size 4M --num-subbuf 8 spans &&
            { [[ $1 == instructions ]] || lttng add-context "${options[@]}" --type vtid; } &&
            lttng enable-event "${options[@]}" 'rivals:*' &&
            lttng start "$1"
    } >"$folder/lttng" 2>&1 || { cat "$folder/lttng" >&2; fail "LTTng does not record"; }
}

made_so_far() { od -An -v -t u8 -w32 "$1" 2>/dev/null | awk '{ print $1 + $2 + $3 + $4 }'; }

# One program, killed when so many are made: adds how many its witness saw, and how many of these were kept.
kill_lttng() { # spans of a thread in a millisecond, killed at how many
    local seen found
    rm -rf "$folder/trace" "$folder/buffers" "$folder/found" "$folder/witness"
    start_daemons
    start_session spans
    "$folder/survives" record "$folder/witness" "$1" &
    local program=$! deadline=$((SECONDS + 60))
    started+=("$program")
    until (($(made_so_far "$folder/witness") + 0 >= $2)); do
        ((SECONDS < deadline)) && kill -0 "$program" || fail "the program for LTTng makes no spans"
    done
    # All of them at once, so that no daemon can take anything out of a buffer any more.
    kill -9 "$program" "-$daemon"
    wait "$program" "$daemon" 2>/dev/null
    started=()
    lttng-crash --extract="$folder/found" "$folder/buffers" >"$folder/crash" 2>&1 ||
        { cat "$folder/crash" >&2; fail "lttng-crash has failed"; }
    # What was left in the buffers, and what its daemon had written, if it had: some of it is in both. What the events mean
    # the daemon writes last, so it is the buffers' that says it.
    local traces=("$folder/found") metadata
    metadata=$(find "$folder/found" -name metadata)
    if [[ -n $(find "$folder/trace" -name 'spans_*' -size +0 -print -quit 2>/dev/null) ]]; then
        find "$folder/trace" -name metadata -empty -exec cp "$metadata" {} \;
        traces+=("$folder/trace")
    fi
    babeltrace2 "${traces[@]}" 2>"$folder/complained" |
        awk -v seen="$(od -An -v -t u8 -w32 "$folder/witness")" '
            BEGIN { split(seen, published, " ") }
            match($0, /vtid = [0-9]+/) {
                thread = substr($0, RSTART + 7, RLENGTH - 7)
                if ($0 ~ / rivals:enter_with_fields: /) {
                    match($0, / id = [0-9]+/)
                    open[thread] = substr($0, RSTART + 6, RLENGTH - 6)
                } else if ($0 ~ / rivals:leave: / && thread in open) {
                    kept[open[thread]] = 1
                    delete open[thread]
                }
            }
            END {
                for (id in kept) {
                    of = int(id / 2 ^ 40)
                    if (id - of * 2 ^ 40 < published[of + 1]) sum++
                }
                printf "%d %d\n", published[1] + published[2] + published[3] + published[4], sum
            }' >"$folder/counted"
    ((PIPESTATUS[0] == 0)) || { cat "$folder/complained" >&2; fail "babeltrace2 has failed"; }
    read -r seen found <"$folder/counted"
    [[ ${seen:-0} -gt 0 ]] || fail "nothing was counted of LTTng"
    ((witnessed += seen, kept += found))
}

per_cent() { awk -v kept="$1" -v of="$2" 'BEGIN { printf "%.4f", 100 * kept / of }'; }
lttng_kept=()
for pace in 25 0; do
    witnessed=0 kept=0
    for ((kill = 1; kill <= kills; kill++)); do
        # Where in the buffers it ends is chance: 20,000 to 220,000.
        kill_lttng $pace $((20000 + (RANDOM * 32768 + RANDOM) % 200000))
    done
    lttng_kept+=("$(per_cent "$kept" "$witnessed")")
    lttng_lines+=("$kills kills, $witnessed spans witnessed, $kept kept")
done

# Spans and events of the subscriber; it exits with another code, too, if something is missing.
SPANDREL_TEST_FRONT=subscriber scripts/crash_proof.sh "$kills" --mode crash_proof >"$folder/ours" || broken=yes
ours=$(grep '^crash_proof:' "$folder/ours") || fail "nothing was counted of spandrel"
witnessed=$(sed 's/.*; \([0-9]*\) spans and events witnessed.*/\1/' <<<"$ours")
missing=$(sed 's/.*; missing \([0-9]*\),.*/\1/' <<<"$ours")
[[ $witnessed =~ ^[1-9][0-9]*$ && $missing =~ ^[0-9]+$ ]] || fail "this says nothing: $ours"
ours_kept=$(per_cent $((witnessed - missing)) "$witnessed")

# Instructions of what `making` does, of the thread that makes spans.
instructions() { # function, program and arguments
    local making=$1
    shift
    rm -f "$folder"/callgrind*
    valgrind --quiet --tool=callgrind --separate-threads=yes --callgrind-out-file="$folder/callgrind" \
        --toggle-collect="$making" "$@" >"$folder/said" 2>"$folder/complained" ||
        { cat "$folder/complained" >&2; fail "callgrind has failed: $*"; }
    awk '$1 == "totals:" { print $2; found = 1; exit } END { exit !found }' "$folder/callgrind-01"
}

few=12000
many=36000
per_span() { # function, program and arguments before the number
    local at_few at_many
    at_few=$(instructions "$@" $few) && at_many=$(instructions "$@" $many) || return 1
    ((at_many > at_few)) || fail "no instructions were counted of $2"
    awk -v a="$at_few" -v b="$at_many" -v n=$((many - few)) 'BEGIN { printf "%.0f", (b - a) / n }'
}

rm -rf "$folder/trace" "$folder/buffers"
start_daemons
# All of them fit, so that nobody waits for the daemon; and without the context that tells the threads apart, 288 more.
start_session instructions
lttng_instructions=$(per_span make_spans "$folder/survives" count) || exit 1
lttng destroy instructions >/dev/null 2>&1
events=$(babeltrace2 "$folder/trace" 2>/dev/null | grep -c ' rivals:leave: ')
((events >= few + many)) || fail "LTTng did not record while its instructions were counted: $events spans"
end_all

cargo build --quiet --release --locked --package spandrel-benches --bin record_spans --features crash-proof || exit 1
target=$(cargo metadata --locked --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
ours_instructions=$(per_span spandrel_benches::cases::Case::run "$target/release/record_spans" no_fields in_file) || exit 1

printf '%-44s%14s%24s\n' '' 'kept, %' 'instructions a span'
printf '%-44s%14s%24s\n' "LTTng-UST $(pkg-config --modversion lttng-ust), 100,000 spans/s" "${lttng_kept[0]}" "$lttng_instructions"
printf '%-44s%14s%24s\n' 'the same at full speed' "${lttng_kept[1]}" "$lttng_instructions"
printf '%-44s%14s%24s\n' "spandrel's subscriber, full speed" "$ours_kept" "$ours_instructions"
awk -v a="$ours_instructions" -v b="$lttng_instructions" -v limit="$instructions_limit" \
    'BEGIN { printf "%-44s%14s%24s\n", "ratio (limit " limit ")", "", sprintf("%.3f", a / b); exit a > limit * b }' || broken=yes
printf 'LTTng: %s\n' "${lttng_lines[@]}"
echo "spandrel: $ours"
((missing == 0)) || broken=yes
[[ ${broken-no} == no ]] || fail "not all was kept, or a span takes too much"
