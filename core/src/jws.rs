//! Signed tokens in compact form (RFC 7515): taken apart, and the primitive signature check.
//!
//! Parsing is not trusting, and a good signature is not a right: what the token says is the
//! caller's to judge.

use serde_json::{Map, Value};

use crate::{
    base64,
    key::{self, Hash, PublicKey, SignatureError},
};

/// The longest token we read, in bytes.
pub const JWS_MAX: usize = 16 * 1024;

/// A signature algorithm that we accept; `none` and the symmetric ones are not among them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum JwsAlgorithm {
    /// RSA with PKCS #1 v1.5 and SHA-256, 2048 to 8192 bits.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519 (RFC 8037).
    EdDsa,
}

impl JwsAlgorithm {
    /// Every algorithm there is.
    pub const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];

    /// Returns the name in a header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Finds the algorithm of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }

    /// Returns the one kind of key that it goes with.
    pub const fn key_algorithm(self) -> key::Algorithm {
        match self {
            Self::Rs256 => key::Algorithm::Rsa,
            Self::Es256 => key::Algorithm::P256,
            Self::EdDsa => key::Algorithm::Ed25519,
        }
    }
}

/// A token, taken apart. Nothing in it was checked.
#[derive(Clone, Debug)]
pub struct Jws<'a> {
    signing_input: &'a str,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Reads a token of at most 16 KiB: three parts in canonical unpadded base64url, of which the
    /// first two are JSON objects. A header that says `crit` asks for what we do not know.
    ///
    /// # Errors
    /// [`JwsError`] for anything else.
    pub fn parse(text: &'a str) -> Result<Self, JwsError> {
        if text.len() > JWS_MAX {
            return Err(JwsError);
        }
        let (signing_input, signature) = text.rsplit_once('.').ok_or(JwsError)?;
        let (header, claims) = signing_input.split_once('.').ok_or(JwsError)?;
        let object = |part: &str| -> Option<Map<String, Value>> {
            serde_json::from_slice(&base64::decode_url(part)?).ok()
        };
        let header = object(header).ok_or(JwsError)?;
        if header.contains_key("crit") {
            return Err(JwsError);
        }
        Ok(Self {
            signing_input,
            header,
            claims: object(claims).ok_or(JwsError)?,
            signature: base64::decode_url(signature).ok_or(JwsError)?,
        })
    }

    /// Returns a text of the header.
    pub fn header_text(&self, name: &str) -> Option<&str> {
        self.header.get(name)?.as_str()
    }

    /// Returns a member of the header.
    pub fn header(&self, name: &str) -> Option<&Value> {
        self.header.get(name)
    }

    /// Returns what the token says.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// Returns the text under the signature. It cannot be spelt in a second way.
    pub fn signing_input(&self) -> &'a str {
        self.signing_input
    }

    /// Checks the signature, as one of `algorithm`, by `key`. What the header says of either is
    /// not asked.
    ///
    /// # Errors
    /// [`SignatureError`] when it is not one of this key, or the key not one for the algorithm.
    pub fn verify(&self, algorithm: JwsAlgorithm, key: &PublicKey) -> Result<(), SignatureError> {
        if key.algorithm() != algorithm.key_algorithm() {
            return Err(SignatureError);
        }
        let message = self.signing_input.as_bytes();
        match algorithm {
            JwsAlgorithm::Rs256 | JwsAlgorithm::EdDsa => {
                key.verify(Hash::Sha256, message, &self.signature)
            }
            JwsAlgorithm::Es256 => key.verify_p256_fixed(message, &self.signature),
        }
    }
}

/// The text is not a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the text is not a signed token in compact form")]
pub struct JwsError;

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7515 appendix A.3.
    #[test]
    fn verifies_the_example_of_the_standard() {
        let es256 = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        let key = crate::jwk::Jwk::from_value(&serde_json::json!({
            "kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        }))
        .unwrap();
        let token = Jws::parse(es256).unwrap();
        assert!(token.verify(JwsAlgorithm::Es256, key.public_key()).is_ok());
        for other in [JwsAlgorithm::Rs256, JwsAlgorithm::EdDsa] {
            assert!(token.verify(other, key.public_key()).is_err());
        }
    }

    /// An RS256 token and an EdDSA token, with the key sets that were published for them.
    #[test]
    fn verifies_the_references_tokens_and_none_that_was_changed() {
        use notme_testkit::testdata;
        for (token, keys, algorithm) in [
            ("prod/gha/oidc.jwt", "gha.jwks.json", JwsAlgorithm::Rs256),
            (
                "prod/token/access_token.jwt",
                "prod/discovery/jwks.json",
                JwsAlgorithm::EdDsa,
            ),
        ] {
            let read = |name| testdata::text(&format!("notme-authority/{name}"));
            let keys: Value = serde_json::from_str(&read(keys)).unwrap();
            let key = crate::jwk::Jwk::from_value(&keys["keys"][0]).unwrap();
            assert!(key.is_for(algorithm));
            let text = read(token).trim().to_owned();
            let token = Jws::parse(&text).unwrap();
            assert_eq!(token.header_text("kid"), key.kid());
            assert!(token.verify(algorithm, key.public_key()).is_ok());
            for position in 0..text.len() {
                for other in ["A", "B", "", ".", "=", "AA"] {
                    let (before, after) = (&text[..position], &text[position + 1..]);
                    let changed = [before, other, after].concat();
                    let is_good = Jws::parse(&changed)
                        .is_ok_and(|token| token.verify(algorithm, key.public_key()).is_ok());
                    assert_eq!(is_good, changed == text, "{position} {other}");
                }
            }
        }
    }

    #[test]
    fn refuses_what_is_no_token_and_second_spellings() {
        let part = |json: &str| base64::encode_url(json.as_bytes());
        let good = format!("{}.{}.{}", part(r#"{"alg":"none"}"#), part("{}"), "AAAA");
        assert!(Jws::parse(&good).is_ok());
        let bad = [
            String::new(),
            "a.b.c".to_owned(),
            format!("{good}="),
            format!("{good}.AAAA"),
            format!("{} ", good),
            // Non-zero bits after the last byte.
            format!("{}.{}.AB", part("{}"), part("{}")),
            format!("{}.{}.AAAA", part("[]"), part("{}")),
            format!("{}.{}.AAAA", part(r#"{"crit":["x"]}"#), part("{}")),
            format!("{}.{}.{}", part("{}"), part("{}"), "A".repeat(JWS_MAX)),
        ];
        for text in bad {
            assert_eq!(Jws::parse(&text).unwrap_err(), JwsError, "{text}");
        }
    }
}
