//! The two small files of an authority: its pin, and the newest document seen.

use std::path::Path;

use notme_core::{
    certificate::Certificate,
    trust::{Root, Seen, TrustDocument},
};
use serde::{Deserialize, Serialize, de::Error as _};

use super::TrustStoreError;
use crate::{openpgp::Person, trust::PinKind};

const VERSION: u64 = 1;

/// `pin.json`: by which keys an authority is known.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pin {
    version: u64,
    kind: PinKind,
    #[serde(with = "digests")]
    spki_sha256: Vec<[u8; 32]>,
    scopes: Vec<String>,
    /// Whether a record of the newest document must exist.
    has_state: bool,
    /// Whom the trust document is of, and whom it may name; it may not change either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    speaks_for: Option<SpeaksFor>,
    /// The retired roots that documents named so far: they may be named again.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "digests")]
    retired_spki_sha256: Vec<[u8; 32]>,
    /// The keys, past and present, with which it certifies in SSH and OpenPGP; of people, the
    /// subkeys that their file had.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "digests")]
    formats_spki_sha256: Vec<[u8; 32]>,
}

/// Who an authority said it is when it was pinned.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SpeaksFor {
    pub(super) authority: String,
    pub(super) trust_domain: String,
}

impl SpeaksFor {
    fn of(document: &TrustDocument) -> Self {
        Self {
            authority: document.authority.clone(),
            trust_domain: document.trust_domain.clone(),
        }
    }
}

impl Pin {
    pub(super) fn new(kind: PinKind, roots: &[Certificate], scopes: Vec<String>) -> Self {
        let pins = roots.iter().map(|root| root.public_key().spki_sha256());
        Self::of_keys(kind, pins.collect(), scopes)
    }

    pub(super) fn of_keys(kind: PinKind, spki_sha256: Vec<[u8; 32]>, scopes: Vec<String>) -> Self {
        Self {
            version: VERSION,
            kind,
            spki_sha256,
            scopes,
            has_state: false,
            speaks_for: None,
            retired_spki_sha256: Vec::new(),
            formats_spki_sha256: Vec::new(),
        }
    }

    pub(super) fn of_people(people: &[Person], scopes: Vec<String>) -> Self {
        let primaries = people.iter().map(Person::spki_sha256);
        let subkeys = people
            .iter()
            .flat_map(|person| person.keys().iter().skip(1));
        Self {
            formats_spki_sha256: subkeys.filter_map(|it| it.key().spki_sha256()).collect(),
            ..Self::of_keys(PinKind::OpenPgp, primaries.collect(), scopes)
        }
    }

    pub(super) fn of_document(document: &TrustDocument, scopes: Vec<String>) -> Self {
        let digest = |root: &Root| root.certificate.public_key().spki_sha256();
        let ssh = document.ssh_ca.iter();
        let ssh = ssh.map(|ca| ca.public_key.spki_sha256());
        let openpgp = document.openpgp.iter();
        let openpgp = openpgp.filter_map(|ca| ca.certificate.key().spki_sha256());
        Self {
            version: VERSION,
            kind: PinKind::TrustDocument,
            spki_sha256: document.current_roots().map(digest).collect(),
            scopes,
            has_state: true,
            speaks_for: Some(SpeaksFor::of(document)),
            retired_spki_sha256: document.retired_roots().map(digest).collect(),
            formats_spki_sha256: ssh.chain(openpgp).collect(),
        }
    }

    pub(super) fn from_json(json: &[u8], path: &Path) -> Result<Self, TrustStoreError> {
        let pin: Self = parse(json, path)?;
        let is_named = pin.speaks_for.is_some() == (pin.kind == PinKind::TrustDocument);
        match pin.version == VERSION && !pin.spki_sha256.is_empty() && is_named {
            true => Ok(pin),
            false => Err(malformed(
                path,
                "unknown version, no pin, or no trust domain",
            )),
        }
    }

    pub(super) fn with_state(mut self) -> Self {
        self.has_state = true;
        self
    }

    /// Adds what another pin knows, for the time in which either document may be in place.
    pub(super) fn and(mut self, other: &Self) -> Self {
        let union = |into: &mut Vec<[u8; 32]>, from: &[[u8; 32]]| {
            for digest in from {
                if !into.contains(digest) {
                    into.push(*digest);
                }
            }
        };
        union(&mut self.spki_sha256, &other.spki_sha256);
        union(&mut self.retired_spki_sha256, &other.retired_spki_sha256);
        union(&mut self.formats_spki_sha256, &other.formats_spki_sha256);
        self
    }

    /// Checks that a document is of the authority that was pinned, and names no other's
    /// identities.
    pub(super) fn check_same(&self, document: &TrustDocument) -> Result<(), TrustStoreError> {
        let Some(pinned) = &self.speaks_for else {
            return Ok(());
        };
        let found = SpeaksFor::of(document);
        let changed = |what, pinned: &str, found: String| TrustStoreError::Changed {
            what,
            pinned: pinned.to_owned(),
            found,
        };
        if pinned.trust_domain != found.trust_domain {
            let what = "trust domain";
            return Err(changed(what, &pinned.trust_domain, found.trust_domain));
        }
        if pinned.authority != found.authority {
            return Err(changed("authority", &pinned.authority, found.authority));
        }
        Ok(())
    }

    pub(super) fn kind(&self) -> PinKind {
        self.kind
    }

    pub(super) fn spki(&self) -> &[[u8; 32]] {
        &self.spki_sha256
    }

    pub(super) fn trust_domain(&self) -> Option<&str> {
        Some(&self.speaks_for.as_ref()?.trust_domain)
    }

    pub(super) fn retired(&self) -> &[[u8; 32]] {
        &self.retired_spki_sha256
    }

    /// Returns every key that it certifies or certified with, or that a person's file had.
    pub(super) fn keys(&self) -> impl Iterator<Item = &[u8; 32]> {
        let roots = self.spki_sha256.iter().chain(&self.retired_spki_sha256);
        roots.chain(&self.formats_spki_sha256)
    }

    pub(super) fn scopes(&self) -> &[String] {
        &self.scopes
    }

    pub(super) fn has_state(&self) -> bool {
        self.has_state
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }
}

/// `<name>.json` of the state directory: the newest document seen.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SeenRecord {
    version: u64,
    seqno: u64,
    #[serde(with = "digest")]
    payload_sha256: [u8; 32],
}

pub(super) fn seen_from_json(json: &[u8], path: &Path) -> Result<Seen, TrustStoreError> {
    let record: SeenRecord = parse(json, path)?;
    match record.version {
        VERSION => Ok(Seen {
            seqno: record.seqno,
            payload_sha256: record.payload_sha256,
        }),
        _ => Err(malformed(path, "unknown version")),
    }
}

pub(super) fn seen_to_json(seen: &Seen) -> Vec<u8> {
    to_json(&SeenRecord {
        version: VERSION,
        seqno: seen.seqno,
        payload_sha256: seen.payload_sha256,
    })
}

fn parse<T: for<'de> Deserialize<'de>>(json: &[u8], path: &Path) -> Result<T, TrustStoreError> {
    serde_json::from_slice(json).map_err(|source| TrustStoreError::Malformed {
        path: path.to_owned(),
        source,
    })
}

fn malformed(path: &Path, reason: &str) -> TrustStoreError {
    TrustStoreError::Malformed {
        path: path.to_owned(),
        source: serde_json::Error::custom(reason),
    }
}

fn to_json(record: &impl Serialize) -> Vec<u8> {
    #[expect(
        clippy::expect_used,
        reason = "the records hold numbers, booleans and strings under string keys"
    )]
    let mut json = serde_json::to_vec_pretty(record).expect("a record is JSON");
    json.push(b'\n');
    json
}

mod digest {
    use notme_core::hex;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(digest: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(digest))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        hex::decode_array(&text).ok_or_else(|| D::Error::custom("not a SHA-256 in hex"))
    }
}

mod digests {
    use notme_core::hex;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(digests: &[[u8; 32]], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(digests.iter().map(|digest| hex::encode(digest)))
    }

    pub(super) fn deserialize<'de, D>(from: D) -> Result<Vec<[u8; 32]>, D::Error>
    where
        D: Deserializer<'de>,
    {
        let texts = Vec::<String>::deserialize(from)?;
        let digests = texts.iter().map(|text| hex::decode_array(text));
        let digests = digests.collect::<Option<_>>();
        digests.ok_or_else(|| D::Error::custom("not a SHA-256 in hex"))
    }
}
