//! What a root signs when it retires: how long it was used, and which roots come after it.
//!
//! It stays in every later document. Whoever pinned the root walks from handover to handover to
//! the roots of today, however many rotations were missed; and nobody can name a root as a
//! retired one of his own that never was.

use serde::{Deserialize, Serialize};

use crate::{
    base64, hex,
    key::{Hash, PublicKey, SignError, Signer},
    time::UnixTime,
};

/// A retired root's last word.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Handover {
    to: Vec<[u8; 32]>,
    signature: Vec<u8>,
}

/// What a handover is about.
#[derive(Clone, Copy, Debug)]
pub struct Retirement<'a> {
    /// The trust domain of the authority.
    pub trust_domain: &'a str,
    /// The key of the root that goes.
    pub root: &'a PublicKey,
    /// When it began to issue.
    pub from: UnixTime,
    /// When it ceased to.
    pub retired_at: UnixTime,
}

impl Handover {
    /// Signs the handover to the roots with these SHA-256 digests of SubjectPublicKeyInfos.
    ///
    /// # Errors
    /// [`SignError`] when the key could not be used, or `to` is empty or has more than
    /// [`SUCCESSORS_MAX`] digests.
    pub fn sign(
        retirement: &Retirement<'_>,
        to: Vec<[u8; 32]>,
        key: &dyn Signer,
    ) -> Result<Self, SignError> {
        if !(1..=SUCCESSORS_MAX).contains(&to.len()) {
            return Err(SignError::default());
        }
        let signature = key.sign(&retirement.statement(&to))?;
        Ok(Self { to, signature })
    }

    /// Returns the digests of the roots that come after.
    pub fn to(&self) -> &[[u8; 32]] {
        &self.to
    }

    /// Tells whether the root that goes signed this.
    pub fn is_of(&self, retirement: &Retirement<'_>) -> bool {
        let statement = retirement.statement(&self.to);
        retirement
            .root
            .verify(Hash::Sha256, &statement, &self.signature)
            .is_ok()
    }
}

impl Retirement<'_> {
    /// Returns the bytes that are signed: lines, of which none can hold a line feed.
    fn statement(&self, to: &[[u8; 32]]) -> Vec<u8> {
        let mut text = format!(
            "{LABEL}\n{}\n{}\n{}\n{}\n",
            self.trust_domain,
            hex::encode(&self.root.spki_sha256()),
            self.from,
            self.retired_at
        );
        for digest in to {
            text.push_str(&hex::encode(digest));
            text.push('\n');
        }
        text.into_bytes()
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    to: Vec<String>,
    signature: String,
}

impl From<Handover> for Wire {
    fn from(handover: Handover) -> Self {
        Self {
            to: handover
                .to
                .iter()
                .map(|digest| hex::encode(digest))
                .collect(),
            signature: base64::encode(&handover.signature),
        }
    }
}

impl TryFrom<Wire> for Handover {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        if !(1..=SUCCESSORS_MAX).contains(&wire.to.len()) {
            return Err("a handover names one to eight roots");
        }
        let to = wire.to.iter().map(|text| hex::decode_array(text));
        Ok(Self {
            to: to
                .collect::<Option<_>>()
                .ok_or("a handover names roots by SHA-256 in hex")?,
            signature: base64::decode(&wire.signature)
                .ok_or("the signature of a handover is base64")?,
        })
    }
}

/// Nothing else that a root signs begins so.
const LABEL: &str = "notme-trust-handover-v1";
/// The most roots that one hands over to.
pub const SUCCESSORS_MAX: usize = 8;
