//! Proofs that a caller holds the key its access token is bound to (RFC 9449).

use aws_lc_rs::hmac;
use notme_core::{
    base64,
    jwk::{Jwk, thumbprint},
    jws::{Jws, JwsAlgorithm},
    key::{KeyId, sha256},
    time::UnixTime,
};
use serde_json::Value;

use crate::{
    oidc::numeric_date,
    seal::Kek,
    store::{SpentToken, remembered_until},
};

/// A proof that was checked, but for whether it was used before.
#[derive(Debug)]
pub(crate) struct Proof {
    key_id: KeyId,
    thumbprint: String,
    jti: String,
    made: UnixTime,
    nonce: Option<String>,
}

impl Proof {
    /// Checks a proof for a POST to `endpoint`: form, algorithm, a public key that came alone, its
    /// signature, method, URL, and that it was made within a minute of now.
    pub(crate) fn check(text: &str, endpoint: &str, now: UnixTime) -> Option<Self> {
        let proof = Jws::parse(text).ok()?;
        let is_proof = proof.header_text("typ") == Some("dpop+jwt")
            && proof.header_text("alg") == Some(JwsAlgorithm::Es256.as_str());
        let key = Jwk::from_value(proof.header("jwk").filter(|_| is_proof)?).ok()?;
        proof.verify(JwsAlgorithm::Es256, key.public_key()).ok()?;
        let text = |name| proof.claims().get(name).and_then(Value::as_str);
        let made = numeric_date(proof.claims().get("iat")?)?;
        let is_meant = text("htm") == Some("POST")
            && is_same_url(text("htu")?, endpoint)
            && made.secs().abs_diff(now.secs()) <= SKEW.unsigned_abs();
        let jti = text("jti").filter(|jti| is_meant && !jti.is_empty())?;
        Some(Self {
            key_id: key.public_key().kid(),
            thumbprint: thumbprint(key.public_key())?,
            jti: jti.to_owned(),
            made,
            nonce: text("nonce").map(str::to_owned),
        })
    }

    /// Returns the id of the key.
    pub(crate) fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Returns the thumbprint of the key: what a token is bound to.
    pub(crate) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Returns the nonce that the proof repeats.
    pub(crate) fn nonce(&self) -> Option<&str> {
        self.nonce.as_deref()
    }

    /// Returns what is kept so that the proof is used once.
    pub(crate) fn spent(&self, now: UnixTime) -> SpentToken {
        let Self {
            thumbprint, jti, ..
        } = self;
        SpentToken {
            // A thumbprint has no NUL, so no two of these texts are the same.
            digest: sha256(format!("dpop\0{thumbprint}\0{jti}").as_bytes()),
            kept_until: remembered_until(now, self.made.plus(SKEW)),
        }
    }
}

/// Compares URLs without query and fragment (RFC 9449 section 4.3), as RFC 3986 section 6.2 says.
fn is_same_url(one: &str, other: &str) -> bool {
    let parts = |text: &str| {
        let url: reqwest::Url = text.parse().ok()?;
        let is_bare = url.username().is_empty() && url.password().is_none();
        is_bare.then_some(())?;
        let host = url.host_str()?.to_owned();
        Some((
            url.scheme().to_owned(),
            host,
            url.port_or_known_default(),
            normalised(url.path()),
        ))
    };
    parts(one).is_some_and(|one| Some(one) == parts(other))
}

/// Writes a path so that the same path is the same text: what needs no percent sign has none, and
/// hexadecimal digits are upper-case.
fn normalised(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let byte = after
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (byte, after.get(2..)) {
            (Some(byte), Some(after)) => {
                match char::from(byte) {
                    c if c.is_ascii_alphanumeric() || "-._~".contains(c) => out.push(c),
                    _ => out.push_str(&format!("%{byte:02X}")),
                }
                rest = after;
            }
            _ => {
                out.push('%');
                rest = after;
            }
        }
    }
    out + rest
}

/// Texts that a proof must repeat, so that it was not made long before: the second they were given
/// out at, and a code that only their authority can make.
pub(crate) struct Nonces(hmac::Key);

impl Nonces {
    /// Makes those of an authority: each of its instances knows what the others gave out.
    pub(crate) fn of(kek: &Kek) -> Self {
        let secret = kek.derive("notme-dpop-nonce-key-v1");
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref()))
    }

    pub(crate) fn issue(&self, now: UnixTime) -> String {
        let tag = hmac::sign(&self.0, &Self::message(now.secs()));
        format!("{}.{}", now.secs(), base64::encode_url(tag.as_ref()))
    }

    /// Tells whether a nonce is ours and not old.
    pub(crate) fn is_good(&self, nonce: &str, now: UnixTime) -> bool {
        let parts = nonce.split_once('.');
        let Some((Ok(given), Some(tag))) =
            parts.map(|(given, tag)| (given.parse::<i64>(), base64::decode_url(tag)))
        else {
            return false;
        };
        let given_at = UnixTime::from_secs(given);
        let is_fresh = given_at <= now.plus(NONCE_AHEAD) && now < given_at.plus(NONCE_KEPT);
        is_fresh && hmac::verify(&self.0, &Self::message(given), &tag).is_ok()
    }

    fn message(secs: i64) -> Vec<u8> {
        format!("notme-dpop-nonce-v1:{secs}").into_bytes()
    }
}

/// How far the clocks of caller and authority may be apart, in seconds.
const SKEW: i64 = 60;
/// How long a nonce is good, in seconds.
const NONCE_KEPT: i64 = 300;
/// For a clock that was set back a little.
const NONCE_AHEAD: i64 = 5;

#[cfg(test)]
mod tests {
    use notme_testkit::testdata;

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_795_176_000);

    #[test]
    fn takes_the_references_proof_and_names_its_key_alike() {
        let read = |name: &str| testdata::text(&format!("notme-authority/prod/token/{name}"));
        let (proof, thumbprint) = (read("dpop-proof.jwt"), read("dpop.jkt"));
        let check = |endpoint, at| Proof::check(proof.trim(), endpoint, UnixTime::from_secs(at));
        let endpoint = "https://auth.notme.bot/token";
        let good = check(endpoint, 1_795_212_438).unwrap();
        assert_eq!(good.thumbprint(), thumbprint.trim());
        assert!(check(endpoint, 1_795_212_438 + 60).is_some());
        assert!(check(endpoint, 1_795_212_438 + 61).is_none());
        assert!(check("https://auth.notme.bot/cert", 1_795_212_438).is_none());
    }

    #[test]
    fn one_url_has_many_spellings() {
        let endpoint = "https://auth.example/a/token";
        for same in [
            "https://AUTH.example/a/token",
            "HTTPS://auth.example:443/a/token?x#y",
            "https://auth.example/%61/t%6fken",
            "https://auth.example/b/../a/token",
        ] {
            assert!(is_same_url(same, endpoint), "{same}");
        }
        for other in [
            "http://auth.example/a/token",
            "https://auth.example:8443/a/token",
            "https://auth.example/a/token/",
            "https://auth.example/A/token",
            "https://auth.example/a%2Ftoken",
            "https://auth.example/a/token%",
            "https://user@auth.example/a/token",
            "/a/token",
            "",
        ] {
            assert!(!is_same_url(other, endpoint), "{other}");
        }
        assert_eq!(normalised("/%2f%7E%zz%é%"), "/%2F~%zz%é%");
    }

    #[test]
    fn a_nonce_is_ours_and_good_for_five_minutes() {
        let keks = [(), ()].map(|()| Kek::random().unwrap());
        let [ours, others] = keks.each_ref().map(Nonces::of);
        let nonce = ours.issue(NOW);
        assert!(ours.is_good(&nonce, NOW));
        assert!(ours.is_good(&nonce, NOW.plus(299)));
        assert!(ours.is_good(&nonce, NOW.plus(-5)));
        assert!(!ours.is_good(&nonce, NOW.plus(300)));
        assert!(!ours.is_good(&nonce, NOW.plus(-6)));
        assert!(!others.is_good(&nonce, NOW));
        // Another instance of the same authority.
        assert!(Nonces::of(&keks[0]).is_good(&nonce, NOW));
        let later = nonce.replace(&NOW.secs().to_string(), &NOW.plus(1).secs().to_string());
        for bad in [
            "",
            ".",
            "1795176000",
            "1795176000.",
            "x.y",
            &later,
            &format!("{nonce}="),
        ] {
            assert!(!ours.is_good(bad, NOW), "{bad}");
        }
    }
}
