//! Commits by gitsign, judged without a network: who signed, as who told it, and since when a log
//! or a time stamp knows. `sigstore-verify` is asked beside us.

use notme_core::{
    armor::{armor, dearmor},
    key::Signer as _,
    object::{HashKind, ObjectKind, split_commit},
    sigstore_root::{SigstoreRoot, SigstoreRootError},
    time::UnixTime,
};
use notme_testkit::{
    clock::NOW,
    commit::{CommitSpec, with_signature},
    mint::EMAIL_PROTECTION,
    sigstore::{AT, Account, Answer, Gitsigned, ISSUER, TestSigstore},
    testdata,
};
use notme_verifier::{
    Code, Judgement, Policy, TimeBasis, Trust,
    explain::explain,
    judge::Judge,
    load::TrustStore,
    log_entry::LogEntry,
    report::ObjectReport,
    trust::{Authority, PinKind},
};
use serde_json::{Value, json};
use sigstore_verify::{
    VerificationPolicy, Verifier,
    trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot},
    types::Bundle,
};

use crate::world::{TREE, assert_accepted, assert_code, judge_by, judge_in};

const MINUTE: i64 = 60;

fn sigstore() -> TestSigstore {
    TestSigstore::new(1)
}

fn trust_in(root: &Value) -> Trust {
    let root = SigstoreRoot::from_json(root.to_string().as_bytes()).unwrap();
    Trust::new(vec![Authority::from_sigstore("sigstore", root)], vec![])
}

fn payload() -> Vec<u8> {
    let at = AT.plus(MINUTE);
    CommitSpec {
        at,
        ..CommitSpec::new(TREE)
    }
    .payload()
}

fn commit(cms: &[u8]) -> Vec<u8> {
    with_signature(&payload(), "gpgsig", &armor(cms))
}

/// A policy that lets one account sign, with more about the authority.
fn policy(identity: &str, issuer: &str, more: &str) -> Policy {
    let text = format!(
        r#"
        [[authority]]
        name = "sigstore"
        {more}
        [[principal]]
        name = "alice"
        kind = "human"
        identities = ["{identity}"]
        issuers = ["{issuer}"]
        [[allow]]
        principals = ["alice"]
        "#
    );
    Policy::parse(&text).unwrap()
}

fn for_alice(more: &str) -> Policy {
    policy("mailto:alice@test.invalid", ISSUER, more)
}

/// One instance, one signature, one answer.
struct Case {
    sigstore: TestSigstore,
    signed: Gitsigned,
    answer: Answer,
}

impl Case {
    fn new() -> Self {
        Self::of(&Account::default())
    }

    fn of(account: &Account) -> Self {
        let sigstore = sigstore();
        let signed = sigstore.sign(account, &payload());
        let answer = sigstore.answer(&signed, AT.plus(2 * MINUTE));
        Self {
            sigstore,
            signed,
            answer,
        }
    }

    fn judged(&self, answer: &Answer, policy: &Policy) -> Judgement {
        self.judged_as(Some(answer), None, policy)
    }

    fn judged_as(
        &self,
        answer: Option<&Answer>,
        token: Option<&[u8]>,
        policy: &Policy,
    ) -> Judgement {
        let entry = answer.map(Answer::protobuf);
        let raw = commit(&self.signed.cms(entry.as_deref(), token));
        judge_by(&raw, policy, &trust_in(&self.sigstore.trusted_root()), NOW)
    }

    /// What the crate says of the same, as a bundle.
    fn by_stranger(&self, answer: &Answer, root: &Value) -> Result<(), String> {
        let root = TrustedRoot::from_json(&root.to_string()).unwrap();
        let bundle = self.signed.bundle(answer).to_string();
        let bundle = Bundle::from_json(&bundle).map_err(|error| error.to_string())?;
        let policy = VerificationPolicy::any_identity()
            .require_identity("alice@test.invalid")
            .require_issuer(ISSUER)
            .skip_sct();
        let verifier = Verifier::new(&root).unwrap();
        let verified = verifier.verify(self.signed.attributes.as_slice(), &bundle, &policy);
        verified.map(|_| ()).map_err(|error| error.to_string())
    }
}

fn real(name: &str) -> Vec<u8> {
    testdata::bytes(&format!("gitsign/{name}.commit"))
}

fn public_good() -> Trust {
    trust_in(&serde_json::from_str(SIGSTORE_PRODUCTION_TRUSTED_ROOT).unwrap())
}

fn for_billy(more: &str) -> Policy {
    let google = "https://accounts.google.com";
    policy("mailto:billy@chainguard.dev", google, more)
}

#[test]
fn a_real_commit_with_its_log_entry_is_accepted_at_the_logs_time() {
    let judgement = judge_by(&real("logged"), &for_billy(""), &public_good(), NOW);
    assert_accepted(&judgement);
    assert_eq!(judgement.identity(), Some("mailto:billy@chainguard.dev"));
    assert_eq!(judgement.time_basis(), Some(TimeBasis::Logged));
    let at = judgement.judged_at().unwrap().to_string();
    assert_eq!(at, "2023-06-05T16:11:20Z");
    let standing = judgement.standing().unwrap();
    assert_eq!(standing.oidc_issuer(), Some("https://accounts.google.com"));
}

#[test]
fn a_real_commit_without_entry_has_a_status_of_its_own_until_the_policy_lowers_the_floor() {
    let raw = real("without-entry");
    let judgement = judge_by(&raw, &for_billy(""), &public_good(), NOW);
    assert_code(&judgement, Code::TimeNotShown);
    assert_eq!(judgement.identity(), Some("mailto:billy@chainguard.dev"));
    let lowered = for_billy("time_basis_floor = \"declared\"");
    let judgement = judge_by(&raw, &lowered, &public_good(), NOW);
    assert_accepted(&judgement);
    assert_eq!(judgement.time_basis(), Some(TimeBasis::Declared));
}

/// Each byte of the message, but for the name on the checkpoint's signature, which nobody signs and
/// nobody reads.
#[test]
fn no_flipped_byte_of_a_real_commit_is_accepted() {
    let (raw, policy, trust) = (real("logged"), for_billy(""), public_good());
    let judge = Judge::new(&policy, &trust, NOW);
    let split = split_commit(&raw, HashKind::Sha1).unwrap();
    let cms = dearmor(split.signature().unwrap()).unwrap();
    let name = "\n\n— rekor.sigstore.dev ".as_bytes();
    let at = cms.windows(name.len()).position(|it| it == name).unwrap();
    let unread = at + "\n\n— ".len()..at + name.len() - 1;
    for at in (0..cms.len()).filter(|at| !unread.contains(at)) {
        let mut flipped = cms.clone();
        flipped[at] ^= 1;
        let judgement = judge.judge_detached(split.payload(), armor(&flipped).as_bytes());
        assert!(judgement.verdict().code().is_some(), "byte {at}");
    }
}

#[test]
fn alice_is_accepted_by_her_log_entry_and_the_stranger_agrees() {
    let case = Case::new();
    let judgement = case.judged(&case.answer, &for_alice(""));
    assert_accepted(&judgement);
    assert_eq!(judgement.time_basis(), Some(TimeBasis::Logged));
    assert_eq!(judgement.judged_at(), Some(AT.plus(2 * MINUTE)));
    let kid = case.sigstore.log().public_key().kid();
    let expected = LogEntry::Logged {
        at: AT.plus(2 * MINUTE),
        kid,
    };
    assert_eq!(judgement.log_entry(), Some(&expected));
    let root = case.sigstore.trusted_root();
    assert_eq!(case.by_stranger(&case.answer, &root), Ok(()));

    let report = serde_json::to_value(ObjectReport::of_judgement(&judgement)).unwrap();
    assert_eq!(report["log_entry"]["result"], "logged");
    assert_eq!(report["oidc_issuer"], ISSUER);
    let (policy, trust) = (for_alice(""), trust_in(&root));
    let judge = Judge::new(&policy, &trust, NOW);
    let text = explain(&judgement, &judge).to_string();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("as https://accounts.test.invalid told it"),
        "{text}"
    );
    assert!(text.contains("the log took the signature in"), "{text}");
}

type Forge<'f> = Box<dyn Fn(&mut Answer) + 'f>;

/// What `sigstore` would have taken.
#[test]
fn forged_answers_are_refused_and_the_stranger_agrees() {
    let case = Case::new();
    let other = TestSigstore::new(2);
    let resigned = |answer: &Answer| Answer {
        promise: case.sigstore.promise(answer),
        ..answer.clone()
    };
    let forged: [(&str, Forge<'_>); 12] = [
        ("promise", Box::new(|it| it.promise[9] ^= 1)),
        (
            "promise by another log",
            Box::new(|it| it.promise = other.promise(it)),
        ),
        ("time", Box::new(|it| it.integrated_time += 1)),
        ("log index", Box::new(|it| it.log_index += 1)),
        ("path", Box::new(|it| it.hashes[1][0] ^= 1)),
        ("path too short", Box::new(|it| it.hashes.truncate(2))),
        ("path too long", Box::new(|it| it.hashes.push([0; 32]))),
        ("place in the tree", Box::new(|it| it.index = 5)),
        ("root", Box::new(|it| it.root[3] ^= 1)),
        (
            "root, and a checkpoint of another log",
            Box::new(|it| {
                it.root[3] ^= 1;
                it.checkpoint = other.checkpoint(it);
            }),
        ),
        (
            "checkpoint's text",
            Box::new(|it| it.checkpoint = it.checkpoint.replacen("test", "text", 1)),
        ),
        (
            "checkpoint's signature",
            Box::new(|it| it.checkpoint = other.checkpoint(it)),
        ),
    ];
    let root = case.sigstore.trusted_root();
    for (what, forge) in forged {
        let mut answer = case.answer.clone();
        forge(&mut answer);
        let judgement = case.judged(&answer, &for_alice(""));
        assert_code(&judgement, Code::LogEntryInvalid);
        assert!(judgement.detail().is_some(), "{what}");
        assert!(case.by_stranger(&answer, &root).is_err(), "{what}");
    }
    // A good promise over a tree that is none.
    let mut answer = case.answer.clone();
    answer.hashes[0][0] ^= 1;
    let answer = resigned(&answer);
    assert_code(&case.judged(&answer, &for_alice("")), Code::LogEntryInvalid);
    assert!(case.by_stranger(&answer, &root).is_err());
}

/// The answer is to somebody's signature, and to no other.
#[test]
fn an_answer_about_another_signature_shows_nothing() {
    let case = Case::new();
    let other = case.sigstore.sign(&Account::default(), b"other");
    let answer = case.sigstore.answer(&other, AT.plus(MINUTE));
    let judgement = case.judged(&answer, &for_alice(""));
    assert_code(&judgement, Code::LogEntryInvalid);
    let root = case.sigstore.trusted_root();
    assert!(case.by_stranger(&answer, &root).is_err());
    // Even when it brings the other's entry along.
    let mut entry = answer.protobuf();
    entry.extend([0x3a, 1, b'x']);
    let raw = commit(&case.signed.cms(Some(&entry), None));
    let judgement = judge_by(&raw, &for_alice(""), &trust_in(&root), NOW);
    assert_code(&judgement, Code::LogEntryInvalid);
}

#[test]
fn a_time_outside_the_certificate_is_one_in_which_it_had_ended() {
    let case = Case::new();
    let root = case.sigstore.trusted_root();
    for (minutes, expected) in [
        (11, Code::CertificateExpired),
        (-1, Code::CertificateNotYetValid),
    ] {
        let answer = case
            .sigstore
            .answer(&case.signed, AT.plus(minutes * MINUTE));
        assert_code(&case.judged(&answer, &for_alice("")), expected);
        assert!(case.by_stranger(&answer, &root).is_err());
        // Not even where the policy asks for no time at all.
        let declared = for_alice("time_basis_floor = \"declared\"");
        assert_code(&case.judged(&answer, &declared), expected);
    }
}

#[test]
fn a_proof_without_promise_shows_no_time_and_a_promise_alone_does() {
    let case = Case::new();
    let mut answer = case.answer.clone();
    answer.promise.clear();
    let judgement = case.judged(&answer, &for_alice(""));
    assert_code(&judgement, Code::TimeNotShown);
    assert!(matches!(
        judgement.log_entry(),
        Some(LogEntry::Undated { .. })
    ));
    let mut answer = case.answer.clone();
    answer.checkpoint.clear();
    let judgement = case.judged(&answer, &for_alice(""));
    assert_accepted(&judgement);
    assert_eq!(judgement.time_basis(), Some(TimeBasis::Logged));
    // Neither shows nothing and is not taken for an answer.
    answer.promise.clear();
    assert_code(&case.judged(&answer, &for_alice("")), Code::LogEntryInvalid);
}

#[test]
fn a_log_that_is_not_trusted_or_no_longer_counts_for_nothing() {
    let case = Case::new();
    let stranger = TestSigstore::new(2);
    let answer = stranger.answer(&case.signed, AT.plus(MINUTE));
    let judgement = case.judged(&answer, &for_alice(""));
    assert_code(&judgement, Code::TimeNotShown);
    assert_eq!(judgement.log_entry(), Some(&LogEntry::Untrusted));

    let mut root = case.sigstore.trusted_root();
    let ended = AT.plus(MINUTE).to_string();
    root["tlogs"][0]["publicKey"]["validFor"]["end"] = json!(ended.replace('Z', ".999Z"));
    let raw = commit(&case.signed.cms(Some(&case.answer.protobuf()), None));
    let judgement = judge_by(&raw, &for_alice(""), &trust_in(&root), NOW);
    assert_code(&judgement, Code::LogEntryInvalid);
    assert!(case.by_stranger(&case.answer, &root).is_err());
}

/// A key that was in use twice is listed twice.
#[test]
fn what_a_trusted_root_lists_twice_counts_in_either_time() {
    let case = Case::new();
    let raw = commit(&case.signed.cms(Some(&case.answer.protobuf()), None));
    for (list, window) in [
        ("tlogs", "/publicKey/validFor"),
        ("certificateAuthorities", "/validFor"),
    ] {
        for place in [0, 1] {
            let mut root = case.sigstore.trusted_root();
            let mut before = root[list][0].clone();
            before.pointer_mut(window).unwrap()["end"] = json!(AT.plus(-MINUTE).to_string());
            root[list].as_array_mut().unwrap().insert(place, before);
            assert_accepted(&judge_by(&raw, &for_alice(""), &trust_in(&root), NOW));
        }
    }
}

#[test]
fn a_time_stamp_shows_the_time_as_well() {
    let case = Case::new();
    let stamp = |at| case.sigstore.tsa().stamp(&case.signed.signature, at);
    let policy = for_alice("");
    let judgement = case.judged_as(None, Some(&stamp(AT.plus(MINUTE))), &policy);
    assert_accepted(&judgement);
    assert_eq!(judgement.time_basis(), Some(TimeBasis::Timestamped));
    // Beside a log entry both have to hold, and the log's time judges.
    let token = stamp(AT.plus(MINUTE));
    let judgement = case.judged_as(Some(&case.answer), Some(&token), &policy);
    assert_accepted(&judgement);
    assert_eq!(judgement.time_basis(), Some(TimeBasis::Logged));
    let token = case.sigstore.tsa().stamp(b"other", AT.plus(MINUTE));
    let judgement = case.judged_as(Some(&case.answer), Some(&token), &policy);
    assert_code(&judgement, Code::TimestampInvalid);
    let late = stamp(AT.plus(11 * MINUTE));
    let judgement = case.judged_as(None, Some(&late), &policy);
    assert_code(&judgement, Code::CertificateExpired);
}

#[test]
fn identity_and_issuer_are_both_asked() {
    let case = Case::new();
    let judged = |policy: &str| {
        let policy = Policy::parse(policy).unwrap();
        case.judged(&case.answer, &policy)
    };
    let principal = |text: &str| {
        format!(
            "[[principal]]\nname = \"alice\"\nkind = \"human\"\n{text}\n[[allow]]\nprincipals = [\"alice\"]\n"
        )
    };
    let alice = r#"identities = ["mailto:alice@test.invalid"]"#;
    let told = format!("issuers = [\"{ISSUER}\"]");
    assert_accepted(&judged(&principal(&format!("{alice}\n{told}"))));
    for text in [
        // Nobody is named who vouches for the address.
        alice.to_owned(),
        format!("{alice}\nissuers = [\"https://elsewhere.test.invalid\"]"),
        format!("identities = [\"mailto:bob@test.invalid\"]\n{told}"),
        // The key of the authority is no identity.
        format!(
            "keys = [\"{}\"]",
            notme_core::hex::encode(&case.sigstore.issuer().public_key().spki_sha256())
        ),
    ] {
        assert_code(&judged(&principal(&text)), Code::NotAuthorised);
    }
    let rule = |more: &str| format!("[[allow]]\nidentity = \"mailto:*@test.invalid\"\n{more}\n");
    assert_accepted(&judged(&rule("issuer = \"https://*.test.invalid\"")));
    assert_code(&judged(&rule("")), Code::NotAuthorised);
    assert_code(
        &judged(&rule("issuer = \"https://github.com/*\"")),
        Code::NotAuthorised,
    );
    // A rule that asks for more asks it of everybody whom it names, whoever vouches for them.
    let require = "[[require]]\nidentity = \"mailto:*\"\nalgorithms = [\"ed25519\"]\n";
    let asked = format!("{}{require}", rule("issuer = \"https://*.test.invalid\""));
    assert_code(&judged(&asked), Code::NotAuthorised);
}

#[test]
fn a_tag_is_judged_as_a_commit_is() {
    let (at, tagger) = (AT.secs(), "Alice <alice@test.invalid>");
    let payload = format!(
        "object {}\ntype commit\ntag v1\ntagger {tagger} {at} +0000\n\none\n",
        "b".repeat(40)
    );
    let sigstore = sigstore();
    let signed = sigstore.sign(&Account::default(), payload.as_bytes());
    let answer = sigstore.answer(&signed, AT.plus(MINUTE));
    let raw = format!(
        "{payload}{}",
        armor(&signed.cms(Some(&answer.protobuf()), None))
    );
    let (policy, trust) = (for_alice(""), trust_in(&sigstore.trusted_root()));
    let judge = Judge::new(&policy, &trust, NOW);
    let judgement = judge.judge_object(ObjectKind::Tag, raw.as_bytes(), HashKind::Sha1);
    assert_accepted(&judgement);
    assert_eq!(judgement.time_basis(), Some(TimeBasis::Logged));
}

#[test]
fn without_a_policy_sigstore_speaks_for_nobody() {
    let case = Case::new();
    let raw = commit(&case.signed.cms(Some(&case.answer.protobuf()), None));
    let trust = trust_in(&case.sigstore.trusted_root());
    assert_code(&judge_in(&raw, &trust, NOW), Code::NotAuthorised);
}

#[test]
fn a_certificate_that_names_nobody_or_no_issuer_identifies_nobody() {
    for account in [
        Account {
            issuer: None,
            issuer_of_old: None,
            ..Account::default()
        },
        Account {
            issuer: Some("https://elsewhere.test.invalid".to_owned()),
            ..Account::default()
        },
        Account {
            email: None,
            ..Account::default()
        },
    ] {
        let case = Case::of(&account);
        let judgement = case.judged(&case.answer, &for_alice(""));
        assert_code(&judgement, Code::IdentityMissing);
    }
}

#[test]
fn a_workflow_is_known_by_its_uri() {
    let workflow = "https://github.test.invalid/o/r/.github/workflows/sign.yml@refs/heads/main";
    let case = Case::of(&Account {
        email: None,
        uri: Some(workflow.to_owned()),
        issuer_of_old: None,
        ..Account::default()
    });
    let policy = policy(
        "https://github.test.invalid/o/r/.github/workflows/*",
        ISSUER,
        "",
    );
    let judgement = case.judged(&case.answer, &policy);
    assert_accepted(&judgement);
    assert_eq!(judgement.identity(), Some(workflow));
}

#[test]
fn another_instance_of_the_same_names_is_a_stranger() {
    let case = Case::new();
    let raw = commit(&case.signed.cms(Some(&case.answer.protobuf()), None));
    let other = TestSigstore::new(1).trusted_root();
    let judgement = judge_by(&raw, &for_alice(""), &trust_in(&other), NOW);
    assert_code(&judgement, Code::SignerUntrusted);
    assert!(case.by_stranger(&case.answer, &other).is_err());
}

#[test]
fn an_instance_that_ended_before_certifies_nobody() {
    let case = Case::new();
    let mut root = case.sigstore.trusted_root();
    root["certificateAuthorities"][0]["validFor"]["end"] = json!(AT.plus(-1).to_string());
    let raw = commit(&case.signed.cms(Some(&case.answer.protobuf()), None));
    let judgement = judge_by(&raw, &for_alice(""), &trust_in(&root), NOW);
    assert_code(&judgement, Code::RootRetired);
}

#[test]
fn trusted_roots_that_cannot_be_used_are_refused() {
    let good = sigstore().trusted_root();
    let read = |root: &Value| SigstoreRoot::from_json(root.to_string().as_bytes());
    assert_eq!(read(&good).unwrap().passed_over, Vec::<String>::new());
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut root = good.clone();
        change(&mut root);
        read(&root).unwrap_err()
    };
    let error = changed(&|it| it["mediaType"] = json!("text/plain"));
    assert!(matches!(error, SigstoreRootError::MediaType(_)));
    let error = changed(&|it| it["certificateAuthorities"] = json!([]));
    assert!(matches!(error, SigstoreRootError::Nobody));
    let error =
        changed(&|it| it["certificateAuthorities"][0]["certChain"]["certificates"] = json!([]));
    assert!(matches!(error, SigstoreRootError::EmptyChain(_)));
    let stranger = TestSigstore::new(2).trusted_root();
    let error = changed(&|it| {
        it["certificateAuthorities"][0]["certChain"]["certificates"][1] =
            stranger["certificateAuthorities"][0]["certChain"]["certificates"][1].clone();
    });
    assert!(matches!(error, SigstoreRootError::Chain { .. }));
    let error = changed(&|it| {
        it["certificateAuthorities"][0]["certChain"] =
            it["timestampAuthorities"][0]["certChain"].clone();
    });
    assert!(matches!(error, SigstoreRootError::NotAnIssuer(_)));
    let error = changed(&|it| it["tlogs"][0]["publicKey"]["validFor"]["start"] = json!("soon"));
    assert!(matches!(error, SigstoreRootError::Time(_)));
    assert!(SigstoreRoot::from_json(b"{}").is_err());
}

/// The public instance's own file, of which the second log is of another generation.
#[test]
fn what_of_a_trusted_root_cannot_be_used_is_said() {
    let root = SigstoreRoot::from_json(SIGSTORE_PRODUCTION_TRUSTED_ROOT.as_bytes()).unwrap();
    assert_eq!(
        (root.issuers.len(), root.logs.len(), root.tsa.len()),
        (2, 1, 1)
    );
    let said: Vec<_> = root.passed_over.iter().map(String::as_str).collect();
    assert_eq!(
        said,
        ["the log `https://log2025-1.rekor.sigstore.dev` is of a kind that is not read"]
    );
}

#[test]
fn the_store_keeps_a_trusted_root_and_notices_a_change() {
    let scratch = tempfile::tempdir().unwrap();
    let [directory, state] = ["trust", "state"].map(|name| scratch.path().join(name));
    let store = TrustStore::new(&directory, &state);
    let root = sigstore().trusted_root().to_string();
    let (added, passed_over) = store.add_sigstore("sigstore", root.as_bytes()).unwrap();
    assert_eq!((added.kind(), passed_over.len()), (PinKind::Sigstore, 0));
    let trust = store.load(NOW);
    let [authority] = trust.authorities() else {
        panic!("{:?}", trust.faults());
    };
    assert_eq!(authority.logs().len(), 1);
    assert_eq!(authority.tsa().len(), 1);
    let digest = trust.digest();
    // The same authority twice could not be told apart.
    let error = store.add_sigstore("again", root.as_bytes()).unwrap_err();
    assert_eq!(error.usage_code(), Some("root-taken"));
    // Another log under the same name.
    let other = TestSigstore::new(2).trusted_root();
    let mut changed: Value = serde_json::from_str(&root).unwrap();
    changed["tlogs"] = other["tlogs"].clone();
    let file = directory.join("sigstore/trusted_root.json");
    std::fs::write(&file, changed.to_string()).unwrap();
    let trust = store.load(NOW);
    assert_eq!(trust.faults()[0].code, Code::BundleInvalid);
    assert_ne!(trust.digest(), digest);
}

#[test]
fn a_window_of_the_trusted_root_is_part_of_what_is_trusted() {
    let root = sigstore().trusted_root();
    let mut later = root.clone();
    let start = UnixTime::from_secs(AT.secs() - 1).to_string();
    later["tlogs"][0]["publicKey"]["validFor"]["start"] = json!(start);
    assert_ne!(trust_in(&root).digest(), trust_in(&later).digest());
}

/// Another authority may certify signers of mail too.
#[test]
fn a_certificate_that_is_not_for_code_signing_is_none_of_sigstore() {
    for usage in [None, Some(EMAIL_PROTECTION)] {
        let account = Account {
            usage,
            ..Account::default()
        };
        let case = Case::of(&account);
        let judgement = case.judged(&case.answer, &for_alice(""));
        assert_code(&judgement, Code::CertificateInvalid);
    }
}
