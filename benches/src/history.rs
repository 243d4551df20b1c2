//! Whole histories: `notme verify` beside `git log --show-signature`.

use std::{env, path::Path, process::Command, time::Duration};

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
    notme::{program, trust, trust_person},
    one_commit::{interop_session, now},
    pack::{self, Kind},
    peers::{self, Gpg, Gpgsm, Peer, SqGit, SshKeygen},
    table::Table,
    timing::{Samples, contest, peak_memory, time},
};

/// Commits that one session key signs.
const COMMITS_PER_KEY: usize = 400;
/// Commits that are made, and given to git, at once.
const AT_ONCE: usize = 50_000;
/// Where a repository keeps its policy, and one that lets every agent here.
const POLICY: [&str; 2] = [
    ".notme/policy.toml",
    "[[allow]]\nidentity = \"wimse://**\"\npolicy = true\n",
];

/// Measures histories of ours and of theirs.
pub(crate) fn measure(effort: Effort, table: &mut Table) {
    let program = program();
    let (peers, mut theirs) = peers(effort);
    let sq_git = over_gpgs(&mut theirs, effort);
    for (form, (name, theirs)) in FORMS.into_iter().zip(peers) {
        table.heading(format!(
            "verifying a history of {} commits, {}",
            effort.small,
            form.name()
        ));
        let small = Ours::new(form, effort.small, &Trees::Same);
        let ours = small.measure(&program, effort.history_rounds, table);
        let ratio = theirs.median().as_secs_f64() / ours.median().as_secs_f64();
        let scaled = match peer_commits(name, effort) {
            count if count == effort.small => String::new(),
            count => format!(", from {count} commits"),
        };
        table.row(
            format!("`git log --show-signature`, {name}{scaled}: {ratio:.0}×"),
            &theirs,
        );
        if let Form::OpenPgp = form {
            beside_sq_git(sq_git.as_ref(), table);
        }
    }
    measure_large(effort.large, effort, table);
}

/// How many times as long sq-git has to take.
const SQ_GIT_FACTOR: f64 = 4.0;

fn beside_sq_git(sq_git: Option<&[Samples; 3]>, table: &mut Table) {
    let Some([cold, warm, ours]) = sq_git else {
        let install = SqGit::INSTALL;
        table.note(format!(
            "sq-git is not at hand, and was not measured: `{install}`."
        ));
        return;
    };
    table.row(
        "gpg's history: `sq-git log` from the first commit on, cold",
        cold,
    );
    table.row("the same, warm", warm);
    table.row("the same by `notme verify`, cold, two cores", ours);
    let ratio = cold.median().as_secs_f64() / ours.median().as_secs_f64();
    let verdict = if ratio >= SQ_GIT_FACTOR {
        "met"
    } else {
        "**not met**"
    };
    table.note(format!(
        "Beside notme, sq-git takes {ratio:.1}× (≥ {SQ_GIT_FACTOR}×: {verdict})."
    ));
}

/// Measures the largest history.
pub(crate) fn measure_million(effort: Effort, table: &mut Table) {
    measure_large(effort.largest, effort, table);
}

fn measure_large(commits: Option<usize>, effort: Effort, table: &mut Table) {
    let Some(commits) = commits else { return };
    eprintln!("making a history of {commits} commits");
    let history = Ours::new(Form::X509, commits, &Trees::Same);
    table.heading(format!("verifying a history of {commits} commits"));
    let rounds = match commits {
        ..=100_000 => effort.history_rounds.min(5),
        _ => 1,
    };
    history.measure(&program(), rounds, table);
}

/// Measures what rests on a compromised key.
pub(crate) fn measure_radius(effort: Effort, table: &mut Table) {
    let program = program();
    let commits = effort.large.unwrap_or(2_000);
    eprintln!("making a history of {commits} commits that change files");
    let history = Ours::new(Form::X509, commits, &Trees::OneFileEach);
    table.heading(format!(
        "what rests on a compromised key, among {commits} commits"
    ));
    let key = Ed25519Key::from_seed([0; 32])
        .public_key()
        .kid()
        .to_string();
    let limit = Duration::from_secs(3).mul_f64(history.thousands() / 100.0);
    let compromised = |what: &'static str, name: &str, options: &[&str]| {
        let mut verify = history.world.command(&program);
        verify.args([
            "verify",
            "--compromised",
            name,
            "--since",
            "2026-01-01T00:00:00Z",
        ]);
        let done = time(verify.args(options), b"");
        assert!(
            !done.stdout.is_empty(),
            "{what}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        done.duration
    };
    let measured = contest(
        effort.history_rounds.min(5),
        vec![
            Box::new(|_| compromised("a key", &key, &[])),
            Box::new(|_| compromised("the authority", "bench", &[])),
            Box::new(|_| compromised("a key", &key, &["--no-cache"])),
        ],
    );
    let [of_key, of_all, cold] = &measured[..] else {
        panic!("three contenders, three results")
    };
    table.row_within(
        "`notme verify --compromised` of one key, warm",
        of_key,
        limit,
    );
    table.row_within(
        "the same of the authority: of every commit, warm",
        of_all,
        limit,
    );
    table.row("the same of one key, cold", cold);
}

/// Makes a repository whose branch has so many commits that we signed.
pub(crate) fn signed_history(commits: usize) -> Repository {
    Ours::new(Form::X509, commits, &Trees::Same).world
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
            Self::X509 => 55,
            Self::Ssh => 55,
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

    /// Signs a commit with the key that a session got when it began.
    fn sign(&self, form: Form, spec: &CommitSpec, (seed, began): (u8, UnixTime)) -> Vec<u8> {
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
            Form::OpenPgp => self.sign_openpgp(&payload, spec.at, (seed, began)),
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
            terms: None,
        };
        let certificate = certificate.sign(&self.ssh).expect("the template is fine");
        let data = Prehash::of(HashAlgorithm::Sha512, payload).signed_data("git");
        let blob = ed25519_blob(&user.sign(&data).expect("the key signs"));
        let key = Key::Certified(Box::new(certificate));
        SshSig::new(key, "git", HashAlgorithm::Sha512, blob).to_armor()
    }

    fn sign_openpgp(&self, payload: &[u8], at: UnixTime, (seed, began): (u8, UnixTime)) -> String {
        let session = OpenPgpSession {
            key: Ed25519Key::from_seed([seed; 32]),
            created: began,
            expires: began.plus(3600),
            not_before: at.plus(-60),
            not_after: at.plus(5 * 60),
            issued_at: at,
            terms: None,
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
    /// The first commit.
    root: String,
}

impl Ours {
    fn new(form: Form, commits: usize, trees: &Trees) -> Self {
        // Two commits a second, the last one an hour ago: every certificate is long expired.
        let last = now().plus(-3600);
        let seconds = i64::try_from(commits / 2).expect("histories here are small");
        let first = last.plus(-seconds);
        let sessions = Sessions::new(first);
        let mut world = Repository::new();
        let document = sessions.trust(first.plus(-3600));
        trust(&mut world, &program(), &sessions.x509, &document);
        world.write(POLICY[0], POLICY[1]);
        world.git_ok(&["add", "--all"]);
        let mut spec = CommitSpec::new(&world.git_ok(&["write-tree"]));
        let mut files = trees.files();
        let mut objects = Vec::new();
        let mut root = String::new();
        for number in 0..commits {
            let at = |number: usize| {
                first.plus(i64::try_from(number / 2).expect("histories here are small"))
            };
            spec.at = at(number);
            spec.message = format!("change number {number}\n");
            if let Some(files) = &mut files {
                spec.tree = files.change(number, &mut objects);
            }
            let session = number / COMMITS_PER_KEY;
            let seed = u8::try_from(session % 200).expect("below 200");
            let raw = sessions.sign(form, &spec, (seed, at(session * COMMITS_PER_KEY)));
            let id = pack::commit_id(&raw);
            if number == 0 {
                root.clone_from(&id);
            }
            spec.parents = vec![id];
            objects.push((Kind::Commit, raw));
            if objects.len() >= AT_ONCE {
                store(&world, &objects);
                objects.clear();
            }
        }
        store(&world, &objects);
        settle(&world, "main", &spec.parents);
        Self {
            world,
            form,
            commits,
            root,
        }
    }

    /// Measures cold and warm runs beside the floor; returns the cold one on all cores.
    fn measure(&self, program: &Path, rounds: usize, table: &mut Table) -> Samples {
        let here = env::current_exe().expect("a running program has a path");
        let notme = |arguments: &[&str]| {
            let mut verify = self.world.command(program);
            verify.arg("verify").args(arguments);
            time(&mut verify, b"").successful("notme verify")
        };
        let floor = |jobs: &str| {
            let mut floor = Command::new(&here);
            floor.arg(FLOOR).arg(self.world.path()).arg(jobs);
            floor
        };
        let cold = |jobs| notme(&["--all", "--no-cache", "--jobs", jobs]);
        let newest = ["HEAD~1..HEAD", "--trust-root", &self.root];
        // What is kept is kept by these.
        notme(&["--all"]);
        notme(&["HEAD~1", "--trust-root", &self.root]);
        let measured = contest(
            rounds,
            vec![
                Box::new(|_| cold("2")),
                Box::new(|_| time(&mut floor("2"), b"").successful("the floor")),
                Box::new(|_| cold("1")),
                Box::new(|_| time(&mut floor("1"), b"").successful("the floor")),
                Box::new(|_| notme(&["--all"])),
                Box::new(|_| notme(&newest[..1])),
                Box::new(|_| notme(&newest)),
                Box::new(|_| {
                    let mut git = self.world.command("git");
                    git.args(["cat-file", "--batch-all-objects", "--batch", "--buffer"]);
                    time(&mut git, b"").successful("git cat-file")
                }),
            ],
        );
        let [
            two,
            floor_of_two,
            one,
            floor_of_one,
            warm,
            newest_alone,
            newest_behind,
            reading,
        ] = &measured[..]
        else {
            panic!("eight contenders, eight results")
        };
        let limit = self.form.limit_per_1000().mul_f64(self.thousands());
        table.row_within("`notme verify --all`, cold, two cores", two, limit);
        table.row("the floor, two cores", floor_of_two);
        table.row("`notme verify --all`, cold, one core", one);
        table.row("the floor, one core", floor_of_one);
        let warm_limit = Duration::from_millis(5);
        match self.commits {
            1_000 => table.row_within("`notme verify --all`, warm", warm, warm_limit),
            _ => table.row("`notme verify --all`, warm", warm),
        }
        let limit = Duration::from_millis(15);
        table.row_within("`notme verify HEAD~1..HEAD`, warm", newest_alone, limit);
        table.row_within("the same with `--trust-root`, warm", newest_behind, limit);
        table.row(
            "reading every object, one core: `git cat-file --batch`",
            reading,
        );
        let of_ours = |arguments: &[&str]| {
            let mut verify = self.world.command(program);
            peak_memory(verify.arg("verify").args(arguments))
        };
        let (cold, warm) = (of_ours(&["--all", "--no-cache"]), of_ours(&["--all"]));
        let mib = |bytes: u64| bytes >> 20;
        let verdict = if mib(cold.own) <= MEMORY_LIMIT {
            "met"
        } else {
            "**not met**"
        };
        let ratio = |ours: &Samples, floor: &Samples| {
            ours.median().as_secs_f64() / floor.median().as_secs_f64()
        };
        let (of_two, of_one) = (ratio(two, floor_of_two), ratio(one, floor_of_one));
        let is_near = if of_two <= FLOOR_FACTOR && of_one <= FLOOR_FACTOR {
            "met"
        } else {
            "**not met**"
        };
        let per_commit =
            two.median() / u32::try_from(self.commits).expect("histories here are small");
        table.note(format!(
            "{:.1} µs a commit; {of_two:.2} and {of_one:.2} times the floor (≤ {FLOOR_FACTOR}: {is_near}). At most {} MiB of memory of its own (≤ {MEMORY_LIMIT} MiB: {verdict}), {} MiB with the pack's pages; warm {} and {} MiB; the floor {} MiB with the pack's pages.",
            per_commit.as_secs_f64() * 1e6,
            mib(cold.own),
            mib(cold.with_files),
            mib(warm.own),
            mib(warm.with_files),
            mib(peak_memory(&mut floor("2")).with_files),
        ));
        two.clone()
    }

    fn thousands(&self) -> f64 {
        f64::from(u32::try_from(self.commits).expect("histories here are small")) / 1_000.0
    }
}

/// What the commits of a history change.
enum Trees {
    /// Nothing: each has the same tree.
    Same,
    /// One of some files.
    OneFileEach,
}

impl Trees {
    fn files(&self) -> Option<Files> {
        match self {
            Self::Same => None,
            Self::OneFileEach => Some(Files(vec![Vec::new(); FILES])),
        }
    }
}

/// How many files there are in a history that changes any.
const FILES: usize = 64;

/// The lines of some files in a folder.
struct Files(Vec<Vec<usize>>);

impl Files {
    /// Adds a line to one of them; returns the tree.
    fn change(&mut self, number: usize, objects: &mut Vec<(Kind, Vec<u8>)>) -> String {
        let file = number % FILES;
        let lines = self.0.get_mut(file).expect("there are so many files");
        // Of ten, so that files stay files.
        if lines.len() == 10 {
            lines.remove(0);
        }
        lines.push(number);
        let mut put = |kind, raw: Vec<u8>| {
            let id = pack::id(kind, &raw);
            objects.push((kind, raw));
            id
        };
        let mut folder = Vec::new();
        for (file, lines) in self.0.iter().enumerate() {
            let text: String = lines.iter().map(|line| format!("line {line}\n")).collect();
            let id = match file == number % FILES {
                true => put(Kind::Blob, text.into_bytes()),
                false if lines.is_empty() => continue,
                false => pack::id(Kind::Blob, text.as_bytes()),
            };
            folder.extend(format!("100644 file{file:02}\0").bytes());
            folder.extend(id);
        }
        let mut root = b"40000 src\0".to_vec();
        root.extend(put(Kind::Tree, folder));
        notme_core::hex::encode(&put(Kind::Tree, root))
    }
}

/// The call of this program that is the floor.
pub(crate) const FLOOR: &str = "floor-of";
/// How much longer than the floor a history may take.
const FLOOR_FACTOR: f64 = 1.3;
/// In MiB.
const MEMORY_LIMIT: u64 = 250;

/// Stores objects.
fn store(world: &Repository, objects: &[(Kind, Vec<u8>)]) {
    let output = run(
        world.command("git").args(["index-pack", "--stdin"]),
        &pack::of(objects),
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Points a branch at its tip, and packs everything as git would.
fn settle(world: &Repository, branch: &str, tip: &[String]) {
    let tip = tip.first().expect("a history has a tip");
    world.git_ok(&["update-ref", &format!("refs/heads/{branch}"), tip]);
    world.git_ok(&["repack", "-a", "-d", "-F", "-q"]);
}

/// Signs a payload; returns the armor.
type Sign<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

/// A tool, and how long it took.
type Measured = (&'static str, Samples);

/// Measures `git log --show-signature` over histories that stock tools verify, and returns these too.
fn peers(effort: Effort) -> (Vec<Measured>, Repository) {
    let world = Repository::new();
    let (gpg, ssh) = (Gpg::set_up(&world), SshKeygen::set_up(&world));
    let (session, authority) = interop_session();
    let gpgsm = Gpgsm::set_up(&world, authority.p256_root());
    let at = now();

    let by_gpg = |payload: &[u8]| gpg.sign(&world, payload).1;
    let by_ssh = |payload: &[u8]| ssh.sign(&world, payload).1;
    let for_gpgsm =
        |payload: &[u8]| notme_core::armor::armor(&session.sign_cms(payload, at)).into_bytes();
    world.write(SqGit::POLICY, &SqGit::policy(&world));
    world.git_ok(&["add", "--all"]);
    let tree = world.git_ok(&["write-tree"]);
    let histories: [(&dyn Peer, &str, Sign<'_>); 3] = [
        (&gpgsm, "gpgsm", &for_gpgsm),
        (&ssh, "ssh", &by_ssh),
        (&gpg, "gpg", &by_gpg),
    ];
    let measured = histories.map(|(peer, branch, sign)| {
        eprintln!("making and reading a history for {}", peer.name());
        let commits = peer_commits(peer.name(), effort);
        let spec = CommitSpec {
            at,
            ..CommitSpec::new(&tree)
        };
        write_theirs(&world, commits, spec, branch, sign);
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
        assert_eq!(good, commits, "{} accepts all", peer.name());
        let rounds = effort.history_rounds.min(3);
        let show = |_| {
            let mut git = log("--format=%H");
            time(git.arg("--show-signature"), b"").successful("git log --show-signature")
        };
        let samples = contest(rounds, vec![Box::new(show)]).remove(0);
        let scale = u32::try_from(effort.small / commits).expect("histories here are small");
        (peer.name(), samples.scaled(scale))
    });
    peers::stop_daemons(&world);
    (measured.into(), world)
}

/// Measures sq-git, cold and warm, and notme over the history of gpg, where every commit takes one
/// check.
fn over_gpgs(world: &mut Repository, effort: Effort) -> Option<[Samples; 3]> {
    let sq_git = SqGit::find(world, "gpg")?;
    let rounds = effort.history_rounds.min(3);
    let program = program();
    let policy = trust_person(world, &program);
    let ours = || {
        let mut verify = world.command(&program);
        verify.args(["verify", "--no-cache", "--policy", &policy]);
        time(verify.arg(format!("{}..gpg", sq_git.root())), b"").successful("notme verify")
    };
    let measured = contest(
        rounds,
        vec![
            Box::new(|_| sq_git.cold(world)),
            Box::new(|_| sq_git.warm(world)),
            Box::new(|_| ours()),
        ],
    );
    let measured = <[Samples; 3]>::try_from(measured);
    Some(measured.unwrap_or_else(|_| panic!("three contenders, three results")))
}

/// gpgsm is so slow that it reads a part only.
fn peer_commits(name: &str, effort: Effort) -> usize {
    match name.starts_with("gpgsm") {
        true => effort.small.div_ceil(5),
        false => effort.small,
    }
}

/// G is good; U is good by a key that nobody vouched for, which costs the same.
fn is_good(grade: &[u8]) -> bool {
    matches!(grade, b"G" | b"U")
}

/// Makes a history that a stock tool's signatures are on.
fn write_theirs(
    world: &Repository,
    commits: usize,
    mut spec: CommitSpec,
    branch: &str,
    sign: Sign<'_>,
) {
    let mut objects = Vec::with_capacity(commits);
    for number in 0..commits {
        spec.message = format!("change number {number}\n");
        let payload = spec.payload();
        let signature = String::from_utf8(sign(&payload)).expect("armor is ASCII");
        let raw = with_signature(&payload, "gpgsig", &signature);
        spec.parents = vec![pack::commit_id(&raw)];
        objects.push((Kind::Commit, raw));
    }
    store(world, &objects);
    settle(world, branch, &spec.parents);
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
            largest: None,
            records: 1,
            requests: [0, 0],
        };
        assert_eq!(peers(effort).0.len(), 3);
    }
}
