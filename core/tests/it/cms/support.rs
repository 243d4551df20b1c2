//! Signers, and messages built by hand with one thing wrong.

use notme_core::{
    base64,
    certificate::Certificate,
    cms::{SignedAttributes, assemble},
    key::{Algorithm, Hash, Signer},
};
use notme_testkit::{
    cast::{LeafSpec, TestAuthority},
    clock::NOW,
};

pub(crate) use notme_testkit::cast::Session;

pub(crate) const PAYLOAD: &[u8] = b"tree 0123456789012345678901234567890123456789\n\
    author A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\na change\n";

pub(crate) fn session(algorithm: Algorithm) -> (TestAuthority, Session) {
    let authority = TestAuthority::new(1);
    let session = authority.leaf(&LeafSpec {
        algorithm,
        ..LeafSpec::default()
    });
    (authority, session)
}

pub(crate) fn hash_of(algorithm: Algorithm) -> Hash {
    match algorithm {
        Algorithm::Ed25519 => Hash::Sha512,
        Algorithm::P256 | Algorithm::P384 | Algorithm::Rsa => Hash::Sha256,
    }
}

pub(crate) fn sign(session: &Session) -> Vec<u8> {
    sign_payload(session, PAYLOAD)
}

pub(crate) fn sign_payload(session: &Session, payload: &[u8]) -> Vec<u8> {
    let algorithm = session.key().public_key().algorithm();
    let attributes = SignedAttributes::new(hash_of(algorithm), payload, NOW);
    let signature = session.key().sign(attributes.der()).unwrap();
    assemble(&attributes, &signature, session.certificate(), &[])
}

/// Returns the seed of an Ed25519 PKCS#8 PEM file: its last 32 bytes.
pub(crate) fn read_private_key(pem: &str) -> [u8; 32] {
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::decode(&body).unwrap();
    der[der.len() - 32..].try_into().unwrap()
}

pub(crate) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let value = parts.concat();
    let length = value.len();
    let header = match length {
        0..=0x7f => vec![tag, u8::try_from(length).unwrap()],
        0x80..=0xff => vec![tag, 0x81, u8::try_from(length).unwrap()],
        _ => {
            let bytes = u32::try_from(length).unwrap().to_be_bytes();
            let first = bytes.iter().position(|byte| *byte != 0).unwrap();
            let count = u8::try_from(bytes.len() - first).unwrap();
            [&[tag, 0x80 | count], &bytes[first..]].concat()
        }
    };
    [header, value].concat()
}

pub(crate) const DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
pub(crate) const SIGNED_DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
pub(crate) const CONTENT_TYPE: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03";
pub(crate) const MESSAGE_DIGEST: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x04";
pub(crate) const SIGNING_TIME: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x05";
pub(crate) const OTHER_ATTRIBUTE: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0f";
pub(crate) const SHA256: &[u8] = b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01";
pub(crate) const SHA512: &[u8] = b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03";
pub(crate) const SHA512_NULL: &[u8] =
    b"\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00";
pub(crate) const SHA1: &[u8] = b"\x30\x07\x06\x05\x2b\x0e\x03\x02\x1a";
pub(crate) const ED25519: &[u8] = b"\x30\x05\x06\x03\x2b\x65\x70";

pub(crate) fn attribute(name: &[u8], values: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &[name, &tlv(0x31, values)])
}

/// A message of an Ed25519 session, part by part. Whatever the parts are, the signature is right:
/// what fails is the rule under test.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) content_info_type: Vec<u8>,
    pub(crate) version: Vec<u8>,
    pub(crate) digest_algorithms: Vec<u8>,
    pub(crate) content: Vec<u8>,
    pub(crate) certificates: Option<Vec<Vec<u8>>>,
    pub(crate) after_certificates: Vec<u8>,
    pub(crate) signers: usize,
    pub(crate) signer_version: Vec<u8>,
    pub(crate) name: Vec<u8>,
    pub(crate) digest_algorithm: Vec<u8>,
    pub(crate) attributes: Option<Vec<Vec<u8>>>,
    pub(crate) signature_algorithm: Vec<u8>,
    pub(crate) after_signature: Vec<u8>,
}

impl Draft {
    pub(crate) fn new(certificate: &Certificate) -> Self {
        let digest = Hash::Sha512.digest(PAYLOAD);
        Self {
            content_info_type: SIGNED_DATA.to_vec(),
            version: vec![2, 1, 1],
            digest_algorithms: SHA512.to_vec(),
            content: DATA.to_vec(),
            certificates: Some(vec![certificate.der().to_vec()]),
            after_certificates: Vec::new(),
            signers: 1,
            signer_version: vec![2, 1, 1],
            name: issuer_and_serial(certificate),
            digest_algorithm: SHA512.to_vec(),
            attributes: Some(vec![
                attribute(CONTENT_TYPE, &[DATA]),
                attribute(SIGNING_TIME, &[b"\x17\x0d261120120000Z"]),
                attribute(MESSAGE_DIGEST, &[&tlv(4, &[&digest])]),
            ]),
            signature_algorithm: ED25519.to_vec(),
            after_signature: Vec::new(),
        }
    }

    pub(crate) fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut draft = self.clone();
        change(&mut draft);
        draft
    }

    pub(crate) fn sign(&self, key: &dyn Signer) -> Vec<u8> {
        let attributes = self.attributes.as_ref().map(|list| list.concat());
        let signed = match &attributes {
            Some(attributes) => tlv(0x31, &[attributes]),
            None => PAYLOAD.to_vec(),
        };
        let signature = key.sign(&signed).unwrap();
        let attributes = attributes.map_or_else(Vec::new, |list| tlv(0xa0, &[&list]));
        let signer = tlv(
            0x30,
            &[
                &self.signer_version,
                &self.name,
                &self.digest_algorithm,
                &attributes,
                &self.signature_algorithm,
                &tlv(4, &[&signature]),
                &self.after_signature,
            ],
        );
        let certificates = self
            .certificates
            .as_ref()
            .map_or_else(Vec::new, |list| tlv(0xa0, &[&list.concat()]));
        let signed_data = tlv(
            0x30,
            &[
                &self.version,
                &tlv(0x31, &[&self.digest_algorithms]),
                &tlv(0x30, &[&self.content]),
                &certificates,
                &self.after_certificates,
                &tlv(0x31, &[&signer.repeat(self.signers)]),
            ],
        );
        tlv(
            0x30,
            &[&self.content_info_type, &tlv(0xa0, &[&signed_data])],
        )
    }
}

pub(crate) fn issuer_and_serial(certificate: &Certificate) -> Vec<u8> {
    let serial = tlv(2, &[certificate.serial()]);
    tlv(0x30, &[certificate.issuer_der(), &serial])
}

/// Rewrites DER with indefinite lengths wherever there is something inside.
pub(crate) fn to_ber(der: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = der;
    while let [tag, first, ..] = *rest {
        let (header, length) = match first {
            0..=0x7f => (2, usize::from(first)),
            _ => {
                let count = usize::from(first & 0x7f);
                let digits = &rest[2..2 + count];
                let length = digits.iter().fold(0, |n, b| (n << 8) | usize::from(*b));
                (2 + count, length)
            }
        };
        let (element, after) = rest.split_at(header + length);
        if tag & 0x20 == 0 {
            out.extend_from_slice(element);
        } else {
            out.extend([tag, 0x80]);
            out.extend(to_ber(&element[header..]));
            out.extend([0, 0]);
        }
        rest = after;
    }
    out
}
