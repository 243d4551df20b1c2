//! JSON Web Keys (RFC 7517, RFC 8037), and the thumbprint that names one (RFC 7638).

use serde_json::{Value, json};

use crate::{
    base64,
    jws::JwsAlgorithm,
    key::{Algorithm, KeyError, PublicKey, sha256},
};

/// Members that only a private or symmetric key has.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
/// A field element of P-256.
const COORDINATE: usize = 32;

/// A public key, and what its publisher says of it.
#[derive(Clone, Debug)]
pub struct Jwk {
    public_key: PublicKey,
    kid: Option<String>,
    /// Whether it is for signatures of this algorithm, or of any that its kind goes with.
    algorithm: Option<String>,
    is_for_signatures: bool,
}

impl Jwk {
    /// Reads a JWK of kind RSA, EC with P-256, or OKP with Ed25519.
    ///
    /// # Errors
    /// [`JwkError`] for another kind, a member that is missing or not canonical base64url, a key
    /// that is not valid, and one that comes with its private half.
    pub fn from_value(value: &Value) -> Result<Self, JwkError> {
        if PRIVATE.iter().any(|name| value.get(name).is_some()) {
            return Err(JwkError::Private);
        }
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let bytes = |name| {
            text(name)
                .and_then(base64::decode_url)
                .ok_or(JwkError::Malformed)
        };
        let coordinate = |name| {
            let bytes = bytes(name)?;
            if bytes.len() != COORDINATE {
                return Err(JwkError::Malformed);
            }
            Ok(bytes)
        };
        let public_key = match (text("kty"), text("crv")) {
            (Some("RSA"), _) => PublicKey::from_rsa(&bytes("n")?, &bytes("e")?)?,
            (Some("EC"), Some("P-256")) => {
                let point = [vec![4], coordinate("x")?, coordinate("y")?].concat();
                PublicKey::from_p256_sec1(&point)?
            }
            (Some("OKP"), Some("Ed25519")) => {
                let raw = coordinate("x")?;
                PublicKey::from_ed25519(&raw.try_into().map_err(|_| JwkError::Malformed)?)?
            }
            (Some(_), _) => return Err(JwkError::Unsupported),
            (None, _) => return Err(JwkError::Malformed),
        };
        Ok(Self {
            public_key,
            kid: text("kid").map(str::to_owned),
            algorithm: text("alg").map(str::to_owned),
            is_for_signatures: value.get("use").is_none_or(|usage| usage == "sig"),
        })
    }

    /// Returns the key.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Returns the name its publisher gave it.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Tells whether it is for signatures of this algorithm.
    pub fn is_for(&self, algorithm: JwsAlgorithm) -> bool {
        self.is_for_signatures
            && self.public_key.algorithm() == algorithm.key_algorithm()
            && self
                .algorithm
                .as_ref()
                .is_none_or(|name| name == algorithm.as_str())
    }
}

/// Returns the thumbprint of a key, in base64url (RFC 7638); `None` for P-384 and RSA, of which
/// we name none.
pub fn thumbprint(key: &PublicKey) -> Option<String> {
    // The required members in lexicographic order, which is how serde_json writes them.
    let members = match key.algorithm() {
        Algorithm::P256 => {
            let (x, y) = key.p256_sec1()?.get(1..)?.split_at_checked(COORDINATE)?;
            json!({
                "crv": "P-256",
                "kty": "EC",
                "x": base64::encode_url(x),
                "y": base64::encode_url(y),
            })
        }
        Algorithm::Ed25519 => json!({
            "crv": "Ed25519",
            "kty": "OKP",
            "x": base64::encode_url(&key.ed25519_bytes()?),
        }),
        Algorithm::P384 | Algorithm::Rsa => return None,
    };
    Some(base64::encode_url(&sha256(members.to_string().as_bytes())))
}

/// The value is not a public key that we can use.
#[derive(Debug, thiserror::Error)]
pub enum JwkError {
    /// A member is missing, or not what it should be.
    #[error("a member of the JWK is missing or malformed")]
    Malformed,
    /// Another kind of key, or another curve.
    #[error("the JWK is none of RSA, P-256 and Ed25519")]
    Unsupported,
    /// The private half came along, or the key is a shared secret.
    #[error("the JWK is not public")]
    Private,
    /// The numbers make no key.
    #[error("the JWK holds no valid key")]
    Key(#[from] KeyError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ed25519() -> Value {
        // RFC 8037 appendix A.2.
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    }

    #[test]
    fn names_a_key_as_the_standard_does() {
        let key = Jwk::from_value(&ed25519()).unwrap();
        assert_eq!(
            thumbprint(key.public_key()).unwrap(),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }

    #[test]
    fn a_key_is_for_what_its_publisher_says() {
        let with = |name: &str, value: &str| {
            let mut jwk = ed25519();
            jwk[name] = value.into();
            Jwk::from_value(&jwk).unwrap()
        };
        assert!(with("use", "sig").is_for(JwsAlgorithm::EdDsa));
        assert!(with("alg", "EdDSA").is_for(JwsAlgorithm::EdDsa));
        assert!(!with("use", "enc").is_for(JwsAlgorithm::EdDsa));
        assert!(!with("alg", "ES256").is_for(JwsAlgorithm::EdDsa));
        assert!(!with("use", "sig").is_for(JwsAlgorithm::Es256));
    }

    #[test]
    fn refuses_other_kinds_private_halves_and_bad_members() {
        let changed = |name: &str, value: Value| {
            let mut jwk = ed25519();
            jwk[name] = value;
            Jwk::from_value(&jwk)
        };
        assert!(matches!(changed("d", "AA".into()), Err(JwkError::Private)));
        assert!(matches!(
            changed("kty", "oct".into()),
            Err(JwkError::Unsupported)
        ));
        assert!(matches!(
            changed("crv", "Ed448".into()),
            Err(JwkError::Unsupported)
        ));
        assert!(matches!(changed("x", 7.into()), Err(JwkError::Malformed)));
        assert!(matches!(
            changed("x", "AAAA".into()),
            Err(JwkError::Malformed)
        ));
        let small = json!({"kty": "RSA", "n": base64::encode_url(&[0xff; 128]), "e": "AQAB"});
        assert!(matches!(
            Jwk::from_value(&small),
            Err(JwkError::Key(KeyError::Invalid))
        ));
        assert!(Jwk::from_value(&Value::Null).is_err());
    }
}
