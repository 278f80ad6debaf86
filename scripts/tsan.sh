#!/usr/bin/env bash
# ThreadSanitizer: the ring under stress, then whole recordings that many threads write, flush and
# close. The standard library is built with it too; SQLite is not, its locks are seen all the same.
#
#   scripts/tsan.sh
#
# Needs a nightly toolchain with the component rust-src, on Linux; SKIPPED without.
set -euo pipefail
cd "$(dirname "$0")/.."

host=$(rustc -vV | sed -n 's/^host: //p')
library=$(rustc +nightly --print sysroot 2>/dev/null || true)/lib/rustlib/src/rust/library/Cargo.lock
if [[ $host != x86_64-unknown-linux-gnu || ! -f $library ]]; then
    echo "tsan.sh: SKIPPED, it takes x86-64 Linux and a nightly toolchain with rust-src" \
        "(rustup toolchain install nightly --component rust-src)"
    exit 0
fi
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/tsan
export RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer"
export RUSTDOCFLAGS=$RUSTFLAGS
export CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
export CARGO_PROFILE_RELEASE_LTO=off # the standard library is not built for it
# Everything is some ten times slower; limits in time are stretched to match.
export SPANDREL_TEST_PATIENCE=10
# A race is found however little of the rest is optimised.
little=()
for package in '"*"' libsqlite3-sys spandrel-storage spandrel-query spandrel-export spandrel-tests; do
    little+=(--config "profile.release.package.$package.opt-level=1")
done
tested() {
    cargo +nightly test --locked --release -Zbuild-std --target "$host" \
        "${little[@]}" "$@"
}
tested --package spandrel-ring --features mapped --test stress
tested --package spandrel-ring --features broadcast --test broadcast --test broadcast_edges --test broadcast_held \
    --test broadcast_stress -- --skip what_cannot_be_had --skip more_places_than_memory # the sanitizer ends at it
tested --package spandrel-ring --features buffer --lib -- buffer
# Not those that are killed: what another process gives back is handed over by the system, and it sees a race. Nor those
# that fault on purpose: an atomic operation faults inside of the sanitizer's own code, which has locks then.
echo "tsan.sh: SKIPPED, tests of ring files that are killed or cut, and of SIGBUS"
tested --package spandrel-ring --features mapped --test file -- \
    --skip killed --skip cut:: --skip signals::
tested --package spandrel-tests --test group_threads --test async_tasks -- close_while_recording:: flush:: \
    more_threads_than_partitions:: own_subscriber_many_threads:: own_subscriber_filter:: \
    tasks_that_move_between_workers
