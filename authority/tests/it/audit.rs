//! What happened is written down, and whoever changes that is found.

use std::sync::Arc;

use notme_authority::{
    AuditCheck, AuditError, AuditHead, Protection, RevocationReason, Revoked, Rotation, rotate,
};
use notme_core::{
    certificate::Certificate,
    enrol::Format,
    hex,
    key::{Signer as _, sha256},
};
use notme_testkit::cast::TestAuthority;
use rusqlite::Connection;
use serde_json::Value;

use crate::{
    client::{Agent, leaf},
    token::TokenSite,
    workload::{Site, body},
    world::{Running, World, token},
};

/// The rows as they are exported.
fn rows(world: &World) -> Vec<String> {
    let mut out = Vec::new();
    world.admin().export_audit(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn parsed(rows: &[String]) -> Vec<Value> {
    let rows = rows.iter().map(|row| serde_json::from_str(row).unwrap());
    rows.collect()
}

fn check(rows: &[String], head: Option<&AuditHead>) -> Result<u64, AuditError> {
    let mut check = AuditCheck::new(head.cloned());
    for row in rows {
        check.row(row.as_bytes())?;
    }
    check.finish()
}

/// Waits for the head that closes what is written by now.
fn head(world: &World, running: &Running) -> AuditHead {
    world.advance(61);
    let rows = u64::try_from(rows(world).len()).unwrap();
    loop {
        let answer = running.tcp().get("/v1/audit/head.json");
        if answer.status == 200 {
            let head = AuditHead::read_unchecked(&answer.body).unwrap();
            if head.number >= rows {
                return head;
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// An authority of which some history is written.
fn history() -> (World, Running) {
    let world = World::new();
    let running = world.start();
    let client = running.unix();
    let agent = Agent::new(1);
    let session = agent.session(&client, None);
    for nonce in 1..4 {
        assert_eq!(session.issue(&client, world.now(), nonce).status, 200);
    }
    (world, running)
}

#[test]
fn every_act_is_a_row_that_says_who_what_and_what_came_of_it() {
    let world = World::new();
    let running = world.start();
    let client = running.tcp();
    let token = world.token();
    let agent = Agent::new(1);
    let request = serde_json::to_vec(&agent.enrol_request(&client.url, Some(token.expose())));
    let request = request.unwrap();
    let enrolled = client.post_bytes("/v1/enrol", &request);
    assert_eq!(enrolled.status, 200);
    let session = crate::client::Session::new(&agent, enrolled.json());
    let issued = session.issue(&client, world.now(), 1);
    assert_eq!(session.issue(&client, world.now(), 1).status, 409);
    assert_eq!(session.renew(&client, world.now(), 2).status, 200);
    assert_eq!(client.post_bytes("/v1/renew", b"{}").status, 400);
    let admin = world.admin();
    let id = admin.tokens().unwrap().remove(0).id;
    admin.revoke_token(&id).unwrap();
    let kid = Agent::new(9).signing.public_key().kid();
    let reason = RevocationReason::KeyCompromise;
    admin.revoke(&Revoked::Key(kid), None, reason).unwrap();
    let clock = Arc::new(world.clock.clone());
    for step in [Rotation::Prepare, Rotation::Activate] {
        rotate(&world.home(), &Protection::LocalFile, step, clock.clone()).unwrap();
    }
    world.advance(7_200);
    rotate(
        &world.home(),
        &Protection::LocalFile,
        Rotation::Retire,
        clock,
    )
    .unwrap();

    let rows = parsed(&rows(&world));
    let published = |row: &&Value| row["act"] != "publish";
    let acts: Vec<_> = rows.iter().filter(published).collect();
    let names: Vec<_> = acts.iter().map(|it| it["act"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "found",
            "create-token",
            "enrol",
            "issue",
            "refuse",
            "renew",
            "refuse",
            "revoke-token",
            "revoke",
            "rotate-prepare",
            "rotate-activate",
            "rotate-retire",
        ]
    );
    let operator = format!("uid:{}", rustix::process::geteuid().as_raw());
    let identity = session.enrolled.identity.as_str();
    let session_id = format!("session {}", session.enrolled.binding);
    for (row, actor, about) in [
        (0, operator.as_str(), "notme.test"),
        (1, &operator, &format!("{id} for claude of alice")),
        (2, &format!("token:{id}"), identity),
        (3, identity, &session_id),
        (4, "stranger", "issue"),
        (5, identity, &session_id),
        (6, "stranger", "renew"),
        (7, &operator, &id),
        (9, &operator, "epoch 2"),
        (11, &operator, "epoch 1"),
    ] {
        assert_eq!(acts[row]["actor"], actor, "{}", acts[row]);
        assert_eq!(acts[row]["about"], about, "{}", acts[row]);
    }
    assert_eq!(acts[2]["request"], hex::encode(&sha256(&request)));
    assert_eq!(acts[2]["issued"].as_array().unwrap().len(), 5);
    let certificate = leaf(&issued, Format::X509);
    assert_eq!(
        acts[3]["issued"],
        serde_json::json!([hex::encode(&certificate.sha256())])
    );
    assert_eq!(acts[4]["code"], "nonce-replayed");
    assert_eq!(acts[6]["code"], "request-malformed");
    assert_eq!(acts[6]["request"], hex::encode(&sha256(b"{}")));
    assert_eq!(acts[3]["time"], 1_795_176_000);
    assert!(
        acts[8]["about"]
            .as_str()
            .unwrap()
            .contains(&kid.to_string())
    );
    assert!(rows.iter().any(|row| row["about"] == "trust document 1"));
    for (number, row) in (1..).zip(&rows) {
        assert_eq!(row["number"], number);
    }
    let count = u64::try_from(rows.len()).unwrap();
    assert_eq!(world.admin().verify_audit(None).unwrap(), count);
}

#[test]
fn no_row_holds_a_token_or_a_key() {
    let world = World::new();
    let running = world.start();
    let client = running.tcp();
    let (token, _) = world.admin().create_token(token()).unwrap();
    let agent = Agent::new(1);
    agent.session(&client, Some(token.expose()));
    assert_eq!(agent.enrol(&client, Some(token.expose())).status, 401);
    let guess = "notme-guessed-token-that-is-none";
    assert_eq!(agent.enrol(&client, Some(guess)).status, 401);
    let text = rows(&world).join("\n");
    for secret in [token.expose(), guess, "BEGIN"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[test]
fn a_whole_audit_is_whole_and_closed_by_a_head() {
    let (world, running) = history();
    let head = head(&world, &running);
    let rows = rows(&world);
    let count = u64::try_from(rows.len()).unwrap();
    assert_eq!(head.number, count);
    assert_eq!(head.trust_domain, "notme.test");
    assert_eq!(
        head.hash,
        hex::encode(&sha256(rows.last().unwrap().as_bytes()))
    );
    assert_eq!(check(&rows, Some(&head)).unwrap(), count);
    assert_eq!(
        world.admin().verify_audit(Some(head.clone())).unwrap(),
        count
    );
    // What comes later does not disturb the head.
    world.token();
    assert_eq!(world.admin().verify_audit(Some(head)).unwrap(), count + 1);
    running.stop();
    let running = world.start();
    assert_eq!(running.tcp().get("/v1/audit/head.json").status, 200);
}

#[test]
fn a_changed_row_is_found() {
    let (world, running) = history();
    let head = head(&world, &running);
    let good = rows(&world);
    for at in 0..good.len() {
        for (from, to) in [
            ("notme", "notyou"),
            (":17951760", ":17951761"),
            ("\"about\":\"", "\"about\":\"x"),
        ] {
            let mut bad = good.clone();
            bad[at] = bad[at].replacen(from, to, 1);
            if bad[at] == good[at] {
                continue;
            }
            let error = check(&bad, Some(&head)).unwrap_err();
            let expected = match bad[at].contains("notyou-audit-row") {
                true => "audit-malformed",
                false => "audit-changed",
            };
            assert_eq!(error.code(), expected, "{at} {to}: {error}");
        }
    }
    // And one that was calculated anew to the end.
    let other = {
        let (world, _running) = history();
        rows(&world)
    };
    let error = check(&other[..good.len().min(other.len())], Some(&head)).unwrap_err();
    assert!(matches!(
        error,
        AuditError::Changed { .. } | AuditError::Cut { .. }
    ));
}

#[test]
fn a_missing_row_is_found() {
    let (world, _running) = history();
    let good = rows(&world);
    for at in 0..good.len() - 1 {
        let mut bad = good.clone();
        bad.remove(at);
        let error = check(&bad, None).unwrap_err();
        assert_eq!(error.code(), "audit-gap", "{at}");
    }
}

#[test]
fn a_moved_row_is_found() {
    let (world, _running) = history();
    let good = rows(&world);
    for at in 0..good.len() - 1 {
        let mut swapped = good.clone();
        swapped.swap(at, at + 1);
        let mut twice = good.clone();
        twice.insert(at + 1, good[at].clone());
        for bad in [swapped, twice] {
            let error = check(&bad, None).unwrap_err();
            assert_eq!(error.code(), "audit-reordered", "{at}");
        }
    }
}

#[test]
fn a_cut_tail_is_found() {
    let (world, running) = history();
    let head = head(&world, &running);
    let good = rows(&world);
    for length in 0..good.len() {
        let error = check(&good[..length], Some(&head)).unwrap_err();
        assert_eq!(error.code(), "audit-cut", "{length}");
        assert!(check(&good[..length], None).is_ok(), "nobody could know");
    }
}

#[test]
fn what_is_no_row_is_found() {
    let (world, _running) = history();
    let good = rows(&world);
    for bad in [
        String::new(),
        "{}".to_owned(),
        format!(" {}", good[0]),
        good[0].replacen("\"version\":1", "\"version\":2", 1),
        good[0].replacen('{', "{\"extra\":1,", 1),
    ] {
        let mut rows = good.clone();
        rows[0] = bad;
        assert_eq!(check(&rows, None).unwrap_err().code(), "audit-malformed");
    }
}

#[test]
fn a_store_that_somebody_wrote_to_is_found() {
    for (change, code) in [
        ("DELETE FROM audit WHERE number = 2", "audit-gap"),
        (
            "DELETE FROM audit WHERE number = (SELECT max(number) FROM audit)",
            "audit-cut",
        ),
        (
            "UPDATE audit SET row = replace(row, '\"act\":\"issue\"', '\"act\":\"renew\"')",
            "audit-changed",
        ),
        // The last one has no successor: its hash beside it gives it away.
        (
            "UPDATE audit SET row = replace(row, '\"about\":\"', '\"about\":\"x')
             WHERE number = (SELECT max(number) FROM audit)",
            "audit-changed",
        ),
        (
            "UPDATE audit_head SET envelope = substr(envelope, 2)",
            "audit-head-malformed",
        ),
    ] {
        let (world, running) = history();
        head(&world, &running);
        running.stop();
        Connection::open(world.home().join("store.sqlite"))
            .unwrap()
            .execute(change, [])
            .unwrap();
        let error = world.admin().verify_audit(None).unwrap_err();
        assert_eq!(error.code(), code, "{change}");
    }
}

#[test]
fn a_head_that_is_none_or_of_somebody_else_is_refused() {
    let (world, running) = history();
    head(&world, &running);
    let envelope = running.tcp().get("/v1/audit/head.json").body;
    let roots = world.admin().roots().unwrap();
    let keys: Vec<_> = roots.iter().map(|root| root.public_key()).collect();
    assert!(AuditHead::read(&envelope, &keys[1..]).is_ok());
    let stranger = TestAuthority::new(1);
    let stranger = stranger.ed25519_root().public_key();
    for keys in [&[][..], &[stranger]] {
        let error = AuditHead::read(&envelope, keys).unwrap_err();
        assert_eq!(error.code(), "audit-head-unsigned");
    }
    let trust = running.tcp().get("/v1/trust.json").body;
    for bad in [&b"{}"[..], b"", &trust] {
        let error = AuditHead::read(bad, &keys).unwrap_err();
        assert_eq!(error.code(), "audit-head-malformed");
    }
}

#[test]
fn what_is_rolled_back_has_no_row() {
    let world = World::new();
    let running = world.start();
    let client = running.unix();
    let agent = Agent::new(1);
    let session = agent.session(&client, None);
    let before = rows(&world).len();
    assert_eq!(session.issue(&client, world.now(), 1).status, 200);
    assert_eq!(session.issue(&client, world.now(), 1).status, 409);
    let rows = parsed(&rows(&world)[before..]);
    let acts: Vec<_> = rows
        .iter()
        .map(|row| row["act"].as_str().unwrap())
        .collect();
    assert_eq!(acts, ["issue", "refuse"]);
}

#[test]
fn a_flood_of_refusals_does_not_fill_the_disk() {
    let world = World::new();
    let running = world.start();
    let client = running.tcp();
    let before = rows(&world).len();
    for _ in 0..100 {
        assert_eq!(client.post_bytes("/v1/issue", b"{}").status, 400);
    }
    assert_eq!(rows(&world).len() - before, 60);
    // How many there were is written all the same, nobody asking.
    world.advance(60);
    let more = loop {
        let rows = parsed(&rows(&world)[before + 60..]);
        let more = rows.into_iter().find(|row| row["act"] == "refuse-more");
        match more {
            Some(row) => break row,
            None => std::thread::sleep(std::time::Duration::from_millis(5)),
        }
    };
    assert_eq!(more["about"], "40 more");
    assert_eq!(client.post_bytes("/v1/issue", b"{}").status, 400);
    assert_eq!(parsed(&rows(&world)).pop().unwrap()["act"], "refuse");
}

/// Of a token that was stolen and used twice there is a row, whatever strangers send.
#[test]
fn strangers_do_not_crowd_out_the_refusals_of_those_who_are_known() {
    let site = Site::github();
    let token = site.token();
    assert_eq!(site.exchange(&token).status, 200);
    let others = site.token_with(|claims| {
        claims["repository_owner"] = "stranger".into();
        claims["repository"] = "stranger/repository".into();
    });
    let before = rows(&site.world).len();
    let listed = |code: &str| {
        let rows = parsed(&rows(&site.world)[before..]);
        rows.iter().filter(|row| row["code"] == code).count()
    };
    for _ in 0..70 {
        assert_eq!(site.client().post("/v1/issue", &"").status, 400);
    }
    // Everybody gets a token for a repository of his own.
    for _ in 0..70 {
        assert_eq!(site.exchange(&others).status, 403);
    }
    assert_eq!(site.exchange(&token).status, 401);
    assert_eq!(listed("request-malformed"), 60);
    assert_eq!(listed("owner-not-permitted"), 60);
    assert_eq!(listed("token-used-up"), 1);
    for _ in 0..70 {
        assert_eq!(site.exchange(&token).status, 401);
    }
    assert_eq!(listed("token-used-up"), 60);
}

#[test]
fn pairs_and_their_refusals_are_rows() {
    let site = Site::github();
    let before = rows(&site.world).len();
    let (token, other) = (site.token(), site.token());
    let answer = site.exchange(&token);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(site.exchange(&token).status, 401);
    assert_eq!(site.exchange_any(&other, None).status, 200);
    assert_eq!(site.exchange_any(&other, None).status, 401);
    assert_eq!(site.post(&site.token(), &Value::Null).status, 400);
    let text = rows(&site.world);
    for token in [&token, &other] {
        assert!(!text.join("").contains(token.as_str()));
    }
    let rows = parsed(&text[before..]);
    let brief: Vec<_> = rows
        .iter()
        .map(|row| {
            let text = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
            (text("actor"), text("act"), text("about"), text("code"))
        })
        .collect();
    let identity = "wimse://notme.test/gha/agentic-research/notme";
    let expected = [
        ("gha-oidc", "enrol", identity, "-"),
        ("stranger", "refuse", "cert-gha", "token-used-up"),
        ("gha-oidc", "enrol", identity, "-"),
        ("stranger", "refuse", "cert", "token-used-up"),
        ("stranger", "refuse", "cert-gha", "request-malformed"),
    ];
    let expected = expected
        .map(|(actor, act, about, code)| (actor.into(), act.into(), about.into(), code.into()));
    assert_eq!(brief, expected);
    let body = body(&site.agent, &token).to_string();
    // What was sent with a token that was used before is a row as well.
    for row in &rows[..2] {
        assert_eq!(row["request"], hex::encode(&sha256(body.as_bytes())));
    }
    let json: Value = answer.json();
    let issued: Vec<_> = ["mtls", "signing"]
        .iter()
        .map(|name| {
            let pem = json["certificates"][name].as_str().unwrap();
            hex::encode(&Certificate::from_pem(pem).unwrap().sha256())
        })
        .collect();
    assert_eq!(rows[0]["issued"], serde_json::json!(issued));
    site.world.admin().verify_audit(None).unwrap();
}

#[test]
fn access_tokens_and_their_refusals_are_rows() {
    let site = TokenSite::new("");
    let before = rows(&site.world).len();
    let proof = site.proof();
    let answer = site.ask(&proof);
    let json: Value = answer.json();
    let token = json["access_token"].as_str().unwrap();
    assert_eq!(site.ask(&proof).status, 401);
    assert_eq!(site.post(&[], b"{}").status, 400);
    let text = rows(&site.world);
    for secret in [token, &proof] {
        assert!(!text.join("").contains(secret));
    }
    let rows = parsed(&text[before..]);
    let codes: Vec<_> = rows.iter().map(|row| row["code"].clone()).collect();
    assert_eq!(
        codes,
        [Value::Null, "dpop-reused".into(), "dpop-required".into()]
    );
    assert_eq!(rows[0]["act"], "access-token");
    assert_eq!(rows[0]["actor"], "wimse://notme.test/agent/alice/claude");
    let about = rows[0]["about"].as_str().unwrap();
    assert!(about.starts_with("session "), "{about}");
    assert!(about.ends_with(" for https://rosary.bot"), "{about}");
    let digest = hex::encode(&sha256(token.as_bytes()));
    assert_eq!(rows[0]["issued"], serde_json::json!([digest]));
    assert_eq!(rows[1]["about"], "token");
}
