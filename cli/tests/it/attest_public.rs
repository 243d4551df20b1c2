//! What a remote is told of commits that it does not have.

use notme_testkit::repository::{Repository, run};

use crate::world::{NOTME, World, told};

/// A repository with hooks of ours and a commit that is pushed; and its remote, which everybody reads.
fn published() -> (World, Repository) {
    let world = World::initialised();
    world.notme_ok(&["hooks", "install"]);
    let public = world.remote();
    world.signed_commit("one");
    world.git_ok(&["push", "--quiet", "--set-upstream", "origin", "main"]);
    (world, public)
}

/// States what a commit of a branch is that is not published, and something about one that is to be.
fn embargo(world: &World) -> String {
    world.git_ok(&["checkout", "--quiet", "-b", "embargo"]);
    let secret = world.signed_commit("target-corp");
    world.notme_ok(&["attest", "dispatch"]);
    world.git_ok(&["checkout", "--quiet", "main"]);
    world.signed_commit("two");
    world.notme_ok(&["attest", "dispatch"]);
    secret
}

fn attested(remote: &Repository) -> usize {
    let listed = remote.git_ok(&["for-each-ref", "refs/attestations"]);
    listed.lines().count()
}

/// Pushes, which succeeds, and returns what is said on stderr.
fn push(world: &World, arguments: &[&str]) -> String {
    let output = world.git(&[&["push", "--quiet"], arguments].concat());
    assert!(output.status.success(), "{}", told(&output));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_git_push_tells_nothing_of_commits_that_stay_here() {
    let (world, public) = published();
    let secret = embargo(&world);
    let said = push(&world, &["origin", "main"]);
    assert_eq!(
        public.git_ok(&["rev-parse", "main"]),
        world.git_ok(&["rev-parse", "main"])
    );
    assert_eq!(attested(&public), 0, "{said}");
    for words in [&*secret, "not known to have", "notme attest push origin"] {
        assert!(said.contains(words), "{said}");
    }
    // As soon as that goes there as well, so does what is said of it.
    let said = push(&world, &["origin", "embargo"]);
    assert_eq!((attested(&public), &*said), (3, ""));
}

/// A mirror of everything has what was fetched from elsewhere, and two names may be one place.
#[test]
fn another_remote_takes_nothing_from_what_was_seen_at_one() {
    let (world, public) = published();
    let url = public.path().display().to_string();
    world.git_ok(&["remote", "add", "--mirror=fetch", "backup", "../elsewhere"]);
    world.git_ok(&["config", "remote.all.url", &url]);
    world.git_ok(&[
        "config",
        "remote.all.fetch",
        "+refs/heads/*:refs/remotes/origin/*",
    ]);
    // Nobody asks again for what is there.
    let unsigned = [
        "commit",
        "--quiet",
        "--no-gpg-sign",
        "--allow-empty",
        "-m",
        "old",
    ];
    world.git_ok(&unsigned);
    world.git_ok(&["push", "--quiet", "--no-verify", "origin", "main"]);
    world.git_ok(&["checkout", "--quiet", "-b", "topic"]);
    world.signed_commit("two");
    world.notme_ok(&["attest", "dispatch"]);
    let said = push(&world, &["origin", "topic"]);
    assert_eq!((attested(&public), &*said), (3, ""));
}

/// What is noted may be anybody's who writes to the repository.
#[test]
fn a_note_that_is_a_pipe_keeps_nobody_waiting() {
    let (world, public) = published();
    world.notme_ok(&["attest", "dispatch"]);
    let notes = world.path().join(".git/notme-attest");
    let note = notes.join("remote-origin.json");
    let _ = std::fs::remove_file(&note);
    std::fs::create_dir_all(&notes).unwrap();
    assert!(
        run(world.command("mkfifo").arg(&note), b"")
            .status
            .success()
    );
    let mut command = world.command("timeout");
    command.args(["-s", "KILL", "60", NOTME, "attest", "push", "origin"]);
    let output = run(&mut command, b"");
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(attested(&public), 3);
    assert!(note.is_file());
}

/// What is there was pushed before, is pushed now, or was put in the place of another by then.
#[test]
fn a_git_push_takes_along_what_is_about_published_work() {
    let (world, public) = published();
    world.notme_ok(&["attest", "dispatch"]);
    world.signed_commit("two");
    world.notme_ok(&["attest", "dispatch"]);
    for words in ["other words", "yet others"] {
        world.git_ok(&["commit", "--quiet", "--amend", "-m", words]);
    }
    world.git_ok(&["tag", "-m", "three", "three"]);
    assert_eq!(
        (push(&world, &["origin", "three"]), attested(&public)),
        (String::new(), 3)
    );
    // Somebody else, who never had a branch of it, and has what moved on there meanwhile.
    let other = world.another_repository(Repository::new());
    other.git_ok(&["remote", "add", "origin", public.path().to_str().unwrap()]);
    other.notme_ok(&["hooks", "install"]);
    other.git_ok(&["pull", "--quiet", "origin", "main"]);
    push(&world, &["origin", "main"]);
    other.git_ok(&["config", "notme.prePush", "off"]);
    let before = public.git_ok(&["rev-parse", "refs/attestations/commits"]);
    other.notme_ok(&["attest", "dispatch", "--agent", "claude"]);
    let said = push(&other, &["origin", "HEAD:refs/heads/new"]);
    assert!(!said.contains("note:"), "{said}");
    assert_ne!(
        public.git_ok(&["rev-parse", "refs/attestations/commits"]),
        before
    );
}

#[test]
fn whoever_asks_for_it_sends_it_and_is_told() {
    let (world, public) = published();
    let secret = embargo(&world);
    let held = world.notme(&["attest", "push", "--if-published"]);
    assert_eq!(
        (held.status.code(), attested(&public)),
        (Some(1), 0),
        "{}",
        told(&held)
    );
    assert!(told(&held).contains(&secret), "{}", told(&held));
    let sent = world.notme(&["attest", "push"]);
    assert_eq!(
        (sent.status.code(), attested(&public)),
        (Some(0), 3),
        "{}",
        told(&sent)
    );
    assert!(told(&sent).contains(&secret), "{}", told(&sent));
    // What is there already is nothing new.
    world.git_ok(&["push", "--quiet", "origin", "main"]);
    world.notme_ok(&["attest", "dispatch"]);
    let sent = world.notme(&["attest", "push"]);
    assert!(
        sent.status.success() && !told(&sent).contains("not known"),
        "{}",
        told(&sent)
    );
}

/// What was fetched from one place is not published at another, be it of the same remote.
#[test]
fn what_a_private_remote_has_goes_to_no_public_one() {
    let (world, _private) = published();
    embargo(&world);
    world.git_ok(&[
        "push",
        "--quiet",
        "--no-verify",
        "origin",
        "main",
        "embargo",
    ]);
    let public = Repository::bare();
    let path = public.path().display().to_string();
    world.git_ok(&["config", "remote.origin.pushurl", &path]);
    let said = push(&world, &["origin", "main"]);
    assert_eq!(attested(&public), 0, "{said}");
    assert!(said.contains("not known to have"), "{said}");
    let said = push(&world, &[&path, "main:refs/heads/other"]);
    assert_eq!(attested(&public), 0, "{said}");
}

/// Whatever the branches are called that it is fetched into.
#[test]
fn what_is_fetched_from_another_remote_was_not_seen_at_this_one() {
    for (name, fetch) in [
        ("private", "+refs/heads/*:refs/remotes/origin/private-*"),
        ("private", "+refs/heads/*:remotes/origin/*"),
        (
            "origin/private",
            "+refs/heads/*:refs/remotes/origin/private/*",
        ),
    ] {
        let (world, public) = published();
        let private = Repository::bare();
        let setting = |name: &str, value: &str| {
            world.git_ok(&["config", "--replace-all", &format!("remote.{name}"), value]);
        };
        setting(&format!("{name}.url"), private.path().to_str().unwrap());
        setting(&format!("{name}.fetch"), fetch);
        embargo(&world);
        let elsewhere = ["push", "--quiet", "--no-verify", name, "embargo"];
        world.git_ok(&elsewhere);
        world.git_ok(&["fetch", "--quiet", name]);
        let said = push(&world, &["origin", "main"]);
        assert_eq!(attested(&public), 0, "{fetch}: {said}");
        assert!(said.contains("not known to have"), "{fetch}: {said}");
        // What was seen there itself is known.
        setting("origin.fetch", "+refs/heads/*:refs/remotes/mine/*");
        world.git_ok(&["push", "--quiet", "--no-verify", "origin", "embargo"]);
        public.git_ok(&["update-ref", "-d", "refs/heads/embargo"]);
        let said = push(&world, &["origin", "main:refs/heads/other"]);
        assert_eq!((attested(&public), &*said), (3, ""), "{fetch}");
    }
}

/// What took its place is there, but it lives on here: what is said of it names what is left out there.
#[test]
fn what_was_picked_or_squashed_tells_nothing_of_a_branch_that_stays_here() {
    let (world, public) = published();
    let secret = embargo(&world);
    world.git_ok(&["cherry-pick", "embargo"]);
    world.git_ok(&["commit", "--quiet", "--amend", "-m", "leak"]);
    let held = |what: &str| {
        let said = push(&world, &["origin", "main"]);
        assert_eq!(attested(&public), 0, "{what}: {said}");
        assert!(said.contains(&secret), "{what}: {said}");
    };
    held("picked");
    world.git_ok(&["checkout", "--quiet", "embargo"]);
    world.signed_commit("another");
    world.notme_ok(&["attest", "dispatch"]);
    world.git_ok(&["checkout", "--quiet", "main"]);
    world.git_ok(&["merge", "--quiet", "--squash", "embargo"]);
    world.git_ok(&["commit", "--quiet", "-m", "squashed"]);
    held("squashed");
    let stash = |name: &str| {
        world.write(name, "more");
        world.git_ok(&["stash", "push", "--quiet"]);
    };
    world.git_ok(&["checkout", "--quiet", "embargo"]);
    stash("another");
    world.git_ok(&["checkout", "--quiet", "main"]);
    stash("one");
    world.git_ok(&["update-ref", "refs/tags/embargoed", "embargo"]);
    world.git_ok(&["branch", "--quiet", "-D", "embargo"]);
    held("tagged");
    world.git_ok(&["tag", "--delete", "embargoed"]);
    held("stashed");
    world.git_ok(&["stash", "drop", "--quiet", "stash@{1}"]);
    let said = push(&world, &["origin", "main"]);
    assert_eq!((attested(&public), &*said), (3, ""));
}

/// Tracking branches tell where they were fetched from, and so do those of attestations.
#[test]
fn what_was_seen_at_one_url_is_not_taken_for_what_another_has() {
    let (world, private) = published();
    embargo(&world);
    push(&world, &["origin", "main", "embargo"]);
    assert_eq!(attested(&private), 3);
    let public = Repository::bare();
    world.git_ok(&[
        "remote",
        "set-url",
        "origin",
        public.path().to_str().unwrap(),
    ]);
    let held = || {
        let said = push(&world, &["origin", "main"]);
        assert_eq!(attested(&public), 0, "{said}");
        assert!(said.contains("not known to have"), "{said}");
    };
    held();
    world.signed_commit("three");
    held();
    // All of it goes there as soon as the commits do.
    let said = push(&world, &["origin", "embargo"]);
    assert_eq!((attested(&public), &*said), (3, ""));
}

#[test]
fn the_end_of_a_run_tells_nothing_of_commits_that_stay_here() {
    let (world, public) = published();
    let commit = "git commit --quiet --allow-empty -m";
    let run = |script: &str| {
        let output = world.notme(&["run", "--", "sh", "-c", script]);
        assert!(output.status.success(), "{}", told(&output));
        told(&output)
    };
    let said = run(&format!("{commit} two; git push -q origin main"));
    assert!(!said.contains("note:"), "{said}");
    let before = public.git_ok(&["rev-parse", "refs/attestations/activities"]);
    let said = run(&format!(
        "git push -q origin main; git checkout -q -b embargo; {commit} secret"
    ));
    assert!(said.contains("did not get to `origin`"), "{said}");
    assert!(said.contains("not known to have"), "{said}");
    let after = public.git_ok(&["rev-parse", "refs/attestations/activities"]);
    assert_ne!(before, after, "what began it went along");
    let secret = world.git_ok(&["rev-parse", "embargo"]);
    let told = public.git(&[
        "ls-tree",
        "refs/attestations/commits",
        &format!("{}/", &secret[..2]),
    ]);
    assert!(!String::from_utf8_lossy(&told.stdout).contains(&secret[2..]));
}

/// They have one store of attestations, which goes whole or not at all.
#[test]
fn agents_in_worktrees_of_one_repository_wait_for_each_others_pushes() {
    let (world, public) = published();
    let run = |branch: &str, script: &str| {
        let place = world.home().join(branch);
        let place = place.display();
        let script = format!("git worktree add -q -b {branch} {place}; cd {place}; {script}");
        let output = world.notme(&["run", "--", "sh", "-ec", &script]);
        assert!(output.status.success(), "{}", told(&output));
        told(&output)
    };
    let commit = "git commit -q --allow-empty -m x";
    run("first", commit);
    let said = run("second", &format!("{commit}; git push -q origin second"));
    assert!(said.contains("did not get to `origin`"), "{said}");
    assert_eq!(attested(&public), 0);
    assert_eq!(push(&world, &["origin", "first"]), "");
    assert_eq!(attested(&public), 3);
    // By name, all of it goes.
    run("third", commit);
    let before = public.git_ok(&["rev-parse", "refs/attestations/commits"]);
    world.notme_ok(&["attest", "push", "origin"]);
    assert_ne!(
        public.git_ok(&["rev-parse", "refs/attestations/commits"]),
        before
    );
}
