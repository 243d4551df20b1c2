//! The judgements on a selection, and what they come to together.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use notme_core::time::UnixTime;

use crate::{
    judge::{Judge, Judgement},
    report::AttestationReport,
    repository::{Node, ObjectId, Repository, Selection},
    trust::Fault,
    verdict::{Code, Verdict},
};

/// The exit code of what was not looked at.
const UNDECIDED: u8 = 3;
/// How many commits at most get a file that they changed.
const PLACES_MAX: usize = 1000;

/// Judged objects, newest first: all of a selection, or as many as are told at a time.
#[derive(Debug, Default)]
pub struct Portion {
    pub(crate) objects: Vec<JudgedObject>,
    /// How many authorities the trust store has.
    pub(crate) authorities: usize,
    /// What is stated about some of the objects.
    pub(crate) attested: HashMap<ObjectId, ObjectAttestations>,
}

impl Portion {
    /// Returns the judged objects, newest first.
    pub fn objects(&self) -> &[JudgedObject] {
        &self.objects
    }

    /// Adds what is stated about objects. It changes no verdict on them.
    #[must_use]
    pub fn with_attested(self, attested: HashMap<ObjectId, ObjectAttestations>) -> Self {
        Self { attested, ..self }
    }

    /// Adds the portion that comes next.
    pub fn append(&mut self, next: Self) {
        let Self {
            objects,
            authorities,
            attested,
        } = next;
        self.objects.extend(objects);
        self.authorities = authorities;
        self.attested.extend(attested);
    }
}

/// The judgements on a selection, in the order of the walk: newest first.
#[derive(Debug)]
#[must_use]
pub struct Outcome {
    pub(crate) repository: String,
    pub(crate) range: String,
    /// The ref that the commits were judged for.
    reference: Option<String>,
    /// The commit from which on the repository's own policy was followed.
    pub(crate) root: Option<ObjectId>,
    /// What was typed, for whoever wants to ask again.
    command: Option<String>,
    pub(crate) policy: String,
    pub(crate) trust: String,
    trust_faults: Vec<Fault>,
    is_trust_recorded: bool,
    pub(crate) asked_at: UnixTime,
    /// The objects, unless they were told meanwhile.
    pub(crate) portion: Portion,
    summary: Summary,
    codes: Vec<Code>,
    /// The policies that judged, and how many objects each.
    pub(crate) policies: BTreeMap<Arc<str>, usize>,
    pub(crate) ignored: Vec<Ignored>,
    /// How many were accepted beside the trust root.
    pub(super) beside_root: usize,
    /// How many were accepted as merges of which a side was neither judged nor left out.
    pub(super) half_judged: usize,
    /// Whether the repository has a policy of its own, and nobody named one or a trust root.
    is_policy_unasked: bool,
    /// Whether a policy that judged asks for what others state, and nothing is kept here.
    pub(crate) lacks_attestations: bool,
    pub(crate) shallow: Vec<ObjectId>,
    may_be_empty: bool,
    /// What was selected by name: the ends of ranges, and objects alone.
    pub(crate) tips: Vec<ObjectId>,
    /// Whether somebody stopped it before it was done.
    pub(crate) interrupted: bool,
    /// A file that each of some of the commits changed.
    pub(crate) places: HashMap<ObjectId, Vec<u8>>,
}

/// What is stated about an object: the verdicts of whoever judges statements.
#[derive(Debug, Default, serde::Serialize)]
pub struct ObjectAttestations {
    /// One for each statement.
    pub attestations: Vec<AttestationReport>,
    /// The level that they carry together.
    pub level: Option<&'static str>,
}

/// An object and the judgement on it.
#[derive(Debug)]
pub struct JudgedObject {
    pub(crate) id: ObjectId,
    pub(crate) kind: Option<&'static str>,
    /// The date in the object, whether it is signed or not.
    pub(crate) dated: Option<UnixTime>,
    pub(crate) judgement: Judgement,
}

impl JudgedObject {
    pub(crate) fn new(node: &Node, judgement: Judgement) -> Self {
        Self {
            id: node.id,
            kind: node.kind(),
            dated: node.time,
            judgement,
        }
    }

    /// Returns the object's name.
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// Returns git's word for what it is; `None` when it is missing.
    pub fn kind(&self) -> Option<&'static str> {
        self.kind
    }

    /// Returns the word for what it is, whether it is here or not.
    pub fn kind_word(&self) -> &'static str {
        self.kind.unwrap_or("object")
    }

    /// Returns the judgement.
    pub fn judgement(&self) -> &Judgement {
        &self.judgement
    }
}

/// What git follows, and we do not.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ignored {
    /// Refs that put one object in the place of another.
    ReplaceRefs,
    /// A file that gives commits other parents.
    Grafts,
}

impl Ignored {
    fn all(repository: &Repository) -> Vec<Self> {
        let replaces = repository.has_replacements().then_some(Self::ReplaceRefs);
        let grafts = repository.has_grafts().then_some(Self::Grafts);
        replaces.into_iter().chain(grafts).collect()
    }

    /// Returns the word that reports have for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ReplaceRefs => "replace-refs",
            Self::Grafts => "grafts",
        }
    }

    /// Says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReplaceRefs => "replace refs are ignored; the objects themselves were judged",
            Self::Grafts => "grafts are ignored; commits have the parents that they name",
        }
    }
}

/// How many objects got which verdict.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Serialize)]
pub struct Summary {
    /// All of them.
    pub objects: usize,
    /// Accepted.
    pub accepted: usize,
    /// Rejected.
    pub rejected: usize,
    /// Undecided.
    pub undecided: usize,
    /// Of the accepted, those that something accepts by their name: an exception, or the trust root.
    pub excepted: usize,
    /// Of the accepted, those that are taken as they are, at or before a baseline.
    pub baseline: usize,
    /// Of the accepted, those that were revoked, and that the policy lists as good.
    pub known_good: usize,
}

impl Summary {
    /// Returns the exit code: 1 when one is rejected, else 3 when one is undecided or there is
    /// none at all, else 0. Nothing was accepted where nothing was looked at.
    pub fn exit_code(self) -> u8 {
        match self {
            Self { rejected: 1.., .. } => 1,
            Self { undecided: 1.., .. } | Self { objects: 0, .. } => 3,
            Self { .. } => 0,
        }
    }
}

impl Outcome {
    pub(super) fn new(repository: &Repository, selection: &Selection, judge: &Judge<'_>) -> Self {
        Self {
            repository: repository.path().display().to_string(),
            range: selection.text().to_owned(),
            reference: selection.reference().map(str::to_owned),
            root: None,
            command: None,
            policy: judge.policy().digest(),
            trust: judge.trust_digest().to_owned(),
            trust_faults: judge.trust_faults().to_vec(),
            is_trust_recorded: judge.is_trust_recorded(),
            asked_at: judge.now(),
            portion: Portion::default(),
            summary: Summary::default(),
            codes: Vec::new(),
            policies: BTreeMap::new(),
            ignored: Ignored::all(repository),
            beside_root: 0,
            half_judged: 0,
            is_policy_unasked: false,
            lacks_attestations: false,
            shallow: Vec::new(),
            may_be_empty: selection.may_be_empty(),
            tips: selection.tips().collect(),
            interrupted: judge.stopper().is_stopped(),
            places: HashMap::new(),
        }
    }

    /// Returns the judged objects, newest first; none where they were told meanwhile.
    pub fn objects(&self) -> &[JudgedObject] {
        self.portion.objects()
    }

    /// Returns why objects were not accepted, each code once.
    pub fn codes(&self) -> &[Code] {
        &self.codes
    }

    /// Returns what there is in the repository by which git would have shown other objects.
    pub fn ignored(&self) -> &[Ignored] {
        &self.ignored
    }

    /// Returns how many accepted objects neither descend from the trust root nor lie before it, so
    /// that its policy judged them.
    pub fn beside_root(&self) -> usize {
        self.beside_root
    }

    /// Returns how many merges were accepted of which a side was neither judged nor left out, where a
    /// rule asked what they changed: what they took from there was no change to it.
    pub fn half_judged(&self) -> usize {
        self.half_judged
    }

    /// Tells whether a policy of the repository's own judged nothing, since nobody named a policy or a
    /// trust root.
    pub fn is_policy_unasked(&self) -> bool {
        self.is_policy_unasked
    }

    /// Tells whether a policy that judged asks for what others state, and the repository keeps nothing
    /// of the kind.
    pub fn lacks_attestations(&self) -> bool {
        self.lacks_attestations
    }

    /// Returns what of the trust store cannot be used.
    pub fn trust_faults(&self) -> &[Fault] {
        &self.trust_faults
    }

    /// Tells whether an older document in the trust store would have been noticed.
    pub fn is_trust_recorded(&self) -> bool {
        self.is_trust_recorded
    }

    /// Returns for what less than others some were accepted, or all: a name and a sentence each.
    pub fn reservations(&self) -> impl Iterator<Item = (&'static str, String)> {
        let (beside, half) = (self.beside_root, self.half_judged);
        let beside = (beside > 0).then(|| {
            let by = "without descending from the trust root, by its policy";
            ("beside-root", format!("{beside} accepted {by}"))
        });
        let half = (half > 0).then(|| {
            let merges = if half == 1 { "merge" } else { "merges" };
            let range = "a range such as `main..HEAD` judges both sides";
            let text = format!("{half} {merges} accepted with a side that was not judged; {range}");
            ("half-judged", text)
        });
        let unrecorded = (!self.is_trust_recorded).then(|| {
            let so = "so an older document in it would not be noticed";
            let text = format!("nothing is recorded about the trust store, {so}");
            ("trust-unrecorded", text)
        });
        let unasked = self.is_policy_unasked.then(|| {
            let text = "the repository has a policy of its own, which counts from a commit that you \
                        trust on: `--trust-root`";
            ("policy-unasked", text.to_owned())
        });
        let unattested = self.lacks_attestations.then(|| {
            let text = "the policy asks for what others state, and there are no attestations here: \
                        `notme attest fetch`";
            ("attestations-absent", text.to_owned())
        });
        let all = [unrecorded, unasked, unattested, beside, half];
        all.into_iter().flatten()
    }

    /// Returns `sha256:<hex>` of each policy that judged an object.
    pub fn policies(&self) -> impl Iterator<Item = &str> {
        self.policies.keys().map(|digest| &**digest)
    }

    /// Returns the commits where a shallow clone ended the walk: nothing before them was judged.
    pub fn shallow(&self) -> &[ObjectId] {
        &self.shallow
    }

    /// Returns what was selected, in git's words.
    pub fn range(&self) -> &str {
        &self.range
    }

    /// Returns the full name of the ref that the commits were judged for, if one was known.
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }

    /// Returns the commit from which on the repository's own policy was followed.
    pub fn root(&self) -> Option<ObjectId> {
        self.root
    }

    /// Notes whether a policy of the repository's own was left aside unasked.
    pub fn leaving_policy(self, is_policy_unasked: bool) -> Self {
        Self {
            is_policy_unasked,
            ..self
        }
    }

    /// Notes the command by which it was asked for, as a shell reads it.
    pub fn asked_by(self, command: String) -> Self {
        let command = Some(command);
        Self { command, ..self }
    }

    /// Returns the command by which it was asked for.
    pub fn command(&self) -> Option<&str> {
        self.command.as_deref()
    }

    /// Returns `sha256:<hex>` of the policy.
    pub fn policy(&self) -> &str {
        &self.policy
    }

    /// Returns `sha256:<hex>` of the trust.
    pub fn trust(&self) -> &str {
        &self.trust
    }

    /// Returns the time of the person asking.
    pub fn asked_at(&self) -> UnixTime {
        self.asked_at
    }

    /// Returns the judged objects that the selection itself names, from which the others were
    /// reached; each once.
    pub fn tips(&self) -> impl Iterator<Item = &JudgedObject> {
        let tips: HashSet<_> = self.tips.iter().collect();
        let objects = self.objects().iter();
        objects.filter(move |object| tips.contains(&object.id))
    }

    /// Tells whether somebody stopped it before every object was judged.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// Adds a file that each of the commits changed which were not accepted, or only by exception, for
    /// reports that have to name one. Of very many commits, the newest have one.
    pub fn with_places(mut self, repository: &Repository) -> Self {
        let refused = self.objects().iter().filter(|object| {
            let judgement = &object.judgement;
            let is_told = judgement.verdict() != Verdict::Accepted || judgement.is_excepted();
            object.kind == Some("commit") && is_told
        });
        let places = refused.take(PLACES_MAX).filter_map(|object| {
            let path = repository.changed_file(object.id)?;
            Some((object.id, path))
        });
        self.places = places.collect();
        self
    }

    /// Has the objects that were told meanwhile.
    pub fn holding(self, portion: Portion) -> Self {
        Self { portion, ..self }
    }

    /// Returns the exit code: that of the summary, but 0 for a range that somebody asked for and
    /// that holds nothing, and never 0 for what was interrupted.
    pub fn exit_code(&self) -> u8 {
        let exit = self.summary().exit_code();
        if self.interrupted && exit == 0 {
            return UNDECIDED;
        }
        if self.summary.objects == 0 && self.may_be_empty && !self.interrupted {
            return 0;
        }
        exit
    }

    /// Tells whether the answer is undecided, and that on no object is.
    pub(crate) fn is_undecided_as_a_whole(&self) -> bool {
        self.exit_code() == UNDECIDED && self.summary.undecided == 0
    }

    /// Tells whether there was nothing to look at, and nobody asked for what may hold nothing.
    pub fn is_of_nothing(&self) -> bool {
        self.summary.objects == 0 && !self.may_be_empty
    }

    /// Returns how many objects got which verdict.
    pub fn summary(&self) -> Summary {
        self.summary
    }

    pub(super) fn count(&mut self, judgement: &Judgement) {
        let policy = judgement.policy().unwrap_or(&self.policy);
        match self.policies.get_mut(policy) {
            Some(count) => *count += 1,
            None => {
                self.policies.insert(policy.into(), 1);
            }
        }
        let (summary, verdict) = (&mut self.summary, judgement.verdict());
        summary.objects += 1;
        match verdict {
            Verdict::Accepted => summary.accepted += 1,
            Verdict::Rejected(_) => summary.rejected += 1,
            Verdict::Undecided(_) => summary.undecided += 1,
        }
        match (judgement.excused_from(), judgement.is_excepted()) {
            (None, _) => {}
            (Some(_), true) => summary.excepted += 1,
            (Some(_), false) => summary.baseline += 1,
        }
        summary.known_good += usize::from(judgement.is_known_good());
        let code = verdict.code().filter(|code| !self.codes.contains(code));
        self.codes.extend(code);
    }
}
