//! `notme hooks`: git is pointed at a directory of ours, and back.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use notme_git_hooks::{
    names,
    scripts::{self, Former, Scripts, WhenGone},
};

use crate::{
    arguments::hooks::{Hooks, HooksInstall, HooksPlace},
    failure::{Exit, Failure, Outcome},
    git::{self, Scope},
    home::Home,
    program, repository,
    settings::{self, Setting, SettingsError, Undone},
    shell::quoted,
};

/// What `--server` sets, and by which option.
const SERVER_SETTINGS: [(&str, &str); 5] = [
    ("notme.policy", "--policy"),
    ("notme.trust", "--trust"),
    ("notme.trustRoot", "--trust-root"),
    ("notme.gate", "--gate"),
    ("notme.repository", "--repository"),
];
/// The setting that points git at a directory of hooks.
const HOOKS_PATH: &str = "core.hooksPath";

pub(crate) fn run(home: &Home, command: &Hooks) -> Outcome {
    match command {
        Hooks::Install(arguments) => install(home, arguments),
        Hooks::Uninstall(place) => uninstall(home, place),
        Hooks::Status => status(home),
    }
}

/// Where the hooks are installed.
struct Place {
    scope: Scope,
    /// The directory of the scripts.
    scripts: PathBuf,
    /// What was there before.
    backup: PathBuf,
}

impl Place {
    fn of(home: &Home, place: &HooksPlace) -> Result<Self, Failure> {
        let (scope, base) = match (place.global, place.worktree) {
            (true, _) => (Scope::Global, home.data().to_owned()),
            (false, true) => (Scope::Worktree, git::directory()?.join("notme")),
            (false, false) => (Scope::Local, git::common_directory()?.join("notme")),
        };
        Ok(Self {
            scope,
            scripts: base.join("hooks"),
            backup: base.join("hooks.json"),
        })
    }

    /// Takes away what was installed; `None` when nothing was.
    fn clear(&self) -> Result<Option<Undone>, Failure> {
        let undone = match settings::undo(self.scope, &self.backup) {
            Ok(undone) => Some(undone),
            Err(SettingsError::NothingToUndo(_)) => None,
            Err(error) => return Err(error.into()),
        };
        scripts::remove(&self.scripts)?;
        if let Some(base) = self.scripts.parent() {
            // Others keep things there too.
            let _ = fs::remove_dir(base);
        }
        Ok(undone)
    }

    /// Finds where the hooks are that run now.
    fn former(&self) -> Result<Former, Failure> {
        let set = match self.scope {
            Scope::Global => git::path_of(Some(Scope::Global), HOOKS_PATH)?,
            Scope::Local | Scope::Worktree => git::path_of(None, HOOKS_PATH)?,
        };
        Ok(match (set, self.scope) {
            (Some(directory), _) => Former::Directory(directory),
            (None, Scope::Global) => Former::Repository,
            (None, Scope::Local | Scope::Worktree) => {
                Former::Directory(git::common_directory()?.join("hooks"))
            }
        })
    }
}

fn install(home: &Home, arguments: &HooksInstall) -> Outcome {
    let place = Place::of(home, &arguments.place).map_err(outside)?;
    if place.scope != Scope::Global {
        // Hooks that cannot read it would let nothing through.
        repository::open()?;
    }
    // What was installed before is not what was there before.
    place.clear()?;
    let former = place.former()?;
    let program = program::link_for_git(&home.programs(), program::NAME)?;
    let server = match arguments.update {
        true => names::UPDATE,
        false => names::PRE_RECEIVE,
    };
    let ours: Vec<&str> = match (arguments.server, &arguments.gate) {
        (true, None) => vec![server],
        (true, Some(_)) => vec![server, names::POST_RECEIVE],
        (false, _) => names::CLIENT.to_vec(),
    };
    Scripts {
        program: &program,
        former: &former,
        ours: &ours,
        when_gone: match arguments.server {
            true => WhenGone::Refuse,
            false => WhenGone::GoOn,
        },
    }
    .write(&place.scripts)?;
    let mut wanted: Vec<Setting> = vec![(HOOKS_PATH, text(&place.scripts)?)];
    for (name, path) in [
        ("notme.policy", &arguments.policy),
        ("notme.trust", &arguments.trust),
    ] {
        if let Some(path) = path {
            wanted.push((name, text(&fs::canonicalize(path)?)?));
        }
    }
    let root = arguments.trust_root.map(|root| root.to_string());
    let gate = arguments.gate.as_ref().map(ToString::to_string);
    let others = [root, gate, arguments.repository.clone()];
    let [trust_root, gate, repository] = others;
    for (name, value) in [
        ("notme.trustRoot", trust_root),
        ("notme.gate", gate),
        ("notme.repository", repository),
    ] {
        wanted.extend(value.map(|value| (name, value)));
    }
    if let Err(error) = settings::apply(place.scope, &place.backup, &wanted) {
        place.clear()?;
        return Err(error.into());
    }
    let mut out = io::stdout().lock();
    writeln!(out, "git runs here: {}", ours.join(", "))?;
    match &former {
        Former::Directory(directory) => {
            writeln!(out, "and, as before, the hooks in {}", directory.display())?;
        }
        Former::Repository | Former::Underneath(_) => {
            writeln!(out, "and, as before, the hooks of each repository")?;
        }
    }
    Ok(Exit::Yes)
}

fn outside(failure: Failure) -> Failure {
    failure.hint("run it inside a git repository, or with `--global`")
}

fn text(path: &Path) -> Result<String, Failure> {
    let text = path.to_str();
    Ok(text.ok_or("the path is not UTF-8")?.to_owned())
}

fn uninstall(home: &Home, place: &HooksPlace) -> Outcome {
    let place = Place::of(home, place).map_err(outside)?;
    let mut out = io::stdout().lock();
    match place.clear()? {
        None => return Err(Failure::no("no hooks of notme are installed there")),
        Some(Undone::Exactly) => writeln!(out, "everything is as it was, byte for byte")?,
        Some(Undone::Settings { kept }) => {
            writeln!(
                out,
                "the settings are what they were; other edits of the file were kept"
            )?;
            for name in kept {
                writeln!(
                    out,
                    "  left alone, since it was changed after `notme hooks install`: {name}"
                )?;
            }
        }
    }
    Ok(Exit::Yes)
}

/// Something that is wrong with the hooks that are installed.
pub(crate) struct Problem {
    /// A stable name.
    pub(crate) code: &'static str,
    /// What is wrong.
    pub(crate) text: String,
    /// What repairs it.
    pub(crate) repair: String,
}

/// Finds hooks of this repository that are installed and do not run.
pub(crate) fn problems(home: &Home) -> Result<Vec<Problem>, Failure> {
    let here = HooksPlace {
        global: false,
        worktree: false,
    };
    // Outside of a repository there are none.
    let Ok(place) = Place::of(home, &here) else {
        return Ok(Vec::new());
    };
    if !scripts::are_in(&place.scripts) {
        return Ok(Vec::new());
    }
    let worked_in = scripts::worked_in(&place.scripts);
    let mut repair = "notme hooks install".to_owned();
    if worked_in.contains(&names::UPDATE) {
        repair.push_str(" --server --update");
    } else if worked_in.contains(&names::PRE_RECEIVE) {
        repair.push_str(" --server");
    }
    if repair.contains("--server") {
        // What was said then is to be said again, or less is asked of a push than before.
        for (name, option) in SERVER_SETTINGS {
            if let Some(value) = git::value(name)? {
                repair.push_str(&format!(" {option} {}", quoted(&value)));
            }
        }
    }
    let mut found = Vec::new();
    let mut find = |code, text| {
        found.push(Problem {
            code,
            text,
            repair: repair.clone(),
        });
    };
    let in_force = git::path_of(None, HOOKS_PATH)?;
    if in_force.as_deref() != Some(&place.scripts) {
        let other = in_force.unwrap_or_default();
        let text = format!(
            "the hooks of notme do not run: {HOOKS_PATH} is `{}`",
            other.display()
        );
        find("hooks-shadowed", text);
    } else if let Some(former) = scripts::former_of(&place.scripts) {
        let later = scripts::overlooked(&place.scripts, &former);
        if !later.is_empty() {
            let text = format!("hooks that came later do not run: {}", later.join(", "));
            find("hooks-overlooked", text);
        }
    }
    if !scripts::is_executable(&home.programs().join(program::NAME)) {
        let text = "the program that the hooks run is gone".to_owned();
        find("hooks-program-missing", text);
    }
    Ok(found)
}

fn status(home: &Home) -> Outcome {
    let mut out = io::stdout().lock();
    let in_force = git::path_of(None, HOOKS_PATH)?;
    let mut is_anywhere = false;
    for (name, place) in [
        (
            "this worktree",
            HooksPlace {
                global: false,
                worktree: true,
            },
        ),
        (
            "this repository",
            HooksPlace {
                global: false,
                worktree: false,
            },
        ),
        (
            "all repositories",
            HooksPlace {
                global: true,
                worktree: false,
            },
        ),
    ] {
        let Ok(place) = Place::of(home, &place) else {
            continue;
        };
        if !scripts::are_in(&place.scripts) {
            continue;
        }
        is_anywhere = true;
        let is_in_force = in_force.as_deref() == Some(&place.scripts);
        write_place(&mut out, name, &place, is_in_force)?;
        if !is_in_force {
            let other = in_force.as_deref().unwrap_or(Path::new("nothing"));
            writeln!(
                out,
                "  NOT RUN: {HOOKS_PATH} is {}; `notme hooks install` puts them before those",
                other.display()
            )?;
        }
    }
    if env::var_os(notme_git_hooks::run::RUN).is_some() {
        writeln!(out, "this is a run: its own hooks come first")?;
    }
    if !is_anywhere {
        writeln!(
            out,
            "no hooks of notme are installed; `notme hooks install` does that"
        )?;
    }
    Ok(Exit::Yes)
}

fn write_place(
    out: &mut impl Write,
    name: &str,
    place: &Place,
    is_in_force: bool,
) -> Result<(), Failure> {
    let installed = scripts::worked_in(&place.scripts);
    writeln!(out, "{name}: {}", installed.join(", "))?;
    if !is_in_force || place.scope == Scope::Global {
        return Ok(());
    }
    let former = match scripts::former_of(&place.scripts) {
        Some(former) => former,
        None => return Ok(()),
    };
    writeln!(out, "  before: {}", former.display())?;
    for name in scripts::overlooked(&place.scripts, &former) {
        writeln!(
            out,
            "  NOT RUN: {name} came later; `notme hooks install` takes it in"
        )?;
    }
    Ok(())
}
