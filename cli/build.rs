//! How the program is linked. Of a position-independent program's bytes, half a megabyte says which addresses are to be
//! set at its start, one entry for each; the linker can write them as a bitmap of some kilobytes, which the GNU C
//! library understands since version 2.36. So this is only asked for where the program is built for the system that it
//! is built on, and the system has such a library: elsewhere, it would not start.

#![allow(clippy::print_stdout)] // what a build script says to cargo

use std::env;
use std::process::Command;

/// The first version of the C library that understands the bitmap.
const UNDERSTOOD_SINCE: (u32, u32) = (2, 36);

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if is_for_this_system() && c_library().is_some_and(|version| version >= UNDERSTOOD_SINCE) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Whether the program will run on a system like this one, and is linked by the C compiler as usual. The option was
/// tried with the linkers of x86-64 alone.
fn is_for_this_system() -> bool {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    env::var("HOST").ok() == env::var("TARGET").ok()
        && is("CARGO_CFG_TARGET_ARCH", "x86_64")
        && is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && env::var_os("RUSTC_LINKER").is_none()
        && !flags.contains("linker")
}

/// The version of the GNU C library.
fn c_library() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?.stdout;
    let said = String::from_utf8(said).ok()?;
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    // As in 2.36, or 2.36.9000 before a release.
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}
