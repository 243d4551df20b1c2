//! The kinds of signers, as reports count them.

use crate::{
    judge::Judgement,
    policy::Kind,
    trust::PinKind,
    verdict::Code,
    verify::{JudgedObject, Outcome},
};

/// Who stands behind an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Signer {
    /// What the policy calls so, or an identity that an authority of agents certifies.
    Agent,
    /// Somebody whom the policy calls so, or whose own key, or X.509 authority, is pinned.
    Person,
    /// What the policy calls a bot, or a forge's web interface.
    Bot,
    /// A signature behind which nobody trusted stands, or that does not hold.
    Unknown,
    /// Nobody: it is not signed.
    Nobody,
}

impl Signer {
    pub(super) const ALL: [Self; 5] = [
        Self::Agent,
        Self::Person,
        Self::Bot,
        Self::Unknown,
        Self::Nobody,
    ];

    pub(super) fn of(judgement: &Judgement) -> Self {
        match judgement.kind() {
            Some(Kind::Agent) => return Self::Agent,
            Some(Kind::Human) => return Self::Person,
            Some(Kind::Bot | Kind::WebFlow) => return Self::Bot,
            None => {}
        }
        let vouched = judgement.standing().and_then(|it| it.pin_kind());
        match vouched {
            Some(PinKind::TrustDocument | PinKind::Pem) => Self::Agent,
            Some(
                PinKind::X509 | PinKind::OpenPgp | PinKind::AllowedSigners | PinKind::Sigstore,
            ) => Self::Person,
            None if judgement.shortcoming() == Some(Code::Unsigned) => Self::Nobody,
            None => Self::Unknown,
        }
    }

    /// Returns the plural that reports show.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Agent => "agents",
            Self::Person => "people",
            Self::Bot => "bots",
            Self::Unknown => "not shown",
            Self::Nobody => "unsigned",
        }
    }

    /// Returns the name of its class in HTML.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Person => "person",
            Self::Bot => "bot",
            Self::Unknown => "unknown",
            Self::Nobody => "nobody",
        }
    }
}

/// Counts of objects by kind of signer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Tally([usize; Signer::ALL.len()]);

impl Tally {
    pub(super) fn of<'a>(objects: impl Iterator<Item = &'a JudgedObject>) -> Self {
        let mut tally = Self::default();
        objects.for_each(|object| tally.add(Signer::of(object.judgement())));
        tally
    }

    pub(super) fn add(&mut self, signer: Signer) {
        let pairs = self.0.iter_mut().zip(Signer::ALL);
        for (count, _) in pairs.filter(|(_, it)| *it == signer) {
            *count += 1;
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Signer, usize)> {
        Signer::ALL.into_iter().zip(self.0)
    }

    pub(super) fn total(&self) -> usize {
        self.0.iter().sum()
    }
}

/// Says how much of the accepted commits agents signed; nothing when none was accepted.
pub(super) fn agent_share(outcome: &Outcome) -> Option<String> {
    let accepted = outcome.objects().iter().filter(|object| {
        object.kind() == Some("commit") && object.judgement().verdict().code().is_none()
    });
    let tally = Tally::of(accepted);
    let total = tally.total();
    let agents = tally.iter().find(|(signer, _)| *signer == Signer::Agent);
    let agents = agents.map_or(0, |(_, count)| count);
    let percent = agents.saturating_mul(100).checked_div(total)?;
    Some(format!(
        "Agents signed {agents} of {total} accepted commits ({percent} %)"
    ))
}
