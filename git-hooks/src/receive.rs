//! What a push would change: what has to be verified for it, and what may not be changed at all.

use std::fmt::Write as _;

use notme_attest::{
    bundle::BUNDLE_MAX,
    store::{Shelf, Signed},
};
use notme_core::glob::Glob;
use notme_verifier::{
    Code, Outcome, Repository, Verdict,
    refusal::Refusal,
    repository::{ObjectId, RepositoryError, Selection},
};

/// How many objects are named when a push is refused; the rest is counted.
const TOLD_MAX: usize = 20;
/// The refs that hold attestations: what is under them is judged when somebody asks, and is only
/// ever added to.
const ATTESTATIONS: &str = "refs/attestations/";

/// A ref that a push changes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Update {
    /// Its name where it is pushed to.
    pub name: String,
    /// What it names there; none while it is not there.
    pub old: Option<ObjectId>,
    /// What it is to name; none when it is deleted.
    pub new: Option<ObjectId>,
}

impl Update {
    /// Makes one of git's words; a name of zeroes is none.
    ///
    /// # Errors
    /// [`PushError::Malformed`].
    pub fn new(name: &str, old: &str, new: &str) -> Result<Self, PushError> {
        let id = |text: &str| match ObjectId::from_hex(text.as_bytes()) {
            Ok(id) => Ok((!id.is_null()).then_some(id)),
            Err(_) => Err(PushError::Malformed),
        };
        Ok(Self {
            name: name.to_owned(),
            old: id(old)?,
            new: id(new)?,
        })
    }
}

/// Tells whether a ref is one of those that hold attestations.
pub fn holds_attestations(name: &str) -> bool {
    name.starts_with(ATTESTATIONS)
}

/// Reads what `pre-push` is told: lines of `LOCAL-REF LOCAL-ID REMOTE-REF REMOTE-ID`.
///
/// # Errors
/// [`PushError::Malformed`].
pub fn parse_push(input: &[u8]) -> Result<Vec<Update>, PushError> {
    parse(input, |words| match words {
        [_, new, name, old] => Update::new(name, old, new),
        _ => Err(PushError::Malformed),
    })
}

/// Reads what `pre-receive` is told: lines of `OLD-ID NEW-ID REF`.
///
/// # Errors
/// [`PushError::Malformed`].
pub fn parse_receive(input: &[u8]) -> Result<Vec<Update>, PushError> {
    parse(input, |words| match words {
        [old, new, name] => Update::new(name, old, new),
        _ => Err(PushError::Malformed),
    })
}

fn parse(
    input: &[u8],
    read: impl Fn(&[&str]) -> Result<Update, PushError>,
) -> Result<Vec<Update>, PushError> {
    let text = str::from_utf8(input).map_err(|_| PushError::Malformed)?;
    let words = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    words.map(|words| read(&words)).collect()
}

/// Selects what a push would send: what its refs reach and the remote is known to have not.
/// `None` when it brings nothing that is verified.
///
/// # Errors
/// [`RepositoryError`].
pub fn leaving(
    repository: &Repository,
    updates: &[Update],
    known: &[ObjectId],
) -> Result<Option<Selection>, RepositoryError> {
    let verified = updates.iter().filter(|it| !holds_attestations(&it.name));
    let mut tips = Vec::new();
    let mut hidden = known.to_vec();
    for update in verified {
        tips.extend(update.new);
        hidden.extend(update.old);
    }
    match tips.is_empty() {
        true => Ok(None),
        false => repository
            .select_reached("what is pushed", &tips, &hidden)
            .map(Some),
    }
}

/// What a repository that is pushed to lets change.
#[derive(Debug, Default)]
pub struct Rules {
    /// Refs that are neither deleted nor moved to what does not have all that they had; tags
    /// among them are not moved at all.
    pub protected: Vec<Glob>,
    /// Refs whose commits are not verified, such as notes, which git never signs.
    pub unverified: Vec<Glob>,
}

impl Rules {
    /// Checks that a ref may be changed as it would be.
    ///
    /// # Errors
    /// [`PushError`].
    pub fn check(&self, repository: &Repository, update: &Update) -> Result<(), PushError> {
        let name = &update.name;
        // What is pushed to it would go somewhere else.
        if repository.is_symbolic(name)? {
            return Err(PushError::Symbolic(name.clone()));
        }
        // git compares what whoever pushes says only when it moves the ref, each by itself.
        if repository.target(name)? != update.old {
            return Err(PushError::Stale(name.clone()));
        }
        if update.old.is_none() && self.is_misleading(repository, name)? {
            return Err(PushError::Misleading(name.clone()));
        }
        let new = update.new.filter(|_| self.verify(name));
        if new.is_some_and(|new| repository.renamed(name, new).is_some()) {
            return Err(PushError::Renamed(name.clone()));
        }
        let mut shelves = Shelf::ALL.into_iter();
        let shelf = shelves.find(|shelf| shelf.reference() == *name);
        // git keeps no ref below another, so that one may be in the way of those for good.
        if shelf.is_none() && holds_attestations(name) {
            return match update.new {
                Some(_) => Err(PushError::NoShelf(name.clone())),
                None => Ok(()),
            };
        }
        if shelf.is_none() && !self.protected.iter().any(|glob| glob.matches(name)) {
            return Ok(());
        }
        let Some(new) = update.new else {
            return match update.old {
                Some(_) => Err(PushError::Deletion(name.clone())),
                None => Ok(()),
            };
        };
        if let Some(shelf) = shelf {
            return check_kept(repository, (name, shelf), (update.old, new));
        }
        let Some(old) = update.old else {
            return Ok(());
        };
        if name.starts_with("refs/tags/") {
            return match old == new {
                true => Ok(()),
                false => Err(PushError::Tag(name.clone())),
            };
        }
        check_forward(repository, name, (old, new))
    }

    /// Tells whether git takes a new ref for another, or the other way round: nobody could push to that one any
    /// more by its name.
    fn is_misleading(&self, repository: &Repository, name: &str) -> Result<bool, PushError> {
        const OTHERS: [&str; 4] = ["refs/", "heads/", "tags/", "remotes/"];
        let (branch, tag) = (
            name.strip_prefix("refs/heads/"),
            name.strip_prefix("refs/tags/"),
        );
        let Some(short) = branch.or(tag) else {
            return Ok(false);
        };
        if ["HEAD", "@"].contains(&short) || OTHERS.iter().any(|it| short.starts_with(it)) {
            return Ok(true);
        }
        let is_protected = |branch: &str| self.protected.iter().any(|it| it.matches(branch));
        let other = match tag {
            None => is_protected(name).then(|| format!("refs/tags/{short}")),
            Some(_) => {
                let branch = format!("refs/heads/{short}");
                if repository.head_branch()?.as_ref() == Some(&branch) {
                    return Ok(true);
                }
                is_protected(&branch).then_some(branch)
            }
        };
        Ok(match other {
            Some(other) => repository.target(&other)?.is_some(),
            None => false,
        })
    }

    /// Tells whether what comes to a ref is verified.
    pub fn verify(&self, name: &str) -> bool {
        !holds_attestations(name) && !self.unverified.iter().any(|glob| glob.matches(name))
    }

    /// Selects what an update brings: what its ref is to reach and does not yet, without what the
    /// commits of `base` reach. `None` when nothing of it is verified.
    ///
    /// What other refs have does not count: they may have been held to less.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub fn brought(
        &self,
        repository: &Repository,
        update: &Update,
        base: &[ObjectId],
    ) -> Result<Option<Selection>, RepositoryError> {
        let name = &update.name;
        let Some(new) = update.new.filter(|_| self.verify(name)) else {
            return Ok(None);
        };
        let hidden: Vec<_> = update.old.iter().chain(base).copied().collect();
        repository.select_reached(name, &[new], &hidden).map(Some)
    }
}

/// Checks that a ref goes on from where it was.
fn check_forward(
    repository: &Repository,
    name: &str,
    (old, new): (ObjectId, ObjectId),
) -> Result<(), PushError> {
    match repository.is_ancestor(old, new)? {
        true => Ok(()),
        false => Err(PushError::Rewind(name.to_owned())),
    }
}

/// Checks that attestations are only added to: that a ref goes on from where it was is not enough,
/// since a commit on top may hold less. What is added has to be what others would take: nobody here
/// could take it out again, and all who push are stopped by what they do not take.
fn check_kept(
    repository: &Repository,
    (name, shelf): (&str, Shelf),
    (old, new): (Option<ObjectId>, ObjectId),
) -> Result<(), PushError> {
    let unreadable = |refusal: Refusal| {
        PushError::Unreadable(name.to_owned(), refusal.detail.unwrap_or_default())
    };
    if let Some(old) = old {
        check_forward(repository, name, (old, new))?;
        if let Some(path) = repository.lost(old, new).map_err(unreadable)? {
            return Err(PushError::Lost(name.to_owned(), path));
        }
    }
    let is_fit = |signed: &Signed, path: &str| signed.belongs_at(shelf, path);
    let unfit = repository.unfit((old, new), BUNDLE_MAX, Signed::read, is_fit);
    match unfit.map_err(unreadable)? {
        None => Ok(()),
        Some(path) => Err(PushError::Unfit(name.to_owned(), path)),
    }
}

/// Says which objects were not accepted, why, and what to do: a line for each, the last one for
/// those that are only counted.
pub fn told(outcome: &Outcome) -> Vec<String> {
    let mut lines = Vec::new();
    let mut more = 0;
    for object in outcome.objects() {
        let judgement = object.judgement();
        let Some(code) = judgement.verdict().code() else {
            continue;
        };
        if lines.len() >= TOLD_MAX {
            more += 1;
            continue;
        }
        let kind = object.kind().unwrap_or("object");
        let word = match judgement.verdict() {
            Verdict::Rejected(_) => "refused",
            Verdict::Undecided(_) | Verdict::Accepted => "undecided",
        };
        let mut line = format!("{kind} {}: {word}: {code}", object.id());
        if let Some(detail) = judgement.detail() {
            let _ = write!(line, ": {detail}");
        }
        let _ = write!(line, "; {}", code.fix());
        lines.push(line);
    }
    if more > 0 {
        lines.push(format!("and {more} objects more"));
    }
    lines
}

/// A push that is refused whatever its objects are.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// git's own words cannot be read.
    #[error("what git says of the push cannot be read")]
    Malformed,
    /// A ref would be deleted.
    #[error("`{0}` is not to be deleted here")]
    Deletion(String),
    /// A ref would lose commits.
    #[error("`{0}` is not to lose commits here; what is pushed does not have all that it has")]
    Rewind(String),
    /// Statements would be taken away or altered.
    #[error("`{0}` is only added to; what is pushed lacks or alters `{1}`: `notme attest fetch`")]
    Lost(String, String),
    /// A ref in the place of those that hold attestations.
    #[error("`{0}` is none of the refs that hold attestations, and may be in their way")]
    NoShelf(String),
    /// A file that nobody would take.
    #[error(
        "`{1}` of what is pushed to `{0}` is no signed statement, or not where it belongs: drop it"
    )]
    Unfit(String, String),
    /// Statements cannot be read.
    #[error("what is pushed to `{0}` cannot be read by all, or compared with what is there: {1}")]
    Unreadable(String, Box<str>),
    /// A tag would name something else.
    #[error("tag `{0}` is there and is not to be moved")]
    Tag(String),
    /// A tag has another name than its ref.
    #[error("the tag pushed to `{0}` has another name: push it to that one")]
    Renamed(String),
    /// A ref that stands for another one, which would be moved in its place.
    #[error("`{0}` stands for another ref; push to that one")]
    Symbolic(String),
    /// A ref that git would take for another one.
    #[error("`{0}` would be taken for another ref; choose another name")]
    Misleading(String),
    /// A ref is no longer, or never was, where whoever pushes says it is.
    #[error("`{0}` is not where the push says it is: fetch, and push again")]
    Stale(String),
    /// It cannot be told what the refs have.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

impl PushError {
    /// Returns the code of the closed list.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "push-malformed",
            Self::Deletion(_) => "ref-deletion",
            Self::Rewind(_) => "ref-rewind",
            Self::Lost(..) => "attestation-lost",
            Self::NoShelf(_) | Self::Unfit(..) | Self::Unreadable(..) => "attestation-unreadable",
            Self::Tag(_) => "tag-moved",
            Self::Renamed(_) => Code::TagRenamed.as_str(),
            Self::Symbolic(_) => "ref-symbolic",
            Self::Misleading(_) => "ref-misleading",
            Self::Stale(_) => "push-stale",
            Self::Repository(error) => error.code().unwrap_or("repository-unreadable"),
        }
    }
}

#[cfg(test)]
mod tests {
    use notme_testkit::repository::Repository as Scratch;

    use super::*;

    const ZERO: &str = "0000000000000000000000000000000000000000";

    fn rules() -> Rules {
        Rules {
            protected: ["refs/heads/main", "refs/tags/*"].map(Glob::new).to_vec(),
            unverified: vec![Glob::new("refs/notes/*")],
        }
    }

    fn code(rules: &Rules, scratch: &Scratch, name: &str, old: &str, new: &str) -> &'static str {
        match old {
            ZERO => scratch.git_ok(&["update-ref", "-d", "--no-deref", name]),
            old => scratch.git_ok(&["update-ref", name, old]),
        };
        let repository = Repository::discover(&scratch.path()).unwrap();
        let update = Update::new(name, old, new).unwrap();
        let checked = rules.check(&repository, &update);
        checked.map_or_else(|error| error.code(), |()| "allowed")
    }

    #[test]
    fn what_is_protected_neither_goes_nor_shrinks() {
        let scratch = Scratch::new();
        let (one, two) = (scratch.commit("a", "1"), scratch.commit("b", "2"));
        let rules = rules();
        let check = |name, old, new| code(&rules, &scratch, name, old, new);
        assert_eq!(check("refs/heads/main", &one, &two), "allowed");
        assert_eq!(check("refs/heads/main", ZERO, &two), "allowed");
        assert_eq!(check("refs/heads/main", &two, &one), "ref-rewind");
        assert_eq!(check("refs/heads/main", &two, ZERO), "ref-deletion");
        assert_eq!(check("refs/heads/topic", &two, &one), "allowed");
        assert_eq!(check("refs/heads/topic", &two, ZERO), "allowed");
        assert_eq!(check("refs/tags/v1", &one, &two), "tag-moved");
        assert_eq!(check("refs/tags/v1", &one, ZERO), "ref-deletion");
        assert_eq!(check("refs/tags/v1", ZERO, &two), "allowed");
        // Whatever the rules say.
        let commits = "refs/attestations/commits";
        let none = Rules::default();
        let check = |old, new| code(&none, &scratch, commits, old, new);
        assert_eq!(check(&two, &one), "ref-rewind");
        assert_eq!(check(&two, ZERO), "ref-deletion");
        // They hold no statements.
        assert_eq!(check(&one, &two), "attestation-unreadable");
        assert_eq!(check(ZERO, &two), "attestation-unreadable");
        let others = "refs/attestations/others";
        let check = |old, new| code(&none, &scratch, others, old, new);
        assert_eq!(check(&one, &two), "attestation-unreadable");
        assert_eq!(check(&one, ZERO), "allowed");
    }

    #[test]
    fn reads_what_git_says_and_nothing_else() {
        let one = "1".repeat(40);
        let line = format!("{ZERO} {one} refs/heads/main\n");
        let [update] = &*parse_receive(line.as_bytes()).unwrap() else {
            panic!("one line is one update");
        };
        assert_eq!(
            (update.old, update.name.as_str()),
            (None, "refs/heads/main")
        );
        let line = format!("refs/heads/a {one} refs/heads/b {ZERO}\n");
        let [update] = &*parse_push(line.as_bytes()).unwrap() else {
            panic!("one line is one update");
        };
        assert_eq!(update.name, "refs/heads/b");
        assert!(update.new.is_some() && update.old.is_none());
        for wrong in ["x", "a b c\n", "\u{0}\n"] {
            assert!(parse_receive(wrong.as_bytes()).is_err());
        }
        assert!(parse_receive(b"\xff").is_err());
    }

    #[test]
    fn what_other_refs_have_is_verified_again() {
        let scratch = Scratch::new();
        let (base, new) = (scratch.commit("a", "1"), scratch.commit("b", "2"));
        scratch.git_ok(&["branch", "elsewhere"]);
        let repository = Repository::discover(&scratch.path()).unwrap();
        let update = Update::new("refs/heads/topic", ZERO, &new).unwrap();
        let base = ObjectId::from_hex(base.as_bytes()).unwrap();
        let brought = |name: &str| {
            let update = Update {
                name: name.to_owned(),
                ..update.clone()
            };
            rules().brought(&repository, &update, &[base]).unwrap()
        };
        let selection = brought("refs/heads/topic").unwrap();
        let commits = repository.commits(&selection).unwrap();
        assert_eq!(commits.len(), 1);
        assert_eq!(commits[0].to_string(), new);
        assert!(brought("refs/notes/commits").is_none());
        assert!(brought("refs/attestations/commits").is_none());
    }
}
