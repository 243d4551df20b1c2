//! `notme trust`: what may be pinned, and what may not.

use std::{fs, path::Path, time::SystemTime};

use notme_core::{certificate::Certificate, time::UnixTime};
use notme_testkit::{
    commit::{CommitSpec, with_signature},
    gnupg::Gnupg,
    repository::run,
    testdata,
};
use serde_json::Value;

use crate::{
    compromised::openpgp_commit,
    world::{World, told},
    x509::shell,
};

#[test]
fn takes_the_bundle_of_the_real_authority() {
    let world = World::new();
    let bundle = testdata::path("notme-authority/prod/ca/ca.pem");
    let out = world.notme_ok(&["trust", "add", "--name", "notme", bundle.to_str().unwrap()]);
    assert!(out.contains("29477a79617f9cb37db78eeda78ffd1f"), "{out}");
    let shown: Value = serde_json::from_str(&world.notme_ok(&["trust", "show", "--json"])).unwrap();
    assert_eq!(shown["authorities"][0]["name"], "notme");
    let exported = world.notme_ok(&["trust", "export", "--pem"]);
    assert_eq!(
        exported.trim_end(),
        testdata::text("notme-authority/prod/ca/ca.pem").trim_end()
    );
    world.notme_ok(&["trust", "remove", "notme"]);
    assert!(
        world
            .notme_ok(&["trust", "show"])
            .contains("no authority is trusted")
    );
}

#[test]
fn a_pin_that_is_not_met_is_refused() {
    let world = World::new();
    let bundle = testdata::path("notme-authority/prod/ca/ca.pem");
    let wrong = "00".repeat(32);
    let output = world.notme(&[
        "trust",
        "add",
        "--name",
        "notme",
        "--pin",
        &wrong,
        "--pem",
        bundle.to_str().unwrap(),
    ]);
    assert!(!output.status.success(), "{}", told(&output));
    assert!(
        world
            .notme_ok(&["trust", "show"])
            .contains("no authority is trusted")
    );
    let malformed = world.notme(&[
        "trust",
        "add",
        "--name",
        "notme",
        "--pin",
        "xyz",
        bundle.to_str().unwrap(),
    ]);
    assert_eq!(malformed.status.code(), Some(2), "{}", told(&malformed));
}

#[test]
fn a_trust_document_is_not_taken_on_its_own_word() {
    let world = World::initialised();
    let document = world.notme_home().join("data/trust/embedded/trust.json");
    let other = World::new();
    let output = other.notme(&[
        "trust",
        "add",
        "--name",
        "theirs",
        document.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(told(&output).contains("--pin "), "{}", told(&output));
    let wrong = "11".repeat(32);
    let output = other.notme(&[
        "trust",
        "add",
        "--name",
        "theirs",
        "--pin",
        &wrong,
        document.to_str().unwrap(),
    ]);
    assert!(!output.status.success(), "{}", told(&output));
}

/// Serves one answer for any path, once for each connection.
fn serve(status: &'static str, body: Vec<u8>) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().take(4) {
            let mut stream = stream.unwrap();
            let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = std::io::Write::write_all(&mut stream, &[head.as_bytes(), &body].concat());
        }
    });
    url
}

#[test]
fn an_authority_cannot_choose_to_be_trusted_without_a_pin() {
    let world = World::new();
    let pem = testdata::bytes("notme-authority/prod/ca/ca.pem");
    for (status, arguments) in [
        ("404 Not Found", &[][..]),
        ("200 OK", &[]),
        ("200 OK", &["--pem"]),
    ] {
        let url = serve(status, pem.clone());
        let output = world.notme(&[&["trust", "add", "--name", "x", &url], arguments].concat());
        assert!(!output.status.success(), "{}", told(&output));
        assert!(
            world
                .notme_ok(&["trust", "show"])
                .contains("no authority is trusted")
        );
    }
    let pin = "a".repeat(64);
    let url = serve("200 OK", pem);
    let sniffed = world.notme(&["trust", "add", "--name", "x", "--pin", &pin, &url]);
    assert!(!sniffed.status.success(), "{}", told(&sniffed));
}

/// Its root has the key that the pin names, and takes nothing back.
#[test]
fn a_file_that_is_pinned_is_a_trust_document_unless_somebody_says_otherwise() {
    let world = World::initialised();
    let roots = world.home().join("roots.pem");
    fs::write(&roots, world.notme_ok(&["trust", "export", "--pem"])).unwrap();
    let shown = world.notme_ok(&["trust", "show", "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let pin = &shown["authorities"][0]["roots"][0]["spki_sha256"];
    let auditor = World::new();
    let (pin, roots) = (pin.as_str().unwrap(), roots.to_str().unwrap());
    let add = ["trust", "add", "--name", "theirs", "--pin", pin, roots];
    let refused = auditor.notme(&add);
    assert_eq!(refused.status.code(), Some(2), "{}", told(&refused));
    assert!(told(&refused).contains("no trust document"));
    assert!(!auditor.notme_ok(&["trust", "show"]).contains("theirs"));
    let taken = auditor.notme(&[&add[..], &["--pem"]].concat());
    assert!(taken.status.success(), "{}", told(&taken));
    let hint = "hint: certificates never say what was revoked";
    assert!(told(&taken).contains(hint), "{}", told(&taken));
}

#[test]
fn one_trust_document_is_exported() {
    let world = World::new();
    let export = ["trust", "export", "--document"];
    let none = world.notme(&export);
    assert_eq!(none.status.code(), Some(3), "{}", told(&none));
    world.notme_ok(&["init"]);
    let embedded = world.notme_ok(&export);
    let other = notme_testkit::cast::TestAuthority::new(1);
    let now = UnixTime::from(SystemTime::now());
    let envelope = other.trust_document(1, now);
    let file = world.home().join("document");
    fs::write(&file, &envelope).unwrap();
    let pin = notme_core::hex::encode(&other.pins()[0]);
    let file = file.to_str().unwrap();
    world.notme_ok(&["trust", "add", "--name", "x", "--pin", &pin, file]);
    let two = world.notme(&export);
    assert_eq!(two.status.code(), Some(2), "{}", told(&two));
    let named = |name| world.notme_ok(&["trust", "export", "--document", "--name", name]);
    assert_eq!(named("embedded"), embedded);
    assert_eq!(named("x").into_bytes(), envelope);
}

#[test]
fn what_an_authority_says_cannot_move_the_cursor() {
    let world = World::new();
    let document = notme_testkit::cast::TestAuthority::new(1);
    let now = UnixTime::from(SystemTime::now());
    let mut value = serde_json::to_value(document.trust(1, now)).unwrap();
    value["\u{1b}]0;owned\u{7}\u{1b}[2J"] = 1.into();
    let keys: [&dyn notme_core::key::Signer; 2] = [document.ed25519_key(), document.p256_key()];
    let envelope = notme_core::dsse::Envelope::sign(
        notme_core::trust::PAYLOAD_TYPE,
        value.to_string().into_bytes(),
        &keys,
    );
    let file = world.home().join("document");
    fs::write(&file, envelope.unwrap().to_json().unwrap()).unwrap();
    let pin = notme_core::hex::encode(&document.pins()[0]);
    let output = world.notme(&[
        "trust",
        "add",
        "--name",
        "x",
        "--pin",
        &pin,
        file.to_str().unwrap(),
    ]);
    assert!(!output.status.success());
    assert!(!output.stderr.contains(&0x1b), "{}", told(&output));
}

/// Nothing was stored, so there is nothing to remove.
#[test]
fn a_pin_that_does_not_fit_is_said_to_be_one() {
    let world = World::new();
    let now = UnixTime::from(SystemTime::now());
    let authority = notme_testkit::cast::TestAuthority::new(1);
    let pem = authority.p256_root().pem().into_bytes();
    let document = authority.trust_document(1, now);
    for (source, bytes, more) in [("document", document, &[][..]), ("pem", pem, &["--pem"])] {
        let file = world.home().join(source);
        fs::write(&file, bytes).unwrap();
        let (file, pin) = (file.to_str().unwrap(), "0".repeat(64));
        let add = ["trust", "add", "--name", "x", "--pin", &pin, file];
        let output = world.notme(&[&add[..], more].concat());
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        let said = told(&output);
        assert!(!said.contains("Remove the authority"), "{said}");
        assert!(said.contains("hint: bundle-invalid: "), "{said}");
        assert!(said.contains("--pin"), "{said}");
    }
}

/// Somebody who trusts a person's SSH key, and the key's pin.
fn trusting(name: &str) -> (World, String) {
    let world = World::new();
    let key = notme_testkit::keys::Ed25519Key::from_seed([1; 32]);
    let key = notme_core::key::Signer::public_key(&key);
    let bytes = key.ed25519_bytes().unwrap();
    let blob = [&b"\0\0\0\x0bssh-ed25519\0\0\0\x20"[..], &bytes].concat();
    let line = notme_core::base64::encode(&blob);
    let file = world.home().join("signers");
    fs::write(&file, format!("{name} ssh-ed25519 {line}\n")).unwrap();
    let file = file.to_str().unwrap();
    world.notme_ok(&["trust", "add", "--name", "x", "--allowed-signers", file]);
    (world, notme_core::hex::encode(&key.spki_sha256()))
}

/// A policy names people's keys by it.
#[test]
fn show_has_the_pin_of_a_persons_ssh_key() {
    let (world, pin) = trusting("alice@example.org");
    let shown = world.notme_ok(&["trust", "show"]);
    let line = format!(" alice@example.org\n    pin    {pin}\n");
    assert!(shown.contains(&line), "{shown}");
    let json: Value = serde_json::from_str(&world.notme_ok(&["trust", "show", "--json"])).unwrap();
    let signer = &json["authorities"][0]["ssh"]["allowed_signers"][0];
    assert_eq!(signer["spki_sha256"], *pin);
}

#[test]
fn json_of_what_others_wrote_cannot_move_the_cursor() {
    let name = "evil\u{9b}31m\u{202e}";
    let (world, _) = trusting(name);
    let json = world.notme_ok(&["trust", "show", "--json"]);
    let is_moving = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!json.contains(is_moving), "{json:?}");
    let shown: Value = serde_json::from_str(&json).unwrap();
    let signer = &shown["authorities"][0]["ssh"]["allowed_signers"][0];
    assert_eq!(signer["principals"], name, "{json}");
}

#[test]
fn a_lost_record_of_what_was_seen_is_no_first_run() {
    let world = World::initialised();
    world.signed_commit("a");
    fs::remove_file(world.notme_home().join("state/trust/embedded.json")).unwrap();
    assert_eq!(world.code("HEAD", &[]), "trust-state-missing");
    assert_eq!(world.notme(&["verify"]).status.code(), Some(3));
    assert_eq!(world.notme(&["trust", "show"]).status.code(), Some(3));
}

#[test]
fn refresh_asks_the_authority_and_starts_the_embedded_one() {
    let world = World::initialised();
    for _ in 0..2 {
        let out = world.notme_ok(&["trust", "refresh"]);
        assert!(out.contains("embedded: up to date"), "{out}");
        world.notme_ok(&["authority", "stop"]);
    }
}

/// Hosts are often called alike, and a trust domain is the host's name unless somebody says otherwise.
#[test]
fn whoever_trusts_a_host_of_the_same_name_founds_their_own_domain() {
    let (other, world) = (World::initialised(), World::new());
    let document = world.home().join("other.json");
    let exported = other.notme_ok(&["trust", "export", "--document"]);
    fs::write(&document, exported).unwrap();
    let shown = other.notme_ok(&["trust", "show"]);
    let (_, pin) = shown.split_once("pin").unwrap();
    let pin = pin.split_whitespace().next().unwrap();
    let add = ["trust", "add", "--name", "other", "--pin", pin];
    world.notme_ok(&[&add[..], &[document.to_str().unwrap()]].concat());
    let refused = world.notme(&["init"]);
    assert_eq!(refused.status.code(), Some(2), "{}", told(&refused));
    let hint = "`notme authority init --trust-domain NAME`, before `notme init`";
    assert!(told(&refused).contains(hint), "{}", told(&refused));
    world.notme_ok(&["authority", "stop"]);
    let directory = world.notme_home().join("data/authority");
    fs::rename(&directory, directory.with_extension("old")).unwrap();
    world.notme_ok(&["authority", "init", "--trust-domain", "own.example"]);
    world.notme_ok(&["init"]);
    world.signed_commit("a");
    assert_eq!(world.code("HEAD", &[]), "accepted");
}

/// As after a copy of the store was played back.
#[test]
fn whatever_refreshes_replaces_a_document_that_is_older_than_one_seen() {
    for refresh in [&["trust", "refresh"][..], &["verify", "--refresh"]] {
        let world = World::initialised();
        world.signed_commit("a");
        let document = world.notme_home().join("data/trust/embedded/trust.json");
        let old = fs::read(&document).unwrap();
        world.notme_ok(&["authority", "revoke", "certificate", "00ffee0011"]);
        world.notme_ok(&["trust", "refresh"]);
        fs::write(&document, &old).unwrap();
        assert_eq!(world.code("HEAD", &[]), "bundle-rollback");
        world.notme_ok(refresh);
        assert_eq!(world.code("HEAD", &[]), "accepted");
    }
}

/// As two people on two machines have it: each one's authority answers that one alone.
#[test]
fn refresh_of_somebody_elses_embedded_authority_says_by_what_it_is_done() {
    let (alice, world) = (World::initialised(), World::new());
    let shown: Value = serde_json::from_str(&alice.notme_ok(&["trust", "show", "--json"])).unwrap();
    let pin = shown["authorities"][0]["roots"][0]["spki_sha256"].as_str();
    let file = world.home().join("alice.json");
    fs::write(&file, alice.notme_ok(&["trust", "export", "--document"])).unwrap();
    let file = file.to_str().unwrap();
    world.notme_ok(&[
        "trust",
        "add",
        "--name",
        "alice",
        "--pin",
        pin.unwrap(),
        file,
    ]);
    let output = world.notme(&["trust", "refresh", "alice"]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    for part in [
        "`alice` is embedded",
        "`notme trust refresh alice --from FILE`",
    ] {
        assert!(told(&output).contains(part), "{part}: {}", told(&output));
    }
    world.notme_ok(&["trust", "refresh", "alice", "--from", file]);
}

#[test]
fn files_that_cannot_be_read_are_said_by_name() {
    let world = World::new();
    let output = world.notme(&["trust", "add", "--name", "x", "/nonexistent.pem"]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(
        told(&output).contains("/nonexistent.pem"),
        "{}",
        told(&output)
    );
    let empty = world.home().join("empty");
    fs::write(&empty, "").unwrap();
    assert!(
        !world
            .notme(&["trust", "add", "--name", "x", empty.to_str().unwrap()])
            .status
            .success()
    );
}

const ALICE: &str = "Alice <alice@example.org>";
const BOB: &str = "Bob <bob@example.org>";

fn payload(world: &World) -> Vec<u8> {
    CommitSpec {
        at: UnixTime::from(SystemTime::now()),
        ..CommitSpec::new(&world.empty_tree())
    }
    .payload()
}

/// Stores a commit that somebody's gpg signed.
fn signed_by(world: &World, gpg: &Gnupg, who: &str) -> String {
    let payload = payload(world);
    let signature = String::from_utf8(gpg.sign(who, &payload)).unwrap();
    world.store(&with_signature(&payload, "gpgsig", &signature))
}

#[test]
fn a_signature_by_an_openpgp_key_that_is_not_here_says_which_it_claims() {
    let (world, gpg) = (World::initialised(), Gnupg::new());
    let fingerprint = gpg.generate(ALICE, "ed25519", "sign", "never");
    let claimed = format!("openpgp4fpr:{}", fingerprint.to_ascii_lowercase());
    let id = signed_by(&world, &gpg, ALICE);
    let (_, document) = world.verdicts(&[&id]);
    let object = &document["objects"][0];
    assert_eq!(object["code"], "signer-untrusted");
    assert_eq!(object["claimed"], claimed.as_str());
    assert_eq!(
        (&object["kid"], &object["identity"]),
        (&Value::Null, &Value::Null)
    );
    let text = told(&world.notme(&["verify", &id]));
    assert!(text.contains(&format!("claims to be {claimed}")), "{text}");
    assert!(
        text.contains("`--openpgp` or `--allowed-signers`"),
        "{text}"
    );
    let explained = told(&world.notme(&["explain", &id]));
    assert!(explained.contains(&claimed), "{explained}");
    assert!(explained.contains("Neither the key itself"), "{explained}");

    world.trust_person(&gpg, ALICE);
    let (exit, document) = world.verdicts(&[&id]);
    assert_eq!(exit, Some(0), "{document}");
    assert_eq!(document["objects"][0]["claimed"], Value::Null);
}

/// What people do with a newer copy of a key: append it, or add it as another file.
#[test]
fn copies_of_a_key_are_one_key_whichever_comes_first() {
    let (world, gpg) = (World::initialised(), Gnupg::new());
    let fingerprint = gpg.generate(ALICE, "ed25519", "sign", "never");
    let new_name = "Alice <alice@new.example>";
    gpg.ok(&["--quick-add-uid", &fingerprint, new_name], b"");
    let id = signed_by(&world, &gpg, &fingerprint);
    let old = gpg.ok(&["--export"], b"");
    gpg.ok(&["--quick-revoke-uid", &fingerprint, ALICE], b"");
    let new = gpg.ok(&["--export"], b"");
    let add = |name: &str, keys: &[&[u8]]| {
        let file = world.home().join("keys.gpg");
        fs::write(&file, keys.concat()).unwrap();
        let file = file.to_str().unwrap();
        let add = ["trust", "add", "--name", name, "--openpgp", file];
        told(&world.notme(&add))
    };
    let check = |names: &[&str]| {
        let (exit, document) = world.verdicts(&[&id]);
        assert_eq!(exit, Some(0), "{document}");
        let identity = &document["objects"][0]["identity"];
        assert_eq!(identity, "mailto:alice@new.example");
        for name in names {
            world.notme_ok(&["trust", "remove", name]);
        }
    };
    for [first, second] in [[&old, &new], [&new, &old]] {
        let said = add("a", &[first, second]);
        assert_eq!(said.matches(&fingerprint).count(), 1, "{said}");
        assert!(!said.contains(ALICE), "{said}");
        check(&["a"]);
        add("a", &[first]);
        add("b", &[second]);
        check(&["a", "b"]);
    }
}

#[test]
fn a_file_of_keys_may_hold_several_armors_as_people_send_them() {
    let (world, gpg) = (World::initialised(), Gnupg::new());
    for who in [ALICE, BOB] {
        gpg.generate(who, "ed25519", "sign", "never");
    }
    let armored =
        |who: &str| String::from_utf8(gpg.ok(&["--armor", "--export", who], b"")).unwrap();
    let (alice, bob) = (armored(ALICE), armored(BOB));
    let file = world.home().join("keys.asc");
    let add = |text: &str| {
        fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        world.notme(&["trust", "add", "--name", "team", "--openpgp", file])
    };
    for text in [
        format!("{alice}{bob}"),
        format!(
            "\nHere is mine:\r\n\n{alice}\n-- \nand his\n{}Bye",
            bob.replace('\n', "\r\n")
        ),
    ] {
        let output = add(&text);
        assert!(output.status.success(), "{}", told(&output));
        for who in [ALICE, BOB] {
            assert!(told(&output).contains(who), "{}", told(&output));
            assert_eq!(world.code(&signed_by(&world, &gpg, who), &[]), "accepted");
        }
        world.notme_ok(&["trust", "remove", "team"]);
    }
    // What stands there and cannot be read is not passed over.
    for text in [
        format!(
            "{alice}{}",
            bob.replace("-----END PGP PUBLIC KEY BLOCK-----", "")
        ),
        format!(
            "{alice}{}",
            bob.replace("PUBLIC KEY BLOCK", "PRIVATE KEY BLOCK")
        ),
        format!("{alice}{}", bob.replacen("\nm", "\nn", 1)),
        "no key".to_owned(),
    ] {
        let output = add(&text);
        assert_eq!(output.status.code(), Some(3), "{text}{}", told(&output));
        let hint = "trust-unreadable: nothing was added";
        assert!(told(&output).contains(hint), "{}", told(&output));
    }
    let shown = world.notme_ok(&["trust", "show"]);
    assert!(!shown.contains("team"), "{shown}");
}

#[test]
fn a_list_is_shown_with_its_times_and_replaced_and_not_refreshed() {
    let world = World::initialised();
    let script = r#"
set -e
cd "$HOME"
ssh-keygen -q -t ed25519 -N '' -C '' -f key
printf 'a@x %s\nb@x valid-after="20240101Z",valid-before="20300101Z" %s\n' "$(cat key.pub)" "$(cat key.pub)" > signers
notme trust add --name ssh --allowed-signers signers
"#;
    shell(&world, script);
    let shown = world.notme_ok(&["trust", "show"]);
    let times = " b@x, valid-after 2024-01-01T00:00:00Z, valid-before 2030-01-01T00:00:00Z\n";
    assert!(shown.contains(times), "{shown}");
    assert!(shown.contains(" a@x\n"), "{shown}");
    let anew = "`notme trust remove ssh`, then `notme trust add` it";
    let refreshed = world.notme_ok(&["trust", "refresh", "ssh"]);
    let said = "ssh: a list that you gave, nothing to fetch; ";
    assert!(
        refreshed.starts_with(said) && refreshed.contains(anew),
        "{refreshed}"
    );
    let signers = world.home().join("signers");
    let from = [
        "trust",
        "refresh",
        "ssh",
        "--from",
        signers.to_str().unwrap(),
    ];
    let output = world.notme(&from);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(
        told(&output).contains(&format!("hint: to trust a newer one: {anew}")),
        "{}",
        told(&output)
    );
    let kept = world.notme_home().join("data/trust/ssh/allowed_signers");
    fs::write(kept, "").unwrap();
    let output = world.notme(&["trust", "refresh", "ssh"]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    world.notme_ok(&["trust", "remove", "ssh"]);
    shell(
        &world,
        "cd \"$HOME\"; notme trust add --name ssh --allowed-signers signers",
    );
}

#[test]
fn of_whom_a_line_does_not_allow_both_names_are_told() {
    let world = World::initialised();
    let script = r#"
set -e
cd "$HOME"
for key in ca key; do ssh-keygen -q -t ed25519 -N '' -C '' -f "$key"; done
ssh-keygen -q -s ca -I bob -n bob@other.example -V -1h:+1h key.pub
printf '*@e.example cert-authority,namespaces="git" %s\n' "$(cat ca.pub)" > signers
notme trust add --name ssh --allowed-signers signers
"#;
    shell(&world, script);
    let payload = payload(&world);
    let sign = "ssh-keygen -Y sign -q -n git -f \"$HOME/key-cert.pub\"";
    let signature = run(&mut world.shell(sign), &payload);
    assert!(signature.status.success(), "{}", told(&signature));
    let signature = String::from_utf8(signature.stdout).unwrap();
    let id = world.store(&with_signature(&payload, "gpgsig", &signature));
    assert_eq!(world.code(&id, &[]), "identity-missing");
    let output = told(&world.notme(&["verify", &id]));
    let words: Vec<_> = output.split_whitespace().collect();
    let detail =
        "the line for this CA allows `*@e.example`, the certificate names `bob@other.example`";
    assert!(words.join(" ").contains(detail), "{output}");
}

#[test]
fn an_export_by_name_needs_that_authority_alone() {
    let (world, gpg) = (World::initialised(), Gnupg::new());
    gpg.generate(BOB, "ed25519", "sign", "never");
    world.trust_person(&gpg, "bob@example.org");
    fs::write(world.notme_home().join("data/trust/team/keys.pgp"), "").unwrap();
    let export = |more: &[&str]| world.notme(&[&["trust", "export"], more].concat());
    let pem = export(&["--name", "embedded", "--pem"]);
    assert!(pem.status.success(), "{}", told(&pem));
    for more in [&["--pem"][..], &["--openpgp", "--name", "team"]] {
        let output = export(more);
        assert_eq!(output.status.code(), Some(3), "{}", told(&output));
        let said = "authority `team` cannot be read";
        assert!(told(&output).contains(said), "{}", told(&output));
    }
    // Nobody knows who is in a store that cannot be listed.
    let store = world.notme_home().join("data/trust");
    fs::remove_dir_all(&store).unwrap();
    fs::write(&store, "").unwrap();
    let output = export(&["--name", "embedded", "--pem"]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(
        told(&output).contains("`*` cannot be read"),
        "{}",
        told(&output)
    );
}

#[test]
fn show_says_which_keys_of_a_person_are_revoked_or_end() {
    let (world, gpg) = (World::initialised(), Gnupg::new());
    let alice = gpg.generate(ALICE, "ed25519", "sign", "never");
    let bob = gpg.generate(BOB, "ed25519", "sign", "2099-01-01");
    gpg.ok(
        &["--quick-add-key", &bob, "ed25519", "sign", "2098-01-01"],
        b"",
    );
    let words = ["--no-batch", "--command-fd=0", "--gen-revoke", &alice];
    gpg.ok(&["--import"], &gpg.ok(&words, b"y\n1\n\ny\n"));
    world.trust_person(&gpg, "example.org");
    let shown = world.notme_ok(&["trust", "show"]);
    let line = |of: &str| shown.lines().find(|line| line.contains(of)).unwrap();
    let since = "1970-01-01T00:00:00Z: its owner revoked the key";
    let revoked = format!("key      {alice}, revoked since {since}");
    assert_eq!(line(&alice).trim(), revoked);
    let [_, subkey] = &gpg.fingerprints(&bob)[..] else {
        panic!("a key and its subkey");
    };
    assert!(!line(&bob).contains("revoked"), "{shown}");
    assert!(line(&bob).contains(", until 2099-01-01T"), "{shown}");
    assert!(line(subkey).contains(", until 2098-01-01T"), "{shown}");

    let shown: Value = serde_json::from_str(&world.notme_ok(&["trust", "show", "--json"])).unwrap();
    let authorities = shown["authorities"].as_array().unwrap();
    let team = authorities.iter().find(|it| it["name"] == "team").unwrap();
    let people = team["openpgp"].as_array().unwrap();
    let of = |fingerprint: &str| {
        let person = people.iter().find(|it| it["fingerprint"] == fingerprint);
        person.unwrap()["keys"].as_array().unwrap()
    };
    assert_eq!(of(&alice)[0]["revoked"]["since"], "1970-01-01T00:00:00Z");
    let [primary, below] = &of(&bob)[..] else {
        panic!("a key and its subkey: {shown}");
    };
    assert_eq!(below["fingerprint"], **subkey);
    for (key, year) in [(primary, "2099"), (below, "2098")] {
        assert_eq!(key["revoked"], Value::Null);
        assert!(key["until"].as_str().unwrap().starts_with(year), "{key}");
    }
}

/// Of two keyrings with one key, the newer has its revocation.
#[test]
fn what_took_a_key_back_and_cannot_be_read_leaves_it_undecided() {
    let world = World::initialised();
    let ours = world.signed_commit("a");
    let gpg = Gnupg::new();
    let [rita, bob] = ["rita@example.org", "bob@example.org"].map(|email| {
        gpg.generate(&format!("{email} <{email}>"), "ed25519", "sign", "never");
        openpgp_commit(&world, &gpg, email)
    });
    let add = |name: &str, emails: &[&str]| {
        let keys = world.home().join(name);
        let exported = gpg.ok(&[&["--export"], emails].concat(), b"");
        fs::write(&keys, exported).unwrap();
        let keys = keys.to_str().unwrap();
        world.notme_ok(&["trust", "add", "--openpgp", "--name", name, keys]);
    };
    let check = |expected: [&str; 3]| {
        let found = [&ours, &rita, &bob].map(|commit| world.code(commit, &[]));
        assert_eq!(found, expected);
    };
    add("older", &["rita@example.org", "bob@example.org"]);
    check(["accepted"; 3]);
    let words = ["--no-batch", "--command-fd=0", "--gen-revoke", "rita"];
    let revocation = gpg.ok(&words, b"y\n1\n\ny\n");
    gpg.ok(&["--import"], &revocation);
    add("newer", &["rita@example.org"]);
    check(["accepted", "revoked", "accepted"]);

    let store = world.notme_home().join("data/trust");
    let damage = |name: &str| {
        let file = store.join(name);
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..20]).unwrap();
        move || fs::write(&file, &bytes).unwrap()
    };
    let mend = damage("newer/keys.pgp");
    check(["accepted", "trust-unreadable", "accepted"]);
    let output = world.notme(&["verify", &rita]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    // Nobody can tell whom it took back.
    let mend_pin = damage("newer/pin.json");
    check(["trust-unreadable"; 3]);
    mend_pin();
    mend();
    check(["accepted", "revoked", "accepted"]);
    // As after an attempt to add one that broke off.
    fs::create_dir(store.join("leftover")).unwrap();
    check(["accepted", "revoked", "accepted"]);
    // Its documents are of no other's keys, and take back none of theirs.
    let _mend = damage("embedded/trust.json");
    check(["trust-unreadable", "revoked", "accepted"]);
}

/// As two copies of a store in one directory have it.
#[test]
fn a_trust_document_that_cannot_be_read_leaves_its_roots_undecided_elsewhere() {
    let world = World::initialised();
    world.signed_commit("a");
    let kid = world.verdicts(&["HEAD"]).1["objects"][0]["kid"].clone();
    let copy = |name: &str| {
        let script = format!(
            "mkdir -p trust && cp -r '{}' trust/{name}",
            world.notme_home().join("data/trust/embedded").display()
        );
        let script = format!("cd '{}' && {script}", world.home().display());
        assert!(world.shell(&script).status().unwrap().success());
    };
    copy("older");
    let since = ["--since", "2026-01-01T00:00:00Z"];
    let kid = kid.as_str().unwrap();
    world.notme_ok(&[&["authority", "revoke", "key", kid][..], &since].concat());
    world.notme_ok(&["trust", "refresh"]);
    copy("newer");
    let store = world.home().join("trust");
    let trust = ["--trust", store.to_str().unwrap()];
    assert_eq!(world.code("HEAD", &trust), "revoked");
    let revoked = world.notme(&[&["verify", "--revoked"], &trust[..]].concat());
    assert_eq!(revoked.status.code(), Some(1), "{}", told(&revoked));
    fs::write(store.join("newer/trust.json"), "{}").unwrap();
    assert_eq!(world.code("HEAD", &trust), "trust-unreadable");
}

#[test]
fn a_directory_in_a_trust_store_moves_no_cursor_by_its_name() {
    let world = World::initialised();
    world.signed_commit("a");
    let name = "ev\x1b[31mil\nnote: all good";
    fs::create_dir(world.notme_home().join("data/trust").join(name)).unwrap();
    for arguments in [
        &["verify"][..],
        &["verify", "--format", "html"],
        &["verify", "--format", "markdown"],
        &["verify", "--revoked"],
        &["trust", "show"],
        &["trust", "refresh"],
        &["trust", "export", "--pem"],
        &["doctor"],
    ] {
        let output = told(&world.notme(arguments));
        assert!(output.contains("il\\nnote: all good"), "{output}");
        assert!(!output.contains('\x1b'), "{output}");
    }
    // No authority ever had such a name.
    assert_eq!(world.code("HEAD", &[]), "accepted");
}

#[test]
fn the_certificate_of_a_company_is_read_in_either_encoding() {
    let world = World::new();
    let add = |name: &str, source: &Path| {
        let add = ["trust", "add", "--x509", "--name", name];
        world.notme(&[&add[..], &[source.to_str().unwrap()]].concat())
    };
    let pem = testdata::path("notme-authority/prod/ca/ca.pem");
    let root = Certificate::pem_bundle(&fs::read_to_string(&pem).unwrap()).unwrap();
    let der = world.home().join("ca.der");
    fs::write(&der, root[0].der()).unwrap();
    let output = add("der", &der);
    assert!(output.status.success(), "{}", told(&output));
    let shown = world.notme_ok(&["trust", "show"]);
    assert!(shown.contains(&root[0].kid().to_string()), "{shown}");
    fs::write(&der, "garbage").unwrap();
    let output = add("none", &der);
    assert!(
        told(&output).contains("no PEM certificate"),
        "{}",
        told(&output)
    );
}
