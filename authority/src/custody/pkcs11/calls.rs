//! Calls that may never come back: threads of their own make them, and nobody waits for one
//! without end.

use std::{
    fmt, io, mem,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

type Job = Box<dyn FnOnce() + Send>;

/// Threads that make calls. While one of them is overdue no other is begun: what does not answer
/// one would not answer the next, and those who ask would only wait.
pub(super) struct Calls {
    jobs: Option<Sender<Job>>,
    /// Hears that all threads have ended.
    ended: Mutex<Receiver<()>>,
    overdue: Arc<AtomicUsize>,
}

/// A call did not come back in time, this one or one before.
#[derive(Debug)]
pub(super) struct Overdue;

impl Calls {
    pub(super) fn new(threads: usize) -> io::Result<Self> {
        let (jobs, queue) = channel::<Job>();
        let (alive, ended) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let (queue, alive) = (Arc::clone(&queue), alive.clone());
            thread::Builder::new()
                .name("token".to_owned())
                .spawn(move || work(&queue, alive))?;
        }
        Ok(Self {
            jobs: Some(jobs),
            ended: Mutex::new(ended),
            overdue: Arc::default(),
        })
    }

    /// Makes a call and waits for what comes of it, so long at most. What comes too late is given
    /// to `late`.
    pub(super) fn make<T: Send + 'static>(
        &self,
        patience: Duration,
        call: impl FnOnce() -> T + Send + 'static,
        late: impl FnOnce(T) + Send + 'static,
    ) -> Result<T, Overdue> {
        if self.are_overdue() {
            return Err(Overdue);
        }
        let call_state = Arc::new(Call::default());
        let (its_state, overdue) = (Arc::clone(&call_state), Arc::clone(&self.overdue));
        let job: Job = Box::new(move || {
            if !its_state.begin() {
                return;
            }
            if let Some(result) = its_state.end(call()) {
                overdue.fetch_sub(1, Ordering::SeqCst);
                late(result);
            }
        });
        let sent = self.jobs.as_ref().map(|jobs| jobs.send(job));
        match sent {
            Some(Ok(())) => call_state.wait(patience, &self.overdue),
            Some(Err(_)) | None => Err(Overdue),
        }
    }

    pub(super) fn are_overdue(&self) -> bool {
        self.overdue.load(Ordering::SeqCst) > 0
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.jobs = None;
        // What was begun ends, unless it never does.
        if !self.are_overdue() {
            let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
            let _ = ended.recv_timeout(FAREWELL);
        }
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").finish_non_exhaustive()
    }
}

fn work(queue: &Mutex<Receiver<Job>>, _alive: Sender<()>) {
    loop {
        // Whoever waits for a call holds the queue, and the others wait for that.
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

/// A call, between the one who waits for it and the thread that makes it.
struct Call<T> {
    state: Mutex<State<T>>,
    done: Condvar,
}

enum State<T> {
    Queued,
    Begun,
    Done(T),
    /// Nobody waits any more.
    Left,
}

impl<T> Default for Call<T> {
    fn default() -> Self {
        Self {
            state: Mutex::new(State::Queued),
            done: Condvar::new(),
        }
    }
}

impl<T> Call<T> {
    /// Tells whether somebody waits for it still.
    fn begin(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_awaited = matches!(*state, State::Queued);
        if is_awaited {
            *state = State::Begun;
        }
        is_awaited
    }

    /// Gives the result to whoever waits for it; returns it when nobody does.
    fn end(&self, result: T) -> Option<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Left) {
            return Some(result);
        }
        *state = State::Done(result);
        self.done.notify_one();
        None
    }

    fn wait(&self, patience: Duration, overdue: &AtomicUsize) -> Result<T, Overdue> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_pending = |state: &mut State<T>| !matches!(state, State::Done(_));
        let waited = self.done.wait_timeout_while(state, patience, is_pending);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match mem::replace(&mut *state, State::Left) {
            State::Done(result) => Ok(result),
            State::Begun => {
                overdue.fetch_add(1, Ordering::SeqCst);
                Err(Overdue)
            }
            State::Queued | State::Left => Err(Overdue),
        }
    }
}

/// How long calls that were begun may take when nobody makes any more.
const FAREWELL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_comes_late_is_given_back_and_calls_are_made_again() {
        let calls = Calls::new(2).unwrap();
        assert_eq!(calls.make(LONG, || 1, drop).unwrap(), 1);
        let (answer, waits) = channel::<()>();
        let (late, came) = channel();
        let hung = calls.make(SOON, move || waits.recv(), move |it| late.send(it).unwrap());
        assert!(hung.is_err() && calls.are_overdue());
        assert!(calls.make(LONG, || 1, drop).is_err(), "another is free");
        answer.send(()).unwrap();
        assert_eq!(came.recv().unwrap(), Ok(()));
        assert!(!calls.are_overdue());
        assert_eq!(calls.make(LONG, || 2, drop).unwrap(), 2);
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_not_begun() {
        let calls = Calls::new(1).unwrap();
        let (answer, waits) = channel::<()>();
        let (begun, begins) = channel();
        thread::scope(|scope| {
            let first = scope.spawn(|| {
                let call = move || (begun.send(()).unwrap(), waits.recv()).1;
                calls.make(LONG, call, drop)
            });
            begins.recv().unwrap();
            let queued = calls.make(SOON, || panic!("nobody waits"), drop);
            assert!(queued.is_err() && !calls.are_overdue());
            answer.send(()).unwrap();
            assert_eq!(first.join().unwrap().unwrap(), Ok(()));
        });
        assert_eq!(calls.make(LONG, || 3, drop).unwrap(), 3);
    }
}
