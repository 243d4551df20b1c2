//! What the tests share: one authority, one commit, and short ways to judge.

use notme_core::{
    armor::armor,
    object::{HashKind, ObjectKind},
    time::UnixTime,
    trust::TrustDocument,
};
use notme_testkit::{
    cast::{LeafSpec, Session, TestAuthority},
    clock::NOW,
    commit::{CommitSpec, with_signature},
};
use notme_verifier::{
    Code, Judge, Judgement, Policy, Trust, Verdict,
    trust::{Authority, PinKind},
};

pub(crate) const TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

pub(crate) fn authority() -> TestAuthority {
    TestAuthority::new(1)
}

pub(crate) fn payload() -> Vec<u8> {
    CommitSpec::new(TREE).payload()
}

/// Trust in the authority of seed 1, as its trust document says.
pub(crate) fn trust() -> Trust {
    trust_in(&authority().trust(1, NOW))
}

pub(crate) fn trust_in(document: &TrustDocument) -> Trust {
    let scopes = PinKind::TrustDocument.default_scopes();
    Trust::new(
        vec![Authority::from_document("local", scopes, document)],
        Vec::new(),
    )
}

/// A policy like the default one, with a floor.
pub(crate) fn floor(name: &str) -> Policy {
    Policy::parse(&format!(
        "time_basis_floor = \"{name}\"\n[[authority]]\nname = \"local\"\n[[allow]]\nidentity = \"*\"\n"
    ))
    .unwrap()
}

/// A commit that an issuance-bound certificate signs.
pub(crate) fn bound_commit(payload: &[u8]) -> Vec<u8> {
    let session = authority().leaf(&LeafSpec::bound_to(payload));
    session.sign_commit(payload, NOW)
}

/// A commit that a session certificate of the spec signs.
pub(crate) fn session_commit(spec: &LeafSpec) -> Vec<u8> {
    authority().leaf(spec).sign_commit(&payload(), NOW)
}

/// A commit with any CMS message as its signature.
pub(crate) fn commit_with(cms: &[u8]) -> Vec<u8> {
    with_signature(&payload(), "gpgsig", &armor(cms))
}

/// Judges a raw commit by the default policy at the usual time.
pub(crate) fn judge(raw: &[u8]) -> Judgement {
    judge_in(raw, &trust(), NOW)
}

pub(crate) fn judge_in(raw: &[u8], trust: &Trust, now: UnixTime) -> Judgement {
    judge_by(raw, &Policy::from_trust(trust), trust, now)
}

pub(crate) fn judge_declared(raw: &[u8]) -> Judgement {
    judge_by(raw, &floor("declared"), &trust(), NOW)
}

pub(crate) fn judge_by(raw: &[u8], policy: &Policy, trust: &Trust, now: UnixTime) -> Judgement {
    Judge::new(policy, trust, now).judge_object(ObjectKind::Commit, raw, HashKind::Sha1)
}

pub(crate) fn code(judgement: &Judgement) -> Option<Code> {
    judgement.verdict().code()
}

#[track_caller]
pub(crate) fn assert_accepted(judgement: &Judgement) {
    assert_eq!(
        judgement.verdict(),
        Verdict::Accepted,
        "{:?}",
        judgement.detail()
    );
}

#[track_caller]
pub(crate) fn assert_code(judgement: &Judgement, expected: Code) {
    assert_eq!(code(judgement), Some(expected), "{:?}", judgement.detail());
}

pub(crate) fn session(spec: &LeafSpec) -> Session {
    authority().leaf(spec)
}
