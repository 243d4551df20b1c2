//! Signing as gpgsm does: payload in, signature out, status lines beside it.

use std::io::{self, Read, Write};

use notme_core::{
    armor::armor,
    base64,
    certificate::Certificate,
    cms::{SignedAttributes, SignedMessage, assemble, assemble_time_stamped},
    frame::{BODY_LIMIT, SignAnswer},
    timestamp::{TimeStampError, TimeStampToken},
};

use crate::{
    argv::{Encoding, Sign},
    client::AgentClient,
    endpoint::{AgentEndpoint, Deadline},
    failure::{Failure, wanted_key},
    status_lines::StatusLine,
    status_output::StatusOutput,
};

/// The three standard streams.
pub struct Streams<'a> {
    /// Standard input.
    pub stdin: &'a mut dyn Read,
    /// Standard output: signatures and status lines, nothing else.
    pub stdout: &'a mut dyn Write,
    /// Standard error.
    pub stderr: &'a mut dyn Write,
}

/// Signs standard input and returns the exit code: 0 when the signature was written, otherwise 2
/// and nothing was.
///
/// git makes an unsigned commit of an empty signature, so there is no third way.
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
    let payload = read_payload(streams.stdin).map_err(Failure::Input)?;
    let payload = payload.ok_or(Failure::TooLong)?;
    let answer = AgentClient::connect(endpoint, deadline)?.sign(key, payload.clone())?;
    let signature = Signature::assemble(&answer)?;
    signature.check(&payload)?;

    if let Some(notice) = &answer.notice {
        tell(streams, &format!("note: {notice}")).map_err(Failure::Output)?;
    }
    let bytes = match command.encoding {
        Encoding::Armor => armor(&signature.der).into_bytes(),
        Encoding::Der => signature.der.clone(),
    };
    streams.stdout.write_all(&bytes).map_err(Failure::Output)?;
    streams.stdout.flush().map_err(Failure::Output)?;
    // Only now is it true, and git believes it.
    for line in [StatusLine::BeginSigning, signature.created()] {
        status.write(&line, streams).map_err(Failure::Output)?;
    }
    tell(streams, "signature created").map_err(Failure::Output)
}

/// A finished signature and what it was made of.
struct Signature {
    der: Vec<u8>,
    attributes: SignedAttributes,
    leaf: Certificate,
}

impl Signature {
    fn assemble(answer: &SignAnswer) -> Result<Self, Failure> {
        let decode = |text: &str| base64::decode(text).ok_or(Failure::Encoding);
        let attributes = SignedAttributes::from_der(&decode(&answer.attributes)?)?;
        let mut certificates = Vec::new();
        for certificate in &answer.certificates {
            certificates.push(Certificate::from_der(&decode(certificate)?)?);
        }
        let Some((leaf, intermediates)) = certificates.split_first() else {
            return Err(Failure::Encoding);
        };
        let signature = decode(&answer.signature)?;
        let der = match &answer.time_stamp {
            None => assemble(&attributes, &signature, leaf, intermediates),
            Some(token) => {
                let token = decode(token)?;
                // By whom it is, the key agent looked; that it is over this signature shows here.
                if !TimeStampToken::parse(&token)?.covers(&signature) {
                    return Err(TimeStampError::OtherBytes.into());
                }
                assemble_time_stamped(&attributes, &signature, leaf, intermediates, &token)
            }
        };
        Ok(Self {
            der,
            attributes,
            leaf: leaf.clone(),
        })
    }

    /// Reads the signature back, as a verifier would.
    fn check(&self, payload: &[u8]) -> Result<(), Failure> {
        Ok(SignedMessage::parse(&self.der)?.verify(payload)?)
    }

    fn created(&self) -> StatusLine<'static> {
        StatusLine::SignatureCreated {
            algorithm: self.leaf.public_key().algorithm(),
            hash: self.attributes.hash(),
            at: self.attributes.signing_time(),
            kid: self.leaf.kid(),
        }
    }
}

fn report(command: &Sign, failure: &Failure, streams: &mut Streams<'_>) -> io::Result<()> {
    if failure.is_about_key() {
        let key = command.key.as_deref().unwrap_or_default().to_string_lossy();
        if let Ok(mut status) = StatusOutput::open(command.status_fd) {
            status.write(&StatusLine::InvalidSigner { key: &key }, streams)?;
        }
        tell(streams, &format!("can't sign using '{key}': {failure}"))?;
    } else {
        tell(streams, &format!("signing failed: {failure}"))?;
    }
    match failure.hint() {
        Some(hint) => tell(streams, &format!("hint: {hint}")),
        None => Ok(()),
    }
}

/// Says something to a person, on one line, in gpgsm's name: tools look for it.
fn tell(streams: &mut Streams<'_>, text: &str) -> io::Result<()> {
    say(streams, "gpgsm", text)
}

/// Says something in a program's name.
pub(crate) fn say(streams: &mut Streams<'_>, program: &str, text: &str) -> io::Result<()> {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    writeln!(streams.stderr, "{program}: {text}")
}

/// Reads all that may be signed; `None` when there is more.
pub(crate) fn read_payload(stdin: &mut dyn Read) -> io::Result<Option<Vec<u8>>> {
    let limit = u64::try_from(BODY_LIMIT).unwrap_or(u64::MAX);
    let mut payload = Vec::new();
    stdin.take(limit + 1).read_to_end(&mut payload)?;
    Ok((payload.len() <= BODY_LIMIT).then_some(payload))
}
