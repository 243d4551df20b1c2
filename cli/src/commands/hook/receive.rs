//! `pre-receive` and `update`: what a push brings is verified before any of it lands.

use std::{
    env,
    ffi::OsString,
    io::{self, Write as _},
    path::PathBuf,
};

use notme_core::{
    glob::Glob,
    object::{parse_push_certificate, split_push_certificate},
};
use notme_git_hooks::{
    names,
    receive::{self, PushError, Rules, Update},
};
use notme_verifier::{Judge, report::escape, repository::ObjectId, verify_range};

use crate::{
    arguments::hooks::Hook,
    commands::verify::open,
    failure::{Exit, Failure, Outcome},
    git,
    home::Home,
    homeless,
    judging::Grounds,
};

/// Whether pushes have to be signed: `required`, or `checked` where they are.
const SIGNED_PUSH: &str = "notme.pushCert";

pub(super) fn run(home: Option<&Home>, hook: &Hook, input: &[u8]) -> Outcome {
    let home = home.ok_or_else(homeless)?;
    let updates = match (hook.name.as_str(), hook.arguments.as_slice()) {
        (names::UPDATE, [name, old, new]) => {
            let text = |word: &'_ OsString| word.to_str().map(str::to_owned);
            let [name, old, new] = [name, old, new].map(text);
            let (Some(name), Some(old), Some(new)) = (name, old, new) else {
                return Err(PushError::Malformed.into());
            };
            vec![Update::new(&name, &old, &new)?]
        }
        _ => receive::parse_receive(input)?,
    };
    let refused = match judge(home, hook, &updates) {
        Ok(refused) => refused,
        // Whoever cannot look takes nothing in.
        Err(failure) => vec![format!("the push could not be verified: {failure}")],
    };
    if refused.is_empty() {
        return Ok(Exit::Yes);
    }
    let mut out = io::stderr().lock();
    for line in refused {
        writeln!(out, "notme: {}", escape(&line))?;
    }
    writeln!(out, "notme: nothing of this push was received")?;
    Ok(Exit::No)
}

/// Returns a line for everything that keeps the push out.
fn judge(home: &Home, hook: &Hook, updates: &[Update]) -> Result<Vec<String>, Failure> {
    let repository = open()?;
    let ground = Ground::load()?;
    let mut refused = Vec::new();
    // What may not change at all is said first, and is not worth verifying.
    for update in updates {
        if let Err(error) = ground.rules.check(&repository, update) {
            refused.push(format!("{}: {}: {error}", update.name, error.code()));
        }
    }
    if !refused.is_empty() {
        return Ok(refused);
    }
    for update in updates {
        let grounds = policy_for(home, update)?;
        let judge = grounds.judge();
        let base = ground.base(update);
        let Some(selection) = ground.rules.brought(&repository, update, &base)? else {
            continue;
        };
        let outcome = verify_range(&repository, &selection, &judge)?;
        let told = receive::told(&outcome).into_iter();
        refused.extend(told.map(|line| format!("{}: {line}", update.name)));
    }
    let is_required = wants_signed_pushes()?;
    if hook.name == names::UPDATE {
        // git hands the certificate to `pre-receive` alone.
        if is_required {
            let problem = "push-unsigned: whether it is signed is not known in `update`; the \
                           server has to install `pre-receive`";
            refused.push(problem.to_owned());
        }
    } else if let Some(update) = updates.first() {
        let grounds = policy_for(home, update)?;
        refused.extend(check_signed_push(&grounds.judge(), updates, is_required)?);
    }
    Ok(refused)
}

/// Returns the policy of the ref that is pushed to, and the trust to judge by.
fn policy_for(home: &Home, _update: &Update) -> Result<Grounds, Failure> {
    let path = |name| -> Result<Option<PathBuf>, Failure> { Ok(git::path_of(None, name)?) };
    let (trust, policy) = (path("notme.trust")?, path("notme.policy")?);
    Grounds::load(home, trust.as_deref(), policy.as_deref())
}

/// What the repository is set to.
struct Ground {
    rules: Rules,
    /// The branch that HEAD names, which others start from.
    main: Option<(String, Option<ObjectId>)>,
    /// Commits up to which nothing is verified: from before there were signatures.
    baseline: Vec<ObjectId>,
}

impl Ground {
    fn load() -> Result<Self, Failure> {
        let globs = |name| -> Result<Vec<Glob>, Failure> {
            let values = git::all_values(name)?;
            Ok(values.iter().map(|text| Glob::new(text)).collect())
        };
        let main = git::head_branch()?;
        let mut protected = globs("notme.protect")?;
        if protected.is_empty() {
            protected.push(Glob::new("refs/tags/*"));
            protected.extend(main.as_deref().map(Glob::new));
        }
        let mut baseline = Vec::new();
        for text in git::all_values("notme.baseline")? {
            let id = ObjectId::from_hex(text.as_bytes());
            baseline.push(id.map_err(|_| {
                Failure::usage(format!("notme.baseline is `{text}`, no full commit id"))
            })?);
        }
        let main = main.map(|name| {
            let tip = git::head().ok();
            let tip = tip.and_then(|id| ObjectId::from_hex(id.as_bytes()).ok());
            (name, tip)
        });
        Ok(Self {
            rules: Rules {
                protected,
                unverified: globs("notme.unverified")?,
            },
            main,
            baseline,
        })
    }

    /// Returns the commits whose history needs no look for an update: what the main branch has was
    /// verified when it came there, and nobody is held to more.
    fn base(&self, update: &Update) -> Vec<ObjectId> {
        let mut base = self.baseline.clone();
        if let Some((name, tip)) = &self.main
            && *name != update.name
        {
            base.extend(tip);
        }
        base
    }
}

/// Tells whether pushes have to be signed.
fn wants_signed_pushes() -> Result<bool, Failure> {
    let setting = git::value(SIGNED_PUSH)?;
    match setting.as_deref() {
        None | Some("checked") => Ok(false),
        Some("required") => Ok(true),
        Some(other) => {
            let problem = format!("{SIGNED_PUSH} is `{other}`, not one of checked, required");
            Err(Failure::usage(problem))
        }
    }
}

/// Checks the certificate of a signed push by our own judgement: git's `G` stands for signers that
/// it does not know, too.
fn check_signed_push(
    judge: &Judge<'_>,
    updates: &[Update],
    is_required: bool,
) -> Result<Vec<String>, Failure> {
    let Some(id) = env::var("GIT_PUSH_CERT").ok().filter(|id| !id.is_empty()) else {
        return Ok(match is_required {
            true => vec!["push-unsigned: sign it: `git push --signed`".to_owned()],
            false => Vec::new(),
        });
    };
    let raw = git::blob(&id)?;
    let split = split_push_certificate(&raw)?;
    let signature = split.signature().unwrap_or_default();
    let judgement = judge.judge_detached(split.payload(), signature);
    let mut refused = Vec::new();
    if let Some(code) = judgement.verdict().code() {
        refused.push(format!("push certificate: {code}; {}", code.fix()));
    }
    let nonce = env::var("GIT_PUSH_CERT_NONCE_STATUS").unwrap_or_default();
    if !matches!(nonce.as_str(), "OK" | "SLOP") {
        refused.push(format!(
            "push certificate: push-nonce: its nonce is `{nonce}`, so it may be a replay; push again"
        ));
    }
    let fields = parse_push_certificate(split.payload())?;
    let says = |update: &Update| {
        let id = |id: Option<ObjectId>| id.filter(|id| !id.is_null());
        fields.updates().iter().any(|said| {
            let read = |text: &str| id(ObjectId::from_hex(text.as_bytes()).ok());
            said.name() == update.name.as_bytes()
                && read(said.old()) == update.old
                && read(said.new_id()) == update.new
        })
    };
    for update in updates.iter().filter(|update| !says(update)) {
        refused.push(format!(
            "push certificate: push-mismatch: it does not say what happens to `{}`",
            update.name
        ));
    }
    Ok(refused)
}
