//! Forged commits, each with the code that refuses it.

use std::fs;

use notme_attest::{Store, store::Place};
use notme_core::{
    armor::{armor, dearmor},
    cms::{SignedAttributes, SignedMessage, assemble},
    object::{HashKind, split_commit},
};

use crate::{failure::Failure, judging::now};

use super::{
    stage::{Stage, success},
    yesterday::Yesterday,
};

/// An attack and what must come of it.
pub(super) struct Attack {
    pub(super) title: &'static str,
    pub(super) expected: &'static str,
    means: Means,
}

enum Means {
    /// A commit to be judged by the trust store's policy.
    Commit(String),
    /// A commit to be judged by a policy that takes the signer's word for the time.
    TrustingCommit(String),
    /// A trust document to be taken.
    Document(String),
    /// A commit whose statements are to be judged.
    Statements(String),
    /// The same, once the records of its activity are gone.
    CutStatements(String),
}

impl Attack {
    /// Lets the verifier judge, and returns its code; `accepted` when it found nothing.
    pub(super) fn judge(&self, stage: &Stage) -> Result<String, Failure> {
        let output = match &self.means {
            Means::Commit(id) => stage.notme(&["verify", id, "--format", "json"])?,
            Means::TrustingCommit(id) => {
                let policy = stage.path("trusting.toml");
                fs::write(&policy, TRUSTING)?;
                stage.notme(&[
                    "verify",
                    id,
                    "--format",
                    "json",
                    "--policy",
                    &policy.to_string_lossy(),
                ])?
            }
            Means::Statements(id) => return statements(stage, id),
            Means::CutStatements(id) => {
                let kept = stage.git_ok(&["rev-parse", ACTIVITIES])?;
                stage.git_ok(&["update-ref", "-d", ACTIVITIES])?;
                let code = statements(stage, id)?;
                stage.git_ok(&["update-ref", ACTIVITIES, &kept])?;
                return Ok(code);
            }
            Means::Document(file) => {
                let output = stage.notme(&["trust", "refresh", "embedded", "--from", file])?;
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                let code = said
                    .lines()
                    .find_map(|line| line.strip_prefix("hint: ")?.split(':').next());
                return Ok(code.unwrap_or("accepted").to_owned());
            }
        };
        let document: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let code = document
            .pointer("/objects/0/code")
            .and_then(|code| code.as_str());
        Ok(code.unwrap_or("accepted").to_owned())
    }
}

/// Lets the verifier judge what is attested about a commit, and returns its code.
fn statements(stage: &Stage, id: &str) -> Result<String, Failure> {
    let output = stage.notme(&["attest", "verify", id, "--json"])?;
    let document: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let code = document.pointer("/0/code").and_then(|code| code.as_str());
    Ok(code.unwrap_or("accepted").to_owned())
}

const ACTIVITIES: &str = "refs/attestations/activities";

/// Keeps the statements about one commit with another, too.
fn move_statements(stage: &Stage, from: &str, to: &str) -> Result<(), Failure> {
    let store = Store::open(&stage.path("repository").join(".git"))?;
    let kept = store.read(&Place::commit(from))?;
    let moved: Vec<_> = kept
        .into_iter()
        .map(|kept| (kept.content, vec![Place::commit(to)]))
        .collect();
    Ok(store.write(&moved, now())?)
}

const TRUSTING: &str = "\
time_basis_floor = \"declared\"
[[authority]]
name = \"embedded\"
scopes = [\"sign:git\"]
[[allow]]
identity = \"*\"
";

/// Makes the attacks: `honest` and `second` are commits that were accepted, and something is
/// attested about HEAD.
pub(super) fn all(
    stage: &Stage,
    honest: &str,
    second: &str,
    yesterday: &Yesterday,
) -> Result<Vec<Attack>, Failure> {
    let attested = stage.git_ok(&["rev-parse", "HEAD"])?;
    move_statements(stage, &attested, second)?;
    let moved_to = second.to_owned();
    let honest = Signed::read(stage, honest)?;
    let second = Signed::read(stage, second)?;
    let commit = |title, expected, raw: Vec<u8>| -> Result<Attack, Failure> {
        Ok(Attack {
            title,
            expected,
            means: Means::Commit(stage.store(&raw)?),
        })
    };
    let altered = |from: &str, to: &str| {
        with_signature(honest.payload.replacen(from, to, 1), &honest.signature)
    };
    let mut attacks = vec![
        commit(
            "altered message",
            "signature-invalid",
            altered("parser", "backdoor"),
        )?,
        commit(
            "altered tree",
            "signature-invalid",
            altered(&honest.tree, EMPTY_TREE),
        )?,
        commit(
            "altered parent",
            "signature-invalid",
            altered(
                &honest.parent,
                &stage.git_ok(&["rev-parse", "v1^{commit}"])?,
            ),
        )?,
        commit(
            "signature removed",
            "unsigned",
            honest.payload.clone().into_bytes(),
        )?,
        commit(
            "signature of another commit",
            "signature-invalid",
            with_signature(honest.payload.clone(), &second.signature),
        )?,
        commit(
            "certificate issued for another commit",
            "issuance-mismatch",
            with_signature(honest.payload.clone(), &transplant(&honest, &second)?),
        )?,
        commit(
            "signed attributes stripped",
            "cms-no-attributes",
            with_signature(honest.payload.clone(), &strip_attributes(&honest)?),
        )?,
        commit(
            "two signatures",
            "signature-ambiguous",
            with_signature(
                text(with_signature(honest.payload.clone(), &honest.signature))?,
                &second.signature,
            ),
        )?,
        commit(
            "text behind the signature",
            "signature-ambiguous",
            with_signature(
                honest.payload.clone(),
                &format!("{}looks harmless\n", honest.signature),
            ),
        )?,
        commit(
            "signature moved, so that git sees no parent",
            "object-malformed",
            moved(&honest),
        )?,
        Attack {
            title: "an authority of the attacker's own",
            expected: "signer-untrusted",
            means: Means::Commit(foreign_commit(stage)?),
        },
        Attack {
            title: "yesterday's key, dated yesterday",
            expected: "time-basis-too-weak",
            means: Means::Commit(yesterday.back_dated.clone()),
        },
        Attack {
            title: "yesterday's key, dated today; policy trusts dates",
            expected: "certificate-expired",
            means: Means::TrustingCommit(yesterday.expired.clone()),
        },
    ];
    attacks.push(Attack {
        title: "statements of another commit",
        expected: "attestation-missing",
        means: Means::Statements(moved_to),
    });
    attacks.push(Attack {
        title: "statements whose chain lost its beginning",
        expected: "chain-prefix-missing",
        means: Means::CutStatements(attested),
    });
    attacks.push(Attack {
        title: "yesterday's trust document",
        expected: "bundle-rollback",
        means: Means::Document(yesterday.document_file(stage)?),
    });
    Ok(attacks)
}

const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// A signed commit, taken apart.
struct Signed {
    payload: String,
    signature: String,
    tree: String,
    parent: String,
}

impl Signed {
    fn read(stage: &Stage, id: &str) -> Result<Self, Failure> {
        let raw = stage.read(id)?;
        let split = split_commit(&raw, HashKind::Sha1)?;
        let payload = text(split.payload().to_vec())?;
        let header = |name: &str| {
            let line = payload.lines().find_map(|line| line.strip_prefix(name));
            line.map(str::to_owned)
                .ok_or_else(|| Failure::from("a commit without a header"))
        };
        Ok(Self {
            tree: header("tree ")?,
            parent: header("parent ")?,
            signature: text(split.signature().unwrap_or_default().to_vec())?,
            payload,
        })
    }

    fn message(&self) -> Result<SignedMessage, Failure> {
        Ok(SignedMessage::parse(&dearmor(self.signature.as_bytes())?)?)
    }
}

fn text(bytes: Vec<u8>) -> Result<String, Failure> {
    Ok(String::from_utf8(bytes)?)
}

/// Puts a signature header where git puts it: last.
fn with_signature(payload: String, signature: &str) -> Vec<u8> {
    let header = format!("\ngpgsig {}\n\n", signature.trim_end().replace('\n', "\n "));
    payload.replacen("\n\n", &header, 1).into_bytes()
}

/// The same commit with its signature before its parent: git stops reading parents there.
fn moved(honest: &Signed) -> Vec<u8> {
    let parent = format!("\nparent {}", honest.parent);
    let header = format!(
        "\ngpgsig {}",
        honest.signature.trim_end().replace('\n', "\n ")
    );
    honest
        .payload
        .replacen(&parent, &format!("{header}{parent}"), 1)
        .into_bytes()
}

/// The session's own signature over one commit, with the certificate issued for the other.
fn transplant(honest: &Signed, other: &Signed) -> Result<String, Failure> {
    let message = honest.message()?;
    let time = message
        .signing_time()
        .ok_or_else(|| Failure::from("a signature without a time"))?;
    let attributes = SignedAttributes::new(message.hash(), honest.payload.as_bytes(), time);
    let der = assemble(
        &attributes,
        message.signature(),
        other.message()?.signer(),
        &[],
    );
    Ok(armor(&der))
}

/// The same signature in the form without signed attributes, as an attacker would re-encode it.
fn strip_attributes(honest: &Signed) -> Result<String, Failure> {
    let message = honest.message()?;
    let time = message
        .signing_time()
        .ok_or_else(|| Failure::from("a signature without a time"))?;
    let attributes = SignedAttributes::new(message.hash(), honest.payload.as_bytes(), time);
    let der = dearmor(honest.signature.as_bytes())?;
    let contents = attributes.der().get(1..).unwrap_or_default();
    let at = der
        .windows(contents.len())
        .position(|window| window == contents)
        .and_then(|at| at.checked_sub(1))
        .ok_or_else(|| Failure::from("a signature without attributes"))?;
    Ok(armor(&remove(&der, at)))
}

/// Copies DER elements without the one that starts at `target`, shortening every element around
/// it.
fn remove(der: &[u8], target: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(der.len());
    let mut start = 0;
    while let Some((tag, body, end)) = element(der, start) {
        let encloses = tag & 0x20 != 0 && (body..end).contains(&target);
        if encloses {
            let inner = remove(der.get(body..end).unwrap_or_default(), target - body);
            out.push(tag);
            let length = inner.len().to_be_bytes();
            match inner.len() {
                0..0x80 => out.extend(length.last_chunk::<1>().unwrap_or(&[0])),
                0x80..0x100 => {
                    out.push(0x81);
                    out.extend(length.last_chunk::<1>().unwrap_or(&[0]));
                }
                _ => {
                    out.push(0x82);
                    out.extend(length.last_chunk::<2>().unwrap_or(&[0; 2]));
                }
            }
            out.extend(inner);
        } else if start != target {
            out.extend(der.get(start..end).unwrap_or_default());
        }
        start = end;
    }
    out
}

/// Returns tag, start of the contents and end of the element at `start`.
fn element(der: &[u8], start: usize) -> Option<(u8, usize, usize)> {
    let (&tag, rest) = der.get(start..)?.split_first()?;
    let (head, length) = match *rest {
        [0x82, high, low, ..] => (4, usize::from(u16::from_be_bytes([high, low]))),
        [0x81, length, ..] => (3, usize::from(length)),
        [length, ..] => (2, usize::from(length)),
        [] => return None,
    };
    Some((tag, start + head, start + head + length))
}

/// A commit that is good in every respect, under an authority that nobody here pinned.
fn foreign_commit(stage: &Stage) -> Result<String, Failure> {
    let elsewhere = stage.path("elsewhere");
    let run = |program: &std::path::Path, arguments: &[&str]| -> Result<String, Failure> {
        let mut command = stage.command_with_home(program, "other");
        success(command.current_dir(&elsewhere).args(arguments).output()?)
    };
    fs::create_dir(&elsewhere)?;
    let git = std::path::Path::new("git");
    run(git, &["init", "-q", "-b", "main"])?;
    run(stage.program(), &["init", "--agent", "claude"])?;
    run(git, &["commit", "-q", "--allow-empty", "-m", "mine"])?;
    let id = run(git, &["rev-parse", "HEAD"])?;
    stage.git_ok(&["fetch", "-q", &elsewhere.to_string_lossy(), "main"])?;
    Ok(id)
}
