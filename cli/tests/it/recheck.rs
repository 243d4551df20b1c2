//! What the HTML report says how to recheck by hand, done by hand: its own lines, in a shell.

use std::{fs, os::unix::fs::symlink, process::Output, time::SystemTime};

use notme_core::{armor::armor, key::Algorithm, time::UnixTime};
use notme_testkit::{
    cast::{LeafSpec, TestAuthority},
    commit::{CommitSpec, with_signature},
    gnupg::Gnupg,
    oracle::oracle,
    repository::run,
    sigstore::{AT, Account, ISSUER, TestSigstore},
    testdata,
};
use sigstore_verify::trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT;

use crate::{
    compromised::openpgp_commit,
    world::{NOTME, World, told},
};

/// Returns the lines of a block of the page.
fn block(page: &str, id: &str) -> String {
    let (_, rest) = page.split_once(&format!("<pre id=\"{id}\">")).unwrap();
    let (block, _) = rest.split_once("</pre>").unwrap();
    block
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

/// Runs blocks of the report, and what else is among them, on an object, the last of what is asked, with a step between taking it
/// apart and the rest.
fn recheck_after(world: &World, asked: &str, step: &str, blocks: &[&str]) -> Output {
    let asked: Vec<_> = asked.split(' ').collect();
    let page = page(world, &asked);
    let (_, document) = world.verdicts(&asked);
    let object = asked.last().unwrap();
    let facts = &document["objects"][0];
    let kid = facts["kid"].as_str().unwrap_or_default();
    let authority = facts["authority"].as_str().unwrap_or_default();
    let beside = page.split_once(&format!("<code>{authority}</code><br>"));
    let authority = beside.and_then(|(_, name)| Some(name.split_once('<')?.0));
    let authority = authority.unwrap_or_default();
    let at = facts["judged_at"].as_str().unwrap_or("now");
    let step_of = |it: &&str| match it.starts_with("recheck-") {
        true => block(&page, it),
        false => (*it).to_owned(),
    };
    let steps: Vec<_> = blocks.iter().map(step_of).collect();
    let script = format!(
        "set -e\nNAME=$(git rev-parse {object})\nKID={kid} AUTHORITY={authority}\nTIME=$(date +%s -d '{at}')\n{}\n{step}\n{}",
        block(&page, "recheck-apart"),
        steps.join("\n")
    );
    run(&mut world.shell(&script), b"")
}

/// Returns the report.
fn page(world: &World, asked: &[&str]) -> String {
    let page = world.notme(&[&["verify", "--format", "html"], asked].concat());
    String::from_utf8(page.stdout).unwrap()
}

/// Rechecks an object by blocks of its report, and then what differs from it by a byte.
fn recheck(world: &World, asked: &str, blocks: &[&str]) -> String {
    let good = recheck_after(world, asked, "", blocks);
    assert!(good.status.success(), "{}", told(&good));
    let bad = recheck_after(world, asked, "printf x >> payload", blocks);
    assert!(!bad.status.success(), "{}", told(&bad));
    told(&good)
}

/// The blocks for a signature with a certificate, by a key of either kind.
const ED25519: [&str; 4] = [
    "recheck-roots",
    "recheck-certificate",
    "recheck-parts",
    "recheck-ed25519",
];
const OTHERS: [&str; 3] = ["recheck-roots", "recheck-certificate", "recheck-openssl"];

#[test]
fn a_signature_is_rechecked_by_openssl() {
    for stranger in ["perl", "openssl"] {
        oracle(stranger);
    }
    for (profile, blocks) in [("modern", &ED25519[..]), ("interop", &OTHERS[..])] {
        let world = World::new();
        world.notme_ok(&["init", "--profile", profile]);
        world.signed_commit("a");
        let said = recheck(&world, "HEAD", blocks);
        let (_, document) = world.verdicts(&["HEAD"]);
        for member in ["identity", "kid"] {
            let member = document["objects"][0][member].as_str().unwrap();
            assert!(said.contains(member), "{member}: {said}");
        }
        // Nobody has to miss a line that says nothing.
        let bad = recheck_after(&world, "HEAD", "printf x >> payload", blocks);
        let bad = told(&bad);
        assert!(bad.contains("NO: its key did not sign"), "{bad}");
        assert!(!bad.contains("Verified Successfully"), "{bad}");
        let blocks = [&blocks[..2], &["recheck-issuance"]].concat();
        recheck(&world, "HEAD", &blocks);
        let other = "openssl req -x509 -nodes -newkey ed25519 -keyout /dev/null -subj /CN=other -out roots.pem";
        let blocks = ["recheck-roots", other, "recheck-certificate"];
        let bad = recheck_after(&world, "HEAD", "", &blocks);
        assert!(!bad.status.success(), "{}", told(&bad));
        let bad = told(&bad);
        assert!(bad.contains("NO: no authority that is trusted"), "{bad}");
    }
}

/// Nobody waits for an auditor.
#[test]
fn a_signature_is_rechecked_when_its_certificate_has_ended() {
    for stranger in ["perl", "openssl"] {
        oracle(stranger);
    }
    let authority = TestAuthority::born(1, AT.plus(-3600));
    for (algorithm, blocks) in [
        (Algorithm::Ed25519, &ED25519[..]),
        (Algorithm::P256, &OTHERS[..]),
    ] {
        let world = World::new();
        let root = world.home().join("root.pem");
        fs::write(&root, authority.root(algorithm).1.pem()).unwrap();
        let root = root.to_str().unwrap();
        world.notme_ok(&["trust", "add", "--name", "they", root]);
        let payload = CommitSpec {
            at: AT,
            ..CommitSpec::new(&"0".repeat(40))
        };
        let payload = payload.payload();
        let session = authority.leaf(&LeafSpec {
            algorithm,
            not_before: AT,
            not_after: AT.plus(300),
            ..LeafSpec::bound_to(&payload)
        });
        let raw = session.sign_commit(&payload, AT);
        let commit = world.write_object_unchecked("commit", &raw);
        assert_eq!(world.code(&commit, &[]), "accepted");
        let blocks = [blocks, &["recheck-issuance"]].concat();
        recheck(&world, &commit, &blocks);
        // Its key signs something else.
        let other = CommitSpec {
            at: AT,
            ..CommitSpec::new(&"1".repeat(40))
        };
        let raw = session.sign_commit(&other.payload(), AT);
        let commit = world.write_object_unchecked("commit", &raw);
        assert_eq!(world.code(&commit, &[]), "issuance-mismatch");
        let then = format!("TIME={}", AT.secs());
        let output = recheck_after(&world, &commit, &then, &blocks);
        assert!(!output.status.success(), "{}", told(&output));
        assert!(
            told(&output).contains("signer.pem: OK"),
            "{}",
            told(&output)
        );
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
    let assert_rechecked = || {
        let said = recheck(&world, "HEAD", &OTHERS);
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
    // Whom the machine trusts besides certifies nobody here.
    let step = r#"
mkdir cas && cp "$HOME/root.pem" cas && openssl rehash cas
export SSL_CERT_DIR=$PWD/cas
openssl req -x509 -nodes -newkey rsa:2048 -keyout other.key -out roots.pem -subj /CN=other
"#;
    let output = recheck_after(&world, "HEAD", step, &OTHERS[1..]);
    assert!(!output.status.success(), "{}", told(&output));
    let refused = "unable to get local issuer certificate";
    assert!(told(&output).contains(refused), "{}", told(&output));
    // It is trusted by the one in the middle.
    world.notme_ok(&["trust", "remove", "corp"]);
    let between = home("between.pem");
    world.notme_ok(&["trust", "add", "--name", "corp", "--x509", &between]);
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
    let blocks = ["recheck-ssh", "recheck-ssh-issuance"];
    let said = recheck(&world, "HEAD", &blocks);
    assert!(said.contains("Good \"git\" signature for "), "{said}");
}

const BY_AGENT: [&str; 3] = [
    "recheck-openpgp-keys",
    "recheck-openpgp-agent",
    "recheck-openpgp-issuance",
];
const BY_PERSON: [&str; 2] = ["recheck-openpgp-keys", "recheck-openpgp"];

#[test]
fn a_signature_is_rechecked_by_gpg() {
    let world = World::initialised();
    world.notme_ok(&["init", "--agent", "claude", "--format", "openpgp"]);
    world.signed_commit("a");
    let said = recheck(&world, "HEAD", &BY_AGENT);
    assert!(said.contains("Good signature from "), "{said}");
    // Whoever takes the agent's name brings a key as well.
    let (_, document) = world.verdicts(&["HEAD"]);
    let name = document["objects"][0]["identity"].as_str().unwrap();
    let gpg = Gnupg::new();
    gpg.configure("include-key-block\n");
    let key = gpg.generate(name, "ed25519", "sign", "never");
    let forged = openpgp_commit(&world, &gpg, &key);
    assert_eq!(world.code(&forged, &[]), "signer-untrusted");
    let output = recheck_after(&world, &forged, "AUTHORITY=embedded", &BY_AGENT);
    let said = told(&output);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains(&format!("Good signature from \"{name}\"")),
        "{said}"
    );
}

/// A tag whose message quotes another's signature.
const TAG: &str = "a\n\n-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n";

#[test]
fn a_tag_is_rechecked_and_not_the_commit_below_it() {
    let (world, gpg) = (World::initialised(), Gnupg::new());
    let bob = gpg.generate("Bob <bob@example.org>", "ed25519", "sign", "never");
    world.trust_person(&gpg, &bob);
    let commit = openpgp_commit(&world, &gpg, "bob@example.org");
    let payload = format!(
        "object {commit}\ntype commit\ntag v1\ntagger Bob <bob@example.org> {} +0000\n\n{TAG}",
        UnixTime::from(SystemTime::now()).secs()
    );
    let signature = String::from_utf8(gpg.sign(&bob, payload.as_bytes())).unwrap();
    let tag = |payload: &str| {
        world.write_object_unchecked("tag", format!("{payload}{signature}").as_bytes())
    };
    let good = tag(&payload);
    assert_eq!(world.code(&good, &[]), "accepted");
    let said = recheck(&world, &good, &BY_PERSON);
    assert!(said.contains("Good signature from "), "{said}");
    let altered = tag(&payload.replace("\n\na\n", "\n\nb\n"));
    assert_eq!(world.code(&altered, &[]), "signature-invalid");
    let output = recheck_after(&world, &altered, "AUTHORITY=team", &BY_PERSON);
    assert!(!output.status.success(), "{}", told(&output));
    assert!(told(&output).contains("BAD signature"), "{}", told(&output));
}

#[test]
fn a_tag_is_rechecked_by_openssl() {
    let world = World::new();
    world.notme_ok(&["init", "--profile", "modern"]);
    world.signed_commit("a");
    world.git_ok(&["tag", "-s", "-m", TAG, "v1"]);
    let tag = world.git_ok(&["rev-parse", "v1"]);
    let blocks = ED25519;
    recheck(&world, &tag, &blocks);
    let raw = String::from_utf8(world.read_object("tag", &tag)).unwrap();
    let altered = raw.replacen("\n\na\n", "\n\nb\n", 1);
    assert_ne!(altered, raw);
    fs::write(world.home().join("altered"), altered).unwrap();
    // What the facts of the good one are held against is another object.
    let step = "NAME=$(git hash-object -t tag -w \"$HOME/altered\")";
    let apart = block(
        &world.notme_ok(&["verify", "--format", "html"]),
        "recheck-apart",
    );
    let output = recheck_after(&world, &tag, &format!("{step}\n{apart}"), &blocks);
    assert!(!output.status.success(), "{}", told(&output));
    assert!(
        told(&output).contains("signer.pem: OK"),
        "{}",
        told(&output)
    );
}

#[test]
fn a_tag_that_a_merge_carries_is_rechecked_by_openssl() {
    let world = World::new();
    world.notme_ok(&["init", "--profile", "modern"]);
    world.signed_commit("a");
    world.git_ok(&["switch", "-q", "-c", "side"]);
    world.signed_commit("b");
    world.git_ok(&["tag", "-s", "-m", "side", "v1"]);
    let tag = world.git_ok(&["rev-parse", "v1"]);
    world.git_ok(&["switch", "-q", "main"]);
    world.git_ok(&["merge", "-q", "--no-ff", "--no-edit", "v1"]);
    world.git_ok(&["tag", "-d", "v1"]);
    world.git_ok(&["gc", "-q", "--prune=now"]);
    let page = page(&world, &["HEAD"]);
    let lines = block(&page, "recheck-mergetag");
    let found = run(
        &mut world.shell(&format!("NAME=HEAD\n{lines}\necho $NAME")),
        b"",
    );
    assert_eq!(String::from_utf8(found.stdout).unwrap().trim(), tag);
    recheck(&world, &tag, &ED25519);
}

#[test]
fn what_replaces_an_object_is_not_rechecked_in_its_place() {
    let (world, gpg) = (World::initialised(), Gnupg::new());
    let bob = gpg.generate("Bob <bob@example.org>", "ed25519", "sign", "never");
    world.trust_person(&gpg, &bob);
    let good = openpgp_commit(&world, &gpg, "bob@example.org");
    let raw = String::from_utf8(world.read_object("commit", &good)).unwrap();
    let altered = world.store(format!("{raw}altered\n").as_bytes());
    world.git_ok(&["replace", &altered, &good]);
    assert_eq!(world.code(&altered, &[]), "signature-invalid");
    let output = recheck_after(&world, &altered, "AUTHORITY=team", &BY_PERSON);
    assert!(!output.status.success(), "{}", told(&output));
    assert!(told(&output).contains("BAD signature"), "{}", told(&output));
}

#[test]
fn a_time_stamp_is_rechecked_by_openssl() {
    oracle("openssl");
    let world = World::new();
    world.notme_ok(&["init", "--profile", "interop", "--timestamp=required"]);
    world.signed_commit("a");
    let blocks = [
        "recheck-roots",
        "recheck-certificate",
        "recheck-openssl",
        "recheck-parts",
        "recheck-timestamp",
    ];
    let said = recheck(&world, "HEAD", &blocks);
    for part in ["Verification: OK", "Time stamp: "] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_other_signature_fails(&world, "HEAD", &blocks, "Verification: FAILED");
}

/// Asserts that what the last of some blocks looks at is told from what lies beside another signature.
fn assert_other_signature_fails(world: &World, asked: &str, blocks: &[&str], expected: &str) {
    let (last, before) = blocks.split_last().unwrap();
    let blocks = [before, &["printf x >> value", last]].concat();
    let output = recheck_after(world, asked, "", &blocks);
    assert!(!output.status.success(), "{}", told(&output));
    assert!(told(&output).contains(expected), "{}", told(&output));
}

/// Has a world trust an instance of Sigstore, and puts a commit on its branch. Returns what to ask
/// about it, too.
fn sigstore_world(root: &str, commit: &[u8], who: &str, issuer: &str) -> (World, String) {
    for stranger in ["perl", "openssl"] {
        oracle(stranger);
    }
    let world = World::new();
    let file = world.home().join("root.json");
    fs::write(&file, root).unwrap();
    let file = file.to_str().unwrap();
    world.notme_ok(&["trust", "add", "--name", "others", "--sigstore", file]);
    let commit = world.write_object_unchecked("commit", commit);
    world.git_ok(&["update-ref", "HEAD", &commit]);
    let policy = world.policy(&format!(
        "[[authority]]\nname = \"others\"\n[[principal]]\nname = \"she\"\nkind = \"human\"\nidentities = [\"mailto:{who}\"]\nissuers = [\"{issuer}\"]\n[[allow]]\nprincipals = [\"she\"]\n"
    ));
    (world, format!("--policy {policy} HEAD"))
}

#[test]
fn a_log_entry_by_the_public_instance_of_sigstore_is_rechecked_by_openssl() {
    let commit = testdata::bytes("gitsign/logged.commit");
    let root = SIGSTORE_PRODUCTION_TRUSTED_ROOT;
    let (who, issuer) = ("billy@chainguard.dev", "https://accounts.google.com");
    let (world, asked) = sigstore_world(root, &commit, who, issuer);
    let blocks = [
        "recheck-sigstore",
        "recheck-certificate",
        "recheck-openssl",
        "recheck-parts",
        "recheck-log",
    ];
    let said = recheck(&world, &asked, &blocks);
    for part in [who, issuer, "Verified OK", "\"integratedTime\":1685981480,"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_other_signature_fails(&world, &asked, &blocks, "Verification failure");
}

#[test]
fn a_time_stamp_by_another_instance_of_sigstore_is_rechecked_by_openssl() {
    let sigstore = TestSigstore::new(1);
    let at = AT.plus(60);
    let payload = CommitSpec {
        at,
        ..CommitSpec::new(&"0".repeat(40))
    };
    let payload = payload.payload();
    let signed = sigstore.sign(&Account::default(), &payload);
    let token = sigstore.tsa().stamp(&signed.signature, at);
    let commit = with_signature(&payload, "gpgsig", &armor(&signed.cms(None, Some(&token))));
    let (root, who) = (sigstore.trusted_root().to_string(), "alice@test.invalid");
    let (world, asked) = sigstore_world(&root, &commit, who, ISSUER);
    let blocks = [
        "recheck-sigstore",
        "recheck-certificate",
        "recheck-openssl",
        "recheck-parts",
        "recheck-sigstore-stamps",
        "recheck-timestamp",
    ];
    let said = recheck(&world, &asked, &blocks);
    for part in [who, ISSUER, "Verification: OK", "Time stamp: "] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_other_signature_fails(&world, &asked, &blocks, "Verification: FAILED");
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
