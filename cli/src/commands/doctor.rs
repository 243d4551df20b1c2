//! `notme doctor`: what is set up wrong, and the one command that repairs it.

use std::{
    env, fs,
    io::{self, Write},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use notme_agent::{AgentConfig, Document};
use notme_core::{frame::SessionState, identity::AgentName};
use notme_local::check_private_directory;
use notme_verifier::{Code, Trust, trust::Authority};
use serde::Serialize;

use crate::{
    arguments::Json,
    commands::{agent, hooks, init::start_embedded, print_json},
    failure::{Exit, Failure, Outcome},
    forge::{self, Remote},
    git,
    home::Home,
    judging::{now, store},
    program,
};

/// The oldest git whose x509 signing behaves as we describe it.
const GIT_MIN: (u32, u32) = (2, 34);

/// One thing that is wrong.
#[derive(Serialize)]
struct Finding {
    /// A stable name.
    code: &'static str,
    /// What is wrong.
    problem: String,
    /// What repairs it.
    repair: String,
}

pub(crate) fn run(home: &Home, arguments: &Json) -> Outcome {
    let findings = examine(home)?;
    let exit = if findings.is_empty() {
        Exit::Yes
    } else {
        Exit::No
    };
    if arguments.json {
        print_json(&findings)?;
        return Ok(exit);
    }
    explain_format()?;
    let mut out = io::stdout().lock();
    for finding in &findings {
        writeln!(out, "{}: {}", finding.code, finding.problem)?;
        writeln!(out, "  repair: {}", finding.repair)?;
    }
    if findings.is_empty() {
        writeln!(out, "nothing is wrong")?;
    }
    Ok(exit)
}

/// Says what the formats give, and which one suits the remote: advice, and no finding.
fn explain_format() -> Result<(), Failure> {
    let mut talk = io::stderr().lock();
    forge::write_table(&mut talk)?;
    let format = git::value("gpg.format")?;
    let format = format.as_deref().unwrap_or("openpgp");
    let remote = Remote::find()?;
    let suits = forge::format_for(remote.as_ref()).as_str();
    let place = remote.map_or_else(|| "no remote".to_owned(), |remote| remote.place());
    write!(talk, "format {format}, for {place}")?;
    if format == suits {
        writeln!(talk)?;
    } else {
        writeln!(talk, "; `notme init` would choose {suits}")?;
    }
    Ok(())
}

fn examine(home: &Home) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    let mut find = |code, problem: String, repair: &str| {
        findings.push(Finding {
            code,
            problem,
            repair: repair.to_owned(),
        });
    };
    check_git(&mut find)?;
    check_settings(home, &mut find)?;
    check_directories(home, &mut find);
    for problem in hooks::problems(home)? {
        find(problem.code, problem.text, &problem.repair);
    }
    let trust = store(home, None).load(now());
    check_trust(home, &trust, &mut find);
    check_agent(home, &trust, &mut find)?;
    Ok(findings)
}

type Find<'a> = dyn FnMut(&'static str, String, &str) + 'a;

fn check_git(find: &mut Find<'_>) -> Result<(), Failure> {
    let text = git::version()?;
    let numbers: Vec<u32> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect();
    if let [major, minor, ..] = numbers.as_slice()
        && (*major, *minor) < GIT_MIN
    {
        find(
            "git-too-old",
            format!("{text} is older than {}.{}", GIT_MIN.0, GIT_MIN.1),
            "install a newer git",
        );
    }
    Ok(())
}

fn check_settings(home: &Home, find: &mut Find<'_>) -> Result<(), Failure> {
    const INIT: &str = "notme init";
    for (name, example) in [
        ("user.name", "'Your Name'"),
        ("user.email", "you@example.com"),
    ] {
        let variable = format!(
            "GIT_COMMITTER_{}",
            name.trim_start_matches("user.").to_uppercase()
        );
        if git::value(name)?.is_none() && env::var_os(variable).is_none() {
            find(
                "committer-not-set",
                format!("{name} is not set, so git makes no commit"),
                &format!("git config --global {name} {example}"),
            );
        }
    }
    let format = git::value("gpg.format")?;
    let setting = git::program_setting(format.as_deref());
    if format.is_none() {
        find("format-not-set", "gpg.format is not set".to_owned(), INIT);
    }
    match git::value(setting)? {
        None => find(
            "program-not-set",
            format!("{setting} is not set, so git runs another program"),
            INIT,
        ),
        Some(path) => check_program(setting, Path::new(&path), find),
    }
    for (name, code) in [
        ("commit.gpgsign", "commits-not-signed"),
        ("tag.gpgsign", "tags-not-signed"),
    ] {
        if !git::is_true(name)? {
            find(
                code,
                format!("{name} is not true"),
                &format!("git config {name} true"),
            );
        }
    }
    match git::value("user.signingkey")?.filter(|key| !key.is_empty()) {
        None => find(
            "signing-key-not-set",
            "user.signingkey is not set".to_owned(),
            INIT,
        ),
        Some(key) => match key.parse::<AgentName>() {
            Ok(name) if AgentConfig::load(&home.agents(), &name)?.is_some() => {}
            Ok(name) => find(
                "agent-unknown",
                format!("user.signingkey names agent `{name}`, which is not configured"),
                &format!("notme init --agent {name}"),
            ),
            // A key id is found only among live sessions; the key agent will say.
            Err(_) if key.len() == 32 => {}
            Err(_) => find(
                "signing-key-foreign",
                "user.signingkey is neither an agent name nor a key id".to_owned(),
                INIT,
            ),
        },
    }
    Ok(())
}

fn check_program(setting: &str, path: &Path, find: &mut Find<'_>) {
    const INIT: &str = "notme init";
    let shown = path.display();
    match (fs::canonicalize(path), program::path()) {
        (Err(_), _) if path.components().count() > 1 => {
            find(
                "program-missing",
                format!("{setting} `{shown}` does not exist"),
                INIT,
            );
        }
        (Ok(target), Ok(ours)) => {
            let executable =
                fs::metadata(&target).is_ok_and(|m| m.permissions().mode() & 0o111 != 0);
            if !executable {
                find(
                    "program-not-executable",
                    format!("`{shown}` cannot be run"),
                    INIT,
                );
            } else if fs::canonicalize(&ours).is_ok_and(|ours| ours != target) {
                find(
                    "program-other",
                    format!("{setting} `{shown}` is not this notme"),
                    INIT,
                );
            }
        }
        _ => {}
    }
}

fn check_directories(home: &Home, find: &mut Find<'_>) {
    for directory in [home.runtime(), &home.agents(), &home.authority()] {
        if directory.exists() && check_private_directory(directory).is_err() {
            let path = directory.display();
            let foreign = fs::metadata(directory)
                .is_ok_and(|m| m.uid() != rustix::process::geteuid().as_raw());
            let repair = if foreign {
                format!("sudo chown -R \"$(id -u)\" '{path}' && chmod 700 '{path}'")
            } else {
                format!("chmod 700 '{path}'")
            };
            find(
                "directory-not-private",
                format!("`{path}` is open to others"),
                &repair,
            );
        }
    }
}

fn check_trust(home: &Home, trust: &Trust, find: &mut Find<'_>) {
    if trust.is_empty() && trust.faults().is_empty() {
        find(
            "trust-missing",
            "no authority is trusted, so nothing can be accepted".to_owned(),
            "notme init",
        );
    }
    for fault in trust.faults() {
        let repair = match fault.code {
            // The file is there and somebody else could write it, more often than not.
            Code::TrustUnreadable => {
                format!("chmod -R go-w '{}'", home.trust().display())
            }
            _ => format!(
                "notme trust remove {0} && notme trust add --name {0} --pin SHA256 URL",
                fault.name
            ),
        };
        find(
            fault.code.as_str(),
            format!("authority `{}`: {}", fault.name, fault.message),
            &repair,
        );
    }
    for authority in trust.authorities() {
        if let Some(facts) = authority.document()
            && facts.expires_at < now()
        {
            find(
                "trust-stale",
                format!(
                    "the trust document of `{}` expired at {}",
                    authority.name(),
                    facts.expires_at
                ),
                &format!("notme trust refresh {}", authority.name()),
            );
        }
    }
}

/// Asks the agent's authority whether it is there, after starting it when it is the user's own.
fn check_authority(home: &Home, config: &AgentConfig, find: &mut Find<'_>) {
    let name = &config.name;
    let (answer, repair) = if config.embedded {
        (
            start_embedded(home)
                .map(drop)
                .map_err(|failure| failure.to_string()),
            "notme authority stop && notme init".to_owned(),
        )
    } else {
        (
            notme_agent::fetch(&config.authority, config.ca_file.clone(), Document::Health)
                .map(drop)
                .map_err(|error| error.to_string()),
            format!("notme agent renew {name}   # once the network is back"),
        )
    };
    if let Err(error) = answer {
        find(
            "authority-unreachable",
            format!("the authority of agent `{name}` does not answer: {error}"),
            &repair,
        );
    }
}

/// Tells whether nothing that is signed in this format can be led back to the authority: it may
/// have had no such key when the document was fetched.
fn lacks_key_for(format: Option<&str>, authority: &Authority) -> bool {
    match format {
        Some("ssh") => authority.ssh().is_empty(),
        Some("openpgp") => authority.openpgp().is_empty(),
        _ => false,
    }
}

fn check_agent(home: &Home, trust: &Trust, find: &mut Find<'_>) -> Result<(), Failure> {
    let format = git::value("gpg.format")?;
    for name in AgentConfig::names(&home.agents())? {
        let Some(config) = AgentConfig::load(&home.agents(), &name)? else {
            continue;
        };
        let pins = config.pins.as_slice();
        let pinned = trust.authorities().iter().find(|authority| {
            let mut roots = authority.roots().iter();
            roots.any(|root| pins.contains(&root.certificate().public_key().spki_sha256()))
        });
        match pinned {
            None => find(
                "authority-not-trusted",
                format!("agent `{name}` signs under an authority that is not trusted here"),
                &format!("notme init --agent {name}"),
            ),
            Some(authority) if lacks_key_for(format.as_deref(), authority) => find(
                "trust-lacks-format",
                format!(
                    "the trust document of `{}` has no key for the format that git is set to",
                    authority.name()
                ),
                &format!("notme trust refresh {}", authority.name()),
            ),
            Some(_) => {}
        }
        check_authority(home, &config, find);
    }
    let running = agent::running(home)?;
    for name in AgentConfig::names(&home.agents())? {
        let needs_token =
            AgentConfig::load(&home.agents(), &name)?.is_some_and(|config| !config.embedded);
        let has_session = running
            .iter()
            .flat_map(|status| &status.sessions)
            .any(|session| session.agent == name && session.state == SessionState::Live);
        if needs_token && !has_session {
            find(
                "session-missing",
                format!("agent `{name}` has no live session and needs an enrolment token for one"),
                &format!("notme agent enrol {name} --token-file FILE"),
            );
        }
    }
    if let Some(status) = running {
        for weakness in &status.memory.weaknesses {
            find(
                "memory-not-protected",
                weakness.clone(),
                "raise `ulimit -l`, then `notme agent stop`",
            );
        }
    }
    Ok(())
}
