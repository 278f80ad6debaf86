#!/usr/bin/env bash
# Instructions per span on the thread that makes it, counted by callgrind, and the ratio to a layer
# that does nothing; then those per event, and per push of a 64-byte slot; with --writer also those of the
# writer's thread per span, from the ring into the database.
#
#   scripts/instructions.sh [--no-check] [--no-push] [--writer]
#
# Each figure is the difference of two runs divided by the difference of their spans, so that
# starting and ending cancel; of spans nothing but the making of them is counted, so that two runs of one
# program agree. Other threads, such as the writer's, are not counted. Fails if a figure
# is above its limit, or docs/src/rivals.md says something else, unless --no-check is given. The limits are for the time-stamp counter, and not
# checked where the clock is another one. A figure holds for one compiler: compare within a table.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C
cd "$(dirname "$0")/.."

few=12000
many=36000
cases=(no_fields 3_fields nested async async_turns)
limits=(1.30 1.57 1.22 1.48 none)
# nested: 322.3, since a link names a span (64 bits) and not only its slot.
subscriber_limits=(316 519 324 674 none)
# The function that makes the spans.
making=spandrel_benches::cases::Case::run
# A scope, in the order of scope_cases; and one where nothing records.
scope_cases=(scopes scopes_nested scopes_3_fields)
scope_limits=(146 167 216)
unrecorded_scope_limits=(13 13 16)
# The same where times inside are not measured.
untimed_scope_limits=(146 167 216)
# So many instructions more than an Option without a layer may the layer of a profiler that is switched off
# add to a span beside another one, and so many spandrel to an event that is below all levels.
absent_limit=1
# An event with a message and a field; in the order of event_recorders.
event_recorders=(spandrel subscriber)
event_limits=(1022 1016)
unwanted_limit=10
# A further entry of a future, with tracing's part of it, in the order of entry_recorders: what keeps entries apart
# is 19 of each.
further_limits=(228 91)
# An entry of a span that was entered more than a thousand times, compared with a span without fields.
entry_recorders=(spandrel subscriber)
entry_limit=1.5
# A span that nobody enters, likewise: hardly dearer than one that is entered.
never_limit=1.1
# By so many per cent may the figures of docs/src/rivals.md differ from those counted here.
page_limit=5
recorders=(no_subscriber registry noop_layer extensions spandrel ids_only subscriber ruled untimed in_file_layer in_file)
# With its ring in a file a span may take so many times the instructions that it takes without.
in_file_limit=1.10
queues=(leased shared array_queue crossbeam_channel)

check=yes
push=yes
writer=no
for option; do
    case $option in
        --no-check) check=no ;;
        --no-push) push=no ;;
        --writer) writer=yes ;;
        *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
    esac
done

if ! command -v valgrind >/dev/null; then
    echo "instructions.sh: SKIPPED, valgrind is not installed" >&2
    exit 0
fi

counted=(record_spans beside_nothing beside_noop beside_none beside_absent push_slots)
cargo build --quiet --profile bench --package spandrel-benches --features crash-proof "${counted[@]/#/--bin=}"
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Instructions of one thread of a program: of the one that makes the spans, or of the writer.
instructions() { # maker or writer, program and arguments
    local thread=$1
    shift
    rm -f "$folder"/callgrind*
    local only=()
    [[ $thread != maker || $1 == */push_slots ]] || only=(--toggle-collect="$making")
    valgrind --quiet --tool=callgrind --separate-threads=yes \
        --callgrind-out-file="$folder/callgrind" "${only[@]}" "$@" >"$folder/said" 2>"$folder/complained" || {
        cat "$folder/said" "$folder/complained" >&2
        echo "instructions.sh: failed: $*" >&2
        return 1
    }
    local counted=$folder/callgrind-01
    # That is one of the others, and not always the same.
    [[ $thread == maker ]] ||
        counted=$(grep -l 'drain_pass' "$folder"/callgrind-[0-9]* | xargs ls -S | head -1)
    awk '$1 == "totals:" { print $2; found = 1; exit } END { exit !found }' "$counted"
}

# The same for one of many items.
per_item() { # program and arguments, the last of which is how many
    local at_few at_many
    at_few=$(instructions maker "$@" "$few")
    at_many=$(instructions maker "$@" "$many")
    ((at_many > at_few)) || { echo "instructions.sh: nothing was counted of $*" >&2; return 1; }
    awk -v a="$at_few" -v b="$at_many" -v n="$((many - few))" 'BEGIN { printf "%.1f", (b - a) / n }'
}

declare -A figures
for case in "${cases[@]}"; do
    for recorder in "${recorders[@]}"; do
        figures[$case,$recorder]=$(per_item "$target/release/record_spans" "$case" "$recorder")
    done
done
clock=$(sed -n 's/^clock //p' "$folder/said")

# What is above its limit, to be named at the end: what a table prints is rounded.
broken=()
above() { # what, figure, limit, what the limit is a multiple of (1 if it is none)
    broken+=("$(awk -v what="$1" -v own="$2" -v limit="$3" -v of="$4" \
        'BEGIN { printf "%s: %.1f, at most %.1f", what, own, limit * of }')")
}
echo "Instructions per span (and the ratio to noop_layer); spandrel's clock: ${clock:-unknown}"
echo
printf '%-14s' recorder
printf '%14s' "${cases[@]}"
echo
for recorder in "${recorders[@]}"; do
    printf '%-14s' "$recorder"
    for case in "${cases[@]}"; do
        awk -v own="${figures[$case,$recorder]}" -v floor="${figures[$case,noop_layer]}" \
            'BEGIN { printf "%14s", sprintf("%.0f (%.2f)", own, own / floor) }'
    done
    echo
done
printf '%-14s' "limit"
for at in "${!cases[@]}"; do
    printf '%14s' "(${limits[at]})"
    [[ ${limits[at]} != none ]] || continue
    awk -v own="${figures[${cases[at]},spandrel]}" -v floor="${figures[${cases[at]},noop_layer]}" \
        -v limit="${limits[at]}" 'BEGIN { exit own > limit * floor }' ||
        above "spandrel, ${cases[at]}" "${figures[${cases[at]},spandrel]}" "${limits[at]}" "${figures[${cases[at]},noop_layer]}"
done
echo
printf '%-14s' "of subscriber"
for at in "${!cases[@]}"; do
    printf '%14s' "${subscriber_limits[at]}"
    [[ ${subscriber_limits[at]} != none ]] || continue
    # A rule about other spans costs these nothing.
    for recorder in subscriber ruled; do
        awk -v own="${figures[${cases[at]},$recorder]}" -v limit="${subscriber_limits[at]}" \
            'BEGIN { exit own > limit }' ||
            above "$recorder, ${cases[at]}" "${figures[${cases[at]},$recorder]}" "${subscriber_limits[at]}" 1
    done
done
echo

echo
printf '%-46s%8s%8s%8s%8s\n' "With the ring in a file" heap file ratio limit
for pair in spandrel:in_file_layer subscriber:in_file; do
    for case in "${cases[@]}"; do
        awk -v what="${pair%:*}, $case" -v heap="${figures[$case,${pair%:*}]}" \
            -v file="${figures[$case,${pair#*:}]}" -v limit="$in_file_limit" 'BEGIN {
            printf "%-46s%8.0f%8.0f%8.2f%8s\n", what, heap, file, file / heap, limit
            exit file > limit * heap }' ||
            above "${pair#*:}, $case" "${figures[$case,${pair#*:}]}" "$in_file_limit" "${figures[$case,${pair%:*}]}"
    done
done

echo
printf '%-46s%8s%8s\n' "Instructions per event" with limit
for at in "${!event_recorders[@]}"; do
    figure=$(per_item "$target/release/record_spans" events "${event_recorders[at]}")
    awk -v what="${event_recorders[at]}" -v own="$figure" -v limit="${event_limits[at]}" 'BEGIN {
        printf "%-46s%8.1f%8s\n", what, own, limit
        exit own > limit }' || above "an event, ${event_recorders[at]}" "$figure" "${event_limits[at]}" 1
done

echo
printf '%-46s%8s%8s\n' "Instructions per further poll of a future" with limit
for at in "${!entry_recorders[@]}"; do
    recorder=${entry_recorders[at]}
    figure=$(per_item "$target/release/record_spans" async_longer "$recorder")
    awk -v what="$recorder" -v own="$figure" -v fewer="${figures[async,$recorder]}" \
        -v limit="${further_limits[at]}" 'BEGIN {
        printf "%-46s%8.1f%8s\n", what, (own - fewer) / 8, limit
        exit own - fewer > limit * 8 }' ||
        above "8 further polls, $recorder, with the span" "$figure" 1 \
            "$(awk -v fewer="${figures[async,$recorder]}" -v limit="${further_limits[at]}" 'BEGIN { print fewer + 8 * limit }')"
done

echo
printf '%-46s%8s%8s%8s\n' "Instructions per entry of a long-lived span" with of_span limit
for recorder in "${entry_recorders[@]}"; do for entries in long_lived long_lived_aside; do
    figure=$(per_item "$target/release/record_spans" "$entries" "$recorder")
    awk -v what="$recorder, $entries" -v own="$figure" -v span="${figures[no_fields,$recorder]}" \
        -v limit="$entry_limit" 'BEGIN {
        printf "%-46s%8.1f%8s%8s\n", what, own, sprintf("%.2f", own / span), limit
        exit own > limit * span }' ||
        above "an entry, $recorder, $entries" "$figure" "$entry_limit" "${figures[no_fields,$recorder]}"
done; done

echo
printf '%-46s%8s%8s\n' "Instructions per scope" with limit
for at in "${!scope_cases[@]}"; do for recorder in subscriber spandrel no_subscriber untimed; do
    figure=$(per_item "$target/release/record_spans" "${scope_cases[at]}" "$recorder")
    limit=${scope_limits[at]}
    [[ $recorder != no_subscriber ]] || limit=${unrecorded_scope_limits[at]}
    [[ $recorder != untimed ]] || limit=${untimed_scope_limits[at]}
    awk -v what="${scope_cases[at]}, $recorder" -v own="$figure" -v limit="$limit" 'BEGIN {
        printf "%-46s%8.1f%8s\n", what, own, limit
        exit own > limit }' || above "${scope_cases[at]}, $recorder" "$figure" "$limit" 1
done; done

echo
printf '%-46s%8s%8s%8s\n' "Instructions per span that nobody enters" with of_span limit
for recorder in "${entry_recorders[@]}"; do
    figure=$(per_item "$target/release/record_spans" never_entered "$recorder")
    awk -v what="$recorder" -v own="$figure" -v span="${figures[no_fields,$recorder]}" \
        -v limit="$never_limit" 'BEGIN {
        printf "%-46s%8.1f%8s%8s\n", what, own, sprintf("%.2f", own / span), limit
        exit own > limit * span }' ||
        above "a span that nobody enters, $recorder" "$figure" "$never_limit" "${figures[no_fields,$recorder]}"
done

echo
printf '%-46s%8s%8s%8s%8s\n' "What is not wanted" without with added limit
added() { # what, without, with, limit
    awk -v what="$1" -v without="$2" -v with="$3" -v limit="$4" 'BEGIN {
        printf "%-46s%8.1f%8.1f%8.1f%8s\n", what, without, with, with - without, limit
        exit limit != "none" && with - without > limit }' || above "$1" "$3" 1 "$(awk -v a="$2" -v b="$4" 'BEGIN { print a + b }')"
}
# A layer below one with its state in Extensions. Programs of their own: where a layer's code is used twice in
# a program, the compiler does not put it into that of the layer above.
beside_nothing=$(per_item "$target/release/beside_nothing")
beside_none=$(per_item "$target/release/beside_none")
beside_absent=$(per_item "$target/release/beside_absent")
added "a span, for a layer that does nothing" "$beside_nothing" \
    "$(per_item "$target/release/beside_noop")" none
added "a span, for an Option without a layer" "$beside_nothing" "$beside_none" none
added "a span, for a layer that is switched off" "$beside_nothing" "$beside_absent" none
added "the latter compared with that Option" "$beside_none" "$beside_absent" "$absent_limit"
added "an event below all levels" \
    "$(per_item "$target/release/record_spans" unwanted no_subscriber)" \
    "$(per_item "$target/release/record_spans" unwanted spandrel)" "$unwanted_limit"

# The page that compares us with others is to say what is so; its own loop differs by some instructions.
echo
printf '%-46s%8s%8s%8s\n' "docs/src/rivals.md, instructions per span" there here off_by
page_is_stale=no
column=2
for case in no_fields 3_fields nested; do
    column=$((column + 1))
    for recorder in spandrel subscriber; do
        row="spandrel ${recorder/spandrel/layer}"
        there=$(awk -F '|' -v row="$row" -v column="$column" '
            /instructions a span/ { here = 1 }
            { name = $2; gsub(/^ +| +$/, "", name) }
            here && name == row { gsub(/,/, "", $column); print $column + 0; exit }' docs/src/rivals.md)
        awk -v what="$row, $case" -v there="${there:-0}" -v here="${figures[$case,$recorder]}" \
            -v limit="$page_limit" 'BEGIN {
            off = there > 0 ? (here - there) / there * 100 : 100
            printf "%-46s%8d%8.0f%8s\n", what, there, here, sprintf("%+.1f%%", off)
            exit off > limit || off < -limit }' || page_is_stale=yes
    done
done

if [[ $push == yes ]]; then
    echo
    echo "Instructions per slot of 64 bytes, one producer (making the value and the loop included)"
    echo
    printf '%-20s%12s%12s\n' queue push drain
    for queue in "${queues[@]}"; do
        pushed=$(per_item "$target/release/push_slots" "$queue" push)
        both=$(per_item "$target/release/push_slots" "$queue" push_drain)
        awk -v queue="$queue" -v push="$pushed" -v both="$both" \
            'BEGIN { printf "%-20s%12.0f%12.0f\n", queue, push, both - push }'
    done
fi

if [[ $writer == yes ]]; then
    few=40000
    many=160000
    echo
    echo "Instructions of the writer per span, on its own thread"
    echo
    for case in "${cases[@]}"; do
        at_few=$(instructions writer "$target/release/record_spans" "$case" spandrel "$few" 1048576)
        at_many=$(instructions writer "$target/release/record_spans" "$case" spandrel "$many" 1048576)
        awk -v case_name="$case" -v a="$at_few" -v b="$at_many" -v n="$((many - few))" \
            'BEGIN { printf "%-15s%12.0f\n", case_name, (b - a) / n }'
    done
fi

if [[ $check == yes && $clock != tsc ]]; then
    echo "instructions.sh: the limits are SKIPPED, the clock is not the time-stamp counter" >&2
elif [[ $check == yes && ${#broken[@]} -gt 0 ]]; then
    printf 'instructions.sh: above its limit: %s\n' "${broken[@]}" >&2
    exit 1
elif [[ $check == yes && $page_is_stale == yes ]]; then
    echo "instructions.sh: docs/src/rivals.md is stale; print it again: scripts/rivals.sh --write" >&2
    exit 1
fi
