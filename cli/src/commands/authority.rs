//! `notme authority`: run one, and look after it.

mod audit;
mod backup;
mod log;
mod settings;

use std::{
    env,
    error::Error,
    fs,
    io::{self, Write},
    num::NonZeroU32,
    path::Path,
    sync::Arc,
    time::Duration,
};

use notme_agent::AuthorityUrl;
use notme_authority::{
    Admin, AdminError, EpochInfo, Founding, Lifetimes, Limits, Listen, LocalEnrolment,
    MonitorListen, NewKeys, NewToken, OIDC_CONFIG_MAX, OidcConfig, OpenError, Pkcs11Error,
    Pkcs11Protection, Place, PostgresUrl, Protection, Rates, RevocationReason, Revoked, Rotation,
    RotationError, Scopes, SealingKind, Secret, ServeConfig, Storage, StoreError, SystemClock,
    TokenInfo,
};
use notme_core::{identity::Identity, trust::Revocation};
use rustix::{process::getuid, system::uname};

use self::{log::Log, settings::Effective};
use crate::{
    arguments::{
        Authority, AuthorityInit, AuthorityMove, AuthorityPlace, AuthorityRevoke, AuthorityRotate,
        AuthorityStatus, Custody, Enrol, EnrolCreate, RevokedKind, RevokedReason, Sealing,
        serve::{AuthorityServe, LogLevel, ServeSettings},
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
/// The longest password of a database.
const PASSWORD_MAX: u64 = 1024;
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
        Authority::Move(arguments) => move_to(home, arguments),
        Authority::Audit(command) => audit::run(home, command),
        Authority::Backup(arguments) => backup::backup(home, arguments),
        Authority::Restore(arguments) => backup::restore(home, arguments),
        Authority::Bundle(place) => bundle(home, place),
    }
}

fn init(home: &Home, arguments: &AuthorityInit) -> Outcome {
    let place = place(home, &arguments.place)?;
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
    let clock = Arc::new(SystemClock);
    let admin = notme_authority::init(&place, &founding, &protection, clock).map_err(advised)?;
    let found = admin.describe()?.trust_domain;
    if arguments.trust_domain.is_some() && found != founding.trust_domain {
        let asked = founding.trust_domain;
        let error = format!("the authority there is of trust domain `{found}`, not `{asked}`");
        let hint = "authority-trust-domain-differs: it is chosen once, and nothing was changed";
        return Err(Failure::no(error).hint(hint));
    }
    describe(&place, &admin)
}

fn serve(home: &Home, arguments: &AuthorityServe) -> Outcome {
    if arguments.embedded {
        return serve_embedded(home, &arguments.settings);
    }
    let effective = Effective::of(&arguments.settings, arguments.config.as_deref())?;
    let config = serve_config(home, &effective.settings)?;
    warn_of_password(&arguments.settings.place)?;
    if arguments.check {
        notme_authority::check(&config)?;
        return effective.print();
    }
    notme_authority::serve(config).map_err(advised)?;
    Ok(Exit::Yes)
}

/// The one that whoever needs it starts. What is set for another is not for it.
fn serve_embedded(home: &Home, settings: &ServeSettings) -> Outcome {
    let mut lifetimes = Lifetimes {
        publication: EMBEDDED_PUBLICATION,
        ..Lifetimes::default()
    };
    if let Some(seconds) = settings.certificate_ttl {
        lifetimes.certificate = seconds.get().into();
    }
    notme_authority::serve(ServeConfig {
        storage: Storage::Directory {
            path: home.authority(),
            protection: protection(&settings.sealing)?,
        },
        founding: founding(None),
        listen: vec![Listen::Unix(home.authority_socket())],
        monitor: None,
        url: Some(AuthorityUrl::embedded(&home.authority())?.to_string()),
        lifetimes,
        local: Some(local_enrolment()),
        oidc: OidcConfig::default(),
        idle_exit: Some(EMBEDDED_IDLE),
        limits: Limits::default(),
        clock: Arc::new(SystemClock),
        observer: Arc::new(Log::new(LogLevel::Warn, None)),
    })
    .map_err(advised)?;
    Ok(Exit::Yes)
}

fn serve_config(home: &Home, settings: &ServeSettings) -> Result<ServeConfig, Failure> {
    let mut listen = Vec::new();
    listen.extend(settings.socket.clone().map(Listen::Unix));
    if let Some(address) = settings.listen {
        let tls = settings.tls_certificate.clone();
        listen.push(match tls.zip(settings.tls_key.clone()) {
            Some((certificate, key)) => Listen::Tls {
                address,
                certificate,
                key,
            },
            None => Listen::Tcp(address),
        });
    }
    let socket = settings.monitor_socket.clone().map(MonitorListen::Unix);
    let mut lifetimes = Lifetimes::default();
    if let Some(seconds) = settings.certificate_ttl {
        lifetimes.certificate = seconds.get().into();
    }
    Ok(ServeConfig {
        storage: match settings.ephemeral {
            Some(true) => Storage::Memory,
            Some(false) | None => storage(
                &read_place(home, &settings.place)?,
                protection(&settings.sealing)?,
            ),
        },
        founding: founding(None),
        listen,
        monitor: socket.or(settings.monitor.map(MonitorListen::Tcp)),
        url: settings.url.clone(),
        lifetimes,
        // Never by default on a socket of the operator's: a proxy of the same user may stand
        // behind it.
        local: (settings.local_enrolment == Some(true)).then(local_enrolment),
        oidc: settings
            .oidc
            .as_deref()
            .map_or_else(|| Ok(OidcConfig::default()), oidc)?,
        idle_exit: None,
        limits: limits(settings),
        clock: Arc::new(SystemClock),
        observer: Arc::new(Log::new(
            settings.log_level.unwrap_or(LogLevel::Info),
            settings.log_format,
        )),
    })
}

fn storage(place: &Place, protection: Protection) -> Storage {
    let path = place.directory().to_owned();
    match place.database() {
        None => Storage::Directory { path, protection },
        Some(url) => Storage::Database {
            path,
            url: url.clone(),
            protection,
        },
    }
}

fn limits(settings: &ServeSettings) -> Limits {
    let defaults = Limits::default();
    let seconds = |seconds: Option<u32>, or: Duration| {
        seconds.map_or(or, |seconds| Duration::from_secs(seconds.into()))
    };
    let rate = |rate: Option<u32>| rate.and_then(NonZeroU32::new);
    Limits {
        connections: settings.connections.unwrap_or(defaults.connections),
        per_origin: settings
            .connections_per_address
            .unwrap_or(defaults.per_origin),
        head: seconds(settings.head_timeout, defaults.head),
        body: seconds(settings.body_timeout, defaults.body),
        connection: seconds(settings.connection_timeout, defaults.connection),
        drain: seconds(settings.drain_timeout, defaults.drain),
        notice: seconds(settings.drain_notice, defaults.notice),
        rates: Rates {
            address: rate(settings.rate_address),
            identity: rate(settings.rate_identity),
            workload: rate(settings.rate_workload),
            token: rate(settings.rate_token),
        },
    }
}

fn local_enrolment() -> LocalEnrolment {
    LocalEnrolment {
        principal: None,
        scopes: Scopes::all(),
    }
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

fn stop(home: &Home, place: &AuthorityPlace) -> Outcome {
    let stopped = notme_authority::stop(read_place(home, place)?.directory(), STOP_DEADLINE)?;
    match stopped {
        Some(instance) => writeln!(io::stdout(), "stopped process {}", instance.pid)?,
        None => writeln!(io::stdout(), "no authority was running")?,
    }
    Ok(Exit::Yes)
}

fn status(home: &Home, arguments: &AuthorityStatus) -> Outcome {
    let place = place(home, &arguments.place)?;
    let admin = open_place(&place)?;
    if !arguments.json {
        return describe(&place, &admin);
    }
    print_json(&serde_json::json!({
        "directory": place.directory(),
        "store": place.database().map(PostgresUrl::to_string),
        "authority": admin.describe()?,
        "running": notme_authority::running(place.directory())?,
    }))
}

fn describe(place: &Place, admin: &Admin) -> Outcome {
    let about = admin.describe()?;
    let running = notme_authority::running(place.directory())?;
    let mut out = io::stdout().lock();
    writeln!(out, "directory     {}", place.directory().display())?;
    if let Some(database) = place.database() {
        writeln!(out, "store         {database}")?;
    }
    writeln!(out, "trust domain  {}", about.trust_domain)?;
    writeln!(out, "operator      {}", about.operator)?;
    if let Some(url) = &about.url {
        writeln!(out, "url           {url}")?;
    }
    writeln!(
        out,
        "epoch         {}, since {}",
        about.epoch, about.created_at
    )?;
    writeln!(out, "keys          {}", custody(about.sealing))?;
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
    let admin = open(home, &arguments.place)?;
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
    let tokens = open(home, &arguments.place)?.tokens()?;
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
    let ended = open(home, place)?.revoke_token(id)?;
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
    let admin = open(home, &arguments.place)?;
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
    let is_embedded = place.dir.is_none() && found_place(home, place)?.database().is_none();
    if is_embedded && home.trust().join(EMBEDDED).exists() {
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
    let revocations = open(home, &arguments.place)?.revocations()?;
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
    let place = place(home, &arguments.place)?;
    let protection = protection(&arguments.sealing)?;
    let epochs = notme_authority::rotate(&place, &protection, step, Arc::new(SystemClock))
        .map_err(|error| match error {
            AdminError::Rotation(error) => refused_rotation(error),
            error => advised(error),
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
    if matches!(step, Rotation::Prepare | Rotation::Now) {
        writeln!(
            io::stderr(),
            "policies that name its roots (`spki_sha256`) have to name the new ones, too: `notme policy check` says which"
        )?;
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
    let keys = match (epoch.destroyed, epoch.leaving) {
        (true, _) => "its keys are destroyed",
        (false, true) => "its keys are on their way out: `notme authority rotate --retire` goes on",
        (false, false) => "its keys still sign trust documents",
    };
    let kept = epoch.sealing;
    let kept = kept.map_or_else(String::new, |kind| format!(" ({kind})"));
    match (epoch.from, epoch.retired_at) {
        (None, _) => format!("epoch {number} is prepared{kept}"),
        (Some(from), None) => format!("epoch {number} issues since {from}{kept}"),
        (Some(from), Some(until)) => {
            format!("epoch {number} issued from {from} to {until}; {keys}{kept}")
        }
    }
}

fn move_to(home: &Home, arguments: &AuthorityMove) -> Outcome {
    let url = arguments.url.as_str();
    open(home, &arguments.place)?.move_to(url)?;
    writeln!(
        io::stdout(),
        "instances serve at {url}: start them with this `url`"
    )?;
    Ok(Exit::Yes)
}

fn bundle(home: &Home, place: &AuthorityPlace) -> Outcome {
    write!(io::stdout(), "{}", open(home, place)?.bundle()?)?;
    Ok(Exit::Yes)
}

fn open(home: &Home, place: &AuthorityPlace) -> Result<Admin, Failure> {
    open_place(&self::place(home, place)?)
}

fn open_place(place: &Place) -> Result<Admin, Failure> {
    Admin::open(place, Arc::new(SystemClock)).map_err(|error| {
        let hint = match error.code() {
            "authority-not-founded" => "`notme init` or `notme authority init` makes one",
            "authority-store-newer" => "a newer notme wrote it: use that one",
            _ => return error.into(),
        };
        Failure::from(error).hint(hint)
    })
}

/// Finds the authority that an operator means, by options or by the environment.
fn place(home: &Home, options: &AuthorityPlace) -> Result<Place, Failure> {
    warn_of_password(options)?;
    found_place(home, options)
}

fn found_place(home: &Home, options: &AuthorityPlace) -> Result<Place, Failure> {
    let variables = settings::environment()?.place;
    let store = options.store.clone().or(variables.store);
    let place = AuthorityPlace {
        dir: options
            .dir
            .clone()
            .or(variables.dir.filter(|_| store.is_some())),
        store,
        store_password_file: options
            .store_password_file
            .clone()
            .or(variables.store_password_file),
    };
    read_place(home, &place)
}

fn read_place(home: &Home, place: &AuthorityPlace) -> Result<Place, Failure> {
    let AuthorityPlace {
        dir,
        store,
        store_password_file,
    } = place;
    let Some(store) = store else {
        return match store_password_file {
            None => Ok(Place::new(dir.clone().unwrap_or_else(|| home.authority()))),
            Some(_) => Err(Failure::usage("`store-password-file` takes a `store`")),
        };
    };
    let url = PostgresUrl::parse(&store.0).map_err(Failure::usage)?;
    let url = match store_password_file {
        None => url,
        Some(file) => url.with_password(read_file(file, PASSWORD_MAX)?.trim_ascii_end()),
    };
    let directory = dir.clone().unwrap_or_else(|| home.authority_instance());
    Ok(Place::shared(directory, url))
}

/// Warns of a password where every user of this machine sees it.
fn warn_of_password(options: &AuthorityPlace) -> Result<(), Failure> {
    let url = options.store.as_ref().map(|url| PostgresUrl::parse(&url.0));
    if matches!(url, Some(Ok(url)) if url.has_password()) {
        writeln!(
            io::stderr(),
            "warning: every user of this machine can read the password in `--store`: \
             use `--store-password-file`, or NOTME_AUTHORITY_STORE"
        )?;
    }
    Ok(())
}

/// Says what keeps the keys, and what that is worth.
const fn custody(sealing: SealingKind) -> &'static str {
    match sealing {
        SealingKind::LocalFile => {
            "sealed by a file beside them: it protects copies of the store,\n              not against whoever reads this directory"
        }
        SealingKind::Passphrase => "sealed by a passphrase",
        SealingKind::KeyFile => "sealed by a key file",
        SealingKind::Memory => "in memory only",
        SealingKind::Pkcs11 => "in a PKCS#11 token",
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
    let stdin = Some(Path::new("-"));
    let files = [&sealing.passphrase_file, &sealing.pkcs11_pin_file];
    if files.iter().all(|file| file.as_deref() == stdin) {
        return Err(Failure::usage("stdin holds one secret, not two"));
    }
    let seal = match (&sealing.passphrase_file, &sealing.key_file) {
        (Some(file), _) => Protection::Passphrase(Secret::passphrase(open_file(file)?)?),
        (None, Some(file)) => Protection::KeyFile(Secret::key_file(file)?),
        (None, None) => Protection::LocalFile,
    };
    let names_token = sealing.pkcs11_token.is_some() || sealing.pkcs11_serial.is_some();
    let Some(module) = &sealing.pkcs11_module else {
        if names_token
            || sealing.pkcs11_pin_file.is_some()
            || sealing.custody == Some(Custody::Pkcs11)
        {
            return Err(Failure::usage("a token takes a `pkcs11-module`"));
        }
        return Ok(seal);
    };
    let (Some(pin), true) = (&sealing.pkcs11_pin_file, names_token) else {
        return Err(Failure::usage(
            "`pkcs11-module` takes `pkcs11-token` or `pkcs11-serial`, and `pkcs11-pin-file`",
        ));
    };
    Ok(Protection::Pkcs11(Box::new(Pkcs11Protection {
        module: module.clone(),
        label: sealing.pkcs11_token.clone(),
        serial: sealing.pkcs11_serial.clone(),
        pin: Secret::pin(open_file(pin)?)?,
        new_keys: match sealing.custody {
            Some(Custody::Sealed) => NewKeys::Sealed,
            Some(Custody::Pkcs11) | None => NewKeys::InToken,
        },
        sealing: seal,
    })))
}

/// Says what helps with a store or a token, and the code to look for.
fn advised(error: impl Error + 'static) -> Failure {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    let mut refused: Option<&Pkcs11Error> = None;
    let (mut elsewhere, mut gone) = (false, false);
    // The last of them is the cause; that something is left to do counts for more.
    while let Some(error) = cause
        && !matches!(refused, Some(Pkcs11Error::Left { .. }))
    {
        refused = error.downcast_ref::<Pkcs11Error>().or(refused);
        elsewhere |= matches!(error.downcast_ref(), Some(OpenError::UrlDiffers { .. }));
        gone |= matches!(error.downcast_ref(), Some(StoreError::Gone { .. }));
        cause = error.source();
    }
    if elsewhere {
        let hint = "authority-url-differs: give all instances the same `url`; `notme authority move` changes it for all";
        return Failure::from(error).hint(hint);
    }
    if gone {
        let hint = "authority-store-gone: `notme authority restore` brings a backup back; another authority is made when what is left is moved away";
        return Failure::from(error).hint(hint);
    }
    let Some(refused) = refused else {
        return error.into();
    };
    let advice = match refused {
        Pkcs11Error::Ambiguous => "name it by its `--pkcs11-serial`, too",
        Pkcs11Error::KeyMissing { .. } => {
            "look whether this is the right token, and a backup not from before these keys were retired"
        }
        Pkcs11Error::Left { .. } => {
            "look whether `notme authority status` names their epoch; if not, delete them by the token's own tool"
        }
        Pkcs11Error::Missing => "`pkcs11-tool --list-token-slots` shows those that are there",
        Pkcs11Error::NotNamed => "add `--pkcs11-module` and what goes with it",
        Pkcs11Error::PinLastTry => {
            "log in with the right PIN by the token's own tool, which gives back the others"
        }
        Pkcs11Error::PinLocked => "unlock it by the token's own tool",
        Pkcs11Error::PinWrong => "correct the file before the next attempt: the token counts them",
        Pkcs11Error::Silent => "look after the token; whoever serves goes on by itself",
        Pkcs11Error::Static => "`cargo build --release` makes one that can",
        Pkcs11Error::Away(_)
        | Pkcs11Error::Extractable
        | Pkcs11Error::Failed { .. }
        | Pkcs11Error::Mechanism { .. }
        | Pkcs11Error::Memory(_)
        | Pkcs11Error::Mismatch { .. }
        | Pkcs11Error::Module { .. }
        | Pkcs11Error::PublicKey
        | Pkcs11Error::Random
        | Pkcs11Error::Threads(_) => "docs/authority.md says what the code means",
    };
    let hint = format!("{}: {advice}", refused.code());
    Failure::from(error).hint(hint)
}
