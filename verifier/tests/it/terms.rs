//! Certificates with terms: where what they sign may belong.

use std::sync::Arc;

use notme_core::{
    object::{HashKind, ObjectKind},
    terms::Terms,
    time::UnixTime,
};
use notme_testkit::{
    cast::{LeafSpec, TestAuthority},
    clock::NOW,
};
use notme_verifier::{
    Cache, Code, Judge, Lineage, Outcome, Policy, Repository,
    explain::explain,
    lineage::TrustRoot,
    report::{Lines, write_json},
    repository::Selection,
    verify_range,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    flip::{assert_no_flip_is_accepted, replaced},
    history::{Files, History, code_of, judgement_of, policy},
    world::{TREE, assert_accepted, assert_code, authority, judge, judge_declared, payload, trust},
};

/// Terms that say how much and until when.
fn wide() -> Terms {
    Terms {
        repository: None,
        refs: None,
        paths: None,
        signatures: 10,
        until: NOW.plus(3600),
    }
}

fn words(words: &[&str]) -> Option<Vec<String>> {
    Some(words.iter().map(|word| (*word).to_owned()).collect())
}

fn of_paths(paths: &[&str]) -> Terms {
    Terms {
        paths: words(paths),
        ..wide()
    }
}

fn of_refs(refs: &[&str]) -> Terms {
    Terms {
        refs: words(refs),
        ..wide()
    }
}

fn of_repository(name: &str) -> Terms {
    Terms {
        repository: Some(name.to_owned()),
        ..wide()
    }
}

/// A commit of files that the bot signs within terms.
fn within(history: &History, parents: &[&str], files: Files<'_>, terms: Terms) -> String {
    history.commit_within(parents, "bot", &history.tree(files), Some(terms))
}

/// Judges commits by a policy that allows everybody.
fn outcome(history: &History, selection: impl FnOnce(&Repository) -> Selection) -> Outcome {
    outcome_by(history, "[[allow]]\nidentity = \"*\"\n", selection)
}

fn outcome_by(
    history: &History,
    policy: &str,
    selection: impl FnOnce(&Repository) -> Selection,
) -> Outcome {
    let policy = Policy::parse(policy).unwrap();
    let judge = Judge::new(&policy, &history.trust, NOW);
    let repository = history.open();
    verify_range(&repository, &selection(&repository), &judge).unwrap()
}

fn code(history: &History, tip: &str) -> String {
    let outcome = outcome(history, |repository| repository.select(tip).unwrap());
    code_of(&outcome, tip)
}

fn code_on(history: &History, range: &str, of: &str, name: &str) -> String {
    let outcome = outcome(history, |repository| {
        let selection = repository.select(range).unwrap();
        selection.on(Some(name.to_owned()))
    });
    code_of(&outcome, of)
}

#[test]
fn a_path_beyond_the_terms_is_refused() {
    let history = History::new();
    let base = history.commit(&[], "alice", &[("auth/a", "1"), ("src/b", "1")]);
    let change = |auth: &str, src: &str| {
        let files = [("auth/a", auth), ("src/b", src)];
        within(&history, &[&base], &files, of_paths(&["src/*", "docs/*"]))
    };
    assert_eq!(code(&history, &change("1", "2")), "accepted");
    assert_eq!(code(&history, &change("2", "1")), "terms-path");
    assert_eq!(code(&history, &change("2", "2")), "terms-path");
    assert_eq!(code(&history, &change("1", "1")), "accepted");
    let root = within(&history, &[], &[("auth/a", "1")], of_paths(&["src/*"]));
    assert_eq!(code(&history, &root), "terms-path");
    let gone = within(&history, &[&base], &[("src/b", "1")], of_paths(&["src/*"]));
    assert_eq!(code(&history, &gone), "terms-path");
}

#[test]
fn a_merge_is_held_to_what_it_does_not_take_as_it_was() {
    let history = History::new();
    let base = history.commit(&[], "alice", &[("auth/a", "1"), ("src/b", "1")]);
    let main = history.commit(&[&base], "alice", &[("auth/a", "2"), ("src/b", "1")]);
    let branch = history.commit(&[&base], "bot", &[("auth/a", "1"), ("src/b", "2")]);
    let merge = |auth: &str| {
        let files = [("auth/a", auth), ("src/b", "2")];
        within(&history, &[&branch, &main], &files, of_paths(&["src/*"]))
    };
    assert_eq!(code(&history, &merge("2")), "accepted");
    assert_eq!(code(&history, &merge("1")), "terms-path");
    assert_eq!(code(&history, &merge("3")), "terms-path");
}

#[test]
fn a_ref_beyond_the_terms_is_refused_unless_somebody_else_merges() {
    let history = History::new();
    let agents = "refs/heads/agent/x";
    let main = "refs/heads/main";
    let base = history.commit(&[], "alice", &[("a", "1")]);
    let terms = of_refs(&["refs/heads/agent/*"]);
    let tip = within(&history, &[&base], &[("a", "2")], terms.clone());
    assert_eq!(code_on(&history, &tip, &tip, agents), "accepted");
    assert_eq!(code_on(&history, &tip, &tip, main), "terms-ref");

    let merge = |who: &str, terms: Option<Terms>| {
        let tree = history.tree(&[("a", "2")]);
        history.commit_within(&[&base, &tip], who, &tree, terms)
    };
    let by = |merge: &str, of: &str| code_on(&history, &format!("{base}..{merge}"), of, main);
    let by_alice = merge("alice", None);
    assert_eq!(by(&by_alice, &tip), "accepted");
    // Neither its own merge, nor one that nobody signed.
    for own in [
        merge("bot", None),
        merge("bot", Some(terms)),
        merge("nobody", None),
    ] {
        assert_eq!(by(&own, &tip), "terms-ref");
    }
}

#[test]
fn a_certificate_for_another_repository_is_refused() {
    let history = History::new();
    let name = "example.org/team/tool";
    let tip = within(&history, &[], &[("a", "1")], of_repository(name));
    let tip = tip.as_str();
    let config = |name: &str, value: &str| history.git.git_ok(&["config", name, value]);
    // A path on this machine names nothing.
    config("remote.origin.url", "/srv/git/tool.git");
    let unnamed = outcome(&history, |repository| repository.select(tip).unwrap());
    assert_eq!(code_of(&unnamed, tip), "accepted");
    assert_eq!(judgement_of(&unnamed, tip).unchecked(), ["repository"]);

    config("remote.origin.url", "git@example.org:team/tool.git");
    let named = outcome(&history, |repository| repository.select(tip).unwrap());
    assert_eq!(code_of(&named, tip), "accepted");
    assert!(judgement_of(&named, tip).unchecked().is_empty());
    config("remote.origin.url", "https://example.org/team/other.git");
    assert_eq!(code(&history, tip), "terms-repository");
    // What the owner calls it counts more, and what the policy does most.
    config("notme.repository", "https://example.org/team/tool");
    assert_eq!(code(&history, tip), "accepted");
    let by = |names: &str| {
        let policy = format!("repository = [{names}]\n[[allow]]\nidentity = \"*\"\n");
        let outcome = outcome_by(&history, &policy, |repository| {
            repository.select(tip).unwrap()
        });
        code_of(&outcome, tip)
    };
    assert_eq!(by("\"example.org/team/fork\""), "terms-repository");
    assert_eq!(
        by("\"a.example/x\", \"ssh://git@example.org/team/tool\""),
        "accepted"
    );
    for none in ["repository = []", "repository = [\"/srv/git/tool\"]"] {
        assert!(Policy::parse(none).is_err(), "{none}");
    }
}

#[test]
fn what_is_not_checked_is_said() {
    let history = History::new();
    let terms = Terms {
        refs: words(&["refs/heads/agent/*"]),
        ..of_repository("example.org/team/tool")
    };
    let tip = within(&history, &[], &[("a", "1")], terms);
    let outcome = outcome(&history, |repository| repository.select(&tip).unwrap());
    let mut report = Vec::new();
    write_json(&outcome, &mut report).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    let terms = &report["objects"][0]["terms"];
    assert_eq!(terms["repository"], "example.org/team/tool");
    assert_eq!(terms["refs"][0], "refs/heads/agent/*");
    assert!(terms["paths"].is_null());
    assert_eq!(terms["signatures"], 10);
    assert_eq!(terms["until"], NOW.plus(3600).to_string());
    assert_eq!(
        terms["not_checked"],
        serde_json::json!(["repository", "ref"])
    );
    let mut text = Vec::new();
    Lines::Text.write_all(&outcome, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("terms not checked: repository, ref"),
        "{text}"
    );
    let policy = Policy::from_trust(&history.trust);
    let judge = Judge::new(&policy, &history.trust, NOW);
    let text = explain(judgement_of(&outcome, &tip), &judge).to_string();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for said in [
        "at most 10 signatures",
        "Not checked: repository, ref.",
        "no more than 10",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[test]
fn paths_that_are_not_known_leave_it_undecided() {
    let spec = |payload: &[u8], terms: Terms| LeafSpec {
        terms: Some(terms),
        ..LeafSpec::bound_to(payload)
    };
    let leaf = authority().leaf(&spec(&payload(), of_paths(&["src/*"])));
    assert_code(
        &judge(&leaf.sign_commit(&payload(), NOW)),
        Code::TermsUnchecked,
    );
    // A tag changes nothing, whether it comes whole or in two.
    let tag = format!(
        "object {TREE}\ntype tree\ntag v1\ntagger Test <t@example.invalid> {} +0000\n\nfirst\n",
        NOW.secs()
    );
    let leaf = authority().leaf(&spec(tag.as_bytes(), of_paths(&["src/*"])));
    let signature = notme_core::armor::armor(&leaf.sign_cms(tag.as_bytes(), NOW));
    let trust = trust();
    let policy = Policy::from_trust(&trust);
    let judge = Judge::new(&policy, &trust, NOW);
    assert_accepted(&judge.judge_detached(tag.as_bytes(), signature.as_bytes()));
    let whole = [tag, signature].concat();
    assert_accepted(&judge.judge_object(ObjectKind::Tag, whole.as_bytes(), HashKind::Sha1));
}

#[test]
fn a_push_is_held_to_refs_and_repository() {
    let push = format!(
        "certificate version 0.1\npusher claude {} +0000\nnonce 1\n\n{} {} refs/heads/main\n",
        NOW.secs(),
        "0".repeat(40),
        "1".repeat(40)
    );
    let terms = Terms {
        refs: words(&["refs/heads/main"]),
        paths: words(&["src/*"]),
        ..of_repository("example.org/team/tool")
    };
    let leaf = authority().leaf(&LeafSpec {
        terms: Some(terms),
        ..LeafSpec::bound_to(push.as_bytes())
    });
    let signature = notme_core::armor::armor(&leaf.sign_cms(push.as_bytes(), NOW));
    let trust = trust();
    let policy = Policy::from_trust(&trust);
    let judge = Judge::new(&policy, &trust, NOW);
    let judged = |reference: &str, names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        judge.judge_push((push.as_bytes(), signature.as_bytes()), reference, &names)
    };
    assert_accepted(&judged("refs/heads/main", &["example.org/team/tool"]));
    let elsewhere = judged("refs/heads/main", &["example.org/team/other"]);
    assert_code(&elsewhere, Code::TermsRepository);
    assert_eq!(judged("refs/heads/main", &[]).unchecked(), ["repository"]);
    assert_code(&judged("refs/heads/x", &[]), Code::TermsRef);
}

#[test]
fn the_end_of_the_terms_is_that_of_the_certificate() {
    let signed = |until: UnixTime| {
        let leaf = authority().leaf(&LeafSpec {
            terms: Some(Terms { until, ..wide() }),
            ..LeafSpec::default()
        });
        judge_declared(&leaf.sign_commit(&payload(), NOW))
    };
    assert_accepted(&signed(NOW));
    // As far as clocks may differ.
    assert_accepted(&signed(NOW.plus(-60)));
    assert_code(&signed(NOW.plus(-61)), Code::CertificateExpired);
}

fn commit_within(terms: Terms) -> Vec<u8> {
    let leaf = authority().leaf(&LeafSpec {
        terms: Some(terms),
        ..LeafSpec::bound_to(&payload())
    });
    leaf.sign_commit(&payload(), NOW)
}

#[test]
fn no_flipped_byte_of_a_commit_with_terms_is_accepted() {
    let terms = Terms {
        refs: words(&["refs/heads/agent/*"]),
        ..of_repository("example.org/team/tool")
    };
    assert_no_flip_is_accepted(&commit_within(terms), judge);
}

#[test]
fn terms_that_somebody_widens_are_nobodys() {
    let payload = payload();
    let leaf = authority().leaf(&LeafSpec {
        terms: Some(of_paths(&["src/*"])),
        ..LeafSpec::bound_to(&payload)
    });
    let cms = leaf.sign_cms(&payload, NOW);
    let wide = crate::world::commit_with(&replaced(&cms, b"src/*", b"*/*/*"));
    assert_code(&judge(&wide), Code::SignerUntrusted);
    // Nor do those count that nobody can read.
    let broken = crate::world::commit_with(&replaced(&cms, b"src/*", b"src/\n"));
    assert_code(&judge(&broken), Code::CertificateInvalid);
    // Another authority's terms hold as well.
    let stranger = TestAuthority::new(7).leaf(&LeafSpec {
        terms: Some(of_paths(&["src/*"])),
        ..LeafSpec::bound_to(&payload)
    });
    assert_code(
        &judge(&stranger.sign_commit(&payload, NOW)),
        Code::SignerUntrusted,
    );
}

#[test]
fn the_repositorys_own_policy_excuses_nobody_from_terms() {
    let history = History::new();
    let own = policy(&["alice!", "bot"]);
    let file = (".notme/policy.toml", own.as_str());
    let root = history.commit(&[], "alice", &[file]);
    let change = |path: &str| {
        within(
            &history,
            &[&root],
            &[file, (path, "1")],
            of_paths(&["src/*"]),
        )
    };
    assert_eq!(history.code(&root, &change("src/a")), "accepted");
    let beyond = change("a");
    assert_eq!(history.code(&root, &beyond), "terms-path");
    // What is built on it has nothing to stand on.
    let next = history.commit(&[&beyond], "alice", &[file, ("a", "2")]);
    assert_eq!(history.code(&root, &next), "parent-not-accepted");
}

/// What earlier runs accepted was accepted there, by that name, and with what was asked about.
#[test]
fn what_was_accepted_before_is_accepted_for_that_repository_and_that_merge() {
    let history = History::new();
    let own = policy(&["alice!", "bot"]);
    let file = (".notme/policy.toml", own.as_str());
    let root = history.commit(&[], "alice", &[file]);
    let kept = TempDir::new().unwrap();
    let main = Some("refs/heads/main".to_owned());
    let code = |tip: &str| {
        let repository = history.open();
        let selection = repository.select(tip).unwrap().on(main.clone());
        let root: TrustRoot = root.parse().unwrap();
        let lineage = Lineage::new(&repository, &selection, root, (&history.trust, NOW));
        let cache = Some(Arc::new(Cache::new(kept.path())));
        let lineage = lineage.unwrap().remembering(cache);
        code_of(&lineage.verify(&selection, None).unwrap(), tip)
    };
    let name = |name: &str| history.git.git_ok(&["config", "notme.repository", name]);
    name("example.org/team/tool");
    let terms = of_repository("example.org/team/tool");
    let of_bot = within(&history, &[&root], &[file, ("a", "1")], terms);
    let next = history.commit(&[&of_bot], "alice", &[file, ("a", "2")]);
    for _ in 0..2 {
        assert_eq!(code(&next), "accepted");
    }
    name("example.org/team/fork");
    assert_eq!(code(&next), "parent-not-accepted");

    let terms = of_refs(&["refs/heads/agent/*"]);
    let side = within(&history, &[&root], &[file, ("b", "1")], terms);
    let merge = history.commit(&[&root, &side], "alice", &[file, ("b", "1")]);
    let beside = history.commit(&[&side], "alice", &[file, ("b", "2")]);
    for _ in 0..2 {
        assert_eq!(code(&merge), "accepted");
    }
    assert_eq!(code(&beside), "parent-not-accepted");
}

#[test]
fn what_was_examined_before_is_held_to_its_terms_all_the_same() {
    let history = History::new();
    let mut tips = vec![history.commit(&[], "alice", &[("auth/a", "0"), ("src/b", "0")])];
    for number in 0..6 {
        let files = [("auth/a", "1"), ("src/b", &*number.to_string())];
        let tip = within(&history, &[&tips[number]], &files, of_paths(&["src/*"]));
        tips.push(tip);
    }
    let kept = TempDir::new().unwrap();
    let run = || {
        let policy = Policy::from_trust(&history.trust);
        let cache = Some(Arc::new(Cache::new(kept.path())));
        let judge = Judge::new(&policy, &history.trust, NOW).remembering(cache);
        let repository = history.open();
        let (first, last) = (&tips[0], tips.last().unwrap());
        let range = repository.select(&format!("{first}..{last}")).unwrap();
        let outcome = verify_range(&repository, &range, &judge).unwrap();
        let mut written = Vec::new();
        write_json(&outcome, &mut written).unwrap();
        (
            code_of(&outcome, &tips[1]),
            code_of(&outcome, last),
            written,
        )
    };
    let first = run();
    assert_eq!((&*first.0, &*first.1), ("terms-path", "accepted"));
    assert_eq!(run(), first);
    assert_eq!(run(), first);
}
