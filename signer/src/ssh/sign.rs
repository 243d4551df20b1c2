//! `-Y sign`: hash, have the key sign, check, write.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use notme_core::ssh::{Key, Prehash, SshSig, sshsig::SshSigError};

use super::{
    argv::{Noise, Sign},
    key_agent::{KeyAgent, KeyAgentError},
    key_file::{self, KeyFile, KeyFileError},
    openssh_agent::OpenSshAgent,
    signing_key::{SigningError, SigningKey},
};
use crate::{sign::Streams, whole_file::write_whole};

/// What of the environment decides where keys are.
#[derive(Clone, Debug, Default)]
pub struct SignEnvironment {
    /// `SSH_AUTH_SOCK`.
    pub auth_socket: Option<PathBuf>,
    /// Our own key agent; without it, keys are in files and in OpenSSH agents only.
    pub key_agent: Option<KeyAgent>,
}

/// Signs files or standard input and returns ssh-keygen's exit code: 0, or 255.
///
/// A signature is written whole or not at all, and only after it was verified.
pub fn sign(command: &Sign, environment: &SignEnvironment, streams: &mut Streams<'_>) -> u8 {
    match try_sign(command, environment, streams) {
        Ok(()) => 0,
        Err(failure) => {
            // When standard error is gone, the exit code has to do.
            let _ = writeln!(streams.stderr, "{failure}");
            if let Some(hint) = failure.hint() {
                let _ = writeln!(streams.stderr, "hint: {hint}");
            }
            255
        }
    }
}

fn try_sign(
    command: &Sign,
    environment: &SignEnvironment,
    streams: &mut Streams<'_>,
) -> Result<(), Failure> {
    let mut signer = find(command, environment)?;
    if command.files.iter().all(|file| file == Path::new("-")) {
        tell(command, streams, "Signing data on standard input")?;
        let signature = signer.sign(command, &mut streams.stdin, Path::new("(stdin)"))?;
        signer.tell_notice(streams)?;
        let armor = signature.to_armor();
        return streams
            .stdout
            .write_all(armor.as_bytes())
            .and_then(|()| streams.stdout.flush())
            .map_err(Failure::Output);
    }
    for name in &command.files {
        let mut file = File::open(name).map_err(|source| Failure::Open {
            name: name.clone(),
            source,
        })?;
        tell(
            command,
            streams,
            &format!("Signing file {}", name.display()),
        )?;
        let signature = signer.sign(command, &mut file, name)?;
        signer.tell_notice(streams)?;
        let mut target = name.as_os_str().to_owned();
        target.push(".sig");
        let target = PathBuf::from(target);
        if !may_write(&target, streams).map_err(Failure::Output)? {
            continue;
        }
        write_whole(&target, signature.to_armor().as_bytes()).map_err(|source| Failure::Write {
            path: target.clone(),
            source,
        })?;
        tell(
            command,
            streams,
            &format!("Write signature to {}", target.display()),
        )?;
    }
    Ok(())
}

/// Who signs, and with which key.
enum Signer<'a> {
    /// A key that signs anything.
    Held(Key, SigningKey),
    /// The key agent, who is shown what it signs.
    KeyAgent {
        agent: &'a KeyAgent,
        selector: String,
        key: Option<Key>,
        notice: Option<String>,
    },
}

impl Signer<'_> {
    fn sign(
        &mut self,
        command: &Sign,
        message: &mut dyn Read,
        name: &Path,
    ) -> Result<SshSig, Failure> {
        match self {
            Self::Held(key, signing) => {
                let message = Prehash::read(command.hash, message);
                let message = message.map_err(|source| Failure::Input {
                    name: name.to_owned(),
                    source,
                })?;
                let blob = signing.sign(key, &message.signed_data(&command.namespace))?;
                let signature = SshSig::new(key.clone(), &command.namespace, command.hash, blob);
                check(&signature, &command.namespace, &message)?;
                Ok(signature)
            }
            Self::KeyAgent {
                agent,
                selector,
                key,
                notice,
            } => {
                let made = agent.sign(selector, key.as_ref(), command, message)?;
                *notice = made.notice;
                Ok(made.signature)
            }
        }
    }

    /// Says what the key agent wants the user to know.
    fn tell_notice(&mut self, streams: &mut Streams<'_>) -> Result<(), Failure> {
        let notice = match self {
            Self::Held(..) => None,
            Self::KeyAgent { notice, .. } => notice.take(),
        };
        match notice {
            Some(notice) => writeln!(streams.stderr, "note: {notice}").map_err(Failure::Output),
            None => Ok(()),
        }
    }
}

/// Finds who signs: the key agent when it is named, then whoever holds the key, an OpenSSH agent
/// before a file as in OpenSSH, and the key agent again when nobody else does.
fn find<'a>(command: &Sign, environment: &'a SignEnvironment) -> Result<Signer<'a>, Failure> {
    let key_agent = environment.key_agent.as_ref();
    let by_name = key_agent.and_then(|agent| {
        let selector = agent.selector(command.key.as_os_str())?;
        Some((agent, selector))
    });
    if let Some((agent, selector)) = by_name {
        return Ok(Signer::KeyAgent {
            agent,
            selector,
            key: None,
            notice: None,
        });
    }
    let key = key_file::read_public(&command.key)?;
    let failure = match find_held(command, &key, environment) {
        Ok(signing) => return Ok(Signer::Held(key, signing)),
        Err(failure) => failure,
    };
    let by_key = key_agent.and_then(|agent| Some((agent, agent.holds(&key)?)));
    match by_key {
        Some((agent, selector)) => Ok(Signer::KeyAgent {
            agent,
            selector,
            key: Some(key),
            notice: None,
        }),
        None => Err(failure),
    }
}

fn find_held(
    command: &Sign,
    key: &Key,
    environment: &SignEnvironment,
) -> Result<SigningKey, Failure> {
    let socket = environment.auth_socket.as_deref();
    let agent = socket.map(|socket| {
        let mut agent = OpenSshAgent::connect(socket)?;
        Ok(agent.has(key)?.then_some(agent))
    });
    match (agent, command.is_agent_required) {
        (Some(Ok(Some(agent))), _) => Ok(SigningKey::OpenSshAgent(agent)),
        (None, true) => Err(Failure::NoAgent),
        (Some(Err(error)), true) => Err(Failure::Signing(SigningError::Agent(error))),
        (Some(Ok(None)), true) => Err(Failure::NotInAgent),
        (None | Some(Ok(None) | Err(_)), false) => {
            let passphrase = command.passphrase.as_deref();
            let file = KeyFile::open(&command.key, key, passphrase)?;
            Ok(SigningKey::File(Box::new(file)))
        }
    }
}

/// Reads the signature back, as a verifier would.
fn check(signature: &SshSig, namespace: &str, message: &Prehash) -> Result<(), Failure> {
    let read = SshSig::from_blob(&signature.to_blob())?;
    Ok(read.verify(namespace, message)?)
}

/// Asks before it replaces a file, in ssh-keygen's words; an answer other than yes, or none, keeps
/// it.
fn may_write(path: &Path, streams: &mut Streams<'_>) -> io::Result<bool> {
    if fs::metadata(path).is_err() {
        return Ok(true);
    }
    write!(
        streams.stdout,
        "{} already exists.\nOverwrite (y/n)? ",
        path.display()
    )?;
    streams.stdout.flush()?;
    let mut answer = [0];
    let length = streams.stdin.read(&mut answer)?;
    let is_yes = length == 1 && answer.eq_ignore_ascii_case(b"y");
    // The rest of the line is not the answer to the next question.
    let mut byte = answer;
    while is_yes && byte != *b"\n" && streams.stdin.read(&mut byte)? == 1 {}
    Ok(is_yes)
}

fn tell(command: &Sign, streams: &mut Streams<'_>, text: &str) -> Result<(), Failure> {
    match command.noise {
        Noise::Quiet => Ok(()),
        Noise::Normal => writeln!(streams.stderr, "{text}").map_err(Failure::Output),
    }
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Key(#[from] KeyFileError),
    #[error("Couldn't sign message: {0}")]
    KeyAgent(#[from] KeyAgentError),
    #[error("Couldn't get agent socket")]
    NoAgent,
    #[error("Couldn't find key in agent")]
    NotInAgent,
    #[error("Couldn't sign message: {0}")]
    Signing(#[from] SigningError),
    #[error("Cannot open {} for signing: {source}", name.display())]
    Open { name: PathBuf, source: io::Error },
    #[error("Signing {} failed: {source}", name.display())]
    Input { name: PathBuf, source: io::Error },
    #[error("the signature made does not hold: {0}")]
    Check(#[from] SshSigError),
    #[error("Cannot write to {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("could not write: {0}")]
    Output(#[source] io::Error),
}

impl Failure {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Key(error) | Self::Signing(SigningError::File(error)) => error.hint(),
            Self::KeyAgent(KeyAgentError::Client(error)) => error.hint().map(str::to_owned),
            Self::KeyAgent(_)
            | Self::NoAgent
            | Self::NotInAgent
            | Self::Signing(SigningError::Agent(_))
            | Self::Open { .. }
            | Self::Input { .. }
            | Self::Check(_)
            | Self::Write { .. }
            | Self::Output(_) => None,
        }
    }
}
