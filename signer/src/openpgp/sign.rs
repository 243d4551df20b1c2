//! Signing as gpg does: payload in, signature out, status lines beside it.

use std::{fs::File, io};

use notme_core::{
    frame::{ArmoredAnswer, SignatureKind},
    openpgp::{ArmorKind, Fingerprint, KeyBlock, Signature, dearmor},
};

use super::{Sign, StatusLine};
use crate::{
    argv::{Data, Encoding},
    client::AgentClient,
    endpoint::{AgentEndpoint, Deadline},
    failure::{Failure, wanted_key},
    sign::{Streams, read_payload, say},
    status_output::StatusOutput,
    whole_file::write_whole,
};

/// Signs, and returns the exit code: 0 when the signature was written, otherwise 2 and nothing
/// was. git makes an unsigned commit of an empty signature, so there is no third way.
pub fn sign(
    command: &Sign,
    endpoint: &AgentEndpoint,
    deadline: Deadline,
    streams: &mut Streams<'_>,
) -> u8 {
    match try_sign(command, endpoint, deadline, streams) {
        Ok(()) => 0,
        Err(failure) => {
            // When standard error is gone, the exit code has to do.
            let _ = report(command, &failure, streams);
            2
        }
    }
}

fn try_sign(
    command: &Sign,
    endpoint: &AgentEndpoint,
    deadline: Deadline,
    streams: &mut Streams<'_>,
) -> Result<(), Failure> {
    let mut status = StatusOutput::open(command.status_fd)?;
    let key = wanted_key(command.key.as_deref())?;
    let payload = match &command.input {
        Data::Stdin => read_payload(streams.stdin),
        Data::File(path) => File::open(path).and_then(|mut file| read_payload(&mut file)),
    };
    let payload = payload.map_err(Failure::Input)?.ok_or(Failure::TooLong)?;
    let answer = AgentClient::connect(endpoint, deadline)?.sign_armored(
        key,
        SignatureKind::OpenPgp,
        payload.clone(),
    )?;
    let made = Made::read(&answer, &payload)?;

    if let Some(notice) = &answer.notice {
        tell(streams, &format!("note: {notice}")).map_err(Failure::Output)?;
    }
    let bytes = match command.encoding {
        Encoding::Armor => answer.signature.as_bytes(),
        Encoding::Der => &made.bytes,
    };
    match &command.output {
        Some(path) => write_whole(path, bytes).map_err(|source| Failure::Write {
            path: path.clone(),
            source,
        })?,
        None => {
            streams.stdout.write_all(bytes).map_err(Failure::Output)?;
            streams.stdout.flush().map_err(Failure::Output)?;
        }
    }
    // Only now is it true, and git believes it.
    let created = StatusLine::SignatureCreated {
        signature: &made.signature,
        fingerprint: &made.fingerprint,
    };
    for line in [StatusLine::BeginSigning, created] {
        status.write(&line, streams).map_err(Failure::Output)?;
    }
    Ok(())
}

/// A finished signature, read back as a verifier would.
struct Made {
    bytes: Vec<u8>,
    signature: Signature,
    fingerprint: Fingerprint,
}

impl Made {
    fn read(answer: &ArmoredAnswer, payload: &[u8]) -> Result<Self, Failure> {
        let bytes = dearmor(ArmorKind::Signature, answer.signature.as_bytes())?;
        let signature = Signature::from_bytes(&bytes)?;
        let block = signature.key_block().ok_or(Failure::KeyMissing)?;
        let block = KeyBlock::from_bytes(block)?;
        signature.clone().over(payload)?.verify(block.primary())?;
        Ok(Self {
            fingerprint: block.primary().fingerprint().clone(),
            bytes,
            signature,
        })
    }
}

fn report(command: &Sign, failure: &Failure, streams: &mut Streams<'_>) -> io::Result<()> {
    if failure.is_about_key() {
        let key = command.key.as_deref().unwrap_or_default().to_string_lossy();
        if let Ok(mut status) = StatusOutput::open(command.status_fd) {
            status.write(&StatusLine::InvalidSigner { key: &key }, streams)?;
        }
        tell(streams, &format!("skipped \"{key}\": {failure}"))?;
    }
    tell(streams, &format!("signing failed: {failure}"))?;
    match failure.hint() {
        Some(hint) => tell(streams, &format!("hint: {hint}")),
        None => Ok(()),
    }
}

/// Says something to a person, on one line, in gpg's name: tools look for it.
fn tell(streams: &mut Streams<'_>, text: &str) -> io::Result<()> {
    say(streams, "gpg", text)
}
