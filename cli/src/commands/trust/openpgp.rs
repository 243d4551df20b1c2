//! OpenPGP keys in the trust store: people's, and those of authorities.

use std::io::{self, Write};

use notme_core::{
    hex,
    openpgp::{ArmorKind, armor},
};
use notme_verifier::{report::escape, trust::Authority};

use crate::failure::{Exit, Failure, Outcome};

/// Prints the keys that authorities certify with, and people's, as one armored file to import.
pub(super) fn export<'a>(authorities: impl Iterator<Item = &'a Authority>) -> Outcome {
    let mut packets = Vec::new();
    for authority in authorities {
        // A key that is only prepared certified nothing that is to be accepted.
        let used = authority.openpgp().iter();
        for root in used.filter(|root| authority.has_used(root.from)) {
            packets.extend_from_slice(root.value.as_bytes());
        }
        for person in authority.people() {
            packets.extend_from_slice(person.as_bytes());
        }
    }
    if packets.is_empty() {
        return Err(Failure::from("no OpenPGP key of that name is trusted"));
    }
    write!(io::stdout(), "{}", armor(ArmorKind::PublicKeys, &packets))?;
    writeln!(
        io::stderr(),
        "hint: gpg reads session keys from the signatures themselves with `auto-key-import` in gpg.conf"
    )?;
    Ok(Exit::Yes)
}

/// Describes an authority's OpenPGP keys for programs.
pub(super) fn describe(authority: &Authority) -> Vec<serde_json::Value> {
    let certifying = authority.openpgp().iter().map(|root| {
        serde_json::json!({
            "fingerprint": root.value.fingerprint().to_string(),
            "kid": root.value.key().kid(),
            "user_ids": [root.value.user_id()],
            "certifies": true,
            "from": root.from.to_string(),
            "retired_at": root.retired_at.map(|at| at.to_string()),
        })
    });
    let people = authority.people().iter().map(|person| {
        let primary = person.keys().first();
        serde_json::json!({
            "fingerprint": primary.map(|key| key.key().fingerprint().to_string()),
            "kid": person.kid(),
            "spki_sha256": hex::encode(&person.spki_sha256()),
            "user_ids": person.user_ids().collect::<Vec<_>>(),
            "certifies": false,
        })
    });
    certifying.chain(people).collect()
}

/// Describes them for people, who compare the fingerprints.
pub(super) fn print(out: &mut impl Write, authority: &Authority) -> io::Result<()> {
    for root in authority.openpgp() {
        let window = super::window(authority, root.from, root.retired_at);
        writeln!(out, "  openpgp  {}{window}", root.value.fingerprint())?;
    }
    for person in authority.people() {
        if let Some(primary) = person.keys().first() {
            writeln!(out, "  key      {}", primary.key().fingerprint())?;
        }
        writeln!(out, "    pin    {}", hex::encode(&person.spki_sha256()))?;
        for user_id in person.user_ids() {
            writeln!(out, "    of     {}", escape(user_id))?;
        }
    }
    Ok(())
}
