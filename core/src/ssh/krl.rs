//! Key revocation lists in OpenSSH's binary form (PROTOCOL.krl).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    key::Key,
    public_key::{KeyError, PublicKey},
    wire::{Reader, WireError, Writer},
};
use crate::{key::sha256, time::UnixTime};

/// What was revoked.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Krl {
    version: u64,
    generated_at: u64,
    comment: String,
    /// By the blob of the authority's key; an empty one stands for every authority.
    certificates: BTreeMap<Vec<u8>, Certificates>,
    keys: BTreeSet<Vec<u8>>,
    sha1: BTreeSet<Vec<u8>>,
    sha256: BTreeSet<Vec<u8>>,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Certificates {
    serials: Serials,
    key_ids: BTreeSet<String>,
}

/// Serial numbers as ranges that neither touch nor overlap: first number to last.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Serials(BTreeMap<u64, u64>);

impl Serials {
    fn insert(&mut self, first: u64, last: u64) {
        let (mut first, mut last) = (first, last);
        // Whatever overlaps or touches begins at or before the number after the last, so the
        // nearest one below that is looked at until none does.
        while let Some((&low, &high)) = self.0.range(..=last.saturating_add(1)).next_back()
            && high.saturating_add(1) >= first
        {
            self.0.remove(&low);
            first = first.min(low);
            last = last.max(high);
        }
        self.0.insert(first, last);
    }

    fn contains(&self, serial: u64) -> bool {
        let below = self.0.range(..=serial).next_back();
        below.is_some_and(|(_, last)| *last >= serial)
    }
}

impl Krl {
    /// Begins an empty list.
    pub fn new(version: u64, generated_at: UnixTime, comment: &str) -> Self {
        Self {
            version,
            generated_at: u64::try_from(generated_at.secs()).unwrap_or(0),
            comment: comment.to_owned(),
            ..Self::default()
        }
    }

    /// Tells whether bytes begin as a list.
    pub fn is_krl(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC)
    }

    /// Reads a list. A section that we do not know is an error: it may revoke something.
    ///
    /// # Errors
    /// [`KrlError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, KrlError> {
        if bytes.len() > KRL_MAX {
            return Err(KrlError::TooLong);
        }
        let mut reader = Reader::new(bytes);
        if reader.bytes(MAGIC.len()) != Ok(MAGIC) {
            return Err(KrlError::Magic);
        }
        match reader.u32()? {
            FORMAT => {}
            other => return Err(KrlError::Version(other)),
        }
        let (version, generated_at) = (reader.u64()?, reader.u64()?);
        let _flags = reader.u64()?;
        let _reserved = reader.string()?;
        let mut krl = Self {
            version,
            generated_at,
            comment: String::from_utf8_lossy(reader.string()?).into_owned(),
            ..Self::default()
        };
        let mut runs_left = RUNS_MAX;
        while !reader.is_empty() {
            let kind = reader.byte()?;
            let mut section = Reader::new(reader.string()?);
            match kind {
                SECTION_CERTIFICATES => krl.read_certificates(section, &mut runs_left)?,
                SECTION_KEYS => read_all(&mut section, &mut krl.keys, |_| true)?,
                SECTION_SHA1 => read_all(&mut section, &mut krl.sha1, |it| it.len() == 20)?,
                SECTION_SHA256 => read_all(&mut section, &mut krl.sha256, |it| it.len() == 32)?,
                SECTION_EXTENSION => read_extension(section)?,
                other => return Err(KrlError::Section(other)),
            }
        }
        Ok(krl)
    }

    fn read_certificates(
        &mut self,
        section: Reader<'_>,
        runs_left: &mut usize,
    ) -> Result<(), KrlError> {
        let mut section = section;
        let authority = match section.string()? {
            [] => Vec::new(),
            blob => PublicKey::from_blob(blob)?.blob().to_vec(),
        };
        let _reserved = section.string()?;
        let revoked = self.certificates.entry(authority).or_default();
        while !section.is_empty() {
            let kind = section.byte()?;
            let mut part = Reader::new(section.string()?);
            match kind {
                CERTIFICATES_LIST => {
                    while !part.is_empty() {
                        let serial = part.u64()?;
                        if serial == 0 {
                            return Err(KrlError::Serials);
                        }
                        revoked.serials.insert(serial, serial);
                    }
                }
                CERTIFICATES_RANGE => {
                    let (first, last) = (part.u64()?, part.u64()?);
                    if first == 0 || first > last {
                        return Err(KrlError::Serials);
                    }
                    revoked.serials.insert(first, last);
                    part.finish()?;
                }
                CERTIFICATES_BITMAP => {
                    let offset = part.u64()?;
                    let digits = part.unsigned()?;
                    part.finish()?;
                    read_bitmap(&mut revoked.serials, offset, digits, runs_left)?;
                }
                CERTIFICATES_KEY_ID => {
                    while !part.is_empty() {
                        revoked.key_ids.insert(part.text()?.to_owned());
                    }
                }
                CERTIFICATES_EXTENSION => read_extension(part)?,
                other => return Err(KrlError::Section(other)),
            }
        }
        Ok(())
    }

    /// Returns its number.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns when it was made.
    pub fn generated_at(&self) -> UnixTime {
        UnixTime::from_secs(i64::try_from(self.generated_at).unwrap_or(i64::MAX))
    }

    /// Returns its comment.
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// Revokes a key, with every certificate over it and, if it is an authority's, under it.
    pub fn revoke_key(&mut self, key: &PublicKey) {
        self.keys.insert(key.blob().to_vec());
    }

    /// Revokes the key that has this SHA-256 fingerprint.
    pub fn revoke_sha256(&mut self, digest: [u8; 32]) {
        self.sha256.insert(digest.to_vec());
    }

    /// Revokes certificates of an authority, or of any, by serial number: first to last. Zero
    /// is what certificates without a number have, and stands for none of them.
    pub fn revoke_serials(&mut self, authority: Option<&PublicKey>, first: u64, last: u64) {
        // A list that has the number zero is refused as a whole.
        let first = first.max(1);
        if first <= last {
            let revoked = self.of_authority(authority);
            revoked.serials.insert(first, last);
        }
    }

    /// Revokes certificates of an authority, or of any, by key id.
    pub fn revoke_key_id(&mut self, authority: Option<&PublicKey>, key_id: &str) {
        let revoked = self.of_authority(authority);
        revoked.key_ids.insert(key_id.to_owned());
    }

    fn of_authority(&mut self, authority: Option<&PublicKey>) -> &mut Certificates {
        let blob = authority.map(|key| key.blob().to_vec()).unwrap_or_default();
        self.certificates.entry(blob).or_default()
    }

    /// Tells whether a key or a certificate is revoked: itself, the key in it, or its authority's.
    pub fn revokes(&self, key: &Key) -> bool {
        if self.revokes_key(key.public_key()) {
            return true;
        }
        let Some(certificate) = key.certificate() else {
            return false;
        };
        let revoked_by = |authority: &[u8]| {
            self.certificates.get(authority).is_some_and(|revoked| {
                revoked.key_ids.contains(certificate.key_id())
                    // A serial number of zero means that there is none.
                    || certificate.serial() != 0
                        && revoked.serials.contains(certificate.serial())
            })
        };
        revoked_by(certificate.authority().blob())
            || revoked_by(&[])
            || self.revokes_key(certificate.authority())
    }

    fn revokes_key(&self, key: &PublicKey) -> bool {
        self.keys.contains(key.blob())
            || !self.sha256.is_empty() && self.sha256.contains(&sha256(key.blob())[..])
            || !self.sha1.is_empty() && self.sha1.contains(&key.sha1())
    }

    /// Writes the list: serial numbers as lists and ranges, sections in ascending order.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::new()
            .bytes(MAGIC)
            .u32(FORMAT)
            .u64(self.version)
            .u64(self.generated_at)
            .u64(0)
            .string(b"")
            .string(self.comment.as_bytes());
        for (authority, revoked) in &self.certificates {
            let section = Writer::new().string(authority).string(b"");
            let section = revoked.write(section).finish();
            out = out.byte(SECTION_CERTIFICATES).string(&section);
        }
        for (kind, entries) in [
            (SECTION_KEYS, &self.keys),
            (SECTION_SHA1, &self.sha1),
            (SECTION_SHA256, &self.sha256),
        ] {
            if !entries.is_empty() {
                let section = entries.iter();
                let section = section.fold(Writer::new(), |out, entry| out.string(entry));
                out = out.byte(kind).string(&section.finish());
            }
        }
        out.finish()
    }
}

impl Certificates {
    fn write(&self, out: Writer) -> Writer {
        let mut out = out;
        let (single, ranges): (Vec<_>, Vec<_>) = self
            .serials
            .0
            .iter()
            .partition(|(first, last)| first == last);
        if !single.is_empty() {
            let list = single.iter();
            let list = list.fold(Writer::new(), |out, (serial, _)| out.u64(**serial));
            out = out.byte(CERTIFICATES_LIST).string(&list.finish());
        }
        for (first, last) in ranges {
            let range = Writer::new().u64(*first).u64(*last).finish();
            out = out.byte(CERTIFICATES_RANGE).string(&range);
        }
        if !self.key_ids.is_empty() {
            let ids = self.key_ids.iter();
            let ids = ids.fold(Writer::new(), |out, id| out.string(id.as_bytes()));
            out = out.byte(CERTIFICATES_KEY_ID).string(&ids.finish());
        }
        out
    }
}

fn read_all(
    section: &mut Reader<'_>,
    entries: &mut BTreeSet<Vec<u8>>,
    is_whole: impl Fn(&[u8]) -> bool,
) -> Result<(), KrlError> {
    while !section.is_empty() {
        let entry = section.string()?;
        if !is_whole(entry) {
            return Err(KrlError::Fingerprint);
        }
        entries.insert(entry.to_vec());
    }
    Ok(())
}

/// Passes over an extension that may be ignored.
fn read_extension(section: Reader<'_>) -> Result<(), KrlError> {
    let mut section = section;
    let name = section.text()?;
    let is_critical = section.byte()? != 0;
    section.string()?;
    section.finish()?;
    match is_critical {
        true => Err(KrlError::Critical(name.chars().take(64).collect())),
        false => Ok(()),
    }
}

/// Reads the bits of a number: bit N stands for serial `offset` + N.
fn read_bitmap(
    serials: &mut Serials,
    offset: u64,
    digits: &[u8],
    runs_left: &mut usize,
) -> Result<(), KrlError> {
    if digits.len() > BITMAP_MAX {
        return Err(KrlError::Serials);
    }
    let mut after_run = None;
    for (place, digit) in digits.iter().rev().enumerate() {
        for bit in (0..8_u64).filter(|bit| digit >> bit & 1 == 1) {
            let serial = u64::try_from(place)
                .ok()
                .and_then(|place| offset.checked_add(place.checked_mul(8)?.checked_add(bit)?))
                .ok_or(KrlError::Serials)?;
            if after_run != Some(serial) {
                *runs_left = runs_left.checked_sub(1).ok_or(KrlError::TooMany)?;
            }
            after_run = serial.checked_add(1);
            serials.insert(serial, serial);
        }
    }
    Ok(())
}

/// Far more than anyone has revoked.
const KRL_MAX: usize = 16 << 20;
/// How many runs of serial numbers bitmaps may hold together: as many as the longest list has when
/// it spells each number out. Bitmaps alone could ask for gigabytes.
const RUNS_MAX: usize = KRL_MAX / 8;
/// As much as OpenSSH reads of one number (SSHBUF_MAX_BIGNUM), in bytes.
const BITMAP_MAX: usize = 16384 / 8;
const MAGIC: &[u8] = b"SSHKRL\n\0";
const FORMAT: u32 = 1;
const SECTION_CERTIFICATES: u8 = 1;
const SECTION_KEYS: u8 = 2;
const SECTION_SHA1: u8 = 3;
const SECTION_SHA256: u8 = 5;
const SECTION_EXTENSION: u8 = 255;
const CERTIFICATES_LIST: u8 = 0x20;
const CERTIFICATES_RANGE: u8 = 0x21;
const CERTIFICATES_BITMAP: u8 = 0x22;
const CERTIFICATES_KEY_ID: u8 = 0x23;
const CERTIFICATES_EXTENSION: u8 = 0x39;

/// The list cannot be read, so nothing is known not to be revoked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KrlError {
    /// It does not begin like one.
    #[error("this is not a key revocation list")]
    Magic,
    /// Longer than 16 MiB.
    #[error("the key revocation list is longer than 16 MiB")]
    TooLong,
    /// Bitmaps with more runs of serial numbers than we keep.
    #[error("the key revocation list has more than {RUNS_MAX} runs of serial numbers")]
    TooMany,
    /// A version that we do not read.
    #[error("version {0} of key revocation lists is not supported")]
    Version(u32),
    /// The encoding is broken.
    #[error("the key revocation list is malformed: {0}")]
    Wire(#[from] WireError),
    /// The key of an authority is none that we read.
    #[error("the key revocation list names an authority: {0}")]
    Authority(#[from] KeyError),
    /// A section that we do not know.
    #[error("the key revocation list has a section of unknown type {0}")]
    Section(u8),
    /// A critical extension.
    #[error("the key revocation list has an unknown critical extension `{0}`")]
    Critical(String),
    /// A range that ends before it begins, or numbers beyond the last.
    #[error("the key revocation list has serial numbers that cannot be")]
    Serials,
    /// A fingerprint of the wrong length.
    #[error("the key revocation list has a fingerprint of the wrong length")]
    Fingerprint,
}
