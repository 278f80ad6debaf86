#!/usr/bin/env bash
# Other platforms, and the oldest compiler, as far as they can be had on x86-64 Linux. What was found stands in
# docs/src/reference/platforms.md.
#
#   scripts/portability.sh [msrv] [aarch64] [windows] [apple]       default: all four
#
#   msrv      the workspace with its tests, checked by the Rust of `rust-version`
#   aarch64   tests of the ring, the store and the profiler, built for Linux on aarch64 and run by qemu-user
#   windows   the same crates, queries, exports and the command with all tests, built for x86_64-pc-windows-gnu; tests of
#             the ring, and the store's and the profiler's own, run by wine, if it is there
#   apple     the same crates and the load test with all tests, checked for aarch64-apple-darwin. There is no C
#             compiler for it here, so that SQLite is not compiled, and nothing linked
#
# Each installs its target by rustup, and what it needs from Debian where it may; SKIPPED without. Some 20 minutes
# and 5 GB below target/portability, which the end deletes.
set -euo pipefail
cd "$(dirname "$0")/.."

CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/portability
export CARGO_TARGET_DIR CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0
folder=$(mktemp -d)
chmod 755 "$folder" # tests change the user, who has to find the libraries there
registered=no
ended() {
    rm -rf "$folder" "$CARGO_TARGET_DIR"
    [[ $registered == no ]] || echo -1 >"$formats/$format"
}
trap ended EXIT

recording=(-p spandrel-ring -p spandrel-storage -p spandrel)
asking=(-p spandrel-query -p spandrel-export -p spandrel-cli)

skipped() { echo "portability.sh: SKIPPED, $*"; }

has() { command -v "$1" >/dev/null 2>&1; }

debian() { # packages
    has apt-get && [[ $(id -u) == 0 ]] || return 1
    DEBIAN_FRONTEND=noninteractive timeout 600 \
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1
}

target() { # triple
    has rustup && timeout 300 rustup target add "$1" >/dev/null 2>&1
}

msrv() {
    local version
    version=$(sed -n 's/^rust-version = "\([0-9.]*\)".*/\1/p' Cargo.toml)
    if ! cargo "+$version" --version >/dev/null 2>&1 &&
        ! timeout 300 rustup toolchain install "$version" --profile minimal >/dev/null 2>&1; then
        skipped "Rust $version, which Cargo.toml states, cannot be had"
        return
    fi
    cargo "+$version" --version
    cargo "+$version" check --quiet --locked --workspace --all-targets
    echo "msrv: the workspace and its tests are accepted"
}

# So that tests which start themselves again find an emulator; for as long as this runs. The kernel of the host
# need not have it, and not let us.
formats=/proc/sys/fs/binfmt_misc
format=spandrel-aarch64
emulate() {
    # shellcheck disable=SC2028 # the kernel reads the escapes
    local magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
    local mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
    [[ $(id -u) == 0 ]] || return 1
    ! grep -qs 'qemu-aarch64' "$formats"/* || return 0
    [[ -e $formats/register ]] || mount -t binfmt_misc binfmt_misc "$formats" 2>/dev/null || return 1
    echo ":$format:M::$magic:$mask:$(command -v qemu-aarch64):" 2>/dev/null >"$formats/register" || return 1
    registered=yes
}

aarch64() {
    local triple=aarch64-unknown-linux-gnu source
    has aarch64-linux-gnu-gcc && has qemu-aarch64 ||
        debian gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user || true
    has aarch64-linux-gnu-gcc && has qemu-aarch64 && target $triple || {
        skipped "aarch64 needs gcc-aarch64-linux-gnu, qemu-user and the target $triple"
        return
    }
    # What qemu shows as the root is this folder first. The kernel of the host has another clock source; with the one
    # of aarch64 the profiler reads the counter, which qemu has, and takes its fast paths.
    source=$folder/root/sys/devices/system/clocksource/clocksource0
    mkdir -p "$source"
    ln -s /usr/aarch64-linux-gnu/lib "$folder/root/lib"
    echo arch_sys_counter >"$source/current_clocksource"
    export QEMU_LD_PREFIX=$folder/root
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=qemu-aarch64
    export SPANDREL_TEST_PATIENCE=10
    local without=(--skip at_any_rate) # minutes each, in an emulator
    if ! emulate; then
        skipped "tests that start themselves again, as this kernel takes no emulator (binfmt_misc)"
        without+=(--skip modes_are_0600_under_each_umask --skip by_another_process --skip kill_leaves_whole_batches
            --skip no_permission --skip in_a_read_only_folder)
    fi
    cargo test --quiet --locked --no-fail-fast --target $triple "${recording[@]}" --lib --tests -- "${without[@]}"
    # A recording, from the callbacks to the rows; and that the counter stamps it.
    export SPANDREL_TEST_CLOCK=cntvct
    cargo test --quiet --locked --no-fail-fast --target $triple -p spandrel-tests --test async_tasks --test own_subscriber
    cargo test --quiet --locked --no-fail-fast --target $triple -p spandrel-tests --test group_rows \
        --test group_threads --test group_times -- run_row:: flush:: close_while_recording:: entry_records::
    unset SPANDREL_TEST_CLOCK
    echo "aarch64: built, and run by $(qemu-aarch64 --version | head -n 1)"
}

windows() {
    local triple=x86_64-pc-windows-gnu
    has x86_64-w64-mingw32-gcc || debian gcc-mingw-w64-x86-64-posix || true
    has x86_64-w64-mingw32-gcc && target $triple || {
        skipped "windows needs gcc-mingw-w64-x86-64 and the target $triple"
        return
    }
    cargo test --quiet --locked --no-run --target $triple "${recording[@]}" "${asking[@]}"
    echo "windows: built with its tests"
    has wine || has wine64 || debian wine64 || true
    local wine
    wine=$(command -v wine || command -v wine64 || ls /usr/lib/wine/wine64 2>/dev/null) || {
        skipped "the tests for windows are not run, as wine is not installed"
        return
    }
    # Rust's standard library imports it. Without, each program ends with 53 before it begins.
    if ! find /usr/lib /usr/local/lib /opt -name bcryptprimitives.dll 2>/dev/null | grep -q .; then
        skipped "the tests for windows are not run: $("$wine" --version) has no bcryptprimitives.dll"
        return
    fi
    export WINEPREFIX=$folder/wine WINEDEBUG=-all CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=$wine
    export SPANDREL_TEST_PATIENCE=10
    cargo test --quiet --locked --no-fail-fast --target $triple "${recording[@]}" --lib --test stress
    echo "windows: run by $("$wine" --version)"
}

apple() {
    local triple=aarch64-apple-darwin
    target $triple || {
        skipped "apple needs the target $triple"
        return
    }
    # Objects of no code: build scripts want a C compiler, and `check` links nothing.
    # shellcheck disable=SC2016 # the stub reads its own arguments
    printf '#!/bin/sh\nwhile [ $# -gt 0 ]; do [ "$1" = -o ] && { : >"$2"; exit 0; }; shift; done\n' >"$folder/cc"
    printf '#!/bin/sh\nexit 0\n' >"$folder/ar"
    chmod +x "$folder/cc" "$folder/ar"
    CC_aarch64_apple_darwin=$folder/cc AR_aarch64_apple_darwin=$folder/ar \
        cargo check --quiet --locked --all-targets --target $triple "${recording[@]}" "${asking[@]}" -p spandrel-load
    echo "apple: the Rust of it is accepted"
    skipped "SQLite is not compiled for $triple, and nothing is linked or run"
}

(($# > 0)) || set -- msrv aarch64 windows apple
for part; do
    case $part in
    msrv | aarch64 | windows | apple) "$part" ;;
    *)
        echo "portability.sh: there is no part $part; choose from msrv, aarch64, windows and apple" >&2
        exit 2
        ;;
    esac
done
