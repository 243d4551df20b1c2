//! Whom a signature names as its maker, before anybody asks whether that is true.

use notme_core::{
    armor::{SignatureFormat, dearmor},
    certificate::Certificate,
    cms::SignedMessage,
    hex,
    key::KeyId,
    object::{HashKind, ObjectKind, merge_tags, split},
    openpgp::{self, ArmorKind, Fingerprint, Signature},
    ssh::SshSig,
};

use crate::{evidence::Claimed, openpgp::address, ssh::uri};

/// The beginning of an SSH key's fingerprint.
const SSH: &str = "SHA256:";

/// What other tools call a key: an OpenPGP fingerprint or long key id, the subject key id of a
/// certificate, or the fingerprint of an SSH key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct KeyName(Box<str>);

impl KeyName {
    /// Reads one as tools print it: hexadecimal digits of either case, in groups or behind `0x`, or
    /// `SHA256:` and base64.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.starts_with(SSH) {
            return Some(Self(text.trim_end_matches('=').into()));
        }
        let digits: String = text.split(' ').collect();
        let digits = digits.strip_prefix("0x").unwrap_or(&digits);
        let bytes = hex::decode(&digits.to_ascii_lowercase())?;
        matches!(bytes.len(), 8 | 20 | 32).then(|| Self::of_bytes(&bytes))
    }

    /// Reads the identity that stands for an OpenPGP key without an address.
    pub(crate) fn in_identity(identity: &str) -> Option<Self> {
        let fingerprint = Fingerprint::from_hex(identity.strip_prefix("openpgp4fpr:")?)?;
        Some(Self::of_bytes(fingerprint.as_bytes()))
    }

    /// Returns the names of an OpenPGP key.
    pub(crate) fn of_openpgp(fingerprint: &Fingerprint) -> [Self; 2] {
        let long = fingerprint.long_id().to_string().to_ascii_lowercase();
        [Self::of_bytes(fingerprint.as_bytes()), Self(long.into())]
    }

    /// Returns the name that a certificate gives its key, if it does.
    pub(crate) fn of_certificate(certificate: &Certificate) -> Option<Self> {
        certificate.subject_key_id().map(Self::of_bytes)
    }

    /// Takes the fingerprint of an SSH key.
    pub(crate) fn of_ssh(fingerprint: String) -> Self {
        Self(fingerprint.into())
    }

    fn of_bytes(bytes: &[u8]) -> Self {
        Self(hex::encode(bytes).into())
    }
}

/// What a signature says of its maker.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// The id of the key that it carries.
    pub(crate) kid: Option<KeyId>,
    pub(crate) keys: Vec<KeyName>,
    /// Those that it says to be of; unescaped.
    pub(crate) identities: Vec<String>,
}

impl Named {
    /// Returns whom the signature of an object names, nobody where there is none; `None` when it
    /// cannot be read.
    pub(crate) fn of_object(kind: ObjectKind, raw: &[u8], hash: HashKind) -> Option<Self> {
        let object = split(kind, raw, hash).ok()?;
        let Some(armored) = object.signature() else {
            return Some(Self::default());
        };
        match SignatureFormat::detect(armored)? {
            SignatureFormat::OpenPgp => Self::of_openpgp(armored),
            SignatureFormat::Cms => {
                let message = SignedMessage::parse(&dearmor(armored).ok()?).ok()?;
                let certificate = message.signer();
                let identity = certificate.identity().ok();
                let emails = certificate.emails().iter();
                let emails = emails.map(|email| format!("mailto:{email}"));
                Some(Self {
                    kid: Some(certificate.kid()),
                    keys: KeyName::of_certificate(certificate).into_iter().collect(),
                    identities: identity
                        .map(|it| it.as_str().to_owned())
                        .into_iter()
                        .chain(emails)
                        .collect(),
                })
            }
            SignatureFormat::Ssh => {
                let signature = SshSig::from_armor(armored).ok()?;
                let key = signature.key();
                let certificate = key.certificate();
                Some(Self {
                    kid: Some(key.public_key().kid()),
                    keys: vec![KeyName::of_ssh(key.public_key().fingerprint())],
                    identities: certificate
                        .map_or(&[][..], |it| it.principals())
                        .iter()
                        .filter_map(|name| uri(name))
                        .collect(),
                })
            }
        }
    }

    fn of_openpgp(armored: &[u8]) -> Option<Self> {
        let bytes = openpgp::dearmor(ArmorKind::Signature, armored).ok()?;
        let signature = Signature::from_bytes(&bytes).ok()?;
        let fingerprints = signature.issuer_fingerprints();
        let long = signature.issuer_key_ids().into_iter();
        let long = long.map(|id| KeyName(id.to_string().to_ascii_lowercase().into()));
        let identities = signature.identities().map(String::from_utf8_lossy);
        let user_id = signature.signer_user_id();
        let address = user_id.as_deref().and_then(address);
        let address = address.map(|address| format!("mailto:{address}"));
        Some(Self {
            kid: None,
            keys: fingerprints
                .iter()
                .flat_map(KeyName::of_openpgp)
                .chain(long)
                .collect(),
            identities: identities.map(Into::into).chain(address).collect(),
        })
    }
}

impl From<&Claimed> for Named {
    fn from(claimed: &Claimed) -> Self {
        Self {
            kid: claimed.kid,
            keys: Vec::new(),
            identities: vec![claimed.name.as_ref().to_owned()],
        }
    }
}

/// Whom the signature of an object names, and those of the tags that it carries, in their order.
#[derive(Debug)]
pub(crate) struct NamedIn {
    pub(crate) own: Option<Named>,
    pub(crate) tags: Vec<Option<Named>>,
}

impl NamedIn {
    pub(crate) fn object(kind: ObjectKind, raw: &[u8], hash: HashKind) -> Self {
        let carried = match kind {
            ObjectKind::Commit => merge_tags(raw, hash),
            ObjectKind::Tag => Vec::new(),
        };
        let tags = carried.iter();
        Self {
            own: Named::of_object(kind, raw, hash),
            tags: tags
                .map(|tag| Named::of_object(ObjectKind::Tag, tag, hash))
                .collect(),
        }
    }
}
