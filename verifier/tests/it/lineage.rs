//! The repository's own policy: the parent's judges the child, from a trust root on.

use notme_core::{hex, object::ObjectKind, terms::Terms};
use notme_testkit::clock::NOW;
use notme_verifier::{Lineage, Repository, Verdict, lineage::LineageError, stated::Stated};

use crate::{
    history::{History, code_of, identity, judgement_of, policy},
    rules::{Says, stated},
};

const POLICY: &str = ".notme/policy.toml";

#[test]
fn the_parents_policy_judges_the_child() {
    let history = History::new();
    let before = policy(&["alice!"]);
    let after = policy(&["alice!", "bob"]);
    let root = history.commit(&[], "nobody", &[(POLICY, &before)]);
    let early = history.commit(&[&root], "bob", &[(POLICY, &before)]);
    assert_eq!(history.code(&root, &early), "not-authorised");
    let added = history.commit(&[&root], "alice", &[(POLICY, &after)]);
    let late = history.commit(&[&added], "bob", &[(POLICY, &after), ("a", "a")]);
    let outcome = history.verify(&root, &late);
    assert_eq!(outcome.exit_code(), 0);
    let removed = history.commit(&[&late], "alice", &[(POLICY, &before), ("a", "a")]);
    assert_eq!(history.code(&root, &removed), "accepted");
    let gone = history.commit(&[&removed], "bob", &[(POLICY, &before), ("b", "b")]);
    assert_eq!(history.code(&root, &gone), "not-authorised");
}

#[test]
fn nobody_lets_themselves_in() {
    let history = History::new();
    let root = history.commit(&[], "nobody", &[(POLICY, &policy(&["alice!"]))]);
    let own = policy(&["mallory!", "alice!"]);
    let seized = history.commit(&[&root], "mallory", &[(POLICY, &own)]);
    let after = history.commit(&[&seized], "mallory", &[(POLICY, &own), ("a", "a")]);
    let outcome = history.verify(&root, &after);
    assert_eq!(code_of(&outcome, &seized), "not-authorised");
    assert_eq!(code_of(&outcome, &after), "parent-not-accepted");
    // Nor by way of somebody who may commit.
    let honest = history.commit(&[&seized], "alice", &[(POLICY, &own)]);
    assert_eq!(history.code(&root, &honest), "parent-not-accepted");
}

#[test]
fn the_policy_is_changed_by_whom_the_old_one_lets() {
    let history = History::new();
    let before = policy(&["alice!", "bob"]);
    let after = policy(&["alice!", "bob!"]);
    let root = history.commit(&[], "nobody", &[(POLICY, &before)]);
    let change = history.commit(&[&root], "bob", &[(POLICY, &after)]);
    assert_eq!(history.code(&root, &change), "policy-not-authorised");
    let other = history.commit(&[&root], "bob", &[(POLICY, &before), ("a", "a")]);
    assert_eq!(history.code(&root, &other), "accepted");
}

/// Who says who somebody is has all of their rights.
#[test]
fn the_trust_store_beside_a_policy_changes_like_the_policy_or_by_its_name() {
    let history = History::new();
    let trust = ".notme/trust/team/pin.json";
    for (paths, code) in [
        ("", "policy-not-authorised"),
        ("paths = [\"*\"]\n", "policy-not-authorised"),
        ("paths = [\".notme/*\"]\n", "policy-not-authorised"),
        (
            "paths = [\"*\", \".notme/trusted/*\"]\n",
            "policy-not-authorised",
        ),
        (
            "paths = [\"*\", \".notme/trust/team/keys\"]\n",
            "policy-not-authorised",
        ),
        ("paths = [\".notme/trust/*\"]\n", "accepted"),
    ] {
        let text = policy(&["alice!", "bob"]) + paths;
        let root = history.commit(&[], "nobody", &[(POLICY, &text), (trust, "old")]);
        let change = history.commit(&[&root], "bob", &[(POLICY, &text), (trust, "new")]);
        assert_eq!(history.code(&root, &change), code, "{paths}");
        let removal = history.commit(&[&root], "bob", &[(POLICY, &text)]);
        assert_eq!(history.code(&root, &removal), code, "{paths}");
        let by_alice = history.commit(&[&root], "alice", &[(POLICY, &text), (trust, "new")]);
        assert_eq!(history.code(&root, &by_alice), "accepted", "{paths}");
    }
    // Merges take what somebody who may has changed, and take nothing of it back.
    let text = policy(&["alice!", "bob"]);
    let with = |it: &'static str| vec![(POLICY, &*text), (trust, it)];
    let root = history.commit(&[], "nobody", &with("old"));
    let main = history.commit(&[&root], "alice", &with("new"));
    let topic = history.commit(&[&root], "bob", &[&with("old")[..], &[("a", "a")]].concat());
    for (held, code) in [
        ("new", "accepted"),
        ("old", "policy-not-authorised"),
        ("other", "policy-not-authorised"),
    ] {
        let files = [&with(held)[..], &[("a", "a")]].concat();
        let merge = history.commit(&[&main, &topic], "bob", &files);
        assert_eq!(history.code(&root, &merge), code, "{held}");
    }
}

#[test]
fn a_policy_that_cannot_be_read_or_is_taken_away_is_refused_where_it_is_made() {
    let history = History::new();
    let good = policy(&["alice!"]);
    let root = history.commit(&[], "nobody", &[(POLICY, &good)]);
    let broken = format!("{good}colour = \"red\"\n");
    let bad = history.commit(&[&root], "alice", &[(POLICY, &broken)]);
    let outcome = history.verify(&root, &bad);
    assert_eq!(code_of(&outcome, &bad), "policy-invalid");
    let detail = judgement_of(&outcome, &bad).detail().unwrap();
    assert!(detail.contains("line 4"), "{detail}");
    let gone = history.commit(&[&root], "alice", &[("a", "a")]);
    assert_eq!(history.code(&root, &gone), "policy-invalid");
    // The same bytes as a link are another thing.
    let blob = history
        .git
        .git_ok(&["rev-parse", &format!("{root}:{POLICY}")]);
    let tree = |mode: &str| {
        let listing = format!("{mode} blob {blob}\tpolicy.toml\n");
        let inner = history.git.git_with_input(&["mktree"], listing.as_bytes());
        let inner = String::from_utf8(inner.stdout).unwrap();
        let listing = format!("040000 tree {}\t.notme\n", inner.trim());
        let tree = history.git.git_with_input(&["mktree"], listing.as_bytes());
        String::from_utf8(tree.stdout).unwrap().trim().to_owned()
    };
    let link = history.commit_tree(&[&root], "alice", &tree("120000"));
    assert_eq!(history.code(&root, &link), "policy-invalid");
    let file = history.commit_tree(&[&root], "alice", &tree("100755"));
    assert_eq!(history.code(&root, &file), "accepted");
}

#[test]
fn a_merge_needs_one_accepted_parent_and_gives_the_others_nothing() {
    let history = History::new();
    let text = policy(&["alice!"]);
    let root = history.commit(&[], "nobody", &[(POLICY, &text)]);
    let stranger = history.commit(&[&root], "nobody", &[(POLICY, &text), ("a", "a")]);
    let main = history.commit(&[&root], "alice", &[(POLICY, &text), ("b", "b")]);
    let files = [(POLICY, &*text), ("a", "a"), ("b", "b")];
    let merge = history.commit(&[&main, &stranger], "alice", &files);
    let outcome = history.verify(&root, &merge);
    assert_eq!(code_of(&outcome, &merge), "accepted");
    assert_eq!(code_of(&outcome, &stranger), "unsigned");
    let alone = history.commit(&[&stranger], "alice", &[(POLICY, &text), ("a", "a")]);
    assert_eq!(history.code(&root, &alone), "parent-not-accepted");
    let by_mallory = history.commit(&[&main, &stranger], "mallory", &files);
    assert_eq!(history.code(&root, &by_mallory), "not-authorised");
}

/// Whoever lost their right may still build on a commit from before. Merging that into what came
/// after does not bring it back.
#[test]
fn an_old_policy_does_not_come_back_by_a_merge() {
    let history = History::new();
    let old = policy(&["alice!", "bob!"]);
    let new = policy(&["alice!"]);
    let root = history.commit(&[], "nobody", &[(POLICY, &old)]);
    let main = history.commit(&[&root], "alice", &[(POLICY, &new)]);
    let branch = history.commit(&[&root], "bob", &[(POLICY, &old), ("a", "a")]);
    assert_eq!(history.code(&root, &branch), "accepted");
    for parents in [[&*main, &branch], [&branch, &main]] {
        for text in [&new, &old] {
            let files = [(POLICY, &**text), ("a", "a")];
            let by_bob = history.commit(&parents, "bob", &files);
            assert_eq!(history.code(&root, &by_bob), "not-authorised");
        }
        let by_alice = history.commit(&parents, "alice", &[(POLICY, &new), ("a", "a")]);
        assert_eq!(history.code(&root, &by_alice), "accepted");
    }
    // Both sides changed it: both have to agree.
    let theirs = history.commit(&[&root], "bob", &[(POLICY, &policy(&["bob!"]))]);
    for who in ["alice", "bob"] {
        let merge = history.commit(&[&main, &theirs], who, &[(POLICY, &new)]);
        assert_eq!(history.code(&root, &merge), "not-authorised");
    }
}

/// A branch from before a change of the policy is merged by the policy that took its place.
#[test]
fn whom_the_new_policy_lets_in_merges_what_is_older() {
    let history = History::new();
    let old = policy(&["alice!"]);
    let new = policy(&["alice!", "bob"]);
    let root = history.commit(&[], "nobody", &[(POLICY, &old)]);
    let main = history.commit(&[&root], "alice", &[(POLICY, &new)]);
    let branch = history.commit(&[&root], "alice", &[(POLICY, &old), ("a", "a")]);
    for parents in [[&*main, &branch], [&branch, &main]] {
        let merge = history.commit(&parents, "bob", &[(POLICY, &new), ("a", "a")]);
        assert_eq!(history.code(&root, &merge), "accepted");
        // Taking the older policy is a change of the newer.
        let back = history.commit(&parents, "bob", &[(POLICY, &old), ("a", "a")]);
        assert_eq!(history.code(&root, &back), "policy-not-authorised");
    }
}

#[test]
fn what_does_not_descend_from_the_trust_root_is_judged_by_its_policy() {
    let history = History::new();
    let text = policy(&["alice!"]);
    let ancient = history.commit(&[], "nobody", &[("a", "a")]);
    let theirs = policy(&["mallory!"]);
    let loose = history.commit(&[&ancient], "mallory", &[(POLICY, &theirs), ("a", "a")]);
    let root = history.commit(&[&ancient], "nobody", &[(POLICY, &text), ("a", "a")]);
    let grown = history.commit(&[&loose], "mallory", &[(POLICY, &theirs)]);
    let outcome = history.verify(&root, &grown);
    assert_eq!(code_of(&outcome, &loose), "not-authorised");
    assert_eq!(code_of(&outcome, &grown), "parent-not-accepted");
    assert_eq!(code_of(&outcome, &ancient), "unsigned");
    let branch = history.commit(&[&ancient], "alice", &[("b", "b")]);
    let merge = history.commit(&[&root, &branch], "alice", &[(POLICY, &text), ("b", "b")]);
    let outcome = history.verify(&root, &merge);
    assert_eq!(code_of(&outcome, &branch), "accepted");
    assert_eq!(code_of(&outcome, &merge), "accepted");
    assert_eq!(code_of(&outcome, &root), "accepted");
    // What it holds never comes into force.
    let bait = history.commit(&[&ancient], "alice", &[(POLICY, &theirs)]);
    let bitten = history.commit(&[&bait], "mallory", &[(POLICY, &theirs), ("b", "b")]);
    assert_eq!(history.code(&root, &bitten), "not-authorised");
}

#[test]
fn only_what_was_asked_for_is_reported_and_all_up_to_the_trust_root_is_judged() {
    let history = History::new();
    let text = policy(&["alice!"]);
    let root = history.commit(&[], "nobody", &[(POLICY, &text)]);
    let one = history.commit(&[&root], "mallory", &[(POLICY, &text), ("a", "1")]);
    let two = history.commit(&[&one], "alice", &[(POLICY, &text), ("a", "2")]);
    let repository = history.open();
    let range = repository.select(&format!("{one}..{two}")).unwrap();
    let outcome = history.judge(&repository, &root, &range, None).unwrap();
    assert_eq!(outcome.objects().len(), 1);
    assert_eq!(code_of(&outcome, &two), "parent-not-accepted");
    // Whoever trusts the base says so.
    let outcome = history.judge(&repository, &one, &range, None).unwrap();
    assert_eq!(code_of(&outcome, &two), "accepted");
}

#[test]
fn a_tag_is_judged_by_the_policy_of_what_it_names() {
    let history = History::new();
    let before = policy(&["alice!"]);
    let after = policy(&["alice!", "bob"]);
    let root = history.commit(&[], "nobody", &[(POLICY, &before)]);
    let added = history.commit(&[&root], "alice", &[(POLICY, &after)]);
    let refused = history.commit(&[&added], "mallory", &[(POLICY, &after)]);
    let tag = |target: &str| history.tag("bob", target, "commit");
    let judged = |id: &str| {
        let repository = history.open();
        let selection = repository.select(id).unwrap();
        let outcome = history.judge(&repository, &root, &selection, None).unwrap();
        assert_eq!(outcome.objects()[0].kind(), Some(ObjectKind::Tag.as_str()));
        code_of(&outcome, id)
    };
    assert_eq!(judged(&tag(&added)), "accepted");
    assert_eq!(judged(&tag(&root)), "not-authorised");
    assert_eq!(judged(&tag(&refused)), "parent-not-accepted");
}

/// Returns the verdict on an object that is selected alone.
fn code_alone(history: &History, root: &str, id: &str) -> String {
    let repository = history.open();
    let selection = repository.select(id).unwrap();
    let outcome = history.judge(&repository, root, &selection, None).unwrap();
    code_of(&outcome, id)
}

#[test]
fn tags_of_tags_stand_on_the_commit_however_deep() {
    let history = History::new();
    let text = policy(&["alice!"]);
    let root = history.commit(&[], "nobody", &[(POLICY, &text)]);
    let good = history.commit(&[&root], "alice", &[(POLICY, &text), ("a", "a")]);
    let refused = history.commit(&[&root], "nobody", &[(POLICY, &text), ("b", "b")]);
    let (mut on_good, mut on_refused, mut kind) = (good, refused, "commit");
    for depth in 1..=40 {
        on_good = history.tag("alice", &on_good, kind);
        on_refused = history.tag("alice", &on_refused, kind);
        kind = "tag";
        if [1, 15, 16, 17, 40].contains(&depth) {
            assert_eq!(code_alone(&history, &root, &on_good), "accepted");
            let code = code_alone(&history, &root, &on_refused);
            assert_eq!(code, "parent-not-accepted", "{depth}");
        }
    }
}

#[test]
fn a_tag_of_what_is_no_commit_here_stands_on_nothing() {
    let history = History::new();
    let text = policy(&["alice!"]);
    let root = history.commit(&[], "nobody", &[(POLICY, &text)]);
    let of_missing = history.tag("alice", &"1".repeat(40), "commit");
    let nested = history.tag("alice", &of_missing, "tag");
    for id in [&of_missing, &nested] {
        assert_eq!(code_alone(&history, &root, id), "object-missing");
    }
    let of_tree = history.tag("alice", &history.tree(&[("a", "a")]), "tree");
    assert_eq!(code_alone(&history, &root, &of_tree), "parent-not-accepted");
}

#[test]
fn exceptions_end_and_say_nothing_about_the_policy() {
    let history = History::new();
    let ancient = history.commit(&[], "nobody", &[("a", "a")]);
    let own = policy(&["mallory!"]);
    let seized = history.commit(&[&ancient], "mallory", &[(POLICY, &own)]);
    let with = |until: &str| {
        let exception = format!(
            "{}[[exception]]\nobject = \"{seized}\"\nreason = \"known\"\nuntil = \"{until}\"\n",
            policy(&["alice!"])
        );
        history.commit(&[&ancient], "nobody", &[(POLICY, &exception)])
    };
    let after = history.commit(&[&seized], "mallory", &[(POLICY, &own), ("b", "b")]);
    let ended = with("2020-01-01T00:00:00Z");
    assert_eq!(history.code(&ended, &seized), "not-authorised");
    let root = with("2100-01-01T00:00:00Z");
    let outcome = history.verify(&root, &after);
    assert_eq!(code_of(&outcome, &seized), "accepted");
    assert_eq!(code_of(&outcome, &after), "not-authorised");
    let rule = judgement_of(&outcome, &seized).rule();
    assert_eq!(rule, Some("exception until 2100-01-01T00:00:00Z: known"));
    let mut text = Vec::new();
    notme_verifier::report::Lines::Text
        .write_all(&outcome, &mut text)
        .unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("though not-authorised"), "{text}");
}

#[test]
fn a_baseline_takes_what_was_before_as_it_is() {
    let history = History::new();
    let ancient = history.commit(&[], "nobody", &[("a", "a")]);
    let old = history.commit(&[&ancient], "mallory", &[("a", "b")]);
    let text = format!("baseline = [\"{old}\"]\n{}", policy(&["alice!"]));
    let root = history.commit(&[&old], "nobody", &[(POLICY, &text)]);
    let new = history.commit(&[&root], "alice", &[(POLICY, &text), ("a", "c")]);
    let outcome = history.verify(&root, &new);
    assert_eq!(outcome.exit_code(), 0, "{outcome:?}");
    // Reports don't forget what it was.
    let mut page = Vec::new();
    notme_verifier::report::write_html(&outcome, &mut page).unwrap();
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains("at or before the baseline, though unsigned"));
    assert!(page.contains("</svg>unsigned</th><td class=\"n\">2</td>"));
    // An old branch that the baseline does not reach is not taken.
    let other = history.commit(&[&ancient], "mallory", &[("a", "d")]);
    assert_eq!(history.code(&root, &other), "not-authorised");
}

#[test]
fn whoever_is_stopped_has_decided_nothing() {
    let history = History::new();
    let text = policy(&["alice!"]);
    let root = history.commit(&[], "nobody", &[(POLICY, &text)]);
    let new = history.commit(&[&root], "alice", &[(POLICY, &text), ("a", "a")]);
    let repository = history.open();
    let selection = repository.select(&new).unwrap();
    let pinned = root.parse().unwrap();
    let lineage = Lineage::new(&repository, &selection, pinned, (&history.trust, NOW)).unwrap();
    lineage.judge().stopper().stop();
    let outcome = lineage.verify(&selection, None).unwrap();
    assert!(outcome.is_interrupted());
    assert!(outcome.objects().is_empty());
    assert_eq!(outcome.exit_code(), 3);
}

#[test]
fn a_later_policy_excuses_and_does_not_let_in() {
    let history = History::new();
    let text = policy(&["alice!"]);
    let root = history.commit(&[], "nobody", &[(POLICY, &text)]);
    let bad = history.commit(&[&root], "mallory", &[(POLICY, &text), ("a", "a")]);
    let with = format!(
        "{text}[[exception]]\nobject = \"{bad}\"\nreason = \"reviewed\"\nuntil = \"2100-01-01T00:00:00Z\"\n"
    );
    let good = history.commit(&[&root], "alice", &[(POLICY, &text), ("b", "b")]);
    let files = [(POLICY, &*with), ("a", "a"), ("b", "b")];
    let merge = history.commit(&[&good, &bad], "alice", &files);
    let outcome = history.verify(&root, &merge);
    assert_eq!(outcome.exit_code(), 0, "{outcome:?}");
    // What was built on it before stays refused.
    let child = history.commit(&[&bad], "alice", &[(POLICY, &text)]);
    let outcome = history.try_verify(&root, &[&merge, &child], None).unwrap();
    assert_eq!(code_of(&outcome, &child), "parent-not-accepted");
}

#[test]
fn what_the_newest_policy_took_back_excuses_nobody() {
    let history = History::new();
    let text = policy(&["alice!"]);
    let root = history.commit(&[], "nobody", &[(POLICY, &text)]);
    let bad = history.commit(&[&root], "mallory", &[(POLICY, &text), ("a", "a")]);
    let exception = format!(
        "{text}[[exception]]\nobject = \"{bad}\"\nreason = \"x\"\nuntil = \"2100-01-01T00:00:00Z\"\n"
    );
    for excusing in [exception, format!("baseline = [\"{bad}\"]\n{text}")] {
        let made = history.commit(&[&root], "alice", &[(POLICY, &excusing), ("b", "b")]);
        let files = |text| [(POLICY, text), ("a", "a"), ("b", "b")];
        let merge = history.commit(&[&made, &bad], "alice", &files(&excusing));
        assert_eq!(history.verify(&root, &merge).exit_code(), 0);
        let taken_back = history.commit(&[&merge], "alice", &files(&text));
        let outcome = history.verify(&root, &taken_back);
        assert_eq!(code_of(&outcome, &bad), "not-authorised");
        assert_eq!(code_of(&outcome, &taken_back), "accepted");
        // Nor does a ref bring it back that stayed behind.
        for tips in [[&*taken_back, &merge], [&merge, &taken_back]] {
            let outcome = history.try_verify(&root, &tips, None).unwrap();
            assert_eq!(code_of(&outcome, &bad), "not-authorised");
        }
        // Nor does who goes on from there.
        let onward = history.commit(&[&merge], "alice", &[(POLICY, &excusing), ("a", "b")]);
        assert_eq!(history.verify(&root, &onward).exit_code(), 0);
        for tips in [[&*taken_back, &onward], [&onward, &taken_back]] {
            let outcome = history.try_verify(&root, &tips, None).unwrap();
            assert_eq!(code_of(&outcome, &bad), "not-authorised");
            assert_eq!(code_of(&outcome, &onward), "accepted");
        }
        // Somebody's commit on top, which is not accepted, takes nothing away.
        let stray = history.commit(&[&merge], "mallory", &files(&text));
        for tips in [&[&*stray][..], &[&merge, &stray]] {
            let outcome = history.try_verify(&root, tips, None).unwrap();
            assert_eq!(code_of(&outcome, &bad), "accepted");
            assert_eq!(code_of(&outcome, &stray), "not-authorised");
        }
    }
}

/// Of what a merge brings, only what its policy accepts is not asked of who merged it.
#[test]
fn a_parents_policy_has_its_exceptions_weighed_and_not_its_baseline() {
    let history = History::new();
    let old = policy(&["alice!", "bob src/*", "mallory"]);
    let root = history.commit(&[], "nobody", &[(POLICY, &old)]);
    let side = history.commit(&[&root], "mallory", &[(POLICY, &old), ("x", "x")]);
    let new = policy(&["alice!", "bob src/*"]);
    let exception = format!(
        "{new}[[exception]]\nobject = \"{side}\"\nreason = \"x\"\nuntil = \"2100-01-01T00:00:00Z\"\n"
    );
    let baseline = format!("baseline = [\"{side}\"]\n{new}");
    for (text, code) in [
        (new, "not-authorised"),
        (exception, "accepted"),
        (baseline, "not-authorised"),
    ] {
        let main = history.commit(&[&root], "alice", &[(POLICY, &text)]);
        let files = [(POLICY, &*text), ("x", "x")];
        let merge = history.commit(&[&main, &side], "bob", &files);
        assert_eq!(history.code(&root, &merge), code, "{text}");
    }
}

/// Whoever lost their right goes on from before, and excuses what others refuse.
#[test]
fn what_one_of_two_ends_excuses_counts_for_what_it_leads_to() {
    let history = History::new();
    let old = policy(&["alice!", "bob!"]);
    let new = policy(&["alice!"]);
    let root = history.commit(&[], "nobody", &[(POLICY, &old)]);
    // The end that excuses nobody may have the policy of the trust root itself.
    for main in [&new, &old] {
        one_of_two_ends_excuses(&history, &root, [&old, main]);
    }
}

fn one_of_two_ends_excuses(history: &History, root: &str, [old, new]: [&str; 2]) {
    let main = history.commit(&[root], "alice", &[(POLICY, new), ("m", "m")]);
    let bad = history.commit(&[&main], "mallory", &[(POLICY, new), ("a", "a")]);
    let until = "until = \"2100-01-01T00:00:00Z\"";
    let excusing = |text: &str| {
        let exception = format!("[[exception]]\nobject = \"{bad}\"\nreason = \"x\"\n{until}\n");
        [
            format!("{text}{exception}"),
            format!("baseline = [\"{bad}\"]\n{text}"),
        ]
    };
    for (ours, theirs) in excusing(new).iter().zip(excusing(old)) {
        let side = history.commit(&[root], "bob", &[(POLICY, &theirs), ("b", "b")]);
        assert_eq!(history.code(root, &side), "accepted");
        for tips in [[&*bad, &side], [&side, &bad]] {
            let outcome = history.try_verify(root, &tips, None).unwrap();
            assert_eq!(code_of(&outcome, &bad), "not-authorised");
            assert_eq!(code_of(&outcome, &side), "accepted");
        }
        // Nor by merging it, where it is merged as well.
        let taken = history.commit(&[&main, &bad], "alice", &[(POLICY, new), ("a", "a")]);
        let link = history.commit(&[&side, &bad], "bob", &[(POLICY, &theirs), ("b", "b")]);
        assert_eq!(history.verify(root, &link).exit_code(), 0);
        for tips in [[&*taken, &link], [&link, &taken]] {
            let outcome = history.try_verify(root, &tips, None).unwrap();
            assert_eq!(code_of(&outcome, &bad), "not-authorised");
            assert_eq!(code_of(&outcome, &link), "accepted");
        }
        // Whoever has the right excuses what leads to them, whatever is beside.
        let files = [(POLICY, &**ours), ("a", "a")];
        let merge = history.commit(&[&main, &bad], "alice", &files);
        let beside = history.commit(&[root], "alice", &[(POLICY, old), ("c", "c")]);
        let outcome = history.try_verify(root, &[&merge, &beside], None).unwrap();
        assert_eq!(outcome.exit_code(), 0, "{outcome:?}");
        // And alone also what does not.
        let alone = history.commit(&[&main], "alice", &[(POLICY, ours), ("d", "d")]);
        let outcome = history.try_verify(root, &[&alone, &bad], None).unwrap();
        assert_eq!(code_of(&outcome, &bad), "accepted");
    }
}

#[test]
fn what_was_accepted_beside_the_trust_root_is_told() {
    let history = History::new();
    let text = policy(&["alice!"]);
    let ancient = history.commit(&[], "alice", &[("a", "a")]);
    let root = history.commit(&[&ancient], "nobody", &[(POLICY, &text)]);
    let tip = history.commit(&[&root], "alice", &[(POLICY, &text), ("a", "a")]);
    assert_eq!(history.verify(&root, &tip).beside_root(), 0);
    let orphan = history.commit(&[], "alice", &[("o", "o")]);
    let refused = history.commit(&[&orphan], "mallory", &[("o", "p")]);
    let outcome = history
        .try_verify(&root, &[&tip, &orphan, &refused], None)
        .unwrap();
    assert_eq!(code_of(&outcome, &orphan), "accepted");
    assert_eq!(outcome.beside_root(), 1);
    // Of a tag, what it is on.
    let tag = history.tag("alice", &orphan, "commit");
    let repository = history.open();
    let alone = repository.select(&tag).unwrap();
    let outcome = history.judge(&repository, &root, &alone, None).unwrap();
    assert_eq!(code_of(&outcome, &tag), "accepted");
    assert_eq!(outcome.beside_root(), 1);
}

#[test]
fn the_first_policy_is_brought_by_the_key_that_the_caller_pins() {
    let history = History::new();
    let text = policy(&["alice!"]);
    let ancient = history.commit(&[], "nobody", &[("a", "a")]);
    let root = history.commit(&[&ancient], "carol", &[(POLICY, &text)]);
    let tip = history.commit(&[&root], "alice", &[(POLICY, &text), ("a", "a")]);
    let kid = |id: &str| {
        let outcome = history.verify(&root, id);
        judgement_of(&outcome, id).kid().unwrap().to_string()
    };
    let pinned = kid(&root);
    let outcome = history.try_verify(&pinned, &[&tip], None).unwrap();
    assert_eq!(code_of(&outcome, &tip), "accepted");
    let other = "00000000000000000000000000000000";
    let error = history.try_verify(other, &[&tip], None).unwrap_err();
    assert!(matches!(error, LineageError::NotBrought(_)), "{error}");
    assert_eq!(error.code(), Some("policy-unreadable"));
    // A second one, that nobody has to choose.
    let second = history.commit(&[&ancient], "carol", &[(POLICY, &policy(&["mallory!"]))]);
    let error = history.try_verify(&pinned, &[&tip, &second], None);
    assert!(matches!(error, Err(LineageError::Ambiguous { .. })));
    // Nor does whoever makes the branch choose it.
    let ambiguous = |selection: &str| {
        let repository = history.open();
        let selection = repository.select(selection).unwrap();
        let judged = history.judge(&repository, &pinned, &selection, None);
        assert!(matches!(judged, Err(LineageError::Ambiguous { .. })));
        judged.unwrap_err().to_string()
    };
    let text = ambiguous(&format!("{second}..{tip}"));
    assert!(text.contains(&root) && text.contains(&second), "{text}");
    history
        .git
        .git_ok(&["update-ref", "refs/drafts/one", &second]);
    ambiguous(&tip);
    history.git.git_ok(&["update-ref", "-d", "refs/drafts/one"]);
    history
        .git
        .git_ok(&["update-ref", "--no-deref", "HEAD", &second]);
    ambiguous(&tip);
    // Names that the repository gives are nothing to begin with.
    for name in ["main", "HEAD", "refs/heads/main", &root[..12]] {
        assert!(name.parse::<notme_verifier::lineage::TrustRoot>().is_err());
    }
}

#[test]
fn a_trust_root_without_a_policy_is_no_beginning() {
    let history = History::new();
    let bare = history.commit(&[], "alice", &[("a", "a")]);
    let error = history.try_verify(&bare, &[&bare], None).unwrap_err();
    assert!(matches!(error, LineageError::NoPolicy { .. }), "{error}");
    let broken = history.commit(&[], "alice", &[(POLICY, "allow = [")]);
    let error = history.try_verify(&broken, &[&broken], None).unwrap_err();
    assert!(matches!(error, LineageError::Policy { .. }), "{error}");
    let missing = "0".repeat(40);
    let error = history.try_verify(&missing, &[&bare], None).unwrap_err();
    assert_eq!(error.code(), Some("object-missing"));
}

/// How long it is stands before its content, which nobody reads: here it is cut off.
#[test]
fn a_policy_that_is_too_long_is_refused_unread() {
    let history = History::new();
    let good = policy(&["alice!"]);
    let root = history.commit(&[], "nobody", &[(POLICY, &good)]);
    let long = "#".repeat((1 << 20) + 1);
    let bad = history.commit(&[&root], "alice", &[(POLICY, &long)]);
    let after = history.commit(&[&bad], "alice", &[(POLICY, &long), ("a", "a")]);
    let blob = history
        .git
        .git_ok(&["rev-parse", &format!("{bad}:{POLICY}")]);
    let (directory, name) = blob.split_at(2);
    let loose = history
        .git
        .path()
        .join(".git/objects")
        .join(directory)
        .join(name);
    // A stored block of zlib, without its end.
    let header = format!("blob {}\0{}", long.len(), &long[..4096]);
    let length = u16::try_from(header.len()).unwrap();
    let mut bytes = vec![0x78, 0x01, 0x00];
    bytes.extend(length.to_le_bytes());
    bytes.extend((!length).to_le_bytes());
    bytes.extend(header.as_bytes());
    std::fs::remove_file(&loose).unwrap();
    std::fs::write(&loose, bytes).unwrap();
    let outcome = history.verify(&root, &after);
    assert_eq!(code_of(&outcome, &bad), "policy-invalid");
    let detail = judgement_of(&outcome, &bad).detail().unwrap();
    assert!(detail.contains("larger than 1 MiB"), "{detail}");
    assert_eq!(code_of(&outcome, &after), "parent-not-accepted");
}

/// Which of two policies replaced the other is seen from where they parted.
#[test]
fn a_merge_is_undecided_where_it_is_not_known_how_its_policies_parted() {
    let history = History::new();
    let old = policy(&["alice!"]);
    let new = policy(&["alice!", "bob"]);
    let root = history.commit(&[], "nobody", &[(POLICY, &old)]);
    let stray = |who: &str, parent: &str| {
        let files = [(POLICY, &*old)];
        let parent = format!("parent {parent}\n");
        history.commit_altered(&[&root], who, &files, ("parent", &parent))
    };
    let merge = |stray: &str| {
        let main = history.commit(&[&root, stray], "alice", &[(POLICY, &new)]);
        let branch = history.commit(&[&root], "alice", &[(POLICY, &old), ("a", "a")]);
        let merge = history.commit(&[&main, &branch], "bob", &[(POLICY, &new), ("a", "a")]);
        let code = history.code(&root, &main);
        assert_eq!(history.code(&root, &merge), code);
        code
    };
    let nowhere = "0".repeat(40);
    assert_eq!(merge(&stray("alice", &root)), "accepted");
    assert_eq!(merge(&stray("alice", &nowhere)), "parent-undecided");
    // The policy that is not seen may know who is unknown here.
    assert_eq!(merge(&stray("nobody", &nowhere)), "parent-undecided");
}

/// A policy, a file that few may change, and one that more may.
fn files<'f>(policy: &'f str, auth: &'f str, docs: &'f str) -> [(&'f str, &'f str); 3] {
    [(POLICY, policy), ("auth/a", auth), ("docs/a", docs)]
}

/// A policy by which bob may change everything, and one by which he may no longer.
fn tightened() -> (String, String) {
    (
        policy(&["alice!", "bob"]),
        policy(&["alice!", "bob docs/*"]),
    )
}

/// Whoever may not sign makes no commit descend from another.
#[test]
fn what_is_not_accepted_does_not_make_the_newer_policy_look_replaced() {
    let history = History::new();
    let (old, new) = tightened();
    let root = history.commit(&[], "nobody", &files(&old, "1", "1"));
    let main = history.commit(&[&root], "alice", &files(&new, "1", "1"));
    let branch = history.commit(&[&root], "bob", &files(&old, "1", "2"));
    let link = history.commit(&[&main], "nobody", &files(&new, "1", "1"));
    let linked = history.commit(&[&branch, &link], "bob", &files(&old, "1", "2"));
    let evil = history.commit(&[&linked], "bob", &files(&old, "2", "2"));
    assert_eq!(history.code(&root, &evil), "accepted");
    for parents in [[&*main, &evil], [&evil, &main]] {
        for text in [&old, &new] {
            let merge = history.commit(&parents, "bob", &files(text, "2", "2"));
            assert_eq!(history.code(&root, &merge), "not-authorised");
        }
    }
}

/// Whoever lost a right does not get it back by branching from before.
#[test]
fn what_the_newer_policy_would_not_have_accepted_is_not_merged_for_free() {
    let history = History::new();
    let (old, new) = tightened();
    let root = history.commit(&[], "nobody", &files(&old, "1", "1"));
    let main = history.commit(&[&root], "alice", &files(&new, "1", "1"));
    let evil = history.commit(&[&root], "bob", &files(&old, "2", "1"));
    let hidden = history.commit(&[&evil], "bob", &files(&old, "2", "2"));
    let harmless = history.commit(&[&root], "bob", &files(&old, "1", "2"));
    let by_alice = history.commit(&[&root], "alice", &files(&old, "2", "1"));
    let merge = |side: &str, who: &str, auth: &str, docs: &str| {
        let of = |parents: [&str; 2]| {
            let merge = history.commit(&parents, who, &files(&new, auth, docs));
            history.code(&root, &merge)
        };
        let code = of([&main, side]);
        assert_eq!(of([side, &main]), code);
        code
    };
    assert_eq!(history.code(&root, &hidden), "accepted");
    assert_eq!(merge(&evil, "bob", "2", "1"), "not-authorised");
    assert_eq!(merge(&hidden, "bob", "2", "2"), "not-authorised");
    // He may leave out what is nothing to him, take what he may, and what others may bring.
    assert_eq!(merge(&hidden, "bob", "1", "2"), "accepted");
    assert_eq!(merge(&harmless, "bob", "1", "2"), "accepted");
    assert_eq!(merge(&by_alice, "bob", "2", "1"), "accepted");
    // Alice has the right herself.
    assert_eq!(merge(&hidden, "alice", "2", "2"), "accepted");
}

/// A file that says the same holds nothing to it that came before: who brings it to a branch from before
/// a right was lost does not bring the right back.
#[test]
fn the_same_policy_brought_to_another_branch_takes_nothing_along() {
    let history = History::new();
    for (old, bringer) in [
        (policy(&["alice!", "bob"]), "alice"),
        (policy(&["alice!", "bob!"]), "bob"),
    ] {
        let (_, new) = tightened();
        let root = history.commit(&[], "nobody", &files(&old, "1", "1"));
        let tight = history.commit(&[&root], "alice", &files(&new, "1", "1"));
        let main = history.commit(&[&tight], "bob", &files(&new, "1", "2"));
        let evil = history.commit(&[&root], "bob", &files(&old, "2", "1"));
        let same = history.commit(&[&evil], bringer, &files(&new, "2", "1"));
        let later = history.commit(&[&same], "alice", &files(&new, "2", "1"));
        for side in [&same, &later] {
            assert_eq!(history.code(&root, side), "accepted");
            for parents in [[&*main, side], [side, &main]] {
                let files = files(&new, "2", "2");
                let by_bob = history.commit(&parents, "bob", &files);
                assert_eq!(history.code(&root, &by_bob), "not-authorised");
                let by_alice = history.commit(&parents, "alice", &files);
                assert_eq!(history.code(&root, &by_alice), "accepted");
            }
        }
    }
}

/// Whoever has the right to all of it makes one line of two, and the others merge as ever.
#[test]
fn what_two_branches_with_the_same_policy_have_is_taken_once() {
    let history = History::new();
    let (old, new) = tightened();
    let files = |policy, [one, other]: [&'static str; 2], [docs, more]: [&'static str; 2]| {
        let [policy, auth, docs] = files(policy, one, docs);
        [policy, auth, ("auth/b", other), docs, ("docs/b", more)]
    };
    let none = ["1", "1"];
    let root = history.commit(&[], "nobody", &files(&old, none, none));
    // Both have something from before that bob may no longer do.
    let early = history.commit(&[&root], "bob", &files(&old, ["2", "1"], none));
    let main = history.commit(&[&early], "alice", &files(&new, ["2", "1"], none));
    let beside = history.commit(&[&main], "bob", &files(&new, ["2", "1"], ["1", "2"]));
    let other = history.commit(&[&root], "bob", &files(&old, ["1", "2"], none));
    let release = history.commit(&[&other], "alice", &files(&new, ["1", "2"], none));
    let fix = history.commit(&[&release], "bob", &files(&new, ["1", "2"], ["2", "1"]));
    let both = files(&new, ["2", "2"], none);
    let by_bob = history.commit(&[&main, &release], "bob", &both);
    assert_eq!(history.code(&root, &by_bob), "not-authorised");
    let joined = history.commit(&[&main, &release], "alice", &both);
    for (side, docs) in [(&fix, ["2", "1"]), (&beside, ["1", "2"])] {
        for parents in [[&*joined, side], [side, &joined]] {
            let merge = history.commit(&parents, "bob", &files(&new, ["2", "2"], docs));
            assert_eq!(history.verify(&root, &merge).exit_code(), 0);
        }
    }
}

/// A change that was taken back replaced what was in force before it.
#[test]
fn a_branch_from_before_a_change_that_was_taken_back_is_merged_as_usual() {
    let history = History::new();
    let (wide, narrow) = tightened();
    let root = history.commit(&[], "nobody", &files(&narrow, "1", "1"));
    let changed = history.commit(&[&root], "alice", &files(&wide, "1", "1"));
    let meanwhile = history.commit(&[&changed], "bob", &files(&wide, "2", "1"));
    let main = history.commit(&[&meanwhile], "alice", &files(&narrow, "2", "1"));
    let branch = history.commit(&[&root], "bob", &files(&narrow, "1", "2"));
    for parents in [[&*main, &branch], [&branch, &main]] {
        let merge = history.commit(&parents, "bob", &files(&narrow, "2", "2"));
        assert_eq!(history.code(&root, &merge), "accepted");
    }
    let branch = history.commit(&[&changed], "bob", &files(&wide, "3", "1"));
    for parents in [[&*main, &branch], [&branch, &main]] {
        let merge = history.commit(&parents, "bob", &files(&narrow, "3", "1"));
        assert_eq!(history.code(&root, &merge), "not-authorised");
    }
}

/// What is beside the trust root stands by its policy, however that changed; merging it is no way around
/// the newer one.
#[test]
fn what_is_beside_the_trust_root_is_not_merged_for_free_either() {
    let history = History::new();
    let (old, new) = tightened();
    let ancient = history.commit(&[], "nobody", &[("auth/a", "1"), ("docs/a", "1")]);
    let root = history.commit(&[&ancient], "nobody", &files(&old, "1", "1"));
    let main = history.commit(&[&root], "alice", &files(&new, "1", "1"));
    let beside = |auth: &str, docs: &str| {
        let tree = [("auth/a", auth), ("docs/a", docs)];
        let side = history.commit(&[&ancient], "bob", &tree);
        let merge = history.commit(&[&main, &side], "bob", &files(&new, auth, docs));
        let outcome = history.verify(&root, &merge);
        assert_eq!(code_of(&outcome, &side), "accepted");
        code_of(&outcome, &merge)
    };
    assert_eq!(beside("2", "1"), "not-authorised");
    assert_eq!(beside("1", "2"), "accepted");
}

/// Nor does it make what somebody reverts look like what both began with.
#[test]
fn what_is_not_accepted_takes_nothing_back() {
    let history = History::new();
    let rules = policy(&["alice!", "agent docs/*"]);
    let files = |auth, docs| files(&rules, auth, docs);
    let root = history.commit(&[], "nobody", &files("bad", "1"));
    let fix = history.commit(&[&root], "alice", &files("good", "1"));
    let branch = history.commit(&[&root], "agent", &files("bad", "2"));
    let link = history.commit(&[&fix], "nobody", &files("good", "1"));
    let linked = history.commit(&[&branch, &link], "agent", &files("bad", "2"));
    for parents in [[&*fix, &linked], [&linked, &fix]] {
        let merge = history.commit(&parents, "agent", &files("bad", "2"));
        let honest = history.commit(&parents, "agent", &files("good", "2"));
        for root in [&root, &fix] {
            assert_eq!(history.code(root, &merge), "not-authorised");
            assert_eq!(history.code(root, &honest), "accepted");
        }
    }
}

/// A clone that ends before the trust root cannot show the way from there.
#[test]
fn what_lies_beyond_a_shallow_clone_leaves_its_children_undecided() {
    let history = History::new();
    let text = policy(&["alice!"]);
    let root = history.commit(&[], "nobody", &[(POLICY, &text)]);
    let one = history.commit(&[&root], "alice", &[(POLICY, &text), ("a", "1")]);
    let two = history.commit(&[&one], "alice", &[(POLICY, &text), ("a", "2")]);
    let three = history.commit(&[&two], "alice", &[(POLICY, &text), ("a", "3")]);
    std::fs::write(history.git.path().join(".git/shallow"), format!("{two}\n")).unwrap();
    let repository: Repository = history.open();
    let selection = repository.select(&format!("{two}..{three}")).unwrap();
    let selection = selection.and(repository.select(&two).unwrap());
    let outcome = history.judge(&repository, &root, &selection, None).unwrap();
    assert_eq!(code_of(&outcome, &two), "object-missing");
    assert_eq!(code_of(&outcome, &three), "parent-undecided");
    let verdict = outcome.objects()[0].judgement().verdict();
    assert!(matches!(verdict, Verdict::Undecided(_)));
}

/// Whatever policy the tree holds at which it ends.
#[test]
fn what_is_at_the_end_of_a_shallow_clone_is_undecided_whichever_policy_judges() {
    let history = History::new();
    let (old, new) = tightened();
    let first = history.commit(&[], "nobody", &files(&old, "1", "1"));
    let early = history.commit(&[&first], "alice", &files(&old, "1", "2"));
    let root = history.commit(&[&first], "alice", &files(&new, "1", "1"));
    let end = history.commit(&[&early], "alice", &files(&old, "1", "3"));
    let next = history.commit(&[&end], "alice", &files(&old, "1", "4"));
    let merge = history.commit(&[&root, &next], "alice", &files(&new, "1", "4"));
    std::fs::write(history.git.path().join(".git/shallow"), format!("{end}\n")).unwrap();
    let outcome = history.verify(&root, &merge);
    assert_eq!(code_of(&outcome, &end), "object-missing");
    assert_eq!(code_of(&outcome, &next), "parent-undecided");
    assert_eq!(code_of(&outcome, &merge), "parent-undecided");
}

/// One more parent may bring a policy that does not allow the merge.
#[test]
fn a_merge_is_undecided_where_a_parent_is() {
    let history = History::new();
    let asking = |text: String| {
        let [alice, judge] = ["alice", "judge"].map(identity);
        format!(
            "{text}[[principal]]\nname = \"judge\"\nkind = \"human\"\nidentities = [\"{judge}\"]\n\
             [[require]]\nidentity = \"{alice}\"\npaths = [\".notme/*\"]\naccepted_by = [\"judge\"]\n"
        )
    };
    let (old, new) = tightened();
    let (old, new) = (asking(old), asking(new));
    let root = history.commit(&[], "nobody", &files(&old, "1", "1"));
    let tight = history.commit(&[&root], "alice", &files(&new, "1", "1"));
    let side = history.commit(&[&root], "bob", &files(&old, "2", "1"));
    let codes = |tips: &[&str], says: &[Stated]| {
        let says = Says(says.to_vec());
        let outcome = history.try_verify(&root, tips, Some(&says)).unwrap();
        let code = |tip: &&str| code_of(&outcome, tip);
        tips.iter().map(code).collect::<Vec<_>>()
    };
    for parents in [[&*side, &tight], [&tight, &side]] {
        let merge = history.commit(&parents, "bob", &files(&old, "2", "1"));
        let next = history.commit(&[&merge], "bob", &files(&old, "3", "1"));
        let tips = [&*tight, &merge, &next];
        let known = codes(&tips, &[stated("judge", "accepts", None)]);
        assert_eq!(known, ["accepted", "not-authorised", "parent-not-accepted"]);
        let unknown = codes(&tips, &[]);
        assert_eq!(
            unknown,
            ["acceptance-missing", "parent-undecided", "parent-undecided"]
        );
    }
}

/// What the older policy refuses in any case may be what the newer one was made for.
#[test]
fn what_an_undecided_policy_may_allow_leaves_its_children_undecided() {
    let history = History::new();
    let [alice, judge] = ["alice", "judge"].map(identity);
    let asking = |names: &str, text: String| {
        format!(
            "repository = [{names}]\n{text}[[principal]]\nname = \"judge\"\nkind = \"human\"\nidentities = [\"{judge}\"]\n\
             [[require]]\nidentity = \"{alice}\"\npaths = [\".notme/*\"]\naccepted_by = [\"judge\"]\n"
        )
    };
    let (old, new) = tightened();
    let (old, new) = (
        asking("\"https://git.example/team/old\"", old),
        asking(
            "\"https://git.example/team/old\", \"https://git.example/team/new\"",
            new,
        ),
    );
    let terms = Terms {
        repository: Some("git.example/team/new".to_owned()),
        refs: None,
        paths: None,
        signatures: 10,
        until: NOW.plus(3600),
    };
    let root = history.commit(&[], "nobody", &files(&old, "1", "1"));
    let tight = history.commit(&[&root], "alice", &files(&new, "1", "1"));
    let side = history.commit(&[&root], "bob", &files(&old, "2", "1"));
    let tree = history.tree(&files(&new, "1", "2"));
    let onward = history.commit_within(&[&tight], "alice", &tree, Some(terms));
    let merge = history.commit(&[&side, &onward], "bob", &files(&old, "2", "1"));
    let codes = |says: &[Stated]| {
        let says = Says(says.to_vec());
        let tips = [&*tight, &onward, &merge];
        let outcome = history.try_verify(&root, &tips, Some(&says)).unwrap();
        tips.map(|tip| code_of(&outcome, tip))
    };
    let known = codes(&[stated("judge", "accepts", None)]);
    assert_eq!(known, ["accepted", "accepted", "not-authorised"]);
    let unknown = codes(&[]);
    assert_eq!(
        unknown,
        ["acceptance-missing", "parent-undecided", "parent-undecided"]
    );
}

/// A gate may have a record by which its time would be early enough.
#[test]
fn what_a_record_may_lift_leaves_its_children_undecided() {
    let history = History::new();
    let [alice, judge] = ["alice", "judge"].map(identity);
    let gate = format!(
        "[[principal]]\nname = \"server\"\nkind = \"bot\"\nidentities = [\"{judge}\"]\n\
         [[gate]]\nprincipals = [\"server\"]\nrepository = \"https://git.example.org/tool\"\n"
    );
    let slow = format!(
        "[[require]]\nidentity = \"{alice}\"\npaths = [\".notme/*\"]\ntime_basis_floor = \"timestamped\"\n"
    );
    let codes = |more: &str| {
        let (old, new) = tightened();
        let [old, new] = [old, new].map(|text| format!("{text}{slow}{more}"));
        let root = history.commit(&[], "nobody", &files(&old, "1", "1"));
        let tight = history.commit(&[&root], "alice", &files(&new, "1", "1"));
        let side = history.commit(&[&root], "bob", &files(&old, "2", "1"));
        let merge = history.commit(&[&side, &tight], "bob", &files(&old, "2", "1"));
        [&tight, &merge].map(|tip| history.code(&root, tip))
    };
    assert_eq!(codes(&gate), ["time-basis-too-weak", "parent-undecided"]);
    // Where nobody keeps records it is refused, whoever knows what.
    assert_eq!(codes(""), ["time-basis-too-weak", "accepted"]);
}

/// So may one by which the certificate was still good.
#[test]
fn what_came_late_by_its_own_word_leaves_its_children_undecided_where_records_are_kept() {
    let history = History::new();
    let judge = identity("judge");
    let gate = format!(
        "[[principal]]\nname = \"server\"\nkind = \"bot\"\nidentities = [\"{judge}\"]\n\
         [[gate]]\nprincipals = [\"server\"]\nrepository = \"https://git.example.org/tool\"\n"
    );
    let codes = |more: &str| {
        let (old, new) = tightened();
        let floor = "time_basis_floor = \"declared\"\n";
        let [old, new] = [old, new].map(|text| format!("{floor}{text}{more}"));
        let root = history.commit(&[], "nobody", &files(&old, "1", "1"));
        let tight = history.commit_late(&[&root], "alice", &files(&new, "1", "1"));
        let side = history.commit(&[&root], "bob", &files(&old, "2", "1"));
        let merge = history.commit(&[&side, &tight], "bob", &files(&old, "2", "1"));
        [&tight, &merge].map(|tip| history.code(&root, tip))
    };
    assert_eq!(codes(&gate), ["certificate-expired", "parent-undecided"]);
    assert_eq!(codes(""), ["certificate-expired", "accepted"]);
}

/// Whoever may change everything need not wait for what brings no other policy.
#[test]
fn undecided_work_is_merged_by_who_may_change_everything() {
    let history = History::new();
    let [bob, judge] = ["bob", "judge"].map(identity);
    let asking = format!(
        "{}[[principal]]\nname = \"judge\"\nkind = \"human\"\nidentities = [\"{judge}\"]\n\
         [[require]]\nidentity = \"{bob}\"\naccepted_by = [\"judge\"]\n",
        policy(&["alice!", "bob", "carol"])
    );
    let other = format!("{asking}# another\n");
    let root = history.commit(&[], "nobody", &files(&asking, "1", "1"));
    let work = history.commit(&[&root], "bob", &files(&asking, "1", "2"));
    let main = history.commit(&[&root], "alice", &files(&asking, "2", "1"));
    let merge = |who: &str, side: &str| {
        let merge = history.commit(&[&main, side], who, &files(&asking, "2", "2"));
        history.code(&root, &merge)
    };
    assert_eq!(history.code(&root, &work), "acceptance-missing");
    assert_eq!(merge("alice", &work), "accepted");
    assert_eq!(merge("carol", &work), "parent-undecided");
    // Nor is it another policy for having been put back.
    let changed = history.commit(&[&work], "bob", &files(&other, "1", "2"));
    let back = history.commit(&[&changed], "bob", &files(&asking, "1", "2"));
    assert_eq!(merge("alice", &changed), "parent-undecided");
    assert_eq!(merge("alice", &back), "parent-undecided");
}

/// Nor does what is not known of the ref let anybody in.
#[test]
fn what_may_be_accepted_for_some_ref_leaves_its_children_undecided() {
    let on_main = |text: String| {
        let refs = "policy = true\nrefs = [\"refs/heads/main\"]";
        text.replacen("policy = true", refs, 1)
    };
    let anywhere = policy(&["alice"]);
    for more in ["", &anywhere] {
        let history = History::new();
        let (old, new) = tightened();
        let [old, new] = [old, new].map(|text| format!("{}{more}", on_main(text)));
        let root = history.commit(&[], "nobody", &files(&old, "1", "1"));
        let tight = history.commit(&[&root], "alice", &files(&new, "1", "1"));
        let side = history.commit(&[&root], "bob", &files(&old, "2", "1"));
        let merge = history.commit(&[&side, &tight], "bob", &files(&old, "2", "1"));
        let next = history.commit(&[&merge], "bob", &files(&old, "3", "1"));
        let on = |name: Option<&str>| {
            let repository = history.open();
            let tips = [&*tight, &merge, &next];
            let selection = history.selected(&repository, &tips);
            let selection = selection.on(name.map(str::to_owned));
            let outcome = history.judge(&repository, &root, &selection, None).unwrap();
            let detail = judgement_of(&outcome, &next).detail().map(str::to_owned);
            (tips.map(|tip| code_of(&outcome, tip)), detail)
        };
        let (codes, _) = on(Some("refs/heads/main"));
        assert_eq!(codes, ["accepted", "not-authorised", "parent-not-accepted"]);
        let (codes, detail) = on(None);
        assert_eq!(
            codes,
            ["not-authorised", "parent-undecided", "parent-undecided"]
        );
        assert!(detail.unwrap().contains("--ref"));
    }
}

#[test]
fn a_tree_that_is_not_what_its_name_stands_for_decides_nothing() {
    let history = History::new();
    let text = policy(&["alice!"]);
    let root = history.commit(&[], "nobody", &[(POLICY, &text)]);
    let tree = history
        .git
        .git_ok(&["rev-parse", &format!("{root}^{{tree}}")]);
    let other = history.tree(&[(POLICY, &policy(&["mallory!"]))]);
    let path = |id: &str| {
        let objects = history.git.path().join(".git/objects");
        objects.join(&id[..2]).join(&id[2..])
    };
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(path(&tree), permissions).unwrap();
    std::fs::copy(path(&other), path(&tree)).unwrap();
    let error = history.try_verify(&root, &[&root], None).unwrap_err();
    assert_eq!(error.code(), Some("object-malformed"));
}

/// A tree is read to find the policy, and to find what was changed.
#[test]
fn a_tree_that_is_too_long_is_refused_unread() {
    let history = History::new();
    let text = policy(&["alice!"]);
    let small = history.tree(&[(POLICY, &text)]);
    let small = history
        .git
        .git_with_input(&["cat-file", "tree", &small], b"");
    let id = history
        .git
        .git_ok(&["hash-object", "-t", "blob", "-w", "/dev/null"]);
    let id = hex::decode(&id).unwrap();
    let mut long = small.stdout;
    long.extend_from_slice(b"100644 ");
    long.resize(64 << 20, b'x');
    long.push(0);
    long.extend_from_slice(&id);
    let long = history.git.write_object_unchecked("tree", &long);
    let root = history.commit(&[], "nobody", &[(POLICY, &text)]);
    let bad = history.commit_tree(&[&root], "alice", &long);
    assert_eq!(history.code(&root, &bad), "object-too-large");
    let error = history.try_verify(&bad, &[&bad], None).unwrap_err();
    assert_eq!(error.code(), Some("object-too-large"));
    // Nothing excuses it.
    let ended = format!("baseline = [\"{bad}\"]\n{text}");
    let root = history.commit(&[], "nobody", &[(POLICY, &ended)]);
    assert_eq!(history.code(&root, &bad), "object-too-large");
}

/// git looks no further than where a name would be, and finds no policy there.
#[test]
fn a_tree_out_of_order_is_refused_though_it_changes_nothing() {
    let history = History::new();
    let text = policy(&["alice!"]);
    let files = [(POLICY, &*text), (".notme/trust/x", "x"), ("a", "a")];
    let root = history.commit(&[], "nobody", &files);
    let swapped = |mode_and_name: [&str; 2], ids: [&str; 2]| {
        let entry = |(what, id): (&str, &str)| {
            let id = match id.len() {
                40 => id.to_owned(),
                _ => history.git.git_ok(&["rev-parse", &format!("{root}:{id}")]),
            };
            [what.as_bytes(), b"\0", &hex::decode(&id).unwrap()].concat()
        };
        let all: Vec<_> = mode_and_name.into_iter().zip(ids).map(entry).collect();
        history.git.write_object_unchecked("tree", &all.concat())
    };
    let entries = ["40000 trust", "100644 policy.toml"];
    let notme = swapped(entries, [".notme/trust", POLICY]);
    assert_eq!(
        history.git.git_ok(&["ls-tree", &notme, "policy.toml"]),
        "",
        "git finds it"
    );
    let whole = swapped(["40000 .notme", "100644 a"], [&notme, "a"]);
    let bad = history.commit_tree(&[&root], "alice", &whole);
    assert_eq!(history.code(&root, &bad), "object-malformed");
    let whole = swapped(["100644 a", "40000 .notme"], ["a", ".notme"]);
    let bad = history.commit_tree(&[&root], "alice", &whole);
    assert_eq!(history.code(&root, &bad), "object-malformed");
}

#[test]
fn what_the_trust_root_comes_from_lets_nobody_in_by_lying() {
    let history = History::new();
    let rules = policy(&["alice!"]);
    let old = history.commit(&[], "nobody", &[(POLICY, &rules)]);
    let root = history.commit(&[&old], "alice", &[(POLICY, &rules)]);
    let stray = history.commit(&[&root], "mallory", &[(POLICY, &rules)]);
    let tip = history.commit(&[&stray], "alice", &[(POLICY, &rules), ("a", "a")]);
    let lying = history.commit(&[&stray], "nobody", &[(POLICY, &rules)]);
    assert_eq!(history.code(&root, &tip), "parent-not-accepted");
    let loose = |id: &str| {
        let (directory, name) = id.split_at(2);
        let objects = history.git.path().join(".git/objects");
        objects.join(directory).join(name)
    };
    std::fs::remove_file(loose(&old)).unwrap();
    std::fs::copy(loose(&lying), loose(&old)).unwrap();
    assert_eq!(history.code(&root, &tip), "parent-not-accepted");
}
