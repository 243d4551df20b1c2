//! The text report with runs of equal verdicts on one line each.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use super::{detail, laid_out, object_facts, short};
use crate::verify::{JudgedObject, Portion};

/// Neighbours of which the report says the same, so far.
#[derive(Debug, Default)]
pub struct Folding(Option<Run>);

#[derive(Debug)]
struct Run {
    newest: String,
    oldest: String,
    length: usize,
    verdict: &'static str,
    facts: Vec<String>,
    /// What is particular to the newest.
    detail: Option<String>,
}

impl Folding {
    /// Takes the next object, and writes those before it if it is not like them.
    pub(super) fn add(
        &mut self,
        portion: &Portion,
        object: &JudgedObject,
        to: &mut impl Write,
    ) -> io::Result<()> {
        let facts = object_facts(portion, object);
        let verdict = object.judgement().verdict().word();
        match &mut self.0 {
            Some(run) if run.verdict == verdict && run.facts == facts => {
                run.oldest = short(object);
                run.length += 1;
                Ok(())
            }
            _ => {
                let next = Run {
                    newest: short(object),
                    oldest: short(object),
                    length: 1,
                    verdict,
                    facts: facts.into_iter().map(Cow::into_owned).collect(),
                    detail: detail(object.judgement()).map(Cow::into_owned),
                };
                match self.0.replace(next) {
                    Some(run) => run.write(to),
                    None => Ok(()),
                }
            }
        }
    }

    /// Writes the last ones.
    pub(super) fn end(self, to: &mut impl Write) -> io::Result<()> {
        match self.0 {
            Some(run) => run.write(to),
            None => Ok(()),
        }
    }
}

impl Run {
    fn write(self, to: &mut impl Write) -> io::Result<()> {
        let Self {
            newest,
            oldest,
            length,
            verdict,
            mut facts,
            detail,
        } = self;
        let head = match length {
            1 => {
                facts.extend(detail);
                format!("{verdict:<10} {newest}")
            }
            _ => format!("{verdict:<10} {newest} to {oldest}, {length} objects"),
        };
        writeln!(to, "{}", laid_out(head, &facts))
    }
}
