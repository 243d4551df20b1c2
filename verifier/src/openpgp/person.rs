//! A person's key in the trust store: which of its keys may sign, from when to when, as whom.
//!
//! Of several self-signatures on the same thing the newest counts, as in gpg: whoever moves the
//! end of a key says so once, for all that it signed. Nothing here looks at a clock.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

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
    /// What the file with the key has of it.
    copy: KeyBlock,
    bytes: Box<[u8]>,
    kid: KeyId,
    spki_sha256: [u8; 32],
    /// Whether the key said something valid of itself as a whole.
    is_whole: bool,
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
    belongs: bool,
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
            copy: block.clone(),
            bytes: block.to_bytes()?.into(),
            kid,
            spki_sha256: primary.spki_sha256().ok_or(OpenPgpError::KeyUnsupported)?,
            is_whole: own.whole.valid.is_some(),
            names,
            revocations: own.takings.strictest(kid).into_iter().collect(),
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
            let takings = [&own.takings, &bound.takings];
            let revocations = takings.iter().filter_map(|it| it.strictest(kid));
            person.revocations.extend(revocations);
            let mut key = bound.signing_key(subkey.key(), kid);
            key.until = earlier(key.until, until);
            key.problem = problem.clone().or(key.problem);
            person.keys.push(key);
        }
        Ok(person)
    }

    /// Takes the key's word on itself from all copies of it. Its names stay those that this copy
    /// has: who gave the file with another name trusts that one, in another authority.
    fn heed(&mut self, all: &Self) {
        let own: HashSet<_> = self.names.iter().map(|name| &name.user_id).collect();
        let is_own = |name: &&Name| own.contains(&name.user_id);
        self.names = all.names.iter().filter(is_own).cloned().collect();
        self.keys = all.keys.clone();
        self.revocations = all.revocations.clone();
        if self.names.is_empty() && !all.is_whole {
            self.refuse(&unbound());
        }
    }

    fn refuse(&mut self, refusal: &Refusal) {
        for key in &mut self.keys {
            key.problem.get_or_insert_with(|| refusal.clone());
        }
    }

    /// Returns the packets of the file.
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

    /// Returns what the owner took back: with the primary key every key below it.
    pub(crate) fn revocations(&self) -> &[Revocation] {
        &self.revocations
    }

    /// Returns since when one of the keys is taken back, and why, if it is.
    pub fn revocation(&self, kid: KeyId) -> Option<&Revocation> {
        let kid = kid.to_string();
        let of_it = self.revocations.iter().filter(|it| it.value == kid);
        of_it.min_by_key(|revocation| revocation.since)
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

/// Makes what the owner of a key says in one copy of it count for every copy: an end and what was
/// taken back are in the newest one alone.
pub(crate) fn unite<'a>(people: impl Iterator<Item = &'a mut Arc<Person>>) {
    let mut by_key: HashMap<_, Vec<_>> = HashMap::new();
    for person in people {
        let fingerprint = person.copy.primary().fingerprint().clone();
        let key = (person.spki_sha256, fingerprint);
        by_key.entry(key).or_default().push(person);
    }
    for copies in by_key.into_values() {
        let Some((first, others)) = copies.split_first() else {
            continue;
        };
        if others.iter().all(|other| other.bytes == first.bytes) {
            continue;
        }
        let all = KeyBlock::unite(copies.iter().map(|it| &it.copy));
        let all = all.ok_or(OpenPgpError::NotKey);
        let all = all.and_then(|all| Person::of(&all));
        for person in copies {
            let person = Arc::make_mut(person);
            match &all {
                Ok(all) => person.heed(all),
                Err(error) => person.refuse(&refused(error)),
            }
        }
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

    /// Tells whether it is known to be its owner's: the primary key, and a subkey that signed that
    /// it belongs to it. Any other subkey may be somebody else's key.
    pub(crate) fn belongs(&self) -> bool {
        self.belongs
    }
}

/// What a key says of itself as a whole, and of its names.
struct Own {
    /// The newest word on the whole key.
    whole: Newest,
    /// The newest word on each name.
    names: Vec<Signature>,
    /// The newest word on any name.
    named: Newest,
    takings: Takings,
}

/// The newest of several statements of a key on one thing.
#[derive(Default)]
struct Newest {
    valid: Option<Signature>,
    /// When it made one that we do not check, and why not.
    unchecked: Option<(UnixTime, Refusal)>,
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
            whole: Newest::default(),
            names: Vec::new(),
            named: Newest::default(),
            takings: Takings::default(),
        };
        for signature in block.direct() {
            let checked = signature.verify_direct(primary);
            match signature.kind() {
                SignatureKind::KeyRevocation => own.takings.push(signature, &checked),
                // One that says nothing of the key itself, but who may revoke it, overrides nothing.
                SignatureKind::DirectKey if checked.is_ok() || has_word(signature) => {
                    own.whole.push(signature, &checked);
                }
                _ => {}
            }
        }
        own
    }

    /// Checks what the key says of a user id, and keeps it: it speaks for the whole key too.
    fn name(&mut self, primary: &Key, user_id: &UserId) -> Option<Name> {
        let (mut newest, mut taken_back): (Newest, Option<UnixTime>) = Default::default();
        for signature in user_id.signatures() {
            // Other people's certifications name other issuers.
            let checked = signature.verify_certification(primary, primary, user_id);
            match signature.kind() {
                SignatureKind::Certification => newest.push(signature, &checked),
                // A name that was perhaps taken back names nobody.
                SignatureKind::CertificationRevocation if !is_noise(&checked) => {
                    taken_back = taken_back.max(Some(signature.created()));
                }
                _ => {}
            }
        }
        let newest = newest.after(taken_back);
        self.named.join(&newest);
        let is_doubtful = newest.doubt().is_some();
        let valid = newest.valid?;
        let name = Name {
            user_id: user_id.text().into(),
            until: last_second(&valid),
            rank: (valid.is_primary_user_id(), valid.created()),
        };
        self.names.push(valid);
        (!is_doubtful).then_some(name)
    }

    fn signing_key(&self, key: &Key, kid: KeyId) -> SigningKey {
        let problem = self.problem();
        let flags = flags_problem(self.says(Signature::allows_signing));
        let until = self.says(|it| end_of(key, it));
        SigningKey {
            key: key.clone(),
            kid,
            from: key.created(),
            until: earlier(until, self.whole.valid.as_ref().and_then(last_second)),
            problem: problem.or(flags),
            belongs: true,
        }
    }

    /// Returns what stands against the whole key.
    fn problem(&self) -> Option<Refusal> {
        let doubt = self.whole.doubt().or_else(|| self.named.doubt());
        if let Some(doubt) = doubt {
            return Some(doubt.clone());
        }
        match self.whole.valid.is_some() || !self.names.is_empty() {
            true => self.takings.doubt.clone(),
            false => Some(unbound()),
        }
    }

    /// Returns what the key says: of itself as a whole, else beside the newest name that has a
    /// word on it, as gpg reads it. A newer signature may be about something else.
    fn says<T>(&self, what: impl Fn(&Signature) -> Option<T>) -> Option<T> {
        let mut names: Vec<_> = self.names.iter().collect();
        names.sort_by_key(|it| std::cmp::Reverse(it.created()));
        self.whole.valid.iter().chain(names).find_map(what)
    }
}

impl Newest {
    fn push(&mut self, signature: &Signature, checked: &Result<(), OpenPgpError>) {
        match checked {
            Ok(()) => self.join_valid(signature),
            Err(
                error @ (OpenPgpError::AlgorithmWeak(_) | OpenPgpError::AlgorithmUnsupported(_)),
            ) => self.join_unchecked(signature.created(), &uncheckable("self-signature", error)),
            Err(_) => {}
        }
    }

    fn join(&mut self, other: &Self) {
        if let Some(valid) = &other.valid {
            self.join_valid(valid);
        }
        if let Some((at, refusal)) = &other.unchecked {
            self.join_unchecked(*at, refusal);
        }
    }

    fn join_valid(&mut self, signature: &Signature) {
        let known = self.valid.as_ref().map(Signature::created);
        if known.is_none_or(|known| known <= signature.created()) {
            self.valid = Some(signature.clone());
        }
    }

    fn join_unchecked(&mut self, at: UnixTime, refusal: &Refusal) {
        let known = self.unchecked.as_ref().map(|(known, _)| *known);
        if known.is_none_or(|known| known < at) {
            self.unchecked = Some((at, refusal.clone()));
        }
    }

    /// Returns what was not taken back.
    fn after(self, taken_back: Option<UnixTime>) -> Self {
        let is_left = |at: UnixTime| taken_back.is_none_or(|taken_back| at > taken_back);
        Self {
            valid: self.valid.filter(|it| is_left(it.created())),
            unchecked: self.unchecked.filter(|(at, _)| is_left(*at)),
        }
    }

    /// Tells why nobody knows what the key says: that it said something newer than what we check,
    /// an end perhaps, makes the older no better.
    fn doubt(&self) -> Option<&Refusal> {
        let (at, refusal) = self.unchecked.as_ref()?;
        let valid = self.valid.as_ref();
        let is_newer = valid.is_none_or(|valid| valid.created() <= *at);
        is_newer.then_some(refusal)
    }
}

/// What a primary key says of a subkey.
struct Bound {
    binding: Newest,
    takings: Takings,
    back: Result<(), Refusal>,
}

impl Bound {
    fn of(primary: &Key, subkey: &Key, signatures: &[Signature]) -> Self {
        let (mut binding, mut takings) = (Newest::default(), Takings::default());
        let mut bindings = Vec::new();
        for signature in signatures {
            let checked = signature.verify_subkey_binding(primary, subkey);
            match signature.kind() {
                SignatureKind::SubkeyRevocation => takings.push(signature, &checked),
                SignatureKind::SubkeyBinding => {
                    binding.push(signature, &checked);
                    bindings.extend(checked.is_ok().then_some(signature));
                }
                _ => {}
            }
        }
        let newest = binding.valid.as_ref().map(Signature::created);
        // What the subkey signed is in the part that anybody can take out of a copy.
        let copies = bindings
            .iter()
            .filter(|it| Some(it.created()) == newest)
            .map(|it| check_back(it, primary, subkey));
        let back = copies.max_by_key(Result::is_ok).unwrap_or(Ok(()));
        Self {
            binding,
            takings,
            back,
        }
    }

    fn signing_key(&self, key: &Key, kid: KeyId) -> SigningKey {
        let doubt = self.binding.doubt().cloned();
        let Some(binding) = &self.binding.valid else {
            let refusal = doubt.unwrap_or_else(|| {
                Refusal::new(Code::SignerUntrusted, "the subkey is not bound to its key")
            });
            return SigningKey {
                key: key.clone(),
                kid,
                from: key.created(),
                until: None,
                problem: Some(refusal),
                belongs: false,
            };
        };
        let problem = flags_problem(binding.allows_signing()).or_else(|| self.back.clone().err());
        let problem = problem.or_else(|| self.takings.doubt.clone());
        SigningKey {
            key: key.clone(),
            kid,
            from: key.created(),
            until: earlier(end_of(key, binding), last_second(binding)),
            problem: problem.or(doubt),
            belongs: self.back.is_ok(),
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
            Err(error) => self.doubt = Some(uncheckable("revocation", error)),
        }
    }

    /// Returns the revocation that takes back the most.
    fn strictest(&self, kid: KeyId) -> Option<Revocation> {
        let all = self.proven.iter().map(|it| revocation(kid, it));
        all.min_by_key(|it| it.since)
    }
}

/// Tells whether a signature is by somebody else, or by nobody.
fn is_noise(checked: &Result<(), OpenPgpError>) -> bool {
    matches!(
        checked,
        Err(OpenPgpError::Issuer | OpenPgpError::Mismatch(_))
    )
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

/// Tells whether a signature says something of the key's end or uses.
fn has_word(signature: &Signature) -> bool {
    signature.key_lifetime().is_some()
        || signature.allows_signing().is_some()
        || signature.expires().is_some()
}

fn uncheckable(what: &str, error: &OpenPgpError) -> Refusal {
    let detail = format!("a {what} of the key cannot be checked: {error}");
    Refusal::new(refused(error).code, detail)
}

fn unbound() -> Refusal {
    Refusal::new(Code::SignerUntrusted, "the key has no valid self-signature")
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
