//! What somebody can do to the statements of a repository, and what is said to it.

use notme_attest::{
    make::{self, covered, places},
    predicate::{Acceptance, Decision, Evidence, Level, Record, Succession},
    store::{FileName, Place},
    verify::Asked,
};
use notme_core::{
    json::{self, Object},
    key::{Algorithm, sha256},
    profile::LeafKind,
    statement::{Statement, Subject},
};
use notme_testkit::{cast::LeafSpec, clock::NOW};
use notme_verifier::{Code, Verdict};
use serde_json::json;

use crate::world::{
    Kept, World, assert_accepted, chain, digest, facts, identity, next, record, signed, signed_as,
    signed_payload, spec,
};

const ID: &str = "urn:uuid:00000000-0000-4000-8000-000000000001";

fn three() -> (World, Vec<make::CommitSubject>) {
    let world = World::new();
    let commits = ["one", "two", "three"].map(|name| world.commit(name));
    (world, commits.to_vec())
}

#[test]
fn a_whole_chain_is_accepted_and_carries_l2() {
    let (world, commits) = three();
    world.write(&chain(ID, "claude", &commits));
    for commit in &commits {
        let judged = world.judged(commit);
        assert_accepted(&judged);
        let [only] = &*judged else {
            panic!("one record for each commit");
        };
        assert_eq!(only.derived.level, Some(Level::L2));
        assert_eq!(only.identity, Some(identity("claude")));
        let place = only.place.as_ref().unwrap();
        assert_eq!((place.length, place.closed), (5, true));
    }
}

#[test]
fn a_chain_without_its_beginning_is_refused() {
    let (world, commits) = three();
    let records = chain(ID, "claude", &commits);
    world.write(&records[1..]);
    assert_eq!(world.code(&commits[0]), Some(Code::ChainPrefixMissing));
    // Not even as one that goes on.
    let asked = Asked {
        open: true,
        origins: None,
    };
    let judged = world.judged_as(&commits[0], asked);
    assert_eq!(judged[0].verdict, Verdict::of(Code::ChainPrefixMissing));
    assert_eq!(judged[0].derived.level, None);
}

#[test]
fn a_chain_with_a_link_missing_is_refused() {
    let (world, commits) = three();
    let mut records = chain(ID, "claude", &commits);
    records.remove(2);
    world.write(&records);
    assert_eq!(world.code(&commits[0]), Some(Code::ChainLinkMissing));
    assert_eq!(world.code(&commits[2]), Some(Code::ChainLinkMissing));
}

#[test]
fn a_record_that_was_taken_off_its_chain_is_refused() {
    let (world, commits) = three();
    let mut records = chain(ID, "claude", &commits);
    // With its commit, and no longer with its activity; the chain without it ends earlier.
    records.truncate(4);
    records[3].1 = places(&commits[2..], None);
    world.write(&records);
    assert_eq!(world.code(&commits[2]), Some(Code::ChainLinkMissing));
}

#[test]
fn a_chain_without_its_end_is_undecided_unless_it_may_be_open() {
    let (world, commits) = three();
    let mut records = chain(ID, "claude", &commits);
    records.pop();
    world.write(&records);
    assert_eq!(world.code(&commits[0]), Some(Code::ChainTailMissing));
    let asked = Asked {
        open: true,
        origins: None,
    };
    let judged = world.judged_as(&commits[0], asked);
    assert_accepted(&judged);
    assert!(!judged[0].place.as_ref().unwrap().closed);
}

#[test]
fn a_spliced_record_is_refused() {
    let (world, commits) = three();
    let records = chain(ID, "claude", &commits);
    // The same agent signed another second record, and put it in the place of the first one.
    let mut others = records[..2].to_vec();
    let mut other = facts(ID, "claude");
    other.model = Some("another".to_owned());
    let after = Record::after(1, &digest(&others[1].0), false, covered(&commits[1..2]));
    others.push(record(other, after, &commits[1..2]));
    others.extend_from_slice(&records[3..]);
    world.write(&others);
    assert_eq!(world.code(&commits[0]), Some(Code::ChainLinkBroken));
}

#[test]
fn a_forked_chain_is_refused() {
    let (world, commits) = three();
    let mut records = chain(ID, "claude", &commits);
    let mut other = facts(ID, "claude");
    other.model = Some("another".to_owned());
    let after = Record::after(1, &digest(&records[1].0), false, Default::default());
    records.push(record(other, after, &[]));
    world.write(&records);
    assert_eq!(world.code(&commits[0]), Some(Code::ChainFork));
}

#[test]
fn a_chain_that_goes_on_after_its_end_is_refused() {
    let (world, commits) = three();
    let mut records = chain(ID, "claude", &commits);
    let more = next(ID, "claude", &records, false, &[]);
    records.push(more);
    world.write(&records);
    assert_eq!(world.code(&commits[0]), Some(Code::ChainExtended));
}

/// Somebody else who may sign cannot spoil a chain, nor join it.
#[test]
fn another_agents_records_under_the_same_activity_are_none_of_its_chain() {
    let (world, commits) = three();
    let mut records = chain(ID, "claude", &commits[..2]);
    let intruder = next(ID, "mallory", &records[..2], false, &commits[2..]);
    records.push(intruder);
    world.write(&records);
    assert_eq!(world.code(&commits[0]), None);
    assert_eq!(world.code(&commits[2]), Some(Code::ChainPrefixMissing));
}

#[test]
fn statements_moved_to_another_commit_are_refused() {
    let (world, commits) = three();
    let mut records = chain(ID, "claude", &commits[..1]);
    records[1].1.push(Place::commit(&commits[1].id));
    world.write(&records);
    assert_eq!(world.code(&commits[0]), None);
    assert_eq!(world.code(&commits[1]), Some(Code::SubjectMismatch));
}

#[test]
fn a_chain_replayed_into_another_repository_is_refused() {
    let (world, commits) = three();
    let records = chain(ID, "claude", &commits);
    world.write(&records);
    let other = World::new();
    let stranger = other.commit("another beginning");
    other.write(&records);
    // Nothing of it is about anything here, wherever it is put.
    assert!(other.judged(&stranger).is_empty());
    let mut moved = records.clone();
    moved[1].1 = vec![Place::commit(&stranger.id)];
    other.write(&moved);
    assert_eq!(other.code(&stranger), Some(Code::SubjectMismatch));
    // And nobody goes on from it: the chain itself is of another place.
    let judged = other.chain_code(ID, "claude");
    assert_eq!(judged, Some(Code::ChainElsewhere));
    assert_eq!(world.chain_code(ID, "claude"), None);
}

#[test]
fn a_commit_that_carries_another_chains_head_is_refused() {
    let world = World::new();
    let first = world.commit("one");
    let records = chain(ID, "claude", std::slice::from_ref(&first));
    let code = |head: &str, id: &str| {
        let commit = [world.commit_after(head)];
        let mut records = vec![record(
            facts(id, "claude"),
            Record::opening(None, Default::default()),
            &[],
        )];
        let head = digest(&records[0].0);
        records.push(next(id, "claude", &records, false, &commit));
        records.push(next(id, "claude", &records, true, &[]));
        world.write(&records);
        (world.code(&commit[0]), head)
    };
    let (another, _) = code(&digest(&records[0].0), "urn:a");
    assert_eq!(another, Some(Code::ChainTrailer));
    let (nonsense, head) = code("sha256:00", "urn:b");
    assert_eq!(nonsense, Some(Code::ChainTrailer));
    // Its opening record says the same each time, so that its head is known before.
    let (right, same) = code(&head, "urn:b");
    assert_eq!(same, head);
    assert_ne!(right, Some(Code::ChainTrailer));
}

#[test]
fn a_commit_that_carries_the_head_before_its_record_is_accepted() {
    let world = World::new();
    let mut records = vec![record(
        facts(ID, "claude"),
        Record::opening(None, Default::default()),
        &[],
    )];
    let commit = [world.commit_after(&digest(&records[0].0))];
    records.push(next(ID, "claude", &records, false, &commit));
    records.push(next(ID, "claude", &records, true, &[]));
    world.write(&records);
    assert_accepted(&world.judged(&commit[0]));
}

#[test]
fn a_workload_that_is_not_the_signer_is_refused() {
    let (world, commits) = three();
    let mut lie = facts(ID, "claude");
    lie.workload = Some(identity("somebody"));
    let opening = Record::opening(None, covered(&commits[..1]));
    world.write(&[record(lie, opening, &commits[..1])]);
    assert_eq!(world.code(&commits[0]), Some(Code::AgentMismatch));
}

#[test]
fn what_a_statement_rests_on_has_to_be_there() {
    let (world, commits) = three();
    let dispatch = make::dispatch(dispatch(), &commits[..1]).unwrap();
    let dispatch = signed("claude", &dispatch);
    let mut resting = facts(ID, "claude");
    resting.evidence = vec![Evidence {
        predicate_type: notme_attest::predicate::DISPATCH.to_owned(),
        digest: digest(&dispatch),
    }];
    let opening = Record::opening(None, covered(&commits[..1]));
    let mut records = vec![record(resting, opening, &commits[..1])];
    records.push(next(ID, "claude", &records, true, &[]));
    world.write(&records);
    assert_eq!(world.code(&commits[0]), Some(Code::EvidenceMissing));
    world.write(&[(dispatch, places(&commits[..1], None))]);
    let judged = world.judged(&commits[0]);
    assert_accepted(&judged);
    // What an accepted record cites is part of what carries its level.
    let levels: Vec<_> = judged.iter().map(|it| it.derived.level).collect();
    assert_eq!(levels, [Some(Level::L2); 2]);
}

fn dispatch() -> Object {
    let predicate = json!({"runDetails": {"work": {"filesChanged": ["a"]}}});
    json::parse_object(predicate.to_string().as_bytes()).unwrap()
}

#[test]
fn nobody_accepts_their_own_work() {
    let (world, commits) = three();
    world.write(&chain(ID, "claude", &commits[..1]));
    let acceptance = |agent: &str| {
        let acceptance = Acceptance {
            decision: Decision::Accepted,
            evidence: Vec::new(),
            reason: None,
            accepted_at: NOW.to_string(),
            more: Object::new(),
        };
        let statement = make::acceptance(&acceptance, &commits[..1]).unwrap();
        (signed(agent, &statement), places(&commits[..1], None))
    };
    world.write(&[acceptance("claude")]);
    assert!(
        world
            .codes(&commits[0])
            .contains(&Some(Code::AcceptanceSelf))
    );
    let other = World::of(world.repository);
    other.write(&[acceptance("reviewer")]);
    let judged = other.judged(&commits[0]);
    let by = |agent: &str| {
        let mut acceptances = judged
            .iter()
            .filter(|it| it.predicate_type.as_deref() == Some(notme_attest::predicate::ACCEPTANCE));
        let found = acceptances.find(|it| it.identity == Some(identity(agent)));
        found.unwrap().verdict.code()
    };
    assert_eq!(by("reviewer"), None);
    assert_eq!(by("claude"), Some(Code::AcceptanceSelf));
}

#[test]
fn a_statement_follows_an_amend_that_keeps_the_tree_and_says_so() {
    let (world, commits) = three();
    world.write(&chain(ID, "claude", &commits[2..]));
    let amend = ["commit", "--amend", "--quiet", "-m", "better words"];
    world.repository.git_ok(&amend);
    let amended = world.subject(&world.repository.git_ok(&["rev-parse", "HEAD"]));
    assert_ne!(amended.id, commits[2].id);
    let judged = world.judged(&amended);
    assert_accepted(&judged);
    assert_eq!(judged[0].attested_as, Some(commits[2].id.clone()));
    // With another tree it is another work.
    let changed = world.commit("four");
    assert!(world.judged(&changed).is_empty());
}

#[test]
fn a_commit_that_took_anothers_place_is_attested_as_that() {
    let (world, commits) = three();
    world.write(&chain(ID, "claude", &commits[..1]));
    let mut rewritten = facts("urn:rewrite", "claude");
    rewritten.succeeds = vec![Succession {
        from: commits[0].id.clone(),
        to: commits[1].id.clone(),
    }];
    let opening = Record::opening(None, covered(&commits[1..2]));
    let mut records = vec![record(rewritten, opening, &commits[1..2])];
    records.push(next("urn:rewrite", "claude", &records, true, &[]));
    world.write(&records);
    let judged = world.judged(&commits[1]);
    assert_accepted(&judged);
    let named: Vec<_> = judged.iter().map(|it| it.attested_as.clone()).collect();
    assert_eq!(named, [None, Some(commits[0].id.clone())]);
    assert!(world.judged(&commits[2]).is_empty());
}

/// What everybody can read lists no origins, whoever signed that.
#[test]
fn disclosed_origins_are_refused() {
    let (world, commits) = three();
    let predicate =
        json!({"runDetails": {"contentOrigins": [{"uri": "https://x.example/", "vouchedBy": ""}]}});
    let predicate = json::parse_object(predicate.to_string().as_bytes()).unwrap();
    assert!(make::dispatch(predicate.clone(), &commits[..1]).is_err());
    let statement = Statement::new(
        vec![Subject::new("c", "gitCommit", &*commits[0].id)],
        notme_attest::predicate::DISPATCH,
        predicate,
    )
    .unwrap();
    world.write(&[(signed("claude", &statement), places(&commits[..1], None))]);
    assert_eq!(world.code(&commits[0]), Some(Code::OriginsDisclosed));
}

#[test]
fn shown_origins_have_to_be_the_attested_ones() {
    use notme_attest::origins::{Origin, OriginSet};
    let (world, commits) = three();
    let origins = |uri: &str| {
        let vouched_by = "gate".to_owned();
        let uri = uri.to_owned();
        OriginSet::new(vec![Origin { uri, vouched_by }]).unwrap()
    };
    let mut read = facts(ID, "claude");
    read.origins_hash = origins("https://x.example/").digest();
    let opening = Record::opening(None, covered(&commits[..1]));
    let mut records = vec![record(read, opening, &commits[..1])];
    records.push(next(ID, "claude", &records, true, &[]));
    world.write(&records);
    let code = |shown: OriginSet| {
        let asked = Asked {
            open: false,
            origins: Some(shown),
        };
        world.judged_as(&commits[0], asked)[0].verdict.code()
    };
    assert_eq!(code(origins("https://x.example/")), None);
    assert_eq!(
        code(origins("https://y.example/")),
        Some(Code::OriginsMismatch)
    );
    assert_eq!(code(OriginSet::default()), Some(Code::OriginsMismatch));
}

#[test]
fn a_predicate_that_nobody_knows_is_undecided() {
    let (world, commits) = three();
    let statement = Statement::new(
        vec![Subject::new("c", "gitCommit", &*commits[0].id)],
        "https://slsa.dev/provenance/v1",
        Object::new(),
    )
    .unwrap();
    world.write(&[(signed("claude", &statement), places(&commits[..1], None))]);
    assert_eq!(world.code(&commits[0]), Some(Code::PredicateUnknown));
}

#[test]
fn a_predicate_that_breaks_its_promises_is_malformed() {
    let (world, commits) = three();
    let subjects = || vec![Subject::new("c", "gitCommit", &*commits[0].id)];
    let predicate = json::parse_object(br#"{"activity":{"id":"x","segment":1}}"#).unwrap();
    let types = notme_attest::predicate::ACTIVITY;
    let statement = Statement::new(subjects(), types, predicate).unwrap();
    world.write(&[(signed("claude", &statement), places(&commits[..1], None))]);
    assert_eq!(world.code(&commits[0]), Some(Code::PredicateMalformed));
}

#[test]
fn a_payload_that_is_no_statement_is_malformed() {
    let (world, commits) = three();
    let kept = |bundle: Vec<u8>| vec![(bundle, places(&commits[..1], None))];
    let twice = br#"{"_type":"https://in-toto.io/Statement/v1","_type":"x"}"#.to_vec();
    world.write(&kept(signed_payload(twice, |it| spec("claude", it))));
    let other = World::of(world.repository);
    other.write(&kept(signed_as("text/plain", b"{}".to_vec(), |it| {
        spec("claude", it)
    })));
    assert_eq!(
        other.codes(&commits[0]),
        [Some(Code::StatementMalformed); 2]
    );
}

#[test]
fn what_is_no_bundle_is_malformed() {
    let (world, commits) = three();
    let places = places(&commits[..1], None);
    let mut kept: Vec<Kept> = vec![
        (b"{}".to_vec(), places.clone()),
        (b"not JSON".to_vec(), places.clone()),
    ];
    // Two spellings of one member: two readers, two bundles.
    let (good, _) = &chain(ID, "claude", &commits[..1])[1];
    let text = String::from_utf8(good.clone()).unwrap();
    kept.push((
        text.replacen('{', "{\"mediaType\":\"x\",", 1).into_bytes(),
        places,
    ));
    world.write(&kept);
    assert_eq!(world.codes(&commits[0]), [Some(Code::EnvelopeMalformed); 3]);
}

/// The verdict on the commit refuses it; what is stated about others is judged all the same.
#[test]
fn a_malformed_commit_spoils_nothing() {
    let (world, commits) = three();
    world.write(&chain(ID, "claude", &commits[..1]));
    let id = world
        .repository
        .write_object_unchecked("commit", b"tree nothing\n\n");
    let broken = make::CommitSubject {
        id,
        tree: String::new(),
    };
    assert!(world.judged(&broken).is_empty());
    assert_accepted(&world.judged(&commits[0]));
}

/// Certificates of every other purpose, and for every other payload.
#[test]
fn certificates_for_anything_else_sign_no_statements() {
    let refused = |code: Code, change: &dyn Fn(&mut LeafSpec)| {
        let (world, commits) = three();
        let statement = make::dispatch(dispatch(), &commits[..1]).unwrap();
        let bundle = signed_payload(statement.to_payload().unwrap(), |message| {
            let mut spec = spec("claude", message);
            change(&mut spec);
            spec
        });
        world.write(&[(bundle, places(&commits[..1], None))]);
        assert_eq!(world.code(&commits[0]), Some(code));
    };
    refused(Code::ScopeMissing, &|spec| {
        spec.scopes = vec!["bridgeCert".to_owned(), "sign:git".to_owned()];
    });
    refused(Code::CertificateInvalid, &|spec| {
        spec.kind = LeafKind::Mtls;
    });
    refused(Code::IssuanceMismatch, &|spec| {
        spec.payload_digest = Some(sha256(b"other bytes"));
    });
    // A session certificate says nothing of when.
    refused(Code::TimeBasisTooWeak, &|spec| spec.payload_digest = None);
}

#[test]
fn both_profiles_sign_statements() {
    for algorithm in [Algorithm::Ed25519, Algorithm::P256] {
        let (world, commits) = three();
        let statement = make::dispatch(dispatch(), &commits[..1]).unwrap();
        let bundle = signed_payload(statement.to_payload().unwrap(), |message| LeafSpec {
            algorithm,
            ..spec("claude", message)
        });
        world.write(&[(bundle, places(&commits[..1], None))]);
        assert_accepted(&world.judged(&commits[0]));
    }
}

#[test]
fn a_stranger_is_a_stranger() {
    let (world, commits) = three();
    let statement = make::dispatch(dispatch(), &commits[..1]).unwrap();
    let payload = statement.to_payload().unwrap();
    let message = notme_core::dsse::pae(notme_core::statement::PAYLOAD_TYPE, &payload);
    let session = notme_testkit::cast::TestAuthority::new(2).leaf(&spec("claude", &message));
    let bundle = notme_attest::Bundle::new(
        notme_core::dsse::Envelope::signed(
            notme_core::statement::PAYLOAD_TYPE,
            payload,
            session.certificate().kid(),
            session.key().sign(&message).unwrap(),
        ),
        vec![session.certificate().clone()],
        Vec::new(),
    );
    world.write(&[(bundle.to_json().unwrap(), places(&commits[..1], None))]);
    assert_eq!(world.code(&commits[0]), Some(Code::SignerUntrusted));
}

/// Every byte of payload, signature and certificate counts. What is outside of them is a name of
/// a member that nobody has to read, or another version.
#[test]
fn no_flipped_byte_is_accepted() {
    let (world, commits) = three();
    let statement = make::dispatch(dispatch(), &commits[..1]).unwrap();
    let good = signed("claude", &statement);
    let place = places(&commits[..1], None);
    let unread = ["tlogEntries", "keyid", "v0.3"].map(|name| {
        let text = str::from_utf8(&good).unwrap();
        let at = text.find(name).unwrap();
        at..at + name.len()
    });
    let kept: Vec<Kept> = (0..good.len())
        .filter(|at| !unread.iter().any(|range| range.contains(at)))
        .map(|at| {
            let mut bad = good.clone();
            bad[at] ^= 1;
            (bad, place.clone())
        })
        .collect();
    world.write(&kept);
    for it in world.judged(&commits[0]) {
        let flipped = kept.iter().find(|(bad, _)| FileName::of(bad) == it.file);
        let bad = flipped.map(|(bad, _)| String::from_utf8_lossy(bad));
        assert_ne!(it.verdict, Verdict::Accepted, "{bad:?}");
    }
}

#[test]
fn a_summary_in_anothers_name_is_refused() {
    for (id, expected) in [
        (identity("claude"), None),
        (identity("other"), Some(Code::AgentMismatch)),
    ] {
        let world = World::new();
        let commit = world.commit("one");
        let summary = json!({
            "verifier": {"id": id},
            "timeVerified": "2026-11-20T12:00:00Z",
            "resourceUri": "git+https://x.example/r",
            "policy": {"uri": "https://x.example/p"},
            "verificationResult": "PASSED",
            "verifiedLevels": ["SLSA_SOURCE_LEVEL_1"],
        });
        let revision = make::Revision {
            id: commit.id.clone(),
            algorithm: "gitCommit",
            references: Vec::new(),
        };
        let summary = serde_json::from_value(summary).unwrap();
        let summary = make::summary(&summary, &[revision]).unwrap();
        let kept = (
            signed("claude", &summary),
            places(std::slice::from_ref(&commit), None),
        );
        world.write(&[kept]);
        assert_eq!(world.code(&commit), expected);
    }
}
