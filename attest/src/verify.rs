//! What the statements about a commit are worth.
//!
//! In this order, and the first that fails decides: the bundle, its signature and certificate, the
//! authority behind it and the time (all of these by the verifier, as for a commit), the subject,
//! the predicate, what it rests on, its chain. Then the level is derived.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use notme_core::{
    object::{HashKind, ObjectKind},
    statement::{PAYLOAD_TYPE, Statement},
};
use notme_verifier::{
    Code, Judge, Judgement, TimeBasis, Verdict,
    report::AttestationReport,
    stated::{Received, SignedBy, Stated},
};
use rayon::iter::{IntoParallelRefIterator as _, ParallelExtend as _, ParallelIterator as _};

use crate::{
    bundle::Bundle,
    chain::{Chain, Link},
    level::{Derived, derive},
    origins::{OriginSet, is_disclosed_in},
    predicate::{
        Acceptance, Activity, Decision, Evidence, Level, Lifecycle, Outcome, Predicate,
        PredicateError, RECEIVE, Receive, Termination, UNKNOWN, VerificationResult, is_answer,
    },
    store::{Blob, CommitFacts, Contents, FileName, Kept, Noted, Place, Shelf, Store, StoreError},
};

/// How often a commit may have taken the place of another, as one signer says.
const SUCCESSIONS_MAX: usize = 16;
/// Likewise, of those that carry the chain which is looked for: a branch may be rebased each day, or squashed.
const CARRYING_MAX: usize = 256;
/// How many statements may rest on one another.
const EVIDENCE_DEPTH_MAX: usize = 32;

/// Of how many parents a commit may take over what is stated about its tree.
const PARENTS_MAX: usize = 64;

/// So many bundles are judged sooner by one thread than others are started.
const FEW: usize = 16;

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
    /// What came of a verification.
    pub result: Option<VerificationResult>,
    /// Whether it tells of a failure, is of a chain that ends with one, or rests on what its own signer
    /// says failed; or all that it has of a level comes from a record of which that goes.
    pub fails: bool,
    /// Whether it says nothing of the commit: it is kept with one that it does not speak of, or that
    /// one is another and not here.
    is_beside: bool,
    /// What it rests on.
    footing: Footing,
}

/// What a statement rests on.
#[derive(Clone, Debug)]
enum Footing {
    /// All of it is there, and accepted.
    Firm(Firm),
    /// Not all of it.
    Missing(String),
    /// More than [`EVIDENCE_DEPTH_MAX`], one on the other.
    TooDeep,
}

/// What a statement rests on, all of which is there.
#[derive(Clone, Copy, Debug, Default)]
struct Firm {
    /// How many, one on the other.
    height: usize,
    /// Of a statement that is cited: whether it fails. Of what others cite: whether something fails
    /// that the same signer stated.
    fails: bool,
}

impl Footing {
    fn refusal(&self) -> Option<(Code, String)> {
        let detail = match self {
            Self::Firm(_) => return None,
            Self::Missing(digest) => digest.clone(),
            Self::TooDeep => format!("more than {EVIDENCE_DEPTH_MAX} rest on one another"),
        };
        Some((Code::EvidenceMissing, detail))
    }
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

/// Who signed, by the name that the trust store has for whoever vouches for that: others may give the
/// same name.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Who {
    identity: String,
    authority: String,
}

impl Who {
    fn of(judgement: &Judgement) -> Option<Self> {
        Some(Self {
            identity: judgement.identity()?.to_owned(),
            authority: judgement.authority()?.to_owned(),
        })
    }
}

/// The records of one chain.
#[derive(Debug)]
struct Judged {
    /// Their order, or why they have none.
    chain: Result<Chain, (Code, String)>,
    /// What would tie it to this repository and is not here.
    untied: Option<&'static str>,
    /// Whether the last one tells of a failure.
    fails: bool,
    /// Those that cover a commit.
    covering: HashMap<String, Vec<Arc<Examined>>>,
}

impl Judged {
    /// Returns the chain, if it is of this repository: what it began from and a commit that it covers are
    /// here, or what took the place of one that it covers, as its signer says.
    fn here(&self, is_followed: bool) -> Result<&Chain, (Code, String)> {
        let chain = self.chain.as_ref().map_err(Clone::clone)?;
        match self.untied.filter(|_| !is_followed) {
            Some(detail) => Err((Code::ChainElsewhere, detail.to_owned())),
            None => Ok(chain),
        }
    }
}

/// A chain that somebody's statement is a record of, and which record that is.
type Claim = (Arc<Judged>, u64);

/// Commits, and who says that the next one took the place of each.
type Line = Vec<(String, Option<Who>)>;

/// Adds to a line what a commit took the place of, as a record says: of those that count so many at most, of
/// each signer.
fn follow(
    line: &mut Line,
    (commit, record): (&str, &Examined),
    at_most: usize,
    counts: impl Fn(&str) -> bool,
) {
    let (Some(activity), Some(by)) = (record.activity(), record.judged()) else {
        return;
    };
    let succeeds = activity.succeeds.iter().filter(|it| it.to == commit);
    for succession in succeeds.filter(|it| counts(&it.from)) {
        let before = (succession.from.clone(), Some(by.clone()));
        let by_them = line.iter().filter(|(_, by)| *by == before.1);
        if by_them.count() < at_most && !line.contains(&before) {
            line.push(before);
        }
    }
}

/// Who worked on a commit, and from what that is seen.
type Workers = Vec<(SignedBy, String)>;

/// What a whole chain carries.
#[derive(Clone, Copy, Debug)]
struct Carried {
    level: Derived,
    /// Whether its last record rests on what its own signer says failed.
    fails: bool,
}

/// What the records of one chain have in common. Somebody who may sign for an activity of their own
/// and those that it starts cannot reach another's chain by naming it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Whose {
    activity: String,
    by: Who,
    /// The activity that started it.
    parent: Option<String>,
}

/// The last record of a chain: what the next one goes on from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tip {
    /// Its number.
    pub sequence: u64,
    /// `sha256:<hex>` of its payload.
    pub digest: String,
    /// The number of the segment that it is in.
    pub segment: u64,
    /// Whether the activity goes on.
    pub lifecycle: Lifecycle,
    /// The activity that started its own.
    pub parent: Option<String>,
    /// What its activity kept when it was the last one.
    pub contents: Option<Contents>,
}

/// Which bytes, under which name.
type BundleId = (FileName, Option<Blob>);

/// What is kept in a place.
#[derive(Debug)]
struct Shelved {
    /// Of the copies of a statement by one key, the best.
    all: Vec<Arc<Examined>>,
    by_digest: HashMap<String, Vec<usize>>,
    /// The records of each chain. Others' records under the same id are others' chains.
    chains: HashMap<Whose, Vec<usize>>,
}

impl Shelved {
    fn of(mut all: Vec<Arc<Examined>>) -> Self {
        // Anybody can make as many copies as they like.
        let same = |it: &Arc<Examined>| {
            let by = it.judgement.as_ref()?.signed_by()?;
            Some((it.digest.clone()?, by.identity, by.authority, by.kid))
        };
        let worth = |it: &Arc<Examined>| {
            let holds = it.judged().is_some() && it.contradiction.is_none();
            let judgement = it.judgement.as_ref();
            let basis = judgement.and_then(Judgement::time_basis);
            let at = judgement.and_then(Judgement::judged_at);
            (holds, basis, Reverse(at))
        };
        keep_best(&mut all, same, worth);
        let mut by_digest: HashMap<_, Vec<_>> = HashMap::new();
        let mut chains: HashMap<_, Vec<_>> = HashMap::new();
        for (number, it) in all.iter().enumerate() {
            if let Some(digest) = &it.digest {
                by_digest.entry(digest.clone()).or_default().push(number);
            }
            if let Some(whose) = it.whose() {
                chains.entry(whose).or_default().push(number);
            }
        }
        Self {
            all,
            by_digest,
            chains,
        }
    }

    /// Returns the statements with a digest.
    fn copies(&self, digest: &str) -> impl Iterator<Item = &Arc<Examined>> {
        self.numbered(self.by_digest.get(digest))
    }

    /// Returns the records of a chain.
    fn records(&self, whose: &Whose) -> impl Iterator<Item = &Arc<Examined>> {
        self.numbered(self.chains.get(whose))
    }

    fn numbered<'s>(
        &'s self,
        numbers: Option<&'s Vec<usize>>,
    ) -> impl Iterator<Item = &'s Arc<Examined>> {
        let numbers = numbers.into_iter().flatten();
        numbers.filter_map(|number| self.all.get(*number))
    }
}

/// A bundle after everything that it says by itself was judged.
#[derive(Debug)]
struct Examined {
    id: BundleId,
    file: FileName,
    digest: Option<String>,
    predicate_type: Option<String>,
    /// What is said; not kept of those whom nobody trusts.
    statement: Option<Statement>,
    predicate: Option<Result<Predicate, PredicateError>>,
    judgement: Option<Judgement>,
    refusal: Option<(Code, String)>,
    /// Why it is refused, whatever it is about.
    contradiction: Option<(Code, String)>,
}

/// A judge that somebody else has, or that lives as long as what it judges.
#[derive(Debug)]
enum Held<'j> {
    Borrowed(&'j Judge<'j>),
    Owned(Box<Judge<'static>>),
}

/// The statements of a repository, judged.
#[derive(Debug)]
pub struct Attestations<'j> {
    store: Store,
    judge: Held<'j>,
    asked: Asked,
    examined: Mutex<HashMap<BundleId, Arc<Examined>>>,
    /// Bundles that are judged as if they were kept.
    beside: HashMap<Place, Vec<Arc<Examined>>>,
    /// What was read of each place, so that it is read once.
    places: Mutex<HashMap<Place, Arc<Shelved>>>,
    chains: Mutex<HashMap<Whose, Arc<Judged>>>,
    levels: Mutex<HashMap<Whose, Carried>>,
    /// What each statement rests on, all of which is there or not, whoever asks.
    footings: Mutex<HashMap<BundleId, Footing>>,
    /// How firm what others rest on is itself, if it is accepted; by its file and the commit that it
    /// is about.
    cited: Mutex<HashMap<(BundleId, String), Option<Firm>>>,
    /// The trees of commits that others name.
    trees: Mutex<HashMap<String, Option<String>>>,
    /// Who worked on each commit that somebody accepts.
    workers: Mutex<HashMap<String, Arc<Workers>>>,
}

impl<'j> Attestations<'j> {
    /// Prepares to judge.
    pub fn new(store: Store, judge: &'j Judge<'j>, asked: Asked) -> Self {
        Self::holding(store, Held::Borrowed(judge), asked)
    }

    /// Prepares to judge by somebody of its own.
    pub(crate) fn owning(store: Store, judge: Judge<'static>) -> Attestations<'static> {
        let judge = Held::Owned(Box::new(judge));
        Attestations::holding(store, judge, Asked::default())
    }

    fn holding(store: Store, judge: Held<'j>, asked: Asked) -> Self {
        Self {
            store,
            judge,
            asked,
            examined: Mutex::default(),
            beside: HashMap::new(),
            places: Mutex::default(),
            chains: Mutex::default(),
            levels: Mutex::default(),
            footings: Mutex::default(),
            cited: Mutex::default(),
            trees: Mutex::default(),
            workers: Mutex::default(),
        }
    }

    fn judge(&self) -> &Judge<'_> {
        match &self.judge {
            Held::Borrowed(judge) => judge,
            Held::Owned(judge) => judge,
        }
    }

    /// Returns what was stated about a commit and counts for whoever has rules on commits.
    ///
    /// # Errors
    /// In words, when it could not be looked at.
    pub fn about(&self, commit: &str) -> Result<Vec<Stated>, String> {
        let all = self.of(commit).map_err(|error| error.to_string())?;
        // It may be a rejection.
        if let Some(unread) = all.iter().find(|it| it.digest.is_none()) {
            return Err(format!("statement `{}` cannot be read", unread.file));
        }
        // What was said of another commit is not said of this one: its place in history differs.
        // But for rejections, which are of what is in it.
        let counts = |it: &Attested| {
            it.rejects() || it.verdict == Verdict::Accepted && it.attested_as.is_none()
        };
        let stated = all.into_iter().filter(counts).filter_map(|it| {
            Some(Stated {
                rejects: it.rejects(),
                fails: it.fails,
                predicate_type: it.predicate_type?,
                level: it.derived.level.map(Level::as_str),
                accepts: it.accepts,
                received: it.received,
                by: it.by?,
            })
        });
        Ok(stated.collect())
    }

    /// Judges what is stated about a commit: under its own name, under that of its tree, and of
    /// commits whose place it took.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn of(&self, commit: &str) -> Result<Vec<Attested>, StoreError> {
        let facts = match self.facts(commit) {
            Ok(Some(facts)) => facts,
            // What is no commit is for the verdict on it to refuse; nothing is said of it here.
            Ok(None) | Err(StoreError::Misnamed(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut all = Vec::new();
        let mut seen = HashSet::new();
        let mut names = Line::from([(commit.to_owned(), None)]);
        let mut next = 0;
        while let Some((name, by)) = names.get(next).cloned() {
            next += 1;
            let named = self.other(&name, commit)?;
            // Only what the same signer stated: nobody moves what others said.
            let is_carried = |it: &Arc<Examined>| by.as_ref().is_none_or(|by| it.is_carried_by(by));
            let kept = self.kept(Place::commit(&name))?;
            let mut here = kept.all.clone();
            self.complete(&mut here, &name)?;
            for examined in here.into_iter().filter(is_carried) {
                if !seen.insert(examined.id.clone()) {
                    continue;
                }
                let about = (&*name, by.is_some());
                let found = self.find(examined, about, (commit, &facts), named.as_ref())?;
                if found.attested.verdict == Verdict::Accepted {
                    let took = (&*name, &*found.examined);
                    follow(&mut names, took, SUCCESSIONS_MAX, |_| true);
                }
                all.push(found);
            }
        }
        let twins = self.of_tree(&facts, commit, &mut seen)?;
        for Twin {
            examined,
            name,
            named,
        } in twins
        {
            let is_here = name == commit || named.is_some();
            let about = (&*name, false);
            let mut found = self.find(examined, about, (commit, &facts), named.as_deref())?;
            // Of what it is worth there, nothing can be said here, be it good or bad. That the tree was
            // rejected goes for all who have it.
            if !is_here && found.examined.judged().is_some() && !found.attested.rejects() {
                let detail = format!("{name}, which it speaks of");
                found.attested.refuse(Code::ObjectMissing, detail);
                found.attested.is_beside = true;
            }
            all.push(found);
        }
        if all.iter().any(|found| found.heads().next().is_some()) {
            let claims = self.claims(&all)?;
            let held = self.held(commit, &facts.trailers, claims)?;
            for it in held
                .before
                .iter()
                .filter(|it| seen.insert(it.examined.id.clone()))
            {
                let named = self.other(&it.name, commit)?;
                let (examined, about) = (Arc::clone(&it.examined), (&*it.name, true));
                all.push(self.find(examined, about, (commit, &facts), named.as_ref())?);
            }
            bind(&mut all, &held, Code::ChainTrailer);
        }
        hand_down(&mut all);
        let mut all = all.into_iter().map(|it| it.attested).collect::<Vec<_>>();
        tell_once(&mut all);
        Ok(all)
    }

    /// Finds what is stated about commits of the same tree and was not found before, each with the commit
    /// that it speaks of.
    fn of_tree(
        &self,
        facts: &CommitFacts,
        commit: &str,
        seen: &mut HashSet<BundleId>,
    ) -> Result<Vec<Twin>, StoreError> {
        let mut by_name: BTreeMap<String, (Option<Arc<CommitFacts>>, Vec<_>)> = BTreeMap::new();
        for Twin {
            examined,
            name,
            named,
        } in self.same_tree(facts, commit, seen)?
        {
            let (_, all) = by_name.entry(name).or_insert((named, Vec::new()));
            all.push(examined);
        }
        let mut found = Vec::new();
        for (name, (named, mut all)) in by_name {
            self.complete(&mut all, &name)?;
            self.complete(&mut all, commit)?;
            for examined in all {
                if seen.insert(examined.id.clone()) {
                    let is_own = examined.names(commit);
                    let name = if is_own { commit } else { &name };
                    let named = named.clone().filter(|_| !is_own);
                    let name = name.to_owned();
                    found.push(Twin {
                        examined,
                        name,
                        named,
                    });
                }
            }
        }
        Ok(found)
    }

    /// Finds what is kept with the tree of a commit, and speaks of commits that have it; where the commit
    /// changes nothing, of the commit itself, or rejects the tree. Nothing, when all of it was seen.
    fn same_tree(
        &self,
        facts: &CommitFacts,
        commit: &str,
        seen: &HashSet<BundleId>,
    ) -> Result<Vec<Twin>, StoreError> {
        let kept = self.kept(Place::tree(&facts.tree))?;
        let mut twins = Vec::new();
        if kept.all.iter().all(|it| seen.contains(&it.id)) {
            return Ok(twins);
        }
        let is_empty = self.changes_nothing(facts)?;
        let mut read = HashMap::new();
        for examined in &kept.all {
            // What was rejected stays that, whoever brings it.
            let (name, named) = match is_empty && !examined.rejects() {
                true if examined.names(commit) => (commit.to_owned(), None),
                true => continue,
                false => self.twin(examined, &facts.tree, commit, &mut read)?,
            };
            // What does not speak of that tree is nothing here, whoever put it there.
            if !name.is_empty() {
                twins.push(Twin {
                    examined: Arc::clone(examined),
                    name,
                    named,
                });
            }
        }
        Ok(twins)
    }

    /// Adds what all chains of the activities of some records say of a commit besides: who takes a record
    /// away from the commit, and leaves it in its chain, takes nothing away.
    fn complete(&self, all: &mut Vec<Arc<Examined>>, commit: &str) -> Result<(), StoreError> {
        let records = all.iter().filter_map(|it| it.activity());
        let activities: HashSet<_> = records.map(|it| it.activity.id.clone()).collect();
        for activity in activities {
            for whose in self.kept(Place::activity(&activity))?.chains.keys() {
                let judged = self.chain(whose)?;
                all.extend(judged.covering.get(commit).into_iter().flatten().cloned());
            }
        }
        Ok(())
    }

    /// Reads a commit; one that is missing or malformed is none.
    fn facts(&self, id: &str) -> Result<Option<CommitFacts>, StoreError> {
        readable(self.store.commit(id))
    }

    /// Reads a commit that is another than the one asked about.
    fn other(&self, name: &str, commit: &str) -> Result<Option<CommitFacts>, StoreError> {
        match name == commit {
            true => Ok(None),
            false => self.facts(name),
        }
    }

    /// Finds the commit of that tree that a statement speaks of: one that is here, if any is, and none
    /// that is here with another tree. What was read for others is not read again.
    fn twin(
        &self,
        examined: &Examined,
        tree: &str,
        commit: &str,
        read: &mut HashMap<String, Arc<CommitFacts>>,
    ) -> Result<(String, Option<Arc<CommitFacts>>), StoreError> {
        let subjects = examined.statement.iter().flat_map(Statement::subjects);
        let same = subjects.filter(|it| it.digest.get("gitTree").is_some_and(|it| it == tree));
        let mut elsewhere = None;
        for name in same.filter_map(|it| it.digest.get("gitCommit")) {
            if name == commit {
                return Ok((name.clone(), None));
            }
            if let Some(named) = read.get(name) {
                return Ok((name.clone(), Some(Arc::clone(named))));
            }
            match self.tree(name)? {
                Some(its) if its == tree => {
                    let named = self.facts(name)?.map(Arc::new);
                    read.extend(named.iter().map(|it| (name.clone(), Arc::clone(it))));
                    return Ok((name.clone(), named));
                }
                Some(_) => {}
                None => elsewhere = elsewhere.or(Some(name)),
            }
        }
        Ok((elsewhere.cloned().unwrap_or_default(), None))
    }

    /// Tells whether a commit has the tree of a parent: what is stated about that tree is about
    /// somebody's work before it. Nobody looks at more than [`PARENTS_MAX`].
    fn changes_nothing(&self, facts: &CommitFacts) -> Result<bool, StoreError> {
        let headers = facts.raw.split(|byte| *byte == b'\n');
        let mut parents = BTreeSet::new();
        for header in headers.take_while(|header| !header.is_empty()) {
            let parent = header.strip_prefix(b"parent ");
            parents.extend(parent.and_then(|id| str::from_utf8(id).ok()));
            if parents.len() > PARENTS_MAX {
                return Ok(true);
            }
        }
        for parent in parents {
            if self.tree(parent)?.is_some_and(|tree| tree == facts.tree) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the tree of a commit, which is read once; one that is missing or malformed has none.
    fn tree(&self, id: &str) -> Result<Option<String>, StoreError> {
        if let Some(known) = lock(&self.trees).get(id) {
            return Ok(known.clone());
        }
        let tree = readable(self.store.tree(id))?;
        lock(&self.trees).insert(id.to_owned(), tree.clone());
        Ok(tree)
    }

    /// Judges a statement that is kept with `name`, for somebody who asks about another commit, which may
    /// have taken its place, or about that one.
    fn find(
        &self,
        examined: Arc<Examined>,
        (name, is_followed): (&str, bool),
        (commit, facts): (&str, &CommitFacts),
        named: Option<&CommitFacts>,
    ) -> Result<Found, StoreError> {
        let mut commits = vec![(commit, facts)];
        commits.extend(named.map(|named| (name, named)));
        let trailers = commits.iter().map(|(_, it)| Arc::clone(&it.trailers));
        let trailers = trailers.collect();
        let about = About {
            name,
            commits,
            is_followed,
            depth: 0,
        };
        let mut attested = self.decide(&examined, &about)?;
        attested.is_beside = examined.statement.is_some() && !examined.names(name);
        if name != commit {
            attested.attested_as = Some(name.to_owned());
            if named.is_none() && attested.derived.level.is_some() {
                attested.derived = Derived::UNSEEN;
            }
        }
        Ok(Found {
            examined,
            attested,
            trailers,
        })
    }

    /// Finds the chains that statements are records of, and which records those are.
    fn claims(&self, all: &[Found]) -> Result<Vec<Claim>, StoreError> {
        let claims = all.iter();
        let claims = claims.filter_map(|it| self.claim(&it.examined, &it.attested).transpose());
        claims.collect()
    }

    /// Finds the chain that a statement is a record of, and which record it is.
    fn claim(&self, examined: &Examined, attested: &Attested) -> Result<Option<Claim>, StoreError> {
        // What is not about the commit, or does not hold, says nothing of it. Whether the chain goes
        // on after it is another question.
        let holds = matches!(
            attested.verdict,
            Verdict::Accepted | Verdict::Undecided(Code::ChainTailMissing)
        );
        let place = attested.place.as_ref().filter(|_| holds);
        Ok(match (examined.whose(), place) {
            (Some(whose), Some(place)) => Some((self.chain(&whose)?, place.sequence)),
            (_, None) | (None, _) => None,
        })
    }

    /// Adds to the claims to a commit what holds the heads that are left: a commit whose place it took, as
    /// whoever signed it says, carries them too, and a chain about that one holds them; and so on from
    /// there. What is not here may carry them, and whoever led there says what came before.
    fn held(
        &self,
        commit: &str,
        trailers: &[String],
        claims: Vec<Claim>,
    ) -> Result<Claims, StoreError> {
        let mut held = Claims {
            all: claims,
            before: Vec::new(),
            workers: Vec::new(),
        };
        let strays = trailers.iter().filter(|head| !held.has(head));
        let mut heads: HashSet<_> = strays.cloned().collect();
        let mut line = Line::from([(commit.to_owned(), None)]);
        let mut next = 0;
        while let Some((name, by)) = line.get(next).cloned().filter(|_| !heads.is_empty()) {
            next += 1;
            let facts = self.facts(&name)?;
            if let Some(facts) = &facts {
                if !facts.trailers.iter().any(|head| heads.contains(head)) {
                    continue;
                }
                heads.extend(facts.trailers.iter().cloned());
            }
            let signature = facts.as_ref().map(|facts| self.signature(&name, facts));
            if by.is_some() {
                let signer = signature.as_ref().and_then(Judgement::signed_by);
                held.add_worker(signer, || format!("they signed {name}"));
            }
            let signer = match &signature {
                Some(signature) => Who::of(signature),
                None => by.clone(),
            };
            let mut here = self.kept(Place::commit(&name))?.all.clone();
            self.complete(&mut here, &name)?;
            let mut seen = HashSet::new();
            for examined in here.into_iter().filter(|it| seen.insert(it.id.clone())) {
                let about = About {
                    name: &name,
                    commits: facts.iter().map(|facts| (&*name, facts)).collect(),
                    is_followed: by.is_some(),
                    depth: 0,
                };
                let attested = self.decide(&examined, &about)?;
                let Some(claim) = self.claim(&examined, &attested)? else {
                    continue;
                };
                if signer.is_some()
                    && examined.judged() == signer
                    && attested.verdict == Verdict::Accepted
                {
                    // Many may be squashed into one.
                    let carries = |from: &str| match self.facts(from) {
                        Ok(Some(facts)) => facts.trailers.iter().any(|it| heads.contains(it)),
                        Ok(None) | Err(_) => true,
                    };
                    follow(&mut line, (&name, &examined), CARRYING_MAX, carries);
                }
                if by.is_some() && heads.iter().any(|head| holds(&claim, head)) {
                    held.all.push(claim);
                    let signer = examined.judgement.as_ref();
                    let signer = signer.and_then(Judgement::signed_by);
                    held.add_worker(signer, || {
                        format!("they signed {} about {name}", examined.file)
                    });
                    let name = name.clone();
                    held.before.push(Before { examined, name });
                }
            }
        }
        Ok(held)
    }

    /// Judges what is stated about many commits, on all cores.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn of_all(&self, commits: &[String]) -> Result<Vec<Vec<Attested>>, StoreError> {
        match commits {
            // Threads would take longer to start than this takes.
            [only] => Ok(vec![self.of(only)?]),
            _ => commits.par_iter().map(|commit| self.of(commit)).collect(),
        }
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
            let kept = self.every_copy(&Place::commit(commit))?;
            let signed = kept.iter().filter_map(|examined| {
                Some(SignedSo {
                    found: test(examined.judgement.as_ref()?)?,
                    digest: examined.digest.clone()?,
                    predicate_type: examined.predicate_type.clone(),
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

    /// Judges bundles as if all of them were kept here; each, in their order. That others are missing,
    /// from which a chain or the one that a commit carries would be seen, is no fault of theirs: then
    /// they are undecided.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn of_bundles(&self, contents: Vec<Vec<u8>>) -> Result<Vec<Attested>, StoreError> {
        let kept: Vec<_> = contents.into_iter().map(Kept::nowhere).collect();
        // Not once for each name, which others that are kept nowhere may have, too.
        let examine = |kept: &Kept| Arc::new(Examined::of(kept, self.judge()));
        let all: Vec<_> = match kept.len() {
            0..FEW => kept.iter().map(examine).collect(),
            _ => kept.par_iter().map(examine).collect(),
        };
        let mut here = Attestations::new(self.store.clone(), self.judge(), self.asked.clone());
        for examined in &all {
            for place in examined.statement.iter().flat_map(Place::of) {
                let beside = here.beside.entry(place).or_default();
                beside.push(Arc::clone(examined));
            }
        }
        let mut claims = HashMap::new();
        all.iter()
            .map(|examined| here.of_bundle(examined, &mut claims))
            .collect()
    }

    /// Judges a bundle, and notes the claims to its commits.
    fn of_bundle(
        &self,
        examined: &Arc<Examined>,
        claims: &mut HashMap<String, Claims>,
    ) -> Result<Attested, StoreError> {
        let names = examined.commits();
        if names.is_empty() {
            return self.of_no_commit(examined);
        }
        let mut all = Vec::new();
        for name in &names {
            let Some(facts) = self.facts(name)? else {
                continue;
            };
            let about = (*name, false);
            let find = |it: &Arc<Examined>| self.find(Arc::clone(it), about, (name, &facts), None);
            let mut found = vec![find(examined)?];
            if !facts.trailers.is_empty() {
                if !claims.contains_key(*name) {
                    let kept = self.kept(Place::commit(name))?;
                    let beside: Result<Vec<_>, _> = kept.all.iter().map(find).collect();
                    let beside = beside?;
                    let held = self.held(name, &facts.trailers, self.claims(&beside)?)?;
                    claims.insert((*name).to_owned(), held);
                }
                if let Some(held) = claims.get(*name) {
                    bind(&mut found, held, Code::EvidenceMissing);
                }
            }
            all.extend(found.into_iter().map(|it| it.attested));
        }
        let are_here = all.len() == names.len();
        let rejected = |it: &Attested| matches!(it.verdict, Verdict::Rejected(_));
        all.iter_mut().for_each(Attested::leave_open);
        let worst = all.iter().position(rejected);
        let worst = worst.or_else(|| all.iter().position(|it| it.verdict != Verdict::Accepted));
        let mut attested = match all.into_iter().nth(worst.unwrap_or_default()) {
            Some(attested) => attested,
            None => Attested::of(examined),
        };
        if attested.verdict == Verdict::Accepted && !are_here {
            let detail = "not all of its commits are here".to_owned();
            attested.refuse(Code::ObjectMissing, detail);
        }
        Ok(attested)
    }

    /// Judges what speaks of no commit. A record is as good as its chain, if that speaks of any.
    fn of_no_commit(&self, examined: &Examined) -> Result<Attested, StoreError> {
        let about = About {
            name: "",
            commits: Vec::new(),
            is_followed: false,
            depth: 0,
        };
        let mut attested = self.decide(examined, &about)?;
        attested.leave_open();
        let covers = match examined.whose() {
            Some(whose) => !self.chain(&whose)?.covering.is_empty(),
            None => false,
        };
        if attested.verdict == Verdict::Accepted && !covers {
            attested.refuse(Code::ObjectMissing, "it speaks of no commit".to_owned());
        }
        Ok(attested)
    }

    /// Finds a chain.
    fn chain(&self, whose: &Whose) -> Result<Arc<Judged>, StoreError> {
        if let Some(known) = lock(&self.chains).get(whose) {
            return Ok(Arc::clone(known));
        }
        let mut links = Vec::new();
        let (mut bases, mut ties) = (Vec::new(), Vec::new());
        let mut successions = HashMap::new();
        let mut covering: HashMap<_, Vec<_>> = HashMap::new();
        let kept = self.kept(Place::activity(&whose.activity))?;
        for record in kept.records(whose) {
            if let (Some(it), Some(digest)) = (record.activity(), &record.digest) {
                links.push(Link {
                    digest,
                    record: &it.chain,
                    is_named: it.workload == whose.by.identity,
                });
                bases.extend(&it.chain.base);
                ties.extend(&it.chain.commits);
                successions.extend(it.succeeds.iter().map(|it| (&it.from, &it.to)));
                for commit in &it.chain.commits {
                    let records = covering.entry(commit.clone()).or_default();
                    records.push(Arc::clone(record));
                }
            }
        }
        let chain = Chain::of(&links).map_err(|error| (error.code(), error.to_string()));
        // A history that was cut off may have held it.
        let is_shallow = self.store.is_shallow()?;
        let has_base = bases.is_empty() || is_shallow || {
            let mut base = bases.first().copied();
            for _ in 0..SUCCESSIONS_MAX {
                if base.is_some_and(|base| matches!(self.tree(base), Ok(Some(_)))) {
                    break;
                }
                base = base.and_then(|base| successions.get(base).copied());
            }
            match base {
                Some(base) => self.tree(base)?.is_some(),
                None => false,
            }
        };
        // One that began before the first commit, and covers none, is tied to nothing.
        let mut is_tied = ties.is_empty() || !bases.is_empty() && !is_shallow;
        for tie in ties.into_iter().chain(bases) {
            is_tied = is_tied || self.tree(tie)?.is_some();
        }
        let untied = match (has_base, is_tied) {
            (false, _) => Some("what it began from is not here"),
            (true, false) => Some("no commit that it covers is here"),
            (true, true) => None,
        };
        let head = chain.as_ref().ok().map(Chain::head);
        let is_failure =
            |it: &Arc<Examined>| matches!(&it.predicate, Some(Ok(said)) if said.fails());
        let fails = head.is_some_and(|head| kept.copies(head).any(is_failure));
        let judged = Arc::new(Judged {
            chain,
            untied,
            fails,
            covering,
        });
        lock(&self.chains).insert(whose.clone(), Arc::clone(&judged));
        Ok(judged)
    }

    /// Finds where the chain of an activity ends, as an identity signed it. Where nothing came since
    /// that was noted, its last record is judged, and else the whole chain.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read. The inner error is the chain's.
    pub fn tip(
        &self,
        activity: &str,
        identity: &str,
    ) -> Result<Result<Tip, (Code, String)>, StoreError> {
        let place = Place::activity(activity);
        if let Some(Noted { file, contents }) = self.store.noted(activity, identity)?
            && let Some(kept) = self.store.read_one(&place, &file)?
            && let Some((_, tip)) = self.examine(&kept).tip(activity, identity)
        {
            let contents = Some(contents);
            return Ok(Ok(Tip { contents, ..tip }));
        }
        let contents = self.store.contents(&place)?;
        let kept = self.kept(place)?;
        let records = kept.all.iter().filter_map(|it| it.tip(activity, identity));
        let records: Vec<_> = records.collect();
        // One that nobody started, where others say that they did start one of that name.
        let all = records.iter().map(|(whose, _)| whose);
        let Some(whose) = all.min_by_key(|whose| &whose.parent).cloned() else {
            let detail = "there is no record of it here".to_owned();
            return Ok(Err((Code::ChainPrefixMissing, detail)));
        };
        let judged = self.chain(&whose)?;
        Ok(judged.here(false).and_then(|chain| {
            let mut tips = records.into_iter().map(|(_, tip)| tip);
            let last = tips.find(|tip| tip.digest == chain.head());
            last.map(|tip| Tip { contents, ..tip })
                .ok_or_else(|| (Code::ChainTailMissing, String::new()))
        }))
    }

    /// Judges what is kept in a place, each bundle by itself.
    fn kept(&self, place: Place) -> Result<Arc<Shelved>, StoreError> {
        if let Some(known) = lock(&self.places).get(&place) {
            return Ok(Arc::clone(known));
        }
        let shelved = Arc::new(Shelved::of(self.every_copy(&place)?));
        lock(&self.places).insert(place, Arc::clone(&shelved));
        Ok(shelved)
    }

    /// Judges each bundle in a place; many of them on all cores.
    fn every_copy(&self, place: &Place) -> Result<Vec<Arc<Examined>>, StoreError> {
        let is_known = |file: &FileName, blob| {
            let id = (file.clone(), Some(blob));
            lock(&self.examined).contains_key(&id)
        };
        let mut all = Vec::new();
        self.store
            .read_in_parts(place, is_known, |part| match part.len() {
                0..FEW => all.extend(part.iter().map(|kept| self.examine(kept))),
                _ => all.par_extend(part.par_iter().map(|kept| self.examine(kept))),
            })?;
        all.sort_by(|one, other| one.file.cmp(&other.file));
        all.extend(self.beside.get(place).into_iter().flatten().cloned());
        Ok(all)
    }

    /// Judges what a bundle says by itself, once.
    fn examine(&self, kept: &Kept) -> Arc<Examined> {
        let id = (kept.name.clone(), kept.blob);
        if let Some(known) = lock(&self.examined).get(&id) {
            return Arc::clone(known);
        }
        let examined = Arc::new(Examined::of(kept, self.judge()));
        lock(&self.examined).insert(id, Arc::clone(&examined));
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
        // A record may cover no commit.
        if !about.name.is_empty() && !examined.names(about.name) {
            return Ok(Some((
                Code::SubjectMismatch,
                format!("it is not about {}", about.name),
            )));
        }
        let trees = statement.subjects().iter().filter(|it| {
            let commit = it.digest.get("gitCommit");
            commit.is_some_and(|commit| *commit == about.name)
        });
        let mut trees = trees.filter_map(|it| it.digest.get("gitTree"));
        let mut here = about.commits.iter().filter(|(id, _)| *id == about.name);
        if let Some((_, facts)) = here.next()
            && let Some(other) = trees.find(|tree| **tree != facts.tree)
        {
            let detail = format!("{} has another tree than {other}", about.name);
            return Ok(Some((Code::SubjectMismatch, detail)));
        }
        let predicate = match predicate {
            Ok(predicate) => predicate,
            Err(error @ PredicateError::Unknown(_)) => {
                return Ok(Some((Code::PredicateUnknown, error.to_string())));
            }
            Err(error) => return Ok(Some((Code::PredicateMalformed, error.to_string()))),
        };
        if let Some(refusal) = &examined.contradiction {
            return Ok(Some(refusal.clone()));
        }
        if let (Some(stated), Some(shown)) = (predicate.origins_hash(), &self.asked.origins)
            && Some(stated) != shown.digest().as_deref()
        {
            return Ok(Some((Code::OriginsMismatch, format!("it states {stated}"))));
        }
        Ok(match predicate {
            Predicate::Activity(activity) => {
                self.activity_refusal(activity, examined, about, attested)?
            }
            Predicate::Acceptance(acceptance) => {
                self.acceptance_refusal(acceptance, examined, about, attested)?
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
        examined: &Examined,
        about: &About<'_>,
        attested: &mut Attested,
    ) -> Result<Option<(Code, String)>, StoreError> {
        let id = &activity.activity.id;
        let Some(whose) = examined.whose() else {
            return Ok(Some((Code::AgentMismatch, String::new())));
        };
        let judged = self.chain(&whose)?;
        let chain = match judged.here(about.is_followed) {
            Ok(chain) => chain,
            Err(refusal) => return Ok(Some(refusal)),
        };
        attested.fails |= judged.fails;
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
        attested.footing = self.footing(examined, about.depth)?;
        match attested.footing {
            Footing::Firm(firm) => attested.fails |= firm.fails,
            Footing::Missing(_) | Footing::TooDeep => return Ok(attested.footing.refusal()),
        }
        if about.depth > 0 {
            return Ok(None);
        }
        if !chain.is_closed() && !self.asked.open {
            let detail = format!("{} records, and none closes it", chain.length());
            return Ok(Some((Code::ChainTailMissing, detail)));
        }
        attested.claimed = activity.claim.as_ref().map(|claim| claim.level);
        let carried = self.carried(&whose, chain)?;
        attested.derived = carried.level;
        attested.fails |= carried.fails;
        Ok(None)
    }

    /// Derives the level that a whole chain carries, and whether it ends with a failure, once.
    fn carried(&self, whose: &Whose, chain: &Chain) -> Result<Carried, StoreError> {
        if let Some(known) = lock(&self.levels).get(whose) {
            return Ok(*known);
        }
        let id = &*whose.activity;
        let kept = self.kept(Place::activity(id))?;
        let examined = kept.records(whose).filter(|it| {
            let digest = it.digest.as_deref().unwrap_or_default();
            chain.sequence(digest).is_some()
        });
        let mut records: Vec<_> = examined
            .filter_map(|it| Some((it.activity()?, it)))
            .collect();
        records.sort_by_key(|(record, _)| record.chain.sequence);
        records.dedup_by_key(|(record, _)| record.chain.sequence);
        let said: Vec<_> = records.iter().map(|(record, _)| *record).collect();
        let mut carried = Carried {
            level: derive(&said),
            fails: false,
        };
        for (_, examined) in records {
            match self.footing(examined, 0)? {
                Footing::Firm(firm) => carried.fails = firm.fails,
                Footing::Missing(_) | Footing::TooDeep => carried.level = Derived::UNFOUNDED,
            }
        }
        lock(&self.levels).insert(whose.clone(), carried);
        Ok(carried)
    }

    /// Finds what a statement rests on, once: that does not depend on which of its commits is asked about.
    fn footing(&self, examined: &Examined, depth: usize) -> Result<Footing, StoreError> {
        let known = lock(&self.footings).get(&examined.id).cloned();
        let footing = match known {
            Some(known) => known,
            None => {
                let found = self.look_below(examined, depth)?;
                // From elsewhere it may not be.
                if !matches!(found, Footing::TooDeep) {
                    lock(&self.footings).insert(examined.id.clone(), found.clone());
                }
                found
            }
        };
        Ok(match footing {
            Footing::Firm(firm) if depth + firm.height > EVIDENCE_DEPTH_MAX => Footing::TooDeep,
            footing => footing,
        })
    }

    /// Looks for what a statement rests on: each of it here, of its type and accepted, and so on with
    /// what that rests on. Whether its chain is closed yet is not asked. What the signer of a record
    /// stated themselves, and failed, is told.
    fn look_below(&self, examined: &Examined, depth: usize) -> Result<Footing, StoreError> {
        let (evidence, by, activity) = match &examined.predicate {
            Some(Ok(Predicate::Activity(it))) => {
                (&it.evidence, examined.judged(), Some(&*it.activity.id))
            }
            Some(Ok(Predicate::Acceptance(it))) => (&it.evidence, None, None),
            Some(_) | None => return Ok(Footing::Firm(Firm::default())),
        };
        let is_acceptance = activity.is_none();
        let wanted = evidence
            .iter()
            // What others answered is no evidence of the work: whoever accepts answers for themselves.
            .filter(|it| !(is_acceptance && is_answer(&it.predicate_type)))
            .map(|it| (&*it.digest, &*it.predicate_type))
            .collect();
        let commits = examined.commits().into_iter();
        self.look_for(wanted, commits, (by, activity), depth)
    }

    /// Tells whether an acceptance of a commit can rest on a statement.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn can_be_cited(&self, evidence: &Evidence, commit: &str) -> Result<bool, StoreError> {
        let wanted = BTreeSet::from([(&*evidence.digest, &*evidence.predicate_type)]);
        let footing = self.look_for(wanted, std::iter::once(commit), (None, None), 0)?;
        Ok(matches!(footing, Footing::Firm(_)))
    }

    /// Looks for statements, by digest and type, about some commits, and in an activity.
    fn look_for<'a>(
        &self,
        mut wanted: BTreeSet<(&str, &str)>,
        commits: impl Iterator<Item = &'a str>,
        (by, activity): (Option<Who>, Option<&'a str>),
        depth: usize,
    ) -> Result<Footing, StoreError> {
        if depth == EVIDENCE_DEPTH_MAX && !wanted.is_empty() {
            return Ok(Footing::TooDeep);
        }
        let mut firm = Firm::default();
        // A writer that was killed has put it under the tree, and not under the commit.
        let places = commits.flat_map(|id| [(Shelf::Commits, id), (Shelf::Trees, id)]);
        let activity = activity.map(|id| (Shelf::Activities, id));
        for (shelf, id) in places.chain(activity) {
            if wanted.is_empty() {
                break;
            }
            let place = match shelf {
                Shelf::Activities => Place::activity(id),
                Shelf::Commits => Place::commit(id),
                Shelf::Trees => match self.tree(id)? {
                    Some(tree) => Place::tree(&tree),
                    None => continue,
                },
            };
            let name = Some(id).filter(|_| shelf != Shelf::Activities);
            let kept = self.kept(place)?;
            let cited = wanted.iter().filter_map(|cited| {
                let copies = kept.by_digest.get(cited.0)?;
                Some((*cited, copies))
            });
            let cited: Vec<_> = cited.collect();
            if cited.is_empty() {
                continue;
            }
            let facts = name.map_or(Ok(None), |name| self.facts(name))?;
            for ((digest, predicate_type), copies) in cited {
                let copies = copies.iter();
                for found in copies.filter_map(|number| kept.all.get(*number)) {
                    if found.predicate_type.as_deref() != Some(predicate_type) {
                        continue;
                    }
                    let first = found.statement.iter();
                    let first = first.flat_map(|it| it.digests("gitCommit")).next();
                    // Of one in an activity, nothing is read yet.
                    let own = first.filter(|_| name.is_none());
                    let own = own.map_or(Ok(None), |first| self.facts(first))?;
                    let name = name.or(first).unwrap_or_default();
                    let facts = facts.iter().chain(&own);
                    let about = About {
                        name,
                        commits: facts.map(|facts| (name, facts)).collect(),
                        is_followed: false,
                        depth: depth + 1,
                    };
                    match self.cited(found, &about)? {
                        Footing::Firm(below) => {
                            firm.height = firm.height.max(below.height + 1);
                            if let (true, Some(by)) = (below.fails, &by) {
                                firm.fails |= self.is_stated_by(found, by)?;
                            }
                            wanted.remove(&(digest, predicate_type));
                        }
                        Footing::Missing(_) => {}
                        Footing::TooDeep => return Ok(Footing::TooDeep),
                    }
                }
            }
        }
        Ok(match wanted.first() {
            Some((digest, _)) => Footing::Missing((*digest).to_owned()),
            None => Footing::Firm(firm),
        })
    }

    /// Tells whether somebody signed a statement that is here, whoever signed this copy: theirs may be
    /// left in one place only of all that it belongs to.
    fn is_stated_by(&self, copy: &Examined, by: &Who) -> Result<bool, StoreError> {
        if copy.judged().as_ref() == Some(by) {
            return Ok(true);
        }
        let digest = copy.digest.as_deref().unwrap_or_default();
        for place in copy.statement.iter().flat_map(Place::of) {
            let kept = self.kept(place)?;
            let mut copies = kept.copies(digest);
            if copies.any(|it| it.judged().as_ref() == Some(by)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Judges a statement that another one rests on, once.
    fn cited(&self, examined: &Examined, about: &About<'_>) -> Result<Footing, StoreError> {
        let key = (examined.id.clone(), about.name.to_owned());
        let known = lock(&self.cited).get(&key).copied();
        let below = match known {
            Some(below) => below,
            None => {
                let judged = self.decide(examined, about)?;
                let below = match judged.footing {
                    // From elsewhere it may not be.
                    Footing::TooDeep => return Ok(Footing::TooDeep),
                    Footing::Firm(below) if judged.verdict == Verdict::Accepted => Some(Firm {
                        fails: judged.fails,
                        ..below
                    }),
                    Footing::Firm(_) | Footing::Missing(_) => None,
                };
                lock(&self.cited).insert(key, below);
                below
            }
        };
        Ok(match below {
            Some(below) if about.depth + below.height > EVIDENCE_DEPTH_MAX => Footing::TooDeep,
            Some(below) => Footing::Firm(below),
            None => Footing::Missing(String::new()),
        })
    }

    /// Nobody accepts their own work: neither what they signed, nor what they attested. Anybody
    /// may reject it.
    fn acceptance_refusal(
        &self,
        acceptance: &Acceptance,
        examined: &Examined,
        about: &About<'_>,
        attested: &mut Attested,
    ) -> Result<Option<(Code, String)>, StoreError> {
        if acceptance.decision == Decision::Rejected {
            let reason = acceptance.reason.clone();
            return Ok(Some((Code::AcceptanceRejected, reason.unwrap_or_default())));
        }
        let by = attested.by.as_ref();
        for (commit, facts) in &about.commits {
            let workers = self.workers(commit, facts)?;
            let mut own = workers
                .iter()
                .filter(|(worker, _)| by.is_some_and(|by| by.is(worker)));
            if let Some((_, detail)) = own.next() {
                return Ok(Some((Code::AcceptanceSelf, detail.clone())));
            }
        }
        attested.footing = self.footing(examined, about.depth)?;
        Ok(attested.footing.refusal())
    }

    /// Finds who worked on a commit, and from what that is seen, once: whoever signed it, or a statement
    /// about the work on it.
    fn workers(&self, commit: &str, facts: &CommitFacts) -> Result<Arc<Workers>, StoreError> {
        if let Some(known) = lock(&self.workers).get(commit) {
            return Ok(Arc::clone(known));
        }
        let signer = self.signature(commit, facts).signed_by();
        let mut workers: Vec<_> = signer
            .map(|by| (by, format!("they signed {commit}")))
            .into_iter()
            .collect();
        let kept = self.kept(Place::commit(commit))?;
        let named = kept.all.iter().filter(|it| it.names(commit));
        let mut all: Vec<_> = named.cloned().collect();
        self.complete(&mut all, commit)?;
        let same_tree = self.same_tree(facts, commit, &HashSet::new())?;
        all.extend(same_tree.into_iter().map(|it| it.examined));
        let mut seen = HashSet::new();
        // To verify is no work on the commit, either.
        for it in all
            .iter()
            .filter(|it| !it.is_answer() && it.judged().is_some())
        {
            let by = it.judgement.as_ref().and_then(Judgement::signed_by);
            if let Some(by) = by.filter(|by| seen.insert(by.clone())) {
                workers.push((by, format!("they signed {} too", it.file)));
            }
        }
        let workers = Arc::new(workers);
        lock(&self.workers).insert(commit.to_owned(), Arc::clone(&workers));
        Ok(workers)
    }

    /// Judges the signature of a commit by itself.
    fn signature(&self, commit: &str, facts: &CommitFacts) -> Judgement {
        let hash = match commit.len() {
            64 => HashKind::Sha256,
            _ => HashKind::Sha1,
        };
        let judge = self.judge();
        judge.judge_object(ObjectKind::Commit, &facts.raw, hash)
    }
}

/// A statement that was found, judged.
struct Found {
    examined: Arc<Examined>,
    attested: Attested,
    /// The heads of chains that the commits carry: the one asked about, and the one spoken of.
    trailers: Vec<Arc<[String]>>,
}

impl Found {
    fn heads(&self) -> impl Iterator<Item = &String> {
        self.trailers.iter().flat_map(|heads| heads.iter())
    }
}

/// What holds the heads that a commit carries.
struct Claims {
    all: Vec<Claim>,
    /// The records of those chains that are about commits whose place it took.
    before: Vec<Before>,
    /// Who signed those commits and those records, and how that is said: each once.
    workers: Workers,
}

impl Claims {
    fn add_worker(&mut self, signer: Option<SignedBy>, said: impl FnOnce() -> String) {
        if let Some(signer) = signer
            && !self.workers.iter().any(|(known, _)| *known == signer)
        {
            self.workers.push((signer, said()));
        }
    }

    fn has(&self, head: &str) -> bool {
        self.all.iter().any(|claim| holds(claim, head))
    }
}

/// Tells whether a chain holds a head before a record of it.
fn holds((judged, sequence): &Claim, head: &str) -> bool {
    // That they are of this repository was asked of what claims.
    let chain = judged.chain.as_ref().ok();
    let at = chain.and_then(|chain| chain.named(head));
    at.is_some_and(|at| at < *sequence)
}

/// A record about a commit whose place another one took.
struct Before {
    examined: Arc<Examined>,
    name: String,
}

/// A statement that was found by a tree.
struct Twin {
    examined: Arc<Examined>,
    /// The commit that it speaks of.
    name: String,
    /// That commit, when it is another than the one asked about, and here.
    named: Option<Arc<CommitFacts>>,
}

/// What a statement is judged about.
struct About<'a> {
    /// The commit that it is to speak of.
    name: &'a str,
    /// The commits that are asked about and spoken of, as far as they are here.
    commits: Vec<(&'a str, &'a CommitFacts)>,
    /// Whether its signer says what took the place of that commit, which is asked about.
    is_followed: bool,
    /// How many others rest on it, one on the other.
    depth: usize,
}

impl Examined {
    fn of(kept: &Kept, judge: &Judge<'_>) -> Self {
        let mut examined = Self {
            id: (kept.name.clone(), kept.blob),
            file: kept.name.clone(),
            digest: None,
            predicate_type: None,
            statement: None,
            predicate: None,
            judgement: None,
            refusal: None,
            contradiction: None,
        };
        // What is kept nowhere was named a moment ago.
        if kept.blob.is_some() && FileName::of(&kept.content) != kept.name {
            let detail = "its content has another name, is too long, or cannot be read".to_owned();
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
        let (envelope, certificates, time_stamps) = bundle.into_parts();
        let statement = match envelope.payload_type() {
            PAYLOAD_TYPE => Statement::parse(envelope.payload()).map_err(|it| it.to_string()),
            other => Err(format!("its payload type is `{other}`")),
        };
        let predicate = statement.as_ref().ok().map(Predicate::read);
        let stated_at = predicate
            .as_ref()
            .and_then(|it| it.as_ref().ok()?.stated_at());
        // The signature first: what nobody signed is not worth a word on what it says.
        let judgement = judge.judge_envelope(&envelope, certificates, time_stamps, stated_at);
        match statement {
            Ok(statement) => {
                examined.predicate_type = Some(statement.predicate_type().to_owned());
                if judgement.identity().is_some() {
                    let judged = (&judgement, predicate.as_ref());
                    let skew = judge.policy().skew_seconds().into();
                    examined.contradiction = contradiction(judged, envelope.payload(), skew);
                    examined.statement = Some(statement);
                    examined.predicate = predicate;
                }
            }
            Err(error) => examined.refusal = Some((Code::StatementMalformed, error)),
        }
        examined.judgement = Some(judgement);
        examined
    }

    /// Returns who signed, when the envelope was accepted.
    fn judged(&self) -> Option<Who> {
        let judgement = self.judgement.as_ref()?;
        let is_accepted = judgement.verdict() == Verdict::Accepted && self.refusal.is_none();
        Who::of(judgement).filter(|_| is_accepted)
    }

    /// Returns the commits that it speaks of, each once.
    fn commits(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        let named = self.statement.iter();
        let named = named.flat_map(|it| it.digests("gitCommit"));
        named.filter(|name| seen.insert(*name)).collect()
    }

    /// Tells whether a commit is among those that it speaks of.
    fn names(&self, commit: &str) -> bool {
        let statement = self.statement.as_ref();
        statement.is_some_and(|it| it.speaks_of("gitCommit", commit))
    }

    /// Tells whether it answers to the work on a commit, and is none.
    fn is_answer(&self) -> bool {
        self.predicate_type.as_deref().is_some_and(is_answer)
    }

    /// Tells whether it says that a commit is not accepted.
    fn rejects(&self) -> bool {
        matches!(
            &self.predicate,
            Some(Ok(Predicate::Acceptance(it))) if it.decision == Decision::Rejected
        )
    }

    /// Tells whether it goes along when its signer says that another commit took the place.
    fn is_carried_by(&self, who: &Who) -> bool {
        !self.is_answer() && self.judged().as_ref() == Some(who)
    }

    /// Returns whose chain it is a record of: that of its signer, unless it contradicts itself.
    fn whose(&self) -> Option<Whose> {
        let (record, by) = (self.activity()?, self.judged()?);
        if self.contradiction.is_some() {
            return None;
        }
        Some(Whose {
            activity: record.activity.id.clone(),
            by,
            parent: record.activity.parent.clone(),
        })
    }

    /// Returns it as the last record of a chain of an activity, if it is one of that identity's.
    fn tip(&self, activity: &str, identity: &str) -> Option<(Whose, Tip)> {
        let (record, whose) = (self.activity()?, self.whose()?);
        let is_meant = whose.activity == activity && whose.by.identity == identity;
        let tip = is_meant.then(|| Tip {
            sequence: record.chain.sequence,
            digest: self.digest.clone().unwrap_or_default(),
            segment: record.activity.segment,
            lifecycle: record.lifecycle,
            parent: whose.parent.clone(),
            contents: None,
        })?;
        Some((whose, tip))
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
        let predicate = examined.predicate.as_ref().and_then(|it| it.as_ref().ok());
        let mut attested = Self {
            file: examined.file.clone(),
            verdict: judgement.map_or(Verdict::Accepted, Judgement::verdict),
            detail: judgement.and_then(|it| it.detail()).map(str::to_owned),
            digest: examined.digest.clone(),
            predicate_type: examined.predicate_type.clone(),
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
            origins_hash: predicate
                .and_then(Predicate::origins_hash)
                .map(str::to_owned),
            decision: match &examined.predicate {
                Some(Ok(Predicate::Acceptance(acceptance))) => Some(acceptance.decision),
                Some(_) | None => None,
            },
            lifecycle: activity.map(|it| it.lifecycle),
            termination: activity.and_then(|it| it.termination),
            outcome: predicate.and_then(Predicate::outcome),
            result: predicate.and_then(Predicate::verification),
            fails: predicate.is_some_and(Predicate::fails),
            is_beside: false,
            footing: Footing::Firm(Firm::default()),
        };
        if let (Verdict::Accepted, Some((code, detail))) = (attested.verdict, &examined.refusal) {
            attested.refuse(*code, detail.clone());
        }
        attested
    }

    /// Of one that is not kept, takes back what only others could show: whether they are gone, or just
    /// not with it, is not known.
    fn leave_open(&mut self) {
        if let Some(Code::ChainPrefixMissing | Code::ChainLinkMissing) = self.verdict.code() {
            self.verdict = Verdict::of(Code::EvidenceMissing);
        }
    }

    /// Returns it as what somebody who accepts the commit can have looked at: answers are no evidence of
    /// the work.
    pub fn as_evidence(&self) -> Option<Evidence> {
        let predicate_type = self.predicate_type.clone();
        Some(Evidence {
            predicate_type: predicate_type.filter(|it| !is_answer(it))?,
            digest: self.digest.clone()?,
        })
    }

    /// Tells whether somebody trusted states that the commit is not accepted.
    fn rejects(&self) -> bool {
        self.verdict.code() == Some(Code::AcceptanceRejected)
    }

    /// Tells whether its signer, or when they signed, is what is wrong. Strangers can state anything, and
    /// whoever has an old key, or one for something else, can do so too.
    fn is_signer_refused(&self) -> bool {
        matches!(
            self.verdict.code(),
            Some(
                Code::SignerUntrusted
                    | Code::RootRetired
                    | Code::RootNotYetUsed
                    | Code::CertificateUnknownCritical
                    | Code::CertificateInvalid
                    | Code::IdentityMissing
                    | Code::ScopeMissing
                    | Code::IssuanceMismatch
                    | Code::TimestampInvalid
                    | Code::LogEntryInvalid
                    | Code::TimeBasisTooWeak
                    | Code::CertificateExpired
                    | Code::CertificateNotYetValid
                    | Code::Revoked
                    | Code::NotAuthorised
                    | Code::TermsRepository
                    | Code::TermsRef
                    | Code::TermsPath
            )
        )
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
            result: attested.result.map(VerificationResult::as_str),
        }
    }
}

/// Finds what is wrong with a statement whatever it is about: that it lists origins in the open, tells
/// of another day than it was signed on, or names somebody else as who signs it.
fn contradiction(
    (judgement, predicate): (&Judgement, Option<&Result<Predicate, PredicateError>>),
    payload: &[u8],
    skew: u64,
) -> Option<(Code, String)> {
    if is_disclosed_in(payload) {
        return Some((Code::OriginsDisclosed, String::new()));
    }
    let predicate = predicate?.as_ref().ok()?;
    let at_most = match predicate {
        Predicate::Activity(_) | Predicate::Acceptance(_) | Predicate::Summary(_) => Some(DAY),
        // Whoever says when something was there says it then.
        Predicate::Receive(_) => Some(skew),
        Predicate::Dispatch(_) | Predicate::Handoff(_) => None,
    };
    if let Some(refusal) = at_most.and_then(|at_most| apart(judgement, predicate, at_most)) {
        return Some(refusal);
    }
    let identity = judgement.identity();
    let named = match predicate {
        Predicate::Activity(activity) if activity.workload != UNKNOWN => &activity.workload,
        Predicate::Summary(summary) => &summary.verifier.id,
        _ => return None,
    };
    let is_other = Some(&**named) != identity;
    is_other.then(|| (Code::AgentMismatch, format!("it names {named}")))
}

/// Refuses a statement that tells of another time than it was signed at, in seconds.
fn apart(judgement: &Judgement, predicate: &Predicate, at_most: u64) -> Option<(Code, String)> {
    let (stated, judged) = (predicate.stated_at()?, judgement.judged_at()?);
    let is_apart = stated.secs().abs_diff(judged.secs()) > at_most;
    let detail = || format!("it says {stated}, and was signed at {judged}");
    is_apart.then(|| (Code::PredicateMalformed, detail()))
}

/// Refuses statements about a commit that carries the head of a chain which is not here: with the
/// chain, what it says of the commit was taken away; or, of a bundle that is alone, may have been. Who
/// worked on what it took over cannot accept it.
fn bind(all: &mut [Found], held: &Claims, code: Code) {
    // All that is attested of one commit carries the same.
    let mut strays = HashMap::new();
    let accepted = all.iter_mut();
    for found in accepted.filter(|it| it.attested.verdict == Verdict::Accepted) {
        let stray = strays
            .entry(found.attested.attested_as.clone())
            .or_insert_with(|| {
                let stray = found.heads().find(|head| !held.has(head));
                stray.cloned()
            });
        if let Some(stray) = stray {
            let detail = format!("it carries {stray}, which no chain about it holds");
            found.attested.refuse(code, detail);
            continue;
        }
        let attested = &mut found.attested;
        if let Some(by) = attested.by.as_ref().filter(|_| attested.accepts)
            && let Some((_, said)) = held.workers.iter().find(|(worker, _)| by.is(worker))
        {
            attested.refuse(Code::AcceptanceSelf, said.clone());
        }
    }
}

/// Gives what an accepted record cites its level, if its signer stated that too, and of the same commit:
/// it is part of what the level was derived from. So does a record that fails: what it cites fails with
/// it, whatever other records say.
fn hand_down(all: &mut [Found]) {
    let mut handed: HashMap<_, (Option<Derived>, bool)> = HashMap::new();
    for Found {
        examined, attested, ..
    } in &*all
    {
        let cited = examined.activity();
        let cited = cited.filter(|_| attested.verdict == Verdict::Accepted);
        for evidence in cited.iter().flat_map(|it| &it.evidence) {
            let cited = (
                Some(evidence.digest.clone()),
                Some(evidence.predicate_type.clone()),
                examined.judged(),
                attested.attested_as.clone(),
            );
            let (level, fails) = handed.entry(cited).or_default();
            let derived = attested.derived;
            *level = derived.level.map(|_| derived).or(*level);
            *fails |= attested.fails;
        }
    }
    for Found {
        examined, attested, ..
    } in all
    {
        let cited = (
            attested.digest.clone(),
            attested.predicate_type.clone(),
            examined.judged(),
            attested.attested_as.clone(),
        );
        if let (Verdict::Accepted, None, Some((level, fails))) =
            (attested.verdict, attested.derived.level, handed.get(&cited))
        {
            attested.derived = level.unwrap_or(attested.derived);
            attested.fails |= fails;
        }
    }
}

/// Leaves one of several copies of a statement by somebody known, which differ in how they are carried
/// only: one that rejects, else one that is accepted, and the one whose time rests on most, or is the
/// earliest. Anybody can make another copy, so that none takes a rejection back.
fn tell_once(all: &mut Vec<Attested>) {
    let same = |it: &Attested| {
        let by = it.by.as_ref()?;
        let of = (
            it.digest.clone()?,
            by.identity.clone(),
            by.authority.clone(),
        );
        Some((of, it.attested_as.clone()))
    };
    let worth = |it: &Attested| {
        let is_accepted = it.verdict == Verdict::Accepted;
        let at = Reverse(it.judged_at.clone());
        (it.rejects(), is_accepted, it.time_basis, at)
    };
    keep_best(all, same, worth);
}

/// Leaves the best of those that are the same, the first of several; and all that are like nothing.
fn keep_best<T, S: Eq + Hash, W: Ord>(
    all: &mut Vec<T>,
    same: impl Fn(&T) -> Option<S>,
    worth: impl Fn(&T) -> W,
) {
    let mut best: HashMap<S, usize> = HashMap::new();
    for (number, it) in all.iter().enumerate() {
        if let Some(same) = same(it) {
            let known = best.entry(same).or_insert(number);
            if all
                .get(*known)
                .is_some_and(|known| worth(it) > worth(known))
            {
                *known = number;
            }
        }
    }
    let mut numbers = 0..;
    all.retain(|it| {
        let number = numbers.next();
        same(it).is_none_or(|same| best.get(&same) == number.as_ref())
    });
}

/// Returns the statements that count for a commit: its own, and where it has none, those that it
/// took over. That somebody rejected its tree counts anyhow. What those state whom the trust or the policy
/// refuses never does, as anybody can make a key, and a statement with it; nor what somebody put with a commit that it does
/// not speak of, or says of one that is not here. That a repository received it says nothing about the
/// work on it.
pub fn counted(all: &[Attested]) -> impl Iterator<Item = &Attested> {
    let counts = |it: &&Attested| {
        !it.is_signer_refused() && it.predicate_type.as_deref() != Some(RECEIVE) && !it.is_beside
    };
    let has_own = all.iter().filter(counts).any(|it| it.attested_as.is_none());
    all.iter().filter(counts).filter(move |it| {
        let is_own = it.attested_as.is_none();
        is_own || !has_own || it.rejects()
    })
}

/// Returns the best level among accepted statements that count.
pub fn level(all: &[Attested]) -> Option<Level> {
    let accepted = counted(all).filter(|it| it.verdict == Verdict::Accepted);
    accepted.filter_map(|it| it.derived.level).max()
}

/// Takes what is malformed for what is missing.
fn readable<T>(read: Result<Option<T>, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Err(StoreError::Commit(..) | StoreError::TooLarge(_)) => Ok(None),
        read => read,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
