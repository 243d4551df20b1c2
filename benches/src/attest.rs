//! Attestations: bundles verified beside Sigstore's own verifiers, statements signed, a long chain.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, ChildStdout, Stdio},
    time::{Duration, Instant},
};

use notme_attest::{
    Attestations, Bundle, Store,
    make::{self, ActivityFacts, CommitSubject, covered},
    predicate::{DISPATCH, Record},
    store::Place,
    verify::Asked,
};
use notme_core::{
    dsse::{Envelope, pae},
    hex,
    key::sha256,
    statement::{PAYLOAD_TYPE, Statement},
};
use notme_testkit::{
    cast::{LeafSpec, TestAuthority},
    oracle::stranger,
    repository::Repository,
};
use notme_verifier::{Judge, Policy, Verdict, load::TrustStore};
use sigstore_verify::{VerificationPolicy, Verifier, trust_root::TrustedRoot};

use crate::{
    Effort,
    notme::{Notme, program, trust},
    one_commit::{compare, now},
    table::Table,
    timing::{Samples, contest, time},
};

const LOOP_LIMIT: Duration = Duration::from_micros(150);
const ONE_SHOT_LIMIT: Duration = Duration::from_millis(4);
const SIGN_LIMIT: Duration = Duration::from_millis(4);
/// For 10,000 records; other sizes in proportion.
const CHAIN_LIMIT: Duration = Duration::from_secs(1);
/// Bundles that are verified in turn, each with a certificate of its own: nothing is answered
/// from memory.
const BUNDLES: u32 = 16;
/// What the statements say that was to be done: a subject that every verifier can look up.
const WORK_ITEM: &[u8] = b"work item";

/// Measures everything about attestations.
pub(crate) fn measure(effort: Effort, table: &mut Table) {
    for (profile, name) in [("modern", "Ed25519"), ("interop", "P-256")] {
        let stated = Stated::new(profile);
        table.heading(format!(
            "verifying one time-stamped bundle in a loop, {name}"
        ));
        stated.in_a_loop(effort.rounds, profile == "interop", table);
        table.heading(format!("attestations, whole process, {name}"));
        if profile == "modern" {
            stated.whole_process(effort.rounds, table);
        } else {
            stated.beside_python(effort.history_rounds, table);
        }
        stated.notme.stop(&stated.world);
    }
    table.heading(format!("verifying a chain of {} records", effort.records));
    chain(effort, table);
}

/// Commits, each with a dispatch that the key agent signed.
struct Stated {
    world: Repository,
    notme: Notme,
    bundles: Vec<Vec<u8>>,
    /// The same in files, for other processes.
    files: Vec<PathBuf>,
    trusted_root: String,
}

impl Stated {
    fn new(profile: &str) -> Self {
        let mut world = Repository::new();
        let notme = Notme::set_up(&mut world, &["--agent=bench", "--profile", profile]);
        let digest = format!("sha256:{}", hex::encode(&sha256(WORK_ITEM)));
        let output = |arguments: &[&str]| {
            let done = time(&mut notme.command(&world, arguments), b"");
            done.assert_success("notme");
            String::from_utf8(done.stdout).expect("notme prints UTF-8")
        };
        let item = ["--work-item=1", "--work-item-repo=r", "--work-item-hash"];
        let mut bundles = Vec::new();
        for number in 0..BUNDLES {
            world.commit(&number.to_string(), "dispatched");
            output(&[&["attest", "dispatch"], &item[..], &[&digest]].concat());
            let lines = output(&["attest", "export"]);
            let is_dispatch = |line: &&str| {
                let bundle = Bundle::from_json(line.as_bytes()).expect("what we write we read");
                let statement = Statement::parse(bundle.envelope().payload());
                statement.is_ok_and(|it| it.predicate_type() == DISPATCH)
            };
            let dispatch = lines.lines().find(is_dispatch);
            bundles.push(dispatch.expect("it was kept").as_bytes().to_vec());
        }
        let files = bundles.iter().enumerate().map(|(number, bundle)| {
            let path = world.home().join(format!("{number}.sigstore.json"));
            fs::write(&path, bundle).expect("the home directory is writable");
            path
        });
        Self {
            files: files.collect(),
            trusted_root: output(&["trust", "export", "--sigstore"]),
            bundles,
            notme,
            world,
        }
    }

    fn in_a_loop(&self, rounds: usize, with_python: bool, table: &mut Table) {
        let home = self.world.home().join("notme");
        let trust = TrustStore::new(home.join("data/trust"), home.join("state/trust")).load(now());
        let policy = Policy::from_trust(&trust);
        let store = store(&self.world);
        let judge = Judge::new(&policy, &trust, now());
        let ours = || {
            let attestations = Attestations::new(store.clone(), &judge, Asked::default());
            for bundle in &self.bundles {
                let judged = attestations.of_bundles(vec![bundle.clone()]);
                for judged in judged.expect("the store can be read") {
                    assert_eq!(judged.verdict, Verdict::Accepted, "{:?}", judged.detail);
                }
            }
        };
        let root = TrustedRoot::from_json(&self.trusted_root).expect("they read what we write");
        let asked = VerificationPolicy::any_identity()
            .skip_tlog_unsafe()
            .skip_sct();
        let verifier = Verifier::new(&root).expect("they read what we write");
        let theirs = || {
            for bundle in &self.bundles {
                let bundle = str::from_utf8(bundle).expect("JSON is UTF-8");
                let bundle = sigstore_verify::types::Bundle::from_json(bundle);
                let bundle = bundle.expect("they read what we write");
                let verified = verifier.verify(WORK_ITEM, &bundle, &asked);
                verified.expect("they accept what we sign");
            }
        };
        let mut python = with_python.then(|| Python::start(self));
        let mut contenders: Vec<crate::timing::Contender<'_>> =
            vec![Box::new(|_| each(&ours)), Box::new(|_| each(&theirs))];
        if let Some(python) = &mut python {
            contenders.push(Box::new(|_| python.verify()));
        }
        let measured = contest(rounds, contenders);
        let mut peers = Vec::new();
        if let [ours, crate_samples, others @ ..] = &measured[..] {
            table.row_within("notme, with its commit and predicate", ours, LOOP_LIMIT);
            table.row(
                "the crate `sigstore-verify`, no log entry asked",
                crate_samples,
            );
            peers.push(("sigstore-verify", crate_samples));
            for python in others {
                table.row("sigstore-python's own parts, without its log", python);
                peers.push(("sigstore-python", python));
            }
            compare(table, ours, &peers);
        }
        if let Some(python) = python {
            python.stop();
        }
    }

    fn whole_process(&self, rounds: usize, table: &mut Table) {
        // One that nobody spoke of yet for each run, so that none has more to read than another.
        // All are named by their ids: what it takes to count back to them is git's affair.
        let attested = self.world.git_ok(&["rev-parse", "HEAD"]);
        let spare: Vec<String> = (0..rounds + 8)
            .map(|number| self.world.commit(&number.to_string(), "spare"))
            .collect();
        let one = |run: usize| spare.get(run).expect("there is one for each run");
        let call = |arguments: &[&str]| {
            let mut command = self.notme.command(&self.world, arguments);
            time(&mut command, b"").successful("notme attest")
        };
        let measured = contest(
            rounds,
            vec![
                Box::new(|_| call(&["attest", "verify", &attested])),
                Box::new(|run| call(&["attest", "acceptance", one(run)])),
            ],
        );
        if let [verify, sign] = &measured[..] {
            table.row_within(
                "`notme attest verify`, two statements",
                verify,
                ONE_SHOT_LIMIT,
            );
            table.row_within(
                "`notme attest acceptance`, signed and stamped",
                sign,
                SIGN_LIMIT,
            );
        }
    }

    /// sigstore-python verifies P-256 alone.
    fn beside_python(&self, rounds: usize, table: &mut Table) {
        let measured = contest(
            rounds,
            vec![
                Box::new(|_| {
                    let mut command = self.notme.command(&self.world, &["attest", "verify"]);
                    time(&mut command, b"").successful("notme attest verify")
                }),
                Box::new(|_| {
                    let mut python = stranger("bench.py");
                    python.arg(self.root_file()).args(self.files.first());
                    time(&mut python, b"\n").successful("python")
                }),
            ],
        );
        if let [ours, python] = &measured[..] {
            table.row_within(
                "`notme attest verify`, two statements",
                ours,
                ONE_SHOT_LIMIT,
            );
            table.row("sigstore-python's own parts, one bundle", python);
            compare(table, ours, &[("sigstore-python", python)]);
        }
    }

    fn root_file(&self) -> PathBuf {
        let root = self.world.home().join("root.json");
        fs::write(&root, &self.trusted_root).expect("the home directory is writable");
        root
    }
}

/// Times one pass over all bundles and divides it among them.
fn each(pass: &impl Fn()) -> Duration {
    let start = Instant::now();
    pass();
    start.elapsed() / BUNDLES
}

/// A process that verifies all bundles whenever it is told to.
struct Python {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Python {
    fn start(stated: &Stated) -> Self {
        let mut child = stranger("bench.py")
            .arg(stated.root_file())
            .args(&stated.files)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python is installed");
        let answers = child.stdout.take().expect("stdout is piped");
        Self {
            child,
            answers: BufReader::new(answers),
        }
    }

    fn verify(&mut self) -> Duration {
        let stdin = self.child.stdin.as_mut().expect("stdin is piped");
        writeln!(stdin).expect("python is there");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("python answers");
        Duration::from_nanos(line.trim().parse().expect("python accepts all"))
    }

    fn stop(mut self) {
        drop(self.child.stdin.take());
        self.child
            .wait()
            .expect("a started child can be waited for");
    }
}

/// Measures the verdict on a commit that one record of a long chain is about.
fn chain(effort: Effort, table: &mut Table) {
    let at = now().plus(-3600);
    let authority = TestAuthority::born(12, at.plus(-3600));
    let mut world = Repository::new();
    trust(
        &mut world,
        &program(),
        &authority,
        &authority.trust(1, now()),
    );
    world.commit("0", "recorded");
    let store = store(&world);
    let id = world.git_ok(&["rev-parse", "HEAD"]);
    let facts = store.commit(&id).expect("the store can be read");
    let commits = [CommitSubject::new(&id, &facts.expect("it was just made"))];

    let mut records: Vec<(Vec<u8>, Vec<Place>)> = Vec::new();
    let mut head = String::new();
    for sequence in 0..u64::from(effort.records) {
        let covers: &[CommitSubject] = if sequence == 1 { &commits } else { &[] };
        let is_last = sequence + 1 == u64::from(effort.records);
        let record = match sequence.checked_sub(1) {
            None => Record::opening(None, covered(covers)),
            Some(before) => Record::after(before, &head, is_last, covered(covers)),
        };
        let facts = ActivityFacts {
            includes: vec!["commits".to_owned()],
            ..ActivityFacts::unknown("urn:bench", "bench", at)
        };
        let statement = make::activity(facts, record, covers).expect("a record like others");
        let payload = statement.to_payload().expect("a record like others");
        let message = pae(PAYLOAD_TYPE, &payload);
        let session = authority.leaf(&LeafSpec {
            scopes: vec!["sign:attestation".to_owned()],
            not_before: at.plus(-60),
            not_after: at.plus(5 * 60),
            ..LeafSpec::bound_to(&message)
        });
        let signature = session.key().sign(&message).expect("the key signs");
        let kid = session.certificate().kid();
        let envelope = Envelope::signed(PAYLOAD_TYPE, payload, kid, signature);
        let bundle = Bundle::new(envelope, vec![session.certificate().clone()], Vec::new());
        head = bundle.payload_digest();
        let json = bundle.to_json().expect("bundles can be written");
        records.push((json, Place::of(&statement)));
    }
    store.write(&records, at).expect("the store can be written");
    world.git_ok(&["repack", "-a", "-d", "-q"]);

    let program = program();
    let measured = contest(
        effort.history_rounds,
        vec![Box::new(|_| {
            let mut verify = world.command(&program);
            time(verify.args(["attest", "verify"]), b"").successful("notme attest verify")
        })],
    );
    let limit = CHAIN_LIMIT * effort.records / 10_000;
    for samples in &measured {
        table.row_within(
            "`notme attest verify`, a new process each time",
            samples,
            limit,
        );
        let per_record: Duration = Samples::median(samples) / effort.records;
        table.note(format!(
            "{:.1} µs a record.",
            per_record.as_secs_f64() * 1e6
        ));
    }
}

fn store(world: &Repository) -> Store {
    Store::open(&world.path().join(".git")).expect("the repository can be opened")
}
