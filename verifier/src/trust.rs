//! Whom we trust: authorities, their roots and the windows of these, as read from the trust store.

use std::{collections::HashMap, fmt, sync::Arc};

use notme_core::{
    certificate::Certificate,
    hex,
    key::sha256,
    openpgp::TrustedKey,
    rekor::LogKey,
    sigstore_root::SigstoreRoot,
    ssh::{self, allowed_signers::EntryKind},
    time::UnixTime,
    trust::{Revocation, TrustDocument, Trusted},
};
use serde::{Deserialize, Serialize};

use crate::{
    openpgp::{self, Person},
    ssh::ListedKey,
    verdict::Code,
};

/// Everything that the trust store holds, good and bad.
#[derive(Debug)]
pub struct Trust {
    authorities: Vec<Authority>,
    faults: Vec<Fault>,
    is_recorded: bool,
    digest: [u8; 32],
    content: [u8; 32],
}

impl Trust {
    /// Gathers authorities that were read and checked, and those that could not be.
    pub fn new(mut authorities: Vec<Authority>, faults: Vec<Fault>) -> Self {
        let content = content(&authorities, &faults);
        let digest = digest(content, &authorities);
        openpgp::unite(authorities.iter_mut().flat_map(|it| &mut it.people));
        retire(&mut authorities);
        Self {
            authorities,
            faults,
            is_recorded: true,
            digest,
            content,
        }
    }

    /// Says that nothing is recorded of what was there before, so that an older document would not
    /// be noticed.
    #[must_use]
    pub fn unrecorded(self) -> Self {
        let is_recorded = false;
        Self {
            is_recorded,
            ..self
        }
    }

    /// Returns the authorities that can be used.
    pub fn authorities(&self) -> &[Authority] {
        &self.authorities
    }

    /// Returns the authorities that cannot be used, and why.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Tells whether an older document in the store would have been noticed.
    pub fn is_recorded(&self) -> bool {
        self.is_recorded
    }

    /// Tells whether nobody is trusted and nothing is wrong either.
    pub fn is_empty(&self) -> bool {
        self.authorities.is_empty() && self.faults.is_empty()
    }

    /// Returns `sha256:<hex>` over everything here that a verdict can depend on.
    pub fn digest(&self) -> String {
        format!("sha256:{}", hex::encode(&self.digest))
    }

    /// As [`Self::digest`], but for the numbers of trust documents and their times: the same, if a newer
    /// document has nothing else that is new.
    pub(crate) fn content(&self) -> String {
        format!("sha256:{}", hex::encode(&self.content))
    }
}

/// How an authority is known, which decides what its certificates must say.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PinKind {
    /// By its signed trust document, protected against rollback.
    TrustDocument,
    /// By the PEM of a notme authority's roots.
    Pem,
    /// By the PEM of a certificate authority that knows nothing of notme, as gpgsm and openssl
    /// users have.
    X509,
    /// By the OpenPGP keys of people, as gpg users have.
    #[serde(rename = "openpgp")]
    OpenPgp,
    /// By a file of allowed signers, as ssh-keygen and git have it.
    AllowedSigners,
    /// By a Sigstore `trusted_root.json`. Whom it certifies is anybody with an account somewhere.
    Sigstore,
}

impl PinKind {
    /// Returns the scopes of which a signing certificate must carry one; none asks for nothing.
    pub fn default_scopes(self) -> Vec<String> {
        let scopes: &[&str] = match self {
            Self::TrustDocument => &["sign:git"],
            // The hosted notme authority puts no other scope than `bridgeCert` into certificates.
            Self::Pem => &["bridgeCert", "sign:git"],
            Self::X509 | Self::OpenPgp | Self::AllowedSigners | Self::Sigstore => &[],
        };
        scopes.iter().map(|scope| (*scope).to_owned()).collect()
    }

    /// Tells whether it is an authority that is known so, and not people.
    pub(crate) const fn is_of_authority(self) -> bool {
        match self {
            Self::TrustDocument | Self::Pem | Self::X509 | Self::Sigstore => true,
            Self::OpenPgp | Self::AllowedSigners => false,
        }
    }

    /// Returns the kind's name, as in `pin.json`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TrustDocument => "trust-document",
            Self::Pem => "pem",
            Self::X509 => "x509",
            Self::OpenPgp => "openpgp",
            Self::AllowedSigners => "allowed-signers",
            Self::Sigstore => "sigstore",
        }
    }
}

impl fmt::Display for PinKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An authority whose pin and roots were read and checked.
#[derive(Clone, Debug)]
pub struct Authority {
    pub(crate) name: Arc<str>,
    pub(crate) kind: PinKind,
    pub(crate) scopes: Vec<String>,
    pub(crate) roots: Vec<Trusted<Certificate>>,
    pub(crate) openpgp: Vec<Trusted<TrustedKey>>,
    pub(crate) people: Vec<Arc<Person>>,
    pub(crate) ssh: Vec<Trusted<ssh::PublicKey>>,
    pub(crate) signers: Vec<Arc<ListedKey>>,
    pub(crate) tsa: Vec<Trusted<Certificate>>,
    pub(crate) logs: Vec<Trusted<LogKey>>,
    pub(crate) document: Option<DocumentFacts>,
    pub(crate) revocations: Arc<[Revocation]>,
}

impl Authority {
    /// Returns an authority known by certificates alone.
    pub fn from_certificates(
        name: &str,
        kind: PinKind,
        scopes: Vec<String>,
        certificates: Vec<Certificate>,
    ) -> Self {
        let roots = certificates
            .into_iter()
            .map(|certificate| Trusted {
                from: certificate.not_before(),
                retired_at: None,
                value: certificate,
            })
            .collect();
        Self {
            name: name.into(),
            kind,
            scopes,
            roots,
            openpgp: Vec::new(),
            people: Vec::new(),
            ssh: Vec::new(),
            signers: Vec::new(),
            tsa: Vec::new(),
            logs: Vec::new(),
            document: None,
            revocations: Arc::default(),
        }
    }

    /// Returns an authority that is nothing but the OpenPGP keys of people.
    pub fn from_people(name: &str, people: Vec<Person>) -> Self {
        Self {
            people: people.into_iter().map(Arc::new).collect(),
            ..Self::from_certificates(name, PinKind::OpenPgp, Vec::new(), Vec::new())
        }
    }

    /// Returns an authority that is nothing but a file of allowed signers.
    pub fn from_signers(name: &str, signers: Vec<ListedKey>) -> Self {
        Self {
            signers: signers.into_iter().map(Arc::new).collect(),
            ..Self::from_certificates(name, PinKind::AllowedSigners, Vec::new(), Vec::new())
        }
    }

    /// Returns an authority that is an instance of Sigstore.
    pub fn from_sigstore(name: &str, root: SigstoreRoot) -> Self {
        Self {
            roots: root.issuers,
            tsa: root.tsa,
            logs: root.logs,
            ..Self::from_certificates(name, PinKind::Sigstore, Vec::new(), Vec::new())
        }
    }

    /// Returns an authority known by its trust document, which the caller has verified.
    pub fn from_document(name: &str, scopes: Vec<String>, document: &TrustDocument) -> Self {
        let roots = document
            .roots
            .iter()
            .map(|root| Trusted {
                value: root.certificate.clone(),
                from: root.from,
                retired_at: root.retired_at,
            })
            .collect();
        let openpgp = document.openpgp.iter().map(|ca| Trusted {
            value: ca.certificate.clone(),
            from: ca.from,
            retired_at: ca.retired_at,
        });
        let ssh = document.ssh_ca.iter().map(|ca| Trusted {
            value: ca.public_key.clone(),
            from: ca.from,
            retired_at: ca.retired_at,
        });
        let tsa = document.tsa.iter().map(|tsa| Trusted {
            value: tsa.certificate.clone(),
            from: tsa.from,
            retired_at: tsa.retired_at,
        });
        Self {
            name: name.into(),
            kind: PinKind::TrustDocument,
            scopes,
            roots,
            openpgp: openpgp.collect(),
            people: Vec::new(),
            ssh: ssh.collect(),
            signers: Vec::new(),
            tsa: tsa.collect(),
            logs: Vec::new(),
            document: Some(DocumentFacts {
                url: document.authority.clone(),
                trust_domain: document.trust_domain.clone(),
                seqno: document.seqno,
                epoch: document.epoch,
                issued_at: document.issued_at,
                expires_at: document.expires_at,
            }),
            revocations: document.revocations.clone().into(),
        }
    }

    /// Returns the name that the trust store has for it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns how it is known.
    pub fn kind(&self) -> PinKind {
        self.kind
    }

    /// Returns the scopes of which its certificates must carry one; empty asks for none.
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Returns its roots, retired ones too.
    pub fn roots(&self) -> &[Trusted<Certificate>] {
        &self.roots
    }

    /// Returns the keys with which it certifies OpenPGP keys, retired ones too.
    pub fn openpgp(&self) -> &[Trusted<TrustedKey>] {
        &self.openpgp
    }

    /// Returns the people whose OpenPGP keys it stands for.
    pub fn people(&self) -> &[Arc<Person>] {
        &self.people
    }

    /// Returns the keys with which it signs OpenSSH certificates, retired ones too.
    pub fn ssh(&self) -> &[Trusted<ssh::PublicKey>] {
        &self.ssh
    }

    /// Returns the lines of the file of allowed signers that it is.
    pub fn signers(&self) -> &[Arc<ListedKey>] {
        &self.signers
    }

    /// Returns who stamps for it, retired ones too.
    pub fn tsa(&self) -> &[Trusted<Certificate>] {
        &self.tsa
    }

    /// Returns the keys of its logs, retired ones too.
    pub fn logs(&self) -> &[Trusted<LogKey>] {
        &self.logs
    }

    /// Returns what it took back.
    pub fn revocations(&self) -> &[Revocation] {
        &self.revocations
    }

    /// Tells whether it took back a certificate.
    pub fn revokes(&self, certificate: &Certificate) -> bool {
        let mut revocations = self.revocations.iter();
        revocations.any(|revocation| revocation.is_of(certificate))
    }

    /// Tells whether one of its roots, or of the keys that it lists, has this SHA-256.
    pub(crate) fn has_key(&self, spki_sha256: &[u8; 32]) -> bool {
        self.keys().any(|key| key == *spki_sha256)
    }

    /// Returns the SHA-256 of each root, and of each key that it lists.
    pub fn keys(&self) -> impl Iterator<Item = [u8; 32]> {
        let certificates = self.roots.iter();
        let certificates = certificates.map(|it| Some(it.value.public_key().spki_sha256()));
        let openpgp = self.openpgp.iter().map(|it| it.value.key().spki_sha256());
        let people = self.people.iter().map(|it| Some(it.spki_sha256()));
        let ssh = self.ssh.iter().map(|it| Some(it.value.spki_sha256()));
        let signers = self.signers.iter();
        let signers = signers.map(|it| Some(it.public_key().spki_sha256()));
        let all = certificates.chain(openpgp).chain(people);
        all.chain(ssh).chain(signers).flatten()
    }

    /// Returns the SHA-256 of each key that it issues with or stamps with, and when that ceased.
    fn ends(&mut self) -> impl Iterator<Item = ([u8; 32], &mut Option<UnixTime>)> {
        let certificates = self.roots.iter_mut().chain(&mut self.tsa);
        let certificates = certificates.map(|it| {
            let spki_sha256 = it.value.public_key().spki_sha256();
            (spki_sha256, &mut it.retired_at)
        });
        let openpgp = self.openpgp.iter_mut().filter_map(|it| {
            let spki_sha256 = it.value.key().spki_sha256()?;
            Some((spki_sha256, &mut it.retired_at))
        });
        let ssh = self.ssh.iter_mut();
        let ssh = ssh.map(|it| (it.value.spki_sha256(), &mut it.retired_at));
        certificates.chain(openpgp).chain(ssh)
    }

    /// Returns the SHA-256 of each root, and from when on it is used, together with those that come
    /// before and after it.
    pub(crate) fn roots_by_format(&self) -> [Vec<([u8; 32], UnixTime)>; 3] {
        let x509 = self.roots.iter();
        let x509 = x509.map(|it| (it.value.public_key().spki_sha256(), it.from));
        let openpgp = self.openpgp.iter();
        let openpgp = openpgp.filter_map(|it| Some((it.value.key().spki_sha256()?, it.from)));
        let ssh = self.ssh.iter();
        let ssh = ssh.map(|it| (it.value.spki_sha256(), it.from));
        [x509.collect(), openpgp.collect(), ssh.collect()]
    }

    /// Tells whether a key that is used from a time on was in use when the authority last said so:
    /// other keys are only prepared.
    pub fn has_used(&self, from: UnixTime) -> bool {
        self.document
            .as_ref()
            .is_none_or(|document| from <= document.issued_at)
    }

    /// Returns what its trust document says, when it has one.
    pub fn document(&self) -> Option<&DocumentFacts> {
        self.document.as_ref()
    }
}

/// What a verified trust document says beside its roots.
#[derive(Clone, Debug)]
pub struct DocumentFacts {
    /// The authority's own name: its URL.
    pub url: String,
    /// The domain of the identities it issues.
    pub trust_domain: String,
    /// The document's number, which never falls.
    pub seqno: u64,
    /// The epoch of the authority's key.
    pub epoch: u64,
    /// When the document was signed.
    pub issued_at: UnixTime,
    /// Until when it may be relied on, unless the policy says otherwise.
    pub expires_at: UnixTime,
}

/// What a fault of the whole store goes by; no authority has this name.
pub const WHOLE_STORE: &str = "*";

/// An authority of the trust store that cannot be used.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    /// The authority's name, or [`WHOLE_STORE`]; escaped.
    pub name: Box<str>,
    /// What a verdict that would need it says.
    pub code: Code,
    /// What happened, for people; escaped.
    pub message: String,
    /// The SHA-256 of each key that it may have taken back, whoever else names that; `None` where it
    /// may be any.
    #[serde(skip)]
    pub keys: Option<Vec<[u8; 32]>>,
    /// The trust domain that it alone speaks for.
    #[serde(skip)]
    pub trust_domain: Option<String>,
}

impl Fault {
    /// Tells whether what cannot be read may have taken back a key.
    pub(crate) fn may_revoke(&self, spki_sha256: &[u8; 32]) -> bool {
        let mut keys = self.keys.iter();
        keys.all(|keys| keys.contains(spki_sha256))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            code,
            message,
            ..
        } = self;
        write!(f, "authority `{name}`: {}: {message}", code.as_str())
    }
}

/// Ends each key when the first trust document says so: an older copy of one that was rotated
/// since does not know it yet.
fn retire(authorities: &mut [Authority]) {
    let mut ends = HashMap::new();
    let documents = authorities.iter_mut().filter(|it| it.document.is_some());
    for document in documents {
        let mut own = HashMap::new();
        // It may be in use several times, one after the other.
        for (key, end) in document.ends() {
            let last = own.entry(key).or_insert(*end);
            *last = last.zip(*end).map(|(one, other)| one.max(other));
        }
        for (key, end) in own {
            if let Some(end) = end {
                let earliest = ends.entry(key).or_insert(end);
                *earliest = end.min(*earliest);
            }
        }
    }
    for (key, end) in authorities.iter_mut().flat_map(Authority::ends) {
        if let Some(earliest) = ends.get(&key) {
            *end = Some(end.unwrap_or(*earliest).min(*earliest));
        }
    }
}

/// Adds the numbers of trust documents, and their times.
fn digest(content: [u8; 32], authorities: &[Authority]) -> [u8; 32] {
    let mut bytes = content.to_vec();
    for document in authorities.iter().filter_map(|it| it.document.as_ref()) {
        bytes.extend(document.seqno.to_be_bytes());
        for at in [document.issued_at, document.expires_at] {
            bytes.extend(at.secs().to_be_bytes());
        }
    }
    sha256(&bytes)
}

/// Hashes every other field with its length before it, so that no two stores look the same.
fn content(authorities: &[Authority], faults: &[Fault]) -> [u8; 32] {
    let mut bytes = Vec::new();
    let mut field = |value: &[u8]| {
        bytes.extend_from_slice(value.len().to_string().as_bytes());
        bytes.push(b':');
        bytes.extend_from_slice(value);
    };
    let time = |at: Option<UnixTime>| at.map_or_else(String::new, |at| at.to_string());
    for authority in authorities {
        field(b"authority");
        field(authority.name.as_bytes());
        field(authority.kind.as_str().as_bytes());
        for scope in &authority.scopes {
            field(scope.as_bytes());
        }
        let roots = authority.roots.iter().map(|root| {
            let made: (&[u8], &[u8]) = (b"root", root.value.der());
            (made, root.from, root.retired_at)
        });
        let openpgp = authority.openpgp.iter().map(|root| {
            let made: (&[u8], &[u8]) = (b"openpgp", root.value.as_bytes());
            (made, root.from, root.retired_at)
        });
        let ssh = authority.ssh.iter().map(|root| {
            let made: (&[u8], &[u8]) = (b"ssh", root.value.blob());
            (made, root.from, root.retired_at)
        });
        let tsa = authority.tsa.iter().map(|tsa| {
            let made: (&[u8], &[u8]) = (b"tsa", tsa.value.der());
            (made, tsa.from, tsa.retired_at)
        });
        let logs = authority.logs.iter().map(|log| {
            let made: (&[u8], &[u8]) = (b"log", log.value.public_key().spki_der());
            (made, log.from, log.retired_at)
        });
        let keys = roots.chain(openpgp).chain(ssh).chain(tsa).chain(logs);
        for ((kind, key), from, retired_at) in keys {
            field(kind);
            field(key);
            field(from.to_string().as_bytes());
            field(time(retired_at).as_bytes());
        }
        for person in &authority.people {
            field(b"person");
            field(person.as_bytes());
        }
        for line in &authority.signers {
            let entry = line.entry();
            field(b"signer");
            field(line.principals().as_bytes());
            field(entry.key().blob());
            field(match entry.kind() {
                EntryKind::Key => b"key",
                EntryKind::Authority => b"authority",
            });
            // None and an empty list are two things: everything, and nothing.
            field(entry.namespaces().map_or(b"any", |_| b"only"));
            field(entry.namespaces().unwrap_or_default().as_bytes());
            field(time(entry.valid_after()).as_bytes());
            field(time(entry.valid_before()).as_bytes());
        }
        if let Some(document) = &authority.document {
            field(b"document");
            field(document.trust_domain.as_bytes());
        }
        for revocation in authority.revocations.iter() {
            field(b"revocation");
            field(format!("{:?}", revocation.kind).as_bytes());
            field(revocation.value.as_bytes());
            field(revocation.since.to_string().as_bytes());
        }
    }
    for fault in faults {
        field(b"fault");
        field(fault.name.as_bytes());
        field(fault.code.as_str().as_bytes());
        match &fault.keys {
            None => field(b"any"),
            Some(keys) => keys.iter().for_each(|key| field(key)),
        }
        field(fault.trust_domain.as_deref().unwrap_or_default().as_bytes());
    }
    sha256(&bytes)
}
