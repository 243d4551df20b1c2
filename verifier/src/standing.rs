//! Step 3, who: the way from a certificate to an authority that the policy pins.
//!
//! Nothing here looks at a clock, so a certificate has one standing, however often it signed.

use std::{iter, sync::Arc};

use notme_core::{
    certificate::{Certificate, ChainError},
    enrol::{SCOPE_SIGN_ATTESTATION, SCOPE_SIGN_GIT},
    hex,
    identity::is_address,
    key::KeyId,
    oid,
    terms::Terms,
    time::UnixTime,
    trust::{Revocation, RevocationKind},
};

use crate::{
    anchor::{Anchor, Anchors, Root},
    openpgp,
    policy::Signer,
    refusal::Refusal,
    trust::PinKind,
    verdict::Code,
};

/// The most certificates between a leaf and a root.
pub(crate) const INTERMEDIATES_MAX: usize = 3;

/// What somebody signed, which decides the scope that the certificate needs: where the trust store
/// or the policy asks for `sign:git`, a statement needs `sign:attestation`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// A git object.
    Git,
    /// A statement in a DSSE envelope.
    Statement,
}

/// What a certificate and its chain say about the signer, at whatever time.
#[derive(Debug)]
pub struct Standing {
    facts: Facts,
    vouched: Option<Vouched>,
    /// The same, by other certificates of the same authority's key and of the issuers below it.
    renewed: Box<[Vouched]>,
    refusal: Option<Refusal>,
}

/// What is written in a certificate, in whichever format, about the key that signed.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) kid: KeyId,
    pub(crate) serial: Box<[u8]>,
    pub(crate) not_before: UnixTime,
    pub(crate) not_after: UnixTime,
    pub(crate) issued_at: Option<UnixTime>,
    pub(crate) epoch: Option<u64>,
    pub(crate) session: Option<[u8; 32]>,
    pub(crate) payload_sha256: Option<[u8; 32]>,
    pub(crate) activity: Option<Box<str>>,
    pub(crate) terms: Option<Box<Terms>>,
    pub(crate) names: Option<Box<openpgp::Names>>,
    /// Whether there is a certificate that says all this.
    pub(crate) is_certified: bool,
    /// What kind of key it is, as a policy names it.
    pub(crate) algorithm: Option<&'static str>,
}

impl Facts {
    /// Returns the facts that every certificate states, and no others.
    pub(crate) fn new(
        kid: KeyId,
        serial: &[u8],
        not_before: UnixTime,
        not_after: UnixTime,
    ) -> Self {
        Self {
            kid,
            serial: serial.into(),
            not_before,
            not_after,
            issued_at: None,
            epoch: None,
            session: None,
            payload_sha256: None,
            activity: None,
            terms: None,
            names: None,
            is_certified: true,
            algorithm: None,
        }
    }
}

/// What only a certificate that leads to a trusted root has.
#[derive(Debug)]
pub(crate) struct Vouched {
    pub(crate) identity: Option<Arc<str>>,
    /// Who told a Sigstore authority whose identity it is.
    pub(crate) issuer: Option<Arc<str>>,
    pub(crate) anchor: Arc<Anchor>,
    /// Everything above the leaf, the root last.
    pub(crate) issuers: Arc<[Issuer]>,
    /// The time in which every certificate above the leaf is valid.
    pub(crate) issuers_from: UnixTime,
    pub(crate) issuers_until: UnixTime,
}

impl Vouched {
    /// Returns what a way shows of a leaf, and why it is not good enough, if so.
    fn by(
        way: &Way<'_, '_>,
        leaf: &Certificate,
        anchors: &Anchors,
        purpose: Purpose,
    ) -> (Self, Option<Refusal>) {
        let anchor = way.anchor;
        let identity = identity(leaf, anchor.kind);
        // Another authority may copy that extension from whatever it is asked to certify.
        let is_sigstore = anchor.kind == PinKind::Sigstore;
        let issuer = leaf.oidc_issuer().filter(|_| is_sigstore);
        let refusal = (way.checked.clone())
            .and_then(|()| check_leaf(leaf, anchor.kind))
            .and_then(|()| check_identity(identity.as_deref()))
            .and_then(|()| check_issuer(issuer, is_sigstore))
            .and_then(|()| check_scopes(leaf, anchor, purpose))
            .err();
        let (issuers_from, issuers_until) = way.window();
        let vouched = Self {
            identity: identity.map(|identity| anchors.intern(&identity)),
            issuer: issuer.map(|issuer| anchors.intern(issuer)),
            issuers_from,
            issuers_until,
            issuers: match way.path.is_empty() {
                true => Issuer::root_of(anchor),
                false => way.issuers().map(Issuer::of).collect(),
            },
            anchor: Arc::clone(anchor),
        };
        (vouched, refusal)
    }
}

/// What an issuer, and all that is below it, may be taken back by.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Issuer {
    pub(crate) kid: KeyId,
    /// Absent where the issuer is a key without a certificate.
    pub(crate) serial_hex: Option<Box<str>>,
}

impl Issuer {
    /// Returns what stands above a leaf that the root itself issued, in the one copy that all such
    /// share; in the formats that know no chains, it is a key.
    pub(crate) fn root_of(anchor: &Anchor) -> Arc<[Self]> {
        let root = || match &anchor.root {
            Root::X509(root) => Self::of(root),
            Root::OpenPgp(_) | Root::Person(_) | Root::Ssh(_) | Root::Listed(_) => Self {
                kid: anchor.kid,
                serial_hex: None,
            },
        };
        let above = anchor.above.get_or_init(|| [root()].into());
        Arc::clone(above)
    }

    fn of(certificate: &Certificate) -> Self {
        Self {
            kid: certificate.kid(),
            serial_hex: Some(serial_hex(certificate.serial()).into()),
        }
    }
}

impl Standing {
    /// Finds the way from `leaf` to one of the anchors and checks each certificate on it.
    pub(crate) fn find(
        leaf: &Certificate,
        others: &[Certificate],
        anchors: &Anchors,
        purpose: Purpose,
    ) -> Self {
        let facts = Facts {
            issued_at: leaf.issued_at(),
            epoch: leaf.epoch(),
            session: leaf.peer_binding(),
            payload_sha256: leaf.payload_digest(),
            activity: leaf.activity().map(Into::into),
            // Whoever wrote them: they allow nothing.
            terms: leaf.terms().cloned().map(Box::new),
            algorithm: Some(leaf.public_key().algorithm().as_str()),
            ..Facts::new(
                leaf.kid(),
                leaf.serial(),
                leaf.not_before(),
                leaf.not_after(),
            )
        };
        let ways = Ways::up_from(leaf, others, anchors);
        let Some((way, renewed)) = ways.into_first() else {
            let issued = |root: &Root| matches!(root, Root::X509(root) if leaf.verify_issued_by(root).is_ok());
            let refusal = weak_link(leaf, others, anchors);
            let refusal = refusal.unwrap_or_else(|| anchors.absence_of(issued));
            return Self::new(facts, None, Some(refusal));
        };
        let (vouched, refusal) = Vouched::by(&way, leaf, anchors, purpose);
        let renewed = match &refusal {
            // Nothing of what else was found could help.
            Some(_) => Box::default(),
            None => renewed
                .iter()
                .map(|way| Vouched::by(way, leaf, anchors, purpose))
                .filter(|(_, refusal)| refusal.is_none())
                .map(|(vouched, _)| vouched)
                .collect(),
        };
        Self::new(facts, Some(vouched), refusal).with_renewed(renewed)
    }

    pub(crate) fn new(facts: Facts, vouched: Option<Vouched>, refusal: Option<Refusal>) -> Self {
        Self {
            facts,
            vouched,
            renewed: Box::default(),
            refusal,
        }
    }

    /// Adds what else vouches in the same name.
    pub(crate) fn with_renewed(self, renewed: Box<[Vouched]>) -> Self {
        Self { renewed, ..self }
    }

    /// Returns all that it is made of, but for [`Self::renewed`].
    pub(crate) fn parts(&self) -> (&Facts, Option<&Vouched>, Option<&Refusal>) {
        (&self.facts, self.vouched.as_ref(), self.refusal.as_ref())
    }

    /// Returns what else vouches in the same name.
    pub(crate) fn renewed(&self) -> &[Vouched] {
        &self.renewed
    }

    /// Returns the id of the key that signed.
    pub fn kid(&self) -> KeyId {
        self.facts.kid
    }

    /// Returns who signed, when a trusted authority vouches for it.
    pub(crate) fn signer(&self) -> Option<Signer<'_>> {
        Some(Signer {
            identity: self.identity()?,
            authority: self.authority()?,
            authority_kid: self.authority_kid()?,
            kid: self.kid(),
            issuer: self.oidc_issuer(),
            fingerprints: self
                .openpgp()
                .map(|names| [&names.fingerprint, &names.primary]),
        })
    }

    /// Returns who told a Sigstore authority whose identity it is.
    pub fn oidc_issuer(&self) -> Option<&str> {
        self.vouched.as_ref()?.issuer.as_deref()
    }

    /// Returns the kind of trust that vouches for the key, if any does.
    pub(crate) fn pin_kind(&self) -> Option<PinKind> {
        Some(self.vouched.as_ref()?.anchor.kind)
    }

    /// Returns the certificate's serial number in hex, without leading zero bytes.
    pub fn serial_hex(&self) -> String {
        serial_hex(&self.facts.serial)
    }

    /// Returns the first second of the certificate.
    pub fn not_before(&self) -> UnixTime {
        self.facts.not_before
    }

    /// Returns the last second of the certificate.
    pub fn not_after(&self) -> UnixTime {
        self.facts.not_after
    }

    /// Tells whether there is a certificate: a key may be listed without one.
    pub fn is_certified(&self) -> bool {
        self.facts.is_certified
    }

    /// Returns when the authority says that it issued the certificate.
    pub fn issued_at(&self) -> Option<UnixTime> {
        self.facts.issued_at
    }

    /// Returns the activity that the certificate was issued for.
    pub fn activity(&self) -> Option<&str> {
        self.facts.activity.as_deref()
    }

    /// Returns what else limits what the certificate may sign.
    pub fn terms(&self) -> Option<&Terms> {
        self.facts.terms.as_deref()
    }

    /// Returns the identity that a trusted authority vouches for.
    pub fn identity(&self) -> Option<&str> {
        self.vouched.as_ref()?.identity.as_deref()
    }

    /// Returns the trust store's name of the authority that vouches.
    pub fn authority(&self) -> Option<&str> {
        Some(&self.vouched.as_ref()?.anchor.authority)
    }

    /// Returns the id of the root's key.
    pub fn authority_kid(&self) -> Option<KeyId> {
        Some(self.vouched.as_ref()?.anchor.kid)
    }

    /// Returns how the signer is named in OpenPGP, when the signature is one.
    pub fn openpgp(&self) -> Option<&openpgp::Names> {
        self.facts.names.as_deref()
    }

    /// Returns what kind of key signed, as a policy names it.
    pub(crate) fn algorithm(&self) -> Option<&'static str> {
        self.facts.algorithm
    }

    /// Returns the payload that the certificate was issued for.
    pub(crate) fn payload_sha256(&self) -> Option<&[u8; 32]> {
        self.facts.payload_sha256.as_ref()
    }

    /// Returns the authority's epoch at issuance.
    pub(crate) fn epoch(&self) -> Option<u64> {
        self.facts.epoch
    }

    /// Returns what the certificates of one session have in common: the digest of its keys.
    pub(crate) fn session(&self) -> Option<&[u8; 32]> {
        self.facts.session.as_ref()
    }

    /// Tells whether something on the way from the leaf to the root is what was taken back. Where
    /// nobody vouches for the key, there is nothing but the key.
    pub(crate) fn rests_on(&self, revocation: &Revocation) -> bool {
        let value = revocation.value.as_str();
        match revocation.kind {
            RevocationKind::Certificate => {
                let is_meant = |issuer: &Issuer| issuer.serial_hex.as_deref() == Some(value);
                self.serial_hex() == value || self.issuers().any(is_meant)
            }
            RevocationKind::Key => value
                .parse::<KeyId>()
                .is_ok_and(|kid| self.rests_on_key(kid)),
            RevocationKind::Session => self.session().is_some_and(|id| hex::encode(id) == value),
            RevocationKind::Identity => self.identity() == Some(value),
            RevocationKind::Epoch => self.epoch().is_some_and(|epoch| epoch.to_string() == value),
        }
    }

    /// Tells whether it was taken back by somebody who has the key of the signer's root.
    pub(crate) fn is_told(&self, revocation: &Revocation) -> bool {
        let anchors = self.vouched.iter().map(|vouched| &vouched.anchor);
        let mut told = anchors.flat_map(|anchor| anchor.revocations.iter());
        told.any(|told| told.contains(revocation))
    }

    /// Tells whether a key is the signer's or above it.
    pub(crate) fn rests_on_key(&self, kid: KeyId) -> bool {
        self.kid() == kid || self.issuers().any(|issuer| issuer.kid == kid)
    }

    /// Whichever of several certificates of an issuer was taken back, it is meant.
    fn issuers(&self) -> impl Iterator<Item = &Issuer> {
        let vouched = self.vouched.iter().chain(&self.renewed);
        vouched.flat_map(|vouched| vouched.issuers.iter())
    }

    /// Tells whether what was taken back is the signer's own, and nothing above the signer.
    pub(crate) fn is_signers_own(&self, revocation: &Revocation) -> bool {
        let value = revocation.value.as_str();
        match revocation.kind {
            RevocationKind::Certificate => self.serial_hex() == value,
            RevocationKind::Key => self.kid().to_string() == value,
            RevocationKind::Session | RevocationKind::Identity => true,
            RevocationKind::Epoch => false,
        }
    }

    /// Returns what the chain is good for, if every check of it passed.
    pub(crate) fn vouched(&self) -> Result<&Vouched, Refusal> {
        match (&self.refusal, &self.vouched) {
            (None, Some(vouched)) => Ok(vouched),
            (Some(refusal), _) => Err(refusal.clone()),
            (None, None) => Err(Code::SignerUntrusted.into()),
        }
    }

    /// As [`Self::vouched`], of several by which it `holds`: authorities renew their certificates, and
    /// one may have ended when the next one counts. Where none does, the first is as good.
    pub(crate) fn vouched_where(
        &self,
        holds: impl Fn(&Vouched) -> bool,
    ) -> Result<&Vouched, Refusal> {
        let first = self.vouched()?;
        let mut all = iter::once(first).chain(&self.renewed);
        Ok(all.find(|it| holds(it)).unwrap_or(first))
    }
}

/// A way from a leaf to a root of the trust store.
struct Way<'c, 'a> {
    /// What is between them, from the leaf up.
    path: Vec<&'c Certificate>,
    anchor: &'a Arc<Anchor>,
    root: &'a Certificate,
    /// Whether everything above the leaf may issue what is below it.
    checked: Result<(), Refusal>,
}

impl<'c> Way<'c, '_> {
    /// Returns everything above the leaf, the root last.
    fn issuers(&self) -> impl Iterator<Item = &Certificate> {
        self.path.iter().copied().chain([self.root])
    }

    /// Returns the time in which every certificate above the leaf is valid.
    fn window(&self) -> (UnixTime, UnixTime) {
        let (root, path) = (self.root, &self.path);
        path.iter().fold(
            (root.not_before(), root.not_after()),
            |(from, until), it| (from.max(it.not_before()), until.min(it.not_after())),
        )
    }

    /// Tells whether no time that the leaf allows is outside of this way's.
    fn outlives(&self, leaf: &Certificate) -> bool {
        let (from, until) = self.window();
        let retired_at = self.anchor.retired_at.unwrap_or(until);
        from.max(self.anchor.from) <= leaf.not_before() && until.min(retired_at) >= leaf.not_after()
    }
}

/// The ways up from a leaf, in the order in which they were found.
struct Ways<'c, 'a> {
    leaf: &'c Certificate,
    others: &'c [Certificate],
    anchors: &'a Anchors,
    found: Vec<Way<'c, 'a>>,
}

impl<'c, 'a> Ways<'c, 'a> {
    fn up_from(leaf: &'c Certificate, others: &'c [Certificate], anchors: &'a Anchors) -> Self {
        let mut ways = Self {
            leaf,
            others,
            anchors,
            found: Vec::new(),
        };
        ways.climb(leaf, &mut Vec::new());
        ways
    }

    /// Goes up from `certificate`, to the roots of the trust store that fit, and through the message's
    /// certificates. Both name and signature of each link are checked. Tells whether it found enough: a
    /// way that may be gone whenever the leaf counts.
    ///
    /// A path holds no certificate twice and at most [`INTERMEDIATES_MAX`], and the message no more
    /// than that many, so there are at most fifteen links to check, and as many to each root.
    fn climb(&mut self, certificate: &Certificate, path: &mut Vec<&'c Certificate>) -> bool {
        for (anchor, root) in self.anchors.issuers_of(certificate) {
            let checked = check_issuers(path, root);
            let way = Way {
                checked: checked.and_then(|()| check_extensions(self.leaf, path, root)),
                path: path.clone(),
                anchor,
                root,
            };
            let is_enough = way.checked.is_ok() && way.outlives(self.leaf);
            self.found.push(way);
            if is_enough {
                return true;
            }
        }
        if path.len() == INTERMEDIATES_MAX {
            return false;
        }
        for issuer in self.others {
            if path.contains(&issuer) || certificate.verify_issued_by(issuer).is_err() {
                continue;
            }
            path.push(issuer);
            if self.climb(issuer, path) {
                return true;
            }
            path.pop();
        }
        false
    }

    /// Returns the first way, and those to the same authority's key that may stand in for it: an issuer
    /// may have several certificates, of which one allows more than another, or lives when another does
    /// not. The first way that may be gone counts, else the first.
    fn into_first(self) -> Option<(Way<'c, 'a>, Vec<Way<'c, 'a>>)> {
        let (good, bad): (Vec<_>, Vec<_>) =
            (self.found.into_iter()).partition(|way| way.checked.is_ok());
        let mut ways = good.into_iter();
        let Some(first) = ways.next() else {
            return Some((bad.into_iter().next()?, Vec::new()));
        };
        let is_same = |way: &Way<'_, '_>| {
            way.anchor.kid == first.anchor.kid && way.anchor.authority == first.anchor.authority
        };
        let renewed = ways.filter(is_same).collect();
        Some((first, renewed))
    }
}

/// Tells that somebody is named as an issuer, by a signature that is as good as none.
fn weak_link(leaf: &Certificate, others: &[Certificate], anchors: &Anchors) -> Option<Refusal> {
    let issuers = || others.iter().chain(anchors.certificates().map(|it| it.1));
    let named = [leaf].into_iter().chain(others);
    named
        .flat_map(|it| issuers().map(move |issuer| (it, issuer)))
        .filter(|(certificate, issuer)| certificate != issuer)
        .find_map(
            |(certificate, issuer)| match certificate.verify_issued_by(issuer) {
                Err(weak @ ChainError::Weak(_)) => {
                    Some(Refusal::new(Code::AlgorithmWeak, weak.to_string()))
                }
                Ok(()) | Err(_) => None,
            },
        )
}

fn serial_hex(serial: &[u8]) -> String {
    hex::encode(serial.strip_prefix(&[0]).unwrap_or(serial))
}

fn check_extensions(
    leaf: &Certificate,
    path: &[&Certificate],
    root: &Certificate,
) -> Result<(), Refusal> {
    let chain = [leaf].into_iter().chain(path.iter().copied()).chain([root]);
    for certificate in chain {
        if let Some(oid) = certificate.unknown_critical() {
            return Err(Refusal::new(
                Code::CertificateUnknownCritical,
                format!("extension {oid}"),
            ));
        }
    }
    Ok(())
}

/// Checks how far each issuer's authority reaches: `path` is ordered from the leaf up.
fn check_issuers(path: &[&Certificate], root: &Certificate) -> Result<(), Refusal> {
    for (below, issuer) in path.iter().copied().chain([root]).enumerate() {
        if issuer
            .path_len()
            .is_some_and(|limit| below > usize::from(limit))
        {
            return Err(Refusal::new(
                Code::CertificateInvalid,
                "an issuer allows fewer certificates below it",
            ));
        }
        if issuer.has_name_constraints() {
            return Err(Refusal::new(
                Code::CertificateInvalid,
                format!(
                    "an issuer limits the names below it (extension {}), which is not read",
                    oid::NAME_CONSTRAINTS
                ),
            ));
        }
        if !may_sign(issuer) && !is_for_any_use(issuer) {
            return Err(Refusal::new(
                Code::CertificateInvalid,
                "an issuer is limited to other uses",
            ));
        }
    }
    Ok(())
}

fn check_leaf(leaf: &Certificate, kind: PinKind) -> Result<(), Refusal> {
    let usages = leaf.extended_key_usage().unwrap_or_default();
    let problem = if leaf.is_ca() {
        "it is an authority's own"
    } else if !leaf.has_digital_signature() {
        "its key usage does not allow signatures"
    } else if !may_sign(leaf) {
        "its extended key usage allows neither code signing nor e-mail protection"
    } else if kind == PinKind::Sigstore && !usages.contains(&oid::CODE_SIGNING) {
        "its extended key usage does not name code signing, as Sigstore's certificates do"
    } else {
        return Ok(());
    };
    Err(Refusal::new(Code::CertificateInvalid, problem))
}

fn may_sign(certificate: &Certificate) -> bool {
    certificate.extended_key_usage().is_none_or(|usages| {
        usages.contains(&oid::CODE_SIGNING) || usages.contains(&oid::EMAIL_PROTECTION)
    })
}

/// RFC 5280 section 4.2.1.12: limits nothing below an issuer. Of a signer's own certificate one of
/// the uses may be asked by its name.
fn is_for_any_use(certificate: &Certificate) -> bool {
    certificate
        .extended_key_usage()
        .is_some_and(|usages| usages.contains(&oid::ANY_EXTENDED_KEY_USAGE))
}

/// Returns the single URI name; at an authority that knows nothing of notme, where there is none, the
/// single e-mail address as a URI. An address in the URI has to be one of those beside it, if there are any:
/// authorities check what is in the one, and may copy the other. Subject DN text is for display and names
/// nobody.
fn identity(leaf: &Certificate, kind: PinKind) -> Option<String> {
    if let Ok(identity) = leaf.identity() {
        let (scheme, address) = identity.as_str().split_once(':')?;
        let is_address = scheme.eq_ignore_ascii_case("mailto");
        let emails = leaf.emails();
        let is_known = emails.is_empty() || emails.iter().any(|email| are_same(email, address));
        return (is_known || !is_address).then(|| identity.as_str().to_owned());
    }
    match (kind, leaf.uris(), leaf.emails()) {
        (PinKind::X509 | PinKind::Sigstore, [], [email]) if is_address(email) => {
            Some(format!("mailto:{email}"))
        }
        (
            PinKind::X509
            | PinKind::Sigstore
            | PinKind::Pem
            | PinKind::TrustDocument
            | PinKind::OpenPgp
            | PinKind::AllowedSigners,
            _,
            _,
        ) => None,
    }
}

/// Tells whether two addresses are one: of hosts, case says nothing.
fn are_same(one: &str, other: &str) -> bool {
    match (one.rsplit_once('@'), other.rsplit_once('@')) {
        (Some((one, at)), Some((other, there))) => one == other && at.eq_ignore_ascii_case(there),
        (_, _) => one == other,
    }
}

fn check_identity(identity: Option<&str>) -> Result<(), Refusal> {
    match identity {
        Some(_) => Ok(()),
        None => Err(Code::IdentityMissing.into()),
    }
}

fn check_issuer(issuer: Option<&str>, is_needed: bool) -> Result<(), Refusal> {
    match issuer {
        None if is_needed => Err(Refusal::new(
            Code::IdentityMissing,
            "it does not say who vouched for the identity",
        )),
        Some(_) | None => Ok(()),
    }
}

fn check_scopes(leaf: &Certificate, anchor: &Anchor, purpose: Purpose) -> Result<(), Refusal> {
    let scope = |scope: &String| match (purpose, scope.as_str()) {
        (Purpose::Statement, SCOPE_SIGN_GIT) => SCOPE_SIGN_ATTESTATION.to_owned(),
        (Purpose::Statement | Purpose::Git, scope) => scope.to_owned(),
    };
    let scopes: Vec<_> = anchor.scopes.iter().map(scope).collect();
    if scopes.is_empty() || leaf.scopes().iter().any(|scope| scopes.contains(scope)) {
        return Ok(());
    }
    Err(Refusal::new(
        Code::ScopeMissing,
        format!("needs one of: {}", scopes.join(", ")),
    ))
}
