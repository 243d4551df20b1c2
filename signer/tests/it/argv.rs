use std::ffi::{OsStr, OsString};

use notme_signer::{
    ArgvError, Command, Data, Encoding, Sign, StatusFd, Verify, is_gpg_shaped, parse,
};

fn parsed(line: &str) -> Result<Command, ArgvError> {
    parse(
        line.split(' ')
            .filter(|word| !word.is_empty())
            .map(OsString::from),
    )
}

fn signing(line: &str) -> Sign {
    match parsed(line) {
        Ok(Command::Sign(sign)) => sign,
        other => panic!("{line}: {other:?}"),
    }
}

fn verifying(line: &str) -> Verify {
    match parsed(line) {
        Ok(Command::Verify(verify)) => verify,
        other => panic!("{line}: {other:?}"),
    }
}

fn number(fd: Option<StatusFd>) -> Option<u32> {
    fd.map(StatusFd::number)
}

#[test]
fn reads_every_spelling_of_signing() {
    for line in [
        "--status-fd=2 -bsau KEY",
        "--status-fd 2 -bsau KEY",
        "--status-fd=2 -bsauKEY",
        "--status-fd=2 -b -s -a -u KEY",
        "-sab -uKEY --status-fd 2",
        "-asbu KEY --status-fd=2 --keyid-format=long",
        "--detach-sign --armor --sign --local-user KEY --status-fd 2",
        "--detach-sign --armor --local-user=KEY --status-fd=2",
        "--armour --detach-sign -u KEY --status-fd=2 -",
        "--batch --no-tty --yes -q -v --quiet --verbose --status-fd=2 -bsau KEY",
        "--keyid-format long --status-fd=2 -ba -u KEY --",
        "--status-fd=1 --status-fd=2 -bsau KEY -- -",
    ] {
        let sign = signing(line);
        assert_eq!(sign.key.as_deref(), Some(OsStr::new("KEY")), "{line}");
        assert_eq!(sign.encoding, Encoding::Armor, "{line}");
        assert_eq!(number(sign.status_fd), Some(2), "{line}");
    }
}

#[test]
fn reads_keys_as_they_are() {
    let key = |line: [&str; 2]| match parse(line.map(OsString::from)) {
        Ok(Command::Sign(sign)) => sign.key.unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(key(["-bsau", ""]), "");
    assert_eq!(
        key(["-bsau", "Name <name@example.invalid>"]),
        "Name <name@example.invalid>"
    );
    assert_eq!(key(["-bsau", "--detach-sign"]), "--detach-sign");
    assert_eq!(key(["-bs", "--local-user=a=b"]), "a=b");
    assert_eq!(key(["-bs", "--local-user="]), "");
}

#[test]
fn signs_without_armor_key_or_status_when_none_is_asked_for() {
    let sign = signing("-b");
    assert_eq!(sign, signing("--detach-sign"));
    assert_eq!(
        (sign.key, sign.encoding, sign.status_fd),
        (None, Encoding::Der, None)
    );
}

#[test]
fn reads_every_spelling_of_verifying() {
    for line in [
        "--status-fd=1 --verify FILE -",
        "--keyid-format=long --status-fd=1 --verify FILE -",
        "--status-fd 1 --keyid-format long --verify FILE -",
        "--verify --status-fd=1 FILE -",
        "--verify FILE - --status-fd=1",
        "--batch --status-fd=1 --verify -- FILE -",
    ] {
        let verify = verifying(line);
        assert_eq!(verify.signature.to_str(), Some("FILE"), "{line}");
        assert_eq!(verify.data, Data::Stdin, "{line}");
        assert_eq!(number(verify.status_fd), Some(1), "{line}");
    }
    let verify = verifying("--verify FILE DATAFILE");
    assert_eq!(verify.data, Data::File("DATAFILE".into()));
    assert_eq!(number(verify.status_fd), None);
    assert_eq!(verifying("--verify -- -x -").signature.to_str(), Some("-x"));
}

#[test]
fn answers_version_and_help_whatever_else_is_there() {
    assert_eq!(parsed("--version"), Ok(Command::Version));
    assert_eq!(parsed("--help"), Ok(Command::Help));
    assert_eq!(parsed("-h"), Ok(Command::Help));
    assert_eq!(parsed("--batch --version"), Ok(Command::Version));
}

#[test]
fn refuses_options_it_does_not_have() {
    for (line, option) in [
        ("-bsau KEY --digest-algo SHA1", "--digest-algo"),
        ("--list-keys", "--list-keys"),
        ("-k", "-k"),
        ("-bskau KEY", "-k"),
        ("--sig", "--sig"),
        ("--output=x -bsau KEY", "--output"),
        ("-bsao x", "-o"),
    ] {
        let option = option.to_owned();
        assert_eq!(
            parsed(line),
            Err(ArgvError::UnknownOption { option }),
            "{line}"
        );
    }
}

#[test]
fn refuses_values_that_are_missing_wrong_or_too_many() {
    let missing = |option: &str| {
        let option = option.to_owned();
        Err(ArgvError::MissingValue { option })
    };
    assert_eq!(parsed("-bsau"), missing("-u"));
    assert_eq!(parsed("-bs --local-user"), missing("--local-user"));
    assert_eq!(parsed("-bsau KEY --status-fd"), missing("--status-fd"));
    for fd in ["x", "-1", "+1", "", "1x", "4294967296", "0x1"] {
        assert_eq!(
            parsed(&format!("-bsau KEY --status-fd={fd}")),
            Err(ArgvError::StatusFd),
            "{fd}"
        );
    }
    let option = "--armor".to_owned();
    assert_eq!(
        parsed("-b --armor=yes"),
        Err(ArgvError::UnexpectedValue { option })
    );
    assert_eq!(parsed("-bsau ONE -u TWO"), Err(ArgvError::SeveralKeys));
}

#[test]
fn refuses_to_guess_what_is_wanted() {
    assert_eq!(parsed(""), Err(ArgvError::Command));
    assert_eq!(parsed("-a -u KEY"), Err(ArgvError::Command));
    assert_eq!(parsed("-bsau KEY --verify FILE -"), Err(ArgvError::Command));
    assert_eq!(parsed("-sau KEY"), Err(ArgvError::NotDetached));
    for line in [
        "-bsau KEY FILE",
        "-bsau KEY - -",
        "--verify",
        "--verify FILE",
        "--verify - -",
        "--verify FILE - MORE",
    ] {
        assert!(
            matches!(parsed(line), Err(ArgvError::Operands { .. })),
            "{line}"
        );
    }
}

#[test]
fn tells_calls_for_gpgsm_from_our_own() {
    for first in [
        "--status-fd=2",
        "--status-fd",
        "--keyid-format=long",
        "-bsau",
        "-b",
        "-uKEY",
        "--verify",
        "--detach-sign",
        "--batch",
    ] {
        assert!(is_gpg_shaped(OsStr::new(first)), "{first}");
    }
    for first in [
        "verify",
        "--version",
        "--help",
        "-h",
        "-V",
        "-q",
        "--json",
        "-",
        "--",
        "",
    ] {
        assert!(!is_gpg_shaped(OsStr::new(first)), "{first}");
    }
}
