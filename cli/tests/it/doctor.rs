//! `notme doctor` finds what we break, and what it prints repairs it.
//!
//! A fault is a piece of shell. It is run, then the doctor; then, in a shell where the same was
//! run, the command that the doctor printed, and the doctor again. docs/doctor.md lists the codes.

use std::{
    collections::BTreeSet, fs, os::unix::net::UnixListener, path::Path, thread, time::SystemTime,
};

use notme_core::{hex, time::UnixTime};
use notme_testkit::{cast::TestAuthority, oracle::oracle};

use crate::world::{NOTME, Operator, World, free_port, told};

type Finding = (String, String);

/// Runs a script that ends with what `notme doctor --json` prints, and returns the findings.
fn examined(world: &World, script: &str) -> Vec<Finding> {
    let output = world.shell(script).output().unwrap();
    let found: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", told(&output)));
    let findings = found.as_array().unwrap();
    let code = i32::from(!findings.is_empty());
    assert_eq!(output.status.code(), Some(code), "{}", told(&output));
    let text = |finding: &serde_json::Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let finding = |finding| (text(finding, "code"), text(finding, "repair"));
    findings.iter().map(finding).collect()
}

fn findings(world: &World) -> Vec<Finding> {
    examined(world, "notme doctor --json")
}

/// Returns the command that the doctor prints against `code`.
fn repair_of(code: &str, found: &[Finding]) -> String {
    let (_, repair) = found
        .iter()
        .find(|(found, _)| found == code)
        .unwrap_or_else(|| panic!("{code}: {found:?}"));
    repair.clone()
}

/// Breaks something; the doctor has to find it, and what it prints has to repair it.
fn finds_and_repairs(world: &World, code: &str, fault: &str) {
    let doctor = "exec notme doctor --json";
    let found = examined(world, &format!("set -e\n{{ {fault}\n}} >&2\n{doctor}"));
    let repair = repair_of(code, &found);
    // What was broken in files is broken still; the next shell has to be told the rest.
    let is_lasting = |line: &&str| {
        !["export ", "unset ", "cd "]
            .iter()
            .any(|it| line.starts_with(it))
    };
    let shell: Vec<_> = fault.lines().filter(|line| !is_lasting(line)).collect();
    let shell = shell.join("\n");
    let after = examined(
        world,
        &format!("set -e\n{{ {shell}\n{repair}\n}} >&2\n{doctor}"),
    );
    assert_eq!(after, [], "{code}: after {repair}");
}

/// Returns the variables under which a program sees another time; the package's own program
/// waits for whatever the one that it runs leaves behind.
fn at_another_time(offset: &str) -> String {
    oracle("faketime");
    format!(
        "LD_PRELOAD='/usr/$LIB/faketime/libfaketime.so.1' FAKETIME={offset} FAKETIME_DONT_FAKE_MONOTONIC=1"
    )
}

#[test]
fn nothing_is_wrong_after_init() {
    for format in ["x509", "ssh", "openpgp"] {
        let world = World::new();
        world.notme_ok(&["init", "--agent", "claude", "--format", format]);
        world.signed_commit("a");
        assert_eq!(findings(&world), []);
        assert!(world.notme_ok(&["doctor"]).contains("nothing is wrong"));
    }
}

#[test]
fn faults_of_the_settings_are_found_and_repaired() {
    let world = World::initialised();
    for (code, fault) in [
        ("format-not-set", "git config --unset gpg.format"),
        ("format-unknown", "git config gpg.format X509"),
        ("program-not-set", "git config --unset gpg.x509.program"),
        (
            "program-missing",
            "git config gpg.x509.program /nonexistent/notme",
        ),
        (
            "program-missing",
            "git config gpg.x509.program 'notme-x509 --fast'",
        ),
        (
            "program-not-executable",
            "echo > tool; git config gpg.x509.program \"$PWD/tool\"",
        ),
        ("program-other", "git config gpg.x509.program /bin/true"),
        ("program-other", "git config gpg.x509.program true"),
        ("commits-not-signed", "git config commit.gpgsign false"),
        ("tags-not-signed", "git config --unset tag.gpgsign"),
        ("signing-key-not-set", "git config user.signingkey ''"),
        (
            "signing-key-foreign",
            "git config user.signingkey 'A U Thor <author@example.com>'",
        ),
        ("agent-unknown", "git config user.signingkey stranger"),
        (
            "trust-level-too-high",
            "git config gpg.minTrustLevel ultimate",
        ),
        ("backup-unreadable", "echo x > .git/notme/settings.json"),
        (
            "committer-not-set",
            "unset GIT_COMMITTER_NAME GIT_AUTHOR_NAME",
        ),
    ] {
        finds_and_repairs(&world, code, fault);
    }
}

#[test]
fn faults_of_one_format_are_found_and_repaired() {
    let world = World::new();
    world.notme_ok(&["init", "--agent", "claude", "--format", "ssh"]);
    let signers = "rm \"$(git config gpg.ssh.allowedSignersFile)\"";
    finds_and_repairs(&world, "allowed-signers-missing", signers);
    let revoked = "git config gpg.ssh.revocationFile \"$HOME/revoked\"";
    finds_and_repairs(&world, "revocations-missing", revoked);
    world.notme_ok(&["init", "--agent", "claude", "--format", "openpgp"]);
    finds_and_repairs(
        &world,
        "program-shadowed",
        "printf '[gpg]\n program = gpg\n' >> .git/config",
    );
}

#[test]
fn whoever_overrides_what_init_wrote_is_found_and_removed() {
    let world = World::initialised();
    for (code, fault) in [
        (
            "overridden-by-worktree",
            "git config extensions.worktreeConfig true; git config --worktree commit.gpgsign false",
        ),
        (
            "overridden-by-include",
            "git config --file \"$HOME/work.inc\" tag.gpgsign false; git config 'includeIf.gitdir:**.path' \"$HOME/work.inc\"",
        ),
        (
            "overridden-by-environment",
            "export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=gpg.format GIT_CONFIG_VALUE_0=openpgp",
        ),
        (
            "overridden-by-environment",
            "export GIT_CONFIG_PARAMETERS=\"'commit.gpgsign=false'\"",
        ),
    ] {
        finds_and_repairs(&world, code, fault);
    }
    let world = World::new();
    world.notme_ok(&["init", "--agent", "claude", "--global"]);
    let fault = "git config user.signingkey ABCDEF0123456789ABCDEF";
    finds_and_repairs(&world, "overridden-by-repository", fault);
}

#[test]
fn what_overrides_and_is_right_is_no_fault() {
    let world = World::initialised();
    world.notme_ok(&["init", "--agent", "codex", "--global"]);
    let found = "export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=user.signingkey GIT_CONFIG_VALUE_0=codex\nnotme doctor --json";
    assert_eq!(examined(&world, found), []);
    // A hook elsewhere that runs notme stands for the one that is not run.
    let hooks = "mkdir ../hooks; for at in .git/hooks ../hooks; do printf '#!/bin/sh\\nnotme verify\\n' > $at/pre-push; chmod +x $at/pre-push; done; git config core.hooksPath ../hooks; notme doctor --json";
    assert_eq!(examined(&world, hooks), []);
}

#[test]
fn faults_of_the_shell_are_found_and_repaired() {
    let world = World::initialised();
    for (code, fault) in [
        (
            "date-fixed",
            "export GIT_COMMITTER_DATE='2024-01-01T00:00:00Z'",
        ),
        ("tmpdir-missing", "export TMPDIR=/nonexistent"),
        ("home-ignored", "export NOTME_HOME=../home/notme"),
    ] {
        finds_and_repairs(&world, code, fault);
    }
}

/// With a package manager that does for one program what the real one would.
#[test]
fn missing_and_old_programs_are_found_and_the_command_installs_them() {
    let world = World::new();
    world.notme_ok(&["init", "--agent", "claude", "--format", "ssh"]);
    let (git, keygen) = (oracle("git"), oracle("ssh-keygen"));
    world.stub("sudo", "exec \"$@\"");
    let link = |to: &Path| format!("exec /bin/ln -sf {} \"$STUBS\"", to.display());
    let path = "export PATH=\"$STUBS\"";
    std::os::unix::fs::symlink(NOTME, world.stubs().join("notme")).unwrap();

    world.stub("apt-get", &link(&git));
    finds_and_repairs(
        &world,
        "git-missing",
        &format!("{path}\n/bin/ln -sf {} \"$STUBS\"", keygen.display()),
    );
    fs::remove_file(world.stubs().join("ssh-keygen")).unwrap();
    world.stub("apt-get", &link(&keygen));
    finds_and_repairs(&world, "ssh-keygen-missing", path);
    fs::remove_file(world.stubs().join("git")).unwrap();
    let git = git.display();
    world.stub(
        "git",
        &format!("[ \"$1\" = version ] && exec echo git version 2.30.2\nexec {git} \"$@\""),
    );
    world.stub("apt-get", "exec /bin/rm \"$STUBS/git\"");
    finds_and_repairs(&world, "git-too-old", "export LC_ALL=C");
}

#[test]
fn faults_of_the_repository_are_found_and_repaired() {
    let world = World::initialised();
    world.signed_commit("a");
    let (hook, set) = (
        ".git/hooks/pre-push",
        "printf '#!/bin/sh\\nnotme verify\\n' >",
    );
    let ready = format!("{set} {hook}; chmod +x {hook}");
    for (code, fault) in [
        (
            "repository-not-owned",
            "export GIT_TEST_ASSUME_DIFFERENT_OWNER=1",
        ),
        (
            "objects-replaced",
            "git replace HEAD \"$(git commit-tree -m x 'HEAD^{tree}')\"",
        ),
        ("history-grafted", "git rev-parse HEAD > .git/info/grafts"),
        ("hook-not-executable", &format!("{set} {hook}")),
        (
            "hooks-shadowed",
            &format!("{ready}; git config core.hooksPath .husky"),
        ),
        (
            "hooks-shadowed",
            &format!("{ready}; git config --global core.hooksPath \"$HOME/hooks\""),
        ),
    ] {
        finds_and_repairs(&world, code, fault);
    }
    world.signed_commit("b");
    let fault = "git clone -q --depth 1 \"file://$PWD\" ../shallow\n(cd ../shallow && notme init --agent claude)\ncd ../shallow";
    finds_and_repairs(&world, "clone-shallow", fault);
    let fault = "git init -q --ref-format=reftable ../reftable\n(cd ../reftable && notme init --agent claude)\ncd ../reftable";
    finds_and_repairs(&world, "references-unreadable", fault);
}

/// Whichever object is gone: the tip, a directory or a statement.
#[test]
fn attestations_that_are_gone_are_fetched_again() {
    let world = World::initialised();
    let _bare = world.remote();
    world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    world.git_ok(&["push", "--quiet", "origin", "main"]);
    world.notme_ok(&["attest", "push"]);
    assert_eq!(findings(&world), []);
    for object in [
        "git rev-parse refs/attestations/commits",
        "git rev-parse 'refs/attestations/trees^{tree}'",
        "git ls-tree -r --object-only refs/attestations/activities | head -n 1",
    ] {
        // What was fetched may be there twice.
        let loose = "mkdir -p kept; mv .git/objects/pack/*.pack kept; rm -f .git/objects/pack/*\nfor pack in kept/*.pack; do test ! -e \"$pack\" || git unpack-objects -q <\"$pack\"; done";
        let lose = "rm -f .git/objects/$(echo \"$id\" | cut -c 1-2)/$(echo \"$id\" | cut -c 3-)";
        let fault = format!("{loose}\nid=$({object})\n{lose}");
        let found = examined(
            &world,
            &format!("{{ {fault}\n}} >&2\nexec notme doctor --json"),
        );
        let repair = repair_of("attestations-incomplete", &found);
        let after = examined(
            &world,
            &format!("{{ {repair}\n}} >&2\nexec notme doctor --json"),
        );
        assert_eq!(after, [], "{object}: after {repair}");
        world.notme_ok(&["attest", "verify"]);
    }
}

/// Locks of whoever was killed.
#[test]
fn locks_that_nobody_holds_are_told_together() {
    let world = World::initialised();
    world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    let locks = [
        "refs/attestations/trees.lock",
        "refs/attestations/commits.lock",
        "packed-refs.lock",
        "refs/notme/attestations/a/b/trees.lock",
    ];
    let locks = locks.map(|lock| format!(".git/{lock}"));
    fs::create_dir_all(world.path().join(".git/refs/notme/attestations/a/b")).unwrap();
    let fault = format!("touch -d '2 minutes ago' {}", locks.join(" "));
    finds_and_repairs(&world, "attestations-locked", &fault);
    // One that is new may well be held.
    let [trees, commits, ..] = &locks;
    let held = [trees, commits];
    for lock in held {
        world.write(lock, "");
    }
    let refused = world.notme(&["attest", "dispatch"]);
    assert_eq!(refused.status.code(), Some(3), "{}", told(&refused));
    for lock in held {
        assert!(told(&refused).contains(lock), "{}", told(&refused));
    }
    let output = world.notme(&["doctor"]);
    assert!(output.status.success(), "{}", told(&output));
}

/// As older versions imported what came before its commit.
#[test]
fn attestations_that_lie_with_no_tree_are_put_there() {
    let world = World::initialised();
    world.signed_commit("one");
    world.notme_ok(&["attest", "acceptance", "HEAD", "--reject"]);
    let fault = "git update-ref -d refs/attestations/trees";
    finds_and_repairs(&world, "attestations-misplaced", fault);
    world.git_ok(&["commit", "--quiet", "--amend", "-m", "other words"]);
    let output = world.notme(&["attest", "verify"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
}

#[test]
fn faults_of_files_are_found_and_repaired() {
    let world = World::initialised();
    let data = "\"$NOTME_HOME\"/data";
    let run = "\"$NOTME_HOME\"/run";
    for (code, fault) in [
        (
            "directory-not-private",
            format!("chmod 755 {data}/authority"),
        ),
        (
            "directory-in-the-way",
            format!("rm -rf {run}; echo > {run}"),
        ),
        (
            "file-not-private",
            format!("chmod 644 {data}/authority/kek"),
        ),
        (
            "file-not-private",
            format!("chmod 666 {data}/agents/claude.json"),
        ),
        (
            "socket-in-the-way",
            format!("mkdir -p -m 700 {run}; echo > {run}/agent.sock"),
        ),
    ] {
        finds_and_repairs(&world, code, &fault);
    }
}

#[test]
fn faults_of_trust_are_found_and_repaired() {
    let world = World::initialised();
    world.notme_ok(&["agent", "stop"]);
    let (store, seen) = (
        "\"$NOTME_HOME\"/data/trust",
        "\"$NOTME_HOME\"/state/trust/embedded.json",
    );
    let document = format!("{store}/embedded/trust.json");
    let revoke = "notme authority revoke key";
    for (code, fault) in [
        ("trust-missing", "notme trust remove embedded".to_owned()),
        (
            "authority-not-trusted",
            "notme trust remove embedded".to_owned(),
        ),
        ("trust-unreadable", format!("chmod go+w {document}")),
        (
            "trust-unreadable",
            format!("chmod 000 {store}/embedded; chmod go+w {store}"),
        ),
        ("trust-unreadable", format!("echo x > {document}")),
        ("trust-unreadable", format!("rm {store}/embedded/pin.json")),
        (
            "trust-unreadable",
            format!("cp -R {store} copy; cp -R copy {store}/trust"),
        ),
        (
            "trust-unreadable",
            format!("cp -R {store}/embedded own; mv own {store}/embedded/embedded"),
        ),
        (
            "bundle-invalid",
            format!(
                "sed -i 's/\"[0-9a-f]\\{{64\\}}\"/\"{}\"/' {store}/embedded/pin.json",
                "0".repeat(64)
            ),
        ),
        ("trust-state-missing", format!("rm {seen}")),
        (
            "bundle-equivocation",
            format!("sed -i 's/[0-9a-f]\\{{64\\}}/{}/' {seen}", "0".repeat(64)),
        ),
        (
            "trust-outdated",
            format!(
                "cp {document} old; cp {seen} seen; {revoke} {}; cp old {document}; cp seen {seen}",
                "0".repeat(32)
            ),
        ),
        (
            "bundle-rollback",
            format!(
                "cp {document} old; {revoke} {}; cp old {document}",
                "1".repeat(32)
            ),
        ),
    ] {
        finds_and_repairs(&world, code, &fault);
    }
}

/// What lies below a name may be older than what is in its place, and somebody else's.
#[test]
fn a_copy_in_the_trust_store_takes_no_place_of_another() {
    let world = World::initialised();
    let script = |text: &str| {
        let text = format!("set -e\nstore=\"$NOTME_HOME/data/trust\"\n{text}");
        let output = world.shell(&text).output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
    };
    script(&format!(
        r#"
        for name in one other; do
            openssl req -x509 -nodes -newkey ed25519 -keyout key -subj /CN=$name -out $name.pem \
                -addext keyUsage=critical,keyCertSign
        done
        notme trust add --name they one.pem
        cp -R "$store" backup
        notme trust remove they
        notme trust add --name they other.pem
        notme authority revoke key {}
        cp "$store/embedded/trust.json" newest
        cp -R backup "$store"
        "#,
        "2".repeat(32)
    ));
    let repair = repair_of("trust-unreadable", &findings(&world));
    script(&repair);
    assert_eq!(findings(&world), []);
    script(
        r#"
        cmp newest "$store/embedded/trust.json"
        cmp other.pem "$store/they/bundle.pem"
        cmp one.pem "$store.they/bundle.pem"
        test -e "$store.embedded/trust.json"
        "#,
    );
}

/// The clock of the day when it was set up was wrong, or is long ago.
#[test]
fn a_trust_document_of_another_time_is_found_and_repaired() {
    for (code, offset) in [("trust-stale", "-400d"), ("trust-from-future", "+2d")] {
        let world = World::new();
        let then = format!("{} notme", at_another_time(offset));
        let fault = format!("{then} init --agent claude; {then} authority stop");
        finds_and_repairs(&world, code, &fault);
    }
}

#[test]
fn faults_of_agents_are_found_and_repaired() {
    let world = World::initialised();
    let home = "\"$NOTME_HOME\"";
    for (code, fault) in [
        (
            "config-invalid",
            format!("echo '{{' > {home}/data/agents/claude.json"),
        ),
        (
            "config-invalid",
            format!(
                "notme init --agent b; notme init --agent claude; echo > {home}/data/agents/b.json"
            ),
        ),
        (
            "authority-broken",
            format!(
                "notme agent stop; notme authority stop; echo garbage > {home}/data/authority/store.sqlite"
            ),
        ),
    ] {
        finds_and_repairs(&world, code, &fault);
    }
}

#[test]
fn faults_of_the_key_agent_are_found_and_repaired() {
    let world = World::initialised();
    world.stub("askpass", "echo open sesame");
    let without_locked_memory = match rustix::process::geteuid().is_root() {
        true => "setpriv --inh-caps=-ipc_lock --bounding-set=-ipc_lock prlimit --memlock=0:",
        false => "prlimit --memlock=0:",
    };
    let socket = world.notme_home().join("run/ssh-agent.sock");
    for (code, fault) in [
        (
            "key-agent-old",
            "notme agent stop; cp \"$(command -v notme)\" old; ./old agent start; rm old"
                .to_owned(),
        ),
        (
            "key-agent-locked",
            format!(
                "notme agent start\nexport SSH_ASKPASS=\"$STUBS/askpass\" SSH_ASKPASS_REQUIRE=force\nSSH_AUTH_SOCK={} ssh-add -x",
                socket.display()
            ),
        ),
        (
            "memory-not-protected",
            format!("notme agent stop; {without_locked_memory} notme agent start"),
        ),
    ] {
        finds_and_repairs(&world, code, &fault);
    }
    world.notme_ok(&["agent", "stop"]);
    let path = world.notme_home().join("run/agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    // It hangs up on whoever comes.
    thread::spawn(move || listener.incoming().for_each(drop));
    finds_and_repairs(&world, "key-agent-silent", "true");
}

/// One user's homes share a runtime directory, and with it the key agent.
#[test]
fn the_key_agent_of_another_home_is_found_and_stopped() {
    let mut world = World::new();
    let runtime = world.home().join("run");
    fs::create_dir(&runtime).unwrap();
    world.set_env("XDG_RUNTIME_DIR", &runtime);
    world.remove_env("NOTME_HOME");
    world.notme_ok(&["init", "--agent", "claude"]);
    world.signed_commit("a");
    assert_eq!(findings(&world), []);
    finds_and_repairs(
        &world,
        "key-agent-elsewhere",
        "notme agent stop; git init -q ~/other/work; (HOME=~/other; cd ~/work; notme init --agent claude; notme agent start)",
    );
    let stop = world
        .shell("HOME=~/other exec notme authority stop")
        .output();
    assert!(stop.unwrap().status.success());
}

/// An agent whose authority is somebody else's.
#[test]
fn faults_with_a_remote_authority_are_found_and_repaired() {
    let operator = Operator::new();
    let address = format!("127.0.0.1:{}", free_port());
    let url = format!("http://{address}");
    let serve = ["--url", &url, "--listen", &address];
    let served = operator.serve(&serve);
    let pins = operator.pins();
    let pins: Vec<&str> = pins.iter().flat_map(|pin| ["--pin", pin]).collect();
    let world = World::new();
    // The command names a file that the user has to have; here it is.
    let token = |options: &[&str]| {
        let create = ["enrol", "create", "--agent", "claude"];
        let token = operator.ask(&[&create[..], options].concat());
        fs::write(world.path().join("FILE"), token).unwrap();
    };

    token(&[]);
    world.notme_ok(
        &[
            &["init", "--agent", "claude", "--authority", &url][..],
            &pins,
        ]
        .concat(),
    );
    finds_and_repairs(&world, "session-missing", "true");
    let name = format!("127.0.0.1-{}", url.rsplit(':').next().unwrap());
    finds_and_repairs(
        &world,
        "authority-not-trusted",
        &format!("notme trust remove {name}"),
    );
    let state = format!("rm \"$NOTME_HOME/state/trust/{name}.json\"");
    finds_and_repairs(&world, "trust-state-missing", &state);
    finds_and_repairs(&world, "program-other", "git config gpg.x509.program true");
    assert!(world.notme_ok(&["status"]).contains(&url));

    let fake = format!(
        "exec {} -f +2h {NOTME} \"$@\"",
        oracle("faketime").display()
    );
    world.stub("sudo", "exec \"$@\"");
    world.stub("timedatectl", "exec rm \"$STUBS/notme\"");
    world.stub("notme", &fake);
    finds_and_repairs(&world, "clock-skew", "true");

    drop(served);
    let found = findings(&world);
    let served = operator.serve(&serve);
    let repair = repair_of("authority-unreachable", &found);
    assert_eq!(
        examined(&world, &format!("{{ {repair}\n}} >&2; notme doctor --json")),
        []
    );

    world.notme_ok(&["agent", "stop"]);
    token(&["--session-ttl", "1"]);
    world.notme_ok(&["agent", "enrol", "claude", "--token-file", "FILE"]);
    token(&[]);
    let ended = |found: &[Finding]| found.iter().any(|(code, _)| code == "session-ended");
    while !ended(&findings(&world)) {
        thread::yield_now();
    }
    finds_and_repairs(&world, "session-ended", "true");
    drop(served);
}

#[test]
fn without_init_it_says_what_to_run() {
    let world = World::new();
    let found = findings(&world);
    assert_eq!(repair_of("trust-missing", &found), "notme init");
    assert_eq!(repair_of("format-not-set", &found), "notme init");
    let output = world
        .shell("cd .. && notme doctor --json")
        .output()
        .unwrap();
    assert!(
        told(&output).contains("notme init --global"),
        "{}",
        told(&output)
    );
}

#[test]
fn a_trust_document_without_a_key_for_the_format_is_found() {
    let world = World::initialised();
    // An authority as it was before it had SSH and OpenPGP keys.
    let authority = TestAuthority::new(1);
    let now = UnixTime::from(SystemTime::now());
    let document = world.home().join("trust.json");
    fs::write(&document, authority.trust_document(1, now)).unwrap();
    let document = document.to_str().unwrap();
    let pins: Vec<String> = authority
        .pins()
        .iter()
        .map(|pin| hex::encode(pin))
        .collect();
    let mut add = vec!["trust", "add", "--name", "old", document];
    for pin in &pins {
        add.extend(["--pin", pin]);
    }
    world.notme_ok(&add);
    let agents = world.notme_home().join("data/agents");
    let mut config: serde_json::Value =
        serde_json::from_slice(&fs::read(agents.join("claude.json")).unwrap()).unwrap();
    config["pins"] = pins.into();
    fs::write(agents.join("claude.json"), config.to_string()).unwrap();
    assert_eq!(findings(&world), []);
    for format in ["ssh", "openpgp"] {
        world.git_ok(&["config", "gpg.format", format]);
        let repair = "notme trust refresh old".to_owned();
        let found = findings(&world);
        assert!(
            found.contains(&("trust-lacks-format".to_owned(), repair)),
            "{found:?}"
        );
    }
}

/// Returns the words of a text that could be codes: in quotes, with a hyphen.
fn quoted_codes(text: &str) -> BTreeSet<&str> {
    let is_code = |word: &&str| {
        let letters = |c: char| c.is_ascii_lowercase() || c == '-';
        word.contains('-') && word.chars().all(letters) && !word.starts_with('-')
    };
    text.split('"').filter(is_code).collect()
}

#[test]
fn every_code_is_documented_and_seeded() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(root.join("../docs/doctor.md")).unwrap();
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: BTreeSet<&str> = rows
        .filter_map(|row| Some(row.split_once('`')?.0))
        .collect();
    assert!(documented.len() >= 50, "{documented:?}");
    let seeded = quoted_codes(include_str!("doctor.rs"));
    let unseeded: Vec<_> = documented.difference(&seeded).collect();
    assert!(unseeded.is_empty(), "{unseeded:?}");
    for file in fs::read_dir(root.join("src/commands/doctor")).unwrap() {
        let source = fs::read_to_string(file.unwrap().path()).unwrap();
        let mut codes = quoted_codes(&source);
        codes.retain(|code| !["apt-get", "ssh-keygen", "openssh-client"].contains(code));
        let undocumented: Vec<_> = codes.difference(&documented).collect();
        assert!(undocumented.is_empty(), "{undocumented:?}");
    }
}

#[test]
fn hooks_that_do_not_run_are_found_and_repaired() {
    let world = World::initialised();
    world.notme_ok(&["hooks", "install"]);
    for (code, fault) in [
        ("hooks-shadowed", "git config core.hooksPath .husky/_"),
        (
            "hooks-overlooked",
            "mkdir -p .husky/_\nprintf '#!/bin/sh\\n' >.husky/_/pre-commit\nchmod +x .husky/_/pre-commit",
        ),
        (
            "hooks-program-missing",
            "rm -f \"$NOTME_HOME/data/bin/notme\"",
        ),
    ] {
        finds_and_repairs(&world, code, fault);
    }
}
