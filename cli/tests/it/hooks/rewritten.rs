//! Commits that carry the head of an agent's chain, and that somebody else rewrites.

use std::{collections::BTreeSet, fs, os::unix::fs::symlink};

use notme_testkit::repository::{Repository, run};
use serde_json::Value;

use crate::world::{World, told};

/// A human who signs what is committed, and hooks that say what took the place of what.
fn world() -> World {
    let world = World::initialised();
    for agent in ["reviewer", "passer-by", "human"] {
        world.notme_ok(&["init", "--agent", agent]);
    }
    world.git_ok(&["config", "user.signingkey", "human"]);
    world.notme_ok(&["hooks", "install"]);
    world.signed_commit("base");
    world
}

/// Has the agent make commits in a run of its own.
fn work(world: &World, names: &[&str]) {
    let commit = |name: &&str| format!("echo >{name}; git add {name}; git commit -q -m {name}\n");
    let script: String = names.iter().map(commit).collect();
    let run = ["run", "--agent", "claude", "--", "sh", "-ec", &script];
    world.notme_ok(&run);
}

fn id(world: &World, revision: &str) -> String {
    world.git_ok(&["rev-parse", revision])
}

/// What is attested about a commit, judged: exit code, and the commit.
fn judged(world: &World, revision: &str) -> (Option<i32>, Value) {
    let output = world.notme(&["attest", "verify", "--json", revision]);
    let document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", told(&output)));
    (output.status.code(), document[0].clone())
}

fn attestations(judged: &Value) -> &[Value] {
    judged["attestations"].as_array().unwrap()
}

/// Which commits it is attested as, and at what level.
fn attested_as(judged: &Value) -> Vec<(&str, Option<&str>)> {
    let all = attestations(judged).iter();
    all.filter_map(|it| Some((it["attested_as"].as_str()?, it["level"].as_str())))
        .collect()
}

#[track_caller]
fn assert_attested_as(world: &World, revision: &str, old: &[(&str, Option<&str>)]) {
    let (exit, judged) = judged(world, revision);
    assert_eq!(exit, Some(0), "{judged}");
    assert_eq!(attested_as(&judged), old, "{judged}");
}

/// Returns the code of all that somebody stated about the commit itself.
#[track_caller]
fn code_of(world: &World, agent: &str) -> Option<String> {
    let (_, judged) = judged(world, "HEAD");
    let all = attestations(&judged).iter();
    let own = all.filter(|it| it["attested_as"].is_null());
    let theirs: BTreeSet<_> = own
        .filter(|it| {
            it["identity"]
                .as_str()
                .is_some_and(|by| by.ends_with(agent))
        })
        .map(|it| it["code"].as_str())
        .collect();
    assert_eq!(theirs.len(), 1, "{judged}");
    theirs.first().unwrap().map(str::to_owned)
}

#[track_caller]
fn assert_accepts_not(world: &World, agent: &str) {
    let output = world.notme(&["attest", "acceptance", "HEAD", "--agent", agent]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(
        told(&output).contains("acceptance-self"),
        "{}",
        told(&output)
    );
}

fn succeed(world: &World, agent: &str, pairs: &[(&str, &str)]) {
    let mut command = world.notme_command();
    command.args(["attest", "succeed", "--agent", agent]);
    let lines = pairs.iter().map(|(old, new)| format!("{old} {new}\n"));
    let output = run(&mut command, lines.collect::<String>().as_bytes());
    assert!(output.status.success(), "{}", told(&output));
}

/// The statements of the agent's own chain are told as what they are, and count for nothing.
#[test]
fn what_the_human_rebases_is_attested_as_what_the_agent_made() {
    let world = world();
    world.git_ok(&["checkout", "-q", "-b", "topic"]);
    work(&world, &["one", "two"]);
    let old = ["topic~", "topic"].map(|it| id(&world, it));
    world.git_ok(&["checkout", "-q", "main"]);
    world.signed_commit("meanwhile");
    world.git_ok(&["checkout", "-q", "topic"]);
    world.git_ok(&["rebase", "-q", "main"]);
    for (new, old) in ["topic~", "topic"].into_iter().zip(&old) {
        assert_attested_as(&world, new, &[(old, Some("L2"))]);
    }
    // Whoever was not there accepts it. The agent does not, though its chain is about the old one.
    world.notme_ok(&["attest", "acceptance", "HEAD", "--agent", "reviewer"]);
    assert_eq!(code_of(&world, "reviewer"), None);
    assert_accepts_not(&world, "claude");
    // And once more.
    let between = id(&world, "topic~");
    world.git_ok(&["checkout", "-q", "main"]);
    world.signed_commit("later");
    world.git_ok(&["checkout", "-q", "topic"]);
    world.git_ok(&["rebase", "-q", "main"]);
    let both = [(&*between, Some("L2")), (&*old[0], Some("L2"))];
    assert_attested_as(&world, "topic~", &both);

    // Who has neither sees the same, and no level of what they carry.
    let bare = world.remote();
    world.git_ok(&["push", "-q", "--no-verify", "origin", "topic"]);
    world.notme_ok(&["attest", "push"]);
    let clone = world.another_repository(Repository::new());
    let url = bare.path();
    clone.git_ok(&["remote", "add", "origin", url.to_str().unwrap()]);
    clone.git_ok(&["pull", "-q", "origin", "topic"]);
    clone.notme_ok(&["attest", "fetch"]);
    assert_attested_as(&clone, "HEAD~", &[(&between, None), (&old[0], None)]);
}

/// What is stated about the same content is no stray where somebody without the hooks words it anew.
#[test]
fn what_is_reworded_without_hooks_is_attested_as_what_it_was() {
    let world = world();
    world.git_ok(&["checkout", "-q", "-b", "topic"]);
    work(&world, &["one"]);
    let old = id(&world, "topic");
    world.git_ok(&["checkout", "-q", "main"]);
    world.signed_commit("meanwhile");
    world.git_ok(&["rebase", "-q", "main", "topic"]);
    let between = id(&world, "topic");
    assert_attested_as(&world, "topic", &[(&old, Some("L2"))]);
    let reword = ["-c", "core.hooksPath=/dev/null", "commit", "-q", "--amend"];
    world.git_ok(&[&reword[..], &["-m", "reworded"]].concat());
    assert_attested_as(&world, "topic", &[(&between, None)]);
}

#[test]
fn what_the_human_squashes_is_attested_as_all_that_the_agent_made() {
    let world = world();
    world.git_ok(&["checkout", "-q", "-b", "topic"]);
    work(&world, &["one", "two"]);
    let old = ["topic~", "topic"].map(|it| id(&world, it));
    let carried = world.git_ok(&["log", "--format=%(trailers:only)", "main..topic"]);
    let carried: Vec<_> = carried.lines().filter(|line| !line.is_empty()).collect();
    world.git_ok(&["checkout", "-q", "main"]);
    world.signed_commit("meanwhile");
    world.git_ok(&["merge", "-q", "--squash", "topic"]);
    // Where the hook notes what is squashed, it writes through no link.
    let elsewhere = world.home().join("elsewhere");
    fs::write(&elsewhere, "precious").unwrap();
    symlink(&elsewhere, world.path().join(".git/notme-squashed")).unwrap();
    let message = format!("both\n\n{}", carried.join("\n"));
    world.git_ok(&["commit", "-q", "-m", &message]);
    assert_eq!(fs::read_to_string(elsewhere).unwrap(), "precious");
    let mut told = old.each_ref().map(|it| (&**it, Some("L2")));
    let (exit, judged) = judged(&world, "HEAD");
    assert_eq!(exit, Some(0), "{judged}");
    let mut seen = attested_as(&judged);
    seen.sort_unstable();
    told.sort_unstable();
    assert_eq!(seen, told, "{judged}");
    // One of them more than anybody says.
    world.git_ok(&["checkout", "-q", "-b", "alone", "main~"]);
    world.signed_commit("aside");
    world.git_ok(&["-c", "core.hooksPath=", "cherry-pick", "main"]);
    succeed(&world, "human", &[(&old[0], &id(&world, "HEAD"))]);
    assert_eq!(code_of(&world, "human").as_deref(), Some("chain-trailer"));
}

/// git drops the trailers with the message, and nobody would miss them before a policy does.
#[test]
fn an_amend_that_drops_the_head_of_a_chain_says_what_gives_the_level_back() {
    let world = world();
    work(&world, &["one"]);
    let old = id(&world, "HEAD");
    let level = || world.verdicts(&["HEAD"]).1["objects"][0]["level"].clone();
    let amend = |more: &[&str]| {
        let output = world.git(&[&["commit", "-q", "--amend"], more].concat());
        assert!(output.status.success(), "{}", told(&output));
        String::from_utf8(output.stderr).unwrap()
    };
    // What keeps it is no news.
    assert_eq!(
        (amend(&["--no-edit", "--allow-empty"]), level()),
        (String::new(), "L2".into())
    );
    world.git_ok(&["reset", "-q", "--hard", &old]);

    let said = amend(&["-m", "another"]);
    let new = id(&world, "HEAD");
    assert!(
        said.contains(&format!("commit {new} is not L2 any more, as {old} was")),
        "{said}"
    );
    assert_eq!(level(), Value::Null);
    paste(&world, &said);
    assert_eq!(level(), "L2");
    assert_eq!(world.git_ok(&["log", "-1", "--format=%s"]), "another");

    // Where there was none, and where the agent takes its own word.
    world.signed_commit("own");
    assert_eq!(amend(&["-m", "own, amended"]), "");
    world.git_ok(&["reset", "-q", "--hard", &old]);
    world.git_ok(&["config", "user.signingkey", "claude"]);
    assert_eq!(
        (amend(&["-m", "another"]), level()),
        (String::new(), "L2".into())
    );
}

/// Runs the command that gives a level back.
#[track_caller]
fn paste(world: &World, said: &str) {
    let (_, hint) = said.split_once("gives it back: ").expect(said);
    let output = run(&mut world.shell(hint), b"");
    assert!(output.status.success(), "{hint}: {}", told(&output));
}

/// Whatever else changed with the message: the commit between carries nothing.
#[test]
fn what_gives_the_level_back_takes_the_commit_as_it_is() {
    let world = world();
    let amend = |how: &str| {
        let script = format!("git commit -q --amend {how} -m another");
        let output = run(&mut world.shell(&script), b"");
        assert!(output.status.success(), "{}", told(&output));
        let tree = world.git_ok(&["rev-parse", "HEAD^{tree}"]);
        paste(&world, &told(&output));
        assert_eq!(judged(&world, "HEAD").1["level"], "L2", "{how}");
        assert_eq!(world.git_ok(&["rev-parse", "HEAD^{tree}"]), tree, "{how}");
    };
    work(&world, &["one"]);
    world.write("one", "more");
    amend("--all");
    work(&world, &["two"]);
    world.write("staged", "for the next one");
    world.git_ok(&["add", "staged"]);
    amend("--only");
    assert_eq!(world.git_ok(&["status", "--short"]), "A  staged");
    world.git_ok(&["commit", "-q", "-m", "staged"]);

    let empty = "git commit -q --allow-empty -m empty";
    world.notme_ok(&["run", "--agent", "claude", "--", "sh", "-ec", empty]);
    amend("--allow-empty");
    world.git_ok(&["checkout", "-q", "-b", "topic"]);
    work(&world, &["three"]);
    world.git_ok(&["checkout", "-q", "main"]);
    world.signed_commit("meanwhile");
    world.git_ok(&["cherry-pick", "topic"]);
    amend("");
    let merge = "git merge -q --no-edit topic";
    world.notme_ok(&["run", "--agent", "claude", "--", "sh", "-ec", merge]);
    amend("");
}

#[test]
fn where_the_commit_is_not_at_hand_no_command_gives_its_level_back() {
    let world = world();
    work(&world, &["one", "two"]);
    let old = id(&world, "HEAD~");
    let carried = world.git_ok(&["log", "-1", "--format=%(trailers:key=Agent-Chain)", &old]);
    let carried = carried.trim();
    let rebase = |editor: &str| {
        let mut command = world.command("git");
        command
            .args(["rebase", "-q", "-i", "HEAD~2"])
            .env("GIT_SEQUENCE_EDITOR", "sed -i 1s/^pick/reword/")
            .env("GIT_EDITOR", editor);
        let output = run(&mut command, b"");
        assert!(output.status.success(), "{}", told(&output));
        told(&output)
    };
    let levels = || ["HEAD~", "HEAD"].map(|it| judged(&world, it).1["level"].clone());
    let assert_tells = |said: &str, new: &str| {
        let words = format!(
            "commit {new} is not L2 any more, as {old} was, since its message has no `Agent-Chain` as that one \
             had; one that has `{carried}` again is, once `notme attest succeed` says that it took the place of \
             {old}"
        );
        assert!(said.contains(&words), "{said}");
        assert!(!said.contains("git commit"), "{said}");
    };
    let said = rebase("echo another >");
    let new = id(&world, "HEAD~");
    assert_tells(&said, &new);
    assert_eq!(levels(), [Value::Null, "L2".into()]);
    // As some other program says it.
    world.write("pairs", &format!("{old} {new}\n"));
    let hook = [
        "hook",
        "run",
        "--to-stdin=pairs",
        "post-rewrite",
        "--",
        "amend",
    ];
    assert_tells(&told(&world.git(&hook)), &new);

    rebase(&format!("printf '\\n%s\\n' '{carried}' >>"));
    succeed(&world, "human", &[(&old, &id(&world, "HEAD~"))]);
    assert_eq!(levels(), ["L2", "L2"]);
}

#[test]
fn what_the_human_picks_meets_the_rules_of_a_policy() {
    let world = world();
    world.git_ok(&["checkout", "-q", "-b", "topic"]);
    work(&world, &["one"]);
    let old = id(&world, "HEAD");
    world.git_ok(&["checkout", "-q", "main"]);
    world.signed_commit("meanwhile");
    world.git_ok(&["cherry-pick", "topic"]);
    assert_attested_as(&world, "HEAD", &[(&old, Some("L2"))]);
    let policy = world.policy(
        r#"
[[authority]]
name = "embedded"
[[principal]]
name = "reviewers"
kind = "human"
identities = ["wimse://*/reviewer", "wimse://*/claude"]
[[allow]]
identity = "*"
[[require]]
level = "L2"
accepted_by = ["human"]
"#,
    );
    let code = || world.code("HEAD", &["--policy", &policy]);
    // Whose work it is has no say.
    assert_accepts_not(&world, "claude");
    assert_eq!(code(), "acceptance-missing");
    world.notme_ok(&["attest", "acceptance", "HEAD", "--agent", "reviewer"]);
    assert_eq!(code(), "accepted");
    let output = world.notme(&["attest", "verify"]);
    assert!(
        told(&output).contains(&format!("attested as {old}")),
        "{}",
        told(&output)
    );
}

/// Nobody gets around the chain that a commit carries: it was there when its signer took it over.
#[test]
fn a_head_is_taken_over_by_who_signed_from_what_carries_it_with_its_chain() {
    let world = world();
    world.git_ok(&["config", "user.signingkey", "claude"]);
    let begun = world.notme_ok(&["attest", "activity", "--agent", "claude", "--begin"]);
    let activity = ["--agent", "claude", "--activity", begun.trim()];
    let attest =
        |more: &[&str]| world.notme_ok(&[&["attest", "activity"], &activity[..], more].concat());
    let trailer = world.notme_ok(&["attest", "trailer", "--activity", begun.trim()]);
    world.git_ok(&["checkout", "-q", "-b", "topic"]);
    let bare = world.signed_commit("bare");
    attest(&[&bare]);
    world.write("one", "one");
    world.git_ok(&["add", "one"]);
    let message = format!("one\n\n{}", trailer.trim());
    world.git_ok(&["commit", "-q", "-m", &message]);
    let old = id(&world, "HEAD");
    attest(&[&old]);
    attest(&["--end"]);
    assert_eq!(judged(&world, "HEAD").0, Some(0));

    world.git_ok(&["config", "user.signingkey", "human"]);
    world.git_ok(&["checkout", "-q", "main"]);
    world.signed_commit("meanwhile");
    world.git_ok(&["-c", "core.hooksPath=", "cherry-pick", "topic"]);
    let new = id(&world, "HEAD");
    let refused = |agent: &str| {
        assert_eq!(code_of(&world, agent).as_deref(), Some("chain-trailer"));
    };
    world.notme_ok(&["attest", "acceptance", "HEAD", "--agent", "reviewer"]);
    refused("reviewer");
    // By somebody who did not sign it.
    succeed(&world, "passer-by", &[(&old, &new)]);
    refused("passer-by");
    refused("reviewer");
    // Nor by way of a commit that they did sign.
    world.git_ok(&["checkout", "-q", "-b", "aside"]);
    world.git_ok(&["config", "user.signingkey", "passer-by"]);
    world.write("aside", "aside");
    world.git_ok(&["add", "aside"]);
    world.git_ok(&["commit", "-q", "-m", &message]);
    let aside = id(&world, "HEAD");
    succeed(&world, "passer-by", &[(&old, &aside), (&aside, &new)]);
    assert_attested_as(&world, "HEAD", &[(&old, Some("L2"))]);
    world.git_ok(&["checkout", "-q", "main"]);
    refused("passer-by");
    refused("reviewer");
    // From what the same chain is about, and does not carry it.
    succeed(&world, "human", &[(&bare, &new)]);
    refused("human");
    succeed(&world, "human", &[(&old, &new)]);
    // What the passer-by stated is of both that they named.
    let both = [(&*aside, Some("L2")), (&*old, Some("L2"))];
    assert_attested_as(&world, "HEAD", &both);
    assert_eq!(code_of(&world, "reviewer"), None);
    // Without the chain.
    let chain = world.notme_ok(&["attest", "export", &old]);
    let kept = world.notme_ok(&["attest", "export", "HEAD"]);
    for kind in ["activities", "commits", "trees"] {
        world.git_ok(&["update-ref", "-d", &format!("refs/attestations/{kind}")]);
    }
    let import = |bundles: &str| {
        let mut command = world.notme_command();
        let output = run(command.args(["attest", "import", "-"]), bundles.as_bytes());
        assert!(output.status.success(), "{}", told(&output));
    };
    let others: String = kept
        .lines()
        .filter(|line| !chain.contains(line))
        .map(|line| format!("{line}\n"))
        .collect();
    import(&others);
    refused("human");
    refused("reviewer");
    import(&chain);
    assert_attested_as(&world, "HEAD", &both);
}

/// Has an agent say of a commit whether the work succeeded.
fn dispatch(world: &World, agent: &str, is_success: bool) {
    let json = format!(r#"{{"runDetails":{{"outcome":{{"success":{is_success}}}}}}}"#);
    world.write("dispatch.json", &json);
    let path = world.path().join("dispatch.json");
    let path = path.to_str().unwrap();
    world.notme_ok(&["attest", "dispatch", "--agent", agent, "--members", path]);
}

fn amend(world: &World, name: &str) {
    world.write(name, "more");
    world.git_ok(&["add", name]);
    world.git_ok(&["commit", "-q", "--amend", "-m", name]);
}

const LEVEL: &str = r#"
[[authority]]
name = "embedded"
[[allow]]
identity = "*"
[[require]]
level = "L2"
"#;

/// That a commit took the place of another carries what that one carries, and no more.
#[test]
fn what_failed_or_was_never_attested_has_no_level_when_it_is_rewritten() {
    let world = world();
    let policy = world.policy(LEVEL);
    let code = || world.code("HEAD", &["--policy", &policy]);
    world.git_ok(&["config", "user.signingkey", "claude"]);
    world.signed_commit("good");
    dispatch(&world, "claude", true);
    assert_eq!(code(), "accepted");
    amend(&world, "better");
    assert_eq!(code(), "accepted");
    amend(&world, "best");
    assert_eq!(code(), "accepted");

    let old = world.signed_commit("bad");
    dispatch(&world, "claude", false);
    assert_eq!(code(), "attestation-missing");
    for name in ["worse", "worst"] {
        amend(&world, name);
        assert_eq!(code(), "attestation-missing");
    }
    world.git_ok(&["config", "user.signingkey", "human"]);
    amend(&world, "by the human");
    assert_eq!(code(), "level-too-low");
    world.git_ok(&["checkout", "-q", "-b", "picked", "main~"]);
    world.git_ok(&["cherry-pick", &old]);
    // Of the same tree, that holds here as well.
    assert_eq!(code(), "attestation-missing");
    // What is stated of the new one itself counts.
    dispatch(&world, "human", true);
    assert_eq!(code(), "accepted");
}

/// What others said of the same tree is told as well, and moves nobody's level but with a chain that the commit
/// carries.
#[test]
fn who_says_that_a_tree_stayed_takes_over_nobody_elses_level() {
    let world = world();
    let policy = world.policy(LEVEL);
    let code = || world.code("HEAD", &["--policy", &policy]);
    world.git_ok(&["config", "user.signingkey", "claude"]);
    let old = world.signed_commit("one");
    dispatch(&world, "claude", true);
    let amend = ["-c", "core.hooksPath=", "commit", "-q", "--amend"];
    let amend = || {
        let old = id(&world, "HEAD");
        world.git_ok(&[&amend[..], &["--no-edit", "--reset-author"]].concat());
        (old, id(&world, "HEAD"))
    };
    let (_, new) = amend();
    succeed(&world, "claude", &[(&old, &new)]);
    assert_eq!(code(), "accepted");
    world.git_ok(&["config", "user.signingkey", "human"]);
    let (old, new) = amend();
    succeed(&world, "human", &[(&old, &new)]);
    assert_eq!(code(), "level-too-low");

    world.git_ok(&["config", "user.signingkey", "claude"]);
    work(&world, &["two"]);
    assert_eq!(code(), "accepted");
    world.git_ok(&["config", "user.signingkey", "human"]);
    let (old, new) = amend();
    succeed(&world, "human", &[(&old, &new)]);
    assert_eq!(code(), "accepted");
}

/// Nor does what a stranger states, which the hook takes for nothing.
#[test]
fn what_only_strangers_attest_is_followed_by_nothing() {
    let world = world();
    let policy = world.policy(LEVEL);
    let code = || world.code("HEAD", &["--policy", &policy]);
    let old = world.signed_commit("one");
    let stranger = World::initialised();
    let path = world.path().to_str().unwrap().to_owned();
    stranger.git_ok(&["pull", "-q", &path, "main"]);
    stranger.notme_ok(&["attest", "dispatch"]);
    let bundles = stranger.notme_ok(&["attest", "export", "HEAD"]);
    let mut import = world.notme_command();
    import.args(["attest", "import", "--unjudged", "-"]);
    let output = run(&mut import, bundles.as_bytes());
    assert!(output.status.success(), "{}", told(&output));
    amend(&world, "two");
    assert_eq!(code(), "attestation-missing");
    assert_eq!(attestations(&judged(&world, "HEAD").1), [Value::Null; 0]);
    // Nor by somebody who says so.
    succeed(&world, "human", &[(&old, &id(&world, "HEAD"))]);
    assert_eq!(code(), "level-too-low");
}

/// Of one of several that has nothing, nothing is carried.
#[test]
fn what_takes_the_place_of_several_carries_the_least_of_them() {
    let world = world();
    let policy = world.policy(LEVEL);
    world.git_ok(&["config", "user.signingkey", "claude"]);
    let good = world.signed_commit("good");
    dispatch(&world, "claude", true);
    let bare = world.signed_commit("bare");
    let code = |name: &str, pairs: &[&str]| {
        let new = world.signed_commit(name);
        let pairs: Vec<_> = pairs.iter().map(|old| (*old, &*new)).collect();
        succeed(&world, "claude", &pairs);
        world.code("HEAD", &["--policy", &policy])
    };
    assert_eq!(code("one", &[&good]), "accepted");
    assert_eq!(code("both", &[&good, &bare]), "level-too-low");
    // Two that say it of one another.
    let [old, new] = ["old", "new"].map(|name| world.signed_commit(name));
    succeed(&world, "claude", &[(&old, &new), (&new, &old)]);
    assert_eq!(world.code("HEAD", &["--policy", &policy]), "level-too-low");
}

/// One statement about several commits counts for each of them that was squashed.
#[test]
fn what_is_stated_of_several_at_once_is_carried_when_they_are_squashed() {
    let world = world();
    let policy = world.policy(LEVEL);
    let code = || world.code("HEAD", &["--policy", &policy]);
    world.git_ok(&["config", "user.signingkey", "claude"]);
    world.git_ok(&["checkout", "-q", "-b", "topic"]);
    world.signed_commit("one");
    world.signed_commit("two");
    world.notme_ok(&["attest", "dispatch", "main..topic"]);
    let squash = |name: &str| {
        world.git_ok(&["merge", "-q", "--squash", "topic"]);
        world.git_ok(&["commit", "-q", "-m", name]);
    };
    world.git_ok(&["checkout", "-q", "main"]);
    world.signed_commit("meanwhile");
    squash("squashed");
    assert_eq!(code(), "accepted");
    // What was rebased at once is in one statement, too.
    world.git_ok(&["reset", "-q", "--hard", "HEAD~"]);
    world.git_ok(&["rebase", "-q", "main", "topic"]);
    assert_eq!(code(), "accepted");
    world.git_ok(&["checkout", "-q", "main"]);
    squash("squashed again");
    assert_eq!(code(), "accepted");
    // With one of which nothing is stated, it is not all of it.
    world.git_ok(&["reset", "-q", "--hard", "HEAD~"]);
    world.git_ok(&["checkout", "-q", "topic"]);
    world.signed_commit("bare");
    world.git_ok(&["checkout", "-q", "main"]);
    squash("with the bare one");
    assert_eq!(code(), "level-too-low");
}

/// Likewise one record of a chain that somebody else takes over.
#[test]
fn what_others_record_of_several_at_once_is_carried_when_they_are_squashed() {
    let world = world();
    let policy = world.policy(LEVEL);
    world.git_ok(&["config", "user.signingkey", "claude"]);
    let begun = world.notme_ok(&["attest", "activity", "--agent", "claude", "--begin"]);
    let activity = ["--agent", "claude", "--activity", begun.trim()];
    let trailer = world.notme_ok(&["attest", "trailer", "--activity", begun.trim()]);
    let commit = |name: &str| {
        world.write(name, name);
        world.git_ok(&["add", name]);
        let message = format!("{name}\n\n{}", trailer.trim());
        world.git_ok(&["commit", "-q", "-m", &message]);
        id(&world, "HEAD")
    };
    world.git_ok(&["checkout", "-q", "-b", "topic"]);
    let old = ["one", "two"].map(commit);
    let ended = ["attest", "activity", &old[0], &old[1], "--end"];
    world.notme_ok(&[&ended[..], &activity].concat());
    world.git_ok(&["checkout", "-q", "main"]);
    world.git_ok(&["config", "user.signingkey", "human"]);
    world.signed_commit("meanwhile");
    world.git_ok(&["merge", "-q", "--squash", "topic"]);
    commit("both");
    let (exit, judged) = judged(&world, "HEAD");
    assert_eq!(exit, Some(0), "{judged}");
    let mut told = attested_as(&judged);
    told.sort_unstable();
    let mut both = old.each_ref().map(|old| (&**old, Some("L2")));
    both.sort_unstable();
    assert_eq!(told, both, "{judged}");
    assert_eq!(world.code("HEAD", &["--policy", &policy]), "accepted");
}

/// git tells of the amend within a rebase apart; and in a run, the new commit is recorded before it is
/// known what it takes the place of.
#[test]
fn what_failed_keeps_failing_where_it_is_said_in_pieces() {
    let world = world();
    let policy = world.policy(LEVEL);
    let code = || world.code("HEAD", &["--policy", &policy]);
    world.git_ok(&["config", "user.signingkey", "claude"]);
    world.signed_commit("good");
    dispatch(&world, "claude", true);
    world.signed_commit("bad");
    dispatch(&world, "claude", false);
    let fixup = "GIT_SEQUENCE_EDITOR=\"sed -i '2s/^pick/fixup/'\" git rebase -q -i HEAD~2";
    let output = world.shell(fixup).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(code(), "attestation-missing");

    world.signed_commit("worse");
    dispatch(&world, "claude", false);
    let amend = "git commit -q --amend -m worst";
    world.notme_ok(&["run", "--agent", "claude", "--", "sh", "-ec", amend]);
    assert_eq!(code(), "attestation-missing");
    world.signed_commit("bare");
    world.notme_ok(&["run", "--agent", "claude", "--", "sh", "-ec", amend]);
    assert_eq!(code(), "level-too-low");
}

#[test]
fn who_worked_on_it_accepts_no_rewritten_commit_that_carries_no_chain_either() {
    let world = world();
    world.git_ok(&["config", "user.signingkey", "claude"]);
    world.git_ok(&["checkout", "-q", "-b", "topic"]);
    world.signed_commit("one");
    dispatch(&world, "passer-by", true);
    world.git_ok(&["checkout", "-q", "main"]);
    world.git_ok(&["config", "user.signingkey", "human"]);
    world.signed_commit("meanwhile");
    world.git_ok(&["cherry-pick", "topic"]);
    amend(&world, "other words");
    // Who signed the old one, who attested it, and who signed the new one.
    for agent in ["claude", "passer-by", "human"] {
        assert_accepts_not(&world, agent);
    }
    world.notme_ok(&["attest", "acceptance", "HEAD", "--agent", "reviewer"]);
    assert_eq!(code_of(&world, "reviewer"), None);
}
