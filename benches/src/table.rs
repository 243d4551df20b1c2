//! The printed table.

use std::{fmt, time::Duration};

use crate::timing::Samples;

/// Rows under headings.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Row>);

#[derive(Debug)]
enum Row {
    Heading(String),
    Measured {
        what: String,
        samples: Samples,
        limit: Option<Duration>,
    },
    Note(String),
}

impl Table {
    /// Starts a group of rows.
    pub(crate) fn heading(&mut self, text: impl Into<String>) {
        let text = text.into();
        eprintln!("measuring: {text}");
        self.0.push(Row::Heading(text));
    }

    /// Adds what was measured, without a limit.
    pub(crate) fn row(&mut self, what: impl Into<String>, samples: &Samples) {
        self.0.push(Row::Measured {
            what: what.into(),
            samples: samples.clone(),
            limit: None,
        });
    }

    /// Adds what was measured beside the most it may take.
    pub(crate) fn row_within(
        &mut self,
        what: impl Into<String>,
        samples: &Samples,
        limit: Duration,
    ) {
        let samples = samples.clone();
        self.0.push(Row::Measured {
            what: what.into(),
            samples,
            limit: Some(limit),
        });
    }

    /// Adds a line of text.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.0.push(Row::Note(text.into()));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Notes stand below their group's rows, whenever they were made.
        let mut notes = Vec::new();
        for row in &self.0 {
            match row {
                Row::Heading(text) => {
                    notes
                        .drain(..)
                        .try_for_each(|note| writeln!(f, "\n{note}"))?;
                    writeln!(f, "\n### {text}\n")?;
                    writeln!(f, "| what | median | 10 % | 90 % | runs | limit |")?;
                    writeln!(f, "|---|---:|---:|---:|---:|---|")?;
                }
                Row::Measured {
                    what,
                    samples,
                    limit,
                } => writeln!(
                    f,
                    "| {what} | {} | {} | {} | {} | {} |",
                    shown(samples.median()),
                    shown(samples.quantile(10)),
                    shown(samples.quantile(90)),
                    samples.runs(),
                    judged(samples.median(), *limit),
                )?,
                Row::Note(text) => notes.push(text),
            }
        }
        notes.drain(..).try_for_each(|note| writeln!(f, "\n{note}"))
    }
}

fn judged(median: Duration, limit: Option<Duration>) -> String {
    let Some(limit) = limit else {
        return String::new();
    };
    let verdict = if median <= limit {
        "met"
    } else {
        "**not met**"
    };
    format!("≤ {}: {verdict}", shown(limit))
}

/// Returns a duration in the unit that suits it.
pub(crate) fn shown(duration: Duration) -> String {
    let micros = duration.as_secs_f64() * 1e6;
    if micros < 100.0 {
        return format!("{micros:.1} µs");
    }
    if micros < 1e6 {
        return format!("{:.2} ms", micros / 1e3);
    }
    format!("{:.2} s", micros / 1e6)
}
