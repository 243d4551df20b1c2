//! The armor: one spelling out, few in.

use notme_core::openpgp::{ArmorKind, OpenPgpError, armor, dearmor};

fn read(text: &str) -> Result<Vec<u8>, OpenPgpError> {
    dearmor(ArmorKind::Signature, text.as_bytes())
}

fn written() -> String {
    armor(ArmorKind::Signature, &[7; 100])
}

#[test]
fn what_is_written_is_read_whatever_its_length() {
    for length in [1, 2, 3, 47, 48, 49, 96, 1000] {
        let bytes = vec![0xa5; length];
        assert_eq!(read(&armor(ArmorKind::Signature, &bytes)).unwrap(), bytes);
    }
}

#[test]
fn reads_headers_carriage_returns_and_no_checksum() {
    let bytes = vec![7; 100];
    let headers = written().replacen("\n\n", "\nVersion: GnuPG v2\nComment: \n\n", 1);
    assert_eq!(read(&headers).unwrap(), bytes);
    assert_eq!(read(&written().replace('\n', "\r\n")).unwrap(), bytes);
    let unchecked: String = written()
        .split_inclusive('\n')
        .filter(|line| !line.starts_with('='))
        .collect();
    assert_eq!(read(&unchecked).unwrap(), bytes);
    assert_eq!(read(written().trim_end()).unwrap(), bytes);
}

#[test]
fn refuses_a_wrong_checksum() {
    let text = written();
    let at = text.find("\n=").unwrap() + 2;
    let letter = if &text[at..=at] == "A" { "B" } else { "A" };
    let wrong = format!("{}{letter}{}", &text[..at], &text[at + 1..]);
    assert!(matches!(read(&wrong), Err(OpenPgpError::ArmorChecksum)));
}

#[test]
fn a_second_armor_or_text_after_the_end_is_ambiguous() {
    for more in [written(), "text\n".to_owned()] {
        let error = read(&(written() + &more)).unwrap_err();
        assert_eq!(error.code(), "signature-ambiguous");
    }
}

#[test]
fn refuses_what_is_not_one_armor_of_the_kind() {
    let text = written();
    for wrong in [
        String::new(),
        format!("text\n{text}"),
        text.replace("PGP SIGNATURE", "PGP MESSAGE"),
        text.replacen("\n\n", "\n", 1),
        text.replacen("\n\n", "\nno header\n\n", 1),
        text.replace("-----END PGP SIGNATURE-----", "-----END PGP MESSAGE-----"),
        text.replace("-----END PGP SIGNATURE-----\n", ""),
        text.replacen("BwcH", "Bw*H", 1),
        text.replacen("BwcH", "Bw\n\ncH", 1),
    ] {
        let error = read(&wrong).unwrap_err();
        assert_eq!(error.code(), "signature-malformed", "{wrong}");
    }
    assert!(dearmor(ArmorKind::PublicKeys, text.as_bytes()).is_err());
}

#[test]
fn refuses_more_than_a_mebibyte() {
    let text = vec![b'A'; (1 << 20) + 1];
    let error = dearmor(ArmorKind::Signature, &text).unwrap_err();
    assert_eq!(error.code(), "signature-too-large");
}
