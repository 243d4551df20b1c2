//! The configured agents, and the authorities behind them.

use std::time::SystemTime;

use jiff::{Timestamp, fmt::rfc2822};
use notme_agent::{AgentConfig, AuthorityAddress, Document, FetchError, LaunchError};
use notme_core::trust::TrustDocument;
use notme_verifier::trust::Authority;

use super::{
    Findings,
    scene::{Scene, pins, trust_name},
};
use crate::{
    commands::{
        init::{EMBEDDED, start_embedded},
        trust::unverified,
    },
    failure::Failure,
    judging::store,
    shell::{quoted, quoted_path},
};

/// How far two clocks may be apart, in seconds: what authorities and verifiers forgive.
const SKEW_MAX: u64 = 60;

pub(super) fn are_configured(scene: &Scene<'_>, findings: &mut Findings) -> Result<(), Failure> {
    for (name, config) in &scene.agents {
        if let Err(error) = config {
            let file = quoted_path(&scene.home.agents().join(format!("{name}.json")));
            findings.add(
                error.code(),
                error.to_string(),
                match scene.is_init_agent(name) {
                    true => format!("mv {file} {file}.damaged && {}", scene.init()),
                    false => format!("mv {file} {file}.damaged"),
                },
            );
        }
    }
    Ok(())
}

/// Returns the authority in the trust store that an agent's certificates lead to.
fn trusted<'a>(scene: &'a Scene<'_>, config: &AgentConfig) -> Option<&'a Authority> {
    let pins = config.pins.as_slice();
    scene.trust.authorities().iter().find(|authority| {
        let mut roots = authority.roots().iter();
        roots.any(|root| pins.contains(&root.value.public_key().spki_sha256()))
    })
}

pub(super) fn are_trusted(scene: &Scene<'_>, findings: &mut Findings) -> Result<(), Failure> {
    for (name, config) in &scene.agents {
        let Ok(config) = config else { continue };
        match trusted(scene, config) {
            // One that cannot be read is what `trust` speaks of.
            None if scene
                .trust
                .faults()
                .iter()
                .any(|it| *it.name == *trust_name(config)) => {}
            None => findings.add(
                "authority-not-trusted",
                format!("agent `{name}` signs under an authority that is not trusted here"),
                pin(scene, config),
            ),
            Some(authority) if lacks_key_for(scene.value("gpg.format"), authority) => findings.add(
                "trust-lacks-format",
                format!(
                    "the trust document of `{}` has no key for the format that git is set to",
                    authority.name()
                ),
                scene.refresh(authority.name()),
            ),
            Some(_) => {}
        }
    }
    Ok(())
}

/// Returns what pins the authority of an agent.
fn pin(scene: &Scene<'_>, config: &AgentConfig) -> String {
    match config.embedded {
        true => scene.init(),
        false => format!(
            "notme trust add --name {}{} {}",
            quoted(&trust_name(config)),
            pins(config),
            quoted(config.authority.as_str())
        ),
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

/// Asks each agent's authority, after starting the one that is the user's own.
pub(super) fn authorities_answer(
    scene: &Scene<'_>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let mut asked = Vec::new();
    for (name, config) in &scene.agents {
        let Ok(config) = config else { continue };
        if asked.contains(&&config.authority) {
            continue;
        }
        asked.push(&config.authority);
        if let Err(error) = ask(scene, config, findings) {
            let (code, repair) = not_answering(scene, config, &error);
            let problem = format!("the authority of agent `{name}` does not answer: {error}");
            findings.add(code, problem, repair);
        }
    }
    Ok(())
}

fn ask(scene: &Scene<'_>, config: &AgentConfig, findings: &mut Findings) -> Result<(), Failure> {
    let address: AuthorityAddress = match config.embedded {
        true => start_embedded(scene.home)?,
        false => (&config.authority).into(),
    };
    let answer = notme_agent::fetch_dated(address, config.ca_file.clone(), Document::Trust)?;
    if let Some(theirs) = answer.date.and_then(|date| rfc2822::parse(&date).ok()) {
        compare_clocks(config, theirs.timestamp(), findings);
    }
    if let Some(authority) = trusted(scene, config)
        && has_news(scene, authority, &answer.document)
    {
        let name = authority.name();
        findings.add(
            "trust-outdated",
            format!("the authority `{name}` has published other keys or revocations since"),
            scene.refresh(name),
        );
    }
    Ok(())
}

fn compare_clocks(config: &AgentConfig, theirs: Timestamp, findings: &mut Findings) {
    let ours = Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH);
    let seconds = ours.as_second().abs_diff(theirs.as_second());
    if seconds > SKEW_MAX {
        findings.add(
            "clock-skew",
            format!(
                "this machine's clock and that of `{}` are {seconds} s apart",
                config.authority
            ),
            "sudo timedatectl set-ntp true",
        );
    }
}

/// Tells whether a document says something else than the stored one, but for its number and time.
fn has_news(scene: &Scene<'_>, authority: &Authority, published: &[u8]) -> bool {
    let stored = store(scene.home, None).document(authority.name()).ok();
    let stored = stored.and_then(|stored| unverified(&stored));
    let Some((stored, published)) = stored.zip(unverified(published)) else {
        return false;
    };
    if stored.authority != published.authority {
        // The agent's own one is not that which its pins lead to.
        return false;
    }
    let same_but_for_its_place = TrustDocument {
        seqno: published.seqno,
        issued_at: published.issued_at,
        expires_at: published.expires_at,
        previous: published.previous.clone(),
        ..stored
    };
    same_but_for_its_place != published
}

fn not_answering(
    scene: &Scene<'_>,
    config: &AgentConfig,
    failure: &Failure,
) -> (&'static str, String) {
    match failure.error() {
        // It was started and could not go on: its store is damaged. Another one has other keys,
        // so what this one signed is verified by whoever has its roots; it is kept.
        Some(FetchError::Launch(LaunchError::Ended { .. })) => {
            let directory = quoted_path(&scene.home.authority());
            let repair = format!(
                "mv {directory} {directory}.broken && notme trust remove {EMBEDDED} && {}",
                scene.init()
            );
            ("authority-broken", repair)
        }
        _ if config.embedded => {
            let repair = format!("notme authority stop && {}", scene.init());
            ("authority-unreachable", repair)
        }
        _ => (
            "authority-unreachable",
            // Nobody but its operator can start it.
            format!(
                "notme agent renew {}   # once the authority is back",
                config.name
            ),
        ),
    }
}
