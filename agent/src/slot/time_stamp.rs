//! Time stamps over signatures.

use notme_core::{
    certificate::Certificate,
    key::Hash,
    time::UnixTime,
    timestamp::{MessageImprint, TimeStampError, TimeStampRequest, TimeStampToken},
    trust::TrustDocument,
};
use tokio::time::{Instant, timeout_at};

use super::{Credential, Slot, Surroundings, count, reset};
use crate::{chain::Chain, config::Timestamping, failure::Failure, session::nonce};

/// What became of a signature's time stamp.
pub(crate) enum TimeStamp {
    /// Nobody wishes one.
    Unasked,
    /// The token.
    Token(Vec<u8>),
    /// It has to do without; the user should be told this.
    Missed(String),
}

/// Why a token is not put into a signature.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TimeStampRefused {
    /// It does not hold, or is none.
    #[error(transparent)]
    Token(#[from] TimeStampError),
    /// Whoever made it is not in the trust document.
    #[error("the time stamp is by nobody that the authority's trust document names")]
    Stranger,
    /// Verifiers would find the certificate's root retired: the authority rotated its keys between
    /// the certificate and the time stamp.
    #[error("the authority rotated its keys before the time stamp")]
    Retired,
    /// Verifiers would find the certificate expired, or not yet valid.
    #[error("the time stamp is of {at}, when the certificate is not valid")]
    Outside {
        /// The time in it.
        at: UnixTime,
    },
}

/// What came of a request for a time stamp, unchecked.
pub(crate) struct Answered {
    request: TimeStampRequest,
    reply: Vec<u8>,
}

/// What came of asking for a time stamp over a signature before there was a certificate.
pub(crate) type Early = Result<Answered, Failure>;

impl Slot {
    /// Has a signature time-stamped by the agent's authority, when that is wished. What comes is
    /// checked as a verifier would; what came early and is refused then is asked for once more.
    ///
    /// # Errors
    /// [`Failure::NoTimeStamp`] where time stamps are required.
    pub(crate) async fn time_stamp(
        &self,
        wish: Option<Timestamping>,
        signed: (&Credential<Chain>, &[u8]),
        early: Option<Early>,
        around: &Surroundings,
        deadline: Instant,
    ) -> Result<TimeStamp, Failure> {
        let Some(wish) = wish else {
            return Ok(TimeStamp::Unasked);
        };
        let taken = async {
            if let Some(early) = early {
                let checked = self.check_time_stamp(signed, early?, around, deadline);
                if let Ok(token) = checked.await {
                    return Ok(token);
                }
            }
            let answered = self.ask_for_time_stamp(signed.1, around, deadline).await?;
            self.check_time_stamp(signed, answered, around, deadline)
                .await
        };
        let taken = timeout_at(deadline, taken).await;
        match (taken.unwrap_or(Err(Failure::Deadline)), wish) {
            (Ok(token), _) => {
                reset(&self.unstamped);
                Ok(TimeStamp::Token(token))
            }
            (Err(failure), Timestamping::Wanted) => {
                let notice = format!("signed without a time stamp ({failure})");
                count(&self.unstamped, &notice, (around.clock)());
                Ok(TimeStamp::Missed(notice))
            }
            (Err(failure), Timestamping::Required) => Err(Failure::NoTimeStamp {
                agent: self.config().name.clone(),
                cause: failure.to_string(),
            }),
        }
    }

    /// Asks for a time stamp over a signature. What comes is not checked.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn ask_for_time_stamp(
        &self,
        signature: &[u8],
        around: &Surroundings,
        deadline: Instant,
    ) -> Result<Answered, Failure> {
        self.check_patience()?;
        let imprint = MessageImprint::of(Hash::Sha256, signature);
        let request = TimeStampRequest::new(imprint, &nonce()?);
        let reply = self
            .ask(around, deadline, async |timeout| {
                Ok(self.client.time_stamp(&request, timeout).await?)
            })
            .await?;
        Ok(Answered { request, reply })
    }

    async fn check_time_stamp(
        &self,
        (credential, signature): (&Credential<Chain>, &[u8]),
        Answered { request, reply }: Answered,
        around: &Surroundings,
        deadline: Instant,
    ) -> Result<Vec<u8>, Failure> {
        let token =
            TimeStampToken::from_reply(&reply, Some(&request)).map_err(TimeStampRefused::from)?;
        let leaf = credential.certificate.leaf();
        let known = credential.session.trust(&self.config()).ok();
        let (tsa, retired_at) = match known.and_then(|trust| named_by(&token, leaf, trust)) {
            Some(named) => named,
            // It may have begun after the session did.
            None => {
                let fresh = self.trust(around, deadline).await?.ok();
                let named = fresh
                    .as_ref()
                    .and_then(|trust| named_by(&token, leaf, trust.document()));
                named.ok_or(TimeStampRefused::Stranger)?
            }
        };
        let stamp = token
            .verify(&tsa, signature)
            .map_err(TimeStampRefused::from)?;
        if retired_at.is_some_and(|retired| stamp.at() > retired) {
            return Err(TimeStampRefused::Retired.into());
        }
        if !leaf.is_valid_at(stamp.at()) || !leaf.is_valid_at(stamp.latest()) {
            return Err(TimeStampRefused::Outside { at: stamp.at() }.into());
        }
        Ok(token.der().to_vec())
    }
}

/// Returns the certificate of a trust document that the token says it is by, and when the root
/// that issued a leaf retired.
fn named_by(
    token: &TimeStampToken<'_>,
    leaf: &Certificate,
    trust: &TrustDocument,
) -> Option<(Certificate, Option<UnixTime>)> {
    let tsa = trust
        .current_tsa()
        .find(|tsa| token.names(&tsa.certificate))?;
    let mut retired = trust.retired_roots();
    let root = retired.find(|root| leaf.verify_issued_by(&root.certificate).is_ok());
    Some((
        tsa.certificate.clone(),
        root.and_then(|root| root.retired_at),
    ))
}
