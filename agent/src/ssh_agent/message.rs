//! Requests and answers, without their lengths.

use notme_core::ssh::wire::{Reader, WireError, Writer};

use super::binding::SessionBind;

/// What a client asks.
#[derive(Debug)]
pub(super) enum Request<'a> {
    /// Which keys there are.
    Identities,
    /// A signature. The flags choose among RSA's hashes, and we have no RSA keys.
    Sign {
        key: &'a [u8],
        data: &'a [u8],
    },
    Lock(&'a [u8]),
    Unlock(&'a [u8]),
    Extension(Extension<'a>),
    /// To add or remove keys, or something that we do not know.
    Other,
}

/// The extensions that we know.
#[derive(Debug)]
pub(super) enum Extension<'a> {
    Query,
    SessionBind(SessionBind<'a>),
}

impl<'a> Request<'a> {
    /// Parses a message.
    ///
    /// # Errors
    /// [`WireError`].
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(message);
        let request = match reader.byte()? {
            REQUEST_IDENTITIES => Self::Identities,
            SIGN_REQUEST => {
                let (key, data) = (reader.string()?, reader.string()?);
                let _flags = reader.u32()?;
                Self::Sign { key, data }
            }
            LOCK => Self::Lock(reader.string()?),
            UNLOCK => Self::Unlock(reader.string()?),
            EXTENSION => match reader.string()? {
                QUERY => Self::Extension(Extension::Query),
                SESSION_BIND => {
                    Self::Extension(Extension::SessionBind(SessionBind::parse(&mut reader)?))
                }
                _ => return Ok(Self::Other),
            },
            _ => return Ok(Self::Other),
        };
        reader.finish()?;
        Ok(request)
    }
}

/// What the client gets.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Answer {
    Success,
    Failure,
    ExtensionFailure,
    /// The number of keys, and each with its comment.
    Identities {
        count: u32,
        keys: Vec<u8>,
    },
    Signature(Vec<u8>),
    /// The extensions that we know.
    Extensions,
}

impl Answer {
    /// Returns success or failure.
    pub(super) fn of(done: bool) -> Self {
        match done {
            true => Self::Success,
            false => Self::Failure,
        }
    }

    /// Lists keys with their comments, as many as fit.
    pub(super) fn identities(identities: &[(&[u8], &str)]) -> Self {
        let (mut count, mut keys) = (0, Vec::new());
        for (blob, comment) in identities {
            let entry = Writer::new().string(blob).string(comment.as_bytes());
            let entry = entry.finish();
            if keys.len() + entry.len() > LENGTH_LIMIT - IDENTITIES_HEAD {
                break;
            }
            keys.extend(entry);
            count += 1;
        }
        Self::Identities { count, keys }
    }

    /// Returns the message with its length.
    pub(super) fn encode(&self) -> Vec<u8> {
        let out = Writer::new();
        let out = match self {
            Self::Success => out.byte(SUCCESS),
            Self::Failure => out.byte(FAILURE),
            Self::ExtensionFailure => out.byte(EXTENSION_FAILURE),
            Self::Identities { count, keys } => out.byte(IDENTITIES_ANSWER).u32(*count).bytes(keys),
            Self::Signature(blob) => out.byte(SIGN_RESPONSE).string(blob),
            Self::Extensions => out
                .byte(EXTENSION_RESPONSE)
                .string(QUERY)
                .string(QUERY)
                .string(SESSION_BIND),
        };
        Writer::new().string(&out.finish()).finish()
    }
}

/// The longest message, as in OpenSSH.
pub(super) const LENGTH_LIMIT: usize = 256 * 1024;
/// What stands before the list of keys.
const IDENTITIES_HEAD: usize = 5;

const FAILURE: u8 = 5;
const SUCCESS: u8 = 6;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
const LOCK: u8 = 22;
const UNLOCK: u8 = 23;
const EXTENSION: u8 = 27;
const EXTENSION_FAILURE: u8 = 28;
const EXTENSION_RESPONSE: u8 = 29;
const QUERY: &[u8] = b"query";
const SESSION_BIND: &[u8] = b"session-bind@openssh.com";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_cut_short_or_goes_on() {
        let sign = Writer::new()
            .byte(SIGN_REQUEST)
            .string(b"key")
            .string(b"data")
            .u32(0)
            .finish();
        assert!(matches!(
            Request::parse(&sign),
            Ok(Request::Sign {
                key: b"key",
                data: b"data"
            })
        ));
        for end in 0..sign.len() {
            assert!(Request::parse(&sign[..end]).is_err(), "{end}");
        }
        assert!(Request::parse(&[&sign[..], &[0]].concat()).is_err());
        let absurd = Writer::new().byte(LOCK).u32(u32::MAX).finish();
        assert!(Request::parse(&absurd).is_err());
    }

    #[test]
    fn everything_that_changes_keys_is_something_else() {
        for kind in [1, 9, 17, 18, 19, 20, 21, 25, 26, 255] {
            assert!(matches!(Request::parse(&[kind, 0]), Ok(Request::Other)));
        }
    }

    #[test]
    fn lists_no_more_than_fits_into_a_message() {
        let blob = [0; 1000];
        let many = vec![(&blob[..], "comment"); 1000];
        let encoded = Answer::identities(&many).encode();
        assert!(encoded.len() <= LENGTH_LIMIT + 4);
        assert!(encoded.len() > LENGTH_LIMIT - 2000);
    }
}
