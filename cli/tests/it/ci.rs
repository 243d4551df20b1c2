//! CI jobs as the forges run them: a real clone, with the event or the variables of the forge.
//!
//! What is run are the scripts of action/, the steps of the composite actions and the snippets of
//! docs/ci.

mod vouched;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use notme_testkit::{issuer::TestIssuer, jwt::TokenKey, oracle::oracle, repository::Repository};
use serde_json::{Value, json};

use crate::world::{Operator, Served, World, told};

const NOBODY: &str = "0000000000000000000000000000000000000000";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// A project whose trust store is in the repository, and the clone that a job works in.
struct Project {
    work: World,
    /// The first commit, which has the trust store.
    base: String,
}

impl Project {
    fn new() -> Self {
        oracle("jq");
        let work = World::initialised();
        let script = "mkdir -p .notme ci && cp -r \"$NOTME_HOME/data/trust\" .notme/trust";
        run(&mut work.shell(script));
        copy(&root().join("action"), &work.path().join("ci/notme"));
        work.git_ok(&["add", "--all"]);
        work.git_ok(&["commit", "--quiet", "--message", "trust"]);
        let base = work.git_ok(&["rev-parse", "HEAD"]);
        Self { work, base }
    }

    fn unsigned(&self, name: &str) -> String {
        self.work.commit(name, name)
    }

    /// Clones what is there, as a checkout action does, for a user who knows nobody.
    fn runner(&self, options: &[&str]) -> Runner {
        let mut world = World::of(Repository::bare());
        let runner = world.home().join("runner");
        let url = format!("file://{}", self.work.path().display());
        let clone = ["clone", "--quiet"];
        let target = [url.as_str(), runner.to_str().unwrap()];
        world.git_ok(&[&clone[..], options, &target].concat());
        let temp = world.home().join("temp");
        fs::create_dir(&temp).unwrap();
        world.set_env("TMPDIR", &temp);
        world.set_env("RUNNER_TEMP", temp);
        Runner { world, runner }
    }

    /// Verifies the event in a whole clone.
    fn verify(&self, name: &str, event: &Value) -> Verified {
        self.runner(&[]).verify(name, event)
    }

    /// A push to a branch.
    fn push(&self, before: &str, after: &str) -> Verified {
        self.verify("push", &push(before, after))
    }
}

fn push(before: &str, after: &str) -> Value {
    json!({"before": before, "after": after, "repository": {"default_branch": "main"}})
}

fn pull_request(base: &str, head: &str) -> Value {
    json!({"pull_request": {"base": {"sha": base, "ref": "main"}, "head": {"sha": head}}, "repository": {"default_branch": "main"}})
}

fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").arg("-r").arg(from).arg(to));
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", told(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Where a job runs.
struct Runner {
    world: World,
    runner: PathBuf,
}

impl Runner {
    /// A shell in the checkout.
    fn shell(&self, script: &str) -> Command {
        let mut command = self.world.shell(script);
        command.current_dir(&self.runner);
        command
    }

    /// Runs the composite action `verify` for an event.
    fn verify(&self, name: &str, event: &Value) -> Verified {
        self.verify_ref(name, event, "refs/heads/main", "")
    }

    fn verify_ref(&self, name: &str, event: &Value, reference: &str, trust: &str) -> Verified {
        let trust = [("trust", trust)];
        let given = if trust[0].1.is_empty() {
            &[][..]
        } else {
            &trust
        };
        self.verify_with((name, event, reference), given)
    }

    fn verify_with(&self, of: (&str, &Value, &str), inputs: &[(&str, &str)]) -> Verified {
        let (name, event, reference) = of;
        let output = self.action("verify", inputs, name, event, reference);
        let read = |name: &str| {
            let path = self.world.home().join("temp/notme-reports").join(name);
            fs::read_to_string(path).unwrap_or_default()
        };
        Verified {
            sarif: serde_json::from_str(&read("notme.sarif")).unwrap_or_default(),
            summary: fs::read_to_string(self.world.home().join("summary")).unwrap_or_default(),
            output,
        }
    }

    /// Runs the steps of a composite action.
    fn action(
        &self,
        action: &str,
        inputs: &[(&str, &str)],
        event_name: &str,
        event: &Value,
        reference: &str,
    ) -> Output {
        let place = root().join("action").join(action);
        let action = yaml(&fs::read_to_string(place.join("action.yml")).unwrap());
        let event_file = self.world.home().join("event.json");
        fs::write(&event_file, event.to_string()).unwrap();
        assert_eq!(action["runs"]["using"], "composite");
        let [step] = action["runs"]["steps"].as_array().unwrap().as_slice() else {
            panic!("{action}");
        };
        // An input in a script would be a script that others write.
        let script = step["run"].as_str().unwrap();
        assert!(!script.contains("${{"), "{script}");
        assert_eq!(step["shell"], "sh");
        let mut command = self.shell(&format!("set -e\n{script}"));
        for (name, value) in step["env"].as_object().unwrap() {
            let mut value = value.as_str().unwrap().to_owned();
            let defaults = action["inputs"].as_object().unwrap().iter();
            let defaults = defaults.map(|(input, it)| (input, it["default"].as_str()));
            let given = inputs.iter().map(|(input, given)| (*input, Some(*given)));
            for (input, given) in given.chain(defaults.map(|(input, it)| (input.as_str(), it))) {
                let given = given.unwrap_or_default();
                value = value.replace(&format!("${{{{ inputs.{input} }}}}"), given);
            }
            let temp = self.world.home().join("temp");
            value = value.replace("${{ runner.temp }}", temp.to_str().unwrap());
            assert!(!value.contains("${{"), "{name}: {value}");
            command.env(name, value);
        }
        command
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_ACTION_PATH", place)
            .env("GITHUB_ENV", self.world.home().join("env"))
            .env("GITHUB_EVENT_NAME", event_name)
            .env("GITHUB_EVENT_PATH", event_file)
            .env("GITHUB_OUTPUT", self.world.home().join("output"))
            .env("GITHUB_REF", reference)
            .env("GITHUB_STEP_SUMMARY", self.world.home().join("summary"))
            .env_remove("NOTME_HOME")
            .output()
            .unwrap()
    }
}

/// What came of a job.
struct Verified {
    output: Output,
    sarif: Value,
    summary: String,
}

impl Verified {
    /// Checks the exit code and that something was said by name; a word without a level is of
    /// the summary.
    fn says(&self, code: i32, words: &[&str]) -> &Self {
        let said = format!("{}\n{}", told(&self.output), self.summary);
        assert_eq!(self.output.status.code(), Some(code), "{said}");
        assert!(!said.contains("info/grafts"), "{said}");
        for words in words {
            assert!(said.contains(words), "{words}: {said}");
        }
        self
    }

    /// Returns the rules of the SARIF results.
    fn rules(&self) -> Vec<&str> {
        assert_eq!(self.sarif["version"], "2.1.0", "{}", told(&self.output));
        let results = self.sarif["runs"][0]["results"].as_array().unwrap();
        let rules = results.iter().map(|it| it["ruleId"].as_str().unwrap());
        rules.collect()
    }
}

fn yaml(text: &str) -> Value {
    oracle("jq");
    let output =
        notme_testkit::repository::run(Command::new(oracle("yq")).arg("."), text.as_bytes());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", told(&output)))
}

/// Returns the first block of a document in a language.
fn block(document: &str, language: &str, number: usize) -> String {
    let text = fs::read_to_string(root().join("docs/ci").join(document)).unwrap();
    let fence = format!("```{language}\n");
    let block = text
        .split(&fence)
        .nth(number)
        .unwrap_or_else(|| panic!("{document}"));
    block.split("```").next().unwrap().to_owned()
}

/// Returns what a job of the snippet for GitLab runs.
fn gitlab_script(job: &str) -> String {
    let lines = yaml(&block("gitlab.md", "yaml", 1))[job]["script"].clone();
    let lines: Vec<String> = serde_json::from_value(lines).unwrap();
    format!("set -e\n{}", lines.join("\n"))
}

#[test]
fn the_scripts_please_shellcheck() {
    let action = root().join("action");
    for script in ["event.sh", "verify.sh", "sign.sh"] {
        let output = Command::new(oracle("shellcheck"))
            .args(["--shell=sh", "--severity=style"])
            .arg(action.join(script))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", told(&output));
    }
    let verify = fs::read_to_string(action.join("verify.sh")).unwrap();
    assert!(
        !verify.contains("curl") && !verify.contains("TOKEN"),
        "verify needs no network"
    );
}

#[test]
fn a_push_of_signed_commits_is_accepted_and_reported() {
    let project = Project::new();
    project.work.signed_commit("a");
    let head = project.work.signed_commit("b");
    let verified = project.push(&project.base, &head);
    verified.says(0, &["2 objects: 2 accepted, 0 rejected"]);
    assert!(verified.rules().is_empty());
    let said = told(&verified.output);
    assert!(
        !said.contains("::error") && !said.contains("hint:"),
        "{said}"
    );
}

#[test]
fn an_unsigned_commit_is_annotated_and_fails_the_job() {
    let project = Project::new();
    let bad = project.unsigned("a");
    let head = project.work.signed_commit("b");
    for (name, event) in [
        ("push", push(&project.base, &head)),
        ("pull_request", pull_request(&project.base, &head)),
        (
            "merge_group",
            json!({"merge_group": {"base_sha": project.base, "head_sha": head, "base_ref": "refs/heads/main"}}),
        ),
    ] {
        let verified = project.verify(name, &event);
        let annotation =
            format!("title=notme%3A unsigned::commit {bad}: The object carries no signature");
        verified.says(
            1,
            &[
                &annotation,
                "1 accepted, 1 rejected",
                "| rejected: ` unsigned ` |",
            ],
        );
        assert_eq!(verified.rules(), ["unsigned"]);
    }
}

/// The fork's own authority vouches for it, and its trust store says so; the base's does not.
#[test]
fn a_fork_cannot_bring_its_own_trust() {
    let project = Project::new();
    let fork = World::initialised();
    fork.git_ok(&[
        "pull",
        "--quiet",
        project.work.path().to_str().unwrap(),
        "main",
    ]);
    let script = "rm -r .notme/trust && cp -r \"$NOTME_HOME/data/trust\" .notme/trust && git add --all && git commit --quiet -m trust";
    run(&mut fork.shell(script));
    let head = fork.signed_commit("a");
    let runner = project.runner(&[]);
    let url = format!("file://{}", fork.path().display());
    run(&mut runner.shell(&format!(
        "git fetch --quiet {url} main:refs/remotes/pull/1/head"
    )));
    let verified = runner.verify("pull_request", &pull_request(&project.base, &head));
    verified.says(1, &["0 accepted, 2 rejected"]);
    assert_eq!(verified.rules(), ["signer-untrusted"; 2]);
}

/// A branch that nobody judged brings a trust store first, and what it vouches for afterwards.
#[test]
fn a_branch_cannot_bring_its_own_trust_in_two_steps() {
    let project = Project::new();
    let work = &project.work;
    work.git_ok(&["switch", "--quiet", "--create", "topic"]);
    let other = World::initialised();
    let stranger = other.notme_home().join("data/trust");
    copy(&stranger, &work.path().join(".notme/other"));
    run(&mut work.shell("rm -r .notme/trust && mv .notme/other .notme/trust && git add --all"));
    work.git_ok(&["commit", "--quiet", "-m", "trust"]);
    let first = work.git_ok(&["rev-parse", "HEAD"]);
    other.git_ok(&["pull", "--quiet", work.path().to_str().unwrap(), "topic"]);
    let second = other.signed_commit("a");
    work.git_ok(&["pull", "--quiet", other.path().to_str().unwrap(), "main"]);
    assert_eq!(
        project.push(&first, &second).says(1, &[]).rules(),
        ["signer-untrusted"]
    );
    let pull_request = project.verify("pull_request", &pull_request(&first, &second));
    assert_eq!(pull_request.says(1, &[]).rules(), ["signer-untrusted"]);
}

#[test]
fn what_is_missing_is_named() {
    let project = Project::new();
    let (base, gone) = (&project.base, "1".repeat(40));
    let runner = project.runner(&[]);
    for (code, before) in [
        ("program-missing", "NOTME_PROGRAM=notme-nowhere".to_owned()),
        (
            "program-missing",
            "rm -f $STUBS/*; PATH=$STUBS; export PATH".to_owned(),
        ),
        ("object-missing", format!("NOTME_HEAD={gone}")),
        ("object-missing", "NOTME_HEAD=".to_owned()),
        (
            "repository-unusable",
            "export GIT_TEST_ASSUME_DIFFERENT_OWNER=1".to_owned(),
        ),
        (
            "trust-missing",
            "NOTME_POLICY=.notme/policy.toml".to_owned(),
        ),
    ] {
        let known =
            format!("export NOTME_BASE={base} NOTME_HEAD={base} NOTME_PROGRAM NOTME_POLICY");
        let script = format!("{known}\n{before}\nexec /bin/sh ci/notme/verify.sh");
        let output = runner.shell(&script).output().unwrap();
        let said = told(&output);
        assert_eq!(output.status.code(), Some(3), "{code}: {said}");
        assert!(said.contains(&format!("error: {code}: ")), "{code}: {said}");
    }
}

/// What a change brings where the reports go is not what the job keeps, however the job ends.
#[test]
fn a_change_brings_no_reports_of_its_own() {
    let project = Project::new();
    let (base, work) = (&project.base, &project.work);
    let theirs = [
        "mkdir notme-reports && echo green | tee notme-reports/notme.xml notme-reports/notme-code-quality.json",
        "mkdir fake && echo green >fake/notme.xml && ln -s fake notme-reports",
        "mkdir -p notme-reports/notme.md notme-reports/notme.xml && touch notme-reports/notme.md/x notme-reports/notme.xml/x",
    ];
    for theirs in theirs {
        work.git_ok(&["switch", "--quiet", "--force-create", "topic", base]);
        run(&mut work.shell(theirs));
        work.git_ok(&["add", "--all"]);
        let bad = project.unsigned("a");
        work.git_ok(&["commit", "--quiet", "--amend", "--gpg-sign", "--no-edit"]);
        let good = work.git_ok(&["rev-parse", "HEAD"]);
        for (head, more, code) in [
            (&good, "", 0),
            (&bad, "", 1),
            (&bad, "NOTME_POLICY=missing", 3),
            (&bad, "NOTME_PROGRAM=missing", 3),
        ] {
            let runner = project.runner(&["--branch", "topic"]);
            let fetch = format!("git fetch --quiet origin {bad}");
            run(&mut runner.shell(&fetch));
            let variables = format!("NOTME_BASE={base} NOTME_HEAD={head} NOTME_BRANCH=main {more}");
            let job = format!("{variables} exec sh ci/notme/verify.sh");
            let output = runner.shell(&job).output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{}", told(&output));
            let reports = runner.runner.join("notme-reports");
            let kept = fs::read_to_string(reports.join("notme.xml"));
            match code {
                3 => assert!(kept.is_err(), "{kept:?}"),
                _ => assert!(kept.unwrap().contains("<testsuite "), "{theirs}"),
            }
            assert_eq!(reports.join("notme-code-quality.json").exists(), code != 3);
        }
    }
}

/// What is taken away before is ours, wherever a link of the change leads.
#[test]
fn reports_beyond_a_link_of_the_change_are_left_alone() {
    let project = Project::new();
    let base = project.base.as_str();
    let link = "ln -s /tmp/notme-none link; mkdir made; ln -s ../theirs made/link";
    run(&mut project.work.shell(link));
    project.work.git_ok(&["add", "--all"]);
    let head = project.work.signed_commit("a");
    for (reports, refusal) in [
        ("link/made", "link is a link"),
        ("$PWD/made/link/made", "made/link is a link"),
        ("made/link/made", "made/link is a link"),
        ("made/link//made//", "made/link is a link"),
        ("/", "NOTME_REPORTS is no directory"),
        // It cannot be taken away, and ends nothing but the reports.
        ("link", "link can't be taken away"),
    ] {
        let runner = project.runner(&[]);
        runner.world.stub("rm", "exit 1");
        let theirs = "mkdir -p theirs/made && echo theirs >theirs/made/notme.xml";
        let variables = format!("NOTME_BASE={base} NOTME_HEAD={head} NOTME_REPORTS={reports}");
        let job = format!("{theirs}\n{variables} exec sh ci/notme/verify.sh");
        let output = runner.shell(&job).output().unwrap();
        let said = told(&output);
        assert_eq!(output.status.code(), Some(3), "{said}");
        let expected = format!("error: reports-unwritable: {refusal}");
        assert!(said.contains(&expected), "{said}");
        let theirs = runner.runner.join("theirs/made/notme.xml");
        assert_eq!(fs::read_to_string(theirs).unwrap(), "theirs\n");
    }
}

/// What was rejected is told to be, whether somebody could write that down or not.
#[test]
fn reports_that_cannot_be_written_are_no_verdict() {
    let project = Project::new();
    let good = project.work.signed_commit("a");
    let bad = project.unsigned("b");
    for (head, code) in [(&good, 3), (&bad, 1)] {
        let runner = project.runner(&[]);
        fs::write(runner.runner.join("notme-reports"), "").unwrap();
        let variables = format!("NOTME_BASE={} NOTME_HEAD={head}", project.base);
        let job = format!("{variables} exec sh ci/notme/verify.sh");
        let output = runner.shell(&job).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", told(&output));
        assert!(told(&output).contains("error: reports-unwritable: "));
    }
}

#[test]
fn events_that_say_nothing_or_too_much_are_refused() {
    let project = Project::new();
    let head = project.work.signed_commit("a");
    for (name, event) in [
        ("pull_request_target", pull_request(&project.base, &head)),
        ("workflow_dispatch", json!({})),
        ("push", push(&project.base, "$(touch pwned)")),
        ("push", push("main", &head)),
        ("merge_group", json!({})),
        (
            "pull_request",
            json!({"pull_request": {"base": {"sha": project.base}, "head": {"sha": head}}}),
        ),
    ] {
        let verified = project.verify(name, &event);
        verified.says(2, &["error: event-refused: "]);
    }
}

#[test]
fn a_shallow_clone_is_refused_unless_it_reaches_far_enough() {
    let project = Project::new();
    project.work.signed_commit("a");
    let head = project.work.signed_commit("b");
    let event = push(&project.base, &head);
    for (depth, code) in [("1", 3), ("2", 3), ("3", 0)] {
        let runner = project.runner(&["--depth", depth]);
        let verified = runner.verify("push", &event);
        let words: &[&str] = if code == 3 {
            &["::error title=notme clone-shallow::"]
        } else {
            &[]
        };
        verified.says(code, words);
    }
    // With a base that is there, and a history between that is not.
    let other = project
        .work
        .git_ok(&["commit-tree", "-m", "x", "HEAD^{tree}"]);
    project.work.git_ok(&["branch", "other", &other]);
    let runner = project.runner(&["--depth", "1", "--no-single-branch"]);
    let trust = project.work.path().join(".notme/trust");
    let verified = runner.verify_ref(
        "push",
        &push(&other, &head),
        "refs/heads/main",
        trust.to_str().unwrap(),
    );
    verified.says(3, &["::error title=notme clone-shallow::"]);
}

#[test]
fn branches_that_begin_end_or_are_forced_are_judged_over_the_default_branch() {
    let project = Project::new();
    let work = &project.work;
    let first = project.push(NOBODY, &project.base);
    first.says(
        0,
        &[
            "::notice title=notme trust-from-head::",
            "1 object: 1 accepted",
        ],
    );
    work.git_ok(&["switch", "--quiet", "--create", "topic"]);
    let head = work.signed_commit("a");
    let gone = "1".repeat(40);
    project
        .push(NOBODY, &head)
        .says(0, &["1 object: 1 accepted"]);
    project.push(&gone, &head).says(
        0,
        &["::notice title=notme base-gone::", "1 object: 1 accepted"],
    );
    project
        .push(&head, NOBODY)
        .says(0, &["::notice title=notme nothing-to-judge::"]);
    let bad = project.unsigned("b");
    project
        .push(NOBODY, &bad)
        .says(1, &["2 objects: 1 accepted, 1 rejected"]);
    // A forced push of the default branch: nothing is left that tells what was before.
    work.git_ok(&["branch", "--force", "main", &bad]);
    work.git_ok(&["switch", "--quiet", "main"]);
    project
        .push(&gone, &bad)
        .says(3, &["::error title=notme base-gone::"]);
    // Another branch that was forced there brings nothing.
    let event = push(&gone, &bad);
    let other = project
        .runner(&[])
        .verify_ref("push", &event, "refs/heads/other", "");
    other.says(1, &["::notice title=notme base-gone::", "1 object: "]);
}

/// The push after it would be judged by what was taken back.
#[test]
fn the_default_branch_only_goes_on() {
    let project = Project::new();
    let (work, base) = (&project.work, &project.base);
    let newer = work.signed_commit("a");
    work.git_ok(&["branch", "kept"]);
    work.git_ok(&["reset", "--quiet", "--hard", base]);
    let rewound = "::error title=notme ref-rewind::";
    project.push(&newer, base).says(3, &[rewound]);
    let beside = work.signed_commit("b");
    project.push(&newer, &beside).says(3, &[rewound]);
    project
        .push(base, &beside)
        .says(0, &["1 object: 1 accepted"]);
    let shallow = project.runner(&["--depth", "1"]);
    let fetch = format!("git fetch --quiet --depth 1 origin {newer}");
    run(&mut shallow.shell(&fetch));
    let verified = shallow.verify("push", &push(&newer, &beside));
    verified.says(3, &["::error title=notme clone-shallow::"]);
    // What is proposed may begin before its base.
    work.git_ok(&["switch", "--quiet", "--create", "topic"]);
    work.git_ok(&["branch", "--force", "main", &newer]);
    let mut event = pull_request(&newer, &beside);
    event["repository"] = json!({"default_branch": "main"});
    project.verify("pull_request", &event).says(0, &[]);
    // Whatever ref its rules are to be those of.
    let mut runner = project.runner(&[]);
    runner.world.set_env("NOTME_REF", "refs/heads/main");
    runner.verify("pull_request", &event).says(0, &[]);
    // What came there since does not make it good.
    project.push(&newer, base).says(3, &[rewound]);
    // Nor does it come back with what goes on from it.
    work.git_ok(&["switch", "--quiet", "--detach", base]);
    let withdrawn = project.unsigned("c");
    let event = pull_request(&withdrawn, &work.signed_commit("d"));
    work.git_ok(&["branch", "--force", "topic"]);
    let mut runner = project.runner(&[]);
    runner.world.set_env("NOTME_REF", "refs/heads/main");
    let said = ["2 objects: 1 accepted, 1 rejected"];
    runner.verify("pull_request", &event).says(1, &said);
}

/// A signed commit on top takes no refusal back.
#[test]
fn what_an_earlier_push_brought_is_judged_again() {
    let project = Project::new();
    let work = &project.work;
    work.git_ok(&["switch", "--quiet", "--create", "topic"]);
    let first = project.unsigned("a");
    let second = work.signed_commit("b");
    let event = push(&first, &second);
    let topic = "refs/heads/topic";
    let verified = project.runner(&[]).verify_ref("push", &event, topic, "");
    verified.says(1, &["2 objects: 1 accepted, 1 rejected"]);
    // The same from GitLab, and on the default branch, where nothing else says what was before.
    let gitlab = gitlab_script("notme-verify");
    for (branch, code, words) in [
        ("topic", 1, "2 objects: 1 accepted, 1 rejected"),
        ("main", 0, "1 object: 1 accepted"),
    ] {
        let output = project
            .runner(&[])
            .shell(&gitlab)
            .env("CI_COMMIT_BEFORE_SHA", &first)
            .env("CI_COMMIT_SHA", &second)
            .env("CI_COMMIT_BRANCH", branch)
            .env("CI_DEFAULT_BRANCH", "main")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", told(&output));
        assert!(told(&output).contains(words), "{}", told(&output));
    }
}

/// A signed commit says nothing of those before it.
#[test]
fn what_has_nothing_before_it_is_judged_down_to_its_roots() {
    let project = Project::new();
    let work = &project.work;
    work.git_ok(&["switch", "--quiet", "--orphan", "apart"]);
    project.unsigned("a");
    let apart = work.signed_commit("b");
    for before in [NOBODY.to_owned(), "1".repeat(40)] {
        project
            .push(&before, &apart)
            .says(1, &["2 objects: 1 accepted, 1 rejected"]);
    }
    work.git_ok(&["switch", "--quiet", "main"]);
    project.unsigned("c");
    let head = work.signed_commit("d");
    let event = push(NOBODY, &head);
    project.verify("push", &event).says(
        1,
        &[
            "::notice title=notme trust-from-head::",
            "3 objects: 2 accepted, 1 rejected",
        ],
    );
    // What is its own base has nothing before it, either, and no replacement takes what is below away.
    for before in [NOBODY, &head] {
        let runner = project.runner(&[]);
        run(&mut runner.shell("git replace --graft HEAD"));
        let verified = runner.verify("push", &push(before, &head));
        verified.says(1, &["3 objects: 2 accepted, 1 rejected"]);
    }
    // Another branch there brings nothing that the default branch has not.
    let runner = project.runner(&[]);
    let other = runner.verify_ref("push", &event, "refs/heads/other", "");
    other.says(0, &["1 object: 1 accepted"]);
    assert!(!told(&other.output).contains("trust-from-head"));
    let shallow = project.runner(&["--depth", "1"]).verify("push", &event);
    shallow.says(3, &["::error title=notme clone-shallow::"]);
}

#[test]
fn where_the_default_branch_is_not_known_no_change_brings_the_trust() {
    let project = Project::new();
    let work = &project.work;
    work.git_ok(&["switch", "--quiet", "--create", "topic"]);
    project.unsigned("a");
    let first = work.signed_commit("b");
    let second = work.signed_commit("c");
    work.git_ok(&["tag", "--message", "signed", "v1"]);
    // Anybody may push that, and git takes it where there is no such ref.
    let disguised = "refs/tags/refs/remotes/origin/trunk";
    work.git_ok(&["update-ref", disguised, &first]);
    let trunk = |before: &str, after: &str| json!({"before": before, "after": after, "repository": {"default_branch": "trunk"}});
    let tag = trunk(NOBODY, &work.git_ok(&["rev-parse", "v1"]));
    let topic = "refs/heads/topic";
    for (event, reference) in [
        (&trunk(NOBODY, &second), topic),
        (&trunk(&first, &second), topic),
        (&tag, "refs/tags/v1"),
    ] {
        let verified = project.runner(&[]).verify_ref("push", event, reference, "");
        verified.says(3, &["::error title=notme default-branch-missing::"]);
    }
    // Nor is it a first push where the clone has no branches of the remote at all.
    let runner = project.runner(&["--branch", "v1"]);
    run(&mut runner.shell("git remote remove origin"));
    let on_main = |before: &str| push(before, &second);
    for (event, reference) in [
        (&on_main(NOBODY), topic),
        (&on_main(&first), topic),
        (&tag, "refs/tags/v1"),
    ] {
        let verified = runner.verify_ref("push", event, reference, "");
        verified.says(3, &["::error title=notme default-branch-missing::"]);
    }
    // A pull request says which branch its base is on.
    for (into, code) in [("main", 1), ("topic", 3)] {
        let mut event = pull_request(&project.base, &second);
        event["pull_request"]["base"]["ref"] = into.into();
        runner.verify("pull_request", &event).says(code, &[]);
    }
    // A trust store that is in no change says what it says.
    let elsewhere = work.notme_home().join("data/trust");
    let elsewhere = elsewhere.to_str().unwrap();
    project
        .runner(&[])
        .verify_ref("push", &trunk(NOBODY, &second), topic, elsewhere)
        .says(1, &["4 objects: 3 accepted, 1 rejected"]);
}

#[test]
fn a_tag_is_judged_by_itself() {
    let project = Project::new();
    let (work, base) = (&project.work, &project.base);
    work.git_ok(&["tag", "-m", "signed", "v1"]);
    work.git_ok(&["tag", "--no-sign", "-m", "unsigned", "v2"]);
    for (tag, code, words) in [
        ("v1", 0, "1 object: 1 accepted"),
        ("v2", 1, "title=notme%3A unsigned::tag"),
    ] {
        let oid = work.git_ok(&["rev-parse", tag]);
        let reference = format!("refs/tags/{tag}");
        // An event may name the commit, and actions/checkout@v4 leaves it in the place of the tag.
        let second = format!("git fetch --quiet --force origin +{base}:{reference}");
        for (after, then) in [(&oid, ""), (base, ""), (&oid, &second)] {
            let runner = project.runner(&[]);
            run(&mut runner.shell(then));
            let event = push(NOBODY, after);
            let verified = runner.verify_ref("push", &event, &reference, "");
            verified.says(code, &[words]);
            assert_eq!(
                run(&mut runner.shell(&format!("git rev-parse {tag}"))).trim(),
                oid
            );
        }
        let runner = project.runner(&["--no-tags"]);
        run(&mut runner.shell(&second));
        let verified = runner.verify_ref("push", &push(NOBODY, &oid), &reference, "");
        verified.says(3, &["::error title=notme tag-replaced::", &oid]);
    }
}

#[test]
fn commits_are_judged_for_the_ref_that_they_are_pushed_to() {
    let project = Project::new();
    let base = &project.base;
    let head = project.work.signed_commit("a");
    let rule = "[[allow]]\nidentity = \"*\"\nrefs = [\"refs/heads/main\", \"refs/tags/*\"]\n";
    project.work.git_ok(&["tag", "--no-sign", "light"]);
    let tagged = push(NOBODY, &head);
    let merged = json!({"merge_group": {"base_sha": base, "head_sha": head, "base_ref": "refs/heads/main"}, "repository": {"default_branch": "main"}});
    let pushed = push(base, &head);
    let proposed = pull_request(base, &head);
    for (name, event, reference, own, code) in [
        ("push", &pushed, "refs/heads/main", "", 0),
        ("push", &pushed, "refs/heads/topic", "", 1),
        ("push", &pushed, "refs/heads/topic", "refs/heads/main", 1),
        ("pull_request", &proposed, "refs/pull/1/merge", "", 1),
        (
            "pull_request",
            &proposed,
            "refs/pull/1/merge",
            "refs/heads/main",
            0,
        ),
        // A tag says nothing of the commit.
        ("push", &tagged, "refs/tags/light", "", 1),
        ("push", &tagged, "refs/tags/light", "refs/heads/main", 0),
        (
            "merge_group",
            &merged,
            "refs/heads/gh-readonly-queue/main/pr-1",
            "",
            0,
        ),
    ] {
        let runner = project.runner(&[]);
        // Whoever may push tags does not choose the rules.
        let tag = format!("git tag --no-sign {head} {head}");
        run(&mut runner.shell(&tag));
        let path = runner.world.home().join("event.json");
        fs::write(&path, event.to_string()).unwrap();
        let mut job = runner.shell("sh ci/notme/verify.sh");
        let output = job
            .env("GITHUB_EVENT_NAME", name)
            .env("GITHUB_EVENT_PATH", path)
            .env("GITHUB_REF", reference)
            .env("NOTME_REF", own)
            .env("NOTME_POLICY", runner.world.policy(rule))
            .output()
            .unwrap();
        let said = told(&output);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{name} {reference} {own}: {said}"
        );
    }
}

#[test]
fn without_a_trust_store_before_the_change_nothing_is_decided() {
    let project = Project::new();
    project
        .work
        .git_ok(&["switch", "--quiet", "--orphan", "bare"]);
    let before = project.work.signed_commit("a");
    let script =
        "cp -r \"$NOTME_HOME/data/trust\" trust && git add trust && git commit --quiet -m trust";
    run(&mut project.work.shell(script));
    let head = project.work.git_ok(&["rev-parse", "HEAD"]);
    let verify = |trust: &str| {
        project
            .runner(&[])
            .verify_ref("push", &push(&before, &head), "refs/heads/bare", trust)
    };
    verify("trust").says(3, &["::error title=notme trust-missing::"]);
    let elsewhere = project.work.notme_home().join("data/trust");
    verify(elsewhere.to_str().unwrap()).says(0, &["2 objects: 2 accepted"]);
}

/// The forge signs what it makes with a key of its own, as GitHub's web-flow does.
#[test]
fn what_the_forge_makes_is_judged_by_whether_its_key_is_trusted() {
    let project = Project::new();
    let work = &project.work;
    let keygen = oracle("ssh-keygen");
    let forge = format!(
        "-c gpg.format=ssh -c gpg.ssh.program={} -c user.signingkey=$HOME/forge.pub",
        keygen.display()
    );
    run(&mut work.shell("ssh-keygen -q -t ed25519 -N '' -C '' -f \"$HOME/forge\""));
    let topic = "git switch --quiet --create topic";
    for (name, make, objects) in [
        (
            "squash",
            format!("git merge --quiet --squash topic && git {forge} commit --quiet -S -m squash"),
            1,
        ),
        (
            "queue",
            format!("git {forge} merge --quiet --no-ff -S -m queue topic"),
            2,
        ),
    ] {
        run(&mut work.shell(topic));
        work.signed_commit(name);
        work.git_ok(&["switch", "--quiet", "main"]);
        let before = work.git_ok(&["rev-parse", "HEAD"]);
        run(&mut work.shell(&make));
        let head = work.git_ok(&["rev-parse", "HEAD"]);
        work.git_ok(&["branch", "--quiet", "-D", "topic"]);
        let event = match name {
            "squash" => ("push", push(&before, &head)),
            _ => (
                "merge_group",
                json!({"merge_group": {"base_sha": before, "head_sha": head, "base_ref": "refs/heads/main"}}),
            ),
        };
        let refused = project.verify(event.0, &event.1);
        assert_eq!(refused.says(1, &[]).rules(), ["signer-untrusted"]);
        // From then on, the forge's key is trusted.
        let trust = "printf 'forge@example.com namespaces=\"git\" %s\\n' \"$(cat ~/forge.pub)\" > ~/signers && NOTME_HOME=$PWD/.n notme trust add --name forge --allowed-signers ~/signers && mkdir -p ~/both && cp -r .n/data/trust/forge .notme/trust/embedded ~/both/ && rm -r .n";
        run(&mut work.shell(trust));
        let both = work.home().join("both");
        let verified = project.runner(&[]).verify_ref(
            event.0,
            &event.1,
            "refs/heads/main",
            both.to_str().unwrap(),
        );
        verified.says(0, &[&format!(": {objects} accepted, 0 rejected")]);
        fs::remove_dir_all(both).unwrap();
    }
}

#[test]
fn a_submodule_that_moves_is_told() {
    let project = Project::new();
    let work = &project.work;
    let link = format!("160000,{},vendor/lib", project.base);
    work.git_ok(&["update-index", "--add", "--cacheinfo", &link]);
    // The change does not say what is told of it.
    run(&mut work.shell("git config --file .gitmodules submodule.lib.path vendor/lib && git config --file .gitmodules submodule.lib.ignore all && git add .gitmodules"));
    work.git_ok(&["commit", "--quiet", "-m", "lib"]);
    let head = work.git_ok(&["rev-parse", "HEAD"]);
    let told = ["::warning title=notme submodule-not-judged::`vendor/lib`"];
    for before in [&project.base, NOBODY] {
        project.push(before, &head).says(0, &told);
    }
    // A name that may be a commit's is none.
    let head = work.signed_commit(&project.base);
    project.push(&project.base, &head).says(0, &told);
    // What only moved is not asked for where files are left out.
    work.git_ok(&["config", "uploadpack.allowFilter", "true"]);
    let lines: String = (0..99).map(|line| format!("{line}\n")).collect();
    fs::write(work.path().join("old"), &lines).unwrap();
    work.git_ok(&["add", "old"]);
    let base = work.signed_commit("e");
    work.git_ok(&["mv", "old", "new"]);
    fs::write(work.path().join("new"), &lines[1..]).unwrap();
    work.git_ok(&["add", "new"]);
    let head = work.signed_commit("f");
    let runner = project.runner(&["--filter=blob:none"]);
    run(&mut runner.shell("git remote set-url origin file:///nonexistent"));
    runner.verify("push", &push(&base, &head)).says(0, &[]);
}

/// git lists all of what changed before it says anything.
#[test]
fn what_nobody_vouches_for_is_not_listed() {
    let project = Project::new();
    let work = &project.work;
    let mut tree = work.git_ok(&["rev-parse", "HEAD:.notme"]);
    for _ in 0..12 {
        let entries = (0..10).map(|name| format!("040000 tree {tree}\t{name}\n"));
        let entries: String = entries.collect();
        let made = work.git_with_input(&["mktree"], entries.as_bytes());
        tree = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    }
    let head = work.git_ok(&["commit-tree", "-p", &project.base, "-m", "many", &tree]);
    work.git_ok(&["update-ref", "refs/heads/topic", &head]);
    let of = ("push", &push(&project.base, &head), "refs/heads/topic");
    let verified = project.runner(&["--no-checkout"]).verify_with(of, &[]);
    verified.says(1, &["unsigned::commit"]);
}

/// To some programs, `+1` is `1`.
#[test]
fn the_trust_store_is_the_one_of_that_very_name() {
    let project = Project::new();
    let work = &project.work;
    run(&mut work
        .shell("cp -r .notme/trust ci/1 && mkdir ci/+1 ci/01 && echo >ci/+1/a && echo >ci/01/a"));
    work.git_ok(&["add", "--all"]);
    let base = work.signed_commit("names");
    let head = work.signed_commit("a");
    let event = push(&base, &head);
    let of = ("push", &event, "refs/heads/main");
    let verified = project.runner(&[]).verify_with(of, &[("trust", "ci/1")]);
    verified.says(0, &["1 object: 1 accepted"]);
}

/// A snippet's job: the environment that the forge would give it, and what has to come of it.
#[test]
fn the_snippets_verify_what_their_forge_says() {
    let project = Project::new();
    let good = project.work.signed_commit("a");
    let bad = project.unsigned("b");
    let gitlab = yaml(&block("gitlab.md", "yaml", 1));
    assert_eq!(gitlab["notme-verify"]["variables"]["GIT_DEPTH"], "0");
    let gitlab = gitlab_script("notme-verify");
    let jenkins = block("jenkins.md", "groovy", 1);
    let jenkins = jenkins.split("'''").nth(1).unwrap();
    let forgejo = yaml(&block("forgejo.md", "yaml", 1));
    let steps = forgejo["jobs"]["verify"]["steps"].as_array().unwrap();
    assert_eq!(steps[0]["with"]["fetch-depth"], 0);
    let forgejo = steps[1]["run"].as_str().unwrap();
    let shell = block("shell.md", "sh", 1);
    let base = project.base.as_str();
    for (head, code, words) in [
        (good.as_str(), 0, "1 object: 1 accepted"),
        (&bad, 1, "1 accepted, 1 rejected"),
    ] {
        let jobs: [(&str, &[(&str, &str)]); 6] = [
            (
                &gitlab,
                &[
                    ("CI_COMMIT_BEFORE_SHA", base),
                    ("CI_COMMIT_SHA", head),
                    ("CI_DEFAULT_BRANCH", "main"),
                ],
            ),
            (
                &gitlab,
                &[
                    ("CI_COMMIT_BEFORE_SHA", NOBODY),
                    ("CI_COMMIT_SHA", NOBODY),
                    ("CI_MERGE_REQUEST_DIFF_BASE_SHA", base),
                    ("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", head),
                    ("CI_DEFAULT_BRANCH", "main"),
                ],
            ),
            (
                jenkins,
                &[
                    ("GIT_COMMIT", head),
                    ("GIT_PREVIOUS_SUCCESSFUL_COMMIT", base),
                ],
            ),
            (jenkins, &[("GIT_COMMIT", head), ("CHANGE_TARGET", "main")]),
            (
                forgejo,
                &[
                    ("GITHUB_EVENT_NAME", "pull_request"),
                    ("GITHUB_ACTIONS", "true"),
                ],
            ),
            (&shell, &[]),
        ];
        for (script, variables) in jobs {
            let runner = project.runner(&[]);
            run(&mut runner.shell(&format!(
                "git checkout --quiet --detach {head} && git update-ref refs/remotes/origin/main {base}"
            )));
            let event = runner.world.home().join("event.json");
            fs::write(&event, pull_request(base, head).to_string()).unwrap();
            let mut job = runner.shell(&format!("set -e\n{script}"));
            let output = job
                .envs(variables.iter().copied())
                .env("GITHUB_EVENT_PATH", event)
                .output()
                .unwrap();
            let said = told(&output);
            assert_eq!(output.status.code(), Some(code), "{script}: {said}");
            let words = match variables.contains(&("GITHUB_ACTIONS", "true")) {
                true if code == 1 => "title=notme%3A unsigned::",
                true => "",
                false => words,
            };
            assert!(said.contains(words), "{script}: {said}");
            assert!(runner.runner.join("notme-reports/notme.sarif").exists());
        }
    }
}

#[test]
fn the_workflows_for_github_ask_for_what_the_actions_take() {
    for (number, action, rights) in [
        (1, "verify", json!({"contents": "read"})),
        (2, "sign", json!({"contents": "write", "id-token": "write"})),
    ] {
        let workflow = yaml(&block("github.md", "yaml", number));
        assert_eq!(workflow["permissions"], rights);
        let (_, job) = workflow["jobs"].as_object().unwrap().iter().next().unwrap();
        assert_eq!(job["steps"][0]["with"]["fetch-depth"], 0);
        let uses = format!("./ci/notme/{action}");
        let mut steps = job["steps"].as_array().unwrap().iter();
        let step = steps.find(|step| step["uses"] == uses).unwrap();
        let action = root().join("action").join(action).join("action.yml");
        let inputs = yaml(&fs::read_to_string(action).unwrap())["inputs"].clone();
        for (input, _) in step["with"].as_object().into_iter().flatten() {
            assert!(inputs.get(input).is_some(), "{input}");
        }
    }
}

/// An authority that knows an issuer, and what a job has to be told of it.
struct Vouched {
    _served: Served,
    _operator: Operator,
    issuer: TestIssuer,
    url: String,
    pins: String,
}

impl Vouched {
    fn start(preset: &str, more: &str) -> Self {
        let issuer = TestIssuer::start(TokenKey::rsa());
        let operator = Operator::new();
        let file = operator.home().join("oidc.toml");
        let url = issuer.url();
        let toml = format!(
            "[[issuer]]\npreset = \"{preset}\"\nurl = \"{url}\"\njwks_url = \"{url}/.well-known/jwks\"\naudience = \"https://auth.example.com\"\nsession_seconds = 3600\n{more}"
        );
        fs::write(&file, toml).unwrap();
        let serve = ["--listen", "127.0.0.1:0", "--oidc", file.to_str().unwrap()];
        let served = operator.serve(&serve);
        Self {
            url: served.url.clone(),
            pins: operator.pins().join(" "),
            _served: served,
            _operator: operator,
            issuer,
        }
    }

    fn token(&self, mut claims: Value) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        claims["iss"] = self.issuer.url().into();
        claims["aud"] = "https://auth.example.com".into();
        claims["iat"] = now.into();
        claims["exp"] = (now + 300).into();
        claims["jti"] = now.to_string().into();
        self.issuer.mint(&claims)
    }
}

/// Serves one identity token to whoever has the right to ask, as GitHub does; returns its URL.
fn token_endpoint(token: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "http://{}/token?api-version=2",
        listener.local_addr().unwrap()
    );
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> = lines
                .by_ref()
                .map(Result::unwrap)
                .take_while(|it| !it.is_empty())
                .collect();
            let asked = head[0]
                .starts_with("GET /token?api-version=2&audience=https%3A%2F%2Fauth.example.com ");
            let may = head
                .iter()
                .any(|it| it.eq_ignore_ascii_case("authorization: bearer the right to ask"));
            let (status, body) = match asked && may {
                true => ("200 OK", json!({"value": token}).to_string()),
                false => ("403 Forbidden", format!("{head:?}")),
            };
            write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
        }
    });
    url
}

/// Tells whether any file below a directory holds a text.
fn is_stored(directory: &Path, secret: &str) -> bool {
    fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => is_stored(&path, secret),
            false => {
                let mut bytes = Vec::new();
                let file = fs::File::open(&path);
                file.is_ok_and(|mut file| file.read_to_end(&mut bytes).is_ok())
                    && String::from_utf8_lossy(&bytes).contains(secret)
            }
        }
    })
}

#[test]
fn a_job_on_github_signs_as_itself_and_stores_nothing() {
    for program in ["curl", "jq"] {
        oracle(program);
    }
    let authority = Vouched::start(
        "github-actions",
        "owners = [\"octo\"]\n[[issuer.allow]]\nclaims = { repository = \"octo/*\" }\nscopes = [\"bridgeCert\", \"sign:git\"]\n",
    );
    let token = authority.token(json!({
        "sub": "repo:octo/hello:ref:refs/heads/main",
        "repository": "octo/hello",
        "repository_id": "1",
        "repository_owner": "octo",
        "repository_owner_id": "2",
        "event_name": "push",
        "ref": "refs/heads/main",
        "sha": NOBODY,
        "actor": "octo",
        "workflow": "release",
        "job_workflow_ref": "octo/hello/.github/workflows/release.yml@refs/heads/main",
        "runner_environment": "github-hosted",
        "run_id": "3",
        "run_attempt": "1",
    }));
    let project = Project::new();
    let mut runner = project.runner(&[]);
    let inputs = [
        ("authority", authority.url.as_str()),
        ("pins", &authority.pins),
        ("audience", "https://auth.example.com"),
        ("agent", "gha"),
        ("format", "x509"),
        ("program", "notme"),
    ];
    let sign =
        |runner: &Runner| runner.action("sign", &inputs, "push", &json!({}), "refs/heads/main");
    let refused = sign(&runner);
    assert_eq!(refused.status.code(), Some(3), "{}", told(&refused));
    assert!(told(&refused).contains("::error title=notme token-missing::"));
    runner.world.set_env(
        "ACTIONS_ID_TOKEN_REQUEST_URL",
        token_endpoint(token.clone()),
    );
    runner
        .world
        .set_env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "the right to ask");
    let signed = sign(&runner);
    assert!(signed.status.success(), "{}", told(&signed));
    let secret = token.rsplit('.').next().unwrap();
    assert!(!told(&signed).contains(secret));

    // The steps to come have what was written for them, and no more rights than that.
    let env = fs::read_to_string(runner.world.home().join("env")).unwrap();
    let workflow = yaml(&block("github.md", "yaml", 2));
    let step = workflow["jobs"]["release"]["steps"][2]["run"]
        .as_str()
        .unwrap()
        .to_owned();
    let (name, home) = env.trim().split_once('=').unwrap();
    assert_eq!(name, "NOTME_HOME");
    runner.world.set_env(name, home);
    let said = run(&mut runner.shell(&step));
    assert!(
        said.contains("accepted ") && said.contains("wimse://example.com/gha/octo/hello"),
        "{said}"
    );
    assert!(!is_stored(&runner.world.home(), secret) && !is_stored(&runner.runner, secret));
    run(&mut runner.shell(
        workflow["jobs"]["release"]["steps"][3]["run"]
            .as_str()
            .unwrap(),
    ));
}

#[test]
fn a_job_on_gitlab_signs_as_itself() {
    let authority = Vouched::start(
        "gitlab",
        "[[issuer.allow]]\nclaims = { project_path = \"infra/*\" }\nscopes = [\"bridgeCert\", \"sign:git\"]\n",
    );
    let token = authority.token(json!({
        "sub": "project_path:infra/builder:ref_type:branch:ref:main",
        "project_path": "infra/builder",
    }));
    let job = yaml(&block("gitlab.md", "yaml", 1))["notme-sign"].clone();
    let project = Project::new();
    let runner = project.runner(&[]);
    let said = run(runner
        .shell(&gitlab_script("notme-sign"))
        .env("NOTME_ID_TOKEN", token)
        .env("NOTME_AUTHORITY", &authority.url)
        .env("NOTME_PINS", &authority.pins)
        .env(
            "NOTME_AGENT",
            job["variables"]["NOTME_AGENT"].as_str().unwrap(),
        ));
    assert!(
        said.contains("accepted ") && said.contains("wimse://example.com/gitlab/infra/builder"),
        "{said}"
    );
}
