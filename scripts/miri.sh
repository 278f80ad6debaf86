#!/usr/bin/env bash
# Miri: the ring, which has all the unsafe code, and those parts of the profiler that call nothing
# outside Rust. (SQLite is C, which Miri cannot run.)
#
#   scripts/miri.sh [--all]
#
# --all adds what takes minutes: buffers, and rings between processes. Needs a nightly toolchain with the components miri and rust-src; SKIPPED without.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo +nightly miri --version >/dev/null 2>&1; then
    echo "miri.sh: SKIPPED, there is no nightly toolchain with miri" \
        "(rustup toolchain install nightly --component miri,rust-src)"
    exit 0
fi
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/miri
# Nothing is linked with SQLite, so it is not compiled: the build believes in any folder that is said to have it.
export LIBSQLITE3_SYS_USE_PKG_CONFIG=1 SQLITE3_LIB_DIR=$CARGO_TARGET_DIR
# Several seeds would find more; the threads of the stress test already meet in many ways.
cargo +nightly miri test --locked --package spandrel-ring
cargo +nightly miri test --locked --package spandrel-ring --features broadcast \
    --test broadcast --test broadcast_edges --test broadcast_held --test broadcast_memory --test broadcast_stress
# Of the ring in a file, what takes no minutes.
cargo +nightly miri test --locked --package spandrel-ring --features mapped --lib -- file::tests::live
# The tables and records of the hot path; without tests of random values, which take Miri minutes.
cargo +nightly miri test --locked --package spandrel --lib -- \
    open_spans record:: stats recorder::losses --skip any_
if [[ ${1-} != --all ]]; then
    echo "miri.sh: SKIPPED, buffers and rings between processes (scripts/miri.sh --all)" >&2
    exit 0
fi
# Values of one test panic when they are dropped: the payload of the second panic is nobody's.
MIRIFLAGS="${MIRIFLAGS-} -Zmiri-ignore-leaks" \
    cargo +nightly miri test --locked --package spandrel-ring --features buffer --lib buffer::
cargo +nightly miri test --locked --package spandrel-ring --features buffer --test buffer_memory
# Of the one between processes, on the heap.
cargo +nightly miri test --locked --package spandrel-ring --features mapped,broadcast --lib -- \
    between::tests::deaths between::tests::joining between::tests::reading::a_slot between::tests::reading::values
