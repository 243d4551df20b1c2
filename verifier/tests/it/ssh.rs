//! SSH signatures judged: certificates of a pinned authority, and pinned files of allowed signers.

use std::fs;

use notme_core::{
    identity::Identity,
    key::{Signer, sha256},
    ssh::{
        Key, Prehash, PublicKey, SshSig, UserCertificate,
        signature::ed25519_blob,
        sshsig::HashAlgorithm,
        wire::{Reader, Writer},
    },
    terms::Terms,
    time::UnixTime,
    trust::{Revocation, RevocationKind, SshCa, TrustDocument},
};
use notme_testkit::{
    cast::{TRUST_DOMAIN, TestAuthority},
    clock::NOW,
    commit::with_signature,
    keys::Ed25519Key,
};
use notme_verifier::{
    Code, Judge, Judgement, Policy, TimeBasis, Trust, Verdict,
    explain::explain,
    load::{TrustStore, TrustStoreError},
    trust::Authority,
};

use crate::{
    flip::assert_no_flip_is_accepted,
    world::{assert_accepted, assert_code, floor, judge_by, judge_in, payload, trust_in},
};

fn ca() -> Ed25519Key {
    Ed25519Key::from_seed([0xca; 32])
}

fn user() -> Ed25519Key {
    Ed25519Key::from_seed([0x05; 32])
}

fn identity() -> Identity {
    format!("wimse://{TRUST_DOMAIN}/agent/alice/claude")
        .parse()
        .unwrap()
}

fn document() -> TrustDocument {
    let key = PublicKey::from_key(ca().public_key()).unwrap();
    TrustDocument {
        ssh_ca: vec![SshCa {
            kid: key.kid(),
            public_key: key,
            from: NOW.plus(-3600),
            retired_at: None,
        }],
        ..TestAuthority::new(1).trust(1, NOW)
    }
}

/// A certificate for the usual payload, after a change.
fn certificate(change: impl FnOnce(&mut UserCertificate<'_>)) -> Key {
    let (user, identity) = (user(), identity());
    let scopes = ["sign:git".to_owned()];
    let principals = [identity.as_str(), "claude"];
    let mut template = UserCertificate {
        nonce: [1; 32],
        key: user.public_key(),
        serial: 0x1234,
        identity: &identity,
        principals: &principals,
        valid_after: NOW.plus(-60),
        valid_before: NOW.plus(300),
        payload_digest: Some(sha256(&payload())),
        x509_kid: user.public_key().kid(),
        epoch: 3,
        issued_at: NOW,
        scopes: &scopes,
        session: [0xb1; 32],
        permits: &[],
        terms: None,
    };
    change(&mut template);
    let certificate = template.sign(&ca()).unwrap();
    Key::Certified(Box::new(certificate))
}

fn bound() -> Key {
    certificate(|_| {})
}

/// A certificate that names no payload.
fn session() -> Key {
    certificate(|it| it.payload_digest = None)
}

fn sign(key: &Key, namespace: &str, payload: &[u8]) -> String {
    let data = Prehash::of(HashAlgorithm::Sha512, payload).signed_data(namespace);
    let blob = ed25519_blob(&user().sign(&data).unwrap());
    SshSig::new(key.clone(), namespace, HashAlgorithm::Sha512, blob).to_armor()
}

fn commit(key: &Key) -> Vec<u8> {
    with_signature(&payload(), "gpgsig", &sign(key, "git", &payload()))
}

fn judge(key: &Key) -> Judgement {
    judge_in(&commit(key), &trust_in(&document()), NOW)
}

fn judge_declared(key: &Key, now: UnixTime) -> Judgement {
    judge_by(
        &commit(key),
        &floor("declared"),
        &trust_in(&document()),
        now,
    )
}

#[test]
fn an_issuance_bound_ssh_certificate_is_accepted() {
    let judgement = judge(&bound());
    assert_accepted(&judgement);
    assert_eq!(judgement.format().unwrap().as_str(), "ssh");
    assert_eq!(judgement.identity(), Some(identity().as_str()));
    assert_eq!(judgement.authority(), Some("local"));
    assert_eq!(judgement.kid(), Some(user().public_key().kid()));
    assert_eq!(judgement.authority_kid(), Some(ca().public_key().kid()));
    assert_eq!(judgement.time_basis(), Some(TimeBasis::IssuanceBound));
    assert_eq!(judgement.judged_at(), Some(NOW));
    let standing = judgement.standing().unwrap();
    assert_eq!(standing.serial_hex(), "1234");
    assert_eq!(standing.not_before(), NOW.plus(-60));
    assert_eq!(standing.not_after(), NOW.plus(299));
}

#[test]
fn the_terms_of_an_ssh_certificate_hold() {
    let mut terms = Terms {
        repository: None,
        refs: Some(vec!["refs/heads/agent/*".to_owned()]),
        paths: None,
        signatures: 10,
        until: NOW.plus(300),
    };
    let within = |terms: &Terms| {
        let terms: &'static Terms = Box::leak(Box::new(terms.clone()));
        judge(&certificate(|it| it.terms = Some(terms)))
    };
    let judgement = within(&terms);
    assert_accepted(&judgement);
    assert_eq!(judgement.terms(), Some(&terms));
    assert_eq!(judgement.unchecked(), ["ref"]);
    terms.paths = Some(vec!["src/*".to_owned()]);
    assert_code(&within(&terms), Code::TermsUnchecked);
}

#[test]
fn no_flipped_byte_of_an_ssh_commit_is_accepted() {
    let trust = trust_in(&document());
    assert_no_flip_is_accepted(&commit(&bound()), |raw| judge_in(raw, &trust, NOW));
}

#[test]
fn an_issuance_bound_ssh_certificate_outlives_itself() {
    let mut document = document();
    document.expires_at = NOW.plus(1_000_000);
    let judgement = judge_in(&commit(&bound()), &trust_in(&document), NOW.plus(100_000));
    assert_accepted(&judgement);
}

#[test]
fn an_ssh_certificate_for_other_bytes_is_refused_at_any_floor() {
    let other = certificate(|it| it.payload_digest = Some([7; 32]));
    assert_code(&judge(&other), Code::IssuanceMismatch);
    assert_code(&judge_declared(&other, NOW), Code::IssuanceMismatch);
}

#[test]
fn a_session_certificate_of_ssh_rests_on_the_date() {
    assert_code(&judge(&session()), Code::TimeBasisTooWeak);
    assert_accepted(&judge_declared(&session(), NOW));
}

#[test]
fn the_window_of_an_ssh_certificate_ends_before_its_end() {
    let ends = |last: i64| {
        judge_declared(
            &certificate(|it| {
                it.payload_digest = None;
                it.valid_before = NOW.plus(last + 1);
            }),
            NOW,
        )
    };
    // The policy allows for clocks that differ by a minute.
    assert_accepted(&ends(-59));
    assert_accepted(&ends(0));
    let begins = |first: i64| {
        judge_declared(
            &certificate(|it| {
                it.payload_digest = None;
                it.valid_after = NOW.plus(first);
            }),
            NOW,
        )
    };
    assert_accepted(&begins(60));
    assert_code(&begins(61), Code::CertificateNotYetValid);
    let long_over = certificate(|it| {
        it.payload_digest = None;
        it.valid_after = NOW.plus(-3600);
        it.valid_before = NOW.plus(-60);
    });
    assert_code(&judge_declared(&long_over, NOW), Code::CertificateExpired);
}

#[test]
fn a_strangers_ssh_certificate_is_untrusted_and_not_invalid() {
    let mut document = document();
    document.ssh_ca.clear();
    let judgement = judge_in(&commit(&bound()), &trust_in(&document), NOW);
    assert_code(&judgement, Code::SignerUntrusted);
    assert_eq!(&*judgement.claimed().unwrap().name, identity().as_str());
    let plain = Key::Plain(bound().public_key().clone());
    assert_code(&judge(&plain), Code::SignerUntrusted);
}

#[test]
fn a_key_signs_no_certificates_of_another_format() {
    // The root for X.509 is no authority for SSH.
    let mut document = document();
    document.ssh_ca.clear();
    let x509 = TestAuthority::new(1);
    let identity = identity();
    let user = user();
    let certificate = UserCertificate {
        nonce: [1; 32],
        key: user.public_key(),
        serial: 1,
        identity: &identity,
        principals: &[identity.as_str()],
        valid_after: NOW.plus(-60),
        valid_before: NOW.plus(300),
        payload_digest: Some(sha256(&payload())),
        x509_kid: user.public_key().kid(),
        epoch: 1,
        issued_at: NOW,
        scopes: &["sign:git".to_owned()],
        session: [0xb1; 32],
        permits: &[],
        terms: None,
    };
    let certificate = certificate.sign(x509.ed25519_key()).unwrap();
    let key = Key::Certified(Box::new(certificate));
    let judgement = judge_in(&commit(&key), &trust_in(&document), NOW);
    assert_code(&judgement, Code::SignerUntrusted);
}

#[test]
fn an_ssh_certificate_needs_a_scope_for_git() {
    let other = ["ssh:login".to_owned()];
    assert_code(
        &judge(&certificate(|it| it.scopes = &[])),
        Code::ScopeMissing,
    );
    let scoped = |scopes: &[String]| {
        let (user, identity) = (user(), identity());
        let template = UserCertificate {
            nonce: [1; 32],
            key: user.public_key(),
            serial: 1,
            identity: &identity,
            principals: &[identity.as_str()],
            valid_after: NOW.plus(-60),
            valid_before: NOW.plus(300),
            payload_digest: Some(sha256(&payload())),
            x509_kid: user.public_key().kid(),
            epoch: 1,
            issued_at: NOW,
            scopes,
            session: [0xb1; 32],
            permits: &[],
            terms: None,
        };
        judge(&Key::Certified(Box::new(template.sign(&ca()).unwrap())))
    };
    assert_code(&scoped(&other), Code::ScopeMissing);
    assert_accepted(&scoped(&["ssh:login".to_owned(), "sign:git".to_owned()]));
}

#[test]
fn an_ssh_certificate_names_its_identity_twice() {
    let unlisted = certificate(|it| it.principals = &["claude"]);
    assert_code(&judge(&unlisted), Code::IdentityMissing);
}

/// Writes a certificate by hand and has the authority sign it.
fn odd(role: u32, principals: &[&str], critical: &[&str]) -> Key {
    let bound = bound();
    let mut reader = Reader::new(bound.blob());
    let name = reader.string().unwrap();
    let nonce = reader.string().unwrap();
    let raw = reader.string().unwrap();
    let identity = identity();
    let names = principals
        .iter()
        .fold(Writer::new(), |out, name| out.string(name.as_bytes()));
    let critical = critical.iter().fold(Writer::new(), |out, name| {
        out.string(name.as_bytes()).string(b"")
    });
    let authority = PublicKey::from_key(ca().public_key()).unwrap();
    let signed = Writer::new()
        .string(name)
        .string(nonce)
        .string(raw)
        .u64(1)
        .u32(role)
        .string(identity.as_str().as_bytes())
        .string(&names.finish())
        .u64(0)
        .u64(u64::MAX)
        .string(&critical.finish())
        .string(b"")
        .string(b"")
        .string(authority.blob())
        .finish();
    let signature = ed25519_blob(&ca().sign(&signed).unwrap());
    let blob = Writer::new().bytes(&signed).string(&signature).finish();
    Key::from_blob(&blob).unwrap()
}

#[test]
fn odd_ssh_certificates_are_refused() {
    let identity = identity();
    let names = [identity.as_str()];
    let judge = |key| judge_declared(&key, NOW);
    assert_code(&judge(odd(2, &names, &[])), Code::CertificateInvalid);
    let unknown = odd(1, &names, &["what@example.com"]);
    assert_code(&judge(unknown), Code::CertificateUnknownCritical);
    assert_code(&judge(odd(1, &[], &[])), Code::IdentityMissing);
    assert_code(&judge(odd(1, &names, &[])), Code::ScopeMissing);
}

#[test]
fn what_is_revoked_takes_ssh_certificates_with_it() {
    let user = user();
    for (kind, value) in [
        (RevocationKind::Certificate, "1234".to_owned()),
        (RevocationKind::Key, user.public_key().kid().to_string()),
        (RevocationKind::Key, ca().public_key().kid().to_string()),
        (RevocationKind::Session, "b1".repeat(32)),
        (RevocationKind::Identity, identity().to_string()),
        (RevocationKind::Epoch, "3".to_owned()),
    ] {
        let mut document = document();
        document.revocations.push(Revocation {
            kind,
            value,
            since: NOW,
            reason: "stolen".to_owned(),
        });
        let revoked = judge_in(&commit(&bound()), &trust_in(&document), NOW);
        assert_code(&revoked, Code::Revoked);
        document.revocations[0].since = NOW.plus(1);
        assert_accepted(&judge_in(&commit(&bound()), &trust_in(&document), NOW));
    }
}

#[test]
fn a_retired_ssh_authority_stands_for_what_was_before() {
    let mut document = document();
    document.ssh_ca[0].retired_at = Some(NOW);
    assert_accepted(&judge_in(&commit(&bound()), &trust_in(&document), NOW));
    document.ssh_ca[0].retired_at = Some(NOW.plus(-1));
    let late = judge_in(&commit(&bound()), &trust_in(&document), NOW);
    assert_code(&late, Code::RootRetired);
    document.ssh_ca[0].retired_at = None;
    document.ssh_ca[0].from = NOW.plus(1);
    let early = judge_in(&commit(&bound()), &trust_in(&document), NOW);
    assert_code(&early, Code::RootNotYetUsed);
}

#[test]
fn an_ssh_signature_for_another_namespace_is_invalid() {
    let signature = sign(&bound(), "file", &payload());
    let raw = with_signature(&payload(), "gpgsig", &signature);
    assert_code(
        &judge_in(&raw, &trust_in(&document()), NOW),
        Code::SignatureInvalid,
    );
}

#[test]
fn an_ssh_signature_over_other_bytes_is_invalid() {
    let signature = sign(&bound(), "git", b"other bytes");
    let raw = with_signature(&payload(), "gpgsig", &signature);
    let judgement = judge_in(&raw, &trust_in(&document()), NOW);
    assert_code(&judgement, Code::SignatureInvalid);
    assert_eq!(judgement.identity(), None);
}

#[test]
fn an_ssh_signature_that_does_not_parse_is_malformed() {
    for body in ["AAAA", "!", "", "U1NIU0lH"] {
        let signature =
            format!("-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----\n");
        let raw = with_signature(&payload(), "gpgsig", &signature);
        let judgement = judge_in(&raw, &trust_in(&document()), NOW);
        assert_code(&judgement, Code::SignatureMalformed);
        assert_eq!(judgement.format().unwrap().as_str(), "ssh");
    }
}

#[test]
fn text_after_an_ssh_signature_is_ambiguous() {
    let signature = format!("{}and more\n", sign(&bound(), "git", &payload()));
    let raw = with_signature(&payload(), "gpgsig", &signature);
    assert_code(
        &judge_in(&raw, &trust_in(&document()), NOW),
        Code::SignatureAmbiguous,
    );
}

fn plain() -> Key {
    Key::Plain(bound().public_key().clone())
}

/// Trust in a file of allowed signers, in which `{user}` and `{ca}` stand for keys.
fn listed(text: &str) -> Result<Authority, TrustStoreError> {
    let directory = tempfile::tempdir().unwrap();
    let store = TrustStore::new(
        directory.path().join("trust"),
        directory.path().join("state"),
    );
    store.add_allowed_signers("people", filled(text).as_bytes())
}

fn filled(text: &str) -> String {
    let ca = Key::Plain(PublicKey::from_key(ca().public_key()).unwrap());
    text.replace("{user}", &plain().to_text())
        .replace("{ca}", &ca.to_text())
        .replace("{certificate}", &session().to_text())
}

fn judge_listed(key: &Key, text: &str) -> Judgement {
    let trust = Trust::new(vec![listed(text).unwrap()], Vec::new());
    judge_in(&commit(key), &trust, NOW)
}

#[test]
fn a_listed_key_has_no_certificate_to_be_valid() {
    for (text, said) in [
        ("a@example.com {user}", "The key is listed for any time"),
        (
            "a@example.com valid-before=\"20990101000000Z\" {user}",
            "The key is listed from 1970-01-01T00:00:00Z to 2099-01-01T00:00:00Z",
        ),
    ] {
        let trust = Trust::new(vec![listed(text).unwrap()], Vec::new());
        let judgement = judge_in(&commit(&plain()), &trust, NOW);
        assert_accepted(&judgement);
        let policy = Policy::from_trust(&trust);
        let explanation = explain(&judgement, &Judge::new(&policy, &trust, NOW));
        let text = &explanation.steps()[4].text;
        assert!(
            text.contains(said) && !text.contains("certificate"),
            "{text}"
        );
    }
}

#[test]
fn listed_people_are_accepted_by_their_names() {
    for (text, identity) in [
        ("human@example.com {user}", "mailto:human@example.com"),
        (
            "*@example.com,human@example.com {user}",
            "mailto:human@example.com",
        ),
        (
            "mailto:human@example.com {user}",
            "mailto:human@example.com",
        ),
        (
            "human@example.com namespaces=\"git,file\" {user}",
            "mailto:human@example.com",
        ),
        (
            "human@example.com namespaces=\"file\" {user}\nother@example.com {user}",
            "mailto:other@example.com",
        ),
    ] {
        let judgement = judge_listed(&plain(), text);
        assert_accepted(&judgement);
        assert_eq!(judgement.identity(), Some(identity), "{text}");
        assert_eq!(judgement.time_basis(), Some(TimeBasis::Declared));
        assert!(!judgement.standing().unwrap().is_certified());
    }
    let unnamed = judge_listed(&plain(), "* {user}");
    assert_accepted(&unnamed);
    let fingerprint = plain().public_key().fingerprint();
    assert_eq!(unnamed.identity(), Some(&*format!("ssh-key:{fingerprint}")));
}

#[test]
fn listed_people_cannot_name_an_agent() {
    let text = format!("{} {{user}}", identity());
    assert_code(&judge_listed(&plain(), &text), Code::NotAuthorised);
    let by_ca = "* cert-authority {ca}";
    assert_code(&judge_listed(&session(), by_ca), Code::NotAuthorised);
}

#[test]
fn a_listed_authority_names_whom_its_line_allows() {
    let named = certificate(|it| {
        it.payload_digest = None;
        it.principals = &["root@example.com", "human@example.com"];
    });
    let judgement = judge_listed(&named, "human@* cert-authority,namespaces=\"git\" {ca}");
    assert_accepted(&judgement);
    assert_eq!(judgement.identity(), Some("mailto:human@example.com"));
    let negated = judge_listed(
        &named,
        "!human@example.com,*@example.com cert-authority {ca}",
    );
    assert_eq!(negated.identity(), Some("mailto:root@example.com"));
    for text in [
        "nobody@example.com cert-authority {ca}",
        "claude cert-authority {ca}",
    ] {
        assert_code(&judge_listed(&named, text), Code::IdentityMissing);
    }
    assert_code(
        &judge_listed(&named, "human@example.com {ca}"),
        Code::SignerUntrusted,
    );
    assert_code(
        &judge_listed(&named, "human@example.com {user}"),
        Code::SignerUntrusted,
    );
}

#[test]
fn a_listed_certificate_is_that_certificate() {
    assert_accepted(&judge_listed(&session(), "human@example.com {certificate}"));
    assert_code(
        &judge_listed(&plain(), "human@example.com {certificate}"),
        Code::SignerUntrusted,
    );
}

#[test]
fn a_listed_authority_binds_nothing() {
    let named = certificate(|it| it.principals = &["human@example.com"]);
    let judgement = judge_listed(&named, "human@example.com cert-authority {ca}");
    assert_accepted(&judgement);
    assert_eq!(judgement.time_basis(), Some(TimeBasis::Declared));
    let elsewhere = certificate(|it| {
        it.principals = &["human@example.com"];
        it.payload_digest = Some([7; 32]);
    });
    let judgement = judge_listed(&elsewhere, "human@example.com cert-authority {ca}");
    assert_code(&judgement, Code::IssuanceMismatch);
}

#[test]
fn a_key_listed_for_other_uses_lacks_the_scope() {
    let text = "human@example.com namespaces=\"file\" {user}";
    assert_code(&judge_listed(&plain(), text), Code::ScopeMissing);
}

#[test]
fn a_line_holds_for_its_window() {
    let at = |after: i64, before: i64| {
        let digits = |secs: i64| {
            let text = NOW.plus(secs).to_string();
            let text: String = text.chars().filter(char::is_ascii_digit).collect();
            format!("{text}Z")
        };
        let (after, before) = (digits(after), digits(before));
        judge_listed(
            &plain(),
            &format!(
                "human@example.com valid-after=\"{after}\",valid-before=\"{before}\" {{user}}"
            ),
        )
    };
    assert_accepted(&at(-10, 10));
    assert_accepted(&at(-100, -60));
    assert_code(&at(-100, -61), Code::CertificateExpired);
    assert_accepted(&at(60, 100));
    assert_code(&at(61, 100), Code::CertificateNotYetValid);
}

/// As ssh-keygen has it, which goes on to the next line when one has ended.
#[test]
fn a_renewed_line_holds_after_the_one_that_ended() {
    let digits = |secs: i64| {
        let text = NOW.plus(secs).to_string();
        let text: String = text.chars().filter(char::is_ascii_digit).collect();
        format!("{text}Z")
    };
    let ended = format!("valid-before=\"{}\"", digits(-1000));
    let to_come = format!("valid-after=\"{}\"", digits(1000));
    let now = format!(
        "valid-after=\"{}\",valid-before=\"{}\"",
        digits(-1000),
        digits(1000)
    );
    let (old, new) = ("old@example.com", "new@example.com");
    for key in ["{user}", "cert-authority {ca}"] {
        let lines = |lines: &[(&str, &str)]| {
            let line = |(name, window): &(&str, &str)| match key.strip_prefix("cert-authority ") {
                Some(key) => format!("wimse://* cert-authority,{window} {key} {name}\n"),
                None => format!("{name} {window} {key}\n"),
            };
            lines.iter().map(line).collect::<String>()
        };
        let key = if key == "{user}" { plain() } else { session() };
        let policy = "time_basis_floor = \"declared\"\n[[authority]]\nname = \"people\"\nscopes = []\n[[allow]]\nidentity = \"*\"\n";
        let policy = Policy::parse(policy).unwrap();
        let judged = |text: &str| {
            let trust = Trust::new(vec![listed(text).unwrap()], Vec::new());
            judge_by(&commit(&key), &policy, &trust, NOW)
        };
        for order in [
            [(old, &*ended), (new, &*now)],
            [(new, &*now), (old, &*ended)],
        ] {
            let judgement = judged(&lines(&order));
            assert_accepted(&judgement);
            if key == plain() {
                assert_eq!(judgement.identity(), Some("mailto:new@example.com"));
            }
        }
        assert_accepted(&judged(&lines(&[
            (old, &ended),
            (old, &to_come),
            (new, &now),
        ])));
        assert_code(
            &judged(&lines(&[(old, &ended), (new, &to_come)])),
            Code::CertificateExpired,
        );
        // One that is for other uses is none for git at any time.
        let other = format!("{now},namespaces=\"file\"");
        assert_code(
            &judged(&lines(&[(old, &ended), (new, &other)])),
            Code::CertificateExpired,
        );
    }
}

#[test]
fn a_file_that_means_different_things_in_different_places_is_refused() {
    let error = listed("\nhuman@example.com valid-after=\"20240101\" {user}").unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.starts_with("line 2: "), "{source}");
    for broken in [
        "human@example.com foo {user}",
        "human@example.com",
        "# nobody",
        "",
    ] {
        assert!(listed(broken).is_err(), "{broken}");
    }
}

#[test]
fn a_file_of_signers_that_lists_others_later_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = TrustStore::new(
        directory.path().join("trust"),
        directory.path().join("state"),
    );
    let text = filled("human@example.com {user}\n");
    store
        .add_allowed_signers("people", text.as_bytes())
        .unwrap();
    let trust = store.load(NOW);
    assert_accepted(&judge_in(&commit(&plain()), &trust, NOW));
    let path = directory.path().join("trust/people/allowed_signers");
    for changed in [
        "human@example.com {ca}\n",
        "human@example.com {user}\nroot@example.com {ca}\n",
    ] {
        fs::write(&path, filled(changed)).unwrap();
        let trust = store.load(NOW);
        assert_eq!(trust.faults()[0].code, Code::BundleInvalid, "{changed}");
    }
    fs::remove_file(&path).unwrap();
    let trust = store.load(NOW);
    assert_eq!(trust.faults()[0].code, Code::TrustUnreadable);
    let judgement = judge_in(&commit(&plain()), &trust, NOW);
    assert_eq!(
        judgement.verdict(),
        Verdict::Undecided(Code::TrustUnreadable)
    );
}

#[test]
fn two_authorities_never_have_one_ssh_key_and_two_files_may_list_one_person() {
    let directory = tempfile::tempdir().unwrap();
    let store = TrustStore::new(
        directory.path().join("trust"),
        directory.path().join("state"),
    );
    let (owner, thief) = (TestAuthority::new(1), TestAuthority::new(2));
    let envelope = owner.sign_trust(&document());
    store
        .add_document("local", &envelope, &owner.pins(), NOW)
        .unwrap();
    let mut other = thief.trust(1, NOW);
    other.trust_domain = "thief.invalid".to_owned();
    let add = |other: &TrustDocument| {
        store.add_document("thief", &thief.sign_trust(other), &thief.pins(), NOW)
    };
    other.ssh_ca = document().ssh_ca;
    other.ssh_ca[0].retired_at = Some(NOW);
    let error = add(&other).unwrap_err();
    assert!(matches!(error, TrustStoreError::RootTaken { .. }));
    // Nor by taking it over later.
    let ssh_ca = std::mem::take(&mut other.ssh_ca);
    add(&other).unwrap();
    (other.seqno, other.ssh_ca) = (3, ssh_ca);
    let envelope = thief.sign_trust(&other);
    let error = store.refresh("thief", &envelope, &[], NOW).unwrap_err();
    assert!(matches!(error, TrustStoreError::RootTaken { .. }));
    for name in ["team", "friends"] {
        let text = filled("human@example.com {user}\nhuman@example.com cert-authority {ca}\n");
        store.add_allowed_signers(name, text.as_bytes()).unwrap();
    }
}

#[test]
fn what_an_authority_took_back_counts_where_only_its_key_is_listed() {
    let mut document = document();
    let named = certificate(|it| {
        it.payload_digest = None;
        it.principals = &["human@example.com"];
    });
    let line = listed("human@example.com cert-authority {ca}").unwrap();
    let policy = Policy::parse(
        "[[authority]]\nname = \"people\"\ntime_basis_floor = \"declared\"\n[[allow]]\nidentity = \"mailto:*\"\n",
    )
    .unwrap();
    let judge = |document: &TrustDocument| {
        let scopes = vec!["sign:git".to_owned()];
        let local = Authority::from_document("local", scopes, document);
        let trust = Trust::new(vec![line.clone(), local], Vec::new());
        judge_by(&commit(&named), &policy, &trust, NOW)
    };
    assert_accepted(&judge(&document));
    document.revocations.push(Revocation {
        kind: RevocationKind::Certificate,
        value: "1234".to_owned(),
        since: NOW,
        reason: "stolen".to_owned(),
    });
    assert_code(&judge(&document), Code::Revoked);
}

#[test]
fn the_digest_of_the_trust_covers_every_word_of_a_line() {
    let digest = |text: &str| Trust::new(vec![listed(text).unwrap()], Vec::new()).digest();
    let texts = [
        "a@x {user}",
        "b@x {user}",
        "a@x {ca}",
        "a@x cert-authority {user}",
        "a@x namespaces=\"\" {user}",
        "a@x namespaces=\"git\" {user}",
        "a@x valid-after=\"20240101Z\" {user}",
        "a@x valid-before=\"20240101Z\" {user}",
    ];
    let digests: std::collections::BTreeSet<_> = texts.iter().map(|text| digest(text)).collect();
    assert_eq!(digests.len(), texts.len());
}

#[test]
fn a_policy_may_select_one_ssh_key() {
    let pin = |key: &Ed25519Key| notme_core::hex::encode(&key.public_key().spki_sha256());
    let policy = |pin: String| {
        Policy::parse(&format!(
            "[[authority]]\nspki_sha256 = \"{pin}\"\nscopes = [\"sign:git\"]\n[[allow]]\nidentity = \"*\"\n"
        ))
        .unwrap()
    };
    let trust = trust_in(&document());
    let judge = |policy: &Policy| judge_by(&commit(&bound()), policy, &trust, NOW);
    assert_accepted(&judge(&policy(pin(&ca()))));
    let other = TestAuthority::new(1);
    assert_code(
        &judge(&policy(pin(other.ed25519_key()))),
        Code::SignerUntrusted,
    );
}

/// A policy that lists keys needs no trust store for them, and vouches for no others.
#[test]
fn a_policy_vouches_for_the_ssh_keys_that_it_lists() {
    let key = Key::Plain(PublicKey::from_key(user().public_key()).unwrap());
    let other = Key::Plain(PublicKey::from_key(ca().public_key()).unwrap());
    let nobody = Trust::new(Vec::new(), Vec::new());
    let judged = |lines: &str, more: &str| {
        let policy = Policy::parse(&format!(
            "[[principal]]\nname = \"a\"\nkind = \"human\"\nssh_keys = [{lines}]\n{more}[[allow]]\nprincipals = [\"human\"]\n"
        ))
        .unwrap();
        judge_by(&commit(&key), &policy, &nobody, NOW)
    };
    let line = format!("'{}'", key.to_text());
    let judgement = judged(&line, "emails = [\"alice@example.org\"]\n");
    assert_accepted(&judgement);
    assert_eq!(judgement.identity(), Some("mailto:alice@example.org"));
    assert_eq!(judgement.time_basis(), Some(TimeBasis::Declared));
    assert!(
        judged(&line, "")
            .identity()
            .unwrap()
            .starts_with("ssh-key:SHA256:")
    );
    let ended = format!("'valid-before=\"20200101Z\" {}'", key.to_text());
    assert_code(&judged(&ended, ""), Code::CertificateExpired);
    assert_code(
        &judged(&format!("'{}'", other.to_text()), ""),
        Code::TrustMissing,
    );
    let elsewhere = format!("'namespaces=\"file\" {}'", key.to_text());
    assert_code(&judged(&elsewhere, ""), Code::ScopeMissing);
    assert_code(
        &judged(&line, "identities = [\"mailto:b@example.org\"]\n"),
        Code::NotAuthorised,
    );
}
