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
    stated::{Received, SignedBy, Stated, Statements},
};
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use crate::{
    bundle::Bundle,
    chain::{Chain, Link},
    level::{Derived, derive},
    origins::{OriginSet, discloses},
    predicate::{
        Acceptance, Activity, Decision, Evidence, Level, Lifecycle, Outcome, Predicate,
        PredicateError, RECEIVE, Receive, Termination, UNKNOWN,
    },
    store::{CommitFacts, FileName, Kept, Place, Store, StoreError},
};

/// How often a commit may have taken the place of another.
const SUCCESSIONS_MAX: usize = 16;

/// How far what a statement says of its time may be from when it was signed, in seconds.
const DAY: u64 = 24 * 60 * 60;

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
    /// Where and when it says that the commit was received.
    pub received: Option<Received>,
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
    /// What an acceptance decides.
    pub decision: Option<Decision>,
    /// Whether an activity goes on, as of this record.
    pub lifecycle: Option<Lifecycle>,
    /// Why it ended.
    pub termination: Option<Termination>,
    /// How its work came out.
    pub outcome: Option<Outcome>,
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
    /// Whether it lists origins in the open.
    discloses: bool,
}

/// The statements of a repository, judged.
#[derive(Debug)]
pub struct Attestations<'j> {
    store: Store,
    judge: &'j Judge<'j>,
    asked: Asked,
    examined: Mutex<HashMap<FileName, Arc<Examined>>>,
    chains: Mutex<HashMap<(String, String), Arc<Judged>>>,
    levels: Mutex<HashMap<(String, String), Derived>>,
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
            levels: Mutex::default(),
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
        let mut names = vec![(commit.to_owned(), None::<String>)];
        let mut next = 0;
        while let Some((name, by)) = names.get(next).cloned() {
            next += 1;
            let named = self.other(&name, commit)?;
            for kept in self.store.read(&Place::commit(&name))? {
                let examined = self.examine(&kept);
                // Only what the same signer stated: nobody moves what others said.
                let is_carried = by.as_ref().is_none_or(|by| examined.is_carried_by(by));
                if !is_carried || !seen.insert(kept.name) {
                    continue;
                }
                let found = self.find(examined, &name, (commit, &facts), named.as_ref())?;
                if let (Verdict::Accepted, Some(activity), Some(identity)) = (
                    found.attested.verdict,
                    found.examined.activity(),
                    &found.attested.identity,
                ) {
                    for succession in activity.succeeds.iter().filter(|it| it.to == name) {
                        let before = (succession.from.clone(), Some(identity.clone()));
                        if names.len() < SUCCESSIONS_MAX && !names.contains(&before) {
                            names.push(before);
                        }
                    }
                }
                all.push(found);
            }
        }
        let mut same_tree = self.store.read(&Place::tree(&facts.tree))?;
        if !same_tree.is_empty() && self.changes_nothing(&facts)? {
            same_tree.clear();
        }
        for kept in same_tree {
            if seen.contains(&kept.name) {
                continue;
            }
            let examined = self.examine(&kept);
            let (name, named) = self.twin(&examined, &facts.tree, commit)?;
            let is_here = name == commit || named.is_some() || name.is_empty();
            let mut found = self.find(examined, &name, (commit, &facts), named.as_ref())?;
            if !is_here && found.attested.verdict == Verdict::Accepted {
                let detail = format!("{name}, which it speaks of");
                found.attested.refuse(Code::ObjectMissing, detail);
            }
            all.push(found);
        }
        self.bind(&mut all)?;
        let mut all = all.into_iter().map(|it| it.attested).collect::<Vec<_>>();
        self.hand_down(&mut all);
        Ok(all)
    }

    /// Reads a commit; one that is missing or malformed is none.
    fn readable(&self, id: &str) -> Result<Option<CommitFacts>, StoreError> {
        match self.store.commit(id) {
            Err(StoreError::Commit(..)) => Ok(None),
            read => read,
        }
    }

    /// Reads a commit that is another than the one asked about.
    fn other(&self, name: &str, commit: &str) -> Result<Option<CommitFacts>, StoreError> {
        match name == commit {
            true => Ok(None),
            false => self.readable(name),
        }
    }

    /// Finds the commit of that tree that a statement speaks of: one that is here, if any is.
    fn twin(
        &self,
        examined: &Examined,
        tree: &str,
        commit: &str,
    ) -> Result<(String, Option<CommitFacts>), StoreError> {
        let subjects = examined.statement.iter().flat_map(Statement::subjects);
        let same = subjects.filter(|it| it.digest.get("gitTree").is_some_and(|it| it == tree));
        let names: Vec<_> = same.filter_map(|it| it.digest.get("gitCommit")).collect();
        for name in &names {
            let named = self.other(name, commit)?;
            if *name == commit || named.as_ref().is_some_and(|it| it.tree == tree) {
                return Ok(((*name).clone(), named));
            }
        }
        let first = names.first().map(|name| (*name).clone());
        Ok((first.unwrap_or_default(), None))
    }

    /// Tells whether a commit has the tree of a parent: what is stated about that tree is about
    /// somebody's work before it.
    fn changes_nothing(&self, facts: &CommitFacts) -> Result<bool, StoreError> {
        let headers = facts.raw.split(|byte| *byte == b'\n');
        for header in headers.take_while(|header| !header.is_empty()) {
            let parent = header.strip_prefix(b"parent ");
            let Some(parent) = parent.and_then(|id| str::from_utf8(id).ok()) else {
                continue;
            };
            let parent = self.readable(parent)?;
            if parent.is_some_and(|parent| parent.tree == facts.tree) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Judges a statement that is kept with `name`, for somebody who asks about another commit or
    /// about that one.
    fn find(
        &self,
        examined: Arc<Examined>,
        name: &str,
        (commit, facts): (&str, &CommitFacts),
        named: Option<&CommitFacts>,
    ) -> Result<Found, StoreError> {
        let mut commits = vec![(commit, facts)];
        commits.extend(named.map(|named| (name, named)));
        let trailers = commits.iter().flat_map(|(_, it)| it.trailers.clone());
        let trailers = trailers.collect();
        let about = About {
            name,
            commits,
            is_cited: false,
        };
        let mut attested = self.decide(&examined, &about)?;
        if name != commit {
            attested.attested_as = Some(name.to_owned());
        }
        Ok(Found {
            examined,
            attested,
            trailers,
        })
    }

    /// Refuses statements about a commit that carries the head of a chain which is not here: with
    /// the chain, what it says of the commit was taken away.
    fn bind(&self, all: &mut [Found]) -> Result<(), StoreError> {
        if all.iter().all(|found| found.trailers.is_empty()) {
            return Ok(());
        }
        let mut claims = Vec::new();
        for Found { examined, .. } in &*all {
            if let (Some(identity), Some(activity), Some(digest)) = (
                examined.judged_identity(),
                examined.activity(),
                &examined.digest,
            ) {
                let chain = self.chain(&activity.activity.id, identity)?;
                if let Ok(whole) = chain.as_ref()
                    && let Some(sequence) = whole.sequence(digest)
                {
                    claims.push((chain, sequence));
                }
            }
        }
        let is_claimed = |head: &str| {
            claims.iter().any(|(chain, sequence)| {
                let chain = chain.as_ref().as_ref().ok();
                let at = chain.and_then(|chain| chain.sequence(head));
                at.is_some_and(|at| at < *sequence)
            })
        };
        for found in all {
            let stray = found.trailers.iter().find(|head| !is_claimed(head));
            if let (Verdict::Accepted, Some(stray)) = (found.attested.verdict, stray) {
                let detail = format!("it carries {stray}, which no chain about it holds");
                found.attested.refuse(Code::ChainTrailer, detail);
            }
        }
        Ok(())
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
        let named = examined.statement.iter();
        let names: Vec<_> = named.flat_map(|it| it.digests("gitCommit")).collect();
        let mut all = Vec::new();
        for name in &names {
            if let Some(facts) = self.store.commit(name)? {
                let found = self.find(Arc::clone(&examined), name, (name, &facts), None)?;
                let mut found = vec![found];
                self.bind(&mut found)?;
                all.extend(found.into_iter().map(|it| it.attested));
            }
        }
        let are_here = !names.is_empty() && all.len() == names.len();
        let worst = all.iter().position(|it| it.verdict != Verdict::Accepted);
        let mut attested = match all.into_iter().nth(worst.unwrap_or_default()) {
            Some(attested) => attested,
            None => Attested::of(&examined),
        };
        if attested.verdict == Verdict::Accepted && !are_here {
            let detail = "not all of its commits are here";
            attested.refuse(Code::ObjectMissing, detail.to_owned());
        }
        Ok(attested)
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
        let (mut bases, mut ties) = (Vec::new(), Vec::new());
        let mut successions = HashMap::new();
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
                bases.extend(&it.chain.base);
                ties.extend(&it.chain.commits);
                successions.extend(it.succeeds.iter().map(|it| (&it.from, &it.to)));
            }
        }
        let mut chain = Chain::of(&links).map_err(|error| (error.code(), error.to_string()));
        // A history that was cut off may have held it.
        let is_shallow = self.store.is_shallow()?;
        let has_base = bases.is_empty() || is_shallow || {
            let mut base = bases.first().copied();
            for _ in 0..SUCCESSIONS_MAX {
                if base.is_some_and(|base| matches!(self.readable(base), Ok(Some(_)))) {
                    break;
                }
                base = base.and_then(|base| successions.get(base).copied());
            }
            match base {
                Some(base) => self.readable(base)?.is_some(),
                None => false,
            }
        };
        // One that began before the first commit, and covers none, is tied to nothing.
        let mut is_here = ties.is_empty() || !bases.is_empty() && !is_shallow;
        for tie in ties.into_iter().chain(bases) {
            is_here = is_here || self.readable(tie)?.is_some();
        }
        if chain.is_ok() && !(has_base && is_here) {
            let detail = match has_base {
                true => "no commit that it covers is here",
                false => "what it began from is not here",
            };
            chain = Err((Code::ChainElsewhere, detail.to_owned()));
        }
        let chain = Arc::new(chain);
        lock(&self.chains).insert(key, Arc::clone(&chain));
        Ok(chain)
    }

    /// Gives what an accepted record cites its level, if its signer stated that too: it is part of
    /// what the level was derived from.
    fn hand_down(&self, all: &mut [Attested]) {
        let mut levels = HashMap::new();
        {
            let known = lock(&self.examined);
            for attested in all.iter().filter(|it| it.derived.level.is_some()) {
                let citing = known.get(&attested.file);
                let cited = citing.and_then(|it| it.activity()).map(|it| &it.evidence);
                for evidence in cited.into_iter().flatten() {
                    let cited = (
                        Some(evidence.digest.clone()),
                        Some(evidence.predicate_type.clone()),
                        attested.identity.clone(),
                    );
                    levels.insert(cited, attested.derived);
                }
            }
        }
        for attested in all {
            let cited = (
                attested.digest.clone(),
                attested.predicate_type.clone(),
                attested.identity.clone(),
            );
            if let (Verdict::Accepted, None, Some(derived)) =
                (attested.verdict, attested.derived.level, levels.get(&cited))
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

    /// Decides about a statement.
    fn decide(&self, examined: &Examined, about: &About<'_>) -> Result<Attested, StoreError> {
        let mut attested = Attested::of(examined);
        if attested.verdict == Verdict::Accepted
            && let Some((code, detail)) = self.refusal(examined, about, &mut attested)?
        {
            attested.refuse(code, detail);
        }
        Ok(attested)
    }

    fn refusal(
        &self,
        examined: &Examined,
        about: &About<'_>,
        attested: &mut Attested,
    ) -> Result<Option<(Code, String)>, StoreError> {
        let (Some(statement), Some(predicate)) = (&examined.statement, &examined.predicate) else {
            return Ok(Some((Code::StatementMalformed, String::new())));
        };
        // What is cited may be a record that covers no commit.
        let is_about =
            about.is_cited && about.name.is_empty() || statement.speaks_of("gitCommit", about.name);
        if !is_about {
            return Ok(Some((
                Code::SubjectMismatch,
                format!("it is not about {}", about.name),
            )));
        }
        let predicate = match predicate {
            Ok(predicate) => predicate,
            Err(error @ PredicateError::Unknown(_)) => {
                return Ok(Some((Code::PredicateUnknown, error.to_string())));
            }
            Err(error) => return Ok(Some((Code::PredicateMalformed, error.to_string()))),
        };
        if examined.discloses {
            return Ok(Some((Code::OriginsDisclosed, String::new())));
        }
        if let (Some(stated), Some(shown)) = (predicate.origins_hash(), &self.asked.origins)
            && Some(stated) != shown.digest().as_deref()
        {
            return Ok(Some((Code::OriginsMismatch, format!("it states {stated}"))));
        }
        let judged_at = examined.judgement.as_ref().and_then(Judgement::judged_at);
        let apart_at_most = match predicate {
            Predicate::Activity(_) | Predicate::Acceptance(_) => DAY,
            // Whoever says when something was there says it then.
            Predicate::Receive(_) => self.judge.policy().skew_seconds().into(),
            Predicate::Dispatch(_) | Predicate::Handoff(_) | Predicate::Summary(_) => u64::MAX,
        };
        if let (Some(stated), Some(judged)) = (predicate.stated_at(), judged_at)
            && stated.secs().abs_diff(judged.secs()) > apart_at_most
        {
            let detail = format!("it says {stated}, and was signed at {judged}");
            return Ok(Some((Code::PredicateMalformed, detail)));
        }
        let identity = examined.judged_identity().unwrap_or_default();
        Ok(match predicate {
            Predicate::Activity(activity) => {
                self.activity_refusal(activity, identity, examined, about, attested)?
            }
            Predicate::Acceptance(acceptance) => {
                self.acceptance_refusal(acceptance, identity, statement, about)?
            }
            // Whoever verifies is whoever signs: names of others are words.
            Predicate::Summary(summary) if summary.verifier.id != identity => {
                let detail = format!("it names {}", summary.verifier.id);
                Some((Code::AgentMismatch, detail))
            }
            Predicate::Dispatch(_)
            | Predicate::Handoff(_)
            | Predicate::Receive(_)
            | Predicate::Summary(_) => None,
        })
    }

    fn activity_refusal(
        &self,
        activity: &Activity,
        identity: &str,
        examined: &Examined,
        about: &About<'_>,
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
            return Ok(Some((Code::ChainRecordStray, detail)));
        };
        attested.place = Some(RecordPlace {
            activity: id.clone(),
            sequence,
            length: chain.length(),
            closed: chain.is_closed(),
        });
        // A chain that does not hold what the commit carries makes no claim to it.
        let is_late = |head: &&String| chain.sequence(head).is_some_and(|at| at >= sequence);
        let mut named = about.commits.iter().filter(|(id, _)| *id == about.name);
        if let Some(stray) = named.find_map(|(_, facts)| facts.trailers.iter().find(is_late)) {
            return Ok(Some((Code::ChainTrailer, format!("it carries {stray}"))));
        }
        if about.is_cited {
            return Ok(None);
        }
        let commits = activity.chain.commits.iter().map(String::as_str);
        if let Some(missing) = self.missing_evidence(&activity.evidence, commits, Some(id))? {
            return Ok(Some((Code::EvidenceMissing, missing)));
        }
        if !chain.is_closed() && !self.asked.open {
            let detail = format!("{} records, and none closes it", chain.length());
            return Ok(Some((Code::ChainTailMissing, detail)));
        }
        attested.claimed = activity.claim.as_ref().map(|claim| claim.level);
        attested.derived = self.derived(id, identity, chain)?;
        Ok(None)
    }

    /// Derives the level that a whole chain carries, once.
    fn derived(&self, id: &str, identity: &str, chain: &Chain) -> Result<Derived, StoreError> {
        let key = (id.to_owned(), identity.to_owned());
        if let Some(known) = lock(&self.levels).get(&key) {
            return Ok(*known);
        }
        let kept = self.store.read(&Place::activity(id))?;
        let mut examined: Vec<_> = kept.iter().map(|kept| self.examine(kept)).collect();
        examined.retain(|it| {
            let digest = it.digest.as_deref().unwrap_or_default();
            it.judged_identity() == Some(identity) && chain.sequence(digest).is_some()
        });
        let mut records: Vec<_> = examined.iter().filter_map(|it| it.activity()).collect();
        records.sort_by_key(|record| record.chain.sequence);
        records.dedup_by_key(|record| record.chain.sequence);
        let mut derived = derive(&records);
        for record in records {
            let commits = record.chain.commits.iter().map(String::as_str);
            let missing = self.missing_evidence(&record.evidence, commits, Some(id))?;
            if missing.is_some() {
                derived = Derived::UNFOUNDED;
            }
        }
        lock(&self.levels).insert(key, derived);
        Ok(derived)
    }

    /// Finds a statement that another rests on and that is not here, is of another type, or is
    /// not accepted. What that one rests on in its turn is not looked at, nor whether its chain is
    /// closed yet.
    fn missing_evidence<'a>(
        &self,
        evidence: &[Evidence],
        commits: impl Iterator<Item = &'a str>,
        activity: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        let wanted = evidence.iter();
        let mut wanted: BTreeSet<_> = wanted
            .map(|it| (&*it.digest, &*it.predicate_type))
            .collect();
        let commits = commits.map(|id| (Place::commit(id), Some(id)));
        let activity = activity.map(|id| (Place::activity(id), None));
        for (place, name) in commits.chain(activity) {
            if wanted.is_empty() {
                break;
            }
            let facts = name.map_or(Ok(None), |name| self.readable(name))?;
            for kept in self.store.read(&place)? {
                let found = self.examine(&kept);
                let (Some(statement), Some(digest)) = (&found.statement, &found.digest) else {
                    continue;
                };
                let cited = (&**digest, statement.predicate_type());
                let first = statement.digests("gitCommit").next();
                let name = name.or(first).unwrap_or_default();
                let about = About {
                    name,
                    commits: facts.iter().map(|facts| (name, facts)).collect(),
                    is_cited: true,
                };
                if wanted.iter().any(|it| *it == cited)
                    && self.decide(&found, &about)?.verdict == Verdict::Accepted
                {
                    wanted.retain(|it| *it != cited);
                }
            }
        }
        Ok(wanted.first().map(|(digest, _)| (*digest).to_owned()))
    }

    /// Nobody accepts their own work: neither what they signed, nor what they attested. Anybody
    /// may reject it.
    fn acceptance_refusal(
        &self,
        acceptance: &Acceptance,
        identity: &str,
        statement: &Statement,
        about: &About<'_>,
    ) -> Result<Option<(Code, String)>, StoreError> {
        use notme_core::object::{HashKind, ObjectKind};
        if acceptance.decision == Decision::Rejected {
            let reason = acceptance.reason.clone();
            return Ok(Some((Code::AcceptanceRejected, reason.unwrap_or_default())));
        }
        for (commit, facts) in &about.commits {
            let hash = match commit.len() {
                64 => HashKind::Sha256,
                _ => HashKind::Sha1,
            };
            let judge = self.judge;
            let signer = judge.judge_object(ObjectKind::Commit, &facts.raw, hash);
            if signer.identity() == Some(identity) {
                let detail = format!("they signed {commit}");
                return Ok(Some((Code::AcceptanceSelf, detail)));
            }
            for kept in self.store.read(&Place::commit(commit))? {
                let other = self.examine(&kept);
                // To verify is no work on the commit, either.
                if !other.is_answer() && other.judged_identity() == Some(identity) {
                    let detail = format!("they signed {} too", other.file);
                    return Ok(Some((Code::AcceptanceSelf, detail)));
                }
            }
        }
        if about.is_cited {
            return Ok(None);
        }
        let commits = statement.digests("gitCommit");
        let missing = self.missing_evidence(&acceptance.evidence, commits, None)?;
        Ok(missing.map(|missing| (Code::EvidenceMissing, missing)))
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
                received: it.received,
                by: it.by?,
            })
        });
        Ok(stated.collect())
    }
}

/// A statement that was found, judged.
struct Found {
    examined: Arc<Examined>,
    attested: Attested,
    /// The heads of chains that the commits carry: the one asked about, and the one spoken of.
    trailers: Vec<String>,
}

/// What a statement is judged about.
struct About<'a> {
    /// The commit that it is to speak of.
    name: &'a str,
    /// The commits that are asked about and spoken of, as far as they are here.
    commits: Vec<(&'a str, &'a CommitFacts)>,
    /// Whether another one rests on it.
    is_cited: bool,
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
            discloses: false,
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
            Ok(statement) => {
                let said = serde_json::from_slice(envelope.payload());
                examined.discloses = said.is_ok_and(|said| discloses(&said));
                examined.statement = Some(statement);
            }
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

    /// Tells whether it answers to the work on a commit, and is none.
    fn is_answer(&self) -> bool {
        matches!(
            self.predicate,
            Some(Ok(Predicate::Acceptance(_)
                | Predicate::Receive(_)
                | Predicate::Summary(_)))
        )
    }

    /// Tells whether it goes along when its signer says that another commit took the place.
    fn is_carried_by(&self, identity: &str) -> bool {
        self.judged_identity() == Some(identity) && !self.is_answer()
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
        let activity = examined.activity();
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
            received: match &examined.predicate {
                Some(Ok(Predicate::Receive(it))) => received(it, judgement),
                Some(_) | None => None,
            },
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
            decision: match &examined.predicate {
                Some(Ok(Predicate::Acceptance(acceptance))) => Some(acceptance.decision),
                Some(_) | None => None,
            },
            lifecycle: activity.map(|it| it.lifecycle),
            termination: activity.and_then(|it| it.termination),
            outcome: activity.map(|it| it.outcome),
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

/// Returns what a record of receiving shows: of the time that it says and the one that it was
/// signed at, the later.
fn received(receive: &Receive, judgement: Option<&Judgement>) -> Option<Received> {
    Some(Received {
        repository: receive.repository.clone(),
        at: receive.received_at()?.max(judgement?.judged_at()?),
    })
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
            decision: attested.decision.map(Decision::as_str),
            lifecycle: attested.lifecycle.map(Lifecycle::as_str),
            termination: attested.termination.map(Termination::as_str),
            outcome: attested.outcome.map(Outcome::as_str),
        }
    }
}

/// Returns the statements that count for a commit: its own, and where it has none, those that it
/// took over. That somebody rejected its tree counts anyhow; that a repository received it says
/// nothing about the work on it.
pub fn counted(all: &[Attested]) -> impl Iterator<Item = &Attested> {
    let of_work = || {
        let is_of_work = |it: &&Attested| it.predicate_type.as_deref() != Some(RECEIVE);
        all.iter().filter(is_of_work)
    };
    let has_own = of_work().any(|it| it.attested_as.is_none());
    of_work().filter(move |it| {
        let is_own = it.attested_as.is_none();
        is_own || !has_own || it.verdict.code() == Some(Code::AcceptanceRejected)
    })
}

/// Returns the best level among accepted statements that count.
pub fn level(all: &[Attested]) -> Option<Level> {
    let accepted = counted(all).filter(|it| it.verdict == Verdict::Accepted);
    accepted.filter_map(|it| it.derived.level).max()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
