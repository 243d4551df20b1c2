//! An SSH signature on a git object, and whose it is.

use std::sync::Arc;

use notme_core::{
    armor::SignatureFormat,
    key::sha256,
    ssh::{
        Certificate, Key, KeyType, Prehash, PublicKey, SshSig,
        certificate::{Role, Unauthorised},
        sshsig::SshSigError,
    },
    time::UnixTime,
};

use super::listed::{BEGINNING, ListedKey, NEVER, certified_identity};
use crate::{
    anchor::{Anchor, Anchors, Root},
    evidence::{Binding, Claimed, Established, Unproven},
    refusal::Refusal,
    report::escape,
    standing::{Facts, Issuer, Standing, Vouched},
    standings::Standings,
    verdict::Code,
};

/// What git objects are signed for.
const NAMESPACE: &str = "git";

/// A signature that holds: it carries its key, so the check was made when it was read.
#[derive(Debug)]
pub(crate) struct Claim {
    signature: SshSig,
    binding: Binding,
}

impl Claim {
    /// Reads a signature and checks it with the key that it carries.
    pub(crate) fn read(payload: &[u8], armored: &[u8]) -> Result<Self, Unproven> {
        let signature = SshSig::from_armor(armored).map_err(|error| unproven(&error, None))?;
        let message = Prehash::of(signature.hash(), payload);
        if let Err(error) = signature.verify(NAMESPACE, &message) {
            return Err(unproven(&error, Some(claimed(signature.key()))));
        }
        let digest = signature
            .key()
            .certificate()
            .and_then(Certificate::payload_digest);
        let binding = match digest {
            None => Binding::Free,
            Some(digest) if digest == sha256(payload) => Binding::Bound,
            Some(_) => Binding::Elsewhere,
        };
        Ok(Self { signature, binding })
    }

    /// Finds who vouches for the key: of several lines that list it for some time each, the first
    /// whose time the object says it is of.
    pub(crate) fn establish(
        &self,
        (anchors, standings): (&Anchors, &Standings),
        declared: Option<UnixTime>,
    ) -> Established {
        let key = self.signature.key();
        let mut standing = standings.get_or_find(sha256(key.blob()), || standing(key, anchors));
        if let Some(at) = declared.filter(|at| !holds_at(&standing, *at))
            && let Some((place, (anchor, line))) = anchors.line_at(key, at)
        {
            let name = [key.blob(), &place.to_be_bytes()].concat();
            standing = standings.get_or_find(sha256(&name), || by_line(key, anchor, line, anchors));
        }
        let claimed = standing
            .identity()
            .is_none()
            .then(|| Box::new(claimed(key)));
        Established {
            format: Some(SignatureFormat::Ssh),
            standing,
            claimed,
            binding: self.binding,
            signing_time: None,
            time_stamp: None,
            log_entry: None,
            begins: None,
            ends: None,
        }
    }
}

/// Tells whether what vouches for a key does so at some time; where nothing does, no time helps.
fn holds_at(standing: &Standing, at: UnixTime) -> bool {
    let (_, vouched, _) = standing.parts();
    vouched.is_none_or(|by| (by.issuers_from..=by.issuers_until).contains(&at))
}

fn standing(key: &Key, anchors: &Anchors) -> Standing {
    let authority = key.certificate().and_then(|certificate| {
        let mut authorities = anchors.of_ssh();
        let (anchor, _) = authorities.find(|(_, key)| *key == certificate.authority())?;
        Some((anchor, certificate))
    });
    if let Some((anchor, certificate)) = authority {
        return by_authority(certificate, anchor, anchors);
    }
    // Lines for other uses stop nothing: a later one may list the key for git.
    let lines: Vec<_> = anchors
        .listed()
        .filter(|(_, line)| line.lists(key))
        .collect();
    let line = lines
        .iter()
        .find(|(_, line)| line.entry().allows_namespace(NAMESPACE))
        .or(lines.first());
    match line {
        Some((anchor, line)) => by_line(key, anchor, line, anchors),
        None => {
            let authority = key.certificate().map(Certificate::authority);
            let absence = anchors
                .absence_of(|root| matches!(root, Root::Ssh(root) if authority == Some(root)));
            Standing::new(facts(key), None, Some(absence))
        }
    }
}

fn by_authority(certificate: &Certificate, anchor: &Arc<Anchor>, anchors: &Anchors) -> Standing {
    let identity = certified_identity(certificate);
    let refusal = check_certificate(certificate)
        .and_then(|()| match identity {
            Some(_) => Ok(()),
            None => Err(Code::IdentityMissing.into()),
        })
        .and_then(|()| check_scopes(certificate, anchor))
        .err();
    let vouched = Vouched {
        identity: identity.map(|identity| anchors.intern(identity)),
        issuer: None,
        issuers_from: BEGINNING,
        issuers_until: NEVER,
        issuers: Issuer::root_of(anchor),
        anchor: Arc::clone(anchor),
    };
    Standing::new(of_certificate(certificate), Some(vouched), refusal)
}

fn by_line(key: &Key, anchor: &Arc<Anchor>, line: &ListedKey, anchors: &Anchors) -> Standing {
    let identity = line.identity(key);
    let certificate = key.certificate().map_or(Ok(()), check_certificate);
    let refusal = certificate
        .and_then(|()| match line.entry().allows_namespace(NAMESPACE) {
            true => Ok(()),
            false => Err(Refusal::new(
                Code::ScopeMissing,
                "the key is listed for other uses than git",
            )),
        })
        .and_then(|()| match identity {
            Some(_) => Ok(()),
            None => Err(nobody(key, line)),
        })
        .err();
    let vouched = Vouched {
        identity: identity.map(|identity| anchors.intern(&identity)),
        issuer: None,
        issuers_from: line.from(),
        issuers_until: line.until(),
        issuers: Issuer::root_of(anchor),
        anchor: Arc::clone(anchor),
    };
    Standing::new(facts(key), Some(vouched), refusal)
}

/// Says why a line names nobody for a key.
fn nobody(key: &Key, line: &ListedKey) -> Refusal {
    let Some(certificate) = key.certificate() else {
        return Code::IdentityMissing.into();
    };
    let names = certificate.principals();
    let more = match names.len() {
        0..=NAMES_SHOWN => "",
        _ => " and others",
    };
    let names: Vec<_> = names
        .iter()
        .take(NAMES_SHOWN)
        .map(|it| escape(it))
        .collect();
    let detail = format!(
        "the line for this CA allows `{}`, the certificate names `{}`{more}",
        escape(line.principals()),
        names.join("`, `")
    );
    Refusal::new(Code::IdentityMissing, detail)
}

/// How many names of a certificate are told.
const NAMES_SHOWN: usize = 3;

/// Checks what does not depend on a time. Unlike ssh-keygen we take critical options seriously:
/// whoever wrote one meant that it be understood.
fn check_certificate(certificate: &Certificate) -> Result<(), Refusal> {
    if certificate.role() != Role::User {
        let detail = Unauthorised::NotAUser.to_string();
        return Err(Refusal::new(Code::CertificateInvalid, detail));
    }
    if let Some(option) = certificate.critical_options().first() {
        let detail = format!("critical option {option}");
        return Err(Refusal::new(Code::CertificateUnknownCritical, detail));
    }
    if certificate.principals().is_empty() {
        let detail = Unauthorised::NoPrincipals.to_string();
        return Err(Refusal::new(Code::IdentityMissing, detail));
    }
    Ok(())
}

fn check_scopes(certificate: &Certificate, anchor: &Anchor) -> Result<(), Refusal> {
    let (held, wanted) = (certificate.scopes(), &anchor.scopes);
    if wanted.is_empty() || held.iter().any(|scope| wanted.contains(scope)) {
        return Ok(());
    }
    let detail = format!("needs one of: {}", wanted.join(", "));
    Err(Refusal::new(Code::ScopeMissing, detail))
}

fn facts(key: &Key) -> Facts {
    match key.certificate() {
        Some(certificate) => of_certificate(certificate),
        None => Facts {
            is_certified: false,
            algorithm: Some(algorithm(key.public_key())),
            ..Facts::new(key.public_key().kid(), &[], BEGINNING, NEVER)
        },
    }
}

fn of_certificate(certificate: &Certificate) -> Facts {
    let kid = certificate.public_key().kid();
    let serial = certificate.serial().to_be_bytes();
    let zeros = serial.iter().take_while(|byte| **byte == 0).count();
    // OpenSSH's end is the first second after.
    let last = certificate.valid_before().saturating_sub(1);
    Facts {
        issued_at: certificate.issued_at(),
        epoch: certificate.epoch(),
        session: certificate.session(),
        payload_sha256: certificate.payload_digest(),
        terms: certificate.terms().cloned().map(Box::new),
        algorithm: Some(algorithm(certificate.public_key())),
        ..Facts::new(
            kid,
            serial.get(zeros..).unwrap_or_default(),
            time(certificate.valid_after()),
            time(last),
        )
    }
}

fn algorithm(key: &PublicKey) -> &'static str {
    match key.key_type() {
        KeyType::Ed25519 => "ed25519",
        KeyType::EcdsaP256 => "p256",
        KeyType::EcdsaP384 => "p384",
        KeyType::EcdsaP521 => "p521",
        KeyType::Rsa => "rsa",
        KeyType::SkEd25519 => "sk-ed25519",
        KeyType::SkEcdsaP256 => "sk-p256",
    }
}

fn time(secs: u64) -> UnixTime {
    i64::try_from(secs).map_or(NEVER, |secs| UnixTime::from_secs(secs).min(NEVER))
}

fn claimed(key: &Key) -> Claimed {
    let public = key.public_key();
    let name = match key.certificate() {
        Some(certificate) => certificate.key_id().to_owned(),
        None => public.fingerprint(),
    };
    Claimed {
        kid: Some(public.kid()),
        name: name.into(),
    }
}

fn unproven(error: &SshSigError, claimed: Option<Claimed>) -> Unproven {
    // Every code of the reader is one of ours, which a test holds it to.
    let code = Code::named(error.code()).unwrap_or(Code::SignatureMalformed);
    Unproven {
        refusal: Refusal::new(code, error.to_string()),
        format: Some(SignatureFormat::Ssh),
        claimed,
    }
}

impl Anchors {
    /// Returns the keys with which authorities sign SSH certificates.
    fn of_ssh(&self) -> impl Iterator<Item = (&Arc<Anchor>, &PublicKey)> {
        self.iter().filter_map(|anchor| match &anchor.root {
            Root::Ssh(key) => Some((anchor, key)),
            Root::X509(_) | Root::OpenPgp(_) | Root::Person(_) | Root::Listed(_) => None,
        })
    }

    /// Returns the first line that lists a key for git at some time, and which it is.
    fn line_at(&self, key: &Key, at: UnixTime) -> Option<(usize, (&Arc<Anchor>, &ListedKey))> {
        self.listed().enumerate().find(|(_, (_, line))| {
            line.lists(key)
                && line.entry().allows_namespace(NAMESPACE)
                && (line.from()..=line.until()).contains(&at)
        })
    }

    /// Returns the lines of pinned files of allowed signers.
    fn listed(&self) -> impl Iterator<Item = (&Arc<Anchor>, &ListedKey)> {
        self.iter().filter_map(|anchor| match &anchor.root {
            Root::Listed(line) => Some((anchor, &**line)),
            Root::X509(_) | Root::OpenPgp(_) | Root::Person(_) | Root::Ssh(_) => None,
        })
    }
}
