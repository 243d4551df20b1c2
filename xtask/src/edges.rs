//! Which room may use which, and what may not come in through the back door.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    metadata::{self, list, text},
    workspace::Failure,
};

/// The column "may use" of ARCHITECTURE.md. A room that is not listed may use nothing.
const MAY_USE: [(&str, &[&str]); 12] = [
    ("agent", &["core", "local"]),
    ("attest", &["core", "signer", "verifier"]),
    ("authority", &["core", "local"]),
    ("benches", &["attest", "core", "testkit", "verifier"]),
    (
        "cli",
        &[
            "agent",
            "attest",
            "authority",
            "core",
            "git-hooks",
            "local",
            "signer",
            "verifier",
        ],
    ),
    ("core", &[]),
    ("git-hooks", &["attest", "core", "verifier"]),
    ("local", &[]),
    ("signer", &["core", "local"]),
    ("testkit", &["core"]),
    ("verifier", &["core"]),
    ("xtask", &[]),
];

/// Rooms whose tests too stay away from processes, sockets and keys of ours. Elsewhere a test
/// may use any room: what it links is never shipped.
const PURE_IN_TESTS: [&str; 2] = ["core", "verifier"];
const IMPURE: [&str; 2] = ["agent", "authority"];

/// What the signing path and the verdict must not link, however far away: async runtimes,
/// network stacks, databases, modules that others wrote.
const LEAN: [(&str, &[&str]); 4] = [
    // It serves many at once, and keeps nothing.
    ("agent", &["cryptoki", "rusqlite"]),
    ("core", &HEAVY),
    ("signer", &HEAVY),
    ("verifier", &HEAVY),
];
const HEAVY: [&str; 9] = [
    "axum",
    "cryptoki",
    "hyper",
    "openssl-sys",
    "reqwest",
    "rusqlite",
    "rustls",
    "tokio",
    "tokio-postgres",
];

/// Fails on an edge that the architecture forbids.
pub(crate) fn check() -> Result<(), Failure> {
    let metadata = metadata::load()?;
    let mut violations = room_violations(&metadata);
    violations.extend(weight_violations(&metadata));
    if violations.is_empty() {
        return Ok(());
    }
    Err(format!("forbidden edges:\n  {}", violations.join("\n  ")))
}

/// Returns the edges between rooms that the table does not have.
fn room_violations(metadata: &Value) -> Vec<String> {
    let table = BTreeMap::from(MAY_USE);
    let mut violations = Vec::new();
    for package in list(metadata, "packages") {
        let Some(room) = room(text(package, "name")) else {
            continue;
        };
        for dependency in list(package, "dependencies") {
            let Some(used) = self::room(text(dependency, "name")) else {
                continue;
            };
            let allowed = if text(dependency, "kind") == "dev" {
                !PURE_IN_TESTS.contains(&room) || !IMPURE.contains(&used)
            } else {
                table.get(room).is_some_and(|rooms| rooms.contains(&used))
            };
            if !allowed {
                violations.push(format!("{room} -> {used}"));
            }
        }
    }
    violations
}

/// Returns the heavy crates that a lean room links, directly or not.
fn weight_violations(metadata: &Value) -> Vec<String> {
    let graph = Graph::new(metadata);
    let mut violations = Vec::new();
    for (lean, heavy) in LEAN {
        let linked = graph.linked_by(&format!("notme-{lean}"));
        violations.extend(
            heavy
                .iter()
                .filter(|heavy| linked.contains(*heavy))
                .map(|heavy| format!("{lean} -> … -> {heavy}")),
        );
    }
    violations
}

/// Returns the folder of one of our packages.
fn room(package: &str) -> Option<&str> {
    package.strip_prefix("notme-")
}

/// The resolved graph without dev-dependencies.
struct Graph<'a> {
    names: BTreeMap<&'a str, &'a str>,
    edges: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Graph<'a> {
    fn new(metadata: &'a Value) -> Self {
        let names = list(metadata, "packages")
            .iter()
            .map(|package| (text(package, "id"), text(package, "name")))
            .collect();
        let nodes = metadata
            .get("resolve")
            .map_or(&[][..], |resolve| list(resolve, "nodes"));
        let edges = nodes
            .iter()
            .map(|node| {
                let linked = list(node, "deps")
                    .iter()
                    .filter(|dep| {
                        list(dep, "dep_kinds")
                            .iter()
                            .any(|kind| text(kind, "kind").is_empty())
                    })
                    .map(|dep| text(dep, "pkg"))
                    .collect();
                (text(node, "id"), linked)
            })
            .collect();
        Self { names, edges }
    }

    /// Returns the names of every package that `package` links.
    fn linked_by(&self, package: &str) -> BTreeSet<&'a str> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&str> = self
            .names
            .iter()
            .filter(|(_, name)| **name == package)
            .map(|(id, _)| *id)
            .collect();
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(self.edges.get(id).into_iter().flatten());
            }
        }
        seen.into_iter()
            .filter_map(|id| self.names.get(id).copied())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workspace(room: &str, used: &str, kind: Option<&str>) -> Value {
        json!({ "packages": [{
            "name": format!("notme-{room}"),
            "dependencies": [{ "name": format!("notme-{used}"), "kind": kind }],
        }] })
    }

    #[test]
    fn finds_a_forbidden_edge() {
        let found = room_violations(&workspace("verifier", "agent", None));
        assert_eq!(found, ["verifier -> agent"]);
    }

    #[test]
    fn finds_a_forbidden_build_edge() {
        assert_eq!(
            room_violations(&workspace("core", "signer", Some("build"))).len(),
            1
        );
    }

    #[test]
    fn finds_the_testkit_in_a_shipped_room() {
        assert_eq!(room_violations(&workspace("cli", "testkit", None)).len(), 1);
    }

    #[test]
    fn a_room_that_the_table_lacks_may_use_nothing() {
        assert_eq!(
            room_violations(&workspace("cupboard", "core", None)).len(),
            1
        );
    }

    #[test]
    fn allows_what_the_table_has() {
        assert!(room_violations(&workspace("verifier", "core", None)).is_empty());
        assert!(room_violations(&workspace("cli", "authority", None)).is_empty());
    }

    #[test]
    fn tests_may_use_any_room_except_in_the_pure_ones() {
        assert!(room_violations(&workspace("agent", "authority", Some("dev"))).is_empty());
        assert!(room_violations(&workspace("core", "testkit", Some("dev"))).is_empty());
        assert_eq!(
            room_violations(&workspace("verifier", "authority", Some("dev"))).len(),
            1
        );
    }

    fn graph(kind: Option<&str>) -> Value {
        let edge =
            |to: &str, kind: Option<&str>| json!({ "pkg": to, "dep_kinds": [{ "kind": kind }] });
        json!({
            "packages": [
                { "id": "a", "name": "notme-signer", "dependencies": [] },
                { "id": "b", "name": "innocent", "dependencies": [] },
                { "id": "c", "name": "tokio", "dependencies": [] },
            ],
            "resolve": { "nodes": [
                { "id": "a", "deps": [edge("b", kind)] },
                { "id": "b", "deps": [edge("c", None)] },
                { "id": "c", "deps": [] },
            ] },
        })
    }

    #[test]
    fn finds_a_heavy_crate_behind_another() {
        assert_eq!(weight_violations(&graph(None)), ["signer -> … -> tokio"]);
    }

    #[test]
    fn what_only_tests_link_weighs_nothing() {
        assert!(weight_violations(&graph(Some("dev"))).is_empty());
    }
}
