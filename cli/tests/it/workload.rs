//! Jobs that sign: tokens of GitHub Actions, our own wire and the hosted authority's, under a path.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use notme_testkit::{issuer::TestIssuer, jwt::TokenKey};
use serde_json::json;

use crate::world::{Operator, Served, World, free_port, told};

/// Where the authority is behind its proxy, as the hosted one may be.
const PREFIX: &str = "/identity";
const IDENTITY: &str = "wimse://example.com/gha/infra/builder";

/// A proxy that passes on what is asked below [`PREFIX`], one request a connection, and hides what
/// the hosted authority does not have.
fn proxy(listener: TcpListener, behind: String, hides_ours: bool) {
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let behind = behind.clone();
            // Who hangs up early is no concern of ours.
            thread::spawn(move || pass_on(client, &behind, hides_ours));
        }
    });
}

fn pass_on(mut client: TcpStream, behind: &str, hides_ours: bool) -> std::io::Result<()> {
    let mut asked = Vec::new();
    let mut byte = [0];
    while !asked.ends_with(b"\r\n\r\n") && client.read(&mut byte)? == 1 {
        asked.push(byte[0]);
    }
    let asked = String::from_utf8_lossy(&asked).into_owned();
    let path = asked.split(' ').nth(1).unwrap_or_default();
    let inner = path.strip_prefix(PREFIX);
    let Some(inner) = inner.filter(|inner| !(hides_ours && inner.starts_with("/v1"))) else {
        let answer = b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        return client.write_all(answer);
    };
    let asked = asked.replacen(path, inner, 1);
    let asked = asked.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    let mut authority = TcpStream::connect(behind)?;
    authority.write_all(asked.as_bytes())?;
    let (mut from, mut to) = (client.try_clone()?, authority.try_clone()?);
    thread::spawn(move || std::io::copy(&mut from, &mut to));
    std::io::copy(&mut authority, &mut client)?;
    client.shutdown(Shutdown::Both)
}

/// An authority that takes GitHub's tokens, behind a proxy; and the environment of a job.
struct Site {
    _served: Served,
    operator: Operator,
    issuer: TestIssuer,
    url: String,
    job: String,
}

impl Site {
    fn new(hides_ours: bool, scopes: &str) -> Self {
        let issuer = TestIssuer::start(TokenKey::rsa());
        let operator = Operator::new();
        let file = operator.home().join("oidc.toml");
        let toml = format!(
            "[[issuer]]\npreset = \"github-actions\"\nurl = \"{}\"\naudience = \"127.0.0.1\"\nowners = [\"infra\"]\n{scopes}",
            issuer.url()
        );
        fs::write(&file, toml).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}{PREFIX}", listener.local_addr().unwrap());
        let behind = format!("127.0.0.1:{}", free_port());
        let oidc = file.to_str().unwrap();
        let served = operator.serve(&["--listen", &behind, "--url", &url, "--oidc", oidc]);
        proxy(listener, behind, hides_ours);
        let job = issuer.employ("the-secret-of-the-job", claims(&issuer));
        Self {
            _served: served,
            operator,
            issuer,
            url,
            job,
        }
    }

    /// A machine on which the job runs.
    fn runner(&self) -> World {
        let mut runner = World::new();
        runner.set_env("ACTIONS_ID_TOKEN_REQUEST_URL", &self.job);
        runner.set_env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "the-secret-of-the-job");
        runner
    }

    fn init(&self, runner: &World, more: &[&str]) -> String {
        let mut pins = self.operator.pins();
        // The hosted authority shows one root.
        pins.truncate(if more.contains(&"--pairs") { 1 } else { 2 });
        let pins = pins.iter().flat_map(|pin| ["--pin", pin]);
        let init = ["init", "--agent", "gha", "--authority", &self.url];
        let arguments: Vec<_> = init
            .into_iter()
            .chain(["--token-from", "github"])
            .chain(pins)
            .chain(more.iter().copied())
            .collect();
        runner.notme_ok(&arguments)
    }
}

/// What the token of a job says.
pub(crate) fn claims(issuer: &TestIssuer) -> serde_json::Value {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    json!({
        "sub": "repo:infra/builder:ref:refs/heads/main",
        "ref": "refs/heads/main",
        "sha": "4d84b70302180a3809a31e09811d6e82de0e31ae",
        "repository": "infra/builder",
        "repository_owner": "infra",
        "run_id": "1",
        "actor": "octocat",
        "workflow": "ci",
        "event_name": "push",
        "job_workflow_ref": "infra/builder/.github/workflows/ci.yml@refs/heads/main",
        "iss": issuer.url(),
        "iat": now,
        "exp": now + 300,
    })
}

#[test]
fn a_job_of_github_actions_commits_as_its_repository() {
    let site = Site::new(false, "scopes = [\"bridgeCert\", \"sign:git\"]\n");
    let runner = site.runner();
    let said = site.init(&runner, &[]);
    assert!(said.contains("signed as agent `gha`"), "{said}");
    runner.signed_commit("one");
    assert_eq!(site.issuer.tokens_given(), 1);
    let (exit, document) = runner.verdicts(&["HEAD"]);
    assert_eq!(exit, Some(0), "{document}");
    let object = &document["objects"][0];
    assert_eq!(object["identity"], IDENTITY);
    assert_eq!(object["time_basis"], "issuance-bound");
}

/// The hosted authority has neither sessions nor a trust document.
#[test]
fn a_job_commits_with_a_pair_of_the_hosted_wire() {
    let site = Site::new(true, "");
    let runner = site.runner();
    site.init(&runner, &["--pairs"]);
    let commit = runner.signed_commit("one");
    assert_eq!(runner.code("HEAD", &[]), "time-basis-too-weak");
    let name = stored_name(&site.url);
    let policy = runner.policy(&format!(
        "time_basis_floor = \"declared\"\n[[authority]]\nname = \"{name}\"\n[[allow]]\nidentity = \"{IDENTITY}\"\n"
    ));
    let (exit, document) = runner.verdicts(&[&commit, "--policy", &policy]);
    assert_eq!(exit, Some(0), "{document}");
    let object = &document["objects"][0];
    assert_eq!(object["identity"], IDENTITY);
    assert_eq!(object["time_basis"], "dag-ordered");
    // Without being told what the authority is, nobody takes the weaker form.
    let pins = site.operator.pins();
    let other = site.runner();
    let init = ["init", "--authority", &site.url, "--pin", &pins[0]];
    let refused = other.notme(&[&init[..], &["--token-from", "github"]].concat());
    assert_ne!(refused.status.code(), Some(0), "{}", told(&refused));
    assert_eq!(site.issuer.tokens_given(), 1);
}

/// The name of an authority in the trust store.
fn stored_name(url: &str) -> String {
    let host = url.trim_start_matches("http://").trim_end_matches(PREFIX);
    host.replace(':', "-")
}

#[test]
fn a_source_of_tokens_that_is_none_is_a_wrong_call() {
    let runner = World::new();
    let init = ["init", "--authority", "http://127.0.0.1:1"];
    for wrong in ["gitlab", "command:", "file", ""] {
        let output = runner.notme(&[&init[..], &["--token-from", wrong]].concat());
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    }
    let output = runner.notme(&[&init[..], &["--pairs"]].concat());
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
}
