#!/usr/bin/env bash
# What other programs make of the exports: the tests in tests/exports, with those programs of the npm
# registry that they ask, too.
#
#   scripts/exports.sh
#
# Installs speedscope (for the schema of its files), ajv (which checks against it) and the Firefox
# profiler's command line into the target folder. Without node or a registry those tests say SKIPPED.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."

target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
packages=$target/exports-npm
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "exports.sh: SKIPPED, node and npm are not installed" >&2
elif mkdir -p "$packages" && timeout 300 npm install --silent --no-audit --no-fund \
    --prefix "$packages" speedscope@1 ajv@8 @firefox-devtools/profiler-cli@0.10 >/dev/null; then
    export SPANDREL_TEST_NODE_MODULES=$packages/node_modules
else
    echo "exports.sh: SKIPPED, npm cannot install what the tests ask" >&2
fi
cargo test --locked --manifest-path tests/exports/Cargo.toml --target-dir "$target" -- --nocapture
