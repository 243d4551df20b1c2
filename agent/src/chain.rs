//! Certificates as an authority returns them, and the checks they must pass before use.

use notme_core::{
    certificate::{Certificate, CertificateError, ChainError},
    identity::Identity,
    key::PublicKey,
    openpgp::OpenPgpError,
    ssh::key::KeyReadError,
    time::UnixTime,
};

/// A leaf and the intermediates below the root.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    leaf: Certificate,
    intermediates: Vec<Certificate>,
}

impl Chain {
    /// Parses PEM: the leaf first, each followed by its issuer, without the root.
    ///
    /// # Errors
    /// [`ChainCheckError::Malformed`] and [`ChainCheckError::Length`].
    pub(crate) fn from_pem(text: &str) -> Result<Self, ChainCheckError> {
        let mut certificates = Certificate::pem_bundle(text)?.into_iter();
        let leaf = certificates.next().ok_or(ChainCheckError::Length)?;
        let intermediates: Vec<_> = certificates.collect();
        if intermediates.len() > INTERMEDIATES_LIMIT {
            return Err(ChainCheckError::Length);
        }
        Ok(Self {
            leaf,
            intermediates,
        })
    }

    /// Returns the leaf.
    pub(crate) fn leaf(&self) -> &Certificate {
        &self.leaf
    }

    /// Returns the intermediates, the leaf's issuer first.
    pub(crate) fn intermediates(&self) -> &[Certificate] {
        &self.intermediates
    }

    /// Checks that the certificate is the one we should have got.
    ///
    /// # Errors
    /// [`ChainCheckError`] naming what is wrong.
    pub(crate) fn check(&self, expected: &Expected<'_>) -> Result<(), ChainCheckError> {
        if self.leaf.public_key() != expected.key {
            return Err(ChainCheckError::Key);
        }
        if self.leaf.identity()? != *expected.identity {
            return Err(ChainCheckError::Identity);
        }
        if self.leaf.is_ca() || !self.leaf.has_digital_signature() {
            return Err(ChainCheckError::Use);
        }
        check_window(
            (self.leaf.not_before(), self.leaf.not_after()),
            expected.now,
        )?;
        self.check_issuers(expected.roots, expected.now)
    }

    fn check_issuers(&self, roots: &[Certificate], now: UnixTime) -> Result<(), ChainCheckError> {
        let mut subject = &self.leaf;
        for (below, issuer) in (0..).zip(&self.intermediates) {
            check_issuer(subject, issuer, below, now)?;
            subject = issuer;
        }
        let below = u8::try_from(self.intermediates.len()).unwrap_or(u8::MAX);
        // Roots may share a name, so a failure with one says nothing about the next.
        let mut result = Err(ChainCheckError::NotPinned);
        for root in roots {
            match check_issuer(subject, root, below, now) {
                Ok(()) => return Ok(()),
                Err(ChainCheckError::Issuer(ChainError::Name)) => {}
                Err(error) => result = Err(error),
            }
        }
        result
    }
}

/// What a certificate has to say.
pub(crate) struct Expected<'a> {
    /// The key it was asked for.
    pub(crate) key: &'a PublicKey,
    /// The identity of the session.
    pub(crate) identity: &'a Identity,
    /// The pinned roots.
    pub(crate) roots: &'a [Certificate],
    /// Our time.
    pub(crate) now: UnixTime,
}

/// An authority returned a certificate that we cannot use.
#[derive(Debug, thiserror::Error)]
pub enum ChainCheckError {
    /// Not a certificate, or one without an identity.
    #[error("the certificate cannot be read: {0}")]
    Malformed(#[from] CertificateError),
    /// Not an OpenSSH certificate.
    #[error("the SSH certificate cannot be read: {0}")]
    Ssh(#[from] KeyReadError),
    /// Not an OpenPGP certification.
    #[error("the OpenPGP certification cannot be read: {0}")]
    OpenPgp(#[from] OpenPgpError),
    /// None at all, or a chain longer than four.
    #[error("the chain is empty or too long")]
    Length,
    /// Somebody else's key.
    #[error("the certificate is for another key than ours")]
    Key,
    /// Another identity than the session's.
    #[error("the certificate carries another identity than the answer")]
    Identity,
    /// A CA, or not for signatures.
    #[error("the certificate is not one to sign with")]
    Use,
    /// `expires_at` contradicts the certificate.
    #[error("the certificate ends at another time than the answer says")]
    ExpiresAt,
    /// It was not issued for this payload.
    #[error("the certificate was issued for another payload")]
    Payload,
    /// It carries other terms than were asked for, or none, or lives longer than they do.
    #[error("the certificate does not carry the terms that were asked for")]
    Terms,
    /// It was granted no scope to sign git objects.
    #[error("the certificate does not allow signing git objects")]
    Scope,
    /// Fresh, but not valid yet by our clock.
    #[error(
        "this machine's clock is behind the authority's: a fresh certificate begins in {seconds} s"
    )]
    ClockBehind {
        /// By how much at least.
        seconds: u64,
    },
    /// Fresh, but expired by our clock.
    #[error(
        "this machine's clock is ahead of the authority's: a fresh certificate ended {seconds} s ago"
    )]
    ClockAhead {
        /// By how much at least.
        seconds: u64,
    },
    /// A link of the chain does not hold.
    #[error("the certificate's chain does not hold: {0}")]
    Issuer(#[from] ChainError),
    /// An intermediate or root is out of its time, or issues deeper than it may.
    #[error("an issuing certificate is out of date or may not issue this one")]
    IssuerLimits,
    /// The chain ends at no root that is pinned.
    #[error("the authority is not the one that is pinned")]
    NotPinned,
}

impl ChainCheckError {
    /// Returns the code of the closed list.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ClockBehind { .. } | Self::ClockAhead { .. } => "clock-skew",
            Self::NotPinned => "authority-not-pinned",
            Self::Scope => "scope-missing",
            Self::Malformed(_)
            | Self::Ssh(_)
            | Self::OpenPgp(_)
            | Self::Length
            | Self::Key
            | Self::Identity
            | Self::Use
            | Self::ExpiresAt
            | Self::Payload
            | Self::Terms
            | Self::Issuer(_)
            | Self::IssuerLimits => "authority-answer-invalid",
        }
    }
}

/// How far our clock and the authority's may be apart, in seconds.
pub(crate) const SKEW: i64 = 60;
const INTERMEDIATES_LIMIT: usize = 3;

/// Checks that a fresh certificate's first and last second lie around our time, or nearly.
///
/// # Errors
/// [`ChainCheckError::ClockBehind`] and [`ChainCheckError::ClockAhead`].
pub(crate) fn check_window(
    (first, last): (UnixTime, UnixTime),
    now: UnixTime,
) -> Result<(), ChainCheckError> {
    if now.plus(SKEW) < first {
        return Err(ChainCheckError::ClockBehind {
            seconds: first.secs().abs_diff(now.secs()),
        });
    }
    if last.plus(SKEW) < now {
        return Err(ChainCheckError::ClockAhead {
            seconds: last.secs().abs_diff(now.secs()),
        });
    }
    Ok(())
}

/// Checks that an `expires_at` beside a certificate says what the certificate says.
///
/// # Errors
/// [`ChainCheckError::ExpiresAt`].
pub(crate) fn check_expires_at(
    not_after: UnixTime,
    expires_at: UnixTime,
) -> Result<(), ChainCheckError> {
    if not_after.secs().abs_diff(expires_at.secs()) > 1 {
        return Err(ChainCheckError::ExpiresAt);
    }
    Ok(())
}

/// Checks one link; `below` is the number of CA certificates under the issuer.
fn check_issuer(
    subject: &Certificate,
    issuer: &Certificate,
    below: u8,
    now: UnixTime,
) -> Result<(), ChainCheckError> {
    subject.verify_issued_by(issuer)?;
    let is_current = issuer.is_valid_at(now.plus(SKEW)) || issuer.is_valid_at(now.plus(-SKEW));
    if !is_current || issuer.path_len().is_some_and(|limit| limit < below) {
        return Err(ChainCheckError::IssuerLimits);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use notme_core::{enrol::PairResponse, key::Signer as _};
    use notme_testkit::{
        cast::{LeafSpec, TestAuthority},
        clock::NOW,
        testdata,
    };

    use super::*;

    struct World {
        chain: Chain,
        key: PublicKey,
        identity: Identity,
        roots: Vec<Certificate>,
    }

    impl World {
        fn of(spec: &LeafSpec) -> Self {
            let authority = TestAuthority::new(1);
            let session = authority.leaf(spec);
            let chain = Chain::from_pem(&session.certificate().pem()).unwrap();
            Self {
                key: session.key().public_key().clone(),
                identity: spec.identity.clone(),
                roots: vec![
                    authority.ed25519_root().clone(),
                    authority.p256_root().clone(),
                ],
                chain,
            }
        }

        fn check_at(&self, now: UnixTime) -> Result<(), ChainCheckError> {
            self.chain.check(&Expected {
                key: &self.key,
                identity: &self.identity,
                roots: &self.roots,
                now,
            })
        }
    }

    fn world() -> World {
        World::of(&LeafSpec::default())
    }

    #[test]
    fn accepts_the_certificate_that_was_asked_for() {
        world().check_at(NOW).unwrap();
    }

    /// What the real authority answered, byte for byte.
    #[test]
    fn accepts_a_pair_of_the_hosted_authority() {
        let text = |name: &str| testdata::text(&format!("notme-authority/prod/{name}"));
        let meta: serde_json::Value = serde_json::from_str(&text("gha/meta.json")).unwrap();
        let now = UnixTime::from_secs(meta["harvested_at"].as_i64().unwrap());
        let answer: PairResponse = serde_json::from_str(&text("gha/response.json")).unwrap();
        let chain = Chain::from_pem(&answer.certificates.signing).unwrap();
        check_expires_at(chain.leaf.not_after(), answer.expires_at).unwrap();
        let key = PublicKey::from_spki_pem(&text("gha/signing.spki.pem")).unwrap();
        let check = |ca: &str| {
            chain.check(&Expected {
                key: &key,
                identity: &answer.identity,
                roots: &Certificate::pem_bundle(&text(ca)).unwrap(),
                now,
            })
        };
        check("ca/ca.pem").unwrap();
        check("ca/ca-epoch2.pem").unwrap_err();
    }

    #[test]
    fn tolerates_a_minute_of_skew_and_names_more() {
        let world = world();
        let (start, end) = (world.chain.leaf.not_before(), world.chain.leaf.not_after());
        world.check_at(start.plus(-SKEW)).unwrap();
        let error = world.check_at(start.plus(-SKEW - 1)).unwrap_err();
        assert!(matches!(
            error,
            ChainCheckError::ClockBehind { seconds: 61 }
        ));
        world.check_at(end.plus(SKEW)).unwrap();
        let error = world.check_at(end.plus(SKEW + 1)).unwrap_err();
        assert!(matches!(error, ChainCheckError::ClockAhead { seconds: 61 }));
    }

    #[test]
    fn refuses_another_key() {
        let other = TestAuthority::new(2).ed25519_key().public_key().clone();
        let world = World {
            key: other,
            ..world()
        };
        assert!(matches!(world.check_at(NOW), Err(ChainCheckError::Key)));
    }

    #[test]
    fn refuses_another_identity() {
        let identity = "wimse://other.test/agent/alice/claude".parse().unwrap();
        let world = World {
            identity,
            ..world()
        };
        assert!(matches!(
            world.check_at(NOW),
            Err(ChainCheckError::Identity)
        ));
    }

    #[test]
    fn refuses_an_authority_that_is_not_pinned() {
        let world = World {
            roots: Vec::new(),
            ..world()
        };
        let error = world.check_at(NOW).unwrap_err();
        assert_eq!(error.code(), "authority-not-pinned");
    }

    #[test]
    fn refuses_a_root_of_the_same_name_that_did_not_sign() {
        let roots = vec![TestAuthority::new(2).ed25519_root().clone()];
        let world = World { roots, ..world() };
        let error = world.check_at(NOW).unwrap_err();
        assert_eq!(error.code(), "authority-answer-invalid");
    }

    #[test]
    fn refuses_an_answer_that_contradicts_its_certificate() {
        for near in [-1, 0, 1] {
            check_expires_at(NOW, NOW.plus(near)).unwrap();
        }
        for far in [-2, 2, i64::MAX, i64::MIN] {
            assert!(check_expires_at(NOW, NOW.plus(far)).is_err());
        }
    }

    #[test]
    fn refuses_no_certificate_and_too_many() {
        assert!(matches!(
            Chain::from_pem(""),
            Err(ChainCheckError::Malformed(_) | ChainCheckError::Length)
        ));
        let pem = world().chain.leaf.pem().repeat(5);
        assert!(matches!(
            Chain::from_pem(&pem),
            Err(ChainCheckError::Length)
        ));
    }
}
