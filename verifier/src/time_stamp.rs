//! What the time stamps of a signature show: RFC 3161 tokens among the unsigned attributes of CMS,
//! or beside an envelope.

use notme_core::{key::KeyId, time::UnixTime, timestamp::TimeStampToken};

use crate::{
    anchor::{Anchor, Stamper},
    refusal::Refusal,
    verdict::Code,
};

/// What came of a signature's time stamps.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TimeStamp {
    /// One holds, and the signer's authority names who made it.
    Trusted {
        /// The time in it.
        at: UnixTime,
        /// The last second in which it may have been made.
        latest: UnixTime,
        /// The id of the key that made it.
        kid: KeyId,
    },
    /// One names somebody whom the signer's authority names and took back. It counts for nothing.
    Revoked {
        /// The id of the key that was taken back.
        kid: KeyId,
    },
    /// There is one, by nobody that the signer's authority names, or in an algorithm that is not
    /// read. It counts for nothing and harms nothing.
    Untrusted,
    /// One is broken, or over other bytes, or falsely in the name of somebody trusted; says how.
    Invalid(Box<str>),
}

impl TimeStamp {
    /// Returns the word for it in reports.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Trusted { .. } => "trusted",
            Self::Revoked { .. } => "revoked",
            Self::Untrusted => "untrusted",
            Self::Invalid(_) => "invalid",
        }
    }

    /// Looks at the time stamps over a signature whose signer `anchor` vouches for. Of several that
    /// hold the earliest counts; one that does not hold counts more than any that does.
    pub(crate) fn of<'t>(
        tokens: impl IntoIterator<Item = &'t [u8]>,
        signature: &[u8],
        anchor: &Anchor,
    ) -> Option<Self> {
        let mut found: Option<Self> = None;
        for token in tokens {
            let next = Self::read(token, signature, &anchor.stampers);
            found = Some(match (found, next) {
                (_, invalid @ Self::Invalid(_)) => return Some(invalid),
                (None | Some(Self::Untrusted), next) => next,
                (Some(found), Self::Untrusted) => found,
                (Some(Self::Revoked { .. }), next @ Self::Trusted { .. }) => next,
                (Some(found), Self::Revoked { .. }) => found,
                (Some(found), next) => {
                    if next.latest() < found.latest() {
                        next
                    } else {
                        found
                    }
                }
            });
        }
        found
    }

    /// Where nobody is trusted to stamp, there is nothing that a token could be compared with, and
    /// it is not read.
    fn read(token: &[u8], signature: &[u8], stampers: &[Stamper]) -> Self {
        if stampers.is_empty() {
            return Self::Untrusted;
        }
        let token = match TimeStampToken::parse(token) {
            Ok(token) => token,
            Err(error) if error.is_unsupported() => return Self::Untrusted,
            Err(error) => return Self::Invalid(error.to_string().into()),
        };
        let named = || stampers.iter().filter(|it| token.names(&it.tsa.value));
        let Some(Stamper { tsa, is_revoked }) = named().min_by_key(|it| it.is_revoked) else {
            return Self::Untrusted;
        };
        // It may be listed for several times of its use.
        let was_used = |at, latest| {
            let mut same = named().filter(|it| it.tsa.value == tsa.value);
            same.any(|it| it.tsa.was_used(at, latest))
        };
        if *is_revoked {
            let kid = tsa.value.kid();
            return Self::Revoked { kid };
        }
        match token.verify(&tsa.value, signature) {
            Ok(stamp) if was_used(stamp.at(), stamp.latest()) => Self::Trusted {
                at: stamp.at(),
                latest: stamp.latest(),
                kid: tsa.value.kid(),
            },
            Ok(stamp) => Self::Invalid(
                format!(
                    "the time stamp is of {}, when its authority did not stamp",
                    stamp.at()
                )
                .into(),
            ),
            Err(error) => Self::Invalid(error.to_string().into()),
        }
    }

    fn latest(&self) -> Option<UnixTime> {
        match self {
            Self::Trusted { latest, .. } => Some(*latest),
            Self::Revoked { .. } | Self::Untrusted | Self::Invalid(_) => None,
        }
    }

    /// Returns why the object is refused for it.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        match self {
            Self::Invalid(detail) => Err(Refusal::new(Code::TimestampInvalid, detail.clone())),
            Self::Trusted { .. } | Self::Revoked { .. } | Self::Untrusted => Ok(()),
        }
    }
}
