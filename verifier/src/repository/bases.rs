//! The best common ancestors of two commits: those that `git merge-base --all` finds.
//!
//! Of a commit only its parents count, and of these the ones that a [`Kinship`] has: what was not
//! accepted connects nothing. Its date says in which order to look, and nothing more: neither a date
//! that lies nor one that nobody can read hides an ancestor. Where the parents of a commit are not
//! known, be it that it is missing, that it cannot be read, that a shallow clone ends there or that it
//! is undecided whether one of them counts, what it may have in common with the other side is not
//! known either. That is never taken for nothing.

use std::{
    cell::RefCell,
    collections::{BinaryHeap, HashMap, HashSet, hash_map},
    rc::Rc,
};

use gix::{ObjectId, objs::CommitRefIter};
use notme_core::{object::ObjectKind, time::UnixTime};

use super::{
    objects::Objects,
    trunks::{Place, Trunks},
    walk::Content,
};

/// Who says which parents a commit goes on from.
pub(crate) trait Kinship {
    /// Returns those of a commit's parents that count; `None` when that is not known.
    fn counting(&self, commit: &ObjectId, parents: Vec<ObjectId>) -> Option<Vec<ObjectId>>;

    /// Returns what was found out by it.
    fn gone(&self) -> &RefCell<Gone>;
}

/// What merges that were asked about before have shown, by one kinship. What it says of a commit that
/// somebody asked about never changes.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    trunks: Trunks,
    /// How many commits were painted, or looked at to find a line.
    painted: usize,
    /// How many of these before the last line began.
    before: usize,
    /// The bases of pairs, each the lower id first.
    pairs: HashMap<[ObjectId; 2], Vec<ObjectId>>,
}

impl Gone {
    /// Returns the place of a commit on a line, if it is on one or may begin one, and enough was painted
    /// to ask.
    fn place(
        &mut self,
        id: ObjectId,
        may_begin: bool,
        parents: impl Fn(ObjectId) -> Option<Vec<ObjectId>>,
    ) -> Option<Place> {
        if self.painted < PAINTED_MAX {
            return None;
        }
        let begins = may_begin && self.painted - self.before >= PAINTED_MAX;
        let before = self.trunks.count();
        let place = (self.trunks).place(id, begins, parents, &mut self.painted);
        if self.trunks.count() > before {
            self.before = self.painted;
        }
        place
    }
}

/// What one commit and another have in common, the best of it, and what the one alone has.
type Gained = (Vec<ObjectId>, Vec<ObjectId>);

/// Git's own: all parents count.
#[derive(Debug, Default)]
pub(crate) struct AllParents(RefCell<Gone>);

impl Kinship for AllParents {
    fn counting(&self, _: &ObjectId, parents: Vec<ObjectId>) -> Option<Vec<ObjectId>> {
        Some(parents)
    }

    fn gone(&self) -> &RefCell<Gone> {
        &self.0
    }
}

/// Finds common ancestors.
pub(super) struct Bases<'r> {
    pub(super) objects: &'r Objects,
    pub(super) kinship: &'r dyn Kinship,
    /// Where a shallow clone ends.
    pub(super) shallow: &'r HashSet<ObjectId>,
    pub(super) memory: &'r RefCell<Memory>,
}

/// Commits that were read before.
pub(super) type Memory = HashMap<ObjectId, Rc<Commit>>;

/// Of a commit, what counts.
#[derive(Debug)]
pub(super) struct Commit {
    time: Option<UnixTime>,
    /// `None` when they are not known.
    parents: Option<Box<[ObjectId]>>,
}

/// So many commits are remembered, and read once.
const COMMITS_MAX: usize = 1 << 18;
/// Each time that so many were painted, the line of history on which a merge is is gone through once,
/// rather than from each that is on it.
const PAINTED_MAX: usize = 1 << 16;

/// The history before a commit is not known.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unknown {
    /// It is not here, or cannot be read.
    Before(ObjectId),
    /// Whether a parent counts is undecided.
    Undecided(ObjectId),
}

/// The bases of so many pairs are remembered: a merge is asked about both ways round, and one of them may
/// lead through all of history.
const PAIRS_MAX: usize = 1 << 10;
/// More bases than that are not compared with one another. One too many makes more look changed, and
/// never less.
const COMPARED_MAX: usize = 16;

/// Which of the two a commit is reached from, as bits.
const ONE: u8 = 1;
const OTHER: u8 = 2;
const BOTH: u8 = ONE | OTHER;
/// It is reached from a common ancestor, and so is none of the best.
const BELOW: u8 = 4;

impl Bases<'_> {
    /// Returns the common ancestors that no other one reaches; none when the two have nothing in
    /// common.
    pub(super) fn of(&self, one: ObjectId, other: ObjectId) -> Result<Vec<ObjectId>, Unknown> {
        let pair = [one.min(other), one.max(other)];
        if let Some(bases) = self.kinship.gone().borrow().pairs.get(&pair) {
            return Ok(bases.clone());
        }
        let bases = self.find(one, other)?;
        let pairs = &mut self.kinship.gone().borrow_mut().pairs;
        if pairs.len() >= PAIRS_MAX {
            pairs.clear();
        }
        pairs.insert(pair, bases.clone());
        Ok(bases)
    }

    fn find(&self, one: ObjectId, other: ObjectId) -> Result<Vec<ObjectId>, Unknown> {
        let mut bases = match self.on_trunk(one, other)? {
            Some(bases) => bases,
            None => self.paint(one, &[other])?.common(),
        };
        if (2..=COMPARED_MAX).contains(&bases.len()) {
            // Dates that lie leave some that are reached from another.
            let all = bases.clone();
            bases.retain(|base| {
                let others: Vec<_> = all.iter().copied().filter(|it| it != base).collect();
                let painted = self.paint(*base, &others);
                !painted.is_ok_and(|painted| painted.is_reached(base, OTHER))
            });
        }
        Ok(bases)
    }

    /// Returns what a commit reaches and others do not, itself included. Dates that lie may make it
    /// more, and never less.
    pub(super) fn beyond(
        &self,
        one: ObjectId,
        others: &[ObjectId],
    ) -> Result<Vec<ObjectId>, Unknown> {
        if let [other] = others
            && let Some((_, passed)) = self.by_trunk(one, *other, true)?
        {
            return Ok(passed);
        }
        let mut painting = self.paint(one, others)?;
        let only = |met: &Met| met.painted == ONE;
        let found = painting.met.values().filter(|met| only(met));
        if let Some(oldest) = found.map(|met| met.time).min() {
            // What is older reaches none of them.
            while painting.newest() >= Some(oldest) && painting.step() {}
            painting.settle()?;
        }
        let found = painting.met.iter().filter(|(_, met)| only(met));
        Ok(found.map(|(id, _)| *id).collect())
    }

    /// Goes back from one of two until the other reaches what it meets, where that one is on a line.
    /// `None` when neither is, or too few were asked about to find out.
    fn on_trunk(&self, one: ObjectId, other: ObjectId) -> Result<Option<Vec<ObjectId>>, Unknown> {
        // Merges go on from the one.
        for (from, to, may_begin) in [(other, one, true), (one, other, false)] {
            if let Some((best, _)) = self.by_trunk(from, to, may_begin)? {
                return Ok(Some(best).filter(|best| best.len() <= COMPARED_MAX));
            }
        }
        Ok(None)
    }

    /// Goes back from a commit to what another reaches that is on a line; returns the best of what it
    /// comes to, and what it passes. `None` where no line tells. The other may begin a line.
    fn by_trunk(
        &self,
        from: ObjectId,
        to: ObjectId,
        may_begin: bool,
    ) -> Result<Option<Gained>, Unknown> {
        let mut gone = self.kinship.gone().take();
        let found = match gone.place(to, may_begin, |id| self.parents(id).ok()) {
            Some(place) => self.back_to(&gone.trunks, from, place),
            None => Ok(None),
        };
        *self.kinship.gone().borrow_mut() = gone;
        found
    }

    fn back_to(
        &self,
        trunks: &Trunks,
        from: ObjectId,
        to: Place,
    ) -> Result<Option<Gained>, Unknown> {
        let (mut seen, mut pending) = (HashSet::from([from]), vec![from]);
        let (mut met, mut passed) = (Vec::new(), Vec::new());
        while let Some(id) = pending.pop() {
            if trunks.is_reached(&id, to) {
                met.push(id);
                continue;
            }
            passed.push(id);
            let parents = self.parents(id)?.into_iter();
            pending.extend(parents.filter(|parent| seen.insert(*parent)));
        }
        Ok(trunks.best(to, met).map(|best| (best, passed)))
    }

    /// Paints what either side reaches, newest first, until all that is left lies below what both
    /// reach.
    fn paint(&self, one: ObjectId, others: &[ObjectId]) -> Result<Painting<'_>, Unknown> {
        let mut painting = Painting {
            bases: self,
            met: HashMap::new(),
            waiting: BinaryHeap::new(),
            open: 0,
            common: Vec::new(),
            unknown: Vec::new(),
        };
        let newest = UnixTime::from_secs(i64::MAX);
        painting.paint(one, ONE, newest);
        for other in others {
            painting.paint(*other, OTHER, newest);
        }
        while painting.open > 0 && painting.step() {}
        painting.settle()?;
        Ok(painting)
    }

    /// Returns the parents that count.
    fn parents(&self, id: ObjectId) -> Result<Vec<ObjectId>, Unknown> {
        let commit = self.commit(id);
        let parents = commit.parents.as_deref().ok_or(Unknown::Before(id))?;
        let counting = self.kinship.counting(&id, parents.to_vec());
        counting.ok_or(Unknown::Undecided(id))
    }

    fn commit(&self, id: ObjectId) -> Rc<Commit> {
        if let Some(commit) = self.memory.borrow().get(&id) {
            return Rc::clone(commit);
        }
        let commit = Rc::new(self.read(id));
        let mut commits = self.memory.borrow_mut();
        if commits.len() < COMMITS_MAX {
            commits.insert(id, Rc::clone(&commit));
        }
        commit
    }

    fn read(&self, id: ObjectId) -> Commit {
        let Content::Raw(ObjectKind::Commit, raw) = Content::of(self.objects, &id) else {
            return Commit {
                time: None,
                parents: None,
            };
        };
        let committer = CommitRefIter::from_bytes(&raw, id.kind()).committer();
        let time = committer.ok().and_then(|it| it.time().ok());
        let is_end = self.shallow.contains(&id);
        Commit {
            time: time.map(|time| UnixTime::from_secs(time.seconds)),
            parents: parents_in(&raw, id.kind()).filter(|it| it.is_empty() || !is_end),
        }
    }
}

/// Reads the parents of a commit, whatever comes after them; `None` when one of them is no name.
fn parents_in(raw: &[u8], hash: gix::hash::Kind) -> Option<Box<[ObjectId]>> {
    let name = |hex: &[u8]| {
        let id = ObjectId::from_hex(hex).ok();
        id.filter(|id| id.kind() == hash)
    };
    let mut lines = raw.split(|byte| *byte == b'\n');
    name(lines.next()?.strip_prefix(b"tree ")?)?;
    let parents = lines.map_while(|line| line.strip_prefix(b"parent "));
    parents.map(name).collect()
}

/// A commit that was met.
struct Met {
    /// Its date, or that of who led to it.
    time: UnixTime,
    painted: u8,
    is_waiting: bool,
}

impl Met {
    fn is_open(&self) -> bool {
        self.is_waiting && self.painted & BELOW == 0
    }
}

/// What is reached from where, so far.
struct Painting<'b> {
    bases: &'b Bases<'b>,
    met: HashMap<ObjectId, Met>,
    waiting: BinaryHeap<(UnixTime, ObjectId)>,
    /// How many are waiting that may still lead to a common ancestor.
    open: usize,
    common: Vec<ObjectId>,
    /// Those before which nothing is known, and which were not below a common ancestor when they were met.
    unknown: Vec<(ObjectId, Unknown)>,
}

impl Painting<'_> {
    fn paint(&mut self, id: ObjectId, colours: u8, child_time: UnixTime) {
        let met = match self.met.entry(id) {
            hash_map::Entry::Occupied(met) => met.into_mut(),
            hash_map::Entry::Vacant(new) => new.insert(Met {
                time: self.bases.commit(id).time.unwrap_or(child_time),
                painted: 0,
                is_waiting: false,
            }),
        };
        if met.painted & colours == colours {
            return;
        }
        let was_open = met.is_open();
        met.painted |= colours;
        if !met.is_waiting {
            met.is_waiting = true;
            self.waiting.push((met.time, id));
        }
        match (was_open, met.is_open()) {
            (false, true) => self.open += 1,
            (true, false) => self.open -= 1,
            (true, true) | (false, false) => {}
        }
    }

    /// Hands the colours of the newest on to its parents; tells whether there was one.
    fn step(&mut self) -> bool {
        let Some((time, id)) = self.waiting.pop() else {
            return false;
        };
        let Some(met) = self.met.get_mut(&id) else {
            return true;
        };
        self.open -= usize::from(met.is_open());
        met.is_waiting = false;
        let mut colours = met.painted;
        if colours == BOTH {
            self.common.push(id);
            colours |= BELOW;
        }
        self.bases.kinship.gone().borrow_mut().painted += 1;
        match self.bases.parents(id) {
            Ok(parents) => {
                for parent in parents {
                    self.paint(parent, colours, time);
                }
            }
            Err(unknown) if colours & BELOW == 0 => self.unknown.push((id, unknown)),
            // What is before a common ancestor is no better one.
            Err(_) => {}
        }
        true
    }

    /// Goes on until all before which nothing is known are common ancestors or lie below one, whatever
    /// their dates.
    fn settle(&mut self) -> Result<(), Unknown> {
        while let Some((id, unknown)) = self.unknown.last().copied() {
            let is_reached = |colour| self.is_reached(&id, colour);
            if is_reached(BELOW) || (is_reached(ONE) && is_reached(OTHER)) {
                self.unknown.pop();
            } else if !self.step() {
                return Err(unknown);
            }
        }
        Ok(())
    }

    /// Returns the date of what is looked at next.
    fn newest(&self) -> Option<UnixTime> {
        self.waiting.peek().map(|(time, _)| *time)
    }

    fn is_reached(&self, id: &ObjectId, colour: u8) -> bool {
        self.met.get(id).is_some_and(|it| it.painted & colour != 0)
    }

    /// Returns the common ancestors, without those that turned out to be reached from another.
    fn common(&self) -> Vec<ObjectId> {
        let common = self.common.iter().copied();
        common.filter(|id| !self.is_reached(id, BELOW)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, fmt::Write as _};

    use notme_testkit::repository::Repository as Git;

    use super::*;
    use crate::repository::Repository;

    fn bases<'r>(
        repository: &'r Repository,
        kinship: &'r AllParents,
        memory: &'r RefCell<Memory>,
    ) -> Bases<'r> {
        Bases {
            objects: &repository.objects,
            kinship,
            shallow: repository.shallow_boundary().unwrap(),
            memory,
        }
    }

    /// Histories with many merges, in which no date means anything.
    #[test]
    fn finds_what_git_finds_whatever_the_dates() {
        let mut state = 1_u64;
        let mut any = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % below
        };
        let git = Git::new();
        let mut stream = String::new();
        let count = 90;
        for mark in 1..=count {
            let date = 1_600_000_000 + any(1_000);
            writeln!(stream, "commit refs/heads/c{mark}\nmark :{mark}").unwrap();
            writeln!(
                stream,
                "committer T <t@example.invalid> {date} +0000\ndata 0"
            )
            .unwrap();
            // Each thirty begin anew, and the second go on from the first as well.
            let first = (mark - 1) / 30 * 30;
            let oldest = if first == 30 { 0 } else { first };
            if mark > first + 1 {
                writeln!(stream, "from :{}", mark - 1 - any(8.min(mark - 1 - first))).unwrap();
                let other = mark - 1 - any(8.min(mark - 1 - oldest));
                writeln!(stream, "merge :{other}").unwrap();
            }
            stream.push('\n');
        }
        git.import(&stream);
        let repository = Repository::open(&git.path().join(".git")).unwrap();
        let ids: Vec<ObjectId> = (1..=count)
            .map(|mark| {
                let found = repository.target(&format!("refs/heads/c{mark}"));
                found.unwrap().unwrap()
            })
            .collect();
        let (memory, kinship) = (RefCell::default(), AllParents::default());
        let bases = bases(&repository, &kinship, &memory);
        let (mut several, mut known, mut unknown) = (0, 0, 0);
        for round in 0..500 {
            // From then on by the lines that merges are on.
            if round == 250 {
                kinship.0.borrow_mut().painted = PAINTED_MAX;
            }
            let near = 1 + any(count - 8);
            let names = [near, near + any(9)];
            let [one, other] = names.map(|mark| ids[usize::try_from(mark).unwrap() - 1]);
            let names = names.map(|mark| format!("refs/heads/c{mark}"));
            let sorted = |mut found: Vec<ObjectId>| {
                found.sort_unstable();
                found
            };
            let found = sorted(bases.of(one, other).unwrap());
            let output = git.git(&["merge-base", "--all", &names[0], &names[1]]);
            let output = String::from_utf8(output.stdout).unwrap();
            let expected = sorted(output.lines().map(|it| it.parse().unwrap()).collect());
            assert_eq!(found, expected, "{names:?}");
            several += usize::from(found.len() > 1);
            // What cannot be seen is not known, or hides none of them.
            let shallow =
                HashSet::from([(); 2].map(|()| ids[usize::try_from(any(count)).unwrap()]));
            let is_known = [0, PAINTED_MAX].map(|painted| {
                let (memory, kinship) = (RefCell::default(), AllParents::default());
                kinship.0.borrow_mut().painted = painted;
                let bases = Bases {
                    objects: &repository.objects,
                    kinship: &kinship,
                    shallow: &shallow,
                    memory: &memory,
                };
                // Lines that others began.
                for _ in 0..3 {
                    kinship.0.borrow_mut().before = 0;
                    let _ = bases.of(ids[usize::try_from(any(count)).unwrap()], one);
                }
                known += usize::from(bases.on_trunk(one, other).is_ok_and(|it| it.is_some()));
                let found = bases.of(one, other).ok();
                // One that lies below another by what cannot be seen is one too many.
                let has_all = |found: &Vec<ObjectId>| expected.iter().all(|it| found.contains(it));
                assert!(found.as_ref().is_none_or(has_all), "{names:?} {shallow:?}");
                found.is_some()
            });
            assert_eq!(is_known[0], is_known[1], "{names:?} {shallow:?}");
            unknown += usize::from(!is_known[0]);
        }
        assert!(several > 20, "{several}");
        assert!(unknown > 100 && known > 100, "{unknown} {known}");
    }

    /// Topics that all parted at the beginning, merged into two branches: from each merge, all of history
    /// is in between.
    #[test]
    fn goes_through_history_once_for_all_that_parted_long_ago() {
        const TOPICS: usize = 600;
        let git = Git::new();
        let mut stream = String::new();
        let mut commit = |branch: &str, mark: usize, parents: &[usize]| {
            let date = 1_600_000_000 + mark;
            write!(stream, "commit refs/heads/{branch}\nmark :{mark}\n").unwrap();
            write!(
                stream,
                "committer T <t@example.invalid> {date} +0000\ndata 0\n"
            )
            .unwrap();
            for (word, parent) in ["from", "merge"].iter().zip(parents) {
                writeln!(stream, "{word} :{parent}").unwrap();
            }
            stream.push('\n');
        };
        commit("main", 1, &[]);
        commit("main", 2, &[1]);
        commit("fork", 3, &[2]);
        let (mut mark, mut heads) = (3, [("main", 3), ("develop", 3)]);
        for _ in 0..TOPICS {
            for (branch, head) in &mut heads {
                commit("topic", mark + 1, &[3]);
                commit(branch, mark + 2, &[*head, mark + 1]);
                mark += 2;
                *head = mark;
            }
        }
        git.import(&stream);
        let repository = Repository::open(&git.path().join(".git")).unwrap();
        let id = |name: &str| {
            git.git_ok(&["rev-parse", name])
                .parse::<ObjectId>()
                .unwrap()
        };
        let (fork, boundary) = (id("fork"), id("fork~1"));
        let merges = git.git_ok(&["log", "--format=%P", "--merges", "main", "develop"]);
        let merges: Vec<_> = merges.lines().collect();
        for shallow in [HashSet::new(), HashSet::from([boundary])] {
            // Whether the newest or the oldest is judged first.
            for backwards in [false, true] {
                let (memory, kinship) = (RefCell::default(), AllParents::default());
                let bases = Bases {
                    objects: &repository.objects,
                    kinship: &kinship,
                    shallow: &shallow,
                    memory: &memory,
                };
                for at in 0..merges.len() {
                    let at = if backwards { merges.len() - 1 - at } else { at };
                    let (one, other) = merges[at].split_once(' ').unwrap();
                    let [one, other] = [one, other].map(|id| id.parse::<ObjectId>().unwrap());
                    assert_eq!(bases.of(one, other).unwrap(), [fork]);
                    assert_eq!(bases.beyond(other, &[one]).unwrap(), [other]);
                }
                let painted = kinship.0.borrow().painted;
                assert!(painted < 2 * PAINTED_MAX + 9 * TOPICS, "{painted}");
            }
        }
    }

    /// A release branch that is merged into the main one again and again, asked about both ways round:
    /// from the release, all of the main branch is in between.
    #[test]
    fn a_pair_is_asked_about_both_ways_in_one() {
        /// Counts how often parents are asked for.
        #[derive(Default)]
        struct Counting(AllParents, Cell<usize>);

        impl Kinship for Counting {
            fn counting(&self, id: &ObjectId, parents: Vec<ObjectId>) -> Option<Vec<ObjectId>> {
                self.1.set(self.1.get() + 1);
                self.0.counting(id, parents)
            }

            fn gone(&self) -> &RefCell<Gone> {
                self.0.gone()
            }
        }

        const MERGES: usize = 100;
        let git = Git::new();
        let mut stream = String::new();
        let mut mark = 0;
        let mut commit = |branch: &str, parents: &[usize]| {
            mark += 1;
            let date = 1_600_000_000 + mark;
            write!(stream, "commit refs/heads/{branch}\nmark :{mark}\n").unwrap();
            write!(
                stream,
                "committer T <t@example.invalid> {date} +0000\ndata 0\n"
            )
            .unwrap();
            for (word, parent) in ["from", "merge"].iter().zip(parents) {
                writeln!(stream, "{word} :{parent}").unwrap();
            }
            stream.push('\n');
            mark
        };
        let fork = commit("main", &[]);
        let (mut main, mut release) = (commit("main", &[fork]), commit("release", &[fork]));
        for _ in 0..MERGES {
            for _ in 0..5 {
                main = commit("main", &[main]);
            }
            release = commit("release", &[release]);
            main = commit("main", &[main, release]);
        }
        git.import(&stream);
        let repository = Repository::open(&git.path().join(".git")).unwrap();
        let merges = git.git_ok(&["log", "--format=%P", "--merges", "--reverse", "main"]);
        let root = git.git_ok(&["rev-list", "--max-parents=0", "main"]);
        let root: ObjectId = root.parse().unwrap();
        let (memory, kinship) = (RefCell::default(), Counting::default());
        let bases = Bases {
            objects: &repository.objects,
            kinship: &kinship,
            shallow: repository.shallow_boundary().unwrap(),
            memory: &memory,
        };
        for (at, parents) in merges.lines().enumerate() {
            let (main, release) = parents.split_once(' ').unwrap();
            let [main, release] = [main, release].map(|id| id.parse::<ObjectId>().unwrap());
            // Each of the two has its line.
            if at == 1 {
                for id in [main, release] {
                    let mut gone = kinship.gone().borrow_mut();
                    (gone.painted, gone.before) = (PAINTED_MAX, 0);
                    drop(gone);
                    bases.on_trunk(id, root).unwrap().unwrap();
                }
                kinship.1.set(0);
            }
            let expected = git.git_ok(&[
                "merge-base",
                "--all",
                &main.to_string(),
                &release.to_string(),
            ]);
            for (one, other) in [(main, release), (release, main)] {
                let found = bases.of(one, other).unwrap();
                assert_eq!(found, [expected.parse::<ObjectId>().unwrap()]);
            }
        }
        let asked = kinship.1.get();
        assert!(asked < 50 * MERGES, "{asked}");
    }
}
