//! How often callers may ask: fixed windows of a minute, as the reference has them.
//!
//! Who asks how often is kept in tables of a fixed size, whose places are found with a key that
//! nobody outside has. A caller has a place in each of two rows and counts as the lower of both:
//! two callers are taken for one only where they meet in both, and nobody can arrange that. So
//! memory is bounded and nobody is forgotten, however many ask.

use std::{
    hash::{BuildHasher as _, Hash, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::origins::origin;
use crate::{authority::Peer, metrics::Tally};

/// How often callers may ask in a minute; `None`: as often as they like. Whoever speaks on a unix
/// socket may always.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rates {
    /// Requests of one IPv4 address or IPv6 network (/64). Not of this machine's own addresses,
    /// where a proxy may stand that speaks for everybody.
    pub address: Option<NonZeroU32>,
    /// `/v1/issue` and `/v1/renew`, of one identity.
    pub identity: Option<NonZeroU32>,
    /// Tokens of other issuers at `/cert/gha`, `/cert` and `/v1/enrol`, for one identity.
    pub workload: Option<NonZeroU32>,
    /// `/token`, of one identity.
    pub token: Option<NonZeroU32>,
}

impl Rates {
    /// No bounds.
    pub const NONE: Self = Self {
        address: None,
        identity: None,
        workload: None,
        token: None,
    };
}

impl Default for Rates {
    /// The reference's 10 for workloads and 20 for access tokens; 600 for an address, and 6,000
    /// for an identity, more than git can ask for.
    fn default() -> Self {
        Self {
            address: NonZeroU32::new(600),
            identity: NonZeroU32::new(6_000),
            workload: NonZeroU32::new(10),
            token: NonZeroU32::new(20),
        }
    }
}

/// What a bound is on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rate {
    Identity,
    Workload,
    Token,
}

impl Rate {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Workload => "workload",
            Self::Token => "token",
        }
    }
}

/// Asked too often; in so many seconds again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TooOften {
    pub(crate) retry_after: u64,
}

/// Counts who asks how often.
pub(crate) struct RateLimiter {
    address: Option<Table>,
    identity: Option<Table>,
    workload: Option<Table>,
    token: Option<Table>,
    limited: Tally<&'static str>,
}

impl RateLimiter {
    pub(crate) fn new(rates: &Rates) -> Self {
        let table = |most: Option<NonZeroU32>| most.map(Table::new);
        Self {
            address: table(rates.address),
            identity: table(rates.identity),
            workload: table(rates.workload),
            token: table(rates.token),
            limited: Tally::default(),
        }
    }

    /// Counts a request from an address.
    pub(crate) fn admit_address(&self, address: IpAddr) -> Result<(), TooOften> {
        if address.to_canonical().is_loopback() {
            return Ok(());
        }
        self.count(self.address.as_ref(), &origin(address), "address")
    }

    /// Counts a request for an identity.
    pub(crate) fn admit(&self, rate: Rate, peer: Peer, identity: &str) -> Result<(), TooOften> {
        let table = match (peer, rate) {
            (Peer::SameUser, _) => return Ok(()),
            (Peer::Stranger, Rate::Identity) => &self.identity,
            (Peer::Stranger, Rate::Workload) => &self.workload,
            (Peer::Stranger, Rate::Token) => &self.token,
        };
        self.count(table.as_ref(), identity, rate.as_str())
    }

    /// Returns how many requests were refused, by what was bounded.
    pub(crate) fn limited(&self) -> &Tally<&'static str> {
        &self.limited
    }

    fn count(
        &self,
        table: Option<&Table>,
        who: &(impl Hash + ?Sized),
        what: &'static str,
    ) -> Result<(), TooOften> {
        let admitted = table.map_or(Ok(()), |table| table.admit(who, Instant::now()));
        if admitted.is_err() {
            self.limited.add(what, 1);
        }
        admitted
    }
}

/// The requests of the current window.
struct Table {
    most: u32,
    rows: [RandomState; 2],
    window: Mutex<Window>,
}

struct Window {
    began: Instant,
    counts: [Vec<u32>; 2],
}

impl Table {
    fn new(most: NonZeroU32) -> Self {
        Self {
            most: most.get(),
            rows: [RandomState::new(), RandomState::new()],
            window: Mutex::new(Window {
                began: Instant::now(),
                counts: [vec![0; PLACES], vec![0; PLACES]],
            }),
        }
    }

    fn admit(&self, who: &(impl Hash + ?Sized), now: Instant) -> Result<(), TooOften> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let mut elapsed = now.saturating_duration_since(window.began);
        if elapsed >= WINDOW {
            window.began = now;
            elapsed = Duration::ZERO;
            for counts in &mut window.counts {
                counts.fill(0);
            }
        }
        let mut lowest = u32::MAX;
        for (row, counts) in self.rows.iter().zip(&mut window.counts) {
            let place = usize::try_from(row.hash_one(who) % PLACES_U64).unwrap_or_default();
            if let Some(count) = counts.get_mut(place) {
                *count = count.saturating_add(1);
                lowest = lowest.min(*count);
            }
        }
        if lowest <= self.most {
            return Ok(());
        }
        let left = WINDOW.saturating_sub(elapsed);
        Err(TooOften {
            retry_after: left.as_secs().saturating_add(1),
        })
    }
}

const WINDOW: Duration = Duration::from_secs(60);
/// A row takes 64 KiB.
const PLACES: usize = 1 << 14;
const PLACES_U64: u64 = 1 << 14;

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(most: u32) -> RateLimiter {
        let most = NonZeroU32::new(most);
        RateLimiter::new(&Rates {
            address: most,
            identity: most,
            workload: most,
            token: None,
        })
    }

    #[test]
    fn admits_as_many_as_the_rate_of_each() {
        let limiter = limiter(2);
        let ask = |who| limiter.admit(Rate::Identity, Peer::Stranger, who);
        assert_eq!((ask("a"), ask("a"), ask("b")), (Ok(()), Ok(()), Ok(())));
        let refused = ask("a").unwrap_err();
        assert!((1..=60).contains(&refused.retry_after), "{refused:?}");
        // Another rate is counted by itself, and one that is not there not at all.
        assert_eq!(limiter.admit(Rate::Workload, Peer::Stranger, "a"), Ok(()));
        for _ in 0..10 {
            assert_eq!(limiter.admit(Rate::Token, Peer::Stranger, "a"), Ok(()));
        }
        assert_eq!(limiter.limited().counts(), [("identity", 1)]);
    }

    #[test]
    fn another_minute_is_counted_anew() {
        let table = Table::new(NonZeroU32::MIN);
        let now = Instant::now();
        assert_eq!(table.admit("a", now), Ok(()));
        assert!(table.admit("a", now).is_err());
        assert_eq!(table.admit("a", now + 2 * WINDOW), Ok(()));
        assert!(table.admit("a", now + 2 * WINDOW).is_err());
    }

    #[test]
    fn our_own_user_and_this_machine_may_always() {
        let limiter = limiter(1);
        for _ in 0..10 {
            assert_eq!(limiter.admit(Rate::Identity, Peer::SameUser, "a"), Ok(()));
            for own in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
                assert_eq!(limiter.admit_address(own.parse().unwrap()), Ok(()));
            }
        }
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let limiter = limiter(1);
        let ask = |address: &str| limiter.admit_address(address.parse().unwrap());
        assert_eq!(ask("2001:db8::1"), Ok(()));
        assert!(ask("2001:db8::2").is_err());
        assert_eq!(ask("2001:db8:0:1::1"), Ok(()));
    }

    #[test]
    fn a_flood_of_names_neither_grows_it_nor_shuts_others_out() {
        let table = Table::new(NonZeroU32::new(100).unwrap());
        let now = Instant::now();
        for number in 0..200_000 {
            assert_eq!(table.admit(&number, now), Ok(()));
        }
        assert_eq!(table.admit("somebody else", now), Ok(()));
    }
}
