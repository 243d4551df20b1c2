//! Tokens between us and openssl, in both directions.

use notme_core::{
    certificate::Certificate,
    time::UnixTime,
    timestamp::{
        RejectionReason, TimeStampError, TimeStampRequest, TimeStampToken, reply_granted,
        reply_rejected,
    },
};
use notme_testkit::{cast::TestAuthority, clock::NOW, tsa::TestTsa};

use super::MESSAGE;
use crate::bench::{Bench, P256, P384, RSA};

/// What makes a self-signed certificate one of a time-stamping authority.
const TSA_EXTENSIONS: [&str; 3] = [
    "keyUsage=critical,digitalSignature",
    "basicConstraints=critical,CA:false",
    "extendedKeyUsage=critical,timeStamping",
];

/// An openssl that stamps.
struct OpenSslTsa(Bench);

impl OpenSslTsa {
    fn new(algorithm: &[&str]) -> Self {
        let bench = Bench::new();
        bench.certify_with("tsa", algorithm, &TSA_EXTENSIONS);
        bench.certify("root", P256);
        bench.write("serial", b"01\n");
        bench.write("message", MESSAGE);
        Self(bench)
    }

    fn certificate(&self) -> Certificate {
        self.0.certificate("tsa.pem")
    }

    /// Has a message stamped, with settings of the authority and options of the query.
    fn reply(&self, settings: &str, query: &[&str]) -> Vec<u8> {
        let config = format!(
            "[tsa]\ndefault_tsa = here\n[here]\nserial = serial\nsigner_cert = tsa.pem\n\
             signer_key = tsa.key\ndefault_policy = 1.2.3.4.1\ndigests = sha256, sha384, sha512\n\
             signer_digest = sha256\n{settings}\n"
        );
        self.0.write("tsa.cnf", config.as_bytes());
        let arguments = ["ts", "-query", "-data", "message", "-out", "query"];
        self.0.ok("openssl", &[&arguments[..], query].concat());
        let arguments = ["ts", "-reply", "-config", "tsa.cnf", "-section", "here"];
        let files = ["-queryfile", "query", "-out", "reply"];
        self.0.run("openssl", &[&arguments[..], &files].concat());
        self.0.read("reply")
    }
}

fn assert_is_now(at: UnixTime) {
    let now = UnixTime::from(std::time::SystemTime::now());
    assert!((0..3600).contains(&(now.secs() - at.secs())), "{at}");
}

#[test]
fn reads_what_openssl_stamps() {
    for algorithm in [P256, P384, RSA] {
        let tsa = OpenSslTsa::new(algorithm);
        let certificate = tsa.certificate();
        for (settings, query, uncertain) in [
            ("", &["-sha256", "-cert"][..], 0),
            ("ess_cert_id_alg = sha1", &["-sha256", "-cert"], 0),
            ("ess_cert_id_alg = sha512", &["-sha384", "-cert"], 0),
            ("signer_digest = sha512", &["-sha512", "-cert"], 0),
            ("signer_digest = sha384", &["-sha256"], 0),
            ("", &["-sha256", "-no_nonce"], 0),
            ("", &["-sha256", "-tspolicy", "1.2.3.4.1"], 0),
            ("accuracy = secs:2", &["-sha256"], 2),
            (
                "accuracy = secs:2, millisecs:1, microsecs:999",
                &["-sha256"],
                3,
            ),
            (
                "accuracy = microsecs:5\nordering = yes\ntsa_name = yes",
                &["-sha256"],
                1,
            ),
            (
                "ess_cert_id_chain = yes\ncerts = root.pem",
                &["-sha256", "-cert"],
                0,
            ),
        ] {
            let reply = tsa.reply(settings, query);
            let token = TimeStampToken::from_reply(&reply, None).unwrap();
            assert!(token.names(&certificate), "{settings}");
            let stamp = token.verify(&certificate, MESSAGE).unwrap();
            assert_is_now(stamp.at());
            assert_eq!(stamp.latest(), stamp.at().plus(uncertain), "{settings}");
            assert_eq!(token.policy().to_string(), "1.2.3.4.1");
            let error = token.verify(&certificate, b"other").unwrap_err();
            assert!(matches!(error, TimeStampError::OtherBytes));
        }
    }
}

#[test]
fn a_fraction_of_a_second_counts_as_a_whole_one() {
    let tsa = OpenSslTsa::new(P256);
    // One time in a thousand there is no fraction to write.
    let stamp = (0..3).find_map(|_| {
        let reply = tsa.reply("clock_precision_digits = 3", &["-sha256"]);
        let token = TimeStampToken::from_reply(&reply, None).unwrap();
        let stamp = token.verify(&tsa.certificate(), MESSAGE).unwrap();
        assert_is_now(stamp.at());
        (stamp.latest() != stamp.at()).then_some(stamp)
    });
    let stamp = stamp.unwrap();
    assert_eq!(stamp.latest(), stamp.at().plus(1));
}

#[test]
fn refuses_every_flipped_bit_of_what_openssl_stamps() {
    for (algorithm, settings) in [
        (P256, "accuracy = secs:1, millisecs:5"),
        (RSA, "ess_cert_id_alg = sha1"),
    ] {
        let tsa = OpenSslTsa::new(algorithm);
        let certificate = tsa.certificate();
        let reply = tsa.reply(settings, &["-sha256", "-cert"]);
        let token = TimeStampToken::from_reply(&reply, None).unwrap().der();
        let accepts = |der: &[u8]| {
            TimeStampToken::parse(der).is_ok_and(|it| it.verify(&certificate, MESSAGE).is_ok())
        };
        assert!(accepts(token));
        let mut changed = token.to_vec();
        for at in 0..token.len() {
            for mask in [1, 2, 4, 8, 16, 32, 64, 128, 0xff] {
                changed[at] ^= mask;
                assert!(!accepts(&changed), "byte {at} ^ {mask:#04x}");
                changed[at] ^= mask;
            }
            assert!(!accepts(&token[..at]), "{at}");
            assert!(!accepts(&[&token[..at], &token[at + 1..]].concat()), "{at}");
        }
    }
}

#[test]
fn reads_why_openssl_does_not_stamp() {
    let tsa = OpenSslTsa::new(P256);
    let reason = |settings, query: &[&str]| {
        let reply = tsa.reply(settings, query);
        match TimeStampToken::from_reply(&reply, None).unwrap_err() {
            TimeStampError::Refused(refused) => refused.reason,
            other => panic!("{other}"),
        }
    };
    let other_policy = ["-sha256", "-tspolicy", "1.2.3.4.2"];
    assert_eq!(
        reason("", &other_policy),
        Some(RejectionReason::UnacceptedPolicy)
    );
    assert_eq!(reason("", &["-sha224"]), Some(RejectionReason::BadAlg));
}

#[test]
fn openssl_accepts_what_we_stamp() {
    let bench = Bench::new();
    let authority = TestAuthority::new(1);
    let tsa = TestTsa::of(&authority, 1);
    bench.write("root.pem", authority.p256_root().pem().as_bytes());
    bench.write("tsa.pem", tsa.certificate().pem().as_bytes());
    bench.write("message", MESSAGE);
    for query in [
        &["-sha256", "-cert"][..],
        &["-sha384"],
        &["-sha512", "-cert", "-no_nonce"],
    ] {
        let arguments = ["ts", "-query", "-data", "message", "-out", "query"];
        bench.ok("openssl", &[&arguments[..], query].concat());
        let request = TimeStampRequest::from_der(&bench.read("query")).unwrap();
        assert_eq!(request.wants_certificate(), query.contains(&"-cert"));
        bench.write("reply", &reply_granted(&tsa.answer(&request, NOW)));
        let verify = ["ts", "-verify", "-in", "reply", "-CAfile", "root.pem"];
        let other: &[&str] = if request.wants_certificate() {
            &[]
        } else {
            &["-untrusted", "tsa.pem"]
        };
        for what in [["-queryfile", "query"], ["-data", "message"]] {
            bench.ok("openssl", &[&verify[..], &what, other].concat());
        }
        bench.write("other", b"other");
        let arguments = [&verify[..], &["-data", "other"], other].concat();
        assert!(!bench.run("openssl", &arguments).status.success());
        let text = bench.ok("openssl", &["ts", "-reply", "-in", "reply", "-text"]);
        assert!(text.contains("Nov 20 12:00:00 2026 GMT"), "{text}");
        assert!(text.contains("Accuracy: 0x01 seconds"), "{text}");
    }
}

#[test]
fn openssl_reads_why_we_do_not_stamp() {
    let bench = Bench::new();
    for (reason, name) in [
        (
            RejectionReason::BadAlg,
            "unrecognized or unsupported algorithm identifier",
        ),
        (
            RejectionReason::BadRequest,
            "transaction not permitted or supported",
        ),
        (
            RejectionReason::BadDataFormat,
            "the data submitted has the wrong format",
        ),
        (
            RejectionReason::TimeNotAvailable,
            "the TSA's time source is not available",
        ),
        (
            RejectionReason::UnacceptedPolicy,
            "the requested TSA policy is not supported by the TSA",
        ),
        (
            RejectionReason::UnacceptedExtension,
            "the requested extension is not supported by the TSA",
        ),
        (
            RejectionReason::AddInfoNotAvailable,
            "the additional information requested could not be understood or is not available",
        ),
        (
            RejectionReason::SystemFailure,
            "the request cannot be handled due to system failure",
        ),
    ] {
        let reply = reply_rejected(reason, "in words");
        bench.write("reply", &reply);
        let text = bench.ok("openssl", &["ts", "-reply", "-in", "reply", "-text"]);
        assert!(text.contains("Status: Rejected."), "{text}");
        assert!(text.contains("Status description: in words"), "{text}");
        assert!(text.contains(name), "{text}");
        match TimeStampToken::from_reply(&reply, None).unwrap_err() {
            TimeStampError::Refused(refused) => {
                assert_eq!(refused.reason, Some(reason));
                assert_eq!(refused.text, "in words");
                let shown = format!("the time-stamping authority said no: {reason} (in words)");
                assert_eq!(refused.to_string(), shown);
            }
            other => panic!("{other}"),
        }
    }
}
