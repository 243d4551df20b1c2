//! Messages whose signature is right and whose form is not.

use notme_core::{
    certificate::Certificate,
    cms::{CMS_MAX, CmsError, SignedAttributes, SignedMessage, TIME_STAMPS_MAX},
    hex,
    key::{Algorithm, Hash, Signer as _},
};
use notme_testkit::{
    cast::{LeafSpec, TestAuthority},
    clock::NOW,
    keys::Ed25519Key,
};

use super::support::{
    CONTENT_TYPE, DATA, Draft, MESSAGE_DIGEST, OTHER_ATTRIBUTE, PAYLOAD, SHA1, SHA256, SHA512,
    SHA512_NULL, SIGNING_TIME, Session, attribute, issuer_and_serial, session, sign, tlv, to_ber,
};

struct World {
    session: Session,
    draft: Draft,
}

impl World {
    fn new() -> Self {
        let (_, session) = session(Algorithm::Ed25519);
        let draft = Draft::new(session.certificate());
        Self { session, draft }
    }

    fn sign(&self, change: impl FnOnce(&mut Draft)) -> Vec<u8> {
        self.draft.with(change).sign(self.session.key())
    }

    fn refusal(&self, change: impl FnOnce(&mut Draft)) -> CmsError {
        check(&self.sign(change)).expect_err("accepted")
    }

    fn accepts(&self, change: impl FnOnce(&mut Draft)) {
        check(&self.sign(change)).unwrap();
    }
}

fn check(der: &[u8]) -> Result<SignedMessage, CmsError> {
    let message = SignedMessage::parse(der)?;
    message.verify(PAYLOAD)?;
    Ok(message)
}

fn digest_attribute(payload: &[u8]) -> Vec<u8> {
    attribute(MESSAGE_DIGEST, &[&tlv(4, &[&Hash::Sha512.digest(payload)])])
}

fn set_attributes(draft: &mut Draft, mut attributes: Vec<Vec<u8>>) {
    attributes.sort();
    draft.attributes = Some(attributes);
}

#[test]
fn the_draft_is_what_we_write() {
    let world = World::new();
    assert_eq!(world.sign(|_| {}), sign(&world.session));
}

/// RFC 8419 section 3.2 would allow it; then bytes signed as a set of attributes could be
/// presented as content.
#[test]
fn refuses_a_signature_without_attributes() {
    let world = World::new();
    let err = world.refusal(|draft| draft.attributes = None);
    assert!(matches!(err, CmsError::NoSignedAttributes));
    assert_eq!(err.code(), "cms-no-attributes");
}

/// RFC 5652 5.1 and 5.3; another verifier's fuzzer found -127 accepted.
#[test]
fn refuses_versions_that_do_not_fit() {
    let world = World::new();
    for version in [0, 2, 3, 4, 5, 99] {
        let err = world.refusal(|draft| draft.version = vec![2, 1, version]);
        assert!(matches!(err, CmsError::Version), "{version}");
        let err = world.refusal(|draft| draft.signer_version = vec![2, 1, version]);
        assert!(matches!(err, CmsError::Version), "{version}");
        let err = world.refusal(|draft| {
            draft.version = vec![2, 1, version];
            draft.signer_version = vec![2, 1, version];
        });
        assert!(matches!(err, CmsError::Version), "{version}");
    }
    for negative in [&[2, 1, 0x81][..], &[2, 1, 0xff], &[2, 0], &[2, 2, 0, 1]] {
        let err = world.refusal(|draft| draft.version = negative.to_vec());
        assert!(matches!(err, CmsError::Encoding(_)));
        assert_eq!(err.code(), "signature-malformed");
    }
}

#[test]
fn reads_signers_named_by_key_identifier_in_version_3_only() {
    let world = World::new();
    let id = world
        .session
        .certificate()
        .subject_key_id()
        .unwrap()
        .to_vec();
    let named = |draft: &mut Draft, version: u8, id: &[u8]| {
        draft.name = tlv(0x80, &[id]);
        draft.version = vec![2, 1, version];
        draft.signer_version = vec![2, 1, version];
    };
    world.accepts(|draft| named(draft, 3, &id));
    let err = world.refusal(|draft| named(draft, 1, &id));
    assert!(matches!(err, CmsError::Version));
    let err = world.refusal(|draft| named(draft, 3, &id[1..]));
    assert!(matches!(err, CmsError::SignerCertificate));
}

#[test]
fn refuses_any_number_of_signers_but_one() {
    let world = World::new();
    for count in [0, 2, 3] {
        let err = world.refusal(|draft| draft.signers = count);
        assert!(matches!(err, CmsError::SignerCount));
        assert_eq!(err.code(), "signature-malformed");
    }
}

#[test]
fn refuses_content_inside_and_content_of_another_type() {
    let world = World::new();
    let content = tlv(0xa0, &[&tlv(4, &[PAYLOAD])]);
    let err = world.refusal(|draft| draft.content.extend(&content));
    assert!(matches!(err, CmsError::NotDetached));
    let err = world.refusal(|draft| {
        draft.content = DATA.to_vec();
        *draft.content.last_mut().unwrap() = 5;
    });
    assert!(matches!(err, CmsError::ContentType));
    let err = world.refusal(|draft| draft.content_info_type = DATA.to_vec());
    assert!(matches!(err, CmsError::NotSignedData));
}

#[test]
fn reads_null_parameters_and_no_others() {
    let world = World::new();
    world.accepts(|draft| draft.digest_algorithms = SHA512_NULL.to_vec());
    world.accepts(|draft| draft.digest_algorithm = SHA512_NULL.to_vec());
    for parameters in [&[5, 1, 0][..], &[0x30, 0], &[5, 0, 5, 0], &[4, 0]] {
        let bad = tlv(0x30, &[&SHA512[2..], parameters]);
        for change in [
            |draft: &mut Draft, bad: Vec<u8>| draft.digest_algorithm = bad,
            |draft: &mut Draft, bad: Vec<u8>| draft.digest_algorithms = bad,
        ] {
            let err = world.refusal(|draft| change(draft, bad.clone()));
            assert!(matches!(err, CmsError::Encoding(_)));
        }
    }
    // RFC 8410 section 3: "The parameters MUST be absent"
    let err = world.refusal(|draft| {
        draft.signature_algorithm = tlv(0x30, &[b"\x06\x03\x2b\x65\x70\x05\x00"]);
    });
    assert!(matches!(err, CmsError::Encoding(_)));
}

#[test]
fn refuses_a_digest_that_is_not_listed() {
    let world = World::new();
    for listed in [&b""[..], SHA256] {
        let err = world.refusal(|draft| draft.digest_algorithms = listed.to_vec());
        assert!(matches!(err, CmsError::DigestAlgorithms));
    }
    world.accepts(|draft| draft.digest_algorithms = [SHA256, SHA512].concat());
}

/// RFC 8419 section 3.1: SHA-512 when there are signed attributes.
#[test]
fn refuses_ed25519_with_another_digest() {
    let world = World::new();
    let err = world.refusal(|draft| {
        draft.digest_algorithm = SHA256.to_vec();
        draft.digest_algorithms = SHA256.to_vec();
        let digest = attribute(MESSAGE_DIGEST, &[&tlv(4, &[&Hash::Sha256.digest(PAYLOAD)])]);
        set_attributes(draft, vec![attribute(CONTENT_TYPE, &[DATA]), digest]);
    });
    assert!(matches!(err, CmsError::Ed25519Digest));
    assert_eq!(err.code(), "algorithm-unsupported");
}

#[test]
fn refuses_weak_algorithms_wherever_they_are_named() {
    let world = World::new();
    for (name, what) in [
        ("06052b0e03021a", "SHA-1"),
        ("06082a864886f70d0205", "MD5"),
        ("06092a864886f70d010105", "SHA-1"),
        ("06092a864886f70d010104", "MD5"),
        ("06072a8648ce3d0401", "SHA-1"),
    ] {
        let weak = tlv(0x30, &[&hex::decode(name).unwrap()]);
        for err in [
            world.refusal(|draft| draft.digest_algorithm = weak.clone()),
            world.refusal(|draft| draft.digest_algorithms = weak.clone()),
            world.refusal(|draft| draft.signature_algorithm = weak.clone()),
        ] {
            assert!(
                matches!(err, CmsError::AlgorithmWeak(name) if name == what),
                "{err:?}"
            );
            assert_eq!(err.code(), "algorithm-weak");
        }
    }
    let err = world.refusal(|draft| draft.digest_algorithms = [SHA512, SHA1].concat());
    assert!(matches!(err, CmsError::AlgorithmWeak(_)));
}

#[test]
fn names_algorithms_that_it_does_not_support() {
    let world = World::new();
    for (name, dotted) in [
        ("06092a864886f70d01010a", "1.2.840.113549.1.1.10"),
        ("06032b6571", "1.3.101.113"),
        ("0609608648016503040204", "2.16.840.1.101.3.4.2.4"),
    ] {
        let unknown = tlv(0x30, &[&hex::decode(name).unwrap()]);
        let err = world.refusal(|draft| draft.signature_algorithm = unknown);
        assert!(matches!(&err, CmsError::AlgorithmUnsupported(oid) if oid.to_string() == dotted));
        assert_eq!(err.code(), "algorithm-unsupported");
    }
}

#[test]
fn refuses_a_signature_of_another_kind_than_the_key() {
    let world = World::new();
    for (algorithm, digest) in [
        ("06082a8648ce3d040304", SHA512),
        ("06092a864886f70d01010d", SHA512),
        ("06092a864886f70d010101", SHA512),
    ] {
        let algorithm = tlv(0x30, &[&hex::decode(algorithm).unwrap()]);
        let err = world.refusal(|draft| {
            draft.signature_algorithm = algorithm;
            draft.digest_algorithm = digest.to_vec();
        });
        assert!(matches!(err, CmsError::KeyMismatch));
        assert_eq!(err.code(), "signature-invalid");
    }
    let ecdsa_sha256 = tlv(0x30, &[&hex::decode("06082a8648ce3d040302").unwrap()]);
    let err = world.refusal(|draft| draft.signature_algorithm = ecdsa_sha256);
    assert!(matches!(err, CmsError::DigestAlgorithms));
}

#[test]
fn refuses_attributes_out_of_order() {
    let world = World::new();
    for (first, second) in [(0, 1), (0, 2), (1, 2)] {
        let err = world.refusal(|draft| {
            draft.attributes.as_mut().unwrap().swap(first, second);
        });
        assert!(matches!(err, CmsError::AttributeOrder));
        assert_eq!(err.code(), "signature-malformed");
    }
}

#[test]
fn refuses_repeated_attributes() {
    let world = World::new();
    // The same bytes twice do not ascend; two values of one attribute do.
    let err = world.refusal(|draft| {
        let attributes = draft.attributes.as_mut().unwrap();
        attributes.insert(0, attributes[0].clone());
    });
    assert!(matches!(err, CmsError::AttributeOrder));
    for (name, value) in [
        (CONTENT_TYPE, tlv(6, &[&[0x2a, 3]])),
        (MESSAGE_DIGEST, tlv(4, &[&Hash::Sha512.digest(b"other")])),
        (SIGNING_TIME, b"\x17\x0d261120120001Z".to_vec()),
    ] {
        let err = world.refusal(|draft| {
            let mut attributes = draft.attributes.clone().unwrap();
            attributes.push(attribute(name, &[&value]));
            set_attributes(draft, attributes);
        });
        assert!(matches!(err, CmsError::RepeatedAttribute(_)), "{err:?}");
    }
}

#[test]
fn refuses_missing_attributes_except_the_signing_time() {
    let world = World::new();
    for (missing, dotted) in [(0, "1.2.840.113549.1.9.3"), (2, "1.2.840.113549.1.9.4")] {
        let err = world.refusal(|draft| {
            draft.attributes.as_mut().unwrap().remove(missing);
        });
        assert!(matches!(&err, CmsError::MissingAttribute(oid) if oid.to_string() == dotted));
    }
    let der = world.sign(|draft| {
        draft.attributes.as_mut().unwrap().remove(1);
    });
    assert_eq!(check(&der).unwrap().signing_time(), None);
    let err = world.refusal(|draft| draft.attributes = Some(Vec::new()));
    assert!(matches!(err, CmsError::Encoding(_)));
}

#[test]
fn refuses_attributes_with_another_value() {
    let world = World::new();
    let content_type = attribute(CONTENT_TYPE, &[DATA]);
    let digest = digest_attribute(PAYLOAD);
    let mut other_type = DATA.to_vec();
    *other_type.last_mut().unwrap() = 2;
    let other_type = attribute(CONTENT_TYPE, &[&other_type]);
    let err = world.refusal(|draft| set_attributes(draft, vec![other_type, digest.clone()]));
    assert!(matches!(err, CmsError::ContentType));

    let err = world
        .refusal(|draft| set_attributes(draft, vec![content_type, digest_attribute(b"other")]));
    assert!(matches!(err, CmsError::DigestMismatch));
}

#[test]
fn refuses_attributes_with_no_value_or_two_or_of_another_kind() {
    let world = World::new();
    let digest = tlv(4, &[&Hash::Sha512.digest(PAYLOAD)]);
    let time: &[u8] = b"\x17\x0d261120120000Z";
    for (at, name, bad) in [
        (0, CONTENT_TYPE, vec![DATA, DATA]),
        (0, CONTENT_TYPE, vec![&[4, 0][..]]),
        (1, SIGNING_TIME, vec![time, time]),
        (1, SIGNING_TIME, vec![b"\x17\x0b2611201200Z"]),
        (1, SIGNING_TIME, vec![b"\x17\x11261120120000+0000"]),
        (1, SIGNING_TIME, vec![b"\x17\x0d261320120000Z"]),
        (1, SIGNING_TIME, vec![b"\x18\x1120261120120000.5Z"]),
        (1, SIGNING_TIME, vec![b"\x04\x0d261120120000Z"]),
        (2, MESSAGE_DIGEST, vec![&digest, &digest]),
        (2, MESSAGE_DIGEST, vec![&[5, 0][..]]),
    ] {
        let err = world.refusal(|draft| {
            let mut attributes = draft.attributes.clone().unwrap();
            attributes[at] = attribute(name, &bad);
            set_attributes(draft, attributes);
        });
        assert!(matches!(err, CmsError::AttributeValue(_)), "{err:?}");
    }
    for at in 0..3 {
        let err = world.refusal(|draft| {
            let mut attributes = draft.attributes.clone().unwrap();
            attributes[at] = attribute([CONTENT_TYPE, SIGNING_TIME, MESSAGE_DIGEST][at], &[]);
            set_attributes(draft, attributes);
        });
        assert!(matches!(err, CmsError::Encoding(_)), "{err:?}");
    }
    for length in [0, 20, 32, 63, 65] {
        let err = world.refusal(|draft| {
            let mut attributes = draft.attributes.clone().unwrap();
            attributes[2] = attribute(MESSAGE_DIGEST, &[&tlv(4, &[&vec![0; length]])]);
            set_attributes(draft, attributes);
        });
        assert!(matches!(err, CmsError::DigestMismatch));
    }
}

#[test]
fn reads_other_attributes_and_other_times_when_they_are_canonical() {
    let world = World::new();
    let other = attribute(OTHER_ATTRIBUTE, &[&[0x30, 0]]);
    let add = |draft: &mut Draft| draft.attributes.clone().unwrap();
    world.accepts(|draft| {
        let mut attributes = add(draft);
        attributes.push(other.clone());
        set_attributes(draft, attributes);
    });
    let err = world.refusal(|draft| {
        let mut attributes = add(draft);
        attributes.push(other.clone());
        draft.attributes = Some(attributes);
    });
    assert!(matches!(err, CmsError::AttributeOrder));
    let der = world.sign(|draft| {
        let mut attributes = add(draft);
        attributes[1] = attribute(SIGNING_TIME, &[b"\x18\x0f20261120120000Z"]);
        set_attributes(draft, attributes);
    });
    assert_eq!(check(&der).unwrap().signing_time(), Some(NOW));
}

#[test]
fn refuses_more_attributes_than_anyone_writes() {
    let world = World::new();
    let many = |count: u8| -> Vec<Vec<u8>> {
        (0..count)
            .map(|at| attribute(&[6, 3, 0x2a, 3, at], &[&[5, 0]]))
            .collect()
    };
    let with = |draft: &mut Draft, count| {
        let attributes = [draft.attributes.clone().unwrap(), many(count)].concat();
        set_attributes(draft, attributes);
    };
    world.accepts(|draft| with(draft, 29));
    let err = world.refusal(|draft| with(draft, 30));
    assert!(matches!(err, CmsError::TooManyAttributes));
}

#[test]
fn keeps_unsigned_attributes_and_checks_their_form() {
    let world = World::new();
    let attributes = [
        attribute(OTHER_ATTRIBUTE, &[&[0x30, 0]]),
        attribute(&[6, 3, 0x2a, 3, 4], &[&[5, 0]]),
    ]
    .concat();
    let der = world.sign(|draft| draft.after_signature = tlv(0xa1, &[&attributes]));
    assert_eq!(check(&der).unwrap().unsigned_attributes(), attributes);
    for bad in [
        tlv(0xa1, &[]),
        tlv(0xa1, &[&[5, 0]]),
        tlv(0xa1, &[&tlv(0x30, &[&[5, 0]])]),
        tlv(0xa1, &[&attribute(OTHER_ATTRIBUTE, &[])]),
        tlv(0xa1, &[&attribute(OTHER_ATTRIBUTE, &[&[5, 0]]), &[0]]),
        tlv(0xa2, &[&attributes]),
        tlv(0xa1, &[&attributes]).repeat(2),
    ] {
        let err = world.refusal(|draft| draft.after_signature = bad);
        assert!(matches!(err, CmsError::Encoding(_)), "{err:?}");
    }
    assert_eq!(check(&der).unwrap().time_stamps().count(), 0);
    let twice = attribute(OTHER_ATTRIBUTE, &[&[0x30, 0]]).repeat(2);
    let err = world.refusal(|draft| draft.after_signature = tlv(0xa1, &[&twice]));
    assert!(matches!(err, CmsError::RepeatedAttribute(_)));
}

/// A certificate with the same issuer and serial number, for another key.
fn twin(session: &Session) -> Certificate {
    let other = Ed25519Key::from_seed([0x77; 32]);
    let twin = TestAuthority::new(1).certify(other.public_key(), &LeafSpec::default());
    assert_eq!(
        issuer_and_serial(&twin),
        issuer_and_serial(session.certificate())
    );
    twin
}

#[test]
fn refuses_a_substituted_certificate() {
    let world = World::new();
    let twin = twin(&world.session);
    let err = world.refusal(|draft| draft.certificates = Some(vec![twin.der().to_vec()]));
    assert!(matches!(err, CmsError::SignatureMismatch(_)));
    assert_eq!(err.code(), "signature-invalid");

    let stranger = TestAuthority::new(3).leaf(&LeafSpec {
        seed: 3,
        ..LeafSpec::default()
    });
    let err = world
        .refusal(|draft| draft.certificates = Some(vec![stranger.certificate().der().to_vec()]));
    assert!(matches!(err, CmsError::SignerCertificate));
    assert_eq!(err.code(), "signature-malformed");
}

#[test]
fn refuses_two_certificates_that_could_be_the_signers() {
    let world = World::new();
    let twin = twin(&world.session);
    let own = world.session.certificate();
    for pair in [[own, &twin], [&twin, own], [own, own]] {
        let bag = pair.map(|certificate| certificate.der().to_vec()).to_vec();
        let err = world.refusal(|draft| draft.certificates = Some(bag));
        assert!(matches!(err, CmsError::SignerCertificate));
    }
}

#[test]
fn finds_the_signer_anywhere_in_the_bag() {
    let world = World::new();
    let authority = TestAuthority::new(1);
    let own = world.session.certificate();
    let others = [authority.ed25519_root(), authority.p256_root()];
    for position in 0..=others.len() {
        let mut bag = others
            .map(|certificate| certificate.der().to_vec())
            .to_vec();
        bag.insert(position, own.der().to_vec());
        let message = check(&world.sign(|draft| draft.certificates = Some(bag))).unwrap();
        assert_eq!(message.signer(), own);
        let expected = [own.clone(), others[0].clone(), others[1].clone()];
        assert_eq!(message.certificates(), expected);
    }
}

#[test]
fn refuses_bags_that_are_empty_too_full_or_hold_something_else() {
    let world = World::new();
    for bag in [None, Some(Vec::new())] {
        let err = world.refusal(|draft| draft.certificates = bag);
        assert!(matches!(err, CmsError::SignerCertificate));
    }
    let mut four: Vec<_> = (2..5)
        .map(|seed| TestAuthority::new(seed).ed25519_root().der().to_vec())
        .collect();
    four.push(world.session.certificate().der().to_vec());
    let five = [
        four.clone(),
        vec![TestAuthority::new(5).ed25519_root().der().to_vec()],
    ]
    .concat();
    // Our roots all have the same name and serial number, and are not the signer.
    world.accepts(|draft| draft.certificates = Some(four));
    let err = world.refusal(|draft| draft.certificates = Some(five));
    assert!(matches!(err, CmsError::TooManyCertificates));

    for bad in [tlv(0xa1, &[&[5, 0]]), vec![5, 0], vec![0x30]] {
        let err = world.refusal(|draft| draft.certificates.as_mut().unwrap().push(bad));
        assert!(matches!(err, CmsError::Encoding(_)));
    }
    for bad in [vec![0x30, 0], tlv(0x30, &[&[0; 16 * 1024]])] {
        let err = world.refusal(|draft| draft.certificates.as_mut().unwrap().push(bad));
        assert!(matches!(err, CmsError::Certificate(_)));
        assert_eq!(err.code(), "certificate-invalid");
    }
    let revocations = tlv(0xa1, &[&[0x30, 0]]);
    let err = world.refusal(|draft| draft.after_certificates = revocations);
    assert!(matches!(err, CmsError::Encoding(_)));
}

#[test]
fn refuses_bytes_around_the_message() {
    let world = World::new();
    let der = world.sign(|_| {});
    for bad in [
        [&der[..], &[0]].concat(),
        [&der[..], &[0, 0]].concat(),
        [&der[..], &der].concat(),
        [&[0x30][..], &der].concat(),
        Vec::new(),
        vec![0x30],
        vec![0x30, 0],
    ] {
        let err = SignedMessage::parse(&bad).unwrap_err();
        assert_eq!(err.code(), "signature-malformed");
    }
}

#[test]
fn refuses_more_than_a_mebibyte() {
    let world = World::new();
    let with = |length: usize| {
        let filler = attribute(OTHER_ATTRIBUTE, &[&tlv(4, &[&vec![0; length]])]);
        world.sign(|draft| draft.after_signature = tlv(0xa1, &[&filler]))
    };
    let overhead = with(CMS_MAX / 2).len() - CMS_MAX / 2;
    let largest = with(CMS_MAX - overhead);
    assert_eq!(largest.len(), CMS_MAX);
    check(&largest).unwrap();
    let err = check(&with(CMS_MAX - overhead + 1)).unwrap_err();
    assert!(matches!(err, CmsError::TooLarge));
    assert_eq!(err.code(), "signature-too-large");
}

#[test]
fn reads_indefinite_lengths_and_finds_the_same_message() {
    let world = World::new();
    let der = world.sign(|_| {});
    let ber = to_ber(&der);
    assert_eq!(ber[..2], [0x30, 0x80]);
    let (message, same) = (check(&ber).unwrap(), check(&der).unwrap());
    assert_eq!(message.certificates(), same.certificates());
    assert_eq!(message.signature(), same.signature());
}

/// The door for BER is the outermost length; inside a definite message everything is DER.
#[test]
fn refuses_indefinite_and_long_winded_lengths_in_der() {
    let world = World::new();
    let der = world.sign(|_| {});
    let ber = to_ber(&der);
    // 30 80 <contents> 00 00 with the outer length made definite.
    let inner = tlv(0x30, &[&ber[2..ber.len() - 2]]);
    assert!(matches!(check(&inner), Err(CmsError::Encoding(_))));
    let long = [&[0x30, 0x83, 0], &der[2..]].concat();
    assert_eq!(der[1], 0x82);
    assert!(matches!(check(&long), Err(CmsError::Encoding(_))));
    let unfinished = &ber[..ber.len() - 2];
    assert!(matches!(check(unfinished), Err(CmsError::Ber(_))));
    let trailing = [&ber[..], &[0, 0]].concat();
    assert!(matches!(check(&trailing), Err(CmsError::Ber(_))));
}

#[test]
fn reads_no_attributes_but_our_own_from_an_agent() {
    let attributes = SignedAttributes::new(Hash::Sha512, PAYLOAD, NOW);
    let der = attributes.der();
    let content_type = attribute(CONTENT_TYPE, &[DATA]);
    let time = attribute(SIGNING_TIME, &[b"\x17\x0d261120120000Z"]);
    let generalized = attribute(SIGNING_TIME, &[b"\x18\x0f20261120120000Z"]);
    let digest = digest_attribute(PAYLOAD);
    let short = attribute(MESSAGE_DIGEST, &[&tlv(4, &[&[0; 20]])]);
    let other = attribute(OTHER_ATTRIBUTE, &[&[0x30, 0]]);
    assert_eq!(tlv(0x31, &[&content_type, &time, &digest]), der);
    for bad in [
        tlv(0xa0, &[&content_type, &time, &digest]),
        tlv(0x31, &[&time, &content_type, &digest]),
        tlv(0x31, &[&content_type, &digest]),
        tlv(0x31, &[&time, &digest]),
        tlv(0x31, &[&content_type, &time]),
        tlv(0x31, &[&other, &content_type, &time, &digest]),
        tlv(0x31, &[&content_type, &generalized, &digest]),
        tlv(0x31, &[&content_type, &time, &short]),
        [der, &[0]].concat(),
        der[..der.len() - 1].to_vec(),
        to_ber(der),
        PAYLOAD.to_vec(),
        Vec::new(),
    ] {
        let err = SignedAttributes::from_der(&bad).unwrap_err();
        assert_eq!(err.code(), "signature-malformed", "{}", hex::encode(&bad));
    }
}

/// RFC 3161 appendix A: id-aa-timeStampToken.
#[test]
fn returns_time_stamps_unread_and_no_more_than_there_may_be() {
    const TIME_STAMP: &[u8] = b"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x0e";
    let world = World::new();
    let stamped = |draft: &mut Draft, count: u8| {
        let tokens: Vec<_> = (0..count).map(|token| [0x30, 1, token]).collect();
        let tokens: Vec<&[u8]> = tokens.iter().map(<[u8; 3]>::as_slice).collect();
        draft.after_signature = tlv(0xa1, &[&attribute(TIME_STAMP, &tokens)]);
    };
    let max = u8::try_from(TIME_STAMPS_MAX).unwrap();
    let message = check(&world.sign(|draft| stamped(draft, max))).unwrap();
    let tokens: Vec<_> = message.time_stamps().collect();
    assert_eq!(tokens, (0..max).map(|it| [0x30, 1, it]).collect::<Vec<_>>());
    let err = world.refusal(|draft| stamped(draft, max + 1));
    assert!(matches!(err, CmsError::TooManyTimeStamps));
    assert_eq!(err.code(), "signature-malformed");
}
