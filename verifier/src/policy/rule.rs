//! One rule: whom it speaks of, where, and what it asks.
//!
//! A signature is allowed when a rule of `[[allow]]` speaks of its signer and ref and all that the
//! rule asks is there, when such rules cover each path that was changed, and when every
//! `[[require]]` that speaks of signer, ref and one of the paths has what it asks. What is not
//! known, be it the ref or the paths, no `[[allow]]` takes for granted and every `[[require]]`
//! takes for the worst.

use std::{borrow::Cow, sync::Arc};

use notme_core::{armor::SignatureFormat, glob::Glob};
use serde::Deserialize;

use super::{
    Rules, Signer, TRUST_PATH,
    principal::{Kind, Principal, Principals, Who, are_one, count_others},
};
use crate::{
    refusal::Refusal,
    report::escape,
    repository::ChangedPaths,
    stated::{SignedBy, Stated},
    verdict::{Code, TimeBasis},
};

/// What is asked of the rules: a signature that holds, and what is around it.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) signer: Signer<'a>,
    pub(crate) format: Option<SignatureFormat>,
    pub(crate) algorithm: Option<&'a str>,
    pub(crate) basis: TimeBasis,
    /// The committer's or tagger's address.
    pub(crate) email: Option<&'a str>,
    pub(crate) around: &'a dyn Surroundings,
}

/// What is around an object, found when a rule asks.
pub(crate) trait Surroundings {
    /// Refuses an object that stands on nothing, whoever signed it.
    fn footing(&self) -> Result<(), Refusal>;

    /// Returns the names of the repository that the object is in, if it has any.
    fn repository_names(&self) -> &[String];

    /// Returns the full name of the ref that the object is for, if that is known.
    fn reference(&self) -> Option<&str>;

    /// Tells whether the object is a tag, which changes no path.
    fn is_tag(&self) -> bool;

    /// Returns the paths that were changed, if that is known.
    fn changes(&self) -> Result<Option<Cow<'_, ChangedPaths>>, Refusal>;

    /// Tells whether the policy in force would change.
    fn changes_policy(&self) -> bool;

    /// Tells whether the trust store that lies beside the policy in force may be among what was changed.
    fn may_change_trust(&self) -> bool;

    /// Tells whether anything can be stated about it.
    fn can_be_stated(&self) -> bool;

    /// Returns who signed the commit that a tag names: what they say of it is no acceptance.
    fn author(&self) -> Result<Option<SignedBy>, Refusal>;

    /// Returns what is stated about the object, by whomever, and accepted.
    fn statements(&self) -> Result<Vec<Stated>, Refusal>;

    /// Returns for each way in which the object came into branches that are asked about who merged it
    /// there by a signature that holds, counts, and kept what it brought at some paths, which are in order.
    fn mergers(
        &self,
        kept: &[String],
        counts: &dyn Fn(&SignedBy) -> bool,
    ) -> Result<Vec<Vec<SignedBy>>, Refusal>;
}

/// What a rule lacks that names somebody whom a Sigstore authority certifies.
const UNTOLD: &str = "a rule names them, but not who has to have told the Sigstore authority so: `issuers` of the principal, `issuer` of the rule";
/// Why a rule for some refs allows nothing where no ref is known.
pub(crate) const REF_UNKNOWN: &str =
    "the rule is for some refs, and which this is for is not known: `--ref` says it";

/// One rule.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) right: Right,
    who: Who,
    pub(super) refs: Option<Vec<Glob>>,
    pub(super) paths: Option<Vec<Glob>>,
    pub(super) demands: Demands,
    pub(super) text: Arc<str>,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Right {
    /// It allows; and with it, perhaps, changes of the policy.
    Allow { policy: bool },
    /// It asks more of what others allow.
    Require,
}

/// What a rule asks of a signature.
#[derive(Clone, Debug, Default)]
pub(super) struct Demands {
    pub(super) formats: Option<Vec<Format>>,
    pub(super) algorithms: Option<Vec<Algorithm>>,
    pub(super) floor: Option<TimeBasis>,
    pub(super) committer: Option<Committer>,
    pub(super) predicate: Option<String>,
    pub(super) level: Option<Level>,
    pub(super) accepted: Option<Accepted>,
}

/// Who has to have accepted the object, beside its signer.
#[derive(Clone, Debug)]
pub(super) struct Accepted {
    pub(super) names: Box<str>,
    pub(super) by: Principals,
    pub(super) threshold: usize,
}

/// The formats of signatures, as a policy names them.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    X509,
    Ssh,
    Openpgp,
}

impl From<SignatureFormat> for Format {
    fn from(format: SignatureFormat) -> Self {
        match format {
            SignatureFormat::Cms => Self::X509,
            SignatureFormat::Ssh => Self::Ssh,
            SignatureFormat::OpenPgp => Self::Openpgp,
        }
    }
}

/// The kinds of keys, as a policy names them.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Algorithm {
    Ed25519,
    P256,
    P384,
    P521,
    Rsa,
    SkEd25519,
    SkP256,
}

impl Algorithm {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::P521 => "p521",
            Self::Rsa => "rsa",
            Self::SkEd25519 => "sk-ed25519",
            Self::SkP256 => "sk-p256",
        }
    }
}

/// Whose address the committer's has to be.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Committer {
    /// The signer's.
    Signer,
}

/// The levels of what is attested, lowest first.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Level {
    L1,
    L2,
    L3,
    L4,
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::L1 => "L1",
            Self::L2 => "L2",
            Self::L3 => "L3",
            Self::L4 => "L4",
        }
    }
}

impl Rule {
    /// Makes a rule for all refs and paths that asks for nothing.
    pub(super) fn new(right: Right, who: Who) -> Self {
        let verb = match right {
            Right::Allow { .. } => "allow",
            Right::Require => "require",
        };
        let text = format!("{verb} {who}").into();
        Self {
            right,
            who,
            refs: None,
            paths: None,
            demands: Demands::default(),
            text,
        }
    }

    pub(super) fn who(&self) -> &Who {
        &self.who
    }

    pub(super) fn asks_around(&self) -> bool {
        self.refs.is_some()
            || self.paths.is_some()
            || self.demands.committer.is_some()
            || self.demands.asks_others()
    }

    fn covers(&self, path: &str) -> bool {
        self.paths.as_ref().is_none_or(|globs| any(globs, path))
    }

    /// Tells whether it covers a path by naming the place that this is in.
    fn names(&self, path: &str, place: &str) -> bool {
        let mut globs = self.paths.iter().flatten();
        globs.any(|glob| glob.is_within(place) && glob.matches(path))
    }

    /// As [`Self::covers`], where it asks for more: what stands in the place of a folder stands for all
    /// that would be below.
    fn speaks_of(&self, path: &str) -> bool {
        let mut globs = self.paths.iter().flatten();
        self.covers(path)
            || self.covers(&format!("{path}/"))
            || globs.any(|glob| glob.is_within(path))
    }

    fn check(&self, rules: &Rules, question: &Question<'_>) -> Result<(), Refusal> {
        self.demands.check(rules, question)?;
        match &self.demands.accepted {
            Some(accepted) if question.around.can_be_stated() => {
                self.check_accepted(accepted, &rules.principals, question)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_accepted(
        &self,
        accepted: &Accepted,
        principals: &[Arc<Principal>],
        question: &Question<'_>,
    ) -> Result<(), Refusal> {
        let is_named = |signer: &SignedBy| {
            let mut named = accepted.by.iter();
            named.any(|principal| principal.fits(signer.as_signer()))
        };
        let is_another =
            |signer: &SignedBy| !are_one(principals, signer.as_signer(), question.signer);
        let statements = question.around.statements()?;
        let mut rejecting = statements.iter().filter(|it| it.rejects);
        if let Some(one) = rejecting.find(|it| is_named(&it.by) && is_another(&it.by)) {
            return Err(Refusal::new(Code::AcceptanceRejected, &*one.by.identity));
        }
        let author = question.around.author()?;
        let count = |mergers: &[SignedBy]| {
            let accepting = statements.iter().filter(|it| it.accepts);
            let accepting = accepting.map(|it| &it.by).filter(|by| is_named(by));
            let all = accepting.chain(mergers).map(SignedBy::as_signer);
            let own = author.iter().map(SignedBy::as_signer);
            count_others(principals, own.chain([question.signer]), all)
        };
        let mut has = count(&[]);
        // What it changed tells which merges keep it; where that is not known, none does.
        if has < accepted.threshold
            && let Some(changes) = question.around.changes()?
        {
            let paths = changes.paths().iter().filter(|path| self.speaks_of(path));
            let paths: Vec<_> = paths.cloned().collect();
            let mergers = question.around.mergers(&paths, &is_named)?;
            // Each branch that has it asks for the same.
            has = mergers.iter().map(|it| count(it)).min().unwrap_or(has);
        }
        if has >= accepted.threshold {
            return Ok(());
        }
        let (needs, names) = (accepted.threshold, &accepted.names);
        let detail = format!("{has} of {needs} by {names}");
        Err(Refusal::new(Code::AcceptanceMissing, detail))
    }
}

/// Asks the rules; the first that refuses decides, but that nothing is refused for good which a rule
/// of which that is not known yet may allow.
pub(super) fn decide(rules: &Rules, question: &Question<'_>) -> Result<Arc<str>, Refusal> {
    let around = question.around;
    around.footing()?;
    let (mut granting, mut open) = (Vec::new(), Vec::new());
    let (mut refusal, mut unknown) = (None, None);
    let check = |rule: &Rule| rule.check(rules, question);
    let speaking = |rule: &&Rule| rule.who.fits(question.signer);
    // A statement is on no ref, changes nothing, and nothing is stated about it.
    if question.format.is_none() {
        let mut speaking = rules.allow.iter().filter(speaking);
        let rule = speaking.next();
        let rule = rule.ok_or_else(|| unnamed(rules, question.signer))?;
        return Ok(Arc::clone(&rule.text));
    }
    for rule in rules.allow.iter().filter(speaking) {
        match check_ref(rule, around).and_then(|()| check(rule)) {
            Ok(()) => granting.push(rule),
            Err(reason) if reason.is_open() => {
                open.push(rule);
                unknown = unknown.or(Some(reason));
            }
            Err(reason) => refusal = refusal.or(Some(reason)),
        }
    }
    if granting.is_empty() && unknown.is_none() && refusal.is_none() {
        return Err(unnamed(rules, question.signer));
    }
    let granted = granted(&granting, question).map_err(|refused| match unknown {
        Some(unknown) => {
            open.extend(&granting);
            match granted(&open, question) {
                Err(refused) if !refused.is_open() => refused,
                Ok(_) | Err(_) => unknown,
            }
        }
        None => refusal.filter(|_| granting.is_empty()).unwrap_or(refused),
    })?;
    let mut open = None;
    for rule in rules.require.iter().filter(speaking) {
        if concerns(rule, question)?
            && let Err(refused) = check(rule)
        {
            let is_sure = rule.refs.is_none() || around.reference().is_some();
            let refused = match is_sure || refused.is_open() {
                true => refused,
                false => of_no_ref(),
            };
            match refused.is_open() {
                true => open = open.or(Some(refused)),
                false => return Err(refused),
            }
        }
    }
    open.map_or_else(|| Ok(Arc::clone(&granted.text)), Err)
}

/// Refuses somebody of whom no rule speaks.
fn unnamed(rules: &Rules, signer: Signer<'_>) -> Refusal {
    let mut all = rules.allow.iter();
    match all.any(|rule| rule.who.lacks_issuers_for(signer)) {
        true => Refusal::new(Code::NotAuthorised, UNTOLD),
        false => Code::NotAuthorised.into(),
    }
}

/// Returns the rule by which a signature is allowed that some rules grant, each as far as it goes.
fn granted<'r>(granting: &[&'r Rule], question: &Question<'_>) -> Result<&'r Rule, Refusal> {
    let mut rules = granting.iter().copied();
    let first = granting.first().copied().ok_or(Code::NotAuthorised)?;
    let everywhere = rules.find(|rule| rule.paths.is_none());
    if everywhere.is_none() {
        check_paths(granting, question)?;
    }
    let changes_policy = question.around.changes_policy();
    let mut rules = granting.iter().copied();
    let of_policy = rules.find(|rule| rule.right == Right::Allow { policy: true });
    if changes_policy && of_policy.is_none() {
        return Err(Code::PolicyNotAuthorised.into());
    }
    if of_policy.is_none() {
        check_trust(granting, question)?;
    }
    let rule = of_policy.filter(|_| changes_policy).or(everywhere);
    Ok(rule.unwrap_or(first))
}

/// Checks that rules which name its place allow what was changed of the trust store beside the policy: who
/// says who somebody is has all of their rights.
fn check_trust(granting: &[&Rule], question: &Question<'_>) -> Result<(), Refusal> {
    let refuse = |path: &str| {
        let path = escape(path);
        let detail = format!(
            "`{path}` says who is who: that takes `policy = true`, or `paths` that begin with `{TRUST_PATH}/`"
        );
        Err(Refusal::new(Code::PolicyNotAuthorised, detail))
    };
    if !question.around.may_change_trust() {
        return Ok(());
    }
    let Some(changes) = question.around.changes()? else {
        return refuse(TRUST_PATH);
    };
    let is_of_trust = |path: &&String| {
        let below = path.strip_prefix(TRUST_PATH);
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let is_granted = |path: &String| granting.iter().any(|rule| rule.names(path, TRUST_PATH));
    let mut of_trust = changes.paths().iter().filter(is_of_trust);
    let refused = of_trust.find(|path| !is_granted(path));
    refused.map_or(Ok(()), |path| refuse(path))
}

fn check_ref(rule: &Rule, around: &dyn Surroundings) -> Result<(), Refusal> {
    let refuse = |detail: String| Err(Refusal::new(Code::NotAuthorised, detail));
    let Some(globs) = &rule.refs else {
        return match rule.paths.is_some() && around.is_tag() {
            true => refuse("the rule is for some paths, and a tag stands for all".to_owned()),
            false => Ok(()),
        };
    };
    match around.reference() {
        Some(name) if any(globs, name) => Ok(()),
        Some(name) => refuse(format!("not on {}", escape(name))),
        None => Err(of_no_ref()),
    }
}

fn of_no_ref() -> Refusal {
    Refusal::new(Code::NotAuthorised, REF_UNKNOWN)
}

/// Checks that each changed path is covered. That of the policy is a right of its own.
fn check_paths(granting: &[&Rule], question: &Question<'_>) -> Result<(), Refusal> {
    let refuse = |detail: String| Err(Refusal::new(Code::NotAuthorised, detail));
    let Some(changes) = question.around.changes()? else {
        return refuse(
            "the rule is for some paths, and which were changed is not known".to_owned(),
        );
    };
    let is_policy = |path: &str| question.around.changes_policy() && path == super::POLICY_PATH;
    for path in changes.paths() {
        if !is_policy(path) && !granting.iter().any(|rule| rule.covers(path)) {
            return refuse(format!("no rule allows a change of `{}`", escape(path)));
        }
    }
    Ok(())
}

/// Tells whether a rule that asks for more speaks of the ref and of a path that was changed.
fn concerns(rule: &Rule, question: &Question<'_>) -> Result<bool, Refusal> {
    if let (Some(globs), Some(name)) = (&rule.refs, question.around.reference())
        && !any(globs, name)
    {
        return Ok(false);
    }
    if rule.paths.is_none() {
        return Ok(true);
    }
    Ok(match question.around.changes()? {
        Some(changes) => changes.paths().iter().any(|path| rule.speaks_of(path)),
        None => true,
    })
}

impl Demands {
    /// Tells whether it asks for what others say.
    pub(super) fn asks_others(&self) -> bool {
        let Self {
            predicate,
            level,
            accepted,
            ..
        } = self;
        predicate.is_some() || level.is_some() || accepted.is_some()
    }

    /// Tells whether it asks for nothing.
    pub(super) fn is_nothing(&self) -> bool {
        let Self {
            formats,
            algorithms,
            floor,
            committer,
            predicate,
            level,
            accepted,
        } = self;
        formats.is_none()
            && algorithms.is_none()
            && floor.is_none()
            && committer.is_none()
            && predicate.is_none()
            && level.is_none()
            && accepted.is_none()
    }

    fn check(&self, rules: &Rules, question: &Question<'_>) -> Result<(), Refusal> {
        let principals = &rules.principals;
        let unless = |is_met: bool, code, detail: String| match is_met {
            true => Ok(()),
            false => Err(Refusal::new(code, detail)),
        };
        if let Some(formats) = &self.formats {
            let format = question.format.map(Format::from);
            let is_met = format.is_some_and(|format| formats.contains(&format));
            let detail = "not in a format that the rule takes".to_owned();
            unless(is_met, Code::NotAuthorised, detail)?;
        }
        if let Some(algorithms) = &self.algorithms {
            let used = question.algorithm.unwrap_or("unknown");
            let is_met = algorithms.iter().any(|one| one.as_str() == used);
            let detail = format!("the key is {used}, which the rule does not take");
            unless(is_met, Code::NotAuthorised, detail)?;
        }
        if let Some(floor) = self.floor {
            rules.check_floor(question.basis, floor, "rule")?;
        }
        if !question.around.can_be_stated() {
            return Ok(());
        }
        // What a forge signs for others is not whatever somebody else brings along.
        let is_web_flow = || {
            let mut theirs = principals.iter().filter(|it| it.fits(question.signer));
            theirs.any(|it| it.kind == Kind::WebFlow)
        };
        if self.committer.is_some() || is_web_flow() {
            check_committer(principals, question)?;
        }
        self.check_statements(question)
    }

    fn check_statements(&self, question: &Question<'_>) -> Result<(), Refusal> {
        if self.predicate.is_none() && self.level.is_none() {
            return Ok(());
        }
        let statements = question.around.statements()?;
        let wanted = self.predicate.as_deref();
        let is_asked_for =
            |it: &&Stated| !it.rejects && wanted.is_none_or(|wanted| it.predicate_type == wanted);
        let asked_for = statements.iter().filter(is_asked_for);
        let mut meant = asked_for.clone().filter(|it| !it.fails).peekable();
        if meant.peek().is_none() {
            let wanted = wanted.unwrap_or("a statement");
            let failed = match asked_for.count() {
                0 => "",
                _ => ", and what is stated is a failure",
            };
            let detail = format!("the rule asks for {wanted}{failed}");
            return Err(Refusal::new(Code::AttestationMissing, detail));
        }
        let Some(level) = self.level.map(Level::as_str) else {
            return Ok(());
        };
        // The names of the levels are in their order.
        let best = meant.filter_map(|it| it.level).max();
        if best.is_some_and(|best| best >= level) {
            return Ok(());
        }
        let best = best.unwrap_or("none");
        let detail = format!("level {best}, and the rule asks for {level}");
        Err(Refusal::new(Code::LevelTooLow, detail))
    }
}

fn check_committer(principals: &[Arc<Principal>], question: &Question<'_>) -> Result<(), Refusal> {
    let refuse = |detail: String| Err(Refusal::new(Code::CommitterMismatch, detail));
    let Some(email) = question.email else {
        return refuse("the object names no committer".to_owned());
    };
    let signer = question.signer;
    let own = signer.identity.strip_prefix("mailto:") == Some(email);
    let theirs = principals.iter().filter(|it| it.fits(signer));
    if own
        || theirs
            .flat_map(|it| &it.emails)
            .any(|glob| glob.matches(email))
    {
        return Ok(());
    }
    refuse(format!("committed as {}", escape(email)))
}

fn any(globs: &[Glob], text: &str) -> bool {
    globs.iter().any(|glob| glob.matches(text))
}
