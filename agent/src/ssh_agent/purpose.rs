//! What the bytes to sign are for. Bytes that are neither are not signed.

use notme_core::ssh::{
    HashAlgorithm, Key,
    wire::{Reader, WireError},
};

use crate::agents::GIT_NAMESPACE;

/// What a client wants signed.
#[derive(Debug)]
pub(super) enum Purpose<'a> {
    /// The hash of something that git signs. What it is the hash of cannot be told.
    Git,
    /// To log in.
    Login(Login<'a>),
}

/// A request to log in by public key (RFC 4252 section 7).
#[derive(Debug)]
pub(super) struct Login<'a> {
    /// What logs in: the key that signs, or a certificate over it. ssh asks the bare key to sign
    /// for the certificate when it finds both.
    pub(super) key: Key,
    /// The connection that it is for.
    pub(super) session_id: &'a [u8],
    /// The server, where the request names it.
    pub(super) host_key: Option<&'a [u8]>,
}

impl<'a> Purpose<'a> {
    /// Parses what is to be signed with a key.
    ///
    /// # Errors
    /// [`NotUnderstood`].
    pub(super) fn parse(key: &Key, data: &'a [u8]) -> Result<Self, NotUnderstood> {
        match data.strip_prefix(SSHSIG) {
            Some(rest) => git(rest).map(|()| Self::Git),
            None => login(key, data).map(Self::Login),
        }
    }
}

/// The bytes are for nothing that we sign.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct NotUnderstood;

impl From<WireError> for NotUnderstood {
    fn from(_: WireError) -> Self {
        Self
    }
}

/// Checks what PROTOCOL.sshsig has signed, after its first word.
fn git(rest: &[u8]) -> Result<(), NotUnderstood> {
    let mut reader = Reader::new(rest);
    let (namespace, reserved) = (reader.string()?, reader.string()?);
    let hash = HashAlgorithm::named(reader.text()?).ok_or(NotUnderstood)?;
    let length = match hash {
        HashAlgorithm::Sha256 => 32,
        HashAlgorithm::Sha512 => 64,
    };
    let digest = reader.string()?;
    reader.finish()?;
    require(namespace == GIT_NAMESPACE.as_bytes() && reserved.is_empty() && digest.len() == length)
}

fn login<'a>(key: &Key, data: &'a [u8]) -> Result<Login<'a>, NotUnderstood> {
    let mut reader = Reader::new(data);
    // A hash. None is as short as what begins the other things that the session's key signs.
    let session_id = reader.string()?;
    require((20..=64).contains(&session_id.len()))?;
    require(reader.byte()? == USERAUTH_REQUEST)?;
    require(!reader.text()?.is_empty())?;
    require(reader.string()? == b"ssh-connection")?;
    let method = reader.string()?;
    require(reader.byte()? == 1)?;
    let algorithm = reader.string()?;
    let named = Key::from_blob(reader.string()?).map_err(|_| NotUnderstood)?;
    require(algorithm == named.type_name().as_bytes())?;
    require(named.public_key() == key.public_key())?;
    let host_key = match method {
        b"publickey" => None,
        b"publickey-hostbound-v00@openssh.com" => Some(reader.string()?),
        _ => return Err(NotUnderstood),
    };
    reader.finish()?;
    Ok(Login {
        key: named,
        session_id,
        host_key,
    })
}

fn require(holds: bool) -> Result<(), NotUnderstood> {
    match holds {
        true => Ok(()),
        false => Err(NotUnderstood),
    }
}

const SSHSIG: &[u8] = b"SSHSIG";
const USERAUTH_REQUEST: u8 = 50;

#[cfg(test)]
mod tests {
    use notme_core::{
        key::Signer as _,
        ssh::{Prehash, PublicKey, wire::Writer},
    };
    use notme_testkit::keys::Ed25519Key;

    use super::*;

    fn key(seed: u8) -> Key {
        let key = Ed25519Key::from_seed([seed; 32]);
        Key::Plain(PublicKey::from_key(key.public_key()).unwrap())
    }

    fn is_git(data: &[u8]) -> bool {
        matches!(Purpose::parse(&key(1), data), Ok(Purpose::Git))
    }

    /// The fields of a request to log in, which a test changes.
    struct Fields<'a> {
        session_id: &'a [u8],
        kind: u8,
        user: &'a [u8],
        service: &'a [u8],
        method: &'a [u8],
        has_signature: u8,
        algorithm: &'a [u8],
        key: Key,
        rest: Vec<u8>,
    }

    impl Default for Fields<'_> {
        fn default() -> Self {
            Self {
                session_id: &[7; 32],
                kind: 50,
                user: b"alice",
                service: b"ssh-connection",
                method: b"publickey",
                has_signature: 1,
                algorithm: b"ssh-ed25519",
                key: key(1),
                rest: Vec::new(),
            }
        }
    }

    impl Fields<'_> {
        fn encode(&self) -> Vec<u8> {
            Writer::new()
                .string(self.session_id)
                .byte(self.kind)
                .string(self.user)
                .string(self.service)
                .string(self.method)
                .byte(self.has_signature)
                .string(self.algorithm)
                .string(self.key.blob())
                .bytes(&self.rest)
                .finish()
        }

        fn is_refused(&self) -> bool {
            Purpose::parse(&key(1), &self.encode()).is_err()
        }
    }

    #[test]
    fn understands_what_git_signs() {
        for hash in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
            assert!(is_git(&Prehash::of(hash, b"commit").signed_data("git")));
        }
    }

    #[test]
    fn refuses_other_namespaces_hashes_and_lengths() {
        let data = |namespace: &str, reserved: &str, hash: &str, length: usize| {
            Writer::new()
                .bytes(b"SSHSIG")
                .string(namespace.as_bytes())
                .string(reserved.as_bytes())
                .string(hash.as_bytes())
                .string(&vec![0; length])
                .finish()
        };
        assert!(is_git(&data("git", "", "sha512", 64)));
        for bad in [
            data("file", "", "sha512", 64),
            data("", "", "sha512", 64),
            data("git\0", "", "sha512", 64),
            data("Git", "", "sha512", 64),
            data("git", "x", "sha512", 64),
            data("git", "", "sha1", 20),
            data("git", "", "sha512", 63),
            data("git", "", "sha256", 64),
            data("git", "", "sha512", 0),
        ] {
            assert!(!is_git(&bad));
        }
        let good = data("git", "", "sha512", 64);
        assert!(!is_git(&[&good[..], b"x"].concat()));
        for end in 0..good.len() {
            assert!(!is_git(&good[..end]), "{end}");
        }
    }

    #[test]
    fn understands_both_ways_to_log_in() {
        let data = Fields::default().encode();
        let Ok(Purpose::Login(login)) = Purpose::parse(&key(1), &data) else {
            panic!("not understood");
        };
        assert_eq!((login.session_id, login.host_key), (&[7; 32][..], None));
        let bound = Fields {
            method: b"publickey-hostbound-v00@openssh.com",
            rest: Writer::new().string(b"host").finish(),
            ..Fields::default()
        };
        let data = bound.encode();
        let Ok(Purpose::Login(login)) = Purpose::parse(&key(1), &data) else {
            panic!("not understood");
        };
        assert_eq!(login.host_key, Some(&b"host"[..]));
    }

    #[test]
    fn refuses_a_request_to_log_in_that_differs_in_anything() {
        let good = Fields::default;
        assert!(!good().is_refused());
        for bad in [
            Fields {
                session_id: b"",
                ..good()
            },
            Fields {
                session_id: b"notme-enrol-v1",
                ..good()
            },
            Fields {
                session_id: &[0; 65],
                ..good()
            },
            Fields { kind: 51, ..good() },
            Fields {
                user: b"",
                ..good()
            },
            Fields {
                user: b"\xff",
                ..good()
            },
            Fields {
                service: b"ssh-userauth",
                ..good()
            },
            Fields {
                method: b"hostbased",
                ..good()
            },
            Fields {
                method: b"publickey-hostbound-v00@openssh.com",
                ..good()
            },
            Fields {
                has_signature: 0,
                ..good()
            },
            Fields {
                has_signature: 2,
                ..good()
            },
            Fields {
                algorithm: b"ssh-ed25519-cert-v01@openssh.com",
                ..good()
            },
            Fields {
                algorithm: b"rsa-sha2-512",
                ..good()
            },
            Fields {
                key: key(2),
                ..good()
            },
            Fields {
                rest: b"x".to_vec(),
                ..good()
            },
        ] {
            assert!(bad.is_refused());
        }
    }

    #[test]
    fn refuses_everything_else_that_the_session_key_signs() {
        let digest = [0x5a; 64];
        let der = b"\x31\x20\x30\x1e";
        let preimage = Writer::new()
            .string(b"notme-issue-v1")
            .string(b"unix:/x")
            .finish();
        for data in [&b""[..], b"commit", &digest, der, &preimage, b"DSSEv1 2 {}"] {
            assert!(Purpose::parse(&key(1), data).is_err());
        }
    }
}
