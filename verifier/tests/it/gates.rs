//! What a gate's record of receiving shows: the time basis `first-seen`.

use notme_core::{key::KeyId, time::UnixTime};
use notme_testkit::{cast::LeafSpec, clock::NOW, commit::CommitSpec};
use notme_verifier::{
    Judge, Policy, TimeBasis,
    stated::{Received, SignedBy, Stated, Statements},
    verify_with,
};

use crate::{
    history::{History, code_of, identity, judgement_of},
    world::authority,
};

const HERE: &str = "https://git.example.org/tool";

/// What is stated about every commit.
struct Says(Vec<Stated>);

impl Statements for Says {
    fn about(&self, _: &str, _: &Policy) -> Result<Vec<Stated>, String> {
        Ok(self.0.clone())
    }
}

fn seen(who: &str, repository: &str, at: UnixTime) -> Stated {
    let kid: KeyId = "00112233445566778899aabbccddeeff".parse().unwrap();
    Stated {
        predicate_type: "https://notme.bot/attestation/receive/v1".to_owned(),
        level: None,
        accepts: false,
        rejects: false,
        fails: false,
        received: Some(Received {
            repository: repository.to_owned(),
            at,
            record: None,
        }),
        by: SignedBy {
            identity: identity(who),
            authority: "local".to_owned(),
            authority_kid: kid,
            kid,
            issuer: None,
            fingerprints: None,
        },
    }
}

/// Returns code or `accepted`, basis and judged time of a commit that a session certificate of
/// [`NOW`] minus 5 to plus 5 minutes signed, an hour later.
fn judged(floor: &str, bound: bool, says: Vec<Stated>) -> (String, Option<(TimeBasis, UnixTime)>) {
    let history = History::new();
    let tip = commit(&history, bound);
    judged_in(&history, &tip, floor, says)
}

fn commit(history: &History, bound: bool) -> String {
    let payload = CommitSpec::new(&history.tree(&[("a", "a")])).payload();
    let spec = match bound {
        true => session(LeafSpec::bound_to(&payload)),
        false => session(LeafSpec::default()),
    };
    let raw = authority().leaf(&spec).sign_commit(&payload, NOW);
    history.git.write_commit_object(&raw)
}

fn session(spec: LeafSpec) -> LeafSpec {
    LeafSpec {
        identity: identity("alice").parse().unwrap(),
        not_before: NOW.plus(-300),
        not_after: NOW.plus(300),
        ..spec
    }
}

fn judged_in(
    history: &History,
    tip: &str,
    floor: &str,
    says: Vec<Stated>,
) -> (String, Option<(TimeBasis, UnixTime)>) {
    let policy = format!(
        "time_basis_floor = \"{floor}\"\n[[authority]]\nname = \"local\"\n\
         [[principal]]\nname = \"gate\"\nkind = \"bot\"\nidentities = [\"{}\"]\n\
         [[gate]]\nprincipals = [\"gate\"]\nrepository = \"{HERE}\"\n\
         [[allow]]\nidentity = \"*\"\n",
        identity("gate")
    );
    let policy = Policy::parse(&policy).unwrap();
    let judge = Judge::new(&policy, &history.trust, NOW.plus(3600));
    let repository = history.open();
    let selection = repository.select(tip).unwrap();
    let outcome = verify_with(&repository, &selection, &judge, Some(&Says(says))).unwrap();
    let judgement = judgement_of(&outcome, tip);
    let time = judgement.time_basis().zip(judgement.judged_at());
    let code = code_of(&outcome, tip);
    // Where a record might have helped, it is told how to get it.
    let told = judgement.detail().unwrap_or_default();
    let may_help = code == "time-basis-too-weak" && floor == "first-seen";
    assert_eq!(told.contains("notme attest fetch"), may_help, "{told}");
    (code, time)
}

#[test]
fn the_earliest_time_that_a_gate_saw_it_while_the_certificate_lived_judges() {
    let at = |seconds: i64| seen("gate", HERE, NOW.plus(seconds));
    let by_seen = |says| judged("first-seen", false, says);
    let (code, time) = by_seen(vec![at(200), at(100), at(1000)]);
    assert_eq!(code, "accepted");
    assert_eq!(time, Some((TimeBasis::FirstSeen, NOW.plus(100))));
    // The last second of the certificate, and the one after: a gate's clock gets no allowance.
    assert_eq!(by_seen(vec![at(300)]).0, "accepted");
    for nothing in [
        vec![],
        vec![at(301)],
        // From before there was such a certificate.
        vec![at(-301)],
        // To come.
        vec![at(3601)],
        vec![seen("mallory", HERE, NOW)],
        vec![seen("gate", "https://git.example.org/other", NOW)],
        vec![seen("gate", "https://git.example.org/tool/", NOW)],
    ] {
        assert_eq!(
            by_seen(nothing.clone()).0,
            "time-basis-too-weak",
            "{nothing:?}"
        );
        // It takes nothing away, either.
        assert_eq!(judged("declared", false, nothing).0, "accepted");
    }
}

#[test]
fn first_seen_is_more_than_ordered_and_less_than_issuance_bound() {
    let says = || vec![seen("gate", HERE, NOW.plus(100))];
    let (code, time) = judged("dag-ordered", false, says());
    assert_eq!(code, "accepted");
    assert_eq!(time.unwrap().0, TimeBasis::FirstSeen);
    assert_eq!(
        judged("issuance-bound", false, says()).0,
        "time-basis-too-weak"
    );
    // What is known better stays as it is.
    let (code, time) = judged("first-seen", true, says());
    assert_eq!(code, "accepted");
    assert_eq!(time.unwrap().0, TimeBasis::IssuanceBound);
}

/// When its commit was received says nothing of when a tag was made.
#[test]
fn a_tag_is_not_as_old_as_its_commit() {
    let history = History::new();
    let commit = commit(&history, false);
    let payload = format!(
        "object {commit}\ntype commit\ntag v1\ntagger Test <t@example.invalid> {} +0000\n\nrelease\n",
        NOW.secs()
    );
    let leaf = authority().leaf(&session(LeafSpec::default()));
    let cms = leaf.sign_cms(payload.as_bytes(), NOW);
    let raw = format!("{payload}{}", notme_core::armor::armor(&cms));
    let tag = history.git.write_object_unchecked("tag", raw.as_bytes());
    let says = || vec![seen("gate", HERE, NOW.plus(100))];
    let judged = |id: &str, floor: &str| judged_in(&history, id, floor, says()).0;
    assert_eq!(judged(&commit, "first-seen"), "accepted");
    assert_eq!(judged(&tag, "declared"), "accepted");
    assert_eq!(judged(&tag, "first-seen"), "time-basis-too-weak");
}

/// Of one commit it is not said.
struct SaysBut(String, Stated);

impl Statements for SaysBut {
    fn about(&self, commit: &str, _: &Policy) -> Result<Vec<Stated>, String> {
        let said = (commit != self.0).then(|| self.1.clone());
        Ok(said.into_iter().collect())
    }
}

#[test]
fn a_merge_that_a_gate_saw_accepts_where_the_policy_asks_for_that() {
    let history = History::new();
    let commit = |parents: &[&str], who: &str, minutes: i64| {
        let payload = CommitSpec {
            parents: parents.iter().map(|it| (*it).to_owned()).collect(),
            at: NOW.plus(minutes * 60),
            ..CommitSpec::new(&history.tree(&[("a", "a")]))
        };
        let payload = payload.payload();
        let leaf = authority().leaf(&LeafSpec {
            identity: identity(who).parse().unwrap(),
            seed: who.len().try_into().unwrap(),
            not_before: NOW.plus(-3_600),
            not_after: NOW,
            ..LeafSpec::default()
        });
        let raw = leaf.sign_commit(&payload, NOW.plus(minutes * 60));
        history.git.write_commit_object(&raw)
    };
    let base = commit(&[], "alice", -40);
    let change = commit(&[&base], "helper", -30);
    let merge = commit(&[&base, &change], "alice", -20);
    let policy = format!(
        "time_basis_floor = \"first-seen\"\n\
         [[authority]]\nname = \"local\"\ntime_basis_floor = \"first-seen\"\n\
         [[principal]]\nname = \"door\"\nkind = \"bot\"\nidentities = [\"{}\"]\n\
         [[principal]]\nname = \"boss\"\nkind = \"human\"\nidentities = [\"{}\"]\n\
         [[gate]]\nprincipals = [\"door\"]\nrepository = \"{HERE}\"\n\
         [[allow]]\nidentity = \"*\"\n\
         [[require]]\nidentity = \"{}\"\naccepted_by = [\"boss\"]\n",
        identity("gate"),
        identity("alice"),
        identity("helper"),
    );
    let policy = Policy::parse(&policy).unwrap();
    let judge = Judge::new(&policy, &history.trust, NOW);
    let repository = history.open();
    let codes = |unseen: &str| {
        let says = SaysBut(unseen.to_owned(), seen("gate", HERE, NOW.plus(-60)));
        let selection = repository.select(&format!("{base}..{merge}")).unwrap();
        let outcome = verify_with(&repository, &selection, &judge, Some(&says)).unwrap();
        [code_of(&outcome, &change), code_of(&outcome, &merge)]
    };
    assert_eq!(codes(""), ["accepted", "accepted"]);
    assert_eq!(codes(&merge), ["acceptance-missing", "time-basis-too-weak"]);
}
