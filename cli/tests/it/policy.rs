//! The repository's own policy through the real program: written, linted, and judged by.

use std::{fs, time::SystemTime};

use notme_testkit::{
    commit::with_signature, gnupg::Gnupg, oracle::oracle, repository::run, testdata,
};
use serde_json::Value;

use crate::world::{World, told};

const POLICY: &str = ".notme/policy.toml";

/// Returns name and text of each policy of a folder.
fn files(folder: &str) -> Vec<(String, String)> {
    let mut found: Vec<_> = fs::read_dir(testdata::path(&format!("policy/{folder}")))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (
                path.display().to_string(),
                fs::read_to_string(path).unwrap(),
            )
        })
        .collect();
    found.sort();
    found
}

/// Asks the schema about a policy, as JSON.
fn schema_takes(world: &World, text: &str) -> bool {
    let Ok(table) = text.parse::<toml::Table>() else {
        return false;
    };
    let file = world.home().join("policy.json");
    fs::write(&file, serde_json::to_string(&table).unwrap()).unwrap();
    let schema = testdata::path("../docs/formats/policy.schema.json");
    let mut command = world.command(oracle("jsonschema"));
    let output = run(command.arg("-i").arg(&file).arg(schema), b"");
    output.status.success()
}

#[test]
fn parser_and_schema_take_the_same_policies() {
    let world = World::new();
    let good = files("good");
    assert!(good.len() >= 10);
    for (name, text) in &good {
        let output = world.notme(&["policy", "check", name]);
        assert!(output.status.success(), "{name}: {}", told(&output));
        assert!(schema_takes(&world, text), "{name}");
    }
    let document = fs::read_to_string(testdata::path("../docs/formats/policy.md")).unwrap();
    let (_, rest) = document.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    assert!(schema_takes(&world, example));
}

#[test]
fn parser_and_schema_refuse_the_same_files_and_the_parser_names_the_line() {
    let world = World::new();
    let bad = files("bad");
    assert!(bad.len() >= 35);
    for (name, text) in &bad {
        let (head, _) = text.split_once('\n').unwrap();
        let (line, more) = head.split_once(',').unwrap_or((head, ""));
        let line = line.strip_prefix("# ").unwrap();
        let output = world.notme(&["policy", "check", name]);
        assert_eq!(output.status.code(), Some(1), "{name}: {}", told(&output));
        let says = told(&output);
        assert!(says.contains(&format!("{line}:")), "{name}: {says}");
        let is_beyond = more.contains("no schema can say it");
        assert_eq!(schema_takes(&world, text), is_beyond, "{name}");
    }
}

#[test]
fn init_writes_a_policy_from_who_signs_and_the_trust_root_judges_by_it() {
    let world = World::initialised();
    world.commit("old", "old");
    world.signed_commit("a");
    let out = world.notme_ok(&["policy", "init"]);
    assert!(out.contains("--trust-root"), "{out}");
    let text = fs::read_to_string(world.path().join(POLICY)).unwrap();
    let old = world.git_ok(&["rev-parse", "HEAD~1"]);
    assert!(text.contains(&format!("baseline = [\"{old}\"]")), "{text}");
    assert!(text.contains("kind = \"agent\""), "{text}");
    let again = world.notme(&["policy", "init"]);
    assert_eq!(again.status.code(), Some(2), "{}", told(&again));

    let checked = world.notme_ok(&["policy", "check"]);
    assert!(
        checked.contains("would not have accepted 0 of the last 2 commits"),
        "{checked}"
    );
    world.git_ok(&["add", POLICY]);
    world.git_ok(&["commit", "-q", "-m", "policy"]);
    let root = world.git_ok(&["rev-parse", "HEAD"]);
    world.signed_commit("b");
    let (exit, document) = world.verdicts(&["--all", "--trust-root", &root]);
    assert_eq!(exit, Some(0), "{document}");
    let rules: Vec<_> = document["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| object["rule"].as_str().unwrap())
        .collect();
    assert_eq!(rules[0], "allow agent");
    assert_eq!(rules[3], "at or before the baseline");
    assert!(document["objects"][0]["policy"].is_string(), "{document}");

    // Without a trust root it counts for nothing, and that is said.
    let output = world.notme(&["verify"]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(
        told(&output).contains("`--trust-root`"),
        "{}",
        told(&output)
    );
    let note = "without descending from the trust root";
    let output = world.notme(&["verify", "--all", "--trust-root", &root]);
    assert!(!told(&output).contains(note), "{}", told(&output));
    let main = world.git_ok(&["symbolic-ref", "--short", "HEAD"]);
    world.git_ok(&["checkout", "-q", "--orphan", "beside"]);
    world.git_ok(&["rm", "-q", "-r", "-f", "."]);
    world.signed_commit("o");
    let output = world.notme(&["verify", "--trust-root", &root]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(told(&output).contains(note), "{}", told(&output));
    world.git_ok(&["checkout", "-q", &main]);
    world.commit("c", "c");
    world.signed_commit("d");
    let code = |revision: &str| world.code(revision, &["--trust-root", &root]);
    assert_eq!(code("HEAD~1"), "unsigned");
    assert_eq!(code("HEAD"), "parent-not-accepted");
    let explained = world.notme(&["explain", "--trust-root", &root]);
    assert!(
        told(&explained).contains("[parent-not-accepted]"),
        "{}",
        told(&explained)
    );
}

/// People's keys in the trust store, and who commits with them.
struct Team {
    world: World,
    gpg: Gnupg,
}

impl Team {
    fn of(people: &[&str]) -> Self {
        let (world, gpg) = (World::initialised(), Gnupg::new());
        for name in people {
            gpg.generate(name, "ed25519", "sign", "never");
        }
        let file = world.home().join("team");
        fs::write(&file, gpg.ok(&["--armor", "--export"], b"")).unwrap();
        let file = file.to_str().unwrap();
        world.notme_ok(&["trust", "add", "--name", "team", "--openpgp", file]);
        world.commit("base", "base");
        Self { world, gpg }
    }

    /// Commits what is in the index with somebody's key.
    fn commits(&self, signer: &str, committer: &str) -> String {
        let world = &self.world;
        let (tree, parent) = (
            world.git_ok(&["write-tree"]),
            world.git_ok(&["rev-parse", "HEAD"]),
        );
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let at = at.unwrap().as_secs();
        let payload = format!(
            "tree {tree}\nparent {parent}\nauthor {committer} {at} +0000\ncommitter {committer} {at} +0000\n\nm\n"
        );
        let signature = self.gpg.sign(signer, payload.as_bytes());
        let signature = String::from_utf8(signature).unwrap();
        let raw = with_signature(payload.as_bytes(), "gpgsig", &signature);
        let id = world.write_commit_object(&raw);
        world.git_ok(&["reset", "-q", "--soft", &id]);
        id
    }

    /// Writes a first policy, and adds it to the index.
    fn inits(&self) -> String {
        self.world.notme_ok(&["policy", "init"]);
        self.world.git_ok(&["add", POLICY]);
        fs::read_to_string(self.world.path().join(POLICY)).unwrap()
    }
}

const ALICE: &str = "Alice <alice@example.org>";
const GITHUB: &str = "GitHub <noreply@github.com>";

#[test]
fn init_makes_a_forges_key_web_flow_which_changes_no_policy() {
    let team = Team::of(&[ALICE, GITHUB]);
    let world = &team.world;
    team.commits(ALICE, ALICE);
    team.commits(GITHUB, GITHUB);
    let text = team.inits();
    let fingerprint = team.gpg.fingerprint(GITHUB);
    let forge = format!(
        "kind = \"web-flow\"\nfingerprints = [\"{fingerprint}\"]\nemails = [\"noreply@github.com\"]\n"
    );
    assert!(text.contains(&forge), "{text}");
    assert_eq!(text.matches("kind = \"human\"").count(), 1, "{text}");
    assert_eq!(text.matches("\npolicy = true").count(), 1, "{text}");
    let checked = world.notme_ok(&["policy", "check"]);
    assert!(!checked.contains("forge"), "{checked}");
    let root = team.commits(ALICE, ALICE);
    let code = |revision: &str| world.code(revision, &["--trust-root", &root]);
    let merged = team.commits(GITHUB, GITHUB);
    assert_eq!(code(&merged), "accepted");

    let human = format!("kind = \"human\"\nfingerprints = [\"{fingerprint}\"]\n");
    let human = text.replace(&forge, &human);
    let human = human.replace("[\"web-flow\"]", "[\"human\"]");
    fs::write(world.path().join(POLICY), &human).unwrap();
    world.git_ok(&["add", POLICY]);
    assert_eq!(
        code(&team.commits(GITHUB, "Mallory <mallory@evil.example>")),
        "committer-mismatch"
    );
    world.git_ok(&["reset", "-q", "--soft", &merged]);
    assert_eq!(code(&team.commits(GITHUB, GITHUB)), "policy-not-authorised");
    let checked = world.notme_ok(&["policy", "check"]);
    assert!(
        checked.contains("`noreply-github-com` is a human, and also a forge's key"),
        "{checked}"
    );
    assert!(
        checked.contains("`allow human` lets a forge's key change the policy"),
        "{checked}"
    );
}

#[test]
fn where_only_a_forge_signed_init_lets_nobody_change_the_policy() {
    let team = Team::of(&[GITHUB]);
    team.commits(GITHUB, GITHUB);
    let text = team.inits();
    assert!(text.contains("kind = \"web-flow\""), "{text}");
    assert!(!text.contains("\npolicy = true"), "{text}");
    let checked = team.world.notme_ok(&["policy", "check"]);
    assert!(checked.contains("nobody can change"), "{checked}");
}

#[test]
fn init_gives_two_signers_two_names() {
    let dot = "A B <a.b@example.org>";
    let dash = "A B <a-b@example.org>";
    let team = Team::of(&[dot, dash]);
    team.commits(dot, dot);
    team.commits(dash, dash);
    let text = team.inits();
    for (name, address) in [("", "a-b@example.org"), ("-2", "a.b@example.org")] {
        let principal = format!(
            "name = \"a-b-example-org{name}\"\nkind = \"human\"\nidentities = [\"mailto:{address}\"]\n"
        );
        assert!(text.contains(&principal), "{text}");
    }
    team.world.notme_ok(&["policy", "check"]);
}

#[test]
fn a_sha256_repository_has_a_policy_of_its_own_too() {
    let world = World::of(notme_testkit::repository::Repository::sha256());
    world.notme_ok(&["init", "--agent", "claude", "--format", "x509"]);
    world.commit("old", "old");
    world.signed_commit("a");
    world.notme_ok(&["policy", "init"]);
    world.git_ok(&["add", POLICY]);
    world.git_ok(&["commit", "-q", "-m", "policy"]);
    let root = world.git_ok(&["rev-parse", "HEAD"]);
    assert_eq!(root.len(), 64);
    world.signed_commit("b");
    let (exit, document) = world.verdicts(&["--all", "--trust-root", &root]);
    assert_eq!(exit, Some(0), "{document}");
    fs::remove_file(world.path().join(POLICY)).unwrap();
    world.git_ok(&["commit", "-q", "-a", "-m", "gone"]);
    let code = world.code("HEAD", &["--trust-root", &root]);
    assert_eq!(code, "policy-invalid");
}

#[test]
fn check_shows_what_it_would_have_refused_and_what_is_odd() {
    let world = World::initialised();
    let id = world.signed_commit("a");
    let policy = world.policy(
        "[[principal]]\nname = \"x\"\nkind = \"human\"\nidentities = [\"x\"]\n[[allow]]\nidentity = \"wimse://elsewhere/*\"\n",
    );
    let out = world.notme_ok(&["policy", "check", &policy]);
    assert!(
        out.contains("would not have accepted 1 of the last 1"),
        "{out}"
    );
    assert!(
        out.contains(&format!("{}  not-authorised", &id[..10])),
        "{out}"
    );
    assert!(out.contains("line 1: no rule and no group names"), "{out}");
    assert!(out.contains("nobody can change this policy"), "{out}");
    let out = world.notme_ok(&["policy", "check", "--json", &policy]);
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["commits"], 1);
    assert_eq!(document["refused"][0]["oid"], id);
    assert_eq!(document["refused"][0]["code"], "not-authorised");
    assert_eq!(document["remarks"].as_array().unwrap().len(), 2);
}

#[test]
fn a_trust_root_is_named_in_full_and_goes_with_no_other_policy() {
    let world = World::initialised();
    let id = world.signed_commit("a");
    for root in ["HEAD", "main", &id[..12]] {
        let output = world.notme(&["verify", "--trust-root", root]);
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    }
    let policy = world.policy("");
    let both = ["verify", "--trust-root", &id, "--policy", &policy];
    assert_eq!(world.notme(&both).status.code(), Some(2));
    let none = world.notme(&["verify", "--trust-root", &id]);
    assert_eq!(none.status.code(), Some(3), "{}", told(&none));
    assert!(told(&none).contains(POLICY), "{}", told(&none));
    let short = world.notme(&["verify", "--ref", "main"]);
    assert_eq!(short.status.code(), Some(2), "{}", told(&short));
}

#[test]
fn rules_by_ref_go_by_the_branch_that_is_named() {
    let world = World::initialised();
    let id = world.signed_commit("a");
    let policy = world.policy("[[allow]]\nidentity = \"*\"\nrefs = [\"refs/heads/main\"]\n");
    let code = |revision: &str, more: &[&str]| {
        world.code(revision, &[&["--policy", &policy], more].concat())
    };
    assert_eq!(code("HEAD", &[]), "accepted");
    assert_eq!(code("main", &[]), "accepted");
    assert_eq!(code(&id, &[]), "not-authorised");
    assert_eq!(code(&id, &["--ref", "refs/heads/main"]), "accepted");
    world.git_ok(&["checkout", "-q", "-b", "topic"]);
    assert_eq!(code("HEAD", &[]), "not-authorised");
    assert_eq!(code("main", &[]), "accepted");
}

#[test]
fn an_accepting_statement_lets_an_agents_change_in() {
    let world = World::initialised();
    world.write("auth/login", "1");
    world.write(
        POLICY,
        r#"
[[principal]]
name = "reviewers"
kind = "human"
identities = ["wimse://*/reviewer"]

[[principal]]
name = "agents"
kind = "agent"
identities = ["wimse://*/claude"]

[[allow]]
principals = ["agents"]

[[require]]
principals = ["agents"]
paths = ["auth/*"]
accepted_by = ["human"]
"#,
    );
    world.git_ok(&["add", "."]);
    world.git_ok(&["commit", "-q", "-m", "policy"]);
    let root = world.git_ok(&["rev-parse", "HEAD"]);
    let change = world.signed_commit("auth/login2");
    let code = || world.code(&change, &["--trust-root", &root]);
    assert_eq!(code(), "acceptance-missing");
    // Its own word is not enough.
    world.notme_ok(&["attest", "dispatch", "HEAD"]);
    assert_eq!(code(), "acceptance-missing");
    world.notme_ok(&["init", "--agent", "reviewer", "--format", "x509"]);
    world.notme_ok(&["attest", "acceptance", "HEAD"]);
    assert_eq!(code(), "accepted");
}

/// Alice has one key with two addresses. Whichever of them signs the merge, it is her own work.
#[test]
fn one_key_with_two_addresses_is_not_two_people() {
    let world = World::new();
    let gpg = Gnupg::new();
    let [home, work] = ["alice@home.invalid", "alice@work.invalid"];
    let alice = gpg.generate(&format!("Alice <{home}>"), "ed25519", "sign", "never");
    gpg.ok(
        &["--quick-add-uid", &alice, &format!("Alice <{work}>")],
        b"",
    );
    let bob = gpg.generate("Bob <bob@work.invalid>", "ed25519", "sign", "never");
    world.trust_person(&gpg, "work.invalid");
    let sign = |who: &str, arguments: &[&str]| {
        let program = format!("gpg.program={}", oracle("gpg").display());
        let (key, email) = (
            format!("user.signingkey={who}"),
            format!("user.email={who}"),
        );
        let mut git = world.command("git");
        git.current_dir(world.path()).env("GNUPGHOME", gpg.path());
        for option in ["gpg.format=openpgp", &program, &key, &email] {
            git.args(["-c", option]);
        }
        let output = run(git.args(arguments), b"");
        assert!(output.status.success(), "{}", told(&output));
        world.git_ok(&["rev-parse", "HEAD"])
    };
    let commit = |who: &str, file: &str| {
        world.write(file, who);
        world.git_ok(&["add", "."]);
        sign(who, &["commit", "-q", "-S", "-m", "change"])
    };
    commit(home, "file");
    world.git_ok(&["checkout", "-q", "-b", "topic"]);
    let change = commit(home, "auth/login");
    world.git_ok(&["checkout", "-q", "main"]);
    let merge = ["merge", "-q", "--no-ff", "-S", "-m", "merge", "topic"];
    let code = |principals: &str| {
        let rules = "[[allow]]\nprincipals = [\"human\"]\n[[require]]\npaths = [\"auth/login\"]\naccepted_by = [\"human\"]\n";
        let floor = "time_basis_floor = \"declared\"";
        let policy = world.policy(&format!(
            "{floor}\n[[authority]]\nname = \"team\"\n{floor}\n{principals}{rules}"
        ));
        let (_, document) = world.verdicts(&["--policy", &policy, "HEAD~1..HEAD"]);
        let objects = document["objects"].as_array().unwrap().iter();
        let mut objects = objects.filter(|it| it["oid"] == change.as_str());
        let found = objects.next().unwrap();
        found["code"].as_str().unwrap_or("accepted").to_owned()
    };
    let human = |name: &str, fingerprint: &str| {
        format!(
            "[[principal]]\nname = \"{name}\"\nkind = \"human\"\nfingerprints = [\"{fingerprint}\"]\n"
        )
    };
    let two = format!(
        "[[principal]]\nname = \"a\"\nkind = \"human\"\nidentities = [\"mailto:{home}\"]\n[[principal]]\nname = \"b\"\nkind = \"human\"\nidentities = [\"mailto:{work}\"]\n{}",
        human("bob", &bob)
    );
    let people = human("alice", &alice) + &human("bob", &bob);
    sign(work, &merge);
    assert_eq!(code(&people), "acceptance-missing");
    assert_eq!(code(&two), "acceptance-missing");
    world.git_ok(&["reset", "-q", "--hard", "HEAD~1"]);
    sign("bob@work.invalid", &merge);
    assert_eq!(code(&people), "accepted");
    assert_eq!(code(&two), "accepted");
}

/// By git itself: a reviewer throws an agent's change away, or only brings a branch up to date.
#[test]
fn a_merge_that_throws_a_change_away_does_not_accept_it() {
    let world = World::initialised();
    let policy = world.policy(
        r#"
[[principal]]
name = "reviewers"
kind = "human"
identities = ["wimse://*/reviewer"]
[[allow]]
identity = "*"
[[require]]
identity = "wimse://*/claude"
paths = ["auth/*"]
accepted_by = ["human"]
"#,
    );
    world.signed_commit("file");
    world.git_ok(&["checkout", "-q", "-b", "topic"]);
    let change = world.signed_commit("auth/login");
    world.notme_ok(&["init", "--agent", "reviewer", "--format", "x509"]);
    world.git_ok(&["checkout", "-q", "-b", "feature", "main"]);
    world.signed_commit("feature");
    let code = |range: &str| {
        let (_, document) = world.verdicts(&["--policy", &policy, range]);
        let mut objects = document["objects"].as_array().unwrap().iter();
        let object = objects.find(|it| it["oid"] == change.as_str()).unwrap();
        object["code"].as_str().unwrap_or("accepted").to_owned()
    };
    let merge = |options: &[&str]| {
        let merge = ["merge", "-q", "--no-ff", "-S", "-m", "merge", "topic"];
        world.git_ok(&["reset", "-q", "--hard", "main"]);
        world.signed_commit("feature");
        world.git_ok(&[&merge[..], options].concat());
    };
    merge(&["-s", "ours"]);
    assert_eq!(code("main..feature"), "acceptance-missing");
    merge(&[]);
    assert_eq!(code("main..feature"), "accepted");
    // The branch from which it came is not served by that.
    assert_eq!(code("--all"), "acceptance-missing");
    assert_eq!(code("main..topic"), "acceptance-missing");
}
