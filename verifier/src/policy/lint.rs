//! What is no error in a policy, and probably not meant.

use notme_core::{hex, time::UnixTime};

use super::{
    Policy, Remark,
    file::line_of,
    principal::{By, Kind, Told, Who},
    rule::{Right, Rule},
};
use crate::{
    forge::{any_of, is_web_flow_key},
    trust::Trust,
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
    let paths = rule.paths.iter().flatten();
    for path in paths {
        let path = path.to_string();
        if path.starts_with('/') || path.starts_with("./") || path.ends_with('/') {
            remark("paths are written as `directory/*`, without a slash before or after");
        }
    }
    for name in rule.refs.iter().flatten() {
        if !name.to_string().starts_with(['*', 'r']) {
            remark("refs are written in full, as `refs/heads/main`");
        }
    }
}

/// Looks at the whole.
pub(super) fn remarks(policy: &Policy, trust: &Trust, now: UnixTime) -> Vec<Remark> {
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
    for (rule, start) in allow.filter(|(rule, _)| may_change(rule)) {
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
    for (exception, start) in policy.exceptions.iter().zip(&starts.exceptions) {
        if exception.until < now {
            remark(
                *start,
                format!("the exception for {} has ended", exception.object),
            );
        }
    }
    let authorities = || {
        let rules = policy.authorities.iter().flatten();
        rules.zip(&starts.authorities)
    };
    for (rule, start) in authorities() {
        let selector = &rule.selector;
        if !trust.authorities().iter().any(|it| selector.is_of(it)) {
            remark(
                *start,
                format!("the authority `{selector}` is not in the trust store here"),
            );
        }
        if rule.until.is_some_and(|until| until < now) {
            remark(*start, format!("the authority `{selector}` counts no more"));
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
