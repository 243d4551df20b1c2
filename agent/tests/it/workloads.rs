//! Agents whose tokens come from somewhere: sessions of our own wire, and notme's pairs.

use std::{fs, sync::Arc};

use notme_agent::{GithubJob, Pins, Profile, TokenSource, Wire};
use notme_core::{
    certificate::Certificate,
    frame::{Basis, SignatureKind},
};
use notme_testkit::{
    clock::{FixedClock, NOW},
    issuer::TestIssuer,
    jwt::TokenKey,
};
use serde_json::{Value, json};

use crate::{
    go_between::Change,
    world::{Wishes, World, commit},
};

const SECRET: &str = "what-only-the-job-knows";
const AUDIENCE: &str = "notme.bot";
const IDENTITY: &str = "wimse://agents.test/gha/agentic-research/notme";

/// What GitHub says of a push, but for `aud` and `jti`.
fn claims(issuer: &TestIssuer) -> Value {
    json!({
        "sub": "repo:agentic-research/notme:ref:refs/heads/main",
        "ref": "refs/heads/main",
        "sha": "4d84b70302180a3809a31e09811d6e82de0e31ae",
        "repository": "agentic-research/notme",
        "repository_owner": "agentic-research",
        "run_id": "1234567890",
        "actor": "octocat",
        "workflow": "ci",
        "event_name": "push",
        "job_workflow_ref": "agentic-research/notme/.github/workflows/ci.yml@refs/heads/main",
        "iss": issuer.url(),
        "exp": NOW.secs() + 24 * 3600,
        "iat": NOW.secs(),
    })
}

struct Site {
    world: World,
    issuer: TestIssuer,
    clock: FixedClock,
}

impl Site {
    /// Its tokens allow to sign.
    fn new() -> Self {
        let scopes = "scopes = [\"bridgeCert\", \"sign:git\"]\n";
        Self::with(scopes, Arc::new(|_, answer| Some(answer)))
    }

    /// As the reference is: its pairs never say that they do.
    fn hosted() -> Self {
        Self::hosted_behind(Arc::new(|_, answer| Some(answer)))
    }

    fn hosted_behind(change: Change) -> Self {
        Self::with("", change)
    }

    /// An authority that takes GitHub's tokens, whose answers are changed on the way, and a key
    /// agent in a job.
    fn with(scopes: &str, change: Change) -> Self {
        let issuer = TestIssuer::start(TokenKey::rsa());
        let job = GithubJob {
            url: issuer.employ(SECRET, claims(&issuer)),
            secret: SECRET.to_owned().into(),
        };
        let clock = FixedClock::default();
        let mut world = World::empty();
        let oidc = format!(
            "[[issuer]]\npreset = \"github-actions\"\nname = \"claude\"\nurl = \"{}\"\naudience = \"{AUDIENCE}\"\nowners = [\"agentic-research\"]\n{scopes}",
            issuer.url()
        );
        world.start_workload_authority(&clock, &oidc, change);
        world.start_agent(Wishes {
            clock: clock.clone(),
            github: Some(job),
            ..Wishes::default()
        });
        Self {
            world,
            issuer,
            clock,
        }
    }

    fn configure(&self, wire: Wire, token: TokenSource) {
        let url = self.world.authority_url();
        let mut config = self
            .world
            .configuration("claude", Profile::Modern, url, None);
        (config.wire, config.token) = (wire, Some(token));
        config.save(&self.world.config_dir()).unwrap();
    }

    fn of_github(self, wire: Wire) -> Self {
        let audience = AUDIENCE.to_owned();
        self.configure(wire, TokenSource::Github { audience });
        self
    }

    /// A token as a job would get it.
    fn token(&self, number: u64) -> String {
        let mut claims = claims(&self.issuer);
        claims["aud"] = AUDIENCE.into();
        claims["jti"] = format!("by-hand-{number}").into();
        self.issuer.mint(&claims)
    }

    fn identity(&self) -> String {
        let status = self.world.connect().status();
        status.sessions[0].identity.clone().unwrap().to_string()
    }

    #[track_caller]
    fn refused(&self, code: &str) -> notme_core::frame::Refusal {
        let refusal = self.world.sign("claude", &commit()).unwrap_err();
        assert_eq!(refusal.code, code, "{refusal:?}");
        refusal
    }
}

#[test]
fn a_job_of_github_actions_opens_sessions_with_a_token_each() {
    let site = Site::new().of_github(Wire::Sessions);
    for _ in 0..2 {
        let answer = site.world.sign("claude", &commit()).unwrap();
        assert_eq!(answer.basis, Basis::IssuanceBound);
    }
    assert_eq!(site.identity(), IDENTITY);
    assert_eq!(site.issuer.tokens_given(), 1);
    site.clock.advance(13 * 3600);
    site.world.sign("claude", &commit()).unwrap();
    assert_eq!(site.issuer.tokens_given(), 2);
    let shown = format!("{:?}", site.world.connect().status());
    assert!(!shown.contains(SECRET));
}

#[test]
fn notme_s_pairs_sign_by_themselves_as_long_as_they_last() {
    let site = Site::hosted().of_github(Wire::Pairs);
    for _ in 0..2 {
        let answer = site.world.sign("claude", &commit()).unwrap();
        assert_eq!(answer.basis, Basis::Declared);
        let notice = answer.notice.unwrap();
        assert!(
            notice.contains("no certificates for single payloads"),
            "{notice}"
        );
        let der = notme_core::base64::decode(&answer.certificates[0]).unwrap();
        let leaf = Certificate::from_der(&der).unwrap();
        assert_eq!(leaf.scopes(), ["bridgeCert"]);
        assert_eq!(leaf.payload_digest(), None);
    }
    assert_eq!(site.identity(), IDENTITY);
    assert_eq!(site.issuer.tokens_given(), 1);
    // A pair ends after five minutes, and nothing renews it.
    site.clock.advance(301);
    site.world.sign("claude", &commit()).unwrap();
    assert_eq!(site.issuer.tokens_given(), 2);
    let refusal = site
        .world
        .sign_armored("claude", SignatureKind::Ssh, &commit())
        .unwrap_err();
    assert_eq!(refusal.code, "format-unavailable");
}

/// What a pair has to be, by the words of the reference's own client.
#[test]
fn a_pair_that_is_not_as_it_should_be_is_refused() {
    let other = "wimse://agents.test/gha/agentic-research/other";
    let changes: [fn(&mut Value, &str); 4] = [
        |pair, other| pair["identity"] = other.into(),
        |pair, _| pair["expires_at"] = (pair["expires_at"].as_i64().unwrap() + 2).into(),
        |pair, _| pair["certificates"]["signing"] = pair["certificates"]["mtls"].clone(),
        |pair, _| pair["certificates"]["signing"] = "".into(),
    ];
    for change in changes {
        let site = Site::hosted_behind(Arc::new(move |path, mut answer| {
            if path == "/cert/gha" {
                change(&mut answer, other);
            }
            Some(answer)
        }))
        .of_github(Wire::Pairs);
        site.refused("authority-answer-invalid");
    }
}

#[test]
fn gives_no_token_to_an_authority_that_is_not_pinned() {
    let site = Site::hosted().of_github(Wire::Pairs);
    let mut config = site.world.configured();
    config.pins = Pins::new(vec![[0; 32]]).unwrap();
    config.save(&site.world.config_dir()).unwrap();
    site.refused("authority-not-pinned");
    assert_eq!(site.issuer.tokens_given(), 0);
}

/// An attempt that failed may have spent its token; the next one has another.
#[test]
fn every_attempt_has_a_token_of_its_own() {
    let site = Site::hosted_behind(Arc::new(|path, answer| {
        (path != "/cert/gha").then_some(answer)
    }))
    .of_github(Wire::Pairs);
    for attempt in 1..=2 {
        site.refused("authority-refused");
        assert_eq!(site.issuer.tokens_given(), attempt);
    }
}

#[test]
fn a_file_is_read_and_a_command_is_run_for_every_session() {
    let site = Site::new();
    let file = site.world.root.path().join("token");
    fs::write(&file, format!("{}\n", site.token(1))).unwrap();
    let command = format!("cat '{}'", file.display());
    for (round, source) in [
        TokenSource::File(file.clone()),
        TokenSource::Command(command),
    ]
    .into_iter()
    .enumerate()
    {
        site.configure(Wire::Pairs, source);
        let number = u64::try_from(round).unwrap() * 2 + 1;
        fs::write(&file, format!("{}\n", site.token(number))).unwrap();
        site.world.sign("claude", &commit()).unwrap();
        site.clock.advance(301);
        let spent = site.refused("authority-refused");
        assert!(spent.message.contains("token already used"), "{spent:?}");
        fs::write(&file, site.token(number + 1)).unwrap();
        site.world.sign("claude", &commit()).unwrap();
        site.clock.advance(301);
    }
}

#[test]
fn says_where_no_token_came_from() {
    let site = Site::new();
    let path = |name: &str| site.world.root.path().join(name);
    fs::write(path("two words"), "two words").unwrap();
    fs::write(path("long"), "x".repeat(20_000)).unwrap();
    fs::write(path("empty"), "\n").unwrap();
    for (source, said) in [
        (TokenSource::File(path("missing")), "missing`"),
        (TokenSource::File(path(".")), "regular file"),
        (TokenSource::File(path("two words")), "not a token"),
        (TokenSource::File(path("long")), "not a token"),
        (TokenSource::File(path("empty")), "not a token"),
        (TokenSource::Command("exit 3".to_owned()), "exit status: 3"),
        (TokenSource::Command("true".to_owned()), "not a token"),
        (TokenSource::Command("kill -9 $$".to_owned()), "signal: 9"),
        (TokenSource::Command("yes".to_owned()), "exit status"),
    ] {
        site.configure(Wire::Sessions, source.clone());
        let refusal = site.refused("token-unavailable");
        assert!(refusal.message.contains(said), "{source:?}: {refusal:?}");
    }
}

#[test]
fn a_job_that_may_not_ask_is_told_so() {
    let site = Site::new().of_github(Wire::Sessions);
    site.issuer.employ("another", claims(&site.issuer));
    let refusal = site.refused("token-unavailable");
    assert!(refusal.message.contains("status 401"), "{refusal:?}");

    let mut world = World::empty();
    let url = world.start_tcp_authority(&FixedClock::default());
    let mut config = world.configuration("claude", Profile::Modern, url, None);
    let audience = AUDIENCE.to_owned();
    config.token = Some(TokenSource::Github { audience });
    config.save(&world.config_dir()).unwrap();
    for (github, said) in [
        (None, "not started in a GitHub Actions job"),
        (Some(("http://tokens.example/", SECRET)), "not an https URL"),
        (Some(("nonsense", SECRET)), "not an https URL"),
    ] {
        let mut world = World::empty();
        config.save(&world.config_dir()).unwrap();
        world.start_agent(Wishes {
            github: github.map(|(url, secret)| GithubJob {
                url: url.to_owned(),
                secret: secret.to_owned().into(),
            }),
            ..Wishes::default()
        });
        let refusal = world.sign("claude", &commit()).unwrap_err();
        assert_eq!(refusal.code, "token-unavailable");
        assert!(refusal.message.contains(said), "{refusal:?}");
        assert!(!format!("{refusal:?}").contains(SECRET));
    }
}
