//! Has the linker put the functions that run at the start side by side; `link/first.py` says why.
//! Only with the linker that comes with the compiler: elsewhere nothing is asked of the linker, and the
//! program takes some more memory.
#![allow(clippy::print_stdout)]

use std::env;
use std::path::Path;
use std::process::Command;

const TRIED: &str = "x86_64-unknown-linux-gnu";

fn main() {
    println!("cargo::rerun-if-changed=link/first.ld");
    println!("cargo::rerun-if-env-changed=LINK_UNORDERED");
    if let Ok(folder) = env::var("CARGO_MANIFEST_DIR")
        && is_tried()
    {
        println!("cargo::rustc-link-arg-bins=-T{folder}/link/first.ld");
    }
}

/// A release build for Linux with the compiler's own linker. Whoever names another may have one that
/// does not read such a file.
fn is_tried() -> bool {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let names_a_linker = env::var_os("RUSTC_LINKER").is_some()
        || env::var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.contains("link"));
    is("PROFILE", "release")
        && is("TARGET", TRIED)
        && is("HOST", TRIED)
        && env::var_os("LINK_UNORDERED").is_none()
        && !names_a_linker
        && brings_a_linker()
}

/// Compilers of Linux distributions use the system's linker, whichever that is.
fn brings_a_linker() -> bool {
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let asked = Command::new(compiler).args(["--print", "sysroot"]).output();
    asked.is_ok_and(|answer| {
        let sysroot = String::from_utf8_lossy(&answer.stdout);
        let linker = format!("lib/rustlib/{TRIED}/bin/gcc-ld/ld.lld");
        Path::new(sysroot.trim()).join(linker).exists()
    })
}
