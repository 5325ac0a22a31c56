//! Has the linker keep the program small, in the file and in memory, where it knows how to.
//!
//! Neither argument changes what the program does; without them it takes 1.5 MiB more while it rests.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a start and common requests run lies together: see `layout/make.py`, which writes this file.
const WARM_FUNCTIONS: &str = "layout/warm.ld";

/// The list of places that depend on where the program lies is a twentieth of what it was. Whoever runs it must know of this,
/// as glibc does since 2.36.
const SHORT_RELOCATIONS: &str = "-Wl,-z,pack-relative-relocs";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={WARM_FUNCTIONS}");
    // Who develops wants to link fast, and the library is not linked here.
    if variable("PROFILE") != "release" || env::var_os("CARGO_FEATURE_CLI").is_none() {
        return;
    }
    if variable("CARGO_CFG_TARGET_OS") != "linux" {
        return;
    }
    let script = Path::new(&variable("CARGO_MANIFEST_DIR")).join(WARM_FUNCTIONS);
    for argument in [format!("-Wl,-T,{}", script.display()), SHORT_RELOCATIONS.to_owned()] {
        if is_understood(&argument) {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
    }
}

/// Whether a program that is linked with this argument runs here.
fn is_understood(argument: &str) -> bool {
    let directory = variable("OUT_DIR");
    let (source, program) = (Path::new(&directory).join("probe.rs"), Path::new(&directory).join("probe"));
    if variable("TARGET") != variable("HOST") || std::fs::write(&source, "fn main() {}").is_err() {
        return false;
    }
    let mut compiler = Command::new(variable("RUSTC"));
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        compiler.arg("-C").arg(format!("linker={linker}"));
    }
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    compiler.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    compiler.arg("-C").arg(format!("link-arg={argument}")).arg("-o").arg(&program).arg(&source);
    runs(&mut compiler) && runs(&mut Command::new(&program))
}

fn runs(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}
