//! `notme authority` over TCP, with tokens: what an operator does for an agent elsewhere.

use std::{
    fs,
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    time::{SystemTime, UNIX_EPOCH},
};

use notme_testkit::{issuer::TestIssuer, jwt::TokenKey, oracle::oracle};
use serde_json::json;

use crate::world::{Operator, Served, World, free_port, told};

#[test]
fn an_agent_elsewhere_enrols_with_a_token_and_commits() {
    let operator = World::new();
    let directory = operator.home().join("authority");
    let secret = operator.home().join("secret");
    fs::write(&secret, "correct horse battery staple\n").unwrap();
    let (directory, secret) = (directory.to_str().unwrap(), secret.to_str().unwrap());
    operator.notme_ok(&[
        "authority",
        "init",
        "--dir",
        directory,
        "--passphrase-file",
        secret,
        "--trust-domain",
        "example.com",
    ]);
    let address = format!("127.0.0.1:{}", free_port());
    let url = format!("http://{address}");
    let served = Served::start(
        &operator,
        &[
            "--dir",
            directory,
            "--passphrase-file",
            secret,
            "--url",
            &url,
            "--listen",
            &address,
        ],
    );
    assert_eq!(served.url, url);
    let token = operator.notme_ok(&[
        "authority",
        "enrol",
        "create",
        "--dir",
        directory,
        "--agent",
        "claude",
        "--principal",
        "alice",
    ]);
    let pins: Vec<String> = operator
        .notme_ok(&["authority", "status", "--dir", directory])
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pin "))
        .map(|pin| pin.trim().to_owned())
        .collect();

    let agent = World::new();
    let token_file = agent.home().join("token");
    fs::write(&token_file, &token).unwrap();
    fs::set_permissions(&token_file, fs::Permissions::from_mode(0o600)).unwrap();
    let unpinned = agent.notme(&["init", "--agent", "claude", "--authority", &url]);
    assert_eq!(unpinned.status.code(), Some(2), "{}", told(&unpinned));
    let init = [
        "init",
        "--agent",
        "claude",
        "--authority",
        &url,
        "--pin",
        &pins[0],
        "--pin",
        &pins[1],
        "--token-file",
        token_file.to_str().unwrap(),
    ];
    agent.notme_ok(&init);
    agent.signed_commit("a");
    let (exit, document) = agent.verdicts(&["HEAD"]);
    assert_eq!(exit, Some(0), "{document}");
    assert_eq!(
        document["objects"][0]["identity"],
        "wimse://example.com/agent/alice/claude"
    );
    // Used up, and nowhere to be found in clear.
    let again = agent.notme(&[
        "agent",
        "enrol",
        "claude",
        "--token-file",
        token_file.to_str().unwrap(),
    ]);
    assert!(!again.status.success(), "{}", told(&again));
    assert!(!told(&again).contains(token.trim()));
    let listed = operator.notme_ok(&["authority", "enrol", "list", "--dir", directory]);
    assert!(listed.contains("used 1 of 1"), "{listed}");
    assert!(!listed.contains(token.trim()));
    drop(served);
    // The session outlives the authority for as long as its certificate does.
    agent.signed_commit("b");
    assert_eq!(agent.code("HEAD", &[]), "time-basis-too-weak");
}

#[test]
fn the_wrong_passphrase_opens_nothing_and_changes_nothing() {
    let world = World::new();
    let directory = world.home().join("authority");
    let directory = directory.to_str().unwrap();
    let (right, wrong) = (world.home().join("right"), world.home().join("wrong"));
    fs::write(&right, "the right passphrase").unwrap();
    fs::write(&wrong, "the wrong passphrase").unwrap();
    let init = |secret: &std::path::Path| {
        world.notme(&[
            "authority",
            "init",
            "--dir",
            directory,
            "--passphrase-file",
            secret.to_str().unwrap(),
        ])
    };
    assert!(init(&right).status.success());
    let roots = world.notme_ok(&["authority", "bundle", "--dir", directory]);
    assert!(!init(&wrong).status.success());
    let unsealed = world.notme(&["authority", "init", "--dir", directory]);
    assert!(!unsealed.status.success(), "{}", told(&unsealed));
    assert!(init(&right).status.success());
    assert_eq!(
        world.notme_ok(&["authority", "bundle", "--dir", directory]),
        roots
    );
}

#[test]
fn plain_http_is_for_this_machine_only() {
    let world = World::new();
    let output = world.notme(&[
        "authority",
        "serve",
        "--ephemeral",
        "--url",
        "http://192.0.2.1",
        "--listen",
        "192.0.2.1:0",
    ]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
}

#[test]
fn the_embedded_authority_keeps_its_key_file_to_itself() {
    let world = World::initialised();
    let directory = world.notme_home().join("data/authority");
    assert_eq!(
        fs::metadata(&directory).unwrap().permissions().mode() & 0o777,
        0o700
    );
    for entry in fs::read_dir(&directory).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(
            entry.metadata().unwrap().permissions().mode() & 0o077,
            0,
            "{:?}",
            entry.path()
        );
    }
    assert!(
        world
            .notme_ok(&["authority", "status"])
            .contains("by a file beside them")
    );
}

#[test]
fn a_store_of_a_newer_program_says_to_use_that_one() {
    let world = World::initialised();
    world.notme_ok(&["agent", "stop"]);
    world.notme_ok(&["authority", "stop"]);
    let store = world.notme_home().join("data/authority/store.sqlite");
    // The database header has `user_version` at byte 60 (SQLite, file format, 1.3).
    let file = fs::OpenOptions::new().write(true).open(store).unwrap();
    file.write_all_at(&99_u32.to_be_bytes(), 60).unwrap();
    let said = told(&world.notme(&["authority", "bundle"]));
    assert!(said.contains("schema 99"), "{said}");
    assert!(said.contains("a newer notme wrote it"), "{said}");
    assert!(!said.contains("notme init"), "{said}");
}

/// The file of issuers of a test, and the arguments of an authority that reads it.
fn serve_arguments<'a>(directory: &'a str, file: &'a str) -> Vec<&'a str> {
    let listen = ["--dir", directory, "--listen", "127.0.0.1:0"];
    [&listen[..], &["--oidc", file]].concat()
}

#[test]
fn a_job_enrols_with_its_issuers_token_and_commits() {
    let issuer = TestIssuer::start(TokenKey::rsa());
    let operator = World::new();
    let directory = operator.home().join("authority");
    let directory = directory.to_str().unwrap();
    operator.notme_ok(&[
        "authority",
        "init",
        "--dir",
        directory,
        "--trust-domain",
        "example.com",
    ]);
    let file = operator.home().join("oidc.toml");
    let url = issuer.url();
    let toml = format!(
        r#"[[issuer]]
preset = "gitlab"
url = "{url}"
audience = "https://auth.example.com"
session_seconds = 3600
[[issuer.allow]]
claims = {{ project_path = "infra/*" }}
scopes = ["bridgeCert", "sign:git"]
"#
    );
    fs::write(&file, toml).unwrap();
    let served = Served::start(
        &operator,
        &serve_arguments(directory, file.to_str().unwrap()),
    );

    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let token = issuer.mint(&json!({
        "iss": url,
        "sub": "project_path:infra/builder:ref_type:branch:ref:main",
        "aud": "https://auth.example.com",
        "iat": now,
        "exp": now + 300,
        "jti": "1",
        "project_path": "infra/builder",
    }));
    let agent = World::new();
    let token_file = agent.home().join("token");
    fs::write(&token_file, token).unwrap();
    fs::set_permissions(&token_file, fs::Permissions::from_mode(0o600)).unwrap();
    let status = operator.notme_ok(&["authority", "status", "--dir", directory]);
    let pins = status
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pin "));
    let pins: Vec<&str> = pins.flat_map(|pin| ["--pin", pin.trim()]).collect();
    let token_file = ["--token-file", token_file.to_str().unwrap()];
    let init = ["init", "--agent", "gitlab", "--authority", &served.url];
    agent.notme_ok(&[&init[..], &pins, &token_file].concat());
    agent.signed_commit("a");
    let (exit, document) = agent.verdicts(&["HEAD"]);
    assert_eq!(exit, Some(0), "{document}");
    let identity = "wimse://example.com/gitlab/infra/builder";
    assert_eq!(document["objects"][0]["identity"], identity);
}

#[test]
fn a_mistake_in_the_file_of_issuers_is_named_with_file_line_and_key() {
    let world = World::new();
    let file = world.home().join("oidc.toml");
    let file = file.to_str().unwrap();
    let directory = world.home().join("authority");
    let serve = || {
        let arguments = serve_arguments(directory.to_str().unwrap(), file);
        world.notme(&[&["authority", "serve"][..], &arguments].concat())
    };
    fs::write(file, "[[issuer]]\npreset = \"gitlab\"\naudience = 7\n").unwrap();
    let output = serve();
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    for part in [file, "line 3, `audience = 7`: ", "string"] {
        assert!(told(&output).contains(part), "{}", told(&output));
    }
    fs::write(file, b"\xff").unwrap();
    assert_eq!(serve().status.code(), Some(2));
    fs::remove_file(file).unwrap();
    assert_ne!(serve().status.code(), Some(0));
    assert!(!directory.exists());
}

/// The arguments by which an agent enrols with a token of its own.
fn enrolment(operator: &Operator, agent: &World, url: &str) -> Vec<String> {
    let token = agent.home().join("token");
    fs::write(
        &token,
        operator.ask(&["enrol", "create", "--agent", "claude"]),
    )
    .unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let mut arguments = [
        "init",
        "--agent",
        "claude",
        "--authority",
        url,
        "--token-file",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.push(token.to_str().unwrap().to_owned());
    for pin in operator.pins() {
        arguments.extend(["--pin".to_owned(), pin]);
    }
    arguments
}

/// Makes a private authority, and a certificate for this machine by it.
fn tls_files(world: &World) -> [String; 3] {
    let openssl = |arguments: &str| {
        let mut command = world.command(oracle("openssl"));
        let fresh = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        command.args(fresh.split(' ')).args(arguments.split(' '));
        let output = command.current_dir(world.home()).output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
    };
    openssl("-subj /CN=private -keyout ca.key -out ca.pem");
    openssl(
        "-subj /CN=server -keyout server.key -out server.pem -CA ca.pem -CAkey ca.key \
         -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:false",
    );
    ["ca.pem", "server.pem", "server.key"]
        .map(|name| world.home().join(name).to_str().unwrap().to_owned())
}

#[test]
fn an_agent_reaches_an_authority_over_tls_with_a_private_ca() {
    let (operator, files) = (Operator::new(), World::new());
    let [ca, certificate, key] = tls_files(&files);
    let stranger = World::new();
    let [other, ..] = tls_files(&stranger);
    let address = format!("127.0.0.1:{}", free_port());
    let url = format!("https://{address}");
    let tls = ["--tls-certificate", &certificate, "--tls-key", &key];
    let served = operator.serve(&[&["--listen", &address, "--url", &url][..], &tls].concat());
    assert_eq!(served.url, url);
    let agent = World::new();
    let init = enrolment(&operator, &agent, &url);
    let init: Vec<&str> = init.iter().map(String::as_str).collect();
    for believed in [&[][..], &["--ca-file", &other]] {
        let refused = agent.notme(&[&init[..], believed].concat());
        assert_ne!(refused.status.code(), Some(0), "{}", told(&refused));
    }
    // The token is still good.
    agent.notme_ok(&[&init[..], &["--ca-file", &ca]].concat());
    agent.signed_commit("a");
    let (exit, document) = agent.verdicts(&["HEAD"]);
    assert_eq!(exit, Some(0), "{document}");
    assert_eq!(document["objects"][0]["time_basis"], "issuance-bound");
    agent.notme_ok(&["trust", "refresh", "--ca-file", &ca]);
}

/// An authority that is away for a moment spoils no more than what is done meanwhile.
#[test]
fn a_chain_goes_on_over_what_was_recorded_while_the_authority_was_away() {
    let operator = Operator::new();
    let address = format!("127.0.0.1:{}", free_port());
    let url = format!("http://{address}");
    let serve = || operator.serve(&["--listen", &address, "--url", &url]);
    let served = serve();
    let agent = World::new();
    let init = enrolment(&operator, &agent, &url);
    let init: Vec<&str> = init.iter().map(String::as_str).collect();
    agent.notme_ok(&init);
    let id = agent.notme_ok(&["attest", "activity", "--begin"]);
    let activity = ["attest", "activity", "--activity", id.trim()];
    let commit = |name: &str| {
        let trailer = agent.notme_ok(&["attest", "trailer", "--activity", id.trim()]);
        let trailer = ["--trailer", trailer.trim()];
        let empty = ["commit", "--quiet", "--allow-empty", "-m", name];
        agent.git_ok(&[&empty[..], &trailer].concat());
        agent.notme_ok(&[&activity[..], &["HEAD"]].concat());
    };
    commit("one");
    drop(served);
    commit("two");
    let served = serve();
    commit("three");
    drop(served);
    commit("four");
    let _served = serve();
    let end = [
        "--end",
        "--termination",
        "completed",
        "--outcome",
        "succeeded",
    ];
    agent.notme_ok(&[&activity[..], &end].concat());
    for (name, code) in [
        ("HEAD", "attestation-missing"),
        ("HEAD~1", "accepted"),
        ("HEAD~2", "attestation-missing"),
        ("HEAD~3", "accepted"),
    ] {
        let output = agent.notme(&["attest", "verify", "--json", name]);
        let judged: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let judged = &judged[0];
        let found = judged["code"].as_str().unwrap_or("accepted");
        assert_eq!(found, code, "{name}: {judged}");
        if code == "accepted" {
            assert_eq!(judged["level"], "L2", "{name}: {judged}");
        }
    }
}

#[test]
fn an_identity_gets_as_many_signatures_as_the_settings_say() {
    let operator = Operator::new();
    let address = format!("127.0.0.1:{}", free_port());
    let url = format!("http://{address}");
    let listen = ["--listen", &address, "--url", &url];
    let _served = operator.serve(&[&listen[..], &["--rate-identity", "1"]].concat());
    let agent = World::new();
    let init = enrolment(&operator, &agent, &url);
    let init: Vec<&str> = init.iter().map(String::as_str).collect();
    agent.notme_ok(&init);
    agent.signed_commit("a");
    assert_eq!(agent.code("HEAD", &[]), "accepted");
    // The cached certificate says of no payload that it was there.
    agent.signed_commit("b");
    assert_eq!(agent.code("HEAD", &[]), "time-basis-too-weak");
    let status = agent.notme_ok(&["status"]);
    assert!(status.contains("too many requests"), "{status}");
}
