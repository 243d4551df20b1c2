//! Tokens that are nearly good. Each is signed by the right key: what fails is the rule under
//! test.

use notme_core::{
    certificate::Certificate,
    cms::CmsError,
    key::{Hash, Signer as _},
    timestamp::{TimeStampError, TimeStampToken},
};
use notme_testkit::{
    cast::{LeafSpec, TestAuthority},
    clock::NOW,
    tsa::TestTsa,
};

use super::{MESSAGE, tsa, verify};
use crate::{
    bench::{Bench, P256},
    cms::support::{
        CONTENT_TYPE, DATA, MESSAGE_DIGEST, SHA256, SIGNED_DATA, attribute, issuer_and_serial, tlv,
    },
};

const TST_INFO: &[u8] = b"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x04";
const SIGNING_CERTIFICATE: &[u8] = b"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x0c";
const SIGNING_CERTIFICATE_V2: &[u8] = b"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x2f";
const ECDSA_SHA256: &[u8] = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
const POLICY: &[u8] = b"\x06\x03\x2a\x03\x04";

/// A token, part by part.
#[derive(Clone)]
struct Draft {
    version: u8,
    content_type: Vec<u8>,
    info: Vec<Vec<u8>>,
    attributes: Vec<Vec<u8>>,
    certificates: Vec<u8>,
    name: Vec<u8>,
}

/// An ESSCertIDv2 in its attribute.
fn signing_certificate(id: &[&[u8]]) -> Vec<u8> {
    let ids = tlv(0x30, &[&tlv(0x30, id)]);
    attribute(SIGNING_CERTIFICATE_V2, &[&tlv(0x30, &[&ids])])
}

impl Draft {
    fn new(tsa: &TestTsa) -> Self {
        let digest = tlv(4, &[&Hash::Sha256.digest(MESSAGE)]);
        let certificate = tsa.certificate();
        Self {
            version: 3,
            content_type: TST_INFO.to_vec(),
            info: vec![
                vec![2, 1, 1],
                POLICY.to_vec(),
                tlv(0x30, &[SHA256, &digest]),
                vec![2, 1, 7],
                tlv(0x18, &[b"20261120120000Z"]),
            ],
            attributes: vec![
                attribute(CONTENT_TYPE, &[TST_INFO]),
                signing_certificate(&[&tlv(4, &[&certificate.sha256()])]),
            ],
            certificates: tlv(0xa0, &[certificate.der()]),
            name: issuer_and_serial(certificate),
        }
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut draft = self.clone();
        change(&mut draft);
        draft
    }

    fn sign(&self, tsa: &TestTsa) -> Vec<u8> {
        let info: Vec<&[u8]> = self.info.iter().map(Vec::as_slice).collect();
        let info = tlv(0x30, &info);
        let digest = tlv(4, &[&Hash::Sha256.digest(&info)]);
        let mut attributes = self.attributes.clone();
        attributes.push(attribute(MESSAGE_DIGEST, &[&digest]));
        attributes.sort();
        let attributes = attributes.concat();
        let signature = tsa.key().sign(&tlv(0x31, &[&attributes])).unwrap();
        let signer = [
            &[2, 1, 1],
            &self.name[..],
            SHA256,
            &tlv(0xa0, &[&attributes]),
            ECDSA_SHA256,
            &tlv(4, &[&signature]),
        ];
        let content = tlv(0xa0, &[&tlv(4, &[&info])]);
        let signed_data = [
            &[2, 1, self.version],
            &tlv(0x31, &[SHA256])[..],
            &tlv(0x30, &[&self.content_type, &content]),
            &self.certificates,
            &tlv(0x31, &[&tlv(0x30, &signer)]),
        ];
        let signed_data = tlv(0xa0, &[&tlv(0x30, &signed_data)]);
        tlv(0x30, &[SIGNED_DATA, &signed_data])
    }
}

#[test]
fn the_draft_is_good_before_anything_is_wrong_with_it() {
    let tsa = tsa();
    let stamp = verify(&Draft::new(&tsa).sign(&tsa), &tsa, MESSAGE).unwrap();
    assert_eq!((stamp.at(), stamp.latest()), (NOW, NOW));
}

#[test]
fn a_token_is_for_its_own_bytes() {
    let tsa = tsa();
    let token = tsa.stamp(MESSAGE, NOW);
    for other in [&b""[..], b"some byte", b"some bytes\n"] {
        let error = verify(&token, &tsa, other).unwrap_err();
        assert!(matches!(error, TimeStampError::OtherBytes));
    }
}

#[test]
fn a_token_is_by_its_own_certificate() {
    let (authority, ours) = (TestAuthority::new(1), tsa());
    let other_key = TestTsa::of(&authority, 2);
    let token = ours.stamp(MESSAGE, NOW);
    assert!(
        !TimeStampToken::parse(&token)
            .unwrap()
            .names(other_key.certificate())
    );
    let error = verify(&token, &other_key, MESSAGE).unwrap_err();
    assert!(matches!(error, TimeStampError::OtherSigner));

    // One that only says it is ours.
    let forged = Draft::new(&ours).sign(&other_key);
    assert!(
        TimeStampToken::parse(&forged)
            .unwrap()
            .names(ours.certificate())
    );
    let error = verify(&forged, &ours, MESSAGE).unwrap_err();
    assert!(matches!(error, TimeStampError::SignatureMismatch(_)));
}

/// RFC 5816: another certificate over the same key is another signer.
#[test]
fn the_certificate_id_ties_the_token_to_one_certificate() {
    let tsa = tsa();
    let draft = Draft::new(&tsa);
    let own = tlv(4, &[&tsa.certificate().sha256()]);
    let other = tlv(4, &[&[7; 32]]);
    let names = |id: &[&[u8]]| {
        let signed = draft
            .with(|it| it.attributes[1] = signing_certificate(id))
            .sign(&tsa);
        verify(&signed, &tsa, MESSAGE)
    };
    assert!(matches!(names(&[&other]), Err(TimeStampError::OtherSigner)));
    assert!(names(&[SHA256, &own]).is_ok());
    let serial = tlv(2, &[tsa.certificate().serial()]);
    let issuer = tlv(0xa4, &[tsa.certificate().issuer_der()]);
    let issuer_serial = |name: &[u8], serial: &[u8]| tlv(0x30, &[&tlv(0x30, &[name]), serial]);
    assert!(names(&[&own, &issuer_serial(&issuer, &serial)]).is_ok());
    let error = names(&[&own, &issuer_serial(&issuer, &[2, 1, 9])]);
    assert!(matches!(error, Err(TimeStampError::OtherSigner)));
    let error = names(&[&own, &issuer_serial(b"\x82\x01a", &serial)]);
    assert!(matches!(
        error,
        Err(TimeStampError::Cms(CmsError::AttributeValue(_)))
    ));

    // Both versions: both count.
    let ids = tlv(0x30, &[&tlv(0x30, &[&tlv(0x30, &[&tlv(4, &[&[7; 20]])])])]);
    let both = draft.with(|it| it.attributes.push(attribute(SIGNING_CERTIFICATE, &[&ids])));
    let error = verify(&both.sign(&tsa), &tsa, MESSAGE).unwrap_err();
    assert!(matches!(error, TimeStampError::OtherSigner));

    let none = draft.with(|it| it.attributes.truncate(1)).sign(&tsa);
    let error = TimeStampToken::parse(&none).unwrap_err();
    assert!(matches!(error, TimeStampError::SigningCertificate));
}

#[test]
fn the_certificates_that_come_along_include_the_signers() {
    let (authority, tsa) = (TestAuthority::new(1), tsa());
    let draft = Draft::new(&tsa);
    let root = authority.p256_root().der();
    let without = draft.with(|it| it.certificates = Vec::new()).sign(&tsa);
    assert!(verify(&without, &tsa, MESSAGE).is_ok());
    let both = tlv(0xa0, &[root, tsa.certificate().der()]);
    let both = draft.with(|it| it.certificates = both).sign(&tsa);
    assert!(verify(&both, &tsa, MESSAGE).is_ok());
    let other = draft
        .with(|it| it.certificates = tlv(0xa0, &[root]))
        .sign(&tsa);
    let error = verify(&other, &tsa, MESSAGE).unwrap_err();
    assert!(matches!(error, TimeStampError::OtherSigner));
}

#[test]
fn only_certificates_for_time_stamps_alone_stamp() {
    let bench = Bench::new();
    let usable = |name: &str, extensions: &[&str]| {
        bench.certify_with(name, P256, extensions);
        bench
            .certificate(&format!("{name}.pem"))
            .is_for_time_stamps()
    };
    let sign = "keyUsage=critical,digitalSignature";
    let leaf = "basicConstraints=critical,CA:false";
    let stamps = "extendedKeyUsage=critical,timeStamping";
    assert!(usable("good", &[sign, leaf, stamps]));
    for (name, extensions) in [
        ("uncritical", [sign, leaf, "extendedKeyUsage=timeStamping"]),
        (
            "more",
            [
                sign,
                leaf,
                "extendedKeyUsage=critical,timeStamping,codeSigning",
            ],
        ),
        (
            "other",
            [sign, leaf, "extendedKeyUsage=critical,codeSigning"],
        ),
        (
            "any",
            [sign, leaf, "extendedKeyUsage=critical,anyExtendedKeyUsage"],
        ),
        ("ca", [sign, "basicConstraints=critical,CA:true", stamps]),
        (
            "agreement",
            ["keyUsage=critical,keyAgreement", leaf, stamps],
        ),
        ("unknown", [stamps, leaf, "1.2.3.4=critical,DER:0500"]),
    ] {
        assert!(!usable(name, &extensions), "{name}");
    }
    // A signer's own certificate is none either, whatever it signs.
    let leaf = TestAuthority::new(1).leaf(&LeafSpec::default());
    let token = tsa().stamp(MESSAGE, NOW);
    let error = TimeStampToken::parse(&token)
        .unwrap()
        .verify(leaf.certificate(), MESSAGE)
        .unwrap_err();
    assert!(matches!(error, TimeStampError::Certificate));
}

#[test]
fn neither_another_version_nor_another_content_is_a_time_stamp() {
    let tsa = tsa();
    let draft = Draft::new(&tsa);
    let parse = |draft: &Draft| {
        TimeStampToken::parse(&draft.sign(&tsa))
            .map(|_| ())
            .unwrap_err()
    };
    let error = parse(&draft.with(|it| it.version = 1));
    assert!(matches!(error, TimeStampError::Version));
    let error = parse(&draft.with(|it| it.info[0] = vec![2, 1, 2]));
    assert!(matches!(error, TimeStampError::Version));
    // A signature over plain data, and one over a time stamp that calls itself data.
    let error = parse(&draft.with(|it| it.content_type = DATA.to_vec()));
    assert!(matches!(error, TimeStampError::Cms(_)));
    let error = parse(&draft.with(|it| it.attributes[0] = attribute(CONTENT_TYPE, &[DATA])));
    assert!(matches!(error, TimeStampError::Cms(_)));
    let leaf = TestAuthority::new(1).leaf(&LeafSpec::default());
    assert!(TimeStampToken::parse(&leaf.sign_cms(b"tree", NOW)).is_err());
}

#[test]
fn every_field_has_one_spelling() {
    let tsa = tsa();
    let draft = Draft::new(&tsa);
    let good = |info: &[Vec<u8>]| {
        let signed = draft.with(|it| it.info = info.to_vec()).sign(&tsa);
        verify(&signed, &tsa, MESSAGE).is_ok()
    };
    let at = |place: usize, value: Vec<u8>| {
        let mut info = draft.info.clone();
        info[place] = value;
        info
    };
    let and = |value: Vec<u8>| [draft.info.clone(), vec![value]].concat();
    for time in [
        "20261120120000.5Z",
        "20261120120000.123456789Z",
        "20501120120000Z",
    ] {
        // 2050 is outside the certificate; it is the spelling that counts here.
        let signed = draft
            .with(|it| it.info = at(4, tlv(0x18, &[time.as_bytes()])))
            .sign(&tsa);
        assert!(TimeStampToken::parse(&signed).is_ok(), "{time}");
    }
    for time in [
        "20261120120000",
        "20261120120000.Z",
        "20261120120000.50Z",
        "20261120120000,5Z",
        "20261120120000.0Z",
        "202611201200Z",
        "20261120120000+0100",
        "20261120120000.1234567891Z",
        "20261120120000.5",
        "20261120126000Z",
        "20261120120000.-5Z",
        "",
    ] {
        assert!(!good(&at(4, tlv(0x18, &[time.as_bytes()]))), "{time}");
    }
    // UTCTime names no century.
    assert!(!good(&at(4, tlv(0x17, &[b"261120120000Z"]))));
    // Serial numbers and nonces are minimal.
    assert!(!good(&at(3, vec![2, 2, 0, 1])));
    assert!(!good(&at(3, vec![2, 0])));
    assert!(!good(&at(3, tlv(2, &[&[1; 22]]))));
    assert!(good(&and(vec![2, 1, 0xff])));
    assert!(!good(&and(vec![2, 2, 0xff, 0xff])));
    // Accuracy: parts of 1 to 999, in their order.
    assert!(good(&and(tlv(0x30, &[&[0x80, 2, 3, 0xe7]]))));
    for parts in [
        &[&[0x80, 1, 0][..]][..],
        &[&[0x80, 2, 3, 0xe8]],
        &[&[0x81, 1, 1], &[0x80, 1, 1]],
        &[&[2, 1, 0xff]],
        &[&[2, 5, 1, 0, 0, 0, 0]],
        &[&[5, 0]],
    ] {
        assert!(!good(&and(tlv(0x30, parts))), "{parts:02x?}");
    }
    assert!(good(&and(vec![1, 1, 0xff])));
    assert!(!good(&and(vec![1, 1, 0])));
    assert!(!good(&and(vec![5, 0])));
    // The digest is as long as its algorithm says.
    assert!(!good(&at(2, tlv(0x30, &[SHA256, &tlv(4, &[&[7; 31]])]))));
}

#[test]
fn an_extension_that_has_to_be_known_is() {
    let tsa = tsa();
    let draft = Draft::new(&tsa);
    let extended = |flag: &[u8]| {
        let extension = tlv(0x30, &[b"\x06\x03\x2a\x03\x04", flag, &tlv(4, &[&[5, 0]])]);
        let info = tlv(0xa1, &[&extension]);
        verify(
            &draft.with(|it| it.info.push(info)).sign(&tsa),
            &tsa,
            MESSAGE,
        )
    };
    assert!(extended(&[]).is_ok());
    assert!(matches!(
        extended(&[1, 1, 0xff]),
        Err(TimeStampError::UnknownCritical(_))
    ));
    assert!(matches!(
        extended(&[1, 1, 0]),
        Err(TimeStampError::Encoding(_))
    ));
}

#[test]
fn an_algorithm_that_is_not_ours_is_told_from_a_broken_token() {
    let tsa = tsa();
    let token = tsa.stamp(MESSAGE, NOW);
    let replaced = |from: &[u8], to: &[u8]| {
        assert_eq!(from.len(), to.len());
        let at = token
            .windows(from.len())
            .rposition(|it| it == from)
            .unwrap();
        let changed = [&token[..at], to, &token[at + to.len()..]].concat();
        TimeStampToken::parse(&changed).map(|_| ()).unwrap_err()
    };
    // ecdsa-with-SHA256 becomes its SHA-224, which we do not read.
    assert!(
        replaced(
            ECDSA_SHA256,
            b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x01"
        )
        .is_unsupported()
    );
    assert!(
        !TimeStampToken::parse(&token[1..])
            .unwrap_err()
            .is_unsupported()
    );
}

#[test]
fn refuses_every_flipped_bit_of_what_we_stamp() {
    let tsa = tsa();
    let token = tsa.stamp(MESSAGE, NOW);
    let certificate: &Certificate = tsa.certificate();
    let accepts = |der: &[u8]| {
        TimeStampToken::parse(der).is_ok_and(|it| it.verify(certificate, MESSAGE).is_ok())
    };
    assert!(accepts(&token));
    let mut changed = token.clone();
    for at in 0..token.len() {
        for mask in [1, 2, 4, 8, 16, 32, 64, 128, 0xff] {
            changed[at] ^= mask;
            assert!(!accepts(&changed), "byte {at} ^ {mask:#04x}");
            changed[at] ^= mask;
        }
    }
}
