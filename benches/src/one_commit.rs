//! One commit, as git calls the programs.

use std::{fs, path::PathBuf, time::Duration};

use notme_core::{key::Algorithm, time::UnixTime};
use notme_testkit::{
    cast::{LeafSpec, Session, TestAuthority},
    commit::CommitSpec,
    repository::Repository,
};

use crate::{
    Effort,
    notme::{EMPTY_TREE, Notme},
    peers::{self, Gpg, Gpgsm, SshKeygen},
    table::Table,
    timing::{Samples, contest},
};

const SIGN_LIMIT: Duration = Duration::from_micros(3_000);
const OFFLINE_LIMIT: Duration = Duration::from_micros(2_000);
const VERIFY_LIMIT: Duration = Duration::from_micros(2_500);

/// Measures signing with the key agent warm, with an authority and without, beside ssh-keygen
/// and gpg.
pub(crate) fn sign(effort: Effort, table: &mut Table) {
    table.heading("signing one commit, whole process, everything warm");
    let mut world = Repository::new();
    let notme = Notme::set_up(&mut world, &[]);
    let mut lonely = Repository::new();
    let offline = Notme::set_up_offline(&mut lonely);
    let (gpg, ssh) = (Gpg::set_up(&world), SshKeygen::set_up(&world));
    let measured = contest(
        effort.rounds,
        vec![
            Box::new(|run| notme.sign(&world, &payload(run)).0),
            Box::new(|run| offline.sign(&lonely, &payload(run)).0),
            Box::new(|run| ssh.sign(&world, &payload(run)).0),
            Box::new(|run| gpg.sign(&world, &payload(run)).0),
        ],
    );
    if let [ours, cached, ssh, gpg] = &measured[..] {
        table.row_within(
            "notme, a certificate issued for the commit",
            ours,
            SIGN_LIMIT,
        );
        table.row_within(
            "notme, authority gone: session certificate",
            cached,
            OFFLINE_LIMIT,
        );
        table.row("`ssh-keygen -Y sign`", ssh);
        table.row("`gpg -bsau`", gpg);
        compare(table, ours, &[("ssh-keygen", ssh), ("gpg", gpg)]);
    }
    notme.stop(&world);
    offline.stop(&lonely);
    peers::stop_daemons(&world);
}

/// Measures verifying, beside gpgsm, ssh-keygen and gpg.
pub(crate) fn verify(effort: Effort, table: &mut Table) {
    table.heading("verifying one commit, whole process");
    let mut world = Repository::new();
    let notme = Notme::set_up(&mut world, &[]);
    let (gpg, ssh) = (Gpg::set_up(&world), SshKeygen::set_up(&world));
    let (session, authority) = interop_session();
    let gpgsm = Gpgsm::set_up(&world, authority.p256_root());

    let payload = payload(0);
    let store = |name: &str, signature: &[u8]| {
        let path = world.home().join(name);
        fs::write(&path, signature).expect("the home directory is writable");
        path.to_string_lossy().into_owned()
    };
    let ours = store("ours", &notme.sign(&world, &payload).1);
    let by_gpg = store("gpg", &gpg.sign(&world, &payload).1);
    let by_ssh = store("ssh", &ssh.sign(&world, &payload).1);
    let cms = session.sign_cms(&payload, now());
    let for_gpgsm = store("gpgsm", notme_core::armor::armor(&cms).as_bytes());

    let measured = contest(
        effort.rounds,
        vec![
            Box::new(|_| notme.verify(&world, &ours, &payload)),
            Box::new(|_| gpgsm.verify(&world, &for_gpgsm, &payload)),
            Box::new(|_| ssh.verify(&world, &by_ssh, &payload)),
            Box::new(|_| gpg.verify(&world, &by_gpg, &payload)),
        ],
    );
    if let [ours, gpgsm, ssh, gpg] = &measured[..] {
        table.row_within("notme", ours, VERIFY_LIMIT);
        table.row("`gpgsm --verify` (P-256)", gpgsm);
        table.row(
            "`ssh-keygen -Y find-principals`, then `-Y verify`, as git does",
            ssh,
        );
        table.row("`gpg --verify`", gpg);
        compare(
            table,
            ours,
            &[("gpgsm", gpgsm), ("ssh-keygen", ssh), ("gpg", gpg)],
        );
    }
    notme.stop(&world);
    peers::stop_daemons(&world);
}

/// Measures what stands in for ssh-keygen beside it, with the same key and on the same signatures.
pub(crate) fn ssh(effort: Effort, table: &mut Table) {
    let mut world = Repository::new();
    let notme = Notme::set_up(&mut world, &["--format=ssh"]);
    let (ours, agent) = notme.ssh_keygen();
    let stock = SshKeygen::set_up(&world);
    table.heading("`ssh-keygen -Y sign`, whole process");
    let measured = contest(
        effort.rounds,
        vec![
            Box::new(|run| ours.sign(&world, &payload(run)).0),
            Box::new(|run| stock.sign(&world, &payload(run)).0),
            Box::new(|run| ours.sign_with(agent, &world, &payload(run)).0),
        ],
    );
    if let [ours, stock, session] = &measured[..] {
        table.row_within("notme, a key in a file", ours, stock.median() / 2);
        table.row("ssh-keygen, the same key", stock);
        table.row("notme, a certificate issued for the commit", session);
        compare(table, ours, &[("ssh-keygen", stock)]);
    }

    let payload = payload(0);
    let store = |name: &str, signature: &[u8]| {
        let path = world.home().join(name);
        fs::write(&path, signature).expect("the home directory is writable");
        path.to_string_lossy().into_owned()
    };
    let plain = store("plain.sig", &stock.sign(&world, &payload).1);
    let certified = store("certified.sig", &ours.sign_with(agent, &world, &payload).1);
    let listed = peers::allowed_signers(&world);
    let authority = PathBuf::from(world.git_ok(&["config", "gpg.ssh.allowedSignersFile"]));
    let identity = stock.find_principal(&authority, &world, &certified);
    table.heading("`ssh-keygen -Y verify`, whole process");
    let verify = |by: &SshKeygen, is_certified| {
        if is_certified {
            by.verify_as(&identity, &authority, &world, &certified, &payload)
        } else {
            by.verify_as(peers::SIGNER, &listed, &world, &plain, &payload)
        }
    };
    let measured = contest(
        effort.rounds,
        vec![
            Box::new(|_| verify(&ours, false)),
            Box::new(|_| verify(&stock, false)),
            Box::new(|_| verify(&ours, true)),
            Box::new(|_| verify(&stock, true)),
        ],
    );
    if let [ours, stock, ours_certified, stock_certified] = &measured[..] {
        table.row_within("notme, a listed key", ours, stock.median() / 2);
        table.row("ssh-keygen", stock);
        table.row_within(
            "notme, a certificate of a listed authority",
            ours_certified,
            stock_certified.median() / 2,
        );
        table.row("ssh-keygen", stock_certified);
        compare(table, ours, &[("ssh-keygen", stock)]);
    }
    notme.stop(&world);
}

/// Returns a P-256 session whose certificate lives now: gpgsm judges by its own clock.
pub(crate) fn interop_session() -> (Session, TestAuthority) {
    let authority = TestAuthority::born(1, now().plus(-3600));
    let session = authority.leaf(&LeafSpec {
        algorithm: Algorithm::P256,
        not_before: now().plus(-60),
        not_after: now().plus(24 * 3600),
        ..LeafSpec::default()
    });
    (session, authority)
}

/// Returns the real time.
pub(crate) fn now() -> UnixTime {
    UnixTime::from(std::time::SystemTime::now())
}

/// A commit like others, different in each run, so that nothing is answered from memory.
fn payload(run: usize) -> Vec<u8> {
    CommitSpec {
        parents: vec![format!("{run:040x}")],
        at: now(),
        message: format!("change number {run}\n\nA body of the usual length, which says why.\n"),
        ..CommitSpec::new(EMPTY_TREE)
    }
    .payload()
}

pub(crate) fn compare(table: &mut Table, ours: &Samples, theirs: &[(&str, &Samples)]) {
    let ratio = |peer: &Samples| peer.median().as_secs_f64() / ours.median().as_secs_f64();
    let text: Vec<String> = theirs
        .iter()
        .map(|(name, peer)| format!("{name} takes {:.1}×", ratio(peer)))
        .collect();
    table.note(format!("Beside notme, {}.", text.join(", ")));
}
