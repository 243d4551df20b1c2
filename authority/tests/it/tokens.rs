//! What the operator does with enrolment tokens.

use std::fs;

use notme_authority::{AdminError, NewToken, TokenError};

use crate::{
    client::Agent,
    world::{World, token},
};

#[test]
fn a_token_is_kept_as_a_digest_only() {
    let world = World::new();
    let running = world.start();
    let token = world.token();
    assert!(token.expose().starts_with("nme_"));
    assert_eq!(token.expose().len(), 47);
    Agent::new(1).session(&running.tcp(), Some(token.expose()));
    running.stop();
    for file in world.files() {
        let bytes = fs::read(&file).unwrap();
        let needle = token.expose().trim_start_matches("nme_").as_bytes();
        assert!(
            !bytes.windows(needle.len()).any(|window| window == needle),
            "{file:?}"
        );
    }
    assert_eq!(format!("{token:?}"), "EnrolmentToken { .. }");
}

#[test]
fn a_revoked_token_enrols_nobody_and_ends_its_sessions() {
    let world = World::new();
    let running = world.start();
    let admin = world.admin();
    let (token, info) = admin.create_token(NewToken { uses: 2, ..token() }).unwrap();
    let (client, agent) = (running.tcp(), Agent::new(1));
    let session = agent.session(&client, Some(token.expose()));
    let local = Agent::new(2);
    let bystander = local.session(&running.unix(), None);

    assert_eq!(admin.revoke_token(&info.id).unwrap(), 1);
    assert_eq!(
        agent.enrol(&client, Some(token.expose())).refusal().1,
        "token-revoked"
    );
    assert_eq!(
        session.issue(&client, world.now(), 1).refusal().1,
        "session-revoked"
    );
    assert_eq!(
        session.renew(&client, world.now(), 2).refusal().1,
        "session-revoked"
    );
    assert_eq!(bystander.issue(&running.unix(), world.now(), 1).status, 200);
    assert_eq!(admin.revoke_token(&info.id).unwrap(), 0);
    assert!(admin.tokens().unwrap()[0].revoked_at.is_some());
}

#[test]
fn an_id_that_names_no_token_is_refused() {
    let world = World::new();
    let _running = world.start();
    for id in ["", "zz", "0011223344556677", "00112233445566778899"] {
        let error = world.admin().revoke_token(id).unwrap_err();
        assert!(
            matches!(error, AdminError::Token(TokenError::Unknown)),
            "{id}"
        );
    }
}

#[test]
fn a_token_names_its_principal() {
    let world = World::new();
    let running = world.start();
    let bobs = NewToken {
        principal: Some("bob".to_owned()),
        ..token()
    };
    let (token, info) = world.admin().create_token(bobs).unwrap();
    assert_eq!(info.principal, "bob");
    let agent = Agent::new(1);
    let session = agent.session(&running.tcp(), Some(token.expose()));
    assert_eq!(
        session.enrolled.identity.as_str(),
        "wimse://notme.test/agent/bob/claude"
    );
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    let world = World::new();
    let _running = world.start();
    let cases = [
        NewToken { uses: 0, ..token() },
        NewToken {
            ttl_seconds: 0,
            ..token()
        },
        NewToken {
            ttl_seconds: i64::MAX,
            ..token()
        },
        NewToken {
            session_seconds: -1,
            ..token()
        },
    ];
    for case in cases {
        let error = world.admin().create_token(case).unwrap_err();
        assert_eq!(error.code(), "token-limits");
    }
}
