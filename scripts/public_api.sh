#!/usr/bin/env bash
# What other crates can call, beside what they could: the public items of each library, as cargo-public-api finds
# them, and the lists in docs/api/. A change must be meant, so it comes with the list.
#
#   scripts/public_api.sh [--write] [crate...]
#
# --write renews the lists. An item whose path is private is refused even so: nobody can name it. Needs
# cargo-public-api and a nightly toolchain, whose rustdoc writes JSON; SKIPPED without.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.52.0 # this one reads the JSON of the nightly toolchains of May 2026
write=no
[[ ${1-} == --write ]] && { write=yes; shift; }
(($# > 0)) || set -- spandrel-ring spandrel-storage spandrel-query spandrel-export spandrel spandrel-load

skip() {
    echo "public_api.sh: SKIPPED, $*" >&2
    exit 0
}
cargo +nightly --version >/dev/null 2>&1 ||
    skip "there is no nightly toolchain (rustup toolchain install nightly --profile minimal)"
command -v cargo-public-api >/dev/null ||
    skip "cargo-public-api is not installed (cargo install cargo-public-api --locked --version $version)"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# Of its own: documentation as JSON is nothing that another build would use.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/public-api
# Nothing is linked with SQLite, so it is not compiled: the build believes in any folder that is said to have it.
export LIBSQLITE3_SYS_USE_PKG_CONFIG=1 SQLITE3_LIB_DIR=$CARGO_TARGET_DIR

# What is behind a feature and yet for everybody.
features() {
    case $1 in
        spandrel-ring) echo mapped,broadcast,buffer ;;
        spandrel) echo collected ;; # which has crash-proof
    esac
}

# Without blanket, auto and derived implementations: those follow from the types.
items() { cargo public-api --package "$1" --features "$(features "$1")" -sss; }

# Types of the crate that stand in a signature and have no public path.
nameless() { # crate's list
    local crate
    crate=$(sed -n 's/^pub mod \([a-z_]*\)$/\1/p;T;q' "$1")
    sed -n 's/^pub mod //p' "$1" >"$folder/modules"
    grep -oE "\b$crate(::[a-z_0-9]+)+::[A-Z]\w*" "$1" | sed 's/::[A-Z]\w*$//' | sort -u |
        grep -vxFf "$folder/modules"
}

status=0
for crate; do
    list=docs/api/$crate.txt
    if ! items "$crate" >"$folder/now" 2>"$folder/said"; then
        # A toolchain whose JSON it does not know yet is not this repository's fault.
        grep -qiE 'format[_ ]version|unsupported.*rustdoc' "$folder/said" &&
            skip "cargo-public-api $version does not read the JSON of $(rustc +nightly --version)"
        cat "$folder/said" >&2
        exit 1
    fi
    if found=$(nameless "$folder/now"); then
        echo "$crate: types of these modules are in public signatures, and nobody can name them:"
        echo "$found"
        status=1
    fi
    if [[ $write == yes ]]; then
        cp "$folder/now" "$list"
        rustc +nightly --version >docs/api/toolchain.txt
    elif ! diff --unified=0 --label "$list" --label "$crate now" "$list" "$folder/now"; then
        status=1
        continue
    fi
    echo "$crate: $(wc -l <"$list") lines of public items"
done
if ((status != 0)); then
    echo "public_api.sh: if that is meant, renew the lists: scripts/public_api.sh --write (they were made with" \
        "$(<docs/api/toolchain.txt), this is $(rustc +nightly --version))" >&2
fi
exit "$status"
