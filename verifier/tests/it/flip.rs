//! Altered bytes: never accepted, whichever byte it is.

use notme_core::{
    armor::armor,
    object::{HashKind, ObjectKind},
};
use notme_testkit::{cast::LeafSpec, clock::NOW, mint::tlv};
use notme_verifier::{Judge, Judgement, Policy, Verdict};

use crate::world::{TREE, assert_accepted, authority, bound_commit, judge, payload, trust};

/// Judges an object once for each byte and each of three bits of it that is another.
#[track_caller]
pub(crate) fn assert_no_flip_is_accepted(raw: &[u8], judge: impl Fn(&[u8]) -> Judgement) {
    assert_accepted(&judge(raw));
    let mut altered = raw.to_vec();
    for position in 0..raw.len() {
        for mask in [0x01, 0x20, 0x80] {
            altered[position] ^= mask;
            let verdict = judge(&altered).verdict();
            assert_ne!(verdict, Verdict::Accepted, "byte {position} ^ {mask}");
            altered[position] ^= mask;
        }
    }
}

#[test]
fn no_flipped_byte_is_accepted() {
    assert_no_flip_is_accepted(&bound_commit(&payload()), judge);
}

#[test]
fn no_flipped_byte_of_a_tag_is_accepted() {
    let payload = format!(
        "object {TREE}\ntype tree\ntag v1\ntagger Test <t@example.invalid> {} +0000\n\nfirst\n",
        NOW.secs()
    );
    let session = authority().leaf(&LeafSpec::bound_to(payload.as_bytes()));
    let signature = armor(&session.sign_cms(payload.as_bytes(), NOW));
    let (trust, tag) = (trust(), [payload, signature].concat());
    let policy = Policy::from_trust(&trust);
    let judge = Judge::new(&policy, &trust, NOW);
    assert_no_flip_is_accepted(tag.as_bytes(), |raw| {
        judge.judge_object(ObjectKind::Tag, raw, HashKind::Sha1)
    });
}

#[test]
fn no_shortened_object_is_accepted() {
    let raw = bound_commit(&payload());
    for length in 0..raw.len() {
        assert_ne!(
            judge(&raw[..length]).verdict(),
            Verdict::Accepted,
            "{length} bytes"
        );
    }
}

/// Takes the signed attributes out of a CMS message, mending every length around them.
pub(crate) fn without_attributes(cms: &[u8]) -> Vec<u8> {
    rewritten(cms, |_, signer| signer.retain(|field| field[0] != 0xa0))
}

/// Names SHA-1 as the digest.
pub(crate) fn with_sha1(cms: &[u8]) -> Vec<u8> {
    let sha1 = tlv(0x30, &tlv(0x06, &[0x2b, 0x0e, 3, 2, 0x1a]));
    rewritten(cms, |fields, signer| {
        fields[1] = tlv(0x31, &sha1);
        signer[2] = sha1;
    })
}

/// Takes a message apart into the fields of SignedData and of its SignerInfo, and puts it
/// together again with every length mended.
fn rewritten(cms: &[u8], change: impl FnOnce(&mut Vec<Vec<u8>>, &mut Vec<Vec<u8>>)) -> Vec<u8> {
    let owned = |parts: Vec<&[u8]>| parts.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>();
    let content_info = children(value(cms));
    let signed_data = value(content_info[1]);
    let mut fields = owned(children(value(signed_data)));
    let mut signer = owned(children(value(value(fields.last().unwrap()))));
    change(&mut fields, &mut signer);
    *fields.last_mut().unwrap() = tlv(0x31, &tlv(0x30, &signer.concat()));
    let content = tlv(0xa0, &tlv(0x30, &fields.concat()));
    tlv(0x30, &[content_info[0], &content].concat())
}

pub(crate) fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    for start in 0..=bytes.len() - from.len() {
        if &bytes[start..start + from.len()] == from {
            bytes[start..start + from.len()].copy_from_slice(to);
        }
    }
    bytes
}

fn value(element: &[u8]) -> &[u8] {
    let (head, length) = head(element);
    &element[head..head + length]
}

/// Splits the contents of an element into elements.
fn children(contents: &[u8]) -> Vec<&[u8]> {
    let (mut rest, mut found) = (contents, Vec::new());
    while !rest.is_empty() {
        let (element, after) = rest.split_at(total(rest));
        found.push(element);
        rest = after;
    }
    found
}

fn total(element: &[u8]) -> usize {
    let (head, length) = head(element);
    head + length
}

fn head(element: &[u8]) -> (usize, usize) {
    match element[1] {
        0x81 => (3, usize::from(element[2])),
        0x82 => (4, usize::from(u16::from_be_bytes([element[2], element[3]]))),
        short => (2, usize::from(short)),
    }
}
