#!/usr/bin/env bash
# Threads without end under spandrel's own subscriber: 8,300 that are in a span at once (`Registry`
# panics above 4,096), and a million that come and go. Fails at a panic, at a span that is not
# stored, and if the memory of the process grows with threads that have ended.
#
#   scripts/churn.sh [LIVE [CHURNED]]
set -euo pipefail
cd "$(dirname "$0")/.."
exec cargo run --quiet --release --package spandrel-benches --bin churn_threads -- \
    "${1:-8300}" "${2:-1000000}"
