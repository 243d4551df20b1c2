//! The reference's own record of what it answers to whom, asked of us: `errors/INDEX.md` row by
//! row, and what its client sent.

use std::{collections::BTreeMap, fs, path::Path};

use aws_lc_rs::{
    encoding::AsDer as _,
    rand::SystemRandom,
    signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use notme_authority::OidcConfig;
use notme_core::{
    base64,
    certificate::Certificate,
    hex,
    identity::Identity,
    key::{PublicKey, Signer as _, sha256},
    pem,
};
use notme_testkit::{jwt::TokenKey, keys::P256Key, testdata};
use serde_json::{Value, json};

use crate::{
    client::{Agent, Answer},
    token::TokenSite,
    workload::{Site, body, body_over, preimage},
    world::{World, start},
};

/// A row: what the reference answered to a probe.
struct Row {
    probe: String,
    status: u16,
    body: String,
}

fn rows(group: &str, at_least: usize) -> Vec<Row> {
    let index = testdata::text("notme-authority/errors/INDEX.md");
    let rows: Vec<_> = index
        .lines()
        .filter_map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            (cells.get(1) == Some(&group)).then(|| Row {
                probe: cells[2].to_owned(),
                status: cells[3].parse().unwrap(),
                body: cells[4].to_owned(),
            })
        })
        .collect();
    assert!(rows.len() >= at_least, "{group}");
    rows
}

/// Where we answer something else, and what; docs/formats/notme-authority.md says why.
type Differences = BTreeMap<&'static str, (u16, &'static str)>;

fn compare(
    (group, at_least): (&str, usize),
    differences: &Differences,
    ask: impl Fn(&str) -> Answer,
) {
    let document =
        fs::read_to_string(testdata::path("../docs/formats/notme-authority.md")).unwrap();
    let mut wrong = Vec::new();
    let rows = rows(group, at_least);
    for Row {
        probe,
        status,
        body,
    } in &rows
    {
        let (status, body) = match differences.get(probe.as_str()) {
            Some((status, body)) => {
                if !document.contains(&format!("`{probe}`")) {
                    wrong.push(format!("{probe}: not in the document"));
                }
                (*status, *body)
            }
            None => (*status, body.as_str()),
        };
        let answer = ask(probe);
        let said = String::from_utf8(answer.body.clone()).unwrap();
        let is_same = match body.split_once("[…") {
            _ if body == "(ok)" => answer.status == 200,
            Some((begin, _)) => said.starts_with(begin),
            None => said == body,
        };
        if answer.status != status || !is_same {
            wrong.push(format!(
                "{probe}: {status} {body}\n    got {} {said}",
                answer.status
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for probe in differences.keys() {
        assert!(rows.iter().any(|row| row.probe == *probe), "{probe}");
    }
}

#[test]
fn cert_gha_answers_every_probe_as_the_reference_does_or_as_we_say() {
    let site = Site::github();
    let invalid_key = r#"{"error":"invalid public key: Invalid SPKI input."}"#;
    let invalid_repository = r#"{"error":"invalid token: invalid claims: repository"}"#;
    let differences = Differences::from([
        (
            "not-json",
            (401, r#"{"error":"invalid token: malformed JWT"}"#),
        ),
        (
            "nbf-future",
            (401, r#"{"error":"invalid token: token not yet valid"}"#),
        ),
        ("owner-repo-mismatch", (401, invalid_repository)),
        ("body-null", (400, r#"{"error":"invalid JSON body"}"#)),
        ("pop-p384-mtls", (400, invalid_key)),
        ("pop-compressed-point-own-spki", (400, invalid_key)),
        ("pop-compressed-point-canonical", (400, invalid_key)),
        ("pop-pem-b64url", (400, invalid_key)),
        ("pop-spki-trailing-bytes", (400, invalid_key)),
        (
            "event-pull_request_target",
            (403, r#"{"error":"event not permitted"}"#),
        ),
        ("jwks-rotated-new-kid", (200, "(ok)")),
        ("repo-traversal", (401, invalid_repository)),
        ("repo-query", (401, invalid_repository)),
        ("repo-space", (401, invalid_repository)),
        ("repo-noslash", (401, invalid_repository)),
        ("repo-unicode", (401, invalid_repository)),
    ]);
    compare(("gha", 70), &differences, |probe| ask_gha(&site, probe));
}

fn ask_gha(site: &Site, probe: &str) -> Answer {
    let set = |name: &'static str, value: Value| {
        site.exchange(&site.token_with(|claims| claims[name] = value))
    };
    let without = |name: &str| {
        site.exchange(&site.token_with(|claims| {
            claims.as_object_mut().unwrap().remove(name);
        }))
    };
    let with_header = |header: Value| site.exchange(&TokenKey::rsa().sign(&header, &site.claims()));
    let with_body = |change: &dyn Fn(&mut Value, &str)| {
        let token = site.token();
        let mut body = body(&site.agent, &token);
        change(&mut body, &token);
        site.post(&token, &body)
    };
    let over = |image: &dyn Fn(&str) -> Vec<u8>| {
        let token = site.token();
        site.post(&token, &body_over(&site.agent, &image(&token)))
    };
    let with_proof = |text: &dyn Fn(&[u8]) -> String| {
        with_body(&|body, _| {
            for key in ["mtls", "signing"] {
                let proof = base64::decode_any(body["proofs"][key].as_str().unwrap()).unwrap();
                body["proofs"][key] = text(&proof).into();
            }
        })
    };
    let with_key_text = |text: &dyn Fn(&PublicKey) -> String| {
        with_body(&|body, _| {
            body["public_keys"]["mtls"] = text(site.agent.mtls.public_key()).into();
            body["public_keys"]["signing"] = text(site.agent.signing.public_key()).into();
        })
    };
    let now = site.world.now().secs();
    let (mtls, signing) = (
        site.agent.mtls.public_key(),
        site.agent.signing.public_key(),
    );
    let good = |token: &str| preimage(mtls, signing, token);
    match probe {
        "ok" | "extra-claim" | "replay-1" | "same-jti-other-token-1" => set("extra", true.into()),
        "get" => site.client().get("/cert/gha"),
        "no-authorization" => site.client().post_bytes("/cert/gha", b"{}"),
        "lowercase-bearer" => {
            let token = format!("bearer {}", site.token());
            let headers = [("authorization", &*token)];
            site.client().request("POST", "/cert/gha", &headers, b"{}")
        }
        "malformed" => site.exchange("nonsense"),
        "two-parts" => site.exchange("a.b"),
        "not-json" => site.exchange("YQ.YQ.YQ"),
        "alg-none" => with_header(json!({"alg": "none", "kid": "first"})),
        "alg-hs256" => with_header(json!({"alg": "HS256", "kid": "first"})),
        "unknown-kid" => with_header(json!({"alg": "RS256", "kid": "nope"})),
        "no-kid" => with_header(json!({"alg": "RS256"})),
        "wrong-key" => {
            let header = json!({"alg": "RS256", "kid": "first"});
            site.exchange(&TokenKey::new_rsa().sign(&header, &site.claims()))
        }
        "wrong-issuer" => set("iss", "https://evil.example".into()),
        "wrong-aud" => set("aud", "https://github.com/agentic-research".into()),
        "aud-array" => set("aud", json!(["x", "notme.bot"])),
        "aud-missing" => without("aud"),
        "expired" => set("exp", (now - 1).into()),
        "exp-missing" => without("exp"),
        "exp-string" => set("exp", (now + 300).to_string().into()),
        "iat-future-61" => set("iat", (now + 61).into()),
        "iat-future-50" => set("iat", (now + 50).into()),
        "iat-missing" => without("iat"),
        "nbf-future" => set("nbf", (now + 3600).into()),
        "very-old-iat" => set("iat", 1.into()),
        "no-jti" => without("jti"),
        "jti-empty" => set("jti", "".into()),
        "jti-number" => set("jti", 7.into()),
        "owner-other" => site.exchange(&site.token_with(|claims| {
            claims["repository_owner"] = "evil-corp".into();
            claims["repository"] = "evil-corp/x".into();
        })),
        "owner-case" => set("repository_owner", "Agentic-Research".into()),
        "owner-repo-mismatch" => set("repository", "evil-corp/notme".into()),
        "missing-repository" => without("repository"),
        "missing-job-workflow-ref" => without("job_workflow_ref"),
        "run-id-number" => set("run_id", 7.into()),
        "tampered-payload" => {
            let (token, other) = (site.token(), site.token());
            let parts: Vec<_> = token.split('.').collect();
            let payload = other.split('.').nth(1).unwrap();
            site.exchange(&format!("{}.{payload}.{}", parts[0], parts[2]))
        }
        "body-empty" => site.post_bytes(&site.token(), b""),
        "body-not-json" => site.post_bytes(&site.token(), b"{"),
        "body-null" => site.post_bytes(&site.token(), b"null"),
        "body-no-keys" => with_body(&|body, _| body["public_keys"] = json!({})),
        "body-no-proofs" => with_body(&|body, _| body["proofs"] = json!({})),
        "body-bad-pem" => with_body(&|body, _| body["public_keys"]["mtls"] = "nonsense".into()),
        "pop-b64-std-padded" => with_proof(&base64_standard),
        "pop-b64url-padded" => with_proof(&|proof| format!("{}==", base64::encode_url(proof))),
        "pop-hex" => with_proof(&hex::encode),
        "pop-b64-newline" => with_proof(&|proof| format!("{}\n", base64::encode_url(proof))),
        "pop-legacy-digest" => over(&|token| sha256(&good(token)).to_vec()),
        "pop-mixed-digest" => with_body(&|body, token| {
            let digest = sha256(&good(token));
            let proof = site.agent.signing.sign(&digest).unwrap();
            body["proofs"]["signing"] = base64::encode_url(&proof).into();
        }),
        "pop-ecdsa-der" => with_body(&|body, token| {
            let proof = site.agent.mtls.sign(&good(token)).unwrap();
            body["proofs"]["mtls"] = base64::encode_url(&proof).into();
        }),
        "pop-no-oidc-hash" => over(&|_| [mtls.spki_der(), signing.spki_der()].concat()),
        "pop-wrong-token-hash" => over(&|_| good(&site.token())),
        "pop-hex-hash" => over(&|token| {
            let digest = hex::encode(&sha256(token.as_bytes()));
            [mtls.spki_der(), signing.spki_der(), digest.as_bytes()].concat()
        }),
        "pop-swapped-order" => over(&|token| preimage(signing, mtls, token)),
        "pop-ecdsa-flipped-s" => with_body(&|body, token| {
            let proof = flipped(&site.agent.mtls.sign_fixed(&good(token)));
            body["proofs"]["mtls"] = base64::encode_url(&proof).into();
        }),
        "pop-swapped-keys" => with_body(&|body, _| {
            for name in ["public_keys", "proofs"] {
                let pair = body[name].clone();
                body[name] = json!({"mtls": pair["signing"], "signing": pair["mtls"]});
            }
        }),
        "pop-two-p256" => with_body(&|body, _| {
            for name in ["public_keys", "proofs"] {
                body[name]["signing"] = body[name]["mtls"].clone();
            }
        }),
        "pop-foreign-proof" => with_body(&|body, token| {
            let stranger = crate::workload::body(&Agent::new(2), token);
            body["proofs"] = stranger["proofs"].clone();
        }),
        "pop-p384-mtls" => with_body(&|body, _| body["public_keys"]["mtls"] = p384().into()),
        "pop-compressed-point-own-spki" => {
            let token = site.token();
            let spki = compressed(mtls);
            let image = [&spki, signing.spki_der(), &sha256(token.as_bytes())].concat();
            let mut body = body_over(&site.agent, &image);
            body["public_keys"]["mtls"] = pem::encode("PUBLIC KEY", &spki).into();
            site.post(&token, &body)
        }
        "pop-compressed-point-canonical" => with_body(&|body, _| {
            body["public_keys"]["mtls"] = pem::encode("PUBLIC KEY", &compressed(mtls)).into();
        }),
        "pop-ed25519-null-params" => with_body(&|body, _| {
            let head = hex::decode("302c300706032b65700500032100").unwrap();
            let spki = [&head[..], &signing.ed25519_bytes().unwrap()].concat();
            body["public_keys"]["signing"] = pem::encode("PUBLIC KEY", &spki).into();
        }),
        "pop-pem-crlf" => with_key_text(&|key| key.spki_pem().replace('\n', "\r\n")),
        "pop-pem-bare-base64" => with_key_text(&|key| base64::encode(key.spki_der())),
        "pop-pem-b64url" => with_key_text(&|key| base64::encode_url(key.spki_der())),
        "pop-spki-trailing-bytes" => {
            with_key_text(&|key| pem::encode("PUBLIC KEY", &[key.spki_der(), &[0, 0]].concat()))
        }
        "pop-empty-proof" => with_body(&|body, _| body["proofs"]["mtls"] = "".into()),
        "burn-1-bad-pop" => over(&|_| b"x".to_vec()),
        "burn-2-good-pop-same-token" => {
            let token = site.token();
            site.post(&token, &body_over(&site.agent, b"x"));
            site.exchange(&token)
        }
        "replay-2" => {
            let token = site.token();
            site.exchange(&token);
            site.exchange(&token)
        }
        "same-jti-other-token-2" => {
            let claims = site.claims();
            site.exchange(&site.issuer.mint(&claims));
            let mut other = claims;
            other["run_id"] = "2".into();
            site.exchange(&site.issuer.mint(&other))
        }
        "event-pull_request" => set("event_name", "pull_request".into()),
        "event-pull_request_target" => set("event_name", "pull_request_target".into()),
        "event-workflow_dispatch" => set("event_name", "workflow_dispatch".into()),
        "event-schedule" => set("event_name", "schedule".into()),
        "jwks-rotated-new-kid" => {
            let site = Site::github();
            site.exchange(&site.token());
            site.world.advance(31);
            site.issuer.add_key("second", TokenKey::new_rsa());
            site.exchange(&site.token())
        }
        "repo-traversal" => set("repository", "agentic-research/../x".into()),
        "repo-query" => set("repository", "agentic-research/x?y#z".into()),
        "repo-space" => set("repository", "agentic-research/a b".into()),
        "repo-noslash" => set("repository", "justname".into()),
        "repo-unicode" => set("repository", "agentic-research/é".into()),
        other => panic!("no such probe: {other}"),
    }
}

fn base64_standard(bytes: &[u8]) -> String {
    base64::encode(bytes)
}

/// The other signature that every ECDSA signature has: `s` becomes `n - s`.
fn flipped(signature: &[u8]) -> Vec<u8> {
    let order =
        hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").unwrap();
    let (r, s) = signature.split_at(32);
    let mut borrow = 0;
    let mut other = [0; 32];
    for at in (0..32).rev() {
        let difference = i16::from(order[at]) - i16::from(s[at]) - borrow;
        borrow = i16::from(difference < 0);
        other[at] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    [r, &other].concat()
}

fn compressed(key: &PublicKey) -> Vec<u8> {
    let point = key.p256_sec1().unwrap();
    let head = hex::decode("3039301306072a8648ce3d020106082a8648ce3d030107032200").unwrap();
    [&head[..], &[2 + (point[64] & 1)], &point[1..33]].concat()
}

fn p384() -> String {
    let algorithm = &ECDSA_P384_SHA384_ASN1_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).unwrap();
    pem::encode("PUBLIC KEY", key.public_key().as_der().unwrap().as_ref())
}

/// Browsers' sessions are nothing that we have; the rest is as it was.
#[test]
fn cert_answers_every_probe_as_the_reference_does_or_as_we_say() {
    let site = Site::github();
    let no_session = (401, r#"{"error":"invalid session"}"#);
    let differences = Differences::from([
        ("session-ok", no_session),
        ("session-replayed-body", no_session),
        ("scope-certmint-only", no_session),
        ("scope-unknown", no_session),
        ("scope-empty", no_session),
        ("bad-pop", no_session),
        ("oidc-token-as-secret", no_session),
        ("only-keys-no-proofs", no_session),
        ("session-forged-valid", no_session),
        ("session-no-authmethod", no_session),
        ("session-no-scopes", no_session),
        (
            "bootstrap-after-admin",
            (403, r#"{"error":"invalid or consumed bootstrap code"}"#),
        ),
        ("body-not-json", (400, r#"{"error":"invalid JSON body"}"#)),
    ]);
    compare(("cert", 20), &differences, |probe| {
        let post = |proof: Value| {
            let mut body = body(&site.agent, "");
            body["proof"] = proof;
            site.client().post("/cert", &body)
        };
        match probe {
            "get" => site.client().get("/cert"),
            "no-proof" => site.client().post("/cert", &json!({})),
            "unknown-type" => post(json!({"type": "zzz"})),
            "no-cookie" => post(json!({"type": "session"})),
            "body-not-json" => site.client().post_bytes("/cert", b"{"),
            "bootstrap-wrong" | "bootstrap-after-admin" => {
                post(json!({"type": "bootstrap", "code": "x"}))
            }
            "oidc-bad" => {
                let token = site.token_with(|claims| claims["aud"] = "x".into());
                post(json!({"type": "oidc", "token": token}))
            }
            // Everything else has a cookie.
            _ => site.client().request(
                "POST",
                "/cert",
                &[("cookie", "notme_session=x.y")],
                json!({"proof": {"type": "session"}}).to_string().as_bytes(),
            ),
        }
    });
    let passkey = site.client().post("/cert/passkey", &json!({}));
    assert_eq!(
        (passkey.status, passkey.body),
        (404, br#"{"error":"not_found"}"#.to_vec())
    );
}

#[test]
fn token_answers_every_probe_as_the_reference_does_or_as_we_say() {
    let site = TokenSite::new("");
    compare(("token", 40), &Differences::new(), |probe| {
        ask_token(&site, probe)
    });
}

fn ask_token(site: &TokenSite, probe: &str) -> Answer {
    let now = site.world.now().secs();
    let with = |name: &'static str, value: Value| {
        site.ask(&site.proof_with(|_, claims| claims[name] = value))
    };
    let without = |name: &str| {
        site.ask(&site.proof_with(|_, claims| {
            claims.as_object_mut().unwrap().remove(name);
        }))
    };
    let with_header = |name: &'static str, value: Value| {
        site.ask(&site.proof_with(|header, _| header[name] = value))
    };
    let with_body = |change: &dyn Fn(&mut Value)| {
        let proof = site.proof();
        let mut body = site.body(&proof, TokenSite::AUDIENCE);
        change(&mut body);
        site.post(&[("dpop", &proof)], body.to_string().as_bytes())
    };
    match probe {
        "ok" | "replay-1" => site.ask(&site.proof()),
        "no-dpop" => {
            let body = site.body(&site.proof(), TokenSite::AUDIENCE);
            site.post(&[], body.to_string().as_bytes())
        }
        "no-session" => with_body(&|body| {
            body.as_object_mut().unwrap().remove("session");
        }),
        "bad-session" => with_body(&|body| body["session"] = "AAAA".into()),
        "expired-session" => {
            site.world.advance(2 * 86_400);
            let answer = site.ask(&site.proof());
            site.world.advance(-2 * 86_400);
            answer
        }
        "no-audience" => with_body(&|body| {
            body.as_object_mut().unwrap().remove("audience");
        }),
        "empty-body" => site.post(&[("dpop", &site.proof())], b""),
        "wrong-audience" => with_body(&|body| body["audience"] = "https://evil.example".into()),
        "form-body" => site.post(
            &[
                ("dpop", &site.proof()),
                ("content-type", "application/x-www-form-urlencoded"),
            ],
            b"audience=https://rosary.bot",
        ),
        "get" => site.client().get("/token"),
        "replay-2" => {
            let proof = site.proof();
            site.ask(&proof);
            site.ask(&proof)
        }
        "htm-get" => with("htm", "GET".into()),
        "htm-lower" => with("htm", "post".into()),
        "htu-other" => with("htu", "http://localhost:18788/other".into()),
        "htu-query" => with("htu", "http://localhost:18788/token?a=b#c".into()),
        "htu-slash" => with("htu", "http://localhost:18788/token/".into()),
        "htu-upper-host" => with("htu", "http://LOCALHOST:18788/token".into()),
        "htu-127" => with("htu", "http://127.0.0.1:18788/token".into()),
        "htu-https" => with("htu", "https://localhost:18788/token".into()),
        "htu-percent" => with("htu", "http://localhost:18788/%74oken".into()),
        "iat-old-59" => with("iat", (now - 59).into()),
        "iat-old-65" => with("iat", (now - 65).into()),
        "iat-future-55" => with("iat", (now + 55).into()),
        "iat-future-70" => with("iat", (now + 70).into()),
        "iat-string" => with("iat", now.to_string().into()),
        "iat-float" => with("iat", serde_json::from_str(&format!("{now}.5")).unwrap()),
        "no-iat" => without("iat"),
        "no-jti" => without("jti"),
        "jti-empty" => with("jti", "".into()),
        "jti-number" => with("jti", 7.into()),
        "jti-huge" => with("jti", "x".repeat(4096).into()),
        "typ-jwt" => with_header("typ", "JWT".into()),
        "typ-missing" => with_header("typ", Value::Null),
        "alg-es384" => with_header("alg", "ES384".into()),
        "jwk-private" => site.ask(&site.proof_with(|header, _| header["jwk"]["d"] = "AA".into())),
        "jwk-extra" => site.ask(&site.proof_with(|header, _| header["jwk"]["x5t"] = "x".into())),
        "jwk-missing" => with_header("jwk", Value::Null),
        "jwk-other-key" => with_header("jwk", TokenKey::p256(22).jwk()),
        "nonce-unsolicited" => with("nonce", "x".into()),
        "ath-present" => with("ath", "x".into()),
        "two-proofs" => {
            let (one, other) = (site.proof(), site.proof());
            let body = site.body(&format!("{one}, {other}"), TokenSite::AUDIENCE);
            let headers = [("dpop", &*one), ("dpop", &*other)];
            site.post(&headers, body.to_string().as_bytes())
        }
        "trailing-garbage" => site.ask(&format!("{}x", site.proof())),
        "der-sig" => {
            let proof = site.proof();
            let (input, _) = proof.rsplit_once('.').unwrap();
            let key = P256Key::from_seed([TokenSite::SEED; 32]);
            let signature = base64::encode_url(&key.sign(input.as_bytes()).unwrap());
            site.ask(&format!("{input}.{signature}"))
        }
        "eddsa-proof" => {
            let key = TokenKey::ed25519(5);
            let header = json!({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": key.jwk()});
            site.ask(&key.sign(&header, &site.claims()))
        }
        "cors-rosary" => {
            let proof = site.proof();
            let body = site.body(&proof, TokenSite::AUDIENCE).to_string();
            let headers = [("dpop", &*proof), ("origin", "https://rosary.bot")];
            site.post(&headers, body.as_bytes())
        }
        other => panic!("no such probe: {other}"),
    }
}

/// A request and its answer, as they were on the wire.
struct Transcript {
    head: String,
    body: String,
    status: u16,
    answer: String,
}

fn transcripts() -> Vec<Transcript> {
    let mut files: Vec<_> = fs::read_dir(testdata::path("notme-authority/transcripts"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with("-authority.http"))
        .collect();
    files.sort();
    assert_eq!(files.len(), 3);
    let read = |path: &Path| {
        let text = fs::read_to_string(path).unwrap().replace("\r\n", "\n");
        let (request, answer) = text.split_once("<<< RESPONSE\n").unwrap();
        let request = request.strip_prefix(">>> REQUEST\n").unwrap();
        let (head, body) = request.split_once("\n\n").unwrap();
        let (answer_head, answer) = answer.split_once("\n\n").unwrap();
        Transcript {
            head: head.to_owned(),
            body: body.trim().to_owned(),
            status: answer_head.split(' ').nth(1).unwrap().parse().unwrap(),
            answer: answer.trim().to_owned(),
        }
    };
    files.iter().map(|path| read(path)).collect()
}

/// The names of all members, in the order of the text.
fn members(json: &str) -> Vec<&str> {
    let texts: Vec<_> = json.split('"').collect();
    let names = texts.windows(2).filter(|pair| pair[1].starts_with(':'));
    names.map(|pair| pair[0]).collect()
}

#[test]
fn what_the_references_client_sent_gets_the_same_answers_here() {
    let world = World::new();
    // Between the first token and the last of the recording.
    world.advance(1_795_212_446 - world.now().secs());
    let mut config = world.config();
    config.founding.trust_domain = "localhost:18788".to_owned();
    config.oidc = OidcConfig::parse(
        "[[issuer]]\npreset = \"github-actions\"\naudience = \"notme.bot\"\nowners = [\"agentic-research\"]\njwks_file = \"gha.jwks.json\"\n",
        &testdata::path("notme-authority"),
    )
    .unwrap();
    let running = start(config).unwrap();
    let root = world.admin().roots().unwrap().remove(0);
    let mut granted = 0;
    for transcript in transcripts() {
        let mut lines = transcript.head.lines();
        assert_eq!(lines.next(), Some("POST /cert/gha HTTP/1.1"));
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(": "))
            .filter(|(name, _)| !["Content-Length", "Host", "Connection"].contains(name))
            .collect();
        let answer =
            running
                .tcp()
                .request("POST", "/cert/gha", &headers, transcript.body.as_bytes());
        assert_eq!(answer.status, transcript.status, "{answer:?}");
        let text = String::from_utf8(answer.body.clone()).unwrap();
        if answer.status != 200 {
            assert_eq!(text, transcript.answer);
            continue;
        }
        granted += 1;
        assert_eq!(members(&text), members(&transcript.answer));
        let theirs: Value = serde_json::from_str(&transcript.answer).unwrap();
        let ours: Value = answer.json();
        for same in ["identity", "scopes", "binding", "claims"] {
            assert_eq!(ours[same], theirs[same]);
        }
        let request: Value = serde_json::from_str(&transcript.body).unwrap();
        for key in ["mtls", "signing"] {
            let leaf = Certificate::from_pem(ours["certificates"][key].as_str().unwrap()).unwrap();
            leaf.verify_issued_by(&root).unwrap();
            assert_eq!(
                *leaf.public_key(),
                PublicKey::from_spki_pem(request["public_keys"][key].as_str().unwrap()).unwrap()
            );
            let identity: Identity = ours["identity"].as_str().unwrap().parse().unwrap();
            assert_eq!(leaf.identity().unwrap(), identity);
            assert_eq!(ours["expires_at"], leaf.not_after().secs());
        }
    }
    assert_eq!(granted, 2);
}
