//! An authority whose keys are in a PKCS#11 token: SoftHSM, with pkcs11-tool as a stranger that
//! looks into it.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::Duration,
};

use notme_core::{
    key::Hash,
    timestamp::{
        MessageImprint, RejectionReason, TimeStampError, TimeStampRequest, TimeStampToken,
    },
};
use notme_testkit::{oracle::oracle, repository::run};
use serde_json::Value;

use crate::{
    strangers::Detached,
    world::{Served, World, free_port, told},
};

/// What nobody may find anywhere else.
const PIN: &str = "pin-of-7919";
const LABEL: &str = "keys of the test";
/// Where the package puts it.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// An operator with a token.
struct Hsm {
    world: World,
    directory: PathBuf,
    module: String,
}

impl Hsm {
    fn new() -> Self {
        let mut world = World::new();
        let home = world.home().join("softhsm");
        fs::create_dir_all(home.join("tokens")).unwrap();
        let configuration = home.join("softhsm2.conf");
        let tokens = home.join("tokens");
        let text = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            tokens.display()
        );
        fs::write(&configuration, text).unwrap();
        world.set_env("SOFTHSM2_CONF", &configuration);
        let hsm = Self {
            directory: world.home().join("authority"),
            world,
            module: MODULE.to_owned(),
        };
        fs::write(hsm.pin_file(), format!("{PIN}\n")).unwrap();
        hsm.add_token(LABEL);
        hsm
    }

    /// Puts a module before that of the token, which makes faults.
    fn with_faults() -> Self {
        let mut hsm = Self::new();
        let home = hsm.world.home();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/custody/module.c");
        let module = home.join("module.so");
        let mut cc = Command::new(oracle("cc"));
        cc.args(["-shared", "-fPIC", "-o"]).arg(&module).arg(source);
        let output = run(cc.arg("-ldl"), b"");
        assert!(output.status.success(), "{}", told(&output));
        hsm.module = module.to_str().unwrap().to_owned();
        hsm.world.set_env("BEHIND", MODULE);
        hsm.world.set_env("FAULTS", home.join("faults"));
        hsm.world.set_env("LOGINS", home.join("logins"));
        hsm
    }

    fn make_fault(&self, name: &str) {
        fs::write(self.world.home().join("faults"), name).unwrap();
    }

    /// How often somebody logged in.
    fn logins(&self) -> usize {
        fs::read(self.world.home().join("logins")).map_or(0, |marks| marks.len())
    }

    fn add_token(&self, label: &str) {
        let arguments = [
            "--init-token",
            "--free",
            "--label",
            label,
            "--so-pin",
            "87654321",
        ];
        let mut command = self.world.command(oracle("softhsm2-util"));
        let output = run(command.args(arguments).args(["--pin", PIN]), b"");
        assert!(output.status.success(), "{}", told(&output));
    }

    fn tokens(&self) -> PathBuf {
        self.world.home().join("softhsm/tokens")
    }

    fn pin_file(&self) -> PathBuf {
        self.world.home().join("pin")
    }

    /// What names the token and opens it.
    fn options(&self) -> Vec<String> {
        let pin = self.pin_file().to_str().unwrap().to_owned();
        let options = ["--pkcs11-module", &self.module, "--pkcs11-token", LABEL];
        let options = [&options[..], &["--pkcs11-pin-file", &pin]].concat();
        options.into_iter().map(str::to_owned).collect()
    }

    /// Runs a subcommand of `notme authority` on the directory, without the token.
    fn plain(&self, arguments: &[&str]) -> Output {
        let place = ["--dir", self.directory.to_str().unwrap()];
        self.world
            .notme(&[&["authority"], arguments, &place[..]].concat())
    }

    /// The same, with the token.
    fn ask(&self, arguments: &[&str]) -> Output {
        let options = self.options();
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        self.plain(&[arguments, &options].concat())
    }

    fn ask_ok(&self, arguments: &[&str]) -> String {
        let output = self.ask(arguments);
        assert!(output.status.success(), "{}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// It is refused with this code; the PIN is not told.
    fn refused(&self, arguments: &[&str], code: &str) {
        let output = self.ask(arguments);
        let said = told(&output);
        assert!(!output.status.success(), "{said}");
        assert!(said.contains(&format!("hint: {code}: ")), "{code}: {said}");
        assert!(!said.contains(PIN), "{said}");
    }

    fn status(&self) -> Value {
        let output = self.plain(&["status", "--json"]);
        assert!(output.status.success(), "{}", told(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn serve(&self, arguments: &[&str]) -> Served {
        let options = self.options();
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        let place = ["--dir", self.directory.to_str().unwrap()];
        Served::start(&self.world, &[&place[..], &options, arguments].concat())
    }

    /// Somebody elsewhere, enrolled.
    fn agent(&self, url: &str, more: &[&str]) -> World {
        let agent = World::new();
        let create = [
            "enrol",
            "create",
            "--agent",
            "claude",
            "--principal",
            "alice",
        ];
        let file = agent.home().join("token");
        fs::write(&file, self.plain(&create).stdout).unwrap();
        let status = self.status();
        let pin = &status["authority"]["roots"][0]["spki_sha256"];
        let known = ["init", "--agent", "claude", "--authority", url, "--pin"];
        let token = ["--token-file", file.to_str().unwrap()];
        agent.notme_ok(&[&known[..], &[pin.as_str().unwrap()], &token, more].concat());
        agent
    }

    fn pkcs11_tool(&self, arguments: &[&str]) -> String {
        let mut command: Command = self.world.command(oracle("pkcs11-tool"));
        command.args(["--module", MODULE, "--token-label", LABEL, "--login"]);
        let output = run(command.args(["--pin", PIN]).args(arguments), b"");
        assert!(output.status.success(), "{}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The private keys that a stranger sees: label, id and what the token says of them.
    fn private_keys(&self) -> Vec<(String, String, String)> {
        let listed = self.pkcs11_tool(&["--list-objects", "--type", "privkey"]);
        let field = |object: &str, name: &str| {
            let mut lines = object.lines().map(str::trim);
            let value = lines.find_map(|line| line.strip_prefix(name));
            value
                .unwrap_or_else(|| panic!("{name}: {object}"))
                .trim()
                .to_owned()
        };
        let objects = listed.split("Private Key Object").skip(1);
        let mut keys: Vec<_> = objects
            .map(|it| (field(it, "label:"), field(it, "ID:"), field(it, "Access:")))
            .collect();
        keys.sort();
        keys
    }

    fn labels(&self) -> Vec<String> {
        self.private_keys().into_iter().map(|key| key.0).collect()
    }

    /// Waits until the second is over in which keys were made or taken into use.
    fn next_second(&self) {
        thread::sleep(Duration::from_millis(1_100));
    }
}

/// The labels of the keys of an epoch.
fn labels(epoch: &str) -> Vec<String> {
    ["ed25519", "interop", "openpgp", "ssh", "tsa"]
        .map(|role| format!("notme example.com {role}{epoch}"))
        .to_vec()
}

/// Returns status and body.
fn get(address: &str, path: &str) -> (u16, String) {
    let (head, body) = ask(address, path);
    (head[9..12].parse().unwrap(), body)
}

/// Returns head and body.
fn ask(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

const INIT: [&str; 3] = ["init", "--trust-domain", "example.com"];

#[test]
fn keys_are_made_in_the_token_and_cannot_leave_it() {
    let hsm = Hsm::new();
    let said = hsm.ask_ok(&INIT);
    assert!(said.contains("keys          in a PKCS#11 token"), "{said}");
    assert_eq!(hsm.status()["authority"]["sealing"], "pkcs11");
    let keys = hsm.private_keys();
    assert_eq!(keys.len(), 5, "{keys:?}");
    for (_, _, access) in &keys {
        let all = "sensitive, always sensitive, never extractable, local";
        assert_eq!(access, all, "{keys:?}");
    }
    assert_eq!(hsm.labels(), labels(""));
    // Here are their names and nothing else: neither a key that would open them, nor the PIN.
    assert!(!hsm.directory.join("kek").exists());
    for file in files(&hsm.directory) {
        let content = fs::read(&file).unwrap();
        let has_pin = content.windows(PIN.len()).any(|it| it == PIN.as_bytes());
        assert!(!has_pin, "{}", file.display());
    }
    // Opened again, they are the same.
    let again = hsm.ask_ok(&INIT);
    assert_eq!(again, said);
    assert_eq!(hsm.private_keys(), keys);
}

#[test]
fn an_authority_on_a_token_enrols_certifies_stamps_and_rotates() {
    let hsm = Hsm::new();
    hsm.ask_ok(&INIT);
    let address = format!("127.0.0.1:{}", free_port());
    let url = format!("http://{address}");
    let serve = ["--url", url.as_str(), "--listen", address.as_str()];
    let served = hsm.serve(&serve);
    let agent = hsm.agent(&url, &["--timestamp=required"]);
    let before = agent.signed_commit("before");
    assert_eq!(agent.code(&before, &[]), "accepted");

    // The process ends and another takes up the same keys.
    drop(served);
    let served = hsm.serve(&serve);
    let after = agent.signed_commit("after");
    assert_eq!(agent.code(&after, &[]), "accepted");

    // New keys, while it serves.
    hsm.next_second();
    hsm.ask_ok(&["rotate", "--prepare"]);
    assert_eq!(hsm.labels().len(), 10);
    hsm.next_second();
    hsm.ask_ok(&["rotate", "--activate"]);
    let rotated = agent.signed_commit("rotated");
    agent.notme_ok(&["trust", "refresh"]);
    for commit in [&before, &after, &rotated] {
        assert_eq!(agent.code(commit, &[]), "accepted");
    }
    let (_, report) = agent.verdicts(&[&rotated]);
    let kid = &report["objects"][0]["authority"];
    assert_eq!(
        *kid,
        hsm.status()["authority"]["roots"][0]["kid"],
        "{report}"
    );
    // Certificates of the old ones live: they stay.
    let early = hsm.ask(&["rotate", "--retire"]);
    assert_eq!(early.status.code(), Some(1), "{}", told(&early));
    assert_eq!(hsm.labels().len(), 10);
    drop(served);
}

#[test]
fn strangers_take_what_a_token_certified() {
    let hsm = Hsm::new();
    hsm.ask_ok(&INIT);
    let address = format!("127.0.0.1:{}", free_port());
    let url = format!("http://{address}");
    let _served = hsm.serve(&["--url", &url, "--listen", &address]);
    let roots = String::from_utf8(hsm.plain(&["bundle"]).stdout).unwrap();
    for (profile, stranger) in [("modern", "certtool"), ("interop", "openssl")] {
        let agent = hsm.agent(&url, &["--profile", profile]);
        Detached::signed_by(agent, &roots).is_good_to(stranger);
    }
    let agent = hsm.agent(&url, &["--format", "ssh"]);
    agent.signed_commit("a");
    let allowed = agent.home().join("allowed_signers");
    let lines = agent.notme_ok(&["trust", "export", "--allowed-signers"]);
    fs::write(&allowed, lines).unwrap();
    let program = format!("gpg.ssh.program={}", oracle("ssh-keygen").display());
    let allowed = format!("gpg.ssh.allowedSignersFile={}", allowed.display());
    agent.git_ok(&["-c", &program, "-c", &allowed, "verify-commit", "HEAD"]);
}

#[test]
fn many_signatures_at_a_time_are_all_good() {
    let hsm = Hsm::new();
    hsm.ask_ok(&INIT);
    let served = hsm.serve(&["--listen", "127.0.0.1:0"]);
    let address = served.url.strip_prefix("http://").unwrap();
    let home = hsm.world.home();
    let [query, roots, reply] = ["query", "roots.pem", "reply"].map(|it| home.join(it));
    fs::write(&roots, hsm.plain(&["bundle"]).stdout).unwrap();
    let openssl = |arguments: &[&str]| {
        let mut command = hsm.world.command(oracle("openssl"));
        // The files are here.
        command.current_dir(&home).arg("ts").args(arguments);
        let output = run(&mut command, b"");
        assert!(output.status.success(), "{}", told(&output));
    };
    openssl(&[
        "-query",
        "-sha256",
        "-cert",
        "-data",
        "roots.pem",
        "-out",
        "query",
    ]);
    let asked = fs::read(&query).unwrap();
    let stamp = || {
        let mut stream = TcpStream::connect(address).unwrap();
        let length = asked.len();
        write!(
            stream,
            "POST /tsa HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/timestamp-query\r\ncontent-length: {length}\r\n\r\n"
        )
        .unwrap();
        stream.write_all(&asked).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        answer.split_off(end + 4)
    };
    let replies: Vec<_> = thread::scope(|scope| {
        let callers: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| [stamp(), stamp(), stamp()]))
            .collect();
        let replies = callers.into_iter().map(|caller| caller.join().unwrap());
        replies.flatten().collect()
    });
    for answer in &replies {
        fs::write(&reply, answer).unwrap();
        let verify = ["-verify", "-in", "reply", "-queryfile", "query"];
        openssl(&[&verify[..], &["-CAfile", "roots.pem"]].concat());
    }
    assert_eq!(replies.len(), 48);
}

#[test]
fn a_backup_has_no_keys_and_is_restored_beside_the_token() {
    let mut hsm = Hsm::new();
    hsm.ask_ok(&INIT);
    let pins = hsm.status()["authority"]["roots"].clone();
    let file = hsm.world.home().join("backup");
    let name = file.to_str().unwrap();
    assert!(hsm.plain(&["backup", name]).status.success());
    hsm.directory = hsm.world.home().join("elsewhere");
    let restore = ["restore", name, "--force"];
    let output = hsm.plain(&restore);
    assert!(
        told(&output).contains("pkcs11-token-not-named"),
        "{}",
        told(&output)
    );
    hsm.ask_ok(&restore);
    assert_eq!(hsm.status()["authority"]["roots"], pins);
}

#[test]
fn a_backup_from_before_a_retirement_is_restored_and_what_is_gone_is_told() {
    let mut hsm = Hsm::new();
    hsm.ask_ok(&INIT);
    drop(hsm.serve(&["--listen", "127.0.0.1:0"]));
    hsm.next_second();
    hsm.ask_ok(&["rotate"]);
    let file = hsm.world.home().join("backup");
    let name = file.to_str().unwrap();
    assert!(hsm.plain(&["backup", name]).status.success());
    hsm.ask_ok(&["rotate", "--retire"]);
    let pins = hsm.status()["authority"]["roots"].clone();
    hsm.directory = hsm.world.home().join("elsewhere");
    let said = hsm.ask_ok(&["restore", name, "--force"]);
    let told = "epoch 1 is without keys: the token does not have them any more; \
                `notme authority rotate --retire` forgets their names";
    assert!(said.lines().any(|line| line == told), "{said}");
    assert_eq!(hsm.status()["authority"]["roots"], pins);
    assert_eq!(hsm.labels(), labels("/2"));
    let rows = String::from_utf8(hsm.plain(&["audit", "export"]).stdout).unwrap();
    let last: Value = serde_json::from_str(rows.lines().last().unwrap()).unwrap();
    assert_eq!(last["act"], "restore");
    let about = last["about"].as_str().unwrap();
    assert!(about.ends_with("; without the keys of epoch 1"), "{about}");

    let served = hsm.serve(&["--listen", "127.0.0.1:0"]);
    let address = served.url.strip_prefix("http://").unwrap();
    assert_eq!(get(address, "/v1/trust.json").0, 200);
    drop(served);
    // Their names are kept until somebody says so: the token may have been another.
    assert_eq!(hsm.status()["authority"]["epochs"][0]["destroyed"], false);
    hsm.ask_ok(&["rotate", "--retire"]);
    assert_eq!(hsm.status()["authority"]["epochs"][0]["destroyed"], true);
}

#[test]
fn a_backup_from_before_all_keys_left_the_token_takes_any_token() {
    let hsm = Hsm::new();
    hsm.ask_ok(&INIT);
    hsm.next_second();
    hsm.ask_ok(&["rotate", "--custody", "sealed"]);
    let file = hsm.world.home().join("backup");
    let name = file.to_str().unwrap();
    assert!(hsm.plain(&["backup", name]).status.success());
    let pins = hsm.status()["authority"]["roots"].clone();
    fs::remove_dir_all(hsm.tokens()).unwrap();
    fs::create_dir(hsm.tokens()).unwrap();
    hsm.add_token(LABEL);
    fs::remove_file(hsm.directory.join("store.sqlite")).unwrap();
    let custody = ["--custody", "sealed"];
    let said = hsm.ask_ok(&[&["restore", name, "--force"], &custody[..]].concat());
    assert!(said.contains("epoch 1 is without keys"), "{said}");
    // And nobody needs it any more.
    assert!(hsm.plain(&INIT).status.success());
    assert_eq!(hsm.status()["authority"]["roots"], pins);
}

#[test]
fn a_backup_whose_keys_in_use_are_gone_is_not_restored() {
    let mut hsm = Hsm::new();
    hsm.ask_ok(&INIT);
    let file = hsm.world.home().join("backup");
    let name = file.to_str().unwrap();
    assert!(hsm.plain(&["backup", name]).status.success());
    hsm.next_second();
    hsm.ask_ok(&["rotate", "--prepare"]);
    let prepared = hsm.world.home().join("prepared");
    let prepared = prepared.to_str().unwrap();
    assert!(hsm.plain(&["backup", prepared]).status.success());
    hsm.next_second();
    hsm.ask_ok(&["rotate", "--activate"]);
    hsm.ask_ok(&["rotate", "--retire"]);
    hsm.directory = hsm.world.home().join("elsewhere");
    for name in [name, prepared] {
        hsm.refused(&["restore", name, "--force"], "pkcs11-key-missing");
        assert!(!hsm.directory.join("store.sqlite").exists());
    }
}

#[test]
fn each_start_in_memory_is_another_authority_and_writes_nothing() {
    let world = World::new();
    let mut roots = Vec::new();
    for _ in 0..2 {
        let served = Served::start(&world, &["--ephemeral", "--listen", "127.0.0.1:0"]);
        let address = served.url.strip_prefix("http://").unwrap();
        let (status, root) = get(address, "/v1/ca-bundle.pem");
        assert_eq!(status, 200);
        roots.push(root);
    }
    assert_ne!(roots[0], roots[1]);
    assert!(!world.notme_home().join("data/authority").exists());
}

#[test]
fn what_retires_is_destroyed_in_the_token() {
    let hsm = Hsm::new();
    hsm.ask_ok(&INIT);
    hsm.next_second();
    hsm.ask_ok(&["rotate", "--prepare"]);
    let again = hsm.ask(&["rotate", "--prepare"]);
    assert_eq!(again.status.code(), Some(1), "{}", told(&again));
    assert_eq!(hsm.labels(), [labels(""), labels("/2")].concat().sorted());
    hsm.next_second();
    hsm.ask_ok(&["rotate", "--activate"]);
    let said = hsm.ask_ok(&["rotate", "--retire"]);
    assert!(said.contains("its keys are destroyed"), "{said}");
    assert_eq!(hsm.labels(), labels("/2"));
    // Their public halves, too.
    let public = hsm.pkcs11_tool(&["--list-objects", "--type", "pubkey"]);
    assert_eq!(public.matches("Public Key Object").count(), 5, "{public}");
    let again = hsm.ask(&["rotate", "--retire"]);
    assert_eq!(again.status.code(), Some(1), "{}", told(&again));
}

#[test]
fn a_retirement_that_is_killed_half_way_stops_nobody_and_is_finished_by_the_next() {
    let hsm = Hsm::with_faults();
    hsm.ask_ok(&INIT);
    hsm.next_second();
    hsm.ask_ok(&["rotate"]);
    let listen = ["--listen", "127.0.0.1:0"];
    let publishes = |served: &Served, name: &str| {
        let identity = format!("wimse://example.com/alice/agents/{name}");
        let output = hsm.plain(&["revoke", "identity", &identity]);
        assert!(output.status.success(), "{}", told(&output));
        let address = served.url.strip_prefix("http://").unwrap();
        let (status, body) = get(address, "/v1/trust.json");
        assert_eq!(status, 200, "{body}");
        assert_eq!(get(address, "/readyz").0, 200);
    };
    let served = hsm.serve(&listen);
    publishes(&served, "before");
    hsm.make_fault("die");
    let killed = hsm.ask(&["rotate", "--retire"]);
    assert_eq!(killed.status.signal(), Some(9), "{}", told(&killed));
    hsm.make_fault("");
    assert_eq!(hsm.labels().len(), 9);
    publishes(&served, "after");
    drop(served);
    publishes(&hsm.serve(&listen), "another");
    let status = hsm.plain(&["status"]);
    let leaving = "its keys are on their way out: `notme authority rotate --retire` goes on";
    assert!(told(&status).contains(leaving), "{}", told(&status));
    let said = hsm.ask_ok(&["rotate", "--retire"]);
    assert!(said.contains("its keys are destroyed"), "{said}");
    assert_eq!(hsm.labels(), labels("/2"));
    let again = hsm.ask(&["rotate", "--retire"]);
    assert_eq!(again.status.code(), Some(1), "{}", told(&again));
    let rows = String::from_utf8(hsm.plain(&["audit", "export"]).stdout).unwrap();
    assert_eq!(rows.matches("\"rotate-retire\"").count(), 2, "{rows}");
}

/// `sort`, as an expression.
trait Sorted {
    fn sorted(self) -> Self;
}

impl Sorted for Vec<String> {
    fn sorted(mut self) -> Self {
        self.sort();
        self
    }
}

#[test]
fn a_wrong_pin_makes_nothing_and_is_told_once() {
    let hsm = Hsm::new();
    fs::write(hsm.pin_file(), "another pin").unwrap();
    hsm.refused(&INIT, "pkcs11-pin-wrong");
    let status = hsm.plain(&["status"]);
    assert!(
        told(&status).contains("no authority here yet"),
        "{}",
        told(&status)
    );
    fs::write(hsm.pin_file(), PIN).unwrap();
    assert_eq!(hsm.labels(), Vec::<String>::new());
    hsm.ask_ok(&INIT);
    fs::write(hsm.pin_file(), "another pin").unwrap();
    hsm.refused(&["rotate"], "pkcs11-pin-wrong");
    assert_eq!(hsm.status()["authority"]["epoch"], 1);
    let listen = ["serve", "--listen", "127.0.0.1:0"];
    hsm.refused(&listen, "pkcs11-pin-wrong");
    // What is in effect is told, and not the PIN.
    fs::write(hsm.pin_file(), PIN).unwrap();
    let shown = hsm.ask_ok(&[&listen[..], &["--check"]].concat());
    assert!(shown.contains("pkcs11-pin-file = "), "{shown}");
    assert!(!shown.contains(PIN), "{shown}");
}

#[test]
fn a_token_that_cannot_be_told_or_found_is_refused() {
    let mut hsm = Hsm::new();
    hsm.ask_ok(&INIT);
    let listen = ["serve", "--listen", "127.0.0.1:0"];
    // Keys of a token, and nobody says which.
    let output = hsm.plain(&listen);
    assert!(
        told(&output).contains("pkcs11-token-not-named"),
        "{}",
        told(&output)
    );
    assert!(!hsm.directory.join("kek").exists());
    // Two of one name; the serial number tells them apart.
    hsm.add_token(LABEL);
    hsm.refused(&listen, "pkcs11-token-ambiguous");
    fs::rename(hsm.tokens(), hsm.world.home().join("gone")).unwrap();
    fs::create_dir(hsm.tokens()).unwrap();
    hsm.refused(&listen, "pkcs11-token-missing");
    // Another token of that name has not our keys.
    hsm.add_token(LABEL);
    hsm.refused(&listen, "pkcs11-key-missing");
    hsm.module = "/nonexistent.so".to_owned();
    hsm.refused(&listen, "pkcs11-module-unusable");
    for (options, rule) in [
        (&["--pkcs11-token", "a"][..], "takes a `pkcs11-module`"),
        (&["--custody", "pkcs11"], "takes a `pkcs11-module`"),
        (
            &["--pkcs11-module", "a", "--pkcs11-token", "a"],
            "and `pkcs11-pin-file`",
        ),
        (
            &["--pkcs11-module", "a", "--pkcs11-pin-file", "a"],
            "takes `pkcs11-token`",
        ),
        (
            &[
                "--pkcs11-pin-file",
                "-",
                "--passphrase-file",
                "-",
                "--pkcs11-module",
                "a",
            ],
            "one secret",
        ),
    ] {
        let output = hsm.plain(&[&listen[..], options].concat());
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        assert!(told(&output).contains(rule), "{}", told(&output));
    }
}

#[test]
fn another_key_in_the_place_of_one_is_noticed() {
    let hsm = Hsm::new();
    hsm.ask_ok(&INIT);
    let keys = hsm.private_keys();
    let (_, id, _) = keys.iter().find(|key| key.0.ends_with("ssh")).unwrap();
    for kind in ["privkey", "pubkey"] {
        hsm.pkcs11_tool(&["--delete-object", "--type", kind, "--id", id]);
    }
    hsm.refused(&["serve", "--listen", "127.0.0.1:0"], "pkcs11-key-missing");
    let make = ["--keypairgen", "--key-type", "EC:edwards25519", "--id", id];
    hsm.pkcs11_tool(&make);
    hsm.refused(&["serve", "--listen", "127.0.0.1:0"], "pkcs11-key-mismatch");
}

#[test]
fn while_the_token_is_away_nothing_is_signed_and_afterwards_it_is() {
    let hsm = Hsm::new();
    hsm.ask_ok(&INIT);
    let served = hsm.serve(&["--listen", "127.0.0.1:0"]);
    let address = served.url.strip_prefix("http://").unwrap().to_owned();
    assert_eq!(get(&address, "/v1/trust.json").0, 200);
    assert_eq!(get(&address, "/readyz").0, 200);
    let aside = hsm.world.home().join("aside");
    fs::rename(hsm.tokens(), &aside).unwrap();
    // A revocation has to be published, which takes a signature.
    let revoke = [
        "revoke",
        "identity",
        "wimse://example.com/alice/agents/claude",
    ];
    let output = hsm.plain(&revoke);
    assert!(output.status.success(), "{}", told(&output));
    let (status, body) = get(&address, "/v1/trust.json");
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("\"error\":\"keys-unavailable\""), "{body}");
    assert_eq!(get(&address, "/readyz").0, 503);
    fs::rename(&aside, hsm.tokens()).unwrap();
    let is_back = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(100));
        get(&address, "/v1/trust.json").0 == 200 && get(&address, "/readyz").0 == 200
    });
    assert!(is_back);
}

#[test]
fn no_attempt_at_a_pin_is_made_that_could_lock_it() {
    let hsm = Hsm::with_faults();
    hsm.make_fault("last-try");
    hsm.refused(&INIT, "pkcs11-pin-last-try");
    hsm.make_fault("locked");
    hsm.refused(&INIT, "pkcs11-pin-locked");
    assert_eq!(hsm.logins(), 0);
    hsm.make_fault("");
    hsm.ask_ok(&INIT);
    assert_eq!(hsm.logins(), 1);
}

#[test]
fn a_token_that_cannot_do_it_gets_no_keys() {
    let hsm = Hsm::with_faults();
    for (fault, code) in [
        ("no-eddsa", "pkcs11-mechanism-missing"),
        ("extractable", "pkcs11-key-extractable"),
    ] {
        hsm.make_fault(fault);
        hsm.refused(&INIT, code);
        assert_eq!(hsm.labels(), Vec::<String>::new(), "{fault}");
    }
}

#[test]
fn of_keys_of_which_one_fails_none_is_left() {
    let hsm = Hsm::with_faults();
    hsm.make_fault("no-tsa");
    hsm.refused(&INIT, "pkcs11-failed");
    assert_eq!(hsm.labels(), Vec::<String>::new());
}

#[test]
fn keys_that_cannot_be_destroyed_again_are_named() {
    let hsm = Hsm::with_faults();
    hsm.make_fault("no-tsa no-destroy");
    let output = hsm.ask(&INIT);
    let said = told(&output);
    assert!(said.contains("hint: pkcs11-keys-left: "), "{said}");
    let left = ["ed25519", "interop", "ssh", "openpgp"];
    let left = left.map(|role| format!("`notme example.com {role}`"));
    let told = format!(
        "the token has keys still that were made for this: {}",
        left.join(", ")
    );
    assert!(said.contains(&told), "{said}");
    assert!(said.contains("could not make a key in the token"), "{said}");
    assert_eq!(hsm.labels().len(), 4);
}

#[test]
fn a_token_that_hangs_is_told_and_nobody_waits_for_it_without_end() {
    let hsm = Hsm::with_faults();
    hsm.ask_ok(&INIT);
    let monitor = format!("127.0.0.1:{}", free_port());
    let mut served = hsm.serve(&["--listen", "127.0.0.1:0", "--monitor", &monitor]);
    let address = served.url.strip_prefix("http://").unwrap().to_owned();
    let usable = || {
        let (_, text) = get(&monitor, "/metrics");
        let value = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap()
                .to_owned()
        };
        [value("notme_keys_usable "), value("notme_ready ")]
    };
    assert_eq!(usable(), ["1", "1"]);
    let revoke = |name: &str| {
        let identity = format!("wimse://example.com/alice/agents/{name}");
        let output = hsm.plain(&["revoke", "identity", &identity]);
        assert!(output.status.success(), "{}", told(&output));
    };
    hsm.make_fault("hang");
    revoke("a");
    // More than there are sessions and threads.
    let answers: Vec<_> = thread::scope(|scope| {
        let callers: Vec<_> = (0..24)
            .map(|_| scope.spawn(|| ask(&address, "/v1/trust.json")))
            .collect();
        callers.into_iter().map(|it| it.join().unwrap()).collect()
    });
    for (head, body) in &answers {
        assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
        assert!(head.contains("\r\nretry-after: 1"), "{head}");
        assert!(body.contains("\"error\":\"keys-unavailable\""), "{body}");
    }
    let (head, body) = ask(&address, "/internal/ca-bundle");
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.contains("\r\nretry-after: 1"), "{head}");
    assert_eq!(body, "{\"error\":\"authority unavailable\"}");
    // What takes no signature is served.
    assert_eq!(get(&address, "/v1/ca-bundle.pem").0, 200);
    assert_eq!(get(&address, "/healthz").0, 200);
    assert_eq!(get(&address, "/readyz").0, 503);
    assert_eq!(usable(), ["0", "0"]);
    hsm.refused(&["rotate"], "pkcs11-silent");
    hsm.make_fault("");
    let is_back = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(100));
        get(&address, "/v1/trust.json").0 == 200 && get(&address, "/readyz").0 == 200
    });
    assert!(is_back);
    assert_eq!(usable(), ["1", "1"]);
    // It ends when it is told to, too.
    hsm.make_fault("hang");
    revoke("b");
    assert_eq!(get(&address, "/v1/trust.json").0, 503);
    assert!(served.terminate().success());
}

#[test]
fn a_session_that_is_lost_is_replaced_and_a_changed_pin_is_tried_once() {
    let hsm = Hsm::with_faults();
    hsm.ask_ok(&INIT);
    let served = hsm.serve(&["--listen", "127.0.0.1:0"]);
    let address = served.url.strip_prefix("http://").unwrap().to_owned();
    let logins = hsm.logins();
    let publish = |name: &str| {
        let identity = format!("wimse://example.com/alice/agents/{name}");
        let output = hsm.plain(&["revoke", "identity", &identity]);
        assert!(output.status.success(), "{}", told(&output));
        get(&address, "/v1/trust.json").0
    };
    hsm.make_fault("lost");
    assert_eq!(publish("a"), 200);
    assert_eq!(hsm.logins(), logins + 1);
    hsm.pkcs11_tool(&["--change-pin", "--new-pin", "another pin"]);
    hsm.next_second();
    hsm.make_fault("lost");
    assert_eq!(publish("b"), 503);
    for _ in 0..3 {
        hsm.next_second();
        assert_eq!(get(&address, "/v1/trust.json").0, 503);
    }
    assert_eq!(hsm.logins(), logins + 2);
}

#[test]
fn keys_move_into_a_token_by_a_rotation_and_out_of_it() {
    let hsm = Hsm::new();
    assert!(hsm.plain(&INIT).status.success());
    assert_eq!(hsm.status()["authority"]["sealing"], "local-file");
    hsm.next_second();
    hsm.ask_ok(&["rotate"]);
    let status = hsm.status();
    assert_eq!(status["authority"]["sealing"], "pkcs11");
    assert_eq!(status["authority"]["epochs"][0]["sealing"], "local-file");
    hsm.ask_ok(&["rotate", "--retire"]);
    assert_eq!(
        hsm.status()["authority"]["epochs"][0]["sealing"],
        Value::Null
    );
    // What sealed the old ones is not needed any more.
    fs::remove_file(hsm.directory.join("kek")).unwrap();
    hsm.ask_ok(&INIT);
    assert!(!hsm.directory.join("kek").exists());
    hsm.next_second();
    hsm.ask_ok(&["rotate", "--custody", "sealed"]);
    hsm.ask_ok(&["rotate", "--custody", "sealed", "--retire"]);
    assert_eq!(hsm.status()["authority"]["sealing"], "local-file");
    assert_eq!(hsm.labels(), Vec::<String>::new());
    assert!(hsm.plain(&INIT).status.success());
}

#[test]
fn a_time_stamp_that_cannot_be_signed_now_is_asked_for_again() {
    let hsm = Hsm::new();
    hsm.ask_ok(&INIT);
    let served = hsm.serve(&["--listen", "127.0.0.1:0"]);
    let address = served.url.strip_prefix("http://").unwrap();
    let request = TimeStampRequest::new(MessageImprint::of(Hash::Sha256, b"a"), &[1; 16]);
    let request = request.to_der();
    let ask = || {
        let mut stream = TcpStream::connect(address).unwrap();
        let head = "POST /tsa HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/timestamp-query\r\n";
        write!(stream, "{head}content-length: {}\r\n\r\n", request.len()).unwrap();
        stream.write_all(&request).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        (head, answer.split_off(end + 4))
    };
    let is_stamped = |reply: &[u8]| match TimeStampToken::from_reply(reply, None) {
        Ok(_) => true,
        Err(TimeStampError::Refused(refused)) => {
            assert_eq!(refused.reason, Some(RejectionReason::SystemFailure));
            false
        }
        Err(error) => panic!("{error}"),
    };
    let (head, reply) = ask();
    assert!(
        head.starts_with("HTTP/1.1 200") && is_stamped(&reply),
        "{head}"
    );
    let aside = hsm.world.home().join("aside");
    fs::rename(hsm.tokens(), &aside).unwrap();
    let (head, reply) = ask();
    assert!(
        head.starts_with("HTTP/1.1 503") && head.contains("retry-after: 1"),
        "{head}"
    );
    assert!(
        head.contains("content-type: application/timestamp-reply"),
        "{head}"
    );
    assert!(!is_stamped(&reply));
    fs::rename(&aside, hsm.tokens()).unwrap();
    let is_back = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(100));
        is_stamped(&ask().1)
    });
    assert!(is_back);
}
