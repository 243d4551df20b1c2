//! Who: signers, and how a policy names them.

use std::{fmt, sync::Arc};

use notme_core::{glob::Glob, key::KeyId, openpgp::Fingerprint};
use serde::Deserialize;

use super::{Pattern, Selector};
use crate::trust::{PinKind, Trust};

/// Somebody whom a trusted authority vouches for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signer<'a> {
    pub(crate) identity: &'a str,
    /// The trust store's name of the authority.
    pub(crate) authority: &'a str,
    pub(crate) authority_kid: KeyId,
    pub(crate) kid: KeyId,
    /// Who told a Sigstore authority whose identity it is.
    pub(crate) issuer: Option<&'a str>,
    /// Those of an OpenPGP key and of the primary key above it.
    pub(crate) fingerprints: Option<[&'a Fingerprint; 2]>,
}

impl Signer<'_> {
    /// Tells whether two signers are one, for all that is known. An agent is named by its authority, and
    /// others may name theirs alike; addresses name the same person whoever vouches. Whoever has a key
    /// chooses by which of its names to sign, so that one key is one signer.
    pub(crate) fn is(self, other: Signer<'_>) -> bool {
        let is_named_alike = self.identity == other.identity
            && (self.authority == other.authority || !self.identity.starts_with("wimse:"));
        let [own, theirs] = [self, other].map(|it| it.fingerprints.into_iter().flatten());
        let own: Vec<_> = own.collect();
        is_named_alike || self.kid == other.kid || theirs.into_iter().any(|it| own.contains(&it))
    }
}

/// Tells whether two signers are one, for all that is known of them or said by a policy.
pub(super) fn are_one(principals: &[Arc<Principal>], one: Signer<'_>, other: Signer<'_>) -> bool {
    let mut people = principals.iter();
    one.is(other) || people.any(|it| it.is_person(one) && it.is_person(other))
}

/// Returns how many there are among all beside some. Two who are one with a third are one.
pub(super) fn count_others<'s>(
    principals: &[Arc<Principal>],
    some: impl IntoIterator<Item = Signer<'s>>,
    all: impl IntoIterator<Item = Signer<'s>>,
) -> usize {
    let mut people = vec![some.into_iter().collect::<Vec<_>>()];
    for signer in all {
        let is_theirs =
            |them: &Vec<Signer<'_>>| them.iter().any(|it| are_one(principals, *it, signer));
        let (same, others): (Vec<_>, Vec<_>) = people.into_iter().partition(is_theirs);
        people = others;
        people.push(same.into_iter().flatten().chain([signer]).collect());
    }
    people.len().saturating_sub(1)
}

/// Whom a rule speaks of.
#[derive(Clone, Debug)]
pub(super) enum Who {
    /// Everybody.
    Anyone,
    /// All identities that fit a pattern.
    Identity {
        identity: Pattern,
        except: Vec<Pattern>,
        told: Told,
        by: By,
    },
    /// Some that the policy names one by one.
    Principals {
        /// As the policy calls them.
        names: Box<str>,
        principals: Principals,
    },
}

impl Who {
    pub(super) fn fits(&self, signer: Signer<'_>) -> bool {
        match self {
            Self::Anyone => true,
            Self::Identity {
                identity,
                except,
                told,
                by,
            } => {
                by.fits(signer)
                    && told.fits(signer)
                    && identity.matches(signer.identity)
                    && !except.iter().any(|it| it.matches(signer.identity))
            }
            Self::Principals { principals, .. } => principals.iter().any(|it| it.fits(signer)),
        }
    }

    /// Tells whether nobody can fit, as only a Sigstore authority may vouch and nobody may have told it.
    pub(super) fn is_told_by_nobody(&self, trust: &Trust) -> bool {
        match self {
            Self::Identity {
                told: Told::ByNobody,
                by,
                ..
            } => by.is_sigstore(trust),
            Self::Anyone | Self::Identity { .. } | Self::Principals { .. } => false,
        }
    }

    /// Tells whether it names somebody, but not who has to have told a Sigstore authority so.
    pub(super) fn lacks_issuers_for(&self, signer: Signer<'_>) -> bool {
        let issuer = None;
        signer.issuer.is_some() && self.fits(Signer { issuer, ..signer })
    }

    /// Returns the fingerprints by which it names OpenPGP keys.
    pub(super) fn fingerprints(&self) -> impl Iterator<Item = &Fingerprint> {
        let principals = match self {
            Self::Anyone | Self::Identity { .. } => &[][..],
            Self::Principals { principals, .. } => principals,
        };
        principals.iter().flat_map(|it| &it.fingerprints)
    }
}

/// What stands after `allow` or `require`.
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::Identity { identity, by, .. } => match by {
                By::Any => identity.fmt(f),
                By::Store(name) | By::Roots { label: name, .. } => {
                    write!(f, "{identity} by {name}")
                }
            },
            Self::Principals { names, .. } => f.write_str(names),
        }
    }
}

/// Which authority has to vouch.
#[derive(Clone, Debug)]
pub(crate) enum By {
    /// Any that counts.
    Any,
    /// The one that the trust store has under a name.
    Store(String),
    /// Those that the policy itself gave a label.
    Roots {
        label: String,
        selectors: Vec<Selector>,
    },
}

impl By {
    /// Tells whether only authorities that certify everybody may vouch.
    pub(super) fn is_sigstore(&self, trust: &Trust) -> bool {
        let all = trust.authorities().iter();
        let mut all = all.filter(|it| it.kind() == PinKind::Sigstore);
        match self {
            Self::Any => false,
            Self::Store(name) => all.any(|it| it.name() == name),
            Self::Roots { selectors, .. } => (selectors.iter())
                .all(|selector| all.clone().any(|authority| selector.is_of(authority))),
        }
    }

    fn fits(&self, signer: Signer<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::Store(name) => name == signer.authority,
            Self::Roots { selectors, .. } => selectors.iter().any(|selector| match selector {
                Selector::Name(name) => name == signer.authority,
                Selector::Spki(digest) => super::kid_of(digest) == Some(signer.authority_kid),
            }),
        }
    }
}

/// Some of those whom a policy knows, shared by all that list the same names.
pub(super) type Principals = Arc<[Arc<Principal>]>;

/// Somebody whom a policy knows by name.
#[derive(Debug)]
pub(super) struct Principal {
    pub(super) name: Box<str>,
    pub(super) kind: Kind,
    /// `None` when the keys alone say who it is.
    pub(super) identities: Option<Vec<Pattern>>,
    pub(super) except: Vec<Pattern>,
    /// Who has to have told a Sigstore authority who it is.
    pub(super) told: Told,
    /// Keys that sign, or that vouch for those that do.
    pub(super) keys: Vec<KeyId>,
    /// OpenPGP keys of the trust store. Where neither is listed, any key may sign.
    pub(super) fingerprints: Vec<Fingerprint>,
    pub(super) emails: Vec<Glob>,
    pub(super) by: By,
}

impl Principal {
    /// Tells whether a signer is the one human that it names, by an identity or a key of theirs. Behind
    /// a pattern, and behind a CA, there may be many.
    fn is_person(&self, signer: Signer<'_>) -> bool {
        let mut identities = self.identities.iter().flatten();
        let is_own = |kid: &KeyId| {
            let is_primary = signer.fingerprints.is_some() && *kid == signer.authority_kid;
            *kid == signer.kid || is_primary
        };
        let is_one = self.has_fingerprint(signer)
            || identities.any(|it| it.is_literal() && it.matches(signer.identity))
            || self.keys.iter().any(is_own);
        self.kind == Kind::Human && is_one && self.fits(signer)
    }

    fn has_fingerprint(&self, signer: Signer<'_>) -> bool {
        let mut own = signer.fingerprints.into_iter().flatten();
        own.any(|fingerprint| self.fingerprints.contains(fingerprint))
    }

    pub(super) fn fits(&self, signer: Signer<'_>) -> bool {
        let matches = |pattern: &Pattern| pattern.matches(signer.identity);
        let takes_any = self.keys.is_empty() && self.fingerprints.is_empty();
        let has_key = || {
            let mut keys = self.keys.iter();
            keys.any(|kid| *kid == signer.kid || *kid == signer.authority_kid)
        };
        self.by.fits(signer)
            && (self.identities.as_ref()).is_none_or(|all| all.iter().any(matches))
            && !self.except.iter().any(matches)
            && (takes_any || has_key() || self.has_fingerprint(signer))
            && self.told.fits(signer)
    }
}

/// Who has to have told a Sigstore authority who it is. There an identity is as good as whoever
/// told it; elsewhere nobody did.
#[derive(Clone, Debug)]
pub(super) enum Told {
    /// Nobody: a Sigstore authority does not vouch for it.
    ByNobody,
    /// Whoever, or nobody: for rules that ask for more.
    Whatever,
    /// One of these.
    By(Vec<Pattern>),
}

impl Told {
    fn fits(&self, signer: Signer<'_>) -> bool {
        match (self, signer.issuer) {
            (Self::Whatever, _) | (Self::ByNobody, None) => true,
            (Self::By(issuers), Some(issuer)) => issuers.iter().any(|it| it.matches(issuer)),
            (Self::ByNobody, Some(_)) | (Self::By(_), None) => false,
        }
    }
}

/// What a principal is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    Agent,
    Human,
    Bot,
    WebFlow,
}

impl Kind {
    /// Returns the kind whose name stands for all principals of it.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "agent" => Some(Self::Agent),
            "human" => Some(Self::Human),
            "bot" => Some(Self::Bot),
            "web-flow" => Some(Self::WebFlow),
            _ => None,
        }
    }
}
