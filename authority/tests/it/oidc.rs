//! Workloads with tokens of other issuers.

use std::{io::Write as _, path::Path};

use notme_authority::{OidcConfig, Rotation};
use notme_core::{certificate::Certificate, enrol::Format, identity::Identity, time::UnixTime};
use notme_testkit::{issuer::Manner, jwt::TokenKey};
use serde_json::{Value, json};

use crate::{
    client::{Agent, Answer, Session, leaf},
    rotation::step,
    serving::over_tls,
    workload::{Site, body},
    world::{World, start},
};

fn pair(answer: &Answer) -> [Certificate; 2] {
    assert_eq!(answer.status, 200, "{answer:?}");
    let json: Value = answer.json();
    ["mtls", "signing"]
        .map(|key| Certificate::from_pem(json["certificates"][key].as_str().unwrap()).unwrap())
}

fn error(answer: &Answer) -> (u16, String) {
    let json: Value = answer.json();
    (answer.status, json["error"].as_str().unwrap().to_owned())
}

fn denied(answer: &Answer, status: u16, text: &str) {
    assert_eq!(error(answer), (status, text.to_owned()));
}

const UNAVAILABLE: &str = "authority unavailable";

#[test]
fn the_pair_is_what_the_profile_says_and_lives_five_minutes() {
    let site = Site::github();
    let now = site.world.now();
    let answer = site.exchange(&site.token());
    let json: Value = answer.json();
    let root = site.world.admin().roots().unwrap().remove(0);
    let [mtls, signing] = pair(&answer);
    for leaf in [&mtls, &signing] {
        // The name of the issuer is that of the root, so that paths can be built by name.
        leaf.verify_issued_by(&root).unwrap();
        assert_eq!(leaf.not_before(), now.plus(-60).max(root.not_before()));
        assert_eq!(leaf.not_after(), now.plus(300));
        assert_eq!(leaf.scopes(), ["bridgeCert"]);
        assert_eq!(leaf.epoch(), Some(1));
        assert_eq!(leaf.auth_method(), Some("gha-oidc"));
        let subject = "repo:agentic-research/notme:ref:refs/heads/main";
        assert_eq!(leaf.subject_claim(), Some(subject));
        assert_eq!(leaf.subject_text(), format!("CN={subject},O=notme"));
        let identity: Identity = "wimse://notme.test/gha/agentic-research/notme"
            .parse()
            .unwrap();
        assert_eq!(leaf.identity().unwrap(), identity);
        let binding = leaf.peer_binding().unwrap();
        assert_eq!(json["binding"], notme_core::hex::encode(&binding));
    }
    assert_eq!(json["expires_at"], now.plus(300).secs());
    assert_eq!(json["authority"]["key_id"], root.kid().to_string());
    // Never a private key.
    assert!(!String::from_utf8(answer.body).unwrap().contains("PRIVATE"));
}

#[test]
fn pairs_are_of_the_new_epoch_once_the_keys_were_rotated() {
    let site = Site::github();
    let [_, old] = pair(&site.exchange(&site.token()));
    step(&site.world, Rotation::Now).unwrap();
    let root = site.world.admin().roots().unwrap().remove(0);
    for answer in [
        site.exchange(&site.token()),
        site.exchange_any(&site.token(), None),
    ] {
        let json: Value = answer.json();
        assert_eq!(json["authority"]["epoch"], 2);
        assert_eq!(json["authority"]["key_id"], root.kid().to_string());
        for leaf in pair(&answer) {
            leaf.verify_issued_by(&root).unwrap();
            assert_eq!(leaf.epoch(), Some(2));
        }
    }
    assert!(old.verify_issued_by(&root).is_err());
}

#[test]
fn no_branch_name_becomes_syntax() {
    let site = Site::github();
    for branch in [
        "x,O=evil",
        "q\"z\"",
        "a+b",
        "a=b",
        "a\\b",
        "é",
        &"long".repeat(60),
    ] {
        let subject = format!("repo:agentic-research/notme:ref:refs/heads/{branch}");
        let token = site.token_with(|claims| claims["sub"] = subject.as_str().into());
        for leaf in pair(&site.exchange(&token)) {
            assert_eq!(leaf.subject_claim(), Some(&*subject));
            // One common name and one organization, whatever is in them.
            let attributes = leaf
                .subject_der()
                .windows(3)
                .filter(|it| it == b"\x55\x04\x0a");
            assert_eq!(attributes.count(), 1);
        }
    }
    for bad in ["", "a\nb", "a\0b", &"x".repeat(1025)] {
        let token = site.token_with(|claims| claims["sub"] = bad.into());
        denied(
            &site.exchange(&token),
            401,
            "invalid token: invalid claims: sub",
        );
    }
}

#[test]
fn an_empty_list_of_owners_is_nobodys() {
    for owners in ["", "owners = []\n"] {
        let site = Site::new(TokenKey::rsa(), |url| {
            format!(
                "[[issuer]]\npreset = \"github-actions\"\nurl = \"{url}\"\naudience = \"notme.bot\"\n{owners}"
            )
        });
        let token = site.token();
        denied(
            &site.exchange(&token),
            403,
            "repository owner not permitted",
        );
    }
}

#[test]
fn without_issuers_every_token_is_of_a_wrong_one() {
    let site = Site::new(TokenKey::rsa(), |_| String::new());
    let expected = format!("invalid token: wrong issuer: {}", site.issuer.url());
    denied(&site.exchange(&site.token()), 401, &expected);
    denied(&site.exchange_any(&site.token(), None), 401, &expected);
    assert_eq!(site.issuer.key_fetches(), 0);
}

#[test]
fn other_issuers_have_nothing_to_say_at_the_route_for_github() {
    let site = gitlab("");
    let expected = format!("invalid token: wrong issuer: {}", site.issuer.url());
    denied(&site.exchange(&gitlab_token(&site, |_| {})), 401, &expected);
}

#[test]
fn the_operator_decides_which_events_are_refused_and_what_else_must_fit() {
    let site = Site::new(TokenKey::rsa(), |url| {
        format!(
            r#"[[issuer]]
preset = "github-actions"
url = "{url}"
audience = "notme.bot"
owners = ["agentic-research"]
refused_events = ["pull_request", "pull_request_target"]
[[issuer.allow]]
claims = {{ ref = "refs/heads/main", runner_environment = "github-hosted" }}
scopes = ["bridgeCert", "sign:git"]
"#
        )
    });
    let with = |name: &'static str, value: &'static str| {
        site.exchange(&site.token_with(|claims| claims[name] = value.into()))
    };
    let [_, signing] = pair(&with("event_name", "push"));
    assert_eq!(signing.scopes(), ["bridgeCert", "sign:git"]);
    for event in ["pull_request", "pull_request_target"] {
        denied(&with("event_name", event), 403, "event not permitted");
    }
    denied(
        &with("ref", "refs/heads/mainly"),
        403,
        "claims not permitted",
    );
    denied(
        &with("runner_environment", "self-hosted"),
        403,
        "claims not permitted",
    );
    denied(
        &with("repository_owner", "x"),
        401,
        "invalid token: invalid claims: repository",
    );
}

#[test]
fn a_refusal_before_the_token_is_spent_spends_nothing() {
    let site = Site::github();
    // The same name in a token that is refused, and in one that is not.
    let mut claims = site.claims();
    claims["event_name"] = "pull_request_target".into();
    denied(
        &site.exchange(&site.issuer.mint(&claims)),
        403,
        "event not permitted",
    );
    claims["event_name"] = "push".into();
    let token = site.issuer.mint(&claims);
    pair(&site.exchange(&token));
    // At `/cert` the body is read first, so a wrong proof costs nothing there.
    let token = site.token();
    let mut wrong = body(&Agent::new(2), &site.token());
    wrong["proof"] = json!({"type": "oidc", "token": token});
    let answer = site.client().post("/cert", &wrong);
    denied(&answer, 401, "P-256 proof-of-possession failed");
    pair(&site.exchange_any(&token, None));
}

#[test]
fn a_token_is_used_once_on_all_routes_together_and_after_a_restart() {
    let site = Site::github();
    let token = site.token();
    pair(&site.exchange(&token));
    denied(&site.exchange(&token), 401, "token already used");
    denied(&site.exchange_any(&token, None), 401, "token already used");
    let site = site.restart();
    denied(&site.exchange(&token), 401, "token already used");
    let other = site.token();
    pair(&site.exchange_any(&other, None));
    denied(&site.exchange(&other), 401, "token already used");
}

#[test]
fn of_many_at_once_one_spends_the_token() {
    let site = Site::github();
    let token = site.token();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..16)
            .map(|number| {
                let (site, token) = (&site, &token);
                scope.spawn(move || match number % 2 {
                    0 => site.exchange(token),
                    _ => site.exchange_any(token, None),
                })
            })
            .collect();
        asked.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let granted = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(granted, 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        denied(answer, 401, "token already used");
    }
}

/// An issuer may set its clock back, or we ours; a token stays spent for longer than it lives.
#[test]
fn a_spent_token_is_remembered_beyond_its_end() {
    let site = Site::github();
    let token = site.token();
    pair(&site.exchange(&token));
    site.world.advance(301);
    let site = site.restart();
    denied(&site.exchange(&token), 401, "invalid token: token expired");
    site.world.advance(-302);
    denied(&site.exchange(&token), 401, "token already used");
}

#[test]
fn what_was_revoked_gets_no_pair() {
    let site = Site::github();
    let identity = "wimse://notme.test/gha/agentic-research/notme"
        .parse()
        .unwrap();
    site.world
        .admin()
        .revoke(
            &notme_authority::Revoked::Identity(identity),
            None,
            notme_authority::RevocationReason::PrivilegeWithdrawn,
        )
        .unwrap();
    denied(
        &site.exchange(&site.token()),
        403,
        "identity or key revoked",
    );
}

#[test]
fn keys_are_fetched_once_and_anew_for_a_key_id_that_nobody_knows() {
    let site = Site::github();
    for _ in 0..3 {
        pair(&site.exchange(&site.token()));
    }
    assert_eq!(site.issuer.key_fetches(), 1);
    site.issuer.add_key("second", TokenKey::new_rsa());
    // Not more often than every half minute, whoever asks.
    for _ in 0..5 {
        denied(
            &site.exchange(&site.token()),
            401,
            "invalid token: unknown key id: second",
        );
    }
    assert_eq!(site.issuer.key_fetches(), 1);
    site.world.advance(30);
    pair(&site.exchange(&site.token()));
    assert_eq!(site.issuer.key_fetches(), 2);
    // And after an hour, as one may have been withdrawn.
    site.world.advance(3_600);
    pair(&site.exchange(&site.token()));
    assert_eq!(site.issuer.key_fetches(), 3);
}

#[test]
fn an_issuer_that_is_down_spends_nobodys_token_and_its_known_keys_go_on_for_a_day() {
    let site = Site::github();
    site.issuer.behave(Manner::Broken);
    let token = site.token();
    denied(&site.exchange(&token), 503, UNAVAILABLE);
    // A moment later it isn't asked again.
    denied(&site.exchange(&token), 503, UNAVAILABLE);
    assert_eq!(site.issuer.key_fetches(), 1);
    let refused =
        "SELECT count(*) FROM audit WHERE row LIKE '%\"code\":\"oidc-issuer-unreachable\"%'";
    assert_eq!(site.world.sql(refused), "1");
    site.issuer.behave(Manner::Well);
    site.world.advance(30);
    pair(&site.exchange(&token));

    let known = site.token();
    site.issuer.add_key("second", TokenKey::new_rsa());
    site.issuer.behave(Manner::Broken);
    site.world.advance(30);
    // It may have such a key, and cannot say so.
    denied(&site.exchange(&site.token()), 503, UNAVAILABLE);
    pair(&site.exchange(&known));
    site.world.advance(86_369);
    pair(&site.exchange(&site.token_of("first")));
    site.world.advance(31);
    denied(&site.exchange(&site.token_of("first")), 503, UNAVAILABLE);
}

#[test]
fn a_caller_that_hangs_up_does_not_stop_the_fetching_for_the_others() {
    let site = Site::github();
    site.issuer.behave(Manner::Silent);
    let mut stream = site.client().connect();
    let authorization = format!("authorization: Bearer {}", site.token());
    let head = format!("POST /cert/gha HTTP/1.1\r\nhost: a\r\n{authorization}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    while site.issuer.key_fetches() == 0 {
        std::thread::yield_now();
    }
    drop(stream);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| site.exchange(&site.token()));
        site.issuer.behave(Manner::Well);
        pair(&waiting.join().unwrap());
    });
    assert_eq!(site.issuer.key_fetches(), 1);
}

#[test]
fn keys_come_from_where_the_operator_said_and_in_bounds() {
    for manner in [Manner::Endless, Manner::Elsewhere] {
        let site = Site::github();
        site.issuer.behave(manner);
        denied(&site.exchange(&site.token()), 503, UNAVAILABLE);
    }
    let site = gitlab("");
    site.issuer.behave(Manner::Impostor);
    let answer = site.exchange_any(&gitlab_token(&site, |_| {}), None);
    denied(&answer, 503, UNAVAILABLE);
    assert_eq!(site.issuer.key_fetches(), 0);
}

#[test]
fn access_tokens_proofs_and_tokens_bound_to_a_key_vouch_for_nobody() {
    let site = Site::github();
    for kind in ["at+jwt", "dpop+jwt", "", "logout+jwt"] {
        let header = json!({"alg": "RS256", "kid": "first", "typ": kind});
        let token = TokenKey::rsa().sign(&header, &site.claims());
        let expected = format!("invalid token: unsupported typ: {kind}");
        denied(&site.exchange(&token), 401, &expected);
    }
    let bound = site.token_with(|claims| claims["cnf"] = json!({"jkt": "x"}));
    denied(
        &site.exchange(&bound),
        401,
        "invalid token: invalid claims: cnf",
    );
    let header = json!({"alg": "RS256", "kid": "first"});
    pair(&site.exchange(&TokenKey::rsa().sign(&header, &site.claims())));
}

/// The issuer is another authority of ours: it has keys and a discovery document, over TLS.
#[test]
fn keys_come_over_tls_from_whom_the_private_ca_vouches_for() {
    let world = World::new();
    let (ca, config) = over_tls(&world);
    let issuer = start(config).unwrap();
    let (url, kid) = (
        &issuer.url,
        world.admin().roots().unwrap()[0].kid().to_string(),
    );
    let ca_file = format!("ca_file = \"{}\"\n", ca.display());
    let jwks_url = format!("jwks_url = \"{url}/.well-known/jwks.json\"\n");
    for (more, kid, status, error) in [
        (&*ca_file, &*kid, 401, "invalid token: invalid signature"),
        (
            &*format!("{ca_file}{jwks_url}"),
            &*kid,
            401,
            "invalid token: invalid signature",
        ),
        (
            &*ca_file,
            "other",
            401,
            "invalid token: unknown key id: other",
        ),
        ("", &*kid, 503, UNAVAILABLE),
        (&*jwks_url, &*kid, 503, UNAVAILABLE),
    ] {
        let site = Site::new(TokenKey::ed25519(1), |_| {
            format!(
                "[[issuer]]\nname = \"tls\"\nurl = \"{url}\"\naudience = \"a\"\nidentity = \"tls/{{sub}}\"\n{more}allow = [{{ claims = {{ sub = \"*\" }} }}]\n"
            )
        });
        let now = site.world.now().secs();
        let claims = json!({"iss": url, "aud": "a", "sub": "x", "iat": now, "exp": now + 60});
        let header = json!({"alg": "EdDSA", "kid": kid});
        let token = TokenKey::ed25519(1).sign(&header, &claims);
        denied(&site.exchange_any(&token, None), status, error);
    }
}

#[test]
fn a_file_of_keys_is_read_at_the_start_and_again_for_a_new_key_id() {
    let (site, file) = gitlab_with_key_file();
    pair(&site.exchange_any(&gitlab_token(&site, |_| {}), None));
    site.issuer.add_key("second", TokenKey::ed25519(7));
    let mut second = TokenKey::ed25519(7).jwk();
    second["kid"] = "second".into();
    std::fs::write(&file, json!({"keys": [second]}).to_string()).unwrap();
    pair(&site.exchange_any(&gitlab_token(&site, |_| {}), None));
    assert_eq!(site.issuer.key_fetches(), 0);

    let mut config = site.world.config();
    config.oidc = OidcConfig::parse(
        "[[issuer]]\npreset = \"gitlab\"\naudience = \"a\"\njwks_file = \"missing\"\n",
        Path::new("/nowhere"),
    )
    .unwrap();
    site.running.stop();
    assert_eq!(
        start(config).map(|_| ()).unwrap_err().code(),
        "oidc-keys-unreadable"
    );
}

#[test]
fn an_algorithm_goes_with_its_kind_of_key_and_with_no_other() {
    for (key, other) in [
        (TokenKey::p256(3), "EdDSA"),
        (TokenKey::ed25519(3), "ES256"),
        (TokenKey::rsa(), "ES256"),
    ] {
        let site = Site::new(key, |url| {
            format!(
                "[[issuer]]\nname = \"any\"\nurl = \"{url}\"\naudience = \"notme.bot\"\nidentity = \"any/{{actor}}\"\nallow = [{{ claims = {{ actor = \"*\" }} }}]\n"
            )
        });
        pair(&site.exchange_any(&site.token(), None));
        let header = json!({"alg": other, "kid": "first"});
        for forger in [TokenKey::p256(3), TokenKey::ed25519(3)] {
            let token = forger.sign(&header, &site.claims());
            denied(
                &site.exchange_any(&token, None),
                401,
                "invalid token: unknown key id: first",
            );
        }
        for none in ["none", "HS256", "RS512", "es256"] {
            let header = json!({"alg": none, "kid": "first"});
            let token = TokenKey::p256(3).sign(&header, &site.claims());
            let expected = format!("invalid token: unsupported alg: {none}");
            denied(&site.exchange_any(&token, None), 401, &expected);
        }
    }
}

#[test]
fn the_algorithms_of_an_issuer_can_be_fewer() {
    let site = Site::new(TokenKey::p256(3), |url| {
        format!(
            "[[issuer]]\nname = \"any\"\nurl = \"{url}\"\naudience = \"notme.bot\"\nalgorithms = [\"RS256\"]\nidentity = \"any/{{actor}}\"\nallow = [{{ claims = {{ actor = \"*\" }} }}]\n"
        )
    });
    let answer = site.exchange_any(&site.token(), None);
    denied(&answer, 401, "invalid token: unsupported alg: ES256");
}

fn gitlab(more: &str) -> Site {
    Site::new(TokenKey::rsa(), |url| {
        format!(
            r#"[[issuer]]
preset = "gitlab"
url = "{url}"
audience = "https://auth.example.com"
{more}
[[issuer.allow]]
claims = {{ project_path = "infra/*", ref_protected = "true" }}
scopes = ["bridgeCert", "sign:git"]
"#
        )
    })
}

fn gitlab_with_key_file() -> (Site, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap().keep();
    let file = directory.join("keys.json");
    let mut first = TokenKey::ed25519(6).jwk();
    first["kid"] = "first".into();
    std::fs::write(&file, json!({"keys": [first]}).to_string()).unwrap();
    let site = Site::new(TokenKey::ed25519(6), |url| {
        format!(
            "[[issuer]]\npreset = \"gitlab\"\nurl = \"{url}\"\naudience = \"https://auth.example.com\"\nalgorithms = [\"EdDSA\"]\njwks_file = \"{}\"\nallow = [{{ claims = {{ project_path = \"infra/*\" }} }}]\n",
            file.display()
        )
    });
    (site, file)
}

fn gitlab_token(site: &Site, change: impl FnOnce(&mut Value)) -> String {
    let now = site.world.now().secs();
    let jti = site.claims()["jti"].clone();
    let mut claims = json!({
        "namespace_id": "1",
        "namespace_path": "infra",
        "project_id": "28",
        "project_path": "infra/tools/builder",
        "user_login": "root",
        "pipeline_source": "push",
        "job_id": "1123",
        "ref": "main",
        "ref_type": "branch",
        "ref_protected": "true",
        "runner_id": 1,
        "runner_environment": "self-hosted",
        "sha": "714a629c0b401fdce83e847fc9589983fc6f46bc",
        "jti": jti,
        "iss": site.issuer.url(),
        "iat": now,
        "nbf": now - 5,
        "exp": now + 300,
        "sub": "project_path:infra/tools/builder:ref_type:branch:ref:main",
        "aud": "https://auth.example.com",
    });
    change(&mut claims);
    site.issuer.mint(&claims)
}

#[test]
fn gitlab_becomes_what_its_rule_says() {
    let site = gitlab("");
    let answer = site.exchange_any(&gitlab_token(&site, |_| {}), None);
    let [_, signing] = pair(&answer);
    assert_eq!(
        signing.identity().unwrap().as_str(),
        "wimse://notme.test/gitlab/infra/tools/builder"
    );
    assert_eq!(signing.scopes(), ["bridgeCert", "sign:git"]);
    let method = format!("oidc:{}", site.issuer.url());
    assert_eq!(signing.auth_method(), Some(&*method));
    let json: Value = answer.json();
    assert_eq!(json["auth_method"], method);
    assert_eq!(
        json["principal_id"],
        "project_path:infra/tools/builder:ref_type:branch:ref:main"
    );
    assert_eq!(json.get("claims"), None);

    let with = |name: &'static str, value: Value| {
        site.exchange_any(&gitlab_token(&site, |claims| claims[name] = value), None)
    };
    denied(
        &with("ref_protected", "false".into()),
        403,
        "claims not permitted",
    );
    denied(
        &with("ref_protected", json!(["true"])),
        403,
        "claims not permitted",
    );
    denied(
        &with("project_path", "other/x".into()),
        403,
        "claims not permitted",
    );
    denied(
        &with("project_path", "infra/../x".into()),
        401,
        "invalid token: invalid claims: project_path",
    );
    denied(
        &with("aud", "x".into()),
        401,
        "invalid token: wrong audience: expected https://auth.example.com, got x",
    );
}

#[test]
fn fewer_scopes_can_be_asked_for_and_never_more() {
    let site = gitlab("");
    let ask = |scopes: Value| site.exchange_any(&gitlab_token(&site, |_| {}), Some(scopes));
    let [_, signing] = pair(&ask(json!(["sign:git", "ssh:login"])));
    assert_eq!(signing.scopes(), ["sign:git"]);
    for none in [
        json!([]),
        json!(["ssh:login"]),
        json!(["certMint"]),
        json!([7]),
    ] {
        let answer = ask(none);
        denied(&answer, 403, "none of the requested scopes are granted");
        let json: Value = answer.json();
        assert_eq!(json["granted"], json!(["bridgeCert", "sign:git"]));
    }
}

#[test]
fn buildkite_and_kubernetes_are_known() {
    let buildkite = Site::new(TokenKey::rsa(), |url| {
        format!(
            "[[issuer]]\npreset = \"buildkite\"\nurl = \"{url}\"\naudience = \"a\"\nallow = [{{ claims = {{ organization_slug = \"acme\" }} }}]\n"
        )
    });
    let now = buildkite.world.now().secs();
    let claims = |build: u64| {
        json!({
            "iss": buildkite.issuer.url(),
            "sub": "organization:acme:pipeline:app:ref:refs/heads/main:commit:9f31:step:build",
            "aud": "a",
            "iat": now,
            "nbf": now,
            "exp": now + 300,
            "organization_slug": "acme",
            "pipeline_slug": "app",
            "build_number": build,
            "step_key": null,
        })
    };
    let token = buildkite.issuer.mint(&claims(1));
    let [_, signing] = pair(&buildkite.exchange_any(&token, None));
    assert_eq!(
        signing.identity().unwrap().as_str(),
        "wimse://notme.test/buildkite/acme/app"
    );
    // It gives its tokens no names: what is signed is remembered instead.
    denied(
        &buildkite.exchange_any(&token, None),
        401,
        "token already used",
    );
    pair(&buildkite.exchange_any(&buildkite.issuer.mint(&claims(2)), None));

    let cluster = Site::new(TokenKey::p256(9), |url| {
        format!(
            "[[issuer]]\npreset = \"kubernetes\"\nurl = \"{url}\"\naudience = \"a\"\nallow = [{{ claims = {{ \"/kubernetes.io/namespace\" = [\"ci\", \"ci-*\"] }} }}]\n"
        )
    });
    let token = |namespace: &str| {
        cluster.issuer.mint(&json!({
            "iss": cluster.issuer.url(),
            "sub": format!("system:serviceaccount:{namespace}:builder"),
            "aud": ["a", "https://kubernetes.default.svc"],
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "jti": format!("{namespace}-1"),
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": {"name": "builder", "uid": "0"},
            },
        }))
    };
    let [_, signing] = pair(&cluster.exchange_any(&token("ci-eu"), None));
    assert_eq!(
        signing.identity().unwrap().as_str(),
        "wimse://notme.test/k8s/ci-eu/builder"
    );
    denied(
        &cluster.exchange_any(&token("prod"), None),
        403,
        "claims not permitted",
    );
}

#[test]
fn a_pair_that_may_sign_does_so_while_it_lives() {
    let site = gitlab("");
    let answer = site.exchange_any(&gitlab_token(&site, |_| {}), None);
    let mut json: Value = answer.json();
    // What an enrolment answers besides.
    json["certificates"]["interop"] = json["certificates"]["signing"].clone();
    json["session_ends_at"] = json["expires_at"].clone();
    let session = Session::new(&site.agent, serde_json::from_value(json.clone()).unwrap());
    let client = site.client();
    let bound = leaf(&session.issue(&client, site.world.now(), 1), Format::X509);
    assert_eq!(
        bound.identity().unwrap().as_str(),
        json["identity"].as_str().unwrap()
    );
    site.world.advance(300);
    let late = session.issue(&client, site.world.now(), 2);
    assert_eq!(late.refusal(), (401, "session-ended".to_owned()));
}

#[test]
fn a_key_agent_enrols_with_a_token_of_an_issuer() {
    let site = gitlab("session_seconds = 3600");
    let agent = Agent {
        name: "gitlab",
        ..Agent::new(4)
    };
    let client = site.client();
    let token = gitlab_token(&site, |_| {});
    let enrolled = agent.session(&client, Some(&token)).enrolled;
    assert_eq!(
        enrolled.identity.as_str(),
        "wimse://notme.test/gitlab/infra/tools/builder"
    );
    assert_eq!(enrolled.scopes, ["bridgeCert", "sign:git"]);
    assert_eq!(
        enrolled.session_ends_at,
        UnixTime::from_secs(site.world.now().secs() + 3600)
    );
    // Once, wherever.
    assert_eq!(
        agent.enrol(&client, Some(&token)).refusal(),
        (401, "token-used-up".to_owned())
    );
    denied(&site.exchange_any(&token, None), 401, "token already used");

    let refused = |agent: &Agent, token: &str, status: u16, code: &str| {
        let answer = agent.enrol(&client, Some(token));
        assert_eq!(answer.refusal(), (status, code.to_owned()));
    };
    // The operator gives the name.
    refused(
        &Agent::new(5),
        &gitlab_token(&site, |_| {}),
        403,
        "agent-not-allowed",
    );
    let stranger = gitlab_token(&site, |claims| claims["project_path"] = "other/x".into());
    refused(&agent, &stranger, 403, "oidc-not-permitted");
    let expired = gitlab_token(&site, |claims| claims["exp"] = 1.into());
    refused(&agent, &expired, 401, "oidc-token-invalid");
    refused(&agent, "a.b.c", 401, "oidc-token-invalid");
}
