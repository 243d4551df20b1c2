//! The decision: evidence, policy, trust and a time in, one judgement out. Pure.

mod apart;
mod record;

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use notme_core::{
    armor::SignatureFormat,
    certificate::Certificate,
    dsse::Envelope,
    key::{KeyId, sha256},
    object::{HashKind, ObjectKind},
    terms::Terms,
    time::UnixTime,
    trust::is_until,
};

use self::apart::Apart;
use crate::{
    anchor::Anchors,
    bundles::Bundles,
    cache::{Cache, Context},
    evidence::{Binding, Claimed, Established, Evidence, Names, Unproven},
    log_entry::LogEntry,
    merge_tag::{MergeTag, MergeTags},
    order::Order,
    policy::{Kind, Policy, Question, Rules, Surroundings},
    refusal::Refusal,
    report::escape,
    repository::ObjectId,
    standing::{Standing, Vouched},
    standings::Standings,
    stated::SignedBy,
    time_stamp::TimeStamp,
    trust::{Fault, PinKind, Trust},
    verdict::{Class, Code, TimeBasis, Verdict},
};

/// A policy applied to a trust store at a time: what every object of a run is judged by.
#[derive(Debug)]
pub struct Judge<'p> {
    policy: Held<'p>,
    rules: Rules,
    trust_digest: String,
    trust_content: String,
    /// How many authorities the store has, whether the policy names them or not.
    authorities: usize,
    /// What of it cannot be used.
    trust_faults: Vec<Fault>,
    /// Whether an older document in it would have been noticed.
    is_trust_recorded: bool,
    anchors: Anchors,
    standings: Standings,
    now: UnixTime,
    examined: AtomicUsize,
    stopper: Stopper,
    cache: Option<Arc<Cache>>,
    bundles: OnceLock<Option<Bundles>>,
}

/// A way to have whoever judges a selection stop where they are, from any thread. What was
/// examined by then is still decided.
#[derive(Clone, Debug, Default)]
pub struct Stopper(Arc<AtomicBool>);

impl Stopper {
    /// Says to stop.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Tells whether somebody said so.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A policy that somebody else has, or that is shared.
#[derive(Debug)]
enum Held<'p> {
    Borrowed(&'p Policy),
    Shared(Arc<Policy>),
}

/// An object after steps 1 to 3: all that can be said without the objects around it.
#[derive(Debug)]
#[must_use]
pub struct Examined(Result<Signed, Box<Unproven>>);

#[derive(Debug)]
struct Signed {
    established: Established,
    declared: Option<UnixTime>,
    /// Kept when a rule asks.
    names: Option<Box<Names>>,
    /// Signature headers that no signature covers.
    unauthenticated: Box<[Box<str>]>,
    /// Whether the policy lists the object: it is not taken back with a key.
    is_known_good: bool,
}

/// What an examined object says of its time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    /// A time that stands on more than its own word.
    pub(crate) strong: Option<UnixTime>,
    /// The date that the signed object declares.
    pub(crate) declared: Option<UnixTime>,
}

/// What step 5 found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum StillGood {
    /// Nothing against it.
    Unrevoked,
    /// It was revoked, and the policy lists it as good.
    Listed,
}

/// The strongest time there is for a signature.
#[derive(Clone, Copy)]
struct Judged {
    basis: TimeBasis,
    at: UnixTime,
    /// The last second that it may have been.
    latest: UnixTime,
}

impl Judged {
    fn exactly(basis: TimeBasis, at: UnixTime) -> Self {
        let latest = at;
        Self { basis, at, latest }
    }
}

impl<'p> Judge<'p> {
    /// Prepares to judge at `now`.
    pub fn new(policy: &'p Policy, trust: &Trust, now: UnixTime) -> Self {
        Self::holding(Held::Borrowed(policy), trust, now)
    }

    /// Prepares to judge at `now` by a policy that lives as long as the judge.
    pub fn sharing(policy: Arc<Policy>, trust: &Trust, now: UnixTime) -> Judge<'static> {
        Judge::holding(Held::Shared(policy), trust, now)
    }

    fn holding(policy: Held<'p>, trust: &Trust, now: UnixTime) -> Self {
        let held: &Policy = match &policy {
            Held::Borrowed(policy) => policy,
            Held::Shared(policy) => policy,
        };
        let rules = held.rules(trust);
        Self {
            trust_digest: trust.digest(),
            trust_content: trust.content(),
            authorities: trust.authorities().len(),
            trust_faults: trust.faults().to_vec(),
            is_trust_recorded: trust.is_recorded(),
            anchors: Anchors::new(held, &rules, trust, now),
            policy,
            rules,
            standings: Standings::default(),
            now,
            examined: AtomicUsize::new(0),
            stopper: Stopper::default(),
            cache: None,
            bundles: OnceLock::new(),
        }
    }

    /// Has whoever judges a selection keep what does not change, and look there first.
    #[must_use]
    pub fn remembering(self, cache: Option<Arc<Cache>>) -> Self {
        Self { cache, ..self }
    }

    /// Stops when another judge does.
    #[must_use]
    pub fn stopping_with(self, other: &Judge<'_>) -> Self {
        let stopper = other.stopper.clone();
        Self { stopper, ..self }
    }

    /// Returns where things are kept, and what examinations rest on besides the object.
    pub(crate) fn cache(&self, hash: HashKind) -> Option<(&Arc<Cache>, Context)> {
        self.cache_of("examined", hash)
    }

    fn cache_of(&self, about: &str, hash: HashKind) -> Option<(&Arc<Cache>, Context)> {
        let cache = self.cache.as_ref()?;
        let grounds = [&*self.policy().digest(), &self.trust_content];
        Some((cache, Context::new(about, hash, &grounds)))
    }

    /// Returns the policy.
    pub fn policy(&self) -> &Policy {
        match &self.policy {
            Held::Borrowed(policy) => policy,
            Held::Shared(policy) => policy,
        }
    }

    /// Tells whether a rule asks for more than who signed and how.
    pub(crate) fn asks_around(&self) -> bool {
        self.rules.asks_around()
    }

    /// Tells whether anybody's records of what was received count.
    pub(crate) fn has_gates(&self) -> bool {
        self.rules.has_gates()
    }

    /// Tells whether a rule asks for what others say of an object.
    pub(crate) fn asks_others(&self) -> bool {
        self.rules.asks_others()
    }

    /// Counts an object that another judge examined for this one.
    pub(crate) fn count(&self) {
        self.examined.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the digest of the trust store.
    pub fn trust_digest(&self) -> &str {
        &self.trust_digest
    }

    /// Returns the digest of what of the trust store stays the same in newer documents.
    pub(crate) fn trust_content(&self) -> &str {
        &self.trust_content
    }

    /// Returns how many authorities could be read from the trust store.
    pub(crate) fn authorities(&self) -> usize {
        self.authorities
    }

    /// Returns what of the trust store cannot be used.
    pub(crate) fn trust_faults(&self) -> &[Fault] {
        &self.trust_faults
    }

    /// Tells whether an older document in the trust store would have been noticed.
    pub(crate) fn is_trust_recorded(&self) -> bool {
        self.is_trust_recorded
    }

    /// Returns the time of the person asking.
    pub fn now(&self) -> UnixTime {
        self.now
    }

    /// Judges a raw object by itself, without the objects around it.
    pub fn judge_object(&self, kind: ObjectKind, raw: &[u8], hash: HashKind) -> Judgement {
        let examined = self.examine(Evidence::from_object(kind, raw, hash));
        self.decide(examined, Order::Unknown)
    }

    /// Returns how many objects were examined so far, by all threads: for showing progress.
    pub fn examined(&self) -> usize {
        self.examined.load(Ordering::Relaxed)
    }

    /// Returns what stops the judging of a selection.
    pub fn stopper(&self) -> &Stopper {
        &self.stopper
    }

    /// Judges a payload and a signature that came apart, as git hands them to gpgsm.
    pub fn judge_detached(&self, payload: &[u8], signature: &[u8]) -> Judgement {
        let examined = self.examine(Evidence::from_detached(payload, signature));
        self.decide(examined, Order::Unknown)
    }

    /// As [`Self::judge_detached`], of a push certificate, for one of the refs that it moves, in a
    /// repository with these names. It names no committer, changes no path, and nobody states
    /// anything about it.
    pub fn judge_push(
        &self,
        (payload, signature): (&[u8], &[u8]),
        reference: &str,
        names: &[String],
    ) -> Judgement {
        let examined = self.examine(Evidence::from_detached(payload, signature));
        let push = Apart {
            reference: Some(reference),
            names,
            is_push: true,
        };
        self.decide_in(&examined, Order::Unknown, &push)
    }

    /// Judges an envelope by what came with it: certificates, the leaf first, and RFC 3161 tokens
    /// over the signature. `declared` is the time that its payload says of itself. What is known of
    /// the bytes that all of it was read from is not examined again.
    pub fn judge_envelope(
        &self,
        bytes: &[u8],
        envelope: &Envelope,
        certificates: Vec<Certificate>,
        time_stamps: Vec<Vec<u8>>,
        declared: Option<UnixTime>,
    ) -> Judgement {
        let examine = || {
            let evidence = Evidence::from_envelope(envelope, certificates, time_stamps, declared);
            self.examine(evidence)
        };
        let kept = || self.cache_of("bundles", HashKind::Sha256).map(Bundles::new);
        let examined = match self.bundles.get_or_init(kept) {
            Some(bundles) => bundles.once(self, ObjectId::from(sha256(bytes)), examine),
            None => examine(),
        };
        self.decide(examined, Order::Unknown)
    }

    /// Goes as far as the object alone leads: who signed, if anybody.
    pub fn examine(&self, evidence: Result<Evidence, Unproven>) -> Examined {
        self.examine_named(None, evidence)
    }

    /// As [`Self::examine`], of an object whose bytes are known to be those of its name.
    pub(crate) fn examine_named(
        &self,
        object_id: Option<&ObjectId>,
        evidence: Result<Evidence, Unproven>,
    ) -> Examined {
        self.count();
        self.look_at(object_id, evidence)
    }

    /// Judges a tag that came inside another object and is for a ref, and counts for none.
    pub(crate) fn judge_beside(
        &self,
        evidence: Result<Evidence, Unproven>,
        reference: Option<&str>,
    ) -> Judgement {
        let examined = self.look_at(None, evidence);
        let apart = Apart {
            reference,
            ..Apart::default()
        };
        self.decide_in(&examined, Order::Unknown, &apart)
    }

    fn look_at(
        &self,
        object_id: Option<&ObjectId>,
        evidence: Result<Evidence, Unproven>,
    ) -> Examined {
        let signed = evidence.and_then(|evidence| {
            let established = evidence.establish(&self.anchors, &self.standings)?;
            let asks_around = self.asks_around() || established.standing.terms().is_some();
            let names = asks_around.then(|| Box::new(evidence.names().clone()));
            Ok(Signed {
                established,
                declared: evidence.declared(),
                names,
                unauthenticated: evidence.unauthenticated_headers().into(),
                is_known_good: object_id.is_some_and(|id| self.policy().is_known_good(id)),
            })
        });
        Examined(signed.map_err(Box::new))
    }

    /// Returns what an object says of its time.
    pub(crate) fn times(&self, examined: &Examined) -> Times {
        let signed = examined.0.as_ref().ok();
        Times {
            strong: self.strong_time(examined),
            declared: signed.and_then(|signed| signed.declared),
        }
    }

    /// Returns a time of the object that rests on more than its own word, if it has one.
    fn strong_time(&self, examined: &Examined) -> Option<UnixTime> {
        let signed = examined.0.as_ref().ok()?;
        let judged = signed.judged(Order::Unknown)?;
        let holds = judged.basis > TimeBasis::DagOrdered
            && self.check_window(signed, judged).is_ok()
            && self.check_still_good(signed, judged).is_ok();
        holds.then_some(judged.at)
    }

    /// Returns such a time of an object that is not judged itself.
    pub(crate) fn strong_time_of(
        &self,
        id: &ObjectId,
        evidence: Result<Evidence, Unproven>,
    ) -> Option<UnixTime> {
        self.strong_time(&self.look_at(Some(id), evidence))
    }

    /// Returns who signed an object that is not judged itself, as far as its signature tells.
    pub(crate) fn signer_of(
        &self,
        id: &ObjectId,
        evidence: Result<Evidence, Unproven>,
    ) -> Option<SignedBy> {
        let examined = self.look_at(Some(id), evidence).0.ok()?;
        examined.standing().signer().map(SignedBy::of)
    }

    /// Takes the rest of the steps, in their order; the first that fails decides. Nothing is known
    /// of what is around the object.
    pub fn decide(&self, examined: Examined, order: Order) -> Judgement {
        self.decide_in(&examined, order, &Apart::default())
    }

    /// As [`Self::decide`], for an object that is somewhere.
    pub(crate) fn decide_in(
        &self,
        examined: &Examined,
        order: Order,
        around: &dyn Surroundings,
    ) -> Judgement {
        let signed = match &examined.0 {
            Ok(signed) => signed,
            Err(unproven) => return Judgement::unproven(unproven),
        };
        let established = &signed.established;
        let mut judgement = Judgement {
            format: established.format,
            declared: signed.declared,
            signing_time: established.signing_time,
            time_stamp: established.time_stamp.clone(),
            log_entry: established.log_entry.clone(),
            unauthenticated: signed.unauthenticated.clone(),
            order,
            claimed: established.claimed.clone(),
            standing: Some(Arc::clone(&established.standing)),
            kind: (established.standing.signer()).and_then(|signer| self.rules.kind_of(signer)),
            ..Judgement::refused(Code::SignerUntrusted.into())
        };
        match self.take_steps(signed, &mut judgement, around) {
            Ok(rule) => {
                judgement.verdict = Verdict::Accepted;
                judgement.detail = None;
                judgement.rule = Some(rule);
            }
            Err(refusal) => {
                judgement.verdict = Verdict::of(refusal.code);
                judgement.detail = refusal.detail;
            }
        }
        judgement
    }

    /// Returns who signed, if the signature holds, whether the rules allow it or not.
    pub(crate) fn proven(
        &self,
        examined: &Examined,
        order: Order,
        around: &dyn Surroundings,
    ) -> Option<SignedBy> {
        let signed = examined.0.as_ref().ok()?;
        let judged = self.check_binding(signed, order).ok()?;
        let (judged, _) = self.or_first_seen(signed, judged, around);
        self.check_time(signed, judged).ok()?;
        signed.standing().signer().map(SignedBy::of)
    }

    fn take_steps(
        &self,
        signed: &Signed,
        judgement: &mut Judgement,
        around: &dyn Surroundings,
    ) -> Result<Arc<str>, Refusal> {
        signed.standing().vouched()?;
        let judged = self.check_binding(signed, judgement.order)?;
        let (judged, record) = self.or_first_seen(signed, judged, around);
        judgement.record = record;
        judgement.judged = Some((judged.basis, judged.at));
        judgement.skew_seconds = self.skew_of(judged.basis);
        let still_good = self.check_time(signed, judged)?;
        let rule = self.check_allowed(signed, judged, around)?;
        judgement.unchecked = self.check_terms(signed, around)?;
        judgement.is_known_good = still_good == StillGood::Listed;
        Ok(match judgement.is_known_good {
            false => rule,
            true => format!("{rule}; {KNOWN_GOOD}").into(),
        })
    }

    fn check_binding(&self, signed: &Signed, order: Order) -> Result<Judged, Refusal> {
        if signed.established.binding == Binding::Elsewhere {
            return Err(Code::IssuanceMismatch.into());
        }
        if let Some(time_stamp) = &signed.established.time_stamp {
            time_stamp.check()?;
        }
        if let Some(log_entry) = &signed.established.log_entry {
            log_entry.check()?;
        }
        signed
            .judged(order)
            .ok_or_else(|| Refusal::new(Code::TimeBasisTooWeak, "the object carries no date"))
    }

    /// Takes the word of a gate for when the object was there, where nothing stronger is known, and
    /// returns what that rests on. One that saw it when the certificate did not live, or says a time
    /// that is to come, says nothing of use.
    fn or_first_seen(
        &self,
        signed: &Signed,
        judged: Judged,
        around: &dyn Surroundings,
    ) -> (Judged, Option<Arc<Judgement>>) {
        if judged.basis >= TimeBasis::FirstSeen || !self.rules.has_gates() {
            return (judged, None);
        }
        // What cannot be read is not there, and the weaker basis stays.
        let statements = around.statements().unwrap_or_default();
        let received = self.rules.received(&statements);
        received
            .map(|it| (Judged::exactly(TimeBasis::FirstSeen, it.at), &it.record))
            .filter(|(seen, _)| self.check_window(signed, *seen).is_ok())
            .min_by_key(|(seen, _)| seen.at)
            .map_or((judged, None), |(seen, record)| (seen, record.clone()))
    }

    fn check_time(&self, signed: &Signed, judged: Judged) -> Result<StillGood, Refusal> {
        let anchor = &signed.standing().vouched()?.anchor;
        let is_high_enough = self.rules.check_floor(judged.basis, anchor.floor, "policy");
        // Whoever certifies everybody for ten minutes and says nothing of the time afterwards: all
        // else is asked first, so that this code says that all else is good.
        if anchor.kind == PinKind::Sigstore && judged.basis <= TimeBasis::DagOrdered {
            self.check_window(signed, judged)?;
            let still_good = self.check_still_good(signed, judged)?;
            return match is_high_enough {
                Ok(()) => Ok(still_good),
                Err(refusal) => Err(Refusal {
                    code: Code::TimeNotShown,
                    ..refusal
                }),
            };
        }
        is_high_enough?;
        self.check_window(signed, judged)?;
        self.check_still_good(signed, judged)
    }

    /// Returns by how much a time may be off.
    fn skew_of(&self, basis: TimeBasis) -> u32 {
        match basis <= TimeBasis::DagOrdered {
            true => self.policy().skew_seconds(),
            false => 0,
        }
    }

    /// Checks that leaf and issuers were valid at the judged time, and when the signature says that it
    /// was made. A date somebody wrote may be off by the allowed skew; a time that the authority itself
    /// wrote into the leaf, or that was stamped, may not.
    fn check_window(&self, signed: &Signed, judged: Judged) -> Result<(), Refusal> {
        let vouched = self.vouched(signed, judged)?;
        let allowed = i64::from(self.policy().skew_seconds());
        let skew = i64::from(self.skew_of(judged.basis));
        if let Some(ends) = signed.established.ends.filter(|ends| self.now >= *ends) {
            let detail = format!("the signature says of itself that it ended at {ends}");
            return Err(Refusal::new(Code::CertificateExpired, detail));
        }
        let begins = signed.established.begins;
        if let Some(begins) = begins.filter(|begins| *begins > self.now.plus(allowed)) {
            let detail = format!("made at {begins}, which is in the future");
            return Err(Refusal::new(Code::CertificateNotYetValid, detail));
        }
        let from = signed.standing().not_before().max(vouched.issuers_from);
        let until = signed.standing().not_after().min(vouched.issuers_until);
        let terms = signed.standing().terms();
        let until = terms.map_or(until, |terms| until.min(terms.until));
        for (verb, at, latest) in signed.times(judged) {
            if at > self.now.plus(allowed) {
                let detail = format!("{verb} at {at}, which is in the future");
                return Err(Refusal::new(Code::CertificateNotYetValid, detail));
            }
            if at.plus(skew) < from {
                let detail = format!("{verb} at {at}, valid from {from}");
                return Err(Refusal::new(Code::CertificateNotYetValid, detail));
            }
            if latest.plus(-skew) > until {
                let detail = format!("{verb} at {latest}, valid until {until}");
                return Err(Refusal::new(Code::CertificateExpired, detail));
            }
        }
        Ok(())
    }

    /// Returns what vouches for the signer at the judged time.
    fn vouched<'s>(&self, signed: &'s Signed, judged: Judged) -> Result<&'s Vouched, Refusal> {
        let skew = i64::from(self.skew_of(judged.basis));
        let holds = |it: &Vouched, at: UnixTime, latest: UnixTime| {
            at.plus(skew) >= it.issuers_from && latest.plus(-skew) <= it.issuers_until
        };
        signed.standing().vouched_where(|it| {
            let (from, retired) = (it.anchor.from, it.anchor.retired_at);
            let is_used = |at: UnixTime, latest: UnixTime| {
                from <= at && retired.is_none_or(|end| is_until(end, at, latest))
            };
            (signed.times(judged))
                .all(|(_, at, latest)| is_used(at, latest) && holds(it, at, latest))
        })
    }

    /// Step 5: the authority's own history at the judged time.
    fn check_still_good(&self, signed: &Signed, judged: Judged) -> Result<StillGood, Refusal> {
        let vouched = self.vouched(signed, judged)?;
        let anchor = &vouched.anchor;
        if let Some(doubt) = &anchor.doubt {
            return Err(doubt.clone());
        }
        for (verb, at, latest) in signed.times(judged) {
            if at < anchor.from {
                let detail = format!("{verb} at {at}, and the root is used from {}", anchor.from);
                return Err(Refusal::new(Code::RootNotYetUsed, detail));
            }
            if let Some(retired) = anchor.retired_at.filter(|end| !is_until(*end, at, latest)) {
                let detail = format!("{verb} at {at}, and the root was retired at {retired}");
                return Err(Refusal::new(Code::RootRetired, detail));
            }
            let (from, until) = anchor.counts;
            if let Some(from) = from.filter(|from| at < *from) {
                let detail =
                    format!("{verb} at {at}, and by the policy the root counts from {from}");
                return Err(Refusal::new(Code::SignerUntrusted, detail));
            }
            if let Some(until) = until.filter(|end| !is_until(*end, at, latest)) {
                let detail =
                    format!("{verb} at {at}, and by the policy the root counts until {until}");
                return Err(Refusal::new(Code::SignerUntrusted, detail));
            }
        }
        let made = signed.made(judged);
        let latest = made.map_or(judged.latest, |made| judged.latest.max(made));
        let revoked = anchor
            .revocations
            .iter()
            .flat_map(|revocations| revocations.iter())
            .find(|revocation| {
                latest >= revocation.since && signed.standing().rests_on(revocation)
            });
        match revoked {
            Some(_) if signed.is_known_good => Ok(StillGood::Listed),
            Some(revocation) => {
                let detail = format!("since {}: {}", revocation.since, revocation.reason);
                Err(Refusal::new(Code::Revoked, detail))
            }
            None => Ok(StillGood::Unrevoked),
        }
    }

    /// Checks that the object is where the terms of its certificate allow it, whatever the policy
    /// does, and returns what of them nobody can look at here.
    fn check_terms(
        &self,
        signed: &Signed,
        around: &dyn Surroundings,
    ) -> Result<Vec<&'static str>, Refusal> {
        let mut unchecked = Vec::new();
        // A statement is on no ref and changes nothing.
        let terms = signed.standing().terms();
        let Some(terms) = terms.filter(|_| signed.established.format.is_some()) else {
            return Ok(unchecked);
        };
        if let Some(wanted) = &terms.repository {
            let names = match self.policy().repository_names() {
                [] => around.repository_names(),
                names => names,
            };
            if names.is_empty() {
                unchecked.push(REPOSITORY_UNCHECKED);
            } else if !names.contains(wanted) {
                let names = names.join("`, `");
                let (wanted, names) = (escape(wanted), escape(&names));
                let detail = format!("it is for `{wanted}`, and this is `{names}`");
                return Err(Refusal::new(Code::TermsRepository, detail));
            }
        }
        match around.reference() {
            _ if terms.refs.is_none() => {}
            None => unchecked.push(REF_UNCHECKED),
            Some(name) if terms.allow_ref(name) || self.is_merged_by_another(signed, around) => {}
            Some(name) => {
                let detail = format!("not for {}", escape(name));
                return Err(Refusal::new(Code::TermsRef, detail));
            }
        }
        // A tag changes nothing.
        let is_tag = (signed.names.as_ref()).is_some_and(|names| names.tag.is_some());
        if terms.paths.is_none() || is_tag {
            return Ok(unchecked);
        }
        let changes = around.changes()?.ok_or(Code::TermsUnchecked)?;
        let mut paths = changes.paths().iter();
        match paths.find(|path| !terms.allow_path(path)) {
            Some(path) => {
                let detail = format!("not for `{}`", escape(path));
                Err(Refusal::new(Code::TermsPath, detail))
            }
            None => Ok(unchecked),
        }
    }

    /// Tells whether somebody else, whose signature holds, took the object along into another line:
    /// what goes there is for that merge to say, which is judged by itself.
    fn is_merged_by_another(&self, signed: &Signed, around: &dyn Surroundings) -> bool {
        let Some(own) = signed.standing().signer() else {
            return false;
        };
        let is_another =
            |by: &SignedBy| by.identity != own.identity && !self.rules.are_one(by.as_signer(), own);
        let lines = around.mergers(&[], &is_another).unwrap_or_default();
        let is_merged = |mergers: &Vec<SignedBy>| mergers.iter().any(is_another);
        !lines.is_empty() && lines.iter().all(is_merged)
    }

    fn check_allowed(
        &self,
        signed: &Signed,
        judged: Judged,
        around: &dyn Surroundings,
    ) -> Result<Arc<str>, Refusal> {
        let names = signed.names.as_deref();
        self.rules.decide(&Question {
            signer: signed.standing().signer().ok_or(Code::IdentityMissing)?,
            format: signed.established.format,
            algorithm: signed.standing().algorithm(),
            basis: judged.basis,
            email: names.and_then(|names| names.email.as_deref()),
            around,
        })
    }
}

/// What stands behind the rule where the policy lists what was revoked.
pub(crate) const KNOWN_GOOD: &str = "revoked, but listed in known_good";
/// What of a certificate's terms could not be looked at, as reports name it.
const REF_UNCHECKED: &str = "ref";
const REPOSITORY_UNCHECKED: &str = "repository";

impl Examined {
    /// Returns what a tag calls itself, when a rule may ask.
    pub(crate) fn tag(&self) -> Option<&str> {
        self.0.as_ref().ok()?.names.as_ref()?.tag.as_deref()
    }

    /// Tells whether it is signed within terms, so that what is around it counts.
    pub(crate) fn has_terms(&self) -> bool {
        self.terms().is_some()
    }

    /// Tells whether its terms limit where, so that it takes along what others may put there and
    /// nothing else.
    pub(crate) fn is_narrow(&self) -> bool {
        self.terms().is_some_and(Terms::are_narrow)
    }

    /// Tells whether its terms are for other refs, so that it takes somebody else to bring it there.
    pub(crate) fn is_beyond(&self, reference: Option<&str>) -> bool {
        let beyond = |terms: &Terms| reference.is_some_and(|name| !terms.allow_ref(name));
        self.terms().is_some_and(beyond)
    }

    fn terms(&self) -> Option<&Terms> {
        self.0.as_ref().ok()?.standing().terms()
    }

    /// Tells whether it stays so as long as policy and trust are the same. What could not be
    /// looked at is not, and a store may get back what it lost.
    pub(crate) fn is_settled(&self) -> bool {
        let refusal = match &self.0 {
            Ok(signed) => signed.standing().parts().2,
            Err(unproven) => Some(&unproven.refusal),
        };
        refusal.is_none_or(|refusal| match refusal.code {
            Code::ObjectMalformed | Code::ObjectTooLarge => false,
            code => code.class() == Class::Rejected,
        })
    }

    /// Returns the last second in which the signature says of itself that it counts.
    pub(crate) fn ends(&self) -> Option<UnixTime> {
        let signed = self.0.as_ref().ok()?;
        Some(signed.established.ends?.plus(-1))
    }

    /// Wraps an object for which there is nothing to look at.
    pub(crate) fn refused(refusal: Refusal) -> Self {
        Self(Err(Box::new(refusal.into())))
    }
}

impl Signed {
    fn standing(&self) -> &Standing {
        &self.established.standing
    }

    /// Returns when the signature says that it was made, where that is as good as the judged time: it
    /// shows nothing, and one that calls itself too young is not to be believed either. Where somebody
    /// else's time counts, the signer's clock does not.
    fn made(&self, judged: Judged) -> Option<UnixTime> {
        let made = self.established.signing_time;
        made.filter(|_| judged.basis <= TimeBasis::DagOrdered)
    }

    /// Returns the times that have to fit, as a first second and a last one, and the word for each.
    fn times(
        &self,
        judged: Judged,
    ) -> impl Iterator<Item = (&'static str, UnixTime, UnixTime)> + use<> {
        let made = self.made(judged).map(|made| ("made", made, made));
        [("judged", judged.at, judged.latest)]
            .into_iter()
            .chain(made)
    }

    /// Returns the strongest time there is. Only an authority that speaks notme binds payloads:
    /// another may copy that extension from whatever it is asked to certify.
    fn judged(&self, order: Order) -> Option<Judged> {
        let speaks_notme = match self.standing().vouched().ok()?.anchor.kind {
            PinKind::TrustDocument | PinKind::Pem => true,
            PinKind::X509 | PinKind::OpenPgp | PinKind::AllowedSigners | PinKind::Sigstore => false,
        };
        let log_entry = self.established.log_entry.as_deref();
        if let (Some(LogEntry::Logged { at, .. }), Binding::Free | Binding::Bound) =
            (log_entry, self.established.binding)
        {
            return Some(Judged::exactly(TimeBasis::Logged, *at));
        }
        if let (Some(TimeStamp::Trusted { at, latest, .. }), Binding::Free | Binding::Bound) =
            (&self.established.time_stamp, self.established.binding)
        {
            return Some(Judged {
                basis: TimeBasis::Timestamped,
                at: *at,
                latest: *latest,
            });
        }
        if let (true, Binding::Bound, Some(at)) = (
            speaks_notme,
            self.established.binding,
            self.standing().issued_at(),
        ) {
            return Some(Judged::exactly(TimeBasis::IssuanceBound, at));
        }
        let basis = match order {
            Order::Consistent => TimeBasis::DagOrdered,
            Order::Unknown
            | Order::OlderThanParent
            | Order::OlderThanAncestor
            | Order::YoungerThanDescendant => TimeBasis::Declared,
        };
        Some(Judged::exactly(basis, self.declared?))
    }
}

/// The verdict on one object, and every fact that it rests on. Facts that were not established
/// are absent.
#[derive(Clone, Debug)]
#[must_use]
pub struct Judgement {
    verdict: Verdict,
    detail: Option<Box<str>>,
    format: Option<SignatureFormat>,
    standing: Option<Arc<Standing>>,
    /// What the policy calls the signer.
    kind: Option<Kind>,
    claimed: Option<Box<Claimed>>,
    judged: Option<(TimeBasis, UnixTime)>,
    /// By how much that time may be off: by nothing, unless somebody wrote it as a date.
    skew_seconds: u32,
    declared: Option<UnixTime>,
    signing_time: Option<UnixTime>,
    time_stamp: Option<TimeStamp>,
    log_entry: Option<Box<LogEntry>>,
    /// What the word of a gate rests on, where the judged time is that.
    record: Option<Arc<Judgement>>,
    merge_tags: MergeTags,
    unauthenticated: Box<[Box<str>]>,
    order: Order,
    rule: Option<Arc<str>>,
    /// What of the certificate's terms could not be looked at.
    unchecked: Vec<&'static str>,
    policy: Option<Arc<str>>,
    /// Whether it was revoked, and the policy that accepts it lists it as good.
    is_known_good: bool,
    /// What accepts it above the rules, and why they would not.
    excused: Option<(Code, Excuse)>,
}

/// What accepts an object above the rules.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Excuse {
    /// History is taken as it is there.
    Baseline,
    /// A policy names the object.
    Exception,
    /// Whoever asks trusts it without being shown.
    TrustRoot,
}

impl Judgement {
    /// Returns the verdict.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Returns what is particular to this case, for people; unescaped.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// Returns the format of the signature.
    pub fn format(&self) -> Option<SignatureFormat> {
        self.format
    }

    /// Returns the id of the key that made the signature; absent when it did not hold.
    pub fn kid(&self) -> Option<KeyId> {
        Some(self.standing.as_ref()?.kid())
    }

    /// Returns the identity that a trusted authority vouches for.
    pub fn identity(&self) -> Option<&str> {
        self.standing.as_ref()?.identity()
    }

    /// Returns the trust store's name of that authority.
    pub fn authority(&self) -> Option<&str> {
        self.standing.as_ref()?.authority()
    }

    /// Returns the id of the key of that authority's root.
    pub fn authority_kid(&self) -> Option<KeyId> {
        self.standing.as_ref()?.authority_kid()
    }

    /// Returns what the policy calls the signer, if it speaks of them.
    pub(crate) fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// Returns what the signer's certificate and chain say; absent when the signature did not
    /// hold.
    pub fn standing(&self) -> Option<&Standing> {
        self.standing.as_deref()
    }

    /// Returns what the certificate says of its holder where no trusted authority vouches for
    /// it. Only for messages.
    pub fn claimed(&self) -> Option<&Claimed> {
        self.claimed.as_deref()
    }

    /// Returns what stands behind the judged time.
    pub fn time_basis(&self) -> Option<TimeBasis> {
        Some(self.judged?.0)
    }

    /// Returns the time that was judged.
    pub fn judged_at(&self) -> Option<UnixTime> {
        Some(self.judged?.1)
    }

    /// Returns the latest that it may have been, as far as whoever showed that time says, or as the
    /// signature itself does where nobody else shows one.
    pub(crate) fn judged_until(&self) -> Option<UnixTime> {
        let (basis, at) = self.judged?;
        Some(match self.time_stamp() {
            Some(TimeStamp::Trusted { latest, .. }) if basis == TimeBasis::Timestamped => *latest,
            Some(_) | None if basis > TimeBasis::DagOrdered => at,
            Some(_) | None => self.signing_time.map_or(at, |made| made.max(at)),
        })
    }

    /// Returns by how much that time may be off, by the policy that judged.
    pub(crate) fn skew_seconds(&self) -> u32 {
        self.skew_seconds
    }

    /// Returns the committer or tagger date.
    pub fn declared(&self) -> Option<UnixTime> {
        self.declared
    }

    /// Returns the time that the signing program wrote; it shows nothing.
    pub fn signing_time(&self) -> Option<UnixTime> {
        self.signing_time
    }

    /// Returns what came of the signature's time stamps, if it carries any and somebody trusted
    /// vouches for the signer.
    pub fn time_stamp(&self) -> Option<&TimeStamp> {
        self.time_stamp.as_ref()
    }

    /// Returns what came of the signature's log entry, if it carries one and somebody trusted
    /// vouches for the signer.
    pub fn log_entry(&self) -> Option<&LogEntry> {
        self.log_entry.as_deref()
    }

    /// Returns the key of the log or of the time-stamping authority whose word the judged time is, or
    /// would be if the key had not been taken back.
    pub(crate) fn clock_kid(&self) -> Option<KeyId> {
        let basis = self.time_basis();
        match (self.log_entry(), self.time_stamp()) {
            (Some(LogEntry::Logged { kid, .. }), _) if basis == Some(TimeBasis::Logged) => {
                Some(*kid)
            }
            (_, Some(TimeStamp::Trusted { kid, .. } | TimeStamp::Revoked { kid }))
                if basis <= Some(TimeBasis::Timestamped) =>
            {
                Some(*kid)
            }
            (_, _) => None,
        }
    }

    /// Returns the judgement on the record of a gate whose word the judged time is.
    pub(crate) fn record(&self) -> Option<&Self> {
        self.record.as_deref()
    }

    /// Returns the names of other signature headers than the one that was read, when a signature
    /// was checked. Anybody can add them, and they change no verdict; unescaped.
    pub fn unauthenticated_headers(&self) -> &[Box<str>] {
        &self.unauthenticated
    }

    /// Returns the tags that a merge carries. They change no verdict.
    pub fn merge_tags(&self) -> &[MergeTag] {
        self.merge_tags.as_deref().map_or(&[], Vec::as_slice)
    }

    /// Adds the tags that the object carries.
    pub(crate) fn with_merge_tags(self, merge_tags: MergeTags) -> Self {
        Self { merge_tags, ..self }
    }

    /// Returns how the date fits those around it.
    pub fn order(&self) -> Order {
        self.order
    }

    /// Returns what else limits what the certificate may sign, when a trusted authority vouches for
    /// the signer.
    pub fn terms(&self) -> Option<&Terms> {
        let standing = self.standing()?;
        standing.authority_kid().and(standing.terms())
    }

    /// Returns what of these limits could not be looked at: `ref` where none was asked about,
    /// `repository` where it has no name.
    pub fn unchecked(&self) -> &[&'static str] {
        &self.unchecked
    }

    /// Returns the rule of the policy that allowed it.
    pub fn rule(&self) -> Option<&str> {
        self.rule.as_deref()
    }

    /// Returns who signed, when a trusted authority vouches for it.
    pub fn signed_by(&self) -> Option<SignedBy> {
        self.standing.as_ref()?.signer().map(SignedBy::of)
    }

    /// Returns the digest of the policy that judged, where the policy is the repository's own.
    pub fn policy(&self) -> Option<&str> {
        self.policy.as_deref()
    }

    /// Says which of a repository's policies judged.
    pub(crate) fn by(self, policy: Arc<str>) -> Self {
        let policy = Some(policy);
        Self { policy, ..self }
    }

    /// Accepts it by something above the rules, and says by what. What the object is not is not
    /// excused: bytes that are missing, or others than its name stands for.
    pub(crate) fn excused(&mut self, (excuse, text): (Excuse, Arc<str>)) {
        self.excused = self.verdict.code().map(|code| (code, excuse));
        self.verdict = Verdict::Accepted;
        self.rule = Some(text);
    }

    /// Returns why it would not be accepted, when something above the rules accepts it.
    pub fn excused_from(&self) -> Option<Code> {
        Some(self.excused?.0)
    }

    /// Tells whether something accepts it by its name, and not for its place in history.
    pub(crate) fn is_excepted(&self) -> bool {
        (self.excused).is_some_and(|(_, excuse)| excuse != Excuse::Baseline)
    }

    /// Tells whether it was revoked, and accepted since the policy lists it as good.
    pub(crate) fn is_known_good(&self) -> bool {
        self.is_known_good && self.verdict == Verdict::Accepted
    }

    /// Returns why the steps do not accept it, whether something above them does or not.
    pub fn shortcoming(&self) -> Option<Code> {
        self.verdict.code().or(self.excused_from())
    }

    /// Tells whether it is refused for something that can be excused.
    pub(crate) fn is_excusable(&self) -> bool {
        !matches!(
            self.verdict.code(),
            None | Some(Code::ObjectMissing | Code::ObjectMalformed | Code::ObjectTooLarge)
        )
    }

    /// Refuses it all the same.
    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        self.verdict = Verdict::of(refusal.code);
        self.detail = refusal.detail;
        self.rule = None;
    }

    fn unproven(unproven: &Unproven) -> Self {
        Self {
            format: unproven.format,
            claimed: unproven.claimed.clone().map(Box::new),
            ..Self::refused(unproven.refusal.clone())
        }
    }

    pub(crate) fn refused(refusal: Refusal) -> Self {
        Self {
            verdict: Verdict::of(refusal.code),
            detail: refusal.detail,
            format: None,
            standing: None,
            kind: None,
            claimed: None,
            judged: None,
            skew_seconds: 0,
            declared: None,
            signing_time: None,
            time_stamp: None,
            log_entry: None,
            record: None,
            merge_tags: None,
            unauthenticated: Box::default(),
            order: Order::Unknown,
            rule: None,
            unchecked: Vec::new(),
            policy: None,
            is_known_good: false,
            excused: None,
        }
    }
}
