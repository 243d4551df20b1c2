//! Bundles before Sigstore's own verifiers, with the trusted root that we export.

use std::fs;

use notme_testkit::{oracle::stranger, repository::run};
use serde_json::Value;
use sigstore_verify::{VerificationPolicy, Verifier, trust_root::TrustedRoot, types::Bundle};

use crate::world::{World, told};

/// What a stranger gets: the trusted root and bundles, and what they are to be about.
struct Handed {
    world: World,
    root: String,
    /// Two records of one activity: both speak of it, in two certificates.
    bundles: [String; 2],
    identity: String,
    activity: String,
}

impl Handed {
    fn over(profile: &str) -> Self {
        let world = World::new();
        world.notme_ok(&["init", "--agent", "claude", "--profile", profile]);
        world.signed_commit("one");
        world.notme_ok(&["attest", "activity", "HEAD"]);
        let lines = world.notme_ok(&["attest", "export"]);
        let bundles: Vec<_> = lines.lines().map(str::to_owned).collect();
        let shown = world.notme_ok(&["attest", "show", "--json"]);
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let status: Value = serde_json::from_str(&world.notme_ok(&["status", "--json"])).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            root: world.notme_ok(&["trust", "export", "--sigstore"]),
            bundles: bundles.try_into().unwrap(),
            identity: text(&status["session"]["identity"]),
            activity: text(&shown[0]["predicate"]["activity"]["id"]),
            world,
        }
    }

    /// Returns what another agent of the same authority states about the same commit.
    fn another_agents(&self) -> String {
        let arguments = ["attest", "activity", "HEAD", "--agent", "other"];
        self.world.notme_ok(&["init", "--agent", "other"]);
        self.world.notme_ok(&arguments);
        let lines = self.world.notme_ok(&["attest", "export"]);
        let mut others = lines
            .lines()
            .filter(|line| !self.bundles.iter().any(|it| it == line));
        others.next().unwrap().to_owned()
    }

    /// Asks @sigstore/verify: why it refuses.
    fn by_js(&self, root: &str, bundle: &str, identity: &str) -> Result<(), String> {
        let [root, bundle] = self.files(root, bundle);
        let mut node = stranger("sigstore-verify.js");
        let output = run(node.args([&root, &bundle]).arg(identity), b"");
        match output.status.code() {
            Some(0) => Ok(()),
            Some(1) => Err(String::from_utf8(output.stderr).unwrap()),
            _ => panic!("{}", told(&output)),
        }
    }

    /// Asks the crate sigstore-verify, about what a subject's digest is of.
    fn by_rust(root: &str, bundle: &str, identity: &str, artifact: &str) -> Result<(), String> {
        let root = TrustedRoot::from_json(root).unwrap();
        let policy = VerificationPolicy::any_identity()
            .require_identity(identity)
            .skip_tlog_unsafe()
            .skip_sct();
        let verifier = Verifier::new(&root).unwrap();
        let bundle: Bundle = Bundle::from_json(bundle).map_err(|error| error.to_string())?;
        let verified = verifier.verify(artifact.as_bytes(), &bundle, &policy);
        let verified = verified.map_err(|error| error.to_string())?;
        assert!(verified.certificate_verified());
        assert_eq!(verified.verified_timestamps().len(), 1);
        Ok(())
    }

    fn files(&self, root: &str, bundle: &str) -> [String; 2] {
        [("root.json", root), ("bundle.json", bundle)].map(|(name, text)| {
            let path = self.world.home().join(name);
            fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        })
    }

    /// Returns what both of them say: the same, or the test fails.
    #[track_caller]
    fn is_taken(&self, root: &str, bundle: &str) -> bool {
        let js = self.by_js(root, bundle, &self.identity);
        let rust = Self::by_rust(root, bundle, &self.identity, &self.activity);
        assert_eq!(js.is_ok(), rust.is_ok(), "{js:?} {rust:?}");
        js.is_ok()
    }
}

const PROFILES: [&str; 2] = ["modern", "interop"];

#[test]
fn sigstores_verifiers_take_our_bundles() {
    for profile in PROFILES {
        let handed = Handed::over(profile);
        for bundle in &handed.bundles {
            assert!(handed.is_taken(&handed.root, bundle), "{profile}");
        }
    }
}

#[test]
fn sigstores_verifiers_refuse_what_was_tampered_with() {
    for profile in PROFILES {
        let handed = Handed::over(profile);
        let parse = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
        let one = parse(&handed.bundles[0]);
        let other = parse(&handed.another_agents());
        // Each part taken from another agent's bundle, which is as good as this one.
        for part in [
            "/dsseEnvelope/payload",
            "/dsseEnvelope/signatures",
            "/verificationMaterial/certificate",
            "/verificationMaterial/timestampVerificationData",
        ] {
            let mut forged = one.clone();
            *forged.pointer_mut(part).unwrap() = other.pointer(part).unwrap().clone();
            assert_ne!(forged, one, "{part}");
            let forged = forged.to_string();
            assert!(!handed.is_taken(&handed.root, &forged), "{profile} {part}");
        }
        // Without a time stamp nothing says when it was signed.
        let mut forged = one.clone();
        let material = forged["verificationMaterial"].as_object_mut().unwrap();
        material.remove("timestampVerificationData").unwrap();
        assert!(!handed.is_taken(&handed.root, &forged.to_string()));
        // Another authority, of the same name.
        let stranger = Handed::over(profile);
        assert!(!handed.is_taken(&stranger.root, &one.to_string()));
    }
}

#[test]
fn sigstores_verifiers_refuse_another_signer_and_another_subject() {
    let handed = Handed::over("modern");
    let bundle = &handed.bundles[0];
    let other = handed.identity.replace("claude", "other");
    assert!(handed.by_js(&handed.root, bundle, &other).is_err());
    let rust =
        |identity: &str, artifact: &str| Handed::by_rust(&handed.root, bundle, identity, artifact);
    assert!(rust(&other, &handed.activity).is_err());
    assert!(rust(&handed.identity, "urn:other").is_err());
}

/// They know nothing of the digest in our certificates, and a session has one key.
#[test]
fn a_certificate_for_another_statement_is_refused_by_us_alone() {
    let handed = Handed::over("modern");
    let [one, other] = handed.bundles.each_ref().map(|text| {
        let bundle: Value = serde_json::from_str(text).unwrap();
        bundle
    });
    let mut forged = one;
    let certificate = other["verificationMaterial"]["certificate"].clone();
    forged["verificationMaterial"]["certificate"] = certificate;
    assert!(handed.is_taken(&handed.root, &forged.to_string()));
    let [_, file] = handed.files("", &forged.to_string());
    let output = handed.world.notme(&["attest", "verify", "--bundle", &file]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        told(&output).contains("issuance-mismatch"),
        "{}",
        told(&output)
    );
}

/// sigstore-python, securesystemslib and in-toto-attestation.
#[test]
fn pythons_libraries_read_and_verify_our_envelopes_and_statements() {
    for profile in PROFILES {
        let handed = Handed::over(profile);
        for bundle in &handed.bundles {
            let files = handed.files(&handed.root, bundle);
            let output = run(stranger("parse.py").args(&files), b"");
            assert!(output.status.success(), "{profile}: {}", told(&output));
            let said = String::from_utf8(output.stdout).unwrap();
            assert_eq!(said.trim(), "https://notme.bot/attestation/activity/v1");
        }
        // It does look at the signature.
        let mut forged: Value = serde_json::from_str(&handed.bundles[0]).unwrap();
        let other: Value = serde_json::from_str(&handed.bundles[1]).unwrap();
        forged["dsseEnvelope"]["payload"] = other["dsseEnvelope"]["payload"].clone();
        let files = handed.files(&handed.root, &forged.to_string());
        let output = run(stranger("parse.py").args(&files), b"");
        assert!(
            told(&output).contains("VerificationError"),
            "{}",
            told(&output)
        );
    }
}

#[test]
fn a_time_stamping_authority_that_was_revoked_is_not_exported() {
    let handed = Handed::over("modern");
    let tsa = |root: &str| -> Value {
        let root: Value = serde_json::from_str(root).unwrap();
        root["timestampAuthorities"].clone()
    };
    assert_eq!(tsa(&handed.root).as_array().unwrap().len(), 1);
    let world = &handed.world;
    let shown: Value = serde_json::from_str(&world.notme_ok(&["trust", "show", "--json"])).unwrap();
    let kid = shown["authorities"][0]["tsa"][0]["kid"].as_str().unwrap();
    world.notme_ok(&["authority", "revoke", "key", kid]);
    world.notme_ok(&["trust", "refresh"]);
    let root = world.notme_ok(&["trust", "export", "--sigstore"]);
    assert_eq!(tsa(&root), Value::Array(Vec::new()));
    assert!(!handed.is_taken(&root, &handed.bundles[0]));
    // Nor is there anything to export of whom nobody trusts.
    let output = world.notme(&["trust", "export", "--sigstore", "--name", "nobody"]);
    assert!(told(&output).contains("no trusted authority has X.509 roots"));
}

/// Signed by sigstore-python's own classes, with a certificate like Fulcio's.
#[test]
fn bundles_of_sigstore_python_are_judged_by_what_they_show() {
    let world = World::initialised();
    let commit = world.signed_commit("one");
    let output = run(stranger("sign.py").arg(world.path()).arg(&commit), b"");
    assert!(output.status.success(), "{}", told(&output));
    let judged = |name: &str| {
        let output = world.notme(&["attest", "verify", "--json", "--bundle", name]);
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        document[0]["attestations"][0].clone()
    };
    let code = |name: &str| judged(name)["code"].clone();
    // Nobody here trusts whoever certified the key, least of all the key itself.
    for name in ["dispatch.json", "generic.json", "alone.json"] {
        assert_eq!(code(name), "signer-untrusted", "{name}");
    }
    assert_eq!(code("blob.json"), "envelope-malformed");
    world.notme_ok(&["trust", "add", "--x509", "--name", "stranger", "ca.pem"]);
    let accepted = judged("dispatch.json");
    assert_eq!(accepted["verdict"], "accepted", "{accepted}");
    assert_eq!(accepted["identity"], "mailto:somebody@example.invalid");
    // The log entry that came along shows nothing, as it is in no log.
    assert_eq!(accepted["time_basis"], "declared");
    assert_eq!(code("generic.json"), "time-basis-too-weak");
    assert_eq!(code("alone.json"), "signer-untrusted");

    let text = fs::read_to_string(world.path().join("dispatch.json")).unwrap();
    let bundle: Value = serde_json::from_str(&text).unwrap();
    let forged = |change: &dyn Fn(&mut Value)| {
        let mut forged = bundle.clone();
        change(&mut forged);
        assert_ne!(forged, bundle);
        world.write("forged.json", &forged.to_string());
        code("forged.json")
    };
    let generic: Value =
        serde_json::from_str(&fs::read_to_string(world.path().join("generic.json")).unwrap())
            .unwrap();
    for part in ["payload", "signatures"] {
        let other = &generic["dsseEnvelope"][part];
        let swapped = forged(&|it| it["dsseEnvelope"][part] = other.clone());
        assert_eq!(swapped, "signature-invalid", "{part}");
    }
    let unsigned = forged(&|it| it["dsseEnvelope"]["signatures"] = Value::Array(Vec::new()));
    assert_eq!(unsigned, "envelope-malformed");
    let older =
        forged(&|it| it["mediaType"] = "application/vnd.dev.sigstore.bundle.v9+json".into());
    assert_eq!(older, "envelope-malformed");
}
