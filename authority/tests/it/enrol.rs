//! `POST /v1/enrol`.

use notme_core::{
    base64,
    certificate::Certificate,
    enrol::{EnrolResponse, enrol_preimage},
    hex,
    key::Signer as _,
};

use crate::{
    client::{Agent, Answer, Client},
    world::{World, start, token},
};

fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.refusal(), (status, code.to_owned()));
}

/// How often the only token of the world was used.
fn used(world: &World) -> u32 {
    world.admin().tokens().unwrap()[0].used
}

#[test]
fn a_token_enrols_its_agent_with_three_certificates() {
    let world = World::new();
    let running = world.start();
    let (client, token, agent) = (running.tcp(), world.token(), Agent::new(1));
    let answer = agent.enrol(&client, Some(token.expose()));
    assert_eq!(answer.status, 200, "{answer:?}");
    let enrolled: EnrolResponse = answer.json();

    assert_eq!(
        enrolled.identity.as_str(),
        "wimse://notme.test/agent/alice/claude"
    );
    assert_eq!(
        enrolled.scopes,
        ["bridgeCert", "sign:git", "sign:attestation"]
    );
    assert_eq!(enrolled.auth_method, "enrolment-token");
    assert_eq!(enrolled.expires_at, world.now().plus(3_600));
    assert_eq!(enrolled.session_ends_at, world.now().plus(86_400));

    let roots = world.admin().roots().unwrap();
    let pair = &enrolled.certificates;
    let cases = [
        (&pair.mtls, &roots[0], agent.mtls.public_key()),
        (&pair.signing, &roots[0], agent.signing.public_key()),
        (&pair.interop, &roots[1], agent.mtls.public_key()),
    ];
    for (pem, root, key) in cases {
        let leaf = Certificate::from_pem(pem).unwrap();
        leaf.verify_issued_by(root).unwrap();
        assert_eq!(leaf.public_key(), key);
        assert_eq!(leaf.identity().unwrap(), enrolled.identity);
        assert_eq!(leaf.scopes(), enrolled.scopes);
        assert_eq!(leaf.not_before(), world.now().plus(-60));
        assert_eq!(leaf.not_after(), enrolled.expires_at);
        assert_eq!(leaf.epoch(), Some(1));
        assert_eq!(hex::encode(&leaf.peer_binding().unwrap()), enrolled.binding);
        assert_eq!(leaf.payload_digest(), None);
    }
}

#[test]
fn a_token_is_spent_once() {
    let world = World::new();
    let running = world.start();
    let (client, token) = (running.tcp(), world.token());
    Agent::new(1).session(&client, Some(token.expose()));
    refused(
        &Agent::new(2).enrol(&client, Some(token.expose())),
        401,
        "token-used-up",
    );
}

#[test]
fn thirty_two_at_once_spend_a_single_use_token_once() {
    let world = World::new();
    let running = world.start();
    let (client, token) = (running.tcp(), world.token());
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let tries: Vec<_> = (1..=32)
            .map(|seed| {
                let (client, token) = (&client, token.expose());
                scope.spawn(move || Agent::new(seed).enrol(client, Some(token)).status)
            })
            .collect();
        tries.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1);
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 31);
    assert_eq!(used(&world), 1);
    assert_eq!(world.admin().describe().unwrap().summary.living_sessions, 1);
}

#[test]
fn a_token_of_n_uses_is_spent_n_times() {
    let world = World::new();
    let running = world.start();
    let mut three = token();
    three.uses = 3;
    let (token, _) = world.admin().create_token(three).unwrap();
    let client = running.tcp();
    let statuses: Vec<u16> = (1..=5)
        .map(|seed| Agent::new(seed).enrol(&client, Some(token.expose())).status)
        .collect();
    assert_eq!(statuses, [200, 200, 200, 401, 401]);
}

#[test]
fn a_token_ends_at_the_first_second_after_its_time() {
    let world = World::new();
    let running = world.start();
    let (client, token) = (running.tcp(), world.token());
    world.advance(600);
    refused(
        &Agent::new(1).enrol(&client, Some(token.expose())),
        401,
        "token-expired",
    );
    world.advance(-1);
    Agent::new(1).session(&client, Some(token.expose()));
}

#[test]
fn nobody_enrols_with_an_unknown_token() {
    let world = World::new();
    let running = world.start();
    for token in [
        "",
        "nme_",
        "nme_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ] {
        refused(
            &Agent::new(1).enrol(&running.unix(), Some(token)),
            401,
            "token-unknown",
        );
    }
}

#[test]
fn a_token_enrols_no_other_agent() {
    let world = World::new();
    let running = world.start();
    let token = world.token();
    let mut other = Agent::new(1);
    other.name = "mallory";
    refused(
        &other.enrol(&running.tcp(), Some(token.expose())),
        403,
        "agent-not-allowed",
    );
    assert_eq!(used(&world), 0);
}

#[test]
fn our_own_user_enrols_over_the_unix_socket_without_a_token() {
    let world = World::new();
    let running = world.start();
    let agent = Agent::new(1);
    let session = agent.session(&running.unix(), None);
    assert_eq!(session.enrolled.auth_method, "same-user");
    assert_eq!(session.enrolled.principal_id, "alice");
    refused(&agent.enrol(&running.tcp(), None), 401, "token-required");
}

#[test]
fn without_local_enrolment_the_unix_socket_asks_for_a_token_too() {
    let world = World::new();
    let mut config = world.config();
    config.local = None;
    let running = start(config).unwrap();
    refused(
        &Agent::new(1).enrol(&running.unix(), None),
        401,
        "token-required",
    );
}

#[test]
fn nobody_behind_a_proxy_passes_for_our_own_user() {
    let world = World::new();
    let urls = [
        "https://auth.example",
        "http://127.0.0.1:8080",
        "unix:/elsewhere",
        "",
    ];
    for url in urls {
        let mut config = world.config();
        config.url = Some(url.to_owned());
        let error = start(config).map(|_| ()).unwrap_err();
        assert_eq!(error.code(), "authority-local-elsewhere", "{url}");
        assert!(!world.socket().exists());
    }
    // The first listener gives the name, and others are served there.
    let mut config = world.config();
    config.listen.reverse();
    let error = start(config).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "authority-local-elsewhere");

    let mut config = world.config();
    config.url = Some("https://auth.example".to_owned());
    config.local = None;
    let running = start(config).unwrap();
    let answer = Agent::new(1).enrol(&running.unix(), None);
    refused(&answer, 401, "token-required");
}

#[test]
fn an_embedded_authority_has_a_name_that_is_not_its_socket() {
    let world = World::new();
    let name = format!("embedded:{}", world.home().display());
    let mut config = world.config();
    config.url = Some(name.clone());
    let running = start(config).unwrap();
    assert_eq!(running.url, name);
    let agent = Agent::new(1);
    let session = agent.session(&running.unix(), None);
    assert_eq!(session.enrolled.auth_method, "same-user");
    assert_eq!(session.issue(&running.unix(), world.now(), 1).status, 200);
}

#[test]
fn the_same_request_again_burns_no_use_of_a_token() {
    let world = World::new();
    let running = world.start();
    let mut three = token();
    three.uses = 3;
    let (token, _) = world.admin().create_token(three).unwrap();
    let (client, agent) = (running.tcp(), Agent::new(1));
    let request = agent.enrol_request(&client.url, Some(token.expose()));
    assert_eq!(client.post("/v1/enrol", &request).status, 200);
    for _ in 0..2 {
        refused(&client.post("/v1/enrol", &request), 409, "keys-known");
    }
    assert_eq!(used(&world), 1);
    Agent::new(2).session(&client, Some(token.expose()));
    assert_eq!(used(&world), 2);
}

#[test]
fn bad_requests_consume_nothing() {
    let world = World::new();
    let running = world.start();
    let (client, token) = (running.tcp(), world.token());
    let (agent, other) = (Agent::new(1), Agent::new(2));
    let good = || agent.enrol_request(&client.url, Some(token.expose()));
    let theirs = other.enrol_request(&client.url, Some(token.expose()));
    let post = |request| client.post("/v1/enrol", &request);

    let mut swapped = good();
    std::mem::swap(
        &mut swapped.public_keys.mtls,
        &mut swapped.public_keys.signing,
    );
    refused(&post(swapped), 400, "key-malformed");

    let mut no_key = good();
    no_key.public_keys.mtls = "-----BEGIN PUBLIC KEY-----".to_owned();
    refused(&post(no_key), 400, "key-malformed");

    let mut twice = good();
    twice
        .public_keys
        .signing
        .push_str(&theirs.public_keys.signing);
    refused(&post(twice), 400, "key-malformed");

    let mut stolen_key = good();
    stolen_key.public_keys.mtls = theirs.public_keys.mtls.clone();
    refused(&post(stolen_key), 401, "proof-invalid");

    let mut half = good();
    half.proofs.signing = theirs.proofs.signing.clone();
    refused(&post(half), 401, "proof-invalid");

    let mut no_proof = good();
    no_proof.proofs.mtls = String::new();
    refused(&post(no_proof), 401, "proof-invalid");

    let elsewhere = agent.enrol_request("https://elsewhere.test", Some(token.expose()));
    refused(&post(elsewhere), 401, "proof-invalid");

    let mut without_token = agent.enrol_request(&client.url, None);
    without_token.token = Some(token.expose().to_owned());
    refused(&post(without_token), 401, "proof-invalid");

    let mut unknown_scope = good();
    unknown_scope.scopes = Some(vec!["authorityManage".to_owned()]);
    refused(&post(unknown_scope), 400, "scope-unknown");

    let mut no_scope = good();
    no_scope.scopes = Some(Vec::new());
    refused(&post(no_scope), 403, "scope-not-granted");

    assert_eq!(used(&world), 0);
    assert_eq!(
        world
            .admin()
            .describe()
            .unwrap()
            .summary
            .certificates_issued,
        0
    );
    assert_eq!(post(good()).status, 200);
}

/// The P-256 proof is the fixed form alone: DER has second spellings.
#[test]
fn a_proof_in_der_is_refused() {
    let world = World::new();
    let running = world.start();
    let (client, agent) = (running.unix(), Agent::new(1));
    let mut request = agent.enrol_request(&client.url, None);
    let image = enrol_preimage(
        None,
        &client.url,
        &request.agent,
        agent.mtls.public_key(),
        agent.signing.public_key(),
    );
    request.proofs.mtls = base64::encode_url(&agent.mtls.sign(&image).unwrap());
    refused(&client.post("/v1/enrol", &request), 401, "proof-invalid");
}

#[test]
fn scopes_are_those_asked_for_within_those_granted() {
    let world = World::new();
    let running = world.start();
    let mut git_only = token();
    git_only.scopes = "sign:git".parse().unwrap();
    let (token, _) = world.admin().create_token(git_only).unwrap();
    let (client, agent) = (running.tcp(), Agent::new(1));
    let ask = |client: &Client, scopes: &[&str]| {
        let mut request = agent.enrol_request(&client.url, Some(token.expose()));
        request.scopes = Some(scopes.iter().map(|scope| (*scope).to_owned()).collect());
        client.post("/v1/enrol", &request)
    };
    refused(
        &ask(&client, &["sign:attestation"]),
        403,
        "scope-not-granted",
    );
    let enrolled: EnrolResponse = ask(&client, &["sign:git", "sign:attestation"]).json();
    assert_eq!(enrolled.scopes, ["sign:git"]);
}
