//! Having a statement signed: through the key agent, which reads it first.

use notme_core::{
    base64,
    certificate::{Certificate, CertificateError},
    dsse::{Envelope, pae},
    frame::Basis,
    key::{Hash, SignatureError},
    statement::{PAYLOAD_TYPE, Statement, StatementError},
};
use notme_signer::{AgentClient, ClientError};

use crate::bundle::Bundle;

/// A statement that was signed, and what the user should be told of it.
#[derive(Debug)]
pub struct Signed {
    /// The statement in its envelope, with its certificate.
    pub bundle: Bundle,
    /// What stands behind the time of the signature.
    pub basis: Basis,
    /// What the user should be told.
    pub notice: Option<String>,
}

/// Signs a statement as an agent, and checks the signature as a stranger would before it leaves.
///
/// # Errors
/// [`SignError`].
pub fn sign(
    client: &mut AgentClient,
    agent: &str,
    statement: &Statement,
) -> Result<Signed, SignError> {
    let payload = statement.to_payload()?;
    let message = pae(PAYLOAD_TYPE, &payload);
    let answer = client.attest(agent, message.clone())?;
    let decode = |text: &str| base64::decode(text).ok_or(SignError::Answer);
    let certificates = answer
        .certificates
        .iter()
        .map(|text| Ok(Certificate::from_der(&decode(text)?)?))
        .collect::<Result<Vec<_>, SignError>>()?;
    let leaf = certificates.first().ok_or(SignError::Answer)?;
    let signature = decode(&answer.signature)?;
    leaf.public_key()
        .verify(Hash::Sha256, &message, &signature)?;
    let time_stamps = answer.time_stamp.as_deref().map(decode).transpose()?;
    let envelope = Envelope::signed(PAYLOAD_TYPE, payload, leaf.kid(), signature);
    Ok(Signed {
        bundle: Bundle::new(envelope, certificates, time_stamps.into_iter().collect()),
        basis: answer.basis,
        notice: answer.notice,
    })
}

/// The statement was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// It could not be read back.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The key agent said no, or nothing.
    #[error(transparent)]
    Agent(#[from] ClientError),
    /// The key agent's answer is not what it should be.
    #[error("the key agent's answer is malformed")]
    Answer,
    /// The certificate cannot be read.
    #[error("the key agent's certificate is malformed")]
    Certificate(#[from] CertificateError),
    /// The signature does not hold.
    #[error("the key agent's signature does not hold")]
    Signature(#[from] SignatureError),
}
