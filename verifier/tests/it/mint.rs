//! Certificates of shapes that our own authority never issues.

use notme_core::{
    certificate::Certificate,
    cms::{SignedAttributes, assemble},
    key::{Hash, PublicKey, Signer},
    time::UnixTime,
};
use notme_testkit::{clock::NOW, keys::Ed25519Key};

pub(crate) const EMAIL_PROTECTION: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 4];
pub(crate) const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const ED25519: &[u8] = &[0x30, 5, 6, 3, 0x2b, 0x65, 0x70];

/// A key with the certificate it goes by.
pub(crate) struct Holder {
    pub(crate) key: Ed25519Key,
    pub(crate) certificate: Certificate,
}

/// What a certificate says beside its names and key.
pub(crate) struct Mint<'a> {
    pub(crate) name: &'a str,
    pub(crate) seed: u8,
    pub(crate) not_before: UnixTime,
    pub(crate) not_after: UnixTime,
    pub(crate) extensions: Vec<Vec<u8>>,
}

impl<'a> Mint<'a> {
    pub(crate) fn new(name: &'a str, seed: u8) -> Self {
        Self {
            name,
            seed,
            not_before: NOW.plus(-3600),
            not_after: NOW.plus(3600),
            extensions: Vec::new(),
        }
    }

    pub(crate) fn ca(name: &'a str, seed: u8, path_len: Option<u8>) -> Self {
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

    pub(crate) fn with(mut self, oid: &[u8], critical: bool, value: &[u8]) -> Self {
        let flag: &[u8] = if critical { &[0x01, 0x01, 0xff] } else { &[] };
        let fields = [&tlv(0x06, oid), flag, &tlv(0x04, value)].concat();
        self.extensions.push(tlv(0x30, &fields));
        self
    }

    pub(crate) fn usage(self, bits: [u8; 2]) -> Self {
        self.with(&[0x55, 0x1d, 0x0f], true, &[0x03, 0x02, bits[0], bits[1]])
    }

    pub(crate) fn extended(self, oid: &[u8]) -> Self {
        self.with(&[0x55, 0x1d, 0x25], false, &tlv(0x30, &tlv(0x06, oid)))
    }

    pub(crate) fn uris(self, uris: &[&str]) -> Self {
        self.names(0x86, uris)
    }

    pub(crate) fn emails(self, emails: &[&str]) -> Self {
        self.names(0x81, emails)
    }

    pub(crate) fn signed_by(self, issuer: &Holder) -> Holder {
        let name = issuer.certificate.subject_der().to_vec();
        self.issue(&name, &issuer.key)
    }

    pub(crate) fn self_signed(self) -> Holder {
        let (name, key) = (name(self.name), self.key());
        self.issue(&name, &key)
    }

    fn names(self, tag: u8, names: &[&str]) -> Self {
        let names: Vec<u8> = names
            .iter()
            .flat_map(|name| tlv(tag, name.as_bytes()))
            .collect();
        self.with(&[0x55, 0x1d, 0x11], false, &tlv(0x30, &names))
    }

    fn key(&self) -> Ed25519Key {
        Ed25519Key::from_seed([self.seed; 32])
    }

    fn issue(self, issuer: &[u8], issuer_key: &Ed25519Key) -> Holder {
        let key = self.key();
        let validity = [utc(self.not_before), utc(self.not_after)].concat();
        let mut fields = [
            &[0xa0, 3, 2, 1, 2][..],
            &[2, 1, self.seed],
            ED25519,
            issuer,
            &tlv(0x30, &validity),
            &name(self.name),
            spki(key.public_key()),
        ]
        .concat();
        fields.extend(tlv(0xa3, &tlv(0x30, &self.extensions.concat())));
        let tbs = tlv(0x30, &fields);
        let signature = [&[0], &issuer_key.sign(&tbs).unwrap()[..]].concat();
        let der = tlv(0x30, &[&tbs, ED25519, &tlv(0x03, &signature)].concat());
        Holder {
            key,
            certificate: Certificate::from_der(&der).unwrap(),
        }
    }
}

impl Holder {
    /// Signs a payload, with certificates that lead up.
    pub(crate) fn sign(&self, payload: &[u8], others: &[&Self]) -> Vec<u8> {
        let attributes = SignedAttributes::new(Hash::Sha512, payload, NOW);
        let signature = self.key.sign(attributes.der()).unwrap();
        let others: Vec<_> = others
            .iter()
            .map(|other| other.certificate.clone())
            .collect();
        assemble(&attributes, &signature, &self.certificate, &others)
    }
}

fn name(common_name: &str) -> Vec<u8> {
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
    tlv(0x17, format!("{}Z", &digits[2..]).as_bytes())
}

fn spki(key: &PublicKey) -> &[u8] {
    key.spki_der()
}

pub(crate) fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    let head = match value.len() {
        0..0x80 => vec![tag, length[1]],
        0x80..0x100 => vec![tag, 0x81, length[1]],
        _ => vec![tag, 0x82, length[0], length[1]],
    };
    [head, value.to_vec()].concat()
}
