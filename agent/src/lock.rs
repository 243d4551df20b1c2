//! The lock that `ssh-add -x` puts on the key agent.

use std::{cell::RefCell, time::Duration};

use notme_core::key::sha256;
use rand_core::{OsRng, RngCore as _};
use tokio::{sync::Mutex, time::sleep};

/// Locked or not. While locked nothing is signed, through whichever door it is asked for.
#[derive(Debug, Default)]
pub(crate) struct Lock {
    locked: RefCell<Option<Locked>>,
    /// How often in a row the passphrase was wrong. Held while one is tried, so that who guesses
    /// does it one at a time.
    wrong: Mutex<u32>,
}

/// What opens the lock again; not the passphrase itself.
#[derive(Debug)]
struct Locked {
    salt: [u8; 16],
    digest: [u8; 32],
}

impl Lock {
    /// Tells whether it is locked.
    pub(crate) fn is_locked(&self) -> bool {
        self.locked.borrow().is_some()
    }

    /// Locks. Returns whether that was done: a lock that is closed already stays as it is.
    pub(crate) fn close(&self, passphrase: &[u8]) -> bool {
        let mut salt = [0; 16];
        if self.is_locked() || OsRng.try_fill_bytes(&mut salt).is_err() {
            return false;
        }
        let digest = digest(&salt, passphrase);
        self.locked.replace(Some(Locked { salt, digest }));
        true
    }

    /// Unlocks. Returns whether that was done; a wrong passphrase takes its time.
    pub(crate) async fn open(&self, passphrase: &[u8]) -> bool {
        let mut wrong = self.wrong.lock().await;
        let fits = self
            .locked
            .borrow()
            .as_ref()
            .is_some_and(|locked| is_same(&digest(&locked.salt, passphrase), &locked.digest));
        if fits {
            self.locked.replace(None);
            *wrong = 0;
            return true;
        }
        *wrong = wrong.saturating_add(1);
        sleep((PAUSE * *wrong).min(LONGEST_PAUSE)).await;
        false
    }
}

/// How much longer each wrong passphrase takes than the one before.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

fn digest(salt: &[u8; 16], passphrase: &[u8]) -> [u8; 32] {
    let text = zeroize::Zeroizing::new([salt, passphrase].concat());
    sha256(&text)
}

/// Compares in a time that does not depend on where the two differ. They are digests, so that
/// even a shortcut would tell nothing of the passphrase.
fn is_same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    let differences = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(differences) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn opens_with_the_passphrase_that_closed_it() {
        let lock = Lock::default();
        assert!(!lock.is_locked());
        assert!(lock.close(b"one"));
        assert!(lock.is_locked());
        assert!(!lock.close(b"other"));
        for wrong in [&b""[..], b"on", b"one ", b"other"] {
            assert!(!lock.open(wrong).await);
            assert!(lock.is_locked());
        }
        assert!(lock.open(b"one").await);
        assert!(!lock.is_locked());
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_lock_cannot_be_opened() {
        assert!(!Lock::default().open(b"").await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_passphrase_is_one() {
        let lock = Lock::default();
        assert!(lock.close(b""));
        assert!(!lock.open(b"x").await);
        assert!(lock.open(b"").await);
    }
}
