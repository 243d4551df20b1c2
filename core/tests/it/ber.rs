//! BER in, DER out.

use notme_core::ber::{BER_MAX, BerError, to_der};

/// X.690 8.1.3.6 and 8.7: indefinite lengths end at two zero bytes, octet strings come in pieces.
#[test]
fn rewrites_each_form_as_der() {
    for (ber, der) in [
        // DER stays as it is.
        (
            &[0x30, 0x03, 0x02, 0x01, 0x05][..],
            &[0x30, 0x03, 0x02, 0x01, 0x05][..],
        ),
        (&[0x05, 0x00], &[0x05, 0x00]),
        // Indefinite, nested, empty.
        (
            &[0x30, 0x80, 0x02, 0x01, 0x05, 0, 0],
            &[0x30, 0x03, 0x02, 0x01, 0x05],
        ),
        (
            &[0x30, 0x80, 0xa0, 0x80, 0, 0, 0, 0],
            &[0x30, 0x02, 0xa0, 0x00],
        ),
        // Long-winded lengths.
        (
            &[0x30, 0x81, 0x03, 0x02, 0x01, 0x05],
            &[0x30, 0x03, 0x02, 0x01, 0x05],
        ),
        (&[0x04, 0x84, 0, 0, 0, 1, 0xaa], &[0x04, 0x01, 0xaa]),
        // Octet strings in pieces, in pieces of pieces, and of no piece.
        (
            &[0x24, 0x80, 0x04, 1, 0xaa, 0x04, 1, 0xbb, 0, 0],
            &[0x04, 2, 0xaa, 0xbb],
        ),
        (&[0x24, 0x05, 0x24, 0x03, 0x04, 1, 0xaa], &[0x04, 1, 0xaa]),
        (&[0x24, 0x00], &[0x04, 0x00]),
    ] {
        assert_eq!(to_der(ber).unwrap(), der, "{ber:02x?}");
    }
}

#[test]
fn lengths_grow_to_their_minimal_form() {
    let mut ber = vec![0x30, 0x80, 0x24, 0x80];
    let piece: Vec<u8> = [&[0x04, 100][..], &[7; 100]].concat();
    ber.extend(piece.repeat(3));
    ber.extend([0, 0, 0, 0]);
    let der = [
        &[0x30, 0x82, 0x01, 0x30, 0x04, 0x82, 0x01, 0x2c][..],
        &[7; 300],
    ]
    .concat();
    assert_eq!(to_der(&ber).unwrap(), der);
}

#[test]
fn refuses_forms_that_are_not_read() {
    for (ber, error) in [
        (&[][..], BerError::Truncated),
        (&[0x30], BerError::Truncated),
        (&[0x30, 0x80], BerError::Truncated),
        (&[0x30, 0x80, 0x00], BerError::Truncated),
        (&[0x30, 0x80, 0x02, 0x01], BerError::Truncated),
        (&[0x30, 0x02, 0x02, 0x01], BerError::Truncated),
        (&[0x30, 0x82, 0x01], BerError::Truncated),
        (&[0x04, 0xff], BerError::Truncated),
        (
            &[0x04, 0x89, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            BerError::Truncated,
        ),
        // An indefinite element may not end outside the definite one that holds it.
        (&[0x30, 0x02, 0x30, 0x80, 0, 0], BerError::Truncated),
        // Tags of several bytes, primitives without an end, other strings in pieces.
        (&[0x1f, 0x81, 0x01, 0x00], BerError::Form),
        (&[0x04, 0x80, 0, 0], BerError::Form),
        (&[0x23, 0x80, 0, 0], BerError::Form),
        (&[0x2c, 0x02, 0x0c, 0x00], BerError::Form),
        (&[0x24, 0x02, 0x02, 0x00], BerError::Form),
        (&[0x24, 0x80, 0x30, 0x00, 0, 0], BerError::Form),
        (&[0x05, 0x00, 0x00], BerError::TrailingData),
        (&[0x30, 0x80, 0, 0, 0, 0], BerError::TrailingData),
    ] {
        assert_eq!(to_der(ber), Err(error), "{ber:02x?}");
    }
}

#[test]
fn refuses_what_is_nested_too_deeply() {
    let nested = |depth: usize| {
        let mut ber = [0x30, 0x80].repeat(depth);
        ber.extend([0, 0].repeat(depth));
        to_der(&ber)
    };
    assert!(nested(16).is_ok());
    assert_eq!(nested(17), Err(BerError::TooDeep));
    assert_eq!(nested(100_000), Err(BerError::TooDeep));
    assert_eq!(
        to_der(&[0x24, 0x80].repeat(100_000)),
        Err(BerError::TooDeep)
    );
}

#[test]
fn refuses_more_than_a_mebibyte() {
    assert_eq!(to_der(&vec![0; BER_MAX + 1]), Err(BerError::TooLarge));
}
