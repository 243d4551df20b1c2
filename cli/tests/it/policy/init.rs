//! What a first policy makes of a history that nobody should take as it is.

use std::{fs, os::unix::fs::symlink, path::Path};

use notme_core::{armor::armor, hex, time::UnixTime};
use notme_testkit::{
    commit::with_signature,
    repository::Repository,
    sigstore::{AT, Account, ISSUER, TestSigstore},
};

use super::POLICY;
use crate::{
    world::{World, told},
    x509::{certify, commit, company},
};

const MINUTE: i64 = 60;
const CAROL: &str = "Carol <carol@test.invalid>";

/// Signs the next commit as gitsign does, with a log entry or without.
fn gitsigned(world: &World, sigstore: &TestSigstore, email: &str, is_logged: bool) {
    let (tree, parent) = (world.empty_tree(), world.git_ok(&["rev-parse", "HEAD"]));
    let at = AT.plus(MINUTE).secs();
    let payload = format!(
        "tree {tree}\nparent {parent}\nauthor {CAROL} {at} +0000\ncommitter {CAROL} {at} +0000\n\nm\n"
    );
    let account = Account {
        email: Some(email.to_owned()),
        ..Account::default()
    };
    let signed = sigstore.sign(&account, payload.as_bytes());
    let entry = sigstore.answer(&signed, AT.plus(2 * MINUTE)).protobuf();
    let cms = signed.cms(is_logged.then_some(entry.as_slice()), None);
    let raw = with_signature(payload.as_bytes(), "gpgsig", &armor(&cms));
    let id = world.store(&raw);
    world.git_ok(&["reset", "-q", "--hard", &id]);
}

/// Makes an unsigned commit, long ago.
fn unsigned(world: &World, at: UnixTime) {
    let (tree, at) = (world.empty_tree(), at.secs());
    let raw =
        format!("tree {tree}\nauthor {CAROL} {at} +0000\ncommitter {CAROL} {at} +0000\n\nold\n");
    let id = world.store(raw.as_bytes());
    world.git_ok(&["update-ref", "HEAD", &id]);
}

#[test]
fn init_takes_nothing_as_it_is_that_nobody_could_judge() {
    let world = World::initialised();
    world.signed_commit("a");
    let head = world.signed_commit("b");
    // Whoever cloned it trusts nobody yet.
    let clone = World::of(Repository::new());
    clone.git_ok(&["pull", "-q", world.path().to_str().unwrap(), "HEAD"]);
    for arguments in [&["policy", "init"][..], &["policy", "init", "--stdout"]] {
        let output = clone.notme(arguments);
        assert_eq!(output.status.code(), Some(3), "{}", told(&output));
        assert!(output.stdout.is_empty(), "{}", told(&output));
        for what in [head.as_str(), "trust-missing", "notme trust add"] {
            assert!(told(&output).contains(what), "{what}: {}", told(&output));
        }
    }
    assert!(!clone.path().join(POLICY).exists());

    // Whoever trusts others takes the signers for strangers, unless something cannot be read.
    clone.notme_ok(&["init"]);
    let text = clone.notme_ok(&["policy", "init", "--stdout"]);
    assert!(text.contains("# 2 signer-untrusted.\n"), "{text}");
    let document = clone.notme_home().join("data/trust/embedded/trust.json");
    fs::write(document, "{}").unwrap();
    let output = clone.notme(&["policy", "init", "--stdout"]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(
        told(&output).contains("trust-unreadable"),
        "{}",
        told(&output)
    );
}

#[test]
fn init_excuses_no_history_that_is_not_here() {
    let world = World::initialised();
    let old = world.commit("old", "old");
    for name in ["a", "b"] {
        world.signed_commit(name);
    }
    let refused = world.commit("refused", "refused");
    world.signed_commit("c");
    let clone = world.another_repository(Repository::new());
    let from = format!("file://{}", world.path().display());
    clone.git_ok(&["pull", "-q", "--depth=3", &from, "HEAD"]);
    let boundary = clone.git_ok(&["rev-parse", "HEAD~2"]);
    let refused_before = |world: &World, last: &str, end: &str| {
        let output = world.notme(&["policy", "init", "--last", last]);
        assert_eq!(output.status.code(), Some(3), "{}", told(&output));
        assert!(output.stdout.is_empty(), "{}", told(&output));
        let what = format!("history before {end} cannot be judged: object-missing");
        for what in [&what, "git fetch --unshallow"] {
            assert!(told(&output).contains(what), "{what}: {}", told(&output));
        }
        assert!(!world.path().join(POLICY).exists());
    };
    for last in ["2", "3", "9"] {
        refused_before(&clone, last, &boundary);
    }
    // Where nothing is refused there is no baseline, and nothing is excused.
    let text = clone.notme_ok(&["policy", "init", "--stdout", "--last", "1"]);
    assert!(!text.contains("baseline"), "{text}");

    clone.git_ok(&["fetch", "-q", "--unshallow", &from]);
    let text = clone.notme_ok(&["policy", "init", "--stdout", "--last", "3"]);
    let excused = "# 1 unsigned, 2 older, not looked at (`--last`).\n";
    assert!(text.contains(excused), "{text}");
    assert!(
        text.contains(&format!("baseline = [\"{refused}\"]")),
        "{text}"
    );

    let oldest = world.git_ok(&["rev-parse", "HEAD~3"]);
    let (folder, file) = old.split_at(2);
    fs::remove_file(world.path().join(".git/objects").join(folder).join(file)).unwrap();
    refused_before(&world, "3", &oldest);
}

/// Whoever cloned a repository has its links.
#[test]
fn init_writes_through_no_link() {
    let world = World::initialised();
    world.signed_commit("a");
    let outside = world.home().join("outside");
    fs::create_dir(&outside).unwrap();
    let folder = world.path().join(".notme");
    let refused = |link: &Path| {
        let output = world.notme(&["policy", "init"]);
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        let says = format!("`{}` is a link", link.display());
        assert!(told(&output).contains(&says), "{}", told(&output));
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    };
    symlink(&outside, &folder).unwrap();
    refused(&folder);
    world.notme_ok(&["policy", "init", "--stdout"]);
    fs::remove_file(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    let file = world.path().join(POLICY);
    symlink(outside.join("policy.toml"), &file).unwrap();
    refused(&file);
}

#[test]
fn init_prints_where_there_is_no_working_tree() {
    let world = World::initialised();
    world.signed_commit("a");
    let bare = world.another_repository(Repository::bare());
    world.git_ok(&["push", "-q", bare.path().to_str().unwrap(), "HEAD:main"]);
    let printed = bare.notme_ok(&["policy", "init", "--stdout"]);
    assert!(printed.contains("# Written from 1 commit;"), "{printed}");
    let output = bare.notme(&["policy", "init"]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(told(&output).contains("`--stdout`"), "{}", told(&output));
}

fn trusting_sigstore() -> (World, TestSigstore) {
    let (world, sigstore) = (World::initialised(), TestSigstore::new(1));
    let root = world.home().join("trusted_root.json");
    fs::write(&root, sigstore.trusted_root().to_string()).unwrap();
    let root = root.to_str().unwrap();
    world.notme_ok(&["trust", "add", "--name", "sigstore", "--sigstore", root]);
    (world, sigstore)
}

#[test]
fn init_names_who_signed_by_gitsign_and_what_lies_under_the_baseline() {
    let (world, sigstore) = trusting_sigstore();
    unsigned(&world, AT);
    gitsigned(&world, &sigstore, "bob@test.invalid", false);
    let old = world.git_ok(&["rev-parse", "HEAD"]);
    gitsigned(&world, &sigstore, "alice@test.invalid", true);
    world.signed_commit("ours");

    let out = world.notme_ok(&["policy", "init"]);
    assert!(out.contains("1 time-not-shown, 1 unsigned"), "{out}");
    let text = fs::read_to_string(world.path().join(POLICY)).unwrap();
    let baseline = format!("# 1 time-not-shown, 1 unsigned.\nbaseline = [\"{old}\"]\n");
    assert!(text.contains(&baseline), "{text}");
    let principal = |name: &str| {
        [
            "[[principal]]".to_owned(),
            format!("name = \"{name}-test-invalid\""),
            "kind = \"human\"".to_owned(),
            format!("identities = [\"mailto:{name}@test.invalid\"]"),
            format!("issuers = [\"{ISSUER}\"]"),
            "authority = \"sigstore\"\n".to_owned(),
        ]
    };
    let alice = principal("alice").join("\n");
    assert!(text.contains(&format!("\n{alice}")), "{text}");
    let bob = principal("bob").join("\n# ");
    assert!(text.contains(&format!("\n# {bob}")), "{text}");
    let checked = world.notme_ok(&["policy", "check"]);
    for line in [
        "all of the last 4 commits",
        "2 objects accepted at or before the baseline",
    ] {
        assert!(checked.contains(line), "{checked}");
    }
    let rule = |revision: &str| {
        let (_, document) = world.verdicts(&[revision, "--policy", POLICY]);
        document["objects"][0]["rule"].as_str().unwrap().to_owned()
    };
    assert_eq!(rule("HEAD"), "allow agent");
    assert_eq!(rule("HEAD~1"), "allow human");

    // What was not looked at is counted, too.
    let text = world.notme_ok(&["policy", "init", "--stdout", "--last", "3"]);
    assert!(
        text.contains("# 1 time-not-shown, 1 older, not looked at (`--last`).\n"),
        "{text}"
    );
    // Where nothing is refused there is none.
    world.git_ok(&["checkout", "-q", "--detach", "HEAD~1"]);
    let text = world.notme_ok(&["policy", "init", "--stdout", "--last", "1"]);
    assert!(!text.contains("baseline"), "{text}");
    // Whoever has an account somewhere could have signed so.
    assert!(text.contains("\nprincipals = [\"human\"]\n# "), "{text}");
    assert!(!text.contains("\npolicy = true"), "{text}");
}

#[test]
fn init_takes_no_workload_for_a_human() {
    let world = company();
    certify(
        &world,
        "certify root ci \"$(echo \"$LEAF\" | sed s,email:.*corp.example,URI:https://ci.example.com/job/build,)\"\n\
         certify root carol \"$LEAF\"\n",
    );
    let text = |name: &str| {
        world.git_ok(&["update-ref", "HEAD", &commit(&world, name, "")]);
        world.notme_ok(&["policy", "init", "--stdout"])
    };
    let ci = text("ci");
    let bot = "name = \"ci-example-com-job-build\"\nkind = \"bot\"\nidentities = [\"https://ci.example.com/job/build\"]\n";
    assert!(ci.contains(bot), "{ci}");
    assert!(!ci.contains("kind = \"human\""), "{ci}");
    assert!(
        text("carol").contains("kind = \"human\"\nidentities = [\"mailto:carol@corp.example\"]\n")
    );
}

/// There an identity is as good as whoever told it.
#[test]
fn who_goes_by_sigstore_without_issuers_is_nobody_and_that_is_said() {
    let (world, sigstore) = trusting_sigstore();
    unsigned(&world, AT);
    gitsigned(&world, &sigstore, "alice@test.invalid", true);
    let spki = sigstore.issuer().public_key().spki_sha256();
    let roots = format!(
        "[[authority]]\nspki_sha256 = \"{}\"\nlabel = \"roots\"\n",
        hex::encode(&spki)
    );
    let principal = "[[principal]]\nname = \"alice\"\nkind = \"human\"\nidentities = [\"mailto:alice@test.invalid\"]\n";
    let alice = "[[allow]]\nprincipals = [\"alice\"]\n";
    let rule = "[[allow]]\nidentity = \"mailto:alice@test.invalid\"\n";
    let issuers = format!("issuers = [\"{ISSUER}\"]\n");
    let store = "authority = \"sigstore\"\n";
    for (text, remark, is_named) in [
        (
            format!("{principal}{store}{alice}"),
            Some("line 1: `alice` goes by"),
            true,
        ),
        (format!("{principal}{issuers}{store}{alice}"), None, false),
        // Others may certify it, too.
        (format!("{principal}{alice}"), None, true),
        (
            format!("{rule}{store}"),
            Some("line 1: `allow mailto:alice@test.invalid by sigstore` goes by"),
            true,
        ),
        (
            format!("{roots}{principal}authority = \"roots\"\n{alice}"),
            Some("line 4: `alice` goes by"),
            true,
        ),
        (
            format!("{principal}{store}[[allow]]\nidentity = \"mailto:bob@test.invalid\"\n"),
            Some("line 1: `alice` goes by"),
            false,
        ),
    ] {
        let policy = world.policy(&text);
        let checked = world.notme_ok(&["policy", "check", &policy]);
        let is_remarked = remark.is_some_and(|it| checked.contains(it));
        assert_eq!(
            is_remarked,
            checked.contains("goes by a Sigstore authority alone"),
            "{text}{checked}"
        );
        assert_eq!(is_remarked, remark.is_some(), "{text}{checked}");
        let output = world.notme(&["verify", "HEAD", "--policy", &policy]);
        let all: Vec<_> = told(&output)
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        let is_told = all
            .join(" ")
            .contains("but not who has to have told the Sigstore authority");
        assert_eq!(is_told, is_named, "{text}{}", told(&output));
    }
}
