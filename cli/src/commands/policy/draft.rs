//! A first policy, written from what the history shows.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt::Write as _,
};

use notme_core::{hex, openpgp::Fingerprint};
use notme_verifier::{
    Code, Judgement, Repository, Trust,
    forge::{is_nobodys, is_web_flow},
    openpgp::Person,
    policy::quoted,
    report::escape,
    repository::RepositoryError,
    standing::Standing,
    trust::{Authority, PinKind},
    verdict::Class,
    verify::JudgedObject,
};

use crate::failure::Failure;

/// More old ends of history than a policy should begin with.
const BASELINES_MAX: usize = 32;

/// The kinds of signers, whose names no signer may have.
const KINDS: [&str; 4] = ["agent", "bot", "human", WEB_FLOW];
const WEB_FLOW: &str = "web-flow";
/// How the identities of people begin.
const OF_PEOPLE: [&str; 3] = ["mailto:", "openpgp4fpr:", "ssh-key:"];
/// What stands for the names of an owner's agents.
const OF_AGENTS: &str = "/*";

/// How the policy is to know somebody.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
struct Known {
    /// What to call them, though others may be called so, too.
    name: String,
    kind: &'static str,
    /// `identities` or `fingerprints`.
    key: &'static str,
    value: String,
    emails: BTreeSet<String>,
    /// Who told a Sigstore authority so.
    issuer: Option<String>,
}

impl Known {
    /// Tells whether the policy would mean others as well: a star in a name stands for itself there,
    /// and in a pattern for anything.
    fn is_wider(&self) -> bool {
        let value = match self.kind {
            "agent" => self.value.trim_end_matches(OF_AGENTS),
            _ => &self.value,
        };
        let others = self.emails.iter().chain(&self.issuer);
        value.contains('*') || others.into_iter().any(|it| it.contains('*'))
    }
}

/// Somebody who signs here.
#[derive(Default)]
struct Signer {
    authorities: BTreeSet<String>,
    formats: BTreeSet<&'static str>,
    commits: usize,
    /// Whether something shows of one of them that the certificate lived when it signed.
    is_shown: bool,
}

impl Signer {
    /// Tells why the policy can only mention somebody.
    fn left_out(&self, known: &Known) -> Option<&'static str> {
        match (known.is_wider(), self.is_shown) {
            (true, _) => Some("the name holds a `*`, which would stand for other names as well"),
            (false, false) => Some(
                "nothing shows when they signed (time-not-shown), so that it would let in none of it",
            ),
            (false, true) => None,
        }
    }
}

/// A policy, and what it excuses.
pub(super) struct Draft {
    pub(super) text: String,
    /// What lies under its baseline, if it has one.
    pub(super) excused: Option<String>,
}

/// Writes the policy that lets those sign who did.
pub(super) fn write(
    repository: &Repository,
    trust: &Trust,
    objects: &[JudgedObject],
) -> Result<Draft, Failure> {
    let mut signers: BTreeMap<Known, Signer> = BTreeMap::new();
    let (mut refused, mut accepted) = (Vec::new(), 0);
    for object in objects {
        let judgement = object.judgement();
        let code = judgement.verdict().code();
        if let Some(code) = code.filter(|code| !says_something(*code)) {
            return Err(unjudged(&object.id().to_string(), code));
        }
        accepted += usize::from(code.is_none());
        let issuer = judgement.standing().and_then(Standing::oidc_issuer);
        // A Sigstore authority certifies everybody, so that the trust store alone accepts nobody by it.
        let signs = match code {
            None => true,
            Some(Code::NotAuthorised | Code::TimeNotShown) => issuer.is_some(),
            Some(_) => false,
        };
        if let (true, Some(identity), Some(authority)) =
            (signs, judgement.identity(), judgement.authority())
        {
            let known = Known {
                issuer: issuer.map(str::to_owned),
                ..known(identity, key_of(trust, judgement))
            };
            let signer = signers.entry(known).or_default();
            signer.authorities.insert(authority.to_owned());
            signer
                .formats
                .extend(judgement.format().map(|it| it.as_str()));
            signer.commits += 1;
            signer.is_shown |= code != Some(Code::TimeNotShown);
        }
        if !signs || code == Some(Code::TimeNotShown) {
            refused.push(object);
        }
    }
    let (baseline, excused) = baseline(repository, objects, &refused)?;
    let mut text = String::new();
    // Writing into a string does not fail.
    let mut say = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    say("# Who may sign here. docs/formats/policy.md of notme has every key.");
    say("#");
    say("# The policy in the tree of a commit's parent judges the commit. It counts for whoever");
    say("# pins a commit that has it: `notme verify --trust-root COMMIT`.");
    say(&format!(
        "# Written from {} commit{}; the trust store alone accepts {}.",
        objects.len(),
        if objects.len() == 1 { "" } else { "s" },
        accepted
    ));
    if let Some(excused) = &excused {
        say("");
        say("# History up to here is taken as it is. Look at what is not accepted in it:");
        say(&format!("# {excused}."));
        let ids: Vec<_> = baseline.iter().map(|id| quoted(id)).collect();
        say(&format!("baseline = [{}]", ids.join(", ")));
    }
    let named = || {
        let named = signers.iter();
        named.filter(|(known, signer)| signer.left_out(known).is_none())
    };
    if named().next().is_none() {
        say("");
        say("# Nobody who can be named here has signed yet, so nobody may: name somebody.");
        say("allow = []");
    }
    let mut used = BTreeSet::new();
    signers.values().for_each(|it| used.extend(&it.authorities));
    for authority in trust.authorities() {
        if used.contains(&authority.name().to_owned()) {
            write_authority(&mut text, authority, objects);
        }
    }
    let mut names: HashSet<_> = KINDS.map(str::to_owned).into();
    for (known, signer) in &signers {
        let name = distinct(&known.name, &mut names);
        write_signer(&mut text, &name, known, signer);
    }
    let mut kinds = BTreeMap::new();
    for (known, _) in named() {
        *kinds.entry(known.kind).or_default() |= known.issuer.is_some();
    }
    write_rules(&mut text, &kinds);
    Ok(Draft { text, excused })
}

/// Tells whether a code says something of the commit, not of what is missing to judge it.
fn says_something(code: Code) -> bool {
    code.class() == Class::Rejected
        || matches!(code, Code::TimeNotShown | Code::AlgorithmUnsupported)
}

fn unjudged(what: &str, code: Code) -> Failure {
    let error = format!("{what} cannot be judged: {code}; a baseline would excuse it unseen");
    Failure::from(error).hint(code.fix())
}

/// Returns the OpenPGP key in the trust store that signed, if one did.
fn key_of<'t>(trust: &'t Trust, judgement: &Judgement) -> Option<&'t Person> {
    let signed = judgement.standing()?.openpgp()?;
    let authority = judgement.authority()?;
    let mut authorities = trust.authorities().iter();
    let authority = authorities.find(|it| it.name() == authority)?;
    let mut people = authority.people().iter().map(|person| &**person);
    people.find(|it| primary(it) == Some(&signed.primary))
}

fn primary(person: &Person) -> Option<&Fingerprint> {
    Some(person.keys().first()?.key().fingerprint())
}

/// Names a signer, and says what it is: agents go by whom they work for, forges by their keys, and
/// who has neither an address nor a key for a name is no human.
fn known(identity: &str, key: Option<&Person>) -> Known {
    let plain = |text: &str| {
        let letters = text
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
        let name = letters.collect::<String>().to_ascii_lowercase();
        match name.trim_start_matches('-') {
            "" => "unnamed".to_owned(),
            name => name.to_owned(),
        }
    };
    let by_identity = |name, kind, value| Known {
        name,
        kind,
        key: "identities",
        value,
        emails: BTreeSet::new(),
        issuer: None,
    };
    let own = identity.to_owned();
    let parts: Vec<_> = identity.split('/').collect();
    match parts.as_slice() {
        ["wimse:", "", domain, "agent", principal, _] => {
            let pattern = format!("wimse://{domain}/agent/{principal}{OF_AGENTS}");
            by_identity(format!("agents-of-{}", plain(principal)), "agent", pattern)
        }
        ["wimse:", "", rest @ ..] => by_identity(plain(&rest.join("-")), "bot", own),
        _ => {
            let address = identity.split_once(':').map_or(identity, |(_, name)| name);
            let name = plain(address);
            // A pattern would be more addresses than one.
            let emails = |person: &Person| {
                let all = person.addresses().filter(|it| !it.contains('*'));
                all.chain([address]).map(str::to_owned).collect()
            };
            let forge = key.filter(|person| is_web_flow(person));
            match forge.and_then(|person| Some((primary(person)?, emails(person)))) {
                Some((fingerprint, emails)) => Known {
                    name,
                    kind: WEB_FLOW,
                    key: "fingerprints",
                    value: fingerprint.to_string(),
                    emails,
                    issuer: None,
                },
                None if is_nobodys(identity) => Known {
                    emails: [address.to_owned()].into(),
                    ..by_identity(name, WEB_FLOW, own)
                },
                None if OF_PEOPLE.iter().any(|it| identity.starts_with(it)) => {
                    by_identity(name, "human", own)
                }
                None => by_identity(name, "bot", own),
            }
        }
    }
}

/// Returns a name that nobody has yet: the one that is wanted, perhaps with a number behind.
fn distinct(wanted: &str, taken: &mut HashSet<String>) -> String {
    let (mut name, mut number) = (wanted.to_owned(), 1);
    while !taken.insert(name.clone()) {
        number += 1;
        name = format!("{wanted}-{number}");
    }
    name
}

/// Finds the newest commits that were refused and that no other of them reaches, and says what
/// they excuse.
fn baseline(
    repository: &Repository,
    objects: &[JudgedObject],
    refused: &[&JudgedObject],
) -> Result<(Vec<String>, Option<String>), Failure> {
    let mut ends: Vec<String> = Vec::new();
    let mut reached = HashSet::new();
    for object in refused {
        if reached.contains(&object.id()) {
            continue;
        }
        if ends.len() == BASELINES_MAX {
            let error = "too many branches of history hold commits that are not accepted";
            return Err(Failure::usage(error).hint("look at fewer commits with `--last`"));
        }
        let history = repository.history_of(object.id());
        reached.extend(history.map_err(|error| match error {
            RepositoryError::Before(id) => {
                unjudged(&format!("history before {id}"), Code::ObjectMissing)
            }
            error => error.into(),
        })?);
        ends.push(object.id().to_string());
    }
    if ends.is_empty() {
        return Ok((ends, None));
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for code in refused
        .iter()
        .filter_map(|it| it.judgement().verdict().code())
    {
        *counts.entry(code.as_str()).or_default() += 1;
    }
    let mut excused: Vec<_> = (counts.iter())
        .map(|(code, count)| format!("{count} {code}"))
        .collect();
    for object in objects {
        reached.remove(&object.id());
    }
    if !reached.is_empty() {
        excused.push(format!("{} older, not looked at (`--last`)", reached.len()));
    }
    Ok((ends, Some(excused.join(", "))))
}

fn write_authority(text: &mut String, authority: &Authority, objects: &[JudgedObject]) {
    let kind = authority.kind();
    let is_person = matches!(kind, PinKind::OpenPgp | PinKind::AllowedSigners);
    let signed: BTreeSet<String> = objects
        .iter()
        .filter_map(|it| Some(it.judgement().authority_kid()?.to_string()))
        .collect();
    let url = authority.document().map(|document| document.url.clone());
    let url = url.filter(|url| url.starts_with("https://"));
    let _ = write!(
        text,
        "\n# `{}`, pinned as {kind}.\n",
        escape(authority.name())
    );
    if kind == PinKind::TrustDocument {
        text.push_str(
            "# Its next roots have to be named here before they are used: `notme policy check` says which,\n\
             # after `notme authority rotate --prepare`.\n",
        );
    }
    let keys: BTreeSet<_> = authority.keys().map(|key| hex::encode(&key)).collect();
    for key in keys {
        // Of people, those who signed; of an authority, all roots, as the next may be used soon.
        if is_person && !signed.contains(key.get(..32).unwrap_or_default()) {
            continue;
        }
        let label = quoted(authority.name());
        let _ = writeln!(
            text,
            "[[authority]]\nspki_sha256 = \"{key}\"\nlabel = {label}"
        );
        if let Some(url) = &url {
            let _ = writeln!(text, "url = {}", quoted(url));
        }
        if is_person || kind == PinKind::X509 {
            let _ = writeln!(text, "time_basis_floor = \"declared\"");
        }
    }
}

fn write_signer(text: &mut String, name: &str, known: &Known, signer: &Signer) {
    let formats: Vec<_> = signer.formats.iter().copied().collect();
    let mut entry = String::new();
    let _ = write!(
        entry,
        "[[principal]]\nname = {}\nkind = \"{}\"\n{} = [{}]\n",
        quoted(name),
        known.kind,
        known.key,
        quoted(&known.value),
    );
    if !known.emails.is_empty() {
        let emails: Vec<_> = known.emails.iter().map(|it| quoted(it)).collect();
        let _ = writeln!(entry, "emails = [{}]", emails.join(", "));
    }
    if let Some(issuer) = &known.issuer {
        let _ = writeln!(entry, "issuers = [{}]", quoted(issuer));
    }
    // One authority is said; of several, any may vouch.
    if let (Some(authority), 1) = (signer.authorities.first(), signer.authorities.len()) {
        let _ = writeln!(entry, "authority = {}", quoted(authority));
    }
    let formats = formats.join(", ");
    let _ = writeln!(
        text,
        "\n# Signed {} of these commits, as {formats}.",
        signer.commits
    );
    if known.issuer.is_some() {
        text.push_str(
            "# Sigstore certifies everybody: see that this is somebody who may sign here.\n",
        );
    }
    let Some(why) = signer.left_out(known) else {
        text.push_str(&entry);
        return;
    };
    let _ = writeln!(text, "# Left out: {why}.");
    for line in entry.lines() {
        let _ = writeln!(text, "# {line}");
    }
}

/// Writes what each kind may do; of some, there are signers whom only a Sigstore authority certifies.
fn write_rules(text: &mut String, kinds: &BTreeMap<&str, bool>) {
    let has_human = kinds.contains_key("human");
    for (kind, is_anybody) in kinds {
        let may_change = match *kind {
            "human" => true,
            WEB_FLOW => false,
            _ => !has_human,
        };
        let _ = write!(text, "\n[[allow]]\nprincipals = [\"{kind}\"]\n");
        if may_change && !has_human {
            let _ = writeln!(
                text,
                "# No human has signed here yet. Once one has, let only humans change the policy."
            );
        }
        match (may_change, is_anybody) {
            (true, true) => text.push_str(
                "# Once each of them is known to be somebody of yours:\n# policy = true\n",
            ),
            (true, false) => text.push_str("policy = true\n"),
            (false, _) => {}
        }
        if *kind == WEB_FLOW {
            let _ = writeln!(
                text,
                "# Never `policy = true`: a forge signs for whoever is logged in there."
            );
        }
    }
    if !kinds.is_empty() {
        text.push_str(REQUIRE);
    }
}

const REQUIRE: &str = r#"
# More may be asked, by path and by ref. This asks that a human accepts what agents change there:
# [[require]]
# principals = ["agent"]
# paths = ["auth/*"]
# accepted_by = ["human"]
"#;
