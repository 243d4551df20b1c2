//! The policy file: TOML in, rules out, and the line of whatever is wrong.

use std::{
    cell::LazyCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
    sync::Arc,
};

use notme_core::{
    glob::Glob,
    hex,
    key::{KeyId, sha256},
    object::HashKind,
    openpgp::Fingerprint,
    ssh::allowed_signers::AllowedSigners,
    terms::repository_name,
    time::UnixTime,
};
use serde::Deserialize;
use toml::Spanned;

use super::{
    AuthorityRule, Exception, FLOOR_DEFAULT, Gate, POLICY_MAX, Pattern, Policy, PolicyError,
    Remark, SKEW_DEFAULT, SKEW_MAX, Selector, Starts, kid_of, lint,
    principal::{By, Kind, Principal, Principals, Told, Who},
    rule::{Accepted, Algorithm, Committer, Demands, Format, Level, Right, Rule},
};
use crate::{ssh::ListedKey, verdict::TimeBasis};

/// More entries of one kind than anybody reads.
const ENTRIES_MAX: usize = 10_000;
/// The longest pattern, name or address.
const WORD_MAX: usize = 4096;
/// So many principals all different lists of names stand for together, at most.
const LISTED_MAX: usize = 1 << 20;
/// How deep groups of groups go.
const DEPTH_MAX: usize = 32;

/// Where something is wrong, and what.
type Wrong = (Range<usize>, String);
type Words = Spanned<Vec<Spanned<String>>>;

pub(super) fn parse(text: &str) -> Result<Policy, PolicyError> {
    let error = |span: Option<Range<usize>>, message: String| PolicyError::Rule {
        path: None,
        line: span.map(|span| line_of(text, span.start)),
        message,
    };
    if text.len() > POLICY_MAX {
        return Err(error(None, "the file is larger than 1 MiB".to_owned()));
    }
    let file: PolicyFile =
        toml::from_str(text).map_err(|e| error(e.span(), e.message().to_owned()))?;
    let mut policy = file
        .into_policy(text)
        .map_err(|(span, message)| error(Some(span), message))?;
    policy.digest = sha256(text.as_bytes());
    Ok(policy)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    authority: Option<Vec<Spanned<AuthorityEntry>>>,
    #[serde(default)]
    principal: Vec<Spanned<PrincipalEntry>>,
    allow: Option<Vec<Spanned<RuleEntry>>>,
    #[serde(default)]
    require: Vec<Spanned<RuleEntry>>,
    baseline: Option<Words>,
    known_good: Option<Words>,
    repository: Option<Words>,
    #[serde(default)]
    exception: Vec<Spanned<ExceptionEntry>>,
    #[serde(default)]
    gate: Vec<Spanned<GateEntry>>,
    time_basis_floor: Option<TimeBasis>,
    #[serde(default = "default_skew")]
    skew_seconds: Spanned<u32>,
    max_trust_age_seconds: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthorityEntry {
    name: Option<String>,
    spki_sha256: Option<String>,
    label: Option<String>,
    url: Option<String>,
    scopes: Option<Vec<String>>,
    time_basis_floor: Option<TimeBasis>,
    from: Option<Spanned<String>>,
    until: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrincipalEntry {
    name: Spanned<String>,
    kind: Option<Kind>,
    identities: Option<Words>,
    except: Option<Words>,
    issuers: Option<Words>,
    fingerprints: Option<Words>,
    keys: Option<Words>,
    ssh_keys: Option<Words>,
    emails: Option<Words>,
    authority: Option<String>,
    members: Option<Words>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleEntry {
    identity: Option<Spanned<String>>,
    #[serde(default)]
    except: Vec<Spanned<String>>,
    issuer: Option<Spanned<String>>,
    authority: Option<String>,
    principals: Option<Words>,
    refs: Option<Words>,
    paths: Option<Words>,
    formats: Option<Spanned<Vec<Format>>>,
    algorithms: Option<Spanned<Vec<Algorithm>>>,
    time_basis_floor: Option<TimeBasis>,
    committer: Option<Committer>,
    policy: Option<bool>,
    predicate: Option<Spanned<String>>,
    level: Option<Level>,
    accepted_by: Option<Words>,
    threshold: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExceptionEntry {
    object: Spanned<String>,
    reason: Spanned<String>,
    until: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GateEntry {
    principals: Words,
    repository: Spanned<String>,
}

/// What rules refer to by name.
struct Names {
    /// The authorities that the policy gave a label.
    labels: HashMap<String, Vec<Selector>>,
    principals: Vec<Arc<Principal>>,
    /// Which of them each name stands for.
    sets: HashMap<String, BTreeSet<usize>>,
    /// Whom the lists stand for that were read: rules that have the same one share it.
    lists: HashMap<Vec<String>, Principals>,
    /// How many more they may stand for.
    room: usize,
    used: BTreeSet<String>,
}

impl PolicyFile {
    fn into_policy(self, text: &str) -> Result<Policy, Wrong> {
        let skew = self.skew_seconds;
        if *skew.as_ref() > SKEW_MAX {
            let message = format!("`skew_seconds` is more than {SKEW_MAX}");
            return Err((skew.span(), message));
        }
        for count in [
            self.authority.as_ref().map_or(0, Vec::len),
            self.principal.len(),
            self.allow.as_ref().map_or(0, Vec::len),
            self.require.len(),
            self.exception.len(),
            self.gate.len(),
        ] {
            if count > ENTRIES_MAX {
                return Err((0..0, format!("more than {ENTRIES_MAX} entries of one kind")));
            }
        }
        let floor = self.time_basis_floor;
        let mut labels: HashMap<_, Vec<_>> = HashMap::new();
        let mut rules = Vec::new();
        for entry in self.authority.iter().flatten() {
            let rule = entry
                .as_ref()
                .to_rule(entry.span(), floor.unwrap_or(FLOOR_DEFAULT))?;
            if let Some(label) = &entry.as_ref().label {
                let selectors = labels.entry(label.clone()).or_default();
                selectors.push(rule.selector.clone());
            }
            rules.push(rule);
        }
        let has_authorities = self.authority.is_some();
        let mut listed = Vec::new();
        let mut names = Names::of(labels, &self.principal, &mut listed)?;
        let mut remarks = Vec::new();
        // Once for all: thousands of entries may earn a remark.
        let ends = LazyCell::new(|| -> Vec<_> { text.match_indices('\n').collect() });
        let mut remark = |span: Range<usize>, message: &str| {
            remarks.push(Remark {
                line: ends.partition_point(|(end, _)| *end < span.start) + 1,
                message: message.to_owned(),
            });
        };
        let mut allow = Vec::new();
        for entry in self.allow.iter().flatten() {
            let policy = entry.as_ref().policy.unwrap_or(false);
            let rule = entry
                .as_ref()
                .to_rule(Right::Allow { policy }, entry.span(), &mut names)?;
            lint::rule(&rule, |message| remark(entry.span(), message));
            allow.push(rule);
        }
        let mut require = Vec::new();
        for entry in &self.require {
            let rule = entry
                .as_ref()
                .to_rule(Right::Require, entry.span(), &mut names)?;
            lint::rule(&rule, |message| remark(entry.span(), message));
            require.push(rule);
        }
        let gates = self.gate.iter();
        let gates = gates
            .map(|it| it.as_ref().to_gate(&mut names))
            .collect::<Result<Arc<[_]>, _>>()?;
        let kinds = names.used.iter().filter_map(|name| Kind::named(name));
        let kinds: Vec<_> = kinds.collect();
        for entry in &self.principal {
            let name = entry.as_ref().name.as_ref();
            let kind = entry.as_ref().kind;
            let is_used =
                names.used.contains(name) || kind.is_some_and(|kind| kinds.contains(&kind));
            if !is_used {
                remark(entry.span(), "no rule and no group names this principal");
            }
        }
        let alone = self.principal.iter();
        let starts = Starts {
            authorities: starts(self.authority.iter().flatten()),
            principals: starts(alone.filter(|it| it.as_ref().members.is_none())),
            allow: starts(self.allow.iter().flatten()),
            require: starts(&self.require),
            exceptions: starts(&self.exception),
        };
        let exceptions = self.exception.iter().map(|it| it.as_ref().to_exception());
        Ok(Policy {
            exceptions: exceptions.collect::<Result<_, _>>()?,
            baseline: object_ids(&self.baseline, "baseline")?,
            known_good: object_ids(&self.known_good, "known_good")?,
            repository: repository_names(&self.repository)?,
            gates,
            authorities: has_authorities.then_some(rules),
            allow: match self.allow {
                Some(_) => Some(allow.into()),
                // Whoever lists authorities has begun to say who may sign, and has named nobody.
                None => has_authorities.then(Arc::default),
            },
            require: require.into(),
            principals: names.principals.into(),
            listed,
            floor,
            skew_seconds: skew.into_inner(),
            max_trust_age_seconds: self.max_trust_age_seconds,
            remarks,
            starts,
            text: text.into(),
            digest: [0; 32],
        })
    }
}

impl AuthorityEntry {
    fn to_rule(&self, span: Range<usize>, floor: TimeBasis) -> Result<AuthorityRule, Wrong> {
        let wrong = |message: &str| (span.clone(), message.to_owned());
        let selector = match (&self.name, &self.spki_sha256) {
            (Some(name), None) => Selector::Name(name.clone()),
            (None, Some(digest)) => Selector::Spki(hex::decode_array(digest).ok_or_else(|| {
                wrong("the `spki_sha256` of an `[[authority]]` is not 64 lower-case hex digits")
            })?),
            (Some(_), Some(_)) | (None, None) => {
                return Err(wrong(
                    "an `[[authority]]` has either a `name` or a `spki_sha256`",
                ));
            }
        };
        if self.label.as_ref().is_some_and(String::is_empty) {
            return Err(wrong("the `label` of an `[[authority]]` is empty"));
        }
        let time = |at: &Option<Spanned<String>>| at.as_ref().map(time).transpose();
        let (from, until) = (time(&self.from)?, time(&self.until)?);
        if let (Some(from), Some(until)) = (from, until)
            && until < from
        {
            return Err(wrong("the `[[authority]]` ends before it begins"));
        }
        Ok(AuthorityRule {
            selector,
            scopes: self.scopes.clone(),
            floor: self.time_basis_floor.unwrap_or(floor),
            from,
            until,
            url: self.url.clone(),
        })
    }
}

impl Names {
    /// Reads the principals, and what each name stands for.
    fn of(
        labels: HashMap<String, Vec<Selector>>,
        entries: &[Spanned<PrincipalEntry>],
        listed: &mut Vec<Arc<ListedKey>>,
    ) -> Result<Self, Wrong> {
        let mut names = Self {
            labels,
            principals: Vec::new(),
            sets: HashMap::new(),
            lists: HashMap::new(),
            room: LISTED_MAX,
            used: BTreeSet::new(),
        };
        let mut groups = BTreeMap::new();
        for entry in entries {
            let (span, entry) = (entry.span(), entry.as_ref());
            let name = word(&entry.name)?.to_owned();
            if Kind::named(&name).is_some() {
                let message = format!("`{name}` is the name of a kind");
                return Err((entry.name.span(), message));
            }
            if names.sets.contains_key(&name) || groups.contains_key(&name) {
                return Err((entry.name.span(), format!("there are two named `{name}`")));
            }
            match &entry.members {
                Some(members) => {
                    entry.check_is_group(&span)?;
                    groups.insert(name, (span, words(members, "members")?));
                }
                None => {
                    let index = names.principals.len();
                    let principal = entry.to_principal(&span, &names, listed)?;
                    names.principals.push(Arc::new(principal));
                    names.sets.insert(name, BTreeSet::from([index]));
                }
            }
        }
        for name in groups.keys() {
            names.add_group(name, &groups, &mut Vec::new())?;
        }
        Ok(names)
    }

    /// Finds whom a group stands for, its groups first.
    fn add_group(
        &mut self,
        name: &str,
        groups: &BTreeMap<String, (Range<usize>, Vec<&Spanned<String>>)>,
        above: &mut Vec<String>,
    ) -> Result<(), Wrong> {
        let Some((span, members)) = groups.get(name) else {
            return Ok(());
        };
        if self.sets.contains_key(name) {
            return Ok(());
        }
        if above.iter().any(|other| other == name) {
            return Err((
                span.clone(),
                format!("the group `{name}` is part of itself"),
            ));
        }
        if above.len() >= DEPTH_MAX {
            return Err((span.clone(), format!("groups nest deeper than {DEPTH_MAX}")));
        }
        above.push(name.to_owned());
        let mut set = BTreeSet::new();
        for member in members {
            self.add_group(member.as_ref(), groups, above)?;
            set.extend(self.set(member)?);
        }
        above.pop();
        self.sets.insert(name.to_owned(), set);
        Ok(())
    }

    /// Returns whom a name stands for: a principal, a group, or all of a kind.
    fn set(&mut self, name: &Spanned<String>) -> Result<BTreeSet<usize>, Wrong> {
        let (span, name) = (name.span(), name.as_ref());
        let set = match (self.sets.get(name), Kind::named(name)) {
            (Some(set), _) => set.clone(),
            (None, Some(kind)) => {
                let all = self.principals.iter().enumerate();
                all.filter(|(_, it)| it.kind == kind)
                    .map(|(index, _)| index)
                    .collect()
            }
            (None, None) => return Err((span, format!("there is no principal `{name}`"))),
        };
        if set.is_empty() {
            return Err((
                span,
                format!("`{name}` is nobody: no principal is of that kind"),
            ));
        }
        self.room = self.room.checked_sub(set.len()).ok_or_else(|| {
            let message = format!("the lists of names stand for more than {LISTED_MAX} principals");
            (span, message)
        })?;
        self.used.insert(name.to_owned());
        Ok(set)
    }

    /// Returns the principals of a list of names, and how it reads.
    fn resolve(&mut self, list: &Words, key: &str) -> Result<(Box<str>, Principals), Wrong> {
        let list = words(list, key)?;
        let names: Vec<_> = list.iter().map(|name| name.as_ref().clone()).collect();
        let text = names.join(", ").into();
        if let Some(known) = self.lists.get(&names) {
            return Ok((text, Arc::clone(known)));
        }
        let mut set = BTreeSet::new();
        for name in &list {
            set.extend(self.set(name)?);
        }
        let principals = set.iter().filter_map(|index| self.principals.get(*index));
        let principals: Arc<[_]> = principals.cloned().collect();
        self.lists.insert(names, Arc::clone(&principals));
        Ok((text, principals))
    }

    fn by(&self, authority: Option<&String>) -> By {
        match authority {
            None => By::Any,
            Some(label) => match self.labels.get(label) {
                Some(selectors) => By::Roots {
                    label: label.clone(),
                    selectors: selectors.clone(),
                },
                None => By::Store(label.clone()),
            },
        }
    }
}

impl PrincipalEntry {
    fn check_is_group(&self, span: &Range<usize>) -> Result<(), Wrong> {
        let is_more = self.kind.is_some()
            || self.identities.is_some()
            || self.except.is_some()
            || self.issuers.is_some()
            || self.fingerprints.is_some()
            || self.keys.is_some()
            || self.ssh_keys.is_some()
            || self.emails.is_some()
            || self.authority.is_some();
        match is_more {
            true => Err((
                span.clone(),
                "a group has `name` and `members` only".to_owned(),
            )),
            false => Ok(()),
        }
    }

    fn to_principal(
        &self,
        span: &Range<usize>,
        names: &Names,
        listed: &mut Vec<Arc<ListedKey>>,
    ) -> Result<Principal, Wrong> {
        let wrong = |message: &str| (span.clone(), message.to_owned());
        let Some(kind) = self.kind else {
            return Err(wrong("a `[[principal]]` has a `kind`, or `members`"));
        };
        let is_somebody = self.identities.is_some()
            || self.keys.is_some()
            || self.ssh_keys.is_some()
            || self.fingerprints.is_some();
        if !is_somebody {
            return Err(wrong(
                "a `[[principal]]` has `identities`, `keys`, `ssh_keys` or `fingerprints`",
            ));
        }
        if kind == Kind::WebFlow && self.emails.is_none() {
            return Err(wrong(
                "a `[[principal]]` of kind `web-flow` has `emails`: those that the forge commits under",
            ));
        }
        if self.ssh_keys.is_some() && self.authority.is_some() {
            return Err(wrong("`ssh_keys` are vouched for by the policy itself"));
        }
        let emails = self.emails.as_ref();
        let emails = emails.map_or(Ok(Vec::new()), |emails| words(emails, "emails"))?;
        let mut keys: Vec<KeyId> = Vec::new();
        if let Some(digests) = &self.keys {
            for digest in words(digests, "keys")? {
                let kid = hex::decode_array(digest.as_ref()).and_then(|it| kid_of(&it));
                let message =
                    "a key is named by the SHA-256 of its public key: 64 lower-case hex digits";
                let kid = kid.ok_or_else(|| (digest.span(), message.to_owned()))?;
                keys.push(kid);
            }
        }
        if let Some(lines) = &self.ssh_keys {
            for line in words(lines, "ssh_keys")? {
                let key = listed_key(line, &emails)?;
                keys.push(key.kid());
                listed.push(Arc::new(key));
            }
        }
        let fingerprint = |text: &Spanned<String>| {
            let message = "a fingerprint is 40 or 64 hexadecimal digits";
            let read = Fingerprint::from_hex(text.as_ref());
            read.ok_or_else(|| (text.span(), message.to_owned()))
        };
        let fingerprints = match &self.fingerprints {
            Some(list) => {
                let list = words(list, "fingerprints")?.into_iter();
                list.map(fingerprint).collect::<Result<_, _>>()?
            }
            None => Vec::new(),
        };
        let patterns_of = |list: &Option<Words>, key: &str| {
            let list = list.as_ref();
            list.map(|list| patterns(&words(list, key)?)).transpose()
        };
        Ok(Principal {
            name: self.name.as_ref().as_str().into(),
            kind,
            identities: patterns_of(&self.identities, "identities")?,
            except: patterns_of(&self.except, "except")?.unwrap_or_default(),
            told: patterns_of(&self.issuers, "issuers")?.map_or(Told::ByNobody, Told::By),
            fingerprints,
            keys,
            emails: emails.iter().map(|it| Glob::new(it.as_ref())).collect(),
            by: names.by(self.authority.as_ref()),
        })
    }
}

impl RuleEntry {
    fn to_rule(&self, right: Right, span: Range<usize>, names: &mut Names) -> Result<Rule, Wrong> {
        let wrong = |message: &str| (span.clone(), message.to_owned());
        let is_narrowed =
            !self.except.is_empty() || self.issuer.is_some() || self.authority.is_some();
        let who = match (&self.identity, &self.principals) {
            (Some(_), Some(_)) => {
                return Err(wrong("a rule has either `identity` or `principals`"));
            }
            (Some(identity), None) => Who::Identity {
                identity: Pattern::Glob(Glob::new(word(identity)?)),
                except: patterns(&self.except.iter().collect::<Vec<_>>())?,
                told: match (&self.issuer, right) {
                    (Some(issuer), _) => Told::By(patterns(&[issuer])?),
                    (None, Right::Allow { .. }) => Told::ByNobody,
                    (None, Right::Require) => Told::Whatever,
                },
                by: names.by(self.authority.as_ref()),
            },
            (None, _) if is_narrowed => {
                return Err(wrong(
                    "`except`, `issuer` and `authority` go with `identity`",
                ));
            }
            (None, Some(list)) => {
                let (names, principals) = names.resolve(list, "principals")?;
                Who::Principals { names, principals }
            }
            (None, None) => match right {
                Right::Require => Who::Anyone,
                Right::Allow { .. } => {
                    return Err(wrong("an `[[allow]]` rule has `identity` or `principals`"));
                }
            },
        };
        if right == Right::Require && self.policy.is_some() {
            return Err(wrong("`policy` is a right that `[[allow]]` gives"));
        }
        let mut rule = Rule::new(right, who);
        let globs = |list: &Option<Words>, key| match list {
            Some(list) => Ok(Some(
                words(list, key)?
                    .into_iter()
                    .map(|it| Glob::new(it.as_ref()))
                    .collect(),
            )),
            None => Ok(None),
        };
        rule.refs = globs(&self.refs, "refs")?;
        rule.paths = globs(&self.paths, "paths")?;
        rule.demands = self.demands(&span, names)?;
        if right == Right::Require && rule.demands.is_nothing() {
            return Err(wrong("a `[[require]]` rule asks for nothing"));
        }
        Ok(rule)
    }

    fn demands(&self, span: &Range<usize>, names: &mut Names) -> Result<Demands, Wrong> {
        let wrong = |message: &str| (span.clone(), message.to_owned());
        let accepted = match (&self.accepted_by, &self.threshold) {
            (None, None) => None,
            (None, Some(_)) => return Err(wrong("`threshold` goes with `accepted_by`")),
            (Some(list), threshold) => {
                let (names, by) = names.resolve(list, "accepted_by")?;
                let threshold = threshold.as_ref().map_or(1, |it| *it.as_ref());
                let threshold = usize::try_from(threshold).unwrap_or(usize::MAX);
                if !(1..=ENTRIES_MAX).contains(&threshold) {
                    let message = format!("a `threshold` is 1 to {ENTRIES_MAX}");
                    return Err(wrong(&message));
                }
                Some(Accepted {
                    names,
                    by,
                    threshold,
                })
            }
        };
        Ok(Demands {
            formats: some(&self.formats, "formats")?,
            algorithms: some(&self.algorithms, "algorithms")?,
            floor: self.time_basis_floor,
            committer: self.committer,
            predicate: match &self.predicate {
                Some(predicate) => Some(word(predicate)?.to_owned()),
                None => None,
            },
            level: self.level,
            accepted,
        })
    }
}

impl ExceptionEntry {
    fn to_exception(&self) -> Result<Exception, Wrong> {
        let until = time(&self.until)?;
        let reason = word(&self.reason)?;
        Ok(Exception {
            object: object_id(&self.object)?.to_owned(),
            until,
            text: format!("exception until {until}: {reason}").into(),
        })
    }
}

impl GateEntry {
    fn to_gate(&self, names: &mut Names) -> Result<Gate, Wrong> {
        let (_, by) = names.resolve(&self.principals, "principals")?;
        let repository = word(&self.repository)?.into();
        Ok(Gate { by, repository })
    }
}

fn default_skew() -> Spanned<u32> {
    Spanned::new(0..0, SKEW_DEFAULT)
}

/// Takes a list of words, none of which, nor the list, is empty.
fn words<'a>(list: &'a Words, key: &str) -> Result<Vec<&'a Spanned<String>>, Wrong> {
    let span = list.span();
    let list = list.as_ref();
    if list.is_empty() {
        return Err((span, format!("`{key}` is an empty list")));
    }
    if list.len() > ENTRIES_MAX {
        return Err((span, format!("`{key}` has more than {ENTRIES_MAX} entries")));
    }
    list.iter().map(|it| word(it).map(|_| it)).collect()
}

fn word(text: &Spanned<String>) -> Result<&str, Wrong> {
    let message = match text.as_ref() {
        text if text.is_empty() => "an empty text stands for nothing",
        text if text.len() > WORD_MAX => "a text is longer than 4096 bytes",
        text => return Ok(text),
    };
    Err((text.span(), message.to_owned()))
}

fn some<T: Clone>(list: &Option<Spanned<Vec<T>>>, key: &str) -> Result<Option<Vec<T>>, Wrong> {
    match list {
        Some(list) if list.as_ref().is_empty() => {
            Err((list.span(), format!("`{key}` is an empty list")))
        }
        list => Ok(list.as_ref().map(|list| list.as_ref().clone())),
    }
}

fn patterns(list: &[&Spanned<String>]) -> Result<Vec<Pattern>, Wrong> {
    let pattern = |text: &&Spanned<String>| Ok(Pattern::Glob(Glob::new(word(text)?)));
    list.iter().map(pattern).collect()
}

fn object_ids<L: FromIterator<String>>(list: &Option<Words>, key: &str) -> Result<L, Wrong> {
    let list = match list {
        Some(list) => words(list, key)?,
        None => Vec::new(),
    };
    let ids = list.into_iter().map(|id| object_id(id).map(str::to_owned));
    ids.collect()
}

/// Reads the names that the repository goes by, as certificates have them.
fn repository_names(list: &Option<Words>) -> Result<Vec<String>, Wrong> {
    let list = match list {
        Some(list) => words(list, "repository")?,
        None => Vec::new(),
    };
    let name = |text: &Spanned<String>| {
        let problem = || format!("`{}` names no repository", text.as_ref());
        repository_name(text.as_ref()).ok_or_else(|| (text.span(), problem()))
    };
    list.into_iter().map(name).collect()
}

fn object_id(text: &Spanned<String>) -> Result<&str, Wrong> {
    let id = text.as_ref();
    match HashKind::of_object_id(id.as_bytes()) {
        Some(_) => Ok(id),
        None => Err((text.span(), format!("`{id}` is no full object id"))),
    }
}

fn time(text: &Spanned<String>) -> Result<UnixTime, Wrong> {
    let message = "a time is written as `2026-11-20T12:00:00Z`";
    let time = text.as_ref().parse();
    time.map_err(|_| (text.span(), message.to_owned()))
}

/// Reads a key as a line of a file of allowed signers has it, after the names.
fn listed_key(line: &Spanned<String>, emails: &[&Spanned<String>]) -> Result<ListedKey, Wrong> {
    let wrong = |message: String| (line.span(), message);
    let emails: Vec<_> = emails.iter().map(|email| email.as_ref().as_str()).collect();
    let is_plain = |email: &&str| !email.contains([' ', '\t', ',', '"', '!', '#', '\n', '\r']);
    if line.as_ref().contains(['\n', '\r']) || !emails.iter().all(is_plain) {
        return Err(wrong("a key and its addresses are on one line".to_owned()));
    }
    let names = match emails.is_empty() {
        true => "*".to_owned(),
        false => emails.join(","),
    };
    let text = format!("{names} {}\n", line.as_ref());
    let file = AllowedSigners::parse(text.as_bytes(), &|_local| None);
    file.check().map_err(|error| wrong(error.to_string()))?;
    let key = file.lines().first().and_then(ListedKey::of);
    key.ok_or_else(|| wrong("this is no SSH key".to_owned()))
}

fn starts<'e, T: 'e>(entries: impl IntoIterator<Item = &'e Spanned<T>>) -> Vec<usize> {
    entries.into_iter().map(|it| it.span().start).collect()
}

pub(super) fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}
