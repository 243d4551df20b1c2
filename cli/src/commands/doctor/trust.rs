//! The trust store. Its codes are those that verdicts have for the same reasons.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use notme_verifier::{Code, load::DOCUMENT, trust::Fault};

use super::{
    Findings,
    scene::{Scene, pins, trust_name},
};
use crate::{
    commands::init::EMBEDDED,
    failure::Failure,
    judging::now,
    shell::{quoted, quoted_path},
};

pub(super) fn somebody_is_trusted(
    scene: &Scene<'_>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    if scene.trust.is_empty() {
        findings.add(
            Code::TrustMissing.as_str(),
            "no authority is trusted, so nothing can be accepted",
            scene.init(),
        );
    }
    Ok(())
}

pub(super) fn is_readable(scene: &Scene<'_>, findings: &mut Findings) -> Result<(), Failure> {
    for fault in scene.trust.faults() {
        let problem = format!("authority `{}`: {}", fault.name, fault.message);
        findings.add(fault.code.as_str(), problem, repair(scene, fault));
    }
    Ok(())
}

fn repair(scene: &Scene<'_>, fault: &Fault) -> String {
    let store = scene.home.trust();
    if fault.code == Code::TrustUnreadable && is_exposed(&store) {
        return format!("chmod -R u+rwX,go-w {}", quoted_path(&store));
    }
    if let Some(move_up) = move_up(&store, &fault.name) {
        return move_up;
    }
    match fault.code {
        // A newer document is as good as the one that is refused is bad.
        Code::BundleRollback => scene.refresh(&fault.name),
        _ => pin_again(scene, &fault.name),
    }
}

/// Tells whether others may change a file of the store, or we may not read one.
fn is_exposed(path: &Path) -> bool {
    let Ok(metadata) = fs::metadata(path) else {
        return false;
    };
    let wanted = if metadata.is_dir() { 0o500 } else { 0o400 };
    let inside = fs::read_dir(path).into_iter().flatten().flatten();
    metadata.mode() & 0o022 != 0
        || metadata.mode() & wanted != wanted
        || inside.into_iter().any(|entry| is_exposed(&entry.path()))
}

/// Returns what puts authorities in their place that were copied below a name; `None` where none were. Where
/// the place is taken, nobody but who copied them knows which of both is meant: a newer document is taken, and
/// the copy is kept beside the store.
fn move_up(store: &Path, name: &str) -> Option<String> {
    let home = store.join(name);
    let entries = fs::read_dir(&home).into_iter().flatten().flatten();
    let visible = entries.filter(|it| !it.file_name().as_encoded_bytes().starts_with(b"."));
    let is_directory = |it: &fs::DirEntry| it.file_type().is_ok_and(|kind| kind.is_dir());
    let (copied, files): (Vec<_>, Vec<_>) = visible.partition(is_directory);
    let is_taken = |it: &fs::DirEntry| match it.file_name() == *name {
        true => !files.is_empty(),
        false => store.join(it.file_name()).exists(),
    };
    let step = |it: &fs::DirEntry| {
        let (path, copy) = (it.path(), quoted_path(&it.path()));
        if !is_taken(it) {
            return format!("cp -R {copy} {} && rm -r {copy}", quoted_path(store));
        }
        let copied = it.file_name().to_string_lossy().into_owned();
        let aside = quoted(&format!("{}.{copied}", store.display()));
        let move_aside = format!("mv {copy} {aside}");
        match path.join(DOCUMENT).exists() {
            true => format!(
                "{{ notme trust refresh {} --from {} || :; {move_aside}; }}",
                quoted(&copied),
                quoted_path(&path.join(DOCUMENT))
            ),
            false => move_aside,
        }
    };
    let mut steps: Vec<_> = copied.iter().map(step).collect();
    let is_authority = !files.is_empty() || copied.iter().any(|it| it.file_name() == *name);
    if !is_authority {
        steps.push(format!("rm -r {}", quoted_path(&home)));
    }
    (!copied.is_empty()).then(|| steps.join(" && "))
}

/// Returns what forgets an authority and pins it anew, by what its agent's configuration knows;
/// where there is none, somebody has to say.
fn pin_again(scene: &Scene<'_>, name: &str) -> String {
    let name = quoted(name);
    let remove = format!("notme trust remove {name}");
    if name == quoted(EMBEDDED) {
        return format!("{remove} && {}", scene.init());
    }
    let mut configs = scene
        .agents
        .iter()
        .filter_map(|(_, config)| config.as_ref().ok());
    match configs.find(|it| !it.embedded && quoted(&trust_name(it)) == name) {
        Some(config) => {
            let (pins, url) = (pins(config), quoted(config.authority.as_str()));
            format!("{remove} && notme trust add --name {name}{pins} {url}")
        }
        None => format!("{remove} && notme trust add --name {name} --pin SHA256 URL"),
    }
}

pub(super) fn is_current(scene: &Scene<'_>, findings: &mut Findings) -> Result<(), Failure> {
    for authority in scene.trust.authorities() {
        let name = authority.name();
        if let Some(facts) = authority.document()
            && facts.expires_at < now()
        {
            findings.add(
                Code::TrustStale.as_str(),
                format!(
                    "the trust document of `{name}` expired at {}",
                    facts.expires_at
                ),
                scene.refresh(name),
            );
        }
    }
    Ok(())
}
