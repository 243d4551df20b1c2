//! The stock git, asked for what only it knows: its configuration and its repository.

use std::{
    ffi::OsStr,
    fs, io,
    path::PathBuf,
    process::{Command, Output},
};

/// git answered with an error, or could not be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GitError {
    /// The program could not be run.
    #[error("could not run `git`")]
    Run(#[source] io::Error),
    /// It refused.
    #[error("`git {command}` failed: {message}")]
    Refused {
        /// The subcommand.
        command: String,
        /// Its words.
        message: String,
    },
}

/// Which configuration file is meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scope {
    /// The repository's.
    Local,
    /// The user's.
    Global,
}

impl Scope {
    const fn flag(self) -> &'static str {
        match self {
            Self::Local => "--local",
            Self::Global => "--global",
        }
    }
}

fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<Output, GitError> {
    Command::new("git")
        .args(arguments)
        .output()
        .map_err(GitError::Run)
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output)
        .trim_end_matches('\n')
        .to_owned()
}

fn success(command: &str, output: Output) -> Result<String, GitError> {
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(GitError::Refused {
        command: command.to_owned(),
        message: text(&output.stderr),
    })
}

/// Returns the directory that all worktrees of the repository share.
///
/// # Errors
/// [`GitError`] outside a repository.
pub(crate) fn common_directory() -> Result<PathBuf, GitError> {
    let output = run(["rev-parse", "--path-format=absolute", "--git-common-dir"])?;
    success("rev-parse", output).map(PathBuf::from)
}

/// Returns the top of the working tree.
///
/// # Errors
/// [`GitError`] outside of one.
pub(crate) fn top_level() -> Result<PathBuf, GitError> {
    let output = run(["rev-parse", "--path-format=absolute", "--show-toplevel"])?;
    success("rev-parse", output).map(PathBuf::from)
}

/// Returns the version that git reports.
///
/// # Errors
/// [`GitError`] when it cannot be run.
pub(crate) fn version() -> Result<String, GitError> {
    success("version", run(["version"])?)
}

/// Returns the value in force, from whatever file.
///
/// # Errors
/// [`GitError`] when the configuration cannot be read.
pub(crate) fn value(name: &str) -> Result<Option<String>, GitError> {
    let output = run(["config", "--get", name])?;
    // 1: the key is not set.
    if output.status.code() == Some(1) {
        return Ok(None);
    }
    success("config", output).map(Some)
}

/// Returns the setting that names the program for a format; git's own default is OpenPGP.
pub(crate) fn program_setting(format: Option<&str>) -> &'static str {
    match format {
        Some("x509") => "gpg.x509.program",
        Some("ssh") => "gpg.ssh.program",
        _ => "gpg.openpgp.program",
    }
}

/// Tells whether the value in force is a yes, in any of git's spellings.
///
/// # Errors
/// [`GitError`] when the configuration cannot be read or the value is no boolean.
pub(crate) fn is_true(name: &str) -> Result<bool, GitError> {
    let output = run(["config", "--type=bool", "--get", name])?;
    if output.status.code() == Some(1) {
        return Ok(false);
    }
    success("config", output).map(|value| value == "true")
}

/// Returns the remote that `git push` would use: the branch's, the default, `origin`, or the only
/// one. Outside a repository there is none.
///
/// # Errors
/// [`GitError`] when the configuration cannot be read.
pub(crate) fn push_remote() -> Result<Option<String>, GitError> {
    if !run(["rev-parse", "--git-dir"])?.status.success() {
        return Ok(None);
    }
    let head = run(["symbolic-ref", "--quiet", "--short", "HEAD"])?;
    let branch = text(&head.stdout);
    for name in [
        format!("branch.{branch}.pushRemote"),
        "remote.pushDefault".to_owned(),
        format!("branch.{branch}.remote"),
    ] {
        if let Some(remote) = value(&name)? {
            return Ok(Some(remote));
        }
    }
    let remotes = success("remote", run(["remote"])?)?;
    let names: Vec<&str> = remotes.lines().collect();
    Ok(match names.as_slice() {
        [only] => Some((*only).to_owned()),
        _ => names.contains(&"origin").then(|| "origin".to_owned()),
    })
}

/// Returns where pushes to a remote go, rewritten as the configuration says; nothing when that is
/// no remote of ours, but a URL itself.
///
/// # Errors
/// [`GitError`] when git cannot be run.
pub(crate) fn push_url(remote: &str) -> Result<Option<String>, GitError> {
    let output = run(["remote", "get-url", "--push", "--", remote])?;
    Ok(success("remote get-url", output).ok())
}

/// Fetches refs into refs, both ours to name; nothing else is fetched along.
///
/// # Errors
/// [`GitError`] when the remote cannot be read.
pub(crate) fn fetch(remote: &str, refspec: &str) -> Result<(), GitError> {
    let options = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head"];
    let output = run(options.into_iter().chain(["--", remote, refspec]))?;
    success("fetch", output).map(drop)
}

/// Pushes refs under their own names, without force.
///
/// # Errors
/// [`GitError`] when the remote did not take them.
pub(crate) fn push(remote: &str, references: &[String]) -> Result<(), GitError> {
    let mut arguments = vec!["push", "--quiet", "--", remote];
    arguments.extend(references.iter().map(String::as_str));
    success("push", run(arguments)?).map(drop)
}

/// A file that a commit changed.
pub(crate) struct FileChange {
    /// Its path.
    pub(crate) path: String,
    /// Lines added; none in a binary file.
    pub(crate) added: u64,
    /// Lines removed.
    pub(crate) removed: u64,
}

/// Returns the first line of a commit's message, and what the commit changed against its first
/// parent.
///
/// # Errors
/// [`GitError`] when it cannot be read.
pub(crate) fn changes(commit: &str) -> Result<(String, Vec<FileChange>), GitError> {
    let options = ["show", "--first-parent", "--no-renames", "--numstat", "-z"];
    let rest = [
        "--no-show-signature",
        "--format=%s",
        "--end-of-options",
        commit,
    ];
    let output = success("show", run(options.into_iter().chain(rest))?)?;
    // The format ends with a NUL; then one for each file: `added TAB removed TAB path`.
    let mut fields = output.split('\0');
    let subject = fields.next().unwrap_or_default().to_owned();
    let change = |line: &str| {
        let mut parts = line.trim_start_matches('\n').splitn(3, '\t');
        let count = |text: Option<&str>| text?.parse().ok();
        let (added, removed) = (count(parts.next()), count(parts.next()));
        Some(FileChange {
            path: parts.next()?.to_owned(),
            added: added.unwrap_or(0),
            removed: removed.unwrap_or(0),
        })
    };
    Ok((subject, fields.filter_map(change).collect()))
}

/// Returns every value that one file gives a key.
///
/// # Errors
/// [`GitError`] when the configuration cannot be read.
pub(crate) fn values(scope: Scope, name: &str) -> Result<Vec<String>, GitError> {
    let output = run(["config", scope.flag(), "--null", "--get-all", name])?;
    if output.status.code() == Some(1) {
        return Ok(Vec::new());
    }
    let joined = success("config", output)?;
    Ok(joined.split_terminator('\0').map(str::to_owned).collect())
}

/// Gives a key exactly these values in one file.
///
/// # Errors
/// [`GitError`] when the file cannot be written.
pub(crate) fn replace(scope: Scope, name: &str, values: &[String]) -> Result<(), GitError> {
    if !self::values(scope, name)?.is_empty() {
        success(
            "config",
            run(["config", scope.flag(), "--unset-all", name])?,
        )?;
    }
    for value in values {
        success(
            "config",
            run(["config", scope.flag(), "--add", name, value])?,
        )?;
    }
    Ok(())
}

/// Returns the path of a configuration file, through any links: the file that git writes.
///
/// # Errors
/// [`GitError`] outside a repository.
pub(crate) fn config_file(scope: Scope) -> Result<PathBuf, GitError> {
    let path = match scope {
        Scope::Local => common_directory()?.join("config"),
        Scope::Global => global_config_file(),
    };
    Ok(fs::canonicalize(&path).unwrap_or(path))
}

fn global_config_file() -> PathBuf {
    if let Some(path) = std::env::var_os("GIT_CONFIG_GLOBAL") {
        return path.into();
    }
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .unwrap_or_default();
    let classic = home.join(".gitconfig");
    let xdg = std::env::var_os("XDG_CONFIG_HOME")
        .map_or_else(|| home.join(".config"), PathBuf::from)
        .join("git/config");
    // git writes the XDG file only where it exists and the classic one does not.
    if !classic.exists() && xdg.exists() {
        xdg
    } else {
        classic
    }
}
