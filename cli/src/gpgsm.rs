//! The program as git calls it in place of gpgsm.

use std::{ffi::OsString, io, process::ExitCode};

use notme_core::{
    armor::dearmor,
    cms::SignedMessage,
    key::{Algorithm, Hash, KeyId},
};
use notme_signer::{
    Command, Deadline, ErrorReason, StatusLine, Streams, TrustLevel, Verify, parse, sign,
};
use notme_verifier::{Code, Judgement, Verdict, report::escape};

use crate::{
    commands::agent,
    failure::Failure,
    gnupg::{
        BAD, ERROR, GOOD, STDOUT_CLOSED, complain, home, is_stdout_closed, read_signed, say,
        signing_endpoint, write_status,
    },
    judging::Grounds,
};

/// Whose words these are: tools look for it.
const PROGRAM: &str = "gpgsm";

/// Does what git asks of gpgsm.
pub(crate) fn run(words: &[OsString]) -> ExitCode {
    let mut streams = Streams {
        stdin: &mut io::stdin().lock(),
        stdout: &mut io::stdout().lock(),
        stderr: &mut io::stderr().lock(),
    };
    let code = match parse(words.iter().cloned()) {
        Err(error) => complain(&mut streams, PROGRAM, &error),
        Ok(Command::Version) => say(&mut streams, VERSION),
        Ok(Command::Help) => say(&mut streams, HELP),
        Ok(Command::Sign(_)) if is_stdout_closed() => {
            complain(&mut streams, PROGRAM, &STDOUT_CLOSED)
        }
        Ok(Command::Sign(command)) => match signing_endpoint() {
            Ok(endpoint) => sign(
                &command,
                &endpoint,
                Deadline::after(agent::DEADLINE),
                &mut streams,
            ),
            Err(error) => complain(&mut streams, PROGRAM, &error),
        },
        Ok(Command::Verify(command)) => match verify(&command, &mut streams) {
            Ok(code) => code,
            Err(failure) => {
                // Without a word on the status lines git would call it unsigned.
                let _ = write_status(command.status_fd, &unreadable(None), &mut streams);
                complain(&mut streams, PROGRAM, &failure)
            }
        },
    };
    ExitCode::from(code)
}

const VERSION: &str = concat!("gpgsm (notme) ", env!("CARGO_PKG_VERSION"), "\n");
const HELP: &str = "\
Usage: notme-x509 --status-fd=N -bsau KEY < payload
       notme-x509 --status-fd=N --verify SIGNATURE - < payload

git calls this as `gpg.x509.program`; `notme init` sets it up.
KEY is the name of an agent or the key id of its session.
";

fn verify(command: &Verify, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    let (signature, payload) = read_signed(&command.signature, &command.data, streams)?;
    let grounds = Grounds::load(&home()?, None, None)?;
    let judgement = grounds.judge().judge_detached(&payload, &signature);

    let name = name(&judgement);
    let made = Made::of(&signature);
    let told = tell(&judgement, &name, made.as_ref());
    write_status(command.status_fd, &told.lines, streams)?;
    let text = words(&judgement, &escape(&name), made.as_ref(), &told);
    streams.stderr.write_all(text.as_bytes())?;
    Ok(told.exit)
}

/// Says that nobody could look. git before 2.41 aborts where the trust line is missing.
fn unreadable(kid: Option<KeyId>) -> [StatusLine<'static>; 3] {
    let reason = ErrorReason::Unreadable;
    [
        StatusLine::NewSignature,
        StatusLine::Error { kid, reason },
        StatusLine::Trust(TrustLevel::Undefined),
    ]
}

/// How a signature was made: facts that judge nothing and that people want to see.
struct Made {
    algorithm: Algorithm,
    hash: Hash,
}

impl Made {
    fn of(signature: &[u8]) -> Option<Self> {
        let message = SignedMessage::parse(&dearmor(signature).ok()?).ok()?;
        Some(Self {
            algorithm: message.signer().public_key().algorithm(),
            hash: message.hash(),
        })
    }
}

/// What git is told.
struct Told<'a> {
    lines: Vec<StatusLine<'a>>,
    exit: u8,
}

/// Maps a verdict to what git tells apart: good, bad, unknown signer, expired, revoked, and not
/// looked at.
fn tell<'a>(judgement: &Judgement, name: &'a str, made: Option<&Made>) -> Told<'a> {
    let mut lines = vec![StatusLine::NewSignature];
    let kid = judgement.kid();
    let claimed_kid = kid.or_else(|| judgement.claimed()?.kid);
    let never = StatusLine::Trust(TrustLevel::Never);
    let exit = match (judgement.verdict(), kid) {
        (Verdict::Accepted, Some(kid)) => {
            lines.push(StatusLine::Good { kid, name });
            lines.extend(details(judgement, kid, made));
            lines.push(StatusLine::Trust(TrustLevel::Fully));
            GOOD
        }
        // Of what is no git object nothing is known, good or bad.
        (Verdict::Accepted, None)
        | (Verdict::Undecided(_) | Verdict::Rejected(Code::ObjectMalformed), _) => {
            lines = unreadable(claimed_kid).to_vec();
            ERROR
        }
        (Verdict::Rejected(code), Some(kid)) => {
            lines.push(match state_of(code) {
                SignerState::Unknown => StatusLine::Good { kid, name },
                SignerState::Expired => StatusLine::ExpiredKey { kid, name },
                SignerState::Revoked => StatusLine::RevokedKey { kid, name },
                SignerState::Bad => {
                    let kid = Some(kid);
                    StatusLine::Bad { kid, name }
                }
            });
            lines.push(never);
            BAD
        }
        (Verdict::Rejected(_), None) => {
            let kid = claimed_kid;
            lines.extend([StatusLine::Bad { kid, name }, never]);
            BAD
        }
    };
    Told { lines, exit }
}

/// What a signature that does hold lacks.
pub(crate) enum SignerState {
    Bad,
    Unknown,
    Expired,
    Revoked,
}

/// Sorts a refusal of a signature that does hold by what it lacks.
pub(crate) fn state_of(code: Code) -> SignerState {
    match code {
        Code::CertificateExpired
        | Code::CertificateNotYetValid
        | Code::TimeBasisTooWeak
        | Code::RootRetired => SignerState::Expired,
        Code::Revoked => SignerState::Revoked,
        Code::SignerUntrusted
        | Code::RootNotYetUsed
        | Code::CertificateInvalid
        | Code::CertificateUnknownCritical
        | Code::IdentityMissing
        | Code::ScopeMissing
        | Code::NotAuthorised
        | Code::TermsRepository
        | Code::TermsRef
        | Code::TermsPath
        | Code::TagRenamed
        | Code::CommitterMismatch
        | Code::LevelTooLow
        | Code::PolicyNotAuthorised
        | Code::PolicyInvalid
        | Code::ParentNotAccepted
        | Code::BundleInvalid
        | Code::BundleRollback
        | Code::BundleEquivocation => SignerState::Unknown,
        Code::Unsigned
        | Code::SignatureAmbiguous
        | Code::ObjectTooLarge
        | Code::ObjectMalformed
        | Code::SignatureUnknownFormat
        | Code::SignatureTooLarge
        | Code::SignatureMalformed
        | Code::CmsNoAttributes
        | Code::AlgorithmWeak
        | Code::SignatureInvalid
        | Code::IssuanceMismatch
        | Code::TimestampInvalid
        | Code::LogEntryInvalid
        // These say that nobody could look; they do not come with `Rejected`.
        | Code::ObjectMissing
        | Code::AlgorithmUnsupported
        | Code::TrustMissing
        | Code::TrustUnreadable
        | Code::TrustStateMissing
        | Code::TrustFromFuture
        | Code::TrustStale
        | Code::PolicyUnreadable
        | Code::AcceptanceMissing
        | Code::TermsUnchecked
        | Code::TimeNotShown
        | Code::ParentUndecided
        // Of statements; git asks about none.
        | Code::EnvelopeMalformed
        | Code::StatementMalformed
        | Code::SubjectMismatch
        | Code::PredicateUnknown
        | Code::PredicateMalformed
        | Code::AgentMismatch
        | Code::OriginsDisclosed
        | Code::OriginsMismatch
        | Code::AcceptanceSelf
        | Code::AcceptanceRejected
        | Code::EvidenceMissing
        | Code::ChainPrefixMissing
        | Code::ChainLinkMissing
        | Code::ChainLinkBroken
        | Code::ChainReordered
        | Code::ChainCount
        | Code::ChainRecordStray
        | Code::ChainFork
        | Code::ChainExtended
        | Code::ChainTailMissing
        | Code::ChainElsewhere
        | Code::ChainTrailer
        | Code::AttestationMissing
        | Code::ChangesUnknown => SignerState::Bad,
    }
}

/// Who signed: the identity that somebody trusted vouches for, or a claim that nobody does.
fn name(judgement: &Judgement) -> String {
    match (judgement.identity(), judgement.claimed()) {
        (Some(identity), _) => identity.to_owned(),
        (None, Some(claimed)) => format!("[untrusted] {}", claimed.name),
        (None, None) => "[unknown]".to_owned(),
    }
}

fn details(judgement: &Judgement, kid: KeyId, made: Option<&Made>) -> Option<StatusLine<'static>> {
    let (standing, made) = (judgement.standing()?, made?);
    Some(StatusLine::Valid {
        kid,
        signed_at: judgement.judged_at()?,
        expires_at: standing.not_after(),
        algorithm: made.algorithm,
        hash: made.hash,
        primary: judgement.authority_kid()?,
    })
}

/// What people read, in gpgsm's shape since tools look for it.
fn words(judgement: &Judgement, name: &str, made: Option<&Made>, told: &Told<'_>) -> String {
    let mut text = String::new();
    let at = judgement.judged_at().or(judgement.signing_time());
    if let (Some(at), Some(kid), Some(made)) = (at, judgement.kid(), made) {
        let date = at.to_string().replace('T', " ").replace('Z', " UTC");
        text.push_str(&format!("gpgsm: Signature made {date}\n"));
        text.push_str(&format!(
            "gpgsm:                using {} key {kid}\n",
            made.algorithm.as_str()
        ));
    }
    let code = judgement.verdict().code();
    match (told.exit, code) {
        (GOOD, _) => {
            text.push_str(&format!("gpgsm: Good signature from \"{name}\"\n"));
            if let Some(basis) = judgement.time_basis() {
                text.push_str(&format!("gpgsm: time basis: {}\n", basis.as_str()));
            }
        }
        (BAD, Some(code)) => {
            // "invalid" is for signatures that do not hold; the others are only not enough.
            let what = match told.lines.as_slice() {
                [_, StatusLine::Bad { .. }, ..] => "invalid signature",
                _ => "signature not accepted,",
            };
            text.push_str(&format!(
                "gpgsm: {what} from \"{name}\": {}\n",
                code.as_str()
            ));
            text.push_str(&format!("gpgsm: {}\n", code.cause()));
        }
        (_, code) => {
            let code = code.map_or("internal", Code::as_str);
            text.push_str(&format!("gpgsm: signature could not be checked: {code}\n"));
        }
    }
    if let Some(detail) = judgement.detail() {
        text.push_str(&format!("gpgsm: {}\n", escape(detail)));
    }
    text
}
