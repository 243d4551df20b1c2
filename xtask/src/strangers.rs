//! The libraries of strangers that judge our output, from npm and pip, in a directory of their
//! own below the target directory. Nothing is written anywhere else.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{
    metadata,
    workspace::{Failure, read, root, run},
};

/// Exact versions, in the words of either package manager; notme-testkit compares them with what
/// was installed.
const PINS: [&str; 2] = [
    "testkit/strangers/package.json",
    "testkit/strangers/requirements.txt",
];

/// Installs them, unless these very versions are there.
pub(crate) fn install() -> Result<(), Failure> {
    let target = metadata::load()?;
    let directory = PathBuf::from(metadata::text(&target, "target_directory")).join("strangers");
    let [package, requirements] = PINS;
    let pins = read(package)? + &read(requirements)?;
    let installed = directory.join("installed");
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == pins) {
        return Ok(());
    }
    println!("installing what npm and pip have for the tests");
    let unwritable = |error| format!("could not write `{}`: {error}", directory.display());
    if directory.exists() {
        fs::remove_dir_all(&directory).map_err(unwritable)?;
    }
    fs::create_dir_all(&directory).map_err(unwritable)?;
    fs::write(directory.join("package.json"), read(package)?).map_err(unwritable)?;
    let npm = [
        "install",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--no-package-lock",
    ];
    let mut command = quiet("npm");
    command
        .args(npm)
        .arg("--cache")
        .arg(directory.join("cache"));
    run(command.current_dir(&directory))?;
    let python = directory.join("python");
    run(quiet("python3").args(["-m", "venv"]).arg(&python))?;
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-cache-dir",
        "--disable-pip-version-check",
        "--requirement",
    ];
    let mut command = quiet(python.join("bin/python"));
    run(command.args(pip).arg(root().join(requirements)))?;
    // Last, so that a half-done installation is done again.
    fs::write(&installed, pins).map_err(unwritable)
}

/// Tells whether python3 can make virtual environments, which Debian packages apart.
pub(crate) fn has_venv() -> bool {
    quiet("python3")
        .args(["-c", "import ensurepip, venv"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn quiet(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    command
}
