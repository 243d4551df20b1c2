//! What a forge signs for those who click: known by the fingerprint of its key, and never as the
//! author.

use notme_core::{
    object::{HashKind, ObjectKind},
    openpgp::KeyBlocks,
};
use notme_testkit::{clock::NOW, commit::with_signature, gnupg::Gnupg};
use notme_verifier::{Code, Judge, Judgement, Policy, Trust, openpgp::Person, trust::Authority};

use crate::world::{TREE, assert_accepted, assert_code};

const FORGE: &str = "Forge <noreply@forge.invalid>";

/// A forge with its key, and what is trusted of it.
struct Forge {
    gpg: Gnupg,
    fingerprint: String,
    trust: Trust,
}

impl Forge {
    fn new() -> Self {
        let mut gpg = Gnupg::new();
        gpg.set_time(NOW);
        let fingerprint = gpg.generate(FORGE, "rsa2048", "sign", "never");
        let keys = KeyBlocks::read(&gpg.export(FORGE)).unwrap();
        let people = keys.keys().iter().map(|block| Person::of(block).unwrap());
        let authority = Authority::from_people("forge", people.collect());
        Self {
            trust: Trust::new(vec![authority], Vec::new()),
            gpg,
            fingerprint,
        }
    }

    fn signs(&self, author: &str, committer: &str) -> Vec<u8> {
        let at = NOW.secs();
        let payload = format!(
            "tree {TREE}\nauthor {author} {at} +0000\ncommitter {committer} {at} +0000\n\nMerge\n"
        );
        let signature = self.gpg.sign(&self.fingerprint, payload.as_bytes());
        let signature = String::from_utf8(signature).unwrap();
        with_signature(payload.as_bytes(), "gpgsig", &signature)
    }

    fn judged(&self, raw: &[u8], fingerprint: &str) -> Judgement {
        let text = format!(
            r#"
            [[principal]]
            name = "forge"
            kind = "web-flow"
            fingerprints = ["{fingerprint}"]
            emails = ["noreply@forge.invalid"]
            [[principal]]
            name = "alice"
            kind = "human"
            identities = ["mailto:alice@example.org"]
            [[allow]]
            principals = ["web-flow", "alice"]
            "#
        );
        let policy = Policy::parse(&text).unwrap();
        Judge::new(&policy, &self.trust, NOW).judge_object(ObjectKind::Commit, raw, HashKind::Sha1)
    }
}

#[test]
fn a_forge_is_known_by_the_fingerprint_of_its_key_and_signs_as_itself() {
    let forge = Forge::new();
    let merged = forge.signs("Alice <alice@example.org>", FORGE);
    for fingerprint in [
        forge.fingerprint.clone(),
        forge.fingerprint.to_ascii_lowercase(),
    ] {
        let judgement = forge.judged(&merged, &fingerprint);
        assert_accepted(&judgement);
        // Whoever the author is.
        assert_eq!(judgement.identity(), Some("mailto:noreply@forge.invalid"));
    }
    // Another key of the same name is another forge.
    let judgement = forge.judged(&merged, "968479A1AFF927E37D1A566BB5690EEEBB952194");
    assert_code(&judgement, Code::NotAuthorised);
}

#[test]
fn a_forge_signs_no_commit_of_somebody_else() {
    let forge = Forge::new();
    for committer in [
        "Alice <alice@example.org>",
        "Forge <noreply@forge.invalid.example>",
    ] {
        let raw = forge.signs("Alice <alice@example.org>", committer);
        let judgement = forge.judged(&raw, &forge.fingerprint);
        assert_code(&judgement, Code::CommitterMismatch);
    }
}

#[test]
fn a_forge_that_a_policy_takes_for_a_human_or_lets_change_it_is_remarked_on() {
    let forge = Forge::new();
    let remarks = |text: &str| {
        let policy = Policy::parse(text).unwrap();
        let remarks = policy
            .remarks(&forge.trust, NOW, &|_| true, &|_| false)
            .into_iter();
        let messages = remarks.map(|it| it.message);
        let about: Vec<_> = messages.filter(|it| it.contains("a forge's key")).collect();
        about.len()
    };
    let somebody = |kind: &str, by: &str, rule: &str| {
        remarks(&format!(
            "[[principal]]\nname = \"x\"\nkind = \"{kind}\"\nemails = [\"noreply@forge.invalid\"]\n{by}\n[[allow]]\nprincipals = [\"x\"]\n{rule}\n"
        ))
    };
    let known = "fingerprints = [\"968479a1aff927e37d1a566bb5690eeebb952194\"]";
    let own = format!("fingerprints = [\"{}\"]", forge.fingerprint);
    for by in [known, &own, "identities = [\"mailto:*\"]"] {
        assert_eq!(somebody("human", by, ""), 1, "{by}");
        assert_eq!(somebody("human", by, "policy = true"), 2, "{by}");
        assert_eq!(somebody("web-flow", by, "policy = true"), 1, "{by}");
        assert_eq!(somebody("web-flow", by, ""), 0, "{by}");
    }
    let alice = "identities = [\"mailto:alice@example.org\"]";
    assert_eq!(somebody("human", alice, "policy = true"), 0);
    let anybody = "[[allow]]\nidentity = \"mailto:*\"\npolicy = true\n";
    assert_eq!(remarks(anybody), 1);
}
