//! The log is moved into the database by a thread of its own: whoever writes, and whoever waits to
//! write, does not wait for the disk.
//!
//! What is acknowledged is in the log, so that a killed process loses as little as without this.

use std::{
    io,
    path::Path,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread::{Builder, JoinHandle},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use super::during;
use crate::store::StoreError;

/// The thread; it ends when dropped.
pub(super) struct Checkpoints {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    /// Begins with a database that is there.
    pub(super) fn of(path: &Path) -> Result<Self, StoreError> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .map_err(during("open the database"))?;
        let (stop, stopped) = channel();
        let thread = Builder::new()
            .name("checkpoints".to_owned())
            .spawn(move || run(&connection, &stopped));
        let failed = |source: io::Error| StoreError::File {
            path: path.to_owned(),
            source,
        };
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

fn run(connection: &Connection, stopped: &Receiver<()>) {
    while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
        // A disk that is full or gone is told to whoever writes; the log holds what is not moved.
        let _ = move_log(connection);
    }
}

/// Moves a log that is long. It stops nobody.
fn move_log(connection: &Connection) -> rusqlite::Result<()> {
    let pages: i64 = connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1))?;
    if pages < LOG_MIN {
        return Ok(());
    }
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(250);
/// The length in pages from which on the log is moved: 32 MiB. Once all of it is moved, the next to
/// write begins it anew and waits for the disk: that should be seldom.
const LOG_MIN: i64 = 8_000;
/// The length in pages at which whoever writes moves the log after all: 128 MiB. While there is always
/// something new in it, the log does not begin anew, which takes a moment in which there is not.
pub(super) const LOG_MAX: u32 = 32_768;

#[cfg(test)]
mod tests {
    use std::{fs, thread::sleep};

    use notme_core::time::UnixTime;

    use super::*;
    use crate::{
        audit::{Act, Entry, operator},
        store::{SqliteStore, Store as _},
    };

    /// More than [`LOG_MIN`] pages, and by far not [`LOG_MAX`].
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
        // The database alone has it, without the log.
        let copy = directory.path().join("copy");
        let is_moved = (0..200).any(|_| {
            sleep(Duration::from_millis(50));
            fs::copy(&path, &copy).unwrap();
            let rows = Connection::open(&copy).and_then(|connection| {
                connection.query_row("SELECT count(*) FROM audit", [], |row| row.get::<_, u32>(0))
            });
            rows.is_ok_and(|rows| rows == ROWS)
        });
        assert!(is_moved);
        // And the thread ends with the store, whose last connection takes the log away.
        drop(store);
        assert!(!directory.path().join("store-wal").exists());
    }
}
