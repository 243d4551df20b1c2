//! Whom a file of allowed signers lets sign, line by line as OpenSSH reads it.

use notme_core::{
    ssh::{
        AllowedSigners, Certificate, Key, RevocationList,
        allowed_signers::{Entry, EntryKind, Line, LineError},
        pattern,
    },
    time::UnixTime,
};

use super::{
    check::Checked,
    remark::{Answer, Denied, Remark},
};

/// Decides whether `principal` may have made a signature that holds, at a time.
///
/// Every line is looked at until one allows it: one that is broken, or lists the key for another
/// use or time, allows nothing and stops nothing.
pub fn verify(
    signature: Checked<'_>,
    principal: &str,
    allowed: &AllowedSigners,
    revoked: Option<&RevocationList>,
    at: UnixTime,
) -> Answer<()> {
    let mut remarks = Vec::new();
    if revoked.is_some_and(|list| list.revokes(signature.key())) {
        let result = Err(Denied::Revoked);
        return Answer { result, remarks };
    }
    for line in allowed
        .lines()
        .iter()
        .filter(|line| concerns(line, principal))
    {
        match allows(line, signature, principal, at) {
            Ok(true) => {
                let result = Ok(());
                return Answer { result, remarks };
            }
            Ok(false) => {}
            Err(remark) => remarks.push((line.number(), remark)),
        }
    }
    let result = Err(Denied::NotListed);
    Answer { result, remarks }
}

/// Finds the names under which a key may sign at a time, from the first line that lists it: the
/// line's patterns for a key, the certificate's names that they match for an authority. Says
/// nothing about any signature or namespace.
pub fn find_principals(key: &Key, allowed: &AllowedSigners, at: UnixTime) -> Answer<Vec<String>> {
    let mut remarks = Vec::new();
    for line in allowed.lines() {
        match names(line, key, at) {
            Ok(Some(names)) => {
                let result = Ok(names);
                return Answer { result, remarks };
            }
            Ok(None) => {}
            Err(remark) => remarks.push((line.number(), remark)),
        }
    }
    let result = Err(Denied::NotListed);
    Answer { result, remarks }
}

/// Finds the lists of patterns that cover a name, whatever the keys on their lines.
pub fn match_principals(principal: &str, allowed: &AllowedSigners) -> Answer<Vec<String>> {
    let mut lists = Vec::new();
    for line in allowed
        .lines()
        .iter()
        .filter(|line| concerns(line, principal))
    {
        if let Err(error) = line.entry() {
            return Answer {
                result: Err(Denied::Unreadable),
                remarks: vec![(line.number(), error.clone().into())],
            };
        }
        lists.push(line.principals().to_owned());
    }
    Answer {
        result: match lists.is_empty() {
            true => Err(Denied::NotListed),
            false => Ok(lists),
        },
        remarks: Vec::new(),
    }
}

/// A line that names others is passed over before its key is read; one whose names cannot be
/// told might name anybody.
fn concerns(line: &Line, principal: &str) -> bool {
    line.covers(principal) || matches!(line.entry(), Err(LineError::Text | LineError::Line))
}

fn allows(
    line: &Line,
    signature: Checked<'_>,
    principal: &str,
    at: UnixTime,
) -> Result<bool, Remark> {
    let entry = line.entry().map_err(Clone::clone)?;
    match lists(entry, signature.key()) {
        Listed::No => return Ok(false),
        Listed::Key => {}
        Listed::Authority(certificate) => certificate.authorises(at, Some(principal))?,
    }
    if !entry.allows_namespace(signature.namespace()) {
        return Err(Remark::Namespace(signature.namespace().to_owned()));
    }
    check_window(entry, at)?;
    Ok(true)
}

fn names(line: &Line, key: &Key, at: UnixTime) -> Result<Option<Vec<String>>, Remark> {
    let entry = line.entry().map_err(Clone::clone)?;
    let patterns = || line.principals().split(',').take_while(|it| !it.is_empty());
    let names = match lists(entry, key) {
        Listed::No => return Ok(None),
        Listed::Key => patterns().map(str::to_owned).collect(),
        Listed::Authority(certificate) => {
            let is_valid = certificate.authorises(at, None).is_ok();
            let names = patterns()
                .filter(|_| is_valid)
                .flat_map(|pattern| matching(certificate, pattern));
            let names: Vec<String> = names.collect();
            if names.is_empty() {
                return Err(Remark::NoPrincipals);
            }
            names
        }
    };
    check_window(entry, at)?;
    Ok(Some(names))
}

/// Returns the certificate's names that one pattern matches. A `!` means nothing here. Names
/// that would be read as several, on lines or between commas, are left out.
fn matching<'a>(
    certificate: &'a Certificate,
    pattern: &'a str,
) -> impl Iterator<Item = String> + 'a {
    certificate
        .principals()
        .iter()
        .filter(|name| !name.contains(|c: char| c.is_control() || c == ','))
        .filter(move |name| pattern::matches(name.as_bytes(), pattern.as_bytes()))
        .cloned()
}

enum Listed<'a> {
    No,
    Key,
    Authority(&'a Certificate),
}

fn lists<'a>(entry: &Entry, key: &'a Key) -> Listed<'a> {
    match (entry.kind(), key) {
        (EntryKind::Key, key) if entry.key() == key => Listed::Key,
        (EntryKind::Authority, Key::Certified(certificate))
            if entry.key().public_key() == certificate.authority() =>
        {
            Listed::Authority(certificate)
        }
        (EntryKind::Key | EntryKind::Authority, _) => Listed::No,
    }
}

fn check_window(entry: &Entry, at: UnixTime) -> Result<(), Remark> {
    if let Some(from) = entry.valid_after().filter(|from| at < *from) {
        return Err(Remark::NotYetValid { at, from });
    }
    // Unlike a certificate's, a line's last second still counts.
    if let Some(until) = entry.valid_before().filter(|until| at > *until) {
        return Err(Remark::Expired { at, until });
    }
    Ok(())
}
