//! The SSH side of the trust store: authorities' keys, and files of allowed signers.

use std::io::{self, Write};

use notme_core::{
    hex,
    ssh::{Key, Krl, PublicKey, allowed_signers::EntryKind},
    time::UnixTime,
    trust::{Revocation, RevocationKind},
};
use notme_verifier::{report::escape, ssh::ListedKey, trust::Authority};

use crate::failure::{Exit, Failure, Outcome};

/// Describes the keys for machines.
pub(super) fn describe(authority: &Authority) -> serde_json::Value {
    let authorities = authority.ssh().iter().map(|ca| {
        serde_json::json!({
            "kid": ca.value.kid(),
            "public_key": line(&ca.value),
            "fingerprint": ca.value.fingerprint(),
            "from": ca.from.to_string(),
            "retired_at": ca.retired_at.map(|at| at.to_string()),
        })
    });
    let signers = authority.signers().iter().map(|signer| {
        let entry = signer.entry();
        serde_json::json!({
            "principals": signer.principals(),
            "fingerprint": signer.public_key().fingerprint(),
            "kid": signer.kid(),
            "spki_sha256": hex::encode(&signer.public_key().spki_sha256()),
            "cert_authority": entry.kind() == EntryKind::Authority,
            "namespaces": entry.namespaces(),
            "valid_after": entry.valid_after().map(|at| at.to_string()),
            "valid_before": entry.valid_before().map(|at| at.to_string()),
        })
    });
    serde_json::json!({
        "authorities": authorities.collect::<Vec<_>>(),
        "allowed_signers": signers.collect::<Vec<_>>(),
    })
}

/// Prints the keys for people.
pub(super) fn print(out: &mut impl Write, authority: &Authority) -> io::Result<()> {
    for ca in authority.ssh() {
        let window = super::window(authority, ca.from, ca.retired_at);
        let fingerprint = ca.value.fingerprint();
        writeln!(out, "  ssh ca   {fingerprint} {}{window}", ca.value.kid())?;
    }
    for signer in authority.signers() {
        let what = match signer.entry().kind() {
            EntryKind::Key => "signer  ",
            EntryKind::Authority => "ssh ca  ",
        };
        let fingerprint = signer.public_key().fingerprint();
        let principals = escape(signer.principals());
        write!(out, "  {what} {fingerprint} {principals}")?;
        let (after, before) = (signer.entry().valid_after(), signer.entry().valid_before());
        for (word, at) in [("valid-after", after), ("valid-before", before)] {
            if let Some(at) = at {
                write!(out, ", {word} {at}")?;
            }
        }
        writeln!(out)?;
        let pin = signer.public_key().spki_sha256();
        writeln!(out, "    pin    {}", hex::encode(&pin))?;
    }
    Ok(())
}

/// Prints a file of allowed signers.
pub(super) fn export_allowed_signers<'a>(
    authorities: impl Iterator<Item = &'a Authority>,
) -> Outcome {
    let text = allowed_signers(authorities);
    if text.is_empty() {
        return Err(Failure::from("no trusted authority has SSH keys"));
    }
    write!(io::stdout(), "{text}")?;
    Ok(Exit::Yes)
}

/// Writes a file of allowed signers: what ssh-keygen and git need to verify what the authorities'
/// sessions signed.
pub(super) fn allowed_signers<'a>(authorities: impl Iterator<Item = &'a Authority>) -> String {
    let mut text = String::new();
    for authority in authorities {
        if let Some(facts) = authority.document() {
            // A key that is only prepared signed nothing that is to be accepted.
            let used = authority.ssh().iter();
            for ca in used.filter(|ca| authority.has_used(ca.from)) {
                let until = ca.retired_at.map_or_else(String::new, |at| {
                    format!(",valid-before=\"{}\"", compact(at))
                });
                text.push_str(&format!(
                    "wimse://{}/* cert-authority,namespaces=\"git\"{until} {}\n",
                    facts.trust_domain,
                    line(&ca.value)
                ));
            }
        }
        for signer in authority.signers() {
            text.push_str(&signer_line(signer));
        }
    }
    text
}

/// Writes what the authorities took back as a key revocation list. Such a list knows no times and
/// only some kinds of names; what it cannot say is told on stderr.
pub(super) fn export_krl<'a>(
    authorities: impl Iterator<Item = &'a Authority>,
    now: UnixTime,
) -> Outcome {
    let version = u64::try_from(now.secs()).unwrap_or(0);
    let mut krl = Krl::new(version, now, "notme");
    let mut has_authority = false;
    for authority in authorities {
        has_authority |= !authority.ssh().is_empty();
        for revocation in authority.revocations() {
            if revocation.since <= now && !revoke(&mut krl, authority, revocation) {
                writeln!(
                    io::stderr(),
                    "note: {}: a key revocation list cannot say that {:?} `{}` is revoked",
                    authority.name(),
                    revocation.kind,
                    escape(&revocation.value)
                )?;
            }
        }
    }
    if !has_authority {
        return Err(Failure::from("no trusted authority has SSH keys"));
    }
    io::stdout().write_all(&krl.to_bytes())?;
    Ok(Exit::Yes)
}

/// Adds one revocation; `false` when the list has no words for it.
fn revoke(krl: &mut Krl, authority: &Authority, revocation: &Revocation) -> bool {
    let keys = || authority.ssh().iter().map(|ca| &ca.value);
    match revocation.kind {
        RevocationKind::Certificate => {
            let serial = match u64::from_str_radix(&revocation.value, 16) {
                // No list has the number of those that have none.
                Ok(0) => return false,
                Ok(serial) => serial,
                // Longer numbers are those of X.509 certificates.
                Err(_) => return true,
            };
            for key in keys() {
                krl.revoke_serials(Some(key), serial, serial);
            }
        }
        RevocationKind::Identity => {
            for key in keys() {
                krl.revoke_key_id(Some(key), &revocation.value);
            }
        }
        RevocationKind::Key => {
            let Some(key) = keys().find(|key| key.kid().to_string() == revocation.value) else {
                return false;
            };
            krl.revoke_key(key);
        }
        RevocationKind::Session | RevocationKind::Epoch => return false,
    }
    true
}

fn signer_line(signer: &ListedKey) -> String {
    let entry = signer.entry();
    let mut options = Vec::new();
    if entry.kind() == EntryKind::Authority {
        options.push("cert-authority".to_owned());
    }
    if let Some(namespaces) = entry.namespaces() {
        options.push(format!(
            "namespaces=\"{}\"",
            namespaces.replace('"', "\\\"")
        ));
    }
    for (name, at) in [
        ("valid-after", entry.valid_after()),
        ("valid-before", entry.valid_before()),
    ] {
        options.extend(at.map(|at| format!("{name}=\"{}\"", compact(at))));
    }
    let options = match options.is_empty() {
        true => String::new(),
        false => format!("{} ", options.join(",")),
    };
    let principals = signer.principals();
    let is_plain = !principals.is_empty() && !principals.starts_with('#');
    let principals = match is_plain && !principals.contains([' ', '\t', '\r']) {
        true => principals.to_owned(),
        false => format!("\"{principals}\""),
    };
    format!("{principals} {options}{}\n", entry.key().to_text())
}

fn line(key: &PublicKey) -> String {
    Key::Plain(key.clone()).to_text()
}

/// Writes a time as ssh-keygen reads it, in UTC.
fn compact(at: UnixTime) -> String {
    at.to_string()
        .chars()
        .filter(|c| c.is_ascii_digit() || *c == 'Z')
        .collect()
}
