//! What the statements about a commit are worth.
//!
//! In this order, and the first that fails decides: the bundle, its signature and certificate, the
//! authority behind it and the time (all of these by the verifier, as for a commit), the subject,
//! the predicate, what it rests on, its chain. Then the level is derived.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use notme_core::statement::{PAYLOAD_TYPE, Statement};
use notme_verifier::{
    Code, Judge, Judgement, TimeBasis, Verdict,
    report::AttestationReport,
    stated::{SignedBy, Stated, Statements},
};
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use crate::{
    bundle::Bundle,
    chain::{Chain, Link},
    level::{Derived, derive},
    origins::OriginSet,
    predicate::{Activity, Decision, Level, Predicate, PredicateError, UNKNOWN},
    store::{CommitFacts, FileName, Kept, Place, Store, StoreError},
};

/// How often a commit may have taken the place of another.
const SUCCESSIONS_MAX: usize = 16;

/// What the reader asks beside the policy.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Take activities whose chain is not closed.
    pub open: bool,
    /// The origins that somebody showed.
    pub origins: Option<OriginSet>,
}

/// The verdict on one statement, and the facts that it rests on.
#[derive(Clone, Debug)]
#[must_use]
pub struct Attested {
    /// The name of the file.
    pub file: FileName,
    /// The verdict.
    pub verdict: Verdict,
    /// What is particular to this case; unescaped.
    pub detail: Option<String>,
    /// `sha256:<hex>` of the payload, when there is one.
    pub digest: Option<String>,
    /// The type of what is said, when it was read.
    pub predicate_type: Option<String>,
    /// Who signed it, when a trusted authority vouches for that.
    pub identity: Option<String>,
    /// The same with the keys that stand behind it.
    pub by: Option<SignedBy>,
    /// Whether it says that its signer accepts the commit.
    pub accepts: bool,
    /// What stands behind the time.
    pub time_basis: Option<TimeBasis>,
    /// The time that was judged, for people.
    pub judged_at: Option<String>,
    /// The commit that it speaks of, when that is not the one asked about: one whose tree is the
    /// same, or whose place was taken.
    pub attested_as: Option<String>,
    /// The level that it claims.
    pub claimed: Option<Level>,
    /// The level that its evidence carries; none unless accepted.
    pub derived: Derived,
    /// Its place among the records of an activity.
    pub place: Option<RecordPlace>,
    /// The digest of the origins of what the agent read, when it states one.
    pub origins_hash: Option<String>,
}

/// A statement whose signature somebody asked about.
#[derive(Clone, Debug)]
pub struct SignedSo<T> {
    /// What was found.
    pub found: T,
    /// `sha256:<hex>` of the payload.
    pub digest: String,
    /// The type of what is said, when it was read.
    pub predicate_type: Option<String>,
    /// The commit that it is kept with; the first, of several.
    pub commit: String,
}

/// A record's place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RecordPlace {
    /// The activity.
    pub activity: String,
    /// The record's number.
    pub sequence: u64,
    /// How many there are.
    pub length: usize,
    /// Whether the last one closes the chain.
    pub closed: bool,
}

/// A chain, or why it is none.
pub type Judged = Result<Chain, (Code, String)>;

/// A bundle after everything that it says by itself was judged.
#[derive(Debug)]
struct Examined {
    file: FileName,
    digest: Option<String>,
    statement: Option<Statement>,
    predicate: Option<Result<Predicate, PredicateError>>,
    judgement: Option<Judgement>,
    refusal: Option<(Code, String)>,
}

/// The statements of a repository, judged.
#[derive(Debug)]
pub struct Attestations<'j> {
    store: Store,
    judge: &'j Judge<'j>,
    asked: Asked,
    examined: Mutex<HashMap<FileName, Arc<Examined>>>,
    chains: Mutex<HashMap<(String, String), Arc<Judged>>>,
}

impl<'j> Attestations<'j> {
    /// Prepares to judge.
    pub fn new(store: Store, judge: &'j Judge<'j>, asked: Asked) -> Self {
        Self {
            store,
            judge,
            asked,
            examined: Mutex::default(),
            chains: Mutex::default(),
        }
    }

    /// Judges what is stated about a commit: under its own name, under that of its tree, and of
    /// commits whose place it took.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn of(&self, commit: &str) -> Result<Vec<Attested>, StoreError> {
        let facts = match self.store.commit(commit) {
            Ok(Some(facts)) => facts,
            // What is no commit is for the verdict on it to refuse; nothing is said of it here.
            Ok(None) | Err(StoreError::Commit(..) | StoreError::Misnamed(_)) => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        let mut all = Vec::new();
        let mut seen = HashSet::new();
        let mut names = vec![commit.to_owned()];
        let mut next = 0;
        while let Some(name) = names.get(next).cloned() {
            next += 1;
            for kept in self.store.read(&Place::commit(&name))? {
                if !seen.insert(kept.name.clone()) {
                    continue;
                }
                let examined = self.examine(&kept);
                let attested = self.decide(&examined, &name, &facts, commit)?;
                if attested.verdict == Verdict::Accepted
                    && let Some(Ok(Predicate::Activity(activity))) = &examined.predicate
                {
                    let before = activity.succeeds.iter().filter(|it| it.to == name);
                    for succession in before {
                        if names.len() < SUCCESSIONS_MAX && !names.contains(&succession.from) {
                            names.push(succession.from.clone());
                        }
                    }
                }
                all.push(attested);
            }
        }
        for kept in self.store.read(&Place::tree(&facts.tree))? {
            if seen.contains(&kept.name) {
                continue;
            }
            let examined = self.examine(&kept);
            let other = examined.statement.as_ref().and_then(|statement| {
                let mut subjects = statement.subjects().iter();
                let same = subjects.find(|it| it.digest.get("gitTree") == Some(&facts.tree))?;
                same.digest.get("gitCommit").cloned()
            });
            let name = other.unwrap_or_default();
            all.push(self.decide(&examined, &name, &facts, commit)?);
        }
        self.hand_down(&mut all);
        Ok(all)
    }

    /// Judges what is stated about many commits, on all cores.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn of_all(&self, commits: &[String]) -> Result<Vec<Vec<Attested>>, StoreError> {
        commits.par_iter().map(|commit| self.of(commit)).collect()
    }

    /// Finds the statements about commits whose signature a test finds something about, whatever
    /// they say; each once.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn signed_so<T: Send>(
        &self,
        commits: &[String],
        test: impl Fn(&Judgement) -> Option<T> + Sync,
    ) -> Result<Vec<SignedSo<T>>, StoreError> {
        let of = |commit: &String| {
            let kept = self.store.read(&Place::commit(commit))?;
            let signed = kept.iter().filter_map(|kept| {
                let examined = self.examine(kept);
                Some(SignedSo {
                    found: test(examined.judgement.as_ref()?)?,
                    digest: examined.digest.clone()?,
                    predicate_type: examined
                        .statement
                        .as_ref()
                        .map(|it| it.predicate_type().to_owned()),
                    commit: commit.clone(),
                })
            });
            Ok(signed.collect::<Vec<_>>())
        };
        let all: Result<Vec<_>, StoreError> = commits.par_iter().map(of).collect();
        let mut seen = HashSet::new();
        let all = all?.into_iter().flatten();
        Ok(all.filter(|it| seen.insert(it.digest.clone())).collect())
    }

    /// Judges one bundle that is kept nowhere, by what it says of itself.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn of_bundle(&self, content: Vec<u8>) -> Result<Attested, StoreError> {
        let examined = self.examine(&Kept {
            name: FileName::of(&content),
            content,
        });
        let named = examined.statement.as_ref();
        let named = named.and_then(|statement| statement.digests("gitCommit").next());
        let name = named.unwrap_or_default().to_owned();
        match self.store.commit(&name)? {
            Some(facts) => self.decide(&examined, &name, &facts, &name),
            None => {
                let mut attested = Attested::of(&examined);
                if attested.verdict == Verdict::Accepted {
                    let detail = "none of its commits is here";
                    attested.refuse(Code::ObjectMissing, detail.to_owned());
                }
                Ok(attested)
            }
        }
    }

    /// Finds the chain of an activity, as it was signed by an identity.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read. The inner error is the chain's.
    pub fn chain(&self, activity: &str, identity: &str) -> Result<Arc<Judged>, StoreError> {
        let key = (activity.to_owned(), identity.to_owned());
        if let Some(known) = lock(&self.chains).get(&key) {
            return Ok(Arc::clone(known));
        }
        let kept = self.store.read(&Place::activity(activity))?;
        let examined: Vec<_> = kept.par_iter().map(|kept| self.examine(kept)).collect();
        let mut links = Vec::new();
        let mut ties = Vec::new();
        for record in &examined {
            // Others' records under the same id are others' chains.
            let is_theirs = record.judged_identity() == Some(identity);
            if let (true, Some(it), Some(digest)) = (is_theirs, record.activity(), &record.digest)
                && it.activity.id == activity
            {
                links.push(Link {
                    digest,
                    record: &it.chain,
                });
                ties.extend(it.chain.base.iter().chain(&it.chain.commits));
            }
        }
        let mut chain = Chain::of(&links).map_err(|error| (error.code(), error.to_string()));
        // One that began before the first commit, and covers none, is tied to nothing.
        let mut is_here = ties.is_empty();
        for tie in ties {
            is_here = is_here || self.store.commit(tie)?.is_some();
        }
        if chain.is_ok() && !is_here {
            let detail = "neither its base nor any commit that it covers".to_owned();
            chain = Err((Code::ChainElsewhere, detail));
        }
        let chain = Arc::new(chain);
        lock(&self.chains).insert(key, Arc::clone(&chain));
        Ok(chain)
    }

    /// Gives what an accepted record cites its level: it is part of what that was derived from.
    fn hand_down(&self, all: &mut [Attested]) {
        let mut levels = HashMap::new();
        {
            let known = lock(&self.examined);
            for attested in all.iter() {
                let cited = known.get(&attested.file);
                let cited = cited.and_then(|it| it.activity()).map(|it| &it.evidence);
                for evidence in cited.into_iter().flatten() {
                    if attested.derived.level.is_some() {
                        levels.insert(evidence.digest.clone(), attested.derived);
                    }
                }
            }
        }
        for attested in all {
            let derived = attested.digest.as_ref().and_then(|it| levels.get(it));
            if let (Verdict::Accepted, None, Some(derived)) =
                (attested.verdict, attested.derived.level, derived)
            {
                attested.derived = *derived;
            }
        }
    }

    /// Judges what a bundle says by itself, once.
    fn examine(&self, kept: &Kept) -> Arc<Examined> {
        if let Some(known) = lock(&self.examined).get(&kept.name) {
            return Arc::clone(known);
        }
        let examined = Arc::new(Examined::of(kept, self.judge));
        lock(&self.examined).insert(kept.name.clone(), Arc::clone(&examined));
        examined
    }

    /// Decides about a statement that is kept with `name`, for somebody who asks about `commit`.
    fn decide(
        &self,
        examined: &Examined,
        name: &str,
        facts: &CommitFacts,
        commit: &str,
    ) -> Result<Attested, StoreError> {
        let mut attested = Attested::of(examined);
        if name != commit {
            attested.attested_as = Some(name.to_owned());
        }
        if attested.verdict != Verdict::Accepted {
            return Ok(attested);
        }
        let refusal = self.refusal(examined, (name, facts, commit), &mut attested)?;
        if let Some((code, detail)) = refusal {
            attested.refuse(code, detail);
        }
        Ok(attested)
    }

    fn refusal(
        &self,
        examined: &Examined,
        (name, facts, commit): (&str, &CommitFacts, &str),
        attested: &mut Attested,
    ) -> Result<Option<(Code, String)>, StoreError> {
        let (Some(statement), Some(predicate)) = (&examined.statement, &examined.predicate) else {
            return Ok(Some((Code::StatementMalformed, String::new())));
        };
        if !statement.speaks_of("gitCommit", name) {
            return Ok(Some((
                Code::SubjectMismatch,
                format!("it is not about {name}"),
            )));
        }
        let predicate = match predicate {
            Ok(predicate) => predicate,
            Err(error @ PredicateError::Unknown(_)) => {
                return Ok(Some((Code::PredicateUnknown, error.to_string())));
            }
            Err(error) => return Ok(Some((Code::PredicateMalformed, error.to_string()))),
        };
        if predicate.discloses_origins() {
            return Ok(Some((Code::OriginsDisclosed, String::new())));
        }
        if let (Some(stated), Some(shown)) = (predicate.origins_hash(), &self.asked.origins)
            && Some(stated) != shown.digest().as_deref()
        {
            return Ok(Some((Code::OriginsMismatch, format!("it states {stated}"))));
        }
        let identity = examined.judged_identity().unwrap_or_default();
        Ok(match predicate {
            Predicate::Activity(activity) => self.activity_refusal(
                activity,
                identity,
                examined,
                (facts, name, commit),
                attested,
            )?,
            Predicate::Acceptance(_) => self.acceptance_refusal(identity, (facts, commit))?,
            // Whoever verifies is whoever signs: names of others are words.
            Predicate::Summary(summary) if summary.verifier.id != identity => {
                let detail = format!("it names {}", summary.verifier.id);
                Some((Code::AgentMismatch, detail))
            }
            Predicate::Dispatch(_) | Predicate::Handoff(_) | Predicate::Summary(_) => None,
        })
    }

    fn activity_refusal(
        &self,
        activity: &Activity,
        identity: &str,
        examined: &Examined,
        (facts, name, commit): (&CommitFacts, &str, &str),
        attested: &mut Attested,
    ) -> Result<Option<(Code, String)>, StoreError> {
        if activity.workload != UNKNOWN && activity.workload != identity {
            let detail = format!("it names {}", activity.workload);
            return Ok(Some((Code::AgentMismatch, detail)));
        }
        let id = &activity.activity.id;
        let chain = self.chain(id, identity)?;
        let chain = match chain.as_ref() {
            Ok(chain) => chain,
            Err((code, detail)) => return Ok(Some((*code, detail.clone()))),
        };
        // A record that is kept with the commit only, and was taken off the chain.
        let digest = examined.digest.as_deref().unwrap_or_default();
        let Some(sequence) = chain.sequence(digest) else {
            let detail = "this record is not among those of its activity".to_owned();
            return Ok(Some((Code::ChainLinkMissing, detail)));
        };
        attested.place = Some(RecordPlace {
            activity: id.clone(),
            sequence,
            length: chain.length(),
            closed: chain.is_closed(),
        });
        let strays = |head: &&String| chain.sequence(head).is_none_or(|at| at >= sequence);
        if name == commit
            && let Some(stray) = facts.trailers.iter().find(strays)
        {
            return Ok(Some((Code::ChainTrailer, format!("it carries {stray}"))));
        }
        if let Some(missing) = self.missing_evidence(activity)? {
            return Ok(Some((Code::EvidenceMissing, missing)));
        }
        if !chain.is_closed() && !self.asked.open {
            let detail = format!("{} records, and none closes it", chain.length());
            return Ok(Some((Code::ChainTailMissing, detail)));
        }
        attested.claimed = activity.claim.as_ref().map(|claim| claim.level);
        attested.derived = derive(activity);
        Ok(None)
    }

    /// Finds a statement that a record rests on and that is not here, or is not accepted.
    fn missing_evidence(&self, activity: &Activity) -> Result<Option<String>, StoreError> {
        let mut wanted: BTreeSet<_> = activity.evidence.iter().map(|it| &*it.digest).collect();
        if wanted.is_empty() {
            return Ok(None);
        }
        let own = Place::activity(&activity.activity.id);
        let commits = activity.chain.commits.iter().map(|id| Place::commit(id));
        for place in commits.chain([own]) {
            for kept in self.store.read(&place)? {
                let found = self.examine(&kept);
                if let (Some(_), Some(digest)) = (found.judged_identity(), &found.digest) {
                    wanted.remove(&**digest);
                }
            }
            if wanted.is_empty() {
                return Ok(None);
            }
        }
        Ok(wanted.first().map(|digest| (*digest).to_owned()))
    }

    /// Nobody accepts their own work: neither what they signed, nor what they attested.
    fn acceptance_refusal(
        &self,
        identity: &str,
        (facts, commit): (&CommitFacts, &str),
    ) -> Result<Option<(Code, String)>, StoreError> {
        use notme_core::object::{HashKind, ObjectKind};
        let hash = match commit.len() {
            64 => HashKind::Sha256,
            _ => HashKind::Sha1,
        };
        let signer = self
            .judge
            .judge_object(ObjectKind::Commit, &facts.raw, hash);
        if signer.identity() == Some(identity) {
            return Ok(Some((
                Code::AcceptanceSelf,
                "they signed the commit".to_owned(),
            )));
        }
        for kept in self.store.read(&Place::commit(commit))? {
            let other = self.examine(&kept);
            // To verify is no work on the commit, either.
            let is_answer = matches!(
                other.predicate,
                Some(Ok(Predicate::Acceptance(_) | Predicate::Summary(_)))
            );
            if !is_answer && other.judged_identity() == Some(identity) {
                let detail = format!("they signed {} too", other.file);
                return Ok(Some((Code::AcceptanceSelf, detail)));
            }
        }
        Ok(None)
    }
}

impl Statements for Attestations<'_> {
    fn about(&self, commit: &str) -> Result<Vec<Stated>, String> {
        let all = self.of(commit).map_err(|error| error.to_string())?;
        // What was said of another commit is not said of this one: its place in history differs.
        let accepted = all
            .into_iter()
            .filter(|it| it.verdict == Verdict::Accepted && it.attested_as.is_none());
        let stated = accepted.filter_map(|it| {
            Some(Stated {
                predicate_type: it.predicate_type?,
                level: it.derived.level.map(Level::as_str),
                accepts: it.accepts,
                by: it.by?,
            })
        });
        Ok(stated.collect())
    }
}

impl Examined {
    fn of(kept: &Kept, judge: &Judge<'_>) -> Self {
        let mut examined = Self {
            file: kept.name.clone(),
            digest: None,
            statement: None,
            predicate: None,
            judgement: None,
            refusal: None,
        };
        if FileName::of(&kept.content) != kept.name {
            let detail = "its content has another name, or is too long".to_owned();
            examined.refusal = Some((Code::EnvelopeMalformed, detail));
            return examined;
        }
        let bundle = match Bundle::from_json(&kept.content) {
            Ok(bundle) => bundle,
            Err(error) => {
                examined.refusal = Some((Code::EnvelopeMalformed, error.to_string()));
                return examined;
            }
        };
        examined.digest = Some(bundle.payload_digest());
        let envelope = bundle.envelope();
        let statement = match envelope.payload_type() {
            PAYLOAD_TYPE => Statement::parse(envelope.payload()).map_err(|it| it.to_string()),
            other => Err(format!("its payload type is `{other}`")),
        };
        let predicate = statement.as_ref().ok().map(Predicate::read);
        let stated_at = predicate
            .as_ref()
            .and_then(|it| it.as_ref().ok()?.stated_at());
        // The signature first: what nobody signed is not worth a word on what it says.
        examined.judgement = Some(judge.judge_envelope(
            envelope,
            bundle.certificates().to_vec(),
            bundle.timestamps().to_vec(),
            stated_at,
        ));
        match statement {
            Ok(statement) => examined.statement = Some(statement),
            Err(error) => examined.refusal = Some((Code::StatementMalformed, error)),
        }
        examined.predicate = predicate;
        examined
    }

    /// Returns who signed, when the envelope was accepted.
    fn judged_identity(&self) -> Option<&str> {
        let judgement = self.judgement.as_ref()?;
        let is_accepted = judgement.verdict() == Verdict::Accepted && self.refusal.is_none();
        judgement.identity().filter(|_| is_accepted)
    }

    fn activity(&self) -> Option<&Activity> {
        match self.predicate.as_ref()? {
            Ok(Predicate::Activity(activity)) => Some(activity),
            Ok(_) | Err(_) => None,
        }
    }
}

impl Attested {
    /// What can be said of a statement by itself.
    fn of(examined: &Examined) -> Self {
        let judgement = examined.judgement.as_ref();
        let mut attested = Self {
            file: examined.file.clone(),
            verdict: judgement.map_or(Verdict::Accepted, Judgement::verdict),
            detail: judgement.and_then(|it| it.detail()).map(str::to_owned),
            digest: examined.digest.clone(),
            predicate_type: examined
                .statement
                .as_ref()
                .map(|it| it.predicate_type().to_owned()),
            identity: judgement.and_then(|it| it.identity()).map(str::to_owned),
            by: judgement.and_then(Judgement::signed_by),
            accepts: matches!(
                &examined.predicate,
                Some(Ok(Predicate::Acceptance(it))) if it.decision == Decision::Accepted
            ),
            time_basis: judgement.and_then(Judgement::time_basis),
            judged_at: judgement.and_then(|it| Some(it.judged_at()?.to_string())),
            attested_as: None,
            claimed: None,
            derived: Derived::NONE,
            place: None,
            origins_hash: match &examined.predicate {
                Some(Ok(predicate)) => predicate.origins_hash().map(str::to_owned),
                Some(Err(_)) | None => None,
            },
        };
        if let (Verdict::Accepted, Some((code, detail))) = (attested.verdict, &examined.refusal) {
            attested.refuse(*code, detail.clone());
        }
        attested
    }

    fn refuse(&mut self, code: Code, detail: String) {
        self.verdict = Verdict::of(code);
        self.detail = Some(detail).filter(|detail| !detail.is_empty());
        self.derived = Derived::NONE;
    }
}

impl From<&Attested> for AttestationReport {
    fn from(attested: &Attested) -> Self {
        Self {
            predicate_type: attested.predicate_type.clone(),
            verdict: attested.verdict.word(),
            code: attested.verdict.code(),
            level: attested.derived.level.map(Level::as_str),
            claimed_level: attested.claimed.map(Level::as_str),
            digest: attested.digest.clone(),
            identity: attested.identity.clone(),
            time_basis: attested.time_basis,
            attested_as: attested.attested_as.clone(),
        }
    }
}

/// Returns the best level among accepted statements.
pub fn level(all: &[Attested]) -> Option<Level> {
    let accepted = all.iter().filter(|it| it.verdict == Verdict::Accepted);
    accepted.filter_map(|it| it.derived.level).max()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
