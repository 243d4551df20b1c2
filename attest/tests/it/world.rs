//! A repository with commits, an authority that certifies agents, and short ways to judge.

use notme_attest::{
    Attestations, Attested, Bundle, Store,
    make::{self, ActivityFacts, CommitSubject, covered},
    predicate::Record,
    store::Place,
    verify::{Asked, GoesOn, Tip},
};
use notme_core::{
    dsse::{Envelope, pae},
    key::KeyId,
    statement::{PAYLOAD_TYPE, Statement},
};
use notme_testkit::{
    cast::{LeafSpec, TestAuthority},
    clock::NOW,
    repository::Repository,
};
use notme_verifier::{
    Code, Judge, Policy, Trust, Verdict,
    trust::{Authority, PinKind},
};

/// What is kept, and where.
pub(crate) type Kept = (Vec<u8>, Vec<Place>);

pub(crate) struct World {
    pub(crate) repository: Repository,
    pub(crate) store: Store,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::of(Repository::new())
    }

    pub(crate) fn of(repository: Repository) -> Self {
        let store = Store::open(&repository.path().join(".git")).unwrap();
        Self { repository, store }
    }

    /// Makes an unsigned commit.
    pub(crate) fn commit(&self, name: &str) -> CommitSubject {
        self.subject(&self.repository.commit(name, name))
    }

    /// Makes a commit of a new file that carries the head of a chain.
    pub(crate) fn commit_after(&self, head: &str) -> CommitSubject {
        let before = self.repository.git(&["rev-list", "--count", "HEAD"]);
        let name = format!("after-{}", String::from_utf8_lossy(&before.stdout).trim());
        self.repository.write(&name, &name);
        self.repository.git_ok(&["add", "--", &name]);
        let trailer = format!("Agent-Chain: {head}");
        let commit = [
            "commit",
            "--quiet",
            "--no-gpg-sign",
            "-m",
            "next",
            "--trailer",
        ];
        self.repository.git_ok(&[&commit[..], &[&trailer]].concat());
        self.subject(&self.repository.git_ok(&["rev-parse", "HEAD"]))
    }

    pub(crate) fn subject(&self, id: &str) -> CommitSubject {
        CommitSubject::new(id, &self.store.commit(id).unwrap().unwrap())
    }

    pub(crate) fn write(&self, bundles: &[Kept]) {
        self.store.write(bundles, NOW).unwrap();
    }

    pub(crate) fn judged(&self, commit: &CommitSubject) -> Vec<Attested> {
        self.judged_as(commit, Asked::default())
    }

    pub(crate) fn judged_as(&self, commit: &CommitSubject, asked: Asked) -> Vec<Attested> {
        self.with_judge(asked, |attestations, _| {
            attestations.of(&commit.id).unwrap()
        })
    }

    /// Returns the code of each statement about a commit, by the order of the files; `None` for
    /// the accepted.
    pub(crate) fn codes(&self, commit: &CommitSubject) -> Vec<Option<Code>> {
        let judged = self.judged(commit);
        judged.iter().map(|it| it.verdict.code()).collect()
    }

    /// Returns the code of the only statement about a commit.
    #[track_caller]
    pub(crate) fn code(&self, commit: &CommitSubject) -> Option<Code> {
        let judged = self.judged(commit);
        let [only] = &*judged else {
            panic!("{} statements", judged.len());
        };
        only.verdict.code()
    }
}

pub(crate) fn authority() -> TestAuthority {
    TestAuthority::new(1)
}

/// One that issues for the same trust domain.
fn other_authority() -> TestAuthority {
    TestAuthority::new(2)
}

/// The certificate that an agent gets for a statement.
pub(crate) fn spec(agent: &str, message: &[u8]) -> LeafSpec {
    let scopes = ["bridgeCert", "sign:git", "sign:attestation"];
    LeafSpec {
        // Everybody has a key of their own.
        seed: agent
            .bytes()
            .fold(0, |seed: u8, byte| seed.wrapping_mul(31) ^ byte),
        identity: identity(agent).parse().unwrap(),
        scopes: scopes.map(str::to_owned).to_vec(),
        ..LeafSpec::bound_to(message)
    }
}

/// Returns the id of a key, by its seed.
pub(crate) fn kid(agent: &str, seed: u8) -> KeyId {
    let spec = LeafSpec {
        seed,
        ..spec(agent, b"")
    };
    authority().leaf(&spec).certificate().kid()
}

pub(crate) fn identity(agent: &str) -> String {
    format!("wimse://test.invalid/agent/alice/{agent}")
}

/// Signs a statement as an agent.
pub(crate) fn signed(agent: &str, statement: &Statement) -> Vec<u8> {
    signed_payload(statement.to_payload().unwrap(), |message| {
        spec(agent, message)
    })
}

/// Signs whatever it is given, with whatever certificate.
pub(crate) fn signed_payload(payload: Vec<u8>, spec: impl FnOnce(&[u8]) -> LeafSpec) -> Vec<u8> {
    signed_as(PAYLOAD_TYPE, payload, spec)
}

pub(crate) fn signed_as(
    payload_type: &str,
    payload: Vec<u8>,
    spec: impl FnOnce(&[u8]) -> LeafSpec,
) -> Vec<u8> {
    signed_under(&authority(), payload_type, payload, spec)
}

fn payload_of(bundle: &[u8]) -> Vec<u8> {
    let bundle = Bundle::from_json(bundle).unwrap();
    bundle.envelope().payload().to_vec()
}

/// Signs the same with a certificate that says nothing of when: one for each key, by its seed.
pub(crate) fn untimed(agent: &str, seed: u8, (bundle, places): &Kept) -> Kept {
    let signed = signed_payload(payload_of(bundle), |message| LeafSpec {
        payload_digest: None,
        seed,
        ..spec(agent, message)
    });
    (signed, places.clone())
}

/// Signs the same once more, as the agent of that name of the other authority.
pub(crate) fn by_namesake(agent: &str, (bundle, places): &Kept) -> Kept {
    let payload = payload_of(bundle);
    let spec = |message: &[u8]| LeafSpec {
        seed: 0,
        ..spec(agent, message)
    };
    let signed = signed_under(&other_authority(), PAYLOAD_TYPE, payload, spec);
    (signed, places.clone())
}

fn signed_under(
    authority: &TestAuthority,
    payload_type: &str,
    payload: Vec<u8>,
    spec: impl FnOnce(&[u8]) -> LeafSpec,
) -> Vec<u8> {
    let message = pae(payload_type, &payload);
    let session = authority.leaf(&spec(&message));
    let signature = session.key().sign(&message).unwrap();
    let kid = session.certificate().kid();
    let envelope = Envelope::signed(payload_type, payload, kid, signature);
    let bundle = Bundle::new(envelope, vec![session.certificate().clone()], Vec::new());
    bundle.to_json().unwrap()
}

pub(crate) fn digest(bundle: &[u8]) -> String {
    Bundle::from_json(bundle).unwrap().payload_digest()
}

pub(crate) fn facts(id: &str, agent: &str) -> ActivityFacts {
    ActivityFacts {
        workload: Some(identity(agent)),
        includes: vec!["commits".to_owned()],
        ..ActivityFacts::unknown(id, agent, NOW)
    }
}

/// Returns everything that a statement about commits is kept under.
pub(crate) fn places(commits: &[CommitSubject], activity: Option<&str>) -> Vec<Place> {
    let of_commit = |it: &CommitSubject| [Place::commit(&it.id), Place::tree(&it.tree)];
    let commits = commits.iter().flat_map(of_commit);
    commits.chain(activity.map(Place::activity)).collect()
}

/// Signs the record of an activity and says where it belongs.
pub(crate) fn record(facts: ActivityFacts, chain: Record, commits: &[CommitSubject]) -> Kept {
    let places = places(commits, Some(&facts.id));
    let agent = facts.agent.clone();
    let statement = make::activity(facts, chain, commits).unwrap();
    (signed(&agent, &statement), places)
}

/// Signs the whole chain of an activity: its opening, one record for each commit, its closing.
pub(crate) fn chain(id: &str, agent: &str, commits: &[CommitSubject]) -> Vec<Kept> {
    let mut records = vec![record(
        facts(id, agent),
        Record::opening(None, Default::default()),
        &[],
    )];
    for commit in commits {
        let commit = [commit.clone()];
        records.push(next(id, agent, &records, false, &commit));
    }
    let closing = next(id, agent, &records, true, &[]);
    records.push(closing);
    records
}

/// Signs the record that comes after those.
pub(crate) fn next(
    id: &str,
    agent: &str,
    before: &[Kept],
    closing: bool,
    commits: &[CommitSubject],
) -> Kept {
    let (last, _) = before.last().unwrap();
    let sequence = u64::try_from(before.len()).unwrap() - 1;
    let chain = Record::after(sequence, &digest(last), closing, covered(commits));
    record(facts(id, agent), chain, commits)
}

#[track_caller]
pub(crate) fn assert_accepted(judged: &[Attested]) {
    assert!(!judged.is_empty());
    for it in judged {
        assert_eq!(it.verdict, Verdict::Accepted, "{:?}", it.detail);
    }
}

impl World {
    /// Returns why the chain of an activity is none.
    pub(crate) fn chain_code(&self, activity: &str, agent: &str) -> Option<Code> {
        self.tip(activity, agent).0.err()
    }

    /// Returns the code of a bundle that is kept nowhere.
    pub(crate) fn bundle_code(&self, bundle: Vec<u8>) -> Option<Code> {
        self.bundle_codes(vec![bundle]).remove(0)
    }

    /// Returns the codes of bundles that are kept nowhere, and judged together.
    pub(crate) fn bundle_codes(&self, bundles: Vec<Vec<u8>>) -> Vec<Option<Code>> {
        let judged = self.with_attestations(|it| it.of_bundles(bundles).unwrap());
        judged.iter().map(|it| it.verdict.code()).collect()
    }

    /// Returns where the chain of an activity ends, and how many signatures were judged to know.
    pub(crate) fn tip(&self, activity: &str, agent: &str) -> (Result<Tip, Code>, usize) {
        self.tip_for(activity, agent, spec(agent, b"").seed)
    }

    /// As [`Self::tip`], for whoever signs with another key now, by its seed.
    pub(crate) fn tip_for(
        &self,
        activity: &str,
        agent: &str,
        seed: u8,
    ) -> (Result<Tip, Code>, usize) {
        let mut examined = 0;
        let by = Some(kid(agent, seed));
        let tip = self.with_judge(Asked::default(), |attestations, judge| {
            let goes_on = GoesOn { by, after: None };
            let tip = attestations.tip(activity, &identity(agent), goes_on);
            let tip = tip.unwrap();
            examined = judge.examined();
            tip.map_err(|(code, _)| code)
        });
        (tip, examined)
    }

    pub(crate) fn with_attestations<T>(&self, ask: impl FnOnce(&Attestations<'_>) -> T) -> T {
        self.with_judge(Asked::default(), |attestations, _| ask(attestations))
    }

    /// Judges where both authorities are trusted.
    pub(crate) fn judged_by_both(&self, commit: &CommitSubject) -> Vec<Attested> {
        let both = [("local", authority()), ("other", other_authority())];
        self.trusting(&both, Asked::default(), |attestations, _| {
            attestations.of(&commit.id).unwrap()
        })
    }

    pub(crate) fn with_judge<T>(
        &self,
        asked: Asked,
        ask: impl FnOnce(&Attestations<'_>, &Judge<'_>) -> T,
    ) -> T {
        self.trusting(&[("local", authority())], asked, ask)
    }

    fn trusting<T>(
        &self,
        authorities: &[(&str, TestAuthority)],
        asked: Asked,
        ask: impl FnOnce(&Attestations<'_>, &Judge<'_>) -> T,
    ) -> T {
        let pinned = authorities.iter().map(|(name, authority)| {
            let scopes = PinKind::TrustDocument.default_scopes();
            Authority::from_document(name, scopes, &authority.trust(1, NOW))
        });
        let trust = Trust::new(pinned.collect(), Vec::new());
        let policy = Policy::from_trust(&trust);
        let judge = Judge::new(&policy, &trust, NOW.plus(600));
        let attestations = Attestations::new(self.store.clone(), &judge, asked);
        ask(&attestations, &judge)
    }
}
