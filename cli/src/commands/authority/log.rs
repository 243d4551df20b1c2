//! The log of a serving authority: lines on stderr, for people or for programs.

use std::{
    error::Error,
    io::{self, IsTerminal as _, Write as _},
    time::SystemTime,
};

use notme_authority::{Answered, Observer, Serving};
use notme_core::time::UnixTime;
use notme_verifier::report::{escape, to_json};
use serde::Serialize;

use crate::arguments::serve::{LogFormat, LogLevel};

/// Writes what happens.
pub(super) struct Log {
    level: LogLevel,
    format: LogFormat,
}

impl Log {
    pub(super) fn new(level: LogLevel, format: Option<LogFormat>) -> Self {
        let fitting = || match io::stderr().is_terminal() {
            true => LogFormat::Human,
            false => LogFormat::Json,
        };
        Self {
            level,
            format: format.unwrap_or_else(fitting),
        }
    }

    /// Writes a line: as JSON, or the words that people get.
    fn line(&self, level: LogLevel, what: &What<'_>, human: impl FnOnce() -> String) {
        if level > self.level {
            return;
        }
        let mut line = match self.format {
            LogFormat::Human => escape(&human()).into_owned(),
            LogFormat::Json => {
                let (time, what) = (now(), what);
                to_json(&Line { level, time, what }).unwrap_or_default()
            }
        };
        line.push('\n');
        // Nobody is left to tell when stderr is gone.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }
}

#[derive(Serialize)]
struct Line<'a> {
    level: LogLevel,
    time: String,
    #[serde(flatten)]
    what: &'a What<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase", tag = "event")]
enum What<'a> {
    Listening {
        url: String,
    },
    Monitoring {
        url: String,
    },
    Serving {
        url: &'a str,
        keys: String,
    },
    Weakness {
        message: String,
    },
    Request {
        request_id: &'a str,
        method: &'static str,
        route: &'static str,
        status: u16,
        duration_ms: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    Error {
        error: String,
    },
}

impl Observer for Log {
    fn serving(&self, serving: &Serving<'_>) {
        for bound in serving.bound {
            let url = bound.to_string();
            self.line(LogLevel::Info, &What::Listening { url }, || {
                format!("listening on {bound}")
            });
        }
        if let Some(bound) = serving.monitor {
            let url = bound.to_string();
            self.line(LogLevel::Info, &What::Monitoring { url }, || {
                format!("metrics on {bound}")
            });
        }
        for weakness in &serving.protection.weaknesses {
            let message = weakness.to_string();
            self.line(LogLevel::Warn, &What::Weakness { message }, || {
                format!("warning: {weakness}")
            });
        }
        let url = serving.url;
        let keys = serving.sealing.to_string();
        self.line(LogLevel::Info, &What::Serving { url, keys }, || {
            format!("proofs are bound to {url}; keys: {}", serving.sealing)
        });
    }

    fn answered(&self, answered: &Answered<'_>) {
        let level = match (answered.status, answered.route) {
            (500.., _) => LogLevel::Error,
            (429, _) => LogLevel::Warn,
            (_, "/healthz" | "/readyz") => LogLevel::Debug,
            _ => LogLevel::Info,
        };
        let duration_ms = (answered.duration.as_secs_f64() * 1e6).round() / 1e3;
        let what = What::Request {
            request_id: answered.request_id,
            method: answered.method,
            route: answered.route,
            status: answered.status,
            duration_ms,
            code: answered.code,
            error: answered.error.map(causes),
        };
        self.line(level, &what, || {
            let (time, id) = (now(), answered.request_id);
            let (method, route, status) = (answered.method, answered.route, answered.status);
            let code = answered
                .code
                .map_or_else(String::new, |code| format!(" {code}"));
            let error = answered
                .error
                .map_or_else(String::new, |error| format!("; error: {}", causes(error)));
            format!("{time} {method} {route} {status}{code} in {duration_ms} ms ({id}){error}")
        });
    }

    fn failed(&self, error: &(dyn Error + 'static)) {
        let error = causes(error);
        let human = format!("error: {error}");
        self.line(LogLevel::Error, &What::Error { error }, || human);
    }
}

/// Returns an error and what caused it on one line.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// Returns the time, to the millisecond.
fn now() -> String {
    let now = SystemTime::now();
    let millis = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.subsec_millis());
    let second = UnixTime::from(now).to_string();
    format!("{}.{millis:03}Z", second.trim_end_matches('Z'))
}
