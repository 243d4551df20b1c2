//! git's settings: what signing needs, and who overrides what `notme init` wrote.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use notme_core::identity::AgentName;

use super::{Findings, scene::Scene};
use crate::{
    failure::Failure,
    git::{self, Entry, Place, Scope},
    program,
    settings::SettingsError,
    shell::{find, quoted_path},
};

/// What a setting does wrong: a code and words.
type Fault = (&'static str, String);

/// Reports a setting of one of these names, which `notme init` puts right; when the value comes
/// from where `init` does not write, that is the fault, and taking it away is what helps.
fn report(scene: &Scene<'_>, findings: &mut Findings, names: &[&str], (code, problem): Fault) {
    let entry = scene.entry(names);
    match entry.and_then(|entry| Some((overriding(scene, entry)?, entry))) {
        Some((code, entry)) => findings.add(code, problem, entry.removal()),
        None => findings.add(code, problem, scene.init()),
    }
}

/// Returns the code for a value that stands above what `notme init` writes.
fn overriding(scene: &Scene<'_>, entry: &Entry) -> Option<&'static str> {
    let Ok(Some((scope, _))) = &scene.record else {
        return None;
    };
    match &entry.place {
        Place::Environment(_) => Some("overridden-by-environment"),
        Place::Worktree => Some("overridden-by-worktree"),
        Place::Included(_) => Some("overridden-by-include"),
        Place::Repository if *scope == Scope::Global => Some("overridden-by-repository"),
        Place::Repository | Place::User | Place::System => None,
    }
}

pub(super) fn backup_is_readable(
    scene: &Scene<'_>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    if let Err(SettingsError::Backup { path, .. }) = &scene.record {
        let path = quoted_path(path);
        findings.add(
            "backup-unreadable",
            format!("{path} is damaged, so `notme init` can neither be run again nor be undone"),
            format!("mv {path} {path}.damaged"),
        );
    }
    Ok(())
}

pub(super) fn committer_is_set(scene: &Scene<'_>, findings: &mut Findings) -> Result<(), Failure> {
    for (names, variable, example) in [
        (
            ["committer.name", "user.name"],
            "GIT_COMMITTER_NAME",
            "'Your Name'",
        ),
        (
            ["committer.email", "user.email"],
            "GIT_COMMITTER_EMAIL",
            "you@example.com",
        ),
    ] {
        if scene.entry(&names).is_none() && env::var_os(variable).is_none() {
            let [_, name] = names;
            findings.add(
                "committer-not-set",
                format!("{name} is not set, so git makes no commit"),
                format!("git config --global {name} {example}"),
            );
        }
    }
    Ok(())
}

pub(super) fn format_is_known(scene: &Scene<'_>, findings: &mut Findings) -> Result<(), Failure> {
    let fault = match scene.value("gpg.format") {
        Some("x509" | "ssh" | "openpgp") => return Ok(()),
        Some(other) => (
            "format-unknown",
            format!("gpg.format is `{other}`, which git does not know"),
        ),
        None => ("format-not-set", "gpg.format is not set".to_owned()),
    };
    report(scene, findings, &["gpg.format"], fault);
    Ok(())
}

pub(super) fn program_is_ours(scene: &Scene<'_>, findings: &mut Findings) -> Result<(), Failure> {
    let setting = git::program_setting(scene.value("gpg.format"));
    // The older name of the one setting.
    let names: &[&str] = match setting {
        "gpg.openpgp.program" => &[setting, "gpg.program"],
        _ => &[setting],
    };
    let fault = match scene.entry(names) {
        Some(entry) => program_fault(entry),
        None => Some((
            "program-not-set",
            format!("{setting} is not set, so git runs another program"),
        )),
    };
    let Some(fault) = fault else {
        return Ok(());
    };
    let older = scene.entry(names).filter(|it| it.name == "gpg.program");
    if let Some(entry) = older
        && scene.entry(&[setting]).is_some()
    {
        let problem = format!("{}; it counts since it is set after {setting}", fault.1);
        findings.add("program-shadowed", problem, entry.removal());
        return Ok(());
    }
    match format_is_overridden(scene) {
        true => report(scene, findings, &["gpg.format"], fault),
        false => report(scene, findings, names, fault),
    }
    Ok(())
}

/// Tells whether somebody above `notme init` chose another format than it did.
fn format_is_overridden(scene: &Scene<'_>) -> bool {
    let Ok(Some((_, recorded))) = &scene.record else {
        return false;
    };
    let entry = scene.entry(&["gpg.format"]);
    entry.is_some_and(|entry| {
        overriding(scene, entry).is_some() && recorded.value("gpg.format") != Some(&entry.value)
    })
}

fn program_fault(entry: &Entry) -> Option<Fault> {
    let (name, value) = (&entry.name, &entry.value);
    let Some(path) = program_path(value).and_then(|path| fs::canonicalize(path).ok()) else {
        return Some((
            "program-missing",
            format!("{name} `{value}` does not exist"),
        ));
    };
    if fs::metadata(&path).is_ok_and(|it| it.permissions().mode() & 0o111 == 0) {
        return Some((
            "program-not-executable",
            format!("{name} `{value}` cannot be run"),
        ));
    }
    let ours = program::path().and_then(fs::canonicalize).ok()?;
    (path != ours).then(|| {
        (
            "program-other",
            format!("{name} `{value}` is not this notme"),
        )
    })
}

/// Finds a program as git does: on the path when it has no slash; newer versions know `~`.
fn program_path(value: &str) -> Option<PathBuf> {
    match value.strip_prefix("~/") {
        Some(rest) => Some(PathBuf::from(env::var_os("HOME")?).join(rest)),
        None if value.contains('/') => Some(value.into()),
        None => find(value),
    }
}

pub(super) fn everything_is_signed(
    scene: &Scene<'_>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    for (name, code) in [
        ("commit.gpgsign", "commits-not-signed"),
        ("tag.gpgsign", "tags-not-signed"),
    ] {
        if !git::is_true(name)? {
            let fault = (code, format!("{name} is not true"));
            report(scene, findings, &[name], fault);
        }
    }
    Ok(())
}

pub(super) fn signing_key_is_an_agent(
    scene: &Scene<'_>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let key = scene.value("user.signingkey").unwrap_or_default();
    let fault = match key.parse::<AgentName>() {
        _ if key.is_empty() => (
            "signing-key-not-set",
            "user.signingkey is not set".to_owned(),
        ),
        Ok(name) if scene.agents.iter().any(|(known, _)| *known == name) => return Ok(()),
        Ok(name) => (
            "agent-unknown",
            format!("user.signingkey names agent `{name}`, which is not configured"),
        ),
        // A key id is found only among live sessions; the key agent will say.
        Err(_) if key.len() == 32 => return Ok(()),
        Err(_) => (
            "signing-key-foreign",
            "user.signingkey is neither an agent name nor a key id".to_owned(),
        ),
    };
    report(scene, findings, &["user.signingkey"], fault);
    Ok(())
}

/// Without the first git verifies nothing; without the second it believes what was revoked, and
/// only warns.
pub(super) fn signers_and_revocations_are_there(
    scene: &Scene<'_>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    if scene.value("gpg.format") != Some("ssh") {
        return Ok(());
    }
    let name = "gpg.ssh.allowedSignersFile";
    if !git::path(name)?.is_some_and(|path| path.is_file()) {
        let problem = format!("{name} names no file, so git verifies no SSH signature");
        report(
            scene,
            findings,
            &[name],
            ("allowed-signers-missing", problem),
        );
    }
    let revoked = git::path("gpg.ssh.revocationFile")?;
    if let Some(path) = revoked.filter(|path| !Path::is_file(path)) {
        let path = quoted_path(&path);
        findings.add(
            "revocations-missing",
            format!("gpg.ssh.revocationFile {path} does not exist, and git verifies without it"),
            format!("notme trust export --krl > {path}"),
        );
    }
    Ok(())
}

pub(super) fn our_trust_suffices(
    scene: &Scene<'_>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let entry = scene.entry(&["gpg.minTrustLevel"]);
    if let Some(entry) = entry.filter(|it| it.value.eq_ignore_ascii_case("ultimate")) {
        findings.add(
            "trust-level-too-high",
            "gpg.minTrustLevel is ultimate, and what notme accepts is fully trusted only",
            entry.removal(),
        );
    }
    Ok(())
}
