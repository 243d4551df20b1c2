//! JUnit XML, as Jenkins reads it and every CI with it: one test case for each object.

use std::{
    fmt::{self, Write as _},
    io::{self, Write},
};

use super::{
    counts, escape,
    finding::{Caveat, Finding, Weight, accepted_by},
    particulars,
};
use crate::verify::{JudgedObject, Outcome, Summary};

/// Writes one test suite. What is rejected is a failure, what is undecided an error; what excuses an
/// object is its output. Where the whole is undecided and no object says so, a test case more does.
///
/// # Errors
/// What writing gives.
pub fn write_junit(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    let Summary {
        objects,
        rejected,
        undecided,
        ..
    } = outcome.summary();
    let caveats = Caveat::all(outcome);
    let whole = caveats.iter().find(|it| it.decides);
    let tests = objects + usize::from(whole.is_some());
    let errors = undecided + usize::from(whole.is_some());
    let at = outcome.asked_at.to_string();
    writeln!(
        to,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"notme verify\" tests=\"{tests}\" failures=\"{rejected}\" errors=\"{errors}\">"
    )?;
    writeln!(
        to,
        " <testsuite name=\"{}\" tests=\"{tests}\" failures=\"{rejected}\" errors=\"{errors}\" skipped=\"0\" timestamp=\"{}\">\n  <properties>",
        Xml(&outcome.range),
        at.trim_end_matches('Z'),
    )?;
    let told = caveats.iter().map(|it| (it.name, it.text.as_str().into()));
    for (name, value) in particulars(outcome).chain(told) {
        let value = Xml(&value);
        writeln!(to, "   <property name=\"{name}\" value=\"{value}\"/>")?;
    }
    writeln!(to, "  </properties>")?;
    let mut findings = Finding::all(outcome).peekable();
    for object in outcome.objects() {
        let finding = findings.next_if(|it| it.object.id() == object.id());
        write_case(object, finding.as_ref(), to)?;
    }
    if let Some(Caveat { name, text, .. }) = whole {
        writeln!(
            to,
            "  <testcase classname=\"notme verify\" name=\"all of it\">\n   <error type=\"{name}\" message=\"{}\"/>\n  </testcase>",
            Xml(text)
        )?;
    }
    writeln!(
        to,
        "  <system-out>{}</system-out>\n </testsuite>\n</testsuites>",
        counts(outcome.summary())
    )
}

fn write_case(
    object: &JudgedObject,
    finding: Option<&Finding<'_>>,
    to: &mut impl Write,
) -> io::Result<()> {
    let signer = object.judgement().identity().unwrap_or("no trusted signer");
    write!(
        to,
        "  <testcase classname=\"{}\" name=\"{} {}\"",
        Xml(signer),
        object.kind_word(),
        object.id()
    )?;
    let Some(finding) = finding else {
        if object.judgement().excused_from().is_some() || object.judgement().is_known_good() {
            let by = accepted_by(object.judgement());
            let by = Xml(&by);
            return writeln!(to, ">\n   <system-out>{by}</system-out>\n  </testcase>");
        }
        return writeln!(to, "/>");
    };
    let element = match finding.weight() == Weight::Rejected {
        true => "failure",
        false => "error",
    };
    writeln!(
        to,
        ">\n   <{element} type=\"{}\" message=\"{}\">{}</{element}>\n  </testcase>",
        finding.code,
        Xml(&finding.message()),
        Xml(finding.code.fix()),
    )
}

/// A text inside XML or HTML, in an attribute or between tags. What would move a cursor, and what
/// XML cannot carry, is escaped as everywhere.
pub(super) struct Xml<'a>(pub(super) &'a str);

impl fmt::Display for Xml<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in escape(self.0).chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\u{fffe}' | '\u{ffff}' => write!(f, "{}", c.escape_unicode())?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}
