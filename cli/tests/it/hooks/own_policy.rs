//! What a server takes in by the policy that is in the repository itself.

use notme_testkit::repository::Repository;

use super::{
    notme_in_ok,
    receive::{accepted, refused},
};
use crate::world::World;

const POLICY: &str = ".notme/policy.toml";

/// A policy of principals, each an agent of that name, and rules.
fn policy(rules: &str) -> String {
    let people = ["claude", "bob", "carol"].map(|name| {
        format!(
            "[[principal]]\nname = \"{name}\"\nkind = \"agent\"\nidentities = [\"wimse://*/{name}\"]\n"
        )
    });
    format!("{}{rules}", people.concat())
}

fn allow(who: &str, more: &str) -> String {
    format!("[[allow]]\nprincipals = [\"{who}\"]\n{more}\n")
}

/// Commits files as an agent.
fn commit(world: &World, who: &str, files: &[(&str, &str)]) -> String {
    for (path, text) in files {
        world.write(path, text);
    }
    world.git_ok(&["add", "."]);
    let key = format!("user.signingkey={who}");
    world.git_ok(&["-c", &key, "commit", "--quiet", "-m", who]);
    world.git_ok(&["rev-parse", "HEAD"])
}

/// A user with three agents, and a server that judges by the repository's own policy, which has
/// these rules.
fn served(rules: &str, options: &[&str]) -> (World, Repository, String) {
    let world = World::initialised();
    for agent in ["bob", "carol", "claude"] {
        world.notme_ok(&["init", "--agent", agent, "--format", "x509"]);
    }
    let bare = world.remote();
    let root = commit(&world, "claude", &[(POLICY, &policy(rules))]);
    let install = ["hooks", "install", "--server", "--trust-root", &root];
    notme_in_ok(&world, &bare.path(), &[&install[..], options].concat());
    (world, bare, root)
}

#[test]
fn the_branchs_own_policy_judges_a_push() {
    for option in [&[][..], &["--update"]] {
        let before = allow("claude", "policy = true");
        let (world, _bare, _) = served(&before, option);
        accepted(&world, &["main"]);
        commit(&world, "bob", &[("a", "1")]);
        refused(&world, &["main"], "not-authorised");
        // Nor does he let himself in.
        let after = format!("{before}{}", allow("bob", ""));
        world.git_ok(&["reset", "-q", "--hard", "HEAD~1"]);
        commit(&world, "bob", &[(POLICY, &policy(&after))]);
        refused(&world, &["main"], "not-authorised");
        world.git_ok(&["reset", "-q", "--hard", "HEAD~1"]);
        // The change, and whom it lets in, in one push.
        commit(&world, "claude", &[(POLICY, &policy(&after))]);
        commit(&world, "bob", &[("a", "1")]);
        accepted(&world, &["main"]);
        commit(
            &world,
            "bob",
            &[(POLICY, &policy(&allow("bob", "policy = true")))],
        );
        refused(&world, &["main"], "policy-not-authorised");
    }
}

/// Whoever lost the right cannot go on from a commit before that; what others build on such a
/// commit is taken.
#[test]
fn what_was_taken_back_does_not_come_back_by_an_older_commit() {
    let rules = |who: &[&str]| -> String {
        let others = who.iter().map(|who| allow(who, ""));
        [allow("claude", "policy = true")]
            .into_iter()
            .chain(others)
            .collect()
    };
    let (world, bare, root) = served(&rules(&["bob", "carol"]), &[]);
    accepted(&world, &["main"]);
    commit(&world, "claude", &[(POLICY, &policy(&rules(&["carol"])))]);
    accepted(&world, &["main"]);
    let main = world.git_ok(&["rev-parse", "HEAD"]);
    // Nor by taking commits away, whatever else is protected.
    bare.git_ok(&["config", "notme.protect", "refs/heads/release/*"]);
    refused(&world, &[&format!("+{root}:refs/heads/main")], "ref-rewind");
    bare.git_ok(&["config", "--unset", "notme.protect"]);
    world.git_ok(&["checkout", "-q", "-b", "old", &root]);
    commit(&world, "bob", &[("a", "1")]);
    refused(&world, &["old"], "not-authorised");
    // Nor in two steps.
    accepted(&world, &["old~1:refs/heads/old"]);
    refused(&world, &["old"], "not-authorised");
    accepted(&world, &[":refs/heads/old"]);
    world.git_ok(&["checkout", "-q", "-b", "older", &root]);
    commit(&world, "carol", &[("b", "1")]);
    accepted(&world, &["older"]);
    // A merge brings it to the main branch no more than a push does.
    world.git_ok(&["checkout", "-q", "main"]);
    world.git_ok(&["merge", "-q", "--no-edit", "older"]);
    accepted(&world, &["main"]);
    world.git_ok(&["merge", "-q", "--no-edit", "old"]);
    refused(&world, &["main"], "not-authorised");
    // Nor two refs in one push.
    refused(
        &world,
        &["main:refs/heads/x", "old:refs/heads/y"],
        "not-authorised",
    );
    assert_ne!(bare.git_ok(&["rev-parse", "main"]), main);
    assert_eq!(
        bare.git_ok(&["for-each-ref", "refs/heads"]).lines().count(),
        2
    );
}

/// A right to change the policy that was taken back, and the policy that somebody made with it beside
/// the main branch.
#[test]
fn a_policy_of_a_side_line_lets_nobody_in() {
    let claude = allow("claude", "policy = true");
    let bob = |more| [claude.clone(), allow("bob", more)].concat();
    let (world, bare, root) = served(&bob("policy = true"), &[]);
    accepted(&world, &["main"]);
    commit(&world, "claude", &[(POLICY, &policy(&bob("")))]);
    accepted(&world, &["main"]);
    let main = world.git_ok(&["rev-parse", "HEAD"]);
    world.git_ok(&["checkout", "-q", "-b", "side", &root]);
    let everybody = [bob("policy = true"), allow("carol", "")].concat();
    commit(&world, "bob", &[(POLICY, &policy(&everybody))]);
    refused(&world, &["side"], "not-authorised");
    commit(&world, "carol", &[("backdoor", "1")]);
    // A merge that leaves the policy of main as it is.
    world.git_ok(&["checkout", "-q", "main"]);
    let merge = [
        "-c",
        "user.signingkey=bob",
        "merge",
        "-q",
        "--no-edit",
        "-X",
        "ours",
    ];
    world.git_ok(&[&merge[..], &["side"]].concat());
    refused(&world, &["main"], "not-authorised");
    assert_eq!(bare.git_ok(&["rev-parse", "main"]), main);
}

/// Where the end of the main branch is not accepted, nobody knows who may what beside it.
#[test]
fn beside_a_main_branch_that_is_not_accepted_nothing_lands() {
    let (world, bare, root) = served(&allow("claude", "policy = true"), &[]);
    accepted(&world, &["main"]);
    commit(&world, "claude", &[("a", "1")]);
    accepted(&world, &["main"]);
    world.git_ok(&["checkout", "-q", "-b", "side", &root]);
    commit(&world, "claude", &[("b", "1")]);
    accepted(&world, &["side"]);
    let tree = bare.git_ok(&["rev-parse", "main^{tree}"]);
    let main = bare.git_ok(&["rev-parse", "main"]);
    let unsigned = ["-c", "user.name=x", "-c", "user.email=x@example.invalid"];
    let unsigned = [
        &unsigned[..],
        &["commit-tree", "-p", &main, "-m", "x", &tree],
    ]
    .concat();
    let unsigned = bare.git_ok(&unsigned);
    bare.git_ok(&["update-ref", "refs/heads/main", &unsigned]);
    commit(&world, "claude", &[("b", "2")]);
    refused(&world, &["side"], "parent-not-accepted");
}

/// What the main branch has is for that branch, whoever goes on from it where.
#[test]
fn rules_for_refs_are_those_of_the_ref_that_is_pushed_to() {
    let rules = [
        allow(
            "claude",
            "policy = true\nrefs = [\"refs/heads/main\", \"refs/tags/*\"]",
        ),
        allow("bob", "refs = [\"refs/heads/topic/*\"]"),
    ];
    let (world, bare, _) = served(&rules.concat(), &[]);
    accepted(&world, &["main"]);
    commit(&world, "claude", &[("a", "1")]);
    accepted(&world, &["main"]);
    world.git_ok(&["checkout", "-q", "-b", "topic/b"]);
    commit(&world, "bob", &[("b", "1")]);
    refused(&world, &["topic/b:refs/heads/other"], "not-authorised");
    refused(&world, &["topic/b:main"], "not-authorised");
    accepted(&world, &["topic/b"]);
    commit(&world, "bob", &[("b", "2")]);
    accepted(&world, &["topic/b"]);
    world.git_ok(&["tag", "-m", "x", "v1", "main"]);
    accepted(&world, &["v1"]);
    world.git_ok(&["-c", "user.signingkey=bob", "tag", "-m", "x", "v2", "main"]);
    refused(&world, &["v2"], "not-authorised");
    // Of a policy in a file the same.
    let file = world.policy(&policy(&rules.concat()));
    notme_in_ok(
        &world,
        &bare.path(),
        &["hooks", "install", "--server", "--policy", &file],
    );
    commit(&world, "bob", &[("b", "3")]);
    refused(&world, &["topic/b:refs/heads/other"], "not-authorised");
    accepted(&world, &["topic/b"]);
}

/// A signed push is somebody's who may sign for each of its refs. Nobody states anything about it.
#[test]
fn a_signed_push_is_judged_for_its_refs() {
    let rules = [
        allow("claude", "policy = true\nrefs = [\"refs/heads/main\"]"),
        allow("bob", "refs = [\"refs/heads/topic\"]"),
        "[[require]]\nprincipals = [\"bob\"]\nlevel = \"L2\"\n".to_owned(),
    ];
    let (world, bare, _) = served(&rules.concat(), &[]);
    bare.git_ok(&["config", "receive.certNonceSeed", "seed"]);
    bare.git_ok(&["config", "notme.pushCert", "required"]);
    let push = |who: &str, spec: &str| {
        let key = format!("user.signingkey={who}");
        world.git(&["-c", &key, "push", "--signed", "origin", spec])
    };
    assert!(!push("bob", "main").status.success());
    assert!(push("claude", "main").status.success());
    assert!(!push("claude", "main:refs/heads/topic").status.success());
    assert!(push("bob", "main:refs/heads/topic").status.success());
}

/// A policy that asks for statements is asked where they are kept, and what comes in the same push.
#[test]
fn statements_that_come_along_count() {
    let rules = [
        allow("claude", "policy = true"),
        "[[require]]\nprincipals = [\"claude\"]\npaths = [\"src/*\"]\nlevel = \"L2\"\naccepted_by = [\"bob\"]\n"
            .to_owned(),
    ];
    let (world, bare, _) = served(&rules.concat(), &[]);
    accepted(&world, &["main"]);
    let all = "refs/attestations/*:refs/attestations/*";
    commit(&world, "claude", &[("src/a", "1")]);
    refused(&world, &["main"], "attestation-missing");
    world.notme_ok(&["attest", "dispatch"]);
    refused(&world, &["main", all], "acceptance-missing");
    world.notme_ok(&["attest", "acceptance", "HEAD", "--agent", "bob"]);
    refused(&world, &["main"], "attestation-missing");
    let said = refused(
        &world,
        &["main:refs/heads/main", "main:refs/heads/x"],
        "attestation-missing",
    );
    assert!(said.contains("refs/heads/x: commit"), "{said}");
    accepted(&world, &["main", "main:refs/heads/x", all]);
    // Those that are kept there count for the next push.
    commit(&world, "claude", &[("src/a", "2")]);
    world.notme_ok(&["attest", "dispatch"]);
    world.notme_ok(&["attest", "acceptance", "HEAD", "--agent", "bob"]);
    accepted(&world, &[all]);
    accepted(&world, &["main"]);
    assert_eq!(
        bare.git_ok(&["rev-parse", "main"]),
        world.git_ok(&["rev-parse", "main"])
    );
}

#[test]
fn a_trust_root_that_cannot_be_used_lets_nothing_in() {
    let (world, bare, root) = served(&allow("claude", "policy = true"), &[]);
    bare.git_ok(&["config", "notme.trustRoot", &"1".repeat(40)]);
    refused(&world, &["main"], "object-missing");
    bare.git_ok(&["config", "notme.trustRoot", "main"]);
    refused(&world, &["main"], "could not be verified");
    bare.git_ok(&["config", "notme.trustRoot", &root]);
    bare.git_ok(&["config", "notme.policy", "/nowhere"]);
    refused(&world, &["main"], "both set");
    bare.git_ok(&["config", "--unset", "notme.policy"]);
    // By the key that signed the first policy: there has to be one such commit.
    let (_, document) = world.verdicts(&[&root]);
    let kid = document["objects"][0]["kid"].as_str().unwrap().to_owned();
    bare.git_ok(&["config", "notme.trustRoot", &kid]);
    accepted(&world, &["main"]);
}
