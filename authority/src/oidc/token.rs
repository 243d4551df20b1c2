//! What is checked of every token, whoever issued it.

use notme_core::{
    jws::{Jws, JwsAlgorithm},
    time::UnixTime,
};
use serde_json::{Map, Value};

/// Checks what kind of token it is, and returns the algorithm.
pub(super) fn check_header(
    token: &Jws<'_>,
    allowed: &[JwsAlgorithm],
) -> Result<JwsAlgorithm, TokenError> {
    let name = token.header("alg");
    let algorithm = name
        .and_then(Value::as_str)
        .and_then(JwsAlgorithm::from_name)
        .filter(|algorithm| allowed.contains(algorithm))
        .ok_or_else(|| TokenError::Algorithm(shown(name)))?;
    // RFC 8725 section 3.11: an access token, or a proof, is none that vouches for its bearer.
    let kind = token.header("typ");
    let is_plain = |kind: &Value| {
        kind.as_str()
            .is_some_and(|it| it.eq_ignore_ascii_case("JWT"))
    };
    if !kind.is_none_or(is_plain) {
        return Err(TokenError::Kind(shown(kind)));
    }
    Ok(algorithm)
}

/// Checks the claims that every token has, but for those that say when it begins.
pub(super) fn check_times_and_audience(
    claims: &Map<String, Value>,
    audience: &str,
    now: UnixTime,
) -> Result<(), TokenError> {
    let time = |name| claims.get(name).and_then(numeric_date);
    // No leeway at the end: tokens live for minutes, and only thieves come late.
    if time("exp").is_some_and(|exp| exp <= now) {
        return Err(TokenError::Expired);
    }
    if time("iat").is_some_and(|iat| iat > now.plus(SKEW)) {
        return Err(TokenError::IssuedInTheFuture);
    }
    let aud = claims.get("aud");
    let is_for_us = match aud {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(several)) => several.iter().any(|one| one == audience),
        Some(_) | None => false,
    };
    if !is_for_us {
        return Err(TokenError::Audience {
            expected: audience.to_owned(),
            got: match aud {
                Some(Value::Array(several)) => cut(several
                    .iter()
                    .map(|one| shown(Some(one)))
                    .collect::<Vec<_>>()
                    .join(",")),
                None => String::new(),
                one => shown(one),
            },
        });
    }
    Ok(())
}

/// Checks, of a token whose signature is good, what could not be checked before: that the claims
/// that were looked at are of the right kind, and that it has begun. Returns its end.
pub(super) fn check_shape(
    claims: &Map<String, Value>,
    now: UnixTime,
) -> Result<UnixTime, TokenError> {
    let time = |name| match claims.get(name) {
        None => Ok(None),
        Some(value) => numeric_date(value).map(Some).ok_or(invalid(name)),
    };
    let end = time("exp")?.ok_or(invalid("exp"))?;
    time("iat")?.ok_or(invalid("iat"))?;
    if time("nbf")?.is_some_and(|nbf| nbf > now.plus(SKEW)) {
        return Err(TokenError::NotYetValid);
    }
    let subject = claims.get("sub").and_then(Value::as_str);
    let is_plain =
        |text: &str| (1..=SUBJECT_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    if !subject.is_some_and(is_plain) {
        return Err(invalid("sub"));
    }
    // Bound to a key, and so not its bearer's (RFC 7800).
    if claims.contains_key("cnf") {
        return Err(invalid("cnf"));
    }
    match claims.get("jti") {
        None | Some(Value::String(_)) => Ok(end),
        Some(_) => Err(invalid("jti")),
    }
}

/// Reads a NumericDate (RFC 7519 section 2), which may have a fraction.
pub(crate) fn numeric_date(value: &Value) -> Option<UnixTime> {
    let Value::Number(number) = value else {
        return None;
    };
    let text = number.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, "0"));
    let is_plain = fraction.bytes().all(|b| b.is_ascii_digit());
    // Far enough for every certificate there is, and no sum with it can overflow.
    let secs: i64 = whole.parse().ok().filter(|_| is_plain)?;
    (0..=END_OF_TIME)
        .contains(&secs)
        .then(|| UnixTime::from_secs(secs))
}

pub(super) fn invalid(claim: &str) -> TokenError {
    TokenError::Claims(claim.to_owned())
}

/// Returns what a caller sent, as it may be told back: text, and not much of it.
pub(super) fn shown(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => cut(text.clone()),
        Some(value) => cut(value.to_string()),
        None => "null".to_owned(),
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => text.chars().take(end.min(SHOWN_MAX)).collect(),
        None => text,
    }
}

/// Why a token is none that we take. The words are the reference's, but for `invalid claims`,
/// where it prints its schema.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("unsupported alg: {0}")]
    Algorithm(String),
    #[error("wrong audience: {got}")]
    Audience { expected: String, got: String },
    #[error("invalid claims: {0}")]
    Claims(String),
    #[error("token expired")]
    Expired,
    #[error("token issued in the future")]
    IssuedInTheFuture,
    #[error("wrong issuer: {0}")]
    Issuer(String),
    #[error("unknown key id: {0}")]
    KeyId(String),
    #[error("unsupported typ: {0}")]
    Kind(String),
    #[error("malformed JWT")]
    Malformed,
    #[error("token not yet valid")]
    NotYetValid,
    #[error("invalid signature")]
    Signature,
}

/// How far an issuer's clock may be ahead of ours, in seconds.
const SKEW: i64 = 60;
/// It goes into the certificate.
const SUBJECT_MAX: usize = 1024;
const SHOWN_MAX: usize = 200;
/// 9999-12-31T23:59:59Z, the last second of certificates.
const END_OF_TIME: i64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn dates_are_numbers_of_our_time() {
        let date = |value: Value| numeric_date(&value).map(UnixTime::secs);
        assert_eq!(date(json!(1_795_212_438)), Some(1_795_212_438));
        assert_eq!(date(json!(1_795_212_438.75)), Some(1_795_212_438));
        for bad in [
            json!("1795212438"),
            json!(-1),
            json!(1e300),
            json!(253_402_300_800_i64),
            json!(u64::MAX),
            json!(null),
            json!([]),
        ] {
            assert_eq!(date(bad.clone()), None, "{bad}");
        }
    }

    #[test]
    fn what_is_told_back_is_short() {
        assert_eq!(shown(Some(&json!("é".repeat(1000)))).chars().count(), 200);
        assert_eq!(shown(Some(&json!("short"))), "short");
        assert_eq!(shown(None), "null");
    }
}
