//! Makes sure that the console's folder exists, so that the relay builds without node; without a built console it serves a
//! page that says how to build one.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?;
    fs::create_dir_all(Path::new(&root).join("web/dist"))?;
    println!("cargo::rerun-if-changed=web/dist");
    println!("cargo::rerun-if-changed=migrations");
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}
