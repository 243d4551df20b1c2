//! Bundles of others.

use notme_attest::{Bundle, bundle::BundleError};

use crate::world::{World, chain};

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

#[test]
fn refuses_what_is_no_bundle_of_an_envelope() {
    let good = good();
    let error = |text: &str| Bundle::from_json(text.as_bytes()).unwrap_err();
    let newer = good.replace("v0.3+json", "v0.9+json");
    assert!(matches!(error(&newer), BundleError::MediaType(_)));
    let without = good.replace("dsseEnvelope", "messageSignature");
    assert!(matches!(error(&without), BundleError::NoEnvelope));
    let unsigned = good.replace("\"signatures\":[{", "\"signatures\":[],\"other\":[{");
    assert!(matches!(error(&unsigned), BundleError::Json(_)));
    let not_base64 = good.replacen("\"rawBytes\":\"", "\"rawBytes\":\"*", 1);
    assert!(matches!(error(&not_base64), BundleError::Base64));
    let no_certificate = good.replacen("\"rawBytes\":\"", "\"rawBytes\":\"AAAA", 1);
    assert!(matches!(
        error(&no_certificate),
        BundleError::Certificate(_)
    ));
    let long = " ".repeat(notme_attest::bundle::BUNDLE_MAX + 1);
    assert!(matches!(error(&long), BundleError::TooLong));
}
