//! gpg's status lines. They differ from gpgsm's in what names a key and in how times are written.

use std::fmt;

use notme_core::{
    openpgp::{Fingerprint, LongKeyId, Signature},
    time::UnixTime,
};

use crate::status_lines::{Escaped, TrustLevel};

/// One line. Every key is followed by a space, without which git reads on into the next line.
#[derive(Clone, Copy, Debug)]
pub enum StatusLine<'a> {
    /// A signature follows. Always first: git overlooks a verdict on the very first line.
    NewSignature,
    /// A signature is about to be made. Always first, for the same reason.
    BeginSigning,
    /// A detached signature was made and written.
    SignatureCreated {
        /// The signature.
        signature: &'a Signature,
        /// The key.
        fingerprint: &'a Fingerprint,
    },
    /// There is no such key to sign with.
    InvalidSigner {
        /// What was asked for.
        key: &'a str,
    },
    /// The signature holds; how far its signer is trusted is another line.
    Good {
        /// The key.
        key: LongKeyId,
        /// Whose.
        user_id: &'a str,
    },
    /// The signature does not match the data.
    Bad {
        /// The key, where it is known.
        key: Option<LongKeyId>,
        /// Whose, as the key says.
        user_id: &'a str,
    },
    /// The signature holds, but its key had expired.
    ExpiredKey {
        /// The key.
        key: LongKeyId,
        /// Whose.
        user_id: &'a str,
    },
    /// The signature holds, but its key is revoked.
    RevokedKey {
        /// The key.
        key: LongKeyId,
        /// Whose.
        user_id: &'a str,
    },
    /// The signature could not be judged.
    Error {
        /// The signature, where it could be read.
        signature: Option<&'a Signature>,
        /// Why.
        reason: ErrorReason,
    },
    /// The key is not here.
    NoPublicKey {
        /// The key.
        key: LongKeyId,
    },
    /// Details of a signature that holds.
    Valid {
        /// The key.
        fingerprint: &'a Fingerprint,
        /// The signature.
        signature: &'a Signature,
        /// The key above it.
        primary: &'a Fingerprint,
    },
    /// How far the signer is trusted.
    Trust(TrustLevel),
}

/// Why a signature could not be judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ErrorReason {
    /// It cannot be read, or trust cannot.
    Unreadable,
    /// Its algorithm is not supported, or not accepted any more.
    Algorithm,
    /// Its key is unknown.
    NoPublicKey,
}

impl fmt::Display for StatusLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[GNUPG:] ")?;
        match self {
            Self::NewSignature => f.write_str("NEWSIG"),
            Self::BeginSigning => f.write_str("BEGIN_SIGNING"),
            Self::SignatureCreated {
                signature,
                fingerprint,
            } => {
                let (kind, at) = (Kind(signature), signature.created().secs());
                write!(f, "SIG_CREATED D {kind} {at} {fingerprint}")
            }
            // 9: no secret key.
            Self::InvalidSigner { key } => write!(f, "INV_SGNR 9 {}", Escaped(key)),
            Self::Good { key, user_id } => write!(f, "GOODSIG {key} {}", Escaped(user_id)),
            Self::Bad { key, user_id } => {
                write!(f, "BADSIG {} {}", Known(*key), Escaped(user_id))
            }
            Self::ExpiredKey { key, user_id } => {
                write!(f, "EXPKEYSIG {key} {}", Escaped(user_id))
            }
            Self::RevokedKey { key, user_id } => {
                write!(f, "REVKEYSIG {key} {}", Escaped(user_id))
            }
            Self::Error { signature, reason } => {
                // doc/DETAILS: 4 is "unsupported algorithm", 9 is "missing public key"; there is
                // no number for the rest.
                let reason = match reason {
                    ErrorReason::Unreadable => 1,
                    ErrorReason::Algorithm => 4,
                    ErrorReason::NoPublicKey => 9,
                };
                let Some(signature) = signature else {
                    return write!(f, "ERRSIG {} 0 0 00 0 {reason} -", Known(None));
                };
                let fingerprints = signature.issuer_fingerprints();
                let key = Known(issuer(signature));
                let (kind, at) = (Kind(signature), signature.created().secs());
                write!(f, "ERRSIG {key} {kind} {at} {reason} ")?;
                match fingerprints.first() {
                    Some(fingerprint) => fingerprint.fmt(f),
                    None => f.write_str("-"),
                }
            }
            Self::NoPublicKey { key } => write!(f, "NO_PUBKEY {key}"),
            Self::Valid {
                fingerprint,
                signature,
                primary,
            } => {
                let at = signature.created();
                let date = at.to_string();
                let date = date.split('T').next().unwrap_or_default();
                let ends = signature.expires().map_or(0, UnixTime::secs);
                let (at, version) = (at.secs(), signature.version());
                let (kind, class) = (numbers(signature), signature.class());
                write!(
                    f,
                    "VALIDSIG {fingerprint} {date} {at} {ends} {version} 0 {kind} {class:02X} {primary}"
                )
            }
            Self::Trust(level) => write!(f, "TRUST_{} 0 pgp", level.as_str()),
        }
    }
}

/// Returns the key that a signature names as its own.
fn issuer(signature: &Signature) -> Option<LongKeyId> {
    let by_fingerprint = signature.issuer_fingerprints();
    let by_fingerprint = by_fingerprint.first().map(Fingerprint::long_id);
    by_fingerprint.or_else(|| signature.issuer_key_ids().first().copied())
}

/// The numbers of key algorithm, hash and class, as three fields.
struct Kind<'a>(&'a Signature);

impl fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:02X}", numbers(self.0), self.0.class())
    }
}

fn numbers(signature: &Signature) -> String {
    format!(
        "{} {}",
        signature.key_algorithm(),
        signature.hash_algorithm()
    )
}

/// A key id, or zeros where the key is not known.
struct Known(Option<LongKeyId>);

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(key) => key.fmt(f),
            None => f.write_str("0000000000000000"),
        }
    }
}
