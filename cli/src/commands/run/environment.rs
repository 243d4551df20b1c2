//! What a run sees: settings in the environment alone, and nothing of the person's own.

use std::{ffi::OsString, fs, os::unix::fs::DirBuilderExt as _, path::Path, process::Command};

use notme_git_hooks::{
    names,
    run::{ACTIVITY, RUN, Run},
    scripts::{Former, Scripts, WhenGone},
};

use crate::{
    arguments::run::{Author, Keep, Run as RunArguments},
    commands::{
        agent::LENT_SOCKET,
        init::{format_here, git_settings},
    },
    failure::Failure,
    git,
    home::Home,
    program,
};

/// What the person's agents and git's `-c` would bring in: none of it is the run's.
const HIDDEN: [&str; 4] = [
    "GIT_CONFIG_PARAMETERS",
    "GPG_AGENT_INFO",
    "SSH_AGENT_PID",
    "SSH_AUTH_SOCK",
];

/// Settings of the person's that say how git behaves, not who the person is.
const CARRIED: [&str; 15] = [
    "core.autocrlf",
    "core.eol",
    "core.filemode",
    "core.quotepath",
    "core.symlinks",
    "diff.algorithm",
    "fetch.prune",
    "init.defaultbranch",
    "merge.conflictstyle",
    "pull.ff",
    "pull.rebase",
    "push.autosetupremote",
    "push.default",
    "rebase.autosquash",
    "safe.directory",
];

/// The changes to the environment: a value, or none for what is taken away.
pub(super) struct Environment(Vec<(OsString, Option<OsString>)>);

impl Environment {
    /// Writes what it points at into the directory of the run.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn of(
        home: &Home,
        arguments: &RunArguments,
        (directory, socket): (&Path, &str),
        run: &Run,
    ) -> Result<Self, Failure> {
        let before = git::settings_before();
        let hooks = directory.join("hooks");
        Scripts {
            program: &program::path()?,
            former: &Former::Underneath(before),
            ours: &names::CLIENT,
            when_gone: WhenGone::GoOn,
        }
        .write(&hooks)?;
        let mut all = Self(Vec::new());
        let format = match arguments.format {
            Some(format) => format,
            None => format_here()?,
        };
        let files = (directory.join("bin"), directory.join("allowed_signers"));
        let settings = git_settings(home, (&files.0, &files.1), &run.agent, format)?;
        let mut count = before;
        let hooks = hooks.into_os_string();
        let settings = settings
            .into_iter()
            .map(|(name, value)| (name, OsString::from(value)))
            .chain([
                ("core.hooksPath", hooks),
                ("push.gpgSign", "if-asked".into()),
            ]);
        for (name, value) in settings {
            all.set(format!("GIT_CONFIG_KEY_{count}"), name);
            all.set(format!("GIT_CONFIG_VALUE_{count}"), value);
            count += 1;
        }
        all.set("GIT_CONFIG_COUNT", count.to_string());
        all.set(RUN, directory);
        all.set(ACTIVITY, &run.activity);
        all.set(LENT_SOCKET, socket);
        all.name(arguments.author, run)?;
        all.hide(&arguments.keep, directory)?;
        Ok(all)
    }

    /// Gives a command the environment.
    pub(super) fn apply(&self, command: &mut Command) {
        for (name, value) in &self.0 {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
    }

    fn set(&mut self, name: impl Into<OsString>, value: impl AsRef<std::ffi::OsStr>) {
        self.0.push((name.into(), Some(value.as_ref().to_owned())));
    }

    /// Names committer and author. Commits that are rewritten keep their author, as ever.
    fn name(&mut self, author: Author, run: &Run) -> Result<(), Failure> {
        let (name, email) = match author {
            Author::Agent => (run.agent.to_string(), run.email.clone()),
            Author::Human => git::author()?,
        };
        self.set("GIT_AUTHOR_NAME", name);
        self.set("GIT_AUTHOR_EMAIL", email);
        self.set("GIT_COMMITTER_NAME", run.agent.as_str());
        self.set("GIT_COMMITTER_EMAIL", &run.email);
        Ok(())
    }

    fn hide(&mut self, keep: &[Keep], directory: &Path) -> Result<(), Failure> {
        let hidden = HIDDEN.into_iter();
        for name in hidden.filter(|it| *it != "SSH_AUTH_SOCK" || !keep.contains(&Keep::SshAgent)) {
            self.0.push((name.into(), None));
        }
        if !keep.contains(&Keep::Gnupg) {
            let empty = directory.join("gnupg");
            fs::DirBuilder::new().mode(0o700).create(&empty)?;
            self.set("GNUPGHOME", empty);
        }
        if !keep.contains(&Keep::Config) {
            // What the run sets with `git config --global` ends with it.
            let file = directory.join("gitconfig");
            fs::write(&file, "")?;
            for (name, value) in git::global_settings()? {
                if CARRIED.contains(&name.as_str()) {
                    git::add_to_file(&file, &name, &value)?;
                }
            }
            self.set("GIT_CONFIG_GLOBAL", file);
        }
        Ok(())
    }
}
