//! OpenSSH certificates (PROTOCOL.certkeys), and those that an authority of ours issues.

use super::{
    public_key::{KeyError, KeyType, PublicKey, VerifyError},
    signature::{Signature, SignatureFormatError, ed25519_blob},
    wire::{Reader, WireError, Writer},
};
use crate::{
    hex,
    identity::Identity,
    key::{self, KeyId, SignError, Signer},
    terms::{Terms, TermsError},
    time::UnixTime,
};

/// The extension with the SHA-256 of the only payload that the certificate was issued for.
pub const PAYLOAD_SHA256: &str = "payload-sha256@notme.bot";
/// The extension with the key id of the X.509 certificates of the same session.
pub const X509_KID: &str = "x509-kid@notme.bot";
/// The extension with the authority's epoch.
pub const EPOCH: &str = "epoch@notme.bot";
/// The extension with the second in which the certificate was issued.
pub const ISSUED_AT: &str = "issued-at@notme.bot";
/// The extension with what the session may do, between commas.
pub const SCOPES: &str = "scopes@notme.bot";
/// The extension with the digest that the certificates of one session have in common.
pub const SESSION: &str = "session@notme.bot";

/// The extension with what else limits what it may sign.
pub const TERMS: &str = "terms@notme.bot";

/// The extension without which sshd gives no terminal.
pub const PERMIT_PTY: &str = "permit-pty";

/// A certificate whose own signature holds: its authority's key, whoever's that is, signed it.
#[derive(Clone, Debug)]
pub struct Certificate {
    blob: Box<[u8]>,
    key: PublicKey,
    serial: u64,
    role: Role,
    key_id: String,
    principals: Vec<String>,
    valid_after: u64,
    valid_before: u64,
    critical_options: Vec<String>,
    extensions: Vec<String>,
    notme: NotmeExtensions,
    authority: PublicKey,
}

/// Whom a certificate is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// A person or a program.
    User,
    /// A machine.
    Host,
}

#[derive(Clone, Debug, Default)]
struct NotmeExtensions {
    payload_sha256: Option<[u8; 32]>,
    x509_kid: Option<KeyId>,
    epoch: Option<u64>,
    issued_at: Option<UnixTime>,
    scopes: Vec<String>,
    session: Option<[u8; 32]>,
    terms: Option<Terms>,
}

impl Certificate {
    /// Reads a certificate and checks its authority's signature over it.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn from_blob(blob: &[u8]) -> Result<Self, CertificateError> {
        let mut reader = Reader::new(blob);
        let name = reader.text()?;
        let kind = KeyType::named_certificate(name).ok_or_else(|| KeyError::unsupported(name))?;
        let _nonce = reader.string()?;
        let key = PublicKey::read_fields(kind, &mut reader)?;
        let serial = reader.u64()?;
        let role = match reader.u32()? {
            1 => Role::User,
            2 => Role::Host,
            other => return Err(CertificateError::Role(other)),
        };
        let key_id = reader.text()?.to_owned();
        let principals = principals(reader.string()?)?;
        let (valid_after, valid_before) = (reader.u64()?, reader.u64()?);
        let critical_options = options(reader.string()?)?;
        let extensions = options(reader.string()?)?;
        let _reserved = reader.string()?;
        let authority = PublicKey::from_blob(reader.string()?)?;
        let signed = blob.len() - reader.rest().len();
        let signature = reader.string()?;
        reader.finish()?;
        let signature = Signature::from_blob(signature)?;
        authority.verify(blob.get(..signed).unwrap_or_default(), &signature)?;
        Ok(Self {
            blob: blob.into(),
            key,
            serial,
            role,
            key_id,
            principals,
            valid_after,
            valid_before,
            notme: notme_extensions(&extensions)?,
            critical_options: names(&critical_options),
            extensions: names(&extensions),
            authority,
        })
    }

    /// Returns the bytes.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// Returns the certified key.
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// Returns the serial number; zero when the authority gave none.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Returns whom it is for.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Returns the key id: a free text of the authority's, in ours the identity.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Returns the names that its holder may go by.
    pub fn principals(&self) -> &[String] {
        &self.principals
    }

    /// Returns the first second of its validity.
    pub fn valid_after(&self) -> u64 {
        self.valid_after
    }

    /// Returns the first second after its validity; all ones for never.
    pub fn valid_before(&self) -> u64 {
        self.valid_before
    }

    /// Returns the names of the options that who does not know them must not ignore.
    pub fn critical_options(&self) -> &[String] {
        &self.critical_options
    }

    /// Returns the names of the extensions.
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }

    /// Returns the SHA-256 of the only payload that it was issued for.
    pub fn payload_digest(&self) -> Option<[u8; 32]> {
        self.notme.payload_sha256
    }

    /// Returns the key id of the session's X.509 certificates.
    pub fn x509_kid(&self) -> Option<KeyId> {
        self.notme.x509_kid
    }

    /// Returns the epoch of the authority that issued it.
    pub fn epoch(&self) -> Option<u64> {
        self.notme.epoch
    }

    /// Returns when the authority says that it issued it.
    pub fn issued_at(&self) -> Option<UnixTime> {
        self.notme.issued_at
    }

    /// Returns what the authority says that its holder may do.
    pub fn scopes(&self) -> &[String] {
        &self.notme.scopes
    }

    /// Returns what the certificates of one session have in common: the digest of its keys.
    pub fn session(&self) -> Option<[u8; 32]> {
        self.notme.session
    }

    /// Returns what else limits what it may sign.
    pub fn terms(&self) -> Option<&Terms> {
        self.notme.terms.as_ref()
    }

    /// Returns the key that signed it.
    pub fn authority(&self) -> &PublicKey {
        &self.authority
    }

    /// Checks what OpenSSH checks of a certificate that signed something: that it is a user's,
    /// valid at that time, and names somebody; with `principal`, that one.
    ///
    /// # Errors
    /// [`Unauthorised`] with the first reason.
    pub fn authorises(&self, at: UnixTime, principal: Option<&str>) -> Result<(), Unauthorised> {
        if self.role != Role::User {
            return Err(Unauthorised::NotAUser);
        }
        // PROTOCOL.certkeys: "valid after <= current time < valid before". There is no
        // certificate from before 1970.
        let at = u64::try_from(at.secs()).unwrap_or(0);
        if at < self.valid_after {
            return Err(Unauthorised::NotYetValid);
        }
        if at >= self.valid_before {
            return Err(Unauthorised::Expired);
        }
        if self.principals.is_empty() {
            return Err(Unauthorised::NoPrincipals);
        }
        match principal {
            Some(name) if !self.principals.iter().any(|listed| listed == name) => {
                Err(Unauthorised::OtherPrincipals)
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.blob == other.blob
    }
}

impl Eq for Certificate {}

/// A user certificate of ours, before it is signed.
#[derive(Clone, Copy, Debug)]
pub struct UserCertificate<'a> {
    /// Random bytes, so that no two certificates are the same.
    pub nonce: [u8; 32],
    /// The session's Ed25519 key.
    pub key: &'a key::PublicKey,
    /// The serial number.
    pub serial: u64,
    /// Who: becomes the key id.
    pub identity: &'a Identity,
    /// The names that the holder may go by.
    pub principals: &'a [&'a str],
    /// The first second.
    pub valid_after: UnixTime,
    /// The first second after.
    pub valid_before: UnixTime,
    /// SHA-256 of the payload that it is issued for.
    pub payload_digest: Option<[u8; 32]>,
    /// Key id of the session's X.509 certificates.
    pub x509_kid: KeyId,
    /// The authority's epoch.
    pub epoch: u64,
    /// When it is issued, which is a little after its first second.
    pub issued_at: UnixTime,
    /// What the session may do.
    pub scopes: &'a [String],
    /// The digest of the session's keys.
    pub session: [u8; 32],
    /// What the holder may do once logged in, by ssh-keygen's names, in their order: [`PERMIT_PTY`].
    pub permits: &'a [&'a str],
    /// What else limits what it may sign.
    pub terms: Option<&'a Terms>,
}

impl UserCertificate<'_> {
    /// Signs it with the authority's Ed25519 key.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn sign(&self, authority: &dyn Signer) -> Result<Certificate, IssueError> {
        let seconds = |at: UnixTime| u64::try_from(at.secs()).map_err(|_| IssueError::Time);
        let (after, before) = (seconds(self.valid_after)?, seconds(self.valid_before)?);
        if after >= before {
            return Err(IssueError::Time);
        }
        let names_hold = |name: &&str| !name.is_empty() && !name.contains(['\0', ',']);
        if self.principals.is_empty()
            || self.principals.len() > PRINCIPALS_MAX
            || !self.principals.iter().all(names_hold)
        {
            return Err(IssueError::Principals);
        }
        if self
            .scopes
            .iter()
            .any(|it| it.is_empty() || it.contains(','))
        {
            return Err(IssueError::Scopes);
        }
        let Some(raw) = self.key.ed25519_bytes() else {
            return Err(IssueError::Key);
        };
        let authority_key = PublicKey::from_key(authority.public_key())?;
        let names = self.principals.iter();
        let names = names.fold(Writer::new(), |out, name| out.string(name.as_bytes()));
        // In lexical order, as PROTOCOL.certkeys wants.
        let mut extensions = extension(Writer::new(), EPOCH, &self.epoch.to_string());
        let issued_at = seconds(self.issued_at)?;
        extensions = extension(extensions, ISSUED_AT, &issued_at.to_string());
        if let Some(digest) = &self.payload_digest {
            extensions = extension(extensions, PAYLOAD_SHA256, &hex::encode(digest));
        }
        for permit in self.permits {
            extensions = extensions.string(permit.as_bytes()).string(b"");
        }
        extensions = extension(extensions, SCOPES, &self.scopes.join(","));
        extensions = extension(extensions, SESSION, &hex::encode(&self.session));
        if let Some(terms) = self.terms {
            extensions = extension(extensions, TERMS, &terms.to_text()?);
        }
        extensions = extension(extensions, X509_KID, &self.x509_kid.to_string());
        let signed = Writer::new()
            .string(KeyType::Ed25519.certificate_name().as_bytes())
            .string(&self.nonce)
            .string(&raw)
            .u64(self.serial)
            .u32(1)
            .string(self.identity.as_str().as_bytes())
            .string(&names.finish())
            .u64(after)
            .u64(before)
            .string(b"")
            .string(&extensions.finish())
            .string(b"")
            .string(authority_key.blob())
            .finish();
        let signature = ed25519_blob(&authority.sign(&signed)?);
        let blob = Writer::new().bytes(&signed).string(&signature).finish();
        // What we sign we verify before it leaves.
        Ok(Certificate::from_blob(&blob)?)
    }
}

/// As many as OpenSSH reads (SSHKEY_CERT_MAX_PRINCIPALS).
const PRINCIPALS_MAX: usize = 256;

type Entry<'a> = (&'a str, &'a [u8]);

fn principals(bytes: &[u8]) -> Result<Vec<String>, CertificateError> {
    let mut reader = Reader::new(bytes);
    let mut names = Vec::new();
    while !reader.is_empty() {
        if names.len() == PRINCIPALS_MAX {
            return Err(CertificateError::TooManyPrincipals);
        }
        names.push(reader.text()?.to_owned());
    }
    Ok(names)
}

fn options(bytes: &[u8]) -> Result<Vec<Entry<'_>>, WireError> {
    let mut reader = Reader::new(bytes);
    let mut options = Vec::new();
    while !reader.is_empty() {
        options.push((reader.text()?, reader.string()?));
    }
    Ok(options)
}

fn names(options: &[Entry<'_>]) -> Vec<String> {
    options.iter().map(|(name, _)| (*name).to_owned()).collect()
}

fn extension(out: Writer, name: &str, value: &str) -> Writer {
    let value = Writer::new().string(value.as_bytes()).finish();
    out.string(name.as_bytes()).string(&value)
}

/// Reads our extensions. Each may be there once, and its value has one spelling.
fn notme_extensions(extensions: &[Entry<'_>]) -> Result<NotmeExtensions, CertificateError> {
    let payload_sha256 = single(extensions, PAYLOAD_SHA256, hex::decode_array)?;
    let x509_kid = single(extensions, X509_KID, |text| text.parse().ok())?;
    let issued_at = single(extensions, ISSUED_AT, number)?
        .map(|secs| i64::try_from(secs).map(UnixTime::from_secs))
        .transpose()
        .map_err(|_| CertificateError::Extension(ISSUED_AT))?;
    let scopes = single(extensions, SCOPES, |text| {
        let scopes = text.split(',').filter(|scope| !scope.is_empty());
        Some(scopes.map(str::to_owned).collect())
    })?;
    Ok(NotmeExtensions {
        payload_sha256,
        x509_kid,
        epoch: single(extensions, EPOCH, number)?,
        issued_at,
        scopes: scopes.unwrap_or_default(),
        session: single(extensions, SESSION, hex::decode_array)?,
        terms: single(extensions, TERMS, |text| Terms::from_text(text).ok())?,
    })
}

fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn single<T>(
    extensions: &[Entry<'_>],
    wanted: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, CertificateError> {
    let malformed = || CertificateError::Extension(wanted);
    let mut found = extensions.iter().filter(|(name, _)| *name == wanted);
    let Some((_, value)) = found.next() else {
        return Ok(None);
    };
    if found.next().is_some() {
        return Err(malformed());
    }
    let mut reader = Reader::new(value);
    let text = reader.text().map_err(|_| malformed())?;
    reader.finish().map_err(|_| malformed())?;
    read(text).map(Some).ok_or_else(malformed)
}

/// The bytes are no certificate, or nobody signed it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CertificateError {
    /// The encoding is broken.
    #[error("the certificate is malformed: {0}")]
    Wire(#[from] WireError),
    /// A key in it is none.
    #[error("the certificate holds no usable key: {0}")]
    Key(#[from] KeyError),
    /// Neither for a user nor for a host.
    #[error("the certificate is of unknown type {0}")]
    Role(u32),
    /// More than 256 names.
    #[error("the certificate names more than {PRINCIPALS_MAX} principals")]
    TooManyPrincipals,
    /// One of our own extensions is there twice, or says nothing.
    #[error("the certificate's extension `{0}` is malformed")]
    Extension(&'static str),
    /// Its signature is none.
    #[error("the certificate's signature: {0}")]
    SignatureFormat(#[from] SignatureFormatError),
    /// Its signature does not hold.
    #[error("the certificate's signature: {0}")]
    Signature(#[from] VerifyError),
}

/// The certificate does not stand for what was signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unauthorised {
    /// It is a host's.
    #[error("Certificate invalid: not a user certificate")]
    NotAUser,
    /// It begins later.
    #[error("Certificate invalid: not yet valid")]
    NotYetValid,
    /// It ended before.
    #[error("Certificate invalid: expired")]
    Expired,
    /// It names nobody.
    #[error("Certificate lacks principal list")]
    NoPrincipals,
    /// It names others.
    #[error("Certificate invalid: name is not a listed principal")]
    OtherPrincipals,
}

/// The certificate was not issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The session's key is not Ed25519.
    #[error("the session's key is not Ed25519")]
    Key,
    /// No principal, too many, or one that no list could name.
    #[error("the principals cannot be written into a certificate")]
    Principals,
    /// A scope that no list could name.
    #[error("the scopes cannot be written into a certificate")]
    Scopes,
    /// The terms are beyond their limits.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// Before 1970, or it ends before it begins.
    #[error("the validity cannot be written into a certificate")]
    Time,
    /// The authority's key is not Ed25519.
    #[error("the authority's key cannot sign certificates")]
    Authority(#[from] KeyError),
    /// The authority's key could not be used.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// What was made does not hold.
    #[error("the certificate made does not hold")]
    Check(#[from] CertificateError),
}
