//! OpenPGP keys in the trust store: people's, and those of authorities.

use std::io::{self, Write};

use notme_core::{
    hex,
    openpgp::{ArmorKind, armor},
};
use notme_verifier::{
    openpgp::{Person, SigningKey},
    report::escape,
    trust::Authority,
};

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
        "hint: gpg reads session keys from the signatures themselves with `auto-key-import` in gpg.conf; anybody's, so set git's `gpg.minTrustLevel` to `fully`, and in gpg the owner trust of these keys"
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
        let keys = person.keys().iter();
        serde_json::json!({
            "fingerprint": person.keys().first().map(|key| key.key().fingerprint().to_string()),
            "kid": person.kid(),
            "spki_sha256": hex::encode(&person.spki_sha256()),
            "user_ids": person.user_ids().collect::<Vec<_>>(),
            "certifies": false,
            "keys": keys.map(|key| describe_key(person, key)).collect::<Vec<_>>(),
        })
    });
    certifying.chain(people).collect()
}

fn describe_key(person: &Person, key: &SigningKey) -> serde_json::Value {
    serde_json::json!({
        "fingerprint": key.key().fingerprint().to_string(),
        "kid": key.kid(),
        "from": key.from().to_string(),
        "until": key.until().map(|until| until.to_string()),
        "revoked": person.revocation(key.kid()).map(super::describe_revocation),
        "problem": key.problem().map(|problem| problem.code),
    })
}

/// Describes them for people, who compare the fingerprints.
pub(super) fn print(out: &mut impl Write, authority: &Authority) -> io::Result<()> {
    for root in authority.openpgp() {
        let window = super::window(authority, root.from, root.retired_at);
        writeln!(out, "  openpgp  {}{window}", root.value.fingerprint())?;
    }
    for person in authority.people() {
        let Some((primary, subkeys)) = person.keys().split_first() else {
            continue;
        };
        print_key(out, "  key   ", person, primary)?;
        writeln!(out, "    pin    {}", hex::encode(&person.spki_sha256()))?;
        for user_id in person.user_ids() {
            writeln!(out, "    of     {}", escape(user_id))?;
        }
        for subkey in subkeys {
            print_key(out, "    subkey", person, subkey)?;
        }
    }
    Ok(())
}

fn print_key(
    out: &mut impl Write,
    what: &str,
    person: &Person,
    key: &SigningKey,
) -> io::Result<()> {
    write!(out, "{what:<10} {}", key.key().fingerprint())?;
    if let Some(until) = key.until() {
        write!(out, ", until {until}")?;
    }
    if let Some(revocation) = person.revocation(key.kid()) {
        let (since, reason) = (revocation.since, &revocation.reason);
        write!(out, ", revoked since {since}: {}", escape(reason))?;
    }
    if let Some(problem) = key.problem() {
        let detail = problem.detail.as_deref().unwrap_or(problem.code.as_str());
        write!(out, ", may not sign: {}", escape(detail))?;
    }
    writeln!(out)
}
