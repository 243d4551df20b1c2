//! Signatures with the certificates of a company, beside the openssl that makes them.

use std::fs;

use notme_core::{armor::armor, time::UnixTime};
use notme_testkit::{
    commit::{CommitSpec, with_signature},
    repository::run,
};

use crate::world::{World, told};

/// A company whose root the trust store has; its keys and certificates are in `$HOME`.
const COMPANY: &str = r#"
set -e
cd "$HOME"
printf '[req]\ndistinguished_name=name\n[name]\n' > openssl.cnf
openssl ecparam -name prime256v1 -genkey -noout -out root.key
openssl req -config openssl.cnf -x509 -key root.key -out root.pem -subj /CN=root -days 30 \
    -addext keyUsage=critical,keyCertSign -addext basicConstraints=critical,CA:true
notme trust add --name corp --x509 root.pem
"#;

/// `certify ISSUER NAME EXTENSIONS OPTIONS...`: with the key of NAME, or a new one.
const CERTIFY: &str = r#"
set -e
cd "$HOME"
export OPENSSL_CONF="$HOME/openssl.cnf"
certify() {
    by=$1 name=$2
    printf "$3" > "$name.ext"
    shift 3
    test -f "$name.key" || openssl ecparam -name prime256v1 -genkey -noout -out "$name.key"
    openssl req -new -key "$name.key" -out "$name.csr" -subj "/CN=$name"
    openssl x509 -req -in "$name.csr" -CA "$by.pem" -CAkey "$by.key" -CAcreateserial -days 30 \
        -extfile "$name.ext" -out "$name.pem" "$@"
    openssl x509 -in "$name.pem" -outform DER -out "$name.der"
}
LEAF='keyUsage=critical,digitalSignature\nextendedKeyUsage=emailProtection\nsubjectAltName=email:carol@corp.example\n'
"#;

/// `dated ISSUER NAME FROM UNTIL EXTENSIONS [AS]`: in any time, written to `AS.pem` where the name has
/// another certificate already; an ISSUER `-` is NAME itself.
const DATED: &str = r#"
cat > ca.cnf <<'END'
[ca]
default_ca=d
[d]
database=index
serial=serial
new_certs_dir=.
default_md=sha256
policy=p
unique_subject=no
[p]
commonName=supplied
END
: > index
echo 01 > serial
dated() {
    by=$1 name=$2 from=$3 until=$4
    printf "$5" > "$name.ext"
    test -f "$name.key" || openssl ecparam -name prime256v1 -genkey -noout -out "$name.key"
    openssl req -new -key "$name.key" -out "$name.csr" -subj "/CN=$name"
    if test "$by" = -; then issuer="-selfsign -keyfile $name.key"
    else issuer="-cert $by.pem -keyfile ${by%-*}.key"; fi
    openssl ca -batch -notext -config ca.cnf $issuer -in "$name.csr" -out "${6:-$name}.pem" \
        -startdate "$from"0101000000Z -enddate "$until"0101000000Z -extfile "$name.ext"
}
CA='basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign\n'
"#;

pub(crate) fn company() -> World {
    let world = World::new();
    shell(&world, COMPANY);
    world
}

pub(crate) fn shell(world: &World, script: &str) {
    let made = run(&mut world.shell(script), b"");
    assert!(made.status.success(), "{}", told(&made));
}

pub(crate) fn certify(world: &World, script: &str) {
    shell(world, &format!("{CERTIFY}{script}"));
}

fn now() -> UnixTime {
    std::time::SystemTime::now().into()
}

fn payload_of(world: &World, at: UnixTime) -> Vec<u8> {
    CommitSpec {
        at,
        ..CommitSpec::new(&world.empty_tree())
    }
    .payload()
}

/// Has openssl sign with the certificate of `name` and its key.
fn sign(world: &World, name: &str, options: &str, payload: &[u8]) -> Vec<u8> {
    let script = format!(
        "cd \"$HOME\" && openssl cms -sign -binary -nosmimecap -md sha256 -outform DER -signer {name}.pem -inkey {name}.key {options}"
    );
    let signed = run(&mut world.shell(&script), payload);
    assert!(signed.status.success(), "{}", told(&signed));
    signed.stdout
}

fn store(world: &World, payload: &[u8], cms: &[u8]) -> String {
    world.store(&with_signature(payload, "gpgsig", &armor(cms)))
}

pub(crate) fn commit(world: &World, name: &str, options: &str) -> String {
    commit_of(world, now(), name, options)
}

fn commit_of(world: &World, at: UnixTime, name: &str, options: &str) -> String {
    let payload = payload_of(world, at);
    let cms = sign(world, name, options, &payload);
    store(world, &payload, &cms)
}

/// Puts one run of bytes in the place of another of the same length, wherever it stands, but for
/// the last `kept` places.
fn replace(bytes: &mut [u8], from: &[u8], to: &[u8], kept: usize) {
    assert_eq!(from.len(), to.len());
    let found = bytes.windows(from.len()).enumerate();
    let mut found: Vec<_> = found.filter(|(_, it)| *it == from).map(|it| it.0).collect();
    found.truncate(found.len() - kept);
    assert!(!found.is_empty());
    for at in found {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
}

/// One key may have several certificates. The message carries one, and names it, unsigned; CAdES
/// names it signed, too.
#[test]
fn a_signature_that_names_its_certificate_is_by_no_other() {
    let world = company();
    let role = |role: &str, serial: &str| {
        format!(
            "certify root {role} \"$(echo \"$LEAF\" | sed s/carol/role{role}/)\" -set_serial 0x{serial}\n"
        )
    };
    let (serial_a, serial_b) = (
        [0x11, 0x22, 0x33, 0x44, 0x55],
        [0x11, 0x22, 0x33, 0x44, 0x66],
    );
    let script = [
        role("A", "1122334455"),
        "cp A.key B.key\n".to_owned(),
        // One takes the other's place: an ECDSA signature has now and then a byte less.
        "until test \"$(wc -c <A.der)\" = \"$(wc -c 2>/dev/null <B.der)\"; do\n".to_owned(),
        role("B", "1122334466"),
        "done\n".to_owned(),
    ];
    certify(&world, &script.concat());
    let read = |name: &str| fs::read(world.home().join(name)).unwrap();
    let (a, b) = (read("A.der"), read("B.der"));
    let payload = payload_of(&world, now());
    // How often the serial number is in what was signed.
    for (options, named, expected) in [("", 0, "accepted"), ("-cades", 1, "signature-invalid")] {
        let mut cms = sign(&world, "A", options, &payload);
        let honest = store(&world, &payload, &cms);
        assert_eq!(world.code(&honest, &[]), "accepted", "{options}");
        replace(&mut cms, &a, &b, 0);
        replace(&mut cms, &serial_a, &serial_b, named);
        let code = world.code(&store(&world, &payload, &cms), &[]);
        assert_eq!(code, expected, "{options}");
    }
}

/// Returns the code of the only object's verdict, and what people are told, in one line.
fn refusal(world: &World, revision: &str) -> (String, String) {
    let told = String::from_utf8(world.notme(&["verify", revision]).stdout).unwrap();
    let told: Vec<_> = told.split_whitespace().collect();
    (world.code(revision, &[]), told.join(" "))
}

#[test]
fn a_certificate_signed_with_sha1_is_weak_wherever_it_is_in_the_chain() {
    let world = company();
    certify(
        &world,
        r#"
CA='basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign\n'
certify root weak "$LEAF" -sha1
certify root middle "$CA"
certify middle below "$LEAF" -sha1
certify root weakened "$CA" -sha1
certify weakened good "$LEAF"
openssl req -x509 -key root.key -out stranger.pem -subj /CN=stranger -days 30
cp root.key stranger.key
certify stranger elsewhere "$LEAF" -sha1
"#,
    );
    for (name, options, expected) in [
        ("weak", "", "algorithm-weak"),
        ("below", "-certfile middle.pem", "algorithm-weak"),
        ("good", "-certfile weakened.pem", "algorithm-weak"),
        // Whoever issued it is nobody whom the trust store knows.
        ("elsewhere", "", "signer-untrusted"),
    ] {
        let (code, detail) = refusal(&world, &commit(&world, name, options));
        assert_eq!(code, expected, "{name}");
        let is_told = detail.contains("SHA-1");
        assert_eq!(is_told, expected == "algorithm-weak", "{name}: {detail}");
    }
}

#[test]
fn why_a_certificate_cannot_be_read_is_told() {
    let world = company();
    certify(
        &world,
        r#"
openssl ecparam -name secp521r1 -genkey -noout -out p521.key
openssl genrsa -out short.key 1024
for name in p521 short; do certify root $name "$LEAF"; done
"#,
    );
    for (name, expected, why) in [
        (
            "p521",
            "algorithm-unsupported",
            "none of Ed25519, P-256, P-384 and RSA",
        ),
        ("short", "certificate-invalid", "2048"),
    ] {
        let (code, detail) = refusal(&world, &commit(&world, name, ""));
        assert_eq!(code, expected, "{name}");
        assert!(detail.contains(why), "{name}: {detail}");
    }
}

/// RFC 5280 section 4.2.1.12.
#[test]
fn an_issuer_for_any_use_is_for_this_one() {
    let world = company();
    certify(
        &world,
        r#"
CA='basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign\nextendedKeyUsage='
certify root any "${CA}anyExtendedKeyUsage\n"
certify any below-any "$LEAF"
certify root tls "${CA}serverAuth\n"
certify tls below-tls "$LEAF"
certify root all "$(echo "$LEAF" | sed s/emailProtection/anyExtendedKeyUsage/)"
"#,
    );
    for (name, options, expected) in [
        ("below-any", "-certfile any.pem", "accepted"),
        ("below-tls", "-certfile tls.pem", "certificate-invalid"),
        // RFC 5280 leaves it to us to ask a signer's own for one of the uses by name.
        ("all", "", "certificate-invalid"),
    ] {
        let commit = commit(&world, name, options);
        assert_eq!(world.code(&commit, &[]), expected, "{name}");
    }
}

/// The kept key of an ended certificate signs under an old date, and openssl writes the real one.
#[test]
fn a_signature_that_calls_itself_younger_than_its_certificate_is_refused() {
    let world = company();
    let script = r#"
dated - kept 2020 2099 "$CA"
dated kept ended 2024 2025 "$LEAF"
dated kept good 2024 2099 "$LEAF"
notme trust add --name kept --x509 kept.pem
"#;
    certify(&world, &[DATED, script].concat());
    let (code, told) = refusal(&world, &commit_of(&world, IN_2024, "ended", ""));
    assert_eq!(code, "certificate-expired");
    assert!(told.contains("made at 20"), "{told}");
    let good = commit_of(&world, IN_2024, "good", "");
    let (_, report) = world.verdicts(&[&good]);
    assert_eq!(report["objects"][0]["verdict"], "accepted", "{report}");
    let made = report["objects"][0]["signing_time"].as_str().unwrap();
    let explained = String::from_utf8(world.notme(&["explain", &good]).stdout).unwrap();
    let explained: Vec<_> = explained.split_whitespace().collect();
    let said = format!("The signature says that it was made at {made}.");
    assert!(explained.join(" ").contains(&said), "{explained:?}");
}

/// As `openssl verify` does it.
#[test]
fn a_company_may_renew_the_certificates_of_its_keys() {
    let world = company();
    let script = r#"
dated - corp 2020 2025 "$CA"
dated - corp 2024 2099 "$CA" corp-new
dated corp-new int 2024 2025 "$CA"
dated corp-new int 2024 2099 "$CA" int-new
dated int-new dave 2024 2099 "$LEAF"
cat int.pem int-new.pem >bag-a.pem
cat int-new.pem int.pem >bag-b.pem
cat corp.pem corp-new.pem >corp-a.pem
cat corp-new.pem corp.pem >corp-b.pem
"#;
    certify(&world, &[DATED, script].concat());
    for store in ["corp-a", "corp-b"] {
        shell(
            &world,
            &format!("cd \"$HOME\" && notme trust add --name renewed --x509 {store}.pem"),
        );
        for bag in ["bag-a", "bag-b"] {
            let commit = commit(&world, "dave", &format!("-certfile {bag}.pem"));
            // Once looked at, and once remembered.
            for _ in 0..2 {
                assert_eq!(world.code(&commit, &[]), "accepted", "{store}, {bag}");
            }
        }
        shell(&world, "notme trust remove renewed");
    }
}

const IN_2024: UnixTime = UnixTime::from_secs(1_720_000_000);
