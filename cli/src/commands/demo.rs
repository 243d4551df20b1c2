//! `notme demo`: the main job on an embedded authority in a scratch directory, then attacks on it.

mod forgery;
mod stage;
mod yesterday;

use std::io::{self, Write};

use crate::failure::{Exit, Failure, Outcome};

use self::{stage::Stage, yesterday::Yesterday};

pub(crate) fn run() -> Outcome {
    let stage = Stage::build()?;
    let mut out = io::stdout().lock();

    writeln!(
        out,
        "an authority of our own was founded yesterday; an agent commits under it"
    )?;
    let yesterday = Yesterday::live(&stage)?;
    writeln!(out, "since then its certificates have expired\n\ntoday:")?;
    stage.show(
        &mut out,
        "notme init --agent claude",
        &stage.notme(&["init", "--agent", "claude"])?,
    )?;
    let honest = stage.commit("add parser")?;
    let second = stage.commit("fix parser")?;
    stage.git_ok(&["tag", "-m", "first release", "v1"])?;
    for format in ["ssh", "openpgp"] {
        let initialised = stage.notme(&["init", "--agent", "claude", "--format", format])?;
        stage::success(initialised)?;
        stage.commit(&format!("signed as {format}"))?;
    }
    for (title, arguments) in [
        (
            "notme verify HEAD~4..   # as x509, twice, as ssh, as openpgp",
            &["verify", "HEAD~4.."][..],
        ),
        ("notme verify v1", &["verify", "v1"]),
        (
            "notme verify HEAD~4   # made yesterday",
            &["verify", "HEAD~4"],
        ),
    ] {
        stage.show(&mut out, title, &stage.notme(arguments)?)?;
    }
    stage.show(
        &mut out,
        "git verify-commit HEAD",
        &stage.git(&["verify-commit", "HEAD"])?,
    )?;

    for (title, arguments) in [
        (
            "notme attest dispatch HEAD --model M --provider P",
            &[
                "attest",
                "dispatch",
                "HEAD",
                "--model",
                "M",
                "--provider",
                "P",
            ][..],
        ),
        ("notme attest verify HEAD", &["attest", "verify", "HEAD"]),
    ] {
        stage.show(&mut out, title, &stage.notme(arguments)?)?;
    }

    writeln!(out, "attacks:")?;
    let mut holes = 0;
    for attack in forgery::all(&stage, &honest, &second, &yesterday)? {
        let code = attack.judge(&stage)?;
        let refused = code == attack.expected;
        holes += usize::from(!refused);
        writeln!(
            out,
            "  {} {:<49} {code}",
            if refused { "refused " } else { "NOT REFUSED" },
            attack.title
        )?;
    }
    stage.close()?;
    if holes > 0 {
        return Err(Failure::from(format!(
            "{holes} attacks were not refused as they should be"
        )));
    }
    writeln!(out, "\nevery attack was refused; nothing was left behind")?;
    Ok(Exit::Yes)
}
