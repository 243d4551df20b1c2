//! OpenSSH's own programs, with the key agent in place of theirs.

use std::{
    fs,
    io::Read as _,
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use notme_testkit::{oracle::oracle, repository::run};
use serde_json::Value;

use crate::world::{World, told};

/// A user whose key agent runs; ssh's programs find it.
fn world(init: &[&str]) -> World {
    let mut world = World::new();
    world.notme_ok(&[&["init", "--agent", "claude"], init].concat());
    world.notme_ok(&["agent", "start"]);
    let socket = world.notme_home().join("run/ssh-agent.sock");
    world.set_env("SSH_AUTH_SOCK", &socket);
    world
}

fn openssh(world: &World, program: &str, arguments: &[&str]) -> Output {
    let program = oracle(program);
    run(
        world.command(program.to_str().unwrap()).args(arguments),
        b"",
    )
}

fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{}", told(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What the authority gives to those who are to trust its SSH certificates.
fn ssh_ca(world: &World) -> String {
    let status = world.notme_ok(&["authority", "status", "--json"]);
    let status: Value = serde_json::from_str(&status).unwrap();
    let keys = status["authority"]["format_keys"].as_array().unwrap();
    let ssh = keys.iter().find(|key| key["format"] == "ssh").unwrap();
    ssh["public"].as_str().unwrap().to_owned()
}

fn write(world: &World, name: &str, text: &str) -> String {
    let path = world.home().join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The file of a certificate that the agent lists.
fn certificate(world: &World) -> String {
    let listed = succeeds(&openssh(world, "ssh-add", &["-L"]));
    write(world, "id-cert.pub", listed.lines().next().unwrap())
}

fn identity(world: &World) -> String {
    let listed = succeeds(&openssh(world, "ssh-add", &["-L"]));
    listed
        .lines()
        .next()
        .unwrap()
        .rsplit(' ')
        .next()
        .unwrap()
        .to_owned()
}

#[test]
fn ssh_add_lists_the_certificate_before_the_key() {
    let world = world(&[]);
    let listed = succeeds(&openssh(&world, "ssh-add", &["-L"]));
    let types: Vec<_> = listed
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(types, ["ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519"]);
    let listed = succeeds(&openssh(&world, "ssh-add", &["-l"]));
    assert!(listed.contains("(ED25519-CERT)"), "{listed}");
    assert!(listed.contains("/claude "), "{listed}");
}

#[test]
fn ssh_add_can_change_nothing() {
    let world = world(&[]);
    let key = world.home().join("id");
    let key = key.to_str().unwrap();
    succeeds(&openssh(
        &world,
        "ssh-keygen",
        &["-q", "-t", "ed25519", "-N", "", "-f", key],
    ));
    let before = succeeds(&openssh(&world, "ssh-add", &["-L"]));
    for arguments in [
        &["-q", key][..],
        &["-q", "-t", "60", key],
        &["-D"],
        &["-d", key],
    ] {
        let output = openssh(&world, "ssh-add", arguments);
        assert!(!output.status.success(), "{arguments:?}");
    }
    assert_eq!(succeeds(&openssh(&world, "ssh-add", &["-L"])), before);
}

#[test]
fn ssh_keygen_signs_for_git_with_the_agent_and_for_nothing_else() {
    let world = world(&[]);
    let certificate = certificate(&world);
    let file = write(&world, "message", "text\n");
    let sign = |namespace| {
        let _ = fs::remove_file(format!("{file}.sig"));
        let arguments = [
            "-Y",
            "sign",
            "-U",
            "-n",
            namespace,
            "-f",
            &certificate,
            &file,
        ];
        openssh(&world, "ssh-keygen", &arguments)
    };
    succeeds(&sign("git"));
    let identity = identity(&world);
    let allowed = format!(
        "{identity} cert-authority,namespaces=\"git\" {}\n",
        ssh_ca(&world)
    );
    let allowed = write(&world, "allowed", &allowed);
    let verified = Command::new(oracle("ssh-keygen"))
        .args(["-Y", "verify", "-n", "git", "-I", &identity, "-f", &allowed])
        .args(["-s", &format!("{file}.sig")])
        .stdin(fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    let verified = succeeds(&verified);
    assert!(verified.starts_with("Good \"git\" signature"), "{verified}");
    assert!(verified.contains("ED25519-CERT"), "{verified}");

    for namespace in ["file", "email"] {
        let output = sign(namespace);
        assert!(!output.status.success(), "{}", told(&output));
        assert!(!Path::new(&format!("{file}.sig")).exists());
    }
}

#[test]
fn stock_git_signs_with_stock_ssh_keygen_and_the_agent() {
    let world = world(&[]);
    let allowed = format!("* cert-authority,namespaces=\"git\" {}\n", ssh_ca(&world));
    let allowed = write(&world, "allowed", &allowed);
    let ssh_keygen = oracle("ssh-keygen");
    let list = format!("{} -L", oracle("ssh-add").display());
    world.git_ok(&["config", "--unset", "user.signingkey"]);
    for (name, value) in [
        ("gpg.format", "ssh"),
        ("gpg.ssh.program", ssh_keygen.to_str().unwrap()),
        ("gpg.ssh.defaultKeyCommand", &list),
        ("gpg.ssh.allowedSignersFile", &allowed),
    ] {
        world.git_ok(&["config", name, value]);
    }
    let commit = world.signed_commit("file");
    let shown = world.git_ok(&["log", "-1", "--format=%G? %GS", &commit]);
    assert_eq!(shown, format!("G {}", identity(&world)));
    world.git_ok(&["verify-commit", &commit]);
    world.git_ok(&["tag", "-s", "-m", "release", "v1"]);
    world.git_ok(&["verify-tag", "v1"]);
}

#[test]
fn ssh_keygen_shows_what_the_certificate_says() {
    let world = world(&["--ssh-login"]);
    let certificate = certificate(&world);
    let shown = succeeds(&openssh(&world, "ssh-keygen", &["-L", "-f", &certificate]));
    let identity = identity(&world);
    for line in [
        "Type: ssh-ed25519-cert-v01@openssh.com user certificate".to_owned(),
        format!("Key ID: \"{identity}\""),
        "Critical Options: (none)".to_owned(),
        "x509-kid@notme.bot UNKNOWN OPTION".to_owned(),
        "epoch@notme.bot UNKNOWN OPTION".to_owned(),
        "permit-pty".to_owned(),
    ] {
        assert!(shown.contains(&line), "{line}\n{shown}");
    }
    let principals = shown.split_once("Principals:").unwrap().1;
    let principals = principals.split_once("Critical").unwrap().0;
    let principals: Vec<_> = principals.split_whitespace().collect();
    assert_eq!(principals, [identity.as_str(), "claude"]);
}

#[test]
fn status_tells_how_ssh_finds_the_agent() {
    let world = world(&[]);
    let line = format!(
        "export SSH_AUTH_SOCK={}",
        world.notme_home().join("run/ssh-agent.sock").display()
    );
    for arguments in [&["status"][..], &["agent", "status"]] {
        let said = world.notme_ok(arguments);
        assert!(said.contains(&line), "{said}");
    }
}

#[test]
fn sshd_lets_the_agent_in_by_its_certificate() {
    let world = world(&["--ssh-login"]);
    let server = Server::start(&world, "claude\n");
    let output = server.log_in(&["printf", "%s", "in"]);
    assert_eq!(succeeds(&output), "in", "{}", server.log());
    assert!(
        server.log().contains("Accepted publickey"),
        "{}",
        server.log()
    );
    assert!(server.log().contains("ED25519-CERT"), "{}", server.log());
}

#[test]
fn sshd_finds_the_identity_among_the_principals_too() {
    let world = world(&["--ssh-login"]);
    let server = Server::start(&world, &format!("{}\n", identity(&world)));
    succeeds(&server.log_in(&["true"]));
}

#[test]
fn sshd_lets_nobody_in_who_is_not_a_principal() {
    let world = world(&["--ssh-login"]);
    let server = Server::start(&world, "codex\n");
    let output = server.log_in(&["true"]);
    assert_eq!(output.status.code(), Some(255), "{}", told(&output));
}

#[test]
fn without_the_scope_nobody_logs_in() {
    let world = world(&[]);
    let server = Server::start(&world, "claude\n");
    let output = server.log_in(&["true"]);
    assert_eq!(output.status.code(), Some(255), "{}", told(&output));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("agent refused operation"), "{said}");
    // The server would have taken the certificate, had the key signed.
    assert!(server.log().contains("Accepted certificate ID"));
    assert!(!server.log().contains("Accepted publickey"));
}

#[test]
fn a_locked_agent_lets_nobody_in() {
    let world = world(&["--ssh-login"]);
    let server = Server::start(&world, "claude\n");
    succeeds(&server.log_in(&["true"]));
    let askpass = write(&world, "askpass", "#!/bin/sh\necho secret\n");
    fs::set_permissions(&askpass, fs::Permissions::from_mode(0o700)).unwrap();
    let lock = |option| {
        let mut command = world.command(oracle("ssh-add").to_str().unwrap());
        command
            .arg(option)
            .env("SSH_ASKPASS", &askpass)
            .env("SSH_ASKPASS_REQUIRE", "force");
        run(&mut command, b"")
    };
    succeeds(&lock("-x"));
    assert_eq!(server.log_in(&["true"]).status.code(), Some(255));
    assert_eq!(world.notme(&["status"]).status.code(), Some(0));
    assert!(world.notme_ok(&["status"]).contains("LOCKED"));
    succeeds(&lock("-X"));
    succeeds(&server.log_in(&["true"]));
}

/// An OpenSSH server on loopback, that trusts the authority of a world.
pub(crate) struct Server<'a> {
    world: &'a World,
    process: Child,
    port: u16,
    log: PathBuf,
}

impl<'a> Server<'a> {
    /// Starts it; `principals` are those that may log in as the user of the test.
    pub(crate) fn start(world: &'a World, principals: &str) -> Self {
        // Compiled into sshd; it insists on it when it runs as root.
        if fs::metadata("/proc/self").is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == 0)
        {
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let host_key = world.home().join("host");
        let host_key = host_key.to_str().unwrap();
        succeeds(&openssh(
            world,
            "ssh-keygen",
            &["-q", "-t", "ed25519", "-N", "", "-f", host_key],
        ));
        let ca = write(world, "user-ca.pub", &ssh_ca(world));
        let principals = write(world, "principals", principals);
        let configuration = format!(
            "HostKey {host_key}\nPidFile none\nUsePAM no\nStrictModes no\nLogLevel DEBUG\n\
             PermitRootLogin prohibit-password\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nAuthorizedKeysFile none\n\
             TrustedUserCAKeys {ca}\nAuthorizedPrincipalsFile {principals}\n\
             SetEnv NOTME_HOME={} GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1\n",
            world.notme_home().display()
        );
        let configuration = write(world, "sshd_config", &configuration);
        let log = world.home().join("sshd.log");
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let process = Command::new(oracle("sshd"))
            .args(["-D", "-e", "-f", &configuration])
            .args(["-o", &format!("ListenAddress 127.0.0.1:{port}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut server = Self {
            world,
            process,
            port,
            log,
        };
        let give_up = Instant::now() + Duration::from_secs(30);
        while !server.answers() {
            let ended = server.process.try_wait().unwrap();
            assert!(ended.is_none(), "sshd ended: {}", server.log());
            assert!(Instant::now() < give_up, "{}", server.log());
            sleep(Duration::from_millis(20));
        }
        server
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return false;
        };
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let mut banner = [0; 4];
        stream.read_exact(&mut banner).is_ok() && banner == *b"SSH-"
    }

    /// Returns the user who runs the test.
    pub(crate) fn user(&self) -> String {
        let user = succeeds(&run(self.world.command("id").arg("-un"), b""));
        user.trim().to_owned()
    }

    /// Returns the options with which ssh finds the server, and trusts it.
    pub(crate) fn options(&self) -> Vec<String> {
        let known_hosts = self.world.home().join("known_hosts");
        let mut arguments = vec!["-F".to_owned(), "none".to_owned(), "-p".to_owned()];
        arguments.push(self.port.to_string());
        for option in [
            "BatchMode=yes",
            "IdentityFile=none",
            "StrictHostKeyChecking=no",
            "PreferredAuthentications=publickey",
            &format!("UserKnownHostsFile={}", known_hosts.display()),
        ] {
            arguments.extend(["-o".to_owned(), option.to_owned()]);
        }
        arguments
    }

    /// Runs a command by ssh, as the user who runs the test.
    fn log_in(&self, command: &[&str]) -> Output {
        let mut arguments = self.options();
        arguments.push(format!("{}@127.0.0.1", self.user()));
        arguments.extend(command.iter().map(|word| (*word).to_owned()));
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        openssh(self.world, "ssh", &arguments)
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
