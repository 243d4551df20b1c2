//! X.509 certificates: read strictly, shown, and checked one link at a time.

use std::{fmt, ops::Range};

use der::oid::ObjectIdentifier;

use crate::{
    der_reader::{
        BIT_STRING, DerError, Element, INTEGER, NULL, OCTET_STRING, PRINTABLE_STRING, Reader,
        SEQUENCE, SET, UTF8_STRING, context,
    },
    hex,
    identity::{Identity, IdentityError},
    key::{Hash, KeyError, KeyId, PublicKey, SignatureError, sha256},
    oid,
    pem::{self, PemError},
    terms::Terms,
    time::UnixTime,
};

/// The longest certificate we read, in bytes.
pub const CERTIFICATE_MAX: usize = 16 * 1024;
/// The PEM label of a certificate.
const PEM_LABEL: &str = "CERTIFICATE";
/// RFC 5280 4.1.2.2: at most 20 octets.
const SERIAL_MAX: usize = 20;
/// More extensions than any issuer writes.
const EXTENSIONS_MAX: usize = 64;

const URI_NAME: u8 = 0x86;
const EMAIL_NAME: u8 = 0x81;

/// A parsed certificate. Parsing is not trusting: nothing here has been checked against an
/// issuer, a time or a use.
///
/// The reader is strict DER, with one lenience that the notme authority needs: the epoch INTEGER
/// may be padded.
#[derive(Clone)]
pub struct Certificate {
    der: Box<[u8]>,
    tbs: Range<usize>,
    serial: Range<usize>,
    issuer: Range<usize>,
    subject: Range<usize>,
    signature: Range<usize>,
    signature_algorithm: SignatureAlgorithm,
    not_before: UnixTime,
    not_after: UnixTime,
    public_key: PublicKey,
    extensions: Extensions,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum SignatureAlgorithm {
    Ed25519,
    Ecdsa(Hash),
    Rsa(Hash),
    /// Read, so that the certificate can be shown; it verifies nothing.
    Unsupported,
    /// With this hash; it verifies nothing, either.
    Weak(&'static str),
}

#[derive(Clone, Default)]
struct Extensions {
    is_ca: bool,
    path_len: Option<u8>,
    key_usage: Option<u8>,
    extended_key_usage: Option<Vec<ObjectIdentifier>>,
    extended_key_usage_critical: bool,
    subject_key_id: Option<Vec<u8>>,
    authority_key_id: Option<Vec<u8>>,
    uris: Vec<String>,
    emails: Vec<String>,
    subject: Option<String>,
    issued_at: Option<UnixTime>,
    scopes: Vec<String>,
    epoch: Option<u64>,
    auth_method: Option<String>,
    peer_binding: Option<[u8; 32]>,
    payload_digest: Option<[u8; 32]>,
    activity: Option<String>,
    terms: Option<Terms>,
    oidc_issuer: Option<String>,
    oidc_issuer_of_old: Option<String>,
    name_constraints: bool,
    unknown_critical: Option<ObjectIdentifier>,
}

impl Certificate {
    /// Reads one DER certificate of at most 16 KiB.
    ///
    /// # Errors
    /// [`CertificateError`] when it is too long, not strict DER, not X.509 v3, carries an
    /// extension twice, or holds a key we do not read.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > CERTIFICATE_MAX {
            return Err(CertificateError::TooLong);
        }
        let range = |part: &[u8]| -> Range<usize> {
            // `part` always borrows from `der`.
            let start = part.as_ptr().addr().saturating_sub(der.as_ptr().addr());
            start..start.saturating_add(part.len())
        };
        let mut outer = Reader::only(der, SEQUENCE)?.reader();
        let tbs = outer.expect(SEQUENCE)?;
        let outer_algorithm = outer.expect(SEQUENCE)?;
        let signature = outer.expect(BIT_STRING)?.bit_string_bytes()?;
        outer.finish()?;

        let mut fields = tbs.reader();
        let version = Reader::only(fields.expect(context(0))?.value, INTEGER)?;
        if version.unsigned()? != 2 {
            return Err(CertificateError::Version);
        }
        let serial = serial(fields.expect(INTEGER)?)?;
        let inner_algorithm = fields.expect(SEQUENCE)?;
        if inner_algorithm.raw != outer_algorithm.raw {
            return Err(CertificateError::Algorithm);
        }
        let issuer = fields.expect(SEQUENCE)?.raw;
        let mut validity = fields.expect(SEQUENCE)?.reader();
        let not_before = validity.any()?.time()?;
        let not_after = validity.any()?.time()?;
        validity.finish()?;
        let subject = fields.expect(SEQUENCE)?.raw;
        let public_key = PublicKey::from_spki_der(fields.expect(SEQUENCE)?.raw)?;
        let extensions = Extensions::read(fields.expect(context(3))?)?;
        fields.finish()?;

        Ok(Self {
            tbs: range(tbs.raw),
            serial: range(serial),
            issuer: range(issuer),
            subject: range(subject),
            signature: range(signature),
            signature_algorithm: SignatureAlgorithm::read(outer_algorithm)?,
            not_before,
            not_after,
            public_key,
            extensions,
            der: der.into(),
        })
    }

    /// Reads text that holds exactly one PEM certificate.
    ///
    /// # Errors
    /// [`CertificateError`] when there is none or more than one, or as [`Certificate::from_der`].
    pub fn from_pem(text: &str) -> Result<Self, CertificateError> {
        let mut all = Self::pem_bundle(text)?;
        match (all.pop(), all.is_empty()) {
            (Some(certificate), true) => Ok(certificate),
            _ => Err(CertificateError::Count),
        }
    }

    /// Reads every PEM certificate in the text: a CA bundle.
    ///
    /// # Errors
    /// [`CertificateError`] when there is none, or as [`Certificate::from_der`].
    pub fn pem_bundle(text: &str) -> Result<Vec<Self>, CertificateError> {
        let blocks = pem::decode_all(PEM_LABEL, text)?;
        if blocks.is_empty() {
            return Err(CertificateError::Missing);
        }
        blocks.iter().map(|der| Self::from_der(der)).collect()
    }

    /// Returns the bytes it was read from.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Returns the certificate as PEM.
    pub fn pem(&self) -> String {
        pem::encode(PEM_LABEL, &self.der)
    }

    /// Returns the SHA-256 of the DER.
    pub fn sha256(&self) -> [u8; 32] {
        sha256(&self.der)
    }

    /// Returns the contents of the serial INTEGER.
    pub fn serial(&self) -> &[u8] {
        self.part(&self.serial)
    }

    /// Returns the serial number in hex, without leading zero bytes.
    pub fn serial_hex(&self) -> String {
        let serial = self.serial();
        hex::encode(serial.strip_prefix(&[0]).unwrap_or(serial))
    }

    /// Returns the issuer Name.
    pub fn issuer_der(&self) -> &[u8] {
        self.part(&self.issuer)
    }

    /// Returns the subject Name.
    pub fn subject_der(&self) -> &[u8] {
        self.part(&self.subject)
    }

    /// Returns the subject for display, in the manner of RFC 4514 but in DER order.
    ///
    /// Never compare it: identity is [`Certificate::identity`].
    pub fn subject_text(&self) -> String {
        name_text(self.subject_der()).unwrap_or_else(|_| "(unreadable name)".to_owned())
    }

    /// Returns the first common name of the subject, for display.
    pub fn subject_common_name(&self) -> Option<String> {
        let attributes = name_attributes(self.subject_der()).ok()?;
        let mut names = attributes
            .iter()
            .filter(|(name, _)| *name == oid::COMMON_NAME);
        let (_, value) = names.next()?;
        Some(String::from_utf8_lossy(value.value).into_owned())
    }

    /// Returns the first second of validity.
    pub fn not_before(&self) -> UnixTime {
        self.not_before
    }

    /// Returns the last second of validity.
    pub fn not_after(&self) -> UnixTime {
        self.not_after
    }

    /// Tells whether `at` is within the validity, both ends included (RFC 5280 4.1.2.5).
    pub fn is_valid_at(&self, at: UnixTime) -> bool {
        self.not_before <= at && at <= self.not_after
    }

    /// Returns the subject's key.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Returns the id of the subject's key.
    pub fn kid(&self) -> KeyId {
        self.public_key.kid()
    }

    /// Tells whether basicConstraints says CA.
    pub fn is_ca(&self) -> bool {
        self.extensions.is_ca
    }

    /// Returns how many intermediates may follow, when limited.
    pub fn path_len(&self) -> Option<u8> {
        self.extensions.path_len
    }

    /// Tells whether keyUsage allows signing certificates; absence allows it.
    pub fn has_key_cert_sign(&self) -> bool {
        self.extensions
            .key_usage
            .is_none_or(|bits| bits & 0x04 != 0)
    }

    /// Tells whether keyUsage allows signatures over data (digitalSignature or
    /// nonRepudiation); absence allows them.
    pub fn has_digital_signature(&self) -> bool {
        self.extensions
            .key_usage
            .is_none_or(|bits| bits & 0xc0 != 0)
    }

    /// Returns the extended key usages, when limited.
    pub fn extended_key_usage(&self) -> Option<&[ObjectIdentifier]> {
        self.extensions.extended_key_usage.as_deref()
    }

    /// Tells whether it is a time-stamping authority's: no CA, and for nothing but time stamps, as
    /// a critical extended key usage says (RFC 3161 section 2.3).
    pub fn is_for_time_stamps(&self) -> bool {
        !self.is_ca()
            && self.has_digital_signature()
            && self.unknown_critical().is_none()
            && self.extensions.extended_key_usage_critical
            && self.extended_key_usage() == Some(&[oid::TIME_STAMPING])
    }

    /// Returns the subject key identifier.
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.extensions.subject_key_id.as_deref()
    }

    /// Returns the key identifier of the authority key identifier.
    pub fn authority_key_id(&self) -> Option<&[u8]> {
        self.extensions.authority_key_id.as_deref()
    }

    /// Returns the identity: the one URI among the subject alternative names.
    ///
    /// # Errors
    /// [`CertificateError::Identity`] when there is no URI, more than one, or not an identity.
    pub fn identity(&self) -> Result<Identity, CertificateError> {
        match self.extensions.uris.as_slice() {
            [uri] => uri.parse().map_err(CertificateError::Identity),
            _ => Err(CertificateError::Identity(IdentityError)),
        }
    }

    /// Returns the URIs among the subject alternative names.
    pub fn uris(&self) -> &[String] {
        &self.extensions.uris
    }

    /// Returns the e-mail addresses among the subject alternative names.
    pub fn emails(&self) -> &[String] {
        &self.extensions.emails
    }

    /// Returns the scopes; none when the extension is absent.
    pub fn scopes(&self) -> &[String] {
        &self.extensions.scopes
    }

    /// Returns the authority's epoch at issuance.
    pub fn epoch(&self) -> Option<u64> {
        self.extensions.epoch
    }

    /// Returns the subject the authority issued it to, as it names it.
    pub fn subject_claim(&self) -> Option<&str> {
        self.extensions.subject.as_deref()
    }

    /// Returns the instant of issuance as the authority states it.
    pub fn issued_at(&self) -> Option<UnixTime> {
        self.extensions.issued_at
    }

    /// Returns how the subject proved itself. Meaningful only at a notme authority.
    pub fn auth_method(&self) -> Option<&str> {
        self.extensions.auth_method.as_deref()
    }

    /// Returns the binding of a certificate pair. Meaningful only at a notme authority.
    pub fn peer_binding(&self) -> Option<[u8; 32]> {
        self.extensions.peer_binding
    }

    /// Returns the SHA-256 of the payload that the certificate was issued for.
    pub fn payload_digest(&self) -> Option<[u8; 32]> {
        self.extensions.payload_digest
    }

    /// Returns the activity it was issued for.
    pub fn activity(&self) -> Option<&str> {
        self.extensions.activity.as_deref()
    }

    /// Returns what else limits what it may sign.
    pub fn terms(&self) -> Option<&Terms> {
        self.extensions.terms.as_ref()
    }

    /// Returns who told the authority whose certificate it is: the issuer of an OpenID Connect
    /// token. Meaningful only at a Sigstore authority (Fulcio). Two of them that differ are none.
    pub fn oidc_issuer(&self) -> Option<&str> {
        let Extensions {
            oidc_issuer,
            oidc_issuer_of_old,
            ..
        } = &self.extensions;
        match (oidc_issuer, oidc_issuer_of_old) {
            (Some(new), Some(old)) if new != old => None,
            (new, old) => new.as_deref().or(old.as_deref()),
        }
    }

    /// Tells whether it limits the names below it. By which names is not read, so whoever follows a
    /// chain has to refuse it.
    pub fn has_name_constraints(&self) -> bool {
        self.extensions.name_constraints
    }

    /// Returns the first critical extension that we do not know.
    pub fn unknown_critical(&self) -> Option<&ObjectIdentifier> {
        self.extensions.unknown_critical.as_ref()
    }

    /// Checks one link: that `issuer` may issue certificates, is named as the issuer, and signed
    /// this one. Times and the rest of the chain are the caller's.
    ///
    /// # Errors
    /// [`ChainError`] naming what failed.
    pub fn verify_issued_by(&self, issuer: &Self) -> Result<(), ChainError> {
        if self.issuer_der() != issuer.subject_der() {
            return Err(ChainError::Name);
        }
        if !issuer.is_ca() || !issuer.has_key_cert_sign() {
            return Err(ChainError::NotAnIssuer);
        }
        let hash = match (self.signature_algorithm, issuer.public_key.algorithm()) {
            (SignatureAlgorithm::Ed25519, crate::key::Algorithm::Ed25519) => Hash::Sha512,
            (
                SignatureAlgorithm::Ecdsa(hash),
                crate::key::Algorithm::P256 | crate::key::Algorithm::P384,
            )
            | (SignatureAlgorithm::Rsa(hash), crate::key::Algorithm::Rsa) => hash,
            (SignatureAlgorithm::Weak(hash), _) => return Err(ChainError::Weak(hash)),
            _ => return Err(ChainError::Algorithm),
        };
        issuer
            .public_key
            .verify(hash, self.part(&self.tbs), self.part(&self.signature))
            .map_err(ChainError::Signature)
    }

    fn part(&self, range: &Range<usize>) -> &[u8] {
        self.der.get(range.clone()).unwrap_or_default()
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Certificate({:?} serial {} kid {})",
            self.subject_text(),
            self.serial_hex(),
            self.kid()
        )
    }
}

impl SignatureAlgorithm {
    fn read(element: Element<'_>) -> Result<Self, CertificateError> {
        let mut fields = element.reader();
        let name = fields.any()?.oid()?;
        let parameters = if fields.is_empty() {
            None
        } else {
            Some(fields.any()?)
        };
        fields.finish()?;
        let rsa_parameters = parameters.is_none_or(|p| p.tag == NULL && p.value.is_empty());
        Ok(match (name, parameters) {
            (oid::ED25519, None) => Self::Ed25519,
            (oid::ECDSA_WITH_SHA256, None) => Self::Ecdsa(Hash::Sha256),
            (oid::ECDSA_WITH_SHA384, None) => Self::Ecdsa(Hash::Sha384),
            (oid::ECDSA_WITH_SHA512, None) => Self::Ecdsa(Hash::Sha512),
            (oid::SHA256_WITH_RSA, _) if rsa_parameters => Self::Rsa(Hash::Sha256),
            (oid::SHA384_WITH_RSA, _) if rsa_parameters => Self::Rsa(Hash::Sha384),
            (oid::SHA512_WITH_RSA, _) if rsa_parameters => Self::Rsa(Hash::Sha512),
            _ => oid::weakness(name).map_or(Self::Unsupported, Self::Weak),
        })
    }
}

impl Extensions {
    fn read(element: Element<'_>) -> Result<Self, CertificateError> {
        let mut list = Reader::only(element.value, SEQUENCE)?.reader();
        let mut seen = Vec::new();
        let mut found = Self::default();
        while !list.is_empty() {
            let mut fields = list.expect(SEQUENCE)?.reader();
            let name = fields.any()?.oid()?;
            let critical = match fields.optional(crate::der_reader::BOOLEAN)? {
                // DER: a value that equals its DEFAULT is absent.
                Some(flag) if !flag.boolean()? => return Err(DerError.into()),
                flag => flag.is_some(),
            };
            let value = fields.expect(OCTET_STRING)?.value;
            fields.finish()?;
            if seen.contains(&name) || seen.len() == EXTENSIONS_MAX {
                return Err(CertificateError::Extension(name));
            }
            seen.push(name);
            found
                .add(name, critical, value)
                .map_err(|DerError| CertificateError::Extension(name))?;
        }
        Ok(found)
    }

    fn add(
        &mut self,
        name: ObjectIdentifier,
        critical: bool,
        value: &[u8],
    ) -> Result<(), DerError> {
        self.name_constraints |= name == oid::NAME_CONSTRAINTS;
        match name {
            oid::BASIC_CONSTRAINTS => self.add_basic_constraints(value)?,
            oid::KEY_USAGE => self.key_usage = Some(key_usage(value)?),
            oid::EXTENDED_KEY_USAGE => {
                let mut list = Reader::only(value, SEQUENCE)?.reader();
                let mut usages = Vec::new();
                while !list.is_empty() {
                    usages.push(list.any()?.oid()?);
                }
                self.extended_key_usage = Some(usages);
                self.extended_key_usage_critical = critical;
            }
            oid::SUBJECT_KEY_ID => {
                self.subject_key_id = Some(Reader::only(value, OCTET_STRING)?.value.to_vec());
            }
            oid::AUTHORITY_KEY_ID => {
                let mut fields = Reader::only(value, SEQUENCE)?.reader();
                self.authority_key_id = fields.optional(0x80)?.map(|id| id.value.to_vec());
            }
            oid::SUBJECT_ALT_NAME => self.add_names(value)?,
            oid::NOTME_SUBJECT => self.subject = Some(text(value)?.to_owned()),
            oid::NOTME_ISSUED_AT => self.issued_at = Some(issued_at(text(value)?)?),
            oid::NOTME_SCOPES => {
                let mut list = Reader::only(value, SEQUENCE)?.reader();
                while !list.is_empty() {
                    self.scopes.push(list.any()?.utf8()?.to_owned());
                }
            }
            oid::NOTME_EPOCH => self.epoch = Some(epoch(value)?),
            // These two arcs mean other things at other issuers, so another shape is no fault.
            oid::NOTME_AUTH_METHOD => {
                self.auth_method = Reader::only(value, UTF8_STRING)
                    .and_then(Element::utf8)
                    .ok()
                    .map(str::to_owned);
            }
            oid::NOTME_PEER_BINDING => self.peer_binding = value.try_into().ok(),
            oid::NOTME_PAYLOAD_DIGEST => {
                let digest = Reader::only(value, OCTET_STRING)?.value;
                self.payload_digest = Some(digest.try_into().map_err(|_| DerError)?);
            }
            oid::NOTME_ACTIVITY => {
                self.activity = Some(Reader::only(value, UTF8_STRING)?.utf8()?.to_owned());
            }
            oid::NOTME_TERMS => self.terms = Some(Terms::from_der(value)?),
            oid::FULCIO_ISSUER => {
                self.oidc_issuer = Some(Reader::only(value, UTF8_STRING)?.utf8()?.to_owned());
            }
            // Bare bytes.
            oid::FULCIO_ISSUER_OF_OLD => {
                let text = std::str::from_utf8(value).map_err(|_| DerError)?;
                self.oidc_issuer_of_old = Some(text.to_owned());
            }
            unknown if critical => {
                self.unknown_critical.get_or_insert(unknown);
            }
            _ => {}
        }
        Ok(())
    }

    fn add_basic_constraints(&mut self, value: &[u8]) -> Result<(), DerError> {
        let mut fields = Reader::only(value, SEQUENCE)?.reader();
        if let Some(flag) = fields.optional(crate::der_reader::BOOLEAN)? {
            self.is_ca = flag.boolean()?;
        }
        if let Some(limit) = fields.optional(INTEGER)? {
            self.path_len = Some(u8::try_from(limit.unsigned()?).map_err(|_| DerError)?);
        }
        fields.finish()
    }

    fn add_names(&mut self, value: &[u8]) -> Result<(), DerError> {
        let mut list = Reader::only(value, SEQUENCE)?.reader();
        while !list.is_empty() {
            let name = list.any()?;
            let ascii = || match std::str::from_utf8(name.value) {
                Ok(text) if text.is_ascii() => Ok(text.to_owned()),
                _ => Err(DerError),
            };
            match name.tag {
                URI_NAME => self.uris.push(ascii()?),
                EMAIL_NAME => self.emails.push(ascii()?),
                _ => {}
            }
        }
        Ok(())
    }
}

fn serial(element: Element<'_>) -> Result<&[u8], CertificateError> {
    let minimal = match element.value {
        [] => false,
        [0, next, ..] => next & 0x80 != 0,
        [first, ..] => first & 0x80 == 0,
    };
    let digits = element.value.strip_prefix(&[0]).unwrap_or(element.value);
    if !minimal || digits.len() > SERIAL_MAX {
        return Err(CertificateError::Serial);
    }
    Ok(element.value)
}

/// Reads the first eight bits: all that any check asks for.
fn key_usage(value: &[u8]) -> Result<u8, DerError> {
    match Reader::only(value, BIT_STRING)?.value {
        [unused @ 0..=7, bits, ..] if bits.trailing_zeros() >= u32::from(*unused) => Ok(*bits),
        [0..=7, bits, _] => Ok(*bits),
        _ => Err(DerError),
    }
}

/// Reads text that some issuers write as a UTF8String and others as bare bytes.
fn text(value: &[u8]) -> Result<&str, DerError> {
    match Reader::only(value, UTF8_STRING) {
        Ok(element) => element.utf8(),
        Err(DerError) => std::str::from_utf8(value).map_err(|_| DerError),
    }
}

/// Reads an RFC 3339 instant in UTC, dropping the fraction that the authority writes.
fn issued_at(text: &str) -> Result<UnixTime, DerError> {
    let whole = match text.strip_suffix('Z').and_then(|t| t.split_once('.')) {
        Some((whole, fraction)) if fraction.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{whole}Z")
        }
        Some(_) => return Err(DerError),
        None => text.to_owned(),
    };
    whole.parse().map_err(|_| DerError)
}

/// Reads the epoch: an INTEGER that the notme authority pads to four bytes, up to six.
fn epoch(value: &[u8]) -> Result<u64, DerError> {
    let bytes = Reader::only(value, INTEGER)?.value;
    if !(1..=6).contains(&bytes.len()) {
        return Err(DerError);
    }
    Ok(bytes.iter().fold(0, |n, b| (n << 8) | u64::from(*b)))
}

fn name_text(name: &[u8]) -> Result<String, DerError> {
    let shown = name_attributes(name)?.into_iter().map(|(name, value)| {
        let name = match name {
            oid::COMMON_NAME => "CN".to_owned(),
            oid::ORGANIZATION => "O".to_owned(),
            other => other.to_string(),
        };
        let text = match value.tag {
            UTF8_STRING | PRINTABLE_STRING => String::from_utf8_lossy(value.value).into_owned(),
            _ => format!("#{}", hex::encode(value.raw)),
        };
        format!("{name}={}", text.escape_debug())
    });
    Ok(shown.collect::<Vec<_>>().join(","))
}

/// Reads the attributes of a name, in DER order.
fn name_attributes(name: &[u8]) -> Result<Vec<(ObjectIdentifier, Element<'_>)>, DerError> {
    let mut rdns = Reader::only(name, SEQUENCE)?.reader();
    let mut read = Vec::new();
    while !rdns.is_empty() {
        let mut attributes = rdns.expect(SET)?.reader();
        while !attributes.is_empty() {
            let mut fields = attributes.expect(SEQUENCE)?.reader();
            read.push((fields.any()?.oid()?, fields.any()?));
        }
    }
    Ok(read)
}

/// The bytes are not a certificate we can read.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Longer than [`CERTIFICATE_MAX`].
    #[error("the certificate is longer than {CERTIFICATE_MAX} bytes")]
    TooLong,
    /// Not PEM.
    #[error("the certificate is not PEM")]
    Pem(#[from] PemError),
    /// No PEM certificate.
    #[error("no PEM certificate")]
    Missing,
    /// More PEM certificates than were asked for.
    #[error("unexpected number of PEM certificates")]
    Count,
    /// Not strict DER.
    #[error("the certificate is malformed")]
    Encoding(#[from] DerError),
    /// Not version 3.
    #[error("the certificate is not X.509 version 3")]
    Version,
    /// Zero bytes, negative, padded or longer than 20 bytes.
    #[error("the serial number is malformed")]
    Serial,
    /// The two signature algorithms differ.
    #[error("the signature algorithms inside and outside differ")]
    Algorithm,
    /// An extension is malformed, repeated, or one too many.
    #[error("extension `{0}` is malformed or repeated")]
    Extension(ObjectIdentifier),
    /// The key cannot be used.
    #[error("the certificate's key cannot be used")]
    Key(#[from] KeyError),
    /// Not exactly one URI among the alternative names, or not an identity.
    #[error("the certificate does not carry exactly one identity")]
    Identity(#[source] IdentityError),
}

/// One certificate was not issued by the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChainError {
    /// The issuer is named otherwise.
    #[error("the issuer has another name")]
    Name,
    /// The issuer is not a CA, or may not sign certificates.
    #[error("the issuer may not issue certificates")]
    NotAnIssuer,
    /// The signature algorithm does not go with the issuer's key, or is not accepted.
    #[error("the signature algorithm is not accepted for the issuer's key")]
    Algorithm,
    /// The signature is of an algorithm that is broken.
    #[error("the certificate is signed with {0}")]
    Weak(&'static str),
    /// The signature is not the issuer's.
    #[error("the issuer did not sign the certificate")]
    Signature(#[source] SignatureError),
}
