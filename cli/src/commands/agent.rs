//! `notme agent`: the process that holds the session keys.

use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    sync::Arc,
    time::{Duration, SystemTime},
};

use notme_agent::{AgentConfig, AgentOptions, GithubJob};
use notme_core::{
    frame::{Fallback, SessionState, SessionStatus, StatusAnswer},
    identity::AgentName,
    time::UnixTime,
};
use notme_signer::{AgentClient, AgentEndpoint, ClientError, Deadline, StartCommand};
use notme_verifier::report::escape;
use serde_json::{Value, json};

use crate::{
    arguments::{Agent, Json},
    commands::{init::read_token, print_json},
    failure::{Exit, Failure, Outcome},
    home::Home,
    program,
    shell::quoted,
};

/// How long the key agent stays without being asked for anything.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// How long any answer may take: git's callers never wait longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);
/// The longest path that fits into the address of a unix socket.
const SOCKET_PATH_MAX: usize = 107;
/// How long an enrolment may take.
const ENROL_DEADLINE: Duration = Duration::from_secs(20);

pub(crate) fn run(home: &Home, command: &Agent) -> Outcome {
    match command {
        Agent::Start { foreground: true } => serve(home),
        Agent::Start { foreground: false } => start(home),
        Agent::Stop => stop(home),
        Agent::Status(arguments) => status(home, arguments),
        Agent::List(arguments) => list(home, arguments),
        Agent::Renew { agent } => {
            let sessions = starting(home, ENROL_DEADLINE)?
                .renew(agent)
                .map_err(client_failure)?;
            print_sessions(&sessions)
        }
        Agent::Enrol { agent, token_file } => {
            print_sessions(&enrol(home, agent, Some(read_token(token_file)?))?)
        }
    }
}

/// Where the key agent is, and how to start it.
///
/// # Errors
/// The system's error.
pub(crate) fn endpoint(home: &Home) -> io::Result<AgentEndpoint> {
    Ok(AgentEndpoint {
        socket: home.runtime().join(notme_agent::SOCKET_NAME),
        start: Some(StartCommand {
            program: program::path()?,
            arguments: ["agent", "start", "--foreground"]
                .map(OsString::from)
                .to_vec(),
        }),
    })
}

/// Opens a session, with a token that somebody handed over, or as the agent is set up to.
///
/// # Errors
/// [`Failure`] with the key agent's words.
pub(crate) fn enrol(
    home: &Home,
    agent: &AgentName,
    token: Option<String>,
) -> Result<Vec<SessionStatus>, Failure> {
    starting(home, ENROL_DEADLINE)?
        .enrol(agent, token)
        .map_err(client_failure)
}

/// Asks the key agent how it is; `None` when none runs.
///
/// # Errors
/// [`Failure`] when one runs and cannot be asked.
pub(crate) fn running(home: &Home) -> Result<Option<StatusAnswer>, Failure> {
    let Some(mut client) = existing(home)? else {
        return Ok(None);
    };
    client.status().map(Some).map_err(client_failure)
}

fn starting(home: &Home, deadline: Duration) -> Result<AgentClient, Failure> {
    AgentClient::connect(&endpoint(home)?, Deadline::after(deadline)).map_err(client_failure)
}

fn existing(home: &Home) -> Result<Option<AgentClient>, Failure> {
    let endpoint = AgentEndpoint {
        start: None,
        ..endpoint(home)?
    };
    match AgentClient::connect(&endpoint, Deadline::after(DEADLINE)) {
        Ok(client) => Ok(Some(client)),
        Err(ClientError::Absent) => Ok(None),
        Err(error) => Err(client_failure(error)),
    }
}

pub(super) fn client_failure(error: ClientError) -> Failure {
    let hint = error.hint().map(str::to_owned);
    let failure = Failure::from(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn serve(home: &Home) -> Outcome {
    notme_agent::detach();
    notme_agent::run(AgentOptions {
        config_dir: home.agents(),
        runtime_dir: home.runtime().to_owned(),
        authority_socket: home.authority_socket(),
        idle_exit: IDLE,
        launcher: Some(program::authority_launcher(home)?),
        github: github_job(),
        clock: Arc::new(|| UnixTime::from(SystemTime::now())),
    })?;
    Ok(Exit::Yes)
}

/// Finds the GitHub Actions job around us, if it may ask for tokens.
fn github_job() -> Option<GithubJob> {
    let variable = |name| env::var(name).ok();
    Some(GithubJob {
        url: variable("ACTIONS_ID_TOKEN_REQUEST_URL")?,
        secret: variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN")?.into(),
    })
}

fn start(home: &Home) -> Outcome {
    let status = starting(home, DEADLINE)?.status().map_err(client_failure)?;
    writeln!(io::stdout(), "the key agent runs as process {}", status.pid)?;
    Ok(Exit::Yes)
}

fn stop(home: &Home) -> Outcome {
    match existing(home)? {
        Some(mut client) => {
            let stopped = client.stop().map_err(client_failure)?;
            writeln!(
                io::stdout(),
                "stopped process {}; its keys are gone",
                stopped.pid
            )?;
        }
        None => writeln!(io::stdout(), "no key agent was running")?,
    }
    Ok(Exit::Yes)
}

fn status(home: &Home, arguments: &Json) -> Outcome {
    let running = running(home)?;
    if arguments.json {
        return print_json(&running.as_ref().map(status_json));
    }
    let mut out = io::stdout().lock();
    let Some(status) = running else {
        writeln!(out, "no key agent is running; the next signature starts it")?;
        return Ok(Exit::Yes);
    };
    writeln!(
        out,
        "process   {}, version {}, up for {} s",
        status.pid, status.version, status.uptime_seconds
    )?;
    writeln!(
        out,
        "memory    {}, {}",
        if status.memory.memory_locked {
            "locked"
        } else {
            "NOT locked"
        },
        if status.memory.dumps_disabled {
            "no dumps"
        } else {
            "dumps POSSIBLE"
        }
    )?;
    for weakness in &status.memory.weaknesses {
        writeln!(out, "  weakness: {weakness}")?;
    }
    if let Some(socket) = &status.ssh_socket {
        writeln!(out, "ssh       {}", auth_sock(socket))?;
    }
    if status.locked {
        writeln!(out, "locked    nothing is signed; `ssh-add -X` unlocks")?;
    }
    drop(out);
    print_sessions(&status.sessions)
}

fn list(home: &Home, arguments: &Json) -> Outcome {
    let Some(mut client) = existing(home)? else {
        let names = AgentConfig::names(&home.agents())?;
        if arguments.json {
            return print_json(
                &names
                    .iter()
                    .map(|agent| json!({"agent": agent}))
                    .collect::<Vec<_>>(),
            );
        }
        let mut out = io::stdout().lock();
        for name in names {
            writeln!(out, "agent     {name}: the key agent is not running")?;
        }
        return Ok(Exit::Yes);
    };
    let sessions = client.list().map_err(client_failure)?;
    if arguments.json {
        return print_json(&sessions.iter().map(session_json).collect::<Vec<_>>());
    }
    print_sessions(&sessions)
}

fn print_sessions(sessions: &[SessionStatus]) -> Outcome {
    let mut out = io::stdout().lock();
    for session in sessions {
        writeln!(out, "agent     {}: {}", session.agent, state(session.state))?;
        writeln!(out, "  authority    {}", session.authority)?;
        if let Some(identity) = &session.identity {
            writeln!(out, "  identity     {identity}")?;
        }
        if let Some(kid) = session.kid {
            writeln!(out, "  key          {kid}")?;
        }
        if let Some(at) = session.not_after {
            writeln!(out, "  certificate  until {at}")?;
        }
        if let Some(at) = session.session_ends_at {
            writeln!(out, "  session      until {at}")?;
        }
        if let Some(problem) = &session.problem {
            writeln!(out, "  problem      {}", escape(problem))?;
        }
        for warning in warnings(session) {
            writeln!(out, "  warning      {warning}")?;
        }
    }
    Ok(Exit::Yes)
}

fn status_json(status: &StatusAnswer) -> Value {
    json!({
        "pid": status.pid,
        "version": status.version,
        "uptime_seconds": status.uptime_seconds,
        "memory_locked": status.memory.memory_locked,
        "dumps_disabled": status.memory.dumps_disabled,
        "weaknesses": status.memory.weaknesses,
        "ssh_socket": status.ssh_socket,
        "locked": status.locked,
        "sessions": status.sessions.iter().map(session_json).collect::<Vec<_>>(),
    })
}

/// Returns a session for machines: times as RFC 3339, absent facts as null.
pub(crate) fn session_json(session: &SessionStatus) -> Value {
    let time = |at: Option<UnixTime>| at.map(|at| at.to_string());
    json!({
        "agent": session.agent,
        "authority": session.authority,
        "state": session.state,
        "identity": session.identity,
        "kid": session.kid,
        "not_after": time(session.not_after),
        "session_ends_at": time(session.session_ends_at),
        "problem": session.problem,
        "fallback": fallback(session),
        "unstamped": unstamped(session),
    })
}

/// Says what signatures had to do without, and since when.
pub(crate) fn warnings(session: &SessionStatus) -> impl Iterator<Item = String> {
    [fallback(session), unstamped(session)]
        .into_iter()
        .flatten()
}

/// Says when signatures had to do without a certificate of their own.
fn fallback(session: &SessionStatus) -> Option<String> {
    row(session.fallback.as_ref(), "with the session certificate")
}

/// Says when signatures had to do without the time stamp they were to have.
fn unstamped(session: &SessionStatus) -> Option<String> {
    row(session.unstamped.as_ref(), "without a time stamp")
}

fn row(row: Option<&Fallback>, how: &str) -> Option<String> {
    let row = row.filter(|row| row.count > 0)?;
    Some(format!(
        "{} signed {how} since {}: {}",
        match row.count {
            1 => "one object".to_owned(),
            count => format!("{count} objects"),
        },
        row.since,
        escape(&row.last_notice)
    ))
}

/// Returns the line that has OpenSSH's programs ask the key agent, or why they cannot.
pub(crate) fn auth_sock(socket: &str) -> String {
    if socket.len() > SOCKET_PATH_MAX {
        return format!("not for OpenSSH's programs: the path is too long for them: {socket}");
    }
    format!("export SSH_AUTH_SOCK={}", quoted(socket))
}

/// Returns a session's state in words.
pub(crate) const fn state(state: SessionState) -> &'static str {
    match state {
        SessionState::Absent => "no session yet; the next signature opens one",
        SessionState::Live => "live",
        SessionState::Expired => "certificate expired; the next signature renews it",
        SessionState::Ended => "session ended",
        SessionState::Broken => "its configuration cannot be used",
    }
}
