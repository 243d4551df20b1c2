//! `notme authority rotate`, as an operator runs it and as signers and verifiers feel it.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use notme_testkit::repository::run;
use serde_json::Value;

use crate::world::{Served, World, free_port, told};

const POLICY: &str = ".notme/policy.toml";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Waits until the second is over in which something was signed or retired.
fn next_second(world: &World) {
    let now =
        || json(&world.notme_ok(&["verify", "--all", "--format", "json"]))["asked_at"].clone();
    let before = now();
    while now() == before {
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_was_signed_before_stays_good_and_what_is_signed_after_is_too() {
    for format in ["x509", "ssh", "openpgp"] {
        let world = World::new();
        world.notme_ok(&["init", "--agent", "claude", "--format", format]);
        let before = world.signed_commit("before");
        let said = json(&world.notme_ok(&["authority", "rotate", "--json"]));
        assert_eq!(said[0]["state"], "retired", "{said}");
        assert_eq!(said[1]["state"], "active", "{said}");
        let after = world.signed_commit("after");
        for commit in [&before, &after] {
            assert_eq!(world.code(commit, &[]), "accepted", "{format}");
        }
        let (_, report) = world.verdicts(&[&after]);
        let kid = &report["objects"][0]["authority"];
        if format == "x509" {
            assert_eq!(*kid, said[1]["roots"][0]["kid"], "{report}");
        }
        // git asks the same verifier.
        world.git_ok(&["verify-commit", &before]);
        world.git_ok(&["verify-commit", &after]);
    }
}

#[test]
fn keys_can_be_announced_before_they_are_used() {
    let world = World::initialised();
    world.signed_commit("a");
    let said = world.notme_ok(&["authority", "rotate", "--prepare"]);
    assert!(said.contains("epoch 2 is prepared"), "{said}");
    let shown = world.notme_ok(&["trust", "show"]);
    assert_eq!(shown.matches(", prepared").count(), 5, "{shown}");
    let again = world.notme(&["authority", "rotate", "--prepare"]);
    assert_eq!(again.status.code(), Some(1), "{}", told(&again));
    assert!(told(&again).contains("--activate"), "{}", told(&again));
    // What is only prepared is for nobody's files.
    for form in ["--pem", "--openpgp", "--allowed-signers"] {
        let before = world.notme_ok(&["trust", "export", form]);
        let marks = ["BEGIN CERTIFICATE", "cert-authority"];
        let count: usize = marks.iter().map(|mark| before.matches(mark).count()).sum();
        let expected = match form {
            "--pem" => 2,
            "--openpgp" => 0,
            _ => 1,
        };
        assert_eq!(count, expected, "{before}");
    }
    world.signed_commit("b");
    assert_eq!(world.code("HEAD", &[]), "accepted");
    let said = world.notme_ok(&["authority", "rotate", "--activate"]);
    assert!(said.contains("epoch 2 issues since"), "{said}");
    assert!(said.contains("epoch 1 issued from"), "{said}");
    world.signed_commit("c");
    assert_eq!(world.code("HEAD", &[]), "accepted");
    let early = world.notme(&["authority", "rotate", "--retire"]);
    assert_eq!(early.status.code(), Some(1), "{}", told(&early));
    assert!(told(&early).contains("valid until"), "{}", told(&early));
    let both = world.notme(&["authority", "rotate", "--prepare", "--retire"]);
    assert_eq!(both.status.code(), Some(2), "{}", told(&both));
    let status = world.notme_ok(&["authority", "status"]);
    assert!(status.contains("other keys    epoch 1 issued"), "{status}");
}

#[test]
fn a_policy_that_names_roots_is_told_the_next_ones_in_time() {
    for format in ["x509", "ssh", "openpgp"] {
        let world = World::new();
        world.notme_ok(&["init", "--agent", "claude", "--format", format]);
        world.signed_commit("a");
        world.notme_ok(&["policy", "init"]);
        world.git_ok(&["add", POLICY]);
        world.git_ok(&["commit", "-q", "-m", "policy"]);
        let root = world.git_ok(&["rev-parse", "HEAD"]);
        assert!(!world.notme_ok(&["policy", "check"]).contains("newer root"));
        let prepared = world.notme(&["authority", "rotate", "--prepare"]);
        assert!(
            told(&prepared).contains("`notme policy check` says which"),
            "{}",
            told(&prepared)
        );
        let checked = world.notme_ok(&["policy", "check"]);
        let next: Vec<_> = checked
            .split("`embedded` has a newer root, ")
            .skip(1)
            .filter_map(|rest| Some(rest.split_once(',')?.0))
            .collect();
        assert_eq!(next.len(), 4, "{checked}");

        // Whose policy does not name them has to name another trust root.
        world.git_ok(&["branch", "late"]);
        let path = world.path().join(POLICY);
        let mut text = fs::read_to_string(&path).unwrap();
        for spki in next {
            text.push_str(&format!(
                "[[authority]]\nspki_sha256 = \"{spki}\"\nlabel = \"embedded\"\n"
            ));
        }
        fs::write(&path, text).unwrap();
        assert!(!world.notme_ok(&["policy", "check"]).contains("newer root"));
        world.git_ok(&["commit", "-q", "-a", "-m", "the next roots"]);
        world.notme_ok(&["authority", "rotate", "--activate"]);
        next_second(&world);
        world.signed_commit("b");
        let (exit, document) = world.verdicts(&["--all", "--trust-root", &root]);
        assert_eq!(exit, Some(0), "{format} {document}");
        world.git_ok(&["switch", "-q", "late"]);
        let late = world.signed_commit("c");
        let refused = world.notme(&["verify", &late, "--trust-root", &root]);
        assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
        let said = told(&refused);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in [
            "signer-untrusted",
            "(the policy names no authority with the root ",
            " of `embedded`)",
        ] {
            assert!(said.contains(words), "{format} {said}");
        }
    }
}

/// Whoever kept a certificate of the old keys can still sign with it; the date gives it away.
#[test]
fn a_signature_by_retired_keys_is_refused_by_a_code_of_its_own() {
    let world = World::initialised();
    world.signed_commit("a");
    let directory = world.notme_home().join("data/authority");
    world.notme_ok(&["authority", "stop"]);
    let place = ["--dir", directory.to_str().unwrap()];
    world.notme_ok(&[&["authority", "rotate"], &place[..]].concat());
    // The key agent cannot start the authority, and signs with what it has.
    let (kek, aside) = (directory.join("kek"), directory.join("aside"));
    fs::rename(&kek, &aside).unwrap();
    next_second(&world);
    world.signed_commit("b");
    fs::rename(&aside, &kek).unwrap();
    world.notme_ok(&["trust", "refresh"]);
    let floor = world.policy_with_floor("declared");
    assert_eq!(world.code("HEAD", &["--policy", &floor]), "root-retired");
    assert_eq!(world.code("HEAD~", &["--policy", &floor]), "accepted");
}

/// An operator with an authority at a URL, and somebody elsewhere who trusts it.
struct Elsewhere {
    operator: World,
    directory: PathBuf,
    address: String,
    served: Option<Served>,
    agent: World,
}

impl Elsewhere {
    fn new() -> Self {
        let operator = World::new();
        let directory = operator.home().join("authority");
        let address = format!("127.0.0.1:{}", free_port());
        let mut it = Self {
            directory,
            operator,
            address,
            served: None,
            agent: World::new(),
        };
        it.found("example.com");
        let token = it.operate(&[
            "enrol",
            "create",
            "--agent",
            "claude",
            "--principal",
            "alice",
        ]);
        let file = it.agent.home().join("token");
        fs::write(&file, token).unwrap();
        let pin = it.pin();
        let url = format!("http://{}", it.address);
        let file = file.to_str().unwrap();
        it.agent.notme_ok(&[
            "init",
            "--agent",
            "claude",
            "--authority",
            &url,
            "--pin",
            &pin,
            "--token-file",
            file,
        ]);
        it
    }

    /// Makes an authority and serves it.
    fn found(&mut self, trust_domain: &str) {
        self.operate(&["init", "--trust-domain", trust_domain]);
        self.serve(&self.directory.clone());
    }

    fn operate(&self, arguments: &[&str]) -> String {
        let place = ["--dir", self.directory.to_str().unwrap()];
        self.operator
            .notme_ok(&[&["authority"], arguments, &place[..]].concat())
    }

    fn pin(&self) -> String {
        let status = json(&self.operate(&["status", "--json"]));
        let pin = &status["authority"]["roots"][0]["spki_sha256"];
        pin.as_str().unwrap().to_owned()
    }

    /// Rotates, and has somebody read the document that says so.
    fn rotate(&self) {
        next_second(&self.agent);
        self.operate(&["rotate"]);
        self.document();
    }

    /// Returns the trust document as it is now.
    fn document(&self) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let request = "GET /v1/trust.json HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        body.to_owned()
    }

    /// Has a directory of the operator's served at the address.
    fn serve(&mut self, directory: &Path) {
        self.served = None;
        let url = format!("http://{}", self.address);
        let directory = directory.to_str().unwrap();
        let arguments = ["--dir", directory, "--url", &url, "--listen", &self.address];
        self.served = Some(Served::start(&self.operator, &arguments));
    }
}

#[test]
fn without_a_network_a_file_brings_what_is_new_and_nothing_else() {
    let mut it = Elsewhere::new();
    it.agent.signed_commit("a");
    let first = it.document();
    for _ in 0..2 {
        it.rotate();
    }
    it.agent.signed_commit("b");
    let third = it.document();
    // The same authority goes on in two ways.
    it.served = None;
    let fork = it.operator.home().join("fork");
    fs::create_dir(&fork).unwrap();
    fs::set_permissions(&fork, fs::Permissions::from_mode(0o700)).unwrap();
    for name in ["store.sqlite", "store.sqlite-wal", "kek"] {
        fs::copy(it.directory.join(name), fork.join(name)).unwrap();
    }
    let [next, forked] = [it.directory.clone(), fork].map(|directory| {
        let agent = directory.file_name().unwrap().to_str().unwrap();
        let identity = format!("wimse://example.com/alice/agents/{agent}");
        let place = ["--dir", directory.to_str().unwrap()];
        let revoke = ["authority", "revoke", "identity", &identity];
        it.operator.notme_ok(&[&revoke[..], &place].concat());
        it.serve(&directory);
        it.document()
    });
    it.served = None;
    let file = it.agent.home().join("document.json");
    let refresh = |document: &str| {
        fs::write(&file, document).unwrap();
        let from = ["--from", file.to_str().unwrap()];
        let listed = json(&it.agent.notme_ok(&["trust", "show", "--json"]));
        let name = listed["authorities"][0]["name"].as_str().unwrap();
        let output = it
            .agent
            .notme(&[&["trust", "refresh", name], &from[..]].concat());
        (output.status.code(), told(&output))
    };
    assert_eq!(it.agent.code("HEAD", &[]), "signer-untrusted");
    let (exit, said) = refresh(&third);
    assert_eq!(exit, Some(0), "{said}");
    assert!(said.contains("document 1 became 3"), "{said}");
    assert_eq!(it.agent.code("HEAD", &[]), "accepted");
    assert_eq!(refresh(&next).0, Some(0));
    for (document, code) in [
        // Nobody whom it walked on to signed that.
        (first.as_str(), "bundle-invalid"),
        (&third, "bundle-rollback"),
        (&forked, "bundle-equivocation"),
    ] {
        let (exit, said) = refresh(document);
        assert_eq!(exit, Some(1), "{code}: {said}");
        assert!(said.contains(&format!("hint: {code}: ")), "{code}: {said}");
        assert_eq!(it.agent.code("HEAD", &[]), "accepted");
    }
    let (exit, said) = refresh(&next);
    assert_eq!(exit, Some(0), "{said}");
    assert!(said.contains("up to date"), "{said}");
}

#[test]
fn signer_and_verifier_elsewhere_walk_over_rotations_that_they_missed() {
    let it = Elsewhere::new();
    it.agent.signed_commit("a");
    for _ in 0..2 {
        it.rotate();
    }
    // The key agent finds the way by itself, the verifier when it is told to.
    it.agent.signed_commit("b");
    assert_eq!(it.agent.code("HEAD", &[]), "signer-untrusted");
    let refreshed = it.agent.notme(&["trust", "refresh"]);
    assert!(refreshed.status.success(), "{}", told(&refreshed));
    let said = told(&refreshed);
    assert!(said.contains("document 1 became 3"), "{said}");
    assert!(!said.contains("was not checked"), "{said}");
    for commit in ["HEAD", "HEAD~"] {
        assert_eq!(it.agent.code(commit, &[]), "accepted");
    }
    // Who comes now and pins what is in use today judges the past, too.
    let home = it.agent.home().join("late");
    let late = |arguments: &[&str]| {
        let mut command = it.agent.notme_command();
        let output = run(command.env("NOTME_HOME", &home).args(arguments), b"");
        assert!(output.status.success(), "{}", told(&output));
    };
    let url = format!("http://{}", it.address);
    late(&["trust", "add", "--name", "ci", "--pin", &it.pin(), &url]);
    late(&["verify", "--all"]);
}

#[test]
fn what_is_known_is_refreshed_when_it_is_old_or_when_asked_to() {
    let mut it = Elsewhere::new();
    it.agent.signed_commit("a");
    let fresh = it
        .agent
        .notme_ok(&["trust", "refresh", "--max-age", "3600"]);
    assert!(fresh.contains("fresh enough"), "{fresh}");
    it.rotate();
    it.agent.signed_commit("b");
    assert_eq!(it.agent.code("HEAD", &[]), "signer-untrusted");
    assert_eq!(it.agent.code("HEAD", &["--refresh"]), "accepted");
    next_second(&it.agent);
    let old = it.agent.notme_ok(&["trust", "refresh", "--max-age", "0"]);
    assert!(old.contains("up to date"), "{old}");
    // Nobody there: what is known goes on, and it is said.
    it.served = None;
    let output = it.agent.notme(&["verify", "--all", "--refresh"]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(
        told(&output).contains("is known as before"),
        "{}",
        told(&output)
    );
    let output = it.agent.notme(&["trust", "refresh"]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
}

#[test]
fn an_authority_with_other_keys_at_the_same_place_is_not_followed() {
    let mut it = Elsewhere::new();
    it.agent.signed_commit("a");
    it.served = None;
    fs::remove_dir_all(&it.directory).unwrap();
    it.found("example.com");
    it.rotate();
    let output = it.agent.notme(&["trust", "refresh"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(
        told(&output).contains("bundle-invalid"),
        "{}",
        told(&output)
    );
    assert_eq!(it.agent.code("HEAD", &[]), "accepted");
}
