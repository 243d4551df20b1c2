//! What is installed beside the program, tried by the programs that will read it.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use notme_testkit::oracle::oracle;

use crate::world::{NOTME, World, free_port, told};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", told(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn each_shell_completes_commands() {
    let world = World::new();
    for (shell, file) in [("bash", "notme"), ("zsh", "_notme"), ("fish", "notme.fish")] {
        fs::write(
            world.home().join(file),
            world.notme_ok(&["completions", shell]),
        )
        .unwrap();
    }
    let bash = "source ~/notme; COMP_WORDS=(notme au) COMP_CWORD=1; _notme notme au notme; echo \"${COMPREPLY[@]}\"";
    let completed = succeeds(world.command(oracle("bash")).args(["-c", bash]));
    assert_eq!(completed, "authority\n");
    let fish = "source ~/notme.fish; complete --do-complete 'notme agent sto'";
    let completed = succeeds(world.command(oracle("fish")).args(["-c", fish]));
    assert!(completed.starts_with("stop\t"), "{completed}");
    // Completing needs a terminal in zsh; the function is loaded and known to be for us.
    let zsh = "fpath=(~ $fpath); autoload -U compinit; compinit -D -u; autoload +X _notme; print $_comps[notme]";
    let completed = succeeds(world.command(oracle("zsh")).args(["-f", "-c", zsh]));
    assert_eq!(completed, "_notme\n");
}

#[test]
fn the_manual_is_well_formed_and_whole() {
    let world = World::new();
    let directory = world.home().join("man/man1");
    world.notme_ok(&["man", directory.to_str().unwrap()]);
    let pages: Vec<PathBuf> = fs::read_dir(&directory)
        .unwrap()
        .map(|page| page.unwrap().path())
        .collect();
    assert!(pages.len() > 40, "{pages:?}");
    let lint = ["-T", "lint", "-W", "error"];
    succeeds(world.command(oracle("mandoc")).args(lint).args(&pages));
    for page in &pages {
        let mut man = world.command(oracle("man"));
        let output = man
            .args(["--warnings", "--local-file"])
            .arg(page)
            .output()
            .unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{}",
            told(&output)
        );
    }
    let shown = succeeds(
        world
            .command(oracle("man"))
            .arg("-M")
            .arg(world.home().join("man"))
            .arg("notme-doctor"),
    );
    assert!(shown.contains("notme doctor"), "{shown}");
}

/// A home with the program where `cargo install` puts it.
fn installed() -> World {
    let world = World::new();
    let programs = world.home().join(".cargo/bin");
    fs::create_dir_all(&programs).unwrap();
    symlink(NOTME, programs.join("notme")).unwrap();
    world
}

/// Returns the words of a unit's `ExecStart`, as systemd would fill them in.
fn exec_start(world: &World, unit: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))
        .unwrap();
    let mut line = line.replace("%h", world.home().to_str().unwrap());
    for (name, value) in variables {
        line = line.replace(&format!("${{{name}}}"), value);
    }
    line.split(' ').map(str::to_owned).collect()
}

/// A program in the foreground; it ends with the value.
struct Running(Child);

impl Running {
    fn start(world: &World, words: &[String]) -> Self {
        let mut command = world.command(&words[0]);
        Self(
            command
                .args(&words[1..])
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn eventually(mut happened: impl FnMut() -> bool) {
    while !happened() {
        std::thread::yield_now();
    }
}

#[test]
fn systemd_takes_the_units_and_what_they_start_serves() {
    let world = installed();
    let units = root().join("packaging/systemd");
    let names = ["notme-agent.service", "notme-authority.service"].map(|name| units.join(name));
    let mut verify = world.command(oracle("systemd-analyze"));
    verify.env("XDG_RUNTIME_DIR", world.home());
    let output = verify
        .args(["--user", "--man=no", "verify"])
        .args(&names)
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        told(&output)
    );

    let [agent, authority] = names.map(|unit| fs::read_to_string(unit).unwrap());
    let running = Running::start(&world, &exec_start(&world, &agent, &[]));
    eventually(|| world.notme_ok(&["agent", "status"]).starts_with("process"));
    drop(running);

    let directory = world.home().join(".local/share/notme-authority");
    let passphrase = world.home().join(".config/notme/passphrase");
    fs::create_dir_all(passphrase.parent().unwrap()).unwrap();
    fs::write(&passphrase, "correct horse battery staple").unwrap();
    let (directory, passphrase) = (directory.to_str().unwrap(), passphrase.to_str().unwrap());
    let sealed = ["--dir", directory, "--passphrase-file", passphrase];
    world.notme_ok(&[&["authority", "init"][..], &sealed].concat());
    let address = format!("127.0.0.1:{}", free_port());
    let variables = [
        ("URL", "https://auth.example.com"),
        ("LISTEN", address.as_str()),
    ];
    let _running = Running::start(&world, &exec_start(&world, &authority, &variables));
    eventually(|| std::net::TcpStream::connect(&address).is_ok());
}

/// Where an image is built and run: buildah, with a store of its own.
struct Images<'a> {
    world: &'a World,
    store: PathBuf,
}

impl Images<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.world.command(oracle("buildah"));
        command
            .arg("--root")
            .arg(self.store.join("root"))
            .arg("--runroot")
            .arg(self.store.join("run"))
            .args(["--storage-driver", "vfs"])
            .args(arguments);
        command
    }

    fn ask(&self, arguments: &[&str]) -> String {
        succeeds(&mut self.command(arguments)).trim().to_owned()
    }
}

/// Built without a registry, and run as the image says, with what the program of the tests needs
/// that is not linked statically.
#[test]
fn the_container_file_builds_an_image_that_serves_as_nobody_special() {
    let world = World::new();
    let dist = world.home().join("dist");
    fs::create_dir_all(dist.join("state")).unwrap();
    let mut strip = world.command(oracle("strip"));
    succeeds(strip.arg("-o").arg(dist.join("notme")).arg(NOTME));
    let images = Images {
        world: &world,
        store: world.home().join("images"),
    };
    let file = root().join("packaging/Containerfile");
    let file = file.to_str().unwrap();
    let chroot = ["--isolation", "chroot"];
    let build = [&["build"], &chroot[..], &["--tag", "notme", "--file", file]].concat();
    images.ask(&[&build[..], &[dist.to_str().unwrap()]].concat());
    let image = images.ask(&["inspect", "--type", "image", "localhost/notme"]);
    let image: serde_json::Value = serde_json::from_str(&image).unwrap();
    let config = &image["OCIv1"]["config"];
    assert_eq!(config["User"], "65532:65532");
    let container = images.ask(&["from", "--pull-never", "localhost/notme"]);
    let volume = world.home().join("volume");
    fs::create_dir(&volume).unwrap();
    let volume = format!("{}:/var/lib/notme:U", volume.display());
    let mut run = [&["run"], &chroot[..], &["--volume", &volume]].concat();
    for directory in ["/lib:/lib:ro", "/lib64:/lib64:ro"] {
        if Path::new(directory.split(':').next().unwrap()).exists() {
            run.extend(["--volume", directory]);
        }
    }
    run.extend([container.as_str(), "--"]);
    let words =
        |name: &str| -> Vec<String> { serde_json::from_value(config[name].clone()).unwrap() };
    let entry = words("Entrypoint");
    run.extend(entry.iter().map(String::as_str));
    let directory = "/var/lib/notme/authority";
    let init = ["authority", "init", "--dir", directory];
    images.ask(&[&run[..], &init, &["--trust-domain", "example.com"]].concat());
    let address = format!("127.0.0.1:{}", free_port());
    let serve = words("Cmd");
    let serve = serve.iter().map(|word| match word.as_str() {
        "0.0.0.0:8443" => address.as_str(),
        word => word,
    });
    run.extend(serve);
    let mut serving = images.command(&run).spawn().unwrap();
    eventually(|| std::net::TcpStream::connect(&address).is_ok());
    let url = format!("http://{address}/readyz");
    let answer = succeeds(world.command(oracle("curl")).args(["--silent", &url]));
    assert_eq!(answer.trim(), "ready");
    // It passes that on, and the authority ends.
    let mut kill = world.command(oracle("kill"));
    succeeds(kill.arg(serving.id().to_string()));
    serving.wait().unwrap();
    images.ask(&["rm", &container]);
}

/// The agent's own container: root, git of the machine, a home that nobody can write in, and one
/// directory that is the agent's.
#[test]
fn an_agent_runs_in_a_container_as_root_with_a_read_only_home() {
    const SESSION: &str = "\
        if touch \"$HOME/x\" 2>/dev/null; then exit 9; fi; git init -q repository; cd repository; \
        /opt/notme run --agent claude --path 'src/*' -- sh -ec \
        'mkdir src; echo x >src/a; git add src; git commit -q -m one'; \
        id -u; git log --format=%cn; /opt/notme verify HEAD; \
        /opt/notme agent stop; /opt/notme authority stop";
    let world = World::new();
    let (opt, work) = (world.home().join("opt"), world.home().join("work"));
    for directory in [&opt, &work] {
        fs::create_dir(directory).unwrap();
    }
    fs::copy(NOTME, opt.join("notme")).unwrap();
    let images = Images {
        world: &world,
        store: world.home().join("images"),
    };
    let container = images.ask(&["from", "scratch"]);
    let mut volumes: Vec<_> = ["/usr", "/bin", "/lib", "/lib64", "/etc"]
        .into_iter()
        .filter(|directory| Path::new(directory).exists())
        .map(|directory| format!("{directory}:{directory}:ro"))
        .collect();
    volumes.push(format!("{}:/opt:ro", opt.display()));
    volumes.push(format!("{}:/work", work.display()));
    let mut run = vec!["run", "--isolation", "chroot", "--user", "0:0"];
    run.extend(["--workingdir", "/work", "--env", "HOME=/usr"]);
    run.extend(["--env", "NOTME_HOME=/work/notme"]);
    for volume in &volumes {
        run.extend(["--volume", volume]);
    }
    run.extend([container.as_str(), "--", "/bin/sh", "-ec", SESSION]);
    let told = images.ask(&run);
    assert!(told.contains("0\nclaude\naccepted"), "{told}");
    images.ask(&["rm", &container]);
}

/// Runs the skill's sessions one after another, as one shell would.
#[test]
fn an_agent_that_follows_the_skill_ends_with_an_accepted_and_attested_commit() {
    let skill = fs::read_to_string(root().join("skills/notme/SKILL.md")).unwrap();
    assert!(skill.starts_with("---\nname: notme\ndescription: "));
    let commands = skill.lines().filter_map(|line| line.strip_prefix("$ "));
    let script: Vec<&str> = commands.collect();
    assert!(script.len() >= 9, "{script:?}");
    let world = World::new();
    world.write("parser.rs", "fn parse() {}\n");
    let script = format!("set -e\n{}\n", script.join("\n"));
    let said = succeeds(&mut world.shell(&script));
    for part in ["\naccepted ", "as agent `claude`", "L2", "nothing is wrong"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // Other blocks would be commands that nobody runs.
    assert_eq!(
        skill.matches("```").count(),
        2 * skill.matches("```console\n").count()
    );
}
