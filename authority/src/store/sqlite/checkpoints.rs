//! The log is moved into the database by a thread of its own: whoever writes, and whoever waits to
//! write, does not wait for the disk.
//!
//! What is acknowledged is in the log, so that a killed process loses as little as without this.

use std::{
    error::Error,
    fs::File,
    io,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{Builder, JoinHandle},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use super::{Inner, during};
use crate::store::StoreError;

/// The thread; it ends when dropped.
pub(super) struct Checkpoints {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    /// Begins with a database that is there.
    pub(super) fn of(path: &Path, writers: Arc<Mutex<Inner>>) -> Result<Self, StoreError> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .map_err(during("open the database"))?;
        let failed = |source: io::Error| StoreError::File {
            path: path.to_owned(),
            source,
        };
        // Never closed: closing it would take the locks of everybody in this process who has the
        // same file open (POSIX, fcntl).
        let database: &File = Box::leak(Box::new(File::open(path).map_err(failed)?));
        let (stop, stopped) = channel();
        let thread = Builder::new()
            .name("checkpoints".to_owned())
            .spawn(move || {
                let log = Log {
                    connection,
                    database,
                    writers,
                };
                log.tend(&stopped);
            });
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread.map_err(failed)?),
        })
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The log, and where it is moved to.
struct Log {
    connection: Connection,
    database: &'static File,
    writers: Arc<Mutex<Inner>>,
}

impl Log {
    fn tend(&self, stopped: &Receiver<()>) {
        while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
            // A disk that is full or gone is told to whoever writes; the log holds what is not moved.
            let _ = self.shorten();
        }
    }

    /// Moves what there is much of, while others write. Nobody writes while the end of a long log is
    /// moved: with something new in it always, it would not begin anew.
    fn shorten(&self) -> Result<(), Box<dyn Error>> {
        for _ in 0..ATTEMPTS {
            let (pages, not_moved) = self.length()?;
            if not_moved == 0 || not_moved < MOVED_AT_ONCE && pages < LOG_LONG {
                return Ok(());
            }
            if not_moved <= LAST_MAX {
                let _nobody_writes = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
                return Ok(self.move_all()?);
            }
            self.move_all()?;
            // SQLite waits for the disk at the very end only; by then there is to be little left.
            self.database.sync_data()?;
        }
        Ok(())
    }

    /// Returns how many pages the log has, and how many of them are not moved yet.
    fn length(&self) -> rusqlite::Result<(i64, i64)> {
        let ask = "PRAGMA wal_checkpoint(NOOP)";
        self.connection.query_row(ask, [], |row| {
            let [pages, moved] = [row.get::<_, i64>(1)?, row.get(2)?];
            Ok((pages, pages - moved))
        })
    }

    /// Moves what is in the log now.
    fn move_all(&self) -> rusqlite::Result<()> {
        let go = "PRAGMA wal_checkpoint(PASSIVE)";
        self.connection.query_row(go, [], |_| Ok(()))
    }
}

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(250);
/// How many pages are moved at once, 16 MiB, and the length in pages from which on the log is to begin
/// anew, 64 MiB: whoever writes next waits for the disk, which should be seldom.
const MOVED_AT_ONCE: i64 = 8_192;
const LOG_LONG: i64 = 4 * MOVED_AT_ONCE;
/// How many pages are moved while nobody writes, 2 MiB, and how often it is tried to come down to so
/// few.
const LAST_MAX: i64 = 1_024;
const ATTEMPTS: u8 = 4;
/// The length in pages at which whoever writes moves the log after all: 128 MiB.
pub(super) const LOG_MAX: u32 = 65_536;

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use notme_core::time::UnixTime;

    use super::*;
    use crate::{
        audit::{Act, Entry, operator},
        store::{SqliteStore, Store as _},
    };

    /// More than [`MOVED_AT_ONCE`] pages, and by far not [`LOG_MAX`].
    const ROWS: u32 = 10_000;

    #[test]
    fn the_log_is_moved_while_nobody_writes() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("store");
        let store = SqliteStore::open_to_serve(&path).unwrap();
        let at = UnixTime::from_secs(1_800_000_000);
        let entry = Entry::new(at, operator(), Act::Found, String::new());
        for _ in 0..ROWS {
            store.audit(&entry).unwrap();
        }
        // Asked of SQLite: while others write, what is moved makes no whole database without the log.
        let reader = Connection::open(&path).unwrap();
        let is_moved = (0..200).any(|_| {
            sleep(Duration::from_millis(50));
            let moved = reader.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(2));
            moved.is_ok_and(|moved: i64| moved >= MOVED_AT_ONCE)
        });
        drop(reader);
        assert!(is_moved);
        // And the thread ends with the store, whose last connection takes the log away.
        drop(store);
        assert!(!directory.path().join("store-wal").exists());
    }
}
