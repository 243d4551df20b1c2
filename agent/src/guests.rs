//! Clients that stay: who is asked to leave when there is no more room.

use std::{cell::Cell, future::Future, rc::Rc};

use tokio::{
    task::{AbortHandle, JoinSet},
    time::Instant,
};

/// Since when a client has been silent; `None` while it is being served.
#[derive(Clone, Debug)]
pub(crate) struct Silence(Rc<Cell<Option<Instant>>>);

impl Silence {
    fn new() -> Self {
        Self(Rc::new(Cell::new(Some(Instant::now()))))
    }

    /// The client asked for something.
    pub(crate) fn ends(&self) {
        self.0.set(None);
    }

    /// The client has its answer.
    pub(crate) fn begins(&self) {
        self.0.set(Some(Instant::now()));
    }
}

/// The clients that are connected. OpenSSH's programs keep a connection for as long as they run,
/// so the limit is kept by ending the connection that has been silent the longest: those who want
/// something are never turned away for those who do not.
#[derive(Debug)]
pub(crate) struct Guests {
    limit: usize,
    tasks: JoinSet<()>,
    seats: Vec<Seat>,
}

#[derive(Debug)]
struct Seat {
    silence: Silence,
    task: AbortHandle,
}

impl Guests {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            tasks: JoinSet::new(),
            seats: Vec::new(),
        }
    }

    /// Serves a client, unless all the others are being served at this moment.
    pub(crate) fn admit<F: Future<Output = ()> + 'static>(
        &mut self,
        serve: impl FnOnce(Silence) -> F,
    ) {
        while self.tasks.try_join_next().is_some() {}
        self.seats.retain(|seat| !seat.task.is_finished());
        if self.seats.len() >= self.limit && !self.make_room() {
            return;
        }
        let silence = Silence::new();
        let task = self.tasks.spawn_local(serve(silence.clone()));
        self.seats.push(Seat { silence, task });
    }

    /// Waits until a client has left; never when there is none.
    pub(crate) async fn one_leaves(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending().await
        }
    }

    /// Waits until all have left.
    pub(crate) async fn all_leave(&mut self) {
        // Who is silent has had its answer.
        for seat in &self.seats {
            if seat.silence.0.get().is_some() {
                seat.task.abort();
            }
        }
        while self.tasks.join_next().await.is_some() {}
    }

    fn make_room(&mut self) -> bool {
        let silent = self.seats.iter().enumerate();
        let silent = silent.filter_map(|(at, seat)| Some((seat.silence.0.get()?, at)));
        let Some((_, longest)) = silent.min() else {
            return false;
        };
        self.seats.swap_remove(longest).task.abort();
        true
    }
}

#[cfg(test)]
mod tests {
    use tokio::{sync::oneshot, task::LocalSet};

    use super::*;

    /// Admits a client that stays until it is aborted, which closes the channel.
    fn stay(guests: &mut Guests) -> (oneshot::Receiver<()>, Silence) {
        let (sender, receiver) = oneshot::channel();
        let mut kept = None;
        guests.admit(|silence| {
            kept = Some(silence);
            async move {
                std::future::pending::<()>().await;
                drop(sender);
            }
        });
        (receiver, kept.unwrap_or_else(Silence::new))
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_silent_one_leaves_for_a_new_one() {
        LocalSet::new()
            .run_until(async {
                let mut guests = Guests::new(2);
                let (mut first, silence) = stay(&mut guests);
                tokio::time::advance(std::time::Duration::from_secs(1)).await;
                let (second, _) = stay(&mut guests);
                tokio::time::advance(std::time::Duration::from_secs(1)).await;
                silence.ends();
                silence.begins();
                let (mut third, _) = stay(&mut guests);
                assert!(second.await.is_err());
                assert!(
                    first
                        .try_recv()
                        .is_err_and(|error| error == oneshot::error::TryRecvError::Empty)
                );
                assert!(
                    third
                        .try_recv()
                        .is_err_and(|error| error == oneshot::error::TryRecvError::Empty)
                );
            })
            .await;
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_leaves_while_being_served() {
        LocalSet::new()
            .run_until(async {
                let mut guests = Guests::new(1);
                let (mut first, silence) = stay(&mut guests);
                silence.ends();
                let (_, _) = stay(&mut guests);
                tokio::task::yield_now().await;
                assert!(
                    first
                        .try_recv()
                        .is_err_and(|error| error == oneshot::error::TryRecvError::Empty)
                );
                assert_eq!(guests.seats.len(), 1);
            })
            .await;
    }
}
