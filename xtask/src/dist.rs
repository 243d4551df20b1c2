//! `cargo xtask dist`: the program as it is to be installed.
//!
//! Linked statically it needs no loader and no library, which is a quarter of the time that git
//! waits for a signature; it stays position-independent, with its relocations packed so that less
//! is read before it begins. Only the program itself is compiled so: procedural macros cannot be.

use std::{fs, path::PathBuf};

use crate::{
    metadata::{self, text},
    workspace::{self, Failure, cargo},
};

/// Builds `target/dist/notme`, beside an empty directory with which a container's state begins.
pub(crate) fn run() -> Result<(), Failure> {
    workspace::run(&mut cargo(&[
        "rustc",
        "--quiet",
        "--release",
        "--locked",
        "--package=notme-cli",
        "--bin=notme",
        "--",
        "-Ctarget-feature=+crt-static",
        "-Clink-arg=-Wl,-z,pack-relative-relocs",
    ]))?;
    let metadata = metadata::load()?;
    let target = PathBuf::from(text(&metadata, "target_directory"));
    let dist = target.join("dist");
    let copy = || {
        fs::create_dir_all(dist.join("state"))?;
        // Renamed into place: a key agent may be running the old one.
        let fresh = dist.join(".notme");
        fs::copy(target.join("release/notme"), &fresh)?;
        fs::rename(fresh, dist.join("notme"))
    };
    copy().map_err(|error| format!("could not write `{}`: {error}", dist.display()))
}
