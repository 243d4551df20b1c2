//! The keys with which forges sign for whoever is logged in to them. Such a key is nobody's: what it
//! signs somebody clicked, and the key does not say who.

use notme_core::openpgp::Fingerprint;

use crate::{openpgp::Person, policy::Signer, trust::Trust};

/// Keys of GitHub's web interface: the one in use, and the one before it.
const WEB_FLOW: [&str; 2] = [
    "968479A1AFF927E37D1A566BB5690EEEBB952194",
    "5DE3E0509C47EA3CF04A42D34AEE18F83AFDEB23",
];
/// Names of mailboxes that nobody reads. `1+alice@users.noreply.github.com` is somebody's.
const NOBODY: [&str; 2] = ["noreply", "no-reply"];

/// Tells whether a fingerprint is that of a forge's key.
pub(crate) fn is_web_flow_key(fingerprint: &Fingerprint) -> bool {
    WEB_FLOW.contains(&fingerprint.to_string().as_str())
}

/// Tells whether a key is a forge's: by its fingerprint, or since all its addresses are nobody's.
pub fn is_web_flow(person: &Person) -> bool {
    let mut keys = person.keys().iter();
    let mut addresses = person.addresses().peekable();
    keys.any(|it| is_web_flow_key(it.key().fingerprint()))
        || (addresses.peek().is_some() && addresses.all(is_nobodys))
}

/// Tells whether an address, or the identity that is made of it, is that of a forge.
pub fn is_nobodys(address: &str) -> bool {
    let address = address.strip_prefix("mailto:").unwrap_or(address);
    let local = address.split_once('@').map(|(local, _)| local);
    local.is_some_and(|local| NOBODY.iter().any(|it| local.eq_ignore_ascii_case(it)))
}

/// Tells whether something is true of one of the forges' keys in a trust store.
pub(crate) fn any_of(trust: &Trust, mut is_true: impl FnMut(Signer<'_>) -> bool) -> bool {
    trust.authorities().iter().any(|authority| {
        let mut of_person = |person: &Person| {
            let Some(primary) = person.keys().first() else {
                return false;
            };
            let mut names = person.user_ids().filter_map(|it| person.identity(it));
            names.any(|identity| {
                person.keys().iter().any(|key| {
                    is_true(Signer {
                        identity: &identity,
                        authority: authority.name(),
                        authority_kid: person.kid(),
                        kid: key.kid(),
                        issuer: None,
                        fingerprints: Some([key.key().fingerprint(), primary.key().fingerprint()]),
                    })
                })
            })
        };
        let mut people = authority.people().iter().filter(|it| is_web_flow(it));
        if people.any(|person| of_person(person)) {
            return true;
        }
        authority.signers().iter().any(|listed| {
            let identity = listed.identity(listed.entry().key());
            identity
                .filter(|it| is_nobodys(it))
                .is_some_and(|identity| {
                    is_true(Signer {
                        identity: &identity,
                        authority: authority.name(),
                        authority_kid: listed.kid(),
                        kid: listed.kid(),
                        issuer: None,
                        fingerprints: None,
                    })
                })
        })
    })
}
