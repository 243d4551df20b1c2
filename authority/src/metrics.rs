//! What is counted, in the text format of Prometheus. Every label has a closed list of values, so
//! that callers cannot make it grow.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{server::Answered, store::Sizes};

/// Counters by a name.
#[derive(Debug)]
pub(crate) struct Tally<K>(Mutex<BTreeMap<K, u64>>);

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Copy + Ord> Tally<K> {
    pub(crate) fn add(&self, name: K, count: u64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = counts.entry(name).or_default();
        *counted = counted.saturating_add(count);
    }

    pub(crate) fn counts(&self) -> Vec<(K, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(name, count)| (*name, *count)).collect()
    }
}

/// What is counted of requests and connections.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: Tally<(&'static str, u16)>,
    refusals: Tally<&'static str>,
    durations: Mutex<BTreeMap<&'static str, Histogram>>,
    connections: AtomicU64,
}

impl Metrics {
    pub(crate) fn answered(&self, answered: &Answered<'_>) {
        self.requests.add((answered.route, answered.status), 1);
        if let Some(code) = answered.code {
            self.refusals.add(code, 1);
        }
        let mut durations = self.durations();
        let histogram = durations.entry(answered.route).or_default();
        histogram.add(answered.duration);
    }

    /// Counts a connection as open until what this returns is dropped.
    pub(crate) fn connected(&self) -> Connected<'_> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Connected(&self.connections)
    }

    fn durations(&self) -> MutexGuard<'_, BTreeMap<&'static str, Histogram>> {
        self.durations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open connection.
pub(crate) struct Connected<'a>(&'a AtomicU64);

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Histogram {
    /// Those that took at most as long, each beyond the bound before.
    buckets: [u64; BOUNDS.len()],
    count: u64,
    sum: Duration,
}

impl Histogram {
    fn add(&mut self, duration: Duration) {
        let bucket = BOUNDS
            .iter()
            .position(|(bound, _)| duration <= *bound)
            .and_then(|at| self.buckets.get_mut(at));
        if let Some(bucket) = bucket {
            *bucket += 1;
        }
        self.count += 1;
        self.sum += duration;
    }
}

const BOUNDS: [(Duration, &str); 10] = [
    (Duration::from_millis(1), "0.001"),
    (Duration::from_micros(2_500), "0.0025"),
    (Duration::from_millis(5), "0.005"),
    (Duration::from_millis(10), "0.01"),
    (Duration::from_millis(25), "0.025"),
    (Duration::from_millis(50), "0.05"),
    (Duration::from_millis(100), "0.1"),
    (Duration::from_millis(250), "0.25"),
    (Duration::from_secs(1), "1"),
    (Duration::from_secs(5), "5"),
];

/// What stands in the store, and in the process beside [`Metrics`], when somebody looks.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) is_ready: bool,
    pub(crate) keys_answer: bool,
    pub(crate) issued: Vec<(&'static str, u64)>,
    pub(crate) limited: Vec<(&'static str, u64)>,
    /// Absent when the store cannot be read.
    pub(crate) stored: Option<Stored>,
}

#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) sizes: Sizes,
    pub(crate) trust_seqno: u64,
    pub(crate) trust_age: i64,
}

impl Metrics {
    /// Writes everything.
    pub(crate) fn render(&self, snapshot: &Snapshot) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut out, snapshot);
        out
    }

    fn write(&self, out: &mut String, snapshot: &Snapshot) -> fmt::Result {
        head(
            out,
            "notme_ready",
            "gauge",
            "Whether it answers `/readyz` with yes.",
        )?;
        writeln!(out, "notme_ready {}", u8::from(snapshot.is_ready))?;

        let help = "Whether the token that has the keys answered when it was last asked.";
        let usable = u8::from(snapshot.keys_answer);
        gauge(out, "notme_keys_usable", help, usable)?;

        let name = "notme_requests_total";
        head(out, name, "counter", "Requests that were answered.")?;
        for ((route, status), count) in self.requests.counts() {
            writeln!(
                out,
                "{name}{{route=\"{route}\",status=\"{status}\"}} {count}"
            )?;
        }

        let name = "notme_request_duration_seconds";
        head(
            out,
            name,
            "histogram",
            "From a request's head to its answer.",
        )?;
        for (route, histogram) in self.durations().iter() {
            let mut below = 0;
            for ((_, bound), count) in BOUNDS.iter().zip(histogram.buckets) {
                below += count;
                writeln!(
                    out,
                    "{name}_bucket{{route=\"{route}\",le=\"{bound}\"}} {below}"
                )?;
            }
            let (sum, count) = (histogram.sum.as_secs_f64(), histogram.count);
            writeln!(
                out,
                "{name}_bucket{{route=\"{route}\",le=\"+Inf\"}} {count}"
            )?;
            writeln!(out, "{name}_sum{{route=\"{route}\"}} {sum}")?;
            writeln!(out, "{name}_count{{route=\"{route}\"}} {count}")?;
        }

        let name = "notme_refusals_total";
        head(out, name, "counter", "Requests that were refused, by code.")?;
        named(out, name, "code", &self.refusals.counts())?;
        let name = "notme_issued_total";
        head(
            out,
            name,
            "counter",
            "What was issued since the start, by kind.",
        )?;
        named(out, name, "kind", &snapshot.issued)?;
        let name = "notme_rate_limited_total";
        head(
            out,
            name,
            "counter",
            "Requests that came too often, by what was counted.",
        )?;
        named(out, name, "by", &snapshot.limited)?;

        let connections = self.connections.load(Ordering::Relaxed);
        gauge(out, "notme_open_connections", "Connections.", connections)?;
        let Some(stored) = &snapshot.stored else {
            return Ok(());
        };
        let sizes = stored.sizes;
        gauge(
            out,
            "notme_sessions",
            "Sessions that live.",
            sizes.living_sessions,
        )?;
        let name = "notme_ledger_entries";
        head(
            out,
            name,
            "gauge",
            "What is remembered lest it be used twice.",
        )?;
        named(
            out,
            name,
            "ledger",
            &[("nonces", sizes.nonces), ("tokens", sizes.spent_tokens)],
        )?;
        gauge(
            out,
            "notme_audit_rows",
            "Rows of the audit.",
            sizes.audit_rows,
        )?;
        let help = "The number of the latest trust document.";
        gauge(out, "notme_trust_seqno", help, stored.trust_seqno)?;
        let help = "How long ago the latest trust document was signed.";
        gauge(
            out,
            "notme_trust_document_age_seconds",
            help,
            stored.trust_age,
        )
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

fn gauge(out: &mut String, name: &str, help: &str, value: impl fmt::Display) -> fmt::Result {
    head(out, name, "gauge", help)?;
    writeln!(out, "{name} {value}")
}

fn named(out: &mut String, name: &str, label: &str, counts: &[(&str, u64)]) -> fmt::Result {
    for (value, count) in counts {
        writeln!(out, "{name}{{{label}=\"{value}\"}} {count}")?;
    }
    Ok(())
}
