//! Has the linker keep the program small, in the file and in memory, where it knows how to. What the program does stays the
//! same; ARCHITECTURE.md has the figures.
//!
//! `SALVER_PLAIN_LINK=1` leaves it all out, for a program that is to run where glibc is older than here.

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
    println!("cargo::rerun-if-env-changed=SALVER_PLAIN_LINK");
    // Who develops wants to link fast, the library is not linked here, and elsewhere linkers differ.
    let is_program = env::var_os("CARGO_FEATURE_CLI").is_some() && variable("PROFILE") == "release";
    let is_native = variable("CARGO_CFG_TARGET_OS") == "linux" && variable("TARGET") == variable("HOST");
    if !is_program || !is_native || env::var_os("SALVER_PLAIN_LINK").is_some() {
        return;
    }
    let script = format!("-Wl,-T,{}", Path::new(&variable("CARGO_MANIFEST_DIR")).join(WARM_FUNCTIONS).display());
    let mut understood = Vec::new();
    for argument in [script.as_str(), SHORT_RELOCATIONS] {
        understood.push(argument);
        if is_understood(&understood) {
            println!("cargo::rustc-link-arg-bins={argument}");
        } else {
            understood.pop();
        }
    }
}

/// Whether a program that is linked with these arguments runs here.
fn is_understood(arguments: &[&str]) -> bool {
    let directory = variable("OUT_DIR");
    let (source, program) = (Path::new(&directory).join("probe.rs"), Path::new(&directory).join("probe"));
    if std::fs::write(&source, "fn main() {}").is_err() {
        return false;
    }
    let mut compiler = Command::new(variable("RUSTC"));
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        compiler.arg("-C").arg(format!("linker={linker}"));
    }
    let flags = variable("CARGO_ENCODED_RUSTFLAGS");
    compiler.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    compiler.args(["--cap-lints", "allow"]);
    compiler.args(arguments.iter().map(|argument| format!("-Clink-arg={argument}")));
    compiler.arg("-o").arg(&program).arg(&source);
    runs(&mut compiler) && runs(&mut Command::new(&program))
}

fn runs(command: &mut Command) -> bool {
    // A program made to measure coverage says what it has to say where it stands.
    let command = command.current_dir(variable("OUT_DIR")).env("LLVM_PROFILE_FILE", "probe.profraw");
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}
