//! Signed attributes: what a CMS signature covers.

use der::oid::ObjectIdentifier;

use super::CmsError;
use crate::{
    der_reader::{DerError, Element, OBJECT_IDENTIFIER, OCTET_STRING, Reader, SEQUENCE, SET},
    der_writer,
    key::Hash,
    time::UnixTime,
};

/// id-data: plain bytes.
pub(super) const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_TIME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.5");
/// More attributes than any signer writes; it bounds the search for repeated ones.
const ATTRIBUTES_MAX: usize = 32;
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
        let read = Attributes::read(Reader::only(der, SET)?)?;
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
        let mut attributes = [
            attribute(CONTENT_TYPE, &der_writer::oid(DATA)),
            attribute(
                SIGNING_TIME,
                &der_writer::time(signing_time).unwrap_or_default(),
            ),
            attribute(
                MESSAGE_DIGEST,
                &der_writer::element(OCTET_STRING, &[&digest]),
            ),
        ];
        // X.690 11.6: the elements of a SET OF ascend.
        attributes.sort();
        Self {
            der: der_writer::element(SET, &[&attributes.concat()]),
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

    /// Returns the attributes as they stand in a SignerInfo, tagged `[0]`.
    pub(super) fn in_signer_info(&self) -> Vec<u8> {
        let mut der = self.der.clone();
        if let Some(tag) = der.first_mut() {
            *tag = crate::der_reader::context(0);
        }
        der
    }
}

/// Signed attributes of anyone, checked.
pub(super) struct Attributes<'a> {
    pub(super) digest: &'a [u8],
    pub(super) signing_time: Option<UnixTime>,
}

impl<'a> Attributes<'a> {
    /// Reads signed attributes: in canonical order, none repeated, content type id-data, one
    /// message digest, at most one signing time; others may be there.
    pub(super) fn read(set: Element<'a>) -> Result<Self, CmsError> {
        let mut content_type = None;
        let mut digest = None;
        let mut signing_time = None;
        for_each(set, Order::Canonical, |name, values| {
            match name {
                CONTENT_TYPE => content_type = Some(one(name, values, OBJECT_IDENTIFIER)?),
                MESSAGE_DIGEST => digest = Some(one(name, values, OCTET_STRING)?.value),
                SIGNING_TIME => {
                    let at = only(values).and_then(Element::time);
                    signing_time = Some(at.map_err(|_| CmsError::AttributeValue(name))?);
                }
                _ => {}
            }
            Ok(())
        })?;
        let content_type = content_type.ok_or(CmsError::MissingAttribute(CONTENT_TYPE))?;
        if content_type.value != DATA.as_bytes() {
            return Err(CmsError::ContentType);
        }
        Ok(Self {
            digest: digest.ok_or(CmsError::MissingAttribute(MESSAGE_DIGEST))?,
            signing_time,
        })
    }
}

/// Checks the form of unsigned attributes. Nothing covers them, and those who add one do not sort
/// the others again, so their order is free.
pub(super) fn check_unsigned(set: Element<'_>) -> Result<(), CmsError> {
    for_each(set, Order::Free, |_, _| Ok(()))
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

fn one<'a>(name: ObjectIdentifier, values: Element<'a>, tag: u8) -> Result<Element<'a>, CmsError> {
    only(values)
        .ok()
        .filter(|value| value.tag == tag)
        .ok_or(CmsError::AttributeValue(name))
}

fn attribute(name: ObjectIdentifier, value: &[u8]) -> Vec<u8> {
    der_writer::sequence(&[&der_writer::oid(name), &der_writer::element(SET, &[value])])
}
