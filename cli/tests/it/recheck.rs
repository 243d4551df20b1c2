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
    let kid = document["objects"][0]["kid"].as_str().unwrap();
    let told_by = |tampering: &str| {
        let steps: Vec<_> = blocks.iter().map(|id| block(&page, id)).collect();
        let script = format!(
            "set -e\nNAME=$(git rev-parse HEAD)\nKID={kid}\nTIME=$(date +%s -d '{at}')\n{}\n{tampering}\n{}",
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

/// A company's certificates, one between root and leaf that is the shorter one, and who signs with the
/// leaf and sends both along.
const CHAIN: &str = r#"
set -e
cd "$HOME"
printf '[req]\ndistinguished_name=name\n[name]\n' > openssl.cnf
export OPENSSL_CONF="$HOME/openssl.cnf"
request() { openssl req -new -nodes -newkey "$2" -keyout "$1.key" -out "$1.csr" -subj "/CN=$1" $3 $4; }
issue() { openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days 30 -extfile "$1.ext" -out "$1.pem"; }
openssl req -x509 -nodes -newkey rsa:2048 -keyout root.key -out root.pem -subj /CN=root -days 30 \
    -addext keyUsage=critical,keyCertSign -addext basicConstraints=critical,CA:true
request between ec -pkeyopt ec_paramgen_curve:P-256
printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n' > between.ext
issue between root
request leaf rsa:2048
printf 'keyUsage=critical,digitalSignature\nextendedKeyUsage=emailProtection\nsubjectAltName=email:xena@corp.example\n' > leaf.ext
issue leaf between
cat > sign <<END
#!/bin/sh
cd '$HOME'
openssl cms -sign -binary -signer leaf.pem -inkey leaf.key -certfile between.pem -outform PEM -md sha256 | sed 's/ CMS-/ SIGNED MESSAGE-/'
printf '\n[GNUPG:] SIG_CREATED D 1 8 00 0 0\n' >&2
END
chmod +x sign
"#;

#[test]
fn the_certificate_that_is_rechecked_is_the_signers() {
    for stranger in ["perl", "openssl"] {
        oracle(stranger);
    }
    let world = World::new();
    let made = run(&mut world.shell(CHAIN), b"");
    assert!(made.status.success(), "{}", told(&made));
    let home = |name: &str| world.home().join(name).to_str().unwrap().to_owned();
    let root = home("root.pem");
    world.notme_ok(&["trust", "add", "--name", "corp", "--x509", &root]);
    world.git_ok(&["config", "gpg.format", "x509"]);
    world.git_ok(&["config", "gpg.x509.program", &home("sign")]);
    world.git_ok(&["commit", "-q", "-S", "--allow-empty", "-m", "a"]);
    let blocks = ["recheck-certificate", "recheck-openssl"];
    let assert_rechecked = || {
        let said = recheck(&world, &blocks, None);
        let (_, document) = world.verdicts(&["HEAD"]);
        let kid = document["objects"][0]["kid"].as_str().unwrap();
        assert!(said.contains(kid), "{said}");
        assert!(said.contains("xena@corp.example"), "{said}");
    };
    assert_rechecked();
    // A signature by another hash, before the one that counts.
    let raw = String::from_utf8(world.read_object("commit", "HEAD")).unwrap();
    let other = "gpgsig-sha256 by\n nobody\ngpgsig -----BEGIN";
    let raw = raw.replacen("gpgsig -----BEGIN", other, 1);
    let other = world.store(raw.as_bytes());
    world.git_ok(&["update-ref", "HEAD", &other]);
    assert_rechecked();
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
