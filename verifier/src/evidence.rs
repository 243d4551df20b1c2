//! Steps 1 and 2: from bytes to evidence.

use std::sync::Arc;

use notme_core::{
    armor::{SignatureFormat, dearmor},
    certificate::Certificate,
    cms::SignedMessage,
    dsse::{Envelope, pae},
    key::{Hash, KeyId, sha256},
    object::{self, HashKind, Ident, ObjectKind, Payload},
    time::UnixTime,
};

use crate::{
    anchor::Anchors,
    log_entry::LogEntry,
    openpgp,
    refusal::{Refusal, with_causes},
    ssh,
    standing::{Purpose, Standing},
    standings::Standings,
    time_stamp::TimeStamp,
    verdict::Code,
};

/// A signed object whose signature was read and, where it carries its certificate, checked with
/// it. Whose it is, and when it was made, is not known yet.
#[derive(Debug)]
#[must_use]
pub struct Evidence {
    proof: Proof,
    declared: Option<UnixTime>,
    names: Names,
    unauthenticated: Box<[Box<str>]>,
}

/// What the signed part names that a policy may ask about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// The committer's or tagger's address.
    pub(crate) email: Option<Box<str>>,
    /// What a tag calls itself.
    pub(crate) tag: Option<Box<str>>,
}

impl Names {
    fn new(person: Option<Ident<'_>>, tag: Option<&[u8]>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into();
        Self {
            email: person.map(|person| text(person.email())),
            tag: tag.map(text),
        }
    }
}

/// What the signed part of an object says.
type Said = (Option<UnixTime>, Names);

/// What stands for the signer, in each format.
#[derive(Debug)]
enum Proof {
    /// The message carries the certificate, and the check was made.
    Cms(SignedMessage, Binding),
    /// The envelope came with the certificate, the leaf first, and the check was made.
    Dsse(Box<Enveloped>),
    /// The key may be in the trust store: the check is made when it is found.
    OpenPgp(Box<openpgp::Claim>),
    /// The message carries the key or its certificate, and the check was made.
    Ssh(Box<ssh::Claim>),
}

/// What came with an envelope.
#[derive(Debug)]
struct Enveloped {
    certificates: Vec<Certificate>,
    signature: Vec<u8>,
    time_stamps: Vec<Vec<u8>>,
    binding: Binding,
}

/// A signature that holds, and the standing of the key that made it.
#[derive(Debug)]
pub(crate) struct Established {
    /// Absent for an envelope, which is not in a format that git knows.
    pub(crate) format: Option<SignatureFormat>,
    pub(crate) standing: Arc<Standing>,
    /// What an untrusted certificate claims, for messages.
    pub(crate) claimed: Option<Box<Claimed>>,
    pub(crate) binding: Binding,
    pub(crate) signing_time: Option<UnixTime>,
    pub(crate) time_stamp: Option<TimeStamp>,
    pub(crate) log_entry: Option<Box<LogEntry>>,
    /// When the signature itself begins, if it says so in a way that counts.
    pub(crate) begins: Option<UnixTime>,
    /// When the signature itself ends, if it says so.
    pub(crate) ends: Option<UnixTime>,
}

/// How the certificate and the payload go together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Binding {
    /// The certificate names no payload.
    Free,
    /// It names this payload.
    Bound,
    /// It names another.
    Elsewhere,
}

impl Binding {
    fn of(signer: &Certificate, payload: &[u8]) -> Self {
        match signer.payload_digest() {
            None => Self::Free,
            Some(digest) if digest == sha256(payload) => Self::Bound,
            Some(_) => Self::Elsewhere,
        }
    }
}

impl Evidence {
    /// Splits a raw object, reads its signature and checks it.
    ///
    /// # Errors
    /// [`Unproven`] with the code of the first step that failed.
    pub fn from_object(kind: ObjectKind, raw: &[u8], hash: HashKind) -> Result<Self, Unproven> {
        Self::from_linked_object(kind, raw, hash, |_| true)
    }

    /// As [`Self::from_object`], and asks whether the parents or the target that the signed part
    /// names are those that others read from the whole object. The split sees to that already;
    /// this sees to it that it still does when somebody reads differently.
    pub(crate) fn from_linked_object(
        kind: ObjectKind,
        raw: &[u8],
        hash: HashKind,
        leads_to: impl Fn(&[&str]) -> bool,
    ) -> Result<Self, Unproven> {
        let object = object::split(kind, raw, hash).map_err(|e| refused(e.code(), &e))?;
        let Some(signature) = object.signature() else {
            return Err(Unproven::from(Refusal::from(Code::Unsigned)));
        };
        let mut is_linked = true;
        let mut evidence = Self::read(object.payload(), signature, |payload| match kind {
            ObjectKind::Commit => {
                let commit = object::parse_commit(payload)?;
                is_linked = leads_to(commit.parents());
                let names = Names::new(Some(commit.committer()), None);
                Ok((Some(commit.committer_time()), names))
            }
            ObjectKind::Tag => {
                let tag = object::parse_tag(payload)?;
                is_linked = leads_to(&[tag.target()]);
                let names = Names::new(tag.tagger(), Some(tag.name()));
                Ok((tag.tagger().and_then(|tagger| tagger.time()), names))
            }
        })?;
        if !is_linked {
            let detail = "the signed part names other parents than the object";
            return Err(Refusal::new(Code::ObjectMalformed, detail).into());
        }
        evidence.unauthenticated = object
            .extra_headers()
            .iter()
            .map(|name| String::from_utf8_lossy(name).into())
            .collect();
        Ok(evidence)
    }

    /// Reads and checks a signature that came beside its payload, as git hands them to the
    /// program it calls.
    ///
    /// # Errors
    /// [`Unproven`] with the code of the first step that failed.
    pub fn from_detached(payload: &[u8], signature: &[u8]) -> Result<Self, Unproven> {
        Self::read(payload, signature, |payload| {
            Ok(match object::classify(payload)? {
                Payload::Commit(commit) => (Some(commit.committer_time()), Names::default()),
                Payload::Tag(tag) => {
                    let made = tag.tagger().and_then(|tagger| tagger.time());
                    (made, Names::new(None, Some(tag.name())))
                }
                Payload::PushCertificate(push) => (Some(push.pushed_at()), Names::default()),
            })
        })
    }

    /// Checks the signature of an envelope with the first of the certificates that came with it.
    /// The time stamps are RFC 3161 tokens over the signature; `declared` is the time that the payload says of itself.
    ///
    /// # Errors
    /// [`Unproven`]: `signature-ambiguous` unless there is exactly one signature,
    /// `certificate-invalid` without a certificate, `signature-invalid` when it does not hold.
    pub fn from_envelope(
        envelope: &Envelope,
        certificates: Vec<Certificate>,
        time_stamps: Vec<Vec<u8>>,
        declared: Option<UnixTime>,
    ) -> Result<Self, Unproven> {
        let Some((keyid, signature)) = envelope.only_signature() else {
            return Err(Refusal::from(Code::SignatureAmbiguous).into());
        };
        let Some(leaf) = certificates.first() else {
            let detail = "the envelope came without a certificate";
            return Err(Refusal::new(Code::CertificateInvalid, detail).into());
        };
        let refused = |detail: &str| Unproven {
            claimed: Some(Claimed::by(leaf)),
            ..Refusal::new(Code::SignatureInvalid, detail).into()
        };
        if !keyid.is_empty() && keyid != leaf.kid().to_string() {
            return Err(refused(
                "the envelope names another key than the certificate's",
            ));
        }
        let message = pae(envelope.payload_type(), envelope.payload());
        if leaf
            .public_key()
            .verify(Hash::Sha256, &message, signature)
            .is_err()
        {
            return Err(refused("it does not hold with the certificate's key"));
        }
        let binding = Binding::of(leaf, &message);
        Ok(Self {
            proof: Proof::Dsse(Box::new(Enveloped {
                signature: signature.to_vec(),
                certificates,
                time_stamps,
                binding,
            })),
            declared,
            names: Names::default(),
            unauthenticated: Box::default(),
        })
    }

    fn read(
        payload: &[u8],
        signature: &[u8],
        said: impl FnOnce(&[u8]) -> Result<Said, object::ObjectError>,
    ) -> Result<Self, Unproven> {
        let Some(format) = SignatureFormat::detect(signature) else {
            return Err(Refusal::from(Code::SignatureUnknownFormat).into());
        };
        let of_format = |unproven: Unproven| Unproven {
            format: Some(format),
            ..unproven
        };
        let (declared, names) = said(payload).map_err(|e| of_format(refused(e.code(), &e)))?;
        let proof = match format {
            SignatureFormat::Cms => Self::read_cms(payload, signature)?,
            SignatureFormat::OpenPgp => {
                Proof::OpenPgp(Box::new(openpgp::Claim::read(payload, signature)?))
            }
            SignatureFormat::Ssh => Proof::Ssh(Box::new(ssh::Claim::read(payload, signature)?)),
        };
        Ok(Self {
            proof,
            declared,
            names,
            unauthenticated: Box::default(),
        })
    }

    fn read_cms(payload: &[u8], signature: &[u8]) -> Result<Proof, Unproven> {
        let der = dearmor(signature).map_err(|e| refused(e.code(), &e).of_cms(None))?;
        let message = SignedMessage::parse(&der).map_err(|e| {
            let refusal = Refusal::new(code_of(e.code()), with_causes(&e));
            Unproven::from(refusal).of_cms(None)
        })?;
        if let Err(error) = message.verify(payload) {
            return Err(refused(error.code(), &error).of_cms(Some(message.signer())));
        }
        let binding = Binding::of(message.signer(), payload);
        Ok(Proof::Cms(message, binding))
    }

    /// Finds who signed: the standing of the certificate, or the key in the trust store that the
    /// signature has to hold with.
    pub(crate) fn establish(
        &self,
        anchors: &Anchors,
        standings: &Standings,
    ) -> Result<Established, Unproven> {
        let (message, binding) = match &self.proof {
            Proof::Cms(message, binding) => (message, *binding),
            Proof::Dsse(it) => {
                let Some((leaf, others)) = it.certificates.split_first() else {
                    return Err(Refusal::from(Code::CertificateInvalid).into());
                };
                // Not kept: such a certificate was issued for this envelope alone.
                let standing = Standing::find(leaf, others, anchors, Purpose::Statement);
                let tokens = it.time_stamps.iter().map(Vec::as_slice);
                let vouched = standing.vouched().ok();
                return Ok(Established {
                    format: None,
                    claimed: Claimed::unless_vouched(&standing, leaf),
                    time_stamp: vouched
                        .and_then(|by| TimeStamp::of(tokens, &it.signature, &by.anchor)),
                    log_entry: None,
                    standing: Arc::new(standing),
                    binding: it.binding,
                    signing_time: None,
                    begins: None,
                    ends: None,
                });
            }
            Proof::OpenPgp(claim) => return claim.establish(anchors, standings),
            Proof::Ssh(claim) => return Ok(claim.establish((anchors, standings), self.declared())),
        };
        // What else the message carries: perhaps certificates between leaf and root.
        let others = message.certificates().get(1..).unwrap_or_default();
        let standing = standings.of(message.signer(), others, anchors);
        // What nobody vouches for is refused before anybody asks when it was made.
        let vouched = standing.vouched().ok();
        let time_stamp = vouched
            .and_then(|it| TimeStamp::of(message.time_stamps(), message.signature(), &it.anchor));
        let log_entry = vouched.and_then(|it| LogEntry::of(message, &it.anchor));
        let log_entry = log_entry.map(Box::new);
        Ok(Established {
            format: Some(SignatureFormat::Cms),
            claimed: Claimed::unless_vouched(&standing, message.signer()),
            time_stamp,
            log_entry,
            standing,
            binding,
            signing_time: message.signing_time(),
            begins: None,
            ends: None,
        })
    }

    /// Returns the committer or tagger date.
    pub(crate) fn declared(&self) -> Option<UnixTime> {
        self.declared
    }

    /// Returns what the signed part names.
    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// Returns the names of signature headers that no signature covers.
    pub(crate) fn unauthenticated_headers(&self) -> &[Box<str>] {
        &self.unauthenticated
    }
}

/// An object for which there is no evidence.
#[derive(Clone, Debug)]
pub struct Unproven {
    pub(crate) refusal: Refusal,
    pub(crate) format: Option<SignatureFormat>,
    pub(crate) claimed: Option<Claimed>,
}

/// What a certificate or a signature says that nothing stands behind. For messages about a bad
/// signature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claimed {
    /// The id of the key in the certificate; a signature alone may name its key otherwise.
    pub kid: Option<KeyId>,
    /// The certificate's subject, or its identity when it has one, or what the signature calls its
    /// key; unescaped.
    pub name: Box<str>,
}

impl Claimed {
    fn unless_vouched(standing: &Standing, certificate: &Certificate) -> Option<Box<Self>> {
        match standing.identity() {
            Some(_) => None,
            None => Some(Box::new(Self::by(certificate))),
        }
    }

    pub(crate) fn by(certificate: &Certificate) -> Self {
        let name = match certificate.identity() {
            Ok(identity) => identity.as_str().to_owned(),
            Err(_) => certificate.subject_text(),
        };
        Self {
            kid: Some(certificate.kid()),
            name: name.into(),
        }
    }
}

impl Unproven {
    fn of_cms(mut self, signer: Option<&Certificate>) -> Self {
        self.format = Some(SignatureFormat::Cms);
        self.claimed = signer.map(Claimed::by);
        self
    }
}

impl From<Refusal> for Unproven {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            format: None,
            claimed: None,
        }
    }
}

/// Keeps what a refusing reader said.
fn refused(code: &str, error: &dyn std::error::Error) -> Unproven {
    Refusal::new(code_of(code), error.to_string()).into()
}

/// Every code of the readers is one of ours, which a test holds them to; a new one would be
/// malformed until it is listed.
fn code_of(code: &str) -> Code {
    Code::named(code).unwrap_or(Code::SignatureMalformed)
}

#[cfg(test)]
mod tests {
    use notme_testkit::{
        cast::{LeafSpec, TestAuthority},
        clock::NOW,
        commit::CommitSpec,
    };

    use super::*;

    /// The split refuses every object that is known to be read in two ways, so only somebody who
    /// reads in a third shows that this would be seen.
    #[test]
    fn other_parents_than_the_signed_ones_are_malformed() {
        let parent = "b".repeat(40);
        let payload = CommitSpec {
            parents: vec![parent.clone()],
            ..CommitSpec::new(&"a".repeat(40))
        }
        .payload();
        let leaf = TestAuthority::new(1).leaf(&LeafSpec::bound_to(&payload));
        let raw = leaf.sign_commit(&payload, NOW);
        let linked = |others: &[&str]| {
            let leads_to = |named: &[&str]| named == others;
            Evidence::from_linked_object(ObjectKind::Commit, &raw, HashKind::Sha1, leads_to)
                .map_err(|unproven| unproven.refusal.code)
        };
        assert!(linked(&[&parent]).is_ok());
        let other = "c".repeat(40);
        for others in [&[][..], &[other.as_str()], &[&parent, &other]] {
            assert_eq!(linked(others).err(), Some(Code::ObjectMalformed));
        }
    }
}
