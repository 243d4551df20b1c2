//! Certificates of any shape, those that no authority should issue among them.

use std::sync::Arc;

use notme_core::{
    certificate::Certificate,
    cms::{SignedAttributes, assemble},
    key::{Algorithm, Hash, Signer},
    time::UnixTime,
};

use crate::{clock::NOW, keys::Ed25519Key};

/// id-kp-emailProtection, the contents of the OID.
pub const EMAIL_PROTECTION: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 4];
/// id-kp-serverAuth.
pub const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const ED25519: &[u8] = &[0x30, 5, 6, 3, 0x2b, 0x65, 0x70];
const ECDSA_WITH_SHA256: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const ECDSA_WITH_SHA384: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];

/// A key that tests hand around.
pub type AnyKey = Arc<dyn Signer + Send + Sync>;

/// A key with the certificate it goes by.
#[derive(Clone)]
pub struct Holder {
    /// The key.
    pub key: AnyKey,
    /// The certificate.
    pub certificate: Certificate,
}

/// What a certificate says beside its names and key.
pub struct Mint<'a> {
    /// The subject's common name; empty for an empty subject.
    pub name: &'a str,
    /// The serial number.
    pub seed: u8,
    /// The subject's key.
    pub key: AnyKey,
    /// The first second.
    pub not_before: UnixTime,
    /// The last second.
    pub not_after: UnixTime,
    /// DER of each extension.
    pub extensions: Vec<Vec<u8>>,
}

impl<'a> Mint<'a> {
    /// Begins a certificate of two hours around [`NOW`] for the Ed25519 key of the seed.
    pub fn new(name: &'a str, seed: u8) -> Self {
        Self {
            name,
            seed,
            key: Arc::new(Ed25519Key::from_seed([seed; 32])),
            not_before: NOW.plus(-3600),
            not_after: NOW.plus(3600),
            extensions: Vec::new(),
        }
    }

    /// Begins that of an authority.
    pub fn ca(name: &'a str, seed: u8, path_len: Option<u8>) -> Self {
        let mut fields = vec![0x01, 0x01, 0xff];
        fields.extend(
            path_len
                .map(|limit| [0x02, 0x01, limit])
                .into_iter()
                .flatten(),
        );
        Self::new(name, seed)
            .with(&[0x55, 0x1d, 0x13], true, &tlv(0x30, &fields))
            .with(&[0x55, 0x1d, 0x0f], true, &[0x03, 0x02, 0x01, 0x06])
    }

    /// Takes another key.
    #[must_use]
    pub fn of(mut self, key: AnyKey) -> Self {
        self.key = key;
        self
    }

    /// Sets the first and the last second.
    #[must_use]
    pub fn during(mut self, not_before: UnixTime, not_after: UnixTime) -> Self {
        (self.not_before, self.not_after) = (not_before, not_after);
        self
    }

    /// Adds an extension.
    #[must_use]
    pub fn with(mut self, oid: &[u8], critical: bool, value: &[u8]) -> Self {
        let flag: &[u8] = if critical { &[0x01, 0x01, 0xff] } else { &[] };
        let fields = [&tlv(0x06, oid), flag, &tlv(0x04, value)].concat();
        self.extensions.push(tlv(0x30, &fields));
        self
    }

    /// Adds a key usage.
    #[must_use]
    pub fn usage(self, bits: [u8; 2]) -> Self {
        self.with(&[0x55, 0x1d, 0x0f], true, &[0x03, 0x02, bits[0], bits[1]])
    }

    /// Adds an extended key usage.
    #[must_use]
    pub fn extended(self, oid: &[u8]) -> Self {
        self.with(&[0x55, 0x1d, 0x25], false, &tlv(0x30, &tlv(0x06, oid)))
    }

    /// Adds URIs as alternative names.
    #[must_use]
    pub fn uris(self, uris: &[&str]) -> Self {
        self.names(0x86, uris)
    }

    /// Adds addresses as alternative names.
    #[must_use]
    pub fn emails(self, emails: &[&str]) -> Self {
        self.names(0x81, emails)
    }

    /// Has an authority sign it.
    pub fn signed_by(self, issuer: &Holder) -> Holder {
        let name = issuer.certificate.subject_der().to_vec();
        self.issue(&name, &*issuer.key)
    }

    /// Has its own key sign it.
    pub fn self_signed(self) -> Holder {
        let (name, key) = (name(self.name), Arc::clone(&self.key));
        self.issue(&name, &*key)
    }

    fn names(self, tag: u8, names: &[&str]) -> Self {
        let names: Vec<u8> = names
            .iter()
            .flat_map(|name| tlv(tag, name.as_bytes()))
            .collect();
        self.with(&[0x55, 0x1d, 0x11], false, &tlv(0x30, &names))
    }

    fn issue(self, issuer: &[u8], issuer_key: &dyn Signer) -> Holder {
        let algorithm = signature_algorithm(issuer_key);
        let key = self.key;
        let validity = [utc(self.not_before), utc(self.not_after)].concat();
        let mut fields = [
            &[0xa0, 3, 2, 1, 2][..],
            &[2, 1, self.seed],
            algorithm,
            issuer,
            &tlv(0x30, &validity),
            &name(self.name),
            key.public_key().spki_der(),
        ]
        .concat();
        fields.extend(tlv(0xa3, &tlv(0x30, &self.extensions.concat())));
        let tbs = tlv(0x30, &fields);
        let signature = [
            &[0],
            &*issuer_key.sign(&tbs).expect("throw-away keys always sign"),
        ]
        .concat();
        let der = tlv(0x30, &[&tbs, algorithm, &tlv(0x03, &signature)].concat());
        Holder {
            key,
            certificate: Certificate::from_der(&der).expect("the parts make a certificate"),
        }
    }
}

impl Holder {
    /// Signs a payload at [`NOW`], with certificates that lead up.
    pub fn sign(&self, payload: &[u8], others: &[&Self]) -> Vec<u8> {
        let attributes = SignedAttributes::new(hash_of(&*self.key), payload, NOW);
        let signature = (self.key.sign(attributes.der())).expect("throw-away keys always sign");
        let others: Vec<_> = others
            .iter()
            .map(|other| other.certificate.clone())
            .collect();
        assemble(&attributes, &signature, &self.certificate, &others)
    }
}

fn signature_algorithm(key: &dyn Signer) -> &'static [u8] {
    match key.public_key().algorithm() {
        Algorithm::Ed25519 => ED25519,
        Algorithm::P256 => ECDSA_WITH_SHA256,
        Algorithm::P384 => ECDSA_WITH_SHA384,
        Algorithm::Rsa => panic!("no test signs with RSA keys of ours"),
    }
}

fn hash_of(key: &dyn Signer) -> Hash {
    match key.public_key().algorithm() {
        Algorithm::Ed25519 => Hash::Sha512,
        Algorithm::P384 => Hash::Sha384,
        Algorithm::P256 | Algorithm::Rsa => Hash::Sha256,
    }
}

fn name(common_name: &str) -> Vec<u8> {
    if common_name.is_empty() {
        return tlv(0x30, &[]);
    }
    let attribute = [
        &[0x06, 3, 0x55, 4, 3][..],
        &tlv(0x0c, common_name.as_bytes()),
    ]
    .concat();
    tlv(0x30, &tlv(0x31, &tlv(0x30, &attribute)))
}

fn utc(at: UnixTime) -> Vec<u8> {
    let digits: String = at
        .to_string()
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    tlv(
        0x17,
        format!("{}Z", digits.get(2..).unwrap_or_default()).as_bytes(),
    )
}

/// Writes one DER element.
///
/// # Panics
/// Beyond 64 KiB.
pub fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len())
        .expect("less than 64 KiB")
        .to_be_bytes();
    let head = match value.len() {
        0..0x80 => vec![tag, length[1]],
        0x80..0x100 => vec![tag, 0x81, length[1]],
        _ => vec![tag, 0x82, length[0], length[1]],
    };
    [head, value.to_vec()].concat()
}
