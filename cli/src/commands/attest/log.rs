//! Statements in a transparency log (Rekor, version 1) that the user names.
//!
//! The log's word counts for nothing here: verdicts don't look at it. What it says of itself is
//! shown, and that is all.

use std::{
    collections::BTreeSet,
    fmt::Debug,
    io::{self, Write as _},
    panic,
    time::Duration,
};

use notme_agent::AuthorityUrl;
use notme_attest::{Attestations, Bundle, store::Kept, verify::Asked};
use notme_core::{base64, hex, json, key::sha256};
use notme_verifier::{Code, report::escape};
use serde_json::{Value, json};
use sigstore::rekor::{
    apis::{
        Error as LogError,
        configuration::Configuration,
        entries_api::{create_log_entry, get_log_entry_by_uuid},
        index_api::search_index,
    },
    models::{LogEntry, ProposedEntry, SearchIndex, log_entry::Body},
};
use tokio::runtime::Runtime;

use super::{Archive, NOTHING, check_public, leave_bundles};
use crate::{
    arguments::attest::{AttestLog, AttestPublish},
    commands::print_json,
    failure::{Exit, Failure, Outcome},
    home::Home,
    judging::Grounds,
};

/// The status by which a log says that it has an entry already.
const CONFLICT: u16 = 409;
/// How long the log may take for one answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most entries of one statement that are looked at.
const ENTRIES_MAX: usize = 64;

/// Puts the statements about a commit into the log: what is there is so for everybody and for ever.
pub(super) fn publish(home: &Home, arguments: &AttestPublish) -> Outcome {
    let log = Log::at(&arguments.log.rekor)?;
    let archive = Archive::open()?;
    let mut kept = archive.kept(&arguments.log.revision)?;
    leave_bundles(&mut kept)?;
    if !arguments.unjudged {
        keep_good(home, &archive, &arguments.log, &mut kept)?;
    }
    for kept in &kept {
        check_public(kept)?;
    }
    let bundles = bundles(&kept)?;
    let answers = bundles.iter().map(|bundle| log.publish(bundle));
    tell(&arguments.log, answers)
}

/// Leaves what is accepted, and what rejects the commit.
fn keep_good(
    home: &Home,
    archive: &Archive,
    arguments: &AttestLog,
    kept: &mut Vec<Kept>,
) -> Result<(), Failure> {
    if kept.is_empty() {
        return Ok(());
    }
    let grounds = Grounds::load(home, None, None)?;
    let judge = grounds.judge();
    let attestations = Attestations::new(archive.store.clone(), &judge, Asked::default());
    let mut good = BTreeSet::new();
    let mut talk = io::stderr().lock();
    for id in archive.ids(std::slice::from_ref(&arguments.revision))? {
        for it in attestations.of(&id)? {
            match it.verdict.code() {
                None | Some(Code::AcceptanceRejected) => {
                    good.insert(it.file);
                }
                Some(code) if it.attested_as.is_none() => {
                    writeln!(talk, "note: {} is not published: {code}", it.file)?;
                }
                Some(_) => {}
            }
        }
    }
    kept.retain(|kept| good.contains(&kept.name));
    match kept.is_empty() {
        true => Err(Failure::no("nothing that is attested about it is accepted")
            .hint("`--unjudged` publishes it all the same")),
        false => Ok(()),
    }
}

/// Shows the log's entries that speak of the statements about a commit.
pub(super) fn lookup(arguments: &AttestLog) -> Outcome {
    let log = Log::at(&arguments.rekor)?;
    let mut kept = Archive::open()?.kept(&arguments.revision)?;
    leave_bundles(&mut kept)?;
    let bundles = bundles(&kept)?;
    tell(arguments, bundles.iter().map(|bundle| log.find(bundle)))
}

/// The log, and what runs its client.
struct Log {
    configuration: Configuration,
    runtime: Runtime,
}

impl Log {
    fn at(url: &AuthorityUrl) -> Result<Self, Failure> {
        if !url.as_str().starts_with("http") {
            return Err(Failure::usage("a log has an https URL"));
        }
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none());
        let configuration = Configuration {
            base_path: url.as_str().to_owned(),
            client: client.build()?,
            user_agent: Some(concat!("notme/", env!("CARGO_PKG_VERSION")).to_owned()),
            ..Configuration::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(Self {
            configuration,
            runtime,
        })
    }

    /// Puts a statement into the log, unless it is there.
    fn publish(&self, bundle: &Bundle) -> Result<Vec<Value>, Failure> {
        let (configuration, entry) = (self.configuration.clone(), proposed(bundle)?);
        let made = self.ask(async move {
            match create_log_entry(&configuration, entry).await {
                Ok(made) => Ok(Some(made)),
                Err(LogError::ResponseError(answer)) if answer.status == CONFLICT => Ok(None),
                Err(error) => Err(in_words(error)),
            }
        })?;
        match made {
            Some(made) => Ok(vec![describe(bundle, &made)?]),
            None => self.find(bundle),
        }
    }

    /// Finds the entries that speak of a statement.
    fn find(&self, bundle: &Bundle) -> Result<Vec<Value>, Failure> {
        let (configuration, digest) = (self.configuration.clone(), bundle.payload_digest());
        let ids = self.ask(async move {
            let query = SearchIndex {
                hash: Some(digest),
                ..SearchIndex::new()
            };
            let found = search_index(&configuration, query).await;
            found.map_err(in_words)
        })?;
        let mut found = Vec::new();
        for id in ids.into_iter().take(ENTRIES_MAX) {
            let configuration = self.configuration.clone();
            let entry = self.ask(async move {
                let entry = get_log_entry_by_uuid(&configuration, &id).await;
                entry.map_err(in_words)
            })?;
            found.push(describe(bundle, &entry)?);
        }
        Ok(found)
    }

    /// Asks the log. Its client panics at answers that it does not expect: that is an error here,
    /// and nothing for the terminal.
    fn ask<T: Send + 'static>(
        &self,
        asking: impl Future<Output = Result<T, String>> + Send + 'static,
    ) -> Result<T, Failure> {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(|_| ()));
        let answer = self.runtime.block_on(self.runtime.spawn(asking));
        panic::set_hook(hook);
        match answer {
            Ok(answer) => answer.map_err(|cause| Failure::from(format!("the log: {cause}"))),
            Err(_) => Err(Failure::from("the log's answer is not one of Rekor's")),
        }
    }
}

/// Says what went wrong with all its causes, which the client only shows as they are in Rust.
fn in_words<T: Debug>(error: LogError<T>) -> String {
    let failure = match error {
        LogError::Reqwest { source } => Failure::from(source),
        LogError::Serde { source } => Failure::from(source),
        LogError::Io { source } => Failure::from(source),
        LogError::ResponseError(_) => Failure::from(error.to_string()),
    };
    failure.to_string()
}

/// Returns what is kept about the commit, as far as a log takes it: with a certificate and one
/// signature.
fn bundles(kept: &[Kept]) -> Result<Vec<Bundle>, Failure> {
    let bundles = kept.iter().map(|kept| Bundle::from_json(&kept.content));
    let bundles: Vec<_> = bundles.collect::<Result<_, _>>()?;
    match bundles.is_empty() {
        true => Err(Failure::no(NOTHING)),
        false => Ok(bundles),
    }
}

/// Writes an entry of kind `intoto` 0.0.2, in which payload and signature are base64 of base64.
fn proposed(bundle: &Bundle) -> Result<ProposedEntry, Failure> {
    let envelope = bundle.envelope();
    let incomplete = || Failure::usage("a log takes bundles with a certificate and one signature");
    let (keyid, sig) = envelope.only_signature().ok_or_else(incomplete)?;
    let certificate = bundle.certificates().first().ok_or_else(incomplete)?.pem();
    let (payload, sig) = (base64::encode(envelope.payload()), base64::encode(sig));
    let written = |payload: &str, sig: &str, key: &str| {
        let signatures = json!([{"keyid": keyid, "sig": sig, "publicKey": key}]);
        json!({"payloadType": envelope.payload_type(), "payload": payload, "signatures": signatures})
    };
    let hash = sha256(&json::canonical(&written(&payload, &sig, &certificate))?);
    let twice = |text: &str| base64::encode(text.as_bytes());
    let digest = |hash: &[u8]| json!({"algorithm": "sha256", "value": hex::encode(hash)});
    Ok(ProposedEntry::Intoto {
        api_version: "0.0.2".to_owned(),
        spec: json!({"content": {
            "envelope": written(&twice(&payload), &twice(&sig), &twice(&certificate)),
            "hash": digest(&hash),
            "payloadHash": digest(&sha256(envelope.payload())),
        }}),
    })
}

/// Says what the log says, once its entry is seen to be about the statement.
fn describe(bundle: &Bundle, entry: &LogEntry) -> Result<Value, Failure> {
    let digest = bundle.payload_digest();
    let stated = match &entry.body {
        Body::intoto(body) => body.spec.pointer("/content/payloadHash/value"),
        _ => None,
    };
    let stated = stated.and_then(Value::as_str).unwrap_or_default();
    if format!("sha256:{stated}") != digest {
        return Err(Failure::no(format!(
            "the log's entry is not about {digest}"
        )));
    }
    Ok(json!({
        "digest": digest,
        "uuid": entry.uuid,
        "log_id": entry.log_i_d,
        "log_index": entry.log_index,
        "integrated_time": entry.integrated_time,
    }))
}

/// Tells of entries as they come: what was published stays so, whatever fails after it.
fn tell(
    arguments: &AttestLog,
    answers: impl Iterator<Item = Result<Vec<Value>, Failure>>,
) -> Outcome {
    let mut shown = Vec::new();
    let told = answers.into_iter().try_for_each(|entries| {
        let entries = entries?;
        if !arguments.json {
            print(&entries)?;
        }
        shown.extend(entries);
        Ok(())
    });
    if arguments.json && (told.is_ok() || !shown.is_empty()) {
        print_json(&shown)?;
    }
    told.map(|()| match shown.is_empty() {
        true => Exit::No,
        false => Exit::Yes,
    })
}

fn print(entries: &[Value]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for it in entries {
        let text = |member: &str| it.get(member).and_then(Value::as_str).unwrap_or("?");
        let index = it.get("log_index").unwrap_or(&Value::Null);
        let (digest, id) = (text("digest"), escape(text("uuid")));
        writeln!(out, "{digest}  entry {index}  {id}")?;
    }
    Ok(())
}
