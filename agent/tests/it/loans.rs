//! An agent that is lent out, and what its borrower cannot have.

use std::{
    io::Read as _,
    os::unix::net::UnixStream,
    path::Path,
    sync::{Arc, Mutex},
};

use notme_agent::Profile;
use notme_core::{
    certificate::Certificate,
    dsse::pae,
    frame::{
        ArmoredAnswer, AttestAnswer, CredentialsAnswer, LendAnswer, Purpose, Refusal, Request,
        SignatureKind, StatusAnswer,
    },
    openpgp::{ArmorKind, Certification, KeyBlock, Signature, dearmor},
    ssh::{Key, SshSig},
    terms::Terms,
};
use notme_testkit::clock::{FixedClock, NOW};
use serde_json::{Value, json};

use crate::world::{Client, Wishes, World, commit, eventually, verified_leaf};

const ACTIVITY: &str = "urn:uuid:00000000-0000-4000-8000-000000000001";
const TAG: &str = "object 4b825dc642cb6eb9a060e54bf8d69288fbee4904\ntype commit\ntag v1\n\
    tagger Test <test@example.invalid> 1795176000 +0000\n\na release\n";

fn terms() -> Terms {
    Terms {
        repository: None,
        refs: None,
        paths: None,
        signatures: 100,
        until: NOW.plus(3600),
    }
}

/// A loan: the connection that keeps it, and a way to more connections of the borrower's.
struct Lent {
    lender: Client,
    answer: LendAnswer,
}

impl Lent {
    fn borrower(&self) -> Client {
        Client(UnixStream::connect(&self.answer.socket).unwrap())
    }

    fn refused(&self, request: &Request, body: &[u8]) -> String {
        let refusal: Result<Value, Refusal> = self.borrower().call(request, body);
        refusal.unwrap_err().code
    }
}

fn lend(world: &World, terms: Terms) -> Lent {
    try_lend(world, terms).unwrap()
}

fn try_lend(world: &World, terms: Terms) -> Result<Lent, Refusal> {
    let mut lender = world.connect();
    let request = Request::Lend {
        agent: "claude".parse().unwrap(),
        activity: ACTIVITY.to_owned(),
        terms,
    };
    let answer = lender.call(&request, b"")?;
    Ok(Lent { lender, answer })
}

/// Terms that only a verifier can hold a commit to.
fn narrow() -> Terms {
    Terms {
        repository: Some("example.org/team/tool".to_owned()),
        refs: Some(vec!["refs/heads/agent/*".to_owned()]),
        paths: Some(vec!["src/*".to_owned()]),
        ..terms()
    }
}

fn sign(key: &str) -> Request {
    Request::Sign {
        key: key.to_owned(),
        format: SignatureKind::X509,
        purpose: Purpose::Git,
    }
}

#[test]
fn signs_on_a_socket_of_its_own_and_says_for_which_activity() {
    let world = World::new();
    let lent = lend(&world, terms());
    let answer = lent.borrower().sign("claude", &commit()).unwrap();
    let leaf = verified_leaf(&answer, &commit());
    assert_eq!(leaf.activity(), Some(ACTIVITY));
    assert_eq!(leaf.identity().unwrap(), lent.answer.identity);
    let key = "claude".to_owned();
    let credentials: CredentialsAnswer = lent
        .borrower()
        .call(&Request::Credentials { key }, b"")
        .unwrap();
    assert_eq!(credentials.identity, lent.answer.identity);
    // What the owner signs meanwhile is of no activity.
    let own = world.sign("claude", &commit()).unwrap();
    assert_eq!(verified_leaf(&own, &commit()).activity(), None);
}

#[test]
fn a_borrower_reaches_nothing_but_what_was_lent() {
    let world = World::new();
    world.configure("codex", Profile::Modern);
    let lent = lend(&world, terms());
    let agent = || "claude".parse().unwrap();
    for request in [
        sign("codex"),
        Request::Attest {
            key: "codex".to_owned(),
        },
        Request::Credentials {
            key: "codex".to_owned(),
        },
        Request::Lend {
            agent: agent(),
            activity: ACTIVITY.to_owned(),
            terms: terms(),
        },
        Request::Reclaim,
        Request::Status,
        Request::List,
        Request::Renew { agent: agent() },
        Request::Enrol { agent: agent() },
        Request::Stop,
    ] {
        assert_eq!(lent.refused(&request, &commit()), "not-lent", "{request:?}");
    }
    let _: StatusAnswer = world.connect().call(&Request::Status, b"").unwrap();
}

#[test]
fn signs_as_often_and_as_long_as_it_was_lent_for() {
    let world = World::new();
    let lent = lend(
        &world,
        Terms {
            signatures: 2,
            ..terms()
        },
    );
    // What is not signed does not count.
    assert_eq!(
        lent.refused(&sign("claude"), b"no object"),
        "payload-not-understood"
    );
    for _ in 0..2 {
        lent.borrower().sign("claude", &commit()).unwrap();
    }
    assert_eq!(lent.refused(&sign("claude"), &commit()), "loan-over");
    let past = Terms {
        until: NOW.plus(-1),
        ..terms()
    };
    assert_eq!(try_lend(&world, past).err().unwrap().code, "loan-over");
}

#[test]
fn tags_and_pushes_name_no_ref_beyond_the_terms() {
    let world = World::new();
    let within = |refs: &str| Terms {
        refs: Some(vec![refs.to_owned()]),
        ..terms()
    };
    let push = |name: &str| {
        format!(
            "certificate version 0.1\npusher claude 1795176000 +0000\nnonce 1\n\n{} {} {name}\n",
            "0".repeat(40),
            "1".repeat(40)
        )
    };
    let lent = lend(&world, within("refs/heads/agent/*"));
    assert_eq!(lent.refused(&sign("claude"), TAG.as_bytes()), "not-lent");
    let main = push("refs/heads/main");
    assert_eq!(lent.refused(&sign("claude"), main.as_bytes()), "not-lent");
    let own = push("refs/heads/agent/one");
    lent.borrower().sign("claude", own.as_bytes()).unwrap();
    let lent = lend(&world, within("refs/tags/v*"));
    lent.borrower().sign("claude", TAG.as_bytes()).unwrap();
}

#[test]
fn what_is_signed_meanwhile_says_within_which_terms_in_every_format() {
    let world = World::new();
    let lent = lend(&world, narrow());
    let answer = lent.borrower().sign("claude", &commit()).unwrap();
    let leaf = verified_leaf(&answer, &commit());
    assert_eq!(leaf.terms(), Some(&narrow()));
    assert!(leaf.payload_digest().is_some());
    let armored = |format| -> ArmoredAnswer {
        let request = Request::Sign {
            key: "claude".to_owned(),
            format,
            purpose: Purpose::Git,
        };
        lent.borrower().call(&request, &commit()).unwrap()
    };
    let ssh = armored(SignatureKind::Ssh).signature;
    let ssh = SshSig::from_armor(ssh.as_bytes()).unwrap();
    let certificate = ssh.key().certificate().unwrap();
    assert_eq!(certificate.terms(), Some(&narrow()));
    let openpgp = armored(SignatureKind::OpenPgp).signature;
    let openpgp = dearmor(ArmorKind::Signature, openpgp.as_bytes()).unwrap();
    let openpgp = Signature::from_bytes(&openpgp).unwrap();
    let said = certification(&world, openpgp.key_block().unwrap());
    assert_eq!(said.terms(), Some(&narrow()));
    // What the owner signs meanwhile is within none.
    let own = world.sign("claude", &commit()).unwrap();
    assert_eq!(verified_leaf(&own, &commit()).terms(), None);
}

/// What the authority says of a session's OpenPGP key.
fn certification(world: &World, block: &[u8]) -> Certification {
    let block = KeyBlock::from_bytes(block).unwrap();
    let user_id = &block.user_ids()[0];
    let trust = world.trust();
    let authority = &trust.current_openpgp().next().unwrap().certificate;
    let said = &user_id.signatures()[1];
    Certification::verify(said, authority, block.primary(), user_id).unwrap()
}

/// The loan has a certificate of its own from its beginning.
#[test]
fn terms_hold_without_the_authority() {
    let mut world = World::new();
    let lent = lend(&world, narrow());
    let plain = lend(&world, terms());
    world.stop_authority();
    for (lent, terms) in [(&lent, narrow()), (&plain, terms())] {
        let answer = lent.borrower().sign("claude", &commit()).unwrap();
        let leaf = verified_leaf(&answer, &commit());
        assert_eq!(leaf.terms(), Some(&terms));
        assert_eq!(leaf.activity(), Some(ACTIVITY));
        assert_eq!(leaf.payload_digest(), None);
        assert!(answer.notice.unwrap().contains("the run's certificate"));
    }
    // One that begins now has none: it signs as the session does, or nothing.
    let refused = try_lend(&world, narrow()).err().unwrap();
    assert_eq!(refused.code, "terms-unavailable");
    assert!(refused.hint.is_some());
    let late = lend(&world, terms());
    let answer = late.borrower().sign("claude", &commit()).unwrap();
    assert_eq!(verified_leaf(&answer, &commit()).terms(), None);
}

/// No signature says which certificate it is made with, so that there may be no other over its key.
#[test]
fn nothing_over_the_key_of_a_narrow_loan_comes_without_its_terms() {
    let world = World::new();
    let lent = lend(&world, narrow());
    let own = verified_leaf(&world.sign("claude", &commit()).unwrap(), &commit());
    let answer = lent.borrower().sign("claude", &commit()).unwrap();
    let leaf = verified_leaf(&answer, &commit());
    assert_ne!(leaf.public_key(), own.public_key());
    let key = "claude".to_owned();
    let told: CredentialsAnswer = lent
        .borrower()
        .call(&Request::Credentials { key }, b"")
        .unwrap();
    let certificates = Certificate::pem_bundle(&told.x509).unwrap();
    assert_eq!(certificates[0].terms(), Some(&narrow()));
    let line = told.ssh.unwrap();
    let (key, _) = Key::from_text(&line).unwrap();
    assert_eq!(key.certificate().unwrap().terms(), Some(&narrow()));
    let block = dearmor(ArmorKind::PublicKeys, told.openpgp.unwrap().as_bytes()).unwrap();
    assert_eq!(certification(&world, &block).terms(), Some(&narrow()));
}

#[test]
fn a_certificate_with_other_terms_is_not_used() {
    let told: Arc<Mutex<Option<Value>>> = Arc::default();
    let clock = FixedClock::default();
    let mut world = World::empty();
    let held = Arc::clone(&told);
    // The first loan's certificates, again and again.
    let change = move |path: &str, answer: Value| {
        let mut held = held.lock().unwrap();
        match path {
            "/v1/issue" => Some(held.get_or_insert(answer).clone()),
            _ => Some(answer),
        }
    };
    world.start_authority_behind(&clock, Arc::new(change));
    world.configure("claude", Profile::Modern);
    world.start_agent(Wishes::default());
    lend(&world, narrow());
    let wider = Terms {
        paths: None,
        ..narrow()
    };
    let refused = try_lend(&world, wider).err().unwrap();
    assert_eq!(refused.code, "authority-answer-invalid");
    assert!(refused.message.contains("terms"), "{}", refused.message);
}

/// As an authority of before there were terms, whose requests have no such member.
#[test]
fn an_authority_that_knows_no_terms_lends_nothing_that_needs_them() {
    let mut world = World::empty();
    let refusal = json!({"error": "request-malformed", "message": "unknown field"});
    let change = move |path: &str, answer: Value| match path {
        "/v1/issue" => Some(refusal.clone()),
        _ => Some(answer),
    };
    world.start_authority_behind(&FixedClock::default(), Arc::new(change));
    world.configure("claude", Profile::Modern);
    world.start_agent(Wishes::default());
    let refused = try_lend(&world, narrow()).err().unwrap();
    assert_eq!(refused.code, "terms-unavailable");
    let lent = lend(&world, terms());
    let answer = lent.borrower().sign("claude", &commit()).unwrap();
    assert_eq!(verified_leaf(&answer, &commit()).terms(), None);
}

#[test]
fn terms_beyond_their_limits_are_refused() {
    let world = World::new();
    let wide = Terms {
        paths: Some(vec!["a".to_owned(); 33]),
        ..terms()
    };
    assert_eq!(
        try_lend(&world, wide).err().unwrap().code,
        "terms-malformed"
    );
}

fn statement(predicate_type: &str, predicate: &Value) -> Vec<u8> {
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": "0".repeat(64)}}],
        "predicateType": predicate_type,
        "predicate": predicate,
    });
    pae(
        "application/vnd.in-toto+json",
        statement.to_string().as_bytes(),
    )
}

#[test]
fn states_nothing_but_records_of_the_activity() {
    let world = World::new();
    let lent = lend(&world, terms());
    let attest = Request::Attest {
        key: "claude".to_owned(),
    };
    const RECORD: &str = "https://notme.bot/attestation/activity/v1";
    let begun = format!("{ACTIVITY}/1");
    for (predicate_type, activity) in [
        (
            "https://notme.bot/attestation/acceptance/v1",
            json!({"id": ACTIVITY}),
        ),
        (RECORD, json!({"id": "urn:uuid:another"})),
        // A name that somebody else's activity may have.
        (
            RECORD,
            json!({"id": "urn:uuid:another", "parent": ACTIVITY}),
        ),
        (
            RECORD,
            json!({"id": format!("{ACTIVITY}1"), "parent": ACTIVITY}),
        ),
        (RECORD, json!({"id": begun, "parent": "urn:uuid:another"})),
        (RECORD, json!({"id": begun})),
        // Another chain beside the activity's own.
        (
            RECORD,
            json!({"id": ACTIVITY, "parent": "urn:uuid:another"}),
        ),
        (RECORD, json!({"id": ACTIVITY, "parent": ACTIVITY})),
        (RECORD, json!({"parent": ACTIVITY})),
    ] {
        let message = statement(predicate_type, &json!({"activity": activity}));
        assert_eq!(lent.refused(&attest, &message), "not-lent", "{activity}");
    }
    let link = json!({"_type": "link", "name": "acceptance", "materials": {}, "products": {},
        "byproducts": {}, "command": [], "environment": {}});
    for message in [
        link.to_string().into_bytes(),
        pae("text/plain", b"x"),
        Vec::new(),
    ] {
        assert_eq!(lent.refused(&attest, &message), "not-lent");
    }
    for activity in [
        json!({"id": ACTIVITY}),
        json!({"id": begun, "parent": ACTIVITY}),
    ] {
        let says = |lifecycle| json!({"activity": activity, "lifecycle": lifecycle});
        let message = statement(RECORD, &says(json!("active")));
        let signed: Result<AttestAnswer, Refusal> = lent.borrower().call(&attest, &message);
        let refused = signed.err().map(|refusal| refusal.code);
        assert_ne!(refused.as_deref(), Some("not-lent"));
        // How it ended is for the lender to say, however somebody may read it.
        for ended in [json!("ended"), json!({"ended": null}), json!(null)] {
            let message = statement(RECORD, &says(ended));
            assert_eq!(lent.refused(&attest, &message), "not-lent", "{activity}");
        }
    }
}

#[test]
fn states_so_much_and_no_more() {
    let world = World::new();
    let lent = lend(
        &world,
        Terms {
            signatures: 1,
            ..terms()
        },
    );
    let attest = Request::Attest {
        key: "claude".to_owned(),
    };
    let record = "https://notme.bot/attestation/activity/v1";
    // Not even those count less that are not signed.
    let members = json!({"activity": {"id": ACTIVITY}, "lifecycle": "active", "events": 1});
    let message = statement(record, &members);
    let mut borrower = lent.borrower();
    let mut stated = 0;
    loop {
        let answer: Result<AttestAnswer, Refusal> = borrower.call(&attest, &message);
        if answer.is_err_and(|refusal| refusal.code == "loan-over") {
            break;
        }
        stated += 1;
    }
    assert_eq!(stated, 1008);
}

#[test]
fn a_loan_ends_with_its_lender_and_leaves_nothing() {
    let world = World::new();
    let lent = lend(&world, terms());
    let directory = Path::new(&lent.answer.socket).parent().unwrap().to_owned();
    std::fs::write(directory.join("hooks"), "").unwrap();
    let Lent { lender, .. } = lent;
    drop(lender);
    eventually("the loan's directory is gone", || !directory.exists());
}

/// So that the end of a run can be recorded by what its directory holds.
#[test]
fn a_loan_that_is_taken_back_signs_nothing_and_keeps_its_directory() {
    let world = World::new();
    let mut lent = lend(&world, terms());
    let directory = Path::new(&lent.answer.socket).parent().unwrap().to_owned();
    std::fs::write(directory.join("run.json"), "").unwrap();
    let mut borrower = lent.borrower();
    borrower.sign("claude", &commit()).unwrap();
    let answer: Result<(), Refusal> = lent.lender.call(&Request::Reclaim, b"");
    answer.unwrap();
    // Neither on a connection that there was, nor on another one.
    let mut said = Vec::new();
    assert_eq!(borrower.0.read_to_end(&mut said).unwrap_or_default(), 0);
    assert!(UnixStream::connect(&lent.answer.socket).is_err());
    assert!(directory.join("run.json").exists());
    drop(lent);
    eventually("the loan's directory is gone", || !directory.exists());
}

#[test]
fn who_lent_nothing_takes_nothing_back() {
    let world = World::new();
    let refused: Result<(), Refusal> = world.connect().call(&Request::Reclaim, b"");
    assert_eq!(refused.unwrap_err().code, "not-lent");
}

#[test]
fn a_key_agent_that_stops_ends_its_loans() {
    let mut world = World::new();
    let lent = lend(&world, terms());
    let directory = Path::new(&lent.answer.socket).parent().unwrap().to_owned();
    world.stop_agent();
    assert!(!directory.exists());
    drop(lent);
}
