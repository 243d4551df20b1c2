//! The stock git, asked for what only it knows: its configuration and its repository.

use std::{
    env,
    ffi::OsStr,
    fmt::Write as _,
    fs,
    io::{self, Seek as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use notme_attest::store::{Shelf, Unlike, push_name};
use notme_core::glob::Glob;
use notme_verifier::{Repository, repository::ObjectId};
use tempfile::TempDir;

use crate::shell::{quoted, quoted_path};

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
    /// The worktree's; the repository's where worktrees have none.
    Worktree,
}

impl Scope {
    const fn flag(self) -> &'static str {
        match self {
            Self::Local => "--local",
            Self::Global => "--global",
            Self::Worktree => "--worktree",
        }
    }
}

/// Starts a command. Objects are what their names say, whatever is put in their place for reading.
fn git() -> Command {
    let mut command = Command::new("git");
    command.env("GIT_NO_REPLACE_OBJECTS", "1");
    command
}

/// Returns git with settings beside the configuration. They are not arguments, which everybody can read:
/// there may be a token in a URL.
fn git_with(settings: &[(String, String)]) -> Command {
    let mut command = git();
    if settings.is_empty() {
        return command;
    }
    let mut count = settings_before();
    for (name, value) in settings {
        command.env(format!("GIT_CONFIG_KEY_{count}"), name);
        command.env(format!("GIT_CONFIG_VALUE_{count}"), value);
        count += 1;
    }
    command.env("GIT_CONFIG_COUNT", count.to_string());
    command
}

/// Returns how many settings the environment has already.
pub(crate) fn settings_before() -> usize {
    let count = env::var("GIT_CONFIG_COUNT").ok();
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<Output, GitError> {
    git().args(arguments).output().map_err(GitError::Run)
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
        // On one line, as every message.
        message: text(&output.stderr).lines().collect::<Vec<_>>().join("; "),
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

/// Returns the directory that git refuses to work in because it belongs to somebody else.
///
/// # Errors
/// [`GitError::Run`].
pub(crate) fn refused_directory() -> Result<Option<PathBuf>, GitError> {
    let output = git()
        .env("LC_ALL", "C")
        .args(["rev-parse", "--git-dir"])
        .output()
        .map_err(GitError::Run)?;
    let words = text(&output.stderr);
    // fatal: detected dubious ownership in repository at '/path'
    let path = words
        .split_once("dubious ownership in repository at '")
        .and_then(|(_, rest)| rest.split_once('\''));
    Ok(path.map(|(path, _)| path.into()))
}

/// Tells whether there are replace refs.
///
/// # Errors
/// [`GitError`] outside a repository.
pub(crate) fn has_replacements() -> Result<bool, GitError> {
    success("replace", run(["replace", "--list"])?).map(|list| !list.is_empty())
}

/// Returns the refs below these names from which not everything is here that ought to be.
///
/// # Errors
/// [`GitError`] outside a repository.
pub(crate) fn incomplete_references(below: &[&str]) -> Result<Vec<String>, GitError> {
    let list = ["for-each-ref", "--format=%(refname)"];
    let names = success("for-each-ref", run(list.iter().chain(below))?)?;
    let mut incomplete = Vec::new();
    for name in names.lines() {
        let walk = ["rev-list", "--objects", "--quiet"];
        // What a partial clone left out is not missing.
        let walk = walk
            .into_iter()
            .chain(["--exclude-promisor-objects", name, "--"]);
        if !run(walk)?.status.success() {
            incomplete.push(name.to_owned());
        }
    }
    Ok(incomplete)
}

/// Returns the directory of this worktree in the repository.
///
/// # Errors
/// [`GitError`] outside a repository.
pub(crate) fn directory() -> Result<PathBuf, GitError> {
    success("rev-parse", run(["rev-parse", "--absolute-git-dir"])?).map(PathBuf::from)
}

/// Returns where git looks for hooks; at most so many settings of the environment count.
///
/// # Errors
/// [`GitError`] outside a repository.
pub(crate) fn hooks_path(settings: Option<usize>) -> Result<PathBuf, GitError> {
    let mut command = git();
    command.args(["rev-parse", "--path-format=absolute", "--git-path", "hooks"]);
    if let Some(settings) = settings {
        command.env("GIT_CONFIG_COUNT", settings.to_string());
    }
    let output = command.output().map_err(GitError::Run)?;
    success("rev-parse", output).map(PathBuf::from)
}

/// Returns what all refs name, HEAD of each worktree, and all that is stashed.
///
/// # Errors
/// [`GitError`].
pub(crate) fn all_tips() -> Result<Vec<ObjectId>, GitError> {
    let listed = run(["for-each-ref", "--format=%(objectname)"])?;
    let mut tips = ids(success("for-each-ref", listed)?.lines());
    if run(["reflog", "exists", "refs/stash"])?.status.success() {
        let stashed = run(["rev-list", "--walk-reflogs", "refs/stash", "--"])?;
        let stashed = success("rev-list", stashed)?;
        tips.extend(ids(stashed.lines()));
    }
    let listed = run(["worktree", "list", "--porcelain"])?;
    let listed = success("worktree", listed)?;
    let heads = listed.lines().filter_map(|line| line.strip_prefix("HEAD "));
    tips.extend(ids(heads));
    // An unborn branch names nothing.
    tips.retain(|id| !id.is_null());
    Ok(tips)
}

/// Returns what those remote-tracking branches name that are fetched from one remote, and from no other.
///
/// # Errors
/// [`GitError`].
pub(crate) fn remote_tips(remote: &str) -> Result<Vec<ObjectId>, GitError> {
    let settings = section("remote")?;
    let url_of = |name: &str| {
        let wanted = format!("remote.{name}.url");
        let mut found = settings.iter().filter(|(setting, _)| *setting == wanted);
        found.next().map(|(_, url)| url)
    };
    let url = url_of(remote);
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for (setting, refspec) in &settings {
        let name = setting.strip_prefix("remote.");
        let name = name.and_then(|name| name.strip_suffix(".fetch"));
        let into = refspec.split_once(':').map(|(_, into)| local_name(into));
        match (name, into) {
            // Two names of one place.
            (Some(name), Some(into)) if name == remote || url.is_some() && url_of(name) == url => {
                own.push(Glob::new(&into));
            }
            // A mirror has what others fetched, and brings nothing there.
            (Some(_), Some(into)) if into.starts_with("refs/remotes/") => {
                others.push(Glob::new(&into));
            }
            (_, Some(_) | None) => {}
        }
    }
    let arguments = [
        "for-each-ref",
        "--format=%(objectname) %(refname)",
        "refs/remotes",
    ];
    let listed = success("for-each-ref", run(arguments)?)?;
    let listed = listed.lines().filter_map(|line| line.split_once(' '));
    let are_into = |all: &[Glob], name: &str| all.iter().any(|into| into.matches(name));
    let seen = listed.filter(|(_, name)| are_into(&own, name) && !are_into(&others, name));
    Ok(ids(seen.map(|(id, _)| id)))
}

/// Returns the ref that is fetched into, of which the beginning may be left out.
fn local_name(name: &str) -> String {
    match name.split('/').next().unwrap_or_default() {
        "refs" => name.to_owned(),
        "heads" | "tags" | "remotes" => format!("refs/{name}"),
        _ => format!("refs/heads/{name}"),
    }
}

fn ids<'t>(names: impl Iterator<Item = &'t str>) -> Vec<ObjectId> {
    names
        .filter_map(|name| ObjectId::from_hex(name.as_bytes()).ok())
        .collect()
}

/// Checks what one commit reaches and another does not as `fetch.fsckObjects` does: each object by itself,
/// and that nothing is missing.
///
/// # Errors
/// [`GitError`] when something is wrong.
pub(crate) fn check_objects(of: ObjectId, without: Option<ObjectId>) -> Result<(), GitError> {
    let scratch = TempDir::with_prefix("notme-check-").map_err(GitError::Run)?;
    let mut input = of.to_string();
    if let Some(without) = without {
        let _ = write!(input, "\n^{without}");
    }
    let mut pack = start(&["pack-objects", "--revs", "--stdout", "-q"], &input)?;
    let stream = pack.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let mut check = git();
    check.args(["index-pack", "--strict", "--stdin"]);
    check.arg(scratch.path().join("brought.pack")).stdin(stream);
    let checked = check.output().map_err(GitError::Run)?;
    // It holds the pipe, and who writes to it waits.
    drop(check);
    let packed = pack.wait_with_output().map_err(GitError::Run)?;
    success("index-pack", checked)?;
    success("pack-objects", packed).map(drop)
}

/// Starts a command that reads all of its input before it writes anything.
fn start(arguments: &[&str], input: &str) -> Result<Child, GitError> {
    let mut command = git();
    command.args(arguments).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(GitError::Run)?;
    if let Some(mut stdin) = child.stdin.take() {
        let written = stdin.write_all(input.as_bytes());
        written.map_err(GitError::Run)?;
    }
    Ok(child)
}

/// Returns the name and the address of whoever would be the author of a commit made now.
///
/// # Errors
/// [`GitError`] when git does not know.
pub(crate) fn author() -> Result<(String, String), GitError> {
    let ident = success("var", run(["var", "GIT_AUTHOR_IDENT"])?)?;
    let (name, rest) = ident.split_once(" <").unwrap_or((ident.as_str(), ""));
    let email = rest.split_once('>').map_or("", |(email, _)| email);
    Ok((name.to_owned(), email.to_owned()))
}

/// Returns what git keeps of a message that somebody edited.
///
/// # Errors
/// [`GitError`].
pub(crate) fn without_comments(message: &str) -> Result<String, GitError> {
    let strip = start(&["stripspace", "--strip-comments"], message)?;
    let output = strip.wait_with_output().map_err(GitError::Run)?;
    success("stripspace", output)
}

/// Adds trailers to a message, in place of those of the same names; with a character that comments begin
/// with there, if it is not the one of the settings.
///
/// # Errors
/// [`GitError`].
pub(crate) fn add_trailers(
    file: &Path,
    trailers: &[String],
    comment: Option<char>,
) -> Result<(), GitError> {
    let mut command = git();
    if let Some(comment) = comment {
        command.args(["-c", &format!("core.commentChar={comment}")]);
    }
    command.args(["interpret-trailers", "--in-place", "--no-divider"]);
    for trailer in trailers {
        command.args(["--if-exists", "replace", "--trailer", trailer]);
    }
    let output = command.arg(file).output().map_err(GitError::Run)?;
    success("interpret-trailers", output).map(drop)
}

/// Returns every setting that counts here, names in lower case but for their middle.
///
/// # Errors
/// [`GitError`] when git cannot be run.
pub(crate) fn settings() -> Result<Vec<(String, String)>, GitError> {
    list_settings(&[])
}

/// Returns the settings that the person made for all repositories, in the same form.
///
/// # Errors
/// [`GitError`] when git cannot be run.
pub(crate) fn global_settings() -> Result<Vec<(String, String)>, GitError> {
    list_settings(&["--global"])
}

fn list_settings(scope: &[&str]) -> Result<Vec<(String, String)>, GitError> {
    let output = run([&["config"], scope, &["--null", "--list"]].concat())?;
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let entries = listed.split_terminator('\0');
    Ok(entries
        .filter_map(|entry| entry.split_once('\n'))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

/// Adds a setting to a file.
///
/// # Errors
/// [`GitError`].
pub(crate) fn add_to_file(file: &Path, name: &str, value: &str) -> Result<(), GitError> {
    let mut command = git();
    command.args(["config", "--file"]).arg(file);
    let output = command.args(["--add", name, value]).output();
    success("config", output.map_err(GitError::Run)?).map(drop)
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

/// Returns the value in force where the repository's own file has the last word; else git has to be
/// asked.
pub(crate) fn own_value(repository: &Repository, name: &str) -> Option<String> {
    let others = [
        "GIT_CONFIG",
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_PARAMETERS",
        "GIT_COMMON_DIR",
    ];
    let is_set = |name: &&str| env::var_os(name).is_some();
    match others.iter().any(is_set) {
        true => None,
        false => repository.own_setting(name),
    }
}

/// Returns a path that is set, in one file or in whatever file.
///
/// # Errors
/// [`GitError`] when the configuration cannot be read.
pub(crate) fn path_of(scope: Option<Scope>, name: &str) -> Result<Option<PathBuf>, GitError> {
    let mut arguments = vec!["config"];
    arguments.extend(scope.map(Scope::flag));
    arguments.extend(["--type=path", "--get", name]);
    let output = run(arguments)?;
    if output.status.code() == Some(1) {
        return Ok(None);
    }
    let path = success("config", output)?;
    Ok(Some(path)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from))
}

/// Returns the settings of a section with their values, from whatever file, in their order; names
/// as git writes them, in lower case.
///
/// # Errors
/// [`GitError`] when the configuration cannot be read.
pub(crate) fn section(name: &str) -> Result<Vec<(String, String)>, GitError> {
    let pattern = format!("^{name}\\.");
    let output = run(["config", "--null", "--get-regexp", &pattern])?;
    if output.status.code() == Some(1) {
        return Ok(Vec::new());
    }
    let joined = success("config", output)?;
    let entries = joined.split_terminator('\0');
    // A name alone is a yes.
    let pair = |entry: &str| {
        let (name, value) = entry.split_once('\n').unwrap_or((entry, "true"));
        (name.to_owned(), value.to_owned())
    };
    Ok(entries.map(pair).collect())
}

/// Returns the bytes of a file, by its object's name.
///
/// # Errors
/// [`GitError`] when it is not there.
pub(crate) fn blob(id: &str) -> Result<Vec<u8>, GitError> {
    let output = run(["cat-file", "blob", id])?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => success("cat-file", output).map(String::into_bytes),
    }
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

/// Where a value of the configuration stands.
#[derive(Debug)]
pub(crate) enum Place {
    /// In the machine's file.
    System,
    /// In the user's file.
    User,
    /// In the repository's file.
    Repository,
    /// In the file of one worktree.
    Worktree,
    /// In a file that one of these includes.
    Included(PathBuf),
    /// In this variable, and those that go with it.
    Environment(&'static str),
}

/// One value of the configuration.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The setting, as git spells it.
    pub(crate) name: String,
    /// Its value.
    pub(crate) value: String,
    /// Where it comes from.
    pub(crate) place: Place,
}

impl Entry {
    /// Returns the command that takes it out of where it stands.
    pub(crate) fn removal(&self) -> String {
        let scope = match &self.place {
            Place::Environment(variable) => return format!("unset {variable}"),
            Place::System => "--system".to_owned(),
            Place::User => Scope::Global.flag().to_owned(),
            Place::Repository => Scope::Local.flag().to_owned(),
            Place::Worktree => "--worktree".to_owned(),
            Place::Included(file) => format!("--file {}", quoted_path(file)),
        };
        format!("git config {scope} --unset-all {}", quoted(&self.name))
    }
}

/// Returns all values in force, in the order in which later ones win.
///
/// # Errors
/// [`GitError`] when the configuration cannot be read.
pub(crate) fn configuration() -> Result<Vec<Entry>, GitError> {
    let listed = run(["config", "--list", "--show-scope", "--show-origin", "-z"])?;
    let listed = success("config", listed)?;
    let files = own_files();
    // Paths are told relative to where git goes before it looks.
    let top = run(["rev-parse", "--show-toplevel"])?;
    let base = success("rev-parse", top).ok().map(PathBuf::from);
    let base = base.or_else(|| env::current_dir().ok()).unwrap_or_default();
    let mut fields = listed.split('\0');
    let mut entries = Vec::new();
    while let (Some(scope), Some(origin), Some(setting)) =
        (fields.next(), fields.next(), fields.next())
    {
        // A name alone is a yes.
        let (name, value) = setting.split_once('\n').unwrap_or((setting, "true"));
        let file = base.join(origin.strip_prefix("file:").unwrap_or(origin));
        entries.push(Entry {
            name: name.to_owned(),
            value: value.to_owned(),
            place: place(scope, file, name, &files),
        });
    }
    Ok(entries)
}

fn place(scope: &str, file: PathBuf, name: &str, own_files: &[PathBuf]) -> Place {
    let is_own = || fs::canonicalize(&file).is_ok_and(|file| own_files.contains(&file));
    match scope {
        "command" => Place::Environment(variable_of(name)),
        "worktree" => Place::Worktree,
        "system" => Place::System,
        _ if !is_own() => Place::Included(file),
        "global" => Place::User,
        _ => Place::Repository,
    }
}

/// Returns the variable that a setting of the environment hangs on.
fn variable_of(name: &str) -> &'static str {
    let is_listed = env::vars_os().any(|(variable, value)| {
        variable.to_string_lossy().starts_with("GIT_CONFIG_KEY_")
            && value.to_string_lossy().eq_ignore_ascii_case(name)
    });
    match is_listed {
        true => "GIT_CONFIG_COUNT",
        false => "GIT_CONFIG_PARAMETERS",
    }
}

/// Returns the configuration files that git reads without being told to by another.
fn own_files() -> Vec<PathBuf> {
    let local = common_directory().map(|directory| directory.join("config"));
    let files = global_config_files().into_iter().chain(local.ok());
    files
        .filter_map(|file| fs::canonicalize(file).ok())
        .collect()
}

/// Returns the remote that `git push` would use: the branch's, the default, `origin`, or the only
/// one. Outside a repository there is none.
///
/// # Errors
/// [`GitError`] when the configuration cannot be read.
pub(crate) fn push_remote() -> Result<Option<String>, GitError> {
    remote_by(&[
        "branch.*.pushRemote",
        "remote.pushDefault",
        "branch.*.remote",
    ])
}

/// Returns the remote that `git fetch` would ask: the branch's, `origin`, or the only one. Outside a
/// repository there is none.
///
/// # Errors
/// [`GitError`] when the configuration cannot be read.
pub(crate) fn fetch_remote() -> Result<Option<String>, GitError> {
    remote_by(&["branch.*.remote"])
}

/// Returns the remote that the first of these settings names, in which the branch stands for `*`.
fn remote_by(settings: &[&str]) -> Result<Option<String>, GitError> {
    if !run(["rev-parse", "--git-dir"])?.status.success() {
        return Ok(None);
    }
    let head = run(["symbolic-ref", "--quiet", "--short", "HEAD"])?;
    let branch = text(&head.stdout);
    for setting in settings {
        let remote = value(&setting.replace('*', &branch))?;
        // A branch that follows one of ours names the repository itself.
        if let Some(remote) = remote.filter(|remote| remote != ".") {
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

/// What attestations are fetched from, and pushed to.
#[derive(Debug)]
pub(crate) struct Remote {
    /// What git knows it by.
    name: String,
    /// Its URL, where git's configuration has no remote that fetches from there and pushes to there.
    url: Option<String>,
    /// What makes it a remote, then.
    settings: Vec<(String, String)>,
}

impl Remote {
    /// Returns what is fetched from where git fetches: a remote, or a URL.
    pub(crate) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            url: None,
            settings: Vec::new(),
        }
    }

    /// Returns what git and the store know it by.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Tells whether it has a URL of its own, for pushes.
    pub(crate) fn is_for_pushes(&self) -> bool {
        self.url.is_some()
    }

    /// Returns it for people: there may be a token in a URL.
    pub(crate) fn shown(&self) -> String {
        let url = self.url.as_ref().unwrap_or(&self.name);
        public(url).unwrap_or_else(|| url.clone())
    }
}

/// Returns where pushes to a remote go: there, or to URLs of its own, where they are not what fetches
/// from it read; with what else is set of the remote.
///
/// # Errors
/// [`GitError`] when git cannot be run, or the configuration cannot be read.
pub(crate) fn push_targets(remote: &str) -> Result<Vec<Remote>, GitError> {
    // As a remote of the configuration, so that git says where pushes to a URL go, too.
    const UNNAMED: &str = "notme url";
    let settings = [(format!("remote.{UNNAMED}.url"), remote.to_owned())];
    let output = git_with(&settings).args(["remote", "-v"]).output();
    let listed = success("remote", output.map_err(GitError::Run)?)?;
    let of = |name: &str| {
        let lines = listed.lines().filter_map(|line| line.split_once('\t'));
        let urls = lines.filter(|(listed, _)| *listed == name);
        let urls: Vec<_> = urls.map(|(_, url)| url).collect();
        let fetched = urls.iter().find_map(|url| url.rsplit_once(" (fetch)"));
        let pushed = urls.iter().filter_map(|url| url.strip_suffix(" (push)"));
        (fetched.map(|(url, _)| url), pushed.collect::<Vec<_>>())
    };
    let (fetched, pushed) = match of(remote) {
        (_, pushed) if pushed.is_empty() => of(UNNAMED),
        known => known,
    };
    if pushed.iter().all(|url| Some(*url) == fetched) {
        return Ok(vec![Remote::named(remote)]);
    }
    let set = configuration()?;
    let targets = pushed.iter().map(|url| push_target(remote, url, &set));
    Ok(targets.collect())
}

/// Makes a remote of one URL that a remote is pushed to.
fn push_target(remote: &str, url: &str, set: &[Entry]) -> Remote {
    let name = push_name(remote, url);
    // Where it is, and what is fetched from it and pushed to it otherwise.
    let others = [
        "url",
        "pushurl",
        "fetch",
        "push",
        "mirror",
        "promisor",
        "partialclonefilter",
    ];
    let mut settings = Vec::new();
    let prefix = format!("remote.{remote}.");
    for entry in set {
        let key = entry.name.strip_prefix(&prefix);
        if let Some(key) = key.filter(|key| !key.contains('.') && !others.contains(key)) {
            settings.push((format!("remote.{name}.{key}"), entry.value.clone()));
        }
    }
    // It is rewritten as the configuration says already; a second time, it may be another.
    for key in ["url", "pushurl"] {
        settings.push((format!("remote.{name}.{key}"), name.clone()));
    }
    settings.push((format!("url.{url}.insteadOf"), name.clone()));
    Remote {
        name,
        url: Some(url.to_owned()),
        settings,
    }
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

/// Returns where the repository is pushed to, as others may know it; `None` when that is nowhere, or a
/// directory.
///
/// # Errors
/// [`GitError`] when git cannot be run.
pub(crate) fn public_url() -> Result<Option<String>, GitError> {
    let Some(remote) = push_remote()? else {
        return Ok(None);
    };
    Ok(public(&push_url(&remote)?.unwrap_or(remote)))
}

/// Returns a URL as others may know it: without names, passwords and tokens; `None` of a directory, or
/// the name of a remote.
pub(crate) fn public(url: &str) -> Option<String> {
    let url = gix_url::parse(url.as_bytes()).ok()?;
    let port = url.port.map_or_else(String::new, |port| format!(":{port}"));
    let path = url.path.to_string();
    // What follows may be a token.
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = path.trim_start_matches('/');
    let named = |host| format!("{}://{host}{port}/{path}", url.scheme.as_str());
    url.host().map(named)
}

/// What a remote has.
pub(crate) struct Listed {
    /// The shelves of attestations.
    pub(crate) shelves: Vec<Shelf>,
    /// What its other refs name, here or not.
    pub(crate) tips: Vec<ObjectId>,
}

/// Returns where fetches from a remote go, rewritten as the configuration says.
///
/// # Errors
/// [`GitError`].
pub(crate) fn fetch_url(remote: &Remote) -> Result<String, GitError> {
    let mut command = git_with(&remote.settings);
    command.args(["ls-remote", "--get-url", "--", &remote.name]);
    success("ls-remote", command.output().map_err(GitError::Run)?)
}

/// Asks a remote for its refs; it tells all of them, however many are asked for.
///
/// # Errors
/// [`GitError`] when the remote cannot be read.
pub(crate) fn listed(remote: &Remote) -> Result<Listed, GitError> {
    let mut command = git_with(&remote.settings);
    command.args(["ls-remote", "--refs", "--", &remote.name]);
    let output = success("ls-remote", command.output().map_err(GitError::Run)?)?;
    let (mut shelves, mut tips) = (Vec::new(), Vec::new());
    for (id, name) in output.lines().filter_map(|line| line.split_once('\t')) {
        match Shelf::ALL.into_iter().find(|it| it.reference() == name) {
            Some(shelf) => shelves.push(shelf),
            None => tips.extend(ObjectId::from_hex(id.as_bytes())),
        }
    }
    Ok(Listed { shelves, tips })
}

/// No hook here has anything to say to attestations that travel: ours would push them, and what the end of a
/// run sends is not to start what the run left in its repository.
const NO_HOOKS: [&str; 2] = ["-c", "core.hooksPath=/dev/null"];

/// Fetches shelves of attestations into refs that are ours to name: all, or none; nothing else is fetched
/// along, and what the repository says of the remote moves no other ref.
///
/// # Errors
/// [`GitError`] when the remote cannot be read.
pub(crate) fn fetch(remote: &Remote, shelves: &[Shelf]) -> Result<(), GitError> {
    if shelves.is_empty() {
        // Without any, git would fetch what the configuration names.
        return Ok(());
    }
    let options = [
        // What git's check refuses is left out by whoever takes it, and nothing else with it.
        "-c",
        "fetch.fsckObjects=false",
        // Nor is anything else done on that occasion, which a hook could have something to say to.
        "-c",
        "gc.auto=0",
        "-c",
        "maintenance.auto=false",
        "fetch",
        "--quiet",
        "--atomic",
        // Of a partial clone, too: what is not here is not judged.
        "--no-filter",
        "--no-tags",
        "--no-write-fetch-head",
        "--refmap=",
        "--no-recurse-submodules",
        "--",
        &remote.name,
    ];
    let mut command = git_with(&remote.settings);
    command.args(NO_HOOKS).args(options);
    command.args(shelves.iter().map(|it| it.refspec(&remote.name)));
    success("fetch", command.output().map_err(GitError::Run)?).map(drop)
}

/// Pushes attestations, without force: all, or none.
///
/// # Errors
/// [`GitError`] when the remote did not take them.
pub(crate) fn push(remote: &Remote, shelves: &[(Shelf, ObjectId)]) -> Result<(), GitError> {
    let refspec = |(shelf, id): &(Shelf, ObjectId)| format!("{id}:{}", shelf.reference());
    push_refs(remote, Vec::new(), shelves.iter().map(refspec).collect())
}

/// Makes the attestations of a remote what they are here, if they are still what was last seen of them:
/// all, or none.
///
/// # Errors
/// [`GitError`] when the remote did not take them.
pub(crate) fn push_instead(remote: &Remote, unlike: &[Unlike]) -> Result<(), GitError> {
    let lease = |Unlike { shelf, theirs, .. }: &Unlike| {
        let seen = theirs.map_or_else(String::new, |theirs| theirs.to_string());
        format!("--force-with-lease={}:{seen}", shelf.reference())
    };
    let refspec = |Unlike { shelf, ours, .. }: &Unlike| {
        let ours = ours.map_or_else(String::new, |ours| ours.to_string());
        format!("{ours}:{}", shelf.reference())
    };
    let leases = unlike.iter().map(lease).collect();
    push_refs(remote, leases, unlike.iter().map(refspec).collect())
}

/// Pushes all of these refs, or none, and no others, whatever the configuration names.
fn push_refs(remote: &Remote, leases: Vec<String>, refspecs: Vec<String>) -> Result<(), GitError> {
    let name = &remote.name;
    let mut settings = remote.settings.clone();
    // git has no settings for a path.
    if !name.starts_with('/') {
        // What is a mirror takes all refs, and loses those that are not here; git refuses to push some.
        settings.push((format!("remote.{name}.mirror"), "false".to_owned()));
    }
    let mut command = git_with(&settings);
    command.args(NO_HOOKS).args([
        "push",
        "--quiet",
        "--atomic",
        // Nor has one that the configuration names.
        "--no-verify",
        "--no-follow-tags",
        "--recurse-submodules=no",
    ]);
    command.args(leases).args(["--", name]).args(refspecs);
    let output = command.output().map_err(GitError::Run)?;
    success("push", output).map(drop)
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

/// Returns the first line of each commit's message, and what the commit changed against its first parent; where
/// that was cut off by a shallow clone, everything. No settings of the user's change that, and none that are
/// committed, but attributes and what is set of the drivers that they name, which say whether lines of a file
/// are counted.
///
/// # Errors
/// [`GitError`] when they cannot be read.
pub(crate) fn changes(commits: &[String]) -> Result<Vec<(String, Vec<FileChange>)>, GitError> {
    // As a file: git writes while it still reads.
    let mut ids = tempfile::tempfile().map_err(GitError::Run)?;
    let written = ids.write_all((commits.join("\n") + "\n").as_bytes());
    written.and_then(|()| ids.rewind()).map_err(GitError::Run)?;
    let mut command = git();
    command.env("GIT_ATTR_NOSYSTEM", "1");
    command.env("GIT_GRAFT_FILE", "/dev/null");
    command.stdin(ids).args([
        // Not that it is no longer to be named.
        "-c",
        "advice.graftFileDeprecated=false",
        "-c",
        "core.attributesFile=/dev/null",
        // git's own; a file over it has no lines.
        "-c",
        "core.bigFileThreshold=512m",
        "diff-tree",
        "--stdin",
        "-z",
        "--numstat",
        "--format=%H %s",
        "--root",
        "--always",
        "--diff-merges=first-parent",
        "--no-renames",
        // Wherever in the repository we are.
        "--no-relative",
        "--ignore-submodules=none",
        "--no-ext-diff",
        "--no-textconv",
        "--diff-algorithm=default",
        "--encoding=UTF-8",
    ]);
    let output = success("diff-tree", command.output().map_err(GitError::Run)?)?;
    let mut fields = output.split_terminator('\0').peekable();
    let mut all = Vec::new();
    for commit in commits {
        // Its id and subject; then for each file: `added TAB removed TAB path`.
        let head = fields.next().and_then(|it| it.strip_prefix(&**commit));
        let subject = head.and_then(|it| it.strip_prefix(' '));
        let subject = subject.ok_or_else(|| GitError::Refused {
            command: "diff-tree".to_owned(),
            message: format!("it says nothing of {commit}"),
        })?;
        let mut changes = Vec::new();
        while let Some(change) = fields.peek().and_then(|field| FileChange::read(field)) {
            changes.push(change);
            fields.next();
        }
        all.push((subject.to_owned(), changes));
    }
    Ok(all)
}

impl FileChange {
    fn read(field: &str) -> Option<Self> {
        let mut parts = field.trim_start_matches('\n').splitn(3, '\t');
        let count = |text: &str| match text {
            "-" => Some(0),
            digits => digits.parse().ok(),
        };
        Some(Self {
            added: count(parts.next()?)?,
            removed: count(parts.next()?)?,
            path: parts.next()?.to_owned(),
        })
    }
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
        Scope::Global => global_config_files().pop().unwrap_or_default(),
        Scope::Worktree if is_true("extensions.worktreeConfig")? => {
            directory()?.join("config.worktree")
        }
        Scope::Worktree => common_directory()?.join("config"),
    };
    Ok(fs::canonicalize(&path).unwrap_or(path))
}

/// Returns the files that git reads for the user, the one that it writes last.
fn global_config_files() -> Vec<PathBuf> {
    if let Some(path) = env::var_os("GIT_CONFIG_GLOBAL") {
        return vec![path.into()];
    }
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let classic = home.join(".gitconfig");
    let xdg = env::var_os("XDG_CONFIG_HOME")
        .map_or_else(|| home.join(".config"), PathBuf::from)
        .join("git/config");
    // git writes the XDG file only where it exists and the classic one does not.
    if !classic.exists() && xdg.exists() {
        vec![classic, xdg]
    } else {
        vec![xdg, classic]
    }
}
