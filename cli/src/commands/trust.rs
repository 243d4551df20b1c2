//! `notme trust`: pinned authorities.

mod openpgp;
mod ssh;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use notme_agent::{AuthorityAddress, AuthorityUrl, Document, HISTORY_MAX};
use notme_attest::trusted_root::TrustedRoot as SigstoreRoot;
use notme_core::{
    certificate::Certificate,
    dsse::Envelope,
    hex,
    rekor::LogKey,
    time::UnixTime,
    trust::{Revocation, TrustDocument, TrustError, Trusted},
};
use notme_verifier::{
    Code,
    load::{PemKind, Refreshed, TrustStore, TrustStoreError},
    report::escape,
    trust::{self, Authority, Fault, PinKind, WHOLE_STORE},
    verdict::Class,
};

use crate::{
    arguments::{Json, Trust, TrustAdd, TrustExport, TrustRefresh},
    commands::{
        init::{EMBEDDED, start_embedded},
        print_json,
    },
    failure::{Exit, Failure, Outcome, read_file},
    home::Home,
    judging::{now, store},
};

/// The longest trust document or bundle.
const DOCUMENT_MAX: u64 = 4 * 1024 * 1024;

pub(crate) fn run(home: &Home, command: &Trust) -> Outcome {
    match command {
        Trust::Add(arguments) => add(home, arguments),
        Trust::Show(arguments) => show(home, arguments),
        Trust::Export(arguments) => export(home, arguments),
        Trust::Refresh(arguments) => refresh(home, arguments),
        Trust::Remove { name } => {
            store(home, None).remove(name).map_err(store_failure)?;
            writeln!(io::stdout(), "authority `{name}` is no longer trusted")?;
            Ok(Exit::Yes)
        }
    }
}

/// Pins an authority by its trust document, or brings a pinned one up to date.
///
/// # Errors
/// [`Failure`] when the document is refused.
pub(crate) fn pin_or_refresh(
    home: &Home,
    name: &str,
    document: &[u8],
    pins: &[[u8; 32]],
) -> Result<(), Failure> {
    let store = store(home, None);
    if store.contains(name) {
        store
            .refresh(name, document, &[], now())
            .map_err(store_failure)?;
    } else {
        store
            .add_document(name, document, pins, now())
            .map_err(add_failure)?;
    }
    update_allowed_signers(home)
}

/// Pins an authority by the certificates of its roots; one that is pinned already stays as it is.
///
/// # Errors
/// [`Failure`] when a certificate is not pinned.
pub(crate) fn pin_bundle(
    home: &Home,
    name: &str,
    bundle: &str,
    pins: &[[u8; 32]],
) -> Result<(), Failure> {
    let store = store(home, None);
    if !store.contains(name) {
        store
            .add_pem(name, bundle, PemKind::Notme, pins)
            .map_err(add_failure)?;
    }
    Ok(())
}

/// Writes what git was pointed at anew, where `notme init` did point it at something.
fn update_allowed_signers(home: &Home) -> Result<(), Failure> {
    let file = home.allowed_signers();
    if file.exists() {
        fs::write(file, allowed_signers(home))?;
    }
    Ok(())
}

/// Reads pins as people type them.
///
/// # Errors
/// A wrong call when one is no SHA-256.
pub(crate) fn parse_pins(pins: &[String]) -> Result<Vec<[u8; 32]>, Failure> {
    pins.iter()
        .map(|pin| {
            let digest = pin
                .strip_prefix("sha256:")
                .unwrap_or(pin)
                .to_ascii_lowercase();
            hex::decode_array(&digest).ok_or_else(|| {
                Failure::usage(format!("`{pin}` is not a SHA-256 of 64 hexadecimal digits"))
            })
        })
        .collect()
}

/// Refuses to trust what nobody vouched for, and shows what to compare.
pub(crate) fn pin_wanted(document: &[u8]) -> Failure {
    let failure = Failure::usage("an authority is pinned by the key that its operator told you");
    let Some(document) = unverified(document) else {
        return failure.hint("pass it as `--pin SHA256`");
    };
    let pins: Vec<String> = document
        .issuing_roots()
        .map(|root| {
            format!(
                "--pin {}",
                hex::encode(&root.certificate.public_key().spki_sha256())
            )
        })
        .collect();
    failure.hint(format!(
        "it shows these keys; pass them once the operator has confirmed them:\n  {}",
        pins.join("\n  ")
    ))
}

/// Names an authority after its host.
pub(crate) fn name_of(url: &AuthorityUrl) -> String {
    let rest = url
        .as_str()
        .split_once("://")
        .map_or(url.as_str(), |(_, rest)| rest);
    rest.split('/')
        .next()
        .unwrap_or_default()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' || c == '-' {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect()
}

fn add(home: &Home, arguments: &TrustAdd) -> Outcome {
    let pins = parse_pins(&arguments.pin)?;
    let store = store(home, None);
    if arguments.openpgp {
        let keys = read_file(Path::new(&arguments.source), DOCUMENT_MAX)?;
        let added = store.add_openpgp(&arguments.name, &keys);
        let (authority, passed_over) = added.map_err(add_failure)?;
        print_authority(&mut io::stdout().lock(), &authority)?;
        print_passed_over(&passed_over)?;
        return Ok(Exit::Yes);
    }
    if arguments.allowed_signers {
        let text = read_file(Path::new(&arguments.source), DOCUMENT_MAX)?;
        let authority = store.add_allowed_signers(&arguments.name, &text);
        print_authority(&mut io::stdout().lock(), &authority.map_err(add_failure)?)?;
        return Ok(Exit::Yes);
    }
    if arguments.sigstore {
        let json = read_file(Path::new(&arguments.source), DOCUMENT_MAX)?;
        let added = store.add_sigstore(&arguments.name, &json);
        let (authority, passed_over) = added.map_err(add_failure)?;
        print_authority(&mut io::stdout().lock(), &authority)?;
        print_passed_over(&passed_over)?;
        writeln!(
            io::stderr(),
            "hint: it certifies everybody, so a policy has to say who may sign: `identities` and `issuers`"
        )?;
        return Ok(Exit::Yes);
    }
    let authority = match read_source(arguments)? {
        Source::Pem(_) if pins.is_empty() && arguments.source.parse::<AuthorityUrl>().is_ok() => {
            return Err(pin_wanted(&[]));
        }
        Source::Pem(pem) => {
            let kind = if arguments.x509 {
                PemKind::X509
            } else {
                PemKind::Notme
            };
            store.add_pem(&arguments.name, &pem, kind, &pins)
        }
        Source::Document(document) if pins.is_empty() => return Err(pin_wanted(&document)),
        Source::Document(document) => store.add_document(&arguments.name, &document, &pins, now()),
    }
    .map_err(add_failure)?;
    print_authority(&mut io::stdout().lock(), &authority)?;
    if authority.kind() == PinKind::Pem {
        writeln!(
            io::stderr(),
            "hint: certificates never say what was revoked, as a trust document does"
        )?;
    }
    Ok(Exit::Yes)
}

fn print_passed_over(passed_over: &[String]) -> io::Result<()> {
    for what in passed_over {
        writeln!(io::stderr(), "hint: {} and was left out", escape(what))?;
    }
    Ok(())
}

/// What an authority can be pinned by.
enum Source {
    /// Certificates of its roots.
    Pem(String),
    /// Its signed trust document.
    Document(Vec<u8>),
}

/// Reads a file, or asks an authority. What an authority answers with is never guessed: who gets
/// to choose the weaker form gets to choose the trust.
fn read_source(arguments: &TrustAdd) -> Result<Source, Failure> {
    let Ok(url) = arguments.source.parse::<AuthorityUrl>() else {
        let bytes = read_file(Path::new(&arguments.source), DOCUMENT_MAX)?;
        if arguments.x509 {
            return Ok(Source::Pem(match Certificate::from_der(&bytes) {
                Ok(root) => root.pem(),
                Err(_) => String::from_utf8_lossy(&bytes).into_owned(),
            }));
        }
        return Ok(match String::from_utf8(bytes) {
            Ok(text) if text.contains("-----BEGIN CERTIFICATE-----") => {
                // Both have the keys that the pins name, and whoever brings the file chose.
                if !arguments.pin.is_empty() && !arguments.pem {
                    let failure = format!(
                        "`{}` holds certificates and no trust document: they never say what was revoked",
                        arguments.source
                    );
                    return Err(Failure::usage(failure)
                        .hint("if certificates are what the authority gave you: `--pem`"));
                }
                Source::Pem(text)
            }
            Ok(text) => Source::Document(text.into_bytes()),
            Err(other) => Source::Document(other.into_bytes()),
        });
    };
    let fetch = |document| notme_agent::fetch(&url, arguments.ca_file.clone(), document);
    if arguments.pem {
        let pem = fetch(Document::WellKnownCaBundle)?;
        return Ok(Source::Pem(String::from_utf8(pem)?));
    }
    Ok(Source::Document(fetch(Document::Trust)?))
}

fn show(home: &Home, arguments: &Json) -> Outcome {
    let trust = store(home, None).load(now());
    if arguments.json {
        let authorities: Vec<_> = trust.authorities().iter().map(describe).collect();
        let faults = trust.faults();
        return print_json(&serde_json::json!({"authorities": authorities, "faults": faults}));
    }
    let mut out = io::stdout().lock();
    for authority in trust.authorities() {
        print_authority(&mut out, authority)?;
    }
    for fault in trust.faults() {
        writeln!(
            out,
            "{}: {}: {}",
            fault.name,
            fault.code.as_str(),
            fault.message
        )?;
    }
    if trust.is_empty() {
        writeln!(out, "no authority is trusted")?;
    }
    Ok(if trust.faults().is_empty() {
        Exit::Yes
    } else {
        Exit::Undecided
    })
}

fn describe(authority: &Authority) -> serde_json::Value {
    let roots: Vec<_> = authority
        .roots()
        .iter()
        .map(|root| {
            let key = root.value.public_key();
            serde_json::json!({
                "kid": key.kid(),
                "algorithm": key.algorithm(),
                "spki_sha256": hex::encode(&key.spki_sha256()),
                "subject": root.value.subject_text(),
                "from": root.from.to_string(),
                "retired_at": root.retired_at.map(|at| at.to_string()),
            })
        })
        .collect();
    serde_json::json!({
        "name": authority.name(),
        "kind": authority.kind().as_str(),
        "scopes": authority.scopes(),
        "url": authority.document().map(|facts| &facts.url),
        "trust_domain": authority.document().map(|facts| &facts.trust_domain),
        "seqno": authority.document().map(|facts| facts.seqno),
        "expires_at": authority.document().map(|facts| facts.expires_at.to_string()),
        "roots": roots,
        "logs": authority.logs().iter().map(describe_log).collect::<Vec<_>>(),
        "tsa": authority.tsa().iter().map(|tsa| describe_tsa(authority, tsa)).collect::<Vec<_>>(),
        "openpgp": openpgp::describe(authority),
        "ssh": ssh::describe(authority),
        "revocations": authority.revocations().iter().map(describe_revocation).collect::<Vec<_>>(),
    })
}

fn describe_tsa(authority: &Authority, tsa: &Trusted<Certificate>) -> serde_json::Value {
    let key = tsa.value.public_key();
    serde_json::json!({
        "kid": key.kid(),
        "algorithm": key.algorithm(),
        "from": tsa.from.to_string(),
        "retired_at": tsa.retired_at.map(|at| at.to_string()),
        "revoked": authority.revokes(&tsa.value),
    })
}

fn describe_revocation(revocation: &Revocation) -> serde_json::Value {
    serde_json::json!({
        "kind": revocation.kind.as_str(),
        "value": revocation.value,
        "since": revocation.since.to_string(),
        "reason": revocation.reason,
    })
}

fn describe_log(log: &Trusted<LogKey>) -> serde_json::Value {
    serde_json::json!({
        "kid": log.value.public_key().kid(),
        "log_id": hex::encode(&log.value.log_id()),
        "from": log.from.to_string(),
        "retired_at": log.retired_at.map(|at| at.to_string()),
    })
}

fn print_authority(out: &mut impl Write, authority: &Authority) -> io::Result<()> {
    writeln!(out, "{} ({})", authority.name(), authority.kind().as_str())?;
    if let Some(facts) = authority.document() {
        writeln!(out, "  url      {}", escape(&facts.url))?;
        writeln!(out, "  document {} of {}", facts.seqno, facts.issued_at)?;
    }
    for root in authority.roots() {
        let key = root.value.public_key();
        let window = window(authority, root.from, root.retired_at);
        writeln!(
            out,
            "  root     {} {}{window}",
            key.algorithm().as_str(),
            key.kid()
        )?;
        writeln!(out, "    pin    {}", hex::encode(&key.spki_sha256()))?;
    }
    for tsa in authority.tsa() {
        let key = tsa.value.public_key();
        let window = window(authority, tsa.from, tsa.retired_at);
        let algorithm = key.algorithm().as_str();
        let revoked = match authority.revokes(&tsa.value) {
            true => ", revoked",
            false => "",
        };
        writeln!(out, "  stamps   {algorithm} {}{window}{revoked}", key.kid())?;
    }
    for log in authority.logs() {
        let window = window(authority, log.from, log.retired_at);
        writeln!(
            out,
            "  log      {}{window}",
            hex::encode(&log.value.log_id())
        )?;
    }
    openpgp::print(out, authority)?;
    ssh::print(out, authority)?;
    for revocation in authority.revocations() {
        let (kind, since) = (revocation.kind.as_str(), revocation.since);
        let (value, reason) = (escape(&revocation.value), escape(&revocation.reason));
        writeln!(out, "  revoked  {kind} {value} since {since}: {reason}")?;
    }
    Ok(())
}

/// Says of a key whether it is not in use yet, or not any more.
fn window(authority: &Authority, from: UnixTime, retired_at: Option<UnixTime>) -> String {
    match retired_at {
        Some(at) => format!(", retired {at}"),
        None if !authority.has_used(from) => ", prepared".to_owned(),
        None => String::new(),
    }
}

/// Returns the file of allowed signers that stands for everybody who is trusted.
pub(crate) fn allowed_signers(home: &Home) -> String {
    let trust = store(home, None).load(now());
    ssh::allowed_signers(trust.authorities().iter())
}

fn export(home: &Home, arguments: &TrustExport) -> Outcome {
    let store = store(home, None);
    let trust = store.load(now());
    let is_wanted = |name: &str| {
        let wanted = arguments.name.as_deref();
        // A store that cannot be read as a whole may have anybody in it.
        name == WHOLE_STORE || wanted.is_none_or(|wanted| wanted == name)
    };
    // What took back nobody knows what may have taken back whoever is wanted.
    let mut faults = trust.faults().iter();
    if let Some(fault) = faults.find(|it| is_wanted(&it.name) || it.keys.is_none()) {
        return Err(Failure::from(format!(
            "authority `{}` cannot be read: {}",
            fault.name, fault.message
        )));
    }
    let authorities = trust.authorities().iter();
    let authorities = authorities.filter(|it| is_wanted(it.name()));
    if arguments.document {
        let mut names = authorities
            .filter(|it| it.document().is_some())
            .map(Authority::name);
        return match (names.next(), names.next()) {
            (Some(name), None) => {
                let document = store.document(name).map_err(store_failure)?;
                io::stdout().write_all(&document)?;
                Ok(Exit::Yes)
            }
            (None, _) => Err(Failure::from(
                "no such authority is trusted by its trust document",
            )),
            (Some(_), Some(_)) => Err(Failure::usage("there are several trust documents")
                .hint("say of which authority: `--name NAME`")),
        };
    }
    if arguments.openpgp {
        return openpgp::export(authorities);
    }
    if arguments.allowed_signers {
        return ssh::export_allowed_signers(authorities);
    }
    if arguments.krl {
        return ssh::export_krl(authorities, now());
    }
    if arguments.sigstore {
        let mut instances = authorities
            .clone()
            .filter(|it| it.kind() == PinKind::Sigstore);
        if let (Some(name), Some(_)) = (&arguments.name, instances.next()) {
            let root = store.sigstore_root(name).map_err(store_failure)?;
            io::stdout().write_all(&root)?;
            return Ok(Exit::Yes);
        }
        let root = SigstoreRoot::of(authorities);
        if root.is_empty() {
            return Err(Failure::from("no trusted authority has X.509 roots"));
        }
        return print_json(&root);
    }
    // Whoever took the root of a Sigstore instance for that of a company would trust everybody.
    let pem: String = authorities
        .filter(|authority| authority.kind() != PinKind::Sigstore)
        .flat_map(|authority| {
            let used = |root: &&Trusted<Certificate>| authority.has_used(root.from);
            authority.roots().iter().filter(used)
        })
        .map(|root| Certificate::pem(&root.value))
        .collect();
    if pem.is_empty() {
        return Err(Failure::from("no such authority is trusted"));
    }
    write!(io::stdout(), "{pem}")?;
    Ok(Exit::Yes)
}

fn refresh(home: &Home, arguments: &TrustRefresh) -> Outcome {
    let store = store(home, None);
    if let (Some(name), Some(file)) = (&arguments.name, &arguments.from) {
        let signed = read_file(file, DOCUMENT_MAX)?;
        let refreshed = match store.refresh(name, &signed, &[], now()) {
            // The hosted notme says by a bundle, and by nothing else, which root is current.
            Err(TrustStoreError::NoDocument(_)) => return check_bundle(&store, name, &signed),
            refreshed => refreshed.map_err(store_failure)?,
        };
        update_allowed_signers(home)?;
        return tell(name, refreshed);
    }
    let trust = store.load(now());
    let mut exit = Exit::Yes;
    let is_wanted = |name: &str| {
        arguments
            .name
            .as_deref()
            .is_none_or(|wanted| wanted == name)
    };
    let mut found = false;
    for authority in trust.authorities() {
        let name = authority.name();
        if is_wanted(name) && authority.document().is_none() {
            let told = match authority.kind() {
                PinKind::OpenPgp | PinKind::AllowedSigners => {
                    format!("a list that you gave, nothing to fetch; {}", anew(name))
                }
                PinKind::TrustDocument | PinKind::Pem | PinKind::X509 | PinKind::Sigstore => {
                    "pinned by certificate, nothing to refresh".to_owned()
                }
            };
            writeln!(io::stdout(), "{name}: {told}")?;
            found = true;
        }
    }
    for fault in trust.faults().iter().filter(|it| !is_rolled_back(it)) {
        found |= is_wanted(&fault.name);
        writeln!(
            io::stderr(),
            "error: authority `{}`: {}",
            fault.name,
            fault.message
        )?;
        exit = Exit::Undecided;
    }
    for name in published(&trust).filter(|name| is_wanted(name)) {
        found = true;
        let facts = trust.authorities().iter().find(|it| it.name() == name);
        let issued_at = facts
            .and_then(|it| it.document())
            .map(|facts| facts.issued_at);
        let oldest = arguments.max_age.map(|age| now().plus(-i64::from(age)));
        if oldest.is_some_and(|oldest| issued_at.is_some_and(|at| at >= oldest)) {
            writeln!(io::stdout(), "{name}: fresh enough")?;
            continue;
        }
        // One that is not there, or not to be believed, does not keep the others from it.
        match refresh_one(home, &store, name, arguments.ca_file.clone()) {
            Ok(refreshed) => drop(tell(name, refreshed)?),
            Err(failure) => {
                failure.report();
                exit = match (exit, failure.exit()) {
                    (Exit::No, _) | (_, Exit::No) => Exit::No,
                    (_, other) => other,
                };
            }
        }
    }
    update_allowed_signers(home)?;
    if !found && arguments.name.is_some() {
        return Err(Failure::usage("no such authority is trusted"));
    }
    Ok(exit)
}

/// Returns the authorities that publish a trust document to bring up to date.
fn published(trust: &trust::Trust) -> impl Iterator<Item = &str> {
    let authorities = trust.authorities().iter();
    let published = authorities.filter(|it| it.document().is_some());
    let rolled_back = trust.faults().iter().filter(|it| is_rolled_back(it));
    let rolled_back = rolled_back.map(|it| &*it.name);
    published.map(Authority::name).chain(rolled_back)
}

/// Tells whether all that is wrong is that a newer document was seen, to which this one gives way.
fn is_rolled_back(fault: &Fault) -> bool {
    fault.code == Code::BundleRollback
}

/// Fetches the newest document of an authority, and what it missed in between.
fn refresh_one(
    home: &Home,
    store: &TrustStore,
    name: &str,
    ca_file: Option<PathBuf>,
) -> Result<Refreshed, Failure> {
    let address = address(home, store, name)?;
    let document = notme_agent::fetch(address.clone(), ca_file.clone(), Document::Trust)?;
    let missed = store
        .missed(name, &document, now())
        .map_err(store_failure)?;
    let history = notme_agent::fetch_history(address, ca_file, missed)?;
    if history.is_none() {
        writeln!(
            io::stderr(),
            "note: {name}: the documents in between are not to be had, or more than {HISTORY_MAX}; whether they follow one another was not checked"
        )?;
    }
    store
        .refresh(name, &document, &history.unwrap_or_default(), now())
        .map_err(store_failure)
}

/// Brings every authority up to date before something is judged. One that cannot be asked is told
/// of, and known as before.
///
/// # Errors
/// [`Failure`] when what an authority answered is refused.
pub(crate) fn refresh_first(home: &Home) -> Result<(), Failure> {
    let store = store(home, None);
    let trust = store.load(now());
    for name in published(&trust) {
        match refresh_one(home, &store, name, None) {
            Err(failure) if failure.exit() == Exit::No => return Err(failure),
            Err(failure) => writeln!(
                io::stderr(),
                "note: authority `{name}` is known as before: {}",
                escape(&failure.to_string())
            )?,
            Ok(_) => {}
        }
    }
    update_allowed_signers(home)
}

fn check_bundle(store: &TrustStore, name: &str, signed: &[u8]) -> Outcome {
    let bundle = store.check_bundle(name, signed, now());
    let bundle = bundle.map_err(|error| match error {
        TrustStoreError::NoBundle(_) => Failure::usage(error).hint(anew(name)),
        error => store_failure(error),
    })?;
    writeln!(
        io::stdout(),
        "{name}: the pinned root is the current one, by bundle {}",
        bundle.seqno
    )?;
    Ok(Exit::Yes)
}

/// Says how to trust what says nothing of what came after it by another file.
fn anew(name: &str) -> String {
    format!("to trust a newer one: `notme trust remove {name}`, then `notme trust add` it")
}

fn tell(name: &str, refreshed: Refreshed) -> Outcome {
    match refreshed {
        Refreshed::Unchanged => writeln!(io::stdout(), "{name}: up to date")?,
        Refreshed::Updated { from, to } => {
            writeln!(io::stdout(), "{name}: document {from} became {to}")?
        }
    }
    Ok(Exit::Yes)
}

fn store_failure(error: TrustStoreError) -> Failure {
    if let TrustStoreError::TrustDomainTaken { .. } = error {
        return Failure::usage(error).hint(
            "it could give anybody's name to somebody else; your own authority, which has the host's name unless \
             you say another, is founded anew by `notme authority stop`, moving its directory away, and `notme \
             authority init --trust-domain NAME`, before `notme init`",
        );
    }
    if error.usage_code().is_some() {
        return Failure::usage(error).hint("`notme trust show` lists what is pinned");
    }
    let code = error.code();
    let hint = format!("{}: {}", code.as_str(), code.fix());
    let failure = match code.class() {
        Class::Rejected => Failure::no(error),
        Class::Undecided => Failure::from(error),
    };
    failure.hint(hint)
}

/// As [`store_failure`], where an authority was to be added: with a pin that does not fit, or from
/// what cannot be used, nothing was, so that there is nothing to remove.
fn add_failure(error: TrustStoreError) -> Failure {
    match error {
        TrustStoreError::PinNotMet(_) | TrustStoreError::Document(TrustError::NotPinned) => {
            let hint = "bundle-invalid: nothing was added; `--pin` is the key that the authority's operator told you";
            Failure::no(error).hint(hint)
        }
        TrustStoreError::Certificates(_)
        | TrustStoreError::Keys(_)
        | TrustStoreError::Signers(_)
        | TrustStoreError::NoSigners
        | TrustStoreError::SigstoreRoot(_) => {
            let hint = format!(
                "{}: nothing was added; look at the file that you named",
                error.code()
            );
            Failure::from(error).hint(hint)
        }
        _ => store_failure(error),
    }
}

/// Returns where an authority is reached: where its stored document says. What is found there is
/// believed for its signature alone.
fn address(home: &Home, store: &TrustStore, name: &str) -> Result<AuthorityAddress, Failure> {
    if name == EMBEDDED {
        return start_embedded(home);
    }
    let stored = store.document(name).map_err(store_failure)?;
    let document = unverified(&stored).ok_or("the stored trust document cannot be read")?;
    let url: AuthorityUrl = document.authority.parse()?;
    if url.is_embedded() {
        let error = format!("authority `{name}` is embedded elsewhere, so nobody can ask it");
        let hint = format!(
            "have its newest document (`notme trust export --document`) from whoever runs it: `notme trust refresh {name} --from FILE`"
        );
        return Err(Failure::from(error).hint(hint));
    }
    Ok(url.into())
}

/// Reads a trust document for what it says, whoever says it.
pub(crate) fn unverified(envelope: &[u8]) -> Option<TrustDocument> {
    let envelope = Envelope::from_json(envelope).ok()?;
    serde_json::from_slice(envelope.payload()).ok()
}
