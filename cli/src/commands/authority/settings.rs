//! The settings of a serving authority, layer upon layer: options, environment, file, defaults.
//!
//! What each setting is called and may be is said once, by the options: a line of the file and a
//! variable are read as if they had been given as an option.

use std::{
    any::TypeId,
    collections::BTreeMap,
    env, io,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args as _, FromArgMatches as _};
use notme_authority::{Lifetimes, Limits, PostgresUrl, Rates};
use toml::{Spanned, Table, Value};

use crate::{
    arguments::serve::{LogLevel, ServeSettings},
    failure::{Exit, Failure, Outcome, read_file},
};

/// The longest file of settings.
const FILE_MAX: u64 = 1 << 20;
const VARIABLES: &str = "NOTME_AUTHORITY_";

/// The settings in effect, and what each is from.
#[derive(Debug)]
pub(super) struct Effective {
    pub(super) settings: ServeSettings,
    origins: BTreeMap<String, &'static str>,
    table: Table,
}

impl Effective {
    /// Reads file and environment and puts the options above them.
    pub(super) fn of(options: &ServeSettings, file: Option<&Path>) -> Result<Self, Failure> {
        let variables = environment()?;
        let named = env::var_os(format!("{VARIABLES}CONFIG")).map(PathBuf::from);
        let file = match file.or(named.as_deref()) {
            Some(path) => from_file(path)?,
            None => ServeSettings::default(),
        };
        let layers = [
            ("default", &defaults()),
            ("file", &file),
            ("environment", &variables),
            ("option", options),
        ];
        let (mut table, mut origins) = (Table::new(), BTreeMap::new());
        for (origin, layer) in layers {
            for (name, value) in Table::try_from(layer)? {
                origins.insert(name.clone(), origin);
                table.insert(name, value);
            }
        }
        let settings: ServeSettings = table.clone().try_into()?;
        check(&settings)?;
        Ok(Self {
            settings,
            origins,
            table,
        })
    }

    /// Prints them as a file of settings.
    pub(super) fn print(&self) -> Outcome {
        let mut out = io::stdout().lock();
        for argument in command().get_arguments() {
            let name = argument.get_long().unwrap_or_default();
            match (self.table.get(name), self.origins.get(name)) {
                (Some(value), Some(origin)) => {
                    writeln!(out, "{name} = {}  # {origin}", hidden(value))?;
                }
                _ => writeln!(out, "# {name} is not set")?,
            }
        }
        Ok(Exit::Yes)
    }
}

/// What holds where nothing is said. Names of places have no default.
fn defaults() -> ServeSettings {
    let limits = Limits::default();
    let seconds = |duration: Duration| u32::try_from(duration.as_secs()).ok();
    let rate = |rate: Option<std::num::NonZeroU32>| Some(rate.map_or(0, std::num::NonZeroU32::get));
    let Rates {
        address,
        identity,
        workload,
        token,
    } = limits.rates;
    ServeSettings {
        certificate_ttl: u32::try_from(Lifetimes::default().certificate)
            .ok()
            .and_then(std::num::NonZeroU32::new),
        log_level: Some(LogLevel::Info),
        connections: Some(limits.connections),
        connections_per_address: Some(limits.per_origin),
        head_timeout: seconds(limits.head),
        body_timeout: seconds(limits.body),
        connection_timeout: seconds(limits.connection),
        drain_timeout: seconds(limits.drain),
        drain_notice: seconds(limits.notice),
        rate_address: rate(address),
        rate_identity: rate(identity),
        rate_workload: rate(workload),
        rate_token: rate(token),
        ..ServeSettings::default()
    }
}

/// Checks what settings say together.
fn check(settings: &ServeSettings) -> Result<(), Failure> {
    let wrong = |rule: &'static str| Err(Failure::usage(rule));
    let is_set = |setting: Option<bool>| setting.unwrap_or_default();
    let sealing = &settings.sealing;
    let is_kept = sealing.passphrase_file.is_some()
        || sealing.key_file.is_some()
        || sealing.pkcs11_module.is_some();
    if settings.listen.is_none() && settings.socket.is_none() {
        return Err(Failure::usage("there is nowhere to listen")
            .hint("set `listen`, to an address such as 127.0.0.1:8080, or `socket`"));
    }
    if settings.tls_certificate.is_some() != settings.tls_key.is_some() {
        return wrong("`tls-certificate` and `tls-key` go together");
    }
    if settings.sealing.passphrase_file.is_some() && settings.sealing.key_file.is_some() {
        return wrong("`passphrase-file` and `key-file` exclude each other");
    }
    let has_place = settings.place.dir.is_some() || settings.place.store.is_some();
    if is_set(settings.ephemeral) && (is_kept || has_place) {
        return wrong(
            "`ephemeral` excludes `dir`, `store`, `passphrase-file`, `key-file` and `pkcs11-module`",
        );
    }
    if settings.place.store.is_some() && settings.url.is_none() {
        return wrong("`store` takes a `url`, the same for all instances");
    }
    if is_set(settings.local_enrolment) && (settings.socket.is_none() || settings.url.is_some()) {
        return wrong("`local-enrolment` takes a `socket`, and excludes `url`");
    }
    if settings.monitor.is_some() && settings.monitor_socket.is_some() {
        return wrong("`monitor` and `monitor-socket` exclude each other");
    }
    Ok(())
}

/// Reads the variables. One that is no setting is a mistake somebody would never notice.
pub(super) fn environment() -> Result<ServeSettings, Failure> {
    let mut settings = Vec::new();
    for (variable, value) in env::vars_os() {
        let variable = variable.to_string_lossy().into_owned();
        let Some(rest) = variable.strip_prefix(VARIABLES) else {
            continue;
        };
        if rest == "CONFIG" {
            continue;
        }
        let name = rest.to_ascii_lowercase().replace('_', "-");
        let has_one_spelling = rest.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        if !has_one_spelling || !is_setting(&name) {
            return Err(Failure::usage(format!("`{variable}` is no setting")));
        }
        let value = value
            .into_string()
            .map_err(|_| Failure::usage(format!("`{variable}` is not UTF-8 text")))?;
        parse(&[(name.clone(), value.clone())])
            .map_err(|rule| Failure::usage(format!("`{variable}`: {rule}")))?;
        settings.push((name, value));
    }
    parse(&settings).map_err(Failure::usage)
}

/// Reads a file. Files that it names are beside it.
fn from_file(path: &Path) -> Result<ServeSettings, Failure> {
    let shown = path.display();
    let text = String::from_utf8(read_file(path, FILE_MAX)?)
        .map_err(|_| Failure::usage(format!("`{shown}` is not UTF-8 text")))?;
    let at = |offset: usize| {
        let before = text.get(..offset).unwrap_or_default();
        format!("`{shown}`, line {}", before.matches('\n').count() + 1)
    };
    let table: BTreeMap<String, Spanned<Value>> = toml::from_str(&text).map_err(|error| {
        let place = error
            .span()
            .map_or_else(|| format!("`{shown}`"), |span| at(span.start));
        Failure::usage(format!("{place}: {}", error.message()))
    })?;
    let directory = path.parent().unwrap_or(Path::new(""));
    let mut settings = Vec::with_capacity(table.len());
    for (name, value) in table {
        let place = at(value.span().start);
        if !is_setting(&name) {
            return Err(Failure::usage(format!("{place}: `{name}` is no setting")));
        }
        let value = match value.into_inner() {
            Value::String(text) if is_path(&name) => directory.join(text).display().to_string(),
            Value::String(text) => text,
            Value::Integer(number) => number.to_string(),
            Value::Boolean(it) => it.to_string(),
            Value::Float(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
                let rule = "is text, a whole number, or true or false";
                return Err(Failure::usage(format!("{place}: `{name}` {rule}")));
            }
        };
        parse(&[(name.clone(), value.clone())])
            .map_err(|rule| Failure::usage(format!("{place}: {rule}")))?;
        settings.push((name, value));
    }
    parse(&settings).map_err(|rule| Failure::usage(format!("`{shown}`: {rule}")))
}

/// Reads settings as the options they are named for; what is wrong is told as of these.
fn parse(settings: &[(String, String)]) -> Result<ServeSettings, String> {
    let words = settings
        .iter()
        .map(|(name, value)| format!("--{name}={value}"));
    command()
        .try_get_matches_from(words)
        .and_then(|matches| ServeSettings::from_arg_matches(&matches))
        .map_err(|error| {
            let text = error.to_string();
            let lines = text.lines().take_while(|line| !line.is_empty());
            let told: Vec<_> = lines.map(str::trim).collect();
            told.join(" ").trim_start_matches("error: ").to_owned()
        })
}

fn command() -> clap::Command {
    let bare = clap::Command::new("settings")
        .no_binary_name(true)
        .disable_help_flag(true);
    ServeSettings::augment_args(bare)
}

fn is_setting(name: &str) -> bool {
    let command = command();
    command
        .get_arguments()
        .any(|argument| argument.get_long() == Some(name))
}

fn is_path(name: &str) -> bool {
    let command = command();
    let mut arguments = command.get_arguments();
    arguments.any(|argument| {
        argument.get_long() == Some(name)
            && argument.get_value_parser().type_id() == TypeId::of::<PathBuf>()
    })
}

/// Returns a value as a file has it, without the password that a URL may carry.
fn hidden(value: &Value) -> String {
    let Value::String(text) = value else {
        return value.to_string();
    };
    if let Ok(url) = PostgresUrl::parse(text) {
        return Value::String(url.to_string()).to_string();
    }
    let shown = text.split_once("://").and_then(|(scheme, rest)| {
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (user, host) = authority.rsplit_once('@')?;
        let user = user.split_once(':')?.0;
        Some(format!("{scheme}://{user}:[hidden]@{host}{path}"))
    });
    Value::String(shown.unwrap_or_else(|| text.clone())).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_hidden() {
        let shown = |text: &str| hidden(&Value::String(text.to_owned()));
        assert_eq!(
            shown("https://a.example/x:y@z"),
            "\"https://a.example/x:y@z\""
        );
        assert_eq!(shown("postgres://u@h/d"), "\"postgres://u@h/d\"");
        assert_eq!(
            shown("postgres://u:s@cret@h/d"),
            "\"postgres://u:[hidden]@h/d\""
        );
    }
}
