//! Requests and replies.

use notme_core::{
    hex,
    key::Hash,
    timestamp::{
        MessageImprint, REQUEST_MAX, RESPONSE_MAX, RejectionReason, RequestError, TOKEN_MAX,
        TimeStampError, TimeStampRequest, TimeStampToken, reply_granted, reply_rejected,
    },
};
use notme_testkit::clock::NOW;

use super::{MESSAGE, tsa, verify};
use crate::cms::support::{SHA1, SHA256, SHA512_NULL, tlv};

fn request(nonce: u8) -> TimeStampRequest {
    TimeStampRequest::new(MessageImprint::of(Hash::Sha256, MESSAGE), &[nonce; 16])
}

/// RFC 3161 section 2.4.1, by hand.
#[test]
fn writes_requests_in_the_one_form() {
    let digest = hex::encode(&Hash::Sha256.digest(MESSAGE));
    let der = request(0x80).to_der();
    let expected = format!(
        "304a020101302f300b0609608648016503040201\
         0420{digest}021100{}0101ff",
        "80".repeat(16)
    );
    assert_eq!(hex::encode(&der), expected);
    assert_eq!(TimeStampRequest::from_der(&der).unwrap(), request(0x80));
    // A nonce is a number: zeros at its front are not written.
    assert!(hex::encode(&request(0).to_der()).ends_with("0201000101ff"));
}

#[test]
fn repeats_the_imprint_as_it_was_asked_for() {
    let digest = tlv(4, &[&Hash::Sha512.digest(MESSAGE)]);
    let imprint = tlv(0x30, &[SHA512_NULL, &digest]);
    let request = TimeStampRequest::from_der(&tlv(0x30, &[&[2, 1, 1], &imprint])).unwrap();
    assert!(request.imprint().covers(MESSAGE));
    assert!(!request.wants_certificate());
    let tsa = tsa();
    let token = tsa.answer(&request, NOW);
    assert!(token.windows(imprint.len()).any(|part| part == imprint));
    assert!(verify(&token, &tsa, MESSAGE).is_ok());
    let certificate = tsa.certificate().der();
    assert!(!token.windows(certificate.len()).any(|it| it == certificate));
}

#[test]
fn says_what_is_wrong_with_a_request() {
    let digest = tlv(4, &[&[7; 32]]);
    let imprint = tlv(0x30, &[SHA256, &digest]);
    let version: &[u8] = &[2, 1, 1];
    let cases: [(&[&[u8]], RequestError, RejectionReason); 19] = [
        (
            &[&[2, 1, 2], &imprint],
            RequestError::Version,
            RejectionReason::BadRequest,
        ),
        (
            &[version, &tlv(0x30, &[SHA1, &tlv(4, &[&[7; 20]])])],
            RequestError::Algorithm,
            RejectionReason::BadAlg,
        ),
        (
            &[
                version,
                &tlv(0x30, &[b"\x30\x05\x06\x03\x2a\x03\x04", &digest]),
            ],
            RequestError::Algorithm,
            RejectionReason::BadAlg,
        ),
        (
            &[version, &tlv(0x30, &[SHA256, &tlv(4, &[&[7; 31]])])],
            RequestError::ImprintLength,
            RejectionReason::BadDataFormat,
        ),
        (
            &[version, &imprint, &tlv(0xa0, &[])],
            RequestError::Extension,
            RejectionReason::UnacceptedExtension,
        ),
        // 1.2.3, and one of 60 bytes.
        (
            &[version, &imprint, &tlv(6, &[&[0x2a, 3]])],
            RequestError::Policy,
            RejectionReason::UnacceptedPolicy,
        ),
        (
            &[version, &imprint, &tlv(6, &[&[0x2a; 60]])],
            RequestError::Policy,
            RejectionReason::UnacceptedPolicy,
        ),
        (
            &[version, &imprint, &tlv(6, &[&[0x2a, 0x80, 3]])],
            malformed(),
            RejectionReason::BadDataFormat,
        ),
        (
            &[version, &imprint, &tlv(6, &[&[0x2a, 0x83]])],
            malformed(),
            RejectionReason::BadDataFormat,
        ),
        (
            &[version, &imprint, &tlv(6, &[&[]])],
            malformed(),
            RejectionReason::BadDataFormat,
        ),
        (
            &[version, &imprint, &tlv(6, &[&[0x2a, 3]]), &[1, 1, 0]],
            malformed(),
            RejectionReason::BadDataFormat,
        ),
        (&[version], malformed(), RejectionReason::BadDataFormat),
        (&[&imprint], malformed(), RejectionReason::BadDataFormat),
        // FALSE is the default, and TRUE has one spelling.
        (
            &[version, &imprint, &[1, 1, 0]],
            malformed(),
            RejectionReason::BadDataFormat,
        ),
        (
            &[version, &imprint, &[1, 1, 1]],
            malformed(),
            RejectionReason::BadDataFormat,
        ),
        (
            &[version, &imprint, &[2, 2, 0, 1]],
            malformed(),
            RejectionReason::BadDataFormat,
        ),
        (
            &[version, &imprint, &[2, 0]],
            malformed(),
            RejectionReason::BadDataFormat,
        ),
        (
            &[version, &imprint, &tlv(2, &[&[1; 65]])],
            malformed(),
            RejectionReason::BadDataFormat,
        ),
        (
            &[version, &imprint, &[5, 0]],
            malformed(),
            RejectionReason::BadDataFormat,
        ),
    ];
    for (parts, expected, reason) in cases {
        let error = TimeStampRequest::from_der(&tlv(0x30, parts)).unwrap_err();
        assert_eq!((error, error.reason()), (expected, reason), "{parts:02x?}");
    }
    for bytes in [&b""[..], b"{}", &[0x30, 0x80, 0, 0]] {
        let error = TimeStampRequest::from_der(bytes).unwrap_err();
        assert_eq!(error, malformed());
    }
    let good = request(1).to_der();
    let error = TimeStampRequest::from_der(&[&good[..], &[0]].concat()).unwrap_err();
    assert_eq!(error, malformed());
    let error = TimeStampRequest::from_der(&vec![0x30; REQUEST_MAX + 1]).unwrap_err();
    assert_eq!(error, RequestError::TooLong);
    assert_eq!(error.reason(), RejectionReason::BadDataFormat);
}

fn malformed() -> RequestError {
    TimeStampRequest::from_der(&[]).unwrap_err()
}

#[test]
fn a_reply_answers_its_own_request_only() {
    let tsa = tsa();
    let reply = reply_granted(&tsa.answer(&request(1), NOW));
    assert!(TimeStampToken::from_reply(&reply, Some(&request(1))).is_ok());
    let error = TimeStampToken::from_reply(&reply, Some(&request(2))).unwrap_err();
    assert!(matches!(error, TimeStampError::Nonce));
    let other = TimeStampRequest::new(MessageImprint::of(Hash::Sha256, b"other"), &[1; 16]);
    let error = TimeStampToken::from_reply(&reply, Some(&other)).unwrap_err();
    assert!(matches!(error, TimeStampError::OtherBytes));
}

#[test]
fn a_reply_has_a_token_exactly_when_it_says_so() {
    let token = tsa().answer(&request(1), NOW);
    let status = |status: u8| tlv(0x30, &[&[2, 1, status]]);
    let reply = |parts: &[&[u8]]| {
        let reply = tlv(0x30, parts);
        TimeStampToken::from_reply(&reply, None).map(|_| ())
    };
    assert!(reply(&[&status(0), &token]).is_ok());
    // grantedWithMods: what is in it is looked at all the same.
    assert!(reply(&[&status(1), &token]).is_ok());
    for parts in [
        &[&status(0)[..]][..],
        &[&status(2), &token],
        &[&status(0), &token, &[5, 0]],
    ] {
        assert!(matches!(reply(parts), Err(TimeStampError::Encoding(_))));
    }
    for status in (2..=5).map(status) {
        assert!(matches!(reply(&[&status]), Err(TimeStampError::Refused(_))));
    }
}

#[test]
fn words_of_a_refusal_move_no_cursor() {
    let reply = reply_rejected(RejectionReason::SystemFailure, "a\x1b[2Jb\n");
    match TimeStampToken::from_reply(&reply, None).unwrap_err() {
        TimeStampError::Refused(refused) => assert_eq!(refused.text, "a[2Jb"),
        other => panic!("{other}"),
    }
}

#[test]
fn what_is_too_long_is_not_read() {
    let token = vec![0x30; TOKEN_MAX + 1];
    let error = TimeStampToken::parse(&token).unwrap_err();
    assert!(matches!(error, TimeStampError::TooLong));
    let reply = vec![0x30; RESPONSE_MAX + 1];
    let error = TimeStampToken::from_reply(&reply, None).unwrap_err();
    assert!(matches!(error, TimeStampError::TooLong));
}
