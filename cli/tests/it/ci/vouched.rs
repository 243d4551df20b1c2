//! What a change is judged from, and by whom: nothing that it brings itself, nor what another branch
//! than the default one has.

use std::{fs, process::Output};

use serde_json::{Value, json};

use super::{NOBODY, Project, Verified, block, gitlab_script, pull_request, push, run};
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
    let event = push(NOBODY, &head);
    for variables in [&[][..], &[("NOTME_REF", MAIN)]] {
        let verified = project.job(("push", &event, "refs/heads/new"), variables);
        verified.says(0, &["1 object: 1 accepted"]);
    }
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
