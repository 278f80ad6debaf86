#!/usr/bin/env bash
# A burst at default settings: spans made as fast as they can be, after a rest, by one, two and four threads.
#
#   scripts/burst.sh [--in-file [--slots N]] [RUNS [CASE ...]]     cases of benches/src/cases.rs [default: 5 no_fields]
#
# --in-file also runs those whose ring lies in a file: a burst has to fit into it, and its memory is there from the
# beginning, so no limits are for them. With --slots only those run, with a ring of N slots.
#
# Of so many runs: how many spans were lost, each; nanoseconds a span, the median; by how much the process had
# grown at most, and when all was stored, the largest; and how long the writer was ready to run meanwhile and had
# no processor, each, in milliseconds. Where that is more than one or two, others had the machine, or there are
# more threads than processors, and what is lost says little of spandrel.
#
# Fails if a burst of 500,000 spans takes more than 80 MiB, or more than 24 MiB when it is stored.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."

recorders=(subscriber layer)
features=()
if [[ ${1-} == --in-file ]]; then
    recorders+=(in_file in_file_layer)
    features=(--features crash-proof)
    shift
fi
slots=()
if [[ ${1-} == --slots ]]; then
    recorders=(in_file in_file_layer)
    features=(--features crash-proof)
    slots=("${2:?--slots takes a number}")
    shift 2
fi
runs=${1:-5}
cases=("${@:2}")
[[ ${#cases[@]} -gt 0 ]] || cases=(no_fields)
peak_max=80
after_max=24

cargo build --quiet --release --package spandrel-benches --bin burst "${features[@]}"
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')

printf '%-10s %-10s %7s %8s %6s %5s %6s  %-28s %s\n' \
    case recorder threads spans ns MiB after 'lost, each run' 'writer waited, ms'
failed=0
for case in "${cases[@]}"; do
    for recorder in "${recorders[@]}"; do
        for threads in 1 2 4; do
            for spans in 500000 900000; do
                for _ in $(seq "$runs"); do
                    "$target/release/burst" "$case" "$recorder" "$spans" "$threads" "${slots[@]}"
                done | awk -v case="$case" -v recorder="$recorder" -v threads="$threads" \
                    -v spans="$spans" -v peak_max="$peak_max" -v after_max="$after_max" '
                    $1 == "ns_per_span" { ns[++n] = $2 }
                    $1 == "lost" { lost = lost " " $2 }
                    $1 == "writer_waited_us" { waited = waited sprintf(" %.1f", $2 / 1000) }
                    $1 == "peak_kib" && $2 / 1024 > peak { peak = $2 / 1024 }
                    $1 == "after_kib" && $2 / 1024 > after { after = $2 / 1024 }
                    END {
                        # The few that there are, in order.
                        for (i = 2; i <= n; i++)
                            for (j = i; j > 1 && ns[j] < ns[j - 1]; j--) {
                                t = ns[j]; ns[j] = ns[j - 1]; ns[j - 1] = t
                            }
                        printf "%-10s %-10s %7d %8d %6.1f %5.1f %6.1f  %-28s %s\n", case, recorder,
                            threads, spans, ns[int((n + 1) / 2)], peak, after, substr(lost, 2),
                            substr(waited, 2)
                        exit recorder !~ /^in_file/ && spans == 500000 && (peak > peak_max || after > after_max)
                    }' || failed=1
            done
        done
    done
done
if [[ $failed -ne 0 ]]; then
    echo "burst.sh: a burst of 500,000 spans takes more than $peak_max MiB, or leaves more than $after_max" >&2
    exit 1
fi
