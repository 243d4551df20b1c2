//! How far a long run has come, on a terminal and nowhere else.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::{
        Mutex, OnceLock, PoisonError,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};

use notme_verifier::{Judge, repository::Counter};

/// Runs shorter than this show nothing.
const PATIENCE: Duration = Duration::from_millis(500);
const INTERVAL: Duration = Duration::from_millis(200);
/// Back to the beginning of the line, and erase it.
const ERASE: &str = "\r\x1b[K";
/// Characters of the bar.
const BAR: u64 = 24;

/// What is shown, if anything is, until somebody ends it.
#[derive(Default)]
pub(super) struct Bar<'s> {
    done: Mutex<Option<Sender<()>>>,
    drawing: Mutex<Option<ScopedJoinHandle<'s, ()>>>,
}

impl Bar<'_> {
    /// Takes it away: before anything else is told, and at the end.
    pub(super) fn end(&self) {
        drop(take(&self.done));
        if let Some(drawing) = take(&self.drawing) {
            let _ = drawing.join();
        }
    }
}

fn take<T>(from: &Mutex<Option<T>>) -> Option<T> {
    from.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Does the work while telling on stderr how many objects were examined, and, once they are
/// counted, how many there are.
pub(super) fn shown<T>(
    judge: &Judge<'_>,
    mut counter: Option<Counter>,
    work: impl FnOnce(&Bar<'_>) -> T,
) -> T {
    if !io::stderr().is_terminal() {
        return work(&Bar::default());
    }
    let (total, over) = (OnceLock::new(), OnceLock::new());
    thread::scope(|scope| {
        let (done, ended) = mpsc::channel::<()>();
        let (total, over) = (&total, &over);
        let drawing = scope.spawn(move || {
            let began = Instant::now();
            let mut wait = PATIENCE;
            while ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                wait = INTERVAL;
                // Whoever is through before anybody looks is not counted.
                if let Some(counter) = counter.take() {
                    scope.spawn(|| {
                        if let Some(count) = counter.count(|| over.get().is_none()) {
                            let _ = total.set(count);
                        }
                    });
                }
                let line = line(judge.examined(), total.get().copied(), began.elapsed());
                let _ = write!(io::stderr(), "{ERASE}{line}");
            }
            if wait == INTERVAL {
                let _ = write!(io::stderr(), "{ERASE}");
            }
        });
        let bar = Bar {
            done: Mutex::new(Some(done)),
            drawing: Mutex::new(Some(drawing)),
        };
        let result = work(&bar);
        let _ = over.set(());
        bar.end();
        result
    })
}

fn line(count: usize, total: Option<usize>, elapsed: Duration) -> String {
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let count = number(count);
    let rate = count.saturating_mul(1000) / number_of_millis(elapsed);
    let Some(total) = total.map(number).filter(|total| *total > 0) else {
        return format!("examined {count} objects, {rate}/s");
    };
    // Somebody may fetch meanwhile, and what is examined grow beyond what was counted.
    let total = total.max(count);
    let filled = count.saturating_mul(BAR) / total;
    let bar: String = (0..BAR)
        .map(|place| if place < filled { '#' } else { '.' })
        .collect();
    let percent = count.saturating_mul(100) / total;
    let left = match (total - count).checked_div(rate) {
        Some(seconds) if seconds >= 60 => format!("{} min left", seconds / 60),
        Some(seconds) => format!("{seconds} s left"),
        None => "no end in sight".to_owned(),
    };
    format!("[{bar}] {percent:>3} %  {count} of {total}  {rate}/s  {left}")
}

fn number_of_millis(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis())
        .unwrap_or(u64::MAX)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_rate_and_remaining_time_once_the_end_is_known() {
        let after = |seconds| Duration::from_secs(seconds);
        assert_eq!(line(1500, None, after(3)), "examined 1500 objects, 500/s");
        assert_eq!(
            line(1500, Some(3000), after(3)),
            "[############............]  50 %  1500 of 3000  500/s  3 s left"
        );
        assert_eq!(
            line(1000, Some(1_000_000), after(2)),
            "[........................]   0 %  1000 of 1000000  500/s  33 min left"
        );
        assert!(line(0, Some(10), after(1)).ends_with("0/s  no end in sight"));
        assert!(line(12, Some(10), after(1)).contains("100 %  12 of 12"));
        assert_eq!(line(0, Some(0), after(0)), "examined 0 objects, 0/s");
    }

    #[test]
    fn keeps_to_one_line_of_a_terminal() {
        let most = usize::try_from(u32::MAX).unwrap();
        let longest = line(most / 2, Some(most), Duration::from_millis(500));
        assert!(longest.len() < 100, "{longest}");
        let million = line(999_999, Some(10_000_000), Duration::from_secs(60));
        assert!(million.len() < 80, "{million}");
    }
}
