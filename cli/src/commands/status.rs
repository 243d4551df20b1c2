//! `notme status`: who signs here, and until when.

use std::{
    env,
    io::{self, Write},
};

use notme_agent::{AgentConfig, Timestamping};
use notme_core::{frame::SessionStatus, identity::AgentName};
use notme_git_hooks::run::ACTIVITY;
use notme_verifier::report::escape;
use serde::{Serialize, Serializer};

use crate::{
    arguments::Json,
    commands::{agent, print_json},
    failure::{Exit, Failure, Outcome},
    forge::{self, Remote},
    git,
    home::Home,
};

/// Everything that `status` knows. Absent facts are null.
#[derive(Serialize)]
struct Status {
    /// What git is set up to do here.
    git: Settings,
    /// Where pushes go.
    remote: Option<Remote>,
    /// The format that `notme init` would set up for that remote.
    suits: &'static str,
    /// The agent that signs, as it is configured.
    agent: Option<Configured>,
    /// Its session, when the key agent runs and has one.
    #[serde(serialize_with = "write_session")]
    session: Option<SessionStatus>,
    /// Whether the key agent runs.
    key_agent_running: bool,
    /// Whether keys are in memory that is never swapped nor dumped.
    memory_protected: Option<bool>,
    /// Where the key agent speaks the protocol of ssh-agent, once it runs.
    ssh_auth_sock: String,
    /// Whether the key agent was locked and signs nothing.
    locked: Option<bool>,
    /// The activity of the run around, which has no key agent but what it was lent.
    activity: Option<String>,
}

fn write_session<S: Serializer>(
    session: &Option<SessionStatus>,
    out: S,
) -> Result<S::Ok, S::Error> {
    session.as_ref().map(agent::session_json).serialize(out)
}

#[derive(Serialize)]
struct Settings {
    format: Option<String>,
    program: Option<String>,
    signing_key: Option<String>,
    sign_commits: Option<String>,
    sign_tags: Option<String>,
}

#[derive(Serialize)]
struct Configured {
    name: AgentName,
    authority: String,
    profile: notme_agent::Profile,
    embedded: bool,
    /// Whether its signatures are time-stamped.
    timestamp: Option<Timestamping>,
}

pub(crate) fn run(home: &Home, arguments: &Json) -> Outcome {
    let status = look(home)?;
    if arguments.json {
        return print_json(&status);
    }
    print(&mut io::stdout().lock(), &status)?;
    Ok(Exit::Yes)
}

fn look(home: &Home) -> Result<Status, Failure> {
    let format = git::value("gpg.format")?;
    let git = Settings {
        program: git::value(git::program_setting(format.as_deref()))?,
        format,
        signing_key: git::value("user.signingkey")?,
        sign_commits: git::value("commit.gpgsign")?,
        sign_tags: git::value("tag.gpgsign")?,
    };
    let name: Option<AgentName> = git.signing_key.as_deref().and_then(|key| key.parse().ok());
    let config = match &name {
        Some(name) => AgentConfig::load(&home.agents(), name)?,
        None => None,
    };
    let running = agent::running(home)?;
    let key = git.signing_key.clone().unwrap_or_default();
    let is_ours = |session: &&SessionStatus| {
        session.agent.as_str() == key || session.kid.is_some_and(|kid| kid.to_string() == key)
    };
    let remote = Remote::find()?;
    Ok(Status {
        suits: forge::format_for(remote.as_ref()).as_str(),
        remote,
        activity: env::var(ACTIVITY).ok(),
        session: running
            .as_ref()
            .and_then(|status| status.sessions.iter().find(is_ours).cloned()),
        key_agent_running: running.is_some(),
        ssh_auth_sock: home
            .runtime()
            .join(notme_agent::SSH_SOCKET_NAME)
            .display()
            .to_string(),
        locked: running.as_ref().map(|status| status.locked),
        memory_protected: running
            .map(|status| status.memory.memory_locked && status.memory.dumps_disabled),
        agent: config.map(|config| Configured {
            authority: config.authority.as_str().to_owned(),
            name: config.name,
            profile: config.profile,
            embedded: config.embedded,
            timestamp: config.timestamp,
        }),
        git,
    })
}

fn print(out: &mut impl Write, status: &Status) -> io::Result<()> {
    let unset = |value: &Option<String>| value.clone().unwrap_or_else(|| "(not set)".to_owned());
    writeln!(
        out,
        "git signs    {} with {}",
        unset(&status.git.format),
        unset(&status.git.program)
    )?;
    writeln!(
        out,
        "  commits    {}, tags {}",
        unset(&status.git.sign_commits),
        unset(&status.git.sign_tags)
    )?;
    if let Some(remote) = &status.remote {
        writeln!(out, "pushes go    to {}", remote.place())?;
        if status.git.format.as_deref() != Some(status.suits) {
            writeln!(out, "  suited by  {}: see `notme doctor`", status.suits)?;
        }
    }
    match &status.agent {
        Some(agent) => {
            writeln!(out, "agent        {}", agent.name)?;
            let whose = if agent.embedded {
                ", this user's own"
            } else {
                ""
            };
            writeln!(out, "authority    {}{whose}", agent.authority)?;
            match agent.timestamp {
                None => {}
                Some(Timestamping::Wanted) => writeln!(out, "time stamps  wanted")?,
                Some(Timestamping::Required) => writeln!(out, "time stamps  required")?,
            }
        }
        None => writeln!(
            out,
            "agent        none of ours: signing key is {}",
            unset(&status.git.signing_key)
        )?,
    }
    if let Some(session) = &status.session {
        if let Some(identity) = &session.identity {
            writeln!(out, "identity     {identity}")?;
        }
        if let Some(kid) = session.kid {
            writeln!(out, "key          {kid}")?;
        }
        writeln!(out, "session      {}", agent::state(session.state))?;
        if let Some(problem) = &session.problem {
            writeln!(out, "problem      {}", escape(problem))?;
        }
        for warning in agent::warnings(session) {
            writeln!(out, "warning      {warning}")?;
        }
        if let Some(at) = session.not_after {
            writeln!(out, "certificate  until {at}, renewed by itself")?;
        }
    }
    if let Some(activity) = &status.activity {
        return writeln!(
            out,
            "run          of activity {activity}: the agent is lent"
        );
    }
    match (status.key_agent_running, status.memory_protected) {
        (true, Some(true)) => writeln!(out, "key agent    running, keys in locked memory"),
        (true, _) => writeln!(
            out,
            "key agent    running, keys NOT fully protected: see `notme agent status`"
        ),
        (false, _) => writeln!(
            out,
            "key agent    not running; the next signature or `notme agent start` starts it"
        ),
    }?;
    if status.locked == Some(true) {
        writeln!(out, "  LOCKED     nothing is signed; `ssh-add -X` unlocks")?;
    }
    writeln!(
        out,
        "for ssh      {}",
        agent::auth_sock(&status.ssh_auth_sock)
    )
}
