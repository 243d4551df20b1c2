//! Armor: one spelling in, one spelling out.

use notme_core::{
    armor::{ARMOR_MAX, ArmorError, SignatureFormat, armor, dearmor},
    base64,
};

fn message(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect()
}

fn lines(body: &[&str]) -> String {
    let body: String = body.iter().map(|line| format!("{line}\n")).collect();
    format!("-----BEGIN SIGNED MESSAGE-----\n{body}-----END SIGNED MESSAGE-----\n")
}

/// gpg-interface.c tells the formats by what the signature starts with.
#[test]
fn tells_formats_as_git_does() {
    for (line, format) in [
        (
            "-----BEGIN SIGNED MESSAGE-----\n",
            Some(SignatureFormat::Cms),
        ),
        (
            "-----BEGIN SSH SIGNATURE-----\n",
            Some(SignatureFormat::Ssh),
        ),
        (
            "-----BEGIN PGP SIGNATURE-----\n",
            Some(SignatureFormat::OpenPgp),
        ),
        (
            "-----BEGIN PGP MESSAGE-----",
            Some(SignatureFormat::OpenPgp),
        ),
        (
            "-----BEGIN SIGNED MESSAGE-----x",
            Some(SignatureFormat::Cms),
        ),
        ("-----BEGIN SIGNED MESSAGE----\n", None),
        ("-----BEGIN CMS-----\n", None),
        (" -----BEGIN SIGNED MESSAGE-----\n", None),
        ("\n-----BEGIN SIGNED MESSAGE-----\n", None),
        ("", None),
    ] {
        assert_eq!(SignatureFormat::detect(line.as_bytes()), format, "{line:?}");
    }
}

#[test]
fn round_trips_at_every_length() {
    for length in 0..300 {
        let der = message(length);
        let text = armor(&der);
        assert!(text.lines().all(|line| line.len() <= 64));
        assert_eq!(dearmor(text.as_bytes()).as_ref(), Ok(&der));
    }
}

#[test]
fn reads_crlf_and_a_missing_final_line_ending() {
    for length in 1..200 {
        let der = message(length);
        let text = armor(&der);
        let crlf = text.replace('\n', "\r\n");
        for spelling in [
            &text,
            text.trim_end_matches('\n'),
            &crlf,
            crlf.trim_end_matches("\r\n"),
        ] {
            assert_eq!(
                dearmor(spelling.as_bytes()).as_ref(),
                Ok(&der),
                "{spelling:?}"
            );
        }
    }
}

#[test]
fn refuses_what_follows_the_end_line() {
    let text = armor(&message(100));
    for extra in ["\n", " ", "x", "\r\n", "\0", &text] {
        let err = dearmor(format!("{text}{extra}").as_bytes()).unwrap_err();
        assert_eq!(err, ArmorError::TrailingData, "{extra:?}");
        assert_eq!(err.code(), "signature-ambiguous");
    }
}

#[test]
fn refuses_every_other_spelling() {
    let full = "A".repeat(64);
    let text = armor(&message(100));
    for (bad, error) in [
        // Wrapped elsewhere: 63, 65 and 76 columns, and one long line.
        (lines(&[&full[1..], "AAAA"]), ArmorError::NoEnd),
        (lines(&[&full, "", "AAAA"]), ArmorError::Columns),
        (lines(&[&format!("{full}A"), "AAA="]), ArmorError::Columns),
        (
            lines(&[&format!("{full}AAAAAAAAAAAA"), "AAAA"]),
            ArmorError::Columns,
        ),
        (lines(&[&full.repeat(2)]), ArmorError::Columns),
        // Blank lines, headers of RFC 1421, spaces.
        (lines(&["", "AAAA"]), ArmorError::Columns),
        (lines(&["AAAA", ""]), ArmorError::NoEnd),
        (lines(&["Proc-Type: 4", "", "AAAA"]), ArmorError::NoEnd),
        (lines(&["AAAA "]), ArmorError::Base64),
        (lines(&[" AAAA"]), ArmorError::Base64),
        // Not canonical base64: padding bits set, missing, or too many; another alphabet.
        (lines(&["AAB="]), ArmorError::Base64),
        (lines(&["AB=="]), ArmorError::Base64),
        (lines(&["AA"]), ArmorError::Base64),
        (lines(&["AAA"]), ArmorError::Base64),
        (lines(&["AAAA===="]), ArmorError::Base64),
        (lines(&["AA==", "AAAA"]), ArmorError::NoEnd),
        (lines(&["__--"]), ArmorError::Base64),
        // Labels.
        (text.replace("END SIGNED", "END CMS"), ArmorError::NoEnd),
        (
            text.replace("SIGNED MESSAGE", "CMS"),
            ArmorError::UnknownFormat,
        ),
        (
            text.replacen("-----\n", "----- \n", 1),
            ArmorError::LineEnding,
        ),
        (format!(" {text}"), ArmorError::UnknownFormat),
        (format!("\n{text}"), ArmorError::UnknownFormat),
        // Line endings that change on the way.
        (
            text.replacen("-----\n", "-----\r\n", 1),
            ArmorError::Columns,
        ),
        (
            text.replace("\n-----END", "\r\n-----END"),
            ArmorError::Base64,
        ),
        (text.replace('\n', "\r"), ArmorError::LineEnding),
    ] {
        assert_eq!(dearmor(bad.as_bytes()), Err(error), "{bad}");
    }
    let mixed_end = armor(&message(100)).replace("E-----\n", "E-----\r\n");
    assert!(dearmor(mixed_end.as_bytes()).is_err());
}

#[test]
fn refuses_every_truncation() {
    let text = armor(&message(200));
    let last = text.len() - 1;
    for end in 0..last {
        assert!(dearmor(&text.as_bytes()[..end]).is_err(), "{end}");
    }
    assert!(dearmor(&text.as_bytes()[..last]).is_ok());
}

/// No single byte can be changed without changing the message or being refused.
#[test]
fn every_byte_is_load_bearing() {
    let der = message(120);
    let text = armor(&der).into_bytes();
    for at in 0..text.len() {
        for value in 0..=255 {
            let mut changed = text.clone();
            if changed[at] == value {
                continue;
            }
            changed[at] = value;
            if let Ok(other) = dearmor(&changed) {
                assert_ne!(other, der, "byte {at} = {value}");
            }
        }
    }
}

#[test]
fn refuses_more_than_a_mebibyte_before_decoding() {
    let text = armor(&vec![0; ARMOR_MAX]);
    let err = dearmor(text.as_bytes()).unwrap_err();
    assert_eq!(err, ArmorError::TooLarge);
    assert_eq!(err.code(), "signature-too-large");
}

#[test]
fn writes_what_rfc_4648_says() {
    let text = armor(&message(48));
    assert_eq!(text.lines().nth(1).unwrap(), base64::encode(&message(48)));
}
