#!/usr/bin/env bash
# Circles of imports between the files of a crate, found by cargo-cycles. A file imports what its `use` lines
# name, and a folder's mod.rs all files that it declares, so that a file below one that is re-exported from
# there must not import the folder by its name. Test code counts. Then: that the folders of profiler/ import each
# other in one direction.
#
#   scripts/circles.sh [crate folder ...]       default: those that have none
#
# Not cargo-modules: its --acyclic takes the methods of a type for users of the type, and so refuses every type
# with a constructor; and in its graph a type's file imports what any method of it in other files does.
set -euo pipefail
cd "$(dirname "$0")/.."

(($# > 0)) || set -- ring storage query export profiler

if ! command -v cargo-cycles >/dev/null; then
    echo "circles.sh: SKIPPED, cargo-cycles is not installed (cargo install cargo-cycles --locked)" >&2
    exit 0
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# It says so if the crate in a folder has circles, and fails.
circles() { (cd "$1" && RUST_LOG_STYLE=never cargo-cycles --workspace "$PWD"); }

for crate; do
    circles "$crate" >"$folder/said" 2>&1 || {
        cat "$folder/said"
        echo "circles.sh: files of $crate import each other in a circle" >&2
        exit 1
    }
    # The same files and two more, which do: what finds no circle there would find none anywhere.
    cp -r "$crate" "$folder/crate"
    echo "use crate::planted_circle::B;" >"$folder/crate/src/planted.rs"
    echo "use crate::planted::A;" >"$folder/crate/src/planted_circle.rs"
    if circles "$folder/crate" >"$folder/said" 2>&1; then
        echo "circles.sh: cargo-cycles did not find a circle that was planted in $crate" >&2
        exit 1
    fi
    rm -rf "$folder/crate"
    echo "$crate: $(find "$crate/src" -name '*.rs' | wc -l) files, no circle"
done

# A folder of profiler/src and those that it knows nothing of.
knows_nothing_of() { # folder, others
    local found
    found=$(grep -rnE "\\bcrate::(${2// /|})::" "profiler/src/$1" --include='*.rs' | grep -vE ':[0-9]+: *//' || true)
    [[ -z $found ]] && return
    echo "$found"
    echo "circles.sh: profiler/src/$1 imports what is above it" >&2
    exit 1
}
knows_nothing_of recorder "front writer handle"
knows_nothing_of writer "front handle"
knows_nothing_of front "writer handle"
knows_nothing_of redact "recorder front writer handle"
echo "profiler: recorder <- front <- handle, recorder <- writer <- handle"
