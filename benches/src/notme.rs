//! Our own program, built and set up as a user would.

use std::{
    env, fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use notme_core::{certificate::Certificate, hex, trust::TrustDocument};
use notme_testkit::{cast::TestAuthority, commit::CommitSpec, repository::Repository};

use crate::{
    peers::{Gpg, SshKeygen},
    timing::time,
};

/// The id of the empty tree, which every repository has.
pub(crate) const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// The program, in a world where `notme init` ran.
pub(crate) struct Notme {
    program: PathBuf,
    /// What git would run.
    stand_in: String,
    signing_key: String,
}

/// Builds the program as it is to be installed, so that nothing old is measured, and returns
/// where it is.
pub(crate) fn program() -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build
        .args([
            "run",
            "--quiet",
            "--locked",
            "--package",
            "notme-xtask",
            "--",
            "dist",
        ])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let status = build.status().expect("cargo can be run");
    assert!(status.success(), "notme does not build");
    let here = env::current_exe().expect("a running program has a path");
    let target = here.parent().and_then(Path::parent);
    target
        .expect("this program is in `release`")
        .join("dist/notme")
}

impl Notme {
    /// Runs `notme init` and lets the authority and the key agent come up.
    pub(crate) fn set_up(world: &mut Repository, options: &[&str]) -> Self {
        let program = program();
        world.set_env("NOTME_HOME", world.home().join("notme"));
        let mut init = world.command(&program);
        time(init.arg("init").args(options), b"").assert_success("notme init");
        let format = world.git_ok(&["config", "gpg.format"]);
        Self {
            program,
            stand_in: world.git_ok(&["config", &format!("gpg.{format}.program")]),
            signing_key: world.git_ok(&["config", "user.signingkey"]),
        }
    }

    /// Enrols with an authority on a TCP port and then ends that authority, so that the cached
    /// session certificate is all there is. (The embedded one would be started again.)
    pub(crate) fn set_up_offline(world: &mut Repository) -> Self {
        let program = program();
        world.set_env("NOTME_HOME", world.home().join("notme"));
        let key = world.home().join("authority.key");
        fs::write(&key, [0x5a; 32]).expect("the home directory is writable");
        let place = world.home().join("authority");
        let authority = |arguments: &[&str]| {
            let mut command = world.command(&program);
            command
                .arg("authority")
                .args(arguments)
                .arg("--dir")
                .arg(&place);
            command
        };
        let sealed = |arguments: &[&str]| {
            let mut command = authority(arguments);
            command.arg("--key-file").arg(&key);
            command
        };
        let done = |mut command: Command, what: &str| {
            let done = time(&mut command, b"");
            done.assert_success(what);
            String::from_utf8(done.stdout).expect("notme prints UTF-8")
        };

        done(
            sealed(&["init", "--trust-domain", "bench.invalid"]),
            "notme authority init",
        );
        let address = free_address();
        let url = format!("http://{address}");
        let mut serve = sealed(&["serve", "--url", &url, "--listen", &address]);
        serve.stdout(Stdio::null()).stderr(Stdio::null());
        let mut serving = serve.spawn().expect("the program is there");
        wait_for(&address);
        let roots =
            Certificate::pem_bundle(&done(authority(&["bundle"]), "notme authority bundle"))
                .expect("the bundle is PEM");
        let pin = roots
            .first()
            .expect("an authority has a root")
            .public_key()
            .spki_sha256();
        let token = done(
            authority(&["enrol", "create", "--agent", "bench"]),
            "notme authority enrol",
        );
        let token_file = world.home().join("token");
        fs::write(&token_file, token.trim()).expect("the home directory is writable");

        let token_file = token_file.to_string_lossy();
        let pin = hex::encode(&pin);
        let options = [
            "--agent=bench",
            "--authority",
            &url,
            "--pin",
            &pin,
            "--token-file",
            &token_file,
        ];
        let notme = Self::set_up(world, &options);
        let payload = CommitSpec::new(EMPTY_TREE).payload();
        notme.sign(world, &payload);
        serving.kill().expect("the authority still runs");
        serving.wait().expect("a started child can be waited for");
        notme
    }

    /// Signs as git calls it; returns the duration and the signature.
    pub(crate) fn sign(&self, world: &Repository, payload: &[u8]) -> (Duration, Vec<u8>) {
        let mut sign = world.command(&self.stand_in);
        let done = time(
            sign.args(["--status-fd=2", "-bsau", &self.signing_key]),
            payload,
        );
        done.assert_success("notme -bsau");
        (done.duration, done.stdout)
    }

    /// Verifies as git calls it.
    pub(crate) fn verify(&self, world: &Repository, file: &str, payload: &[u8]) -> Duration {
        let mut verify = world.command(&self.stand_in);
        verify.args(["--status-fd=1", "--verify", file, "-"]);
        time(&mut verify, payload).successful("notme --verify")
    }

    /// Returns a call of the program.
    pub(crate) fn command(&self, world: &Repository, arguments: &[&str]) -> Command {
        let mut command = world.command(&self.program);
        command.args(arguments);
        command
    }

    /// Returns what stands in for ssh-keygen, and the key that git gives it.
    pub(crate) fn ssh_keygen(&self) -> (SshKeygen, &str) {
        (
            SshKeygen::at(self.stand_in.clone().into()),
            &self.signing_key,
        )
    }

    /// Ends what `set_up` started.
    pub(crate) fn stop(&self, world: &Repository) {
        for what in ["agent", "authority"] {
            time(world.command(&self.program).args([what, "stop"]), b"");
        }
    }
}

/// Pins an authority in a world of its own trust store, by its trust document.
pub(crate) fn trust(
    world: &mut Repository,
    program: &Path,
    authority: &TestAuthority,
    document: &TrustDocument,
) {
    world.set_env("NOTME_HOME", world.home().join("notme"));
    let file = world.home().join("trust.json");
    fs::write(&file, authority.sign_trust(document)).expect("the home directory is writable");
    let mut add = world.command(program);
    add.args(["trust", "add", "--name=bench"]).arg(&file);
    for pin in authority.pins() {
        add.args(["--pin", &hex::encode(&pin)]);
    }
    time(&mut add, b"").assert_success("notme trust add");
}

/// Has `program` trust the person who signs with gpg, and returns a policy that lets them.
pub(crate) fn trust_person(world: &mut Repository, program: &Path) -> String {
    world.set_env("NOTME_HOME", world.home().join("notme"));
    let [keys, policy] = ["keys.asc", "person.toml"].map(|name| world.home().join(name));
    fs::write(&keys, Gpg::key(world)).expect("the home directory is writable");
    let mut add = world.command(program);
    add.args(["trust", "add", "--name=team", "--openpgp"]);
    time(add.arg(keys), b"").assert_success("notme trust add");
    let text = "time_basis_floor = \"declared\"\n[[authority]]\nname = \"team\"\ntime_basis_floor = \"declared\"\n[[allow]]\nidentity = \"*\"\n";
    fs::write(&policy, text).expect("the home directory is writable");
    policy.display().to_string()
}

/// Returns a loopback address that nobody listens on.
pub(crate) fn free_address() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
    listener
        .local_addr()
        .expect("a bound socket has an address")
        .to_string()
}

/// Waits until somebody listens.
pub(crate) fn wait_for(address: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "nobody listens on {address}");
        thread::sleep(Duration::from_millis(10));
    }
}
