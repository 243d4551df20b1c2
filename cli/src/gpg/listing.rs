//! Lists of keys, in gpg's two forms.

use notme_core::{
    openpgp::{Fingerprint, KeyBlock, KeyKind, UserId},
    time::UnixTime,
};
use notme_signer::{AgentClient, Deadline};
use notme_verifier::openpgp::Person;

use crate::{
    commands::agent,
    failure::Failure,
    home::Home,
    judging::{now, store},
};

/// A key as it is listed.
pub(super) struct Listed {
    record: &'static str,
    fingerprint: Fingerprint,
    kind: KeyKind,
    created: UnixTime,
    expires: Option<UnixTime>,
    uses: &'static str,
    user_ids: Vec<String>,
    agent: Option<String>,
}

/// Returns the keys that signatures are verified with: authorities' and people's.
pub(super) fn trusted(home: &Home) -> Result<Vec<Listed>, Failure> {
    let trust = store(home, None).load(now());
    let mut listed = Vec::new();
    for authority in trust.authorities() {
        let used = authority.openpgp().iter();
        for root in used.filter(|root| authority.has_used(root.from)) {
            let key = root.value.key();
            listed.push(Listed {
                record: "pub",
                fingerprint: key.fingerprint().clone(),
                kind: key.kind(),
                created: key.created(),
                expires: root.retired_at,
                uses: "c",
                user_ids: vec![root.value.user_id()],
                agent: None,
            });
        }
        listed.extend(authority.people().iter().filter_map(|it| of_person(it)));
    }
    Ok(listed)
}

fn of_person(person: &Person) -> Option<Listed> {
    let primary = person.keys().first()?;
    Some(Listed {
        record: "pub",
        fingerprint: primary.key().fingerprint().clone(),
        kind: primary.key().kind(),
        created: primary.from(),
        expires: primary.until().map(|last| last.plus(1)),
        uses: match primary.problem() {
            None => "sc",
            Some(_) => "c",
        },
        user_ids: person.user_ids().map(str::to_owned).collect(),
        agent: None,
    })
}

/// Returns the keys that sign: those of the key agent's sessions.
pub(super) fn sessions(home: &Home) -> Result<Vec<Listed>, Failure> {
    let endpoint = agent::endpoint(home)?;
    let connect = || AgentClient::connect(&endpoint, Deadline::after(agent::DEADLINE));
    let mut listed = Vec::new();
    for session in connect()?.list()? {
        let agent = session.agent.to_string();
        let credentials = connect()?.credentials(&agent)?;
        let Some(armored) = credentials.openpgp else {
            continue;
        };
        let block = KeyBlock::from_armor(&armored)?;
        let key = block.primary();
        let own = block.user_ids().first();
        let lifetime = own
            .and_then(|user_id| user_id.signatures().first())
            .and_then(|signature| signature.key_lifetime());
        listed.push(Listed {
            record: "sec",
            fingerprint: key.fingerprint().clone(),
            kind: key.kind(),
            created: key.created(),
            expires: lifetime.map(|seconds| key.created().plus(seconds.into())),
            uses: "s",
            user_ids: block.user_ids().iter().map(UserId::text).collect(),
            agent: Some(agent),
        });
    }
    Ok(listed)
}

impl Listed {
    /// Tells whether a name on the command line means this key: its fingerprint or long key id,
    /// the agent's name, or a part of a user id, as in gpg.
    pub(super) fn is_called(&self, name: &str) -> bool {
        let hex = name.strip_prefix("0x").unwrap_or(name).to_ascii_uppercase();
        hex == self.fingerprint.to_string()
            || hex == self.fingerprint.long_id().to_string()
            || self.agent.as_deref() == Some(name)
            || self.user_ids.iter().any(|user_id| user_id.contains(name))
    }

    /// Writes the records of `--with-colons` (doc/DETAILS of GnuPG).
    pub(super) fn colons(&self) -> String {
        let Self {
            record,
            fingerprint,
            ..
        } = self;
        let (bits, number, curve) = (self.bits(), self.kind.number(), self.curve());
        let (long_id, created) = (fingerprint.long_id(), self.created.secs());
        let expires = self
            .expires
            .map_or(String::new(), |at| at.secs().to_string());
        let uses = format!("{}{}", self.uses, self.uses.to_ascii_uppercase());
        let mut text = format!(
            "{record}:-:{bits}:{number}:{long_id}:{created}:{expires}::-:::{uses}:::::{curve}:::0:\n\
             fpr:::::::::{fingerprint}:\n"
        );
        for user_id in &self.user_ids {
            let user_id = quoted(user_id);
            text.push_str(&format!("uid:-::::{created}::::{user_id}::::::::::0:\n"));
        }
        text
    }

    /// Writes it for people.
    pub(super) fn words(&self) -> String {
        let date = |at: UnixTime| at.to_string().split('T').next().map(str::to_owned);
        let created = date(self.created).unwrap_or_default();
        let ends = self.expires.and_then(date);
        let ends = ends.map_or(String::new(), |at| format!(" [expires: {at}]"));
        let uses = self.uses.to_ascii_uppercase();
        let curve = match self.curve() {
            "" => format!("{}{}", self.kind.name().to_ascii_lowercase(), self.bits()),
            curve => curve.to_owned(),
        };
        let mut text = format!(
            "{}   {curve} {created} [{uses}]{ends}\n      {}\n",
            self.record, self.fingerprint
        );
        for user_id in &self.user_ids {
            let user_id = notme_verifier::report::escape(user_id);
            text.push_str(&format!("uid           {user_id}\n"));
        }
        text.push('\n');
        text
    }

    fn bits(&self) -> u16 {
        match self.kind {
            KeyKind::Ed25519 { .. } => 255,
            KeyKind::Ecdsa { bits } | KeyKind::Rsa { bits } => bits,
            KeyKind::Other { .. } => 0,
        }
    }

    fn curve(&self) -> &'static str {
        match self.kind {
            KeyKind::Ed25519 { .. } => "ed25519",
            KeyKind::Ecdsa { bits: 256 } => "nistp256",
            KeyKind::Ecdsa { bits: 384 } => "nistp384",
            KeyKind::Ecdsa { .. } => "nistp521",
            KeyKind::Rsa { .. } | KeyKind::Other { .. } => "",
        }
    }
}

/// A user id that stays in its field: colons, backslashes and control characters as `\xXX`.
fn quoted(user_id: &str) -> String {
    let mut text = String::new();
    for c in user_id.chars() {
        match c {
            ':' | '\\' => text.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    text.push_str(&format!("\\x{byte:02x}"));
                }
            }
            c => text.push(c),
        }
    }
    text
}
