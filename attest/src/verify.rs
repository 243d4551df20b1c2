//! What the statements about a commit are worth.
//!
//! In this order, and the first that fails decides: the bundle, its signature and certificate, the
//! authority behind it and the time (all of these by the verifier, as for a commit), the subject,
//! the predicate, what it rests on, its chain. Then the level is derived.

mod attested;
mod claims;
mod examined;
mod footing;
mod memo;
mod passing;
mod shelved;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use notme_core::{
    key::KeyId,
    object::{HashKind, ObjectKind},
    statement::Statement,
};
use notme_verifier::{
    Code, Judge, Judgement, Verdict,
    stated::{SignedBy, Stated},
};
use rayon::iter::{IntoParallelRefIterator as _, ParallelExtend as _, ParallelIterator as _};

use self::{
    attested::tell_once,
    claims::{Claims, JudgedChain, Line, bind, follow},
    examined::{BundleId, Examined, Who, Whose},
    footing::{Firm, Footing},
    memo::Memo,
    passing::{hand_down, take_over},
    shelved::Shelved,
};
pub use self::{
    attested::{Attested, RecordPlace, Summed, counted, level},
    examined::Tip,
};
use crate::{
    chain::{Chain, Link},
    level::{Derived, derive},
    origins::OriginSet,
    predicate::{Acceptance, Activity, Decision, Level, Predicate, PredicateError},
    store::{CommitFacts, FileName, Kept, Noted, Place, Store, StoreError},
};

/// How often a commit may have taken the place of another, as one signer says: a branch may be rebased each
/// day, or squashed.
const SUCCESSIONS_MAX: usize = 256;

/// Of how many parents a commit may take over what is stated about its tree.
const PARENTS_MAX: usize = 64;

/// So many bundles are judged sooner by one thread than others are started.
const FEW: usize = 16;

/// What the reader asks beside the policy.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Take activities whose chain is not closed.
    pub open: bool,
    /// The origins that somebody showed.
    pub origins: Option<OriginSet>,
}

/// What a chain goes on from, of what shows no time: anybody with an old key of its signer can make such.
#[derive(Clone, Copy, Debug, Default)]
pub struct GoesOn<'a> {
    /// What the key added that signs now.
    pub by: Option<KeyId>,
    /// A record (`sha256:<hex>`) that somebody knows to be theirs, and what that goes on from.
    pub after: Option<&'a str>,
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

/// Who worked on a commit, and from what that is seen.
type Workers = Vec<(SignedBy, String)>;

/// What a whole chain carries.
#[derive(Clone, Copy, Debug)]
struct Carried {
    level: Derived,
    /// Whether its last record rests on what its own signer says failed.
    fails: bool,
}

/// A chain, and what its end is; or why it is none.
type End = Result<(Option<Arc<JudgedChain>>, Vec<Arc<Examined>>), (Code, String)>;

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
    examined: Memo<BundleId, Arc<Examined>>,
    /// Bundles that are judged as if they were kept.
    beside: HashMap<Place, Vec<Arc<Examined>>>,
    /// What was read of each place, so that it is read once.
    places: Memo<Place, Arc<Shelved>>,
    chains: Memo<Whose, Arc<JudgedChain>>,
    levels: Memo<Whose, Carried>,
    /// What each statement rests on, all of which is there or not, whoever asks.
    footings: Memo<BundleId, Footing>,
    /// How firm what others rest on is itself, if it is accepted; by its file and the commit that it
    /// is about.
    cited: Memo<(BundleId, String), Option<Firm>>,
    /// The trees of commits that others name.
    trees: Memo<String, Option<String>>,
    /// Who worked on each commit that somebody accepts.
    workers: Memo<String, Arc<Workers>>,
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
            store: store.with_view(),
            judge,
            asked,
            examined: Memo::default(),
            beside: HashMap::new(),
            places: Memo::default(),
            chains: Memo::default(),
            levels: Memo::default(),
            footings: Memo::default(),
            cited: Memo::default(),
            trees: Memo::default(),
            workers: Memo::default(),
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
                accepts: it.accepts(),
                fails: it.fails,
                predicate_type: it.predicate_type?,
                level: it.derived.level.map(Level::as_str),
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
        let (mut seen, mut told) = (HashSet::new(), HashSet::new());
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
                seen.insert(examined.id.clone());
                // It may speak of several in the line.
                if !told.insert((examined.id.clone(), name.clone())) {
                    continue;
                }
                let about = (&*name, by.is_some());
                let found = self.find(examined, about, (commit, &facts), named.as_ref())?;
                if found.attested.verdict == Verdict::Accepted {
                    let took = (&*name, &*found.examined);
                    follow(&mut names, took, |_| true);
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
            told.insert((examined.id.clone(), name.clone()));
            let is_here = name == commit || named.is_some();
            let about = (&*name, false);
            let mut found = self.find(examined, about, (commit, &facts), named.as_deref())?;
            // Of what it is worth there, nothing can be said here, be it good or bad. That the tree was
            // rejected goes for all who have it.
            if !is_here && found.examined.signer().is_some() && !found.attested.rejects() {
                let detail = format!("{name}, which it speaks of");
                found.attested.refuse(Code::ObjectMissing, detail);
                found.attested.is_beside = true;
            }
            all.push(found);
        }
        if all.iter().any(|found| found.heads().next().is_some()) {
            let claims = self.claims(&mut all, &facts.trailers)?;
            let mut held = self.claims_of_line(commit, &facts.trailers, claims)?;
            for it in &held.before {
                // It may speak of several that were squashed.
                if !told.insert((it.examined.id.clone(), it.name.clone())) {
                    continue;
                }
                let named = self.other(&it.name, commit)?;
                let (examined, about) = (Arc::clone(&it.examined), (&*it.name, true));
                let mut found = self.find(examined, about, (commit, &facts), named.as_ref())?;
                found.is_held = true;
                all.push(found);
            }
            // What is of the same tree may carry heads that it has not, and have taken a place itself.
            for it in &all {
                if let (Some(name), [_, theirs]) = (&it.attested.attested_as, &it.trailers[..])
                    && !held.by_others.contains_key(name)
                {
                    let claims = self.claims_of_line(name, theirs, Vec::new())?;
                    held.by_others.insert(name.clone(), claims);
                }
            }
            bind(&mut all, &held, Code::ChainTrailer);
        }
        take_over(&mut all, commit);
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
        self.trees.once(id, || readable(self.store.tree(id)))
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
        let carries = attested.derived.level;
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
            carries,
            is_held: false,
            trailers,
        })
    }

    /// Judges what is stated about many commits, on all cores.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn of_all(&self, commits: &[String]) -> Result<Vec<Vec<Attested>>, StoreError> {
        match commits {
            // Threads would take longer to start than this takes.
            [only] => Ok(vec![self.of(only)?]),
            _ => {
                self.examine_ahead(commits)?;
                commits.par_iter().map(|commit| self.of(commit)).collect()
            }
        }
    }

    /// Examines what many commits ask for, with the chains that they are in, each bundle once: all who came
    /// upon a long chain at the same time would examine the whole of it.
    fn examine_ahead(&self, commits: &[String]) -> Result<(), StoreError> {
        let seen = Mutex::new(HashSet::new());
        let is_seen = |file: &FileName, blob| {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            !seen.insert((file.clone(), blob))
        };
        let ahead = |commit: &String| {
            let mut activities = Vec::new();
            let place = Place::commit(commit);
            self.store.read_in_parts(&place, is_seen, |part| {
                let new = part.iter().filter(|kept| !kept.content.is_empty());
                let examined = new.map(|kept| self.examine(kept));
                activities
                    .extend(examined.filter_map(|it| Some(it.activity()?.activity.id.clone())));
            })?;
            Ok(activities)
        };
        let activities: Result<Vec<Vec<_>>, StoreError> = commits.par_iter().map(ahead).collect();
        let activities: BTreeSet<_> = activities?.into_iter().flatten().collect();
        for activity in activities {
            self.kept(Place::activity(&activity))?;
        }
        Ok(())
    }

    /// Finds the statements about commits whose signature a test finds something about, whatever
    /// they say; each with every commit that it is kept with.
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
        Ok(all?.into_iter().flatten().collect())
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
                    let own = self.claims(&mut beside?, &facts.trailers)?;
                    let held = self.claims_of_line(name, &facts.trailers, own)?;
                    claims.insert((*name).to_owned(), held);
                }
                if let Some(held) = claims.get(*name) {
                    bind(&mut found, held, Code::EvidenceMissing);
                }
            }
            take_over(&mut found, name);
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

    /// Returns what a commit took the place of, as somebody trusted says.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn predecessors(&self, commit: &str) -> Result<HashSet<String>, StoreError> {
        let kept = self.kept(Place::commit(commit))?;
        let records = kept.all.iter().filter(|it| it.whose().is_some());
        let succeeds = records
            .flat_map(|it| it.activity())
            .flat_map(|it| &it.succeeds);
        let theirs = succeeds.filter(|it| it.to == commit);
        Ok(theirs.map(|it| it.from.clone()).collect())
    }

    /// Tells whether nothing shows the time of what an identity signed as records of an activity, from the
    /// opening one on.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn is_untimed(&self, activity: &str, identity: &str) -> Result<bool, StoreError> {
        let kept = self.kept(Place::activity(activity))?;
        let opens = |it: &Arc<Examined>| {
            let is_meant =
                |whose: Whose| whose.activity == activity && whose.by.identity == identity;
            it.previous().is_none() && it.whose_untimed().is_some_and(is_meant)
        };
        Ok(self.records(activity, identity)?.is_empty() && kept.all.iter().any(opens))
    }

    /// Finds a chain, once.
    fn chain(&self, whose: &Whose) -> Result<Arc<JudgedChain>, StoreError> {
        self.chains
            .once(whose, || Ok(Arc::new(self.judge_chain(whose)?)))
    }

    fn judge_chain(&self, whose: &Whose) -> Result<JudgedChain, StoreError> {
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
        Ok(JudgedChain {
            chain,
            untied,
            fails,
            covering,
        })
    }

    /// Finds where the chain of an activity ends, as an identity signed it. Where nothing came since
    /// that was noted, its last record is judged, and else the whole chain. While the authority is away,
    /// what is added shows no time.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read. The inner error is the chain's.
    pub fn tip(
        &self,
        activity: &str,
        identity: &str,
        goes_on: GoesOn<'_>,
    ) -> Result<Result<Tip, (Code, String)>, StoreError> {
        let place = Place::activity(activity);
        if goes_on.after.is_none()
            && let Some(Noted { file, contents }) = self.store.noted(activity, identity)?
            && let Some(kept) = self.store.read_one(&place, &file)?
            && let Some((_, tip)) = self.examine(&kept).tip(activity, identity)
        {
            let contents = Some(contents);
            return Ok(Ok(Tip { contents, ..tip }));
        }
        let contents = self.store.contents(&place)?;
        let (_, since) = match self.end(activity, identity, goes_on)? {
            Ok(end) => end,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let tip = since.last().and_then(|it| it.as_tip());
        if let (Some(tip), Some(after)) = (&tip, goes_on.after) {
            let kept = self.kept(place)?;
            if !kept.back_from(Some(&tip.digest)).any(|it| it == after) {
                let detail = format!("{after} is no record of it that goes on from its last one");
                return Ok(Err((Code::ChainLinkMissing, detail)));
            }
        }
        let tip = tip.map(|tip| Tip { contents, ..tip });
        Ok(tip.ok_or_else(|| {
            let detail = "there is no record of it here".to_owned();
            (Code::ChainPrefixMissing, detail)
        }))
    }

    /// Returns the commits that the chain of an activity covers, as an identity signed it, and what it goes on
    /// from, each with whether anything shows the time of a record of it: what others say to
    /// be records of it counts for nothing, and neither do records that are no chain.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn covered(
        &self,
        activity: &str,
        identity: &str,
        goes_on: GoesOn<'_>,
    ) -> Result<HashMap<String, bool>, StoreError> {
        let Ok((judged, since)) = self.end(activity, identity, goes_on)? else {
            return Ok(HashMap::new());
        };
        let since = since.iter().flat_map(|it| it.commits());
        let mut covered: HashMap<_, _> = since.map(|id| (id.to_owned(), false)).collect();
        for (commit, records) in judged.iter().flat_map(|it| &it.covering) {
            let is_timed = records.iter().any(|it| it.whose().is_some());
            covered.insert(commit.clone(), is_timed);
        }
        Ok(covered)
    }

    /// Finds the chain of an activity, as an identity signed it, if there is any; and its last record, with
    /// what it goes on from after that.
    fn end(&self, activity: &str, identity: &str, goes_on: GoesOn<'_>) -> Result<End, StoreError> {
        let kept = self.kept(Place::activity(activity))?;
        let records = self.records(activity, identity)?;
        let Some(whose) = own_chain(&records) else {
            let is_meant = |it: &Whose| it.activity == activity && it.by.identity == identity;
            return Ok(Ok((None, kept.since(None, is_meant, goes_on))));
        };
        let judged = self.chain(whose)?;
        let head = match judged.here(false) {
            Ok(chain) => chain.head(),
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut records = kept.records(whose);
        let last = records.find(|it| it.digest.as_deref() == Some(head));
        let since = kept.since(last, |it| it == whose, goes_on);
        Ok(Ok((Some(judged), since)))
    }

    /// Returns the records of an activity that are an identity's, each as if it were the last one.
    fn records(&self, activity: &str, identity: &str) -> Result<Vec<(Whose, Tip)>, StoreError> {
        let kept = self.kept(Place::activity(activity))?;
        let records = kept.all.iter();
        Ok(records
            .filter_map(|it| it.tip(activity, identity))
            .collect())
    }

    /// Judges what is kept in a place, each bundle by itself.
    fn kept(&self, place: Place) -> Result<Arc<Shelved>, StoreError> {
        let shelve = || Ok(Arc::new(Shelved::of(self.every_copy(&place)?)));
        self.places.once(&place, shelve)
    }

    /// Judges each bundle in a place; many of them on all cores.
    fn every_copy(&self, place: &Place) -> Result<Vec<Arc<Examined>>, StoreError> {
        let is_known = |file: &FileName, blob| {
            let id = (file.clone(), Some(blob));
            self.examined.get(&id).is_some()
        };
        let mut all = Vec::new();
        self.store
            .read_in_parts(place, is_known, |part| match part.len() {
                0..FEW => all.extend(part.iter().map(|kept| self.examine(kept))),
                _ => all.par_extend(part.par_iter().map(|kept| self.examine(kept))),
            })?;
        all.sort_by(|one, other| one.file().cmp(other.file()));
        all.extend(self.beside.get(place).into_iter().flatten().cloned());
        Ok(all)
    }

    /// Judges what a bundle says by itself, once.
    fn examine(&self, kept: &Kept) -> Arc<Examined> {
        let id = (kept.name.clone(), kept.blob);
        let examine = || Ok::<_, Infallible>(Arc::new(Examined::of(kept, self.judge())));
        let Ok(examined) = self.examined.once(&id, examine);
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
        self.levels.once(whose, || self.sum_up(whose, chain))
    }

    fn sum_up(&self, whose: &Whose, chain: &Chain) -> Result<Carried, StoreError> {
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
        Ok(carried)
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
    /// about the work on it; and so on with what it took the place of, as whoever signed it says.
    fn workers(&self, commit: &str, facts: &CommitFacts) -> Result<Arc<Workers>, StoreError> {
        let find = || Ok(Arc::new(self.find_workers(commit, facts)?));
        self.workers.once(commit, find)
    }

    fn find_workers(&self, commit: &str, facts: &CommitFacts) -> Result<Workers, StoreError> {
        let mut workers = Workers::new();
        let mut add = |by: Option<SignedBy>, said: &dyn Fn() -> String| {
            if let Some(by) = by
                && !workers.iter().any(|(known, _)| *known == by)
            {
                workers.push((by, said()));
            }
        };
        let mut line = Line::from([(commit.to_owned(), None)]);
        let mut next = 0;
        while let Some((name, by)) = line.get(next).cloned() {
            next += 1;
            let other = self.other(&name, commit)?;
            let facts = Some(facts).filter(|_| name == commit).or(other.as_ref());
            let signature = facts.map(|facts| self.signature(&name, facts));
            let signer = match &signature {
                Some(signature) => Who::of(signature),
                None => by,
            };
            let signed_by = signature.as_ref().and_then(Judgement::signed_by);
            add(signed_by, &|| format!("they signed {name}"));
            let kept = self.kept(Place::commit(&name))?;
            let named = kept.all.iter().filter(|it| it.names(&name));
            let mut all: Vec<_> = named.cloned().collect();
            self.complete(&mut all, &name)?;
            for it in all.iter().filter(|_| signer.is_some()) {
                if it.signer() == signer {
                    follow(&mut line, (&name, it), |_| true);
                }
            }
            if let Some(facts) = facts {
                let same_tree = self.same_tree(facts, &name, &HashSet::new())?;
                all.extend(same_tree.into_iter().map(|it| it.examined));
            }
            // To verify is no work on the commit, either.
            let work = |it: &&Arc<Examined>| !it.is_answer() && it.signer().is_some();
            for it in all.iter().filter(work) {
                let by = it.judgement.as_deref().and_then(Judgement::signed_by);
                add(by, &|| format!("they signed {} about {name}", it.file()));
            }
        }
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
    /// The level that it has where the commit that it speaks of is seen.
    carries: Option<Level>,
    /// Whether its chain holds a head that the commit asked about carries, or what that took the place of.
    is_held: bool,
    /// The heads of chains that the commits carry: the one asked about, and the one spoken of.
    trailers: Vec<Arc<[String]>>,
}

/// Returns whose chain is meant: one that nobody started, where others say that they did start one of
/// that name.
fn own_chain(records: &[(Whose, Tip)]) -> Option<&Whose> {
    let all = records.iter().map(|(whose, _)| whose);
    all.min_by_key(|whose| &whose.parent)
}

impl Found {
    /// Returns the record of an activity that it is, if that was accepted.
    fn activity(&self) -> Option<&Activity> {
        let is_accepted = self.attested.verdict == Verdict::Accepted;
        self.examined.activity().filter(|_| is_accepted)
    }

    fn heads(&self) -> impl Iterator<Item = &String> {
        self.trailers.iter().flat_map(|heads| heads.iter())
    }
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

/// Takes what is malformed for what is missing.
fn readable<T>(read: Result<Option<T>, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Err(StoreError::Commit(..) | StoreError::TooLarge(_)) => Ok(None),
        read => read,
    }
}
