//! Objects, split and read as git does it.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use notme_core::{
    armor,
    object::{
        HashKind, Ident, ObjectError, ObjectKind, Payload, SIGNATURE_MAX, TargetKind, classify,
        parse_commit, parse_push_certificate, parse_tag, split, split_commit,
        split_push_certificate, split_tag,
    },
    time::UnixTime,
};
use notme_testkit::{
    clock::NOW,
    commit::{CommitSpec, with_signature},
    repository::Repository,
};

const HASHES: [HashKind; 2] = [HashKind::Sha1, HashKind::Sha256];

/// A repository whose signing and verifying program is a script that keeps what git gives it.
struct Watched {
    repository: Repository,
    hash: HashKind,
}

impl Watched {
    fn new(hash: HashKind) -> Self {
        let repository = match hash {
            HashKind::Sha1 => Repository::new(),
            HashKind::Sha256 => Repository::sha256(),
        };
        let program = repository.home().join("program");
        let home = repository.home();
        let home = home.display();
        let script = format!(
            "#!/bin/sh\n\
             case \"$*\" in\n\
             *--verify*)\n\
             cat >'{home}/payload'\n\
             for file; do case \"$file\" in /*) cp \"$file\" '{home}/signature' ;; esac; done\n\
             printf '\\n[GNUPG:] GOODSIG K N\\n[GNUPG:] TRUST_FULLY 0 x\\n' ;;\n\
             *)\n\
             cat >'{home}/signed'\n\
             cat '{home}/armor'\n\
             printf '\\n[GNUPG:] SIG_CREATED \\n' >&2 ;;\n\
             esac\n"
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let program = program.to_str().unwrap();
        for (key, value) in [
            ("gpg.x509.program", program),
            ("gpg.openpgp.program", program),
            ("gpg.format", "x509"),
            ("user.signingKey", "key"),
        ] {
            repository.git_ok(&["config", key, value]);
        }
        let watched = Self { repository, hash };
        watched.set_armor(&armor::armor(&[7; 150]));
        watched
    }

    fn set_armor(&self, armor: &str) {
        fs::write(self.file("armor"), armor).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.repository.home().join(name)
    }

    /// Returns the payload and signature that git extracts.
    fn git_split(&self, kind: ObjectKind, oid: &str) -> (Vec<u8>, Vec<u8>) {
        let command = match kind {
            ObjectKind::Commit => "verify-commit",
            ObjectKind::Tag => "verify-tag",
        };
        for name in ["payload", "signature"] {
            fs::remove_file(self.file(name)).ok();
        }
        let output = self.repository.git(&[command, oid]);
        assert!(output.status.success(), "{output:?}");
        let read = |name| fs::read(self.file(name)).unwrap();
        (read("payload"), read("signature"))
    }

    /// Checks that we split a stored object as git does, and returns its bytes.
    fn agrees(&self, kind: ObjectKind, oid: &str) -> Vec<u8> {
        let raw = self.repository.read_object(kind.as_str(), oid);
        let (payload, signature) = self.git_split(kind, oid);
        let ours = split(kind, &raw, self.hash).unwrap();
        assert_eq!(text(ours.payload()), text(&payload));
        assert_eq!(text(ours.signature().unwrap()), text(&signature));
        raw
    }

    fn agrees_on_raw(&self, kind: ObjectKind, raw: &str) {
        let oid = self
            .repository
            .write_object_unchecked(kind.as_str(), raw.as_bytes());
        self.agrees(kind, &oid);
    }

    fn zero_id(&self) -> String {
        "0".repeat(match self.hash {
            HashKind::Sha1 => 40,
            HashKind::Sha256 => 64,
        })
    }
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn folded(armor: &str) -> String {
    armor.trim_end().replace('\n', "\n ")
}

fn cms() -> String {
    armor::armor(&[7; 150])
}

fn openpgp() -> String {
    cms().replace("SIGNED MESSAGE", "PGP SIGNATURE")
}

fn commit_payload() -> Vec<u8> {
    CommitSpec::new(&"a".repeat(40)).payload()
}

#[test]
fn commits_made_by_git_are_split_as_git_splits_them() {
    for hash in HASHES {
        let watched = Watched::new(hash);
        let repository = &watched.repository;
        for (configuration, message) in [
            (None, "a change"),
            (None, "gpgsig not a header\n\ngpgsig-sha256 neither\n"),
            (None, "-----BEGIN SIGNED MESSAGE-----\nnor this\n"),
            (Some("i18n.commitEncoding=ISO-8859-1"), "caf\u{e9}"),
            (None, ""),
        ] {
            let mut arguments = vec!["-c", configuration.unwrap_or("x.y=z")];
            arguments.extend(["commit", "-S", "--allow-empty", "--allow-empty-message"]);
            arguments.extend(["--cleanup=verbatim", "--quiet", "-m", message]);
            repository.git_ok(&arguments);
            let oid = repository.git_ok(&["rev-parse", "HEAD"]);
            let raw = watched.agrees(ObjectKind::Commit, &oid);
            let ours = split_commit(&raw, hash).unwrap();
            // What was signed is what is verified, and the parts make the whole.
            let signed = fs::read(watched.file("signed")).unwrap();
            assert_eq!(text(ours.payload()), text(&signed));
            assert!(matches!(classify(&signed), Ok(Payload::Commit(_))));
            let signature = std::str::from_utf8(ours.signature().unwrap()).unwrap();
            let whole = with_signature(ours.payload(), hash.signature_header(), signature);
            assert_eq!(text(&whole), text(&raw));
        }
    }
}

#[test]
fn merges_of_signed_tags_are_split_as_git_splits_them() {
    for hash in HASHES {
        let watched = Watched::new(hash);
        let repository = &watched.repository;
        repository.commit("base", "1");
        repository.git_ok(&["checkout", "--quiet", "-b", "side"]);
        repository.commit("side", "2");
        repository.git_ok(&["tag", "-s", "-m", "first", "v1"]);
        watched.set_armor(&openpgp());
        repository.git_ok(&["checkout", "--quiet", "main"]);
        repository.commit("main", "3");
        repository.git_ok(&["merge", "--quiet", "-S", "--no-edit", "v1"]);
        let oid = repository.git_ok(&["rev-parse", "HEAD"]);
        let raw = watched.agrees(ObjectKind::Commit, &oid);
        let ours = split_commit(&raw, hash).unwrap();
        assert!(text(ours.payload()).contains("mergetag object "));
        let fields = parse_commit(ours.payload()).unwrap();
        assert_eq!(fields.parents().len(), 2);
        assert_eq!(fields.hash(), hash);
        assert_eq!(fields.committer_time(), NOW);
    }
}

#[test]
fn tags_made_by_git_are_split_as_git_splits_them() {
    for hash in HASHES {
        let watched = Watched::new(hash);
        let repository = &watched.repository;
        repository.commit("base", "1");
        for (name, message) in [
            ("v1", "first\n"),
            ("v2", "two\n\ngpgsig is a word here\n"),
            ("v3", &format!("has one already\n{}", openpgp())),
            ("v4", ""),
        ] {
            let arguments = ["tag", "-s", "--cleanup=verbatim", "-m", message, name];
            repository.git_ok(&arguments);
            let oid = repository.git_ok(&["rev-parse", name]);
            let raw = watched.agrees(ObjectKind::Tag, &oid);
            let ours = split_tag(&raw, hash).unwrap();
            let signed = fs::read(watched.file("signed")).unwrap();
            assert_eq!(text(ours.payload()), text(&signed));
            let whole = [ours.payload(), ours.signature().unwrap()].concat();
            assert_eq!(text(&whole), text(&raw));
            let Ok(Payload::Tag(fields)) = classify(ours.payload()) else {
                panic!("not a tag: {}", text(ours.payload()));
            };
            assert_eq!(fields.name(), name.as_bytes());
            assert_eq!(fields.target_kind(), TargetKind::Commit);
            assert_eq!(fields.tagger().unwrap().time(), Some(NOW));
        }
    }
}

/// Every git since 2.31 takes out every header that starts with `gpgsig`.
#[test]
fn odd_commits_are_split_as_git_splits_them() {
    for hash in HASHES {
        let watched = Watched::new(hash);
        let tree = watched.repository.empty_tree();
        let own = hash.signature_header();
        let other = match hash {
            HashKind::Sha1 => "gpgsig-sha256",
            HashKind::Sha256 => "gpgsig",
        };
        let tree = format!("tree {tree}\n");
        let people = "author A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n";
        let signature = format!("{own} {}\n", folded(&cms()));
        let others = format!("{other} {}\n", folded(&openpgp()));
        for raw in [
            format!("{tree}{people}{signature}{others}\nm\n"),
            format!("{tree}{people}{others}{signature}\nm\n"),
            format!("{tree}{people}gpgsig-extra a\n b\n{signature}gpgsigother c\n \n d\n\nm\n"),
            format!("{tree}{people}gpgsigother\n a\n{signature}gpgsigother\n\nm\n"),
            format!("{tree}{people}x-header a\n gpgsig b\n{signature}y-header\n z\n\nm\n"),
            format!("{tree}{people}{signature}encoding x\n\n{signature}"),
            format!("{tree}{people}{signature}"),
            format!("{tree}{people}{signature}\n"),
            format!("{tree}{people}{signature} \n \n\nblank lines after the armor\n"),
            format!("{tree}{people}{signature}\n\u{0}\n"),
        ] {
            watched.agrees_on_raw(ObjectKind::Commit, &raw);
        }
    }
}

/// The payload has lines that git does not find in the object: it stops at the signature.
#[test]
fn a_signature_header_among_the_lines_that_git_reads_is_malformed() {
    for hash in HASHES {
        let own = hash.signature_header();
        for name in ["gpgsig", "gpgsig-sha256", "gpgsig-x"] {
            let signature = format!("{name} {}\n", folded(&cms()));
            let lines = [
                "tree t\n",
                "parent p\n",
                "parent q\n",
                "author A <a@b> 1 +0000\n",
                "committer A <a@b> 1 +0000\n",
            ];
            for place in 0..lines.len() {
                let (before, after) = lines.split_at(place);
                let raw = [before.concat(), signature.clone(), after.concat()].concat();
                for end in ["\nm\n".to_owned(), format!("{own} x\n\nm\n")] {
                    let raw = format!("{raw}{end}");
                    let err = split_commit(raw.as_bytes(), hash).unwrap_err();
                    assert!(matches!(err, ObjectError::SignatureOutOfPlace(_)), "{err}");
                    assert_eq!(err.code(), "object-malformed");
                }
            }
            let lines = [
                "object o\n",
                "type commit\n",
                "tag v1\n",
                "tagger A <a@b> 1 +0000\n",
            ];
            for place in 0..lines.len() {
                let (before, after) = lines.split_at(place);
                let raw = [before.concat(), signature.clone(), after.concat()].concat();
                let raw = format!("{raw}\nm\n{}", cms());
                let err = split_tag(raw.as_bytes(), hash).unwrap_err();
                let is_own = name == own;
                assert!(
                    is_own || matches!(err, ObjectError::SignatureOutOfPlace(_)),
                    "{err}"
                );
            }
        }
    }
}

/// git walks to a parent that the signed part does not have, or past one that it has.
#[test]
fn git_reads_other_parents_where_we_refuse_to_read() {
    let watched = Watched::new(HashKind::Sha1);
    let repository = &watched.repository;
    let parent = repository.commit("base", "1");
    let tree = repository.empty_tree();
    let people = "author A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n";
    let signature = format!("gpgsig {}\n", folded(&cms()));
    let raw = format!("tree {tree}\n{signature}parent {parent}\n{people}\nm\n");
    let oid = repository.write_object_unchecked("commit", raw.as_bytes());
    let (payload, _) = watched.git_split(ObjectKind::Commit, &oid);
    assert_eq!(parse_commit(&payload).unwrap().parents(), [&*parent]);
    assert_eq!(repository.git_ok(&["rev-list", &oid]), oid);
    assert!(split_commit(raw.as_bytes(), HashKind::Sha1).is_err());
}

#[test]
fn odd_tags_are_split_as_git_splits_them() {
    for hash in HASHES {
        let watched = Watched::new(hash);
        let target = watched.zero_id();
        let other = match hash {
            HashKind::Sha1 => "gpgsig-sha256",
            HashKind::Sha256 => "gpgsig",
        };
        let head = format!("object {target}\ntype commit\ntag v1\ntagger A <a@b> 1 +0000\n");
        let (cms, others) = (cms(), format!("{other} {}\n", folded(&openpgp())));
        for raw in [
            format!("{head}\nm\n{cms}"),
            format!("{head}{others}\nm\n{cms}"),
            format!("{head}{others}x y\n\nm\n{cms}"),
            // Left in by git, unlike in a commit.
            format!("{head}gpgsig-extra a\n b\n\nm\n{cms}"),
            format!("{head}\n{others}\n{cms}"),
            format!("{head}\n{}m\n{cms}", openpgp()),
            format!("{head}\nm\n{cms}\n\n"),
            format!("{head}\nno newline before {cms}{cms}"),
        ] {
            watched.agrees_on_raw(ObjectKind::Tag, &raw);
        }
    }
}

#[test]
fn push_certificates_made_by_git_are_split_and_read() {
    let watched = Watched::new(HashKind::Sha1);
    let bare = Repository::bare();
    bare.git_ok(&["config", "receive.certNonceSeed", "seed"]);
    bare.git_ok(&["config", "receive.advertisePushOptions", "true"]);
    let hook = bare.path().join("hooks/pre-receive");
    let kept = bare.home().join("certificate");
    let script = format!(
        "#!/bin/sh\ncat >/dev/null\ngit cat-file blob $GIT_PUSH_CERT >'{}'\n",
        kept.display()
    );
    fs::write(&hook, script).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let oid = watched.repository.commit("base", "1");
    let address = bare.path();
    let address = address.to_str().unwrap();
    let refs = ["main", "main:refs/heads/copy"];
    let push = ["push", "--quiet", "--signed", "-o", "colour=red", address];
    watched.repository.git_ok(&[&push[..], &refs[..]].concat());

    let raw = fs::read(kept).unwrap();
    let signed = fs::read(watched.file("signed")).unwrap();
    let ours = split_push_certificate(&raw).unwrap();
    assert_eq!(text(ours.payload()), text(&signed));
    assert_eq!(ours.signature().unwrap(), cms().as_bytes());
    let Ok(Payload::PushCertificate(fields)) = classify(&signed) else {
        panic!("not a push certificate: {}", text(&signed));
    };
    assert_eq!(fields.pusher(), b"key");
    assert_eq!(fields.pushee(), Some(address.as_bytes()));
    assert!(fields.nonce().is_some());
    assert_eq!(fields.options(), [b"colour=red"]);
    let updates: Vec<_> = fields
        .updates()
        .iter()
        .map(|update| update.name())
        .collect();
    assert_eq!(updates, [&b"refs/heads/main"[..], b"refs/heads/copy"]);
    assert!(fields.updates().iter().all(|update| update.new_id() == oid));
    assert_eq!(fields.updates()[0].old(), watched.zero_id());
}

/// commit.c, `parse_buffer_signed_by_header`, line by line.
fn as_in_git(raw: &[u8], own: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut payload, mut signature) = (Vec::new(), Vec::new());
    let (mut in_signature, mut other_signature) = (false, false);
    let mut line = 0;
    while line < raw.len() {
        let rest = &raw[line..];
        let mut next = rest
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(raw.len(), |at| line + at + 1);
        let mut found = None;
        let value = rest
            .strip_prefix(own)
            .and_then(|rest| rest.strip_prefix(b" "));
        if in_signature && rest[0] == b' ' {
            found = Some(line + 1);
        } else if value.is_some() {
            found = Some(line + own.len() + 1);
            other_signature = false;
        } else if rest.starts_with(b"gpgsig") {
            other_signature = true;
        } else if other_signature && rest[0] != b' ' {
            other_signature = false;
        }
        if let Some(start) = found {
            signature.extend(&raw[start..next]);
        } else {
            if rest[0] == b'\n' {
                next = raw.len();
            }
            if !other_signature {
                payload.extend(&raw[line..next]);
            }
        }
        in_signature = found.is_some();
        line = next;
    }
    (payload, signature)
}

#[test]
fn what_we_accept_we_read_as_git_does() {
    let pieces = [
        "gpgsig ",
        "gpgsig",
        "gpgsig-sha256 ",
        "gpgsig-x ",
        "gpgsigy",
        "author a",
        "\n",
        "\n",
        " ",
        " \n",
        " x\n",
        "x\n",
        "tree t\n",
        "\n\n",
        "mergetag m\n gpgsig z\n",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below).unwrap()).unwrap()
    };
    let (mut accepted, mut signed) = (0, 0);
    for _ in 0..100_000 {
        let count = random(14) + 1;
        let raw: String = (0..count).map(|_| pieces[random(pieces.len())]).collect();
        for hash in HASHES {
            let Ok(ours) = split_commit(raw.as_bytes(), hash) else {
                continue;
            };
            let (payload, signature) =
                as_in_git(raw.as_bytes(), hash.signature_header().as_bytes());
            assert_eq!(text(ours.payload()), text(&payload), "{raw:?}");
            assert_eq!(
                text(ours.signature().unwrap_or_default()),
                text(&signature),
                "{raw:?}"
            );
            accepted += 1;
            signed += usize::from(ours.signature().is_some());
        }
    }
    assert!(accepted > 50_000 && signed > 5_000, "{accepted} {signed}");
}

#[test]
fn an_unsigned_object_is_its_own_payload() {
    let raw = commit_payload();
    let ours = split_commit(&raw, HashKind::Sha1).unwrap();
    assert_eq!((ours.payload(), ours.signature()), (&raw[..], None));
    let signed = with_signature(&raw, "gpgsig-sha256", &cms());
    let ours = split_commit(&signed, HashKind::Sha1).unwrap();
    assert_eq!((ours.payload(), ours.signature()), (&raw[..], None));
    assert_eq!(ours.extra_headers(), [b"gpgsig-sha256"]);
    let tag = b"object x\ntype commit\ntag v\n\nm\n";
    let ours = split_tag(tag, HashKind::Sha1).unwrap();
    assert_eq!((ours.payload(), ours.signature()), (&tag[..], None));
}

#[test]
fn names_the_headers_that_prove_nothing() {
    let raw = with_signature(&commit_payload(), "gpgsig-extra", "a\nb");
    let raw = with_signature(&raw, "gpgsig", &cms());
    let raw = with_signature(&raw, "gpgsigother", "c");
    let ours = split_commit(&raw, HashKind::Sha1).unwrap();
    assert_eq!(ours.payload(), commit_payload());
    assert_eq!(ours.extra_headers(), [&b"gpgsig-extra"[..], b"gpgsigother"]);
}

/// git joins two headers and lets the program read the first armor.
#[test]
fn refuses_two_signatures_in_a_commit() {
    let once = with_signature(&commit_payload(), "gpgsig", &cms());
    for second in [cms(), openpgp(), "x".to_owned()] {
        let twice = with_signature(&once, "gpgsig", &second);
        let err = split_commit(&twice, HashKind::Sha1).unwrap_err();
        assert_eq!(err, ObjectError::Ambiguous);
        assert_eq!(err.code(), "signature-ambiguous");
    }
}

#[test]
fn refuses_data_after_the_armor_or_a_second_one_inside() {
    let payload = commit_payload();
    let ssh = cms().replace("SIGNED MESSAGE", "SSH SIGNATURE");
    for first in [cms(), openpgp(), ssh] {
        let inside = first.replacen("-----\n", &format!("-----\n{}", cms()), 1);
        let same_line = first.trim_end().to_owned() + "x";
        let mut bad = vec![inside, same_line];
        for extra in [&cms(), "x", "\nx", " \t x"] {
            bad.push(format!("{first}{extra}"));
        }
        for signature in bad {
            let raw = with_signature(&payload, "gpgsig", &signature);
            let err = split_commit(&raw, HashKind::Sha1).unwrap_err();
            assert_eq!(err, ObjectError::Ambiguous, "{signature}");
        }
        let tag = format!("object x\n\nm\n{first}x\n");
        let err = split_tag(tag.as_bytes(), HashKind::Sha1).unwrap_err();
        assert_eq!(err, ObjectError::Ambiguous);
    }
}

/// gpg-interface.c, `remove_signature`: of two neighbours it takes out one.
#[test]
fn refuses_tags_that_git_splits_by_accident() {
    let tag = |headers: &str| format!("object x\n{headers}\nm\n{}", cms());
    for headers in [
        "gpgsig a\n",
        "gpgsig-sha256 a\ngpgsig b\n",
        "gpgsig-sha256 a\ngpgsig-x b\n",
    ] {
        let err = split_tag(tag(headers).as_bytes(), HashKind::Sha1).unwrap_err();
        assert_eq!(err, ObjectError::Ambiguous, "{headers:?}");
    }
    assert!(split_tag(tag("gpgsig a\n").as_bytes(), HashKind::Sha256).is_ok());
}

#[test]
fn refuses_malformed_header_parts() {
    for (raw, error) in [
        ("tree a\0b\n\nm\n", ObjectError::NulInHeader),
        ("tree a\ngpgsig \0\n\nm\n", ObjectError::NulInHeader),
        (" tree a\n\nm\n", ObjectError::MalformedHeader),
        ("tree a", ObjectError::MalformedHeader),
        ("tree a\n b", ObjectError::MalformedHeader),
    ] {
        let err = split_commit(raw.as_bytes(), HashKind::Sha1).unwrap_err();
        assert_eq!(err, error, "{raw:?}");
        assert_eq!(err.code(), "object-malformed");
        assert_eq!(
            parse_commit(raw.as_bytes()).unwrap_err().code(),
            "object-malformed"
        );
    }
}

#[test]
fn refuses_a_signature_longer_than_a_mebibyte() {
    let long = armor::armor(&vec![0; SIGNATURE_MAX]);
    let commit = with_signature(&commit_payload(), "gpgsig", &long);
    let tag = [b"object x\n\nm\n", long.as_bytes()].concat();
    for result in [
        split_commit(&commit, HashKind::Sha1),
        split_tag(&tag, HashKind::Sha1),
        split_push_certificate(&tag),
    ] {
        let err = result.unwrap_err();
        assert_eq!(err, ObjectError::SignatureTooLarge);
        assert_eq!(err.code(), "signature-too-large");
    }
}

#[test]
fn reads_the_fields_of_a_commit() {
    let tree = "a".repeat(40);
    let raw = format!(
        "tree {tree}\nparent {0}\nparent {0}\nauthor A U <a@b> 12 -0130\n\
         committer C <c@d> 34 +0200\nencoding latin1\nHG:extra x\n y\n\nline\n\nmore",
        "b".repeat(40)
    );
    let fields = parse_commit(raw.as_bytes()).unwrap();
    assert_eq!(
        (fields.hash(), fields.tree()),
        (HashKind::Sha1, tree.as_str())
    );
    assert_eq!(fields.parents(), ["b".repeat(40), "b".repeat(40)]);
    assert_eq!(fields.author().name(), b"A U");
    assert_eq!(fields.author().time(), Some(UnixTime::from_secs(12)));
    assert_eq!(fields.committer().email(), b"c@d");
    assert_eq!(fields.committer_time(), UnixTime::from_secs(34));
    assert_eq!(fields.committer().timezone(), Some(&b"+0200"[..]));
    assert_eq!(fields.encoding(), Some(&b"latin1"[..]));
    assert_eq!(fields.message(), b"line\n\nmore");
}

#[test]
fn refuses_commits_that_two_readers_could_read_differently() {
    let good = String::from_utf8(commit_payload()).unwrap();
    assert!(parse_commit(good.as_bytes()).is_ok());
    let id = "a".repeat(40);
    for (from, to) in [
        ("tree ", "Tree "),
        ("tree ", " tree "),
        ("tree a", "tree A"),
        ("tree a", "tree  a"),
        ("tree a", "tree aa"),
        ("tree a", "tree "),
        ("\nauthor", "\n x\nauthor"),
        ("\nauthor", " \nauthor"),
        ("\nauthor", "\nparent x\nauthor"),
        ("\nauthor", &format!("\nparent {}\nauthor", "b".repeat(64))),
        ("\nauthor", &format!("\nx y\nparent {id}\nauthor")),
        ("\nauthor", "\ngpgsig x\nauthor"),
        ("\nauthor", "\nauthor A <a@b> 1 +0000\nauthor"),
        ("author", "writer"),
        ("author Test <", "author Test "),
        ("committer Test <", "committer Test "),
        (
            "committer Test <test@example.invalid> 1",
            "committer Test <test@example.invalid> -1",
        ),
        (
            "committer Test <test@example.invalid> 1",
            "committer Test <test@example.invalid> x1",
        ),
        (
            "committer Test <test@example.invalid> ",
            "committer Test <test@example.invalid> 99999999999",
        ),
        ("\n\n", &format!("\ntree {id}\n\n")),
        ("\n\n", &format!("\nparent {id}\n\n")),
        ("\n\n", "\nauthor A <a@b> 1 +0000\n\n"),
        ("\n\n", "\ncommitter A <a@b> 1 +0000\n\n"),
        ("\n\n", "\ncommitter\n\n"),
        ("\n\n", "\nencoding a\nencoding b\n\n"),
        ("\n\n", "\ngpgsig x\n\n"),
        ("\n\n", "\ngpgsig-sha256 x\n\n"),
        ("\n\n", "\ngpgsig-extra x\n\n"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from:?}");
        let err = parse_commit(bad.as_bytes()).unwrap_err();
        assert_eq!(err.code(), "object-malformed", "{bad}");
    }
}

/// ident.c, `split_ident_line`.
#[test]
fn reads_odd_people_as_git_does() {
    let at = |secs| Some(UnixTime::from_secs(secs));
    for (line, name, email, time, zone) in [
        ("A <a@b> 1 +0000", "A", "a@b", at(1), "+0000"),
        ("<a@b> 1 +0000", "", "a@b", at(1), "+0000"),
        (" <> 0 -0000", "", "", at(0), "-0000"),
        ("A  <a> 1 +1234567", "A", "a", at(1), "+1234567"),
        ("A <a> 1 -9", "A", "a", at(1), "-9"),
        ("A <a>b> 7 +0100", "A", "a", at(7), "+0100"),
        ("A <a <b> 7 +0100", "A", "a <b", at(7), "+0100"),
        ("A <a>7 +0100", "A", "a", at(7), "+0100"),
        ("A <a>", "A", "a", None, ""),
        ("A <a> 7", "A", "a", None, ""),
        ("A <a> 7 UTC", "A", "a", None, ""),
        ("A <a> 7 +", "A", "a", None, ""),
        ("A <a> -7 +0000", "A", "a", None, ""),
        (
            "A <a> 9223372036854775807 +0000",
            "A",
            "a",
            at(i64::MAX),
            "+0000",
        ),
        ("A <a> 9223372036854775808 +0000", "A", "a", None, ""),
    ] {
        let ident = Ident::parse(line.as_bytes()).unwrap();
        assert_eq!(ident.name(), name.as_bytes(), "{line}");
        assert_eq!(ident.email(), email.as_bytes(), "{line}");
        assert_eq!(ident.time(), time, "{line}");
        assert_eq!(
            ident.timezone().unwrap_or_default(),
            zone.as_bytes(),
            "{line}"
        );
    }
    for line in ["", "A", "A <a", "A > a <", "A a> 1 +0000"] {
        assert!(Ident::parse(line.as_bytes()).is_none(), "{line}");
    }
}

#[test]
fn reads_people_in_any_encoding() {
    let ident = Ident::parse(b"\xff\xfe <\x80> 1 +0000").unwrap();
    assert_eq!(
        (ident.name(), ident.email()),
        (&b"\xff\xfe"[..], &b"\x80"[..])
    );
}

#[test]
fn reads_tags_without_a_tagger_and_of_any_kind() {
    for (kind, expected) in [
        ("commit", TargetKind::Commit),
        ("tree", TargetKind::Tree),
        ("blob", TargetKind::Blob),
        ("tag", TargetKind::Tag),
    ] {
        let raw = format!("object {}\ntype {kind}\ntag v\n", "c".repeat(64));
        let fields = parse_tag(raw.as_bytes()).unwrap();
        assert_eq!(fields.target_kind(), expected);
        assert_eq!(fields.hash(), HashKind::Sha256);
        assert_eq!(fields.tagger(), None);
        assert_eq!(fields.message(), b"");
    }
}

#[test]
fn refuses_malformed_tags() {
    let good = format!(
        "object {}\ntype commit\ntag v\ntagger A <a> 1 +0000\n\nm\n",
        "c".repeat(40)
    );
    assert!(parse_tag(good.as_bytes()).is_ok());
    for (from, to) in [
        ("object", "tree"),
        ("object c", "object C"),
        ("type commit", "type Commit"),
        ("type commit\n", ""),
        ("tag v\n", ""),
        ("tag v", "tag "),
        ("tag v", "tag v\n w"),
        ("tagger A <a> 1", "tagger A <a> x"),
        ("tagger A <a> 1 +0000", "tagger A"),
        ("\n\n", "\ntagger A <a> 1 +0000\n\n"),
        ("\n\n", "\ntag w\n\n"),
        ("\n\n", "\ngpgsig x\n\n"),
        ("\n\n", "\ngpgsig-sha256 x\n\n"),
        ("\n\n", "\nx \0\n\n"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        let err = parse_tag(bad.as_bytes()).unwrap_err();
        assert_eq!(err.code(), "object-malformed", "{bad}");
    }
}

#[test]
fn refuses_malformed_push_certificates() {
    let id = "d".repeat(40);
    let good = format!(
        "certificate version 0.1\npusher Some One <a@b> 1 +0000\npushee u\nnonce n\n\n\
         {id} {id} refs/heads/main\n"
    );
    let fields = parse_push_certificate(good.as_bytes()).unwrap();
    assert_eq!(fields.pusher(), b"Some One <a@b>");
    assert_eq!(fields.pushed_at(), UnixTime::from_secs(1));
    for (from, to) in [
        ("0.1", "0.2"),
        ("0.1", "0.1\n x"),
        ("pusher Some", "pushed Some"),
        ("1 +0000", "+0000"),
        ("1 +0000", "1"),
        ("nonce n", "nonce n\nnonce m"),
        ("pushee u", "pushee u\npushee v"),
        ("nonce n", "unknown n"),
        ("nonce n", "nonce n\n o"),
        (" refs/heads/main\n", "\n"),
        (" refs/heads/main\n", " \n"),
        (" refs/heads/main\n", " refs/heads/main"),
        (" refs/heads/main\n", " refs/heads/a b\n"),
        (" refs/heads/main\n", " refs/heads/main\n\n"),
        (
            " refs/heads/main\n",
            &format!(" refs/heads/main\n{id} {} r\n", "d".repeat(64)),
        ),
        (&format!("{id} {id} refs/heads/main\n"), ""),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        let err = parse_push_certificate(bad.as_bytes()).unwrap_err();
        assert_eq!(err.code(), "object-malformed", "{bad}");
    }
}

/// With such a message git stores a tag that passes for unsigned, and says nothing.
#[test]
fn does_not_let_a_tag_be_signed_whose_signature_would_be_lost() {
    let watched = Watched::new(HashKind::Sha1);
    let repository = &watched.repository;
    repository.commit("base", "1");
    let message = ["--cleanup=verbatim", "-m", "no line feed"];
    repository.git_ok(&[&["tag", "-s"], &message[..], &["v1"]].concat());
    let signed = fs::read(watched.file("signed")).unwrap();
    let raw = repository.read_object("tag", "v1");
    let ours = split_tag(&raw, HashKind::Sha1).unwrap();
    assert_eq!((ours.payload(), ours.signature()), (&raw[..], None));
    assert!(parse_tag(&signed).is_ok());
    assert_eq!(classify(&signed), Err(ObjectError::UnfinishedLine));
}

/// What a caller could want to have signed under the name of a commit.
#[test]
fn classifies_nothing_else() {
    for payload in [
        &b""[..],
        b"tree",
        b"tree \n",
        b"hello",
        b"SSHSIG\0",
        b"DSSEv1 1 a 1 b",
        b"\x31\x69\x30\x18",
        b"certificate version 0.1\n",
        b"object x\n",
        b" tree a",
        b"blob 3\0abc",
        b"commit 10\0tree aaaa",
    ] {
        let err = classify(payload).unwrap_err();
        assert_eq!(err.code(), "object-malformed", "{}", text(payload));
    }
}
