//! Files of `testdata/`.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Returns the path of a file or folder of `testdata/`.
pub fn path(relative: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata")).join(relative)
}

/// Reads a file of `testdata/`.
///
/// # Panics
/// When it cannot be read.
pub fn bytes(relative: &str) -> Vec<u8> {
    fs::read(path(relative)).unwrap_or_else(|error| panic!("testdata/{relative}: {error}"))
}

/// Reads a text file of `testdata/`.
///
/// # Panics
/// When it cannot be read or is not UTF-8.
pub fn text(relative: &str) -> String {
    fs::read_to_string(path(relative))
        .unwrap_or_else(|error| panic!("testdata/{relative}: {error}"))
}
