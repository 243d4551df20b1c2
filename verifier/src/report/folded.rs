//! The text report with runs of equal verdicts on one line each.

use std::io::{self, Write};

use super::{laid_out, object_facts, object_line, short, write_summary};
use crate::verify::{JudgedObject, Outcome};

/// Writes what [`super::write_text`] writes, but neighbours of which it says the same on one line:
/// the newest, the oldest, and how many. What is particular to each of them is left out.
///
/// # Errors
/// What writing gives.
pub fn write_folded(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    let mut run: Option<Run<'_>> = None;
    for object in outcome.objects() {
        let facts = object_facts(outcome, object);
        let verdict = object.judgement().verdict().word();
        match &mut run {
            Some(run) if run.verdict == verdict && run.facts == facts => {
                run.oldest = object;
                run.length += 1;
            }
            _ => {
                let next = Run {
                    newest: object,
                    oldest: object,
                    length: 1,
                    verdict,
                    facts,
                };
                if let Some(run) = run.replace(next) {
                    run.write(outcome, to)?;
                }
            }
        }
    }
    if let Some(run) = run {
        run.write(outcome, to)?;
    }
    write_summary(outcome, to)
}

/// Neighbours in the report of which it says the same.
struct Run<'a> {
    newest: &'a JudgedObject,
    oldest: &'a JudgedObject,
    length: usize,
    verdict: &'static str,
    facts: Vec<String>,
}

impl Run<'_> {
    fn write(self, outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
        if self.length == 1 {
            return writeln!(to, "{}", object_line(outcome, self.newest));
        }
        let head = format!(
            "{:<10} {} to {}, {} objects",
            self.verdict,
            short(self.newest),
            short(self.oldest),
            self.length
        );
        writeln!(to, "{}", laid_out(&head, self.facts))
    }
}
