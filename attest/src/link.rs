//! Statements of one's own said once more as in-toto links, for layouts that ask for these.
//!
//! A link is another signature, by whoever signed the statement, over less: what went into the
//! step and what came of it. No certificate and no time stamp goes with it; a layout names keys,
//! and trusts these. Nothing of ours reads links.

use std::collections::{BTreeMap, HashMap};

use in_toto::{
    crypto::{HashAlgorithm, HashValue, PublicKey},
    models::{
        LinkMetadataBuilder, Metablock, Metadata as _, TargetDescription, VirtualTargetPath,
        byproducts::ByProducts,
    },
};
use notme_core::{
    base64,
    certificate::{Certificate, CertificateError},
    hex,
    key::sha256,
    statement::{Statement, StatementError},
};
use notme_signer::{AgentClient, ClientError};
use serde_json::json;

use crate::{
    bundle::Bundle,
    predicate::{Artifact, Predicate, PredicateError},
    store::{Store, StoreError},
};

/// What in-toto's Python library hashes into the id of a key.
const KEY_ID_HASHES: [&str; 2] = ["sha256", "sha512"];

/// A link, and the key that signed it, as files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedLink {
    /// `<step>.<beginning of the key's id>.link`.
    pub name: String,
    /// The signed link.
    pub content: Vec<u8>,
    /// `<beginning of the key's id>.pub`.
    pub key_name: String,
    /// The public key, as layouts hold it.
    pub key: Vec<u8>,
}

/// Says a statement once more as a link. That the agent signed the statement, that it is worth anything, and
/// whether what it is part of or rests on `fails`, is for the caller to know.
///
/// # Errors
/// [`LinkError`].
pub fn restate(
    client: &mut AgentClient,
    agent: &str,
    (bundle, fails): (&Bundle, bool),
    store: &Store,
) -> Result<SignedLink, LinkError> {
    let link = link_of(bundle, fails, store)?.build()?;
    let message = link.to_bytes()?;
    let answer = client.attest(agent, message)?;
    let decode = |text: &str| base64::decode(text).ok_or(LinkError::Answer);
    let leaf = answer.certificates.first().ok_or(LinkError::Answer)?;
    let leaf = Certificate::from_der(&decode(leaf)?)?;
    let ed25519 = leaf.public_key().ed25519_bytes().ok_or(LinkError::Key)?;
    let hashes = KEY_ID_HASHES.map(str::to_owned).to_vec();
    let key = PublicKey::from_ed25519_with_keyid_hash_algorithms(ed25519, Some(hashes))?;
    let signature = hex::encode(&decode(&answer.signature)?);
    let signatures = json!([{"keyid": key.key_id(), "sig": signature}]);
    let signed = json!({"signatures": signatures, "signed": &link});
    let metablock: Metablock = serde_json::from_value(signed)?;
    metablock.verify(1, [&key])?;
    let id = key.key_id().prefix();
    Ok(SignedLink {
        name: format!("{}.{id}.link", link.name),
        content: serde_json::to_vec_pretty(&metablock)?,
        key_name: format!("{id}.pub"),
        key: serde_json::to_vec_pretty(&key)?,
    })
}

/// Files by SHA-256; a link of this library's knows no other digest.
type Artifacts = BTreeMap<VirtualTargetPath, TargetDescription>;

fn link_of(bundle: &Bundle, fails: bool, store: &Store) -> Result<LinkMetadataBuilder, LinkError> {
    let statement = Statement::parse(bundle.envelope().payload())?;
    let predicate = Predicate::read(&statement)?;
    let (mut materials, mut products) = (Artifacts::new(), Artifacts::new());
    for subject in statement.subjects() {
        let name = subject.name.as_deref().unwrap_or_default();
        let sha256 = subject.digest.get("sha256");
        match (&predicate, subject.digest.get("gitCommit"), sha256) {
            (_, Some(commit), _) => {
                let digest = commit_digest(store, commit)?;
                // Who accepts or verifies a commit leaves it as it was.
                if let Predicate::Acceptance(_) | Predicate::Summary(_) = predicate {
                    insert(&mut materials, commit, &digest)?;
                }
                insert(&mut products, commit, &digest)?;
            }
            (Predicate::Dispatch(_), None, Some(item)) => insert(&mut materials, name, item)?,
            (Predicate::Handoff(_), None, Some(document)) => {
                insert(&mut products, name, document)?;
            }
            // An activity's own name is nothing that it made.
            (_, None, _) => {}
        }
    }
    if let Predicate::Activity(activity) = &predicate {
        insert_all(&mut materials, &activity.inputs)?;
        insert_all(&mut products, &activity.outputs)?;
    }
    let source = BTreeMap::from([
        (
            "predicateType".to_owned(),
            statement.predicate_type().to_owned(),
        ),
        ("statement".to_owned(), bundle.payload_digest()),
    ]);
    Ok(LinkMetadataBuilder::new()
        .name(predicate.word(fails).to_owned())
        .materials(materials)
        .products(products)
        .byproducts(ByProducts::new().set_other_fields(source))
        .env(Some(BTreeMap::new())))
}

/// Hashes a commit as `git cat-file commit` prints it.
fn commit_digest(store: &Store, commit: &str) -> Result<String, LinkError> {
    let facts = store.commit(commit)?;
    let facts = facts.ok_or_else(|| LinkError::Commit(commit.to_owned()))?;
    Ok(hex::encode(&sha256(&facts.raw)))
}

/// Names a file. Two of one name would be one, which says of the other what is not so.
fn insert(artifacts: &mut Artifacts, name: &str, sha256: &str) -> Result<(), LinkError> {
    let Some(digest) = hex::decode(sha256) else {
        return Ok(());
    };
    let digest = HashMap::from([(HashAlgorithm::Sha256, HashValue::new(digest))]);
    let before = artifacts.insert(name.into(), digest.clone());
    match before.is_none_or(|before| before == digest) {
        true => Ok(()),
        false => Err(LinkError::Name(name.to_owned())),
    }
}

fn insert_all(artifacts: &mut Artifacts, all: &[Artifact]) -> Result<(), LinkError> {
    all.iter().try_for_each(|artifact| {
        let digest = artifact.digest.get("sha256");
        digest.map_or(Ok(()), |digest| insert(artifacts, &artifact.name, digest))
    })
}

/// The statement was not said as a link.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It is none that we read.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// It says nothing that we know.
    #[error(transparent)]
    Predicate(#[from] PredicateError),
    /// The repository could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A commit that it is about is not in the repository.
    #[error("commit {0} is not here")]
    Commit(String),
    /// Two files of one name.
    #[error("two different files of the statement are called `{0}`, and a link has room for one")]
    Name(String),
    /// in-toto's library says no.
    #[error("the link cannot be made")]
    InToto(#[from] in_toto::Error),
    /// It cannot be written.
    #[error("the link cannot be written")]
    Json(#[from] serde_json::Error),
    /// The key agent said no, or nothing.
    #[error(transparent)]
    Agent(#[from] ClientError),
    /// The key agent's answer is not what it should be.
    #[error("the key agent's answer is malformed")]
    Answer,
    /// The certificate cannot be read.
    #[error("the key agent's certificate is malformed")]
    Certificate(#[from] CertificateError),
    /// A key of another kind, whose id in-toto's libraries do not agree on.
    #[error("links are signed with Ed25519 keys only")]
    Key,
}
