//! What `cargo metadata` says about the workspace.

use serde_json::Value;

use crate::workspace::{Failure, cargo};

/// Returns the workspace's metadata; with the whole dependency graph resolved.
pub(crate) fn load() -> Result<Value, Failure> {
    let output = cargo(&["metadata", "--format-version=1", "--locked", "--quiet"])
        .output()
        .map_err(|error| format!("could not run `cargo metadata`: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))
}

/// Returns the string in a field; empty when there is none.
pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Returns the array in a field; empty when there is none.
pub(crate) fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value
        .get(field)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}
