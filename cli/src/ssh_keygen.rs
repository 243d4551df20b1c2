//! The program as git calls it in place of ssh-keygen.

mod local_time;

use std::{
    env,
    ffi::OsString,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    process::ExitCode,
};

use notme_core::{
    armor::ARMOR_MAX,
    ssh::{
        AllowedSigners, Certificate, Prehash, RevocationList, SshSig,
        sshsig::SshSigError,
        time::{self, ParseError},
    },
    time::UnixTime,
};
use notme_signer::{
    Deadline, Streams,
    ssh::{
        CheckNovalidate, Command, FindPrincipals, KeyAgent, MatchPrincipals, Noise, Sign,
        SignEnvironment, Verify, VerifyOptions, parse, sign,
    },
};
use notme_verifier::{
    report::escape,
    ssh::{Answer, Checked, Denied, check, find_principals, match_principals, verify},
};

use self::local_time::local_time;
use crate::{commands::agent, home::Home, judging::now};

/// Exit codes of ssh-keygen: -1 for every failure, and for `match-principals` its own numbers.
const GOOD: u8 = 0;
const FAILED: u8 = 255;
const NOT_FOUND: u8 = 210;
const UNREADABLE_LINE: u8 = 252;
const UNREADABLE_FILE: u8 = 232;
const INVALID_OPTION: u8 = 246;

/// More than anybody's file of allowed signers, or what they revoked.
const FILE_MAX: u64 = 16 * 1024 * 1024;

/// Does what git asks of ssh-keygen.
pub(crate) fn run(words: &[OsString]) -> ExitCode {
    let mut streams = Streams {
        stdin: &mut io::stdin().lock(),
        stdout: &mut io::stdout().lock(),
        stderr: &mut io::stderr().lock(),
    };
    let code = match parse(words.iter().cloned()) {
        Err(error) => {
            let _ = writeln!(streams.stderr, "{error}");
            let code = error.exit_code();
            if code == 1 {
                let _ = streams.stderr.write_all(USAGE.as_bytes());
            }
            Ok(code)
        }
        Ok(Command::Sign(command)) => Ok(run_sign(&command, &mut streams)),
        Ok(Command::Verify(command)) => run_verify(&command, &mut streams),
        Ok(Command::CheckNovalidate(command)) => run_check(&command, &mut streams),
        Ok(Command::FindPrincipals(command)) => run_find(&command, &mut streams),
        Ok(Command::MatchPrincipals(command)) => run_match(&command, &mut streams),
    };
    // A closed stream is a failure too: nobody may take silence for a yes.
    ExitCode::from(code.unwrap_or(FAILED))
}

const USAGE: &str = "\
usage: notme-ssh -Y sign -f key_file -n namespace [-O option] [-U] [file ...]
       notme-ssh -Y verify -f allowed_signers_file -I signer_identity
                 -n namespace -s signature_file [-r krl_file] [-O option]
       notme-ssh -Y find-principals -s signature_file -f allowed_signers_file
       notme-ssh -Y match-principals -I signer_identity -f allowed_signers_file
       notme-ssh -Y check-novalidate -n namespace -s signature_file
";

fn run_sign(command: &Sign, streams: &mut Streams<'_>) -> u8 {
    let environment = SignEnvironment {
        auth_socket: env::var_os("SSH_AUTH_SOCK")
            .filter(|path| !path.is_empty())
            .map(PathBuf::from),
        key_agent: key_agent(),
    };
    sign(command, &environment, streams)
}

/// Returns where our own key agent is, if the environment has a home for it.
fn key_agent() -> Option<KeyAgent> {
    let home = Home::from_environment()?;
    Some(KeyAgent {
        endpoint: agent::endpoint(&home).ok()?,
        agents: home.agents(),
        deadline: Deadline::after(agent::DEADLINE),
    })
}

fn run_verify(command: &Verify, streams: &mut Streams<'_>) -> io::Result<u8> {
    let name = format!(" for {}", command.principal);
    let decided = judge(command, streams);
    tell(decided, &name, &command.options, command.noise, streams)
}

fn judge(command: &Verify, streams: &mut Streams<'_>) -> Result<SshSig, Failure> {
    let at = judged_time(&command.options)?;
    let signature = read_signature(&command.signature)?;
    let checked = check_stdin(&signature, &command.namespace, streams)?;
    let revoked = command.revoked.as_deref().map(read_revoked).transpose()?;
    let allowed = read_allowed(&command.allowed)?;
    let answer = verify(checked, &command.principal, &allowed, revoked.as_ref(), at);
    say(&answer, &command.allowed, streams)?;
    answer.result?;
    let terms = signature.key().certificate().and_then(Certificate::terms);
    match terms.is_some_and(|terms| terms.paths.is_some()) {
        true => Err(Failure::Paths),
        false => Ok(signature),
    }
}

fn run_check(command: &CheckNovalidate, streams: &mut Streams<'_>) -> io::Result<u8> {
    let mut decide = || -> Result<SshSig, Failure> {
        judged_time(&command.options)?;
        let signature = read_signature(&command.signature)?;
        let _ = check_stdin(&signature, &command.namespace, streams)?;
        Ok(signature)
    };
    let decided = decide();
    tell(decided, "", &command.options, command.noise, streams)
}

/// Says what git reads: the first line of stdout.
fn tell(
    decided: Result<SshSig, Failure>,
    name: &str,
    options: &VerifyOptions,
    noise: Noise,
    streams: &mut Streams<'_>,
) -> io::Result<u8> {
    match decided {
        Ok(signature) => {
            if noise == Noise::Normal {
                let (namespace, key) = (signature.namespace(), signature.key());
                let kind = key.short_name();
                let fingerprint = key.public_key().fingerprint();
                writeln!(
                    streams.stdout,
                    "Good \"{namespace}\" signature{name} with {kind} key {fingerprint}"
                )?;
            }
            if options.prints_key {
                writeln!(streams.stdout, "{}", signature.key().to_text())?;
            }
            streams.stdout.flush()?;
            Ok(GOOD)
        }
        Err(failure) => {
            writeln!(streams.stderr, "{failure}")?;
            if noise == Noise::Normal {
                writeln!(streams.stdout, "Could not verify signature.")?;
                streams.stdout.flush()?;
            }
            Ok(FAILED)
        }
    }
}

fn run_find(command: &FindPrincipals, streams: &mut Streams<'_>) -> io::Result<u8> {
    let mut find = || -> Result<Vec<String>, Failure> {
        let at = judged_time(&command.options)?;
        let signature = read_signature(&command.signature)?;
        let allowed = read_allowed(&command.allowed)?;
        let answer = find_principals(signature.key(), &allowed, at);
        say(&answer, &command.allowed, streams)?;
        Ok(answer.result?)
    };
    match find() {
        Ok(names) => list(&names, streams),
        Err(failure) => {
            if !matches!(failure, Failure::Denied(_)) {
                writeln!(streams.stderr, "{failure}")?;
            }
            writeln!(streams.stderr, "No principal matched.")?;
            Ok(FAILED)
        }
    }
}

fn run_match(command: &MatchPrincipals, streams: &mut Streams<'_>) -> io::Result<u8> {
    if let Some(option) = &command.unknown_option {
        writeln!(streams.stderr, "Invalid option \"{}\"", escape(option))?;
        return Ok(INVALID_OPTION);
    }
    let allowed = match read_allowed(&command.allowed) {
        Ok(allowed) => allowed,
        Err(failure) => {
            writeln!(streams.stderr, "{failure}\nNo principal matched.")?;
            return Ok(UNREADABLE_FILE);
        }
    };
    let answer = match_principals(&command.principal, &allowed);
    for (line, remark) in &answer.remarks {
        let path = command.allowed.display();
        writeln!(streams.stderr, "{path}:{line}: {remark}")?;
    }
    match answer.result {
        Ok(lists) => list(&lists, streams),
        Err(denied) => {
            writeln!(streams.stderr, "No principal matched.")?;
            Ok(match denied {
                Denied::Unreadable => UNREADABLE_LINE,
                Denied::NotListed | Denied::Revoked => NOT_FOUND,
            })
        }
    }
}

fn list(names: &[String], streams: &mut Streams<'_>) -> io::Result<u8> {
    for name in names {
        writeln!(streams.stdout, "{name}")?;
    }
    streams.stdout.flush()?;
    Ok(GOOD)
}

fn say<T>(answer: &Answer<T>, path: &Path, streams: &mut Streams<'_>) -> Result<(), Failure> {
    for (line, remark) in &answer.remarks {
        writeln!(streams.stderr, "{}:{line}: {remark}", path.display()).map_err(Failure::Output)?;
    }
    Ok(())
}

/// Returns the time to judge by: the one asked for, else that of the person asking.
fn judged_time(options: &VerifyOptions) -> Result<UnixTime, Failure> {
    if let Some(option) = &options.unknown {
        return Err(Failure::Option(escape(option).into_owned()));
    }
    match &options.verify_time {
        Some(text) => Ok(time::parse(text, &local_time)?),
        None => Ok(now()),
    }
}

fn read_signature(path: &Path) -> Result<SshSig, Failure> {
    let limit = u64::try_from(ARMOR_MAX).unwrap_or(u64::MAX);
    let armor = read(path, limit).map_err(Failure::ReadSignature)?;
    Ok(SshSig::from_armor(&armor)?)
}

/// Hashes standard input, however long, and checks the signature over it.
fn check_stdin<'a>(
    signature: &'a SshSig,
    namespace: &str,
    streams: &mut Streams<'_>,
) -> Result<Checked<'a>, Failure> {
    let message = Prehash::read(signature.hash(), streams.stdin).map_err(Failure::ReadMessage)?;
    Ok(check(signature, namespace, &message)?)
}

fn read_allowed(path: &Path) -> Result<AllowedSigners, Failure> {
    let text = read(path, FILE_MAX).map_err(|source| Failure::ReadAllowed {
        path: path.to_owned(),
        source,
    })?;
    Ok(AllowedSigners::parse(&text, &local_time))
}

/// Reads what was revoked. A file that is missing or broken revokes everything: nobody knows
/// what it would have taken back.
fn read_revoked(path: &Path) -> Result<RevocationList, Failure> {
    let unreadable = |source: Box<dyn std::error::Error>| Failure::ReadRevoked {
        path: path.to_owned(),
        source,
    };
    let bytes = read(path, FILE_MAX).map_err(|error| unreadable(error.into()))?;
    RevocationList::parse(&bytes).map_err(|error| unreadable(error.into()))
}

fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    match u64::try_from(bytes.len()).is_ok_and(|length| length <= limit) {
        true => Ok(bytes),
        false => Err(io::ErrorKind::FileTooLarge.into()),
    }
}

/// Why the answer is no.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("Invalid option \"{0}\"")]
    Option(String),
    #[error("Invalid \"verify-time\" option")]
    VerifyTime(#[from] ParseError),
    #[error("Couldn't read signature file: {0}")]
    ReadSignature(#[source] io::Error),
    #[error("Couldn't read the signed data: {0}")]
    ReadMessage(#[source] io::Error),
    #[error("{stage}: {0}", stage = stage(.0))]
    Signature(#[from] SshSigError),
    #[error("Unable to open revoked keys file \"{}\": {source}", path.display())]
    ReadRevoked {
        path: PathBuf,
        source: Box<dyn std::error::Error>,
    },
    #[error("Unable to open allowed keys file \"{}\": {source}", path.display())]
    ReadAllowed { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(
        "the certificate is for some paths only, and what changed is not seen here: `notme verify`"
    )]
    Paths,
    #[error("could not write: {0}")]
    Output(#[source] io::Error),
}

/// Says in ssh-keygen's words what did not work.
fn stage(error: &SshSigError) -> &'static str {
    match error {
        SshSigError::Verify(_) => "Signature verification failed",
        SshSigError::OtherNamespace(_) | SshSigError::OtherHash => "Couldn't verify signature",
        SshSigError::TooLong
        | SshSigError::NoBegin
        | SshSigError::NoEnd
        | SshSigError::Base64
        | SshSigError::Magic
        | SshSigError::Version(_)
        | SshSigError::Wire(_)
        | SshSigError::Key(_)
        | SshSigError::Reserved
        | SshSigError::Hash(_)
        | SshSigError::Signature(_) => "Couldn't parse signature",
    }
}
