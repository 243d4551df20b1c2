//! What no program of this kind can go below on this machine.

use std::{
    hint::black_box,
    process::Command,
    time::{Duration, Instant},
};

use notme_core::key::{Hash, Signer as _};
use notme_testkit::{
    cast::{LeafSpec, TestAuthority},
    clock::NOW,
    commit::CommitSpec,
    keys::Ed25519Key,
};

use crate::{
    Effort,
    table::Table,
    timing::{contest, time},
};

/// Measures an empty process, an Ed25519 check, and the parsing of one signature.
pub(crate) fn measure(effort: Effort, table: &mut Table) {
    table.heading("floors of this machine");
    let processes = contest(
        effort.rounds,
        vec![Box::new(|_| {
            time(&mut Command::new("true"), b"").successful("true")
        })],
    );
    for samples in &processes {
        table.row("start and end of an empty process (`true`)", samples);
    }

    let key = Ed25519Key::from_seed([7; 32]);
    let message = [0x5a; 200];
    let signature = key.sign(&message).expect("throw-away keys always sign");
    let authority = TestAuthority::new(1);
    let payload = CommitSpec::new(&"0".repeat(40)).payload();
    let session = authority.leaf(&LeafSpec::bound_to(&payload));
    let cms = session.sign_cms(&payload, NOW);
    let in_process = contest(
        effort.rounds,
        vec![
            Box::new(|_| {
                average(|| {
                    let good = key.public_key().verify(Hash::Sha512, &message, &signature);
                    black_box(good).expect("it signed");
                })
            }),
            Box::new(|_| {
                average(|| {
                    let parsed = notme_core::cms::SignedMessage::parse(&cms);
                    black_box(parsed).expect("it parses");
                })
            }),
        ],
    );
    for (what, samples) in [
        "one Ed25519 check, one core",
        "parsing one CMS signature with its certificate, one core",
    ]
    .iter()
    .zip(&in_process)
    {
        table.row(*what, samples);
    }
    table.note("A commit takes two checks: the signature's and the certificate's.");
}

/// Times something too short for one reading of the clock.
fn average(mut what: impl FnMut()) -> Duration {
    const REPEAT: u32 = 32;
    let start = Instant::now();
    for _ in 0..REPEAT {
        what();
    }
    start.elapsed() / REPEAT
}
