//! What a change is judged from, and by whom: nothing that it brings itself, nor what another branch
//! than the default one has.

use std::{fs, process::Output};

use notme_core::hex;
use serde_json::{Value, json};

use super::{NOBODY, Project, Verified, block, gitlab_script, pull_request, push, root, run, yaml};
use crate::world::{World, told};

const POLICY: &str = ".notme/policy.toml";
const MAIN: &str = "refs/heads/main";

/// A policy for two agents: claude, who may change it, and bob, who may do this.
fn policy(bob: &str) -> String {
    let people = ["claude", "bob"].map(|name| {
        format!(
            "[[principal]]\nname = \"{name}\"\nkind = \"agent\"\nidentities = [\"wimse://*/{name}\"]\n"
        )
    });
    let claude = "[[allow]]\nprincipals = [\"claude\"]\npolicy = true\n";
    format!("{}{claude}{bob}", people.concat())
}

const BOB: &str = "[[allow]]\nprincipals = [\"bob\"]\n";
const BOB_MAY_ALL: &str = "[[allow]]\nprincipals = [\"bob\"]\npolicy = true\n";

/// Commits a file as an agent.
fn commit(work: &World, who: &str, (path, text): (&str, &str)) -> String {
    work.write(path, text);
    work.git_ok(&["add", "--all"]);
    let key = format!("user.signingkey={who}");
    work.git_ok(&["-c", &key, "commit", "--quiet", "-m", path]);
    work.git_ok(&["rev-parse", "HEAD"])
}

/// A project whose main branch has a policy, and the commit that brought it.
fn governed() -> (Project, String) {
    let project = Project::new();
    for agent in ["bob", "claude"] {
        let init = ["init", "--agent", agent, "--format", "x509"];
        project.work.notme_ok(&init);
    }
    let root = commit(&project.work, "claude", (POLICY, &policy(BOB)));
    (project, root)
}

fn into(branch: &str, base: &str, head: &str) -> Value {
    let mut event = pull_request(base, head);
    event["pull_request"]["base"]["ref"] = branch.into();
    event
}

fn queued(branch: &str, base: &str, head: &str) -> Value {
    let branch = format!("refs/heads/{branch}");
    json!({"merge_group": {"base_sha": base, "head_sha": head, "base_ref": branch}, "repository": {"default_branch": "main"}})
}

impl Project {
    /// Verifies an event with variables of the job.
    fn job(&self, of: (&str, &Value, &str), variables: &[(&str, &str)]) -> Verified {
        let mut runner = self.runner(&[]);
        for (name, value) in variables {
            runner.world.set_env(name, value);
        }
        runner.verify_with(of, &[])
    }

    /// Runs a script in a clone, with variables of the job.
    fn script(&self, script: &str, variables: &[(&str, &str)]) -> Output {
        let runner = self.runner(&[]);
        let mut job = runner.shell(&format!("set -e\n{script}"));
        job.envs(variables.iter().copied()).output().unwrap()
    }

    /// Verifies what a merge request brings, as the snippet for GitLab does.
    fn merge_request(&self, branch: &str, base: &str, head: &str) -> Output {
        let variables = [
            ("CI_COMMIT_BEFORE_SHA", NOBODY),
            ("CI_COMMIT_SHA", head),
            ("CI_MERGE_REQUEST_DIFF_BASE_SHA", base),
            ("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", head),
            ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", branch),
            ("CI_DEFAULT_BRANCH", "main"),
        ];
        self.script(&gitlab_script("notme-verify"), &variables)
    }

    /// Verifies as the snippet for Jenkins does.
    fn jenkins(&self, variables: &[(&str, &str)]) -> Output {
        let jenkins = block("jenkins.md", "groovy", 1);
        self.script(jenkins.split("'''").nth(1).unwrap(), variables)
    }
}

fn assert_said(output: &Output, code: i32, words: &str) {
    let said = told(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "{words}: {said}");
}

/// Makes a branch of two commits: what bob may do, and what he may not.
fn topic_of_bob(work: &World) -> (String, String) {
    work.git_ok(&["switch", "--quiet", "--create", "topic"]);
    let good = commit(work, "bob", ("a", "1"));
    let bad = commit(work, "bob", (POLICY, &policy(BOB_MAY_ALL)));
    (good, bad)
}

#[test]
fn the_repositorys_own_policy_judges_who_changes_it() {
    let (project, root) = governed();
    let work = &project.work;
    let (good, bad) = topic_of_bob(work);
    work.git_ok(&["tag", "--message", "signed", "v1"]);
    let v1 = work.git_ok(&["rev-parse", "v1"]);
    let pull = "refs/pull/1/merge";
    for (name, event, reference) in [
        ("push", push(NOBODY, &bad), "refs/heads/topic"),
        ("pull_request", into("main", &root, &bad), pull),
        ("pull_request", into("topic", &good, &bad), pull),
        (
            "merge_group",
            queued("main", &root, &bad),
            "refs/heads/queue",
        ),
        ("push", push(&root, &bad), MAIN),
    ] {
        let verified = project.job((name, &event, reference), &[]);
        let counts = "1 accepted, 1 rejected";
        verified.says(1, &["policy-not-authorised", counts]);
    }
    let words = "policy-not-authorised";
    assert_said(&project.merge_request("main", &root, &bad), 1, words);
    let build = [("GIT_COMMIT", bad.as_str()), ("BRANCH_NAME", "topic")];
    assert_said(&project.jenkins(&build), 1, words);
    let tag = push(NOBODY, &v1);
    project
        .job(("push", &tag, "refs/tags/v1"), &[])
        .says(1, &["policy-not-authorised", "parent-not-accepted"]);
    // Named by itself, it would judge what comes after such a change.
    for path in [POLICY, "./.notme/policy.toml"] {
        let event = into("main", &root, &good);
        let of = ("pull_request", &event, "refs/pull/1/merge");
        let verified = project.runner(&[]).verify_with(of, &[("policy", path)]);
        verified.says(3, &["::error title=notme policy-own::"]);
    }
}

/// A clone brings no statements: the snippets fetch them, and who judges without is told.
#[test]
fn what_others_state_is_fetched_before() {
    let (project, _) = governed();
    let work = &project.work;
    let asks = format!("{BOB}[[require]]\nprincipals = [\"bob\"]\naccepted_by = [\"claude\"]\n");
    let root = commit(work, "claude", (POLICY, &policy(&asks)));
    work.git_ok(&["switch", "--quiet", "--create", "topic"]);
    let head = commit(work, "bob", ("a", "1"));
    work.notme_ok(&["attest", "acceptance", "HEAD", "--agent", "claude"]);
    let event = into("main", &root, &head);
    let of = ("pull_request", &event, "refs/pull/1/merge");
    let runner = project.runner(&[]);
    let absent = "there are no attestations here";
    runner
        .verify_with(of, &[])
        .says(3, &["acceptance-missing", absent]);
    let steps = yaml(&block("github.md", "yaml", 1))["jobs"]["verify"]["steps"].clone();
    run(&mut runner.shell(steps[1]["run"].as_str().unwrap()));
    let verified = runner.verify_with(of, &[]);
    verified.says(0, &["1 object: 1 accepted"]);
    assert!(!told(&verified.output).contains(absent));
    let words = "1 object: 1 accepted";
    assert_said(&project.merge_request("main", &root, &head), 0, words);
    let build = [("GIT_COMMIT", head.as_str()), ("CHANGE_TARGET", "main")];
    assert_said(&project.jenkins(&build), 0, words);
    let here = format!(
        "git checkout --quiet {head}\n{}",
        block("shell.md", "sh", 1)
    );
    assert_said(&project.script(&here, &[]), 0, words);
    let path = work.home().join("event.json");
    fs::write(&path, event.to_string()).unwrap();
    let forgejo = yaml(&block("forgejo.md", "yaml", 1))["jobs"]["verify"]["steps"].clone();
    let variables = [
        ("GITHUB_EVENT_NAME", "pull_request"),
        ("GITHUB_EVENT_PATH", path.to_str().unwrap()),
    ];
    let forgejo = forgejo[1]["run"].as_str().unwrap();
    assert_said(&project.script(forgejo, &variables), 0, words);
}

/// Whether the default branch has a policy is not asked of what a clone may lack.
#[test]
fn no_partial_clone_leaves_the_policy_out() {
    let (project, root) = governed();
    let work = &project.work;
    work.git_ok(&["config", "uploadpack.allowFilter", "true"]);
    work.git_ok(&["switch", "--quiet", "--create", "topic"]);
    let bad = commit(work, "bob", (POLICY, &policy(BOB_MAY_ALL)));
    let event = into("main", &root, &bad);
    for (filter, code) in [
        ("--filter=blob:none", "object-missing"),
        ("--filter=tree:0", "trust-missing"),
    ] {
        let runner = project.runner(&[filter]);
        run(&mut runner.shell("git remote set-url origin file:///nonexistent"));
        let of = ("pull_request", &event, "refs/pull/1/merge");
        runner.verify_with(of, &[]).says(3, &[code]);
    }
}

/// git finds no policy in a tree that is out of order, and whoever may change anything can make one.
#[test]
fn no_order_of_names_leaves_the_policy_out() {
    let (project, root) = governed();
    let work = &project.work;
    let [trust, own] = [".notme/trust", POLICY].map(|path| {
        let id = work.git_ok(&["rev-parse", &format!("{root}:{path}")]);
        hex::decode(&id).unwrap()
    });
    let entries: [&[u8]; 4] = [b"40000 trust\0", &trust, b"100644 policy.toml\0", &own];
    let notme = work.write_object_unchecked("tree", &entries.concat());
    let whole = work.git_ok(&["ls-tree", &root]);
    let old = work.git_ok(&["rev-parse", &format!("{root}:.notme")]);
    let made = work.git_with_input(&["mktree"], whole.replace(&old, &notme).as_bytes());
    let tree = String::from_utf8(made.stdout).unwrap();
    let key = [
        "-c",
        "user.signingkey=bob",
        "commit-tree",
        "-S",
        "-m",
        "tidy",
    ];
    let tidy = work.git_ok(&[&key[..], &["-p", &root, tree.trim()]].concat());
    assert_eq!(work.git_ok(&["ls-tree", &tidy, "--", POLICY]), "");
    let pull = "refs/pull/1/merge";
    let event = into("main", &root, &tidy);
    work.git_ok(&["update-ref", "refs/heads/topic", &tidy]);
    let verified = project.job(("pull_request", &event, pull), &[]);
    verified.says(1, &["object-malformed"]);
    // Where it got there all the same.
    work.git_ok(&["switch", "--quiet", "--create", "more", &root]);
    work.git_ok(&["update-ref", "refs/heads/main", &tidy]);
    let bad = commit(work, "bob", (POLICY, &policy(BOB_MAY_ALL)));
    let tree = format!("{bad}^{{tree}}");
    let bad = work.git_ok(&[&key[..], &["-p", &tidy, &tree]].concat());
    work.git_ok(&["update-ref", "refs/heads/more", &bad]);
    let event = into("main", &tidy, &bad);
    let verified = project.job(("pull_request", &event, pull), &[]);
    verified.says(3, &["object-malformed"]);
}

/// What the default branch has is judged no more, and what it has no longer is new.
#[test]
fn what_is_proposed_is_judged_over_the_default_branch_whatever_it_began_from() {
    let project = Project::new();
    let work = &project.work;
    let base = project.base.as_str();
    work.git_ok(&["switch", "--quiet", "--create", "topic"]);
    work.signed_commit("a");
    work.git_ok(&["switch", "--quiet", "main"]);
    let old = project.unsigned("on main");
    work.git_ok(&["switch", "--quiet", "topic"]);
    work.git_ok(&["merge", "--quiet", "--no-ff", "-S", "-m", "up", "main"]);
    let head = work.git_ok(&["rev-parse", "HEAD"]);
    let verified = project.verify("pull_request", &into("main", base, &head));
    verified.says(0, &["2 objects: 2 accepted"]);
    // Taken off again.
    work.git_ok(&["branch", "--quiet", "--force", "main", base]);
    let verified = project.verify("pull_request", &into("main", &old, &head));
    verified.says(1, &["3 objects: 2 accepted, 1 rejected"]);
}

/// The pipeline of a fork runs in the fork, where all that it trusts is the fork's.
#[test]
fn what_a_fork_proposes_is_not_verified_by_the_fork_on_gitlab() {
    let project = Project::new();
    let head = project.work.signed_commit("a");
    for (of, code, words) in [("1", 0, "1 accepted"), ("2", 3, "in the project")] {
        let variables = [
            ("CI_PROJECT_ID", "1"),
            ("CI_MERGE_REQUEST_PROJECT_ID", of),
            ("CI_MERGE_REQUEST_DIFF_BASE_SHA", &project.base),
            ("CI_COMMIT_SHA", &head),
            ("CI_DEFAULT_BRANCH", "main"),
        ];
        let output = project.script(&gitlab_script("notme-verify"), &variables);
        assert_said(&output, code, words);
    }
}

/// What is no longer allowed on main comes by no branch from before that.
#[test]
fn a_branch_from_before_a_change_of_the_policy_is_judged_by_the_one_of_main() {
    let (project, root) = governed();
    let work = &project.work;
    let (good, bad) = topic_of_bob(work);
    work.git_ok(&["switch", "--quiet", "main"]);
    commit(work, "claude", ("b", "1"));
    let judged = |head: &str, code: i32, words: &str| {
        let event = into("main", &root, head);
        let verified = project.job(("pull_request", &event, "refs/pull/1/merge"), &[]);
        verified.says(code, &[words]);
    };
    judged(
        &good,
        0,
        "1 accepted without descending from the trust root",
    );
    judged(&bad, 1, "policy-not-authorised");
    // Whoever may change it may do so from an older commit, too.
    work.git_ok(&["switch", "--quiet", "--create", "other", &root]);
    let by_claude = commit(work, "claude", (POLICY, &policy(BOB_MAY_ALL)));
    judged(&by_claude, 0, "1 object: 1 accepted");
    work.git_ok(&["switch", "--quiet", "main"]);
    commit(work, "claude", (POLICY, &policy("")));
    judged(&good, 1, "not-authorised");
}

/// What is on the default branch was judged when it came there; a trust root would be taken as it is.
#[test]
fn what_the_default_branch_has_already_is_no_trust_root() {
    let (project, root) = governed();
    let work = &project.work;
    let unsigned = project.unsigned("a");
    work.git_ok(&["tag", "--no-sign", "light"]);
    for (before, reference) in [
        (NOBODY, "refs/heads/other"),
        (&root, "refs/heads/other"),
        (NOBODY, "refs/tags/light"),
        // The first push of all.
        (NOBODY, MAIN),
    ] {
        let verified = project.job(("push", &push(before, &unsigned), reference), &[]);
        assert_eq!(verified.says(1, &[]).rules(), ["unsigned"], "{reference}");
    }
    // By the policy, and not by what the trust store implies.
    let head = commit(work, "claude", (POLICY, &policy("")));
    let by_bob = commit(work, "bob", ("b", "1"));
    for reference in ["refs/heads/other", "refs/tags/light"] {
        let event = push(NOBODY, &by_bob);
        work.git_ok(&["tag", "--force", "--no-sign", "light"]);
        let verified = project.job(("push", &event, reference), &[]);
        verified.says(1, &["not-authorised"]);
    }
    project
        .job(("push", &push(&head, &by_bob), MAIN), &[])
        .says(1, &["not-authorised"]);
}

/// Whoever starts a job may be able to set its variables.
#[test]
fn a_change_is_no_trust_root_of_its_own() {
    let (project, root) = governed();
    let work = &project.work;
    work.git_ok(&["checkout", "--quiet", "-b", "evil"]);
    let evil = project.unsigned("evil");
    let event = push(NOBODY, &evil);
    let of = ("push", &event, "refs/heads/evil");
    let pinned = |root: &str| (project.runner(&[])).verify_with(of, &[("trust-root", root)]);
    pinned(&evil).says(3, &["trust-root-proposed"]);
    pinned(&root).says(1, &["unsigned"]);
    // A key has no commit, whatever there is of its name.
    let (_, document) = work.verdicts(&[&root]);
    let kid = document["objects"][0]["kid"].as_str().unwrap();
    work.git_ok(&["tag", "--no-sign", kid, &evil]);
    pinned(kid).says(1, &["unsigned"]);
}

/// A refused change of the policy that was pushed all the same judges the next push, but behind a pin.
#[test]
fn a_pinned_trust_root_outlasts_a_refused_push() {
    let (project, root) = governed();
    let work = &project.work;
    let refused = commit(work, "bob", (POLICY, &policy(BOB_MAY_ALL)));
    let next = commit(work, "bob", ("a", "1"));
    let event = push(&refused, &next);
    let of = ("push", &event, MAIN);
    let unpinned = project.runner(&[]).verify_with(of, &[]);
    unpinned.says(0, &["1 object: 1 accepted"]);
    let pinned = project
        .runner(&[])
        .verify_with(of, &[("trust-root", &root)]);
    pinned.says(1, &["parent-not-accepted"]);
    // Without the default branch, it is not known which policy judges.
    let runner = project.runner(&[]);
    run(&mut runner.shell("git update-ref -d refs/remotes/origin/main"));
    let trust = work.notme_home().join("data/trust");
    let event = push(NOBODY, &next);
    runner
        .verify_ref("push", &event, "refs/heads/topic", trust.to_str().unwrap())
        .says(3, &["::error title=notme default-branch-missing::"]);
}

/// The check stands beside the commit, whatever it was made for.
#[test]
fn what_comes_to_another_branch_is_judged_over_the_default_one() {
    let project = Project::new();
    let (work, base) = (&project.work, project.base.as_str());
    work.git_ok(&["switch", "--quiet", "--create", "y"]);
    let unsigned = project.unsigned("a");
    work.git_ok(&["switch", "--quiet", "--create", "x"]);
    let head = work.signed_commit("b");
    work.git_ok(&["tag", "--no-sign", "light"]);
    work.git_ok(&["tag", "--message", "signed", "v1"]);
    work.git_ok(&["tag", "--message", "signed", "v2"]);
    work.git_ok(&["update-ref", "refs/tags/v3", "refs/tags/v2"]);
    let [v1, v3] = ["v1", "v3"].map(|tag| work.git_ok(&["rev-parse", tag]));
    let pull = "refs/pull/1/merge";
    for (name, event, reference, rules) in [
        (
            "push",
            push(NOBODY, &head),
            "refs/heads/x",
            &["unsigned"][..],
        ),
        (
            "push",
            push(&unsigned, &head),
            "refs/heads/x",
            &["unsigned"],
        ),
        (
            "pull_request",
            into("main", base, &head),
            pull,
            &["unsigned"],
        ),
        (
            "pull_request",
            into("y", &unsigned, &head),
            pull,
            &["unsigned"],
        ),
        (
            "merge_group",
            queued("y", &unsigned, &head),
            "refs/heads/q",
            &["unsigned"],
        ),
        (
            "push",
            push(NOBODY, &head),
            "refs/tags/light",
            &["unsigned"],
        ),
        ("push", push(NOBODY, &v1), "refs/tags/v1", &["unsigned"]),
        // A tag is still held to its name.
        (
            "push",
            push(NOBODY, &v3),
            "refs/tags/v3",
            &["tag-renamed", "unsigned"],
        ),
    ] {
        let verified = project.job((name, &event, reference), &[]);
        assert_eq!(verified.says(1, &[]).rules(), rules, "{name} {reference}");
    }
    let words = "2 objects: 1 accepted, 1 rejected";
    assert_said(&project.merge_request("y", &unsigned, &head), 1, words);
    for variables in [
        [("GIT_COMMIT", head.as_str()), ("CHANGE_TARGET", "y")].as_slice(),
        &[
            ("GIT_COMMIT", &head),
            ("BRANCH_NAME", "x"),
            ("GIT_PREVIOUS_SUCCESSFUL_COMMIT", &unsigned),
        ],
    ] {
        assert_said(&project.jenkins(variables), 1, words);
    }
    // Nor does a second push hide the first where the default branch is not here.
    let runner = project.runner(&[]);
    run(&mut runner.shell("git update-ref -d refs/remotes/origin/main"));
    let trust = work.notme_home().join("data/trust");
    let trust = trust.to_str().unwrap();
    for (name, event, reference) in [
        ("push", push(&unsigned, &head), "refs/heads/x"),
        ("pull_request", into("y", &unsigned, &head), pull),
        ("push", push(NOBODY, &v1), "refs/tags/v1"),
    ] {
        let verified = runner.verify_ref(name, &event, reference, trust);
        assert_eq!(verified.says(1, &[]).rules(), ["unsigned"], "{name}");
    }
}

/// Else whoever may change any file would become whom the policy names.
#[test]
fn nobody_changes_who_is_who_without_a_right_to_it() {
    let (project, root) = governed();
    let work = &project.work;
    let of = |paths: &str| format!("{BOB}paths = [\"{paths}\"]\n");
    for (rule, code, words) in [
        (BOB.to_owned(), 1, "policy-not-authorised"),
        (of("*"), 1, "policy-not-authorised"),
        (of(".notme/trust/*"), 0, "1 object: 1 accepted"),
        (BOB_MAY_ALL.to_owned(), 0, "1 object: 1 accepted"),
    ] {
        work.git_ok(&["switch", "--quiet", "main"]);
        work.git_ok(&["reset", "--quiet", "--hard", &root]);
        let base = commit(work, "claude", (POLICY, &(policy(&rule) + "#\n")));
        work.git_ok(&["switch", "--quiet", "--force-create", "topic"]);
        let head = commit(work, "bob", (".notme/trust/more/pin.json", "{}"));
        let event = into("main", &base, &head);
        let verified = project.job(("pull_request", &event, "refs/pull/1/merge"), &[]);
        verified.says(code, &[words]);
    }
}

/// Replaces the trust store of a branch, as whom the default branch trusts.
fn trusting(work: &World, stranger: &World) -> String {
    let store = stranger.notme_home().join("data/trust");
    let script = format!("cp -r {}/* .notme/trust/", store.display());
    fs::create_dir_all(work.path().join(".notme/trust")).unwrap();
    run(&mut work.shell(&format!("rm -r .notme/trust/* && {script}")));
    work.git_ok(&["add", "--all"]);
    work.git_ok(&["commit", "--quiet", "-m", "trust"]);
    work.git_ok(&["rev-parse", "HEAD"])
}

#[test]
fn a_branch_that_is_moved_onto_the_default_one_brings_no_trust() {
    let project = Project::new();
    let work = &project.work;
    let other = World::initialised();
    other.git_ok(&["pull", "--quiet", work.path().to_str().unwrap(), "main"]);
    let stranger = other.signed_commit("a");
    work.git_ok(&["pull", "--quiet", other.path().to_str().unwrap(), "main"]);
    work.git_ok(&["switch", "--quiet", "--create", "evil", &project.base]);
    let before = trusting(work, &other);
    let event = push(&before, &stranger);
    let verified = project.job(("push", &event, "refs/heads/evil"), &[]);
    assert_eq!(verified.says(1, &[]).rules(), ["signer-untrusted"]);
    let build = [
        ("GIT_COMMIT", stranger.as_str()),
        ("BRANCH_NAME", "evil"),
        ("GIT_PREVIOUS_SUCCESSFUL_COMMIT", &before),
    ];
    assert_said(&project.jenkins(&build), 1, "signer-untrusted");
    // But one that follows a change of trust there is judged by what came of it.
    work.git_ok(&["switch", "--quiet", "main"]);
    work.git_ok(&["reset", "--quiet", "--hard", &project.base]);
    trusting(work, &other);
    other.git_ok(&["reset", "--quiet", "--hard", &project.base]);
    other.git_ok(&["pull", "--quiet", work.path().to_str().unwrap(), "main"]);
    let head = other.signed_commit("b");
    work.git_ok(&["pull", "--quiet", other.path().to_str().unwrap(), "main"]);
    let changed = work.git_ok(&["rev-parse", "HEAD~1"]);
    for reference in ["refs/heads/follows", MAIN] {
        let verified = project.job(("push", &push(&changed, &head), reference), &[]);
        verified.says(0, &["1 object: 1 accepted"]);
    }
}

#[test]
fn for_which_ref_commits_are_judged_does_not_say_which_branch_is_new() {
    let project = Project::new();
    project.unsigned("a");
    let head = project.work.signed_commit("b");
    let script = "NOTME_BASE= NOTME_BRANCH=new sh ci/notme/verify.sh";
    for reference in ["", MAIN] {
        let output = project.script(script, &[("NOTME_HEAD", &head), ("NOTME_REF", reference)]);
        assert_said(&output, 0, "1 object: 1 accepted");
    }
}

/// Nobody who may set a variable has it judged by the rules for another branch.
#[test]
fn what_is_pushed_to_a_branch_is_for_that_branch() {
    let (project, _) = governed();
    let work = &project.work;
    let only_main = format!("{BOB}refs = [\"{MAIN}\"]\n");
    let base = commit(work, "claude", (POLICY, &policy(&only_main)));
    work.git_ok(&["switch", "--quiet", "--create", "topic"]);
    let head = commit(work, "bob", ("a", "1"));
    let event = push(&base, &head);
    let main = ("NOTME_REF", MAIN);
    let verified = project.job(("push", &event, "refs/heads/topic"), &[main]);
    verified.says(1, &["not-authorised"]);
    let gitlab = [
        ("CI_COMMIT_BEFORE_SHA", base.as_str()),
        ("CI_COMMIT_SHA", &head),
        ("CI_COMMIT_BRANCH", "topic"),
        ("CI_DEFAULT_BRANCH", "main"),
        main,
    ];
    let output = project.script(&gitlab_script("notme-verify"), &gitlab);
    assert_said(&output, 1, "not-authorised");
    let build = [
        ("GIT_COMMIT", head.as_str()),
        ("BRANCH_NAME", "topic"),
        main,
    ];
    assert_said(&project.jenkins(&build), 1, "not-authorised");
    // On Jenkins, where a change is merely proposed, the job's environment says it.
    let build = [
        ("GIT_COMMIT", head.as_str()),
        ("CHANGE_TARGET", "main"),
        main,
    ];
    assert_said(&project.jenkins(&build), 0, "1 object: 1 accepted");
    // On GitLab, the job itself.
    let page = fs::read_to_string(root().join("docs/ci/gitlab.md")).unwrap();
    let asked = page.split("export `").nth(1).unwrap().split('`').next();
    let script = gitlab_script("notme-verify");
    let lines = script
        .lines()
        .map(|line| match line.split_once("NOTME_REF=") {
            Some((before, _)) => format!("{before}{}\n", asked.unwrap()),
            None => format!("{line}\n"),
        });
    let script: String = lines.collect();
    let request = [
        ("CI_MERGE_REQUEST_DIFF_BASE_SHA", base.as_str()),
        ("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", &head),
        ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main"),
        ("CI_MERGE_REQUEST_IID", "1"),
        ("CI_COMMIT_SHA", &head),
        ("CI_DEFAULT_BRANCH", "main"),
    ];
    assert_said(&project.script(&script, &request), 0, "1 accepted");
    let words = "not-authorised";
    assert_said(&project.merge_request("main", &base, &head), 1, words);
}

/// Attributes leave files out of archives and put other bytes into files.
#[test]
fn what_a_change_is_judged_by_is_taken_byte_by_byte() {
    let (project, _) = governed();
    let work = &project.work;
    let attributes = ".notme/** export-ignore\n*.toml export-subst text eol=crlf\n";
    work.write(".notme/.gitattributes", attributes);
    let smuggled = "# $Format:%n[[allow]]%nidentity=\"*\"%n$\n";
    let mine = policy("") + smuggled;
    work.write("ci/rules/é \"1\".toml", "");
    let base = commit(work, "claude", ("ci/rules.toml", &mine));
    work.git_ok(&["switch", "--quiet", "--create", "topic"]);
    let by_claude = commit(work, "claude", ("a", "1"));
    let by_bob = commit(work, "bob", ("b", "1"));
    let verify = |head: &str, policy: &str| {
        let script = "NOTME_BASE= NOTME_BRANCH=topic sh ci/notme/verify.sh";
        project.script(script, &[("NOTME_HEAD", head), ("NOTME_POLICY", policy)])
    };
    assert_said(&verify(&by_claude, "ci/rules.toml"), 0, "1 accepted");
    assert_said(&verify(&by_bob, "ci/rules.toml"), 1, "not-authorised");
    assert_said(
        &verify(&by_claude, "ci/rules"),
        3,
        "error: trust-unreadable: ",
    );
    // Links and submodules bring what is elsewhere.
    work.git_ok(&["switch", "--quiet", "main"]);
    for mode in ["120000", "160000"] {
        let object = match mode {
            "120000" => work.git_ok(&["rev-parse", "HEAD:ci/rules.toml"]),
            _ => base.clone(),
        };
        let entry = format!("{mode},{object},.notme/trust/more");
        work.git_ok(&["update-index", "--add", "--cacheinfo", &entry]);
        work.git_ok(&["commit", "--quiet", "-m", mode]);
        assert_said(&verify(&by_claude, ""), 3, "error: trust-unreadable: ");
    }
}
