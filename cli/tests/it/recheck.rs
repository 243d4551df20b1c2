//! What the HTML report says how to recheck by hand, done by hand: its own lines, in a shell.

use std::os::unix::fs::symlink;

use notme_testkit::{gnupg::Gnupg, oracle::oracle, repository::run};

use crate::world::{NOTME, World, told};

/// Returns the lines of a block of the page.
fn block(page: &str, id: &str) -> String {
    let (_, rest) = page.split_once(&format!("<pre id=\"{id}\">")).unwrap();
    let (block, _) = rest.split_once("</pre>").unwrap();
    block
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

/// Rechecks HEAD by blocks of its report, and then what differs from it by a byte.
fn recheck(world: &World, blocks: &[&str], gpg: Option<&Gnupg>) -> String {
    let page = world.notme_ok(&["verify", "--format", "html", "HEAD"]);
    let (_, document) = world.verdicts(&["HEAD"]);
    let at = document["objects"][0]["judged_at"].as_str().unwrap();
    let told_by = |tampering: &str| {
        let steps: Vec<_> = blocks.iter().map(|id| block(&page, id)).collect();
        let script = format!(
            "set -e\nNAME=$(git rev-parse HEAD)\nTIME=$(date +%s -d '{at}')\n{}\n{tampering}\n{}",
            block(&page, "recheck-apart"),
            steps.join("\n")
        );
        let mut shell = world.shell(&script);
        if let Some(gpg) = gpg {
            shell.env("GNUPGHOME", gpg.path());
        }
        run(&mut shell, b"")
    };
    let good = told_by("");
    assert!(good.status.success(), "{}", told(&good));
    let bad = told_by("printf x >> payload");
    assert!(!bad.status.success(), "{}", told(&bad));
    told(&good)
}

#[test]
fn a_signature_is_rechecked_by_openssl_and_certtool() {
    for stranger in ["perl", "openssl", "certtool"] {
        oracle(stranger);
    }
    for (profile, by) in [("modern", "certtool"), ("interop", "openssl")] {
        let world = World::new();
        world.notme_ok(&["init", "--profile", profile]);
        world.signed_commit("a");
        let by = format!("recheck-{by}");
        let said = recheck(&world, &["recheck-certificate", &by], None);
        let (_, document) = world.verdicts(&["HEAD"]);
        for member in ["identity", "kid"] {
            let member = document["objects"][0][member].as_str().unwrap();
            assert!(said.contains(member), "{member}: {said}");
        }
    }
}

#[test]
fn a_signature_is_rechecked_by_ssh_keygen() {
    let world = World::initialised();
    let program = world.home().join("notme-ssh");
    symlink(NOTME, &program).unwrap();
    world.git_ok(&["config", "gpg.format", "ssh"]);
    world.git_ok(&["config", "gpg.ssh.program", program.to_str().unwrap()]);
    world.signed_commit("a");
    let said = recheck(&world, &["recheck-ssh"], None);
    assert!(said.contains("Good \"git\" signature for "), "{said}");
}

#[test]
fn a_signature_is_rechecked_by_gpg() {
    let world = World::initialised();
    world.notme_ok(&["init", "--agent", "claude", "--format", "openpgp"]);
    world.signed_commit("a");
    let gpg = Gnupg::new();
    let authority = world.notme_ok(&["trust", "export", "--openpgp"]);
    gpg.ok(&["--import"], authority.as_bytes());
    let said = recheck(&world, &["recheck-openpgp"], Some(&gpg));
    assert!(said.contains("Good signature from "), "{said}");
}

#[test]
fn a_report_says_what_was_asked() {
    let world = World::initialised();
    world.write(
        ".notme/policy.toml",
        "[[allow]]\nidentity = \"wimse://*\"\n",
    );
    world.git_ok(&["add", "--all"]);
    let root = world.signed_commit("a");
    world.signed_commit("b");
    let asked = [
        "verify",
        "--trust-root",
        &root,
        "--ref",
        "refs/heads/it's",
        "HEAD",
    ];
    let typed = format!("notme verify --trust-root {root} --ref 'refs/heads/it'\\''s' HEAD");
    for format in ["json", "jsonl", "html", "markdown", "junit", "sarif"] {
        let told = world.notme_ok(&[&asked[..], &["--format", format]].concat());
        let told = told
            .replace("\\\\", "\\")
            .replace("&#39;", "'")
            .replace("&apos;", "'");
        for expected in [&*root, "refs/heads/it's", &typed] {
            assert!(told.contains(expected), "{format}: {expected}: {told}");
        }
    }
}
