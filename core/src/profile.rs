//! The certificates we write: authority roots, the leaves of a session, time-stamping authorities.
//!
//! The leaf profile is that of the notme authority, same extensions in the same order, except:
//! minimal DER for the epoch, names built structurally, key identifiers present, and extended key
//! usages on signing leaves, so that they pass neither as TLS client nor as TLS server.

use crate::{
    certificate::{Certificate, CertificateError},
    der_reader::{BIT_STRING, OCTET_STRING, PRINTABLE_STRING, SET, UTF8_STRING, context},
    der_writer::{element, oid as oid_element, sequence, time, unsigned},
    identity::Identity,
    key::{Algorithm, PublicKey, SignError, Signer, sha256},
    oid,
    terms::{Terms, TermsError},
    time::UnixTime,
};
use der::oid::ObjectIdentifier;

/// RFC 5280 upper bound for a common name.
const COMMON_NAME_MAX: usize = 64;
/// The organization in every name we write.
const ORGANIZATION: &str = "notme";
/// Intermediates that may stand below a root.
const ROOT_PATH_LEN: u8 = 1;

/// What goes into a root certificate.
#[derive(Clone, Copy, Debug)]
pub struct CaTemplate<'a> {
    /// The common name, of subject and issuer alike.
    pub common_name: &'a str,
    /// The serial number; the top bit is cleared.
    pub serial: [u8; 16],
    /// First second of validity.
    pub not_before: UnixTime,
    /// Last second of validity.
    pub not_after: UnixTime,
}

/// What a leaf is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LeafKind {
    /// TLS client authentication.
    Mtls,
    /// Signing git objects and attestations.
    Signing,
}

/// What goes into a leaf certificate.
#[derive(Clone, Copy, Debug)]
pub struct LeafTemplate<'a> {
    /// The certificate of the key that signs.
    pub issuer: &'a Certificate,
    /// The subject's key.
    pub key: &'a PublicKey,
    /// What it is for.
    pub kind: LeafKind,
    /// The serial number; the top bit is cleared.
    pub serial: [u8; 16],
    /// First second of validity.
    pub not_before: UnixTime,
    /// Last second of validity.
    pub not_after: UnixTime,
    /// Instant of issuance in milliseconds since 1970.
    pub issued_at_millis: i64,
    /// The common name, cut to 64 characters; for display.
    pub common_name: &'a str,
    /// The subject as the authority names it.
    pub subject: &'a str,
    /// The identity.
    pub identity: &'a Identity,
    /// What it may be used for.
    pub scopes: &'a [String],
    /// The authority's epoch.
    pub epoch: u64,
    /// How the subject proved itself.
    pub auth_method: &'a str,
    /// SHA-256 over both keys of the session.
    pub binding: [u8; 32],
    /// SHA-256 of the payload it is issued for, when issuance-bound.
    pub payload_digest: Option<[u8; 32]>,
    /// The activity it is issued for.
    pub activity: Option<&'a str>,
    /// What else limits what it may sign.
    pub terms: Option<&'a Terms>,
}

/// Builds a self-signed root: CA, pathlen 1, keyCertSign and cRLSign.
///
/// # Errors
/// [`ProfileError`] when a time cannot be written or the key cannot be used.
pub fn build_ca(template: &CaTemplate<'_>, key: &dyn Signer) -> Result<Certificate, ProfileError> {
    let subject = name(template.common_name);
    let id = key_id(key.public_key());
    let extensions = [
        extension(
            oid::BASIC_CONSTRAINTS,
            true,
            &sequence(&[&[1, 1, 0xff], &unsigned(&[ROOT_PATH_LEN])]),
        ),
        // keyCertSign | cRLSign
        extension(oid::KEY_USAGE, true, &element(BIT_STRING, &[&[1, 0x06]])),
        extension(oid::SUBJECT_KEY_ID, false, &element(OCTET_STRING, &[&id])),
        extension(
            oid::AUTHORITY_KEY_ID,
            false,
            &sequence(&[&element(0x80, &[&id])]),
        ),
    ];
    let tbs = Tbs {
        serial: template.serial,
        issuer: &subject,
        not_before: template.not_before,
        not_after: template.not_after,
        subject: &subject,
        key: key.public_key(),
        extensions: &extensions.concat(),
    };
    tbs.sign(key)
}

/// What goes into the certificate of a time-stamping authority.
#[derive(Clone, Copy, Debug)]
pub struct TsaTemplate<'a> {
    /// The certificate of the key that signs.
    pub issuer: &'a Certificate,
    /// The subject's key.
    pub key: &'a PublicKey,
    /// The common name.
    pub common_name: &'a str,
    /// The serial number; the top bit is cleared.
    pub serial: [u8; 16],
    /// First second of validity.
    pub not_before: UnixTime,
    /// Last second of validity.
    pub not_after: UnixTime,
}

/// Builds the certificate of a time-stamping authority under `template.issuer`, whose key is
/// `issuer_key`: for time stamps and nothing else (RFC 3161 section 2.3).
///
/// # Errors
/// [`ProfileError`] when a time cannot be written, the key cannot be used or is not the issuer's.
pub fn build_tsa(
    template: &TsaTemplate<'_>,
    issuer_key: &dyn Signer,
) -> Result<Certificate, ProfileError> {
    if issuer_key.public_key() != template.issuer.public_key() {
        return Err(ProfileError::IssuerKey);
    }
    let usage = sequence(&[&oid_element(oid::TIME_STAMPING)]);
    let id = element(OCTET_STRING, &[&key_id(template.key)]);
    let extensions = [
        extension(oid::BASIC_CONSTRAINTS, true, &sequence(&[])),
        // digitalSignature
        extension(oid::KEY_USAGE, true, &element(BIT_STRING, &[&[7, 0x80]])),
        extension(oid::EXTENDED_KEY_USAGE, true, &usage),
        extension(oid::SUBJECT_KEY_ID, false, &id),
        issued_by(template.issuer),
    ];
    let tbs = Tbs {
        serial: template.serial,
        issuer: template.issuer.subject_der(),
        not_before: template.not_before,
        not_after: template.not_after,
        subject: &name(template.common_name),
        key: template.key,
        extensions: &extensions.concat(),
    };
    tbs.sign(issuer_key)
}

/// Builds a leaf under `template.issuer`, whose key is `issuer_key`.
///
/// # Errors
/// [`ProfileError`] when a time cannot be written, the key cannot be used or is not the issuer's.
pub fn build_leaf(
    template: &LeafTemplate<'_>,
    issuer_key: &dyn Signer,
) -> Result<Certificate, ProfileError> {
    if issuer_key.public_key() != template.issuer.public_key() {
        return Err(ProfileError::IssuerKey);
    }
    let extensions = leaf_extensions(template)?;
    let tbs = Tbs {
        serial: template.serial,
        issuer: template.issuer.subject_der(),
        not_before: template.not_before,
        not_after: template.not_after,
        subject: &name(template.common_name),
        key: template.key,
        extensions: &extensions,
    };
    tbs.sign(issuer_key)
}

fn leaf_extensions(template: &LeafTemplate<'_>) -> Result<Vec<u8>, ProfileError> {
    let utf8 = |text: &str| element(UTF8_STRING, &[text.as_bytes()]);
    let (key_usage, usages): (u8, &[ObjectIdentifier]) = match template.kind {
        // digitalSignature | keyAgreement
        LeafKind::Mtls => (0x88, &[oid::CLIENT_AUTH]),
        LeafKind::Signing => (0x80, &[oid::CODE_SIGNING, oid::EMAIL_PROTECTION]),
    };
    let unused = u8::try_from(key_usage.trailing_zeros()).unwrap_or(0);
    let usages: Vec<u8> = usages
        .iter()
        .flat_map(|usage| oid_element(*usage))
        .collect();
    let scopes: Vec<u8> = template
        .scopes
        .iter()
        .flat_map(|scope| utf8(scope))
        .collect();
    let identity = element(0x86, &[template.identity.as_str().as_bytes()]);

    let mut out = Vec::with_capacity(640);
    let mut add = |name, critical, value: &[u8]| out.extend(extension(name, critical, value));
    add(oid::BASIC_CONSTRAINTS, true, &sequence(&[]));
    add(
        oid::KEY_USAGE,
        true,
        &element(BIT_STRING, &[&[unused, key_usage]]),
    );
    add(oid::EXTENDED_KEY_USAGE, false, &sequence(&[&usages]));
    add(oid::NOTME_SUBJECT, false, &utf8(template.subject));
    add(
        oid::NOTME_ISSUED_AT,
        false,
        &utf8(&millis_text(template.issued_at_millis)?),
    );
    add(oid::NOTME_SCOPES, false, &sequence(&[&scopes]));
    add(
        oid::NOTME_EPOCH,
        false,
        &unsigned(&template.epoch.to_be_bytes()),
    );
    add(oid::NOTME_AUTH_METHOD, false, &utf8(template.auth_method));
    add(oid::NOTME_PEER_BINDING, false, &template.binding);
    if let Some(digest) = template.payload_digest {
        add(
            oid::NOTME_PAYLOAD_DIGEST,
            false,
            &element(OCTET_STRING, &[&digest]),
        );
    }
    if let Some(activity) = template.activity {
        add(oid::NOTME_ACTIVITY, false, &utf8(activity));
    }
    if let Some(terms) = template.terms {
        add(oid::NOTME_TERMS, false, &terms.to_der()?);
    }
    add(oid::SUBJECT_ALT_NAME, true, &sequence(&[&identity]));
    add(
        oid::SUBJECT_KEY_ID,
        false,
        &element(OCTET_STRING, &[&key_id(template.key)]),
    );
    out.extend(issued_by(template.issuer));
    Ok(out)
}

/// Writes the authority key identifier of what an issuer issues.
fn issued_by(issuer: &Certificate) -> Vec<u8> {
    let id = issuer
        .subject_key_id()
        .map_or_else(|| key_id(issuer.public_key()).to_vec(), <[u8]>::to_vec);
    extension(
        oid::AUTHORITY_KEY_ID,
        false,
        &sequence(&[&element(0x80, &[&id])]),
    )
}

struct Tbs<'a> {
    serial: [u8; 16],
    issuer: &'a [u8],
    not_before: UnixTime,
    not_after: UnixTime,
    subject: &'a [u8],
    key: &'a PublicKey,
    extensions: &'a [u8],
}

impl Tbs<'_> {
    fn sign(&self, issuer_key: &dyn Signer) -> Result<Certificate, ProfileError> {
        let algorithm = match issuer_key.public_key().algorithm() {
            Algorithm::Ed25519 => sequence(&[&oid_element(oid::ED25519)]),
            Algorithm::P256 => sequence(&[&oid_element(oid::ECDSA_WITH_SHA256)]),
            Algorithm::P384 | Algorithm::Rsa => return Err(ProfileError::IssuerKey),
        };
        let mut serial = self.serial;
        if let Some(first) = serial.first_mut() {
            *first &= 0x7f;
        }
        let written = |at| time(at).ok_or(ProfileError::Time(at));
        let tbs = sequence(&[
            &element(context(0), &[&unsigned(&[2])]),
            &unsigned(&serial),
            &algorithm,
            self.issuer,
            &sequence(&[&written(self.not_before)?, &written(self.not_after)?]),
            self.subject,
            self.key.spki_der(),
            &element(context(3), &[&sequence(&[self.extensions])]),
        ]);
        let signature = issuer_key.sign(&tbs)?;
        let der = sequence(&[&tbs, &algorithm, &element(BIT_STRING, &[&[0], &signature])]);
        Certificate::from_der(&der).map_err(ProfileError::Unreadable)
    }
}

fn extension(name: ObjectIdentifier, critical: bool, value: &[u8]) -> Vec<u8> {
    let flag: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    sequence(&[&oid_element(name), flag, &element(OCTET_STRING, &[value])])
}

/// Writes `CN=<text>,O=notme`, attribute by attribute, so that no text can become syntax.
fn name(common_name: &str) -> Vec<u8> {
    let cut: String = common_name.chars().take(COMMON_NAME_MAX).collect();
    let attribute = |name, text: &str| {
        let printable = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&b));
        let tag = if printable {
            PRINTABLE_STRING
        } else {
            UTF8_STRING
        };
        element(
            SET,
            &[&sequence(&[
                &oid_element(name),
                &element(tag, &[text.as_bytes()]),
            ])],
        )
    };
    sequence(&[
        &attribute(oid::COMMON_NAME, &cut),
        &attribute(oid::ORGANIZATION, ORGANIZATION),
    ])
}

/// Derives a key identifier: the first 20 bytes of SHA-256 over the SubjectPublicKeyInfo, of
/// which our kid is the beginning (RFC 7093 section 2, method 4, cut as method 1 cuts).
fn key_id(key: &PublicKey) -> [u8; 20] {
    let mut id = [0; 20];
    id.iter_mut()
        .zip(sha256(key.spki_der()))
        .for_each(|(to, from)| *to = from);
    id
}

/// Writes `YYYY-MM-DDTHH:MM:SS.mmmZ`.
fn millis_text(millis: i64) -> Result<String, ProfileError> {
    let at = UnixTime::from_secs(millis.div_euclid(1000));
    let text = at.to_calendar().ok_or(ProfileError::Time(at))?.to_string();
    let whole = text.trim_end_matches('Z');
    Ok(format!("{whole}.{:03}Z", millis.rem_euclid(1000)))
}

/// A certificate could not be built.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The time is before 1970 or after 9999.
    #[error("time `{0}` cannot be written into a certificate")]
    Time(UnixTime),
    /// The signing key is not the issuer's, or of a kind we do not issue with.
    #[error("the signing key is not the issuer's")]
    IssuerKey,
    /// The terms are beyond their limits.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// The issuer's key could not be used.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// What was built is not a certificate we read; a field exceeds a limit.
    #[error("the certificate that was built is not readable")]
    Unreadable(#[source] CertificateError),
}
