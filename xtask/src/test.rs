//! `cargo xtask test`: everything a bare machine needs, then every test.

use std::process::Stdio;

use crate::{
    install,
    workspace::{self, Failure, cargo},
};

/// Installs missing programs and runs every test of the workspace.
pub(crate) fn run() -> Result<(), Failure> {
    install::everything()?;
    if !has_nextest() {
        return workspace::run(&mut cargo(&[
            "test",
            "--workspace",
            "--locked",
            "--no-fail-fast",
        ]));
    }
    // nextest runs no documentation tests. They go first: the output ends with the summary.
    workspace::run(&mut cargo(&[
        "test",
        "--workspace",
        "--locked",
        "--doc",
        "--quiet",
    ]))?;
    workspace::run(&mut cargo(&[
        "nextest",
        "run",
        "--workspace",
        "--locked",
        "--no-fail-fast",
    ]))
}

fn has_nextest() -> bool {
    cargo(&["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
