//! Object identifiers of the X.509 profile and of CMS.

use der::oid::ObjectIdentifier;

macro_rules! oids {
    ($($(#[$doc:meta])* $name:ident = $dotted:literal;)+) => {
        $($(#[$doc])* pub const $name: ObjectIdentifier = ObjectIdentifier::new_unwrap($dotted);)+
    };
}

oids! {
    /// Ed25519, key and signature (RFC 8410).
    ED25519 = "1.3.101.112";
    /// id-ecPublicKey (RFC 5480).
    EC_PUBLIC_KEY = "1.2.840.10045.2.1";
    /// NIST P-256 (RFC 5480).
    P256 = "1.2.840.10045.3.1.7";
    /// NIST P-384 (RFC 5480).
    P384 = "1.3.132.0.34";
    /// NIST P-521 (RFC 5480).
    P521 = "1.3.132.0.35";
    /// rsaEncryption (RFC 8017).
    RSA_ENCRYPTION = "1.2.840.113549.1.1.1";
    /// sha256WithRSAEncryption (RFC 8017).
    SHA256_WITH_RSA = "1.2.840.113549.1.1.11";
    /// sha384WithRSAEncryption (RFC 8017).
    SHA384_WITH_RSA = "1.2.840.113549.1.1.12";
    /// sha512WithRSAEncryption (RFC 8017).
    SHA512_WITH_RSA = "1.2.840.113549.1.1.13";
    /// ecdsa-with-SHA256 (RFC 5758).
    ECDSA_WITH_SHA256 = "1.2.840.10045.4.3.2";
    /// ecdsa-with-SHA384 (RFC 5758).
    ECDSA_WITH_SHA384 = "1.2.840.10045.4.3.3";
    /// ecdsa-with-SHA512 (RFC 5758).
    ECDSA_WITH_SHA512 = "1.2.840.10045.4.3.4";

    /// Common name attribute (X.520).
    COMMON_NAME = "2.5.4.3";
    /// Organization attribute (X.520).
    ORGANIZATION = "2.5.4.10";

    /// subjectKeyIdentifier (RFC 5280 4.2.1.2).
    SUBJECT_KEY_ID = "2.5.29.14";
    /// keyUsage (RFC 5280 4.2.1.3).
    KEY_USAGE = "2.5.29.15";
    /// subjectAltName (RFC 5280 4.2.1.6).
    SUBJECT_ALT_NAME = "2.5.29.17";
    /// basicConstraints (RFC 5280 4.2.1.9).
    BASIC_CONSTRAINTS = "2.5.29.19";
    /// nameConstraints (RFC 5280 4.2.1.10).
    NAME_CONSTRAINTS = "2.5.29.30";
    /// authorityKeyIdentifier (RFC 5280 4.2.1.1).
    AUTHORITY_KEY_ID = "2.5.29.35";
    /// extKeyUsage (RFC 5280 4.2.1.12).
    EXTENDED_KEY_USAGE = "2.5.29.37";
    /// id-kp-clientAuth.
    CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";
    /// anyExtendedKeyUsage.
    ANY_EXTENDED_KEY_USAGE = "2.5.29.37.0";
    /// id-kp-codeSigning.
    CODE_SIGNING = "1.3.6.1.5.5.7.3.3";
    /// id-kp-emailProtection.
    EMAIL_PROTECTION = "1.3.6.1.5.5.7.3.4";
    /// id-kp-timeStamping.
    TIME_STAMPING = "1.3.6.1.5.5.7.3.8";

    /// Fulcio: who issued the OpenID Connect token, bare text.
    FULCIO_ISSUER_OF_OLD = "1.3.6.1.4.1.57264.1.1";
    /// Fulcio: who issued the OpenID Connect token.
    FULCIO_ISSUER = "1.3.6.1.4.1.57264.1.8";
    /// gitsign: what a Rekor log answered, as an unsigned attribute of CMS.
    REKOR_LOG_ENTRY = "1.3.6.1.4.1.57264.3.1";

    /// notme: subject the certificate was issued to.
    NOTME_SUBJECT = "1.3.6.1.4.1.99999.1.1";
    /// notme: issuance time, text.
    NOTME_ISSUED_AT = "1.3.6.1.4.1.99999.1.2";
    /// notme: scopes.
    NOTME_SCOPES = "1.3.6.1.4.1.99999.1.3";
    /// notme: epoch.
    NOTME_EPOCH = "1.3.6.1.4.1.99999.1.4";
    /// notme: authentication method (other issuers use the arc for other things).
    NOTME_AUTH_METHOD = "1.3.6.1.4.1.99999.1.5";
    /// notme: peer binding (other issuers use the arc for other things).
    NOTME_PEER_BINDING = "1.3.6.1.4.1.99999.1.6";
    /// Ours: SHA-256 of the payload the certificate was issued for.
    NOTME_PAYLOAD_DIGEST = "1.3.6.1.4.1.99999.1.16";
    /// Ours: activity id.
    NOTME_ACTIVITY = "1.3.6.1.4.1.99999.1.17";
    /// Ours: the policy of an authority's time stamps.
    NOTME_TIME_STAMP_POLICY = "1.3.6.1.4.1.99999.1.18";
    /// Ours: the terms.
    NOTME_TERMS = "1.3.6.1.4.1.99999.1.19";
}

/// Identifiers, of digests and signatures, that name SHA-1 or something older.
const WEAK: [(ObjectIdentifier, &str); 8] = [
    (ObjectIdentifier::new_unwrap("1.3.14.3.2.26"), "SHA-1"),
    (
        ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5"),
        "SHA-1",
    ),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.1"), "SHA-1"),
    (ObjectIdentifier::new_unwrap("1.2.840.10040.4.3"), "SHA-1"),
    (ObjectIdentifier::new_unwrap("1.3.14.3.2.29"), "SHA-1"),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.2.5"), "MD5"),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.4"), "MD5"),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.2.2"), "MD2"),
];

/// Returns which broken hash the name of a digest or signature stands for, if it does.
pub(crate) fn weakness(name: ObjectIdentifier) -> Option<&'static str> {
    let (_, what) = WEAK.iter().find(|(weak, _)| *weak == name)?;
    Some(what)
}
