//! The chains that make a claim to a commit: what holds the heads that it carries.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use notme_verifier::{Code, Verdict};

use super::{
    About, Attestations, Found, SUCCESSIONS_MAX,
    attested::Attested,
    examined::{Examined, Who},
};
use crate::{
    chain::Chain,
    store::{Place, StoreError},
};

/// The records of one chain.
#[derive(Debug)]
pub(super) struct JudgedChain {
    /// Their order, or why they have none.
    pub(super) chain: Result<Chain, (Code, String)>,
    /// What would tie it to this repository and is not here.
    pub(super) untied: Option<&'static str>,
    /// Whether the last one tells of a failure.
    pub(super) fails: bool,
    /// Those that cover a commit.
    pub(super) covering: HashMap<String, Vec<Arc<Examined>>>,
}

impl JudgedChain {
    /// Returns the chain, if it is of this repository: what it began from and a commit that it covers are
    /// here, or what took the place of one that it covers, as its signer says.
    pub(super) fn here(&self, is_followed: bool) -> Result<&Chain, (Code, String)> {
        let chain = self.chain.as_ref().map_err(Clone::clone)?;
        match self.untied.filter(|_| !is_followed) {
            Some(detail) => Err((Code::ChainElsewhere, detail.to_owned())),
            None => Ok(chain),
        }
    }
}

/// A chain that somebody's statement is a record of, and which record that is.
pub(super) type Claim = (Arc<JudgedChain>, u64);

/// Commits, and who says that the next one took the place of each.
pub(super) type Line = Vec<(String, Option<Who>)>;

/// Adds to a line what a commit took the place of, as a record says: of those that count, at most
/// [`SUCCESSIONS_MAX`] of each signer.
pub(super) fn follow(
    line: &mut Line,
    (commit, record): (&str, &Examined),
    counts: impl Fn(&str) -> bool,
) {
    let (Some(activity), Some(by)) = (record.activity(), record.signer()) else {
        return;
    };
    let succeeds = activity.succeeds.iter().filter(|it| it.to == commit);
    for succession in succeeds.filter(|it| counts(&it.from)) {
        let before = (succession.from.clone(), Some(by.clone()));
        let by_them = line.iter().filter(|(_, by)| *by == before.1);
        if by_them.count() < SUCCESSIONS_MAX && !line.contains(&before) {
            line.push(before);
        }
    }
}

impl Attestations<'_> {
    /// Finds the chains that statements are records of, and which records those are; notes of which one holds a
    /// head that the commit carries.
    pub(super) fn claims(
        &self,
        all: &mut [Found],
        trailers: &[String],
    ) -> Result<Vec<Claim>, StoreError> {
        let mut claims = Vec::new();
        for it in all {
            if let Some(claim) = self.claim(&it.examined, &it.attested)? {
                it.is_held = trailers.iter().any(|head| holds(&claim, head));
                claims.push(claim);
            }
        }
        Ok(claims)
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
    pub(super) fn claims_of_line(
        &self,
        commit: &str,
        trailers: &[String],
        claims: Vec<Claim>,
    ) -> Result<Claims, StoreError> {
        let mut held = Claims {
            all: claims,
            ..Claims::default()
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
            let signer = match &facts {
                Some(facts) => Who::of(&self.signature(&name, facts)),
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
                    && examined.signer() == signer
                    && attested.verdict == Verdict::Accepted
                {
                    // Many may be squashed into one.
                    let carries = |from: &str| match self.facts(from) {
                        Ok(Some(facts)) => facts.trailers.iter().any(|it| heads.contains(it)),
                        Ok(None) | Err(_) => true,
                    };
                    follow(&mut line, (&name, &examined), carries);
                }
                if by.is_some() && heads.iter().any(|head| holds(&claim, head)) {
                    held.all.push(claim);
                    let name = name.clone();
                    held.before.push(Before { examined, name });
                }
            }
        }
        Ok(held)
    }
}

/// What holds the heads that a commit carries.
#[derive(Default)]
pub(super) struct Claims {
    all: Vec<Claim>,
    /// The records of those chains that are about commits whose place it took.
    pub(super) before: Vec<Before>,
    /// The claims to other commits, for the heads that those carry.
    pub(super) by_others: HashMap<String, Claims>,
}

impl Claims {
    fn has(&self, head: &str) -> bool {
        self.all.iter().any(|claim| holds(claim, head))
    }

    /// Finds a head of a statement's commits that none of their chains holds.
    fn stray<'f>(&self, found: &'f Found) -> Option<&'f String> {
        let name = found.attested.attested_as.as_ref();
        let others = name.and_then(|name| self.by_others.get(name));
        let (own, theirs) = found.trailers.split_first()?;
        let mut own = own.iter();
        let mut theirs = theirs.iter().flat_map(|heads| heads.iter());
        own.find(|head| !self.has(head)).or_else(|| {
            theirs.find(|head| !self.has(head) && !others.is_some_and(|it| it.has(head)))
        })
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
pub(super) struct Before {
    pub(super) examined: Arc<Examined>,
    pub(super) name: String,
}

/// Refuses statements about a commit that carries the head of a chain which is not here: with the
/// chain, what it says of the commit was taken away; or, of a bundle that is alone, may have been.
pub(super) fn bind(all: &mut [Found], held: &Claims, code: Code) {
    // All that is attested of one commit carries the same.
    let mut strays = HashMap::new();
    let accepted = all.iter_mut();
    for found in accepted.filter(|it| it.attested.verdict == Verdict::Accepted) {
        let stray = strays
            .entry(found.attested.attested_as.clone())
            .or_insert_with(|| held.stray(found).cloned());
        if let Some(stray) = stray {
            let detail = format!("it carries {stray}, which no chain about it holds");
            found.attested.refuse(code, detail);
        }
    }
}
