//! `pre-receive` and `update`: what a push brings is verified before any of it lands.

use std::{
    ffi::OsString,
    io::{self, Write as _},
};

use notme_core::object::parse_push_certificate;
use notme_git_hooks::{
    names,
    receive::{self, PushError, Update},
};
use notme_verifier::{
    Judge, Judgement, Lineage, Repository,
    report::escape,
    repository::{ObjectId, Selection},
    stated::Statements,
    verify_with,
};

use super::{
    gate,
    ground::{Ground, Settings},
    kept::Kept,
    push_certificate::PushCertificate,
};
use crate::{
    arguments::hooks::Hook,
    failure::{Exit, Failure, Outcome},
    git,
    home::Home,
    homeless,
    repository::open,
    statements::with_statements,
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
    let settings = Settings::load()?;
    let ground = Ground::of(&repository, &settings)?;
    let mut refused = Vec::new();
    // What may not change at all is said first, and is not worth verifying.
    for update in updates {
        if let Err(error) = check(&repository, &ground, update) {
            refused.push(format!("{}: {}: {error}", update.name, error.code()));
        }
    }
    if !refused.is_empty() {
        return Ok(refused);
    }
    let mut brought = Vec::new();
    for update in updates {
        let base = ground.base(update);
        if let Some(selection) = ground.rules.brought(&repository, update, &base)? {
            let selection = selection.on(Some(update.name.clone()));
            brought.push((update, selection.beside(ground.main())));
        }
    }
    let certificate = match hook.name.as_str() {
        // git hands it to `pre-receive` alone.
        names::UPDATE => None,
        _ => PushCertificate::of_this_push()?,
    };
    if wants_signed_pushes(&settings)? && certificate.is_none() {
        refused.push(match hook.name.as_str() {
            names::UPDATE => "push-unsigned: whether it is signed is not known in `update`; the \
                              server has to install `pre-receive`"
                .to_owned(),
            _ => "push-unsigned: sign it: `git push --signed`".to_owned(),
        });
    }
    if brought.is_empty() && certificate.is_none() {
        return Ok(refused);
    }
    let root = settings.trust_root()?;
    // Before it is asked what time it is.
    let records = match gate::signed(home, &settings, updates) {
        Ok(records) => records,
        // Whoever asks for them finds that they are not there.
        Err(problem) => {
            let problem = escape(&problem);
            writeln!(io::stderr(), "notme: the gate signed no record: {problem}")?;
            Vec::new()
        }
    };
    let grounds = settings.grounds(home)?;
    let judge = grounds.judge();
    let lineage = match root {
        None => None,
        Some(root) => {
            let new = brought.iter().filter_map(|(update, _)| update.new);
            let tips: Vec<_> = new.chain(ground.main().map(|main| main.tip)).collect();
            let everything = repository.select_reached("what is pushed", &tips, &[])?;
            let now = (grounds.trust(), grounds.now());
            let lineage = Lineage::new(&repository, &everything, root, now)?;
            Some(lineage.keeping_records())
        }
    };
    let kept = Kept::after(&repository, updates, &records)?;
    with_statements(kept.store(), (&grounds, None), |statements| {
        let bench = Bench {
            repository: &repository,
            judge: &judge,
            lineage: lineage.as_ref(),
            statements,
        };
        for (update, selection) in &brought {
            let told = bench.judge(selection)?.into_iter();
            refused.extend(told.map(|line| format!("{}: {line}", update.name)));
        }
        if let Some(certificate) = &certificate {
            refused.extend(bench.check_signed_push(certificate, updates, &ground)?);
        }
        Ok::<_, Failure>(refused)
    })
}

/// Checks that a ref may be changed as it would be, and that whoever fetches attestations could have
/// what it brings of them.
fn check(repository: &Repository, ground: &Ground, update: &Update) -> Result<(), PushError> {
    ground.rules.check(repository, update)?;
    match update
        .new
        .filter(|_| receive::holds_attestations(&update.name))
    {
        None => Ok(()),
        Some(new) => git::check_objects(new, update.old)
            .map_err(|error| PushError::Unreadable(update.name.clone(), error.to_string().into())),
    }
}

/// Whoever judges a push: by one policy, or by the repository's own.
struct Bench<'a> {
    repository: &'a Repository,
    judge: &'a Judge<'a>,
    lineage: Option<&'a Lineage<'a>>,
    statements: Option<&'a dyn Statements>,
}

impl Bench<'_> {
    fn judge(&self, selection: &Selection) -> Result<Vec<String>, Failure> {
        let outcome = match self.lineage {
            Some(lineage) => lineage.verify(selection, self.statements)?,
            None => verify_with(self.repository, selection, self.judge, self.statements)?,
        };
        Ok(receive::told(&outcome))
    }

    fn judge_push(
        &self,
        signed: (&[u8], &[u8]),
        names: &[&str],
        ground: &Ground,
    ) -> Result<Vec<Judgement>, Failure> {
        if let Some(lineage) = self.lineage {
            return Ok(lineage.judge_push(signed, names, ground.main(), self.statements)?);
        }
        let known_as = self.repository.known_as();
        let names = names.iter();
        let judge = |name: &&str| self.judge.judge_push(signed, name, &known_as);
        Ok(names.map(judge).collect())
    }

    /// Checks the certificate of a signed push by our own judgement: git's `G` stands for signers
    /// that it does not know, too.
    fn check_signed_push(
        &self,
        certificate: &PushCertificate,
        updates: &[Update],
        ground: &Ground,
    ) -> Result<Vec<String>, Failure> {
        let split = certificate.split()?;
        let (payload, signature) = (split.payload(), split.signature().unwrap_or_default());
        let mut refused = Vec::new();
        let names: Vec<_> = updates.iter().map(|it| it.name.as_str()).collect();
        let judgements = self.judge_push((payload, signature), &names, ground)?;
        for (name, judgement) in names.iter().zip(judgements) {
            if let Some(code) = judgement.verdict().code() {
                let fix = code.fix();
                refused.push(format!("push certificate: {code}: for `{name}`; {fix}"));
            }
        }
        if !certificate.has_our_nonce() {
            refused.push(format!(
                "push certificate: push-nonce: its nonce is `{}`, so it may be a replay; push again",
                certificate.nonce()
            ));
        }
        let fields = parse_push_certificate(payload)?;
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
}

/// Tells whether pushes have to be signed.
fn wants_signed_pushes(settings: &Settings) -> Result<bool, Failure> {
    match settings.value(SIGNED_PUSH) {
        None | Some("checked") => Ok(false),
        Some("required") => Ok(true),
        Some(other) => {
            let problem = format!("{SIGNED_PUSH} is `{other}`, not one of checked, required");
            Err(Failure::usage(problem))
        }
    }
}
