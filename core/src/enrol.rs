//! What a key agent and an authority say to each other: enrolment, issuance, renewal.
//!
//! Every proof is a signature over a pre-image that names its purpose and carries each field with
//! its length, so that no two requests share one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    identity::{AgentName, Identity},
    key::{KeyId, PublicKey, sha256},
    terms::Terms,
    time::UnixTime,
};

const ENROL_LABEL: &str = "notme-enrol-v1";
const ISSUE_LABEL: &str = "notme-issue-v1";
const RENEW_LABEL: &str = "notme-renew-v1";
const TOKEN_LABEL: &str = "notme-token-v1";

/// What the URL of an embedded authority begins with; its home directory follows. The name stays
/// the same wherever the socket is.
pub const EMBEDDED_SCHEME: &str = "embedded:";

/// The scope that allows signing git objects.
pub const SCOPE_SIGN_GIT: &str = "sign:git";
/// The scope that allows signing attestations.
pub const SCOPE_SIGN_ATTESTATION: &str = "sign:attestation";
/// The scope of every session.
pub const SCOPE_BRIDGE: &str = "bridgeCert";
/// The scope that allows logging in by SSH. Granted only when it is asked for.
pub const SCOPE_SSH_LOGIN: &str = "ssh:login";
/// Every scope that a session can hold.
pub const SCOPES: [&str; 4] = [
    SCOPE_BRIDGE,
    SCOPE_SIGN_GIT,
    SCOPE_SIGN_ATTESTATION,
    SCOPE_SSH_LOGIN,
];
/// The scopes of a session that asked for none in particular.
pub const DEFAULT_SCOPES: [&str; 3] = [SCOPE_BRIDGE, SCOPE_SIGN_GIT, SCOPE_SIGN_ATTESTATION];

/// Something for each of the two keys of a session.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct KeyPair {
    /// For the P-256 key.
    pub mtls: String,
    /// For the Ed25519 key.
    pub signing: String,
}

/// `POST /v1/enrol`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// Name of the agent.
    pub agent: AgentName,
    /// The enrolment token, or the OIDC token of an issuer that the authority takes; absent on a
    /// unix socket, where the user id speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Both public keys, as SubjectPublicKeyInfo PEM.
    pub public_keys: KeyPair,
    /// Signatures over [`enrol_preimage`] in base64url: P-256 as `r || s`, Ed25519 pure.
    pub proofs: KeyPair,
    /// Scopes asked for; all that may be granted of [`DEFAULT_SCOPES`] when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
}

/// The answer to an enrolment or a renewal.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct EnrolResponse {
    /// The certificates of the session, as PEM.
    pub certificates: SessionCertificates,
    /// Who the session is.
    pub identity: Identity,
    /// What was granted.
    pub scopes: Vec<String>,
    /// End of the certificates.
    pub expires_at: UnixTime,
    /// End of the session: until then certificates can be renewed.
    pub session_ends_at: UnixTime,
    /// SHA-256 over both SubjectPublicKeyInfos, in hex.
    pub binding: String,
    /// Who issued.
    pub authority: AuthorityState,
    /// The principal the authority knows the agent by.
    pub principal_id: String,
    /// How the agent proved itself.
    pub auth_method: String,
}

/// The certificates of a session: X.509 as PEM, and what the other formats have instead.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SessionCertificates {
    /// TLS client certificate of the P-256 key.
    pub mtls: String,
    /// Signing certificate of the Ed25519 key, by the Ed25519 root.
    pub signing: String,
    /// Signing certificate of the P-256 key, by the P-256 root.
    pub interop: String,
    /// OpenSSH user certificate of the Ed25519 key, as the line of a public key file; absent at
    /// authorities that are no SSH authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<String>,
    /// Certification of the Ed25519 key as an OpenPGP key; absent at authorities without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openpgp: Option<OpenPgpCertification>,
}

/// An authority's word for a session key in OpenPGP. The key signs its own user id, so the
/// holder puts the transferable key together.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct OpenPgpCertification {
    /// The key's creation time, which its fingerprint covers: the same for a whole session.
    pub created: UnixTime,
    /// The certification: one signature packet, in base64.
    pub certification: String,
}

/// An authority's epoch and key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AuthorityState {
    /// The epoch.
    pub epoch: u64,
    /// Id of the current Ed25519 root key.
    pub key_id: KeyId,
}

/// A form of signature that a certificate can be issued for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// CMS with the Ed25519 key.
    X509,
    /// CMS with the P-256 key, for stock tools.
    X509Interop,
    /// SSHSIG with the Ed25519 key. The certificate is the line of a public key file.
    Ssh,
    /// OpenPGP with the Ed25519 key. The certificate is one signature packet, in base64.
    #[serde(rename = "openpgp")]
    OpenPgp,
}

impl Format {
    /// Returns the name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::X509 => "x509",
            Self::X509Interop => "x509-interop",
            Self::Ssh => "ssh",
            Self::OpenPgp => "openpgp",
        }
    }
}

/// `POST /cert/gha`: a pair of certificates, as notme has it. The token is in the header.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PairRequest {
    /// Both public keys, as SubjectPublicKeyInfo PEM.
    pub public_keys: KeyPair,
    /// Signatures over [`pair_preimage`] in base64url: P-256 as `r || s`, Ed25519 pure.
    pub proofs: KeyPair,
}

/// What is used of the answer to a [`PairRequest`].
#[derive(Clone, Debug, Deserialize)]
pub struct PairResponse {
    /// The certificates, as PEM.
    pub certificates: KeyPair,
    /// Who they are for.
    pub identity: Identity,
    /// Their end.
    pub expires_at: UnixTime,
}

/// `POST /v1/issue`: a certificate for one payload, or for all that terms allow.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct IssueRequest {
    /// The session's Ed25519 signing certificate, DER in base64.
    pub session: String,
    /// SHA-256 of the payload, in hex. Absent only where there are terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_sha256: Option<String>,
    /// The forms wanted.
    pub formats: Vec<Format>,
    /// 32 hex digits, never used before in this session.
    pub nonce: String,
    /// The time of asking.
    pub time: UnixTime,
    /// The activity it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<String>,
    /// What else is to limit what the certificates sign. They end with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
    /// Ed25519 over [`issue_preimage`], in base64url.
    pub proof: String,
}

/// The answer to an [`IssueRequest`].
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct IssueResponse {
    /// One certificate for each form: PEM for CMS, otherwise as [`Format`] says.
    pub certificates: BTreeMap<Format, String>,
    /// End of the certificates.
    pub expires_at: UnixTime,
}

/// `POST /v1/renew`: new certificates over the same keys.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RenewRequest {
    /// The session's Ed25519 signing certificate, DER in base64.
    pub session: String,
    /// 32 hex digits, never used before in this session.
    pub nonce: String,
    /// The time of asking.
    pub time: UnixTime,
    /// Ed25519 over [`renew_preimage`], in base64url.
    pub proof: String,
}

/// An authority's refusal.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Refusal {
    /// A stable code.
    pub error: String,
    /// What is wrong, in words.
    #[serde(default)]
    pub message: String,
}

/// Returns what the proofs of an enrolment sign.
pub fn enrol_preimage(
    token: Option<&str>,
    authority_url: &str,
    agent: &AgentName,
    mtls: &PublicKey,
    signing: &PublicKey,
) -> Vec<u8> {
    let token = token.map(|token| sha256(token.as_bytes()));
    let token: &[u8] = token.as_ref().map_or(&[], |digest| digest);
    framed(&[
        ENROL_LABEL.as_bytes(),
        token,
        authority_url.as_bytes(),
        agent.as_str().as_bytes(),
        mtls.spki_der(),
        signing.spki_der(),
    ])
}

/// Returns what the proofs of [`PairRequest`] sign.
pub fn pair_preimage(mtls: &PublicKey, signing: &PublicKey, token: &str) -> Vec<u8> {
    [
        mtls.spki_der(),
        signing.spki_der(),
        &sha256(token.as_bytes()),
    ]
    .concat()
}

/// What an issuance is asked for.
#[derive(Clone, Copy, Debug)]
pub struct AskedFor<'a> {
    /// The payload's digest, where it is for one.
    pub payload_sha256: Option<&'a [u8; 32]>,
    /// The activity.
    pub activity: Option<&'a str>,
    /// The terms, as DER.
    pub terms: Option<&'a [u8]>,
}

/// Returns what the proof of an issuance signs.
pub fn issue_preimage(
    authority_url: &str,
    session_sha256: &[u8; 32],
    formats: &[Format],
    nonce: &str,
    time: UnixTime,
    asked: AskedFor<'_>,
) -> Vec<u8> {
    let formats: Vec<&str> = formats.iter().map(|format| format.as_str()).collect();
    let formats = formats.join(",");
    let time = time.secs().to_be_bytes();
    let mut fields: Vec<&[u8]> = vec![
        ISSUE_LABEL.as_bytes(),
        authority_url.as_bytes(),
        session_sha256,
        asked.payload_sha256.map_or(&[], |digest| digest),
        formats.as_bytes(),
        nonce.as_bytes(),
        &time,
        asked.activity.unwrap_or_default().as_bytes(),
    ];
    // Without, it is what it was before there were any.
    fields.extend(asked.terms);
    framed(&fields)
}

/// Returns what the proof of a renewal signs.
pub fn renew_preimage(
    authority_url: &str,
    session_sha256: &[u8; 32],
    nonce: &str,
    time: UnixTime,
) -> Vec<u8> {
    framed(&[
        RENEW_LABEL.as_bytes(),
        authority_url.as_bytes(),
        session_sha256,
        nonce.as_bytes(),
        &time.secs().to_be_bytes(),
    ])
}

/// Returns what a session signs at `POST /token`, whose body is `audience`, `session` (the signing
/// certificate, DER in base64) and `proof` (Ed25519 over this, in base64url). The digest is of the
/// `DPoP` header, which says when, and is good once.
pub fn token_preimage(
    authority_url: &str,
    session_sha256: &[u8; 32],
    audience: &str,
    dpop_sha256: &[u8; 32],
) -> Vec<u8> {
    framed(&[
        TOKEN_LABEL.as_bytes(),
        authority_url.as_bytes(),
        session_sha256,
        audience.as_bytes(),
        dpop_sha256,
    ])
}

/// Returns the SHA-256 over both keys that ties a session's certificates together.
pub fn peer_binding(mtls: &PublicKey, signing: &PublicKey) -> [u8; 32] {
    sha256(&[mtls.spki_der(), signing.spki_der()].concat())
}

/// Joins fields, each behind its length in four bytes, big-endian.
fn framed(fields: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for field in fields {
        let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
        out.extend(length.to_be_bytes());
        out.extend_from_slice(field);
    }
    out
}

#[cfg(test)]
mod tests {
    use notme_testkit::testdata;

    use super::*;

    #[test]
    fn fields_cannot_move_into_one_another() {
        assert_ne!(framed(&[b"ab", b"c"]), framed(&[b"a", b"bc"]));
        assert_ne!(framed(&[b"a", b""]), framed(&[b"a"]));
    }

    /// What the real authority's client signed.
    #[test]
    fn a_pair_is_asked_for_with_the_reference_s_preimage() {
        let text = |name: &str| testdata::text(&format!("notme-authority/prod/gha/{name}"));
        let key = |name| PublicKey::from_spki_pem(&text(name)).unwrap();
        let (mtls, signing) = (key("mtls.spki.pem"), key("signing.spki.pem"));
        let preimage = pair_preimage(&mtls, &signing, text("oidc.jwt").trim_end());
        let expected = testdata::bytes("notme-authority/prod/gha/pop-preimage.bin");
        assert_eq!(preimage, expected);
    }

    #[test]
    fn a_format_has_one_name_on_the_wire_and_in_proofs() {
        for format in [
            Format::X509,
            Format::X509Interop,
            Format::Ssh,
            Format::OpenPgp,
        ] {
            let json = serde_json::to_value(format).unwrap();
            assert_eq!(json, format.as_str());
        }
    }

    #[test]
    fn no_token_is_not_the_empty_token() {
        let key = PublicKey::from_ed25519(&[3; 32]);
        let raw: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let key = key.or_else(|_| PublicKey::from_ed25519(&raw)).unwrap();
        let agent = "a".parse().unwrap();
        let image = |token| enrol_preimage(token, "unix:/x", &agent, &key, &key);
        assert_ne!(image(None), image(Some("")));
    }
}
