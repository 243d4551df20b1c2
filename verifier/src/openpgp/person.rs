//! A person's key in the trust store: which of its keys may sign, from when to when, as whom.
//!
//! Of several self-signatures on the same thing the newest counts, as in gpg: whoever moves the
//! end of a key says so once, for all that it signed. Nothing here looks at a clock.

use notme_core::{
    identity::is_address,
    key::KeyId,
    openpgp::{
        Fingerprint, Key, KeyBlock, OpenPgpError, Revocation as Taking, Signature, SignatureKind,
        UserId,
    },
    time::UnixTime,
    trust::{Revocation, RevocationKind},
};

use super::refused;
use crate::{refusal::Refusal, verdict::Code};

/// A key with its subkeys and names, after every signature on it was checked.
#[derive(Clone, Debug)]
pub struct Person {
    bytes: Box<[u8]>,
    kid: KeyId,
    spki_sha256: [u8; 32],
    names: Vec<Name>,
    keys: Vec<SigningKey>,
    revocations: Vec<Revocation>,
}

/// A primary key or subkey, and what its owner says of it.
#[derive(Clone, Debug)]
pub struct SigningKey {
    key: Key,
    kid: KeyId,
    from: UnixTime,
    until: Option<UnixTime>,
    problem: Option<Refusal>,
}

/// A user id that the primary key signed and did not take back.
#[derive(Clone, Debug)]
struct Name {
    user_id: Box<str>,
    until: Option<UnixTime>,
    rank: (bool, UnixTime),
}

impl Person {
    /// Checks a key from a file that its reader trusts.
    ///
    /// # Errors
    /// [`OpenPgpError`] when nothing can be verified with the primary key.
    pub fn of(block: &KeyBlock) -> Result<Self, OpenPgpError> {
        let primary = block.primary();
        let kid = primary.kid().ok_or(OpenPgpError::KeyUnsupported)?;
        let mut own = Own::of(block);
        let mut names = Vec::new();
        for user_id in block.user_ids() {
            names.extend(own.name(primary, user_id));
        }
        names.sort_by_key(|name| std::cmp::Reverse(name.rank));
        let mut person = Self {
            bytes: block.to_bytes()?.into(),
            kid,
            spki_sha256: primary.spki_sha256().ok_or(OpenPgpError::KeyUnsupported)?,
            names,
            revocations: own.takings.of(kid).collect(),
            keys: Vec::new(),
        };
        let primary = own.signing_key(primary, kid);
        let (until, problem) = (primary.until, own.problem());
        person.keys.push(primary);
        for subkey in block.subkeys() {
            let Some(kid) = subkey.key().kid() else {
                continue;
            };
            let bound = Bound::of(block.primary(), subkey.key(), subkey.signatures());
            person.revocations.extend(bound.takings.of(kid));
            let mut key = bound.signing_key(subkey.key(), kid);
            key.until = earlier(key.until, until);
            key.problem = problem.clone().or(key.problem);
            person.keys.push(key);
        }
        Ok(person)
    }

    /// Returns the packets that were checked.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the id of the primary key.
    pub fn kid(&self) -> KeyId {
        self.kid
    }

    /// Returns the SHA-256 of the primary key's SubjectPublicKeyInfo.
    pub fn spki_sha256(&self) -> [u8; 32] {
        self.spki_sha256
    }

    /// Returns the primary key, then the subkeys that could be read, whatever they may do.
    pub fn keys(&self) -> &[SigningKey] {
        &self.keys
    }

    /// Returns the user ids, the one to show first; unescaped.
    pub fn user_ids(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &*name.user_id)
    }

    /// Returns the addresses among them.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.user_ids().filter_map(address)
    }

    /// Returns what the owner took back.
    pub(crate) fn revocations(&self) -> &[Revocation] {
        &self.revocations
    }

    pub(super) fn primary(&self) -> Option<&SigningKey> {
        self.keys.first()
    }

    /// Returns the user id that a signature speaks for, and its end: the one that it names if
    /// that is one of the key's, else the one to show.
    pub(super) fn name(&self, wanted: Option<&str>) -> Option<(&str, Option<UnixTime>)> {
        let is_wanted = |name: &&Name| {
            let address = address(&name.user_id);
            wanted.is_some_and(|text| *name.user_id == *text || address == Some(text))
        };
        let named = self.names.iter().find(is_wanted);
        let name = named.or_else(|| self.names.first())?;
        Some((&name.user_id, name.until))
    }

    /// Returns the identity behind a user id: its address, else the key itself. No user id makes
    /// anybody a `wimse:` identity.
    pub(crate) fn identity(&self, user_id: &str) -> Option<String> {
        if let Some(address) = address(user_id) {
            return Some(format!("mailto:{address}"));
        }
        Some(identity_of(self.primary()?.key.fingerprint()))
    }
}

/// Returns the identity that a key itself is.
pub(super) fn identity_of(fingerprint: &Fingerprint) -> String {
    let fingerprint = fingerprint.to_string();
    format!("openpgp4fpr:{}", fingerprint.to_ascii_lowercase())
}

impl SigningKey {
    /// Returns the key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Returns its id.
    pub fn kid(&self) -> KeyId {
        self.kid
    }

    /// Returns its first second.
    pub fn from(&self) -> UnixTime {
        self.from
    }

    /// Returns its last second, if it ends.
    pub fn until(&self) -> Option<UnixTime> {
        self.until
    }

    /// Returns why the key may not sign, if it may not.
    pub fn problem(&self) -> Option<&Refusal> {
        self.problem.as_ref()
    }
}

/// What a key says of itself as a whole, and of its names.
struct Own {
    /// The newest word on the whole key.
    whole: Option<Signature>,
    /// The newest word on each name.
    names: Vec<Signature>,
    takings: Takings,
    weakness: Option<Refusal>,
}

/// What takes back a key.
#[derive(Default)]
struct Takings {
    proven: Vec<Signature>,
    /// One that could not be checked.
    doubt: Option<Refusal>,
}

impl Own {
    fn of(block: &KeyBlock) -> Self {
        let primary = block.primary();
        let mut own = Self {
            whole: None,
            names: Vec::new(),
            takings: Takings::default(),
            weakness: None,
        };
        for signature in block.direct() {
            let checked = signature.verify_direct(primary);
            match signature.kind() {
                SignatureKind::KeyRevocation => own.takings.push(signature, &checked),
                SignatureKind::DirectKey if note(&checked, &mut own.weakness) => {
                    newer(&mut own.whole, signature);
                }
                _ => {}
            }
        }
        own
    }

    /// Checks what the key says of a user id, and keeps it: it speaks for the whole key too.
    fn name(&mut self, primary: &Key, user_id: &UserId) -> Option<Name> {
        let (mut newest, mut taken_back): (Option<Signature>, Option<UnixTime>) = (None, None);
        for signature in user_id.signatures() {
            // Other people's certifications name other issuers.
            let checked = signature.verify_certification(primary, primary, user_id);
            match signature.kind() {
                SignatureKind::Certification if note(&checked, &mut self.weakness) => {
                    newer(&mut newest, signature);
                }
                // A name that was perhaps taken back names nobody.
                SignatureKind::CertificationRevocation if !is_noise(&checked) => {
                    taken_back = taken_back.max(Some(signature.created()));
                }
                _ => {}
            }
        }
        let newest = newest?;
        if taken_back.is_some_and(|at| at >= newest.created()) {
            return None;
        }
        let name = Name {
            user_id: user_id.text().into(),
            until: last_second(&newest),
            rank: (newest.is_primary_user_id(), newest.created()),
        };
        self.names.push(newest);
        Some(name)
    }

    /// Tells whether the key said anything valid of itself.
    fn is_bound(&self) -> Result<(), Refusal> {
        if self.whole.is_some() || !self.names.is_empty() {
            return Ok(());
        }
        Err(self.weakness.clone().unwrap_or_else(|| {
            Refusal::new(Code::SignerUntrusted, "the key has no valid self-signature")
        }))
    }

    fn signing_key(&self, key: &Key, kid: KeyId) -> SigningKey {
        let problem = self.problem();
        let flags = flags_problem(self.says(Signature::allows_signing));
        let until = self.says(|it| end_of(key, it));
        SigningKey {
            key: key.clone(),
            kid,
            from: key.created(),
            until: earlier(until, self.whole.as_ref().and_then(last_second)),
            problem: problem.or(flags),
        }
    }

    /// Returns what stands against the whole key.
    fn problem(&self) -> Option<Refusal> {
        self.is_bound().err().or_else(|| self.takings.doubt.clone())
    }

    /// Returns what the key says: of itself as a whole, else beside the newest name that has a
    /// word on it, as gpg reads it. A newer signature may be about something else.
    fn says<T>(&self, what: impl Fn(&Signature) -> Option<T>) -> Option<T> {
        let mut names: Vec<_> = self.names.iter().collect();
        names.sort_by_key(|it| std::cmp::Reverse(it.created()));
        self.whole.iter().chain(names).find_map(what)
    }
}

/// What a primary key says of a subkey.
struct Bound {
    binding: Option<Signature>,
    takings: Takings,
    weakness: Option<Refusal>,
    back: Result<(), Refusal>,
}

impl Bound {
    fn of(primary: &Key, subkey: &Key, signatures: &[Signature]) -> Self {
        let mut bound = Self {
            binding: None,
            takings: Takings::default(),
            weakness: None,
            back: Ok(()),
        };
        for signature in signatures {
            let checked = signature.verify_subkey_binding(primary, subkey);
            match signature.kind() {
                SignatureKind::SubkeyRevocation => bound.takings.push(signature, &checked),
                SignatureKind::SubkeyBinding if note(&checked, &mut bound.weakness) => {
                    newer(&mut bound.binding, signature);
                }
                _ => {}
            }
        }
        if let Some(binding) = &bound.binding {
            bound.back = check_back(binding, primary, subkey);
        }
        bound
    }

    fn signing_key(&self, key: &Key, kid: KeyId) -> SigningKey {
        let Some(binding) = &self.binding else {
            let refusal = self.weakness.clone().unwrap_or_else(|| {
                Refusal::new(Code::SignerUntrusted, "the subkey is not bound to its key")
            });
            return SigningKey {
                key: key.clone(),
                kid,
                from: key.created(),
                until: None,
                problem: Some(refusal),
            };
        };
        let problem = flags_problem(binding.allows_signing()).or_else(|| self.back.clone().err());
        let problem = problem.or_else(|| self.takings.doubt.clone());
        SigningKey {
            key: key.clone(),
            kid,
            from: key.created(),
            until: earlier(end_of(key, binding), last_second(binding)),
            problem,
        }
    }
}

impl Takings {
    fn push(&mut self, signature: &Signature, checked: &Result<(), OpenPgpError>) {
        match checked {
            Ok(()) => self.proven.push(signature.clone()),
            Err(_) if is_noise(checked) => {}
            // The key says that it is not to be used; that the hash is too old to prove it makes
            // the key no better.
            Err(error) => {
                let refusal = refused(error);
                let detail = format!("a revocation of the key cannot be checked: {error}");
                self.doubt = Some(Refusal::new(refusal.code, detail));
            }
        }
    }

    fn of(&self, kid: KeyId) -> impl Iterator<Item = Revocation> {
        self.proven.iter().map(move |it| revocation(kid, it))
    }
}

/// Tells whether a signature is by somebody else, or by nobody.
fn is_noise(checked: &Result<(), OpenPgpError>) -> bool {
    matches!(
        checked,
        Err(OpenPgpError::Issuer | OpenPgpError::Mismatch(_))
    )
}

/// Keeps the newer of two signatures.
fn newer(newest: &mut Option<Signature>, signature: &Signature) {
    let known = newest.as_ref().map(Signature::created);
    if known.is_none_or(|known| known <= signature.created()) {
        *newest = Some(signature.clone());
    }
}

/// RFC 9580 section 5.2.1.8: a subkey that signs must itself have signed that it belongs to the
/// primary key. Otherwise anybody could adopt another's subkey and claim what it signed.
fn check_back(binding: &Signature, primary: &Key, subkey: &Key) -> Result<(), Refusal> {
    let invalid = |what: &str| Refusal::new(Code::CertificateInvalid, what);
    let Some(back) = binding.back_signature() else {
        return Err(invalid(
            "the subkey did not sign that it belongs to its key",
        ));
    };
    back.verify_back_signature(subkey, primary)
        .map_err(|error| match &error {
            OpenPgpError::AlgorithmWeak(_) => refused(&error),
            _ => invalid("the subkey's own signature on its binding does not hold"),
        })
}

/// Notes that a signature is weak: it may be the reason why nothing else is left.
fn note(checked: &Result<(), OpenPgpError>, weakness: &mut Option<Refusal>) -> bool {
    match checked {
        Ok(()) => true,
        Err(error @ OpenPgpError::AlgorithmWeak(_)) => {
            weakness.get_or_insert_with(|| refused(error));
            false
        }
        Err(_) => false,
    }
}

fn flags_problem(may_sign: Option<bool>) -> Option<Refusal> {
    // A key that says nothing of its uses may be used for what its algorithm can do.
    (may_sign == Some(false)).then(|| {
        Refusal::new(
            Code::CertificateInvalid,
            "the key's flags do not allow it to sign",
        )
    })
}

/// Returns the last second of a key: its lifetime counts from its creation.
fn end_of(key: &Key, statement: &Signature) -> Option<UnixTime> {
    let lifetime = statement.key_lifetime().filter(|lifetime| *lifetime != 0)?;
    Some(key.created().plus(i64::from(lifetime) - 1))
}

/// Returns the last second of a signature.
fn last_second(signature: &Signature) -> Option<UnixTime> {
    signature.expires().map(|end| end.plus(-1))
}

fn revocation(kid: KeyId, signature: &Signature) -> Revocation {
    let (since, reason) = match signature.revocation() {
        Taking::Soft => (signature.created(), "its owner gave the key up"),
        Taking::Hard => (UnixTime::from_secs(0), "its owner revoked the key"),
    };
    Revocation {
        kind: RevocationKind::Key,
        value: kid.to_string(),
        since,
        reason: reason.to_owned(),
    }
}

fn earlier(one: Option<UnixTime>, other: Option<UnixTime>) -> Option<UnixTime> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Returns the mail address of `Name <address>`, or of a user id that is one.
pub(crate) fn address(user_id: &str) -> Option<&str> {
    let inner = user_id
        .strip_suffix('>')
        .and_then(|rest| rest.rsplit_once('<'))
        .map_or(user_id, |(_, inner)| inner);
    is_address(inner).then_some(inner)
}
