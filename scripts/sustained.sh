#!/usr/bin/env bash
# How many spans a second are recorded and committed for as long as one likes, one writer, the spans
# made by one thread that spins: nothing dropped, and every stored span verified.
#
#   scripts/sustained.sh [--rate SPANS] [--seconds S] [--trial S] [--ring SLOTS] [--skip-highest]
#
# First the given rate for the given time (default: 1000000 for 60 s), spans without fields and without
# events. Then the highest rate with nothing dropped, found by halving between rates that hold and
# that do not, a trial of S seconds each (default: 10), to within 3 %: without fields, and with three.
# Default of --ring: 1048576. A line that says `generator` is one where the thread that makes the spans
# did not come up to 99 % of the rate, so that nothing is known of the writer.
#
# Wants two processors with nothing else to do. Exit code 1 if the first rate does not hold.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C
cd "$(dirname "$0")/.."

rate=1000000
seconds=60
trial=10
ring=1048576
highest=yes
usage() {
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
}
while [[ $# -gt 0 ]]; do
    case $1 in
        --rate | --seconds | --trial | --ring)
            [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || usage
            printf -v "${1#--}" '%s' "$2"
            shift 2
            ;;
        --skip-highest) highest=no; shift ;;
        *) usage ;;
    esac
done

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cargo build --quiet --locked --release --package spandrel-examples --example load_test
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')

value() { # name, of the result line
    sed -n "s/^RESULT .*\<$1=\([^ ]*\).*/\1/p" "$folder/said"
}

printf '%-14s%10s%8s%12s%14s%14s%12s%10s%8s%10s\n' load rate/s s made/s recorded stored dropped \
    'CPU ns' 'ring %' verdict
# Runs a load, prints a line, and leaves a word in `verdict`.
run() { # title, rate, seconds, options of the load
    local title=$1 wanted=$2 seconds=$3
    shift 3
    verdict=held
    "$target/release/examples/load_test" --rate "$wanted" --seconds "$seconds" --threads 1 \
        --no-events --ring "$ring" --database "$folder/sustained.db" "$@" \
        >"$folder/said" 2>"$folder/complained" || verdict=WRONG
    local made recorded stored dropped
    made=$(value rate)
    if [[ -z $made ]]; then
        cat "$folder/said" "$folder/complained" >&2
        echo "sustained.sh: the load has failed" >&2
        exit 1
    fi
    recorded=$(value recorded)
    stored=$(value stored)
    dropped=$(value dropped)
    if [[ $verdict == held && $(value verified) != yes ]]; then
        verdict=WRONG
    elif [[ $verdict == held && ($dropped -gt 0 || $recorded -ne $stored) ]]; then
        verdict=dropped
    elif [[ $verdict == held && $((made * 100)) -lt $((wanted * 99)) ]]; then
        verdict=generator
    fi
    printf '%-14s%10d%8d%12d%14d%14d%12d%10d%8d%10s\n' "$title" "$wanted" "$seconds" "$made" \
        "$recorded" "$stored" "$dropped" "$(value writer_ns)" "$(value ring)" "$verdict"
    if [[ $verdict == WRONG ]]; then
        cat "$folder/complained" >&2
        exit 1
    fi
}

run "no fields" "$rate" "$seconds" --fields 0
asked=$verdict

# The highest rate that holds, by halving.
search() { # title, options of the load
    local title=$1 holds=0 fails=8000000 try=500000
    shift
    while ((holds == 0 || (fails - holds) * 100 > holds * 3)); do
        run "$title" "$try" "$trial" "$@"
        if [[ $verdict == held ]]; then holds=$try; else fails=$try; fi
        if ((holds == 0 && try <= 1000)); then break; fi
        if ((holds > 0 && fails == 8000000)); then
            try=$((holds * 2))
            ((try < fails)) || break
        elif ((holds == 0)); then
            try=$((fails / 2))
        else
            try=$(((holds + fails) / 2))
        fi
    done
    found+=("$(printf '%-14s%10d' "$title" "$holds")")
}

if [[ $highest == yes ]]; then
    found=()
    search "no fields" --fields 0
    search "3 fields" --fields 3
    echo
    echo "Highest rates with nothing dropped, spans a second:"
    printf '%s\n' "${found[@]}"
fi

if [[ $asked != held ]]; then
    echo "sustained.sh: $rate spans/s for $seconds s: $asked" >&2
    exit 1
fi
