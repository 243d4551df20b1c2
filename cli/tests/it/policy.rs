//! The repository's own policy through the real program: written, linted, and judged by.

mod init;

use std::{collections::BTreeMap, fs, path::Path, time::SystemTime};

use notme_core::time::UnixTime;
use notme_testkit::{
    commit::with_signature, gnupg::Gnupg, oracle::oracle, repository::run, testdata,
};
use serde_json::{Value, json};

use crate::{
    vsa::{VSA, bundle, statement},
    world::{World, told},
};

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
        checked.contains("would have accepted all of the last 2 commits"),
        "{checked}"
    );
    let excused = "1 object accepted at or before the baseline";
    assert!(checked.contains(excused), "{checked}");
    let by_file = ["verify", "--all", "--policy", POLICY, "--format"];
    for format in ["text", "html"] {
        let report = world.notme_ok(&[&by_file[..], &[format]].concat());
        assert!(report.contains(excused), "{report}");
    }
    let checked = world.notme_ok(&["policy", "check", "--json"]);
    let document: Value = serde_json::from_str(&checked).unwrap();
    assert_eq!(document["summary"]["baseline"], 1);
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

    /// Has git sign as whoever has an address, or as nobody.
    fn git(&self, who: &str, arguments: &[&str]) {
        let world = &self.world;
        let program = format!("gpg.program={}", oracle("gpg").display());
        let mut git = world.command("git");
        git.current_dir(world.path())
            .env("GNUPGHOME", self.gpg.path());
        for option in ["gpg.format=openpgp", &program] {
            git.args(["-c", option]);
        }
        for option in ["user.signingkey", "user.email"] {
            git.args(["-c", &format!("{option}={who}")]);
        }
        let signs = format!("commit.gpgsign={}", who != NOBODY);
        let output = run(git.args(["-c", &signs]).args(arguments), b"");
        assert!(output.status.success(), "{}", told(&output));
    }

    /// Has somebody write and commit a file.
    fn writes(&self, who: &str, file: &str, content: &str) -> String {
        self.world.write(file, content);
        self.world.git_ok(&["add", "."]);
        self.git(who, &["commit", "-q", "-m", "change"]);
        self.world.git_ok(&["rev-parse", "HEAD"])
    }

    /// Writes a first policy, and adds it to the index.
    fn inits(&self) -> String {
        self.world.notme_ok(&["policy", "init"]);
        self.world.git_ok(&["add", POLICY]);
        fs::read_to_string(self.world.path().join(POLICY)).unwrap()
    }
}

const ALICE: &str = "Alice <alice@example.org>";
const NOBODY: &str = "nobody@team.invalid";
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

/// In a policy the name would be a pattern.
#[test]
fn init_lets_nobody_in_for_a_star_in_the_name_of_another() {
    let star = "Star <*@example.org>";
    let team = Team::of(&[ALICE, star]);
    team.commits(star, star);
    let text = team.inits();
    assert!(text.contains("\nallow = []\n"), "{text}");
    assert!(
        text.contains("\n# identities = [\"mailto:*@example.org\"]\n"),
        "{text}"
    );
    assert!(!text.contains("\n[[principal]]"), "{text}");
    assert!(!text.contains("\n[[allow]]"), "{text}");
    team.world.notme_ok(&["policy", "check"]);
    let root = team.commits(ALICE, ALICE);
    let code = |id: &str| team.world.code(id, &["--trust-root", &root]);
    assert_eq!(code(&team.commits(star, star)), "not-authorised");
    // Others are named as ever.
    fs::remove_file(team.world.path().join(POLICY)).unwrap();
    let text = team.inits();
    assert_eq!(text.matches("\n[[principal]]").count(), 1, "{text}");
    assert!(
        text.contains("\nidentities = [\"mailto:alice@example.org\"]\n"),
        "{text}"
    );
    assert!(text.contains("\nprincipals = [\"human\"]\n"), "{text}");
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
        "[[principal]]\nname = \"x\"\nkind = \"human\"\nidentities = [\"mailto:x\"]\n[[allow]]\nidentity = \"wimse://elsewhere/*\"\n",
    );
    let out = world.notme_ok(&["policy", "check", &policy]);
    assert!(
        out.contains("would not have accepted the last commit"),
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
fn check_takes_a_ref_and_tells_what_cannot_be_read() {
    let world = World::initialised();
    world.signed_commit("a");
    let policy = world.policy("[[allow]]\nidentity = \"*\"\nrefs = [\"refs/heads/main\"]\n");
    world.git_ok(&["checkout", "-q", "--detach"]);
    let out = world.notme_ok(&["policy", "check", &policy]);
    assert!(
        out.contains("would not have accepted the last commit"),
        "{out}"
    );
    let on_main = ["policy", "check", "--ref", "refs/heads/main"];
    let out = world.notme_ok(&[&on_main[..], &[&policy]].concat());
    assert!(out.contains("would have accepted the last commit"), "{out}");
    let short = world.notme(&["policy", "check", "--ref", "main", &policy]);
    assert_eq!(short.status.code(), Some(2), "{}", told(&short));
    let missing = world.notme(&["policy", "check", "missing"]);
    assert_eq!(missing.status.code(), Some(3), "{}", told(&missing));
    let moving = world.home().join("a\u{1b}[31m");
    fs::copy(&policy, &moving).unwrap();
    let out = world.notme_ok(&["policy", "check", moving.to_str().unwrap()]);
    assert!(
        out.contains("\\u{1b}[31m") && !out.contains('\u{1b}'),
        "{out}"
    );
}

#[test]
fn check_names_the_lines_of_what_is_odd() {
    let world = World::initialised();
    let id = world.commit("a", "a");
    let policy = world.policy(&format!(
        r#"[[authority]]
name = "embedded"

[[authority]]
name = "elsewhere"
until = "2020-01-01T00:00:00Z"

[[principal]]
name = "forge"
kind = "human"
fingerprints = ["968479A1AFF927E37D1A566BB5690EEEBB952194"]

[[allow]]
principals = ["forge"]
policy = true
refs = ["refs/heads/main"]

[[exception]]
object = "{id}"
reason = "r"
until = "2020-01-01T00:00:00Z"

[[allow]]
principals = ["forge"]
paths = [".notme/*", "*"]

[[allow]]
principals = ["forge"]
paths = [".notme/*", ".notme/trust/people/*"]

[[allow]]
principals = ["forge"]
paths = [".notme/trust"]
"#
    ));
    let out = world.notme_ok(&["policy", "check", &policy]);
    assert_eq!(out.matches("trust store be changed").count(), 2, "{out}");
    for remark in [
        "line 4: the authority `elsewhere` is not in the trust store here",
        "line 4: the authority `elsewhere` counts no more",
        "line 8: `forge` is a human",
        "line 13: `allow forge` lets a forge's key change the policy",
        "line 18: the exception for",
        "line 23: this does not let the trust store be changed: `.notme/trust/*` would",
        "line 31: this does not let the trust store be changed",
    ] {
        assert!(out.contains(remark), "{remark}: {out}");
    }
}

/// None of it is an error: another trust store, or another clone, may have what is named.
#[test]
fn check_names_the_lines_of_what_can_never_be() {
    let world = World::initialised();
    let here = world.signed_commit("a");
    let elsewhere = "89abcdef".repeat(5);
    let policy = world.policy(&format!(
        r#"[[principal]]
name = "alice"
kind = "human"
identities = ["mailto:alice@example.org", "*@example.org", "alice@example.org"]
except = ["alice@*"]
authority = "embeded"

[[principal]]
name = "bob"
kind = "human"
fingerprints = ["868479A1AFF927E37D1A566BB5690EEEBB952194"]
authority = "embedded"

[[allow]]
principals = ["human"]
policy = true
refs = ["refs/heads/main"]

[[allow]]
identity = "bob@example.org"
authority = "nosuch"

[[require]]
identity = "wimse://*"
authority = "none"
level = "L1"

[[exception]]
object = "{here}"
reason = "r"
until = "2999-01-01T00:00:00Z"

[[exception]]
object = "{elsewhere}"
reason = "r"
until = "2999-01-01T00:00:00Z"
"#
    ));
    let out = world.notme_ok(&["policy", "check", &policy]);
    let remarks: Vec<_> = out.lines().filter(|it| it.starts_with("line ")).collect();
    let wanted = [
        "line 1: the authority `embeded` is not in the trust store here".to_owned(),
        "line 1: nobody has the identity `alice@example.org`: ".to_owned(),
        "line 1: nobody has the identity `alice@*`: ".to_owned(),
        "line 8: no key in the trust store here has the fingerprint 8684".to_owned(),
        "line 19: the authority `nosuch` is not in the trust store here".to_owned(),
        "line 19: nobody has the identity `bob@example.org`: ".to_owned(),
        "line 23: the authority `none` is not in the trust store here".to_owned(),
        format!("line 33: the exception is for {elsewhere}, which is not in this"),
    ];
    assert_eq!(remarks.len(), wanted.len(), "{out}");
    for (remark, wanted) in remarks.iter().zip(&wanted) {
        assert!(remark.starts_with(wanted), "{wanted}: {remark}");
    }
}

/// Returns what is said of a policy with one more rule, but for its lines.
fn remarks_on(world: &World, pattern: &str) -> Vec<String> {
    let policy = world.policy(&format!(
        "[[allow]]\nidentity = \"wimse://*\"\npolicy = true\nrefs = [\"refs/heads/*\"]\n[[require]]\n{pattern}\nlevel = \"L1\"\n"
    ));
    let out = world.notme_ok(&["policy", "check", &policy]);
    let remarks = out.lines().filter_map(|it| it.strip_prefix("line 5: "));
    remarks.map(str::to_owned).collect()
}

#[test]
fn check_tells_of_patterns_that_fit_nothing() {
    let world = World::initialised();
    fs::create_dir_all(world.path().join("app/[id]")).unwrap();
    fs::create_dir_all(world.path().join("src/auth")).unwrap();
    world.write("app/[id]/page", "a");
    world.write("src/auth/key", "a");
    world.git_ok(&["add", "."]);
    world.signed_commit("a");
    for pattern in [
        "main",
        "release/*",
        "refs/",
        "refs/heads",
        "refs/heads/",
        "refs/heads/main/",
        "refs/remotes/origin/main",
        "refs/pull/*",
    ] {
        let remarks = remarks_on(&world, &format!("refs = ['{pattern}']"));
        let wanted = format!("`{pattern}` fits no branch and no tag: ");
        assert_eq!(remarks.len(), 1, "{pattern}: {remarks:?}");
        assert!(remarks[0].starts_with(&wanted), "{remarks:?}");
    }
    for pattern in [
        "refs = ['refs/heads/v?']",
        "refs = ['!refs/heads/main']",
        "refs = ['refs/heads/{a,b}']",
        "paths = ['src/auth/?']",
        "paths = ['src/[ab]*']",
        "paths = ['src/{auth,x}/*']",
        "paths = ['!src/auth/*']",
        "paths = ['src\\auth\\*']",
    ] {
        let remarks = remarks_on(&world, pattern);
        assert_eq!(remarks.len(), 1, "{pattern}: {remarks:?}");
        assert!(remarks[0].contains("` stands for itself: "), "{remarks:?}");
    }
    for folder in ["src", "src/auth", "app/[id]"] {
        let remarks = remarks_on(&world, &format!("paths = ['{folder}']"));
        let wanted = format!("`{folder}` names the folder itself: `{folder}/*` means");
        assert!(remarks[0].starts_with(&wanted), "{remarks:?}");
    }
    for pattern in [
        "refs = ['*']",
        "refs = ['*/main']",
        "refs = ['refs/*']",
        "refs = ['refs/heads*']",
        "refs = ['refs/heads/release/*']",
        "refs = ['refs/t*/v1']",
        "refs = ['refs/tags/!v']",
        "paths = ['src/auth/*', 'src/auth/key', 'src/none', 'src*']",
        "paths = ['app/[id]/*', 'app/[id]/page']",
    ] {
        let remarks = remarks_on(&world, pattern);
        assert!(remarks.is_empty(), "{pattern}: {remarks:?}");
    }
}

#[test]
fn check_tells_where_people_cannot_reach_the_floor() {
    let (world, gpg) = (World::initialised(), Gnupg::new());
    gpg.generate("Alice <alice@example.org>", "ed25519", "sign", "never");
    world.trust_person(&gpg, "alice@example.org");
    world.signed_commit("a");
    let remarks = |text: &str| {
        let out = world.notme_ok(&["policy", "check", &world.policy(text)]);
        let is_meant = |it: &&str| it.contains("no time but what they declare");
        let found: Vec<_> = out.lines().filter(is_meant).map(str::to_owned).collect();
        found
    };
    let named = "[[authority]]\nname = \"embedded\"\n[[authority]]\nname = \"team\"\n";
    let one = remarks(named);
    assert_eq!(one.len(), 1, "{one:?}");
    assert!(one[0].starts_with("line 3: `team` is of people, "));
    assert!(one[0].contains("none reaches `issuance-bound`"), "{one:?}");
    assert_eq!(remarks("time_basis_floor = \"first-seen\"\n").len(), 1);
    for good in [
        "skew_seconds = 1\n".to_owned(),
        "time_basis_floor = \"dag-ordered\"\n".to_owned(),
        format!("{named}time_basis_floor = \"declared\"\n"),
        "time_basis_floor = \"first-seen\"\n[[gate]]\nprincipals = [\"gate\"]\nrepository = \"https://x.example/r\"\n[[principal]]\nname = \"gate\"\nkind = \"bot\"\nidentities = [\"wimse://*\"]\n".to_owned(),
    ] {
        let none = remarks(&good);
        assert!(none.is_empty(), "{good}: {none:?}");
    }
}

#[test]
fn check_knows_the_keys_of_the_trust_store_by_their_fingerprints() {
    let world = World::initialised();
    world.signed_commit("a");
    let gpg = Gnupg::new();
    let fingerprint = gpg.generate("Bob <bob@example.org>", "ed25519", "sign", "never");
    world.trust_person(&gpg, "bob@example.org");
    let policy = world.policy(&format!(
        "[[principal]]\nname = \"bob\"\nkind = \"human\"\nfingerprints = [\"{fingerprint}\"]\nauthority = \"team\"\n[[allow]]\nprincipals = [\"bob\"]\npolicy = true\nrefs = [\"refs/heads/main\"]\n"
    ));
    let check = ["policy", "check", &policy];
    let out = world.notme_ok(&check);
    assert!(!out.contains("\nline "), "{out}");

    // What cannot be read may be what is named.
    let keys = world.notme_home().join("data/trust/team/keys.pgp");
    fs::write(keys, "garbage").unwrap();
    let output = world.notme(&check);
    assert!(output.status.success(), "{}", told(&output));
    let fault = "authority `team`: trust-unreadable: ";
    for part in [
        &format!("line 1: the authority `team` is not found here: {fault}"),
        &format!("note: {fault}"),
    ] {
        assert!(told(&output).contains(part), "{part}: {}", told(&output));
    }
    let out = world.notme_ok(&[&check[..], &["--json"]].concat());
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["trust_faults"][0]["code"], "trust-unreadable");
    assert_eq!(document["trust_recorded"], true);
}

#[test]
fn check_tells_where_a_shallow_clone_ends() {
    let world = World::initialised();
    for name in ["a", "b", "c"] {
        world.signed_commit(name);
    }
    let policy = world.policy("[[allow]]\nidentity = \"wimse://*\"\n");
    let check = ["policy", "check", "--json", &policy];
    let whole: Value = serde_json::from_str(&world.notme_ok(&check)).unwrap();
    assert_eq!(whole["shallow"], json!([]));
    let clone = world.another_repository(notme_testkit::repository::Repository::new());
    let from = format!("file://{}", world.path().display());
    clone.git_ok(&["pull", "-q", "--depth=2", &from, "HEAD"]);
    let boundary = clone.git_ok(&["rev-parse", "HEAD~1"]);
    let shallow: Value = serde_json::from_str(&clone.notme_ok(&check)).unwrap();
    assert_eq!(shallow["commits"], 2);
    assert_eq!(shallow["shallow"], json!([boundary]));
    let output = clone.notme(&["policy", "check", &policy]);
    let note = "note: the clone is shallow; nothing beyond its boundary was judged";
    assert!(told(&output).contains(note), "{}", told(&output));
}

#[test]
fn a_trust_root_whose_policy_was_not_cloned_is_told_how_to_fetch() {
    let world = World::initialised();
    let root = commit_policy(&world, "[[allow]]\nidentity = \"*\"\n");
    world.git_ok(&["config", "uploadpack.allowFilter", "true"]);
    let from = format!("file://{}", world.path().display());
    let to = world.home().join("clone");
    let to = to.to_str().unwrap();
    let filter = ["clone", "-q", "--no-checkout", "--filter=blob:none"];
    world.git_ok(&[&filter[..], &[&from, to]].concat());
    let mut verify = world.notme_command();
    let output = run(
        verify
            .current_dir(to)
            .args(["verify", "--trust-root", &root]),
        b"",
    );
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    let says = told(&output);
    assert!(says.contains("is needed to decide"), "{says}");
    assert!(says.contains("hint: Fetch the missing history"), "{says}");
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
    world.git_ok(&["tag", "-m", "x", "v1"]);
    let tag = world.git_ok(&["rev-parse", "v1"]);
    let of_tag = world.notme(&["verify", "--trust-root", &tag]);
    assert_eq!(of_tag.status.code(), Some(3), "{}", told(&of_tag));
    let says = told(&of_tag);
    assert!(says.contains("is a tag") && says.contains(&id), "{says}");
    assert!(!says.contains("git fsck"), "{says}");
    // Rules for a branch are asked of none of these.
    for name in [
        "main",
        "refs/heads/",
        "refs/heads/a b",
        "refs/heads/..",
        "refs/remotes/origin/main",
    ] {
        let output = world.notme(&["verify", "--ref", name]);
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    }
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

/// Commits a first policy, and returns the commit.
fn commit_policy(world: &World, text: &str) -> String {
    world.write(POLICY, text);
    world.git_ok(&["add", "."]);
    world.git_ok(&["commit", "-q", "-m", "policy"]);
    world.git_ok(&["rev-parse", "HEAD"])
}

/// However a branch is spelt, what is asked for it is asked.
#[test]
fn rules_for_a_branch_are_asked_whatever_leads_to_it() {
    let world = World::initialised();
    let rules = r#"
[[principal]]
name = "claude"
kind = "agent"
identities = ["wimse://*/claude"]

[[principal]]
name = "bob"
kind = "human"
identities = ["mailto:bob@example.com"]

[[allow]]
principals = ["claude"]
policy = true

[[require]]
refs = ["refs/heads/main"]
paths = ["auth/*"]
accepted_by = ["human"]
"#;
    let root = commit_policy(&world, rules);
    world.signed_commit("auth/login");
    let bare = world.remote();
    world.git_ok(&["push", "-q", "origin", "main"]);
    bare.git_ok(&["symbolic-ref", "HEAD", "refs/heads/main"]);
    world.git_ok(&["fetch", "-q", "origin"]);
    world.git_ok(&["remote", "set-head", "origin", "main"]);
    world.git_ok(&["symbolic-ref", "refs/heads/alias", "refs/heads/main"]);
    for name in [
        "main",
        "HEAD",
        "alias",
        "origin/main",
        "origin/HEAD",
        "origin",
        "FETCH_HEAD",
    ] {
        let range = format!("{root}..{name}");
        let code = world.code(&range, &["--trust-root", &root]);
        assert_eq!(code, "acceptance-missing", "{name}");
    }
}

/// Whoever may sign tags may not therefore sign the commits below them.
#[test]
fn a_tag_says_for_which_ref_it_is_itself_and_not_the_commits_below_it() {
    let world = World::initialised();
    let rules = r#"
[[principal]]
name = "maintainer"
kind = "human"
identities = ["wimse://*/claude"]

[[principal]]
name = "releaser"
kind = "bot"
identities = ["wimse://*/releaser"]

[[allow]]
principals = ["maintainer"]
refs = ["refs/heads/main"]
policy = true

[[allow]]
principals = ["releaser"]
refs = ["refs/tags/*"]

[[require]]
refs = ["refs/heads/main"]
paths = ["auth/*"]
accepted_by = ["human"]
"#;
    let root = commit_policy(&world, rules);
    world.signed_commit("a");
    world.notme_ok(&["init", "--agent", "releaser", "--format", "x509"]);
    world.git_ok(&["tag", "-s", "-m", "1", "v1"]);
    world.git_ok(&["checkout", "-q", "-b", "side", &root]);
    world.signed_commit("auth/login");
    world.git_ok(&["tag", "-s", "-m", "2", "v2"]);
    world.git_ok(&["tag", "--no-sign", "light"]);
    let own = ["--trust-root", &root];
    let by_ref =
        |revision: &str, name: &str| world.code(revision, &[&own[..], &["--ref", name]].concat());
    let range = |tag: &str| format!("{root}..{tag}");
    assert_eq!(by_ref("v1", "refs/heads/main"), "accepted");
    assert_eq!(by_ref("v2", "refs/heads/main"), "parent-not-accepted");
    let (exit, _) = world.verdicts(&[&own[..], &["--tags"]].concat());
    assert_eq!(exit, Some(3));
    for tag in ["v1", "v2"] {
        let output = world.notme(&[&["verify", tag][..], &own].concat());
        assert_eq!(output.status.code(), Some(3), "{}", told(&output));
        assert!(
            told(&output).contains("`--ref` says it"),
            "{}",
            told(&output)
        );
    }
    let file = world.policy(rules);
    for tag in ["v1", "v2", "light"] {
        assert_eq!(world.code(&range(tag), &own), "not-authorised");
        let by_file = ["--policy", &file];
        assert_eq!(world.code(&range(tag), &by_file), "not-authorised");
    }
    assert_eq!(by_ref(&range("v1"), "refs/heads/main"), "accepted");
}

/// Whoever may push tags does not choose for which ref a range is judged.
#[test]
fn a_tag_that_is_named_like_a_commit_gives_a_range_no_ref() {
    let world = World::initialised();
    world.signed_commit("a");
    let id = world.signed_commit("b");
    let policy = world.policy("[[allow]]\nidentity = \"*\"\nrefs = [\"refs/tags/*\"]\n");
    let code =
        |range: &str, more: &[&str]| world.code(range, &[&["--policy", &policy], more].concat());
    let range = format!("HEAD~1..{id}");
    assert_eq!(code(&range, &[]), "not-authorised");
    world.git_ok(&["tag", "--no-sign", &id, "HEAD"]);
    assert_eq!(code(&range, &[]), "not-authorised");
    assert_eq!(code(&id, &[]), "not-authorised");
    assert_eq!(code(&range, &["--ref", "refs/tags/v1"]), "accepted");
    let (_, document) = world.verdicts(&[&range, "--policy", &policy]);
    assert_eq!(document["ref"], Value::Null, "{document}");
    // One that is not here is no tag, either.
    let gone = "1".repeat(40);
    world.git_ok(&["tag", "--no-sign", &gone, "HEAD~1"]);
    let output = world.notme(&["verify", &format!("{gone}..HEAD")]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(told(&output).contains("may be"), "{}", told(&output));
}

/// git warns, and takes the tag.
#[test]
fn a_name_that_may_be_two_things_is_refused() {
    let world = World::initialised();
    let one = world.signed_commit("a");
    let two = world.signed_commit("b");
    world.git_ok(&["update-ref", "refs/remotes/origin/main", &one]);
    let verify = |range: &str| {
        let output = world.notme(&["verify", range]);
        (output.status.code(), told(&output))
    };
    let refused = |range: &str, names: &[&str]| {
        let (exit, says) = verify(range);
        assert_eq!(exit, Some(2), "{range}: {says}");
        for name in names {
            assert!(says.contains(name), "{range}: {says}");
        }
    };
    assert_eq!(verify("origin/main..HEAD").0, Some(0));
    world.git_ok(&["update-ref", "refs/tags/origin/main", &two]);
    let both = ["refs/tags/origin/main", "refs/remotes/origin/main"];
    refused("origin/main..HEAD", &both);
    refused("HEAD...origin/main~0", &both);
    refused("origin/main", &both);
    refused("origin/main^{commit}", &both);
    let output = run(world.notme_command().args(["verify", "-"]), b"origin/main");
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    let explained = world.notme(&["explain", "origin/main"]);
    assert_eq!(explained.status.code(), Some(2), "{}", told(&explained));
    let (exit, says) = verify("refs/remotes/origin/main..HEAD");
    assert!(exit == Some(0) && says.contains(&two[..10]), "{says}");
    // A full name is one thing, and none that only ends so.
    world.git_ok(&["update-ref", "refs/tags/refs/remotes/origin/main", &two]);
    let (exit, says) = verify("refs/remotes/origin/main..HEAD");
    assert!(exit == Some(0) && says.contains(&two[..10]), "{says}");
    world.git_ok(&["update-ref", "-d", "refs/remotes/origin/main"]);
    refused(
        "refs/remotes/origin/main..HEAD",
        &["refs/tags/refs/remotes/origin/main"],
    );
    world.git_ok(&["update-ref", "refs/tags/HEAD", &one]);
    assert_eq!(verify("HEAD~1..HEAD").0, Some(0));
    // Neither is what may be an object, too, as long as git does not take it for the ref alone.
    let short = &two[..7];
    assert_eq!(verify(short).0, Some(0));
    world.git_ok(&["update-ref", &format!("refs/heads/{short}"), &one]);
    refused(short, &[&format!("refs/heads/{short}"), "an object id"]);
    let described = format!("v1-0-g{short}");
    world.git_ok(&["update-ref", &format!("refs/tags/{described}"), &one]);
    let (exit, says) = verify(&described);
    assert!(exit == Some(0) && says.contains(&one[..10]), "{says}");
}

/// Whoever may move refs makes no release of a nightly.
#[test]
fn a_tag_under_another_name_is_refused() {
    let world = World::initialised();
    world.signed_commit("a");
    let nightly = "refs/tags/nightly-1";
    world.git_ok(&["tag", "-s", "-m", "n", "nightly-1"]);
    let id = world.git_ok(&["rev-parse", nightly]);
    let rule =
        "[[allow]]\nidentity = \"*\"\nrefs = [\"refs/tags/nightly-*\", \"refs/heads/main\"]\n";
    let policy = world.policy(rule);
    let code = |revision: &str, more: &[&str]| {
        world.code(revision, &[&["--policy", &policy], more].concat())
    };
    assert_eq!(code("nightly-1", &[]), "accepted");
    assert_eq!(
        code("nightly-1", &["--ref", "refs/tags/v2.0"]),
        "tag-renamed"
    );
    assert_eq!(code(&id, &["--ref", "refs/tags/v2.0"]), "tag-renamed");
    assert_eq!(code(&id, &["--ref", nightly]), "accepted");
    assert_eq!(code(&id, &[]), "accepted");
    world.git_ok(&["update-ref", "refs/tags/v2.0", nightly]);
    // A symbolic one is asked by its own name, and a branch that leads to a tag by that of the tag.
    world.git_ok(&["symbolic-ref", "refs/tags/v3.0", nightly]);
    world.git_ok(&["symbolic-ref", "refs/heads/to", "refs/tags/v2.0"]);
    let listed = |name: &str| {
        let script = format!("echo {name} | notme verify --policy {policy} --format json -");
        let output = world.shell(&script).output().unwrap();
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        document["objects"][0]["code"].clone()
    };
    for revision in [
        "v2.0",
        "tags/v2.0",
        "refs/tags/v2.0",
        "v2.0^{tag}",
        "v3.0",
        "to",
    ] {
        assert_eq!(code(revision, &[]), "tag-renamed", "{revision}");
        assert_eq!(listed(revision), "tag-renamed", "{revision}");
    }
    for revision in ["nightly-1", nightly, &id] {
        assert_eq!(listed(revision), Value::Null, "{revision}");
    }
    // Elsewhere it is what it says itself.
    for (reference, is) in [
        ("refs/tags/theirs/tags/nightly-1", "tag-renamed"),
        ("refs/remotes/theirs/tags/nightly-1", "accepted"),
        ("refs/releases/v2.0", "accepted"),
    ] {
        world.git_ok(&["update-ref", reference, nightly]);
        assert_eq!(code(reference, &[]), is, "{reference}");
        world.git_ok(&["update-ref", "-d", reference]);
    }
    for gone in ["refs/tags/v3.0", "refs/heads/to"] {
        world.git_ok(&["symbolic-ref", "--delete", gone]);
    }
    assert_eq!(code("v2.0", &["--ref", "refs/heads/main"]), "tag-renamed");
    let (exit, _) = world.verdicts(&["--tags", "--policy", &policy]);
    assert_eq!(exit, Some(1));
    let explained = world.notme(&["explain", "v2.0"]);
    for word in ["tag-renamed", "`nightly-1`", "`refs/tags/v2.0`"] {
        assert!(told(&explained).contains(word), "{}", told(&explained));
    }
    // The repository's own policy says no more.
    let path = world.path().join(".notme");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("policy.toml"), format!("{rule}policy = true\n")).unwrap();
    world.git_ok(&["add", "--all"]);
    world.git_ok(&["commit", "-q", "-m", "policy"]);
    let root = world.git_ok(&["rev-parse", "HEAD"]);
    assert_eq!(world.code("v2.0", &["--trust-root", &root]), "tag-renamed");
    assert_eq!(
        world.code("nightly-1", &["--trust-root", &root]),
        "accepted"
    );
    // A lightweight one is its commit, and a nested one has names of its own.
    world.git_ok(&["tag", "--no-sign", "v3", "nightly-1^{}"]);
    let light = world.code("v3", &[]);
    assert_eq!(light, "accepted");
    world.git_ok(&["tag", "-s", "-m", "o", "nightly-2", nightly]);
    assert_eq!(code("nightly-2", &[]), "accepted");
    world.git_ok(&["tag", "-d", "v2.0"]);
    let (exit, document) = world.verdicts(&["--tags", "--policy", &policy]);
    assert_eq!(exit, Some(0), "{document}");
    world.git_ok(&["update-ref", "refs/tags/v2.0", nightly]);
    let but = format!(
        "[[exception]]\nobject = \"{id}\"\nreason = \"an alias\"\nuntil = \"2999-01-01T00:00:00Z\"\n"
    );
    let policy = world.policy(&format!("{rule}{but}"));
    assert_eq!(world.code("v2.0", &["--policy", &policy]), "accepted");
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

/// Of an authority that the trust store has, and the policy takes from a commit on.
#[test]
fn statements_count_as_the_policy_in_force_takes_their_authority() {
    let team = Team {
        world: World::initialised(),
        gpg: Gnupg::new(),
    };
    let world = &team.world;
    team.gpg.generate(BOSS, "ed25519", "sign", "never");
    world.trust_person(&team.gpg, "team.invalid");
    let policy = policy_for_bob("docs/*")
        + r#"
[[principal]]
name = "reviewers"
kind = "human"
identities = ["wimse://*/claude"]

[[require]]
paths = ["auth/*"]
accepted_by = ["human"]
"#;
    let root = team.writes(BOSS, POLICY, &policy);
    let before = team.writes(BOSS, "auth/login", "1");
    let judged = |commit: &str| {
        world.notme_ok(&["attest", "acceptance", commit]);
        let (_, document) = world.verdicts(&[commit, "--trust-root", &root]);
        let object = &document["objects"][0];
        [object, &object["attestations"][0]].map(|it| it["code"].as_str().map(str::to_owned))
    };
    let codes = ["acceptance-missing", "signer-untrusted"].map(|it| Some(it.to_owned()));
    assert_eq!(judged(&before), codes);
    world.git_ok(&["reset", "-q", "--hard", &root]);
    let takes = format!("{policy}\n[[authority]]\nname = \"embedded\"\n");
    team.writes(BOSS, POLICY, &takes);
    let after = team.writes(BOSS, "auth/logout", "2");
    assert_eq!(judged(&after), [None, None]);
}

/// Ten thousand rules for nine thousand principals each, in less than a megabyte that nobody signed.
#[test]
fn a_policy_that_nobody_accepted_takes_little_to_refuse() {
    let world = World::initialised();
    let root = commit_policy(&world, "[[allow]]\nidentity = \"*\"\npolicy = true\n");
    let principal = |name: usize| {
        format!("[[principal]]\nname=\"{name:x}\"\nkind=\"agent\"\nidentities=[\"a\"]\n")
    };
    let principals: String = (0..9_000).map(principal).collect();
    let rules = "[[allow]]\nprincipals=[\"agent\"]\n".repeat(10_000);
    for number in 0..8 {
        world.write(POLICY, &format!("# {number}\n{principals}{rules}"));
        world.git_ok(&["commit", "-q", "-a", "--no-gpg-sign", "-m", "bomb"]);
    }
    let mut verify =
        world.shell("ulimit -v 1048576; exec notme verify --trust-root \"$ROOT\" HEAD");
    let output = run(verify.current_dir(world.path()).env("ROOT", &root), b"");
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(told(&output).contains("unsigned"), "{}", told(&output));
    // Nor do lists of names that are all different.
    let rule = |name: usize| format!("[[allow]]\nprincipals=[\"agent\",\"{name:x}\"]\n");
    let rules: String = (0..8_000).map(rule).collect();
    let file = world.policy(&format!("{principals}{rules}"));
    let output = world.notme(&["policy", "check", &file]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(
        told(&output).contains("1048576 principals"),
        "{}",
        told(&output)
    );
}

#[test]
fn a_policy_comes_through_a_pipe_where_it_is_given_by_hand() {
    let world = World::initialised();
    world.signed_commit("a");
    let strict = world.policy("allow = []\n");
    let verify = |script: &str| {
        let mut bash = world.shell("exec bash -c \"$SCRIPT\"");
        run(bash.current_dir(world.path()).env("SCRIPT", script), b"")
    };
    for script in [
        format!("cat {strict} | notme verify --policy /dev/stdin"),
        format!("notme verify --policy <(sleep 0.2; cat {strict})"),
        format!("notme verify --policy {strict}"),
        format!(
            "notme policy check <(cat {strict}) | grep -q 'not have accepted' && notme verify --policy {strict}"
        ),
    ] {
        let output = verify(&script);
        assert_eq!(output.status.code(), Some(1), "{script}: {}", told(&output));
        assert!(
            told(&output).contains("not-authorised"),
            "{}",
            told(&output)
        );
    }
    // Whoever was to write it failed, which allows nobody more than they meant.
    for (script, why) in [
        (
            "notme verify --policy <(sleep 1)".to_owned(),
            "nobody wrote to this pipe",
        ),
        ("notme verify --policy <(cat /dev/zero)".to_owned(), "1 MiB"),
        ("notme verify --policy /dev/zero".to_owned(), "1 MiB"),
        (
            format!("notme verify --policy {}", world.home().display()),
            "Is a directory",
        ),
    ] {
        let output = verify(&script);
        assert_eq!(output.status.code(), Some(3), "{script}: {}", told(&output));
        assert!(told(&output).contains(why), "{script}: {}", told(&output));
    }
}

/// Alice has one key with two addresses. Whichever of them signs the merge, it is her own work, and both
/// together are no two who agree.
#[test]
fn one_key_with_two_addresses_is_not_two_people() {
    let [home, work] = ["alice@home.invalid", "alice@work.invalid"];
    let [bob, carol] = ["bob@work.invalid", "carol@work.invalid"];
    let team = Team {
        world: World::new(),
        gpg: Gnupg::new(),
    };
    let (world, gpg) = (&team.world, &team.gpg);
    let key = |email: &str| gpg.generate(email, "ed25519", "sign", "never");
    let keys = [home, bob, carol].map(key);
    gpg.ok(&["--quick-add-uid", &keys[0], work], b"");
    world.trust_person(gpg, "work.invalid");
    let human = |name: &str, is: &str| {
        format!("[[principal]]\nname = \"{name}\"\nkind = \"human\"\n{is}\n")
    };
    let of_key = |key: &String| human(key, &format!("fingerprints = [\"{key}\"]"));
    let of_address =
        |name: &str, email: &str| human(name, &format!("identities = [\"mailto:{email}\"]"));
    let others = of_key(&keys[1]) + &of_key(&keys[2]);
    let people = [
        of_key(&keys[0]) + &others,
        of_address("a", home) + &of_address("b", work) + &others,
    ];
    let codes = |change: &str, threshold: u8| {
        let rules = format!(
            "[[allow]]\nprincipals = [\"human\"]\n[[require]]\npaths = [\"auth/login\"]\naccepted_by = [\"human\"]\nthreshold = {threshold}\n"
        );
        let floor = "time_basis_floor = \"declared\"";
        people.each_ref().map(|people| {
            let policy = world.policy(&format!(
                "{floor}\n[[authority]]\nname = \"team\"\n{floor}\n{people}{rules}"
            ));
            let (_, document) = world.verdicts(&["--policy", &policy, "HEAD~1..HEAD"]);
            let objects = document["objects"].as_array().unwrap().iter();
            let mut objects = objects.filter(|it| it["oid"] == change);
            let found = objects.next().unwrap();
            found["code"].as_str().unwrap_or("accepted").to_owned()
        })
    };
    let merge = |who: &str, branch: &str| {
        team.git(who, &["merge", "-q", "--no-ff", "-m", "merge", branch]);
    };
    team.writes(home, "file", "1");
    let base = world.git_ok(&["rev-parse", "HEAD"]);
    let start = |branch: &str| world.git_ok(&["checkout", "-q", "-B", branch, &base]);
    start("topic");
    let change = team.writes(home, "auth/login", "1");
    for (who, code) in [(work, "acceptance-missing"), (bob, "accepted")] {
        start("main");
        merge(who, "topic");
        assert_eq!(codes(&change, 1), [code, code], "{who}");
    }
    start("topic");
    let change = team.writes(bob, "auth/login", "2");
    for (who, code) in [(work, "acceptance-missing"), (carol, "accepted")] {
        start("outer");
        merge(home, "topic");
        start("main");
        merge(who, "outer");
        assert_eq!(codes(&change, 1), ["accepted", "accepted"], "{who}");
        assert_eq!(codes(&change, 2), [code, code], "{who}");
    }
}

/// Alice has a key of SSH and one of OpenPGP. Both are hers, and with one she does not accept what she
/// signed with the other.
#[test]
fn the_keys_that_a_principal_lists_are_all_theirs() {
    let [alice, bob] = ["alice@work.invalid", "bob@work.invalid"];
    let team = Team {
        world: World::new(),
        gpg: Gnupg::new(),
    };
    let world = &team.world;
    let keys = [alice, bob].map(|email| team.gpg.generate(email, "ed25519", "sign", "never"));
    world.trust_person(&team.gpg, "work.invalid");
    let shown = world.notme_ok(&["trust", "show"]);
    let (_, hers) = shown.split_once(&*keys[0]).unwrap();
    let pin = hers.lines().nth(1).unwrap().trim_start();
    let pin = pin.strip_prefix("pin    ").unwrap();
    let key = world.home().join("key");
    let mut keygen = world.command(oracle("ssh-keygen"));
    let made = keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]);
    assert!(made.arg(&key).status().unwrap().success());
    let line = fs::read_to_string(key.with_extension("pub")).unwrap();
    let signing = format!("user.signingkey={}", key.display());
    let program = format!("gpg.ssh.program={}", oracle("ssh-keygen").display());

    team.writes(bob, "file", "1");
    world.git_ok(&["checkout", "-q", "-b", "topic"]);
    world.write("auth/login", "1");
    world.git_ok(&["add", "."]);
    let by_ssh = ["-c", "gpg.format=ssh", "-c", &program, "-c", &signing];
    team.git(alice, &[&by_ssh[..], &["commit", "-q", "-m", "m"]].concat());
    let change = world.git_ok(&["rev-parse", "HEAD"]);
    for (who, code) in [(alice, "acceptance-missing"), (bob, "accepted")] {
        world.git_ok(&["checkout", "-q", "-B", "merged", "main"]);
        team.git(who, &["merge", "-q", "--no-ff", "-m", "merge", "topic"]);
        let merge = world.git_ok(&["rev-parse", "HEAD"]);
        for own in ["fingerprints", "keys"] {
            let named = if own == "keys" { pin } else { &keys[0] };
            let policy = world.policy(&format!(
                r#"
                time_basis_floor = "declared"
                [[principal]]
                name = "alice"
                kind = "human"
                ssh_keys = ["{}"]
                {own} = ["{named}"]
                [[principal]]
                name = "bob"
                kind = "human"
                fingerprints = ["{}"]
                [[allow]]
                principals = ["human"]
                [[require]]
                paths = ["auth/*"]
                accepted_by = ["human"]
                "#,
                line.trim(),
                keys[1]
            ));
            let (_, document) = world.verdicts(&["--policy", &policy, "main..HEAD"]);
            let codes: BTreeMap<_, _> = document["objects"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| {
                    (
                        it["oid"].as_str(),
                        it["code"].as_str().unwrap_or("accepted"),
                    )
                })
                .collect();
            let expected = [(&change, code), (&merge, "accepted")];
            let expected = expected.map(|(oid, code)| (Some(oid.as_str()), code));
            assert_eq!(codes, expected.into(), "{who}, {own}");
        }
    }
}

const BOB: &str = "bob@team.invalid";
const BOSS: &str = "alice@team.invalid";

/// A policy by which alice may do everything, and bob change some paths.
fn policy_for_bob(paths: &str) -> String {
    let floor = "time_basis_floor = \"declared\"";
    let allow = |who: &str| format!("[[allow]]\nidentity = \"mailto:{who}\"\n");
    format!(
        "{floor}\n[[authority]]\nname = \"team\"\n{floor}\n{}policy = true\n{}paths = [\"{paths}\"]\n",
        allow(BOSS),
        allow(BOB)
    )
}

/// Begins a repository with a policy of its own, and returns the trust root with the team. There is a
/// branch `side` from before alice mended something and said anew what bob may change.
fn mended([before, after]: [&str; 2]) -> (Team, String) {
    let team = Team {
        world: World::new(),
        gpg: Gnupg::new(),
    };
    for email in [BOSS, BOB] {
        team.gpg.generate(email, "ed25519", "sign", "never");
    }
    team.world.trust_person(&team.gpg, "team.invalid");
    team.world.write("auth/a", "bad");
    let root = team.writes(BOSS, POLICY, &policy_for_bob(before));
    team.world.git_ok(&["branch", "side"]);
    team.world.write("auth/a", "good");
    team.writes(BOSS, POLICY, &policy_for_bob(after));
    (team, root)
}

/// Bob has lost a right that he has on the branch.
#[test]
fn a_branch_from_before_a_policy_was_tightened_gains_nothing() {
    let (team, root) = mended(["*", "docs/*"]);
    let world = &team.world;
    let code = || world.code("HEAD", &["--trust-root", &root]);
    world.git_ok(&["checkout", "-q", "side"]);
    team.writes(BOB, "auth/b", "evil");
    assert_eq!(code(), "accepted");
    for (who, expected) in [(BOB, "not-authorised"), (BOSS, "accepted")] {
        world.git_ok(&["checkout", "-q", "-B", "merged", "main"]);
        team.git(who, &["merge", "-q", "--no-ff", "-m", "merge", "side"]);
        assert_eq!(code(), expected, "{who}");
    }
}

/// Nor does it where alice says the same there, after what bob did.
#[test]
fn the_policy_that_tightened_main_holds_a_branch_from_its_own_commit_on() {
    let (team, root) = mended(["*", "docs/*"]);
    let world = &team.world;
    let code = || world.code("HEAD", &["--trust-root", &root]);
    world.git_ok(&["checkout", "-q", "side"]);
    team.writes(BOB, "auth/b", "evil");
    team.writes(BOSS, POLICY, &policy_for_bob("docs/*"));
    assert_eq!(code(), "accepted");
    for (who, expected) in [(BOB, "not-authorised"), (BOSS, "accepted")] {
        world.git_ok(&["checkout", "-q", "-B", "merged", "main"]);
        team.git(who, &["merge", "-q", "--no-ff", "-m", "merge", "side"]);
        assert_eq!(code(), expected, "{who}");
    }
}

/// git takes `main` for what both began with, since a commit of nobody says so, and takes back what
/// alice did there.
#[test]
fn what_nobody_signed_neither_brings_a_policy_back_nor_takes_a_change_back() {
    for paths in [["*", "docs/*"], ["docs/*", "docs/*"]] {
        let (team, root) = mended(paths);
        let world = &team.world;
        let code = || world.code("HEAD", &["--trust-root", &root]);
        world.git_ok(&["checkout", "-q", "-b", "link"]);
        team.git(NOBODY, &["commit", "-q", "--allow-empty", "-m", "link"]);
        world.git_ok(&["checkout", "-q", "side"]);
        team.writes(BOB, "docs/a", "1");
        team.git(BOB, &["merge", "-q", "-s", "ours", "-m", "m", "link"]);
        assert_eq!(code(), "accepted");
        world.git_ok(&["checkout", "-q", "main"]);
        team.git(BOB, &["merge", "-q", "--no-ff", "-m", "merge", "side"]);
        assert_eq!(world.git_ok(&["show", "HEAD:auth/a"]), "bad");
        assert_eq!(code(), "not-authorised", "{paths:?}");
        // Who leaves all of that as it is may take the rest.
        world.git_ok(&["checkout", "-q", "HEAD~1", "--", "auth", POLICY]);
        team.git(BOB, &["commit", "-q", "--amend", "--no-edit"]);
        assert_eq!(code(), "accepted", "{paths:?}");
    }
}

/// Asserts that every report of what a command line selects has a note, and a member that says it.
fn assert_told_everywhere(
    world: &World,
    arguments: &[&str],
    note: &str,
    (member, value): (&str, Value),
) {
    let report = |command: &[&str]| {
        let output = world.notme(&[command, arguments].concat());
        assert!(output.status.success(), "{}", told(&output));
        output
    };
    for format in [
        "text", "sarif", "junit", "markdown", "github", "gitlab", "html",
    ] {
        let output = report(&["verify", "--format", format]);
        let out = match format {
            "text" => told(&output),
            _ => String::from_utf8(output.stdout).unwrap(),
        };
        assert!(out.contains(note), "{format}: {out}");
    }
    assert_eq!(world.verdicts(arguments).1[member], value);
    let lines = String::from_utf8(report(&["verify", "--format", "jsonl"]).stdout).unwrap();
    let head: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(head[member], value);
    let summary = statement(&bundle(&report(&VSA)));
    let mut summarized = value;
    // Where files lie is not for those who get the summary.
    for fault in summarized.as_array_mut().into_iter().flatten() {
        fault.as_object_mut().unwrap().remove("message");
    }
    assert_eq!(summary["predicate"][format!("notme_{member}")], summarized);
}

#[test]
fn what_was_accepted_beside_the_trust_root_is_told_in_every_report() {
    let world = World::initialised();
    let root = commit_policy(&world, "[[allow]]\nidentity = \"*\"\n");
    world.git_ok(&["checkout", "-q", "--orphan", "beside"]);
    world.git_ok(&["rm", "-q", "-r", "-f", "."]);
    world.signed_commit("a");
    let (note, member) = ("1 accepted without descending", ("beside_root", 1.into()));
    let root = ["--trust-root", &root];
    assert_told_everywhere(&world, &root, note, member);
}

#[test]
fn a_policy_of_the_repository_that_nobody_asked_is_told_in_every_report() {
    let world = World::initialised();
    let root = commit_policy(&world, "[[allow]]\nidentity = \"*\"\n");
    let (note, member) = ("a policy of its own", ("policy_unasked", true.into()));
    assert_told_everywhere(&world, &["HEAD"], note, member);
    let policy = world.policy("[[allow]]\nidentity = \"*\"\n");
    for asked in [["--trust-root", &root], ["--policy", &policy]] {
        assert_eq!(world.verdicts(&asked).1["policy_unasked"], false);
    }
}

/// A tag adds a name to a commit, and what others say of the commit counts for it.
#[test]
fn what_is_stated_about_its_commit_counts_for_a_tag() {
    let world = World::initialised();
    let policy = world.policy(
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
accepted_by = ["human"]
"#,
    );
    let code = |revision: &str| world.code(revision, &["--policy", &policy]);
    for (name, tag) in [("a", "v1"), ("b", "v2")] {
        let commit = world.signed_commit(name);
        world.git_ok(&[
            "-c",
            "user.signingkey=claude",
            "tag",
            "-s",
            "-m",
            "t",
            tag,
            &commit,
        ]);
        assert_eq!(code(tag), "acceptance-missing");
    }
    world.notme_ok(&["init", "--agent", "reviewer", "--format", "x509"]);
    let accept = ["attest", "acceptance", "--agent", "reviewer"];
    let output = world.notme(&[&accept[..], &["v1"]].concat());
    let note = format!(
        "note: `v1` is a tag; what is stated is about its commit {}",
        world.git_ok(&["rev-parse", "v1^{}"])
    );
    assert!(told(&output).contains(&note), "{}", told(&output));
    assert!(
        !told(&world.notme(&[&accept[..], &["--reject", "v2^{}"]].concat())).contains("is a tag")
    );
    for (revision, verdict) in [
        ("v1^{}", "accepted"),
        ("v1", "accepted"),
        ("v2", "acceptance-rejected"),
    ] {
        assert_eq!(code(revision), verdict, "{revision}");
    }
}

/// Whoever tags what somebody else made needs a third.
#[test]
fn nobody_accepts_their_own_commit_for_somebody_elses_tag_of_it() {
    let world = World::initialised();
    let commit = world.signed_commit("a");
    for agent in ["alias", "releaser", "reviewer"] {
        world.notme_ok(&["init", "--agent", agent, "--format", "x509"]);
    }
    let (_, document) = world.verdicts(&["HEAD"]);
    let author = document["objects"][0]["identity"].as_str().unwrap();
    let host = author.strip_suffix("claude").unwrap();
    let human = |name: &str, agents: &[&str]| {
        let identities: Vec<_> = agents
            .iter()
            .map(|agent| format!("{host}{agent}"))
            .collect();
        format!("[[principal]]\nname = \"{name}\"\nkind = \"human\"\nidentities = {identities:?}\n")
    };
    let policy = [
        human("author", &["claude", "alias"]),
        human("others", &["releaser"]),
        human("third", &["reviewer"]),
        "[[allow]]\nprincipals = [\"human\"]\naccepted_by = [\"human\"]\n".to_owned(),
    ];
    let policy = world.policy(&policy.concat());
    let tag = ["-c", "user.signingkey=releaser", "tag", "-s", "-m", "t"];
    world.git_ok(&[&tag[..], &["v1", &commit]].concat());
    let codes = || ["HEAD", "v1"].map(|revision| world.code(revision, &["--policy", &policy]));
    let accept = |agent| world.notme_ok(&["attest", "acceptance", "--agent", agent, &commit]);
    accept("alias");
    assert_eq!(codes(), ["acceptance-missing"; 2]);
    // It is another's for the commit, and the tagger's own.
    accept("releaser");
    assert_eq!(codes(), ["accepted", "acceptance-missing"]);
    accept("reviewer");
    assert_eq!(codes(), ["accepted"; 2]);
    // Of what is no commit nobody states anything.
    world.git_ok(&[&tag[..], &["tree", "HEAD^{tree}"]].concat());
    assert_eq!(
        world.code("tree", &["--policy", &policy]),
        "acceptance-missing"
    );
}

/// A clone brings none, and then nobody sees what is stated, be it a refusal.
#[test]
fn attestations_that_a_policy_asks_for_and_are_not_here_are_told_in_every_report() {
    let world = World::initialised();
    let asks = "[[allow]]\nidentity = \"*\"\n[[require]]\nidentity = \"nobody\"\nlevel = \"L2\"\n";
    let root = commit_policy(&world, asks);
    world.signed_commit("a");
    let (member, note) = ("attestations_absent", "there are no attestations here");
    let policy = world.policy(asks);
    let [rooted, named] = [["--trust-root", &root], ["--policy", &policy]];
    for asked in [&rooted, &named] {
        assert_told_everywhere(&world, asked, note, (member, true.into()));
    }
    world.notme_ok(&["attest", "dispatch", "HEAD"]);
    for asked in [&rooted, &named] {
        assert_eq!(world.verdicts(asked).1[member], false);
    }
    for kept in ["commits", "trees", "activities"] {
        world.git_ok(&["update-ref", "-d", &format!("refs/attestations/{kept}")]);
    }
    assert_eq!(world.verdicts(&rooted).1[member], true);
    world.policy("[[allow]]\nidentity = \"*\"\n");
    assert_eq!(world.verdicts(&named).1[member], false);
}

#[test]
fn what_would_not_be_noticed_in_a_trust_store_is_told_in_every_report() {
    let world = World::initialised();
    world.signed_commit("a");
    assert_eq!(world.verdicts(&["HEAD"]).1["trust_recorded"], true);
    let copy = world.home().join("trust");
    let copied = format!(
        "cp -r '{}' '{}'",
        world.notme_home().join("data/trust").display(),
        copy.display()
    );
    assert!(world.shell(&copied).status().unwrap().success());
    let copy = ["--trust", copy.to_str().unwrap()];
    let note = "an older document in it would not be noticed";
    assert_told_everywhere(&world, &copy, note, ("trust_recorded", false.into()));
    let compromised = [&["verify", "--compromised", "embedded"], &copy[..]].concat();
    let output = told(&world.notme(&compromised));
    assert!(output.contains(note), "{output}");
    let compromised = [&compromised[..], &["--format", "json"]].concat();
    let output = world.notme(&compromised).stdout;
    let report: Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(report["trust_recorded"], false);
}

#[test]
fn what_cannot_be_used_in_a_trust_store_is_told_in_every_report() {
    let world = World::initialised();
    world.signed_commit("a");
    let gpg = Gnupg::new();
    gpg.generate("Bob <bob@example.org>", "ed25519", "sign", "never");
    world.trust_person(&gpg, "bob@example.org");
    assert_eq!(world.verdicts(&["HEAD"]).1["trust_faults"], json!([]));
    let keys = world.notme_home().join("data/trust/team/keys.pgp");
    fs::write(keys, "garbage").unwrap();
    let shown = world.notme(&["trust", "show", "--json"]).stdout;
    let shown: Value = serde_json::from_slice(&shown).unwrap();
    let [fault] = &shown["faults"].as_array().unwrap()[..] else {
        panic!("{shown}");
    };
    assert_eq!(
        (&fault["name"], &fault["code"]),
        (&"team".into(), &"trust-unreadable".into())
    );
    let note = "authority `team`: trust-unreadable: ";
    let faults = shown["faults"].clone();
    assert_told_everywhere(&world, &[], note, ("trust_faults", faults));
}

/// What a merge took from a side is no change of its own, and as good as that side.
#[test]
fn a_merge_that_is_judged_without_its_sides_is_told() {
    let world = World::initialised();
    world.signed_commit("file");
    world.git_ok(&["checkout", "-q", "-b", "topic"]);
    world.commit("auth", "by nobody");
    world.git_ok(&["checkout", "-q", "main"]);
    world.git_ok(&["merge", "-q", "--no-ff", "-m", "merge", "topic"]);
    let note = "1 merge accepted with a side that was not judged";
    let verify = |range: &str, rule: &str, more: &[&str]| {
        let policy = world.policy(&format!("[[allow]]\nidentity = \"*\"\n{rule}"));
        let output = world.notme(&[&["verify", range, "--policy", &policy], more].concat());
        (output.status.code(), told(&output).contains(note))
    };
    let by_path = "paths = [\"file\"]\n";
    assert_eq!(verify("HEAD", by_path, &[]), (Some(0), true));
    let policy = world.policy(&format!("[[allow]]\nidentity = \"*\"\n{by_path}"));
    let merge = ["HEAD", "--policy", &policy];
    assert_told_everywhere(&world, &merge, note, ("half_judged", 1.into()));
    // Whoever names a range sees both sides, or leaves one out.
    assert_eq!(verify("HEAD~1..HEAD", by_path, &[]), (Some(1), false));
    assert_eq!(verify("topic..HEAD", by_path, &[]), (Some(0), false));
    // Whoever may change everything may take everything.
    assert_eq!(verify("HEAD", "", &[]), (Some(0), false));
    assert_eq!(verify("HEAD~1", by_path, &[]), (Some(0), false));
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

/// Keys of SSH date nothing: a merge has the date that fits the others, or one that nobody believes.
#[test]
fn a_merge_accepts_by_the_time_that_the_policy_asks_for() {
    const BEGIN: i64 = 1_700_000_000;
    for (floor, minutes, expected) in [
        ("declared", 40, "accepted"),
        ("declared", 0, "accepted"),
        ("dag-ordered", 40, "accepted"),
        ("dag-ordered", 0, "acceptance-missing"),
    ] {
        let mut world = World::new();
        let keys = ["boss", "agent"].map(|who| {
            let key = world.home().join(who);
            let mut keygen = world.command(oracle("ssh-keygen"));
            let made = keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]);
            assert!(made.arg(&key).status().unwrap().success());
            key
        });
        let [boss, agent] = &keys;
        let git = |world: &mut World, key: &Path, minutes: i64, arguments: &[&str]| {
            world.set_date(UnixTime::from_secs(BEGIN + minutes * 60));
            let signing = format!("user.signingkey={}", key.display());
            let program = format!("gpg.ssh.program={}", oracle("ssh-keygen").display());
            let by_ssh = ["-c", "gpg.format=ssh", "-c", &program, "-c", &signing];
            world.git_ok(&[&by_ssh[..], arguments].concat());
            world.git_ok(&["rev-parse", "HEAD"])
        };
        let lines = keys.each_ref().map(|key| {
            let line = fs::read_to_string(key.with_extension("pub")).unwrap();
            line.trim().to_owned()
        });
        let text = format!(
            r#"
            time_basis_floor = "{floor}"
            [[principal]]
            name = "boss"
            kind = "human"
            ssh_keys = ["{}"]
            [[principal]]
            name = "helper"
            kind = "agent"
            ssh_keys = ["{}"]
            [[allow]]
            principals = ["boss", "helper"]
            [[require]]
            principals = ["helper"]
            accepted_by = ["boss"]
            "#,
            lines[0], lines[1]
        );
        let commit = ["commit", "-q", "-S", "--allow-empty", "-m", "m"];
        world.write(POLICY, &text);
        world.git_ok(&["add", POLICY]);
        let root = git(&mut world, boss, 0, &commit);
        git(&mut world, boss, 0, &["checkout", "-q", "-b", "topic"]);
        let change = git(&mut world, agent, 20, &commit);
        git(&mut world, boss, 0, &["checkout", "-q", "main"]);
        git(&mut world, boss, 30, &commit);
        let merge = ["merge", "-q", "--no-ff", "-S", "-m", "m", "topic"];
        let merge = git(&mut world, boss, minutes, &merge);
        let policy = world.policy(&text);
        for by in [["--policy", &policy], ["--trust-root", &root]] {
            let (_, document) = world.verdicts(&[by[0], by[1], &format!("{root}..main")]);
            let objects = document["objects"].as_array().unwrap();
            let code = |id: &str| {
                let object = objects.iter().find(|it| it["oid"] == id).unwrap();
                object["code"].as_str().unwrap_or("accepted")
            };
            assert_eq!(code(&change), expected, "{by:?} {floor} {minutes}");
            let is_accepted = code(&merge) == "accepted";
            assert_eq!(is_accepted, expected == "accepted", "{by:?} {floor}");
        }
    }
}
