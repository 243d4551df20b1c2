//! RSA keys: from OpenSSH's two numbers to the RSAPublicKey that the library reads.

use crate::der_writer::{sequence, unsigned};

/// The shortest modulus that is trusted, in bits.
pub(super) const BITS_MIN: usize = 2048;
/// The longest modulus that the library checks signatures with.
pub(super) const BITS_MAX: usize = 8192;
/// The longest number that OpenSSH reads (SSHBUF_MAX_BIGNUM), in bytes.
pub(super) const NUMBER_MAX: usize = 16384 / 8;

/// Writes the RSAPublicKey of RFC 8017 appendix A.1.1.
pub(super) fn public_key_der(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    sequence(&[&unsigned(modulus), &unsigned(exponent)])
}

/// Returns the number of bits of a number without leading zeros.
pub(super) fn bits(digits: &[u8]) -> usize {
    let unused = digits.first().map_or(0, |first| first.leading_zeros());
    (digits.len() * 8).saturating_sub(usize::try_from(unused).unwrap_or(0))
}
