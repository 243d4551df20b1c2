//! How many connections each caller on the network has.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The connections of each origin that has any.
#[derive(Debug)]
pub(super) struct Origins {
    limit: u16,
    connections: Mutex<HashMap<IpAddr, u16>>,
}

impl Origins {
    pub(super) fn new(limit: u16) -> Arc<Self> {
        Arc::new(Self {
            limit: limit.max(1),
            connections: Mutex::default(),
        })
    }

    /// Counts a connection; `None` when its origin has as many as it may.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<OriginPlace> {
        let origin = origin(address);
        let mut connections = self.lock();
        let count = connections.entry(origin).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(OriginPlace {
            origins: self.clone(),
            origin,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, u16>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that counts as long as this lives.
#[derive(Debug)]
pub(super) struct OriginPlace {
    origins: Arc<Origins>,
    origin: IpAddr,
}

impl Drop for OriginPlace {
    fn drop(&mut self) {
        let mut connections = self.origins.lock();
        if let Some(count) = connections.get_mut(&self.origin) {
            *count -= 1;
            if *count == 0 {
                connections.remove(&self.origin);
            }
        }
    }
}

/// Returns what one caller has one of: an IPv4 address, or an IPv6 network, of which a caller has
/// all 2^64 addresses.
pub(super) fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn admits_as_many_as_the_limit_from_each() {
        let origins = Origins::new(2);
        let places = [ip("192.0.2.1"), ip("::ffff:192.0.2.1")].map(|ip| origins.admit(ip).unwrap());
        assert!(origins.admit(ip("192.0.2.1")).is_none());
        assert!(origins.admit(ip("192.0.2.2")).is_some());
        drop(places);
        assert!(origins.admit(ip("192.0.2.1")).is_some());
    }

    #[test]
    fn forgets_who_has_left() {
        let origins = Origins::new(1);
        drop(origins.admit(ip("192.0.2.1")).unwrap());
        assert!(origins.lock().is_empty());
    }

    #[test]
    fn counts_an_ipv6_network_as_one() {
        let origins = Origins::new(1);
        let _place = origins.admit(ip("2001:db8:0:1::1")).unwrap();
        assert!(origins.admit(ip("2001:db8:0:1:ffff::2")).is_none());
        assert!(origins.admit(ip("2001:db8:0:2::1")).is_some());
    }
}
