#!/usr/bin/env bash
# The loom models: every interleaving of a few threads, and every value that the memory model lets
# them read, up to a bound on preemptions.
#
#   scripts/loom.sh [preemptions]       default 2; 3 takes much longer
set -euo pipefail
cd "$(dirname "$0")/.."

preemptions=${1:-2}
if ! [[ $preemptions =~ ^[1-9]$ ]]; then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
fi
# Its own folder: other flags, so that nothing of the ordinary build could be used. Without what
# takes longer to build than it saves; SQLite is linked, but not called.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/loom
export CARGO_PROFILE_RELEASE_LTO=off
export CARGO_PROFILE_RELEASE_DEBUG=false CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
export RUSTFLAGS="--cfg spandrel_loom"
export LOOM_MAX_PREEMPTIONS=$preemptions
# What runs in the models is optimised; the rest is compiled in a third of the time.
little=(--config 'profile.release.package.libsqlite3-sys.opt-level=0')
for package in '"*"' spandrel-storage spandrel-query; do
    little+=(--config "profile.release.package.$package.opt-level=1")
done
for package in loom generator scoped-tls; do
    little+=(--config "profile.release.package.$package.opt-level=3")
done
cargo test --locked --release "${little[@]}" \
    --package spandrel-ring --package spandrel --features spandrel-ring/mapped,spandrel-ring/broadcast,spandrel-ring/buffer \
    --lib loom_models
