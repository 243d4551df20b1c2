//! What a statement rests on: the evidence that it cites, and what that rests on in turn.

use std::collections::BTreeSet;

use notme_verifier::{Code, Verdict};

use super::{
    About, Attestations,
    examined::{Examined, Who},
};
use crate::{
    predicate::{Evidence, Predicate, is_answer},
    store::{Place, Shelf, StoreError},
};

/// How many statements may rest on one another.
const EVIDENCE_DEPTH_MAX: usize = 32;

/// What a statement rests on.
#[derive(Clone, Debug)]
pub(super) enum Footing {
    /// All of it is there, and accepted.
    Firm(Firm),
    /// Not all of it.
    Missing(String),
    /// More than [`EVIDENCE_DEPTH_MAX`], one on the other.
    TooDeep,
}

/// What a statement rests on, all of which is there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Firm {
    /// How many, one on the other.
    height: usize,
    /// Of a statement that is cited: whether it fails. Of what others cite: whether something fails
    /// that the same signer stated.
    pub(super) fails: bool,
}

impl Footing {
    pub(super) fn refusal(&self) -> Option<(Code, String)> {
        let detail = match self {
            Self::Firm(_) => return None,
            Self::Missing(digest) => digest.clone(),
            Self::TooDeep => format!("more than {EVIDENCE_DEPTH_MAX} rest on one another"),
        };
        Some((Code::EvidenceMissing, detail))
    }
}

impl Attestations<'_> {
    /// Finds what a statement rests on, once: that does not depend on which of its commits is asked about.
    pub(super) fn footing(&self, examined: &Examined, depth: usize) -> Result<Footing, StoreError> {
        let footing = match self.footings.get(&examined.id) {
            Some(known) => known,
            None => {
                let found = self.look_below(examined, depth)?;
                // From elsewhere it may not be.
                if !matches!(found, Footing::TooDeep) {
                    self.footings.keep(examined.id.clone(), found.clone());
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
                (&it.evidence, examined.signer(), Some(&*it.activity.id))
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
        if copy.signer().as_ref() == Some(by) {
            return Ok(true);
        }
        let digest = copy.digest.as_deref().unwrap_or_default();
        for place in copy.statement.iter().flat_map(Place::of) {
            let kept = self.kept(place)?;
            let mut copies = kept.copies(digest);
            if copies.any(|it| it.signer().as_ref() == Some(by)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Judges a statement that another one rests on, once.
    fn cited(&self, examined: &Examined, about: &About<'_>) -> Result<Footing, StoreError> {
        let key = (examined.id.clone(), about.name.to_owned());
        let below = match self.cited.get(&key) {
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
                self.cited.keep(key, below);
                below
            }
        };
        Ok(match below {
            Some(below) if about.depth + below.height > EVIDENCE_DEPTH_MAX => Footing::TooDeep,
            Some(below) => Footing::Firm(below),
            None => Footing::Missing(String::new()),
        })
    }
}
