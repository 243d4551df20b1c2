//! The verdicts as a signed verification summary, for those who trust whoever signs it.

use std::{collections::BTreeMap, io::Write};

use notme_attest::{
    make::{self, Revision},
    predicate::{Summary, VerificationResult, Verifier},
};
use notme_core::{
    json::Object,
    object::{parse_tag, split},
};
use notme_verifier::{Code, Outcome, Repository, repository::ObjectId};
use serde_json::{Value, json};

use crate::{arguments::Verify, commands::attest::Hand, failure::Failure, git, home::Home};

/// Signs a summary and writes it as a Sigstore bundle on one line. Nothing is written unsigned.
pub(super) fn write(
    home: &Home,
    repository: &Repository,
    verdicts: &Outcome,
    arguments: &Verify,
    to: &mut impl Write,
) -> Result<(), Failure> {
    if verdicts.is_interrupted() {
        return Err("not everything was judged, so nothing is summed up".into());
    }
    if verdicts.objects().is_empty() {
        return Err("nothing was selected, so there is nothing to sum up".into());
    }
    let resource_uri = match &arguments.resource {
        Some(uri) => uri.clone(),
        None => here()?,
    };
    let mut hand = Hand::of(home, arguments.agent.as_ref())?;
    let result = match verdicts.exit_code() {
        0 => VerificationResult::Passed,
        _ => VerificationResult::Failed,
    };
    let counts = verdicts.summary();
    let digest = |of: &str| json!({"sha256": of.trim_start_matches("sha256:")});
    let members = |value: Value| match value {
        Value::Object(object) => object,
        _ => Object::new(),
    };
    let summary = Summary {
        verifier: Verifier {
            id: hand.identity()?,
            version: BTreeMap::from([("notme".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
            more: Object::new(),
        },
        time_verified: verdicts.asked_at().to_string(),
        resource_uri,
        policy: members(json!({"digest": digest(verdicts.policy())})),
        verification_result: result,
        verified_levels: result.levels(counts.excepted + counts.baseline > 0),
        // What SLSA has no member for, under names that it leaves to us.
        more: members(json!({
            "slsaVersion": "1.2",
            Summary::RANGE: verdicts.range(),
            "notme_trust_root": verdicts.root().map(|id| id.to_string()),
            "notme_policies": verdicts.policies().map(digest).collect::<Vec<_>>(),
            "notme_summary": counts,
            "notme_trust": {"digest": digest(verdicts.trust())},
            // What happened to them may tell where they lie.
            "notme_trust_faults": verdicts.trust_faults().iter().map(|it| json!({"name": it.name, "code": it.code})).collect::<Vec<_>>(),
            "notme_trust_recorded": verdicts.is_trust_recorded(),
            "notme_beside_root": verdicts.beside_root(),
            "notme_half_judged": verdicts.half_judged(),
            "notme_policy_unasked": verdicts.is_policy_unasked(),
            "notme_attestations_absent": verdicts.lacks_attestations(),
            "notme_ignored": verdicts.ignored(),
            "notme_shallow": verdicts.shallow().iter().map(ToString::to_string).collect::<Vec<_>>(),
        })),
    };
    let statement = make::summary(&summary, &revisions(repository, verdicts)?)?;
    let mut bundle = hand.sign(&statement)?.bundle.to_json()?;
    bundle.push(b'\n');
    Ok(to.write_all(&bundle)?)
}

/// Returns what the selection names: a summary of a range speaks of its end. Of the refs that name
/// it, only the one that it was judged for is listed: another may have other rules.
fn revisions(repository: &Repository, verdicts: &Outcome) -> Result<Vec<Revision>, Failure> {
    let names = repository.names()?;
    let mut revisions = Vec::new();
    for tip in verdicts.tips() {
        let (algorithm, judged_for) = match tip.kind() {
            Some("commit") => ("gitCommit", verdicts.reference().map(str::to_owned)),
            // Of one that was found under another name, nothing is said under its own.
            Some("tag") if tip.judgement().shortcoming() == Some(Code::TagRenamed) => {
                ("gitTag", None)
            }
            Some("tag") => ("gitTag", own_name(repository, tip.id())?),
            // Neither can be signed, nor summed up.
            Some(_) | None => continue,
        };
        let references = names
            .iter()
            .filter(|(name, id)| *id == tip.id() && judged_for.as_ref() == Some(name));
        revisions.push(Revision {
            id: tip.id().to_string(),
            algorithm,
            references: references.map(|(name, _)| name.clone()).collect(),
        });
    }
    Ok(revisions)
}

/// Returns the ref that a tag is for, whoever else names it: that of the name in it.
fn own_name(repository: &Repository, tag: ObjectId) -> Result<Option<String>, Failure> {
    let (kind, raw) = repository.read(tag)?;
    let object = split(kind, &raw, repository.hash()).ok();
    let fields = object.and_then(|object| {
        parse_tag(object.payload())
            .ok()
            .map(|it| it.name().to_vec())
    });
    let name = fields.and_then(|name| String::from_utf8(name).ok());
    Ok(name.map(|name| format!("refs/tags/{name}")))
}

/// Names the repository as SLSA does.
fn here() -> Result<String, Failure> {
    let url = git::public_url()?.ok_or_else(|| {
        Failure::usage("the repository has no URL by which others know it")
            .hint("name it with `--resource git+https://…`")
    })?;
    Ok(format!("git+{url}"))
}
