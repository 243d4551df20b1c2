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
    line::{Line, Place},
    objects::Objects,
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
    line: Line,
    /// How many commits were painted.
    painted: usize,
}

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
/// Once so many were painted, the line of history that merges are on is gone through once, rather
/// than from each of them.
const PAINTED_MAX: usize = 1 << 16;

/// The history before a commit is not known.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unknown {
    /// It is not here, or cannot be read.
    Before(ObjectId),
    /// Whether a parent counts is undecided.
    Undecided(ObjectId),
}

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
        let mut bases = match self.on_line(one, other)? {
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
            && let Some((_, found)) =
                self.by_line(*other, |line, place| self.back_to(line, one, place))?
        {
            return Ok(found);
        }
        let mut painting = self.paint(one, others)?;
        let only = |met: &Met| met.painted == ONE;
        let found = painting.met.values().filter(|met| only(met));
        if let Some(oldest) = found.map(|met| met.time).min() {
            // What is older reaches none of them.
            while painting.newest() >= Some(oldest) && painting.step()? {}
        }
        let found = painting.met.iter().filter(|(_, met)| only(met));
        Ok(found.map(|(id, _)| *id).collect())
    }

    /// Goes back from one of two until the other reaches what it meets, where that is on the line
    /// that everything merged so far is on. `None` when it is not, or too few were asked about to find
    /// out.
    fn on_line(&self, one: ObjectId, other: ObjectId) -> Result<Option<Vec<ObjectId>>, Unknown> {
        for (from, to) in [(other, one), (one, other)] {
            let bases = self.by_line(to, |line, place| {
                Ok(line.best(self.back_to(line, from, place)?.0))
            })?;
            if let Some(bases) = bases {
                return Ok(Some(bases).filter(|bases| bases.len() <= COMPARED_MAX));
            }
        }
        Ok(None)
    }

    /// Asks the line where a commit is on it.
    fn by_line<T>(
        &self,
        id: ObjectId,
        ask: impl FnOnce(&Line, Place) -> Result<T, Unknown>,
    ) -> Result<Option<T>, Unknown> {
        if self.kinship.gone().borrow().painted < PAINTED_MAX {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.kinship.gone().borrow_mut().line);
        let place = line.place(id, |id| self.parents(id).ok());
        let found = place.map(|place| ask(&line, place));
        self.kinship.gone().borrow_mut().line = line;
        found.transpose()
    }

    /// Goes back from a commit to what a place of the line reaches; returns what of that it comes to, and
    /// what it passes.
    fn back_to(
        &self,
        line: &Line,
        from: ObjectId,
        to: Place,
    ) -> Result<(Vec<ObjectId>, Vec<ObjectId>), Unknown> {
        let (mut seen, mut pending) = (HashSet::from([from]), vec![from]);
        let (mut met, mut passed) = (Vec::new(), Vec::new());
        while let Some(id) = pending.pop() {
            if line.is_reached(&id, to) {
                met.push(id);
                continue;
            }
            passed.push(id);
            let parents = self.parents(id)?.into_iter();
            pending.extend(parents.filter(|parent| seen.insert(*parent)));
        }
        Ok((met, passed))
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
        };
        let newest = UnixTime::from_secs(i64::MAX);
        painting.paint(one, ONE, newest);
        for other in others {
            painting.paint(*other, OTHER, newest);
        }
        while painting.open > 0 && painting.step()? {}
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
    fn step(&mut self) -> Result<bool, Unknown> {
        let Some((time, id)) = self.waiting.pop() else {
            return Ok(false);
        };
        let Some(met) = self.met.get_mut(&id) else {
            return Ok(true);
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
            Err(unknown) if colours & BELOW == 0 => return Err(unknown),
            // What is before a common ancestor is no better one.
            Err(_) => {}
        }
        Ok(true)
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
    use std::fmt::Write as _;

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
        let (memory, kinship) = (RefCell::default(), AllParents::default());
        let bases = bases(&repository, &kinship, &memory);
        let mut several = 0;
        for round in 0..500 {
            // From then on by the line that merges are on.
            if round == 250 {
                kinship.0.borrow_mut().painted = PAINTED_MAX;
            }
            let near = 1 + any(count - 8);
            let names = [near, near + any(9)].map(|it| format!("refs/heads/c{it}"));
            let [one, other] = names
                .each_ref()
                .map(|it| repository.target(it).unwrap().unwrap());
            let mut found = bases.of(one, other).unwrap();
            found.sort_unstable();
            let output = git.git(&["merge-base", "--all", &names[0], &names[1]]);
            let output = String::from_utf8(output.stdout).unwrap();
            let mut expected: Vec<ObjectId> =
                output.lines().map(|it| it.parse().unwrap()).collect();
            expected.sort_unstable();
            assert_eq!(found, expected, "{names:?}");
            several += usize::from(found.len() > 1);
        }
        assert!(several > 20, "{several}");
    }

    /// Topics that all parted at the beginning: from each merge, all of history is in between.
    #[test]
    fn goes_through_history_once_for_all_that_parted_long_ago() {
        const TOPICS: usize = 1_000;
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
        let mut head = 1;
        for topic in 2..2 + TOPICS {
            commit(&format!("topic{topic}"), topic, &[1]);
        }
        for topic in 2..2 + TOPICS {
            commit("main", TOPICS + topic, &[head, topic]);
            head = TOPICS + topic;
        }
        git.import(&stream);
        let repository = Repository::open(&git.path().join(".git")).unwrap();
        let first = git.git_ok(&["rev-list", "--max-parents=0", "main"]);
        let merges = git.git_ok(&["log", "--format=%P", "--merges", "main"]);
        let merges: Vec<_> = merges.lines().collect();
        // Whether the newest or the oldest is judged first.
        for backwards in [false, true] {
            let (memory, kinship) = (RefCell::default(), AllParents::default());
            let bases = bases(&repository, &kinship, &memory);
            for at in 0..merges.len() {
                let at = if backwards { merges.len() - 1 - at } else { at };
                let (one, other) = merges[at].split_once(' ').unwrap();
                let [one, other] = [one, other].map(|id| id.parse::<ObjectId>().unwrap());
                let found = bases.of(one, other);
                assert_eq!(found.unwrap(), [first.parse::<ObjectId>().unwrap()]);
                assert_eq!(bases.beyond(other, &[one]).unwrap(), [other]);
            }
            let painted = kinship.0.borrow().painted;
            assert!(painted < PAINTED_MAX + 3 * TOPICS, "{painted}");
        }
    }
}
