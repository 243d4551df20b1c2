//! `notme authority`: run one, and look after it.

mod audit;

use std::{
    env,
    error::Error,
    fs,
    io::{self, Write},
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notme_agent::AuthorityUrl;
use notme_authority::{
    Admin, AdminError, EpochInfo, Founding, Lifetimes, Limits, Listen, LocalEnrolment, NewToken,
    OIDC_CONFIG_MAX, Observer, OidcConfig, Protection, RevocationReason, Revoked, Rotation,
    RotationError, Scopes, SealingKind, Secret, ServeConfig, Serving, Storage, SystemClock,
    TokenInfo,
};
use notme_core::{identity::Identity, trust::Revocation};
use notme_verifier::report::escape;
use rustix::{process::getuid, system::uname};

use crate::{
    arguments::{
        Authority, AuthorityInit, AuthorityPlace, AuthorityRevoke, AuthorityRotate, AuthorityServe,
        AuthorityStatus, Enrol, EnrolCreate, RevokedKind, RevokedReason, Sealing,
    },
    commands::{
        init::{EMBEDDED, trust_embedded},
        print_json,
    },
    failure::{Exit, Failure, Outcome, open_file, read_file},
    home::Home,
};

/// How long the embedded authority stays without being asked for anything.
const EMBEDDED_IDLE: Duration = Duration::from_secs(30 * 60);
/// How long the embedded authority's trust document holds, in seconds: a year. It runs only when
/// somebody signs, and its verifier is on the same machine.
const EMBEDDED_PUBLICATION: i64 = 365 * 86_400;
/// How long `stop` waits.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// How long a session enrolled with a token can be renewed, in seconds.
const SESSION_SECONDS: i64 = 24 * 3600;

pub(crate) fn run(home: &Home, command: &Authority) -> Outcome {
    match command {
        Authority::Init(arguments) => init(home, arguments),
        Authority::Serve(arguments) => serve(home, arguments),
        Authority::Stop(place) => stop(home, place),
        Authority::Status(arguments) => status(home, arguments),
        Authority::Enrol(Enrol::Create(arguments)) => create_token(home, arguments),
        Authority::Enrol(Enrol::List(arguments)) => list_tokens(home, arguments),
        Authority::Enrol(Enrol::Revoke { place, id }) => revoke_token(home, place, id),
        Authority::Revoke(arguments) => revoke(home, arguments),
        Authority::Revocations(arguments) => list_revocations(home, arguments),
        Authority::Rotate(arguments) => rotate(home, arguments),
        Authority::Audit(command) => audit::run(home, command),
        Authority::Bundle(place) => bundle(home, place),
    }
}

fn init(home: &Home, arguments: &AuthorityInit) -> Outcome {
    let directory = directory(home, &arguments.place);
    let founding = founding(arguments.trust_domain.clone());
    // Any name will do: what is tried is whether the trust domain can be part of an identity.
    Identity::agent(
        &founding.trust_domain,
        &founding.operator,
        &"agent".parse()?,
    )
    .map_err(|_| {
        Failure::usage(format!(
            "`{}` cannot be a trust domain",
            founding.trust_domain
        ))
    })?;
    let protection = protection(&arguments.sealing)?;
    let admin = notme_authority::init(&directory, &founding, &protection, Arc::new(SystemClock))?;
    describe(&directory, &admin)
}

fn serve(home: &Home, arguments: &AuthorityServe) -> Outcome {
    let mut listen = Vec::new();
    if arguments.embedded {
        listen.push(Listen::Unix(home.authority_socket()));
    }
    listen.extend(arguments.socket.clone().map(Listen::Unix));
    // Never by default on a socket of the operator's: a proxy of the same user may stand behind it.
    let local = (arguments.embedded || arguments.local_enrolment).then(|| LocalEnrolment {
        principal: None,
        scopes: Scopes::all(),
    });
    if let Some(address) = arguments.listen {
        let tls = arguments
            .tls_certificate
            .clone()
            .zip(arguments.tls_key.clone());
        listen.push(match tls {
            Some((certificate, key)) => Listen::Tls {
                address,
                certificate,
                key,
            },
            None => Listen::Tcp(address),
        });
    }
    let mut lifetimes = Lifetimes::default();
    if arguments.embedded {
        lifetimes.publication = EMBEDDED_PUBLICATION;
    }
    if let Some(seconds) = arguments.certificate_ttl {
        lifetimes.certificate = seconds.get().into();
    }
    let url = if arguments.embedded {
        Some(AuthorityUrl::embedded(&home.authority())?.to_string())
    } else {
        arguments.url.clone()
    };
    notme_authority::serve(ServeConfig {
        storage: if arguments.ephemeral {
            Storage::Memory
        } else {
            Storage::Directory {
                path: directory(home, &arguments.place),
                protection: protection(&arguments.sealing)?,
            }
        },
        founding: founding(None),
        listen,
        url,
        lifetimes,
        local,
        oidc: arguments
            .oidc
            .as_deref()
            .map_or_else(|| Ok(OidcConfig::default()), oidc)?,
        idle_exit: arguments.embedded.then_some(EMBEDDED_IDLE),
        limits: Limits::default(),
        clock: Arc::new(SystemClock),
        observer: Arc::new(Announcer),
    })?;
    Ok(Exit::Yes)
}

/// Reads the file of issuers; files that it names are beside it.
fn oidc(path: &Path) -> Result<OidcConfig, Failure> {
    let limit = u64::try_from(OIDC_CONFIG_MAX).unwrap_or(u64::MAX);
    let name = path.display();
    let text = String::from_utf8(read_file(path, limit)?)
        .map_err(|_| Failure::usage(format!("`{name}` is not UTF-8 text")))?;
    let directory = path.parent().unwrap_or(Path::new(""));
    OidcConfig::parse(&text, directory)
        .map_err(|error| Failure::usage(format!("`{name}`: {error}")))
}

/// Tells on stderr where the authority listens and what it fails at.
struct Announcer;

impl Observer for Announcer {
    fn serving(&self, serving: &Serving<'_>) {
        let mut out = io::stderr().lock();
        for bound in serving.bound {
            let _ = writeln!(out, "listening on {bound}");
        }
        for weakness in &serving.protection.weaknesses {
            let _ = writeln!(out, "warning: {weakness}");
        }
        let _ = writeln!(
            out,
            "proofs are bound to {}; keys sealed by: {}",
            serving.url, serving.sealing
        );
    }

    fn failed(&self, error: &(dyn Error + 'static)) {
        let mut out = io::stderr().lock();
        let mut text = format!("error: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        let _ = writeln!(out, "{}", escape(&text));
    }
}

fn stop(home: &Home, place: &AuthorityPlace) -> Outcome {
    let stopped = notme_authority::stop(&directory(home, place), STOP_DEADLINE)?;
    match stopped {
        Some(instance) => writeln!(io::stdout(), "stopped process {}", instance.pid)?,
        None => writeln!(io::stdout(), "no authority was running")?,
    }
    Ok(Exit::Yes)
}

fn status(home: &Home, arguments: &AuthorityStatus) -> Outcome {
    let directory = directory(home, &arguments.place);
    let admin = open(&directory)?;
    if !arguments.json {
        return describe(&directory, &admin);
    }
    print_json(&serde_json::json!({
        "directory": directory,
        "authority": admin.describe()?,
        "running": notme_authority::running(&directory)?,
    }))
}

fn describe(directory: &Path, admin: &Admin) -> Outcome {
    let about = admin.describe()?;
    let running = notme_authority::running(directory)?;
    let mut out = io::stdout().lock();
    writeln!(out, "directory     {}", directory.display())?;
    writeln!(out, "trust domain  {}", about.trust_domain)?;
    writeln!(out, "operator      {}", about.operator)?;
    writeln!(
        out,
        "epoch         {}, since {}",
        about.epoch, about.created_at
    )?;
    writeln!(out, "keys sealed   {}", custody(about.sealing))?;
    for root in &about.roots {
        writeln!(
            out,
            "root          {} {}, until {}",
            root.algorithm, root.kid, root.not_after
        )?;
        writeln!(out, "  pin         {}", root.spki_sha256)?;
    }
    for key in &about.format_keys {
        writeln!(out, "{:13} {}", key.format, key.name)?;
    }
    for epoch in about.epochs.iter().filter(|it| it.epoch != about.epoch) {
        writeln!(out, "other keys    {}", epoch_line(epoch))?;
    }
    writeln!(out, "sessions      {}", about.summary.living_sessions)?;
    writeln!(out, "certificates  {}", about.summary.certificates_issued)?;
    match running {
        Some(instance) => writeln!(
            out,
            "running       process {}, {}",
            instance.pid, instance.url
        )?,
        None => writeln!(out, "running       no")?,
    }
    Ok(Exit::Yes)
}

fn create_token(home: &Home, arguments: &EnrolCreate) -> Outcome {
    let admin = open(&directory(home, &arguments.place))?;
    let scopes = Scopes::from_names(arguments.scopes.iter().map(String::as_str));
    let (token, info) = admin.create_token(NewToken {
        agent: arguments.agent.clone(),
        principal: arguments.principal.clone(),
        scopes: scopes.map_err(Failure::usage)?,
        uses: arguments.uses.get(),
        ttl_seconds: arguments.ttl.get().into(),
        session_seconds: arguments
            .session_ttl
            .map_or(SESSION_SECONDS, |seconds| NonZeroU32::get(seconds).into()),
    })?;
    writeln!(io::stdout(), "{}", token.expose())?;
    writeln!(
        io::stderr(),
        "token {} enrols agent `{}` until {}, uses: {}; it is not shown again",
        info.id,
        info.agent,
        info.expires_at,
        info.uses
    )?;
    Ok(Exit::Yes)
}

fn list_tokens(home: &Home, arguments: &AuthorityStatus) -> Outcome {
    let tokens = open(&directory(home, &arguments.place))?.tokens()?;
    if arguments.json {
        return print_json(&tokens);
    }
    let mut out = io::stdout().lock();
    for token in tokens {
        writeln!(out, "{}", token_line(&token))?;
    }
    Ok(Exit::Yes)
}

fn token_line(token: &TokenInfo) -> String {
    let revoked = token
        .revoked_at
        .map_or_else(String::new, |at| format!(", revoked at {at}"));
    format!(
        "{} {} for {}: used {} of {}, until {}{revoked}",
        token.id, token.agent, token.principal, token.used, token.uses, token.expires_at
    )
}

fn revoke_token(home: &Home, place: &AuthorityPlace, id: &str) -> Outcome {
    let ended = open(&directory(home, place))?.revoke_token(id)?;
    writeln!(
        io::stdout(),
        "token {id} is revoked; sessions ended: {ended}"
    )?;
    Ok(Exit::Yes)
}

fn revoke(home: &Home, arguments: &AuthorityRevoke) -> Outcome {
    let value = arguments.value.clone();
    let what = match arguments.kind {
        RevokedKind::Certificate => Revoked::Certificate(value),
        RevokedKind::Key => Revoked::Key(value.parse().map_err(Failure::usage)?),
        RevokedKind::Session => Revoked::Session(value),
        RevokedKind::Identity => Revoked::Identity(value.parse().map_err(Failure::usage)?),
        RevokedKind::Epoch => Revoked::Epoch(value.parse().map_err(Failure::usage)?),
    };
    let reason = match arguments.reason {
        RevokedReason::KeyCompromise => RevocationReason::KeyCompromise,
        RevokedReason::PrivilegeWithdrawn => RevocationReason::PrivilegeWithdrawn,
        RevokedReason::Superseded => RevocationReason::Superseded,
        RevokedReason::CessationOfOperation => RevocationReason::CessationOfOperation,
        RevokedReason::Unspecified => RevocationReason::Unspecified,
    };
    let admin = open(&directory(home, &arguments.place))?;
    let taken = admin
        .revoke(&what, arguments.since, reason)
        .map_err(|error| match error {
            AdminError::Revocation(error) => Failure::usage(error),
            error => error.into(),
        })?;
    if arguments.json {
        print_json(&taken)?;
    } else {
        let mut out = io::stdout().lock();
        for revocation in [&taken.revocation].into_iter().chain(&taken.with) {
            writeln!(out, "{}", revocation_line(revocation))?;
        }
        writeln!(out, "sessions ended: {}", taken.sessions_ended)?;
    }
    if let Revoked::Epoch(number) = what
        && admin.describe()?.epoch == number
    {
        writeln!(
            io::stderr(),
            "warning: epoch {number} is in use, and what it issues from now on is refused: `notme authority rotate`"
        )?;
    }
    tell_verifiers(home, &arguments.place)
}

/// Lets our own verifier know what the authority says now, and says how others get to know.
fn tell_verifiers(home: &Home, place: &AuthorityPlace) -> Outcome {
    let mut talk = io::stderr().lock();
    if place.dir.is_none() && home.trust().join(EMBEDDED).exists() {
        trust_embedded(home)?;
        writeln!(talk, "`notme verify` knows it here already")?;
    }
    writeln!(
        talk,
        "verifiers elsewhere know it after `notme trust refresh`"
    )?;
    Ok(Exit::Yes)
}

fn list_revocations(home: &Home, arguments: &AuthorityStatus) -> Outcome {
    let revocations = open(&directory(home, &arguments.place))?.revocations()?;
    if arguments.json {
        return print_json(&revocations);
    }
    let mut out = io::stdout().lock();
    for revocation in &revocations {
        writeln!(out, "{}", revocation_line(revocation))?;
    }
    Ok(Exit::Yes)
}

fn revocation_line(revocation: &Revocation) -> String {
    format!(
        "{} {} is revoked since {}: {}",
        revocation.kind.as_str(),
        revocation.value,
        revocation.since,
        revocation.reason
    )
}

fn rotate(home: &Home, arguments: &AuthorityRotate) -> Outcome {
    let step = match (arguments.prepare, arguments.activate, arguments.retire) {
        (true, _, _) => Rotation::Prepare,
        (_, true, _) => Rotation::Activate,
        (_, _, true) => Rotation::Retire,
        (false, false, false) => Rotation::Now,
    };
    let directory = directory(home, &arguments.place);
    let protection = protection(&arguments.sealing)?;
    let epochs = notme_authority::rotate(&directory, &protection, step, Arc::new(SystemClock))
        .map_err(|error| match error {
            AdminError::Rotation(error) => refused_rotation(error),
            error => error.into(),
        })?;
    if arguments.json {
        print_json(&epochs)?;
    } else {
        let mut out = io::stdout().lock();
        for epoch in &epochs {
            writeln!(out, "{}", epoch_line(epoch))?;
            for root in &epoch.roots {
                writeln!(out, "  root        {} {}", root.algorithm, root.kid)?;
                writeln!(out, "    pin       {}", root.spki_sha256)?;
            }
        }
    }
    tell_verifiers(home, &arguments.place)
}

fn refused_rotation(error: RotationError) -> Failure {
    let hint = match error {
        RotationError::PreparedAlready => "`notme authority rotate --activate` takes them into use",
        RotationError::NotPrepared => "`notme authority rotate --prepare` makes them",
        RotationError::CertificatesLive { .. } => "try again when they are over",
        RotationError::TooSoon | RotationError::Overtaken | RotationError::NothingToRetire => {
            return Failure::no(error);
        }
    };
    Failure::no(error).hint(hint)
}

fn epoch_line(epoch: &EpochInfo) -> String {
    let number = epoch.epoch;
    let keys = match epoch.destroyed {
        true => "its keys are destroyed",
        false => "its keys still sign trust documents",
    };
    match (epoch.from, epoch.retired_at) {
        (None, _) => format!("epoch {number} is prepared"),
        (Some(from), None) => format!("epoch {number} issues since {from}"),
        (Some(from), Some(until)) => {
            format!("epoch {number} issued from {from} to {until}; {keys}")
        }
    }
}

fn bundle(home: &Home, place: &AuthorityPlace) -> Outcome {
    write!(io::stdout(), "{}", open(&directory(home, place))?.bundle()?)?;
    Ok(Exit::Yes)
}

fn open(directory: &Path) -> Result<Admin, Failure> {
    Admin::open(directory, Arc::new(SystemClock)).map_err(|error| {
        let hint = match error.code() {
            "authority-not-founded" => "`notme init` or `notme authority init` makes one",
            "authority-store-newer" => "a newer notme wrote it: use that one",
            _ => return error.into(),
        };
        Failure::from(error).hint(hint)
    })
}

fn directory(home: &Home, place: &AuthorityPlace) -> PathBuf {
    place.dir.clone().unwrap_or_else(|| home.authority())
}

/// Says what seals the keys, and what that is worth.
const fn custody(sealing: SealingKind) -> &'static str {
    match sealing {
        SealingKind::LocalFile => {
            "by a file beside them: it protects copies of the store,\n              not against whoever reads this directory"
        }
        SealingKind::Passphrase => "by a passphrase",
        SealingKind::KeyFile => "by a key file",
        SealingKind::Memory => "in memory only",
    }
}

/// Names a new authority after this host, and its operator after this user.
fn founding(trust_domain: Option<String>) -> Founding {
    let host = uname().nodename().to_string_lossy().into_owned();
    Founding {
        trust_domain: trust_domain.unwrap_or_else(|| segment(&host, "localhost")),
        operator: segment(&user_name().unwrap_or_default(), "operator"),
    }
}

/// Returns what of a name can be part of an identity, or the fallback when nothing can.
fn segment(name: &str, fallback: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
    let segment: String = name.to_lowercase().chars().filter(plain).collect();
    if segment.is_empty() {
        fallback.to_owned()
    } else {
        segment
    }
}

/// Returns this user's name: of the environment, else of the password file.
fn user_name() -> Option<String> {
    if let Some(user) = ["USER", "LOGNAME"].into_iter().find_map(env::var_os) {
        return Some(user.to_string_lossy().into_owned());
    }
    let uid = getuid().as_raw().to_string();
    let accounts = fs::read_to_string("/etc/passwd").ok()?;
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

fn protection(sealing: &Sealing) -> Result<Protection, Failure> {
    Ok(match (&sealing.passphrase_file, &sealing.key_file) {
        (Some(file), _) => Protection::Passphrase(Secret::passphrase(open_file(file)?)?),
        (None, Some(file)) => Protection::KeyFile(Secret::key_file(file)?),
        (None, None) => Protection::LocalFile,
    })
}
