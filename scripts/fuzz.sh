#!/usr/bin/env bash
# Feeds what reads bytes from elsewhere with bytes of all kinds, each target for so long.
#
#   scripts/fuzz.sh [seconds] [target...]      (60 seconds; all targets)
#
# Each target is a function that asserts what must hold of any input; see fuzz/README.md. The seeds in
# fuzz/seeds/ are where it begins; what it finds stays in fuzz/corpus/, which is not committed, and an input
# that fails in fuzz/artifacts/. FUZZ_JOBS (default: 1) targets run at a time.
#
# Installs cargo-fuzz if it is missing. Needs a nightly compiler.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

seconds=${1:-60}
shift || true

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "SKIPPED: fuzzing, there is no nightly compiler (rustup toolchain install nightly)"
    exit 0
fi
if ! command -v cargo-fuzz >/dev/null 2>&1 &&
    ! timeout 900 cargo install --quiet --locked cargo-fuzz; then
    echo "SKIPPED: fuzzing, cargo-fuzz could not be installed (cargo install cargo-fuzz)"
    exit 0
fi

# The functions are in the libraries for these builds only.
export RUSTFLAGS="${RUSTFLAGS:-} --cfg spandrel_fuzz"
if (($# > 0)); then
    targets=("$@")
else
    mapfile -t targets < <(cargo +nightly fuzz list)
fi
# Each builds all of them otherwise.
if ! cargo +nightly fuzz build; then
    echo "the targets do not build"
    exit 1
fi

run() { # target
    local target=$1 most log status began=$SECONDS more=()
    case $target in
        histogram | time | field_words) most=1024 ;;
        *) most=4096 ;;
    esac
    # Of an export's thread that is ending, the C library's own memory would be taken for a leak.
    [[ $target != profile ]] || more=(-detect_leaks=0)
    mkdir -p "fuzz/corpus/$target"
    log=$(mktemp)
    TIMEFORMAT='%U %S'
    { time nice -n 19 cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -max_len="$most" -rss_limit_mb=2048 -timeout=60 \
        "${more[@]}" -print_final_stats=1 >"$log" 2>&1; } 2>"$log.time"
    status=$?
    local cpu inputs
    cpu=$(awk 'END { printf "%.0f", $1 + $2 }' "$log.time")
    inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    if ((status == 0)); then
        echo "$target: ok, ${inputs:-?} inputs in $((SECONDS - began)) s, $cpu s of processor time"
    else
        echo "$target: FAILED after $((SECONDS - began)) s"
        tail -n 60 "$log"
    fi
    rm -f "$log" "$log.time"
    return $status
}

failed=0
for target in "${targets[@]}"; do
    while (($(jobs -rp | wc -l) >= ${FUZZ_JOBS:-1})); do wait -n || failed=1; done
    run "$target" &
done
while [[ -n $(jobs -rp) ]]; do wait -n || failed=1; done
exit $failed
