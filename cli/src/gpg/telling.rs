//! A verdict in the words of gpg.

use notme_core::openpgp::{LongKeyId, Signature};
use notme_signer::{
    TrustLevel,
    openpgp::{ErrorReason, StatusLine},
};
use notme_verifier::{Code, Judgement, Verdict, openpgp::Names, report::escape};

use crate::{
    gnupg::{BAD, ERROR, GOOD},
    gpgsm::{SignerState, state_of},
};

/// What git is told, and what people read.
pub(super) struct Told<'a> {
    judgement: &'a Judgement,
    signature: Option<&'a Signature>,
    user_id: String,
    outcome: Outcome,
}

/// What git and gpg tell apart.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Outcome {
    Good,
    /// It holds, and the signer is not one to accept.
    Untrusted,
    Expired,
    Revoked,
    Bad,
    /// Nobody could look, and why.
    Unchecked(ErrorReason),
}

impl<'a> Told<'a> {
    pub(super) fn of(judgement: &'a Judgement, signature: Option<&'a Signature>) -> Self {
        let user_id = match (names(judgement), judgement.claimed()) {
            (Some(names), _) if judgement.identity().is_some() => names.user_id.to_string(),
            (_, Some(claimed)) => format!("[untrusted] {}", claimed.name),
            (_, None) => "[unknown]".to_owned(),
        };
        Self {
            outcome: outcome(judgement, signature),
            judgement,
            signature,
            user_id,
        }
    }

    pub(super) fn exit(&self) -> u8 {
        match self.outcome {
            Outcome::Good => GOOD,
            Outcome::Untrusted | Outcome::Expired | Outcome::Revoked | Outcome::Bad => BAD,
            Outcome::Unchecked(_) => ERROR,
        }
    }

    pub(super) fn lines(&self) -> Vec<StatusLine<'_>> {
        let user_id = self.user_id.as_str();
        let mut lines = vec![StatusLine::NewSignature];
        let never = StatusLine::Trust(TrustLevel::Never);
        let key = self.key();
        match (self.outcome, key) {
            (Outcome::Good, Some(key)) => {
                lines.push(StatusLine::Good { key, user_id });
                lines.extend(self.valid());
                lines.push(StatusLine::Trust(TrustLevel::Fully));
            }
            (Outcome::Untrusted, Some(key)) => {
                lines.extend([StatusLine::Good { key, user_id }, never]);
            }
            (Outcome::Expired, Some(key)) => {
                lines.extend([StatusLine::ExpiredKey { key, user_id }, never]);
            }
            (Outcome::Revoked, Some(key)) => {
                lines.extend([StatusLine::RevokedKey { key, user_id }, never]);
            }
            (Outcome::Unchecked(reason), key) => {
                let signature = self.signature;
                lines.push(StatusLine::Error { signature, reason });
                if let (ErrorReason::NoPublicKey, Some(key)) = (reason, key) {
                    lines.push(StatusLine::NoPublicKey { key });
                }
                lines.push(StatusLine::Trust(TrustLevel::Undefined));
            }
            (Outcome::Bad, key) => lines.extend([StatusLine::Bad { key, user_id }, never]),
            // A signature that holds has a key; should it not, nobody is told that it holds.
            (_, None) => lines = unreadable(self.signature).to_vec(),
        }
        lines
    }

    /// What people read, in gpg's shape since tools look for it.
    pub(super) fn words(&self) -> String {
        let mut text = String::new();
        if let Some(signature) = self.signature {
            let made = signature.created().to_string();
            let made = made.replace('T', " ").replace('Z', " UTC");
            text.push_str(&format!("gpg: Signature made {made}\n"));
            let fingerprint = signature
                .issuer_fingerprints()
                .first()
                .map(ToString::to_string);
            let key = fingerprint.or_else(|| Some(self.key()?.to_string()));
            if let Some(key) = key {
                let algorithm = algorithm(signature);
                text.push_str(&format!(
                    "gpg:                using {algorithm} key {key}\n"
                ));
            }
        }
        let user_id = escape(&self.user_id);
        let code = self.judgement.verdict().code();
        match (self.outcome, code) {
            (Outcome::Good, _) => {
                text.push_str(&format!("gpg: Good signature from \"{user_id}\" [full]\n"));
                if let Some(basis) = self.judgement.time_basis() {
                    text.push_str(&format!("gpg: time basis: {}\n", basis.as_str()));
                }
            }
            (Outcome::Bad, Some(code)) => {
                text.push_str(&format!("gpg: BAD signature from \"{user_id}\"\n"));
                text.push_str(&format!("gpg: {}: {}\n", code.as_str(), code.cause()));
            }
            (Outcome::Unchecked(ErrorReason::NoPublicKey), _) => {
                text.push_str("gpg: Can't check signature: No public key\n");
            }
            (Outcome::Unchecked(_), code) => {
                let code = code.map_or("internal", Code::as_str);
                text.push_str(&format!("gpg: Can't check signature: {code}\n"));
            }
            (_, code) => {
                let (code, cause) = code.map_or(("internal", ""), |it| (it.as_str(), it.cause()));
                text.push_str(&format!(
                    "gpg: signature not accepted, from \"{user_id}\": {code}\ngpg: {cause}\n"
                ));
            }
        }
        if let Some(detail) = self.judgement.detail() {
            text.push_str(&format!("gpg: {}\n", escape(detail)));
        }
        text
    }

    fn valid(&self) -> Option<StatusLine<'_>> {
        let names = names(self.judgement)?;
        Some(StatusLine::Valid {
            fingerprint: &names.fingerprint,
            signature: self.signature?,
            primary: &names.primary,
        })
    }

    /// Returns the key that signed; failing that, the one that the signature names.
    fn key(&self) -> Option<LongKeyId> {
        if let Some(names) = names(self.judgement) {
            return Some(names.fingerprint.long_id());
        }
        let signature = self.signature?;
        let fingerprints = signature.issuer_fingerprints();
        let named = fingerprints
            .first()
            .map(|fingerprint| fingerprint.long_id());
        named.or_else(|| signature.issuer_key_ids().first().copied())
    }
}

/// Says that nobody could look. git before 2.41 aborts where the trust line is missing.
pub(super) fn unreadable(signature: Option<&Signature>) -> [StatusLine<'_>; 3] {
    let reason = ErrorReason::Unreadable;
    [
        StatusLine::NewSignature,
        StatusLine::Error { signature, reason },
        StatusLine::Trust(TrustLevel::Undefined),
    ]
}

fn names(judgement: &Judgement) -> Option<&Names> {
    judgement.standing()?.openpgp()
}

fn outcome(judgement: &Judgement, signature: Option<&Signature>) -> Outcome {
    let holds = judgement.kid().is_some();
    match judgement.verdict() {
        Verdict::Accepted if holds => Outcome::Good,
        Verdict::Rejected(Code::SignerUntrusted) if !holds && signature.is_some() => {
            Outcome::Unchecked(ErrorReason::NoPublicKey)
        }
        Verdict::Rejected(Code::AlgorithmWeak) | Verdict::Undecided(Code::AlgorithmUnsupported) => {
            Outcome::Unchecked(ErrorReason::Algorithm)
        }
        // The signature was not looked at.
        Verdict::Rejected(Code::ObjectMalformed) => Outcome::Unchecked(ErrorReason::Unreadable),
        Verdict::Rejected(code) if holds => match state_of(code) {
            SignerState::Unknown => Outcome::Untrusted,
            SignerState::Expired => Outcome::Expired,
            SignerState::Revoked => Outcome::Revoked,
            SignerState::Bad => Outcome::Bad,
        },
        // Bytes that are no signature of a key cannot be bad ones of it.
        Verdict::Rejected(_) if signature.is_none() => Outcome::Unchecked(ErrorReason::Unreadable),
        Verdict::Rejected(_) => Outcome::Bad,
        Verdict::Accepted | Verdict::Undecided(_) => Outcome::Unchecked(ErrorReason::Unreadable),
    }
}

/// gpg's word for an algorithm.
fn algorithm(signature: &Signature) -> String {
    match signature.key_algorithm() {
        1..=3 => "RSA".to_owned(),
        17 => "DSA".to_owned(),
        19 => "ECDSA".to_owned(),
        22 => "EDDSA".to_owned(),
        27 => "Ed25519".to_owned(),
        number => format!("algorithm {number}"),
    }
}
