#!/usr/bin/env bash
# A Bevy app, profiled: calls, p50, p99 and the longest call of its systems, by an independent witness and by
# spandrel, while the app lives and after the close. The tests in tests/bevy, which print that.
#
#   scripts/bevy.sh
#
# Says SKIPPED where the registry does not answer, or where Rust is older than Bevy asks for.
set -euo pipefail
export LC_ALL=C CARGO_INCREMENTAL=${CARGO_INCREMENTAL:-0}
cd "$(dirname "$0")/.."

target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
manifest=tests/bevy/Cargo.toml

if ! timeout 300 cargo fetch --quiet --locked --manifest-path "$manifest"; then
    echo "bevy.sh: SKIPPED, the registry does not give Bevy" >&2
    exit 0
fi
wanted=$(sed -n 's/^rust-version = "\([^"]*\)".*/\1/p' "$manifest")
has=$(rustc --version | cut -d ' ' -f 2)
if [[ $(printf '%s\n' "$wanted" "$has" | sort -V | head -n 1) != "$wanted" ]]; then
    echo "bevy.sh: SKIPPED, Bevy wants Rust $wanted, this is $has" >&2
    exit 0
fi
cargo build --quiet --locked -p spandrel-cli
export SPANDREL_TEST_COMMAND=$target/debug/spandrel
# Linted as they are compiled: `cargo clippy` would check all that they depend on once more.
if clippy-driver --version >/dev/null 2>&1; then
    export RUSTC_WORKSPACE_WRAPPER=clippy-driver CLIPPY_ARGS=-Dwarnings__CLIPPY_HACKERY__
else
    echo "bevy.sh: SKIPPED, clippy is not installed" >&2
fi
cargo test --locked --manifest-path "$manifest" --target-dir "$target" -- --nocapture
