//! Rules by ref and path, what they ask of a signature, and who has to agree.

use notme_testkit::clock::NOW;
use notme_verifier::{
    Judge, Policy, Repository,
    report::write_markdown,
    repository::ObjectId,
    stated::{SignedBy, Stated, Statements},
    verify_with,
};

use crate::history::{History, code_of, identity, kid};

const PEOPLE: &str = r#"
[[principal]]
name = "maintainers"
kind = "human"
identities = ["wimse://test.invalid/agent/alice/*", "wimse://test.invalid/agent/bob/*"]
emails = ["alice@example.invalid"]

[[principal]]
name = "agents"
kind = "agent"
identities = ["wimse://test.invalid/agent/bot/*"]
"#;

const FOR_AGENTS: &str = "[[allow]]\nprincipals = [\"agents\"]\npaths = [\"src/*\"]\n";

/// What somebody is said to have stated about every commit.
pub(crate) struct Says(pub(crate) Vec<Stated>);

impl Statements for Says {
    fn about(&self, _: &str, _: &Policy) -> Result<Vec<Stated>, String> {
        Ok(self.0.clone())
    }
}

pub(crate) fn stated(who: &str, predicate_type: &str, level: Option<&'static str>) -> Stated {
    Stated {
        predicate_type: predicate_type.to_owned(),
        level,
        accepts: predicate_type == "accepts",
        received: None,
        rejects: predicate_type == "rejects",
        fails: false,
        by: SignedBy {
            identity: identity(who),
            authority: "local".to_owned(),
            authority_kid: kid("the authority"),
            kid: kid(who),
            issuer: None,
            fingerprints: None,
        },
    }
}

/// Judges a commit on a branch by a policy of people and rules.
fn judged(history: &History, rules: &str, tip: &str, says: Vec<Stated>) -> String {
    judged_on(history, rules, tip, Some("refs/heads/main"), says)
}

fn judged_on(
    history: &History,
    rules: &str,
    tip: &str,
    reference: Option<&str>,
    says: Vec<Stated>,
) -> String {
    let policy = Policy::parse(&format!("{PEOPLE}{rules}")).unwrap();
    let judge = Judge::new(&policy, &history.trust, NOW);
    let repository = history.open();
    let selection = repository
        .select(tip)
        .unwrap()
        .on(reference.map(str::to_owned));
    let outcome = verify_with(&repository, &selection, &judge, Some(&Says(says))).unwrap();
    code_of(&outcome, tip)
}

#[test]
fn paths_are_covered_each_by_a_rule() {
    let history = History::new();
    let base = history.commit(&[], "alice", &[("auth/a", "1"), ("src/b", "1")]);
    let change = |who: &str, auth: &str, src: &str| {
        history.commit(&[&base], who, &[("auth/a", auth), ("src/b", src)])
    };
    let rules = r#"
[[allow]]
principals = ["maintainers"]
[[allow]]
principals = ["agents"]
paths = ["src/*", "docs/*"]
"#;
    let code = |tip: &str| judged(&history, rules, tip, Vec::new());
    assert_eq!(code(&change("alice", "2", "2")), "accepted");
    assert_eq!(code(&change("bot", "1", "2")), "accepted");
    assert_eq!(code(&change("bot", "2", "1")), "not-authorised");
    assert_eq!(code(&change("bot", "2", "2")), "not-authorised");
    // Taking a file away and putting one in the place of a directory are changes.
    let gone = history.commit(&[&base], "bot", &[("src/b", "1")]);
    assert_eq!(code(&gone), "not-authorised");
    let instead = history.commit(&[&base], "bot", &[("auth", "x"), ("src/b", "1")]);
    assert_eq!(code(&instead), "not-authorised");
    let root = history.commit(&[], "bot", &[("auth/a", "1")]);
    assert_eq!(code(&root), "not-authorised");
    // A commit that changes nothing is within any paths.
    assert_eq!(code(&change("bot", "1", "1")), "accepted");
}

/// A tag stands for all that its commit has.
#[test]
fn a_rule_for_some_paths_allows_no_tag_but_by_its_refs() {
    let history = History::new();
    let base = history.commit(&[], "alice", &[("src/b", "1")]);
    let tag = history.tag("bot", &base, "commit");
    for (refs, code) in [
        ("", "not-authorised"),
        ("refs = [\"refs/heads/*\"]\n", "not-authorised"),
        ("refs = [\"refs/tags/*\"]\n", "accepted"),
    ] {
        let rules = format!("{FOR_AGENTS}{refs}");
        assert_eq!(judged(&history, &rules, &tag, Vec::new()), code, "{refs}");
    }
    let anywhere = "[[allow]]\nprincipals = [\"agents\"]\n";
    assert_eq!(judged(&history, anywhere, &tag, Vec::new()), "accepted");
}

#[test]
fn a_merge_changes_what_it_does_not_take_as_it_was() {
    let history = History::new();
    let base = history.commit(&[], "alice", &[("auth/a", "1"), ("src/b", "1")]);
    let main = history.commit(&[&base], "alice", &[("auth/a", "2"), ("src/b", "1")]);
    let branch = history.commit(&[&base], "bot", &[("auth/a", "1"), ("src/b", "2")]);
    let merge = |auth: &str, src: &str| {
        let files = [("auth/a", auth), ("src/b", src)];
        history.commit(&[&branch, &main], "bot", &files)
    };
    let code = |tip: &str| judged(&history, FOR_AGENTS, tip, Vec::new());
    assert_eq!(code(&merge("2", "2")), "accepted");
    // The fix of the main line, left out.
    assert_eq!(code(&merge("1", "2")), "not-authorised");
    assert_eq!(code(&merge("3", "2")), "not-authorised");
    assert_eq!(code(&merge("2", "1")), "accepted");
}

/// One who may not change a file brings back what another took away, by a merge of a branch from
/// before, which some readers cannot read.
#[test]
fn a_merge_brings_nothing_back_whatever_its_branch_looks_like() {
    let history = History::new();
    let files = [("auth/a", "1"), ("src/b", "1")];
    let base = history.commit(&[], "alice", &files);
    let main = history.commit(&[&base], "alice", &[("src/b", "1")]);
    for (beginning, other) in [
        ("author", "author bot <bot@example.invalid> x +0000\n"),
        ("author", ""),
        ("committer", "committer bot <bot@example.invalid> x +0000\n"),
        ("committer", ""),
    ] {
        let branch = history.commit_altered(&[&base], "bot", &files, (beginning, other));
        for parents in [[&*main, &branch], [&branch, &main]] {
            let code = |files: &[(&str, &str)]| {
                let merge = history.commit(&parents, "bot", files);
                judged(&history, FOR_AGENTS, &merge, Vec::new())
            };
            assert_eq!(code(&files), "not-authorised", "{beginning} {other}");
            assert_eq!(code(&files[1..]), "accepted", "{beginning} {other}");
        }
    }
}

/// What a merge changed is seen from where its parents parted, and that is not here.
#[test]
fn a_merge_is_undecided_where_it_is_not_known_how_its_parents_parted() {
    let history = History::new();
    let files = [("auth/a", "1"), ("src/b", "1")];
    let first = history.commit(&[], "alice", &files);
    let base = history.commit(&[&first], "alice", &files);
    let main = history.commit(&[&base], "alice", &[("src/b", "1")]);
    let branch = history.commit(&[&base], "bot", &files);
    let merge = history.commit(&[&main, &branch], "bot", &files);
    let code = |tip: &str| judged(&history, FOR_AGENTS, tip, Vec::new());
    assert_eq!(code(&merge), "not-authorised");
    let shallow = history.git.path().join(".git/shallow");
    for (boundary, expected) in [
        (format!("{main}\n{branch}\n"), "object-missing"),
        (format!("{branch}\n"), "object-missing"),
        // Both parents are seen to come from there.
        (format!("{base}\n"), "not-authorised"),
    ] {
        std::fs::write(&shallow, boundary).unwrap();
        assert_eq!(code(&merge), expected);
    }
    std::fs::remove_file(&shallow).unwrap();
    for unreadable in ["x".to_owned(), "0".repeat(40)] {
        let unreadable = format!("parent {unreadable}\n");
        let lost = history.commit_altered(&[&base], "bot", &files, ("parent", &unreadable));
        let branch = history.commit(&[&lost], "bot", &files);
        let merge = history.commit(&[&main, &branch], "bot", &files);
        assert_eq!(code(&merge), "object-missing", "{unreadable}");
    }
    let (directory, name) = base.split_at(2);
    let loose = history.git.path().join(".git/objects").join(directory);
    std::fs::remove_file(loose.join(name)).unwrap();
    assert_eq!(code(&merge), "object-missing");
}

#[test]
fn what_has_nothing_in_common_began_with_nothing() {
    let history = History::new();
    let main = history.commit(&[], "alice", &[("auth/a", "1")]);
    let other = history.commit(&[], "bot", &[("src/b", "1")]);
    let code = |files: &[(&str, &str)]| {
        let merge = history.commit(&[&main, &other], "bot", files);
        judged(&history, FOR_AGENTS, &merge, Vec::new())
    };
    assert_eq!(code(&[("auth/a", "1"), ("src/b", "1")]), "accepted");
    assert_eq!(code(&[("src/b", "1")]), "not-authorised");
}

/// Of several places at which the parents parted, each counts.
#[test]
fn a_file_is_as_it_was_where_each_parting_has_it_so() {
    let history = History::new();
    let first = history.commit(&[], "alice", &[("auth/a", "1")]);
    let one = history.commit(&[&first], "alice", &[("auth/a", "1"), ("src/b", "1")]);
    let code = |auth: &str| {
        let other = history.commit(&[&first], "alice", &[("auth/a", auth)]);
        let files = [("auth/a", auth), ("src/b", "1")];
        let left = history.commit(&[&one, &other], "alice", &files);
        let right = history.commit(&[&other, &one], "alice", &files);
        let fixed = history.commit(&[&left], "alice", &[("auth/a", "3"), ("src/b", "1")]);
        let merge = history.commit(&[&fixed, &right], "bot", &[("auth/a", "3"), ("src/b", "1")]);
        judged(&history, FOR_AGENTS, &merge, Vec::new())
    };
    assert_eq!(code("1"), "accepted");
    assert_eq!(code("2"), "not-authorised");
}

/// Each of a thousand brings files of its own, which none of the others has.
#[test]
fn a_merge_of_more_than_is_looked_at_is_undecided() {
    let history = History::new();
    let tips = |each: usize, padding: usize| {
        let mut stream = String::new();
        for number in 0..1000 {
            let head = format!(
                "commit refs/heads/{each}-{padding}-{number}\ncommitter A <a@example.invalid> 1 +0000\ndata 0\n"
            );
            stream.push_str(&head);
            for file in 0..each {
                let line = format!("M 100644 inline src/{number}-{file:0padding$}\ndata 1\nx\n");
                stream.push_str(&line);
            }
        }
        history.git.import(&stream);
        let prefix = format!("refs/heads/{each}-{padding}-*");
        let format = "--format=%(objectname)";
        history.git.git_ok(&["for-each-ref", format, &prefix])
    };
    let code = |each: usize, padding: usize| {
        let tips = tips(each, padding);
        let parents: Vec<_> = tips.lines().collect();
        assert_eq!(parents.len(), 1000);
        let merge = history.commit(&parents, "bot", &[("src/a", "1")]);
        judged(&history, FOR_AGENTS, &merge, Vec::new())
    };
    // Their names alone take more than is looked at.
    assert_eq!(code(1, 65_000), "changes-unknown");
    let code = |each| code(each, 1);
    assert_eq!(code(3), "changes-unknown");
    assert_eq!(code(1), "accepted");
    assert_eq!(code(0), "accepted");
}

#[test]
fn rules_for_refs_say_nothing_elsewhere() {
    let history = History::new();
    let tip = history.commit(&[], "bot", &[("a", "a")]);
    let allow = "[[allow]]\nprincipals = [\"agents\"]\nrefs = [\"refs/heads/agent/*\"]\n";
    let on = |rules: &str, name: Option<&str>| judged_on(&history, rules, &tip, name, Vec::new());
    assert_eq!(on(allow, Some("refs/heads/agent/x")), "accepted");
    assert_eq!(on(allow, Some("refs/heads/main")), "not-authorised");
    assert_eq!(on(allow, None), "not-authorised");
    // What asks for more is asked where the ref is not known.
    let require = "[[allow]]\nprincipals = [\"agents\"]\n[[require]]\nrefs = [\"refs/heads/main\"]\nformats = [\"ssh\"]\n";
    assert_eq!(on(require, Some("refs/heads/agent/x")), "accepted");
    assert_eq!(on(require, Some("refs/heads/main")), "not-authorised");
    assert_eq!(on(require, None), "not-authorised");
}

#[test]
fn a_rule_takes_formats_algorithms_and_times() {
    let history = History::new();
    let tip = history.commit(&[], "bot", &[("a", "a")]);
    for (more, code) in [
        ("formats = [\"x509\"]", "accepted"),
        ("formats = [\"ssh\", \"openpgp\"]", "not-authorised"),
        ("algorithms = [\"ed25519\", \"rsa\"]", "accepted"),
        ("algorithms = [\"p256\"]", "not-authorised"),
        ("time_basis_floor = \"issuance-bound\"", "accepted"),
        ("time_basis_floor = \"timestamped\"", "time-basis-too-weak"),
        ("committer = \"signer\"", "committer-mismatch"),
    ] {
        let rules = format!("[[allow]]\nprincipals = [\"agents\"]\n{more}\n");
        assert_eq!(judged(&history, &rules, &tip, Vec::new()), code, "{more}");
        let rules = format!("[[allow]]\nprincipals = [\"agents\"]\n[[require]]\n{more}\n");
        assert_eq!(judged(&history, &rules, &tip, Vec::new()), code, "{more}");
        // Another rule that asks for nothing allows it; nothing takes a requirement back.
        let rules =
            format!("[[allow]]\nprincipals = [\"agents\"]\n{more}\n[[allow]]\nidentity = \"*\"\n");
        assert_eq!(
            judged(&history, &rules, &tip, Vec::new()),
            "accepted",
            "{more}"
        );
    }
}

#[test]
fn a_committer_under_another_address_is_refused() {
    let history = History::new();
    let rules = "[[allow]]\nprincipals = [\"maintainers\"]\ncommitter = \"signer\"\n";
    let own = history.commit(&[], "alice", &[("a", "a")]);
    assert_eq!(judged(&history, rules, &own, Vec::new()), "accepted");
    let other = history.commit(&[], "bob", &[("a", "a")]);
    assert_eq!(
        judged(&history, rules, &other, Vec::new()),
        "committer-mismatch"
    );
}

#[test]
fn what_is_attested_has_to_carry_the_level() {
    let history = History::new();
    let tip = history.commit(&[], "bot", &[("a", "a")]);
    let rules = "[[allow]]\nidentity = \"*\"\n[[require]]\nprincipals = [\"agents\"]\npredicate = \"urn:p\"\nlevel = \"L2\"\n";
    let code = |says: Vec<Stated>| judged(&history, rules, &tip, says);
    assert_eq!(code(Vec::new()), "attestation-missing");
    assert_eq!(
        code(vec![stated("bot", "urn:q", Some("L3"))]),
        "attestation-missing"
    );
    assert_eq!(code(vec![stated("bot", "urn:p", None)]), "level-too-low");
    assert_eq!(
        code(vec![stated("bot", "urn:p", Some("L1"))]),
        "level-too-low"
    );
    assert_eq!(code(vec![stated("bot", "urn:p", Some("L2"))]), "accepted");
    let best = stated("bot", "urn:p", Some("L3"));
    assert_eq!(code(vec![best.clone()]), "accepted");
    // Whoever asks for a verification does not ask for one that failed.
    let failed = Stated {
        fails: true,
        ..best.clone()
    };
    assert_eq!(code(vec![failed.clone()]), "attestation-missing");
    assert_eq!(code(vec![failed, best]), "accepted");
}

const CO_ACCEPTED: &str = r#"
[[allow]]
identity = "*"
[[require]]
principals = ["agents"]
paths = ["auth/*"]
accepted_by = ["human"]
"#;

#[test]
fn fewer_acceptances_than_the_policy_asks_for_leave_it_undecided() {
    let history = History::new();
    let base = history.commit(&[], "alice", &[("auth/a", "1"), ("b", "1")]);
    let tip = history.commit(&[&base], "bot", &[("auth/a", "2"), ("b", "1")]);
    let elsewhere = history.commit(&[&base], "bot", &[("auth/a", "1"), ("b", "2")]);
    let code = |says| judged(&history, CO_ACCEPTED, &tip, says);
    assert_eq!(
        judged(&history, CO_ACCEPTED, &elsewhere, Vec::new()),
        "accepted"
    );
    assert_eq!(code(Vec::new()), "acceptance-missing");
    assert_eq!(
        code(vec![stated("bot", "accepts", None)]),
        "acceptance-missing"
    );
    assert_eq!(
        code(vec![stated("alice", "urn:p", None)]),
        "acceptance-missing"
    );
    assert_eq!(
        code(vec![stated("mallory", "accepts", None)]),
        "acceptance-missing"
    );
    assert_eq!(code(vec![stated("alice", "accepts", None)]), "accepted");
    // Whoever was asked for and says no is not outvoted; nobody else's no counts here.
    let said = |who: &str| {
        vec![
            stated("alice", "accepts", None),
            stated(who, "rejects", None),
        ]
    };
    for who in ["alice", "bob"] {
        assert_eq!(code(said(who)), "acceptance-rejected");
    }
    assert_eq!(code(said("mallory")), "accepted");
    let two = CO_ACCEPTED.replace("[\"human\"]", "[\"human\"]\nthreshold = 2");
    let code = |says| judged(&history, &two, &tip, says);
    let alice = || stated("alice", "accepts", None);
    assert_eq!(code(vec![alice(), alice()]), "acceptance-missing");
    assert_eq!(
        code(vec![alice(), stated("bob", "accepts", None)]),
        "accepted"
    );
}

/// A link or a submodule there would be all that is below.
#[test]
fn what_takes_the_place_of_a_folder_asks_for_what_the_folder_does() {
    let history = History::new();
    let base = history.commit(&[], "alice", &[("b", "1")]);
    let code = |globs: &str, path: &str, says| {
        let rules = CO_ACCEPTED.replace("auth/*", globs);
        let tip = history.commit(&[&base], "bot", &[(path, "1"), ("b", "1")]);
        judged(&history, &rules, &tip, says)
    };
    for globs in ["auth/*", "auth/keys/*", "auth/*.pem", "auth/keys/a.pem"] {
        assert_eq!(code(globs, "auth", Vec::new()), "acceptance-missing");
        assert_eq!(code(globs, "author", Vec::new()), "accepted");
    }
    let accepted = vec![stated("alice", "accepts", None)];
    assert_eq!(code("auth/*", "auth", accepted), "accepted");
    assert_eq!(code("auth/keys/*", "auth/a", Vec::new()), "accepted");
}

/// Nor is it refused for what another rule lacks.
#[test]
fn what_a_rule_may_allow_of_which_that_is_not_known_is_undecided() {
    let history = History::new();
    let base = history.commit(&[], "alice", &[("auth/a", "1"), ("src/a", "1")]);
    let tip = history.commit(&[&base], "bot", &[("auth/a", "2"), ("src/a", "1")]);
    let code = |paths: &str, says| {
        let accepted = "[[allow]]\nprincipals = [\"agents\"]\naccepted_by = [\"human\"]\n";
        let rules = format!("{FOR_AGENTS}{accepted}paths = [\"{paths}\"]\n");
        judged(&history, &rules, &tip, says)
    };
    assert_eq!(code("auth/*", Vec::new()), "acceptance-missing");
    let accepted = vec![stated("alice", "accepts", None)];
    assert_eq!(code("auth/*", accepted), "accepted");
    assert_eq!(code("docs/*", Vec::new()), "not-authorised");
}

#[test]
fn a_signed_merge_accepts_what_it_brings_in_and_nothing_that_was_there() {
    let history = History::new();
    let base = history.commit(&[], "alice", &[("auth/a", "1")]);
    let old = history.commit(&[&base], "bot", &[("auth/a", "2")]);
    let new = history.commit(&[&old], "bot", &[("auth/a", "3")]);
    let judged_in = |tip: &str, of: &str| {
        let policy = Policy::parse(&format!("{PEOPLE}{CO_ACCEPTED}")).unwrap();
        let judge = Judge::new(&policy, &history.trust, NOW);
        let repository = history.open();
        let range = repository.select(&format!("{base}..{tip}")).unwrap();
        code_of(&verify_with(&repository, &range, &judge, None).unwrap(), of)
    };
    let merge = history.commit(&[&old, &new], "alice", &[("auth/a", "3")]);
    assert_eq!(judged_in(&merge, &new), "accepted");
    assert_eq!(judged_in(&merge, &old), "acceptance-missing");
    let by_agent = history.commit(&[&old, &new], "bot", &[("auth/a", "3")]);
    assert_eq!(judged_in(&by_agent, &new), "acceptance-missing");
    let unsigned = history.commit(&[&old, &new], "nobody", &[("auth/a", "3")]);
    assert_eq!(judged_in(&unsigned, &new), "acceptance-missing");
}

/// Judges all that some commits reach, and returns the code of one.
fn judged_at(history: &History, tips: &[&str], of: &str) -> String {
    let policy = Policy::parse(&format!("{PEOPLE}{CO_ACCEPTED}")).unwrap();
    let judge = Judge::new(&policy, &history.trust, NOW);
    let repository = history.open();
    let tips: Vec<_> = tips
        .iter()
        .map(|tip| ObjectId::from_hex(tip.as_bytes()).unwrap())
        .collect();
    let all = repository.select_reached("all", &tips, &[]).unwrap();
    code_of(&verify_with(&repository, &all, &judge, None).unwrap(), of)
}

/// Whoever throws a change away has not accepted it, and neither has who brings their own branch up
/// to date with one that has it.
#[test]
fn a_merge_accepts_what_it_keeps_and_for_the_branch_that_it_is_on() {
    let history = History::new();
    let files = |auth: &'static str, other: &'static str| [("auth/a", auth), ("b", other)];
    let commit = |parents: &[&str], who: &str, auth, other| {
        history.commit(parents, who, &files(auth, other))
    };
    let base = commit(&[], "alice", "1", "1");
    let agents = commit(&[&base], "bot", "2", "1");
    let feature = commit(&[&base], "alice", "1", "2");
    let code = |tips: &[&str]| judged_at(&history, tips, &agents);
    assert_eq!(code(&[&agents]), "acceptance-missing");
    let discarding = commit(&[&feature, &agents], "alice", "1", "2");
    assert_eq!(code(&[&discarding]), "acceptance-missing");
    // The same, with the parents the other way about: what is on the line itself nobody brought.
    let overruling = commit(&[&agents, &feature], "alice", "1", "2");
    assert_eq!(code(&[&overruling]), "acceptance-missing");
    let keeping = commit(&[&feature, &agents], "alice", "2", "2");
    assert_eq!(code(&[&keeping]), "accepted");
    let mending = commit(&[&feature, &agents], "alice", "3", "2");
    assert_eq!(code(&[&mending]), "accepted");
    // Main has it too, and there nobody merged it.
    assert_eq!(code(&[&keeping, &agents]), "acceptance-missing");
    let main = commit(&[&agents], "alice", "2", "3");
    assert_eq!(code(&[&keeping, &main]), "acceptance-missing");
    // Nor when the branch that was brought up to date goes there.
    let merged = commit(&[&main, &keeping], "alice", "2", "3");
    assert_eq!(code(&[&merged]), "acceptance-missing");
    // By way of another branch, both accept.
    let by_bot = commit(&[&feature, &keeping], "bot", "2", "2");
    assert_eq!(code(&[&by_bot]), "accepted");
    let octopus = commit(&[&feature, &main, &agents], "alice", "1", "2");
    assert_eq!(code(&[&octopus]), "acceptance-missing");
    let octopus = commit(&[&feature, &base, &agents], "alice", "2", "2");
    assert_eq!(code(&[&octopus]), "accepted");
}

/// However many merges an agent makes around its work, their trees are not looked at.
#[test]
fn only_merges_of_those_who_are_asked_for_and_do_not_count_yet_are_looked_into() {
    let history = History::new();
    let main = history.commit(&[], "alice", &[("auth/a", "1")]);
    let agents = history.commit(&[&main], "bot", &[("auth/a", "2")]);
    let merged = |who: &str, merged: &str, tree: &str| {
        let merge = history.commit_tree(&[&main, merged], who, tree);
        history.commit(&[&merge], "bot", &[("auth/a", "2")])
    };
    let (kept, gone) = (history.tree(&[("auth/a", "2")]), "1".repeat(40));
    let code = |tip: &str| judged_at(&history, &[tip], &agents);
    let by_bot = merged("bot", &agents, &gone);
    assert_eq!(code(&merged("alice", &by_bot, &kept)), "accepted");
    let by_alice = merged("alice", &agents, &kept);
    assert_eq!(code(&merged("alice", &by_alice, &gone)), "accepted");
    assert_eq!(code(&merged("alice", &agents, &gone)), "object-missing");
}

/// Commits are here, and their trees are not.
#[test]
fn a_partial_clone_is_undecided_where_a_rule_asks_for_what_is_not_here() {
    let history = History::new();
    let base = history.commit(&[], "alice", &[("src/b", "1")]);
    let tip = history.commit(&[&base], "alice", &[("src/b", "2")]);
    let git = &history.git;
    git.git_ok(&["update-ref", "refs/heads/main", &tip]);
    git.git_ok(&["config", "uploadpack.allowFilter", "true"]);
    let clone = git.home().join("clone");
    let url = format!("file://{}", git.path().display());
    let options = ["clone", "--quiet", "--no-checkout", "--filter=tree:0"];
    git.git_ok(&[&options[..], &[&url, clone.to_str().unwrap()]].concat());
    let repository = Repository::discover(&clone).unwrap();
    let judged = |rules: &str| {
        let policy = Policy::parse(&format!("{PEOPLE}{rules}")).unwrap();
        let judge = Judge::new(&policy, &history.trust, NOW);
        let selection = repository.select(&tip).unwrap();
        let outcome = verify_with(&repository, &selection, &judge, None).unwrap();
        code_of(&outcome, &tip)
    };
    let allow = "[[allow]]\nprincipals = [\"maintainers\"]\n";
    assert_eq!(judged(allow), "accepted");
    let for_some = format!("{allow}paths = [\"src/*\"]\n");
    assert_eq!(judged(&for_some), "object-missing");
}

#[test]
fn reports_call_a_signer_what_the_policy_does() {
    let history = History::new();
    let tip = history.commit(&[], "carol", &[("a", "a")]);
    let signers = |kind: &str| {
        let text = format!(
            "[[principal]]\nname = \"it\"\nkind = \"{kind}\"\nidentities = [\"*\"]\nemails = [\"*\"]\n[[allow]]\nprincipals = [\"it\"]\n"
        );
        let policy = Policy::parse(&text).unwrap();
        let judge = Judge::new(&policy, &history.trust, NOW);
        let repository = history.open();
        let selection = repository.select(&tip).unwrap();
        let outcome = verify_with(&repository, &selection, &judge, None).unwrap();
        let mut report = Vec::new();
        write_markdown(&outcome, &mut report).unwrap();
        String::from_utf8(report).unwrap()
    };
    for (kind, word) in [
        ("agent", "agents"),
        ("human", "people"),
        ("bot", "bots"),
        ("web-flow", "bots"),
    ] {
        let report = signers(kind);
        assert!(report.contains(&format!("| {word} | 1 |")), "{report}");
    }
}

/// Whoever has a key chooses by which of its names to sign, and a human may have several of both.
#[test]
fn one_person_is_counted_once_whatever_names_and_keys_they_have() {
    let history = History::new();
    let base = history.commit(&[], "alice", &[("auth/a", "1")]);
    let tip = history.commit(&[&base], "alice", &[("auth/a", "2")]);
    let person = |names: &str| {
        let identities: Vec<_> = names.split(' ').map(identity).collect();
        format!(
            "[[principal]]\nname = \"{names}\"\nkind = \"human\"\nidentities = {identities:?}\n"
        )
    };
    let code = |people: &[&str], threshold: usize, says: &[Stated]| {
        let people: String = people.iter().map(|names| person(names)).collect();
        let rules = format!(
            "{people}[[allow]]\nidentity = \"*\"\n[[require]]\naccepted_by = [\"human\"]\nthreshold = {threshold}\n"
        );
        let policy = Policy::parse(&rules).unwrap();
        let judge = Judge::new(&policy, &history.trust, NOW);
        let repository = history.open();
        let selection = repository.select(&tip).unwrap();
        let says = Says(says.to_vec());
        let outcome = verify_with(&repository, &selection, &judge, Some(&says)).unwrap();
        code_of(&outcome, &tip)
    };
    let says = |who: &str| stated(who, "accepts", None);
    let with_key_of = |who: &str, other: &str| {
        let mut stated = says(who);
        stated.by.kid = kid(other);
        stated
    };
    let everybody = ["alice", "alice2", "bob", "bob2"];
    assert_eq!(code(&everybody, 1, &[says("alice2")]), "accepted");
    assert_eq!(
        code(&everybody, 2, &[says("bob"), says("bob2")]),
        "accepted"
    );
    let one = with_key_of("bob2", "bob");
    assert_eq!(
        code(&everybody, 2, &[says("bob"), one.clone()]),
        "acceptance-missing"
    );
    // Three names of one: the second is known by its key, the third by its name.
    let third = with_key_of("bob2", "third");
    assert_eq!(
        code(&everybody, 2, &[says("bob"), third, one]),
        "acceptance-missing"
    );
    let people = ["alice alice2", "bob bob2"];
    assert_eq!(code(&people, 1, &[says("alice2")]), "acceptance-missing");
    assert_eq!(code(&people, 1, &[says("bob2")]), "accepted");
    assert_eq!(
        code(&people, 2, &[says("bob"), says("bob2")]),
        "acceptance-missing"
    );
    // Who knows how many a pattern names?
    let patterns = ["*"];
    assert_eq!(
        code(&patterns, 2, &[says("bob"), says("carol")]),
        "accepted"
    );
}
