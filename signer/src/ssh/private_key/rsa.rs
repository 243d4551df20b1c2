//! The numbers of an RSA key, in the form that the library takes.

use notme_core::ssh::{
    KeyType, PublicKey,
    wire::{Reader, Writer},
};
use zeroize::Zeroizing;

use super::PrivateKeyError;

/// Reads the private numbers; returns the public key that they belong to, and the RSAPrivateKey of
/// RFC 8017 appendix A.1.2. OpenSSH leaves out two of its numbers, the exponents modulo the primes
/// less one.
pub(super) fn read(
    reader: &mut Reader<'_>,
) -> Result<(PublicKey, Zeroizing<Vec<u8>>), PrivateKeyError> {
    let (n, e, d) = (reader.unsigned()?, reader.unsigned()?, reader.unsigned()?);
    let (iqmp, p, q) = (reader.unsigned()?, reader.unsigned()?, reader.unsigned()?);
    let blob = Writer::new()
        .string(KeyType::Rsa.name().as_bytes())
        .unsigned(e)
        .unsigned(n);
    let public = PublicKey::from_blob(&blob.finish())?;
    let (dp, dq) = (remainder(d, &less_one(p)), remainder(d, &less_one(q)));
    let numbers = [&[0], n, e, d, p, q, &dp, &dq, iqmp];
    let der = pkcs1(&numbers).ok_or(PrivateKeyError::Halves)?;
    Ok((public, der))
}

fn pkcs1(numbers: &[&[u8]]) -> Option<Zeroizing<Vec<u8>>> {
    let mut content = Zeroizing::new(Vec::new());
    for number in numbers {
        // One leading zero keeps a number from being negative; more would be another spelling.
        let significant = number.iter().position(|digit| *digit != 0);
        let number = significant.and_then(|at| number.get(at..)).unwrap_or(&[0]);
        let is_negative = number.first().is_some_and(|first| first & 0x80 != 0);
        let length = number.len() + usize::from(is_negative);
        content.extend(header(INTEGER, length)?);
        content.extend(is_negative.then_some(0));
        content.extend_from_slice(number);
    }
    let mut der = Zeroizing::new(header(SEQUENCE, content.len())?);
    der.extend_from_slice(&content);
    Some(der)
}

fn header(tag: u8, length: usize) -> Option<Vec<u8>> {
    let [high, low] = u16::try_from(length).ok()?.to_be_bytes();
    Some(match (high, low) {
        (0, ..0x80) => vec![tag, low],
        (0, _) => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    })
}

/// Subtracts one from an odd number.
fn less_one(number: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut number = Zeroizing::new(number.to_vec());
    if let Some(last) = number.last_mut() {
        *last &= 0xfe;
    }
    number
}

/// Divides bit by bit, as at school: shift the next bit in, take the divisor away where it fits.
/// Both branches do the same work, so that time tells nothing about the numbers but their lengths.
fn remainder(number: &[u8], divisor: &[u8]) -> Zeroizing<Vec<u8>> {
    // A bit more than the divisor has, for the shift; the lowest digit first.
    let limbs = |bytes: &[u8], length: usize| {
        let mut limbs: Zeroizing<Vec<u64>> = Zeroizing::new(Vec::with_capacity(length));
        for chunk in bytes.rchunks(4) {
            let limb = chunk
                .iter()
                .fold(0, |limb, byte| limb << 8 | u64::from(*byte));
            limbs.push(limb);
        }
        limbs.resize(length, 0);
        limbs
    };
    let length = divisor.len().div_ceil(4) + 1;
    let divisor = limbs(divisor, length);
    let mut rest = limbs(&[], length);
    let mut less: Zeroizing<Vec<u64>> = Zeroizing::new(vec![0; length]);
    for byte in number {
        for bit in (0..8).rev() {
            let mut carry = u64::from(byte >> bit & 1);
            let mut borrow = 0;
            for ((limb, less), divisor) in rest.iter_mut().zip(less.iter_mut()).zip(divisor.iter())
            {
                let shifted = *limb << 1 | carry;
                carry = shifted >> 32;
                *limb = shifted & LIMB;
                let difference = limb.wrapping_sub(*divisor).wrapping_sub(borrow);
                borrow = difference >> 63;
                *less = difference & LIMB;
            }
            // All ones when the divisor did not fit.
            let keep = 0_u64.wrapping_sub(borrow);
            for (limb, less) in rest.iter_mut().zip(less.iter()) {
                *limb = *limb & keep | less & !keep;
            }
        }
    }
    let bytes = rest.iter().rev().flat_map(|limb| {
        let [_, _, _, _, bytes @ ..] = limb.to_be_bytes();
        bytes
    });
    Zeroizing::new(bytes.collect())
}

/// Limbs have 32 bits, in 64 so that nothing overflows.
const LIMB: u64 = 0xffff_ffff;
const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divides_as_the_machine_does() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u128;
        for _ in 0..500 {
            seed = seed
                .wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645)
                .wrapping_add(1);
            let divisor = (seed >> (seed & 63)) | 1;
            let number = seed.rotate_left(37);
            let rest = remainder(&number.to_be_bytes(), &divisor.to_be_bytes());
            let rest = rest
                .iter()
                .fold(0_u128, |rest, byte| rest << 8 | u128::from(*byte));
            assert_eq!(rest, number % divisor, "{number} % {divisor}");
        }
    }
}
