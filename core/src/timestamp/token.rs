//! A time stamp, read and verified.

use der::oid::ObjectIdentifier;

use super::{
    TimeStampError, TimeStampRequest,
    info::{TST_INFO, TstInfo},
    response::token_of,
};
use crate::{
    certificate::Certificate,
    cms::{Attributes, CertificateId, CmsError, SignedData},
    der_reader::{Element, OCTET_STRING, context},
    hex,
    time::UnixTime,
};

/// The longest token we read, in bytes; one with a long chain has ten thousand.
pub const TOKEN_MAX: usize = 32 * 1024;
/// RFC 5652 5.1: the version of SignedData whose content is not plain bytes.
const VERSION: u64 = 3;

/// A time stamp that is well-formed. Parsing is not verifying.
#[derive(Clone, Debug)]
pub struct TimeStampToken<'a> {
    der: &'a [u8],
    content: &'a [u8],
    info: TstInfo<'a>,
    signed_data: SignedData<'a, &'a [u8]>,
    digest: &'a [u8],
    ids: Vec<CertificateId<'a>>,
}

/// What a verified time stamp shows: that the bytes were there then.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub struct Stamp {
    at: UnixTime,
    latest: UnixTime,
}

impl Stamp {
    /// Returns the time in it, to the second.
    pub fn at(self) -> UnixTime {
        self.at
    }

    /// Returns the last second in which it may have been made: the time in it and as much more as
    /// it says that its clock may be off.
    pub fn latest(self) -> UnixTime {
        self.latest
    }
}

impl<'a> TimeStampToken<'a> {
    /// Reads a token: one ContentInfo in strict DER, of at most [`TOKEN_MAX`] bytes.
    ///
    /// # Errors
    /// [`TimeStampError`] naming the rule that does not hold; none of those of
    /// [`TimeStampToken::verify`].
    pub fn parse(der: &'a [u8]) -> Result<Self, TimeStampError> {
        if der.len() > TOKEN_MAX {
            return Err(TimeStampError::TooLong);
        }
        let signed_data = SignedData::read(der, read_content)?;
        if signed_data.version != VERSION {
            return Err(TimeStampError::Version);
        }
        let content = signed_data.content;
        let attributes = Attributes::read(signed_data.signer.signed_attributes, TST_INFO)?;
        let ids = CertificateId::of_signer(&attributes)?;
        if ids.is_empty() {
            return Err(TimeStampError::SigningCertificate);
        }
        Ok(Self {
            der,
            content,
            info: TstInfo::read(content)?,
            digest: attributes.digest,
            ids,
            signed_data,
        })
    }

    /// Reads the token of a reply, which has to be the answer to `request` where there was one of
    /// our own: over the same bytes, with the same nonce. A reply that was kept with the bytes it
    /// is over has none.
    ///
    /// # Errors
    /// As [`TimeStampToken::parse`], and [`TimeStampError::Refused`], [`TimeStampError::Nonce`]
    /// and [`TimeStampError::OtherBytes`].
    pub fn from_reply(
        reply: &'a [u8],
        request: Option<&TimeStampRequest>,
    ) -> Result<Self, TimeStampError> {
        let token = Self::parse(token_of(reply)?)?;
        let Some(request) = request else {
            return Ok(token);
        };
        if token.info.nonce != request.nonce() {
            return Err(TimeStampError::Nonce);
        }
        if !token.info.imprint.is_same(request.imprint()) {
            return Err(TimeStampError::OtherBytes);
        }
        Ok(token)
    }

    /// Returns the bytes it was read from.
    pub fn der(&self) -> &'a [u8] {
        self.der
    }

    /// Returns the policy that it was made under.
    pub fn policy(&self) -> ObjectIdentifier {
        self.info.policy
    }

    /// Returns its serial number in hex.
    pub fn serial_hex(&self) -> String {
        let serial = self.info.serial;
        hex::encode(serial.strip_prefix(&[0]).unwrap_or(serial))
    }

    /// Tells whether it says that it is by this certificate. Anybody can say so.
    pub fn names(&self, tsa: &Certificate) -> bool {
        self.signed_data.signer.name.is_of(tsa) && self.ids.iter().all(|id| id.is_of(tsa))
    }

    /// Tells whether it says that it is over `message`. Anybody can say so.
    pub fn covers(&self, message: &[u8]) -> bool {
        self.info.imprint.covers(message)
    }

    /// Verifies that the time-stamping authority with this certificate stamped exactly `message`:
    /// the certificate is for time stamps alone, the token names it, its key signed, and it was
    /// valid then. Whom the certificate belongs to, and whether it is trusted, is for the caller.
    ///
    /// # Errors
    /// [`TimeStampError`] naming the first check that failed.
    pub fn verify(&self, tsa: &Certificate, message: &[u8]) -> Result<Stamp, TimeStampError> {
        if !tsa.is_for_time_stamps() {
            return Err(TimeStampError::Certificate);
        }
        if !self.names(tsa) || !self.carries(tsa)? {
            return Err(TimeStampError::OtherSigner);
        }
        let signer = &self.signed_data.signer;
        if signer.hash.digest(self.content) != self.digest {
            return Err(TimeStampError::Content);
        }
        let key = tsa.public_key();
        if !signer.scheme.is_for(key.algorithm()) {
            return Err(TimeStampError::KeyMismatch);
        }
        key.verify(signer.hash, &signer.as_signed(), signer.signature)
            .map_err(TimeStampError::SignatureMismatch)?;
        if !self.covers(message) {
            return Err(TimeStampError::OtherBytes);
        }
        let at = self.info.at;
        if !tsa.is_valid_at(at) {
            return Err(TimeStampError::Outside { at });
        }
        let uncertain = i64::from(self.info.accuracy) + i64::from(self.info.has_fraction);
        Ok(Stamp {
            at,
            latest: at.plus(uncertain),
        })
    }

    /// Tells whether the certificate is among those that came along, if any did (RFC 3161 2.4.1).
    fn carries(&self, tsa: &Certificate) -> Result<bool, TimeStampError> {
        let Some(certificates) = self.signed_data.certificates else {
            return Ok(true);
        };
        let mut certificates = certificates.reader();
        let mut carried = false;
        while !certificates.is_empty() {
            // The others lead to roots that somebody else trusts; they may be of any kind.
            carried |= certificates.any()?.raw == tsa.der();
        }
        Ok(carried)
    }
}

/// Reads encapContentInfo: a TSTInfo, inside.
fn read_content(element: Element<'_>) -> Result<&[u8], CmsError> {
    let mut fields = element.reader();
    let content_type = fields.any()?.oid()?;
    let content = fields.expect(context(0))?;
    fields.finish()?;
    if content_type != TST_INFO {
        return Err(CmsError::ContentType);
    }
    let mut inside = content.reader();
    let content = inside.expect(OCTET_STRING)?.value;
    inside.finish()?;
    Ok(content)
}
