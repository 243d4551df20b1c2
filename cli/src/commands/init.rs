//! `notme init`: make git sign as an agent here, and take it back.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notme_agent::{
    AgentConfig, AuthorityAddress, AuthorityUrl, Document, Pins, Timestamping, TokenSource, Wire,
};
use notme_authority::{Admin, SystemClock};
use notme_core::{enrol::SCOPES, identity::AgentName};

use crate::{
    arguments::{Init, Profile, SignatureForm, Timestamp, TokenFrom},
    commands::{agent, trust},
    failure::{Exit, Failure, Outcome, read_file},
    forge::{self, Remote},
    git::{self, Scope},
    home::Home,
    program::{self, GPG_NAME, GPGSM_NAME, SSH_KEYGEN_NAME},
    settings::{self, Setting, SettingsError, Undone},
};

/// The name of the embedded authority in the trust store.
pub(crate) const EMBEDDED: &str = "embedded";
/// How long the embedded authority may take to make its keys and answer.
const EMBEDDED_DEADLINE: Duration = Duration::from_secs(10);

pub(crate) fn run(home: &Home, arguments: &Init) -> Outcome {
    let scope = if arguments.global {
        Scope::Global
    } else {
        Scope::Local
    };
    let backup = backup_file(home, scope).map_err(|error| {
        Failure::usage(error).hint("run it inside a git repository, or with `--global`")
    })?;
    if arguments.undo {
        return undo(scope, &backup);
    }
    let format = match arguments.pairs {
        true => SignatureForm::X509,
        false => choose_format(arguments)?,
    };
    if arguments.timestamp.is_some() && format != SignatureForm::X509 {
        let problem = format!("{} signatures carry no time stamp", format.as_str());
        return Err(Failure::usage(problem).hint("add `--format x509`, or leave `--timestamp` out"));
    }
    let mut config = match &arguments.authority {
        None => embedded(home, arguments)?,
        Some(url) => remote(home, arguments, url)?,
    };
    // Said only when it differs, so that an authority of before understands the request.
    config.scopes = arguments
        .ssh_login
        .then(|| SCOPES.map(str::to_owned).to_vec());
    config.timestamp = arguments.timestamp.map(timestamping);
    config.token = arguments.token_from.clone().map(|source| match source {
        // Who is asked for is the authority, as long as nobody says otherwise.
        TokenFrom::Github => TokenSource::Github {
            audience: arguments
                .audience
                .clone()
                .or_else(|| config.authority.host())
                .unwrap_or_default(),
        },
        TokenFrom::File(path) => TokenSource::File(path),
        TokenFrom::Command(command) => TokenSource::Command(command),
    });
    config.save(&home.agents())?;
    let token = arguments
        .token_file
        .as_deref()
        .map(read_token)
        .transpose()?;
    let opens = token.is_some() || config.token.is_some();
    if opens {
        agent::enrol(home, &arguments.agent, token)?;
    }
    let settings = git_settings(home, &arguments.agent, format)?;

    let mut out = io::stdout().lock();
    if config.embedded {
        writeln!(
            out,
            "the authority is your own; a file in {} seals its keys, which\nprotects copies of them and not against whoever reads that directory",
            home.authority().display()
        )?;
    }
    writeln!(out, "writing to {}:", git::config_file(scope)?.display())?;
    for (name, value) in &settings {
        writeln!(out, "  {name} = {value}")?;
    }
    settings::apply(scope, &backup, &settings)?;
    let name = &arguments.agent;
    if config.embedded || opens {
        writeln!(
            out,
            "commits and tags made here are signed as agent `{name}`"
        )?;
    } else {
        writeln!(
            out,
            "agent `{name}` has no session yet: notme agent enrol {name} --token-file FILE"
        )?;
    }
    Ok(Exit::Yes)
}

fn undo(scope: Scope, backup: &Path) -> Outcome {
    let mut out = io::stdout().lock();
    let undone = settings::undo(scope, backup).map_err(|error| match error {
        SettingsError::NothingToUndo(_) => Failure::no(error),
        other => other.into(),
    })?;
    match undone {
        Undone::Exactly => writeln!(out, "the settings are what they were, byte for byte")?,
        Undone::Settings { kept } => {
            writeln!(
                out,
                "the settings are what they were; other edits of the file were kept"
            )?;
            for name in kept {
                writeln!(
                    out,
                    "  left alone, since it was changed after `notme init`: {name}"
                )?;
            }
        }
    }
    Ok(Exit::Yes)
}

/// Takes the format that was asked for, else the one that suits the remote, and says why.
fn choose_format(arguments: &Init) -> Result<SignatureForm, Failure> {
    if let Some(format) = arguments.format {
        return Ok(format);
    }
    // Settings for all repositories are about no remote in particular.
    let remote = if arguments.global {
        None
    } else {
        Remote::find()?
    };
    let format = forge::format_for(remote.as_ref());
    let mut talk = io::stderr().lock();
    forge::write_table(&mut talk)?;
    let place = remote.map_or_else(|| "no remote to go by".to_owned(), |remote| remote.place());
    let name = format.as_str();
    writeln!(
        talk,
        "format {name}, for {place}; `--format` chooses another"
    )?;
    Ok(format)
}

/// Returns what git has to be told; for SSH, after writing the file that it is pointed at.
fn git_settings(
    home: &Home,
    agent: &AgentName,
    format: SignatureForm,
) -> Result<Vec<Setting>, Failure> {
    let program = |name| -> Result<String, Failure> {
        let link = program::link_for_git(home, name)?;
        Ok(link.to_string_lossy().into_owned())
    };
    let mut settings = vec![("gpg.format", format.as_str().to_owned())];
    settings.extend(match format {
        SignatureForm::X509 => vec![("gpg.x509.program", program(GPGSM_NAME)?)],
        SignatureForm::Ssh => {
            let signers = home.allowed_signers();
            fs::write(&signers, trust::allowed_signers(home))?;
            vec![
                ("gpg.ssh.program", program(SSH_KEYGEN_NAME)?),
                (
                    "gpg.ssh.allowedSignersFile",
                    signers.to_string_lossy().into_owned(),
                ),
            ]
        }
        SignatureForm::Openpgp => vec![("gpg.openpgp.program", program(GPG_NAME)?)],
    });
    settings.extend([
        ("user.signingkey", agent.to_string()),
        ("commit.gpgsign", "true".to_owned()),
        ("tag.gpgsign", "true".to_owned()),
    ]);
    Ok(settings)
}

/// Starts this user's own authority, and pins it from its own directory.
fn embedded(home: &Home, arguments: &Init) -> Result<AgentConfig, Failure> {
    let (address, pins) = trust_embedded(home)?;
    let mut config = AgentConfig::new(
        arguments.agent.clone(),
        address.url().clone(),
        profile(arguments.profile),
        Pins::new(pins)?,
    );
    config.embedded = true;
    Ok(config)
}

/// Fetches what this user's own authority publishes into the trust store; returns where it is
/// and its pins.
pub(crate) fn trust_embedded(home: &Home) -> Result<(AuthorityAddress, Vec<[u8; 32]>), Failure> {
    let address = start_embedded(home)?;
    let roots = Admin::open(&home.authority(), Arc::new(SystemClock))?.roots()?;
    let pins: Vec<[u8; 32]> = roots
        .iter()
        .map(|root| root.public_key().spki_sha256())
        .collect();
    let document = notme_agent::fetch(address.clone(), None, Document::Trust)?;
    trust::pin_or_refresh(home, EMBEDDED, &document, &pins)?;
    Ok((address, pins))
}

/// Returns the address of this user's own authority, once it answers.
pub(crate) fn start_embedded(home: &Home) -> Result<AuthorityAddress, Failure> {
    let address = AuthorityUrl::embedded(&home.authority())?.at(&home.authority_socket());
    let launcher = program::authority_launcher(home)?;
    notme_agent::ensure_embedded_authority(address.clone(), launcher, EMBEDDED_DEADLINE)?;
    Ok(address)
}

/// Pins an authority that somebody else runs, by what its operator said.
fn remote(home: &Home, arguments: &Init, url: &str) -> Result<AgentConfig, Failure> {
    let url: AuthorityUrl = url.parse().map_err(Failure::usage)?;
    let pins = trust::parse_pins(&arguments.pin)?;
    let fetch = |document| notme_agent::fetch(&url, arguments.ca_file.clone(), document);
    if arguments.pairs {
        if pins.is_empty() {
            return Err(trust::pin_wanted(&[]));
        }
        let bundle = String::from_utf8(fetch(Document::WellKnownCaBundle)?)?;
        trust::pin_bundle(home, &trust::name_of(&url), &bundle, &pins)?;
    } else {
        let document = fetch(Document::Trust)?;
        if pins.is_empty() {
            return Err(trust::pin_wanted(&document));
        }
        trust::pin_or_refresh(home, &trust::name_of(&url), &document, &pins)?;
    }
    let mut config = AgentConfig::new(
        arguments.agent.clone(),
        url,
        profile(arguments.profile),
        Pins::new(pins)?,
    );
    if arguments.pairs {
        config.wire = Wire::Pairs;
    }
    config.ca_file = arguments
        .ca_file
        .as_deref()
        .map(fs::canonicalize)
        .transpose()?;
    Ok(config)
}

const fn profile(profile: Profile) -> notme_agent::Profile {
    match profile {
        Profile::Modern => notme_agent::Profile::Modern,
        Profile::Interop => notme_agent::Profile::Interop,
    }
}

const fn timestamping(timestamp: Timestamp) -> Timestamping {
    match timestamp {
        Timestamp::Wanted => Timestamping::Wanted,
        Timestamp::Required => Timestamping::Required,
    }
}

/// Reads an enrolment token, which is not to be an argument that everybody sees.
pub(crate) fn read_token(file: &Path) -> Result<String, Failure> {
    let limit = u64::try_from(notme_agent::TOKEN_MAX).unwrap_or(u64::MAX);
    let token = String::from_utf8(read_file(file, limit)?)?;
    Ok(token.trim().to_owned())
}

/// Returns where `init` keeps what was there before.
///
/// # Errors
/// [`git::GitError`] outside a repository, when it is about one.
pub(crate) fn backup_file(home: &Home, scope: Scope) -> Result<PathBuf, git::GitError> {
    Ok(match scope {
        Scope::Local => git::common_directory()?.join("notme/settings.json"),
        Scope::Global => home.programs().join("settings.json"),
    })
}
