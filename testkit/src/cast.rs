//! The cast: authorities that live in memory, and the sessions they issue certificates to.

use notme_core::{
    certificate::Certificate,
    identity::Identity,
    key::{Algorithm, PublicKey, Signer, sha256},
    profile::{CaTemplate, LeafKind, LeafTemplate, build_ca, build_leaf},
    terms::Terms,
    time::UnixTime,
    trust::{Handover, Retirement, Root, TrustDocument},
};

use crate::{
    clock::NOW,
    keys::{Ed25519Key, P256Key},
};

/// The trust domain of the cast.
pub const TRUST_DOMAIN: &str = "test.invalid";
/// The URL of the cast's authorities; nobody listens there.
pub const AUTHORITY_URL: &str = "https://authority.test.invalid";
const DAY: i64 = 24 * 3600;

/// A throw-away authority with both roots. Authorities of different seeds share no key.
pub struct TestAuthority {
    ed25519_key: Ed25519Key,
    ed25519_root: Certificate,
    p256_key: P256Key,
    p256_root: Certificate,
}

impl TestAuthority {
    /// Builds the authority of a seed. Its roots live for ten years from a day before [`NOW`].
    pub fn new(seed: u8) -> Self {
        Self::born(seed, NOW.plus(-DAY))
    }

    /// Builds the authority of a seed, with roots that live for ten years from `at`.
    pub fn born(seed: u8, at: UnixTime) -> Self {
        let ed25519_key = Ed25519Key::from_seed(role_seed(b'e', seed));
        let p256_key = P256Key::from_seed(role_seed(b'p', seed));
        Self {
            ed25519_root: root("notme-authority test", at, &ed25519_key),
            p256_root: root("notme-authority test interop", at, &p256_key),
            ed25519_key,
            p256_key,
        }
    }

    /// Returns the key and certificate of the root that issues for an algorithm.
    ///
    /// # Panics
    /// For P-384 and RSA, which no notme authority has.
    pub fn root(&self, algorithm: Algorithm) -> (&dyn Signer, &Certificate) {
        match algorithm {
            Algorithm::Ed25519 => (&self.ed25519_key, &self.ed25519_root),
            Algorithm::P256 => (&self.p256_key, &self.p256_root),
            Algorithm::P384 | Algorithm::Rsa => panic!("the authority has no such root"),
        }
    }

    /// Returns the Ed25519 root.
    pub fn ed25519_root(&self) -> &Certificate {
        &self.ed25519_root
    }

    /// Returns the P-256 root, of profile `interop`.
    pub fn p256_root(&self) -> &Certificate {
        &self.p256_root
    }

    /// Returns the Ed25519 root key.
    pub fn ed25519_key(&self) -> &Ed25519Key {
        &self.ed25519_key
    }

    /// Returns the P-256 root key.
    pub fn p256_key(&self) -> &P256Key {
        &self.p256_key
    }

    /// Returns the SPKI SHA-256 of both roots: what a verifier pins.
    pub fn pins(&self) -> Vec<[u8; 32]> {
        self.roots()
            .map(|root| root.public_key().spki_sha256())
            .to_vec()
    }

    /// Issues a leaf to a key of the session's own.
    ///
    /// # Panics
    /// When the profile refuses the spec.
    pub fn leaf(&self, spec: &LeafSpec) -> Session {
        let seed = role_seed(b's', spec.seed);
        let key: Box<dyn Signer + Send + Sync> = match spec.algorithm {
            Algorithm::Ed25519 => Box::new(Ed25519Key::from_seed(seed)),
            Algorithm::P256 => Box::new(P256Key::from_seed(seed)),
            Algorithm::P384 | Algorithm::Rsa => panic!("sessions have no such key"),
        };
        let certificate = self.certify(key.public_key(), spec);
        Session { key, certificate }
    }

    /// Issues a leaf to any key; the spec's own seed is not used.
    ///
    /// # Panics
    /// When the profile refuses the spec.
    pub fn certify(&self, key: &PublicKey, spec: &LeafSpec) -> Certificate {
        let (issuer_key, issuer) = self.root(spec.algorithm);
        let template = LeafTemplate {
            issuer,
            key,
            kind: spec.kind,
            serial: spec.serial(),
            not_before: spec.not_before,
            not_after: spec.not_after,
            issued_at_millis: spec.not_before.secs() * 1000,
            common_name: &spec.common_name,
            subject: &spec.common_name,
            identity: &spec.identity,
            scopes: &spec.scopes,
            epoch: spec.epoch,
            auth_method: "uid",
            binding: [0xb1; 32],
            payload_digest: spec.payload_digest,
            activity: spec.activity.as_deref(),
            terms: spec.terms.as_ref(),
        };
        build_leaf(&template, issuer_key).expect("the spec fits the leaf profile")
    }

    /// Returns the trust document of an hour, unsigned, for tests that change it first.
    pub fn trust(&self, seqno: u64, now: UnixTime) -> TrustDocument {
        TrustDocument {
            version: 1,
            authority: AUTHORITY_URL.to_owned(),
            trust_domain: TRUST_DOMAIN.to_owned(),
            seqno,
            issued_at: now,
            expires_at: now.plus(3600),
            epoch: 1,
            roots: self
                .roots()
                .map(|certificate| Root {
                    kid: certificate.kid(),
                    algorithm: certificate.public_key().algorithm(),
                    from: certificate.not_before(),
                    retired_at: None,
                    handover: None,
                    certificate: certificate.clone(),
                })
                .to_vec(),
            ssh_ca: Vec::new(),
            openpgp: Vec::new(),
            tsa: Vec::new(),
            log: Vec::new(),
            revocations: Vec::new(),
            previous: None,
        }
    }

    /// Returns both roots as a later document has them: retired, and handed over to another
    /// authority of the cast.
    ///
    /// # Panics
    /// When a throw-away key does not sign.
    pub fn retired(&self, retired_at: UnixTime, to: &Self) -> Vec<Root> {
        let hand_over = |root: Root| {
            let (key, certificate) = self.root(root.algorithm);
            let retirement = Retirement {
                trust_domain: TRUST_DOMAIN,
                root: certificate.public_key(),
                from: root.from,
                retired_at,
            };
            let handover = Handover::sign(&retirement, to.pins(), key);
            Root {
                retired_at: Some(retired_at),
                handover: Some(handover.expect("throw-away keys always sign")),
                ..root
            }
        };
        let roots = self.trust(1, retired_at).roots.into_iter();
        roots.map(hand_over).collect()
    }

    /// Signs a trust document with both roots.
    ///
    /// # Panics
    /// When it cannot be encoded.
    pub fn sign_trust(&self, document: &TrustDocument) -> Vec<u8> {
        document
            .sign(&[&self.ed25519_key, &self.p256_key])
            .expect("throw-away keys always sign")
    }

    /// Returns the signed trust document of an hour.
    pub fn trust_document(&self, seqno: u64, now: UnixTime) -> Vec<u8> {
        self.sign_trust(&self.trust(seqno, now))
    }

    fn roots(&self) -> [&Certificate; 2] {
        [&self.ed25519_root, &self.p256_root]
    }
}

/// What a leaf says. Every field may be changed; the default is a signing session of an hour.
#[derive(Clone, Debug)]
pub struct LeafSpec {
    /// Which root issues, and of which kind the session's key is.
    pub algorithm: Algorithm,
    /// The key's seed.
    pub seed: u8,
    /// mTLS or signing.
    pub kind: LeafKind,
    /// The certificate's start.
    pub not_before: UnixTime,
    /// The certificate's last second.
    pub not_after: UnixTime,
    /// The URI in the subject alternative name.
    pub identity: Identity,
    /// Common name and subject claim.
    pub common_name: String,
    /// The scopes granted.
    pub scopes: Vec<String>,
    /// The authority's epoch.
    pub epoch: u64,
    /// The payload it is bound to.
    pub payload_digest: Option<[u8; 32]>,
    /// The activity id.
    pub activity: Option<String>,
    /// The terms.
    pub terms: Option<Terms>,
}

impl LeafSpec {
    /// Returns the spec of an issuance-bound certificate: five minutes, for one payload.
    pub fn bound_to(payload: &[u8]) -> Self {
        Self {
            not_after: NOW.plus(5 * 60),
            payload_digest: Some(sha256(payload)),
            ..Self::default()
        }
    }

    /// Serial numbers differ where payloads or keys do, without a counter to keep.
    fn serial(&self) -> [u8; 16] {
        let mut serial = [self.seed; 16];
        if let Some(digest) = self.payload_digest {
            serial
                .iter_mut()
                .zip(digest)
                .for_each(|(byte, digit)| *byte = digit);
        }
        serial
    }
}

impl Default for LeafSpec {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::Ed25519,
            seed: 1,
            kind: LeafKind::Signing,
            not_before: NOW.plus(-60),
            not_after: NOW.plus(3600),
            identity: format!("wimse://{TRUST_DOMAIN}/agent/alice/claude")
                .parse()
                .expect("a well-formed identity"),
            common_name: "claude".to_owned(),
            scopes: ["bridgeCert", "sign:git"].map(str::to_owned).to_vec(),
            epoch: 1,
            payload_digest: None,
            activity: None,
            terms: None,
        }
    }
}

/// A session: a key and the certificate issued to it.
pub struct Session {
    key: Box<dyn Signer + Send + Sync>,
    certificate: Certificate,
}

impl Session {
    /// Pairs a key with a certificate, whether they belong together or not.
    pub fn new(key: Box<dyn Signer + Send + Sync>, certificate: Certificate) -> Self {
        Self { key, certificate }
    }

    /// Returns the key.
    pub fn key(&self) -> &dyn Signer {
        self.key.as_ref()
    }

    /// Returns the certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}

/// Seeds of different roles never meet. The first byte is a letter, so that every seed is a
/// P-256 scalar too: below the group order, not zero.
fn role_seed(role: u8, seed: u8) -> [u8; 32] {
    let mut bytes = [seed; 32];
    if let Some(first) = bytes.first_mut() {
        *first = role;
    }
    bytes
}

fn root(common_name: &str, not_before: UnixTime, key: &dyn Signer) -> Certificate {
    let template = CaTemplate {
        common_name,
        serial: [0x0c; 16],
        not_before,
        not_after: not_before.plus(3650 * DAY),
    };
    build_ca(&template, key).expect("the template fits the CA profile")
}
