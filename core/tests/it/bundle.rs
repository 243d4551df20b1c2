//! Signed CA bundles of the real authority.

use notme_core::{
    bundle::{BundleError, CaBundle},
    hex,
    key::PublicKey,
};
use notme_testkit::{keys::Ed25519Key, testdata};
use serde_json::Value;

const BUNDLES: [&str; 4] = ["epoch1", "epoch1-next-seqno", "epoch2", "epoch3"];

fn bundle(name: &str) -> CaBundle {
    CaBundle::from_json(&testdata::bytes(&format!(
        "notme-authority/prod/bundles/{name}.json"
    )))
    .unwrap()
}

#[test]
fn encodes_what_the_authority_signed() {
    for name in BUNDLES {
        let signed = testdata::bytes(&format!("notme-authority/prod/bundles/{name}.cbor"));
        assert_eq!(bundle(name).canonical_cbor().unwrap(), signed, "{name}");
    }
}

#[test]
fn decides_signatures_as_the_reference_does() {
    let decisions: Value =
        serde_json::from_slice(&testdata::bytes("notme-authority/prod/decisions.json")).unwrap();
    for name in BUNDLES {
        for root in BUNDLES {
            let key_of = bundle(root);
            let key = key_of.key(&key_of.key_id).unwrap();
            let expected = &decisions["signature"][name][format!("root={root}.keyId")];
            assert_eq!(
                Some(bundle(name).verify(&key).is_ok()),
                expected.as_bool(),
                "{name} by {root}"
            );
        }
    }
}

#[test]
fn changing_any_field_breaks_the_signature() {
    let good = bundle("epoch2");
    let key = good.key(&good.key_id).unwrap();
    let changes: [fn(&mut CaBundle); 5] = [
        |b| b.epoch += 1,
        |b| b.seqno += 1,
        |b| b.issued_at += 1,
        |b| b.prev_key_id.clear(),
        |b| {
            b.keys.pop_first();
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut changed = good.clone();
        change(&mut changed);
        assert!(changed.verify(&key).is_err(), "change {number}");
    }
}

#[test]
fn the_reference_vectors_encode_and_verify() {
    let vectors: Value = serde_json::from_slice(&testdata::bytes("vectors/vectors.json")).unwrap();
    for vector in vectors["bundles"].as_array().unwrap() {
        let bundle = CaBundle::from_json(vector["json"].to_string().as_bytes()).unwrap();
        let canonical = bundle.canonical_cbor().unwrap();
        assert_eq!(hex::encode(&canonical), vector["canonical"]);
        let Some(signer) = vector["signer_ed25519"].as_str() else {
            continue;
        };
        let key = PublicKey::from_ed25519(&hex::decode_array(signer).unwrap()).unwrap();
        let signature = notme_core::base64::decode_any(&bundle.signature).unwrap();
        assert!(
            key.verify(notme_core::key::Hash::Sha512, &canonical, &signature)
                .is_ok()
        );
    }
}

#[test]
fn what_we_sign_we_verify_and_only_with_the_current_key() {
    let key = Ed25519Key::from_seed([5; 32]);
    let public = notme_core::key::Signer::public_key(&key);
    let id = public.kid().to_string();
    let mut unsigned = bundle("epoch1");
    unsigned.keys = [(
        id.clone(),
        notme_core::base64::encode(&public.ed25519_bytes().unwrap()),
    )]
    .into();
    unsigned.key_id = id;
    let signed = unsigned.clone().sign(&key).unwrap();
    assert!(signed.verify(public).is_ok());
    let mut renamed = unsigned;
    renamed.key_id = "00".repeat(16);
    let renamed = renamed.sign(&key).unwrap();
    assert!(matches!(
        renamed.verify(public),
        Err(BundleError::CurrentKey)
    ));
}
