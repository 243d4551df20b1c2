//! The audit: what happened, in rows that nobody changes unseen.
//!
//! Each row is canonical JSON (RFC 8785) and names the SHA-256 of the row before. Now and then the
//! authority signs how far they went: a head. Whoever keeps one can tell later whether a row up to
//! it was changed, left out, moved or cut off. See docs/formats/audit.md.

use notme_core::{
    dsse::{Envelope, EnvelopeError},
    hex,
    key::{PublicKey, SignError, Signer, sha256},
    time::UnixTime,
};
use serde::{Deserialize, Serialize};

/// The DSSE payload type of a head.
pub const HEAD_TYPE: &str = "application/vnd.notme.audit-head+json";
const LABEL: &str = "notme-audit-row";
const VERSION: u64 = 1;

/// What happened, before it has its place.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) at: UnixTime,
    pub(crate) actor: String,
    pub(crate) act: Act,
    /// What it was done to.
    pub(crate) about: String,
    /// Why it was refused.
    pub(crate) code: Option<&'static str>,
    pub(crate) request: Option<[u8; 32]>,
    pub(crate) issued: Vec<[u8; 32]>,
}

impl Entry {
    pub(crate) fn new(at: UnixTime, actor: impl Into<String>, act: Act, about: String) -> Self {
        Self {
            at,
            actor: actor.into(),
            act,
            about,
            code: None,
            request: None,
            issued: Vec::new(),
        }
    }

    /// Gives it its place after another row; returns the row and its hash.
    pub(crate) fn row(
        &self,
        after: Option<(u64, [u8; 32])>,
    ) -> Result<(u64, String, [u8; 32]), serde_json::Error> {
        let number = after.map_or(1, |(number, _)| number.saturating_add(1));
        let row = serde_json_canonicalizer::to_string(&Row {
            label: LABEL.to_owned(),
            version: VERSION,
            number,
            time: self.at,
            actor: self.actor.clone(),
            act: self.act.as_str().to_owned(),
            about: self.about.clone(),
            code: self.code.map(str::to_owned),
            request: self.request.map(|digest| hex::encode(&digest)),
            issued: self.issued.iter().map(|it| hex::encode(it)).collect(),
            previous: after.map(|(_, hash)| hex::encode(&hash)),
        })?;
        let hash = sha256(row.as_bytes());
        Ok((number, row, hash))
    }
}

/// Returns how an operator is called who runs our process.
pub(crate) fn operator() -> String {
    format!("uid:{}", rustix::process::geteuid().as_raw())
}

/// What is done by, or to, an authority.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Act {
    Found,
    AddKeys,
    Enrol,
    Issue,
    Renew,
    AccessToken,
    Refuse,
    RefuseMore,
    CreateToken,
    RevokeToken,
    Revoke,
    Prepare,
    Activate,
    Retire,
    Publish,
    Restore,
    Move,
}

impl Act {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::AddKeys => "add-keys",
            Self::Enrol => "enrol",
            Self::Issue => "issue",
            Self::Renew => "renew",
            Self::AccessToken => "access-token",
            Self::Refuse => "refuse",
            Self::RefuseMore => "refuse-more",
            Self::CreateToken => "create-token",
            Self::RevokeToken => "revoke-token",
            Self::Revoke => "revoke",
            Self::Prepare => "rotate-prepare",
            Self::Activate => "rotate-activate",
            Self::Retire => "rotate-retire",
            Self::Publish => "publish",
            Self::Restore => "restore",
            Self::Move => "move",
        }
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Row {
    label: String,
    version: u64,
    number: u64,
    time: UnixTime,
    actor: String,
    act: String,
    about: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    request: Option<String>,
    issued: Vec<String>,
    previous: Option<String>,
}

impl Row {
    fn parse(line: &[u8]) -> Option<Self> {
        let row: Self = serde_json::from_slice(line).ok()?;
        let is_canonical =
            serde_json_canonicalizer::to_vec(&row).is_ok_and(|canonical| canonical == line);
        (is_canonical && row.label == LABEL && row.version == VERSION).then_some(row)
    }
}

/// How far the rows went at some time, as the authority signed it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AuditHead {
    version: u64,
    /// URL of the authority.
    pub authority: String,
    /// The first segment of the identities that it issues.
    pub trust_domain: String,
    /// The number of the last row.
    pub number: u64,
    /// SHA-256 of that row, in hex.
    pub hash: String,
    /// When this was signed.
    pub time: UnixTime,
}

impl AuditHead {
    pub(crate) fn new(
        (authority, trust_domain): (&str, &str),
        (number, hash): (u64, [u8; 32]),
        time: UnixTime,
    ) -> Self {
        Self {
            version: VERSION,
            authority: authority.to_owned(),
            trust_domain: trust_domain.to_owned(),
            number,
            hash: hex::encode(&hash),
            time,
        }
    }

    /// Signs it and returns the JSON envelope.
    pub(crate) fn sign(&self, keys: &[&dyn Signer]) -> Result<Vec<u8>, AuditError> {
        let payload = serde_json_canonicalizer::to_vec(self).map_err(AuditError::Json)?;
        Ok(Envelope::sign(HEAD_TYPE, payload, keys)?.to_json()?)
    }

    /// Reads a head that the caller got from somebody he believes: no signature is checked.
    ///
    /// # Errors
    /// [`AuditError::Head`] when it is none.
    pub fn read_unchecked(envelope: &[u8]) -> Result<Self, AuditError> {
        Self::open(envelope).map(|(_, head)| head)
    }

    /// Reads a head that one of these keys signed.
    ///
    /// # Errors
    /// [`AuditError::HeadUnsigned`] when none of them did.
    pub fn read(envelope: &[u8], keys: &[&PublicKey]) -> Result<Self, AuditError> {
        let (envelope, head) = Self::open(envelope)?;
        match keys.iter().any(|key| envelope.is_signed_by(key)) {
            true => Ok(head),
            false => Err(AuditError::HeadUnsigned),
        }
    }

    fn open(envelope: &[u8]) -> Result<(Envelope, Self), AuditError> {
        let envelope = Envelope::from_json(envelope)?;
        if envelope.payload_type() != HEAD_TYPE {
            return Err(AuditError::Head);
        }
        let head: Self =
            serde_json::from_slice(envelope.payload()).map_err(|_| AuditError::Head)?;
        let is_good = head.version == VERSION
            && head.number > 0
            && hex::decode_array::<32>(&head.hash).is_some();
        match is_good {
            true => Ok((envelope, head)),
            false => Err(AuditError::Head),
        }
    }
}

/// Looks at rows, one after the other, and tells whether they are all that there were.
#[derive(Debug)]
pub struct AuditCheck {
    head: Option<AuditHead>,
    next: u64,
    last: Option<[u8; 32]>,
    /// A row that was not where it should be.
    missing: Option<u64>,
}

impl AuditCheck {
    /// Begins; up to a head, the rows have to be those that it closed.
    pub fn new(head: Option<AuditHead>) -> Self {
        Self {
            head,
            next: 1,
            last: None,
            missing: None,
        }
    }

    /// Looks at the next row, as it was exported, without its line feed.
    ///
    /// # Errors
    /// [`AuditError`] naming the first thing that is wrong.
    pub fn row(&mut self, line: &[u8]) -> Result<(), AuditError> {
        let row = Row::parse(line).ok_or(AuditError::Malformed {
            after: self.next - 1,
        })?;
        if let Some(missing) = self.missing {
            return match row.number == missing {
                true => Err(AuditError::Reordered { number: missing }),
                false => Ok(()),
            };
        }
        if row.number < self.next {
            return Err(AuditError::Reordered { number: row.number });
        }
        if row.number > self.next {
            // Left out, or moved: what comes later tells.
            self.missing = Some(self.next);
            return Ok(());
        }
        if row.previous != self.last.map(|hash| hex::encode(&hash)) {
            return Err(AuditError::Changed {
                number: self.next.saturating_sub(1).max(1),
            });
        }
        let hash = sha256(line);
        if let Some(head) = &self.head
            && head.number == row.number
            && head.hash != hex::encode(&hash)
        {
            return Err(AuditError::Changed { number: row.number });
        }
        self.last = Some(hash);
        self.next = self.next.saturating_add(1);
        Ok(())
    }

    /// Checks that the row just looked at has the hash that was kept beside it.
    pub(crate) fn kept(&self, hash: &[u8; 32]) -> Result<(), AuditError> {
        match self.last.is_none_or(|last| last == *hash) || self.missing.is_some() {
            true => Ok(()),
            false => Err(AuditError::Changed {
                number: self.next.saturating_sub(1),
            }),
        }
    }

    /// Ends, and returns how many rows there are.
    ///
    /// # Errors
    /// [`AuditError::Gap`] and [`AuditError::Cut`].
    pub fn finish(self) -> Result<u64, AuditError> {
        if let Some(number) = self.missing {
            return Err(AuditError::Gap { number });
        }
        let count = self.next.saturating_sub(1);
        match self.head {
            Some(head) if head.number > count => Err(AuditError::Cut {
                last: count,
                head: head.number,
            }),
            Some(_) | None => Ok(count),
        }
    }
}

/// The rows are not all that there were, or not as they were.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A row has other bytes than the next row, or the head, says.
    #[error("row {number} was changed")]
    Changed {
        /// Its number.
        number: u64,
    },
    /// The last rows are not there.
    #[error("the rows end with {last}, and the head closed {head}")]
    Cut {
        /// The number of the last row.
        last: u64,
        /// That of the head.
        head: u64,
    },
    /// A row is not there.
    #[error("row {number} is missing")]
    Gap {
        /// Its number.
        number: u64,
    },
    /// A row is not in its place.
    #[error("row {number} is not in its place")]
    Reordered {
        /// Its number.
        number: u64,
    },
    /// A line is no row, or not in its one spelling.
    #[error("what follows row {after} is not a row")]
    Malformed {
        /// The number of the row before; 0 at the beginning.
        after: u64,
    },
    /// Not the head of an audit.
    #[error("this is not the head of an audit")]
    Head,
    /// Not an envelope.
    #[error("the head is not a signed envelope")]
    Envelope(#[from] EnvelopeError),
    /// None of the keys that are believed signed the head.
    #[error("no key that is pinned signed the head")]
    HeadUnsigned,
    /// A head could not be encoded.
    #[error("the head cannot be written")]
    Json(#[source] serde_json::Error),
    /// A head could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl AuditError {
    /// Returns the code of the error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Changed { .. } => "audit-changed",
            Self::Cut { .. } => "audit-cut",
            Self::Gap { .. } => "audit-gap",
            Self::Reordered { .. } => "audit-reordered",
            Self::Malformed { .. } => "audit-malformed",
            Self::Head | Self::Envelope(_) => "audit-head-malformed",
            Self::HeadUnsigned => "audit-head-unsigned",
            Self::Json(_) | Self::Sign(_) => "authority-runtime",
        }
    }
}
