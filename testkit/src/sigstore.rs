//! A throw-away Sigstore: an authority like Fulcio, a log like Rekor, and somebody who stamps.

use std::sync::Arc;

use notme_core::{
    base64,
    certificate::Certificate,
    cms::SignedAttributes,
    hex,
    key::{Algorithm, Hash, Signer as _, sha256},
    rekor::HashedRekord,
    time::UnixTime,
};
use serde_json::{Value, json};

use crate::{
    cast::TestAuthority,
    keys::{P256Key, P384Key},
    mint::{AnyKey, Holder, Mint, tlv},
    tsa::TestTsa,
};

/// When it all happens, 2024-05-01T12:00:00Z: long ago, also for verifiers that ask the clock of
/// the machine.
pub const AT: UnixTime = UnixTime::from_secs(1_714_564_800);
/// Who vouches for the people of this cast.
pub const ISSUER: &str = "https://accounts.test.invalid";
const MINUTE: i64 = 60;
const YEAR: i64 = 365 * 24 * 3600;

const CODE_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];
const FULCIO_ISSUER: &[u8] = &[0x2b, 6, 1, 4, 1, 0x83, 0xbf, 0x30, 1, 8];
const FULCIO_ISSUER_OF_OLD: &[u8] = &[0x2b, 6, 1, 4, 1, 0x83, 0xbf, 0x30, 1, 1];
const REKOR_LOG_ENTRY: &[u8] = &[0x2b, 6, 1, 4, 1, 0x83, 0xbf, 0x30, 3, 1];
const TIME_STAMP_TOKEN: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 2, 14];
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

/// An instance of Sigstore. Those of different seeds share no key.
pub struct TestSigstore {
    root: Holder,
    issuer: Holder,
    log: P256Key,
    stamps: TestAuthority,
    tsa: TestTsa,
}

/// Whose certificate it is.
#[derive(Clone, Debug)]
pub struct Account {
    /// The address, or failing that a URI.
    pub email: Option<String>,
    /// The URI, where there is no address.
    pub uri: Option<String>,
    /// Who vouched; nobody leaves the extension out.
    pub issuer: Option<String>,
    /// The same as older certificates have it.
    pub issuer_of_old: Option<String>,
    /// What the certificate is for: the contents of the OID, if it says so.
    pub usage: Option<&'static [u8]>,
    /// The certificate's first second; it lives for ten minutes.
    pub not_before: UnixTime,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            email: Some("alice@test.invalid".to_owned()),
            uri: None,
            issuer: Some(ISSUER.to_owned()),
            issuer_of_old: Some(ISSUER.to_owned()),
            usage: Some(CODE_SIGNING),
            not_before: AT,
        }
    }
}

impl TestSigstore {
    /// Founds the instance of a seed, two years before [`AT`], for ten.
    ///
    /// # Panics
    /// When a key cannot be made.
    pub fn new(seed: u8) -> Self {
        let p384 = || -> AnyKey { Arc::new(P384Key::generate()) };
        let (from, until) = (AT.plus(-2 * YEAR), AT.plus(8 * YEAR));
        let root = Mint::ca("sigstore test", 1, Some(1)).of(p384());
        let root = root.during(from, until).self_signed();
        let issuer = Mint::ca("sigstore-intermediate test", 2, Some(0)).of(p384());
        let issuer = issuer.during(from, until).extended(CODE_SIGNING);
        let stamps = TestAuthority::born(seed, from);
        let mut secret = [seed; 32];
        if let Some(first) = secret.first_mut() {
            *first = b'r';
        }
        Self {
            issuer: issuer.signed_by(&root),
            log: P256Key::from_seed(secret),
            tsa: TestTsa::of(&stamps, seed),
            stamps,
            root,
        }
    }

    /// Returns the issuing certificate.
    pub fn issuer(&self) -> &Certificate {
        &self.issuer.certificate
    }

    /// Returns the key of the log.
    pub fn log(&self) -> &P256Key {
        &self.log
    }

    /// Returns who stamps.
    pub fn tsa(&self) -> &TestTsa {
        &self.tsa
    }

    /// Returns `trusted_root.json`.
    pub fn trusted_root(&self) -> Value {
        let chain = |all: &[&Certificate]| {
            let all = all.iter();
            let raw = all.map(|it| json!({"rawBytes": base64::encode(it.der())}));
            json!({"certificates": raw.collect::<Vec<_>>()})
        };
        let name = json!({"organization": "test", "commonName": "test"});
        let window = json!({"start": AT.plus(-YEAR).to_string()});
        let key = self.log.public_key();
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [{
                "baseUrl": "https://rekor.test.invalid",
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": base64::encode(key.spki_der()),
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": window,
                },
                "logId": {"keyId": base64::encode(&key.spki_sha256())},
            }],
            "certificateAuthorities": [{
                "subject": name,
                "uri": "https://fulcio.test.invalid",
                "certChain": chain(&[&self.issuer.certificate, &self.root.certificate]),
                "validFor": window,
            }],
            "ctlogs": [],
            "timestampAuthorities": [{
                "subject": name,
                "uri": "https://tsa.test.invalid",
                "certChain": chain(&[self.tsa.certificate(), self.stamps.root(Algorithm::P256).1]),
                "validFor": window,
            }],
        })
    }

    /// Certifies a fresh key for an account, and signs a payload with it as gitsign does.
    pub fn sign(&self, account: &Account, payload: &[u8]) -> Gitsigned {
        let mut leaf = Mint::new("", 3)
            .of(Arc::new(P256Key::from_seed([b'l'; 32])))
            .during(account.not_before, account.not_before.plus(10 * MINUTE))
            .usage([7, 0x80]);
        if let Some(usage) = account.usage {
            leaf = leaf.extended(usage);
        }
        if let Some(email) = &account.email {
            leaf = leaf.emails(&[email]);
        }
        if let Some(uri) = &account.uri {
            leaf = leaf.uris(&[uri]);
        }
        if let Some(issuer) = &account.issuer_of_old {
            leaf = leaf.with(FULCIO_ISSUER_OF_OLD, false, issuer.as_bytes());
        }
        if let Some(issuer) = &account.issuer {
            leaf = leaf.with(FULCIO_ISSUER, false, &tlv(0x0c, issuer.as_bytes()));
        }
        let leaf = leaf.signed_by(&self.issuer);
        let attributes = SignedAttributes::new(Hash::Sha256, payload, account.not_before);
        let signature = leaf.key.sign(attributes.der());
        Gitsigned {
            signature: signature.expect("throw-away keys always sign"),
            attributes: attributes.der().to_vec(),
            certificate: leaf.certificate,
        }
    }

    /// Has the log answer about a signature, as its fifth entry of seven.
    ///
    /// # Panics
    /// Never: throw-away keys always sign.
    pub fn answer(&self, signed: &Gitsigned, at: UnixTime) -> Answer {
        let entry = HashedRekord::new(&signed.attributes, &signed.signature, &signed.certificate);
        let body = entry.body().to_vec();
        let leaf = |body: &[u8]| sha256(&[&[0], body].concat());
        let node =
            |left: [u8; 32], right: [u8; 32]| sha256(&[&[1], &left[..], &right[..]].concat());
        let others = [0_u8, 1, 2, 3, 5, 6].map(|it| leaf(&[it]));
        let [zero, one, two, three, five, six] = others;
        let first_four = node(node(zero, one), node(two, three));
        let root = node(first_four, node(node(leaf(&body), five), six));
        let mut answer = Answer {
            log_index: 1004,
            log_id: self.log.public_key().spki_sha256(),
            integrated_time: at.secs().unsigned_abs(),
            promise: Vec::new(),
            index: 4,
            size: 7,
            root,
            hashes: vec![five, six, first_four],
            checkpoint: String::new(),
            body,
        };
        answer.promise = self.promise(&answer);
        answer.checkpoint = self.checkpoint(&answer);
        answer
    }

    /// Signs what an answer says of its time.
    ///
    /// # Panics
    /// Never: throw-away keys always sign.
    pub fn promise(&self, answer: &Answer) -> Vec<u8> {
        let promised = format!(
            r#"{{"body":"{}","integratedTime":{},"logID":"{}","logIndex":{}}}"#,
            base64::encode(&answer.body),
            answer.integrated_time,
            hex::encode(&answer.log_id),
            answer.log_index,
        );
        let signature = self.log.sign(promised.as_bytes());
        signature.expect("throw-away keys always sign")
    }

    /// Signs what an answer says of its tree.
    ///
    /// # Panics
    /// Never: throw-away keys always sign.
    pub fn checkpoint(&self, answer: &Answer) -> String {
        let root = base64::encode(&answer.root);
        let text = format!("rekor.test.invalid - 1\n{}\n{root}\n", answer.size);
        let signature = self.log.sign(text.as_bytes());
        let signature = signature.expect("throw-away keys always sign");
        let hint = self.log.public_key().spki_sha256();
        let hint = hint.get(..4).unwrap_or_default();
        let signature = base64::encode(&[hint, &signature].concat());
        format!("{text}\n— rekor.test.invalid {signature}\n")
    }
}

/// A signature as gitsign makes it, before anything is put beside it.
#[derive(Clone)]
pub struct Gitsigned {
    /// DER of the signed attributes: what was signed.
    pub attributes: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
    /// The certificate.
    pub certificate: Certificate,
}

impl Gitsigned {
    /// Writes the CMS message: the leaf alone, and beside the signature what is given of a log
    /// entry and a time stamp.
    pub fn cms(&self, entry: Option<&[u8]>, token: Option<&[u8]>) -> Vec<u8> {
        let sequence = |parts: &[&[u8]]| tlv(0x30, &parts.concat());
        let attribute = |name: &[u8], value: &[u8]| sequence(&[&tlv(6, name), &tlv(0x31, value)]);
        let entry = entry.map(|entry| attribute(REKOR_LOG_ENTRY, &tlv(4, entry)));
        let token = token.map(|token| attribute(TIME_STAMP_TOKEN, token));
        let unsigned = [entry.unwrap_or_default(), token.unwrap_or_default()].concat();
        let unsigned = match unsigned.is_empty() {
            true => Vec::new(),
            false => tlv(0xa1, &unsigned),
        };
        let mut attributes = self.attributes.clone();
        if let Some(tag) = attributes.first_mut() {
            *tag = 0xa0;
        }
        let digest = sequence(&[&tlv(6, SHA256)]);
        let certificate = &self.certificate;
        let signer = sequence(&[
            &[2, 1, 1],
            &sequence(&[certificate.issuer_der(), &tlv(2, certificate.serial())]),
            &digest,
            &attributes,
            &sequence(&[&tlv(6, ECDSA_WITH_SHA256)]),
            &tlv(4, &self.signature),
            &unsigned,
        ]);
        let signed_data = sequence(&[
            &[2, 1, 1],
            &tlv(0x31, &digest),
            &sequence(&[&tlv(6, DATA)]),
            &tlv(0xa0, certificate.der()),
            &tlv(0x31, &signer),
        ]);
        sequence(&[&tlv(6, SIGNED_DATA), &tlv(0xa0, &signed_data)])
    }

    /// Writes the Sigstore bundle (v0.3) that says the same as [`Gitsigned::cms`].
    pub fn bundle(&self, answer: &Answer) -> Value {
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": base64::encode(self.certificate.der())},
                "tlogEntries": [answer.json()],
            },
            "messageSignature": {
                "messageDigest": {
                    "algorithm": "SHA2_256",
                    "digest": base64::encode(&sha256(&self.attributes)),
                },
                "signature": base64::encode(&self.signature),
            },
        })
    }
}

/// What a log answered. Every field may be changed; what was signed stays as it was.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The index over all trees of the log.
    pub log_index: u64,
    /// The log.
    pub log_id: [u8; 32],
    /// When it says that it took the entry in.
    pub integrated_time: u64,
    /// The signed entry timestamp; empty for none.
    pub promise: Vec<u8>,
    /// The index in the tree.
    pub index: u64,
    /// The size of the tree.
    pub size: u64,
    /// The root of the tree.
    pub root: [u8; 32],
    /// The path to it.
    pub hashes: Vec<[u8; 32]>,
    /// The signed note about the tree; empty for no proof at all.
    pub checkpoint: String,
    /// The entry.
    pub body: Vec<u8>,
}

impl Answer {
    /// Writes the protocol buffer, without the entry, as gitsign keeps it.
    pub fn protobuf(&self) -> Vec<u8> {
        let kind = [bytes(1, b"hashedrekord"), bytes(2, b"0.0.1")].concat();
        let mut all = [
            number(1, self.log_index),
            bytes(2, &bytes(1, &self.log_id)),
            bytes(3, &kind),
            number(4, self.integrated_time),
        ]
        .concat();
        if !self.promise.is_empty() {
            all.extend(bytes(5, &bytes(1, &self.promise)));
        }
        if !self.checkpoint.is_empty() {
            let hashes = self.hashes.iter().flat_map(|hash| bytes(4, hash));
            let proof = [
                number(1, self.index),
                bytes(2, &self.root),
                number(3, self.size),
                hashes.collect(),
                bytes(5, &bytes(1, self.checkpoint.as_bytes())),
            ];
            all.extend(bytes(6, &proof.concat()));
        }
        all
    }

    fn json(&self) -> Value {
        let hashes: Vec<_> = self.hashes.iter().map(|it| base64::encode(it)).collect();
        json!({
            "logIndex": self.log_index.to_string(),
            "logId": {"keyId": base64::encode(&self.log_id)},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.1"},
            "integratedTime": self.integrated_time.to_string(),
            "inclusionPromise": {"signedEntryTimestamp": base64::encode(&self.promise)},
            "inclusionProof": {
                "logIndex": self.index.to_string(),
                "rootHash": base64::encode(&self.root),
                "treeSize": self.size.to_string(),
                "hashes": hashes,
                "checkpoint": {"envelope": self.checkpoint},
            },
            "canonicalizedBody": base64::encode(&self.body),
        })
    }
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    let length = u64::try_from(value.len()).expect("a length");
    [varint(field << 3 | 2), varint(length), value.to_vec()].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut written = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).expect("seven bits");
        value >>= 7;
        if value == 0 {
            written.push(low);
            return written;
        }
        written.push(low | 0x80);
    }
}
