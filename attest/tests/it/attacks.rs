//! What somebody can do to the statements of a repository, and what is said to it.

use std::time::{Duration, Instant};

use notme_attest::{
    Bundle,
    make::{self, covered},
    predicate::{
        ACCEPTANCE, ACTIVITY, Acceptance, DISPATCH, Decision, Evidence, HANDOFF, Level, Outcome,
        Receive, Record, Succession,
    },
    store::{FileName, Place},
    verify::{Asked, GoesOn, counted},
};
use notme_core::{
    hex,
    json::{self, Object},
    key::{Algorithm, sha256},
    profile::LeafKind,
    statement::{Statement, Subject},
};
use notme_testkit::{cast::LeafSpec, clock::NOW};
use notme_verifier::{Code, Verdict};
use serde_json::json;

use crate::world::{
    Kept, World, assert_accepted, by_namesake, chain, digest, facts, identity, kid, next, places,
    record, signed, signed_as, signed_payload, spec, untimed,
};

const ID: &str = "urn:uuid:00000000-0000-4000-8000-000000000001";

fn three() -> (World, Vec<make::CommitSubject>) {
    let world = World::new();
    let commits = ["one", "two", "three"].map(|name| world.commit(name));
    (world, commits.to_vec())
}

/// The first record of a chain, which covers commits.
fn begun(commits: &[make::CommitSubject]) -> Kept {
    let opening = Record::opening(None, covered(commits));
    record(facts(ID, "claude"), opening, commits)
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
    assert_eq!(world.code(&commits[2]), Some(Code::ChainRecordStray));
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

/// An authority that is away for a moment spoils no more than what is stated meanwhile.
#[test]
fn a_record_without_a_time_keeps_its_place_where_a_later_one_goes_on_from_it() {
    let (world, commits) = three();
    let mut records = chain(ID, "claude", &commits);
    records[2] = untimed("claude", 9, &records[2]);
    world.write(&records);
    assert_eq!(world.code(&commits[1]), Some(Code::TimeBasisTooWeak));
    for commit in [&commits[0], &commits[2]] {
        let judged = world.judged(commit);
        assert_accepted(&judged);
        assert_eq!(judged[0].derived.level, Some(Level::L2));
    }
    // Nobody else keeps it there, and nothing that contradicts itself.
    let (world, commits) = three();
    let mut records = chain(ID, "claude", &commits);
    records[2] = untimed("mallory", 9, &records[2]);
    world.write(&records);
    assert_eq!(world.code(&commits[0]), Some(Code::ChainLinkMissing));
}

/// Whoever has an old key of the agent can make such records, and no chain is the worse for them.
#[test]
fn records_without_a_time_that_none_goes_on_from_are_no_part_of_the_chain() {
    let (world, commits) = three();
    let mut records = chain(ID, "claude", &commits);
    let fork = next(ID, "claude", &records[..2], false, &[]);
    let more = next(ID, "claude", &records, false, &[]);
    records.extend([fork, more].map(|it| untimed("claude", 9, &it)));
    world.write(&records);
    for commit in &commits {
        assert_eq!(world.code(commit), None);
    }
    assert_eq!(world.tip(ID, "claude").0.unwrap().sequence, 4);
}

/// What was added while the authority was away is gone on from by the key that added it.
#[test]
fn the_key_that_signs_now_goes_on_without_a_time() {
    let seed = spec("claude", b"").seed;
    let ends_at = |(sequence, segment, ends): (u64, _, _), key, by| {
        let (world, commits) = three();
        let mut records = chain(ID, "claude", &commits[..2]);
        records.pop();
        let last = digest(&records[2].0);
        let chain = Record::after(sequence - 1, &last, ends, covered(&commits[2..]));
        let facts = make::ActivityFacts {
            segment,
            ..facts(ID, "claude")
        };
        let more = record(facts, chain, &commits[2..]);
        records.push(untimed("claude", key, &more));
        world.write(&records);
        let tip = world.tip_for(ID, "claude", by).0.unwrap();
        let goes_on = GoesOn {
            by: Some(kid("claude", by)),
            after: None,
        };
        let covered =
            world.with_attestations(|it| it.covered(ID, &identity("claude"), goes_on).unwrap());
        let covered = covered.get(&commits[2].id);
        (tip.sequence, covered == Some(&false))
    };
    let next = (3, 1, false);
    assert_eq!(ends_at(next, seed, seed), (3, true));
    // The key agent was started anew since the record before.
    assert_eq!(ends_at(next, 9, 9), (3, true));
    // Whoever has an old key, be it the one of the record before.
    assert_eq!(ends_at(next, seed, 9), (2, false));
    assert_eq!(ends_at(next, 9, seed), (2, false));
    // An end for which nothing shows the time ends nothing, and what is no chain goes on from none.
    assert_eq!(ends_at((3, 1, true), seed, seed), (2, false));
    assert_eq!(ends_at((9, 1, false), seed, seed), (2, false));
    assert_eq!(ends_at((3, 9, false), seed, seed), (2, false));
}

/// Whoever knows which record is theirs goes on from it with another key, and from nothing else that the
/// old one adds.
#[test]
fn a_record_without_a_time_is_gone_on_from_by_whoever_names_it() {
    let (world, commits) = three();
    let mut records = chain(ID, "claude", &commits[..2]);
    records.pop();
    let two = next(ID, "claude", &records, false, &commits[2..]);
    let other = next(ID, "claude", &records, false, &[]);
    let [two, other] = [two, other].map(|it| untimed("claude", 9, &it));
    let line = [&records[..], std::slice::from_ref(&two)].concat();
    let more = untimed("claude", 9, &next(ID, "claude", &line, false, &[]));
    records.extend([other.clone(), two.clone(), more.clone()]);
    world.write(&records);
    let tip = |after: &str| {
        let by = Some(kid("claude", spec("claude", b"").seed));
        let after = Some(after);
        let tip = world.with_attestations(|it| {
            let tip = it.tip(ID, &identity("claude"), GoesOn { by, after });
            tip.unwrap().map_err(|(code, _)| code)
        });
        tip.map(|it| (it.digest, it.is_untimed))
    };
    for named in [&two, &other, &more] {
        let named = digest(&named.0);
        assert_eq!(tip(&named), Ok((named.clone(), true)));
    }
    let last = digest(&line[2].0);
    assert_eq!(tip(&last), Ok((last.clone(), false)));
    let nothing = format!("sha256:{}", "0".repeat(64));
    assert_eq!(tip(&nothing), Err(Code::ChainLinkMissing));
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
        predicate_type: DISPATCH.to_owned(),
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
            .filter(|it| it.predicate_type.as_deref() == Some(ACCEPTANCE));
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
        DISPATCH,
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
    let statement = Statement::new(subjects(), ACTIVITY, predicate).unwrap();
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
    let bundle = Bundle::new(
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
    // Nor does it count: neither against what others state, nor in the place of what is taken over.
    let judged = world.judged(&commits[0]);
    assert_eq!(counted(&judged).count(), 0);
    world.write(&[handoff("claude", &commits[..1])]);
    let judged = world.judged(&commits[0]);
    let [only] = &*counted(&judged).collect::<Vec<_>>() else {
        panic!("{} count", counted(&judged).count());
    };
    assert_eq!(only.verdict, Verdict::Accepted);
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
fn a_summary_in_anothers_name_or_of_another_time_is_refused() {
    const VERIFIED: &str = "2026-11-20T12:00:00Z";
    for (id, verified, expected) in [
        (identity("claude"), VERIFIED, None),
        (identity("other"), VERIFIED, Some(Code::AgentMismatch)),
        (
            identity("claude"),
            "1999-01-01T00:00:00Z",
            Some(Code::PredicateMalformed),
        ),
    ] {
        let world = World::new();
        let commit = world.commit("one");
        let summary = json!({
            "verifier": {"id": id},
            "timeVerified": verified,
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

fn decided(
    agent: &str,
    decision: Decision,
    evidence: Vec<Evidence>,
    of: &[make::CommitSubject],
) -> Kept {
    let acceptance = Acceptance {
        decision,
        evidence,
        reason: Some("looked at".to_owned()),
        accepted_at: NOW.to_string(),
        more: Object::new(),
    };
    let statement = make::acceptance(&acceptance, of).unwrap();
    (signed(agent, &statement), places(of, None))
}

fn handoff(agent: &str, of: &[make::CommitSubject]) -> Kept {
    let statement = make::handoff(Object::new(), None, of).unwrap();
    (signed(agent, &statement), places(of, None))
}

/// A whole activity by which an agent says that one commit took the place of another.
fn succession(agent: &str, from: &str, to: &make::CommitSubject) -> Vec<Kept> {
    let id = format!("urn:succession:{agent}");
    let mut rewritten = facts(&id, agent);
    rewritten.succeeds = vec![Succession {
        from: from.to_owned(),
        to: to.id.clone(),
    }];
    let to = std::slice::from_ref(to);
    let mut records = vec![record(rewritten, Record::opening(None, covered(to)), to)];
    records.push(next(&id, agent, &records, true, &[]));
    records
}

/// As in a clone: the old commit is on no branch.
#[test]
fn what_took_the_place_of_a_commit_that_is_not_here_is_attested_as_that() {
    let (world, commits) = three();
    let gone = make::CommitSubject {
        id: "1".repeat(40),
        tree: "2".repeat(40),
    };
    world.write(&chain(ID, "claude", std::slice::from_ref(&gone)));
    world.write(&succession("claude", &gone.id, &commits[1]));
    let judged = world.judged(&commits[1]);
    assert_accepted(&judged);
    let taken: Vec<_> = judged.iter().map(|it| it.attested_as.as_ref()).collect();
    assert_eq!(taken, [None, Some(&gone.id)]);
    // What the old commit carries was not seen.
    let levels: Vec<_> = judged.iter().map(|it| it.derived.level).collect();
    assert_eq!(levels, [Some(Level::L2), None]);
    // By itself, the chain may be of any repository.
    let elsewhere = Some(Code::ChainElsewhere);
    assert_eq!(world.chain_code(ID, "claude"), elsewhere);
    // And so it is, with another's word for what took the place.
    world.write(&succession("mallory", &gone.id, &commits[2]));
    assert!(
        world
            .judged(&commits[2])
            .iter()
            .all(|it| it.attested_as.is_none())
    );
}

/// As in a clone of a branch that was rebased: what its second piece of work began from is on no branch,
/// either, and the new commit carries the old chain.
#[test]
fn what_began_from_a_commit_that_is_not_here_is_taken_over_by_its_signer_alone() {
    let world = World::new();
    let [base, gone] = ["1", "2"].map(|it| make::CommitSubject {
        id: it.repeat(40),
        tree: "3".repeat(40),
    });
    let opening = Record::opening(Some(base.id), Default::default());
    let mut records = vec![record(facts(ID, "claude"), opening, &[])];
    let [new, other] = [(); 2].map(|()| world.commit_after(&digest(&records[0].0)));
    for (closing, commits) in [(false, std::slice::from_ref(&gone)), (true, &[])] {
        records.push(next(ID, "claude", &records, closing, commits));
    }
    world.write(&records);
    world.write(&succession("claude", &gone.id, &new));
    let judged = world.judged(&new);
    assert_accepted(&judged);
    let taken: Vec<_> = judged.iter().map(|it| it.attested_as.as_ref()).collect();
    assert_eq!(taken, [None, Some(&gone.id)]);
    // By itself, and by another's word, the chain is of another repository.
    let elsewhere = Some(Code::ChainElsewhere);
    assert_eq!(world.chain_code(ID, "claude"), elsewhere);
    world.write(&succession("mallory", &gone.id, &other));
    assert_eq!(world.code(&other), Some(Code::ChainTrailer));
}

/// Nobody amends the chain away that a commit carries, and has a level of it where that is not seen.
#[test]
fn what_is_taken_over_has_no_level_where_the_commit_is_not_seen() {
    let world = World::new();
    let old = world.commit_after(&format!("sha256:{}", "1".repeat(64)));
    let new = amended(&world);
    let clone = World::new();
    let path = world.repository.path();
    let path = path.to_str().unwrap();
    clone.repository.git_ok(&["pull", "--quiet", path, "HEAD"]);
    let taken_over = |world: &World| {
        world.write(&chain(ID, "claude", std::slice::from_ref(&old)));
        world.write(&succession("claude", &old.id, &new));
        let judged = world.judged(&new);
        let taken = judged.iter().find(|it| it.attested_as.is_some()).unwrap();
        (taken.verdict.code(), taken.derived.level)
    };
    assert_eq!(taken_over(&world), (Some(Code::ChainTrailer), None));
    assert_eq!(taken_over(&clone), (None, None));
}

#[test]
fn nobody_moves_what_others_stated() {
    let (world, commits) = three();
    world.write(&chain(ID, "claude", &commits[..1]));
    world.write(&[decided(
        "reviewer",
        Decision::Accepted,
        Vec::new(),
        &commits[..1],
    )]);
    world.write(&succession("mallory", &commits[0].id, &commits[1]));
    let judged = world.judged(&commits[1]);
    let [only] = &*judged else {
        panic!("{} statements", judged.len());
    };
    assert_eq!(only.identity, Some(identity("mallory")));
    // Nor do one's own acceptances go along to other content.
    world.write(&succession("reviewer", &commits[0].id, &commits[2]));
    let judged = world.judged(&commits[2]);
    assert!(judged.iter().all(|it| it.decision.is_none()));
    assert_eq!(judged.len(), 1);
}

#[test]
fn a_succession_leads_from_commits_only() {
    let (_, commits) = three();
    let mut rewritten = facts(ID, "claude");
    rewritten.succeeds = vec![Succession {
        from: "not an id".to_owned(),
        to: commits[0].id.clone(),
    }];
    let opening = Record::opening(None, covered(&commits[..1]));
    assert!(make::activity(rewritten, opening, &commits[..1]).is_err());
}

fn amended(world: &World) -> make::CommitSubject {
    let amend = ["commit", "--amend", "--quiet", "-m", "better words"];
    world.repository.git_ok(&amend);
    world.subject(&world.repository.git_ok(&["rev-parse", "HEAD"]))
}

#[test]
fn nobody_accepts_their_own_work_by_way_of_its_tree() {
    let (world, commits) = three();
    world.write(&chain(ID, "claude", &commits[2..]));
    world.write(&[decided(
        "claude",
        Decision::Accepted,
        Vec::new(),
        &commits[2..],
    )]);
    let amended = amended(&world);
    assert!(world.codes(&amended).contains(&Some(Code::AcceptanceSelf)));
}

#[test]
fn nobody_accepts_what_took_over_their_own_work() {
    let (world, commits) = three();
    world.write(&chain(ID, "claude", &commits[2..]));
    let amended = [amended(&world)];
    let accepts = |agent| decided(agent, Decision::Accepted, Vec::new(), &amended);
    world.write(&[accepts("claude"), accepts("reviewer")]);
    let refused = world.codes(&amended[0]);
    let refused = refused
        .iter()
        .filter(|it| **it == Some(Code::AcceptanceSelf));
    assert_eq!(refused.count(), 1);
}

#[test]
fn a_rejection_rejects_the_commit() {
    let (world, commits) = three();
    world.write(&[decided(
        "reviewer",
        Decision::Rejected,
        Vec::new(),
        &commits[..1],
    )]);
    assert_eq!(world.code(&commits[0]), Some(Code::AcceptanceRejected));
    let judged = world.judged(&commits[0]);
    assert_eq!(judged[0].decision, Some(Decision::Rejected));
    assert_eq!(judged[0].detail.as_deref(), Some("looked at"));
}

#[test]
fn how_the_work_came_out_is_told() {
    let (world, commits) = three();
    let mut failed = facts(ID, "claude");
    failed.outcome = Outcome::Failed;
    let opening = Record::opening(None, covered(&commits[..1]));
    world.write(&[record(failed, opening, &commits[..1])]);
    assert_eq!(world.judged(&commits[0])[0].outcome, Some(Outcome::Failed));
}

#[test]
fn what_an_acceptance_rests_on_has_to_be_there() {
    let (world, commits) = three();
    let invented = Evidence {
        predicate_type: HANDOFF.to_owned(),
        digest: format!("sha256:{}", "0".repeat(64)),
    };
    world.write(&[decided(
        "reviewer",
        Decision::Accepted,
        vec![invented],
        &commits[..1],
    )]);
    assert_eq!(world.code(&commits[0]), Some(Code::EvidenceMissing));
    let there = handoff("claude", &commits[1..2]);
    let evidence = Evidence {
        predicate_type: HANDOFF.to_owned(),
        digest: digest(&there.0),
    };
    world.write(&[there]);
    world.write(&[decided(
        "reviewer",
        Decision::Accepted,
        vec![evidence],
        &commits[1..2],
    )]);
    assert_accepted(&world.judged(&commits[1]));
}

/// What it rests on is looked for once, and not for each of its commits.
#[test]
fn an_acceptance_of_many_commits_rests_on_the_evidence_for_each() {
    let world = World::new();
    let number = |it| world.repository.commit("file", &format!("{it}"));
    let commits: Vec<_> = (0..80).map(number).map(|id| world.subject(&id)).collect();
    let handoffs: Vec<_> = commits
        .iter()
        .map(|it| handoff("claude", std::slice::from_ref(it)))
        .collect();
    let evidence = handoffs.iter().map(|(bundle, _)| Evidence {
        predicate_type: HANDOFF.to_owned(),
        digest: digest(bundle),
    });
    let evidence = evidence.collect();
    world.write(&handoffs);
    world.write(&[decided("reviewer", Decision::Accepted, evidence, &commits)]);
    let ids: Vec<_> = commits.iter().map(|it| it.id.clone()).collect();
    let judged = world.with_attestations(|it| it.of_all(&ids).unwrap());
    assert_eq!(judged.len(), ids.len());
    judged.iter().for_each(|it| assert_accepted(it));
}

/// Cites a statement as evidence of a type, and returns what becomes of the record.
fn citing(
    world: &World,
    agent: &str,
    cited: Kept,
    of: &[make::CommitSubject],
    kind: &str,
) -> Option<Code> {
    let mut resting = facts(ID, agent);
    resting.evidence = vec![Evidence {
        predicate_type: kind.to_owned(),
        digest: digest(&cited.0),
    }];
    let mut records = vec![record(resting, Record::opening(None, covered(of)), of)];
    records.push(next(ID, agent, &records, true, &[]));
    let name = FileName::of(&records[0].0);
    records.push(cited);
    world.write(&records);
    let judged = world.judged(&of[0]);
    judged
        .iter()
        .find(|it| it.file == name)
        .unwrap()
        .verdict
        .code()
}

#[test]
fn evidence_is_of_its_type_and_accepted_itself() {
    let of = |world: &World| [world.commit("one")];
    let world = World::new();
    let one = of(&world);
    assert_eq!(
        citing(&world, "claude", handoff("claude", &one), &one, HANDOFF),
        None
    );
    let world = World::new();
    let one = of(&world);
    let lie = citing(&world, "claude", handoff("claude", &one), &one, ACCEPTANCE);
    assert_eq!(lie, Some(Code::EvidenceMissing));
    let world = World::new();
    let one = of(&world);
    world.write(&[handoff("reviewer", &one)]);
    let own = decided("reviewer", Decision::Accepted, Vec::new(), &one);
    let refused = citing(&world, "claude", own, &one, ACCEPTANCE);
    assert_eq!(refused, Some(Code::EvidenceMissing));
}

/// It need not lie with the commits that the record which cites it is about.
#[test]
fn what_is_cited_by_way_of_its_activity_is_held_against_its_own_commit() {
    for (is_true, code) in [(true, None), (false, Some(Code::EvidenceMissing))] {
        let (world, commits) = three();
        let mut first = commits[0].clone();
        if !is_true {
            first.tree = commits[1].tree.clone();
        }
        let first = begun(&[first]);
        let mut resting = facts(ID, "claude");
        resting.evidence = vec![Evidence {
            predicate_type: ACTIVITY.to_owned(),
            digest: digest(&first.0),
        }];
        let last = Record::after(0, &digest(&first.0), true, covered(&commits[2..]));
        let last = record(resting, last, &commits[2..]);
        world.write(&[first, last]);
        assert_eq!(world.code(&commits[2]), code);
    }
}

#[test]
fn a_record_lends_no_level_to_what_others_stated() {
    let world = World::new();
    let one = [world.commit("one")];
    assert_eq!(
        citing(&world, "mallory", handoff("claude", &one), &one, HANDOFF),
        None
    );
    let judged = world.judged(&one[0]);
    let handed = judged
        .iter()
        .find(|it| it.predicate_type.as_deref() == Some(HANDOFF));
    assert_eq!(handed.unwrap().derived.level, None);
}

#[test]
fn a_tree_whose_commit_is_elsewhere_is_not_taken_over() {
    let (world, commits) = three();
    let stranger = make::CommitSubject {
        id: "1".repeat(40),
        tree: commits[0].tree.clone(),
    };
    let stranger = [stranger];
    world.write(&[handoff("claude", &stranger)]);
    assert_eq!(world.code(&commits[0]), Some(Code::ObjectMissing));
    // Nor does it speak against the commit, whatever becomes of it where that one is.
    world.write(&chain(ID, "claude", &stranger));
    let judged = world.judged(&commits[0]);
    let missing = Verdict::Undecided(Code::ObjectMissing);
    assert!(judged.iter().all(|it| it.verdict == missing));
    assert_eq!((judged.len(), counted(&judged).count()), (2, 0));
    world.write(&[decided(
        "reviewer",
        Decision::Rejected,
        Vec::new(),
        &stranger,
    )]);
    let judged = world.judged(&commits[0]);
    let [only] = &*counted(&judged).collect::<Vec<_>>() else {
        panic!("{} count", counted(&judged).count());
    };
    assert_eq!(only.verdict, Verdict::Rejected(Code::AcceptanceRejected));
}

#[test]
fn an_empty_commit_takes_over_nothing() {
    let (world, commits) = three();
    world.write(&chain(ID, "claude", &commits[2..]));
    let empty = [
        "commit",
        "--quiet",
        "--allow-empty",
        "--no-gpg-sign",
        "-m",
        "empty",
    ];
    world.repository.git_ok(&empty);
    let empty = world.subject(&world.repository.git_ok(&["rev-parse", "HEAD"]));
    assert_eq!(empty.tree, commits[2].tree);
    assert!(world.judged(&empty).is_empty());
    // What is stated about itself counts, also where it is left with the tree only.
    let of = [empty];
    let tree = || vec![Place::tree(&of[0].tree)];
    let mut records = chain(ID, "other", &[]);
    records.pop();
    for about in [&[commits[2].clone(), of[0].clone()][..], &commits[2..]] {
        let (record, _) = next(ID, "other", &records, false, about);
        records.push((record, [tree(), vec![Place::activity(ID)]].concat()));
    }
    records.push(next(ID, "other", &records, true, &[]));
    world.write(&records);
    let judged = world.judged(&of[0]);
    assert_accepted(&judged);
    assert!(judged.iter().all(|it| it.attested_as.is_none()));
    world.write(&[(handoff("reviewer", &of).0, tree())]);
    assert_accepted(&world.judged(&of[0]));
    let decided = |decision| decided("reviewer", decision, Vec::new(), &of);
    world.write(&[decided(Decision::Accepted)]);
    assert!(world.codes(&of[0]).contains(&Some(Code::AcceptanceSelf)));
    world.write(&[(decided(Decision::Rejected).0, tree())]);
    assert!(
        world
            .codes(&of[0])
            .contains(&Some(Code::AcceptanceRejected))
    );
}

#[test]
fn what_is_taken_over_counts_only_where_nothing_is_stated() {
    use notme_attest::verify::level;
    let (world, commits) = three();
    world.write(&chain(ID, "claude", &commits[2..]));
    let amended = amended(&world);
    assert_eq!(level(&world.judged(&amended)), Some(Level::L2));
    world.write(&[handoff("other", std::slice::from_ref(&amended))]);
    assert_eq!(level(&world.judged(&amended)), None);
}

#[test]
fn a_trailer_binds_when_its_chain_is_gone() {
    let world = World::new();
    let records = chain(ID, "claude", &[]);
    let commit = [world.commit_after(&digest(&records[0].0))];
    world.write(&[handoff("claude", &commit)]);
    assert_eq!(world.code(&commit[0]), Some(Code::ChainTrailer));
    // Nor does the twin without the trailer get around it.
    assert_eq!(world.code(&amended(&world)), Some(Code::ChainTrailer));
}

#[test]
fn another_activity_about_a_commit_with_a_trailer_is_accepted() {
    let world = World::new();
    let opening = Record::opening(None, Default::default());
    let mut records = vec![record(facts(ID, "claude"), opening, &[])];
    let commit = [world.commit_after(&digest(&records[0].0))];
    records.push(next(ID, "claude", &records, true, &commit));
    world.write(&records);
    world.write(&chain("urn:another", "claude", &commit));
    assert_accepted(&world.judged(&commit[0]));
    // The twin has the chain that the trailer of its old self names.
    assert_accepted(&world.judged(&amended(&world)));
}

#[test]
fn a_level_is_that_of_the_whole_chain() {
    let level = |segments: [(u64, bool); 3], event: Option<&str>| {
        let (world, commits) = three();
        let mut records: Vec<Kept> = Vec::new();
        for (number, (segment, suspended)) in segments.into_iter().enumerate() {
            let mut facts = facts(ID, "claude");
            (facts.segment, facts.suspended) = (segment, suspended);
            if let Some(kind) = event.filter(|_| number == 0) {
                let event = json!({"kind": kind, "name": "x", "at": NOW.to_string()});
                facts.events = vec![serde_json::from_value(event).unwrap()];
            }
            let place = match records.last() {
                None => Record::opening(None, Default::default()),
                Some((last, _)) => {
                    let before = u64::try_from(number).unwrap() - 1;
                    let of = match number {
                        2 => covered(&commits[..1]),
                        _ => Default::default(),
                    };
                    Record::after(before, &digest(last), number == 2, of)
                }
            };
            let of = if number == 2 { &commits[..1] } else { &[] };
            records.push(record(facts, place, of));
        }
        world.write(&records);
        let judged = world.judged(&commits[0]);
        assert_accepted(&judged);
        judged[0].derived.level
    };
    let plain = [(1, false); 3];
    assert_eq!(level(plain, None), Some(Level::L2));
    assert_eq!(
        level([(1, false), (1, true), (2, false)], None),
        Some(Level::L2)
    );
    // Another record calls tools that its scope leaves out.
    for spelled in [
        "tool-call",
        "Tool_Call",
        "toolCall",
        "tool call",
        "tool.call",
        "tool\u{2010}call",
    ] {
        assert_eq!(level(plain, Some(spelled)), None, "{spelled}");
    }
    assert_eq!(level(plain, Some("started")), Some(Level::L2));
    assert_eq!(level([(1, true), (1, false), (7, false)], None), None);
    assert_eq!(level([(2, false), (1, false), (1, false)], None), None);
}

#[test]
fn a_scope_that_says_nothing_includes_nothing() {
    for (words, level) in [
        (&[][..], None),
        (&["", " \u{200b}-"], None),
        (&["", "commits"], Some(Level::L2)),
    ] {
        let (world, commits) = three();
        let mut facts = facts(ID, "claude");
        facts.includes = words.iter().map(|word| word.to_string()).collect();
        let opening = Record::opening(None, covered(&commits[..1]));
        let mut records = vec![record(facts, opening, &commits[..1])];
        records.push(next(ID, "claude", &records, true, &[]));
        world.write(&records);
        let judged = world.judged(&commits[0]);
        assert_accepted(&judged);
        assert_eq!(judged[0].derived.level, level, "{words:?}");
    }
}

#[test]
fn a_scope_does_not_exclude_what_it_includes() {
    for spelled in ["commits", "COMMITS", "commits\u{200b}", " Com-mits"] {
        let mut both = facts(ID, "claude");
        both.excludes = vec![spelled.to_owned()];
        let opening = Record::opening(None, Default::default());
        assert!(make::activity(both, opening, &[]).is_err(), "{spelled}");
    }
}

#[test]
fn a_chain_whose_beginning_is_elsewhere_is_refused() {
    let (world, commits) = three();
    let begun = |base: &str, succeeds: Vec<Succession>| {
        let mut first = facts(ID, "claude");
        first.succeeds = succeeds;
        let opening = Record::opening(Some(base.to_owned()), covered(&commits[..1]));
        let mut records = vec![record(first, opening, &commits[..1])];
        records.push(next(ID, "claude", &records, true, &[]));
        let other = World::new();
        let same = other.repository.path().join(".git/objects/info/alternates");
        let objects = world.repository.path().join(".git/objects");
        std::fs::write(same, format!("{}\n", objects.display())).unwrap();
        let other = World::of(other.repository);
        other.write(&records);
        other.code(&commits[0])
    };
    assert_eq!(begun(&commits[1].id, Vec::new()), None);
    let gone = "1".repeat(40);
    assert_eq!(begun(&gone, Vec::new()), Some(Code::ChainElsewhere));
    // Unless the chain says what took its place.
    let succession = Succession {
        from: gone.clone(),
        to: commits[0].id.clone(),
    };
    assert_eq!(begun(&gone, vec![succession]), None);
}

#[test]
fn records_in_another_order_are_refused() {
    let (world, commits) = three();
    let records = chain(ID, "claude", &commits[..1]);
    // The second record names the third one's place, and goes on from the second.
    let closing = Record::after(1, &digest(&records[0].0), true, Default::default());
    let reordered = record(facts(ID, "claude"), closing, &[]);
    world.write(&[records[0].clone(), records[1].clone(), reordered]);
    assert_eq!(world.code(&commits[0]), Some(Code::ChainReordered));
}

#[test]
fn a_closing_record_that_counts_wrong_is_refused() {
    let (world, commits) = three();
    let mut records = chain(ID, "claude", &commits[..1]);
    records.pop();
    let mut closing = Record::after(1, &digest(&records[1].0), true, Default::default());
    closing.count = Some(7);
    records.push(record(facts(ID, "claude"), closing, &[]));
    world.write(&records);
    assert_eq!(world.code(&commits[0]), Some(Code::ChainCount));
}

/// However deep, and beside the predicate too.
#[test]
fn origins_are_disclosed_nowhere_in_a_statement() {
    let origins = json!({"contentOrigins": [{"uri": "https://x.example/", "vouchedBy": ""}]});
    for predicate in [
        json!({"dispatchDefinition": origins}),
        json!({"runDetails": {"work": {"more": [origins]}}}),
    ] {
        let (world, commits) = three();
        let predicate = json::parse_object(predicate.to_string().as_bytes()).unwrap();
        assert!(make::dispatch(predicate.clone(), &commits[..1]).is_err());
        let subject = vec![Subject::new("c", "gitCommit", &*commits[0].id)];
        let statement = Statement::new(subject, DISPATCH, predicate).unwrap();
        world.write(&[(signed("claude", &statement), places(&commits[..1], None))]);
        assert_eq!(world.code(&commits[0]), Some(Code::OriginsDisclosed));
    }
    let (world, commits) = three();
    let mut subject = Subject::new("c", "gitCommit", &*commits[0].id);
    subject.more.insert("annotations".to_owned(), origins);
    let statement = Statement::new(vec![subject], DISPATCH, dispatch()).unwrap();
    world.write(&[(signed("claude", &statement), places(&commits[..1], None))]);
    assert_eq!(world.code(&commits[0]), Some(Code::OriginsDisclosed));
}

#[test]
fn a_dispatch_does_not_contradict_its_subjects() {
    let (_world, commits) = three();
    let predicate = json!({"runDetails": {"work": {"commits": [{"sha": commits[1].id}]}}});
    let predicate = json::parse_object(predicate.to_string().as_bytes()).unwrap();
    assert!(make::dispatch(predicate.clone(), &commits[..1]).is_err());
    assert!(make::dispatch(predicate, &commits[1..2]).is_ok());
}

#[test]
fn a_dispatch_whose_outcome_or_commits_cannot_be_read_is_malformed() {
    let (_world, commits) = three();
    for run in [
        json!({"outcome": {"success": "false"}}),
        json!({"outcome": {"success": null}}),
        json!({"work": {"commits": [{"sha": 5}]}}),
        json!({"work": {"commits": [{}]}}),
    ] {
        let predicate = json!({"runDetails": run}).to_string();
        let predicate = json::parse_object(predicate.as_bytes()).unwrap();
        assert!(make::dispatch(predicate, &commits[..1]).is_err(), "{run}");
    }
}

#[test]
fn a_statement_of_another_time_than_its_signature_is_malformed() {
    let (world, commits) = three();
    let mut old = facts(ID, "claude");
    old.recorded_at = "1999-01-01T00:00:00Z".to_owned();
    let opening = Record::opening(None, covered(&commits[..1]));
    let mut records = vec![record(old, opening, &commits[..1])];
    records.push(next(ID, "claude", &records, true, &[]));
    world.write(&records);
    assert_eq!(world.code(&commits[0]), Some(Code::PredicateMalformed));
}

#[test]
fn a_bundle_by_itself_is_judged_for_all_its_commits() {
    let (world, commits) = three();
    let (good, _) = handoff("claude", &commits[..2]);
    assert_eq!(world.bundle_code(good), None);
    let stranger = make::CommitSubject {
        id: "1".repeat(40),
        tree: commits[0].tree.clone(),
    };
    let (part, _) = handoff("claude", &[commits[0].clone(), stranger]);
    assert_eq!(world.bundle_code(part), Some(Code::ObjectMissing));
    // The second carries the head of a chain that is not here, and may be in another bundle.
    let records = chain(ID, "claude", &[]);
    let bound = world.commit_after(&digest(&records[0].0));
    let (open, _) = handoff("claude", &[commits[0].clone(), bound]);
    assert_eq!(world.bundle_code(open), Some(Code::EvidenceMissing));
}

/// Each for itself, the bundles of a good chain are not wrong, whatever of it is kept here.
#[test]
fn a_record_by_itself_is_not_called_wrong_for_what_is_elsewhere() {
    let world = World::new();
    world.commit("one");
    let opening = Record::opening(None, Default::default());
    let mut records = vec![record(facts(ID, "claude"), opening, &[])];
    let commit = [world.commit_after(&digest(&records[0].0))];
    for (closing, commits) in [(false, &commit[..]), (false, &[]), (true, &commit)] {
        records.push(next(ID, "claude", &records, closing, commits));
    }
    let (by_another, _) = handoff("claude", &commit);
    let codes = |world: &World| {
        let bundles = [&records[1].0, &records[3].0, &by_another];
        bundles.map(|bundle| world.bundle_code(bundle.clone()))
    };
    assert_eq!(codes(&world), [Some(Code::EvidenceMissing); 3]);
    let open = Some(Code::ChainTailMissing);
    world.write(&records[..1]);
    let missing = Some(Code::EvidenceMissing);
    assert_eq!(codes(&world), [open, missing, missing]);
    world.write(&records[1..2]);
    assert_eq!(codes(&world), [open, missing, None]);
    world.write(&records[2..3]);
    assert_eq!(codes(&world), [open, None, None]);
    world.write(&records[3..]);
    assert_eq!(codes(&world), [None; 3]);
    let here = world.repository.path();
    let here = here.to_str().unwrap();
    // Nor when all of them are given together, whether they are kept or not.
    for world in [&world, &World::new()] {
        if world.store.is_empty().unwrap() {
            world.repository.git_ok(&["pull", "--quiet", here, "main"]);
        }
        let all = records.iter().map(|(bundle, _)| bundle.clone());
        assert_eq!(world.bundle_codes(all.collect()), [None; 4]);
    }
    // What contradicts what is here is wrong.
    let fork = next(ID, "claude", &records[..2], true, &commit);
    assert_eq!(world.bundle_code(fork.0), Some(Code::ChainFork));
    let late = next(ID, "claude", &records, true, &commit);
    assert_eq!(world.bundle_code(late.0), Some(Code::ChainExtended));
}

/// A chain that speaks of no commit says nothing about any.
#[test]
fn a_chain_of_no_commit_by_itself_is_undecided() {
    let world = World::new();
    world.commit("one");
    let bundles = |records: Vec<Kept>| records.into_iter().map(|(bundle, _)| bundle).collect();
    let nothing = chain(ID, "claude", &[]);
    let missing = Some(Code::ObjectMissing);
    assert_eq!(world.bundle_codes(bundles(nothing.clone())), [missing; 2]);
    // Two that contradict each other are given as they would be kept.
    let mut forked = nothing;
    forked.push(next(ID, "claude", &forked[..1], false, &[]));
    assert_eq!(
        world.bundle_codes(bundles(forked)),
        [Some(Code::ChainFork); 3]
    );
}

/// A record of receiving says when it was signed, to the allowed skew, and holds for its commits
/// only.
#[test]
fn a_record_of_receiving_is_of_the_time_of_its_signature() {
    let (world, commits) = three();
    let record = |seconds: i64| {
        let receive = Receive {
            repository: "https://git.example.org/tool".to_owned(),
            reference: "refs/heads/main".to_owned(),
            old: None,
            new: commits[0].id.clone(),
            pusher: None,
            received_at: NOW.plus(seconds).to_string(),
            more: Object::new(),
        };
        let statement = make::receive(&receive, &[commits[0].id.clone()]).unwrap();
        signed("gate", &statement)
    };
    let issued = LeafSpec::bound_to(b"").not_before;
    let at = |seconds: i64| issued.secs() - NOW.secs() + seconds;
    world.write(&[(record(at(30)), vec![Place::commit(&commits[0].id)])]);
    let judged = world.judged(&commits[0]);
    assert_accepted(&judged);
    let received = judged[0].received.as_ref().unwrap();
    assert!(received.at >= issued.plus(30), "{received:?}");
    assert_eq!(received.repository, "https://git.example.org/tool");
    assert_eq!(judged[0].derived.level, None);
    assert_eq!(counted(&judged).count(), 0);
    for (number, seconds) in [(1, at(-3600)), (2, at(3600))] {
        world.write(&[(record(seconds), vec![Place::commit(&commits[0].id)])]);
        let codes = world.codes(&commits[0]);
        let malformed = codes
            .iter()
            .filter(|code| **code == Some(Code::PredicateMalformed));
        assert_eq!(malformed.count(), number, "{codes:?}");
    }
    // Another commit takes nothing of it over.
    world.write(&[(record(at(30)), vec![Place::commit(&commits[1].id)])]);
    assert_eq!(world.codes(&commits[1]), [Some(Code::SubjectMismatch)]);
}

/// What a statement rests on may rest on something itself: all of it has to be there.
#[test]
fn evidence_is_followed_to_what_it_rests_on() {
    let world = World::new();
    let one = [world.commit("one")];
    let cite = |kind: &str, cited: &Kept| {
        vec![Evidence {
            predicate_type: kind.to_owned(),
            digest: digest(&cited.0),
        }]
    };
    let handed = handoff("claude", &one);
    // As many as may rest on one another, and one more; each begins an activity of its own.
    let mut resting: Vec<Kept> = Vec::new();
    for number in 0..=32 {
        let mut said = facts(&format!("urn:{number}"), "claude");
        said.evidence = match resting.last() {
            None => cite(HANDOFF, &handed),
            Some(before) => cite(ACTIVITY, before),
        };
        let opening = Record::opening(None, covered(&one));
        let first = record(said, opening, &one);
        let begun = std::slice::from_ref(&first);
        world.write(&[next(&format!("urn:{number}"), "claude", begun, true, &[])]);
        resting.push(first);
    }
    let codes = |some: &[Kept]| -> Vec<_> {
        let judged = world.judged(&one[0]);
        let code = |(content, _): &Kept| {
            let name = FileName::of(content);
            let found = judged.iter().find(|it| it.file == name);
            found.unwrap().verdict.code()
        };
        some.iter().map(code).collect()
    };
    world.write(&resting);
    let missing = Some(Code::EvidenceMissing);
    assert!(codes(&resting).iter().all(|code| *code == missing));
    world.write(&[handed]);
    let (last, others) = resting.split_last().unwrap();
    assert!(codes(others).iter().all(Option::is_none));
    assert_eq!(codes(std::slice::from_ref(last)), [missing]);
    // An acceptance would be one higher.
    let can_be_cited = |at: usize| {
        let cited = cite(ACTIVITY, &resting[at]).remove(0);
        world.with_attestations(|it| it.can_be_cited(&cited, &one[0].id).unwrap())
    };
    assert_eq!([30, 31, 32].map(can_be_cited), [true, false, false]);
}

/// However many accepted it before, and whatever became of what they said.
#[test]
fn what_others_answered_is_no_evidence() {
    let world = World::new();
    let one = [world.commit("one")];
    let accept = |agent, cited: &[Kept]| {
        let evidence = cited.iter().map(|(bundle, _)| Evidence {
            predicate_type: ACCEPTANCE.to_owned(),
            digest: digest(bundle),
        });
        decided(agent, Decision::Accepted, evidence.collect(), &one)
    };
    let mut all: Vec<Kept> = Vec::new();
    for _ in 0..40 {
        all.push(accept("reviewer", &all));
    }
    all.push(accept("second", &all));
    all.remove(0);
    world.write(&all);
    let judged = world.judged(&one[0]);
    assert_accepted(&judged);
    assert_eq!(judged.len(), all.len());
    assert!(judged.iter().all(|it| it.as_evidence().is_none()));
}

/// Nobody needs a key to make them, and each is looked at by itself only.
#[test]
fn copies_make_nobody_look_again() {
    let (world, commits) = three();
    let of = &commits[..1];
    let said = [
        handoff("claude", of),
        decided("reviewer", Decision::Accepted, Vec::new(), of),
    ];
    let examined = |copies: usize| {
        let copy = |(bundle, places): &Kept| {
            let mut bundle = bundle.clone();
            bundle.extend(vec![b' '; copies]);
            (bundle, places.clone())
        };
        world.write(&said.each_ref().map(copy));
        world.with_judge(Asked::default(), |attestations, judge| {
            assert_accepted(&attestations.of(&of[0].id).unwrap());
            judge.examined()
        })
    };
    let once = examined(0);
    let last = (1..=20).map(examined).last().unwrap();
    assert_eq!(last, once + 2 * 20);
}

/// As the merge of a hundred branches has it, or who wants nobody to come to an end.
#[test]
fn a_commit_of_many_parents_takes_over_nothing_but_rejections() {
    let (world, commits) = three();
    let parent = |number: usize| {
        let message = format!("{number}");
        let tree = &commits[0].tree;
        world
            .repository
            .git_ok(&["commit-tree", "-m", &message, tree])
    };
    let parents: Vec<_> = (0..65).map(parent).collect();
    let child = |parents: &[String]| {
        let mut made = vec!["commit-tree", "-m", "many", &commits[2].tree];
        made.extend(parents.iter().flat_map(|parent| ["-p", parent.trim()]));
        world.subject(world.repository.git_ok(&made).trim())
    };
    let (few, many) = (child(&parents[..64]), child(&parents));
    world.write(&chain(ID, "claude", &commits[2..]));
    assert_accepted(&world.judged(&few));
    assert!(world.judged(&many).is_empty());
    let reject = |of| decided("reviewer", Decision::Rejected, Vec::new(), of);
    world.write(&[reject(&commits[2..])]);
    assert_eq!(world.code(&many), Some(Code::AcceptanceRejected));
}

/// Neither an empty commit nor a merge makes it other content.
#[test]
fn what_was_rejected_is_rejected_however_it_is_brought() {
    let (world, commits) = three();
    let reject = |of| decided("reviewer", Decision::Rejected, Vec::new(), of);
    world.write(&[reject(&commits[2..])]);
    let tree = &commits[2].tree;
    let (first, rejected) = (&commits[0].id, &commits[2].id);
    for parents in [&["-p", rejected][..], &["-p", first, "-p", rejected]] {
        let made = [&["commit-tree", "-m", "brought", tree], parents].concat();
        let brought = world.subject(world.repository.git_ok(&made).trim());
        world.write(&[handoff("claude", std::slice::from_ref(&brought))]);
        let codes = world.codes(&brought);
        assert!(codes.contains(&Some(Code::AcceptanceRejected)), "{codes:?}");
        let judged = world.judged(&brought);
        assert!(counted(&judged).any(|it| it.verdict.code() == Some(Code::AcceptanceRejected)));
    }
}

/// What took the place of what, one says as often as they like.
#[test]
fn successions_of_one_signer_leave_out_nobody_elses() {
    let (world, commits) = three();
    world.write(&chain(ID, "claude", &commits[..1]));
    let to = &commits[2..];
    // Their files are read in no order that is known: some of theirs come first anyhow.
    for agent in ["mallory", "trudy"] {
        let id = format!("urn:succession:{agent}");
        let mut rewritten = facts(&id, agent);
        rewritten.succeeds = (0..40)
            .map(|number| Succession {
                from: format!("{number:040}"),
                to: to[0].id.clone(),
            })
            .collect();
        let mut records = vec![record(rewritten, Record::opening(None, covered(to)), to)];
        // They are the first to be read.
        let name = succession("claude", &commits[0].id, &to[0]);
        while FileName::of(&records[0].0) > FileName::of(&name[0].0) {
            records[0].0.push(b' ');
        }
        records.push(next(&id, agent, &records, true, &[]));
        world.write(&records);
    }
    world.write(&succession("claude", &commits[0].id, &to[0]));
    let judged = world.judged(&to[0]);
    let taken = judged.iter().filter(|it| it.attested_as.is_some());
    assert_eq!(taken.count(), 1);
}

/// Each statement would have them all.
#[test]
fn a_commit_that_carries_more_heads_than_anybody_follows_is_attested_by_nobody() {
    let (world, commits) = three();
    let with = |message: &str| {
        let tree = &commits[2].tree;
        let id = world
            .repository
            .git_ok(&["commit-tree", "-m", message, tree]);
        world.subject(id.trim())
    };
    let opening = Record::opening(None, Default::default());
    let mut records = vec![record(facts(ID, "claude"), opening, &[])];
    let head = format!("Agent-Chain: {}\n", digest(&records[0].0));
    let (most, more) = (head.repeat(64), head.repeat(65));
    let of = [most, more].map(|heads| with(&format!("s\n\n{heads}")));
    records.push(next(ID, "claude", &records, true, &of));
    world.write(&records);
    assert_eq!(world.code(&of[0]), None);
    assert_eq!(world.code(&of[1]), Some(Code::ChainTrailer));
    let long = with(&format!("s\n\nAgent-Chain: {}\n", "x".repeat(2000)));
    let facts = world.store.commit(&long.id).unwrap().unwrap();
    assert!(facts.trailers.iter().all(|head| head.len() < 100));
    world.write(&[decided(
        "reviewer",
        Decision::Rejected,
        Vec::new(),
        &of[1..],
    )]);
    assert!(
        world
            .codes(&of[1])
            .contains(&Some(Code::AcceptanceRejected))
    );
}

/// Whoever may push can lay out the same statement in many ways.
#[test]
fn copies_of_one_statement_are_told_once() {
    let (world, commits) = three();
    let records = chain(ID, "claude", &commits[..1]);
    world.write(&records);
    let good = String::from_utf8(records[1].0.clone()).unwrap();
    let copy = |text: String| (text.into_bytes(), places(&commits[..1], Some(ID)));
    world.write(&[copy(format!("{good} ")), copy(format!(" {good}\n"))]);
    let judged = world.judged(&commits[0]);
    assert_accepted(&judged);
    assert_eq!(judged.len(), 1);
    // One that was tampered with is no copy.
    world.write(&[copy(good.replace("\"sig\":\"", "\"sig\":\"AAAA"))]);
    let mut codes = world.codes(&commits[0]);
    codes.sort_by_key(Option::is_some);
    assert_eq!(codes, [None, Some(Code::SignatureInvalid)]);
}

/// A trailer names the bytes of a record, which somebody else can sign as well.
#[test]
fn a_trailer_is_claimed_by_nobody_elses_chain() {
    let world = World::new();
    let opening = Record::opening(None, Default::default());
    let statement = make::activity(facts(ID, "claude"), opening.clone(), &[]).unwrap();
    let head = format!(
        "sha256:{}",
        hex::encode(&sha256(&statement.to_payload().unwrap()))
    );
    let commit = [world.commit_after(&head)];
    let copied = (signed("mallory", &statement), places(&[], Some(ID)));
    let mut records = vec![copied];
    records.push(next(ID, "mallory", &records, true, &commit));
    world.write(&records);
    assert_eq!(
        world.chain_code(ID, "mallory"),
        Some(Code::ChainPrefixMissing)
    );
    assert_ne!(world.code(&commit[0]), None);
    // Nor when the record does not say who signs it: then anybody may have.
    let world = World::new();
    let mut nameless = facts(ID, "mallory");
    nameless.workload = None;
    let mut records = vec![record(nameless, opening, &[])];
    let commit = [world.commit_after(&digest(&records[0].0))];
    records.push(next(ID, "mallory", &records, true, &commit));
    world.write(&records);
    assert_eq!(world.code(&commit[0]), Some(Code::ChainTrailer));
}

/// Whoever signs for an activity, and for those that it starts, names any id as that of one.
#[test]
fn records_that_another_activity_started_are_of_another_chain() {
    let (world, commits) = three();
    let records = chain(ID, "claude", &commits[..1]);
    world.write(&records);
    let started = |sequence, previous: &Kept| {
        let mut started = facts(ID, "claude");
        started.parent = Some("urn:other".to_owned());
        let chain = Record::after(sequence, &digest(&previous.0), false, Default::default());
        record(started, chain, &[])
    };
    world.write(&[started(1, &records[1]), started(2, &records[2])]);
    assert_accepted(&world.judged(&commits[0]));
    assert_eq!(world.chain_code(ID, "claude"), None);
}

/// A chain is as good as each of its records.
#[test]
fn a_record_that_is_refused_is_a_link_that_is_missing() {
    let bad = |change: fn(&mut make::ActivityFacts)| {
        let (world, commits) = three();
        let mut records = vec![begun(&commits[..1])];
        let mut middle = facts(ID, "claude");
        change(&mut middle);
        let after = Record::after(0, &digest(&records[0].0), false, Default::default());
        records.push(record(middle, after, &[]));
        records.push(next(ID, "claude", &records, true, &[]));
        world.write(&records);
        world.code(&commits[0])
    };
    assert_eq!(bad(|_| {}), None);
    let missing = Some(Code::ChainLinkMissing);
    assert_eq!(bad(|it| it.workload = Some(identity("other"))), missing);
    for long_ago in ["2001-01-01T00:00:00Z", "2001-01-01T00:00:00.5+00:00"] {
        let code = match long_ago.ends_with('Z') {
            true => bad(|it| it.recorded_at = "2001-01-01T00:00:00Z".to_owned()),
            false => bad(|it| it.recorded_at = "2001-01-01T00:00:00.5+00:00".to_owned()),
        };
        assert_eq!(code, missing, "{long_ago}");
    }
}

/// Issue and object are compared as far as the object is here.
#[test]
fn a_subject_whose_tree_is_another_is_refused() {
    let (world, commits) = three();
    let other = make::CommitSubject {
        tree: commits[1].tree.clone(),
        ..commits[0].clone()
    };
    let place = vec![Place::commit(&commits[0].id)];
    let other = [other];
    let (bundle, _) = handoff("claude", &other);
    world.write(&[(bundle, place)]);
    assert_eq!(world.code(&commits[0]), Some(Code::SubjectMismatch));
    // Nor is it about the tree that its commit has not.
    let rejection = decided("reviewer", Decision::Rejected, Vec::new(), &other);
    world.write(&[rejection]);
    assert!(world.judged(&commits[1]).is_empty());
}

/// What speaks of no tree is put under one by somebody else: it says nothing about its commits.
#[test]
fn a_statement_without_the_tree_says_nothing_of_its_twins() {
    let world = World::new();
    let commit = world.commit("one");
    let mut subject = Subject::new(&*commit.id, "gitCommit", &*commit.id);
    subject.name = None;
    let statement = Statement::new(vec![subject], HANDOFF, Object::new()).unwrap();
    let places = places(std::slice::from_ref(&commit), None);
    world.write(&[(signed("claude", &statement), places)]);
    assert_accepted(&world.judged(&commit));
    assert!(world.judged(&amended(&world)).is_empty());
}

#[test]
fn who_rejects_is_told_to_rules_that_ask() {
    let (world, commits) = three();
    let decided = |decision| decided("reviewer", decision, Vec::new(), &commits[..1]);
    world.write(&[decided(Decision::Accepted), decided(Decision::Rejected)]);
    let stated = world.with_attestations(|it| it.about(&commits[0].id).unwrap());
    let mut said: Vec<_> = stated.iter().map(|it| (it.accepts, it.rejects)).collect();
    said.sort_unstable();
    assert_eq!(said, [(false, true), (true, false)]);
}

/// Where two authorities issue for one trust domain, one's agents are not the other's.
#[test]
fn namesakes_of_two_authorities_are_two() {
    let (world, commits) = three();
    world.write(&chain(ID, "claude", &commits[..1]));
    let moved = succession("claude", &commits[0].id, &commits[1]);
    let moved: Vec<_> = moved.iter().map(|it| by_namesake("claude", it)).collect();
    world.write(&moved);
    let judged = world.judged_by_both(&commits[1]);
    assert_accepted(&judged);
    assert!(judged.iter().all(|it| it.attested_as.is_none()));
    let accepted = decided("claude", Decision::Accepted, Vec::new(), &commits[..1]);
    world.write(&[by_namesake("claude", &accepted)]);
    assert_accepted(&world.judged_by_both(&commits[0]));
    // The same by the one who did the work.
    world.write(&[accepted]);
    let judged = world.judged_by_both(&commits[0]);
    let codes: Vec<_> = judged.iter().map(|it| it.verdict.code()).collect();
    assert!(codes.contains(&Some(Code::AcceptanceSelf)), "{codes:?}");
}

/// Anybody can have a signature stamped once more, and copy what stands beside it.
#[test]
fn no_copy_of_a_rejection_hides_it() {
    let (world, commits) = three();
    let (rejection, places) = decided("reviewer", Decision::Rejected, Vec::new(), &commits[..1]);
    let payload = Bundle::from_json(&rejection).unwrap();
    let payload = payload.envelope().payload().to_vec();
    let mut refused = signed_payload(payload, |message| LeafSpec {
        not_before: NOW.plus(-2 * 24 * 60 * 60),
        not_after: NOW.plus(-2 * 24 * 60 * 60 + 300),
        ..spec("reviewer", message)
    });
    // Whatever is read first.
    while FileName::of(&refused) > FileName::of(&rejection) {
        refused.push(b' ');
    }
    world.write(&[(rejection, places.clone()), (refused, places)]);
    assert_eq!(world.code(&commits[0]), Some(Code::AcceptanceRejected));
    let stated = world.with_attestations(|it| it.about(&commits[0].id).unwrap());
    assert!(stated.iter().any(|it| it.rejects));
}

/// A record that covers nothing, put with a commit, does not stand for the one that was there.
#[test]
fn a_trailer_is_claimed_by_records_about_the_commit_only() {
    let world = World::new();
    let opening = Record::opening(None, Default::default());
    let mut records = vec![record(facts(ID, "claude"), opening, &[])];
    let commit = [world.commit_after(&digest(&records[0].0))];
    // The chain goes on with another commit, so that nothing in it is about this one.
    let other = [world.commit("other")];
    records.push(next(ID, "claude", &records, false, &other));
    records.push(next(ID, "claude", &records, true, &[]));
    for misplaced in [1, 2] {
        records[misplaced].1.push(Place::commit(&commit[0].id));
    }
    world.write(&records);
    world.write(&[handoff("claude", &commit)]);
    let judged = world.judged(&commit[0]);
    let handed = judged
        .iter()
        .find(|it| it.decision.is_none() && it.lifecycle.is_none());
    let code = handed.unwrap().verdict.code();
    assert_eq!(code, Some(Code::ChainTrailer));
}

/// Whoever takes a record away from its commit and its tree leaves it in its chain.
#[test]
fn a_record_in_its_chain_counts_wherever_it_was_taken_away() {
    let (world, commits) = three();
    let mut records = vec![begun(&commits[..1])];
    let mut failed = facts(ID, "claude");
    failed.outcome = Outcome::Failed;
    let after = Record::after(0, &digest(&records[0].0), false, covered(&commits[..1]));
    let (failed, _) = record(failed, after, &commits[..1]);
    records.push((failed, vec![Place::activity(ID)]));
    records.push(next(ID, "claude", &records, true, &[]));
    world.write(&records);
    let judged = world.judged(&commits[0]);
    assert_accepted(&judged);
    assert!(judged.iter().any(|it| it.outcome == Some(Outcome::Failed)));
    // By way of the tree, too.
    let (world, commits) = three();
    let last = &commits[2..];
    let mut records = chain(ID, "claude", last);
    records[1].1 = vec![Place::activity(ID), Place::tree(&last[0].tree)];
    let after = next(ID, "claude", &records[..2], false, last);
    records[2] = (after.0, vec![Place::activity(ID)]);
    records.push(next(ID, "claude", &records, true, &[]));
    world.write(&records);
    assert_eq!(world.judged(&last[0]).len(), 2);
    let amended = world.judged(&amended(&world));
    assert_accepted(&amended);
    assert_eq!(amended.len(), 2);
}

#[test]
fn what_is_put_with_a_commit_that_it_does_not_speak_of_does_not_count() {
    use notme_attest::verify::level;
    let (world, commits) = three();
    let (statement, _) = handoff("reviewer", &commits[1..2]);
    let place = vec![Place::commit(&commits[0].id)];
    world.write(&[(statement, place)]);
    assert_eq!(world.code(&commits[0]), Some(Code::SubjectMismatch));
    let judged = world.judged(&commits[0]);
    assert_eq!(counted(&judged).count(), 0);
    // Nor does it make who said it one who worked on the commit.
    world.write(&chain(ID, "claude", &commits[..1]));
    world.write(&[decided(
        "reviewer",
        Decision::Accepted,
        Vec::new(),
        &commits[..1],
    )]);
    let judged = world.judged(&commits[0]);
    let accepted = judged.iter().find(|it| it.decision.is_some()).unwrap();
    assert_eq!(accepted.verdict, Verdict::Accepted, "{:?}", accepted.detail);
    assert_eq!(level(&judged), Some(Level::L2));
    assert!(counted(&judged).all(|it| it.verdict == Verdict::Accepted));
}

fn failed_dispatch(agent: &str, of: &[make::CommitSubject]) -> Kept {
    let mut failed = dispatch();
    failed.insert(
        "runDetails".to_owned(),
        json!({"outcome": {"success": false}}),
    );
    let statement = make::dispatch(failed, of).unwrap();
    (signed(agent, &statement), places(of, None))
}

/// The record of a dispatch is as good as the dispatch.
#[test]
fn a_record_that_rests_on_its_signers_failure_fails() {
    let fails = |by: &str| {
        let world = World::new();
        let one = [world.commit("one")];
        assert_eq!(
            citing(&world, "claude", failed_dispatch(by, &one), &one, DISPATCH),
            None
        );
        let stated = world.with_attestations(|it| it.about(&one[0].id).unwrap());
        let levels = stated.iter().filter(|it| it.level.is_some() && !it.fails);
        levels.count() == 0
    };
    assert!(fails("claude"));
    assert!(!fails("other"));
}

/// Whatever its last record rests on, too, and whoever cites one of the others.
#[test]
fn a_chain_that_ends_with_a_failure_fails() {
    let (world, commits) = three();
    let one = &commits[..1];
    let failed = failed_dispatch("claude", one);
    let mut records = vec![begun(one)];
    let mut resting = facts(ID, "claude");
    resting.evidence = vec![Evidence {
        predicate_type: DISPATCH.to_owned(),
        digest: digest(&failed.0),
    }];
    let after = Record::after(0, &digest(&records[0].0), true, covered(one));
    records.push(record(resting, after, one));
    world.write(&[&records[..], &[failed]].concat());
    let levels = || {
        let stated = world.with_attestations(|it| it.about(&one[0].id).unwrap());
        let good = stated
            .into_iter()
            .filter(|it| !it.fails && it.level.is_some());
        good.count()
    };
    assert_eq!(levels(), 0);

    let (world, commits) = three();
    let one = &commits[..1];
    let mut records = vec![begun(one)];
    let mut failed = facts("urn:failed", "claude");
    failed.outcome = Outcome::Failed;
    records[0] = record(
        facts("urn:failed", "claude"),
        Record::opening(None, covered(one)),
        one,
    );
    let after = Record::after(0, &digest(&records[0].0), true, Default::default());
    world.write(&[record(failed, after, &[])]);
    let cited = citing(&world, "claude", records.remove(0), one, ACTIVITY);
    assert_eq!(cited, None);
    let stated = world.with_attestations(|it| it.about(&one[0].id).unwrap());
    assert!(stated.iter().all(|it| it.fails), "{stated:?}");
}

/// Somebody else's copy does not stand for the one that its signer made, while that lies anywhere.
#[test]
fn a_failure_that_somebody_signs_again_stays_its_signers() {
    let fails = |left: Option<fn(&[make::CommitSubject]) -> Place>| {
        let (world, commits) = three();
        let (one, both) = (&commits[..1], &commits[..2]);
        let (own, places) = failed_dispatch("claude", both);
        let payload = Bundle::from_json(&own).unwrap();
        let payload = payload.envelope().payload().to_vec();
        let copy = signed_payload(payload, |message| spec("mallory", message));
        let left = left.map(|place| (own, vec![place(both)]));
        world.write(left.as_slice());
        assert_eq!(
            citing(&world, "claude", (copy, places), one, DISPATCH),
            None
        );
        let stated = world.with_attestations(|it| it.about(&one[0].id).unwrap());
        let levels = stated.iter().filter(|it| it.level.is_some() && !it.fails);
        levels.count() == 0
    };
    assert!(fails(Some(|both| Place::commit(&both[0].id))));
    assert!(fails(Some(|both| Place::tree(&both[0].tree))));
    assert!(fails(Some(|both| Place::commit(&both[1].id))));
    // Where none is left, nobody knows that mallory was not the first to state it.
    assert!(!fails(None));
}

/// Also where somebody else's record is put in the place of the one that was taken away.
#[test]
fn a_record_leads_to_all_chains_of_its_activity() {
    let (world, commits) = three();
    let mut records = vec![begun(&[])];
    let mut failed = facts(ID, "claude");
    failed.outcome = Outcome::Failed;
    let after = Record::after(0, &digest(&records[0].0), true, covered(&commits[..1]));
    records.push((
        record(failed, after, &commits[..1]).0,
        vec![Place::activity(ID)],
    ));
    world.write(&records);
    assert!(world.judged(&commits[0]).is_empty());
    world.write(&chain(ID, "mallory", &commits[..1]));
    let judged = world.judged(&commits[0]);
    assert_accepted(&judged);
    assert!(judged.iter().any(|it| it.outcome == Some(Outcome::Failed)));
}

#[test]
fn a_level_is_handed_down_about_one_commit_only() {
    let (world, commits) = three();
    let amended = amended(&world);
    let both = [commits[2].clone(), amended.clone()];
    let cited = handoff("claude", &both);
    // About the new one, nobody recorded any work.
    let code = citing(&world, "claude", cited, &commits[2..], HANDOFF);
    assert_eq!(code, None);
    let judged = world.judged(&amended);
    assert_eq!(judged.len(), 2);
    let own = judged.iter().find(|it| it.attested_as.is_none()).unwrap();
    assert_eq!((own.verdict, own.derived.level), (Verdict::Accepted, None));
}

/// In a few kilobytes that somebody signs, of a commit that takes long to read.
#[test]
fn a_commit_that_a_statement_names_often_is_read_once() {
    let (world, commits) = three();
    let tree = &commits[0].tree;
    let head = format!("tree {tree}\nauthor n <n@e> 1 +0000\ncommitter n <n@e> 1 +0000\n\n");
    let raw = [head.as_bytes(), &vec![b'a'; 15_000_000]].concat();
    let long = world.repository.write_object_unchecked("commit", &raw);
    let named = |number: usize| {
        let id = if number == 0 { &*commits[0].id } else { &*long };
        Subject::new(number.to_string(), "gitCommit", id)
    };
    let subjects: Vec<_> = (0..=1000).map(named).collect();
    let said = |predicate_type: &str, predicate: Object| {
        let statement = Statement::new(subjects.clone(), predicate_type, predicate).unwrap();
        signed("claude", &statement)
    };
    let nowhere = Evidence {
        predicate_type: ACTIVITY.to_owned(),
        digest: format!("sha256:{}", "0".repeat(64)),
    };
    let (acceptance, places) = decided("claude", Decision::Accepted, vec![nowhere], &commits[..1]);
    let acceptance = Bundle::from_json(&acceptance).unwrap();
    let acceptance = Statement::parse(acceptance.envelope().payload()).unwrap();
    let acceptance = said(ACCEPTANCE, acceptance.predicate().clone());
    let began = Instant::now();
    world.write(&[(acceptance, places)]);
    assert_eq!(world.code(&commits[0]), Some(Code::EvidenceMissing));
    assert_eq!(world.bundle_code(said(DISPATCH, dispatch())), None);
    assert!(began.elapsed() < Duration::from_secs(10));
}

/// As many as somebody likes: each names another activity that started it.
#[test]
fn many_chains_of_one_activity_are_told_at_once() {
    let (world, commits) = three();
    let of = &commits[..1];
    let started = |number: usize| {
        let facts = make::ActivityFacts {
            parent: Some(format!("urn:{number}")),
            ..facts(ID, "claude")
        };
        let (bundle, _) = record(facts, Record::opening(None, covered(of)), of);
        (bundle, vec![Place::activity(ID)])
    };
    let mut records: Vec<_> = (0..2500).map(started).collect();
    // Where it is, all of its activity is found.
    records[0].1.push(Place::commit(&of[0].id));
    world.write(&records);
    let began = Instant::now();
    let judged = world.judged(&of[0]);
    assert_eq!(judged.len(), records.len());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
}

/// Whoever has a statement can have it stamped once more, and lay it out until its name comes first.
#[test]
fn of_the_copies_of_a_statement_the_earliest_is_told() {
    let (world, commits) = three();
    let of = &commits[..1];
    let statement = make::handoff(Object::new(), None, of).unwrap();
    let payload = statement.to_payload().unwrap();
    let copy = |seconds: i64| {
        signed_payload(payload.clone(), |message| LeafSpec {
            not_before: NOW.plus(seconds),
            ..spec("claude", message)
        })
    };
    let judged_at = |copies: [(i64, Place); 2]| {
        for shelf in ["commits", "trees"] {
            let name = format!("refs/attestations/{shelf}");
            world.repository.git_ok(&["update-ref", "-d", &name]);
        }
        let copies = copies.map(|(seconds, place)| (copy(seconds), vec![place]));
        world.write(&copies);
        let judged = world.judged(&commits[0]);
        assert_accepted(&judged);
        assert_eq!(judged.len(), 1);
        judged[0].judged_at.clone().unwrap()
    };
    let [commit, tree] = [Place::commit(&of[0].id), Place::tree(&of[0].tree)];
    for seconds in 1..5 {
        let earliest = NOW.to_string();
        let both = [(0, commit.clone()), (seconds, commit.clone())];
        assert_eq!(judged_at(both), earliest);
        let apart = [(0, tree.clone()), (seconds, commit.clone())];
        assert_eq!(judged_at(apart), earliest);
    }
}
