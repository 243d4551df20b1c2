//! What notme's own clients find: its discovery documents, its keys, its signed CA bundle.
//!
//! Members stand in the reference's order, ours behind them: some clients compare bytes.

use std::collections::BTreeSet;

use hyper::body::Bytes;
use notme_core::{
    base64,
    bundle::CaBundle,
    enrol::{EMBEDDED_SCHEME, SCOPES},
    key::PublicKey,
    time::UnixTime,
    trust::RevocationKind,
};
use serde::Serialize;

use super::{ATTEMPTS, Authority, OpenError};
use crate::{
    keys,
    store::{BundleRecord, StoreError},
};

impl Authority {
    /// Returns the discovery document.
    pub(crate) fn discovery(&self) -> Result<Bytes, serde_json::Error> {
        json(&Discovery {
            issuer: &self.url,
            cert_endpoint: self.endpoint("/cert"),
            cert_gha_endpoint: self.endpoint("/cert/gha"),
            ca_bundle_endpoint: self.endpoint("/.well-known/ca-bundle.pem"),
            algorithms_supported: ["Ed25519"],
            grant_types_supported: GRANT_TYPES,
            cert_types_supported: ["bridge_certificate"],
            token_endpoint: self.endpoint("/token"),
            jwks_uri: self.endpoint("/.well-known/jwks.json"),
            dpop_signing_alg_values_supported: ["ES256"],
            documentation: DOCUMENTATION,
            trust_domain: &self.record.trust_domain,
            enrol_endpoint: self.endpoint("/v1/enrol"),
            issue_endpoint: self.endpoint("/v1/issue"),
            renew_endpoint: self.endpoint("/v1/renew"),
            trust_endpoint: self.endpoint("/v1/trust.json"),
            full_ca_bundle_endpoint: self.endpoint("/v1/ca-bundle.pem"),
            signed_ca_bundle_endpoint: self.endpoint("/internal/ca-bundle"),
            epochs_endpoint: self.endpoint("/.well-known/epochs.json"),
            ssh_ca_endpoint: self.endpoint("/v1/ssh-ca.pub"),
            openpgp_endpoint: self.endpoint("/v1/openpgp.asc"),
            time_stamp_endpoint: self.endpoint("/tsa"),
            audit_head_endpoint: self.endpoint("/v1/audit/head.json"),
            scopes_supported: SCOPES,
        })
    }

    /// Returns the metadata of an OAuth authorization server (RFC 8414). We are no OpenID
    /// provider: what would say so is left out.
    pub(crate) fn oauth_metadata(&self) -> Result<Bytes, serde_json::Error> {
        json(&OauthMetadata {
            issuer: &self.url,
            token_endpoint: self.endpoint("/token"),
            jwks_uri: self.endpoint("/.well-known/jwks.json"),
            grant_types_supported: GRANT_TYPES,
            response_types_supported: [],
            scopes_supported: SCOPES,
            token_endpoint_auth_methods_supported: ["none"],
            dpop_signing_alg_values_supported: ["ES256"],
            id_token_signing_alg_values_supported: ["EdDSA"],
            service_documentation: DOCUMENTATION,
        })
    }

    /// Returns what stands at `/`.
    pub(crate) fn landing(&self, prefix: &str) -> Result<Bytes, serde_json::Error> {
        let ca_bundle = format!("{prefix}/.well-known/ca-bundle.pem");
        json(&Landing {
            name: "Signet Authority",
            authority_url: &self.url,
            status: "operational",
            endpoints: LandingEndpoints {
                cert: format!("{prefix}/cert"),
                cert_gha: format!("{prefix}/cert/gha"),
                token: format!("{prefix}/token"),
                ca_bundle: ca_bundle.clone(),
            },
            algorithms: ["Ed25519"],
            discovery: format!("{prefix}/.well-known/signet-authority.json"),
            public_key_url: ca_bundle,
        })
    }

    /// Returns the Ed25519 root keys as a JWK set: the current one first, as some clients take
    /// the first, then the one that comes next, which they may meet while they keep this, then
    /// those whose tokens may still be alive. None that was revoked is among them.
    pub(crate) fn jwks(&self) -> Result<Bytes, OpenError> {
        let (keys, revoked) = (self.current_keys()?, self.revoked_keys()?);
        let mut issued = keys.issuing_and_outgoing();
        let current = issued.next();
        let jwk = |key: &PublicKey| {
            Some(Jwk {
                kty: "OKP",
                crv: "Ed25519",
                x: base64::encode_url(&key.ed25519_bytes()?),
                kid: key.kid().to_string(),
                usage: "sig",
                alg: "EdDSA",
            })
        };
        Ok(json(&JwkSet {
            keys: current
                .into_iter()
                .chain(keys.prepared())
                .chain(issued)
                .filter_map(keys::Epoch::ed25519)
                .filter(|key| !revoked.contains(&key.kid().to_string()))
                .filter_map(jwk)
                .collect(),
        })?)
    }

    /// Returns every epoch with its key, oldest first, the current one last.
    pub(crate) fn epochs(&self) -> Result<Bytes, OpenError> {
        let keys = self.current_keys()?;
        let epoch = |it: &keys::Epoch| {
            it.state.from()?;
            let key = it.ed25519()?;
            Some(Epoch {
                epoch: it.number,
                key_id: key.kid().to_string(),
                public_raw: base64::encode(&key.ed25519_bytes()?),
                retired_at: it.state.retired_at(),
            })
        };
        Ok(json(&Epochs {
            epochs: keys.epochs().iter().filter_map(epoch).collect(),
        })?)
    }

    /// Returns the ids of the keys that were revoked.
    fn revoked_keys(&self) -> Result<BTreeSet<String>, OpenError> {
        let revocations = self.store.revocations()?.into_iter();
        let of_keys = revocations.filter(|it| it.kind == RevocationKind::Key);
        Ok(of_keys.map(|revocation| revocation.value).collect())
    }

    /// Returns the signed CA bundle: one number for each that is signed, and none is served for
    /// longer than a minute, as clients refuse those older than five. All instances serve the same.
    pub(crate) fn signed_ca_bundle(&self) -> Result<Bytes, OpenError> {
        for _ in 0..ATTEMPTS {
            let (in_use, now) = (self.current_keys()?, self.clock.now());
            let last = self.store.bundle()?;
            let is_fresh = (last.issued_at..last.issued_at.plus(BUNDLE_SERVED)).contains(&now);
            if is_fresh && last.key_id == in_use.ed25519.certificate().kid().to_string() {
                return Ok(last.json.into());
            }
            let next = self.sign_bundle(last.seqno, &in_use, now)?;
            if self
                .store
                .replace_bundle(last.seqno, &next, in_use.changes())?
            {
                return Ok(next.json.into());
            }
        }
        Err(StoreError::Damaged("the number of the CA bundle").into())
    }

    fn sign_bundle(
        &self,
        last: u64,
        in_use: &keys::Keys,
        now: UnixTime,
    ) -> Result<BundleRecord, OpenError> {
        let key = in_use.ed25519.certificate().public_key();
        let key_id = key.kid().to_string();
        let revoked = self.revoked_keys()?;
        let previous = in_use.previous().and_then(keys::Epoch::ed25519);
        let previous = previous.filter(|key| !revoked.contains(&key.kid().to_string()));
        let listed = [Some(key), previous].into_iter().flatten();
        let bundle = CaBundle {
            epoch: in_use.epoch,
            // Not below the minutes since 1970, so that a store restored from a backup does not
            // go back to numbers that were given out since.
            seqno: last
                .saturating_add(1)
                .max(u64::try_from(now.secs() / 60).unwrap_or_default()),
            keys: listed
                .filter_map(|key| {
                    let raw = key.ed25519_bytes()?;
                    Some((key.kid().to_string(), base64::encode(&raw)))
                })
                .collect(),
            key_id: key_id.clone(),
            prev_key_id: previous.map_or_else(String::new, |key| key.kid().to_string()),
            issued_at: now.secs(),
            signature: String::new(),
        }
        .sign(in_use.ed25519.key())?;
        Ok(BundleRecord {
            seqno: bundle.seqno,
            key_id,
            issued_at: now,
            json: serde_json::to_vec(&bundle)?,
        })
    }

    /// Returns the URL of a path. A unix socket has none that paths could be appended to: there
    /// they stand alone.
    fn endpoint(&self, path: &str) -> String {
        let base = if self.is_local() { "" } else { &self.url };
        format!("{}{path}", base.trim_end_matches('/'))
    }

    /// Returns the URL that proofs at `/token` are for. On a unix socket it is the one that
    /// clients have to make up anyway.
    pub(super) fn token_endpoint(&self) -> String {
        match self.is_local() {
            true => "http://localhost/token".to_owned(),
            false => self.endpoint("/token"),
        }
    }

    fn is_local(&self) -> bool {
        self.url.starts_with("unix:") || self.url.starts_with(EMBEDDED_SCHEME)
    }
}

/// Returns the document that says what this program was built from, given the commit that the
/// builder named.
pub(crate) fn version(commit: Option<&str>) -> Result<Bytes, serde_json::Error> {
    let is_commit = |text: &&str| {
        text.len() == 40
            && text
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let commit = commit.filter(is_commit);
    json(&Version {
        commit: commit.unwrap_or("unknown"),
        stamped: commit.is_some(),
    })
}

fn json(value: &impl Serialize) -> Result<Bytes, serde_json::Error> {
    Ok(serde_json::to_vec(value)?.into())
}

#[derive(Serialize)]
struct Discovery<'a> {
    issuer: &'a str,
    cert_endpoint: String,
    cert_gha_endpoint: String,
    ca_bundle_endpoint: String,
    algorithms_supported: [&'static str; 1],
    grant_types_supported: [&'static str; 2],
    cert_types_supported: [&'static str; 1],
    token_endpoint: String,
    jwks_uri: String,
    dpop_signing_alg_values_supported: [&'static str; 1],
    documentation: &'static str,
    // From here on, ours.
    trust_domain: &'a str,
    enrol_endpoint: String,
    issue_endpoint: String,
    renew_endpoint: String,
    trust_endpoint: String,
    full_ca_bundle_endpoint: String,
    signed_ca_bundle_endpoint: String,
    epochs_endpoint: String,
    ssh_ca_endpoint: String,
    openpgp_endpoint: String,
    time_stamp_endpoint: String,
    audit_head_endpoint: String,
    scopes_supported: [&'static str; 4],
}

#[derive(Serialize)]
struct OauthMetadata<'a> {
    issuer: &'a str,
    token_endpoint: String,
    jwks_uri: String,
    grant_types_supported: [&'static str; 2],
    response_types_supported: [&'static str; 0],
    scopes_supported: [&'static str; 4],
    token_endpoint_auth_methods_supported: [&'static str; 1],
    dpop_signing_alg_values_supported: [&'static str; 1],
    id_token_signing_alg_values_supported: [&'static str; 1],
    service_documentation: &'static str,
}

#[derive(Serialize)]
struct Landing<'a> {
    name: &'static str,
    authority_url: &'a str,
    status: &'static str,
    endpoints: LandingEndpoints,
    algorithms: [&'static str; 1],
    discovery: String,
    public_key_url: String,
}

#[derive(Serialize)]
struct LandingEndpoints {
    cert: String,
    cert_gha: String,
    token: String,
    ca_bundle: String,
}

#[derive(Serialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

#[derive(Serialize)]
struct Jwk {
    kty: &'static str,
    crv: &'static str,
    x: String,
    kid: String,
    #[serde(rename = "use")]
    usage: &'static str,
    alg: &'static str,
}

#[derive(Serialize)]
struct Epochs {
    epochs: Vec<Epoch>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Epoch {
    epoch: u64,
    key_id: String,
    #[serde(rename = "publicRawB64")]
    public_raw: String,
    retired_at: Option<UnixTime>,
}

#[derive(Serialize)]
struct Version<'a> {
    commit: &'a str,
    stamped: bool,
}

const GRANT_TYPES: [&str; 2] = ["github_actions_oidc", "dpop"];
/// Where notme explains this interface.
const DOCUMENTATION: &str = "https://notme.bot/architecture";
/// How long one signed bundle is served, in seconds.
const BUNDLE_SERVED: i64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_whole_commit_or_unknown() {
        let commit = "4d84b70302180a3809a31e09811d6e82de0e31ae";
        assert_eq!(
            version(Some(commit)).unwrap(),
            format!(r#"{{"commit":"{commit}","stamped":true}}"#)
        );
        for other in [
            None,
            Some(""),
            Some("4d84b70"),
            Some(&*commit.to_uppercase()),
        ] {
            let unknown = r#"{"commit":"unknown","stamped":false}"#;
            assert_eq!(version(other).unwrap(), unknown);
        }
    }
}
