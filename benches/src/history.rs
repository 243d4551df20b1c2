//! Whole histories: `notme verify` beside `git log --show-signature`.

use std::{path::Path, time::Duration};

use notme_core::{
    key::{Signer as _, sha256},
    ssh::{
        Key, Prehash, PublicKey, SshSig, UserCertificate, signature::ed25519_blob,
        sshsig::HashAlgorithm,
    },
    time::UnixTime,
    trust::{SshCa, TrustDocument},
};
use notme_testkit::{
    cast::{LeafSpec, TestAuthority},
    commit::{CommitSpec, with_signature},
    keys::Ed25519Key,
    openpgp::{OpenPgpAuthority, OpenPgpSession},
    repository::{Repository, run},
};

use crate::{
    Effort,
    notme::{program, trust},
    one_commit::{interop_session, now},
    pack,
    peers::{self, Gpg, Gpgsm, Peer, SshKeygen},
    table::Table,
    timing::{Samples, contest, peak_memory, time},
};

const MEMORY_LIMIT: u64 = 200 << 20;
/// Commits that one session key signs.
const COMMITS_PER_KEY: usize = 400;

/// Measures histories of ours and of theirs.
pub(crate) fn measure(effort: Effort, table: &mut Table) {
    let program = program();
    for (form, (name, theirs)) in FORMS.into_iter().zip(peers(effort)) {
        table.heading(format!(
            "verifying a history of {} commits, {}",
            effort.small,
            form.name()
        ));
        let small = Ours::new(form, effort.small);
        let ours = small.measure(&program, effort.history_rounds, table);
        let ratio = theirs.median().as_secs_f64() / ours.median().as_secs_f64();
        table.row(
            format!("`git log --show-signature`, {name}: {ratio:.0}×"),
            &theirs,
        );
    }
    let Some(large) = effort.large else { return };
    eprintln!("making a history of {large} commits");
    let history = Ours::new(Form::X509, large);
    table.heading(format!("verifying a history of {large} commits"));
    history.measure(&program, effort.history_rounds.min(5), table);
}

/// Makes a repository whose branch has so many commits that we signed.
pub(crate) fn signed_history(commits: usize) -> Repository {
    Ours::new(Form::X509, commits).world
}

/// git's three forms of signature, in the order of [`peers`].
const FORMS: [Form; 3] = [Form::X509, Form::Ssh, Form::OpenPgp];

/// A form of signature.
#[derive(Clone, Copy, Debug)]
enum Form {
    X509,
    Ssh,
    OpenPgp,
}

impl Form {
    const fn name(self) -> &'static str {
        match self {
            Self::X509 => "X.509",
            Self::Ssh => "SSH",
            Self::OpenPgp => "OpenPGP",
        }
    }

    /// For 1,000 commits; other sizes in proportion.
    const fn limit_per_1000(self) -> Duration {
        Duration::from_millis(match self {
            Self::X509 => 65,
            Self::Ssh => 80,
            Self::OpenPgp => 120,
        })
    }
}

/// Signs one commit each time, with a certificate for it alone.
struct Sessions {
    x509: TestAuthority,
    ssh: Ed25519Key,
    openpgp: OpenPgpAuthority,
}

impl Sessions {
    fn new(first: UnixTime) -> Self {
        Self {
            x509: TestAuthority::born(9, first.plus(-3600)),
            ssh: Ed25519Key::from_seed([10; 32]),
            openpgp: OpenPgpAuthority::new(11),
        }
    }

    /// What pins all three.
    fn trust(&self, from: UnixTime) -> TrustDocument {
        let key = PublicKey::from_key(self.ssh.public_key()).expect("SSH has Ed25519 keys");
        let ca = SshCa {
            kid: key.kid(),
            public_key: key,
            from,
            retired_at: None,
        };
        TrustDocument {
            ssh_ca: vec![ca],
            openpgp: vec![self.openpgp.listed()],
            ..self.x509.trust(1, now())
        }
    }

    fn sign(&self, form: Form, spec: &CommitSpec, seed: u8) -> Vec<u8> {
        let payload = spec.payload();
        let signature = match form {
            Form::X509 => {
                let leaf = LeafSpec {
                    seed,
                    not_before: spec.at.plus(-60),
                    not_after: spec.at.plus(5 * 60),
                    ..LeafSpec::bound_to(&payload)
                };
                return self.x509.leaf(&leaf).sign_commit(&payload, spec.at);
            }
            Form::Ssh => self.sign_ssh(&payload, spec.at, seed),
            Form::OpenPgp => self.sign_openpgp(&payload, spec.at, seed),
        };
        with_signature(&payload, "gpgsig", &signature)
    }

    fn sign_ssh(&self, payload: &[u8], at: UnixTime, seed: u8) -> String {
        let user = Ed25519Key::from_seed([seed; 32]);
        let identity = OpenPgpSession::new().identity;
        let certificate = UserCertificate {
            nonce: [1; 32],
            key: user.public_key(),
            serial: 1,
            identity: &identity,
            principals: &[identity.as_str()],
            valid_after: at.plus(-60),
            valid_before: at.plus(5 * 60),
            payload_digest: Some(sha256(payload)),
            x509_kid: user.public_key().kid(),
            epoch: 1,
            issued_at: at,
            scopes: &["sign:git".to_owned()],
            session: [seed; 32],
            permits: &[],
        };
        let certificate = certificate.sign(&self.ssh).expect("the template is fine");
        let data = Prehash::of(HashAlgorithm::Sha512, payload).signed_data("git");
        let blob = ed25519_blob(&user.sign(&data).expect("the key signs"));
        let key = Key::Certified(Box::new(certificate));
        SshSig::new(key, "git", HashAlgorithm::Sha512, blob).to_armor()
    }

    fn sign_openpgp(&self, payload: &[u8], at: UnixTime, seed: u8) -> String {
        let session = OpenPgpSession {
            key: Ed25519Key::from_seed([seed; 32]),
            created: at.plus(-3600),
            expires: at.plus(3600),
            not_before: at.plus(-60),
            not_after: at.plus(5 * 60),
            issued_at: at,
            ..OpenPgpSession::new()
        };
        let key = self.openpgp.certify(&session, Some(payload));
        session.sign_armored(&key, payload)
    }
}

/// A history in which each commit has a certificate of its own.
struct Ours {
    world: Repository,
    form: Form,
    commits: usize,
}

impl Ours {
    fn new(form: Form, commits: usize) -> Self {
        // Two commits a second, the last one an hour ago: every certificate is long expired.
        let last = now().plus(-3600);
        let seconds = i64::try_from(commits / 2).expect("histories here are small");
        let first = last.plus(-seconds);
        let sessions = Sessions::new(first);
        let mut world = Repository::new();
        let document = sessions.trust(first.plus(-3600));
        trust(&mut world, &program(), &sessions.x509, &document);

        let mut spec = CommitSpec::new(&world.empty_tree());
        let mut objects = Vec::with_capacity(commits);
        for number in 0..commits {
            spec.at = first.plus(i64::try_from(number / 2).expect("histories here are small"));
            spec.message = format!("change number {number}\n");
            let seed = u8::try_from(number / COMMITS_PER_KEY % 200).expect("below 200");
            let raw = sessions.sign(form, &spec, seed);
            spec.parents = vec![pack::commit_id(&raw)];
            objects.push(raw);
        }
        fill(&world, &objects, "main", &spec.parents);
        Self {
            world,
            form,
            commits,
        }
    }

    fn measure(&self, program: &Path, rounds: usize, table: &mut Table) -> Samples {
        let measured = contest(
            rounds,
            vec![
                Box::new(|_| {
                    let mut verify = self.world.command(program);
                    time(verify.args(["verify", "--all"]), b"").successful("notme verify --all")
                }),
                Box::new(|_| {
                    let mut git = self.world.command("git");
                    git.args(["cat-file", "--batch-all-objects", "--batch", "--buffer"]);
                    time(&mut git, b"").successful("git cat-file")
                }),
            ],
        );
        let [ours, reading] = &measured[..] else {
            panic!("two contenders, two results")
        };
        let memory = peak_memory(self.world.command(program).args(["verify", "--all"]));
        let limit = self.form.limit_per_1000().mul_f64(self.thousands());
        table.row_within("`notme verify --all`, a new process each time", ours, limit);
        table.row(
            "reading every object, one core: `git cat-file --batch`",
            reading,
        );
        let per_commit =
            ours.median() / u32::try_from(self.commits).expect("histories here are small");
        let verdict = if memory <= MEMORY_LIMIT {
            "met"
        } else {
            "**not met**"
        };
        table.note(format!(
            "{:.1} µs a commit; at most {} MiB of memory (≤ 200 MiB: {verdict}).",
            per_commit.as_secs_f64() * 1e6,
            memory >> 20,
        ));
        ours.clone()
    }

    fn thousands(&self) -> f64 {
        f64::from(u32::try_from(self.commits).expect("histories here are small")) / 1_000.0
    }
}

/// Stores commits, points the branch at the tip, and packs everything as git would.
fn fill(world: &Repository, objects: &[Vec<u8>], branch: &str, tip: &[String]) {
    let output = run(
        world.command("git").args(["index-pack", "--stdin"]),
        &pack::of_commits(objects),
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tip = tip.first().expect("a history has a tip");
    world.git_ok(&["update-ref", &format!("refs/heads/{branch}"), tip]);
    world.git_ok(&["repack", "-a", "-d", "-F", "-q"]);
}

/// Signs a payload; returns the armor.
type Sign<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

/// Measures `git log --show-signature` over histories that stock tools verify.
fn peers(effort: Effort) -> Vec<(&'static str, Samples)> {
    let world = Repository::new();
    let (gpg, ssh) = (Gpg::set_up(&world), SshKeygen::set_up(&world));
    let (session, authority) = interop_session();
    let gpgsm = Gpgsm::set_up(&world, authority.p256_root());
    let at = now();

    let by_gpg = |payload: &[u8]| gpg.sign(&world, payload).1;
    let by_ssh = |payload: &[u8]| ssh.sign(&world, payload).1;
    let for_gpgsm =
        |payload: &[u8]| notme_core::armor::armor(&session.sign_cms(payload, at)).into_bytes();
    let histories: [(&dyn Peer, &str, Sign<'_>); 3] = [
        (&gpgsm, "gpgsm", &for_gpgsm),
        (&ssh, "ssh", &by_ssh),
        (&gpg, "gpg", &by_gpg),
    ];
    let measured = histories.map(|(peer, branch, sign)| {
        eprintln!("making and reading a history for {}", peer.name());
        write_theirs(&world, effort.small, at, branch, sign);
        let log = |format: &str| {
            let mut git = world.command("git");
            git.args(peer.settings(&world))
                .args(["log", format])
                .arg(branch);
            git
        };
        // Once, untimed: every signature must be good, or the speed means nothing.
        let grades = time(&mut log("--format=%G?"), b"");
        let good = grades
            .stdout
            .split(|byte| *byte == b'\n')
            .filter(|grade| is_good(grade))
            .count();
        assert_eq!(good, effort.small, "{} accepts all", peer.name());
        let rounds = effort.history_rounds.min(3);
        let show = |_| {
            let mut git = log("--format=%H");
            time(git.arg("--show-signature"), b"").successful("git log --show-signature")
        };
        let mut samples = contest(rounds, vec![Box::new(show)]);
        (peer.name(), samples.remove(0))
    });
    peers::stop_daemons(&world);
    measured.into()
}

/// G is good; U is good by a key that nobody vouched for, which costs the same.
fn is_good(grade: &[u8]) -> bool {
    matches!(grade, b"G" | b"U")
}

/// Makes a history that a stock tool's signatures are on.
fn write_theirs(world: &Repository, commits: usize, at: UnixTime, branch: &str, sign: Sign<'_>) {
    let mut spec = CommitSpec {
        at,
        ..CommitSpec::new(&world.empty_tree())
    };
    let mut objects = Vec::with_capacity(commits);
    for number in 0..commits {
        spec.message = format!("change number {number}\n");
        let payload = spec.payload();
        let signature = String::from_utf8(sign(&payload)).expect("armor is ASCII");
        let raw = with_signature(&payload, "gpgsig", &signature);
        spec.parents = vec![pack::commit_id(&raw)];
        objects.push(raw);
    }
    fill(world, &objects, branch, &spec.parents);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stock_tools_accept_the_histories_they_are_timed_on() {
        let effort = Effort {
            rounds: 1,
            history_rounds: 1,
            small: 3,
            large: None,
            records: 1,
            requests: [0, 0],
        };
        assert_eq!(peers(effort).len(), 3);
    }
}
