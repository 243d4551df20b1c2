//! Signed attributes: what a CMS signature covers.

use der::oid::ObjectIdentifier;

use super::CmsError;
use crate::{
    der_reader::{DerError, Element, OBJECT_IDENTIFIER, OCTET_STRING, Reader, SEQUENCE, SET},
    der_writer,
    key::Hash,
    oid,
    time::UnixTime,
};

/// id-data: plain bytes.
pub(super) const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_TIME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.5");
/// id-aa-signingCertificate (RFC 2634 section 5.4).
pub(super) const SIGNING_CERTIFICATE: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
/// id-aa-signingCertificateV2 (RFC 5035).
pub(crate) const SIGNING_CERTIFICATE_V2: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
/// id-aa-timeStampToken (RFC 3161 appendix A).
const TIME_STAMP_TOKEN: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.14");
/// More attributes than any signer writes; it bounds the search for repeated ones.
const ATTRIBUTES_MAX: usize = 32;
/// The most time stamps over one signature.
pub const TIME_STAMPS_MAX: usize = 4;
/// The last second that DER can write: 9999-12-31T23:59:59Z.
const LAST_SECOND: i64 = 253_402_300_799;

/// The signed attributes that we write: content type, signing time, digest of the payload.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedAttributes {
    der: Vec<u8>,
    hash: Hash,
    digest: Vec<u8>,
    signing_time: UnixTime,
}

impl SignedAttributes {
    /// Builds the attributes for a payload. A time that DER cannot write becomes the nearest one
    /// that it can.
    pub fn new(hash: Hash, payload: &[u8], signing_time: UnixTime) -> Self {
        Self::from_parts(hash, hash.digest(payload), signing_time)
    }

    /// Reads attributes that someone else built in the one form that we write.
    ///
    /// # Errors
    /// [`CmsError`] when they are malformed, and [`CmsError::ForeignAttributes`] when they are
    /// not byte for byte what [`SignedAttributes::new`] writes.
    pub fn from_der(der: &[u8]) -> Result<Self, CmsError> {
        let read = Attributes::read(Reader::only(der, SET)?, DATA)?;
        let hash = match read.digest.len() {
            32 => Hash::Sha256,
            48 => Hash::Sha384,
            64 => Hash::Sha512,
            _ => return Err(CmsError::AttributeValue(MESSAGE_DIGEST)),
        };
        let signing_time = read
            .signing_time
            .ok_or(CmsError::MissingAttribute(SIGNING_TIME))?;
        let built = Self::from_parts(hash, read.digest.to_vec(), signing_time);
        if built.der != der {
            return Err(CmsError::ForeignAttributes);
        }
        Ok(built)
    }

    fn from_parts(hash: Hash, digest: Vec<u8>, signing_time: UnixTime) -> Self {
        let signing_time = UnixTime::from_secs(signing_time.secs().clamp(0, LAST_SECOND));
        Self {
            der: write_signed(DATA, &digest, signing_time, None),
            hash,
            digest,
            signing_time,
        }
    }

    /// Returns the SET OF Attribute: the bytes to sign.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Returns the hash that the digest is of.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Returns the signing time: a claim of the signer.
    pub fn signing_time(&self) -> UnixTime {
        self.signing_time
    }

    /// Tells whether the digest is that of `payload`.
    pub fn covers(&self, payload: &[u8]) -> bool {
        self.hash.digest(payload) == self.digest
    }
}

/// Writes the SET OF Attribute that a signer of `content_type` signs, with one of the signer's
/// own. A time that DER cannot write is left out.
pub(crate) fn write_signed(
    content_type: ObjectIdentifier,
    digest: &[u8],
    signing_time: UnixTime,
    own: Option<(ObjectIdentifier, &[u8])>,
) -> Vec<u8> {
    let mut attributes = vec![
        attribute(CONTENT_TYPE, &der_writer::oid(content_type)),
        attribute(
            MESSAGE_DIGEST,
            &der_writer::element(OCTET_STRING, &[digest]),
        ),
    ];
    attributes.extend(der_writer::time(signing_time).map(|at| attribute(SIGNING_TIME, &at)));
    attributes.extend(own.map(|(name, value)| attribute(name, value)));
    // X.690 11.6: the elements of a SET OF ascend.
    attributes.sort();
    der_writer::element(SET, &[&attributes.concat()])
}

/// Writes the unsigned attribute that holds a time stamp.
pub(super) fn write_time_stamp(token: &[u8]) -> Vec<u8> {
    attribute(TIME_STAMP_TOKEN, token)
}

/// Signed attributes of anyone, checked.
pub(crate) struct Attributes<'a> {
    pub(crate) digest: &'a [u8],
    pub(crate) signing_time: Option<UnixTime>,
    /// The values of the first and of the second version.
    pub(crate) signing_certificate: [Option<Element<'a>>; 2],
}

impl<'a> Attributes<'a> {
    /// Reads signed attributes: in canonical order, none repeated, the content type that is
    /// expected, one message digest, at most one signing time; others may be there.
    pub(crate) fn read(set: Element<'a>, expected: ObjectIdentifier) -> Result<Self, CmsError> {
        let mut content_type = None;
        let mut digest = None;
        let mut signing_time = None;
        let mut signing_certificate = [None; 2];
        for_each(set, Order::Canonical, |name, values| {
            match name {
                CONTENT_TYPE => content_type = Some(one(name, values, OBJECT_IDENTIFIER)?),
                MESSAGE_DIGEST => digest = Some(one(name, values, OCTET_STRING)?.value),
                SIGNING_TIME => {
                    let at = only(values).and_then(Element::time);
                    signing_time = Some(at.map_err(|_| CmsError::AttributeValue(name))?);
                }
                SIGNING_CERTIFICATE => signing_certificate[0] = Some(values),
                SIGNING_CERTIFICATE_V2 => signing_certificate[1] = Some(values),
                _ => {}
            }
            Ok(())
        })?;
        let content_type = content_type.ok_or(CmsError::MissingAttribute(CONTENT_TYPE))?;
        if content_type.value != expected.as_bytes() {
            return Err(CmsError::ContentType);
        }
        Ok(Self {
            digest: digest.ok_or(CmsError::MissingAttribute(MESSAGE_DIGEST))?,
            signing_time,
            signing_certificate,
        })
    }
}

/// What is looked at of the unsigned attributes, unread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unsigned<'a> {
    pub(crate) time_stamps: Vec<&'a [u8]>,
    /// What a log answered, as gitsign keeps it.
    pub(crate) log_entry: Option<&'a [u8]>,
}

/// Checks the form of unsigned attributes and returns those that are looked at. Nothing covers
/// unsigned attributes, and those who add one do not sort the others again, so their order is free.
pub(super) fn read_unsigned(set: Element<'_>) -> Result<Unsigned<'_>, CmsError> {
    let mut time_stamps = Vec::new();
    let mut log_entry = None;
    for_each(set, Order::Free, |name, values| {
        if name == oid::REKOR_LOG_ENTRY {
            log_entry = Some(one(name, values, OCTET_STRING)?.value);
        }
        if name == TIME_STAMP_TOKEN {
            let mut values = values.reader();
            while !values.is_empty() {
                if time_stamps.len() == TIME_STAMPS_MAX {
                    return Err(CmsError::TooManyTimeStamps);
                }
                time_stamps.push(values.any()?.raw);
            }
        }
        Ok(())
    })?;
    Ok(Unsigned {
        time_stamps,
        log_entry,
    })
}

enum Order {
    Canonical,
    Free,
}

/// Visits each attribute with the SET of its values.
fn for_each<'a>(
    set: Element<'a>,
    order: Order,
    mut visit: impl FnMut(ObjectIdentifier, Element<'a>) -> Result<(), CmsError>,
) -> Result<(), CmsError> {
    let mut attributes = set.reader();
    let mut previous: &[u8] = &[];
    let mut seen = Vec::with_capacity(4);
    // RFC 5652: SET SIZE (1..MAX)
    if attributes.is_empty() {
        return Err(DerError.into());
    }
    while !attributes.is_empty() {
        let attribute = attributes.expect(SEQUENCE)?;
        if matches!(order, Order::Canonical) && attribute.raw <= previous {
            return Err(CmsError::AttributeOrder);
        }
        previous = attribute.raw;
        let mut fields = attribute.reader();
        let name = fields.any()?.oid()?;
        let values = fields.expect(SET)?;
        fields.finish()?;
        check_values(values)?;
        if seen.contains(&name) {
            return Err(CmsError::RepeatedAttribute(name));
        }
        if seen.len() == ATTRIBUTES_MAX {
            return Err(CmsError::TooManyAttributes);
        }
        seen.push(name);
        visit(name, values)?;
    }
    Ok(())
}

fn check_values(values: Element<'_>) -> Result<(), DerError> {
    let mut reader = values.reader();
    reader.any()?;
    while !reader.is_empty() {
        reader.any()?;
    }
    Ok(())
}

fn only(values: Element<'_>) -> Result<Element<'_>, DerError> {
    let mut reader = values.reader();
    let value = reader.any()?;
    reader.finish()?;
    Ok(value)
}

/// Returns the only value of an attribute.
pub(super) fn one<'a>(
    name: ObjectIdentifier,
    values: Element<'a>,
    tag: u8,
) -> Result<Element<'a>, CmsError> {
    only(values)
        .ok()
        .filter(|value| value.tag == tag)
        .ok_or(CmsError::AttributeValue(name))
}

fn attribute(name: ObjectIdentifier, value: &[u8]) -> Vec<u8> {
    der_writer::sequence(&[&der_writer::oid(name), &der_writer::element(SET, &[value])])
}
