//! `notme authority audit`: export the rows, and find what is wrong with them.

use std::{
    io::{self, BufRead, BufReader, BufWriter, Read as _, Write as _},
    path::Path,
};

use notme_authority::{AdminError, AuditCheck, AuditError, AuditHead};
use notme_core::certificate::Certificate;

use super::open;
use crate::{
    arguments::{Audit, AuditVerify},
    commands::trust::parse_pins,
    failure::{Exit, Failure, Outcome, open_file, read_file},
    home::Home,
};

/// The longest head.
pub(super) const HEAD_MAX: u64 = 64 * 1024;
/// The longest file of roots.
const ROOTS_MAX: u64 = 1024 * 1024;
/// The longest row: what is issued at once is a handful of digests.
const ROW_MAX: u64 = 64 * 1024;

pub(super) fn run(home: &Home, command: &Audit) -> Outcome {
    match command {
        Audit::Export(place) => {
            let mut out = BufWriter::new(io::stdout().lock());
            open(home, place)?.export_audit(&mut out)?;
            out.flush()?;
            Ok(Exit::Yes)
        }
        Audit::Head(place) => {
            let head = open(home, place)?.audit_head()?;
            let head = head.ok_or_else(|| Failure::from("nothing was closed by a head yet"))?;
            io::stdout().write_all(&head)?;
            Ok(Exit::Yes)
        }
        Audit::Verify(arguments) => verify(home, arguments),
    }
}

fn verify(home: &Home, arguments: &AuditVerify) -> Outcome {
    let head = match &arguments.head {
        Some(file) => Some(read_head(file, arguments)?),
        None => None,
    };
    let closed = head.as_ref().map(|head| head.number);
    let count = match &arguments.export {
        Some(file) => check_export(file, head)?,
        None => {
            let admin = open(home, &arguments.place)?;
            admin.verify_audit(head).map_err(|error| match error {
                AdminError::Audit(error) => found(error),
                error => error.into(),
            })?
        }
    };
    let closed = closed.map_or_else(
        || ", up to no head that was kept elsewhere".to_owned(),
        |number| format!(", {number} of them up to the head"),
    );
    writeln!(io::stdout(), "{count} rows are whole{closed}")?;
    Ok(Exit::Yes)
}

/// Reads a head; its signature counts where keys are pinned, otherwise the caller vouches for it.
fn read_head(file: &Path, arguments: &AuditVerify) -> Result<AuditHead, Failure> {
    let envelope = read_file(file, HEAD_MAX)?;
    let Some(roots) = &arguments.roots else {
        return AuditHead::read_unchecked(&envelope).map_err(found);
    };
    let pins = parse_pins(&arguments.pin)?;
    let pem = String::from_utf8(read_file(roots, ROOTS_MAX)?)?;
    let roots = Certificate::pem_bundle(&pem)?;
    let pinned = roots.iter().map(Certificate::public_key);
    let pinned: Vec<_> = pinned
        .filter(|key| pins.contains(&key.spki_sha256()))
        .collect();
    AuditHead::read(&envelope, &pinned).map_err(found)
}

fn check_export(file: &Path, head: Option<AuditHead>) -> Result<u64, Failure> {
    let mut check = AuditCheck::new(head);
    let mut rows = BufReader::new(open_file(file)?);
    loop {
        let mut line = Vec::new();
        rows.by_ref().take(ROW_MAX).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            break;
        }
        // Without its line feed the last row was cut in two, or is too long to be one.
        let row = line.strip_suffix(b"\n").unwrap_or_default();
        check.row(row).map_err(found)?;
    }
    check.finish().map_err(found)
}

fn found(error: AuditError) -> Failure {
    let code = error.code();
    Failure::no(error).hint(code)
}
