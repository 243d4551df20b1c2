//! The program called as gpg: through real git, and judged by real gpg.

use std::{fs, os::unix::fs::symlink, path::PathBuf, process::Output, time::SystemTime};

use notme_core::time::UnixTime;
use notme_testkit::{
    commit::with_signature,
    gnupg::Gnupg,
    oracle::oracle,
    repository::{Repository, run},
};

use crate::world::{NOTME, World, told};

/// A user whose git signs with OpenPGP, through us.
fn world() -> World {
    of(Repository::new())
}

fn of(repository: Repository) -> World {
    let world = World::of(repository);
    world.notme_ok(&["init", "--agent", "claude"]);
    let link = link(&world);
    symlink(NOTME, &link).unwrap();
    for (name, value) in [
        ("gpg.format", "openpgp"),
        ("gpg.program", link.to_str().unwrap()),
        ("user.signingkey", "claude"),
        ("commit.gpgsign", "true"),
    ] {
        world.git_ok(&["config", name, value]);
    }
    world
}

fn link(world: &World) -> PathBuf {
    world.home().join("notme-openpgp")
}

fn call(world: &World, arguments: &[&str], input: &[u8]) -> Output {
    run(world.command(link(world)).args(arguments), input)
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Takes the newest commit apart, as git does for the program it calls.
fn apart(world: &World) -> (Vec<u8>, PathBuf) {
    let raw = world.git_ok(&["cat-file", "commit", "HEAD"]) + "\n";
    let start = raw.find("gpgsig ").unwrap();
    let end = raw.find("-----END PGP SIGNATURE-----").unwrap();
    let end = end + raw[end..].find('\n').unwrap() + 1;
    let signature = raw[start + 7..end].replace("\n ", "\n");
    let file = world.home().join("signature.asc");
    fs::write(&file, signature).unwrap();
    let payload = format!("{}{}", &raw[..start], &raw[end..]);
    (payload.into_bytes(), file)
}

#[test]
fn git_signs_and_verifies_and_so_do_we() {
    for repository in [Repository::new(), Repository::sha256()] {
        let world = of(repository);
        world.signed_commit("file");
        let (code, document) = world.verdicts(&["HEAD"]);
        assert_eq!(code, Some(0), "{document}");
        let object = &document["objects"][0];
        assert_eq!(object["format"], "openpgp");
        assert_eq!(object["time_basis"], "issuance-bound");
        assert!(object["identity"].as_str().unwrap().ends_with("/claude"));
        let output = world.git(&["verify-commit", "--raw", "HEAD"]);
        assert!(output.status.success(), "{}", told(&output));
        assert!(stderr(&output).contains("[GNUPG:] GOODSIG "));
        let pretty = world.git_ok(&["log", "-1", "--format=%G? %GT %GS"]);
        assert!(pretty.starts_with("G fully claude <wimse://"), "{pretty}");
        world.git_ok(&["tag", "-s", "-m", "one", "v1"]);
        world.git_ok(&["verify-tag", "v1"]);
    }
}

#[test]
fn gpg_accepts_it_after_importing_what_we_export() {
    let world = world();
    world.signed_commit("file");
    let (payload, signature) = apart(&world);
    let gpg = Gnupg::new();
    let exported = world.notme_ok(&["trust", "export", "--openpgp"]);
    gpg.ok(&["--import"], exported.as_bytes());
    let fingerprint = gpg.fingerprint("authority");
    gpg.ok(
        &["--import-ownertrust"],
        format!("{fingerprint}:6:\n").as_bytes(),
    );
    let file = signature.to_str().unwrap();
    let arguments = ["--auto-key-import", "--status-fd=1", "--verify", file, "-"];
    let output = gpg.run(&arguments, &payload);
    assert!(output.status.success(), "{}", told(&output));
    for expected in ["[GNUPG:] GOODSIG ", "[GNUPG:] TRUST_FULLY"] {
        assert!(stdout(&output).contains(expected), "{}", told(&output));
    }

    // And so does git that knows nothing of us.
    gpg.configure("auto-key-import\n");
    let program = format!("gpg.program={}", oracle("gpg").display());
    let stock = |words: &[&str]| {
        let mut git = world.command("git");
        git.env("GNUPGHOME", gpg.path()).args(["-c", &program]);
        run(git.args(words), b"")
    };
    let output = stock(&["verify-commit", "HEAD"]);
    assert!(output.status.success(), "{}", told(&output));
    let output = stock(&["log", "-1", "--format=%G? %GT"]);
    assert_eq!(stdout(&output), "G fully\n", "{}", told(&output));
}

#[test]
fn says_what_gpg_says_of_a_good_signature() {
    let world = world();
    world.signed_commit("file");
    let (payload, signature) = apart(&world);
    let file = signature.to_str().unwrap();
    let arguments = [
        "--keyid-format=long",
        "--status-fd=1",
        "--verify",
        file,
        "-",
    ];
    let output = call(&world, &arguments, &payload);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let lines: Vec<_> = stdout(&output).lines().map(str::to_owned).collect();
    let words: Vec<_> = lines
        .iter()
        .filter_map(|line| line.split(' ').nth(1))
        .collect();
    assert_eq!(words, ["NEWSIG", "GOODSIG", "VALIDSIG", "TRUST_FULLY"]);
    let valid: Vec<_> = lines[2].split(' ').collect();
    // gpg's own line: fingerprint, date, time, end, version, 0, key, hash, class, primary.
    assert_eq!(valid.len(), 12, "{valid:?}");
    assert_eq!(valid[2].len(), 40);
    assert_eq!(valid[6..11], ["4", "0", "22", "8", "00"]);
    assert_eq!(valid[11], valid[2]);
    assert!(valid[2].ends_with(lines[1].split(' ').nth(2).unwrap()));
    assert!(stderr(&output).contains("gpg: Signature made "));
    assert!(stderr(&output).contains("using EDDSA key "));
    assert!(stderr(&output).contains("gpg: Good signature from \"claude <wimse://"));
}

#[test]
fn a_signature_over_something_else_is_bad() {
    let world = world();
    world.signed_commit("file");
    let (payload, signature) = apart(&world);
    let file = signature.to_str().unwrap();
    let altered = String::from_utf8(payload).unwrap() + "more\n";
    let arguments = ["--status-fd=1", "--verify", file, "-"];
    let output = call(&world, &arguments, altered.as_bytes());
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(stdout(&output).contains("[GNUPG:] BADSIG "));
    assert!(stdout(&output).contains("[GNUPG:] TRUST_NEVER"));
    assert!(stderr(&output).contains("gpg: BAD signature from "));
}

#[test]
fn a_key_that_is_not_here_is_missing_and_its_signature_not_bad() {
    let world = world();
    world.signed_commit("file");
    let (payload, _) = apart(&world);
    let gpg = Gnupg::new();
    let fingerprint = gpg.generate("Bob <bob@example.org>", "ed25519", "sign", "never");
    let file = world.home().join("bob.asc");
    fs::write(&file, gpg.sign("bob@example.org", &payload)).unwrap();
    let file = file.to_str().unwrap();
    let arguments = ["--status-fd=1", "--verify", file, "-"];
    let output = call(&world, &arguments, &payload);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    let long_id = &fingerprint[24..];
    assert!(stdout(&output).contains(&format!("[GNUPG:] ERRSIG {long_id} 22 ")));
    assert!(stdout(&output).contains(&format!("[GNUPG:] NO_PUBKEY {long_id}")));
    assert!(stdout(&output).contains("[GNUPG:] TRUST_UNDEFINED"));
    assert!(stderr(&output).contains("gpg: Can't check signature: No public key"));

    // Once it is trusted, it is good.
    let keys = world.home().join("keys.asc");
    fs::write(&keys, gpg.export("bob@example.org")).unwrap();
    let keys = keys.to_str().unwrap();
    let added = world.notme_ok(&["trust", "add", "--openpgp", keys, "--name", "team"]);
    assert!(added.contains(&fingerprint), "{added}");
    let output = call(&world, &arguments, &payload);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(stdout(&output).contains("GOODSIG"));
    assert!(stderr(&output).contains("Good signature from \"Bob <bob@example.org>\""));
    let listed = stdout(&call(&world, &["--list-keys", "bob@example.org"], b""));
    assert!(listed.contains(&fingerprint), "{listed}");
}

#[test]
fn lists_keys_in_gpgs_two_forms() {
    let world = world();
    world.signed_commit("file");
    let colons = stdout(&call(&world, &["--list-secret-keys", "--with-colons"], b""));
    let records: Vec<_> = colons.lines().map(|line| &line[..3]).collect();
    assert_eq!(records, ["sec", "fpr", "uid"], "{colons}");
    let fields: Vec<_> = colons.lines().next().unwrap().split(':').collect();
    let fingerprint = colons.lines().nth(1).unwrap().split(':').nth(9).unwrap();
    assert!(fingerprint.ends_with(fields[4]));
    assert_eq!((fields[3], fields[16]), ("22", "ed25519"));
    for name in ["claude", fingerprint, fields[4]] {
        let output = call(&world, &["-K", name], b"");
        assert_eq!(output.status.code(), Some(0), "{name}");
        assert!(stdout(&output).contains(fingerprint));
    }
    let nobody = call(&world, &["--list-secret-keys", "nobody"], b"");
    assert_eq!(nobody.status.code(), Some(2));
    assert!(stderr(&nobody).contains("No secret key"));
    let public = stdout(&call(&world, &["--list-keys", "--with-colons"], b""));
    assert!(public.starts_with("pub:"), "{public}");
}

#[test]
fn signs_files_in_the_forms_of_common_tools() {
    let world = world();
    world.signed_commit("file");
    let (payload, _) = apart(&world);
    let file = world.home().join("payload");
    fs::write(&file, &payload).unwrap();
    let name = file.to_str().unwrap();
    let output = call(
        &world,
        &[
            "--batch",
            "--yes",
            "--detach-sign",
            "--armor",
            "-u",
            "claude",
            name,
        ],
        b"",
    );
    assert!(output.status.success(), "{}", told(&output));
    let made = world.home().join("payload.asc");
    let verified = call(&world, &["--verify", made.to_str().unwrap()], b"");
    assert!(verified.status.success(), "{}", told(&verified));
    // Binary, on standard output.
    let output = call(&world, &["--status-fd=2", "-bsu", "claude"], &payload);
    assert_eq!(output.stdout[0], 0xc2, "{}", told(&output));
    assert!(stderr(&output).contains("[GNUPG:] SIG_CREATED D 22 8 00 "));
}

#[test]
fn signs_nothing_that_is_no_git_object_and_leaves_no_file() {
    let world = world();
    let file = world.home().join("payload");
    fs::write(&file, b"whatever").unwrap();
    let name = file.to_str().unwrap();
    let output = call(&world, &["--status-fd=2", "-bau", "claude", name], b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(!world.home().join("payload.asc").exists());
    assert!(!stderr(&output).contains("SIG_CREATED"));
}

#[test]
fn what_cannot_be_written_leaves_what_was_there() {
    let world = world();
    world.signed_commit("file");
    let directory = world.home().join("out");
    fs::create_dir(&directory).unwrap();
    let (payload, out) = (directory.join("payload"), directory.join("payload.asc"));
    fs::write(&payload, apart(&world).0).unwrap();
    fs::write(&out, "what was there").unwrap();
    // No file may grow.
    let script = format!(
        "trap '' XFSZ; ulimit -f 0; exec '{}' --status-fd=2 -bau claude '{}'",
        link(&world).display(),
        payload.display()
    );
    let output = world.command("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(!told(&output).contains("SIG_CREATED"), "{}", told(&output));
    assert_eq!(fs::read_to_string(&out).unwrap(), "what was there");
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 2);

    let payload = payload.to_str().unwrap();
    let arguments = ["-bau", "claude", "-o", "/dev/stdout", payload];
    let output = call(&world, &arguments, b"");
    assert!(output.status.success(), "{}", told(&output));
    assert!(stdout(&output).starts_with("-----BEGIN PGP SIGNATURE-----\n"));
}

#[test]
fn a_closed_output_is_no_signature() {
    let world = world();
    world.signed_commit("file");
    let payload = world.home().join("payload");
    fs::write(&payload, apart(&world).0).unwrap();
    let script = format!(
        "'{}' --status-fd=2 -bsau claude < '{}' >&-",
        link(&world).display(),
        payload.display()
    );
    let output = world.command("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(!told(&output).contains("SIG_CREATED"), "{}", told(&output));
}

#[test]
fn without_a_home_the_answer_is_not_that_it_is_unsigned() {
    let world = world();
    world.signed_commit("file");
    let (payload, signature) = apart(&world);
    let arguments = [
        "--status-fd=1",
        "--verify",
        signature.to_str().unwrap(),
        "-",
    ];
    let mut command = world.command(link(&world));
    let command = command.env_remove("HOME").env_remove("NOTME_HOME");
    let output = run(command.args(arguments), &payload);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    let lines = stdout(&output);
    assert!(lines.contains("[GNUPG:] ERRSIG "), "{lines}");
    assert!(lines.contains("[GNUPG:] TRUST_UNDEFINED"), "{lines}");
}

#[test]
fn an_unknown_or_empty_key_is_an_invalid_signer() {
    let world = world();
    world.signed_commit("file");
    let (payload, _) = apart(&world);
    for key in ["nobody", ""] {
        let output = call(&world, &["--status-fd=2", "-bsau", key], &payload);
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        assert!(stderr(&output).contains("[GNUPG:] INV_SGNR 9 "));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn refuses_options_that_it_does_not_know() {
    let world = world();
    for arguments in [
        &["--clear-sign"][..],
        &["--encrypt"],
        &["-bsau"],
        &["--verify"],
        &["--list-keys", "--verify", "x", "-"],
    ] {
        let output = call(&world, arguments, b"");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).starts_with("gpg: "), "{}", told(&output));
    }
    let version = stdout(&call(&world, &["--version"], b""));
    assert!(version.starts_with("gpg (notme) "), "{version}");
}

#[test]
fn verifies_the_binary_form_that_it_writes_and_no_other_formats() {
    let world = world();
    world.signed_commit("file");
    let (payload, _) = apart(&world);
    let file = world.home().join("payload");
    fs::write(&file, &payload).unwrap();
    let name = file.to_str().unwrap();
    let output = call(&world, &["-bu", "claude", name], b"");
    assert!(output.status.success(), "{}", told(&output));
    let made = world.home().join("payload.sig");
    let output = call(
        &world,
        &["--status-fd=1", "--verify", made.to_str().unwrap()],
        b"",
    );
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(stdout(&output).contains("[GNUPG:] GOODSIG "));

    // Another format is not ours to judge, be it good or bad.
    for (name, value) in [("gpg.format", "x509"), ("gpg.x509.program", NOTME)] {
        world.git_ok(&["config", name, value]);
    }
    world.signed_commit("other");
    let raw = world.git_ok(&["cat-file", "commit", "HEAD"]) + "\n";
    let start = raw.find("gpgsig ").unwrap();
    let end = raw.find("-----END SIGNED MESSAGE-----\n").unwrap();
    let end = end + raw[end..].find('\n').unwrap() + 1;
    let cms = world.home().join("cms.asc");
    fs::write(&cms, raw[start + 7..end].replace("\n ", "\n")).unwrap();
    let payload = format!("{}{}", &raw[..start], &raw[end..]);
    let arguments = ["--status-fd=1", "--verify", cms.to_str().unwrap(), "-"];
    let output = call(&world, &arguments, payload.as_bytes());
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(stdout(&output).contains("[GNUPG:] ERRSIG "));
    assert!(!stderr(&output).contains("Good signature"));
}

#[test]
fn of_data_that_is_no_git_object_it_says_neither_good_nor_bad() {
    let world = world();
    world.signed_commit("file");
    let gpg = Gnupg::new();
    gpg.generate("Bob <bob@example.org>", "ed25519", "sign", "never");
    world.trust_person(&gpg, "bob@example.org");
    let file = world.home().join("bob.asc");
    fs::write(&file, gpg.sign("bob@example.org", b"a release")).unwrap();
    let arguments = ["--status-fd=1", "--verify", file.to_str().unwrap(), "-"];
    let output = call(&world, &arguments, b"a release");
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(
        stdout(&output).contains("[GNUPG:] ERRSIG "),
        "{}",
        told(&output)
    );
    assert!(!stdout(&output).contains("BADSIG"), "{}", told(&output));
}

#[test]
fn git_reads_our_verdicts_as_it_reads_gpgs() {
    let [world, stranger] = [(); 2].map(|()| world());
    let mut gpg = Gnupg::new();
    let now = UnixTime::from(SystemTime::now());
    gpg.set_time(now.plus(-10 * 86_400));
    for name in ["bob", "eve", "rita"] {
        gpg.generate(
            &format!("{name} <{name}@x.example>"),
            "ed25519",
            "sign",
            "never",
        );
    }
    gpg.generate("dan <dan@x.example>", "ed25519", "sign", "2d");
    gpg.generate("sha <sha@x.example>", "rsa2048", "sign", "never");
    world.signed_commit("file");
    let (payload, _) = apart(&world);
    let store = |payload: &[u8], signature: Vec<u8>| {
        let signature = String::from_utf8(signature).unwrap();
        world.store(&with_signature(payload, "gpgsig", &signature))
    };
    let signed =
        |gpg: &Gnupg, key: &str| store(&payload, gpg.sign(&format!("{key}@x.example"), &payload));
    let dan = signed(&gpg, "dan");
    let rita = signed(&gpg, "rita");
    let words = ["--no-batch", "--command-fd=0", "--gen-revoke", "rita"];
    let revocation = gpg.ok(&words, b"y\n1\n\ny\n");
    gpg.ok(&["--import"], &revocation);
    let bob = signed(&gpg, "bob");
    let eve = signed(&gpg, "eve");
    let altered = [&payload[..], b"more\n"].concat();
    let bad = store(&altered, gpg.sign("bob@x.example", &payload));
    gpg.configure("digest-algo SHA1\n");
    let weak = signed(&gpg, "sha");
    let keys = world.home().join("keys.asc");
    let names = ["bob", "dan", "rita", "sha"];
    fs::write(
        &keys,
        gpg.ok(&[&["--armor", "--export"][..], &names].concat(), b""),
    )
    .unwrap();
    let keys = keys.to_str().unwrap();
    world.notme_ok(&["trust", "add", "--openpgp", keys, "--name", "team"]);
    stranger.signed_commit("file");
    let foreign = stranger.git(&["cat-file", "commit", "HEAD"]).stdout;
    let foreign = world.store(&foreign);

    for (commit, code, expected) in [
        ("HEAD", 0, "G fully"),
        (&bob, 0, "G fully"),
        (&foreign, 1, "U never"),
        (&dan, 1, "Y never"),
        (&rita, 1, "R never"),
        (&bad, 1, "B never"),
        (&eve, 1, "E undefined"),
        (&weak, 1, "E undefined"),
    ] {
        let said = world.git_ok(&["log", "-1", "--format=%G? %GT", commit]);
        assert_eq!(said, expected, "{commit}");
        let output = world.git(&["verify-commit", commit]);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{expected}: {}",
            told(&output)
        );
    }
}

/// Who signs with such a key is a stranger, so nobody may think that it was taken.
#[test]
fn keys_that_cannot_be_used_are_left_out_aloud() {
    let world = World::new();
    let gpg = Gnupg::new();
    gpg.generate("Bob <bob@example.org>", "ed25519", "sign", "never");
    let left_out = ["short@example.org", "curve@example.org"];
    let fingerprints = [("rsa1024", left_out[0]), ("brainpoolP256r1", left_out[1])]
        .map(|(algorithm, name)| gpg.generate(name, algorithm, "sign", "never"));
    let keys = world.home().join("keys");
    let path = keys.to_str().unwrap();
    let add = ["trust", "add", "--openpgp", path, "--name", "team"];
    fs::write(&keys, gpg.ok(&["--export"], b"")).unwrap();
    let output = world.notme(&add);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(stdout(&output).contains("bob@example.org"));
    for (name, fingerprint) in left_out.iter().zip(&fingerprints) {
        assert!(!stdout(&output).contains(name), "{}", told(&output));
        let said = stderr(&output);
        let line = said
            .lines()
            .find(|line| line.contains(fingerprint))
            .unwrap();
        assert!(line.contains(name) && line.contains("left out"), "{said}");
    }

    world.notme_ok(&["trust", "remove", "team"]);
    fs::write(&keys, gpg.export(left_out[1])).unwrap();
    let output = world.notme(&add);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    let said = stderr(&output);
    assert!(said.contains("P-256, P-384"), "{said}");
    assert!(said.contains("hint: algorithm-unsupported: "), "{said}");
}
