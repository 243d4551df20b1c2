//! Hooks: what each commit costs where nothing is recorded, and what a server does with a push.

use std::{process::Command, time::Duration};

use notme_testkit::repository::Repository;

use crate::{
    Effort,
    history::signed_history,
    notme::{Notme, program},
    table::Table,
    timing::{contest, time},
};

const CLIENT_LIMIT: Duration = Duration::from_millis(5);
const RECEIVE_LIMIT: Duration = Duration::from_millis(250);
/// Commits of one push.
const PUSHED: usize = 2_000;
/// A ref that is not there.
const NOTHING: &str = "0000000000000000000000000000000000000000";

/// Measures the hooks of both sides.
pub(crate) fn measure(effort: Effort, table: &mut Table) {
    table.heading("a hook on the client's side, with the shell that runs it");
    client(effort, table);
    table.heading(format!("`pre-receive` over {PUSHED} commits"));
    server(effort, table);
}

fn client(effort: Effort, table: &mut Table) {
    let mut world = Repository::new();
    let notme = Notme::set_up(&mut world, &["--agent=bench"]);
    let mut install = notme.command(&world, &["hooks", "install"]);
    time(&mut install, b"").assert_success("notme hooks install");
    world.commit("0", "committed");
    let hook = world.path().join(".git/notme/hooks/post-commit");
    let measured = contest(
        effort.rounds,
        vec![
            Box::new(|_| time(&mut world.command(&hook), b"").successful("post-commit")),
            Box::new(|_| {
                let mut shell = Command::new("/bin/sh");
                time(shell.args(["-c", "exec true"]), b"").successful("sh")
            }),
        ],
    );
    if let [ours, shell] = &measured[..] {
        table.row_within("`post-commit` outside of a run", ours, CLIENT_LIMIT);
        table.row("a script that does nothing", shell);
    }
    notme.stop(&world);
}

fn server(effort: Effort, table: &mut Table) {
    let world = signed_history(PUSHED);
    let tip = world.git_ok(&["rev-parse", "HEAD"]);
    // As on a server that has none of it on a branch yet.
    world.git_ok(&["symbolic-ref", "HEAD", "refs/heads/none"]);
    world.git_ok(&["update-ref", "-d", "refs/heads/main"]);
    let update = format!("{NOTHING} {tip} refs/heads/new\n");
    let program = program();
    let measured = contest(
        effort.history_rounds,
        vec![
            Box::new(|_| {
                let mut hook = world.command(&program);
                hook.args(["hook", "--former", "/nonexistent", "pre-receive", "--"]);
                time(&mut hook, update.as_bytes()).successful("pre-receive")
            }),
            Box::new(|_| {
                let mut git = world.command("git");
                time(git.args(["rev-list", "--count", &tip]), b"").successful("git rev-list")
            }),
        ],
    );
    if let [ours, walk] = &measured[..] {
        table.row_within(
            "`notme hook pre-receive`, a new branch",
            ours,
            RECEIVE_LIMIT,
        );
        table.row("walking them: `git rev-list --count`", walk);
    }
}
