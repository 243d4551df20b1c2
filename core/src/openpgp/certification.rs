//! What an authority says of a session key: the OpenPGP twin of an X.509 leaf.

use std::str;

use pgp::packet::{Notation, SubpacketData};

use super::{
    Key, OpenPgpError, SessionSubject, Signature, UserId,
    authority_key::TrustedKey,
    foreign::seconds,
    session_key::{creation, sign_user_id},
    signature::{
        ACTIVITY, EPOCH, IDENTITY, ISSUED_AT, PAYLOAD_SHA256, SCOPE, SERIAL, SESSION, TERMS,
    },
};
use crate::{hex, identity::Identity, key::Signer, terms::Terms, time::UnixTime};

/// What is certified of a session key, beyond whose it is.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    /// The serial number: what a revocation names.
    pub serial: [u8; 16],
    /// The first second.
    pub not_before: UnixTime,
    /// The last second.
    pub not_after: UnixTime,
    /// When the authority says it.
    pub issued_at: UnixTime,
    /// The authority's epoch.
    pub epoch: u64,
    /// What the session may do.
    pub scopes: &'a [String],
    /// What all certificates of the session have in common: the digest of its keys.
    pub session: [u8; 32],
    /// The one payload that may be signed, if it is about one.
    pub payload_sha256: Option<[u8; 32]>,
    /// The activity it is about.
    pub activity: Option<&'a str>,
    /// What else limits what may be signed.
    pub terms: Option<&'a Terms>,
}

/// Certifies a session key and returns the signature packet.
///
/// # Errors
/// [`OpenPgpError::NotEd25519`] when the signer's key is not the authority's,
/// [`OpenPgpError::Time`], [`OpenPgpError::TooLong`], [`OpenPgpError::Notation`] for terms beyond
/// their limits, [`OpenPgpError::Sign`].
pub fn certify(
    subject: &SessionSubject<'_>,
    statement: &Statement<'_>,
    authority: &TrustedKey,
    signer: &dyn Signer,
) -> Result<Vec<u8>, OpenPgpError> {
    if signer.public_key().ed25519_bytes() != authority.key().ed25519_bytes() {
        return Err(OpenPgpError::NotEd25519);
    }
    // The signature's time is its beginning; it ends with the last second of the leaf.
    let lifetime = seconds(statement.not_before, statement.not_after)?;
    let mut says = vec![
        creation(statement.not_before)?,
        SubpacketData::SignatureExpirationTime(lifetime),
        notation(IDENTITY, subject.identity.as_str()),
        notation(SERIAL, &hex::encode(&statement.serial)),
        notation(ISSUED_AT, &statement.issued_at.secs().to_string()),
        notation(EPOCH, &statement.epoch.to_string()),
        notation(SESSION, &hex::encode(&statement.session)),
    ];
    says.extend(statement.scopes.iter().map(|scope| notation(SCOPE, scope)));
    if let Some(digest) = statement.payload_sha256 {
        says.push(notation(PAYLOAD_SHA256, &hex::encode(&digest)));
    }
    if let Some(activity) = statement.activity {
        says.push(notation(ACTIVITY, activity));
    }
    if let Some(terms) = statement.terms {
        let text = terms.to_text().map_err(|_| OpenPgpError::Notation(TERMS))?;
        says.push(notation(TERMS, &text));
    }
    sign_user_id(
        authority.key().packet()?,
        &subject.packet()?,
        &UserId::new(&subject.user_id())?,
        says,
        signer,
    )?
    .to_packet()
}

/// A certification whose signature was checked, and what it says. It cannot be had otherwise.
#[derive(Clone, Debug)]
#[must_use]
pub struct Certification {
    identity: Identity,
    serial: [u8; 16],
    not_before: UnixTime,
    not_after: UnixTime,
    issued_at: UnixTime,
    epoch: u64,
    scopes: Vec<String>,
    session: [u8; 32],
    payload_sha256: Option<[u8; 32]>,
    activity: Option<String>,
    terms: Option<Terms>,
}

impl Certification {
    /// Checks that `authority` made `signature` over `subject` and `user_id`, and reads it.
    ///
    /// # Errors
    /// [`OpenPgpError::Mismatch`] and the like, [`OpenPgpError::Notation`] when the authority did
    /// not write what a notme authority writes, [`OpenPgpError::Time`] when it never ends.
    pub fn verify(
        signature: &Signature,
        authority: &TrustedKey,
        subject: &Key,
        user_id: &UserId,
    ) -> Result<Self, OpenPgpError> {
        signature.verify_certification(authority.key(), subject, user_id)?;
        if signature.kind() != super::SignatureKind::Certification {
            return Err(OpenPgpError::SignatureKind);
        }
        let one = |name| one(signature, name)?.ok_or(OpenPgpError::Notation(name));
        let number = |name| one(name)?.parse().map_err(|_| OpenPgpError::Notation(name));
        let issued_at = one(ISSUED_AT)?.parse();
        let session = hex::decode_array(one(SESSION)?);
        let scopes = signature.notations(SCOPE).map(|value| {
            let text = str::from_utf8(value).map_err(|_| OpenPgpError::Notation(SCOPE))?;
            Ok(text.to_owned())
        });
        Ok(Self {
            identity: Identity::try_from(one(IDENTITY)?.to_owned())
                .map_err(|_| OpenPgpError::Notation(IDENTITY))?,
            serial: hex::decode_array(one(SERIAL)?).ok_or(OpenPgpError::Notation(SERIAL))?,
            not_before: signature.created(),
            not_after: signature.expires().ok_or(OpenPgpError::Time)?,
            issued_at: issued_at
                .map(UnixTime::from_secs)
                .map_err(|_| OpenPgpError::Notation(ISSUED_AT))?,
            epoch: number(EPOCH)?,
            scopes: scopes.collect::<Result<_, OpenPgpError>>()?,
            session: session.ok_or(OpenPgpError::Notation(SESSION))?,
            payload_sha256: payload_digest(signature)?,
            activity: self::one(signature, ACTIVITY)?.map(str::to_owned),
            terms: self::one(signature, TERMS)?
                .map(Terms::from_text)
                .transpose()
                .map_err(|_| OpenPgpError::Notation(TERMS))?,
        })
    }

    /// Returns who the key is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns the serial number.
    pub fn serial(&self) -> &[u8; 16] {
        &self.serial
    }

    /// Returns the first second.
    pub fn not_before(&self) -> UnixTime {
        self.not_before
    }

    /// Returns the last second.
    pub fn not_after(&self) -> UnixTime {
        self.not_after
    }

    /// Returns when the authority said it.
    pub fn issued_at(&self) -> UnixTime {
        self.issued_at
    }

    /// Returns the authority's epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Returns what the session may do.
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Returns what all certificates of the session have in common.
    pub fn session(&self) -> &[u8; 32] {
        &self.session
    }

    /// Returns the one payload that may be signed, if it is about one.
    pub fn payload_sha256(&self) -> Option<[u8; 32]> {
        self.payload_sha256
    }

    /// Returns the activity it is about.
    pub fn activity(&self) -> Option<&str> {
        self.activity.as_deref()
    }

    /// Returns what else limits what may be signed.
    pub fn terms(&self) -> Option<&Terms> {
        self.terms.as_ref()
    }
}

/// Returns the payload digest that a signature names.
pub(super) fn payload_digest(signature: &Signature) -> Result<Option<[u8; 32]>, OpenPgpError> {
    let Some(text) = one(signature, PAYLOAD_SHA256)? else {
        return Ok(None);
    };
    let digest = hex::decode_array(text).ok_or(OpenPgpError::Notation(PAYLOAD_SHA256))?;
    Ok(Some(digest))
}

/// Returns the value of a notation that may be there once, as text.
fn one<'a>(signature: &'a Signature, name: &'static str) -> Result<Option<&'a str>, OpenPgpError> {
    let mut values = signature.notations(name);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => str::from_utf8(value)
            .map(Some)
            .map_err(|_| OpenPgpError::Notation(name)),
        (Some(_), Some(_)) => Err(OpenPgpError::Notation(name)),
    }
}

/// Returns a notation that people can read. It is not critical: a reader that does not know it
/// knows enough without.
pub(super) fn notation(name: &'static str, value: &str) -> SubpacketData {
    SubpacketData::Notation(Notation {
        readable: true,
        name: name.into(),
        value: value.as_bytes().to_vec().into(),
    })
}
