//! What is no error in a policy, and probably not meant.

use std::iter;

use notme_core::{glob::Glob, hex, openpgp::Fingerprint, time::UnixTime};

use super::{
    Policy, Remark, Selector, TRUST_PATH,
    file::line_of,
    principal::{By, Kind, Told, Who},
    rule::{Right, Rule},
};
use crate::{
    forge::{any_of, is_web_flow_key},
    trust::{Authority, PinKind, Trust},
    verdict::TimeBasis,
};

/// What is the matter where only a Sigstore authority may vouch.
const UNTOLD: &str = "goes by a Sigstore authority alone, and does not say who has to have told it (`issuers`, of a rule `issuer`): so it is nobody";

/// Looks at a rule by itself.
pub(super) fn rule(rule: &Rule, mut remark: impl FnMut(&str)) {
    if let (
        Right::Allow { .. },
        Who::Identity {
            identity,
            by: By::Any,
            ..
        },
    ) = (rule.right, rule.who())
        && identity.to_string().chars().all(|c| c == '*')
    {
        remark("this allows everybody whom any authority vouches for");
    }
    if rule.right == (Right::Allow { policy: true }) && rule.refs.is_none() {
        remark("this lets the policy be changed on every branch; `refs` would narrow it");
    }
    for glob in rule.paths.iter().flatten() {
        let path = glob.to_string();
        if path.starts_with('/') || path.starts_with("./") || path.ends_with('/') {
            remark("paths are written as `directory/*`, without a slash before or after");
        }
    }
    let names = |glob: &&Glob| glob.is_within(TRUST_PATH) && !glob.matches(TRUST_PATH);
    let covers = |glob: &&Glob| {
        let is_meant = glob.matches(TRUST_PATH) || glob.matches(&format!("{TRUST_PATH}/x"));
        is_meant && glob.to_string().chars().any(|c| c != '*')
    };
    let mut paths = rule.paths.iter().flatten();
    if rule.right == (Right::Allow { policy: false })
        && paths.clone().any(|glob| covers(&glob))
        && !paths.any(|glob| names(&glob))
    {
        remark("this does not let the trust store be changed: `.notme/trust/*` would");
    }
    for name in rule.refs.iter().flatten() {
        if let Some(literal) = literal(&name.to_string()) {
            remark(&literal);
        } else if !may_fit_ref(name) {
            remark(&format!(
                "`{name}` fits no branch and no tag: refs are written in full, as `refs/heads/main`"
            ));
        }
    }
}

/// Looks at the whole.
pub(super) fn remarks(
    policy: &Policy,
    trust: &Trust,
    now: UnixTime,
    is_here: &dyn Fn(&str) -> bool,
    is_folder: &dyn Fn(&str) -> bool,
) -> Vec<Remark> {
    let mut remarks = policy.remarks.clone();
    let starts = &policy.starts;
    let mut remark = |start: usize, message: String| {
        let line = line_of(&policy.text, start);
        remarks.push(Remark { line, message });
    };
    let may_change = |rule: &Rule| rule.right == Right::Allow { policy: true };
    let allow = policy.allow.as_deref().unwrap_or_default();
    if !allow.iter().any(may_change) {
        remark(
            0,
            "no rule has `policy = true`, so nobody can change this policy in the repository"
                .to_owned(),
        );
    }
    let principals = policy.principals.iter().zip(&starts.principals);
    for (human, start) in principals.filter(|(it, _)| it.kind == Kind::Human) {
        if human.fingerprints.iter().any(is_web_flow_key)
            || any_of(trust, |forge| human.fits(forge))
        {
            remark(
                *start,
                format!(
                    "`{}` is a human, and also a forge's key, which signs for whoever is logged in there: `web-flow` is the kind for it",
                    human.name
                ),
            );
        }
    }
    let by_sigstore = policy.principals.iter().zip(&starts.principals);
    let by_sigstore =
        by_sigstore.filter(|(it, _)| matches!(it.told, Told::ByNobody) && it.by.is_sigstore(trust));
    for (principal, start) in by_sigstore {
        remark(*start, format!("`{}` {UNTOLD}", principal.name));
    }
    let allow = allow.iter().zip(&starts.allow);
    for (rule, start) in allow
        .clone()
        .filter(|(rule, _)| rule.who().is_told_by_nobody(trust))
    {
        remark(*start, format!("`{}` {UNTOLD}", rule.text));
    }
    for (rule, start) in allow.clone().filter(|(rule, _)| may_change(rule)) {
        let is_known = rule.who().fingerprints().any(is_web_flow_key);
        if is_known || any_of(trust, |forge| rule.who().fits(forge)) {
            remark(
                *start,
                format!(
                    "`{}` lets a forge's key change the policy: whoever is logged in there could",
                    rule.text
                ),
            );
        }
    }
    let of_principals = policy.principals.iter().zip(&starts.principals);
    let of_principals = of_principals.map(|(it, start)| {
        let identities = it.identities.iter().flatten().chain(&it.except);
        (start, &it.by, identities.collect::<Vec<_>>())
    });
    let require = policy.require.iter().zip(&starts.require);
    for (rule, start) in allow.clone().chain(require.clone()) {
        for path in rule.paths.iter().flatten().map(ToString::to_string) {
            if is_folder(&path) {
                remark(
                    *start,
                    format!("`{path}` names the folder itself: `{path}/*` means what is in it"),
                );
                continue;
            }
            let begin = path.split('*').next().unwrap_or_default();
            let above = begin.rsplit_once('/').map(|(above, _)| above);
            // Some do name their folders so: `app/[id]`.
            let is_meant = above.is_some_and(|it| literal(it).is_some() && is_folder(it));
            if let Some(literal) = literal(&path).filter(|_| !is_meant) {
                remark(*start, literal);
            }
        }
    }
    let of_rules = allow
        .chain(require)
        .filter_map(|(rule, start)| match rule.who() {
            Who::Identity {
                identity,
                except,
                by,
                ..
            } => Some((start, by, iter::once(identity).chain(except).collect())),
            Who::Anyone | Who::Principals { .. } => None,
        });
    for (start, by, identities) in of_principals.chain(of_rules) {
        if let By::Store(name) = by
            && let Some(absence) = absence(&Selector::Name(name.clone()), trust)
        {
            remark(*start, absence);
        }
        let identities = identities.iter().map(ToString::to_string);
        for identity in identities.filter(|it| !may_fit(it)) {
            remark(
                *start,
                format!(
                    "nobody has the identity `{identity}`: each begins with what it is, as `mailto:alice@example.org` does"
                ),
            );
        }
    }
    for (principal, start) in policy.principals.iter().zip(&starts.principals) {
        let fingerprints = principal.fingerprints.iter();
        for fingerprint in fingerprints.filter(|it| !has_fingerprint(trust, it)) {
            remark(
                *start,
                format!("no key in the trust store here has the fingerprint {fingerprint}"),
            );
        }
    }
    for (exception, start) in policy.exceptions.iter().zip(&starts.exceptions) {
        let object = &exception.object;
        if exception.until < now {
            remark(*start, format!("the exception for {object} has ended"));
        }
        if !is_here(object) {
            remark(
                *start,
                format!("the exception is for {object}, which is not in this repository"),
            );
        }
    }
    let authorities = || {
        let rules = policy.authorities.iter().flatten();
        rules.zip(&starts.authorities)
    };
    for (rule, start) in authorities() {
        let selector = &rule.selector;
        if let Some(absence) = absence(selector, trust) {
            remark(*start, absence);
        }
        if rule.until.is_some_and(|until| until < now) {
            remark(*start, format!("the authority `{selector}` counts no more"));
        }
    }
    let implied = match &policy.authorities {
        Some(_) => Vec::new(),
        None => policy.rules(trust).authorities,
    };
    let implied = implied.iter().map(|rule| (rule, &0));
    for (rule, start) in authorities().chain(implied) {
        let named = trust.authorities().iter();
        let named = named.filter(|it| rule.selector.is_of(it));
        for authority in named.filter(|it| rule.floor > best_basis(it, policy)) {
            remark(
                *start,
                format!(
                    "`{}` is of people, whose signatures show no time but what they declare, so that none reaches `{}`: `time_basis_floor = \"declared\"` would take them",
                    authority.name(),
                    rule.floor
                ),
            );
        }
    }
    // Of others, nothing says what comes after what.
    let documented = trust.authorities().iter();
    for authority in documented.filter(|it| it.document().is_some()) {
        for roots in authority.roots_by_format() {
            let named = roots.iter().flat_map(|(spki, from)| {
                let rules = authorities();
                let rules = rules.filter(move |(rule, _)| rule.selector.selects(authority, spki));
                rules.map(move |(_, start)| (*from, *start))
            });
            let Some((newest, start)) = named.max() else {
                continue;
            };
            for (spki, _) in roots.iter().filter(|(_, from)| *from > newest) {
                remark(
                    start,
                    format!(
                        "`{}` has a newer root, {}, which is not named here: who signs under it is `signer-untrusted`",
                        authority.name(),
                        hex::encode(spki)
                    ),
                );
            }
        }
    }
    remarks.sort_by_key(|remark| remark.line);
    remarks
}

/// Says that an authority is not in the trust store, or may be what of it cannot be used.
fn absence(selector: &Selector, trust: &Trust) -> Option<String> {
    if trust.authorities().iter().any(|it| selector.is_of(it)) {
        return None;
    }
    Some(match selector.fault(trust) {
        Some(fault) => format!("the authority `{selector}` is not found here: {fault}"),
        None => format!("the authority `{selector}` is not in the trust store here"),
    })
}

/// Says that a pattern has what stands for others elsewhere, and here for itself.
fn literal(pattern: &str) -> Option<String> {
    let sign = match pattern.starts_with('!') {
        true => '!',
        false => pattern.chars().find(|it| "?[{\\".contains(*it))?,
    };
    Some(format!(
        "in `{pattern}` the `{sign}` stands for itself: in patterns only `*` means something"
    ))
}

/// Tells whether a pattern may fit a branch or a tag.
fn may_fit_ref(pattern: &Glob) -> bool {
    let text = pattern.to_string();
    let begin = text.split('*').next().unwrap_or_default();
    let may_fit =
        |place: &str| begin.starts_with(place) || !pattern.is_literal() && place.starts_with(begin);
    !text.ends_with('/') && (may_fit("refs/heads/") || may_fit("refs/tags/"))
}

/// Returns the strongest time basis of what is signed under an authority, if it is one of people.
fn best_basis(authority: &Authority, policy: &Policy) -> TimeBasis {
    match authority.kind() {
        PinKind::X509 | PinKind::OpenPgp | PinKind::AllowedSigners => {}
        PinKind::TrustDocument | PinKind::Pem | PinKind::Sigstore => return TimeBasis::Witnessed,
    }
    match policy.gates.is_empty() {
        true => TimeBasis::DagOrdered,
        false => TimeBasis::FirstSeen,
    }
}

/// Tells whether an identity may fit a pattern: each is a URI, and begins with its scheme.
fn may_fit(pattern: &str) -> bool {
    let is_of_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let scheme = pattern.split_once([':', '*']);
    scheme.is_some_and(|(scheme, _)| scheme.chars().all(is_of_scheme))
}

fn has_fingerprint(trust: &Trust, fingerprint: &Fingerprint) -> bool {
    trust.authorities().iter().any(|authority| {
        let own = authority.openpgp().iter().map(|it| it.value.fingerprint());
        let people = authority.people().iter().flat_map(|it| it.keys());
        let mut all = own.chain(people.map(|it| it.key().fingerprint()));
        all.any(|it| it == fingerprint)
    })
}
