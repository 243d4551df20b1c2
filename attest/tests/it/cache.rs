//! What was found of bundles in earlier runs: repeated, and never better.

use std::{fs, path::Path, sync::Arc};

use notme_attest::{Attestations, make::CommitSubject, verify::Asked};
use notme_core::{
    time::UnixTime,
    trust::{Revocation, RevocationKind, TrustDocument},
};
use notme_testkit::{cast::TestAuthority, clock::NOW};
use notme_verifier::{
    Cache, Judge, Policy, Trust,
    trust::{Authority, PinKind},
};
use tempfile::TempDir;

use crate::world::{World, authority, chain, identity};

const LATER: UnixTime = NOW.plus(600);

/// A whole chain over so many commits that what is found of it is kept.
fn worked() -> (World, Vec<CommitSubject>, TempDir) {
    let world = World::new();
    let names = (0..20).map(|number| format!("c{number}"));
    let commits: Vec<_> = names.map(|name| world.commit(&name)).collect();
    world.write(&chain("urn:uuid:1", "a", &commits));
    (world, commits, TempDir::new().unwrap())
}

fn default_policy(trust: &Trust) -> Policy {
    Policy::from_trust(trust)
}

/// Returns what is said of all commits, and how many signatures were examined for that.
fn told(
    (world, commits): (&World, &[CommitSubject]),
    cache: Option<&Path>,
    (document, policy, now): (&TrustDocument, fn(&Trust) -> Policy, UnixTime),
) -> (String, usize) {
    let scopes = PinKind::TrustDocument.default_scopes();
    let local = Authority::from_document("local", scopes, document);
    let trust = Trust::new(vec![local], Vec::new());
    let policy = policy(&trust);
    let cache = cache.map(|directory| Arc::new(Cache::new(directory)));
    let judge = Judge::new(&policy, &trust, now).remembering(cache.clone());
    let attestations = Attestations::new(world.store.clone(), &judge, Asked::default());
    let ids: Vec<_> = commits.iter().map(|commit| commit.id.clone()).collect();
    let all = format!("{:?}", attestations.of_all(&ids).unwrap());
    let examined = judge.examined();
    drop(attestations);
    drop(judge);
    let notes = cache.map(|cache| cache.notes()).unwrap_or_default();
    assert_eq!(notes, Vec::<String>::new());
    (all, examined)
}

#[test]
fn a_second_run_says_the_same_and_examines_nothing() {
    let (world, commits, kept) = worked();
    let (of, by) = (
        (&world, &*commits),
        (&authority().trust(1, NOW), default_policy as _, LATER),
    );
    let (cold, _) = told(of, None, by);
    assert!(cold.contains("verdict: Accepted"));
    let (first, examined) = told(of, Some(kept.path()), by);
    assert!(first == cold && examined == 22, "{examined}");
    let (second, examined) = told(of, Some(kept.path()), by);
    assert!(second == cold && examined == 0, "{examined}");
}

#[test]
fn another_policy_another_trust_and_another_time_say_what_they_say_without_it() {
    let (world, commits, kept) = worked();
    let of = (&world, &*commits);
    let document = authority().trust(1, NOW);
    told(of, Some(kept.path()), (&document, default_policy, LATER));
    let mut revoking = authority().trust(2, NOW);
    revoking.revocations.push(Revocation {
        kind: RevocationKind::Identity,
        value: identity("a"),
        since: NOW.plus(-20_000),
        reason: "stolen".to_owned(),
    });
    let stranger = TestAuthority::new(77).trust(1, NOW);
    let nobody = |_: &Trust| Policy::parse("allow = []\n").unwrap();
    for by in [
        (&revoking, default_policy as fn(&Trust) -> Policy, LATER),
        (&stranger, default_policy, LATER),
        (&document, nobody, LATER),
        (&document, default_policy, NOW.plus(400 * 86_400)),
    ] {
        let (cold, _) = told(of, None, by);
        assert!(!cold.contains("verdict: Accepted"));
        assert!(told(of, Some(kept.path()), by).0 == cold);
        assert!(told(of, Some(kept.path()), by).0 == cold);
    }
}

#[test]
fn what_came_since_is_examined_beside_it() {
    let (world, commits, kept) = worked();
    let of = (&world, &*commits);
    let document = authority().trust(1, NOW);
    let by = (&document, default_policy as fn(&Trust) -> Policy, LATER);
    told(of, Some(kept.path()), by);
    let bundles = chain("urn:uuid:2", "b", &commits);
    world.write(&bundles);
    let (cold, all) = told(of, None, by);
    let (warm, new) = told(of, Some(kept.path()), by);
    assert!(
        warm == cold && all == 2 * new && new == bundles.len(),
        "{new}"
    );
}

#[test]
fn a_few_are_examined_again_and_nothing_is_written() {
    let world = World::new();
    let commits = [world.commit("one")];
    world.write(&chain("urn:uuid:1", "a", &commits));
    let kept = TempDir::new().unwrap();
    let by = (
        &authority().trust(1, NOW),
        default_policy as fn(&Trust) -> Policy,
        LATER,
    );
    let (_, examined) = told((&world, &commits), Some(kept.path()), by);
    assert_eq!(examined, 3);
    assert_eq!(fs::read_dir(kept.path()).unwrap().count(), 0);
}
