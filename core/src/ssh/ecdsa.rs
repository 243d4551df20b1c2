//! The three NIST curves as OpenSSH names them.

use aws_lc_rs::signature::{self as lc, EcdsaVerificationAlgorithm, ParsedPublicKey};

/// A curve.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::P256 => "nistp256",
            Self::P384 => "nistp384",
            Self::P521 => "nistp521",
        }
    }

    /// Returns the length of a coordinate, and of each half of a signature.
    pub(super) const fn length(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// Returns the algorithm over the hash that RFC 5656 gives the curve.
    pub(super) fn algorithm(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &lc::ECDSA_P256_SHA256_FIXED,
            Self::P384 => &lc::ECDSA_P384_SHA384_FIXED,
            Self::P521 => &lc::ECDSA_P521_SHA512_FIXED,
        }
    }

    /// Tells whether bytes are an uncompressed point on the curve.
    pub(super) fn has(self, point: &[u8]) -> bool {
        point.first() == Some(&4) && ParsedPublicKey::new(self.algorithm(), point).is_ok()
    }

    /// Puts the two numbers of a signature side by side; `None` when one is too long.
    pub(super) fn fixed(self, r: &[u8], s: &[u8]) -> Option<Vec<u8>> {
        let mut fixed = Vec::with_capacity(self.length() * 2);
        for number in [r, s] {
            let zeros = self.length().checked_sub(number.len())?;
            fixed.resize(fixed.len() + zeros, 0);
            fixed.extend_from_slice(number);
        }
        Some(fixed)
    }
}
