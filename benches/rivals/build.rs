//! Compiles the tracepoints of LTTng, if that is to be measured.

use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=lttng");
    if env::var_os("CARGO_FEATURE_LTTNG").is_none() {
        return Ok(());
    }
    let library = PathBuf::from(env::var("OUT_DIR")?).join("librivals_spans.so");
    let compiled = cc::Build::new()
        .pic(true)
        .opt_level(2)
        .get_compiler()
        .to_command()
        .args(["-shared", "-fPIC", "-O2", "-Ilttng", "lttng/spans.c", "-llttng-ust", "-ldl", "-o"])
        .arg(&library)
        .status()?;
    if !compiled.success() {
        return Err(
            "the tracepoints of LTTng do not compile; is liblttng-ust-dev installed?".into()
        );
    }
    let version = Command::new("pkg-config").args(["--modversion", "lttng-ust"]).output()?;
    println!("cargo:rustc-env=RIVALS_LTTNG_VERSION={}", String::from_utf8(version.stdout)?.trim());
    println!("cargo:rustc-env=RIVALS_LTTNG_SPANS={}", library.display());
    Ok(())
}
