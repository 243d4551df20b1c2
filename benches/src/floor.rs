//! What judging a history cannot go below: walking it, reading each commit, and two Ed25519 checks
//! for each. Nothing is parsed but the parents, and nothing is told.

use std::path::Path;

use gix::objs::{CommitRefIter, Find as _};
use notme_core::key::{Hash, Signer as _};
use notme_testkit::keys::Ed25519Key;
use rayon::iter::{ParallelBridge as _, ParallelIterator as _};

/// How long what a signature and a certificate cover is.
const LENGTHS: [usize; 2] = [250, 500];

/// Walks what HEAD reaches, with so many threads.
pub(crate) fn walk(directory: &Path, jobs: usize) {
    let threads = rayon::ThreadPoolBuilder::new().num_threads(jobs);
    threads.build_global().expect("threads can be started");
    let repository = gix::open(directory).expect("there is a repository");
    let mut next = Some(repository.head_id().expect("HEAD is a commit").detach());
    let mut objects = repository.objects.clone();
    objects.refresh_never();
    let commits = std::iter::from_fn(move || {
        let mut raw = Vec::new();
        let found = objects.try_find(&next?, &mut raw);
        let found = found.expect("it can be read").expect("it is there");
        let fields = CommitRefIter::from_bytes(found.data, found.object_hash);
        next = fields.parent_ids().next();
        Some(raw)
    });
    let key = Ed25519Key::from_seed([7; 32]);
    let checks = LENGTHS.map(|length| {
        let message = vec![0x5a; length];
        let signature = key.sign(&message).expect("throw-away keys always sign");
        (message, signature)
    });
    commits.par_bridge().for_each(|raw| {
        assert!(!raw.is_empty());
        for (message, signature) in &checks {
            let good = key.public_key().verify(Hash::Sha512, message, signature);
            good.expect("it signed");
        }
    });
}
