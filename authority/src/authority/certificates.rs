//! The certificates of a session, in every format.

use notme_core::{
    base64,
    certificate::Certificate,
    enrol::OpenPgpCertification,
    key::{PublicKey, sha256},
    openpgp::{OpenPgpError, SessionSubject, Statement, certify},
    profile::{LeafKind, LeafTemplate, ProfileError, build_leaf},
    ssh::{self, UserCertificate, certificate::PERMIT_PTY},
    time::UnixTime,
};

use super::Authority;
use crate::{
    ca::{BACKDATED, new_serial},
    keys::Keys,
    scope::Scope,
    seal::{SealError, random},
    store::{Issued, IssuedKind, Session, StoreError},
};

/// What certificates of one answer have in common.
pub(super) struct Terms<'a> {
    pub(super) keys: &'a Keys,
    pub(super) now_millis: i64,
    pub(super) not_after: UnixTime,
    /// The only payload they are for.
    pub(super) payload_sha256: Option<[u8; 32]>,
    pub(super) activity: Option<&'a str>,
    /// What else limits them. Without a payload either, they are the certificates of the session.
    pub(super) limits: Option<&'a notme_core::terms::Terms>,
    /// What X.509 certificates show people.
    pub(super) common_name: &'a str,
}

impl Terms<'_> {
    pub(super) fn now(&self) -> UnixTime {
        UnixTime::from_secs(self.now_millis.div_euclid(1000))
    }

    /// Returns the first second: a little ago, and not before the issuing key, made at some time,
    /// was in use.
    fn not_before(&self, made: UnixTime) -> UnixTime {
        self.now().plus(-BACKDATED).max(self.keys.from(made))
    }

    /// Returns the kind in the issuance record, given those of a session and of less.
    fn kind(&self, session: IssuedKind, less: IssuedKind) -> IssuedKind {
        match (self.payload_sha256, self.limits) {
            (None, None) => session,
            (Some(_), _) | (None, Some(_)) => less,
        }
    }

    fn line(&self, kind: IssuedKind, key: &PublicKey, made: &Made<'_>) -> Issued {
        Issued {
            kind,
            serial: made.serial,
            kid: key.kid(),
            certificate_sha256: sha256(made.bytes),
            payload_sha256: self.payload_sha256,
            activity: self.activity.map(str::to_owned),
            issued_at: self.now(),
            not_after: made.not_after,
        }
    }
}

/// A certificate as the issuance record sees it.
struct Made<'a> {
    serial: [u8; 16],
    bytes: &'a [u8],
    not_after: UnixTime,
}

/// A form of X.509 certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum X509 {
    /// The P-256 key, for mutual TLS.
    Mtls,
    /// The Ed25519 key, for signatures.
    Modern,
    /// The P-256 key, for signatures.
    Interop,
}

/// A certificate, and its line in the issuance record.
pub(super) struct Certified<T> {
    pub(super) certificate: T,
    pub(super) line: Issued,
}

impl Authority {
    pub(super) fn x509(
        &self,
        session: &Session,
        terms: &Terms<'_>,
        form: X509,
    ) -> Result<Certified<Certificate>, CertifyError> {
        let (ca, key, leaf) = match form {
            X509::Mtls => (&terms.keys.ed25519, &session.mtls, LeafKind::Mtls),
            X509::Modern => (&terms.keys.ed25519, &session.signing, LeafKind::Signing),
            X509::Interop => (&terms.keys.interop, &session.mtls, LeafKind::Signing),
        };
        let kind = match form {
            X509::Mtls => IssuedKind::Mtls,
            X509::Modern => terms.kind(IssuedKind::Signing, IssuedKind::X509),
            X509::Interop => terms.kind(IssuedKind::Interop, IssuedKind::X509Interop),
        };
        let serial = new_serial()?;
        let certificate = build_leaf(
            &LeafTemplate {
                issuer: ca.certificate(),
                key,
                kind: leaf,
                serial,
                not_before: terms.not_before(ca.certificate().not_before()),
                not_after: terms.not_after.min(ca.certificate().not_after()),
                issued_at_millis: terms.now_millis,
                common_name: terms.common_name,
                subject: &session.principal,
                identity: &session.identity,
                scopes: &session.scopes.names(),
                epoch: terms.keys.epoch,
                auth_method: &session.auth_method,
                binding: session.binding(),
                payload_digest: terms.payload_sha256,
                activity: terms.activity,
                terms: terms.limits,
            },
            ca.key(),
        )?;
        let made = Made {
            serial,
            bytes: certificate.der(),
            not_after: certificate.not_after(),
        };
        Ok(Certified {
            line: terms.line(kind, key, &made),
            certificate,
        })
    }

    pub(super) fn ssh(
        &self,
        session: &Session,
        terms: &Terms<'_>,
    ) -> Result<Certified<ssh::Key>, CertifyError> {
        let ca = &terms.keys.formats.ssh;
        let serial = self.serials.next(self.store.as_ref(), terms.now())?;
        // Without these, who logs in gets no terminal. Tunnels nobody asked for.
        let permits: &[&str] = match session.scopes.contains(Scope::SshLogin) {
            true => &[PERMIT_PTY],
            false => &[],
        };
        let certificate = UserCertificate {
            nonce: random()?,
            key: &session.signing,
            serial,
            identity: &session.identity,
            principals: &[session.identity.as_str(), session.agent.as_str()],
            valid_after: terms.not_before(ca.from()),
            valid_before: terms.not_after.plus(1),
            payload_digest: terms.payload_sha256,
            x509_kid: session.signing.kid(),
            epoch: terms.keys.epoch,
            issued_at: terms.now(),
            scopes: &session.scopes.names(),
            session: session.binding(),
            permits,
            terms: terms.limits,
        }
        .sign(ca.key())?;
        let made = Made {
            serial: u128::from(serial).to_be_bytes(),
            bytes: certificate.blob(),
            not_after: terms.not_after,
        };
        let kind = terms.kind(IssuedKind::SessionSsh, IssuedKind::Ssh);
        Ok(Certified {
            line: terms.line(kind, &session.signing, &made),
            certificate: ssh::Key::Certified(Box::new(certificate)),
        })
    }

    pub(super) fn openpgp(
        &self,
        session: &Session,
        terms: &Terms<'_>,
    ) -> Result<Certified<OpenPgpCertification>, CertifyError> {
        let ca = &terms.keys.formats.openpgp;
        // Backdated like everything else: a signature older than its key is none, and the
        // agent's clock may be behind ours.
        let created = session.started_at.plus(-BACKDATED);
        let serial = new_serial()?;
        let packet = certify(
            &SessionSubject {
                key: &session.signing,
                created,
                agent: &session.agent,
                identity: &session.identity,
            },
            &Statement {
                serial,
                not_before: terms.not_before(ca.from()),
                not_after: terms.not_after,
                issued_at: terms.now(),
                epoch: terms.keys.epoch,
                scopes: &session.scopes.names(),
                session: session.binding(),
                payload_sha256: terms.payload_sha256,
                activity: terms.activity,
                terms: terms.limits,
            },
            ca.certificate(),
            ca.key(),
        )?;
        let made = Made {
            serial,
            bytes: &packet,
            not_after: terms.not_after,
        };
        let kind = terms.kind(IssuedKind::SessionOpenPgp, IssuedKind::OpenPgp);
        Ok(Certified {
            line: terms.line(kind, &session.signing, &made),
            certificate: OpenPgpCertification {
                created,
                certification: base64::encode(&packet),
            },
        })
    }
}

/// A certificate could not be made: our fault.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertifyError {
    #[error(transparent)]
    OpenPgp(#[from] OpenPgpError),
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error(transparent)]
    Random(#[from] SealError),
    #[error(transparent)]
    Ssh(#[from] ssh::certificate::IssueError),
    #[error(transparent)]
    Store(#[from] StoreError),
}
