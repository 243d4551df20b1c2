//! The key agent that runs, and its sessions.

use std::fs;

use notme_agent::SOCKET_NAME;
use notme_core::frame::{SessionState, StatusAnswer};

use super::{Findings, scene::Scene};
use crate::{
    failure::Failure,
    shell::{quoted, quoted_path},
};

pub(super) fn serves(scene: &Scene<'_>, findings: &mut Findings) -> Result<(), Failure> {
    match &scene.key_agent {
        Err(failure) => {
            let socket = quoted_path(&scene.home.runtime().join(SOCKET_NAME));
            findings.add(
                "key-agent-silent",
                format!("something at {socket} does not answer as a key agent: {failure}"),
                format!("mv {socket} {socket}.moved"),
            );
        }
        Ok(status) => {
            if let Some(status) = status {
                is_well(status, findings);
                is_of_this_home(scene, status, findings);
            }
            sessions_are_open(scene, status.as_ref(), findings);
        }
    }
    Ok(())
}

fn is_well(status: &StatusAnswer, findings: &mut Findings) {
    let stop = "notme agent stop";
    if status.version != env!("CARGO_PKG_VERSION") || is_replaced(status.pid) {
        findings.add(
            "key-agent-old",
            format!(
                "the key agent, process {}, was started by another notme",
                status.pid
            ),
            stop,
        );
    }
    if status.locked {
        let socket = status.ssh_socket.as_deref().unwrap_or_default();
        findings.add(
            "key-agent-locked",
            "the key agent is locked and signs nothing",
            format!("SSH_AUTH_SOCK={} ssh-add -X", quoted(socket)),
        );
    }
    for weakness in &status.memory.weaknesses {
        findings.add(
            "memory-not-protected",
            weakness,
            format!("ulimit -l \"$(ulimit -H -l)\" && {stop}"),
        );
    }
}

/// Where homes share a runtime directory, whoever starts the key agent first has it sign for all.
fn is_of_this_home(scene: &Scene<'_>, status: &StatusAnswer, findings: &mut Findings) {
    for (name, config) in &scene.agents {
        let Ok(config) = config else { continue };
        let mut sessions = status.sessions.iter();
        let theirs = sessions.find(|it| it.agent == *name && it.state != SessionState::Broken);
        if let Some(theirs) = theirs
            && theirs.authority != config.authority.as_str()
        {
            findings.add(
                "key-agent-elsewhere",
                format!(
                    "the key agent, process {}, was started with another home: its agent `{name}` signs under `{}`, and the one here under `{}`",
                    status.pid, theirs.authority, config.authority
                ),
                "notme agent stop",
            );
        }
    }
}

/// Tells whether the program that a process runs is not on disk any more.
fn is_replaced(pid: u32) -> bool {
    fs::read_link(format!("/proc/{pid}/exe"))
        .is_ok_and(|path| path.to_string_lossy().ends_with(" (deleted)"))
}

/// Sessions under the user's own authority open by themselves; others need a token.
fn sessions_are_open(scene: &Scene<'_>, status: Option<&StatusAnswer>, findings: &mut Findings) {
    for (name, config) in &scene.agents {
        if !config.as_ref().is_ok_and(|it| !it.embedded) {
            continue;
        }
        let mut sessions = status.into_iter().flat_map(|it| &it.sessions);
        let state = sessions.find(|it| it.agent == *name).map(|it| it.state);
        let (code, problem) = match state {
            // An expired certificate is renewed by the next signature.
            Some(SessionState::Live | SessionState::Expired | SessionState::Broken) => continue,
            Some(SessionState::Ended) => ("session-ended", "is over"),
            Some(SessionState::Absent) | None => ("session-missing", "was never opened"),
        };
        findings.add(
            code,
            format!(
                "the session of agent `{name}` {problem}, and a new one takes an enrolment token"
            ),
            format!("notme agent enrol {name} --token-file FILE"),
        );
    }
}
