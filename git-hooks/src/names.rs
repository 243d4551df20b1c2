//! The names of git's hooks (githooks(5)).

/// Those of ours on the client's side.
pub const CLIENT: [&str; 6] = [
    "prepare-commit-msg",
    "commit-msg",
    "post-commit",
    "post-merge",
    "post-rewrite",
    "pre-push",
];

/// That of ours on the server's side, unless it is [`UPDATE`].
pub const PRE_RECEIVE: &str = "pre-receive";
/// Where what came in is recorded, on a server whose policy counts such records.
pub const POST_RECEIVE: &str = "post-receive";
/// The other one on the server's side: asked for each ref by itself.
pub const UPDATE: &str = "update";

/// Hooks of a work tree's owner whose mere existence changes nothing: where it is not known what
/// there will be, a script that runs it stands for each.
pub const HARMLESS: [&str; 12] = [
    "applypatch-msg",
    "commit-msg",
    "post-applypatch",
    "post-checkout",
    "post-commit",
    "post-merge",
    "post-rewrite",
    "pre-applypatch",
    "pre-commit",
    "pre-merge-commit",
    "pre-push",
    "pre-rebase",
];

/// All that git looks for in the directory of hooks.
pub const ALL: [&str; 28] = [
    "applypatch-msg",
    "commit-msg",
    "fsmonitor-watchman",
    "p4-changelist",
    "p4-post-changelist",
    "p4-pre-submit",
    "p4-prepare-changelist",
    "post-applypatch",
    "post-checkout",
    "post-commit",
    "post-index-change",
    "post-merge",
    "post-receive",
    "post-rewrite",
    "post-update",
    "pre-applypatch",
    "pre-auto-gc",
    "pre-commit",
    "pre-merge-commit",
    "pre-push",
    "pre-rebase",
    "pre-receive",
    "prepare-commit-msg",
    "proc-receive",
    "push-to-checkout",
    "reference-transaction",
    "sendemail-validate",
    "update",
];
