//! Has the linker put the functions that run at the start side by side; `link/first.py` says why.
//! Only where that was tried: elsewhere nothing is asked of the linker, and the program takes some
//! more memory.
#![allow(clippy::print_stdout)]

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=link/first.ld");
    println!("cargo::rerun-if-env-changed=UNORDERED");
    if let Ok(folder) = env::var("CARGO_MANIFEST_DIR")
        && is_tried()
    {
        println!("cargo::rustc-link-arg-bins=-T{folder}/link/first.ld");
    }
}

/// A release build for Linux with the linker that the compiler chooses by itself. Whoever names
/// another may have one that does not read such a file.
fn is_tried() -> bool {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let own_linker = env::var_os("RUSTC_LINKER").is_some()
        || env::var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.contains("link"));
    is("PROFILE", "release")
        && is("TARGET", "x86_64-unknown-linux-gnu")
        && is("HOST", "x86_64-unknown-linux-gnu")
        && !own_linker
        && env::var_os("UNORDERED").is_none()
}
