//! Commits over time, by kind of signer.

use std::io::{self, Write};

use notme_core::time::UnixTime;

use super::super::signer::{Signer, Tally};
use crate::verify::{JudgedObject, Outcome};

/// How many bars there are at most.
const BARS: i64 = 48;
/// Width and height of the drawing, and the gap between bars.
const WIDTH: i64 = 960;
const HEIGHT: i64 = 200;
const GAP: i64 = 3;
const DAY: i64 = 86_400;
/// Which dates are on no scale.
const BEYOND: &str = "before 1970 or after the day on which this was asked,";

/// Writes the drawing, with the numbers behind it as a table.
pub(super) fn write(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    let commits = outcome.objects().iter();
    let commits = commits.filter(|object| object.kind() == Some("commit"));
    let days = commits.filter_map(|object| {
        let day = at(object)?.secs().div_euclid(DAY);
        Some((day, Signer::of(object.judgement())))
    });
    // Anybody may date a commit as they like, and one bar would be as wide as all of that.
    let today = outcome.asked_at.secs().div_euclid(DAY);
    let (drawn, beyond): (Vec<_>, Vec<_>) = days.partition(|(day, _)| (0..=today).contains(day));
    if drawn.is_empty() && beyond.is_empty() {
        return Ok(());
    }
    writeln!(
        to,
        "<section aria-labelledby=\"timeline\">\n<h2 id=\"timeline\">Commits over time</h2>"
    )?;
    write_figure(&drawn, to)?;
    match beyond.len() {
        0 => {}
        1 => writeln!(to, "<p>1 commit is dated {BEYOND} and not shown here.</p>")?,
        many => writeln!(
            to,
            "<p>{many} commits are dated {BEYOND} and not shown here.</p>"
        )?,
    }
    writeln!(to, "</section>")
}

fn write_figure(days: &[(i64, Signer)], to: &mut impl Write) -> io::Result<()> {
    let numbers = || days.iter().map(|(day, _)| *day);
    let (Some(first), Some(last)) = (numbers().min(), numbers().max()) else {
        return Ok(());
    };
    // Whole days, so that the same history is drawn the same way.
    let count = last - first + 1;
    let span = count.saturating_add(BARS - 1) / BARS;
    let length = usize::try_from(count.saturating_add(span - 1) / span).unwrap_or_default();
    let mut bars = vec![Tally::default(); length];
    for (day, signer) in days {
        let bar = usize::try_from((day - first) / span);
        if let Some(bar) = bar.ok().and_then(|bar| bars.get_mut(bar)) {
            bar.add(*signer);
        }
    }
    let day = |number: i64| {
        let at = UnixTime::from_secs(first.saturating_add(number).saturating_mul(DAY));
        let text = at.to_string();
        text.split('T').next().unwrap_or_default().to_owned()
    };
    writeln!(to, "<figure>")?;
    draw(&bars, to)?;
    let each = if span == 1 {
        "Each bar is a day".to_owned()
    } else {
        format!("Each bar is {span} days")
    };
    let most = bars.iter().map(Tally::total).max().unwrap_or_default();
    writeln!(
        to,
        "<p class=\"axis\"><span>{}</span><span>{}</span></p>\n<figcaption>{each}; the tallest has {most}. By the judged time, or else the date in the commit.</figcaption>\n</figure>\n<details>\n<summary>The same in numbers</summary>\n<table class=\"narrow\">\n<caption>Commits by kind of signer</caption>\n<thead><tr><th scope=\"col\">from</th>",
        day(0),
        day(count - 1)
    )?;
    for signer in Signer::ALL {
        write!(to, "<th scope=\"col\" class=\"n\">{}</th>", signer.word())?;
    }
    writeln!(to, "</tr></thead>\n<tbody>")?;
    for (bar, number) in bars.iter().zip(0_i64..) {
        if bar.total() == 0 {
            continue;
        }
        write!(to, "<tr><th scope=\"row\">{}</th>", day(number * span))?;
        for (_, count) in bar.iter() {
            write!(to, "<td class=\"n\">{count}</td>")?;
        }
        writeln!(to, "</tr>")?;
    }
    writeln!(to, "</tbody>\n</table>\n</details>")
}

/// Returns when a commit was made, as far as that is known.
fn at(object: &JudgedObject) -> Option<UnixTime> {
    object.judgement().judged_at().or(object.dated)
}

fn draw(bars: &[Tally], to: &mut impl Write) -> io::Result<()> {
    writeln!(
        to,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"timeline\">"
    )?;
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    // A history of a few commits or days has bars, not walls.
    let most = bars.iter().map(Tally::total).max().map_or(3, number).max(3);
    let step = WIDTH / number(bars.len()).clamp(12, BARS);
    for (bar, left) in bars.iter().zip((0_i64..).map(|bar| bar * step)) {
        let mut below = 0_i64;
        for (signer, count) in bar.iter().filter(|(_, count)| *count > 0) {
            let height = |count: i64| count.saturating_mul(HEIGHT) / most;
            let (from, until) = (height(below), height(below + number(count)));
            below += number(count);
            // What is there is seen, however little it is.
            let tall = (until - from).max(1);
            writeln!(
                to,
                "<rect class=\"{}\" x=\"{left}\" y=\"{}\" width=\"{}\" height=\"{tall}\"/>",
                signer.class(),
                HEIGHT - from - tall,
                step - GAP
            )?;
        }
    }
    writeln!(to, "</svg>")
}
