//! Authorities in Sigstore's words.

use notme_attest::trusted_root::TrustedRoot;
use notme_core::{
    time::UnixTime,
    trust::{Revocation, RevocationKind, TrustDocument},
};
use notme_testkit::{clock::NOW, tsa::TestTsa};
use notme_verifier::trust::Authority;
use serde_json::{Value, json};

use crate::world::authority;

fn written(change: impl FnOnce(&mut TrustDocument)) -> Value {
    let mut document = authority().trust(1, NOW);
    document.tsa.push(TestTsa::of(&authority(), 1).entry());
    change(&mut document);
    let authority = Authority::from_document("local", Vec::new(), &document);
    serde_json::to_value(TrustedRoot::of([&authority].into_iter())).unwrap()
}

fn revoked(kind: RevocationKind, value: String, since: UnixTime) -> Revocation {
    let reason = "unspecified".to_owned();
    Revocation {
        kind,
        value,
        since,
        reason,
    }
}

/// Returns the windows of the roots and of who stamps.
fn windows(root: &Value) -> [Vec<Value>; 2] {
    ["certificateAuthorities", "timestampAuthorities"].map(|member| {
        let all = root[member].as_array().unwrap().iter();
        all.map(|it| it["validFor"].clone()).collect()
    })
}

#[test]
fn roots_and_their_time_stamping_authority_are_written_with_their_windows() {
    let start = authority().trust(1, NOW).roots[0].from;
    let root = written(|_| ());
    let whole = json!({"start": start.to_string()});
    assert_eq!(
        windows(&root),
        [vec![whole.clone(), whole.clone()], vec![whole]]
    );
    let chain = &root["timestampAuthorities"][0]["certChain"]["certificates"];
    assert_eq!(chain.as_array().unwrap().len(), 2);
    let p256 = &root["certificateAuthorities"][1]["certChain"]["certificates"][0];
    assert_eq!(&chain[1], p256);
    for member in ["tlogs", "ctlogs"] {
        assert_eq!(root[member], json!([]));
    }
}

#[test]
fn what_was_retired_or_taken_back_ends_and_what_never_counted_is_left_out() {
    let at = NOW.plus(-60);
    let root = written(|document| {
        document.roots[0].retired_at = Some(at);
        document.tsa[0].retired_at = Some(at);
    });
    let [roots, tsa] = windows(&root);
    assert_eq!(roots[0]["end"], at.to_string());
    assert_eq!(roots[1]["end"], Value::Null);
    assert_eq!(tsa[0]["end"], at.to_string());

    let root = written(|document| {
        let root = &mut document.roots[0];
        root.retired_at = Some(NOW);
        let key = revoked(RevocationKind::Key, root.kid.to_string(), at);
        let (other, first) = (document.roots[1].kid.to_string(), document.roots[1].from);
        let from_the_start = revoked(RevocationKind::Key, other, first);
        document.revocations.extend([key, from_the_start]);
    });
    let [roots, _] = windows(&root);
    assert_eq!(roots.len(), 1);
    assert_eq!(roots[0]["end"], at.plus(-1).to_string());

    let root = written(|document| {
        let serial = document.roots[1].certificate.serial_hex();
        document.revocations = vec![revoked(RevocationKind::Certificate, serial, at)];
    });
    assert_eq!(windows(&root)[0][1]["end"], at.plus(-1).to_string());

    let root = written(|document| {
        let kid = document.tsa[0].kid.to_string();
        document.revocations = vec![revoked(RevocationKind::Key, kid, NOW.plus(600))];
    });
    assert_eq!(windows(&root)[1], Vec::<Value>::new());
}
