//! A line of a pinned file of allowed signers.

use notme_core::{
    identity::{Identity, is_address},
    key::KeyId,
    ssh::{
        Certificate, Key, PublicKey,
        allowed_signers::{Entry, EntryKind, Line},
        pattern,
    },
    time::UnixTime,
};

/// A key that a pinned file of allowed signers lists: a person's, or an authority's.
#[derive(Clone, Debug)]
pub struct ListedKey {
    principals: String,
    entry: Entry,
}

impl ListedKey {
    /// Takes a line that can be read; `None` for one that cannot.
    pub fn of(line: &Line) -> Option<Self> {
        Some(Self {
            principals: line.principals().to_owned(),
            entry: line.entry().ok()?.clone(),
        })
    }

    /// Returns the patterns of the names that it stands for.
    pub fn principals(&self) -> &str {
        &self.principals
    }

    /// Returns what the line says.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Returns the key.
    pub fn public_key(&self) -> &PublicKey {
        self.entry.key().public_key()
    }

    /// Returns the key's id.
    pub fn kid(&self) -> KeyId {
        self.public_key().kid()
    }

    /// Tells whether a signature by `key` is one of this line's.
    pub(super) fn lists(&self, key: &Key) -> bool {
        match (self.entry.kind(), key) {
            (EntryKind::Key, key) => self.entry.key() == key,
            (EntryKind::Authority, Key::Certified(certificate)) => {
                self.public_key() == certificate.authority()
            }
            (EntryKind::Authority, Key::Plain(_)) => false,
        }
    }

    /// Returns the first second for which the line holds.
    pub(super) fn from(&self) -> UnixTime {
        self.entry.valid_after().unwrap_or(BEGINNING)
    }

    /// Returns the last second for which the line holds.
    pub(super) fn until(&self) -> UnixTime {
        self.entry.valid_before().unwrap_or(NEVER)
    }

    /// Returns who signs by this line: for a key the first name that is no pattern, or the key
    /// itself when there is none; for an authority a name of the certificate's, its key id before
    /// others. The list has to allow the name; for a key without one, some name at all.
    ///
    /// Names are URIs. Addresses become `mailto:`; other names nobody could tell from each other.
    pub(crate) fn identity(&self, key: &Key) -> Option<String> {
        let allowed =
            |name: &&str| pattern::matches_list(name.as_bytes(), self.principals.as_bytes());
        let certificate = match (self.entry.kind(), key.certificate()) {
            (EntryKind::Authority, Some(certificate)) => certificate,
            (EntryKind::Key, _) | (EntryKind::Authority, None) => {
                let names = || self.principals.split(',').filter(allowed);
                let name = names().find_map(|name| uri(name).filter(|_| !is_pattern(name)));
                return name.or_else(|| {
                    names().next()?;
                    let fingerprint = self.public_key().fingerprint();
                    Some(format!("ssh-key:{fingerprint}"))
                });
            }
        };
        let names = || certificate.principals().iter().map(String::as_str);
        let key_id = names().find(|name| *name == certificate.key_id());
        key_id
            .into_iter()
            .chain(names())
            .filter(allowed)
            .find_map(uri)
    }
}

/// Returns the identity that a certificate of an authority of ours names: its key id, which is a
/// principal too.
pub(super) fn certified_identity(certificate: &Certificate) -> Option<&str> {
    let key_id = certificate.key_id();
    let is_listed = certificate.principals().iter().any(|name| name == key_id);
    let is_identity = key_id.parse::<Identity>().is_ok();
    (is_listed && is_identity).then_some(key_id)
}

fn is_pattern(name: &str) -> bool {
    name.starts_with('!') || name.contains(['*', '?'])
}

/// Returns a name as an identity.
pub(crate) fn uri(name: &str) -> Option<String> {
    if name.parse::<Identity>().is_ok() {
        return Some(name.to_owned());
    }
    is_address(name).then(|| format!("mailto:{name}"))
}

/// What stands for a line, or a key, without a beginning.
pub(super) const BEGINNING: UnixTime = UnixTime::from_secs(0);
/// "No well-defined expiration date" (RFC 5280 section 4.1.2.5): 9999-12-31T23:59:59Z.
pub(super) const NEVER: UnixTime = UnixTime::from_secs(253_402_300_799);
