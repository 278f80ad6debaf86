//! Compiles the tracepoints of LTTng, if that is to be measured.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=lttng");
    #[cfg(feature = "lttng")]
    lttng::compile()?;
    Ok(())
}

/// Not there without the feature, as its compiler is none of the dependencies then.
#[cfg(feature = "lttng")]
mod lttng {
    use std::env;
    use std::error::Error;
    use std::path::PathBuf;
    use std::process::Command;

    pub(super) fn compile() -> Result<(), Box<dyn Error>> {
        let library = PathBuf::from(env::var("OUT_DIR")?).join("librivals_spans.so");
        let compiled = cc::Build::new()
            .pic(true)
            .opt_level(2)
            .get_compiler()
            .to_command()
            .args([
                "-shared",
                "-fPIC",
                "-O2",
                "-Ilttng",
                "lttng/spans.c",
                "-llttng-ust",
                "-ldl",
                "-o",
            ])
            .arg(&library)
            .status()?;
        if !compiled.success() {
            return Err(
                "the tracepoints of LTTng do not compile; is liblttng-ust-dev installed?".into()
            );
        }
        let version = Command::new("pkg-config").args(["--modversion", "lttng-ust"]).output()?;
        println!(
            "cargo:rustc-env=RIVALS_LTTNG_VERSION={}",
            String::from_utf8(version.stdout)?.trim()
        );
        println!("cargo:rustc-env=RIVALS_LTTNG_SPANS={}", library.display());
        Ok(())
    }
}
