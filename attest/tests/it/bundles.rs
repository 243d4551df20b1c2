//! Bundles of others.

use notme_attest::{Bundle, Predicate, bundle::BundleError};

use notme_core::{
    base64,
    dsse::{Envelope, pae},
    key::Signer as _,
    statement::Statement,
};
use notme_testkit::{clock::NOW, keys::Ed25519Key, tsa::TestTsa};
use serde_json::{Value, json};

use crate::world::{World, authority, chain};

fn good() -> String {
    let world = World::new();
    let commit = world.commit("one");
    let (bundle, _) = chain("urn:a", "claude", &[commit]).remove(0);
    String::from_utf8(bundle).unwrap()
}

#[test]
fn reads_what_it_writes_and_older_versions() {
    let good = good();
    let read = Bundle::from_json(good.as_bytes()).unwrap();
    assert_eq!(read.to_json().unwrap(), good.as_bytes());
    let older = good.replace(".bundle.v0.3+json", ".bundle+json;version=0.2");
    assert!(Bundle::from_json(older.as_bytes()).is_ok());
    let chain = good
        .replace(
            "\"certificate\":{\"rawBytes\":",
            "\"x509CertificateChain\":{\"certificates\":[{\"rawBytes\":",
        )
        .replace("},\"tlogEntries\"", "}]},\"tlogEntries\"");
    let chain = Bundle::from_json(chain.as_bytes()).unwrap();
    assert_eq!(chain.certificates(), read.certificates());
}

/// Version 0.3 has room for the leaf alone, and its readers refuse more.
#[test]
fn a_chain_of_certificates_is_written_as_version_0_2() {
    let read = Bundle::from_json(good().as_bytes()).unwrap();
    let twice = [read.certificates(), read.certificates()].concat();
    let bundle = Bundle::new(read.envelope().clone(), twice.clone(), Vec::new());
    let json = bundle.to_json().unwrap();
    let text = str::from_utf8(&json).unwrap();
    assert!(text.contains("bundle+json;version=0.2"), "{text}");
    assert_eq!(Bundle::from_json(&json).unwrap().certificates(), twice);
}

/// A bundle carries the answer that the token came in; bundles of before carried the bare token.
#[test]
fn a_time_stamp_is_carried_in_its_answer_and_read_either_way() {
    use notme_core::timestamp::reply_granted;
    let read = Bundle::from_json(good().as_bytes()).unwrap();
    let (_, signature) = read.envelope().only_signature().unwrap();
    let token = TestTsa::of(&authority(), 1).stamp(signature, NOW);
    let stamped = |stamp: &[u8]| {
        let stamps = vec![stamp.to_vec()];
        let certificates = read.certificates().to_vec();
        let bundle = Bundle::new(read.envelope().clone(), certificates, stamps);
        String::from_utf8(bundle.to_json().unwrap()).unwrap()
    };
    let timestamps = |text: &str| {
        Bundle::from_json(text.as_bytes())
            .unwrap()
            .timestamps()
            .to_vec()
    };
    let written = stamped(&token);
    let reply = base64::encode(&reply_granted(&token));
    assert!(written.contains(&reply));
    assert_eq!(timestamps(&written)[0], token);
    let bare = written.replace(&reply, &base64::encode(&token));
    assert_eq!(timestamps(&bare), [token]);
    // What is neither is for the verifier to refuse.
    let neither = written.replace(&reply, "AAAA");
    assert_eq!(timestamps(&neither), [[0, 0, 0]]);
}

#[test]
fn refuses_what_is_no_bundle_of_an_envelope() {
    let good = good();
    let error = |text: &str| Bundle::from_json(text.as_bytes()).unwrap_err();
    let newer = good.replace("v0.3+json", "v0.9+json");
    assert!(matches!(error(&newer), BundleError::MediaType(_)));
    let without = good.replace("dsseEnvelope", "messageSignature");
    assert!(matches!(error(&without), BundleError::NoEnvelope));
    let both = good.replacen('{', "{\"messageSignature\":{},", 1);
    assert!(matches!(error(&both), BundleError::Ambiguous));
    let hint = "\"verificationMaterial\":{";
    let with_key = good.replace(hint, &format!("{hint}\"publicKey\":{{\"hint\":\"x\"}},"));
    assert!(matches!(error(&with_key), BundleError::Ambiguous));
    let unsigned = good.replace("\"signatures\":[{", "\"signatures\":[],\"other\":[{");
    assert!(matches!(error(&unsigned), BundleError::Json(_)));
    let not_base64 = good.replacen("\"rawBytes\":\"", "\"rawBytes\":\"*", 1);
    assert!(matches!(error(&not_base64), BundleError::Base64));
    let no_certificate = good.replacen("\"rawBytes\":\"", "\"rawBytes\":\"AAAA", 1);
    assert!(matches!(
        error(&no_certificate),
        BundleError::Certificate(_)
    ));
    // Readers of protocol buffers know both spellings of a name, and take what comes last.
    for (at, twice) in [("{", "dsse_envelope"), (hint, "x509_certificate_chain")] {
        let twice = good.replacen(at, &format!("{at}\"{twice}\":{{}},"), 1);
        assert!(matches!(error(&twice), BundleError::Spelling(_)));
    }
    // What we do not read says nothing, whatever is in it.
    let vendor = good.replacen('{', "{\"vendor\":{\"public_key\":{}},", 1);
    assert!(Bundle::from_json(vendor.as_bytes()).is_ok());
    let long = " ".repeat(notme_attest::bundle::BUNDLE_MAX + 1);
    assert!(matches!(error(&long), BundleError::TooLong));
}

/// An array of the members would be a struct to our reader, and to no other.
#[test]
fn what_no_other_reader_takes_for_an_object_is_none() {
    let mut good: Value = serde_json::from_str(&good()).unwrap();
    let certificate = &good["verificationMaterial"]["certificate"]["rawBytes"];
    let envelope = &good["dsseEnvelope"];
    let signature = &envelope["signatures"][0];
    let signature = json!([signature["keyid"], signature["sig"]]);
    for (member, array) in [
        (
            "/verificationMaterial",
            json!([[certificate], null, null, [], null]),
        ),
        ("/verificationMaterial/certificate", json!([certificate])),
        ("/dsseEnvelope/signatures/0", signature.clone()),
        (
            "/dsseEnvelope",
            json!([envelope["payloadType"], envelope["payload"], [signature]]),
        ),
    ] {
        let was = std::mem::replace(good.pointer_mut(member).unwrap(), array);
        let read = Bundle::from_json(good.to_string().as_bytes());
        assert!(matches!(read, Err(BundleError::Json(_))), "{member}");
        let alone = Envelope::from_json(good["dsseEnvelope"].to_string().as_bytes());
        assert_eq!(alone.is_err(), member.starts_with("/dsse"), "{member}");
        *good.pointer_mut(member).unwrap() = was;
    }
    assert!(Bundle::from_json(good.to_string().as_bytes()).is_ok());
}

/// The envelope that is a golden of leyline-envelope's: of the rosary orchestrator, in base64url.
const ROSARY: &str = r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":".rsry-handoff-0.json","digest":{"sha256":"eefc8488445e147de86d582c8f61504ce9ed3971a75c2595b0c2d8ff8c8b30b7"}}],"predicateType":"https://rosary.dev/Handoff/v1","predicate":{"bead_id":"rosary-test","from_agent":"dev-agent","phase":0,"summary":"Fixed the thing."}}"#;
const ROSARY_SIGNATURE: &str =
    "GyM3MI_KILb9e9O-ySSYa1SWrtFulVlLwigwCLTZJz6P9P8jHHTSj7Ljk3wYzOriHyc-IOqdJ0e9h3oW9M98Cg";
/// Over the encoding of its first generation, whose body was the base64 text.
const ROSARY_FIRST: &str =
    "Xpj2cUsnHz3aLHOFrh3n8sqjW-6GRQ_-PGZuxn4RTDyl-99X2pet9BQfavlncEAv9MjJ0F2VsQghmWdI38HPBA";

#[test]
fn the_envelopes_of_rosary_are_read_and_their_signatures_told_apart() {
    let mut seed = [0; 32];
    seed.iter_mut().zip(1..).for_each(|(byte, n)| *byte = n);
    let key = Ed25519Key::from_seed(seed);
    let envelope = |keyid: &str, sig: &str| {
        let payload = base64::encode_url(ROSARY.as_bytes());
        let signatures = format!(r#"[{{"keyid":"{keyid}","sig":"{sig}"}}]"#);
        let json = format!(
            r#"{{"payloadType":"application/vnd.in-toto+json","payload":"{payload}","signatures":{signatures}}}"#
        );
        Envelope::from_json(json.as_bytes()).unwrap()
    };
    // Its third generation names keys as we do, its second by the SHA-256 of the bare key.
    let third = "646d6be49d9f0048f94f67749eca3515";
    let second = "65b60673d6ed884bf01c2c222d82ada0740f29ac3355d6a925c81f17f47a27b8";
    let good = envelope(third, ROSARY_SIGNATURE);
    assert!(good.is_signed_by(key.public_key()));
    assert!(envelope("", ROSARY_SIGNATURE).is_signed_by(key.public_key()));
    assert!(!envelope(second, ROSARY_SIGNATURE).is_signed_by(key.public_key()));
    assert!(!envelope(third, ROSARY_FIRST).is_signed_by(key.public_key()));
    assert!(!good.is_signed_by(Ed25519Key::from_seed([1; 32]).public_key()));

    assert_eq!(good.payload().len(), 324);
    assert_eq!(pae(good.payload_type(), good.payload()).len(), 367);
    let statement = Statement::parse(good.payload()).unwrap();
    assert!(matches!(
        Predicate::read(&statement),
        Ok(Predicate::Handoff(_))
    ));
}
